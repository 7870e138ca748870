//! One `[channels.NAME]` table.

use super::{Check, connection, policy, schedule};
use crate::{
    channels::{self, Common, Connection},
    config::{
        defaults,
        diagnose::Path,
        layers, parse,
        raw::{RawCadence, RawCommon, RawOrders, RawShopify, RawWoocommerce},
    },
    domain::{
        Cadence, Capabilities, ChannelId, ChannelKind, ChannelLocation, ChannelSettings, LocationId, Mode,
        Quota, policy::PolicyRule, settings::POLITE,
    },
};

/// As often as the limits allow.
const AUTO: &str = "auto";

/// A channel that could be read; it may still have problems.
pub(super) struct Draft {
    pub(super) at: Path,
    pub(super) settings: ChannelSettings,
    pub(super) connection: Connection,
    pub(super) secrets_known: bool,
    pub(super) rule: PolicyRule,
}

/// Reads one channel.
pub(super) fn read(check: &mut Check<'_>, at: &Path, id: &str, mut table: toml::Table) -> Option<Draft> {
    check.id(at, id);
    let kind = kind(check, at, &mut table)?;
    let own_keys = match kind {
        ChannelKind::Shopify => layers::keys::<RawShopify>(),
        ChannelKind::Woocommerce => layers::keys::<RawWoocommerce>(),
    };
    let (common, own) = split(check, at, table, own_keys);
    // Both are read even if one fails, so that both are heard.
    let (raw, own) = (check.shaped::<RawCommon>(common, at), connection::raw(check, at, kind, own));
    let (raw, own) = (raw?, own?);
    let common = common_settings(check, at, kind, &raw);
    let (connection, secrets_known) = connection::read(check, at, own, common)?;
    let capabilities = channels::capabilities(&connection);
    affordable(check, at, &capabilities);

    let id = ChannelId::new(id);
    let rule = policy::rule(check, &at.key("policy"), &raw.policy, Some(id.clone()), None);
    let (locations, order_location) = locations(check, at, kind, &raw);
    let assume_shipped_after = assume_shipped_after(check, at, kind, &raw);
    let settings = ChannelSettings {
        id,
        mode: mode(check, at, raw.mode.as_deref()),
        capabilities,
        orders: orders(check, at, raw.orders.as_ref(), &connection),
        scan: cron_by_default(check, &at.key("scan"), raw.scan, defaults::SCAN_CRON),
        sweep: cron_by_default(check, &at.key("sweep"), raw.sweep, defaults::SWEEP_CRON),
        history: check.duration(
            &at.key("history"),
            raw.history.as_deref().unwrap_or(defaults::HISTORY),
            "1h",
            "365d",
        ),
        locations,
        order_location,
        assume_shipped_after,
    };
    Some(Draft { at: at.clone(), settings, connection, secrets_known, rule })
}

fn kind(check: &mut Check<'_>, at: &Path, table: &mut toml::Table) -> Option<ChannelKind> {
    let kinds = ChannelKind::ALL.map(|kind| (kind.name(), kind));
    let list = kinds.map(|(name, _)| format!("\"{name}\"")).join(" or ");
    match table.remove("kind") {
        Some(toml::Value::String(name)) => return check.one_of(&at.key("kind"), &name, &kinds),
        Some(_) => {
            check.problem(&at.key("kind"), "the kind is a text", list.clone(), format!("write {list}"));
        }
        None => match table.keys().find(|key| layers::nearest(key, &["kind"]).is_some()) {
            Some(near) => check.problems.push(layers::unknown_key(&at.key(near), near, &["kind"])),
            None => {
                check.problem(at, "the channel has no kind", "a key `kind`", format!("add kind = {list}"));
            }
        },
    }
    None
}

/// The keys that all channels have, and those of this kind. What is neither is reported and dropped.
fn split(
    check: &mut Check<'_>,
    at: &Path,
    table: toml::Table,
    own_keys: &'static [&'static str],
) -> (toml::Table, toml::Table) {
    let common_keys = layers::keys::<RawCommon>();
    let (mut common, mut own) = (toml::Table::new(), toml::Table::new());
    check.misspelt = false;
    for (key, value) in table {
        if common_keys.contains(&key.as_str()) {
            common.insert(key, value);
        } else if own_keys.contains(&key.as_str()) {
            own.insert(key, value);
        } else {
            check.misspelt = true;
            let known = [&["kind"], own_keys, common_keys].concat();
            check.problems.push(layers::unknown_key(&at.key(&key), &key, &known));
        }
    }
    (common, own)
}

fn common_settings(check: &mut Check<'_>, at: &Path, kind: ChannelKind, raw: &RawCommon) -> Common {
    let timing = defaults::timing(kind);
    let overlap = raw.orders.as_ref().and_then(|orders| orders.overlap.as_deref());
    let mut ms = |at: Path, text: Option<&str>, default, least, most| {
        let duration = check.duration(&at, text.unwrap_or(default), least, most);
        i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
    };
    let timeout = ms(at.key("timeout"), raw.timeout.as_deref(), defaults::TIMEOUT, "100ms", "5m");
    let order_overlap_ms = ms(at.key("orders").key("overlap"), overlap, timing.orders_overlap, "0s", "1d");
    let order_delay_ms =
        ms(at.key("order_delay"), raw.order_delay.as_deref(), timing.order_delay, "0s", "1d");
    let settle_ms = ms(at.key("settle"), raw.settle.as_deref(), timing.settle, "0s", "1h");
    Common {
        timeout_ms: timeout.unsigned_abs(),
        max_body_bytes: max_body(check, &at.key("max_body"), raw.max_body.as_deref()),
        order_overlap_ms,
        order_delay_ms,
        settle_ms,
    }
}

