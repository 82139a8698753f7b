//! What the log, the snapshots and the data folder promise, on a disk that breaks what it may.

use quorate_host::disk::{self, Disk, RealDisk};
use quorate_host::folder::{self, Folder, Identity, Seat};
use quorate_host::log::{self, Error, Log, Options, Record, Recovered};
use quorate_host::snapshot::{self, Key, Snapshots};
use quorate_sim::disk::{Rng, SimDisk};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Small segments, so that a short run has many.
const OPTIONS: Options = Options { segment_bytes: 2048, salt: 7 };

// ----------------------------------------------------------------- a caller of the log, as a model

/// A caller whose state is the list of all batches, and what it may rely on.
#[derive(Clone, Default)]
struct Caller {
    appended: Vec<Vec<u8>>,
    /// How many of them were reported durable.
    acknowledged: usize,
    rebases: usize,
}

impl Caller {
    /// One batch after another, and now and then a sync, a mark, a rebase or a spare segment, until
    /// the disk fails.
    fn run<D: Disk>(
        &mut self,
        disk: &D,
        log: &mut Log<D>,
        rng: &mut Rng,
        steps: usize,
    ) -> Result<(), Error> {
        for _ in 0..steps {
            let length = match rng.below(20) {
                0 => 1000 + rng.below(3000),
                _ => rng.below(200),
            };
            let batch = (0..length).map(|_| rng.draw() as u8).collect();
            self.append(log, batch)?;
            match rng.below(16) {
                0..6 => self.sync(log)?,
                6..8 => {
                    self.sync(log)?;
                    log.mark()?;
                }
                8 => {
                    log.rebase(&image(&self.appended))?;
                    self.acknowledged = self.appended.len();
                    self.rebases += 1;
                }
                9 => log::prepare(disk, &OPTIONS)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn append<D: Disk>(&mut self, log: &mut Log<D>, batch: Vec<u8>) -> Result<(), Error> {
        // Said first: a batch that failed may still be there afterwards.
        self.appended.push(batch);
        log.append(self.appended.last().unwrap()).map(|_| ())
    }

    fn sync<D: Disk>(&mut self, log: &mut Log<D>) -> Result<(), Error> {
        log.sync()?;
        self.acknowledged = self.appended.len();
        Ok(())
    }

    /// Opens the log after a crash: it has all that was acknowledged and nothing that was not
    /// appended, and goes on from there.
    fn recover(&mut self, disk: &SimDisk) -> Result<Log<SimDisk>, Error> {
        let (log, batches, _) = open(disk)?;
        assert!(self.appended.starts_with(&batches), "batches that were never appended");
        let count = batches.len();
        assert!(count >= self.acknowledged, "{count} of {} are left", self.acknowledged);
        self.appended.truncate(count);
        self.acknowledged = count;
        Ok(log)
    }

    /// The log takes more, and has it when it is opened again.
    fn go_on(&mut self, disk: &SimDisk, mut log: Log<SimDisk>) {
        let crashed = disk.fork();
        crashed.crash_losing_all();
        assert!(open(&crashed).unwrap().0.boots() > log.boots(), "a boot number came back");
        for batch in [b"more".to_vec(), vec![1; 1500], vec![2; 1500]] {
            self.append(&mut log, batch).unwrap();
        }
        self.sync(&mut log).unwrap();
        disk.crash_losing_all();
        let boots = log.boots();
        assert!(self.recover(disk).unwrap().boots() > boots);
    }
}

/// All batches in one image.
fn image(batches: &[Vec<u8>]) -> Vec<u8> {
    let lengths = batches.iter().map(|batch| (batch.len() as u32).to_le_bytes());
    lengths.zip(batches).flat_map(|(length, batch)| [&length, batch.as_slice()].concat()).collect()
}

fn batches_of(mut image: &[u8]) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    while let Some((length, rest)) = image.split_first_chunk() {
        let (batch, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        batches.push(batch.to_vec());
        image = rest;
    }
    batches
}

type Opened<D> = Result<(Log<D>, Vec<Vec<u8>>, Recovered), Error>;

fn open_with<D: Disk>(disk: D, options: Options) -> Opened<D> {
    let mut batches = Vec::new();
    let (log, recovered) = Log::open(disk, options, |record| match record {
        Record::Base(image) => batches = batches_of(image),
        Record::Batch(batch) => batches.push(batch.to_vec()),
    })?;
    Ok((log, batches, recovered))
}

fn open(disk: &SimDisk) -> Opened<SimDisk> {
    open_with(disk.clone(), OPTIONS)
}

fn segments(disk: &SimDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.ends_with(".log")).collect()
}

fn content(disk: &SimDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; disk.length(&file).unwrap() as usize];
    disk.read_at(&file, 0, &mut bytes).unwrap();
    bytes
}

/// Where `part` is in a file.
fn find(disk: &SimDisk, name: &str, part: &[u8]) -> usize {
    let bytes = content(disk, name);
    bytes.windows(part.len()).position(|window| window == part).expect("the bytes are there")
}

fn corrupt<T>(result: Result<T, Error>) -> String {
    match result {
        Err(error @ Error::Corrupt { .. }) => error.to_string(),
        Err(error) => panic!("refused, but for another reason: {error}"),
        Ok(_) => panic!("opened"),
    }
}

// --------------------------------------------------------------------------------- what comes back

#[test]
fn a_log_gives_back_what_it_was_given_and_counts_its_boots() {
    let disk = SimDisk::new();
    let mut caller = Caller::default();
    let mut rng = Rng::new(1);
    for boot in 1..=20 {
        let mut log = caller.recover(&disk).unwrap();
        assert_eq!(log.boots(), boot);
        caller.run(&disk, &mut log, &mut rng, 30).unwrap();
        caller.sync(&mut log).unwrap();
    }
    let (_, batches, _) = open(&disk).unwrap();
    assert!(batches == caller.appended);
    assert_eq!(batches.len(), 600);
}

#[test]
fn many_appends_are_one_write_and_one_sync() {
    let disk = SimDisk::new();
    let (mut log, ..) = open_with(disk.clone(), Options::default()).unwrap();
    let before = disk.operations();
    for _ in 0..100 {
        log.append(&[5; 300]).unwrap();
    }
    let last = log.append(&[]).unwrap();
    assert_eq!(disk.operations(), before);
    assert_eq!(log.sync().unwrap(), last);
    assert_eq!(disk.operations(), before + 2);
    assert_eq!(log.sync().unwrap(), last, "nothing new to sync");
    assert_eq!(disk.operations(), before + 2);
}

#[test]
fn a_mark_is_written_once_and_never_synced() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    let after_open = disk.operations();
    log.mark().unwrap();
    assert_eq!(disk.operations(), after_open, "opening has marked all there is");
    log.append(b"batch").unwrap();
    log.sync().unwrap();
    for _ in 0..3 {
        log.mark().unwrap();
        log.sync().unwrap();
    }
    assert_eq!(disk.operations(), after_open + 4, "a write and a sync for each of both");
    log.rebase(b"").unwrap();
    let after_rebase = disk.operations();
    log.mark().unwrap();
    assert_eq!(disk.operations(), after_rebase, "a new segment says what is synced");
}

