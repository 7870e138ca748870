//! How long a sale on a channel takes to show on the others.

use std::time::Duration;

use super::Engine;
use crate::domain::{Cadence, UtcMs, settings::POLITE};

/// From a sale that is known to its push on another channel.
const PUSH: Duration = Duration::from_secs(2);

impl Engine {
    /// From a sale on a channel until the others show it, at the most: until it is readable, until it is read, and the
    /// push.
    pub(super) fn sync_delay(&self, at: usize) -> Duration {
        let settings = &self.channels[at].settings;
        let readable = Duration::from_millis(settings.capabilities.order_delay_ms.max(0).cast_unsigned());
        let poll = match &settings.orders {
            Cadence::Every(every) => *every,
            Cadence::Auto => POLITE,
            Cadence::Cron(schedule) => {
                let runs: Vec<_> = schedule.after(&UtcMs::default().datetime()).take(2).collect();
                let between =
                    runs.first().zip(runs.last()).and_then(|(first, next)| (*next - *first).to_std().ok());
                between.unwrap_or_default()
            }
        };
        readable + poll + PUSH
    }
}
