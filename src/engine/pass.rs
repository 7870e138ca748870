//! Letting time pass without making calls that would find nothing: what a replay of years needs.

use std::time::Duration;

use super::{
    Engine,
    channel::Channel,
    look::{times, turns_before},
    pace::Sort,
    poll,
};
use crate::domain::{Cadence, ChannelId, Now, Place, UtcMs};

const DAY_MS: i64 = 86_400_000;

/// What a channel holds that the engine does not know.
#[derive(Clone, Debug)]
pub struct News {
    /// The channel.
    pub channel: ChannelId,
    /// From when on a read of orders would hold something new, on the clock of `Now::mono`; `None`: never.
    pub orders_from: Option<Duration>,
    /// Places whose number differs from what the engine knows.
    pub places: Vec<Place>,
}

/// What was passed over, channel by channel in the order of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Reads of orders.
    pub polls: Vec<u64>,
    /// Looks at quantities.
    pub looks: Vec<u64>,
    /// When the engine wants to be woken, on the clock of `Now::mono`; `None`: when a call is answered.
    pub wake: Option<Duration>,
}

impl Engine {
    /// Takes the reads as made that would come before anything happens: before `until`, before a read that would hold
    /// `news`, and before any other timer. What comes afterwards comes when it would have come. A channel that is busy
    /// makes its calls itself; one that `news` doesn't name has none. Nothing else may happen before `until`.
    pub fn pass_over(&mut self, now: Now, until: Duration, news: &[News]) -> Passed {
        let mut until = until;
        for channel in &self.channels {
            let of = news.iter().find(|news| news.channel == channel.settings.id);
            let timers = [channel.next_other_timer(), channel.turn_with_news(now, of)];
            until = timers.into_iter().flatten().fold(until, Duration::min);
        }
        let midnight = DAY_MS - now.utc.0.rem_euclid(DAY_MS);
        let midnight = now.mono + Duration::from_millis(midnight.unsigned_abs());
        until = self.lapse_timer(now).into_iter().fold(until.min(midnight), Duration::min);
        let mut passed = Passed::default();
        let steady = self.steady(now);
        let idle = !self.stopping && self.loaded && self.again.is_empty();
        for channel in &mut self.channels {
            let may_pass = idle && channel.is_idle(now);
            let (polls, looks) = if may_pass { channel.pass(now, steady, until) } else { (0, 0) };
            passed.polls.push(polls);
            passed.looks.push(looks);
            if may_pass {
                channel.wake = channel.next_timer(now);
            }
        }
        let wakes = self.channels.iter().filter_map(|channel| channel.wake);
        passed.wake = wakes.chain(self.lapse_timer(now)).chain([midnight]).min();
        passed
    }
}

impl Channel {
    /// Whether all it does is to poll and to look.
    fn is_idle(&self, now: Now) -> bool {
        let calls = self.in_flight > 0 || self.ready_write.is_some() || self.fence.is_some();
        let jobs = self.poll.is_some() || self.scan.is_some() || self.sweep.is_some();
        let waits = self.queue.len() > 0 || !self.unsettled.is_empty() || self.backoff_until > now.mono;
        let steady = self.identified
            && self.polled
            && self.scanned
            && !self.barred
            && !self.deep_turned
            && !self.doubted;
        let turns = self.next_poll > now.mono && self.next_look().is_none_or(|next| next > now.mono);
        steady && !calls && !jobs && !waits && turns && self.polls_evenly(now)
    }

    /// Whether its polls come at intervals that are known, not as a limit of its own that is half full lets them.
    fn polls_evenly(&self, now: Now) -> bool {
        let own = self.own_gap();
        let limited = own > self.poll_took + poll::pause(self, now, self.polls);
        let spare = || self.budget.level(self.next_poll, Sort::Orders) - poll::price(self).needs();
        !matches!(self.settings.orders, Cadence::Cron(_)) && (!limited || spare() < 0.001)
    }

    /// The first timer but those of polls and looks.
    fn next_other_timer(&self) -> Option<Duration> {
        let places = self.later.first().into_iter().chain(self.second_looks.first()).map(|(due, _)| *due);
        let unsettled = self.unsettled.iter().map(|unsettled| unsettled.due);
        let jobs = self.next_scan.into_iter().chain(self.next_sweep).chain([self.next_reread]);
        places.chain(jobs).chain(unsettled).min()
    }

    /// When its own next call would tell something, or may.
    fn turn_with_news(&self, now: Now, news: Option<&super::News>) -> Option<Duration> {
        if !self.is_idle(now) {
            return self.wake;
        }
        let news = news?;
        // A read that is under way by then may hold it.
        let polled = news.orders_from.map(|from| self.poll_after(now, from.saturating_sub(self.poll_took)).0);
        polled.into_iter().chain(self.look_at(news.places.iter())).min()
    }

    /// The first poll at `from` or later, and how many come before it.
    fn poll_after(&self, now: Now, from: Duration) -> (Duration, u64) {
        let own = self.own_gap();
        if self.settings.orders == Cadence::Auto {
            let gap = own.max(self.poll_took + poll::pause(self, now, self.polls));
            let turns = turns_before(self.next_poll, gap, from);
            return (self.next_poll + times(gap, turns), turns);
        }
        let gap = |turn| own.max(self.poll_took + poll::pause(self, now, self.polls + 1 + turn));
        let round: Duration = (0..poll::TURNS).map(gap).sum();
        let rounds = turns_before(self.next_poll, round, from).saturating_sub(1);
        let (mut at, mut turns) = (self.next_poll + times(round, rounds), rounds * poll::TURNS);
        while at < from {
            at += gap(turns);
            turns += 1;
        }
        (at, turns)
    }

    /// How long a limit of its own takes to give back a read of orders.
    fn own_gap(&self) -> Duration {
        if !self.budget.has_own(Sort::Orders) {
            return Duration::ZERO;
        }
        let seconds = self.budget.cost(Sort::Orders, 1) / self.budget.per_second(Sort::Orders);
        Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0))
    }

    /// Takes the polls and looks as made that are answered before `until`. Gives how many there were.
    fn pass(&mut self, now: Now, steady: UtcMs, until: Duration) -> (u64, u64) {
        let (next, polls) = self.poll_after(now, until.saturating_sub(self.poll_took));
        let gap = self.poll_took + poll::pause(self, now, self.polls + polls);
        if polls > 0 {
            let begun = next.saturating_sub(gap.max(self.own_gap()));
            (self.deep_read, self.orders_read) = (Some(begun), Some(begun));
            self.polls += polls;
            self.next_poll = next;
            self.seen_until(steady, next.saturating_sub(now.mono));
        }
        let looks = self.pass_looks(until.saturating_sub(self.looks.took));
        let cost = |sort, places| self.budget.cost(sort, places);
        let levels = cost(Sort::Levels, self.settings.capabilities.read_batch);
        let paid = [(Sort::Orders, cost(Sort::Orders, 1), polls), (Sort::Levels, levels, looks)];
        self.budget.pass(until, &paid);
        (polls, looks)
    }
}
