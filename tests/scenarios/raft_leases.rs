//! Reads that a leader answers by itself, and everything that must keep it from doing so.

use crate::cast::*;
use quorate::raft::{Change, Read};

/// Clocks that drift apart by a hundredth.
fn setup(count: u8) -> Setup {
    Setup { clock_drift: Some(10_000), ..Setup::of(count) }
}

/// A leader whose first entry is committed, one heartbeat later.
fn led(count: u8) -> Group {
    let mut c = Group::new(count, setup(count));
    c.elect(0);
    c.settle();
    c.pass(Span::millis(30));
    c
}

/// Whether a read is answered in the step that takes it.
fn reads_at_once(c: &mut Group, slot: u8) -> bool {
    c.nodes[usize::from(slot)].told.clear();
    c.ask(slot, Input::Read).unwrap();
    c.readable(slot).is_some()
}

#[test]
fn a_leader_heard_by_a_quorum_answers_reads_by_itself() {
    let mut c = led(3);
    c.flights.clear();
    assert!(reads_at_once(&mut c, 0));
    assert!(c.flights.is_empty(), "and says nothing to anybody");
    let read = Read { term: Term::new(1), round: 1, number: 1 };
    assert_eq!(c.readable(0), Some((read, 1)));
}

#[test]
fn who_does_not_trust_clocks_asks_around() {
    let mut c = Group::of(3);
    c.elect(0);
    c.settle();
    c.pass(Span::millis(30));
    assert!(!c.machine(0).has_lease() && !reads_at_once(&mut c, 0));
}

// etcd#6005, tikv#964: the lease was counted from the answer.
#[test]
fn a_lease_begins_when_the_round_is_sent_and_ends_before_a_promise_can() {
    let mut c = Group::new(3, setup(3));
    c.elect(0);
    c.settle();
    let sent = c.now();
    c.tick(0); // No heartbeat is due: no round is timed.
    c.jump(Span::millis(30));
    c.tick(0);
    let begun = c.now().mono.since(sent.mono);
    assert_eq!(begun, Span::millis(30));
    c.jump(Span::millis(20));
    c.settle();
    assert!(c.machine(0).has_lease(), "the answers came after 20 ms");
    // 150 ms less a hundredth and a microsecond after the round was sent, 20 of them gone.
    c.jump(Span::micros(148_499 - 20_000 - 1));
    assert!(reads_at_once(&mut c, 0));
    c.jump(Span::micros(1));
    assert!(!reads_at_once(&mut c, 0));
}

// etcd#6005, tikv#1127: ticks stop while a process is paused, and a lease that counts them does not end.
#[test]
fn answers_that_are_heard_after_a_pause_give_no_lease() {
    let mut c = Group::new(3, setup(3));
    c.elect(0);
    c.settle();
    c.jump(Span::millis(30));
    c.tick(0);
    c.deliver(0, 1);
    c.deliver(0, 2);
    c.jump(Span::secs(10));
    c.settle();
    assert!(c.machine(0).leads() && !c.machine(0).has_lease());
    assert!(!reads_at_once(&mut c, 0));
}

// d-engine#158: the lease was counted by a clock that is set by hand.
#[test]
fn a_civil_clock_that_is_set_makes_no_lease_longer_or_shorter() {
    for ahead in [-3_600_000_000, 3_600_000_000] {
        let mut c = led(3);
        c.part(&[0], &[1, 2]);
        c.nodes[0].wall_ahead_micros = Some(ahead);
        c.jump(Span::micros(148_498));
        assert!(reads_at_once(&mut c, 0), "{ahead}");
        c.jump(Span::micros(1));
        assert!(!reads_at_once(&mut c, 0), "{ahead}");
    }
}

#[test]
fn nobody_elects_another_leader_while_the_lease_lasts() {
    let mut c = led(3);
    c.part(&[0], &[1, 2]);
    for _ in 0..148 {
        c.pass(Span::millis(1));
        let is_other = c.machine(1).leads() || c.machine(2).leads();
        assert!(!(c.machine(0).has_lease() && is_other), "{}", c.story());
    }
    c.pass(Span::secs(1));
    assert!(c.machine(1).leads() || c.machine(2).leads());
    assert!(!c.machine(0).has_lease());
}

