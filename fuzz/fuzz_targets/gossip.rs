//! Gossip under the laws of every machine, with the fuzzer's choices.
#![no_main]

#[path = "../../tests/laws/driver.rs"]
#[allow(dead_code, reason = "other machines use more of it")]
mod driver;
#[path = "../../tests/laws/gossip.rs"]
mod gossip;

use libfuzzer_sys::fuzz_target;
use quorate::membership::Gossip;

fuzz_target!(|choices: &[u8]| driver::drive::<Gossip>(choices));
