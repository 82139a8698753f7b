//! Byzantine quorums: who is counted, for what, and how often.
//!
//! Scenarios 1 to 8 of the field. There are no weights, so none overflows.

use crate::council::*;
use quorate::codec::{NoRoom, Sink};
use quorate::id::GroupId;
use quorate::limits::MOST;
use quorate::pbft::{ConfigError, Scope, Statement, Tolerance};

/// The least number of `n` members of which any two sets share more than the liars.
fn quorum(n: u8) -> u8 {
    let liars = (n - 1) / 3;
    (1..=n).find(|q| 2 * q > n + liars).expect("all of them")
}

// sawtooth-pbft `state.rs` and 0xPolygon `consensus_pbft.go`: 2f+1 of any number of members; BFT-SMaRt:
// a quorum that is one too small, mended by `>` wherever it is used.
#[test]
fn a_quorum_of_any_number_of_members_prepares_and_decides_and_no_fewer() {
    for n in (3..=13).take_while(|n| usize::from(*n) <= MOST.members) {
        let mut c = Alone::new(n, 1);
        let value = c.value(1);
        // The proposal, and its own vote, are the first two.
        c.votes([0], Phase::Prepare, 0, 1, value);
        for (voters, from) in (2..quorum(n)).zip(2..) {
            assert_eq!(c.voted().len(), 1, "{n}: prepared by {voters}");
            c.votes([from], Phase::Prepare, 0, 1, value);
        }
        assert_eq!(c.voted().len(), 2, "{n}: a quorum is enough");
        for (voters, from) in (1..quorum(n)).zip([0].into_iter().chain(2..)) {
            assert_eq!(c.decided(), [], "{n}: decided by {voters}");
            c.votes([from], Phase::Commit, 0, 1, value);
        }
        assert_eq!(c.decided(), [(1, value)], "{n}: a quorum is enough");
    }
}

// sawtooth-pbft, 0xPolygon/pbft-consensus: five members, and three are a quorum.
#[test]
fn two_sides_of_five_that_share_only_the_liar_decide_nothing() {
    let mut c = group(5);
    c.crash(Slot::new(0), 0);
    c.part(&[1, 2], &[3, 4]);
    for (side, number) in [([1, 2], 1), ([3, 4], 2)] {
        let value = value(&c, number);
        for phase in [Phase::Prepare, Phase::Commit] {
            c.lie(0, members(side), vote(phase, 0, 1, value));
        }
    }
    c.settle();
    let decided = |slot: u8| c.machine(slot).machine.committed();
    assert!((1..5).all(|slot| decided(slot) == Index::ZERO), "{}", c.story());
}

// bcos-pbft `isValidNewViewMsg`; informalsystems/tendermint-rs#282; GHSA-6jrf-4jv4-r9mw.
#[test]
fn a_vote_that_is_said_again_counts_once() {
    let mut c = Alone::new(4, 1);
    let value = c.value(1);
    c.votes([0; 5], Phase::Prepare, 0, 1, value);
    assert_eq!(c.voted().len(), 1, "two of four have voted");
    c.votes([2], Phase::Prepare, 0, 1, value);
    c.votes([2; 5], Phase::Commit, 0, 1, value);
    assert_eq!(c.decided(), [], "two of four are sure");
    c.votes([3], Phase::Commit, 0, 1, value);
    assert_eq!(c.decided(), [(1, value)]);
}

// bcos-pbft `isValidNewViewMsg`: one member's view change, as often as a quorum is large.
#[test]
fn a_view_does_not_begin_with_one_view_change_said_three_times() {
    let mut c = Alone::new(4, 0);
    let begin = |c: &mut Alone, from: [u8; 3]| {
        let changes = from.map(|it| (Slot::new(it), change(1, [])));
        let new_view = NewView { view: View::new(1), changes: &changes };
        c.tell(Input::NewView(Verified::attest(Slot::new(1), new_view))).expect("it may be said");
    };
    for repeated in [[1, 1, 1], [1, 2, 2], [1, 1, 3]] {
        begin(&mut c, repeated);
        assert_eq!((c.machine.view(), c.ignored()), (View::ZERO, Some(Ignored::Malformed)));
    }
    begin(&mut c, [1, 2, 3]);
    assert_eq!(c.machine.view(), View::new(1));
}

