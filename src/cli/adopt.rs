//! `stockd adopt`: take the numbers that a channel shows as the opening count.

use chrono::Utc;
use clap::Args;
use serde::Serialize;

use super::{
    ConfigArg, Failure, Out, ask,
    online::{Judge, Online, known_skus},
};
use crate::{
    domain::{
        ChannelId, ChannelSettings, CountBasis, CountRow, LevelReading, ListingReading, LocationId,
        Operation, Sku, Units, UtcMs,
    },
    ledger::ListingState,
};

/// Takes what a channel shows now as the opening count of the SKUs that the ledger doesn't know.
///
/// The numbers count as `available`: orders that are open at this moment are already taken off them. SKUs that the
/// ledger knows are left alone, and so are listings without a SKU, with one that stands on several listings, bundles,
/// and listings whose stock the channel does not track; each is named. Adopt the channel you trust most, then look at
/// `stockd plan` before any channel is set to `mode = "push"`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stockd adopt web --dry-run\n  stockd adopt web --reason 'web shop is right'"
)]
pub struct Adopt {
    /// The channel.
    channel: String,
    /// Show what would be counted, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Why this channel.
    #[arg(long, default_value = "adopted from the channel")]
    reason: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    wait: ask::Wait,
    #[command(flatten)]
    config: ConfigArg,
}

#[derive(Debug, Serialize)]
struct Report {
    counted: Vec<Counted>,
    left_alone: Vec<LeftAlone>,
    answer: Option<String>,
}

#[derive(Debug, Serialize)]
struct Counted {
    sku: String,
    location: String,
    available: Units,
}

#[derive(Debug, Serialize)]
struct LeftAlone {
    sku: String,
    listing: String,
    reason: String,
}

/// Runs the command.
///
/// # Errors
/// The channel can't be read, or there is nothing to adopt.
pub fn run(adopt: &Adopt) -> Result<(), Failure> {
    let loaded = adopt.config.load()?;
    let id = ChannelId::new(&adopt.channel);
    let online = Online::new(&loaded, &id)?;
    let Some(channel) = loaded.settings.channels.iter().find(|c| c.id == id) else {
        return Err(Failure::Usage(format!("there is no channel {id} in the configuration")));
    };
    let counted_at = UtcMs(Utc::now().timestamp_millis());
    let listings = online.catalogue()?.listings;
    let known = known_skus(&loaded.settings)?;
    let judge = Judge::new(&loaded.settings, channel, &known, &listings);
    let (rows, left_alone) = opening(&judge, channel, &listings, counted_at);
    let counted = rows
        .iter()
        .map(|row| Counted {
            sku: row.sku.to_string(),
            location: row.location.to_string(),
            available: row.quantity,
        })
        .collect();
    let mut report = Report { counted, left_alone, answer: None };
    if !adopt.dry_run && !rows.is_empty() {
        let operation = Operation::Count { rows, reason: adopt.reason.clone() };
        report.answer = Some(ask::ask(&loaded.settings.ledger, &loaded.settings, &operation, adopt.wait)?);
    }
    print(adopt, &report)
}

/// What the channel's listings count for, and which of them don't and why.
fn opening(
    judge: &Judge<'_>,
    channel: &ChannelSettings,
    listings: &[ListingReading],
    counted_at: UtcMs,
) -> (Vec<CountRow>, Vec<LeftAlone>) {
    let (mut rows, mut left) = (Vec::new(), Vec::new());
    for listing in listings {
        let text = listing.channel_sku.as_deref().unwrap_or_default();
        let mut leave = |reason: &str| {
            let reason = reason.to_owned();
            left.push(LeftAlone { sku: text.to_owned(), listing: listing.id.to_string(), reason });
        };
        match (judge.state(listing), Sku::new(text)) {
            (ListingState::Managed, _) => leave("the ledger knows it already"),
            (ListingState::Unmatched, Ok(_)) if judge.bundle(text).is_some() => {
                leave("it is a bundle of the configuration; its parts are counted, not it");
            }
            (ListingState::Unmatched, Ok(sku)) => {
                for level in &listing.levels {
                    match (location_of(channel, level), level.quantity) {
                        (None, _) => leave("its channel location is not mapped"),
                        (_, None) => leave("the channel gave no number that can be read"),
                        (Some(location), Some(quantity)) => rows.push(CountRow {
                            sku: sku.clone(),
                            location,
                            quantity,
                            basis: CountBasis::Available,
                            counted_at,
                        }),
                    }
                }
            }
            (state, _) => leave(state.reason()),
        }
    }
    (rows, left)
}

/// The ledger location that stands for a reading's place: the first mapped to it, or the order location where the
/// channel has one number per listing.
fn location_of(channel: &ChannelSettings, level: &LevelReading) -> Option<LocationId> {
    if channel.locations.is_empty() {
        return Some(channel.order_location.clone());
    }
    channel.locations.iter().find(|(_, there)| *there == level.place.location).map(|(ours, _)| ours.clone())
}

fn print(adopt: &Adopt, report: &Report) -> Result<(), Failure> {
    if adopt.json {
        return Ok(Out.json(report)?);
    }
    let rows: Vec<_> = report
        .counted
        .iter()
        .map(|row| [row.sku.clone(), row.location.clone(), row.available.to_string()])
        .collect();
    if !rows.is_empty() {
        Out.table(&["SKU", "LOCATION", "AVAILABLE"], &rows)?;
        Out.line("")?;
    }
    let rows: Vec<_> =
        report.left_alone.iter().map(|l| [l.sku.clone(), l.listing.clone(), l.reason.clone()]).collect();
    if !rows.is_empty() {
        Out.table(&["LEFT ALONE", "LISTING", "WHY"], &rows)?;
        Out.line("")?;
    }
    match &report.answer {
        Some(answer) => Out.line(answer)?,
        None if report.counted.is_empty() => Out.line("nothing to adopt")?,
        None => {
            Out.line(format!("dry run: {} SKUs would be counted, nothing changed", report.counted.len()))?;
        }
    }
    Ok(())
}
