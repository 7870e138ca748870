//! Blindness: while a channel's orders can't be read, what it showed is still being sold (CORRECTNESS.md rule 15).

use std::time::Duration;

use super::{Channel, Engine, Level, Notice, Result};
use crate::domain::{Now, UtcMs};

/// After so many intervals of its order polls without one a channel is called blind ...
const INTERVALS: u32 = 10;
/// ... but not before.
const LEAST: Duration = Duration::from_mins(2);
/// How often the ledger is told that orders are being read.
const NOTE_EVERY_MS: i64 = 600_000;

/// What is known of how well a channel's orders are seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// When the next read of orders was to begin, on the steady clock; as of the last one that came to its end.
    pub(super) due: UtcMs,
    /// How long it was from that read to then.
    pub(super) interval: Duration,
    /// Whether people have been told.
    pub(super) blind: bool,
    /// When the ledger was last told that orders are read.
    noted: Option<UtcMs>,
}

impl Channel {
    /// Reads of orders are taken as made; the next one is due then.
    pub(super) fn seen_until(&mut self, steady: UtcMs, next: Duration) {
        if let Some(sight) = self.sight.as_mut() {
            sight.due = steady.plus_ms(i64::try_from(next.as_millis()).unwrap_or(i64::MAX / 4));
        }
    }
}

impl Engine {
    /// For how long the channel's orders have not been read beyond its normal poll interval, whatever keeps them from
    /// being read: failures, throttling, credentials, a wrong account. A read under way counts once it has ended, so
    /// this is a little more than 0 now and then. A restart does not end it.
    pub fn blind_for(&self, now: Now, channel: usize) -> Duration {
        let sight = self.channels.get(channel).and_then(|channel| channel.sight);
        sight.map_or(Duration::ZERO, |sight| {
            Duration::from_millis(self.steady(now).since(sight.due).max(0).unsigned_abs())
        })
    }

    /// What the ledger knows of the channel's blindness, at the start; later the memory knows better.
    pub(super) fn load_sight(&mut self, now: Now, at: usize) -> Result<()> {
        let steady = self.steady(now);
        let channel = &mut self.channels[at];
        if channel.sight.is_some() {
            return Ok(());
        }
        let row = self.ledger.channel(&channel.settings.id)?;
        let since = row.and_then(|row| row.blind_since);
        channel.sight = Some(Sight {
            due: since.map_or(steady, |since| since.min(steady)),
            interval: channel.settings.orders.wait_from(now.utc.datetime()).unwrap_or_default(),
            blind: since.is_some(),
            noted: None,
        });
        Ok(())
    }

    /// Says so once when a channel has been blind for long.
    pub(super) fn watch_sight(&mut self, now: Now, at: usize) -> Result<()> {
        let blind_for = self.blind_for(now, at);
        let channel = &mut self.channels[at];
        let Some(sight) = channel.sight.as_mut() else { return Ok(()) };
        if sight.blind || blind_for < LEAST.max(sight.interval * INTERVALS) {
            return Ok(());
        }
        sight.blind = true;
        let since = sight.due;
        let why = if channel.barred {
            "its account is not the one of first contact"
        } else if channel.failures > 0 {
            "its calls fail"
        } else if channel.backoff_until > now.mono {
            "it asks for fewer calls"
        } else {
            "a read of them has not come to its end"
        };
        let id = channel.settings.id.clone();
        self.ledger.note_blindness(&id, Some(since))?;
        let seconds = blind_for.as_secs();
        let detail = format!(
            "orders have not been read for {seconds} s more than usual: {why}; what it sells meanwhile is not known"
        );
        self.incident(now, "channel.blind", &id, None, &detail)
    }

    /// A read of orders has come to its end, and the next one is planned.
    pub(super) fn sees(&mut self, now: Now, at: usize) -> Result<()> {
        let (steady, blind_for) = (self.steady(now), self.blind_for(now, at));
        let channel = &mut self.channels[at];
        let id = channel.settings.id.clone();
        let interval = channel.next_poll.saturating_sub(now.mono);
        let Some(sight) = channel.sight.as_mut() else { return Ok(()) };
        let was_blind = std::mem::replace(&mut sight.blind, false);
        sight.due = steady.plus_ms(i64::try_from(interval.as_millis()).unwrap_or(i64::MAX / 4));
        sight.interval = interval;
        if was_blind || sight.noted.is_none_or(|noted| steady.since(noted) >= NOTE_EVERY_MS) {
            sight.noted = Some(steady);
            self.ledger.note_orders_read(&id, now.utc)?;
        }
        if was_blind {
            self.ledger.note_blindness(&id, None)?;
            let detail = format!("orders are read again after {} s", blind_for.as_secs());
            self.notices.push(Notice::new(Level::Info, "channel.sees_again", detail).on(&id));
        }
        Ok(())
    }
}
