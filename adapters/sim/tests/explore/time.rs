//! That nothing is lost or won by leaving time out: members with clocks of their own, walked at
//! random beside those without, say the same and come out the same.

use quorate::Machine;
use quorate::id::Slot;
use quorate::raft::{Input, Output, Raft, Write};
use quorate::rng::Rng;
use quorate::time::{Instant, Now, Span};
use quorate_sim::explore::raft::member::{Member, Move};
use quorate_sim::explore::raft::{Rest, Shape, letters};

/// The shipped member with a clock, and every write that was ever durable on it.
struct Timed {
    machine: Raft,
    clock: Instant,
    durable: Vec<Write>,
    pending: Vec<(quorate::raft::Receipt, Write)>,
}

impl Timed {
    fn step(&mut self, input: Input) -> Vec<Output> {
        let now = Now { mono: self.clock, wall: None };
        let said = self.machine.step_vec(now, input).expect("it took it without time");
        self.pending.extend(said.iter().filter_map(|output| match output {
            Output::Persist { receipt, write } => Some((*receipt, *write)),
            _ => None,
        }));
        said
    }

    fn sync(&mut self, count: u8) -> Option<quorate::raft::Receipt> {
        let synced: Vec<_> = self.pending.drain(..usize::from(count)).collect();
        self.durable.extend(synced.iter().map(|(_, write)| *write));
        synced.last().map(|(receipt, _)| *receipt)
    }

    /// Does what happens, at a time when it can.
    fn take(&mut self, happens: Move, rng: &mut Rng) -> Vec<Output> {
        let timeout = self.machine.config().election_timeout;
        match happens {
            Move::Hear(letter) => {
                // Whoever it has promised its loyalty to has been silent since.
                self.pass(timeout.plus(Span::micros(rng.below(timeout.as_micros()))));
                self.step(Input::Message { from: letter.from, message: letter.message })
            }
            Move::Ring => {
                let alarm = |machine: &Raft| machine.deadline().expect("it lives");
                if self.clock.since(alarm(&self.machine)) > timeout {
                    // It has slept through its alarm, and only sets it again.
                    assert_eq!(self.step(Input::Tick), []);
                }
                self.clock = self.clock.max(alarm(&self.machine));
                self.step(Input::Tick)
            }
            Move::Beat => {
                self.pass(timeout.times(4));
                self.step(Input::Tick)
            }
            // No walk of a group that does not change comes here.
            Move::Nudge | Move::Admit { .. } => unreachable!("{happens:?}"),
            Move::Silence => self.step(Input::StepDown),
            Move::Propose => self.step(Input::Propose { count: 1 }),
            Move::Persist(count) => {
                self.pass(Span::micros(rng.below(timeout.as_micros())));
                let receipt = self.sync(count).expect("there is a write");
                self.step(Input::Persisted(receipt))
            }
            Move::Restart(kept) => {
                self.sync(kept);
                self.pending.clear();
                self.machine = Raft::new(self.machine.config().clone()).expect("it was sound");
                self.durable.iter().for_each(|write| self.machine.replay(write));
                self.step(Input::Tick)
            }
        }
    }

    fn pass(&mut self, span: Span) {
        self.clock = self.clock.after(span);
    }
}

fn walk(seed: u64, steps: usize) -> u64 {
    let (mut rng, nodes) = (Rng::new(seed), 3);
    let shape = Shape {
        terms: 5,
        rings: 60,
        proposals: 2,
        beats: 60,
        silences: 2,
        restarts: 6,
        ..Shape::STILL
    };
    let mut rest = Rest { has_rung: true, ..Rest::of(shape) };
    let mut members: Vec<_> = (0..nodes).map(|slot| Member::new(Slot::new(slot), nodes)).collect();
    let mut timed: Vec<_> = members
        .iter()
        .map(|member| {
            let machine = Raft::new(member.machine().config().clone()).expect("it is sound");
            let clock = Instant::from_micros(rng.below(1 << 40));
            let mut timed = Timed { machine, clock, durable: Vec::new(), pending: Vec::new() };
            timed.step(Input::Tick);
            timed
        })
        .collect();
    let (mut sent, mut leaders) = (Vec::new(), 0);
    for _ in 0..steps {
        let slot = rng.below(nodes.into()) as usize;
        let mut moves = rest.permits(&members[slot], &members[slot].facts());
        // Fewer crashes and alarms than letters, or nothing is ever elected.
        moves.retain(|happens| {
            matches!(happens, Move::Persist(_) | Move::Propose) || rng.below(12) == 0
        });
        let newest = sent.iter().rev().take(40).filter(
            |letter: &&quorate_sim::explore::raft::member::Letter| letter.to.position() == slot,
        );
        moves.extend(newest.map(|letter| Move::Hear(*letter)));
        if moves.is_empty() {
            continue;
        }
        let happens = moves[rng.below(moves.len() as u64) as usize];
        let Some((next, said)) = members[slot].after(happens).expect("no law is broken") else {
            continue;
        };
        assert_eq!(
            timed[slot].take(happens, &mut rng),
            said,
            "{happens:?} of n{slot}, seed {seed}"
        );
        let timeless = timed[slot].machine.clone().without_time();
        assert_eq!(timeless, *next.machine(), "{happens:?} of n{slot}, seed {seed}");
        rest = rest.after(happens, &next.facts()).expect("no law is broken");
        leaders += u64::from(next.facts().leads && !members[slot].facts().leads);
        sent.extend(letters(Slot::new(slot as u8), &said));
        members[slot] = next;
    }
    leaders
}

#[test]
fn members_with_clocks_say_and_become_what_members_without_do() {
    let leaders: u64 = (0..400).map(|seed| walk(seed, 300)).sum();
    assert!(leaders > 200, "{leaders} leaders are too few to tell");
}
