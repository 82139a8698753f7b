//! Rest: an idle group says nothing, and its members listen for nothing.
//!
//! A leader whose heartbeat is due, and who has learned from *every* member that it holds the whole
//! log, with all of it committed and nothing asked for, says [`Message::Rest`] in its place and falls
//! silent. Whoever agrees that this is all there is stops its alarm; whoever does not, or waits for a
//! read, answers, which wakes the leader. While it rests a group costs no message and no timer, and its
//! leader keeps no table of followers: all have all, and of whoever it wakes it knows no more than one
//! that was just elected does.
//!
//! **Who wakes, and what it does then**
//! - the leader: by anything but a tick, the word of its disk, or doubt about another. It begins a round
//!   at once and counts the silence of nobody against them.
//! - a follower: likewise, and by doubt about its leader. It tells its leader, which wakes that too,
//!   listens again, and gives it one election timeout to show itself before it elects another: so a
//!   member that restarts and finds nobody to follow wakes the group without bringing its leader down
//!   (tikv#6596, tikv#16429).
//!
//! A leader that dies while its group rests is missed by nobody: hosts say [`Input::Suspect`].

use super::{Input, Message, Output, Raft, Role};
use crate::id::{EntryId, Slot, Term};
use crate::machine::Outbox;

impl Raft {
    /// Whether this member says nothing and listens for nothing.
    #[must_use]
    pub const fn is_resting(&self) -> bool {
        match &self.role {
            Role::Leader(leading) => leading.rests,
            Role::Follower(following) => following.rests,
            Role::Canvasser { .. } | Role::Candidate { .. } => false,
        }
    }

    /// Whether a heartbeat is due that would tell nobody anything.
    pub(super) fn may_rest(&self) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        let (last, configured) = (self.log.last().index, self.log.configured());
        self.config.rests
            && self.now >= leading.next_deadline()
            && leading.transfer.is_none()
            && !configured.configuration.is_joint()
            && last == self.commit
            && last == self.told.commit
            && !leading.awaits_reads()
            && leading.all_are_at(last, self.audience())
    }

    /// Falls silent.
    pub(super) fn rest<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let (to, message) =
            (self.audience(), Message::Rest { term: self.term, last: self.log.last() });
        let Role::Leader(leading) = &mut self.role else { return };
        leading.rests = true;
        leading.forget();
        if !to.is_empty() {
            out.push(Output::Send { to, message });
        }
    }

    /// The leader falls silent.
    pub(super) fn on_rest<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        term: Term,
        last: EntryId,
        out: &mut X,
    ) -> Option<Message> {
        if let Err(answer) = self.follow(from, term, 0, out) {
            return answer;
        }
        if self.rules_out(last) {
            return self.contradicted(from, out);
        }
        let is_all = self.log.last() == last && self.disk.has_all(last.index);
        if is_all {
            self.commit_to(last.index);
        }
        let may_rest = is_all && self.config.rests;
        if let Role::Follower(following) = &mut self.role {
            // What asks again for a read that has no outcome is the leader's next round.
            following.rests = may_rest && !following.questions.are_open();
            if !following.rests {
                following.repeat();
            }
        }
        None
    }

    /// Wakes by whatever is more than the passing of time.
    pub(super) fn rouse(&mut self, input: &Input) {
        if !self.is_resting() {
            return;
        }
        match input {
            Input::Tick | Input::Persisted(_) => return,
            Input::Suspect(slot) if self.leader() != Some(*slot) || self.leads() => return,
            _ => {}
        }
        let (now, heartbeat) = (self.now, self.config.heartbeat);
        let (audience, next) = (self.audience(), self.log.last().index.next());
        match &mut self.role {
            Role::Leader(leading) => {
                leading.rests = false;
                leading.welcome(audience, now, next);
                leading.begin_at(now, crate::time::Span::ZERO);
                leading.beat(now, heartbeat);
            }
            Role::Follower(following) => {
                following.rests = false;
                following.repeat();
                self.promised_until = now.after(self.config.election_timeout);
            }
            Role::Canvasser { .. } | Role::Candidate { .. } => {}
        }
        self.set_alarm();
    }
}
