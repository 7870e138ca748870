//! What a channel does next. Order polls have the first call on its limit, then fences under way, what nobody knows,
//! the queue by risk, and scans last (CORRECTNESS.md rule 12).

use std::{collections::HashSet, time::Duration};

use super::{
    CallId, Command, Engine, Result,
    channel::{Channel, Fence, FenceStage, InFlight, OrdersJob, ScanJob, What},
    pace::Sort,
    queue::{Entry, Path},
};
use crate::domain::{Call, Mode, Now, PageToken, UtcMs};

/// The sort of work that comes next, before it is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Identify,
    FenceOrders,
    FenceLevels,
    Poll,
    Settle(usize),
    Write,
    Fence,
    Scan,
    Sweep,
    Reread,
}

impl Engine {
    /// Makes the calls that the channel's limit and its free slots let through. Gives when to look again, if waiting
    /// for the limit or for a timer is all there is to do.
    pub(super) fn pump(
        &mut self,
        now: Now,
        at: usize,
        commands: &mut Vec<Command>,
    ) -> Result<Option<Duration>> {
        let ready = self.channels.iter().all(|channel| channel.has_been_heard(now));
        if self.stopping {
            return Ok(None);
        }
        self.send_ready_write(now, at, commands);
        loop {
            let channel = &mut self.channels[at];
            if channel.in_flight >= channel.settings.capabilities.concurrency.max(1) {
                return Ok(None);
            }
            if channel.backoff_until > now.mono {
                return Ok(Some(channel.backoff_until));
            }
            let Some(work) = next_work(channel, now, ready) else { return Ok(channel.next_timer(now)) };
            let price = price(channel, now, work);
            if let Err(wait) = channel.budget.take(now.mono, price) {
                return Ok(Some(now.mono + wait));
            }
            self.start(now, at, work, price, commands)?;
        }
    }

    fn start(&mut self, now: Now, at: usize, work: Work, price: f64, out: &mut Vec<Command>) -> Result<()> {
        match work {
            Work::Identify => self.send(now, at, Call::Identify, What::Identify, price, out),
            Work::Poll => self.start_poll(now, at, price, out)?,
            Work::FenceOrders => {
                let paid =
                    self.channels[at].fence.as_mut().map_or(0.0, |f| std::mem::take(&mut f.paid_orders));
                if let Some(fence) = &mut self.channels[at].fence {
                    fence.stage = FenceStage::Orders;
                }
                self.start_poll(now, at, paid, out)?;
            }
            Work::Sweep => self.start_sweep(now, at, price, out),
            Work::Reread => self.start_reread(now, at, price, out)?,
            Work::Scan => self.start_scan(now, at, price, out)?,
            Work::Settle(which) => self.start_settling(now, at, which, price, out)?,
            Work::Write => {
                let request = self.prepare_direct(now, at, price)?;
                if let Some(request) = request {
                    self.send_write(now, at, request, false, price, out);
                }
            }
            Work::Fence => self.start_fence(now, at, price),
            Work::FenceLevels => self.start_fence_levels(now, at, out)?,
        }
        Ok(())
    }

    fn start_poll(&mut self, now: Now, at: usize, price: f64, out: &mut Vec<Command>) -> Result<()> {
        let channel = &mut self.channels[at];
        if channel.poll.is_none() {
            let caps = &channel.settings.capabilities;
            let since = match self.ledger.cursor(channel.settings.id.as_str())? {
                Some(seen) => seen.plus_ms(-caps.order_overlap_ms),
                None => history(channel, now),
            };
            channel.poll = Some(OrdersJob::new(now.mono, since));
        }
        let (since, page) =
            channel.poll.as_ref().map_or((now.utc, None), |job| (job.since, job.page.clone()));
        channel.orders_in_flight = true;
        self.send(now, at, Call::Orders { since, page }, What::Poll, price, out);
        Ok(())
    }

