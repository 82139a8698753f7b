//! What the world itself watches over: holders, fences, and what excuses a group.

use super::super::action::Act;
use super::super::bare::Bare;
use super::super::edit::Edit;
use super::super::hosted::{Hosted, Input, Said};
use super::super::marks::Mark;
use super::super::process::Came;
use super::super::schedule::Schedule;
use super::super::shrink::is_in_lane;
use super::super::world::World;
use super::calm;
use quorate::Machine;
use quorate::id::{EntryId, Index, Members, Slot, Term};
use quorate::lease::{Fence, Name, Token, holder};
use quorate::raft::{Change, Message, Write};
use quorate::replica::Header;
use quorate::time::{Instant, Span};

fn world() -> World<Bare> {
    let mut world = Schedule::<Bare>::world_of(1, &calm());
    // Raft alone has no clients of its own.
    let other = Schedule::<super::BadReplica<super::Truth>>::world_of(1, &calm());
    world.processes = other.processes;
    world
}

fn scope() -> Name {
    Name::new("scope").expect("a short name")
}

const fn token(index: u64) -> Token {
    Token::new(Index::new(index))
}

/// The lanes of the two clients.
const CLIENTS: [u8; 2] = [3, 4];

#[test]
fn a_fence_that_lets_an_old_token_in_is_seen() {
    let used = |admitted: Token, highest: Token, token: Token| {
        let mut world = world();
        let mut fence = Fence::new();
        fence.admit(admitted).expect("it is the first");
        world.fences.insert(scope(), (fence, highest));
        world.processes[0].token = Some((scope(), token));
        world.use_resource(CLIENTS[0]).map_err(|violation| violation.oracle)
    };
    assert_eq!(used(token(5), token(5), token(4)), Ok(()));
    assert_eq!(used(token(5), token(5), token(5)), Ok(()));
    assert_eq!(used(Token::ZERO, token(5), token(4)), Err("LS3"), "it has forgotten");
    assert_eq!(used(token(9), token(5), token(6)), Err("LS3"), "it keeps somebody out");
}

#[test]
fn a_holder_that_goes_on_after_its_grant_is_seen() {
    let held = |until: u64, most: u64| {
        let [until, most] = [until, most].map(Instant::from_micros);
        let came = Came { held: Some((scope(), until, most)), ..Came::default() };
        let told = world().with_process(CLIENTS[0], |_, _| came);
        told.map_err(|violation| violation.oracle)
    };
    let far = u64::MAX / 2;
    // The guard covers twice the offset, and not the millisecond that stamps do not tell.
    assert_eq!(held(far - 1_000, far), Ok(()));
    assert_eq!(held(far - 999, far), Err("LS4"));
}

#[test]
fn a_holder_without_a_margin_or_with_a_clock_that_it_trusts_too_much_is_seen() {
    let right = holder::Config::beside(super::super::vault::LEASES.guard, Span::millis(250));
    let held_with = |config: holder::Config| {
        let options = super::Options { leasing: 100, ..calm() };
        let mut schedule = Schedule::<super::BadReplica<super::Truth>>::new(1, options);
        schedule.world.processes[0].holder = holder::Holder::new(config);
        schedule.run(u64::MAX, 3_000, |_| false).map_err(|violation| violation.oracle)
    };
    assert_eq!(held_with(right), Ok(()));
    assert_eq!(held_with(holder::Config { margin: Span::ZERO, ..right }), Err("LS4"));
    assert_eq!(held_with(holder::Config { drift_parts: 1_000_000, ..right }), Err("LS4"));
}

/// The first client holds the scope, by its own clock, for ten seconds.
fn held_by_the_first(world: &mut World<Bare>) {
    let at = world.now();
    let process = &mut world.processes[0];
    let now = process.clocks.show(at);
    let mut out = Vec::new();
    process.holder.step(now, holder::Input::Acquire, &mut out).expect("it holds nothing");
    let holder::Output::AcquireNow { request } = out.remove(0) else { panic!("it asks") };
    let granted = holder::Input::Granted { request, token: token(1), duration: Span::secs(10) };
    process.holder.step(now, granted, &mut out).expect("it has asked");
    process.scope = Some(scope());
    assert!(process.believes(at, scope()));
}

