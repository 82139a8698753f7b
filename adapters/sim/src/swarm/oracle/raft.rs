//! The promises of Raft (Ongaro and Ousterhout 2014, figure 3; Ongaro 2014, 3.6 and 6.4) and of the
//! clock that stamps its entries.

use super::super::hash::fold;
use super::super::hosted::Hosted;
use super::configuration::{Configurations, InForce, Leader, is_quorum, may_follow};
use super::{Canon, Change, Disk, Trail, Verdict, ensure};
use quorate::id::{EntryId, Index, Members, Slot, Term};
use quorate::raft::{Configuration, Message, Read, Snapshot, Write};
use quorate::replica::Output;
use quorate::time::{Now, Span};
use std::collections::{BTreeMap, VecDeque};

/// What a member looked like before a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    term: Term,
    commit: Index,
    last: EntryId,
    floor: EntryId,
    leads: bool,
}

impl Glance {
    /// A look at a member.
    pub fn at<H: Hosted>(machine: &H) -> Self {
        let raft = machine.raft();
        Self {
            term: raft.term(),
            commit: raft.commit(),
            last: raft.log().last(),
            floor: raft.log().floor(),
            leads: raft.leads(),
        }
    }

    /// Up to where it knew entries to be committed.
    pub const fn commit(&self) -> Index {
        self.commit
    }

    /// Where its log began and ended.
    pub const fn log(&self) -> (EntryId, EntryId) {
        (self.floor, self.last)
    }

    /// Whether it led, and in which term.
    pub fn reign(&self) -> Option<Term> {
        self.leads.then_some(self.term)
    }
}

/// What is known of one member. Of one whose disk is gone for good, what was on it: it has counted
/// where it counted, and will not vote again.
#[derive(Clone, Debug, Default)]
struct Member {
    /// The log it works with, and what is on its disk.
    trail: Trail,
    disk: Disk,
    /// The newest term in which it promised anything to anyone, and the vote it gave in it.
    spoken: Term,
    vote: Option<Slot>,
    applied: Index,
    /// Reads that it took: what must be applied before each is served.
    reads: VecDeque<(Read, u64)>,
    clock: Option<quorate::hlc::Stamp>,
    /// How many had this slot before it.
    sitting: u32,
}

/// A leader, with its log as of its election.
#[derive(Clone, Debug)]
struct Reign {
    leader: Slot,
    sitting: u32,
    trail: Trail,
}

/// Everything that the group's members have done, as far as Raft's promises go.
#[derive(Clone, Debug)]
pub struct Books<E> {
    members: Vec<Member>,
    /// The disks of those that had a slot once, and do not come back: they count where they counted.
    former: Vec<(usize, Disk)>,
    canon: Canon,
    configurations: Configurations,
    /// The committed entries, from the first.
    entries: Vec<(EntryId, E)>,
    /// Payloads that are not known to be committed yet, by index and link.
    made: BTreeMap<(u64, u64), (EntryId, E)>,
    reigns: BTreeMap<Term, Reign>,
    /// Who voted for whom in each term.
    votes: BTreeMap<(Term, Slot), Members>,
    /// Up to where each term's leader has committed.
    committed_in: BTreeMap<Term, u64>,
    /// The highest index that any host was told to be applied.
    acknowledged: u64,
    /// The digest of the snapshot at each boundary, and its name.
    snapshots: BTreeMap<u64, Snapshot>,
    max_offset: Span,
}

impl<E: Clone + std::hash::Hash + std::fmt::Debug> Books<E> {
    /// A group that has done nothing yet; whoever has not founded it may join, `informed` of who has.
    pub fn new(members: u8, founders: Members, informed: bool, max_offset: Span) -> Self {
        Self {
            members: (0..members).map(|_| Member::default()).collect(),
            former: Vec::new(),
            canon: Canon::new(),
            configurations: Configurations::new(founders, informed),
            entries: Vec::new(),
            made: BTreeMap::new(),
            reigns: BTreeMap::new(),
            votes: BTreeMap::new(),
            committed_in: BTreeMap::new(),
            acknowledged: 0,
            snapshots: BTreeMap::new(),
            max_offset,
        }
    }

    /// The committed entries above an index, in order.
    pub fn committed_after(&self, index: u64) -> &[(EntryId, E)] {
        self.entries.get(index as usize..).unwrap_or(&[])
    }

