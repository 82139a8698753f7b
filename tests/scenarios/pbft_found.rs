//! Byzantine groups: what the simulator of liars has found.

use crate::council::*;

#[test]
fn whoever_stands_in_the_proof_of_a_checkpoint_has_said_so() {
    let mut c = group(4);
    c.cut_one_way(1, 3);
    c.disk_is_fast(3, false);
    request(&mut c, 1..=8);
    c.settle();
    // The last to get there completes a quorum with its own.
    c.disk_is_fast(3, true);
    c.settle();
    let stable = c.machine(3).machine.stable();
    assert_eq!(stable.checkpoint.index, Index::new(8), "{}", c.story());
    assert!(stable.signers.contains(Slot::new(3)), "{stable:?}");
    assert!(c.setup.book.bears_out(&stable), "{stable:?}\n{}", c.story());
}

#[test]
fn a_primary_begins_no_view_before_it_has_left_the_last_one_for_good() {
    let mut c = group(4);
    request(&mut c, 1..=3);
    c.settle();
    c.disk_is_fast(1, false);
    for slot in [2, 3] {
        let _ = c.ask(slot, Ask::Request(payload(4)));
        let _ = c.ask(slot, Ask::Suspect(Slot::new(0)));
    }
    c.settle();
    // It holds the view changes of a quorum without its own: those it would begin with, and not send.
    let machine = &c.machine(1).machine;
    assert!(machine.view() == View::new(1) && !machine.is_active(), "{}", c.story());
    c.disk_is_fast(1, true);
    c.settle();
    let began_with = c.machine(1).began_with().map(|it| it.1.iter().map(|it| it.0).collect());
    assert_eq!(began_with, Some(members([0, 1, 2])), "{}", c.story());
    assert!(c.machine(3).machine.is_active());
    c.pass(Span::secs(3));
    assert_eq!(c.executed(3), payloads(1..=4), "{}", c.story());
}
