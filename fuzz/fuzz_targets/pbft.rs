//! A Byzantine member under the laws of every machine, and through many lives in which it may contradict
//! nothing that it has said, with the fuzzer's choices.
#![no_main]

#[path = "../../tests/laws/driver.rs"]
mod driver;
#[path = "../../tests/laws/pbft.rs"]
mod pbft;

libfuzzer_sys::fuzz_target!(|choices: &[u8]| match choices.split_first() {
    Some((0..64, rest)) => driver::drive::<quorate::pbft::Pbft>(rest),
    Some((_, rest)) => pbft::lives(rest),
    None => {}
});
