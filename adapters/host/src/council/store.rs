//! A member's disk: its folder with the key, the log of what the machine wrote, and the newest states.

use super::config::{Config, ConfigError};
use super::seat::{Done, Seat};
use super::wire::understand;
use crate::disk::{self, RealDisk};
use crate::log::{self, Log, Options};
use crate::protocol::Service;
use crate::signing::{
    Certificate, Keys, KeysError, NotMine, RollError, SignedNewView, SignedPrepared, SignedStable,
    Signer, Vault, Verifier, state_digest,
};
use crate::snapshot::{self, Key, Snapshots};
use crate::store::DiskFailed;
use quorate::council::{self, Council};
use quorate::hlc;
use quorate::id::Index;
use quorate::pbft::{self, Checkpoint, Receipt, Write};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, TryLockError};
use std::sync::Arc;

/// The length of a segment of the log: it begins again with every stable checkpoint.
const SEGMENT: u64 = 4 << 20;

/// What the log holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Entry {
    /// What the machine wrote, and the signatures that prove it.
    Write(Write, Proof),
    /// A payload, and where it was proposed.
    Payload(Index, Vec<u8>),
}

/// The signatures stored with a write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Proof {
    /// It needs none.
    None,
    /// Those of the signers that it names.
    Some(Certificate),
    /// What a view began with.
    NewView(Box<SignedNewView>),
}

/// Something for the disk to do.
#[derive(Debug)]
pub enum Task {
    /// Append a record, or begin again with it; and what to tell the machine then, if anything.
    Write {
        /// What to tell.
        receipt: Option<Receipt>,
        /// The record.
        record: Vec<u8>,
        /// Whether nothing before it is needed any more.
        rebase: bool,
    },
    /// Keep a state.
    State {
        /// What it stands for.
        checkpoint: Checkpoint,
        /// The state.
        bytes: Vec<u8>,
        /// The stable checkpoint: no state before it is needed any more.
        from: Index,
    },
}

impl Task {
    fn make(receipt: Option<Receipt>, entries: &[Entry], rebase: bool) -> Self {
        // Nothing in an entry is without a form in bytes.
        let record = postcard::to_stdvec(entries).unwrap_or_default();
        Self::Write { receipt, record, rebase }
    }

    pub(super) fn write(entries: &[Entry]) -> Self {
        Self::make(None, entries, false)
    }

    pub(super) fn write_for(receipt: Receipt, entries: &[Entry]) -> Self {
        Self::make(Some(receipt), entries, false)
    }

    pub(super) fn rebase(receipt: Receipt, entries: &[Entry]) -> Self {
        Self::make(Some(receipt), entries, true)
    }
}

/// Why a member could not be brought back. Nothing on the disk was changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be used, or another process uses it.
    Folder(String),
    /// The key.
    Keys(KeysError),
    /// The group knows this member by another key.
    NotMine(NotMine),
    /// The keys in the configuration.
    Roll(RollError),
    /// The configuration.
    Config(ConfigError),
    /// The machine's configuration.
    Machine(pbft::ConfigError),
    /// The log is damaged, or the disk failed.
    Log(log::Error),
    /// A state is damaged, or the disk failed.
    State(snapshot::Error),
    /// A record of the log, or a state, is whole and means nothing: it is of another program.
    Record,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(why) => f.write_str(why),
            Self::Keys(error) => error.fmt(f),
            Self::NotMine(error) => error.fmt(f),
            Self::Roll(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::Machine(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
            Self::Record => f.write_str("the log holds records of another program or version"),
        }
    }
}

impl std::error::Error for OpenError {}

/// A member's disk, open for writing.
#[derive(Debug)]
pub struct Store {
    log: Log<RealDisk>,
    states: Snapshots<RealDisk>,
    /// Held for as long as the store lives: it locks the folder.
    _lock: File,
}

impl Store {
    /// Performs tasks in order, with one sync for all writes that stand together, and tells what is done.
    ///
    /// # Errors
    /// [`DiskFailed`]: nothing more may be written.
    pub fn perform(
        &mut self,
        tasks: impl IntoIterator<Item = Task>,
    ) -> Result<Vec<Done>, DiskFailed> {
        let failed = |error: &dyn fmt::Display| DiskFailed(error.to_string());
        let (mut done, mut newest) = (Vec::new(), None);
        for task in tasks {
            match task {
                Task::Write { receipt, record, rebase: false } => {
                    self.log.append(&record).map_err(|error| failed(&error))?;
                    newest = receipt.or(newest);
                }
                Task::Write { receipt, record, rebase: true } => {
                    self.log.rebase(&record).map_err(|error| failed(&error))?;
                    newest = receipt.or(newest);
                }
                Task::State { checkpoint, bytes, from } => {
                    let content = postcard::to_stdvec(&(checkpoint, bytes));
                    let content = content.map_err(|error| failed(&error))?;
                    let saved = self.states.save(key_of(&checkpoint), &content);
                    saved.map_err(|error| failed(&error))?;
                    let from = Key { index: from.number(), term: 0, digest: 0 };
                    self.states.remove_older(from).map_err(|error| failed(&error))?;
                    done.push(Done::Stored(checkpoint));
                }
            }
        }
        self.log.sync().map_err(|error| failed(&error))?;
        done.extend(newest.map(Done::Persisted));
        Ok(done)
    }
}

fn key_of(checkpoint: &Checkpoint) -> Key {
    let digest = checkpoint.state.bytes().first_chunk().map_or(0, |it| u64::from_le_bytes(*it));
    Key { index: checkpoint.index.number(), term: 0, digest }
}

