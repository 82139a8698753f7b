//! Real machines with real signatures: whatever a machine writes, says or accuses somebody of, the vault
//! has the signatures of; and what one says, the others believe.

use super::*;
use quorate::Machine;
use quorate::pbft::{Evidence, Input, Output, Pbft, Write};
use quorate::time::{Now, Span};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What travels.
#[derive(Serialize, Deserialize)]
enum Packet {
    Message(Signed<Message>),
    ViewChange(SignedViewChange),
    NewView(SignedNewView),
    Stable(SignedStable),
}

/// What is on a member's disk: a write, and the signatures that go with it.
enum Record {
    Alone(Write),
    Prepared(SignedPrepared),
    Stable(SignedStable),
    Entered(Write, SignedNewView),
}

/// A member with what its host has.
struct Host {
    pbft: Pbft,
    vault: Vault,
    verifier: Verifier,
    disk: Vec<Record>,
    decided: Vec<(Index, Value)>,
    proofs: Vec<Accusation>,
}

/// Four hosts, and what is on the way between them.
struct Council {
    group: Group,
    hosts: Vec<Host>,
    queue: VecDeque<(u8, Vec<u8>)>,
    now: u64,
    /// Who neither hears nor is heard.
    is_cut: Members,
    /// Whether commits are lost, in the first view.
    loses_commits: bool,
    last: u8,
}

impl Group {
    fn host(&self, by: u8, boot: u64) -> Host {
        let config = Config { me: slot(by), boot, ..self.config.clone() };
        Host {
            pbft: Pbft::new(config).unwrap(),
            vault: self.vault(),
            verifier: self.verifier(),
            disk: Vec::new(),
            decided: Vec::new(),
            proofs: Vec::new(),
        }
    }
}

impl Council {
    fn new() -> Self {
        let group = Group::of(4);
        let hosts = (0..4).map(|by| group.host(by, 1)).collect();
        let (is_cut, queue) = (Members::NONE, VecDeque::new());
        Self { group, hosts, queue, now: 1, is_cut, loses_commits: false, last: 0 }
    }

    /// Tells a member something, and does what it says.
    fn step(&mut self, by: u8, input: Input<'_>) {
        let host = &mut self.hosts[usize::from(by)];
        let outputs = host.pbft.step_vec(Now::mono(self.now), input);
        let mut receipt = None;
        for output in outputs.unwrap_or_default() {
            if let Output::Persist { receipt: newest, .. } = output {
                receipt = Some(newest);
            }
            self.perform(by, output);
        }
        if let Some(receipt) = receipt {
            self.step(by, Input::Persisted(receipt));
        }
    }

    fn perform(&mut self, by: u8, output: Output) {
        let (signer, host) =
            (&self.group.signers[usize::from(by)], &mut self.hosts[usize::from(by)]);
        match output {
            Output::Persist { write, .. } => {
                let record = host.hold(signer, write);
                host.disk.push(record);
            }
            Output::Send { to, message } => {
                let said = signer.message(message);
                // What lies below a checkpoint that became stable in the same step is told all the same.
                let _ = host.vault.keep(&said);
                let is_commit = matches!(
                    message,
                    Message::Vote(it) if it.phase == Phase::Commit && it.view == View::ZERO
                );
                if !(self.loses_commits && is_commit) {
                    self.send(by, to, &Packet::Message(*said));
                }
            }
            Output::SendViewChange { to } => {
                let own = host.vault.view_change(slot(by)).unwrap();
                let packet = Packet::ViewChange((***own).clone());
                self.send(by, to, &packet);
            }
            Output::SendNewView { to } => {
                let packet = Packet::NewView((***host.vault.new_view().unwrap()).clone());
                self.send(by, to, &packet);
            }
            Output::SendStable { to, stable } => {
                let certificate = host.vault.stable_certificate(&stable).unwrap();
                self.send(by, to, &Packet::Stable(SignedStable { stable, certificate }));
            }
            Output::Want { value, .. } => self.step(by, Input::Available(value.digest)),
            Output::Committed { index, value } => self.decide(by, index, value),
            Output::Accuse(evidence) => host.proofs.push(host.vault.accusation(&evidence).unwrap()),
            Output::Fetch(stable) => self.checkpoint(by, stable.checkpoint.index),
            _ => {}
        }
    }

