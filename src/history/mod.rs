//! Order histories: a seller's past orders, deliveries and opening stock, read from files.
//!
//! [`History::load`] reads tables of comma-separated values, plain or gzip, told apart by their columns: orders
//! (`ts,order_id,sku,qty` and, where known, `line,kind,channel`), links (`order_id,line,ref_order_id,ref_line`), deliveries
//! (`ts,sku,qty`) and opening stock (`sku,opening_stock`).

mod made_up;
mod read;
mod table;

use std::{ops::Range, path::PathBuf, sync::Arc};

use crate::domain::{Sku, Units, UtcMs};

/// Why a history can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file can't be opened or read.
    #[error("can't read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A row makes no sense.
    #[error("{path}:{line}: {what}")]
    Row {
        /// In which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What was found, and what was expected.
        what: String,
    },
    /// The columns are those of no table.
    #[error(
        "{path}: columns {found:?} belong to no table: expected at least ts,order_id,sku,qty (orders), \
         order_id,line,ref_order_id,ref_line (links), ts,sku,qty (deliveries) or sku,opening_stock (stock)"
    )]
    Columns {
        /// In which file.
        path: PathBuf,
        /// The heading.
        found: String,
    },
    /// Two files are the same table.
    #[error("{path}: a second table of {table}")]
    Twice {
        /// The second file.
        path: PathBuf,
        /// What it holds.
        table: &'static str,
    },
    /// There is no sale in it.
    #[error("no file holds a sale: expected a table with the columns ts,order_id,sku,qty")]
    NoSales,
}

/// A seller's past. SKUs, orders and lines go by their number.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Every SKU that occurs.
    pub skus: Vec<Sku>,
    /// What was there of each before the first event.
    pub opening: Vec<Units>,
    /// Orders with at least one sale, by the time of their placing.
    pub orders: Vec<Order>,
    /// All lines, those of one order together.
    pub lines: Vec<Line>,
    /// What came back, by time.
    pub backs: Vec<Back>,
    /// Deliveries, by time.
    pub restocks: Vec<Restock>,
    /// Whether no order's time has seconds.
    pub to_the_minute: bool,
    /// Whether opening stock and deliveries were made up, for want of a file with either.
    pub made_up_stock: bool,
}

/// An order. One that grew later is several.
#[derive(Clone, Debug)]
pub struct Order {
    /// When it was placed.
    pub at: UtcMs,
    /// Its id, unique.
    pub id: Arc<str>,
    /// The channel that the file names.
    pub channel: Option<Arc<str>>,
    /// Its lines, in [`History::lines`].
    pub lines: Range<usize>,
    row: usize,
}

/// A line of an order.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its id within the order.
    pub id: Arc<str>,
    /// The order, in [`History::orders`].
    pub order: usize,
    /// What was wanted, in [`History::skus`].
    pub sku: usize,
    /// How many units, at least 1.
    pub units: i64,
}

/// Units that came back.
#[derive(Clone, Debug)]
pub struct Back {
    /// When.
    pub at: UtcMs,
    /// The id of the cancel or return.
    pub id: Arc<str>,
    /// What, in [`History::skus`].
    pub sku: usize,
    /// How many units, at least 1.
    pub units: i64,
    /// The line that it undoes, in [`History::lines`], where known.
    pub of: Option<usize>,
    /// Whether the units had been shipped: a return, not a cancel.
    pub returned: bool,
    row: usize,
}

/// A delivery.
#[derive(Clone, Copy, Debug)]
pub struct Restock {
    /// When.
    pub at: UtcMs,
    /// What, in [`History::skus`].
    pub sku: usize,
    /// How many units, at least 1.
    pub units: i64,
}

/// Something that happened, by its number in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A delivery came.
    Restock(usize),
    /// An order was placed.
    Order(usize),
    /// Something came back.
    Back(usize),
}

impl History {
    /// Everything that happened, oldest first; of what happened at one instant deliveries first, then as the file has it.
    /// `at` says when each happened, which may be [`History::at`].
    pub fn events(&self, at: impl Fn(Event) -> UtcMs) -> Vec<(UtcMs, Event)> {
        let mut events: Vec<_> = (0..self.restocks.len())
            .map(|ix| (0, Event::Restock(ix)))
            .chain((0..self.orders.len()).map(|ix| (self.orders[ix].row, Event::Order(ix))))
            .chain((0..self.backs.len()).map(|ix| (self.backs[ix].row, Event::Back(ix))))
            .map(|(row, event)| (at(event), row, event))
            .collect();
        events.sort_by_key(|(at, row, _)| (*at, *row));
        events.into_iter().map(|(at, _, event)| (at, event)).collect()
    }

    /// When something happened as the file has it.
    pub fn at(&self, event: Event) -> UtcMs {
        match event {
            Event::Restock(ix) => self.restocks[ix].at,
            Event::Order(ix) => self.orders[ix].at,
            Event::Back(ix) => self.backs[ix].at,
        }
    }
}
