//! Buffer, share, cap, minimum, the last units; overrides; the brake.

use super::{Check, channel::Draft};
use crate::{
    config::{
        diagnose::Path,
        parse,
        raw::{RawBrake, RawOverride, RawPolicy, RawScalar},
    },
    domain::{
        Buffer, ChannelId, Percent, Policies, Units,
        policy::{AutoBuffer, Policy, PolicyRule, SkuPattern},
        settings::BrakeSettings,
        sku::Sku,
    },
};

/// The range of `oversell_cost`, and the most that `buffer_max` may be.
const OVERSELL_COSTS: std::ops::RangeInclusive<u32> = 1..=1_000_000;
const LARGEST_BUFFER_MAX: i64 = 1_000;

/// The rule of `[policy]`, which leaves nothing but the cap and where the last units are shown open.
pub(super) fn general(check: &mut Check<'_>, raw: &RawPolicy) -> PolicyRule {
    let rule = rule(check, &Path::of("policy"), raw, None, None);
    let default = Policy::default();
    PolicyRule {
        buffer: rule.buffer.or(Some(default.buffer)),
        share: rule.share.or(Some(default.share)),
        min_quantity: rule.min_quantity.or(Some(default.min_quantity)),
        oversell_cost: rule.oversell_cost.or(Some(AutoBuffer::OVERSELL_COST)),
        buffer_max: rule.buffer_max.or(Some(AutoBuffer::MOST)),
        last_units: rule.last_units.or(Some(default.last_units)),
        ..rule
    }
}

/// One rule, of `[policy]`, a channel or an override.
pub(super) fn rule(
    check: &mut Check<'_>,
    at: &Path,
    raw: &RawPolicy,
    channel: Option<ChannelId>,
    sku: Option<SkuPattern>,
) -> PolicyRule {
    let last_units_on = raw.last_units_on.as_ref().map(|names| {
        let at = at.key("last_units_on");
        if channel.is_some() {
            check.problem(
                &at,
                "last_units_on has no meaning in a rule for one channel",
                "it in [policy], or in an override without a channel",
                "here, last_units = 0 shows the last units on this channel, any other number doesn't",
            );
        }
        shown_on(check, &at, names)
    });
    PolicyRule {
        channel,
        sku,
        last_units_on,
        oversell_cost: raw.oversell_cost.map(|raw| oversell_cost(check, &at.key("oversell_cost"), raw)),
        buffer_max: raw.buffer_max.map(|raw| buffer_max(check, &at.key("buffer_max"), raw)),
        last_units: raw.last_units.map(|raw| units(check, &at.key("last_units"), raw)),
        buffer: raw.buffer.as_ref().map(|raw| buffer(check, &at.key("buffer"), raw)),
        share: raw.share.as_ref().map(|raw| share(check, &at.key("share"), raw)),
        cap: raw.cap.map(|raw| units(check, &at.key("cap"), raw)),
        min_quantity: raw.min_quantity.map(|raw| units(check, &at.key("min_quantity"), raw)),
    }
}

fn buffer(check: &mut Check<'_>, at: &Path, raw: &RawScalar) -> Buffer {
    match raw {
        RawScalar::Number(number) => Buffer::Units(units(check, at, *number)),
        RawScalar::Text(text) if text == "auto" => Buffer::Auto(AutoBuffer::default()),
        RawScalar::Text(text) => Buffer::Percent(parse::percent(text).unwrap_or_else(|| {
            check.problem(
                at,
                format!("\"{text}\" is no buffer"),
                "units, a percentage from \"0%\" to \"100%\", or \"auto\"",
                "write a number of units such as 2, a percentage such as \"5%\", or \"auto\"",
            );
            Percent::ALL
        })),
    }
}

fn oversell_cost(check: &mut Check<'_>, at: &Path, number: i64) -> u32 {
    let cost = u32::try_from(number).ok().filter(|cost| OVERSELL_COSTS.contains(cost));
    cost.unwrap_or_else(|| {
        check.problem(
            at,
            format!("{number} is out of range"),
            format!("{} to {}", OVERSELL_COSTS.start(), OVERSELL_COSTS.end()),
            "write how many lost sales one oversell is worth, such as 20",
        );
        AutoBuffer::OVERSELL_COST
    })
}

fn buffer_max(check: &mut Check<'_>, at: &Path, number: i64) -> Units {
    if (0..=LARGEST_BUFFER_MAX).contains(&number) {
        return Units::of(number);
    }
    check.problem(
        at,
        format!("{number} is out of range"),
        format!("0 to {LARGEST_BUFFER_MAX}"),
        "write the most units that an automatic buffer may hold back, such as 10",
    );
    AutoBuffer::MOST
}

/// The channels that show the last units.
fn shown_on(check: &mut Check<'_>, at: &Path, names: &[String]) -> Vec<ChannelId> {
    let channels: Vec<ChannelId> =
        names.iter().enumerate().map(|(place, name)| check.channel(&at.index(place), name)).collect();
    if channels.is_empty() {
        check.problem(
            at,
            "the last units would be shown nowhere",
            "at least one channel",
            "name the channels that are to show the last units, such as [\"web\"], or set last_units = 0",
        );
    } else if check.channels.iter().all(|known| names.contains(known)) {
        check.problem(
            at,
            "every channel is named: last_units would change nothing",
            "some of the channels",
            "leave out the channels that are to show 0 when the last units are left, or set last_units = 0",
        );
    }
    channels
}

