//! Pacing: what a channel's limit lets through, and when.
//!
//! A static quota of calls lives in `governor`, started empty so that a restart grants no second burst. A bucket of
//! points whose state the channel tells in each reply is kept here. Both run on the time they are told.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use governor::{
    RateLimiter,
    clock::FakeRelativeClock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};

use crate::domain::{Call, Capabilities, Costs, Meter, Quota};

/// Sorts of calls that cost alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Sort {
    Identify,
    Orders,
    Listings,
    Levels,
    Write,
}

impl Sort {
    pub(super) const fn of(call: &Call) -> Self {
        match call {
            Call::Identify => Self::Identify,
            Call::Orders { .. } | Call::OrdersById(_) => Self::Orders,
            Call::Listings { .. } => Self::Listings,
            Call::Levels(_) => Self::Levels,
            Call::Write { .. } => Self::Write,
        }
    }

    /// The size by which a call of this sort is priced: a power of two of its places where it reads them one by one.
    const fn size(self, places: usize) -> usize {
        match self {
            Self::Levels if places > 1 => places.next_power_of_two(),
            _ => 1,
        }
    }

    const fn expected(self, costs: &Costs) -> u32 {
        match self {
            Self::Identify => costs.identify,
            Self::Orders => costs.orders,
            Self::Listings => costs.listings,
            Self::Levels => costs.levels,
            Self::Write => costs.write,
        }
    }
}

/// What is left of a channel's limit.
#[derive(Debug)]
pub(super) struct Budget {
    bucket: Bucket,
    costs: Costs,
    /// The highest price asked for each sort, by size: places are priced by the dozen, pages and writes by the piece.
    learned: BTreeMap<(Sort, usize), f64>,
}

#[derive(Debug)]
enum Bucket {
    Calls(Calls),
    Points(Points),
}

type Limiter =
    RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<governor::nanos::Nanos>>;

#[derive(Debug)]
struct Calls {
    limiter: Limiter,
    clock: FakeRelativeClock,
    at: Duration,
    burst: u32,
    /// Calls taken that were not paid for (above 0), or paid for and not made (below 0).
    debt: i64,
}

#[derive(Debug)]
struct Points {
    available: f64,
    maximum: f64,
    restore_per_second: f64,
    at: Duration,
    in_flight: f64,
}

/// The part of a published rate that is used: the server's clock isn't ours, and its bucket sees our calls with jitter.
const USED_SHARE: f64 = 0.98;

impl Budget {
    pub(super) fn new(capabilities: &Capabilities, now: Duration) -> Self {
        let bucket = match capabilities.quota {
            Quota::Calls { per_second, burst } => Bucket::Calls(Calls::new(per_second, burst, now)),
            Quota::Points { maximum, restore_per_second } => Bucket::Points(Points {
                available: 0.0,
                maximum,
                restore_per_second,
                at: now,
                in_flight: 0.0,
            }),
        };
        Self { bucket, costs: capabilities.costs, learned: BTreeMap::new() }
    }

    /// What a call costs that is about so many places.
    pub(super) fn cost(&self, sort: Sort, places: usize) -> f64 {
        let size = sort.size(places);
        let nearest = self.learned.range(..=(sort, size)).next_back().filter(|((had, _), _)| *had == sort);
        let learned =
            nearest.map(|((_, had), price)| price * f64::from(u32::try_from(size / had).unwrap_or(1)));
        learned.unwrap_or_else(|| f64::from(sort.expected(&self.costs)))
    }

    /// Pays, or says how long to wait until the price is there.
    pub(super) fn take(&mut self, now: Duration, cost: f64) -> Result<(), Duration> {
        match &mut self.bucket {
            Bucket::Calls(calls) => calls.take(now, cost),
            Bucket::Points(points) => points.take(now, cost),
        }
    }

    /// Gives back what was paid for calls that were not made after all.
    pub(super) fn refund(&mut self, cost: f64) {
        match &mut self.bucket {
            Bucket::Calls(calls) => calls.debt -= whole(cost),
            Bucket::Points(points) => {
                points.available = (points.available + cost).min(points.maximum);
                points.in_flight -= cost;
            }
        }
    }

    /// What was paid for the calls that are under way; all other payments are spent.
    pub(super) const fn count_under_way(&mut self, paid: f64) {
        if let Bucket::Points(points) = &mut self.bucket {
            points.in_flight = paid;
        }
    }

    /// Takes in what a reply told. `cost` is what was paid for its call.
    pub(super) fn told(&mut self, now: Duration, sort: Sort, places: usize, cost: f64, meter: &Meter) {
        match &mut self.bucket {
            Bucket::Calls(calls) => calls.debt += i64::from(meter.requests) - whole(cost),
            Bucket::Points(points) => {
                points.told(now, cost, meter);
                if let Some(requested) = meter.requested_cost {
                    let learned = self.learned.entry((sort, sort.size(places))).or_insert(requested);
                    *learned = learned.max(requested).min(points.maximum);
                }
            }
        }
    }
}

