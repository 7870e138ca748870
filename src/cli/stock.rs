//! `stockd stock`: what is on the shelf.

mod count_file;
mod export;
mod import;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    ConfigArg, Failure, Out,
    ask::{self, Reason, Wait},
};
use crate::{
    config::Secrets,
    domain::{CountBasis, CountRow, LocationId, Operation, Sku, Units, UtcMs},
    ledger::Reader,
};

/// Counts and corrects stock.
///
/// A count says what was there at one moment (`import`, `set`); whatever moved since comes on top. An adjustment says
/// what came or went (`adjust`).
#[derive(Debug, Args)]
pub struct Stock {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Import(import::Import),
    Export(export::Export),
    Set(Set),
    Adjust(Adjust),
}

/// What a counted number means.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Basis {
    /// Units on the shelf, those of open orders still among them.
    #[value(name = "on_hand")]
    OnHand,
    /// Units free to sell, open orders already taken off.
    #[value(name = "available")]
    Available,
}

impl From<Basis> for CountBasis {
    fn from(basis: Basis) -> Self {
        match basis {
            Basis::OnHand => Self::OnHand,
            Basis::Available => Self::Available,
        }
    }
}

/// What a count needs beside the numbers.
#[derive(Clone, Debug, Args)]
struct Counted {
    /// What the number means: units on the shelf, or units free to sell.
    #[arg(long, value_name = "BASIS", default_value = "on_hand")]
    basis: Basis,
    /// Where it was counted.
    #[arg(long, value_name = "NAME", default_value = LocationId::DEFAULT)]
    location: String,
    /// When it was counted, such as 2026-11-22T18:30:00+01:00; without it, now. What moved since comes on top.
    #[arg(long = "counted-at", value_name = "TIME", value_parser = ask::parse_instant)]
    at: Option<UtcMs>,
}

/// Sets one SKU to what was counted.
///
/// A SKU that the ledger doesn't know is added, and its listings are kept in step from then on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stockd stock set MUG-1 12 --reason 'shelf counted'\n  \
                        stockd stock set MUG-1 9 --basis available --reason 'from the old system'")]
struct Set {
    #[command(flatten)]
    config: ConfigArg,
    /// The SKU, byte for byte.
    #[arg(value_parser = ask::parse_sku)]
    sku: Sku,
    /// How many were counted.
    #[arg(allow_negative_numbers = true, value_parser = ask::parse_units)]
    quantity: Units,
    #[command(flatten)]
    counted: Counted,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    wait: Wait,
}

/// Books units that came or went.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stockd stock adjust MUG-1 -2 --reason 'dropped'\n  \
                        stockd stock adjust MUG-1 48 --receipt --reason 'delivery 2291'")]
struct Adjust {
    #[command(flatten)]
    config: ConfigArg,
    /// The SKU, byte for byte.
    #[arg(value_parser = ask::parse_sku)]
    sku: Sku,
    /// How many more, or fewer with a minus.
    #[arg(allow_negative_numbers = true, value_parser = ask::parse_units)]
    delta: Units,
    /// It is a delivery, not a correction.
    #[arg(long)]
    receipt: bool,
    /// Where.
    #[arg(long, value_name = "NAME", default_value = LocationId::DEFAULT)]
    location: String,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    wait: Wait,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &Stock) -> Result<(), Failure> {
    match &args.action {
        Action::Import(import) => import::run(import),
        Action::Export(export) => export::run(export),
        Action::Set(set) => run_set(set),
        Action::Adjust(adjust) => run_adjust(adjust),
    }
}

fn run_set(args: &Set) -> Result<(), Failure> {
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let basis = CountBasis::from(args.counted.basis);
    if basis == CountBasis::OnHand && args.quantity < Units::ZERO {
        return Err(Failure::Usage("error: fewer than no units can't be on a shelf".into()));
    }
    let row = CountRow {
        sku: args.sku.clone(),
        location: LocationId::new(&args.counted.location),
        quantity: args.quantity,
        basis,
        counted_at: args.counted.at.unwrap_or_else(ask::now),
    };
    let operation = Operation::Count { rows: vec![row], reason: args.reason.reason.clone() };
    Out.line(ask::ask(&settings.ledger, &settings, &operation, args.wait)?)?;
    tell_stock(&Reader::open(&settings.ledger)?, &args.sku)
}

fn run_adjust(args: &Adjust) -> Result<(), Failure> {
    if args.delta == Units::ZERO {
        return Err(Failure::Usage("error: an adjustment by 0 changes nothing".into()));
    }
    if args.receipt && args.delta < Units::ZERO {
        return Err(Failure::Usage(
            "error: a delivery brings units; leave out --receipt or the minus".into(),
        ));
    }
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let reader = Reader::open(&settings.ledger)?;
    let stock = reader.stock_of(args.sku.as_str())?;
    // A location mistyped would otherwise quietly hold fewer than no units.
    if !args.receipt && !stock.is_empty() && stock.iter().all(|row| row.location != args.location) {
        let known: Vec<&str> = stock.iter().map(|row| row.location.as_str()).collect();
        return Err(Failure::Usage(format!(
            "error: {} is not kept at {}, only at {}; `stock set` counts it at a new location",
            args.sku,
            args.location,
            known.join(", ")
        )));
    }
    let operation = Operation::Adjust {
        sku: args.sku.clone(),
        location: LocationId::new(&args.location),
        delta: args.delta,
        receipt: args.receipt,
        reason: args.reason.reason.clone(),
    };
    Out.line(ask::ask(&settings.ledger, &settings, &operation, args.wait)?)?;
    tell_stock(&reader, &args.sku)
}

fn tell_stock(reader: &Reader, sku: &Sku) -> Result<(), Failure> {
    for row in reader.stock_of(sku.as_str())? {
        Out.line(format!(
            "{sku} at {}: on hand {} - committed {} = available {}",
            row.location, row.on_hand, row.committed, row.available
        ))?;
    }
    Ok(())
}
