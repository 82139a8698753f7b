//! That every law sees what breaks it.

use quorate::id::{EntryId, Index, Members, Slot, Term};
use quorate::raft::{Change, Configuration, Message, Output};
use quorate_sim::explore::raft::laws::{
    Facts, InForce, Past, Terms, acknowledges_what_is, changes_in_order, commits_its_own,
    counts_by_its_configuration, hold, leads_alone, says_what_is_durable, term_rises, votes_once,
};
use quorate_sim::explore::raft::member::Letter;
use quorate_sim::explore::{Broken, End, Model, search};

fn terms<const N: usize>(of: [u8; N]) -> Terms {
    std::array::from_fn(|n| of.get(n).copied().unwrap_or(0))
}

/// A member in a term, with a log that is on its disk.
fn member<const N: usize>(me: u8, term: u8, log: [u8; N]) -> Facts {
    let log = terms(log);
    let newest = Configuration::of(Members::first(3));
    let changed = InForce { newest, previous: newest, at: 0, previous_at: 0 };
    Facts { me, term, log, ballot: (term, None), durable: log, changed, ..Facts::default() }
}

fn leader<const N: usize>(me: u8, term: u8, log: [u8; N]) -> Facts {
    Facts { leads: true, ..member(me, term, log) }
}

fn past<const N: usize>(committed: [u8; N]) -> Past {
    Past { committed: terms(committed), committed_in: terms(committed), ..Past::default() }
}

fn law(broken: Result<(), Broken>) -> &'static str {
    broken.map_or_else(|broken| broken.law, |()| "none is broken")
}

fn says(message: Message) -> [Output; 1] {
    [Output::Send { to: Members::only(Slot::new(1)), message }]
}

#[test]
fn a_group_that_keeps_the_laws_breaks_none() {
    let members = [leader(0, 2, [1, 2, 2]), member(1, 2, [1, 2]), member(2, 1, [1, 1])];
    assert_eq!(law(hold(&members, &past([1, 2]))), "none is broken");
}

#[test]
fn two_leaders_of_a_term_are_seen_even_if_one_is_gone() {
    let mut past = Past::default();
    assert_eq!(law(leads_alone(&mut past, &leader(0, 1, [1]))), "none is broken");
    assert_eq!(law(leads_alone(&mut past, &leader(0, 1, [1, 1]))), "none is broken");
    assert_eq!(law(leads_alone(&mut past, &leader(1, 2, [1]))), "none is broken");
    assert_eq!(law(leads_alone(&mut past, &leader(1, 1, [1]))), "election safety");
}

#[test]
fn logs_that_meet_after_they_parted_are_seen_in_memory_and_on_disk() {
    let members = [member(0, 3, [1, 1, 3]), member(1, 3, [1, 2, 3])];
    assert_eq!(law(hold(&members, &Past::default())), "log matching");
    let on_disk = Facts { durable: terms([2, 2]), ..member(1, 2, [1]) };
    let members = [member(0, 2, [1, 2]), on_disk];
    assert_eq!(law(hold(&members, &Past::default())), "log matching");
}

#[test]
fn a_later_leader_without_a_committed_entry_is_seen_and_an_earlier_one_is_none() {
    let holders = [member(0, 3, [1, 1]), member(1, 3, [1, 1])];
    let group = |leader| [holders[0], holders[1], leader];
    assert_eq!(law(hold(&group(leader(2, 3, [1, 3])), &past([1, 1]))), "leader completeness");
    let committed_in_3 = Past { committed_in: terms([3, 3]), ..past([1, 1]) };
    assert_eq!(law(hold(&group(leader(2, 2, [1, 2])), &committed_in_3)), "none is broken");
}

#[test]
fn another_entry_where_one_was_committed_is_seen() {
    let knows = Facts { commit: 2, ..member(2, 3, [1, 2]) };
    let members = [member(0, 3, [1, 1]), member(1, 3, [1, 1]), knows];
    assert_eq!(law(hold(&members, &past([1, 1]))), "state machine safety");
}

#[test]
fn a_committed_entry_on_too_few_disks_is_seen() {
    let in_memory = Facts { durable: terms([1]), ..member(1, 1, [1, 1]) };
    let members = [leader(0, 1, [1, 1]), in_memory, member(2, 1, [1])];
    assert_eq!(law(hold(&members, &past([1, 1]))), "commit durability");
    assert_eq!(law(hold(&members, &past([1]))), "none is broken");
}

