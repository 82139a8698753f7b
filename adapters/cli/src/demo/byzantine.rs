//! `quorate demo --bft`: four processes, one of them lying, and clients that believe what two members say
//! alike.
//!
//! Member 0 is the first primary. After a while it proposes two things for one position, tells one member
//! both, and falls silent. The others prove that it lies and go on without it, while member 2 is killed and
//! started again and again. No client may see an answer that contradicts another, and nobody but the liar
//! may be accused.

use super::{await_that, say};
use quorate::id::ClientId;
use quorate::lease::{Command, Name, Response, Table, Token};
use quorate::time::Span;
use quorate_host::council::config::Config;
use quorate_host::council::{Answered, Asked};
use quorate_host::lease::{Answer, Query};
use quorate_host::signing::Keys;
use quorate_std::council::client::Client;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const COUNT: u8 = 4;
const CLIENTS: u64 = 3;
/// The member that lies, and the one that is killed.
const LIAR: u8 = 0;
const KILLED: u8 = 2;
/// After how many votes it begins to lie.
const LIES_AFTER: u32 = 25;
/// How many answers there must be between one thing that happens and the next.
const ANSWERS_BETWEEN: u64 = 30;

/// Runs the demo; the last line of standard output is the verdict.
pub(crate) fn run(kills: u32) -> ExitCode {
    match play(kills) {
        Ok(()) => {
            println!("demo: ok");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("demo: failed: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The processes.
struct Members {
    folder: PathBuf,
    children: Vec<Option<Child>>,
}

impl Members {
    fn start(folder: &Path) -> Result<Self, String> {
        let in_words = |error: std::io::Error| format!("cannot start members: {error}");
        let ports: Vec<_> = (0..COUNT)
            .map(|_| TcpListener::bind("127.0.0.1:0"))
            .collect::<Result<_, _>>()
            .map_err(in_words)?;
        let addresses: Vec<_> = ports.iter().filter_map(|it| it.local_addr().ok()).collect();
        drop(ports);
        let mut group = String::from("[group]\nid = 1\nrequest_timeout_ms = 500\n");
        for (slot, address) in addresses.iter().enumerate() {
            let data = folder.join(format!("member{slot}"));
            fs::create_dir_all(&data).map_err(in_words)?;
            let key = Keys::open(&data.join("key")).map_err(|error| error.to_string())?.public();
            let _ = write!(
                group,
                "\n[[member]]\nslot = {slot}\naddress = \"{address}\"\nkey = \"{key}\"\n"
            );
        }
        for client in 0..CLIENTS {
            let key = Keys::open(&folder.join(format!("client{client}")));
            let key = key.map_err(|error| error.to_string())?.public();
            let _ = write!(group, "\n[[client]]\nid = {client}\nkey = \"{key}\"\n");
        }
        for (slot, address) in addresses.iter().enumerate() {
            let node = format!(
                "[node]\nslot = {slot}\nlisten = \"{address}\"\ndata = \"member{slot}\"\n\n{group}"
            );
            fs::write(folder.join(format!("member{slot}.toml")), node).map_err(in_words)?;
        }
        let children = (0..COUNT).map(|_| None).collect();
        let mut members = Self { folder: folder.to_path_buf(), children };
        (0..COUNT).try_for_each(|slot| members.spawn(slot)).map_err(in_words)?;
        Ok(members)
    }

    fn config(&self) -> Result<Config, String> {
        Config::load(&self.folder.join("member1.toml")).map_err(|error| error.to_string())
    }

    fn spawn(&mut self, slot: u8) -> std::io::Result<()> {
        let log = self.folder.join(format!("member{slot}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.args(["council", "serve", "--config"]);
        command.arg(self.folder.join(format!("member{slot}.toml")));
        if slot == LIAR {
            command.args(["--lie-after", &LIES_AFTER.to_string()]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        self.children[usize::from(slot)] = Some(child);
        Ok(())
    }

    fn kill(&mut self, slot: u8) -> std::io::Result<()> {
        let Some(mut child) = self.children[usize::from(slot)].take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(|_| ())
    }

    /// What a member has told.
    fn log(&self, slot: u8) -> String {
        fs::read_to_string(self.folder.join(format!("member{slot}.log"))).unwrap_or_default()
    }

    /// Who was accused, by whom.
    fn accusations(&self) -> Vec<(u8, String)> {
        let accuses = |line: &&str| line.contains("is proved to lie");
        (0..COUNT)
            .flat_map(|by| {
                let log = self.log(by);
                let lines: Vec<_> = log.lines().filter(accuses).map(str::to_owned).collect();
                lines.into_iter().map(move |line| (by, line))
            })
            .collect()
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        (0..COUNT).for_each(|slot| drop(self.kill(slot)));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    unknown: AtomicU64,
    stale: AtomicU64,
    is_over: AtomicBool,
    /// Each scope's newest token.
    tokens: Mutex<BTreeMap<String, Token>>,
    wrong: Mutex<Vec<String>>,
    longest: Mutex<Duration>,
}

impl Seen {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

fn play(kills: u32) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("quorate-bft-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let start = Instant::now();
    let mut members = Members::start(&folder)?;
    say(start, &format!("{COUNT} members run, with their keys and disks in {}", folder.display()));
    let seen = Arc::new(Seen::default());
    let clients: Vec<_> =
        (0..CLIENTS).map(|id| client(&members, id, &seen)).collect::<Result<_, _>>()?;
    let more = |seen: &Seen, what: &str| {
        let before = seen.answered.load(Ordering::Relaxed);
        let enough = || seen.answered.load(Ordering::Relaxed) >= before + ANSWERS_BETWEEN;
        await_that(enough, &format!("clients are not answered {what}"))
    };
    more(&seen, "at the beginning")?;
    let is_caught = || members.accusations().iter().any(|(_, line)| accuses(line, LIAR));
    await_that(is_caught, "nobody proves that the primary lies")?;
    say(start, &format!("member {LIAR} has proposed two things at once, is caught, and is silent"));
    more(&seen, "after the primary has lied")?;
    say(start, "the clients are answered in the next view");
    for kill in 1..=kills {
        members.kill(KILLED).map_err(|error| error.to_string())?;
        thread::sleep(Duration::from_millis(50 * u64::from(kill % 5)));
        members.spawn(KILLED).map_err(|error| error.to_string())?;
        more(&seen, "after a member was killed and came back")?;
        say(start, &format!("kill {kill}: member {KILLED} was killed, is back, and clients go on"));
    }
    seen.is_over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|it| drop(it.join()));
    judge(&members, &seen, start)
}

fn accuses(line: &str, slot: u8) -> bool {
    line.contains(&format!("member {slot} is proved to lie"))
}

fn judge(members: &Members, seen: &Seen, start: Instant) -> Result<(), String> {
    let framed: Vec<_> =
        members.accusations().into_iter().filter(|(_, line)| !accuses(line, LIAR)).collect();
    let listed = final_read(members)?;
    let tokens = seen.tokens.lock().unwrap_or_else(PoisonError::into_inner);
    let lost = tokens.iter().filter(|(scope, token)| listed.get(*scope) != Some(token)).count();
    let longest = *seen.longest.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |it: &AtomicU64| it.load(Ordering::Relaxed).to_string();
    let rows = [
        ("answers that two members gave alike", number(&seen.answered)),
        ("of these, stale reads in one round trip", number(&seen.stale)),
        ("requests without an answer", number(&seen.unknown)),
        ("longest wait for an answer", format!("{} ms", longest.as_millis())),
        ("leases held at the end", tokens.len().to_string()),
        ("of these, lost", lost.to_string()),
        ("correct members accused", framed.len().to_string()),
        ("time", format!("{:.1} s", start.elapsed().as_secs_f64())),
    ];
    for (name, value) in rows {
        println!("{name:<40} {value:>10}");
    }
    let wrong = seen.wrong.lock().unwrap_or_else(PoisonError::into_inner).pop();
    match (wrong, framed.first()) {
        (Some(wrong), _) => Err(wrong),
        (None, Some((by, line))) => Err(format!("member {by} says: {line}")),
        (None, None) if lost > 0 => Err(format!("{lost} leases are gone")),
        (None, None) if tokens.is_empty() => Err("no lease was ever held".to_owned()),
        (None, None) => Ok(()),
    }
}

/// The leases, as a linearizable read shows them.
fn final_read(members: &Members) -> Result<BTreeMap<String, Token>, String> {
    let mut client = connected(members, 0)?;
    let asked = Asked::Read(Query::List { prefix: String::new() });
    match client.ask::<Table>(&asked) {
        Ok((_, Answered::Read(Answer::Leases(leases)))) => {
            Ok(leases.into_iter().map(|it| (it.scope.to_string(), it.token)).collect())
        }
        Ok(it) => Err(format!("a read was answered with {it:?}")),
        Err(failure) => Err(failure.to_string()),
    }
}

fn connected(members: &Members, id: u64) -> Result<Client, String> {
    let keys = Keys::open(&members.folder.join(format!("client{id}")));
    let keys = keys.map_err(|error| error.to_string())?;
    // Above all numbers that a client of this key has used, in any life: the time.
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().map_err(|error| error.to_string())?;
    let first = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    let client = Client::new(members.config()?, keys, ClientId::new(id), first);
    client.map_err(|error| error.to_string())
}

/// A client that takes, renews, gives back and reads leases until it is over.
fn client(members: &Members, id: u64, seen: &Arc<Seen>) -> Result<JoinHandle<()>, String> {
    let mut client = connected(members, id)?;
    let seen = Arc::clone(seen);
    Ok(thread::spawn(move || {
        let mut round = 0;
        while !seen.is_over.load(Ordering::Relaxed) {
            round += 1;
            if let Err(why) = turn(&mut client, id, round, &seen) {
                seen.wrong(why);
                return;
            }
        }
    }))
}

fn ask(
    client: &mut Client,
    asked: &Asked<Command, Query>,
    seen: &Seen,
) -> Option<Answered<Response, Answer>> {
    let began = Instant::now();
    let answer = client.ask::<Table>(asked);
    let took = began.elapsed();
    let mut longest = seen.longest.lock().unwrap_or_else(PoisonError::into_inner);
    *longest = (*longest).max(took);
    match answer {
        Ok((_, answer)) => {
            seen.answered.fetch_add(1, Ordering::Relaxed);
            Some(answer)
        }
        Err(_) => {
            seen.unknown.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

fn named(text: &str) -> Result<Name, String> {
    Name::new(text).map_err(|error| format!("{text}: {error:?}"))
}

/// Takes a lease of its own, renews it, sees that a read shows it, and gives every other one back.
fn turn(client: &mut Client, id: u64, round: u64, seen: &Seen) -> Result<(), String> {
    let text = format!("c{id}-{}", round % 20);
    let (scope, holder) = (named(&text)?, named(&format!("client{id}"))?);
    let duration = Span::secs(3_600);
    let before = {
        let tokens = seen.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(&text).copied()
    };
    let command = match before {
        None => Command::Acquire { scope, holder, duration },
        Some(token) if round % 40 < 20 => Command::Renew { scope, token },
        Some(token) => Command::Release { scope, token },
    };
    let answer = ask(client, &Asked::Command(command), seen);
    let mut tokens = seen.tokens.lock().unwrap_or_else(PoisonError::into_inner);
    match (command, answer) {
        (Command::Acquire { .. }, Some(Answered::Done(Response::Granted { token, .. }))) => {
            tokens.insert(text.clone(), token);
        }
        (
            Command::Renew { token, .. },
            Some(Answered::Done(Response::Granted { token: it, .. })),
        ) if it == token => {}
        (Command::Release { .. }, Some(Answered::Done(Response::Released))) => {
            tokens.remove(&text);
        }
        (_, None) => return Err("a request was not answered".to_owned()),
        (command, answer) => return Err(format!("{command:?} was answered with {answer:?}")),
    }
    let held = tokens.get(&text).copied();
    drop(tokens);
    let asked = Asked::Read(Query::One { scope });
    match ask(client, &asked, seen) {
        Some(Answered::Read(Answer::Lease(lease))) if lease.map(|it| it.token) == held => {}
        None => return Err("a read was not answered".to_owned()),
        it => return Err(format!("{text} is held with {held:?}, and a read shows {it:?}")),
    }
    if round.is_multiple_of(10)
        && ask(client, &Asked::StaleRead(Query::One { scope }), seen).is_some()
    {
        seen.stale.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
