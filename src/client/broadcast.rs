//! A client of a Byzantine group: it asks all members, and believes what `f + 1` of them say alike, for
//! one of those is correct.
//!
//! An answer is bound to the position at which it was executed, so answers of different positions are
//! never counted together. A command takes effect once, in however many attempts it was asked for; a
//! read is ordered like a command. A *stale* read asks for the state as it is: `f + 1` equal answers say
//! that it was the group's state at that position, and not that it is the newest (a quorum of equal
//! answers would not make it so without stopping ordered work: Berger, Reiser and Bessani, *Making reads
//! in BFT state machine replication fast, linearizable, and live*, SRDS 2021).
//!
//! **State** the request under way, with the newest answer of each member. **Inputs** [`Input`].
//! **Outputs** [`Output`]. **Invariants** one request at a time, numbered upwards; each ends in exactly
//! one [`Outcome`]; each member has one answer, its newest.

use crate::bounded::List;
use crate::event::{Event, Ignored};
use crate::id::{Members, Slot};
use crate::limits::{Limit, MOST};
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::quorum;
use crate::state_machine::Position;
use crate::time::{Instant, Now, Span};

/// How a client is set up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// The members of the group.
    pub members: Members,
    /// Above the number of every request that this client has made before, in any life.
    pub first: u64,
    /// How long until all are asked again; longer than a request takes.
    pub resend: Span,
    /// How long a request may take in all; longer than a few changes of view take.
    pub give_up: Span,
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// It changes the state, once.
    Command,
    /// It reads the state at a place in the order: linearizable.
    Read,
    /// It reads the state as it is, without order.
    StaleRead,
}

/// A member's answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Answer<R> {
    /// Where it was executed; of a stale read, up to where the state had got.
    pub at: Position,
    /// The answer.
    pub answer: R,
}

/// What a host tells a client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Input<W, R> {
    /// The deadline has passed (early and late ticks do no harm).
    Tick,
    /// Take this to the group: refused while another request is under way.
    Ask {
        /// What the host encodes and signs, whenever it is to be sent: [`Client::work`].
        work: W,
        /// What it is for.
        kind: Kind,
    },
    /// An answer came in, and its signature is the member's.
    Reply {
        /// Who sent it.
        from: Slot,
        /// The request that it answers.
        sequence: u64,
        /// What it says.
        answer: Answer<R>,
    },
}

/// What a host must do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Output<R> {
    /// Sign [`Client::work`] under this number, and send it to each of them; losing it does no harm.
    Send {
        /// The receivers: those that have not answered.
        to: Members,
        /// The request's number.
        sequence: u64,
        /// What it is for.
        kind: Kind,
    },
    /// The request is over.
    Done(Outcome<R>),
}

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome<R> {
    /// A correct member says so.
    Done(Answer<R>),
    /// Nobody can be believed in time. A command may have taken effect, or may yet, once.
    Unknown,
}

/// The request under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Request<W, R> {
    work: W,
    kind: Kind,
    send_at: Instant,
    give_up_at: Instant,
    answers: List<(Slot, Answer<R>), { MOST.members }>,
}

/// A client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Client<W, R> {
    config: Config,
    now: Instant,
    sequence: u64,
    request: Option<Request<W, R>>,
}

impl<W, R> Client<W, R> {
    /// A client that has not asked for anything in this life.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { now: Instant::ORIGIN, sequence: config.first, request: None, config }
    }

    /// What the request under way is about, if one is.
    #[must_use]
    pub fn work(&self) -> Option<&W> {
        self.request.as_ref().map(|request| &request.work)
    }
}

impl<W: 'static, R: Clone + Eq + 'static> Machine for Client<W, R> {
    type Input<'a> = Input<W, R>;
    type Output = Output<R>;

    fn step<X: Outbox<Output<R>> + ?Sized>(
        &mut self,
        now: Now,
        input: Input<W, R>,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, self.max_outputs())?;
        if matches!(input, Input::Ask { .. }) && self.request.is_some() {
            return Err(Refused::Full(Limit::Requests));
        }
        self.now = self.now.max(now.mono);
        match input {
            Input::Tick => {}
            Input::Ask { work, kind } => self.begin(work, kind),
            Input::Reply { from, sequence, answer } => {
                if let Err(why) = self.hear(from, sequence, answer) {
                    out.event(Event::Ignored { from, why });
                }
            }
        }
        self.settle(out);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.request.as_ref().map(|it| it.send_at.min(it.give_up_at))
    }

    fn max_outputs(&self) -> usize {
        1
    }
}

impl<W, R: Clone + Eq> Client<W, R> {
    fn begin(&mut self, work: W, kind: Kind) {
        self.sequence = self.sequence.saturating_add(1);
        let give_up_at = self.now.after(self.config.give_up);
        let (send_at, answers) = (self.now, List::new());
        self.request = Some(Request { work, kind, send_at, give_up_at, answers });
    }

