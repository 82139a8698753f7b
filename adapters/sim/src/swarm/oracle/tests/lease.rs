//! Leases, in the order of the log: LS1 and LS2.

use super::super::super::vault::{Command, LEASES, Response};
use super::super::{Leases, Verdict};
use super::assert_breaks;
use quorate::Position;
use quorate::hlc::Stamp;
use quorate::id::{EntryId, Index, Term};
use quorate::lease::{self, Name, Token};
use quorate::replica::Body;
use quorate::time::Span;

/// When the first grant ends, in milliseconds: it is made at a thousand, for a thousand.
const END: u64 = 2_000;

/// How many leases there can be at a time.
const ROOM: usize = 2;

const fn token(index: u64) -> Token {
    Token::new(Index::new(index))
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a short name")
}

/// What the tables said, in order, at these milliseconds.
struct Told {
    leases: Leases,
    index: u64,
}

impl Told {
    /// Entry 1 grants the scope until [`END`].
    fn granted() -> Self {
        let mut told = Self { leases: Leases::new(ROOM), index: 0 };
        told.acquired(1_000, 1_000, END).expect("it is free");
        told
    }

    fn at(&mut self, millis: u64) -> Position {
        self.index += 1;
        let entry = EntryId::new(Term::new(1), Index::new(self.index));
        Position { entry, stamp: Stamp::at_millis(millis) }
    }

    fn says(&mut self, at: u64, command: lease::Command, response: lease::Response) -> Verdict {
        let (at, command) = (self.at(at), Command::Lease(command));
        self.leases.applied(at, &Body::Due(command), Some(&Response::Lease(response)))
    }

    fn acquire(&self) -> lease::Command {
        self.acquire_of("scope")
    }

    fn acquire_of(&self, scope: &str) -> lease::Command {
        let (scope, holder) = (name(scope), name("holder"));
        lease::Command::Acquire { scope, holder, duration: Span::millis(1_000) }
    }

    /// Another scope is granted for a second.
    fn other_granted(&mut self, at: u64, scope: &str) -> Verdict {
        let (token, duration) = (token(self.index + 1), Span::millis(1_000));
        let expires_at = Stamp::at_millis(at + 1_000);
        self.says(
            at,
            self.acquire_of(scope),
            lease::Response::Granted { token, duration, expires_at },
        )
    }

    fn not_released(&mut self, at: u64, of: u64) -> Verdict {
        let (scope, token) = (name("scope"), token(of));
        self.says(at, lease::Command::Release { scope, token }, lease::Response::NotHeld)
    }

    fn swept(&mut self, at: u64, count: u32) -> Verdict {
        self.says(at, lease::Command::Expire, lease::Response::Swept { count })
    }

    /// The scope is granted; the token is the entry's place.
    fn acquired(&mut self, at: u64, millis: u64, until: u64) -> Verdict {
        let token = token(self.index + 1);
        let (duration, expires_at) = (Span::millis(millis), Stamp::at_millis(until));
        self.says(at, self.acquire(), lease::Response::Granted { token, duration, expires_at })
    }

    fn renewed(&mut self, at: u64, of: u64, until: u64) -> Verdict {
        let (scope, token) = (name("scope"), token(of));
        let (duration, expires_at) = (Span::millis(1_000), Stamp::at_millis(until));
        let granted = lease::Response::Granted { token, duration, expires_at };
        self.says(at, lease::Command::Renew { scope, token }, granted)
    }

    fn released(&mut self, at: u64, of: u64) -> Verdict {
        let (scope, token) = (name("scope"), token(of));
        self.says(at, lease::Command::Release { scope, token }, lease::Response::Released)
    }

    fn refused(&mut self, at: u64, of: u64) -> Verdict {
        let (holder, expires_at) = (name("holder"), Stamp::at_millis(END));
        let held = lease::Response::Held { holder, token: token(of), expires_at };
        self.says(at, self.acquire(), held)
    }

    fn not_renewed(&mut self, at: u64, of: u64, response: lease::Response) -> Verdict {
        let (scope, token) = (name("scope"), token(of));
        self.says(at, lease::Command::Renew { scope, token }, response)
    }

    fn leader_changed(&mut self, at: u64) {
        let at = self.at(at);
        self.leases.applied(at, &Body::Barrier, None).expect("nothing is granted");
    }
}

