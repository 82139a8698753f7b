//! A replica's disk: the data folder, the log in it and the snapshots beside it.
//!
//! [`open`] brings a replica back from them. From then on the host hands over [`Task`]s in the
//! order in which the replica made them, and tells it what [`Done`] says. One thread does all of
//! it: what waits together is made durable together, with one sync. A snapshot is saved there too,
//! and writes wait for it: a write to the log after a snapshot may build on it, and it comes once
//! in tens of thousands of entries. What would make writes wait more often, filling the log's next
//! file with zeros, another thread does with [`Store::ahead`].

use crate::book::{self, Book, Entry, Page};
use crate::config::{Config, LAN_MS, Member, NodeConfig};
use crate::disk::RealDisk;
use crate::folder::{self, Folder, Identity, Seat};
use crate::log::{self, Log, Options};
use crate::protocol::{LogWrite, Service};
use crate::recording::{Head, Recorder};
use crate::snapshot::{self, Key, Snapshots};
use quorate::hlc;
use quorate::id::{EntryId, Incarnation, Index, Members, NodeId, Slot, Term};
use quorate::limits::Limits;
use quorate::membership::Address;
use quorate::membership::roster::{self, Life};
use quorate::raft::{self, Receipt, Snapshot};
use quorate::replica::{self, RecoverError, Replica};
use quorate::time::{Now, Span};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::ToSocketAddrs;

/// Something for the disk to do.
#[derive(Debug)]
pub enum Task {
    /// Append a record, or begin again with it.
    Write {
        /// What to tell the replica then.
        receipt: Receipt,
        /// The record.
        record: Vec<u8>,
        /// Whether nothing before it is needed any more.
        rebase: bool,
    },
    /// Keep a snapshot.
    Snapshot {
        /// Its name.
        snapshot: Snapshot,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Keep what the address book says, as a hint for the next start.
    Members(Vec<u8>),
}

/// Something that the disk has done.
#[derive(Clone, Copy, Debug)]
pub enum Done {
    /// This write and all before it are durable.
    Persisted(Receipt),
    /// This snapshot is durable.
    Stored(Snapshot),
}

/// Why a replica could not be brought back. Nothing on the disk was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The data folder is another's, or is in use.
    Folder(folder::Error),
    /// The log is damaged, or the disk failed.
    Log(log::Error),
    /// A snapshot is damaged, or the disk failed.
    Snapshot(snapshot::Error),
    /// A record of the log is whole but means nothing: it is of another program.
    Record,
    /// What is on the disk does not fit together.
    Recover(RecoverError),
    /// The node founds no group and has not joined one.
    NotJoined,
    /// Nobody could reach the node where it says it is.
    Address(String),
    /// The clock is behind what was written.
    Clock {
        /// By how much.
        behind: Span,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::Snapshot(error) => error.fmt(f),
            Self::Record => f.write_str("the log holds records of another program or version"),
            Self::Recover(error) => error.fmt(f),
            Self::NotJoined => f.write_str(
                "the node is not among the members of its configuration file and has not joined yet; \
                 name a member to join through (serve --join HOST:PORT)",
            ),
            Self::Address(what) => f.write_str(what),
            Self::Clock { behind } => write!(
                f,
                "the clock is {} ms behind the newest entry of the log; set it right and start again",
                behind.as_millis()
            ),
        }
    }
}

impl std::error::Error for OpenError {}

/// A replica's disk, open for writing.
#[derive(Debug)]
pub struct Store {
    log: Log<RealDisk>,
    snapshots: Snapshots<RealDisk>,
    book: Book,
    /// Held for as long as the store lives: it locks the folder.
    folder: Folder,
}

/// Prepares the file that the log will need next, beside the thread that writes.
#[derive(Debug)]
pub struct Ahead(RealDisk);

impl Ahead {
    /// Makes that file if it is not there; to be called about once a second. It must not outlive
    /// the [`Store`], which locks the folder.
    ///
    /// # Errors
    /// [`DiskFailed`]: the log is as safe without, and now and then slow. To try again on a full
    /// disk would take the room that the log and the snapshots need.
    pub fn prepare(&self) -> Result<(), DiskFailed> {
        log::prepare(&self.0, &Options::default()).map_err(|error| DiskFailed(error.to_string()))
    }
}

/// Why the disk failed, in one line. Nothing may be written any more.
#[derive(Debug)]
pub struct DiskFailed(pub String);

impl fmt::Display for DiskFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DiskFailed {}

/// Brings a node's replica back from its data folder, or begins one there.
///
/// # Errors
/// [`OpenError`]; nothing on the disk was changed.
pub fn open<S: Service>(
    config: &Config,
    state: S,
    now: Now,
) -> Result<(Replica<S>, Store), OpenError> {
    open_recorded(config, state, now, None)
}

