//! A second counter: stateright, over states spelled out, without numbers, memory or our search.

use super::counts::explored;
use quorate::id::Slot;
use quorate_sim::explore::raft::laws::{self, Facts};
use quorate_sim::explore::raft::member::{Letter, Member, Move};
use quorate_sim::explore::raft::{Rest, Shape, letters};
use stateright::util::HashableHashSet;
use stateright::{Checker as _, Model, Property};

struct Spelled(Shape);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Whole {
    members: Vec<Member>,
    sent: HashableHashSet<Letter>,
    rest: Rest,
}

impl Whole {
    fn facts(&self) -> Vec<Facts> {
        self.members.iter().map(Member::facts).collect()
    }
}

impl Model for Spelled {
    type State = Whole;
    type Action = (usize, Move);

    fn init_states(&self) -> Vec<Whole> {
        let born = |slot| Member::new(Slot::new(slot), self.0.founders());
        let members = (0..self.0.nodes).map(born).collect();
        vec![Whole { members, sent: HashableHashSet::new(), rest: Rest::of(self.0) }]
    }

    fn actions(&self, state: &Whole, actions: &mut Vec<(usize, Move)>) {
        for (slot, member) in state.members.iter().enumerate() {
            let own = state.rest.permits(member, &member.facts());
            actions.extend(own.into_iter().map(|happens| (slot, happens)));
        }
        let heard = |letter: &Letter| (letter.to.position(), Move::Hear(*letter));
        actions.extend(state.sent.iter().map(heard));
    }

    fn next_state(&self, state: &Whole, (slot, happens): (usize, Move)) -> Option<Whole> {
        let mut next = state.clone();
        let (member, said) = state.members[slot].after(happens).expect("no law is broken")?;
        next.sent.extend(letters(Slot::new(slot as u8), &said));
        next.rest = state.rest.after(happens, &member.facts()).expect("no law is broken");
        next.members[slot] = member;
        let terms: Vec<_> = next.facts().iter().map(|facts| facts.ballot.0).collect();
        next.sent.retain(|letter| !letter.is_spent(terms[letter.to.position()]));
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let hold = |_: &Self, state: &Whole| laws::hold(&state.facts(), &state.rest.past).is_ok();
        vec![Property::always("the laws hold", hold)]
    }
}

fn agrees(name: &str) {
    let shape = Shape::named(name).expect("there is such a model");
    let (progress, _) = explored(shape);
    let checker = Spelled(shape).checker().spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.is_done());
    assert_eq!(checker.unique_state_count(), progress.states);
}

#[test]
fn stateright_counts_as_many_states_of_an_election() {
    agrees("raft-3-election");
}

#[test]
fn stateright_counts_as_many_states_of_an_entry_with_a_crash() {
    agrees("raft-3-tiny");
}