#[test]
fn two_that_hold_a_scope_at_a_time_are_seen() {
    let held_by_another = |name: Name, is_wild: bool| {
        let mut world = world();
        world.is_wild = is_wild;
        held_by_the_first(&mut world);
        let far = Instant::from_micros(u64::MAX / 2);
        let came = Came { held: Some((name, far, far.after(Span::secs(1)))), ..Came::default() };
        let told = world.with_process(CLIENTS[1], |_, _| came);
        told.map_err(|violation| violation.oracle)
    };
    let other = Name::new("other").expect("a short name");
    assert_eq!(held_by_another(scope(), false), Err("LS1"));
    assert_eq!(held_by_another(other, false), Ok(()));
    assert_eq!(held_by_another(scope(), true), Ok(()), "clocks are further apart than agreed");
}

#[test]
fn only_a_leader_whose_clock_is_behind_or_missing_is_an_excuse() {
    let is_excused = |change: fn(&mut World<super::BadReplica<super::Truth>>)| {
        let options = super::Options { wild: 1, ..calm() };
        let mut schedule = Schedule::new(1, options);
        schedule.run(u64::MAX, 500, |_| false).expect("nothing is wrong");
        assert!(schedule.world.leader().is_some());
        change(&mut schedule.world);
        schedule.run(u64::MAX, 1_000, |_| false).expect("nothing is wrong");
        schedule.world.is_wild
    };
    const HOUR: i64 = 3_600_000_000;
    assert!(!is_excused(|_| ()), "that clocks may be wrong is none");
    assert!(!is_excused(|world| world.members[0].clocks.ahead = 100_000));
    assert!(!is_excused(|world| {
        let leader = world.leader();
        let follower = (0..3).find(|slot| Some(*slot) != leader).expect("there are two");
        world.members[follower].clocks.ahead = -HOUR;
    }));
    assert!(is_excused(|world| {
        world.members.iter_mut().for_each(|member| member.clocks.ahead = -HOUR);
    }));
    assert!(is_excused(|world| {
        world.members.iter_mut().for_each(|member| member.clocks.has_wall = false);
    }));
}

#[test]
fn nothing_happens_to_those_who_sleep() {
    type Group = super::BadReplica<super::Truth>;
    let done_by = |asleep: &[usize]| {
        let options = super::Options { step_down: 100_000, tick: 20_000, load: 5_000, ..calm() };
        let mut schedule = Schedule::<Group>::new(1, options);
        schedule.run(u64::MAX, 500, |_| false).expect("nothing is wrong");
        asleep.iter().for_each(|lane| schedule.asleep[*lane] = u64::MAX);
        schedule.actions = Some(Vec::new());
        schedule.run(u64::MAX, 1_500, |_| false).expect("nothing is wrong");
        let actions = schedule.actions.unwrap_or_default();
        let of = |lane: u8| actions.iter().filter(|action| is_in_lane(&action.act, lane)).count();
        [of(0), of(CLIENTS[0])]
    };
    assert!(done_by(&[]).iter().all(|count| *count > 50));
    assert_eq!(done_by(&[0, usize::from(CLIENTS[0])]), [0, 0]);
}

/// A slow link of three members and two clients, one clog after another.
#[test]
fn clogs_and_flaps_are_of_links_that_there_are_and_end_one_by_one() {
    let options = super::Options { clog: 10_000, flap: 10_000, ..calm() };
    let mut schedule = Schedule::<super::BadReplica<super::Truth>>::new(1, options);
    let mut most = 0;
    for _ in 0..400 {
        let until = schedule.now + 50_000;
        schedule.run(until, u64::MAX, |_| false).expect("nothing is wrong");
        schedule.wait_until(until);
        let lanes = schedule.lanes();
        for (from, to) in (0..lanes).flat_map(|from| (0..lanes).map(move |to| (from, to))) {
            let (slow, cuts) = (schedule.slow[from * lanes + to], schedule.cuts[from * lanes + to]);
            let is_a_link = from != to && (from < 3 || to < 3);
            assert!(is_a_link || slow == 0 && cuts == 0, "{from} to {to}");
            most = most.max(slow);
        }
    }
    assert!(most > 2 * schedule.options.timeout, "two at a time");
}

#[test]
fn members_that_are_swizzled_come_back_in_another_order() {
    let options = super::Options { swizzle: 2_000_000, members: 5, ..calm() };
    let mut schedule = Schedule::<super::BadReplica<super::Truth>>::new(1, options);
    let lanes = schedule.lanes();
    let alone = |schedule: &Schedule<super::BadReplica<super::Truth>>| {
        let cut = |slot: usize| (0..5).filter(|to| schedule.cuts[slot * lanes + to] > 0).count();
        (0..5).filter(|slot| cut(*slot) == 4).count()
    };
    let mut most = 0;
    while schedule.world.marks.count(Mark::Swizzled) < 5 {
        let until = schedule.now + 50_000;
        schedule.run(until, u64::MAX, |_| false).expect("nothing is wrong");
        schedule.wait_until(until);
        most = most.max(alone(&schedule));
    }
    assert!(most >= 2, "at a time");
    assert!(schedule.settle().is_ok());
    assert_eq!(schedule.cuts.iter().sum::<u32>(), 0);
}

