//! Orders are state, movements are differences: a snapshot is compared with what was applied, and only the difference
//! moves stock (CORRECTNESS.md rule 1).

use std::collections::HashMap;

use rusqlite::params;

use super::{Ledger, Reader, Result, reread::next_reread};
use crate::domain::{
    ChannelId, ChannelLocation, ChannelSettings, Component, LineNet, LineSnapshot, OrderSnapshot, Settings,
    Sku, Units, UtcMs,
};

/// How a snapshot was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderRead {
    /// From a list of orders. Lists come from caches and replicas: of two snapshots with the same update time nobody
    /// knows which is the later one.
    Listed,
    /// By its id: what the order is now.
    ById,
}

/// What came of a snapshot.
#[derive(Debug, Default)]
pub struct Ingested {
    /// Whether it says other than a snapshot of the same update time: the order is to be read by id. What it takes
    /// from stock counts at once, what it gives back waits.
    pub doubted: bool,
    /// Whether it was news; an older or an equal snapshot changes nothing.
    pub fresh: bool,
    /// Whether the order was not in the ledger before.
    pub first_seen: bool,
    /// SKUs whose stock moved.
    pub skus: Vec<Sku>,
    /// How the channel's own numbers moved through this order.
    pub own: Vec<OwnSale>,
    /// Lines that could not be booked, each with the reason.
    pub quarantined: Vec<String>,
    /// Units newly ordered, all lines.
    pub sold: Units,
}

/// Units that a channel took off (or, negative, put back on) its own number for a line.
#[derive(Clone, Debug)]
pub struct OwnSale {
    /// The listing's row.
    pub listing: i64,
    /// Where, if the order says.
    pub location: Option<ChannelLocation>,
    /// How many.
    pub held: Units,
    /// When, by the channel's clock: the order's creation for a sale, its last change for a give-back.
    pub at: UtcMs,
}

struct LineRow {
    id: i64,
    net: LineNet,
    held: Units,
    largest: Units,
    state: String,
    location: Option<String>,
}

impl LineRow {
    /// Whether the line is now said to draw on another location of the channel than before.
    fn is_moved_by(&self, line: &LineSnapshot) -> bool {
        line.location.as_ref().is_some_and(|now| self.location.as_deref() != Some(now.as_str()))
    }
}

/// What a line needs to know of its order.
pub(super) struct Context<'a> {
    pub(super) at: UtcMs,
    pub(super) channel: &'a ChannelSettings,
    pub(super) settings: &'a Settings,
    pub(super) order: &'a OrderSnapshot,
    /// Whether its open units count as shipped, since its channel never says so.
    pub(super) assumed_shipped: bool,
}

impl Context<'_> {
    fn net(&self, line: &LineSnapshot) -> LineNet {
        let net = line.net.possible();
        if self.assumed_shipped { net.all_shipped() } else { net }
    }
}

