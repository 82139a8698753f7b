//! The replicated table: who holds what, and until when.

use super::deadlines::Deadlines;
use super::events::Events;
use super::{Change, Command, Compacted, Event, Name, Response, Token};
use crate::bounded::Map;
use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::hlc::Stamp;
use crate::id::Index;
use crate::limits::{Limits, MOST};
use crate::state_machine::{Position, StateMachine};
use crate::time::Span;

/// How a table is set up: one value for the whole group, or replicas would answer differently.
///
/// All spans are used in whole milliseconds; `guard` is rounded up, the others down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// How long an expired scope stays free of holders before it is granted again, unless it was
    /// released. Together with the holders' margin at least twice the clock's `max_offset` and a
    /// millisecond: see [the safety argument](super). Default 500 ms.
    pub guard: Span,
    /// What a live lease has left at least when a new leader begins, so that its holder can find
    /// the new leader and renew. Default 3 s.
    pub grace: Span,
    /// How much longer than its duration a lease may live by grace, however many leaders come and
    /// go, until its holder renews it. Default 10 s.
    pub max_grace: Span,
    /// The shortest lease, at least a millisecond. Default 100 ms.
    pub least: Span,
    /// The longest lease, at least `least`. Default an hour.
    pub most: Span,
    /// How many expired leases one [`Command::Expire`] clears away, at least one. Default 64.
    pub sweep: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            guard: Span::millis(500),
            grace: Span::secs(3),
            max_grace: Span::secs(10),
            least: Span::millis(100),
            most: Span::secs(3_600),
            sweep: 64,
        }
    }
}

impl Config {
    /// The same in the units of stamps, and with the least that makes sense.
    const fn whole(self) -> Self {
        const fn down(span: Span) -> Span {
            Span::millis(span.as_millis())
        }
        const fn longer(span: Span, other: Span) -> Span {
            if span.as_micros() > other.as_micros() { span } else { other }
        }
        let least = longer(down(self.least), Span::millis(1));
        Self {
            guard: down(self.guard.plus(Span::micros(999))),
            grace: down(self.grace),
            max_grace: down(self.max_grace),
            least,
            most: longer(down(self.most), least),
            sweep: if self.sweep == 0 { 1 } else { self.sweep },
        }
    }
}

/// A scope's lease.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lease {
    /// Who holds it.
    pub holder: Name,
    /// The name of the grant.
    pub token: Token,
    /// When it was granted.
    pub granted_at: Stamp,
    /// When it was granted, or last renewed.
    pub renewed_at: Stamp,
    /// The first moment at which it is no longer held: a duration after `renewed_at`, or later by
    /// grace.
    pub expires_at: Stamp,
    /// How long it lasts from a renewal; whole milliseconds, and the same as when it was granted.
    pub duration: Span,
}

impl Lease {
    /// Whether the lease is held at `now`, in the table's time. At `expires_at` it no longer is.
    #[must_use]
    pub fn is_live(&self, now: Stamp) -> bool {
        now < self.expires_at
    }

    /// Whether a table that stood at `now`, last changed by the entry at `newest`, can hold this.
    fn is_possible(&self, now: Stamp, newest: Index) -> bool {
        self.token > Token::ZERO
            && self.token.index() <= newest
            && self.granted_at <= self.renewed_at
            && self.renewed_at <= now
            && self.duration > Span::ZERO
            && self.duration == Span::millis(self.duration.as_millis())
            && self.expires_at >= self.renewed_at.after(self.duration)
    }
}

/// The table of leases, a [`StateMachine`].
///
/// Its events are for watchers on this member alone. They are in no snapshot, and members that
/// restored one have fewer: compare replicas by their snapshots, not by `==`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Table {
    config: Config,
    room: usize,
    now: Stamp,
    leases: Map<Name, Lease, { MOST.leases }>,
    deadlines: Deadlines,
    events: Events,
}

impl Table {
    /// An empty table. The limits `leases` and `lease_events` apply, the former to the whole group
    /// alike.
    #[must_use]
    pub const fn new(config: Config, limits: Limits) -> Self {
        let limits = limits.within();
        Self {
            config: config.whole(),
            room: limits.leases,
            now: Stamp::ZERO,
            leases: Map::new(),
            deadlines: Deadlines::new(),
            events: Events::new(limits.lease_events),
        }
    }

    /// The table's time: the highest stamp of all entries applied.
    #[must_use]
    pub const fn now(&self) -> Stamp {
        self.now
    }

