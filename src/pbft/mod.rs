//! PBFT with view change (Castro and Liskov, *Practical Byzantine Fault Tolerance*, OSDI 1999; the
//! version with signatures), without payloads and without keys: it orders 32-byte digests.
//!
//! A group of `n` members orders values while at most `f = floor((n-1)/3)` of them lie. A [`Quorum`] has
//! `floor((n+f)/2) + 1` members, so any two share a correct one. In each view one member, the primary,
//! proposes; the others accept at most one value for each position, tell each other so, and once a
//! quorum has, that it has.
//!
//! **State** the view; the [`Stable`] checkpoint; a window of positions above it, each with the proposal,
//! the votes of this view, and the newest value *prepared* in any; three fronts in this view, up to which
//! this member has *voted*, holds proof that the value is *prepared*, and knows it to be *committed*;
//! the newest view change and checkpoint of each member; the requests that wait; what is on disk.
//! **Inputs** [`Input`]: messages whose signatures the host has checked. **Outputs** [`Output`]:
//! statements that the host signs.
//!
//! **Rules**, each in one place:
//!
//! | rule | where |
//! |---|---|
//! | the primary's `Prepare` is its proposal: whoever votes has one vote, and it counts once | `ordering::on_vote` |
//! | votes are given in order of positions, each for a payload that is here, at a stamp that this clock allows | `ordering::vote` |
//! | a value is prepared once a quorum has voted for it in one view | `ordering::prepare` |
//! | a value is committed once a quorum says in one view that it is prepared | `ordering::commit` |
//! | nothing is said before its own write is durable, and after a restart the same is said again | `ordering`, [`durability`] |
//! | a checkpoint is stable once a quorum has signed the same state | `checkpoint::count_checkpoints` |
//! | a view is left when a request waits too long, the primary contradicts itself, or one correct member has left | `view_change` |
//! | a view begins with what [`select`] finds in a quorum of view changes, at every member by itself | `new_view`, `view_change::on_new_view` |
//! | whoever says two things that contradict each other is accused with both | [`evidence`] |
//! | who lags is told what it lacks, when it says how far it has got | `status` |
//!
//! **Bounds** with `n` members and a window of `W` positions: a vote of each member and phase at each
//! position, one view change (of at most `W` claims) and one checkpoint of each member; nothing else that
//! a peer can make grow. So `O(n · W)`, whatever is sent.
//!
//! [`Quorum`]: crate::quorum

mod checkpoint;
mod config;
pub mod durability;
pub mod evidence;
mod input;
mod message;
mod new_view;
mod ordering;
mod output;
mod requests;
pub mod statement;
mod status;
mod view_change;
mod votes;
mod window;

pub use config::{Config, ConfigError, Tolerance};
pub use durability::{Receipt, Write};
pub use evidence::Evidence;
pub use input::Input;
pub use message::{
    Checkpoint, Claims, Message, NewView, Phase, Prepared, Stable, Status, Value, Verified,
    ViewChange, Vote, is_quorum,
};
pub use new_view::{Beginning, select};
pub use output::Output;
pub use statement::{CLIENT, Scope, Statement};

use crate::bounded::List;
use crate::event::{Event, Ignored, Stopped};
use crate::hlc::Stamp;
use crate::id::{Digest, Index, Members, Slot, View};
use crate::limits::{Limit, MOST, REQUESTS};
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::time::{Instant, Now, Span, Wall};
use durability::Disk;
use requests::Requests;
use window::Window;

/// How this member stands to its view.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Reign {
    /// It has left all earlier views, and this one has not begun for it.
    Awaited,
    /// It has begun, and takes its course.
    Active,
    /// It had begun in a former life, and what it began with is to be read again.
    Unread,
}

/// What the host and the other members have been told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Told {
    /// Up to where this member's votes in this view have left.
    voted: Index,
    prepared: Index,
    /// The view change of this view, or what this view began with, has left.
    view: bool,
    /// The position whose payload was asked for.
    wanted: Index,
    checkpoint: Index,
    diverged: Index,
    /// The members whose contradictions were told: one proof of each is enough.
    accused: Members,
}

