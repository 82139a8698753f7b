//! The targets: what each measures, beside whom, and what it must come to.
//!
//! Figures are per commit, unless their metric says otherwise. What a peer came to when it was last
//! measured stands here too, and is compared with when peers are not measured.

use crate::child::{self, Cost, Counter, Error};
use crate::ours::gossip::{self, Simulated};
use crate::row::{Better, Row};

/// What measures, and what it has measured.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Whether peers are measured, and times.
    pub(crate) with_peers: bool,
    pub(crate) counter: Counter,
}

type Rows = Result<Vec<Row>, Error>;

/// A target: its name, what it is about, and how it is measured.
pub(crate) struct Target {
    pub(crate) id: &'static str,
    pub(crate) about: &'static str,
    pub(crate) measure: fn(&mut Bench) -> Rows,
}

/// All that can be measured yet.
pub(crate) const ALL: [Target; 13] = [
    Target { id: "T1", about: "instructions per commit, one at a time", measure: one_at_a_time },
    Target { id: "T2", about: "instructions per commit, in batches", measure: in_batches },
    Target { id: "T3", about: "commits per second of one processor", measure: per_second },
    Target { id: "T4", about: "whether long logs and large batches cost more", measure: flatness },
    Target { id: "T5", about: "allocations per commit", measure: allocations },
    Target { id: "T6", about: "bytes of an idle follower", measure: idle_bytes },
    Target { id: "T7", about: "instructions of an idle group", measure: idle_work },
    Target { id: "T10", about: "the hybrid logical clock", measure: clock },
    Target {
        id: "T12",
        about: "gossip: a probe, a crash among 64, and what it costs",
        measure: discovery,
    },
    Target { id: "T18", about: "many groups on a node", measure: many_groups },
    Target { id: "T8", about: "instructions of a Byzantine slot", measure: byzantine_work },
    Target { id: "T9", about: "signatures of a Byzantine slot", measure: byzantine_signatures },
    Target { id: "T19", about: "an election", measure: election },
];

const INSTRUCTIONS: &str = "instructions per commit";

/// A peer's figure: how it is measured, and what it was when it was last written down.
struct Theirs {
    name: &'static str,
    load: &'static str,
    units: u64,
    was: f64,
}

const fn theirs(name: &'static str, load: &'static str, units: u64, was: f64) -> Theirs {
    Theirs { name, load, units, was }
}

impl Bench {
    fn peer(&mut self, cost: Cost, peer: &Theirs) -> Result<Option<(String, f64)>, Error> {
        Ok(Some(if self.with_peers {
            (peer.name.to_owned(), self.counter.cost(cost, peer.load, peer.units)?)
        } else {
            recorded(peer.name, peer.was)
        }))
    }

