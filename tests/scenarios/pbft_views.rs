//! From one view to the next: scenarios 21 to 30 and 47 of the field.
//!
//! 31: nothing is read without being ordered here; who reads otherwise does so above this machine.

use crate::council::*;

/// A member hears that these have left for a view.
fn leave(c: &mut Alone, from: impl IntoIterator<Item = u8>, view: u64) {
    for from in from {
        let change = change(view, []);
        let _ = c.tell(Input::ViewChange(Verified::attest(Slot::new(from), &change)));
    }
}

/// It hears a view begin with nothing.
fn begin(c: &mut Alone, view: u64) {
    let changes = [1, 2, 3].map(|it| (Slot::new(it), change(view, [])));
    let from = c.machine.primary_of(View::new(view));
    let new_view = NewView { view: View::new(view), changes: &changes };
    let _ = c.tell(Input::NewView(Verified::attest(from, new_view)));
}

fn view(c: &Alone) -> u64 {
    c.machine.view().number()
}

// raijin#18: views went 5, 2, 1, by old view changes that were sent again.
#[test]
fn no_old_word_moves_a_member_back() {
    let mut c = Alone::new(4, 0);
    leave(&mut c, [1, 2], 5);
    assert_eq!(view(&c), 5);
    leave(&mut c, [1, 2, 3], 2);
    begin(&mut c, 3);
    assert_eq!((view(&c), c.machine.is_active()), (5, false));
    begin(&mut c, 5);
    leave(&mut c, [1, 2, 3], 4);
    begin(&mut c, 4);
    assert_eq!((view(&c), c.machine.is_active()), (5, true));
}

// FISCO-BCOS#2211, #2312: one view change for view 2^60 took everyone along, or overflowed.
#[test]
fn a_liar_that_wants_a_view_far_away_drags_nobody() {
    let mut c = Alone::new(4, 0);
    leave(&mut c, [3], u64::MAX);
    assert_eq!(view(&c), 0, "one may be a liar");
    leave(&mut c, [1], 1);
    assert_eq!(view(&c), 1, "the lowest that a correct member wants");
    assert_eq!(c.machine.primary_of(View::new(u64::MAX)), Slot::new(3));

    let mut c = Alone::new(7, 0);
    leave(&mut c, [5, 6], 1 << 60);
    leave(&mut c, [1], 7);
    assert_eq!(view(&c), 7, "of seven two may be liars");
}

// narwhal#3, asonnino/hotstuff: votes and timeouts for arbitrary rounds took memory without end.
#[test]
fn a_liar_that_leaves_view_after_view_takes_one_place() {
    let mut once = Alone::new(4, 0);
    let mut often = once.clone();
    (1..=1_000).for_each(|view| leave(&mut often, [3], view));
    leave(&mut once, [3], 1_000);
    assert_eq!(once.machine, often.machine);
}

// malachite `bounded_queue.rs`: messages of later heights were kept, unbounded and unverified.
#[test]
fn what_is_said_of_views_to_come_takes_no_room() {
    let mut c = Alone::new(4, 0);
    leave(&mut c, [3], 7);
    let before = c.machine.clone();
    for later in 1..1_000 {
        let value = c.value(later);
        c.votes([1, 2, 3], Phase::Prepare, later, 1, value);
        c.votes([1, 2, 3], Phase::Commit, later, 1, value);
    }
    assert_eq!(c.machine, before);
}

// bcos-pbft FIB-133: a proposal of a later view was taken in the present one.
#[test]
fn a_proposal_of_a_later_view_is_not_taken_in_this_one() {
    let mut c = Alone::new(4, 2);
    let value = c.value(1);
    c.votes([1], Phase::Prepare, 1, 1, value);
    c.votes([1], Phase::Prepare, 0, 1, value);
    assert_eq!(c.voted(), [], "n1 is the primary of view 1, and it is view 0");
    begin(&mut c, 1);
    c.votes([0], Phase::Prepare, 1, 1, value);
    assert_eq!(c.voted(), [], "n0 no longer is");
}

// concord-bft PR#1399, PR#2709; fabric PR#1111: f members held the stable checkpoint, and the others
// came to other ends.
#[test]
fn one_holder_of_a_stable_checkpoint_is_enough_for_the_next_view() {
    let mut c = Alone::new(4, 0);
    let (below, above) = (c.value(1), c.value(2));
    let mut knows = change(1, [prepared(0, 10, above, [0, 1, 2])]);
    knows.stable = stable(8, 1, [0, 1, 2]);
    let lags = change(1, [prepared(0, 3, below, [0, 1, 2])]);
    let changes = [(1, lags.clone()), (2, knows), (3, lags)].map(|(it, of)| (Slot::new(it), of));
    let new_view = NewView { view: View::new(1), changes: &changes };
    let _ = c.tell(Input::NewView(Verified::attest(Slot::new(1), new_view)));
    assert_eq!(c.machine.stable(), stable(8, 1, [0, 1, 2]));
    assert!(c.said.iter().any(|it| matches!(it, Output::Fetch(_))), "it lacks what lies below");
    let _ = c.tell(Input::Available(above.digest));
    let votes: Vec<_> = c.voted().iter().map(|it| (it.index.number(), it.value)).collect();
    assert_eq!(votes, [(9, Value::NULL), (10, above)]);
}

