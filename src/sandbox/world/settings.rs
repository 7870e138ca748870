//! How a shop behaves, and what it counts.

use serde::Serialize;

use crate::{
    domain::{ChannelId, ChannelKind, Policy},
    referee::ChannelSettings,
};

/// How one emulated shop behaves. Times are in milliseconds.
#[derive(Clone, Debug)]
pub struct ShopSettings {
    /// Its name: the path prefix of its address, and the channel's id in a configuration.
    pub id: ChannelId,
    /// Whose API it speaks.
    pub kind: ChannelKind,
    /// Shopify: the access token. WooCommerce: the consumer key.
    pub key: String,
    /// WooCommerce: the consumer secret. Shopify has none.
    pub secret: String,
    /// The names of its locations, at least one. WooCommerce has exactly one number per listing.
    pub locations: Vec<String>,
    /// How long an order, or a change of one, takes to become readable.
    pub order_delay_ms: i64,
    /// How far quantity reads lag behind.
    pub quantity_delay_ms: i64,
    /// How long a write takes until shoppers see it.
    pub write_delay_ms: i64,
    /// How long a request takes, half before and half after the work is done.
    pub latency_ms: u64,
    /// Shopify: the bucket's size and the points per second that flow back.
    pub points: (f64, f64),
    /// WooCommerce: calls per second and calls at once that the host bears; `None`: any number.
    pub calls: Option<(f64, u32)>,
    /// WooCommerce: whether the host says `Retry-After` when it throttles.
    pub retry_after: bool,
    /// Shopify: whether one refused row of a write refuses the whole call. See `shopify::set_quantities`.
    pub all_or_nothing: bool,
    /// WooCommerce: the site's time zone as minutes east of Greenwich. Not 0 by default, to bring out confusions.
    pub zone_minutes: i64,
    /// The policy under which the referee judges this channel.
    pub policy: Policy,
    /// What the referee expects of the daemon on this channel.
    pub judged: ChannelSettings,
}

impl ShopSettings {
    /// A shop with generous limits and no delays, one location.
    pub fn new(id: &str, kind: ChannelKind) -> Self {
        let (key, secret) = match kind {
            ChannelKind::Shopify => (format!("shpat_sandbox_{id}"), String::new()),
            ChannelKind::Woocommerce => (format!("ck_sandbox_{id}"), format!("cs_sandbox_{id}")),
        };
        Self {
            id: ChannelId::new(id),
            kind,
            key,
            secret,
            locations: vec!["Main".to_owned()],
            order_delay_ms: 0,
            quantity_delay_ms: 0,
            write_delay_ms: 0,
            latency_ms: 0,
            points: (2000.0, 100.0),
            calls: None,
            retry_after: true,
            all_or_nothing: true,
            zone_minutes: -300,
            policy: Policy::default(),
            judged: ChannelSettings {
                order_poll_ms: 2_000,
                quantity_poll_ms: None,
                read_allowance_ms: 2_000,
                slack_ms: 10_000,
                settle_ms: 60_000,
            },
        }
    }
}

/// What a shop has counted since the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ShopCounts {
    /// Orders placed.
    pub orders: u64,
    /// Pieces sold.
    pub units: i64,
    /// Pieces that shoppers wanted and were not shown.
    pub refused_units: i64,
    /// Requests that reached the shop.
    pub requests: u64,
    /// Requests turned away for their number.
    pub throttled: u64,
    /// Numbers written by requests.
    pub writes: u64,
}
