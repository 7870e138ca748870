//! Sums over the whole ledger, to compare it with what others know.

use std::collections::BTreeMap;

use super::{Reader, Result};
use crate::domain::{ChannelId, OrderId, Units};

/// One order as the ledger holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderTotals {
    /// Units ordered, all lines.
    pub ordered: Units,
    /// Lines that moved no stock: quarantined or dropped.
    pub unbooked_lines: i64,
}

impl Reader {
    /// Every order.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn order_totals(&self) -> Result<BTreeMap<(ChannelId, OrderId), OrderTotals>> {
        let rows = self.all(
            "SELECT h.channel, h.order_id, coalesce(sum(l.ordered), 0), \
             count(l.id) FILTER (WHERE l.state <> 'applied') \
             FROM order_head h LEFT JOIN order_line l USING (channel, order_id) GROUP BY 1, 2",
            [],
            |row| {
                let key = (ChannelId::new(row.get::<_, String>(0)?), OrderId::new(row.get::<_, String>(1)?));
                Ok((key, OrderTotals { ordered: row.get(2)?, unbooked_lines: row.get(3)? }))
            },
        )?;
        Ok(rows.into_iter().collect())
    }

    /// On hand less committed over all locations, by SKU.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn available_by_sku(&self) -> Result<BTreeMap<String, Units>> {
        let sql = "SELECT sku, sum(on_hand - committed) FROM stock GROUP BY sku";
        Ok(self.all(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?.into_iter().collect())
    }

    /// Pushes of which nobody knows whether they took effect.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn unknown_pushes(&self) -> Result<i64> {
        self.one("SELECT count(*) FROM push WHERE state = 'unknown'", [], |row| row.get(0))
    }
}
