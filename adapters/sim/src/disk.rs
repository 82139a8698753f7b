//! A disk in memory that does everything a real one is allowed to do, from a seed.
//!
//! Each file has what the host sees and what is durable; between the two lie the writes since the
//! last sync. [`SimDisk::crash`] keeps any of them, in any order, whole or torn at a sector or a
//! byte, and any of the names changed since the last sync of the folder. Dropping what uses the
//! disk without a crash is what `kill -9` does: nothing that was written is lost.
//!
//! Faults are asked for one by one: syncs that fail and lose what they should have written, power
//! that goes at the n-th operation, a disk that fills up, flipped bits and cut files.

#[doc(no_inline)]
pub use quorate::rng::Rng;
use quorate_host::disk::{Disk, Error};
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a disk writes as one, if it tears at all.
pub const SECTOR: usize = 512;

/// A folder in memory. A clone is the same folder; a [`SimDisk::fork`] is another with the same
/// content.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`SimDisk`]. It is of no use after a crash.
#[derive(Clone, Debug)]
pub struct SimFile {
    name: String,
    node: u64,
    life: u64,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// Contents; names point here.
    nodes: BTreeMap<u64, Node>,
    made: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of names since the last sync of the folder.
    renamed: Vec<Rename>,
    /// Grows with every crash.
    life: u64,
    /// Operations that change something, so far, and the one at which the power goes.
    operations: u64,
    power: Option<u64>,
    /// Syncs until one fails.
    syncs: Option<u64>,
    /// Bytes that can still be written.
    room: Option<u64>,
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
struct Node {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Offset and bytes of each write since the last sync.
    written: Vec<(usize, Vec<u8>)>,
}

/// One change of names: it removes a name, adds one, or moves one.
#[derive(Clone, Debug)]
struct Rename {
    removed: Option<String>,
    added: Option<(String, u64)>,
}

impl SimDisk {
    /// An empty folder without faults.
    pub fn new() -> Self {
        SimDisk::default()
    }

    /// Another disk in the same state: what happens to one does not happen to the other.
    pub fn fork(&self) -> Self {
        SimDisk { state: Arc::new(Mutex::new(self.state().clone())) }
    }

    /// The power goes and comes back. Any part of what was not synced may survive. Files opened
    /// before are of no use, and the faults asked for are over.
    pub fn crash(&self, rng: &mut Rng) {
        let mut state = self.state();
        for node in state.nodes.values_mut() {
            node.crash(rng);
        }
        for rename in mem::take(&mut state.renamed) {
            if below(rng, 2) == 0 {
                rename.apply(&mut state.durable_names);
            }
        }
        state.restart();
    }

    /// The power goes and comes back, and nothing survives that was not synced.
    pub fn crash_losing_all(&self) {
        let mut state = self.state();
        for node in state.nodes.values_mut() {
            node.written.clear();
        }
        state.renamed.clear();
        state.restart();
    }

    /// How many operations have changed something: writes, syncs, and changes of names.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Lets the power go during the n-th changing operation from now, counted from 0: it and all
    /// after it fail until the next crash, which may or may not keep what a write was writing.
    pub fn lose_power_at(&self, n: u64) {
        let mut state = self.state();
        state.power = Some(state.operations + n);
    }

    /// Gives the power back without a crash: what was seen stays seen.
    pub fn restore_power(&self) {
        self.state().power = None;
    }

    /// Lets the n-th sync of a file from now fail, counted from 0. What it should have written
    /// stays visible, and no later sync writes it: the system believes that it is on the disk.
    pub fn fail_sync_at(&self, n: u64) {
        self.state().syncs = Some(n);
    }

    /// Lets every sync work again; what a failed one lost stays lost.
    pub fn mend_syncs(&self) {
        self.state().syncs = None;
    }

    /// Leaves room for this many more written bytes, new or not, as on a disk that copies what is
    /// overwritten; `None` for no end of room.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// What is durable of a file, if its name is.
    pub fn durable(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.durable_names.get(name).map(|node| state.nodes[node].durable.clone())
    }

