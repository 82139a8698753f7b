//! Who may come in to a node, and whom it may call: what is decided about a connection, on any runtime.

use crate::book::Book;
use crate::door::{Door, Guest};
use crate::protocol::{Hello, Welcome};
use crate::work::Gone;
use quorate::id::{GroupId, NodeId};
use quorate::membership::Address;
use quorate::membership::roster::Life;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// Replies that may wait for a client that does not read them; then it is dropped.
pub const REPLIES: usize = 4_096;
/// How long either side waits for the first frame of the other, and a node for a client to take a
/// reply.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// A client that has asked nothing for so long is taken for gone: its machine may have lost power.
pub const IDLE: Duration = Duration::from_secs(600);
/// The pause after the operating system gave no connection, for want of files perhaps.
pub const PAUSE: Duration = Duration::from_millis(50);

/// The address book as the work last left it.
#[derive(Clone, Debug)]
pub struct SharedBook(Arc<RwLock<Book>>);

impl SharedBook {
    fn new(book: Book) -> Self {
        Self(Arc::new(RwLock::new(book)))
    }

    /// The book.
    pub fn read(&self) -> RwLockReadGuard<'_, Book> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn replace(&self, book: &Book) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clone_from(book);
    }
}

/// What a node must know to receive somebody.
#[derive(Clone, Debug)]
pub struct House {
    /// The group that it serves.
    pub group: GroupId,
    /// Who belongs to it.
    pub book: SharedBook,
    /// Who is there.
    pub door: Arc<Door>,
}

impl House {
    /// A house in which nobody is yet.
    #[must_use]
    pub fn new(group: GroupId, book: Book) -> Self {
        Self { group, book: SharedBook::new(book), door: Arc::default() }
    }

    /// Who says hello on a connection, if it may come in, and what a member says of itself; else what it is
    /// answered.
    ///
    /// # Errors
    /// The answer.
    pub fn receive(
        &self,
        number: u64,
        hello: &Hello,
    ) -> Result<(Guest, Option<(Life, Address)>), Welcome> {
        // Whoever is let go meanwhile is among the guests by then, and is seen out.
        let book = self.book.read();
        let (guest, said) = match *hello {
            Hello::Client => (Guest::Client, None),
            Hello::Member { from, since, address, to, incarnation } => {
                let slot = book.meet(from, since, (to, incarnation))?;
                (Guest::Member(slot, from), Some((from, address)))
            }
        };
        if self.door.introduce(number, guest) { Ok((guest, said)) } else { Err(Welcome::Full) }
    }

    /// The answer to whoever may come in.
    #[must_use]
    pub fn here(&self) -> Welcome {
        Welcome::Here { node: self.book.read().me().node }
    }
}

/// What a link to another member needs to know.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The group.
    pub group: GroupId,
    /// What this node says of itself.
    pub hello: Hello,
    /// The other.
    pub to: NodeId,
    /// Where it is.
    pub address: String,
}

/// Why there is no link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoLink {
    /// The node does not answer, or is busy.
    Silent,
    /// It answers what waiting may not mend.
    Misfit(String),
    /// This node is a member no more, and need not try again.
    Over(Gone),
}

/// What a member's answer means to the one that calls it.
///
/// # Errors
/// [`NoLink`], if it is no welcome.
pub fn linked(welcome: &Welcome) -> Result<(), NoLink> {
    Err(NoLink::Misfit(match welcome {
        Welcome::Here { .. } => return Ok(()),
        Welcome::Departed => return Err(NoLink::Over(Gone::Left)),
        Welcome::Outlived { by } => return Err(NoLink::Over(Gone::Outlived(*by))),
        Welcome::NotThatNode { life } => format!("it is {life}"),
        Welcome::NotAMember => "it does not count this node as a member".to_owned(),
        Welcome::OtherLife { known } => format!(
            "it knows this node in an earlier life ({known}); if its data was lost, give it an \
             empty data folder and say `quorate replace`"
        ),
        Welcome::Full => "it has no room for a connection".to_owned(),
    }))
}
