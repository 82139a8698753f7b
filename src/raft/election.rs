//! Elections: canvass, campaign, vote, lead (dissertation 3.4, 9.6, 6.2).
//!
//! A member whose alarm rings first *canvasses*: it asks whether it would be elected, without
//! raising its term. Only with a quorum's yes does it campaign. A no carries the real term of who
//! says it, and is adopted, or a member with the longest log and an old term would canvass in vain
//! for ever (openraft#1796, etcd#8243).

use super::follower::Following;
use super::leadership::Leadership;
use super::{Message, Output, Raft, Role};
use crate::event::{Event, Ignored, SteppedDown};
use crate::id::{EntryId, Members, Slot, Term};
use crate::machine::Outbox;
use crate::quorum::Vote;

impl Raft {
    /// Enters a higher term as a follower of nobody; a lower or equal one changes nothing.
    pub(super) fn adopt<X: Outbox<Output> + ?Sized>(
        &mut self,
        term: Term,
        out: &mut X,
    ) -> Option<Message> {
        if term > self.term {
            out.event(Event::TermAdopted { term });
            self.step_down(SteppedDown::HigherTerm, out);
            self.role = Role::Follower(Following::nobody());
            self.enter(term, None);
        }
        None
    }

    /// Changes the ballot: the one place where term and vote are set while running.
    fn enter(&mut self, term: Term, vote: Option<Slot>) {
        (self.term, self.vote) = (term, vote);
        self.disk.ballot_cast();
    }

    /// Stops leading, if this member leads, and waits as a follower of nobody.
    pub(super) fn step_down<X: Outbox<Output> + ?Sized>(&mut self, why: SteppedDown, out: &mut X) {
        let Role::Leader(leading) = &self.role else { return };
        if self.commit < leading.barrier() {
            self.fruitless = self.fruitless.saturating_add(1);
        }
        out.event(Event::SteppedDown { term: self.term, why });
        self.role = Role::Follower(Following::nobody());
        self.set_alarm();
    }

