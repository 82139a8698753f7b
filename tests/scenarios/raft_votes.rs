//! Votes and pre-votes: to whom they are given, and what the answers change.

use crate::cast::*;

#[test]
fn a_pre_vote_is_granted_only_where_the_vote_would_be() {
    let would = |is_silent, term, last| {
        let mut c = Group::of(3);
        c.elect(0);
        if is_silent {
            c.silence();
        }
        c.say(2, 1, Message::PreVote { term: Term::new(term), last });
        matches!(c.newest(1, 2), Some(Message::PreVoteReply { granted: true, .. }))
    };
    assert!(would(true, 2, entry(1, 1)));
    assert!(!would(false, 2, entry(1, 1)), "the leader was heard just now");
    assert!(!would(true, 1, EntryId::ZERO), "there is a leader of this term");
    assert!(!would(true, 2, EntryId::ZERO), "the log lacks what is committed");
    let mut c = Group::of(3);
    c.silence();
    c.say(2, 1, Message::Stale { term: Term::new(1) });
    c.say(2, 1, Message::PreVote { term: Term::new(1), last: EntryId::ZERO });
    let Some(Message::PreVoteReply { granted, .. }) = c.newest(1, 2) else { panic!() };
    assert!(!granted, "the term has begun");
}

#[test]
fn an_answer_to_another_canvass_is_ignored_with_a_word_and_a_refusal_is_none() {
    let mut c = Group::of(3);
    c.silence();
    c.ring(0);
    let answer = |proposed, granted| {
        let (term, proposed) = (Term::ZERO, Term::new(proposed));
        events(&c, 1, 0, Message::PreVoteReply { term, proposed, granted })
    };
    let stale = Event::Ignored { from: Slot::new(1), why: Ignored::Stale };
    assert_eq!((answer(2, true), answer(2, false)), (vec![stale], vec![stale]));
    assert_eq!(answer(1, false), []);
}

// Ongaro and Ousterhout, 5.2: at most one candidate in a term, first come, first served.
#[test]
fn a_member_votes_once_in_a_term_and_says_so_again_to_whom_it_chose() {
    let mut c = Group::of(3);
    c.silence();
    let vote = Message::Vote { term: Term::new(1), last: EntryId::ZERO, asked_to: false };
    let reply = |granted| Some(Message::VoteReply { term: Term::new(1), granted });
    for (candidate, is_chosen) in [(0, true), (2, false), (0, true)] {
        c.say(candidate, 1, vote);
        assert_eq!(c.newest(1, candidate), reply(is_chosen));
        c.flights.clear();
    }
    assert_eq!(c.machine(1).vote(), Some(Slot::new(0)));
}

#[test]
fn a_refused_vote_brings_the_real_term_back_and_an_old_answer_says_nothing() {
    let mut c = Group::of(3);
    c.silence();
    c.ring(0);
    c.deliver(0, 1);
    c.deliver(1, 0);
    assert_eq!(c.machine(0).role(), "candidate");
    let reply = |term, granted| Message::VoteReply { term: Term::new(term), granted };
    let stale = Event::Ignored { from: Slot::new(1), why: Ignored::Stale };
    assert_eq!(events(&c, 1, 0, reply(0, true)), [stale]);
    c.say(1, 0, reply(5, false));
    assert_eq!((c.machine(0).role(), c.machine(0).term()), ("follower", Term::new(5)));
}

#[test]
fn a_candidate_of_an_old_term_gets_no_vote_though_nobody_had_it() {
    let mut c = Group::of(3);
    c.settle();
    c.jump(Span::millis(151));
    c.say(2, 1, Message::Stale { term: Term::new(5) });
    c.flights.clear();
    let last = EntryId::ZERO;
    c.say(0, 1, Message::Vote { term: Term::new(3), last, asked_to: false });
    let no = Message::VoteReply { term: Term::new(5), granted: false };
    assert_eq!((c.newest(1, 0), c.machine(1).vote()), (Some(no), None));
}

#[test]
fn a_canvasser_that_gives_its_vote_away_follows() {
    let mut c = Group::of(3);
    c.settle();
    c.say(2, 1, Message::Stale { term: Term::new(5) });
    c.ring(1);
    assert_eq!(c.machine(1).role(), "canvasser");
    c.flights.clear();
    c.say(0, 1, Message::Vote { term: Term::new(5), last: EntryId::ZERO, asked_to: false });
    assert_eq!((c.machine(1).role(), c.machine(1).vote()), ("follower", Some(Slot::new(0))));
    let yes = Message::VoteReply { term: Term::new(5), granted: true };
    assert_eq!(c.newest(1, 0), Some(yes));
}
