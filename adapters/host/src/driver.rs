//! What every host does with a replica, whatever its runtime: feed it, encode what it says before
//! the next step, and give each client exactly one reply.
//!
//! The runtime supplies [`Io`], which takes encoded things and performs them whenever it likes.

use crate::book::{self, Book};
use crate::config::Config;
use crate::frame::{self, Kind};
use crate::protocol::{
    Ask, Member, MemberMessage, Outgoing, Reply, ReplyBody, Request, Service, Status, session_of,
};
use crate::recording::Recorder;
use crate::store::{self, Done, Task};
use quorate::id::{ClientId, GroupId, Incarnation, Index, Members, NodeId, Slot};
use quorate::membership::Address;
use quorate::membership::roster::Life;
use quorate::raft::{Read, Write};
use quorate::replica::{self, Body, Entry, Input, Outcome, Output, Replica};
use quorate::time::{Instant, Now};
use quorate::{Machine, Refused};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Reads that may wait for a leader to be confirmed; more are refused, to be asked again.
const READS: usize = 65_536;

/// What can happen to a node.
#[derive(Debug)]
pub enum Event<S: Service> {
    /// The deadline has passed.
    Tick,
    /// A member's message came in.
    Member(Slot, MemberMessage<S::Command>),
    /// A member has said who it is, and where.
    Introduced(Slot, Life, Address),
    /// A client's request came in on a connection.
    Request(u64, Request<S::Command, S::Query>),
    /// The disk has done something.
    Disk(Done),
    /// The disk has failed.
    DiskFailed,
    /// The node is to leave: another should lead, if it leads.
    HandOver,
}

/// What a runtime performs. Nothing here may block for long.
pub trait Io {
    /// Sends a frame to a member; it may be lost.
    fn send(&mut self, to: Slot, frame: &Arc<[u8]>);
    /// Sends a frame to a client, if it is still there.
    fn reply(&mut self, connection: u64, frame: Vec<u8>);
    /// Hands a task to the disk. Tasks stay in order.
    fn disk(&mut self, task: Task);
    /// Hears that this node leads, or who does.
    fn leader(&mut self, node: Option<NodeId>);
    /// Hears that members have come, moved or gone: connects to them, and to nobody else.
    fn members(&mut self, book: &Book);
}

/// A client that waits for an entry to be applied.
#[derive(Debug)]
struct Waiter {
    index: Index,
    connection: u64,
    number: u64,
    waits_for: WaitsFor,
}

/// What a client that waits asked for.
#[derive(Debug)]
enum WaitsFor {
    /// A request of a session, by its number.
    Session(ClientId, u64),
    Join(Life),
    Leave(Life),
}

/// A replica with the clients that wait for it.
#[derive(Debug)]
pub struct Driver<S: Service> {
    replica: Replica<S>,
    group: GroupId,
    book: Book,
    /// What members have said of themselves, until the roster says it too.
    introduced: BTreeMap<Slot, (Life, Address)>,
    /// Where the last of these stands in the log.
    introducing: Index,
    /// The last entry that was handed to the disk.
    written: Index,
    outbox: Vec<Output>,
    /// Requests that wait to be submitted together.
    batch: Vec<replica::Request<S::Command>>,
    batch_from: Vec<(u64, u64)>,
    /// Who waits for an entry, in the order of the log; and for a read, in the order of rounds.
    waiting: VecDeque<Waiter>,
    reading: VecDeque<(Read, u64, u64, S::Query)>,
    /// When each member was last heard, by slot.
    heard: Vec<Instant>,
    /// Until when a successor is waited for, once the node is to leave.
    leaving: Option<Instant>,
    recorder: Option<Recorder>,
}

impl<S: Service> Driver<S> {
    /// A driver for a replica that was just brought back, with its book.
    pub fn new(config: &Config, replica: Replica<S>, book: Book) -> Self {
        let introduced = [(book.slot(), (book.me(), book.address()))];
        Self {
            group: GroupId::new(config.group.id),
            introduced: introduced.into(),
            introducing: Index::ZERO,
            written: replica.raft().log().last().index,
            replica,
            book,
            outbox: Vec::new(),
            batch: Vec::new(),
            batch_from: Vec::new(),
            waiting: VecDeque::new(),
            reading: VecDeque::new(),
            heard: vec![Instant::ORIGIN; Members::MOST],
            leaving: None,
            recorder: None,
        }
    }

    /// Records every step from now on, with the recorder that saw the replica come back.
    #[must_use]
    pub fn recorded_by(mut self, recorder: Option<Recorder>) -> Self {
        self.recorder = recorder;
        self
    }

