//! The thread that writes: what waits together becomes durable together. Another beside it prepares
//! the log's next file, so that a write seldom waits for more than a sync.

use crate::Event;
use quorate_host::driver;
use quorate_host::protocol::Service;
use quorate_host::store::{Ahead, DiskFailed, Store, Task};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel};
use std::thread;
use std::time::Duration;

/// How often the next file is looked after.
const PREPARE: Duration = Duration::from_secs(1);

/// Performs tasks until the node is gone or the disk fails. The data folder is free then.
pub(crate) fn run<S: Service>(
    mut store: Store,
    tasks: &Receiver<Task>,
    events: &SyncSender<Event<S>>,
) {
    let (writing, ended) = channel();
    thread::scope(|scope| {
        if let Ok(ahead) = store.ahead() {
            // Without this thread the log is as safe.
            let _ = thread::Builder::new()
                .name("ahead".to_owned())
                .spawn_scoped(scope, move || prepare(&ahead, &ended));
        }
        if let Err(failed) = write(&mut store, tasks, events) {
            let _ = events.send(Event::DiskFailed(failed.to_string()));
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

fn write<S: Service>(
    store: &mut Store,
    tasks: &Receiver<Task>,
    events: &SyncSender<Event<S>>,
) -> Result<(), DiskFailed> {
    let mut next = tasks.recv().ok();
    while let Some(first) = next {
        let done = store.perform(std::iter::once(first).chain(tasks.try_iter()))?;
        let mut done = done.into_iter().map(|done| Event::Driver(driver::Event::Disk(done)));
        if !done.all(|event| events.send(event).is_ok()) {
            return Ok(());
        }
        // What is taken here must be performed: a later receipt vouches for it.
        next = tasks.try_recv().ok();
        if next.is_none() {
            store.idle()?;
            next = tasks.recv().ok();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate::Machine;
    use quorate::lease::Table;
    use quorate::replica::{Input, Output};
    use quorate::time::{Instant, Now, Wall};
    use quorate_host::config::Config;
    use quorate_host::store::{self, Done};
    use std::sync::mpsc::sync_channel;

    const CONFIG: &str = "[node]\nid = 1\nlisten = \"127.0.0.1:1\"\ndata = \"data\"\n\
        [consensus_group]\nreplication_factor = 1\n[[member]]\nid = 1\naddress = \"127.0.0.1:1\"\n";

    // It was taken to see whether there was one, and dropped; and the next receipt vouched for it.
    #[test]
    fn a_write_that_comes_while_another_is_told_is_not_lost() {
        let folder = std::env::temp_dir().join(format!("quorate-disk-{}", std::process::id()));
        let config = Config::parse("test", CONFIG, &folder).unwrap();
        let at = |micros| Now::both(Instant::from_micros(micros), Wall::from_micros(1_000_000));
        let (mut replica, store) =
            store::open(&config, quorate_host::lease::table(), at(1)).unwrap();
        replica.step(at(1), Input::Tick, &mut Vec::new()).unwrap();
        let late = replica.deadline().expect("it will campaign").as_micros();
        let outputs = replica.step_vec(at(late), Input::Tick).unwrap();
        let receipt = outputs.iter().find_map(|output| match output {
            Output::Persist { receipt, .. } => Some(*receipt),
            _ => None,
        });
        let receipt = receipt.expect("it campaigns");
        let task = || Task::Write { receipt, record: b"record".to_vec(), rebase: false };

        let (tasks, waiting) = channel();
        let (to_us, events) = sync_channel::<Event<Table>>(0);
        let writing = thread::spawn(move || run(store, &waiting, &to_us));
        let told = || events.recv_timeout(Duration::from_secs(10)).expect("the write is told");
        tasks.send(task()).unwrap();
        thread::sleep(Duration::from_millis(200)); // It is written, and waits to be told.
        tasks.send(task()).unwrap();
        for _ in 0..2 {
            assert!(matches!(told(), Event::Driver(driver::Event::Disk(Done::Persisted(_)))));
        }
        drop(tasks);
        writing.join().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
