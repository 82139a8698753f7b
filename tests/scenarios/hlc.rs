//! Hybrid time: what has gone wrong with clocks elsewhere does not go wrong here.

use quorate::hlc::{Clock, Config, Error, Stamp};
use quorate::rng::Rng;
use quorate::time::{Instant, Now, Span, Wall};

const OFFSET: u64 = 250;

fn clock() -> Clock {
    Clock::new(Config::default())
}

/// A moment on a host whose two clocks show the same.
fn at(millis: u64) -> Now {
    both(millis, millis)
}

fn both(mono: u64, wall: u64) -> Now {
    Now::both(Instant::from_micros(mono * 1_000), Wall::from_micros(wall * 1_000))
}

/// A moment on a board, which has no civil clock.
fn board(millis: u64) -> Now {
    Now::mono(millis * 1_000)
}

// restatedev/restate#4109: a clock that stands still while 2^22 stamps are made is an assertion.
#[test]
fn a_counter_that_overflows_borrows_from_later_milliseconds_and_then_refuses() {
    let mut clock = Clock::new(Config { max_offset: Span::millis(1), reserve: None });
    let mut last = Stamp::ZERO;
    for _ in 0..2 << 16 {
        let stamp = clock.stamp(at(7)).unwrap();
        assert!(stamp > last);
        last = stamp;
    }
    assert_eq!((last.millis(), last.counter()), (8, 0xffff));
    assert_eq!(clock.stamp(at(7)), Err(Error::Exhausted));
    assert_eq!(clock.stamp(at(8)), Ok(Stamp::at_millis(9)));
}

// cockroachdb/cockroach#7326, yugabyte/yugabyte-db#10628: "too far ahead, updating anyway".
#[test]
fn a_stamp_too_far_ahead_is_refused_and_does_not_move_the_clock() {
    let mut clock = clock();
    clock.stamp(at(1_000)).unwrap();
    let before = clock.clone();
    let by = Span::millis(OFFSET + 1);
    let ahead = Stamp::at_millis(1_000 + OFFSET + 1);
    assert_eq!(clock.observe(at(1_000), ahead), Err(Error::TooFarAhead { by }));
    assert_eq!(clock, before);
    let furthest = Stamp::at_millis(1_000 + OFFSET);
    assert_eq!(clock.observe(at(1_000), furthest), Ok(()));
    assert_eq!(clock.stamp(at(1_000)), Ok(furthest.next().unwrap()));
}

// The bound is against civil time: a peer that is always a little ahead pulls nobody along.
#[test]
fn stamps_that_are_each_just_acceptable_do_not_ratchet_the_clock() {
    let mut clock = clock();
    for _ in 0..100 {
        let ahead = clock.last().after(Span::millis(OFFSET / 2));
        let _ = clock.observe(at(5_000), ahead.max(Stamp::at_millis(5_000)));
    }
    assert!(clock.ahead_by(at(5_000)).unwrap() <= Span::millis(OFFSET));
    assert_eq!(clock.ahead_by(at(4_000)), Some(Span::millis(OFFSET + 1_000)));
}

// Kulkarni et al., OPODIS 2014, section 3: the logical part keeps order while the clock is behind.
#[test]
fn a_wall_clock_that_steps_back_a_little_is_counted_over_and_a_lot_is_an_error() {
    let mut clock = clock();
    let first = clock.stamp(at(10_000)).unwrap();
    let second = clock.stamp(both(10_001, 10_000 - OFFSET)).unwrap();
    assert_eq!(Some(second), first.next());
    let by = Span::millis(OFFSET + 1);
    let late = both(10_002, 10_000 - OFFSET - 1);
    assert_eq!(clock.stamp(late), Err(Error::SteppedBack { by }));
    assert!(clock.stamp(at(10_003)).unwrap() > second);
}

// cockroachdb/cockroach#7996, #23744: a node restarts with its clock set back and repeats stamps.
#[test]
fn stamps_rise_across_a_restart_though_the_clock_was_set_back() {
    let config = Config { reserve: Some(Span::millis(200)), ..Config::default() };
    let mut clock = Clock::new(config);
    assert_eq!(clock.stamp(at(9_000)), Err(Error::BoundNotDurable));
    let bound = clock.reserve(at(9_000)).unwrap();
    clock.durable(bound);
    let last = clock.stamp(at(9_200)).unwrap();
    assert!(last <= bound);
    let mut clock = Clock::recover(config, bound);
    assert_eq!(clock.stamp(at(9_100)), Err(Error::BoundNotDurable));
    clock.durable(clock.reserve(at(9_100)).unwrap());
    assert!(clock.stamp(at(9_100)).unwrap() > last);
}

