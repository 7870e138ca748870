//! `stockd demo`: the main job with nothing to set up.

mod audit;
mod home;
mod stage;
mod street;
mod summary;

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use chrono::NaiveDate;
use clap::Args;

use super::{Failure, Out};
use home::Home;
use summary::Summary;

/// Shows stockd at work: three emulated shops, shoppers, and the real daemon between them.
///
/// Starts a sandbox with two Shopify shops and a WooCommerce shop on this machine, makes a configuration and a fresh
/// ledger in a temporary folder, imports opening stock, runs the daemon and lets shoppers shop. Then it waits until
/// every shop shows what is truly there, stops the daemon, verifies the ledger and prints a summary.
///
/// The exit code is 1 where the shops did not converge, the ledger did not verify, or the daemon caused an oversell or
/// showed more than it could know to be there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stockd demo\n  stockd demo --seconds 20 --json\n  \
    stockd demo --orders online-retail-ii.orders.csv.gz --day 2010-11-25 --speed 60")]
pub struct Demo {
    /// How long shoppers shop, in seconds.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Decides what shoppers do.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Print the summary as JSON, and nothing else.
    #[arg(long)]
    json: bool,
    /// Keep configuration, ledger and log in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Play this order history instead of made-up shoppers.
    #[arg(long, value_name = "FILE", conflicts_with = "seconds")]
    orders: Option<PathBuf>,
    /// Which day of the history; without it the one with most orders.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "orders")]
    day: Option<NaiveDate>,
    /// How much faster than it happened, 1 to 10,000.
    #[arg(long, value_name = "N", requires = "orders", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    speed: u32,
}

/// Runs the demo to its end.
///
/// # Errors
/// Whatever went wrong, or what the summary says is not as it should be.
pub fn run(demo: &Demo) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let home = Home::new(demo.keep.as_deref())?;
    let done = runtime.block_on(async {
        tokio::select! {
            done = play(demo, &home) => done,
            _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
        }
    });
    runtime.shutdown_background();
    let judged = done.and_then(|summary| summary.judge());
    judged.map_err(|error| {
        let folder = home.keep();
        Failure::Failed(
            error.context(format!("the demo did not end well; its files are in {}", folder.display())),
        )
    })
}

async fn play(demo: &Demo, home: &Home) -> anyhow::Result<Summary> {
    let out = Out;
    let (config, history) = match &demo.orders {
        None => (street::made_up(demo.seed), None),
        Some(orders) => {
            let (config, history) = street::recorded(orders, demo.day, demo.seed)?;
            (config, Some((history, f64::from(demo.speed))))
        }
    };
    let live = !demo.json && out.is_terminal();
    let summary = stage::play(config, history, demo.seconds, home, live).await?;
    if demo.json {
        out.json(&summary)?;
    } else {
        summary.print(&out)?;
    }
    Ok(summary)
}
