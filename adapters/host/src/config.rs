//! A node's configuration file.
//!
//! ```toml
//! [node]
//! id = 1
//! listen = "127.0.0.1:7001"
//! data = "data/1"              # from the folder that this file is in
//!
//! [[member]]
//! id = 1
//! address = "127.0.0.1:7001"
//!
//! [consensus_group]            # all of it may be left out
//! id = 1                       # default 1
//! replication_factor = 1       # how many are to vote; default: as many as there are members
//! heartbeat_timeout_ms = 150   # or: preset = "lan" (150, the default) or "wan" (1000)
//! ```
//!
//! One port serves members and clients. If others reach the node elsewhere than where it listens, it says
//! so: `advertise = "HOST:PORT"`, in `[node]`.
//!
//! The members are those who found the group, and the same in the files of all of them, in any order: slots
//! are given by rising id. A node that joins a group later names none, and is told what the group goes by;
//! or names some, itself among them, if it reaches them elsewhere than they say.
//!
//! Whatever is wrong is refused before anything is started, with one line that names the place and
//! says what to do.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use quorate::id::Members;
use serde::Deserialize;
use std::fmt;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The heartbeat timeout within one site, in milliseconds.
pub const LAN_MS: u64 = 150;
/// The heartbeat timeout between sites, in milliseconds.
pub const WAN_MS: u64 = 1_000;
/// The timeouts that make sense: below, the scheduler's jitter looks like a dead node; above, a
/// number of another unit was meant.
pub const TIMEOUTS_MS: Range<u64> = 20..60_001;

/// The longest file that is read.
const LONGEST: u64 = 1 << 20;

/// What a node must know to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub node: NodeConfig,
    /// Every founder of the group, in the order of the file; none if the node joins it.
    pub members: Vec<Member>,
    /// The group.
    pub group: GroupConfig,
}

/// One node's own part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's number: above zero, and one of the members', if there are any.
    pub id: u64,
    /// Where it listens, as `HOST:PORT`.
    pub listen: String,
    /// Where others reach it, if that is elsewhere.
    pub advertise: Option<String>,
    /// Its data folder.
    pub data: PathBuf,
}

/// A member of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its node's number.
    pub id: u64,
    /// Where members and clients reach it, as `HOST:PORT`.
    pub address: String,
}

/// The group's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// The group's number, carried by every frame.
    pub id: u64,
    /// How many members are to vote. A node that joins may leave this to be told.
    pub replication_factor: Option<u32>,
    /// How long a leader may be silent before another is elected; likewise.
    pub heartbeat_timeout_ms: Option<u64>,
}

/// Why a configuration was not taken: `FILE:LINE: what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file.
    pub file: String,
    /// The line, unless the file could not be read at all.
    pub line: Option<usize>,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl std::error::Error for Error {}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// One line that says where and what is wrong, and what to do.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let file = path.display().to_string();
        let whole = |what: String| Error { file: file.clone(), line: None, what };
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(path);
        opened.and_then(|f| f.take(LONGEST).read_to_end(&mut bytes)).map_err(|error| {
            whole(format!("cannot be read ({error}); give the path of a configuration file"))
        })?;
        if bytes.len() as u64 == LONGEST {
            return Err(whole(format!("is longer than {LONGEST} bytes; give a TOML file")));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.as_bytes().get(..error.utf8_error().valid_up_to());
            let line = line_of_bytes(good.unwrap_or_default());
            let what = "is not UTF-8 text; give a TOML file".to_owned();
            Error { file: file.clone(), line: Some(line), what }
        })?;
        Self::parse(&file, &text, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads a configuration from `text`. `file` is what errors call it, and `folder` is where a
    /// relative data folder is.
    ///
    /// # Errors
    /// As [`load`](Config::load).
    pub fn parse(file: &str, text: &str, folder: &Path) -> Result<Self, Error> {
        read(text, folder).map_err(|wrong| Error {
            file: file.to_owned(),
            line: Some(line_of_bytes(text.as_bytes().get(..wrong.at).unwrap_or(text.as_bytes()))),
            what: wrong.what,
        })
    }

    /// The members' numbers, rising: a number's place here is the member's slot.
    #[must_use]
    pub fn member_ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.members.iter().map(|member| member.id).collect();
        ids.sort_unstable();
        ids
    }
}

