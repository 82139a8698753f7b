//! What the simulated group replicates: leases, as shipped, and registers whose history can be
//! checked against every order that real time permits.

use quorate::codec::{Codec, Malformed, NoRoom, Sink};
use quorate::hlc::Stamp;
use quorate::lease::{self, Name, Table};
use quorate::limits::Limits;
use quorate::{Position, StateMachine};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Leases and registers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Vault {
    /// The leases.
    pub leases: Table,
    /// The registers that were ever written.
    pub registers: BTreeMap<u8, u64>,
}

/// What clients ask for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Something of a lease.
    Lease(lease::Command),
    /// Let a register hold a value.
    Write(u8, u64),
    /// Mix a value into a register: what comes of it depends on all that was there before.
    Append(u8, u64),
    /// Let a register hold the second value if it holds the first.
    Cas(u8, u64, u64),
}

/// What they are told.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Response {
    /// Of a lease.
    Lease(lease::Response),
    /// Of a register: whether it took the value.
    Taken(bool),
}

/// What can be asked without changing anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Query {
    /// What a register holds.
    Register(u8),
    /// Who holds a scope.
    Lease(Name),
}

/// What a query is answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Found {
    /// What the register holds; zero if it was never written.
    Register(u64),
    /// Whether somebody held the scope when the newest entry was made.
    Lease(bool),
}

/// What appending comes to.
pub const fn append(held: u64, value: u64) -> u64 {
    (held.rotate_left(9) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Vault {
    /// An empty one. Guard and grace are short, so that leases come and go within a run.
    pub fn new(limits: Limits) -> Self {
        Self { leases: Table::new(LEASES, limits), registers: BTreeMap::new() }
    }

    /// Answers a query from this state.
    pub fn find(&self, query: &Query) -> Found {
        match query {
            Query::Register(key) => Found::Register(self.register(*key)),
            Query::Lease(scope) => {
                let is_live = |lease: &lease::Lease| lease.is_live(self.leases.now());
                Found::Lease(self.leases.lease(scope).is_some_and(is_live))
            }
        }
    }

    fn register(&self, key: u8) -> u64 {
        self.registers.get(&key).copied().unwrap_or(0)
    }
}

/// How the simulated lease table is set up.
pub const LEASES: lease::Config = lease::Config {
    guard: quorate::time::Span::millis(500),
    grace: quorate::time::Span::millis(400),
    max_grace: quorate::time::Span::millis(2_000),
    least: quorate::time::Span::millis(100),
    most: quorate::time::Span::millis(60_000),
    sweep: 3,
};

impl StateMachine for Vault {
    type Command = Command;
    type Response = Response;

    fn apply(&mut self, at: Position, command: &Command) -> Response {
        match *command {
            Command::Lease(command) => Response::Lease(self.leases.apply(at, &command)),
            Command::Write(key, value) => {
                self.registers.insert(key, value);
                Response::Taken(true)
            }
            Command::Append(key, value) => {
                let held = self.register(key);
                self.registers.insert(key, append(held, value));
                Response::Taken(true)
            }
            Command::Cas(key, old, new) => {
                let is_old = self.register(key) == old;
                if is_old {
                    self.registers.insert(key, new);
                }
                Response::Taken(is_old)
            }
        }
    }

    fn leader_changed(&mut self, at: Position) {
        self.leases.leader_changed(at);
    }

    fn due(&self) -> Option<(Stamp, Command)> {
        self.leases.due().map(|(stamp, command)| (stamp, Command::Lease(command)))
    }

    fn snapshot<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        u32::try_from(self.registers.len()).map_err(|_| NoRoom)?.encode(sink)?;
        for (key, value) in &self.registers {
            key.encode(sink)?;
            value.encode(sink)?;
        }
        self.leases.snapshot(sink)
    }

    fn restore(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        let bytes = &mut bytes;
        let mut registers = BTreeMap::new();
        for _ in 0..u32::decode(bytes)? {
            registers.insert(u8::decode(bytes)?, u64::decode(bytes)?);
        }
        self.leases.restore(bytes)?;
        self.registers = registers;
        Ok(())
    }
}

impl Codec for Response {
    fn encode<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        match self {
            Self::Lease(response) => {
                0_u8.encode(sink)?;
                response.encode(sink)
            }
            Self::Taken(taken) => {
                1_u8.encode(sink)?;
                u8::from(*taken).encode(sink)
            }
        }
    }
    fn decode(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::decode(bytes)? {
            0 => lease::Response::decode(bytes).map(Self::Lease),
            1 => u8::decode(bytes).map(|taken| Self::Taken(taken != 0)),
            _ => Err(Malformed),
        }
    }
}
