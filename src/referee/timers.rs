//! What is to be looked at later.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{ChannelSettings, PlaceIx, book::EventIx};
use crate::domain::UtcMs;

/// Something to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// By now a poll must have shown this event.
    Due(EventIx),
    /// By now the daemon has had time to notice what somebody else put up.
    GrantOver(PlaceIx),
    /// By now the decreases owed must have landed.
    Check(PlaceIx),
}

/// Timers by time; those of equal time in the order in which they were set.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BinaryHeap<Reverse<(UtcMs, u64, Timer)>>,
    set: u64,
}

impl Timers {
    pub(super) fn set(&mut self, at: UtcMs, timer: Timer) {
        self.set += 1;
        self.queue.push(Reverse((at, self.set, timer)));
    }

    /// The next timer that is over by `now`.
    pub(super) fn pop(&mut self, now: UtcMs) -> Option<(UtcMs, Timer)> {
        let Reverse((at, ..)) = *self.queue.peek()?;
        if at > now {
            return None;
        }
        self.queue.pop().map(|Reverse((at, _, timer))| (at, timer))
    }
}

/// A channel, and since when it has been open without a break.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) settings: ChannelSettings,
    open_since: Option<UtcMs>,
    parked: Vec<Timer>,
}

impl Channel {
    pub(super) fn new(settings: ChannelSettings) -> Self {
        Self { settings, open_since: Some(UtcMs(i64::MIN)), parked: Vec::new() }
    }

    /// How long the channel must have been open before the timer may be held against the daemon.
    pub(super) fn grace_ms(&self, timer: Timer) -> i64 {
        let ChannelSettings { order_poll_ms, read_allowance_ms, slack_ms, .. } = self.settings;
        match timer {
            Timer::Due(_) => order_poll_ms + read_allowance_ms,
            Timer::GrantOver(_) => order_poll_ms + slack_ms,
            Timer::Check(_) => slack_ms,
        }
    }

    /// The first instant from `at` on at which the timer may run; `None`: it waits until the channel opens.
    pub(super) fn ready_at(&mut self, at: UtcMs, timer: Timer) -> Option<UtcMs> {
        if let Some(open_since) = self.open_since {
            return Some(at.max(open_since.plus_ms(self.grace_ms(timer))));
        }
        self.parked.push(timer);
        None
    }

    pub(super) fn close(&mut self) {
        self.open_since = None;
    }

    /// Opens, if closed, and hands back what waited for it.
    pub(super) fn open(&mut self, at: UtcMs) -> Vec<Timer> {
        self.open_since.get_or_insert(at);
        std::mem::take(&mut self.parked)
    }
}