// BFT-SMaRt#51: the timeout never grew; fabric PR#971: it grew for ever.
#[test]
fn each_view_that_comes_to_nothing_doubles_the_wait_and_what_is_decided_ends_that() {
    let mut c = Alone::new(4, 3);
    let mut waits = Vec::new();
    // It is not the primary of any of these.
    for view in [1, 2, 4, 5, 6, 8, 9, 10, 12] {
        leave(&mut c, [0, 1, 2], view);
        let mut waited = Span::ZERO;
        while c.machine.view() == View::new(view) {
            c.pass(Span::millis(500));
            waited = waited.plus(Span::millis(500));
        }
        waits.push(waited.as_millis() / 1_000);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 64, 64]);

    leave(&mut c, [0, 1, 2], 14);
    let changes = [0, 1, 2].map(|it| (Slot::new(it), change(14, [])));
    let new_view = NewView { view: View::new(14), changes: &changes };
    let _ = c.tell(Input::NewView(Verified::attest(Slot::new(2), new_view)));
    let _ = c.tell(Input::Request(payload(9)));
    c.pass(Span::secs(100));
    assert_eq!((view(&c), c.machine.is_active()), (14, true), "that it begins is no progress");
    let value = c.value(1);
    for phase in [Phase::Prepare, Phase::Commit] {
        c.votes([0, 1, 2], phase, 14, 1, value);
    }
    assert_eq!(c.decided().len(), 1);
    c.pass(Span::secs(3));
    assert_eq!((view(&c), c.machine.is_active()), (15, false), "and what is decided is");
}

// Castro and Liskov, section 4.5.2: a view that begins and executes nothing must double the wait too, or
// a network that is slower than the timeout sees views for ever and no request executed.
#[test]
fn a_view_that_begins_and_decides_nothing_doubles_the_wait_as_well() {
    let mut c = Alone::new(4, 0);
    let _ = c.tell(Input::Request(payload(1)));
    let mut waits = Vec::new();
    for next in [2, 3, 5] {
        begin(&mut c, next);
        let mut waited = 0;
        while c.machine.is_active() {
            c.pass(Span::millis(500));
            waited += 500;
        }
        waits.push(waited / 1_000);
    }
    assert_eq!(waits, [2, 4, 8], "twice the wait: the request is forwarded first");
}

// Prime: a primary that has a timeout grow while others are served. What is not this member's own wait
// does not double it.
#[test]
fn a_member_that_follows_the_others_waits_no_longer() {
    let mut c = Alone::new(4, 0);
    (1..=20).filter(|it| it % 4 != 0).for_each(|view| leave(&mut c, [1, 2], view));
    leave(&mut c, [1, 2, 3], 21);
    assert_eq!(view(&c), 21);
    c.pass(Span::millis(1_500));
    assert_eq!(view(&c), 22);
}

// dBFT 2 (neo#792), 0xPolygon PR#82, tendermint#1047: who had sent its commit could not change views.
#[test]
fn who_is_sure_can_leave_and_takes_its_proof_along() {
    let mut c = Alone::new(4, 1);
    let value = c.value(1);
    c.votes([0, 2], Phase::Prepare, 0, 1, value);
    assert_eq!(c.voted().last().map(|it| it.phase), Some(Phase::Commit));
    leave(&mut c, [2, 3], 2);
    let own = c.machine.view_change().expect("it has left");
    assert_eq!(own.claims.iter().copied().collect::<Vec<_>>(), [prepared(0, 1, value, [0, 1, 2])]);
}

// A proof is kept over views in which nothing comes of the position, and the newest one counts.
#[test]
fn a_proof_lasts_until_there_is_a_newer_one() {
    let mut c = Alone::new(4, 0);
    let (old, new) = (c.value(1), c.value(2));
    begin(&mut c, 1);
    c.votes([1, 2], Phase::Prepare, 1, 1, old);
    let claims = |c: &Alone| {
        let own = c.machine.view_change().expect("it has left");
        own.claims.iter().map(|it| (it.view.number(), it.value)).collect::<Vec<_>>()
    };
    leave(&mut c, [2, 3], 2);
    assert_eq!(claims(&c), [(1, old)]);
    begin(&mut c, 2);
    leave(&mut c, [2, 3], 3);
    assert_eq!(claims(&c), [(1, old)]);
    begin(&mut c, 3);
    c.votes([3, 2], Phase::Prepare, 3, 1, new);
    leave(&mut c, [2, 3], 4);
    assert_eq!(claims(&c), [(3, new)]);
}

