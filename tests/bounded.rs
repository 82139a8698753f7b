//! The bounded collections agree with those of the standard library, on the backend under test.

use quorate::bounded::{List, Map, Ring};
use quorate::rng::Rng;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

const SEEDS: u64 = 40;
const OPERATIONS: usize = 400;

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).unwrap()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// What came about by operations equals, and hashes as, what was filled in one go.
fn looks_like<T: Eq + Hash + Debug>(moved: &T, fresh: &T) {
    assert_eq!(moved, fresh);
    assert_eq!(hash(moved), hash(fresh));
}

#[test]
#[cfg(not(feature = "alloc"))]
fn without_an_allocator_collections_are_inline() {
    assert_eq!(quorate::bounded::BACKEND, "heapless");
    assert!(size_of::<List<u64, 100>>() >= 800);
}

/// A dev-dependency that turns `alloc` on would have every test here run on the other backend.
#[test]
#[cfg(all(feature = "heapless", not(feature = "arbitrary")))]
fn who_asks_for_heapless_alone_gets_it() {
    let why = "another crate, or the default features, turned `alloc` on";
    assert_eq!(quorate::bounded::BACKEND, "heapless", "{why}");
}

#[test]
#[cfg(feature = "alloc")]
fn with_an_allocator_collections_grow_on_use() {
    assert_eq!(quorate::bounded::BACKEND, "alloc");
    assert_eq!(size_of::<List<u64, 100>>(), size_of::<Vec<u64>>());
}

#[test]
fn a_list_is_a_vector_with_a_limit() {
    fn run<const N: usize>(seed: u64) {
        let (mut list, mut model, mut rng) = (List::<u64, N>::new(), Vec::new(), Rng::new(seed));
        for _ in 0..OPERATIONS {
            let (item, place) = (rng.draw(), below(&mut rng, N + 3));
            let full = model.len() == N;
            match rng.below(10) {
                0..=2 => {
                    assert_eq!(list.push(item), if full { Err(item) } else { Ok(()) });
                    model.extend((!full).then_some(item));
                }
                3 if full || place > model.len() => assert_eq!(list.insert(place, item), Err(item)),
                3 => {
                    assert_eq!(list.insert(place, item), Ok(()));
                    model.insert(place, item);
                }
                4 => {
                    let removed = (place < model.len()).then(|| model.remove(place));
                    assert_eq!(list.remove(place), removed);
                }
                5 => assert_eq!(list.pop(), model.pop()),
                6 => {
                    list.truncate(place);
                    model.truncate(place);
                }
                7 => {
                    list.drop_front(place);
                    model.drain(..place.min(model.len()));
                }
                8 => {
                    let items = vec![item; place];
                    let fits = model.len() + place <= N;
                    assert_eq!(list.extend(&items).is_ok(), fits);
                    model.extend(items.iter().filter(|_| fits));
                }
                _ if place == 0 => {
                    list.clear();
                    model.clear();
                }
                _ => list.iter_mut().zip(&mut model).for_each(|(a, b)| {
                    *a ^= item;
                    *b ^= item;
                }),
            }
            assert_eq!(&*list, &*model);
            assert_eq!(list.is_full(), model.len() == N);
            let mut fresh = List::new();
            fresh.extend(&model).unwrap();
            looks_like(&list, &fresh);
        }
    }
    for seed in 0..SEEDS {
        run::<0>(seed);
        run::<1>(seed);
        run::<7>(seed);
    }
}