    /// Flips one bit of a file, on the disk and as it is seen.
    ///
    /// # Panics
    /// If there is no such file or bit.
    pub fn flip(&self, name: &str, bit: usize) {
        self.damage(name, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
    }

    /// Cuts a file to a length, on the disk and as it is seen.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn cut(&self, name: &str, length: usize) {
        self.damage(name, |bytes| bytes.truncate(length));
    }

    /// Overwrites bytes of a file, on the disk and as it is seen.
    ///
    /// # Panics
    /// If there is no such file, or if it ends before.
    pub fn overwrite(&self, name: &str, offset: usize, with: &[u8]) {
        self.damage(name, |bytes| bytes[offset..offset + with.len()].copy_from_slice(with));
    }

    fn damage(&self, name: &str, mut act: impl FnMut(&mut Vec<u8>)) {
        let mut state = self.state();
        let node = state.find(name).expect("the file to damage exists");
        let node = state.nodes.get_mut(&node).expect("a name has a content");
        act(&mut node.seen);
        act(&mut node.durable);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// After a crash, all that is seen is what is durable.
    fn restart(&mut self) {
        self.names = self.durable_names.clone();
        self.forget();
        for node in self.nodes.values_mut() {
            node.seen.clone_from(&node.durable);
        }
        self.life += 1;
        self.power = None;
        self.syncs = None;
    }

    /// Drops what has no name any more.
    fn forget(&mut self) {
        let names = &self.names;
        self.nodes.retain(|node, _| names.values().any(|named| named == node));
    }

    /// Counts an operation; an error if the power goes before it is done.
    fn operate(&mut self, action: &'static str, file: &str) -> Result<(), Error> {
        self.operations += 1;
        match self.power {
            Some(power) if self.operations > power => Err(failed(action, file, "the power is off")),
            _ => Ok(()),
        }
    }

    /// Whether the power went during the last operation, not before it.
    fn dying(&self) -> bool {
        self.power.is_some_and(|power| self.operations == power + 1)
    }

    fn node(&mut self, file: &SimFile) -> Result<&mut Node, Error> {
        if file.life != self.life {
            return Err(failed("use", &file.name, "it was opened before a crash"));
        }
        let removed = || failed("use", &file.name, "it was removed");
        self.nodes.get_mut(&file.node).ok_or_else(removed)
    }

    fn rename(&mut self, removed: Option<&str>, added: Option<(&str, u64)>) {
        let added = added.map(|(name, node)| (name.to_string(), node));
        let rename = Rename { removed: removed.map(str::to_string), added };
        rename.apply(&mut self.names);
        self.renamed.push(rename);
    }

    fn find(&self, name: &str) -> Result<u64, Error> {
        let missing = || Error::Missing { file: name.to_string() };
        self.names.get(name).copied().ok_or_else(missing)
    }

    /// Writes what there is room for; an error if that is not all.
    fn write(&mut self, file: &SimFile, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let room = self.room.map_or(bytes.len(), |room| bytes.len().min(room as usize));
        self.room = self.room.map(|left| left - room as u64);
        self.node(file)?.write(offset, &bytes[..room]);
        if room < bytes.len() {
            return Err(Error::Full { file: file.name.clone() });
        }
        Ok(())
    }
}

impl Rename {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        if let Some(removed) = &self.removed {
            names.remove(removed);
        }
        if let Some((name, node)) = &self.added {
            names.insert(name.clone(), *node);
        }
    }
}

impl Node {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.seen, offset, bytes);
        self.written.push((offset, bytes.to_vec()));
    }

    fn sync(&mut self) {
        for (offset, bytes) in mem::take(&mut self.written) {
            put(&mut self.durable, offset, &bytes);
        }
    }

    /// Keeps any of the writes, in any order, each whole or torn.
    fn crash(&mut self, rng: &mut Rng) {
        let mut written = mem::take(&mut self.written);
        while !written.is_empty() {
            let (offset, bytes) = written.swap_remove(below(rng, written.len()));
            match below(rng, 5) {
                0 => {}
                1 => put(&mut self.durable, offset, &bytes),
                2 => put(&mut self.durable, offset, &bytes[..below(rng, bytes.len() + 1)]),
                3 => self.keep(offset, &bytes, 1 + below(rng, SECTOR), rng),
                _ => self.keep(offset, &bytes, SECTOR, rng),
            }
        }
    }

    /// Keeps any of the pieces that a write has between the multiples of `unit`.
    fn keep(&mut self, offset: usize, bytes: &[u8], unit: usize, rng: &mut Rng) {
        let mut start = 0;
        while start < bytes.len() {
            let end = bytes.len().min(start + unit - (offset + start) % unit);
            if below(rng, 2) == 0 {
                put(&mut self.durable, offset + start, &bytes[start..end]);
            }
            start = end;
        }
    }
}

