//! Twins: every way to part a group, round by round, in which some members run twice (Bano and others,
//! *Twins: BFT systems made robust*, OPODIS 2021).
//!
//! A twin is the honest machine, run a second time under the same name and key: it contradicts itself as
//! soon as the two hear different things. So no lie has to be thought of. A **schedule** says which
//! members run twice and, for each round, how all processes are parted into islands. Each round is a view:
//! at its beginning new requests are there, another for each copy of a twin, everybody gives up the
//! primary, and what then travels within the islands is delivered, in order. The paper draws a leader for
//! each round too; here the primary follows from the view.
//!
//! All schedules of four members with one twin are tried, but one of two that differ only in the names of
//! the copies. Rounds are a tree: what schedules have in common is run once.

use super::oracle::{Broken, Oracle, Verdict};
use crate::cluster::{Disk, Effect, Stimulus, Subject};
use crate::pbft::{Ask, Packet, Peer, Setup, payload};
use quorate::id::{Members, Slot};
use quorate::pbft::Output;
use quorate::time::{Instant, Now, Wall};
use std::collections::VecDeque;

/// How many members a group has.
const MEMBERS: u8 = 4;

/// On which island each process is: islands are numbered in the order of their first process.
type Islands = Vec<u8>;

/// Every way to part so many processes into islands.
fn all_islands(processes: usize) -> Vec<Islands> {
    let mut all = vec![Islands::new()];
    for _ in 0..processes {
        let longer = |it: &Islands| {
            let next = it.iter().max().map_or(0, |most| most + 1);
            let it = it.clone();
            (0..=next).map(move |island| [it.as_slice(), &[island]].concat())
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// The same with the copies of the twin, the last process and that of its slot, under each other's name.
fn swapped(islands: &Islands, twin: Slot) -> Islands {
    let mut islands = islands.clone();
    let last = islands.len() - 1;
    islands.swap(twin.position(), last);
    let mut names: Vec<u8> = Vec::new();
    for island in &mut islands {
        let known = names.iter().position(|it| it == island);
        let name = known.unwrap_or_else(|| {
            names.push(*island);
            names.len() - 1
        });
        *island = name as u8;
    }
    islands
}

/// What the search came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// How many schedules were run to their end.
    pub schedules: u64,
    /// How many steps that took.
    pub steps: u64,
    /// How many values correct members decided, over all rounds.
    pub decided: u64,
    /// The highest view that a correct member entered.
    pub view: u64,
}

/// A schedule that broke a promise.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Who ran twice.
    pub twins: Members,
    /// The islands of each round.
    pub rounds: Vec<Islands>,
    /// The promise.
    pub broken: Broken,
}

/// All processes, at the end of some rounds.
#[derive(Clone)]
struct Group {
    now: u64,
    peers: Vec<(Slot, Peer)>,
    seen: Vec<usize>,
    flights: VecDeque<(usize, Packet)>,
    islands: Islands,
    twins: Members,
    oracle: Oracle,
    requests: u64,
    found: Found,
}

impl Group {
    fn new(twins: Members) -> Self {
        let mut setup = Setup::of(MEMBERS);
        setup.config.resend = setup.config.timeout.divided(2);
        setup.book.is_strict();
        let members = setup.config.members;
        let slots: Vec<_> = members.iter().chain(twins.iter()).collect();
        let peer = |slot: &Slot| (*slot, Peer::boot(&setup, *slot, 1, &Disk::of(Vec::new())));
        Self {
            now: 1_000_000,
            peers: slots.iter().map(peer).collect(),
            seen: vec![0; slots.len()],
            flights: VecDeque::new(),
            islands: vec![0; slots.len()],
            twins,
            oracle: Oracle::new(members, twins, setup.book.clone()),
            requests: 0,
            found: Found::default(),
        }
    }

    /// One round: all give up the primary of the one before, then hear who is on their island.
    fn round(&mut self, islands: &Islands, setup: &Setup, is_first: bool) -> Verdict {
        self.islands.clone_from(islands);
        self.flights.clear();
        self.now += setup.config.timeout.as_micros() * 11 / 10;
        let (one, other) = (self.requests + 1, self.requests + 2);
        self.requests += 2;
        self.oracle_asks(one, other);
        for at in 0..self.peers.len() {
            let slot = self.peers[at].0;
            let is_copy = at >= usize::from(MEMBERS);
            if !is_copy {
                self.step(at, Stimulus::Ask(Ask::Request(payload(one))))?;
            }
            if is_copy || !self.twins.contains(slot) {
                self.step(at, Stimulus::Ask(Ask::Request(payload(other))))?;
            }
            if !is_first {
                let primary = self.peers[at].1.machine.primary();
                self.step(at, Stimulus::Ask(Ask::Suspect(primary)))?;
            }
        }
        for _ in 0..2 {
            for at in 0..self.peers.len() {
                self.step(at, Stimulus::Tick)?;
            }
            while let Some((to, packet)) = self.flights.pop_front() {
                self.step(to, Stimulus::Packet(packet.by, packet))?;
            }
            self.now += setup.config.resend.as_micros();
        }
        Ok(())
    }

    fn oracle_asks(&self, one: u64, other: u64) {
        let book = self.oracle.book();
        book.ask(payload(one));
        book.ask(payload(other));
    }

    fn step(&mut self, at: usize, input: Stimulus<Peer>) -> Verdict {
        self.found.steps += 1;
        let wall = Wall::from_micros(1_790_000_000_000_000 + self.now);
        let now = Now::both(Instant::from_micros(self.now), wall);
        let (slot, mut effects) = (self.peers[at].0, Vec::new());
        let is_correct = !self.twins.contains(slot);
        let peer = &mut self.peers[at].1;
        peer.events.clear();
        let _ = peer.step(now, input, &mut effects);
        let mut newest = None;
        for effect in effects {
            match effect {
                Effect::Persist { receipt, .. } => newest = Some(receipt),
                Effect::Send(to, packet) => self.send(at, to, &packet),
                Effect::Tell(output) if is_correct => self.told(slot, &output)?,
                Effect::Tell(_) | Effect::Store(..) => {}
            }
        }
        if is_correct {
            let executed = &self.peers[at].1.executed;
            let from = if self.seen[at] > executed.len() { 0 } else { self.seen[at] };
            self.oracle.executes(slot, from, &executed[from..])?;
            self.seen[at] = executed.len();
        }
        newest.map_or(Ok(()), |kept| self.step(at, Stimulus::Persisted(kept)))
    }

    fn told(&mut self, slot: Slot, output: &Output) -> Verdict {
        match output {
            Output::Committed { index, value } => {
                self.found.decided += 1;
                self.oracle.decides(slot, *index, *value)
            }
            Output::Entered { view, .. } => {
                self.found.view = self.found.view.max(view.number());
                Ok(())
            }
            Output::Accuse(evidence) => self.oracle.accuses(slot, evidence),
            _ => Ok(()),
        }
    }

    fn send(&mut self, from: usize, to: Members, packet: &Packet) {
        for at in 0..self.peers.len() {
            let is_meant = to.contains(self.peers[at].0) && self.islands[at] == self.islands[from];
            if is_meant {
                self.flights.push_back((at, packet.clone()));
            }
        }
    }
}

/// Runs all schedules of so many rounds in which these members, each for itself, run twice.
///
/// # Errors
/// The first schedule that breaks a promise.
pub fn one_twin(rounds: usize) -> Result<Found, Box<Fault>> {
    let mut found = Found::default();
    for twin in (0..MEMBERS).map(Slot::new) {
        search(Members::only(twin), Some(twin), rounds, &mut found)?;
    }
    Ok(found)
}

/// Runs all schedules of so many rounds in which all of these run twice at once: more of them than the
/// group tolerates must be seen to break it.
///
/// # Errors
/// The first schedule that breaks a promise.
pub fn many_twins(twins: Members, rounds: usize) -> Result<Found, Box<Fault>> {
    let mut found = Found::default();
    search(twins, None, rounds, &mut found)?;
    Ok(found)
}

fn search(
    twins: Members,
    symmetric: Option<Slot>,
    rounds: usize,
    found: &mut Found,
) -> Result<(), Box<Fault>> {
    let all = all_islands(usize::from(MEMBERS) + twins.len());
    let setup = Setup::of(MEMBERS);
    // What is to be tried next: a group, what it went through, and whether its twins are still alike.
    let mut stack = vec![(Group::new(twins), Vec::<Islands>::new(), symmetric)];
    while let Some((group, past, alike)) = stack.pop() {
        if past.len() == rounds {
            found.schedules += 1;
            found.decided += group.found.decided;
            found.view = found.view.max(group.found.view);
            continue;
        }
        for islands in all.iter().rev() {
            let other = alike.map(|twin| swapped(islands, twin));
            if other.as_ref().is_some_and(|other| islands > other) {
                continue;
            }
            let alike = alike.filter(|_| other.as_ref() == Some(islands));
            let (mut next, mut past) = (group.clone(), past.clone());
            next.found.steps = 0;
            let came = next.round(islands, &setup, past.is_empty());
            found.steps += next.found.steps;
            past.push(islands.clone());
            if let Err(broken) = came {
                return Err(Box::new(Fault { twins, rounds: past, broken }));
            }
            stack.push((next, past, alike));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_schedule_of_two_rounds_with_one_twin_makes_members_disagree() {
        let found = one_twin(2).unwrap_or_else(|fault| panic!("{fault:?}"));
        // 52 ways to part five processes, of which 20 look the same with the copies swapped.
        assert_eq!(found.schedules, 4 * (52 * 52 + 20 * 20) / 2);
        assert!(found.view > 0 && found.decided > found.schedules, "{found:?}");
    }

    #[test]
    fn islands_are_counted_as_bell_counted_them() {
        let counts = (0..7).map(|processes| all_islands(processes).len());
        assert!(counts.eq([1, 1, 2, 5, 15, 52, 203]));
        let twin = Slot::new(1);
        let alike = all_islands(5).iter().filter(|it| swapped(it, twin) == **it).count();
        assert_eq!(alike, 20);
    }

    #[test]
    fn two_twins_among_four_are_found_to_break_agreement() {
        for twins in [[0, 1], [0, 3], [2, 3]] {
            let twins: Members = twins.into_iter().map(Slot::new).collect();
            let fault = many_twins(twins, 2).expect_err("two of four may lie as they like");
            assert_eq!(fault.broken.promise, "B1", "{fault:?}");
        }
    }
}
