//! One member with its disk: what it can be told, and what it says then.
//!
//! The machine is the shipped one, stepped as any host steps it. Its time is of the model's making:
//! see [`super`].

use super::MOST_NODES;
use super::laws::{self, Facts, InForce, MOST_ENTRIES};
use crate::explore::Broken;
use quorate::Machine;
use quorate::id::{EntryId, Index, Members, Slot, Term};
use quorate::raft::{Change, Config, Configuration, Input, Message, Output, Raft, Receipt, Write};
use quorate::time::{Now, Span};

const ELECTION_TIMEOUT: Span = Span::millis(150);
const HEARTBEAT: Span = Span::millis(30);

/// A message on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Letter {
    /// Who sent it.
    pub from: Slot,
    /// Who is to get it.
    pub to: Slot,
    /// What it says.
    pub message: Message,
}

impl Letter {
    /// Whether this is an answer that comes too late for ever, once its receiver has this term on
    /// its disk: a term that is not higher teaches it nothing, and what else the answer says is
    /// heeded only in the term that was asked in.
    pub fn is_spent(&self, durable_term: u8) -> bool {
        let at = u64::from(durable_term);
        match self.message {
            Message::PreVoteReply { term, proposed, granted } => {
                term.number() <= at && (!granted || proposed.number() <= at)
            }
            Message::VoteReply { term, granted } => {
                term.number() < at || (term.number() == at && !granted)
            }
            Message::Matched { term, .. } | Message::Conflict { term, .. } => term.number() < at,
            Message::Stale { term } => term.number() <= at,
            _ => false,
        }
    }
}

/// Something that can happen to a member.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Move {
    /// A letter arrives.
    Hear(Letter),
    /// Its alarm rings: it has heard no leader for too long.
    Ring,
    /// Something happens to it that means nothing, such as an early tick: it says what it has not yet
    /// said. A leader with three things to say to one follower says two of them in one step.
    Nudge,
    /// Its heartbeat is due.
    Beat,
    /// It leads, and has heard no quorum for an election timeout.
    Silence,
    /// Its host proposes an entry.
    Propose,
    /// Its host lets the last slot of all join as a voter: in one step, or by a joint configuration
    /// that leaves itself.
    Admit {
        /// Whether by a joint one.
        joint: bool,
    },
    /// Its oldest pending writes, so many, are durable, and it hears of it once.
    Persist(u8),
    /// It crashes and starts again; so many of its oldest pending writes had become durable.
    Restart(u8),
}

/// What is durable.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Image {
    term: Term,
    vote: Option<Slot>,
    /// The term of each entry, and the configuration that it makes.
    log: Vec<(Term, Option<Configuration>)>,
}

impl Image {
    /// A write takes the place of everything from its first index on.
    fn fold(&mut self, write: &Write) {
        match *write {
            Write::Ballot { term, vote } => (self.term, self.vote) = (term, vote),
            Write::Append { term, first, last } => {
                self.log.truncate(first.previous().number() as usize);
                self.log.resize(last.number() as usize, (term, None));
            }
            Write::Configure { entry, configuration } => {
                self.log.truncate(entry.index.previous().number() as usize);
                self.log.push((entry.term, Some(configuration)));
            }
            // Nothing is compacted here.
            Write::Rebase { .. } => unreachable!("a rebase follows a snapshot, and there is none"),
        }
    }
}

/// A member: the machine, what is on its disk, and what is on its way there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Member {
    machine: Raft,
    image: Image,
    pending: Vec<(Receipt, Write)>,
}

impl Member {
    /// A member that has never lived before, of a group that the first so many have founded.
    pub fn new(me: Slot, founders: u8) -> Self {
        let founded = Members::first(usize::from(founders));
        let config = Config {
            me,
            // Whoever joins does not know who founded the group.
            voters: if founded.contains(me) { founded } else { Members::NONE },
            // What a former life was promised by its disk is dropped with it, so lives are alike.
            since: quorate::id::Index::ZERO,
            boot: 1,
            seed: 0,
            election_timeout: ELECTION_TIMEOUT,
            heartbeat: HEARTBEAT,
            clock_drift: None,
            promotion_lag: None,
            rests: false,
            limits: quorate::limits::BOARD,
        };
        Self::boot(config, Image::default()).0
    }

