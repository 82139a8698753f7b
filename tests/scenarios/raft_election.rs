//! Elections: pre-vote, votes and what must be on disk for them, leaders that must make way.

use crate::cast::*;
use quorate::raft::{Config, ConfigError};
use std::collections::BTreeSet;

/// Raises a member's term far above everyone else's.
fn raise(c: &mut Group, slot: u8) {
    c.say((slot + 1) % 3, slot, Message::Stale { term: Term::new(9) });
}

// openraft#1796, etcd#8243: the longest log has the oldest term, and canvasses in vain for ever.
#[test]
fn a_refused_pre_vote_brings_the_real_term_back() {
    let mut c = Group::of(3);
    c.elect(0);
    c.part(&[1], &[0, 2]);
    c.propose(0, 3);
    c.settle();
    raise(&mut c, 1);
    c.crash(Slot::new(2), 0);
    c.restart(0);
    c.heal();
    c.pass(Span::secs(2));
    assert!(c.machine(0).leads() && c.machine(0).term() > Term::new(9));
}

// etcd#8501: a member in a higher term drops an old leader's messages without a word.
#[test]
fn an_old_leader_is_told_that_its_term_is_over() {
    let mut c = Group::of(3);
    c.elect(0);
    raise(&mut c, 2);
    c.pass(Span::secs(2));
    assert!(c.machine(2).leader().is_some());
    assert!((0..3).all(|slot| c.machine(slot).term() > Term::new(9)));
}

// etcd#8334, raft-rs#83: a pre-candidate keeps following, and so holds its voters back.
#[test]
fn a_canvasser_follows_nobody_and_grants_pre_votes() {
    let mut c = Group::of(3);
    c.elect(0);
    c.crash(Slot::new(0), 0);
    c.silence();
    c.ring(1);
    assert_eq!((c.machine(1).role(), c.machine(1).leader()), ("canvasser", None));
    c.hold(1, 2);
    c.ring(2);
    c.settle();
    assert!(c.machine(2).leads());
}

// hashicorp/raft#606: a leader that lost its quorum was refused for being the leader.
#[test]
fn a_member_that_still_hears_its_leader_lets_it_campaign() {
    let mut c = Group::of(3);
    c.elect(0);
    c.crash(Slot::new(2), 0);
    c.pass(Span::millis(30));
    c.ask(0, Input::StepDown).unwrap();
    let late = append(1, entry(1, 1), (1, 0), 1);
    let alarm = c.machine(0).deadline().unwrap();
    c.jump(alarm.since(c.now().mono).minus(Span::millis(1)));
    c.say(0, 1, late);
    c.ring(0);
    c.settle();
    assert!(c.machine(0).leads());
}

// hashicorp/raft#609: one member that kept canvassing kept all others from ever timing out.
#[test]
fn granting_a_pre_vote_is_no_sign_of_a_leader() {
    let mut c = Group::of(3);
    c.elect(0);
    c.crash(Slot::new(0), 0);
    c.silence();
    let alarm = c.machine(1).deadline();
    c.ring(2);
    c.deliver(2, 1);
    assert!(matches!(c.newest(1, 2), Some(Message::PreVoteReply { granted: true, .. })));
    assert_eq!(c.machine(1).deadline(), alarm);
}

// openraft, fixed 2026-07-17: a late pre-vote won a second election against the winner itself.
#[test]
fn a_late_pre_vote_does_not_unseat_its_own_winner() {
    let mut c = Group::of(3);
    c.silence();
    c.ring(0);
    c.deliver(0, 1);
    c.deliver(0, 2);
    let late = c.hold(2, 0);
    c.settle();
    assert!(c.machine(0).leads());
    c.flights.extend(late);
    c.settle();
    assert!(c.machine(0).leads() && c.machine(0).term() == Term::new(1));
}

// The same answer, in the next canvass of one that was not elected after all.
#[test]
fn a_pre_vote_counts_only_for_the_term_it_was_asked_about() {
    let mut c = Group::of(3);
    c.silence();
    c.ring(0);
    c.deliver(0, 1);
    let late = c.hold(1, 0);
    raise(&mut c, 0);
    c.flights.clear();
    c.silence();
    c.ring(0);
    c.flights = late;
    c.settle();
    assert_eq!(c.machine(0).role(), "canvasser");
}

