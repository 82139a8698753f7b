//! What should happen in some run: a simulation in which it never does is vacuous.

use super::run::Machine;
use quorate::Refused;
use quorate::client::Reply;
use quorate::event::{Event, Ignored, SteppedDown, Stopped};
use quorate::lease;
use quorate::limits::Limit;
use quorate::raft::Message;

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident = $words:literal,)*) => {
        /// Something that should happen in some run.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Mark { $($(#[$doc])* #[doc = $words] $name,)* }

        impl Mark {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The mark in words.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

marks! {
    Elected = "a leader is elected",
    SecondTerm = "a term after the first has a leader",
    HigherTerm = "a leader steps down for a higher term",
    QuorumSilent = "a leader steps down for lack of a quorum",
    SteppedDownAsked = "a leader steps down because it was asked to",
    Overslept = "a member oversleeps",
    Truncated = "entries are replaced by another leader's",
    Installed = "a snapshot takes the place of a log",
    Compacted = "a log is compacted",
    WriteFailed = "a machine stops because a write failed",
    StaleMessage = "a late message is ignored",
    PromisedVote = "a vote is refused because a leader lives",
    NoRoomLeft = "a message is ignored for lack of room",
    PreVoteSent = "a member asks whether it would be elected",
    PreVoteDenied = "such a question is answered no",
    VoteDenied = "a vote is denied",
    ConflictSent = "a follower lacks what entries follow",
    ChunkSent = "a part of a snapshot is sent",
    ReceivedSent = "a part of a snapshot is acknowledged",
    MixedTerms = "a leader sends entries of an older term",
    FullBatch = "several entries travel together",
    ReadServed = "a read is served",
    ReadByLease = "a leader answers a read by itself",
    ReadAtFollower = "a read is served by a follower",
    ReadInVain = "a leader does not answer its follower's read in time",
    Rested = "a group falls silent",
    Doubted = "a silent leader is doubted",
    LaggardRefused = "a change is refused because a new voter would lag",
    DiskSilent = "a leader steps down because its disk is stuck",
    ReadWaited = "a read waits for a leader's first entry",
    LogFull = "a proposal is refused because the log is full",
    NotLeader = "a proposal is refused because the member does not lead",
    CommitTwoTerms = "entries of two terms are committed together",
    CrashBetween = "a member crashes between two outputs of a step",
    CrashLate = "a member crashes after the fourth thing that a step has it do, or later",
    CrashPower = "a member loses power",
    CrashKill = "a member is killed",
    CrashWorking = "the power goes while the disk is writing",
    CrashKeeping = "the power goes while a snapshot is being stored",
    SyncFailed = "a sync fails",
    DiskFull = "a disk is full",
    Rotted = "a bit rots",
    RotRefused = "a member does not start from a damaged disk",
    MoreThanDurable = "a disk gives back more than was durable",
    SnapshotAhead = "a disk gives back a snapshot that the log does not know of",
    Paused = "a member sleeps for several timeouts",
    Partitioned = "the group is parted in two",
    OneWay = "a link works one way only",
    Bridged = "two halves are connected by one member",
    Isolated = "a member is alone",
    Swizzled = "members are cut off one after another, and come back in another order",
    Flapped = "a link comes and goes",
    Clogged = "a link is slow",
    Lost = "a message is lost",
    Duplicated = "a message comes twice",
    Replayed = "a message comes again much later",
    OldLife = "a message from a former life comes in",
    Corrupted = "a damaged frame is refused",
    OtherGroup = "a frame is refused by another group",
    ClockStepped = "a civil clock steps",
    ClockBackAtStart = "a member starts with its civil clock behind what it showed when it died",
    ClockFrozen = "a civil clock stands still",
    ClockDrifts = "a monotonic clock drifts",
    ClockStalls = "a monotonic clock stands still",
    StepDownAsked = "a member is asked to step down",
    LateCompletion = "a disk's completions are told together",
    SickLeader = "a leader's disk is stuck",
    Unrecoverable = "more is destroyed than can be recovered from",
    JointEntered = "a joint configuration is entered",
    JointLeft = "a joint configuration is left because somebody asked for it",
    AutoLeft = "a joint configuration is left by itself",
    AutoLeftByAnother = "another leader than the one that entered it has a joint configuration leave itself",
    Interrupted = "a leader dies in the midst of a change, while everybody else is well",
    RolledBack = "a configuration goes with its entry",
    Joined = "a member joins",
    CameBack = "a member that has left joins again, with what it held",
    JoinedBySnapshot = "a member that joins is sent a snapshot",
    LearnerPromoted = "a learner comes to vote",
    LearnerNext = "a voter is to learn once a joint configuration is left",
    WitnessAdded = "a witness joins",
    LeaderRemoved = "a leader removes itself",
    Retired = "a leader that does not vote any more retires",
    HeardOfItsRemoval = "a member hears that it was removed",
    StrangerAsks = "a member that was removed asks whether it would be elected",
    ChangeTooEarly = "a change is refused because an earlier one, or the leader's first entry, is not committed",
    ChangeRefused = "a change is refused because no one step leads there",
    ChangeImpossible = "a change is not even asked for: the configuration permits none such",
    ChangesFull = "a change is refused because there are too many configurations in the log",
    TransferRefused = "leadership is not handed over to one who cannot lead",
    TransferTold = "a member is told to take its leader's place",
    TransferDone = "leadership is handed over",
    TransferInVain = "leadership is not handed over in time",
    TransferBusy = "a request is refused because leadership is being handed over",
    OutOfRoom = "nobody can lead, or a leader commit, for lack of room in logs",
    Outsider = "a member stays half connected while the others settle",
    Lagging = "a member comes back far behind, under load",
    StampTooEarly = "a stamp is too early for a member's clock",
    ClockRefused = "a proposal is refused because of the clock",
    LateAttempt = "a client's request comes much later, or never",
    ClientsApart = "the network parts some clients from the whole group",
    SessionEvicted = "a session is forgotten",
    SessionLost = "a client's session is not known",
    ReplyUnknown = "a member does not know what becomes of a request",
    OutcomeUnknown = "a client does not know what became of its request",
    OutcomeNotTaken = "nobody took a client's request in time",
    LeaseGranted = "a lease is granted",
    LeaseHeld = "a lease is refused because it is held",
    LeaseExpired = "a lease is refused because it has just run out",
    LeaseReleased = "a lease is released",
    LeaseSwept = "leases that ran out are cleared away",
    LeaseRegranted = "a lease that ran out is granted to another",
    LeasesFull = "a lease is refused because the table is full",
    RenewalFailed = "a lease cannot be renewed",
    FenceClosed = "a fence refuses an old token",
    Undecided = "a search ends before it has an order for a register's history",
    CasFailed = "a register does not hold what was expected",
    Introduced = "a founder is introduced to the roster",
    NodeJoined = "a node that was admitted comes to vote, under load",
    Swapped = "a spare takes a leaver's place in one change",
    LifeReplaced = "a node that lost its disk has a seat in another life",
    CameAgain = "a node that has left has a seat in another life",
    SlotGivenTwice = "a slot is given to another",
    Evicted = "a member is evicted because it is silent",
    LeaderLeft = "a leader that was to leave is removed",
    Vacated = "a seat is vacated",
    OtherLife = "a message from or for whoever had a slot before is dropped",
    Unfit = "a change of the roster is refused because it makes no sense",
    StandsBy = "a member stands by because enough others vote",
}

impl Mark {
    /// Whether it can happen without clients, leases and clocks that stamp: to Raft alone.
    pub fn is_of_raft(self) -> bool {
        self < Self::StampTooEarly
    }

    /// Those that can happen to a machine.
    pub fn of(machine: Machine) -> impl Iterator<Item = Self> {
        let all = Self::ALL.iter().copied();
        all.filter(move |mark| match machine {
            // A witness is Raft alone.
            Machine::Replica => *mark != Self::WitnessAdded,
            Machine::Raft => mark.is_of_raft(),
        })
    }
}

/// Which marks were hit, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks(Vec<u64>);

impl Default for Marks {
    fn default() -> Self {
        Self(vec![0; Mark::ALL.len()])
    }
}

impl Marks {
    /// It happened.
    pub fn hit(&mut self, mark: Mark) {
        self.0[mark as usize] += 1;
    }

    /// How often it happened.
    pub fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    /// Those that never happened, and can happen to a machine.
    pub fn unhit(&self, machine: Machine) -> impl Iterator<Item = Mark> {
        Mark::of(machine).filter(|mark| self.count(*mark) == 0)
    }

    /// Adds what happened in another run.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(count, more)| *count += more);
    }

    /// Something happened inside a machine.
    pub fn event(&mut self, event: &Event) {
        let mark = match event {
            Event::Ignored { why: Ignored::Stale, .. } => Mark::StaleMessage,
            Event::Ignored { why: Ignored::Promised, .. } => Mark::PromisedVote,
            Event::Ignored { why: Ignored::NoRoom, .. } => Mark::NoRoomLeft,
            Event::Elected { barrier } => {
                if barrier.term.number() > 1 {
                    self.hit(Mark::SecondTerm);
                }
                Mark::Elected
            }
            Event::SteppedDown { why: SteppedDown::HigherTerm, .. } => Mark::HigherTerm,
            Event::SteppedDown { why: SteppedDown::QuorumSilent, .. } => Mark::QuorumSilent,
            Event::SteppedDown { why: SteppedDown::Asked, .. } => Mark::SteppedDownAsked,
            Event::SteppedDown { why: SteppedDown::Removed, .. } => Mark::Retired,
            Event::SteppedDown { why: SteppedDown::DiskSilent, .. } => Mark::DiskSilent,
            Event::Overslept { .. } => Mark::Overslept,
            Event::Truncated { .. } => Mark::Truncated,
            Event::Installed { .. } => Mark::Installed,
            Event::Compacted { .. } => Mark::Compacted,
            Event::Stopped { why: Stopped::WriteFailed } => Mark::WriteFailed,
            Event::StampTooEarly { .. } => Mark::StampTooEarly,
            Event::SessionEvicted { .. } => Mark::SessionEvicted,
            _ => return,
        };
        self.hit(mark);
    }

    /// A message was sent.
    pub fn message(&mut self, message: &Message) {
        let mark = match message {
            Message::PreVote { .. } => Mark::PreVoteSent,
            Message::PreVoteReply { granted: false, .. } => Mark::PreVoteDenied,
            Message::VoteReply { granted: false, .. } => Mark::VoteDenied,
            Message::Conflict { .. } => Mark::ConflictSent,
            Message::Chunk { .. } => Mark::ChunkSent,
            Message::Received { .. } => Mark::ReceivedSent,
            Message::Campaign { .. } => Mark::TransferTold,
            Message::Rest { .. } => Mark::Rested,
            Message::Append { term, entries, count: 1.., .. } if entries < term => Mark::MixedTerms,
            Message::Append { count: 3.., .. } => Mark::FullBatch,
            _ => return,
        };
        self.hit(mark);
    }

    /// A request was refused.
    pub fn refused(&mut self, refused: &Refused) {
        match refused {
            Refused::NotLeader { .. } => self.hit(Mark::NotLeader),
            Refused::Full(Limit::Configurations) => self.hit(Mark::ChangesFull),
            Refused::Full(_) => self.hit(Mark::LogFull),
            Refused::Changing => self.hit(Mark::ChangeTooEarly),
            Refused::Lagging { .. } => self.hit(Mark::LaggardRefused),
            Refused::Transferring => self.hit(Mark::TransferBusy),
            Refused::Clock(_) => self.hit(Mark::ClockRefused),
            Refused::Unfit(_) => self.hit(Mark::Unfit),
            _ => {}
        }
    }

    /// A client was answered.
    pub fn reply<R>(&mut self, reply: &Reply<R>) {
        match reply {
            Reply::NoSession => self.hit(Mark::SessionLost),
            Reply::Unknown => self.hit(Mark::ReplyUnknown),
            _ => {}
        }
    }

    /// The lease table answered.
    pub fn lease(&mut self, response: &lease::Response) {
        let mark = match response {
            lease::Response::Granted { .. } => Mark::LeaseGranted,
            lease::Response::Held { .. } => Mark::LeaseHeld,
            lease::Response::Expired { .. } => Mark::LeaseExpired,
            lease::Response::Released => Mark::LeaseReleased,
            lease::Response::Full => Mark::LeasesFull,
            lease::Response::NotHeld => Mark::RenewalFailed,
            _ => return,
        };
        self.hit(mark);
    }
}
