//! The lanes: who lived when, in which term, and who led; and the bands of what was wrong.

use super::layout::Layout;
use crate::trace::{Moment, What};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Colours of terms; a term takes the one of its number.
const COLOURS: u64 = 8;

/// The class that gives a term its colour.
pub(super) fn colour(term: u64) -> String {
    format!("t{}", term % COLOURS)
}

/// How a node is.
#[derive(Clone, PartialEq)]
struct Life {
    is_alive: bool,
    leads: bool,
    term: Option<u64>,
}

impl Life {
    /// Before a lane's first moment: dead, if the first that is heard of it is that it starts.
    fn of<'a>(mut moments: impl Iterator<Item = &'a Moment>) -> Self {
        let first = moments.find(|m| matches!(m.what, What::Started | What::Crashed));
        let is_dead = first.is_some_and(|moment| moment.what == What::Started);
        Self { is_alive: !is_dead, leads: false, term: None }
    }

    fn take(&mut self, what: What) {
        match what {
            What::Crashed => (self.is_alive, self.leads) = (false, false),
            What::Started => (self.is_alive, self.leads) = (true, false),
            What::Deposed => self.leads = false,
            What::Leads(term) => (self.leads, self.term) = (true, Some(term)),
            What::Term(term) => self.term = Some(term),
            _ => {}
        }
    }

    fn class(&self) -> String {
        let colour = self.term.map_or("t-none".to_owned(), colour);
        match (self.is_alive, self.leads) {
            (false, _) => "dead".to_owned(),
            (true, false) => colour,
            (true, true) => format!("{colour} leads"),
        }
    }
}

pub(super) fn write(layout: &Layout<'_>, out: &mut String) {
    write_bands(layout, out);
    for (lane, _) in layout.trace.lanes.iter().enumerate() {
        write_lane(layout, lane, out);
    }
}

fn write_lane(layout: &Layout<'_>, lane: usize, out: &mut String) {
    let Some(x) = layout.x(lane) else { return };
    let mut life = Life::of(layout.trace.moments.iter().filter(|moment| moment.lane == lane));
    let skipped = layout.skipped.iter().filter(|moment| moment.lane == lane);
    skipped.for_each(|moment| life.take(moment.what));
    let mut from = 0;
    let mut draw = |life: &Life, from: u32, to: u32| {
        let class = life.class();
        let _ = writeln!(out, "<path class=\"life {class}\" d=\"M{x} {from}V{to}\"/>");
    };
    for place in layout.places.iter().filter(|place| place.moment.lane == lane) {
        let before = life.clone();
        life.take(place.moment.what);
        if life != before {
            draw(&before, from, place.y);
            from = place.y;
        }
    }
    draw(&life, from, layout.height);
}

/// From the world's first fault to what heals it, and from a lane's own to what heals that lane. A
/// fault of a lane whose end is not told has no band: it may have passed long before the run ends.
fn write_bands(layout: &Layout<'_>, out: &mut String) {
    let (left, right) = layout.span();
    let mut draw = |lane: Option<usize>, from: u32, to: u32| {
        let column = lane.and_then(|lane| layout.column(lane));
        let (x, width) = column.unwrap_or((left, right - left));
        let height = to.saturating_sub(from);
        let _ = writeln!(
            out,
            "<rect class=\"band\" x=\"{x}\" y=\"{from}\" width=\"{width}\" height=\"{height}\"/>"
        );
    };
    let whose = |moment: &Moment| Some(moment.lane).filter(|lane| layout.x(*lane).is_some());
    let mut open: BTreeMap<Option<usize>, u32> = BTreeMap::new();
    let skipped = layout.skipped.iter().map(|moment| (moment, 0));
    for (moment, y) in skipped.chain(layout.places.iter().map(|place| (place.moment, place.y))) {
        let lane = whose(moment);
        match moment.what {
            What::Fault => {
                open.entry(lane).or_insert(y);
            }
            What::Healed => {
                if let Some(from) = open.remove(&lane) {
                    draw(lane, from, y);
                }
            }
            _ => {}
        }
    }
    if let Some(from) = open.remove(&None) {
        draw(None, from, layout.height);
    }
}
