//! What bounds a model, and what is left of it on the way.

use super::laws::{self, Facts, Past};
use super::member::{Member, Move};
use crate::explore::Broken;

/// What bounds a model.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Shape {
    /// How many members there are.
    pub nodes: u8,
    /// The highest term that a member may campaign in.
    pub terms: u8,
    /// How often an alarm rings, so that a member canvasses and may campaign.
    pub rings: u8,
    /// How often a host proposes an entry; every leader adds one of its own.
    pub proposals: u8,
    /// How often a host asks for a change of the configuration that lets the last slot join: of the
    /// nodes, all but that one founded the group.
    pub changes: u8,
    /// Whether it joins by a joint configuration that leaves itself, and not in one step.
    pub jointly: bool,
    /// How often a leader's heartbeat is due.
    pub beats: u8,
    /// How often a leader may miss its quorum.
    pub silences: u8,
    /// How often a member crashes and starts again.
    pub restarts: u8,
    /// Who rings first.
    pub first: u8,
    /// Whether the first term is over when the search begins: n0 was elected in it, its entry is on
    /// its own disk and no other, and everything that was sent is still on its way. If there are
    /// changes, all founders have that entry, n0 knows it to be committed, and nothing is on its way.
    pub reigned: bool,
}

impl Shape {
    /// A group in which nothing happens, to be changed where something should.
    pub const STILL: Self = Self {
        nodes: 3,
        terms: 1,
        rings: 1,
        proposals: 0,
        changes: 0,
        jointly: false,
        beats: 0,
        silences: 0,
        restarts: 0,
        first: 0,
        reigned: false,
    };

    const CHANGE: Self = Self { nodes: 4, changes: 1, terms: 2, reigned: true, ..Self::STILL };

    const TWO_TERMS: Self = Self { terms: 2, rings: 2, ..Self::STILL };

    /// The models by name. Nobody has seen the end of `raft-3-third` and `raft-reconfigure-joint` yet:
    /// they are there for what goes wrong in three terms, or between two halves, and comes up on the way.
    pub const NAMED: [(&str, Self); 8] = [
        ("raft-3-election", Self { rings: 2, ..Self::STILL }),
        ("raft-3-tiny", Self { proposals: 1, restarts: 1, ..Self::STILL }),
        ("raft-2", Self { nodes: 2, beats: 1, silences: 1, restarts: 1, ..Self::TWO_TERMS }),
        ("raft-3", Self { restarts: 1, ..Self::TWO_TERMS }),
        ("raft-reconfigure-tiny", Self { terms: 1, rings: 0, jointly: true, ..Self::CHANGE }),
        ("raft-reconfigure", Self::CHANGE),
        ("raft-reconfigure-joint", Self { jointly: true, ..Self::CHANGE }),
        ("raft-3-third", Self { terms: 3, reigned: true, ..Self::TWO_TERMS }),
    ];

    /// How many members founded the group: the others join it.
    pub fn founders(&self) -> u8 {
        self.nodes - u8::from(self.changes > 0)
    }

    /// The model of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.iter().find(|(named, _)| *named == name).map(|(_, shape)| *shape)
    }
}

/// What is left to happen, and what has been.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rest {
    /// What may still happen so often, and who rings first.
    pub left: Shape,
    /// Whether there are changes in this model, or were.
    pub is_changing: bool,
    /// Whether a member has rung yet.
    pub has_rung: bool,
    /// What has been.
    pub past: Past,
}

impl Rest {
    /// Everything may still happen.
    pub fn of(shape: Shape) -> Self {
        Self { left: shape, is_changing: shape.changes > 0, has_rung: false, past: Past::default() }
    }

    /// What may happen to a member by itself, letters aside.
    pub fn permits(&self, member: &Member, facts: &Facts) -> Vec<Move> {
        let left = &self.left;
        let mut moves: Vec<_> = (1..=member.pending()).map(Move::Persist).collect();
        moves.extend((self.is_changing && facts.leads).then_some(Move::Nudge));
        if facts.leads {
            let offers = [
                (left.proposals, Move::Propose),
                (left.changes, Move::Admit { joint: left.jointly }),
                (left.beats, Move::Beat),
                (left.silences, Move::Silence),
            ];
            moves.extend(offers.iter().filter(|(left, _)| *left > 0).map(|(_, offer)| *offer));
        } else if left.rings > 0 && facts.term < left.terms {
            moves.extend((self.has_rung || facts.me == left.first).then_some(Move::Ring));
        }
        if left.restarts > 0 {
            moves.extend((0..=member.pending()).map(Move::Restart));
        }
        moves
    }

    /// What is left after this happened to a member, and what has been.
    ///
    /// # Errors
    /// [`Broken`] if it may not be.
    pub fn after(mut self, happens: Move, facts: &Facts) -> Result<Self, Broken> {
        match happens {
            Move::Propose => self.left.proposals -= 1,
            Move::Admit { .. } => self.left.changes -= 1,
            Move::Beat => self.left.beats -= 1,
            Move::Silence => self.left.silences -= 1,
            Move::Restart(_) => self.left.restarts -= 1,
            Move::Ring => {
                (self.left.rings, self.has_rung) = (self.left.rings.saturating_sub(1), true)
            }
            Move::Hear(_) | Move::Persist(_) | Move::Nudge => {}
        }
        laws::leads_alone(&mut self.past, facts)?;
        laws::commits_its_own(&mut self.past, facts)?;
        Ok(self)
    }
}
