//! What a group keeps, whatever happens to it: messages lost, repeated, delayed and reordered,
//! links cut, members crashed and started again, disks fast and slow, logs compacted.
//!
//! The rules are checked after every event. The sentence that each stands for is in the paper's
//! figure 3.2 (Ongaro's dissertation), or in the table of `quorate::raft`.

use quorate::id::{EntryId, Index, Slot, Term};
use quorate::quorum::majority::size as majority;
use quorate::raft::{Input, Message, Output, Raft, Read};
use quorate::rng::Rng;
use quorate::time::Span;
use quorate_sim::cluster::{Cluster, Subject};
use quorate_sim::raft::Setup;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// Everything that was ever true of a run and must stay true.
#[derive(Default)]
struct Ledger {
    leaders: BTreeMap<Term, Slot>,
    committed: BTreeMap<Index, Term>,
    /// What stands before the first entry of each term.
    origins: BTreeMap<Term, EntryId>,
    votes: BTreeMap<(Slot, Term), Slot>,
    /// Each read that was taken, with what was committed then.
    reads: BTreeMap<(Slot, Read), Index>,
    /// Of each member: its life, up to where it knew of commits, and how much it had told.
    seen: Vec<(u64, Index, usize)>,
    sent: usize,
}

type Verdict = Result<(), String>;

fn same<T: PartialEq + Debug>(rule: &str, was: T, is: T) -> Verdict {
    if was == is { Ok(()) } else { Err(format!("{rule}: {was:?}, then {is:?}")) }
}

fn holds(rule: &str, is_so: bool) -> Verdict {
    if is_so { Ok(()) } else { Err(rule.to_owned()) }
}

/// What a member would come back as if it crashed now.
fn recovered(c: &Cluster<Raft>, slot: Slot) -> Raft {
    Raft::boot(&c.setup, slot, 0, &c.nodes[slot.position()].disk)
}

impl Ledger {
    fn check(&mut self, c: &Cluster<Raft>) -> Verdict {
        let newest = c.flights.len() - (c.sent - self.sent).min(c.flights.len());
        self.sent = c.sent;
        for flight in &c.flights[newest..] {
            self.check_promise(c, flight.from, flight.to, flight.packet.0)?;
        }
        self.seen.resize(c.nodes.len(), (0, Index::ZERO, 0));
        for slot in c.living() {
            let raft = c.machine(slot.number());
            holds("no member stops", raft.stopped().is_none())?;
            self.check_log(raft)?;
            self.check_commit(c, slot, raft)?;
            self.check_leader(slot, raft)?;
            self.check_told(c, slot, raft)?;
        }
        Ok(())
    }

    /// A crash right now would contradict nothing that has just been sent.
    fn check_promise(&mut self, c: &Cluster<Raft>, me: Slot, to: Slot, said: Message) -> Verdict {
        let vote = match said {
            Message::Vote { .. } => Some(me),
            Message::VoteReply { granted: true, .. } => Some(to),
            Message::Matched { .. } | Message::Append { .. } | Message::Chunk { .. } => None,
            _ => return Ok(()),
        };
        let (term, after) = (said.term(), recovered(c, me));
        holds("no promise is made before its term is on disk", after.term() >= term)?;
        if let Some(vote) = vote {
            let first = *self.votes.entry((me, term)).or_insert(vote);
            same("a member votes once in a term", first, vote)?;
            let kept = after.term() > term || after.vote() == Some(vote);
            holds("no vote is told before it is on disk", kept)?;
        }
        if let (Message::Matched { matched, .. }, Some(raft)) =
            (said, &c.nodes[me.position()].machine)
        {
            let same_there = after.log().term_at(matched) == raft.log().term_at(matched);
            let kept = matched <= after.log().floor().index || same_there;
            holds("only what is on disk is acknowledged", kept)?;
            self.check_log(&after)?;
        }
        Ok(())
    }

    /// Entries of one term are one leader's, so two logs that share one share all before it.
    fn check_log(&mut self, raft: &Raft) -> Verdict {
        let mut before = raft.log().floor();
        for run in raft.log().runs() {
            holds("terms rise along a log", before.term <= run.term && run.term <= raft.term())?;
            if before.term < run.term {
                let origin = *self.origins.entry(run.term).or_insert(before);
                same("logs match", origin, before)?;
            }
            before = EntryId::new(run.term, run.last);
        }
        Ok(())
    }

