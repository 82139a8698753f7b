//! What a primary may do to the others, and what it may not: scenarios 9 to 20 of the field.
//!
//! 15, a primary that is slow and not dead, is served as long as each request is executed within its
//! time: nothing measures throughput, and views do not change by themselves.

use crate::council::*;

/// A member of four that has left for a view of which it is the primary, or is to follow one.
fn awaits(me: u8, view: u64) -> Alone {
    let mut c = Alone::new(4, me);
    for from in [2, 3] {
        let change = change(view, []);
        let _ = c.tell(Input::ViewChange(Verified::attest(Slot::new(from), &change)));
    }
    assert_eq!(c.machine.view(), View::new(view));
    c
}

/// It hears what a view begins with.
fn begins(c: &mut Alone, view: u64, changes: &[(Slot, ViewChange)]) {
    let view = View::new(view);
    let from = c.machine.primary_of(view);
    let _ = c.tell(Input::NewView(Verified::attest(from, NewView { view, changes })));
}

/// It hears a view begin with nothing.
fn begins_empty(c: &mut Alone, view: u64) {
    let changes = [1, 2, 3].map(|it| (Slot::new(it), change(view, [])));
    begins(c, view, &changes);
    assert!(c.machine.is_active());
}

// commonware monorepo#2075, tempo#1579: an equivocating leader made voters panic.
#[test]
fn a_primary_that_proposes_two_values_is_accused_with_both_and_left() {
    let mut c = Alone::new(4, 1);
    let (one, other) = (c.value(1), c.value(2));
    c.votes([0], Phase::Prepare, 0, 1, one);
    c.votes([0], Phase::Prepare, 0, 1, other);
    let vote =
        |value| Vote { phase: Phase::Prepare, view: View::ZERO, index: Index::new(1), value };
    let proof = Evidence::Votes { by: Slot::new(0), first: vote(one), second: vote(other) };
    assert_eq!(c.evidence(), [proof]);
    assert!(proof.is_sound());
    assert_eq!((c.machine.view(), c.machine.is_active()), (View::new(1), false));
    assert!(c.voted().iter().all(|it| it.value == one), "the first one counts");
}

// ava-labs/Simplex#37: whoever was told the losing value was stuck for ever.
#[test]
fn whoever_was_told_the_losing_value_gets_the_winning_one() {
    let mut c = group(4);
    c.crash(Slot::new(0), 0);
    let (winning, losing) = (value(&c, 1), value(&c, 2));
    for phase in [Phase::Prepare, Phase::Commit] {
        c.lie(0, members([1, 2]), vote(phase, 0, 1, winning));
    }
    c.lie(0, members([3]), vote(Phase::Prepare, 0, 1, losing));
    c.settle();
    assert_eq!(c.executed(1), payloads([1]), "{}", c.story());
    assert_eq!(c.executed(3), [], "{}", c.story());
    request(&mut c, [3]);
    c.pass(Span::secs(20));
    for slot in 1..4 {
        assert_eq!(c.executed(slot), payloads([1, 3]), "{slot}: {}", c.story());
    }
}

// The same without a new view: those who are sure suffice, whatever was proposed here.
#[test]
fn a_quorum_that_is_sure_of_another_value_decides_it_here_too() {
    let mut c = Alone::new(4, 1);
    let (winning, losing) = (c.value(1), c.value(2));
    c.votes([0], Phase::Prepare, 0, 1, losing);
    c.votes([2, 3, 0], Phase::Commit, 0, 1, winning);
    assert_eq!(c.decided(), [(1, winning)]);
}

// sawtooth-pbft, raijin#8, dedis/cothority#2080 (a real fork): the view change carried nothing.
#[test]
fn what_one_member_knows_to_be_decided_survives_the_primary() {
    let mut c = group(4);
    // Nobody else would propose them again.
    for number in [1, 2] {
        c.ask(0, Ask::Request(payload(number))).expect("there is room");
    }
    let is_sure = |what: &What| {
        matches!(what, What::Message(Message::Vote(Vote { phase: Phase::Commit, .. }), _))
    };
    while !c.flights.is_empty() {
        c.deliver_at(0);
        // That the others are sure only n1 hears.
        c.flights.retain(|it| it.to == Slot::new(1) || !is_sure(&it.packet.what));
    }
    assert_eq!((c.executed(1), c.executed(2)), (payloads([1, 2]), vec![]), "{}", c.story());
    c.crash(Slot::new(0), 0);
    c.crash(Slot::new(1), 0);
    for slot in [2, 3] {
        c.ask(slot, Ask::Suspect(Slot::new(0))).expect("it may be doubted");
    }
    c.start(Slot::new(0));
    request(&mut c, [9]);
    c.pass(Span::secs(10));
    for slot in [0, 2, 3] {
        assert_eq!(c.executed(slot), payloads([1, 2, 9]), "{slot}: {}", c.story());
    }
}