// openraft, fixed 2026-04-08: a lone voter campaigned again while its own vote was being written.
#[test]
fn a_lone_voter_is_elected_once_however_slow_its_disk() {
    let mut c = Group::of(1);
    c.disk_is_fast(0, false);
    c.silence();
    for _ in 0..5 {
        c.ring(0);
        assert!(!c.machine(0).leads(), "its vote is not on disk");
    }
    c.disk_is_fast(0, true);
    assert!(c.machine(0).leads() && c.machine(0).term() == Term::new(1));
}

// sailing 9221235, openraft alpha.30: no jitter below two milliseconds; one draw for a whole life.
#[test]
fn timeouts_differ_between_members_and_between_campaigns() {
    let short =
        Setup { election_timeout: Span::millis(1), heartbeat: Span::micros(100), ..Setup::of(5) };
    let mut c = Group::new(5, short);
    c.part(&[0], &[1, 2, 3, 4]);
    (0..5).for_each(|slot| c.tick(slot));
    let alarms: BTreeSet<_> = (0..5).map(|slot| c.machine(slot).deadline()).collect();
    assert_eq!(alarms.len(), 5);
    let waits: BTreeSet<_> = (0..5)
        .map(|_| {
            c.ring(0);
            c.machine(0).deadline().unwrap().since(c.now().mono)
        })
        .collect();
    assert_eq!(waits.len(), 5);
}

// nodedb#161: votes were told and never written. hashicorp/raft#661: term and vote in two writes.
#[test]
fn a_vote_is_told_when_its_ballot_is_on_disk_and_is_then_kept() {
    let mut c = Group::of(3);
    c.disk_is_fast(1, false);
    c.silence();
    c.ring(0);
    c.cut_one_way(0, 2);
    c.settle();
    assert!(!c.machine(0).leads(), "nobody has promised anything yet");
    c.persist(Slot::new(1), 1);
    c.settle();
    assert!(c.machine(0).leads(), "one write holds term and vote");
    c.restart(1);
    assert_eq!(c.machine(1).vote(), Some(Slot::new(0)));
}

// Twenty thousand random runs of a prototype of this library did not find it.
#[test]
fn a_vote_request_never_leaves_before_its_ballot_is_on_disk() {
    let mut c = Group::of(3);
    c.disk_is_fast(0, false);
    c.silence();
    c.ring(0);
    c.settle();
    assert_eq!((c.machine(0).role(), c.newest(0, 1)), ("candidate", None));
    c.persist(Slot::new(0), 1);
    assert!(matches!(c.newest(0, 1), Some(Message::Vote { .. })));
}

// Dissertation 6.2; Cloudflare, 2020-11-02: a switch let messages through in one direction only.
#[test]
fn a_leader_that_is_not_heard_back_from_abdicates() {
    let mut c = Group::of(3);
    c.elect(0);
    c.cut_one_way(1, 0);
    c.cut_one_way(2, 0);
    c.pass(Span::millis(600));
    assert!(!c.machine(0).leads());
    c.cut_one_way(0, 1);
    c.cut_one_way(0, 2);
    c.pass(Span::secs(1));
    assert!(c.machine(1).leads() || c.machine(2).leads(), "and the others go on without it");
}

#[test]
fn a_leader_that_hears_and_is_not_heard_makes_way() {
    let mut c = Group::of(3);
    c.elect(0);
    c.settle();
    c.cut_one_way(0, 1);
    c.cut_one_way(0, 2);
    c.pass(Span::secs(2));
    assert!(c.machine(1).leads() || c.machine(2).leads(), "{}", c.story());
    assert!(!c.machine(0).leads());
}

