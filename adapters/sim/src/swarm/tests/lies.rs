//! Lies that break what must hold at every moment: D1, E1, L, LS6, Q2, Q4, Q5, R8, R12.

use super::super::action::Act;
use super::super::hosted::{Answer, Hosted, Input, Said};
use super::super::options::Options;
use super::super::oracle::Verdict;
use super::super::run::{same, shrink_hosted};
use super::super::schedule::Schedule;
use super::super::store::{Kept, Task, Trouble};
use super::super::vault::{Found, Response, Vault};
use super::liar::Lie;
use super::{Bad, BadReplica, Truth, assert_caught, calm, plan, report};
use crate::trace::What;
use quorate::client::Reply;
use quorate::replica::{Output, Replica};
use quorate::time::Now;
use quorate::{Outbox, Refused};
use std::cell::Cell;

/// The disk has done what it was asked for a moment ago: so it says.
#[derive(Debug, Default)]
struct Hasty;

impl Lie for Hasty {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        machine.step(now, input, said)?;
        let persist = |output: &Output| match output {
            Output::Persist { receipt, .. } => Some(*receipt),
            _ => None,
        };
        match said.outputs.iter().rev().find_map(persist) {
            Some(receipt) => machine.step(now, Input::Persisted(receipt), said),
            None => Ok(()),
        }
    }
    fn max_outputs(honest: usize) -> usize {
        honest * 2
    }
}

#[test]
fn a_member_that_does_not_wait_for_its_disk_is_caught() {
    assert_caught::<Bad<Hasty>>(calm(), "R8", "but on its disk is");
}

#[test]
fn a_shrunk_run_breaks_the_same_promise_and_says_so() {
    let first = super::super::run::run_hosted::<Bad<Hasty>>(3, &plan(1_000));
    let violation = first.violation.expect("it is caught");
    let shrunk = shrink_hosted::<Bad<Hasty>>(3, &plan(1_000), &violation);
    assert!((1..=20).contains(&shrunk.actions.len()), "{:#?}", shrunk.actions);
    let last = shrunk.trace.moments.last().expect("it has a story");
    assert_eq!(last.what, What::Violation);
    assert!(last.words.starts_with(violation.oracle), "{}", last.words);
}

/// It says more than it said that it would.
#[derive(Debug, Default)]
struct Talkative;

impl Lie for Talkative {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        machine.step(now, input, said)?;
        while !said.overflowed {
            said.push(Output::Following { leader: None });
        }
        Ok(())
    }
}

#[test]
fn a_member_that_says_too_much_is_caught() {
    assert_caught::<Bad<Talkative>>(calm(), "Q2", "says too much");
}

/// It refuses what it is asked, and says something nonetheless.
#[derive(Debug, Default)]
struct Rude;

impl Lie for Rude {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        if let Input::Submit(_) = input {
            said.push(Output::Following { leader: None });
            return Err(Refused::Meaningless);
        }
        machine.step(now, input, said)
    }
}

#[test]
fn a_member_that_refuses_and_speaks_is_caught() {
    assert_caught::<Bad<Rude>>(calm(), "Q2", "and speaks");
}

/// It panics when it leads and is asked to read.
#[derive(Debug, Default)]
struct Nervous;

impl Lie for Nervous {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        assert!(!(matches!(input, Input::Read) && machine.raft().leads()), "too much");
        machine.step(now, input, said)
    }
}

#[test]
fn a_member_that_panics_is_caught() {
    assert_caught::<Bad<Nervous>>(calm(), "Q4", "panic: too much");
}

thread_local! {
    static LIVES: Cell<u64> = const { Cell::new(0) };
}

/// What it does depends on something that is neither in its state nor in its inputs.
#[derive(Debug)]
struct Moody(u64);

impl Default for Moody {
    fn default() -> Self {
        Self(LIVES.replace(LIVES.get() + 1))
    }
}

impl Lie for Moody {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        self.0 += 1;
        machine.step(now, input, said)?;
        if self.0.is_multiple_of(97) {
            said.outputs.retain(|output| !matches!(output, Output::Send { .. }));
        }
        Ok(())
    }
}

#[test]
fn a_member_that_does_another_thing_the_second_time_is_caught() {
    let twice = || [report::<Bad<Truth>>(calm()), report::<Bad<Truth>>(calm())];
    let [one, other] = twice();
    assert_eq!(same(&one, &other), Ok(()));
    let moody = || [report::<Bad<Moody>>(calm()), report::<Bad<Moody>>(calm())];
    let [one, other] = moody();
    assert_eq!(same(&one, &other).map_err(|violation| violation.oracle), Err("Q5"));
}

/// It does not find the last thing that it wrote.
#[derive(Debug, Default)]
struct Forgetful;

impl Lie for Forgetful {
    fn found(writes: usize) -> Option<usize> {
        Some(writes.saturating_sub(1))
    }
}

/// It cannot start from what it wrote.
#[derive(Debug, Default)]
struct Lost;

