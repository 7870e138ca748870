//! How late sales become known and pushes land, as measured last.

use rusqlite::params;
use serde::Serialize;

use super::{Ledger, Reader, Result};
use crate::domain::{ChannelId, UtcMs};

/// What was measured on a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DelayRow {
    /// When this was recorded.
    pub at: UtcMs,
    /// From a sale to its order being read, half of all, in milliseconds.
    pub known_p50_ms: i64,
    /// The same, 99 of a hundred.
    pub known_p99_ms: i64,
    /// From a decrease being wanted to its answer, half of all, in milliseconds; `None` before enough were measured.
    pub landed_p50_ms: Option<i64>,
    /// The same, 99 of a hundred.
    pub landed_p99_ms: Option<i64>,
}

impl Ledger {
    /// Records what was measured on a channel.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn note_delay(&self, channel: &ChannelId, row: &DelayRow) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO delay (channel, at, known_p50, known_p99, landed_p50, landed_p99) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            &[
                &channel.as_str(),
                &row.at,
                &row.known_p50_ms,
                &row.known_p99_ms,
                &row.landed_p50_ms,
                &row.landed_p99_ms,
            ],
        )?;
        Ok(())
    }
}

impl Reader {
    /// What was measured on a channel last; `None` before enough was.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn delay(&self, channel: &ChannelId) -> Result<Option<DelayRow>> {
        self.maybe(
            "SELECT at, known_p50, known_p99, landed_p50, landed_p99 FROM delay WHERE channel = ?1",
            params![channel.as_str()],
            |row| {
                Ok(DelayRow {
                    at: row.get(0)?,
                    known_p50_ms: row.get(1)?,
                    known_p99_ms: row.get(2)?,
                    landed_p50_ms: row.get(3)?,
                    landed_p99_ms: row.get(4)?,
                })
            },
        )
    }
}
