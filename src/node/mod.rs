//! A node: many groups on one machine, with one failure detector and one timer for all of them.
//!
//! Every group is a [`Replica`](replica::Replica) of its own and knows nothing of the others. What they share is here: the
//! nodes that they are spread over, who watches those, and the next time that anything is due.
//!
//! **State** for each group its replica, the nodes that have its slots, and when something is due for it; the
//! [`Detector`], which watches all nodes of all groups; how far a sweep has come.
//! **Inputs** [`Input`]: ticks, what a host asks of a group, messages of other nodes.
//! **Outputs** [`Output`]: what the replicas say, with their group; what the detector says.
//!
//! **Rules**
//! 1. A message goes to the group that it names, if its sender has a slot there. Else it is ignored, and told
//!    as [`Event::Misrouted`]. In any case its sender was heard.
//! 2. A step steps one replica at most. A tick does the one thing that has been due for longest: so a group that
//!    falls due again and again holds up nobody.
//! 3. Groups are looked after at multiples of [`Config::grain`], in the order in which they fell due: so
//!    heartbeats go out together, and a host sends one frame to each node for all of them.
//! 4. A group that rests has no timer and costs nothing. If it rests in the service of a node that the
//!    detector doubts, it is due at once, and its tick is a [`Suspect`](replica::Input::Suspect). This is
//!    seen after each of its steps; and when the detector begins to doubt a node, a sweep looks at all
//!    groups, a few with each tick. What is seen is what is thought now: nothing is queued, and of a node
//!    that came back nobody hears.
//! 5. The detector watches the nodes of all groups that are open, from the first tick on after it changed
//!    who they are.
//!
//! **Invariants** places of groups have no gaps; a group has a timer exactly if something is due for it; a node
//! is watched exactly if it has a slot in an open group.
//!
//! A clock that goes back is noticed by the groups that were told a later time, as it is without a node.
//! A host with more work than time shares it out with [`Turns`].

mod door;
mod doubt;
mod groups;
mod message;
mod seats;
mod timers;
mod turns;

pub use message::{Config, Input, Output};
pub use turns::Turns;

use crate::event::{Event, Ignored};
use crate::id::{GroupId, NodeId, Slot};
use crate::machine::{Machine, Outbox, Refused, check_outbox};
use crate::membership::detector::{self, Detector};
use crate::replica;
use crate::state_machine::StateMachine;
use crate::time::{Instant, Now};
use doubt::Sweep;
use groups::{Groups, Hosted, Place};
use seats::Peers;
use timers::Timers;

/// Many groups on one machine.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node<S: StateMachine> {
    config: Config,
    /// The latest time that it was told.
    now: Instant,
    detector: Detector,
    peers: Peers,
    groups: Groups<S>,
    timers: Timers,
    sweep: Sweep,
    /// The most outputs of any replica that was opened.
    widest: usize,
}

/// What may be due; of what is due at the same time, the first comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    /// To tell the detector whom to watch.
    Watch,
    Detector,
    Sweep,
    Group(Place),
}

impl<S: StateMachine> Node<S> {
    /// What is due next, and when.
    fn due(&self) -> Option<(Instant, Due)> {
        let watch = self.peers.are_news.then_some((Instant::ORIGIN, Due::Watch));
        let detector = self.detector.deadline().map(|at| (at, Due::Detector));
        let sweep = (self.sweep.left > 0).then_some((self.sweep.at, Due::Sweep));
        let group = self.timers.first().map(|(at, place)| (self.next_grain(at), Due::Group(place)));
        [watch, detector, sweep, group].into_iter().flatten().min()
    }

    /// Does what has been due for longest. Tells which group was stepped.
    fn tick<X: Outbox<Output> + ?Sized>(&mut self, now: Now, out: &mut X) -> Option<Place> {
        let (_, due) = self.due().filter(|(at, _)| *at <= self.now)?;
        match due {
            Due::Watch => {
                self.peers.are_news = false;
                self.sense(detector::Input::Peers(&self.peers.nodes()), out);
            }
            Due::Detector => self.sense(detector::Input::Tick, out),
            Due::Sweep => self.sweep(),
            Due::Group(place) => {
                let doubted = self.groups.get(place).and_then(|hosted| self.doubted(hosted));
                let input = doubted.map_or(replica::Input::Tick, replica::Input::Suspect);
                // Ticks and doubts are not refused, unless it has stopped; then nothing is due any more.
                let _ = self.step_group(now, place, input, out);
                return Some(place);
            }
        }
        None
    }