#[test]
fn a_grant_while_somebody_holds_the_scope_is_seen() {
    let free = END + LEASES.guard.as_millis();
    assert_breaks(Told::granted().acquired(1_500, 1_000, 9_000), "LS1", "is granted at");
    assert_breaks(Told::granted().acquired(free - 1, 1_000, 9_000), "LS1", "is granted at");
    assert_eq!(Told::granted().acquired(free, 1_000, free + 1_000), Ok(()));
}

#[test]
fn what_was_released_is_granted_at_once() {
    let mut told = Told::granted();
    assert_eq!(told.released(1_500, 1), Ok(()));
    assert_eq!(told.acquired(1_500, 1_000, 2_500), Ok(()));
    assert_eq!(told.leases.regranted, 0);
}

#[test]
fn a_release_by_somebody_else_is_seen() {
    assert_breaks(Told::granted().released(1_500, 7), "LS1", "not its last token");
}

#[test]
fn a_grant_that_ends_before_its_duration_is_over_is_seen() {
    let mut told = Told { leases: Leases::new(ROOM), index: 0 };
    assert_breaks(told.acquired(1_000, 1_000, END - 1), "LS1", "is granted for");
    assert_breaks(Told::granted().renewed(1_500, 1, 2_499), "LS1", "is renewed for");
}

#[test]
fn a_grant_that_ends_after_its_duration_is_over_is_seen() {
    let nothing = || Told { leases: Leases::new(ROOM), index: 0 };
    assert_eq!(nothing().acquired(1_000, 1_000, END), Ok(()));
    assert_breaks(nothing().acquired(1_000, 1_000, END + 1), "LS1", "is granted for");
    assert_breaks(nothing().acquired(1_000, 1_001, END + 1), "LS1", "is granted for");
    assert_eq!(Told::granted().renewed(1_500, 1, 2_500), Ok(()));
    assert_breaks(Told::granted().renewed(1_500, 1, 2_501), "LS1", "is renewed for");
}

#[test]
fn a_release_of_what_was_released_or_cleared_away_is_seen() {
    let mut told = Told::granted();
    told.released(1_500, 1).unwrap();
    assert_eq!(told.not_released(1_500, 1), Ok(()));
    assert_breaks(told.released(1_500, 1), "LS1", "is released with 1");
    let mut told = Told::granted();
    let free = END + LEASES.guard.as_millis();
    told.swept(free, 1).unwrap();
    assert_eq!(told.not_released(free, 1), Ok(()));
    assert_breaks(told.released(free, 1), "LS1", "is released with 1");
}

#[test]
fn a_refusal_to_release_what_is_there_is_seen() {
    assert_breaks(Told::granted().not_released(1_500, 1), "LS1", "cannot be released");
    assert_breaks(Told::granted().not_released(END, 1), "LS1", "cannot be released");
    assert_eq!(Told::granted().not_released(1_500, 7), Ok(()));
}

#[test]
fn a_refusal_as_just_run_out_of_what_is_held_or_free_is_seen() {
    let free = END + LEASES.guard.as_millis();
    let refused = |mut told: Told, at: u64, free_at: u64| {
        let free_at = Stamp::at_millis(free_at);
        told.says(at, told.acquire(), lease::Response::Expired { free_at })
    };
    assert_eq!(refused(Told::granted(), END, free), Ok(()));
    assert_eq!(refused(Told::granted(), free - 1, free), Ok(()));
    assert_breaks(refused(Told::granted(), END - 1, free), "LS1", "is not free until");
    assert_breaks(refused(Told::granted(), free, free), "LS1", "is not free until");
    assert_breaks(refused(Told::granted(), END, free + 1), "LS1", "is not free until");
    let mut told = Told::granted();
    told.released(END, 1).unwrap();
    assert_breaks(refused(told, END, free), "LS1", "is not free until");
}

#[test]
fn a_refusal_for_lack_of_room_where_there_is_some_is_seen() {
    let refused = |told: &Told, scope: &str| {
        let mut told = Told { leases: told.leases.clone(), index: told.index };
        told.says(1_500, told.acquire_of(scope), lease::Response::Full)
    };
    let mut told = Told::granted();
    assert_breaks(refused(&told, "third"), "LS1", "for lack of room");
    told.other_granted(1_000, "second").unwrap();
    assert_eq!(refused(&told, "third"), Ok(()));
    assert_breaks(refused(&told, "scope"), "LS1", "for lack of room");
    told.released(1_500, 1).unwrap();
    assert_breaks(refused(&told, "third"), "LS1", "for lack of room");
}

