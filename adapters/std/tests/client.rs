//! The blocking client against nodes that are scripts: what it does when these refuse, point
//! elsewhere, say nothing, or are no nodes of its group.

use quorate::codec::{Malformed, NoRoom, Sink};
use quorate::id::{GroupId, NodeId};
use quorate::{Position, StateMachine};
use quorate_host::frame::{self, Kind};
use quorate_host::protocol::{Ask, Hello, Reply, ReplyBody, Request, Service, Welcome};
use quorate_std::ask::status;
use quorate_std::client::{Client, Failure};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const GROUP: GroupId = GroupId::new(1);
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

/// A service whose nodes are scripts, so that it need not do anything.
#[derive(Debug)]
struct Sum;

impl StateMachine for Sum {
    type Command = u64;
    type Response = u64;
    fn apply(&mut self, _: Position, command: &u64) -> u64 {
        *command
    }
    fn snapshot<S: Sink + ?Sized>(&self, _: &mut S) -> Result<(), NoRoom> {
        Ok(())
    }
    fn restore(&mut self, _: &[u8]) -> Result<(), Malformed> {
        Ok(())
    }
}

impl Service for Sum {
    type Query = ();
    type Answer = u64;
    fn answer(&self, (): &()) -> u64 {
        0
    }
}

type Script = dyn Fn(Ask<u64, ()>) -> Option<ReplyBody<u64, u64>> + Send + Sync;

/// A node that answers from a script; where the script says nothing, so does the node.
fn node(
    id: u64,
    script: impl Fn(Ask<u64, ()>) -> Option<ReplyBody<u64, u64>> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let script: Arc<Script> = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let script = Arc::clone(&script);
            thread::spawn(move || converse(stream.unwrap(), id, &*script));
        }
    });
    address
}

fn converse(mut stream: TcpStream, id: u64, script: &Script) -> Result<(), frame::Error> {
    let mut buffer = Vec::new();
    let _: Hello = frame::read(&mut stream, &mut buffer, Kind::Hello, GROUP)?;
    let welcome = Welcome::Here { node: NodeId::new(id) };
    stream.write_all(&frame::encode(Kind::Hello, GROUP, &welcome)?)?;
    loop {
        let Request { number, ask } = frame::read(&mut stream, &mut buffer, Kind::Request, GROUP)?;
        if let Some(body) = script(ask) {
            stream.write_all(&frame::encode(Kind::Reply, GROUP, &Reply { number, body })?)?;
        }
    }
}

/// What a leader does that counts the commands applied.
fn leads(commands: Arc<AtomicUsize>) -> impl Fn(Ask<u64, ()>) -> Option<ReplyBody<u64, u64>> {
    move |ask| {
        Some(match ask {
            Ask::Submit(quorate::replica::Request::Open { .. }) => ReplyBody::Opened,
            Ask::Submit(quorate::replica::Request::Command { command, .. }) => {
                commands.fetch_add(1, Ordering::Relaxed);
                ReplyBody::Done(command)
            }
            Ask::Query(()) => ReplyBody::Answer(7),
            _ => return None,
        })
    }
}

fn follows(leader: Option<(u64, String)>) -> impl Fn(Ask<u64, ()>) -> Option<ReplyBody<u64, u64>> {
    move |_| {
        let leader = leader.clone().map(|(id, address)| (NodeId::new(id), address));
        Some(ReplyBody::NotLeader { leader })
    }
}

/// An address where nobody listens.
fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_leader_that_was_not_given_is_found_by_what_a_follower_says() {
    let commands = Arc::new(AtomicUsize::new(0));
    let leader = node(2, leads(Arc::clone(&commands)));
    let follower = node(1, follows(Some((2, leader.clone()))));
    let mut client = Client::<Sum>::new(&[nowhere(), follower], GROUP, LONG).unwrap();
    assert_eq!(client.command(5), Ok(5));
    assert_eq!(client.query(()), Ok(7));
    assert_eq!(commands.load(Ordering::Relaxed), 1);
    assert_eq!(client.addresses().last(), Some(leader.as_str()));
}

#[test]
fn the_number_of_a_node_counts_and_not_what_others_call_it() {
    let commands = Arc::new(AtomicUsize::new(0));
    let leader = node(2, leads(Arc::clone(&commands)));
    let follower = node(1, follows(Some((2, nowhere()))));
    let mut client = Client::<Sum>::new(&[leader, follower.clone()], GROUP, LONG).unwrap();
    assert_eq!(client.command(1), Ok(1), "the leader has said its number");
    assert_eq!(client.command(2), Ok(2));
    assert_eq!(client.addresses().count(), 2);
}