// The same of a checkpoint: it is counted by members, however often they say it.
#[test]
fn a_checkpoint_that_is_said_again_counts_once() {
    let mut c = Alone::new(4, 0);
    for from in [1, 1, 1, 2, 2] {
        c.hears(from, Message::Checkpoint(checkpoint(8, 1)));
    }
    c.pass(Span::secs(1));
    assert_eq!(c.machine.stable().checkpoint.index, Index::ZERO);
}

// GHSA-6jrf-4jv4-r9mw; BFT-SMaRt PR#121: collects of who is no member.
#[test]
fn who_is_no_member_has_no_vote_and_stands_behind_nothing() {
    let mut c = Alone::new(4, 1);
    let value = c.value(1);
    c.votes([0], Phase::Prepare, 0, 1, value);
    c.votes([4, 5, 9], Phase::Prepare, 0, 1, value);
    assert_eq!((c.voted().len(), c.ignored()), (1, Some(Ignored::Stranger)));
    c.votes([2, 3], Phase::Prepare, 0, 1, value);
    c.votes([2, 4, 5, 9], Phase::Commit, 0, 1, value);
    assert_eq!(c.decided(), []);

    let all = Members::first(4);
    let floor = Setup::of(4).config.floor;
    let sound = |signers| change(1, [prepared(0, 1, value, signers)]).is_sound(all, &floor, 16);
    assert!(sound([0, 1, 2]) && !sound([0, 1, 9]) && !sound([7, 8, 9]));
    assert!(stable(8, 1, [0, 1, 2]).is_sound(all, &floor));
    assert!(!stable(8, 1, [0, 1, 9]).is_sound(all, &floor));
    let strangers = [0, 1, 9].map(|it| (Slot::new(it), change(1, [])));
    let new_view = NewView { view: View::new(1), changes: &strangers };
    assert!(!new_view.is_sound(all, &floor, 16));
}

// bft-smart#62: enough answers were counted, and not whether they were the same.
#[test]
fn a_quorum_that_says_different_things_says_nothing() {
    let mut c = Alone::new(7, 1);
    let value = |number| Value { digest: payload(number), ..Alone::new(7, 1).value(1) };
    c.votes([0], Phase::Prepare, 0, 1, value(1));
    for from in 2..7 {
        c.votes([from], Phase::Prepare, 0, 1, value(u64::from(from)));
        c.votes([from], Phase::Commit, 0, 1, value(u64::from(from)));
        c.hears(from, Message::Checkpoint(checkpoint(8, from)));
    }
    assert_eq!((c.voted().len(), c.decided().len()), (1, 0));
    assert_eq!(c.machine.stable().checkpoint.index, Index::ZERO);
}

// The same value at another time is another value.
#[test]
fn votes_for_one_payload_at_two_times_are_not_added_up() {
    let mut c = Alone::new(4, 1);
    let value = c.value(1);
    let later = Value { stamp: value.stamp.plus(1), ..value };
    c.votes([0], Phase::Prepare, 0, 1, value);
    c.votes([2, 3], Phase::Prepare, 0, 1, later);
    c.votes([0], Phase::Commit, 0, 1, value);
    c.votes([2, 3], Phase::Commit, 0, 1, later);
    assert_eq!((c.voted().len(), c.decided().len()), (1, 0));
}

// informalsystems/tendermint-rs#637, #652; BFT-SMaRt PR#121: votes of other rounds were counted.
#[test]
fn a_vote_counts_in_its_own_phase_view_and_position_only() {
    let mut c = Alone::new(4, 1);
    let value = c.value(1);
    c.votes([0], Phase::Prepare, 0, 1, value);
    c.votes([2, 3], Phase::Commit, 0, 1, value);
    assert_eq!(c.voted().len(), 1, "who is sure does not thereby accept");
    c.votes([2, 3], Phase::Prepare, 1, 1, value);
    c.votes([2, 3], Phase::Prepare, 0, 2, value);
    assert_eq!(c.voted().len(), 1, "another view, another position");
    c.votes([0], Phase::Commit, 1, 1, value);
    c.votes([0], Phase::Commit, 0, 2, value);
    assert_eq!(c.decided(), []);
    c.votes([0], Phase::Commit, 0, 1, value);
    assert_eq!(c.decided(), [(1, value)]);
}