#[test]
fn a_sweep_that_takes_more_or_fewer_than_have_run_out_is_seen() {
    let free = END + LEASES.guard.as_millis();
    assert_eq!(Told::granted().swept(free - 1, 0), Ok(()));
    assert_breaks(Told::granted().swept(free - 1, 1), "LS1", "1 are cleared away");
    assert_breaks(Told::granted().swept(free, 0), "LS1", "of 1 that have run out");
    let mut told = Told::granted();
    assert_eq!(told.swept(free, 1), Ok(()));
    assert_breaks(told.swept(free, 1), "LS1", "of 0 that have run out");
}

#[test]
fn a_renewal_at_or_after_the_end_is_seen() {
    assert_eq!(Told::granted().renewed(END - 1, 1, END + 999), Ok(()));
    assert_breaks(Told::granted().renewed(END, 1, 9_000), "LS1", "is renewed with 1");
    assert_breaks(Told::granted().renewed(1_500, 7, 9_000), "LS1", "is renewed with 7");
    let mut told = Told::granted();
    told.released(1_500, 1).unwrap();
    assert_breaks(told.renewed(1_600, 1, 9_000), "LS1", "is renewed with 1");
}

#[test]
fn a_refusal_as_held_of_what_is_free_is_seen() {
    assert_eq!(Told::granted().refused(END - 1, 1), Ok(()));
    assert_breaks(Told::granted().refused(END, 1), "LS1", "is refused as held");
    assert_breaks(Told::granted().refused(1_500, 7), "LS1", "is refused as held");
}

#[test]
fn a_refusal_to_renew_what_is_held_is_seen() {
    let expired = lease::Response::Expired { free_at: Stamp::at_millis(END) };
    for response in [lease::Response::NotHeld, expired] {
        let refused = Told::granted().not_renewed(END - 1, 1, response);
        assert_breaks(refused, "LS1", "cannot be renewed");
        assert_eq!(Told::granted().not_renewed(END, 1, response), Ok(()));
        assert_eq!(Told::granted().not_renewed(1_500, 7, response), Ok(()));
    }
}

#[test]
fn a_new_leader_gives_holders_grace_and_no_more_than_that() {
    let (grace, guard) = (LEASES.grace.as_millis(), LEASES.guard.as_millis());
    let changed = || {
        let mut told = Told::granted();
        told.leader_changed(END - 1);
        told
    };
    assert_breaks(changed().acquired(END + guard, 1_000, 9_000), "LS1", "is granted at");
    let end = END - 1 + grace;
    assert_eq!(changed().acquired(end + guard, 1_000, end + guard + 1_000), Ok(()));
    assert_eq!(changed().renewed(end - 1, 1, end + 999), Ok(()));
    assert_breaks(changed().renewed(end, 1, 9_000), "LS1", "is renewed with 1");
}

#[test]
fn who_held_what_is_known_of_every_entry() {
    let mut told = Told::granted();
    told.other_granted(END - 1, "second").unwrap();
    told.other_granted(END, "third").unwrap();
    told.says(
        END,
        lease::Command::Release { scope: name("second"), token: token(2) },
        lease::Response::Released,
    )
    .unwrap();
    let held = |scope: &str| [0, 1, 2, 3, 4, 9].map(|at| told.leases.is_held(&name(scope), at));
    assert_eq!(held("scope"), [false, true, true, false, false, false], "it runs out");
    assert_eq!(held("second"), [false, false, true, true, false, false], "it is released");
    assert_eq!(held("third"), [false, false, false, true, true, true]);
    assert_eq!(held("fourth"), [false; 6]);
}

#[test]
fn a_token_that_does_not_rise_is_seen() {
    let mut told = Told::granted();
    told.released(1_500, 1).unwrap();
    let (duration, expires_at) = (Span::millis(1_000), Stamp::at_millis(9_000));
    for wrong in [0, 1, 2, 9] {
        let mut told = Told { leases: told.leases.clone(), index: told.index };
        let granted = lease::Response::Granted { token: token(wrong), duration, expires_at };
        assert_breaks(told.says(3_000, told.acquire(), granted), "LS2", "is granted with token");
    }
    // Nor may the log go back.
    told.index = 0;
    assert_breaks(told.acquired(3_000, 1_000, 9_000), "LS2", "is granted with token 1");
}
