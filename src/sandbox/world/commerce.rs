//! What shoppers and staff do: buy, ship, cancel, take back, edit.

use std::{collections::BTreeMap, sync::Arc};

use super::{Fulfilment, Line, Order, OrderRecord, Shop, ShopCounts, Status, Tracking, World};
use crate::{
    domain::{ChannelKind, OrderId, Sku, Units, UtcMs},
    referee::OrderEvent,
};

/// How much of a wish a shop accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// At most what is shown; the rest is refused.
    Shown,
    /// All of it, whatever is shown (a sale by telephone, a plug-in that oversells).
    All,
}

/// Whether units go back into the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restock {
    /// Yes.
    Yes,
    /// No: units that never left are lost (broken, say), units that did stay with the shopper.
    No,
}

/// Why something can't be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such order.
    #[error("there is no order {0}")]
    NoOrder(u64),
    /// There is no such line.
    #[error("order {0} has no such line")]
    NoLine(u64),
    /// Nothing of the order is left to do this with.
    #[error("nothing of order {0} is left for this")]
    NothingLeft(u64),
    /// The shelf does not hold what should be shipped.
    #[error("the shelf does not hold what order {0} needs")]
    ShelfEmpty(u64),
}

impl World {
    /// Somebody orders pieces of some listings; `None` where nothing of it could be had.
    pub fn place_order(&mut self, shop: usize, wanted: &[(usize, i64)], accept: Accept) -> Option<u64> {
        let now = self.now;
        let state = &mut self.shops[shop];
        let mut lines = Vec::new();
        for (listing, wish) in wanted {
            let (location, units) = state.obtainable(*listing, *wish, accept);
            state.counts.refused_units += wish - units;
            if units < 1 {
                continue;
            }
            let tracked = state.take(*listing, location, units, now);
            lines.push(Line {
                id: state.next_id(),
                listing: *listing,
                location,
                quantity: units,
                removed: 0,
                shipped: 0,
                returned: 0,
                reduced: if tracked { units } else { 0 },
                restock_refunded: 0,
            });
        }
        if lines.is_empty() {
            return None;
        }
        let id = state.next_id();
        // WooCommerce's number is the id unless a plug-in says otherwise.
        let number = if state.settings.kind == ChannelKind::Shopify { state.next_number } else { id };
        state.next_number += 1;
        let sold: Vec<_> = lines.iter().map(|line| (line.listing, line.location, line.quantity)).collect();
        let ShopCounts { orders, units, .. } = &mut state.counts;
        *orders += 1;
        *units += lines.iter().map(|line| line.quantity).sum::<i64>();
        let order = Order {
            id,
            number,
            created_at: now,
            updated_at: now,
            status: Status::Processing,
            cancelled_at: None,
            completed_at: None,
            lines,
            fulfilments: Vec::new(),
            refunds: Vec::new(),
            edited: false,
        };
        state.orders.insert(id, OrderRecord { current: order.clone(), readable: None });
        self.publish(shop, order);
        for (listing, location, units) in sold {
            self.report(shop, id, listing, location, -units, true);
        }
        Some(id)
    }

    /// Ships what is open of an order: all of it, or so many pieces of the lines named by id.
    ///
    /// # Errors
    /// [`Refusal`] where there is nothing to ship or not enough on the shelf. WooCommerce ships whole orders only.
    pub fn fulfil(&mut self, shop: usize, order: u64, only: Option<&[(u64, i64)]>) -> Result<(), Refusal> {
        let now = self.now;
        let mut changed = self.order(shop, order)?;
        let kind = self.shops[shop].settings.kind;
        let mut parcel = Vec::new();
        for (index, line) in changed.lines.iter().enumerate() {
            let units = match (only, kind) {
                (Some(only), ChannelKind::Shopify) => {
                    only.iter().find(|(id, _)| *id == line.id).map_or(0, |(_, units)| *units).min(line.open())
                }
                _ => line.open(),
            };
            if units > 0 {
                parcel.push((index, units));
            }
        }
        if parcel.is_empty() {
            return Err(Refusal::NothingLeft(order));
        }
        self.off_the_shelf(shop, &changed, &parcel)?;
        let state = &mut self.shops[shop];
        let id = state.next_id();
        let mut lines = Vec::new();
        for (index, units) in parcel {
            let line = &mut changed.lines[index];
            line.shipped += units;
            lines.push((state.next_id(), index, units));
            let keeper = state.keeper(line.listing);
            if kind == ChannelKind::Shopify && state.listings[keeper].tracking == Tracking::Tracked {
                state.listings[keeper].levels[line.location].shift(0, -units, now);
            }
        }
        changed.fulfilments.push(Fulfilment { id, at: now, lines });
        if changed.lines.iter().all(|line| line.open() == 0) {
            changed.status = Status::Completed;
            changed.completed_at = Some(now);
        }
        self.publish(shop, changed);
        Ok(())
    }