// A voter that restarts has forgotten whom it heard, and promises silence to whoever it was: else it would
// elect another while the leader still counts on it.
#[test]
fn restarted_voters_keep_the_promise_that_the_lease_rests_on() {
    let mut c = led(3);
    c.part(&[0], &[2]);
    let rings_in = |c: &Group| {
        let alarm = c.machine(2).deadline().expect("it listens");
        alarm.since(c.now_of(Slot::new(2)).mono)
    };
    while rings_in(&c) > Span::millis(5) {
        c.pass(Span::millis(1));
    }
    c.restart(1);
    for _ in 0..20 {
        c.pass(Span::millis(1));
        assert!(c.machine(0).has_lease() && !c.machine(2).leads(), "{}", c.story());
    }
}

// etcd-io/raft and raft-rs answered reads by lease while the successor's voters skipped the promise.
#[test]
fn leadership_on_its_way_to_another_ends_the_lease() {
    let mut c = led(3);
    c.part(&[0], &[1, 2]);
    c.ask(0, Input::Transfer(Slot::new(1))).unwrap();
    assert!(!reads_at_once(&mut c, 0));
}

// openraft#1747, tikv#4688: the successor had been elected and had committed, and the old leader, cut
// off, went on answering by lease.
#[test]
fn a_leader_whose_successor_was_elected_unknown_to_it_answers_no_read() {
    let mut c = led(5);
    c.ask(0, Input::Transfer(Slot::new(1))).unwrap();
    c.deliver(0, 1);
    c.part(&[0, 4], &[1, 2, 3]);
    c.settle();
    c.propose(1, 1);
    c.settle();
    assert!(c.machine(0).leads() && c.commits()[1] > c.commits()[0]);
    c.nodes[0].told.clear();
    for _ in 0..149 {
        c.ask(0, Input::Read).unwrap();
        c.ask(4, Input::Read).unwrap();
        c.pass(Span::millis(1));
        assert_eq!((c.readable(0), c.readable(4)), (None, None), "{}", c.story());
    }
}

#[test]
fn a_transfer_in_vain_gives_the_lease_back_only_once_nobody_can_act_on_it() {
    let mut c = led(3);
    c.ask(0, Input::Transfer(Slot::new(1))).unwrap();
    let late = c.hold(0, 1);
    c.cut_one_way(0, 1);
    c.pass(Span::millis(149));
    c.heal();
    c.pass(Span::millis(31));
    assert!(!c.machine(0).is_transferring());
    assert!(c.machine(0).leads() && !c.machine(0).has_lease(), "the word may still arrive");
    c.propose(0, 1);
    c.settle();
    c.pass(Span::millis(30));
    assert!(c.machine(0).has_lease(), "the successor's log has gone on, so the word is void");
    for flight in late {
        c.flights.push(flight);
    }
    c.settle();
    assert!(c.machine(0).leads() && !c.machine(1).leads());
}

#[test]
fn a_joint_configuration_has_no_lease() {
    let mut c = Group::new(4, setup(3));
    c.elect(0);
    c.settle();
    c.pass(Span::millis(30));
    assert!(c.machine(0).has_lease());
    let joint = c.machine(0).configuration().enter_joint(false, &[Change::AddVoter(Slot::new(3))]);
    c.ask(0, Input::Reconfigure(joint.unwrap())).unwrap();
    c.settle();
    c.pass(Span::millis(60));
    assert!(!c.machine(0).has_lease());
    let left = c.machine(0).configuration().leave_joint().unwrap();
    c.ask(0, Input::Reconfigure(left)).unwrap();
    c.settle();
    assert!(c.machine(0).has_lease());
}

// d-engine#158: a clock that had jumped back was taken for a fresh lease.
#[test]
fn a_clock_that_went_back_ends_the_lease_until_it_is_where_it_was() {
    let mut raft = alone(Some(200));
    let at = |raft: &mut Raft, micros, input| step(raft, micros, input);
    at(&mut raft, 400_000, Input::Tick);
    assert!(raft.has_lease());
    at(&mut raft, 300_000, Input::Tick);
    assert!(!raft.has_lease());
    for micros in [300_001, 350_000, 399_999, 400_000] {
        at(&mut raft, micros, Input::Tick);
        assert!(!raft.has_lease(), "{micros}");
    }
    at(&mut raft, 440_000, Input::Tick);
    assert!(raft.has_lease());
}

