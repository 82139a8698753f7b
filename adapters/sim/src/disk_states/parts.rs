//! What a crash may leave of one file.

use super::crash::{Fate, File, Write};
use super::enumerator::{Count, Limits};
use super::fingerprint;
use crate::disk::{Rng, SECTOR, put};
use std::collections::BTreeSet;
use std::ops::Range;

/// Contents that a file may have, each with its fingerprint, no two equal. The first is the one
/// that lost all it may, the second the one that lost nothing, if that is different.
pub(super) fn contents(
    file: &File,
    limits: &Limits,
    rng: &mut Rng,
    count: &mut Count,
) -> Vec<(u64, Vec<u8>)> {
    let free = (0..file.writes.len()).filter(|i| file.writes[*i].fate != Fate::Sure).collect();
    let mut parts = Parts { file, free, seen: BTreeSet::new(), found: Vec::new() };
    parts.keep_writes(&[]);
    if !parts.free.is_empty() {
        parts.keep_writes(&parts.free.clone());
        parts.subsets_and_orders(limits, rng, count);
        parts.sectors(limits, rng, count);
        parts.cuts(limits, rng);
        parts.lengths(limits);
        parts.crumbs(limits, rng);
    }
    parts.found
}

/// Bytes of one write that survive.
type Piece = (usize, Range<usize>);

struct Parts<'a> {
    file: &'a File,
    /// The writes with which a crash may do anything.
    free: Vec<usize>,
    seen: BTreeSet<u64>,
    found: Vec<(u64, Vec<u8>)>,
}

