//! Visiting every folder that a recording may leave, once.

use super::crash::{Crash, Names};
use super::parts;
use super::recording::Recording;
use super::{Folder, fingerprint};
use crate::disk::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What is exhaustive. What lies beyond is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many unsynced writes of one file are kept in every subset, and every order if they overlap.
    pub writes: usize,
    /// So many unsynced sectors of one file are kept in every subset.
    pub sectors: usize,
    /// A write of so many bytes is cut at every one of them, and a file that grows by so many gets
    /// every length.
    pub cut_bytes: usize,
    /// So many unsynced changes of names are kept in every subset.
    pub names: usize,
    /// So many folders at one point are all visited: all contents of all files under all names.
    pub folders: usize,
    /// How often chance is asked where one of these is exceeded, or where all is too much anyway.
    pub samples: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { writes: 4, sectors: 8, cut_bytes: 512, names: 8, folders: 4096, samples: 24 }
    }
}

/// How much was visited, and how much of it was all there is within the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Different contents of the folder.
    pub distinct: u64,
    /// Different contents of the folder, each with a different promise.
    pub checked: u64,
    /// Points of a recording, by whether all combinations of names and contents were visited.
    pub points_exhausted: u64,
    /// The others.
    pub points_sampled: u64,
    /// Unsynced files at a point, by whether all subsets and orders of their writes were kept.
    pub writes_exhausted: u64,
    /// The others.
    pub writes_sampled: u64,
    /// Unsynced files at a point, by whether all subsets of their sectors were kept.
    pub sectors_exhausted: u64,
    /// The others.
    pub sectors_sampled: u64,
    /// Points with unsynced names, by whether all subsets of their changes were kept.
    pub names_exhausted: u64,
    /// The others.
    pub names_sampled: u64,
}

impl Count {
    fn fields(&mut self) -> [&mut u64; 10] {
        [
            &mut self.distinct,
            &mut self.checked,
            &mut self.points_exhausted,
            &mut self.points_sampled,
            &mut self.writes_exhausted,
            &mut self.writes_sampled,
            &mut self.sectors_exhausted,
            &mut self.sectors_sampled,
            &mut self.names_exhausted,
            &mut self.names_sampled,
        ]
    }

    /// What was visited since `before`.
    #[must_use]
    pub fn since(mut self, mut before: Count) -> Count {
        for (now, before) in self.fields().into_iter().zip(before.fields()) {
            *now -= *before;
        }
        self
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |exhausted, sampled| format!("{exhausted} of {}", exhausted + sampled);
        write!(
            f,
            "{} distinct, {} checked; exhausted: {} points, {} points' names, {} files' writes, {} \
             files' sectors",
            self.distinct,
            self.checked,
            of(self.points_exhausted, self.points_sampled),
            of(self.names_exhausted, self.names_sampled),
            of(self.writes_exhausted, self.writes_sampled),
            of(self.sectors_exhausted, self.sectors_sampled),
        )
    }
}

/// A folder that did not hold what was promised.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The point of the recording, and the last operation before it.
    pub point: usize,
    /// In words.
    pub after: String,
    /// What was promised, in words.
    pub promised: String,
    /// What is wrong.
    pub why: String,
    /// The folder.
    pub folder: Folder,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { point, after, promised, why, folder } = self;
        writeln!(f, "{why}\nat point {point}, after: {after}\npromised: {promised}\nthe folder:")?;
        for (name, content) in folder {
            let zeros = content.iter().rev().take_while(|byte| **byte == 0).count();
            writeln!(f, "  {name}: {} bytes, the last {zeros} zero", content.len())?;
        }
        Ok(())
    }
}

/// Visits folders, and remembers which.
#[derive(Debug)]
pub struct Enumerator {
    rng: Rng,
    count: Count,
    /// Fingerprints of the folders of all recordings.
    seen: BTreeSet<u64>,
}

impl Enumerator {
    /// One that has visited nothing, and draws from this seed.
    pub fn new(seed: u64) -> Self {
        Enumerator { rng: Rng::new(seed), count: Count::default(), seen: BTreeSet::new() }
    }

    /// What was visited so far.
    pub fn count(&self) -> Count {
        self.count
    }

