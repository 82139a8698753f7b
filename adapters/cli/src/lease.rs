//! `quorate lease`: take, keep, give back, list and watch leases.

use crate::arguments::{Group, Lease as Ask};
use crate::output::{Waiting, plain, show, show_json, spoken, table, tell};
use crate::verdict::{Failure, Verdict};
use quorate::hlc::Stamp;
use quorate::id::{GroupId, Index};
use quorate::lease::{Change, Command, Event, Name, Response, Table, Token};
use quorate::time::Span;
use quorate_host::lease::{Answer, Lease, Query};
use quorate_std::client::Client;
use serde::Serialize;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// How often a watch asks: often enough for people, seldom enough not to be noticed by the group.
const POLL: Duration = Duration::from_millis(100);

pub(crate) fn run(ask: Ask) -> Verdict {
    match ask {
        Ask::Acquire { scope, holder, duration, group, json } => {
            acquire(&mut Asking::new(&group)?, (scope, holder), duration, json)
        }
        Ask::Renew { scope, token, group, json } => {
            renew(&mut Asking::new(&group)?, scope, Token::new(Index::new(token)), json)
        }
        Ask::Release { scope, token, group, json } => {
            release(&mut Asking::new(&group)?, scope, Token::new(Index::new(token)), json)
        }
        Ask::List { prefix, group, json } => list(&mut Asking::new(&group)?, prefix, json),
        Ask::Watch { after, for_events, group, json } => {
            watch(&mut Asking::new(&group)?, Index::new(after), for_events, json)
        }
    }
}

/// A client that shows on a terminal that it waits, and fails in the words of this program.
struct Asking {
    client: Client<Table>,
}

impl Asking {
    fn new(group: &Group) -> Result<Self, Failure> {
        let number = GroupId::new(group.number);
        let client = Client::new(&group.nodes, number, group.timeout);
        Ok(Self { client: client.map_err(|error| Failure::Usage(error.to_string()))? })
    }

    fn command(&mut self, command: Command) -> Result<Response, Failure> {
        let _waiting = Waiting::show("waiting for the leader");
        self.client.command(command).map_err(Failure::from)
    }

    fn query(&mut self, query: Query) -> Result<Answer, Failure> {
        let _waiting = Waiting::show("waiting for the leader");
        self.client.query(query).map_err(Failure::from)
    }
}

fn acquire(
    asking: &mut Asking,
    (scope, holder): (Name, Name),
    duration: Duration,
    json: bool,
) -> Verdict {
    // The holder counts from before it asked: when the group granted it, it cannot know.
    let asked = Instant::now();
    let command = Command::Acquire { scope, holder, duration: Span::from(duration) };
    match asking.command(command)? {
        Response::Granted { token, duration, .. } => {
            let left = Duration::from(duration).saturating_sub(asked.elapsed());
            show_held(scope, holder, token, left, json)
        }
        other => Err(refusal(scope, None, &other)),
    }
}

fn renew(asking: &mut Asking, scope: Name, token: Token, json: bool) -> Verdict {
    let asked = Instant::now();
    let duration = match asking.command(Command::Renew { scope, token })? {
        Response::Granted { duration, .. } => Duration::from(duration),
        other => return Err(refusal(scope, Some(token), &other)),
    };
    // The table knows the holder's name, which the answer to a renewal does not tell again.
    match asking.query(Query::One { scope })? {
        Answer::Lease(Some(lease)) if lease.token == token => {
            let left = duration.saturating_sub(asked.elapsed());
            show_held(scope, lease.holder, token, left, json)
        }
        _ => Err(refusal(scope, Some(token), &Response::NotHeld)),
    }
}

fn release(asking: &mut Asking, scope: Name, token: Token, json: bool) -> Verdict {
    match asking.command(Command::Release { scope, token })? {
        Response::Released if json => show_json(&Released { scope, token, released: true }),
        Response::Released => show(&format!("{} is released", plain(scope.as_str()))),
        other => Err(refusal(scope, Some(token), &other)),
    }
}

fn list(asking: &mut Asking, prefix: String, json: bool) -> Verdict {
    let Answer::Leases(leases) = asking.query(Query::List { prefix })? else {
        return Err(nonsense());
    };
    if json {
        return leases.iter().try_for_each(|lease| {
            let Lease { scope, holder, token, expires_at, .. } = *lease;
            show_json(&Object { scope, holder, token, expires_in_ms: ms(time_until(expires_at)) })
        });
    }
    if !leases.is_empty() {
        let rows: Vec<_> = leases.iter().map(row).collect();
        let head = ["SCOPE", "HOLDER", "TOKEN", "EXPIRES IN"];
        table(&head, &rows).iter().try_for_each(|line| show(line))?;
    }
    show(&match leases.len() {
        1 => "1 lease".to_owned(),
        count => format!("{count} leases"),
    })
}

