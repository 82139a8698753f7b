//! What is said on a connection: between members, and between a client and a member.
//!
//! Each connection begins with a [`Hello`] from the side that opened it and a [`Welcome`] in
//! return. A member's hello pins who speaks for as long as the connection lasts.

use crate::book::Page;
use crate::frame;
use quorate::StateMachine;
use quorate::id::{ClientId, Incarnation, Index, Members, NodeId, Slot};
use quorate::membership::Address;
use quorate::membership::roster::Life;
use quorate::raft::Write;
use quorate::replica::{Entry, Header};
use serde::de::{DeserializeOwned, DeserializeSeed, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, SerializeStruct, Serializer};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A state machine that can be served: what travels has a form in bytes, and it answers queries.
pub trait Service:
    StateMachine<
        Command: Serialize + DeserializeOwned + Send + 'static,
        Response: Serialize + DeserializeOwned + Send + 'static,
    > + Send
    + 'static
{
    /// What can be asked without changing anything.
    type Query: Serialize + DeserializeOwned + Clone + Send + 'static;
    /// What a query is answered.
    type Answer: Serialize + DeserializeOwned + Send + 'static;

    /// What recordings call it: a replay refuses those of another kind. It changes when equal
    /// commands come to mean something else.
    const KIND: &'static str = "unnamed";

    /// Answers a query from the present state.
    fn answer(&self, query: &Self::Query) -> Self::Answer;
}

/// The first frame of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Hello {
    /// A member, to another.
    Member {
        /// Who speaks, and in which of its lives.
        from: Life,
        /// The entry that gave it its seat; zero for a founder.
        since: Index,
        /// Where it is reached itself.
        address: Address,
        /// Whom it believes to have reached.
        to: NodeId,
        /// In which life, if it knows.
        incarnation: Option<Incarnation>,
    },
    /// A client.
    Client,
}

/// The answer to a hello.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Welcome {
    /// Go ahead.
    Here {
        /// Who was reached.
        node: NodeId,
    },
    /// The node is another than the one that the member meant to reach, or lives another life.
    NotThatNode {
        /// Who was reached.
        life: Life,
    },
    /// The speaker is no member of the group, as far as is known here.
    NotAMember,
    /// The speaker was a member, and has left.
    Departed,
    /// A later life of the speaker is a member.
    Outlived {
        /// That one's incarnation.
        by: Incarnation,
    },
    /// The speaker is known in an earlier life, and its seat is that life's.
    OtherLife {
        /// That one's incarnation.
        known: Incarnation,
    },
    /// The node serves as many connections as it can.
    Full,
}

/// A member's message with its payload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "C: Serialize + DeserializeOwned")]
pub struct MemberMessage<C> {
    /// What it says.
    pub header: Header,
    /// The entries that travel with it.
    pub entries: Vec<Entry<C>>,
    /// The part of a snapshot that travels with it.
    #[serde(with = "bytes")]
    pub chunk: Vec<u8>,
}

impl<C: DeserializeOwned> MemberMessage<C> {
    /// Reads a message from a frame's body into this one, whose buffers are used again.
    ///
    /// # Errors
    /// [`frame::Error::Malformed`], and what this one then says means nothing.
    pub fn read(&mut self, body: &[u8]) -> Result<(), frame::Error> {
        self.read_parts(body).map_err(|_| frame::Error::Malformed)
    }

    fn read_parts(&mut self, body: &[u8]) -> postcard::Result<()> {
        // A message has its parts' bytes, one after the other.
        let mut bytes = postcard::Deserializer::from_bytes(body);
        self.header = Header::deserialize(&mut bytes)?;
        Refill(&mut self.entries).deserialize(&mut bytes)?;
        let chunk = <&[u8]>::deserialize(&mut bytes)?;
        self.chunk.clear();
        self.chunk.extend_from_slice(chunk);
        match bytes.finalize()? {
            [] => Ok(()),
            _ => Err(postcard::Error::DeserializeBadEncoding),
        }
    }
}

/// Reads a list into one that is there.
struct Refill<'a, T>(&'a mut Vec<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Refill<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Refill<'_, T> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<(), A::Error> {
        self.0.clear();
        while let Some(item) = from.next_element()? {
            self.0.push(item);
        }
        Ok(())
    }
}

