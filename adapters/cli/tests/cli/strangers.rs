//! What a node makes of those who do not speak its language, and of those who want its place.

use crate::group::{Group, on_each_runtime};
use crate::program::{PATIENCE, await_some, quorate};
use quorate::id::GroupId;
use quorate_host::frame::{self, Kind};
use quorate_host::protocol::Hello;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

const GROUP: GroupId = GroupId::new(1);

fn hello() -> Vec<u8> {
    frame::encode(Kind::Hello, GROUP, &Hello::Client).unwrap()
}

/// Says something to a node and waits until it hangs up.
fn say(group: &Group, bytes: &[u8]) {
    let mut stream = TcpStream::connect(group.address(1)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(bytes);
    // It may hang up with what was said still unread, which the other end sees as a reset.
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

/// Changes the bytes of a frame from `at` on.
fn with(mut frame: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

on_each_runtime!(
    a_node_hangs_up_on_what_it_does_not_understand_and_serves_on,
    a_group_that_the_nodes_do_not_serve_is_told,
    a_port_or_a_folder_that_another_has_is_refused,
);

fn a_node_hangs_up_on_what_it_does_not_understand_and_serves_on(runtime: &'static str) {
    let group = Group::start(1, runtime);
    let strangers = [
        (b"GET / HTTP/1.1\r\nHost: quorate\r\n\r\n".to_vec(), "no quorate frame"),
        (with(hello(), 0, &u32::MAX.to_le_bytes()), "no quorate frame"),
        (with(hello(), 4, &[9]), "speaks version 9"),
        (with(hello(), 8, &[7]), "group 7"),
        (with(hello(), 16, &[1, 2, 3, 4]), "checksum"),
        ([hello(), vec![0x5a; 4096]].concat(), "no quorate frame"),
    ];
    for (number, (bytes, why)) in strangers.into_iter().enumerate() {
        say(&group, &bytes);
        await_some(why, || group.said(1).contains(why).then_some(()));
        let scope = format!("lease acquire scope{number} --holder ann --for 10s");
        assert!(group.ask(&scope).done().contains("is held by ann"));
    }
}

fn a_group_that_the_nodes_do_not_serve_is_told(runtime: &'static str) {
    let group = Group::start(1, runtime);
    let nodes = format!("--group 2 --timeout 500ms --nodes {}", group.address(1));
    for ask in ["lease list", "status"] {
        let ran = quorate(&format!("{ask} {nodes}"));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("serves group 1"), "{ran:?}");
    }
}

fn a_port_or_a_folder_that_another_has_is_refused(runtime: &'static str) {
    let mut group = Group::start(1, runtime);
    let config = group.config(1);
    let serve = format!("serve --config {}", config.display());
    let line = quorate(&serve).failed(1);
    assert!(line.contains("data/1 is in use by another process: stop it"), "{line}");

    group.kill(1);
    let text = group.configuration(1);
    fs::write(&config, text.replace("id = 1", "id = 2")).unwrap();
    let line = quorate(&serve).failed(2);
    assert!(line.contains("belongs to node 1 of group 1"), "{line}");
    fs::write(&config, text.replace("[consensus_group]", "[consensus_group]\nid = 5")).unwrap();
    let line = quorate(&serve).failed(2);
    assert!(line.contains("not to node 1 of group 5"), "{line}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let own = group.address(1);
    fs::write(&config, text.replace(&own, &format!("127.0.0.1:{port}"))).unwrap();
    let line = quorate(&serve).failed(1);
    assert!(line.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{line}");
}