    /// The last index that is committed.
    pub fn last_committed(&self) -> u64 {
        self.canon.last_committed()
    }

    /// How many terms have had a leader.
    pub fn reigns(&self) -> usize {
        self.reigns.len()
    }

    /// The log that a member works with.
    pub fn trail(&self, slot: usize) -> &Trail {
        &self.members[slot].trail
    }

    /// What is on a member's disk.
    pub fn disk(&self, slot: usize) -> &Disk {
        &self.members[slot].disk
    }

    /// The configuration that a member goes by: the newest in the log that it works with.
    pub fn in_force(&self, slot: usize) -> Configuration {
        self.newest(slot, u64::MAX).configuration
    }

    /// The same as of an index.
    fn newest(&self, slot: usize, up_to: u64) -> InForce {
        self.configurations.in_force(slot, &self.members[slot].trail, &self.canon, up_to)
    }

    /// Whether a member does not belong to the group by the newest committed configuration.
    pub fn is_stranger(&self, slot: usize) -> bool {
        !self.agreed().members().contains(Slot::new(slot as u8))
    }

    /// The newest committed configuration.
    pub fn agreed(&self) -> Configuration {
        let committed = Trail::above(self.last_committed(), Canon::ROOT);
        self.configurations.in_force(0, &committed, &self.canon, u64::MAX).configuration
    }

    /// Whether everybody who belongs to the group, as agreed, goes by that.
    pub fn all_know(&self, agreed: &Configuration) -> bool {
        agreed.members().iter().all(|slot| self.in_force(slot.position()) == *agreed)
    }

    /// A write became durable on a member.
    pub fn durable(&mut self, slot: usize, change: &Change) {
        self.members[slot].disk.take(change);
    }

    /// A member took a step: checks all that it says, and returns the change that each of its
    /// writes is, in order.
    ///
    /// # Errors
    /// The first promise that it broke.
    pub fn stepped<H: Hosted<Entry = E>>(
        &mut self,
        slot: usize,
        before: Glance,
        machine: &H,
        now: Now,
        outputs: &[Output],
        changes: &mut Vec<Change>,
    ) -> Verdict {
        let raft = machine.raft();
        let after = Glance::at(machine);
        if after == before && outputs.is_empty() {
            return Ok(());
        }
        if after.floor != before.floor {
            self.floor_rose(slot, after.floor)?;
        }
        for output in outputs {
            match output {
                Output::Persist { write, .. } => {
                    let change = self.wrote(slot, before, machine, now, write)?;
                    changes.push(change);
                }
                Output::Send { to, header } => {
                    self.sent(slot, to.iter().next(), &header.message)?
                }
                Output::Leading => self.elected(slot, after.term)?,
                Output::Following { .. } => self.members[slot].reads.clear(),
                Output::Reading { read } => {
                    let need = self.acknowledged;
                    self.members[slot].reads.push_back((*read, need));
                }
                Output::Readable { read } => self.served(slot, *read, machine)?,
                Output::Unreadable { read } => {
                    self.members[slot].reads.retain(|(name, _)| *name > *read)
                }
                Output::Applied { .. }
                | Output::Store { .. }
                | Output::Submitted { .. }
                | Output::NotTransferred { .. } => {}
            }
        }
        ensure(after.commit >= before.commit, "R6", || {
            format!("n{slot}'s commit fell from {} to {}", before.commit, after.commit)
        })?;
        ensure(after.commit <= after.last.index, "R6", || {
            format!(
                "n{slot} holds entries up to {} and calls {} committed",
                after.last, after.commit
            )
        })?;
        ensure(after.term >= before.term, "R8", || format!("n{slot}'s term fell"))?;
        if after.commit > before.commit {
            self.committed(slot, &before, &after)?;
        }
        self.applied(slot, machine)?;
        let clock = machine.clock();
        let was = self.members[slot].clock.replace_if(clock);
        ensure(was <= clock, "C5", || format!("n{slot}'s clock fell from {was:?} to {clock:?}"))?;
        let limits = raft.config().limits;
        let held = after.last.index.above(after.floor.index);
        ensure(
            held <= limits.entries as u64 && raft.log().runs().len() <= limits.runs,
            "Q1",
            || format!("n{slot} holds {held} entries in {} runs", raft.log().runs().len()),
        )
    }