// Cloudflare, 2020-11-02: a member that heard its fellow and not its leader brought one leader down after
// another.
#[test]
fn a_member_that_does_not_hear_a_leader_that_others_hear_unseats_nobody() {
    for is_one_way in [true, false] {
        let mut c = Group::of(3);
        c.elect(0);
        c.settle();
        c.cut_one_way(0, 2);
        if !is_one_way {
            c.cut_one_way(2, 0);
        }
        c.pass(Span::secs(3));
        assert_eq!((c.machine(0).role(), c.machine(0).term()), ("leader", Term::new(1)));
        assert_eq!(c.machine(2).role(), "canvasser");
        c.propose(0, 1);
        c.settle();
        assert_eq!(c.commits()[..2], [2, 2]);
    }
}

// Decentralized Thoughts, 2020-12: links fail and no member does; only one still hears a majority, and the
// leader is another.
#[test]
fn the_one_member_that_hears_a_majority_comes_to_lead() {
    let mut c = Group::of(5);
    c.elect(0);
    c.settle();
    for slot in [0, 1, 3] {
        let others: Vec<_> = (slot + 1..5).filter(|other| *other != 2).collect();
        c.part(&[slot], &others);
    }
    c.pass(Span::secs(3));
    assert!(c.machine(2).leads(), "{}", c.story());
    c.propose(2, 1);
    c.settle();
    assert_eq!(c.commits(), [c.last(2).index.number(); 5]);
}

// etcd#6005, tikv#1301: a process that was paused takes its own sleep for others' silence.
#[test]
fn who_has_slept_convicts_nobody_whether_it_ticks_or_hears_first() {
    for ticks_first in [true, false] {
        let mut c = Group::of(3);
        c.elect(0);
        c.pass(Span::millis(30));
        c.jump(Span::secs(10));
        let heartbeat = append(1, entry(1, 1), (1, 0), 1);
        for slot in [1, 0] {
            let hears = |c: &mut Group| match slot {
                0 => c.say(1, 0, matched(1, 1)),
                _ => c.say(0, 1, heartbeat),
            };
            if ticks_first {
                c.tick(slot);
                hears(&mut c);
            } else {
                hears(&mut c);
                c.tick(slot);
            }
        }
        assert!(c.machine(0).leads());
        assert_eq!(c.machine(1).leader(), Some(Slot::new(0)));
    }
}

#[test]
fn who_is_late_by_more_than_an_election_timeout_has_slept() {
    for (late, role) in [(Span::millis(150), "canvasser"), (Span::micros(150_001), "follower")] {
        let mut c = Group::of(3);
        c.silence();
        let alarm = c.machine(1).deadline().unwrap();
        c.jump(alarm.since(c.now().mono).plus(late));
        c.tick(1);
        assert_eq!(c.machine(1).role(), role, "{late:?} late");
    }
}

// A member that restarts does not know what it promised to the leader that it heard last.
#[test]
fn who_has_just_started_waits_an_election_timeout_before_it_elects_another() {
    let mut c = Group::of(3);
    c.elect(0);
    c.restart(1);
    let term = Term::new(2);
    c.say(2, 1, Message::Vote { term, last: entry(1, 1), asked_to: false });
    assert_eq!((c.machine(1).term(), c.machine(1).vote()), (Term::new(1), Some(Slot::new(0))));
    c.silence();
    c.say(2, 1, Message::Vote { term, last: entry(1, 1), asked_to: false });
    assert_eq!(c.machine(1).vote(), Some(Slot::new(2)));
}

// A bad hour, in which a member led in vain, must not cost anything once the group has recovered.
#[test]
fn a_commit_by_anyone_ends_the_doubling_of_timeouts() {
    let mut c = Group::of(3);
    for _ in 0..5 {
        c.elect_unheard(0);
        c.ask(0, Input::StepDown).unwrap();
    }
    let wait = |c: &Group| c.machine(0).deadline().unwrap().since(c.now().mono);
    assert!(wait(&c) > Span::secs(2), "a leader that achieves nothing lets others try");
    c.elect(1);
    c.pass(Span::millis(30));
    assert!(wait(&c) < Span::millis(300));
}

