//! One number that a shop shows: what it is now, and what a read that lags behind says of it.

use std::collections::VecDeque;

use crate::domain::UtcMs;

/// How far back a count may lie, in milliseconds.
const COUNT_MEMORY_MS: i64 = 86_400_000;

/// How far reads lag behind, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lags {
    /// Any change.
    pub(super) any_ms: i64,
    /// Sales, on top of that.
    pub(super) sales_ms: i64,
}

/// What a shop shows of a listing at a location.
#[derive(Clone, Debug)]
pub(super) struct Number {
    shown: i64,
    /// What was shown from when on, as far back as a read may lag.
    past: VecDeque<(UtcMs, i64)>,
    /// The shop's own sales (below 0) and give-backs, as far back as a read or a count may reach.
    own: VecDeque<(UtcMs, i64)>,
    set_at: UtcMs,
    counted_at: UtcMs,
}

impl Number {
    pub(super) fn new(shown: i64) -> Self {
        let never = UtcMs(i64::MIN);
        let past = VecDeque::from([(never, shown)]);
        Self { shown, past, own: VecDeque::new(), set_at: never, counted_at: never }
    }

    pub(super) const fn shown(&self) -> i64 {
        self.shown
    }

    /// An order takes units, or gives some back.
    pub(super) fn move_by(&mut self, now: UtcMs, delta: i64, lags: Lags) {
        self.own.push_back((now, delta));
        self.put(now, self.shown + delta, lags);
    }

    /// A write, or a hand.
    pub(super) fn set(&mut self, now: UtcMs, value: i64, lags: Lags) {
        self.set_at = now;
        self.put(now, value, lags);
    }

    /// `value` units were there at `counted_at`: what the shop sold and took back since comes on top. A count older than
    /// another changes nothing. Gives what is shown from now on, if that is news.
    pub(super) fn count(&mut self, now: UtcMs, value: i64, counted_at: UtcMs, lags: Lags) -> Option<i64> {
        if counted_at <= self.counted_at {
            return None;
        }
        self.counted_at = counted_at;
        let since: i64 = self.own.iter().filter(|(at, _)| *at > counted_at).map(|(_, delta)| delta).sum();
        self.set(now, value + since, lags);
        Some(self.shown)
    }

    fn put(&mut self, now: UtcMs, shown: i64, lags: Lags) {
        self.shown = shown;
        self.past.push_back((now, shown));
        let seen = now.plus_ms(-lags.any_ms);
        while self.past.get(1).is_some_and(|(at, _)| *at <= seen) {
            self.past.pop_front();
        }
        let asked = now.plus_ms(-COUNT_MEMORY_MS);
        while self.own.pop_front_if(|(at, _)| *at < asked).is_some() {}
    }

    /// What a read says.
    pub(super) fn read(&self, now: UtcMs, lags: Lags) -> i64 {
        let seen = now.plus_ms(-lags.any_ms);
        let shown =
            self.past.iter().rev().find(|(at, _)| *at <= seen).map_or(self.shown, |(_, shown)| *shown);
        if lags.sales_ms == 0 {
            return shown;
        }
        let hidden_from = seen.plus_ms(-lags.sales_ms).max(self.set_at);
        let hidden = self.own.iter().rev().take_while(|(at, _)| *at > hidden_from);
        shown - hidden.filter(|(at, delta)| *at <= seen && *delta < 0).map(|(_, delta)| delta).sum::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_leaves_what_was_sold_and_given_back_since() {
        let (mut number, lags) = (Number::new(10), Lags::default());
        number.move_by(UtcMs(100), -1, lags);
        number.move_by(UtcMs(200), -4, lags);
        number.move_by(UtcMs(300), 1, lags);
        assert_eq!(number.count(UtcMs(400), 20, UtcMs(100), lags), Some(17));
        assert_eq!(number.count(UtcMs(500), 50, UtcMs(100), lags), None, "an older count changes nothing");
        assert_eq!(number.shown(), 17);
    }

    #[test]
    fn sales_stay_out_of_reads_for_a_while_give_backs_do_not() {
        let (mut number, lags) = (Number::new(10), Lags { any_ms: 0, sales_ms: 1_000 });
        number.move_by(UtcMs(100), -3, lags);
        assert_eq!((number.shown(), number.read(UtcMs(900), lags)), (7, 10));
        number.move_by(UtcMs(900), 2, lags);
        assert_eq!((number.read(UtcMs(900), lags), number.read(UtcMs(1_101), lags)), (12, 9));
        number.move_by(UtcMs(1_200), -1, lags);
        number.set(UtcMs(1_300), 5, lags);
        assert_eq!(number.read(UtcMs(1_300), lags), 5, "a write replaces what was hidden");
    }

    #[test]
    fn a_read_that_lags_shows_what_was() {
        let (mut number, lags) = (Number::new(10), Lags { any_ms: 500, sales_ms: 0 });
        number.set(UtcMs(1_000), 4, lags);
        assert_eq!((number.read(UtcMs(1_400), lags), number.read(UtcMs(1_500), lags)), (10, 4));
    }
}