    fn start_sweep(&mut self, now: Now, at: usize, price: f64, out: &mut Vec<Command>) {
        let channel = &mut self.channels[at];
        let since = history(channel, now);
        let job = channel.sweep.get_or_insert_with(|| OrdersJob::new(now.mono, since));
        let call = Call::Orders { since: job.since, page: job.page.clone() };
        channel.next_sweep = None;
        channel.orders_in_flight = true;
        self.send(now, at, call, What::Sweep, price, out);
    }

    fn start_scan(&mut self, now: Now, at: usize, price: f64, out: &mut Vec<Command>) -> Result<()> {
        if self.channels[at].scan.is_none() {
            let number = self.ledger.next_scan(&self.channels[at].settings.id)?;
            self.channels[at].scan =
                Some(ScanJob { number, page: None, rejected: 0, tokens: HashSet::new() });
        }
        let channel = &mut self.channels[at];
        let page: Option<PageToken> = channel.scan.as_ref().and_then(|job| job.page.clone());
        channel.next_scan = None;
        channel.scan_in_flight = true;
        self.send(now, at, Call::Listings { page }, What::Scan, price, out);
        Ok(())
    }

    /// Takes the most urgent places out of the queue; their orders and their numbers are read before they are written.
    /// What all three calls cost is paid at once, so that nothing waits in between.
    fn start_fence(&mut self, now: Now, at: usize, paid: f64) {
        let channel = &mut self.channels[at];
        let most = channel.settings.capabilities.write_batch.min(channel.settings.capabilities.read_batch);
        let braked = channel.braked;
        let batch =
            channel.queue.take_batch(now.mono, most, |e| e.path == Path::Fenced && passes_brake(e, braked));
        let price = |sort| channel.budget.cost(sort, batch.len());
        let (levels, orders, write) = (price(Sort::Levels), price(Sort::Orders), price(Sort::Write));
        // The price was asked before the batch was known.
        channel.budget.refund(paid - levels - orders - write);
        channel.fence = Some(Fence {
            batch,
            read: HashSet::new(),
            stage: FenceStage::OrdersWanted,
            paid_write: write,
            paid_orders: orders,
            paid_levels: levels,
        });
    }

    fn start_fence_levels(&mut self, now: Now, at: usize, out: &mut Vec<Command>) -> Result<()> {
        let Some(fence) = &mut self.channels[at].fence else { return Ok(()) };
        fence.stage = FenceStage::Levels;
        let paid = std::mem::take(&mut fence.paid_levels);
        let mut places = Vec::with_capacity(fence.batch.len());
        for id in &fence.batch {
            places.extend(self.ledger.place(*id)?.map(|row| row.place));
        }
        self.send(now, at, Call::Levels(places), What::FenceLevels, paid, out);
        Ok(())
    }

    pub(super) fn send(
        &mut self,
        now: Now,
        at: usize,
        call: Call,
        what: What,
        paid: f64,
        out: &mut Vec<Command>,
    ) {
        let id = CallId(self.next_call);
        self.next_call += 1;
        let channel = &mut self.channels[at];
        channel.in_flight += 1;
        let places = match &call {
            Call::Levels(places) => places.len(),
            _ => 1,
        };
        let flight = InFlight { channel: at, sort: Sort::of(&call), places, paid, sent: now.mono, what };
        self.calls.insert(id, flight);
        out.push(Command { id, channel: channel.settings.id.clone(), call });
    }

    /// Looks again at the places whose time has come.
    pub(super) fn wake_later(&mut self, now: Now, at: usize) -> Result<()> {
        self.channels[at].forget_old_answers(now);
        while let Some((due, place)) = self.channels[at].second_looks.first().copied() {
            if due > now.mono {
                break;
            }
            self.channels[at].second_looks.pop_first();
            self.ledger.want_read(place)?;
            self.mark_on(now, at, place, super::Cause::Other)?;
        }
        while let Some((due, place)) = self.channels[at].later.first().copied() {
            if due > now.mono {
                break;
            }
            self.channels[at].later.pop_first();
            self.mark_on(now, at, place, super::Cause::Other)?;
        }
        Ok(())
    }
}

