//! A member of a Byzantine group as a subject: digests instead of payloads, and instead of signatures a
//! book of who has said what, which nobody can write into for another.

use crate::cluster::{Cluster, Disk, Effect, Stimulus, Subject};
use quorate::hlc::Stamp;
use quorate::id::{Digest, Index, Members, Slot, View};
use quorate::pbft::{
    Checkpoint, Config, Input, Message, NewView, Output, Pbft, Phase, Receipt, Stable, Status,
    Value, Verified, ViewChange, Vote, Write,
};
use quorate::time::{Instant, Now};
use quorate::{Event, Machine, Refused};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::rc::Rc;

/// Who has signed what. A liar may sign what it likes, and in no other's name.
#[derive(Clone, Debug, Default)]
pub struct Book {
    votes: Rc<RefCell<BTreeSet<(Slot, Vote)>>>,
    checkpoints: Rc<RefCell<BTreeSet<(Slot, Checkpoint)>>>,
    states: Rc<RefCell<BTreeMap<Checkpoint, Vec<Value>>>>,
}

impl Book {
    /// A member signs a message.
    pub fn sign(&self, by: Slot, message: Message) {
        match message {
            Message::Vote(vote) => drop(self.votes.borrow_mut().insert((by, vote))),
            Message::Checkpoint(it) => drop(self.checkpoints.borrow_mut().insert((by, it))),
            Message::Status(_) => {}
        }
    }

    /// Whether everyone named has signed the checkpoint.
    pub fn bears_out(&self, stable: &Stable) -> bool {
        let book = self.checkpoints.borrow();
        stable.signers.iter().all(|it| book.contains(&(it, stable.checkpoint)))
    }

    /// Whether everyone named in a view change has signed what it says of them.
    pub fn bears_out_all(&self, change: &ViewChange) -> bool {
        let book = self.votes.borrow();
        let mut claims = change.claims.iter();
        claims.all(|it| it.signers.iter().all(|by| book.contains(&(by, it.vote()))))
            && self.bears_out(&change.stable)
    }
}

/// What travels.
#[derive(Clone, PartialEq, Debug)]
pub enum What {
    /// A small message; a proposal may take its payload along.
    Message(Message, bool),
    /// A view change.
    ViewChange(ViewChange),
    /// What a view begins with, from its primary or from whoever kept it.
    NewView(View, Vec<(Slot, ViewChange)>),
    /// The proof of a checkpoint.
    Stable(Stable),
    /// A client's request, and with it its payload.
    Request(Digest),
    /// A payload is asked for.
    Need(Digest),
    /// A payload.
    Payload(Digest),
    /// A state is asked for.
    NeedState(Checkpoint),
    /// A state.
    State(Checkpoint),
}

/// What travels, and who has signed it.
#[derive(Clone, PartialEq, Debug)]
pub struct Packet {
    /// Who has signed it.
    pub by: Slot,
    /// What it is.
    pub what: What,
}

/// What is stored.
#[derive(Clone, Debug)]
pub enum Record {
    /// The machine's own, and what a view began with beside it.
    Write(Write, Option<(View, Vec<(Slot, ViewChange)>)>),
    /// A state, as everything executed so far.
    State(Checkpoint, Vec<Value>),
    /// A payload.
    Payload(Digest),
}

/// What a test asks of a host.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Propose this.
    Propose(Value),
    /// A client's request has come.
    Request(Digest),
    /// The host doubts that a member lives.
    Suspect(Slot),
}

/// How the members of a group are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The first member's configuration; the others' differ by slot and life.
    pub config: Config,
    /// Who has signed what.
    pub book: Book,
    /// Whether a primary proposes the requests that it knows.
    pub proposes: bool,
}

impl Setup {
    /// A group of `count` members at board size, whose primaries propose what they are asked for.
    pub fn of(count: u8) -> Self {
        let members = Members::first(usize::from(count));
        let mut config = Config::lan(Slot::new(0), members, 1);
        (config.slots, config.interval) = (16, 8);
        if count < 4 {
            config.tolerance = quorate::pbft::Tolerance::NoLiar;
        }
        Self { config, book: Book::default(), proposes: true }
    }
}

