//! Pacing: what a channel's limits let through, and when.
//!
//! Every limit is a bucket that fills with time. It starts empty, so that a restart grants no second burst. Where the
//! channel tells the state of its own bucket in each reply, that is believed; a limit of calls is kept here alone. Calls
//! whose sort the channel counts by itself are paid from a bucket of their own.

use std::{collections::BTreeMap, time::Duration};

use crate::domain::{BudgetReading, Call, Capabilities, Costs, Meter, Quota};

/// Sorts of calls that cost alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Sort {
    Identify,
    Orders,
    OrdersById,
    Listings,
    Levels,
    Write,
}

impl Sort {
    pub(super) const fn of(call: &Call) -> Self {
        match call {
            Call::Identify => Self::Identify,
            Call::Orders { .. } => Self::Orders,
            Call::OrdersById(_) => Self::OrdersById,
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
            Self::Orders | Self::OrdersById => costs.orders,
            Self::Listings => costs.listings,
            Self::Levels => costs.levels,
            Self::Write => costs.write,
        }
    }
}

/// What must stay in a bucket when something is paid, for what matters more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Keep {
    /// Nothing.
    Nothing,
    /// A share of the bucket, for decreases.
    Share,
    /// Enough for one call like this.
    Another,
}

/// What is paid at once: the price of each call, and what must stay.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Price {
    pub(super) calls: Vec<(Sort, f64)>,
    pub(super) keep: Keep,
}

impl Price {
    /// What was paid for calls of a sort; `None`: none is among them.
    pub(super) fn of(&self, sort: Sort) -> Option<f64> {
        self.calls.iter().find(|(of, _)| *of == sort).map(|(_, price)| *price)
    }

    /// What must be there.
    pub(super) fn needs(&self) -> f64 {
        self.total() * if self.keep == Keep::Another { 2.0 } else { 1.0 }
    }

    pub(super) fn total(&self) -> f64 {
        self.calls.iter().map(|(_, price)| price).sum()
    }
}

/// What is left of a channel's limits.
#[derive(Debug)]
pub(super) struct Budget {
    /// The shared bucket and those of orders, levels and writes.
    buckets: [Option<Bucket>; PURSES],
    costs: Costs,
    /// The highest price asked for each sort, by size: places are priced by the dozen, pages and writes by the piece.
    learned: BTreeMap<(Sort, usize), f64>,
}

/// A bucket by its number; 0 is the shared one.
type Purse = usize;
const PURSES: usize = 4;

/// Which buckets have been found short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Short([bool; PURSES]);

#[derive(Debug)]
struct Bucket {
    /// Below 0: calls were made that were not paid for.
    available: f64,
    maximum: f64,
    per_second: f64,
    at: Duration,
    /// What was paid for calls that have not been answered yet.
    in_flight: f64,
    /// Whether replies tell its state.
    told: bool,
}

/// The part of a published rate that is used: the server's clock isn't ours, and its bucket sees our calls with jitter.
const USED_SHARE: f64 = 0.98;
/// The share of a bucket that increases and looks leave to decreases.
const KEPT_SHARE: f64 = 0.25;
/// What rounding may take off a sum.
const ROUNDING: f64 = 1e-6;

impl Budget {
    pub(super) fn new(capabilities: &Capabilities, now: Duration) -> Self {
        let own = &capabilities.own_quotas;
        let quotas = [Some(capabilities.quota), own.orders, own.levels, own.write];
        let buckets = quotas.map(|quota| quota.map(|quota| Bucket::new(quota, now)));
        Self { buckets, costs: capabilities.costs, learned: BTreeMap::new() }
    }

    /// What a call costs that is about so many places.
    pub(super) fn cost(&self, sort: Sort, places: usize) -> f64 {
        let size = sort.size(places);
        let nearest = self.learned.range(..=(sort, size)).next_back().filter(|((had, _), _)| *had == sort);
        let learned =
            nearest.map(|((_, had), price)| price * f64::from(u32::try_from(size / had).unwrap_or(1)));
        learned.unwrap_or_else(|| f64::from(sort.expected(&self.costs)))
    }

    /// Whether calls of this sort have a limit of their own.
    pub(super) fn has_own(&self, sort: Sort) -> bool {
        self.purse(sort) != 0
    }

