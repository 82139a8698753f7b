//! What is asked of a group about itself, without its sockets: one node after the other is asked until
//! one answers, or names the leader, who then does.

use crate::asking::Failure;
use crate::protocol::{Ask, Member, ReplyBody};
use quorate::id::{Members, NodeId};
use std::time::Duration;

/// The pause before the nodes are asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one node may take before another is asked.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Something that is asked of a group. It must do no harm to be asked twice.
#[derive(Debug)]
pub struct Errand {
    ask: Ask<(), ()>,
    within: Duration,
    /// Those that were given, then those heard of, [`Members::MOST`] at most.
    nodes: Vec<Node>,
    given: usize,
    /// Whose turn it is, and whether there is a pause before.
    place: usize,
    pauses: bool,
    /// The node that is to leave knows.
    was_told: bool,
    outcome: Option<Result<ReplyBody<(), ()>, Failure>>,
}

#[derive(Debug)]
struct Node {
    address: String,
    /// What it last did instead of answering.
    why: String,
    /// It is no node of this group, and waiting will not make it one.
    is_misfit: bool,
}

impl Node {
    fn new(address: String) -> Self {
        Self { address, why: "was not asked".to_owned(), is_misfit: false }
    }
}

/// What the host is to do next.
#[derive(Debug)]
pub enum Next {
    /// Ask a node, and tell what [came of it](crate::asking::answer_to).
    Ask {
        /// Where it is.
        address: String,
        /// What.
        ask: Ask<(), ()>,
        /// How long it may take.
        within: Duration,
    },
    /// Wait for so long.
    Wait(Duration),
    /// It is over.
    Done(Result<ReplyBody<(), ()>, Failure>),
}

impl Errand {
    /// Asks these nodes, and others that they name, and ends `within` that time.
    #[must_use]
    pub fn new(nodes: &[String], ask: Ask<(), ()>, within: Duration) -> Self {
        let nodes: Vec<_> = nodes.iter().cloned().map(Node::new).collect();
        let given = nodes.len();
        let (place, pauses, was_told, outcome) = (0, false, false, None);
        Self { ask, within, nodes, given, place, pauses, was_told, outcome }
    }

    /// Goes on, that long after it began.
    pub fn next(&mut self, elapsed: Duration) -> Next {
        if let Some(outcome) = self.outcome.take() {
            return Next::Done(outcome);
        }
        let left = self.within.saturating_sub(elapsed);
        match self.nodes.get(self.place).filter(|_| !left.is_zero()) {
            None => Next::Done(Err(self.too_late())),
            Some(_) if std::mem::take(&mut self.pauses) => Next::Wait(PAUSE.min(left)),
            Some(node) => Next::Ask {
                address: node.address.clone(),
                ask: self.ask.clone(),
                within: ATTEMPT.min(left),
            },
        }
    }

    /// Takes in what came of the node that was asked last.
    pub fn hear(&mut self, said: Result<ReplyBody<(), ()>, Failure>) {
        let mut next = self.place.saturating_add(1) % self.nodes.len().max(1);
        let mut is_misfit = false;
        let why = match said {
            Ok(ReplyBody::NotLeader { leader: Some((id, address)) }) => {
                next = self.place_of(address).unwrap_or(next);
                format!("says that node {id} leads")
            }
            Ok(ReplyBody::NotLeader { leader: None }) => "knows no leader".to_owned(),
            Ok(ReplyBody::Unknown) => "lost the lead".to_owned(),
            Ok(ReplyBody::Busy(text)) => format!("is busy: {text}"),
            Ok(ReplyBody::Leaving) => {
                (self.was_told, next) = (true, self.place);
                "cannot do without it yet".to_owned()
            }
            // It is not known any more: it has left, and everybody knows.
            Ok(ReplyBody::Rejected(_)) if self.was_told => return self.end(Ok(ReplyBody::Left)),
            Ok(ReplyBody::Rejected(text)) => return self.end(Err(Failure::Refused(text))),
            Ok(answer) => return self.end(Ok(answer)),
            Err(Failure::NoAnswer { nodes, .. }) => {
                nodes.into_iter().map(|(_, why)| why).collect::<Vec<_>>().join(", ")
            }
            Err(failure) => {
                is_misfit = true;
                failure.to_string()
            }
        };
        if let Some(node) = self.nodes.get_mut(self.place) {
            (node.why, node.is_misfit) = (why, is_misfit);
        }
        if self.nodes.iter().all(|node| node.is_misfit) {
            let each: Vec<_> = self.nodes.iter().map(|node| node.why.as_str()).collect();
            return self.end(Err(Failure::Refused(each.join("; "))));
        }
        self.pauses = next <= self.place || next >= self.given;
        self.place = next;
    }

    fn end(&mut self, outcome: Result<ReplyBody<(), ()>, Failure>) {
        self.outcome = Some(outcome);
    }

    fn place_of(&mut self, address: String) -> Option<usize> {
        let known = self.nodes.iter().position(|node| node.address == address);
        let has_room = self.nodes.len() < Members::MOST;
        known.or_else(|| {
            has_room.then(|| {
                self.nodes.push(Node::new(address));
                self.nodes.len().saturating_sub(1)
            })
        })
    }

    fn too_late(&self) -> Failure {
        let within = self.within;
        if self.was_told {
            return Failure::Unknown { within };
        }
        let nodes = self.nodes.iter().map(|node| (node.address.clone(), node.why.clone()));
        Failure::NoAnswer { within, nodes: nodes.collect() }
    }
}

/// Asks who the members are, as far as the first node knows that answers.
#[must_use]
pub fn members(nodes: &[String], within: Duration) -> Errand {
    Errand::new(nodes, Ask::Members, within)
}