    /// Starts a member from its disk. Its first step only tells it the time.
    fn boot(config: Config, image: Image) -> (Self, Vec<Output>) {
        let mut machine = Raft::new(config).expect("the model's setup is sound");
        if image.term != Term::ZERO {
            machine.replay(&Write::Ballot { term: image.term, vote: image.vote });
        }
        for (&(term, change), index) in image.log.iter().zip(1..) {
            let index = Index::new(index);
            machine.replay(&match change {
                Some(configuration) => {
                    Write::Configure { entry: EntryId::new(term, index), configuration }
                }
                None => Write::Append { term, first: index, last: index },
            });
        }
        let mut member = Self { machine, image, pending: Vec::new() };
        let outputs = member.step(Now::mono(0), Input::Tick).unwrap_or_default();
        (member, outputs)
    }

    /// The machine.
    pub const fn machine(&self) -> &Raft {
        &self.machine
    }

    /// How many writes are on their way to the disk.
    pub fn pending(&self) -> u8 {
        self.pending.len() as u8
    }

    /// What then is, and what the member said; or nothing if this cannot happen.
    ///
    /// # Errors
    /// [`Broken`] if the member said what it may not say, or went back in time.
    pub fn after(&self, happens: Move) -> Result<Option<(Self, Vec<Output>)>, Broken> {
        let mut next = self.clone();
        let (soon, late) = (Now::mono(HEARTBEAT.as_micros()), ELECTION_TIMEOUT.as_micros());
        let said = match happens {
            Move::Hear(Letter { from, message, .. }) => {
                next.step(Now::mono(0), Input::Message { from, message })
            }
            Move::Ring | Move::Silence => next.step(Now::mono(late), Input::Tick),
            Move::Beat => next.step(soon, Input::Tick),
            Move::Nudge => next.step(Now::mono(0), Input::Tick),
            Move::Propose => next.step(Now::mono(0), Input::Propose { count: 1 }),
            Move::Admit { joint } => {
                let joins = [Change::AddVoter(Slot::new(MOST_NODES as u8 - 1))];
                let now = *next.machine.configuration();
                let after = if joint { now.enter_joint(true, &joins) } else { now.simple(&joins) };
                let change = after.ok().filter(|after| *after != now).map(Input::Reconfigure);
                change.and_then(|change| next.step(Now::mono(0), change))
            }
            Move::Persist(count) => next
                .sync(count)
                .and_then(|receipt| next.step(Now::mono(0), Input::Persisted(receipt))),
            Move::Restart(kept) => {
                next.sync(kept);
                let (born, said) = Self::boot(next.machine.config().clone(), next.image);
                next = born;
                Some(said)
            }
        };
        let Some(said) = said else { return Ok(None) };
        let (was, is) = (self.facts(), next.facts());
        laws::says_what_is_durable(&is, &said)?;
        laws::term_rises(&was, &is, matches!(happens, Move::Restart(_)))?;
        laws::votes_once(&was, &is)?;
        laws::changes_in_order(&was, &is)?;
        Ok(Some((next, said)))
    }

    /// Makes the oldest writes durable; the receipt of the last of them.
    fn sync(&mut self, count: u8) -> Option<Receipt> {
        let mut newest = None;
        let count = usize::from(count).min(self.pending.len());
        for (receipt, write) in self.pending.drain(..count) {
            newest = Some(receipt);
            self.image.fold(&write);
        }
        newest
    }

    /// One step; nothing if the machine refuses it.
    fn step(&mut self, now: Now, input: Input) -> Option<Vec<Output>> {
        let said = self.machine.step_vec(now, input).ok()?;
        // A copy is as good, and the field cannot be moved out of.
        self.machine = self.machine.clone().without_time();
        self.pending.extend(said.iter().filter_map(|output| match output {
            Output::Persist { receipt, write } => Some((*receipt, *write)),
            _ => None,
        }));
        Some(said)
    }

    /// What the laws look at.
    pub fn facts(&self) -> Facts {
        let term = |index| self.machine.log().term_at(Index::new(index)).unwrap_or(Term::ZERO);
        let durable =
            |position: usize| self.image.log.get(position).map_or(Term::ZERO, |(term, _)| *term);
        Facts {
            me: self.machine.config().me.number(),
            term: self.machine.term().number() as u8,
            leads: self.machine.leads(),
            stopped: self.machine.stopped().is_some(),
            commit: self.machine.commit().number() as u8,
            log: std::array::from_fn(|n| term(n as u64 + 1).number() as u8),
            ballot: (self.image.term.number() as u8, self.image.vote.map(Slot::number)),
            durable: std::array::from_fn(|n| durable(n).number() as u8),
            changed: InForce::of(self.machine.log().configurations().rev()),
        }
    }

    /// Whether the log may still grow without leaving what the laws look at.
    pub fn has_room(&self) -> bool {
        (self.machine.log().last().index.number() as usize) < MOST_ENTRIES
    }
}
