//! From raw to validated: every rule that types alone can't state. Pure; what it needs of the world is in [`World`].

mod bundle;
mod channel;
mod connection;
mod policy;
mod schedule;

use std::{
    collections::BTreeMap,
    path::{Path as FilePath, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tracing::level_filters::LevelFilter;
use url::Url;

use super::{
    LogFormat, LogSettings,
    diagnose::{Path, Problem},
    layers::{nearest, shaped},
    parse,
    raw::{Raw, RawLog},
    secrets::{Found, Place},
};
use crate::{
    channels::Connection,
    domain::{
        ChannelId, Settings,
        policy::{Policies, PolicyRule},
    },
};

/// What lies outside the file.
pub(super) struct World<'a> {
    /// The folder of the configuration; relative paths start there.
    pub(super) folder: &'a FilePath,
    /// To tell whether a schedule still fires.
    pub(super) now: DateTime<Utc>,
    /// Finds secrets.
    pub(super) find: &'a dyn Fn(&Place) -> Found,
    /// Orders paths as they stand in the file.
    pub(super) position: &'a dyn Fn(&Path) -> usize,
}

/// The outcome; of use only if there are no problems.
pub(super) struct Checked {
    pub(super) settings: Settings,
    pub(super) connections: Vec<(ChannelId, Connection)>,
    pub(super) addresses: Vec<(ChannelId, Url)>,
    pub(super) overrides: Vec<PolicyRule>,
    pub(super) log: LogSettings,
    pub(super) shutdown_grace: Duration,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// Checks the whole file and collects everything there is to say about it.
pub(super) fn check(raw: Raw, world: &World<'_>) -> Checked {
    let mut check =
        Check { world, channels: Vec::new(), misspelt: false, problems: Vec::new(), warnings: Vec::new() };
    let shutdown_grace =
        check.duration(&Path::of("daemon").key("shutdown_grace"), &raw.daemon.shutdown_grace, "1s", "10m");
    let log = check.log(&raw.log);
    let brake = policy::brake(&mut check, &raw.brake);
    let ledger = check.ledger(&raw.ledger.path);

    let at_channels = Path::of("channels");
    let channels = in_file_order(raw.channels, world);
    check.channels = channels.iter().map(|(id, _)| id.clone()).collect();
    if channels.is_empty() {
        check.problems.push(Problem::of_file(
            "no channel is configured",
            "add a table [channels.NAME] with kind = \"shopify\" or \"woocommerce\"; config/stockd.toml shows one of each",
        ));
    }
    let drafts: Vec<channel::Draft> = channels
        .into_iter()
        .filter_map(|(id, table)| channel::read(&mut check, &at_channels.key(&id), &id, table))
        .collect();
    connection::together(&mut check, &drafts);

    let general = policy::general(&mut check, &raw.policy);
    let overrides = policy::overrides(&mut check, raw.overrides);
    let bundles = bundle::read(&mut check, raw.bundles);
    let rules = std::iter::once(general.clone())
        .chain(drafts.iter().map(|draft| draft.rule.clone()))
        .chain(overrides.iter().map(|(_, rule)| rule.clone()))
        .collect();
    let policies = Policies::new(rules);
    policy::together(&mut check, &general, &drafts, &overrides, &policies);

    let (mut connections, mut addresses) = (Vec::new(), Vec::new());
    let mut settings = Vec::new();
    for draft in drafts {
        addresses.push((draft.settings.id.clone(), connection::base(&draft.connection).clone()));
        if draft.secrets_known {
            connections.push((draft.settings.id.clone(), draft.connection));
        }
        settings.push(draft.settings);
    }
    Checked {
        settings: Settings { ledger, channels: settings, policies, bundles, brake },
        connections,
        addresses,
        overrides: overrides.into_iter().map(|(_, rule)| rule).collect(),
        log,
        shutdown_grace,
        problems: check.problems,
        warnings: check.warnings,
    }
}

fn in_file_order(channels: BTreeMap<String, toml::Table>, world: &World<'_>) -> Vec<(String, toml::Table)> {
    let at = Path::of("channels");
    let mut channels: Vec<_> = channels.into_iter().collect();
    channels.sort_by_key(|(id, _)| (world.position)(&at.key(id)));
    channels
}

/// A check under way. Its methods return something usable even where they found a problem, so that all are found.
struct Check<'a> {
    world: &'a World<'a>,
    /// The ids in the file, the wrong ones too.
    channels: Vec<String>,
    /// Whether the channel at hand has unknown keys: then a missing one is most likely among them.
    misspelt: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Check<'_> {
    fn problem(
        &mut self,
        path: &Path,
        title: impl Into<String>,
        expected: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.problems.push(Problem::new(path, title, expected, cure));
    }

    /// A problem with a key that is not there.
    fn missing(
        &mut self,
        path: &Path,
        title: impl Into<String>,
        expected: impl Into<String>,
        cure: impl Into<String>,
    ) {
        if !self.misspelt {
            self.problem(path, title, expected, cure);
        }
    }

    fn warn(&mut self, path: &Path, title: impl Into<String>, cure: impl Into<String>) {
        self.warnings.push(Problem::new(path, title, "", cure));
    }

    fn shaped<T: serde::de::DeserializeOwned>(&mut self, table: toml::Table, at: &Path) -> Option<T> {
        shaped(toml::Value::Table(table), at).map_err(|problem| self.problems.push(problem)).ok()
    }

    /// The value that a name stands for.
    fn one_of<T: Copy>(&mut self, at: &Path, name: &str, values: &[(&str, T)]) -> Option<T> {
        let found = values.iter().find(|(known, _)| *known == name);
        if found.is_none() {
            let known: Vec<&str> = values.iter().map(|(known, _)| *known).collect();
            let list = known.iter().map(|known| format!("\"{known}\"")).collect::<Vec<_>>().join(" or ");
            let cure = nearest(name, &known)
                .map_or_else(|| format!("write {list}"), |near| format!("did you mean \"{near}\"?"));
            self.problem(at, format!("unknown {} \"{name}\"", last(at)), list, cure);
        }
        found.map(|(_, value)| *value)
    }

    /// A duration from `least` to `most`.
    fn duration(&mut self, at: &Path, text: &str, least: &str, most: &str) -> Duration {
        let bound = |text| parse::duration(text).unwrap_or_default();
        let Some(duration) = parse::duration(text) else {
            let cure = if text == "auto" {
                "only orders are read as often as limits allow; write a fixed duration such as \"6h\""
            } else {
                "write a whole number and ms, s, m, h or d, such as \"30s\""
            };
            self.problem(at, format!("\"{text}\" is not a duration"), format!("{least} to {most}"), cure);
            return Duration::ZERO;
        };
        if duration < bound(least) || duration > bound(most) {
            let cure = format!("choose a duration from \"{least}\" to \"{most}\"");
            self.problem(at, format!("{} is out of range", last(at)), format!("{least} to {most}"), cure);
        }
        duration
    }

    /// A name that the seller chooses: it stands in metrics, paths and commands.
    fn id(&mut self, at: &Path, id: &str) {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if id.is_empty() || id.len() > 40 || !id.chars().all(good) {
            self.problems.push(
                Problem::new(
                    at,
                    format!("\"{id}\" can't be a name"),
                    "1 to 40 of a-z, 0-9 and _",
                    format!("call it {}", suggested_id(id)),
                )
                .at_key(),
            );
        }
    }

    /// A channel that something refers to.
    fn channel(&mut self, at: &Path, name: &str) -> ChannelId {
        if !self.channels.iter().any(|id| id == name) {
            let known: Vec<&str> = self.channels.iter().map(String::as_str).collect();
            let cure = nearest(name, &known).map_or_else(
                || format!("add [channels.{name}], or name one that exists"),
                |near| format!("did you mean \"{near}\"?"),
            );
            let list =
                if known.is_empty() { "a channel of this file".to_owned() } else { known.join(" or ") };
            self.problem(at, format!("there is no channel \"{name}\""), list, cure);
        }
        ChannelId::new(name)
    }

    fn log(&mut self, raw: &RawLog) -> LogSettings {
        let at = Path::of("log");
        let format = self.one_of(
            &at.key("format"),
            &raw.format,
            &[("human", LogFormat::Human), ("json", LogFormat::Json)],
        );
        let level = self.one_of(
            &at.key("level"),
            &raw.level,
            &[
                ("error", LevelFilter::ERROR),
                ("warn", LevelFilter::WARN),
                ("info", LevelFilter::INFO),
                ("debug", LevelFilter::DEBUG),
                ("trace", LevelFilter::TRACE),
            ],
        );
        LogSettings { format: format.unwrap_or(LogFormat::Human), level: level.unwrap_or(LevelFilter::INFO) }
    }

    fn ledger(&mut self, path: &str) -> PathBuf {
        if path.is_empty() || path.ends_with('/') {
            self.problem(
                &Path::of("ledger").key("path"),
                "this is no file name",
                "the path of a file",
                "write the full path, such as \"/var/lib/stockd/ledger.db\"",
            );
        }
        self.world.folder.join(path)
    }
}

/// The last step of a path, as a person would say it.
fn last(at: &Path) -> String {
    let text = at.to_string();
    text.rsplit('.').next().unwrap_or_default().to_owned()
}

fn suggested_id(id: &str) -> String {
    let id: String = id
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(40)
        .collect();
    if id.is_empty() { "web".to_owned() } else { id }
}
