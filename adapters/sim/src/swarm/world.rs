//! The group, its disks, its clocks and its clients, and what one action does to them.
//!
//! Nothing here draws a number: every chance is in the [`Action`]. So a run is its list of actions,
//! and a list with some left out is a run too.

use super::action::{Act, Action, PacketId};
use super::clock::Clocks;
use super::hash::fold;
use super::hosted::{Answer, Hosted, Input, Said, Setup, Work};
use super::marks::{Mark, Marks};
use super::oracle::{Books, Change, Glance, Reference, Verdict, Violation, ensure};
use super::process::{Call, Came, Process};
use super::store::{Done, Kept, Store, Task, Trouble};
use crate::raft::Packet as Shown;
use crate::trace::{Moment, Trace, What as Shape};
use quorate::client::{Reply, What};
use quorate::id::{ClientId, Index, Members, Slot};
use quorate::lease::holder;
use quorate::lease::{Fence, Name, Token};
use quorate::raft::{Read, Write};
use quorate::replica::{Header, Output};
use quorate::rng::Rng;
use quorate::{Event, Refused};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Something on its way.
#[derive(Clone, Debug)]
pub struct Packet<E> {
    /// Its name.
    pub id: PacketId,
    /// The lane that it comes from.
    pub from: u8,
    /// Which life of the sender it is from.
    pub life: u64,
    /// What it is.
    pub content: Rc<Content<E>>,
}

/// What travels.
#[derive(Clone, Debug)]
pub enum Content<E> {
    /// Between members.
    Member(Header, Vec<E>, Vec<u8>),
    /// From a client.
    Request(u64, What, Option<Work>),
    /// To a client.
    Reply(u64, Reply<Answer>),
}

/// A client that waits.
#[derive(Clone, Copy, Debug)]
struct Asked {
    client: u8,
    attempt: u64,
    session: Option<(ClientId, u64)>,
}

/// A member and its host.
#[derive(Debug)]
pub struct Member<H> {
    /// The machine, while it lives.
    pub machine: Option<H>,
    /// Its disk.
    pub store: Store,
    /// Its clocks.
    pub clocks: Clocks,
    /// How often it was started.
    pub lives: u64,
    /// Its disk is gone or refused: it will not start again.
    pub is_lost: bool,
    waiting: VecDeque<(Index, Asked)>,
    reading: VecDeque<(Read, Asked, Option<Work>)>,
}

/// What a host does with one output.
#[derive(Debug)]
enum Effect<E> {
    Disk(Task),
    Send(Members, Rc<Content<E>>),
    Reply(u8, Rc<Content<E>>),
}

/// How many of each thing happened.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// Steps of machines, clients' and holders' among them.
    pub events: u64,
    /// Leaders elected.
    pub elections: u64,
    /// Members that died.
    pub crashes: u64,
    /// Entries committed.
    pub commits: u64,
    /// Syncs of disks.
    pub syncs: u64,
    /// Messages between members.
    pub messages: u64,
    /// Clients' requests that ended with an answer.
    pub answered: u64,
    /// Proposals and reads that no client made: asked, and ended one way or another.
    pub asked: u64,
    /// Of those, how many are over.
    pub ended: u64,
}

impl Counts {
    /// Adds what happened in another run.
    pub const fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.elections += other.elections;
        self.crashes += other.crashes;
        self.commits += other.commits;
        self.syncs += other.syncs;
        self.messages += other.messages;
        self.answered += other.answered;
        self.asked += other.asked;
        self.ended += other.ended;
    }
}

/// Everything that a run consists of.
#[derive(Debug)]
pub struct World<H: Hosted> {
    /// How the members are set up.
    pub setup: Setup,
    /// The members, by slot.
    pub members: Vec<Member<H>>,
    /// The clients; their lanes follow those of the members.
    pub processes: Vec<Process>,
    /// What was sent in the last action.
    pub sent: Vec<Packet<H::Entry>>,
    /// The oracles' books.
    pub books: Books<H::Entry>,
    reference: Reference,
    fences: BTreeMap<Name, (Fence, Token)>,
    /// What happened, and how often.
    pub marks: Marks,
    /// How many of each thing happened.
    pub counts: Counts,
    /// A fold of everything that machines were told and have said.
    pub hash: u64,
    /// Clocks are further apart than the group was set up for, so leases may overlap.
    pub is_wild: bool,
    /// The story, if it is to be told.
    pub trace: Option<Trace>,
    now: u64,
    said: Said,
    changes: Vec<Change>,
    effects: Vec<Effect<H::Entry>>,
    /// The number of the action under way, and how many packets it has sent.
    number: u64,
    place: u16,
    /// The number of the next proposal that no client made.
    proposal: u64,
}

