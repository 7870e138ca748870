//! How far the channels have been read again since an older ledger was put back (fault P12).

use serde::Serialize;

use super::{Ledger, Reader, Result};
use crate::domain::{ChannelId, UtcMs};

/// An older ledger was put back, and not every channel has been read again since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// When that was noticed.
    pub at: UtcMs,
    /// How far the ledger was behind.
    pub detail: String,
    /// The channels of which something has been read.
    pub channels: Vec<ReadAgain>,
}

/// How far a channel has been read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadAgain {
    /// The channel.
    pub channel: ChannelId,
    /// Since when its numbers are known.
    pub scanned_at: UtcMs,
    /// Since when its orders of the whole history are known, that what its numbers showed then had made.
    pub swept_at: Option<UtcMs>,
}

impl Restored {
    /// What is known of a channel.
    pub fn of(&self, channel: &ChannelId) -> Option<&ReadAgain> {
        self.channels.iter().find(|it| it.channel == *channel)
    }
}

impl Reader {
    /// Whether whatever raises is held because an older ledger was put back.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn restored(&self) -> Result<Option<Restored>> {
        let Some((at, detail)) =
            self.maybe("SELECT at, detail FROM restored", [], |row| Ok((row.get(0)?, row.get(1)?)))?
        else {
            return Ok(None);
        };
        let channels = self.all(
            "SELECT channel, scanned_at, swept_at FROM restored_channel ORDER BY channel",
            [],
            |row| {
                let channel = ChannelId::new(row.get::<_, String>(0)?);
                Ok(ReadAgain { channel, scanned_at: row.get(1)?, swept_at: row.get(2)? })
            },
        )?;
        Ok(Some(Restored { at, detail, channels }))
    }
}

impl Ledger {
    /// A channel's numbers have been read again.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn scanned_again(&self, channel: &ChannelId, at: UtcMs) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO restored_channel (channel, scanned_at) VALUES (?1, ?2)";
        self.run(sql, &[&channel.as_str(), &at])?;
        Ok(())
    }

    /// A channel's orders have been read again, after its numbers.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn swept_again(&self, channel: &ChannelId, at: UtcMs) -> Result<()> {
        self.run("UPDATE restored_channel SET swept_at = ?2 WHERE channel = ?1", &[&channel.as_str(), &at])?;
        Ok(())
    }

    /// Every channel has been read again.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn end_restored(&self) -> Result<()> {
        self.run("DELETE FROM restored", &[])?;
        self.run("DELETE FROM restored_channel", &[])?;
        Ok(())
    }
}
