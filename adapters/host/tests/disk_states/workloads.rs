//! What callers do to their logs, so that everything in them is exercised.

use crate::caller::Caller;
use quorate_host::disk::Disk;

/// A name, and what is done.
pub(crate) type Workload<D> = (&'static str, fn(&mut Caller<D>) -> Result<(), String>);

pub(crate) fn all<D: Disk + Clone>() -> Vec<Workload<D>> {
    vec![
        ("group commits", group_commits),
        ("writes that wait for one sync", writes_that_wait),
        ("segment changes", segment_changes),
        ("rebases", rebases),
        ("spares", spares),
        ("large records", large_records),
        ("kills", kills),
        ("a failed sync", failed_syncs),
        ("a mixture", mixture),
    ]
}

fn group_commits<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    caller.open()?;
    for group in [1, 2, 3, 5, 8] {
        for _ in 0..group {
            let length = caller.rng.below(90);
            caller.append(length)?;
        }
        caller.sync()?;
    }
    caller.mark()
}

/// Marks write what waits and do not sync it, so one sync is for many writes.
fn writes_that_wait<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    caller.open()?;
    for writes in 1..6 {
        for _ in 0..writes {
            let length = caller.rng.below(150);
            caller.append(length)?;
            caller.mark()?;
        }
        caller.sync()?;
        caller.mark()?;
    }
    Ok(())
}

fn segment_changes<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    caller.open()?;
    for length in [500, 500, 500, 300, 700, 20, 900, 900, 10, 1800, 10] {
        caller.append(length)?;
        caller.mark()?;
        if caller.rng.below(2) == 0 {
            caller.sync()?;
        }
    }
    caller.sync()
}

fn rebases<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    caller.open()?;
    for image in [10, 300, 1000, 50] {
        // Four segments and more, so that many names go at once.
        for length in [800, 900, 700, 800, 600, 30] {
            caller.append(length)?;
        }
        caller.sync()?;
        caller.append(40)?;
        caller.mark()?;
        caller.rebase(image)?;
        caller.append(60)?;
        caller.sync()?;
    }
    Ok(())
}

/// Segments that are written again, with records of equal lengths: old ones lie where new ones end.
fn spares<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    caller.open()?;
    caller.prepare()?;
    for round in 0..4 {
        for _ in 0..4 {
            caller.append(400)?;
            caller.sync()?;
        }
        caller.mark()?;
        if round % 2 == 0 {
            caller.rebase(400)?;
        }
        caller.prepare()?;
    }
    caller.append(400)?;
    caller.rebase(8)?;
    caller.rebase(8)?;
    caller.append(8)?;
    caller.sync()
}

fn large_records<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    caller.open()?;
    for length in [30, 5000, 30] {
        caller.append(length)?;
        caller.mark()?;
    }
    caller.sync()?;
    caller.rebase(4000)?;
    caller.append(2000)?;
    caller.sync()?;
    caller.append(3000)?;
    caller.append(20)?;
    caller.rebase(20)
}

/// The process dies and starts again, and the power stays: an opening finds what is not durable.
fn kills<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    for round in 0..8 {
        caller.open()?;
        for _ in 0..3 {
            let length = caller.rng.below(300);
            caller.append(length)?;
            caller.mark()?;
        }
        if round % 3 == 0 {
            caller.sync()?;
            caller.append(100)?;
        }
        if round == 4 {
            caller.rebase(200)?;
        }
    }
    Ok(())
}

/// A sync of an opening fails, or one after it. The process stops each time and starts again.
fn failed_syncs<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    caller.open()?;
    for n in [6, 0, 1, 2, 3, 5, 8] {
        caller.tape.fail_sync_at(n);
        // A disk that hides the failure lets all of them succeed.
        let _ = (0..3).try_for_each(|_| caller.open().and_then(|()| some_work(caller)));
        caller.open()?;
        some_work(caller)?;
    }
    Ok(())
}

fn some_work<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    for length in [60, 200, 500] {
        caller.append(length)?;
        caller.mark()?;
        caller.append(20)?;
        caller.sync()?;
    }
    Ok(())
}

pub(crate) fn mixture<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    caller.open()?;
    for _ in 0..60 {
        let length = match caller.rng.below(12) {
            0 => 600 + caller.rng.below(2500),
            _ => caller.rng.below(200),
        };
        caller.append(length)?;
        match caller.rng.below(16) {
            0..4 => caller.sync()?,
            4..7 => {
                caller.sync()?;
                caller.mark()?;
            }
            7..11 => caller.mark()?,
            11 => {
                let length = caller.rng.below(600);
                caller.rebase(length)?;
            }
            12 => caller.prepare()?,
            13 => caller.open()?,
            _ => {}
        }
    }
    caller.sync()
}

/// What the life after a crash does: a bit of everything.
pub(crate) fn afterwards<D: Disk + Clone>(caller: &mut Caller<D>) -> Result<(), String> {
    caller.open()?;
    caller.append(70)?;
    caller.mark()?;
    caller.append(30)?;
    caller.sync()?;
    match caller.rng.below(3) {
        0 => caller.rebase(100)?,
        1 => caller.append(1900)?,
        _ => caller.mark()?,
    }
    caller.append(50)?;
    caller.sync()
}
