//! Which channels a history is replayed against: what each can do, its limits, its delays.

use std::{path::Path, time::Duration};

use serde::Deserialize;

use crate::{
    domain::{
        Cadence, Capabilities, ChannelId, ChannelKind, ChannelSettings, Costs, LocationId, Mode, OwnQuotas,
        Percent, Policies, Policy, Quota, Settings, Sku, Units, WriteMode, settings::BrakeSettings,
    },
    street::{Allowances, LATENCY, Shop, Tail, capabilities},
};

const SHIPPED: [(&str, &str); 2] = [
    ("storefronts", include_str!("../../config/scenarios/storefronts.toml")),
    ("marketplaces", include_str!("../../config/scenarios/marketplaces.toml")),
];

/// Lines of a large order: the decreases that follow it wait for each other.
const LARGE_ORDER: usize = 700;

/// Why there is no such scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Neither the name of one nor a file.
    #[error("no scenario {0:?}: expected storefronts, marketplaces or a file")]
    Unknown(String),
    /// The file makes no sense.
    #[error("{name}: {what}")]
    Bad {
        /// Its name or path.
        name: String,
        /// What is wrong.
        what: String,
    },
}

/// The channels of a replay.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, or the file it came from.
    pub name: String,
    /// What it is, in a line.
    pub about: String,
    /// How long after it was placed an order leaves the shelf.
    pub ship_after: Duration,
    /// The channels.
    pub channels: Vec<Channel>,
    /// How much each channel shows of what is available.
    pub policies: Policies,
}

