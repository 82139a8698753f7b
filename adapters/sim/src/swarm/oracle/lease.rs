//! The promises of leases, from the order of the log alone: who was granted what, and when.

use super::super::vault::{Command, LEASES, Response};
use super::{Verdict, ensure};
use quorate::Position;
use quorate::hlc::Stamp;
use quorate::lease::{self, Name, Token};
use quorate::replica::{Body, Request};
use quorate::time::Span;
use std::collections::BTreeMap;

/// A scope's last grant.
#[derive(Clone, Copy, Debug)]
struct Grant {
    token: Token,
    renewed_at: Stamp,
    expires_at: Stamp,
    duration: Span,
    /// It was released.
    released: bool,
    /// It ran out and was cleared away.
    cleared: bool,
}

impl Grant {
    /// Whether the table still has it, held or not.
    const fn is_there(&self) -> bool {
        !self.released && !self.cleared
    }

    /// From when on the scope is granted to others.
    fn free_at(&self) -> Stamp {
        self.expires_at.after(LEASES.guard)
    }
}

/// Every scope's last grant, as far as the answers tell.
#[derive(Clone, Debug)]
pub struct Leases {
    /// How many there can be at a time.
    room: usize,
    grants: BTreeMap<Name, Grant>,
    /// The time of the last entry that was about leases, or a leader's first.
    now: Stamp,
    /// From which entry on each scope was held, or was not, in order.
    held: BTreeMap<Name, Vec<(u64, bool)>>,
    /// How many leases that had run out were cleared away, and how many granted to another.
    pub swept: u64,
    /// How many scopes were granted again without a release.
    pub regranted: u64,
}

impl Leases {
    /// None yet, in a table with so much room.
    pub const fn new(room: usize) -> Self {
        Self {
            room,
            grants: BTreeMap::new(),
            now: Stamp::ZERO,
            held: BTreeMap::new(),
            swept: 0,
            regranted: 0,
        }
    }

    /// Whether somebody held a scope, by the log up to an index.
    pub fn is_held(&self, scope: &Name, index: u64) -> bool {
        let changes = self.held.get(scope).map_or(&[][..], Vec::as_slice);
        let count = changes.partition_point(|(at, _)| *at <= index);
        count.checked_sub(1).is_some_and(|last| changes[last].1)
    }

    fn note_who_holds(&mut self, index: u64) {
        for (scope, grant) in &self.grants {
            let is_held = grant.is_there() && self.now < grant.expires_at;
            let changes = self.held.entry(*scope).or_default();
            if changes.last().is_some_and(|(_, was)| *was) != is_held {
                changes.push((index, is_held));
            }
        }
    }

    /// An entry took effect, with this answer.
    ///
    /// # Errors
    /// LS1 if it takes a scope from somebody or keeps it too long; LS2 if its token does not rise.
    pub fn applied(
        &mut self,
        at: Position,
        body: &Body<Command>,
        response: Option<&Response>,
    ) -> Verdict {
        self.took_effect(at, body, response)?;
        self.note_who_holds(at.entry.index.number());
        Ok(())
    }