/// The only voter of a group, leading, at 350 ms.
fn alone(clock_drift: Option<u32>) -> Raft {
    let setup = Setup { clock_drift, ..Setup::of(1) };
    let mut raft = Raft::new(setup.config(Slot::new(0), 1)).unwrap();
    step(&mut raft, 0, Input::Tick);
    step(&mut raft, 300_000, Input::Tick);
    step(&mut raft, 350_000, Input::Tick);
    assert!(raft.leads());
    raft
}

/// Takes a step, and every step that follows from what it writes.
fn step(raft: &mut Raft, micros: u64, input: Input) {
    use quorate::time::Now;
    use quorate_sim::raft::step_vec;
    let mut inputs = vec![input];
    while let Some(input) = inputs.pop() {
        for output in step_vec(raft, Now::mono(micros), input).unwrap() {
            if let Output::Persist { receipt, .. } = output {
                inputs.push(Input::Persisted(receipt));
            }
        }
    }
}

// etcd#15247: a leader whose disk was stuck kept its lease, and nothing could be written.
#[test]
fn a_leader_whose_disk_is_stuck_steps_down() {
    let mut c = led(3);
    c.disk_is_fast(0, false);
    c.propose(0, 1);
    c.settle();
    c.pass(Span::millis(149));
    assert!(c.machine(0).leads());
    c.pass(Span::millis(150));
    assert!(!c.machine(0).leads(), "{}", c.story());
    c.pass(Span::secs(1));
    assert!(c.machine(1).leads() || c.machine(2).leads());
}

#[test]
fn a_leader_whose_disk_is_slow_and_goes_on_stays() {
    let mut c = led(3);
    c.disk_is_fast(0, false);
    for _ in 0..20 {
        c.propose(0, 1);
        c.settle();
        c.pass(Span::millis(60));
        c.persist(Slot::new(0), 1);
        c.notice(Slot::new(0));
    }
    assert!(c.machine(0).leads());
}

#[test]
fn a_round_that_nobody_has_answered_gives_no_lease() {
    let mut c = Group::new(3, setup(3));
    c.elect(0);
    c.settle();
    c.part(&[0], &[1, 2]);
    c.pass(Span::millis(31));
    assert!(c.machine(0).leads() && !c.machine(0).has_lease());
}

#[test]
fn a_read_by_lease_is_named_after_the_newest_round() {
    let mut c = led(3);
    c.pass(Span::millis(90));
    assert!(reads_at_once(&mut c, 0));
    let (read, _) = c.readable(0).unwrap();
    assert!(read.round >= 3, "{read:?}");
}

#[test]
fn a_leader_that_steps_down_says_whose_silence_it_was() {
    use quorate::Machine;
    use quorate::time::Now;
    use quorate_sim::raft::Outputs;
    let why = |raft: &mut Raft, micros| {
        let mut out = Outputs::with_room(raft.max_outputs());
        raft.step(Now::mono(micros), Input::Tick, &mut out).unwrap();
        out.events.iter().find_map(|event| match event {
            Event::SteppedDown { why, .. } => Some(*why),
            _ => None,
        })
    };
    let mut raft = alone(None);
    let mut out = Outputs::with_room(raft.max_outputs());
    raft.step(Now::mono(360_000), Input::Propose { count: 1 }, &mut out).unwrap();
    let told: Vec<_> = (0..10).filter_map(|n| why(&mut raft, 400_000 + n * 50_000)).collect();
    assert_eq!(told, [quorate::event::SteppedDown::DiskSilent]);
    let mut c = led(3);
    c.part(&[0], &[1, 2]);
    let mut raft = c.machine(0).clone();
    let now = c.now_of(Slot::new(0)).mono.as_micros();
    let told: Vec<_> = (1..10).filter_map(|n| why(&mut raft, now + n * 40_000)).collect();
    assert_eq!(told, [quorate::event::SteppedDown::QuorumSilent]);
}

#[test]
fn two_leaders_that_differ_in_time_alone_are_one_without_it() {
    let led_after = |span: Span| {
        let mut c = led(3);
        c.jump(span);
        c.disk_is_fast(0, false);
        c.propose(0, 1);
        (c.machine(0).clone(), c.machine(0).clone().without_time())
    };
    let ((earlier, one), (later, other)) = (led_after(Span::millis(3)), led_after(Span::millis(9)));
    assert_ne!(earlier, later);
    assert_eq!(one, other);
}
