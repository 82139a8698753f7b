//! wip
mod ours;
use ours::Shape;
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let p = |i: usize| words[i].parse::<u64>().unwrap();
    match words[0].as_str() {
        "core" => { let s = Shape{nodes: p(1) as usize, batch: p(2), depth: p(3)}; let mut g = ours::core::Group::new(s.nodes); g.commit(s, p(4)); println!("{}", g.messages); }
        "replica" | "wire" => { let s = Shape{nodes: p(1) as usize, batch: p(2), depth: p(3)}; let mut g = ours::replica::Group::new(s, words[0]=="wire"); g.commit(s, p(4)); println!("{:?}", g.traffic()); }
        "elect" => { let mut g = ours::core::Group::new(p(1) as usize); for _ in 0..p(2) { g.elect(); } println!("{}", g.messages); }
        "idle" => { let mut g = ours::core::Group::new(p(1) as usize); g.idle(p(2)); println!("{}", g.messages); }
        "stamp" => ours::clock::stamp(p(1)),
        "update" => ours::clock::update(p(1)),
        "hold-core" => { let mut v = Vec::with_capacity(p(1) as usize); for _ in 0..p(1) { v.push(ours::core::idle_follower()); } std::mem::forget(v); }
        "hold-replica" => { let mut v = Vec::with_capacity(p(1) as usize); for _ in 0..p(1) { v.push(ours::replica::idle_follower()); } std::mem::forget(v); }
        _ => panic!(),
    }
}
