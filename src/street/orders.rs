//! The orders of a shop: what each is now, and what a read of them shows.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use crate::domain::{OrderId, OrderSnapshot, OrdersPage, PageToken, UtcMs};

type Version = Arc<OrderSnapshot>;
/// A version's number.
type Number = u64;

/// The orders of a shop. Old versions go when a newer one is readable, finished orders when nobody asks that far back.
#[derive(Debug, Default)]
pub(super) struct Orders {
    now: HashMap<OrderId, Version>,
    /// Versions that no read shows yet, by the time from which one does.
    coming: BTreeMap<(UtcMs, Number), Version>,
    /// What reads show, oldest change first, with the number of the version.
    readable: BTreeMap<(UtcMs, OrderId), (Number, Version)>,
    /// The last change that reads show of each order.
    changed: HashMap<OrderId, UtcMs>,
    finished: VecDeque<(UtcMs, OrderId)>,
    /// Versions that no read has shown yet: from when on one does, and the places whose numbers they moved.
    unread: BTreeMap<Number, (UtcMs, Vec<usize>)>,
    versions: Number,
}

impl Orders {
    /// An order as it is from now on, which reads show from `readable_at` on. With it these places' numbers moved.
    pub(super) fn put(&mut self, order: OrderSnapshot, readable_at: UtcMs, moved: Vec<usize>) {
        let order = Arc::new(order);
        self.now.insert(order.id.clone(), Arc::clone(&order));
        self.versions += 1;
        self.unread.insert(self.versions, (readable_at, moved));
        self.coming.insert((readable_at, self.versions), order);
    }

    pub(super) fn get(&self, order: &OrderId) -> Option<&OrderSnapshot> {
        self.now.get(order).map(Arc::as_ref)
    }

    /// The order changes no more; after `keep_ms` nobody asks for it.
    pub(super) fn finish(&mut self, at: UtcMs, order: OrderId, keep_ms: i64) {
        self.finished.push_back((at, order));
        while let Some((_, order)) = self.finished.pop_front_if(|(done, _)| done.plus_ms(keep_ms) < at) {
            self.settle(at);
            self.now.remove(&order);
            if let Some(changed) = self.changed.remove(&order) {
                self.readable.remove(&(changed, order));
            }
        }
    }

