//! The hybrid logical clock. Time is passed in, as everywhere.

use quorate::hlc::{Clock, Config};
use quorate::time::{Instant, Now, Wall};
use std::hint::black_box;

/// A civil time to begin at.
const EPOCH_MICROS: u64 = 1_790_000_000_000_000;

pub(crate) fn at(micros: u64) -> Now {
    Now::both(Instant::from_micros(micros), Wall::from_micros(EPOCH_MICROS + micros))
}

/// Makes stamps, ten microseconds apart.
pub(crate) fn stamp(count: u64) {
    let mut clock = Clock::new(Config::default());
    for n in 0..count {
        let _ = black_box(clock.stamp(at(n * 10)));
    }
}

/// Takes note of another clock's stamp, as often.
pub(crate) fn update(count: u64) {
    let (mut clock, mut other) = (Clock::new(Config::default()), Clock::new(Config::default()));
    let heard = other.stamp(at(0)).expect("the clock is right");
    for n in 0..count {
        let _ = black_box(clock.observe(at(n * 10), black_box(heard)));
    }
}