    fn check_commit(&mut self, c: &Cluster<Raft>, slot: Slot, raft: &Raft) -> Verdict {
        let (life, known, _) = &mut self.seen[slot.position()];
        let is_new_life = std::mem::replace(life, c.nodes[slot.position()].lives) != *life;
        let floor = raft.log().floor();
        if is_new_life {
            (*known, self.seen[slot.position()].2) = (floor.index, 0);
        }
        let known = &mut self.seen[slot.position()].1;
        holds("a commit index only rises", *known <= raft.commit())?;
        holds("what is committed is in the log", raft.commit() <= raft.log().last().index)?;
        let mut index = (*known).max(floor.index);
        *known = raft.commit();
        while index < raft.commit() {
            index = index.next();
            let term = raft.log().term_at(index).expect("it is in the log");
            if let Some(first) = self.committed.insert(index, term) {
                same("what is committed stays", first, term)?;
            } else {
                let holders = (0..c.nodes.len() as u8).map(Slot::new).filter(|&slot| {
                    let disk = recovered(c, slot);
                    index <= disk.log().floor().index || disk.log().term_at(index) == Some(term)
                });
                let enough = majority(c.nodes.len()) <= holders.count();
                holds("what is committed is on the disks of a quorum", enough)?;
            }
        }
        Ok(())
    }

    fn check_leader(&mut self, slot: Slot, raft: &Raft) -> Verdict {
        if !raft.leads() {
            return Ok(());
        }
        if let Some(first) = self.leaders.insert(raft.term(), slot) {
            return same("a term has one leader", first, slot);
        }
        let floor = raft.log().floor();
        let mut above = self.committed.range(floor.index.next()..);
        let complete = above.all(|(&index, &term)| raft.log().term_at(index) == Some(term));
        holds("a leader has all that is committed", complete)
    }

    fn check_told(&mut self, c: &Cluster<Raft>, slot: Slot, raft: &Raft) -> Verdict {
        let told = &c.nodes[slot.position()].told;
        let news = &told[std::mem::replace(&mut self.seen[slot.position()].2, told.len())..];
        let newest = self.committed.last_key_value().map_or(Index::ZERO, |(index, _)| *index);
        for output in news {
            if let Output::Reading { read } = output {
                self.reads.entry((slot, *read)).or_insert(newest);
            }
        }
        for output in news {
            match *output {
                Output::Readable { read, index } => {
                    let from = Read { round: 0, number: 0, ..read };
                    let mut served = self.reads.range((slot, from)..=(slot, read));
                    holds(
                        "a read sees all that was committed",
                        served.all(|(_, &at)| at <= index),
                    )?;
                }
                Output::Committed { index } => {
                    let after = recovered(c, slot);
                    let kept = index <= after.log().last().index && after.term() >= raft.term();
                    holds("what is told to be committed is on disk", kept)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// One seed is one run.
fn run(seed: u64, tell: bool) -> (Cluster<Raft>, Verdict) {
    let mut rng = Rng::new(seed);
    let count = 1 + rng.below(5) as u8;
    let mut c: Cluster<Raft> = Cluster::new(count, Setup { seed, ..Setup::of(count) });
    c.disorder = Some(Rng::new(seed));
    c.is_told(tell);
    (0..count).for_each(|slot| c.disk_is_fast(slot, rng.below(3) == 0));
    let mut ledger = Ledger::default();
    let verdict = (0..1_500)
        .try_for_each(|_| {
            disturb(&mut c, &mut rng);
            ledger.check(&c)
        })
        .and_then(|()| recover(&mut c, &mut ledger));
    (c, verdict)
}

/// Something happens: to the group, or because a host asks for it.
fn disturb(c: &mut Cluster<Raft>, rng: &mut Rng) {
    let slot = rng.below(c.nodes.len() as u64) as u8;
    match rng.below(300) {
        0..40 => drop(c.ask(slot, Input::Propose { count: 1 + rng.below(3) as u32 })),
        40..60 => drop(c.ask(slot, Input::Read)),
        60..62 => drop(c.ask(slot, Input::StepDown)),
        62..64 if c.living().contains(&Slot::new(slot)) => c.compact(slot),
        64 => drop(c.ask(slot, Input::Discard)),
        _ => c.shuffle(rng),
    }
}

/// Everything works from here on; so the group must, too.
fn recover(c: &mut Cluster<Raft>, ledger: &mut Ledger) -> Verdict {
    c.heal();
    let count = c.nodes.len() as u8;
    for slot in 0..count {
        c.start(Slot::new(slot));
        c.disk_is_fast(slot, true);
    }
    c.settle();
    for _ in 0..10 {
        c.pass(Span::secs(2));
        (0..count).for_each(|slot| c.compact(slot));
    }
    ledger.check(c)?;
    let leader = (0..count).find(|&slot| c.machine(slot).leads());
    let leader = leader.ok_or("with all faults gone, a leader is elected")?;
    c.ask(leader, Input::Propose { count: 1 }).map_err(|refused| refused.to_string())?;
    c.settle();
    c.pass(Span::millis(100));
    ledger.check(c)?;
    let last = c.last(leader).index.number();
    same("everyone learns of every commit", vec![last; count.into()], c.commits())
}

#[test]
fn a_crash_at_any_point_contradicts_nothing_that_was_sent() {
    for seed in 0..2_000 {
        if run(seed, false).1.is_err() {
            let (c, verdict) = run(seed, true);
            panic!("seed {seed}: {}\n{}", verdict.expect_err("as before"), c.story());
        }
    }
}
