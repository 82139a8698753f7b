//! How a node's life begins and ends, whatever its runtime, and the clock that it goes by.

use crate::folder;
use crate::store::{DiskFailed, OpenError};
use quorate::time::{Instant, Now, Span, Wall};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Why a node did not start, in one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder, the log or the clock does not permit it.
    Open(OpenError),
    /// The address to listen on cannot be had.
    Listen {
        /// The address.
        address: String,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The operating system gives no more threads.
    Threads(std::io::Error),
}

impl StartError {
    /// Whether the configuration is to blame, rather than the state of the machine.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Open(OpenError::Folder(
                folder::Error::OtherIdentity { .. }
                    | folder::Error::OtherFormat { .. }
                    | folder::Error::NotOurs { .. }
            ))
        )
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Listen { address, error } => {
                write!(f, "cannot listen on {address}: {error}; choose another address or port")
            }
            Self::Threads(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Why a node stopped by itself, in one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stopped(pub String);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stopped {}

impl From<DiskFailed> for Stopped {
    fn from(failed: DiskFailed) -> Self {
        Self(format!("{failed}; the node stops, what was acknowledged is kept"))
    }
}

/// Monotonic time since the node began, and civil time.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Default for Clock {
    fn default() -> Self {
        Self(std::time::Instant::now())
    }
}

impl Clock {
    /// The time.
    #[must_use]
    pub fn now(self) -> Now {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Now {
            // One microsecond in: the origin itself stands for "at once".
            mono: Instant::from_micros(micros(self.0.elapsed()).saturating_add(1)),
            wall: since_epoch.ok().map(|span| Wall::from_micros(micros(span))),
        }
    }

    /// When that is, as the operating system counts: a little later, for it must have passed.
    #[must_use]
    pub fn at(self, instant: Instant) -> std::time::Instant {
        let since = Duration::from_micros(instant.as_micros());
        self.0.checked_add(since).unwrap_or(self.0)
    }
}

/// Time that runs on while the computer sleeps, as the holder of a lease must count: monotonic time, and
/// as far ahead of it as civil time has ever got since. A civil clock that is set forward ends leases
/// early, which is safe.
#[derive(Debug)]
pub struct Wakeful {
    clock: Clock,
    began: Now,
    ahead: AtomicU64,
}

impl Default for Wakeful {
    fn default() -> Self {
        let clock = Clock::default();
        Self { clock, began: clock.now(), ahead: AtomicU64::new(0) }
    }
}

impl Wakeful {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Now {
        self.advance(self.clock.now())
    }

    /// How long it is until then.
    #[must_use]
    pub fn left(&self, until: Instant) -> Duration {
        Duration::from(until.since(self.now().mono))
    }

    fn advance(&self, now: Now) -> Now {
        let civil = |now: Now| now.wall.map_or(0, Wall::as_micros);
        let awake = now.mono.since(self.began.mono).as_micros();
        let passed = civil(now).saturating_sub(civil(self.began));
        let ahead = passed.saturating_sub(awake);
        let ahead = self.ahead.fetch_max(ahead, Ordering::Relaxed).max(ahead);
        Now { mono: now.mono.after(Span::micros(ahead)), wall: now.wall }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_counts_though_only_the_civil_clock_has_seen_it() {
        let clock = Wakeful::default();
        let began = clock.began;
        let after = |mono, wall| {
            let wall = began.wall.unwrap().as_micros().saturating_add_signed(wall);
            let mono = began.mono.after(Span::micros(mono));
            let now = clock.advance(Now::both(mono, Wall::from_micros(wall)));
            now.mono.since(began.mono).as_micros()
        };
        assert_eq!(after(10, 10), 10);
        assert_eq!(after(20, -5_000), 20, "a clock that is set back counts for nothing");
        assert_eq!(after(30, 1_030), 1_030, "a thousand were slept");
        assert_eq!(after(40, 40), 1_040, "and that is not forgotten");
    }
}