/// The same on its way out, borrowed: it has the same bytes.
#[derive(Clone, Debug)]
pub struct Outgoing<'a, E> {
    /// What it says.
    pub header: Header,
    /// The entries that travel with it.
    pub entries: E,
    /// The part of a snapshot that travels with it.
    pub chunk: &'a [u8],
}

impl<E: Iterator<Item: Serialize> + Clone> Serialize for Outgoing<'_, E> {
    fn serialize<T: Serializer>(&self, to: T) -> Result<T::Ok, T::Error> {
        let mut message = to.serialize_struct("MemberMessage", 3)?;
        message.serialize_field("header", &self.header)?;
        message.serialize_field("entries", &Travelling(&self.entries))?;
        message.serialize_field("chunk", &Chunk(self.chunk))?;
        message.end()
    }
}

/// The entries that travel with a message.
struct Travelling<'a, E>(&'a E);

impl<E: Iterator<Item: Serialize> + Clone> Serialize for Travelling<'_, E> {
    fn serialize<T: Serializer>(&self, to: T) -> Result<T::Ok, T::Error> {
        let mut list = to.serialize_seq(Some(self.0.clone().count()))?;
        self.0.clone().try_for_each(|entry| list.serialize_element(&entry))?;
        list.end()
    }
}

/// A part of a snapshot.
struct Chunk<'a>(&'a [u8]);

impl Serialize for Chunk<'_> {
    fn serialize<T: Serializer>(&self, to: T) -> Result<T::Ok, T::Error> {
        to.serialize_bytes(self.0)
    }
}

/// A write with its entries: what a log record is made of.
pub type LogWrite<C> = (Write, Vec<Entry<C>>);

/// A client's request; the reply carries the same number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request<C, Q> {
    /// The client's number for it.
    pub number: u64,
    /// What it asks.
    pub ask: Ask<C, Q>,
}

/// What a client asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Ask<C, Q> {
    /// Something that goes into the log.
    Submit(quorate::replica::Request<C>),
    /// A linearizable read.
    Query(Q),
    /// How this node is.
    Status,
    /// Who the members are, as far as this node knows.
    Members,
    /// To be taken into the group.
    Join {
        /// Whom.
        life: Life,
        /// Where it is reached.
        address: Address,
        /// The incarnation of the same node that it replaces.
        replaces: Option<Incarnation>,
    },
    /// That a node leaves the group.
    Leave {
        /// Which.
        node: NodeId,
    },
}

/// A member's reply.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reply<R, A> {
    /// The client's number for what it asked.
    pub number: u64,
    /// What became of it.
    pub body: ReplyBody<R, A>,
}

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ReplyBody<R, A> {
    /// The session is open.
    Opened,
    /// The command took effect, once.
    Done(R),
    /// A later command of the session took effect.
    Superseded,
    /// The session is not known: it was never opened, or was forgotten to make room.
    NoSession,
    /// The answer to a query.
    Answer(A),
    /// This node does not lead; nothing happened.
    NotLeader {
        /// Who leads, if it is known, and where.
        leader: Option<(NodeId, String)>,
    },
    /// This node cannot take it now; nothing happened. The text says why.
    Busy(String),
    /// The request cannot be meant; nothing happened. The text says why.
    Rejected(String),
    /// This node stopped leading: the command may or may not take effect.
    Unknown,
    /// How this node is.
    Status(Status),
    /// Who the members are.
    Members(Vec<Member>),
    /// The node has a seat.
    Seated {
        /// Its slot.
        slot: Slot,
        /// The entry that gave it.
        since: Index,
        /// The slots of those who founded the group.
        founders: Members,
        /// What the group goes by: how many are to vote, and how long a leader may be silent.
        replication_factor: u32,
        /// In milliseconds.
        heartbeat_timeout_ms: u64,
        /// The members.
        page: Page,
    },
    /// The node is to leave, and belongs to the group until it can: ask again.
    Leaving,
    /// The node does not belong to the group any more.
    Left,
}

/// A member, as one node knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub node: u64,
    /// Which of its lives; none of a founder that was not heard of yet.
    pub life: Option<u64>,
    /// Its slot.
    pub slot: u8,
    /// Where it is reached.
    pub address: String,
    /// `leader`, `voter`, `learner`, or `none` if it does not belong to the group yet, or any more.
    pub role: String,
    /// Whether it is to leave.
    pub leaves: bool,
}

