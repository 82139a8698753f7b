//! Rosters that cannot be, and groups that do not become what their roster means.

use super::super::action::{Act, Admission, PacketId};
use super::super::hosted::{Hosted, Input, Said};
use super::super::marks::Mark;
use super::super::options::Options;
use super::super::oracle::{Register, founder_at};
use super::super::schedule::Schedule;
use super::super::store::Kept;
use super::super::world::{Content, Packet};
use super::liar::Lie;
use super::{BadReplica, Truth, calm};
use quorate::Refused;
use quorate::client::Reply;
use quorate::codec::{Codec, NoRoom, Sink};
use quorate::id::{Incarnation, Index, Members, NodeId, Slot, Term};
use quorate::membership::roster::Life;
use quorate::membership::{Address, Roster};
use quorate::raft::{Configuration, Message};
use quorate::replica::Header;
use quorate::time::Now;
use std::rc::Rc;

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// A seat: the slot, the node and its life, since when, and whether it leaves.
type Seat = (u8, u64, u64, u64, bool);

/// The roster that an entry has made.
fn roster(changed: u64, seats: &[Seat]) -> Roster {
    let mut to = Bytes(Vec::new());
    let slots: Members = seats.iter().map(|seat| Slot::new(seat.0)).collect();
    let mut put = |part: &dyn Fn(&mut Bytes) -> Result<(), NoRoom>| part(&mut to).unwrap();
    put(&|to| Index::new(changed).encode(to));
    put(&|to| slots.encode(to));
    for &(_, node, incarnation, since, leaves) in seats {
        put(&|to| NodeId::new(node).encode(to));
        put(&|to| Incarnation::new(incarnation).encode(to));
        put(&|to| Address::default().encode(to));
        put(&|to| Index::new(since).encode(to));
        put(&|to| u8::from(leaves).encode(to));
    }
    Roster::decode(&mut &to.0[..]).expect("it is well formed")
}

/// What is said of rosters that two members show in turn, in a group with two founders.
fn seen(shown: &[(u64, Roster)]) -> Result<Members, &'static str> {
    let mut register = Register::new(Members::first(2));
    let mut new = Members::NONE;
    for (place, (applied, roster)) in shown.iter().enumerate() {
        new = register.seen(place, *applied, roster).map_err(|violation| violation.oracle)?;
    }
    Ok(new)
}

const A: Seat = (0, 1, 1, 3, false);
const B: Seat = (2, 9, 1, 5, false);

#[test]
fn rosters_that_follow_each_other_are_taken_and_tell_who_is_new() {
    let leaves = |seat: Seat| (seat.0, seat.1, seat.2, seat.3, true);
    let shown = [
        (3, roster(3, &[A])),
        (6, roster(5, &[A, B])),
        (7, roster(7, &[A, leaves(B), (3, 9, 2, 7, false)])),
        (8, roster(8, &[A, (3, 9, 2, 7, false)])),
        (9, roster(9, &[A, (2, 10, 1, 9, false), (3, 9, 2, 7, false)])),
    ];
    assert_eq!(seen(&shown), Ok(Members::only(Slot::new(2))));
}

#[test]
fn two_rosters_of_one_entry_are_seen() {
    assert_eq!(seen(&[(5, roster(5, &[A, B])), (5, roster(5, &[A]))]), Err("M4"));
    assert_eq!(seen(&[(5, roster(5, &[A, B])), (6, roster(3, &[A]))]), Err("M4"), "it lags");
    assert_eq!(seen(&[(5, roster(5, &[A, B])), (4, roster(3, &[A]))]), Ok(Members::NONE));
}

#[test]
fn lives_that_cannot_follow_each_other_are_seen() {
    let before = (5, roster(5, &[A, B]));
    let then = |seats: &[Seat]| seen(&[before.clone(), (7, roster(7, seats))]);
    assert_eq!(then(&[A]), Err("M3"), "nobody let it go");
    assert_eq!(then(&[A, B, (3, 9, 2, 7, false)]), Err("M3"), "both stay");
    assert_eq!(then(&[A, (2, 9, 2, 5, false)]), Err("M3"), "it is another of one name");
    assert_eq!(then(&[A, B, (3, 12, 1, 4, false)]), Err("M3"), "it was given before all that");
    let gone = (6, roster(6, &[A, (2, 9, 1, 5, true)]));
    let back = |seat: Seat| seen(&[before.clone(), gone.clone(), (7, roster(7, &[A, seat]))]);
    assert_eq!(back(B), Err("M3"), "it was to leave");
    assert_eq!(back((2, 9, 1, 7, false)), Err("M3"), "it has left");
    assert_eq!(back((3, 9, 1, 7, false)), Err("M3"), "it comes back as what it was");
}