impl<H: Hosted> World<H> {
    /// A group that has never lived before, with so many clients; nobody is started yet.
    pub fn new(setup: Setup, clients: u8, segment_bytes: u64, margin: holder::Config) -> Self {
        let members = (0..setup.members)
            .map(|slot| Member {
                machine: None,
                store: Store::new(segment_bytes, setup.seed ^ u64::from(slot)),
                clocks: Clocks::starting_at(1_000_000),
                lives: 0,
                is_lost: false,
                waiting: VecDeque::new(),
                reading: VecDeque::new(),
            })
            .collect();
        let process = |number: u8| {
            let seed = fold(setup.seed, &number);
            let timeout = setup.election_timeout;
            Process::new(u32::from(number), setup.members, seed, margin, timeout)
        };
        Self {
            books: Books::new(setup.members, setup.max_offset),
            reference: Reference::new(setup.limits),
            processes: (0..clients).map(process).collect(),
            members,
            sent: Vec::new(),
            fences: BTreeMap::new(),
            marks: Marks::default(),
            counts: Counts::default(),
            hash: setup.seed,
            is_wild: false,
            trace: None,
            now: 0,
            said: Said::default(),
            changes: Vec::new(),
            effects: Vec::new(),
            number: 0,
            place: 0,
            proposal: 1,
            setup,
        }
    }

    /// The true time.
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// The true time at which somebody wants a tick.
    pub fn deadline(&self, lane: u8) -> Option<u64> {
        let lane = usize::from(lane);
        if let Some(member) = self.members.get(lane) {
            let deadline = member.machine.as_ref()?.deadline()?;
            return member.clocks.when(deadline, self.now);
        }
        let process = self.processes.get(lane - self.members.len())?;
        process.clocks.when(process.deadline()?, self.now)
    }

    /// The member that leads in the highest term, if one does.
    pub fn leader(&self) -> Option<usize> {
        let reign = |slot: &usize| {
            let raft = self.members[*slot].machine.as_ref()?.raft();
            raft.leads().then(|| raft.term())
        };
        let leaders = (0..self.members.len()).filter(|slot| reign(slot).is_some());
        leaders.max_by_key(reign)
    }

