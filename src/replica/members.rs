//! Members: how the roster changes, and how the group follows it.

use super::{Body, Output, Replica, Source};
use crate::id::{EntryId, Incarnation, Members, Slot};
use crate::machine::{Outbox, Refused};
use crate::membership::Address;
use crate::membership::roster::{Command, Life, Step, Unfit};
use crate::raft;
use crate::state_machine::StateMachine;
use crate::time::Now;

/// For how many election timeouts a leader that is to leave goes on leading if nobody took its place.
const KEEPS: u64 = 8;

impl<S: StateMachine> Replica<S> {
    /// Takes a life in: at the slot where it sits, or founded the group, or at a free one.
    pub(super) fn give_seat<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        (life, address): (Life, Address),
        founder: Option<Slot>,
        replaces: Option<Incarnation>,
        out: &mut X,
    ) -> Result<(), Refused> {
        let votes = |slot: &Slot| self.raft.configuration().electorate().contains(*slot);
        if founder.is_some_and(|slot| !votes(&slot)) {
            return Err(Refused::Meaningless);
        }
        let sits = self.roster.seat_of(life).map(|(slot, _)| slot);
        let slot = sits.or(founder).or_else(|| self.free_slot());
        let slot = slot.ok_or(Refused::Unfit(Unfit::NoSeat))?;
        self.enter(now, Command::Admit { life, address, slot, replaces }, out)
    }

    /// A slot that nobody has. That of a founder is never given again: whoever has heard of nothing since
    /// the founding would take the newcomer for the founder.
    fn free_slot(&self) -> Option<Slot> {
        let config = self.raft.config();
        let taken: Members = self.roster.seats().map(|(slot, _)| slot).collect();
        let taken = taken.and(config.voters).and(self.raft.configuration().members());
        Members::first(config.limits.members).minus(taken).iter().next()
    }

    /// Proposes a change of the roster that a host has asked for.
    pub(super) fn enter<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        command: Command,
        out: &mut X,
    ) -> Result<(), Refused> {
        let propose = raft::Input::Propose { count: 1 };
        self.raft.check(&propose)?;
        self.roster.check(&command).map_err(Refused::Unfit)?;
        let stamp = self.clock.stamps(self.forward(now), 1).map_err(Refused::Clock)?;
        let first = EntryId::new(self.raft.term(), self.raft.log().last().index.next());
        self.below(now, propose, Source::Own(stamp, Body::Roster(command)), out)?;
        out.push(Output::Submitted { first, count: 1 });
        Ok(())
    }

    /// Takes the next step towards the group that the roster means, if this member leads. Tells whether it
    /// has said anything.
    pub(super) fn tend<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        out: &mut X,
    ) -> Result<bool, Refused> {
        if self.roster.is_empty() {
            return Ok(false);
        }
        let sight = self.raft.sight(self.planned.evict_after);
        let Some(step) = sight.and_then(|sight| self.roster.plan(&self.planned, &sight)) else {
            return Ok(false);
        };
        let input = match step {
            Step::Propose(command) if self.applied.entry.index >= self.own_in => {
                return self.propose(now, Body::Roster(command), out).map(|()| true);
            }
            Step::Change(to) => raft::Input::Reconfigure(to),
            Step::Transfer(to) if now.mono >= self.keeps_until => {
                let timeout = self.raft.config().election_timeout;
                self.keeps_until = now.mono.after(timeout.times(KEEPS));
                raft::Input::Transfer(to)
            }
            // A group that waits for something does not rest.
            _ if self.raft.is_resting() => raft::Input::Suspect(self.raft.config().me),
            _ => return Ok(false),
        };
        // What cannot be done now is tried again a heartbeat later.
        Ok(self.below(now, input, Source::Nothing, out).is_ok())
    }
}
