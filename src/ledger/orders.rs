//! Orders are state, movements are differences: a snapshot is compared with what was applied, and only the difference
//! moves stock (CORRECTNESS.md rule 1).

use std::collections::HashMap;

use rusqlite::params;

use super::{Ledger, Movement, MovementKind, Reader, Result};
use crate::domain::{
    ChannelId, ChannelLocation, ChannelSettings, Component, CountBasis, LineNet, LineSnapshot, LocationId,
    OrderSnapshot, Settings, Sku, Units, UtcMs,
};

/// What came of a snapshot.
#[derive(Debug, Default)]
pub struct Ingested {
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
}

/// What a line needs to know of its order.
struct Context<'a> {
    at: UtcMs,
    channel: &'a ChannelSettings,
    settings: &'a Settings,
    order: &'a OrderSnapshot,
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
    ) -> Result<Ingested> {
        let mut done = Ingested::default();
        let (channel_id, order_id) = (channel.id.as_str(), order.id.as_str());
        let known: Option<(UtcMs, i64)> = self.maybe(
            "SELECT updated_at, content FROM order_head WHERE channel = ?1 AND order_id = ?2",
            [channel_id, order_id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if let Some((updated_at, had)) = known
            && (order.updated_at < updated_at || (order.updated_at == updated_at && had == digest))
        {
            return Ok(done);
        }
        done.fresh = true;
        done.first_seen = known.is_none();
        self.run(
            "INSERT INTO order_head (channel, order_id, number, created_at, updated_at, content) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET number = ?3, updated_at = ?5, content = ?6",
            &[&channel_id, &order_id, &order.number, &order.created_at, &order.updated_at, &digest],
        )?;
        let mut rows = self.lines_of(channel_id, order_id)?;
        let context = Context { at, channel, settings, order };
        for line in &order.lines {
            let row = rows.remove(line.id.as_str());
            self.ingest_line(&context, line, row, &mut done)?;
        }
        let mut gone: Vec<_> = rows.into_iter().collect();
        gone.sort_by(|a, b| a.0.cmp(&b.0));
        for (line_id, row) in gone {
            self.drop_line(&context, &line_id, row, &mut done)?;
        }
        done.skus.sort();
        done.skus.dedup();
        Ok(done)
    }

    fn lines_of(&self, channel: &str, order: &str) -> Result<HashMap<String, LineRow>> {
        let rows = self.all(
            "SELECT line_id, id, ordered, cancelled, shipped, restocked, held, largest, state FROM order_line \
             WHERE channel = ?1 AND order_id = ?2",
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
        row: LineRow,
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
        row: Option<LineRow>,
        done: &mut Ingested,
    ) -> Result<()> {
        let net = line.net.possible();
        let (old_net, old_held, largest) = row
            .as_ref()
            .map_or((LineNet::default(), Units::ZERO, Units::ZERO), |r| (r.net, r.held, r.largest));
        if row.is_some() && old_net == net && old_held == line.held {
            return Ok(());
        }
        let largest = largest.max(net.ordered);
        let state = row.as_ref().map_or("new", |r| r.state.as_str()).to_owned();
        let old = row.as_ref().map(|r| (r.net, r.held));
        let id = self.store_line(context, line, net, largest, row.map(|r| r.id))?;
        done.sold += (net.ordered - old_net.ordered).at_least_zero();
        self.note_own_sales(context, line, old, done)?;
        match state.as_str() {
            "applied" => self.apply_difference(context, id, old_net, net, done),
            "new" => self.apply_first(context, line, id, net, done),
            _ => Ok(()),
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
                 largest = ?7 WHERE id = ?1",
                &[&id, &net.ordered, &net.cancelled, &net.shipped, &net.restocked, &line.held, &largest],
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
        old: Option<(LineNet, Units)>,
        done: &mut Ingested,
    ) -> Result<()> {
        let (old_net, old_held) = old.unwrap_or_default();
        let held = line.held - old_held;
        let sold = (line.net.possible().ordered - old_net.ordered).max(held).at_least_zero();
        let given_back = sold - held;
        if sold == Units::ZERO && given_back == Units::ZERO {
            return Ok(());
        }
        let named = line.listing.as_ref().map(crate::domain::ListingId::as_str);
        let sku = line.channel_sku.as_deref();
        let Some(listing) = self.listing_of_line(context.channel.id.as_str(), named, sku)? else {
            return Ok(());
        };
        let sold_at = if old.is_none() { context.order.created_at } else { context.order.updated_at };
        for (held, at) in [(sold, sold_at), (-given_back, context.order.updated_at)] {
            if held != Units::ZERO {
                done.own.push(OwnSale { listing, location: line.location.clone(), held, at });
            }
        }
        Ok(())
    }

    /// First sight of a line: its components and their location freeze here.
    fn apply_first(
        &self,
        context: &Context<'_>,
        line: &LineSnapshot,
        id: i64,
        net: LineNet,
        done: &mut Ingested,
    ) -> Result<()> {
        if net == LineNet::default() {
            // Not sold yet (an unpaid order): components freeze when it is.
            self.run("DELETE FROM order_line WHERE id = ?1", &[&id])?;
            return Ok(());
        }
        let listing = line.listing.as_ref().map(crate::domain::ListingId::as_str);
        let sku = line.channel_sku.as_deref();
        let components = match self.components_of_line(context.settings, &context.channel.id, listing, sku)? {
            Ok(components) => components,
            Err(reason) => {
                self.run("UPDATE order_line SET state = 'quarantined' WHERE id = ?1", &[&id])?;
                self.run(
                    "INSERT INTO quarantine (line, at, reason) VALUES (?1, ?2, ?3)",
                    &[&id, &context.at, &reason],
                )?;
                done.quarantined.push(format!("order {} line {}: {reason}", context.order.number, line.id));
                return Ok(());
            }
        };
        self.apply_components(context, line.location.as_ref(), id, net, &components, done)
    }

    pub(super) fn apply_quarantined(
        &self,
        settings: &Settings,
        channel: &ChannelSettings,
        at: UtcMs,
        line: i64,
        components: &[Component],
    ) -> Result<Vec<Sku>> {
        let (order, net, location) = self.one(
            "SELECT h.order_id, h.number, h.created_at, h.updated_at, l.ordered, l.cancelled, l.shipped, l.restocked, \
             l.channel_location FROM order_line l JOIN order_head h ON h.channel = l.channel AND h.order_id = l.order_id \
             WHERE l.id = ?1",
            [line],
            |row| {
                let order = OrderSnapshot {
                    id: crate::domain::OrderId::new(row.get::<_, String>(0)?),
                    number: row.get(1)?,
                    created_at: row.get(2)?,
                    updated_at: row.get(3)?,
                    lines: Vec::new(),
                    unknown_state: None,
                };
                let location = row.get::<_, Option<String>>(8)?.map(ChannelLocation::new);
                Ok((order, net_at(row, 4)?, location))
            },
        )?;
        self.run("UPDATE order_line SET state = 'applied' WHERE id = ?1", &[&line])?;
        self.run("DELETE FROM quarantine WHERE line = ?1", &[&line])?;
        let context = Context { at, channel, settings, order: &order };
        let mut done = Ingested::default();
        self.apply_components(&context, location.as_ref(), line, net, components, &mut done)?;
        Ok(done.skus)
    }

    fn apply_components(
        &self,
        context: &Context<'_>,
        at_channel: Option<&ChannelLocation>,
        id: i64,
        net: LineNet,
        components: &[Component],
        done: &mut Ingested,
    ) -> Result<()> {
        let location = ledger_location(context.channel, at_channel);
        for component in components {
            let (sku, units) = (&component.sku, component.units);
            let base = self.baseline(context.order, sku, &location, net, units)?;
            let on_hand = units.times(net.on_hand()) + base.unwrap_or_default();
            let committed = units.times(net.open());
            self.run(
                "INSERT INTO order_line_part (line, sku, location, units, base_on_hand, applied_on_hand, \
                 applied_committed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                &[
                    &id,
                    &sku.as_str(),
                    &location.as_str(),
                    &units,
                    &base.unwrap_or_default(),
                    &on_hand,
                    &committed,
                ],
            )?;
            let mover = Mover { ledger: self, context, sku, location: &location };
            if base.is_some() {
                mover.go(MovementKind::Opening, on_hand, Units::ZERO, context.order.created_at)?;
                mover.go(MovementKind::Order, Units::ZERO, committed, context.order.created_at)?;
            } else {
                mover.difference(units, LineNet::default(), net, context.order.created_at)?;
            }
            done.skus.push(sku.clone());
        }
        Ok(())
    }

    fn apply_difference(
        &self,
        context: &Context<'_>,
        id: i64,
        old: LineNet,
        new: LineNet,
        done: &mut Ingested,
    ) -> Result<()> {
        let parts: Vec<(String, String, Units)> =
            self.all("SELECT sku, location, units FROM order_line_part WHERE line = ?1", [id], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        for (sku, location, units) in parts {
            let sku = Sku::new(&sku).map_err(|e| super::LedgerError::Content(e.to_string()))?;
            let location = LocationId::new(location);
            self.run(
                "UPDATE order_line_part SET applied_on_hand = base_on_hand + ?3, applied_committed = ?4 \
                 WHERE line = ?1 AND sku = ?2",
                &[&id, &sku.as_str(), &units.times(new.on_hand()), &units.times(new.open())],
            )?;
            Mover { ledger: self, context, sku: &sku, location: &location }.difference(
                units,
                old,
                new,
                context.order.updated_at,
            )?;
            done.skus.push(sku);
        }
        Ok(())
    }

    /// What a count already contained of a line placed before it, as units to add to `on_hand`; `None` for a line that
    /// no count knows (CORRECTNESS.md rule 11).
    fn baseline(
        &self,
        order: &OrderSnapshot,
        sku: &Sku,
        location: &LocationId,
        net: LineNet,
        units: Units,
    ) -> Result<Option<Units>> {
        let counted: Option<(UtcMs, String)> = self.maybe(
            "SELECT counted_at, basis FROM counted WHERE sku = ?1 AND location = ?2",
            [sku.as_str(), location.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let gone = net.shipped - net.restocked;
        Ok(match counted {
            Some((counted_at, basis)) if order.created_at <= counted_at => {
                if basis == CountBasis::Available.name() {
                    Some(units.times(net.open() + gone))
                } else if order.updated_at <= counted_at {
                    Some(units.times(gone))
                } else {
                    None
                }
            }
            _ => None,
        })
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

/// Books the movements of one part of one line.
struct Mover<'a> {
    ledger: &'a Ledger,
    context: &'a Context<'a>,
    sku: &'a Sku,
    location: &'a LocationId,
}

impl Mover<'_> {
    fn go(&self, kind: MovementKind, on_hand: Units, committed: Units, effective_at: UtcMs) -> Result<()> {
        self.ledger.move_stock(&Movement {
            at: self.context.at,
            effective_at,
            sku: self.sku,
            location: self.location,
            on_hand,
            committed,
            kind,
            channel: Some(self.context.channel.id.as_str()),
            order_ref: Some(self.context.order.id.as_str()),
            reason: None,
        })
    }

    /// `ordered_at` is when the units more (or fewer) were ordered: with the order, or by its last change.
    fn difference(&self, units: Units, old: LineNet, new: LineNet, ordered_at: UtcMs) -> Result<()> {
        let times = |quantity: Units| units.times(quantity);
        let updated = self.context.order.updated_at;
        let shipped = times(new.shipped - old.shipped);
        self.go(MovementKind::Order, Units::ZERO, times(new.ordered - old.ordered), ordered_at)?;
        self.go(MovementKind::Cancel, Units::ZERO, -times(new.cancelled - old.cancelled), updated)?;
        self.go(MovementKind::Ship, -shipped, -shipped, updated)?;
        self.go(MovementKind::Return, times(new.restocked - old.restocked), Units::ZERO, updated)
    }
}

/// Where a line takes stock from: the ledger location that stands for the channel's, else the order location.
fn ledger_location(channel: &ChannelSettings, at_channel: Option<&ChannelLocation>) -> LocationId {
    at_channel
        .and_then(|there| channel.locations.iter().find(|(_, mapped)| mapped == there))
        .map_or_else(|| channel.order_location.clone(), |(location, _)| location.clone())
}

fn net_at(row: &rusqlite::Row<'_>, from: usize) -> rusqlite::Result<LineNet> {
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
    })
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