#[test]
fn a_request_that_no_node_takes_has_no_effect_and_says_what_each_did() {
    let gone = nowhere();
    let follower = node(1, follows(None));
    let began = Instant::now();
    let mut client = Client::<Sum>::new(&[gone.clone(), follower.clone()], GROUP, SHORT).unwrap();
    let failure = client.command(5).unwrap_err();
    assert!(began.elapsed() >= SHORT && began.elapsed() < LONG);
    let Failure::NoAnswer { nodes, .. } = &failure else { panic!("{failure}") };
    let refused = "cannot be reached (connection refused)".to_owned();
    assert_eq!(nodes[..], [(gone, refused), (follower, "knows no leader".to_owned())]);
    assert!(!failure.to_string().contains('\n'));
}

#[test]
fn a_node_that_took_a_command_and_fell_silent_leaves_it_open() {
    let silent = node(1, |ask| match ask {
        Ask::Submit(quorate::replica::Request::Open { .. }) => Some(ReplyBody::Opened),
        _ => None,
    });
    let mut client = Client::<Sum>::new(&[silent], GROUP, SHORT).unwrap();
    assert_eq!(client.command(5), Err(Failure::Unknown { within: SHORT }));
    let Err(Failure::NoAnswer { nodes, .. }) = client.query(()) else { panic!("it answered") };
    assert_eq!(nodes[0].1, "did not answer");
}

#[test]
fn a_refusal_comes_with_its_reason() {
    let strict = node(1, |_| Some(ReplyBody::Rejected("too large".to_owned())));
    let mut client = Client::<Sum>::new(&[strict], GROUP, LONG).unwrap();
    assert_eq!(client.command(5), Err(Failure::Refused("too large".to_owned())));
}

/// A node that answers every connection with one frame of another group or version.
fn stranger(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
            let _ = stream.write_all(&answer);
        }
    });
    address
}

#[test]
fn a_node_of_another_group_or_version_is_told_at_once() {
    let welcome = Welcome::Here { node: NodeId::new(1) };
    let group = frame::encode(Kind::Hello, GroupId::new(9), &welcome).unwrap();
    let mut version = frame::encode(Kind::Hello, GROUP, &welcome).unwrap();
    version[4] = 77;
    for (answer, says) in [(group, "serves group 9"), (version, "speaks version 77")] {
        let address = stranger(answer);
        let mut client = Client::<Sum>::new(std::slice::from_ref(&address), GROUP, LONG).unwrap();
        let began = Instant::now();
        let failure = client.command(5).unwrap_err();
        assert!(matches!(&failure, Failure::Refused(why) if why.contains(says)), "{failure}");
        let failure = status(&address, GROUP, LONG).unwrap_err();
        assert!(matches!(&failure, Failure::Refused(why) if why.contains(says)), "{failure}");
        assert!(began.elapsed() < LONG);
    }
}

#[test]
fn an_answer_in_pieces_is_put_together() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut buffer = Vec::new();
        let _: Hello = frame::read(&mut stream, &mut buffer, Kind::Hello, GROUP).unwrap();
        let welcome = Welcome::Here { node: NodeId::new(1) };
        let mut send = |bytes: Vec<u8>| {
            for byte in bytes {
                stream.write_all(&[byte]).unwrap();
                thread::yield_now();
            }
        };
        send(frame::encode(Kind::Hello, GROUP, &welcome).unwrap());
        let reply = Reply::<u64, u64> { number: 1, body: ReplyBody::Answer(9) };
        send(frame::encode(Kind::Reply, GROUP, &reply).unwrap());
        let _ = std::io::Read::read(&mut stream, &mut [0; 64]);
    });
    let mut client = Client::<Sum>::new(&[address], GROUP, LONG).unwrap();
    assert_eq!(client.query(()), Ok(9));
}

#[test]
fn a_client_without_nodes_or_time_is_refused() {
    assert!(matches!(Client::<Sum>::new(&[], GROUP, LONG), Err(Failure::Refused(_))));
    let nodes: Vec<_> = (1..=33).map(|port| format!("h:{port}")).collect();
    assert!(matches!(Client::<Sum>::new(&nodes, GROUP, LONG), Err(Failure::Refused(_))));
    assert!(matches!(
        Client::<Sum>::new(&nodes[..1], GROUP, Duration::ZERO),
        Err(Failure::Refused(_))
    ));
}
