//! What a group of replicas keeps, whatever happens to it: all that a Raft group goes through, with
//! clocks that differ, snapshots of the real state, and crashes between any two outputs.
//!
//! Every command adds a power of two that no other command adds. So the sum says which have taken
//! effect, and a command that took effect twice would carry.

use crate::sum::{Group, Sum, add, group, leader, open};
use quorate::id::{ClientId, EntryId, Index, Slot};
use quorate::raft::Read;
use quorate::replica::{Entry, Outcome, Output};
use quorate::rng::Rng;
use quorate::time::Span;
use quorate_sim::cluster::Stimulus;
use quorate_sim::replica::Ask;
use std::collections::BTreeMap;

type Verdict = Result<(), String>;

fn holds(rule: &str, is_so: bool) -> Verdict {
    if is_so { Ok(()) } else { Err(rule.to_owned()) }
}

/// A client: what it adds by the number of the command.
type Commands = BTreeMap<u64, u64>;

/// Everything that was ever true of a run and must stay true.
#[derive(Default)]
struct Ledger {
    states: BTreeMap<Index, Sum>,
    snapshots: BTreeMap<Index, Vec<u8>>,
    payloads: BTreeMap<EntryId, Entry<u64>>,
    clients: BTreeMap<u64, Commands>,
    powers: u32,
    /// The sum of what was answered, and the answers.
    answered: u64,
    answers: BTreeMap<(u64, u64), u64>,
    /// Of each member: its life, how much of what it told is heard, who waits for an answer, and
    /// the reads it took with what had been answered then.
    seen: Vec<Seen>,
}

#[derive(Default, Clone)]
struct Seen {
    life: u64,
    told: usize,
    /// What was submitted last, until it is told where it stands.
    submitted: Vec<(u64, u64)>,
    waiting: Vec<(Index, (u64, u64))>,
    reads: Vec<(Read, u64)>,
    applied: Index,
}

impl Ledger {
    fn check(&mut self, c: &Group) -> Verdict {
        let answered_before = self.answered;
        for slot in c.living() {
            let replica = c.machine(slot.number());
            holds("no member stops", replica.raft().stopped().is_none())?;
            let (at, state) = (replica.applied().entry.index, replica.state());
            let same = self.states.entry(at).or_insert_with(|| state.clone()) == state;
            holds("at one place of the log every replica has one state", same)?;
            let effects = u64::from(state.sum.count_ones());
            holds("a command takes effect once in its session", effects == state.applied)?;
            self.check_told(c, slot, answered_before)?;
        }
        for (snapshot, bytes) in c.nodes.iter().filter_map(|node| node.disk.snapshot.as_ref()) {
            let at = snapshot.boundary.index;
            let same = self.snapshots.entry(at).or_insert_with(|| bytes.clone()) == bytes;
            holds("at one place of the log there is one snapshot, to the byte", same)?;
        }
        Ok(())
    }

    /// An identity has one payload, in whichever window it stands.
    fn check_payloads(&mut self, c: &Group) -> Verdict {
        for slot in c.living() {
            let replica = c.machine(slot.number());
            let (log, mut stamp) = (replica.raft().log(), None);
            let (first, last) = (log.floor().index.next(), log.last().index);
            let held: Vec<_> = replica.entries(first, last).collect();
            holds("the window spans the log", held.len() as u64 == last.above(log.floor().index))?;
            for (index, entry) in (first.number()..).map(Index::new).zip(held) {
                let id = EntryId::new(log.term_at(index).expect("it spans the log"), index);
                let same = self.payloads.entry(id).or_insert_with(|| entry.clone()) == entry;
                holds("an identity has one payload", same)?;
                holds("stamps rise along a log", stamp.replace(entry.stamp) < Some(entry.stamp))?;
            }
        }
        Ok(())
    }

