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
        let mut told = Self { leases: Leases::default(), index: 0 };
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
        let (scope, holder) = (name("scope"), name("holder"));
        lease::Command::Acquire { scope, holder, duration: Span::millis(1_000) }
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
    assert_eq!(Told::granted().acquired(free, 1_000, 9_000), Ok(()));
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
    let mut told = Told { leases: Leases::default(), index: 0 };
    assert_breaks(told.acquired(1_000, 1_000, END - 1), "LS1", "is granted for");
    assert_breaks(Told::granted().renewed(1_500, 1, 2_499), "LS1", "is renewed for");
}

#[test]
fn a_renewal_at_or_after_the_end_is_seen() {
    assert_eq!(Told::granted().renewed(END - 1, 1, 9_000), Ok(()));
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
    assert_eq!(changed().acquired(end + guard, 1_000, 9_000), Ok(()));
    assert_eq!(changed().renewed(end - 1, 1, 9_000), Ok(()));
    assert_breaks(changed().renewed(end, 1, 9_000), "LS1", "is renewed with 1");
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