    /// Shows `check` every folder that a crash may leave at point `from` or later, with what had
    /// been promised last. One that was left under the same promise is not shown again.
    ///
    /// # Errors
    /// The first folder that did not pass.
    pub fn visit<P: Clone + Hash + fmt::Debug>(
        &mut self,
        recording: &Recording<P>,
        from: usize,
        limits: &Limits,
        mut check: impl FnMut(&Folder, &P) -> Result<(), String>,
    ) -> Result<(), Box<Failure>> {
        let mut crash = Crash::new(&recording.start);
        let mut shown = BTreeSet::new();
        for point in 0..=recording.length() {
            let after = point.checked_sub(1).map(|last| &recording.operations[last]);
            after.into_iter().for_each(|operation| crash.after(operation));
            if point < from {
                continue;
            }
            let promised = recording.promised(point);
            let mut hasher = DefaultHasher::new();
            promised.hash(&mut hasher);
            let promise = hasher.finish();
            self.folders(&crash, limits, |enumerator, hash, folder| {
                if !shown.insert(hash ^ promise) {
                    return Ok(());
                }
                let new = enumerator.seen.insert(hash);
                enumerator.count.distinct += u64::from(new);
                enumerator.count.checked += 1;
                let folder = folder();
                check(&folder, promised).map_err(|why| {
                    let (after, promised) = (format!("{after:?}"), format!("{promised:?}"));
                    Box::new(Failure { point, after, promised, why, folder })
                })
            })?;
        }
        Ok(())
    }

    /// Makes the folders of one point.
    fn folders<E>(
        &mut self,
        crash: &Crash,
        limits: &Limits,
        mut show: impl FnMut(&mut Self, u64, &dyn Fn() -> Folder) -> Result<(), E>,
    ) -> Result<(), E> {
        let names = crash.names(limits, &mut self.rng, &mut self.count);
        let numbers: BTreeSet<u64> = names.iter().flat_map(|it| it.values().copied()).collect();
        let mut contents = BTreeMap::new();
        for number in numbers {
            let file = crash.file(number);
            let found = parts::contents(file, limits, &mut self.rng, &mut self.count);
            contents.insert(number, found);
        }
        // Two names may stand for one file, which has one content.
        let files = |names: &Names| names.values().copied().collect::<BTreeSet<u64>>();
        let sizes = |names: &Names| -> Vec<usize> {
            files(names).iter().map(|number| contents[number].len()).collect()
        };
        let product = |names: &Names| sizes(names).into_iter().fold(1, usize::saturating_mul);
        let all = names.iter().map(product).fold(0, usize::saturating_add);
        let mut show = |enumerator: &mut Self, names: &Names, chosen: &[usize]| {
            let chosen: BTreeMap<u64, usize> =
                files(names).into_iter().zip(chosen.iter().copied()).collect();
            let files =
                names.iter().map(|(name, number)| (name, &contents[number][chosen[number]]));
            let hash = files.clone().fold(0, |hash, (name, (content, _))| {
                fingerprint(fingerprint(hash, name.as_bytes()), &content.to_le_bytes())
            });
            let folder = || files.clone().map(|(name, it)| (name.clone(), it.1.clone())).collect();
            show(enumerator, hash, &folder)
        };
        if all <= limits.folders {
            self.count.points_exhausted += 1;
            for names in &names {
                let sizes = sizes(names);
                each_choice(&sizes, |chosen| show(self, names, chosen))?;
            }
            return Ok(());
        }
        self.count.points_sampled += 1;
        // Every set of names with all files as little and as much as may be; then some drawn.
        for names in &names {
            let corners: Vec<usize> = sizes(names).into_iter().map(|size| size.min(2)).collect();
            each_choice(&corners, |chosen| show(self, names, chosen))?;
        }
        for _ in 0..limits.folders {
            let names = &names[self.rng.below(names.len() as u64) as usize];
            let mut draw = |size| self.rng.below(size as u64) as usize;
            let chosen: Vec<usize> = sizes(names).into_iter().map(&mut draw).collect();
            show(self, names, &chosen)?;
        }
        Ok(())
    }
}

/// Calls `act` with every list of numbers below these.
fn each_choice<E>(
    sizes: &[usize],
    mut act: impl FnMut(&[usize]) -> Result<(), E>,
) -> Result<(), E> {
    let mut chosen = vec![0; sizes.len()];
    loop {
        act(&chosen)?;
        let Some(next) = (0..sizes.len()).find(|i| chosen[*i] + 1 < sizes[*i]) else {
            return Ok(());
        };
        chosen[..next].fill(0);
        chosen[next] += 1;
    }
}
