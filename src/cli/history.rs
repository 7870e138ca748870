//! `stockd history`: every movement of a SKU.

use clap::Args;

use super::{ConfigArg, Failure, Out, ask, select};
use crate::{
    config::Secrets,
    domain::{Sku, Units},
    ledger::{HistoryRow, Reader},
};

/// Lists what moved a SKU's stock, oldest first.
///
/// `on hand` and `committed` show the change and, behind it, what was left over all locations.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stockd history MUG-1 --limit 20")]
pub struct History {
    #[command(flatten)]
    config: ConfigArg,
    /// The SKU, as the ledger has it.
    #[arg(value_parser = ask::parse_sku)]
    sku: Sku,
    /// Only the last so many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &History) -> Result<(), Failure> {
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let reader = Reader::open(&settings.ledger)?;
    if !reader.knows(args.sku.as_str())? {
        return Err(select::unknown_sku(&reader, &args.sku)?);
    }
    let rows = reader.history(args.sku.as_str(), args.limit)?;
    if args.json {
        return Ok(Out.json(&rows)?);
    }
    table(&rows)?;
    let earlier = reader.history_length(args.sku.as_str())? - rows.len().try_into().unwrap_or(i64::MAX);
    if earlier > 0 {
        Out.line(format!("{earlier} earlier movements are not shown; --limit shows more"))?;
    }
    Ok(())
}

/// Prints movements as a table.
///
/// # Errors
/// [`Failure`] where printing fails.
pub fn table(rows: &[HistoryRow]) -> Result<(), Failure> {
    let rows: Vec<[String; 7]> = rows
        .iter()
        .map(|row| {
            [
                row.id.to_string(),
                row.effective_at.rfc3339_seconds(),
                row.location.clone(),
                row.kind.clone(),
                change(row.on_hand_delta, row.on_hand),
                change(row.committed_delta, row.committed),
                cause(row),
            ]
        })
        .collect();
    Ok(Out
        .table(&["movement", "happened", "location", "kind", "on hand", "committed", "because of"], &rows)?)
}

fn change(delta: Units, after: Units) -> String {
    if delta == Units::ZERO { format!("-> {after}") } else { format!("{:+} -> {after}", delta.get()) }
}

fn cause(row: &HistoryRow) -> String {
    let order = row.order.as_ref().map(|order| format!("order {order}"));
    let parts = [row.channel.clone(), order, row.reason.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
