use super::*;
use crate::trace::{Moment, WORLD, What};

fn trace(moments: Vec<Moment>) -> Trace {
    let lanes = ["n1", "n2", "n3", "ann"].map(str::to_owned).to_vec();
    Trace { title: "a run".to_owned(), lanes, moments }
}

fn moment(at: u64, lane: usize, what: What, words: &str) -> Moment {
    Moment { at, lane, what, words: words.to_owned() }
}

/// A short run with a moment of every kind.
fn sample() -> Trace {
    use What::*;
    let sent = |message, to| Sent { message, to };
    trace(vec![
        moment(0, 0, Started, "starts"),
        moment(0, 1, Started, "starts"),
        moment(0, 2, Started, "starts"),
        moment(150_000, 0, Term(1), "enters term 1"),
        moment(150_000, 0, Written, "writes its ballot"),
        moment(151_200, 0, Durable, "has its ballot on disk"),
        moment(151_200, 0, sent(1, 1), "to n2: vote for me"),
        moment(151_200, 0, sent(2, 2), "to n3: vote for me"),
        moment(152_000, 1, Heard { message: 1 }, "hears n1: vote for me"),
        moment(152_000, 1, Term(1), "enters term 1"),
        moment(152_700, 1, sent(3, 0), "to n1: granted"),
        moment(153_000, 2, Lost { message: 2 }, "loses n1: vote for me"),
        moment(153_400, 0, Heard { message: 3 }, "hears n2: granted"),
        moment(153_400, 0, Leads(1), "leads term 1"),
        moment(160_000, 3, Client, "ann asks for a lease"),
        moment(160_000, 0, sent(4, 1), "to n2: append 1"),
        moment(161_000, 1, Heard { message: 4 }, "hears n1: append 1"),
        moment(162_500, 1, Heard { message: 4 }, "hears n1: append 1"),
        moment(163_000, 0, Committed(7), "has all up to 7 committed"),
        moment(900_000, 2, Fault, "its disk is full"),
        moment(910_000, WORLD, Fault, "the network parts n1 from n2, n3"),
        moment(920_000, 0, Deposed, "steps down"),
        moment(930_000, 0, Crashed, "crashes"),
        moment(940_000, 1, Term(2), "enters term 2"),
        moment(941_000, 1, Leads(2), "leads term 2"),
        moment(950_000, 2, Healed, "its disk has room"),
        moment(960_000, WORLD, Healed, "the network is whole"),
        moment(970_000, 0, Started, "starts"),
        moment(980_000, 1, sent(5, 0), "to n1: append 0"),
        moment(990_000, 2, Note, "yawns"),
        moment(991_000, 2, Violation, "lease 7 has two holders"),
    ])
}

/// A long run in which everything sends.
fn long(moments: usize, words: &str) -> Trace {
    let one = |number: usize| {
        let message = number as u64 / 2;
        let what = if number.is_multiple_of(2) {
            What::Sent { message, to: (number / 2 + 1) % 3 }
        } else {
            What::Heard { message }
        };
        moment(number as u64 * 700, (number / 2 + number % 2) % 3, what, words)
    };
    trace((0..moments).map(one).collect())
}

/// The tags of a page, without what is between them; scripts and styles are no tags.
fn tags(page: &str) -> Vec<&str> {
    let body = &page[page.find("</style>").unwrap()..page.rfind("<script>").unwrap()];
    body.split('<').skip(1).map(|rest| rest.split_once('>').expect("a tag ends").0).collect()
}

/// How often a class is among those of a tag.
fn count_class(page: &str, class: &str) -> usize {
    let has = |tag: &&str| {
        let classes = tag.split("class=\"").nth(1).and_then(|rest| rest.split('"').next());
        classes.is_some_and(|classes| classes.split(' ').any(|one| one == class))
    };
    tags(page).into_iter().filter(has).count()
}

/// The picture without the page around it.
fn sheet(page: &str) -> &str {
    let from = page.find("<svg class=\"sheet\"").unwrap();
    let rest = &page[from..];
    &rest[..rest.find("</svg>").unwrap()]
}