#[test]
fn a_commit_that_ends_in_an_older_term_is_seen_and_one_that_no_leader_made() {
    let commits = |member: Facts| law(commits_its_own(&mut Past::default(), &member));
    assert_eq!(commits(Facts { commit: 2, ..leader(0, 2, [1, 2]) }), "none is broken");
    assert_eq!(commits(Facts { commit: 1, ..leader(0, 2, [1, 2]) }), "commitment");
    assert_eq!(commits(Facts { commit: 2, ..member(0, 2, [1, 2]) }), "commitment");
    let mut known = past([1, 2]);
    let told = Facts { commit: 2, ..member(1, 2, [1, 2]) };
    assert_eq!(law(commits_its_own(&mut known, &told)), "none is broken");
}

#[test]
fn a_commit_beyond_the_log_is_seen() {
    let commits = Facts { commit: 3, ..leader(0, 1, [1]) };
    assert_eq!(law(commits_its_own(&mut Past::default(), &commits)), "commitment");
}

#[test]
fn a_vote_that_is_not_on_disk_is_seen() {
    let vote = says(Message::VoteReply { term: Term::new(2), granted: true });
    let with = |ballot| law(says_what_is_durable(&Facts { ballot, ..member(0, 2, [1]) }, &vote));
    assert_eq!(with((2, Some(1))), "none is broken");
    for ballot in [(1, Some(1)), (2, None), (2, Some(2)), (0, None)] {
        assert_eq!(with(ballot), "vote durability", "{ballot:?}");
    }
    let last = EntryId::new(Term::new(1), Index::new(1));
    let campaign = says(Message::Vote { term: Term::new(2), last, asked_to: false });
    let with =
        |ballot| law(says_what_is_durable(&Facts { ballot, ..member(0, 2, [1]) }, &campaign));
    assert_eq!(with((2, Some(0))), "none is broken");
    assert_eq!(with((1, Some(0))), "vote durability");
}

#[test]
fn a_second_vote_in_a_term_is_seen() {
    let with = |ballot| Facts { ballot, ..member(0, 2, [1]) };
    let votes = |was, is| law(votes_once(&with(was), &with(is)));
    assert_eq!(votes((2, None), (2, Some(1))), "none is broken");
    assert_eq!(votes((2, Some(1)), (3, Some(2))), "none is broken");
    assert_eq!(votes((2, Some(1)), (2, Some(2))), "one vote");
    assert_eq!(votes((2, Some(1)), (2, None)), "one vote");
}

#[test]
fn an_acknowledgement_of_what_is_not_on_disk_is_seen() {
    let message = Message::Matched { term: Term::new(2), matched: Index::new(2), round: 0 };
    let with = |sender: Facts| law(says_what_is_durable(&sender, &says(message)));
    assert_eq!(with(member(0, 2, [1, 2])), "none is broken");
    let entry_is_late = Facts { durable: terms([1]), ..member(0, 2, [1, 2]) };
    let ballot_is_late = Facts { ballot: (1, None), ..member(0, 2, [1, 2]) };
    assert_eq!(with(entry_is_late), "acknowledgement durability");
    assert_eq!(with(ballot_is_late), "acknowledgement durability");
}

#[test]
fn an_acknowledgement_of_other_entries_than_the_leaders_is_seen() {
    let message = Message::Matched { term: Term::new(2), matched: Index::new(2), round: 0 };
    let letter = Letter { from: Slot::new(1), to: Slot::new(0), message };
    let sender = member(1, 2, [1, 1]);
    let with = |leader: Facts| law(acknowledges_what_is(&sender, &leader, &letter));
    assert_eq!(with(leader(0, 2, [1, 1, 2])), "none is broken");
    assert_eq!(with(leader(0, 2, [1, 2])), "acknowledgement truth");
    assert_eq!(with(leader(0, 3, [1, 2])), "none is broken");
}

#[test]
fn a_commit_that_is_told_before_it_is_on_disk_is_seen() {
    let told = [Output::Committed { index: Index::new(2) }];
    assert_eq!(law(says_what_is_durable(&member(0, 1, [1, 1]), &told)), "none is broken");
    assert_eq!(law(says_what_is_durable(&member(0, 1, [1]), &told)), "commit durability");
}

#[test]
fn a_term_that_falls_is_seen() {
    let (low, high) = (member(0, 1, [1]), member(0, 2, [1]));
    assert_eq!(law(term_rises(&low, &high, false)), "none is broken");
    assert_eq!(law(term_rises(&high, &low, false)), "term monotone");
    let unwritten = Facts { ballot: (1, None), ..high };
    assert_eq!(law(term_rises(&unwritten, &low, true)), "none is broken");
    assert_eq!(law(term_rises(&high, &low, true)), "term monotone");
}

#[test]
fn a_member_that_stops_is_seen() {
    let members = [Facts { stopped: true, ..member(0, 1, [1]) }, member(1, 1, [1])];
    assert_eq!(law(hold(&members, &Past::default())), "no contradiction");
}

