//! Orders that can't be filled.

use serde::Serialize;

use crate::{
    domain::{Units, UtcMs},
    ledger::{Reader, Result},
};

/// A SKU of which more is ordered than held, over all locations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Oversold {
    /// The SKU.
    pub sku: String,
    /// Units held.
    pub on_hand: Units,
    /// Units ordered and not shipped.
    pub committed: Units,
    /// `on_hand - committed`, below 0.
    pub available: Units,
    /// The latest open order lines that make up the shortage, latest first. Fewer than the shortage where units have
    /// left the shelf by other ways.
    pub lines: Vec<OpenLine>,
}

/// An order line with units ordered and not shipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenLine {
    /// The channel.
    pub channel: String,
    /// The order's number as the seller sees it.
    pub order: String,
    /// When it was placed.
    pub created_at: UtcMs,
    /// Units of the SKU that the line waits for.
    pub open: Units,
    /// How many of them can't be filled.
    pub short: Units,
}

impl Reader {
    /// Every oversold SKU, by SKU.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn oversold(&self) -> Result<Vec<Oversold>> {
        let mut found = self.all(
            "SELECT sku, sum(on_hand), sum(committed) FROM stock \
             WHERE sku IN (SELECT sku FROM stock WHERE on_hand < committed) \
             GROUP BY sku HAVING sum(on_hand) < sum(committed) ORDER BY sku",
            [],
            |row| {
                let (on_hand, committed): (Units, Units) = (row.get(1)?, row.get(2)?);
                let available = on_hand - committed;
                Ok(Oversold { sku: row.get(0)?, on_hand, committed, available, lines: Vec::new() })
            },
        )?;
        for oversold in &mut found {
            oversold.lines = self.short_lines(&oversold.sku, -oversold.available)?;
        }
        Ok(found)
    }

    fn short_lines(&self, sku: &str, shortage: Units) -> Result<Vec<OpenLine>> {
        let mut statement = self.prepare(
            "SELECT l.channel, h.number, h.created_at, p.applied_committed FROM order_line_part p \
             JOIN order_line l ON l.id = p.line \
             JOIN order_head h ON h.channel = l.channel AND h.order_id = l.order_id \
             WHERE p.sku = ?1 AND p.applied_committed <> 0 ORDER BY h.created_at DESC, l.id DESC",
        )?;
        let mut rows = statement.query([sku])?;
        let (mut lines, mut left) = (Vec::new(), shortage);
        while left > Units::ZERO
            && let Some(row) = rows.next()?
        {
            let open: Units = row.get(3)?;
            let short = open.min(left);
            lines.push(OpenLine {
                channel: row.get(0)?,
                order: row.get(1)?,
                created_at: row.get(2)?,
                open,
                short,
            });
            left -= short;
        }
        Ok(lines)
    }
}
