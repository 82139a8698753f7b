//! A member's clocks: a monotonic one that runs too fast, too slow or not at all, and a civil one
//! that steps.
//!
//! All time here is whole microseconds of the run's true time, and every conversion is exact, so
//! that a run is the same on every machine.

use quorate::time::{Instant, Now, Wall};

/// Where civil time stands when a run begins: an arbitrary day in 2026, in microseconds.
const EPOCH: i64 = 1_790_000_000_000_000;

/// Two clocks.
#[derive(Clone, Debug)]
pub struct Clocks {
    /// What the monotonic clock showed at `since`, and how fast it runs: parts in a million.
    shown: u64,
    since: u64,
    rate: u64,
    /// How far the civil clock is ahead of the true time, in microseconds.
    pub ahead: i64,
    /// Where the civil clock stands still, if it does.
    pub frozen: Option<i64>,
    /// Whether there is a civil clock at all.
    pub has_wall: bool,
}

impl Clocks {
    /// Clocks that are right; the monotonic one starts at `shown`.
    pub const fn starting_at(shown: u64) -> Self {
        Self { shown, since: 0, rate: 1_000_000, ahead: 0, frozen: None, has_wall: true }
    }

    /// What a right civil clock shows at a true time.
    pub const fn civil(at: u64) -> u64 {
        EPOCH as u64 + at
    }

    /// What the clocks show at a true time.
    pub fn show(&self, at: u64) -> Now {
        let mono = Instant::from_micros(self.mono(at));
        let civil = self.frozen.unwrap_or(EPOCH + at as i64 + self.ahead);
        let wall = self.has_wall.then(|| Wall::from_micros(civil as u64));
        Now { mono, wall }
    }

    fn mono(&self, at: u64) -> u64 {
        self.shown + scale(at.saturating_sub(self.since), self.rate, 1_000_000)
    }

    /// The first true time, not before `at`, at which the monotonic clock shows an instant; never,
    /// if it stands still.
    pub fn when(&self, instant: Instant, at: u64) -> Option<u64> {
        let left = instant.as_micros().saturating_sub(self.mono(at));
        if left == 0 {
            return Some(at);
        }
        if self.rate == 0 {
            return None;
        }
        let total = instant.as_micros() - self.shown;
        // One more, since both conversions round down.
        Some(self.since + scale(total, 1_000_000, self.rate) + 1)
    }

    /// Lets the monotonic clock run at another rate from now on: a million is right.
    pub fn run_at(&mut self, at: u64, rate: u64) {
        (self.shown, self.since, self.rate) = (self.mono(at), at, rate);
    }

    /// Sets the monotonic clock, as another start of the machine does.
    pub fn reset(&mut self, at: u64, shown: u64) {
        (self.shown, self.since) = (shown, at);
    }

    /// Lets the civil clock stand still.
    pub fn freeze(&mut self, at: u64) {
        self.frozen = Some(EPOCH + at as i64 + self.ahead);
    }
}

fn scale(span: u64, by: u64, of: u64) -> u64 {
    if by == of { span } else { (u128::from(span) * u128::from(by) / u128::from(of)) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_at_the_first_moment_that_the_clock_shows_it() {
        for rate in [1, 999_000, 1_000_000, 1_000_500, 2_000_000] {
            let mut clocks = Clocks::starting_at(77);
            clocks.run_at(1_000, rate);
            let instant = Instant::from_micros(5_077);
            let at = clocks.when(instant, 1_000).expect("the clock runs");
            assert!(clocks.show(at).mono >= instant, "rate {rate}");
            assert!(clocks.show(at - 2).mono < instant, "rate {rate}");
        }
    }

    #[test]
    fn a_clock_that_stands_still_reaches_no_deadline() {
        let mut clocks = Clocks::starting_at(0);
        clocks.run_at(10, 0);
        assert_eq!(clocks.when(Instant::from_micros(11), 10), None);
        assert_eq!(clocks.when(Instant::from_micros(10), 10), Some(10));
    }
}
