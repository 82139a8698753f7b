//! Leases, held and watched. [`Holder`] decides until when one may be used and when it is renewed; a
//! task does what it says for as long as the [`Lease`] is there.

use crate::handle::Handle;
use quorate::Machine;
use quorate::id::Index;
use quorate::lease::holder::{Config, Holder, Input, Output, Request};
use quorate::lease::{Command, Name, Response, Table, Token};
use quorate::time::{Instant, Span};
use quorate_host::asking::Failure;
use quorate_host::lease::{Following, NotHeld, Watched};
use quorate_host::life::Wakeful;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::select;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until};

/// How often a watch asks: often enough for people, seldom enough not to be noticed by the group.
const POLL: Duration = Duration::from_millis(100);

/// A lease that is held, and renewed until it is lost. To drop it is to give it back without looking on.
#[derive(Debug)]
pub struct Lease {
    token: Token,
    until: watch::Receiver<Option<Instant>>,
    clock: Arc<Wakeful>,
    keeping: JoinHandle<Result<(), NotHeld>>,
}

impl Lease {
    /// The name of the grant; show it to the resource's [`Fence`](quorate::lease::Fence).
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// For how long it may be used as things stand; zero once it is lost. Look before each use.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.borrow().map_or(Duration::ZERO, |until| self.clock.left(until))
    }

    /// Waits until it is lost.
    pub async fn lost(&mut self) {
        let _ = self.until.wait_for(Option::is_none).await;
    }

    /// Gives it back, and waits until that is done.
    ///
    /// # Errors
    /// [`NotHeld`], if it was lost before, or if nobody answers: then it runs out.
    pub async fn release(self) -> Result<(), NotHeld> {
        drop(self.until);
        self.keeping.await.unwrap_or(Err(NotHeld::TooLate))
    }
}

impl Handle<Table> {
    /// Takes a lease for a time, if nobody has it, and keeps it. Dropped before it is ready, it takes
    /// none: one that is granted then is given back.
    ///
    /// # Errors
    /// [`NotHeld`].
    pub async fn lease(
        &self,
        scope: Name,
        holder: Name,
        duration: Duration,
    ) -> Result<Lease, NotHeld> {
        let (granted, grant) = oneshot::channel();
        let clock = Arc::new(Wakeful::default());
        let keeper = Keeper { handle: self.clone(), scope, clock: Arc::clone(&clock) };
        let acquire = Command::Acquire { scope, holder, duration: Span::from(duration) };
        let keeping = tokio::spawn(keeper.keep(acquire, granted));
        match grant.await {
            Ok((token, until)) => Ok(Lease { token, until, clock, keeping }),
            // It has ended, and knows why.
            Err(_) => Err(keeping
                .await
                .map_or(NotHeld::TooLate, |kept| kept.err().unwrap_or(NotHeld::TooLate))),
        }
    }

    /// What happens to leases after an entry of the log: [`Index::ZERO`] for all that is remembered.
    #[must_use]
    pub fn watch(&self, after: Index) -> Watch {
        Watch { handle: self.clone(), following: Following::new(after) }
    }
}

/// What a [`Lease`] is told once it is granted.
type Grant = (Token, watch::Receiver<Option<Instant>>);

/// What keeps a lease.
struct Keeper {
    handle: Handle<Table>,
    scope: Name,
    clock: Arc<Wakeful>,
}

impl Keeper {
    async fn keep(self, acquire: Command, granted: oneshot::Sender<Grant>) -> Result<(), NotHeld> {
        let mut machine = Holder::new(Config::default());
        let Some(Output::AcquireNow { request }) = self.step(&mut machine, Input::Acquire).pop()
        else {
            return Err(NotHeld::TooLate);
        };
        let (token, duration) = match self.handle.propose(acquire).await {
            Ok(Response::Granted { token, duration, .. }) => (token, duration),
            Ok(response) => return Err(NotHeld::Said(response)),
            Err(failure) => return Err(NotHeld::Failed(failure)),
        };
        self.step(&mut machine, Input::Granted { request, token, duration });
        let (held, until) = watch::channel(machine.held().map(|(_, until)| until));
        let is_wanted = machine.held().is_some() && granted.send((token, until)).is_ok();
        if is_wanted {
            self.renew(&mut machine, token, &held).await;
        }
        let is_lost = machine.held().is_none();
        held.send_replace(None);
        // One that was lost is given back too, so that nobody waits until it runs out in the table.
        let released = self.handle.propose(Command::Release { scope: self.scope, token }).await;
        match released {
            Ok(Response::Released) if !is_lost => Ok(()),
            Ok(Response::Released) => Err(NotHeld::TooLate),
            Ok(response) => Err(NotHeld::Said(response)),
            Err(failure) => Err(NotHeld::Failed(failure)),
        }
    }

    /// Renews it until it is lost, or nobody wants it any more.
    async fn renew(
        &self,
        machine: &mut Holder,
        token: Token,
        held: &watch::Sender<Option<Instant>>,
    ) {
        let renew = || Box::pin(self.handle.propose(Command::Renew { scope: self.scope, token }));
        let mut renewal = None;
        while let Some(deadline) = machine.deadline() {
            let wait = tokio::time::Instant::now() + self.clock.left(deadline);
            let input = select! {
                () = held.closed() => return,
                () = sleep_until(wait) => Input::Tick,
                (request, said) = said(&mut renewal) => {
                    renewal = None;
                    match said {
                        Ok(Response::Granted { token, duration, .. }) => {
                            Input::Granted { request, token, duration }
                        }
                        Ok(_) => Input::NotHeld { token },
                        Err(_) => Input::Tick, // The machine says when to try again.
                    }
                }
            };
            for output in self.step(machine, input) {
                match output {
                    // What is under way is still being asked, by a session that does not give up soon.
                    Output::RenewNow { request, .. } if renewal.is_none() => {
                        renewal = Some((request, renew()));
                    }
                    Output::Held { until, .. } => {
                        held.send_replace(Some(until));
                    }
                    _ => {}
                }
            }
        }
    }

    fn step(&self, machine: &mut Holder, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        // It refuses only to acquire what it holds.
        let _ = machine.step(self.clock.now(), input, &mut outputs);
        outputs
    }
}

/// What a renewal that is under way comes to, and which it was.
async fn said<F: Future + Unpin>(renewal: &mut Option<(Request, F)>) -> (Request, F::Output) {
    match renewal {
        Some((request, said)) => (*request, said.await),
        None => pending().await,
    }
}

/// Follows what happens to leases, over every change of the leader. It asks again and again.
#[derive(Debug)]
pub struct Watch {
    handle: Handle<Table>,
    following: Following,
}

impl Watch {
    /// The next that happens, or has happened. Dropped before it is ready, it has lost nothing.
    ///
    /// # Errors
    /// [`Failure`], and it can be asked again.
    pub async fn next(&mut self) -> Result<Watched, Failure> {
        loop {
            if let Some(watched) = self.following.pop() {
                return Ok(watched);
            }
            if !self.following.hear(self.handle.read(self.following.query()).await?)? {
                sleep(POLL).await;
            }
        }
    }
}