    /// The lease of a scope, if it has one that is not cleared away; it may have run out.
    #[must_use]
    pub fn lease(&self, scope: &Name) -> Option<&Lease> {
        self.leases.get(scope)
    }

    /// The leases of all scopes that begin with `prefix`, in order, from behind `after` on: the
    /// last scope of one page is the `after` of the next.
    pub fn list(
        &self,
        prefix: &str,
        after: Option<&Name>,
    ) -> impl Iterator<Item = (&Name, &Lease)> {
        // No scope begins with what is too long for a name.
        let first = Name::padded(prefix).ok().map(|first| after.map_or(first, |a| first.max(*a)));
        let rest = first.map(|first| self.leases.iter_from(&first)).into_iter().flatten();
        rest.skip_while(move |(scope, _)| Some(*scope) == after)
            .take_while(move |(scope, _)| scope.as_str().starts_with(prefix))
    }

    /// What has changed after the entry at `from`, oldest first.
    ///
    /// Begin with [`changed`](Table::changed) beside a [`list`](Table::list); go on from the index
    /// of the last event heard.
    ///
    /// # Errors
    /// [`Compacted`] if some of it is forgotten: list again.
    pub fn watch(&self, from: Index) -> Result<impl Iterator<Item = &Event>, Compacted> {
        self.events.after(from)
    }

    /// The entry that last granted, renewed or ended a lease.
    #[must_use]
    pub fn changed(&self) -> Index {
        self.events.newest()
    }

    fn acquire(&mut self, index: Index, scope: Name, holder: Name, asked: Span) -> Response {
        let Config { least, most, .. } = self.config;
        // A holder must not count the part of a millisecond that stamps cannot tell.
        let duration = Span::millis(asked.as_millis());
        if duration < least || duration > most {
            return Response::BadDuration { least, most };
        }
        if let Some(lease) = self.leases.get(&scope).copied() {
            let Lease { holder, token, expires_at, .. } = lease;
            let free_at = self.free_at(expires_at);
            if lease.is_live(self.now) {
                return Response::Held { holder, token, expires_at };
            }
            if self.now < free_at {
                return Response::Expired { free_at };
            }
            self.end(index, scope, Change::Expired);
        } else if self.leases.len() >= self.room {
            return Response::Full;
        }
        self.grant(index, scope, holder, duration)
    }

    fn grant(&mut self, index: Index, scope: Name, holder: Name, duration: Span) -> Response {
        let (token, now) = (Token::new(index), self.now);
        let expires_at = now.after(duration);
        let lease = Lease { holder, token, granted_at: now, renewed_at: now, expires_at, duration };
        if self.leases.insert(scope, lease).is_err() {
            return Response::Full;
        }
        self.deadlines.add(expires_at, scope);
        self.events.record(Event { index, change: Change::Granted, scope, token, holder });
        Response::Granted { token, duration, expires_at }
    }

    fn renew(&mut self, index: Index, scope: Name, token: Token) -> Response {
        let (now, guard) = (self.now, self.config.guard);
        let Some(lease) = self.leases.get_mut(&scope).filter(|lease| lease.token == token) else {
            return Response::NotHeld;
        };
        if !lease.is_live(now) {
            return Response::Expired { free_at: lease.expires_at.after(guard) };
        }
        let Lease { holder, duration, expires_at: before, .. } = *lease;
        lease.renewed_at = now;
        // Grace ends here: this may even be earlier than before, but is never earlier than what
        // the holder counts from its requests.
        lease.expires_at = now.after(duration);
        let expires_at = lease.expires_at;
        self.deadlines.remove(before, scope);
        self.deadlines.add(expires_at, scope);
        self.events.record(Event { index, change: Change::Renewed, scope, token, holder });
        Response::Granted { token, duration, expires_at }
    }

    /// A lease that has run out can be released too: its holder says that the guard is not needed.
    fn release(&mut self, index: Index, scope: Name, token: Token) -> Response {
        if self.leases.get(&scope).is_none_or(|lease| lease.token != token) {
            return Response::NotHeld;
        }
        self.end(index, scope, Change::Released);
        Response::Released
    }

    fn expire(&mut self, index: Index) -> Response {
        let mut count = 0_u32;
        for _ in 0..self.config.sweep {
            match self.deadlines.earliest() {
                Some((expires_at, scope)) if self.now >= self.free_at(expires_at) => {
                    self.end(index, scope, Change::Expired);
                    count = count.saturating_add(1);
                }
                _ => break,
            }
        }
        Response::Swept { count }
    }

