//! The calls and returns of a history as a linked list, from which operations are lifted.
//!
//! Only what was answered is in the list. An operation that is given its place in the order is
//! lifted, its call and its return; it is put back when the search retreats, last out first in. So
//! what stands before the first return that is left are the calls of the operations that may come
//! next, and whatever has been lifted began before that return.
//!
//! That also names what has been lifted in a few bits, however long the history is: all that ended
//! before the first return that is left, and some of those that were under way then. For the
//! latter every operation has a slot while it is under way, and lifting it flips the slot's bit. All
//! earlier owners of the slot have flipped it too, each once, so for a given first return equal
//! bits mean equal sets.

use super::{Event, History, Moment, OperationId, Outcome};

/// Where a timeline begins; not a call or return.
pub(super) const HEAD: u32 = 0;

/// A history, or a beginning of one, as the search wants it.
pub(super) struct Timeline<'a, C, A> {
    /// What was answered, in the order in which it began.
    answered: Vec<Answered<'a, C, A>>,
    /// What is open, likewise.
    open: Vec<(&'a C, OperationId)>,
    /// Calls and returns, in the order of time, after a head and before an end.
    nodes: Vec<Node>,
    /// The slots that are needed.
    slots: u32,
}

struct Answered<'a, C, A> {
    call: &'a C,
    answer: &'a A,
    id: OperationId,
    call_node: u32,
    return_node: u32,
    slot: u32,
    /// How many open operations began before it ended.
    open_before: u32,
}

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    previous: u32,
    /// The place of its operation among the answered ones.
    operation: u32,
    is_return: bool,
}

/// A number of operations, nodes or slots.
fn small(number: usize) -> u32 {
    u32::try_from(number).expect("`check` demands fewer than 2^30 operations")
}

impl<'a, C, A> Timeline<'a, C, A> {
    /// The timeline of some first events of a history. What does not end among them is open; what
    /// fails among them is left out.
    pub(super) fn new(history: &'a History<C, A>, events: &[Event]) -> Self {
        const UNSEEN: u32 = u32::MAX;
        let operations = history.operations();
        let mut has_ended = vec![false; operations.len()];
        for event in events.iter().filter(|event| event.moment == Moment::Ends) {
            has_ended[event.operation.0] = true;
        }
        let unplaced = Node { next: 0, previous: 0, operation: UNSEEN, is_return: false };
        let mut timeline =
            Self { answered: Vec::new(), open: Vec::new(), nodes: vec![unplaced], slots: 0 };
        let mut places = vec![UNSEEN; operations.len()];
        let mut free_slots = Vec::new();
        for Event { moment, operation: id, .. } in events {
            let operation = &operations[id.0];
            let node = small(timeline.nodes.len());
            match (moment, &operation.outcome) {
                (_, Outcome::Failed { .. }) if has_ended[id.0] => continue,
                (Moment::Begins, Outcome::Ok { answer, .. }) if has_ended[id.0] => {
                    let slot = free_slots.pop().unwrap_or(timeline.slots);
                    timeline.slots = timeline.slots.max(slot + 1);
                    places[id.0] = small(timeline.answered.len());
                    timeline.answered.push(Answered {
                        call: &operation.call,
                        answer,
                        id: *id,
                        call_node: node,
                        return_node: node,
                        slot,
                        open_before: 0,
                    });
                }
                (Moment::Begins, _) => {
                    timeline.open.push((&operation.call, *id));
                    continue;
                }
                (Moment::Ends, _) => {
                    let open_before = small(timeline.open.len());
                    let answered = &mut timeline.answered[places[id.0] as usize];
                    answered.return_node = node;
                    answered.open_before = open_before;
                    free_slots.push(answered.slot);
                }
            }
            let is_return = *moment == Moment::Ends;
            timeline.nodes.push(Node { operation: places[id.0], is_return, ..unplaced });
        }
        timeline.nodes.push(unplaced);
        timeline.link();
        timeline
    }

    fn link(&mut self) {
        let last = small(self.nodes.len() - 1);
        for (node, number) in self.nodes.iter_mut().zip(0_u32..) {
            node.previous = number.saturating_sub(1);
            node.next = last.min(number + 1);
        }
    }

    /// How many operations were answered. The open ones are counted on from there.
    pub(super) fn answered(&self) -> u32 {
        small(self.answered.len())
    }

    /// How many are open.
    pub(super) fn open(&self) -> u32 {
        small(self.open.len())
    }

    /// How many operations were answered or are open.
    pub(super) fn len(&self) -> usize {
        self.answered.len() + self.open.len()
    }

    /// How many bits name what has been lifted: the slots, then the open operations.
    pub(super) fn bits(&self) -> usize {
        self.slots as usize + self.open.len()
    }

    /// The bit that is flipped when an operation is lifted.
    pub(super) fn bit(&self, operation: u32) -> usize {
        match self.answered.get(operation as usize) {
            Some(answered) => answered.slot as usize,
            None => self.slots as usize + operation as usize - self.answered.len(),
        }
    }

    /// What was asked, and the answer if there was one.
    pub(super) fn call(&self, operation: u32) -> (&'a C, Option<&'a A>) {
        match self.answered.get(operation as usize) {
            Some(answered) => (answered.call, Some(answered.answer)),
            None => (self.open[operation as usize - self.answered.len()].0, None),
        }
    }

    /// Which operation of the history it is.
    pub(super) fn id(&self, operation: u32) -> OperationId {
        match self.answered.get(operation as usize) {
            Some(answered) => answered.id,
            None => self.open[operation as usize - self.answered.len()].1,
        }
    }

    /// The node after this one.
    pub(super) fn after(&self, node: u32) -> u32 {
        self.nodes[node as usize].next
    }

    /// Whether nothing comes after this node, because it is the end of the list.
    pub(super) fn is_end(&self, node: u32) -> bool {
        node as usize == self.nodes.len() - 1
    }

    /// Whether a node is a return.
    pub(super) fn is_return(&self, node: u32) -> bool {
        self.nodes[node as usize].is_return
    }

    /// The operation of a call or return.
    pub(super) fn operation(&self, node: u32) -> u32 {
        self.nodes[node as usize].operation
    }

    /// How many open operations began before the return of an answered one.
    pub(super) fn open_before(&self, operation: u32) -> u32 {
        self.answered[operation as usize].open_before
    }

    /// Takes an answered operation out of the list.
    pub(super) fn lift(&mut self, operation: u32) {
        let Answered { call_node, return_node, .. } = self.answered[operation as usize];
        for node in [call_node, return_node] {
            let Node { next, previous, .. } = self.nodes[node as usize];
            self.nodes[previous as usize].next = next;
            self.nodes[next as usize].previous = previous;
        }
    }

    /// Puts it back. What was lifted after it has been put back before it.
    pub(super) fn put_back(&mut self, operation: u32) {
        let Answered { call_node, return_node, .. } = self.answered[operation as usize];
        for node in [return_node, call_node] {
            let Node { next, previous, .. } = self.nodes[node as usize];
            self.nodes[previous as usize].next = node;
            self.nodes[next as usize].previous = node;
        }
    }
}
