//! Runs a recorded node again.

use super::reader::{Error, Found, Reader};
use super::witness::{Sum, Witness};
use super::{Chronicle, Head, Input as Form, Record};
use crate::protocol::Service;
use quorate::id::{Incarnation, Slot};
use quorate::membership::Address;
use quorate::membership::roster::Life;
use quorate::raft::{Configuration, Snapshot};
use quorate::replica::{Entry, Header, Input, Output, Replica, Request};
use quorate::time::Now;
use quorate::{Machine, Refused};
use std::io::Read;

/// A recorded node, as far as it has been run again.
pub struct Replay<S: Service, R> {
    reader: Reader<R>,
    head: Head,
    snapshot: Option<Snapshot>,
    writes: u64,
    entries: u64,
    replica: Replica<S>,
    witness: Witness,
    chronicle: Chronicle,
    steps: u64,
    sum: Sum,
    end: End,
}

/// What a replica was given in a step.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "as `quorate::replica::Input`, but that it owns what it names")]
pub enum Given<C> {
    Tick,
    Message { from: Slot, header: Header, entries: Vec<Entry<C>>, chunk: Vec<u8> },
    Submit { requests: Vec<Request<C>> },
    Read,
    Persisted { write: u64 },
    PersistFailed,
    Stored(Snapshot),
    StepDown,
    Reconfigure(Configuration),
    Transfer(Slot),
    Suspect(Slot),
    Admit { life: Life, address: Address, founder: Option<Slot>, replaces: Option<Incarnation> },
    Dismiss(Life),
}

/// A step that was taken again.
#[derive(Clone, Debug)]
pub struct Step<C> {
    /// Its number, from 1.
    pub number: u64,
    /// When it was.
    pub now: Now,
    /// What the replica was given.
    pub given: Given<C>,
    /// Why it refused it, if it did.
    pub refused: Option<Refused>,
    /// What it said.
    pub outputs: Vec<Output>,
    /// What came of it now.
    pub sum: Sum,
    /// What came of it then; none if the node did not come back from the step.
    pub recorded: Option<Sum>,
}

impl<C> Step<C> {
    /// Whether the same came of it as then, as far as that is known.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.recorded.is_none_or(|recorded| recorded == self.sum)
    }
}

/// How a recording ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// After a whole record.
    Whole,
    /// Within a record, as after a kill.
    Cut {
        /// Where that record begins.
        at: u64,
    },
    /// At its limit.
    Full,
}

impl<S: Service, R: Read> Replay<S, R> {
    /// Brings a recorded node's replica back to where its recording began.
    ///
    /// # Errors
    /// [`Error`]: it is no recording of such a node, or is damaged there.
    pub fn open(from: R, state: S) -> Result<Self, Error> {
        let mut reader = Reader::new(from)?;
        let (at, first) = next::<S, _>(&mut reader)?;
        let Record::Head(head) = first else { return Err(damaged(at, "it is no head")) };
        if head.kind != S::KIND {
            return Err(Error::OtherKind { found: head.kind, wanted: S::KIND });
        }
        let recover = |snapshot: Option<(Snapshot, &[u8])>| {
            Replica::recover(head.setup.clone(), state, snapshot).map_err(Error::Recover)
        };
        let (mut at, mut record) = next::<S, _>(&mut reader)?;
        let (mut snapshot, mut writes, mut entries) = (None, 0_u64, 0_u64);
        let mut replica = if let Record::Snapshot(name, bytes) = &record {
            snapshot = Some(*name);
            let replica = recover(Some((*name, bytes)))?;
            (at, record) = next::<S, _>(&mut reader)?;
            replica
        } else {
            recover(None)?
        };
        while let Record::Write(write, with) = &record {
            replica.replay(write, with).map_err(Error::Recover)?;
            writes = writes.saturating_add(1);
            entries = entries.saturating_add(with.len() as u64);
            (at, record) = next::<S, _>(&mut reader)?;
        }
        let recorded = match record {
            Record::Begun(recorded) => recorded,
            Record::Full => return Err(Error::NoBeginning),
            _ => return Err(damaged(at, "it is no beginning")),
        };
        let mut witness = Witness::default();
        let sum = witness.begin(&replica);
        if sum != recorded {
            return Err(Error::OtherReplica);
        }
        let chronicle = Chronicle::default();
        Ok(Self {
            reader,
            head,
            snapshot,
            writes,
            entries,
            replica,
            witness,
            chronicle,
            steps: 0,
            sum,
            end: End::Whole,
        })
    }