/// A member of a Byzantine group.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pbft {
    config: Config,
    now: Instant,
    wall: Option<Wall>,
    view: View,
    reign: Reign,
    /// The write with which the present view was left for or entered.
    turned_at: u64,
    /// The last position whose value follows from how the view began.
    opened: Index,
    stable: Stable,
    window: Window,
    /// The last position proposed, by this member as primary.
    proposed: Index,
    voted: Index,
    prepared: Index,
    committed: Index,
    /// The highest stamp that this view has begun with, or that was voted for in it.
    stamped: Stamp,
    /// Each member's newest view change, and newest checkpoint above the stable one.
    changes: List<(Slot, ViewChange), { MOST.members }>,
    checkpoints: List<(Slot, Checkpoint), { MOST.members }>,
    /// A checkpoint that is proved, and that this member has not got to.
    ahead: Option<Stable>,
    requests: Requests,
    /// Views without progress: each doubles the next timeout.
    fruitless: u8,
    /// Until when the present view must have begun; a quorum wants it to.
    begins_by: Option<Instant>,
    /// When what is lost is said again.
    resend_at: Option<Instant>,
    /// When each member's status was last answered.
    answered: List<(Slot, Instant), { MOST.members }>,
    disk: Disk,
    told: Told,
    stopped: Option<Stopped>,
}

