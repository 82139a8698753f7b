//! A member of a Byzantine group by itself: the test is everybody else, and its disk.

use crate::council::*;
use quorate_sim::raft::Outputs;

/// One member by itself: a test is everybody else, and its disk.
#[derive(Clone)]
pub(crate) struct Alone {
    pub(crate) machine: Pbft,
    pub(crate) said: Vec<Output>,
    pub(crate) events: Vec<Event>,
    /// All that it has written, durable or not.
    pub(crate) written: Vec<Write>,
    /// Whether writes are durable as soon as they are made.
    pub(crate) disk_is_fast: bool,
    now: Instant,
}

/// The day on which it lives, in milliseconds.
pub(crate) const TODAY: u64 = 1_790_000_000_000;

impl Alone {
    /// A member of `count`, in its first life.
    pub(crate) fn new(count: u8, me: u8) -> Self {
        let config = Setup::of(count).config;
        Self::of(Config { me: Slot::new(me), ..config })
    }

    pub(crate) fn of(config: Config) -> Self {
        Self {
            machine: Pbft::new(config).expect("a sound configuration"),
            said: Vec::new(),
            events: Vec::new(),
            written: Vec::new(),
            disk_is_fast: true,
            now: Instant::from_micros(1_000),
        }
    }

    /// Its next life, with so many of its writes on disk.
    pub(crate) fn reborn(&self, durable: usize) -> Self {
        let config = self.machine.config().clone();
        let mut next =
            Self { now: self.now, ..Self::of(Config { boot: config.boot + 1, ..config }) };
        self.written[..durable].iter().for_each(|write| next.machine.replay(write));
        next.written = self.written[..durable].to_vec();
        next
    }

    pub(crate) fn tell(&mut self, input: Input<'_>) -> Result<(), Refused> {
        let wall = Wall::from_micros(TODAY * 1_000 + self.now.as_micros());
        let mut out = Outputs::with_room(self.machine.max_outputs());
        self.machine.step(Now::both(self.now, wall), input, &mut out)?;
        self.events.append(&mut out.events);
        let mut newest = None;
        for output in &out.outputs {
            if let Output::Persist { receipt, write } = output {
                self.written.push(*write);
                newest = Some(*receipt);
            }
        }
        self.said.append(&mut out.outputs);
        match newest.filter(|_| self.disk_is_fast) {
            Some(receipt) => self.tell(Input::Persisted(receipt)),
            None => Ok(()),
        }
    }

    /// A message comes in; its payload, if it speaks of one, is here.
    pub(crate) fn hears(&mut self, from: u8, message: Message) {
        let message = Verified::attest(Slot::new(from), message);
        let _ = self.tell(Input::Message { message, is_here: true });
    }

    /// A vote of each of these comes in.
    pub(crate) fn votes(
        &mut self,
        from: impl IntoIterator<Item = u8>,
        phase: Phase,
        view: u64,
        index: u64,
        value: Value,
    ) {
        let (view, index) = (View::new(view), Index::new(index));
        for from in from {
            self.hears(from, Message::Vote(Vote { phase, view, index, value }));
        }
    }

    /// All its writes are durable.
    pub(crate) fn persisted(&mut self) {
        let receipt = self.said.iter().rev().find_map(|it| match it {
            Output::Persist { receipt, .. } => Some(*receipt),
            _ => None,
        });
        if let Some(receipt) = receipt {
            let _ = self.tell(Input::Persisted(receipt));
        }
    }

    /// Time passes, and it is ticked when it wants to be.
    pub(crate) fn pass(&mut self, span: Span) {
        let end = self.now.after(span);
        while let Some(at) = self.machine.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let _ = self.tell(Input::Tick);
        }
        self.now = end;
    }

    /// The votes that it has sent, in order.
    pub(crate) fn voted(&self) -> Vec<Vote> {
        let vote = |it: &Output| match it {
            Output::Send { message: Message::Vote(vote), .. } => Some(*vote),
            _ => None,
        };
        self.said.iter().filter_map(vote).collect()
    }

    /// What it has decided, in order.
    pub(crate) fn decided(&self) -> Vec<(u64, Value)> {
        let decided = |it: &Output| match it {
            Output::Committed { index, value } => Some((index.number(), *value)),
            _ => None,
        };
        self.said.iter().filter_map(decided).collect()
    }

    /// Why it has ignored something last.
    pub(crate) fn ignored(&self) -> Option<Ignored> {
        self.events.iter().rev().find_map(|it| match it {
            Event::Ignored { why, .. } => Some(*why),
            _ => None,
        })
    }

    /// What it accuses whom of.
    pub(crate) fn evidence(&self) -> Vec<Evidence> {
        let evidence = |it: &Output| match it {
            Output::Accuse(evidence) => Some(*evidence),
            _ => None,
        };
        self.said.iter().filter_map(evidence).collect()
    }

    /// The value of that number, stamped as it believes the time to be.
    pub(crate) fn value(&self, number: u64) -> Value {
        let millis = TODAY + self.now.as_micros() / 1_000;
        Value { digest: payload(number), stamp: Stamp::at_millis(millis).plus(number) }
    }
}
