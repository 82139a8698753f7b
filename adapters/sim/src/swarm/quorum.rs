//! Whether the group can go on: who can still be elected, by whom.

use super::hosted::Hosted;
use super::world::World;
use quorate::id::{Members, Slot};
use quorate::raft::{Configuration, Raft};

/// Whether a majority of each half of a configuration is among these.
fn is_held_by(configuration: &Configuration, these: Members) -> bool {
    let is_most = |half: Members| 2 * half.shared(these).len() > half.len();
    let (voters, outgoing) = (configuration.voters(), configuration.outgoing());
    is_most(voters) && (outgoing.is_empty() || is_most(outgoing))
}

impl<H: Hosted> World<H> {
    /// Those that are not lost.
    pub fn alive(&self) -> Members {
        let slots = (0..self.members.len()).filter(|slot| !self.members[*slot].is_lost);
        slots.map(|slot| Slot::new(slot as u8)).collect()
    }

    /// Whether the group can ever go on with these members alone: one of them may lead, by the newest
    /// configuration of its own log, and majorities of all halves of that are among these and hold
    /// nothing newer than it does. Once nobody can be elected no log changes any more, so it stays so.
    pub fn recoverable(&self, these: Members) -> bool {
        self.can_elect(these, |_| true)
    }

    /// Whether none of these members can lead for lack of runs. One that has as many as it may, none
    /// of them known to be committed, has no room for a leader's first entry: so many leaders came
    /// and went without committing anything, which is the bound that
    /// [`Limits::runs`](quorate::limits::Limits::runs) names. Whoever is out of runs still votes, and
    /// then makes room by taking over another's log.
    pub fn out_of_runs(&self, these: Members) -> bool {
        let is_out = |raft: &Raft| {
            let runs = raft.log().runs();
            runs.len() >= raft.config().limits.runs
                && runs.first().is_some_and(|run| run.last > raft.commit())
        };
        self.up(these).any(|(_, raft)| is_out(raft)) && !self.can_elect(these, |raft| !is_out(raft))
    }

    /// Whether a leader among these members waits in vain for some whose logs are full: they joined
    /// without being told who founded the group, and know of nothing committed from which on they know
    /// who belongs to it, so they cannot let go of anything (see
    /// [`Config::voters`](quorate::raft::Config::voters)).
    pub fn uninformed(&self, these: Members) -> bool {
        let is_stuck = |raft: &Raft| {
            let (log, limits) = (raft.log(), raft.config().limits);
            let held = log.last().index.above(log.floor().index) as usize;
            held + limits.runs >= limits.entries
                && log.configuration_at(raft.commit()).voters().is_empty()
        };
        let stuck: Members =
            self.up(these).filter(|(_, raft)| is_stuck(raft)).map(|(slot, _)| slot).collect();
        !stuck.is_empty() && !self.recoverable(these.minus(stuck))
    }

    /// Whether a member can be destroyed, and every configuration that counts for somebody can still
    /// do without the lost ones.
    pub(super) fn can_spare(&self, slot: u8) -> bool {
        let left = self.alive().without(Slot::new(slot));
        let mut in_force = left.iter().map(|slot| self.books.in_force(slot.position()));
        let is_held = |it: &Configuration| it.voters().is_empty() || is_held_by(it, left);
        let goes_on = self.setup.roster.is_none()
            || is_held(&self.books.agreed()) && !self.staying().without(Slot::new(slot)).is_empty();
        !left.is_empty() && goes_on && in_force.all(|it| is_held(&it))
    }

    /// Whoever has a disk and was not told to leave, and founders that were not introduced.
    pub(super) fn staying(&self) -> Members {
        let register = &self.seats.register;
        let seats = register.staying().and(register.strangers(u64::MAX)).shared(self.alive());
        seats.iter().filter(|slot| !self.is_told(slot.position())).collect()
    }

    /// The machines of those of these that are up.
    fn up(&self, these: Members) -> impl Iterator<Item = (Slot, &Raft)> {
        these.iter().filter_map(|slot| {
            let machine = self.members.get(slot.position())?.machine.as_ref()?;
            Some((slot, machine.raft()))
        })
    }

    fn can_elect(&self, these: Members, can_lead: impl Fn(&Raft) -> bool) -> bool {
        let newest = |raft: &Raft| (raft.log().last().term, raft.log().last().index);
        self.up(these).any(|(slot, raft)| {
            let configuration = raft.configuration();
            let may = configuration.electorate().minus(configuration.witnesses());
            // Whoever had the slot of another before is not known to those who have not heard of it.
            let reaches = |to: Slot| to == slot || self.seats.reaches(slot.number(), to.number());
            let voters = self
                .up(these)
                .filter(|(other, voter)| reaches(*other) && newest(voter) <= newest(raft));
            let voters = voters.map(|(slot, _)| slot).collect();
            may.contains(slot) && can_lead(raft) && is_held_by(configuration, voters)
        })
    }
}
