//! The thread that writes: what waits together becomes durable together.

use crate::Event;
use quorate_host::driver;
use quorate_host::protocol::Service;
use quorate_host::store::{Store, Task};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};

/// Performs tasks until the node is gone or the disk fails.
pub(crate) fn run<S: Service>(
    mut store: Store,
    tasks: &Receiver<Task>,
    events: &SyncSender<Event<S>>,
) {
    while let Ok(first) = tasks.recv() {
        let done = store.perform(std::iter::once(first).chain(tasks.try_iter()));
        let told = match done {
            Ok(done) => done
                .into_iter()
                .all(|done| events.send(Event::Driver(driver::Event::Disk(done))).is_ok()),
            Err(failed) => {
                let _ = events.send(Event::DiskFailed(failed.to_string()));
                return;
            }
        };
        let is_idle = told && matches!(tasks.try_recv(), Err(TryRecvError::Empty));
        if !told {
            return;
        }
        if is_idle && let Err(failed) = store.idle() {
            let _ = events.send(Event::DiskFailed(failed.to_string()));
            return;
        }
    }
}