// cockroachdb/cockroach#139120: the bound was persisted once, and its updater never ran again.
#[test]
fn a_clock_stops_at_its_durable_bound_until_the_next_is_durable() {
    let mut clock = Clock::new(Config { reserve: Some(Span::millis(200)), ..Config::default() });
    let bound = clock.reserve(at(1_000)).unwrap();
    clock.durable(bound);
    assert_eq!(clock.reserve(at(1_050)), None, "enough is left");
    assert_eq!(clock.reserve(at(1_100)), None, "half is left");
    assert!(clock.reserve(at(1_150)).is_some(), "half is used up");
    clock.durable(Stamp::at_millis(500));
    assert!(clock.stamp(at(1_200)).is_ok(), "a late write lowers nothing");
    assert_eq!(clock.stamp(at(1_201)), Err(Error::BoundNotDurable));
    clock.durable(clock.reserve(at(1_201)).unwrap());
    assert_eq!(clock.stamp(at(1_201)), Ok(Stamp::at_millis(1_201)));
}

// cockroachdb/cockroach#74909: clocks were 8 h ahead; set right, the cluster could not boot.
#[test]
fn what_is_agreed_on_is_never_refused_and_the_error_says_how_far_behind_the_clock_is() {
    let mut clock = clock();
    let agreed = Stamp::at_millis(8 * 3_600_000);
    clock.raise(agreed);
    assert_eq!(clock.last(), agreed);
    let by = Span::millis(8 * 3_600_000 - 60_000);
    assert_eq!(clock.stamp(at(60_000)), Err(Error::SteppedBack { by }));
    assert_eq!(clock.stamp(at(agreed.millis())), Ok(agreed.next().unwrap()));
}

// Two hlc libraries (hlclock for Elixir #22, jlongster's JavaScript clock #2) refused old stamps.
#[test]
fn a_stamp_of_long_ago_is_no_drift() {
    let mut clock = clock();
    clock.stamp(at(1_000_000)).unwrap();
    let before = clock.clone();
    assert_eq!(clock.observe(at(1_000_000), Stamp::at_millis(1)), Ok(()));
    assert_eq!(clock, before);
}

// uhlc's clock without std reads zero, and so takes every real stamp for one from the far future.
#[test]
fn a_node_without_a_clock_has_no_time_until_it_hears_one_and_then_goes_on_by_itself() {
    let mut clock = clock();
    assert_eq!(clock.stamp(board(5)), Err(Error::NoTime));
    assert_eq!(clock.ahead_by(board(5)), None);
    clock.observe(board(5), Stamp::at_millis(1_700_000_000_000)).unwrap();
    assert_eq!(clock.stamp(board(1_005)), Ok(Stamp::at_millis(1_700_000_001_000)));
    clock.observe(board(1_005), Stamp::at_millis(3)).unwrap();
    assert_eq!(clock.stamp(board(2_005)), Ok(Stamp::at_millis(1_700_000_002_000)));
}

// Whatever is said more often than once a millisecond would stop its clock.
#[test]
fn a_node_without_a_clock_is_not_slowed_by_what_it_knows() {
    let (mut clock, heard) = (clock(), Stamp::at_millis(5_000));
    for micros in [0, 999] {
        clock.observe(Now::mono(micros), heard).unwrap();
    }
    assert_eq!(clock.stamp(Now::mono(1_000)), Ok(Stamp::at_millis(5_001)));
}

// What a board hears first may be an entry of yesterday: its clock would never reach today's, and a
// crystal that loses a millisecond in a second gets there in a quiet quarter of an hour.
#[test]
fn a_node_without_a_clock_that_reads_an_old_log_still_takes_what_is_new() {
    let mut clock = clock();
    let (yesterday, today) = (Stamp::at_millis(1_000), Stamp::at_millis(86_401_000));
    clock.observe(board(0), yesterday).unwrap();
    assert_eq!(clock.observe(board(1), today), Ok(()));
    assert_eq!(clock.stamp(board(1)), Ok(today.next().unwrap()));
}