    /// Tells a replica something.
    fn step_group<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        place: Place,
        input: replica::Input<'_, S::Command>,
        out: &mut X,
    ) -> Result<(), Refused> {
        let latest = self.now.max(now.mono);
        let Hosted { id, replica, .. } = self.groups.get_mut(place).ok_or(Refused::Meaningless)?;
        // Who goes by its clock must see it go back; for all others time stands still.
        let goes_by_clock = replica.raft().config().clock_drift.is_some();
        let now = if goes_by_clock { now } else { Now { mono: latest, ..now } };
        let group = *id;
        replica.step(
            now,
            input,
            &mut Through { out, name: |output| Output::Group { group, output } },
        )
    }

    fn next_grain(&self, at: Instant) -> Instant {
        let grain = self.config.grain.as_micros();
        at.as_micros().checked_next_multiple_of(grain).map_or(at, Instant::from_micros)
    }

    /// Where a message belongs.
    fn route(&self, from: NodeId, group: GroupId) -> Result<(Place, Slot), Ignored> {
        let place = self.groups.place(group).ok_or(Ignored::NoGroup)?;
        let hosted = self.groups.get(place).ok_or(Ignored::NoGroup)?;
        let slot = self.peers.slot_of(&hosted.seats, from).ok_or(Ignored::Stranger)?;
        match hosted.replica.raft().stopped() {
            None => Ok((place, slot)),
            Some(_) => Err(Ignored::Stopped),
        }
    }
}

impl<S: StateMachine> Machine for Node<S> {
    type Input<'a> = Input<'a, S::Command>;
    type Output = Output;

    fn step<X: Outbox<Output> + ?Sized>(
        &mut self,
        now: Now,
        input: Input<'_, S::Command>,
        out: &mut X,
    ) -> Result<(), Refused> {
        check_outbox(out, self.max_outputs())?;
        let latest = self.now.max(now.mono);
        let stepped = match input {
            Input::Group { input: replica::Input::Message { .. }, .. } => {
                return Err(Refused::Meaningless);
            }
            Input::Group { group, input } => {
                let place = self.groups.place(group).ok_or(Refused::Meaningless)?;
                self.step_group(now, place, input, out)?;
                Some(place)
            }
            Input::Tick => {
                self.now = latest;
                self.tick(now, out)
            }
            Input::Detector { from, message } => {
                self.now = latest;
                self.sense(detector::Input::Message { from, message }, out);
                None
            }
            Input::Message { from, incarnation, group, header, entries, chunk } => {
                self.now = latest;
                self.sense(detector::Input::Heard { from, incarnation }, out);
                match self.route(from, group) {
                    Ok((place, from)) => {
                        let input = replica::Input::Message { from, header, entries, chunk };
                        let _ = self.step_group(now, place, input, out); // It has not stopped.
                        Some(place)
                    }
                    Err(why) => {
                        out.event(Event::Misrouted { from, group, why });
                        None
                    }
                }
            }
        };
        self.now = latest;
        if let Some(place) = stepped {
            self.rearm(place);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.due().map(|(at, _)| at)
    }

    fn max_outputs(&self) -> usize {
        // The detector steps for what was heard, and a replica for what it says.
        self.detector.max_outputs().saturating_add(self.widest)
    }
}

/// An outbox of a machine of the node: what it says is said of it.
struct Through<'a, X: ?Sized, F> {
    out: &'a mut X,
    name: F,
}

impl<O, X: Outbox<Output> + ?Sized, F: FnMut(O) -> Output> Outbox<O> for Through<'_, X, F> {
    fn is_empty(&self) -> bool {
        true // Nothing of this machine's yet: it is asked once, before the step.
    }
    fn room(&self) -> usize {
        self.out.room()
    }
    fn push(&mut self, output: O) {
        self.out.push((self.name)(output));
    }
    fn event(&mut self, event: Event) {
        self.out.event(event);
    }
}