    fn decide(&mut self, by: u8, index: Index, value: Value) {
        self.hosts[usize::from(by)].decided.push((index, value));
        self.step(by, Input::Executed(&[value.digest]));
        if index.number().is_multiple_of(u64::from(INTERVAL)) {
            self.checkpoint(by, index);
        }
    }

    /// A state is durable: its checkpoint is signed and kept before the machine, which counts it at
    /// once, is told.
    fn checkpoint(&mut self, by: u8, index: Index) {
        let own = checkpoint(index.number(), 1);
        let said = self.group.checkpoint(by, own);
        let _ = self.hosts[usize::from(by)].vault.keep(&said);
        self.step(by, Input::Checkpointed(own));
    }

    fn send(&mut self, by: u8, to: Members, packet: &Packet) {
        for to in to.minus(self.is_cut).iter().filter(|_| !self.is_cut.contains(slot(by))) {
            self.queue.push_back((to.number(), postcard::to_stdvec(packet).unwrap()));
        }
    }

    fn deliver_all(&mut self) {
        while let Some((to, bytes)) = self.queue.pop_front() {
            self.deliver(to, postcard::from_bytes(&bytes).unwrap());
        }
    }

    fn deliver(&mut self, to: u8, packet: Packet) {
        let host = &mut self.hosts[usize::from(to)];
        match packet {
            Packet::Message(it) => {
                let wants = host.pbft.wants(it.from, &it.what);
                let Ok(it) = host.verifier.message(it, wants) else { return assert!(!wants) };
                if host.vault.keep(&it) != Kept::Refused {
                    self.step(to, Input::Message { message: it.verified(), is_here: true });
                }
            }
            Packet::ViewChange(it) => {
                let it = Arc::new(host.verifier.view_change(it, true).unwrap());
                if host.vault.keep_view_change(&it) != Kept::Refused {
                    self.step(to, Input::ViewChange(it.verified()));
                }
            }
            Packet::NewView(it) => {
                let it = Arc::new(host.verifier.new_view(it, true).unwrap());
                if host.vault.keep_new_view(Arc::clone(&it)) != Kept::Refused {
                    self.step(to, Input::NewView(it.verified()));
                }
            }
            Packet::Stable(it) => {
                let it = host.verifier.stable(it, true).unwrap();
                let stable = it.verified();
                host.vault.keep_ahead(it);
                self.step(to, Input::Stable(stable));
            }
        }
    }

    /// Who is not cut off.
    fn heard(&self) -> impl Iterator<Item = u8> + use<> {
        let is_cut = self.is_cut;
        (0..4).filter(move |by| !is_cut.contains(slot(*by)))
    }

    /// The primary of the present view is asked for another value; the others watch over it.
    fn order(&mut self) {
        self.last += 1;
        let value = value(self.last);
        for by in self.heard() {
            self.step(by, Input::Request(value.digest));
        }
        let leads = |by: &u8| self.hosts[usize::from(*by)].pbft.may_propose();
        let primary = self.heard().find(leads);
        if let Some(primary) = primary {
            self.step(primary, Input::Propose(value));
        }
        self.deliver_all();
    }

    /// Time passes, and what is lost is said again.
    fn wait(&mut self, span: Span) {
        for _ in 0..span.as_millis() / 50 {
            self.now += 50_000;
            for by in self.heard() {
                self.step(by, Input::Tick);
            }
            self.deliver_all();
        }
    }

