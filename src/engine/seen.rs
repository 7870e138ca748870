//! Snapshots already in the ledger, so that the overlap of the polls never reaches SQL. Bounded.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::{
    domain::{OrderId, OrderSnapshot, UtcMs},
    ledger::OrderRead,
};

/// Snapshots kept per generation; two generations are kept.
const GENERATION: usize = 20_000;

/// What is known of one order.
#[derive(Clone, Copy, Debug)]
struct Known {
    updated_at: UtcMs,
    /// The content that is in the ledger.
    content: i64,
    /// Another content of the same update time: a list that repeats it says nothing new.
    doubted: Option<i64>,
}

type Orders = HashMap<(usize, OrderId), Known>;

/// The snapshots of the last polls.
#[derive(Debug, Default)]
pub(super) struct SeenOrders {
    young: Orders,
    old: Orders,
}

impl SeenOrders {
    /// Whether a snapshot says nothing that the ledger does not know.
    pub(super) fn has(
        &mut self,
        channel: usize,
        order: &OrderSnapshot,
        content: i64,
        read: OrderRead,
    ) -> bool {
        let key = (channel, order.id.clone());
        let Some(known) = self.get(&key).filter(|known| known.updated_at == order.updated_at) else {
            return false;
        };
        let listed_again = read == OrderRead::Listed && known.doubted == Some(content);
        let had = known.content == content || listed_again;
        if had && !self.young.contains_key(&key) {
            self.insert(key, known);
        }
        had
    }

    /// A snapshot is in the ledger.
    pub(super) fn put(&mut self, channel: usize, order: &OrderSnapshot, content: i64) {
        let key = (channel, order.id.clone());
        let before = self.get(&key).filter(|known| known.updated_at == order.updated_at);
        let doubted = before
            .and_then(|known| if known.content == content { known.doubted } else { Some(known.content) });
        self.insert(key, Known { updated_at: order.updated_at, content, doubted });
    }

    /// A list gave a snapshot that only a read by id can confirm.
    pub(super) fn doubt(&mut self, channel: usize, order: &OrderSnapshot, content: i64) {
        let key = (channel, order.id.clone());
        if let Some(known) = self.get(&key).filter(|known| known.updated_at == order.updated_at) {
            self.insert(key, Known { doubted: Some(content), ..known });
        }
    }

    fn get(&self, key: &(usize, OrderId)) -> Option<Known> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    fn insert(&mut self, key: (usize, OrderId), known: Known) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, known);
    }
}

/// A hash of all that a snapshot says; the same in every run of the same program.
pub(super) fn content_hash(order: &OrderSnapshot) -> i64 {
    let mut hasher = DefaultHasher::new();
    order.hash(&mut hasher);
    hasher.finish().cast_signed()
}
