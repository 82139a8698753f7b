//! What is asked of a group about itself: how its nodes are, who its members are, to join and to leave.

use crate::stream::Line;
use quorate::id::GroupId;
use quorate_host::asking::{Failure, Heard, Trouble, answer_to, request, status_in};
use quorate_host::config::Config;
use quorate_host::errand::{Errand, Next};
use quorate_host::joining::{Joining, NotJoined};
use quorate_host::protocol::{Ask, ReplyBody, Status};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

/// Asks one node how it is, whether it leads or not.
///
/// # Errors
/// [`Failure`].
pub async fn status(address: &str, group: GroupId, within: Duration) -> Result<Status, Failure> {
    status_in(ask_node(address, group, within, Ask::Status).await?)
}

/// Gets a node a seat in a group of which some nodes are known, unless it has one. It must have one before
/// it is [started](crate::Node::start), if it is none of the founders. To drop this before it is ready does
/// no harm: a node that asks again is given the same seat.
///
/// # Errors
/// [`NotJoined`].
pub async fn join(config: &Config, nodes: &[String], within: Duration) -> Result<(), NotJoined> {
    let config = config.clone();
    let Some(joining) = on_disk(within, move || Joining::open(&config)).await? else {
        return Ok(());
    };
    let answer = run(joining.errand(nodes, within), joining.group()).await?;
    on_disk(within, || joining.settle(answer)).await.map(drop)
}

async fn on_disk<T: Send + 'static>(
    within: Duration,
    does: impl FnOnce() -> Result<T, NotJoined> + Send + 'static,
) -> Result<T, NotJoined> {
    // The runtime ends, and nobody tells what came of it.
    spawn_blocking(does).await.unwrap_or_else(|_| Err(Failure::Unknown { within }.into()))
}

/// Asks one node after the other, as the errand says.
pub(crate) async fn run(mut errand: Errand, group: GroupId) -> Result<ReplyBody<(), ()>, Failure> {
    let began = Instant::now();
    loop {
        match errand.next(began.elapsed()) {
            Next::Ask { address, ask, within } => {
                errand.hear(ask_node(&address, group, within, ask).await);
            }
            Next::Wait(pause) => sleep(pause).await,
            Next::Done(outcome) => return outcome,
        }
    }
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