    /// What flows back per second for calls of this sort.
    pub(super) fn per_second(&self, sort: Sort) -> f64 {
        self.buckets[self.purse(sort)].as_ref().map_or(f64::INFINITY, |bucket| bucket.per_second)
    }

    /// What is there for calls of this sort at a time to come, if nothing is paid until then.
    pub(super) fn level(&self, at: Duration, sort: Sort) -> f64 {
        self.buckets[self.purse(sort)].as_ref().map_or(f64::INFINITY, |bucket| {
            let passed = at.saturating_sub(bucket.at).as_secs_f64();
            (bucket.available + passed * bucket.per_second).min(bucket.maximum)
        })
    }

    fn purse(&self, sort: Sort) -> Purse {
        let own = match sort {
            Sort::Orders => 1,
            Sort::Levels => 2,
            Sort::Write => 3,
            Sort::Identify | Sort::Listings | Sort::OrdersById => 0,
        };
        if self.buckets[own].is_some() { own } else { 0 }
    }

    /// What is taken from each bucket.
    fn sums(&self, price: &Price) -> [f64; PURSES] {
        let mut sums = [0.0; PURSES];
        for (sort, cost) in &price.calls {
            sums[self.purse(*sort)] += cost;
        }
        sums
    }

    /// Whether anything of this is to be paid from a bucket that has been found short.
    pub(super) fn is_short(&self, price: &Price, short: Short) -> bool {
        price.calls.iter().any(|(sort, _)| short.0[self.purse(*sort)])
    }

    /// How long until this can be paid.
    pub(super) fn wait(&mut self, now: Duration, price: &Price) -> Duration {
        self.lacking(now, price).map_or(Duration::ZERO, |(wait, _)| wait)
    }

    fn lacking(&mut self, now: Duration, price: &Price) -> Option<(Duration, Short)> {
        let (mut longest, mut short) = (Duration::ZERO, Short::default());
        for (purse, cost) in self.sums(price).into_iter().enumerate().filter(|(_, cost)| *cost > 0.0) {
            let Some(bucket) = &mut self.buckets[purse] else { continue };
            if let Some(wait) = bucket.wait(now, cost, price.keep) {
                longest = longest.max(wait);
                short.0[purse] = true;
            }
        }
        (short != Short::default()).then_some((longest, short))
    }

    /// Pays, or says how long to wait until the price is there and adds to `lacking` what is short.
    pub(super) fn take(&mut self, now: Duration, price: &Price, lacking: &mut Short) -> Result<(), Duration> {
        if let Some((wait, short)) = self.lacking(now, price) {
            for (all, one) in lacking.0.iter_mut().zip(short.0) {
                *all |= one;
            }
            return Err(wait);
        }
        for (purse, cost) in self.sums(price).into_iter().enumerate() {
            if let Some(bucket) = &mut self.buckets[purse] {
                bucket.available -= cost;
                bucket.in_flight += cost;
            }
        }
        Ok(())
    }

    /// Gives back what was paid for a call that was not made after all.
    pub(super) fn refund(&mut self, sort: Sort, cost: f64) {
        let purse = self.purse(sort);
        if let Some(bucket) = &mut self.buckets[purse] {
            bucket.available = (bucket.available + cost).min(bucket.maximum);
            bucket.in_flight -= cost;
        }
    }

    /// What was paid for the calls that are under way; all other payments are spent.
    pub(super) fn count_under_way(&mut self, paid: &[(Sort, f64)]) {
        let sums = self.sums(&Price { calls: paid.to_vec(), keep: Keep::Nothing });
        for (bucket, sum) in self.buckets.iter_mut().zip(sums) {
            if let Some(bucket) = bucket {
                bucket.in_flight = sum;
            }
        }
    }

    /// Takes in what a reply told. `cost` is what was paid for its call.
    pub(super) fn told(&mut self, now: Duration, sort: Sort, places: usize, cost: f64, meter: &Meter) {
        let purse = self.purse(sort);
        let Some(bucket) = &mut self.buckets[purse] else { return };
        bucket.restore(now);
        bucket.in_flight = (bucket.in_flight - cost).max(0.0);
        if !bucket.told {
            bucket.available = (bucket.available + cost - f64::from(meter.requests)).min(bucket.maximum);
            return;
        }
        if let Some(reading) = meter.budget {
            bucket.set(reading);
        }
        if let Some(requested) = meter.requested_cost {
            let most = bucket.maximum;
            let learned = self.learned.entry((sort, sort.size(places))).or_insert(requested);
            *learned = learned.max(requested).min(most);
        }
    }

