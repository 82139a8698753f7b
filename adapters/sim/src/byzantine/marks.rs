//! What should happen in some run, and how often it did.

use std::fmt;

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the words say what each is")]
pub enum Mark {
    Crash,
    LostWrites,
    TornStep,
    Image,
    Part,
    Committed,
    Null,
    Again,
    Stable,
    ViewEntered,
    Relayed,
    Overdue,
    Fruitless,
    Overtaken,
    Equivocation,
    TwoVotes,
    TwoStates,
    TwoChanges,
    Fetch,
    Want,
    Forward,
    Overslept,
    StampTooEarly,
    Pause,
    Forged,
    TwoBeginnings,
    Carried,
    Lied,
    Healed,
}

const WORDS: [&str; 29] = [
    "crashes of correct members",
    "crashes that lost writes",
    "crashes in the midst of a step",
    "logs replaced by an image",
    "partitions",
    "values committed",
    "null values executed",
    "requests ordered again and executed once",
    "checkpoints become stable",
    "views entered by correct members",
    "beginnings of views passed on by others",
    "views left because a request waited",
    "views left because they did not begin",
    "views left because others had",
    "views left because the primary contradicted itself",
    "accusations of two votes",
    "accusations of two states",
    "accusations of two view changes",
    "states fetched",
    "payloads lacked",
    "requests forwarded",
    "members that overslept",
    "proposals at a stamp that a clock does not allow",
    "members that paused",
    "forged packets refused",
    "views begun in two ways by their primary",
    "committed values that a later view began with",
    "packets that liars twisted or made up",
    "runs in which everything was executed in the end",
];

/// How often each happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marks([u64; WORDS.len()]);

impl Default for Marks {
    fn default() -> Self {
        Self([0; WORDS.len()])
    }
}

impl Marks {
    /// It happened.
    pub fn hit(&mut self, mark: Mark) {
        self.0[mark as usize] += 1;
    }

    /// How often it happened.
    pub fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(all, of)| *all += of);
    }

    /// What never happened, in words.
    pub fn unhit(&self) -> Vec<&'static str> {
        WORDS.iter().zip(self.0).filter(|it| it.1 == 0).map(|it| *it.0).collect()
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, unhit) = (WORDS.len(), self.unhit().len());
        write!(f, "marks       {} hit of {all}", all - unhit)?;
        WORDS
            .iter()
            .zip(self.0)
            .try_for_each(|(words, count)| write!(f, "\n  {count:>10}  {words}"))
    }
}