    /// The log was compacted, or a snapshot took its place.
    fn floor_rose(&mut self, slot: usize, floor: EntryId) -> Verdict {
        let index = floor.index.number();
        let link = self.canon.link(floor);
        let committed = self.canon.committed(index);
        ensure(link.is_some() && link == committed, "R12", || {
            format!("n{slot}'s snapshot ends in {floor}, which is not committed")
        })?;
        let trail = &mut self.members[slot].trail;
        if trail.at(index) == link {
            trail.raise(index);
        } else {
            *trail = Trail::above(index, link.unwrap_or(Canon::ROOT));
        }
        Ok(())
    }

    /// A member's log has changed: it goes by the newest configuration in it, committed or not.
    ///
    /// # Errors
    /// R10 if it goes by another.
    pub fn goes_by_the_newest<H: Hosted<Entry = E>>(&self, slot: usize, machine: &H) -> Verdict {
        let (newest, here) = (self.in_force(slot), machine.raft().configuration());
        ensure(*here == newest, "R10", || {
            format!("n{slot} goes by {here}, and the newest in its log is {newest}")
        })
    }

    /// A leader no longer votes and stops leading, of itself.
    ///
    /// # Errors
    /// R10 if its removal is not committed.
    pub fn retired(&self, slot: usize, commit: Index) -> Verdict {
        let InForce { at, configuration } = self.newest(slot, u64::MAX);
        let votes = configuration.electorate().contains(Slot::new(slot as u8));
        ensure(!votes && at <= commit.number(), "R10", || {
            format!("n{slot} retires at commit {commit}; {configuration} is that of {at}")
        })
    }

    /// A write was handed over: it follows what the member holds.
    fn wrote<H: Hosted<Entry = E>>(
        &mut self,
        slot: usize,
        before: Glance,
        machine: &H,
        now: Now,
        write: &Write,
    ) -> Result<Change, super::Violation> {
        let (term, first, last, configuration) = match *write {
            Write::Ballot { term, vote } => return Ok(Change::Ballot(term, vote)),
            Write::Rebase { term, vote, base } => {
                let boundary = base.snapshot.boundary.index;
                let then = self.newest(slot, boundary.number()).configuration;
                ensure(base.configuration == then, "R12", || {
                    let says = base.configuration;
                    format!("n{slot}'s snapshot at {boundary} says {says}, and it was {then}")
                })?;
                return Ok(Change::Rebase(term, vote, self.members[slot].trail.clone()));
            }
            Write::Append { term, first, last } => (term, first.number(), last.number(), None),
            Write::Configure { entry, configuration } => {
                let index = entry.index.number();
                (entry.term, index, index, Some(configuration))
            }
        };
        let leads = machine.raft().leads() && machine.raft().term() == term;
        let trail = &mut self.members[slot].trail;
        let led = before.reign() == Some(term) && leads;
        ensure(!led || first == trail.last() + 1, "R2", || {
            format!("n{slot} leads term {term} and overwrites from {first} on")
        })?;
        trail.cut(first);
        ensure(trail.last() + 1 == first, "R6", || format!("n{slot} leaves a gap before {first}"))?;
        let entries = machine.entries(Index::new(first), Index::new(last));
        ensure(entries.len() as u64 == last + 1 - first, "R3", || {
            format!("n{slot} has no payload for some of {first} to {last}")
        })?;
        let in_force = configuration.map(|_| self.newest(slot, first - 1));
        let mut links = Vec::with_capacity(entries.len());
        let commit = machine.raft().commit().number();
        let mut link = self.members[slot].trail.end();
        let mut index = first - 1;
        for entry in entries {
            let previous = self.canon.stamp(index, link);
            index += 1;
            let id = EntryId::new(term, Index::new(index));
            let stamp = H::stamp(&entry);
            let is_new = self.canon.link(id).is_none();
            // What a leader appends by itself stands above the entry before it, whatever its clock is.
            let is_own = is_new && leads && (!led && index == first || configuration.is_some());
            ensure(previous.is_none() || stamp > previous, "C1", || {
                format!("{id} has stamp {stamp:?} after {previous:?}")
            })?;
            if let (Some(stamp), Some(wall)) = (stamp, now.wall) {
                let most = wall.as_millis() + self.max_offset.as_millis();
                ensure(is_own || index <= commit || stamp.millis() <= most, "C3", || {
                    format!("n{slot} takes {id}, whose stamp is {} ms ahead", stamp.millis() - most)
                })?;
                ensure(!(is_new && leads) || stamp.millis() >= wall.as_millis(), "C2", || {
                    format!("n{slot} stamps {id} behind its own clock")
                })?;
            }
            link = fold(link, &(term, &entry));
            if let Err(other) = self.canon.note(id, link, stamp) {
                return Err(super::Violation {
                    oracle: "R3",
                    what: format!(
                        "n{slot} holds another {id} ({link:x}) than was made ({other:x})"
                    ),
                });
            }
            if let (Some(configuration), Some(before)) = (configuration, in_force) {
                self.configurations.note(index, link, configuration)?;
                let at_commit = self.members[slot].trail.at(commit);
                let commit_term = at_commit.and_then(|link| self.canon.term(commit, link));
                let hands_over = machine.raft().is_transferring();
                let leader = Leader { slot, term, commit, commit_term, hands_over };
                if is_new {
                    may_follow(&leader, before, (id, &configuration))?;
                }
            }
            if is_new {
                self.made.insert((index, link), (id, entry));
            }
            self.members[slot].trail.push(link);
            links.push(link);
        }
        Ok(Change::Append(first, links))
    }

