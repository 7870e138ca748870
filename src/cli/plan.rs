//! `stockd plan`: what would be changed, and why.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use super::{ConfigArg, Failure, Out, ask, select};
use crate::{
    config::Secrets,
    domain::{ChannelSettings, Mode, Settings, Sku, Units},
    engine::plan::{self, Inputs},
    ledger::{Brake, Pause, PlaceId, Reader},
};

/// Shows every number that differs from what it should be.
///
/// Compares what each listing is believed to show with its target, worked out from the ledger and the policy, as the
/// daemon does. Changes nothing and asks no channel: the numbers are those of the last reads.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stockd plan\n  stockd plan --channel web --sku MUG-1\n  \
                        stockd plan --exit-code && echo 'all in step'")]
pub struct Plan {
    #[command(flatten)]
    config: ConfigArg,
    /// Only this channel.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Only listings with this SKU, or made of it.
    #[arg(long, value_parser = ask::parse_sku)]
    sku: Option<Sku>,
    /// End with exit code 3 if there are differences.
    #[arg(long)]
    exit_code: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    differences: Vec<Difference>,
    /// Places compared.
    places: usize,
    /// Places whose number has never been read.
    unread: usize,
    /// Places that a pause holds as they are.
    held: usize,
}

#[derive(Serialize)]
struct Difference {
    channel: String,
    sku: String,
    listing: String,
    location: String,
    shows: Units,
    target: Units,
    change: Units,
    mode: &'static str,
    braked: bool,
    in_flight: bool,
    inputs: Inputs,
}

/// What the plan is made with.
struct Planner<'a> {
    reader: &'a Reader,
    settings: &'a Settings,
    pauses: Vec<Pause>,
    brakes: Vec<Brake>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Differences`] with `--exit-code` and differences.
pub fn run(args: &Plan) -> Result<(), Failure> {
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let channels = select::channels(&settings, args.channel.as_deref())?;
    let reader = Reader::open(&settings.ledger)?;
    let wanted = args.sku.as_ref().map(|sku| places_of(&reader, sku)).transpose()?;
    let planner =
        Planner { reader: &reader, settings: &settings, pauses: reader.pauses()?, brakes: reader.brakes()? };
    let mut report = Report { differences: Vec::new(), places: 0, unread: 0, held: 0 };
    for channel in channels {
        for place in reader.managed_places(&channel.id)? {
            if wanted.as_ref().is_none_or(|wanted| wanted.contains(&place)) {
                planner.compare(channel, place, &mut report)?;
            }
        }
    }
    if args.json {
        Out.json(&report)?;
    } else {
        print(&report)?;
    }
    if args.exit_code && !report.differences.is_empty() { Err(Failure::Differences) } else { Ok(()) }
}

fn places_of(reader: &Reader, sku: &Sku) -> Result<BTreeSet<PlaceId>, Failure> {
    let listings = reader.listings_of(sku.as_str())?;
    if listings.is_empty() && !reader.knows(sku.as_str())? {
        return Err(select::unknown_sku(reader, sku)?);
    }
    Ok(listings.into_iter().flat_map(|listing| listing.places).collect())
}

impl Planner<'_> {
    fn compare(&self, channel: &ChannelSettings, place: PlaceId, report: &mut Report) -> Result<(), Failure> {
        let Some(plan) = plan::plan(self.reader, self.settings, channel, &self.pauses, place)? else {
            return Ok(());
        };
        report.places += 1;
        let Some(target) = plan.target() else {
            report.held += 1;
            return Ok(());
        };
        let Some(shows) = plan.row.expected else {
            report.unread += 1;
            return Ok(());
        };
        if shows.at_least_zero() == target {
            return Ok(());
        }
        report.differences.push(Difference {
            channel: channel.id.to_string(),
            sku: plan.row.channel_sku,
            listing: plan.row.place.listing.to_string(),
            location: plan.row.place.location.to_string(),
            shows,
            target,
            change: target - shows,
            mode: channel.mode.name(),
            braked: self.brakes.iter().any(|brake| brake.channel == channel.id && brake.engaged),
            in_flight: plan.row.request.is_some(),
            inputs: plan.inputs,
        });
        Ok(())
    }
}

fn print(report: &Report) -> Result<(), Failure> {
    if compared(report) == 0 {
        Out.line("nothing to compare: no listing is kept in step yet (`stockd status` tells why)")?;
    } else if report.differences.is_empty() {
        Out.line(format!("nothing to change: {} numbers are what they should be", compared(report)))?;
    } else {
        let rows: Vec<[String; 8]> = report
            .differences
            .iter()
            .map(|found| {
                [
                    found.channel.clone(),
                    found.sku.clone(),
                    found.location.clone(),
                    found.shows.to_string(),
                    found.target.to_string(),
                    format!("{:+}", found.change.get()),
                    why(&found.inputs),
                    note(found).to_owned(),
                ]
            })
            .collect();
        Out.table(&["channel", "SKU", "location", "shows", "target", "change", "why", "note"], &rows)?;
        Out.line(format!(
            "{} of {} numbers differ; `stockd explain SKU` tells how each came about",
            report.differences.len(),
            compared(report)
        ))?;
    }
    for (count, what) in [(report.held, "held by a pause"), (report.unread, "not read from its channel yet")]
    {
        if count > 0 {
            Out.line(format!("{count} more: {what}"))?;
        }
    }
    Ok(())
}

const fn compared(report: &Report) -> usize {
    report.places - report.unread - report.held
}

/// The steps from available to target that made a difference.
fn why(inputs: &Inputs) -> String {
    if inputs.pause.is_some() {
        return "paused at 0".into();
    }
    let steps = &inputs.calculation;
    let mut parts = vec![format!("available {}", steps.available)];
    if steps.buffer_units > Units::ZERO {
        parts.push(format!("buffer {}", steps.buffer_units));
    }
    let before_cap = steps.after_buffer.min(steps.after_share).at_least_zero();
    if steps.after_share < steps.after_buffer {
        parts.push(format!("share {}", steps.policy.share));
    }
    if let Some(cap) = steps.policy.cap.filter(|cap| *cap < before_cap) {
        parts.push(format!("cap {cap}"));
    }
    let hidden = steps.target == Units::ZERO && before_cap > Units::ZERO;
    if hidden && steps.available <= steps.policy.last_units {
        parts.push(format!("last_units {}", steps.policy.last_units));
    } else if hidden && steps.policy.min_quantity > Units::ZERO {
        parts.push(format!("min_quantity {}", steps.policy.min_quantity));
    }
    parts.join(", ")
}

fn note(found: &Difference) -> &'static str {
    if found.in_flight {
        "a write is under way"
    } else if found.mode == Mode::Observe.name() {
        "observe: not written"
    } else if found.braked {
        "held by the brake"
    } else {
        ""
    }
}
