//! A member of a Byzantine group as a subject: digests instead of payloads, and instead of signatures a
//! book of who has said what, which nobody can write into for another.

use crate::cluster::{Cluster, Disk, Effect, Stimulus, Subject};
use quorate::hlc::Stamp;
use quorate::id::{Digest, GroupId, Index, Members, Slot, View};
use quorate::pbft::{
    Checkpoint, Config, Input, Message, NewView, Output, Pbft, Phase, Receipt, Scope, Stable,
    Statement, Status, Value, Verified, ViewChange, Vote, Write,
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
    /// Digests of the signed bytes of all other statements.
    others: Rc<RefCell<BTreeSet<u64>>>,
    /// What clients have signed, if only that is to be ordered.
    asked: Rc<RefCell<Option<BTreeSet<Digest>>>>,
}

/// Bytes that grow.
struct Bytes(Vec<u8>);

impl quorate::codec::Sink for Bytes {
    fn put(&mut self, bytes: &[u8]) -> Result<(), quorate::codec::NoRoom> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn signed_bytes(by: Slot, statement: &Statement<'_>) -> u64 {
    let (group, configuration) = (GroupId::new(1), Digest::NULL);
    let scope = Scope { group, configuration, epoch: 0, attempt: 0 };
    let mut bytes = Bytes(Vec::new());
    statement.signed_bytes(&scope, by, &mut bytes).expect("it grows");
    quorate::codec::digest(&bytes.0)
}

fn new_view_bytes(by: Slot, view: View, changes: &[(Slot, ViewChange)]) -> u64 {
    let digest = |it: &(Slot, ViewChange)| {
        let mut digest = [0; 32];
        let bytes = signed_bytes(it.0, &Statement::ViewChange(&it.1));
        digest[..8].copy_from_slice(&bytes.to_le_bytes());
        (it.0, Digest::new(digest))
    };
    let changes: Vec<_> = changes.iter().map(digest).collect();
    signed_bytes(by, &Statement::NewView { view, changes: &changes })
}

impl Book {
    /// A member signs a message.
    pub fn sign(&self, by: Slot, message: Message) {
        match message {
            Message::Vote(vote) => drop(self.votes.borrow_mut().insert((by, vote))),
            Message::Checkpoint(it) => drop(self.checkpoints.borrow_mut().insert((by, it))),
            Message::Status(_) => {
                self.others.borrow_mut().insert(signed_bytes(by, &message.into()));
            }
        }
    }

    /// A member signs whatever of this is signed at all.
    pub fn sign_what(&self, by: Slot, what: &What) {
        let bytes = match what {
            What::Message(message, _) => return self.sign(by, *message),
            What::ViewChange(change) => signed_bytes(by, &Statement::ViewChange(change)),
            What::NewView(view, changes) => new_view_bytes(by, *view, changes),
            _ => return,
        };
        self.others.borrow_mut().insert(bytes);
    }

    /// Whether a member has signed this, and everyone whom it names what it says of them.
    pub fn bears_out_what(&self, by: Slot, what: &What) -> bool {
        let has = |bytes| self.others.borrow().contains(&bytes);
        let is_left = |by, change: &ViewChange| {
            has(signed_bytes(by, &Statement::ViewChange(change))) && self.bears_out_all(change)
        };
        match what {
            What::Message(Message::Vote(vote), _) => self.votes.borrow().contains(&(by, *vote)),
            What::Message(Message::Checkpoint(it), _) => {
                self.checkpoints.borrow().contains(&(by, *it))
            }
            What::Message(message, _) => has(signed_bytes(by, &(*message).into())),
            What::ViewChange(change) => is_left(by, change),
            What::NewView(view, changes) => {
                has(new_view_bytes(by, *view, changes))
                    && changes.iter().all(|(by, change)| is_left(*by, change))
            }
            What::Stable(stable) => self.bears_out(stable),
            _ => true,
        }
    }

    /// Whether a member has given a vote.
    pub fn has_vote(&self, by: Slot, vote: Vote) -> bool {
        self.votes.borrow().contains(&(by, vote))
    }

    /// From now on only what clients sign is a payload.
    pub fn is_strict(&self) {
        self.asked.borrow_mut().get_or_insert_default();
    }

    /// A client signs a request.
    pub fn ask(&self, request: Digest) {
        self.asked.borrow_mut().get_or_insert_default().insert(request);
    }

