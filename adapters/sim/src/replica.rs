//! A replica as a subject: Raft with payloads, applied.

use crate::cluster::{Disk, Effect, Stimulus, Subject};
use crate::raft::{Packet as RaftPacket, Record as RaftRecord, Setup as RaftSetup, step_vec};
use quorate::id::{Incarnation, Slot};
use quorate::membership::Address;
use quorate::membership::roster::{self, Life};
use quorate::raft::{Receipt, Write};
use quorate::replica::{Config, Entry, Header, Input, Output, Replica, Request};
use quorate::time::{Instant, Now};
use quorate::{Machine, Refused, StateMachine, hlc};
use std::fmt::{self, Debug, Display};

/// How the members of a group are set up.
#[derive(Clone, Debug)]
pub struct Setup<S> {
    /// The Raft group below.
    pub raft: RaftSetup,
    /// The clocks.
    pub clock: hlc::Config,
    /// What the group should look like.
    pub roster: roster::Config,
    /// The state machine in its first state.
    pub state: S,
}

/// What a host may ask of a replica.
#[derive(Clone, Debug)]
pub enum Ask<C> {
    /// Clients' requests.
    Submit(Vec<Request<C>>),
    /// When the state may be read.
    Read,
    /// Stop leading.
    StepDown,
    /// Give a life a seat: a founder at its slot, or in the place of another life of the node.
    Admit {
        /// Whom.
        life: Life,
        /// Where it is.
        address: Address,
        /// The slot of a founder.
        founder: Option<Slot>,
        /// The incarnation that it replaces.
        replaces: Option<Incarnation>,
    },
    /// Let a life leave.
    Dismiss(Life),
}

/// A message with its payload.
#[derive(Clone, Debug)]
pub struct Packet<C> {
    /// What it says.
    pub header: Header,
    /// The entries that travel with it.
    pub entries: Vec<Entry<C>>,
    /// The part of a snapshot that travels with it.
    pub chunk: Vec<u8>,
}

/// The writes of one record, each with its entries.
#[derive(Clone, Debug)]
pub struct Record<C>(pub Vec<(Write, Vec<Entry<C>>)>);

impl<S: StateMachine + Clone + Debug> Subject for Replica<S> {
    type Setup = Setup<S>;
    type Ask = Ask<S::Command>;
    type Packet = Packet<S::Command>;
    type Record = Record<S::Command>;
    type Receipt = Receipt;
    type Told = Output;

    fn boot(setup: &Setup<S>, me: Slot, life: u64, disk: &Disk<Self>) -> Self {
        let config =
            Config { raft: setup.raft.config(me, life), clock: setup.clock, roster: setup.roster };
        let snapshot = disk.snapshot.as_ref().map(|(snapshot, bytes)| (*snapshot, &bytes[..]));
        let mut replica =
            Self::recover(config, setup.state.clone(), snapshot).expect("a sound disk");
        for (write, entries) in disk.records.iter().flat_map(|record| &record.0) {
            replica.replay(write, entries).expect("a sound disk");
        }
        replica
    }

    fn step(
        &mut self,
        now: Now,
        input: Stimulus<Self>,
        effects: &mut Vec<Effect<Self>>,
    ) -> Result<(), Refused> {
        let outputs = match &input {
            Stimulus::Tick => step_vec(self, now, Input::Tick),
            Stimulus::Packet(from, Packet { header, entries, chunk }) => {
                step_vec(self, now, Input::Message { from: *from, header: *header, entries, chunk })
            }
            Stimulus::Persisted(receipt) => step_vec(self, now, Input::Persisted(*receipt)),
            Stimulus::PersistFailed => step_vec(self, now, Input::PersistFailed),
            Stimulus::Stored(snapshot) => step_vec(self, now, Input::Stored(*snapshot)),
            Stimulus::Ask(Ask::Submit(requests)) => step_vec(self, now, Input::Submit { requests }),
            Stimulus::Ask(Ask::Read) => step_vec(self, now, Input::Read),
            Stimulus::Ask(Ask::StepDown) => step_vec(self, now, Input::StepDown),
            Stimulus::Ask(Ask::Admit { life, address, founder, replaces }) => {
                let (life, address, founder, replaces) = (*life, *address, *founder, *replaces);
                step_vec(self, now, Input::Admit { life, address, founder, replaces })
            }
            Stimulus::Ask(Ask::Dismiss(life)) => step_vec(self, now, Input::Dismiss(*life)),
        }?;
        effects.extend(outputs.into_iter().map(|output| self.encode(output)));
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        Machine::deadline(self)
    }
}

/// What a host does with an output before the next step.
trait Encode: Subject {
    fn encode(&self, output: Output) -> Effect<Self>;
}

impl<S: StateMachine + Clone + Debug> Encode for Replica<S> {
    fn encode(&self, output: Output) -> Effect<Self> {
        match output {
            Output::Persist { receipt, write } => {
                let entries_of = |write: Write| {
                    let entries = write.entries().map(|(first, last)| self.entries(first, last));
                    (write, entries.into_iter().flatten().cloned().collect())
                };
                let rebase = matches!(write, Write::Rebase { .. });
                let writes = if rebase { self.image().collect() } else { vec![write] };
                let record = Record(writes.into_iter().map(entries_of).collect());
                Effect::Persist { receipt, record, rebase }
            }
            Output::Send { to, header } => {
                let entries = self.entries_of(&header).cloned().collect();
                let chunk = self.chunk_of(&header).to_vec();
                Effect::Send(to, Packet { header, entries, chunk })
            }
            Output::Store { snapshot } => {
                Effect::Store(snapshot, self.bytes_of(&snapshot).to_vec())
            }
            told => Effect::Tell(told),
        }
    }
}

impl<C: Debug> Display for Packet<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&RaftPacket(self.header.message), f)?;
        f.write_str(if self.header.early { " (too early)" } else { "" })
    }
}

impl<C: Debug> Display for Record<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writes = self.0.iter().map(|(write, _)| *write).collect();
        Display::fmt(&RaftRecord(writes), f)
    }
}