// concord-bft PR#805: after a restart the view that had been left was entered again.
#[test]
fn who_has_left_a_view_takes_no_part_in_it_after_a_restart_either() {
    let mut c = Alone::new(4, 3);
    let value = c.value(1);
    leave(&mut c, [1, 2], 1);
    let mut d = c.reborn(c.written.len());
    assert_eq!((view(&d), d.machine.is_active()), (1, false));
    d.votes([0, 1, 2], Phase::Prepare, 0, 1, value);
    d.votes([0, 1, 2], Phase::Commit, 0, 1, value);
    assert_eq!((d.voted(), d.decided()), (vec![], vec![]));
}

// A view was entered, but what it began with was lost with the crash: nothing is guessed.
#[test]
fn a_view_entered_in_a_former_life_waits_for_what_it_began_with() {
    let mut c = Alone::new(4, 0);
    begin(&mut c, 1);
    let mut d = c.reborn(c.written.len());
    let value = d.value(1);
    d.votes([1], Phase::Prepare, 1, 1, value);
    assert_eq!((view(&d), d.voted()), (1, vec![]));
    begin(&mut d, 1);
    d.votes([1], Phase::Prepare, 1, 1, value);
    assert_eq!(d.voted().len(), 1);
}

// malachite#997, commonware: who missed the beginning of a view never learned of it.
#[test]
fn who_missed_the_beginning_of_a_view_is_told_by_anyone() {
    let mut c = group(4);
    c.part(&[3], &[0, 1, 2]);
    for slot in 1..3 {
        c.ask(slot, Ask::Request(payload(1))).expect("there is room");
        c.ask(slot, Ask::Suspect(Slot::new(0))).expect("it may be doubted");
    }
    c.settle();
    assert_eq!(c.executed(2), payloads([1]), "{}", c.story());
    assert_eq!(c.machine(3).machine.view(), View::ZERO);
    // The primary of view 1 is not heard any more.
    c.crash(Slot::new(1), 0);
    c.heal();
    c.pass(Span::secs(1));
    let n3 = &c.machine(3).machine;
    assert_eq!((n3.view(), n3.is_active()), (View::new(1), true), "{}", c.story());
    request(&mut c, [2]);
    c.pass(Span::secs(10));
    assert_eq!(c.executed(3), payloads([1, 2]), "{}", c.story());
}

// BFT-SMaRt#19: one member that was cut off and had given up its view stood in the way for ever.
#[test]
fn a_member_alone_in_a_later_view_is_no_harm_and_is_joined_when_it_is_needed() {
    let mut c = group(4);
    c.part(&[3], &[0, 1, 2]);
    c.ask(3, Ask::Request(payload(1))).expect("there is room");
    c.pass(Span::secs(3));
    assert!(c.machine(3).machine.view() > View::ZERO);
    c.heal();
    request(&mut c, 2..=20);
    c.pass(Span::secs(2));
    for slot in 0..3 {
        assert_eq!(c.executed(slot), payloads(2..=20), "{slot}: {}", c.story());
        assert_eq!(c.machine(slot).machine.view(), View::ZERO);
    }
    assert!(c.executed(3).len() >= 16, "it has what is checkpointed: {}", c.story());
    c.crash(Slot::new(0), 0);
    request(&mut c, 21..=24);
    c.pass(Span::secs(20));
    for slot in 1..4 {
        assert_eq!(c.executed(slot).len(), 24, "{slot}: {}", c.story());
    }
}

// The primary counted its own view change when it told of the view, and had not when it began it.
#[test]
fn a_primary_begins_its_view_with_what_it_tells_the_others() {
    let mut c = Alone::new(4, 1);
    let (own, other) = (c.value(1), c.value(2));
    c.votes([0, 2], Phase::Prepare, 0, 1, own);
    c.disk_is_fast = false;
    for (from, claims) in [(0, vec![]), (2, vec![]), (3, vec![prepared(0, 2, other, [0, 2, 3])])] {
        let change = change(1, claims);
        let _ = c.tell(Input::ViewChange(Verified::attest(Slot::new(from), &change)));
    }
    assert!(c.machine.leads());
    let told = quorate::pbft::select(c.machine.chosen().map(|it| &it.1)).expect("a quorum");
    assert_eq!(c.machine.proposed(), told.last());
    let chosen: Vec<_> = c.machine.chosen().cloned().collect();
    leave(&mut c, [0, 2, 3], 1);
    c.persisted();
    assert_eq!(c.machine.chosen().cloned().collect::<Vec<_>>(), chosen);
}

// autonity, tari-ootle: a member that said two things when it left had the later one counted.
#[test]
fn of_two_accounts_of_one_view_the_first_counts() {
    let mut c = Alone::new(4, 0);
    let value = c.value(1);
    let first = change(1, []);
    let second = change(1, [prepared(0, 1, value, [1, 2, 3])]);
    for change in [&first, &second, &first] {
        let _ = c.tell(Input::ViewChange(Verified::attest(Slot::new(3), change)));
    }
    assert_eq!(c.evidence(), [Evidence::ViewChanges { by: Slot::new(3), view: View::new(1) }]);
    assert_eq!(c.machine.accused(), members([3]));
}
