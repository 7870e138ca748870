//! The last gate before the wire: whatever was planned, no more requests leave than the channel publishes as its limit.
//!
//! The engine paces whole calls on a clock that it is told; the valve counts single requests on the machine's own. A call
//! that turns out to need several requests, or one that was planned on a wrong count, waits here instead of at the shop.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultDirectRateLimiter, RateLimiter};

use crate::domain::Quota;

/// The least that Shopify charges for a request (its buckets count points, not requests).
const POINTS_PER_REQUEST: f64 = 1.0;

/// A gate that requests pass one by one.
#[derive(Debug)]
pub(super) struct Valve {
    limiter: DefaultDirectRateLimiter,
}

impl Valve {
    /// A gate for a limit.
    pub(super) fn new(quota: Quota) -> Self {
        let (per_second, burst) = match quota {
            Quota::Calls { per_second, burst } => (per_second, f64::from(burst)),
            Quota::Points { maximum, restore_per_second } => {
                (restore_per_second / POINTS_PER_REQUEST, maximum / POINTS_PER_REQUEST)
            }
        };
        let period = Duration::from_secs_f64(1.0 / per_second.max(1e-6));
        let quota = governor::Quota::with_period(period)
            .unwrap_or_else(|| governor::Quota::per_second(NonZeroU32::MIN))
            .allow_burst(whole(burst));
        Self { limiter: RateLimiter::direct(quota) }
    }

    /// Returns when one more request may leave.
    pub(super) async fn pass(&self) {
        self.limiter.until_ready().await;
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1 and cut by the cast")]
fn whole(burst: f64) -> NonZeroU32 {
    NonZeroU32::new(burst.max(1.0) as u32).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_burst_wait() {
        let valve = Valve::new(Quota::Calls { per_second: 0.001, burst: 3 });
        let passed = (0..10).filter(|_| valve.limiter.check().is_ok()).count();
        assert_eq!(passed, 3);
    }
}
