//! `stockd status`: how every channel does, and what waits for a person.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{ConfigArg, Failure, Out, ask};
use crate::{
    config::Secrets,
    domain::{ChannelSettings, Settings, Units, UtcMs},
    ledger::{
        Brake, ChannelRow, DelayRow, LedgerError, ListingState, OpenWrites, Pause, Reader, Restored,
        Standing, Totals, writer_is_running,
    },
};

const DAY_MS: i64 = 86_400_000;

/// Shows how every channel does, and what needs a person.
///
/// Reads the ledger only, so it works with and without a running daemon.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stockd status --exit-code || echo 'stockd needs somebody'")]
pub struct Status {
    #[command(flatten)]
    config: ConfigArg,
    /// End with exit code 3 if something needs a person.
    #[arg(long)]
    exit_code: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    ledger: PathBuf,
    /// Whether a daemon (or another command that writes) has the ledger open.
    running: bool,
    /// An older ledger was put back, and whatever raises is held until every channel has been read again.
    restored: Option<Restored>,
    totals: Totals,
    channels: Vec<ChannelStatus>,
    oversold: Vec<Short>,
    /// What needs a person, one sentence each.
    attention: Vec<String>,
}

#[derive(Serialize)]
struct ChannelStatus {
    name: String,
    kind: &'static str,
    mode: &'static str,
    /// Who the channel said we are at first contact.
    account: Option<ChannelRow>,
    listings: Vec<ListingCount>,
    /// The latest change of an order that was read.
    orders_read_to: Option<UtcMs>,
    orders: i64,
    last_order_at: Option<UtcMs>,
    /// How late sales become known and pushes land, once enough have been measured.
    delay: Option<DelayRow>,
    writes: OpenWrites,
    brake: Option<Brake>,
    pauses: Vec<Pause>,
    /// Incidents of the last 24 hours by kind.
    incidents: Vec<(String, i64)>,
}

#[derive(Serialize)]
struct ListingCount {
    state: ListingState,
    count: i64,
    /// Why listings in this state are left alone.
    reason: &'static str,
}