// uhlc's `From<Duration>` asserts in the year 2106; a clock chip without a battery shows 1970.
#[test]
fn stamps_saturate_at_both_ends_of_time_and_nothing_panics() {
    assert_eq!(clock().stamp(at(0)), Ok(Stamp::ZERO.next().unwrap()));
    assert_eq!(Stamp::at_millis(u64::MAX), Stamp::MAX);
    assert_eq!(Stamp::MAX.next(), None);
    assert_eq!(Stamp::MAX.after(Span::micros(u64::MAX)), Stamp::MAX);
    assert_eq!(Stamp::ZERO.since(Stamp::MAX), Span::ZERO);
    let end = Now::both(Instant::from_micros(u64::MAX), Wall::from_micros(u64::MAX));
    let mut clock = clock();
    assert_eq!(clock.observe(end, Stamp::MAX), Ok(()));
    assert_eq!(clock.stamp(end), Err(Error::Exhausted));
}

// A batch is all or nothing: half of it past the bound must not have been made.
#[test]
fn several_stamps_in_a_row_are_made_together_or_not_at_all() {
    let mut clock = clock();
    let first = clock.stamps(at(100), 3).unwrap();
    assert_eq!((first, clock.last()), (Stamp::at_millis(100), first.plus(2)));
    let before = clock.clone();
    let more_than_fit = (OFFSET + 1) << 16;
    assert_eq!(clock.stamps(at(100), more_than_fit), Err(Error::Exhausted));
    assert_eq!(clock.stamps(at(100), u64::MAX), Err(Error::Exhausted));
    assert_eq!(clock, before);
    assert_eq!(clock.stamps(at(100), more_than_fit - 3), Ok(first.plus(3)));
    assert_eq!(clock.last().plus(1).millis(), 100 + OFFSET + 1);
}

// A bare stamp is no name: only with its node is it unique.
#[test]
fn two_nodes_may_make_the_same_stamp() {
    assert_eq!(clock().stamp(at(77)), clock().stamp(at(77)));
}

/// A node, its civil clock's error, and what it has seen.
struct Node {
    clock: Clock,
    error: i64,
    seen: Stamp,
    durable: Stamp,
}

#[test]
fn whatever_happens_stamps_rise_stay_near_civil_time_and_below_the_bound() {
    let config = Config { reserve: Some(Span::millis(100)), ..Config::default() };
    let mut made = 0;
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let mut nodes = [0; 3].map(|_| Node {
            clock: Clock::new(config),
            error: 0,
            seen: Stamp::ZERO,
            durable: Stamp::ZERO,
        });
        let (mut time, mut on_the_wire) = (100_000_i64, Stamp::ZERO);
        for _ in 0..2_000 {
            time += i64::try_from(rng.below(4)).unwrap();
            let node = &mut nodes[usize::try_from(rng.below(3)).unwrap()];
            let now = at(u64::try_from(time + node.error).unwrap());
            let civil = Stamp::at_millis(now.wall.unwrap().as_millis());
            match rng.below(10) {
                0 => node.error = i64::try_from(rng.below(2 * OFFSET)).unwrap() - 250,
                1 => {
                    node.clock = Clock::recover(config, node.durable);
                    // What others had told is forgotten; what was made is not.
                    node.seen = node.seen.min(node.durable);
                }
                2..=4 => {
                    if let Some(bound) = node.clock.reserve(now) {
                        node.durable = node.durable.max(bound);
                        node.clock.durable(bound);
                    }
                }
                5 | 6 => {
                    let taken = node.clock.observe(now, on_the_wire).is_ok();
                    assert_eq!(taken, on_the_wire.millis() <= civil.millis() + OFFSET);
                    node.seen = if taken { node.seen.max(on_the_wire) } else { node.seen };
                }
                _ => {
                    if let Ok(stamp) = node.clock.stamp(now) {
                        assert!(stamp > node.seen && stamp >= civil, "seed {seed}");
                        assert!(stamp.millis() <= civil.millis() + OFFSET, "seed {seed}");
                        assert!(stamp <= node.durable, "seed {seed}");
                        (node.seen, on_the_wire) = (stamp, stamp);
                        made += 1;
                    }
                }
            }
        }
    }
    assert!(made > 2_000, "only {made} stamps");
}
