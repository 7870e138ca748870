//! `stockd check`: is the configuration right, and what does it say?

use std::path::PathBuf;

use chrono::{SecondsFormat, Utc};
use clap::Args;
use serde::Serialize;

use super::{
    ConfigArg, Failure, Out,
    check_online::{self, OnlineReport},
    status,
};
use crate::{
    config::{self, Loaded, Secrets},
    domain::{
        Buffer, Cadence, ChannelId, ChannelSettings, Settings, Units,
        policy::{Policy, PolicyRule, SkuPattern},
    },
    ledger::Reader,
};

/// Checks the configuration and prints what it comes to.
///
/// Reads the file as the daemon would, without touching the network; of the ledger it only says whether it is an older
/// one put back. A mistake is shown with its line
/// and the cure, and the exit code is 78. With `--online` it also asks each channel who we are there and what it lists,
/// and says which listings would be managed and which not and why; nothing is written anywhere.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    config: ConfigArg,
    /// Ask the channels as well: credentials, account, what would be managed.
    #[arg(long)]
    online: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Config`] with everything that is wrong.
pub fn run(check: &Check) -> Result<(), Failure> {
    let wanted = if check.online { Secrets::Needed } else { Secrets::IfHere };
    let loaded = check.config.load_with(wanted)?;
    let mut report = Report::of(&loaded);
    report.warnings.extend(standing(&loaded.settings)?);
    if check.online {
        report.online = check_online::ask_all(&loaded)?;
    }
    if check.json {
        Out.json(&report)?;
    } else {
        print(&report, &check.config.path.display().to_string())?;
    }
    match report.online.iter().filter(|channel| channel.error.is_some()).count() {
        0 => Ok(()),
        failed => Err(anyhow::anyhow!("{failed} channels could not be checked online").into()),
    }
}

/// Whether the ledger, where there is one, is an older one put back.
fn standing(settings: &Settings) -> Result<Option<String>, Failure> {
    match Reader::open(&settings.ledger) {
        Ok(reader) => Ok(status::standing(&reader, settings)?),
        // Its own commands say what is wrong with it.
        Err(_) => Ok(None),
    }
}

#[derive(Serialize)]
struct Report {
    ledger: PathBuf,
    brake_share: String,
    brake_min_listings: u32,
    channels: Vec<ChannelReport>,
    overrides: Vec<OverrideReport>,
    bundles: Vec<BundleReport>,
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    online: Vec<OnlineReport>,
}

#[derive(Serialize)]
struct ChannelReport {
    name: String,
    kind: &'static str,
    mode: &'static str,
    address: String,
    policy: String,
    order_location: String,
    locations: Vec<String>,
    schedules: Vec<ScheduleReport>,
}

#[derive(Serialize)]
struct ScheduleReport {
    what: &'static str,
    when: String,
    next_runs: Vec<String>,
}

#[derive(Serialize)]
struct OverrideReport {
    sku: String,
    channel: Option<String>,
    sets: String,
}

#[derive(Serialize)]
struct BundleReport {
    sku: String,
    channel: Option<String>,
    components: Vec<String>,
}

impl Report {
    fn of(loaded: &Loaded) -> Self {
        let settings = &loaded.settings;
        Self {
            ledger: settings.ledger.clone(),
            brake_share: settings.brake.share.to_string(),
            brake_min_listings: settings.brake.min_listings,
            channels: settings.channels.iter().map(|channel| channel_report(loaded, channel)).collect(),
            overrides: loaded.overrides.iter().map(override_report).collect(),
            bundles: settings
                .bundles
                .iter()
                .map(|bundle| BundleReport {
                    sku: bundle.channel_sku.to_string(),
                    channel: bundle.channel.as_ref().map(ToString::to_string),
                    components: bundle
                        .components
                        .iter()
                        .map(|part| format!("{} x {}", part.units, part.sku))
                        .collect(),
                })
                .collect(),
            warnings: loaded.warnings.clone(),
            online: Vec::new(),
        }
    }
}

fn channel_report(loaded: &Loaded, channel: &ChannelSettings) -> ChannelReport {
    let address = loaded.addresses.iter().find(|(id, _)| *id == channel.id).map(|(_, url)| url.to_string());
    ChannelReport {
        name: channel.id.to_string(),
        kind: channel.capabilities.kind.name(),
        mode: channel.mode.name(),
        address: address.unwrap_or_default(),
        policy: policy_text(&loaded.settings.policies.resolve(&channel.id, "")),
        order_location: channel.order_location.to_string(),
        locations: channel.locations.iter().map(|(ours, theirs)| format!("{ours} = {theirs}")).collect(),
        schedules: vec![
            schedule("orders", &channel.orders),
            schedule("scan", &channel.scan),
            schedule("sweep", &channel.sweep),
        ],
    }
}

fn schedule(what: &'static str, cadence: &Cadence) -> ScheduleReport {
    let when = match cadence {
        Cadence::Every(every) => format!("every {every:?}"),
        Cadence::Cron(schedule) => schedule.source().to_owned(),
        Cadence::Auto => "auto".to_owned(),
    };
    let next_runs = config::next_runs(cadence, Utc::now(), 3);
    let next_runs = next_runs.iter().map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)).collect();
    ScheduleReport { what, when, next_runs }
}

fn policy_text(policy: &Policy) -> String {
    let cap = policy.cap.map_or_else(|| "none".to_owned(), |cap| cap.to_string());
    let auto = match policy.buffer {
        Buffer::Auto(auto) => format!(" (oversell_cost {}, buffer_max {})", auto.oversell_cost, auto.most),
        Buffer::Units(_) | Buffer::Percent(_) => String::new(),
    };
    let last = match policy.last_units {
        Units::ZERO => String::new(),
        last => format!(", 0 for the last {last}"),
    };
    format!(
        "buffer {}{auto}, share {}, cap {cap}, min_quantity {}{last}",
        policy.buffer, policy.share, policy.min_quantity
    )
}

fn override_report(rule: &PolicyRule) -> OverrideReport {
    let sets = [
        rule.buffer.map(|buffer| format!("buffer {buffer}")),
        rule.share.map(|share| format!("share {share}")),
        rule.cap.map(|cap| format!("cap {cap}")),
        rule.min_quantity.map(|least| format!("min_quantity {least}")),
        rule.oversell_cost.map(|cost| format!("oversell_cost {cost}")),
        rule.buffer_max.map(|most| format!("buffer_max {most}")),
        rule.last_units.map(|last| format!("last_units {last}")),
        rule.last_units_on.as_ref().map(|on| {
            let names: Vec<&str> = on.iter().map(ChannelId::as_str).collect();
            format!("last_units_on {}", names.join(" and "))
        }),
    ];
    OverrideReport {
        sku: rule.sku.as_ref().map_or("*", SkuPattern::as_str).to_owned(),
        channel: rule.channel.as_ref().map(ToString::to_string),
        sets: sets.into_iter().flatten().collect::<Vec<_>>().join(", "),
    }
}

fn print(report: &Report, path: &str) -> Result<(), Failure> {
    let everywhere = |channel: &Option<String>| channel.clone().unwrap_or_else(|| "every channel".to_owned());
    Out.line(format!("{path}: ok"))?;
    Out.line(format!("ledger {}", report.ledger.display()))?;
    Out.line(format!(
        "brake  holds back a plan that changes {} of a channel without a sale, from {} listings on",
        report.brake_share, report.brake_min_listings
    ))?;

    Out.line("")?;
    let rows: Vec<_> = report
        .channels
        .iter()
        .map(|c| [c.name.clone(), c.kind.to_owned(), c.mode.to_owned(), c.address.clone(), c.policy.clone()])
        .collect();
    Out.table(&["CHANNEL", "KIND", "MODE", "ADDRESS", "POLICY"], &rows)?;

    Out.line("")?;
    let rows: Vec<_> = report
        .channels
        .iter()
        .flat_map(|c| {
            c.schedules
                .iter()
                .map(|s| [c.name.clone(), s.what.to_owned(), s.when.clone(), s.next_runs.join(" ")])
        })
        .collect();
    Out.table(&["CHANNEL", "WHAT", "WHEN (UTC)", "NEXT RUNS"], &rows)?;

    let rows: Vec<_> = report
        .channels
        .iter()
        .filter(|c| !c.locations.is_empty())
        .map(|c| [c.name.clone(), c.locations.join(", "), c.order_location.clone()])
        .collect();
    section(&["CHANNEL", "LOCATIONS", "ORDERS COMMIT AT"], &rows)?;
    let rows: Vec<_> =
        report.overrides.iter().map(|o| [o.sku.clone(), everywhere(&o.channel), o.sets.clone()]).collect();
    section(&["OVERRIDE", "ON", "SETS"], &rows)?;
    let rows: Vec<_> = report
        .bundles
        .iter()
        .map(|b| [b.sku.clone(), everywhere(&b.channel), b.components.join(" + ")])
        .collect();
    section(&["BUNDLE", "ON", "MADE OF"], &rows)?;

    for warning in &report.warnings {
        Out.line(format!("\nwarning: {warning}"))?;
    }
    report.online.iter().try_for_each(print_online)
}

fn print_online(report: &OnlineReport) -> Result<(), Failure> {
    Out.line("")?;
    if let Some(error) = &report.error {
        return Ok(Out.line(format!("{} online: FAILED: {error}", report.channel))?);
    }
    Out.line(format!(
        "{} online: ok, {} ({}), {} listings would be managed, {} not",
        report.channel,
        report.name,
        report.account,
        report.managed,
        report.left_alone.len()
    ))?;
    for location in &report.locations {
        Out.line(format!("  location {location}"))?;
    }
    for warning in &report.warnings {
        Out.line(format!("  warning: {warning}"))?;
    }
    for near in &report.near {
        Out.line(format!("  near match: {:?} on the channel, {:?} in the ledger", near.theirs, near.ours))?;
    }
    let rows: Vec<_> = report
        .left_alone
        .iter()
        .map(|left| [left.sku.clone(), left.listing.clone(), left.reason.to_owned()])
        .collect();
    section(&["NOT MANAGED", "LISTING", "WHY"], &rows)
}

fn section(heading: &[&str], rows: &[[String; 3]]) -> Result<(), Failure> {
    if !rows.is_empty() {
        Out.line("")?;
        Out.table(heading, rows)?;
    }
    Ok(())
}
