//! Bounded collections against the standard ones: the same contents, and the limit kept.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use quorate::bounded::{List, Map, Ring};
use std::collections::{BTreeMap, VecDeque};

#[derive(Arbitrary, Debug)]
enum Act {
    Push(u8),
    Pop,
    PopFront,
    Insert(u8, u8),
    Remove(u8),
    Truncate(u8),
    DropFront(u8),
}

const MOST: usize = 12;

fuzz_target!(|acts: Vec<Act>| {
    let (mut list, mut vec) = (List::<u8, MOST>::new(), Vec::new());
    let (mut ring, mut deque) = (Ring::<u8, MOST>::new(), VecDeque::new());
    let (mut map, mut tree) = (Map::<u8, u8, MOST>::new(), BTreeMap::new());
    for act in acts {
        match act {
            Act::Push(item) => {
                assert_eq!(list.push(item).is_ok(), vec.len() < MOST);
                assert_eq!(ring.push(item).is_ok(), deque.len() < MOST);
                (vec.len() < MOST).then(|| vec.push(item));
                (deque.len() < MOST).then(|| deque.push_back(item));
            }
            Act::Pop => assert_eq!(list.pop(), vec.pop()),
            Act::PopFront => assert_eq!(ring.pop_front(), deque.pop_front()),
            Act::Insert(at, item) => {
                let fits = vec.len() < MOST && usize::from(at) <= vec.len();
                assert_eq!(list.insert(at.into(), item).is_ok(), fits);
                fits.then(|| vec.insert(at.into(), item));
                let fits = tree.len() < MOST || tree.contains_key(&at);
                assert_eq!(map.insert(at, item).is_ok(), fits);
                fits.then(|| tree.insert(at, item));
            }
            Act::Remove(at) => {
                let is_there = usize::from(at) < vec.len();
                assert_eq!(list.remove(at.into()), is_there.then(|| vec.remove(at.into())));
                assert_eq!(map.remove(&at), tree.remove(&at));
            }
            Act::Truncate(length) => {
                list.truncate(length.into());
                vec.truncate(length.into());
                ring.truncate(length.into());
                deque.truncate(length.into());
            }
            Act::DropFront(count) => {
                list.drop_front(count.into());
                vec.drain(..usize::from(count).min(vec.len()));
                ring.drop_front(count.into());
                deque.drain(..usize::from(count).min(deque.len()));
            }
        }
        assert_eq!(*list, vec[..]);
        assert!(ring.iter().eq(&deque));
        assert!(map.iter().eq(&tree));
    }
});