/// Brings a member back from its folder, or begins one there.
///
/// # Errors
/// [`OpenError`]; nothing on the disk was changed.
pub fn open<S: Service>(config: &Config, state: S) -> Result<(Seat<S>, Store), OpenError> {
    let lock = lock(config)?;
    let keys = Keys::open(&config.data.join("key")).map_err(OpenError::Keys)?;
    let roll = config.roll().map_err(OpenError::Roll)?;
    let scope = config.scope(&roll);
    let disk = |name: &str| {
        let path = config.data.join(name);
        std::fs::create_dir_all(&path)
            .map_err(|error| OpenError::Folder(format!("{}: {error}", path.display())))?;
        RealDisk::open(&path).map_err(|error: disk::Error| OpenError::Folder(error.to_string()))
    };
    let states = Snapshots::open(disk("states")?).map_err(OpenError::State)?;
    let mut entries: Result<Vec<Entry>, postcard::Error> = Ok(Vec::new());
    let options = Options { segment_bytes: SEGMENT, salt: config.salt() };
    let (log, _) = Log::open(disk("log")?, options, |record| {
        let (log::Record::Base(bytes) | log::Record::Batch(bytes)) = record;
        if let Ok(known) = &mut entries {
            match postcard::from_bytes::<Vec<Entry>>(bytes) {
                Ok(more) => known.extend(more),
                Err(error) => entries = Err(error),
            }
        }
    })
    .map_err(OpenError::Log)?;

    let pbft = config.machine(log.boots());
    let verifier = Arc::new(Verifier::new(roll.clone(), scope, &pbft));
    let signer = Signer::new(keys, &roll, scope, pbft.me).map_err(OpenError::NotMine)?;
    let mut vault = Vault::new(&pbft);
    let clock = hlc::Config { max_offset: pbft.max_offset, reserve: None };
    let setup = council::Config { pbft, clock, epoch: scope.epoch, depth: config.depth };
    let mut council = Council::new(setup, state).map_err(OpenError::Machine)?;
    let mut payloads = BTreeMap::new();
    for entry in entries.map_err(|_| OpenError::Record)? {
        match entry {
            Entry::Payload(at, bytes) => {
                // One of a client that is no longer listed is of no use, and no reason not to start.
                if let Ok(payload) = understand::<S>(&verifier, bytes) {
                    payloads.insert(payload.digest, (at, payload.bytes));
                }
            }
            Entry::Write(write, proof) => {
                council.replay(&write);
                if let (Write::Left { view }, Some(own)) = (&write, council.pbft().view_change()) {
                    // While what stands behind it is here: a checkpoint that follows lets go of it.
                    if own.view == *view
                        && let Some(proofs) = vault.proofs(own)
                    {
                        let signed = signer.view_change(own.clone(), proofs);
                        let _ = vault.keep_view_change(&Arc::new(signed));
                    }
                }
                keep(&mut vault, &verifier, &write, proof)?;
            }
        }
    }
    let mut known = BTreeMap::new();
    for (checkpoint, bytes) in read_states(&states)? {
        // A state that is proved to be wrong may have been on the disk before the right one was fetched.
        let stable = council.pbft().stable().checkpoint;
        if checkpoint.index != stable.index || checkpoint == stable {
            known.insert(checkpoint.index, (checkpoint, bytes));
        }
    }
    if let Some((checkpoint, bytes)) = known.values().next_back() {
        council.recover(*checkpoint, bytes).map_err(|_| OpenError::Record)?;
    }
    let seat = Seat::new(council, signer, verifier, vault, payloads, known);
    Ok((seat, Store { log, states, _lock: lock }))
}

/// The states on the disk, each with what it stands for, the oldest first.
fn read_states(states: &Snapshots<RealDisk>) -> Result<Vec<(Checkpoint, Vec<u8>)>, OpenError> {
    let read = |key| {
        let content = states.load(key).map_err(OpenError::State)?;
        let state: (Checkpoint, Vec<u8>) =
            postcard::from_bytes(&content).map_err(|_| OpenError::Record)?;
        let is_it = state_digest(&state.1) == state.0.state;
        if is_it { Ok(state) } else { Err(OpenError::Record) }
    };
    states.list().map_err(OpenError::State)?.into_iter().map(read).collect()
}

fn lock(config: &Config) -> Result<File, OpenError> {
    let in_words =
        |what: &dyn fmt::Display| OpenError::Folder(format!("{}: {what}", config.data.display()));
    std::fs::create_dir_all(&config.data).map_err(|error| in_words(&error))?;
    let lock = File::create(config.data.join("lock")).map_err(|error| in_words(&error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(in_words(&"another process uses this folder")),
        Err(TryLockError::Error(error)) => Err(in_words(&error)),
    }
}

/// Takes the signatures back that were stored with a write, if they are right.
fn keep(
    vault: &mut Vault,
    verifier: &Verifier,
    write: &Write,
    proof: Proof,
) -> Result<(), OpenError> {
    let wrong = |_| OpenError::Record;
    // What a vault refuses is older than what it has.
    match (*write, proof) {
        (Write::Prepared(prepared), Proof::Some(certificate)) => {
            let it = verifier.prepared(SignedPrepared { prepared, certificate }).map_err(wrong)?;
            let _ = vault.keep_prepared(it);
        }
        (Write::Stable(stable), Proof::Some(certificate)) => {
            let it = verifier.stable(SignedStable { stable, certificate }, true).map_err(wrong)?;
            let _ = vault.keep_stable(it);
        }
        (Write::Entered { view, .. }, Proof::NewView(new_view)) => {
            let it = verifier.new_view(*new_view, true).map_err(wrong)?;
            let _ = vault.keep_new_view(Arc::new(it));
            vault.enter(view);
        }
        (Write::Left { view }, Proof::None) => vault.enter(view),
        _ => {}
    }
    Ok(())
}
