//! `stockd stock export`.

use std::{fs, path::PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

use crate::{
    cli::{ConfigArg, Failure, Out},
    config::Secrets,
    ledger::{Reader, StockRow},
};

/// Writes all stock as CSV: SKU, location, on hand, committed.
///
/// The file can be edited and imported again; `committed` is only for reading.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stockd stock export stock.csv")]
pub(super) struct Export {
    #[command(flatten)]
    config: ConfigArg,
    /// The file to write; without it, standard output.
    file: Option<PathBuf>,
    /// Print JSON, with the last counts.
    #[arg(long, conflicts_with = "file")]
    json: bool,
}

pub(super) fn run(args: &Export) -> Result<(), Failure> {
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let stock = Reader::open(&settings.ledger)?.stock()?;
    if args.json {
        return Ok(Out.json(&stock)?);
    }
    let text = csv(&stock).map_err(|error| anyhow!(error))?;
    match &args.file {
        None => Ok(Out.line(text.trim_end())?),
        Some(file) => {
            fs::write(file, text).with_context(|| format!("can't write {}", file.display()))?;
            Ok(Out.line(format!("{} rows written to {}", stock.len(), file.display()))?)
        }
    }
}

fn csv(stock: &[StockRow]) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["sku", "location", "on_hand", "committed"])?;
    for row in stock {
        let numbers = [row.on_hand, row.committed].map(|units| units.to_string());
        writer.write_record([&as_text(&row.sku), &as_text(&row.location), &numbers[0], &numbers[1]])?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// What a spreadsheet would take for a formula goes out as the formula of that text, which the import reads back.
fn as_text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@']) {
        format!("=\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
