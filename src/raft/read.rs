//! Linearizable reads without a log entry (dissertation 6.4).
//!
//! A leader numbers rounds. A read joins the next round to begin; the round is sent with every
//! message to a follower, and a follower that hears a new one answers at once. When a quorum has
//! answered a round, no other leader can have committed anything before the round began, so every
//! read of that round or an earlier one sees everything that was acknowledged before it, once the
//! commit index of *now* is applied. There is no table of reads: their names are the rounds, which
//! the leader mints, so no late answer can stand for a newer read (etcd#20418).
//!
//! Before an entry of its own term is committed a leader does not know what is, and confirms
//! nothing (etcd#7331); its reads wait and are not dropped (etcd#11483).

use super::{Output, Raft, Role};
use crate::id::Term;
use crate::machine::Outbox;

/// The name of a read, and of all that joined the same round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Read {
    /// The term of the leader that took it.
    pub term: Term,
    /// The round that it waits for.
    pub round: u64,
}

impl Raft {
    /// Takes a read. `check` has made sure that this member leads.
    pub(super) fn read<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let configuration = &self.log.configured().configuration;
        if let Role::Leader(leading) = &mut self.role {
            let round = leading.join_round(configuration, self.config.me);
            out.push(Output::Reading { read: Read { term: self.term, round } });
        }
    }

    /// Tells which reads may be served, and begins the round that others wait for.
    pub(super) fn tell_reads<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let (me, term, index) = (self.config.me, self.term, self.commit);
        let configuration = &self.log.configured().configuration;
        let Role::Leader(leading) = &mut self.role else { return };
        if index < leading.barrier().index {
            return;
        }
        if let Some(round) = leading.confirmed_reads(configuration, me) {
            out.push(Output::Readable { read: Read { term, round }, index });
        }
    }
}
