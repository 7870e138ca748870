//! Which configuration file a command works with.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::config::{self, Loaded, Secrets};

/// The configuration file, the same way for every command.
#[derive(Clone, Debug, Args)]
pub struct ConfigArg {
    /// The configuration file.
    #[arg(
        long = "config",
        value_name = "PATH",
        env = "STOCKD_CONFIG",
        default_value = "/etc/stockd/stockd.toml"
    )]
    pub path: PathBuf,
}

impl ConfigArg {
    /// Loads it with all secrets, for commands that talk to channels.
    ///
    /// # Errors
    /// [`Failure::Config`] with everything that is wrong.
    pub fn load(&self) -> Result<Loaded, Failure> {
        self.load_with(Secrets::Needed)
    }

    /// Loads it with the secrets that are wanted.
    ///
    /// # Errors
    /// [`Failure::Config`] with everything that is wrong.
    pub fn load_with(&self, wanted: Secrets) -> Result<Loaded, Failure> {
        config::load_with(&self.path, wanted).map_err(|problems| Failure::Config(problems.to_string()))
    }
}
