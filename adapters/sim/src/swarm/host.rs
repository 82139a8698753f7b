//! What every host does with a member: give it one input, check what it says, encode all of it
//! before the next step, and perform it in whatever order it likes.

use super::action::Action;
use super::clock::Clocks;
use super::hash::fold;
use super::hosted::{Hosted, Input};
use super::marks::Mark;
use super::oracle::{Change, Glance, Verdict, Violation, ensure};
use super::store::{Done, Kept, Task, Trouble};
use super::world::{Asked, Content, Effect, World, member_machine};
use crate::trace::What as Shape;
use quorate::event::SteppedDown;
use quorate::raft::{Message, Write};
use quorate::replica::Output;
use quorate::rng::Rng;
use quorate::{Event, Refused};
use std::rc::Rc;

impl<H: Hosted> World<H> {
    /// Gives a member one input, checks what it says, and performs it in the order and up to the
    /// point that the action decides.
    pub(super) fn step(
        &mut self,
        action: &Action,
        slot: u8,
        input: Input<'_, H>,
        asked: Option<Asked>,
    ) -> Result<Result<(), Refused>, Violation> {
        let me = usize::from(slot);
        let member = &mut self.members[me];
        let Some(machine) = &mut member.machine else { return Ok(Err(Refused::Stopped)) };
        let now = member.clocks.show(self.now);
        let (before, configured) = (Glance::at(machine), *machine.raft().log().configured());
        self.said.most = machine.max_outputs();
        let result = machine.step(now, input, &mut self.said);
        self.counts.events += 1;
        // Clocks that are right are half the offset from the true time at most.
        self.is_wild |= machine.raft().leads()
            && now.wall.is_none_or(|wall| {
                let right = Clocks::civil(self.now) / 1_000;
                wall.as_millis() + self.setup.max_offset.as_millis() / 2 + 1 < right
            });
        self.hash = fold(self.hash, &(slot, now.mono, &self.said.outputs));
        ensure(!self.said.overflowed, "Q2", || format!("n{slot} says too much"))?;
        if let Err(refused) = &result {
            self.marks.refused(refused);
            ensure(self.said.outputs.is_empty(), "Q2", || {
                format!("n{slot} refuses ({refused}) and speaks")
            })?;
            return Ok(result);
        }
        if !self.said.events.is_empty() {
            self.hear_events(slot);
        }
        self.see_change(slot, &configured);
        self.see_configured(slot, &configured)?;
        let machine = member_machine(&self.members, me);
        if self.said.outputs.is_empty() && Glance::at(machine) == before {
            return Ok(result);
        }
        let outputs = &self.said.outputs;
        self.books.stepped(me, before, machine, now, outputs, &mut self.changes)?;
        if Glance::at(machine).log() != before.log() {
            self.books.goes_by_the_newest(me, machine)?;
        }
        if self.books.last_committed() > self.reference.at() {
            let committed = self.books.committed_after(self.reference.at());
            self.counts.commits += committed.len() as u64;
            if committed.first().map(|(id, _)| id.term) != committed.last().map(|(id, _)| id.term) {
                self.marks.hit(Mark::CommitTwoTerms);
            }
            self.reference.advance::<H>(committed)?;
            self.agreed_on_time(committed.len())?;
        }
        if self.has_retired {
            self.has_retired = false;
            let commit = member_machine(&self.members, me).raft().commit();
            self.books.retired(me, commit)?;
        }
        self.see_roster(slot)?;
        self.encode(slot, before, asked)?;
        self.perform(action, slot);
        Ok(result)
    }

    /// What was committed just now has stamps that a member with a right clock has agreed to.
    pub(super) fn agreed_on_time(&self, count: usize) -> Verdict {
        let committed = self.books.committed_after(self.reference.at() - count as u64);
        let offset = self.setup.max_offset.as_micros();
        let latest = (Clocks::civil(self.now) + offset + offset / 2) / 1_000 + 1;
        for (id, entry) in committed {
            let millis = H::stamp(entry).map_or(0, quorate::hlc::Stamp::millis);
            ensure(millis <= latest, "LS6", || {
                format!("{id} is committed with a stamp {} ms ahead of all clocks", millis - latest)
            })?;
        }
        Ok(())
    }

