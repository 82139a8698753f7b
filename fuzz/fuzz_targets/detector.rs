//! The failure detector under the laws of every machine, with the fuzzer's choices.
#![no_main]

#[path = "../../tests/laws/detector.rs"]
mod detector;
#[path = "../../tests/laws/driver.rs"]
#[allow(dead_code, reason = "other machines use more of it")]
mod driver;

use libfuzzer_sys::fuzz_target;
use quorate::membership::Detector;

fuzz_target!(|choices: &[u8]| driver::drive::<Detector>(choices));
