//! A run as a space-time picture: one HTML file that needs nothing else.

use crate::trace::Trace;

/// Draws a run.
#[must_use]
pub fn draw(trace: &Trace) -> String {
    trace.to_string()
}
