//! A Byzantine group of nodes in one process, with real ports and disks: how it ends, and begins again.

use quorate::id::{ClientId, GroupId, Slot};
use quorate::lease::{Command, Name, Response, Table};
use quorate::time::Span;
use quorate_host::council::config::Config;
use quorate_host::council::{Answered, Asked, Greeting};
use quorate_host::frame::{self, Kind};
use quorate_host::lease::{Answer, Query, table};
use quorate_host::signing::Keys;
use quorate_std::council::Node;
use quorate_std::council::client::Client;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const CLIENT: ClientId = ClientId::new(7);

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One test at a time: they look at the threads of the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn configs(folder: &Path) -> Vec<Config> {
    let ports: Vec<_> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<_> = ports.iter().map(|it| it.local_addr().unwrap()).collect();
    let mut group = String::from("[group]\nid = 9\nwindow = 16\n");
    for (slot, address) in addresses.iter().enumerate() {
        fs::create_dir_all(folder.join(format!("n{slot}"))).unwrap();
        let key = Keys::open(&folder.join(format!("n{slot}/key"))).unwrap().public();
        write!(group, "[[member]]\nslot = {slot}\naddress = \"{address}\"\nkey = \"{key}\"\n")
            .unwrap();
    }
    let key = Keys::open(&folder.join("client")).unwrap().public();
    write!(group, "[[client]]\nid = 7\nkey = \"{key}\"\n").unwrap();
    let node = |slot: usize| {
        let address = addresses[slot];
        let text = format!("[node]\nslot = {slot}\nlisten = \"{address}\"\ndata = \"n{slot}\"\n");
        Config::parse(&format!("{text}{group}"), folder).unwrap()
    };
    (0..4).map(node).collect()
}

fn start(configs: &[Config]) -> Vec<Node> {
    let start = |config| Node::start(config, table(), None, Box::new(|_| {})).unwrap();
    configs.iter().map(start).collect()
}

/// Takes a lease, and tells how many there are.
fn acquire(folder: &Path, config: &Config, round: u64) -> usize {
    let keys = Keys::open(&folder.join("client")).unwrap();
    let mut client = Client::new(config.clone(), keys, CLIENT, round * 1_000).unwrap();
    let name = |of: String| Name::new(&of).unwrap();
    let (scope, holder) = (name(format!("scope{round}")), name("me".to_owned()));
    let command = Command::Acquire { scope, holder, duration: Span::secs(600) };
    let done = client.ask::<Table>(&Asked::Command(command)).unwrap().1;
    assert!(matches!(done, Answered::Done(Response::Granted { .. })), "{done:?}");
    match client.ask::<Table>(&Asked::Read(Query::List { prefix: String::new() })).unwrap().1 {
        Answered::Read(Answer::Leases(leases)) => leases.len(),
        it => panic!("{it:?}"),
    }
}

/// The threads of nodes that still run here.
fn running() -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let names = threads.filter_map(|it| fs::read_to_string(it.path().join("comm")).ok());
    let of_nodes = ["step", "disk", "checks", "link", "accept", "serve", "answer"];
    names.map(|it| it.trim().to_owned()).filter(|it| of_nodes.contains(&it.as_str())).collect()
}

#[test]
fn nodes_that_have_stopped_have_given_everything_back_and_begin_again_in_the_same_process() {
    let _alone = alone();
    let folder =
        Folder(std::env::temp_dir().join(format!("quorate-council-{}", std::process::id())));
    let configs = configs(&folder.0);
    for round in 1..=2 {
        let nodes = start(&configs);
        // Two that say who they are, and nothing more.
        let mut idle = Vec::new();
        for greeting in [Greeting::Client(CLIENT), Greeting::Member(Slot::new(2))] {
            let mut stream = TcpStream::connect(nodes[0].address()).unwrap();
            let hello = frame::encode(Kind::Hello, GroupId::new(9), &greeting).unwrap();
            stream.write_all(&hello).unwrap();
            idle.push(stream);
        }
        assert_eq!(acquire(&folder.0, &configs[1], round), usize::try_from(round).unwrap());
        nodes.iter().for_each(Node::stop);
        nodes.into_iter().for_each(|it| it.wait().unwrap());
        // The system takes a moment to let go of a thread that has ended and was waited for.
        let since = Instant::now();
        while !running().is_empty() && since.elapsed() < Duration::from_secs(5) {
            thread::yield_now();
        }
        assert_eq!(running(), Vec::<String>::new());
    }
}

#[test]
fn whoever_is_not_of_the_group_is_not_listened_to() {
    let _alone = alone();
    let folder =
        Folder(std::env::temp_dir().join(format!("quorate-strange-{}", std::process::id())));
    let configs = configs(&folder.0);
    let node = Node::start(&configs[0], table(), None, Box::new(|_| {})).unwrap();
    for greeting in [
        Greeting::Client(ClientId::new(8)),
        Greeting::Member(Slot::new(0)),
        Greeting::Member(Slot::new(9)),
    ] {
        let mut stream = TcpStream::connect(node.address()).unwrap();
        let hello = frame::encode(Kind::Hello, GroupId::new(9), &greeting).unwrap();
        stream.write_all(&hello).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "{greeting:?}");
    }
    node.stop();
    node.wait().unwrap();
}
