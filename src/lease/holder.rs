//! The holder's side: until when a lease may be used, and when to renew it.
//!
//! The host asks the group on behalf of this machine, which knows no group and no scope: it is told
//! of grants and says what to send. Everything is counted from when a request was *sent*, on the
//! holder's own monotonic clock; an answer may have been under way for long. That clock must count
//! the time in which the computer sleeps (on Linux, `CLOCK_BOOTTIME`).
//!
//! **State** the lease held, if any, and the highest token that is over. **Invariants**
//!
//! 1. A lease is held at most until `sent + duration - drift - margin` of the latest request that
//!    was granted, and before anything else in a step it is lost if that has passed.
//! 2. A lease that was lost is never held again, whatever answer is still under way.

use super::Token;
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::time::{Instant, Now, Span};

/// How a holder is set up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// How much earlier than its end a lease is lost. Default 10 ms; at least what
    /// [`beside`](Config::beside) computes.
    pub margin: Span,
    /// This holder's monotonic clock loses at most one part in so many on the group's civil
    /// clocks; default 1000. With zero, nothing is ever held.
    pub drift_parts: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { margin: Span::millis(10), drift_parts: 1_000 }
    }
}

impl Config {
    /// A stamp is cut to the millisecond.
    const ROUNDING: Span = Span::millis(1);

    /// With the least margin that is safe beside a table with that `guard`, in a group whose
    /// clocks allow that `max_offset`: what the guard leaves of twice the offset.
    #[must_use]
    pub const fn beside(guard: Span, max_offset: Span) -> Self {
        let needed = max_offset.times(2).plus(Self::ROUNDING);
        Self { margin: needed.minus(guard), drift_parts: 1_000 }
    }

    /// How long after its request was sent a lease of that duration may be used.
    #[must_use]
    pub const fn usable(self, duration: Span) -> Span {
        let drift = duration.divided(self.drift_parts).plus(Span::micros(1));
        duration.minus(drift).minus(self.margin)
    }
}

/// A request that was sent, and when: only a [`Holder`] makes one. It goes back in with the answer.
///
/// What is sent again, as it is, is the same request still: keep the first one's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Request {
    sent: Instant,
}

/// What a holder is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Input {
    /// The host wants the lease. It is refused as [`Refused::Meaningless`] while a lease is held.
    Acquire,
    /// A request was answered by [`Response::Granted`](super::Response::Granted).
    Granted {
        /// The request, as it was told in `AcquireNow` or `RenewNow`.
        request: Request,
        /// The name of the grant.
        token: Token,
        /// How long it lasts, as the table says, whatever was asked for.
        duration: Span,
    },
    /// A renewal was answered by [`Response::NotHeld`](super::Response::NotHeld) or
    /// [`Response::Expired`](super::Response::Expired).
    NotHeld {
        /// The name of the grant.
        token: Token,
    },
    /// The host has stopped using the lease and does not want it any more.
    Release,
    /// The [deadline](Machine::deadline) has come.
    Tick,
}

/// What a holder tells its host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// Send an acquisition now. If it fails, try again when the answer says so.
    AcquireNow {
        /// Give this back with the answer.
        request: Request,
    },
    /// The lease may be used as long as the clock shows less than `until`: look before each use.
    Held {
        /// The name of the grant; show it to the resource's [`Fence`](super::Fence).
        token: Token,
        /// The first moment at which it may not be used. It rises with each renewal.
        until: Instant,
    },
    /// Send a renewal now. It is told again until one is granted or the lease is lost.
    RenewNow {
        /// The name of the grant.
        token: Token,
        /// Give this back with the answer.
        request: Request,
    },
    /// The lease may not be used any more, or its grant came too late to be used at all. Send a
    /// release, so that others (and this holder) need not wait until it runs out in the table.
    Lost {
        /// The name of the grant.
        token: Token,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Held {
    token: Token,
    until: Instant,
    renew_at: Instant,
    // From one renewal that was not granted to the next.
    spacing: Span,
}

/// The holder of one lease.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Holder {
    config: Config,
    now: Instant,
    held: Option<Held>,
    // No token up to this one is held, or will be.
    over: Token,
    // What the host believes.
    told: Option<(Token, Instant)>,
}