    /// One figure of ours beside a peer's.
    fn beside(
        &mut self,
        (id, shape): (&'static str, &str),
        (load, units): (&str, u64),
        peer: &Theirs,
    ) -> Result<Row, Error> {
        let ours = self.counter.cost(Cost::Instructions, load, units)?;
        let peer = self.peer(Cost::Instructions, peer)?;
        Ok(Row::new(id, shape, INSTRUCTIONS, ours).beside(peer))
    }
}

/// A peer's figure that was not measured in this run.
fn recorded(name: &str, was: f64) -> (String, f64) {
    (format!("{name} (recorded)"), was)
}

/// Every 32,768 entries of ours a snapshot is made and the log let go, every 16,384 of raft-rs and of
/// OmniPaxos: figures hold their share of it.
const PERIOD: u64 = 32_768;

fn one_at_a_time(bench: &mut Bench) -> Rows {
    let (shape, ours) = (("T1", "n3 b1 d1 wire"), ("ours wire 3 1 1", PERIOD));
    let raft = theirs("raft-rs 0.7.0", "raft-rs plain-wire 3 1 1", 16_384, 43_707.0);
    let best = theirs("raft-rs, its best", "raft-rs multi-wire 3 1 1", 16_384, 43_704.0);
    let omni = theirs("omnipaxos 0.2.4, no wire", "omnipaxos 3 1 1", 32_768, 8_825.0);
    let open = theirs("openraft 0.9.25, no wire", "openraft 3 1", 4_096, 87_691.0);
    let core = ("ours core 3 1 1", PERIOD);
    let raft_core = theirs("raft-rs 0.7.0", "raft-rs plain 3 1 1", 16_384, 24_820.0);
    let core_row =
        |bench: &mut Bench| bench.beside(("T1", "n3 b1 d1 core, no wire"), core, &raft_core);
    let sailing = Some(recorded("sailing 95e417f", 15_954.0));
    Ok(vec![
        bench.beside(shape, ours, &raft)?.must(4_370.0).reach(2_730.0).stands_at(18_650.0),
        bench.beside(shape, ours, &best)?,
        bench.beside(shape, ours, &omni)?,
        bench.beside(shape, ours, &open)?,
        core_row(bench)?.must(2_500.0).reach(1_500.0).stands_at(7_583.0),
        core_row(bench)?.beside(sailing).must(15_954.0 / 5.0).stands_at(7_583.0),
        traffic(("T1", "n3 b1 d1 wire"), "ours wire 3 1 1", false)?,
        traffic(("T1", "n3 b1 d1 wire"), "ours wire 3 1 1", true)?,
    ])
}

fn in_batches(bench: &mut Bench) -> Rows {
    let (shape, ours) = (("T2", "n3 b64 d16 wire"), ("ours wire 3 64 16", 2 * PERIOD));
    let best = theirs("raft-rs, its best", "raft-rs multi-wire 3 64 16", 32_768, 6_877.0);
    let raft = theirs("raft-rs 0.7.0", "raft-rs plain-wire 3 64 16", 32_768, 27_000.0);
    let omni = theirs("omnipaxos 0.2.4, no wire", "omnipaxos 3 64 16", 65_536, 3_112.0);
    let open = theirs("openraft 0.9.25, no wire", "openraft 3 64", 16_384, 9_017.0);
    let core = ("ours core 3 64 16", 4 * PERIOD);
    let raft_core = theirs("raft-rs, its best", "raft-rs multi 3 64 16", 32_768, 2_755.0);
    let sailing = Some(recorded("sailing 95e417f, d64", 3_522.0));
    // What 64 clients ask for meanwhile, a host submits together.
    let waiting = bench.counter.cost(Cost::Instructions, "ours core 3 64 1", 4 * PERIOD)?;
    let single = bench.counter.cost(Cost::Instructions, "ours wire-one 3 64 16", 2 * PERIOD)?;
    Ok(vec![
        bench.beside(shape, ours, &best)?.must(625.0).reach(460.0).stands_at(2_075.0),
        bench.beside(shape, ours, &raft)?,
        bench.beside(shape, ours, &omni)?,
        bench.beside(shape, ours, &open)?,
        bench
            .beside(("T2", "n3 b64 d16 core, no wire"), core, &raft_core)?
            .must(45.0)
            .reach(30.0)
            .stands_at(93.4),
        Row::new("T2", "n3 b64 d16 wire, one session", INSTRUCTIONS, single),
        Row::new("T2", "n3 b64 d1 core, no wire", INSTRUCTIONS, waiting)
            .beside(sailing)
            .must(3_522.0 / 10.0),
        traffic(("T2", "n3 b64 d16 wire"), "ours wire 3 64 16", false)?,
        traffic(("T2", "n3 b64 d16 wire"), "ours wire 3 64 16", true)?,
    ])
}

/// Messages of ours per commit, or the bytes of their frames.
fn traffic((id, shape): (&'static str, &str), load: &str, bytes: bool) -> Result<Row, Error> {
    let units = 64_000;
    let (once, _) = child::once(load, units)?;
    let (twice, _) = child::once(load, 2 * units)?;
    Ok(if bytes {
        let each = (twice.bytes - once.bytes) as f64 / units as f64;
        Row::new(id, shape, "bytes per commit", each)
    } else {
        let each = (twice.messages - once.messages) as f64 / units as f64;
        Row::new(id, shape, "messages per commit", each)
    })
}

fn per_second(bench: &mut Bench) -> Rows {
    if !bench.with_peers {
        return Ok(Vec::new()); // Seconds of another machine say nothing.
    }
    let mut rows = Vec::new();
    for (nodes, batch, depth, factor) in [
        (3, 1, 1, 2.4),
        (3, 64, 16, 1.5),
        (5, 1, 1, 2.4),
        (5, 64, 16, 1.5),
        (7, 1, 1, 2.4),
        (7, 64, 16, 1.5),
    ] {
        let words = format!("{nodes} {batch} {depth}");
        let units = if batch == 1 { 200_000 } else { 1_000_000 };
        let (ours, theirs) = (format!("ours wire {words}"), format!("omnipaxos {words}"));
        let (ours, theirs) = medians(&ours, &theirs, units)?;
        let shape = format!("n{nodes} b{batch} d{depth} wire, theirs without");
        let peer = Some(("omnipaxos 0.2.4, no wire".to_owned(), theirs));
        let mut row = Row::new("T3", shape, "commits per second", ours).beside(peer);
        (row.better, row.is_gate) = (Better::More, false);
        // Seven nodes are there to be seen; the target speaks of three and five.
        rows.push(if nodes == 7 { row } else { row.must(factor * theirs) });
    }
    Ok(rows)
}

/// The median of seven runs of each, taken in turn after one that does not count.
fn medians(ours: &str, theirs: &str, units: u64) -> Result<(f64, f64), Error> {
    let (mut our_runs, mut their_runs) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        for (runs, load) in [(&mut our_runs, ours), (&mut their_runs, theirs)] {
            let (_, taken) = child::once(load, units)?;
            runs.push(units as f64 / taken.as_secs_f64());
        }
    }
    let median = |mut runs: Vec<f64>| {
        runs.remove(0);
        runs.sort_by(f64::total_cmp);
        runs[runs.len() / 2]
    };
    Ok((median(our_runs), median(their_runs)))
}

fn flatness(bench: &mut Bench) -> Rows {
    let mut rows = Vec::new();
    // Between two snapshots each: what a snapshot costs is a matter of the state, and in T1 and T2.
    for (what, load, lengths) in [
        ("core, no wire", "core", &[1_000, 10_000, 100_000, 1_000_000, 10_000_000][..]),
        ("wire", "wire", &[1_000, 10_000, 100_000, 1_000_000][..]),
    ] {
        let mut shortest = None;
        for length in lengths {
            let words = format!("ours {load} 3 1 1 after {length}");
            let ours = bench.counter.cost(Cost::Instructions, &words, 1_000)?;
            let shortest = *shortest.get_or_insert(ours);
            let shape = format!("n3 b1 d1 {what}, at {length}");
            rows.push(Row::new("T4", shape, INSTRUCTIONS, ours).must(1.02 * shortest));
        }
    }
    let mut single = None;
    for batch in [1_u64, 16, 64, 256] {
        let words = format!("ours core 3 {batch} 1");
        let each = bench.counter.cost(Cost::Instructions, &words, 16_384 * batch)?;
        let ours = each * batch as f64;
        let single = *single.get_or_insert(ours);
        let shape = format!("n3 b{batch} d1 core, no wire");
        rows.push(Row::new("T4", shape, "instructions per batch", ours).must(1.02 * single));
    }
    Ok(rows)
}

fn allocations(bench: &mut Bench) -> Rows {
    const METRIC: &str = "allocations per commit";
    // Between two snapshots: they have a row of their own.
    let mut count = |words: &str| bench.counter.cost(Cost::Allocations, words, 4_096);
    let mut rows = Vec::new();
    for (shape, load) in [("b1 d1", "3 1 1"), ("b64 d16", "3 64 16")] {
        for (what, kind) in [("core", "core"), ("replica, no wire", "replica"), ("wire", "wire")] {
            // After the first snapshot everything has the size that it keeps.
            let ours = count(&format!("ours {kind} {load} after 36000"))?;
            let row = Row::new("T5", format!("n3 {shape} {what}"), METRIC, ours);
            rows.push(if kind == "wire" { row } else { row.must(0.0) });
        }
    }
    let snapshots = bench.counter.cost(Cost::Allocations, "ours wire 3 1 1 after 36000", PERIOD)?;
    rows.push(Row::new("T5", "n3 b1 d1 wire, snapshots too", METRIC, snapshots));
    let raft = theirs("raft-rs 0.7.0", "raft-rs plain-wire 3 1 1", 8_192, 31.0);
    let omni = theirs("omnipaxos 0.2.4, no wire", "omnipaxos 3 1 1", 8_192, 27.0);
    for peer in [raft, omni] {
        let ours = bench.counter.cost(Cost::Allocations, "ours wire 3 1 1 after 36000", 4_096)?;
        let peer = bench.peer(Cost::Allocations, &peer)?;
        rows.push(Row::new("T5", "n3 b1 d1 wire", METRIC, ours).beside(peer));
    }
    Ok(rows)
}

fn idle_bytes(bench: &mut Bench) -> Rows {
    const METRIC: &str = "bytes, heap and inline";
    let raft = theirs("raft-rs 0.7.0", "raft-rs hold", 1_000, 2_100.0);
    let peer = bench.peer(Cost::BytesHeld, &raft)?;
    let mut held = |words: &str| bench.counter.cost(Cost::BytesHeld, words, 1_000);
    let (core, replica) = (held("ours hold-core")?, held("ours hold-replica")?);
    let core = Row::new("T6", "idle follower of 3, core", METRIC, core);
    let replica = Row::new("T6", "idle follower of 3, empty log", METRIC, replica);
    Ok(vec![
        core.beside(peer.clone()).must(768.0).reach(512.0),
        replica.beside(peer).must(1_280.0).reach(1_024.0),
    ])
}

fn idle_work(bench: &mut Bench) -> Rows {
    const METRIC: &str = "instructions per group tick";
    let raft = theirs("raft-rs 0.7.0", "raft-rs idle", 4_000, 4_346.0);
    let peer = bench.peer(Cost::Instructions, &raft)?;
    let theirs = peer.as_ref().map_or(raft.was, |(_, theirs)| *theirs);
    let ours = bench.counter.cost(Cost::Instructions, "ours idle", 16_000)?;
    let row = Row::new("T7", "n3, beats every 2 ticks, core", METRIC, ours).beside(peer);
    let steps = child::once("ours rest", 16_000)?.0.messages as f64;
    let rest = Row::new("T7", "n3, at rest, core", "steps in 16,000 ticks", steps);
    Ok(vec![row.must(theirs / 40.0).stands_at(1_813.0), rest.must(0.0)])
}

fn clock(bench: &mut Bench) -> Rows {
    let mut rows = Vec::new();
    for (what, ours, peer, must, stands_at) in [
        ("stamp", "ours stamp", theirs("uhlc 0.9", "uhlc stamp", 50_000, 162.0), 10.0, 28.0),
        ("update", "ours update", theirs("uhlc 0.9", "uhlc update", 50_000, 176.0), 15.0, 22.0),
    ] {
        let peer = bench.peer(Cost::Instructions, &peer)?;
        let ours = bench.counter.cost(Cost::Instructions, ours, 50_000)?;
        let shape = format!("{what}, theirs asks the system");
        let row = Row::new("T10", shape, "instructions", ours).beside(peer);
        rows.push(row.must(must).stands_at(stands_at));
    }
    Ok(rows)
}

/// foca was measured on links of 1 ms that lose nothing, with its simple configuration, and probes of 7
/// bytes decoded and encoded; ours on links that lose one packet in twenty and are at times slow.
fn discovery(bench: &mut Bench) -> Rows {
    const RUNS: u64 = 201;
    let foca = |was: f64| Some(recorded("foca 2.0.0", was));
    let answer = bench.counter.cost(Cost::Instructions, "ours answer", 10_000)?;
    let Simulated { all_know, quiet, messages, convicted } = gossip::simulate(RUNS);
    let row = |what: &str, metric, ours| {
        let shape = format!("n64, 5 % loss, {what}");
        Row::new("T12", shape, metric, ours)
    };
    let wrongly = format!("convicted wrongly, {RUNS} runs");
    Ok(vec![
        Row::new("T12", "n64, no news, no wire", "instructions per probe", answer)
            .beside(foca(1_383.0))
            .must(1_383.0 / 4.0),
        row("a crash", "seconds until all know", all_know).beside(foca(10.8)).must(3.6),
        row("a crash", "messages until all know", messages).beside(foca(946.0)),
        row("quiet", "messages of one a second", quiet).beside(foca(1.35)).must(1.35),
        row(&wrongly, "members", convicted as f64).must(0.0),
    ])
}

/// Instructions of a core in a second.
const CORE: f64 = 3e9;

fn many_groups(bench: &mut Bench) -> Rows {
    const SECONDS: u64 = 60;
    let held = bench.counter.whole(Cost::BytesHeld, "ours hold-node", 10_000)?;
    // Of all three nodes, and of the loop.
    let work = bench.counter.cost(Cost::Instructions, "ours rest-node", SECONDS)? / 3.0;
    let index = child::once("ours share-node", 200_000)?.0.messages as f64 / 1e6;
    let idle = "10,000 idle groups, a node of three";
    let mut fair = Row::new("T18", "500 busy groups, unequal work", "Jain's index", index);
    fair.better = Better::More;
    Ok(vec![
        Row::new("T18", idle, "bytes, heap and inline", held).must(15e6).stands_at(14.37e6),
        Row::new("T18", idle, "percent of a core", 100.0 * work / CORE).must(0.5),
        fair.must(0.95),
    ])
}

fn election(bench: &mut Bench) -> Rows {
    let (units, load) = (1_000, "ours elect");
    let raft = theirs("raft-rs 0.7.0", "raft-rs elect", units, 50_242.0);
    let peer = bench.peer(Cost::Instructions, &raft)?;
    let must = peer.as_ref().map_or(raft.was, |(_, theirs)| *theirs) / 10.0;
    let ours = bench.counter.cost(Cost::Instructions, load, units)?;
    let shape = "n3, pre-vote, core, no wire";
    let messages = |words: &str| -> Result<f64, Error> {
        let (once, twice) = (child::once(words, units)?.0, child::once(words, 2 * units)?.0);
        Ok((twice.messages - once.messages) as f64 / units as f64)
    };
    let their_messages = match bench.with_peers {
        true => (raft.name.to_owned(), messages(raft.load)?),
        false => recorded(raft.name, 16.0),
    };
    let applied = "messages until all applied";
    let said = Row::new("T19", shape, applied, messages(load)?).beside(Some(their_messages));
    let ours = Row::new("T19", shape, "instructions per election", ours).beside(peer);
    Ok(vec![ours.must(must).stands_at(16_100.0), said.must(12.0).stands_at(14.0)])
}

/// malachite decides one height after the other, and so do we; both with four members, in one thread, every
/// write durable at once. Its figures are of core-consensus 0.5.0, its host's hashing taken off.
fn byzantine_work(bench: &mut Bench) -> Rows {
    let slots = 1_280;
    let ours = bench.counter.cost(Cost::Instructions, "ours pbft", slots)?;
    let row = Row::new("T8", "n4, null signatures, core", "instructions per slot", ours);
    Ok(vec![
        row.beside(Some(recorded("malachite 0.5.0", 445_000.0))).must(32_000.0).reach(22_000.0),
    ])
}

fn byzantine_signatures(_: &mut Bench) -> Rows {
    const SLOTS: u64 = 1_280;
    let (said, null) = child::once("ours pbft", SLOTS)?;
    let (_, signed) = child::once("ours pbft-signed", SLOTS)?;
    let checks = said.messages as f64 / SLOTS as f64;
    let each = signed.as_secs_f64() / SLOTS as f64;
    let share = 100.0 * (1.0 - null.as_secs_f64() / signed.as_secs_f64());
    let shape = "n4, ed25519, one thread";
    let recorded = |was| Some(recorded("malachite 0.5.0", was));
    let mut rate = Row::new("T9", shape, "slots a second", 1.0 / each).beside(recorded(724.0));
    let mut in_signatures = Row::new("T9", shape, "percent in signature code", share);
    for row in [&mut rate, &mut in_signatures] {
        (row.better, row.is_gate) = (Better::More, false);
    }
    let checked = Row::new("T9", "n4, all members", "signatures checked per slot", checks);
    Ok(vec![
        checked.beside(recorded(48.0)).must(16.0).stands_at(16.13),
        rate.must(4.0 * 724.0),
        in_signatures.must(90.0),
    ])
}
