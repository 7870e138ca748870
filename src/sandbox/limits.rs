//! The two limits: Shopify's bucket of points, and a host that bears so many calls.

use crate::domain::UtcMs;

/// A bucket that refills: Shopify's points, or calls at once.
///
/// Doubt: Shopify never serves a document dearer than its bucket (1000 points at most, buckets of 1000 and more). Where
/// a test makes the bucket smaller than that, such a document is served from a full bucket and empties it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    maximum: f64,
    per_second: f64,
    left: f64,
    as_of: UtcMs,
}

impl Bucket {
    /// A full one.
    pub const fn full(maximum: f64, per_second: f64, now: UtcMs) -> Self {
        Self { maximum, per_second, left: maximum, as_of: now }
    }

    /// Its size.
    pub const fn maximum(&self) -> f64 {
        self.maximum
    }

    /// What flows back per second.
    pub const fn per_second(&self) -> f64 {
        self.per_second
    }

    /// What is in it at `now`.
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of waiting are far below 2^52")]
    pub fn left(&mut self, now: UtcMs) -> f64 {
        let seconds = now.since(self.as_of).max(0) as f64 / 1000.0;
        self.left = (self.left + seconds * self.per_second).min(self.maximum);
        self.as_of = now;
        self.left
    }

    /// Whether `cost` may be spent at `now`.
    pub fn admits(&mut self, cost: f64, now: UtcMs) -> bool {
        self.left(now) >= cost.min(self.maximum)
    }

    /// Spends `cost`, or what is left of the bucket.
    pub fn spend(&mut self, cost: f64, now: UtcMs) {
        self.left = (self.left(now) - cost).max(0.0);
    }

    /// Seconds until `cost` may be spent.
    pub fn wait(&mut self, cost: f64, now: UtcMs) -> f64 {
        ((cost.min(self.maximum) - self.left(now)) / self.per_second).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_at_its_rate_and_never_beyond_its_size() {
        let mut bucket = Bucket::full(100.0, 10.0, UtcMs(0));
        bucket.spend(90.0, UtcMs(0));
        assert!(!bucket.admits(20.0, UtcMs(900)));
        assert!(bucket.admits(20.0, UtcMs(1000)));
        assert!((bucket.wait(40.0, UtcMs(1000)) - 2.0).abs() < 1e-9);
        assert!((bucket.left(UtcMs(60_000)) - 100.0).abs() < 1e-9);
        assert!(bucket.admits(250.0, UtcMs(60_000)), "dearer than the bucket passes when it is full");
    }
}
