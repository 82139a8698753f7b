//! Any bytes on a port are a frame that means something or a typed error, and what is encoded is
//! what is read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate::id::GroupId;
use quorate::lease::{Command, Response};
use quorate_host::frame::{self, Kind};
use quorate_host::lease::{Answer, Query};
use quorate_host::protocol::{Hello, MemberMessage, Reply, Request, Welcome};
use serde::{Serialize, de::DeserializeOwned};

const GROUP: GroupId = GroupId::new(1);

/// Reads the bytes as a frame of this kind; if that succeeds, encodes and reads it again.
fn read<T: Serialize + DeserializeOwned>(kind: Kind, mut bytes: &[u8]) {
    if let Ok(value) = frame::read::<T>(&mut bytes, &mut Vec::new(), kind, GROUP) {
        let again = frame::encode(kind, GROUP, &value).expect("what was read can be written");
        let reread = frame::read::<T>(&mut &again[..], &mut Vec::new(), kind, GROUP);
        let twice = reread.and_then(|value| frame::encode(kind, GROUP, &value));
        assert_eq!(twice.expect("what was written can be read"), again);
    }
}

/// The same for a body alone, with the head that belongs to it: past the checksum.
fn read_body<T: Serialize + DeserializeOwned>(kind: Kind, body: &[u8]) {
    let mut framed = vec![0; frame::HEAD];
    framed[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    (framed[4], framed[5]) = (frame::VERSION, kind as u8);
    framed[8..16].copy_from_slice(&GROUP.number().to_le_bytes());
    framed.extend_from_slice(body);
    let sum = crc32c::crc32c(&framed);
    framed.extend_from_slice(&sum.to_le_bytes());
    read::<T>(kind, &framed);
}

fuzz_target!(|bytes: &[u8]| {
    read::<Hello>(Kind::Hello, bytes);
    read_body::<Hello>(Kind::Hello, bytes);
    read_body::<Welcome>(Kind::Hello, bytes);
    read_body::<MemberMessage<Command>>(Kind::Member, bytes);
    read_body::<Request<Command, Query>>(Kind::Request, bytes);
    read_body::<Reply<Response, Answer>>(Kind::Reply, bytes);
});
