//! `quorate demo`: a group of processes with real sockets and disks that grows from three to five, loses
//! its leader again and again, and shrinks to three, and leases that must not notice.

pub(crate) mod byzantine;
mod clients;
mod ledger;
mod nodes;
mod relay;

use crate::arguments::Runtime;
use clients::{Clients, kept_leases};
use ledger::Ledger;
use nodes::{COUNT, FOUNDERS, Nodes};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// How long the group may take to do what it must: far more than an election.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many requests must be answered between one kill and the next.
const ANSWERS_BETWEEN: u64 = 25;
/// Every so many kills the leader is cut off first, to come back as one that does not know.
const CUT_EVERY: u32 = 5;

/// Runs the demo; the last line of standard output is the verdict.
pub(crate) fn run(kills: u32, runtime: Runtime) -> ExitCode {
    match play(kills, runtime) {
        Ok(()) => {
            println!("demo: ok");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("demo: failed: {why}");
            ExitCode::FAILURE
        }
    }
}

fn say(since: Instant, line: &str) {
    eprintln!("{:>7.2} s  {line}", since.elapsed().as_secs_f64());
}

fn play(kills: u32, runtime: Runtime) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("quorate-demo-{}", std::process::id()));
    let start = Instant::now();
    let nodes =
        Nodes::start(&folder, runtime).map_err(|error| format!("cannot start nodes: {error}"))?;
    say(start, &format!("{FOUNDERS} nodes run, with their disks in {}", folder.display()));
    let (leader, term) = await_leader(&nodes, None)?;
    say(start, &format!("node {} leads term {term}", leader + 1));
    let clients = Clients::start(start, &nodes.addresses());
    grow(&nodes, &clients, start)?;
    let mut gaps = Vec::new();
    let mut highest_term = term;
    for kill in 1..=kills {
        let (gap, term) = kill_leader(&nodes, &clients, kill, start)?;
        gaps.push(gap);
        highest_term = highest_term.max(term);
    }
    shrink(&nodes, &clients, start)?;
    let ledger = clients.stop();
    say(start, "the clients stop; every node must come to hold the same");
    await_agreement(&nodes)?;
    let listed = kept_leases(&nodes.addresses())?;
    report(&ledger, &mut gaps, highest_term, start);
    judge(&ledger, &listed)
}

/// Lets nodes join, under load.
fn grow(nodes: &Nodes, clients: &Clients, start: Instant) -> Result<(), String> {
    for node in FOUNDERS..COUNT {
        let (began, before) = (Instant::now(), clients.answered());
        nodes.spawn(node).map_err(|error| format!("cannot start node {}: {error}", node + 1))?;
        await_that(|| nodes.voters().contains(&node), "a node that joins does not come to vote")?;
        let (number, took) = (node + 1, began.elapsed().as_millis());
        let answers = clients.answered() - before;
        say(
            start,
            &format!("node {number} joins and votes after {took} ms; {answers} answers meanwhile"),
        );
    }
    await_that(|| nodes.voters().len() == COUNT, "the group does not grow")
}

/// Lets the leader leave, and then others, under load.
fn shrink(nodes: &Nodes, clients: &Clients, start: Instant) -> Result<(), String> {
    for _ in FOUNDERS..COUNT {
        let (leader, _) = await_leader(nodes, None)?;
        let (began, before) = (Instant::now(), clients.answered());
        nodes.leave(leader, PATIENCE)?;
        await_that(|| !nodes.runs(leader), "a node that has left does not end")?;
        await_that(|| clients.answered() > before, "no client is answered any more")?;
        let (number, took) = (leader + 1, began.elapsed().as_millis());
        say(start, &format!("node {number} leads, leaves, and has ended after {took} ms"));
    }
    let voters = nodes.voters().len();
    if voters == FOUNDERS { Ok(()) } else { Err(format!("{voters} nodes vote at the end")) }
}