// A certificate says in which view its votes were given; one from the view that it is to begin, or from
// a later one, is none.
#[test]
fn nothing_is_claimed_from_a_view_that_has_not_begun() {
    let (all, floor) = (Members::first(4), Setup::of(4).config.floor);
    let value = Alone::new(4, 0).value(1);
    for (view, is_sound) in [(0, true), (2, true), (3, false), (u64::MAX, false)] {
        let change = change(3, [prepared(view, 1, value, [0, 1, 2])]);
        assert_eq!(change.is_sound(all, &floor, 16), is_sound, "{view}");
    }
}

// The primary's proposal and its own vote were counted as two: prepared with one member less.
#[test]
fn the_primary_votes_by_proposing_and_not_a_second_time() {
    let mut c = Alone::new(4, 0);
    let value = c.value(1);
    c.tell(Input::Propose(value)).expect("it leads");
    assert_eq!(c.voted().len(), 1, "the proposal");
    c.votes([2], Phase::Prepare, 0, 1, value);
    assert_eq!(c.voted().len(), 1, "two of four");
    c.votes([3], Phase::Prepare, 0, 1, value);
    assert_eq!(c.voted().len(), 2);
}

// Members that went by different configurations made certificates that fit each other.
#[test]
fn what_is_signed_says_nothing_elsewhere() {
    struct Bytes(Vec<u8>);
    impl Sink for Bytes {
        fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }
    let signed = |statement: Statement<'_>, scope: Scope, from: u8| {
        let mut bytes = Bytes(Vec::new());
        statement.signed_bytes(&scope, Slot::new(from), &mut bytes).expect("there is room");
        bytes.0
    };
    let scope =
        Scope { group: GroupId::new(1), configuration: Digest::new([1; 32]), epoch: 1, attempt: 1 };
    let value = Alone::new(4, 0).value(1);
    let vote = |phase, view, index, value| {
        let (view, index) = (View::new(view), Index::new(index));
        Statement::Vote(Vote { phase, view, index, value })
    };
    let this = vote(Phase::Prepare, 1, 1, value);
    let later = Value { stamp: value.stamp.plus(1), ..value };
    let other = Value { digest: payload(2), ..value };
    let forms = [
        signed(this, scope, 1),
        signed(this, Scope { group: GroupId::new(2), ..scope }, 1),
        signed(this, Scope { configuration: Digest::new([2; 32]), ..scope }, 1),
        signed(this, Scope { epoch: 2, ..scope }, 1),
        signed(this, Scope { attempt: 2, ..scope }, 1),
        signed(this, scope, 2),
        signed(vote(Phase::Commit, 1, 1, value), scope, 1),
        signed(vote(Phase::Prepare, 2, 1, value), scope, 1),
        signed(vote(Phase::Prepare, 1, 2, value), scope, 1),
        signed(vote(Phase::Prepare, 1, 1, later), scope, 1),
        signed(vote(Phase::Prepare, 1, 1, other), scope, 1),
        signed(Statement::Checkpoint(checkpoint(1, 1)), scope, 1),
    ];
    for (at, form) in forms.iter().enumerate() {
        assert!(!forms[..at].contains(form), "{at}");
    }
}

// Three members tolerate no liar, whatever the mode is called.
#[test]
fn fewer_than_four_members_must_say_that_they_tolerate_no_liar() {
    for n in (1..=13).take_while(|n| usize::from(*n) <= MOST.members) {
        for tolerance in [Tolerance::Liars, Tolerance::NoLiar] {
            let config = Config { tolerance, ..Setup::of(n).config };
            let fits = (n >= 4) == (tolerance == Tolerance::Liars);
            let error = (!fits).then_some(ConfigError::Tolerance);
            assert_eq!(Pbft::new(config).err(), error, "{n} {tolerance:?}");
        }
    }
}
