//! The marks: one for each moment, with its words, and a link to its line.

use super::layout::{Layout, Place};
use super::lifelines::colour;
use super::text::{brief, millis, plain};
use crate::trace::{Moment, What};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Least distance between two labels in one lane, and in the margin.
const LABEL: u32 = 12;
/// Characters that fit into the margin.
const MARGIN_WORDS: usize = 46;

/// What a kind of moment is called, in classes and in the legend.
pub(super) const fn kind(what: What) -> &'static str {
    match what {
        What::Sent { .. } => "sent",
        What::Heard { .. } => "heard",
        What::Lost { .. } => "lost",
        What::Written => "written",
        What::Durable => "durable",
        What::Crashed => "crashed",
        What::Started => "started",
        What::Fault => "fault",
        What::Healed => "healed",
        What::Term(_) => "term",
        What::Leads(_) => "leads",
        What::Deposed => "deposed",
        What::Committed(_) => "committed",
        What::Client => "client",
        What::Violation => "violation",
        What::Note => "note",
    }
}

/// The message that a moment is about.
const fn message_of(what: What) -> Option<u64> {
    match what {
        What::Sent { message, .. } | What::Heard { message } | What::Lost { message } => {
            Some(message)
        }
        _ => None,
    }
}

/// Where a message left, and where it was to go.
#[derive(Clone, Copy)]
struct Departure {
    x: u32,
    y: u32,
    to: Option<u32>,
}

/// What the marks need to know of each other.
struct Marks<'l> {
    layout: &'l Layout<'l>,
    departures: BTreeMap<u64, Departure>,
    /// Messages that are seen to end.
    ended: BTreeSet<u64>,
    /// Messages heard so far: who hears one again hears a copy.
    heard: BTreeSet<u64>,
    /// Where each lane, and the margin, may have its next label.
    free: BTreeMap<Option<usize>, u32>,
}

pub(super) fn write(layout: &Layout<'_>, out: &mut String) {
    let (mut departures, mut ended) = (BTreeMap::new(), BTreeSet::new());
    for Place { moment, y, .. } in &layout.places {
        match (moment.what, layout.x(moment.lane)) {
            (What::Sent { message, to }, Some(x)) => {
                departures.insert(message, Departure { x, y: *y, to: layout.x(to) });
            }
            (What::Heard { message } | What::Lost { message }, Some(_)) => {
                ended.insert(message);
            }
            _ => {}
        }
    }
    let (heard, free) = (BTreeSet::new(), BTreeMap::new());
    let mut marks = Marks { layout, departures, ended, heard, free };
    layout.places.iter().for_each(|place| marks.mark(place, out));
}

impl Marks<'_> {
    fn mark(&mut self, place: &Place<'_>, out: &mut String) {
        let Place { number, moment, y } = place;
        let Moment { at, lane, what, words } = moment;
        let name = self.layout.trace.lanes.get(*lane).map_or("all", String::as_str);
        let _ = write!(out, "<a id=\"m{number}\" href=\"#t{number}\" class=\"m {}\"", kind(*what));
        if let Some(message) = message_of(*what) {
            let _ = write!(out, " data-g=\"{message}\"");
        }
        let _ = write!(
            out,
            "><title>{} ms · {} · {}</title>",
            millis(*at),
            brief(name, 40),
            plain(words)
        );
        match self.layout.x(*lane) {
            _ if matches!(what, What::Fault | What::Healed | What::Violation) => {
                self.across(moment, *y, out);
            }
            Some(x) => self.on_lane(moment, (x, *y), out),
            // What concerns no lane in particular has a mark left of all of them.
            None => draw_icon(*what, (self.layout.span().0.saturating_sub(10), *y), out),
        }
        out.push_str("</a>\n");
    }

    fn on_lane(&mut self, moment: &Moment, (x, y): (u32, u32), out: &mut String) {
        match moment.what {
            What::Sent { message, .. } => self.sent(message, (x, y), out),
            What::Heard { message } => self.heard(message, (x, y), out),
            What::Lost { message } => self.lost(message, (x, y), out),
            What::Term(term) => {
                draw_icon(moment.what, (x, y), out);
                let class = colour(term);
                let (x, y) = (x.saturating_sub(9), y + 4);
                let _ =
                    write!(out, "<text class=\"{class} end\" x=\"{x}\" y=\"{y}\">T{term}</text>");
            }
            What::Leads(term) => {
                draw_icon(moment.what, (x, y), out);
                self.label(moment.lane, (x, y), &format!("leads T{term}"), out);
            }
            What::Committed(index) => {
                draw_icon(moment.what, (x, y), out);
                self.label(moment.lane, (x, y), &index.to_string(), out);
            }
            what => draw_icon(what, (x, y), out),
        }
    }

    /// A label right of the lifeline, unless it would cover another.
    fn label(&mut self, lane: usize, (x, y): (u32, u32), text: &str, out: &mut String) {
        if self.free.get(&Some(lane)).is_none_or(|free| *free <= y) {
            let _ = write!(out, "<text x=\"{}\" y=\"{}\">{text}</text>", x + 9, y + 4);
            self.free.insert(Some(lane), y + LABEL);
        }
    }

    /// A dot where a message leaves; and a stub, if the run ends before the message does.
    fn sent(&self, message: u64, (x, y): (u32, u32), out: &mut String) {
        let _ = write!(out, "<circle class=\"tail\" cx=\"{x}\" cy=\"{y}\" r=\"2\"/>");
        let departure = self.departures.get(&message).filter(|_| !self.ended.contains(&message));
        if let Some(to) = departure.and_then(|departure| departure.to) {
            let end = (part(x, to, 35), y + self.layout.pitch);
            arrow("flight", (x, y), end, out);
        }
    }

    /// An arrow from where the message left, or from the edge if that is not drawn.
    fn heard(&mut self, message: u64, (x, y): (u32, u32), out: &mut String) {
        let is_copy = !self.heard.insert(message);
        match self.departures.get(&message) {
            Some(from) if from.x == x => {
                let bow = x + 34;
                let _ = write!(
                    out,
                    "<path class=\"arrow\" d=\"M{x} {}C{bow} {} {bow} {y} {} {y}\"/>",
                    from.y,
                    from.y,
                    x + 4
                );
            }
            Some(from) => {
                let tip = if from.x < x { x.saturating_sub(4) } else { x + 4 };
                let class = if is_copy { "copy" } else { "arrow" };
                arrow(class, (from.x, from.y), (tip, y), out);
            }
            None => {
                let from = (x.saturating_sub(28), y.saturating_sub(9));
                arrow("flight", from, (x.saturating_sub(4), y), out);
            }
        }
    }

    /// A stub that ends in a cross, on the way to who would have heard it.
    fn lost(&self, message: u64, (x, y): (u32, u32), out: &mut String) {
        let end = match self.departures.get(&message) {
            Some(from) => {
                let end = (part(from.x, x, 62), part(from.y, y, 62));
                let _ = write!(
                    out,
                    "<path class=\"stub\" d=\"M{} {}L{} {}\"/>",
                    from.x, from.y, end.0, end.1
                );
                end
            }
            None => (x.saturating_sub(14), y),
        };
        draw_icon(What::Lost { message }, end, out);
    }

    /// A line across all lanes, with words in the margin.
    fn across(&mut self, moment: &Moment, y: u32, out: &mut String) {
        let (left, right) = self.layout.span();
        let _ = write!(out, "<path class=\"across\" d=\"M{left} {y}H{right}\"/>");
        let x = self.layout.x(moment.lane).unwrap_or(left);
        draw_icon(moment.what, (x, y), out);
        let base = self.free.get(&None).map_or(y, |free| y.max(*free));
        self.free.insert(None, base + LABEL + 2);
        let _ = write!(
            out,
            "<path class=\"lead\" d=\"M{right} {y}l10 {}h4\"/><text x=\"{}\" y=\"{}\">{}</text>",
            base - y,
            right + 18,
            base + 4,
            brief(&moment.words, MARGIN_WORDS)
        );
    }
}

