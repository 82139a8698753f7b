//! Work on other threads, in which nobody waits for anybody else's.
//!
//! Each sender has a lane of bounded length. A lane is worked on by one thread at a time, one job, and
//! then goes to the end of the line: so what a sender sent is done in the order in which it was sent, and
//! a sender that floods fills its own lane, and has one turn in the round like every other.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Threads that work on what senders have sent.
pub struct Pool<K, T> {
    lanes: Arc<Lanes<K, T>>,
    threads: Vec<JoinHandle<()>>,
    depth: usize,
}

struct Lanes<K, T> {
    state: Mutex<State<K, T>>,
    changed: Condvar,
}

struct State<K, T> {
    /// What waits, of each sender that is in line or being worked on.
    waiting: BTreeMap<K, VecDeque<T>>,
    /// The senders whose turn comes.
    line: VecDeque<K>,
    is_closed: bool,
}

impl<K, T> fmt::Debug for Pool<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} threads)", self.threads.len())
    }
}

impl<K: Ord + Clone + Send + 'static, T: Send + 'static> Pool<K, T> {
    /// As many threads, each sender with as many jobs at most, and what is done with each job. If that
    /// waits, for room where the results go, senders are refused and nothing grows.
    ///
    /// # Errors
    /// The operating system gives no more threads.
    pub fn new(
        threads: usize,
        depth: usize,
        work: impl Fn(&K, T) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let state = State { waiting: BTreeMap::new(), line: VecDeque::new(), is_closed: false };
        let lanes = Arc::new(Lanes { state: Mutex::new(state), changed: Condvar::new() });
        let mut pool = Self { lanes, threads: Vec::new(), depth };
        let work = Arc::new(work);
        for _ in 0..threads.max(1) {
            let (lanes, work) = (Arc::clone(&pool.lanes), Arc::clone(&work));
            let thread = thread::Builder::new().name("checks".to_owned());
            pool.threads.push(thread.spawn(move || lanes.work(&*work))?);
        }
        Ok(pool)
    }

    /// Hands in a job of a sender.
    ///
    /// # Errors
    /// The job, if the sender's lane is full.
    pub fn offer(&self, sender: K, job: T) -> Result<(), T> {
        let mut state = self.lanes.lock();
        match state.waiting.get_mut(&sender) {
            Some(lane) if lane.len() >= self.depth => return Err(job),
            Some(lane) => lane.push_back(job),
            None if self.depth == 0 => return Err(job),
            None => {
                state.waiting.insert(sender.clone(), [job].into());
                state.line.push_back(sender);
            }
        }
        drop(state);
        self.lanes.changed.notify_one();
        Ok(())
    }
}

impl<K: Ord + Clone, T> Lanes<K, T> {
    fn lock(&self) -> MutexGuard<'_, State<K, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, work: &impl Fn(&K, T)) {
        let mut state = self.lock();
        while !state.is_closed {
            let job = state.line.pop_front().and_then(|sender| {
                let job = state.waiting.get_mut(&sender)?.pop_front()?;
                Some((sender, job))
            });
            let Some((sender, job)) = job else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            work(&sender, job);
            state = self.lock();
            if state.waiting.get(&sender).is_some_and(|lane| !lane.is_empty()) {
                state.line.push_back(sender);
                self.changed.notify_one();
            } else {
                state.waiting.remove(&sender);
            }
        }
    }
}

impl<K, T> Drop for Pool<K, T> {
    /// What waits is not done any more; what is being done is waited for.
    fn drop(&mut self) {
        self.lanes.state.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.lanes.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that broke down has nothing left to do.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

    type Held = (Pool<u8, u32>, Sender<()>, Receiver<(u8, u32)>);

    /// A pool whose every job waits for a word, and then tells of itself.
    fn held(threads: usize, depth: usize) -> Held {
        let ((go, going), (done, results)) = (channel(), channel());
        let (going, done) = (Mutex::new(going), Mutex::new(done));
        let pool = Pool::new(threads, depth, move |sender: &u8, job| {
            going.lock().unwrap().recv().unwrap();
            done.lock().unwrap().send((*sender, job)).unwrap();
        });
        (pool.unwrap(), go, results)
    }

    #[test]
    fn what_a_sender_sent_is_done_in_order_whoever_does_it() {
        let (done, results) = channel();
        let done = Mutex::new(done);
        let pool = Pool::new(4, 1_000, move |sender: &u8, job: u32| {
            // Some jobs take longer, so that a second thread would overtake.
            (0..job % 7 * 50).for_each(|_| thread::yield_now());
            done.lock().unwrap().send((*sender, job)).unwrap();
        })
        .unwrap();
        let senders = 5;
        for job in 0..200 {
            (0..senders).for_each(|sender| pool.offer(sender, job).unwrap());
        }
        let mut next = [0; 5];
        for (sender, job) in results.iter().take(200 * usize::from(senders)) {
            assert_eq!(job, next[usize::from(sender)], "of sender {sender}");
            next[usize::from(sender)] += 1;
        }
        assert_eq!(next, [200; 5]);
    }

    #[test]
    fn a_sender_that_floods_fills_its_own_lane_and_others_wait_one_turn() {
        let (pool, go, results) = held(1, 4);
        let mut refused = 0;
        (0..100).for_each(|job| refused += u32::from(pool.offer(1, job).is_err()));
        // Four wait, and perhaps the first is in hand.
        assert!((95..=96).contains(&refused), "{refused}");
        assert_eq!(pool.offer(2, 7), Ok(()));
        (0..3).for_each(|_| go.send(()).unwrap());
        let first: Vec<_> = results.iter().take(3).collect();
        assert!(first.contains(&(2, 7)), "{first:?}");
        drop(go);
    }

    #[test]
    fn a_lane_that_was_empty_is_worked_on_again() {
        let (pool, go, results) = held(2, 1);
        for job in 0..50 {
            while pool.offer(1, job).is_err() {
                thread::yield_now();
            }
            go.send(()).unwrap();
            assert_eq!(results.recv(), Ok((1, job)));
        }
        assert!(pool.lanes.lock().line.is_empty());
    }

    #[test]
    fn a_pool_that_is_closed_waits_for_its_threads_and_leaves_the_rest() {
        let (done, results) = sync_channel(0);
        let done = Mutex::new(done);
        let pool = Pool::new(2, 10, move |_: &u8, job: u32| {
            // Nobody may listen any more.
            let _ = done.lock().unwrap().send(job);
        })
        .unwrap();
        (0..10).for_each(|job| pool.offer(1, job).unwrap());
        assert_eq!(results.recv(), Ok(0));
        drop(results);
        drop(pool);
    }
}
