//! Loads: what is done so many times, named by words, so that a child process can be told.

use crate::ours;
#[cfg(feature = "peers")]
use crate::peers;

/// How many nodes, entries in a batch, and batches under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    pub(crate) batch: u64,
    pub(crate) depth: u64,
}

impl Shape {
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let [nodes, batch, depth] = words else { return None };
        let (nodes, batch, depth) = (nodes.parse().ok()?, batch.parse().ok()?, depth.parse().ok()?);
        Some(Self { nodes, batch, depth })
    }
}

/// What a load has said to itself while it ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Measured {
    /// Messages, counted once for each receiver.
    pub(crate) messages: u64,
    /// Bytes of those that were encoded.
    pub(crate) bytes: u64,
}

/// Does `units` of a load. None if the words name no load of this build.
pub(crate) fn run(words: &[&str], units: u64) -> Option<Measured> {
    match words {
        ["ours", rest @ ..] => ours::run(rest, units),
        #[cfg(feature = "peers")]
        _ => peers::run(words, units),
        #[cfg(not(feature = "peers"))]
        _ => None,
    }
}

/// Makes so many of something, and never lets them go: what is in use at exit is theirs.
pub(crate) fn hold<T>(units: u64, make: impl Fn() -> T) -> Measured {
    let mut held = Vec::with_capacity(usize::try_from(units).expect("fits in memory"));
    held.extend((0..units).map(|_| make()));
    std::mem::forget(held);
    Measured::default()
}

/// Does what says nothing.
pub(crate) fn silently(act: impl FnOnce()) -> Measured {
    act();
    Measured::default()
}