fn max_body(check: &mut Check<'_>, at: &Path, text: Option<&str>) -> usize {
    let text = text.unwrap_or(defaults::MAX_BODY);
    let size = parse::bytes(text).filter(|size| (1 << 16..=1 << 30).contains(size));
    size.unwrap_or_else(|| {
        check.problem(
            at,
            format!("\"{text}\" is no size for a reply"),
            "64KiB to 1GiB",
            "write a whole number and KiB, MiB or GiB, such as \"16MiB\"",
        );
        0
    })
}

fn mode(check: &mut Check<'_>, at: &Path, text: Option<&str>) -> Mode {
    let modes = [Mode::Observe, Mode::Push].map(|mode| (mode.name(), mode));
    check.one_of(&at.key("mode"), text.unwrap_or(defaults::MODE), &modes).unwrap_or(Mode::Observe)
}

fn orders(check: &mut Check<'_>, at: &Path, raw: Option<&RawOrders>, connection: &Connection) -> Cadence {
    let at = at.key("orders");
    let raw = raw.map(RawCadence::from).unwrap_or_default();
    let every = raw.every.as_deref().or(raw.cron.is_none().then_some(defaults::ORDERS_EVERY));
    if every == Some(AUTO) && raw.cron.is_none() {
        return Cadence::Auto;
    }
    let cadence = schedule::cadence(check, &at, &raw, &RawCadence::default());
    if matches!(cadence, Cadence::Every(every) if every < POLITE) && !connection::is_sandbox(connection) {
        check.warn(
            &at.key("every"),
            "orders are read more often than a shop's host may bear",
            "write \"2s\" or more",
        );
    }
    cadence
}

fn cron_by_default(check: &mut Check<'_>, at: &Path, raw: Option<RawCadence>, default: &str) -> Cadence {
    let default = RawCadence { every: None, cron: Some(default.to_owned()) };
    schedule::cadence(check, at, &raw.unwrap_or_default(), &default)
}

/// "never" turns off what is the default for kinds of channels that don't say when an order has left.
fn assume_shipped_after(
    check: &mut Check<'_>,
    at: &Path,
    kind: ChannelKind,
    raw: &RawCommon,
) -> Option<std::time::Duration> {
    let text = raw.assume_shipped_after.as_deref().unwrap_or(defaults::assume_shipped_after(kind));
    let at = at.key("assume_shipped_after");
    (text != defaults::NEVER).then(|| check.duration(&at, text, "1d", "365d"))
}

/// Each ledger location has one key of the table, so none can stand for two locations of the channel.
fn locations(
    check: &mut Check<'_>,
    at: &Path,
    kind: ChannelKind,
    raw: &RawCommon,
) -> (Vec<(LocationId, ChannelLocation)>, LocationId) {
    let at_locations = at.key("locations");
    let mut read = Vec::new();
    for (name, theirs) in &raw.locations {
        let at = at_locations.key(name);
        check.id(&at, name);
        let theirs = channel_location(check, &at, kind, theirs);
        read.push((LocationId::new(name), theirs));
    }
    let known: Vec<&str> = raw.locations.keys().map(String::as_str).collect();
    let chosen = match (raw.order_location.as_deref(), known.as_slice()) {
        (Some(chosen), _) => chosen,
        (None, [only]) => only,
        (None, _) => LocationId::DEFAULT,
    };
    check.id(&at.key("order_location"), chosen);
    if !known.is_empty() && !known.contains(&chosen) {
        let cure = layers::nearest(chosen, &known).map_or_else(
            || format!("add order_location = \"{}\"", known[0]),
            |near| format!("write order_location = \"{near}\""),
        );
        check.problem(
            &at.key("order_location"),
            format!("orders would commit stock at \"{chosen}\", which is not among the channel's locations"),
            known.join(" or "),
            cure,
        );
    }
    (read, LocationId::new(chosen))
}

fn channel_location(check: &mut Check<'_>, at: &Path, kind: ChannelKind, text: &str) -> ChannelLocation {
    let number = text.strip_prefix("gid://shopify/Location/").unwrap_or(text);
    match kind {
        ChannelKind::Shopify if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) => check
            .problem(
                at,
                format!("\"{text}\" is no location of a Shopify shop"),
                "the location's number",
                "open the location in the shop's settings: the number ends its address; write it in quotes",
            ),
        ChannelKind::Woocommerce if !text.is_empty() => check.problem(
            at,
            "WooCommerce keeps one number per product, so it has no locations of its own",
            "an empty text",
            "write \"\": the channel then draws on this location",
        ),
        ChannelKind::Shopify | ChannelKind::Woocommerce => {}
    }
    ChannelLocation::new(number)
}

/// A call that costs more than the bucket holds would never leave.
fn affordable(check: &mut Check<'_>, at: &Path, capabilities: &Capabilities) {
    let costs = &capabilities.costs;
    let dearest = [costs.identify, costs.orders, costs.listings, costs.levels, costs.write]
        .into_iter()
        .max()
        .unwrap_or(0);
    let (key, holds) = match capabilities.quota {
        Quota::Calls { burst, .. } => (at.key("burst"), f64::from(burst)),
        Quota::Points { maximum, .. } if maximum <= 0.0 => return,
        Quota::Points { maximum, .. } => (at.key("points").key("maximum"), maximum),
    };
    if holds < f64::from(dearest) {
        check.problem(
            &key,
            format!("one call costs up to {dearest}, more than the {holds} allowed at once"),
            format!("{dearest} or more"),
            format!("write {dearest} or more, or leave it out"),
        );
    }
}
