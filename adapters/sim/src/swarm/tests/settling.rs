//! Lies that break what must come true once everything is mended: V1 to V8.

use super::super::action::Act;
use super::super::edit::Edit;
use super::super::hosted::{Hosted, Input, Said};
use super::super::marks::Mark;
use super::super::options::Options;
use super::super::oracle::Verdict;
use super::super::schedule::Schedule;
use super::liar::Lie;
use super::{Bad, BadReplica, Truth, assert_caught, calm};
use quorate::id::{EntryId, Members, Slot};
use quorate::limits::Limit;
use quorate::raft::{Change, Message};
use quorate::replica::{Header, Output};
use quorate::time::Now;
use quorate::{Outbox, Refused};

/// Keeps what it would send to itself, if it is meant.
fn unsaid(said: &mut Said, is_meant: impl Fn(&Message) -> bool) {
    said.outputs.retain(
        |output| !matches!(output, Output::Send { header, .. } if is_meant(&header.message)),
    );
}

/// It never says for whom it has voted.
#[derive(Debug, Default)]
struct Silent;

impl Lie for Silent {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        machine.step(now, input, said)?;
        unsaid(said, |message| matches!(message, Message::VoteReply { .. }));
        Ok(())
    }
}

#[test]
fn a_group_that_finds_no_leader_is_caught() {
    assert_caught::<Bad<Silent>>(calm(), "V1", "no leader that its core follows");
}

#[test]
fn a_group_that_has_lost_its_majority_need_not_find_one() {
    let settled = |lost: usize| {
        let mut schedule = Schedule::<Bad<Silent>>::new(1, calm());
        schedule.world.members[..lost].iter_mut().for_each(|member| {
            (member.is_lost, member.machine) = (true, None);
        });
        let verdict = schedule.settle().map_err(|violation| violation.oracle);
        (verdict, schedule.world.marks.count(Mark::Unrecoverable))
    };
    assert_eq!(settled(1), (Err("V1"), 0));
    assert_eq!(settled(2), (Ok(()), 1));
}

/// It takes nothing in.
#[derive(Debug, Default)]
struct Full;

impl Lie for Full {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        match input {
            Input::Submit(_) => Err(Refused::Full(Limit::Entries)),
            input => machine.step(now, input, said),
        }
    }
}

#[test]
fn a_group_that_decides_nothing_is_caught() {
    assert_caught::<Bad<Full>>(calm(), "V2", "nothing is decided");
}

/// It never says that a read may be served.
#[derive(Debug, Default)]
struct Unread;

impl Lie for Unread {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        machine.step(now, input, said)?;
        said.outputs.retain(|output| !matches!(output, Output::Readable { .. }));
        Ok(())
    }
}

#[test]
fn a_group_that_leaves_a_question_open_is_caught() {
    let options = Options { leasing: 0, ..calm() };
    assert_caught::<BadReplica<Unread>>(options, "V2", "questions are open");
}

/// It applies nothing, unless it leads.
#[derive(Debug, Default)]
struct Lazy;

impl Lie for Lazy {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        // Nobody reads what it has not applied.
        match input {
            Input::Read if !machine.raft().leads() => Err(Refused::NotLeader { leader: None }),
            _ => machine.step(now, input, said),
        }
    }

    fn applied<H: Hosted>(machine: &H) -> EntryId {
        if machine.raft().leads() { machine.applied() } else { EntryId::ZERO }
    }
}

#[test]
fn a_member_that_does_not_come_to_the_end_is_caught() {
    assert_caught::<Bad<Lazy>>(calm(), "V3", "are applied, and");
}

/// Its state is its own.
#[derive(Debug, Default)]
struct Odd;

impl Lie for Odd {
    fn state<H: Hosted>(machine: &H) -> Vec<u8> {
        let mut state = machine.state();
        state.push(machine.raft().config().me.number());
        state
    }
}

#[test]
fn members_whose_states_differ_are_caught() {
    assert_caught::<Bad<Odd>>(calm(), "V3", "their states differ");
}

/// It has enough of it after a while as a leader, and never campaigns again.
#[derive(Debug, Default)]
struct Weary {
    ticks: u64,
}

/// Five seconds of heartbeats: that is when nothing more is asked.
const ENOUGH: u64 = 160;

impl Lie for Weary {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        match input {
            Input::Tick if machine.raft().leads() && self.ticks >= ENOUGH => {
                machine.step(now, Input::StepDown, said)
            }
            // It looks at the clock, and lets its alarm pass.
            Input::Tick if self.ticks >= ENOUGH => Ok(()),
            input => {
                let leads = machine.raft().leads() && matches!(input, Input::Tick);
                self.ticks += u64::from(leads);
                machine.step(now, input, said)
            }
        }
    }
}

#[test]
fn a_leader_that_leaves_without_a_cause_is_caught() {
    assert_caught::<Bad<Weary>>(calm(), "V4", "elections without a fault");
}

/// It steps down for a moment and comes to lead again: the others never ask for votes.
#[derive(Debug, Default)]
struct Fickle {
    ticks: u64,
    heard: u64,
}

