//! How often orders are read, and how far back.

use std::time::Duration;

use super::{
    channel::{Channel, OrdersJob},
    pace::{Keep, Price, Sort},
};
use crate::domain::{Cadence, Now, UtcMs, settings::POLITE};

/// A busy channel's orders are read back over the whole overlap this often.
const DEEP: Duration = Duration::from_secs(30);
/// How many steps of the channel's clock the reads between those reach back.
const SHALLOW_STEPS: i64 = 3;
/// A host is left alone for so many times the time it took to answer.
const SPARED: u32 = 10;
/// A limit that gives back a call no sooner than this has nothing to spare for fences.
const SLOW: f64 = 10.0;
/// The turns after which waits that differ have come to their mean.
pub(super) const TURNS: u64 = 11;

/// A wait that differs from turn to turn by up to 5 %, and between channels.
pub(super) fn jittered(channel: &Channel, wait: Duration) -> Duration {
    jittered_at(channel, channel.polls, wait)
}

fn jittered_at(channel: &Channel, turn: u64, wait: Duration) -> Duration {
    let seed: u64 = channel.settings.id.as_str().bytes().map(u64::from).sum();
    let percent = (seed + 4 * turn + u64::from(channel.failures)) % TURNS;
    wait * (95 + u32::try_from(percent).unwrap_or(0)) / 100
}

/// What a read of orders costs, and what it leaves in a limit of its own: one more, for a fence.
pub(super) fn price(channel: &Channel) -> Price {
    let cost = channel.budget.cost(Sort::Orders, 1);
    let spares =
        channel.budget.has_own(Sort::Orders) && cost / channel.budget.per_second(Sort::Orders) < SLOW;
    let keep = if spares && channel.settings.orders == Cadence::Auto { Keep::Another } else { Keep::Nothing };
    Price { calls: vec![(Sort::Orders, cost)], keep }
}

/// How long after the end of a read of orders, its `turn`, the next one follows; a limit of its own not counted.
pub(super) fn pause(channel: &Channel, now: Now, turn: u64) -> Duration {
    match &channel.settings.orders {
        Cadence::Every(every) => jittered_at(channel, turn, *every),
        Cadence::Auto => POLITE.max(channel.round_trip * SPARED).max(fair_pause(channel)),
        cron @ Cadence::Cron(_) => cron.wait_from(now.utc.datetime()).unwrap_or(Duration::from_hours(24)),
    }
}

/// Polls and looks together take at most half of what flows back of a shared limit.
fn fair_pause(channel: &Channel) -> Duration {
    if channel.budget.has_own(Sort::Orders) {
        return Duration::ZERO;
    }
    let shares = if channel.looks.is_on() && !channel.budget.has_own(Sort::Levels) { 4.0 } else { 2.0 };
    let cost = channel.budget.cost(Sort::Orders, 1) * f64::from(channel.poll_pages.max(1));
    seconds(cost * shares / channel.budget.per_second(Sort::Orders))
}

/// The same for looks; from a limit of their own a quarter is left to fences.
pub(super) fn look_pause(channel: &Channel) -> Duration {
    let places = channel.settings.capabilities.read_batch;
    let turn = channel.budget.cost(Sort::Levels, places) / channel.budget.per_second(Sort::Levels);
    if channel.budget.has_own(Sort::Levels) {
        return seconds(turn / 0.75);
    }
    POLITE.max(channel.round_trip * SPARED).max(seconds(turn * 4.0))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0))
}

/// The time after which nearly every sale is known: as measured, else as the channel's kind promises.
pub(super) fn known_after(channel: &Channel) -> Duration {
    channel.delays.known().unwrap_or_else(|| {
        let delay = channel.settings.capabilities.order_delay_ms.max(0).unsigned_abs();
        let own = channel.budget.cost(Sort::Orders, 1) / channel.budget.per_second(Sort::Orders);
        let every = match &channel.settings.orders {
            Cadence::Every(every) => *every,
            Cadence::Auto => POLITE.max(fair_pause(channel)).max(seconds(own)),
            Cadence::Cron(_) => Duration::from_hours(24),
        };
        Duration::from_millis(delay) + every
    })
}

/// From when on the next poll reads. Most reach back over the whole overlap; where that takes more than a page, only
/// now and then, and always for a fence.
pub(super) fn reach(channel: &Channel, now: Now, seen: UtcMs) -> OrdersJob {
    let caps = &channel.settings.capabilities;
    let due = channel.deep_read.is_none_or(|read| now.mono.saturating_sub(read) >= DEEP);
    let deep = due || !channel.deep_turned || channel.fence.is_some();
    let shallow = (SHALLOW_STEPS * caps.time_step_ms).min(caps.order_overlap_ms);
    let back = if deep { caps.order_overlap_ms } else { shallow };
    OrdersJob { deep, ..OrdersJob::new(now.mono, seen.plus_ms(-back)) }
}

impl Channel {
    /// A read of orders has come to its end: what it tells of the next.
    pub(super) fn poll_ended(&mut self, now: Now, job: &OrdersJob) {
        if job.deep {
            (self.deep_read, self.deep_turned) = (Some(job.begun), job.pages > 1);
            // A shallow read may have left out what shows up late.
            self.orders_read = Some(job.begun);
        }
        self.polled = true;
        self.polls += 1;
        self.poll_pages = job.pages;
        self.poll_took = now.mono.saturating_sub(job.begun);
        let mut wait = pause(self, now, self.polls);
        if self.settings.orders == Cadence::Auto && self.budget.has_own(Sort::Orders) {
            let price = price(self);
            wait = wait.max(self.budget.wait(now.mono, &price));
        }
        self.next_poll = now.mono + wait;
    }

    /// Follows how long the channel takes to answer a read of orders.
    pub(super) fn answered_in(&mut self, took: Duration) {
        self.round_trip =
            if self.round_trip == Duration::ZERO { took } else { (self.round_trip * 7 + took) / 8 };
    }
}
