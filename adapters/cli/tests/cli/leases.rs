//! A lease on three real nodes, one of which is killed.

use crate::group::{Group, on_each_runtime};
use crate::program::{Ran, await_some, command};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

fn object(ran: Ran) -> Value {
    let line = ran.done();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn objects(ran: Ran) -> Vec<Value> {
    ran.done().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

on_each_runtime!(
    a_leader_that_is_asked_to_end_leaves_another_in_its_place,
    a_lease_outlives_the_leader_that_granted_it,
    a_watch_ends_quietly_when_nobody_listens_any_more,
);

fn a_lease_outlives_the_leader_that_granted_it(runtime: &'static str) {
    let mut group = Group::start(3, runtime);
    let lease = object(group.ask("lease acquire db --holder ann --for 10m --json"));
    let token = lease["token"].as_u64().expect("a token");
    assert_eq!((&lease["scope"], &lease["holder"]), (&json!("db"), &json!("ann")));
    assert!(lease["expires_in_ms"].as_u64().is_some_and(|left| left <= 600_000));

    let line = group.ask("lease acquire db --holder bob --for 10m").failed(1);
    assert!(line.starts_with(&format!("db is held by ann with token {token} for another ")));
    let line = group.ask(&format!("lease renew db --token {}", token + 1)).failed(1);
    assert!(line.starts_with("there is no lease of db with token"), "{line}");

    let renew = format!("lease renew db --token {token} --json");
    assert_eq!(object(group.ask(&renew))["holder"], "ann");

    let killed = group.await_leader();
    group.kill(killed);
    let renewed = object(group.ask_without(killed, &renew));
    assert_eq!((&renewed["token"], &renewed["holder"]), (&json!(token), &json!("ann")));

    // From here on the dead node is among those that are asked.
    let listed = objects(group.ask("lease list --prefix d --json"));
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0]["scope"], &listed[0]["token"]), (&json!("db"), &json!(token)));
    let events = objects(group.ask("lease watch --for-events 3 --json"));
    let events: Vec<_> = events.iter().map(|event| (&event["event"], &event["token"])).collect();
    let token_ = json!(token);
    let what = ["granted", "renewed", "renewed"].map(Value::from);
    assert_eq!(events, [(&what[0], &token_), (&what[1], &token_), (&what[2], &token_)]);

    let release = format!("lease release db --token {token}");
    assert_eq!(group.ask(&release).done(), "db is released\n");
    group.ask(&release).failed(1);
    assert_eq!(group.ask("lease list").done(), "0 leases\n");
    let next = object(group.ask("lease acquire db --holder bob --for 10m --json"));
    assert!(next["token"].as_u64() > Some(token), "tokens rise");

    let rows = group.status();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[killed - 1]["node"], group.address(killed).as_str());
    assert!(rows[killed - 1]["error"].is_string());
    for key in ["group", "term", "leader", "first", "last", "durable", "commit", "applied", "lag"] {
        assert!(rows[killed % 3][key].is_u64(), "{key} in {}", rows[killed % 3]);
    }

    group.spawn(killed);
    await_some("the killed node to catch up", || {
        let rows = group.status();
        let applied: Vec<_> = rows.iter().map(|row| row["applied"].as_u64()).collect();
        applied.iter().all(|one| one.is_some() && *one == applied[0]).then_some(())
    });
    let table = group.ask("status").done();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5, "a head, three rows and a verdict:\n{table}");
    assert!(lines[4].starts_with("3 of 3 nodes answer; node "), "{table}");
}

fn a_watch_ends_quietly_when_nobody_listens_any_more(runtime: &'static str) {
    let group = Group::start(1, runtime);
    let acquire = |scope: &str| group.ask(&format!("lease acquire {scope} --holder ann --for 10s"));
    let mut watch = command(&format!("lease watch --nodes {}", group.address(1)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut heard = BufReader::new(watch.stdout.take().unwrap());
    acquire("one").done();
    let mut line = String::new();
    heard.read_line(&mut line).unwrap();
    assert!(
        line.ends_with(&format!("granted  one  ann  token {}\n", line.split(' ').next().unwrap()))
    );
    drop(heard);
    acquire("two").done();
    let status = await_some("the watch to end", || watch.try_wait().unwrap());
    let mut complaint = String::new();
    watch.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!((status.code(), complaint.as_str()), (Some(0), ""));
}

fn a_leader_that_is_asked_to_end_leaves_another_in_its_place(runtime: &'static str) {
    let mut group = Group::start(3, runtime);
    group.ask("lease acquire db --holder ann --for 10m").done();
    let leader = group.await_leader();
    assert_eq!(group.terminate(leader), Some(0));
    let said = group.said(leader);
    let successor = format!("quorate: node {leader} leads\n");
    let (_, after) = said.rsplit_once(&successor).expect("it led");
    assert!(after.contains(" leads\n"), "it has seen who leads in its place:\n{said}");
    assert!(said.ends_with(&format!("node {leader} of group 1 has ended\n")), "{said}");
    assert!(group.ask("lease list").done().contains("1 lease"));
}