    /// Lets time pass in which calls were not made that would have been: each sort's number of calls at its price.
    pub(super) fn pass(&mut self, until: Duration, calls: &[(Sort, f64, u64)]) {
        for (sort, cost, count) in calls.iter().filter(|(.., count)| *count > 0) {
            let purse = self.purse(*sort);
            if let Some(bucket) = &mut self.buckets[purse] {
                bucket.pass(until, *cost, *count);
            }
        }
    }
}

impl Bucket {
    fn new(quota: Quota, now: Duration) -> Self {
        let (maximum, per_second, told) = match quota {
            // One less at once than allowed: the last one may meet a clock that is a little behind.
            Quota::Calls { per_second, burst } => {
                (f64::from(burst.saturating_sub(1).max(1)), per_second * USED_SHARE, false)
            }
            Quota::Points { maximum, restore_per_second } => (maximum, restore_per_second, true),
        };
        let per_second = per_second.max(1e-6);
        Self { available: 0.0, maximum, per_second, at: now, in_flight: 0.0, told }
    }

    fn restore(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.available = (self.available + passed * self.per_second).min(self.maximum);
        self.at = self.at.max(now);
    }

    fn wait(&mut self, now: Duration, cost: f64, keep: Keep) -> Option<Duration> {
        self.restore(now);
        let kept = match keep {
            Keep::Nothing => 0.0,
            Keep::Share => self.maximum * KEPT_SHARE,
            Keep::Another => cost,
        };
        // A call dearer than the whole bucket must be tried with a full one; the channel has the last word.
        let missing = (cost + kept).min(self.maximum) - self.available;
        (missing > ROUNDING)
            .then(|| Duration::from_secs_f64((missing / self.per_second).clamp(0.001, 86_400.0)))
    }

    fn set(&mut self, reading: BudgetReading) {
        self.maximum = reading.maximum.max(1.0);
        self.per_second = reading.restore_per_second.max(1e-6);
        // Calls in flight may not be in the reading yet: counted as if none were.
        self.available = (reading.available - self.in_flight).min(self.maximum);
    }

