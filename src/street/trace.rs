//! Calls and their answers in one short line each.

use std::fmt::Write;

use crate::domain::{Call, CallError, Place, Reply, RowOutcome, Units};

/// With `TRACE` in the environment what happens is told on standard output; for tests.
pub fn tell_on_request() {
    if std::env::var_os("TRACE").is_some() {
        // Another test may have been first.
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).without_time();
        let _ = log.with_ansi(false).with_writer(std::io::stdout).try_init();
    }
}

/// A call and its answer.
pub(super) fn told(call: &Call, result: &Result<Reply, CallError>) -> String {
    let mut line = String::new();
    // Writing to a text never fails.
    let _ = write_call(&mut line, call);
    line.push_str(" ->");
    let _ = write_result(&mut line, result);
    line
}

fn write_call(line: &mut String, call: &Call) -> std::fmt::Result {
    match call {
        Call::Write { key, rows } => {
            write!(line, "write {}", &key[..4])?;
            for row in rows {
                let from = row.change_from.map_or_else(String::new, |from| format!("{from}>"));
                write!(line, " {}:{from}{}", name(&row.place), row.value)?;
            }
        }
        Call::Levels(places) => write!(line, "levels of {}", places.len())?,
        Call::Orders { since, page } => {
            let page = page.as_ref().map_or("", |page| page.as_str());
            write!(line, "orders from {} {page}", since.0 % 10_000_000)?;
        }
        other => write!(line, "{other:?}")?,
    }
    Ok(())
}

fn write_result(line: &mut String, result: &Result<Reply, CallError>) -> std::fmt::Result {
    match result {
        Err(error) => write!(line, " {error}")?,
        Ok(Reply::Written(outcomes)) => {
            for outcome in outcomes {
                match outcome {
                    RowOutcome::Conflict { detail } => write!(line, " conflict ({detail})")?,
                    other => write!(line, " {other:?}")?,
                }
            }
        }
        Ok(Reply::Levels(levels)) => {
            for level in levels {
                let quantity = level.quantity.map_or(-99, Units::get);
                write!(line, " {}:{quantity}", name(&level.place))?;
            }
        }
        Ok(Reply::Orders(page)) => {
            for order in &page.orders {
                write!(line, " {}@{}", order.number, order.updated_at.0 % 10_000_000)?;
                for l in &order.lines {
                    let sku = l.channel_sku.as_deref().unwrap_or_default();
                    write!(line, "={sku}x{}h{}", l.net.open(), l.held)?;
                }
            }
        }
        Ok(other) => write!(line, " {}", format!("{other:?}").chars().take(40).collect::<String>())?,
    }
    Ok(())
}

fn name(place: &Place) -> String {
    format!("{} {}", place.listing.as_str().trim_start_matches("L-"), place.location.as_str())
}