#[test]
fn a_group_can_go_on_while_most_of_it_can() {
    for members in 1..=7_usize {
        for lost in 0..=members {
            let options = super::Options { members: members as u64, ..calm() };
            let mut world = Schedule::<Bare>::world_of(1, &options);
            world.members[..lost].iter_mut().for_each(|member| member.is_lost = true);
            let goes_on = world.recoverable(world.alive());
            assert_eq!(goes_on, 2 * (members - lost) > members, "{lost}/{members}");
        }
    }
}

fn set(slots: &[u8]) -> Members {
    slots.iter().copied().map(Slot::new).collect()
}

/// A group of five in which n0 leads and has had this change committed, before some are lost.
fn changed(change: Edit, lost: &[usize]) -> World<Bare> {
    let options = super::Options { members: 5, spare: 2, ..calm() };
    let mut schedule = Schedule::<Bare>::new(1, options);
    schedule.run(u64::MAX, 2_000, |world| world.leader().is_some()).expect("nothing is wrong");
    for change in [change, Edit::Leave] {
        let until = schedule.now + 1_000_000;
        schedule.run(until, u64::MAX, |_| false).expect("nothing is wrong");
        let leader = schedule.world.leader().expect("nobody is lost") as u8;
        schedule.act(Act::Change(leader, change), None, leader).expect("nothing is wrong");
    }
    let until = schedule.now + 1_000_000;
    schedule.run(until, u64::MAX, |_| false).expect("nothing is wrong");
    let mut world = schedule.world;
    for slot in lost {
        (world.members[*slot].is_lost, world.members[*slot].machine) = (true, None);
    }
    world
}

#[test]
fn whether_a_group_can_go_on_is_a_question_of_its_configuration() {
    let add = |slot| Some(Change::AddVoter(Slot::new(slot)));
    let remove = |slot| Some(Change::Remove(Slot::new(slot)));
    let goes_on = |change, lost: &[usize]| {
        let world = changed(change, lost);
        world.recoverable(world.alive())
    };
    let learner = Edit::Simple(Change::AddLearner(Slot::new(3)));
    assert!(goes_on(learner, &[0, 3]), "two of three voters are left");
    assert!(!goes_on(learner, &[0, 1]), "a learner is no help");
    let five = Edit::Joint(true, [add(3), add(4), None]);
    assert!(goes_on(five, &[0, 1]), "three of five are left");
    assert!(!goes_on(five, &[0, 1, 2]));
    let moved = Edit::Joint(true, [remove(0), remove(1), add(3)]);
    assert!(goes_on(moved, &[0, 1]), "who was removed is not missed");
    assert!(!goes_on(moved, &[2, 3]), "nor is it a help");
}

#[test]
fn both_halves_of_a_joint_configuration_are_needed() {
    let add = |slot| Some(Change::AddVoter(Slot::new(slot)));
    let remove = |slot| Some(Change::Remove(Slot::new(slot)));
    let options = super::Options { members: 5, spare: 2, ..calm() };
    let mut schedule = Schedule::<Bare>::new(1, options);
    schedule.run(u64::MAX, 2_000, |world| world.leader().is_some()).expect("nothing is wrong");
    let until = schedule.now + 1_000_000;
    schedule.run(until, u64::MAX, |_| false).expect("nothing is wrong");
    let leader = schedule.world.leader().expect("nobody is lost") as u8;
    let others: Vec<u8> = (0..3).filter(|slot| *slot != leader).collect();
    let joint = Edit::Joint(false, [remove(others[0]), add(3), add(4)]);
    schedule.act(Act::Change(leader, joint), None, leader).expect("nothing is wrong");
    let until = schedule.now + 1_000_000;
    schedule.run(until, u64::MAX, |_| false).expect("nothing is wrong");
    let goes_on = |slots: &[u8]| schedule.world.recoverable(set(slots));
    let (one, two) = (others[0], others[1]);
    assert!(goes_on(&[leader, two, 3]));
    assert!(goes_on(&[leader, one, 3, 4]), "two of each");
    assert!(!goes_on(&[leader, one, two]), "the new half has two of four");
    assert!(!goes_on(&[leader, 3, 4]), "the old half has one of three");
}