#[test]
fn a_record_larger_than_a_segment_has_one_of_its_own() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    let batches = [vec![1; 10], vec![2; 100_000], vec![3; 10]];
    for batch in &batches {
        log.append(batch).unwrap();
    }
    log.sync().unwrap();
    disk.crash_losing_all();
    let (mut log, found, _) = open(&disk).unwrap();
    assert!(found == batches);
    log.rebase(&vec![0; 100_000]).unwrap();
    assert_eq!(segments(&disk).len(), 1);
    assert!(content(&disk, &segments(&disk)[0]).len() > 100_000);
}

#[test]
fn another_segment_length_is_for_new_segments_only() {
    let disk = SimDisk::new();
    let mut all = Vec::new();
    for segment_bytes in [4096, 100, 1001, 70_000] {
        let (mut log, found, _) =
            open_with(disk.clone(), Options { segment_bytes, salt: 1 }).unwrap();
        assert!(found == all);
        for i in 0..50 {
            all.push(vec![i; 150]);
            log.append(all.last().unwrap()).unwrap();
        }
        log.sync().unwrap();
    }
    assert!(open(&disk).unwrap().1 == all);
}

// ----------------------------------------------------------------------------------------- crashes

/// Runs a caller until the power goes at the n-th operation; gives the disk as it then is.
fn run_until(n: u64, steps: usize) -> (SimDisk, Caller, bool) {
    let disk = SimDisk::new();
    disk.lose_power_at(n);
    let mut caller = Caller::default();
    let ran = caller.recover(&disk).and_then(|mut log| {
        caller.run(&disk, &mut log, &mut Rng::new(3), steps)?;
        caller.sync(&mut log)
    });
    (disk, caller, ran.is_ok())
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged() {
    let mut crashes = 0;
    for n in 0.. {
        let (disk, caller, finished) = run_until(n, 100);
        for seed in 0..12 {
            let (disk, mut caller) = (disk.fork(), caller.clone());
            match seed {
                0 => disk.crash_losing_all(),
                1 => disk.restore_power(), // and only the process was killed
                _ => disk.crash(&mut Rng::new(n * 100 + seed)),
            }
            let log = caller.recover(&disk).unwrap_or_else(|e| panic!("at {n}, seed {seed}: {e}"));
            caller.go_on(&disk, log);
            crashes += 1;
        }
        if finished {
            println!("{crashes} crashes at {n} operations");
            let rebases = caller.rebases;
            println!("with {rebases} rebases and {} segments at the end", segments(&disk).len());
            return assert!(rebases > 1 && n > 200, "a vacuous run: {n}, {rebases}");
        }
    }
}

#[test]
fn a_crash_at_any_operation_of_a_recovery_loses_nothing_either() {
    let mut crashes = 0;
    for n in (0..400).step_by(7) {
        let (disk, caller, _) = run_until(n, 100);
        for seed in 0..3 {
            for m in 0.. {
                let (disk, mut caller) = (disk.fork(), caller.clone());
                let mut rng = Rng::new(n * 10_000 + m * 10 + seed);
                disk.crash(&mut rng);
                disk.lose_power_at(m);
                let opened = caller.recover(&disk).is_ok();
                disk.crash(&mut rng);
                let log = caller.recover(&disk).unwrap_or_else(|e| panic!("at {n}, {m}: {e}"));
                caller.go_on(&disk, log);
                crashes += 1;
                if opened {
                    break;
                }
            }
        }
    }
    println!("{crashes} crashes in recoveries");
    assert!(crashes > 1000, "a vacuous run: {crashes}");
}

#[test]
fn a_crash_in_the_life_after_a_killed_one_loses_nothing_either() {
    // Here recovery sees names and bytes that are not durable yet.
    let mut crashes = 0;
    for n in 0..250 {
        let (disk, caller, _) = run_until(n, 100);
        disk.restore_power();
        for m in 0.. {
            let (disk, mut caller) = (disk.fork(), caller.clone());
            disk.lose_power_at(m);
            let opened = caller.recover(&disk).is_ok();
            for seed in 0..4 {
                let (disk, mut caller) = (disk.fork(), caller.clone());
                disk.crash(&mut Rng::new(n * 10_000 + m * 10 + seed));
                caller.recover(&disk).unwrap_or_else(|e| panic!("at {n}, {m}, {seed}: {e}"));
                crashes += 1;
            }
            if opened {
                break;
            }
        }
    }
    println!("{crashes} crashes in recoveries after a kill");
    assert!(crashes > 1000, "a vacuous run: {crashes}");
}

/// Every operation of `act` on a log with one batch in it, and the power gone during it, with
/// many ways to lose it. Gives how many operations there are.
fn crash_during(act: impl Fn(&mut Caller, &mut Log<SimDisk>) -> Result<(), Error>) -> u64 {
    for n in 0.. {
        let disk = SimDisk::new();
        let mut caller = Caller::default();
        let mut log = caller.recover(&disk).unwrap();
        caller.append(&mut log, vec![8; 1500]).unwrap();
        caller.sync(&mut log).unwrap();
        disk.lose_power_at(n);
        let done = act(&mut caller, &mut log).is_ok();
        for seed in 0..200 {
            let (disk, mut caller) = (disk.fork(), caller.clone());
            match seed {
                0 => disk.crash_losing_all(),
                _ => disk.crash(&mut Rng::new(seed)),
            }
            let log = caller.recover(&disk).unwrap_or_else(|e| panic!("at {n}, seed {seed}: {e}"));
            caller.go_on(&disk, log);
        }
        if done {
            return n;
        }
    }
    unreachable!()
}

#[test]
fn a_crash_at_any_operation_of_a_rebase_leaves_the_old_log_or_the_image() {
    let operations = crash_during(|caller, log| {
        log.rebase(&image(&caller.appended))?;
        caller.acknowledged = caller.appended.len();
        caller.append(log, vec![9; 100])?;
        caller.sync(log)
    });
    assert!(operations >= 9, "{operations}");
}

#[test]
fn a_crash_at_any_operation_of_a_segment_roll_leaves_all_that_was_acknowledged() {
    let operations = crash_during(|caller, log| {
        caller.append(log, vec![9; 200])?;
        caller.append(log, vec![9; 1500])?;
        caller.sync(log)
    });
    assert!(operations >= 8, "{operations}");
}

#[test]
fn old_segments_go_only_after_the_image_is_durable() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    for _ in 0..20 {
        log.append(&[1; 500]).unwrap();
    }
    log.sync().unwrap();
    let old = segments(&disk);
    assert!(old.len() > 4);
    for n in 0.. {
        let disk = disk.fork();
        let (mut log, ..) = open(&disk).unwrap();
        let old = segments(&disk);
        disk.lose_power_at(n);
        let done = log.rebase(b"").is_ok();
        let now = segments(&disk);
        let removed = old.iter().any(|name| !now.contains(name));
        disk.crash_losing_all();
        let kept = segments(&disk);
        let image_is_durable = kept.iter().any(|name| !old.contains(name));
        assert!(!removed || image_is_durable, "at {n}: {old:?}, then {kept:?}");
        // Whatever was left is cleared away by the next opening.
        drop(open(&disk).unwrap());
        let cleared = segments(&disk);
        assert_eq!(cleared.len(), if image_is_durable { 1 } else { old.len() }, "{cleared:?}");
        if done {
            assert_eq!(kept.len(), 1);
            break;
        }
    }
}