#[test]
fn a_ring_is_a_queue_with_a_limit() {
    fn run<const N: usize>(seed: u64) {
        let (mut ring, mut rng) = (Ring::<u64, N>::new(), Rng::new(seed));
        let mut model = VecDeque::new();
        for _ in 0..OPERATIONS {
            let (item, place) = (rng.draw(), below(&mut rng, N + 3));
            match rng.below(10) {
                0..=4 if model.len() == N => assert_eq!(ring.push(item), Err(item)),
                0..=4 => {
                    assert_eq!(ring.push(item), Ok(()));
                    model.push_back(item);
                }
                5..=7 => assert_eq!(ring.pop_front(), model.pop_front()),
                8 => {
                    ring.drop_front(place);
                    model.drain(..place.min(model.len()));
                }
                _ => {
                    ring.truncate(place);
                    model.truncate(place);
                }
            }
            assert!(ring.iter().eq(&model));
            assert_eq!(ring.get(place), model.get(place));
            assert_eq!(ring.last(), model.back());
            assert_eq!((ring.len(), ring.room()), (model.len(), N - model.len()));
            assert_eq!(ring.is_empty(), model.is_empty());
            let from = below(&mut rng, N + 1);
            let in_model = model.iter().take(place).skip(from);
            assert!(ring.range(from, place).eq(in_model), "{from}..{place} of {model:?}");
            let mut fresh = Ring::new();
            model.iter().for_each(|item| fresh.push(*item).unwrap());
            looks_like(&ring, &fresh);
        }
    }
    for seed in 0..SEEDS {
        run::<0>(seed);
        run::<1>(seed);
        run::<2>(seed);
        run::<7>(seed);
    }
}

#[test]
fn rings_are_equal_if_their_elements_are_and_show_them_as_a_list() {
    let ring = |items: &[u64]| {
        let mut ring = Ring::<u64, 4>::new();
        items.iter().for_each(|item| ring.push(*item).unwrap());
        ring
    };
    let mut turned = ring(&[9, 9, 1, 2]);
    turned.drop_front(2);
    turned.push(3).unwrap();
    assert_eq!(turned, ring(&[1, 2, 3]));
    for other in [&[1, 2][..], &[1, 2, 4], &[1, 2, 3, 3], &[]] {
        assert_ne!(turned, ring(other));
    }
    assert_eq!(format!("{turned:?}"), "[1, 2, 3]");
}

#[test]
fn a_map_is_a_tree_map_with_a_limit() {
    fn run<const N: usize>(seed: u64) {
        let (mut map, mut rng) = (Map::<u64, u64, N>::new(), Rng::new(seed));
        let mut model = BTreeMap::new();
        for _ in 0..OPERATIONS {
            let (key, value) = (rng.below(N as u64 + 4), rng.draw());
            let no_room = model.len() == N && !model.contains_key(&key);
            match rng.below(8) {
                0..=3 if no_room => assert_eq!(map.insert(key, value), Err((key, value))),
                0..=3 => assert_eq!(map.insert(key, value), Ok(model.insert(key, value))),
                4 | 5 => assert_eq!(map.remove(&key), model.remove(&key)),
                6 => {
                    assert_eq!(map.get_mut(&key), model.get_mut(&key));
                    map.iter_mut().for_each(|(key, old)| *old ^= value & *key);
                    model.iter_mut().for_each(|(key, old)| *old ^= value & *key);
                }
                _ if key == 0 => {
                    map.clear();
                    model.clear();
                }
                _ => {}
            }
            assert!(map.iter().eq(&model));
            assert!(map.iter_from(&key).eq(model.range(key..)));
            assert_eq!(map.get(&key), model.get(&key));
            assert_eq!(map.first(), model.first_key_value());
            assert_eq!((map.len(), map.is_full()), (model.len(), model.len() == N));
            assert_eq!(map.is_empty(), model.is_empty());
            let mut fresh = Map::new();
            for (key, value) in model.iter().rev() {
                fresh.insert(*key, *value).unwrap();
            }
            looks_like(&map, &fresh);
        }
    }
    for seed in 0..SEEDS {
        run::<0>(seed);
        run::<1>(seed);
        run::<7>(seed);
    }
}

#[test]
fn a_walk_through_a_map_needs_its_first_key_no_longer() {
    fn above<'a>(map: &'a Map<u64, u64, 4>, key: u64) -> impl Iterator<Item = u64> + 'a {
        map.iter_from(&(key + 1)).map(|(key, _)| *key)
    }
    let mut map = Map::new();
    for key in 0..4 {
        map.insert(key, key).unwrap();
    }
    assert!(above(&map, 1).eq([2, 3]));
}
