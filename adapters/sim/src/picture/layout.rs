//! Where everything goes: rows by what happens, columns by lane.

use super::MOST_MOMENTS;
use crate::trace::{Moment, Trace, What};
use std::collections::{BTreeMap, BTreeSet};

/// Room above the first row, and below the last.
const TOP: u32 = 18;
const BOTTOM: u32 = 30;
/// Room for the time, left of the lanes, and for words, right of them.
const AXIS: u32 = 104;
const MARGIN: u32 = 340;
/// Room that all lanes share, and the bounds of what one gets.
const ROOM: u32 = 760;
const COLUMN: std::ops::RangeInclusive<u32> = 76..=170;
/// A pause that is worth saying, in microseconds.
const PAUSE: u64 = 50_000;

/// A moment with its place on the sheet.
pub(super) struct Place<'a> {
    /// Its number in the whole run, from 1.
    pub(super) number: usize,
    pub(super) moment: &'a Moment,
    pub(super) y: u32,
}

/// A stretch of time in which nothing happened.
pub(super) struct Pause {
    pub(super) y: u32,
    pub(super) micros: u64,
}

/// The sheet.
pub(super) struct Layout<'a> {
    pub(super) trace: &'a Trace,
    /// The moments that are drawn, and those before them, which are not.
    pub(super) places: Vec<Place<'a>>,
    pub(super) skipped: &'a [Moment],
    pub(super) pauses: Vec<Pause>,
    /// The least distance between two rows.
    pub(super) pitch: u32,
    pub(super) height: u32,
    column: u32,
}

impl<'a> Layout<'a> {
    pub(super) fn of(trace: &'a Trace) -> Self {
        let surplus = trace.moments.len().saturating_sub(MOST_MOMENTS);
        let (skipped, drawn) = trace.moments.split_at(surplus);
        let rows = rows(drawn);
        let count = rows.last().map_or(0, |last| last + 1);
        let (pitch, stretch) = match count {
            ..=150 => (22, 66),
            151..=600 => (17, 40),
            601..=2_000 => (13, 20),
            _ => (11, 11),
        };
        let (mut places, mut pauses) = (Vec::new(), Vec::new());
        let mut y = TOP;
        let mut before: Option<(usize, u64)> = None;
        for ((offset, moment), row) in drawn.iter().enumerate().zip(rows) {
            if let Some((above, at)) = before.filter(|(above, _)| *above != row) {
                let idle = moment.at.saturating_sub(at);
                let gap = gap(idle, pitch).min(stretch);
                if idle >= PAUSE && row > above {
                    pauses.push(Pause { y: y + (pitch + gap) / 2, micros: idle });
                }
                y += pitch + gap;
            }
            before = Some((row, moment.at));
            places.push(Place { number: surplus + offset + 1, moment, y });
        }
        let lanes = u32::try_from(trace.lanes.len().max(1)).unwrap_or(u32::MAX);
        let column = (ROOM / lanes).clamp(*COLUMN.start(), *COLUMN.end());
        Self { trace, places, skipped, pauses, pitch, height: y + BOTTOM, column }
    }

    /// The middle of a lane, if it is one.
    pub(super) fn x(&self, lane: usize) -> Option<u32> {
        let (left, width) = self.column(lane)?;
        Some(left + width / 2)
    }

    /// The left edge of a lane's column, and its width.
    pub(super) fn column(&self, lane: usize) -> Option<(u32, u32)> {
        let lane = u32::try_from(lane).ok().filter(|_| lane < self.trace.lanes.len())?;
        Some((AXIS + lane * self.column, self.column))
    }

    /// Where the lanes begin and end.
    pub(super) fn span(&self) -> (u32, u32) {
        let lanes = u32::try_from(self.trace.lanes.len()).unwrap_or(u32::MAX);
        (AXIS, AXIS + lanes * self.column)
    }

    pub(super) fn width(&self) -> u32 {
        self.span().1 + MARGIN
    }
}

/// How much longer a pause makes the way to the next row: a little for each doubling.
fn gap(idle: u64, pitch: u32) -> u32 {
    (u64::BITS - (idle / 250).leading_zeros()) * pitch / 4
}

/// A row that may still take more.
#[derive(Default)]
struct Row {
    at: u64,
    /// Lanes that have a mark in it, and whether they only send.
    lanes: BTreeMap<usize, bool>,
    sent: BTreeSet<u64>,
    is_closed: bool,
}

impl Row {
    /// Whether a moment may stand here: at the same time, and without covering or preceding what
    /// it follows.
    fn takes(&self, Moment { at, lane, what, .. }: &Moment) -> bool {
        let is_free = || !self.lanes.contains_key(lane);
        *at == self.at
            && !self.is_closed
            && match what {
                What::Sent { .. } => self.lanes.get(lane).is_none_or(|only_sends| *only_sends),
                What::Heard { message } | What::Lost { message } => {
                    is_free() && !self.sent.contains(message)
                }
                // These go across.
                What::Fault | What::Healed | What::Violation => false,
                _ => is_free(),
            }
    }

    fn take(&mut self, Moment { at, lane, what, .. }: &Moment) {
        self.at = *at;
        self.lanes.insert(*lane, matches!(what, What::Sent { .. }));
        if let What::Sent { message, .. } = what {
            self.sent.insert(*message);
        }
        self.is_closed = matches!(what, What::Fault | What::Healed | What::Violation);
    }
}

/// The row of each moment.
fn rows(moments: &[Moment]) -> Vec<usize> {
    let (mut row, mut number) = (Row::default(), None);
    let place = |moment: &Moment| {
        let same = number.filter(|_| row.takes(moment));
        if same.is_none() {
            row = Row::default();
        }
        row.take(moment);
        let next = same.or(number.map(|number| number + 1)).unwrap_or(0);
        number = Some(next);
        next
    };
    moments.iter().map(place).collect()
}