#[test]
fn a_segment_that_was_never_finished_is_cleared_away() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    log.append(&[1; 1500]).unwrap();
    disk.lose_power_at(3);
    assert!(log.append(&[1; 1500]).is_err());
    disk.restore_power();
    let prepared = disk.fork();
    prepared.lose_power_at(2);
    assert!(log::prepare(&prepared, &OPTIONS).is_err());
    prepared.restore_power();
    for (disk, left) in [(disk, vec!["new.tmp"]), (prepared, vec!["ahead.tmp", "new.tmp"])] {
        let mut names = disk.list().unwrap();
        names.retain(|name| name.ends_with(".tmp"));
        assert_eq!(names, left);
        drop(open(&disk).unwrap());
        assert_eq!(disk.list().unwrap(), ["0000000000000001.log"]);
    }
}

#[test]
fn a_torn_tail_is_dropped_and_said_to_be() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    log.append(b"durable").unwrap();
    log.sync().unwrap();
    for batch in [b"torn batch", b"next batch"] {
        log.append(batch).unwrap();
    }
    disk.lose_power_at(1);
    assert!(log.sync().is_err());
    disk.restore_power();
    let name = &segments(&disk)[0];
    disk.overwrite(name, find(&disk, name, b"torn batch"), b"xxxx");
    let (_, batches, recovered) = open(&disk).unwrap();
    assert_eq!(batches, [b"durable"]);
    assert_eq!(recovered, Recovered { batches: 1, base: false, dropped: 2 });
}

// ------------------------------------------------------------------------------------------ damage

