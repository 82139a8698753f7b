//! The algebra of configurations, played against the rules that etcd documents for its own (`confchange`):
//! what each change makes of a configuration, and what is refused.

use quorate::id::Slot;
use quorate::raft::{Change, Configuration, Unchangeable};

/// Changes as etcd writes them: v4 votes, l4 learns, r4 is removed. One of node 0, and an update, is none.
fn changes(words: &str) -> Vec<Change> {
    let change = |word: &str| {
        let slot = Slot::new(word[1..].parse().unwrap());
        let change = match &word[..1] {
            "v" => Change::AddVoter(slot),
            "l" => Change::AddLearner(slot),
            "r" => Change::Remove(slot),
            "u" => return None,
            other => panic!("{other}"),
        };
        Some(change).filter(|_| slot.number() > 0)
    };
    words.split_whitespace().filter_map(change).collect()
}

/// What a step comes to: the configuration in words, or why there is none.
type Comes = Result<&'static str, Unchangeable>;

/// Plays steps, one after the other from nothing; what is refused changes nothing.
fn play(steps: &[(&str, Comes)]) {
    let mut now = Configuration::default();
    for (place, (step, comes)) in steps.iter().enumerate() {
        let (how, words) = step.split_once(':').unwrap();
        let changes = changes(words);
        let next = match how {
            "simple" => now.simple(&changes),
            "enter" => now.enter_joint(false, &changes),
            "enter auto" => now.enter_joint(true, &changes),
            "leave" => now.leave_joint(),
            other => panic!("{other}"),
        };
        let in_words = next.map(|next| next.to_string());
        assert_eq!(in_words, comes.map(str::to_owned), "step {place}, {step}, of {now}");
        if let Ok(next) = next {
            assert!(next.is_coherent(), "{next}");
            assert!(now.leads_to(&next), "{now} leads to {next}");
            now = next;
        }
    }
}

#[test]
fn simple_changes_take_one_voter_and_any_number_of_learners() {
    play(&[
        ("simple: l1", Err(Unchangeable::NobodyWouldVote)),
        ("simple: v1", Ok("(1)")),
        ("simple: v2 l3", Ok("(1 2) learners (3)")),
        ("simple: r1 v5", Err(Unchangeable::SeveralVoters)),
        ("simple: r1 r2", Err(Unchangeable::NobodyWouldVote)),
        ("simple: v3 v4", Err(Unchangeable::SeveralVoters)),
        ("simple: l1 v5", Err(Unchangeable::SeveralVoters)),
        ("simple: l1 l2", Err(Unchangeable::NobodyWouldVote)),
        ("simple: l2 l3 l4 l5", Ok("(1) learners (2 3 4 5)")),
        ("simple: r1", Err(Unchangeable::NobodyWouldVote)),
        ("simple: r2 r3 r4 r5", Ok("(1)")),
    ]);
}

#[test]
fn what_is_so_already_may_be_asked_for_again() {
    play(&[
        ("simple: v1", Ok("(1)")),
        ("simple: v1", Ok("(1)")),
        ("simple: v2", Ok("(1 2)")),
        ("simple: l1", Ok("(2) learners (1)")),
        ("simple: l1", Ok("(2) learners (1)")),
        ("simple: r1", Ok("(2)")),
        ("simple: r1", Ok("(2)")),
        ("simple: v3", Ok("(2 3)")),
        ("simple: r3", Ok("(2)")),
        ("simple: r3", Ok("(2)")),
        ("simple: r4", Ok("(2)")),
    ]);
}

#[test]
fn only_what_comes_of_all_changes_counts() {
    play(&[
        ("simple: v1", Ok("(1)")),
        ("simple: v2", Ok("(1 2)")),
        ("simple: v3", Ok("(1 2 3)")),
        ("simple: l1 v1", Ok("(1 2 3)")),
        ("simple: l2", Ok("(1 3) learners (2)")),
        ("simple: v2 l2", Ok("(1 3) learners (2)")),
        ("simple: v2", Ok("(1 2 3)")),
        ("simple: r4 v4 r4 l4", Ok("(1 2 3) learners (4)")),
    ]);
}

#[test]
fn node_zero_and_updates_change_nothing() {
    play(&[
        ("simple: v1 r0 v0 l0", Ok("(1)")),
        ("simple: v2 u1", Ok("(1 2)")),
        ("simple: u1 u2 u3 u1 u2 u3", Ok("(1 2)")),
    ]);
}

#[test]
fn a_joint_configuration_is_entered_from_voters_once_and_left_once() {
    play(&[
        ("leave:", Err(Unchangeable::NotJoint)),
        ("enter:", Err(Unchangeable::NobodyVotes)),
        ("enter: v1", Err(Unchangeable::NobodyVotes)),
        ("simple: v1", Ok("(1)")),
        ("leave:", Err(Unchangeable::NotJoint)),
        ("enter:", Ok("(1)&&(1)")),
        ("enter:", Err(Unchangeable::Joint)),
        ("leave:", Ok("(1)")),
        ("leave:", Err(Unchangeable::NotJoint)),
        ("enter: r1 v2 v3 l4", Ok("(2 3)&&(1) learners (4)")),
        ("enter:", Err(Unchangeable::Joint)),
        ("enter: v12", Err(Unchangeable::Joint)),
        ("simple: l15", Err(Unchangeable::Joint)),
        ("leave:", Ok("(2 3) learners (4)")),
        ("simple: l9", Ok("(2 3) learners (4 9)")),
        ("enter: r2 r3", Err(Unchangeable::NobodyWouldVote)),
    ]);
}

#[test]
fn who_leaves_by_itself_is_remembered_and_enters_no_second_time() {
    play(&[
        ("simple: v1", Ok("(1)")),
        ("enter auto: v2 v3", Ok("(1 2 3)&&(1) autoleave")),
        ("enter:", Err(Unchangeable::Joint)),
        ("leave:", Ok("(1 2 3)")),
    ]);
}

#[test]
fn a_voter_that_is_demoted_learns_when_the_old_half_is_gone() {
    play(&[
        ("simple: v1", Ok("(1)")),
        ("enter: v2 l1", Ok("(2)&&(1) learners next (1)")),
        ("leave:", Ok("(2) learners (1)")),
    ]);
    play(&[
        ("simple: v1", Ok("(1)")),
        (
            "enter: r1 r2 r9 v2 v3 v4 v2 v3 v4 l2 l2 r4 r4 l1 l1",
            Ok("(3)&&(1) learners (2) learners next (1)"),
        ),
        ("leave:", Ok("(3) learners (1 2)")),
    ]);
    play(&[
        ("simple: v1", Ok("(1)")),
        ("simple: v2", Ok("(1 2)")),
        ("enter: l2 r2", Ok("(1)&&(1 2)")),
        ("leave:", Ok("(1)")),
    ]);
}