    pub(super) fn hear_events(&mut self, slot: u8) {
        for event in std::mem::take(&mut self.said.events) {
            self.marks.event(&event);
            match event {
                Event::Elected { barrier } => {
                    self.counts.elections += 1;
                    if self.successor == Some((usize::from(slot), barrier.term)) {
                        self.marks.hit(Mark::TransferDone);
                    }
                }
                Event::SteppedDown { why: SteppedDown::Removed, .. } => self.has_retired = true,
                _ => {}
            }
            if self.trace.is_some() {
                let shape = match event {
                    Event::TermAdopted { term } | Event::Campaigning { term } => {
                        Shape::Term(term.number())
                    }
                    Event::Elected { barrier } => Shape::Leads(barrier.term.number()),
                    Event::SteppedDown { .. } => Shape::Deposed,
                    _ => Shape::Note,
                };
                self.tell(slot, shape, || format!("{event:?}"));
            }
        }
    }

    /// Turns what a member has said into what its host does, before anything else happens.
    pub(super) fn encode(&mut self, slot: u8, before: Glance, mut asked: Option<Asked>) -> Verdict {
        let me = usize::from(slot);
        let outputs = std::mem::take(&mut self.said.outputs);
        let mut changes = std::mem::take(&mut self.changes).into_iter();
        for output in &outputs {
            let machine = member_machine(&self.members, me);
            match *output {
                Output::Persist { receipt, write } => {
                    let rebase = matches!(write, Write::Rebase { .. });
                    let with = |write: Write| {
                        let entries =
                            write.entries().map(|(first, last)| machine.entries(first, last));
                        (write, entries.unwrap_or_default())
                    };
                    let writes: Vec<_> = if rebase {
                        machine.image().into_iter().map(with).collect()
                    } else {
                        vec![with(write)]
                    };
                    let record = postcard::to_stdvec(&writes).unwrap_or_default();
                    if let Some(mut change) = changes.next() {
                        // What a rebase writes is the whole of what is held after the step.
                        if let (Change::Rebase(_, _, trail), true) = (&mut change, rebase) {
                            *trail = self.books.trail(me).clone();
                        }
                        self.effects.push(Effect::Disk(Task::Write {
                            receipt,
                            record,
                            rebase,
                            change,
                        }));
                    }
                }
                Output::Send { to, header } => {
                    self.marks.message(&header.message);
                    match header.message {
                        Message::PreVote { .. } if self.books.is_stranger(me) => {
                            self.marks.hit(Mark::StrangerAsks);
                        }
                        Message::Vote { term, asked_to: true, .. } => {
                            self.successor = Some((me, term));
                        }
                        _ => {}
                    }
                    let entries = machine.entries_of(&header);
                    let chunk = machine.chunk_of(&header).to_vec();
                    let content = Rc::new(Content::Member(header, entries, chunk));
                    // One by one: the member may die when some have it and others do not.
                    let to = to.iter().map(|to| Effect::Send(to, Rc::clone(&content)));
                    self.effects.extend(to);
                }
                Output::Store { snapshot } => {
                    let bytes = machine.bytes_of(&snapshot).to_vec();
                    self.books.snapshot(me, snapshot)?;
                    self.reference.snapshot(&snapshot, &bytes)?;
                    self.effects.push(Effect::Disk(Task::Snapshot(snapshot, bytes)));
                }
                Output::Submitted { first, .. } => {
                    if let Some(asked) = asked.take() {
                        self.members[me].waiting.push_back((first.index, asked));
                    }
                }
                Output::Reading { read } => {
                    let raft = machine.raft();
                    if raft.log().term_at(raft.commit()) != Some(raft.term()) {
                        self.marks.hit(Mark::ReadWaited);
                    }
                    if read.number > 0 && read.round > 0 {
                        self.marks.hit(Mark::ReadByLease);
                    }
                    if let Some(asked) = asked.take() {
                        self.members[me].reading.push_back((read, asked, None));
                    }
                }
                Output::Applied { index } => {
                    let applied = machine.applied().index.number();
                    self.reference.applied(applied, &machine.state())?;
                    self.answer_applied(me, index)?;
                }
                Output::Readable { read } => self.answer_reads(me, read)?,
                Output::Unreadable { read } => self.answer_no_reads(me, read),
                Output::Following { .. } => self.answer_nobody_knows(me),
                Output::NotTransferred { .. } => self.marks.hit(Mark::TransferInVain),
                Output::Leading => {}
            }
        }
        if self.trace.is_some() {
            self.tell_outputs(slot, before, &outputs);
        }
        self.said.outputs = outputs;
        self.said.outputs.clear();
        Ok(())
    }