/// Kills the leader, waits until another has answered a client, and starts the dead one again.
fn kill_leader(
    nodes: &Nodes,
    clients: &Clients,
    kill: u32,
    start: Instant,
) -> Result<(Duration, u64), String> {
    let (old, term) = await_leader(nodes, None)?;
    let killed = Instant::now();
    let how = if kill.is_multiple_of(CUT_EVERY) {
        nodes.isolate(old, true);
        await_leader(nodes, Some(old))?;
        "cut off, outvoted, then killed"
    } else {
        "killed"
    };
    nodes.kill(old).map_err(|error| format!("cannot kill node {}: {error}", old + 1))?;
    let (new, new_term) = await_leader(nodes, Some(old))?;
    let before = clients.answered();
    await_that(|| clients.answered() > before, "no client is answered any more")?;
    let gap = killed.elapsed();
    say(
        start,
        &format!(
            "kill {kill}: node {} led term {term} and is {how}; node {} leads term {new_term} \
             and has answered after {} ms",
            old + 1,
            new + 1,
            gap.as_millis()
        ),
    );
    nodes.isolate(old, false);
    nodes.spawn(old).map_err(|error| format!("cannot start node {}: {error}", old + 1))?;
    let enough = before + ANSWERS_BETWEEN;
    await_that(|| clients.answered() >= enough, "clients are answered too seldom")?;
    Ok((gap, new_term))
}

fn await_that(mut holds: impl FnMut() -> bool, or_else: &str) -> Result<(), String> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > PATIENCE {
            return Err(format!("{or_else} (waited {} s)", PATIENCE.as_secs()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Waits for a leader that is not `other_than`.
fn await_leader(nodes: &Nodes, other_than: Option<usize>) -> Result<(usize, u64), String> {
    let mut found = None;
    await_that(
        || {
            found = nodes.leader(other_than);
            found.is_some()
        },
        "no leader is elected",
    )?;
    found.ok_or_else(|| "no leader is elected".to_owned())
}

/// Waits until all nodes that run have applied the same.
fn await_agreement(nodes: &Nodes) -> Result<(), String> {
    await_that(
        || {
            let statuses = nodes.statuses().into_iter().enumerate();
            let mut running = statuses.filter(|(node, _)| nodes.runs(*node)).map(|(_, it)| it);
            let Some(Some(first)) = running.next() else { return false };
            running.all(|it| it.is_some_and(|it| it.applied == first.applied && it.lag == 0))
        },
        "the nodes do not come to hold the same",
    )
}

fn report(ledger: &Ledger, gaps: &mut [Duration], term: u64, start: Instant) {
    gaps.sort();
    let median = gaps.get(gaps.len() / 2).copied().unwrap_or_default();
    let longest = gaps.last().copied().unwrap_or_default();
    let silence = ledger.longest_silence();
    let rows: [(&str, String); 11] = [
        ("leaders killed", gaps.len().to_string()),
        ("last term", term.to_string()),
        ("kill to next answer, median", format!("{} ms", median.as_millis())),
        ("kill to next answer, longest", format!("{} ms", longest.as_millis())),
        ("longest time without an answer", format!("{} ms", silence.as_millis())),
        ("leases granted", (ledger.held.len() + ledger.kept.len()).to_string()),
        ("leases renewed", ledger.renewals.to_string()),
        ("leases released", ledger.releases.to_string()),
        ("attempts to steal, all refused", ledger.refused.to_string()),
        ("requests without an answer", ledger.unanswered.to_string()),
        ("time", format!("{:.1} s", start.elapsed().as_secs_f64())),
    ];
    for (name, value) in rows {
        println!("{name:<32} {value:>10}");
    }
}

/// What the clients saw must be what leases promise.
fn judge(ledger: &Ledger, listed: &[(String, u64)]) -> Result<(), String> {
    let checks = [
        ("two holders at once", ledger.overlaps()),
        ("tokens that did not rise", ledger.falling_tokens()),
        ("acknowledged leases that are gone", ledger.missing(listed)),
        ("acknowledged leases that a read did not show", ledger.lost.clone()),
    ];
    for (what, found) in &checks {
        println!("{what:<44} {:>10}", found.len());
    }
    if ledger.held.is_empty() || ledger.kept.is_empty() {
        return Err("no client ever held a lease, so nothing was shown".to_owned());
    }
    match checks.into_iter().find_map(|(what, mut found)| found.pop().map(|one| (what, one))) {
        Some((what, one)) => Err(format!("{what}: {one}")),
        None => Ok(()),
    }
}