impl Pbft {
    /// A member at the beginning of its group; or in a later life, if what it wrote is folded in with
    /// [`replay`](Pbft::replay), in the order of writing, before the first step.
    ///
    /// # Errors
    /// [`ConfigError`] if the configuration contradicts itself.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let low = config.floor.index;
        Ok(Self {
            now: Instant::ORIGIN,
            wall: None,
            view: View::ZERO,
            reign: Reign::Active,
            turned_at: 0,
            opened: low,
            stable: Stable { checkpoint: config.floor, signers: Members::NONE },
            window: Window::new(low, config.slots),
            proposed: low,
            voted: low,
            prepared: low,
            committed: low,
            stamped: config.floor.stamp,
            changes: List::new(),
            checkpoints: List::new(),
            ahead: None,
            requests: Requests::new(),
            fruitless: 0,
            begins_by: None,
            resend_at: None,
            answered: List::new(),
            disk: Disk::new(config.boot),
            told: Told {
                voted: low,
                prepared: low,
                view: true,
                wanted: low,
                checkpoint: low,
                diverged: low,
                accused: Members::NONE,
            },
            stopped: None,
            config,
        })
    }

    /// The view that it is in, or wants to enter.
    #[must_use]
    pub const fn view(&self) -> View {
        self.view
    }

    /// Whether the view has begun for this member.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.reign == Reign::Active
    }

    /// The primary of the present view.
    #[must_use]
    pub fn primary(&self) -> Slot {
        self.primary_of(self.view)
    }

    /// Who proposes in a view: the members take turns.
    #[must_use]
    pub fn primary_of(&self, view: View) -> Slot {
        let members = self.config.members;
        let turn = view.number().checked_rem(members.len() as u64).unwrap_or(0);
        let turn = usize::try_from(turn).unwrap_or(0);
        members.iter().nth(turn).unwrap_or(self.config.me)
    }

    /// Whether this member is the primary of a view that has begun.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.is_active() && self.primary() == self.config.me
    }

    /// The newest stable checkpoint.
    #[must_use]
    pub const fn stable(&self) -> Stable {
        self.stable
    }

    /// Up to where everything is known to be committed.
    #[must_use]
    pub const fn committed(&self) -> Index {
        self.committed
    }

    /// Up to where this member has voted in this view.
    #[must_use]
    pub const fn voted(&self) -> Index {
        self.voted
    }

    /// The last position that this member proposed, or that the view began with.
    #[must_use]
    pub const fn proposed(&self) -> Index {
        self.proposed
    }

    /// The highest stamp that this view has begun with, or that this member has voted for in it: a
    /// proposal's is above.
    #[must_use]
    pub const fn stamped(&self) -> Stamp {
        self.stamped
    }

    /// Whether a proposal would be taken, if its value makes sense.
    #[must_use]
    pub fn may_propose(&self) -> bool {
        self.stopped.is_none() && self.leads() && self.proposed < self.window.high()
    }

    /// Whether a position is worked on.
    #[must_use]
    pub const fn is_in_window(&self, index: Index) -> bool {
        self.window.low().number() < index.number() && index.number() <= self.window.high().number()
    }

    /// Where a payload is proposed, prepared or decided, if it is.
    #[must_use]
    pub fn position_of(&self, digest: Digest) -> Option<Index> {
        let is_it = |value: Option<Value>| value.is_some_and(|it| it.digest == digest);
        let all = self.window.iter_from(self.window.low());
        let mut here = all.filter(|(_, it)| {
            let claimed = it.claim.map(|claim| claim.1);
            is_it(it.proposal) || is_it(it.committed) || is_it(claimed)
        });
        here.next().map(|it| it.0)
    }

    /// Whether a payload may still be needed.
    #[must_use]
    pub fn works_on(&self, digest: Digest) -> bool {
        self.position_of(digest).is_some()
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Why this member has stopped for good, if it has.
    #[must_use]
    pub const fn stopped(&self) -> Option<Stopped> {
        self.stopped
    }

    /// Whoever this member has proof against.
    #[must_use]
    pub const fn accused(&self) -> Members {
        self.told.accused
    }

    /// The view changes that this member, as primary, begins the present view with: those of the lowest
    /// slots that make a quorum.
    pub fn chosen(&self) -> impl Iterator<Item = &(Slot, ViewChange)> + Clone {
        let chosen = self.choice();
        self.changes.iter().filter(move |it| chosen.contains(it.0) && it.1.view == self.view)
    }

    /// Everyone else.
    fn others(&self) -> Members {
        self.config.members.without(self.config.me)
    }

    /// How long to wait, after so many views without progress.
    fn timeout(&self) -> Span {
        self.config.timeout.times(1 << self.fruitless.min(6))
    }

    /// Writes, and returns the number of the write.
    fn write<X: Outbox<Output> + ?Sized>(&mut self, write: Write, out: &mut X) -> u64 {
        let receipt = self.disk.write();
        out.push(Output::Persist { receipt, write });
        self.disk.newest()
    }

    /// Stops for good: nothing more is promised, and nothing taken back.
    fn stop<X: Outbox<Output> + ?Sized>(&mut self, why: Stopped, out: &mut X) {
        self.stopped = Some(why);
        out.event(Event::Stopped { why });
    }
}

impl Machine for Pbft {
    type Input<'a> = Input<'a>;
    type Output = Output;

    fn step<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: Input<'_>,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, self.max_outputs())?;
        self.check(&input)?;
        self.wake(now, out);
        match input {
            Input::Tick => self.tick(out),
            Input::Message { message, is_here } => self.receive(&message, is_here, out),
            Input::ViewChange(change) => self.on_view_change(change.from(), change.message(), out),
            Input::NewView(new_view) => self.on_new_view(new_view.from(), new_view.message(), out),
            Input::Stable(stable) => self.on_stable(stable),
            Input::Propose(value) => self.propose(value),
            Input::Request(request) => self.requests.watch(request, self.now),
            Input::Executed(requests) => self.requests.forget(requests),
            Input::Available(digest) => self.on_available(digest),
            Input::Checkpointed(checkpoint) => self.on_own_checkpoint(checkpoint),
            Input::Persisted(receipt) => self.disk.confirm(receipt),
            Input::PersistFailed => self.stop(Stopped::WriteFailed, out),
            Input::Suspect(slot) => self.suspect(slot, out),
        }
        self.settle(out);
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        if self.stopped.is_some() {
            return None;
        }
        let resend = self.resend_at.unwrap_or(Instant::ORIGIN);
        let request = self.requests.deadline(self.timeout()).filter(|_| self.is_active());
        let begins = self.begins_by.unwrap_or(resend);
        Some(resend.min(begins).min(request.unwrap_or(resend)))
    }

    fn max_outputs(&self) -> usize {
        // For each position: two writes, two votes, one decision. Then a view left and entered, a
        // checkpoint, its write and what it makes true; an answer of a few votes; every request forwarded.
        (self.config.slots as usize)
            .saturating_mul(5)
            .saturating_add(REQUESTS + status::BURST * 2 + 24)
    }
}

