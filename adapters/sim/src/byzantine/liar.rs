//! What liars do. Each runs the honest machine, twists what that says, and says things of its own. It signs
//! with its own key only; what it puts in another's mouth nobody has signed, unless that is a replay.

use super::SECOND;
use super::options::Lie;
use super::oracle::Verdict;
use super::world::{World, is_vote};
use crate::pbft::{Packet, What, payload};
use quorate::id::{Digest, Index, Members, Slot, View};
use quorate::pbft::{
    Checkpoint, Claims, Message, Phase, Prepared, Stable, Status, Value, ViewChange, Vote,
};
use quorate::rng::Rng;
use std::rc::Rc;

/// What a silent liar says nothing about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mute {
    Everything,
    Votes,
    Commits,
    Views,
    Nothing,
}

/// A member that lies.
#[derive(Clone, Debug)]
pub(super) struct Liar {
    slot: Slot,
    lies: Vec<Lie>,
    mute: Mute,
    mute_to: Members,
}

/// The other value of a liar's second story.
fn other(value: Value) -> Value {
    Value { stamp: value.stamp.plus(1), ..value }
}

impl Liar {
    pub(super) fn new(slot: Slot, lies: Vec<Lie>) -> Self {
        Self { slot, lies, mute: Mute::Nothing, mute_to: Members::NONE }
    }

    pub(super) fn tells(&self, lie: Lie) -> bool {
        self.lies.contains(&lie)
    }

    fn redraw(&mut self, rng: &mut Rng) {
        let mutes = [Mute::Everything, Mute::Votes, Mute::Commits, Mute::Views, Mute::Nothing];
        self.mute = mutes[rng.below(5) as usize];
        self.mute_to = Members::from_bits(rng.draw() as u32);
    }

    /// What becomes of a packet that its honest machine sends to somebody, and how much later.
    pub(super) fn twist(
        &self,
        packet: &Packet,
        to: Slot,
        is_fooled: bool,
        rng: &mut Rng,
    ) -> Option<(u64, Packet)> {
        if to == self.slot || packet.by != self.slot {
            return Some((0, packet.clone()));
        }
        let (mut delay, mut packet) = (0, packet.clone());
        for lie in &self.lies {
            match (lie, &mut packet.what) {
                (Lie::Silence, what) if self.mute_to.contains(to) && self.is_mute(what) => {
                    return None;
                }
                (Lie::Proposals, What::Message(Message::Vote(vote), true))
                | (Lie::Votes, What::Message(Message::Vote(vote), false))
                    if is_fooled =>
                {
                    vote.value = other(vote.value);
                }
                (Lie::States, What::Message(Message::Checkpoint(it), _)) if is_fooled => {
                    it.state = payload(rng.below(2));
                }
                (Lie::Withhold, What::Message(_, has_payload)) if is_fooled => *has_payload = false,
                (Lie::Withhold, What::Payload(_) | What::State(_) | What::Stable(_)) => {
                    return None;
                }
                (Lie::Slow, What::Message(_, true) | What::NewView(..)) => {
                    delay = SECOND / 2 + rng.below(SECOND / 2);
                }
                (Lie::NewViews, What::NewView(..)) if is_fooled => return None,
                (Lie::Claims, What::ViewChange(change)) => twist_claims(change, is_fooled, rng),
                _ => {}
            }
        }
        Some((delay, packet))
    }

    fn is_mute(&self, what: &What) -> bool {
        match self.mute {
            Mute::Everything => true,
            Mute::Votes => is_vote(what),
            Mute::Commits => {
                matches!(what, What::Message(Message::Vote(it), _) if it.phase == Phase::Commit)
            }
            Mute::Views => matches!(what, What::ViewChange(_) | What::NewView(..)),
            Mute::Nothing => false,
        }
    }
}

/// A view change that leaves out what it should claim, or claims what it should not.
fn twist_claims(change: &mut ViewChange, is_fooled: bool, rng: &mut Rng) {
    match rng.below(5) {
        0 => change.claims = Claims::new(),
        3 if change.claims.len() > 1 => {
            // What it alone has seen prepared has a gap before it.
            let place = rng.below(change.claims.len() as u64 - 1) as usize;
            change.claims.remove(place);
        }
        1 if is_fooled => {
            let _ = change.claims.pop();
        }
        2 => {
            // No signer has signed that.
            change.claims.iter_mut().for_each(|it| it.value = other(it.value));
        }
        _ => {}
    }
}