#[test]
fn a_corrupted_middle_is_not_a_torn_tail() {
    for seal in ["a mark", "the next batch", "the next opening"] {
        let disk = SimDisk::new();
        let (mut log, ..) = open(&disk).unwrap();
        for batch in ["first", "second", "third"] {
            log.append(batch.as_bytes()).unwrap();
            log.sync().unwrap();
        }
        match seal {
            "a mark" => log.mark().unwrap(),
            "the next batch" => {
                // Torn itself, and its header is evidence all the same.
                log.append(b"fourth").unwrap();
                log.sync().unwrap();
                let name = &segments(&disk)[0];
                disk.overwrite(name, find(&disk, name, b"fourth"), b"xxx");
            }
            _ => drop(open(&disk).unwrap()),
        }
        let name = &segments(&disk)[0];
        for batch in ["first", "second", "third"] {
            let disk = disk.fork();
            let at = find(&disk, name, batch.as_bytes());
            disk.overwrite(name, at, b"xxx");
            let before = content(&disk, name);
            let why = corrupt(open(&disk));
            assert!(why.contains(&format!("{name} is damaged at byte {}", at - 40)), "{why}");
            assert!(content(&disk, name) == before, "a damaged log was changed");
        }
    }
}

#[test]
fn a_missing_segment_is_corruption() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    for _ in 0..20 {
        log.append(&[1; 500]).unwrap();
    }
    log.sync().unwrap();
    let names = segments(&disk);
    assert_eq!(names.len(), 7);
    for missing in 0..6 {
        let disk = disk.fork();
        disk.remove(&names[missing]).unwrap();
        let said = corrupt(open(&disk));
        let beside = if missing == 0 { &names[1] } else { &names[missing - 1] };
        assert!(said.contains(beside), "{said}");
    }
    for damaged in &names[..6] {
        let disk = disk.fork();
        disk.overwrite(damaged, find(&disk, damaged, &[1; 500]), b"x");
        let said = corrupt(open(&disk));
        assert!(said.contains(damaged), "{said}");
    }
}

#[test]
fn an_image_and_a_header_need_nothing_after_them_to_be_known_as_damaged() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    log.append(&[1; 1500]).unwrap();
    log.sync().unwrap();
    let image_only = disk.fork();
    let (mut other, ..) = open(&image_only).unwrap();
    other.rebase(&image(&[vec![2; 20]])).unwrap();

    // The write, the sync, the new segment and its name; then the power goes.
    disk.lose_power_at(5);
    assert!(log.append(&[1; 1500]).is_ok() && log.sync().is_err());
    disk.crash_losing_all();
    assert_eq!(segments(&disk).len(), 2);

    for (disk, end) in [(disk, 64), (image_only, 64 + 40 + 24)] {
        let name = segments(&disk).pop().unwrap();
        assert!(content(&disk, &name)[end..].iter().all(|byte| *byte == 0));
        assert!(open(&disk.fork()).is_ok());
        for bit in 0..end * 8 {
            let disk = disk.fork();
            disk.flip(&name, bit);
            corrupt(open(&disk));
        }
    }
}

#[test]
fn a_segment_with_a_name_has_its_length_and_its_header() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    log.append(&[1; 500]).unwrap();
    log.sync().unwrap();
    let name = &segments(&disk)[0];
    for (cut, why) in
        [(0, "shorter than a header"), (63, "shorter"), (64, "length"), (2047, "length")]
    {
        let disk = disk.fork();
        disk.cut(name, cut);
        let said = corrupt(open(&disk));
        assert!(said.contains(why), "{said}");
    }
    let other = "00000000000000ff.log";
    disk.rename(name, other).unwrap();
    assert!(corrupt(open(&disk)).contains("another segment"));
}

/// A log of 64 KiB in four segments, an image at its start, all of it synced and marked.
struct Sealed {
    disk: SimDisk,
    options: Options,
    batches: Vec<Vec<u8>>,
    boots: u64,
    names: Vec<String>,
}

impl Sealed {
    const BYTES: usize = 16 * 1024;

    fn new() -> Self {
        let disk = SimDisk::new();
        let options = Options { segment_bytes: Self::BYTES as u64, salt: 3 };
        let mut rng = Rng::new(5);
        let (mut caller, mut boots) = (Caller::default(), 0);
        for boot in 0..4 {
            let (mut log, ..) = open_with(disk.clone(), options).unwrap();
            for _ in 0..45 {
                let batch = (0..rng.below(700)).map(|_| rng.draw() as u8).collect();
                caller.append(&mut log, batch).unwrap();
                if rng.below(2) == 0 {
                    caller.sync(&mut log).unwrap();
                }
            }
            if boot == 0 {
                log.rebase(&image(&caller.appended[..5])).unwrap();
                caller.appended.truncate(5);
            }
            caller.sync(&mut log).unwrap();
            log.mark().unwrap();
            log.sync().unwrap();
            boots = log.boots();
        }
        let names = segments(&disk);
        assert_eq!(names.len(), 4);
        assert!(names.iter().all(|name| content(&disk, name).len() == Self::BYTES));
        assert!(content(&disk, &names[3]).iter().rposition(|b| *b != 0) > Some(1000));
        Sealed { disk, options, batches: caller.appended, boots, names }
    }

