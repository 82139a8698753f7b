//! Sessions: a command takes effect once, however often it is sent (dissertation 6.3).
//!
//! The table is part of the replicated state: every replica remembers each client's last answer,
//! and forgets the same client when it needs room, the one whose last command is the oldest. A
//! command of a session that is not known is not applied, so nothing is ever applied twice; but a
//! session must not be opened again under a name that it had before it was forgotten, or a late
//! copy of a command would find it open. [`client`](crate::client) names each opening afresh.

use crate::bounded::Map;
use crate::codec::{Codec, Malformed, NoRoom, Sink};
use crate::id::{ClientId, Index};
use crate::limits;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Session<R> {
    /// The number of the last command, or zero.
    sequence: u64,
    /// What it was answered.
    response: Option<R>,
    /// The last entry of this client.
    used: Index,
}

impl<R> Session<R> {
    /// Remembers the answer to the session's newest command.
    pub(super) fn answer(&mut self, sequence: u64, response: R, at: Index) {
        *self = Self { sequence, response: Some(response), used: at };
    }
}

/// What became of a request whose entry is applied.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome<'a, R> {
    /// The session is open.
    Opened,
    /// It took effect, once, and this is the answer.
    Done(&'a R),
    /// The client has sent a later command since, or its session was forgotten at once; whether
    /// this one took effect is forgotten too.
    Superseded,
    /// The session is not known, or no longer; the command did not take effect with this entry.
    /// Open a session and ask what the state is.
    NoSession,
}

/// The sessions of all clients.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Sessions<R> {
    sessions: Map<ClientId, Session<R>, { limits::MOST.sessions }>,
}

impl<R: Codec> Sessions<R> {
    pub(super) const fn new() -> Self {
        Self { sessions: Map::new() }
    }

    /// Opens a session, or keeps one. Tells which client was forgotten to make room where there are
    /// `most` already, and where its last entry stands.
    pub(super) fn open(
        &mut self,
        client: ClientId,
        at: Index,
        most: usize,
    ) -> Option<(ClientId, Index)> {
        if let Some(session) = self.sessions.get_mut(&client) {
            session.used = at;
            return None;
        }
        let is_full = self.sessions.len() >= most;
        let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used);
        let evicted = oldest.map(|(client, session)| (*client, session.used)).filter(|_| is_full);
        if let Some((evicted, _)) = evicted {
            self.sessions.remove(&evicted);
        }
        let _ = self.sessions.insert(client, Session { sequence: 0, response: None, used: at });
        evicted
    }

    /// The session that a command is the next of, if there is one; the answer must follow.
    pub(super) fn expecting(&mut self, client: ClientId, sequence: u64) -> Option<&mut Session<R>> {
        self.sessions.get_mut(&client).filter(|session| sequence > session.sequence)
    }

    pub(super) fn outcome(&self, client: ClientId, sequence: u64) -> Outcome<'_, R> {
        match self.sessions.get(&client) {
            Some(_) if sequence == 0 => Outcome::Opened,
            Some(session) if session.sequence > sequence => Outcome::Superseded,
            Some(Session { sequence: last, response: Some(response), .. }) if *last == sequence => {
                Outcome::Done(response)
            }
            _ => Outcome::NoSession,
        }
    }

    pub(super) fn encode<K: Sink + ?Sized>(&self, sink: &mut K) -> Result<(), NoRoom> {
        u32::try_from(self.sessions.len()).map_err(|_| NoRoom)?.encode(sink)?;
        self.sessions.iter().try_for_each(|(client, session)| {
            client.encode(sink)?;
            session.sequence.encode(sink)?;
            session.response.encode(sink)?;
            session.used.encode(sink)
        })
    }

    pub(super) fn decode(bytes: &mut &[u8], most: usize) -> Result<Self, Malformed> {
        let mut sessions = Self::new();
        let mut previous = None;
        for _ in 0..u32::decode(bytes)? {
            let client = ClientId::decode(bytes)?;
            let session = Session {
                sequence: u64::decode(bytes)?,
                response: Option::<R>::decode(bytes)?,
                used: Index::decode(bytes)?,
            };
            let rises = previous.is_none_or(|previous| previous < client);
            if !rises || sessions.sessions.len() >= most {
                return Err(Malformed);
            }
            previous = Some(client);
            sessions.sessions.insert(client, session).map_err(|_| Malformed)?;
        }
        Ok(sessions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounded::List;

    type Bytes = List<u8, 200>;

    fn decoded(clients: &[u64], limit: usize) -> Result<Sessions<u64>, Malformed> {
        let mut bytes = Bytes::new();
        u32::try_from(clients.len()).unwrap().encode(&mut bytes).unwrap();
        for client in clients {
            ClientId::new(*client).encode(&mut bytes).unwrap();
            3_u64.encode(&mut bytes).unwrap();
            Some(9_u64).encode(&mut bytes).unwrap();
            Index::new(5).encode(&mut bytes).unwrap();
        }
        Sessions::decode(&mut &*bytes, limit)
    }

    #[test]
    fn only_what_was_encoded_is_decoded() {
        let sessions = decoded(&[1, 2, 3], 3).unwrap();
        let outcome = |sequence| sessions.outcome(ClientId::new(2), sequence);
        assert_eq!((outcome(2), outcome(3)), (Outcome::Superseded, Outcome::Done(&9)));
        assert_eq!(outcome(4), Outcome::NoSession, "it has not come to pass");
        let mut bytes = Bytes::new();
        sessions.encode(&mut bytes).unwrap();
        assert_eq!(Sessions::<u64>::decode(&mut &*bytes, 3), Ok(sessions));
        assert_eq!(decoded(&[1, 3, 2], 3), Err(Malformed), "not in order");
        assert_eq!(decoded(&[1, 2, 2], 3), Err(Malformed), "one client twice");
        assert_eq!(decoded(&[1, 2, 3], 2), Err(Malformed), "more than there may be");
    }
}
