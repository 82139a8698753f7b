//! Three real members whose hosts may lie, before the books.

use super::super::super::hash::fold;
use super::super::super::hosted::{Answer, Hosted, Input as HostInput, Said, Setup, Work};
use super::super::super::vault::{Command, Found, Query};
use super::super::{Books, Change, Glance, Verdict};
use quorate::client::{Reply, What};
use quorate::hlc::Stamp;
use quorate::id::{ClientId, EntryId, Index, Members, Slot, Term};
use quorate::limits::BOARD;
use quorate::raft::{Base, Config, Configuration, Input, Message, Output as Below};
use quorate::raft::{Raft, Receipt, Snapshot, Write};
use quorate::replica::{Entry, Header, Output};
use quorate::time::{Instant, Now, Span, Wall};
use quorate::{Machine, Refused};
use std::collections::{BTreeMap, VecDeque};

/// What an entry carries: a number, and its time.
pub(super) type Item = (u64, Stamp);

/// What every civil clock shows, in milliseconds.
pub(super) const CIVIL: u64 = 1_790_000_000_000;

/// A real member, and what its host says of it.
#[derive(Clone, Debug)]
pub(super) struct Puppet {
    pub(super) raft: Raft,
    pub(super) applied: EntryId,
    pub(super) clock: Stamp,
    /// It applies nothing any more.
    pub(super) is_stuck: bool,
    /// Entries that are others than everybody's, or missing.
    pub(super) lies: BTreeMap<u64, Option<Item>>,
}

impl Puppet {
    fn new(raft: Raft) -> Self {
        let (applied, clock) = (EntryId::ZERO, Stamp::at_millis(CIVIL));
        Self { raft, applied, clock, is_stuck: false, lies: BTreeMap::new() }
    }

    fn item(&self, index: u64) -> Option<Item> {
        let term = self.raft.log().term_at(Index::new(index))?;
        let honest = (fold(term.number(), &index), Stamp::at_millis(CIVIL + index));
        self.lies.get(&index).copied().unwrap_or(Some(honest))
    }
}

/// The members, their disks, and the books.
pub(super) struct Stage {
    pub(super) books: Books<Item>,
    pub(super) puppets: Vec<Puppet>,
    /// Whoever hears nobody and is heard by nobody.
    pub(super) apart: Option<usize>,
    /// Whoever's disk does nothing for now.
    pub(super) slow: Option<usize>,
    /// A receipt for a write that is made up.
    pub(super) receipt: Option<Receipt>,
    pending: Vec<Vec<(Receipt, Change)>>,
    flights: VecDeque<(Slot, Slot, Message)>,
    now: Instant,
}

/// An entry's name.
pub(super) const fn entry(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), Index::new(index))
}

/// A snapshot up to an entry.
pub(super) const fn snapshot(boundary: EntryId) -> Snapshot {
    Snapshot { boundary, size: 10, digest: boundary.index.number() }
}

/// What a log goes on from after a snapshot, in a group that does not change.
pub(super) fn base(snapshot: Snapshot) -> Base {
    Base { snapshot, configuration: Configuration::of(Members::first(3)) }
}

/// One message to one member.
pub(super) fn send(to: u8, message: Message) -> Output {
    let header = Header { message, early: false, bare: false };
    Output::Send { to: Members::only(Slot::new(to)), header }
}

/// A leader's entries of a term after `prev`.
pub(super) fn append(term: u64, prev: EntryId, (of, count): (u64, u32), commit: u64) -> Message {
    let (term, entries, commit) = (Term::new(term), Term::new(of), Index::new(commit));
    Message::Append { term, prev, entries, count, commit, round: 0 }
}

/// An acknowledgement.
pub(super) const fn matched(term: u64, matched: u64) -> Message {
    Message::Matched { term: Term::new(term), matched: Index::new(matched), round: 0 }
}

/// An append to a log.
pub(super) const fn run(term: u64, first: u64, last: u64) -> Write {
    let (first, last) = (Index::new(first), Index::new(last));
    Write::Append { term: Term::new(term), first, last }
}

fn config(me: usize, voters: Members) -> Config {
    let (boot, seed) = (1, 1 + me as u64);
    let (election_timeout, heartbeat) = (Span::millis(150), Span::millis(30));
    let me = Slot::new(me as u8);
    Config {
        me,
        voters,
        since: quorate::id::Index::ZERO,
        boot,
        seed,
        election_timeout,
        heartbeat,
        clock_drift: None,
        promotion_lag: None,
        rests: false,
        limits: BOARD,
    }
}

impl Stage {
    /// Three members that have never lived before.
    pub(super) fn new() -> Self {
        let puppet = |me| Puppet::new(Raft::new(config(me, Members::first(3))).expect("sound"));
        let mut stage = Self {
            books: Books::new(3, Members::first(3), false, Span::millis(250)),
            puppets: (0..3).map(puppet).collect(),
            apart: None,
            slow: None,
            receipt: None,
            pending: vec![Vec::new(); 3],
            flights: VecDeque::new(),
            now: Instant::from_micros(1_000_000),
        };
        (0..3).for_each(|slot| stage.tell(slot, Input::Tick).expect("a right trace"));
        stage
    }