/// The same, and begins the recording of this life.
///
/// # Errors
/// As [`open`].
pub fn open_recorded<S: Service>(
    config: &Config,
    state: S,
    now: Now,
    mut recorder: Option<&mut Recorder>,
) -> Result<(Replica<S>, Store), OpenError> {
    let folder = open_folder(config)?;
    let seat = folder.seat().ok_or(OpenError::NotJoined)?;
    let mut book = book_of(config, &folder, seat, address_of(&config.node)?);
    let disk = |name| folder.disk(name).map_err(|error| OpenError::Folder(error.into()));
    let snapshots = Snapshots::open(disk("snapshots")?).map_err(OpenError::Snapshot)?;
    let options = Options { salt: chance(), ..Options::default() };
    let mut writes: Result<Vec<LogWrite<S::Command>>, postcard::Error> = Ok(Vec::new());
    let (log, _) = Log::open(disk("log")?, options, |record| {
        let (log::Record::Base(bytes) | log::Record::Batch(bytes)) = record;
        match (&mut writes, postcard::from_bytes::<Vec<LogWrite<S::Command>>>(bytes)) {
            (Ok(writes), Ok(more)) => writes.extend(more),
            (writes @ Ok(_), Err(error)) => *writes = Err(error),
            (Err(_), _) => {}
        }
    })
    .map_err(OpenError::Log)?;

    let newest = snapshots.newest().map_err(OpenError::Snapshot)?;
    let named = newest.as_ref().map(|(key, bytes)| (name_of(key, bytes), &bytes[..]));
    let setup = replica_config(config, seat, log.boots());
    let max_offset = setup.clock.max_offset;
    if let Some(recorder) = &mut recorder {
        recorder.head(head_of::<S>(config, &setup), named);
    }
    let mut replica = Replica::recover(setup, state, named).map_err(OpenError::Recover)?;
    for (write, entries) in writes.map_err(|_| OpenError::Record)? {
        if let Some(recorder) = &mut recorder {
            recorder.write(&write, &entries);
        }
        replica.replay(&write, &entries).map_err(OpenError::Recover)?;
    }
    if let Some(behind) = replica.clock().ahead_by(now).filter(|ahead| *ahead > max_offset) {
        return Err(OpenError::Clock { behind });
    }
    book.follow(&replica, true);
    if let Some(recorder) = recorder {
        recorder.begin(&replica);
    }
    Ok((replica, Store { log, snapshots, book, folder }))
}

/// The data folder, with what the node is in its group: a founder's slot is its place among the members
/// of the configuration file, in the order of their ids.
fn open_folder(config: &Config) -> Result<Folder, OpenError> {
    let identity = Identity { group: config.group.id, node: config.node.id };
    let mut folder = Folder::open(&config.node.data, identity).map_err(OpenError::Folder)?;
    let ids = config.member_ids();
    if let (None, Some(place)) = (folder.seat(), ids.iter().position(|id| *id == config.node.id)) {
        let seat = Seat {
            slot: u8::try_from(place).unwrap_or(u8::MAX),
            since: 0,
            founders: Members::first(ids.len()).bits(),
            replication_factor: config.group.replication_factor.unwrap_or(u32::MAX),
            heartbeat_timeout_ms: config.group.heartbeat_timeout_ms.unwrap_or(LAN_MS),
        };
        folder.settle(seat).map_err(OpenError::Folder)?;
    }
    Ok(folder)
}

/// What [`Folder::keep_members`] keeps.
#[must_use]
pub fn bytes_of_page(page: &Page) -> Vec<u8> {
    postcard::to_stdvec(page).unwrap_or_default()
}

/// Where others reach a node, as a socket: names are looked up once, here.
///
/// # Errors
/// [`OpenError::Address`].
pub fn address_of(node: &NodeConfig) -> Result<Address, OpenError> {
    let text = node.advertise.as_ref().unwrap_or(&node.listen);
    let sockets = text.to_socket_addrs();
    let unknown = |why: String| OpenError::Address(format!("cannot find {text}: {why}"));
    let socket = sockets.map_err(|error| unknown(error.to_string()))?.next();
    let socket = socket.ok_or_else(|| unknown("it has no address; give another".to_owned()))?;
    if socket.ip().is_unspecified() {
        let what = format!(
            "{text} is every address of this machine; say in [node] where others reach it: advertise = \"HOST:PORT\""
        );
        return Err(OpenError::Address(what));
    }
    Ok(book::address_of(socket))
}

