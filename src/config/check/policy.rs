//! Buffer, share, cap, minimum; overrides; the brake.

use super::{Check, channel::Draft};
use crate::{
    config::{
        diagnose::Path,
        parse,
        raw::{RawBrake, RawOverride, RawPolicy, RawScalar},
    },
    domain::{
        Buffer, ChannelId, Percent, Policies, Units,
        policy::{Policy, PolicyRule, SkuPattern},
        settings::BrakeSettings,
        sku::Sku,
    },
};

/// The rule of `[policy]`, which leaves nothing but the cap open.
pub(super) fn general(check: &mut Check<'_>, raw: &RawPolicy) -> PolicyRule {
    let rule = rule(check, &Path::of("policy"), raw, None, None);
    let default = Policy::default();
    PolicyRule {
        buffer: rule.buffer.or(Some(default.buffer)),
        share: rule.share.or(Some(default.share)),
        min_quantity: rule.min_quantity.or(Some(default.min_quantity)),
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
    PolicyRule {
        channel,
        sku,
        buffer: raw.buffer.as_ref().map(|raw| buffer(check, &at.key("buffer"), raw)),
        share: raw.share.as_ref().map(|raw| share(check, &at.key("share"), raw)),
        cap: raw.cap.map(|raw| units(check, &at.key("cap"), raw)),
        min_quantity: raw.min_quantity.map(|raw| units(check, &at.key("min_quantity"), raw)),
    }
}

fn buffer(check: &mut Check<'_>, at: &Path, raw: &RawScalar) -> Buffer {
    match raw {
        RawScalar::Number(number) => Buffer::Units(units(check, at, *number)),
        RawScalar::Text(text) if text == "auto" => {
            check.problem(
                at,
                "an automatic buffer is not supported",
                "units or a percentage",
                "write a number of units such as 2, or a percentage such as \"5%\"",
            );
            Buffer::Units(Units::ZERO)
        }
        RawScalar::Text(text) => Buffer::Percent(parse::percent(text).unwrap_or_else(|| {
            check.problem(
                at,
                format!("\"{text}\" is no buffer"),
                "units or a percentage from \"0%\" to \"100%\"",
                "write a number of units such as 2, or a percentage such as \"5%\"",
            );
            Percent::ALL
        })),
    }
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
        let policy =
            RawPolicy { buffer: raw.buffer, share: raw.share, cap: raw.cap, min_quantity: raw.min_quantity };
        let rule = rule(check, &at, &policy, channel, Some(SkuPattern::new(raw.sku)));
        if rule
            == (PolicyRule { channel: rule.channel.clone(), sku: rule.sku.clone(), ..PolicyRule::default() })
        {
            check.problem(
                &at,
                "this override sets nothing",
                "buffer, share, cap or min_quantity",
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

/// What only shows when the rules act together: a cap below the minimum would never show anything.
pub(super) fn together(
    check: &mut Check<'_>,
    general: &PolicyRule,
    drafts: &[Draft],
    overrides: &[(Path, PolicyRule)],
    policies: &Policies,
) {
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