    #[expect(clippy::cast_precision_loss, reason = "a sum of prices, good to a millionth")]
    fn pass(&mut self, until: Duration, cost: f64, count: u64) {
        let before = self.available;
        let flowed = until.saturating_sub(self.at).as_secs_f64() * self.per_second;
        self.at = self.at.max(until);
        // Each call found the bucket full at best, the last one too; and it found its price.
        let full = (self.maximum - cost).max(before);
        self.available = (before + flowed - cost * count as f64).clamp(before.min(0.0), full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::OwnQuotas;

    const CALLS: Costs = Costs { identify: 1, orders: 1, listings: 1, levels: 1, write: 1 };
    const POINTS: Costs = Costs { identify: 1, orders: 10, listings: 50, levels: 20, write: 10 };

    fn budget(quota: Quota, own: OwnQuotas, costs: Costs) -> Budget {
        let quotas = [Some(quota), own.orders, own.levels, own.write];
        let buckets = quotas.map(|quota| quota.map(|quota| Bucket::new(quota, Duration::ZERO)));
        Budget { buckets, costs, learned: BTreeMap::new() }
    }

    fn calls(per_second: f64, burst: u32) -> Budget {
        budget(Quota::Calls { per_second, burst }, OwnQuotas::default(), CALLS)
    }

    fn points(maximum: f64, restore_per_second: f64) -> Budget {
        budget(Quota::Points { maximum, restore_per_second }, OwnQuotas::default(), POINTS)
    }

    fn take(budget: &mut Budget, now: Duration, sort: Sort, cost: f64) -> Result<(), Duration> {
        let price = Price { calls: vec![(sort, cost)], keep: Keep::Nothing };
        budget.take(now, &price, &mut Short::default())
    }

    #[test]
    fn a_restart_grants_no_second_burst() {
        let mut budget = calls(2.0, 5);
        assert!(take(&mut budget, Duration::ZERO, Sort::Orders, 1.0).is_err());
        assert!(take(&mut budget, Duration::from_millis(520), Sort::Orders, 1.0).is_ok());
    }

    #[test]
    fn calls_in_the_long_run_stay_within_the_rate_and_use_most_of_it() {
        let mut budget = calls(2.0, 5);
        let (mut now, mut made) = (Duration::ZERO, 0);
        while now < Duration::from_secs(100) {
            match take(&mut budget, now, Sort::Orders, 1.0) {
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
        assert!(take(&mut budget, start, Sort::Listings, 1.0).is_ok());
        budget.told(start, Sort::Listings, 1, 1.0, &Meter { requests: 4, ..Meter::default() });
        assert!(take(&mut budget, start, Sort::Listings, 1.0).is_err());
    }

    #[test]
    fn a_reading_counts_less_what_is_in_flight() {
        let mut budget = points(100.0, 10.0);
        let now = Duration::from_secs(10);
        assert!(take(&mut budget, now, Sort::Write, 40.0).is_ok());
        assert!(take(&mut budget, now, Sort::Write, 40.0).is_ok());
        let reading = BudgetReading { available: 60.0, maximum: 100.0, restore_per_second: 10.0 };
        let meter =
            Meter { budget: Some(reading), requested_cost: Some(40.0), requests: 1, ..Meter::default() };
        budget.told(now, Sort::Write, 250, 40.0, &meter);
        assert_eq!(take(&mut budget, now, Sort::Write, 30.0), Err(Duration::from_secs(1)));
        assert!(
            (budget.cost(Sort::Write, 3) - 40.0).abs() < f64::EPSILON,
            "the price is learned from replies"
        );
        budget.told(now, Sort::Levels, 2, 40.0, &Meter { requested_cost: Some(7.0), ..meter });
        assert!((budget.cost(Sort::Levels, 2) - 7.0).abs() < f64::EPSILON);
        assert!(budget.cost(Sort::Levels, 30) > 7.0, "more places than were ever read cost more");
    }

    #[test]
    fn a_sort_with_a_limit_of_its_own_leaves_the_others_theirs() {
        let own =
            OwnQuotas { orders: Some(Quota::Calls { per_second: 0.01, burst: 3 }), ..OwnQuotas::default() };
        let mut budget = budget(Quota::Calls { per_second: 10.0, burst: 11 }, own, CALLS);
        let now = Duration::from_secs(10);
        let mut short = Short::default();
        let poll = Price { calls: vec![(Sort::Orders, 1.0)], keep: Keep::Nothing };
        assert!(budget.take(now, &poll, &mut short).is_err());
        assert!(budget.is_short(&poll, short));
        let fence = Price { calls: vec![(Sort::Levels, 1.0), (Sort::Write, 1.0)], keep: Keep::Nothing };
        assert!(!budget.is_short(&fence, short));
        assert!(budget.take(now, &fence, &mut short).is_ok());
        let all = Price { calls: vec![(Sort::Orders, 1.0), (Sort::Write, 1.0)], keep: Keep::Nothing };
        assert!(budget.take(now, &all, &mut short).is_err());
        budget.take(now, &Price { calls: vec![(Sort::Write, 8.0)], ..all }, &mut short).unwrap();
    }

    #[test]
    fn increases_leave_a_share_of_the_bucket_to_decreases() {
        let mut budget = calls(1.0, 9);
        let now = Duration::from_secs(3);
        let raise = Price { calls: vec![(Sort::Write, 1.0)], keep: Keep::Share };
        let taken = (0..9).filter(|_| budget.take(now, &raise, &mut Short::default()).is_ok()).count();
        assert!(taken < 2, "{taken} increases of 2.9 calls, 2 are kept");
        assert!(take(&mut budget, now, Sort::Write, 1.0).is_ok());
        let mut small = calls(1.0, 2);
        assert!(
            small.take(now, &raise, &mut Short::default()).is_ok(),
            "a full bucket is enough for everything"
        );
    }

    #[test]
    fn calls_that_were_passed_over_count_as_paid() {
        let mut budget = calls(1.0, 101);
        budget.pass(Duration::from_secs(50), &[(Sort::Orders, 1.0, 25)]);
        let left = budget.buckets[0].as_ref().unwrap().available;
        assert!((left - 24.0).abs() < 0.1, "{left}");
        budget.pass(Duration::from_mins(1), &[(Sort::Orders, 1.0, 1_000)]);
        let left = budget.buckets[0].as_ref().unwrap().available;
        assert!(left.abs() < 0.1, "they can have taken no more than there was: {left}");
    }
}
