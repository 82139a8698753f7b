//! The configuration of a member of a Byzantine group: who belongs to it, by key, and where each is.

use crate::config::advise;
use crate::signing::{PublicKey, Roll, RollError};
use quorate::id::{ClientId, GroupId, Members, Slot};
use quorate::pbft::{self, Scope, Tolerance};
use quorate::quorum;
use quorate::time::Span;
use serde::Deserialize;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

/// How a member is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// This member.
    pub me: Slot,
    /// Where it listens.
    pub listen: String,
    /// Its data folder, with its key in it.
    pub data: PathBuf,
    /// The group.
    pub group: GroupId,
    /// The members, and where each is reached.
    pub members: Vec<Member>,
    /// The clients, by their keys.
    pub clients: Vec<Client>,
    /// How long a request may wait.
    pub timeout: Span,
    /// How many positions a primary works on at one time.
    pub depth: u32,
    /// How many positions are worked on above the stable checkpoint, the same for all members; a
    /// checkpoint follows after each quarter of it.
    pub window: u32,
}

/// A member.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its slot.
    pub slot: u8,
    /// Where it is reached.
    pub address: String,
    /// Its public key, 64 hexadecimal digits.
    pub key: String,
}

/// A client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its name.
    pub id: u64,
    /// Its public key, 64 hexadecimal digits.
    pub key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: Node,
    #[serde(default)]
    group: Group,
    member: Vec<Member>,
    #[serde(default)]
    client: Vec<Client>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    slot: u8,
    listen: String,
    data: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Group {
    id: u64,
    request_timeout_ms: u64,
    depth: u32,
    window: u32,
}

impl Default for Group {
    fn default() -> Self {
        Self { id: 1, request_timeout_ms: 1_000, depth: 8, window: 256 }
    }
}

/// What is wrong with a configuration file, in one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads a configuration file; paths in it are relative to the folder that it is in.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, folder)
            .map_err(|error| ConfigError(format!("{}: {error}", path.display())))
    }

    /// The same, of a text.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count().saturating_add(1);
            ConfigError(format!("line {line}: {}", advise(error.message())))
        })?;
        let config = Self {
            me: Slot::new(file.node.slot),
            listen: file.node.listen,
            data: folder.join(file.node.data),
            group: GroupId::new(file.group.id),
            members: file.member,
            clients: file.client,
            timeout: Span::millis(file.group.request_timeout_ms),
            depth: file.group.depth,
            window: file.group.window,
        };
        let slots = config.slots();
        if slots.len() != config.members.len() {
            return Err(ConfigError(
                "two members have one slot, or one is beyond 31; give each its own".to_owned(),
            ));
        }
        if !slots.contains(config.me) {
            return Err(ConfigError(format!(
                "slot {} is no member's; list this node too",
                config.me
            )));
        }
        if quorum::liars(slots.len()) == 0 {
            return Err(ConfigError(format!(
                "{} members tolerate no liar: a Byzantine group has at least four",
                slots.len()
            )));
        }
        config.check_keys()?;
        config.machine(0).check().map_err(|error| ConfigError(error.to_string()))?;
        Ok(config)
    }

    /// Says whose key is none.
    fn check_keys(&self) -> Result<(), ConfigError> {
        let members = self.members.iter().map(|it| (format!("member {}", it.slot), &it.key));
        let clients = self.clients.iter().map(|it| (format!("client {}", it.id), &it.key));
        for (whose, key) in members.chain(clients) {
            let wrong = |error: &dyn fmt::Display| ConfigError(format!("{whose}: {error}"));
            let key = key.parse::<PublicKey>().map_err(|error| wrong(&error))?;
            Roll::new(&[(Slot::new(0), key)]).map_err(|error| wrong(&error))?;
        }
        let mut names: Vec<_> = self.clients.iter().map(|it| it.id).collect();
        names.sort_unstable();
        let pairs = names.iter().zip(names.iter().skip(1));
        if let Some((first, _)) = pairs.into_iter().find(|(first, second)| first == second) {
            return Err(ConfigError(format!("client {first} is listed twice; remove one")));
        }
        self.roll().map(drop).map_err(|error| ConfigError(error.to_string()))
    }

    fn slots(&self) -> Members {
        self.members.iter().map(|it| Slot::new(it.slot)).collect()
    }

    /// Everybody's keys.
    ///
    /// # Errors
    /// [`RollError`] if one is no key, or two are the same.
    pub fn roll(&self) -> Result<Roll, RollError> {
        let key = |text: &str| text.parse::<PublicKey>().unwrap_or(PublicKey::new([0; 32]));
        let members: Vec<_> =
            self.members.iter().map(|it| (Slot::new(it.slot), key(&it.key))).collect();
        let roll = Roll::new(&members)?;
        self.clients.iter().try_fold(roll, |roll, client| {
            roll.with_client(ClientId::new(client.id), key(&client.key))
        })
    }

    /// What signatures are bound to.
    #[must_use]
    pub fn scope(&self, roll: &Roll) -> Scope {
        roll.scope(self.group, 1, 0)
    }

    /// The machine's configuration, in its life of this number.
    #[must_use]
    pub fn machine(&self, boot: u64) -> pbft::Config {
        let mut machine = pbft::Config::lan(self.me, self.slots(), boot);
        machine.tolerance = Tolerance::Liars;
        machine.timeout = self.timeout;
        machine.resend = self.timeout.divided(10);
        (machine.slots, machine.interval) = (self.window, self.window / 4);
        machine
    }

    /// Where a member is reached.
    #[must_use]
    pub fn address(&self, slot: Slot) -> Option<&str> {
        let it = self.members.iter().find(|it| it.slot == slot.number());
        it.map(|it| it.address.as_str())
    }

    /// A number that nobody outside can guess.
    pub(super) fn salt(&self) -> u64 {
        RandomState::new().build_hasher().finish()
    }
}