    /// n0 leads term 1, and everybody has four entries of it, applied and known to be committed.
    pub(super) fn led() -> Self {
        let mut stage = Self::new();
        stage.elect(0);
        stage.propose(0, 3);
        stage
    }

    /// The same, but n2 has heard nothing of it.
    pub(super) fn led_without_n2() -> Self {
        let mut stage = Self::new();
        stage.apart = Some(2);
        stage.elect(0);
        stage.propose(0, 3);
        stage
    }

    /// All hosts give the entry at an index this time.
    pub(super) fn stamped(&mut self, index: u64, stamp: Stamp) {
        for puppet in &mut self.puppets {
            puppet.lies.insert(index, Some((7, stamp)));
        }
    }

    pub(super) fn now(&self) -> Now {
        Now::both(self.now, Wall::from_micros(CIVIL * 1_000))
    }

    /// Gives a member an input that nobody looks at; what it says to the network is lost.
    pub(super) fn step(&mut self, slot: usize, input: Input) -> Vec<Output> {
        let now = self.now();
        let puppet = &mut self.puppets[slot];
        let (mut outputs, mut readable) = (Vec::new(), None);
        for output in puppet.raft.step_vec(now, input).expect("it may be asked that") {
            match output {
                Below::Persist { receipt, write } => {
                    outputs.push(Output::Persist { receipt, write });
                }
                Below::Send { to, message } => {
                    outputs.push(Output::Send {
                        to,
                        header: Header { message, early: false, bare: false },
                    });
                }
                Below::Committed { index } if !puppet.is_stuck => {
                    let term = puppet.raft.log().term_at(index).expect("it is in the log");
                    puppet.applied = EntryId::new(term, index);
                    outputs.push(Output::Applied { index });
                }
                Below::Leading { .. } => outputs.push(Output::Leading),
                Below::NotTransferred { to } => outputs.push(Output::NotTransferred { to }),
                Below::Following { leader, .. } => outputs.push(Output::Following { leader }),
                Below::Unreadable { read } => outputs.push(Output::Unreadable { read }),
                Below::Reading { read } => outputs.push(Output::Reading { read }),
                Below::Readable { read, .. } => readable = Some(read),
                Below::Committed { .. } | Below::SnapshotReceived { .. } => {}
            }
        }
        outputs.extend(readable.map(|read| Output::Readable { read }));
        outputs
    }

