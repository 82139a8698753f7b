//! The group, its disks, its clocks and its clients, and what one action does to them.
//!
//! Nothing here draws a number: every chance is in the [`Action`]. So a run is its list of actions,
//! and a list with some left out is a run too.

use super::action::{Act, Action, PacketId};
use super::clock::Clocks;
use super::counts::Counts;
use super::hash::fold;
use super::hosted::{Answer, Hosted, Input, Said, Setup, Work};
use super::marks::{Mark, Marks};
use super::oracle::{Books, Change, Reference, Verdict, Violation, ensure};
use super::process::Process;
use super::seats::Seats;
use super::store::{Kept, Store, Task};
use super::story::{name, shown};
use crate::trace::{Trace, What as Shape};
use quorate::client::{Reply, What};
use quorate::id::{ClientId, Index, Slot, Term};
use quorate::lease::holder;
use quorate::lease::{Fence, Name, Token};
use quorate::raft::{Read, Write};
use quorate::replica::Header;
use quorate::rng::Rng;
use quorate::time::Wall;
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
    /// How many had the slots at both ends before who has sent it, and before whom it is for.
    pub sittings: (u32, u32),
    /// All know that its sender was removed.
    pub is_out: bool,
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
pub(super) struct Asked {
    pub(super) client: u8,
    pub(super) attempt: u64,
    pub(super) session: Option<(ClientId, u64)>,
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
    /// What its civil clock showed when it last died.
    pub(super) showed: Option<Wall>,
    /// Its disk is gone or refused: it will not start again.
    pub is_lost: bool,
    pub(super) waiting: VecDeque<(Index, Asked)>,
    pub(super) reading: VecDeque<(Read, Asked, Option<Work>)>,
}

/// What a host does with one output.
#[derive(Debug)]
pub(super) enum Effect<E> {
    Disk(Task),
    Send(Slot, Rc<Content<E>>),
    Reply(u8, Rc<Content<E>>),
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
    /// How large a file of a log is.
    pub(super) segment_bytes: u64,
    /// What was sent in the last action.
    pub sent: Vec<Packet<H::Entry>>,
    /// The oracles' books.
    pub books: Books<H::Entry>,
    pub(super) reference: Reference,
    pub(super) fences: BTreeMap<Name, (Fence, Token)>,
    /// Which life has which slot.
    pub(super) seats: Seats,
    /// What happened, and how often.
    pub marks: Marks,
    /// How many of each thing happened.
    pub counts: Counts,
    /// A fold of everything that machines were told and have said.
    pub hash: u64,
    /// A member has led whose clock was further behind than the group was set up for, or that had
    /// none: leases may overlap.
    pub is_wild: bool,
    /// Who was last told to take its leader's place and asked for votes, and in which term.
    pub(super) successor: Option<(usize, Term)>,
    /// A leader retires in this very step.
    pub(super) has_retired: bool,
    /// The story, if it is to be told.
    pub trace: Option<Trace>,
    pub(super) now: u64,
    pub(super) said: Said,
    pub(super) changes: Vec<Change>,
    pub(super) effects: Vec<Effect<H::Entry>>,
    /// The number of the action under way, and how many packets it has sent.
    pub(super) number: u64,
    pub(super) place: u16,
    /// The number of the next proposal that no client made.
    pub(super) proposal: u64,
}

