//! uhlc 0.9, the hybrid clock of Zenoh. It asks the operating system for the time by itself, so its
//! figures include that.

use std::hint::black_box;
use uhlc::HLC;

/// Makes stamps.
pub(crate) fn stamp(count: u64) {
    let clock = HLC::default();
    for _ in 0..count {
        black_box(clock.new_timestamp());
    }
}

/// Takes note of another clock's stamp, as often.
pub(crate) fn update(count: u64) {
    let clock = HLC::default();
    let heard = HLC::default().new_timestamp();
    for _ in 0..count {
        let _ = black_box(clock.update_with_timestamp(black_box(&heard)));
    }
}
