//! stockd keeps one seller's stock in step across sales channels, from a single SKU-keyed ledger.
//!
//! Layers, each using only what stands to the right of it (`tests/layers.rs` holds this to the code):
//!
//! ```text
//! cli, daemon        -> engine -> ledger -> domain        pure core, one writer
//! cli, daemon        -> channels -> domain                I/O; knows neither ledger nor engine
//! cli                -> sandbox -> referee -> domain      emulated channels and their judge; know none of the above
//! cli                -> sandbox -> history -> domain      files of past orders
//! cli -> replay -> street -> engine -> ledger -> domain   order histories under a virtual clock, shops in memory
//! cli -> replay -> history, referee -> domain
//! street             -> referee -> domain
//! cli, daemon        -> config -> channels, domain        files to validated values
//! cli, daemon        -> telemetry -> config               logs
//! cli                -> daemon, domain                    commands start it
//! daemon, engine, ledger, channels -> kill_points         where the crash test kills it
//! ```
//!
//! The engine has no sockets and no clock, the ledger is the only module with SQL, the domain has neither.

pub mod channels;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod engine;
pub mod history;
pub mod kill_points;
pub mod ledger;
pub mod referee;
pub mod replay;
pub mod sandbox;
pub mod street;
pub mod telemetry;
