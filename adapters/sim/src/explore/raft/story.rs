//! A step in words, as `crate::cluster` tells them.

use super::member::{Letter, Member, Move};
use crate::cluster::Subject as _;
use crate::raft::{Packet, Record};
use quorate::id::Slot;
use quorate::raft::{Output, Raft};
use std::fmt::Write as _;

/// Adds to a story what happens to a member, and what it says then.
pub(super) fn tell(story: &mut String, step: usize, slot: Slot, happens: Move, member: &Member) {
    let mut line = |words: String| {
        let _ = writeln!(story, "{step:>9} {words}");
    };
    match happens {
        Move::Hear(Letter { from, message, .. }) => {
            line(format!("n{slot} hears n{from} {}", Packet(message)));
        }
        Move::Ring => line(format!("n{slot} has heard no leader for too long")),
        Move::Nudge => line(format!("n{slot} looks at the clock")),
        Move::Beat => line(format!("n{slot} beats")),
        Move::Silence => line(format!("n{slot} has heard no quorum for too long")),
        Move::Propose => line(format!("n{slot} is asked for an entry")),
        Move::Admit { joint: false } => line(format!("n{slot} is asked to let another join")),
        Move::Admit { joint: true } => {
            line(format!("n{slot} is asked to let another join, jointly"))
        }
        Move::Persist(count) => line(format!("n{slot} has {count} on disk")),
        Move::Restart(kept) => {
            line(format!("n{slot} crashes, with {kept} more on disk"));
            line(format!("n{slot} starts"));
        }
    }
    let Ok(Some((_, said))) = member.after(happens) else { return };
    for output in said {
        match output {
            Output::Persist { write, .. } => {
                line(format!("n{slot} writes {}", Record(vec![write])))
            }
            Output::Send { to, message } => {
                to.iter().for_each(|to| line(format!("n{slot} → n{to} {}", Packet(message))));
            }
            told => line(format!("n{slot} {}", Raft::in_words(&told))),
        }
    }
}
