//! The real program against the emulated shops, over HTTP, as processes of their own: what a seller would see.
//!
//! Times are only ever bounded generously: how fast it was is printed, not asserted.

#![allow(
    clippy::unwrap_used,
    clippy::explicit_write,
    clippy::similar_names,
    clippy::duration_suboptimal_units
)]

mod day;
mod faults;
mod kill;
mod operator;
mod restored;
mod secrets;
mod street;

/// Prints what a test has measured.
#[allow(clippy::explicit_write, reason = "what eprintln! says is only seen where a test fails")]
fn measured(text: &str) {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "MEASURED: {text}").unwrap();
}
