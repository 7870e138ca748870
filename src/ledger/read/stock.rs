//! Stock as it stands.

use serde::Serialize;

use crate::{
    domain::{Units, UtcMs},
    ledger::{Reader, Result},
};

/// One SKU at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StockRow {
    /// The SKU.
    pub sku: String,
    /// Where.
    pub location: String,
    /// Units held.
    pub on_hand: Units,
    /// Units ordered and not shipped.
    pub committed: Units,
    /// `on_hand - committed`; negative for an oversell.
    pub available: Units,
    /// When it was last counted, if ever.
    pub counted_at: Option<UtcMs>,
    /// What was counted then: the quantity and its basis (`on_hand` or `available`).
    pub counted: Option<(Units, String)>,
}

const COLUMNS: &str = "SELECT t.sku, t.location, t.on_hand, t.committed, c.counted_at, c.quantity, c.basis FROM stock t \
     LEFT JOIN counted c ON c.sku = t.sku AND c.location = t.location";

fn stock_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<StockRow> {
    let (on_hand, committed): (Units, Units) = (row.get(2)?, row.get(3)?);
    let (quantity, basis): (Option<Units>, Option<String>) = (row.get(5)?, row.get(6)?);
    Ok(StockRow {
        sku: row.get(0)?,
        location: row.get(1)?,
        on_hand,
        committed,
        available: on_hand - committed,
        counted_at: row.get(4)?,
        counted: quantity.zip(basis),
    })
}

impl Reader {
    /// All stock, by SKU and location.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn stock(&self) -> Result<Vec<StockRow>> {
        self.all(&format!("{COLUMNS} ORDER BY t.sku, t.location"), [], stock_row)
    }

    /// The stock of one SKU, by location; empty where the ledger doesn't know it.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn stock_of(&self, sku: &str) -> Result<Vec<StockRow>> {
        self.all(&format!("{COLUMNS} WHERE t.sku = ?1 ORDER BY t.location"), [sku], stock_row)
    }
}
