//! A run as a space-time picture: one HTML file that needs nothing else.
//!
//! Time runs down, each node and client has a column. Rows are spaced by what happens, not by the
//! clock: a millisecond in which much happens is long, and a second in which nothing does is a
//! short gap with its length beside it. So forty moments and five thousand are equally legible.
//! Every mark links to its line of the transcript below and back, and says its words when it is
//! pointed at; the script only makes that more comfortable.
//!
//! Equal traces make equal files. Nothing in a trace can become markup: see `text`.

mod layout;
mod lifelines;
mod marks;
mod page;
mod text;

#[cfg(test)]
mod tests;

use crate::trace::Trace;

/// Moments that are drawn: the last ones, if there are more. A browser stays quick with as many.
pub const MOST_MOMENTS: usize = 5_000;

/// Draws a run: the whole text of an HTML file.
#[must_use]
pub fn draw(trace: &Trace) -> String {
    page::write(&layout::Layout::of(trace))
}
