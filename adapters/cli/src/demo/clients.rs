//! Clients that want the same few leases, and write down what they saw.

use super::ledger::{Held, Ledger};
use super::nodes::GROUP;
use quorate::lease::{Command, Name, Response, Table, Token, holder};
use quorate::time::Span;
use quorate_host::lease::{Answer, Query};
use quorate_std::client::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How many clients there are, and how many leases they want.
const CLIENTS: usize = 4;
const SCOPES: usize = 3;
/// How long a contested lease lasts.
const FOR: Span = Span::millis(1_500);
/// How long a lease that is never given back lasts.
const FOR_GOOD: Span = Span::secs(24 * 3_600);
/// How long a client waits for an answer in all.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the names of leases that are never given back begin with.
const KEPT: &str = "kept/";

/// The clients at work.
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Ledger>>,
}

impl Clients {
    /// Starts them all.
    pub(super) fn start(start: Instant, addresses: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let threads = (0..CLIENTS)
            .filter_map(|number| {
                let client = Client::new(addresses, GROUP, PATIENCE).ok()?;
                let mut contender = Contender {
                    number,
                    start,
                    client,
                    stop: Arc::clone(&stop),
                    answered: Arc::clone(&answered),
                    ledger: Ledger::default(),
                };
                Some(thread::spawn(move || {
                    contender.contend();
                    contender.ledger
                }))
            })
            .collect();
        Self { stop, answered, threads }
    }

    /// How many requests have taken effect and were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }

    /// Lets them finish, and gathers what they saw.
    pub(super) fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Ledger::default();
        self.threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .for_each(|one| all.add(one));
        all
    }
}

/// One client.
struct Contender {
    number: usize,
    start: Instant,
    client: Client<Table>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    ledger: Ledger,
}

/// The end of a lease as its holder must see it: from when it was asked for, less what its clock
/// may lose, less the margin that the table's guard leaves to it.
fn believed_until(asked: Duration, lasts: Span) -> Duration {
    asked + Duration::from(holder::Config::default().usable(lasts))
}

impl Contender {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn contend(&mut self) {
        let mut round = self.number;
        while !self.stop.load(Ordering::SeqCst) {
            round += 1;
            if round.is_multiple_of(4) {
                self.keep(round);
            }
            self.hold_for_a_while(round);
        }
    }

    /// Sends a command and notes that it was answered.
    fn ask(&mut self, command: Command) -> Option<Response> {
        match self.client.command(command) {
            Ok(response) => {
                self.answered.fetch_add(1, Ordering::SeqCst);
                self.ledger.answered.push(self.now());
                Some(response)
            }
            Err(_) => {
                self.ledger.unanswered += 1;
                None
            }
        }
    }

    fn holder(&self) -> Name {
        name(&format!("client-{}", self.number + 1))
    }

    /// Takes a lease that nobody else wants and never gives it back.
    fn keep(&mut self, round: usize) {
        let scope = format!("{KEPT}{}/{round}", self.number);
        let command =
            Command::Acquire { scope: name(&scope), holder: self.holder(), duration: FOR_GOOD };
        if let Some(Response::Granted { token, .. }) = self.ask(command) {
            self.ledger.kept.push((scope, token.index().number()));
        }
    }

    /// Tries for a lease that others want; if it gets it, renews it, then gives it back or lets it
    /// run out.
    fn hold_for_a_while(&mut self, round: usize) {
        let scope = format!("contested-{}", round % SCOPES);
        let asked = self.now();
        let command =
            Command::Acquire { scope: name(&scope), holder: self.holder(), duration: FOR };
        let token = match self.ask(command) {
            Some(Response::Granted { token, .. }) => token,
            Some(_) => {
                self.ledger.refused += 1;
                thread::sleep(Duration::from_millis(30));
                return;
            }
            None => return,
        };
        let mut held = Held {
            scope: scope.clone(),
            holder: format!("client-{}", self.number + 1),
            token: token.index().number(),
            asked,
            from: self.now(),
            until: believed_until(asked, FOR),
        };
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(60));
            if self.now() >= held.until || !self.renew(&scope, token, &mut held) {
                break;
            }
        }
        if self.now() < held.until && !round.is_multiple_of(7) {
            held.until = self.now();
            let released = self.ask(Command::Release { scope: name(&scope), token });
            self.ledger.releases += u64::from(released.is_some());
        }
        self.ledger.held.push(held);
    }

    /// Renews a lease, and looks whether what was acknowledged is there.
    fn renew(&mut self, scope: &str, token: Token, held: &mut Held) -> bool {
        let asked = self.now();
        let answer = self.ask(Command::Renew { scope: name(scope), token });
        let Some(Response::Granted { .. }) = answer else { return false };
        // An answer that comes when the lease has run out by the holder's clock is too late.
        if self.now() >= held.until {
            return false;
        }
        held.until = believed_until(asked, FOR);
        self.ledger.renewals += 1;
        if let Ok(Answer::Lease(found)) = self.client.query(Query::One { scope: name(scope) })
            && self.now() < held.until
            && found.is_none_or(|found| found.token != token)
        {
            self.ledger.lost.push(format!("{scope} with token {}", token.index().number()));
        }
        true
    }
}

/// The leases that are never given back, as a linearizable read shows them.
pub(super) fn kept_leases(addresses: &[String]) -> Result<Vec<(String, u64)>, String> {
    let mut client =
        Client::<Table>::new(addresses, GROUP, PATIENCE).map_err(|error| error.to_string())?;
    match client.query(Query::List { prefix: KEPT.to_owned() }) {
        Ok(Answer::Leases(leases)) => Ok(leases
            .into_iter()
            .map(|lease| (lease.scope.to_string(), lease.token.index().number()))
            .collect()),
        Ok(_) => Err("a list was answered with something else".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("the demo's own names are short enough")
}