/// Asks again and again for what has happened since. That is how a watch outlives the leader.
fn watch(asking: &mut Asking, after: Index, for_events: Option<u64>, json: bool) -> Verdict {
    let (mut heard, mut left) = (after, for_events);
    while left != Some(0) {
        match asking.query(Query::Watch { after: heard })? {
            Answer::Events(events) => {
                for event in events {
                    if left == Some(0) {
                        break;
                    }
                    show_event(&event, json)?;
                    heard = event.index;
                    left = left.map(|left| left.saturating_sub(1));
                }
            }
            Answer::Forgotten(compacted) => {
                heard = compacted.floor;
                if json {
                    show_json(&Forgotten { event: "forgotten", up_to: heard })?;
                }
                tell(&format!("{compacted}, the watch goes on from there"));
            }
            Answer::Leases(_) | Answer::Lease(_) => return Err(nonsense()),
        }
        if left != Some(0) {
            thread::sleep(POLL);
        }
    }
    Ok(())
}

/// Why the table said no, and what to do.
fn refusal(scope: Name, token: Option<Token>, response: &Response) -> Failure {
    let scope = plain(scope.as_str());
    let token = token.map_or_else(String::new, |token| format!(" with token {token}"));
    Failure::Refused(match response {
        Response::Held { holder, token, expires_at } => {
            let (holder, left) = (plain(holder.as_str()), spoken(time_until(*expires_at)));
            format!(
                "{scope} is held by {holder} with token {token} for another {left}; \
                 wait until it is released or has run out"
            )
        }
        Response::Expired { free_at } => format!(
            "the lease of {scope}{token} has run out; acquire it again in {}",
            spoken(time_until(*free_at))
        ),
        Response::NotHeld => format!("there is no lease of {scope}{token}; acquire it again"),
        Response::Full => "the table of leases is full; release some and ask again".to_owned(),
        Response::BadDuration { least, most } => format!(
            "a lease cannot last that long; ask for {} to {}",
            spoken(Duration::from(*least)),
            spoken(Duration::from(*most))
        ),
        Response::Granted { .. } | Response::Released | Response::Swept { .. } => {
            return nonsense();
        }
    })
}

fn nonsense() -> Failure {
    let line = "the group answered something else; use the program of its version";
    Failure::Refused(line.to_owned())
}

/// The time until a stamp, by this computer's clock: an estimate, to be shown and not to be
/// relied on.
fn time_until(stamp: Stamp) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(stamp.millis()).saturating_sub(now)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A lease as `--json` prints it.
#[derive(Serialize)]
struct Object {
    scope: Name,
    holder: Name,
    token: Token,
    expires_in_ms: u64,
}

/// A lease that was given back, as `--json` prints it.
#[derive(Serialize)]
struct Released {
    scope: Name,
    token: Token,
    released: bool,
}

/// An event, as `--json` prints it.
#[derive(Serialize)]
struct Happened {
    index: Index,
    event: &'static str,
    scope: Name,
    holder: Name,
    token: Token,
}

/// The gap in a watch, as `--json` prints it: who keeps a picture of the table lists it anew.
#[derive(Serialize)]
struct Forgotten {
    event: &'static str,
    up_to: Index,
}

fn show_held(scope: Name, holder: Name, token: Token, left: Duration, json: bool) -> Verdict {
    if json {
        return show_json(&Object { scope, holder, token, expires_in_ms: ms(left) });
    }
    let (scope, holder) = (plain(scope.as_str()), plain(holder.as_str()));
    show(&format!("{scope} is held by {holder} with token {token} for {}", spoken(left)))
}

fn row(lease: &Lease) -> Vec<String> {
    let (scope, holder) = (plain(lease.scope.as_str()), plain(lease.holder.as_str()));
    vec![scope, holder, lease.token.to_string(), spoken(time_until(lease.expires_at))]
}

fn show_event(event: &Event, json: bool) -> Verdict {
    let what = match event.change {
        Change::Granted => "granted",
        Change::Renewed => "renewed",
        Change::Released => "released",
        Change::Expired => "expired",
    };
    let Event { index, scope, token, holder, .. } = *event;
    if json {
        return show_json(&Happened { index, event: what, scope, holder, token });
    }
    let (scope, holder) = (plain(scope.as_str()), plain(holder.as_str()));
    show(&format!("{index}  {what}  {scope}  {holder}  token {token}"))
}