/// The address book that a node starts with.
fn book_of(config: &Config, folder: &Folder, seat: Seat, address: Address) -> Book {
    let me = Life {
        node: NodeId::new(config.node.id),
        incarnation: Incarnation::new(folder.incarnation()),
    };
    let mut founders = config.members.clone();
    founders.sort_by_key(|member| member.id);
    let entry = |member: &Member| Entry {
        node: NodeId::new(member.id),
        incarnation: None,
        since: Index::ZERO,
        address: member.address.clone(),
        leaves: false,
    };
    let given = founders.iter().map(|it| (NodeId::new(it.id), it.address.clone())).collect();
    let founded = || Page {
        as_of: Index::ZERO,
        belong: Members::from_bits(seat.founders),
        members: (0..).map(Slot::new).zip(founders.iter().map(entry)).collect(),
    };
    let kept = folder.members().and_then(|bytes| postcard::from_bytes(&bytes).ok());
    let page = kept.unwrap_or_else(founded);
    Book::new((me, Slot::new(seat.slot), Index::new(seat.since)), address, given, page)
}

/// The replica's own configuration.
fn replica_config(config: &Config, seat: Seat, boot: u64) -> replica::Config {
    let timeout = config.group.heartbeat_timeout_ms.unwrap_or(seat.heartbeat_timeout_ms);
    let election_timeout = Span::millis(timeout);
    let wanted = config.group.replication_factor.unwrap_or(seat.replication_factor);
    replica::Config {
        raft: raft::Config {
            me: Slot::new(seat.slot),
            voters: Members::from_bits(seat.founders),
            since: Index::new(seat.since),
            boot,
            seed: chance(),
            election_timeout,
            heartbeat: election_timeout.divided(5),
            clock_drift: None,
            promotion_lag: Some(Limits::default().batch as u32),
            rests: false,
            limits: Limits::default(),
        },
        clock: hlc::Config::default(),
        roster: roster::Config { replication_factor: wanted, ..roster::Config::default() },
    }
}

/// What a recording says of the node first.
fn head_of<S: Service>(config: &Config, setup: &replica::Config) -> Head {
    Head {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        kind: S::KIND.to_owned(),
        group: config.group.id,
        node: config.node.id,
        members: config.member_ids(),
        setup: setup.clone(),
    }
}

fn name_of(key: &Key, bytes: &[u8]) -> Snapshot {
    Snapshot {
        boundary: EntryId::new(Term::new(key.term), Index::new(key.index)),
        size: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        digest: key.digest,
    }
}

/// A number that nobody can guess, from the operating system's generator.
#[must_use]
pub fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Store {
    /// The address book that the node starts with.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Does everything that waits, in order, and makes it durable together.
    ///
    /// # Errors
    /// [`DiskFailed`]: the log is poisoned, and the replica must be told.
    pub fn perform(&mut self, tasks: impl Iterator<Item = Task>) -> Result<Vec<Done>, DiskFailed> {
        let mut done = Vec::new();
        let mut newest = None;
        for task in tasks {
            match task {
                Task::Write { receipt, record, rebase } => {
                    let written =
                        if rebase { self.log.rebase(&record) } else { self.log.append(&record) };
                    written.map_err(|error| DiskFailed(error.to_string()))?;
                    newest = Some(receipt);
                }
                Task::Snapshot { snapshot, bytes } => {
                    self.keep(&snapshot, &bytes).map_err(|error| DiskFailed(error.to_string()))?;
                    done.push(Done::Stored(snapshot));
                }
                // Without them the node starts with older hints.
                Task::Members(bytes) => drop(self.folder.keep_members(&bytes)),
            }
        }
        if let Some(receipt) = newest {
            self.log.sync().map_err(|error| DiskFailed(error.to_string()))?;
            done.push(Done::Persisted(receipt));
        }
        Ok(done)
    }

    /// The newest snapshot is all that a recovery needs beside the log, so the older ones go.
    fn keep(&self, snapshot: &Snapshot, bytes: &[u8]) -> Result<(), snapshot::Error> {
        let EntryId { term, index } = snapshot.boundary;
        let key = Key { index: index.number(), term: term.number(), digest: snapshot.digest };
        self.snapshots.save(key, bytes)?;
        self.snapshots.remove_older(key)
    }

    /// What another thread needs to prepare the log's next file.
    ///
    /// # Errors
    /// [`DiskFailed`], if the folder cannot be opened.
    pub fn ahead(&self) -> Result<Ahead, DiskFailed> {
        self.folder.disk("log").map(Ahead).map_err(|error| DiskFailed(error.to_string()))
    }

    /// Notes what is durable, when there is nothing else to do.
    ///
    /// # Errors
    /// As [`perform`](Store::perform).
    pub fn idle(&mut self) -> Result<(), DiskFailed> {
        self.log.mark().map_err(|error| DiskFailed(error.to_string()))
    }
}
