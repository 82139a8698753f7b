//! Signed bytes can be read back, and are what they were.

use super::*;
use crate::bounded::List;
use crate::codec::{Malformed, take};
use crate::hlc::Stamp;
use crate::id::{EntryId, Index, Members, Term};
use crate::limits::MOST;
use crate::pbft::Claims;
use crate::rng::Rng;
use crate::state_machine::Position;
use quickcheck::{Gen, QuickCheck};
use std::format;
use std::string::String;
use std::vec::Vec;

struct Bytes(Vec<u8>);

impl Sink for Bytes {
    fn put(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn bytes_of(statement: &Statement<'_>, scope: &Scope, from: Slot) -> Vec<u8> {
    let mut bytes = Bytes(Vec::new());
    statement.signed_bytes(scope, from, &mut bytes).unwrap();
    bytes.0
}

/// A statement of its own, so that one can be drawn and read back.
#[derive(Clone, PartialEq, Debug)]
enum Owned {
    Fixed(Statement<'static>),
    ViewChange(ViewChange),
    NewView(View, Vec<(Slot, Digest)>),
}

impl Owned {
    fn borrowed(&self) -> Statement<'_> {
        match self {
            Self::Fixed(statement) => *statement,
            Self::ViewChange(change) => Statement::ViewChange(change),
            Self::NewView(view, changes) => Statement::NewView { view: *view, changes },
        }
    }
}

/// Draws of few values, so that two statements often agree in most of what they say.
struct Draw(Rng);

impl Draw {
    fn number(&mut self) -> u64 {
        match self.0.below(4) {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            _ => self.0.draw(),
        }
    }

    fn small(&mut self) -> u32 {
        (self.number() & 0xffff_ffff) as u32
    }

    fn slot(&mut self) -> Slot {
        Slot::new((self.number() & 0xff) as u8)
    }

    fn digest(&mut self) -> Digest {
        let of = (self.number() & 0xff) as u8;
        let mut bytes = [of; 32];
        bytes[31] = (self.number() & 0xff) as u8;
        Digest::new(bytes)
    }

    fn stamp(&mut self) -> Stamp {
        Stamp::decode(&mut self.number().to_le_bytes().as_slice()).unwrap()
    }

    fn members(&mut self) -> Members {
        Members::from_bits(self.small())
    }

    fn value(&mut self) -> Value {
        Value { digest: self.digest(), stamp: self.stamp() }
    }

    fn checkpoint(&mut self) -> Checkpoint {
        let index = Index::new(self.number());
        Checkpoint { index, state: self.digest(), stamp: self.stamp() }
    }

    fn view(&mut self) -> View {
        View::new(self.number())
    }

    fn prepared(&mut self) -> Prepared {
        let (view, index) = (self.view(), Index::new(self.number()));
        Prepared { view, index, value: self.value(), signers: self.members() }
    }

    fn change(&mut self) -> ViewChange {
        let stable = Stable { checkpoint: self.checkpoint(), signers: self.members() };
        let mut claims = Claims::new();
        for _ in 0..self.0.below(4) {
            claims.push(self.prepared()).unwrap();
        }
        ViewChange { view: self.view(), stable, claims }
    }

    fn statement(&mut self) -> Owned {
        Owned::Fixed(match self.0.below(8) {
            kind @ (0 | 1) => Statement::Vote(Vote {
                phase: if kind == 0 { Phase::Prepare } else { Phase::Commit },
                view: self.view(),
                index: Index::new(self.number()),
                value: self.value(),
            }),
            2 => Statement::Checkpoint(self.checkpoint()),
            3 => Statement::Status(Status {
                view: self.view(),
                is_active: self.0.below(2) == 1,
                changes: self.members(),
                stable: Index::new(self.number()),
                committed: Index::new(self.number()),
                prepared: Index::new(self.number()),
            }),
            4 => return Owned::ViewChange(self.change()),
            5 => {
                let view = self.view();
                let changes = (0..self.0.below(4)).map(|_| (self.slot(), self.digest()));
                return Owned::NewView(view, changes.collect());
            }
            6 => Statement::Request {
                client: ClientId::new(self.number()),
                sequence: self.number(),
                command: self.digest(),
            },
            _ => Statement::Reply {
                client: ClientId::new(self.number()),
                sequence: self.number(),
                at: Position {
                    entry: EntryId::new(Term::new(self.number()), Index::new(self.number())),
                    stamp: self.stamp(),
                },
                result: self.digest(),
                is_stale: self.0.below(2) == 1,
            },
        })
    }

    fn scope(&mut self) -> Scope {
        Scope {
            group: GroupId::new(self.number()),
            configuration: self.digest(),
            epoch: self.small(),
            attempt: self.small(),
        }
    }
}

fn flag(bytes: &mut &[u8]) -> Result<bool, Malformed> {
    match u8::decode(bytes)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

fn read<T: Codec>(bytes: &mut &[u8]) -> Result<T, Malformed> {
    T::decode(bytes)
}

fn read_value(bytes: &mut &[u8]) -> Result<Value, Malformed> {
    Ok(Value { digest: read(bytes)?, stamp: read(bytes)? })
}

fn read_checkpoint(bytes: &mut &[u8]) -> Result<Checkpoint, Malformed> {
    Ok(Checkpoint { index: read(bytes)?, state: read(bytes)?, stamp: read(bytes)? })
}

fn read_prepared(bytes: &mut &[u8]) -> Result<Prepared, Malformed> {
    Ok(Prepared {
        view: read(bytes)?,
        index: read(bytes)?,
        value: read_value(bytes)?,
        signers: read(bytes)?,
    })
}

/// Reads signed bytes back, with nothing else to go by.
fn read_back(bytes: &mut &[u8]) -> Result<(Scope, Slot, Owned), Malformed> {
    if take(bytes, DOMAIN.len())? != DOMAIN {
        return Err(Malformed);
    }
    let scope = Scope {
        group: read(bytes)?,
        configuration: read(bytes)?,
        epoch: read(bytes)?,
        attempt: read(bytes)?,
    };
    let (kind, from): (u8, Slot) = (read(bytes)?, read(bytes)?);
    let statement = Owned::Fixed(match kind {
        1 | 2 => Statement::Vote(Vote {
            phase: if kind == 1 { Phase::Prepare } else { Phase::Commit },
            view: read(bytes)?,
            index: read(bytes)?,
            value: read_value(bytes)?,
        }),
        3 => Statement::Checkpoint(read_checkpoint(bytes)?),
        4 => Statement::Status(Status {
            view: read(bytes)?,
            is_active: flag(bytes)?,
            changes: read(bytes)?,
            stable: read(bytes)?,
            committed: read(bytes)?,
            prepared: read(bytes)?,
        }),
        5 => {
            let view = read(bytes)?;
            let checkpoint = read_checkpoint(bytes)?;
            let stable = Stable { checkpoint, signers: read(bytes)? };
            let mut claims = List::new();
            for _ in 0..u64::decode(bytes)? {
                claims.push(read_prepared(bytes)?).map_err(|_| Malformed)?;
            }
            return Ok((scope, from, Owned::ViewChange(ViewChange { view, stable, claims })));
        }
        6 => {
            let view = read(bytes)?;
            let count = u64::decode(bytes)?;
            let changes = (0..count).map(|_| Ok((read(bytes)?, read(bytes)?)));
            return Ok((scope, from, Owned::NewView(view, changes.collect::<Result<_, _>>()?)));
        }
        7 => Statement::Request {
            client: read(bytes)?,
            sequence: read(bytes)?,
            command: read(bytes)?,
        },
        8 => Statement::Reply {
            client: read(bytes)?,
            sequence: read(bytes)?,
            at: Position { entry: read(bytes)?, stamp: read(bytes)? },
            result: read(bytes)?,
            is_stale: flag(bytes)?,
        },
        _ => return Err(Malformed),
    });
    Ok((scope, from, statement))
}

// If every statement can be read back from its bytes alone, no two have the same.
#[test]
fn signed_bytes_say_exactly_one_thing() {
    fn law(seed: u64) -> bool {
        let mut draw = Draw(Rng::new(seed));
        let (scope, from, statement) = (draw.scope(), draw.slot(), draw.statement());
        let bytes = bytes_of(&statement.borrowed(), &scope, from);
        let mut rest = bytes.as_slice();
        read_back(&mut rest) == Ok((scope, from, statement)) && rest.is_empty()
    }
    let generator = Gen::from_size_and_seed(100, 1);
    QuickCheck::new().rng(generator).tests(20_000).quickcheck(law as fn(u64) -> bool);
}

#[test]
fn two_statements_that_differ_have_other_bytes_and_none_begins_with_another() {
    fn law(seed: u64) -> bool {
        let mut draw = Draw(Rng::new(seed));
        let (scope, from) = (draw.scope(), draw.slot());
        let others = (0..6).map(|_| draw.statement()).collect::<Vec<_>>();
        others.iter().all(|one| {
            let bytes = bytes_of(&one.borrowed(), &scope, from);
            others
                .iter()
                .filter(|other| *other != one)
                .all(|other| !bytes_of(&other.borrowed(), &scope, from).starts_with(&bytes))
        })
    }
    let generator = Gen::from_size_and_seed(100, 2);
    QuickCheck::new().rng(generator).tests(4_000).quickcheck(law as fn(u64) -> bool);
}

#[test]
fn a_statement_is_of_its_group_members_epoch_attempt_and_sender_alone() {
    let statement = Draw(Rng::new(1)).statement();
    let scope = sample_scope();
    let base = bytes_of(&statement.borrowed(), &scope, Slot::new(3));
    for other in [
        Scope { group: GroupId::new(8), ..scope },
        Scope { configuration: Digest::new([0xcd; 32]), ..scope },
        Scope { epoch: 10, ..scope },
        Scope { attempt: 11, ..scope },
    ] {
        assert_ne!(bytes_of(&statement.borrowed(), &other, Slot::new(3)), base);
    }
    assert_ne!(bytes_of(&statement.borrowed(), &scope, CLIENT), base);
}

#[test]
fn no_member_can_have_the_slot_with_which_clients_sign() {
    assert!(Members::only(CLIENT).is_empty());
    assert!(CLIENT.position() >= MOST.members);
}

fn sample_scope() -> Scope {
    let configuration = Digest::new([0xcf; 32]);
    Scope { group: GroupId::new(7), configuration, epoch: 9, attempt: 10 }
}

fn stamp(of: u64) -> Stamp {
    Stamp::decode(&mut of.to_le_bytes().as_slice()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write as _;
    let mut text = String::new();
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
    text
}

// Put together by a program of a few lines that knows the words at the top of this file and the order
// of the fields, and nothing of this one: whoever else signs or verifies can be held to them too.
#[test]
fn every_kind_of_statement_has_golden_bytes() {
    let head = "\
            71756f7261746520706266742031000700000000000000cfcfcfcfcfcfcfcfcfcfcfcfcfcfcfcfcfcfcf\
            cfcfcfcfcfcfcfcfcfcfcfcfcf090000000a000000";
    let value = Value { digest: Digest::new([0xd1; 32]), stamp: stamp(0x0102_0304_0506_0708) };
    let (view, index) = (View::new(0x11), Index::new(0x21));
    let vote = Vote { phase: Phase::Prepare, view, index, value };
    let index = Index::new(0x20);
    let checkpoint = Checkpoint { index, state: Digest::new([0xd2; 32]), stamp: value.stamp };
    let mut claims = Claims::new();
    let signers = Members::from_bits(0b1011);
    claims.push(Prepared { view: View::new(0x10), index: vote.index, value, signers }).unwrap();
    let stable = Stable { checkpoint, signers: Members::from_bits(0b111) };
    let change = ViewChange { view: View::new(0x12), stable, claims };
    let changes = [(0, 0xd3), (2, 0xd4)].map(|(by, of)| (Slot::new(by), Digest::new([of; 32])));
    let (client, sequence) = (ClientId::new(0x31), 0x32);
    let entry = EntryId::new(Term::new((9 << 32) | 1), vote.index);
    let status = Status {
        view,
        is_active: true,
        changes: Members::from_bits(0b110),
        stable: index,
        committed: Index::new(0x22),
        prepared: Index::new(0x23),
    };
    let golden = [
        (
            Statement::Vote(vote),
            "\
            010311000000000000002100000000000000d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1\
            d1d1d1d1d1d1d1d10807060504030201",
        ),
        (
            Statement::Vote(Vote { phase: Phase::Commit, ..vote }),
            "\
            020311000000000000002100000000000000d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1\
            d1d1d1d1d1d1d1d10807060504030201",
        ),
        (
            Statement::Checkpoint(checkpoint),
            "\
            03032000000000000000d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2\
            0807060504030201",
        ),
        (
            Statement::Status(status),
            "\
            040311000000000000000106000000200000000000000022000000000000002300000000000000",
        ),
        (
            Statement::ViewChange(&change),
            "\
            050312000000000000002000000000000000d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2\
            d2d2d2d2d2d2d2d208070605040302010700000001000000000000001000000000000000210000000000\
            0000d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d10807060504030201\
            0b000000",
        ),
        (
            Statement::NewView { view: change.view, changes: &changes },
            "\
            06031200000000000000020000000000000000d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3\
            d3d3d3d3d3d3d3d3d302d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4",
        ),
        (
            Statement::Request { client, sequence, command: Digest::new([0xd5; 32]) },
            "\
            07ff31000000000000003200000000000000d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5d5\
            d5d5d5d5d5d5d5d5",
        ),
        (
            Statement::Reply {
                client,
                sequence,
                at: Position { entry, stamp: value.stamp },
                result: Digest::new([0xd6; 32]),
                is_stale: true,
            },
            "\
            080331000000000000003200000000000000010000000900000021000000000000000807060504030201\
            d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d6d601",
        ),
    ];
    for (statement, expected) in golden {
        let is_request = matches!(statement, Statement::Request { .. });
        let from = if is_request { CLIENT } else { Slot::new(3) };
        let bytes = bytes_of(&statement, &sample_scope(), from);
        assert_eq!(hex(&bytes), format!("{head}{expected}"), "{statement:?}");
    }
}
