//! Byzantine groups: what is ordered, whatever one of four does.

use crate::council::*;

#[test]
fn what_clients_ask_for_is_executed_by_all_in_one_order() {
    let mut c = group(4);
    request(&mut c, 1..=5);
    c.settle();
    for slot in 0..4 {
        assert_eq!(c.executed(slot), payloads(1..=5), "{slot}: {}", c.story());
    }
}

#[test]
fn checkpoints_move_the_window() {
    let mut c = group(4);
    request(&mut c, 1..=100);
    c.settle();
    c.pass(Span::secs(1));
    for slot in 0..4 {
        assert_eq!(c.executed(slot).len(), 100, "{slot}: {}", c.story());
        assert_eq!(c.machine(slot).machine.stable().checkpoint.index, Index::new(96));
    }
}

#[test]
fn a_silent_primary_is_replaced() {
    let mut c = group(4);
    request(&mut c, 1..=3);
    c.settle();
    c.crash(Slot::new(0), 0);
    request(&mut c, 4..=6);
    c.pass(Span::secs(5));
    for slot in 1..4 {
        assert_eq!(c.executed(slot), payloads(1..=6), "{slot}: {}", c.story());
        assert_eq!(c.machine(slot).machine.view(), View::new(1));
    }
    c.start(Slot::new(0));
    c.pass(Span::secs(3));
    assert_eq!(c.executed(0), payloads(1..=6), "{}", c.story());
}

#[test]
fn everybody_restarts_and_goes_on() {
    let mut c = group(4);
    request(&mut c, 1..=20);
    c.settle();
    (0..4).for_each(|slot| c.restart(slot));
    request(&mut c, 21..=30);
    c.pass(Span::secs(5));
    for slot in 0..4 {
        assert_eq!(c.executed(slot), payloads(1..=30), "{slot}: {}", c.story());
    }
}
