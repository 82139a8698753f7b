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
    released: bool,
}

/// Every scope's last grant, as far as the answers tell.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    grants: BTreeMap<Name, Grant>,
    /// The time of the last entry that was about leases, or a leader's first.
    now: Stamp,
    /// How many leases that had run out were cleared away, and how many granted to another.
    pub swept: u64,
    /// How many scopes were granted again without a release.
    pub regranted: u64,
}

impl Leases {
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
        let command = match body {
            Body::Barrier => {
                self.leader_changed(at.stamp);
                return Ok(());
            }
            Body::Due(command) | Body::Request(Request::Command { command, .. }) => command,
            Body::Change | Body::Request(Request::Open { .. }) => return Ok(()),
        };
        let (Command::Lease(command), Some(Response::Lease(response))) = (command, response) else {
            return Ok(());
        };
        let now = at.stamp;
        self.now = now;
        match (*command, *response) {
            (
                lease::Command::Acquire { scope, .. },
                lease::Response::Granted { token, duration, expires_at },
            ) => {
                let token_is_place = token == Token::new(at.entry.index);
                let last = self.grants.get(&scope);
                ensure(
                    token_is_place && last.is_none_or(|last| last.token < token),
                    "LS2",
                    || format!("{scope} is granted with token {token} at {}", at.entry),
                )?;
                let is_free =
                    |last: &Grant| last.released || now >= last.expires_at.after(LEASES.guard);
                ensure(last.is_none_or(is_free), "LS1", || {
                    format!("{scope} is granted at {now:?}, but {last:?}")
                })?;
                ensure(expires_at >= now.after(duration), "LS1", || {
                    format!("{scope} is granted for {duration:?} at {now:?} until {expires_at:?}")
                })?;
                self.regranted += u64::from(last.is_some_and(|last| !last.released));
                let grant = Grant { token, renewed_at: now, expires_at, duration, released: false };
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
                held.duration = duration;
                ensure(expires_at >= now.after(duration), "LS1", || {
                    format!("{scope} is renewed for {duration:?} at {now:?} until {expires_at:?}")
                })?;
            }
            (lease::Command::Release { scope, token }, lease::Response::Released) => {
                let grant = self.grants.get_mut(&scope).filter(|grant| grant.token == token);
                ensure(grant.is_some(), "LS1", || {
                    format!("{scope} is released with {token}, which is not its last token")
                })?;
                grant.into_iter().for_each(|grant| grant.released = true);
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
            }
            _ => {}
        }
        Ok(())
    }

    /// What a holder has left at least when a new leader begins, if it held its lease when last
    /// anything was heard of leases.
    fn leader_changed(&mut self, now: Stamp) {
        let before = std::mem::replace(&mut self.now, now);
        for grant in self.grants.values_mut() {
            if !grant.released && before < grant.expires_at {
                let most = grant.renewed_at.after(grant.duration).after(LEASES.max_grace);
                grant.expires_at = grant.expires_at.max(now.after(LEASES.grace).min(most));
            }
        }
    }
}