    /// When the replica wants a tick, or no successor is waited for any more.
    pub fn deadline(&self) -> Option<Instant> {
        self.replica.deadline().into_iter().chain(self.leaving).min()
    }

    /// Whether the node was to leave, and may: another leads, or none was found within an election
    /// timeout.
    pub fn has_handed_over(&self, now: Instant) -> bool {
        let raft = self.replica.raft();
        let has_successor = || raft.leader().is_some_and(|leader| leader != raft.config().me);
        self.leaving.is_some_and(|until| until <= now || has_successor())
    }

    /// The replica.
    pub fn replica(&self) -> &Replica<S> {
        &self.replica
    }

    /// The address book.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Takes what has happened, in order. Requests that follow each other are submitted together.
    pub fn take(&mut self, now: Now, events: impl Iterator<Item = Event<S>>, io: &mut impl Io) {
        for event in events {
            let event = match event {
                Event::Request(connection, Request { number, ask: Ask::Submit(request) }) => {
                    self.batch.push(request);
                    self.batch_from.push((connection, number));
                    if self.batch.len() >= self.replica.raft().config().limits.batch {
                        self.submit(now, io);
                    }
                    continue;
                }
                other => other,
            };
            self.submit(now, io);
            self.take_one(now, event, io);
        }
        self.submit(now, io);
        if let Some(recorder) = &mut self.recorder {
            recorder.flush();
        }
    }

    /// Steps the replica. Nothing else does, so a recording misses nothing.
    fn step(&mut self, now: Now, input: Input<'_, S::Command>) -> Result<(), Refused> {
        let Some(recorder) = &mut self.recorder else {
            return self.replica.step(now, input, &mut self.outbox);
        };
        recorder.before(now, &input);
        let stepped = self.replica.step(now, input, &mut self.outbox);
        recorder.after(stepped, &self.outbox, &self.replica);
        stepped
    }

    fn take_one(&mut self, now: Now, event: Event<S>, io: &mut impl Io) {
        let stepped = match event {
            Event::Tick => self.step(now, Input::Tick),
            Event::Member(from, MemberMessage { header, entries, chunk }) => {
                if let Some(heard) = self.heard.get_mut(from.position()) {
                    *heard = now.mono;
                }
                self.step(now, Input::Message { from, header, entries: &entries, chunk: &chunk })
            }
            Event::Disk(Done::Persisted(receipt)) => self.step(now, Input::Persisted(receipt)),
            Event::Disk(Done::Stored(snapshot)) => self.step(now, Input::Stored(snapshot)),
            Event::DiskFailed => self.step(now, Input::PersistFailed),
            Event::HandOver => self.hand_over(now),
            Event::Introduced(slot, life, address) => {
                self.introduced.insert(slot, (life, address));
                return self.introduce(now, io);
            }
            Event::Request(connection, Request { number, ask }) => {
                return self.answer(now, (connection, number), ask, io);
            }
        };
        // Only a stopped replica refuses these, and it has nothing more to say.
        if stepped.is_ok() {
            self.perform(None, io);
            self.introduce(now, io);
        }
    }

    /// Enters a member in the roster that has said who and where it is, one at a time, if this node leads:
    /// founders have no seat before, and others may have moved.
    fn introduce(&mut self, now: Now, io: &mut impl Io) {
        let applied = self.replica.applied().entry.index;
        if !self.replica.raft().leads() || self.introduced.is_empty() || applied < self.introducing
        {
            return;
        }
        let roster = self.replica.roster();
        let is_done = |slot: Slot, (life, address): (Life, Address)| {
            roster.seat(slot).is_some_and(|seat| seat.life != life || seat.address == address)
        };
        self.introduced.retain(|slot, said| !is_done(*slot, *said));
        let Some((&slot, &(life, address))) = self.introduced.first_key_value() else { return };
        let founder = roster.seat_of(life).is_none().then_some(slot);
        let input = Input::Admit { life, address, founder, replaces: None };
        match self.step(now, input) {
            Ok(()) => {
                self.introducing = self.replica.raft().log().last().index;
                self.perform(None, io);
            }
            Err(Refused::Unfit(_) | Refused::Meaningless) => {
                self.introduced.remove(&slot);
            }
            Err(_) => {} // With the next event.
        }
    }