impl World {
    /// All liars take a turn.
    pub(super) fn lie_in_turn(&mut self) -> Verdict {
        if self.below(8) == 0 {
            self.fooled = Members::from_bits(self.rng.draw() as u32);
        }
        for at in 0..self.seats.len() {
            let slot = self.seats[at].slot;
            let Some(liar) = self.liars.get_mut(&slot) else { continue };
            if self.rng.below(8) == 0 {
                liar.redraw(&mut self.rng);
            }
            let lies = liar.lies.clone();
            for lie in lies {
                self.lie_actively(at, lie)?;
            }
        }
        Ok(())
    }

    fn lie_actively(&mut self, at: usize, lie: Lie) -> Verdict {
        match lie {
            Lie::Twins if self.below(6) == 0 => self.redraw_twins(),
            Lie::Amnesia if self.below(12) == 0 => {
                self.crash(at);
                let kept = self.below(self.seats[at].disk.len() * 2 + 1);
                self.seats[at].disk.truncate(kept / 2);
                if self.below(3) == 0 {
                    self.seats[at].disk.clear();
                }
                self.start(at);
            }
            Lie::Replay => {
                for _ in 0..1 + self.below(4) {
                    let past = self.past.len();
                    let place = self.below(past.max(1));
                    let Some(packet) = self.past.get(place).map(Rc::clone) else { break };
                    let to = self.anybody();
                    self.utter(at, to, (*packet).clone(), 0)?;
                }
            }
            Lie::NewViews if self.below(2) == 0 => self.begin_wrongly(at)?,
            Lie::Claims if self.below(3) == 0 => self.forge(at)?,
            Lie::Spam => {
                for _ in 0..1 + self.below(4) {
                    self.spam(at)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn anybody(&mut self) -> Members {
        Members::from_bits(self.rng.draw() as u32).shared(self.members())
    }

    fn member(&mut self) -> Slot {
        let count = self.members().len();
        Slot::new(self.below(count) as u8)
    }

    /// Where the others are, as far as a liar's machine knows.
    fn knows(&self, at: usize) -> (View, Index) {
        let machine = self.seats[at].peer.as_ref().map(|it| &it.machine);
        machine.map_or((View::ZERO, Index::ZERO), |it| (it.view(), it.committed()))
    }

    fn any_payload(&mut self) -> Digest {
        let place = self.below(self.asked.len() + 2);
        let unasked = payload(u64::MAX - self.rng.below(4));
        if place == 0 {
            Digest::NULL
        } else {
            self.asked.get(place - 1).copied().unwrap_or(unasked)
        }
    }

    fn any_value(&mut self) -> Value {
        let digest = self.any_payload();
        let stamps = [self.stamp(), self.stamp().plus(1), quorate::hlc::Stamp::ZERO];
        Value { digest, stamp: stamps[self.below(3)] }
    }

    fn any_vote(&mut self, at: usize) -> Vote {
        let (view, index) = self.knows(at);
        let phase = if self.below(2) == 0 { Phase::Prepare } else { Phase::Commit };
        let view = match self.below(8) {
            0 => View::new(view.number() + 1 + self.rng.below(5)),
            1 => View::new(u64::MAX - self.rng.below(2)),
            2 => View::new(view.number().saturating_sub(1)),
            _ => view,
        };
        let slots = u64::from(self.options.slots);
        let index = match self.below(8) {
            0 => Index::new(u64::MAX - self.rng.below(2)),
            1 => Index::new(index.number().saturating_sub(self.rng.below(4))),
            _ => index.plus(1 + self.rng.below(slots)),
        };
        Vote { phase, view, index, value: self.any_value() }
    }

    fn any_checkpoint(&mut self, at: usize) -> Checkpoint {
        let interval = u64::from(self.options.interval);
        let near = self.knows(at).1.number() / interval * interval;
        let index = match self.below(4) {
            0 => self.rng.draw(),
            ahead => near + interval * ahead as u64,
        };
        let stamp = self.stamp();
        Checkpoint { index: Index::new(index), state: payload(self.rng.below(3)), stamp }
    }

    fn spam(&mut self, at: usize) -> Verdict {
        let by = self.seats[at].slot;
        let (view, _) = self.knows(at);
        let what = match self.below(9) {
            0..=2 => {
                let (vote, has_payload) = (self.any_vote(at), self.below(2) == 0);
                What::Message(Message::Vote(vote), has_payload)
            }
            3 => What::Message(Message::Checkpoint(self.any_checkpoint(at)), false),
            4 => {
                let status = Status {
                    view: View::new(self.rng.below(view.number() + 3)),
                    is_active: self.below(2) == 0,
                    changes: Members::NONE,
                    stable: Index::ZERO,
                    committed: Index::ZERO,
                    prepared: Index::ZERO,
                };
                What::Message(Message::Status(status), false)
            }
            5 => What::Request(self.any_payload()),
            6 => What::Need(self.any_payload()),
            7 => {
                let views = [view.number() + 1, view.number() + 2 + self.rng.below(9), 1 << 60];
                let view = View::new(views[self.below(3)]);
                let machine = self.seats[at].peer.as_ref().map(|it| it.machine.stable());
                let Some(stable) = machine else { return Ok(()) };
                What::ViewChange(ViewChange { view, stable, claims: Claims::new() })
            }
            _ => return self.forge(at),
        };
        self.marks.hit(super::marks::Mark::Lied);
        let to = self.anybody();
        self.utter(at, to, Packet { by, what }, 0)
    }

    /// Says something that others should have signed, and have not.
    fn forge(&mut self, at: usize) -> Verdict {
        let by = self.member();
        let me = self.seats[at].slot;
        let (view, index) = self.knows(at);
        let (members, vote) = (self.members(), self.any_vote(at));
        let checkpoint = self.any_checkpoint(at);
        let stable = Stable { checkpoint, signers: members };
        let (by, what) = match self.below(4) {
            0 => (by, What::Message(Message::Vote(vote), true)),
            1 => (by, What::Message(Message::Checkpoint(checkpoint), false)),
            2 => (by, What::Stable(stable)),
            _ => {
                let Some(peer) = &self.seats[at].peer else { return Ok(()) };
                let stable = peer.machine.stable();
                let (index, value) = (index.next(), self.any_value());
                let mut claims = Claims::new();
                let _ = claims.push(Prepared { view, index, value, signers: members });
                (me, What::ViewChange(ViewChange { view: view.next(), stable, claims }))
            }
        };
        self.marks.hit(super::marks::Mark::Lied);
        let to = self.anybody();
        self.utter(at, to, Packet { by, what }, 0)
    }

    /// Begins a view that it leads with some set of view changes that were really said: another quorum
    /// for everybody, too few, one twice, or such as belong to another view.
    fn begin_wrongly(&mut self, at: usize) -> Verdict {
        let me = self.seats[at].slot;
        let Some(machine) = self.seats[at].peer.as_ref().map(|it| &it.machine) else {
            return Ok(());
        };
        let (near, primary_of) =
            (machine.view().number(), |view| machine.primary_of(View::new(view)));
        let views = near.saturating_sub(2)..near + 3;
        let Some(view) = views.rev().find(|view| primary_of(*view) == me).map(View::new) else {
            return Ok(());
        };
        let quorum = machine.config().quorum();
        let mut known: Vec<(Slot, ViewChange)> = Vec::new();
        for packet in &self.past {
            if let What::ViewChange(change) = &packet.what {
                known.push((packet.by, change.clone()));
            }
        }
        let is_exact = self.below(3) > 0;
        let mut changes: Vec<(Slot, ViewChange)> = Vec::new();
        for _ in 0..quorum * 4 {
            let place = self.below(known.len().max(1));
            let Some((by, change)) = known.get(place) else { return Ok(()) };
            let is_new = changes.iter().all(|it| it.0 != *by);
            if changes.len() < quorum && (!is_exact || (is_new && change.view == view)) {
                changes.push((*by, change.clone()));
            }
        }
        self.marks.hit(super::marks::Mark::Lied);
        let to = self.anybody();
        self.utter(at, to, Packet { by: me, what: What::NewView(view, changes) }, 0)
    }
}