#[test]
fn a_leader_that_is_heard_and_has_committed_nothing_new_does_not_end_it() {
    let mut c = Group::of(3);
    for _ in 0..5 {
        c.elect_unheard(0);
        c.ask(0, Input::StepDown).unwrap();
    }
    (0..2).for_each(|_| c.say(1, 0, append(9, EntryId::ZERO, (9, 0), 0)));
    assert_eq!(c.machine(0).leader(), Some(Slot::new(1)));
    assert!(c.machine(0).deadline().unwrap().since(c.now().mono) > Span::secs(2));
}

// noraft, sailing MULTI_RAFT.md: messages of other groups, of nobody and of oneself were taken in.
#[test]
fn strangers_other_epochs_and_echoes_are_not_heard() {
    let mut c = Group::of(3);
    c.elect(0);
    let before = c.machine(1).clone();
    let other_epoch = Term::new((1 << 32) | 7);
    for (from, term) in [(1, Term::new(7)), (7, Term::new(7)), (99, Term::new(7)), (2, other_epoch)]
    {
        c.say(from, 1, Message::Stale { term });
        c.say(from, 1, Message::Vote { term, last: entry(1, 9), asked_to: false });
    }
    assert_eq!(*c.machine(1), before);
}

// sailing 9221235 and others: a zero timeout, or a slot beyond all limits, was accepted.
#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let config = |change: fn(&mut Config)| {
        let mut config = Setup::of(3).config(Slot::new(0), 1);
        change(&mut config);
        Raft::new(config).map(drop)
    };
    assert_eq!(config(|_| {}), Ok(()));
    assert_eq!(config(|config| config.heartbeat = Span::ZERO), Err(ConfigError::Timeouts));
    assert_eq!(config(|config| config.election_timeout = Span::ZERO), Err(ConfigError::Timeouts));
    assert_eq!(config(|config| config.me = Slot::new(3)), Ok(()), "it is to join them");
    assert_eq!(config(|config| config.me = Slot::new(7)), Err(ConfigError::NoSuchSlot));
    assert_eq!(config(|config| config.limits.members = 2), Err(ConfigError::TooManyVoters));
    assert_eq!(config(|config| config.limits.members = 3), Ok(()));
    assert_eq!(config(|config| config.election_timeout = config.heartbeat.times(2)), Ok(()));
}

// If every entry may begin a run, there is no room for what the reigns are for.
#[test]
fn a_log_has_room_for_twice_as_many_entries_as_reigns() {
    let mut config = Setup::of(3).config(Slot::new(0), 1);
    (config.limits.entries, config.limits.runs) = (8, 16);
    assert_eq!(Raft::new(config).unwrap().config().limits.runs, 4);
}

// The numbers end somewhere, and a corrupt one must not make an agreement there.
#[test]
fn where_the_numbers_end_nobody_campaigns_and_nothing_is_appended() {
    let end = EntryId::new(Term::new(1), Index::new(u64::MAX - 1));
    let mut c = Group::of(2);
    c.elect(0);
    c.nodes[0].disk.snapshot = Some((snapshot(end), Vec::new()));
    c.restart(0);
    for message in [
        append(7, end, (7, 3), u64::MAX),
        append(7, EntryId::new(Term::new(7), Index::new(u64::MAX)), (1, 0), u64::MAX),
        append(7, end, (7, 0), u64::MAX),
        matched(7, u64::MAX),
        Message::Stale { term: Term::new(u64::from(u32::MAX)) },
    ] {
        c.silence();
        c.ring(0);
        assert_eq!(c.machine(0).role(), "follower");
        c.say(1, 0, message);
        assert_eq!((c.last(0), c.machine(0).stopped()), (end, None));
    }
}

// A write that failed, and the machine's own leadership with it (fsync is never tried again).
#[test]
fn a_leader_whose_disk_fails_says_that_it_no_longer_leads() {
    let mut c = Group::of(3);
    c.elect(0);
    c.step(Slot::new(0), Stimulus::PersistFailed).unwrap();
    let ended = Output::Following { term: Term::new(1), leader: None };
    assert_eq!(c.nodes[0].told.last(), Some(&ended));
    assert!(!c.machine(0).leads() && c.machine(0).deadline().is_none());
    assert!(c.ask(0, Input::Read).is_err());
    c.pass(Span::secs(1));
    assert!(c.machine(1).leads() || c.machine(2).leads());
}
