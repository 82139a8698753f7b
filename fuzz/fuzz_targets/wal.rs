//! Whatever is done to a log, and wherever the power fails: everything acknowledged comes back, in
//! order, or the log is refused by a typed error; and any bytes as a segment never panic.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use quorate::rng::Rng;
use quorate_host::log::{Log, Options, Record};
use quorate_sim::disk::SimDisk;

#[derive(Arbitrary, Debug)]
enum Act {
    Append(u8),
    Sync,
    Mark,
    Rebase,
    Crash(u64),
    /// Overwrite bytes of the newest segment: damage.
    Damage(u16, u8),
}

const OPTIONS: Options = Options { segment_bytes: 1_024, salt: 7 };

/// Opens the log and reads the numbers in it; none if it is refused.
fn open(disk: &SimDisk) -> Option<(Log<SimDisk>, Vec<u32>)> {
    let mut numbers = Vec::new();
    let opened = Log::open(disk.clone(), OPTIONS, |record| {
        let (Record::Base(bytes) | Record::Batch(bytes)) = record;
        let number = |four: &[u8]| u32::from_le_bytes(four.try_into().unwrap_or([0; 4]));
        numbers.extend(bytes.chunks(4).map(number));
    });
    opened.ok().map(|(log, _)| (log, numbers))
}

fuzz_target!(|acts: Vec<Act>| {
    let disk = SimDisk::new();
    let Some((mut log, _)) = open(&disk) else { panic!("an empty disk is a log") };
    let (mut written, mut acknowledged, mut damaged) = (Vec::<u32>::new(), 0, false);
    for act in acts.into_iter().take(64) {
        match act {
            Act::Append(count) => {
                let next = written.len() as u32;
                let numbers: Vec<u32> = (next..next + u32::from(count % 32)).collect();
                let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                if log.append(&bytes).is_ok() {
                    written.extend(numbers);
                }
            }
            Act::Sync => {
                if log.sync().is_ok() {
                    acknowledged = written.len();
                }
            }
            Act::Mark => {
                let _ = log.mark();
            }
            Act::Rebase => {
                let bytes: Vec<u8> = written.iter().flat_map(|n| n.to_le_bytes()).collect();
                if log.rebase(&bytes).is_ok() {
                    acknowledged = written.len();
                }
            }
            Act::Crash(seed) => {
                disk.crash(&mut Rng::new(seed));
                let Some((again, found)) = open(&disk) else {
                    assert!(damaged, "a log that was only torn is refused");
                    return;
                };
                assert!(found.len() >= acknowledged || damaged, "what was acknowledged is lost");
                assert!(found.len() <= written.len(), "what was never written has come");
                assert_eq!(found, written[..found.len()], "what comes back is what was written");
                if damaged {
                    return; // It may have hit what was never acknowledged, or the last record.
                }
                written.truncate(found.len());
                acknowledged = found.len();
                log = again;
            }
            Act::Damage(offset, byte) => {
                use quorate_host::disk::Disk as _;
                let names = disk.list().unwrap_or_default();
                if let Some(name) = names.iter().filter(|name| name.ends_with(".log")).max() {
                    let offset = usize::from(offset) % 1_024;
                    disk.overwrite(name, offset, &[byte]);
                    damaged = true;
                }
            }
        }
    }
});
