//! Listings made of several units or SKUs.

use std::collections::BTreeSet;

use super::Check;
use crate::{
    config::{
        diagnose::Path,
        raw::{RawBundle, RawComponent},
    },
    domain::{Bundle, Component, Sku, Units},
};

/// The `[[bundle]]` tables.
pub(super) fn read(check: &mut Check<'_>, raw: Vec<RawBundle>) -> Vec<Bundle> {
    let mut bundles: Vec<Bundle> = Vec::new();
    for (place, raw) in raw.into_iter().enumerate() {
        let at = Path::of("bundle").index(place);
        let channel = raw.channel.map(|name| check.channel(&at.key("channel"), &name));
        let components = components(check, &at.key("components"), &raw.components);
        let Some(channel_sku) = sku(check, &at.key("sku"), &raw.sku) else { continue };
        let overlaps = |other: &Bundle| {
            other.channel_sku == channel_sku
                && (other.channel.is_none() || channel.is_none() || other.channel == channel)
        };
        if bundles.iter().any(overlaps) {
            check.problem(
                &at.key("sku"),
                format!("the bundle {channel_sku} is defined twice for one channel"),
                "one definition per SKU and channel",
                "remove one, or give each a `channel` of its own",
            );
        }
        bundles.push(Bundle { channel_sku, channel, components });
    }
    bundles
}

fn components(check: &mut Check<'_>, at: &Path, raw: &[RawComponent]) -> Vec<Component> {
    if raw.is_empty() {
        check.problem(
            at,
            "a bundle without components",
            "at least one component",
            "add components = [{ sku = \"MUG\", units = 2 }]",
        );
    }
    let mut seen = BTreeSet::new();
    let mut components = Vec::new();
    for (place, raw) in raw.iter().enumerate() {
        let at = at.index(place);
        if !(1..=Units::LIMIT).contains(&raw.units) {
            check.problem(
                &at.key("units"),
                format!("{} units of a component", raw.units),
                format!("1 to {}", Units::LIMIT),
                "write how many units one piece of the bundle takes, at least 1",
            );
        }
        if !seen.insert(&raw.sku) {
            check.problem(
                &at.key("sku"),
                format!("the component {} stands here twice", raw.sku),
                "each SKU once",
                "write it once, with the sum of the units",
            );
        }
        if let Some(sku) = sku(check, &at.key("sku"), &raw.sku) {
            components.push(Component { sku, units: Units::of(raw.units) });
        }
    }
    components
}

fn sku(check: &mut Check<'_>, at: &Path, text: &str) -> Option<Sku> {
    Sku::new(text)
        .map_err(|error| {
            check.problem(at, error.to_string(), "a SKU", "write the SKU exactly as the channel has it");
        })
        .ok()
}
