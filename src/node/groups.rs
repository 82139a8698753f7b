//! The groups of a node: found by name, kept by place.
//!
//! Places have no gaps, so whoever looks at all groups counts; when a group goes, the one at the last place
//! takes its own. They stand in pages, so that a new group moves no old one, and what is not in use is less
//! than a page.

use super::seats::Seats;
use crate::bounded::{List, Map};
use crate::id::GroupId;
use crate::limits::GROUPS;
use crate::replica::Replica;
use crate::state_machine::StateMachine;

/// How many groups stand in a page.
const PAGE: usize = if GROUPS < 64 { GROUPS } else { 64 };
const PAGES: usize = GROUPS / PAGE;

const _: () = assert!(PAGE * PAGES == GROUPS && GROUPS <= u16::MAX as usize);

/// Where a group is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Place(u16);

impl Place {
    pub(super) fn at(position: usize) -> Option<Self> {
        u16::try_from(position).ok().map(Self)
    }

    pub(super) const fn position(self) -> usize {
        self.0 as usize
    }
}

/// A group, as far as it is on this node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Hosted<S: StateMachine> {
    pub(super) id: GroupId,
    pub(super) replica: Replica<S>,
    pub(super) seats: Seats,
}

/// All groups of a node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Groups<S: StateMachine> {
    places: Map<GroupId, Place, GROUPS>,
    pages: List<List<Hosted<S>, PAGE>, PAGES>,
}

impl<S: StateMachine> Groups<S> {
    pub(super) const fn new() -> Self {
        Self { places: Map::new(), pages: List::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.places.is_full()
    }

    /// Their names, in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = GroupId> {
        self.places.iter().map(|(id, _)| *id)
    }

    pub(super) fn place(&self, id: GroupId) -> Option<Place> {
        self.places.get(&id).copied()
    }

    pub(super) fn get(&self, place: Place) -> Option<&Hosted<S>> {
        self.pages.get(place.position() / PAGE)?.get(place.position() % PAGE)
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Hosted<S>> {
        self.pages.get_mut(place.position() / PAGE)?.get_mut(place.position() % PAGE)
    }

    /// Takes in a group that is not here yet, at the next place. None if there is no room.
    pub(super) fn add(&mut self, hosted: Hosted<S>) -> Option<Place> {
        let place = Place::at(self.len()).filter(|_| !self.is_full())?;
        if self.pages.last().is_none_or(List::is_full) {
            self.pages.push(List::new()).ok()?;
        }
        self.places.insert(hosted.id, place).ok()?;
        self.pages.last_mut()?.push(hosted).ok()?;
        Some(place)
    }

    /// Lets a group go. The one at the last place, which is told, takes its place.
    pub(super) fn remove(&mut self, place: Place) -> Option<(Hosted<S>, Place)> {
        let last_place = Place::at(self.len().checked_sub(1)?)?;
        let page = self.pages.last_mut()?;
        let last = page.pop()?;
        if page.is_empty() {
            self.pages.pop();
        }
        let gone = if place == last_place {
            last
        } else {
            let _ = self.places.insert(last.id, place);
            core::mem::replace(self.get_mut(place)?, last)
        };
        self.places.remove(&gone.id);
        Some((gone, last_place))
    }
}
