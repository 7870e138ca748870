//! The places that want a write or a read, most urgent first.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use crate::ledger::PlaceId;

/// How urgent a place is, most urgent first (CORRECTNESS.md rule 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Urgency {
    /// Shown though none are left.
    ShownWithoutStock,
    /// More is shown than is available.
    AboveAvailable,
    /// Shown above the target, yet available.
    Decrease,
    /// Only a read can tell what is shown.
    Read,
    /// Shows 0 and could show more.
    FromZero,
    /// Could show more than it does.
    Increase,
}

impl Urgency {
    pub(super) const fn lowers(self) -> bool {
        matches!(self, Self::ShownWithoutStock | Self::AboveAvailable | Self::Decrease)
    }
}

/// How a place is written: at once, or behind a fence of reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Path {
    Direct,
    Fenced,
}

/// A place in the queue.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) place: PlaceId,
    pub(super) urgency: Urgency,
    /// The gap in units; the larger goes first, for a while.
    pub(super) gap: i64,
    pub(super) path: Path,
    pub(super) group: String,
    /// Whether an order explains the change.
    pub(super) explained: bool,
}

/// After this long a place goes before all others, so that none starves.
const MOST_WAIT: Duration = Duration::from_mins(1);
/// How many places are looked at to fill one batch with places of one group.
const LOOK_AHEAD: usize = 5_000;

/// A unit of the gap counts as much as so long a wait, and no gap as more than [`MOST_WAIT`].
const UNIT: Duration = Duration::from_secs(1);

/// By sort, then by what wait and gap are worth together: a smaller gap waits until it has become older by as much.
type Key = (Urgency, Duration, Duration, PlaceId);

/// A queue of places, each at most once.
#[derive(Debug, Default)]
pub(super) struct Queue {
    order: BTreeSet<Key>,
    ages: BTreeSet<(Duration, PlaceId)>,
    entries: HashMap<PlaceId, (Key, Entry)>,
    unexplained: usize,
}

impl Queue {
    /// Puts a place in, or moves it to where it belongs now. It keeps its age.
    pub(super) fn put(&mut self, now: Duration, entry: Entry) {
        let since = self.remove(entry.place).map_or(now, |(since, _)| since);
        let gap = u32::try_from(entry.gap).unwrap_or(u32::MAX);
        // The time of a gap of 0 with the same worth, counted from a time before the start.
        let worth = (since + MOST_WAIT).saturating_sub(UNIT.saturating_mul(gap).min(MOST_WAIT));
        let key = (entry.urgency, worth, since, entry.place);
        self.unexplained += usize::from(!entry.explained && entry.urgency != Urgency::Read);
        self.ages.insert((since, entry.place));
        self.order.insert(key);
        self.entries.insert(entry.place, (key, entry));
    }

    /// Takes a place out. Gives since when it was in.
    pub(super) fn remove(&mut self, place: PlaceId) -> Option<(Duration, Entry)> {
        let (key, entry) = self.entries.remove(&place)?;
        self.order.remove(&key);
        self.ages.remove(&(key.2, place));
        self.unexplained -= usize::from(!entry.explained && entry.urgency != Urgency::Read);
        Some((key.2, entry))
    }

