//! One timer for each group that has something due: found by its place, the earliest first.
//!
//! A binary heap, and for each place where in the heap its timer is. To change a timer costs the logarithm
//! of how many there are; a group without one costs nothing but its spot.

use super::groups::Place;
use crate::bounded::List;
use crate::limits::GROUPS;
use crate::time::Instant;

/// When what is due, at which place.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Timers {
    /// Nobody is earlier than the one at half its position.
    heap: List<(Instant, Place), GROUPS>,
    /// By place: where in the heap its timer is.
    spots: List<Option<u16>, GROUPS>,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self { heap: List::new(), spots: List::new() }
    }

    /// The earliest, and whose it is.
    pub(super) fn first(&self) -> Option<(Instant, Place)> {
        self.heap.first().copied()
    }

    /// When something is due at a place.
    pub(super) fn at(&self, place: Place) -> Option<Instant> {
        self.spot(place).and_then(|spot| self.heap.get(spot)).map(|timer| timer.0)
    }

    /// Sets the timer of a place, or takes it away.
    pub(super) fn set(&mut self, place: Place, at: Option<Instant>) {
        match (self.spot(place), at) {
            (None, None) => {}
            (Some(spot), None) => self.remove(spot),
            (Some(spot), Some(at)) => {
                if let Some(timer) = self.heap.get_mut(spot) {
                    timer.0 = at;
                }
                self.order(spot);
            }
            (None, Some(at)) => {
                while self.spots.len() <= place.position() && self.spots.push(None).is_ok() {}
                // There is one timer a place at most, so there is room.
                if self.heap.push((at, place)).is_ok() {
                    self.order(self.heap.len().saturating_sub(1));
                }
            }
        }
    }

    /// A place is given up; the group of the last place moves there.
    pub(super) fn give_up(&mut self, place: Place, last: Place) {
        self.set(place, None);
        let moved = self.at(last);
        self.set(last, None);
        self.spots.truncate(last.position());
        self.set(place, moved);
    }

    fn spot(&self, place: Place) -> Option<usize> {
        self.spots.get(place.position()).copied().flatten().map(usize::from)
    }

    /// Takes a timer out; the last of the heap fills the gap.
    fn remove(&mut self, spot: usize) {
        let end = self.heap.len().saturating_sub(1);
        self.swap(spot, end);
        if let Some((_, place)) = self.heap.pop()
            && let Some(gone) = self.spots.get_mut(place.position())
        {
            *gone = None;
        }
        self.order(spot);
    }

    /// Moves the timer at a spot to where it belongs.
    fn order(&mut self, mut spot: usize) {
        self.note(spot);
        while let Some(parent) = spot.checked_sub(1).map(|above| above / 2) {
            if !self.is_before(spot, parent) {
                break;
            }
            self.swap(spot, parent);
            spot = parent;
        }
        loop {
            let left = spot.saturating_mul(2).saturating_add(1);
            let right = left.saturating_add(1);
            let first = if self.is_before(right, left) { right } else { left };
            if !self.is_before(first, spot) {
                break;
            }
            self.swap(spot, first);
            spot = first;
        }
    }

    /// Whether there is a timer at `this` that is earlier than the one at `that`.
    fn is_before(&self, this: usize, that: usize) -> bool {
        self.heap.get(this).zip(self.heap.get(that)).is_some_and(|(this, that)| this < that)
    }

    fn swap(&mut self, one: usize, other: usize) {
        if one < self.heap.len() && other < self.heap.len() {
            self.heap.swap(one, other);
            self.note(one);
            self.note(other);
        }
    }

    /// Notes where the timer at a spot is.
    fn note(&mut self, spot: usize) {
        if let Some((_, place)) = self.heap.get(spot).copied()
            && let Some(known) = self.spots.get_mut(place.position())
        {
            *known = u16::try_from(spot).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::vec::Vec;

    // Against the plainest thing that could be right: a list that is searched.
    #[test]
    fn the_earliest_is_first_whatever_was_set_moved_and_given_up() {
        let count = GROUPS.min(40);
        let (mut timers, mut rng) = (Timers::new(), Rng::new(7));
        let mut plain: Vec<Option<Instant>> = Vec::new();
        for _ in 0..20_000 {
            let at = Instant::from_micros(rng.below(50));
            let at = (rng.below(3) > 0).then_some(at);
            let position = usize::try_from(rng.below(count as u64)).unwrap();
            match (rng.below(8), Place::at(position)) {
                (0, Some(place)) if position < plain.len() => {
                    timers.give_up(place, Place::at(plain.len() - 1).unwrap());
                    plain.swap_remove(position);
                }
                (1..3, _) if plain.len() < count => {
                    timers.set(Place::at(plain.len()).unwrap(), at);
                    plain.push(at);
                }
                (_, Some(place)) if position < plain.len() => {
                    timers.set(place, at);
                    plain[position] = at;
                }
                _ => {}
            }
            let first = plain.iter().enumerate().filter_map(|(n, at)| Some(((*at)?, n))).min();
            assert_eq!(timers.first().map(|(at, place)| (at, place.position())), first);
        }
    }
}
