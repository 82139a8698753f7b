//! A replica under a shuffled network.
use quorate::codec::{Codec, Malformed, NoRoom, Sink};
use quorate::id::{ClientId, Index, Slot};
use quorate::replica::{Outcome, Replica, Request};
use quorate::rng::Rng;
use quorate::time::Span;
use quorate::{Position, StateMachine};
use quorate_sim::cluster::Cluster;
use quorate_sim::raft::Setup as RaftSetup;
use quorate_sim::replica::{Ask, Setup};
use std::collections::BTreeMap;

/// Adds numbers, and chains a hash over everything applied.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Sum {
    sum: u64,
    chain: u64,
    at: u64,
}
impl StateMachine for Sum {
    type Command = u64;
    type Response = u64;
    fn apply(&mut self, at: Position, command: &u64) -> u64 {
        self.sum += command;
        self.at = at.entry.index.number();
        self.chain = quorate::codec::digest(
            &[
                self.chain.to_le_bytes(),
                command.to_le_bytes(),
                at.entry.index.number().to_le_bytes(),
            ]
            .concat(),
        );
        self.sum
    }
    fn snapshot<S: Sink + ?Sized>(&self, sink: &mut S) -> Result<(), NoRoom> {
        self.sum.encode(sink)?;
        self.chain.encode(sink)?;
        self.at.encode(sink)
    }
    fn restore(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        *self = Self {
            sum: u64::decode(&mut bytes)?,
            chain: u64::decode(&mut bytes)?,
            at: u64::decode(&mut bytes)?,
        };
        Ok(())
    }
}

#[test]
fn random() {
    let (mut installs, mut dones) = (0, 0);
    for seed in 0..1000 {
        let mut rng = Rng::new(seed);
        let n = 1 + rng.below(5) as u8;
        let setup = Setup {
            raft: RaftSetup { seed, ..RaftSetup::of(n) },
            clock: Default::default(),
            state: Sum::default(),
        };
        let mut c: Cluster<Replica<Sum>> = Cluster::new(n, setup);
        c.disorder = Some(Rng::new(seed));
        for s in 0..n {
            c.disk_is_fast(s, rng.below(3) == 0);
        }
        let mut chains: BTreeMap<Index, Sum> = BTreeMap::new();
        let mut sequence = 0;
        for step in 0..1500 {
            c.shuffle(&mut rng);
            if rng.below(6) == 0 {
                let slot = rng.below(n.into()) as u8;
                let client = ClientId::new(1 + rng.below(10));
                let requests = if rng.below(4) == 0 {
                    vec![Request::Open { client }]
                } else {
                    sequence += 1;
                    (0..1 + rng.below(3))
                        .map(|i| Request::Command {
                            client,
                            sequence: sequence - i.min(sequence - 1),
                            command: 1 + rng.below(9),
                        })
                        .collect()
                };
                let _ = c.ask(slot, Ask::Submit(requests));
            }
            if rng.below(20) == 0 {
                let _ = c.ask(rng.below(n.into()) as u8, Ask::Read);
            }
            for slot in c.living() {
                let m = c.machine(slot.number());
                assert!(
                    m.raft().stopped().is_none(),
                    "seed {seed} step {step} {:?}\n{}",
                    m.raft().stopped(),
                    c.story()
                );
                let at = m.applied().entry.index;
                let was = chains.entry(at).or_insert_with(|| m.state().clone());
                assert_eq!(
                    was,
                    m.state(),
                    "seed {seed} step {step} n{slot} at {at}\n{}",
                    c.story()
                );
            }
        }
        c.heal();
        for s in 0..n {
            c.start(Slot::new(s));
            c.disk_is_fast(s, true);
        }
        c.settle();
        c.pass(Span::secs(30));
        let leader = (0..n)
            .find(|&s| c.machine(s).raft().leads())
            .unwrap_or_else(|| panic!("no leader seed {seed}\n{}", c.story()));
        let client = ClientId::new(77);
        c.ask(
            leader,
            Ask::Submit(vec![
                Request::Open { client },
                Request::Command { client, sequence: 1, command: 5 },
            ]),
        )
        .unwrap_or_else(|e| panic!("{e} seed {seed} {}", c.story()));
        c.settle();
        c.pass(Span::millis(300));
        let last = c.machine(leader).applied();
        match c.machine(leader).outcome(client, 1) {
            Outcome::Done(_) => dones += 1,
            other => panic!("{other:?} seed {seed}"),
        }
        for s in 0..n {
            assert_eq!((s, c.machine(s).applied()), (s, last), "seed {seed}\n{}", c.story());
            assert_eq!(c.machine(s).state(), c.machine(leader).state());
        }
        if c.story().contains("snapshot") {
            installs += c.story().matches("hears").count().min(1);
        }
    }
    println!("installs {installs} {dones}");
}
