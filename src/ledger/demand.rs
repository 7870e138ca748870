//! What has been sold, fading, and the buffers that follow from it.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Ledger, LedgerError, PlaceId, Reader, Result};
use crate::domain::{
    ChannelId, Sku, Units, UtcMs,
    demand::{Demand, Figures, Tally},
};

/// How far back the orders in the ledger are taken in when a buffer is first to follow demand.
const HISTORY_DAYS: i64 = 90;
/// The key in `meta` while demand is kept.
const KEPT: &str = "demand_kept";
/// The name under which all that a channel sells is added up.
const ALL: &str = "";

/// A buffer that follows demand, as it is held at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldBuffer {
    /// Units held back.
    pub units: Units,
    /// What they were worked out from.
    pub figures: Figures,
}

impl Ledger {
    /// Starts to keep demand, from the orders of the last 90 days on, or stops and forgets it. Nothing changes where it
    /// is so already.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn keep_demand(&self, now: UtcMs, wanted: bool) -> Result<()> {
        let kept = self.maybe("SELECT 1 FROM meta WHERE key = ?1", [KEPT], |_| Ok(()))?.is_some();
        if kept == wanted {
            return Ok(());
        }
        self.run("DELETE FROM held_buffer", &[])?;
        self.run("DELETE FROM demand", &[])?;
        if !wanted {
            self.run("DELETE FROM meta WHERE key = ?1", &[&KEPT])?;
            return Ok(());
        }
        self.run("INSERT INTO meta (key, value) VALUES (?1, ?2)", &[&KEPT, &now.rfc3339()])?;
        let sold: Vec<(String, String, Units, UtcMs)> = self.all(
            "SELECT l.channel, p.sku, p.units * l.ordered, h.created_at FROM order_head h \
             JOIN order_line l ON l.channel = h.channel AND l.order_id = h.order_id \
             JOIN order_line_part p ON p.line = l.id WHERE h.created_at >= ?1 AND l.ordered > 0",
            [now.plus_ms(-HISTORY_DAYS * 86_400_000)],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        let mut tallies: BTreeMap<(&str, &str), Tally> = BTreeMap::new();
        for (channel, sku, units, at) in &sold {
            let line = Tally::of_line(*units, (*at).min(now));
            for sku in [sku.as_str(), ALL] {
                tallies.entry((channel, sku)).and_modify(|tally| *tally = tally.plus(line)).or_insert(line);
            }
        }
        tallies.into_iter().try_for_each(|((channel, sku), tally)| self.add_demand(channel, sku, tally))
    }

    /// Counts a line sold.
    pub(super) fn note_demand(&self, channel: &ChannelId, sku: &Sku, units: Units, at: UtcMs) -> Result<()> {
        let line = Tally::of_line(units, at);
        self.add_demand(channel.as_str(), sku.as_str(), line)?;
        self.add_demand(channel.as_str(), ALL, line)
    }

    fn add_demand(&self, channel: &str, sku: &str, tally: Tally) -> Result<()> {
        self.run(
            "INSERT INTO demand (channel, sku, lines, units, squares, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT DO UPDATE SET lines = lines + ?3, units = units + ?4, squares = squares + ?5, \
             since = min(since, ?6)",
            &[&channel, &sku, &tally.lines, &tally.units, &tally.squares, &tally.since],
        )?;
        Ok(())
    }

    /// Holds so many units back at a place from now on.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn hold_buffer(&self, place: PlaceId, held: &HeldBuffer) -> Result<()> {
        let figures =
            serde_json::to_string(&held.figures).map_err(|e| LedgerError::Content(e.to_string()))?;
        self.run(
            "INSERT INTO held_buffer (place, units, figures) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET units = ?2, figures = ?3",
            &[&place.0, &held.units, &figures],
        )?;
        Ok(())
    }
}

impl Reader {
    /// What the buffer that follows demand holds back at a place; `None` where it has not been worked out.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`], or [`LedgerError::Content`] for figures that can't be read back.
    pub fn held_buffer(&self, place: PlaceId) -> Result<Option<HeldBuffer>> {
        let row: Option<(Units, String)> =
            self.maybe("SELECT units, figures FROM held_buffer WHERE place = ?1", [place.0], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let Some((units, figures)) = row else { return Ok(None) };
        let figures = serde_json::from_str(&figures)
            .map_err(|e| LedgerError::Content(format!("buffer of place {}: {e}", place.0)))?;
        Ok(Some(HeldBuffer { units, figures }))
    }

    /// What has been sold of a SKU; `None` where nothing ever was.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn demand_of(&self, sku: &Sku) -> Result<Option<Demand>> {
        let by_channel = self.tallies(sku.as_str())?;
        if by_channel.is_empty() {
            return Ok(None);
        }
        let all = self.tallies(ALL)?;
        Ok(Demand::new(by_channel, all))
    }

    fn tallies(&self, sku: &str) -> Result<Vec<(ChannelId, Tally)>> {
        self.all(
            "SELECT channel, lines, units, squares, since FROM demand WHERE sku = ?1 ORDER BY channel",
            [sku],
            |row| {
                let tally = Tally {
                    lines: row.get(1)?,
                    units: row.get(2)?,
                    squares: row.get(3)?,
                    since: row.get(4)?,
                };
                Ok((ChannelId::new(row.get::<_, String>(0)?), tally))
            },
        )
    }

    /// The SKUs that a channel has sold while demand is kept, at most `most` of them, from behind `after` on.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn skus_sold_on(&self, channel: &ChannelId, after: &str, most: usize) -> Result<Vec<Sku>> {
        let skus: Vec<String> = self.all(
            "SELECT sku FROM demand WHERE channel = ?1 AND sku > ?2 ORDER BY sku LIMIT ?3",
            params![channel.as_str(), after, i64::try_from(most).unwrap_or(i64::MAX)],
            |row| row.get(0),
        )?;
        skus.iter().map(|sku| Sku::new(sku).map_err(|e| LedgerError::Content(e.to_string()))).collect()
    }
}