// bcos-pbft FIB-124: the pre-prepares of a new view were believed. Here there are none to believe.
#[test]
fn a_view_begins_with_the_newest_value_of_each_position_and_with_nothing_between() {
    let mut c = awaits(0, 3);
    let (old, new) = (c.value(1), c.value(2));
    let changes = [
        (Slot::new(1), change(3, [prepared(0, 1, old, [0, 1, 2]), prepared(0, 3, old, [0, 1, 2])])),
        (Slot::new(2), change(3, [prepared(2, 1, new, [1, 2, 3])])),
        (Slot::new(3), change(3, [prepared(1, 1, old, [0, 1, 2])])),
    ];
    begins(&mut c, 3, &changes);
    let _ = c.tell(Input::Available(new.digest));
    let _ = c.tell(Input::Available(old.digest));
    let voted: Vec<Value> = c.voted().iter().map(|it| it.value).collect();
    assert_eq!(voted, [new, Value::NULL, old]);
}

// bcos-pbft FIB-124; sawtooth-pbft: the primary proposed something else where something was prepared.
#[test]
fn a_primary_proposes_nothing_where_its_view_has_begun_with_something() {
    let mut c = awaits(0, 1);
    let (true_one, other) = (c.value(1), c.value(2));
    let changes = [
        (Slot::new(1), change(1, [])),
        (Slot::new(2), change(1, [prepared(0, 1, true_one, [0, 2, 3])])),
        (Slot::new(3), change(1, [])),
    ];
    begins(&mut c, 1, &changes);
    c.votes([1, 2, 3], Phase::Prepare, 1, 1, other);
    assert_eq!(c.voted(), [], "and no quorum of liars makes it prepared");
    let _ = c.tell(Input::Available(true_one.digest));
    assert_eq!(c.voted().iter().map(|it| it.value).collect::<Vec<_>>(), [true_one]);
}

// concord-bft#50: a forged certificate in one view change made the primary pass over the true ones.
#[test]
fn a_forged_claim_does_not_stand_before_a_true_one() {
    let mut c = awaits(0, 3);
    let (true_one, forged) = (c.value(1), c.value(2));
    let claim = prepared(0, 1, true_one, [0, 1, 2]);
    for signers in [members([]), members([3]), members([2, 3]), members([3, 8, 9])] {
        let lie = Prepared { signers, ..prepared(2, 1, forged, []) };
        let changes = [(1, claim), (2, claim), (3, lie)];
        let changes = changes.map(|(it, claim)| (Slot::new(it), change(3, [claim])));
        begins(&mut c, 3, &changes);
        assert_eq!(c.ignored(), Some(Ignored::Malformed));
        let alone = Verified::attest(Slot::new(3), &changes[2].1);
        let mut d = awaits(1, 1);
        let _ = d.tell(Input::ViewChange(alone));
        assert_eq!(d.ignored(), Some(Ignored::Malformed));
    }
    assert!(!c.machine.is_active());
}

// The same by a true certificate under a false label: votes of view 0 are not shown as those of view 2.
#[test]
fn an_old_certificate_is_not_passed_off_as_a_newer_one() {
    let mut c = group(4);
    request(&mut c, [1]);
    c.settle();
    let book = c.setup.book.clone();
    let value = c.machine(1).executed[0];
    let of_view = |view| change(5, [prepared(view, 1, value, [0, 1, 2])]);
    assert!(book.bears_out_all(&of_view(0)));
    assert!(!book.bears_out_all(&of_view(4)));
}

// bft-smart PR#121: collects of old regencies were mixed to leave the new leader unbound.
#[test]
fn a_view_begins_with_view_changes_for_itself_of_a_quorum_and_by_its_own_primary() {
    let mut c = awaits(0, 2);
    let of = |views: [u64; 3]| {
        let all = [1, 2, 3].into_iter().zip(views);
        all.map(|(it, view)| (Slot::new(it), change(view, []))).collect::<Vec<_>>()
    };
    for views in [[1, 2, 2], [2, 2, 3], [1, 1, 1]] {
        begins(&mut c, 2, &of(views));
        assert_eq!(c.ignored(), Some(Ignored::Malformed), "{views:?}");
    }
    begins(&mut c, 2, &of([2, 2, 2])[..2]);
    assert_eq!(c.ignored(), Some(Ignored::Malformed), "two of four");
    let changes = of([2, 2, 2]);
    let by_another = NewView { view: View::new(2), changes: &changes };
    let _ = c.tell(Input::NewView(Verified::attest(Slot::new(3), by_another)));
    assert_eq!(c.ignored(), Some(Ignored::Stranger));
    assert!(!c.machine.is_active());
    begins(&mut c, 2, &changes);
    assert!(c.machine.is_active());
}