    /// Shows the books that a member, which was as `before`, is as it is now and says this.
    pub(super) fn judge(&mut self, slot: usize, before: Glance, outputs: &[Output]) -> Verdict {
        let (now, mut changes) = (self.now(), Vec::new());
        self.books.stepped(slot, before, &self.puppets[slot], now, outputs, &mut changes)?;
        let mut changes = changes.into_iter();
        for output in outputs {
            match *output {
                Output::Persist { receipt, .. } => {
                    let mut change = changes.next().expect("one for each write");
                    if let Change::Rebase(_, _, trail) = &mut change {
                        *trail = self.books.trail(slot).clone();
                    }
                    self.receipt = Some(receipt);
                    self.pending[slot].push((receipt, change));
                }
                Output::Send { to, header } => {
                    let from = Slot::new(slot as u8);
                    self.flights.extend(to.iter().map(|to| (from, to, header.message)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Shows the books that a member says this, of itself.
    pub(super) fn says(&mut self, slot: usize, output: Output) -> Verdict {
        self.judge(slot, Glance::at(&self.puppets[slot]), &[output])
    }

    /// Gives a member an input, before the books; its disk works at once.
    pub(super) fn tell(&mut self, slot: usize, input: Input) -> Verdict {
        let before = Glance::at(&self.puppets[slot]);
        let outputs = self.step(slot, input);
        self.judge(slot, before, &outputs)?;
        if self.slow == Some(slot) { Ok(()) } else { self.persist(slot) }
    }

    /// A member hears a message.
    pub(super) fn hears(&mut self, slot: usize, from: u8, message: Message) -> Verdict {
        self.tell(slot, Input::Message { from: Slot::new(from), message })
    }

    /// What a member has written is durable.
    pub(super) fn persist(&mut self, slot: usize) -> Verdict {
        let mut newest = None;
        for (receipt, change) in std::mem::take(&mut self.pending[slot]) {
            self.books.durable(slot, &change);
            newest = Some(receipt);
        }
        newest.map_or(Ok(()), |receipt| self.tell(slot, Input::Persisted(receipt)))
    }

    /// What a member has written and is not durable.
    pub(super) fn under_way(&self, slot: usize) -> Vec<Change> {
        self.pending[slot].iter().map(|(_, change)| change.clone()).collect()
    }

    /// Delivers everything, and what comes of it.
    pub(super) fn settle(&mut self) -> Verdict {
        while let Some((from, to, message)) = self.flights.pop_front() {
            if ![from, to].iter().any(|end| self.apart == Some(end.position())) {
                self.hears(to.position(), from.number(), message)?;
            }
        }
        Ok(())
    }

    /// Lets time pass up to a member's deadline, and all that comes of it.
    pub(super) fn ring(&mut self, slot: usize) -> Verdict {
        let deadline = Machine::deadline(&self.puppets[slot].raft);
        self.now = self.now.max(deadline.unwrap_or(self.now));
        self.tell(slot, Input::Tick)?;
        self.settle()
    }

    /// A member campaigns, and wins.
    pub(super) fn elect(&mut self, slot: usize) {
        self.ring(slot).expect("a right trace");
        assert!(self.puppets[slot].raft.leads());
    }

    /// A leader is asked for entries, and everybody hears of them.
    pub(super) fn propose(&mut self, slot: usize, count: u32) {
        self.tell(slot, Input::Propose { count }).expect("a right trace");
        self.settle().expect("a right trace");
    }

    /// A member forgets that there are others: it is a group of its own from now on, and all changes
    /// since are entries to it.
    pub(super) fn usurp(&mut self, slot: usize) {
        let only = Members::only(Slot::new(slot as u8));
        let writes: Vec<_> = self.puppets[slot].raft.image().collect();
        let mut raft = Raft::new(config(slot, only)).expect("sound");
        for write in &writes {
            raft.replay(&match *write {
                Write::Configure { entry: EntryId { term, index }, .. } => {
                    Write::Append { term, first: index, last: index }
                }
                write => write,
            });
        }
        self.puppets[slot].raft = raft;
        self.tell(slot, Input::Tick).expect("it only looks at the clock");
    }

    /// A member gives its vote in a term, as far as the books can tell: it is on its disk.
    pub(super) fn bribe(&mut self, slot: usize, candidate: u8, term: u64) {
        let (term, vote) = (Term::new(term), Some(Slot::new(candidate)));
        self.books.durable(slot, &Change::Ballot(term, vote));
        let grants = send(candidate, Message::VoteReply { term, granted: true });
        self.says(slot, grants).expect("it has not voted yet");
    }

    /// A member comes back from this on its disk, and not from what was there.
    pub(super) fn comes_back(
        &mut self,
        slot: usize,
        (snapshot, writes): (Option<Snapshot>, &[Write]),
        attempted: &[Change],
    ) -> Verdict {
        self.books.crashed(slot);
        self.pending[slot].clear();
        let config = Config { boot: 2, ..config(slot, Members::first(3)) };
        let mut raft = Raft::recover(config, snapshot.map(base)).expect("sound");
        writes.iter().for_each(|write| raft.replay(write));
        let Puppet { clock, lies, .. } = self.puppets[slot].clone();
        let applied = raft.log().floor();
        let clock = clock.max(Stamp::at_millis(CIVIL + 100));
        self.puppets[slot] = Puppet { applied, clock, lies, ..Puppet::new(raft) };
        self.books.recovered(slot, &self.puppets[slot], attempted, snapshot)
    }
}

impl Hosted for Puppet {
    type Entry = Item;
    type Request = u64;

    fn boot(
        _: &Setup,
        _: Slot,
        _: u64,
        _: Option<(Snapshot, &[u8])>,
        _: &[(Write, Vec<Item>)],
    ) -> Result<Self, String> {
        Err("it is started by hand".to_owned())
    }
    fn step(&mut self, _: Now, _: HostInput<'_, Self>, _: &mut Said) -> Result<(), Refused> {
        Err(Refused::Stopped)
    }
    fn max_outputs(&self) -> usize {
        0
    }
    fn deadline(&self) -> Option<Instant> {
        None
    }
    fn raft(&self) -> &Raft {
        &self.raft
    }
    fn applied(&self) -> EntryId {
        self.applied
    }
    fn entries(&self, first: Index, last: Index) -> Vec<Item> {
        (first.number()..=last.number()).filter_map(|index| self.item(index)).collect()
    }
    fn entries_of(&self, _: &Header) -> Vec<Item> {
        Vec::new()
    }
    fn chunk_of(&self, _: &Header) -> &[u8] {
        &[]
    }
    fn bytes_of(&self, _: &Snapshot) -> &[u8] {
        &[]
    }
    fn image(&self) -> Vec<Write> {
        self.raft.image().collect()
    }
    fn state(&self) -> Vec<u8> {
        Vec::new()
    }
    fn stamp(item: &Item) -> Option<Stamp> {
        Some(item.1)
    }
    fn clock(&self) -> Option<Stamp> {
        Some(self.clock)
    }
    fn body(_: &Item) -> Option<&Entry<Command>> {
        None
    }
    fn request(_: What, _: Option<&Work>) -> Option<u64> {
        None
    }
    fn reply(&self, _: ClientId, _: u64) -> Reply<Answer> {
        Reply::Unknown
    }
    fn find(&self, _: &Query) -> Found {
        Found::Register(0)
    }
    fn numbered(_: u64) -> Option<u64> {
        None
    }
}