impl Lie for Lost {
    fn found(writes: usize) -> Option<usize> {
        (writes == 0).then_some(0)
    }
}

/// Everybody dies and comes back.
fn back_again<L: Lie>() -> Verdict {
    let mut schedule = Schedule::<Bad<L>>::new(1, calm());
    schedule.run(u64::MAX, 1_000, |_| false)?;
    for slot in 0..3 {
        schedule.act(Act::Crash(slot, Kept::None), None, slot)?;
        schedule.act(Act::Start(slot), None, slot)?;
    }
    Ok(())
}

#[test]
fn a_member_that_forgets_is_caught_when_it_comes_back() {
    assert_eq!(back_again::<Truth>(), Ok(()));
    let [forgot, lost] = [back_again::<Forgetful>(), back_again::<Lost>()];
    let [forgot, lost] = [forgot, lost].map(|verdict| verdict.expect_err("it is caught"));
    assert!(forgot.oracle == "D1" && forgot.what.contains("came back"), "{forgot}");
    assert!(lost.oracle == "D1" && lost.what.contains("cannot go on"), "{lost}");
}

#[test]
fn a_sound_disk_that_is_refused_is_caught_and_a_rotten_one_is_not() {
    let back = |rots: bool| {
        let mut schedule = Schedule::<Bad<Truth>>::new(1, calm());
        schedule.run(u64::MAX, 1_000, |world| !world.members[0].store.tasks.is_empty())?;
        let store = &mut schedule.world.members[0].store;
        let Some(Task::Write { record, .. }) = store.tasks.front_mut() else {
            panic!("there is something to write");
        };
        *record = vec![0xff; 3];
        schedule.act(Act::Disk(0, u8::MAX, Trouble::None), None, 0)?;
        schedule.act(Act::Mark(0), None, 0)?;
        schedule.act(Act::Crash(0, Kept::All), None, 0)?;
        for seed in 0..if rots { 20 } else { 0 } {
            schedule.act(Act::Rot(0, seed), None, 0)?;
        }
        schedule.act(Act::Start(0), None, 0)
    };
    let violation = back(false).expect_err("nothing has happened to it");
    assert!(violation.oracle == "D1" && violation.what.contains("is sound"), "{violation}");
    assert_eq!(back(true), Ok(()));
}

/// It stores less of a snapshot than there is.
#[derive(Debug, Default)]
struct Careless;

impl Lie for Careless {
    fn bytes_of(honest: &[u8]) -> &[u8] {
        &honest[..honest.len() - 1]
    }
}

#[test]
fn a_replica_whose_snapshot_is_not_its_log_is_caught() {
    assert_caught::<BadReplica<Careless>>(calm(), "R12", "is not what the log comes to");
}

/// It tells clients the contrary of what their commands came to.
#[derive(Debug, Default)]
struct Contrary;

impl Lie for Contrary {
    fn reply(honest: Reply<Answer>) -> Reply<Answer> {
        match honest {
            Reply::Done(Answer::Response(Response::Taken(taken))) => {
                Reply::Done(Answer::Response(Response::Taken(!taken)))
            }
            other => other,
        }
    }
}

#[test]
fn a_replica_that_answers_something_else_is_caught() {
    assert_caught::<BadReplica<Contrary>>(calm(), "E1", "is answered");
}

/// All registers are empty: so it says.
#[derive(Debug, Default)]
struct Blank;

impl Lie for Blank {
    fn find(honest: Found) -> Found {
        match honest {
            Found::Register(_) => Found::Register(0),
            other => other,
        }
    }
}

#[test]
fn a_replica_that_reads_what_was_overwritten_is_caught() {
    let options = Options { leasing: 0, keys: 1, ..calm() };
    assert_caught::<BadReplica<Blank>>(options, "L", "no order explains");
}

/// Nobody holds anything: so it says.
#[derive(Debug, Default)]
struct Denying;

impl Lie for Denying {
    fn find(honest: Found) -> Found {
        match honest {
            Found::Lease(_) => Found::Lease(false),
            other => other,
        }
    }
}

#[test]
fn a_replica_that_denies_a_lease_is_caught() {
    let options = Options { leasing: 100, ..calm() };
    assert_eq!(report::<BadReplica<Truth>>(options.clone()).violation, None);
    assert_caught::<BadReplica<Denying>>(options, "R11", "held: false, and in the log it is true");
}

#[test]
fn a_group_whose_quorum_follows_a_wrong_clock_is_caught() {
    let with_wrong_clocks = |count: usize| {
        let mut schedule = Schedule::<Replica<Vault>>::new(1, calm());
        for member in &mut schedule.world.members[..count] {
            member.clocks.ahead = 3_600_000_000;
        }
        schedule.run(u64::MAX, 1_500, |_| false).map_err(|violation| violation.oracle)
    };
    assert_eq!(with_wrong_clocks(3), Err("LS6"));
    assert_eq!(with_wrong_clocks(1), Ok(()));
}