impl Channel {
    /// The next timer to come. One that is over already, its work held up by something under way, wakes nobody: the
    /// answer to that will.
    fn next_timer(&self, now: Now) -> Option<Duration> {
        let places = self.later.first().into_iter().chain(self.second_looks.first()).map(|(due, _)| *due);
        let jobs = [Some(self.next_poll), Some(self.next_reread), self.next_scan, self.next_sweep]
            .into_iter()
            .flatten();
        let unsettled = self.unsettled.iter().map(|unsettled| unsettled.due);
        places.chain(jobs).chain(unsettled).filter(|due| *due > now.mono).min()
    }
}

fn next_work(channel: &Channel, now: Now, ready: bool) -> Option<Work> {
    let due = |timer: Option<Duration>| timer.is_some_and(|at| at <= now.mono);
    if channel.barred {
        return None;
    }
    if !channel.identified {
        return (channel.in_flight == 0).then_some(Work::Identify);
    }
    let fence = channel.fence.as_ref().map(|fence| fence.stage);
    if !channel.orders_in_flight {
        if channel.doubted {
            return Some(Work::Reread);
        }
        if fence == Some(FenceStage::LevelsWanted) {
            return Some(Work::FenceLevels);
        }
        if fence == Some(FenceStage::OrdersWanted) && channel.poll.is_none() {
            return Some(Work::FenceOrders);
        }
        if channel.poll.is_some() || (channel.next_poll <= now.mono && fence.is_none()) {
            return Some(Work::Poll);
        }
    }
    if !channel.scanned {
        // What was sold while nobody looked is known before the numbers are compared.
        return (channel.polled
            && !channel.scan_in_flight
            && (channel.scan.is_some() || due(channel.next_scan)))
        .then_some(Work::Scan);
    }
    if let Some(which) = channel.unsettled.iter().position(|u| !u.busy && u.due <= now.mono) {
        return Some(Work::Settle(which));
    }
    let free = fence.is_none() && !channel.orders_in_flight;
    let may = |e: &Entry| passes_brake(e, channel.braked) && (e.path == Path::Direct || free);
    if ready
        && channel.polled
        && channel.settings.mode == Mode::Push
        && let Some(first) = channel.queue.first(now.mono, may)
    {
        return Some(if first.path == Path::Direct { Work::Write } else { Work::Fence });
    }
    if !channel.scan_in_flight && (channel.scan.is_some() || due(channel.next_scan)) {
        return Some(Work::Scan);
    }
    if !channel.orders_in_flight && (channel.sweep.is_some() || due(channel.next_sweep)) {
        return Some(Work::Sweep);
    }
    (!channel.orders_in_flight && channel.next_reread <= now.mono).then_some(Work::Reread)
}

/// An engaged brake holds everything but decreases that an order explains, and reads.
pub(super) fn passes_brake(entry: &Entry, braked: bool) -> bool {
    !braked || entry.urgency == super::Urgency::Read || (entry.explained && entry.urgency.lowers())
}

fn price(channel: &Channel, now: Now, work: Work) -> f64 {
    let cost = |sort, places| channel.budget.cost(sort, places);
    match work {
        Work::Identify => cost(Sort::Identify, 1),
        Work::Poll | Work::Sweep | Work::Reread => cost(Sort::Orders, 1),
        // Paid for when the fence began.
        Work::FenceOrders | Work::FenceLevels => 0.0,
        Work::Settle(which) => match channel.unsettled.get(which) {
            Some(unsettled) if !channel.repeats(now, unsettled) => {
                cost(Sort::Levels, unsettled.request.rows.len())
            }
            _ => cost(Sort::Write, 1),
        },
        Work::Write => cost(Sort::Write, 1),
        Work::Fence => {
            let most = channel.settings.capabilities.read_batch.min(channel.queue.len());
            cost(Sort::Levels, most) + cost(Sort::Orders, 1) + cost(Sort::Write, 1)
        }
        Work::Scan => cost(Sort::Listings, 1),
    }
}

fn history(channel: &Channel, now: Now) -> UtcMs {
    let back = i64::try_from(channel.settings.history.as_millis()).unwrap_or(i64::MAX / 4);
    now.utc.plus_ms(-back)
}