impl<H: Hosted> World<H> {
    /// A group that has never lived before, with so many clients; nobody is started yet.
    pub fn new(setup: Setup, clients: u8, segment_bytes: u64, margin: holder::Config) -> Self {
        let is_seated = |slot: u8| setup.roster.is_none() || slot < setup.founders;
        let members = (0..setup.members)
            .map(|slot| Member {
                machine: None,
                store: Store::new(segment_bytes, setup.seed ^ u64::from(slot)),
                clocks: Clocks::starting_at(1_000_000),
                lives: 0,
                showed: None,
                is_lost: !is_seated(slot),
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
            books: Books::new(setup.members, setup.founders(), setup.informed, setup.max_offset),
            reference: Reference::new(setup.limits),
            processes: (0..clients).map(process).collect(),
            members,
            segment_bytes,
            sent: Vec::new(),
            fences: BTreeMap::new(),
            seats: Seats::new(setup.members, setup.founders()),
            marks: Marks::default(),
            counts: Counts::default(),
            hash: setup.seed,
            is_wild: false,
            successor: None,
            has_retired: false,
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

    /// Starts everybody for the first time. Nothing can go wrong with an empty disk.
    pub(super) fn begin(&mut self) {
        for slot in 0..self.setup.members {
            let started = self.start(slot);
            debug_assert!(started.is_ok(), "{started:?}");
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
            Act::Suspect(slot, of) => {
                let machine = self.members[usize::from(slot)].machine.as_ref();
                if machine.is_some_and(|machine| machine.raft().is_resting()) {
                    self.marks.hit(Mark::Doubted);
                }
                self.step(action, slot, Input::Suspect(Slot::new(of)), None).map(drop)
            }
            Act::Transfer(slot, to) => self.transfer(action, slot, to),
            Act::Change(slot, edit) => self.change(action, slot, edit),
            Act::Admit(slot, admission) => self.admit(action, slot, admission),
            Act::Dismiss(slot, life) => self.dismiss(action, slot, life),
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
            Act::Forget(slot) => {
                self.crash(slot, Kept::None);
                self.members[usize::from(slot)].store.empty();
                self.books.forgot(usize::from(slot));
                self.fault(slot, "its disk is replaced by an empty one");
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

    pub(super) fn clocks(&mut self, lane: u8) -> &mut Clocks {
        let (lane, members) = (usize::from(lane), self.members.len());
        match self.members.get_mut(lane) {
            Some(member) => &mut member.clocks,
            None => &mut self.processes[lane - members].clocks,
        }
    }

    /// Starts a member from its disk, unless the disk is gone or refuses.
    pub(super) fn start(&mut self, slot: u8) -> Verdict {
        let me = usize::from(slot);
        let member = &mut self.members[me];
        if member.machine.is_some() || member.is_lost {
            return Ok(());
        }
        member.lives += 1;
        let shows = member.clocks.show(self.now).wall;
        if member.showed.zip(shows).is_some_and(|(before, now)| now < before) {
            self.marks.hit(Mark::ClockBackAtStart);
        }
        member.clocks.reset(self.now, 1_000_000 + member.lives * 7_777_777);
        let found = match member.store.open::<H::Entry>() {
            Ok(found) => found,
            Err(why) => {
                ensure(member.store.is_rotten(), "D1", || {
                    format!("n{slot} does not start from a disk that is sound: {why}")
                })?;
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
        self.books.goes_by_the_newest(me, &machine)?;
        if self.books.disk(me).trail.last() > before {
            self.marks.hit(Mark::MoreThanDurable);
        }
        if name.is_some_and(|name| {
            found.writes.iter().all(
                |(write, _)| !matches!(write, Write::Rebase { base, .. } if base.snapshot == name),
            )
        }) {
            self.marks.hit(Mark::SnapshotAhead);
        }
        self.members[me].machine = Some(machine);
        self.see_roster(slot)
    }

    /// A member's disk is of no more use.
    pub(super) fn give_up(&mut self, slot: u8, why: &str) {
        self.members[usize::from(slot)].is_lost = true;
        self.fault(slot, why);
    }

    /// Ends a member.
    pub(super) fn crash(&mut self, slot: u8, kept: Kept) {
        let member = &mut self.members[usize::from(slot)];
        if member.machine.take().is_none() {
            return;
        }
        member.store.crash(kept);
        member.showed = member.clocks.show(self.now).wall;
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

    /// Clients' questions that members have taken and not answered.
    pub fn open_questions(&self) -> usize {
        self.members.iter().map(|member| member.waiting.len() + member.reading.len()).sum()
    }

    pub(super) fn send(&mut self, from: u8, to: u8, content: &Rc<Content<H::Entry>>) {
        let id = PacketId { origin: self.number, place: self.place, to };
        self.place += 1;
        let life = self.members.get(usize::from(from)).map_or(0, |member| member.lives);
        if self.trace.is_some() {
            let (words, of) = (shown(content), self.lane(to));
            let (message, to) = (name(id), usize::from(to));
            self.tell(from, Shape::Sent { message, to }, || format!("→ {of} {words}"));
        }
        let (sittings, is_out) = (self.seats.ends(from, to), self.is_out(from));
        self.sent.push(Packet { id, from, life, sittings, is_out, content: Rc::clone(content) });
    }

    pub(super) fn deliver(&mut self, action: &Action, packet: &Packet<H::Entry>) -> Verdict {
        let (lane, from) = (packet.id.to, packet.from);
        if self.trace.is_some() {
            let alive = self.members.get(usize::from(lane)).is_none_or(|m| m.machine.is_some());
            let message = name(packet.id);
            let shape = if alive { Shape::Heard { message } } else { Shape::Lost { message } };
            let (words, of) = (shown(&packet.content), self.lane(from));
            self.tell(lane, shape, || format!("hears {of} {words}"));
        }
        match &*packet.content {
            Content::Member(header, entries, chunk) => {
                let sender = self.members[usize::from(from)].lives;
                if packet.life != sender {
                    self.marks.hit(Mark::OldLife);
                }
                if !self.seats.takes(packet) {
                    self.marks.hit(Mark::OtherLife);
                    return Ok(());
                }
                let before = self.reign_of(lane);
                let (from, header) = (Slot::new(from), *header);
                let input = Input::Message { from, header, entries, chunk };
                self.step(action, lane, input, None)?.ok();
                self.disturbed(packet, before)
            }
            Content::Request(attempt, what, work) => {
                self.request(action, lane, from, (*attempt, *what), work.as_ref())
            }
            Content::Reply(attempt, reply) => self
                .with_process(lane, |process, at| process.hear(at, from, *attempt, reply.clone())),
        }
    }

    /// A copy of a frame comes in at another group, and a damaged one: both must be refused.
    pub(super) fn corrupt(&mut self, packet: &Packet<H::Entry>, seed: u64) -> Verdict {
        use quorate_host::frame::{self, Kind};
        let Content::Member(header, entries, chunk) = &*packet.content else { return Ok(()) };
        let group = quorate::id::GroupId::new(1);
        let Ok(mut frame) = frame::encode(Kind::Member, group, &(header, entries, chunk)) else {
            return Ok(());
        };
        type Message<E> = (Header, Vec<E>, Vec<u8>);
        let read = |mut bytes: &[u8], group| {
            let read: Result<Message<H::Entry>, _> =
                frame::read(&mut bytes, &mut Vec::new(), Kind::Member, group);
            read.is_ok()
        };
        self.marks.hit(Mark::OtherGroup);
        let is_told_apart = read(&frame, group) && !read(&frame, quorate::id::GroupId::new(2));
        ensure(is_told_apart, "Q4", || format!("a frame is not its group's alone: {header:?}"))?;
        let mut rng = Rng::new(seed);
        if rng.below(4) == 0 {
            frame.truncate(rng.below(frame.len() as u64) as usize);
        } else {
            let bit = rng.below(frame.len() as u64 * 8) as usize;
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        self.marks.hit(Mark::Corrupted);
        ensure(!read(&frame, group), "Q4", || format!("a damaged frame is taken: {header:?}"))
    }
}

pub(super) fn member_machine<H>(members: &[Member<H>], me: usize) -> &H {
    members[me].machine.as_ref().expect("a member that took a step lives")
}