    /// Takes an answer in: a member's newest takes the place of its last.
    fn hear(&mut self, from: Slot, sequence: u64, answer: Answer<R>) -> Result<(), Ignored> {
        if !self.config.members.contains(from) {
            return Err(Ignored::Stranger);
        }
        let request = self.request.as_mut().filter(|_| sequence == self.sequence);
        let answers = &mut request.ok_or(Ignored::Stale)?.answers;
        match answers.iter_mut().find(|it| it.0 == from) {
            Some(known) => known.1 = answer,
            None => answers.push((from, answer)).map_err(|_| Ignored::NoRoom)?,
        }
        Ok(())
    }

    /// What so many say alike that one of them is correct.
    fn believed(&self) -> Option<&Answer<R>> {
        let answers = &self.request.as_ref()?.answers;
        let needed = quorum::liars(self.config.members.len()).saturating_add(1);
        let alike = |it: &Answer<R>| answers.iter().filter(|other| other.1 == *it).count();
        answers.iter().map(|it| &it.1).find(|it| alike(it) >= needed)
    }

    fn settle<X: Outbox<Output<R>> + ?Sized>(&mut self, out: &mut X) {
        let outcome = self.believed().cloned().map(Outcome::Done);
        let Some(request) = &mut self.request else { return };
        let is_late = self.now >= request.give_up_at;
        let outcome = outcome.or(is_late.then_some(Outcome::Unknown));
        if let Some(outcome) = outcome {
            self.request = None;
            out.push(Output::Done(outcome));
        } else if self.now >= request.send_at {
            request.send_at = self.now.after(self.config.resend);
            let (to, sequence, kind) = (self.config.members, self.sequence, request.kind);
            out.push(Output::Send { to, sequence, kind });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hlc::Stamp;
    use crate::id::{EntryId, Index, Term};
    use std::vec::Vec;

    type Broadcast = Client<(), u64>;

    fn asked(count: usize) -> Broadcast {
        let config = Config {
            members: Members::first(count),
            first: 0,
            resend: Span::millis(500),
            give_up: Span::secs(5),
        };
        let mut client = Client::new(config);
        let said = step(&mut client, 0, Input::Ask { work: (), kind: Kind::Command });
        let to = Members::first(count);
        assert_eq!(said, [Output::Send { to, sequence: 1, kind: Kind::Command }]);
        client
    }

    fn step(client: &mut Broadcast, at: u64, input: Input<(), u64>) -> Vec<Output<u64>> {
        let mut out: List<Output<u64>, 1> = List::new();
        client.step(Now::mono(at), input, &mut out).unwrap();
        out.to_vec()
    }

    fn reply(client: &mut Broadcast, from: u8, at: u64, answer: u64) -> Vec<Output<u64>> {
        let entry = EntryId::new(Term::ZERO, Index::new(at));
        let answer = Answer { at: Position { entry, stamp: Stamp::ZERO }, answer };
        step(client, 1, Input::Reply { from: Slot::new(from), sequence: 1, answer })
    }

    #[test]
    fn what_one_member_says_is_not_believed_however_often() {
        let mut client = asked(4);
        for _ in 0..5 {
            assert_eq!(reply(&mut client, 1, 7, 1), []);
        }
        assert_eq!(reply(&mut client, 2, 7, 1).len(), 1);
        assert_eq!(client.work(), None);
    }

    #[test]
    fn equal_answers_of_different_positions_are_not_counted_together() {
        let mut client = asked(4);
        assert_eq!(reply(&mut client, 1, 7, 1), []);
        assert_eq!(reply(&mut client, 2, 8, 1), []);
        assert_eq!(reply(&mut client, 3, 7, 2), []);
        assert!(
            matches!(&reply(&mut client, 0, 7, 1)[..], [Output::Done(Outcome::Done(it))] if it.answer == 1)
        );
    }

    #[test]
    fn answers_of_strangers_and_to_other_requests_change_nothing() {
        let mut client = asked(4);
        let before = client.clone();
        assert_eq!(reply(&mut client, 9, 7, 1), []);
        let entry = EntryId::ZERO;
        let answer = Answer { at: Position { entry, stamp: Stamp::ZERO }, answer: 1 };
        step(&mut client, 1, Input::Reply { from: Slot::new(1), sequence: 2, answer });
        assert_eq!(client.request, before.request);
    }

    #[test]
    fn it_asks_again_and_in_the_end_says_that_nobody_knows() {
        let mut client = asked(4);
        assert_eq!(step(&mut client, 499_999, Input::Tick), []);
        assert_eq!(step(&mut client, 500_000, Input::Tick).len(), 1);
        assert_eq!(step(&mut client, 5_000_000, Input::Tick), [Output::Done(Outcome::Unknown)]);
        assert_eq!(client.deadline(), None);
    }
}