/// Two hands count up to nine; both at five is against the law.
struct Hands;

impl Model for Hands {
    type State = (u8, u8);
    type Action = bool;

    fn initial(&mut self) -> Vec<(u8, u8)> {
        vec![(0, 0)]
    }
    fn actions(&mut self, _: &(u8, u8), into: &mut Vec<bool>) {
        into.extend([true, false]);
    }
    fn apply(&mut self, &(a, b): &(u8, u8), left: bool) -> Result<Option<(u8, u8)>, Broken> {
        let next = if left { (a + 1, b) } else { (a, b + 1) };
        Ok((next.0 <= 9 && next.1 <= 9).then_some(next))
    }
    fn check(&mut self, state: &(u8, u8)) -> Result<(), Broken> {
        let broken = || Broken { law: "not both at five", how: format!("{state:?}") };
        if *state == (5, 5) { Err(broken()) } else { Ok(()) }
    }
    fn story(&mut self, _: &(u8, u8), path: &[bool]) -> String {
        format!("{path:?}")
    }
    fn bytes(&self) -> usize {
        0
    }
}

#[test]
fn the_search_comes_back_with_a_shortest_path_to_what_is_broken() {
    let (progress, end) = search(&mut Hands, 1_000, |_, _| {});
    let End::Broken { from: (0, 0), path, broken } = end else { panic!("{end:?}") };
    assert_eq!((path.len(), broken.law), (10, "not both at five"));
    assert_eq!(path.iter().filter(|left| **left).count(), 5);
    assert!(progress.frontier > 0);
}

#[test]
fn a_search_that_may_not_hold_so_many_states_says_so() {
    let (progress, end) = search(&mut Hands, 20, |_, _| {});
    assert_eq!(end, End::Full);
    assert!(progress.frontier > 0 && progress.states <= 23, "{progress:?}");
}

/// A leader of term 2 that has this configuration at an index, after the one of three members.
fn changed(configuration: Configuration, at: u8, commit: u8) -> Facts {
    let leads = leader(0, 2, [1, 2, 2]);
    let changed = InForce { newest: configuration, at, ..leads.changed };
    Facts { commit, changed, ..leads }
}

#[test]
fn a_change_before_an_entry_of_the_own_term_or_the_change_before_is_committed_is_seen() {
    let four = Configuration::of(Members::first(4));
    let changes = |commit| law(changes_in_order(&leader(0, 2, [1, 2]), &changed(four, 3, commit)));
    assert_eq!(changes(2), "none is broken");
    assert_eq!(changes(1), "one change at a time", "that is of term 1");
    assert_eq!(changes(0), "one change at a time");
    let five = changed(Configuration::of(Members::first(5)), 3, 2);
    let early = Facts { changed: InForce { previous_at: 2, ..five.changed }, ..five };
    let before = changed(four, 2, 1);
    assert_eq!(law(changes_in_order(&before, &early)), "none is broken");
    let earlier = Facts { commit: 1, ..early };
    assert_eq!(law(changes_in_order(&before, &earlier)), "one change at a time");
    let heard = Facts { leads: false, ..changed(four, 3, 0) };
    assert_eq!(law(changes_in_order(&member(0, 2, [1]), &heard)), "none is broken", "it follows");
}

#[test]
fn a_commit_that_one_half_does_not_hold_is_seen() {
    let three = Configuration::of(Members::first(3));
    let four = three.enter_joint(true, &[Change::AddVoter(Slot::new(3))]).expect("it may");
    let commits = |configuration, at, holders: &[u8]| {
        let after = changed(configuration, at, 3);
        let holds = |slot: u8| {
            let log = if holders.contains(&slot) { terms([1, 2, 2]) } else { terms([1]) };
            Facts { durable: log, ..member(slot, 2, [1]) }
        };
        let members: Vec<_> = (0..4).map(holds).collect();
        law(counts_by_its_configuration(&changed(three, 0, 2), &after, &members))
    };
    assert_eq!(commits(three, 0, &[0, 1]), "none is broken");
    assert_eq!(commits(three, 0, &[0, 3]), "commitment by configuration");
    assert_eq!(commits(four, 3, &[0, 1, 3]), "none is broken");
    assert_eq!(commits(four, 3, &[0, 1]), "commitment by configuration", "the new half");
    let moved = three
        .enter_joint(
            true,
            &[
                Change::AddVoter(Slot::new(3)),
                Change::Remove(Slot::new(1)),
                Change::Remove(Slot::new(2)),
            ],
        )
        .expect("it may");
    assert_eq!(commits(moved, 3, &[0, 3]), "commitment by configuration", "the old half");
}
