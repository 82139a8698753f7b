//! `quorate serve`: a node of a group that keeps leases.

use crate::arguments::Runtime;
use crate::output::tell;
use crate::verdict::{Failure, Verdict};
use quorate_host::config::Config;
use quorate_host::lease;
use quorate_host::life::{StartError, Stopped};
use quorate_host::recording::file::recorder;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use tokio::runtime::Builder;
use tokio::select;

/// Serves until the node stops by itself, or is asked to with SIGTERM or SIGINT: then another leads
/// before it ends. To kill it is all right too: what was acknowledged is on the disk.
pub(crate) fn run(file: &Path, record: Option<&Path>, runtime: Runtime) -> Verdict {
    let config = Config::load(file).map_err(|error| Failure::Usage(error.to_string()))?;
    let ended = match runtime {
        Runtime::Std => on_std(&config, record),
        Runtime::Tokio => on_tokio(&config, record),
    };
    let stopped = ended.map_err(|error| {
        let line = error.to_string();
        if error.is_usage() { Failure::Usage(line) } else { Failure::Refused(line) }
    })?;
    stopped.map_err(|stopped| Failure::Refused(stopped.to_string()))?;
    tell(&format!("node {} of group {} has ended", config.node.id, config.group.id));
    Ok(())
}

fn say_where(config: &Config, address: SocketAddr) {
    let (id, group) = (config.node.id, config.group.id);
    tell(&format!("node {id} of group {group} listens on {address}"));
}

fn on_std(config: &Config, record: Option<&Path>) -> Result<Result<(), Stopped>, StartError> {
    // Nothing runs on it but the wait for a signal.
    let waiting = Builder::new_multi_thread().worker_threads(1).enable_io().build();
    let waiting = waiting.map_err(StartError::Threads)?;
    let asked = waiting.block_on(async { asked() }).map_err(StartError::Threads)?;
    let node = quorate_std::node::Node::start_recorded(config, lease::table(), record)?;
    let stop = node.stopper();
    waiting.spawn(async move {
        asked.await;
        stop.stop();
    });
    say_where(config, node.address());
    Ok(node.wait())
}

fn on_tokio(config: &Config, record: Option<&Path>) -> Result<Result<(), Stopped>, StartError> {
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(StartError::Threads)?;
    runtime.block_on(async {
        let asked = asked().map_err(StartError::Threads)?;
        let recorder = record.map(recorder);
        let node = quorate_tokio::Node::start_recorded(config, lease::table(), recorder).await?;
        say_where(config, node.address());
        select! {
            () = asked => {}
            stopped = node.stopped() => return Ok(Err(stopped)),
        }
        Ok(node.shutdown().await)
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
