//! Every bound in one place.
//!
//! Two tables: a server's, used with the feature `alloc`, and a board's, used without. The table
//! in use caps every collection at compile time; a [`Limits`] value in a configuration may lower
//! the caps that a run sees, so tests run at board size on either backend.

use crate::machine::Refused;

/// How many of each thing a machine may hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// Members of a group.
    pub members: usize,
    /// Stretches of entries of one term that the log remembers. A group can go through one leader
    /// fewer than this without committing anything; after that a member that holds an entry of
    /// each can lead no more, and if it holds what nobody else does, nobody can. Each leader in
    /// vain doubles the wait for the next, up to 32 times.
    pub runs: usize,
    /// Entries that change the configuration, among those that the log holds above its floor.
    pub configurations: usize,
    /// Entries that the log holds above its floor.
    pub entries: usize,
    /// Entries in one append message.
    pub batch: usize,
    /// Entries sent to one follower and not yet acknowledged.
    pub window: usize,
    /// Bytes of the entries in one append message; a heavier entry travels alone, and no request may
    /// be heavier.
    pub batch_bytes: u32,
    /// Bytes of entries sent to one follower and not yet acknowledged; one message may go beyond it.
    pub window_bytes: u32,
    /// Bytes of a leader's entries that are not committed yet.
    pub uncommitted_bytes: u32,
    /// Clients whose last answer is remembered.
    pub sessions: usize,
    /// Bytes of a snapshot.
    pub snapshot: usize,
    /// Bytes of a snapshot in one message.
    pub chunk: usize,
    /// Leases in a table.
    pub leases: usize,
    /// Changes that a lease table remembers for those who watch it.
    pub lease_events: usize,
}

/// The table for servers.
pub const SERVER: Limits = Limits {
    members: 32,
    runs: 1_024,
    configurations: 64,
    entries: 65_536,
    batch: 1_024,
    window: 8_192,
    batch_bytes: 1 << 20,
    window_bytes: 16 << 20,
    uncommitted_bytes: 64 << 20,
    sessions: 4_096,
    snapshot: 64 << 20,
    chunk: 256 << 10,
    leases: 16_384,
    lease_events: 4_096,
};

/// The table for boards.
pub const BOARD: Limits = Limits {
    members: 7,
    runs: 16,
    configurations: 4,
    entries: 64,
    batch: 8,
    window: 32,
    batch_bytes: 1 << 10,
    window_bytes: 4 << 10,
    uncommitted_bytes: 8 << 10,
    sessions: 8,
    snapshot: 4 << 10,
    chunk: 256,
    leases: 16,
    lease_events: 16,
};

/// The table of the backend in use.
#[cfg(feature = "alloc")]
pub const MOST: Limits = SERVER;
/// The table of the backend in use.
#[cfg(not(feature = "alloc"))]
pub const MOST: Limits = BOARD;

/// How many groups a node has at most.
#[cfg(feature = "alloc")]
pub const GROUPS: usize = 16_384;
/// How many groups a node has at most.
#[cfg(not(feature = "alloc"))]
pub const GROUPS: usize = 4;

/// How many other nodes a node's failure detector watches at most, for all of its groups.
#[cfg(feature = "alloc")]
pub const PEERS: usize = 32;
/// How many other nodes a node's failure detector watches at most, for all of its groups.
#[cfg(not(feature = "alloc"))]
pub const PEERS: usize = 7;

/// How many other nodes a node's gossip knows at most, those that are down or have left included.
#[cfg(feature = "alloc")]
pub const NODES: usize = 1_024;
/// How many other nodes a node's gossip knows at most, those that are down or have left included.
#[cfg(not(feature = "alloc"))]
pub const NODES: usize = 32;

/// How many records of nodes travel beside one message of gossip at most.
#[cfg(feature = "alloc")]
pub const UPDATES: usize = 12;
/// How many records of nodes travel beside one message of gossip at most.
#[cfg(not(feature = "alloc"))]
pub const UPDATES: usize = 4;

/// How many positions above its stable checkpoint a Byzantine group works on at most.
#[cfg(feature = "alloc")]
pub const SLOTS: usize = 256;
/// How many positions above its stable checkpoint a Byzantine group works on at most.
#[cfg(not(feature = "alloc"))]
pub const SLOTS: usize = 16;

/// How many clients' requests a member of a Byzantine group watches over at most.
#[cfg(feature = "alloc")]
pub const REQUESTS: usize = 1_024;
/// How many clients' requests a member of a Byzantine group watches over at most.
#[cfg(not(feature = "alloc"))]
pub const REQUESTS: usize = 16;

/// At how many addresses a node's gossip looks for others at most.
pub const SEEDS: usize = 4;

impl Limits {
    /// These limits, none above the backend's and none below what the protocols need to move.
    #[must_use]
    pub const fn within(self) -> Self {
        const fn clamp(value: usize, least: usize, most: usize) -> usize {
            if value < least {
                least
            } else if value > most {
                most
            } else {
                value
            }
        }
        const fn clamp_bytes(value: u32, most: u32) -> u32 {
            if value < most { value } else { most }
        }
        Self {
            members: clamp(self.members, 1, MOST.members),
            runs: clamp(self.runs, 2, MOST.runs),
            configurations: clamp(self.configurations, 2, MOST.configurations),
            entries: clamp(self.entries, 4, MOST.entries),
            batch: clamp(self.batch, 1, MOST.batch),
            window: clamp(self.window, 1, MOST.window),
            batch_bytes: clamp_bytes(self.batch_bytes, MOST.batch_bytes),
            window_bytes: clamp_bytes(self.window_bytes, MOST.window_bytes),
            uncommitted_bytes: clamp_bytes(self.uncommitted_bytes, MOST.uncommitted_bytes),
            sessions: clamp(self.sessions, 1, MOST.sessions),
            snapshot: clamp(self.snapshot, 64, MOST.snapshot),
            chunk: clamp(self.chunk, 1, MOST.chunk),
            leases: clamp(self.leases, 1, MOST.leases),
            lease_events: clamp(self.lease_events, 1, MOST.lease_events),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        MOST
    }
}

/// Which limit would have been passed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Limit {
    /// [`Limits::entries`]: the log is full of entries that are not applied or not compacted.
    Entries,
    /// [`Limits::configurations`]: a snapshot must let the log go of some first.
    Configurations,
    /// [`Limits::batch`]: more requests at once than an append message carries.
    Batch,
    /// [`Limits::batch_bytes`]: a request is heavier than what an append message carries.
    BatchBytes,
    /// [`Limits::uncommitted_bytes`]: some of what was taken must be committed first.
    UncommittedBytes,
    /// A client has one request under way, and no more than one.
    Requests,
    /// [`PEERS`]: more nodes than a failure detector watches.
    Peers,
    /// [`GROUPS`]: close one first.
    Groups,
    /// [`SEEDS`]: name fewer addresses.
    Seeds,
    /// [`SLOTS`]: some of what was proposed must be executed, and a checkpoint become stable, first.
    Slots,
    /// [`REQUESTS`]: some of what was asked must be executed first.
    Watched,
}

impl From<Limit> for Refused {
    fn from(limit: Limit) -> Self {
        Self::Full(limit)
    }
}

const _: () = assert!(SERVER.members <= crate::id::Members::MOST);
const _: () = assert!(BOARD.batch <= BOARD.window && SERVER.batch <= SERVER.window);
const _: () = assert!(BOARD.window <= BOARD.entries && SERVER.window <= SERVER.entries);