    /// A member begins another life with what is on its disk.
    fn restart(&mut self, by: u8) {
        let mut next = self.group.host(by, 2);
        let signer = &self.group.signers[usize::from(by)];
        let host = &mut self.hosts[usize::from(by)];
        for record in host.disk.drain(..) {
            next.read(signer, record);
        }
        next.decided = std::mem::take(&mut host.decided);
        let new_view = next.vault.new_view().cloned();
        let executed = next.decided.last().map_or(Index::ZERO, |it| it.0);
        self.hosts[usize::from(by)] = next;
        if let Some(new_view) = new_view {
            self.step(by, Input::NewView(new_view.verified()));
        }
        // The state is that of the last checkpoint that was taken; the rest is decided again.
        let index = Index::new(executed.number() / u64::from(INTERVAL) * u64::from(INTERVAL));
        self.hosts[usize::from(by)].decided.retain(|it| it.0 <= index);
        self.checkpoint(by, index);
    }

    /// What those who are not cut off have decided, if all have decided the same.
    fn agreed(&self) -> usize {
        let mut lengths = Vec::new();
        for by in self.heard() {
            let host = &self.hosts[usize::from(by)];
            assert!(host.vault.len() <= Vault::most(&host.pbft.config().clone()), "{by}");
            for (index, value) in &host.decided {
                let known = self.hosts.iter().flat_map(|other| other.decided.iter());
                assert!(known.clone().all(|other| other.0 != *index || other.1 == *value));
            }
            let values = host.decided.iter().filter(|it| !it.1.is_null());
            lengths.push(values.count());
        }
        assert!(lengths.iter().all(|it| *it == lengths[0]), "{lengths:?}");
        lengths[0]
    }
}

impl Host {
    /// Puts the signatures beside a write: the vault has them.
    fn hold(&mut self, signer: &Signer, write: Write) -> Record {
        match write {
            Write::Prepared(it) => Record::Prepared(self.vault.hold(&it).unwrap()),
            Write::Stable(it) => Record::Stable(self.vault.hold_stable(&it).unwrap()),
            Write::Left { view } => {
                self.vault.enter(view);
                self.leave(signer);
                Record::Alone(write)
            }
            Write::Entered { view, .. } => {
                self.vault.enter(view);
                if self.pbft.leads() {
                    let changes = self.pbft.chosen().map(|(from, what)| {
                        let known = self.vault.view_change(*from).unwrap();
                        assert_eq!(known.change.what, *what);
                        &**known
                    });
                    let new_view = signer.new_view(view, changes).unwrap();
                    assert_eq!(self.vault.keep_new_view(Arc::new(new_view)), Kept::New);
                }
                let began = self.vault.new_view().filter(|it| it.view == view).unwrap();
                Record::Entered(write, (***began).clone())
            }
            Write::Accepted { .. } => Record::Alone(write),
        }
    }

    /// Signs what the machine says of the views that it has left, as soon as it has.
    fn leave(&mut self, signer: &Signer) {
        let change = self.pbft.view_change().unwrap().clone();
        let proofs = self.vault.proofs(&change).unwrap();
        let own = Arc::new(signer.view_change(change, proofs));
        assert_ne!(self.vault.keep_view_change(&own), Kept::Refused);
    }

    /// Reads a record of a former life.
    fn read(&mut self, signer: &Signer, record: Record) {
        match &record {
            Record::Alone(write @ Write::Left { view }) => {
                self.pbft.replay(write);
                self.vault.enter(*view);
                self.leave(signer);
            }
            Record::Alone(write) => self.pbft.replay(write),
            Record::Prepared(it) => {
                let _ = self.vault.keep_prepared(self.verifier.prepared(it.clone()).unwrap());
                self.pbft.replay(&Write::Prepared(it.prepared));
            }
            Record::Stable(it) => {
                let _ = self.vault.keep_stable(self.verifier.stable(it.clone(), true).unwrap());
                self.pbft.replay(&Write::Stable(it.stable));
            }
            Record::Entered(write, new_view) => {
                let new_view = self.verifier.new_view(new_view.clone(), true).unwrap();
                self.vault.enter(new_view.view);
                let _ = self.vault.keep_new_view(Arc::new(new_view));
                self.pbft.replay(write);
            }
        }
        self.disk.push(record);
    }
}

