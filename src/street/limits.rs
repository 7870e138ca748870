//! A shop's limits, as its vendor states them.

use std::time::Duration;

use super::shop::Sort;
use crate::domain::{BudgetReading, Capabilities, OwnQuotas, Quota};

/// How full a bucket must be, beyond what is asked for, for nobody to have to wait for it: users leave a margin.
const MARGIN: f64 = 2.0;

#[derive(Clone, Debug)]
struct Bucket {
    rate: f64,
    most: f64,
    left: f64,
    refilled: Duration,
}

impl Bucket {
    fn full(quota: Quota) -> Self {
        let (rate, most) = match quota {
            Quota::Calls { per_second, burst } => (per_second, f64::from(burst)),
            Quota::Points { maximum, restore_per_second } => (restore_per_second, maximum),
        };
        Self { rate, most, left: most, refilled: Duration::ZERO }
    }

    fn refill(&mut self, at: Duration) {
        let passed = at.saturating_sub(self.refilled).as_secs_f64();
        self.left = (self.left + passed * self.rate).min(self.most);
        self.refilled = at;
    }

    fn wait(&self, cost: f64) -> Duration {
        Duration::from_secs_f64(((cost - self.left) / self.rate.max(1e-6)).clamp(0.0, 86_400.0))
    }
}

/// A bucket for all calls, and those of the sorts that are counted by themselves.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    all: Bucket,
    points: bool,
    orders: Option<Bucket>,
    levels: Option<Bucket>,
    write: Option<Bucket>,
}

impl Limits {
    pub(super) fn new(quota: Quota, own: OwnQuotas) -> Self {
        Self {
            all: Bucket::full(quota),
            points: matches!(quota, Quota::Points { .. }),
            orders: own.orders.map(Bucket::full),
            levels: own.levels.map(Bucket::full),
            write: own.write.map(Bucket::full),
        }
    }

    fn bucket(&mut self, sort: Sort) -> &mut Bucket {
        let own = match sort {
            Sort::Orders => self.orders.as_mut(),
            Sort::Levels => self.levels.as_mut(),
            Sort::Write => self.write.as_mut(),
            Sort::Identify | Sort::Listings | Sort::OrdersById => None,
        };
        own.unwrap_or(&mut self.all)
    }

    /// Pays for a call; gives what is left, or how long to wait.
    pub(super) fn pay(&mut self, at: Duration, sort: Sort, cost: f64) -> Result<f64, Duration> {
        let bucket = self.bucket(sort);
        bucket.refill(at);
        if bucket.left + 1e-9 < cost {
            return Err(bucket.wait(cost).max(Duration::from_secs(1)));
        }
        bucket.left -= cost;
        Ok(bucket.left)
    }

    /// What a reply says of the bucket, where the shop counts in points.
    pub(super) fn reading(&self) -> Option<BudgetReading> {
        let Bucket { rate, most, left, .. } = self.all;
        self.points.then_some(BudgetReading { available: left, maximum: most, restore_per_second: rate })
    }

    /// Whether orders and numbers could be read and a number written right now.
    pub(super) fn have_room(&mut self, at: Duration, capabilities: &Capabilities) -> bool {
        let costs = &capabilities.costs;
        let mut shared = 0.0;
        for (sort, cost) in
            [(Sort::Orders, costs.orders), (Sort::Levels, costs.levels), (Sort::Write, costs.write)]
        {
            let own = match sort {
                Sort::Orders => &mut self.orders,
                Sort::Levels => &mut self.levels,
                _ => &mut self.write,
            };
            let Some(bucket) = own else {
                shared += f64::from(cost);
                continue;
            };
            bucket.refill(at);
            if bucket.left < (f64::from(cost) + MARGIN).min(bucket.most) {
                return false;
            }
        }
        self.all.refill(at);
        self.all.left >= (shared + MARGIN).min(self.all.most)
    }
}
