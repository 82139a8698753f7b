//! A node of its own group, with a real port and a real disk: how it ends.

use quorate::id::{ClientId, GroupId};
use quorate::lease::Table;
use quorate::replica;
use quorate_host::config::Config;
use quorate_host::frame::{self, Kind};
use quorate_host::lease::{Answer, Query, table};
use quorate_host::protocol::{Ask, Hello, Reply, ReplyBody, Request, Welcome};
use quorate_host::recording::{End, Replay};
use quorate_std::ask::status;
use quorate_std::client::Client;
use quorate_std::node::Node;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

const GROUP: GroupId = GroupId::new(1);
const LONG: Duration = Duration::from_secs(20);

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let name = format!("quorate-{test}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn config(&self) -> Config {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "[node]\nid = 1\nlisten = \"127.0.0.1:{port}\"\ndata = \"data\"\n\
             [consensus_group]\nreplication_factor = 1\n\
             [[member]]\nid = 1\naddress = \"127.0.0.1:{port}\"\n"
        );
        Config::parse("node.toml", &text, &self.0).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until the node serves.
fn await_leader(address: &str) {
    let mut client = Client::<Table>::new(&[address.to_owned()], GROUP, LONG).unwrap();
    let listed = client.query(Query::List { prefix: String::new() });
    assert_eq!(listed, Ok(Answer::Leases(Vec::new())));
}

#[test]
fn a_node_that_has_stopped_has_given_its_port_and_its_folder_back() {
    let folder = Folder::new("stop");
    let config = folder.config();
    for _ in 0..3 {
        let node = Node::start(&config, table()).expect("port and folder are free");
        await_leader(&config.node.listen);
        let silent = TcpStream::connect(node.address()).unwrap();
        node.stop();
        node.wait().unwrap();
        drop(silent);
    }
}

// A disk that is full, or gone, when a snapshot is due.
#[test]
fn a_node_whose_disk_fails_says_so_and_ends_and_has_what_it_acknowledged() {
    let folder = Folder::new("disk");
    let config = folder.config();
    let node = Node::start(&config, table()).unwrap();
    await_leader(&config.node.listen);
    let snapshots = config.node.data.join("snapshots");
    fs::remove_dir_all(&snapshots).unwrap();

    let mut stream = TcpStream::connect(node.address()).unwrap();
    let mut replies = stream.try_clone().unwrap();
    let mut buffer = Vec::new();
    stream.write_all(&frame::encode(Kind::Hello, GROUP, &Hello::Client).unwrap()).unwrap();
    let _: Welcome = frame::read(&mut replies, &mut buffer, Kind::Hello, GROUP).unwrap();
    replies.set_read_timeout(Some(LONG)).unwrap();
    let (answered, permits) = channel();
    let asking = thread::spawn(move || {
        for number in 1..=100_000 {
            let open = replica::Request::Open { client: ClientId::new(number) };
            let request =
                Request::<quorate::lease::Command, Query> { number, ask: Ask::Submit(open) };
            let frame = frame::encode(Kind::Request, GROUP, &request).unwrap();
            // A client that asks and does not listen is dropped.
            let may = number <= 1_000 || permits.recv().is_ok();
            if !may || stream.write_all(&frame).is_err() {
                return;
            }
        }
    });
    let mut acknowledged = 0;
    while let Ok(reply) = frame::read(&mut replies, &mut buffer, Kind::Reply, GROUP) {
        let Reply::<quorate::lease::Response, Answer> { body, .. } = reply;
        acknowledged += u64::from(body == ReplyBody::Opened);
        let _ = answered.send(());
    }
    drop(answered);
    node.stop(); // If it has not stopped by itself.
    let why = node.wait().unwrap_err().to_string();
    asking.join().unwrap();
    assert!(why.contains("snapshot.tmp") && !why.contains('\n'), "{why}");
    assert!(acknowledged > 1_000, "{acknowledged} requests were taken before");

    fs::create_dir(&snapshots).unwrap();
    let node = Node::start(&config, table()).expect("the log is sound");
    await_leader(&config.node.listen);
    let status = status(&config.node.listen, GROUP, LONG).unwrap();
    assert!(status.applied >= acknowledged, "{acknowledged} acknowledged: {status:?}");
    node.stop();
    node.wait().unwrap();
}

/// Runs a recording again: how many steps it has, and how it ends.
fn replay(file: &Path) -> (u64, End) {
    let mut replay = Replay::open(fs::File::open(file).unwrap(), table()).unwrap();
    while let Some(step) = replay.next().unwrap() {
        assert!(step.is_same(), "{step:?}");
    }
    (replay.steps(), replay.end())
}

#[test]
fn each_life_of_a_node_is_recorded_and_the_one_before_is_kept() {
    let folder = Folder::new("recorded");
    let config = folder.config();
    let (file, old) = (folder.0.join("recording"), folder.0.join("recording.old"));
    for life in 0..3 {
        let node = Node::start_recorded(&config, table(), Some(&file)).unwrap();
        await_leader(&config.node.listen);
        // Who comes too late for the folder must not touch what its owner writes.
        assert!(Node::start_recorded(&config, table(), Some(&file)).is_err());
        node.stop();
        node.wait().unwrap();
        let (steps, end) = replay(&file);
        assert!(steps >= 5, "{steps}");
        assert_eq!(end, End::Whole);
        assert_eq!(old.exists(), life > 0);
    }
    replay(&old);
}

#[test]
fn a_node_that_cannot_be_recorded_serves_all_the_same() {
    let folder = Folder::new("unrecorded");
    let config = folder.config();
    let other = folder.0.join("precious");
    fs::create_dir_all(&folder.0).unwrap();
    fs::write(&other, "something else").unwrap();
    for file in [&other, &folder.0, &folder.0.join("no/such/folder/recording")] {
        let node = Node::start_recorded(&config, table(), Some(file)).unwrap();
        await_leader(&config.node.listen);
        node.stop();
        node.wait().unwrap();
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "something else");
}
