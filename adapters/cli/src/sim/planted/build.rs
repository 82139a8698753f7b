//! Building the copy, again and again: what is not changed is not built twice.

use super::checkout::Copy;
use super::patch::{Patch, Script};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where bugs are planted and built: `target/planted` of the checkout.
#[derive(Debug)]
pub(super) struct Workshop {
    folder: PathBuf,
    copy: Copy,
}

/// The program that hunts: the simulator without what else `quorate` can do, which takes twice as
/// long to build.
const HUNTER: &str = "quorate-hunt";

/// The profile of hunters: quick to build, and quick enough.
const PROFILE: &str = "planted";

impl Workshop {
    /// Makes the folder, if it is not there.
    ///
    /// # Errors
    /// Why not, on one line.
    pub(super) fn open(root: &Path) -> Result<Self, String> {
        let folder = root.join("target").join("planted");
        let copy = Copy::new(root.to_path_buf(), folder.join("source"));
        let failed = |error| format!("{}: cannot be made: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        Ok(Self { folder, copy })
    }

    /// Where the `nth` hunt writes.
    pub(super) fn log(&self, nth: u32) -> PathBuf {
        self.folder.join(format!("hunt-{nth}.log"))
    }

    /// Where the `nth` hunt of a machine writes.
    pub(super) fn log_of(&self, machine: &str, nth: u32) -> PathBuf {
        self.folder.join(format!("control-{machine}-{nth}.log"))
    }

    /// Where the stories of a bug are written.
    pub(super) fn stories(&self, bug: &str) -> PathBuf {
        self.folder.join("stories").join(bug)
    }

    /// Makes the copy what the checkout is, with a bug planted in it if one is given.
    ///
    /// # Errors
    /// What does not fit, on one line.
    pub(super) fn plant(&self, patch: Option<&Patch>) -> Result<(), String> {
        self.copy.plant(patch)
    }

    /// Sees that everything a hunt needs compiles, tests included.
    ///
    /// # Errors
    /// The compiler's first complaint.
    pub(super) fn check(&self) -> Result<(), String> {
        let packages = ["-p", "quorate", "-p", "quorate-host", "-p", "quorate-cli"];
        self.cargo("check", &[&packages[..], &["--tests"]].concat()).map(|_| ())
    }

    /// Builds the program and tells where it is.
    ///
    /// # Errors
    /// The compiler's first complaint.
    pub(super) fn build(&self) -> Result<PathBuf, String> {
        let package = ["-p", "quorate-sim", "--features", "swarm", "--bin", HUNTER];
        self.cargo("build", &[&package[..], &["--profile", PROFILE]].concat())?;
        let name = format!("{HUNTER}{}", std::env::consts::EXE_SUFFIX);
        Ok(self.folder.join("build").join(PROFILE).join(name))
    }

    /// Builds a test and tells where it is.
    ///
    /// # Errors
    /// The compiler's first complaint, or that there is no such test.
    pub(super) fn build_test(&self, script: &Script) -> Result<PathBuf, String> {
        let arguments = ["-p", &script.package, "--test", &script.binary, "--no-run"];
        let said = self.cargo("test", &[&arguments[..], &["--profile", PROFILE]].concat())?;
        // `  Executable tests/scenarios/main.rs (/…/scenarios-0123456789abcdef)`
        let path = said.lines().find_map(|line| {
            let rest = line.trim_start().strip_prefix("Executable ")?;
            rest.strip_suffix(')')?.rsplit_once('(').map(|(_, path)| path)
        });
        path.map(|path| self.copy.root.join(path)).ok_or_else(|| "there is no such test".to_owned())
    }

    /// Runs cargo on the copy, and tells what it said on standard error.
    fn cargo(&self, command: &str, arguments: &[&str]) -> Result<String, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .current_dir(&self.copy.root)
            .args([command, "--locked", "--color", "never"])
            .args(arguments)
            .arg("--target-dir")
            .arg(self.folder.join("build"))
            .env("CARGO_INCREMENTAL", "1")
            .output()
            .map_err(|error| format!("cargo cannot be run: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let complaint = said.lines().find(|line| line.starts_with("error"));
        Err(crate::output::plain(complaint.unwrap_or("cargo failed and did not say why")))
    }
}
