//! The sales channels: each builds requests, decodes replies and says what it can do.
//!
//! They see neither ledger nor engine: a [`Call`](crate::domain::Call) comes in, an [`Answer`](crate::domain::Answer) goes out.

use secrecy::SecretString;
use url::Url;

use crate::domain::{Capabilities, ChannelKind, Costs, Quota, WriteMode};

/// Where a channel is and how to get in: validated, with the secrets already resolved.
#[derive(Clone, Debug)]
pub enum Connection {
    /// A Shopify shop.
    Shopify(ShopifyConnection),
    /// A WooCommerce site.
    Woocommerce(WoocommerceConnection),
}

/// A Shopify shop.
#[derive(Clone, Debug)]
pub struct ShopifyConnection {
    /// `https://{shop}.myshopify.com/`, or plain HTTP on loopback for the sandbox.
    pub base: Url,
    /// The Admin API version, such as `2026-10`.
    pub api_version: String,
    /// The access token.
    pub token: SecretString,
    /// The reason given with each change of stock.
    pub reason: String,
    /// The bucket of points until a reply says it: size and points per second.
    pub points: (f64, f64),
    /// What all channels have.
    pub common: Common,
}

/// A WooCommerce site.
#[derive(Clone, Debug)]
pub struct WoocommerceConnection {
    /// The site's address; `wp-json/wc/v3/...` goes behind it. Plain HTTP only on loopback.
    pub base: Url,
    /// The consumer key (`ck_...`).
    pub key: SecretString,
    /// The consumer secret (`cs_...`).
    pub secret: SecretString,
    /// Calls per second and calls at once that the site's host can bear.
    pub calls: (f64, u32),
    /// What all channels have.
    pub common: Common,
}

/// Settings that every channel has.
#[derive(Clone, Copy, Debug)]
pub struct Common {
    /// The total time for one request, body included, in milliseconds.
    pub timeout_ms: u64,
    /// The largest reply body read, in bytes.
    pub max_body_bytes: usize,
    /// See [`Capabilities::order_overlap_ms`].
    pub order_overlap_ms: i64,
    /// See [`Capabilities::order_delay_ms`].
    pub order_delay_ms: i64,
    /// See [`Capabilities::settle_ms`].
    pub settle_ms: i64,
}

/// What a connection can do.
pub fn capabilities(connection: &Connection) -> Capabilities {
    let (kind, write_mode, common, quota) = match connection {
        Connection::Shopify(shop) => (
            ChannelKind::Shopify,
            WriteMode::CompareAndSet,
            &shop.common,
            Quota::Points { maximum: shop.points.0, restore_per_second: shop.points.1 },
        ),
        Connection::Woocommerce(site) => (
            ChannelKind::Woocommerce,
            WriteMode::Absolute,
            &site.common,
            Quota::Calls { per_second: site.calls.0, burst: site.calls.1 },
        ),
    };
    Capabilities {
        kind,
        write_mode,
        write_batch: 100,
        read_batch: 100,
        orders_by_id_batch: 100,
        quota,
        costs: Costs { identify: 1, orders: 1, listings: 1, levels: 1, write: 1 },
        concurrency: 1,
        settle_ms: common.settle_ms,
        key_life_ms: None,
        order_delay_ms: common.order_delay_ms,
        order_overlap_ms: common.order_overlap_ms,
        time_step_ms: 1_000,
    }
}
