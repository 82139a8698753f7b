//! The thread that writes: what waits together becomes durable together. Another beside it prepares
//! the log's next file, so that a write seldom waits for more than a sync.

use crate::store::{Ahead, DiskFailed, Done, Store, Task};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How often the next file is looked after.
const PREPARE: Duration = Duration::from_secs(1);

/// How a task is taken that the replica handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Take {
    /// Wait for it; there is none if none can come any more.
    Wait,
    /// Only if it is there.
    Look,
}

/// Performs the tasks that are taken until none can come any more or the disk fails, and tells what is
/// done. The data folder is free then.
pub fn run(
    mut store: Store,
    take: impl FnMut(Take) -> Option<Task>,
    mut tell: impl FnMut(Result<Done, DiskFailed>),
) {
    let (writing, ended) = channel();
    thread::scope(|scope| {
        if let Ok(ahead) = store.ahead() {
            // Without this thread the log is as safe.
            let _ = thread::Builder::new()
                .name("ahead".to_owned())
                .spawn_scoped(scope, move || prepare(&ahead, &ended));
        }
        if let Err(failed) = write(&mut store, take, &mut tell) {
            tell(Err(failed));
        }
        drop(writing);
    });
}

fn prepare(ahead: &Ahead, ended: &Receiver<()>) {
    while ended.recv_timeout(PREPARE) == Err(RecvTimeoutError::Timeout) {
        if let Err(failed) = ahead.prepare() {
            return eprintln!("quorate: no file is prepared for the log any more: {failed}");
        }
    }
}

fn write(
    store: &mut Store,
    mut take: impl FnMut(Take) -> Option<Task>,
    tell: &mut impl FnMut(Result<Done, DiskFailed>),
) -> Result<(), DiskFailed> {
    let mut next = take(Take::Wait);
    while let Some(first) = next {
        let more = std::iter::from_fn(|| take(Take::Look));
        let done = store.perform(std::iter::once(first).chain(more))?;
        done.into_iter().for_each(|done| tell(Ok(done)));
        // What is taken here must be performed: a later receipt vouches for it.
        next = take(Take::Look);
        if next.is_none() {
            store.idle()?;
            next = take(Take::Wait);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::store;
    use quorate::Machine;
    use quorate::replica::{Input, Output};
    use quorate::time::{Instant, Now, Wall};

    const CONFIG: &str = "[node]\nid = 1\nlisten = \"127.0.0.1:1\"\ndata = \"data\"\n\
        [consensus_group]\nreplication_factor = 1\n[[member]]\nid = 1\naddress = \"127.0.0.1:1\"\n";

    /// A disk of a node that campaigns, and the write that this takes.
    fn campaign(folder: &std::path::Path) -> (Store, impl Fn() -> Task + use<>) {
        let config = Config::parse("test", CONFIG, folder).unwrap();
        let at = |micros| Now::both(Instant::from_micros(micros), Wall::from_micros(1_000_000));
        let (mut replica, store) = store::open(&config, crate::lease::table(), at(1)).unwrap();
        replica.step(at(1), Input::Tick, &mut Vec::new()).unwrap();
        let late = replica.deadline().expect("it will campaign").as_micros();
        let outputs = replica.step_vec(at(late), Input::Tick).unwrap();
        let receipt = outputs.iter().find_map(|output| match output {
            Output::Persist { receipt, .. } => Some(*receipt),
            _ => None,
        });
        let receipt = receipt.expect("it campaigns");
        (store, move || Task::Write { receipt, record: b"record".to_vec(), rebase: false })
    }

    // It was taken to see whether there was one, and dropped; and the next receipt vouched for it.
    #[test]
    fn what_is_taken_is_written_and_told_though_it_comes_late() {
        let folder = tempfile::tempdir().unwrap();
        let (store, task) = campaign(folder.path());
        // One comes when it is waited for, one when it is only looked for, after the first was told.
        let mut asked = Vec::new();
        let take = |how| {
            asked.push(how);
            matches!(asked[..], [Take::Wait] | [Take::Wait, Take::Look, Take::Look]).then(&task)
        };
        let mut told = 0;
        run(store, take, |done| told += u32::from(matches!(done, Ok(Done::Persisted(_)))));
        assert_eq!(told, 2);
        assert_eq!(asked.last(), Some(&Take::Wait), "it ends when none can come");
    }
}
