//! What a shop gets wrong for good, for tests: rows left out, orders given twice, clocks that are off.

use std::collections::BTreeSet;

use crate::domain::{OrderId, OrderSnapshot, OrdersPage, UtcMs};

/// The oddities of a shop; none at first.
#[derive(Clone, Debug, Default)]
pub struct Oddities {
    /// Orders that lists leave out.
    pub unlisted_orders: BTreeSet<String>,
    /// Orders that a read by id doesn't give.
    pub lost_orders: BTreeSet<String>,
    /// Snapshots that every list of orders repeats, whatever the orders are by now.
    pub stale_orders: Vec<OrderSnapshot>,
    /// Listings, by id, that the catalogue leaves out.
    pub unlisted: BTreeSet<String>,
    /// How many rows of each page of the catalogue can't be read.
    pub unreadable_rows: usize,
    /// How far its clock is off, in milliseconds.
    pub clock_off_ms: i64,
    /// How far its `Date` is off from its clock, in milliseconds.
    pub date_off_ms: i64,
}

impl Oddities {
    pub(super) fn list(&self, since: UtcMs, read: &mut OrdersPage) {
        read.orders.retain(|order| !self.unlisted_orders.contains(order.id.as_str()));
        read.orders.extend(self.stale_orders.iter().filter(|order| order.updated_at >= since).cloned());
    }

    pub(super) fn given<'a>(&self, ids: &'a [OrderId]) -> Vec<&'a OrderId> {
        ids.iter().filter(|id| !self.lost_orders.contains(id.as_str())).collect()
    }

    pub(super) fn unreadable(&self) -> Vec<String> {
        vec!["a row that can't be read".to_owned(); self.unreadable_rows]
    }
}