/// The element of one moment.
fn mark(page: &str, number: usize) -> &str {
    let from = page.find(&format!("<a id=\"m{number}\"")).expect("every moment has a mark");
    &page[from..from + page[from..].find("</a>").unwrap()]
}

#[test]
fn every_moment_has_a_mark_and_a_line_that_lead_to_each_other() {
    let (trace, page) = (sample(), draw(&sample()));
    for (number, moment) in (1..).zip(&trace.moments) {
        let mark = mark(&page, number);
        assert!(mark.contains(&format!("href=\"#t{number}\"")), "{mark}");
        assert!(mark.contains(&moment.words), "{mark}");
        let line = format!("<li id=\"t{number}\"");
        let line = &page[page.find(&line).expect("every moment has a line")..];
        let line = &line[..line.find("</li>").unwrap()];
        assert!(line.contains(&format!("href=\"#m{number}\"")), "{line}");
        assert!(line.contains(&moment.words), "{line}");
    }
}

#[test]
fn every_kind_of_moment_looks_different() {
    let page = draw(&sample());
    let looks = |number: usize| {
        let (head, rest) = mark(&page, number).split_once("</title>").unwrap();
        let class = head.split("class=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        assert!(!rest.is_empty(), "{class} is drawn");
        class
    };
    let mut kinds: Vec<_> = (1..=31).map(looks).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds.len(), 16, "{kinds:?}");
}

#[test]
fn messages_are_arrows_copies_stubs_with_crosses_or_on_their_way() {
    let page = draw(&sample());
    let sheet = format!("</style>{}<script>", sheet(&page));
    let count = |class| count_class(&sheet, class);
    assert_eq!((count("arrow"), count("copy")), (3, 1), "message 4 is heard twice");
    assert_eq!((count("stub"), count("cross")), (1, 1), "message 2 is lost");
    assert_eq!(count("flight"), 1, "message 5 is still on its way");
}

#[test]
fn a_lifeline_breaks_takes_the_colour_of_its_term_and_is_thick_where_its_node_leads() {
    let page = draw(&sample());
    let lives: Vec<_> = page.lines().filter(|line| line.contains("class=\"life ")).collect();
    let of_first_lane = |line: &&str| line.contains("d=\"M189 ");
    let classes: Vec<_> = lives
        .into_iter()
        .filter(of_first_lane)
        .map(|line| line.split('"').nth(1).unwrap().trim_start_matches("life "))
        .collect();
    assert_eq!(classes, ["dead", "t-none", "t1", "t1 leads", "t1", "dead", "t1"]);
}

#[test]
fn a_fault_shades_its_lane_or_all_of_them_until_it_is_told_to_be_healed() {
    let page = draw(&sample());
    let bands: Vec<_> = page.lines().filter(|line| line.contains("class=\"band\"")).collect();
    assert_eq!(bands.len(), 2, "{bands:?}");
    assert!(bands[0].contains("width=\"170\"") && bands[1].contains("width=\"680\""), "{bands:?}");
}

#[test]
fn a_violation_is_told_at_the_top_and_where_it_happened() {
    let page = draw(&sample());
    assert!(page.contains("<p class=\"verdict\"><a href=\"#m31\">Violation</a> lease 7 has two"));
    assert!(mark(&page, 31).contains("class=\"alarm\""));
    assert_eq!(mark(&page, 31).matches("lease 7 has two holders").count(), 2, "title and label");
}

#[test]
fn nothing_in_a_trace_becomes_markup() {
    let evil = "</title><script>alert(1)</script> & \"x\" 'y' \u{1b}[2J\n";
    let mut trace = sample();
    trace.title = evil.to_owned();
    trace.lanes[0] = evil.to_owned();
    trace.moments.iter_mut().for_each(|moment| moment.words = evil.to_owned());
    let (page, tame) = (draw(&trace), draw(&sample()));
    let escaped = "&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot; &#39;y&#39; \
                   \u{fffd}[2J\u{fffd}";
    assert!(page.contains(escaped));
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    let names = |page: &str| {
        tags(page).iter().map(|tag| tag.split(' ').next().unwrap().to_owned()).collect()
    };
    let (evil, tame): (Vec<_>, Vec<_>) = (names(&page), names(&tame));
    assert_eq!(evil, tame, "the same elements, whatever the words");
}

