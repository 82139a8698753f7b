//! How nodes and connections end.

use crate::group::{GROUP, Group, LONG};
use crate::tally::Tally;
use quorate_host::frame::{self, Kind};
use quorate_host::protocol::{Ask, Hello, Request, Welcome};
use quorate_tokio::Node;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_leader_that_shuts_down_hands_over_and_clients_hardly_notice() {
    hand_over(Group::start(3, 2_000, &Tally::default()).await).await;
}

#[tokio::test]
async fn a_leader_on_threads_that_is_stopped_hands_over_too() {
    hand_over(Group::start_on_threads(3, 2_000, &Tally::default())).await;
}

async fn hand_over(mut group: Group<Tally>) {
    // A leader that is missed costs this and more; one that hands over, some messages.
    let election_timeout = Duration::from_secs(2);
    let handle = group.handle();
    handle.propose(0).await.unwrap();
    let leader = group.leader().await;
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), handle.clone());
    let stopping = Arc::clone(&stop);
    let client = tokio::spawn(async move {
        let (mut longest, mut last, mut count) = (Duration::ZERO, Instant::now(), 0_u64);
        while !stopping.load(Ordering::Relaxed) {
            count += 1;
            asked.propose(count).await.unwrap();
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        (longest, count)
    });
    let (ended, took) = group.shut_down(leader).await;
    ended.unwrap();
    let next = group.leader().await;
    assert_ne!(next, leader);
    // Some more through the new leader.
    let seen = handle.read(()).await.unwrap().len();
    while handle.read(()).await.unwrap().len() < seen + 10 {}
    stop.store(true, Ordering::Relaxed);
    let (gap, count) = client.await.unwrap();
    println!("shutdown took {took:?}; longest gap of a client {gap:?}; {count} requests");
    assert!(took < election_timeout / 2, "{took:?}");
    assert!(gap < election_timeout / 2, "{gap:?}");
    assert_eq!(handle.read(()).await.unwrap().len() as u64, count + 1, "each once");
}

#[tokio::test]
async fn a_leader_that_nobody_can_succeed_leaves_after_an_election_timeout() {
    let election_timeout = Duration::from_millis(1_000);
    let mut group = Group::start(2, 1_000, &Tally::default()).await;
    group.handle().propose(1).await.unwrap();
    let leader = group.leader().await;
    group.agreement_of(2).await;
    group.kill(3 - leader);
    let (ended, took) = group.shut_down(leader).await;
    ended.unwrap();
    assert!(took < election_timeout * 2, "{took:?}");
}

#[tokio::test]
async fn a_node_that_has_ended_has_given_its_port_and_its_folder_back() {
    let group: Group<Tally> = Group::rest(1, 150);
    for life in 1..=3 {
        let node = Node::start(&group.config(1), Tally::default()).await.expect("both are free");
        assert_eq!(node.handle().propose(life).await, Ok(life), "what was there is there");
        let silent = TcpStream::connect(node.address()).unwrap();
        node.shutdown().await.unwrap();
        drop(silent);
    }
    // One that is dropped ends too, and nobody looks on.
    drop(Node::start(&group.config(1), Tally::default()).await.unwrap());
    let began = Instant::now();
    while Node::start(&group.config(1), Tally::default()).await.is_err() {
        assert!(began.elapsed() < LONG);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_others_are_served() {
    let group = Group::start(1, 150, &Tally::default()).await;
    group.handle().propose(1).await.unwrap();
    let mut stream = TcpStream::connect(group.address(1)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream.write_all(&frame::encode(Kind::Hello, GROUP, &Hello::Client).unwrap()).unwrap();
    let welcome = frame::read(&mut stream, &mut Vec::new(), Kind::Hello, GROUP).unwrap();
    assert!(matches!(welcome, Welcome::Here { .. }));
    let request = Request::<u64, ()> { number: 1, ask: Ask::Status };
    let requests = frame::encode(Kind::Request, GROUP, &request).unwrap().repeat(100);
    let began = Instant::now();
    let failure = loop {
        if let Err(error) = stream.write_all(&requests) {
            break error.kind();
        }
        assert!(began.elapsed() < LONG, "it is still taken");
    };
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    assert!(matches!(failure, ConnectionReset | BrokenPipe), "{failure:?}");
    assert_eq!(group.handle().propose(2).await, Ok(2));
}
