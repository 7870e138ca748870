//! `stockd quarantine`: order lines that could not be booked.

use clap::{Args, Subcommand};

use super::{
    ConfigArg, Failure, Out,
    ask::{self, Reason, Wait},
};
use crate::{
    config::Secrets,
    domain::{Operation, Sku, operator::QuarantineAction},
    ledger::Reader,
};

/// Shows and settles order lines that could not be booked.
///
/// A line whose SKU is not in the ledger moves no stock; it waits here, and goes on following its order. It books
/// itself as soon as its SKU is counted (`stockd stock import` or `stock set`).
#[derive(Debug, Args)]
pub struct Quarantine {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the lines, oldest first.
    List(List),
    Resolve(Resolve),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    config: ConfigArg,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Settles one line: try again, book it on a SKU, or drop it for good.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  stockd quarantine resolve 3 --book MUG-1 --reason 'old SKU of the same mug'"
)]
struct Resolve {
    #[command(flatten)]
    config: ConfigArg,
    /// The number that `stockd quarantine list` shows.
    id: i64,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct How {
    /// Look its SKU up again.
    #[arg(long)]
    retry: bool,
    /// Book it on this SKU of the ledger, one unit a piece.
    #[arg(long, value_name = "SKU", value_parser = ask::parse_sku)]
    book: Option<Sku>,
    /// Never book it: it moves no stock, whatever becomes of the order.
    #[arg(long)]
    drop: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &Quarantine) -> Result<(), Failure> {
    match &args.action {
        Action::List(list) => show(list),
        Action::Resolve(resolve) => settle(resolve),
    }
}

fn show(args: &List) -> Result<(), Failure> {
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let lines = Reader::open(&settings.ledger)?.quarantined()?;
    if args.json {
        return Ok(Out.json(&lines)?);
    }
    if lines.is_empty() {
        return Ok(Out.line("nothing is in quarantine")?);
    }
    let rows: Vec<[String; 7]> = lines
        .iter()
        .map(|line| {
            [
                line.id.to_string(),
                line.at.rfc3339_seconds(),
                line.channel.clone(),
                line.order.clone(),
                line.channel_sku.clone().unwrap_or_else(|| "-".into()),
                line.net.open().to_string(),
                line.reason.clone(),
            ]
        })
        .collect();
    Ok(Out.table(&["id", "since", "channel", "order", "SKU", "open", "why"], &rows)?)
}

fn settle(args: &Resolve) -> Result<(), Failure> {
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let action = match (&args.how.book, args.how.drop) {
        (Some(sku), _) => QuarantineAction::Book(sku.clone()),
        (None, true) => QuarantineAction::Drop,
        (None, false) => QuarantineAction::Retry,
    };
    let operation = Operation::Quarantine { id: args.id, action, reason: args.reason.reason.clone() };
    Ok(Out.line(ask::ask(&settings.ledger, &settings, &operation, args.wait)?)?)
}
