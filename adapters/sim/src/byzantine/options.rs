//! How a run is set up, and what may go wrong in it, drawn from its seed.

use super::SECOND;
use quorate::id::{Members, Slot};
use quorate::quorum;
use quorate::rng::Rng;

/// What a liar does. It has one key, its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lie {
    /// It runs several times over, and each copy speaks with others.
    Twins,
    /// As primary it proposes one value to some and another to others.
    Proposals,
    /// It votes for one value before some and for another before others.
    Votes,
    /// It signs one state for some and another for others.
    States,
    /// It restarts with an empty disk, or with an old one.
    Amnesia,
    /// It says again what anybody has ever said.
    Replay,
    /// It withholds payloads.
    Withhold,
    /// It is silent to some, or about some things.
    Silence,
    /// It speaks just before anybody runs out of patience.
    Slow,
    /// As primary it begins views with whatever view changes it likes.
    NewViews,
    /// Its view changes leave out what was prepared, or claim what was not.
    Claims,
    /// It floods the others with votes, views, states, requests and questions, and tries to forge.
    Spam,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Twins,
        Self::Proposals,
        Self::Votes,
        Self::States,
        Self::Amnesia,
        Self::Replay,
        Self::Withhold,
        Self::Silence,
        Self::Slow,
        Self::NewViews,
        Self::Claims,
        Self::Spam,
    ];
}

/// How a run is set up. Times are in microseconds, shares in thousandths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// How many members there are.
    pub members: u8,
    /// What each liar does.
    pub liars: Vec<(Slot, Vec<Lie>)>,
    /// Positions in the window, and in an interval between checkpoints.
    pub slots: u32,
    /// See `slots`.
    pub interval: u32,
    /// The shortest way of a packet, and how much longer it may be.
    pub latency: u64,
    /// See `latency`.
    pub jitter: u64,
    /// Packets that are lost, that arrive twice, and that are far too late.
    pub lost: u64,
    /// See `lost`.
    pub doubled: u64,
    /// See `lost`.
    pub late: u64,
    /// How long a write takes.
    pub disk: u64,
    /// How likely partitions and crashes are at each turn.
    pub parts: u64,
    /// See `parts`.
    pub crashes: u64,
    /// How far civil clocks are off, and how fast any clock drifts, in millionths.
    pub offset: u64,
    /// See `offset`.
    pub drift: u64,
    /// From one request to the next.
    pub load: u64,
    /// How many requests come from clients that lie.
    pub faulty: u64,
    /// How long faults go on.
    pub span: u64,
}

impl Options {
    /// What is drawn from a seed; so many lie, or as many as the group tolerates.
    pub fn of(seed: u64, liars: Option<usize>) -> Self {
        let mut rng = Rng::new(seed ^ 0xb12a_2717);
        let mut one_of = |choices: &[u64]| choices[rng.below(choices.len() as u64) as usize];
        let members = one_of(&[4, 4, 4, 4, 4, 4, 5, 6, 7, 10]);
        let slots = one_of(&[8, 16, 16, 32]);
        let quiet = |one_of: &mut dyn FnMut(&[u64]) -> u64, choices: &[u64]| match one_of(&[0, 1]) {
            0 => 0,
            _ => one_of(choices),
        };
        let mut options = Self {
            members: members as u8,
            liars: Vec::new(),
            slots: slots as u32,
            interval: (slots / one_of(&[2, 2, 4])) as u32,
            latency: one_of(&[100, 500, 5_000, 30_000]),
            jitter: one_of(&[100, 1_000, 10_000, 60_000]),
            lost: quiet(&mut one_of, &[5, 20, 100, 250]),
            doubled: quiet(&mut one_of, &[5, 50, 200]),
            late: quiet(&mut one_of, &[5, 30]),
            disk: one_of(&[50, 1_000, 10_000, 50_000]),
            parts: quiet(&mut one_of, &[30, 100]),
            crashes: quiet(&mut one_of, &[20, 60, 150]),
            offset: one_of(&[0, 20_000, 100_000]),
            drift: quiet(&mut one_of, &[50, 1_000]),
            load: one_of(&[30_000, 100_000, 300_000]),
            faulty: quiet(&mut one_of, &[100, 500]),
            span: (10 + one_of(&[0, 5, 20])) * SECOND,
        };
        let many = liars.unwrap_or_else(|| quorum::liars(members as usize));
        let mut liars = Members::NONE;
        while liars.len() < many.min(members as usize) {
            liars = liars.with(Slot::new(rng.below(members) as u8));
        }
        for liar in liars.iter() {
            let kinds = [1, 1, 2, 3, 5][rng.below(5) as usize];
            let lies = (0..kinds).map(|_| Lie::ALL[rng.below(Lie::ALL.len() as u64) as usize]);
            let mut lies: Vec<_> = lies.collect();
            if many > quorum::liars(members as usize) {
                // Too many: then all of them tell one second story.
                lies.extend([Lie::Proposals, Lie::Votes]);
            }
            lies.sort_unstable();
            lies.dedup();
            options.liars.push((liar, lies));
        }
        options
    }

    /// Who lies.
    pub fn liars(&self) -> Members {
        self.liars.iter().map(|it| it.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lie_is_told_in_some_runs_and_no_group_has_more_liars_than_it_tolerates() {
        let all: Vec<_> = (0..300).map(|seed| Options::of(seed, None)).collect();
        for lie in Lie::ALL {
            let tell = all.iter().flat_map(|it| &it.liars).filter(|it| it.1.contains(&lie));
            assert!(tell.count() > 5, "{lie:?}");
        }
        for options in &all {
            assert_eq!(options.liars().len(), (usize::from(options.members) - 1) / 3);
            assert!(options.interval <= options.slots / 2 && options.interval > 0);
        }
        assert_eq!(Options::of(7, Some(2)).liars().len(), 2);
    }
}
