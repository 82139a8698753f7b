//! Members that misbehave, in whole runs: each is caught, by the oracle that is meant for it.

mod liar;
mod lies;
mod network;
mod rosters;
mod settling;
mod world;

use super::bare::Bare;
use super::hosted::Hosted;
use super::options::Options;
use super::oracle::Violation;
use super::run::{Machine, Plan, Report, run_with};
use super::vault::Vault;
use liar::{Liar, Lie};
use quorate::replica::Replica;

/// Raft under a host that lies.
type Bad<L> = Liar<Bare, L>;

/// A replica under a host that lies.
type BadReplica<L> = Liar<Replica<Vault>, L>;

/// Three members and two clients, on a network and disks that do what they should.
fn calm() -> Options {
    Options {
        members: 3,
        clients: 2,
        timeout: 150_000,
        heartbeat: 30_000,
        entries: 64,
        runs: 16,
        batch: 4,
        window: 16,
        sessions: 8,
        snapshot: 4_096,
        chunk: 256,
        leases: 4,
        max_offset: 250_000,
        segment: 4_096,
        latency: 1_500,
        disk: 1_500,
        load: 15_000,
        keys: 2,
        scopes: 1,
        leasing: 30,
        ..Options::default()
    }
}

/// What is run, for so many events before everything is mended.
fn plan(events: u64) -> Plan {
    Plan { machine: Machine::Raft, events, ..Plan::default() }
}

fn report<H: Hosted>(options: Options) -> Report {
    run_with::<H>(1, options, &plan(1_500))
}

/// This liar is caught, and this is part of what is said of it.
#[track_caller]
fn assert_caught<H: Hosted>(options: Options, oracle: &str, words: &str) {
    let violation = report::<H>(options).violation;
    let is_meant =
        |violation: &Violation| violation.oracle == oracle && violation.what.contains(words);
    assert!(
        violation.as_ref().is_some_and(is_meant),
        "not {oracle} with “{words}”, but {violation:?}"
    );
}

/// What is no lie: it is the control of every other.
#[derive(Debug, Default)]
struct Truth;

impl Lie for Truth {}

#[test]
fn whoever_tells_the_truth_is_not_caught() {
    let crashing = Options { crash: 600_000, ..calm() };
    for options in [calm(), Options { lag: 1, ..calm() }, crashing] {
        assert_eq!(report::<Bad<Truth>>(options.clone()).violation, None, "{options}");
        assert_eq!(report::<BadReplica<Truth>>(options.clone()).violation, None, "{options}");
    }
}
