//! One client of a group on its sockets: what [`Asking`] wants sent and heard.

use crate::stream::Line;
use quorate::id::GroupId;
use quorate_host::asking::{Asking, Failure, Heard, Next, ReplyOf, SaidOf, Trouble, WorkOf};
use quorate_host::asking::{answer_to, request, status_in};
use quorate_host::frame;
use quorate_host::life::Clock;
use quorate_host::protocol::{Ask, ReplyBody, Service, Status};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A session, and a connection to each node that was asked, which stays open between requests.
pub(crate) struct Session<S: Service> {
    asking: Asking<S>,
    lines: BTreeMap<u8, Line>,
    clock: Clock,
}

impl<S: Service> Session<S> {
    pub(crate) fn new(nodes: &[String], group: GroupId, within: Duration) -> Result<Self, Failure> {
        let asking = Asking::new(nodes, group, within)?;
        Ok(Self { asking, lines: BTreeMap::new(), clock: Clock::default() })
    }

    /// Asks until it is known what became of it.
    pub(crate) async fn ask(&mut self, work: WorkOf<S>) -> Result<SaidOf<S>, Failure> {
        let mut next = self.asking.begin(self.clock.now(), &work);
        loop {
            let (node, heard) = match next {
                Next::Done(outcome) => return outcome,
                Next::Send { node, frame } => (node, self.send(node, &frame).await),
                Next::Hear { node } => (node, self.hear(node).await),
            };
            next = self.asking.hear(self.clock.now(), node, heard);
        }
    }

    fn until(&self) -> Instant {
        self.clock.at(self.asking.deadline()).into()
    }

    async fn send(&mut self, node: u8, frame: &[u8]) -> Heard<ReplyOf<S>> {
        let until = self.until();
        if !self.lines.contains_key(&node) {
            let opened = Line::open(self.asking.address(node), self.asking.group(), until).await;
            match opened {
                Ok((line, id)) => {
                    self.asking.reached(node, id);
                    self.lines.insert(node, line);
                }
                Err(trouble) => return Heard::NotReached(trouble),
            }
        }
        let Some(line) = self.lines.get_mut(&node) else { return Heard::Nothing };
        match line.write(frame, until).await {
            Ok(()) => self.hear(node).await,
            Err(error) => self.lose(node, &error),
        }
    }

    async fn hear(&mut self, node: u8) -> Heard<ReplyOf<S>> {
        let until = self.until();
        let Some(line) = self.lines.get_mut(&node) else {
            sleep_until(until).await;
            return Heard::Nothing;
        };
        match line.reply(until).await {
            Ok(reply) => reply.map_or(Heard::Nothing, Heard::Reply),
            Err(error) => self.lose(node, &error),
        }
    }

    fn lose<T>(&mut self, node: u8, error: &frame::Error) -> Heard<T> {
        self.lines.remove(&node);
        Heard::Lost(Trouble::lost(error))
    }
}

/// Asks one node how it is, whether it leads or not.
///
/// # Errors
/// [`Failure`].
pub async fn status(address: &str, group: GroupId, within: Duration) -> Result<Status, Failure> {
    status_in(ask_node(address, group, within, Ask::Status).await?)
}

/// Asks one node something that is the same whatever the group replicates.
async fn ask_node(
    address: &str,
    group: GroupId,
    within: Duration,
    ask: Ask<(), ()>,
) -> Result<ReplyBody<(), ()>, Failure> {
    let until = Instant::now().checked_add(within);
    let until = until.ok_or_else(|| Failure::Refused("the timeout is too long".to_owned()))?;
    let heard = async {
        let (mut line, _) = Line::open(address, group, until).await.map_err(Heard::NotReached)?;
        let lost = |error| Heard::Lost(Trouble::lost(&error));
        line.write(&request(group, ask).map_err(lost)?, until).await.map_err(lost)?;
        line.reply(until).await.map_err(lost)?.map(Heard::Reply).ok_or(Heard::Nothing)
    };
    answer_to(heard.await.unwrap_or_else(|heard| heard), address, within)
}
