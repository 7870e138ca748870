//! What happened to a SKU.

use rusqlite::params;
use serde::Serialize;

use crate::{
    domain::{Units, UtcMs},
    ledger::{Reader, Result},
};

/// One movement of a SKU, with the balance it left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryRow {
    /// The movement's number.
    pub id: i64,
    /// When it was recorded.
    pub at: UtcMs,
    /// When it happened.
    pub effective_at: UtcMs,
    /// Where.
    pub location: String,
    /// Its kind, such as `order` or `count`.
    pub kind: String,
    /// Change of on hand.
    pub on_hand_delta: Units,
    /// Change of committed.
    pub committed_delta: Units,
    /// On hand afterwards, all locations.
    pub on_hand: Units,
    /// Committed afterwards, all locations.
    pub committed: Units,
    /// The channel whose order moved it.
    pub channel: Option<String>,
    /// That order's number.
    pub order: Option<String>,
    /// What a person gave as reason.
    pub reason: Option<String>,
}

impl Reader {
    /// The last `limit` movements of a SKU, oldest first.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn history(&self, sku: &str, limit: i64) -> Result<Vec<HistoryRow>> {
        let mut rows = self.all(
            "SELECT m.id, m.at, m.effective_at, m.location, m.kind, m.on_hand_delta, m.committed_delta, \
             sum(m.on_hand_delta) OVER (ORDER BY m.id), sum(m.committed_delta) OVER (ORDER BY m.id), m.channel, \
             coalesce(h.number, m.order_ref), m.reason FROM movement m \
             LEFT JOIN order_head h ON h.channel = m.channel AND h.order_id = m.order_ref \
             WHERE m.sku = ?1 ORDER BY m.id DESC LIMIT ?2",
            params![sku, limit],
            |row| {
                Ok(HistoryRow {
                    id: row.get(0)?,
                    at: row.get(1)?,
                    effective_at: row.get(2)?,
                    location: row.get(3)?,
                    kind: row.get(4)?,
                    on_hand_delta: row.get(5)?,
                    committed_delta: row.get(6)?,
                    on_hand: row.get(7)?,
                    committed: row.get(8)?,
                    channel: row.get(9)?,
                    order: row.get(10)?,
                    reason: row.get(11)?,
                })
            },
        )?;
        rows.reverse();
        Ok(rows)
    }

    /// How many movements a SKU has.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn history_length(&self, sku: &str) -> Result<i64> {
        self.one("SELECT count(*) FROM movement WHERE sku = ?1", [sku], |row| row.get(0))
    }
}
