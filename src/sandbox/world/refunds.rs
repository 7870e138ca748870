//! What comes back: refunds, and the units that a cancel sets free.

use super::{Line, Refund, RefundLine, Refusal, Restock, Tracking, World};
use crate::domain::ChannelKind;

impl World {
    /// Pays back pieces of lines (by id), with or without putting them back. Pieces that have not been shipped are
    /// taken first.
    ///
    /// # Errors
    /// [`Refusal`] where there is no such line or too little left of it.
    pub fn refund(
        &mut self,
        shop: usize,
        order: u64,
        pieces: &[(u64, i64)],
        restock: Restock,
    ) -> Result<(), Refusal> {
        self.take_back(shop, order, pieces, restock, "refund")
    }

    pub(super) fn take_back(
        &mut self,
        shop: usize,
        order: u64,
        pieces: &[(u64, i64)],
        restock: Restock,
        reason: &str,
    ) -> Result<(), Refusal> {
        let now = self.now;
        let mut changed = self.order(shop, order)?;
        let kind = self.shops[shop].settings.kind;
        let mut lines = Vec::new();
        for (id, units) in pieces {
            let index = changed.lines.iter().position(|it| it.id == *id).ok_or(Refusal::NoLine(order))?;
            let line = &changed.lines[index];
            let unshipped = line.open().min(*units);
            let shipped = units - unshipped;
            if *units < 1 || shipped > line.shipped - line.returned {
                return Err(Refusal::NothingLeft(order));
            }
            lines.extend(
                [(index, unshipped, false), (index, shipped, true)].into_iter().filter(|it| it.1 > 0),
            );
        }
        let id = self.shops[shop].next_id();
        let mut refund = Refund { id, at: now, reason: reason.to_owned(), lines: Vec::new() };
        for (index, units, was_shipped) in lines {
            let line = &mut changed.lines[index];
            if was_shipped {
                line.returned += units;
            } else if kind == ChannelKind::Shopify || restock == Restock::Yes {
                line.removed += units;
            }
            refund.lines.push(RefundLine {
                id: self.shops[shop].next_id(),
                line: index,
                quantity: units,
                restock: match (restock, was_shipped) {
                    (Restock::No, _) => "NO_RESTOCK",
                    (Restock::Yes, true) => "RETURN",
                    (Restock::Yes, false) => "CANCEL",
                },
                restocked: restock == Restock::Yes,
            });
            self.settle_refund(shop, order, line, units, was_shipped, restock);
        }
        changed.refunds.push(refund);
        self.publish(shop, changed);
        Ok(())
    }

    /// What one refunded line does to the number, the shelf and the judge.
    fn settle_refund(
        &mut self,
        shop: usize,
        order: u64,
        line: &mut Line,
        units: i64,
        was_shipped: bool,
        restock: Restock,
    ) {
        let now = self.now;
        let state = &mut self.shops[shop];
        let keeper = state.keeper(line.listing);
        let shopify = state.settings.kind == ChannelKind::Shopify;
        let components = state.listings[line.listing].components.clone();
        if state.listings[keeper].tracking == Tracking::Tracked {
            let back = if restock == Restock::Yes { units } else { 0 };
            let uncommitted = if shopify && !was_shipped { units } else { 0 };
            state.listings[keeper].levels[line.location].shift(back, -uncommitted, now);
            state.listings[keeper].updated_at = now;
            if back > 0 {
                line.reduced = (line.reduced - units).max(0);
                line.restock_refunded += units;
            }
        }
        match (restock, was_shipped) {
            (Restock::Yes, true) => self.onto_the_shelf(&components, units),
            // Taken off the order and not put back although they never left: they are gone.
            (Restock::No, false) if shopify => self.onto_the_shelf(&components, -units),
            _ => {}
        }
        if restock == Restock::Yes {
            self.report(shop, order, line.listing, line.location, units, true);
        }
    }

    /// WooCommerce's cancel: every line gives back what it still holds.
    pub(super) fn release(&mut self, shop: usize, order: u64) -> Result<(), Refusal> {
        let now = self.now;
        let mut changed = self.order(shop, order)?;
        let mut given = Vec::new();
        for line in &mut changed.lines {
            let state = &mut self.shops[shop];
            let keeper = state.keeper(line.listing);
            if line.reduced > 0 {
                state.listings[keeper].levels[line.location].shift(line.reduced, 0, now);
                state.listings[keeper].updated_at = now;
                given.push((line.listing, line.location, line.reduced));
            }
            line.reduced = 0;
            line.removed = line.quantity - line.shipped;
        }
        self.publish(shop, changed);
        for (listing, location, units) in given {
            self.report(shop, order, listing, location, units, true);
        }
        Ok(())
    }
}