    fn sent(&mut self, slot: usize, to: Option<Slot>, message: &Message) -> Verdict {
        match *message {
            Message::Vote { term, .. } => self.voted(slot, term, Slot::new(slot as u8)),
            Message::VoteReply { term, granted: true } => match to {
                Some(candidate) => self.voted(slot, term, candidate),
                None => Ok(()),
            },
            Message::Matched { term, matched, .. } => self.acknowledged(slot, term, matched),
            Message::Conflict { term, .. } => self.answered(slot, term),
            _ => Ok(()),
        }
    }

    /// A member answers a leader, who may count that as a sign that it still follows. It may forget
    /// that it did, and so it is held to what it said before, but not to this.
    fn answered(&self, slot: usize, term: Term) -> Verdict {
        let spoken = self.members[slot].spoken;
        ensure(term >= spoken, "R8", || {
            format!("n{slot} answers in {term} after it spoke in {spoken}")
        })
    }

    /// A member gives its vote, to itself or to another.
    fn voted(&mut self, slot: usize, term: Term, candidate: Slot) -> Verdict {
        let member = &mut self.members[slot];
        let other = member.vote.filter(|vote| member.spoken == term && *vote != candidate);
        ensure(term >= member.spoken && other.is_none(), "R8", || {
            let (spoken, other) = (member.spoken, other);
            format!("n{slot} votes for n{candidate} in {term} after {other:?} in {spoken}")
        })?;
        let on_disk = (member.disk.term, member.disk.vote);
        ensure(on_disk == (term, Some(candidate)), "R8", || {
            format!("n{slot} votes for n{candidate} in {term}, but on its disk is {on_disk:?}")
        })?;
        (member.spoken, member.vote) = (term, Some(candidate));
        let votes = self.votes.entry((term, candidate)).or_insert(Members::NONE);
        *votes = votes.with(Slot::new(slot as u8));
        Ok(())
    }

    /// A member says that its log matches its leader's up to an index.
    fn acknowledged(&mut self, slot: usize, term: Term, matched: Index) -> Verdict {
        let index = matched.number();
        let leaders = self.leader_link(term, index);
        let member = &mut self.members[slot];
        ensure(term >= member.spoken, "R8", || {
            format!("n{slot} acknowledges in {term} after it spoke in {}", member.spoken)
        })?;
        ensure(member.disk.term >= term, "R9", || {
            format!("n{slot} acknowledges in {term} and has {} on its disk", member.disk.term)
        })?;
        if term > member.spoken {
            (member.spoken, member.vote) = (term, None);
        }
        let is_covered = index <= member.disk.covered.max(member.disk.trail.floor());
        let is_there = leaders.is_some() && member.disk.trail.at(index) == leaders;
        let is_so = is_there || is_covered && self.canon.committed(index) == leaders;
        ensure(index == 0 || is_so, "R9", || {
            let (last, here) = (member.disk.trail.last(), member.disk.trail.at(index));
            format!(
                "n{slot} acknowledges {index} in {term}: its disk reaches {last}, \
                 and holds {here:x?} where the leader has {leaders:x?}"
            )
        })
    }