pub(crate) fn put(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if into.len() < end && !bytes.is_empty() {
        into.resize(end, 0);
    }
    if !bytes.is_empty() {
        into[offset..end].copy_from_slice(bytes);
    }
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    rng.below(bound as u64) as usize
}

fn failed(action: &'static str, file: &str, why: &'static str) -> Error {
    Error::new(action, file, io::Error::other(why))
}

impl Disk for SimDisk {
    type File = SimFile;

    fn list(&self) -> Result<Vec<String>, Error> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, length: u64) -> Result<SimFile, Error> {
        let mut state = self.state();
        let powered = state.operate("create", name);
        if powered.is_err() && !state.dying() {
            return Err(failed("create", name, "the power is off"));
        }
        let file = SimFile { name: name.to_string(), node: state.made, life: state.life };
        state.made += 1;
        state.nodes.insert(file.node, Node::default());
        state.rename(None, Some((name, file.node)));
        let written = state.write(&file, 0, &vec![0; length as usize]);
        if written.is_err() {
            state.rename(Some(name), None);
        }
        powered.and(written).map(|()| file)
    }

    fn open(&self, name: &str) -> Result<SimFile, Error> {
        let state = self.state();
        let node = state.find(name)?;
        Ok(SimFile { name: name.to_string(), node, life: state.life })
    }

    fn length(&self, file: &SimFile) -> Result<u64, Error> {
        Ok(self.state().node(file)?.seen.len() as u64)
    }

    fn read_at(&self, file: &SimFile, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        let mut state = self.state();
        let offset = offset as usize;
        match state.node(file)?.seen.get(offset..offset + into.len()) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => return Err(failed("read", &file.name, "it ends before that")),
        }
        Ok(())
    }

    fn write_at(&self, file: &SimFile, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        let powered = state.operate("write", &file.name);
        if powered.is_err() && !state.dying() {
            return powered;
        }
        powered.and(state.write(file, offset as usize, bytes))
    }

    fn sync(&self, file: &SimFile) -> Result<(), Error> {
        let mut state = self.state();
        state.operate("sync", &file.name)?;
        let failing = state.syncs == Some(0);
        state.syncs = state.syncs.and_then(|n| n.checked_sub(1));
        let node = state.node(file)?;
        if failing {
            node.written.clear();
            return Err(failed("sync", &file.name, "the disk did not take it"));
        }
        node.sync();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Error> {
        let mut state = self.state();
        state.operate("rename", from)?;
        let node = state.find(from)?;
        state.rename(Some(from), Some((to, node)));
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        let mut state = self.state();
        state.operate("remove", name)?;
        state.find(name)?;
        state.rename(Some(name), None);
        Ok(())
    }

    fn sync_folder(&self) -> Result<(), Error> {
        let mut state = self.state();
        state.operate("sync", "the folder")?;
        state.renamed.clear();
        state.durable_names = state.names.clone();
        state.forget();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one synced byte and 2000 others that are not.
    fn disk() -> (SimDisk, SimFile) {
        let disk = SimDisk::new();
        let file = disk.create("file", 1).unwrap();
        disk.sync(&file).unwrap();
        disk.sync_folder().unwrap();
        disk.write_at(&file, 1, &[7; 2000]).unwrap();
        (disk, file)
    }

    fn after_crash(seed: u64) -> Vec<u8> {
        let (disk, _) = disk();
        disk.crash(&mut Rng::new(seed));
        disk.durable("file").unwrap()
    }

    #[test]
    fn a_crash_keeps_any_part_of_what_was_not_synced() {
        let crashes: Vec<Vec<u8>> = (0..200).map(after_crash).collect();
        let written = [&[0][..], &[7; 2000]].concat();
        assert!(crashes.contains(&vec![0]), "all lost");
        assert!(crashes.contains(&written), "all kept");
        let torn = |crash: &&Vec<u8>| crash.len() > 1 && **crash != written;
        let (holes, cut): (Vec<_>, Vec<_>) =
            crashes.iter().filter(torn).partition(|crash| crash[1..].contains(&0));
        assert!(holes.len() > 20 && cut.len() > 20, "{} and {}", holes.len(), cut.len());
        assert!(crashes.iter().all(|crash| crash[0] == 0), "a synced byte was lost");
    }

    #[test]
    fn the_same_seed_is_the_same_crash() {
        assert!((0..50).all(|seed| after_crash(seed) == after_crash(seed)));
    }

    #[test]
    fn later_writes_may_survive_earlier_ones() {
        let lost_first = |seed| {
            let (disk, file) = disk();
            disk.write_at(&file, 2001, &[8]).unwrap();
            disk.crash(&mut Rng::new(seed));
            let durable = disk.durable("file").unwrap();
            durable.last() == Some(&8) && !durable.contains(&7)
        };
        assert!((0..50).any(lost_first));
    }

    #[test]
    fn names_survive_only_with_the_folder() {
        let survives = |seed| {
            let (disk, _) = disk();
            disk.rename("file", "other").unwrap();
            assert_eq!(disk.list().unwrap(), ["other"]);
            disk.crash(&mut Rng::new(seed));
            disk.list().unwrap() == ["other"]
        };
        let survived = (0..50).filter(|seed| survives(*seed)).count();
        assert!(survived > 5 && survived < 45, "{survived}");
        let (disk, _) = disk();
        disk.rename("file", "other").unwrap();
        disk.sync_folder().unwrap();
        disk.crash_losing_all();
        assert_eq!(disk.list().unwrap(), ["other"]);
    }

    #[test]
    fn what_a_failed_sync_lost_is_seen_and_stays_lost() {
        let (disk, file) = disk();
        disk.fail_sync_at(0);
        assert!(disk.sync(&file).is_err());
        disk.sync(&file).unwrap();
        assert_eq!(disk.length(&file).unwrap(), 2001);
        disk.crash(&mut Rng::new(1));
        assert_eq!(disk.durable("file").unwrap(), [0]);
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let (disk, file) = disk();
        disk.set_room(Some(3));
        let full = disk.write_at(&file, 0, &[9; 5]);
        assert!(matches!(full, Err(Error::Full { .. })));
        let mut bytes = [0; 4];
        disk.read_at(&file, 0, &mut bytes).unwrap();
        assert_eq!(bytes, [9, 9, 9, 7]);
    }

    #[test]
    fn a_file_opened_before_a_crash_is_of_no_use() {
        let (disk, file) = disk();
        disk.crash_losing_all();
        assert!(disk.length(&file).is_err() && disk.write_at(&file, 0, b"late").is_err());
        assert!(disk.sync(&file).is_err());
    }

    #[test]
    fn without_power_nothing_happens() {
        let (disk, file) = disk();
        disk.lose_power_at(0);
        assert!(disk.write_at(&file, 0, b"dying").is_err());
        for _ in 0..2 {
            assert!(disk.write_at(&file, 0, b"dead!").is_err() && disk.create("new", 0).is_err());
            assert!(disk.sync(&file).is_err() && disk.sync_folder().is_err());
            assert!(disk.remove("file").is_err() && disk.rename("file", "x").is_err());
        }
        disk.restore_power();
        let mut bytes = [0; 5];
        disk.read_at(&file, 0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"dying");
        assert_eq!(disk.list().unwrap(), ["file"]);
    }
}