    /// Moves what has become readable to where reads find it.
    fn settle(&mut self, now: UtcMs) {
        while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, number), version) = entry.remove_entry();
            let id = version.id.clone();
            if let Some(changed) = self.changed.get(&id) {
                let key = (*changed, id.clone());
                // A later version may have become readable sooner.
                if self.readable.get(&key).is_some_and(|(shown, _)| *shown > number) {
                    self.unread.remove(&number);
                    continue;
                }
                if let Some((old, _)) = self.readable.remove(&key) {
                    self.unread.remove(&old);
                }
            }
            self.changed.insert(id.clone(), version.updated_at);
            self.readable.insert((version.updated_at, id), (number, version));
        }
    }

    /// From when on a read shows something that none has shown yet; `None`: nothing is on its way.
    pub(super) fn news_from(&self) -> Option<UtcMs> {
        self.unread.values().map(|(readable_at, _)| *readable_at).min()
    }

    /// The places whose numbers have moved with what no read has shown yet.
    pub(super) fn moved(&self) -> impl Iterator<Item = usize> {
        self.unread.values().flat_map(|(_, moved)| moved.iter().copied())
    }

    /// A read of numbers has shown this place's.
    pub(super) fn number_read(&mut self, place: usize) {
        for (_, moved) in self.unread.values_mut() {
            moved.retain(|other| *other != place);
        }
    }

    /// Oldest change first, from a cursor of change and id: what changes meanwhile moves to a later page.
    pub(super) fn page(
        &mut self,
        now: UtcMs,
        since: UtcMs,
        page: Option<&PageToken>,
        most: usize,
    ) -> OrdersPage {
        self.settle(now);
        let after = page.and_then(|page| {
            let (changed, id) = page.as_str().split_once('/')?;
            Some((UtcMs(changed.parse().ok()?), OrderId::new(id)))
        });
        let start = match after {
            Some(after) if after.0 >= since => Bound::Excluded(after),
            _ => Bound::Included((since, OrderId::new(""))),
        };
        let mut rows = self.readable.range((start, Bound::Unbounded));
        let mut orders = Vec::new();
        for (_, (number, version)) in rows.by_ref().take(most) {
            self.unread.remove(number);
            orders.push(version.as_ref().clone());
        }
        let more = rows.next().is_some();
        let last = orders.last().filter(|_| more);
        let next = last.map(|order| PageToken::new(format!("{}/{}", order.updated_at.0, order.id)));
        OrdersPage { orders, next, rejected: Vec::new() }
    }

    /// Those of these orders that are readable.
    pub(super) fn by_id(&mut self, now: UtcMs, ids: &[&OrderId]) -> OrdersPage {
        self.settle(now);
        let found = ids.iter().filter_map(|id| {
            let key = (*self.changed.get(*id)?, OrderId::clone(id));
            self.readable.get(&key).map(|(_, version)| version.as_ref().clone())
        });
        OrdersPage { orders: found.collect(), next: None, rejected: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: &str, updated_at: i64) -> OrderSnapshot {
        OrderSnapshot {
            id: OrderId::new(id),
            number: id.to_owned(),
            created_at: UtcMs(0),
            updated_at: UtcMs(updated_at),
            lines: Vec::new(),
            unknown_state: None,
        }
    }

    fn seen(orders: &mut Orders, now: i64, since: i64) -> Vec<(String, i64)> {
        let page = orders.page(UtcMs(now), UtcMs(since), None, 100);
        page.orders.iter().map(|o| (o.id.to_string(), o.updated_at.0)).collect()
    }

    #[test]
    fn a_read_shows_the_latest_readable_version_of_each_order_changed_since() {
        let mut orders = Orders::default();
        orders.put(order("a", 1_000), UtcMs(1_500), Vec::new());
        orders.put(order("b", 2_000), UtcMs(9_000), Vec::new());
        orders.put(order("a", 3_000), UtcMs(3_500), Vec::new());
        assert_eq!(seen(&mut orders, 3_000, 0), [("a".to_owned(), 1_000)]);
        assert_eq!(seen(&mut orders, 4_000, 0), [("a".to_owned(), 3_000)]);
        assert_eq!(seen(&mut orders, 9_000, 2_000), [("b".to_owned(), 2_000), ("a".to_owned(), 3_000)]);
        assert_eq!(seen(&mut orders, 9_000, 2_001), [("a".to_owned(), 3_000)]);
    }

    #[test]
    fn an_older_version_that_becomes_readable_later_replaces_nothing() {
        let mut orders = Orders::default();
        orders.put(order("a", 1_000), UtcMs(9_000), Vec::new());
        orders.put(order("a", 2_000), UtcMs(3_000), Vec::new());
        assert_eq!(seen(&mut orders, 10_000, 0), [("a".to_owned(), 2_000)]);
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let mut orders = Orders::default();
        for n in 0..10 {
            orders.put(order(&n.to_string(), 1_000 * (n / 3)), UtcMs(0), Vec::new());
        }
        let (mut page, mut ids) = (None, Vec::new());
        loop {
            let read = orders.page(UtcMs(0), UtcMs(1_000), page.as_ref(), 2);
            ids.extend(read.orders.iter().map(|o| o.id.to_string()));
            let Some(next) = read.next else { break };
            page = Some(next);
        }
        assert_eq!(ids, ["3", "4", "5", "6", "7", "8", "9"]);
    }

    #[test]
    fn a_finished_order_is_forgotten_once_nobody_asks_for_it() {
        let mut orders = Orders::default();
        orders.put(order("a", 0), UtcMs(0), Vec::new());
        orders.finish(UtcMs(1_000), OrderId::new("a"), 5_000);
        orders.finish(UtcMs(6_000), OrderId::new("b"), 5_000);
        assert_eq!(seen(&mut orders, 6_000, 0).len(), 1);
        orders.finish(UtcMs(6_001), OrderId::new("c"), 5_000);
        assert!(seen(&mut orders, 6_001, 0).is_empty());
        assert!(orders.get(&OrderId::new("a")).is_none());
    }
}
