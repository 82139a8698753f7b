//! Hybrid logical clock: stamps that respect causality and stay close to civil time.
//!
//! A [`Stamp`] is one number: 48 bits of milliseconds since the Unix epoch and 16 bits of counter
//! (Kulkarni, Demirbas et al., *Logical Physical Clocks*, OPODIS 2014, section 6.2). A stamp is
//! `max(civil time, last stamp + 1)`; the counter carries into the milliseconds.
//!
//! **State** last stamp, durable bound, and for a node without a clock the last time heard.
//! **Invariants**
//!
//! 1. Every stamp is above all stamps made or observed before it.
//! 2. No stamp lies more than `max_offset` ahead of civil time: what would is an error, measured
//!    against civil time itself and not the last stamp, so that accepted stamps cannot ratchet.
//! 3. No stamp lies above the durable bound; after a restart the clock starts above it. So stamps
//!    rise across restarts even if the civil clock was set back meanwhile.
//!
//! The clock never reads time; every call is told. A node without a civil clock takes time from
//! the stamps it hears plus its own monotonic advance, and makes no stamp until it has heard one.
//! It has nothing to hold against a stamp, and believes every one.

use crate::time::{Instant, Now, Span, Wall};
use core::fmt;

/// A moment in hybrid time; order of numbers is order of events.
///
/// Stamps of two nodes may be equal: pair them with the node where uniqueness matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Stamp(u64);

/// To a machine a stamp is eight bytes, little-endian: its upper bits are always set, so a number of
/// variable length would be longer, and several times the work.
#[cfg(feature = "serde")]
mod bytes {
    use super::Stamp;
    use core::fmt;
    use serde::de::{Deserialize, Deserializer, Error, Visitor};
    use serde::ser::{Serialize, Serializer};

    impl Serialize for Stamp {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            if to.is_human_readable() {
                to.serialize_u64(self.0)
            } else {
                to.serialize_bytes(&self.0.to_le_bytes())
            }
        }
    }

    impl<'de> Deserialize<'de> for Stamp {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            if from.is_human_readable() {
                u64::deserialize(from).map(Self)
            } else {
                from.deserialize_bytes(EightBytes)
            }
        }
    }

    struct EightBytes;

    impl Visitor<'_> for EightBytes {
        type Value = Stamp;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("eight bytes")
        }
        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Stamp, E> {
            let number = bytes.try_into().map(u64::from_le_bytes);
            number.map(Stamp).map_err(|_| E::invalid_length(bytes.len(), &self))
        }
    }
}

impl Stamp {
    /// Before every stamp.
    pub const ZERO: Self = Self(0);
    /// After every stamp.
    pub const MAX: Self = Self(u64::MAX);

    /// The first stamp of a millisecond since the Unix epoch; saturates in the year 10889.
    #[must_use]
    pub const fn at_millis(millis: u64) -> Self {
        if millis >> 48 == 0 { Self(millis << 16) } else { Self::MAX }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// The counter within the millisecond.
    #[must_use]
    pub const fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The stamp that lies `span` later, to the millisecond; saturates.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        let ahead = span.as_millis();
        if ahead >> 48 == 0 { Self(self.0.saturating_add(ahead << 16)) } else { Self::MAX }
    }

    /// The time from `earlier` until this stamp, in whole milliseconds; zero if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span::millis(self.0.saturating_sub(earlier.0) >> 16)
    }

    /// The stamp `count` further on; saturates.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The very next stamp, if there is one.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

impl crate::codec::Codec for Stamp {
    fn encode<S: crate::codec::Sink + ?Sized>(
        &self,
        sink: &mut S,
    ) -> Result<(), crate::codec::NoRoom> {
        self.0.encode(sink)
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, crate::codec::Malformed> {
        u64::decode(bytes).map(Self)
    }
}

/// How a clock is set up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// How far a stamp may lie ahead of civil time. One value for the whole group; default 250 ms.
    pub max_offset: Span,
    /// How far ahead of the last stamp a bound is made durable, or none if each stamp is written
    /// down before it has an effect, as a log does. At most `max_offset`, or a restart would have
    /// to wait for civil time to catch up with the bound.
    pub reserve: Option<Span>,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_offset: Span::millis(250), reserve: None }
    }
}

/// Why there is no stamp, or why one was not taken. The clock is unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Error {
    /// This node has no civil clock and has not heard a stamp yet.
    NoTime,
    /// More stamps were made than civil time and `max_offset` allow: make fewer, or wait.
    Exhausted,
    /// Civil time is behind the last stamp by more than `max_offset`: it was set back since that
    /// was made or reserved, or is behind what the group has agreed on. Set the clock right, or
    /// wait that long.
    SteppedBack {
        /// How far behind the last stamp.
        by: Span,
    },
    /// A stamp lies further ahead of civil time than `max_offset`: it, or this clock, is wrong.
    TooFarAhead {
        /// How far ahead of civil time it is.
        by: Span,
    },
    /// The bound must be made durable first: see [`Clock::reserve`].
    BoundNotDurable,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTime => f.write_str("no civil clock, and no stamp heard yet"),
            Self::Exhausted => f.write_str("too many stamps for the time that has passed; wait"),
            Self::SteppedBack { by } => {
                write!(f, "the clock is {} ms behind the last stamp; set it right", by.as_millis())
            }
            Self::TooFarAhead { by } => {
                write!(f, "a stamp is {} ms ahead of this clock; set one right", by.as_millis())
            }
            Self::BoundNotDurable => f.write_str("the clock's bound is not durable yet"),
        }
    }
}

