//! Leaving a view and beginning another (section 4.4 of the paper).
//!
//! A member that leaves a view says once what it was sure of, and takes no part in any earlier view
//! again. A view begins, for each member, when it knows the view changes of a quorum for it; only the
//! primary says which. Members come together in one view because one that has left for a later view is
//! followed as soon as so many have that one of them is correct: to the lowest view that one such
//! member wants, so no liar can drag anyone along (FISCO-BCOS#2211).

use super::message::{NewView, Value, ViewChange};
use super::new_view::{Beginning, select};
use super::{Evidence, Output, Pbft, Reign, Write};
use crate::event::{Event, Ignored, Stopped, ViewLeft};
use crate::id::{Index, Members, Slot, View};
use crate::machine::Outbox;

impl Pbft {
    /// Leaves all views before `next`.
    pub(super) fn leave<X: Outbox<Output> + ?Sized>(
        &mut self,
        next: View,
        why: ViewLeft,
        out: &mut X,
    ) {
        if next <= self.view {
            return;
        }
        out.event(Event::ViewLeft { next, why });
        self.abandon(next);
        self.turned_at = self.write(Write::Left { view: next }, out);
        out.push(Output::Left { next });
    }

    /// Freezes what this member is sure of, and forgets the votes of the view.
    pub(super) fn abandon(&mut self, next: View) {
        let claims = self.window.claims();
        let change = ViewChange { view: next, stable: self.stable, claims };
        self.keep_change(self.config.me, change);
        self.turn_to(next, Reign::Awaited);
    }

    /// Turns to another view: votes begin anew, and so do the fronts.
    fn turn_to(&mut self, view: View, reign: Reign) {
        let low = self.window.low();
        self.window.clear();
        (self.view, self.reign, self.begins_by) = (view, reign, None);
        (self.opened, self.proposed, self.voted, self.prepared) = (low, low, low, low);
        (self.told.voted, self.told.prepared, self.told.wanted) = (low, low, low);
        self.told.view = false;
    }

    fn change_of(&self, slot: Slot) -> Option<&ViewChange> {
        self.changes.iter().find(|it| it.0 == slot).map(|it| &it.1)
    }

    fn keep_change(&mut self, from: Slot, change: ViewChange) {
        match self.changes.iter_mut().find(|it| it.0 == from) {
            Some(known) => known.1 = change,
            // There is a place for each member.
            None => drop(self.changes.push((from, change))),
        }
    }

