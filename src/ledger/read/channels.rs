//! How channels do, and what waits for a person.

use rusqlite::params;
use serde::Serialize;

use crate::{
    domain::{ChannelId, LineNet, UtcMs},
    ledger::{Reader, Result},
};

/// What is known of a channel since first contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelRow {
    /// Its kind.
    pub kind: String,
    /// The account that was pinned.
    pub account: String,
    /// Its name.
    pub account_name: String,
    /// When it was first reached.
    pub first_contact: UtcMs,
    /// When its catalogue was last read completely.
    pub scanned_at: Option<UtcMs>,
    /// When its orders were last read to the end, be it that there were none; noted every ten minutes.
    pub orders_read_at: Option<UtcMs>,
    /// Since when its orders can't be read, if that is so.
    pub blind_since: Option<UtcMs>,
}

/// Writes without an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OpenWrites {
    /// Requests prepared or of unknown outcome.
    pub requests: i64,
    /// Numbers among them whose outcome nobody knows.
    pub unknown: i64,
}

/// How much is in the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// SKUs.
    pub skus: i64,
    /// Movements.
    pub movements: i64,
    /// Orders.
    pub orders: i64,
    /// Order lines.
    pub order_lines: i64,
    /// Order lines in quarantine.
    pub quarantined: i64,
}

/// An order line that could not be booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// The entry's number, for `stockd quarantine resolve`.
    pub id: i64,
    /// When it was noticed.
    pub at: UtcMs,
    /// The channel.
    pub channel: String,
    /// The order's number.
    pub order: String,
    /// The line's id.
    pub line: String,
    /// The SKU it carries, if any.
    pub channel_sku: Option<String>,
    /// What has happened to it.
    pub net: LineNet,
    /// Why it could not be booked.
    pub reason: String,
}

/// Something that was worth a person's attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IncidentRow {
    /// When.
    pub at: UtcMs,
    /// A stable name, such as `drift`.
    pub kind: String,
    /// The channel.
    pub channel: Option<String>,
    /// The SKU.
    pub sku: Option<String>,
    /// What happened.
    pub detail: String,
}

impl Reader {
    /// What is known of a channel; `None` before first contact.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn channel(&self, channel: &ChannelId) -> Result<Option<ChannelRow>> {
        self.maybe(
            "SELECT kind, account, account_name, first_contact, scanned_at, orders_read_at, blind_since \
             FROM channel WHERE id = ?1",
            [channel.as_str()],
            |row| {
                Ok(ChannelRow {
                    kind: row.get(0)?,
                    account: row.get(1)?,
                    account_name: row.get(2)?,
                    first_contact: row.get(3)?,
                    scanned_at: row.get(4)?,
                    orders_read_at: row.get(5)?,
                    blind_since: row.get(6)?,
                })
            },
        )
    }

    /// The writes of a channel that have no end yet.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn open_writes(&self, channel: &ChannelId) -> Result<OpenWrites> {
        self.one(
            "SELECT count(DISTINCT r.id), count(p.id) FROM request r \
             LEFT JOIN push p ON p.request = r.id AND p.state = 'unknown' WHERE r.channel = ?1 AND r.state <> 'settled'",
            [channel.as_str()],
            |row| Ok(OpenWrites { requests: row.get(0)?, unknown: row.get(1)? }),
        )
    }

    /// Orders of a channel in the ledger, and when the latest of them was placed.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn orders_of(&self, channel: &ChannelId) -> Result<(i64, Option<UtcMs>)> {
        self.one(
            "SELECT count(*), max(created_at) FROM order_head WHERE channel = ?1",
            [channel.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// How much is in the ledger.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn totals(&self) -> Result<Totals> {
        self.one(
            "SELECT (SELECT count(DISTINCT sku) FROM stock), (SELECT count(*) FROM movement), \
             (SELECT count(*) FROM order_head), (SELECT count(*) FROM order_line), (SELECT count(*) FROM quarantine)",
            [],
            |row| {
                Ok(Totals {
                    skus: row.get(0)?,
                    movements: row.get(1)?,
                    orders: row.get(2)?,
                    order_lines: row.get(3)?,
                    quarantined: row.get(4)?,
                })
            },
        )
    }

    /// Order lines that could not be booked, oldest first.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn quarantined(&self) -> Result<Vec<Quarantined>> {
        self.all(
            "SELECT q.id, q.at, l.channel, h.number, l.line_id, l.channel_sku, l.ordered, l.cancelled, l.shipped, \
             l.restocked, q.reason FROM quarantine q JOIN order_line l ON l.id = q.line \
             JOIN order_head h ON h.channel = l.channel AND h.order_id = l.order_id ORDER BY q.id",
            [],
            |row| {
                Ok(Quarantined {
                    id: row.get(0)?,
                    at: row.get(1)?,
                    channel: row.get(2)?,
                    order: row.get(3)?,
                    line: row.get(4)?,
                    channel_sku: row.get(5)?,
                    net: LineNet {
                        ordered: row.get(6)?,
                        cancelled: row.get(7)?,
                        shipped: row.get(8)?,
                        restocked: row.get(9)?,
                    },
                    reason: row.get(10)?,
                })
            },
        )
    }

    /// How often each kind of incident was noted on a channel since `since`, by kind.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn incident_counts(&self, channel: &ChannelId, since: UtcMs) -> Result<Vec<(String, i64)>> {
        self.all(
            "SELECT kind, count(*) FROM incident WHERE channel = ?1 AND at >= ?2 GROUP BY kind ORDER BY kind",
            params![channel.as_str(), since],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// The last `limit` incidents of a SKU, by the name it has on its channel, latest first.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn incidents_of(
        &self,
        channel: &ChannelId,
        channel_sku: &str,
        limit: i64,
    ) -> Result<Vec<IncidentRow>> {
        self.all(
            "SELECT at, kind, channel, sku, detail FROM incident WHERE channel = ?1 AND sku = ?2 \
             ORDER BY id DESC LIMIT ?3",
            params![channel.as_str(), channel_sku, limit],
            |row| {
                Ok(IncidentRow {
                    at: row.get(0)?,
                    kind: row.get(1)?,
                    channel: row.get(2)?,
                    sku: row.get(3)?,
                    detail: row.get(4)?,
                })
            },
        )
    }
}
