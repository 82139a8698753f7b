//! Raft under the laws of every machine, with the fuzzer's choices.
#![no_main]

#[path = "../../tests/laws/driver.rs"]
mod driver;
#[path = "../../tests/laws/raft.rs"]
mod raft;

libfuzzer_sys::fuzz_target!(|choices: &[u8]| driver::drive::<quorate::raft::Raft>(choices));
