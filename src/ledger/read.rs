//! What people read: pauses, brakes, stock, history, oversells, how each channel does.

mod channels;
mod history;
mod listings;
mod oversold;
mod stock;

use serde::Serialize;

pub use channels::{ChannelRow, IncidentRow, OpenWrites, Quarantined, Totals};
pub use history::HistoryRow;
pub use listings::{ListingRow, PushRow, ShadowRow};
pub use oversold::{OpenLine, Oversold};
pub use stock::StockRow;

use super::{Reader, Result};
use crate::domain::{ChannelId, UtcMs};

/// A pause in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// The channel.
    pub channel: ChannelId,
    /// Only this SKU; empty: the whole channel.
    pub sku: String,
    /// Whether 0 is shown meanwhile.
    pub zero: bool,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: UtcMs,
}

/// A brake, engaged or released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Brake {
    /// The channel.
    pub channel: ChannelId,
    /// Whether it holds pushes; else a person has released it for those it held.
    pub engaged: bool,
    /// Since when.
    pub at: UtcMs,
    /// How many pushes it held when it engaged.
    pub held: i64,
    /// Why.
    pub reason: String,
}

impl Reader {
    /// Every pause in force.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn pauses(&self) -> Result<Vec<Pause>> {
        self.all("SELECT channel, sku, zero, reason, at FROM pause ORDER BY channel, sku", [], |row| {
            Ok(Pause {
                channel: ChannelId::new(row.get::<_, String>(0)?),
                sku: row.get(1)?,
                zero: row.get(2)?,
                reason: row.get(3)?,
                at: row.get(4)?,
            })
        })
    }

    /// Every brake, engaged or released.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn brakes(&self) -> Result<Vec<Brake>> {
        self.all("SELECT channel, state, at, held, reason FROM brake ORDER BY channel", [], |row| {
            Ok(Brake {
                channel: ChannelId::new(row.get::<_, String>(0)?),
                engaged: row.get::<_, String>(1)? == "engaged",
                at: row.get(2)?,
                held: row.get(3)?,
                reason: row.get(4)?,
            })
        })
    }
}
