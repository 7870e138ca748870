//! Places: what each is believed to show, what it was seen to show, and what neither explains (CORRECTNESS.md rule 5).

use rusqlite::{params, types::FromSql};
use serde::{Deserialize, Serialize};

use super::{ListingState, Reader, Result};
use crate::domain::{ChannelId, ChannelLocation, ListingId, LocationId, Place, Sku, Units, UtcMs};

/// A place's row in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PlaceId(pub i64);

impl FromSql for PlaceId {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

/// A place with its listing.
#[derive(Clone, Debug)]
pub struct PlaceRow {
    /// Its row.
    pub id: PlaceId,
    /// Its listing's row.
    pub listing: i64,
    /// The channel.
    pub channel: ChannelId,
    /// How the channel names it.
    pub place: Place,
    /// The SKU on the channel; empty where it has none.
    pub channel_sku: String,
    /// See [`crate::domain::ListingReading::group`].
    pub group: String,
    /// Whether its listing is kept in step.
    pub state: ListingState,
    /// The most it can be showing; `None` before the first read.
    pub expected: Option<Units>,
    /// By how much it may show less, through sales that are already in the ledger.
    pub slack: Units,
    /// By how much it may show less, through sales that the last read may or may not have shown.
    pub unplaced: Units,
    /// Sales that explain an older shadow if the next read shows the number unchanged.
    pub undecided: Units,
    /// What it said last.
    pub observed: Option<Units>,
    /// When it said so, by the channel's clock.
    pub observed_at: Option<UtcMs>,
    /// When the last write had landed for certain, by the channel's clock.
    pub landed_to: UtcMs,
    /// The last version pushed.
    pub version: i64,
    /// The unresolved write.
    pub request: Option<i64>,
    /// Whether only a read can tell what it shows.
    pub needs_read: bool,
    /// Whether an order, or units seen to be gone, explain that it is to change.
    pub explained: bool,
}

/// Stock of one component of a listing, over the locations that a place draws on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentStock {
    /// The SKU.
    pub sku: Sku,
    /// Units per piece.
    pub units: Units,
    /// Units held.
    pub on_hand: Units,
    /// Units ordered and not shipped.
    pub committed: Units,
    /// Units that quantity reads show as gone though no order explains them yet, on all channels.
    pub shadow: Units,
}

impl ComponentStock {
    /// `on_hand - committed - shadow`; may be negative.
    pub fn available(&self) -> Units {
        self.on_hand - self.committed - self.shadow
    }
}

const PLACE_COLUMNS: &str = "s.id, s.listing, l.channel, l.listing_id, s.channel_location, coalesce(l.channel_sku, ''), \
     l.batch_group, CASE WHEN s.pending THEN 'pending' ELSE l.state END, s.expected, s.slack, s.observed, s.observed_at, s.landed_to, s.version, s.request, s.needs_read, s.unplaced, \
     s.undecided, s.explained";

fn place_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(PlaceRow, String)> {
    let text = |at: usize| row.get::<_, String>(at);
    let place = PlaceRow {
        id: row.get(0)?,
        listing: row.get(1)?,
        channel: ChannelId::new(text(2)?),
        place: Place { listing: ListingId::new(text(3)?), location: ChannelLocation::new(text(4)?) },
        channel_sku: text(5)?,
        group: text(6)?,
        state: ListingState::Pending,
        expected: row.get(8)?,
        slack: row.get(9)?,
        observed: row.get(10)?,
        observed_at: row.get(11)?,
        landed_to: row.get(12)?,
        version: row.get(13)?,
        request: row.get(14)?,
        needs_read: row.get(15)?,
        unplaced: row.get(16)?,
        undecided: row.get(17)?,
        explained: row.get(18)?,
    };
    Ok((place, text(7)?))
}

fn with_state((mut place, state): (PlaceRow, String)) -> Result<PlaceRow> {
    place.state = ListingState::of(&state)?;
    Ok(place)
}

impl Reader {
    /// One place; `None` where there is no such row.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn place(&self, id: PlaceId) -> Result<Option<PlaceRow>> {
        let sql = format!(
            "SELECT {PLACE_COLUMNS} FROM listing_stock s JOIN listing l ON l.id = s.listing WHERE s.id = ?1"
        );
        self.maybe(&sql, [id.0], place_row)?.map(with_state).transpose()
    }

    /// The row of a place by the channel's own ids.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn place_id(&self, channel: &ChannelId, place: &Place) -> Result<Option<PlaceId>> {
        self.maybe(
            "SELECT s.id FROM listing l JOIN listing_stock s ON s.listing = l.id \
             WHERE l.channel = ?1 AND l.listing_id = ?2 AND s.channel_location = ?3",
            [channel.as_str(), place.listing.as_str(), place.location.as_str()],
            |row| row.get(0),
        )
    }

    /// The stock of a listing's components at `locations` (everywhere if empty), by SKU.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn component_stock(&self, listing: i64, locations: &[LocationId]) -> Result<Vec<ComponentStock>> {
        let names: Vec<&str> = locations.iter().map(LocationId::as_str).collect();
        let filter = (!names.is_empty()).then(|| serde_json::json!(names).to_string());
        let rows: Vec<(String, Units, Units, Units, Units)> = self.all(
            "SELECT c.sku, c.units, coalesce(sum(t.on_hand), 0), coalesce(sum(t.committed), 0), \
               CASE WHEN EXISTS (SELECT 1 FROM shadow) THEN \
                 (SELECT coalesce(sum(h.units * o.units), 0) FROM listing_component o \
                    JOIN listing_stock p ON p.listing = o.listing JOIN shadow h ON h.place = p.id WHERE o.sku = c.sku) \
               ELSE 0 END \
             FROM listing_component c LEFT JOIN stock t ON t.sku = c.sku \
               AND (?2 IS NULL OR t.location IN (SELECT value FROM json_each(?2))) \
             WHERE c.listing = ?1 GROUP BY c.sku ORDER BY c.sku",
            params![listing, filter],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )?;
        rows.into_iter()
            .map(|(sku, units, on_hand, committed, shadow)| {
                let sku = Sku::new(&sku).map_err(|e| super::LedgerError::Content(e.to_string()))?;
                Ok(ComponentStock { sku, units, on_hand, committed, shadow })
            })
            .collect()
    }

    /// Every place of a managed listing that is made of this SKU, on all channels.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn places_of_sku(&self, sku: &Sku) -> Result<Vec<(ChannelId, PlaceId)>> {
        self.all(
            "SELECT l.channel, s.id FROM listing_component c JOIN listing l ON l.id = c.listing \
             JOIN listing_stock s ON s.listing = l.id WHERE c.sku = ?1 AND l.state = 'managed'",
            [sku.as_str()],
            |row| Ok((ChannelId::new(row.get::<_, String>(0)?), row.get(1)?)),
        )
    }

    /// Every place of a channel's managed listings.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn managed_places(&self, channel: &ChannelId) -> Result<Vec<PlaceId>> {
        self.all(
            "SELECT s.id FROM listing l JOIN listing_stock s ON s.listing = l.id \
             WHERE l.channel = ?1 AND l.state = 'managed' ORDER BY s.id",
            [channel.as_str()],
            |row| row.get(0),
        )
    }

    /// Units that the place was seen to miss since its last landing and that no order explains yet.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn open_shadow(&self, place: PlaceId) -> Result<Units> {
        self.one(
            "SELECT coalesce(sum(units), 0) FROM shadow WHERE place = ?1 AND open = 1",
            [place.0],
            |row| row.get(0),
        )
    }
}
