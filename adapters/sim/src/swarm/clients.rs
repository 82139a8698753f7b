//! What clients do, and what must hold of the leases that they believe to have.

use super::hash::fold;
use super::hosted::{Answer, Hosted};
use super::marks::Mark;
use super::oracle::{Verdict, ensure};
use super::process::{Call, Came, Process};
use super::vault::{LEASES, Response};
use super::world::{Content, World};
use crate::trace::What as Shape;
use quorate::client::Outcome;
use quorate::lease::Name;
use quorate::time::Span;
use std::rc::Rc;

impl<H: Hosted> World<H> {
    pub(super) fn call(&mut self, lane: u8, call: Call) -> Verdict {
        if call == Call::Use {
            return self.use_resource(lane);
        }
        self.with_process(lane, |process, at| process.call(at, call))
    }

    /// A client uses what its lease protects, whether it still holds it or not.
    pub(super) fn use_resource(&mut self, lane: u8) -> Verdict {
        let process = &self.processes[usize::from(lane) - self.members.len()];
        let Some((scope, token)) = process.token else { return Ok(()) };
        let (fence, highest) = self.fences.entry(scope).or_default();
        let admitted = fence.admit(token).is_ok();
        ensure(admitted == (token >= *highest), "LS3", || {
            format!("the fence of {scope} has seen {highest} and says {admitted} to {token}")
        })?;
        if admitted {
            *highest = token;
        } else {
            self.marks.hit(Mark::FenceClosed);
        }
        Ok(())
    }

    /// Lets a client take a step, and sees to what came of it.
    pub(super) fn with_process(
        &mut self,
        lane: u8,
        step: impl FnOnce(&mut Process, u64) -> Came,
    ) -> Verdict {
        let place = usize::from(lane) - self.members.len();
        let came = step(&mut self.processes[place], self.now);
        self.counts.events += 1;
        if let Some(attempt) = came.sent {
            let content = Content::Request(attempt.attempt, attempt.what, attempt.work);
            self.hash = fold(self.hash, &(lane, self.now, attempt.node, attempt.attempt));
            self.send(lane, attempt.node, &Rc::new(content));
        }
        if let Some(outcome) = &came.outcome {
            self.outcome(lane, outcome);
        }
        match came.held {
            Some((scope, until, most)) => {
                // Others are granted it a guard later, by clocks that are apart from two sides, and
                // by stamps that are cut to the millisecond.
                let apart = self.setup.max_offset.times(2).plus(Span::millis(1));
                let margin = apart.minus(LEASES.guard);
                ensure(until.after(margin) <= most, "LS4", || {
                    format!(
                        "client {place} holds {scope} until {until:?}, \
                         less than {margin:?} before {most:?}"
                    )
                })?;
                self.held(place, scope, until)
            }
            None => Ok(()),
        }
    }

    pub(super) fn outcome(&mut self, lane: u8, outcome: &Outcome<Answer>) {
        match outcome {
            Outcome::Done(answer) => {
                self.counts.answered += 1;
                match answer {
                    Answer::Response(Response::Lease(response)) => self.marks.lease(response),
                    Answer::Response(Response::Taken(false)) => self.marks.hit(Mark::CasFailed),
                    _ => {}
                }
            }
            Outcome::Unknown => self.marks.hit(Mark::OutcomeUnknown),
            Outcome::NotTaken => self.marks.hit(Mark::OutcomeNotTaken),
            Outcome::Rejected => {}
        }
        self.tell(lane, Shape::Client, || format!("is told {outcome:?}"));
    }

    /// A client holds a lease from now on: nobody else believes to hold it.
    pub(super) fn held(
        &mut self,
        place: usize,
        scope: Name,
        until: quorate::time::Instant,
    ) -> Verdict {
        let holder = &self.processes[place];
        if holder.clocks.show(self.now).mono >= until {
            return Ok(());
        }
        let mut others = self.processes.iter().enumerate().filter(|(other, _)| *other != place);
        let other = others.find(|(_, other)| other.believes(self.now, scope));
        ensure(other.is_none() || self.is_wild, "LS1", || {
            let other = other.map(|(other, _)| other);
            format!("client {place} holds {scope} while client {other:?} does")
        })?;
        self.tell((place + self.members.len()) as u8, Shape::Client, || format!("holds {scope}"));
        Ok(())
    }
}