    /// Opens the log after `damage`: true if all of it came back, false if it was refused.
    fn survives(&self, damage: impl Fn(&SimDisk)) -> bool {
        let disk = self.disk.fork();
        damage(&disk);
        match open_with(disk, self.options) {
            Ok((log, batches, _)) => {
                assert!(batches == self.batches, "silently different");
                assert!(log.boots() > self.boots, "a boot number came back");
                true
            }
            Err(Error::Corrupt { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn damage_all(&self, bits: impl Iterator<Item = usize>, cuts: impl Iterator<Item = usize>) {
        let flips: Vec<bool> = bits
            .map(|bit| {
                let name = &self.names[bit / (Self::BYTES * 8)];
                self.survives(|disk| disk.flip(name, bit % (Self::BYTES * 8)))
            })
            .collect();
        let cuts: Vec<bool> = cuts
            .map(|cut| {
                let name = &self.names[cut / Self::BYTES];
                self.survives(|disk| disk.cut(name, cut % Self::BYTES))
            })
            .collect();
        let exact = flips.iter().filter(|survived| **survived).count();
        println!("{} flips: {exact} exact, {} refused", flips.len(), flips.len() - exact);
        println!("{} cuts, all refused", cuts.len());
        assert!(exact > 0 && exact < flips.len(), "a vacuous run");
        assert!(!cuts.contains(&true), "a file is shorter than it was made and nobody noticed");
    }
}

#[test]
fn a_sample_of_bit_flips_and_cuts_is_exact_or_refused() {
    let sealed = Sealed::new();
    assert!(sealed.survives(|_| {}));
    sealed.damage_all((0..64 * 1024 * 8).step_by(211), (0..64 * 1024).step_by(211));
}

#[test]
#[ignore = "exhaustive: run with --release -- --ignored"]
fn every_bit_flip_and_every_cut_is_exact_or_refused() {
    let sealed = Sealed::new();
    std::thread::scope(|scope| {
        for odd in 0..2 {
            let sealed = &sealed;
            scope.spawn(move || {
                let (bits, cuts) = (odd..64 * 1024 * 8, odd..64 * 1024);
                sealed.damage_all(bits.step_by(2), cuts.step_by(2));
            });
        }
    });
}

// ------------------------------------------------------------------------- records of former lives

/// Two logs that are equal up to a batch that only one of them has lost.
fn torn_batch() -> (SimDisk, String, usize, Vec<u8>) {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    log.append(b"durable").unwrap();
    log.sync().unwrap();
    for batch in [b"lost", b"kept"] {
        log.append(batch).unwrap();
    }
    disk.lose_power_at(1);
    assert!(log.sync().is_err());
    disk.restore_power();
    let name = segments(&disk).remove(0);
    let (lost, kept) = (find(&disk, &name, b"lost") - 40, find(&disk, &name, b"kept") - 40);
    let stale = content(&disk, &name)[kept..kept + 48].to_vec();
    disk.overwrite(&name, lost, &[0; 48]);
    (disk, name, kept, stale)
}

#[test]
fn a_dropped_record_is_gone_from_the_disk_before_anything_is_appended() {
    let (disk, name, kept, _) = torn_batch();
    let operations = disk.operations();
    drop(open(&disk.fork()).unwrap());
    let probe = disk.fork();
    drop(open(&probe).unwrap());
    for n in 0..probe.operations() - operations {
        let disk = disk.fork();
        disk.lose_power_at(n);
        let opened = open(&disk).is_ok();
        let durable = disk.durable(&name).unwrap();
        let boot = durable.windows(4).filter(|window| window == b"boot").count();
        let dropped = durable[kept..].windows(4).all(|window| window != b"kept");
        assert!(boot == 1 || dropped, "at {n}: a boot record before the zeros");
        assert!(!opened);
    }
    let (mut log, ..) = open(&disk).unwrap();
    // The boot and its mark take the two places; the next batch follows.
    log.append(b"new").unwrap();
    log.sync().unwrap();
    disk.crash_losing_all();
    assert_eq!(open(&disk).unwrap().1, [b"durable".to_vec(), b"new".to_vec()]);
    assert!(!content(&disk, &name).windows(4).any(|window| window == b"kept"));
}

#[test]
fn a_record_follows_only_the_record_it_was_written_after() {
    // In two futures of one log, a record with the same number lies at the same place.
    let (disk, ..) = torn_batch();
    let future = |first: &[u8]| {
        let disk = disk.fork();
        let (mut log, ..) = open(&disk).unwrap();
        for batch in [first, b"second"] {
            log.append(batch).unwrap();
            log.sync().unwrap();
        }
        disk
    };
    let (one, other) = (future(b"one..."), future(b"other."));
    let name = &segments(&one)[0];
    let at = find(&one, name, b"second") - 40;
    one.overwrite(name, at, &content(&other, name)[at..at + 48]);
    let (_, batches, _) = open(&one).unwrap();
    assert_eq!(batches, [b"durable".to_vec(), b"one...".to_vec()]);
}

#[test]
fn a_record_of_another_segment_is_not_accepted() {
    // Two futures that differ in nothing but the salt of a segment, then a record moved over.
    let future = |salt| {
        let disk = SimDisk::new();
        let (mut log, ..) = open(&disk).unwrap();
        log.append(&[1; 1500]).unwrap();
        log.sync().unwrap();
        drop(log);
        let (mut log, ..) = open_with(disk.clone(), Options { salt, ..OPTIONS }).unwrap();
        log.append(&[2; 1000]).unwrap();
        log.sync().unwrap();
        log.append(b"moved").unwrap();
        log.sync().unwrap();
        disk
    };
    let (one, other) = (future(1), future(2));
    let name = &segments(&one)[1];
    let at = find(&one, name, b"moved") - 40;
    assert_eq!(at, find(&other, name, b"moved") - 40);
    one.overwrite(name, at, &content(&other, name)[at..at + 48]);
    assert_eq!(open(&one).unwrap().1.len(), 2);
}

#[test]
fn an_old_segment_is_written_again_and_nothing_of_it_comes_back() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    for i in 0..60 {
        // Equal sizes everywhere, so that old records lie exactly where new ones end.
        for _ in 0..3 {
            log.append(&[i; 400]).unwrap();
            log.sync().unwrap();
        }
        log.rebase(&image(&[vec![i; 392]])).unwrap();
        assert!(disk.list().unwrap().contains(&"spare.tmp".to_string()));
        let disk = disk.fork();
        disk.crash(&mut Rng::new(u64::from(i)));
        assert_eq!(open(&disk).unwrap().1, [vec![i; 392]]);
    }
    assert!(content(&disk, &segments(&disk)[0])[1500..].iter().any(|byte| *byte != 0));
}

#[test]
fn a_payload_that_looks_like_a_record_is_only_a_payload() {
    let log_with = |salt, batches: &[&[u8]]| {
        let disk = SimDisk::new();
        let (mut log, ..) = open_with(disk.clone(), Options { salt, ..OPTIONS }).unwrap();
        for batch in batches {
            log.append(batch).unwrap();
            log.sync().unwrap();
        }
        disk
    };
    let name = "0000000000000001.log";
    // A client that knows everything but the salt sends records, in a batch that a crash tears.
    for (guess, taken_for_records) in [(7, 10), (6, 0)] {
        let guessed = log_with(guess, &[b"one", b"two"]);
        let at = find(&guessed, name, b"two") - 40;
        let forged = content(&guessed, name)[at..at + 48].repeat(10);
        let disk = log_with(7, &[b"one", &forged]);
        disk.overwrite(name, find(&disk, name, &forged) - 40, &[0; 40]);
        let (_, batches, recovered) = open(&disk).unwrap();
        assert_eq!((batches.len(), recovered.dropped), (1, taken_for_records));
    }
}

// --------------------------------------------------------------------------------- syncs that fail

#[test]
fn a_log_takes_nothing_after_one_failed_sync() {
    let disk = SimDisk::new();
    let mut caller = Caller::default();
    let mut log = caller.recover(&disk).unwrap();
    caller.append(&mut log, b"durable".to_vec()).unwrap();
    caller.sync(&mut log).unwrap();
    caller.append(&mut log, b"not".to_vec()).unwrap();
    disk.fail_sync_at(0);
    assert!(matches!(caller.sync(&mut log), Err(Error::Disk(disk::Error::Io { .. }))));
    let operations = disk.operations();
    // The disk would say Ok now.
    assert!(matches!(log.sync(), Err(Error::Poisoned)));
    assert!(matches!(log.append(b"x"), Err(Error::Poisoned)));
    assert!(matches!(log.mark(), Err(Error::Poisoned)));
    assert!(matches!(log.rebase(b"x"), Err(Error::Poisoned)));
    assert_eq!(disk.operations(), operations, "a poisoned log touched the disk");
    disk.crash_losing_all();
    caller.recover(&disk).unwrap();
    assert_eq!(caller.appended, [b"durable"]);
}

#[test]
fn a_failed_write_poisons_too() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    log.append(b"batch").unwrap();
    disk.lose_power_at(0);
    assert!(matches!(log.sync(), Err(Error::Disk(_))));
    disk.restore_power();
    assert!(matches!(log.sync(), Err(Error::Poisoned)));
}

#[test]
fn bytes_that_a_failed_sync_left_in_memory_are_written_again_before_they_are_trusted() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    for batch in [b"one", b"two"] {
        log.append(batch).unwrap();
    }
    disk.fail_sync_at(0);
    assert!(log.sync().is_err());
    drop(log);
    // The process starts again, and reads what the system believes is on the disk.
    let (_, batches, _) = open(&disk).unwrap();
    assert_eq!(batches, [b"one", b"two"]);
    // It may have told its peers by now. Then the power goes.
    disk.crash_losing_all();
    assert_eq!(open(&disk).unwrap().1, [b"one", b"two"]);
}

#[test]
fn a_sync_that_fails_anywhere_loses_nothing_acknowledged() {
    for n in 0..60 {
        let disk = SimDisk::new();
        let mut caller = Caller::default();
        disk.fail_sync_at(n);
        let failed = caller
            .recover(&disk)
            .and_then(|mut log| caller.run(&disk, &mut log, &mut Rng::new(n), 200));
        assert!(failed.is_err());
        if n % 2 == 0 {
            // Another life without a crash between.
            caller.recover(&disk).unwrap();
        }
        disk.crash(&mut Rng::new(n));
        let log = caller.recover(&disk).unwrap();
        caller.go_on(&disk, log);
    }
}

// ------------------------------------------------------------------------------------- a full disk

#[test]
fn a_full_disk_is_said_in_one_line_and_loses_nothing_acknowledged() {
    let mut refused = 0;
    for room in (0..40_000).step_by(331) {
        let disk = SimDisk::new();
        let mut caller = Caller::default();
        disk.set_room(Some(room));
        let ran = caller
            .recover(&disk)
            .and_then(|mut log| caller.run(&disk, &mut log, &mut Rng::new(room), 80));
        if let Err(error) = ran {
            assert!(matches!(error, Error::Disk(disk::Error::Full { .. })), "{error}");
            let line = error.to_string();
            assert!(line.starts_with("no space left on the disk for ") && !line.contains('\n'));
            refused += 1;
        }
        disk.set_room(None);
        if room % 2 == 0 {
            disk.crash(&mut Rng::new(room));
        }
        let log = caller.recover(&disk).unwrap();
        caller.go_on(&disk, log);
    }
    assert!(refused > 80, "a vacuous run: {refused}");
}

// --------------------------------------------------------------------------------------- snapshots

fn key(index: u64) -> Key {
    Key { index, term: 3, digest: index * 7 }
}

#[test]
fn snapshots_come_back_newest_first_and_the_older_ones_go() {
    let snapshots = Snapshots::open(SimDisk::new()).unwrap();
    assert!(snapshots.newest().unwrap().is_none());
    for index in [5, 300, 20] {
        snapshots.save(key(index), &vec![index as u8; 1000]).unwrap();
    }
    assert_eq!(snapshots.list().unwrap(), [key(5), key(20), key(300)]);
    assert_eq!(snapshots.newest().unwrap(), Some((key(300), vec![44; 1000])));
    assert_eq!(snapshots.load(key(5)).unwrap(), vec![5; 1000]);
    snapshots.remove_older(key(300)).unwrap();
    assert_eq!(snapshots.list().unwrap(), [key(300)]);
    let missing = snapshots.load(key(5));
    assert!(matches!(missing, Err(snapshot::Error::Disk(disk::Error::Missing { .. }))));
}

#[test]
fn a_crash_at_any_operation_of_a_save_leaves_what_was_saved_before() {
    for n in 0.. {
        let disk = SimDisk::new();
        let snapshots = Snapshots::open(disk.clone()).unwrap();
        snapshots.save(key(1), b"one").unwrap();
        disk.lose_power_at(n);
        let saved = snapshots.save(key(2), &[2; 2000]).is_ok();
        for seed in 0..100 {
            let disk = disk.fork();
            disk.crash(&mut Rng::new(seed));
            let newest = Snapshots::open(disk).unwrap().newest().unwrap().unwrap();
            match newest {
                (found, content) if found == key(2) => assert_eq!(content, [2; 2000]),
                (found, content) => {
                    assert!(!saved, "a saved snapshot is gone");
                    assert_eq!((found, content.as_slice()), (key(1), &b"one"[..]));
                }
            }
        }
        // A name that the next life sees is there for good.
        disk.restore_power();
        let seen = Snapshots::open(disk.clone()).unwrap().newest().unwrap();
        disk.crash_losing_all();
        assert_eq!(Snapshots::open(disk).unwrap().newest().unwrap(), seen);
        if saved {
            return assert_eq!(n, 6);
        }
    }
}

#[test]
fn a_damaged_snapshot_is_refused_whatever_bit_it_is() {
    let disk = SimDisk::new();
    let snapshots = Snapshots::open(disk.clone()).unwrap();
    snapshots.save(key(1), &[1; 100]).unwrap();
    let name = disk.list().unwrap().remove(0);
    for bit in 0..144 * 8 {
        let disk = disk.fork();
        disk.flip(&name, bit);
        let loaded = Snapshots::open(disk).unwrap().newest();
        assert!(matches!(loaded, Err(snapshot::Error::Corrupt { .. })), "bit {bit}");
    }
    for cut in 0..144 {
        let disk = disk.fork();
        disk.cut(&name, cut);
        let loaded = Snapshots::open(disk).unwrap().newest();
        assert!(matches!(loaded, Err(snapshot::Error::Corrupt { .. })), "cut {cut}");
    }
}

// -------------------------------------------------------------------------- real disks and folders

const NODE: Identity = Identity { group: 7, node: 2 };

#[test]
fn a_log_on_a_real_disk_gives_back_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/with/parents");
    let mut caller = Caller::default();
    let mut rng = Rng::new(9);
    for boot in 1..=5 {
        let (mut log, batches, _) = open_with(RealDisk::open(&path).unwrap(), OPTIONS).unwrap();
        assert!(batches == caller.appended);
        assert_eq!(log.boots(), boot);
        caller.run(&RealDisk::open(&path).unwrap(), &mut log, &mut rng, 50).unwrap();
        caller.sync(&mut log).unwrap();
    }
    let snapshots = Snapshots::open(RealDisk::open(&path).unwrap()).unwrap();
    snapshots.save(key(8), &[8; 100_000]).unwrap();
    assert_eq!(snapshots.newest().unwrap(), Some((key(8), vec![8; 100_000])));
}