impl Parts<'_> {
    fn write(&self, i: usize) -> &Write {
        &self.file.writes[i]
    }

    /// The length of the file if nothing is lost.
    fn high(&self) -> usize {
        let ends = self.file.writes.iter().map(Write::end);
        ends.max().unwrap_or(0).max(self.file.durable.len())
    }

    fn whole(&self, i: usize) -> Piece {
        (i, 0..self.write(i).bytes.len())
    }

    /// Adds what these pieces make, in this order, of the durable content.
    fn keep_in_order(&mut self, pieces: &[Piece], length: Option<usize>) {
        let mut content = self.file.durable.clone();
        for (i, range) in pieces {
            let write = &self.file.writes[*i];
            put(&mut content, write.offset + range.start, &write.bytes[range.clone()]);
        }
        if let Some(length) = length {
            content.resize(length, 0);
        }
        let hash = fingerprint(0, &content);
        if self.seen.insert(hash) {
            self.found.push((hash, content));
        }
    }

    /// Adds what these pieces make in the order of their writes, with those that are sure.
    fn keep(&mut self, pieces: &[Piece], length: Option<usize>) {
        let sure = (0..self.file.writes.len()).filter(|i| !self.free.contains(i));
        let mut all: Vec<Piece> = sure.map(|i| self.whole(i)).collect();
        all.extend_from_slice(pieces);
        all.sort_by_key(|(i, range)| (*i, range.start));
        self.keep_in_order(&all, length);
    }

    fn keep_writes(&mut self, writes: &[usize]) {
        let pieces: Vec<Piece> = writes.iter().map(|i| self.whole(*i)).collect();
        self.keep(&pieces, None);
    }

    /// Whole writes: every subset in every order, or some drawn. Orders are only for writes that
    /// overlap, and not for those under a sure one: its sync came after them.
    fn subsets_and_orders(&mut self, limits: &Limits, rng: &mut Rng, count: &mut Count) {
        let reorder = self.free.len() == self.file.writes.len() && self.overlap();
        if self.free.len() > limits.writes {
            count.writes_sampled += 1;
            for _ in 0..limits.samples {
                let mut kept = self.free.clone();
                kept.retain(|_| rng.below(2) == 0);
                if reorder {
                    shuffle(&mut kept, rng);
                    let pieces: Vec<Piece> = kept.iter().map(|i| self.whole(*i)).collect();
                    self.keep_in_order(&pieces, None);
                } else {
                    self.keep_writes(&kept);
                }
            }
            return;
        }
        count.writes_exhausted += 1;
        let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
        while let Some(kept) = orders.pop() {
            if reorder {
                let pieces: Vec<Piece> = kept.iter().map(|i| self.whole(*i)).collect();
                self.keep_in_order(&pieces, None);
            } else {
                self.keep_writes(&kept);
            }
            for i in &self.free {
                if !kept.contains(i) && (reorder || kept.last() < Some(i)) {
                    orders.push([kept.as_slice(), &[*i]].concat());
                }
            }
        }
    }

    fn overlap(&self) -> bool {
        let writes = &self.file.writes;
        let meet = |(i, a): (usize, &Write)| {
            writes[i + 1..].iter().any(|b| a.offset < b.end() && b.offset < a.end())
        };
        writes.iter().enumerate().any(meet)
    }

    /// Sectors: every subset of those that were written, or some drawn. And every subset of the
    /// smallest pieces that are few enough: of short writes each byte on its own.
    fn sectors(&mut self, limits: &Limits, rng: &mut Rng, count: &mut Count) {
        let sectors = self.split_all(SECTOR);
        if sectors.len() <= limits.sectors {
            count.sectors_exhausted += 1;
            self.every_subset(&sectors);
        } else {
            count.sectors_sampled += 1;
            for _ in 0..limits.samples {
                let mut kept = sectors.clone();
                kept.retain(|_| rng.below(2) == 0);
                self.keep(&kept, None);
            }
        }
        let mut units = (0..SECTOR.ilog2()).map(|power| self.split_all(1 << power));
        if let Some(pieces) = units.find(|pieces| pieces.len() <= limits.sectors) {
            self.every_subset(&pieces);
        }
    }

    fn every_subset(&mut self, pieces: &[Piece]) {
        for set in 0..1_u32 << pieces.len() {
            let kept = pieces.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
            self.keep(&kept.map(|(_, piece)| piece.clone()).collect::<Vec<_>>(), None);
        }
    }

    fn split_all(&self, unit: usize) -> Vec<Piece> {
        self.free.iter().flat_map(|i| self.split(*i, unit)).collect()
    }

    /// The pieces that a write has between the multiples of `unit`.
    fn split(&self, i: usize, unit: usize) -> Vec<Piece> {
        let (offset, length) = (self.write(i).offset, self.write(i).bytes.len());
        let mut ends: Vec<usize> = (1..length).filter(|at| (offset + at) % unit == 0).collect();
        ends.push(length);
        let starts = [0].into_iter().chain(ends.iter().copied());
        starts.zip(&ends).map(|(start, end)| (i, start..*end)).collect()
    }

    /// One write cut, its front or its back kept; of the others all, those before it, or none. A
    /// file that grows may have its new length all the same.
    fn cuts(&mut self, limits: &Limits, rng: &mut Rng) {
        let high = self.high();
        for i in self.free.clone() {
            let others: [Vec<Piece>; 3] = [
                self.free.iter().filter(|j| **j != i).map(|j| self.whole(*j)).collect(),
                self.free.iter().filter(|j| **j < i).map(|j| self.whole(*j)).collect(),
                Vec::new(),
            ];
            let length = self.write(i).bytes.len();
            for cut in places(self.write(i).offset, length, limits, rng) {
                for others in &others {
                    let kept = |range| [others.as_slice(), &[(i, range)]].concat();
                    self.keep(&kept(0..cut), None);
                    self.keep(&kept(cut..length), None);
                    if high > self.found[0].1.len() {
                        self.keep(&kept(0..cut), Some(high));
                    }
                }
            }
        }
    }

    /// A file that grows may have any length on the way, with its bytes or without.
    fn lengths(&mut self, limits: &Limits) {
        let low = self.found[0].1.len();
        let high = self.high();
        let mut lengths: BTreeSet<usize> = self.file.writes.iter().map(Write::end).collect();
        lengths.extend((low..=high).filter(|at| high - low <= limits.cut_bytes || at % SECTOR < 2));
        lengths.retain(|length| (low..=high).contains(length));
        let all: Vec<Piece> = self.free.iter().map(|i| self.whole(*i)).collect();
        for length in lengths {
            for kept in [0, 1, all.len()] {
                self.keep(&all[..kept], Some(length));
            }
        }
    }

    /// Any part at all: each write in pieces of a size that is drawn, of which some are kept.
    fn crumbs(&mut self, limits: &Limits, rng: &mut Rng) {
        for _ in 0..limits.samples {
            let unit = 1 << rng.below(9);
            let mut kept = self.split_all(unit);
            let odds = 2 + rng.below(6);
            let lost = rng.below(2) == 0;
            kept.retain(|_| (rng.below(odds) == 0) != lost);
            self.keep(&kept, None);
        }
    }
}

/// Where a write is cut: everywhere if it is short. Otherwise in its first and last bytes, around
/// sectors, and at some places that are drawn.
fn places(offset: usize, length: usize, limits: &Limits, rng: &mut Rng) -> BTreeSet<usize> {
    if length <= limits.cut_bytes {
        return (1..length).collect();
    }
    let near = |at: &usize| {
        let sector = (offset + at + 1) % SECTOR;
        *at < 64 || at + 16 >= length || sector < 3
    };
    let mut places: BTreeSet<usize> = (1..length).filter(near).collect();
    places.extend((0..limits.samples).map(|_| 1 + rng.below(length as u64 - 1) as usize));
    places
}

fn shuffle(items: &mut [usize], rng: &mut Rng) {
    for end in (1..items.len()).rev() {
        items.swap(end, rng.below(end as u64 + 1) as usize);
    }
}
