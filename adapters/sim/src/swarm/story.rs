//! How a run is told.

use super::action::PacketId;
use super::hosted::Hosted;
use super::oracle::Glance;
use super::world::{Content, World, member_machine};
use crate::raft::{Packet as Shown, Record};
use crate::trace::{Moment, What as Shape};
use quorate::replica::Output;

/// The lane of what befalls everybody: none, so that a picture draws it across all of them.
pub(super) const EVERYBODY: u8 = u8::MAX;

impl<H: Hosted> World<H> {
    /// Adds a moment to the story, if it is told.
    pub fn tell(&mut self, lane: u8, what: Shape, words: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let (at, lane) = (self.now, usize::from(lane));
            trace.moments.push(Moment { at, lane, what, words: words() });
        }
    }

    /// A lane's name.
    pub(super) fn lane(&self, lane: u8) -> String {
        match usize::from(lane).checked_sub(self.members.len()) {
            Some(client) => format!("c{client}"),
            None => format!("n{lane}"),
        }
    }

    pub(super) fn fault(&mut self, lane: u8, words: &str) {
        self.tell(lane, Shape::Fault, || words.to_owned());
    }

    pub(super) fn tell_outputs(&mut self, slot: u8, before: Glance, outputs: &[Output]) {
        let after = Glance::at(member_machine(&self.members, usize::from(slot)));
        for output in outputs {
            match output {
                Output::Persist { write, .. } => {
                    let record = Record(vec![*write]);
                    self.tell(slot, Shape::Written, || format!("writes {record}"));
                }
                Output::Store { snapshot } => {
                    self.tell(slot, Shape::Written, || {
                        format!("stores snapshot {}", snapshot.boundary)
                    });
                }
                Output::Send { .. } => {}
                told => self.tell(slot, Shape::Note, || format!("says {told:?}")),
            }
        }
        if after.commit() > before.commit() {
            let commit = after.commit().number();
            self.tell(slot, Shape::Committed(commit), || format!("knows {commit} committed"));
        }
    }
}

pub(super) const fn name(id: PacketId) -> u64 {
    id.origin << 20 | (id.place as u64) << 8 | id.to as u64
}

pub(super) fn shown<E>(content: &Content<E>) -> String {
    match content {
        Content::Member(header, entries, _) => {
            let early = if header.early { " (too early)" } else { "" };
            format!("{}{early} [{}]", Shown(header.message), entries.len())
        }
        Content::Request(attempt, what, work) => format!("attempt {attempt}: {what:?} {work:?}"),
        Content::Reply(attempt, reply) => format!("to attempt {attempt}: {reply:?}"),
    }
}