fn share(check: &mut Check<'_>, at: &Path, raw: &RawScalar) -> Percent {
    let percent = match raw {
        RawScalar::Text(text) => parse::percent(text),
        RawScalar::Number(_) => None,
    };
    percent.unwrap_or_else(|| {
        let cure = match raw {
            RawScalar::Number(number @ 0..=100) => format!("write \"{number}%\""),
            _ => "write a percentage in quotes, such as \"60%\"".to_owned(),
        };
        check.problem(at, format!("{raw} is no share"), "\"0%\" to \"100%\", at most two decimals", cure);
        Percent::ALL
    })
}

fn units(check: &mut Check<'_>, at: &Path, number: i64) -> Units {
    match Units::new(number) {
        Ok(units) if units >= Units::ZERO => units,
        _ => {
            let expected = format!("0 to {}", Units::LIMIT);
            check.problem(
                at,
                format!("{number} is out of range"),
                expected,
                "write a number of units, at least 0",
            );
            Units::ZERO
        }
    }
}

/// The `[[override]]` tables, each with its place.
pub(super) fn overrides(check: &mut Check<'_>, raw: Vec<RawOverride>) -> Vec<(Path, PolicyRule)> {
    let mut read: Vec<(Path, PolicyRule)> = Vec::new();
    for (place, raw) in raw.into_iter().enumerate() {
        let at = Path::of("override").index(place);
        if let Err(error) = Sku::new(&raw.sku) {
            check.problem(
                &at.key("sku"),
                error.to_string(),
                "a SKU or a pattern",
                "write a SKU, or a pattern such as \"GIFT-*\"",
            );
        }
        let channel = raw.channel.map(|name| check.channel(&at.key("channel"), &name));
        let policy = RawPolicy {
            buffer: raw.buffer,
            share: raw.share,
            cap: raw.cap,
            min_quantity: raw.min_quantity,
            oversell_cost: raw.oversell_cost,
            buffer_max: raw.buffer_max,
            last_units: raw.last_units,
            last_units_on: raw.last_units_on,
        };
        let rule = rule(check, &at, &policy, channel, Some(SkuPattern::new(raw.sku)));
        if rule
            == (PolicyRule { channel: rule.channel.clone(), sku: rule.sku.clone(), ..PolicyRule::default() })
        {
            check.problem(
                &at,
                "this override sets nothing",
                "a key of [policy], such as buffer or cap",
                "add what should be different for this SKU, or remove the override",
            );
        }
        if read.iter().any(|(_, other)| other.sku == rule.sku && other.channel == rule.channel) {
            check.warn(
                &at.key("sku"),
                "there is an override for this SKU and channel already; where both set a value, this one wins",
                "make one of the two",
            );
        }
        read.push((at, rule));
    }
    read
}

/// The brake.
pub(super) fn brake(check: &mut Check<'_>, raw: &RawBrake) -> BrakeSettings {
    let share = share(check, &Path::of("brake").key("share"), &raw.share);
    BrakeSettings { share, min_listings: raw.min_listings }
}

/// What only shows when the rules act together: a cap below the minimum would never show anything, last units without
/// a channel would be shown nowhere.
pub(super) fn together(
    check: &mut Check<'_>,
    general: &PolicyRule,
    drafts: &[Draft],
    overrides: &[(Path, PolicyRule)],
    policies: &Policies,
) {
    for (at, rule) in
        std::iter::once((&Path::of("policy"), general)).chain(overrides.iter().map(|(at, rule)| (at, rule)))
    {
        let held = rule.last_units.is_some_and(|units| units > Units::ZERO) && rule.channel.is_none();
        if held && rule.last_units_on.is_none() && general.last_units_on.is_none() {
            check.problem(
                &at.key("last_units"),
                "nothing says which channels show the last units",
                "last_units_on beside it",
                "add last_units_on = [...] with the channels that are to show the last units",
            );
        }
    }
    let alone = Policy {
        cap: general.cap,
        min_quantity: general.min_quantity.unwrap_or(Units::ZERO),
        ..Policy::default()
    };
    if contradicts(check, &Path::of("policy"), general, &alone) {
        return;
    }
    for draft in drafts {
        let rule = &draft.rule;
        let resolved = Policy {
            cap: rule.cap.or(general.cap),
            min_quantity: rule.min_quantity.or(general.min_quantity).unwrap_or(Units::ZERO),
            ..Policy::default()
        };
        contradicts(check, &draft.at.key("policy"), rule, &resolved);
    }
    for (at, rule) in overrides {
        let fits = |id: &ChannelId| rule.channel.as_ref().is_none_or(|channel| channel == id);
        let pattern = rule.sku.as_ref().map_or("", SkuPattern::as_str);
        for draft in drafts.iter().filter(|draft| fits(&draft.settings.id)) {
            // A pattern matches itself, so it stands for the SKUs that it means.
            if contradicts(check, at, rule, &policies.resolve(&draft.settings.id, pattern)) {
                break;
            }
        }
    }
}

fn contradicts(check: &mut Check<'_>, at: &Path, rule: &PolicyRule, resolved: &Policy) -> bool {
    let least = resolved.min_quantity;
    let Some(cap) = resolved.cap.filter(|cap| *cap < least && *cap > Units::ZERO) else { return false };
    let key = match rule {
        PolicyRule { cap: Some(_), .. } => "cap",
        PolicyRule { min_quantity: Some(_), .. } => "min_quantity",
        _ => return false,
    };
    check.problem(
        &at.key(key),
        format!("cap {cap} is below min_quantity {least}: nothing would ever be shown"),
        "a cap of at least min_quantity",
        format!("raise cap to {least} or more, or lower min_quantity to {cap} or less; cap = 0 shows nothing on purpose"),
    );
    true
}