// Aardvark: a timer for progress does not see a primary that leaves out one client.
#[test]
fn a_primary_that_serves_all_but_one_client_is_left_for_that_one() {
    let mut c = group(4);
    c.setup.proposes = false;
    c.crash(Slot::new(0), 0);
    (1..4).for_each(|slot| c.ask(slot, Ask::Request(payload(99))).expect("there is room"));
    for index in 1..=11 {
        let value = value(&c, index);
        for phase in [Phase::Prepare, Phase::Commit] {
            c.lie(0, members([1, 2, 3]), vote(phase, 0, index, value));
        }
        c.pass(Span::millis(250));
    }
    assert!(c.machine(1).machine.view() > View::ZERO, "{}", c.story());
    c.pass(Span::secs(5));
    assert!(c.executed(1).contains(&payload(99)), "{}", c.story());
}

// Castro and Liskov: a primary that uses up the window leaves nothing for the next one.
#[test]
fn a_primary_that_leaves_out_positions_gets_no_vote_above_them() {
    let mut c = Alone::new(4, 1);
    let value = c.value(1);
    c.votes([0], Phase::Prepare, 0, 16, value);
    c.votes([0], Phase::Prepare, 0, 2, value);
    assert_eq!(c.voted(), []);
    let before = c.machine.clone();
    for index in [17, 1_000, u64::MAX] {
        c.votes([0, 2, 3], Phase::Prepare, 0, index, value);
        assert_eq!(c.ignored(), Some(Ignored::NoRoom));
    }
    assert_eq!(c.machine, before, "above the window nothing takes room");
}

// The window of a correct primary ends as well, and the host is told.
#[test]
fn a_primary_proposes_no_further_than_the_window() {
    let mut c = Alone::new(4, 0);
    for number in 1..=16 {
        c.tell(Input::Propose(c.value(number))).expect("it is within");
    }
    let refused = c.tell(Input::Propose(c.value(17)));
    assert_eq!(refused, Err(Refused::Full(quorate::limits::Limit::Slots)));
}

// hyperledger/fabric#1119: a proposal came before the checkpoint that makes room for it, and was lost.
#[test]
fn a_proposal_that_came_before_its_window_comes_again() {
    let mut c = group(4);
    request(&mut c, 1..=7);
    c.settle();
    c.part(&[3], &[0, 1, 2]);
    request(&mut c, 8..=24);
    c.settle();
    c.heal();
    let views: Vec<_> = (0..4).map(|slot| c.machine(slot).machine.view()).collect();
    c.pass(Span::millis(900));
    assert_eq!(c.executed(3), payloads(1..=24), "{}", c.story());
    assert_eq!(views, [View::ZERO; 4], "and nobody has left the view for it");
}

// A digest was ordered whose payload nobody had: all were stuck.
#[test]
fn nobody_votes_for_a_payload_that_is_not_here() {
    let mut c = Alone::new(4, 1);
    let value = c.value(1);
    let vote = Vote { phase: Phase::Prepare, view: View::ZERO, index: Index::new(1), value };
    let proposal = Verified::attest(Slot::new(0), Message::Vote(vote));
    let _ = c.tell(Input::Message { message: proposal, is_here: false });
    assert_eq!(c.voted(), []);
    let wanted = |c: &Alone| c.said.iter().filter(|it| matches!(it, Output::Want { .. })).count();
    assert_eq!(wanted(&c), 1, "it asks for it");
    c.pass(Span::millis(500));
    assert!(wanted(&c) > 1, "and again: the answer may have been lost");
    let _ = c.tell(Input::Available(value.digest));
    assert_eq!(c.voted(), [vote]);
}

// sawtooth-pbft and others: the gap was left, or filled with what has the digest of a real payload.
#[test]
fn nothing_is_ordered_only_where_a_view_has_begun_so() {
    let mut c = Alone::new(4, 1);
    let dressed = Value { stamp: c.value(1).stamp, ..Value::NULL };
    for nothing in [Value::NULL, dressed] {
        c.votes([0, 2, 3], Phase::Prepare, 0, 1, nothing);
        c.votes([0, 2, 3], Phase::Commit, 0, 1, nothing);
        assert_eq!(c.ignored(), Some(Ignored::Malformed));
        let mut primary = Alone::new(4, 0);
        assert_eq!(primary.tell(Input::Propose(nothing)), Err(Refused::Meaningless));
    }
    assert_eq!((c.voted(), c.decided()), (vec![], vec![]));
}