    /// Cancels what is open of an order.
    ///
    /// Shopify puts units back or not as asked; WooCommerce always puts back what the order still holds (exchanges
    /// "order on-hold -> cancelled", "cancel the partly refunded order").
    ///
    /// # Errors
    /// [`Refusal`] where nothing is open, or where WooCommerce has shipped it.
    pub fn cancel(&mut self, shop: usize, order: u64, restock: Restock) -> Result<(), Refusal> {
        let before = self.order(shop, order)?;
        let open: Vec<(u64, i64)> =
            before.lines.iter().filter(|line| line.open() > 0).map(|line| (line.id, line.open())).collect();
        if open.is_empty() || before.status != Status::Processing {
            return Err(Refusal::NothingLeft(order));
        }
        match self.shops[shop].settings.kind {
            ChannelKind::Shopify => self.take_back(shop, order, &open, restock, "cancelled")?,
            ChannelKind::Woocommerce => self.release(shop, order)?,
        }
        let mut changed = self.order(shop, order)?;
        changed.cancelled_at = Some(self.now);
        changed.status = Status::Cancelled;
        self.publish(shop, changed);
        Ok(())
    }

    /// Changes a line's quantity, up or down to what is shipped.
    ///
    /// Doubt: an edit down on Shopify is told by `currentQuantity` alone here, without a refund, and puts the units
    /// back; neither is stated by a contract.
    ///
    /// # Errors
    /// [`Refusal`] where there is no such line, or nothing to change.
    pub fn edit_line(&mut self, shop: usize, order: u64, line: u64, quantity: i64) -> Result<(), Refusal> {
        let now = self.now;
        let mut changed = self.order(shop, order)?;
        let index = changed.lines.iter().position(|it| it.id == line).ok_or(Refusal::NoLine(order))?;
        let edited = &mut changed.lines[index];
        let delta = quantity.max(edited.shipped) - (edited.quantity - edited.removed);
        if delta == 0 || changed.status != Status::Processing {
            return Err(Refusal::NothingLeft(order));
        }
        let state = &mut self.shops[shop];
        let tracked = state.take(edited.listing, edited.location, delta, now);
        if state.settings.kind == ChannelKind::Shopify && delta < 0 {
            edited.removed -= delta;
        } else {
            edited.quantity += delta;
        }
        edited.reduced += if tracked { delta } else { 0 };
        let (listing, location) = (edited.listing, edited.location);
        if state.settings.kind == ChannelKind::Woocommerce {
            changed.lines.retain(|line| line.quantity > 0);
        }
        changed.edited = true;
        self.publish(shop, changed);
        self.report(shop, order, listing, location, -delta, true);
        Ok(())
    }

    /// WooCommerce: sets a status that moves no stock (exchanges "completed -> refunded", "processing -> failed").
    ///
    /// # Errors
    /// [`Refusal::NoOrder`].
    pub fn set_status(&mut self, shop: usize, order: u64, status: Status) -> Result<(), Refusal> {
        let mut changed = self.order(shop, order)?;
        changed.status = status;
        self.publish(shop, changed);
        Ok(())
    }

    pub(super) fn order(&self, shop: usize, order: u64) -> Result<Order, Refusal> {
        let record = self.shops[shop].orders.get(&order).ok_or(Refusal::NoOrder(order))?;
        Ok(record.current.clone())
    }

