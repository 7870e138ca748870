//! How long the places of a SKU take to follow a sale.

use std::collections::{BTreeMap, HashMap};

use super::book::EventIx;
use crate::domain::UtcMs;

/// Delays are kept to this many parts of their power of two, so that years of them take no room.
const PARTS: i64 = 64;

/// Delays from a sale until the last other place has followed.
#[derive(Clone, Debug, Default)]
pub struct Convergence {
    /// When a sale was made, and how many places have yet to follow it.
    open: HashMap<EventIx, (UtcMs, u32)>,
    /// How often each delay occurred, in milliseconds.
    delays: BTreeMap<i64, u64>,
}

impl Convergence {
    pub(super) fn begin(&mut self, sale: EventIx, at: UtcMs, places: u32) {
        if places > 0 {
            self.open.insert(sale, (at, places));
        }
    }

    pub(super) fn followed(&mut self, sale: EventIx, at: UtcMs) {
        let Some((sold_at, left)) = self.open.get_mut(&sale) else { return };
        *left -= 1;
        if *left == 0 {
            *self.delays.entry(rounded(at.since(*sold_at))).or_default() += 1;
            self.open.remove(&sale);
        }
    }

    /// The delay in milliseconds that `percent` of a hundred sales stayed within, to 2 %; `None`: nothing had to
    /// follow anything.
    pub fn percentile(&self, percent: u64) -> Option<i64> {
        let all: u64 = self.delays.values().sum();
        let mut rank = (all * percent).div_ceil(100).max(1);
        for (delay, count) in &self.delays {
            if *count >= rank {
                return Some(*delay);
            }
            rank -= count;
        }
        None
    }

    /// Sales that some place has not followed yet.
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

fn rounded(ms: i64) -> i64 {
    let step = (ms.max(1).cast_unsigned().next_power_of_two().cast_signed() / PARTS).max(1);
    ms.div_euclid(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sale_counts_when_the_last_place_has_followed() {
        let mut convergence = Convergence::default();
        convergence.begin(1, UtcMs(1_000), 2);
        convergence.begin(2, UtcMs(1_000), 0);
        convergence.followed(1, UtcMs(1_010));
        assert_eq!((convergence.percentile(50), convergence.open()), (None, 1));
        convergence.followed(1, UtcMs(1_050));
        assert_eq!((convergence.percentile(50), convergence.open()), (Some(50), 0));
    }

    #[test]
    fn percentiles_are_within_two_percent() {
        let mut convergence = Convergence::default();
        for ms in 1..=10_000 {
            convergence.begin(1, UtcMs(0), 1);
            convergence.followed(1, UtcMs(ms));
        }
        for (percent, exact) in [(50, 5_000.0), (99, 9_900.0)] {
            let found = i32::try_from(convergence.percentile(percent).unwrap()).unwrap();
            assert!((f64::from(found) / exact - 1.0).abs() < 0.02, "{found}");
        }
    }
}