#[test]
fn a_founders_slot_that_is_given_to_another_is_seen() {
    assert_eq!(seen(&[(3, roster(3, &[(1, 7, 1, 3, false)]))]), Err("M4"));
}

#[test]
fn a_configuration_with_somebody_who_has_no_seat_is_seen() {
    let mut register = Register::new(Members::first(2));
    let seats = roster(7, &[A, B, (3, 12, 1, 7, true)]);
    register.seen(0, 7, &seats).unwrap();
    let of =
        |slots: &[u8]| Configuration::of(slots.iter().copied().map(Slot::new).collect::<Members>());
    let said = |next: &[u8]| {
        let verdict = register.configured((0, 8), &seats, (&of(&[0]), &of(next)));
        verdict.map_err(|violation| violation.oracle)
    };
    assert_eq!(said(&[0, 2]), Ok(()));
    assert_eq!(said(&[0, 1, 2]), Err("M4"), "a founder that was not introduced does not come back");
    assert_eq!(said(&[0, 4]), Err("M4"), "nobody sits there");
    assert_eq!(said(&[0, 3]), Err("M4"), "who sits there is to leave");
}

/// Two founders and two slots that are free, in a group where so many should vote.
fn with_roster(wanted: u64) -> Options {
    let rosters = Options { roster: 1_000_000_000, wanted, ..calm() };
    Options { members: 4, spare: 2, informed: 1, least_voters: 1, ..rosters }
}

/// A group whose founders were introduced, and who leads it.
fn introduced<H: Hosted>(wanted: u64) -> (Schedule<H>, u8) {
    introduced_with(with_roster(wanted))
}

fn introduced_with<H: Hosted>(options: Options) -> (Schedule<H>, u8) {
    let mut schedule = Schedule::<H>::new(1, options);
    schedule.run(u64::MAX, 2_000, |world| world.leader().is_some()).unwrap();
    pass(&mut schedule, 1_000_000);
    let leads = schedule.world.leader().expect("nothing is wrong") as u8;
    for founder in [0, 1].map(Slot::new) {
        ask(&mut schedule, leads, founder_at(founder), Some(founder));
    }
    (schedule, leads)
}

fn pass<H: Hosted>(schedule: &mut Schedule<H>, span: u64) {
    let until = schedule.now + span;
    schedule.run(until, u64::MAX, |_| false).unwrap();
}

fn ask<H: Hosted>(schedule: &mut Schedule<H>, leads: u8, life: Life, founder: Option<Slot>) {
    let admission = Admission { life, founder, replaces: None, place: 1 };
    schedule.act(Act::Admit(leads, admission), None, leads).unwrap();
    pass(schedule, 500_000);
}

fn life(node: u64) -> Life {
    Life { node: NodeId::new(node), incarnation: Incarnation::new(1) }
}

#[test]
fn a_slot_has_two_lives_in_a_run_and_the_second_begins_with_nothing() {
    let (mut schedule, leads) = introduced::<BadReplica<Truth>>(2);
    assert!(schedule.world.members[2].machine.is_none() && schedule.world.alive().len() == 2);
    ask(&mut schedule, leads, life(50), None);
    pass(&mut schedule, 3_000_000);
    assert_eq!(schedule.world.books.agreed().members().len(), 3);
    let ends = schedule.world.seats.ends(2, leads);
    schedule.act(Act::Dismiss(leads, life(50)), None, leads).unwrap();
    pass(&mut schedule, 2_000_000);
    assert_eq!(schedule.world.books.agreed().members().len(), 2);
    ask(&mut schedule, leads, life(51), None);
    pass(&mut schedule, 3_000_000);
    assert_eq!(
        (schedule.world.sits(2), schedule.world.books.agreed().members().len()),
        (Some(life(51)), 3)
    );
    assert_eq!(schedule.world.seats.ends(2, leads).0, ends.0 + 1);
    assert_eq!(schedule.world.marks.count(Mark::SlotGivenTwice), 1);
    assert_eq!(schedule.settle(), Ok(()));
}

#[test]
fn whoever_is_admitted_and_never_comes_to_vote_is_seen() {
    let settled = |meant: usize| {
        let (mut schedule, leads) = introduced::<BadReplica<Truth>>(2);
        ask(&mut schedule, leads, life(50), None);
        // More should vote than the members were told.
        let roster = schedule.world.setup.roster.as_mut().expect("it keeps one");
        roster.replication_factor = meant as u32;
        schedule.settle().map_err(|violation| violation.oracle)
    };
    assert_eq!(settled(2), Ok(()));
    assert_eq!(settled(3), Err("V9"));
}

