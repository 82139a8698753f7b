//! Who joins and who leaves a group that keeps a roster: founders are introduced, nodes come, leave,
//! lose their disks and come back in another life, or ask for what makes no sense. Most ask a member
//! that leads or believes so.

use super::action::{Act, Admission};
use super::hosted::Hosted;
use super::oracle::{Verdict, Violation, founder_at};
use super::schedule::Schedule;
use super::world::World;
use quorate::id::{Incarnation, Members, NodeId, Slot};
use quorate::membership::Roster;
use quorate::membership::roster::{Command, Life, Seat};

/// The first of the nodes that have not founded the group.
const NEWCOMERS: u64 = 100;

impl<H: Hosted> Schedule<H> {
    /// Somebody asks for something that has to do with the roster.
    pub(super) fn tend_roster(&mut self) -> Verdict {
        let Some(asked) = self.whom_to_ask() else { return Ok(()) };
        let Some(roster) = roster_of(&self.world, asked) else { return Ok(()) };
        let seats: Vec<(Slot, Seat)> = roster.seats().map(|(slot, seat)| (slot, *seat)).collect();
        let strangers: Vec<_> = self.world.seats.register.strangers(u64::MAX).iter().collect();
        if !strangers.is_empty() && (seats.is_empty() || self.rng.below(4) > 0) {
            let founder = strangers[self.pick(strangers.len())];
            return self.introduce(asked, founder);
        }
        if seats.is_empty() {
            return Ok(());
        }
        let (slot, seat) = seats[self.pick(seats.len())];
        match self.rng.below(8) {
            0..2 => {
                let node = NodeId::new(NEWCOMERS + self.rng.below(1 << 20));
                if self.world.seats.register.latest().contains_key(&node) {
                    return Ok(()); // Seed 7278 of the replica drew one twice.
                }
                self.ask_for_seat(asked, Life { node, incarnation: Incarnation::new(1) }, None)
            }
            2 => self.come_again(asked),
            3 => self.let_leave(asked, seat.life),
            4 => {
                let leader = roster.seat(Slot::new(asked as u8)).map_or(seat.life, |it| it.life);
                self.let_leave(asked, leader)
            }
            5 => self.lose(slot, &seat),
            6 => {
                self.lose(slot, &seat)?;
                self.replace(asked, &seat)
            }
            _ => {
                // Whoever asks again, or is out of date.
                let incarnation = seat.life.incarnation.number().saturating_sub(self.rng.below(2));
                let life = Life { incarnation: Incarnation::new(incarnation), ..seat.life };
                self.ask_for_seat(asked, life, None)
            }
        }
    }

    /// A founder gets the seat at which it votes.
    fn introduce(&mut self, asked: usize, founder: Slot) -> Verdict {
        let (life, place) = (founder_at(founder), self.rng.below(256) as u8);
        let admission = Admission { life, founder: Some(founder), replaces: None, place };
        self.act(Act::Admit(asked as u8, admission), None, asked as u8)
    }

    fn ask_for_seat(&mut self, asked: usize, life: Life, replaces: Option<Incarnation>) -> Verdict {
        let place = self.rng.below(256) as u8;
        let admission = Admission { life, founder: None, replaces, place };
        self.act(Act::Admit(asked as u8, admission), None, asked as u8)
    }

    /// A life is told to leave, unless nobody else stays who has a disk.
    fn let_leave(&mut self, asked: usize, life: Life) -> Verdict {
        let stays = |slot: &Slot| self.world.sits(slot.position()) != Some(life);
        if !self.world.staying().iter().any(|slot| stays(&slot)) {
            return Ok(());
        }
        self.act(Act::Dismiss(asked as u8, life), None, asked as u8)
    }

    /// A node that has left comes back with an empty disk.
    fn come_again(&mut self, asked: usize) -> Verdict {
        let lives: Vec<_> = self.world.seats.register.latest().into_values().collect();
        if lives.is_empty() {
            return Ok(());
        }
        let life = lives[self.pick(lives.len())];
        self.ask_for_seat(asked, next_of(life), None)
    }

    /// A node loses its disk, if it has one and the group can do without.
    fn lose(&mut self, slot: Slot, seat: &Seat) -> Verdict {
        let (lane, place) = (slot.number(), slot.position());
        let has_disk = !self.world.members[place].is_lost;
        if has_disk && self.world.sits(place) == Some(seat.life) && self.world.can_spare(lane) {
            self.act(Act::Lose(lane), None, lane)?;
        }
        Ok(())
    }

