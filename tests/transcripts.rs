//! Short runs of a Raft group, told as stories and compared with the ones on file, to the byte: a
//! change of behaviour shows as a change of a story. `QUORATE_BLESS=1` writes them anew.

use quorate::id::Slot;
use quorate::raft::{Input, Raft};
use quorate::time::Span;
use quorate_sim::cluster::Cluster;
use std::path::PathBuf;
use std::{env, fs};

type Group = Cluster<Raft>;

fn check(name: &str, mut c: Group, story: impl FnOnce(&mut Group)) {
    story(&mut c);
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/transcripts/{name}.txt"));
    if env::var_os("QUORATE_BLESS").is_some() {
        fs::write(&file, c.story()).expect("the story can be written");
    }
    let on_file = fs::read_to_string(&file).unwrap_or_default();
    assert!(on_file == c.story(), "{name} is now told otherwise:\n{}", c.story());
}

/// A group that n0 leads; how that came is another story.
fn led_by_n0(count: u8) -> Group {
    let mut c = Group::of(count);
    c.is_told(false);
    c.elect(0);
    c.is_told(true);
    c
}

#[test]
fn an_election() {
    check("an_election", Group::of(3), |c| {
        c.elect(0);
    });
}

#[test]
fn a_lost_append() {
    check("a_lost_append", led_by_n0(3), |c| {
        c.propose(0, 2);
        c.lose(0, 2);
        c.settle();
        c.ring(0);
        c.settle();
    });
}

#[test]
fn a_deposed_leaders_tail() {
    check("a_deposed_leaders_tail", led_by_n0(3), |c| {
        c.part(&[0], &[1, 2]);
        c.propose(0, 3);
        c.settle();
        c.elect(1);
        c.heal();
        c.ring(1);
        c.settle();
    });
}

#[test]
fn a_crash_between_write_and_acknowledgement() {
    check("a_crash_between_write_and_acknowledgement", led_by_n0(3), |c| {
        c.disk_is_fast(1, false);
        c.crash(Slot::new(2), 0);
        c.propose(0, 1);
        c.settle();
        c.propose(0, 1);
        c.settle();
        c.note("of the two writes, one reaches the disk");
        c.crash(Slot::new(1), 1);
        c.start(Slot::new(1));
        c.disk_is_fast(1, true);
        c.ring(0);
        c.settle();
    });
}

#[test]
fn a_leader_with_a_slow_disk() {
    check("a_leader_with_a_slow_disk", led_by_n0(3), |c| {
        c.disk_is_fast(0, false);
        c.propose(0, 2);
        c.settle();
        c.persist(Slot::new(0), 1);
        c.ring(0);
        c.settle();
    });
}

#[test]
fn a_snapshot_with_a_lost_part() {
    check("a_snapshot_with_a_lost_part", led_by_n0(3), |c| {
        c.crash(Slot::new(2), 0);
        c.propose(0, 4);
        c.settle();
        c.compact(0);
        c.start(Slot::new(2));
        c.ring(0);
        while c.machine(2).incoming().is_none() {
            assert!(c.deliver(0, 2) || c.deliver(2, 0) || c.deliver(0, 1));
        }
        c.deliver(2, 0);
        c.lose(0, 2);
        c.settle();
        c.ring(0);
        c.settle();
    });
}

#[test]
fn reads_across_a_change_of_leader() {
    check("reads_across_a_change_of_leader", led_by_n0(3), |c| {
        let read = |c: &mut Group, slot| c.ask(slot, Input::Read).expect("it leads");
        read(c, 0);
        c.settle();
        c.part(&[0], &[1, 2]);
        read(c, 0);
        c.settle();
        c.elect_unheard(1);
        read(c, 1);
        c.ring(1);
        c.settle();
        c.heal();
        c.ring(1);
        c.settle();
    });
}

#[test]
fn a_partition_and_its_healing() {
    check("a_partition_and_its_healing", led_by_n0(5), |c| {
        c.part(&[0, 1], &[2, 3, 4]);
        c.propose(0, 1);
        c.pass(Span::millis(40));
        c.elect(3);
        c.propose(3, 1);
        c.settle();
        c.heal();
        c.ring(3);
        c.settle();
    });
}