#[test]
fn a_group_sees_to_those_who_have_lost_their_disks() {
    let (mut schedule, leads) = introduced::<BadReplica<Truth>>(2);
    ask(&mut schedule, leads, life(50), None);
    pass(&mut schedule, 1_000_000);
    schedule.act(Act::Lose(2), None, 2).unwrap();
    assert_eq!(schedule.world.staying(), Members::first(2));
    assert_eq!(schedule.settle(), Ok(()));
    assert_eq!(schedule.world.books.agreed().members(), Members::first(2));
    assert!(!schedule.world.can_spare(0) && !schedule.world.can_spare(1));
}

// Found by the simulator (seed 2170 of the replica): it was silent before it was cut off.
#[test]
fn whoever_is_evicted_while_it_is_cut_off_need_not_catch_up() {
    let options = Options { evict: 1_500_000, lag: 1, ..with_roster(3) };
    let (mut schedule, leads) = introduced_with::<BadReplica<Truth>>(options);
    ask(&mut schedule, leads, life(50), None);
    pass(&mut schedule, 1_000_000);
    assert_eq!(schedule.settle(), Ok(()));
    let marks = &schedule.world.marks;
    assert_eq!((marks.count(Mark::Lagging), marks.count(Mark::Evicted)), (1, 1));
}

/// It takes whatever term it hears of, whoever says so.
#[derive(Debug, Default)]
struct Gullible;

impl Lie for Gullible {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        match input {
            Input::Message { header: Header { message: Message::PreVote { .. }, .. }, .. }
                if machine.raft().leads() =>
            {
                machine.step(now, Input::StepDown, said)
            }
            input => machine.step(now, input, said),
        }
    }
}

/// It comes to whatever term it hears of, whoever speaks of it.
#[derive(Debug, Default)]
struct Credulous;

impl Lie for Credulous {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        match input {
            Input::Message {
                from,
                header: Header { message: Message::PreVote { term, .. }, early, bare },
                entries,
                chunk,
            } if !machine.raft().leads() && machine.raft().leader().is_some() => {
                let header = Header { message: Message::Stale { term }, early, bare };
                machine.step(now, Input::Message { from, header, entries, chunk }, said)
            }
            input => machine.step(now, input, said),
        }
    }
}

#[test]
fn a_removed_member_that_makes_a_leader_go_or_brings_a_term_is_seen() {
    assert_eq!(removed::<Truth>(), Ok(()));
    assert_eq!(removed::<Gullible>(), Err("M6"));
    assert_eq!(removed::<Credulous>(), Err("M6"));
}

// Found by the simulator (seed 22 of the replica): it was asked by a candidate, and answered an old append.
#[test]
fn a_removed_member_may_pass_on_a_term_that_a_member_has_alive_or_on_its_disk() {
    let (mut schedule, _) = introduced::<BadReplica<Truth>>(2);
    let (term, leads) = schedule.world.reign_of(0).expect("it lives");
    let id = PacketId { origin: 0, place: 0, to: 0 };
    let content = Rc::new(Content::Reply(0, Reply::Busy));
    let word = Packet { id, from: 3, life: 1, sittings: (0, 0), is_out: true, content };
    let verdict = |schedule: &Schedule<_>, before| {
        schedule.world.disturbed(&word, Some(before)).map_err(|violation| violation.oracle)
    };
    let before = Term::new(term.number() - 1);
    assert_eq!(verdict(&schedule, (before, false)), Ok(()));
    schedule.act(Act::Crash(1, Kept::All), None, 1).unwrap();
    assert_eq!(verdict(&schedule, (before, false)), Ok(()));
    assert_eq!(verdict(&schedule, (term, !leads)), Err("M6"), "it says nothing of the term");
    schedule.world.books.forgot(1);
    assert_eq!(verdict(&schedule, (before, false)), Err("M6"), "nobody has it");
}

/// What is seen when a member is removed and goes on asking for votes.
fn removed<L: Lie>() -> Result<(), &'static str> {
    let (mut schedule, leads) = introduced::<BadReplica<L>>(3);
    ask(&mut schedule, leads, life(50), None);
    pass(&mut schedule, 2_000_000);
    // It does not hear that it is removed.
    let lanes = schedule.lanes();
    [0, 1].iter().for_each(|from| schedule.cuts[from * lanes + 2] += 1);
    schedule.act(Act::Dismiss(leads, life(50)), None, leads).unwrap();
    let until = schedule.now + 5_000_000;
    schedule.run(until, u64::MAX, |_| false).map_err(|violation| violation.oracle)
}