    /// What stood at an index in the log of a term's leader.
    fn leader_link(&self, term: Term, index: u64) -> Option<u64> {
        let reign = self.reigns.get(&term)?;
        if index < reign.trail.floor() {
            self.canon.committed(index)
        } else if index <= reign.trail.last() {
            reign.trail.at(index)
        } else {
            self.canon.link(EntryId::new(term, Index::new(index)))
        }
    }

    fn elected(&mut self, slot: usize, term: Term) -> Verdict {
        let leader = Slot::new(slot as u8);
        let trail = self.members[slot].trail.clone();
        let sitting = self.members[slot].sitting;
        if let Some(other) = self.reigns.get(&term) {
            let is_same = (other.leader, other.sitting) == (leader, sitting);
            return ensure(is_same, "R1", || {
                format!("n{} and n{slot} both lead in term {term}", other.leader)
            });
        }
        // It has its own vote, which one that is alone need not tell.
        self.voted(slot, term, leader)?;
        let votes = self.votes.get(&(term, leader)).copied().unwrap_or(Members::NONE);
        // Its first entry is no configuration, so this is what it asked for votes by.
        let configuration = self.in_force(slot);
        ensure(is_quorum(&configuration, votes), "R1", || {
            format!("n{slot} leads term {term} by {} votes in {configuration}", votes.len())
        })?;
        ensure(!configuration.witnesses().contains(leader), "R10", || {
            format!("n{slot} leads term {term} and is a witness in {configuration}")
        })?;
        let needs = self.committed_in.range(..term).map(|(_, index)| *index).max().unwrap_or(0);
        let is_complete = needs <= trail.floor() || trail.at(needs) == self.canon.committed(needs);
        ensure(is_complete, "R4", || {
            format!("n{slot} leads term {term} without the committed entry {needs}")
        })?;
        self.reigns.insert(term, Reign { leader, sitting, trail });
        Ok(())
    }

    /// A member knows more entries to be committed.
    fn committed(&mut self, slot: usize, before: &Glance, after: &Glance) -> Verdict {
        let commit = after.commit.number();
        // It may step down in the very step.
        let led = before.reign() == Some(after.term);
        let leads = after.leads || led;
        if led {
            self.counted(slot, after)?;
        }
        let from = before.commit.number().max(self.members[slot].trail.floor());
        for index in from + 1..=commit {
            let here = self.members[slot].trail.at(index);
            match self.canon.committed(index) {
                Some(link) => ensure(here == Some(link), "R5", || {
                    format!(
                        "n{slot} calls another entry {index} committed: {here:x?}, not {link:x}"
                    )
                })?,
                None => {
                    let Some(link) = here else { break };
                    ensure(leads, "R7", || {
                        format!("n{slot} calls {index} committed and no leader did")
                    })?;
                    self.newly_committed(slot, (index, link), before, after)?;
                }
            }
        }
        Ok(())
    }

    /// A leader commits by an entry of its own term, even if others have committed before it.
    fn counted(&self, slot: usize, after: &Glance) -> Verdict {
        let commit = after.commit.number();
        let link = self.members[slot].trail.at(commit);
        let term = link.and_then(|link| self.canon.term(commit, link));
        ensure(term == Some(after.term), "R7", || {
            format!("n{slot} commits {commit} of {term:?} by counting, in {}", after.term)
        })
    }

