//! Nodes that come and go.

use crate::group::{GROUP, Group, LONG};
use crate::tally::Tally;
use quorate::id::NodeId;
use quorate_host::protocol::Member;
use quorate_tokio::{Failure, Handle, NotJoined};
use std::time::Instant;

/// Waits until these nodes, and no others, vote.
async fn await_voters(handle: &Handle<Tally>, nodes: &[u64]) {
    let began = Instant::now();
    loop {
        let members = handle.members().await.unwrap();
        let votes = |it: &&Member| it.role == "voter" || it.role == "leader";
        let mut voters: Vec<_> = members.iter().filter(votes).map(|it| it.node).collect();
        voters.sort_unstable();
        if voters == nodes {
            return;
        }
        assert!(began.elapsed() < LONG, "in vain: {members:?}");
    }
}

#[tokio::test]
async fn a_fourth_node_joins_and_takes_the_place_of_the_leader_that_leaves() {
    let mut group = Group::start(3, 150, &Tally::default()).await;
    // It knows the founders alone, one of whom leaves: of the fourth it hears.
    let handle = group.handle();
    assert_eq!(handle.propose(7).await, Ok(1));
    assert_eq!(group.join(&Tally::default()).await, 4);
    let left = group.leader().await;
    handle.leave(NodeId::new(left as u64)).await.unwrap();
    group.ended(left).await.expect("it has left, and that is no failure");
    let rest: Vec<_> = (1..=4).filter(|node| *node != left as u64).collect();
    await_voters(&handle, &rest).await;
    assert_eq!(handle.propose(8).await, Ok(2));
    assert_eq!(group.handle_of(4).read(()).await, Ok(vec![7, 8]));
}

#[tokio::test]
async fn whoever_cannot_join_or_leave_is_told_why() {
    let group = Group::start(1, 150, &Tally::default()).await;
    let handle = group.handle();
    handle.propose(1).await.unwrap();
    for (node, why) in [(9, "the node is no member"), (1, "the node is the last member")] {
        let failure = handle.leave(NodeId::new(node)).await.unwrap_err();
        assert!(matches!(&failure, Failure::Refused(said) if said.contains(why)), "{failure}");
    }
    // An empty folder of a node that is a member: the one that has the data is meant to come back.
    let folder = tempfile::tempdir().unwrap();
    let text = "[node]\nid = 1\nlisten = \"127.0.0.1:1\"\ndata = \"data\"\n";
    let config = quorate_host::config::Config::parse("node.toml", text, folder.path()).unwrap();
    let refused = quorate_tokio::join(&config, &[group.address(1)], LONG).await.unwrap_err();
    assert!(matches!(refused, NotJoined::Failed(Failure::Refused(_))), "{refused}");
    assert!(refused.to_string().contains("choose another id, or replace it"), "{refused}");
    let rows = quorate_tokio::status(&group.address(1), GROUP, LONG).await.unwrap();
    assert_eq!(rows.role, "leader");
    assert_eq!(handle.members().await.unwrap().len(), 1, "nobody came or went");
}
