//! The channel clients against the vendors' own contracts, over real HTTP.
//!
//! The contracts are the vendors' and not part of this repository: they are read from `$STOCKD_CONTRACTS` or
//! `../shared/contracts`. Where they are absent the test says so and skips; with `CI` set it fails.

mod faults;
mod shopify;
mod support;
mod woocommerce;