/// A host with its machine.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The machine.
    pub machine: Pbft,
    book: Book,
    proposes: bool,
    /// Everything executed, from the beginning of the group.
    pub executed: Vec<Value>,
    /// What is decided, executed or not.
    decided: BTreeMap<Index, Value>,
    payloads: BTreeSet<Digest>,
    requests: BTreeSet<Digest>,
    proposed: BTreeSet<Digest>,
    new_view: Option<(View, Vec<(Slot, ViewChange)>)>,
    fetching: Option<Checkpoint>,
    /// Everything that happened inside, in this life.
    pub events: Vec<Event>,
    last: Stamp,
    /// The machine's last write: whatever is stored after it confirms it, too.
    newest: Option<Receipt>,
}

/// Where an execution of these values leads.
pub fn state_of(executed: &[Value]) -> Checkpoint {
    let mut bytes = Vec::new();
    let mut state = 0_u64;
    for value in executed {
        bytes.clear();
        bytes.extend_from_slice(&state.to_le_bytes());
        bytes.extend_from_slice(value.digest.bytes());
        state = quorate::codec::digest(&bytes);
    }
    let mut digest = [7; 32];
    digest[..8].copy_from_slice(&state.to_le_bytes());
    let stamp = executed.iter().map(|it| it.stamp).max().unwrap_or(Stamp::ZERO);
    Checkpoint { index: Index::new(executed.len() as u64), state: Digest::new(digest), stamp }
}

/// The digest that stands for the payload of that number.
pub fn payload(number: u64) -> Digest {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Digest::new(bytes)
}

impl Subject for Peer {
    type Setup = Setup;
    type Ask = Ask;
    type Packet = Packet;
    type Record = Record;
    type Receipt = Option<Receipt>;
    type Told = Output;

    fn boot(setup: &Setup, me: Slot, life: u64, disk: &Disk<Self>) -> Self {
        let config = Config { me, boot: life, ..setup.config.clone() };
        let machine = Pbft::new(config).expect("a sound setup");
        let mut peer = Self {
            machine,
            book: setup.book.clone(),
            proposes: setup.proposes,
            executed: Vec::new(),
            decided: BTreeMap::new(),
            payloads: BTreeSet::new(),
            requests: BTreeSet::new(),
            proposed: BTreeSet::new(),
            new_view: None,
            fetching: None,
            events: Vec::new(),
            last: Stamp::ZERO,
            newest: None,
        };
        for record in &disk.records {
            match record {
                Record::Write(write, new_view) => {
                    peer.machine.replay(write);
                    if new_view.is_some() {
                        peer.new_view.clone_from(new_view);
                    }
                }
                Record::State(_, executed) => peer.executed.clone_from(executed),
                Record::Payload(digest) => drop(peer.payloads.insert(*digest)),
            }
        }
        peer
    }

    fn step(
        &mut self,
        now: Now,
        input: Stimulus<Self>,
        effects: &mut Vec<Effect<Self>>,
    ) -> Result<(), Refused> {
        if self.events.is_empty() && self.machine.deadline() == Some(Instant::ORIGIN) {
            self.wake(now, effects);
        }
        match input {
            Stimulus::Tick => self.tell(now, Input::Tick, effects)?,
            Stimulus::Packet(from, packet) => self.hear(now, from, packet, effects),
            Stimulus::Persisted(Some(receipt)) => {
                self.tell(now, Input::Persisted(receipt), effects)?;
            }
            Stimulus::Persisted(None) | Stimulus::Stored(_) => {}
            Stimulus::PersistFailed => self.tell(now, Input::PersistFailed, effects)?,
            Stimulus::Ask(Ask::Propose(value)) => {
                self.keep_payload(value.digest, effects);
                self.tell(now, Input::Propose(value), effects)?;
            }
            Stimulus::Ask(Ask::Request(digest)) => self.request(now, digest, effects)?,
            Stimulus::Ask(Ask::Suspect(slot)) => self.tell(now, Input::Suspect(slot), effects)?,
        }
        self.work(now, effects);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }

    fn in_words(told: &Output) -> String {
        format!("says {told:?}")
    }
}

impl Peer {
    /// What a former life had written is read again.
    fn wake(&mut self, now: Now, effects: &mut Vec<Effect<Self>>) {
        let _ = self.tell(now, Input::Tick, effects);
        if let Some((view, changes)) = self.new_view.clone() {
            let from = self.machine.primary_of(view);
            let new_view = Verified::attest(from, NewView { view, changes: &changes });
            let _ = self.tell(now, Input::NewView(new_view), effects);
        }
        let interval = self.machine.config().interval as usize;
        if !self.executed.is_empty() && self.executed.len().is_multiple_of(interval) {
            let _ = self.tell(now, Input::Checkpointed(state_of(&self.executed)), effects);
        }
    }

    fn keep_payload(&mut self, digest: Digest, effects: &mut Vec<Effect<Self>>) {
        if self.payloads.insert(digest) {
            let record = Record::Payload(digest);
            effects.push(Effect::Persist { receipt: self.newest, record, rebase: false });
        }
    }

    fn request(
        &mut self,
        now: Now,
        digest: Digest,
        effects: &mut Vec<Effect<Self>>,
    ) -> Result<(), Refused> {
        if self.executed.iter().any(|it| it.digest == digest) {
            return Ok(());
        }
        self.tell(now, Input::Request(digest), effects)?;
        self.keep_payload(digest, effects);
        self.requests.insert(digest);
        Ok(())
    }

    fn hear(&mut self, now: Now, from: Slot, packet: Packet, effects: &mut Vec<Effect<Self>>) {
        let Packet { by, what } = packet;
        let reply = |what| {
            let by = self.machine.config().me;
            Effect::Send(Members::only(from), Packet { by, what })
        };
        match what {
            What::Message(message, has_payload) => {
                if !self.machine.wants(by, &message) {
                    return;
                }
                let mut is_here = false;
                if let Message::Vote(vote) = message {
                    if has_payload {
                        self.keep_payload(vote.value.digest, effects);
                    }
                    is_here = self.payloads.contains(&vote.value.digest);
                }
                let message = Verified::attest(by, message);
                let _ = self.tell(now, Input::Message { message, is_here }, effects);
            }
            What::ViewChange(change) if self.book.bears_out_all(&change) => {
                let change = Verified::attest(by, &change);
                let _ = self.tell(now, Input::ViewChange(change), effects);
            }
            What::NewView(view, changes) if self.bears_out(&changes) => {
                // It is stored with the word that the view was entered, if it is.
                let kept = self.new_view.replace((view, changes.clone()));
                let was = (self.machine.view(), self.machine.is_active());
                let new_view = Verified::attest(by, NewView { view, changes: &changes });
                let _ = self.tell(now, Input::NewView(new_view), effects);
                if was == (self.machine.view(), self.machine.is_active()) {
                    self.new_view = kept;
                }
            }
            What::Stable(stable) if self.book.bears_out(&stable) => {
                let _ = self.tell(now, Input::Stable(stable), effects);
            }
            What::ViewChange(_) | What::NewView(..) | What::Stable(_) => {}
            What::Request(digest) => {
                let _ = self.request(now, digest, effects);
            }
            What::Need(digest) if self.payloads.contains(&digest) => {
                effects.push(reply(What::Payload(digest)));
            }
            What::Payload(digest) => {
                self.keep_payload(digest, effects);
                let _ = self.tell(now, Input::Available(digest), effects);
            }
            What::NeedState(state) if self.book.states.borrow().contains_key(&state) => {
                effects.push(reply(What::State(state)));
            }
            What::State(state) if self.fetching == Some(state) => self.restore(state, effects),
            What::Need(_) | What::NeedState(_) | What::State(_) => {}
        }
    }