#[test]
fn nobody_is_destroyed_whom_a_configuration_in_force_needs() {
    let world = changed(Edit::Simple(Change::Remove(Slot::new(2))), &[]);
    assert!(!world.can_spare(0) && !world.can_spare(1), "two of two are needed");
    assert!(world.can_spare(2) && world.can_spare(3));
}

/// A member with so many runs of one entry each in its log.
fn with_runs(world: &World<Bare>, count: u64) -> Bare {
    let write = |n: u64| {
        let (first, last) = (Index::new(n), Index::new(n));
        (Write::Append { term: Term::new(n), first, last }, vec![n])
    };
    let ballot = (Write::Ballot { term: Term::new(count), vote: None }, Vec::new());
    let writes: Vec<_> = (1..=count).map(write).chain([ballot]).collect();
    Bare::boot(&world.setup, Slot::new(1), 1, None, &writes).expect("it fits")
}

#[test]
fn only_a_majority_that_is_out_of_runs_or_has_newer_entries_than_the_rest_is_an_excuse() {
    let most = calm().runs;
    let excused = |runs: [u64; 3], core: &[u8]| {
        let mut world = world();
        for (slot, runs) in runs.into_iter().enumerate() {
            world.members[slot].machine = Some(with_runs(&world, runs));
        }
        world.out_of_runs(set(core))
    };
    assert!(!excused([0, 0, 0], &[0, 1, 2]));
    assert!(!excused([0, most - 1, 0], &[0, 1]), "there is room for one more");
    assert!(excused([most, most, most], &[0, 1, 2]));
    assert!(excused([0, most, most], &[0, 1, 2]), "nobody votes for the one that could lead");
    assert!(!excused([0, most, 0], &[0, 1, 2]), "the others can do without it");
    assert!(excused([0, most, 0], &[0, 1]), "they cannot without its vote, and it has more");
    assert!(!excused([0, most, 0], &[0, 2]), "it is not one of these");
    assert!(!excused([0, 0, 0], &[0]), "what is missing is no lack of runs");
}

#[test]
fn a_full_log_of_one_who_joined_is_an_excuse_only_if_it_was_not_told_who_founded_the_group() {
    let excused = |entries: u64, informed: bool, core: &[u8]| {
        let mut world = world();
        world.setup.informed = informed;
        for slot in 0..3 {
            // The last one joins; the others founded the group.
            world.setup.founders = 2 + u8::from(slot < 2);
            let (term, first, last) = (Term::new(1), Index::new(1), Index::new(entries));
            let writes: &[_] = match (slot, entries) {
                (2, 1..) => &[(Write::Append { term, first, last }, (1..=entries).collect())],
                _ => &[],
            };
            let slot = Slot::new(slot);
            let machine = Bare::boot(&world.setup, slot, 1, None, writes).expect("it fits");
            world.members[slot.position()].machine = Some(machine);
        }
        world.uninformed(set(core))
    };
    let limits = world().setup.limits;
    let full = (limits.entries - limits.runs + 1) as u64;
    assert!(excused(full, false, &[0, 2]), "of three who vote, two are here, and one has no room");
    assert!(!excused(full, true, &[0, 2]), "it can let go");
    assert!(!excused(full - limits.runs as u64, false, &[0, 2]), "there is room");
    assert!(!excused(full, false, &[0, 1, 2]), "the others can do without it");
    assert!(!excused(full, false, &[0, 1]), "it is not one of these");
}

#[test]
fn a_member_out_of_runs_is_no_excuse_once_it_knows_of_a_commit() {
    let mut world = world();
    let most = calm().runs;
    let machine = with_runs(&world, most);
    world.members[1].machine = Some(machine);
    assert!(world.out_of_runs(set(&[0, 1])));

    // It hears that the first run is committed.
    let mut machine = with_runs(&world, most);
    let (term, prev) = (Term::new(most), EntryId::new(Term::new(most), Index::new(most)));
    let message =
        Message::Append { term, prev, entries: term, count: 0, commit: Index::new(1), round: 1 };
    let header = Header { message, early: false, bare: false };
    let now = world.members[1].clocks.show(0);
    let mut said = Said { most: machine.max_outputs(), ..Said::default() };
    let from = Slot::new(0);
    machine
        .step(now, Input::Message { from, header, entries: &[], chunk: &[] }, &mut said)
        .expect("a message is never refused");
    assert_eq!(machine.raft().commit(), Index::new(1));
    world.members[1].machine = Some(machine);
    assert!(!world.out_of_runs(set(&[0, 1])), "it can compact");
}
