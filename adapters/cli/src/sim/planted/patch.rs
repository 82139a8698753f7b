//! A planted bug: a header of `key: value` lines, an empty line, and a unified diff.

use std::fs;
use std::path::{Path, PathBuf};

/// A historical bug, to be put back in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// The name of its file, without the ending.
    pub(super) name: String,
    /// Which of the simulator's groups can show it.
    pub(super) machine: String,
    /// Who should see it, separated by spaces.
    pub(super) oracle: String,
    /// The test that sees it, where random seeds do not reach.
    pub(super) script: Option<Script>,
    /// What it changes.
    files: Vec<FileChange>,
}

/// A scripted test: of which package, in which file, and its name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) package: String,
    pub(super) binary: String,
    pub(super) test: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileChange {
    path: String,
    hunks: Vec<Hunk>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hunk {
    /// Where it begins, from one on.
    line: usize,
    before: String,
    after: String,
}

/// All patches of a folder, in the order of their names.
///
/// # Errors
/// What is wrong with which, on one line.
pub(super) fn read_all(folder: &Path) -> Result<Vec<Patch>, String> {
    let failed = |error| format!("{}: cannot be read: {error}", folder.display());
    let mut patches = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "patch") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let wrong = |why: String| format!("{}: {why}", path.display());
            let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
            patches.push(Patch::parse(&name, &text).map_err(wrong)?);
        }
    }
    patches.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(patches)
}

impl Patch {
    /// Reads a patch from its text; `file` is the name of its file, without the ending.
    ///
    /// # Errors
    /// What is wrong, on one line.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, String> {
        let (header, diff) =
            text.split_once("\n\n").ok_or("write an empty line between header and diff")?;
        let value = |key: &str| {
            let line = header.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
            line.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let needed = |key: &str| value(key).ok_or_else(|| format!("write a line `{key}: …`"));
        let (name, machine, oracle) = (needed("name")?, needed("machine")?, needed("oracle")?);
        for key in ["bug", "where"] {
            needed(key)?;
        }
        if name != file {
            return Err(format!("it is named `{name}`; name it as its file"));
        }
        if !["raft", "replica", "pbft"].contains(&machine.as_str()) {
            return Err(format!("`{machine}` is no machine; write raft, replica or pbft"));
        }
        let script = value("script").map(|words| Script::parse(&words)).transpose()?;
        let files = files_of(diff)?;
        Ok(Self { name, machine, oracle, script, files })
    }

    /// Changes the sources in a folder: all of them, or none if something does not fit.
    ///
    /// # Errors
    /// What does not fit, on one line.
    pub(super) fn apply(&self, root: &Path) -> Result<(), String> {
        for (path, text) in self.changed(root)? {
            let written = fs::write(&path, text);
            written.map_err(|error| format!("{}: {}: {error}", self.name, path.display()))?;
        }
        Ok(())
    }

    /// What the sources in a folder come to with this bug.
    fn changed(&self, root: &Path) -> Result<Vec<(PathBuf, String)>, String> {
        let changed = self.files.iter().map(|file| {
            let path = root.join(&file.path);
            let wrong = |why: String| format!("{}: {}: {why}", self.name, file.path);
            let mut text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
            for hunk in &file.hunks {
                text = hunk.apply(&text).ok_or_else(|| {
                    wrong(format!("the lines from {} on are not as they were", hunk.line))
                })?;
            }
            Ok((path, text))
        });
        changed.collect()
    }
}

impl Script {
    fn parse(words: &str) -> Result<Self, String> {
        match words.split_whitespace().collect::<Vec<_>>()[..] {
            [package, binary, test] => Ok(Self {
                package: package.to_owned(),
                binary: binary.to_owned(),
                test: test.to_owned(),
            }),
            _ => Err("write `script: PACKAGE TESTBINARY TESTNAME`".to_owned()),
        }
    }
}

impl Hunk {
    /// The text with this changed: where it was written for, or else in the only place that fits.
    fn apply(&self, text: &str) -> Option<String> {
        let is_here =
            |&start: &usize| text.get(start..).is_some_and(|rest| rest.starts_with(&self.before));
        let starts = || std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        let written_for = starts().nth(self.line.saturating_sub(1)).filter(is_here);
        let start = written_for.or_else(|| {
            let mut fits = starts().filter(is_here);
            fits.next().filter(|_| fits.next().is_none())
        })?;
        let end = start.checked_add(self.before.len())?;
        Some(format!("{}{}{}", text.get(..start)?, self.after, text.get(end..)?))
    }
}

