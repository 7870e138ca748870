//! The channels' side of the demo: three shops, what they sell, and who buys.

use std::path::Path;

use anyhow::Result;
use chrono::NaiveDate;

use crate::{
    domain::{ChannelKind, Policy, Units},
    referee::{ChannelSettings, Settings},
    sandbox::{Catalogue, Day, Demand, SandboxConfig, ShopSettings},
};

/// How many SKUs the made-up shops sell.
const SKUS: usize = 200;
/// Orders per minute and shop, so that a minute has well over a hundred of each.
const ORDERS_PER_MINUTE: f64 = 180.0;
/// How many orders bring a delivery with them.
const DELIVERIES: f64 = 0.02;
/// What the host of the WooCommerce shop bears: calls per second, calls at once.
const HOST: (f64, u32) = (20.0, 40);

/// A sandbox with shoppers of this seed.
pub(super) fn made_up(seed: u64) -> SandboxConfig {
    let demand = Demand { deliveries: DELIVERIES, ..Demand::even(shops().len(), ORDERS_PER_MINUTE) };
    sandbox(Catalogue::made_up(SKUS, seed), Some(demand), seed)
}

/// A sandbox that sells what a history does, with nobody in it yet.
pub(super) fn recorded(orders: &Path, day: Option<NaiveDate>, seed: u64) -> Result<(SandboxConfig, Day)> {
    let history = Day::load(orders, day)?;
    Ok((sandbox(history.catalogue(), None, seed), history))
}

fn sandbox(catalogue: Catalogue, demand: Option<Demand>, seed: u64) -> SandboxConfig {
    let referee = Settings { fence_age_ms: 500, ..Settings::default() };
    SandboxConfig { port: 0, seed, shops: shops(), catalogue, demand, referee }
}

/// Two Shopify shops and a WooCommerce shop, with the delays of a good day: Shopify's search lags, WooCommerce reads
/// orders from the table they were just written to. Times are in milliseconds.
fn shops() -> Vec<ShopSettings> {
    let judged = ChannelSettings {
        order_poll_ms: 1_000,
        quantity_poll_ms: None,
        read_allowance_ms: 2_000,
        slack_ms: 5_000,
        settle_ms: 10_000,
    };
    let shop = |id, kind, latency_ms, order_delay_ms| ShopSettings {
        order_delay_ms,
        latency_ms,
        judged,
        ..ShopSettings::new(id, kind)
    };
    let outlet = shop("outlet", ChannelKind::Woocommerce, 20, 0);
    vec![
        shop("web", ChannelKind::Shopify, 5, 300),
        shop("wholesale", ChannelKind::Shopify, 10, 150),
        ShopSettings {
            calls: Some(HOST),
            policy: Policy { cap: Some(Units::of(25)), ..Policy::default() },
            ..outlet
        },
    ]
}
