//! Which groups are here: they are opened, closed, looked at, and given other nodes.

use super::doubt::Sweep;
use super::groups::{Groups, Hosted};
use super::seats::Peers;
use super::timers::Timers;
use super::{Config, Node};
use crate::id::{GroupId, NodeId, Slot};
use crate::limits::Limit;
use crate::machine::{Machine, Refused};
use crate::membership::detector::{self, Detector};
use crate::replica::Replica;
use crate::state_machine::StateMachine;
use crate::time::Instant;

impl<S: StateMachine> Node<S> {
    /// A node without groups.
    ///
    /// # Errors
    /// What is wrong with the detector's configuration.
    pub fn new(config: Config) -> Result<Self, detector::ConfigError> {
        Ok(Self {
            detector: Detector::new(config.detector)?,
            peers: Peers::new(config.detector.me, config.detector.peers),
            config,
            now: Instant::ORIGIN,
            groups: Groups::new(),
            timers: Timers::new(),
            sweep: Sweep { next: 0, left: 0, at: Instant::ORIGIN },
            widest: 0,
        })
    }

    /// Takes in a group: its replica, and by slot the nodes that have them, this one among them.
    ///
    /// # Errors
    /// [`Refused::Meaningless`] if the group is open already, a node has two slots, or this one not that of
    /// the replica; [`Refused::Full`] with [`Limit::Groups`] or [`Limit::Peers`]. The replica is lost then,
    /// and is to be made again from its disk.
    pub fn open(
        &mut self,
        group: GroupId,
        replica: Replica<S>,
        nodes: &[Option<NodeId>],
    ) -> Result<(), Refused> {
        if self.groups.place(group).is_some() {
            return Err(Refused::Meaningless);
        }
        if self.groups.is_full() {
            return Err(Limit::Groups.into());
        }
        let mut peers = self.peers.clone();
        let seats = peers.seat(replica.raft().config().me, nodes)?;
        self.peers = peers;
        self.widest = self.widest.max(replica.max_outputs());
        if let Some(place) = self.groups.add(Hosted { id: group, replica, seats }) {
            self.rearm(place);
        }
        Ok(())
    }

    /// Lets a group go, and hands back its replica.
    ///
    /// # Errors
    /// [`Refused::Meaningless`] if it is not here.
    pub fn close(&mut self, group: GroupId) -> Result<Replica<S>, Refused> {
        let place = self.groups.place(group).ok_or(Refused::Meaningless)?;
        let (gone, last) = self.groups.remove(place).ok_or(Refused::Meaningless)?;
        self.timers.give_up(place, last);
        self.peers.leave(&gone.seats);
        // The group that moved may have moved behind a sweep.
        self.sweep.left = if self.sweep.left > 0 { self.groups.len() } else { 0 };
        Ok(gone.replica)
    }

    /// Gives the slots of a group to these nodes from now on.
    ///
    /// # Errors
    /// As with [`open`](Self::open), and nothing has changed.
    pub fn seat(&mut self, group: GroupId, nodes: &[Option<NodeId>]) -> Result<(), Refused> {
        let place = self.groups.place(group).ok_or(Refused::Meaningless)?;
        let hosted = self.groups.get_mut(place).ok_or(Refused::Meaningless)?;
        let mut peers = self.peers.clone();
        peers.leave(&hosted.seats);
        hosted.seats = peers.seat(hosted.replica.raft().config().me, nodes)?;
        self.peers = peers;
        self.rearm(place);
        Ok(())
    }

    /// The replica of a group.
    #[must_use]
    pub fn group(&self, group: GroupId) -> Option<&Replica<S>> {
        self.groups.get(self.groups.place(group)?).map(|hosted| &hosted.replica)
    }

    /// The groups that are open, in order.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.groups.ids()
    }

    /// The node that has a slot of a group.
    #[must_use]
    pub fn node_in(&self, group: GroupId, slot: Slot) -> Option<NodeId> {
        let hosted = self.groups.get(self.groups.place(group)?)?;
        self.peers.node_in(&hosted.seats, slot)
    }

    /// The failure detector of all groups.
    #[must_use]
    pub const fn detector(&self) -> &Detector {
        &self.detector
    }
}