    fn newly_committed(
        &mut self,
        slot: usize,
        (index, link): (u64, u64),
        before: &Glance,
        after: &Glance,
    ) -> Verdict {
        let commit = after.commit.number();
        // By counting, and of its own term; what lies below is committed with it.
        if index == commit {
            let term = self.canon.term(index, link);
            ensure(term == Some(after.term), "R7", || {
                format!("n{slot} commits {index} of {term:?} by counting, in {}", after.term)
            })?;
            let held = |slot| {
                self.former.iter().any(|(of, disk)| *of == slot && disk.holds(index, Some(link)))
            };
            let holds =
                |slot: &usize| self.members[*slot].disk.holds(index, Some(link)) || held(*slot);
            let holders = (0..self.members.len()).filter(holds);
            let holders: Members = holders.map(|slot| Slot::new(slot as u8)).collect();
            let counts = self.counts(slot, before);
            ensure(is_quorum(&counts, holders), "R7", || {
                let count = holders.len();
                format!("n{slot} commits {index}, which {count} members hold durably, in {counts}")
            })?;
            self.committed_in.insert(after.term, index);
        }
        self.canon.commit(link);
        if let Some(made) = self.made.remove(&(index, link)) {
            self.entries.push(made);
        }
        // What else was made at this index will never be committed.
        let stale: Vec<_> =
            self.made.range((index, 0)..(index + 1, 0)).map(|(at, _)| *at).collect();
        stale.iter().for_each(|at| drop(self.made.remove(at)));
        Ok(())
    }

    /// The configuration that a leader counts by in a step: the newest of its log, unless it was
    /// appended only because of what was counted.
    fn counts(&self, slot: usize, before: &Glance) -> Configuration {
        let newest = self.newest(slot, u64::MAX);
        if newest.at <= before.last.index.number() {
            return newest.configuration;
        }
        let previous = self.newest(slot, newest.at - 1);
        let was_free = previous.at <= before.commit.number();
        if was_free { newest.configuration } else { previous.configuration }
    }

    fn applied<H: Hosted<Entry = E>>(&mut self, slot: usize, machine: &H) -> Verdict {
        let applied = machine.applied();
        let was = std::mem::replace(&mut self.members[slot].applied, applied.index);
        if applied.index == was {
            return Ok(());
        }
        let (commit, floor) = (machine.raft().commit(), machine.raft().log().floor().index);
        ensure(
            was < applied.index && floor <= applied.index && applied.index <= commit,
            "R6",
            || format!("n{slot} applied {was}, then {applied}; floor {floor}, commit {commit}"),
        )?;
        let link = self.canon.link(applied);
        ensure(link == self.canon.committed(applied.index.number()), "R5", || {
            format!("n{slot} applied {applied}, which is not committed")
        })?;
        self.acknowledged = self.acknowledged.max(applied.index.number());
        Ok(())
    }

    /// A member lets a read, and all that it took before, be served.
    fn served<H: Hosted<Entry = E>>(&mut self, slot: usize, read: Read, machine: &H) -> Verdict {
        let applied = machine.applied().index.number();
        let reads = &mut self.members[slot].reads;
        while let Some((name, need)) = reads.front().copied().filter(|(name, _)| *name <= read) {
            ensure(applied >= need, "R11", || {
                format!(
                    "n{slot} serves read {name:?} at {applied}; {need} was acknowledged before it"
                )
            })?;
            reads.pop_front();
        }
        Ok(())
    }

    /// A member wants a snapshot stored. Two of one boundary are the same.
    ///
    /// # Errors
    /// R12.
    pub fn snapshot(&mut self, slot: usize, snapshot: Snapshot) -> Verdict {
        let index = snapshot.boundary.index.number();
        let first = *self.snapshots.entry(index).or_insert(snapshot);
        ensure(first == snapshot, "R12", || {
            format!("n{slot} has snapshot {snapshot:?}, but {first:?} was taken there")
        })?;
        let link = self.canon.link(snapshot.boundary);
        ensure(link.is_some() && link == self.canon.committed(index), "R12", || {
            format!("n{slot} takes a snapshot at {}, which is not committed", snapshot.boundary)
        })
    }

    /// A member is gone until its next life.
    pub fn crashed(&mut self, slot: usize) {
        self.members[slot].reads.clear();
        self.members[slot].clock = None;
    }

    /// A slot is another's from now on, who has promised nothing yet.
    pub fn reseated(&mut self, slot: usize) {
        let gone = std::mem::take(&mut self.members[slot]);
        self.members[slot].sitting = gone.sitting + 1;
        self.former.push((slot, gone.disk));
        self.votes.retain(|(_, candidate), _| candidate.position() != slot);
    }

    /// A member's disk was replaced by an empty one: that it forgets is not held against it. What
    /// comes of it is.
    pub fn forgot(&mut self, slot: usize) {
        let member = &mut self.members[slot];
        (member.disk, member.spoken, member.vote) = (Disk::default(), Term::ZERO, None);
    }