    pub(super) fn get(&self, place: PlaceId) -> Option<&Entry> {
        self.entries.get(&place).map(|(_, entry)| entry)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Places that would change without an order that explains it.
    pub(super) const fn unexplained(&self) -> usize {
        self.unexplained
    }

    /// The place that goes first among those that `may` go.
    pub(super) fn first(&self, now: Duration, may: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let entry_of = |place: &PlaceId| self.entries.get(place).map(|(_, entry)| entry);
        let starved = self
            .ages
            .first()
            .filter(|(since, _)| now.saturating_sub(*since) > MOST_WAIT)
            .and_then(|(_, place)| entry_of(place))
            .filter(|entry| may(entry));
        let urgent = || self.order.iter().filter_map(|key| entry_of(&key.3)).find(|entry| may(entry));
        // What is shown though none are left never waits for anything.
        match self.order.first() {
            Some((Urgency::ShownWithoutStock, ..)) => urgent().or(starved),
            _ => starved.or_else(urgent),
        }
    }

    /// Takes out up to `most` places that can share one call with the first.
    pub(super) fn take_batch(
        &mut self,
        now: Duration,
        most: usize,
        may: impl Fn(&Entry) -> bool,
    ) -> Vec<PlaceId> {
        let Some(first) = self.first(now, &may) else { return Vec::new() };
        let (head, group, path) = (first.place, first.group.clone(), first.path);
        let mut batch = vec![head];
        let others = self
            .order
            .iter()
            .take(LOOK_AHEAD)
            .filter(|key| key.3 != head)
            .filter_map(|key| self.entries.get(&key.3))
            .filter(|(_, entry)| entry.group == group && entry.path == path && may(entry))
            .map(|(_, entry)| entry.place);
        batch.extend(others.take(most.saturating_sub(1)));
        for place in &batch {
            self.remove(*place);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(place: i64, urgency: Urgency, gap: i64, group: &str) -> Entry {
        Entry {
            place: PlaceId(place),
            urgency,
            gap,
            path: Path::Direct,
            group: group.into(),
            explained: true,
        }
    }

    #[test]
    fn what_is_shown_without_stock_goes_first_then_the_widest_gap() {
        let mut queue = Queue::default();
        queue.put(Duration::ZERO, entry(1, Urgency::Increase, 50, ""));
        queue.put(Duration::ZERO, entry(2, Urgency::Decrease, 1, ""));
        queue.put(Duration::ZERO, entry(3, Urgency::Decrease, 9, ""));
        queue.put(Duration::ZERO, entry(4, Urgency::ShownWithoutStock, 1, ""));
        let batch = queue.take_batch(Duration::ZERO, 3, |_| true);
        assert_eq!(batch, [PlaceId(4), PlaceId(3), PlaceId(2)]);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn sorts_go_by_risk() {
        use Urgency::{AboveAvailable, Decrease, FromZero, Increase, Read, ShownWithoutStock};
        let mut queue = Queue::default();
        let sorts = [Increase, FromZero, Read, Decrease, AboveAvailable, ShownWithoutStock];
        for (place, urgency) in (1..).zip(sorts) {
            queue.put(Duration::ZERO, entry(place, urgency, 70 - place, ""));
        }
        let order: Vec<i64> =
            (0..6).flat_map(|_| queue.take_batch(Duration::ZERO, 1, |_| true)).map(|place| place.0).collect();
        assert_eq!(order, [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn a_small_gap_goes_before_larger_ones_once_it_is_older_by_as_much() {
        let mut queue = Queue::default();
        queue.put(Duration::ZERO, entry(1, Urgency::Decrease, 1, ""));
        queue.put(Duration::from_secs(7), entry(2, Urgency::Decrease, 9, ""));
        queue.put(Duration::from_secs(9), entry(3, Urgency::Decrease, 9, ""));
        let order: Vec<i64> = (0..3)
            .flat_map(|_| queue.take_batch(Duration::from_secs(10), 1, |_| true))
            .map(|place| place.0)
            .collect();
        assert_eq!(order, [2, 1, 3]);
    }

    #[test]
    fn a_batch_holds_one_group_only() {
        let mut queue = Queue::default();
        queue.put(Duration::ZERO, entry(1, Urgency::Decrease, 9, "a"));
        queue.put(Duration::ZERO, entry(2, Urgency::Decrease, 8, "b"));
        queue.put(Duration::ZERO, entry(3, Urgency::Increase, 1, "a"));
        assert_eq!(queue.take_batch(Duration::ZERO, 100, |_| true), [PlaceId(1), PlaceId(3)]);
    }

    #[test]
    fn no_place_starves_behind_more_urgent_ones() {
        let mut queue = Queue::default();
        queue.put(Duration::ZERO, entry(1, Urgency::Increase, 1, "a"));
        let late = MOST_WAIT + Duration::from_secs(1);
        queue.put(late, entry(2, Urgency::Decrease, 9, "b"));
        assert_eq!(queue.take_batch(late, 1, |_| true), [PlaceId(1)]);
    }
}
