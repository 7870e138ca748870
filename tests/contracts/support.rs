//! Connections to servers of the tests' own, and the vendors' contract files.

use std::{env, fs, io::Write as _, path::PathBuf};

use stockd::{
    channels::{Client, Common, Connection, ShopifyConnection, WoocommerceConnection},
    domain::{ChannelLocation, ListingId, Place, Units, WriteRow},
};

pub(crate) const TOKEN: &str = "shpat_0123456789abcdef";
pub(crate) const KEY: &str = "ck_0123456789abcdef";
pub(crate) const SECRET: &str = "cs_fedcba9876543210";
pub(crate) const IDEMPOTENCY_KEY: &str = "5f0c6d2e-0f0a-5b1e-9d4c-6b7f3f1c2a10";

/// Generous but for the tests of limits.
pub(crate) fn common() -> Common {
    Common {
        timeout_ms: 10_000,
        max_body_bytes: 4 << 20,
        order_overlap_ms: 60_000,
        order_delay_ms: 120_000,
        settle_ms: 5_000,
    }
}

pub(crate) fn shopify_connection(base: &str, common: Common) -> Connection {
    Connection::Shopify(ShopifyConnection {
        base: base.parse().unwrap(),
        api_version: "2026-10".to_owned(),
        token: TOKEN.into(),
        reason: "correction".to_owned(),
        points: (2000.0, 100.0),
        common,
    })
}

pub(crate) fn woocommerce_connection(base: &str, common: Common) -> Connection {
    Connection::Woocommerce(WoocommerceConnection {
        base: base.parse().unwrap(),
        key: KEY.into(),
        secret: SECRET.into(),
        calls: (4.0, 4),
        common,
    })
}

pub(crate) fn shopify(base: &str) -> Client {
    Client::new(&shopify_connection(base, common())).unwrap()
}

pub(crate) fn woocommerce(base: &str) -> Client {
    Client::new(&woocommerce_connection(base, common())).unwrap()
}

pub(crate) fn place(listing: &str, location: &str) -> Place {
    Place { listing: ListingId::new(listing), location: ChannelLocation::new(location) }
}

pub(crate) fn row(listing: &str, location: &str, value: i64, change_from: Option<i64>) -> WriteRow {
    WriteRow {
        place: place(listing, location),
        value: Units::of(value),
        change_from: change_from.map(Units::of),
        counted_at: None,
    }
}

/// A vendor's contract file, or `None` with a visible line where the contracts are absent.
pub(crate) fn contract(file: &str) -> Option<String> {
    let folder = env::var_os("STOCKD_CONTRACTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/contracts"), PathBuf::from);
    let path = folder.join(file);
    match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            assert!(env::var_os("CI").is_none(), "{}: {error}", path.display());
            // Past the test harness, which swallows what a passing test prints.
            let line = format!("SKIPPED: no contract at {}\n", path.display());
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            None
        }
    }
}
