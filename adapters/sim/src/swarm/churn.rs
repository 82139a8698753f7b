//! Who joins and who leaves: requests to change the configuration and to hand leadership over, drawn
//! without a thought for what is under way. Most go to a member that leads or believes so.

use super::action::Act;
use super::edit::Edit;
use super::hosted::Hosted;
use super::oracle::Verdict;
use super::schedule::Schedule;
use quorate::id::{Members, Slot};
use quorate::raft::{Change, Configuration};

impl<H: Hosted> Schedule<H> {
    /// Somebody is asked to change the configuration.
    pub(super) fn change(&mut self) -> Verdict {
        let Some(slot) = self.whom_to_ask() else { return Ok(()) };
        let machine = self.world.members[slot].machine.as_ref();
        let Some(now) = machine.map(|machine| *machine.raft().configuration()) else {
            return Ok(());
        };
        let edit = self.draw_edit(&now);
        if edit.of(&now).is_ok_and(|next| !self.can_go_on_with(&next)) {
            return Ok(()); // Nobody in command would want that.
        }
        self.act(Act::Change(slot as u8, edit), None, slot as u8)
    }

    /// Somebody is asked to hand leadership over.
    pub(super) fn transfer(&mut self) -> Verdict {
        let Some(slot) = self.whom_to_ask() else { return Ok(()) };
        let to = self.pick(self.world.members.len()) as u8;
        self.act(Act::Transfer(slot as u8, to), None, slot as u8)
    }

    /// One of those who lead, most often; nobody if it is asleep.
    pub(super) fn whom_to_ask(&mut self) -> Option<usize> {
        let leads = |slot: &usize| {
            self.world.members[*slot].machine.as_ref().is_some_and(|machine| machine.raft().leads())
        };
        let members = self.world.members.len();
        let leaders: Vec<_> = (0..members).filter(leads).collect();
        let slot = if leaders.is_empty() || self.rng.below(16) == 0 {
            self.pick(members)
        } else {
            leaders[self.pick(leaders.len())]
        };
        (self.asleep[slot] <= self.now).then_some(slot)
    }

    fn draw_edit(&mut self, now: &Configuration) -> Edit {
        match self.rng.below(if now.is_joint() { 32 } else { 8 }) {
            0..5 => Edit::Simple(self.draw_change(now)),
            5 | 6 => Edit::Joint(self.rng.below(3) > 0, self.draw_changes(now)),
            7 => {
                Edit::Jump(Members::from_bits(self.rng.below(1 << self.world.members.len()) as u32))
            }
            _ => Edit::Leave,
        }
    }

    /// A joint configuration that leaves itself, and that the group can go on with.
    pub(super) fn draw_joint(&mut self, now: &Configuration) -> Option<Edit> {
        let edit = Edit::Joint(true, self.draw_changes(now));
        edit.of(now).is_ok_and(|next| self.can_go_on_with(&next)).then_some(edit)
    }

    fn draw_changes(&mut self, now: &Configuration) -> [Option<Change>; 3] {
        let mut changes = [None; 3];
        let count = 1 + self.pick(3);
        changes[..count].fill_with(|| Some(self.draw_change(now)));
        changes
    }

    fn draw_change(&mut self, now: &Configuration) -> Change {
        let slot = Slot::new(self.pick(self.world.members.len()) as u8);
        let (belongs, votes) = (now.members().contains(slot), now.voters().contains(slot));
        match self.rng.below(8) {
            0..4 if belongs => Change::Remove(slot),
            4 | 5 if votes => Change::AddLearner(slot),
            0 | 1 if !belongs => Change::AddLearner(slot),
            // A replica cannot be one, which gets no payloads: Raft alone can.
            2 if !belongs && H::numbered(0).is_some() => Change::AddWitness(slot),
            _ => Change::AddVoter(slot),
        }
    }

    /// Whether a group that is set up so can go on, as far as its operators know: most of those who
    /// vote have disks and clocks that are right, and one of them can lead.
    fn can_go_on_with(&self, next: &Configuration) -> bool {
        let members = &self.world.members;
        let of = |is_it: &dyn Fn(usize) -> bool| -> Members {
            (0..members.len())
                .filter(|slot| is_it(*slot))
                .map(|slot| Slot::new(slot as u8))
                .collect()
        };
        let lost = of(&|slot| members[slot].is_lost && self.options.doom == 0);
        let wrong = of(&|slot| slot < self.options.wild as usize || !members[slot].clocks.has_wall);
        let is_sound = |half: Members| {
            let few = |some: Members| 2 * half.shared(some).len() < half.len();
            half.is_empty() || (few(lost) && few(wrong) && few(next.witnesses()))
        };
        is_sound(next.voters()) && is_sound(next.outgoing())
    }
}