    /// Hands leadership to the voter that has acknowledged most of the log; of several, to the one that
    /// was heard last, for it is the most likely to live.
    fn hand_over(&mut self, now: Now) -> Result<(), Refused> {
        let raft = self.replica.raft();
        let configuration = raft.configuration();
        let electable = configuration.voters().minus(configuration.witnesses());
        let heard = |slot: Slot| self.heard.get(slot.position()).copied();
        let peers = raft.peers().filter(|(slot, _)| electable.contains(*slot));
        let successor = peers.max_by_key(|(slot, peer)| (peer.matched, heard(*slot)));
        let patience = raft.config().election_timeout;
        self.leaving.get_or_insert(now.mono);
        let Some((slot, _)) = successor else { return Ok(()) };
        self.step(now, Input::Transfer(slot))?;
        self.leaving = Some(now.mono.after(patience));
        Ok(())
    }

    fn answer(
        &mut self,
        now: Now,
        (connection, number): (u64, u64),
        ask: Ask<S::Command, S::Query>,
        io: &mut impl Io,
    ) {
        match ask {
            Ask::Submit(_) => {} // Submitted together with others, in `take`.
            Ask::Status => {
                let body = ReplyBody::Status(self.status());
                self.reply(connection, number, body, io);
            }
            Ask::Members => {
                let body = ReplyBody::Members(self.members());
                self.reply(connection, number, body, io);
            }
            Ask::Join { life, address, replaces } => {
                let input = Input::Admit { life, address, founder: None, replaces };
                self.change(now, input, (connection, number, WaitsFor::Join(life)), io);
            }
            Ask::Leave { node } => {
                let latest = self.replica.roster().latest(node).map(|(_, seat)| seat.life);
                // Of a node that is unknown here the leader says the same.
                let life = latest.unwrap_or(Life { node, incarnation: Incarnation::ZERO });
                match self.departure(life).filter(|_| self.replica.raft().leads()) {
                    Some(body) => self.reply(connection, number, body, io),
                    None => {
                        let waiter = (connection, number, WaitsFor::Leave(life));
                        self.change(now, Input::Dismiss(life), waiter, io);
                    }
                }
            }
            Ask::Query(_) if self.reading.len() >= READS => {
                let body = ReplyBody::Busy("too many reads wait; try again later".to_owned());
                self.reply(connection, number, body, io);
            }
            Ask::Query(query) => match self.step(now, Input::Read) {
                Ok(()) => self.perform(Some((connection, number, query)), io),
                Err(refused) => {
                    let body = self.refusal(refused);
                    self.reply(connection, number, body, io);
                }
            },
        }
    }

    /// Asks for a change of the roster. Whoever waits for it is told when it is applied.
    fn change(
        &mut self,
        now: Now,
        input: Input<'_, S::Command>,
        (connection, number, waits_for): (u64, u64, WaitsFor),
        io: &mut impl Io,
    ) {
        match self.step(now, input) {
            Ok(()) => {
                let index = self.replica.raft().log().last().index;
                self.waiting.push_back(Waiter { index, connection, number, waits_for });
                self.perform(None, io);
            }
            Err(refused) => {
                let body = self.refusal(refused);
                self.reply(connection, number, body, io);
            }
        }
    }