    /// A node whose disk is lost comes back in another life, which most often says whose place it takes.
    fn replace(&mut self, asked: usize, seat: &Seat) -> Verdict {
        let place = self.world.members.iter().enumerate();
        let mut lost = place.filter(|(_, member)| member.is_lost).map(|(slot, _)| slot);
        if self.asleep[asked] > self.now
            || !lost.any(|slot| self.world.sits(slot) == Some(seat.life))
        {
            return Ok(());
        }
        let replaces = (self.rng.below(4) > 0).then_some(seat.life.incarnation);
        self.ask_for_seat(asked, next_of(seat.life), replaces)
    }

    /// Once nothing goes wrong any more, whoever was admitted comes to belong, and whoever is to leave
    /// is gone. Somebody sees to those whose disks are lost.
    pub(super) fn come_and_go(&mut self) -> Verdict {
        let until = self.now + BELONGS * self.options.timeout;
        loop {
            let rest = self.world.alive();
            if let Some(leader) = super::settle::led_by(&self.world, rest) {
                self.see_to_the_lost(leader)?;
            }
            let is_done = self.until(1, |world| {
                super::settle::led_by(world, world.alive())
                    .is_some_and(|leader| is_as_meant(world, leader).is_ok())
            })?;
            if is_done {
                return Ok(());
            }
            if self.now >= until {
                return self.not_as_meant(rest);
            }
        }
    }

    fn not_as_meant(&self, rest: Members) -> Verdict {
        let roles = super::settle::roles(&self.world, rest);
        let leader = super::settle::led_by(&self.world, rest);
        let why = leader
            .map_or(Err("nobody leads".to_owned()), |leader| is_as_meant(&self.world, leader));
        let roster = leader.and_then(|leader| roster_of(&self.world, leader));
        let seats: Vec<_> = roster
            .iter()
            .flat_map(Roster::seats)
            .map(|(slot, seat)| (slot, seat.life, seat.leaves))
            .collect();
        Err(Violation {
            oracle: "V9",
            what: format!("after {BELONGS} timeouts {why:?}: {seats:?}, {roles:?}"),
        })
    }

    /// Founders are introduced, and whoever has lost its disk leaves; if nobody else stays, another life
    /// comes in its place.
    fn see_to_the_lost(&mut self, leader: usize) -> Verdict {
        if let Some(founder) = self.world.seats.register.strangers(u64::MAX).iter().next() {
            return self.introduce(leader, founder);
        }
        let Some(roster) = roster_of(&self.world, leader) else { return Ok(()) };
        for (slot, seat) in roster.seats().filter(|(_, seat)| !seat.leaves) {
            if !self.world.members[slot.position()].is_lost {
                continue;
            }
            if roster.check(&Command::Dismiss(seat.life)).is_ok() {
                return self.let_leave(leader, seat.life);
            }
            let replaces = Some(seat.life.incarnation);
            return self.ask_for_seat(leader, next_of(seat.life), replaces);
        }
        Ok(())
    }
}

/// How many election timeouts all comings and goings may take together.
const BELONGS: u64 = 600;

/// The life of a node after this one.
fn next_of(life: Life) -> Life {
    Life { incarnation: Incarnation::new(life.incarnation.number() + 1), ..life }
}

fn roster_of<H: Hosted>(world: &World<H>, slot: usize) -> Option<Roster> {
    world.members[slot].machine.as_ref().and_then(H::roster).cloned()
}

/// Whether the group is the one that its leader's roster means; if not, why.
fn is_as_meant<H: Hosted>(world: &World<H>, leader: usize) -> Result<(), String> {
    let machine = world.members[leader].machine.as_ref();
    let roster = machine.and_then(H::roster).ok_or("there is no roster")?;
    let (Some(raft), Some(config)) = (machine.map(H::raft), world.setup.roster) else {
        return Ok(());
    };
    let configuration = *raft.configuration();
    let of = |is_so: fn(&Seat) -> bool| -> Members {
        roster.seats().filter(|(_, seat)| is_so(seat)).map(|(slot, _)| slot).collect()
    };
    let say = |is_so: bool, what: &str| if is_so { Ok(()) } else { Err(what.to_owned()) };
    say(world.seats.register.strangers(u64::MAX).is_empty(), "a founder was not introduced")?;
    say(of(|seat| seat.leaves).is_empty(), "a seat was not vacated")?;
    say(configuration.members() == of(|_| true), "others belong than have seats")?;
    let lost = configuration.members().iter().any(|slot| world.members[slot.position()].is_lost);
    say(!lost, "one whose disk is lost belongs")?;
    let votes = configuration.voters().len();
    let wanted = (config.replication_factor as usize).min(configuration.members().len());
    // Nobody who votes is sent back to learn.
    say(!configuration.is_joint() && votes >= wanted, "too few vote")?;
    say(raft.log().configured().at <= raft.commit(), "a change is not committed")
}