    /// Lets one thing happen. A packet must be at hand for what delivers one.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub fn act(&mut self, action: &Action, packet: Option<&Packet<H::Entry>>) -> Verdict {
        self.now = self.now.max(action.at);
        (self.number, self.place) = (action.number, 0);
        match action.act {
            Act::Deliver(_) => match packet {
                Some(packet) => self.deliver(action, packet),
                None => Ok(()),
            },
            Act::Corrupt(_, seed) => match packet {
                Some(packet) => self.corrupt(packet, seed),
                None => Ok(()),
            },
            Act::Tick(lane) if usize::from(lane) < self.members.len() => {
                self.step(action, lane, Input::Tick, None).map(drop)
            }
            Act::Tick(lane) => self.with_process(lane, |process, at| process.tick(at)),
            Act::Disk(slot, count, trouble) => self.disk(action, slot, count, trouble),
            Act::Confirm(slot) => self.confirm(action, slot),
            Act::Propose(slot, count) => self.propose(action, slot, count),
            Act::Read(slot) => {
                if self.step(action, slot, Input::Read, None)?.is_ok() {
                    self.counts.asked += 1;
                }
                Ok(())
            }
            Act::StepDown(slot) => {
                self.marks.hit(Mark::StepDownAsked);
                self.step(action, slot, Input::StepDown, None).map(drop)
            }
            Act::Mark(slot) => {
                self.members[usize::from(slot)].store.mark();
                Ok(())
            }
            Act::Call(lane, call) => self.call(lane, call),
            Act::Unreachable(lane, node) => {
                self.with_process(lane, |process, at| process.unreachable(at, node))
            }
            Act::Crash(slot, kept) => {
                self.crash(slot, kept);
                Ok(())
            }
            Act::Start(slot) => self.start(slot),
            Act::Rot(slot, seed) => {
                let member = &mut self.members[usize::from(slot)];
                if member.machine.is_none() && member.store.rot(seed) {
                    self.marks.hit(Mark::Rotted);
                    self.fault(slot, "a bit of its disk rots");
                }
                Ok(())
            }
            Act::Lose(slot) => {
                self.crash(slot, Kept::None);
                self.give_up(slot, "loses its disk");
                Ok(())
            }
            Act::Step(lane, ahead) => {
                self.clocks(lane).ahead = ahead;
                self.marks.hit(Mark::ClockStepped);
                self.fault(lane, &format!("its civil clock is {ahead} µs ahead from now on"));
                Ok(())
            }
            Act::Freeze(lane, frozen) => {
                let at = self.now;
                let clocks = self.clocks(lane);
                clocks.frozen = None;
                if frozen {
                    clocks.freeze(at);
                    self.marks.hit(Mark::ClockFrozen);
                    self.fault(lane, "its civil clock stands still");
                }
                Ok(())
            }
            Act::Rate(lane, rate) => {
                let at = self.now;
                self.clocks(lane).run_at(at, rate);
                match rate {
                    0 => self.marks.hit(Mark::ClockStalls),
                    1_000_000 => {}
                    _ => self.marks.hit(Mark::ClockDrifts),
                }
                self.fault(lane, &format!("its monotonic clock runs at {rate} ppm"));
                Ok(())
            }
        }
    }

    fn clocks(&mut self, lane: u8) -> &mut Clocks {
        let (lane, members) = (usize::from(lane), self.members.len());
        match self.members.get_mut(lane) {
            Some(member) => &mut member.clocks,
            None => &mut self.processes[lane - members].clocks,
        }
    }

    /// Starts a member from its disk, unless the disk is gone or refuses.
    fn start(&mut self, slot: u8) -> Verdict {
        let me = usize::from(slot);
        let member = &mut self.members[me];
        if member.machine.is_some() || member.is_lost {
            return Ok(());
        }
        member.lives += 1;
        member.clocks.reset(self.now, 1_000_000 + member.lives * 7_777_777);
        let found = match member.store.open::<H::Entry>() {
            Ok(found) => found,
            Err(why) => {
                self.marks.hit(Mark::RotRefused);
                self.give_up(slot, &format!("does not start: {why}"));
                return Ok(());
            }
        };
        let snapshot = found.snapshot.as_ref().map(|(snapshot, bytes)| (*snapshot, &bytes[..]));
        let name = snapshot.map(|(snapshot, _)| snapshot);
        let booted = H::boot(&self.setup, Slot::new(slot), found.boots, snapshot, &found.writes);
        let machine = match booted {
            Ok(machine) => machine,
            Err(why) => {
                let what = format!("n{slot} cannot go on from its disk: {why}");
                return Err(Violation { oracle: "D1", what });
            }
        };
        self.tell(slot, Shape::Started, || {
            format!("starts, {} to {}", machine.raft().log().floor(), machine.raft().log().last())
        });
        let before = self.books.disk(me).trail.last();
        self.books.recovered(me, &machine, &found.attempted, name)?;
        if self.books.disk(me).trail.last() > before {
            self.marks.hit(Mark::MoreThanDurable);
        }
        if name.is_some_and(|name| {
            found.writes.iter().all(
                |(write, _)| !matches!(write, Write::Rebase { snapshot, .. } if *snapshot == name),
            )
        }) {
            self.marks.hit(Mark::SnapshotAhead);
        }
        self.members[me].machine = Some(machine);
        Ok(())
    }

    /// A member's disk is of no more use.
    fn give_up(&mut self, slot: u8, why: &str) {
        self.members[usize::from(slot)].is_lost = true;
        self.fault(slot, why);
    }

    /// Ends a member.
    fn crash(&mut self, slot: u8, kept: Kept) {
        let member = &mut self.members[usize::from(slot)];
        if member.machine.take().is_none() {
            return;
        }
        member.store.crash(kept);
        member.waiting.clear();
        member.reading.clear();
        self.books.crashed(usize::from(slot));
        self.counts.crashes += 1;
        self.marks.hit(if kept == Kept::All { Mark::CrashKill } else { Mark::CrashPower });
        self.tell(slot, Shape::Crashed, || format!("crashes; its disk keeps {kept:?}"));
    }

    /// What happened, and how often.
    pub fn marks(&self) -> Marks {
        let mut marks = self.marks.clone();
        let leases = self.reference.leases();
        if leases.swept > 0 {
            marks.hit(Mark::LeaseSwept);
        }
        if leases.regranted > 0 {
            marks.hit(Mark::LeaseRegranted);
        }
        marks
    }

    /// Whether one of these members has as many runs in its log as it may, none of them known to be
    /// committed: so many leaders came and went without committing anything, which is the bound
    /// that [`Limits::runs`](quorate::limits::Limits::runs) names. It may hold what nobody else
    /// does, and cannot lead.
    pub fn out_of_runs(&self, slots: &[usize]) -> bool {
        slots.iter().filter_map(|slot| self.members[*slot].machine.as_ref()).any(|machine| {
            let (raft, runs) = (machine.raft(), machine.raft().log().runs());
            runs.len() >= raft.config().limits.runs
                && runs.first().is_some_and(|run| run.last > raft.commit())
        })
    }

    /// Clients' questions that members have taken and not answered.
    pub fn open_questions(&self) -> usize {
        self.members.iter().map(|member| member.waiting.len() + member.reading.len()).sum()
    }

    /// Whether enough members can ever be up for the group to go on.
    pub fn recoverable(&self) -> bool {
        let alive = self.members.iter().filter(|member| !member.is_lost).count();
        alive > self.members.len() / 2
    }

    /// Gives a member one input, checks what it says, and performs it in the order and up to the
    /// point that the action decides.
    fn step(
        &mut self,
        action: &Action,
        slot: u8,
        input: Input<'_, H>,
        asked: Option<Asked>,
    ) -> Result<Result<(), Refused>, Violation> {
        let me = usize::from(slot);
        let member = &mut self.members[me];
        let Some(machine) = &mut member.machine else { return Ok(Err(Refused::Stopped)) };
        let now = member.clocks.show(self.now);
        let before = Glance::at(machine);
        self.said.most = machine.max_outputs();
        let result = machine.step(now, input, &mut self.said);
        self.counts.events += 1;
        self.hash = fold(self.hash, &(slot, now.mono, &self.said.outputs));
        ensure(!self.said.overflowed, "Q2", || format!("n{slot} says too much"))?;
        if let Err(refused) = &result {
            self.marks.refused(refused);
            ensure(self.said.outputs.is_empty(), "Q2", || {
                format!("n{slot} refuses ({refused}) and speaks")
            })?;
            return Ok(result);
        }
        if !self.said.events.is_empty() {
            self.hear_events(slot);
        }
        let machine = member_machine(&self.members, me);
        if self.said.outputs.is_empty() && Glance::at(machine) == before {
            return Ok(result);
        }
        let outputs = &self.said.outputs;
        self.books.stepped(me, before, machine, now, outputs, &mut self.changes)?;
        if self.books.last_committed() > self.reference.at() {
            let committed = self.books.committed_after(self.reference.at());
            self.counts.commits += committed.len() as u64;
            if committed.first().map(|(id, _)| id.term) != committed.last().map(|(id, _)| id.term) {
                self.marks.hit(Mark::CommitTwoTerms);
            }
            self.reference.advance::<H>(committed)?;
            self.agreed_on_time(committed.len())?;
        }
        self.encode(slot, before, asked)?;
        self.perform(action, slot);
        Ok(result)
    }

    /// What was committed just now has stamps that a member with a right clock has agreed to.
    fn agreed_on_time(&self, count: usize) -> Verdict {
        let committed = self.books.committed_after(self.reference.at() - count as u64);
        let offset = self.setup.max_offset.as_micros();
        let latest = (Clocks::civil(self.now) + offset + offset / 2) / 1_000 + 1;
        for (id, entry) in committed {
            let millis = H::stamp(entry).map_or(0, quorate::hlc::Stamp::millis);
            ensure(millis <= latest, "LS6", || {
                format!("{id} is committed with a stamp {} ms ahead of all clocks", millis - latest)
            })?;
        }
        Ok(())
    }

    fn hear_events(&mut self, slot: u8) {
        for event in std::mem::take(&mut self.said.events) {
            self.marks.event(&event);
            if let Event::Elected { .. } = event {
                self.counts.elections += 1;
            }
            if self.trace.is_some() {
                let shape = match event {
                    Event::TermAdopted { term } | Event::Campaigning { term } => {
                        Shape::Term(term.number())
                    }
                    Event::Elected { barrier } => Shape::Leads(barrier.term.number()),
                    Event::SteppedDown { .. } => Shape::Deposed,
                    _ => Shape::Note,
                };
                self.tell(slot, shape, || format!("{event:?}"));
            }
        }
    }

    /// Turns what a member has said into what its host does, before anything else happens.
    fn encode(&mut self, slot: u8, before: Glance, mut asked: Option<Asked>) -> Verdict {
        let me = usize::from(slot);
        let outputs = std::mem::take(&mut self.said.outputs);
        let mut changes = std::mem::take(&mut self.changes).into_iter();
        for output in &outputs {
            let machine = member_machine(&self.members, me);
            match *output {
                Output::Persist { receipt, write } => {
                    let rebase = matches!(write, Write::Rebase { .. });
                    let with = |write: Write| match write {
                        Write::Append { first, last, .. } => (write, machine.entries(first, last)),
                        _ => (write, Vec::new()),
                    };
                    let writes: Vec<_> = if rebase {
                        machine.image().into_iter().map(with).collect()
                    } else {
                        vec![with(write)]
                    };
                    let record = postcard::to_stdvec(&writes).unwrap_or_default();
                    if let Some(mut change) = changes.next() {
                        // What a rebase writes is the whole of what is held after the step.
                        if let (Change::Rebase(_, _, trail), true) = (&mut change, rebase) {
                            *trail = self.books.trail(me).clone();
                        }
                        self.effects.push(Effect::Disk(Task::Write {
                            receipt,
                            record,
                            rebase,
                            change,
                        }));
                    }
                }
                Output::Send { to, header } => {
                    self.marks.message(&header.message);
                    let entries = machine.entries_of(&header);
                    let chunk = machine.chunk_of(&header).to_vec();
                    let content = Rc::new(Content::Member(header, entries, chunk));
                    self.effects.push(Effect::Send(to, content));
                }
                Output::Store { snapshot } => {
                    let bytes = machine.bytes_of(&snapshot).to_vec();
                    self.books.snapshot(me, snapshot)?;
                    self.reference.snapshot::<H>(
                        &snapshot,
                        &bytes,
                        self.books.committed_after(0),
                    )?;
                    self.effects.push(Effect::Disk(Task::Snapshot(snapshot, bytes)));
                }
                Output::Submitted { first, .. } => {
                    if let Some(asked) = asked.take() {
                        self.members[me].waiting.push_back((first.index, asked));
                    }
                }
                Output::Reading { read } => {
                    let raft = machine.raft();
                    if raft.log().term_at(raft.commit()) != Some(raft.term()) {
                        self.marks.hit(Mark::ReadWaited);
                    }
                    if let Some(asked) = asked.take() {
                        self.members[me].reading.push_back((read, asked, None));
                    }
                }
                Output::Applied { index } => self.answer_applied(me, index)?,
                Output::Readable { read } => self.answer_reads(me, read),
                Output::Following { .. } => self.answer_nobody_knows(me),
                Output::Leading => {}
            }
        }
        if self.trace.is_some() {
            self.tell_outputs(slot, before, &outputs);
        }
        self.said.outputs = outputs;
        self.said.outputs.clear();
        Ok(())
    }

    fn answer_applied(&mut self, me: usize, index: Index) -> Verdict {
        while let Some((_, asked)) = next_if(&mut self.members[me].waiting, |(at, _)| *at <= index)
        {
            let Some((client, sequence)) = asked.session else {
                self.counts.ended += 1;
                continue;
            };
            let reply = member_machine(&self.members, me).reply(client, sequence);
            if let Reply::Done(Answer::Response(response)) = &reply {
                self.reference.answered(client, sequence, response)?;
            }
            self.reply(asked, reply);
        }
        Ok(())
    }

    fn answer_reads(&mut self, me: usize, read: Read) {
        self.marks.hit(Mark::ReadServed);
        while let Some((_, asked, work)) =
            next_if(&mut self.members[me].reading, |(name, ..)| *name <= read)
        {
            let machine = member_machine(&self.members, me);
            match work {
                Some(Work::Query(query)) => {
                    let found = machine.find(&query);
                    self.reply(asked, Reply::Done(Answer::Found(found)));
                }
                _ => self.counts.ended += 1,
            }
        }
    }

    fn answer_nobody_knows(&mut self, me: usize) {
        for (_, asked) in std::mem::take(&mut self.members[me].waiting) {
            self.reply(asked, Reply::Unknown);
        }
        for (_, asked, _) in std::mem::take(&mut self.members[me].reading) {
            self.reply(asked, Reply::NotLeader { leader: None });
        }
    }

    fn reply(&mut self, asked: Asked, reply: Reply<Answer>) {
        if asked.client == NOBODY {
            self.counts.ended += 1;
            return;
        }
        self.marks.reply(&reply);
        let content = Rc::new(Content::Reply(asked.attempt, reply));
        self.effects.push(Effect::Reply(asked.client, content));
    }

    /// Does what the host has to do, in the order that the action decides; dies on the way if it
    /// says so.
    fn perform(&mut self, action: &Action, slot: u8) {
        let mut effects = std::mem::take(&mut self.effects);
        if effects.len() > 1 {
            shuffle_but_writes(&mut effects, &mut Rng::new(action.order));
        }
        let cut = action.cut.map(usize::from).filter(|cut| *cut < effects.len());
        for effect in effects.drain(..).take(cut.unwrap_or(usize::MAX)) {
            match effect {
                Effect::Disk(task) => self.members[usize::from(slot)].store.tasks.push_back(task),
                Effect::Send(to, content) => {
                    self.counts.messages += to.len() as u64;
                    to.iter().for_each(|to| self.send(slot, to.number(), &content));
                }
                Effect::Reply(client, content) => self.send(slot, client, &content),
            }
        }
        self.effects = effects;
        if cut.is_some() {
            self.marks.hit(Mark::CrashBetween);
            self.crash(slot, Kept::Some(action.order));
        }
    }

    fn send(&mut self, from: u8, to: u8, content: &Rc<Content<H::Entry>>) {
        let id = PacketId { origin: self.number, place: self.place, to };
        self.place += 1;
        let life = self.members.get(usize::from(from)).map_or(0, |member| member.lives);
        if self.trace.is_some() {
            let words = shown(content);
            let (message, to) = (name(id), usize::from(to));
            self.tell(from, Shape::Sent { message, to }, || format!("→ {} {words}", self_lane(to)));
        }
        self.sent.push(Packet { id, from, life, content: Rc::clone(content) });
    }

    fn deliver(&mut self, action: &Action, packet: &Packet<H::Entry>) -> Verdict {
        let (lane, from) = (packet.id.to, packet.from);
        if self.trace.is_some() {
            let alive = self.members.get(usize::from(lane)).is_none_or(|m| m.machine.is_some());
            let message = name(packet.id);
            let shape = if alive { Shape::Heard { message } } else { Shape::Lost { message } };
            let words = shown(&packet.content);
            self.tell(lane, shape, || format!("hears {} {words}", self_lane(usize::from(from))));
        }
        match &*packet.content {
            Content::Member(header, entries, chunk) => {
                let sender = self.members[usize::from(from)].lives;
                if packet.life != sender {
                    self.marks.hit(Mark::OldLife);
                }
                let (from, header) = (Slot::new(from), *header);
                self.step(action, lane, Input::Message { from, header, entries, chunk }, None)
                    .map(drop)
            }
            Content::Request(attempt, what, work) => {
                self.request(action, lane, from, (*attempt, *what), work.as_ref())
            }
            Content::Reply(attempt, reply) => self
                .with_process(lane, |process, at| process.hear(at, from, *attempt, reply.clone())),
        }
    }

    /// A client's request arrives at a member.
    fn request(
        &mut self,
        action: &Action,
        slot: u8,
        client: u8,
        (attempt, what): (u64, What),
        work: Option<&Work>,
    ) -> Verdict {
        let me = usize::from(slot);
        if self.members[me].machine.is_none() {
            return Ok(());
        }
        let session = match what {
            What::Open { client } => Some((client, 0)),
            What::Command { client, sequence } => Some((client, sequence)),
            What::Query => None,
        };
        let asked = Asked { client, attempt, session };
        let request = H::request(what, work);
        let result = match (&request, what) {
            (Some(request), _) => {
                let requests = std::slice::from_ref(request);
                self.step(action, slot, Input::Submit(requests), Some(asked))?
            }
            (None, What::Query) => {
                let reads = self.members[me].reading.len();
                let result = self.step(action, slot, Input::Read, Some(asked))?;
                if let Some((_, _, of)) = self.members[me].reading.get_mut(reads) {
                    *of = work.cloned();
                }
                result
            }
            (None, _) => Ok(()),
        };
        if let Err(refused) = result {
            let reply = match refused {
                Refused::NotLeader { leader } => {
                    Reply::NotLeader { leader: leader.map(Slot::number) }
                }
                Refused::Meaningless => Reply::Rejected,
                _ => Reply::Busy,
            };
            self.reply(asked, reply);
            self.perform(action, slot);
        }
        Ok(())
    }

    fn propose(&mut self, action: &Action, slot: u8, count: u8) -> Verdict {
        let first = self.proposal;
        let requests: Vec<_> = (first..first + u64::from(count)).filter_map(H::numbered).collect();
        if requests.is_empty() {
            return Ok(());
        }
        self.proposal += u64::from(count);
        let asked = Asked { client: NOBODY, attempt: 0, session: None };
        if self.step(action, slot, Input::Submit(&requests), Some(asked))?.is_ok() {
            self.counts.asked += 1;
        }
        Ok(())
    }

    /// A member's disk works.
    fn disk(&mut self, action: &Action, slot: u8, count: u8, trouble: Trouble) -> Verdict {
        let member = &mut self.members[usize::from(slot)];
        if member.machine.is_none() || member.store.tasks.is_empty() {
            return Ok(());
        }
        let durable = member.store.perform(usize::from(count), trouble);
        let failed = member.store.has_failed();
        self.counts.syncs += 1;
        durable.iter().for_each(|change| self.books.durable(usize::from(slot), change));
        if self.trace.is_some() && !durable.is_empty() {
            self.tell(slot, Shape::Durable, || format!("has {} writes on disk", durable.len()));
        }
        if failed {
            match trouble {
                Trouble::Power(_) => {
                    self.marks.hit(Mark::CrashWorking);
                    self.crash(slot, Kept::Some(action.order));
                }
                Trouble::Room(_) => self.marks.hit(Mark::DiskFull),
                _ => self.marks.hit(Mark::SyncFailed),
            }
            self.fault(slot, &format!("its disk fails: {trouble:?}"));
        }
        Ok(())
    }

    /// A member hears what its disk has done.
    fn confirm(&mut self, action: &Action, slot: u8) -> Verdict {
        let me = usize::from(slot);
        let mut newest = None;
        let mut persisted = 0;
        while let Some(done) = self.members[me].store.done.pop_front() {
            match done {
                Done::Persisted(receipt) => {
                    newest = Some(receipt);
                    persisted += 1;
                }
                Done::Stored(snapshot) => {
                    self.step(action, slot, Input::Stored(snapshot), None)?.ok();
                }
                Done::Failed => {
                    self.step(action, slot, Input::PersistFailed, None)?.ok();
                }
            }
        }
        if persisted > 1 {
            self.marks.hit(Mark::LateCompletion);
        }
        match newest {
            Some(receipt) => self.step(action, slot, Input::Persisted(receipt), None).map(drop),
            None => Ok(()),
        }
    }

    /// A damaged copy of a frame comes in: it must be refused.
    fn corrupt(&mut self, packet: &Packet<H::Entry>, seed: u64) -> Verdict {
        use quorate_host::frame::{self, Kind};
        let Content::Member(header, entries, chunk) = &*packet.content else { return Ok(()) };
        let group = quorate::id::GroupId::new(1);
        let Ok(mut frame) = frame::encode(Kind::Member, group, &(header, entries, chunk)) else {
            return Ok(());
        };
        let mut rng = Rng::new(seed);
        if rng.below(4) == 0 {
            frame.truncate(rng.below(frame.len() as u64) as usize);
        } else {
            let bit = rng.below(frame.len() as u64 * 8) as usize;
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        type Message<E> = (Header, Vec<E>, Vec<u8>);
        let mut bytes = &frame[..];
        let read: Result<Message<H::Entry>, _> =
            frame::read(&mut bytes, &mut Vec::new(), Kind::Member, group);
        self.marks.hit(Mark::Corrupted);
        ensure(read.is_err(), "Q4", || format!("a damaged frame is taken: {header:?}"))
    }

    fn call(&mut self, lane: u8, call: Call) -> Verdict {
        if call == Call::Use {
            return self.use_resource(lane);
        }
        self.with_process(lane, |process, at| process.call(at, call))
    }

    /// A client uses what its lease protects, whether it still holds it or not.
    fn use_resource(&mut self, lane: u8) -> Verdict {
        let process = &self.processes[usize::from(lane) - self.members.len()];
        let Some((scope, token)) = process.token else { return Ok(()) };
        let (fence, highest) = self.fences.entry(scope).or_default();
        let admitted = fence.admit(token).is_ok();
        ensure(admitted == (token >= *highest), "LS3", || {
            format!("the fence of {scope} has seen {highest} and says {admitted} to {token}")
        })?;
        if admitted {
            *highest = token;
        } else {
            self.marks.hit(Mark::FenceClosed);
        }
        Ok(())
    }

    /// Lets a client take a step, and sees to what came of it.
    fn with_process(&mut self, lane: u8, step: impl FnOnce(&mut Process, u64) -> Came) -> Verdict {
        let place = usize::from(lane) - self.members.len();
        let came = step(&mut self.processes[place], self.now);
        self.counts.events += 1;
        if let Some(attempt) = came.sent {
            let content = Content::Request(attempt.attempt, attempt.what, attempt.work);
            self.hash = fold(self.hash, &(lane, self.now, attempt.node, attempt.attempt));
            self.send(lane, attempt.node, &Rc::new(content));
        }
        if let Some(outcome) = &came.outcome {
            self.outcome(lane, outcome);
        }
        match came.held {
            Some((scope, until, most)) => {
                ensure(until <= most, "LS4", || {
                    format!("client {place} holds {scope} until {until:?}, granted until {most:?}")
                })?;
                self.held(place, scope, until)
            }
            None => Ok(()),
        }
    }

    fn outcome(&mut self, lane: u8, outcome: &quorate::client::Outcome<Answer>) {
        use super::vault::Response;
        use quorate::client::Outcome;
        match outcome {
            Outcome::Done(answer) => {
                self.counts.answered += 1;
                match answer {
                    Answer::Response(Response::Lease(response)) => self.marks.lease(response),
                    Answer::Response(Response::Taken(false)) => self.marks.hit(Mark::CasFailed),
                    _ => {}
                }
            }
            Outcome::Unknown => self.marks.hit(Mark::OutcomeUnknown),
            Outcome::NotTaken => self.marks.hit(Mark::OutcomeNotTaken),
            Outcome::Rejected => {}
        }
        self.tell(lane, Shape::Client, || format!("is told {outcome:?}"));
    }

    /// A client holds a lease from now on: nobody else believes to hold it.
    fn held(&mut self, place: usize, scope: Name, until: quorate::time::Instant) -> Verdict {
        let holder = &self.processes[place];
        if holder.clocks.show(self.now).mono >= until {
            return Ok(());
        }
        let others = self.processes.iter().enumerate().filter(|(other, _)| *other != place);
        let other = others.filter(|(_, other)| other.believes(self.now, scope)).next();
        ensure(other.is_none() || self.is_wild, "LS1", || {
            let other = other.map(|(other, _)| other);
            format!("client {place} holds {scope} while client {other:?} does")
        })?;
        self.tell((place + self.members.len()) as u8, Shape::Client, || format!("holds {scope}"));
        Ok(())
    }

    /// Adds a moment to the story, if it is told.
    pub fn tell(&mut self, lane: u8, what: Shape, words: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let (at, lane) = (self.now, usize::from(lane));
            trace.moments.push(Moment { at, lane, what, words: words() });
        }
    }

    fn fault(&mut self, lane: u8, words: &str) {
        self.tell(lane, Shape::Fault, || words.to_owned());
    }

    fn tell_outputs(&mut self, slot: u8, before: Glance, outputs: &[Output]) {
        let after = Glance::at(member_machine(&self.members, usize::from(slot)));
        for output in outputs {
            match output {
                Output::Persist { write, .. } => {
                    let record = crate::raft::Record(vec![*write]);
                    self.tell(slot, Shape::Written, || format!("writes {record}"));
                }
                Output::Store { snapshot } => {
                    self.tell(slot, Shape::Written, || {
                        format!("stores snapshot {}", snapshot.boundary)
                    });
                }
                Output::Send { .. } => {}
                told => self.tell(slot, Shape::Note, || format!("says {told:?}")),
            }
        }
        if after.commit() > before.commit() {
            let commit = after.commit().number();
            self.tell(slot, Shape::Committed(commit), || format!("knows {commit} committed"));
        }
    }
}