    /// Submits the requests that have gathered.
    fn submit(&mut self, now: Now, io: &mut impl Io) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let stepped = self.step(now, Input::Submit { requests: &batch });
        self.batch = batch;
        match stepped {
            Ok(()) => self.perform(None, io),
            Err(refused) => {
                for (connection, number) in std::mem::take(&mut self.batch_from) {
                    let body = self.refusal(refused);
                    self.reply(connection, number, body, io);
                }
            }
        }
        self.batch.clear();
        self.batch_from.clear();
    }

    /// Encodes every output of a step and hands it over.
    fn perform(&mut self, mut query: Option<(u64, u64, S::Query)>, io: &mut impl Io) {
        for output in std::mem::take(&mut self.outbox) {
            match output {
                Output::Persist { receipt, write } => {
                    let rebase = matches!(write, Write::Rebase { .. });
                    if self.concerns_members(&write) {
                        self.look_at_roster(true, io);
                    }
                    io.disk(Task::Write { receipt, record: self.record_of(write), rebase });
                }
                Output::Send { to, header } => {
                    let entries = self.replica.entries_of(&header);
                    let message =
                        Outgoing { header, entries, chunk: self.replica.chunk_of(&header) };
                    // A message that is too large to be sent is as good as lost.
                    if let Ok(frame) = frame::encode(Kind::Member, self.group, &message) {
                        let frame = frame.into();
                        to.iter().for_each(|slot| io.send(slot, &frame));
                    }
                }
                Output::Store { snapshot } => {
                    let bytes = self.replica.bytes_of(&snapshot).to_vec();
                    io.disk(Task::Snapshot { snapshot, bytes });
                }
                Output::Submitted { first, .. } => self.wait_from(first.index),
                Output::Applied { index } => {
                    self.reply_up_to(index, io);
                    self.look_at_roster(false, io);
                }
                Output::Leading => io.leader(self.node(self.replica.raft().config().me)),
                Output::Following { leader } => self.follow(leader, io),
                // The node leaves all the same.
                Output::NotTransferred { .. } => {}
                Output::Reading { read } => {
                    if let Some((connection, number, query)) = query.take() {
                        self.reading.push_back((read, connection, number, query));
                    }
                }
                Output::Readable { read } => self.read_up_to(read, io),
                Output::Unreadable { read } => self.read_elsewhere(read, io),
            }
        }
    }

    /// The record of a write: it with its entries, or the whole image.
    fn record_of(&self, write: Write) -> Vec<u8> {
        let with_entries = |write: Write| -> (Write, Vec<&Entry<S::Command>>) {
            let entries = write.entries().map(|(first, last)| self.replica.entries(first, last));
            (write, entries.into_iter().flatten().collect())
        };
        let writes: Vec<_> = match write {
            Write::Rebase { .. } => self.replica.image().map(with_entries).collect(),
            _ => vec![with_entries(write)],
        };
        // An empty record would be refused at the next start, and cannot come about: every type in
        // it has a form in bytes.
        postcard::to_stdvec(&writes).unwrap_or_default()
    }

    fn wait_from(&mut self, first: Index) {
        let from = std::mem::take(&mut self.batch_from);
        let mut index = first;
        for ((connection, number), request) in from.into_iter().zip(&self.batch) {
            let (client, sequence) = session_of(request);
            let waits_for = WaitsFor::Session(client, sequence);
            self.waiting.push_back(Waiter { index, connection, number, waits_for });
            index = index.next();
        }
    }

    fn reply_up_to(&mut self, applied: Index, io: &mut impl Io) {
        while self.waiting.front().is_some_and(|waiter| waiter.index <= applied) {
            let Some(waiter) = self.waiting.pop_front() else { return };
            let body = match waiter.waits_for {
                WaitsFor::Session(client, sequence) => self.outcome(client, sequence),
                WaitsFor::Join(life) => self.seated(life),
                WaitsFor::Leave(life) => self.departure(life).unwrap_or(ReplyBody::Left),
            };
            self.reply(waiter.connection, waiter.number, body, io);
        }
    }

    fn outcome(&self, client: ClientId, sequence: u64) -> ReplyBody<S::Response, S::Answer> {
        match self.replica.outcome(client, sequence) {
            Outcome::Opened => ReplyBody::Opened,
            Outcome::Done(response) => ReplyBody::Done(response.clone()),
            Outcome::Superseded => ReplyBody::Superseded,
            Outcome::NoSession => ReplyBody::NoSession,
        }
    }

    /// What a node is told that has asked to join.
    fn seated(&self, life: Life) -> ReplyBody<S::Response, S::Answer> {
        let Some((slot, seat)) = self.replica.roster().seat_of(life) else {
            return ReplyBody::Busy("another took the seat; ask again".to_owned());
        };
        let (applied, belong) = book::belonging(&self.replica);
        let wanted = self.replica.roster_config().replication_factor;
        let timeout = self.replica.raft().config().election_timeout;
        ReplyBody::Seated {
            slot,
            since: seat.since,
            founders: self.replica.raft().config().voters,
            replication_factor: wanted,
            heartbeat_timeout_ms: timeout.as_millis(),
            page: self.book.page_for_others(self.replica.roster(), applied, belong),
        }
    }

    /// How far a life has left, if it was told to and has a seat.
    fn departure(&self, life: Life) -> Option<ReplyBody<S::Response, S::Answer>> {
        let (slot, seat) = self.replica.roster().seat_of(life)?;
        let (_, belong) = book::belonging(&self.replica);
        let body = if belong.contains(slot) { ReplyBody::Leaving } else { ReplyBody::Left };
        seat.leaves.then_some(body)
    }

    /// Whether a write changes who sits where, or may take such a change back.
    fn concerns_members(&mut self, write: &Write) -> bool {
        let Some((first, last)) = write.entries() else {
            return matches!(write, Write::Rebase { .. });
        };
        let takes_back = first <= self.written;
        self.written = last;
        let is_change =
            |entry: &Entry<S::Command>| matches!(entry.body, Body::Roster(_) | Body::Change);
        takes_back || self.replica.entries(first, last).any(is_change)
    }

    /// Keeps the address book as the roster is.
    fn look_at_roster(&mut self, log_has_changed: bool, io: &mut impl Io) {
        if self.book.follow(&self.replica, log_has_changed) {
            io.disk(Task::Members(store::bytes_of_page(self.book.page())));
            io.members(&self.book);
        }
    }

    fn read_up_to(&mut self, read: Read, io: &mut impl Io) {
        while self.reading.front().is_some_and(|(waits_for, ..)| *waits_for <= read) {
            let Some((_, connection, number, query)) = self.reading.pop_front() else { return };
            let answer = self.replica.state().answer(&query);
            self.reply(connection, number, ReplyBody::Answer(answer), io);
        }
    }

    /// The leader does not answer this node: those who wait must ask another.
    fn read_elsewhere(&mut self, read: Read, io: &mut impl Io) {
        while self.reading.front().is_some_and(|(waits_for, ..)| *waits_for <= read) {
            let Some((_, connection, number, _)) = self.reading.pop_front() else { return };
            let body = self.refusal(Refused::NotLeader { leader: None });
            self.reply(connection, number, body, io);
        }
    }

    /// This node does not lead: those who wait must ask who does.
    fn follow(&mut self, leader: Option<Slot>, io: &mut impl Io) {
        self.introducing = Index::ZERO;
        for waiter in std::mem::take(&mut self.waiting) {
            self.reply(waiter.connection, waiter.number, ReplyBody::Unknown, io);
        }
        for (_, connection, number, _) in std::mem::take(&mut self.reading) {
            let body = self.refusal(Refused::NotLeader { leader });
            self.reply(connection, number, body, io);
        }
        io.leader(leader.and_then(|slot| self.node(slot)));
    }

    fn refusal(&self, refused: Refused) -> ReplyBody<S::Response, S::Answer> {
        match refused {
            Refused::NotLeader { leader } => ReplyBody::NotLeader {
                leader: leader.and_then(|slot| {
                    self.book.entry(slot).map(|entry| (entry.node, entry.address.clone()))
                }),
            },
            Refused::Meaningless | Refused::Unfit(_) => ReplyBody::Rejected(refused.to_string()),
            _ => ReplyBody::Busy(refused.to_string()),
        }
    }

    fn reply(
        &self,
        connection: u64,
        number: u64,
        body: ReplyBody<S::Response, S::Answer>,
        io: &mut impl Io,
    ) {
        let reply = Reply { number, body };
        // What became of it cannot be told if it is too large to be sent.
        let frame = frame::encode(Kind::Reply, self.group, &reply).or_else(|_| {
            let body = ReplyBody::<S::Response, S::Answer>::Unknown;
            frame::encode(Kind::Reply, self.group, &Reply { number, body })
        });
        if let Ok(frame) = frame {
            io.reply(connection, frame);
        }
    }

    fn node(&self, slot: Slot) -> Option<NodeId> {
        self.book.entry(slot).map(|entry| entry.node)
    }

    fn members(&self) -> Vec<Member> {
        let raft = self.replica.raft();
        let configuration = raft.configuration();
        let role = |slot| match slot {
            _ if raft.leader() == Some(slot) => "leader",
            _ if configuration.electorate().contains(slot) => "voter",
            _ if configuration.learners().contains(slot) => "learner",
            _ => "none",
        };
        let member = |(slot, entry): (&Slot, &book::Entry)| Member {
            node: entry.node.number(),
            life: entry.incarnation.map(Incarnation::number),
            slot: slot.number(),
            address: entry.address.clone(),
            role: role(*slot).to_owned(),
            leaves: entry.leaves,
        };
        self.book.page().members.iter().map(member).collect()
    }

    fn status(&self) -> Status {
        let raft = self.replica.raft();
        let number = |slot: Slot| self.node(slot).map(NodeId::number);
        let applied = self.replica.applied().entry.index;
        Status {
            node: number(raft.config().me).unwrap_or(0),
            group: self.group.number(),
            role: raft.role().to_owned(),
            term: raft.term().number(),
            leader: raft.leader().and_then(number),
            first: raft.log().floor().index.next().number(),
            last: raft.log().last().index.number(),
            durable: raft.durable().number(),
            commit: raft.commit().number(),
            applied: applied.number(),
            lag: raft.commit().above(applied),
        }
    }
}