impl Pbft {
    /// Refuses what a host may not ask now, before anything changes.
    fn check(&self, input: &Input<'_>) -> Result<(), Refused> {
        let reason = match input {
            _ if self.stopped.is_some() => Refused::Stopped,
            Input::Propose(_) if !self.leads() => {
                let leader = Some(self.primary()).filter(|it| *it != self.config.me);
                Refused::NotLeader { leader }
            }
            Input::Propose(value) if value.is_null() || value.stamp <= self.stamped => {
                Refused::Meaningless
            }
            Input::Propose(_) if self.proposed >= self.window.high() => Refused::Full(Limit::Slots),
            Input::Request(request) if !self.requests.has_room_for(*request) => {
                Refused::Full(Limit::Watched)
            }
            Input::Checkpointed(it) if it.index > self.window.high() => Refused::Meaningless,
            _ => return Ok(()),
        };
        Err(reason)
    }

    /// Takes note of the time. A member that has slept through its own deadline accuses nobody.
    fn wake<X: Outbox<Output> + ?Sized>(&mut self, now: Now, out: &mut X) {
        self.now = self.now.max(now.mono);
        self.wall = now.wall;
        let Some(resend_at) = self.resend_at else {
            // What a former life said is said again at once.
            self.resend_at = Some(self.now);
            return;
        };
        let late = self.now.since(resend_at);
        if late > self.config.timeout {
            out.event(Event::Overslept { late });
            self.resend_at = Some(self.now);
            self.requests.begin_at(self.now);
            self.begins_by = self.begins_by.map(|_| self.now.after(self.timeout()));
        }
    }

    fn tick<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if self.begins_by.is_some_and(|by| self.now >= by) {
            self.give_up_view(out);
        } else if self.is_active() {
            self.look_after_requests(out);
        }
        if self.resend_at.is_some_and(|at| self.now >= at) {
            self.resend(out);
        }
    }

    /// Takes a message in.
    fn receive<X: Outbox<Output> + ?Sized>(
        &mut self,
        message: &Verified<Message>,
        is_here: bool,
        out: &mut X,
    ) {
        let from = message.from();
        let taken = match *message.message() {
            _ if !self.others().contains(from) => Err(Ignored::Stranger),
            Message::Vote(vote) => self.on_vote(from, vote, is_here, out),
            Message::Checkpoint(checkpoint) => self.on_checkpoint(from, checkpoint, out),
            Message::Status(status) => self.on_status(from, status, out),
        };
        if let Err(why) = taken {
            out.event(Event::Ignored { from, why });
        }
    }

    /// Tells every level that has become true and was not told.
    fn settle<X: Outbox<Output> + ?Sized>(&mut self, out: &mut X) {
        if self.stopped.is_some() {
            return;
        }
        // Before it counts: whoever stands behind a proof has said so.
        self.tell_checkpoint(out);
        self.count_checkpoints(out);
        self.follow_the_others(out);
        self.begin_view(out);
        // First, for whoever has not entered the view takes no vote in it.
        self.tell_view(out);
        if self.is_active() {
            self.vote(out);
            self.prepare(out);
        }
        self.commit(out);
    }
}
