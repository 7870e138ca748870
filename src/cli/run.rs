//! `stockd run`: the daemon.

use clap::Args;

use super::{ConfigArg, Failure};
use crate::{daemon, telemetry};

/// Runs the daemon: reads orders, keeps the ledger, pushes corrected quantities.
///
/// Runs in the foreground until SIGTERM or SIGINT, and writes one log line per thing that happens.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stockd run --config /etc/stockd/stockd.toml")]
pub struct Run {
    #[command(flatten)]
    config: ConfigArg,
}

/// Runs the daemon to its end.
///
/// # Errors
/// A configuration that can't be used (exit code 78), or whatever ended the daemon.
pub fn run(run: &Run) -> Result<(), Failure> {
    let loaded = run.config.load()?;
    telemetry::start(&loaded.log)?;
    for warning in &loaded.warnings {
        tracing::warn!(event = "config.warning", "{warning}");
    }
    daemon::run(loaded.settings, &loaded.connections, loaded.shutdown_grace)?;
    Ok(())
}
