//! `quorate serve`: a node of a group that keeps leases.

use crate::arguments::Runtime;
use crate::join;
use crate::output::tell;
use crate::verdict::{Failure, Verdict};
use quorate_host::config::Config;
use quorate_host::lease;
use quorate_host::life::{StartError, Stopped};
use quorate_host::recording::file::recorder;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Builder;
use tokio::select;

/// Serves until the node stops by itself, or is asked to with SIGTERM or SIGINT: then another leads
/// before it ends. To kill it is all right too: what was acknowledged is on the disk.
pub(crate) fn run(
    file: &Path,
    record: Option<&Path>,
    join: &[String],
    runtime: Runtime,
) -> Verdict {
    let config = Config::load(file).map_err(|error| Failure::Usage(error.to_string()))?;
    if !join.is_empty() {
        join::join(&config, join)?;
    }
    let ended = match runtime {
        Runtime::Std => on_std(&config, record),
        Runtime::Tokio => on_tokio(&config, record),
    };
    let stopped = ended.map_err(|error| {
        let line = error.to_string();
        if error.is_usage() { Failure::Usage(line) } else { Failure::Refused(line) }
    })?;
    let end = stopped.map_err(|stopped| Failure::Refused(stopped.to_string()))?;
    let (id, group) = (config.node.id, config.group.id);
    tell(&match end {
        End::Asked => format!("node {id} of group {group} has ended"),
        End::Left => format!("node {id} has left group {group} and stops"),
    });
    Ok(())
}

/// Why a node has ended as it should.
#[derive(Clone, Copy)]
enum End {
    Asked,
    Left,
}

fn say_where(config: &Config, address: SocketAddr) {
    let (id, group) = (config.node.id, config.group.id);
    tell(&format!("node {id} of group {group} listens on {address}"));
}

fn on_std(config: &Config, record: Option<&Path>) -> Result<Result<End, Stopped>, StartError> {
    // Nothing runs on it but the wait for a signal.
    let waiting = Builder::new_multi_thread().worker_threads(1).enable_io().build();
    let waiting = waiting.map_err(StartError::Threads)?;
    let asked = waiting.block_on(async { asked() }).map_err(StartError::Threads)?;
    let node = quorate_std::node::Node::start_recorded(config, lease::table(), record)?;
    let (stop, was_asked) = (node.stopper(), Arc::new(AtomicBool::new(false)));
    let asking = Arc::clone(&was_asked);
    waiting.spawn(async move {
        asked.await;
        asking.store(true, Ordering::SeqCst);
        stop.stop();
    });
    say_where(config, node.address());
    let end = |()| if was_asked.load(Ordering::SeqCst) { End::Asked } else { End::Left };
    Ok(node.wait().map(end))
}

fn on_tokio(config: &Config, record: Option<&Path>) -> Result<Result<End, Stopped>, StartError> {
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(StartError::Threads)?;
    runtime.block_on(async {
        let asked = asked().map_err(StartError::Threads)?;
        let recorder = record.map(recorder);
        let node = quorate_tokio::Node::start_recorded(config, lease::table(), recorder).await?;
        say_where(config, node.address());
        select! {
            () = asked => {}
            ended = node.ended() => return Ok(ended.map(|()| End::Left)),
        }
        Ok(node.shutdown().await.map(|()| End::Asked))
    })
}

/// Begins to listen, and waits until the process is asked to end.
#[cfg(unix)]
fn asked() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut end, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        select! {
            _ = end.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Waits until the process is asked to end.
#[cfg(not(unix))]
fn asked() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