/// The line that comes after so many bytes, counted from one.
fn line_of_bytes(before: &[u8]) -> usize {
    before.iter().filter(|&&byte| byte == b'\n').count().saturating_add(1)
}

/// What is wrong, and at which byte.
struct Wrong {
    at: usize,
    what: String,
}

fn wrong<T>(value: &Spanned<T>, what: impl Into<String>) -> Wrong {
    Wrong { at: value.span().start, what: what.into() }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: Spanned<NodeTable>,
    #[serde(default)]
    member: Vec<Spanned<MemberTable>>,
    consensus_group: Option<Spanned<GroupTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeTable {
    id: Spanned<u64>,
    listen: Spanned<String>,
    advertise: Option<Spanned<String>>,
    data: Spanned<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberTable {
    id: Spanned<u64>,
    address: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupTable {
    id: Option<Spanned<u64>>,
    replication_factor: Option<Spanned<usize>>,
    heartbeat_timeout_ms: Option<Spanned<u64>>,
    preset: Option<Spanned<String>>,
}

fn read(text: &str, folder: &Path) -> Result<Config, Wrong> {
    let file: File = toml::from_str(text).map_err(|error| Wrong {
        at: error.span().map_or(0, |span| span.start),
        what: advise(error.message()),
    })?;
    let members = read_members(&file)?;
    let node = read_node(&file.node, &members, folder)?;
    let group = read_group(file.consensus_group.as_ref(), members.len())?;
    Ok(Config { node, members, group })
}

/// The parser's own words, on one line, with what to do.
pub(crate) fn advise(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let advice = if message.starts_with("unknown field") {
        "correct its name or remove it"
    } else if message.starts_with("missing field") {
        "add it to this table"
    } else if message.starts_with("invalid type") || message.starts_with("invalid value") {
        "give a value of that kind"
    } else {
        "correct the TOML here"
    };
    format!("{message}; {advice}")
}

fn read_members(file: &File) -> Result<Vec<Member>, Wrong> {
    let mut members: Vec<Member> = Vec::new();
    for table in &file.member {
        let MemberTable { id, address } = table.get_ref();
        if members.len() == Members::MOST {
            let what = format!("more than {} members; remove this one", Members::MOST);
            return Err(wrong(table, what));
        }
        let number = read_id(id)?;
        if members.iter().any(|other| other.id == number) {
            let what = format!("a second member has id {number}; give each member its own");
            return Err(wrong(id, what));
        }
        let address_text = read_address(address)?;
        if members.iter().any(|other| other.address == address_text) {
            let what = format!("a second member is at {address_text}; give each its own address");
            return Err(wrong(address, what));
        }
        members.push(Member { id: number, address: address_text });
    }
    Ok(members)
}

fn read_node(
    table: &Spanned<NodeTable>,
    members: &[Member],
    folder: &Path,
) -> Result<NodeConfig, Wrong> {
    let NodeTable { id, listen, advertise, data } = table.get_ref();
    let number = read_id(id)?;
    if !members.is_empty() && !members.iter().any(|member| member.id == number) {
        let what = format!("node {number} is not among the members; add a [[member]] for it");
        return Err(wrong(id, what));
    }
    if data.get_ref().as_os_str().is_empty() {
        return Err(wrong(data, "the data folder has no name; give the path of a folder"));
    }
    let data = folder.join(data.get_ref());
    let advertise = advertise.as_ref().map(read_address).transpose()?;
    Ok(NodeConfig { id: number, listen: read_address(listen)?, advertise, data })
}

fn read_group(table: Option<&Spanned<GroupTable>>, members: usize) -> Result<GroupConfig, Wrong> {
    let founders = u32::try_from(members).ok().filter(|founders| *founders > 0);
    let default = GroupConfig {
        id: 1,
        replication_factor: founders,
        heartbeat_timeout_ms: founders.map(|_| LAN_MS),
    };
    let Some(table) = table else { return Ok(default) };
    let GroupTable { id, replication_factor, heartbeat_timeout_ms, preset } = table.get_ref();
    let id = id.as_ref().map_or(Ok(default.id), read_id)?;
    let (least, most) = (members.max(1), Members::MOST);
    let replication_factor = match replication_factor {
        Some(factor) if !(least..=most).contains(factor.get_ref()) => {
            let what = format!(
                "replication_factor is {}; give one from {least}, for all founders vote, to {most}",
                factor.get_ref()
            );
            return Err(wrong(factor, what));
        }
        Some(factor) => u32::try_from(*factor.get_ref()).ok(),
        None => default.replication_factor,
    };
    let heartbeat_timeout_ms = match (heartbeat_timeout_ms, preset) {
        (Some(_), Some(preset)) => {
            let what = "preset and heartbeat_timeout_ms are both given; keep one of them";
            return Err(wrong(preset, what));
        }
        (Some(timeout), None) => Some(read_timeout(timeout)?),
        (None, Some(preset)) => Some(read_preset(preset)?),
        (None, None) => default.heartbeat_timeout_ms,
    };
    Ok(GroupConfig { id, replication_factor, heartbeat_timeout_ms })
}

fn read_id(id: &Spanned<u64>) -> Result<u64, Wrong> {
    match *id.get_ref() {
        0 => Err(wrong(id, "an id is 0; ids start at 1")),
        number => Ok(number),
    }
}

fn read_address(address: &Spanned<String>) -> Result<String, Wrong> {
    let text = address.get_ref();
    check_address(text).map_err(|what| wrong(address, what))?;
    Ok(text.clone())
}

/// Checks that an address has the form `HOST:PORT`; whether the host exists is found out later.
///
/// # Errors
/// What is wrong, and what to do.
pub fn check_address(text: &str) -> Result<(), String> {
    let is_name = |host: &str| !host.is_empty() && !host.contains([':', '[', ']', '/', ' ']);
    let port = text.rsplit_once(':').and_then(|(host, port)| {
        let is_host = is_name(host) || text.parse::<SocketAddr>().is_ok();
        port.parse::<u16>().ok().filter(|port| is_host && *port != 0)
    });
    match port {
        Some(_) => Ok(()),
        None => Err(format!("`{text}` is no address; write HOST:PORT, such as 127.0.0.1:7001")),
    }
}

fn read_timeout(timeout: &Spanned<u64>) -> Result<u64, Wrong> {
    let millis = *timeout.get_ref();
    if TIMEOUTS_MS.contains(&millis) {
        return Ok(millis);
    }
    let (least, most) = (TIMEOUTS_MS.start, TIMEOUTS_MS.end.saturating_sub(1));
    let what = format!("a heartbeat timeout of {millis} ms; give one from {least} to {most}");
    Err(wrong(timeout, what))
}

fn read_preset(preset: &Spanned<String>) -> Result<u64, Wrong> {
    match preset.get_ref().as_str() {
        "lan" => Ok(LAN_MS),
        "wan" => Ok(WAN_MS),
        other => Err(wrong(preset, format!("unknown preset `{other}`; write \"lan\" or \"wan\""))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"[node]
id = 2
listen = "0.0.0.0:7002"
data = "data/2"
[[member]]
id = 1
address = "127.0.0.1:7001"
[[member]]
id = 2
address = "[::1]:7002"
[[member]]
id = 3
address = "three.example:7003"
[consensus_group]
id = 9
replication_factor = 3
heartbeat_timeout_ms = 300
"#;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse("n.toml", text, Path::new("/etc/q")).map_err(|error| error.to_string())
    }

    /// The error that a good file has once `from` is replaced by `to`.
    fn broken(from: &str, to: &str) -> String {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "`{from}` is in the good file");
        let error = parse(&text).expect_err("a broken file");
        assert!(!error.contains('\n'), "one line: {error}");
        error
    }

    #[test]
    fn a_good_file_says_what_it_says() {
        let config = parse(GOOD).unwrap();
        let data = PathBuf::from("/etc/q/data/2");
        assert_eq!(
            config.node,
            NodeConfig { id: 2, listen: "0.0.0.0:7002".to_owned(), advertise: None, data }
        );
        assert_eq!(config.members.iter().map(|member| member.id).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(config.members[1].address, "[::1]:7002");
        let group =
            GroupConfig { id: 9, replication_factor: Some(3), heartbeat_timeout_ms: Some(300) };
        assert_eq!(config.group, group);
    }

    #[test]
    fn the_group_may_be_left_out_and_the_preset_stands_for_a_timeout() {
        let (front, _) = GOOD.split_once("[consensus_group]").unwrap();
        let group =
            GroupConfig { id: 1, replication_factor: Some(3), heartbeat_timeout_ms: Some(150) };
        assert_eq!(parse(front).unwrap().group, group);
        let wan = GOOD.replace("heartbeat_timeout_ms = 300", "preset = \"wan\"");
        assert_eq!(parse(&wan).unwrap().group.heartbeat_timeout_ms, Some(1_000));
    }

    #[test]
    fn slots_do_not_depend_on_the_order_of_the_file() {
        let text = GOOD.replace("id = 1\n", "id = 5\n");
        assert_eq!(parse(&text).unwrap().member_ids(), [2, 3, 5]);
    }

    #[test]
    fn an_absolute_data_folder_is_taken_as_it_is() {
        let config = parse(&GOOD.replace("data/2", "/srv/q")).unwrap();
        assert_eq!(config.node.data, Path::new("/srv/q"));
    }

    #[test]
    fn malformed_toml_names_its_line() {
        let error = broken("listen = ", "listen ");
        assert!(error.starts_with("n.toml:3: ") && error.contains(';'), "{error}");
    }

    #[test]
    fn an_unknown_key_is_refused_in_every_table() {
        for (key, line) in [("data =", 4), ("address =", 7), ("heartbeat_timeout_ms =", 17)] {
            let error = broken(key, "colour =");
            assert!(
                error.starts_with(&format!("n.toml:{line}: unknown field `colour`")),
                "{error}"
            );
            assert!(error.ends_with("; correct its name or remove it"), "{error}");
        }
        let error = broken("[consensus_group]", "[group]");
        assert!(error.starts_with("n.toml:14: unknown field `group`"), "{error}");
    }

    #[test]
    fn a_missing_key_and_a_value_of_another_kind_are_refused() {
        let error = broken("listen = \"0.0.0.0:7002\"\n", "");
        assert_eq!(error, "n.toml:1: missing field `listen`; add it to this table");
        let error = broken("id = 2", "id = \"two\"");
        assert!(error.starts_with("n.toml:2: invalid type"), "{error}");
        assert!(broken("id = 2", "id = -2").starts_with("n.toml:2: "));
    }

    #[test]
    fn an_id_of_zero_is_refused() {
        assert_eq!(broken("id = 2", "id = 0"), "n.toml:2: an id is 0; ids start at 1");
        assert_eq!(broken("id = 3", "id = 0"), "n.toml:12: an id is 0; ids start at 1");
        assert_eq!(broken("id = 9", "id = 0"), "n.toml:15: an id is 0; ids start at 1");
    }

    #[test]
    fn a_duplicate_id_or_address_is_refused() {
        let error = broken("id = 3", "id = 1");
        assert_eq!(error, "n.toml:12: a second member has id 1; give each member its own");
        let error = broken("three.example:7003", "127.0.0.1:7001");
        let what = "a second member is at 127.0.0.1:7001; give each its own address";
        assert_eq!(error, format!("n.toml:13: {what}"));
    }

    #[test]
    fn a_node_that_is_no_member_is_refused() {
        let what = "node 7 is not among the members; add a [[member]] for it";
        assert_eq!(broken("id = 2", "id = 7"), format!("n.toml:2: {what}"));
    }

    #[test]
    fn a_node_that_joins_names_no_members_and_is_told_what_the_group_goes_by() {
        let (front, _) = GOOD.split_once("[[member]]").unwrap();
        let config = parse(front).unwrap();
        assert!(config.members.is_empty());
        let group = GroupConfig { id: 1, replication_factor: None, heartbeat_timeout_ms: None };
        assert_eq!(config.group, group);
        let told = parse(&format!("{front}[consensus_group]\nreplication_factor = 5\n")).unwrap();
        assert_eq!(told.group.replication_factor, Some(5));
    }

    #[test]
    fn a_replication_factor_below_the_founders_or_beyond_all_slots_is_refused() {
        for (factor, line) in [(2, "2; give one from 3"), (33, "33; give one from 3")] {
            let error = broken("replication_factor = 3", &format!("replication_factor = {factor}"));
            let what = format!("replication_factor is {line}, for all founders vote, to 32");
            assert_eq!(error, format!("n.toml:16: {what}"));
        }
    }

    #[test]
    fn a_node_may_be_reached_elsewhere_than_where_it_listens() {
        let text = GOOD.replace("[[member]]\nid = 1", "advertise = \"here:1\"\n[[member]]\nid = 1");
        assert_eq!(parse(&text).unwrap().node.advertise.as_deref(), Some("here:1"));
        let error = parse(&text.replace("here:1", "here")).unwrap_err();
        assert!(error.contains("`here` is no address"), "{error}");
    }

    #[test]
    fn a_bad_address_is_refused() {
        let bad =
            ["7001", "localhost", "localhost:", ":7001", "a:0", "a:70000", "::1:7001", "a b:1", ""];
        for address in bad {
            let error = broken("three.example:7003", address);
            let what = "is no address; write HOST:PORT, such as 127.0.0.1:7001";
            assert_eq!(error, format!("n.toml:13: `{address}` {what}"));
            assert!(broken("0.0.0.0:7002", address).starts_with("n.toml:3: "));
        }
    }

    #[test]
    fn a_timeout_that_makes_no_sense_is_refused() {
        for millis in [0, 19, 60_001] {
            let error =
                broken("heartbeat_timeout_ms = 300", &format!("heartbeat_timeout_ms = {millis}"));
            let what = format!("a heartbeat timeout of {millis} ms; give one from 20 to 60000");
            assert_eq!(error, format!("n.toml:17: {what}"));
        }
        let error = broken("heartbeat_timeout_ms = 300", "preset = \"moon\"");
        assert_eq!(error, "n.toml:17: unknown preset `moon`; write \"lan\" or \"wan\"");
    }

    #[test]
    fn both_preset_and_timeout_are_refused() {
        let error = broken("id = 9", "preset = \"lan\"");
        let what = "preset and heartbeat_timeout_ms are both given; keep one of them";
        assert_eq!(error, format!("n.toml:15: {what}"));
    }

    #[test]
    fn more_members_than_a_group_holds_are_refused() {
        let (front, _) = GOOD.split_once("[consensus_group]").unwrap();
        let mut text = front.to_owned();
        for id in 4..=33 {
            text += &format!("[[member]]\nid = {id}\naddress = \"h:{id}\"\n");
        }
        assert_eq!(parse(&text).unwrap_err(), "n.toml:101: more than 32 members; remove this one");
    }

    #[test]
    fn an_empty_data_folder_is_refused() {
        let error = broken("data/2", "");
        assert_eq!(error, "n.toml:4: the data folder has no name; give the path of a folder");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.toml");
        let error = Config::load(&path).unwrap_err();
        assert_eq!(error.line, None);
        assert!(error.to_string().contains("none.toml: cannot be read ("), "{error}");
        assert!(Config::load(folder.path()).is_err(), "a folder is no file");
        std::fs::write(&path, b"[node]\nid = \xff\n").unwrap();
        let error = Config::load(&path).unwrap_err();
        assert_eq!(
            (error.line, error.what.as_str()),
            (Some(2), "is not UTF-8 text; give a TOML file")
        );
        std::fs::write(&path, GOOD).unwrap();
        let data = folder.path().join("data/2");
        assert_eq!(Config::load(&path).unwrap().node.data, data);
    }
}