    fn bears_out(&self, changes: &[(Slot, ViewChange)]) -> bool {
        changes.iter().all(|(_, change)| self.book.bears_out_all(change))
    }

    fn restore(&mut self, state: Checkpoint, effects: &mut Vec<Effect<Self>>) {
        let known = self.book.states.borrow().get(&state).cloned();
        if let Some(executed) = known {
            self.fetching = None;
            self.executed.clone_from(&executed);
            let record = Record::State(state, executed);
            effects.push(Effect::Persist { receipt: self.newest, record, rebase: false });
        }
    }

    /// Executes what is decided, and proposes what is asked for.
    fn work(&mut self, now: Now, effects: &mut Vec<Effect<Self>>) {
        loop {
            let next = Index::new(self.executed.len() as u64 + 1);
            let Some(value) = self.decided.get(&next).copied() else { break };
            if !value.is_null() && !self.payloads.contains(&value.digest) {
                break;
            }
            // A request that was executed before is executed as nothing.
            let is_new = !self.executed.iter().any(|it| it.digest == value.digest);
            self.executed.push(if is_new {
                value
            } else {
                Value { digest: Digest::NULL, ..value }
            });
            self.requests.remove(&value.digest);
            let _ = self.tell(now, Input::Executed(&[value.digest]), effects);
            if next.number().is_multiple_of(u64::from(self.machine.config().interval)) {
                let state = state_of(&self.executed);
                self.book.states.borrow_mut().insert(state, self.executed.clone());
                let record = Record::State(state, self.executed.clone());
                effects.push(Effect::Persist { receipt: self.newest, record, rebase: false });
                let _ = self.tell(now, Input::Checkpointed(state), effects);
            }
        }
        if self.proposes && self.machine.leads() {
            for digest in self.requests.clone() {
                let wall = now.wall.map_or(Stamp::ZERO, |it| Stamp::at_millis(it.as_millis()));
                let stamp = wall.max(self.last.plus(1));
                let value = Value { digest, stamp };
                if !self.proposed.contains(&digest)
                    && self.tell(now, Input::Propose(value), effects).is_ok()
                {
                    self.last = stamp;
                    self.proposed.insert(digest);
                }
            }
        }
    }

    /// Steps the machine and encodes what it says.
    fn tell(
        &mut self,
        now: Now,
        input: Input<'_>,
        effects: &mut Vec<Effect<Self>>,
    ) -> Result<(), Refused> {
        let mut out = crate::raft::Outputs::with_room(self.machine.max_outputs());
        self.machine.step(now, input, &mut out)?;
        self.events.append(&mut out.events);
        for output in out.outputs {
            self.perform(output, effects);
        }
        Ok(())
    }