    fn check_told(&mut self, c: &Group, slot: Slot, answered_before: u64) -> Verdict {
        let (node, replica) = (&c.nodes[slot.position()], c.machine(slot.number()));
        let mut seen = std::mem::take(&mut self.seen[slot.position()]);
        if seen.life != node.lives {
            seen = Seen { life: node.lives, ..Seen::default() };
        }
        let at = replica.applied().entry.index;
        holds("a replica never goes back", seen.applied <= at)?;
        seen.applied = at;
        let news = &node.told[std::mem::replace(&mut seen.told, node.told.len())..];
        // The host performs them in any order; so they are sorted by what they are about.
        for output in news {
            match *output {
                Output::Submitted { first, .. } => {
                    let places = (first.index.number()..).map(Index::new);
                    seen.waiting.extend(places.zip(std::mem::take(&mut seen.submitted)));
                }
                Output::Reading { read } => seen.reads.push((read, answered_before)),
                _ => {}
            }
        }
        for output in news {
            match *output {
                Output::Readable { read } => {
                    let served = seen.reads.extract_if(.., |(waits_for, _)| *waits_for <= read);
                    let served: Vec<_> = served.collect();
                    let complete = |(_, answered)| replica.state().sum & answered == answered;
                    let all = served.into_iter().all(complete);
                    holds("a read sees everything that was answered before it", all)?;
                }
                Output::Applied { index } => {
                    for (_, who) in seen.waiting.extract_if(.., |(at, _)| *at <= index) {
                        self.check_answer(c, slot, who)?;
                    }
                }
                _ => {}
            }
        }
        if news.iter().any(|output| matches!(output, Output::Following { .. })) {
            (seen.waiting, seen.reads) = (Vec::new(), Vec::new());
        }
        self.seen[slot.position()] = seen;
        Ok(())
    }

    fn check_answer(&mut self, c: &Group, slot: Slot, who: (u64, u64)) -> Verdict {
        let (client, sequence) = who;
        let replica = c.machine(slot.number());
        if let Outcome::Done(&answer) = replica.outcome(ClientId::new(client), sequence) {
            let first = *self.answers.entry(who).or_insert(answer);
            holds("a command has one answer, however often it is asked", first == answer)?;
            let power = self.clients[&client][&sequence];
            holds("what is answered has taken effect", answer & power == power)?;
            self.answered |= power;
        }
        Ok(())
    }

    /// Clients ask for something new or, as often, once more for what they asked before.
    fn ask(&mut self, c: &mut Group, rng: &mut Rng) {
        let slot = Slot::new(rng.below(c.nodes.len() as u64) as u8);
        let leads = |slot: &Slot| c.machine(slot.number()).raft().leads();
        let leaders: Vec<_> = c.living().into_iter().filter(leads).collect();
        let slot = leaders.into_iter().find(|_| rng.below(4) > 0).unwrap_or(slot);
        let count = self.clients.len() as u64;
        let mut requests = Vec::new();
        let mut who = Vec::new();
        if count == 0 || rng.below(6) == 0 {
            // The name of a session is tried to be opened once and, unless refused, never again.
            requests.push(open(count));
            who.push((count, 0));
        } else {
            for _ in 0..=rng.below(3) {
                // Rather a client of late: the others may be forgotten.
                let client = count - 1 - rng.below(count.min(10));
                let commands = self.clients.get_mut(&client).expect("they are numbered");
                let newest = commands.len() as u64;
                let sequence = (newest + rng.below(2) - rng.below(2).min(newest)).max(1);
                if sequence > newest && self.powers < 63 {
                    commands.insert(sequence, 1 << self.powers);
                    self.powers += 1;
                }
                let Some(&power) = commands.get(&sequence) else { continue };
                requests.push(add(client, sequence, power));
                who.push((client, sequence));
            }
        }
        if c.living().contains(&slot) && !requests.is_empty() {
            self.seen[slot.position()].submitted = who.clone();
            if c.ask(slot.number(), Ask::Submit(requests)).is_err() {
                self.seen[slot.position()].submitted.clear();
            } else if let [(client, 0)] = who[..] {
                self.clients.insert(client, Commands::new());
            }
        }
    }
}