/// One channel of a scenario.
#[derive(Clone, Debug)]
pub struct Channel {
    /// As the engine is told of it.
    pub settings: ChannelSettings,
    /// Other names that a history may have for it.
    pub names: Vec<String>,
    /// Its part of the orders that name no channel, relative to the others'.
    pub share: u32,
    /// Listings per page.
    pub listings_page: usize,
    /// Orders per page.
    pub orders_page: usize,
    /// How long orders, and changes of them, stay out of reads, in milliseconds.
    pub order_delay_ms: i64,
    /// Orders that stay out longer.
    pub tail: Tail,
    /// How much longer than other changes sales stay out of quantity reads, in milliseconds.
    pub sale_lag_ms: i64,
    /// Whether the channel puts back into its own number what is cancelled or returned.
    pub restocks_itself: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScenario {
    about: String,
    ship_after_s: u64,
    history_s: u64,
    scan_every_s: u64,
    channel: Vec<RawChannel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChannel {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    share: u32,
    kind: ChannelKind,
    write_mode: WriteMode,
    limit: RawLimit,
    orders_limit: Option<RawLimit>,
    levels_limit: Option<RawLimit>,
    write_limit: Option<RawLimit>,
    costs: Option<RawCosts>,
    write_batch: usize,
    read_batch: usize,
    listings_page: usize,
    orders_page: usize,
    orders_every_s: Option<f64>,
    key_life_s: Option<i64>,
    #[serde(default)]
    landing_s: f64,
    #[serde(default)]
    order_delay_s: f64,
    #[serde(default)]
    late_orders_percent: f64,
    #[serde(default)]
    late_by_s: f64,
    #[serde(default)]
    sale_lag_s: f64,
    revisions_per_day: Option<u32>,
    #[serde(default = "yes")]
    restocks_itself: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimit {
    points: Option<f64>,
    points_per_second: Option<f64>,
    calls: Option<u32>,
    calls_per_second: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCosts {
    orders: u32,
    listings: u32,
    levels: u32,
    write: u32,
}

const fn yes() -> bool {
    true
}

impl Scenario {
    /// One that ships with the program, or one from a file.
    ///
    /// # Errors
    /// [`ScenarioError`].
    pub fn load(name: &str) -> Result<Self, ScenarioError> {
        let shipped = SHIPPED.iter().find(|(it, _)| *it == name).map(|(_, text)| (*text).to_owned());
        let text = match shipped {
            Some(text) => text,
            None if Path::new(name).exists() => std::fs::read_to_string(name)
                .map_err(|error| ScenarioError::Bad { name: name.to_owned(), what: error.to_string() })?,
            None => return Err(ScenarioError::Unknown(name.to_owned())),
        };
        Self::parse(name, &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let bad = |what: String| ScenarioError::Bad { name: name.to_owned(), what };
        let raw: RawScenario = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        let (history, scan) = (Duration::from_secs(raw.history_s), Duration::from_secs(raw.scan_every_s));
        let channels = raw.channel.into_iter().map(|channel| {
            let id = channel.id.clone();
            channel.checked(history, scan).map_err(|what| bad(format!("channel {id}: {what}")))
        });
        let channels = channels.collect::<Result<Vec<_>, _>>()?;
        if channels.iter().map(|channel| channel.share).sum::<u32>() == 0 {
            return Err(bad("no channel has a share of the orders".into()));
        }
        Ok(Self {
            name: name.to_owned(),
            about: raw.about,
            ship_after: Duration::from_secs(raw.ship_after_s),
            channels,
            policies: Policies::default(),
        })
    }

    /// What the engine is told. There is no brake: nothing here waits for a person.
    pub fn settings(&self, ledger: &Path) -> Settings {
        Settings {
            ledger: ledger.to_owned(),
            channels: self.channels.iter().map(|channel| channel.settings.clone()).collect(),
            policies: self.policies.clone(),
            bundles: Vec::new(),
            brake: BrakeSettings { share: Percent::ALL, min_listings: u32::MAX },
        }
    }

    /// How much a channel shows of what is available of a SKU.
    pub fn policy(&self, channel: &str, sku: &str) -> Policy {
        self.policies.resolve(&ChannelId::new(channel), sku)
    }

    /// Its channels in memory, each with every SKU, showing what policy says of what is there.
    pub fn shops(&self, skus: &[Sku], stock: &[Units]) -> Vec<Shop> {
        let shop = |channel: &Channel| {
            let mut shop = channel.empty_shop();
            for (sku, units) in skus.iter().zip(stock) {
                let policy = self.policies.resolve(&channel.settings.id, sku.as_str());
                shop.list(sku.as_str(), policy.target(*units).get());
            }
            shop
        };
        self.channels.iter().map(shop).collect()
    }
}

impl Channel {
    /// The channel in memory, with nothing listed.
    pub fn empty_shop(&self) -> Shop {
        let mut shop = Shop::with(self.settings.id.as_str(), self.settings.capabilities);
        (shop.page, shop.orders_page) = (self.listings_page, self.orders_page);
        (shop.order_delay_ms, shop.tail) = (self.order_delay_ms, self.tail);
        shop.sale_lag_ms = self.sale_lag_ms;
        shop.restocks_itself = self.restocks_itself;
        // Sweeps go back as far as the history, and orders may become readable late.
        shop.keep_ms = ms(self.settings.history) + self.order_delay_ms + self.tail.longer_ms + 86_400_000;
        shop.keep_calls = false;
        shop
    }

    /// What the daemon is allowed in time here.
    pub fn allowances(&self) -> Allowances {
        let caps = &self.settings.capabilities;
        let limited = caps.own_quotas.orders.unwrap_or(caps.quota);
        let least_ms = match limited {
            Quota::Calls { per_second, .. } => 1_000.0 / per_second,
            Quota::Points { restore_per_second, .. } => {
                1_000.0 * f64::from(caps.costs.orders) / restore_per_second
            }
        };
        let wanted_ms = match &self.settings.orders {
            Cadence::Every(every) => ms(*every),
            Cadence::Auto | Cadence::Cron(_) => 0,
        };
        // Where one row goes per call, a large order takes many.
        let calls = if caps.write_mode.is_sale_safe() { 1.0 } else { 3.0 };
        let least_call_ms = 4_000.0 * LATENCY.as_secs_f64();
        let write_ms = match caps.own_quotas.write.unwrap_or(caps.quota) {
            Quota::Calls { per_second, .. } => calls * least_call_ms.max(1_000.0 / per_second),
            Quota::Points { .. } => calls * least_call_ms,
        };
        let batches = i64::try_from(LARGE_ORDER.div_ceil(caps.write_batch)).unwrap_or(0);
        // Twice as long as it takes where nothing else is to do, a jitter of a tenth, and never less than ten seconds.
        let poll_ms = wanted_ms.max(2 * whole(least_ms)).max(10_000) * 11 / 10;
        let plain = Allowances::of_poll(poll_ms);
        Allowances {
            // A burst of orders takes several pages, and what waits for a free slot waits for a few calls.
            read_ms: plain.read_ms + 2_000,
            slack_ms: plain.slack_ms + caps.landing_ms + 5_000 + batches * whole(write_ms),
            ..plain
        }
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[expect(clippy::cast_possible_truncation, reason = "times of at most a few days")]
const fn whole(ms: f64) -> i64 {
    ms as i64
}

impl RawChannel {
    fn checked(self, history: Duration, scan: Duration) -> Result<Channel, String> {
        let seconds = |key: &str, seconds: f64| {
            if (0.0..=86_400.0).contains(&seconds) {
                Ok(whole(seconds * 1_000.0))
            } else {
                Err(format!("{key} = {seconds}: expected 0 to 86400 seconds"))
            }
        };
        if [self.write_batch, self.read_batch, self.listings_page, self.orders_page].contains(&0) {
            return Err("batches and pages hold at least 1".into());
        }
        if !(0.0..=100.0).contains(&self.late_orders_percent) {
            return Err("late_orders_percent: expected 0 to 100".into());
        }
        let longer_ms = seconds("late_by_s", self.late_by_s)?;
        let thousandths = u32::try_from(whole(self.late_orders_percent * 10.0)).unwrap_or(0);
        let order_delay_ms = seconds("order_delay_s", self.order_delay_s)?;
        let sale_lag_ms = seconds("sale_lag_s", self.sale_lag_s)?;
        let orders = match self.orders_every_s {
            Some(every) => Cadence::Every(Duration::from_secs_f64(every.clamp(1.0, 86_400.0))),
            None => Cadence::Auto,
        };
        let mut caps = self.capabilities()?;
        caps.landing_ms = seconds("landing_s", self.landing_s)?;
        caps.quantity_lag_ms = sale_lag_ms;
        caps.order_delay_ms = order_delay_ms + longer_ms;
        // A poll must reach back behind what becomes readable late.
        caps.order_overlap_ms = caps.order_delay_ms + 10_000;
        Ok(Channel {
            settings: ChannelSettings {
                id: ChannelId::new(&self.id),
                mode: Mode::Push,
                capabilities: caps,
                orders,
                scan: Cadence::Every(scan),
                sweep: Cadence::Every(Duration::from_hours(24)),
                history,
                locations: Vec::new(),
                order_location: LocationId::new(LocationId::DEFAULT),
                assume_shipped_after: None,
            },
            names: self.names,
            share: self.share,
            listings_page: self.listings_page,
            orders_page: self.orders_page,
            order_delay_ms,
            tail: Tail { thousandths, longer_ms },
            sale_lag_ms,
            restocks_itself: self.restocks_itself,
        })
    }

    fn capabilities(&self) -> Result<Capabilities, String> {
        let own = |limit: Option<RawLimit>| limit.map(RawLimit::quota).transpose();
        let mut caps = capabilities(self.write_mode, self.limit.quota()?);
        caps.kind = self.kind;
        caps.own_quotas = OwnQuotas {
            orders: own(self.orders_limit)?,
            levels: own(self.levels_limit)?,
            write: own(self.write_limit)?,
        };
        if let Some(RawCosts { orders, listings, levels, write }) = self.costs {
            caps.costs = Costs { identify: 1, orders, listings, levels, write };
        }
        (caps.write_batch, caps.read_batch) = (self.write_batch, self.read_batch);
        caps.key_life_ms = self.key_life_s.map(|seconds| seconds * 1_000);
        caps.revisions_per_day = self.revisions_per_day;
        Ok(caps)
    }
}

impl RawLimit {
    fn quota(self) -> Result<Quota, String> {
        match (self.points, self.points_per_second, self.calls, self.calls_per_second) {
            (Some(maximum), Some(restore_per_second), None, None)
                if maximum >= 1.0 && restore_per_second > 0.0 =>
            {
                Ok(Quota::Points { maximum, restore_per_second })
            }
            (None, None, Some(burst), Some(per_second)) if burst >= 1 && per_second > 0.0 => {
                Ok(Quota::Calls { per_second, burst })
            }
            _ => {
                Err("a limit is { calls, calls_per_second } or { points, points_per_second }, all above 0"
                    .into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_that_ship_can_be_used() {
        for (name, _) in SHIPPED {
            let scenario = Scenario::load(name).unwrap();
            assert_eq!(scenario.channels.iter().map(|channel| channel.share).sum::<u32>(), 100, "{name}");
        }
    }

    #[test]
    fn a_scenario_that_makes_no_sense_says_what_is_wrong() {
        let shipped = SHIPPED[0].1;
        let said = |text: &str| Scenario::parse("x", text).unwrap_err().to_string();
        assert!(said(&shipped.replacen("share", "shore", 1)).contains("shore"));
        let batch = shipped.replacen("write_batch = 250", "write_batch = 0", 1);
        assert_eq!(said(&batch), "x: channel web: batches and pages hold at least 1");
        assert!(matches!(Scenario::load("nowhere"), Err(ScenarioError::Unknown(_))));
    }
}