/// Who they are, if that was the answer.
///
/// # Errors
/// [`Failure::Refused`], if it was not.
pub fn members_in(answer: ReplyBody<(), ()>) -> Result<Vec<Member>, Failure> {
    match answer {
        ReplyBody::Members(members) => Ok(members),
        _ => Err(Failure::nonsense()),
    }
}

/// Tells a node to leave, and asks until it has. [`Failure::Unknown`] comes of it if it has been told, and
/// has not left in time.
#[must_use]
pub fn leave(nodes: &[String], node: NodeId, within: Duration) -> Errand {
    Errand::new(nodes, Ask::Leave { node }, within)
}

/// That it has left, if that was the answer.
///
/// # Errors
/// [`Failure::Refused`], if it was not.
pub fn left_in(answer: &ReplyBody<(), ()>) -> Result<(), Failure> {
    match answer {
        ReplyBody::Left => Ok(()),
        _ => Err(Failure::nonsense()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn nodes(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Who is asked next, at once.
    fn asked(errand: &mut Errand) -> String {
        match errand.next(Duration::ZERO) {
            Next::Ask { address, .. } => address,
            other => panic!("{other:?}"),
        }
    }

    fn pauses(errand: &mut Errand) -> bool {
        matches!(errand.next(Duration::ZERO), Next::Wait(PAUSE))
    }

    fn outcome(errand: &mut Errand, elapsed: Duration) -> Result<ReplyBody<(), ()>, Failure> {
        match errand.next(elapsed) {
            Next::Done(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn led_by(address: &str) -> Result<ReplyBody<(), ()>, Failure> {
        Ok(ReplyBody::NotLeader { leader: Some((NodeId::new(7), address.to_owned())) })
    }

    fn silent() -> Result<ReplyBody<(), ()>, Failure> {
        let nodes = vec![("x".to_owned(), "did not answer".to_owned())];
        Err(Failure::NoAnswer { within: ATTEMPT, nodes })
    }

    #[test]
    fn all_are_asked_in_turn_with_a_pause_between_rounds_and_whoever_leads_is_asked_next() {
        let mut errand = members(&nodes(&["a", "b", "c"]), LONG);
        assert_eq!(asked(&mut errand), "a");
        errand.hear(silent());
        assert_eq!(asked(&mut errand), "b");
        errand.hear(led_by("a"));
        assert!(pauses(&mut errand));
        assert_eq!(asked(&mut errand), "a");
        errand.hear(led_by("new"));
        assert!(pauses(&mut errand));
        assert_eq!(asked(&mut errand), "new");
        errand.hear(silent());
        assert!(pauses(&mut errand));
        assert_eq!(asked(&mut errand), "a");
        errand.hear(Ok(ReplyBody::Members(Vec::new())));
        assert_eq!(outcome(&mut errand, LONG).and_then(members_in), Ok(Vec::new()));
    }

    #[test]
    fn as_many_nodes_are_remembered_as_a_group_may_have() {
        let mut errand = members(&nodes(&["a"]), LONG);
        for number in 0..2 * Members::MOST {
            errand.hear(led_by(&number.to_string()));
        }
        assert_eq!(errand.nodes.len(), Members::MOST);
    }

    #[test]
    fn a_refusal_is_final_and_so_are_nodes_that_are_all_of_another_group() {
        let mut errand = members(&nodes(&["a", "b"]), LONG);
        errand.hear(Ok(ReplyBody::Rejected("no".to_owned())));
        assert_eq!(outcome(&mut errand, LONG), Err(Failure::Refused("no".to_owned())));

        let mut errand = members(&nodes(&["a", "b"]), LONG);
        errand.hear(Err(Failure::Refused("a serves group 2".to_owned())));
        assert_eq!(asked(&mut errand), "b");
        errand.hear(Err(Failure::Refused("b serves group 3".to_owned())));
        let both = "a serves group 2; b serves group 3".to_owned();
        assert_eq!(outcome(&mut errand, LONG), Err(Failure::Refused(both)));
    }

    #[test]
    fn a_leave_is_done_when_the_node_has_left_or_is_known_no_more() {
        let gone = || Ok(ReplyBody::Rejected("the node is no member".to_owned()));
        for last in [Ok(ReplyBody::Left), gone()] {
            let mut errand = leave(&nodes(&["a", "b"]), NodeId::new(1), LONG);
            errand.hear(Ok(ReplyBody::Leaving));
            assert!(pauses(&mut errand));
            assert_eq!(asked(&mut errand), "a", "who knows is asked again");
            errand.hear(last);
            assert_eq!(outcome(&mut errand, LONG).and_then(|said| left_in(&said)), Ok(()));
        }
        let mut errand = leave(&nodes(&["a"]), NodeId::new(1), LONG);
        errand.hear(gone());
        assert!(outcome(&mut errand, LONG).is_err(), "it never was one");
    }

    #[test]
    fn time_that_is_over_is_told_apart_by_whether_anything_was_begun() {
        let mut errand = leave(&nodes(&["a", "b"]), NodeId::new(1), LONG);
        errand.hear(silent());
        let each = [("a", "did not answer"), ("b", "was not asked")];
        let nodes_did = each.map(|(node, why)| (node.to_owned(), why.to_owned())).to_vec();
        let none = Failure::NoAnswer { within: LONG, nodes: nodes_did };
        assert_eq!(outcome(&mut errand, LONG), Err(none));
        errand.hear(Ok(ReplyBody::Leaving));
        assert_eq!(outcome(&mut errand, LONG), Err(Failure::Unknown { within: LONG }));
        assert!(outcome(&mut members(&[], LONG), Duration::ZERO).is_err(), "there is nobody");
    }
}
