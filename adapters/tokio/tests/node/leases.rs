//! Leases that tasks hold.

use crate::group::{Group, LONG};
use quorate::id::Index;
use quorate::lease::{Change, Event, Name, Response};
use quorate_host::lease::{Answer, Query, table};
use quorate_tokio::{NotHeld, Watch, Watched};
use std::time::{Duration, Instant};
use tokio::time::timeout;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

async fn next(watch: &mut Watch) -> Event {
    let next = timeout(LONG, watch.next()).await.expect("it happens in time");
    match next.unwrap() {
        Watched::Event(event) => event,
        Watched::Forgotten(compacted) => panic!("{compacted}"),
    }
}

#[tokio::test]
async fn a_lease_is_kept_over_the_kill_of_the_leader_and_given_back_when_it_is_dropped() {
    let mut group = Group::start(3, 150, &table()).await;
    let handle = group.handle();
    let mut watch = handle.watch(Index::ZERO);
    let lasts = Duration::from_secs(3);
    let door = handle.lease(name("door"), name("ann"), lasts).await.unwrap();
    let refused = handle.lease(name("door"), name("bob"), lasts).await.unwrap_err();
    assert!(matches!(refused, NotHeld::Said(Response::Held { .. })), "{refused}");
    assert_eq!(next(&mut watch).await.change, Change::Granted);
    let leader = group.leader().await;
    group.kill(leader);
    for _ in 0..3 {
        let event = next(&mut watch).await;
        assert_eq!((event.change, event.token), (Change::Renewed, door.token()));
    }
    assert!(!door.left().is_zero(), "three renewals later it is still held");
    drop(door);
    let change = match next(&mut watch).await.change {
        Change::Renewed => next(&mut watch).await.change, // It was under way.
        change => change,
    };
    assert_eq!(change, Change::Released);
    handle.lease(name("door"), name("bob"), lasts).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_lease_that_nobody_waits_for_any_more_is_given_back() {
    let group = Group::start(1, 150, &table()).await;
    let handle = group.handle();
    let day = Duration::from_secs(24 * 3_600);
    handle.lease(name("first"), name("ann"), day).await.unwrap().release().await.unwrap();
    for micros in (0..4_000).step_by(100) {
        let scope = name(&format!("scope-{micros}"));
        let patience = Duration::from_micros(micros);
        drop(timeout(patience, handle.lease(scope, name("ann"), day)).await);
    }
    let mut watch = handle.watch(Index::ZERO);
    loop {
        // Whatever was granted is released, sooner or later; a watch has seen both.
        let Answer::Leases(held) =
            handle.read(Query::List { prefix: String::new() }).await.unwrap()
        else {
            panic!("a list was asked for")
        };
        if held.is_empty() {
            break;
        }
        next(&mut watch).await;
    }
}

#[tokio::test]
async fn a_lease_of_a_group_that_is_gone_is_lost_in_time() {
    let mut group = Group::start(1, 150, &table()).await;
    let handle = group.handle();
    let (asked, lasts) = (Instant::now(), Duration::from_millis(1_000));
    let mut door = handle.lease(name("door"), name("ann"), lasts).await.unwrap();
    group.kill(1);
    loop {
        let passed = asked.elapsed();
        if door.left().is_zero() {
            break;
        }
        assert!(passed < lasts, "it may not be used as long as the table holds it");
    }
    assert!(timeout(LONG, door.lost()).await.is_ok());
    assert!(door.left().is_zero());
}