#[derive(Serialize)]
struct Short {
    sku: String,
    available: Units,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Differences`] with `--exit-code` and something that needs a person.
pub fn run(args: &Status) -> Result<(), Failure> {
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let report = report(&settings)?;
    if args.json {
        Out.json(&report)?;
    } else {
        print(&report)?;
    }
    if args.exit_code && !report.attention.is_empty() { Err(Failure::Differences) } else { Ok(()) }
}

fn report(settings: &Settings) -> Result<Report, Failure> {
    let reader = Reader::open(&settings.ledger)?;
    let (pauses, brakes) = (reader.pauses()?, reader.brakes()?);
    let channels: Result<Vec<ChannelStatus>, Failure> =
        settings.channels.iter().map(|channel| channel_status(&reader, channel, &pauses, &brakes)).collect();
    let oversold = reader.oversold()?;
    let mut report = Report {
        ledger: settings.ledger.clone(),
        running: writer_is_running(&settings.ledger),
        restored: reader.restored()?,
        totals: reader.totals()?,
        channels: channels?,
        oversold: oversold.into_iter().map(|row| Short { sku: row.sku, available: row.available }).collect(),
        attention: Vec::new(),
    };
    report.attention = attention(&report);
    report.attention.extend(standing(&reader, settings)?);
    Ok(report)
}

fn channel_status(
    reader: &Reader,
    channel: &ChannelSettings,
    pauses: &[Pause],
    brakes: &[Brake],
) -> Result<ChannelStatus, Failure> {
    let (orders, last_order_at) = reader.orders_of(&channel.id)?;
    let listings = reader.listing_states(&channel.id)?;
    Ok(ChannelStatus {
        name: channel.id.to_string(),
        kind: channel.capabilities.kind.name(),
        mode: channel.mode.name(),
        account: reader.channel(&channel.id)?,
        listings: listings
            .into_iter()
            .map(|(state, count)| ListingCount { state, count, reason: state.reason() })
            .collect(),
        orders_read_to: reader.cursor(channel.id.as_str())?,
        orders,
        last_order_at,
        delay: reader.delay(&channel.id)?,
        writes: reader.open_writes(&channel.id)?,
        brake: brakes.iter().find(|brake| brake.channel == channel.id).cloned(),
        pauses: pauses.iter().filter(|pause| pause.channel == channel.id).cloned().collect(),
        incidents: reader.incident_counts(&channel.id, ask::now().plus_ms(-DAY_MS))?,
    })
}

/// What the head record says of the ledger, and what is held for it.
pub(super) fn standing(reader: &Reader, settings: &Settings) -> Result<Option<String>, LedgerError> {
    if let Standing::Behind { detail, .. } = reader.standing(&settings.ledger)? {
        return Ok(Some(format!(
            "the ledger is an older one put back: {detail}; from the next start on nothing is raised until every channel \
             has been read again"
        )));
    }
    Ok(reader.restored()?.map(|restored| {
        let waits = settings.channels.iter().filter_map(|channel| match restored.of(&channel.id) {
            None => Some(format!("{} (numbers and orders)", channel.id)),
            Some(known) if known.swept_at.is_none() => Some(format!("{} (orders)", channel.id)),
            Some(_) => None,
        });
        format!(
            "an older ledger was put back, noticed {}: {}; nothing is raised on any channel until these have been read \
             again: {}",
            restored.at.rfc3339_seconds(),
            restored.detail,
            waits.collect::<Vec<_>>().join(", ")
        )
    }))
}

fn attention(report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    if !report.running {
        found.push("no stockd is running: nothing is kept in step".to_owned());
    }
    if !report.oversold.is_empty() {
        found.push(format!(
            "{} oversold: `stockd oversells` names the orders that can't be filled",
            counted(report.oversold.len(), "SKU is", "SKUs are")
        ));
    }
    if report.totals.quarantined > 0 {
        found.push(format!(
            "{}: `stockd quarantine list`",
            counted(
                report.totals.quarantined,
                "order line is in quarantine and moves no stock",
                "order lines are in quarantine and move no stock"
            )
        ));
    }
    for channel in &report.channels {
        let name = &channel.name;
        if let Some(brake) = channel.brake.as_ref().filter(|brake| brake.engaged) {
            found.push(format!(
                "{name}: the brake holds {}: {}",
                counted(brake.held, "push", "pushes"),
                brake.reason
            ));
        }
        if channel.writes.unknown > 0 {
            let count = counted(channel.writes.unknown, "number", "numbers");
            found.push(format!("{name}: nobody knows yet whether {count} arrived; a later read decides"));
        }
        if let Some(since) = channel.account.as_ref().and_then(|row| row.blind_since) {
            found.push(format!("{name}: blind, its orders can't be read since {}", since.rfc3339_seconds()));
        }
        for (kind, count) in &channel.incidents {
            let times = counted(*count, "time", "times");
            found.push(format!("{name}: {kind}, {times} in the last 24 hours"));
        }
    }
    found
}

fn counted(count: impl TryInto<i64>, one: &str, many: &str) -> String {
    let count = count.try_into().unwrap_or(i64::MAX);
    format!("{count} {}", if count == 1 { one } else { many })
}

fn print(report: &Report) -> Result<(), Failure> {
    let running = if report.running { "in use by a running stockd" } else { "not in use" };
    Out.line(format!("ledger {} ({running})", report.ledger.display()))?;
    let totals = &report.totals;
    Out.line(format!(
        "{} SKUs, {} movements, {} orders with {} lines",
        totals.skus, totals.movements, totals.orders, totals.order_lines
    ))?;
    Out.line("")?;
    let rows: Vec<[String; 9]> = report.channels.iter().map(row).collect();
    let heading = [
        "channel",
        "kind",
        "mode",
        "account",
        "managed",
        "left alone",
        "orders",
        "orders read to",
        "last scan",
    ];
    Out.table(&heading, &rows)?;
    for channel in &report.channels {
        details(channel)?;
    }
    Out.line("")?;
    if report.attention.is_empty() {
        return Ok(Out.line("nothing needs a person")?);
    }
    for sentence in &report.attention {
        Out.line(format!("! {sentence}"))?;
    }
    Ok(())
}

fn row(channel: &ChannelStatus) -> [String; 9] {
    let time = |at: Option<UtcMs>| at.map_or_else(|| "never".into(), UtcMs::rfc3339_seconds);
    let count = |managed: bool| -> i64 {
        let listings = channel.listings.iter();
        listings.filter(|l| (l.state == ListingState::Managed) == managed).map(|l| l.count).sum()
    };
    [
        channel.name.clone(),
        channel.kind.into(),
        channel.mode.into(),
        channel.account.as_ref().map_or_else(|| "not reached yet".into(), |row| row.account_name.clone()),
        count(true).to_string(),
        count(false).to_string(),
        channel.orders.to_string(),
        orders_read_to(channel),
        time(channel.account.as_ref().and_then(|row| row.scanned_at)),
    ]
}

fn orders_read_to(channel: &ChannelStatus) -> String {
    match (channel.orders_read_to, channel.account.as_ref().and_then(|row| row.orders_read_at)) {
        (Some(latest), _) => latest.rfc3339_seconds(),
        (None, Some(read)) => format!("no orders yet ({})", read.rfc3339_seconds()),
        (None, None) => "never".into(),
    }
}

fn details(channel: &ChannelStatus) -> Result<(), Failure> {
    let name = &channel.name;
    if let Some(since) = channel.account.as_ref().and_then(|row| row.blind_since) {
        let since = since.rfc3339_seconds();
        Out.line(format!(
            "{name}: its orders have not been read since {since}; what it has sold since is not known"
        ))?;
    }
    for left in channel.listings.iter().filter(|l| l.state != ListingState::Managed) {
        Out.line(format!("{name}: {} {}: {}", left.count, left.state.name(), left.reason))?;
    }
    if let Some(delay) = &channel.delay {
        let seconds = |ms: i64| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
        let known = format!("{}, at most {}", seconds(delay.known_p50_ms), seconds(delay.known_p99_ms));
        let landed = delay
            .landed_p50_ms
            .zip(delay.landed_p99_ms)
            .map(|(half, most)| format!("; a decrease takes {}, at most {}", seconds(half), seconds(most)));
        Out.line(format!("{name}: a sale is known after {known}{}", landed.unwrap_or_default()))?;
    }
    if channel.writes.requests > 0 {
        let open = counted(channel.writes.requests, "request", "requests");
        Out.line(format!("{name}: {open} under way or unsettled"))?;
    }
    for pause in &channel.pauses {
        let what = if pause.sku.is_empty() { "everything" } else { &pause.sku };
        let how = if pause.zero { "shows 0" } else { "held" };
        let since = pause.at.rfc3339_seconds();
        Out.line(format!("{name}: {what} is paused ({how}) since {since}: {}", pause.reason))?;
    }
    Ok(())
}
