//! `stockd oversells`: which orders can't be filled.

use clap::Args;

use super::{ConfigArg, Failure, Out};
use crate::{config::Secrets, domain::Units, ledger::Reader};

/// Lists the orders that can't be filled.
///
/// A SKU is oversold where more is ordered than held. The latest open orders make up the shortage: those placed first
/// are filled first.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stockd oversells --json")]
pub struct Oversells {
    #[command(flatten)]
    config: ConfigArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &Oversells) -> Result<(), Failure> {
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let found = Reader::open(&settings.ledger)?.oversold()?;
    if args.json {
        return Ok(Out.json(&found)?);
    }
    if found.is_empty() {
        return Ok(Out.line("nothing is oversold: every open order can be filled")?);
    }
    let mut rows: Vec<[String; 7]> = Vec::new();
    for oversold in &found {
        for line in &oversold.lines {
            rows.push([
                oversold.sku.clone(),
                oversold.on_hand.to_string(),
                oversold.committed.to_string(),
                line.channel.clone(),
                line.order.clone(),
                line.created_at.rfc3339_seconds(),
                format!("{} of {}", line.short, line.open),
            ]);
        }
        let by_orders: Units = oversold.lines.iter().map(|line| line.short).sum();
        let rest = -oversold.available - by_orders;
        if rest > Units::ZERO {
            let other = "no open order: on hand is below 0".to_owned();
            let (on_hand, committed) = (oversold.on_hand.to_string(), oversold.committed.to_string());
            let dash = || "-".to_owned();
            rows.push([oversold.sku.clone(), on_hand, committed, dash(), other, dash(), rest.to_string()]);
        }
    }
    Ok(Out.table(&["SKU", "on hand", "committed", "channel", "order", "placed", "can't be filled"], &rows)?)
}
