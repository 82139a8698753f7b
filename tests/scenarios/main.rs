//! One short test for each published bug that this code could have had, named for its claim.

mod cast;
mod client;
mod compaction;
mod configurations;
mod detector;
mod errors;
mod gossip;
mod hlc;
mod lease;
mod node;
mod raft_changes;
mod raft_configurations;
mod raft_election;
mod raft_leases;
mod raft_reads;
mod raft_replication;
mod raft_rest;
mod raft_snapshots;
mod raft_transfers;
mod raft_votes;
mod replica;
mod replica_snapshots;
mod replica_weights;
mod roster;
mod sum;
mod witness;