#[test]
fn spare_segments_may_be_prepared_while_the_log_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, stop) = (|| RealDisk::open(folder.path()).unwrap(), AtomicBool::new(false));
    let mut caller = Caller::default();
    std::thread::scope(|scope| {
        let (mut log, ..) = open_with(disk(), OPTIONS).unwrap();
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                log::prepare(&disk(), &OPTIONS).unwrap();
            }
        });
        for i in 0..300 {
            caller.append(&mut log, vec![i as u8; 600]).unwrap();
            if i % 64 == 63 {
                log.rebase(&image(&caller.appended)).unwrap();
            }
        }
        caller.sync(&mut log).unwrap();
        stop.store(true, Relaxed);
    });
    assert!(open_with(disk(), OPTIONS).unwrap().1 == caller.appended);
}

#[test]
fn a_segment_that_was_prepared_costs_no_zeros_when_it_is_needed() {
    let disk = SimDisk::new();
    let (mut log, ..) = open(&disk).unwrap();
    log::prepare(&disk, &OPTIONS).unwrap();
    let operations = disk.operations();
    log::prepare(&disk, &OPTIONS).unwrap();
    assert_eq!(disk.operations(), operations, "there is one already");
    disk.sync_folder().unwrap();
    assert_eq!(disk.durable("spare.tmp").unwrap().len(), 2048, "the log would wait for it");
    // Room for the two records, each with its padding, and the header of the second segment.
    disk.set_room(Some(1544 + 64 + 1544));
    for _ in 0..2 {
        log.append(&[1; 1500]).unwrap();
        log.sync().unwrap();
    }
    assert_eq!(segments(&disk).len(), 2);
    assert!(matches!(log::prepare(&disk, &OPTIONS), Err(disk::Error::Full { .. })));
    assert_eq!(disk.list().unwrap(), segments(&disk), "half a spare is left");
}

