//! How long a sale takes to become known and a push to land, measured per channel.

use std::{collections::VecDeque, time::Duration};

use super::{Engine, Result, poll};
use crate::{
    domain::{Now, OrderSnapshot, UtcMs},
    ledger::DelayRow,
};

/// How many measurements are kept of each sort.
const KEPT: usize = 500;
/// How many tell enough to be believed.
const ENOUGH: usize = 20;
/// A push that has never been measured takes no longer than this to land.
const PUSH: Duration = Duration::from_secs(2);

/// The last few hundred of some numbers, with their quantiles.
#[derive(Debug, Default)]
pub(super) struct Recent {
    by_time: VecDeque<u64>,
    sorted: Vec<u64>,
}

impl Recent {
    pub(super) fn put(&mut self, value: u64) {
        if self.by_time.len() >= KEPT
            && let Some(oldest) = self.by_time.pop_front()
        {
            let at = self.sorted.partition_point(|had| *had < oldest);
            self.sorted.remove(at);
        }
        self.by_time.push_back(value);
        let at = self.sorted.partition_point(|had| *had < value);
        self.sorted.insert(at, value);
    }

    /// The number that `percent` of all are not above; `None` before there are enough.
    pub(super) fn quantile(&self, percent: usize) -> Option<u64> {
        let last = self.sorted.len().checked_sub(1).filter(|_| self.sorted.len() >= ENOUGH)?;
        self.sorted.get((self.sorted.len() * percent / 100).min(last)).copied()
    }
}

/// What has been measured on a channel, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Delays {
    /// From a sale to its order being read.
    known: Recent,
    /// From a decrease being wanted to its answer.
    landed: Recent,
    /// What an earlier run measured.
    earlier: Option<DelayRow>,
    /// Whether there is something new to be recorded.
    news: bool,
}

impl Delays {
    /// The time after which nearly every sale is known; `None` before it has been measured.
    pub(super) fn known(&self) -> Option<Duration> {
        let earlier = || self.earlier.as_ref().map(|row| row.known_p99_ms.unsigned_abs());
        self.known.quantile(99).or_else(earlier).map(Duration::from_millis)
    }

    fn landed(&self) -> Option<Duration> {
        let earlier = || self.earlier.as_ref().and_then(|row| row.landed_p99_ms).map(i64::unsigned_abs);
        self.landed.quantile(99).or_else(earlier).map(Duration::from_millis)
    }

    pub(super) fn has_landed(&mut self, took: Duration) {
        self.landed.put(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }
}

impl Engine {
    /// The longest time that passes, but for one time in a hundred, from a sale on a channel to a push that answers it.
    pub(super) fn sync_delay(&self, at: usize) -> Duration {
        let channel = &self.channels[at];
        poll::known_after(channel) + channel.delays.landed().unwrap_or(PUSH)
    }

    /// An order that was never seen before tells how late it comes. `date` is the time of reading by the channel's clock.
    pub(super) fn measure_known(&mut self, at: usize, date: UtcMs, order: &OrderSnapshot) {
        let late = date.0.saturating_sub(order.created_at.0).max(0);
        let delays = &mut self.channels[at].delays;
        delays.known.put(late.unsigned_abs());
        delays.news = true;
    }

    /// Records what has been measured, with orders that are recorded anyway.
    pub(super) fn record_delays(&mut self, now: Now, at: usize) -> Result<()> {
        let channel = &mut self.channels[at];
        if !std::mem::take(&mut channel.delays.news) {
            return Ok(());
        }
        let signed = |value: Option<u64>| value.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let known = |percent| signed(channel.delays.known.quantile(percent));
        let (Some(known_p50_ms), Some(known_p99_ms)) = (known(50), known(99)) else { return Ok(()) };
        let row = DelayRow {
            at: now.utc,
            known_p50_ms,
            known_p99_ms,
            landed_p50_ms: signed(channel.delays.landed.quantile(50)),
            landed_p99_ms: signed(channel.delays.landed.quantile(99)),
        };
        self.ledger.note_delay(&channel.settings.id, &row)
    }

    pub(super) fn load_delays(&mut self, at: usize) -> Result<()> {
        self.channels[at].delays.earlier = self.ledger.delay(&self.channels[at].settings.id)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_last_few_hundred() {
        let mut recent = Recent::default();
        (0..10).for_each(|_| recent.put(5));
        assert_eq!(recent.quantile(99), None, "ten tell too little");
        (0..2_000).for_each(|n| recent.put(n));
        assert_eq!(recent.quantile(50), Some(1_750));
        assert_eq!(recent.quantile(99), Some(1_995));
        (0..KEPT).for_each(|_| recent.put(7));
        assert_eq!((recent.quantile(1), recent.quantile(99)), (Some(7), Some(7)));
    }
}
