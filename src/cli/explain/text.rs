//! The explanation in words.

use std::time::Duration;

use super::{Explanation, ListingExplained, PlaceExplained};
use crate::{
    cli::{Failure, Out, history},
    domain::{Buffer, Calculation, LocationId, Mode, Percent, Units, demand::Figures, policy::AutoBuffer},
    engine::plan::{Inputs, PauseInForce},
    ledger::{ComponentStock, ListingState, PushRow},
};

pub(super) fn print(explanation: &Explanation) -> Result<(), Failure> {
    Out.line(&explanation.sku)?;
    stock(explanation)?;
    for listing in &explanation.listings {
        print_listing(listing)?;
    }
    if explanation.listings.is_empty() {
        Out.line("\nno listing carries it or is made of it")?;
    }
    Ok(())
}

fn stock(explanation: &Explanation) -> Result<(), Failure> {
    let shown = explanation.movements.len();
    if shown > 0 {
        Out.line(format!("\nthe last {shown} of {} movements", explanation.movement_count))?;
        history::table(&explanation.movements)?;
    }
    if !explanation.stock.is_empty() {
        Out.line("\nstock")?;
    }
    for row in &explanation.stock {
        let counted = match (&row.counted, row.counted_at) {
            (Some((quantity, basis)), Some(at)) => {
                format!(" (last count: {quantity} {}, {})", basis.replace('_', " "), at.rfc3339_seconds())
            }
            _ => " (never counted)".into(),
        };
        Out.line(format!(
            "  at {}: on hand {} - committed {} = available {}{counted}",
            row.location, row.on_hand, row.committed, row.available
        ))?;
    }
    for shadow in &explanation.shadows {
        Out.line(format!(
            "  shadow {}: {} showed them gone as {} at {}, no order explains them yet; held until {}",
            shadow.units,
            shadow.channel,
            shadow.channel_sku,
            shadow.read_at.rfc3339_seconds(),
            shadow.lapses_at.rfc3339_seconds()
        ))?;
    }
    Ok(())
}

fn print_listing(explained: &ListingExplained) -> Result<(), Failure> {
    let listing = &explained.listing;
    let mode = explained.mode.unwrap_or("no longer configured");
    Out.line(format!(
        "\n{} ({mode}): listing {} {:?}, SKU {}",
        listing.channel, listing.listing, listing.title, listing.channel_sku
    ))?;
    if listing.state != ListingState::Managed {
        Out.line(format!("  left alone ({}): {}", listing.state.name(), listing.state.reason()))?;
    }
    if let Some(seconds) = explained.assume_shipped_after_s {
        let days = seconds.div_euclid(86_400);
        Out.line(format!("  orders open for {days} days count as shipped (assume_shipped_after)"))?;
    }
    for place in &explained.places {
        if !place.location.is_empty() {
            Out.line(format!("  at the channel's location {}", place.location))?;
        }
        print_place(explained, place)?;
    }
    for incident in &explained.incidents {
        Out.line(format!(
            "  incident {} {}: {}",
            incident.at.rfc3339_seconds(),
            incident.kind,
            incident.detail
        ))?;
    }
    Ok(())
}

fn print_place(explained: &ListingExplained, place: &PlaceExplained) -> Result<(), Failure> {
    if let Some(inputs) = &place.inputs {
        for line in calculation(inputs) {
            Out.line(format!("  {line}"))?;
        }
    }
    for line in shown(explained, place) {
        Out.line(format!("  {line}"))?;
    }
    if !place.pushes.is_empty() {
        Out.line("  last pushes")?;
    }
    for push in &place.pushes {
        Out.line(format!("    {}", push_line(push)))?;
    }
    Ok(())
}

/// From the stock of the parts to the target, one step a line.
fn calculation(inputs: &Inputs) -> Vec<String> {
    let mut lines = Vec::new();
    if !inputs.locations.is_empty() {
        let names: Vec<&str> = inputs.locations.iter().map(LocationId::as_str).collect();
        lines.push(format!("drawing on {}", names.join(", ")));
    }
    let steps = &inputs.calculation;
    match &inputs.components[..] {
        [only] if only.units == Units::ONE => {
            lines.push(format!("on hand {}", only.on_hand));
            lines.push(format!("- committed {}", only.committed));
            if only.shadow != Units::ZERO {
                lines.push(format!(
                    "- shadow {} (gone from a channel, no order explains it yet)",
                    only.shadow
                ));
            }
            lines.push(format!("= available {}", steps.available));
        }
        parts => {
            lines.extend(parts.iter().map(part));
            let decides = if parts.len() > 1 { " (the scarcest part decides)" } else { "" };
            lines.push(format!("= available {}{decides}", steps.available));
        }
    }
    lines.extend(policy(steps, inputs.demand.as_ref()));
    match inputs.pause {
        None => lines.push(format!("= target {}", steps.target)),
        Some(PauseInForce::Zero) => lines.push("= target 0: paused at zero".into()),
        Some(PauseInForce::Hold) => lines.push("= no target: paused, what is shown stays".into()),
    }
    lines
}

fn part(part: &ComponentStock) -> String {
    format!(
        "{} x {}: on hand {} - committed {} - shadow {} = {}, enough for {}",
        part.units,
        part.sku,
        part.on_hand,
        part.committed,
        part.shadow,
        part.available(),
        part.available().lots_of(part.units)
    )
}