    fn end(&mut self, index: Index, scope: Name, change: Change) {
        if let Some(Lease { holder, token, expires_at, .. }) = self.leases.remove(&scope) {
            self.deadlines.remove(expires_at, scope);
            self.events.record(Event { index, change, scope, token, holder });
        }
    }

    /// When a scope whose lease ran out is granted again.
    fn free_at(&self, expires_at: Stamp) -> Stamp {
        expires_at.after(self.config.guard)
    }

    fn index_deadlines(&mut self) {
        self.deadlines.rebuild(self.leases.iter().map(|(scope, lease)| (lease.expires_at, *scope)));
    }

    /// Reads a snapshot and tells its time, its last change and, in order, its leases.
    fn read(
        bytes: &mut &[u8],
        room: usize,
        mut tell: impl FnMut(Name, Lease),
    ) -> Result<(Stamp, Index), Malformed> {
        let (now, newest) = (Stamp::decode(bytes)?, Index::decode(bytes)?);
        let count = u32::decode(bytes)?;
        if usize::try_from(count).map_or(true, |count| count > room) {
            return Err(Malformed);
        }
        let mut before = None;
        for _ in 0..count {
            let (scope, lease) = (Name::decode(bytes)?, Lease::decode(bytes)?);
            if before >= Some(scope) || !lease.is_possible(now, newest) {
                return Err(Malformed);
            }
            before = Some(scope);
            tell(scope, lease);
        }
        if bytes.is_empty() { Ok((now, newest)) } else { Err(Malformed) }
    }
}

impl StateMachine for Table {
    type Command = Command;
    type Response = Response;

    fn apply(&mut self, at: Position, command: &Command) -> Response {
        // Every deadline is counted from this and nothing else, so that an entry whose stamp is
        // late cannot grant a lease that is over before others think so.
        self.now = self.now.max(at.stamp);
        let index = at.entry.index;
        match *command {
            Command::Acquire { scope, holder, duration } => {
                self.acquire(index, scope, holder, duration)
            }
            Command::Renew { scope, token } => self.renew(index, scope, token),
            Command::Release { scope, token } => self.release(index, scope, token),
            Command::Expire => self.expire(index),
        }
    }

    /// Grace. A lease that was live when the table last knew the time gets `grace` from now on,
    /// but no more than `max_grace` beyond its duration; one that was over stays so.
    fn leader_changed(&mut self, at: Position) {
        let before = self.now;
        self.now = before.max(at.stamp);
        let Config { grace, max_grace, .. } = self.config;
        let graced = self.now.after(grace);
        for (_, lease) in self.leases.iter_mut().filter(|(_, lease)| lease.is_live(before)) {
            let at_most = lease.renewed_at.after(lease.duration).after(max_grace);
            lease.expires_at = lease.expires_at.max(graced.min(at_most));
        }
        self.index_deadlines();
    }

    fn due(&self) -> Option<(Stamp, Command)> {
        self.deadlines.earliest().map(|(at, _)| (self.free_at(at), Command::Expire))
    }

    fn snapshot<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.now.encode(sink)?;
        self.changed().encode(sink)?;
        u32::try_from(self.leases.len()).map_err(|_| NoRoom)?.encode(sink)?;
        for (scope, lease) in self.leases.iter() {
            scope.encode(sink)?;
            lease.encode(sink)?;
        }
        Ok(())
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        // Read twice: all of it must be good before any of it is taken.
        let (now, newest) = Self::read(&mut &*bytes, self.room, |_, _| {})?;
        self.leases.clear();
        Self::read(&mut &*bytes, self.room, |scope, lease| {
            let _ = self.leases.insert(scope, lease);
        })?;
        self.now = now;
        self.events.forget(newest);
        self.index_deadlines();
        Ok(())
    }
}

impl Codec for Lease {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.holder.encode(sink)?;
        self.token.encode(sink)?;
        self.granted_at.encode(sink)?;
        self.renewed_at.encode(sink)?;
        self.expires_at.encode(sink)?;
        self.duration.as_micros().encode(sink)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Self {
            holder: Name::decode(bytes)?,
            token: Token::decode(bytes)?,
            granted_at: Stamp::decode(bytes)?,
            renewed_at: Stamp::decode(bytes)?,
            expires_at: Stamp::decode(bytes)?,
            duration: u64::decode(bytes).map(Span::micros)?,
        })
    }
}