    /// Whether a client has asked for this, as far as that matters.
    pub fn is_asked(&self, request: Digest) -> bool {
        self.asked.borrow().as_ref().is_none_or(|all| all.contains(&request))
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
    /// The payload that was asked for last.
    wanting: Option<Digest>,
    /// How many records were handed to the disk, and the newest of them that the machine knows of.
    kept: Kept,
    /// States on their way to the disk.
    unkept: Vec<(u64, Checkpoint)>,
    /// Everything that happened inside, in this life.
    pub events: Vec<Event>,
    last: Stamp,
}

/// Confirms a record, and all before it.
#[derive(Clone, Copy, Default, Debug)]
pub struct Kept {
    number: u64,
    write: Option<Receipt>,
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

/// Which request a payload is: whatever a client says under one number of its own is one request, of which
/// the highest byte tells the variants apart.
pub fn request_of(payload: Digest) -> u64 {
    let [a, b, c, d, e, f, g, ..] = *payload.bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, 0])
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
    type Receipt = Kept;
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
            wanting: None,
            kept: Kept::default(),
            unkept: Vec::new(),
            events: Vec::new(),
            last: Stamp::ZERO,
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
            Stimulus::Tick => {
                self.ask_again(effects);
                self.tell(now, Input::Tick, effects)?;
            }
            Stimulus::Packet(from, packet) => self.hear(now, from, packet, effects),
            Stimulus::Persisted(kept) => self.persisted(now, kept, effects)?,
            Stimulus::Stored(_) => {}
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
        let stable = self.machine.stable().checkpoint;
        if (self.executed.len() as u64) < stable.index.number() {
            // The former life was told to fetch it, and did not live to see it.
            self.fetching = Some(stable);
            self.ask_again(effects);
        }
    }

    fn others(&self) -> Members {
        let config = self.machine.config();
        config.members.without(config.me)
    }

    /// Asks again for what is lacked, for the answer may be lost.
    fn ask_again(&mut self, effects: &mut Vec<Effect<Self>>) {
        let by = self.machine.config().me;
        let state = self.fetching.map(What::NeedState);
        let next = Index::new(self.executed.len() as u64 + 1);
        let decided = self.decided.get(&next).map(|it| it.digest);
        self.wanting = self.wanting.filter(|it| !self.payloads.contains(it));
        let lacked = [self.wanting, decided.filter(|it| !self.payloads.contains(it))];
        let payloads = lacked.into_iter().flatten().filter(|it| *it != Digest::NULL);
        for what in state.into_iter().chain(payloads.map(What::Need)) {
            effects.push(Effect::Send(self.others(), Packet { by, what }));
        }
    }

    /// Hands a record to the disk.
    fn keep(&mut self, record: Record, write: Option<Receipt>, effects: &mut Vec<Effect<Self>>) {
        self.kept = Kept { number: self.kept.number + 1, write: write.or(self.kept.write) };
        if let Record::State(state, _) = &record {
            self.unkept.push((self.kept.number, *state));
        }
        effects.push(Effect::Persist { receipt: self.kept, record, rebase: false });
    }

    /// So much is durable; a state counts from then on.
    fn persisted(
        &mut self,
        now: Now,
        kept: Kept,
        effects: &mut Vec<Effect<Self>>,
    ) -> Result<(), Refused> {
        if let Some(receipt) = kept.write {
            self.tell(now, Input::Persisted(receipt), effects)?;
        }
        let (kept, unkept) =
            self.unkept.iter().partition::<Vec<_>, _>(|(number, _)| *number <= kept.number);
        self.unkept = unkept;
        for (_, state) in kept {
            // One that was found to be wrong was replaced meanwhile.
            if self.has_state(state) {
                self.tell(now, Input::Checkpointed(state), effects)?;
            }
        }
        Ok(())
    }

    fn has_state(&self, state: Checkpoint) -> bool {
        let executed = usize::try_from(state.index.number()).unwrap_or(usize::MAX);
        self.executed.get(..executed).is_some_and(|executed| state_of(executed) == state)
    }

    /// Everything that is on the disk, in a form that takes the place of all of it.
    pub fn image(&self) -> Vec<Record> {
        let mut records: Vec<_> = self.payloads.iter().copied().map(Record::Payload).collect();
        let interval = self.machine.config().interval as usize;
        let whole = self.executed.len() - self.executed.len() % interval;
        if let Some(executed) = self.executed.get(..whole).filter(|it| !it.is_empty()) {
            records.push(Record::State(state_of(executed), executed.to_vec()));
        }
        for write in self.machine.image() {
            let is_begun = matches!(write, Write::Entered { .. });
            records.push(Record::Write(write, self.new_view.clone().filter(|_| is_begun)));
        }
        records
    }

    /// What the newest view began with, as far as this member keeps it.
    pub fn began_with(&self) -> Option<&(View, Vec<(Slot, ViewChange)>)> {
        self.new_view.as_ref()
    }

    fn keep_payload(&mut self, digest: Digest, effects: &mut Vec<Effect<Self>>) {
        if self.book.is_asked(digest) && self.payloads.insert(digest) {
            self.keep(Record::Payload(digest), None, effects);
        }
    }

    fn request(
        &mut self,
        now: Now,
        digest: Digest,
        effects: &mut Vec<Effect<Self>>,
    ) -> Result<(), Refused> {
        if !self.book.is_asked(digest) || self.has_executed(digest) {
            return Ok(());
        }
        self.tell(now, Input::Request(digest), effects)?;
        self.keep_payload(digest, effects);
        self.requests.insert(digest);
        Ok(())
    }

