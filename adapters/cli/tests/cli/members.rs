//! Nodes come and go, as real processes: joins, leaves, a leader that leaves, a disk that is lost.

use crate::group::{Group, on_each_runtime};
use crate::program::{await_some, quorate};
use serde_json::Value;
use std::fs;

on_each_runtime!(
    a_lease_is_held_while_the_group_grows_shrinks_and_loses_its_leader_and_a_disk,
    whoever_cannot_join_or_leave_is_told_why_in_one_line,
);

/// What `members --json` says, a row for each member.
fn members(group: &Group) -> Vec<Value> {
    let ran = group.ask("members --json");
    ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Waits until these nodes, and no others, vote.
fn await_voters(group: &Group, nodes: &[u64]) {
    await_some(&format!("{nodes:?} to be the voters"), || {
        let rows = members(group);
        let votes = |row: &&Value| row["role"] == "voter" || row["role"] == "leader";
        let mut voters: Vec<_> =
            rows.iter().filter(votes).filter_map(|it| it["node"].as_u64()).collect();
        voters.sort_unstable();
        (voters == nodes).then_some(())
    });
}

/// The token of the only lease.
fn token(group: &Group) -> u64 {
    let ran = group.ask("lease list --json");
    let lease: Value = serde_json::from_str(ran.out.trim()).expect("one lease");
    lease["token"].as_u64().expect("a token")
}

fn a_lease_is_held_while_the_group_grows_shrinks_and_loses_its_leader_and_a_disk(
    runtime: &'static str,
) {
    let mut group = Group::start_wanting(3, 5, runtime);
    group.ask("lease acquire db --holder ann --for 1h").done();
    let held = token(&group);
    assert_eq!((group.join(), group.join()), (4, 5));
    await_voters(&group, &[1, 2, 3, 4, 5]);

    let leader = group.await_leader();
    let told = group.ask(&format!("leave {leader}"));
    assert_eq!(told.done().trim(), format!("node {leader} has left group 1"));
    assert!(await_some("the process of the one that left", || group.has_ended(leader)));
    assert!(group.said(leader).contains("has left group 1 and stops"), "{}", group.said(leader));
    assert_eq!(token(&group), held);
    group.spawn(leader);
    assert!(await_some("its end when it is started again", || group.has_ended(leader)));

    let leader_now = group.await_leader();
    let lost = (1..=5).find(|node| ![leader, leader_now].contains(node)).expect("five nodes");
    group.kill(lost);
    let kept = group.data(lost).with_extension("kept");
    fs::rename(group.data(lost), &kept).expect("its data");
    let nodes = group.addresses_without(lost);
    let replace = format!("replace --timeout 40s --join {nodes} --config");
    let config = group.config(lost).display().to_string();
    quorate(&format!("{replace} {config}")).done();
    let again = quorate(&format!("{replace} {config}"));
    assert!(again.failed(2).contains("serve it, or move it away"));
    group.spawn(lost);
    let rest: Vec<u64> = (1..=5).filter(|node| *node != leader as u64).collect();
    await_voters(&group, &rest);
    await_some("the old life to be gone", || (members(&group).len() == 4).then_some(()));
    assert_eq!(token(&group), held);

    // The old disk turns up again: it must never speak for the node.
    group.kill(lost);
    fs::rename(group.data(lost), group.data(lost).with_extension("new")).expect("its data");
    fs::rename(&kept, group.data(lost)).expect("its data");
    group.spawn(lost);
    assert!(!await_some("the end of the earlier life", || group.has_ended(lost)));
    assert!(group.said(lost).contains("a later life of this node"), "{}", group.said(lost));
    assert_eq!(token(&group), held);
}

fn whoever_cannot_join_or_leave_is_told_why_in_one_line(runtime: &'static str) {
    let mut group = Group::start_wanting(1, 3, runtime);
    let refused = |ran: crate::program::Ran, code: i32, why: &str| {
        let line = ran.failed(code);
        assert!(line.contains(why), "{line}");
    };
    refused(group.ask("leave 9"), 1, "the node is no member");
    refused(group.ask("leave 1"), 1, "the node is the last member");

    let joiner = |id: u64, name: &str, more: &str| {
        let folder = group.data(1).with_extension(name);
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("node.toml");
        let text = format!("[node]\nid = {id}\nlisten = \"127.0.0.1:1\"\ndata = \"data\"\n{more}");
        fs::write(&file, text).expect("room for a file");
        file.display().to_string()
    };
    let serve = |file: &str, more: &str| {
        quorate(format!("serve --runtime {runtime} --config {file} {more}").trim_end())
    };
    let join = format!("--join {}", group.address(1));
    refused(serve(&joiner(2, "a", ""), ""), 1, "has not joined yet");
    refused(serve(&joiner(1, "b", ""), &join), 1, "choose another id, or replace it");
    let other = joiner(2, "c", "[consensus_group]\nid = 9\n");
    refused(serve(&other, &join), 1, "serves group 1");
    let replace =
        |file: &str, more: &str| quorate(&format!("replace --timeout 1s --config {file} {more}"));
    refused(replace(&joiner(7, "d", ""), &join), 1, "node 7 is no member");
    refused(replace(&joiner(1, "e", ""), "--join 127.0.0.1:1"), 3, "cannot be reached");
    let everywhere = joiner(2, "f", "").replace("node.toml", "every.toml");
    fs::write(&everywhere, "[node]\nid = 2\nlisten = \"0.0.0.0:1\"\ndata = \"data\"\n")
        .expect("room");
    refused(serve(&everywhere, &join), 2, "advertise = \"HOST:PORT\"");
    assert_eq!(members(&group).len(), 1, "none of them is a member");
    assert!(group.has_ended(1).is_none());
}
