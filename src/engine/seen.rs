//! Snapshots already in the ledger, so that the overlap of the polls never reaches SQL. Bounded.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::domain::{OrderId, OrderSnapshot, UtcMs};

/// Snapshots kept per generation; two generations are kept.
const GENERATION: usize = 20_000;

type Known = HashMap<(usize, OrderId), (UtcMs, i64)>;

/// The snapshots of the last polls.
#[derive(Debug, Default)]
pub(super) struct SeenOrders {
    young: Known,
    old: Known,
}

impl SeenOrders {
    /// Whether just this snapshot, or a newer one, is in the ledger already.
    pub(super) fn has(&mut self, channel: usize, order: &OrderSnapshot, content: i64) -> bool {
        let key = (channel, order.id.clone());
        let known = self.young.get(&key).or_else(|| self.old.get(&key)).copied();
        let had = known == Some((order.updated_at, content));
        if had && !self.young.contains_key(&key) {
            self.put(channel, order, content);
        }
        had
    }

    pub(super) fn put(&mut self, channel: usize, order: &OrderSnapshot, content: i64) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((channel, order.id.clone()), (order.updated_at, content));
    }
}

/// A hash of all that a snapshot says; the same in every run of the same program.
pub(super) fn content_hash(order: &OrderSnapshot) -> i64 {
    let mut hasher = DefaultHasher::new();
    order.hash(&mut hasher);
    hasher.finish().cast_signed()
}
