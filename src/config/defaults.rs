//! The built-in defaults, all of them, as they would be written in the file.

use crate::domain::ChannelKind;

/// Defaults of the tables that every configuration has, by dotted path.
pub(super) const GENERAL: [(&str, Default); 6] = [
    ("ledger.path", Default::Text("/var/lib/stockd/ledger.db")),
    ("daemon.shutdown_grace", Default::Text("25s")),
    ("log.format", Default::Text("human")),
    ("log.level", Default::Text("info")),
    ("brake.share", Default::Text("30%")),
    ("brake.min_listings", Default::Number(25)),
];

/// A default value.
pub(super) enum Default {
    Text(&'static str),
    Number(i64),
}

pub(super) const MODE: &str = "observe";
/// How often orders are read: as often as the limits allow.
pub(super) const ORDERS_EVERY: &str = "auto";
/// When the whole catalogue is read.
pub(super) const SCAN_CRON: &str = "0 15 3 * * *";
/// When the orders of the last `history` are read again.
pub(super) const SWEEP_CRON: &str = "0 45 3 * * *";
pub(super) const HISTORY: &str = "30d";
pub(super) const TIMEOUT: &str = "30s";
pub(super) const MAX_BODY: &str = "16MiB";

/// The first version with the present rules for writing is 2026-04.
pub(super) const SHOPIFY_API_VERSION: &str = "2026-10";
pub(super) const SHOPIFY_REASON: &str = "correction";
/// Shopify's Standard plan: the bucket's size and what flows back per second.
pub(super) const SHOPIFY_POINTS: (f64, f64) = (2_000.0, 100.0);

/// WooCommerce limits nothing; this is what a small host bears: calls per second and at once.
pub(super) const WOOCOMMERCE_CALLS: (f64, u32) = (2.0, 4);

pub(super) const NEVER: &str = "never";

/// After how long an open order counts as shipped; for kinds of channels that never say so, 14 days.
pub(super) const fn assume_shipped_after(kind: ChannelKind) -> &'static str {
    match kind {
        // Fulfilments, and the status `completed`.
        ChannelKind::Shopify | ChannelKind::Woocommerce => NEVER,
    }
}

/// What depends on how fast a kind of channel makes things visible.
pub(super) struct Timing {
    pub(super) orders_overlap: &'static str,
    pub(super) order_delay: &'static str,
    pub(super) settle: &'static str,
}

/// Shopify finds orders through a search index whose lag it doesn't state; WooCommerce reads its own tables, to the
/// second.
pub(super) const fn timing(kind: ChannelKind) -> Timing {
    match kind {
        ChannelKind::Shopify => Timing { orders_overlap: "2m", order_delay: "2m", settle: "10s" },
        ChannelKind::Woocommerce => Timing { orders_overlap: "1m", order_delay: "1m", settle: "5s" },
    }
}