impl Lie for Fickle {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        self.heard += u64::from(matches!(input, Input::Message { .. }));
        match input {
            Input::Tick if machine.raft().leads() => {
                self.ticks += 1;
                let input = if self.ticks == ENOUGH { Input::StepDown } else { input };
                machine.step(now, input, said)
            }
            Input::Tick if self.ticks == 0 && self.heard > 100 => {
                machine.step(now, input, said)?;
                unsaid(said, |message| matches!(message, Message::PreVote { .. }));
                Ok(())
            }
            input => machine.step(now, input, said),
        }
    }
}

#[test]
fn a_leader_that_leaves_and_comes_back_is_caught() {
    assert_caught::<Bad<Fickle>>(calm(), "V4", "1 elections without a fault");
}

/// It says everything eight times.
#[derive(Debug, Default)]
struct Stormy;

const TIMES: usize = 8;

impl Lie for Stormy {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        machine.step(now, input, said)?;
        for output in said.outputs.clone() {
            if let Output::Send { .. } = output {
                (1..TIMES).for_each(|_| said.push(output));
            }
        }
        Ok(())
    }
    fn max_outputs(honest: usize) -> usize {
        honest * TIMES
    }
}

#[test]
fn members_that_talk_without_need_are_caught() {
    assert_caught::<Bad<Stormy>>(calm(), "V6", "messages in 30 quiet timeouts");
}

/// It asks twice for each answer that it gets, and never says for whom it has voted.
#[derive(Debug, Default)]
struct Curious;

impl Lie for Curious {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        let answer = match input {
            Input::Message { from, header, .. } => Some((from, header)),
            _ => None,
        };
        machine.step(now, input, said)?;
        unsaid(said, |message| matches!(message, Message::VoteReply { .. }));
        if let Some((from, header)) = answer
            && let Message::PreVoteReply { term, .. } = header.message
        {
            let message =
                Message::PreVote { term: term.next().unwrap_or(term), last: EntryId::ZERO };
            let again =
                Output::Send { to: Members::only(from), header: Header { message, ..header } };
            (0..2).for_each(|_| said.push(again));
        }
        Ok(())
    }
    fn max_outputs(honest: usize) -> usize {
        honest + 2
    }
}

#[test]
fn a_storm_does_not_last_until_the_wait_is_over() {
    assert_caught::<Bad<Curious>>(calm(), "V6", "timeouts of waiting");
}

/// It keeps its snapshots to itself.
#[derive(Debug, Default)]
struct Stingy;

impl Lie for Stingy {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        machine.step(now, input, said)?;
        unsaid(said, |message| matches!(message, Message::Chunk { .. }));
        Ok(())
    }
}

#[test]
fn a_group_that_leaves_a_member_behind_is_caught() {
    let lagging = Options { lag: 1, ..calm() };
    assert_caught::<Bad<Stingy>>(lagging, "V7", "did not reach");
}

#[test]
fn a_half_connected_member_is_no_excuse() {
    let options = Options { outsider: 1, members: 5, ..calm() };
    assert_eq!(super::report::<Bad<Truth>>(options.clone()).violation, None);
    assert_caught::<Bad<Full>>(options, "V2", "nothing is decided");
}

/// It changes the configuration, and never back from a joint one.
#[derive(Debug, Default)]
struct Torn;

impl Lie for Torn {
    fn step<H: Hosted>(
        &mut self,
        machine: &mut H,
        now: Now,
        input: Input<'_, H>,
        said: &mut Said,
    ) -> Result<(), Refused> {
        match input {
            Input::Reconfigure(_) if machine.raft().configuration().is_joint() => {
                Err(Refused::Changing)
            }
            input => machine.step(now, input, said),
        }
    }
}

/// What becomes of a group that is asked to enter a joint configuration which does not leave itself.
fn settled_from_joint<H: Hosted>() -> Verdict {
    let mut schedule = Schedule::<H>::new(1, Options { members: 4, spare: 1, ..calm() });
    schedule.run(u64::MAX, 2_000, |world| world.leader().is_some())?;
    let until = schedule.now + 1_000_000;
    schedule.run(until, u64::MAX, |_| false)?;
    let leader = schedule.world.leader().expect("nothing is wrong yet") as u8;
    let add = Some(Change::AddVoter(Slot::new(3)));
    let leave = Some(Change::Remove(Slot::new(leader)));
    let joint = Edit::Joint(false, [add, leave, None]);
    schedule.act(Act::Change(leader, joint), None, leader)?;
    schedule.settle()?;
    assert!(schedule.world.marks.count(Mark::JointLeft) > 0);
    assert!(!schedule.world.books.in_force(3).members().contains(Slot::new(leader)));
    Ok(())
}

#[test]
fn a_change_that_does_not_come_to_its_end_is_caught() {
    assert_eq!(settled_from_joint::<Bad<Truth>>(), Ok(()));
    let caught = settled_from_joint::<Bad<Torn>>().expect_err("it is seen");
    assert_eq!(caught.oracle, "V8", "{caught}");
}
