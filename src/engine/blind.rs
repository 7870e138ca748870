//! While a channel's orders can't be read, what it showed is still being sold (CORRECTNESS.md rule 15).

use std::time::Duration;

use super::Engine;
use crate::domain::Now;

impl Engine {
    /// For how long a channel's orders could not be read, beyond the time between two reads.
    pub(super) fn blind_for(&self, now: Now, at: usize) -> Duration {
        let read = self.channels[at].orders_read.unwrap_or(self.started.mono);
        now.mono.saturating_sub(read).saturating_sub(self.sync_delay(at))
    }
}
