//! Orders asked for by id: at once where two snapshots with one update time differ, and every open order now and then,
//! last of all, since a list of orders can leave out a change (CORRECTNESS.md rules 1 and 9, fault D20).

use std::{collections::HashSet, time::Duration};

use super::{
    Command, Engine, Result,
    channel::{Heard, What},
    pace::Sort,
};
use crate::{
    domain::{Call, Now, OrderId, OrdersPage},
    ledger::OrderRead,
};

/// The first look for open orders after a start.
pub(super) const FIRST_LOOK: Duration = Duration::from_mins(10);
/// Open orders are looked for when the next is due, but no more often than this ...
const NEXT_LOOK: Duration = Duration::from_mins(15);
/// ... and no less often: an order taken in meanwhile is due later.
const LONGEST_REST: Duration = Duration::from_hours(6);
/// The pause after a full batch: more are due.
const NEXT_BATCH: Duration = Duration::from_secs(30);
/// Orders due within this time go along, so that batches are full.
const AHEAD_MS: i64 = 6 * 3_600_000;
/// The pause after a call that failed.
const FAILED_PAUSE: Duration = Duration::from_mins(1);

impl Engine {
    /// Asks for the orders that have waited longest.
    pub(super) fn start_reread(
        &mut self,
        now: Now,
        at: usize,
        price: f64,
        out: &mut Vec<Command>,
    ) -> Result<()> {
        let channel = &mut self.channels[at];
        let most = channel.settings.capabilities.orders_by_id_batch.max(1);
        let ahead = self.ledger.orders_to_reread(&channel.settings.id, now.utc.plus_ms(AHEAD_MS), most)?;
        let full = ahead.len() == most;
        // Without one that is due itself the batch has time to fill.
        let next = self.ledger.next_reread(&channel.settings.id)?;
        let due = full || next.is_some_and(|next| next <= now.utc);
        channel.doubted = false;
        let rest = next.map_or(LONGEST_REST, |next| {
            Duration::from_millis(next.since(now.utc).max(0).unsigned_abs()).clamp(NEXT_LOOK, LONGEST_REST)
        });
        channel.next_reread = now.mono + if full { NEXT_BATCH } else { rest };
        if !due {
            channel.budget.refund(Sort::OrdersById, price);
            return Ok(());
        }
        channel.orders_in_flight = true;
        let call = Call::OrdersById(ahead.clone());
        self.send(now, at, call, What::Reread { orders: ahead }, price, out);
        Ok(())
    }

    /// What the channel said of orders asked for by id is what they are. One that it no longer gives stays as it was:
    /// nothing says that it was cancelled.
    pub(super) fn reread(
        &mut self,
        heard: Heard,
        at: usize,
        asked: &[OrderId],
        page: &OrdersPage,
    ) -> Result<()> {
        self.take_orders(heard, at, page, OrderRead::ById, false)?;
        let given: HashSet<&OrderId> = page.orders.iter().map(|order| &order.id).collect();
        for order in asked {
            // An order that could not be understood is there.
            let gone = page.rejected.is_empty() && !given.contains(order);
            let times = (heard.now.utc, heard.span.from);
            let channel = &self.channels[at].settings;
            let missing = self.ledger.order_reread(times, &self.settings, channel, order, gone)?;
            if let Some(number) = missing {
                let detail = format!(
                    "order {number} has open units and the channel no longer gives it by its id: it counts as before"
                );
                let id = self.channels[at].settings.id.clone();
                self.incident(heard.now, "order.missing", &id, None, &detail)?;
            }
        }
        Ok(())
    }

    /// No answer: those orders are due still.
    pub(super) fn reread_failed(&mut self, now: Now, at: usize) {
        let channel = &mut self.channels[at];
        channel.next_reread = channel.backoff_until.max(now.mono) + FAILED_PAUSE;
    }
}