    fn has_executed(&self, digest: Digest) -> bool {
        let is_it = |it: &&Value| it.digest != Digest::NULL;
        self.executed.iter().filter(is_it).any(|it| request_of(it.digest) == request_of(digest))
    }

    /// These were executed, and so were all other variants of them.
    fn forget(&mut self, now: Now, executed: &[Value], effects: &mut Vec<Effect<Self>>) {
        let executed: BTreeSet<_> = executed.iter().map(|it| request_of(it.digest)).collect();
        let is_done = |it: &Digest| executed.contains(&request_of(*it));
        let done: Vec<_> = self.requests.iter().copied().filter(is_done).collect();
        self.requests.retain(|it| !is_done(it));
        if !done.is_empty() {
            let _ = self.tell(now, Input::Executed(&done), effects);
        }
    }

    fn hear(&mut self, now: Now, from: Slot, packet: Packet, effects: &mut Vec<Effect<Self>>) {
        let Packet { by, what } = packet;
        if let What::Message(message, _) = &what {
            // The cheaper question first.
            if !self.machine.wants(by, message) {
                return;
            }
        }
        if !self.book.bears_out_what(by, &what) {
            return;
        }
        let reply = |what| {
            let by = self.machine.config().me;
            Effect::Send(Members::only(from), Packet { by, what })
        };
        match what {
            What::Message(message, has_payload) => {
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
            What::ViewChange(change) => {
                let change = Verified::attest(by, &change);
                let _ = self.tell(now, Input::ViewChange(change), effects);
            }
            What::NewView(view, changes) => {
                // It is stored with the word that the view was entered, if it is.
                let kept = self.new_view.replace((view, changes.clone()));
                let was = (self.machine.view(), self.machine.is_active());
                let new_view = Verified::attest(by, NewView { view, changes: &changes });
                let _ = self.tell(now, Input::NewView(new_view), effects);
                if was == (self.machine.view(), self.machine.is_active()) {
                    self.new_view = kept;
                }
            }
            What::Stable(stable) => {
                let _ = self.tell(now, Input::Stable(stable), effects);
            }
            What::Request(digest) => {
                let _ = self.request(now, digest, effects);
            }
            What::Need(digest) if self.payloads.contains(&digest) => {
                effects.push(reply(What::Payload(digest)));
            }
            What::Payload(digest) if self.book.is_asked(digest) => {
                self.keep_payload(digest, effects);
                let _ = self.tell(now, Input::Available(digest), effects);
            }
            What::NeedState(state) if self.has_state(state) => {
                effects.push(reply(What::State(state)));
            }
            What::State(state) if self.fetching == Some(state) => {
                self.restore(now, state, effects);
            }
            What::Need(_) | What::Payload(_) | What::NeedState(_) | What::State(_) => {}
        }
    }

    fn restore(&mut self, now: Now, state: Checkpoint, effects: &mut Vec<Effect<Self>>) {
        let known = self.book.states.borrow().get(&state).cloned();
        if let Some(executed) = known {
            self.fetching = None;
            self.executed.clone_from(&executed);
            self.forget(now, &executed, effects);
            self.keep(Record::State(state, executed), None, effects);
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
            let is_new = !self.has_executed(value.digest);
            self.executed.push(if is_new {
                value
            } else {
                Value { digest: Digest::NULL, ..value }
            });
            self.forget(now, &[value], effects);
            if next.number().is_multiple_of(u64::from(self.machine.config().interval)) {
                let state = state_of(&self.executed);
                self.book.states.borrow_mut().insert(state, self.executed.clone());
                self.keep(Record::State(state, self.executed.clone()), None, effects);
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
        let others = self.others();
        let send = |to, what| Effect::Send(to, Packet { by, what });
        match output {
            Output::Persist { receipt, write } => {
                let is_begun = matches!(write, Write::Entered { .. });
                if is_begun && self.machine.primary() == by {
                    let chosen = self.machine.chosen().cloned().collect();
                    self.new_view = Some((self.machine.view(), chosen));
                }
                let beside = self.new_view.clone().filter(|_| is_begun);
                self.keep(Record::Write(write, beside), Some(receipt), effects);
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
                if let Some(own) = self.machine.view_change().cloned() {
                    let what = What::ViewChange(own);
                    self.book.sign_what(by, &what);
                    effects.push(send(to, what));
                }
            }
            Output::SendNewView { to } => {
                if let Some((view, changes)) = self.new_view.clone() {
                    let (me, by) = (by, self.machine.primary_of(view));
                    let what = What::NewView(view, changes);
                    if me == by {
                        self.book.sign_what(by, &what);
                    }
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
                    self.wanting = Some(value.digest);
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
        self.setup.book.sign_what(by, &what);
        self.perform(by, Effect::Send(to, Packet { by, what }));
    }

    /// What a member has executed, without what was nothing.
    pub fn executed(&self, slot: u8) -> Vec<Digest> {
        let executed = self.machine(slot).executed.iter().map(|it| it.digest);
        executed.filter(|it| *it != Digest::NULL).collect()
    }
}
