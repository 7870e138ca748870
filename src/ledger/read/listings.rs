//! Listings, what was pushed to them and what is missing from them.

use rusqlite::params;
use serde::Serialize;

use crate::{
    domain::{ChannelId, Units, UtcMs},
    ledger::{ListingState, PlaceId, Reader, Result},
};

/// A listing and its places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListingRow {
    /// Its row.
    #[serde(skip)]
    pub row: i64,
    /// The channel.
    pub channel: ChannelId,
    /// The channel's id of it.
    pub listing: String,
    /// The SKU it carries there.
    pub channel_sku: String,
    /// Its title.
    pub title: String,
    /// Whether it is kept in step.
    pub state: ListingState,
    /// Where the channel keeps its numbers.
    #[serde(skip)]
    pub places: Vec<PlaceId>,
}

/// A number that was sent, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushRow {
    /// Its version; they rise at each place.
    pub version: i64,
    /// The number.
    pub value: Units,
    /// What the place had to show for it, where that was asked for.
    pub change_from: Option<Units>,
    /// What became of it, such as `applied`.
    pub state: String,
    /// What was said of it.
    pub detail: Option<String>,
    /// When it was recorded, right before it was sent.
    pub prepared_at: UtcMs,
    /// When its request ended.
    pub settled_at: Option<UtcMs>,
    /// The last movement it knew of.
    pub ledger_seq: i64,
}

/// Units of a SKU that a channel shows as gone and no order explains yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShadowRow {
    /// The channel.
    pub channel: ChannelId,
    /// The SKU of the listing there.
    pub channel_sku: String,
    /// Units of the SKU.
    pub units: Units,
    /// When they were seen to be gone, by the channel's clock.
    pub read_at: UtcMs,
    /// When they are given up on.
    pub lapses_at: UtcMs,
}

impl Reader {
    /// Every listing that carries this SKU on its channel or is made of it, in whatever state, by channel.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError`].
    pub fn listings_of(&self, sku: &str) -> Result<Vec<ListingRow>> {
        let rows: Vec<(i64, String, String, String, String, String)> = self.all(
            "SELECT id, channel, listing_id, coalesce(channel_sku, ''), title, state FROM listing WHERE id IN \
             (SELECT listing FROM listing_component WHERE sku = ?1 UNION SELECT id FROM listing WHERE channel_sku = ?1) \
             ORDER BY channel, channel_sku, id",
            [sku],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
        )?;
        rows.into_iter()
            .map(|(row, channel, listing, channel_sku, title, state)| {
                let places =
                    self.all("SELECT id FROM listing_stock WHERE listing = ?1 ORDER BY id", [row], |r| {
                        r.get(0)
                    })?;
                Ok(ListingRow {
                    row,
                    channel: ChannelId::new(channel),
                    listing,
                    channel_sku,
                    title,
                    state: ListingState::of(&state)?,
                    places,
                })
            })
            .collect()
    }

    /// The last `limit` pushes to a place, latest first.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn last_pushes(&self, place: PlaceId, limit: i64) -> Result<Vec<PushRow>> {
        self.all(
            "SELECT p.version, p.value, p.change_from, p.state, p.detail, r.prepared_at, r.settled_at, p.ledger_seq \
             FROM push p JOIN request r ON r.id = p.request WHERE p.place = ?1 ORDER BY p.version DESC LIMIT ?2",
            params![place.0, limit],
            |row| {
                Ok(PushRow {
                    version: row.get(0)?,
                    value: row.get(1)?,
                    change_from: row.get(2)?,
                    state: row.get(3)?,
                    detail: row.get(4)?,
                    prepared_at: row.get(5)?,
                    settled_at: row.get(6)?,
                    ledger_seq: row.get(7)?,
                })
            },
        )
    }

    /// The shadows held for a SKU, by channel and the time they were read.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn shadows_of(&self, sku: &str) -> Result<Vec<ShadowRow>> {
        self.all(
            "SELECT l.channel, coalesce(l.channel_sku, ''), h.units * c.units, h.read_at, h.lapses_at \
             FROM listing_component c JOIN listing l ON l.id = c.listing JOIN listing_stock s ON s.listing = l.id \
             JOIN shadow h ON h.place = s.id WHERE c.sku = ?1 ORDER BY l.channel, h.read_at, h.id",
            [sku],
            |row| {
                Ok(ShadowRow {
                    channel: ChannelId::new(row.get::<_, String>(0)?),
                    channel_sku: row.get(1)?,
                    units: row.get(2)?,
                    read_at: row.get(3)?,
                    lapses_at: row.get(4)?,
                })
            },
        )
    }
}