#[test]
fn members_that_sign_order_values_and_let_go_of_them() {
    let mut council = Council::new();
    (0..30).for_each(|_| council.order());
    assert_eq!(council.agreed(), 30);
    for host in &council.hosts {
        assert_eq!(host.pbft.stable().checkpoint.index, Index::new(28));
        assert!(host.vault.len() < 40, "{}", host.vault.len());
        assert!(host.proofs.is_empty());
    }
}

#[test]
fn a_view_that_is_left_takes_its_certificates_along() {
    let mut council = Council::new();
    (0..5).for_each(|_| council.order());
    council.loses_commits = true;
    (0..2).for_each(|_| council.order());
    assert_eq!(council.agreed(), 5, "two are prepared, and nobody knows that they are decided");
    council.is_cut = set(&[0]);
    council.wait(Span::secs(3));
    assert_eq!(council.agreed(), 7);
    (0..20).for_each(|_| council.order());
    assert_eq!(council.agreed(), 27);
    assert!(council.hosts[1].pbft.view() > View::ZERO);
    let began = council.hosts[1].vault.new_view().unwrap();
    let claims = began.changes.iter().map(|it| it.1.claims.len());
    assert!(claims.sum::<usize>() >= 3 * 2, "the view changes had something to prove");
    council.is_cut = Members::NONE;
    council.wait(Span::secs(5));
    let [back, ahead] = [0, 1].map(|by: usize| &council.hosts[by].pbft);
    assert_eq!((back.committed(), back.stable()), (ahead.committed(), ahead.stable()));
}

#[test]
fn members_that_stop_anywhere_say_the_same_with_the_same_signatures() {
    for moment in 0..40 {
        let mut council = Council::new();
        (0..5).for_each(|_| council.order());
        council.loses_commits = true;
        (0..2).for_each(|_| council.order());
        council.is_cut = set(&[0]);
        // Somewhere between the first doubt and long after the view has begun.
        council.wait(Span::millis(moment * 100));
        let own = |council: &Council| council.hosts[2].vault.view_change(slot(2)).cloned();
        let said = own(&council);
        council.restart(2);
        if council.hosts[2].pbft.view_change().is_some() {
            assert_eq!(own(&council), said, "at {moment}");
        }
        council.wait(Span::secs(6));
        council.order();
        council.wait(Span::secs(2));
        assert_eq!(council.agreed(), 8, "at {moment}");
        assert!(council.hosts.iter().all(|host| host.proofs.is_empty()), "at {moment}");
    }
}

#[test]
fn a_member_that_votes_twice_is_convicted_before_everyone() {
    let mut council = Council::new();
    council.order();
    let second = prepare(0, 2, 99);
    for of in [2, 99] {
        let vote = Packet::Message(*council.group.vote(3, prepare(0, 2, of)));
        council.deliver(1, vote);
    }
    let proof = council.hosts[1].proofs.pop().unwrap();
    let first = prepare(0, 2, 2);
    assert_eq!(proof.evidence(), Some(Evidence::Votes { by: slot(3), first, second }));
    assert!(council.hosts[2].verifier.accusation(proof, true).is_ok());
}

#[test]
fn the_verifier_counts_views_as_the_machine_does() {
    let group = Group::of(4);
    let machine = group.host(0, 1).pbft;
    let verifier = group.verifier();
    for view in [0, 1, 2, 3, 4, 6, u64::MAX - 1, u64::MAX].map(View::new) {
        assert_eq!(verifier.primary_of(view), Some(machine.primary_of(view)), "{view}");
    }
}