    fn perform(&mut self, output: Output, effects: &mut Vec<Effect<Self>>) {
        let by = self.machine.config().me;
        let others = self.machine.config().members.without(by);
        let send = |to, what| Effect::Send(to, Packet { by, what });
        match output {
            Output::Persist { receipt, write } => {
                self.newest = Some(receipt);
                let is_begun = matches!(write, Write::Entered { .. });
                if is_begun && self.machine.primary() == by {
                    let chosen = self.machine.chosen().cloned().collect();
                    self.new_view = Some((self.machine.view(), chosen));
                }
                let beside = self.new_view.clone().filter(|_| is_begun);
                let record = Record::Write(write, beside);
                effects.push(Effect::Persist { receipt: Some(receipt), record, rebase: false });
                return;
            }
            Output::Send { to, message } => {
                self.book.sign(by, message);
                let is_proposal =
                    matches!(message, Message::Vote(Vote { phase: Phase::Prepare, .. }));
                let has_payload = is_proposal && self.machine.primary() == by;
                effects.push(send(to, What::Message(message, has_payload)));
                return;
            }
            Output::SendViewChange { to } => {
                let own = self.machine.view_change().cloned();
                effects.extend(own.map(|own| send(to, What::ViewChange(own))));
            }
            Output::SendNewView { to } => {
                if let Some((view, changes)) = self.new_view.clone() {
                    let by = self.machine.primary_of(view);
                    let what = What::NewView(view, changes);
                    effects.push(Effect::Send(to, Packet { by, what }));
                }
            }
            Output::SendStable { to, stable } => effects.push(send(to, What::Stable(stable))),
            Output::Forward { request, to } => {
                effects.push(send(Members::only(to), What::Request(request)));
            }
            Output::Want { value, .. } => {
                if self.payloads.contains(&value.digest) {
                    // Told in the next step of this host.
                    effects.push(send(Members::only(by), What::Payload(value.digest)));
                } else {
                    effects.push(send(others, What::Need(value.digest)));
                }
            }
            Output::Committed { index, value } => {
                self.decided.insert(index, value);
                if !value.is_null() && !self.payloads.contains(&value.digest) {
                    effects.push(send(others, What::Need(value.digest)));
                }
            }
            Output::Fetch(Stable { checkpoint, .. })
            | Output::Diverged { theirs: checkpoint, .. } => {
                self.fetching = Some(checkpoint);
                effects.push(send(others, What::NeedState(checkpoint)));
            }
            Output::Entered { .. } => self.proposed.clear(),
            Output::Stable(_) | Output::Left { .. } | Output::Accuse(_) => {}
        }
        effects.push(Effect::Tell(output));
    }
}

/// A vote in few words.
struct InWords<'a>(&'a Vote);

impl Display for InWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Vote { phase, view, index, value } = self.0;
        let said = match phase {
            Phase::Prepare => "accepts",
            Phase::Commit => "is sure of",
        };
        write!(f, "v{view} {said} {:?} at {index}", value.digest)
    }
}

impl Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Message(Message::Vote(vote), _) => write!(f, "{}", InWords(vote)),
            What::Message(Message::Checkpoint(it), _) => {
                write!(f, "state {:?} at {}", it.state, it.index)
            }
            What::Message(Message::Status(it), _) => {
                let Status { view, is_active, stable, committed, .. } = it;
                let how = if *is_active { "in" } else { "waits for" };
                write!(f, "{how} v{view}, committed {committed}, stable {stable}")
            }
            What::ViewChange(it) => write!(f, "leaves for v{}, claims {:?}", it.view, it.claims),
            What::NewView(view, changes) => {
                let who: Members = changes.iter().map(|it| it.0).collect();
                write!(f, "v{view} begins by {who:?}")
            }
            What::Stable(it) => write!(f, "stable {} by {:?}", it.checkpoint.index, it.signers),
            What::Request(it) => write!(f, "request {it:?}"),
            What::Need(it) => write!(f, "who has payload {it:?}?"),
            What::Payload(it) => write!(f, "payload {it:?}"),
            What::NeedState(it) => write!(f, "who has the state at {}?", it.index),
            What::State(it) => write!(f, "the state at {}", it.index),
        }
    }
}

impl Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(write, _) => write!(f, "{write:?}"),
            Self::State(it, _) => write!(f, "state at {}", it.index),
            Self::Payload(it) => write!(f, "payload {it:?}"),
        }
    }
}

/// A group in one process.
pub type Group = Cluster<Peer>;

impl Group {
    /// A member that lies says something, in its own name.
    pub fn lie(&mut self, by: u8, to: Members, what: What) {
        let by = Slot::new(by);
        if let What::Message(message, _) = what {
            self.setup.book.sign(by, message);
        }
        self.perform(by, Effect::Send(to, Packet { by, what }));
    }

    /// What a member has executed, without what was nothing.
    pub fn executed(&self, slot: u8) -> Vec<Digest> {
        let executed = self.machine(slot).executed.iter().map(|it| it.digest);
        executed.filter(|it| *it != Digest::NULL).collect()
    }
}
