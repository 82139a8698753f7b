//! `quorate council`: members of Byzantine groups.

mod liar;

use crate::output::tell;
use crate::verdict::{Failure, Verdict};
use clap::Subcommand;
use quorate_host::council::config::Config;
use quorate_host::lease;
use quorate_host::signing::Keys;
use quorate_std::council::{Node, StartError};
use std::path::PathBuf;

#[derive(Subcommand, Debug)]
pub(crate) enum Council {
    /// Serve a member of a Byzantine group that keeps leases, until it is killed.
    Serve {
        /// The member's configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Lie: as the primary, propose so many times, then two things at once, and fall silent.
        #[arg(long, value_name = "N", hide = true)]
        lie_after: Option<u32>,
    },
    /// Show the public key of a seed, which is made if there is none.
    Key {
        /// The file of the seed: `key` in a member's data folder, or a client's own.
        file: PathBuf,
    },
}

pub(crate) fn run(command: Council) -> Verdict {
    match command {
        Council::Serve { config, lie_after } => serve(&config, lie_after),
        Council::Key { file } => {
            let refused = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder).map_err(|error| refused(&error))?;
            }
            let keys = Keys::open(&file).map_err(|error| refused(&error))?;
            crate::output::show(&keys.public().to_string())
        }
    }
}

fn serve(file: &std::path::Path, lie_after: Option<u32>) -> Verdict {
    let config = Config::load(file).map_err(|error| Failure::Usage(error.to_string()))?;
    let tongue = lie_after.map(|after| liar::tongue(&config, after)).transpose()?;
    let me = config.me;
    let told = Box::new(move |line: &str| tell(&format!("member {me}: {line}")));
    let node = Node::start(&config, lease::table(), tongue, told).map_err(|error| match error {
        StartError::Open(error) => Failure::Usage(format!("{}: {error}", file.display())),
        error => Failure::Refused(error.to_string()),
    })?;
    tell(&format!("member {me} of group {} listens on {}", config.group, node.address()));
    node.wait().map_err(|stopped| Failure::Refused(stopped.to_string()))
}