    /// The alarm of a member that hears no leader: ask around before disturbing anyone.
    ///
    /// Not while the last ballot is on its way to the disk (openraft 0.10.0-alpha: a lone voter
    /// elected itself twice), nor without room for an entry of its own in the log.
    pub(super) fn canvass<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        self.set_alarm();
        if let Some(term) = self.term.next().filter(|_| self.may_campaign()) {
            out.event(Event::Canvassing { term });
            self.role = Role::Canvasser { granted: Members::only(self.config.me), asked: false };
            return;
        }
        if self.leader().is_some() {
            // It may have been removed, and be told nothing any more: what it was asked ends here.
            self.role = Role::Follower(Following::nobody());
        }
        // It could not be elected, but if it belongs to the group, a leader that rests shows itself when
        // it is asked.
        let (members, me) = (self.configuration().members(), self.config.me);
        let (to, asks) = (members.without(me), self.config.rests && members.contains(me));
        if let Some(term) = self.term.next().filter(|_| asks && !to.is_empty()) {
            let last = self.log.last();
            out.push(Output::Send { to, message: Message::PreVote { term, last } });
        }
    }

    /// Whether this member could be elected: by what it knows of the group, its disk and its log.
    pub(super) fn may_campaign(&self) -> bool {
        let configuration = self.configuration();
        let electable = configuration.electorate().minus(configuration.witnesses());
        let last = self.log.last().index;
        let has_room = |term| self.room_for(term, last, None) > last;
        electable.contains(self.config.me)
            && self.log.configured().at >= self.config.since
            && self.disk.has_ballot()
            && self.term.next().is_some_and(has_room)
    }

    /// Enters the next term as a candidate; `asked_to` by the leader of the last.
    pub(super) fn campaign<X: Outbox<Output> + ?Sized>(&mut self, asked_to: bool, out: &mut X) {
        let Some(term) = self.term.next() else { return };
        out.event(Event::Campaigning { term });
        let granted = Members::only(self.config.me);
        self.role = Role::Candidate { granted, asked: false, asked_to };
        self.enter(term, Some(self.config.me));
        self.set_alarm();
    }

    /// Whether these votes are enough, by the configuration of the candidate.
    fn has_won(&self, granted: Members) -> bool {
        let yes = |slot| granted.contains(slot).then_some(true);
        self.log.configured().configuration.vote(yes) == Vote::Won
    }

    /// Moves a member on that has the votes for it: from canvasser to candidate to leader.
    pub(super) fn promote<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if let Role::Canvasser { granted, .. } = &self.role
            && self.has_won(*granted)
        {
            self.campaign(false, out);
        }
        // Its own vote counts once it is on disk, and nobody else's can be in before that.
        if let Role::Candidate { granted, .. } = &self.role
            && self.has_won(*granted)
            && self.disk.has_ballot()
        {
            self.log.append(self.term, 1);
            let (barrier, members) = (self.log.last(), self.audience());
            out.event(Event::Elected { barrier });
            self.role =
                Role::Leader(Leadership::new(&self.config, self.now, members, barrier.index));
            self.set_alarm();
        }
    }

    /// Whether this member owes another leader its loyalty, so that `candidate` must wait (6.2).
    fn is_promised(&self, candidate: Slot) -> bool {
        // The very leader that the promise was given to may ask (hashicorp/raft#605).
        self.leads() || (self.now < self.promised_until && self.leader() != Some(candidate))
    }

    /// Whether a log that ends in `last` holds everything that can be committed (3.6.1).
    fn is_up_to_date(&self, last: EntryId) -> bool {
        let mine = self.log.last();
        (last.term, last.index) >= (mine.term, mine.index)
    }

    pub(super) fn on_pre_vote(&self, from: Slot, proposed: Term, last: EntryId) -> Message {
        let granted = proposed > self.term && !self.is_promised(from) && self.is_up_to_date(last);
        Message::PreVoteReply { term: self.term, proposed, granted }
    }

    pub(super) fn on_pre_vote_reply<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        term: Term,
        proposed: Term,
        yes: bool,
        out: &mut X,
    ) -> Option<Message> {
        if term > self.term {
            return self.adopt(term, out);
        }
        let asked_for = self.term.next();
        match &mut self.role {
            Role::Canvasser { granted, .. } if yes && Some(proposed) == asked_for => {
                *granted = granted.with(from);
            }
            Role::Canvasser { .. } if Some(proposed) == asked_for => {}
            _ => out.event(Event::Ignored { from, why: Ignored::Stale }),
        }
        None
    }

    pub(super) fn on_vote<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        term: Term,
        last: EntryId,
        asked_to: bool,
        out: &mut X,
    ) -> Option<Message> {
        if term >= self.term && self.is_promised(from) && !asked_to {
            out.event(Event::Ignored { from, why: Ignored::Promised });
            return Some(Message::VoteReply { term: self.term, granted: false });
        }
        self.adopt(term, out);
        let free = self.vote.is_none_or(|vote| vote == from);
        if term < self.term || !free || !self.is_up_to_date(last) {
            return Some(Message::VoteReply { term: self.term, granted: false });
        }
        if self.vote.is_none() {
            self.enter(term, Some(from));
            self.set_alarm();
        }
        // A yes is a promise: `tell_ballots` says it once the ballot is on disk.
        if !matches!(self.role, Role::Follower(_)) {
            self.role = Role::Follower(Following::nobody());
        }
        if let Role::Follower(following) = &mut self.role {
            following.vote_owed = true;
        }
        None
    }

    pub(super) fn on_vote_reply<X: Outbox<Output> + ?Sized>(
        &mut self,
        from: Slot,
        term: Term,
        yes: bool,
        out: &mut X,
    ) -> Option<Message> {
        if term > self.term {
            return self.adopt(term, out);
        }
        match &mut self.role {
            Role::Candidate { granted, asked: true, .. } if term == self.term => {
                if yes {
                    *granted = granted.with(from);
                }
            }
            _ => out.event(Event::Ignored { from, why: Ignored::Stale }),
        }
        None
    }

    /// Says what concerns elections and has become sayable.
    pub(super) fn tell_ballots<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if let Role::Leader(_) | Role::Follower(Following { vote_owed: false, .. }) = &self.role {
            return;
        }
        let (last, on_disk) = (self.log.last(), self.disk.has_ballot());
        let electorate = self.log.configured().configuration.electorate();
        let to = electorate.without(self.config.me);
        let is_alone = to.is_empty();
        match &mut self.role {
            Role::Canvasser { asked, .. } if !*asked => {
                *asked = true;
                if let Some(term) = self.term.next().filter(|_| !is_alone) {
                    out.push(Output::Send { to, message: Message::PreVote { term, last } });
                }
            }
            Role::Candidate { asked, asked_to, .. } if !*asked && on_disk && !is_alone => {
                *asked = true;
                let message = Message::Vote { term: self.term, last, asked_to: *asked_to };
                out.push(Output::Send { to, message });
            }
            Role::Follower(following) if following.vote_owed && on_disk => {
                following.vote_owed = false;
                if let Some(candidate) = self.vote {
                    let message = Message::VoteReply { term: self.term, granted: true };
                    out.push(Output::Send { to: Members::only(candidate), message });
                }
            }
            _ => {}
        }
    }

    /// A leader's alarm: have a quorum, and its own disk, been heard within an election timeout?
    /// (6.2; a leader that can send and not hear, or not write, is none: etcd#15247)
    pub(super) fn look_for_quorum<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        let Role::Leader(leading) = &self.role else { return };
        let configuration = &self.log.configured().configuration;
        let quorum = leading.quorum_heard(configuration, self.config.me, self.now);
        let disk = self.disk.heard(self.now);
        let until = quorum.min(disk).after(self.config.election_timeout);
        if until > self.now {
            self.alarm = Some(until);
        } else if disk < quorum {
            self.step_down(SteppedDown::DiskSilent, out);
        } else {
            self.step_down(SteppedDown::QuorumSilent, out);
        }
    }
}
