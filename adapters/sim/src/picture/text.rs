//! Words of a run as they may stand in a page.

/// The longest words that are shown: what is longer ends in an ellipsis.
const LONGEST: usize = 240;

/// Words that cannot be taken for markup, on one line, of bounded length. They may stand in an
/// element or in a quoted attribute.
pub(super) fn plain(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    let mut rest = words.chars();
    for c in rest.by_ref().take(LONGEST) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(c),
        }
    }
    if rest.next().is_some() {
        out.push('…');
    }
    out
}

/// The same, of at most so many characters.
pub(super) fn brief(words: &str, most: usize) -> String {
    let front: String = words.chars().take(most).collect();
    let ellipsis = if front.len() < words.len() { "…" } else { "" };
    plain(&front) + ellipsis
}

/// A moment in milliseconds, as in a trace's own text.
pub(super) fn millis(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

/// A length of time in the unit that fits.
pub(super) fn spoken(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{}.{} s", micros / 1_000_000, micros / 100_000 % 10),
    }
}

/// A count of things.
pub(super) fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}
