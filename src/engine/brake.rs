//! The brake: a plan that would change a large share of a channel without a sale that explains it waits for a person
//! (CORRECTNESS.md rule 14).

use super::{Engine, Result};
use crate::domain::{Now, Units};

impl Engine {
    /// How many listings of a channel may change unexplained.
    pub(super) fn brake_limit(&self, at: usize) -> i64 {
        let brake = self.settings.brake;
        let share = brake.share.of_rounded_down(Units::of(self.channels[at].managed)).get();
        share.max(i64::from(brake.min_listings))
    }

    pub(super) fn load_brake(&mut self, at: usize) -> Result<()> {
        let channel = &mut self.channels[at];
        let brake = self.ledger.brakes()?.into_iter().find(|brake| brake.channel == channel.settings.id);
        channel.braked = brake.as_ref().is_some_and(|brake| brake.engaged);
        channel.released = brake.as_ref().is_some_and(|brake| !brake.engaged);
        Ok(())
    }

    /// Engages the brake where too much would change, and forgets a released one when what it held has gone out.
    pub(super) fn watch_brake(&mut self, now: Now, at: usize) -> Result<()> {
        let limit = self.brake_limit(at);
        let channel = &mut self.channels[at];
        let unexplained = i64::try_from(channel.queue.unexplained()).unwrap_or(i64::MAX);
        let id = channel.settings.id.clone();
        if channel.released {
            let idle = unexplained == 0 && channel.fence.is_none() && channel.in_flight == 0;
            // What the channel refuses may be tried again for days.
            let gone_out = channel.later.iter().all(|(_, place)| channel.refused.contains_key(place));
            if channel.scanned && idle && gone_out {
                channel.released = false;
                self.ledger.forget_brake(&id)?;
            }
            return Ok(());
        }
        if channel.braked || unexplained <= limit {
            return Ok(());
        }
        channel.braked = true;
        let reason = format!(
            "{unexplained} of {} listings would change without a sale that explains it, more than {limit}; look at \
             `stockd plan --channel {id}`, then `stockd release {id} --reason ...` or correct the cause",
            channel.managed
        );
        self.ledger.engage_brake(now.utc, &id, unexplained, &reason)?;
        self.incident(now, "brake.engaged", &id, None, &reason)
    }
}