    /// Does what the host has to do, in the order that the action decides; dies on the way if it
    /// says so.
    pub(super) fn perform(&mut self, action: &Action, slot: u8) {
        let mut effects = std::mem::take(&mut self.effects);
        if effects.len() > 1 {
            shuffle_but_writes(&mut effects, &mut Rng::new(action.order));
        }
        // Any boundary, the one before the first too; after the last it is a crash like others.
        let cut = action.cut.map(usize::from).filter(|_| !effects.is_empty());
        let cut = cut.map(|cut| cut % effects.len());
        for effect in effects.drain(..).take(cut.unwrap_or(usize::MAX)) {
            match effect {
                Effect::Disk(task) => self.members[usize::from(slot)].store.tasks.push_back(task),
                Effect::Send(to, content) => {
                    self.counts.messages += 1;
                    self.send(slot, to.number(), &content);
                }
                Effect::Reply(client, content) => self.send(slot, client, &content),
            }
        }
        self.effects = effects;
        if cut.is_some() {
            self.marks.hit(Mark::CrashBetween);
            if cut > Some(3) {
                self.marks.hit(Mark::CrashLate);
            }
            self.crash(slot, Kept::Some(action.order));
        }
    }

    /// A member's disk works.
    pub(super) fn disk(
        &mut self,
        action: &Action,
        slot: u8,
        count: u8,
        trouble: Trouble,
    ) -> Verdict {
        let member = &mut self.members[usize::from(slot)];
        if member.machine.is_none() || member.store.tasks.is_empty() {
            return Ok(());
        }
        let durable = member.store.perform(usize::from(count), trouble);
        let failed = member.store.has_failed();
        let was_keeping = member.store.has_failed_to_keep();
        self.counts.syncs += 1;
        durable.iter().for_each(|change| self.books.durable(usize::from(slot), change));
        if self.trace.is_some() && !durable.is_empty() {
            self.tell(slot, Shape::Durable, || format!("has {} writes on disk", durable.len()));
        }
        if failed {
            match trouble {
                Trouble::Power(_) => {
                    self.marks.hit(Mark::CrashWorking);
                    if was_keeping {
                        self.marks.hit(Mark::CrashKeeping);
                    }
                    self.crash(slot, Kept::Some(action.order));
                }
                Trouble::Room(_) => self.marks.hit(Mark::DiskFull),
                _ => self.marks.hit(Mark::SyncFailed),
            }
            self.fault(slot, &format!("its disk fails: {trouble:?}"));
        }
        Ok(())
    }

    /// A member hears what its disk has done.
    pub(super) fn confirm(&mut self, action: &Action, slot: u8) -> Verdict {
        let me = usize::from(slot);
        let mut newest = None;
        let mut persisted = 0;
        while let Some(done) = self.members[me].store.done.pop_front() {
            match done {
                Done::Persisted(receipt) => {
                    newest = Some(receipt);
                    persisted += 1;
                }
                Done::Stored(snapshot) => {
                    self.step(action, slot, Input::Stored(snapshot), None)?.ok();
                }
                Done::Failed => {
                    self.step(action, slot, Input::PersistFailed, None)?.ok();
                }
            }
        }
        if persisted > 1 {
            self.marks.hit(Mark::LateCompletion);
        }
        match newest {
            Some(receipt) => self.step(action, slot, Input::Persisted(receipt), None).map(drop),
            None => Ok(()),
        }
    }
}

/// Draws another order of the effects, in which writes keep theirs.
fn shuffle_but_writes<E>(effects: &mut [Effect<E>], rng: &mut Rng) {
    let is_write = |effect: &Effect<E>| matches!(effect, Effect::Disk(Task::Write { .. }));
    for last in (1..effects.len()).rev() {
        let other = rng.below(last as u64 + 1) as usize;
        let crosses_a_write = effects[other..=last].iter().filter(|e| is_write(e)).count() > 1;
        if !crosses_a_write {
            effects.swap(other, last);
        }
    }
}