    /// Takes the next step, if there is one; [`end`](Replay::end) says how it ends.
    ///
    /// # Errors
    /// [`Error`]: the recording is damaged here.
    #[allow(clippy::should_implement_trait, reason = "it can fail")]
    pub fn next(&mut self) -> Result<Option<Step<S::Command>>, Error> {
        let steps = self.steps;
        let placed = |error| match error {
            Error::Damaged { at, why, .. } => Error::Damaged { at, why, steps },
            error => error,
        };
        let (at, content) = match self.reader.next().map_err(placed)? {
            Found::Content(at, content) => (at, content),
            Found::End => return Ok(None),
            Found::Cut(at) => {
                self.end = End::Cut { at };
                return Ok(None);
            }
        };
        let wrong = |why| Error::Damaged { at, why, steps };
        let (record, rest) = decode::<S>(&content).ok_or(wrong("it has no meaning"))?;
        let (lapse, form) = match record {
            Record::Step(lapse, form) => (lapse, form),
            Record::Full => {
                self.end = End::Full;
                return Ok(None);
            }
            _ => return Err(wrong("it is no step")),
        };
        let recorded = postcard::from_bytes(rest).map_err(|_| wrong("it has no sum"))?;
        let given = given(form);
        let input = self.input(&given).ok_or(wrong("it confirms what was never written"))?;
        let (now, mut outputs) = (self.chronicle.tell(lapse), Vec::new());
        let stepped = self.replica.step(now, input, &mut outputs);
        self.sum = self.witness.see(stepped, &outputs, &self.replica);
        self.steps = self.steps.saturating_add(1);
        let (number, sum, refused) = (self.steps, self.sum, stepped.err());
        Ok(Some(Step { number, now, given, refused, outputs, sum, recorded }))
    }

    fn input<'a>(&mut self, given: &'a Given<S::Command>) -> Option<Input<'a, S::Command>> {
        Some(match given {
            Given::Tick => Input::Tick,
            Given::Message { from, header, entries, chunk } => {
                Input::Message { from: *from, header: *header, entries, chunk }
            }
            Given::Submit { requests } => Input::Submit { requests },
            Given::Read => Input::Read,
            Given::Persisted { write } => Input::Persisted(self.witness.receipt_of(*write)?),
            Given::PersistFailed => Input::PersistFailed,
            Given::Stored(snapshot) => Input::Stored(*snapshot),
            Given::Suspect(slot) => Input::Suspect(*slot),
            Given::StepDown => Input::StepDown,
            Given::Reconfigure(to) => Input::Reconfigure(*to),
            Given::Transfer(to) => Input::Transfer(*to),
            &Given::Admit { life, address, founder, replaces } => {
                Input::Admit { life, address, founder, replaces }
            }
            Given::Dismiss(life) => Input::Dismiss(*life),
        })
    }
}

impl<S: Service, R> Replay<S, R> {
    /// What the node was.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The snapshot that was on its disk.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot
    }

    /// How many writes were in its log, and how many entries in them.
    pub fn log(&self) -> (u64, u64) {
        (self.writes, self.entries)
    }

    /// The replica, as it is after the steps so far.
    pub fn replica(&self) -> &Replica<S> {
        &self.replica
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What came of them.
    pub fn sum(&self) -> Sum {
        self.sum
    }

    /// How the recording ends, once there are no more steps.
    pub fn end(&self) -> End {
        self.end
    }
}

fn damaged(at: u64, why: &'static str) -> Error {
    Error::Damaged { at, why, steps: 0 }
}

/// The next record of what comes before the steps.
fn next<S: Service, R: Read>(
    reader: &mut Reader<R>,
) -> Result<(u64, Record<'static, S::Command>), Error> {
    let Found::Content(at, content) = reader.next()? else { return Err(Error::NoBeginning) };
    let (record, _) = decode::<S>(&content).ok_or(damaged(at, "it has no meaning"))?;
    Ok((at, record))
}

fn decode<S: Service>(content: &[u8]) -> Option<(Record<'static, S::Command>, &[u8])> {
    postcard::take_from_bytes(content).ok()
}

fn given<C: Clone>(form: Form<'_, C>) -> Given<C> {
    match form {
        Form::Tick => Given::Tick,
        Form::Message { from, header, entries, chunk } => Given::Message {
            from,
            header,
            entries: entries.into_owned(),
            chunk: chunk.into_owned(),
        },
        Form::Submit { requests } => Given::Submit { requests: requests.into_owned() },
        Form::Read => Given::Read,
        Form::Persisted(write) => Given::Persisted { write },
        Form::PersistFailed => Given::PersistFailed,
        Form::Stored(snapshot) => Given::Stored(snapshot),
        Form::Suspect(slot) => Given::Suspect(slot),
        Form::StepDown => Given::StepDown,
        Form::Reconfigure(to) => Given::Reconfigure(to),
        Form::Transfer(to) => Given::Transfer(to),
        Form::Admit { life, address, founder, replaces } => {
            Given::Admit { life, address, founder, replaces }
        }
        Form::Dismiss(life) => Given::Dismiss(life),
    }
}