// The gap below what was prepared is executed as nothing, by all.
#[test]
fn a_gap_that_a_primary_has_left_is_executed_as_nothing() {
    let mut c = awaits(0, 1);
    let value = c.value(1);
    let changes =
        [1, 2, 3].map(|it| (Slot::new(it), change(1, [prepared(0, 2, value, [0, 2, 3])])));
    begins(&mut c, 1, &changes);
    let _ = c.tell(Input::Available(value.digest));
    for (index, value) in [(1, Value::NULL), (2, value)] {
        c.votes([1, 2, 3], Phase::Prepare, 1, index, value);
        c.votes([1, 2, 3], Phase::Commit, 1, index, value);
    }
    assert_eq!(c.decided(), [(1, Value::NULL), (2, value)]);
}

// A primary that chooses the time at which things take effect.
#[test]
fn a_stamp_that_no_clock_allows_gets_no_vote() {
    let fresh = || Alone::new(4, 1);
    let now = fresh().value(0).stamp;
    for (millis, is_allowed) in [(0, true), (250, true), (252, false), (1 << 40, false)] {
        let mut c = fresh();
        let value = Value { digest: payload(1), stamp: Stamp::at_millis(TODAY + millis).plus(1) };
        c.votes([0], Phase::Prepare, 0, 1, value);
        assert_eq!(!c.voted().is_empty(), is_allowed, "{millis} ms ahead");
    }
    for (millis, is_allowed) in [(1_000, true), (1_240, true), (1_300, false)] {
        let mut c = fresh();
        let value = Value { digest: payload(1), stamp: Stamp::at_millis(TODAY - millis) };
        c.votes([0], Phase::Prepare, 0, 1, value);
        assert_eq!(!c.voted().is_empty(), is_allowed, "{millis} ms behind");
    }
    let mut c = fresh();
    for (index, stamp) in [(1, now.plus(5)), (2, now.plus(5))] {
        c.votes([0], Phase::Prepare, 0, index, Value { digest: payload(index), stamp });
    }
    assert_eq!(c.voted().len(), 1, "time does not stand still either");
}

// A liar's stamp, that its own view has never decided, kept the next primary's from being voted for.
#[test]
fn a_stamp_of_a_view_that_came_to_nothing_binds_nobody() {
    let mut c = Alone::new(4, 0);
    let mut d = Alone::new(4, 2);
    let ahead = Value { digest: payload(1), stamp: Stamp::at_millis(TODAY + 200) };
    d.votes([0], Phase::Prepare, 0, 1, ahead);
    assert_eq!(d.voted().len(), 1);
    for c in [&mut c, &mut d] {
        begins_empty(c, 1);
        let value = c.value(2);
        c.votes([1], Phase::Prepare, 1, 1, value);
        assert_eq!(c.voted().last().map(|it| it.value), Some(value));
    }
}

// And what a view begins with binds its primary, whether it has voted for that before or not.
#[test]
fn a_primary_stamps_above_what_its_view_begins_with() {
    let mut c = Alone::new(4, 1);
    let ahead = Value { digest: payload(1), stamp: Stamp::at_millis(TODAY + 200) };
    for from in [0, 2, 3] {
        let claim = prepared(0, 1, ahead, [0, 2, 3]);
        let _ = c.tell(Input::ViewChange(Verified::attest(Slot::new(from), &change(1, [claim]))));
    }
    assert!(c.machine.leads());
    assert_eq!(c.tell(Input::Propose(c.value(2))), Err(Refused::Meaningless));
    let above = Value { digest: payload(2), stamp: ahead.stamp.plus(1) };
    assert_eq!(c.tell(Input::Propose(above)), Ok(()));
}

// bcos-pbft FIB-129, FIB-131: each invalid proposal had effects before it was found out.
#[test]
fn a_storm_of_senseless_proposals_changes_nothing() {
    let mut c = Alone::new(4, 1);
    c.votes([0], Phase::Prepare, 0, 1, c.value(1));
    let before = c.machine.clone();
    for round in 0..1_000 {
        let value = c.value(round);
        c.votes([0], Phase::Prepare, 0, 1, before_value(&c));
        c.votes([0], Phase::Prepare, 0, 2, Value::NULL);
        c.votes([0], Phase::Prepare, 0, 0, value);
        c.votes([0], Phase::Prepare, 0, 17 + round, value);
        c.votes([0], Phase::Prepare, 1 + round, 2, value);
    }
    assert_eq!(c.machine, before);
}

/// What the primary has proposed first.
fn before_value(c: &Alone) -> Value {
    c.voted()[0].value
}