#[test]
fn every_element_is_closed() {
    const VOID: [&str; 2] = ["input", "!DOCTYPE"];
    let page = draw(&sample());
    let mut open = Vec::new();
    for tag in tags(&page) {
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        if tag.starts_with('/') {
            if !["style", "head"].contains(&name) {
                assert_eq!(open.pop(), Some(name));
            }
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty() || open == ["body"], "{open:?}");
}

#[test]
fn a_page_asks_for_nothing_from_outside() {
    let page = draw(&sample());
    for outside in ["http", "src=", "@import", "<link", "<iframe", "<object", "fetch(", "//"] {
        let page = page.replace("\n// ", "\n"); // The script's own remarks.
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.split("url(").skip(1).all(|rest| rest.starts_with('#')));
    assert!(page.split("href=\"").skip(1).all(|rest| rest.starts_with('#')));
}

#[test]
fn every_link_leads_somewhere_and_no_name_is_given_twice() {
    let page = draw(&sample());
    let after = |what: &str| -> Vec<&str> {
        page.split(what).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    };
    let mut names = after(" id=\"");
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(after("href=\"#").iter().all(|name| names.binary_search(name).is_ok()));
}

#[test]
fn beyond_a_bound_the_last_moments_are_drawn_and_the_page_says_so() {
    let page = draw(&long(MOST_MOMENTS + 7, "a word"));
    assert_eq!(page.matches("<li id=\"t").count(), MOST_MOMENTS);
    assert!(page.contains("Only the last 5000 moments are drawn; the 7 before them are not."));
    assert!(!page.contains("id=\"m7\"") && page.contains("id=\"m8\""));
    let all = draw(&long(MOST_MOMENTS, "a word"));
    assert!(!all.contains("Only the last"));
}

#[test]
fn the_size_is_bounded_whatever_the_words() {
    let page = draw(&long(2 * MOST_MOMENTS, &"\"".repeat(100_000)));
    assert!(page.len() < MOST_MOMENTS * 4_096, "{}", page.len());
    let page = draw(&long(2 * MOST_MOMENTS, "hears n1: append 1 of t3 after 12@3, commit 11"));
    assert!(page.len() < MOST_MOMENTS * 1_024, "{}", page.len());
}

#[test]
fn time_runs_down_and_a_long_pause_is_short_and_named() {
    let page = draw(&sample());
    assert!(page.contains("↕ 737 ms"));
    let trace = sample();
    let sheet = layout::Layout::of(&trace);
    assert!(sheet.places.windows(2).all(|pair| pair[0].y <= pair[1].y));
    let apart = |first: usize, second: usize| sheet.places[second].y - sheet.places[first].y;
    assert!(apart(18, 19) <= 4 * apart(3, 4), "737 ms are at most four rows");
    assert_eq!(apart(6, 7), 0, "what leaves together leaves from one row");
}

#[test]
fn equal_traces_make_equal_files_and_empty_ones_a_page() {
    assert_eq!(draw(&sample()), draw(&sample()));
    let page = draw(&Trace::default());
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
}

#[test]
fn lanes_that_are_not_there_are_survived() {
    let odd = [What::Sent { message: 1, to: 99 }, What::Heard { message: 1 }, What::Term(1)];
    let mut moments: Vec<_> = odd.into_iter().map(|what| moment(1, 99, what, "odd")).collect();
    moments.push(moment(0, 0, What::Sent { message: 2, to: 99 }, "time steps back"));
    moments.push(moment(u64::MAX, 0, What::Heard { message: 2 }, "to itself, late"));
    assert_eq!(draw(&trace(moments)).matches("<li id=\"t").count(), 5);
}
