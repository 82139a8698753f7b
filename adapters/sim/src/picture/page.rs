//! The page around the picture: what it is about, how to read it, and the transcript.

use super::layout::Layout;
use super::text::{brief, count, millis, plain, spoken};
use super::{lifelines, marks};
use crate::trace::{Moment, What};
use std::fmt::Write as _;

/// Places of note that the page offers to go to.
const MOST_JUMPS: usize = 40;
/// Least distance between two times on the axis.
const TIMES: u32 = 30;

/// The whole file.
pub(super) fn write(layout: &Layout<'_>) -> String {
    let mut out = String::new();
    let title = plain(&layout.trace.title);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n<header>\n",
        include_str!("style.css")
    );
    write_title(layout, &mut out);
    write_facts(layout, &mut out);
    write_jumps(layout, &mut out);
    write_legend(&mut out);
    out.push_str("</header>\n");
    write_switches(&mut out);
    out.push_str("<main>\n");
    write_names(layout, &mut out);
    write_sheet(layout, &mut out);
    out.push_str("</main>\n");
    write_transcript(layout, &mut out);
    let script = include_str!("script.js");
    let _ =
        write!(out, "<p id=\"say\" hidden></p>\n<script>\n{script}</script>\n</body>\n</html>\n");
    out
}

/// What the run is called, and apart from that what is said of it.
fn write_title(layout: &Layout<'_>, out: &mut String) {
    let title = &layout.trace.title;
    let (name, rest) = title.split_once(": ").unwrap_or((title, ""));
    let _ = writeln!(out, "<h1>{}</h1>\n<p class=\"rest\">{}</p>", plain(name), plain(rest));
}

fn write_facts(layout: &Layout<'_>, out: &mut String) {
    let moments = &layout.trace.moments;
    let lasted = moments.last().map_or(0, |last| last.at);
    let _ = write!(
        out,
        "<p>{}, {}, {} of time.",
        count(layout.trace.lanes.len(), "lane"),
        count(moments.len(), "moment"),
        spoken(lasted)
    );
    if !layout.skipped.is_empty() {
        let (drawn, skipped) = (layout.places.len(), layout.skipped.len());
        let _ = write!(
            out,
            " <strong>Only the last {drawn} moments are drawn; the {skipped} before them are not.\
             </strong>"
        );
    }
    out.push_str("</p>\n");
    for place in layout.places.iter().filter(|place| place.moment.what == What::Violation) {
        let _ = writeln!(
            out,
            "<p class=\"verdict\"><a href=\"#m{}\">Violation</a> {}</p>",
            place.number,
            plain(&place.moment.words)
        );
    }
}

/// Links to what one looks for first. Faults are among it, unless they are too many.
fn write_jumps(layout: &Layout<'_>, out: &mut String) {
    let faults = layout.places.iter().filter(|place| place.moment.what == What::Fault).count();
    let is_of_note = |what| match what {
        What::Leads(_) | What::Crashed | What::Violation => true,
        What::Fault => faults <= MOST_JUMPS / 2,
        _ => false,
    };
    let mut of_note = layout.places.iter().filter(|place| is_of_note(place.moment.what)).peekable();
    if of_note.peek().is_none() {
        return;
    }
    out.push_str("<nav><span>Go to</span>\n");
    for place in of_note.by_ref().take(MOST_JUMPS) {
        let Moment { at, lane, what, .. } = place.moment;
        let name = layout.trace.lanes.get(*lane).map_or("all", String::as_str);
        let _ = writeln!(
            out,
            "<a href=\"#m{}\" class=\"to-{}\">{} {} {}</a>",
            place.number,
            marks::kind(*what),
            spoken(*at),
            brief(name, 12),
            marks::kind(*what)
        );
    }
    let more = of_note.count();
    if more > 0 {
        let _ = writeln!(out, "<span>and {more} more</span>");
    }
    out.push_str("</nav>\n");
}

