//! `quorate sim script`: a group driven by hand.

use crate::output::{plain, write};
use crate::verdict::{Failure, Verdict};
use clap::Args;
use quorate_sim::script::{self, language};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

#[derive(Args, Debug)]
#[command(after_help = script::PAGE)]
pub(crate) struct Script {
    /// The script; `-` is standard input.
    file: PathBuf,
}

impl Script {
    /// Runs the script, once all of it makes sense.
    pub(crate) fn run(&self) -> Verdict {
        let is_standard_input = self.file.as_os_str() == "-";
        let name = match is_standard_input {
            true => "standard input".to_owned(),
            false => plain(&self.file.display().to_string()),
        };
        let unread = |error| Failure::Usage(format!("{name}: cannot be read: {error}"));
        let text = match is_standard_input {
            true => text(io::stdin().lock()),
            false => File::open(&self.file).and_then(text),
        };
        let script = language::read(&text.map_err(unread)?)
            .map_err(|malformed| Failure::Usage(plain(&format!("{name}:{malformed}"))))?;
        write(|out| script::run(&script, out))
    }
}

/// What there is to read; of what is too long, enough to see that.
fn text(from: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(language::MOST_BYTES as u64 + 1).read_to_end(&mut text).map(|_| text)
}
