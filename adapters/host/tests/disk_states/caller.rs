//! A caller of the log as a model: what it appended, what it was promised, and whether what a log
//! hands back keeps the promise.

use quorate_host::disk::Disk;
use quorate_host::log::{self, Log, Options, Record};
use quorate_sim::disk::Rng;
use quorate_sim::disk_states::{Folder, RecordingDisk};

/// Small segments, so that a short run has many.
pub(crate) const OPTIONS: Options = Options { segment_bytes: 2048, salt: 7 };

/// What the log has said.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Promise {
    /// Of which history the rest speaks. Each opening begins a new one, with what it found.
    pub(crate) life: usize,
    /// So many batches of it are durable, by themselves or in an image,
    pub(crate) batches: usize,
    /// and so many images: the last of them or a newer one comes back.
    pub(crate) images: usize,
    /// The number of the last opening that succeeded.
    pub(crate) boots: u64,
}

/// What was given to the log, whether it was ever synced or not. No two batches or images are equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) batches: Vec<Vec<u8>>,
    /// Each with the number of batches that it stands for.
    pub(crate) images: Vec<(usize, Vec<u8>)>,
}

/// What a log hands back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) image: Option<Vec<u8>>,
    pub(crate) batches: Vec<Vec<u8>>,
}

impl History {
    /// How many batches and images came back; an error if they are not what was promised.
    pub(crate) fn judge(
        &self,
        promised: &Promise,
        found: &Found,
    ) -> Result<(usize, usize), String> {
        let (images, start) = match &found.image {
            None => (0, 0),
            Some(bytes) => match self.images.iter().position(|(_, image)| image == bytes) {
                Some(nth) => (nth + 1, self.images[nth].0),
                None => return Err("an image came back that was never written".to_string()),
            },
        };
        if images < promised.images {
            return Err(format!("image {images} came back instead of {}", promised.images));
        }
        let expected = &self.batches[start..];
        if !expected.starts_with(&found.batches) {
            let wrong = expected.iter().zip(&found.batches).take_while(|(a, b)| a == b).count();
            let known =
                self.batches.iter().position(|batch| found.batches.get(wrong) == Some(batch));
            return Err(match known {
                Some(other) => format!("batch {other} came back in the place of {}", start + wrong),
                None => format!("in the place of batch {} came one of no place", start + wrong),
            });
        }
        let batches = start + found.batches.len();
        if batches < promised.batches {
            return Err(format!("{batches} of {} acknowledged batches are left", promised.batches));
        }
        Ok((batches, images))
    }
}

/// Opens a log and says what came back.
pub(crate) fn open<D: Disk>(disk: D) -> Result<(Log<D>, Found), String> {
    let (mut found, mut misplaced) = (Found::default(), false);
    let (log, said) = Log::open(disk, OPTIONS, |record| match record {
        Record::Base(image) => {
            misplaced |= found.image.is_some() || !found.batches.is_empty();
            found.image = Some(image.to_vec());
        }
        Record::Batch(batch) => found.batches.push(batch.to_vec()),
    })
    .map_err(|error| format!("not opened: {error}"))?;
    if misplaced {
        return Err("an image came back after something else".to_string());
    }
    if (said.batches, said.base) != (found.batches.len() as u64, found.image.is_some()) {
        return Err(format!("another number of records was told than came: {said:?}"));
    }
    Ok((log, found))
}

/// The claim that every folder must meet: the log opens, keeps its promises, takes more, and has
/// all of it when it is opened again.
pub(crate) fn check(lives: &[History], folder: &Folder, promised: &Promise) -> Result<(), String> {
    let disk = RecordingDisk::holding(folder, ());
    let (mut log, found) = open(disk.clone())?;
    lives[promised.life].judge(promised, &found)?;
    if log.boots() <= promised.boots {
        return Err(format!("opening number {} came back", log.boots()));
    }
    let more = [b"more".to_vec(), vec![1; 900], vec![2; 900]];
    for batch in &more {
        log.append(batch).map_err(|error| error.to_string())?;
    }
    log.sync().map_err(|error| error.to_string())?;
    let (again, after) = open(RecordingDisk::holding(&disk.durable(), ()))?;
    if again.boots() <= log.boots() {
        return Err(format!("opening number {} came back later", again.boots()));
    }
    let expected = Found { image: found.image, batches: [&found.batches[..], &more].concat() };
    if after != expected {
        return Err(format!(
            "{} batches came back, and with three more {}",
            found.batches.len(),
            after.batches.len()
        ));
    }
    Ok(())
}

