//! How an order line moves stock: its parts freeze when it is first applied, then differences follow.

use super::{
    Ledger, Movement, MovementKind, Result,
    orders::{Context, Ingested, net_at},
};
use crate::domain::{
    ChannelLocation, ChannelSettings, Component, CountBasis, LineNet, LineSnapshot, LocationId,
    OrderSnapshot, Settings, Sku, Units, UtcMs,
};

impl Ledger {
    /// First sight of a line: its components and their location freeze here.
    pub(super) fn apply_first(
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
        let (order, net, location, assumed_shipped) = self.one(
            "SELECT h.order_id, h.number, h.created_at, h.updated_at, l.ordered, l.cancelled, l.shipped, l.restocked, \
             l.channel_location, h.assumed_shipped FROM order_line l JOIN order_head h ON h.channel = l.channel AND h.order_id = l.order_id \
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
                Ok((order, net_at(row, 4)?, location, row.get(9)?))
            },
        )?;
        self.run("UPDATE order_line SET state = 'applied' WHERE id = ?1", &[&line])?;
        self.run("DELETE FROM quarantine WHERE line = ?1", &[&line])?;
        let context = Context { at, channel, settings, order: &order, assumed_shipped };
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
            note_demand(self, context, sku, units.times(net.ordered), context.order.created_at)?;
            done.skus.push(sku.clone());
        }
        Ok(())
    }

    pub(super) fn apply_difference(
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
            note_demand(
                self,
                context,
                &sku,
                units.times(new.ordered - old.ordered),
                context.order.updated_at,
            )?;
            done.skus.push(sku);
        }
        Ok(())
    }

    /// A line draws on another location than it was booked at (shipped from elsewhere, say): all that it has applied is
    /// transferred. A location that stands for none of ours changes nothing.
    pub(super) fn relocate(
        &self,
        context: &Context<'_>,
        at_channel: Option<&ChannelLocation>,
        id: i64,
        done: &mut Ingested,
    ) -> Result<()> {
        let Some(to) = mapped_location(context.channel, at_channel) else { return Ok(()) };
        let parts: Vec<(String, String, Units, Units)> = self.all(
            "SELECT sku, location, applied_on_hand, applied_committed FROM order_line_part \
             WHERE line = ?1 AND location <> ?2",
            rusqlite::params![id, to.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        for (sku, from, on_hand, committed) in parts {
            let sku = Sku::new(&sku).map_err(|e| super::LedgerError::Content(e.to_string()))?;
            self.run(
                "UPDATE order_line_part SET location = ?3 WHERE line = ?1 AND sku = ?2",
                &[&id, &sku.as_str(), &to.as_str()],
            )?;
            let from = LocationId::new(from);
            for (location, sign) in [(&from, -Units::ONE), (to, Units::ONE)] {
                Mover { ledger: self, context, sku: &sku, location }.go(
                    MovementKind::Transfer,
                    on_hand.times(sign),
                    committed.times(sign),
                    context.order.updated_at,
                )?;
            }
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
            reason: (kind == MovementKind::Ship && self.context.assumed_shipped).then_some(ASSUMED),
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

/// Units newly sold are demand, wherever a buffer follows it.
fn note_demand(ledger: &Ledger, context: &Context<'_>, sku: &Sku, sold: Units, at: UtcMs) -> Result<()> {
    if sold > Units::ZERO && context.settings.policies.follow_demand() {
        // Nothing is sold in the future, whatever a clock says.
        ledger.note_demand(&context.channel.id, sku, sold, at.min(context.at))?;
    }
    Ok(())
}

/// The reason that a shipment carries which no channel has told.
const ASSUMED: &str = "assumed shipped";

/// Where a line takes stock from: the ledger location that stands for the channel's, else the order location.
fn ledger_location(channel: &ChannelSettings, at_channel: Option<&ChannelLocation>) -> LocationId {
    mapped_location(channel, at_channel).unwrap_or(&channel.order_location).clone()
}

fn mapped_location<'a>(
    channel: &'a ChannelSettings,
    at_channel: Option<&ChannelLocation>,
) -> Option<&'a LocationId> {
    let there = at_channel?;
    channel.locations.iter().find(|(_, mapped)| mapped == there).map(|(location, _)| location)
}