/// How a node is, in numbers that can be compared between nodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The node.
    pub node: u64,
    /// The group.
    pub group: u64,
    /// `leader`, `follower`, `candidate`, `canvasser` or `stopped`.
    pub role: String,
    /// The term.
    pub term: u64,
    /// The node that leads it, if known.
    pub leader: Option<u64>,
    /// The first entry that the log holds.
    pub first: u64,
    /// The last entry.
    pub last: u64,
    /// Up to where the log is on this node's disk.
    pub durable: u64,
    /// Up to where this node knows entries to be committed.
    pub commit: u64,
    /// Up to where they are applied.
    pub applied: u64,
    /// How many committed entries are not applied.
    pub lag: u64,
}

/// The session that a request belongs to, and its number there; opening one has number zero.
#[must_use]
pub const fn session_of<C>(request: &quorate::replica::Request<C>) -> (ClientId, u64) {
    match request {
        quorate::replica::Request::Open { client } => (*client, 0),
        quorate::replica::Request::Command { client, sequence, .. } => (*client, *sequence),
    }
}

/// Bytes as bytes, and not as a list of numbers.
mod bytes {
    use serde::{Deserializer, Serializer, de::Visitor};
    use std::fmt;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate::hlc::Stamp;
    use quorate::id::{EntryId, Index, Term};
    use quorate::raft::Message;
    use quorate::replica::{Body, Request};

    fn entries() -> Vec<Entry<String>> {
        let client = ClientId::new(7);
        let command = Request::Command { client, sequence: 1, command: "five".to_owned() };
        let bodies = [
            Body::Barrier,
            Body::Request(Request::Open { client }),
            Body::Request(command),
            Body::Due("six".to_owned()),
        ];
        let stamped = |(n, body)| Entry { stamp: Stamp::at_millis(n), body };
        (1_000..).zip(bodies).map(stamped).collect()
    }

    #[test]
    fn a_message_has_the_same_bytes_on_its_way_out_and_in() {
        let (term, prev) = (Term::new(3), EntryId::new(Term::new(2), Index::new(9)));
        let append =
            Message::Append { term, prev, entries: term, count: 4, commit: prev.index, round: 1 };
        let chunk = Message::Chunk {
            term,
            boundary: prev,
            digest: 5,
            size: 300,
            offset: 0,
            length: 300,
            round: 2,
        };
        let bytes: Vec<u8> = (0..=255).cycle().take(300).collect();
        for (message, entries, chunk) in
            [(append, entries(), &[][..]), (chunk, Vec::new(), &bytes[..])]
        {
            let header = Header { message, early: true, bare: false };
            let out = Outgoing { header, entries: entries.iter(), chunk };
            let out = postcard::to_stdvec(&out).unwrap();
            let sent: MemberMessage<String> = postcard::from_bytes(&out).unwrap();
            assert_eq!((sent.header, &sent.entries, &sent.chunk[..]), (header, &entries, chunk));
            assert_eq!(postcard::to_stdvec(&sent).unwrap(), out);
            let mut again = MemberMessage { header, entries: entries.clone(), chunk: vec![1] };
            again.read(&out).unwrap();
            assert_eq!((again.header, again.entries, &again.chunk[..]), (header, entries, chunk));
            let mut cut =
                MemberMessage { header, entries: Vec::<Entry<String>>::new(), chunk: vec![] };
            let mut long = out.clone();
            long.push(0);
            assert!((0..out.len()).all(|length| cut.read(&out[..length]).is_err()));
            assert!(cut.read(&long).is_err());
        }
    }

    #[test]
    fn a_record_has_the_same_bytes_when_written_and_when_read() {
        let (term, first, last) = (Term::new(3), Index::new(10), Index::new(13));
        let (write, entries) = (Write::Append { term, first, last }, entries());
        let written = [(write, entries.iter().collect::<Vec<_>>())];
        let written = postcard::to_stdvec(written.as_slice()).unwrap();
        let read: Vec<LogWrite<String>> = postcard::from_bytes(&written).unwrap();
        assert_eq!(read, [(write, entries)]);
    }
}
