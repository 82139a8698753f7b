//! Joining a group: a node with an empty data folder gets a seat, and writes down which.

use crate::asking::Failure;
use crate::config::Config;
use crate::errand::Errand;
use crate::folder::{Folder, Identity, Seat};
use crate::protocol::{Ask, ReplyBody};
use crate::store::{OpenError, address_of, bytes_of_page};
use quorate::id::{GroupId, Incarnation, NodeId, Slot};
use quorate::membership::Address;
use quorate::membership::roster::Life;
use std::fmt;
use std::time::Duration;

/// Why a node has no seat, in one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotJoined {
    /// The data folder does not permit it, or nobody could reach the node.
    Open(OpenError),
    /// The group does not take it, or does not answer.
    Failed(Failure),
}

impl fmt::Display for NotJoined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for NotJoined {}

impl From<Failure> for NotJoined {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A node that asks for a seat. Its folder is locked meanwhile.
pub struct Joining {
    folder: Folder,
    life: Life,
    group: GroupId,
    address: Address,
    replaces: Option<Incarnation>,
}

impl Joining {
    /// Opens the node's folder, or makes it. None if it says that the node has a seat.
    ///
    /// # Errors
    /// [`NotJoined::Open`].
    pub fn open(config: &Config) -> Result<Option<Self>, NotJoined> {
        let identity = Identity { group: config.group.id, node: config.node.id };
        let folder = Folder::open(&config.node.data, identity);
        let folder = folder.map_err(|error| NotJoined::Open(OpenError::Folder(error)))?;
        if folder.seat().is_some() {
            return Ok(None);
        }
        let incarnation = Incarnation::new(folder.incarnation());
        let life = Life { node: NodeId::new(config.node.id), incarnation };
        let address = address_of(&config.node).map_err(NotJoined::Open)?;
        let group = GroupId::new(config.group.id);
        Ok(Some(Self { folder, life, group, address, replaces: None }))
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// Has it take the place of a life of the same node that lost its data.
    ///
    /// # Errors
    /// [`NotJoined::Open`].
    pub fn replace(&mut self, lost: Incarnation) -> Result<(), NotJoined> {
        let later = self.folder.outlive(lost.number());
        later.map_err(|error| NotJoined::Open(OpenError::Folder(error)))?;
        self.life.incarnation = Incarnation::new(self.folder.incarnation());
        self.replaces = Some(lost);
        Ok(())
    }

    /// Asks for the seat. A life that asks again is given the same.
    #[must_use]
    pub fn errand(&self, nodes: &[String], within: Duration) -> Errand {
        let (life, address, replaces) = (self.life, self.address, self.replaces);
        Errand::new(nodes, Ask::Join { life, address, replaces }, within)
    }

    /// Writes down what was given.
    ///
    /// # Errors
    /// [`NotJoined`].
    pub fn settle(mut self, answer: ReplyBody<(), ()>) -> Result<Slot, NotJoined> {
        let ReplyBody::Seated {
            slot,
            since,
            founders,
            replication_factor,
            heartbeat_timeout_ms,
            page,
        } = answer
        else {
            return Err(Failure::nonsense().into());
        };
        let failed = |error| NotJoined::Open(OpenError::Folder(error));
        // First where the others are, then who this is: with the second the node has joined.
        self.folder.keep_members(&bytes_of_page(&page)).map_err(|error| failed(error.into()))?;
        let seat = Seat {
            slot: slot.number(),
            since: since.number(),
            founders: founders.bits(),
            replication_factor,
            heartbeat_timeout_ms,
        };
        self.folder.settle(seat).map_err(failed)?;
        Ok(slot)
    }
}
