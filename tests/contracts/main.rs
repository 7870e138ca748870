//! The channel clients against the vendors' own contracts, over real HTTP.
//!
//! The contracts are the vendors' and not part of this repository: they are read from `$STOCKD_CONTRACTS` or
//! `../shared/contracts`. Where they are absent the test says so and skips; with `CI` set it fails.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as loudly as tests")]

mod admin_schema;
mod faults;
mod rest_schema;
mod shop;
mod shopify;
mod support;
mod woocommerce;
