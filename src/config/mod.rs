//! Configuration: raw text to validated values, with diagnostics.
//!
//! Built-in defaults, then the file, then the environment (`[ledger]` and `[daemon]` only) make one raw structure;
//! checking it yields either everything the program needs or everything that is wrong. `config/stockd.toml` explains
//! each key.

mod check;
mod defaults;
mod diagnose;
mod layers;
mod mask;
mod parse;
mod raw;
#[cfg(test)]
mod reference;
mod secrets;

use std::{env, fs, path::Path as FilePath, time::Duration};

use chrono::{DateTime, Utc};
use tracing::level_filters::LevelFilter;
use url::Url;

use self::{
    check::{Checked, World},
    diagnose::{Problem, Source},
    secrets::{Found, Place},
};
pub use self::{diagnose::Diagnostics, secrets::Secrets};
use crate::{
    channels::Connection,
    domain::{Cadence, ChannelId, Settings, policy::PolicyRule},
};

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the engine is told.
    pub settings: Settings,
    /// How to reach each channel, in the order of the file; without those whose secrets were not read ([`Secrets`]).
    pub connections: Vec<(ChannelId, Connection)>,
    /// Where each channel is, in the order of the file.
    pub addresses: Vec<(ChannelId, Url)>,
    /// The `[[override]]` rules as written, in the order of the file; they are in `settings.policies` too.
    pub overrides: Vec<PolicyRule>,
    /// What is logged, and how.
    pub log: LogSettings,
    /// How long calls under way may take to end once the daemon is told to stop: 1 s to 10 min.
    pub shutdown_grace: Duration,
    /// What is odd, each with file, line and cure; to be shown, no reason to stop.
    pub warnings: Vec<String>,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// For whom.
    pub format: LogFormat,
    /// stockd's own events from this level on; its libraries' from `warn` on.
    pub level: LevelFilter,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, to standard error.
    Human,
    /// One JSON object per line, to standard output.
    Json,
}

/// Loads a configuration with all its secrets.
///
/// # Errors
/// [`Diagnostics`] with everything that is wrong.
pub fn load(path: &FilePath) -> Result<Loaded, Diagnostics> {
    load_with(path, Secrets::Needed)
}

/// Loads a configuration; `wanted` says which secrets must be there.
///
/// # Errors
/// [`Diagnostics`] with everything that is wrong.
pub fn load_with(path: &FilePath, wanted: Secrets) -> Result<Loaded, Diagnostics> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().unwrap_or(FilePath::new("/"));
    let mut source = read(path)?;
    let env: Vec<(String, String)> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    understand(&mut source, folder, Utc::now(), &env, &|place| secrets::find(place, folder, wanted))
}

/// The next times that something recurs by a cron expression; none for a fixed interval.
pub fn next_runs(cadence: &Cadence, now: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
    match cadence {
        Cadence::Every(_) | Cadence::Auto => Vec::new(),
        Cadence::Cron(schedule) => schedule.after(&now).take(count).collect(),
    }
}

/// The file's text, whatever editor wrote it: a byte order mark and CRLF are dropped.
fn read(path: &FilePath) -> Result<Source, Diagnostics> {
    let name = path.display().to_string();
    let fail = |problem| Err(Diagnostics::new(&Source::new(name.clone(), ""), vec![problem]));
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            return fail(Problem::of_file(
                format!("the configuration can't be read: {error}"),
                "name the file with --config PATH or STOCKD_CONFIG; config/stockd.toml is one to start from",
            ));
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => {
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
            Ok(Source::new(name, text))
        }
        Err(error) => {
            let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
            let line = good.matches('\n').count() + 1;
            fail(Problem::of_file(format!("line {line} is not UTF-8 text"), "save the file as UTF-8"))
        }
    }
}

fn understand(
    source: &mut Source,
    folder: &FilePath,
    now: DateTime<Utc>,
    env: &[(String, String)],
    find: &dyn Fn(&Place) -> Found,
) -> Result<Loaded, Diagnostics> {
    let raw = layers::read(source, env).map_err(|problem| Diagnostics::new(source, vec![problem]))?;
    let world = World { folder, now, find, position: &|path| source.position(path) };
    let Checked { settings, connections, addresses, overrides, log, shutdown_grace, problems, warnings } =
        check::check(raw, &world);
    if !problems.is_empty() {
        return Err(Diagnostics::new(source, problems));
    }
    let warnings = warnings.iter().map(|warning| source.one_line(warning)).collect();
    Ok(Loaded { settings, connections, addresses, overrides, log, shutdown_grace, warnings })
}
