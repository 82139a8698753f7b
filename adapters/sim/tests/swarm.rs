//! Whole runs of the shipped machines, as the command line runs them.

#![cfg(feature = "swarm")]

use quorate_sim::swarm::run::{Machine, Plan, run};
use std::collections::BTreeSet;

const PLAN: Plan =
    Plan { machine: Machine::Raft, events: 3_000, amnesia: false, network: None, is_told: false };

#[test]
fn forty_seeds_of_each_machine_break_no_promise() {
    for machine in [Machine::Raft, Machine::Replica] {
        for seed in 0..40 {
            let report = run(seed, &Plan { machine, ..PLAN });
            assert_eq!(report.violation, None, "seed {seed} of {machine:?}: {}", report.options);
        }
    }
}

#[test]
fn a_seed_is_the_same_run_twice() {
    for machine in [Machine::Raft, Machine::Replica] {
        let plan = Plan { machine, ..PLAN };
        let [first, second, other] = [5, 5, 6].map(|seed| run(seed, &plan));
        assert_eq!((first.hash, first.span), (second.hash, second.span));
        assert_eq!(first.counts.events, second.counts.events);
        assert_ne!(first.hash, other.hash);
    }
}

#[test]
fn a_run_that_is_told_is_the_same_run() {
    let told = run(5, &Plan { is_told: true, ..PLAN });
    assert_eq!(told.hash, run(5, &PLAN).hash);
    assert!((1..=told.actions.len()).contains(&told.faulty));
    assert!(told.trace.is_some_and(|trace| trace.moments.len() > 100));
}

/// What Raft cannot bear must not go unseen, or the oracles are blind: the control of all the runs
/// that are clean.
#[test]
fn members_that_forget_break_promises_that_are_seen() {
    let plan = Plan { amnesia: true, ..PLAN };
    let broken: Vec<_> = (0..40).filter_map(|seed| run(seed, &plan).violation).collect();
    let names: BTreeSet<_> = broken.iter().map(|violation| violation.oracle).collect();
    // Which promise breaks first differs with every change of the code; that many kinds do, does not.
    assert!(broken.len() >= 5 && names.len() >= 3, "{names:?}: {broken:#?}");
}