/// What the policy makes of what is available; rules that are off are left out.
fn policy(steps: &Calculation, demand: Option<&Figures>) -> Vec<String> {
    let policy = &steps.policy;
    let mut lines = vec![match policy.buffer {
        Buffer::Auto(auto) => format!("- buffer {} (auto{})", steps.buffer_units, held(auto, demand)),
        Buffer::Units(_) => format!("- buffer {} (units)", steps.buffer_units),
        Buffer::Percent(percent) => {
            format!("- buffer {} ({percent} of {}, rounded up)", steps.buffer_units, steps.available)
        }
    }];
    lines.extend(demand.into_iter().flat_map(figures));
    lines.push(format!("= {}", steps.after_buffer));
    if policy.share != Percent::ALL {
        let share = policy.share;
        lines.push(format!(
            "share {share} of {}, rounded down: at most {}",
            steps.available, steps.after_share
        ));
    }
    if let Some(cap) = policy.cap {
        lines.push(format!("cap: at most {cap}"));
    }
    if policy.min_quantity > Units::ZERO {
        lines.push(format!("min_quantity: 0 if below {}", policy.min_quantity));
    }
    if policy.last_units > Units::ZERO {
        lines.push(format!("last_units: 0 if no more than {} are available", policy.last_units));
    }
    if steps.after_buffer < Units::ZERO {
        lines.push("never below 0".into());
    }
    lines
}

/// Why the buffer is not just what the figures want.
fn held(auto: AutoBuffer, demand: Option<&Figures>) -> String {
    match demand {
        None => ": nothing known to be sold on the other channels".into(),
        Some(figures) if auto.held > figures.wanted => {
            format!(": {} by the figures; it falls once they say so of a quarter more demand", figures.wanted)
        }
        Some(figures) if figures.wanted == auto.most => format!(", buffer_max {}", auto.most),
        Some(_) => String::new(),
    }
}

/// What a buffer that follows demand was worked out from.
fn figures(figures: &Figures) -> Vec<String> {
    let percent = |chance: f64| format!("{:.4} %", chance * 100.0);
    let mut lines: Vec<String> = figures
        .others
        .iter()
        .map(|other| {
            let blind = match other.blind_ms {
                0 => String::new(),
                ms => format!(" and has been blind for {} s", ms / 1_000),
            };
            format!(
                "    {} sells {:.3} orders a day, shows elsewhere after {:.1} s{blind}",
                other.channel,
                other.orders_per_day,
                Duration::from_millis(other.delay_ms).as_secs_f64()
            )
        })
        .collect();
    lines.push(format!(
        "    {:.6} orders of {:.2} units on average meanwhile; no more than {} units with a chance of {}, wanted {} \
         (worked out {})",
        figures.expected_orders,
        figures.mean_size,
        figures.wanted,
        percent(figures.chance),
        percent(figures.wanted_chance),
        figures.at.rfc3339_seconds()
    ));
    lines
}

/// What the channel shows as far as is known, and what will be done about it.
fn shown(explained: &ListingExplained, place: &PlaceExplained) -> Vec<String> {
    let mut lines = Vec::new();
    match place.expected {
        None => lines.push("expected: its number has not been read yet".into()),
        Some(expected) if place.slack + place.unplaced > Units::ZERO => lines.push(format!(
            "expected {expected}, up to {} less: a sale crossed with our write or read; the next read decides",
            place.slack + place.unplaced
        )),
        Some(expected) if place.request.is_some() => {
            lines.push(format!("expected {expected} at most: a write is under way"));
        }
        Some(expected) => lines.push(format!("expected {expected}")),
    }
    if let (Some(observed), Some(at)) = (place.observed, place.observed_at) {
        lines.push(format!("observed {observed}, last changed in a read at {}", at.rfc3339_seconds()));
    }
    if place.needs_read {
        lines.push("the channel will be asked again before anything is written".into());
    }
    for pause in &explained.pauses {
        let how = if pause.zero { "showing 0" } else { "held" };
        lines.push(format!("paused ({how}) since {}: {}", pause.at.rfc3339_seconds(), pause.reason));
    }
    if let Some(brake) = explained.brake.as_ref().filter(|brake| brake.engaged) {
        lines.push(format!(
            "the channel's brake is engaged since {}: {}",
            brake.at.rfc3339_seconds(),
            brake.reason
        ));
    }
    if let (Some(target), Some(expected)) = (place.target, place.expected) {
        let verdict = if target == expected.at_least_zero() {
            "it shows what it should".to_owned()
        } else if explained.mode == Some(Mode::Observe.name()) {
            format!("it should show {target}; the channel is only observed, so nothing is written")
        } else {
            format!("it should show {target}: to be pushed")
        };
        lines.push(verdict);
    }
    lines
}

fn push_line(push: &PushRow) -> String {
    let from = push.change_from.map(|from| format!(" from {from}")).unwrap_or_default();
    let detail = push.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!(
        "{} version {}: {}{from}, {} (knew movements up to {}){detail}",
        push.prepared_at.rfc3339_seconds(),
        push.version,
        push.value,
        push.state.replace('_', " "),
        push.ledger_seq
    )
}