/// A caller with a log on some disk above one that records.
pub(crate) struct Caller<D: Disk> {
    pub(crate) tape: RecordingDisk<Promise>,
    disk: D,
    log: Option<Log<D>>,
    pub(crate) lives: Vec<History>,
    promised: Promise,
    pub(crate) rng: Rng,
}

impl Caller<RecordingDisk<Promise>> {
    /// One that has not opened its log yet, on a disk that keeps its word.
    pub(crate) fn new(seed: u64) -> Self {
        let tape = RecordingDisk::holding(&Folder::new(), Promise::default());
        Caller::on(tape.clone(), tape, seed)
    }

    /// One that begins again with what a crash or a kill has left of others.
    pub(crate) fn after(
        tape: RecordingDisk<Promise>,
        lives: &[History],
        promised: &Promise,
        seed: u64,
    ) -> Self {
        let lives = lives[..=promised.life].to_vec();
        Caller { lives, promised: promised.clone(), ..Caller::on(tape.clone(), tape, seed) }
    }
}

impl<D: Disk + Clone> Caller<D> {
    /// One that has not opened its log yet.
    pub(crate) fn on(tape: RecordingDisk<Promise>, disk: D, seed: u64) -> Self {
        let lives = vec![History::default()];
        Caller { tape, disk, log: None, lives, promised: Promise::default(), rng: Rng::new(seed) }
    }

    /// Opens the log, which may be open: then it was killed.
    pub(crate) fn open(&mut self) -> Result<(), String> {
        self.log = None;
        let (log, found) = open(self.disk.clone())?;
        let life = self.lives.last().expect("there is one from the beginning");
        let (batches, images) = life.judge(&self.promised, &found)?;
        let mut next = life.clone();
        next.batches.truncate(batches);
        next.images.truncate(images);
        self.lives.push(next);
        let life = self.lives.len() - 1;
        self.promise(Promise { life, batches, images, boots: log.boots() });
        self.log = Some(log);
        Ok(())
    }

    /// Appends a batch of this length, or of eight if it is shorter.
    pub(crate) fn append(&mut self, length: u64) -> Result<(), String> {
        let batch = self.bytes(length);
        // Said first: a batch that failed may still be there afterwards.
        self.life().batches.push(batch.clone());
        let appended = self.log()?.append(&batch);
        appended.map(|_| ()).map_err(|error| error.to_string())
    }

    pub(crate) fn sync(&mut self) -> Result<(), String> {
        self.log()?.sync().map_err(|error| error.to_string())?;
        let batches = self.life().batches.len();
        self.promise(Promise { batches, ..self.promised.clone() });
        Ok(())
    }

    /// Writes what waits, without a sync.
    pub(crate) fn mark(&mut self) -> Result<(), String> {
        self.log()?.mark().map_err(|error| error.to_string())
    }

    /// Starts over from an image of this length.
    pub(crate) fn rebase(&mut self, length: u64) -> Result<(), String> {
        let image = self.bytes(length);
        let batches = self.life().batches.len();
        self.life().images.push((batches, image.clone()));
        self.log()?.rebase(&image).map_err(|error| error.to_string())?;
        let images = self.life().images.len();
        self.promise(Promise { batches, images, ..self.promised.clone() });
        Ok(())
    }

    pub(crate) fn prepare(&mut self) -> Result<(), String> {
        log::prepare(&self.disk, &OPTIONS).map_err(|error| error.to_string())
    }

    fn promise(&mut self, promised: Promise) {
        self.promised = promised.clone();
        self.tape.promise(promised);
    }

    fn log(&mut self) -> Result<&mut Log<D>, String> {
        self.log.as_mut().ok_or_else(|| "the log is not open".to_string())
    }

    fn life(&mut self) -> &mut History {
        self.lives.last_mut().expect("there is one from the beginning")
    }

    fn bytes(&mut self, length: u64) -> Vec<u8> {
        let name = self.rng.draw().to_le_bytes();
        let rest = (8..length).map(|_| self.rng.draw() as u8);
        name.into_iter().chain(rest).collect()
    }
}