#[test]
fn a_new_segment_on_a_real_disk_has_no_holes() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 1024 * 1024, salt: 0 };
    drop(open_with(RealDisk::open(folder.path()).unwrap(), options).unwrap());
    let metadata = folder.path().join("0000000000000001.log").metadata().unwrap();
    assert_eq!(metadata.len(), 1024 * 1024);
    assert!(metadata.blocks() * 512 >= 1024 * 1024);
}

/// In the test this opens a folder and then starts the test again in a second process, which finds
/// the folder's path in its environment.
#[test]
fn a_second_process_is_refused() {
    const FOLDER: &str = "QUORATE_TEST_FOLDER";
    if let Some(path) = std::env::var_os(FOLDER) {
        match Folder::open(Path::new(&path), NODE) {
            Err(error @ folder::Error::InUse { .. }) => println!("refused: {error}"),
            other => println!("opened: {}", other.is_ok()),
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let second = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_second_process_is_refused", "--nocapture"]);
        let output = command.env(FOLDER, folder.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let first = Folder::open(folder.path(), NODE).unwrap();
    let said = second();
    assert!(said.contains("is in use by another process"), "{said}");
    drop(first);
    let said = second();
    assert!(said.contains("opened: true"), "{said}");
}

#[test]
fn another_nodes_folder_is_refused_with_what_was_found_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    drop(Folder::open(path, NODE).unwrap());
    for (group, node) in [(7, 3), (8, 2)] {
        let wanted = Identity { group, node };
        let Err(error) = Folder::open(path, wanted) else { panic!("opened") };
        assert!(matches!(error, folder::Error::OtherIdentity { found: NODE, .. }), "{error}");
        let path = path.display();
        let expected = format!(
            "{path} belongs to node 2 of group 7, not to node {node} of group {group}: start node \
             2 of group 7 here, or give node {node} of group {group} a folder of its own"
        );
        assert_eq!(error.to_string(), expected);
    }
    drop(Folder::open(path, NODE).unwrap().disk("log").unwrap());
    let folder = Folder::open(path, NODE).unwrap();
    assert_eq!(folder.path(), path);
}

#[test]
fn a_life_and_a_seat_are_kept_for_as_long_as_the_folder_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut open = Folder::open(path, NODE).unwrap();
    let born = open.incarnation();
    assert!(born > 1_700_000_000 && open.seat().is_none());
    open.outlive(born - 1).unwrap();
    assert_eq!(open.incarnation(), born, "it is later already");
    open.outlive(born + 8).unwrap();
    let later = open.incarnation();
    assert!(later > born + 8);
    let seat =
        Seat { slot: 3, since: 17, founders: 7, replication_factor: 5, heartbeat_timeout_ms: 150 };
    open.settle(seat).unwrap();
    open.outlive(born + 100).unwrap();
    open.keep_members(b"hints").unwrap();
    drop(open);
    let open = Folder::open(path, NODE).unwrap();
    assert_eq!((open.incarnation(), open.seat()), (later, Some(seat)), "who is a member stays it");
    assert_eq!(open.members().as_deref(), Some(&b"hints"[..]));
    std::fs::write(path.join("members"), b"other hints").unwrap();
    assert_eq!(open.members(), None, "what is damaged is as good as lost");
}

// A machine without a clock of its own begins every life in the same second.
#[test]
fn two_lives_that_begin_in_one_second_or_outlive_the_same_one_are_two() {
    let folders = [(); 8].map(|()| tempfile::tempdir().unwrap());
    let mut lives: Vec<_> =
        folders.iter().map(|folder| Folder::open(folder.path(), NODE).unwrap()).collect();
    let differ = |lives: &[Folder]| {
        let all: std::collections::BTreeSet<_> = lives.iter().map(Folder::incarnation).collect();
        all.len() == lives.len()
    };
    assert!(differ(&lives));
    let newest = lives.iter().map(Folder::incarnation).max().unwrap();
    lives.iter_mut().for_each(|life| life.outlive(newest + 1_000_000_000).unwrap());
    assert!(differ(&lives));
}

#[test]
fn a_folder_of_another_format_or_with_a_damaged_identity_or_without_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    drop(Folder::open(path, NODE).unwrap().disk("log").unwrap());
    let identity = path.join("identity");
    let good = std::fs::read(&identity).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    assert!(text.starts_with("quorate format 2\ngroup 7\nnode 2\nlife "), "{text}");
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&identity, bad).unwrap();
        match Folder::open(path, NODE) {
            Err(folder::Error::Damaged { .. } | folder::Error::OtherFormat { .. }) => {}
            other => panic!("bit {bit}: {other:?}"),
        }
    }
    std::fs::write(&identity, "quorate format 3\nsomething else\n").unwrap();
    let Err(error) = Folder::open(path, NODE) else { panic!("opened") };
    assert!(matches!(error, folder::Error::OtherFormat { found: 3, wanted: 2, .. }), "{error}");
    std::fs::remove_file(&identity).unwrap();
    let Err(error) = Folder::open(path, NODE) else { panic!("opened") };
    assert!(matches!(error, folder::Error::NotOurs { .. }), "{error}");
}