    /// A member came back: what its disk gave back is what was durable, or that with some of what
    /// was being written.
    ///
    /// # Errors
    /// D1 if it is not; R8 if it has forgotten what it promised; C5 if its clock lost a stamp.
    pub fn recovered<H: Hosted<Entry = E>>(
        &mut self,
        slot: usize,
        machine: &H,
        attempted: &[Change],
        snapshot: Option<Snapshot>,
    ) -> Verdict {
        let (raft, member) = (machine.raft(), &mut self.members[slot]);
        let (floor, last) = (raft.log().floor(), raft.log().last());
        let base = self.canon.link(floor);
        ensure(base.is_some() && base == self.canon.committed(floor.index.number()), "D1", || {
            format!("n{slot} came back above {floor}, which is not committed")
        })?;
        let mut trail = Trail::above(floor.index.number(), base.unwrap_or(Canon::ROOT));
        let first = floor.index.next();
        for (place, entry) in machine.entries(first, last.index).iter().enumerate() {
            let index = first.plus(place as u64);
            let term = raft.log().term_at(index).unwrap_or(Term::ZERO);
            let link = fold(trail.end(), &(term, entry));
            let known = self.canon.link(EntryId::new(term, index));
            ensure(known == Some(link), "D1", || {
                format!("n{slot} came back with an entry {index}@{term} that nobody made")
            })?;
            trail.push(link);
        }
        ensure(trail.last() == last.index.number(), "D1", || {
            format!("n{slot} came back without the payloads of some entries up to {last}")
        })?;
        // The disk as it may be: after any number of the writes that were under way.
        let mut disk = member.disk.clone();
        let mut is_possible = fits(&disk, &trail, raft.term(), raft.vote(), snapshot);
        for change in attempted {
            disk.take(change);
            is_possible |= fits(&disk, &trail, raft.term(), raft.vote(), snapshot);
        }
        ensure(is_possible, "D1", || {
            format!(
                "n{slot} came back in {} with vote {:?} and {} to {last}; durable was {:?}, {:?} up to {}",
                raft.term(),
                raft.vote(),
                floor,
                member.disk.term,
                member.disk.vote,
                member.disk.trail.last()
            )
        })?;
        ensure(raft.term() >= member.spoken, "R8", || {
            format!("n{slot} came back in {} after it spoke in {}", raft.term(), member.spoken)
        })?;
        let stamp = self.canon.stamp(last.index.number(), trail.end());
        ensure(machine.clock().is_none() || machine.clock() >= stamp, "C5", || {
            format!("n{slot} came back with its clock at {:?}, behind {stamp:?}", machine.clock())
        })?;
        let covered = snapshot.map_or(0, |snapshot| snapshot.boundary.index.number());
        member.disk = Disk { term: raft.term(), vote: raft.vote(), trail: trail.clone(), covered };
        member.trail = trail;
        member.applied = machine.applied().index;
        member.clock = machine.clock();
        Ok(())
    }
}

/// Whether a member that came back so can have had such a disk.
fn fits(
    disk: &Disk,
    trail: &Trail,
    term: Term,
    vote: Option<Slot>,
    snapshot: Option<Snapshot>,
) -> bool {
    let boundary = snapshot.map_or(0, |snapshot| snapshot.boundary.index.number());
    if (term, vote) != (disk.term, disk.vote) || boundary < disk.covered {
        return false;
    }
    if boundary <= disk.trail.floor() {
        return *trail == disk.trail;
    }
    // A snapshot that is newer than the log: what is above it stays, if the log holds it.
    let mut above = disk.trail.clone();
    if above.at(boundary) == trail.at(boundary) {
        above.raise(boundary);
        *trail == above
    } else {
        trail.floor() == boundary && trail.last() == boundary
    }
}

/// Puts a value in the place of another, unless there is none.
trait ReplaceIf<T> {
    fn replace_if(&mut self, with: Option<T>) -> Option<T>;
}

impl<T: Copy> ReplaceIf<T> for Option<T> {
    fn replace_if(&mut self, with: Option<T>) -> Option<T> {
        let was = *self;
        *self = with.or(was);
        was
    }
}