    /// Makes a changed order current, and readable when the shop's delay is over.
    pub(super) fn publish(&mut self, shop: usize, mut order: Order) {
        order.updated_at = self.now;
        let state = &mut self.shops[shop];
        let readable_at = self.now.plus_ms(state.settings.order_delay_ms);
        if let Some(record) = state.orders.get_mut(&order.id) {
            record.current = order.clone();
            if state.settings.order_delay_ms > 0 {
                state.becoming_readable.push_back((readable_at, Arc::new(order)));
            } else {
                record.readable = Some(Arc::new(order));
            }
        }
    }

    /// Tells the judge of pieces sold (`units` below 0) or given back.
    pub(super) fn report(
        &mut self,
        shop: usize,
        order: u64,
        listing: usize,
        location: usize,
        units: i64,
        shown: bool,
    ) {
        let state = &self.shops[shop];
        let place = self.place(shop, state.keeper(listing), location);
        let Some(place) = place else { return };
        let event = OrderEvent {
            at: self.now,
            order: OrderId::new(order.to_string()),
            place,
            pieces: Units::of(units.abs()),
            in_orders_at: self.now.plus_ms(state.settings.order_delay_ms),
            in_quantities_at: self.now.plus_ms(state.settings.quantity_delay_ms),
        };
        if units < 0 {
            self.referee.sale(event);
        } else {
            self.referee.give_back(event, shown);
        }
    }

    fn off_the_shelf(&mut self, shop: usize, order: &Order, parcel: &[(usize, i64)]) -> Result<(), Refusal> {
        let mut needed: BTreeMap<&Sku, Units> = BTreeMap::new();
        for (index, units) in parcel {
            for (sku, each) in &self.shops[shop].listings[order.lines[*index].listing].components {
                *needed.entry(sku).or_default() += each.times(Units::of(*units));
            }
        }
        let there = |sku: &Sku| self.shelf.get(sku).copied().unwrap_or_default();
        if needed.iter().any(|(sku, units)| there(sku) < *units) {
            return Err(Refusal::ShelfEmpty(order.id));
        }
        for (sku, units) in needed {
            if let Some(there) = self.shelf.get_mut(sku) {
                *there -= units;
            }
        }
        Ok(())
    }

    pub(super) fn onto_the_shelf(&mut self, components: &[(Sku, Units)], pieces: i64) {
        for (sku, each) in components {
            *self.shelf.entry(sku.clone()).or_default() += each.times(Units::of(pieces));
        }
    }
}

impl Shop {
    /// Where a wish is met best, and how much of it.
    fn obtainable(&self, listing: usize, wish: i64, accept: Accept) -> (usize, i64) {
        let keeper = &self.listings[self.keeper(listing)];
        let best = keeper
            .levels
            .iter()
            .enumerate()
            .find(|(_, level)| level.shown() >= wish)
            .or_else(|| keeper.levels.iter().enumerate().max_by_key(|(_, level)| level.shown()));
        let (location, shown) = best.map_or((0, 0), |(index, level)| (index, level.shown()));
        if accept == Accept::All || keeper.oversell || keeper.tracking != Tracking::Tracked {
            (location, wish)
        } else {
            (location, wish.min(shown).max(0))
        }
    }

    /// Takes pieces out of the number (or, below 0, puts them in); says whether there is a number.
    fn take(&mut self, listing: usize, location: usize, units: i64, now: UtcMs) -> bool {
        let keeper = self.keeper(listing);
        let committed = if self.settings.kind == ChannelKind::Shopify { units } else { 0 };
        if self.listings[keeper].tracking != Tracking::Tracked {
            return false;
        }
        self.listings[keeper].levels[location].shift(-units, committed, now);
        self.listings[keeper].updated_at = now;
        self.listings[listing].updated_at = now;
        // A variation's sale also stamps its parent (measured: `date_modified_gmt` of both).
        if let Some(parent) = self.listings[listing].parent {
            self.listings[parent].updated_at = now;
        }
        true
    }
}
