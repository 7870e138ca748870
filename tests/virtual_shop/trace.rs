//! Calls and their answers in one short line each, for `TRACE=1`.

use std::fmt::Write;

use stockd::domain::{Call, CallError, Place, Reply, RowOutcome, Units};

pub fn told(call: &Call, result: &Result<Reply, CallError>) -> String {
    let mut line = String::new();
    match call {
        Call::Write { key, rows } => {
            write!(line, "write {}", &key[..4]).unwrap();
            for row in rows {
                let from = row.change_from.map_or_else(String::new, |from| format!("{from}>"));
                write!(line, " {}:{from}{}", name(&row.place), row.value).unwrap();
            }
        }
        Call::Levels(places) => write!(line, "levels of {}", places.len()).unwrap(),
        Call::Orders { since, page } => {
            let page = page.as_ref().map_or("", |page| page.as_str());
            write!(line, "orders from {} {page}", since.0 % 10_000_000).unwrap();
        }
        other => write!(line, "{other:?}").unwrap(),
    }
    line.push_str(" ->");
    match result {
        Err(error) => write!(line, " {error}").unwrap(),
        Ok(Reply::Written(outcomes)) => outcomes.iter().for_each(|outcome| match outcome {
            RowOutcome::Conflict { detail } => write!(line, " conflict ({detail})").unwrap(),
            other => write!(line, " {other:?}").unwrap(),
        }),
        Ok(Reply::Levels(levels)) => levels.iter().for_each(|level| {
            let quantity = level.quantity.map_or(-99, Units::get);
            write!(line, " {}:{quantity}", name(&level.place)).unwrap();
        }),
        Ok(Reply::Orders(page)) => {
            for order in &page.orders {
                write!(line, " {}@{}", order.number, order.updated_at.0 % 10_000_000).unwrap();
                for l in &order.lines {
                    let sku = l.channel_sku.as_deref().unwrap_or_default();
                    write!(line, "={sku}x{}h{}", l.net.open(), l.held).unwrap();
                }
            }
        }
        Ok(other) => {
            write!(line, " {}", &format!("{other:?}")[..40.min(format!("{other:?}").len())]).unwrap()
        }
    }
    line
}

fn name(place: &Place) -> String {
    format!("{} {}", place.listing.as_str().trim_start_matches("L-"), place.location.as_str())
}