/// The point at so many percent of the way.
fn part(from: u32, to: u32, percent: u32) -> u32 {
    if to >= from { from + (to - from) * percent / 100 } else { from - (from - to) * percent / 100 }
}

/// An arrow, and around it a wider one that nobody sees, to be pointed at.
fn arrow(class: &str, (x, y): (u32, u32), (to_x, to_y): (u32, u32), out: &mut String) {
    let _ = write!(
        out,
        "<path class=\"hit\" d=\"M{x} {y}L{to_x} {to_y}\"/>\
         <path class=\"{class}\" d=\"M{x} {y}L{to_x} {to_y}\"/>"
    );
}

/// The mark itself, without what joins it to others: also what the legend shows.
pub(super) fn draw_icon(what: What, (x, y): (u32, u32), out: &mut String) {
    let (left, top) = (x.saturating_sub(4), y.saturating_sub(4));
    let _ = match what {
        What::Sent { .. } | What::Heard { .. } => {
            write!(out, "<circle class=\"tail\" cx=\"{x}\" cy=\"{y}\" r=\"2\"/>")
        }
        What::Lost { .. } => {
            write!(out, "<path class=\"cross\" d=\"M{left} {top}l8 8m0 -8l-8 8\"/>")
        }
        What::Written | What::Durable => {
            write!(out, "<rect class=\"disk\" x=\"{left}\" y=\"{top}\" width=\"8\" height=\"8\"/>")
        }
        What::Crashed => {
            let (left, top) = (x.saturating_sub(7), y.saturating_sub(7));
            write!(out, "<path class=\"crash\" d=\"M{left} {top}l14 14m0 -14l-14 14\"/>")
        }
        What::Started => {
            let (left, top) = (x.saturating_sub(6), y.saturating_sub(4));
            write!(out, "<path class=\"start\" d=\"M{left} {top}h12l-6 10z\"/>")
        }
        What::Term(term) => {
            let class = colour(term);
            write!(out, "<circle class=\"ring {class}\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>")
        }
        What::Leads(term) => {
            let class = colour(term);
            write!(out, "<circle class=\"crown {class}\" cx=\"{x}\" cy=\"{y}\" r=\"6\"/>")
        }
        What::Deposed => write!(out, "<circle class=\"ring\" cx=\"{x}\" cy=\"{y}\" r=\"6\"/>"),
        What::Committed(_) => {
            write!(out, "<path class=\"tick\" d=\"M{} {y}h14\"/>", x.saturating_sub(7))
        }
        What::Client => {
            write!(out, "<path class=\"ask\" d=\"M{x} {}l5 5l-5 5l-5 -5z\"/>", y.saturating_sub(5))
        }
        What::Violation => write!(
            out,
            "<circle class=\"alarm\" cx=\"{x}\" cy=\"{y}\" r=\"8\"/>\
             <path class=\"bang\" d=\"M{x} {}v5m0 2.5v1.5\"/>",
            y.saturating_sub(5)
        ),
        What::Fault | What::Healed => {
            write!(out, "<path class=\"bolt\" d=\"M{x} {}l5 9h-10z\"/>", y.saturating_sub(6))
        }
        What::Note => write!(out, "<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>"),
    };
}
