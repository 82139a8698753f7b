//! What a host does that is asked to change the configuration or to hand leadership over, and what
//! can be seen of how the group changes.

use super::action::Action;
use super::edit::Edit;
use super::hosted::{Hosted, Input};
use super::marks::Mark;
use super::oracle::Verdict;
use super::world::World;
use quorate::Refused;
use quorate::id::Slot;
use quorate::raft::{Change, Configuration, Configured};

impl<H: Hosted> World<H> {
    pub(super) fn transfer(&mut self, action: &Action, slot: u8, to: u8) -> Verdict {
        let asked = self.step(action, slot, Input::Transfer(Slot::new(to)), None)?;
        if asked == Err(Refused::Meaningless) {
            self.marks.hit(Mark::TransferRefused);
        }
        Ok(())
    }

    pub(super) fn change(&mut self, action: &Action, slot: u8, edit: Edit) -> Verdict {
        let Some(machine) = &self.members[usize::from(slot)].machine else { return Ok(()) };
        let now = *machine.raft().configuration();
        let Ok(next) = edit.of(&now) else {
            self.marks.hit(Mark::ChangeImpossible);
            return Ok(());
        };
        self.fault(slot, &format!("is asked to change {now} to {next}"));
        match self.step(action, slot, Input::Reconfigure(next), None)? {
            Ok(()) => self.changed(slot, edit, &now, &next),
            Err(Refused::Meaningless) => self.marks.hit(Mark::ChangeRefused),
            Err(_) => {}
        }
        Ok(())
    }

    /// A leader has taken a change in.
    fn changed(&mut self, slot: u8, edit: Edit, now: &Configuration, next: &Configuration) {
        let me = Slot::new(slot);
        let new = next.members().minus(now.members());
        let promoted = now.learners().shared(next.voters());
        let seen = [
            (next.is_joint(), Mark::JointEntered),
            (edit == Edit::Leave, Mark::JointLeft),
            (!new.is_empty(), Mark::Joined),
            (new.iter().any(|slot| self.has_left(slot)), Mark::CameBack),
            (!promoted.is_empty(), Mark::LearnerPromoted),
            (!next.learners_next().is_empty(), Mark::LearnerNext),
            (matches!(edit, Edit::Simple(Change::AddWitness(_))), Mark::WitnessAdded),
            (!next.voters().contains(me), Mark::LeaderRemoved),
        ];
        seen.iter().filter(|(is_so, _)| *is_so).for_each(|(_, mark)| self.marks.hit(*mark));
    }

    /// Whether a member has belonged to the group once: it holds something.
    fn has_left(&self, slot: Slot) -> bool {
        self.members[slot.position()]
            .machine
            .as_ref()
            .is_some_and(|machine| machine.raft().log().last().index.number() > 0)
    }

    /// What became of the configuration that a member went by before a step.
    pub(super) fn see_change(&mut self, slot: u8, before: &Configured) {
        let Some(machine) = &self.members[usize::from(slot)].machine else { return };
        let (raft, me) = (machine.raft(), Slot::new(slot));
        let now = raft.log().configured();
        if now == before {
            return;
        }
        let (was, is) = (&before.configuration, &now.configuration);
        let left_itself = raft.leads()
            && was.leaves_by_itself()
            && was.leave_joint().is_ok_and(|left| left == *is);
        let by_another = raft.log().term_at(before.at) != Some(raft.term());
        let is_first = !was.members().contains(me) && was.voters().is_empty();
        let seen = [
            (now.at < before.at, Mark::RolledBack),
            (left_itself && by_another, Mark::AutoLeftByAnother),
            (left_itself && !by_another, Mark::AutoLeft),
            (was.members().contains(me) && !is.members().contains(me), Mark::HeardOfItsRemoval),
            (is_first && raft.log().floor().index.number() > 0, Mark::JoinedBySnapshot),
        ];
        seen.iter().filter(|(is_so, _)| *is_so).for_each(|(_, mark)| self.marks.hit(*mark));
    }
}