/// A member crashes in the middle of doing what a step told its host to.
fn crash_midway(c: &mut Group, rng: &mut Rng) {
    let slot = Slot::new(rng.below(c.nodes.len() as u64) as u8);
    let heard = c.flights.iter().position(|flight| flight.to == slot);
    let input = heard.map_or(Stimulus::Tick, |place| {
        let flight = c.flights.remove(place);
        Stimulus::Packet(flight.from, flight.packet)
    });
    let Ok(effects) = c.encode(slot, input) else { return };
    let done = rng.below(1 + effects.len() as u64) as usize;
    effects.into_iter().take(done).for_each(|effect| c.perform(slot, effect));
    let kept = rng.below(1 + c.pending(slot.number()) as u64) as usize;
    c.crash(slot, kept);
}

/// One seed is one run.
fn run(seed: u64, tell: bool) -> (Group, Ledger, Verdict) {
    let mut rng = Rng::new(seed);
    let count = 1 + rng.below(5) as u8;
    let mut c = group(count, seed);
    c.disorder = Some(Rng::new(seed));
    c.is_told(tell);
    for slot in 0..count {
        c.disk_is_fast(slot, rng.below(3) == 0);
        // Any two differ by less than the offset that the group permits; one may have no clock.
        let ahead = rng.below(240_000) as i64 - 120_000;
        let has_clock = slot == 0 || rng.below(6) > 0;
        c.nodes[usize::from(slot)].wall_ahead_micros = has_clock.then_some(ahead);
    }
    let seen = vec![Seen::default(); usize::from(count)];
    let mut ledger = Ledger { seen, ..Ledger::default() };
    let verdict = (0..1_500)
        .try_for_each(|event| {
            let slot = rng.below(count.into()) as u8;
            match rng.below(140) {
                0..24 => ledger.ask(&mut c, &mut rng),
                24..30 => drop(c.ask(slot, Ask::Read)),
                30 => drop(c.ask(slot, Ask::StepDown)),
                31 => crash_midway(&mut c, &mut rng),
                _ => c.shuffle(&mut rng),
            }
            ledger.check(&c)?;
            if event % 20 == 0 { ledger.check_payloads(&c) } else { Ok(()) }
        })
        .and_then(|()| recover(&mut c, &mut ledger));
    (c, ledger, verdict)
}

/// Everything works from here on; so the group must, too.
fn recover(c: &mut Group, ledger: &mut Ledger) -> Verdict {
    c.heal();
    let count = c.nodes.len() as u8;
    for slot in 0..count {
        c.start(Slot::new(slot));
        c.disk_is_fast(slot, true);
    }
    c.settle();
    c.pass(Span::secs(30));
    ledger.check(c)?;
    let leads = (0..count).any(|slot| c.machine(slot).raft().leads());
    holds("with all faults gone, a leader is elected", leads)?;
    let (leader, client) = (leader(c), 1_000);
    let asked = c.ask(leader, Ask::Submit(vec![open(client), add(client, 1, 1 << 63)]));
    asked.map_err(|refused| refused.to_string())?;
    c.settle();
    c.pass(Span::millis(300));
    let done = matches!(c.machine(leader).outcome(ClientId::new(client), 1), Outcome::Done(_));
    holds("with all faults gone, a command takes effect", done)?;
    ledger.check(c)?;
    ledger.check_payloads(c)?;
    let last = c.machine(leader).applied();
    let alike = (0..count).all(|slot| c.machine(slot).applied() == last);
    holds("everyone comes to apply everything", alike)
}

#[test]
fn replicas_agree_and_every_answer_is_true() {
    let (mut snapshots, mut answers) = (0, 0);
    for seed in 0..1_500 {
        let (_, ledger, verdict) = run(seed, false);
        snapshots += ledger.snapshots.len();
        answers += ledger.answers.len();
        if verdict.is_err() {
            let (c, _, verdict) = run(seed, true);
            panic!("seed {seed}: {}\n{}", verdict.expect_err("as before"), c.story());
        }
    }
    assert!(snapshots > 1_000 && answers > 5_000, "{snapshots} snapshots, {answers} answers");
}