    fn took_effect(
        &mut self,
        at: Position,
        body: &Body<Command>,
        response: Option<&Response>,
    ) -> Verdict {
        let command = match body {
            Body::Barrier => {
                self.leader_changed(at.stamp);
                return Ok(());
            }
            Body::Due(command) | Body::Request(Request::Command { command, .. }) => command,
            Body::Change | Body::Roster(_) | Body::Request(Request::Open { .. }) => return Ok(()),
        };
        let (Command::Lease(command), Some(Response::Lease(response))) = (command, response) else {
            return Ok(());
        };
        let now = at.stamp;
        self.now = now;
        match (*command, *response) {
            (
                lease::Command::Acquire { scope, duration: asked, .. },
                lease::Response::Granted { token, duration, expires_at },
            ) => {
                let token_is_place = token == Token::new(at.entry.index);
                let last = self.grants.get(&scope);
                ensure(
                    token_is_place && last.is_none_or(|last| last.token < token),
                    "LS2",
                    || format!("{scope} is granted with token {token} at {}", at.entry),
                )?;
                let is_free = |last: &Grant| last.released || now >= last.free_at();
                ensure(last.is_none_or(is_free), "LS1", || {
                    format!("{scope} is granted at {now:?}, but {last:?}")
                })?;
                let is_as_asked = duration == Span::millis(asked.as_millis());
                ensure(is_as_asked && expires_at == now.after(duration), "LS1", || {
                    format!(
                        "{scope} is granted for {duration:?} of {asked:?} at {now:?} \
                         until {expires_at:?}"
                    )
                })?;
                self.regranted += u64::from(last.is_some_and(|last| !last.released));
                let (released, cleared) = (false, false);
                let grant =
                    Grant { token, renewed_at: now, expires_at, duration, released, cleared };
                self.grants.insert(scope, grant);
            }
            (
                lease::Command::Renew { scope, token },
                lease::Response::Granted { expires_at, duration, .. },
            ) => {
                let last = self.grants.get_mut(&scope);
                let held = last
                    .filter(|last| last.token == token && !last.released && now < last.expires_at);
                let Some(held) = held else {
                    let grant = self.grants.get(&scope);
                    return ensure(false, "LS1", || {
                        format!("{scope} is renewed with {token} at {now:?}, but {grant:?}")
                    });
                };
                // Grace ends with a renewal.
                (held.renewed_at, held.expires_at) = (now, expires_at);
                let is_as_granted = duration == held.duration;
                ensure(is_as_granted && expires_at == now.after(duration), "LS1", || {
                    format!("{scope} is renewed for {duration:?} at {now:?} until {expires_at:?}")
                })?;
            }
            (lease::Command::Release { scope, token }, lease::Response::Released) => {
                let grant = self.grants.get_mut(&scope).filter(|grant| grant.token == token);
                ensure(grant.as_ref().is_some_and(|grant| grant.is_there()), "LS1", || {
                    format!(
                        "{scope} is released with {token}, which is not its last token: {grant:?}"
                    )
                })?;
                grant.into_iter().for_each(|grant| grant.released = true);
            }
            (lease::Command::Release { scope, token }, lease::Response::NotHeld) => {
                let grant = self.grants.get(&scope).filter(|grant| grant.token == token);
                ensure(!grant.is_some_and(Grant::is_there), "LS1", || {
                    format!("{scope} cannot be released with {token}, but {grant:?}")
                })?;
            }
            (lease::Command::Acquire { scope, .. }, lease::Response::Expired { free_at }) => {
                let grant = self.grants.get(&scope);
                let is_so = grant.is_some_and(|grant| {
                    let has_just_run_out = grant.expires_at <= now && now < grant.free_at();
                    grant.is_there() && has_just_run_out && free_at == grant.free_at()
                });
                ensure(is_so, "LS1", || {
                    format!("{scope} is not free until {free_at:?} at {now:?}, but {grant:?}")
                })?;
            }
            (lease::Command::Acquire { scope, .. }, lease::Response::Full) => {
                let has_room =
                    self.grants.values().filter(|grant| grant.is_there()).count() < self.room;
                let grant = self.grants.get(&scope);
                ensure(!has_room && !grant.is_some_and(Grant::is_there), "LS1", || {
                    format!("{scope} is refused for lack of room: {:?}", self.grants)
                })?;
            }
            (
                lease::Command::Acquire { scope, .. },
                lease::Response::Held { token, expires_at, .. },
            ) => {
                let grant = self.grants.get(&scope);
                let is_so = grant.is_some_and(|grant| {
                    grant.token == token && !grant.released && now < grant.expires_at
                });
                ensure(is_so, "LS1", || {
                    format!(
                        "{scope} is refused as held until {expires_at:?} at {now:?}, but {grant:?}"
                    )
                })?;
            }
            (
                lease::Command::Renew { scope, token },
                lease::Response::NotHeld | lease::Response::Expired { .. },
            ) => {
                let grant = self.grants.get(&scope).filter(|grant| grant.token == token);
                let is_live = |grant: &Grant| !grant.released && now < grant.expires_at;
                ensure(!grant.is_some_and(is_live), "LS1", || {
                    format!("{scope} is held with {token} and cannot be renewed at {now:?}")
                })?;
            }
            (lease::Command::Expire, lease::Response::Swept { count }) => {
                self.swept += u64::from(count);
                self.sweep(count)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// So many are cleared away: those that ran out first, and were free for others.
    fn sweep(&mut self, count: u32) -> Verdict {
        let now = self.now;
        let is_over = |grant: &&mut Grant| grant.is_there() && now >= grant.free_at();
        let mut over: Vec<_> = self.grants.iter_mut().filter(|(_, grant)| is_over(grant)).collect();
        over.sort_by_key(|(scope, grant)| (grant.expires_at, **scope));
        let most = over.len().min(LEASES.sweep);
        ensure(count as usize == most, "LS1", || {
            format!("{count} are cleared away at {now:?}, of {most} that have run out")
        })?;
        over.into_iter().take(most).for_each(|(_, grant)| grant.cleared = true);
        Ok(())
    }

    /// What a holder has left at least when a new leader begins, if it held its lease when last
    /// anything was heard of leases.
    fn leader_changed(&mut self, now: Stamp) {
        let before = std::mem::replace(&mut self.now, now);
        for grant in self.grants.values_mut() {
            if grant.is_there() && before < grant.expires_at {
                let most = grant.renewed_at.after(grant.duration).after(LEASES.max_grace);
                grant.expires_at = grant.expires_at.max(now.after(LEASES.grace).min(most));
            }
        }
    }
}