    /// Takes the view change of another member: its newest counts, and of each view its first.
    pub(super) fn on_view_change<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        change: &ViewChange,
        out: &mut X,
    ) {
        let (members, floor) = (self.config.members, &self.config.floor);
        let known = self.change_of(from).map(|it| it.view);
        let why = if !self.others().contains(from) {
            Ignored::Stranger
        } else if !change.is_sound(members, floor, self.config.slots as usize) {
            Ignored::Malformed
        } else if change.view < self.view || known > Some(change.view) {
            Ignored::Stale
        } else if change.view == self.view && self.is_active() && known != Some(change.view) {
            // What the view has begun with stays what it was.
            Ignored::Stale
        } else if known == Some(change.view) {
            if self.change_of(from) == Some(change) {
                return;
            }
            self.accuse(Evidence::ViewChanges { by: from, view: change.view }, out);
            Ignored::Impossible
        } else {
            self.on_stable(change.stable);
            return self.keep_change(from, change.clone());
        };
        out.event(Event::Ignored { from, why });
    }

    /// Leaves for a later view that a correct member has left for.
    pub(super) fn follow_the_others<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let want = |least: View| self.changes.iter().filter(move |it| it.1.view >= least).count();
        let views = self.changes.iter().map(|it| it.1.view).filter(|view| *view > self.view);
        let next = views.filter(|view| want(*view) >= self.config.weak_quorum()).max();
        if let Some(next) = next {
            self.leave(next, ViewLeft::Overtaken, out);
        }
    }

    /// Those of the lowest slots that have left for the present view, if they are a quorum; else nobody.
    /// That this member is one of them is on disk before anyone is told, for the view's own write comes
    /// later.
    pub(super) fn choice(&self) -> Members {
        let all = self.changes.iter().filter(|it| it.1.view == self.view);
        let (leavers, quorum): (Members, _) = (all.map(|it| it.0).collect(), self.config.quorum());
        if leavers.len() < quorum { Members::NONE } else { leavers.iter().take(quorum).collect() }
    }

    /// Begins to wait for the primary once a quorum wants the view; the primary begins it.
    pub(super) fn begin_view<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if self.reign != Reign::Awaited || self.choice().is_empty() {
            return;
        }
        if self.begins_by.is_none() {
            self.begins_by = Some(self.now.after(self.timeout()));
        }
        if self.primary() == self.config.me {
            let beginning = select(self.chosen().map(|it| &it.1));
            if let Some(beginning) = beginning {
                self.enter(self.view, &beginning, out);
            }
        }
    }

    /// The view has not begun in time: the next may.
    pub(super) fn give_up_view<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        self.fruitless = self.fruitless.saturating_add(1);
        self.leave(self.view.next(), ViewLeft::Fruitless, out);
    }

    /// Takes what a view begins with from its primary, or from whoever keeps it.
    pub(super) fn on_new_view<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        new_view: &NewView<'_>,
        out: &mut X,
    ) {
        let (members, slots) = (self.config.members, self.config.slots as usize);
        let NewView { view, changes } = *new_view;
        let is_due = view > self.view || (view == self.view && !self.is_active());
        let why = if from != self.primary_of(view) || view == View::ZERO {
            Ignored::Stranger
        } else if !is_due {
            Ignored::Stale
        } else if !new_view.is_sound(members, &self.config.floor, slots) {
            Ignored::Malformed
        } else {
            if let Some(beginning) = select(changes.iter().map(|it| &it.1)) {
                self.enter(view, &beginning, out);
            }
            return;
        };
        out.event(Event::Ignored { from, why });
    }

    /// The view begins: its first positions have the values that follow from the view changes.
    fn enter<X: Outbox<Output> + ?Sized>(
        &mut self,
        view: View,
        beginning: &Beginning,
        out: &mut X,
    ) {
        if beginning.stable.checkpoint.index > self.window.low() {
            self.adopt(beginning.stable, out);
        }
        if self.reign == Reign::Unread && view == self.view {
            // It began in a former life; what was voted for then stands.
            self.reign = Reign::Active;
        } else {
            self.begin(view, beginning.last());
            let write = Write::Entered { view, opened: self.opened };
            self.turned_at = self.write(write, out);
        }
        let mut index = beginning.stable.checkpoint.index;
        for value in beginning.values.iter() {
            index = index.next();
            self.open(index, *value, out);
        }
        self.requests.begin_at(self.now);
        out.event(Event::ViewEntered { view });
        out.push(Output::Entered { view, primary: self.primary() });
    }

    /// Turns to a view that has begun.
    pub(super) fn begin(&mut self, view: View, opened: Index) {
        self.turn_to(view, Reign::Active);
        self.opened = opened.max(self.window.low());
        self.proposed = self.opened;
        // What earlier views have not decided is in how this one begins, or never was.
        self.stamped = self.stable.checkpoint.stamp;
    }

    /// A position has the value that follows from how the view began.
    fn open<X: Outbox<Output> + ?Sized>(&mut self, index: Index, value: Value, out: &mut X) {
        if index <= self.window.low() {
            return;
        }
        let Some(instance) = self.window.at_mut(index) else { return };
        if instance.committed.is_some_and(|decided| decided != value) {
            // More members lie than the group tolerates.
            return self.stop(Stopped::CommittedConflict, out);
        }
        if instance.proposal.is_none() {
            instance.propose(value, false);
        }
        self.stamped = self.stamped.max(value.stamp);
    }

    /// Tells the others that the view was left, or what it begins with, once that is on disk.
    pub(super) fn tell_view<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if self.told.view || !self.disk.has(self.turned_at) {
            return;
        }
        self.told.view = true;
        let to = self.others();
        match self.reign {
            Reign::Awaited => out.push(Output::SendViewChange { to }),
            Reign::Active if self.primary() == self.config.me && self.view > View::ZERO => {
                out.push(Output::SendNewView { to });
            }
            Reign::Active | Reign::Unread => {}
        }
    }
}
