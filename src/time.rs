//! Time as a value: the host says what time it is, in every step.
//!
//! Two kinds of time exist and cannot be mixed. [`Instant`] only moves forward and drives every
//! timeout; its origin is the host's choice. [`Wall`] is civil time, may step either way, may be
//! absent, and is read by the [hybrid logical clock](crate::hlc) alone. [`Now`] carries both and
//! has neither order nor arithmetic of its own.

/// A length of time, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of so many microseconds.
    #[must_use]
    pub const fn micros(micros: u64) -> Self {
        Self(micros)
    }

    /// A span of so many milliseconds; saturates.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// A span of so many seconds; saturates.
    #[must_use]
    pub const fn secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// The span in microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The span in whole milliseconds, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The sum of both; saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left of this span without the other; not below zero.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This span so many times; saturates.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// This span divided into so many parts; a division into none is the span itself.
    #[must_use]
    pub const fn divided(self, parts: u64) -> Self {
        match self.0.checked_div(parts) {
            Some(part) => Self(part),
            None => self,
        }
    }
}

impl From<core::time::Duration> for Span {
    /// Rounds down to microseconds and saturates.
    fn from(duration: core::time::Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<Span> for core::time::Duration {
    fn from(span: Span) -> Self {
        Self::from_micros(span.0)
    }
}

/// A point in monotonic time: microseconds since an origin that the host picks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Instant(u64);

impl Instant {
    /// The host's origin.
    pub const ORIGIN: Self = Self(0);

    /// The instant so many microseconds after the origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The instant that comes `span` later; saturates.
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The instant that comes `span` earlier; not before the origin.
    #[must_use]
    pub const fn before(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The time from `earlier` until this instant; zero if `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// Civil time: microseconds since the Unix epoch, as the host's clock tells it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Wall(u64);

impl Wall {
    /// The civil time so many microseconds after the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }
}

/// What time it is, as the host tells it in every step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Now {
    /// Monotonic time. A value below an earlier one is taken as that earlier one.
    pub mono: Instant,
    /// Civil time, if this node has a clock for it (a board at boot has none).
    pub wall: Option<Wall>,
}

impl Now {
    /// A moment with monotonic time alone.
    #[must_use]
    pub const fn mono(micros: u64) -> Self {
        Self { mono: Instant::from_micros(micros), wall: None }
    }

    /// A moment with both kinds of time.
    #[must_use]
    pub const fn both(mono: Instant, wall: Wall) -> Self {
        Self { mono, wall: Some(wall) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_saturates_and_never_panics() {
        assert_eq!(
            Instant::from_micros(u64::MAX).after(Span::secs(u64::MAX)).as_micros(),
            u64::MAX
        );
        assert_eq!(Instant::ORIGIN.since(Instant::from_micros(9)), Span::ZERO);
        assert_eq!(Instant::from_micros(9).before(Span::millis(1)), Instant::ORIGIN);
        assert_eq!(Span::from(core::time::Duration::MAX).as_micros(), u64::MAX);
        assert_eq!(Span::millis(3).minus(Span::secs(1)), Span::ZERO);
        assert_eq!(Span::millis(3).divided(0), Span::millis(3));
    }

    #[test]
    fn time_comes_out_in_the_units_in_which_it_is_asked_for() {
        let micros = 1_234_567;
        assert_eq!(
            (Span::micros(micros).as_micros(), Span::micros(micros).as_millis()),
            (micros, 1_234)
        );
        assert_eq!(
            (Wall::from_micros(micros).as_micros(), Wall::from_micros(micros).as_millis()),
            (micros, 1_234)
        );
        assert_eq!(Instant::from_micros(micros).as_micros(), micros);
        assert_eq!(core::time::Duration::from(Span::micros(micros)).as_micros(), 1_234_567);
    }
}