impl Calls {
    fn new(per_second: f64, burst: u32, now: Duration) -> Self {
        let clock = FakeRelativeClock::default();
        let usable = burst.saturating_sub(1).max(1);
        let burst = NonZeroU32::new(usable).unwrap_or(NonZeroU32::MIN);
        let period = Duration::from_secs_f64(1.0 / (per_second * USED_SHARE).max(1e-6));
        let quota = governor::Quota::with_period(period)
            .unwrap_or_else(|| governor::Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        let _started_empty = limiter.check_n(burst);
        Self { limiter, clock, at: now, burst: usable, debt: 0 }
    }

    fn take(&mut self, now: Duration, cost: f64) -> Result<(), Duration> {
        self.clock.advance(now.saturating_sub(self.at));
        self.at = self.at.max(now);
        let price = whole(cost) + self.debt;
        let now_due = price.clamp(0, i64::from(self.burst));
        if let Some(n) = u32::try_from(now_due).ok().and_then(NonZeroU32::new)
            && let Ok(Err(not_until)) = self.limiter.check_n(n)
        {
            use governor::clock::Clock;
            return Err(not_until.wait_time_from(self.clock.now()).max(Duration::from_millis(1)));
        }
        self.debt = price - now_due;
        Ok(())
    }
}

impl Points {
    fn restore(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.available = (self.available + passed * self.restore_per_second).min(self.maximum);
        self.at = self.at.max(now);
    }

    fn take(&mut self, now: Duration, cost: f64) -> Result<(), Duration> {
        self.restore(now);
        // A call dearer than the whole bucket must be tried with a full one; the channel has the last word.
        let needed = cost.min(self.maximum);
        if self.available < needed {
            let wait = (needed - self.available) / self.restore_per_second.max(1e-6);
            return Err(Duration::from_secs_f64(wait.clamp(0.001, 3_600.0)));
        }
        self.available -= cost;
        self.in_flight += cost;
        Ok(())
    }

    fn told(&mut self, now: Duration, cost: f64, meter: &Meter) {
        self.restore(now);
        self.in_flight = (self.in_flight - cost).max(0.0);
        if let Some(reading) = meter.budget {
            self.maximum = reading.maximum.max(1.0);
            self.restore_per_second = reading.restore_per_second.max(1e-6);
            // Calls in flight may not be in the reading yet: counted as if none were.
            self.available = (reading.available - self.in_flight).min(self.maximum);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "costs of calls are small whole numbers")]
fn whole(cost: f64) -> i64 {
    cost.ceil() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BudgetReading;

    fn calls(per_second: f64, burst: u32) -> Budget {
        Budget {
            bucket: Bucket::Calls(Calls::new(per_second, burst, Duration::ZERO)),
            costs: Costs { identify: 1, orders: 1, listings: 1, levels: 1, write: 1 },
            learned: BTreeMap::new(),
        }
    }

    fn points(maximum: f64, restore_per_second: f64) -> Budget {
        Budget {
            bucket: Bucket::Points(Points {
                available: 0.0,
                maximum,
                restore_per_second,
                at: Duration::ZERO,
                in_flight: 0.0,
            }),
            costs: Costs { identify: 1, orders: 10, listings: 50, levels: 20, write: 10 },
            learned: BTreeMap::new(),
        }
    }

    #[test]
    fn a_restart_grants_no_second_burst() {
        let mut budget = calls(2.0, 5);
        assert!(budget.take(Duration::ZERO, 1.0).is_err());
        assert!(budget.take(Duration::from_millis(520), 1.0).is_ok());
    }

    #[test]
    fn calls_in_the_long_run_stay_within_the_rate_and_use_most_of_it() {
        let mut budget = calls(2.0, 5);
        let (mut now, mut made) = (Duration::ZERO, 0);
        while now < Duration::from_secs(100) {
            match budget.take(now, 1.0) {
                Ok(()) => made += 1,
                Err(wait) => now += wait,
            }
        }
        assert!((190..=200).contains(&made), "{made}");
    }

    #[test]
    fn calls_made_beyond_what_was_paid_are_owed() {
        let mut budget = calls(2.0, 5);
        let start = Duration::from_secs(10);
        assert!(budget.take(start, 1.0).is_ok());
        budget.told(start, Sort::Listings, 1, 1.0, &Meter { requests: 4, ..Meter::default() });
        assert!(budget.take(start, 1.0).is_err());
    }

    #[test]
    fn a_reading_counts_less_what_is_in_flight() {
        let mut budget = points(100.0, 10.0);
        let now = Duration::from_secs(10);
        assert!(budget.take(now, 40.0).is_ok());
        assert!(budget.take(now, 40.0).is_ok());
        let reading = BudgetReading { available: 60.0, maximum: 100.0, restore_per_second: 10.0 };
        let meter =
            Meter { budget: Some(reading), requested_cost: Some(40.0), requests: 1, ..Meter::default() };
        budget.told(now, Sort::Write, 250, 40.0, &meter);
        assert_eq!(budget.take(now, 30.0), Err(Duration::from_secs(1)));
        assert!(
            (budget.cost(Sort::Write, 3) - 40.0).abs() < f64::EPSILON,
            "the price is learned from replies"
        );
        budget.told(now, Sort::Levels, 2, 40.0, &Meter { requested_cost: Some(7.0), ..meter });
        assert!((budget.cost(Sort::Levels, 2) - 7.0).abs() < f64::EPSILON);
        assert!(budget.cost(Sort::Levels, 30) > 7.0, "more places than were ever read cost more");
    }
}