impl Holder {
    /// A lease is renewed when a third of it has passed, and then every twelfth until it is lost:
    /// eight times at most.
    const RENEWED_AFTER: u64 = 3;
    const SPACED_BY: u64 = 12;
    const MOST_OUTPUTS: usize = 3;

    /// A holder of nothing. After a restart too: what a former life held is lost.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self { config, now: Instant::ORIGIN, held: None, over: Token::ZERO, told: None }
    }

    /// The lease that may be used, and until when.
    #[must_use]
    pub fn held(&self) -> Option<(Token, Instant)> {
        self.held.map(|held| (held.token, held.until))
    }

    /// Lets go of the lease for good, if it is one that is `over`.
    fn end_if(&mut self, over: impl FnOnce(&Held) -> bool) {
        if let Some(held) = self.held.filter(over) {
            self.over = held.token;
            self.held = None;
        }
    }

    /// Takes on a grant, or tells that there is nothing left of it.
    fn granted(&mut self, request: Request, token: Token, duration: Span) -> Option<Output> {
        if token <= self.over {
            return None;
        }
        let sent = request.sent.min(self.now);
        let until = sent.after(self.config.usable(duration));
        let renew_at = sent.after(duration.divided(Self::RENEWED_AFTER));
        match &mut self.held {
            // An older request's answer that comes late tells of an earlier end: no news.
            Some(held) if held.token == token => {
                if until > held.until {
                    held.until = until;
                    held.renew_at = held.renew_at.max(renew_at);
                }
                None
            }
            _ if until <= self.now => {
                self.over = token;
                self.held = None;
                Some(Output::Lost { token })
            }
            _ => {
                // A later grant of the scope says that every earlier one is over.
                self.over = Token::new(token.index().previous());
                let spacing = duration.divided(Self::SPACED_BY).plus(Span::micros(1));
                self.held = Some(Held { token, until, renew_at, spacing });
                None
            }
        }
    }

    /// Tells what has become true; of what is over, first.
    fn settle<X: Outbox<Output> + ?Sized>(&mut self, answer: Option<Output>, out: &mut X) {
        let held = self.held();
        let lost = self.told.filter(|(told, _)| held.is_none_or(|(token, _)| token != *told));
        let lost = lost.map(|(token, _)| Output::Lost { token });
        lost.into_iter().chain(answer).for_each(|output| out.push(output));
        if let Some((token, until)) = held.filter(|_| held != self.told) {
            out.push(Output::Held { token, until });
        }
        self.told = held;
        let request = Request { sent: self.now };
        if let Some(held) = self.held.as_mut().filter(|held| self.now >= held.renew_at) {
            held.renew_at = self.now.after(held.spacing);
            out.push(Output::RenewNow { token: held.token, request });
        }
    }
}

impl Machine for Holder {
    type Input<'a> = Input;
    type Output = Output;

    fn step<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: Input,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, Self::MOST_OUTPUTS)?;
        let now = self.now.max(now.mono);
        if input == Input::Acquire && self.held.is_some_and(|held| now < held.until) {
            return Err(Refused::Meaningless);
        }
        self.now = now;
        self.end_if(|held| now >= held.until);
        let mut answer = None;
        match input {
            Input::Acquire => answer = Some(Output::AcquireNow { request: Request { sent: now } }),
            Input::Granted { request, token, duration } => {
                answer = self.granted(request, token, duration);
            }
            Input::NotHeld { token } => self.end_if(|held| held.token == token),
            Input::Release => self.end_if(|_| true),
            Input::Tick => {}
        }
        self.settle(answer, out);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.held.map(|held| held.renew_at.min(held.until))
    }

    fn max_outputs(&self) -> usize {
        Self::MOST_OUTPUTS
    }
}