fn files_of(diff: &str) -> Result<Vec<FileChange>, String> {
    let mut files: Vec<FileChange> = Vec::new();
    for line in diff.split_inclusive('\n') {
        let words = line.trim_end();
        if let Some(path) = words.strip_prefix("+++ b/") {
            files.push(FileChange { path: path.to_owned(), hunks: Vec::new() });
            continue;
        }
        let Some(file) = files.last_mut() else { continue }; // What stands before the first file.
        if let Some(place) = words.strip_prefix("@@ -") {
            let digits = place.split([',', ' ']).next().unwrap_or_default();
            let line = digits.parse().map_err(|_| format!("`{words}` names no line"))?;
            file.hunks.push(Hunk { line, ..Hunk::default() });
            continue;
        }
        let Some(hunk) = file.hunks.last_mut() else { continue };
        match line.split_at_checked(1) {
            Some((" ", rest)) => {
                hunk.before.push_str(rest);
                hunk.after.push_str(rest);
            }
            Some(("-", rest)) if !words.starts_with("--- a/") => hunk.before.push_str(rest),
            Some(("+", rest)) => hunk.after.push_str(rest),
            _ => {}
        }
    }
    let is_empty = |file: &FileChange| file.hunks.iter().all(|hunk| hunk.before == hunk.after);
    if files.is_empty() || files.iter().any(is_empty) {
        return Err("it changes nothing".to_owned());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name: n\nbug: b\nwhere: w\nmachine: raft\noracle: R1 R2\n\n\
                        diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -2,3 +2,3 @@ fn f() {\n \
                        one\n-two\n+2\n three\n";

    #[test]
    fn a_header_names_what_the_hunt_needs() {
        let patch = Patch::parse("n", GOOD).unwrap();
        assert_eq!((patch.machine.as_str(), patch.oracle.as_str()), ("raft", "R1 R2"));
        assert_eq!(patch.script, None);
        let scripted = GOOD.replace("R1 R2", "script\nscript: quorate scenarios hlc::x");
        let script = Patch::parse("n", &scripted).unwrap().script.unwrap();
        let words = [script.package, script.binary, script.test];
        assert_eq!(words, ["quorate", "scenarios", "hlc::x"]);
    }

    #[test]
    fn a_header_that_lacks_something_is_refused_with_what_to_write() {
        for (from, to, says) in [
            ("bug: b\n", "", "`bug: …`"),
            ("machine: raft", "machine: mixer", "`mixer` is no machine"),
            ("oracle: R1 R2", "oracle:", "`oracle: …`"),
            ("name: n", "name: m", "name it as its file"),
            ("R1 R2", "R1\nscript: quorate hlc::x", "PACKAGE TESTBINARY TESTNAME"),
            ("-two\n+2\n", " two\n", "changes nothing"),
        ] {
            assert!(GOOD.contains(from));
            let error = Patch::parse("n", &GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn every_bug_of_this_checkout_can_be_planted() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let patches = read_all(&root.join("tests/planted")).unwrap();
        assert!(patches.len() >= 24, "{}", patches.len());
        for patch in patches {
            let changed = patch.changed(&root).unwrap();
            let differs =
                |(path, text): &(PathBuf, String)| fs::read_to_string(path).unwrap() != *text;
            assert!(changed.iter().all(differs), "{} changes nothing", patch.name);
        }
    }

    #[test]
    fn a_hunk_goes_where_it_was_written_for_or_to_the_only_place_that_fits() {
        let hunk = &Patch::parse("n", GOOD).unwrap().files[0].hunks[0];
        assert_eq!(hunk.apply("0\none\ntwo\nthree\n").unwrap(), "0\none\n2\nthree\n");
        assert_eq!(hunk.apply("one\ntwo\nthree\n").unwrap(), "one\n2\nthree\n");
        let twice = "one\ntwo\nthree\n";
        assert_eq!(hunk.apply(&format!("{twice}{twice}")), None);
        assert_eq!(
            hunk.apply(&format!("0\n{twice}{twice}")).unwrap(),
            format!("0\none\n2\nthree\n{twice}")
        );
        assert_eq!(hunk.apply("one\ntwo\nfour\n"), None);
        assert_eq!(hunk.apply("0\nnone\ntwo\nthree\n"), None);
    }
}
