//! Breadth first through every reachable state, so that the first violation found is one of the
//! shortest there are.

use super::index::Numbered;
use super::{Broken, Model};

/// How far a search has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Distinct states found.
    pub states: usize,
    /// Steps taken, those that lead to a known state among them.
    pub steps: u64,
    /// How many steps the newest states are from the beginning.
    pub depth: usize,
    /// States found whose steps were not taken.
    pub frontier: usize,
    /// Bytes that the states take.
    pub bytes: usize,
}

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End<S, A> {
    /// Every reachable state was visited and every law holds in each.
    Whole,
    /// A law is broken: this one, at the end of this path from an initial state.
    Broken {
        /// Where it begins.
        from: S,
        /// What was done; the last step breaks the law.
        path: Vec<A>,
        /// Which law, and how.
        broken: Broken,
    },
    /// More states than were permitted.
    Full,
}

/// How a search of a model ended.
pub type EndOf<M> = End<<M as Model>::State, <M as Model>::Action>;

/// Visits every reachable state of a model, at most so many.
///
/// `hear` is told how far it has come, about every million steps.
pub fn search<M: Model>(
    model: &mut M,
    most: usize,
    mut hear: impl FnMut(&Progress, &M),
) -> (Progress, EndOf<M>) {
    let mut found: Found<M> = Found { states: Numbered::new(), came: Vec::new() };
    let mut progress = Progress::default();
    for state in model.initial() {
        found.states.number(state);
        if let Err(broken) = model.check(&state) {
            return (progress, End::Broken { from: state, path: Vec::new(), broken });
        }
    }
    let (mut at, mut level_ends, mut actions) = (0, found.states.len(), Vec::new());
    while at < found.states.len() {
        if at == level_ends {
            level_ends = found.states.len();
            progress.depth += 1;
        }
        let state = *found.states.get(at as u32);
        actions.clear();
        model.actions(&state, &mut actions);
        for &action in &actions {
            progress.steps += 1;
            let next = match model.apply(&state, action) {
                Ok(Some(next)) => next,
                Ok(None) => continue,
                Err(broken) => return found.end(at, action, broken, progress),
            };
            if next != state
                && found.add(next, (at as u32, action))
                && let Err(broken) = model.check(&next)
            {
                return found.end(at, action, broken, progress);
            }
            if progress.steps % (1 << 20) == 0 {
                found.measure(at, &mut progress);
                hear(&progress, model);
            }
        }
        at += 1;
        if found.states.len() > most {
            found.measure(at, &mut progress);
            return (progress, End::Full);
        }
    }
    found.measure(at, &mut progress);
    if let Err(broken) = model.conclude() {
        let from = *found.states.get(0);
        return (progress, End::Broken { from, path: Vec::new(), broken });
    }
    (progress, End::Whole)
}

struct Found<M: Model> {
    states: Numbered<M::State>,
    /// For each state but the initial ones, the one it was first reached from, and how.
    came: Vec<(u32, M::Action)>,
}

impl<M: Model> Found<M> {
    fn add(&mut self, state: M::State, came: (u32, M::Action)) -> bool {
        let (_, is_new) = self.states.number(state);
        if is_new {
            self.came.push(came);
        }
        is_new
    }

    fn measure(&self, visited: usize, progress: &mut Progress) {
        progress.states = self.states.len();
        progress.frontier = self.states.len() - visited;
        let came = self.came.capacity() * size_of::<(u32, M::Action)>();
        progress.bytes = self.states.bytes() + came;
    }

    /// The path to what a last step from the state at `at` has broken.
    fn end(
        &self,
        mut at: usize,
        last: M::Action,
        broken: Broken,
        mut progress: Progress,
    ) -> (Progress, EndOf<M>) {
        self.measure(at, &mut progress);
        let initial = self.states.len() - self.came.len();
        let mut path = vec![last];
        while at >= initial {
            let (from, action) = self.came[at - initial];
            path.push(action);
            at = from as usize;
        }
        path.reverse();
        (progress, End::Broken { from: *self.states.get(at as u32), path, broken })
    }
}
