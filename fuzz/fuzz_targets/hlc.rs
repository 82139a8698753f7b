//! A clock under any readings: stamps rise, stay within the offset and the bound, across restarts.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use quorate::hlc::{Clock, Config, Stamp};
use quorate::time::{Now, Span};

#[derive(Arbitrary, Debug)]
enum Act {
    Stamps(u8),
    Observe(Stamp),
    Raise(Stamp),
    Reserve,
    Restart,
}

fuzz_target!(|run: (bool, Vec<(Now, Act)>)| {
    let (with_reserve, acts) = run;
    let max_offset = Span::millis(250);
    let reserve = with_reserve.then_some(Span::millis(100));
    let config = Config { max_offset, reserve };
    let (mut clock, mut highest, mut durable) = (Clock::new(config), Stamp::ZERO, Stamp::ZERO);
    for (now, act) in acts {
        match act {
            Act::Stamps(count) => {
                let count = u64::from(count).max(1);
                let before = clock.clone();
                match clock.stamps(now, count) {
                    Ok(first) => {
                        assert!(first > highest, "stamps rise");
                        highest = first.plus(count - 1);
                        if let Some(wall) = now.wall {
                            let latest = Stamp::at_millis(wall.as_millis()).after(max_offset);
                            assert!(highest.millis() <= latest.millis(), "within the offset");
                        }
                        assert!(!with_reserve || highest <= durable, "within the bound");
                    }
                    Err(_) => assert_eq!(clock, before, "an error changes nothing"),
                }
            }
            Act::Observe(stamp) => {
                let before = clock.clone();
                match clock.observe(now, stamp) {
                    Ok(()) => assert!(clock.last() >= stamp && clock.last() >= before.last()),
                    Err(_) => assert_eq!(clock, before, "an error changes nothing"),
                }
            }
            Act::Raise(stamp) => clock.raise(stamp),
            Act::Reserve => {
                if let Some(bound) = clock.reserve(now) {
                    durable = durable.max(bound);
                    clock.durable(bound);
                }
            }
            Act::Restart => {
                let bound = if with_reserve { durable } else { clock.last() };
                clock = Clock::recover(config, bound);
            }
        }
    }
});
