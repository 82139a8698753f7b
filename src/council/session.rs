//! What every client was last answered: a request takes effect once, however often it is ordered.
//!
//! A liar may have a request ordered again at any time, for its signature stays good. So a client is never
//! forgotten, and when there is room for no more, a new one's requests have no effect: how many clients
//! there are is for whoever hands out their keys to bound.

use crate::bounded::Map;
use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::id::{ClientId, Term};
use crate::limits;
use crate::state_machine::Position;

/// What a client was last answered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Answer<R> {
    /// The request that is answered.
    pub sequence: u64,
    /// Where it was executed.
    pub at: Position,
    /// What it was answered; nothing, if it only took its place in the order.
    pub response: Option<R>,
}

/// The last answer to each client.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Answers<R> {
    answers: Map<ClientId, Answer<R>, { limits::MOST.sessions }>,
}

impl<R: Codec> Answers<R> {
    pub(super) const fn new() -> Self {
        Self { answers: Map::new() }
    }

    pub(super) fn last(&self, client: ClientId) -> Option<&Answer<R>> {
        self.answers.get(&client)
    }

    /// Each client, and the number of its last request.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, u64)> {
        self.answers.iter().map(|(client, answer)| (*client, answer.sequence))
    }

    /// Whether a request is to take effect: it is newer than all before it, and there is room to
    /// remember that it did.
    pub(super) fn expects(&self, client: ClientId, sequence: u64) -> bool {
        match self.last(client) {
            Some(last) => sequence > last.sequence,
            None => self.answers.len() < limits::MOST.sessions,
        }
    }

    pub(super) fn remember(&mut self, client: ClientId, answer: Answer<R>) {
        // Whether there is room was asked before.
        let _ = self.answers.insert(client, answer);
    }

    pub(super) fn encode<K: Sink + ?Sized>(&self, sink: &mut K) -> Result<(), NoRoom> {
        u32::try_from(self.answers.len()).map_err(|_| NoRoom)?.encode(sink)?;
        self.answers.iter().try_for_each(|(client, answer)| {
            client.encode(sink)?;
            answer.sequence.encode(sink)?;
            answer.at.entry.encode(sink)?;
            answer.at.stamp.encode(sink)?;
            answer.response.encode(sink)
        })
    }

    pub(super) fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let mut answers = Self::new();
        let mut previous = None;
        for _ in 0..u32::decode(bytes)? {
            let client = ClientId::decode(bytes)?;
            let sequence = u64::decode(bytes)?;
            let at = Position { entry: Codec::decode(bytes)?, stamp: Codec::decode(bytes)? };
            let response = Option::<R>::decode(bytes)?;
            if previous.is_some_and(|previous| previous >= client) {
                return Err(Malformed);
            }
            previous = Some(client);
            let answer = Answer { sequence, at, response };
            answers.answers.insert(client, answer).map_err(|_| Malformed)?;
        }
        Ok(answers)
    }
}

/// The term of what is ordered in an epoch: within one, positions alone tell entries apart.
pub(super) const fn term_of(epoch: u32) -> Term {
    Term::new((epoch as u64) << 32)
}
