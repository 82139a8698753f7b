//! A group that is asked while its nodes come and go.

use crate::group::Group;
use crate::tally::Tally;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

#[tokio::test]
async fn a_group_survives_the_kill_of_its_leader_and_the_killed_one_comes_back() {
    let mut group = Group::start(3, 150, &Tally::default()).await;
    let handle = group.handle();
    assert_eq!(handle.propose(7).await, Ok(1));
    let killed = group.leader().await;
    group.kill(killed);
    assert_eq!(handle.propose(8).await, Ok(2));
    assert_eq!(handle.read(()).await, Ok(vec![7, 8]));
    group.spawn(killed, &Tally::default()).await;
    group.agreement_of(3).await;
}

#[tokio::test]
async fn nodes_on_threads_and_on_tokio_are_one_group_whoever_leads() {
    let mut group = Group::rest(3, 150);
    group.spawn(1, &Tally::default()).await;
    group.spawn_on_threads(2, &Tally::default());
    group.spawn_on_threads(3, &Tally::default());
    let handle = group.handle_of(1);
    let (mut said, mut led) = (0, BTreeSet::new());
    // Who leads is left out, until each kind has led.
    while !(led.contains(&1) && led.len() > 1) {
        said += 1;
        assert_eq!(group.handle().propose(said).await, Ok(said));
        let leader = group.leader().await;
        led.insert(leader);
        group.kill(leader);
        said += 1;
        assert_eq!(group.handle().propose(said).await, Ok(said));
        match leader {
            1 => group.spawn(1, &Tally::default()).await,
            other => group.spawn_on_threads(other, &Tally::default()),
        }
        group.agreement_of(3).await;
    }
    assert_eq!(group.handle().read(()).await, Ok((1..=said).collect()));
    drop(handle);
}

#[tokio::test]
async fn a_request_that_is_dropped_takes_effect_at_most_once_and_the_handle_goes_on() {
    let mut group = Group::start(3, 150, &Tally::default()).await;
    let handle = group.handle();
    handle.propose(0).await.unwrap();
    let mut acknowledged = vec![0];
    for round in [0, 200, 400] {
        let mut asked = JoinSet::new();
        for number in round + 1..=round + 200 {
            // Some are dropped before their turn comes, some under way, some never.
            let (handle, patience) = (handle.clone(), Duration::from_micros(number % 20 * 200));
            asked.spawn(async move { (number, timeout(patience, handle.propose(number)).await) });
        }
        if round == 200 {
            let leader = group.leader().await;
            group.kill(leader);
        }
        let answers = asked.join_all().await.into_iter();
        let done = answers.filter(|(_, said)| matches!(said, Ok(Ok(_))));
        acknowledged.extend(done.map(|(number, _)| number));
    }
    handle.propose(601).await.unwrap();
    acknowledged.push(601);
    let applied = handle.read(()).await.unwrap();
    let once: BTreeSet<_> = applied.iter().copied().collect();
    assert_eq!(once.len(), applied.len(), "twice: {applied:?}");
    assert!(acknowledged.iter().all(|number| once.contains(number)), "{acknowledged:?}");
    assert!(applied.len() < 602, "none was dropped before its turn");
    assert!(applied.len() > acknowledged.len(), "none was dropped under way");
}

#[tokio::test]
async fn more_requests_than_sessions_wait_for_their_turn_and_are_all_answered() {
    let group = Group::start(1, 150, &Tally::default()).await;
    let handle = group.handle_of(1);
    let mut asked = JoinSet::new();
    for number in 0..10 * quorate_tokio::SESSIONS as u64 {
        let handle = handle.clone();
        asked.spawn(async move { handle.propose(number).await.unwrap() });
    }
    let mut places = asked.join_all().await;
    places.sort_unstable();
    assert_eq!(places, (1..=10 * quorate_tokio::SESSIONS as u64).collect::<Vec<_>>());
}
