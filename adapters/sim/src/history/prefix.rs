//! The shortest beginning of a history that is wrong already.
//!
//! What is wrong stays wrong as more happens: a beginning has fewer answers to explain, and what
//! has not ended in it may have happened or not. So the shortest is found by halving.

use super::search::{Found, Search};
use super::timeline::Timeline;
use super::{Event, History, Model, Moment, OperationId, Violation};

/// The shortest beginning of these events that no order explains, given that none explains them
/// all, and that the orders reach the end of `furthest`, not beyond.
pub(super) fn shortest<M: Model>(
    model: &M,
    history: &History<M::Call, M::Answer>,
    mut events: Vec<Event>,
    furthest: OperationId,
    budget: u64,
) -> Violation {
    let is_reached = |event: &Event| event.operation == furthest && event.moment == Moment::Ends;
    // An order that explains all answers before that end explains the events before it.
    let mut right = events.iter().position(is_reached).unwrap_or(0);
    let mut wrong = events.len();
    let mut is_shortest = true;
    let mut left = budget;
    // Most often that end itself is what cannot be, so it is the first guess. It is not if an
    // operation under way then was excluded only by how it ended later.
    let mut guess = right + 1;
    while right + 1 < wrong {
        let mut search = Search::new(model, Timeline::new(history, &events[..guess]), left);
        match search.run() {
            Found::Nothing { .. } => wrong = guess,
            Found::Order(_) => {
                right = guess;
                is_shortest = true;
            }
            Found::OutOfBudget => {
                // What it is nobody knows; the next longer ones may be easier.
                right = guess;
                is_shortest = false;
            }
        }
        left = left.saturating_sub(search.steps());
        guess = right + (wrong - right) / 2;
    }
    events.truncate(wrong);
    Violation { events, is_shortest }
}
