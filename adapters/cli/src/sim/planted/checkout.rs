//! The source checkout, and the copy of it that bugs are planted in.

use super::patch::Patch;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where patches lie in a checkout.
const PATCHES: &str = "tests/planted";

/// The root of the checkout that a folder belongs to: where `quorate` itself is a package, and its
/// patches are.
pub(super) fn root_above(folder: &Path) -> Option<PathBuf> {
    let is_root = |folder: &&Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        let is_quorate = manifest.lines().any(|line| line.trim() == "name = \"quorate\"");
        is_quorate && folder.join(PATCHES).is_dir()
    };
    folder.ancestors().find(is_root).map(Path::to_path_buf)
}

/// The checkout's patches.
pub(super) fn patches(root: &Path) -> PathBuf {
    root.join(PATCHES)
}

/// A copy of the checkout's sources. Files that are as they should be are not written again, so
/// that cargo builds again only what a patch has changed.
#[derive(Debug)]
pub(super) struct Copy {
    from: PathBuf,
    pub(super) root: PathBuf,
}

impl Copy {
    pub(super) const fn new(from: PathBuf, root: PathBuf) -> Self {
        Self { from, root }
    }

    /// Makes the copy what the checkout is, with a bug planted in it if one is given.
    ///
    /// # Errors
    /// What could not be done, on one line.
    pub(super) fn plant(&self, patch: Option<&Patch>) -> Result<(), String> {
        let failed = |error| format!("{}: cannot be copied: {error}", self.from.display());
        copy_folder(&self.from, &self.root).map_err(failed)?;
        patch.map_or(Ok(()), |patch| patch.apply(&self.root))
    }
}

/// Copies what is in one folder and differs in the other, and removes what is only in the other.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut kept = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        let (source, copy) = (entry.path(), to.join(&name));
        if kind.is_dir() && is_source(&name) {
            copy_folder(&source, &copy)?;
        } else if kind.is_file() {
            let bytes = fs::read(&source)?;
            if fs::read(&copy).ok().as_ref() != Some(&bytes) {
                fs::write(&copy, bytes)?;
            }
        } else {
            continue;
        }
        kept.insert(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        match entry.file_type()? {
            _ if kept.contains(&entry.file_name()) => {}
            kind if kind.is_dir() => fs::remove_dir_all(entry.path())?,
            _ => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Whether a folder holds sources: not what was built, and not what a tool keeps for itself.
fn is_source(name: &OsStr) -> bool {
    name != "target" && !name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_copy_is_what_the_checkout_is_and_keeps_what_is_the_same() {
        let folder = TempDir::new().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for (name, text) in [("src/a", "a"), ("src/b", "b"), ("target/t", "t"), (".git/g", "g")] {
            let path = from.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let copy = Copy::new(from, to.clone());
        copy.plant(None).unwrap();
        let written = |name: &str| fs::metadata(to.join(name)).unwrap().modified().unwrap();
        let before = written("src/a");
        fs::write(to.join("src/b"), "planted").unwrap();
        fs::write(to.join("src/c"), "left over").unwrap();
        copy.plant(None).unwrap();
        assert_eq!(fs::read_to_string(to.join("src/b")).unwrap(), "b");
        assert!(!to.join("src/c").exists() && !to.join("target").exists());
        assert!(!to.join(".git").exists());
        assert_eq!(written("src/a"), before);
    }
}
