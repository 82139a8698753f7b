//! What a member's host does for clients: it takes their requests to the machine, and gives each
//! exactly one reply.

use super::action::Action;
use super::hosted::{Answer, Hosted, Input, Work};
use super::marks::Mark;
use super::oracle::Verdict;
use super::world::{Asked, Content, Effect, World, member_machine};
use quorate::Refused;
use quorate::client::{Reply, What};
use quorate::id::{Index, Slot};
use quorate::raft::Read;
use std::collections::VecDeque;
use std::rc::Rc;

impl<H: Hosted> World<H> {
    pub(super) fn answer_applied(&mut self, me: usize, index: Index) -> Verdict {
        while let Some((_, asked)) = next_if(&mut self.members[me].waiting, |(at, _)| *at <= index)
        {
            let Some((client, sequence)) = asked.session else {
                self.counts.ended += 1;
                continue;
            };
            let reply = member_machine(&self.members, me).reply(client, sequence);
            if let Reply::Done(Answer::Response(response)) = &reply {
                self.reference.answered(client, sequence, response)?;
            }
            self.reply(asked, reply);
        }
        Ok(())
    }

    pub(super) fn answer_reads(&mut self, me: usize, read: Read) -> Verdict {
        self.marks.hit(Mark::ReadServed);
        if read.round == 0 {
            self.marks.hit(Mark::ReadAtFollower);
        }
        while let Some((_, asked, work)) =
            next_if(&mut self.members[me].reading, |(name, ..)| *name <= read)
        {
            let machine = member_machine(&self.members, me);
            match work {
                Some(Work::Query(query)) => {
                    let found = machine.find(&query);
                    let applied = machine.applied().index.number();
                    self.reference.found(applied, &query, &found)?;
                    self.reply(asked, Reply::Done(Answer::Found(found)));
                }
                _ => self.counts.ended += 1,
            }
        }
        Ok(())
    }

    /// The leader has not answered.
    pub(super) fn answer_no_reads(&mut self, me: usize, read: Read) {
        self.marks.hit(Mark::ReadInVain);
        while let Some((_, asked, _)) =
            next_if(&mut self.members[me].reading, |(name, ..)| *name <= read)
        {
            self.reply(asked, Reply::NotLeader { leader: None });
        }
    }

    pub(super) fn answer_nobody_knows(&mut self, me: usize) {
        for (_, asked) in std::mem::take(&mut self.members[me].waiting) {
            self.reply(asked, Reply::Unknown);
        }
        for (_, asked, _) in std::mem::take(&mut self.members[me].reading) {
            self.reply(asked, Reply::NotLeader { leader: None });
        }
    }

    pub(super) fn reply(&mut self, asked: Asked, reply: Reply<Answer>) {
        if asked.client == NOBODY {
            self.counts.ended += 1;
            return;
        }
        self.marks.reply(&reply);
        let content = Rc::new(Content::Reply(asked.attempt, reply));
        self.effects.push(Effect::Reply(asked.client, content));
    }

    /// A client's request arrives at a member.
    pub(super) fn request(
        &mut self,
        action: &Action,
        slot: u8,
        client: u8,
        (attempt, what): (u64, What),
        work: Option<&Work>,
    ) -> Verdict {
        let me = usize::from(slot);
        if self.members[me].machine.is_none() {
            return Ok(());
        }
        let session = match what {
            What::Open { client } => Some((client, 0)),
            What::Command { client, sequence } => Some((client, sequence)),
            What::Query => None,
        };
        let asked = Asked { client, attempt, session };
        let request = H::request(what, work);
        let result = match (&request, what) {
            (Some(request), _) => {
                let requests = std::slice::from_ref(request);
                self.step(action, slot, Input::Submit(requests), Some(asked))?
            }
            (None, What::Query) => {
                let reads = self.members[me].reading.len();
                let result = self.step(action, slot, Input::Read, Some(asked))?;
                if let Some((_, _, of)) = self.members[me].reading.get_mut(reads) {
                    *of = work.cloned();
                }
                result
            }
            (None, _) => Ok(()),
        };
        if let Err(refused) = result {
            let reply = match refused {
                Refused::NotLeader { leader } => {
                    Reply::NotLeader { leader: leader.map(Slot::number) }
                }
                Refused::Meaningless => Reply::Rejected,
                _ => Reply::Busy,
            };
            self.reply(asked, reply);
            self.perform(action, slot);
        }
        Ok(())
    }

    pub(super) fn propose(&mut self, action: &Action, slot: u8, count: u8) -> Verdict {
        let first = self.proposal;
        let requests: Vec<_> = (first..first + u64::from(count)).filter_map(H::numbered).collect();
        if requests.is_empty() {
            return Ok(());
        }
        self.proposal += u64::from(count);
        let asked = Asked { client: NOBODY, attempt: 0, session: None };
        if self.step(action, slot, Input::Submit(&requests), Some(asked))?.is_ok() {
            self.counts.asked += 1;
        }
        Ok(())
    }
}

/// Who asked, where no client did.
const NOBODY: u8 = u8::MAX;

/// Takes the front of a queue, if it is meant.
fn next_if<T>(queue: &mut VecDeque<T>, is_meant: impl FnOnce(&T) -> bool) -> Option<T> {
    if queue.front().is_some_and(is_meant) { queue.pop_front() } else { None }
}