impl Ledger {
    /// Brings the ledger to what the snapshot says. `digest` is any hash of the snapshot's content.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn ingest_order(
        &self,
        at: UtcMs,
        settings: &Settings,
        channel: &ChannelSettings,
        order: &OrderSnapshot,
        digest: i64,
        read: OrderRead,
    ) -> Result<Ingested> {
        let mut done = Ingested::default();
        let (channel_id, order_id) = (channel.id.as_str(), order.id.as_str());
        let known: Option<(UtcMs, i64, bool)> = self.maybe(
            "SELECT updated_at, content, assumed_shipped FROM order_head WHERE channel = ?1 AND order_id = ?2",
            [channel_id, order_id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let assumed_shipped = known.is_some_and(|(_, _, assumed)| assumed);
        if let Some((updated_at, had, _)) = known
            && (order.updated_at < updated_at || (order.updated_at == updated_at && had == digest))
        {
            return Ok(done);
        }
        let mut rows = self.lines_of(channel_id, order_id)?;
        let context = Context { at, channel, settings, order, assumed_shipped };
        if read == OrderRead::Listed && known.is_some_and(|(updated_at, ..)| updated_at == order.updated_at) {
            let (differs, gives_back) = difference(&context, &rows);
            done.doubted = differs;
            if gives_back {
                self.reread_at_once(channel_id, order_id)?;
                return Ok(done);
            }
        }
        done.fresh = true;
        done.first_seen = known.is_none();
        let open = order.lines.iter().any(|line| context.net(line).open() > Units::ZERO);
        let due = if done.doubted { UtcMs(0) } else { next_reread(at, &order.id) };
        self.run(
            "INSERT INTO order_head (channel, order_id, number, created_at, updated_at, content, reread_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET number = ?3, updated_at = ?5, content = ?6, \
             reread_at = ?7, missing = 0",
            &[
                &channel_id,
                &order_id,
                &order.number,
                &order.created_at,
                &order.updated_at,
                &digest,
                &(open || done.doubted).then_some(due),
            ],
        )?;
        for line in &order.lines {
            let row = rows.remove(line.id.as_str());
            self.ingest_line(&context, line, row.as_ref(), &mut done)?;
        }
        let mut gone: Vec<_> = rows.into_iter().collect();
        gone.sort_by(|a, b| a.0.cmp(&b.0));
        for (line_id, row) in gone {
            self.drop_line(&context, &line_id, &row, &mut done)?;
        }
        done.skus.sort();
        done.skus.dedup();
        Ok(done)
    }

    fn lines_of(&self, channel: &str, order: &str) -> Result<HashMap<String, LineRow>> {
        let rows = self.all(
            "SELECT line_id, id, ordered, cancelled, shipped, restocked, held, largest, state, channel_location \
             FROM order_line WHERE channel = ?1 AND order_id = ?2",
            [channel, order],
            |row| Ok((row.get(0)?, line_row(row, 1)?)),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// A line absent from a newer whole order is zero.
    fn drop_line(
        &self,
        context: &Context<'_>,
        line_id: &str,
        row: &LineRow,
        done: &mut Ingested,
    ) -> Result<()> {
        let (listing_id, channel_sku): (Option<String>, Option<String>) =
            self.one("SELECT listing_id, channel_sku FROM order_line WHERE id = ?1", [row.id], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })?;
        let line = LineSnapshot {
            id: crate::domain::LineId::new(line_id),
            listing: listing_id.map(crate::domain::ListingId::new),
            channel_sku,
            location: None,
            net: LineNet::default(),
            held: Units::ZERO,
        };
        self.ingest_line(context, &line, Some(row), done)
    }

    fn ingest_line(
        &self,
        context: &Context<'_>,
        line: &LineSnapshot,
        row: Option<&LineRow>,
        done: &mut Ingested,
    ) -> Result<()> {
        let net = context.net(line);
        let (old_net, old_held, largest) =
            row.map_or((LineNet::default(), Units::ZERO, Units::ZERO), |r| (r.net, r.held, r.largest));
        let moved = row.is_some_and(|r| r.is_moved_by(line));
        if row.is_some() && old_net == net && old_held == line.held && !moved {
            return Ok(());
        }
        let id = self.store_line(context, line, net, largest.max(net.ordered), row.map(|r| r.id))?;
        done.sold += (net.ordered - old_net.ordered).at_least_zero();
        self.note_own_sales(context, line, row, done)?;
        match row.map(|r| r.state.as_str()) {
            Some("applied") => {
                if moved {
                    self.relocate(context, line.location.as_ref(), id, done)?;
                }
                self.apply_difference(context, id, old_net, net, done)
            }
            None => self.apply_first(context, line, id, net, done),
            Some(_) => Ok(()),
        }
    }

    fn store_line(
        &self,
        context: &Context<'_>,
        line: &LineSnapshot,
        net: LineNet,
        largest: Units,
        id: Option<i64>,
    ) -> Result<i64> {
        if let Some(id) = id {
            self.run(
                "UPDATE order_line SET ordered = ?2, cancelled = ?3, shipped = ?4, restocked = ?5, held = ?6, \
                 largest = ?7, channel_location = coalesce(?8, channel_location) WHERE id = ?1",
                &[
                    &id,
                    &net.ordered,
                    &net.cancelled,
                    &net.shipped,
                    &net.restocked,
                    &line.held,
                    &largest,
                    &line.location.as_ref().map(ChannelLocation::as_str),
                ],
            )?;
            return Ok(id);
        }
        self.one(
            "INSERT INTO order_line (channel, order_id, line_id, listing_id, channel_sku, channel_location, ordered, \
             cancelled, shipped, restocked, held, largest, state) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 'applied') RETURNING id",
            params![
                context.channel.id.as_str(),
                context.order.id.as_str(),
                line.id.as_str(),
                line.listing.as_ref().map(crate::domain::ListingId::as_str),
                line.channel_sku,
                line.location.as_ref().map(ChannelLocation::as_str),
                net.ordered,
                net.cancelled,
                net.shipped,
                net.restocked,
                line.held,
                largest,
            ],
            |row| row.get(0),
        )
    }

    /// What the channel took off its own number for the line and what it put back since the last snapshot. Both may have
    /// happened in between: a write of ours may have landed after the one and before the other.
    fn note_own_sales(
        &self,
        context: &Context<'_>,
        line: &LineSnapshot,
        old: Option<&LineRow>,
        done: &mut Ingested,
    ) -> Result<()> {
        let (old_net, old_held) = old.map_or_else(Default::default, |old| (old.net, old.held));
        let updated = context.order.updated_at;
        if let Some(old) = old.filter(|old| old.is_moved_by(line)) {
            let from = old.location.as_ref().map(ChannelLocation::new);
            for (location, held) in [(from, -old.held), (line.location.clone(), line.held)] {
                if let (Some(listing), true) = (self.listing_of(context, line)?, held != Units::ZERO) {
                    done.own.push(OwnSale { listing, location, held, at: updated });
                }
            }
            return Ok(());
        }
        let held = line.held - old_held;
        let sold = (line.net.possible().ordered - old_net.ordered).max(held).at_least_zero();
        let given_back = sold - held;
        if sold == Units::ZERO && given_back == Units::ZERO {
            return Ok(());
        }
        let Some(listing) = self.listing_of(context, line)? else { return Ok(()) };
        let sold_at = if old.is_none() { context.order.created_at } else { updated };
        for (held, at) in [(sold, sold_at), (-given_back, updated)] {
            if held != Units::ZERO {
                done.own.push(OwnSale { listing, location: line.location.clone(), held, at });
            }
        }
        Ok(())
    }

    /// What a line sold: the parts of its listing, else what its SKU stands for; `Err` says why neither is known.
    pub(super) fn components_of_line(
        &self,
        settings: &Settings,
        channel: &ChannelId,
        listing: Option<&str>,
        channel_sku: Option<&str>,
    ) -> Result<std::result::Result<Vec<Component>, String>> {
        if let Some(listing) = self.listing_of_line(channel.as_str(), listing, channel_sku)? {
            let components = self.components(listing)?;
            if !components.is_empty() {
                return Ok(Ok(components));
            }
        }
        let Some(text) = channel_sku.filter(|text| !text.is_empty()) else {
            return Ok(Err("the line has no SKU and its listing is not known".into()));
        };
        self.components_of_sku(settings, channel, text).map(|found| {
            found.ok_or_else(|| {
                format!("SKU {text:?} is not in the ledger; import its stock or resolve the line")
            })
        })
    }

    fn listing_of(&self, context: &Context<'_>, line: &LineSnapshot) -> Result<Option<i64>> {
        let named = line.listing.as_ref().map(crate::domain::ListingId::as_str);
        self.listing_of_line(context.channel.id.as_str(), named, line.channel_sku.as_deref())
    }

    fn listing_of_line(
        &self,
        channel: &str,
        listing: Option<&str>,
        channel_sku: Option<&str>,
    ) -> Result<Option<i64>> {
        if let Some(listing) = listing
            && let Some(id) = self.listing_row(channel, listing)?
        {
            return Ok(Some(id));
        }
        match channel_sku {
            Some(sku) => self.only_listing_with_sku(channel, sku),
            None => Ok(None),
        }
    }
}

pub(super) fn net_at(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<LineNet> {
    Ok(LineNet {
        ordered: row.get(from)?,
        cancelled: row.get(from + 1)?,
        shipped: row.get(from + 2)?,
        restocked: row.get(from + 3)?,
    })
}

fn line_row(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<LineRow> {
    Ok(LineRow {
        id: row.get(from)?,
        net: net_at(row, from + 1)?,
        held: row.get(from + 5)?,
        largest: row.get(from + 6)?,
        state: row.get(from + 7)?,
        location: row.get(from + 8)?,
    })
}

/// Whether a snapshot says of any line other than what is stored, and whether it gives anything back.
fn difference(context: &Context<'_>, rows: &HashMap<String, LineRow>) -> (bool, bool) {
    let (mut differs, mut gives_back) = (false, false);
    for line in &context.order.lines {
        let (net, row) = (context.net(line), rows.get(line.id.as_str()));
        let old = row.map_or_else(LineNet::default, |row| row.net);
        let held = row.map_or(Units::ZERO, |row| row.held);
        differs |= net != old || line.held != held || row.is_some_and(|row| row.is_moved_by(line));
        gives_back |= net.taken() < old.taken();
    }
    for (id, row) in rows {
        if !context.order.lines.iter().any(|line| line.id.as_str() == id) {
            differs |= row.net != LineNet::default() || row.held != Units::ZERO;
            gives_back |= row.net.taken() > Units::ZERO;
        }
    }
    (differs, gives_back)
}

impl Ledger {
    /// How far the channel's orders have been read: the latest update seen.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn move_cursor(&self, channel: &str, updated_seen: UtcMs) -> Result<()> {
        self.run(
            "INSERT INTO cursor (channel, updated_seen) VALUES (?1, ?2) \
             ON CONFLICT DO UPDATE SET updated_seen = max(updated_seen, ?2)",
            &[&channel, &updated_seen],
        )?;
        Ok(())
    }
}

impl Reader {
    /// The latest order update seen on a channel; `None` before the first complete poll.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn cursor(&self, channel: &str) -> Result<Option<UtcMs>> {
        self.maybe("SELECT updated_seen FROM cursor WHERE channel = ?1", [channel], |row| row.get(0))
    }
}