/// Each kind of mark with what it means.
fn write_legend(out: &mut String) {
    const MEANINGS: [(What, &str); 13] = [
        (What::Lost { message: 0 }, "lost on its way"),
        (What::Written, "handed to the disk"),
        (What::Durable, "durable"),
        (What::Committed(0), "known to be committed up to"),
        (What::Term(1), "enters a term; the line has its colour"),
        (What::Leads(1), "leads; the line is thick"),
        (What::Deposed, "leads no longer"),
        (What::Client, "asked, or answers"),
        (What::Crashed, "crashes; the line breaks"),
        (What::Started, "starts"),
        (What::Fault, "a fault, or its end; shaded between"),
        (What::Violation, "a promise is broken"),
        (What::Note, "anything else"),
    ];
    const ARROWS: [(&str, &str); 3] = [
        ("arrow", "a message"),
        ("copy", "heard once more"),
        ("flight", "goes on outside the picture"),
    ];
    out.push_str("<details open><summary>How to read it</summary>\n<ul class=\"legend\">\n");
    for (class, meaning) in ARROWS {
        let _ = writeln!(
            out,
            "<li><svg class=\"m heard\" width=\"30\" height=\"20\"><path class=\"{class}\" \
             d=\"M2 5L26 14\"/></svg>{meaning}</li>"
        );
    }
    for (what, meaning) in MEANINGS {
        let kind = marks::kind(what);
        let _ = write!(out, "<li><svg class=\"m {kind}\" width=\"20\" height=\"20\">");
        marks::draw_icon(what, (10, 10), out);
        let _ = writeln!(out, "</svg>{meaning}</li>");
    }
    out.push_str(
        "</ul>\n<p>Time runs down. Rows are spaced by what happens, not by the clock: a pause is \
         short, and its length stands beside it. Point at a mark for its words; follow it to its \
         line in the transcript.</p>\n</details>\n",
    );
}

/// What may be left out of the picture: boxes that work without the script.
fn write_switches(out: &mut String) {
    for (name, label) in
        [("messages", "messages"), ("disk", "disk"), ("commits", "commits"), ("notes", "notes")]
    {
        let _ = writeln!(
            out,
            "<input type=\"checkbox\" id=\"with-{name}\" checked>\
             <label for=\"with-{name}\">{label}</label>"
        );
    }
}

/// The names of the lanes; they stay in sight.
fn write_names(layout: &Layout<'_>, out: &mut String) {
    let width = layout.width();
    let _ = write!(out, "<svg class=\"names\" width=\"{width}\" height=\"26\" role=\"img\">");
    let _ = write!(out, "<title>The lanes</title><text class=\"end\" x=\"86\" y=\"17\">ms</text>");
    for (lane, name) in layout.trace.lanes.iter().enumerate() {
        if let (Some(x), Some((_, room))) = (layout.x(lane), layout.column(lane)) {
            let name = brief(name, (room / 8) as usize);
            let _ = write!(out, "<text class=\"name\" x=\"{x}\" y=\"17\">{name}</text>");
        }
    }
    out.push_str("</svg>\n");
}

fn write_sheet(layout: &Layout<'_>, out: &mut String) {
    let (width, height) = (layout.width(), layout.height);
    let _ = writeln!(
        out,
        "<svg class=\"sheet\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"The run, drawn\">\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
         markerHeight=\"7\" orient=\"auto\" markerUnits=\"userSpaceOnUse\">\
         <path d=\"M0 0.5L8 4L0 7.5z\"/></marker></defs>"
    );
    write_axis(layout, out);
    lifelines::write(layout, out);
    marks::write(layout, out);
    out.push_str("</svg>\n");
}

fn write_axis(layout: &Layout<'_>, out: &mut String) {
    let right = layout.span().1;
    let mut last: Option<(u64, u32)> = None;
    for place in &layout.places {
        let (at, y) = (place.moment.at, place.y);
        if last.is_some_and(|(before, above)| before == at || y < above + TIMES) {
            continue;
        }
        last = Some((at, y));
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M90 {y}H{right}\"/>\
             <text class=\"time end\" x=\"86\" y=\"{}\">{}</text>",
            y + 4,
            millis(at)
        );
    }
    for pause in &layout.pauses {
        let (y, words) = (pause.y, spoken(pause.micros));
        let _ = writeln!(out, "<text class=\"pause\" x=\"94\" y=\"{}\">↕ {words}</text>", y + 3);
    }
}

fn write_transcript(layout: &Layout<'_>, out: &mut String) {
    out.push_str("<section>\n<h2>Transcript</h2>\n");
    if !layout.skipped.is_empty() {
        let _ = writeln!(out, "<p>{} are not shown.</p>", count(layout.skipped.len(), "moment"));
    }
    out.push_str("<ol>\n");
    for place in &layout.places {
        let Moment { at, lane, what, words } = place.moment;
        let name = layout.trace.lanes.get(*lane).map_or("all", String::as_str);
        let number = place.number;
        let _ = writeln!(
            out,
            "<li id=\"t{number}\" class=\"is-{}\"><a href=\"#m{number}\">{}</a> <b>{}</b> {}</li>",
            marks::kind(*what),
            millis(*at),
            brief(name, 40),
            plain(words)
        );
    }
    out.push_str("</ol>\n</section>\n");
}