impl core::error::Error for Error {}

/// A hybrid logical clock.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Clock {
    /// How far a stamp may lie ahead of the first one of its millisecond.
    ahead: u64,
    reserve: Option<Span>,
    last: Stamp,
    bound: Stamp,
    heard: Option<(u64, Instant)>,
}

impl Clock {
    /// A clock that has made no stamp in any former life.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self::recover(config, Stamp::ZERO)
    }

    /// A clock that goes on above `bound`: the last bound made durable or, without a reserve, the
    /// highest stamp written down.
    #[must_use]
    pub const fn recover(config: Config, bound: Stamp) -> Self {
        let open = if config.reserve.is_some() { bound } else { Stamp::MAX };
        let ahead = Stamp::ZERO.after(config.max_offset).0 | 0xffff;
        Self { ahead, reserve: config.reserve, last: bound, bound: open, heard: None }
    }

    /// The highest stamp made or observed.
    #[must_use]
    pub const fn last(&self) -> Stamp {
        self.last
    }

    /// Makes a stamp above all that were made or observed.
    ///
    /// # Errors
    /// Every [`Error`] but `TooFarAhead`; the clock is unchanged.
    pub fn stamp(&mut self, now: Now) -> Result<Stamp, Error> {
        self.stamps(now, 1)
    }

    /// Makes `count` stamps in a row, at least one, and returns the first: the others follow it by
    /// one each.
    ///
    /// # Errors
    /// As [`stamp`](Clock::stamp); all or none are made.
    pub fn stamps(&mut self, now: Now, count: u64) -> Result<Stamp, Error> {
        let civil = self.civil_millis(now).ok_or(Error::NoTime)?;
        let first = self.last.next().ok_or(Error::Exhausted)?.max(Stamp::at_millis(civil));
        let last = Stamp(first.0.checked_add(count.saturating_sub(1)).ok_or(Error::Exhausted)?);
        let latest = self.latest_allowed(civil);
        if last > latest {
            // Too many stamps for the time, unless it was set back before this one was asked for.
            let by = self.last.since(Stamp::at_millis(civil));
            let is_back = self.last > latest;
            return Err(if is_back { Error::SteppedBack { by } } else { Error::Exhausted });
        }
        if last > self.bound {
            return Err(Error::BoundNotDurable);
        }
        self.last = last;
        Ok(first)
    }

    /// Takes note of another node's stamp: all later stamps of this clock are above it.
    ///
    /// # Errors
    /// `TooFarAhead`; the clock is unchanged. An old stamp is never an error.
    #[inline]
    pub fn observe(&mut self, now: Now, stamp: Stamp) -> Result<(), Error> {
        self.check(now, stamp)?;
        if now.wall.is_none() {
            self.hear(now, stamp);
        }
        self.last = self.last.max(stamp);
        Ok(())
    }

    /// Without a clock of its own this node takes time from the latest stamp that it hears.
    fn hear(&mut self, now: Now, stamp: Stamp) {
        if self.civil_millis(now).is_none_or(|civil| civil < stamp.millis()) {
            self.heard = Some((stamp.millis(), now.mono));
        }
    }

    /// Tells whether [`observe`](Clock::observe) would take the stamp.
    ///
    /// # Errors
    /// `TooFarAhead`.
    #[inline]
    pub fn check(&self, now: Now, stamp: Stamp) -> Result<(), Error> {
        // What a node without a clock has heard may have been long past (an old log read again), so
        // that what is far ahead of it may be right, and refusing it would be for ever.
        let Some(civil) = now.wall.map(Wall::as_millis) else { return Ok(()) };
        if stamp > self.latest_allowed(civil) {
            return Err(Error::TooFarAhead { by: stamp.since(Stamp::at_millis(civil)) });
        }
        Ok(())
    }

    /// Raises the clock to a stamp that is already agreed on, however far ahead it is.
    ///
    /// What is committed is never refused; the bound on the next own stamp still holds.
    pub fn raise(&mut self, stamp: Stamp) {
        self.last = self.last.max(stamp);
    }

    /// The bound that should be made durable now, if any: ask after every stamp, and when idle.
    #[must_use]
    pub fn reserve(&self, now: Now) -> Option<Stamp> {
        let reserve = self.reserve?;
        let civil = Stamp::at_millis(self.civil_millis(now)?);
        let base = civil.max(self.last);
        (base.after(reserve.divided(2)) > self.bound).then(|| base.after(reserve))
    }

    /// Takes note that `bound` is durable; a lower one than before is of a late write, and ignored.
    pub fn durable(&mut self, bound: Stamp) {
        self.bound = self.bound.max(bound);
    }

    /// How far the last stamp lies ahead of civil time: a measure of clocks that disagree.
    #[must_use]
    pub fn ahead_by(&self, now: Now) -> Option<Span> {
        Some(self.last.since(Stamp::at_millis(self.civil_millis(now)?)))
    }

    fn latest_allowed(&self, civil_millis: u64) -> Stamp {
        Stamp::at_millis(civil_millis).plus(self.ahead)
    }

    /// Civil time as far as this node knows it.
    fn civil_millis(&self, now: Now) -> Option<u64> {
        match (now.wall, self.heard) {
            (Some(wall), _) => Some(wall.as_millis()),
            (None, Some((millis, at))) => {
                Some(millis.saturating_add(now.mono.since(at).as_millis()))
            }
            (None, None) => None,
        }
    }
}