/// Who asked, where no client did.
const NOBODY: u8 = u8::MAX;

fn member_machine<H>(members: &[Member<H>], me: usize) -> &H {
    members[me].machine.as_ref().expect("a member that took a step lives")
}

/// Takes the front of a queue, if it is meant.
fn next_if<T>(queue: &mut VecDeque<T>, is_meant: impl FnOnce(&T) -> bool) -> Option<T> {
    if queue.front().is_some_and(is_meant) { queue.pop_front() } else { None }
}

const fn name(id: PacketId) -> u64 {
    id.origin << 20 | (id.place as u64) << 8 | id.to as u64
}

fn self_lane(lane: usize) -> String {
    format!("lane {lane}")
}

fn shown<E>(content: &Content<E>) -> String {
    match content {
        Content::Member(header, entries, _) => {
            let early = if header.early { " (too early)" } else { "" };
            format!("{}{early} [{}]", Shown(header.message), entries.len())
        }
        Content::Request(attempt, what, work) => format!("attempt {attempt}: {what:?} {work:?}"),
        Content::Reply(attempt, reply) => format!("to attempt {attempt}: {reply:?}"),
    }
}

/// Draws another order of the effects, in which writes keep theirs.
fn shuffle_but_writes<E>(effects: &mut [Effect<E>], rng: &mut Rng) {
    let is_write = |effect: &Effect<E>| matches!(effect, Effect::Disk(Task::Write { .. }));
    for last in (1..effects.len()).rev() {
        let other = rng.below(last as u64 + 1) as usize;
        let crosses_a_write = effects[other..=last].iter().filter(|e| is_write(e)).count() > 1;
        if !crosses_a_write {
            effects.swap(other, last);
        }
    }
}
