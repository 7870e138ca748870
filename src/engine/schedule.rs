//! What a channel does next. Order polls and fences under way have the first call on its limits, then the queue by risk
//! with what nobody knows in between, looks before increases, and scans last (CORRECTNESS.md rule 12).

use std::{collections::HashSet, time::Duration};

use super::{
    CallId, Command, Engine, Result,
    channel::{Channel, Fence, FenceStage, InFlight, OrdersJob, ScanJob, Unsettled, What},
    look,
    pace::{Keep, Price, Short, Sort},
    poll,
    queue::{Entry, Path, Urgency},
};
use crate::domain::{Call, Mode, Now, PageToken, UtcMs, settings::POLITE};

/// The sort of work that comes next, before it is paid for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    Identify,
    FenceOrders,
    FenceLevels,
    Poll,
    Settle(usize),
    Write(Keep),
    Fence(Keep),
    Look,
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
            let channel = &self.channels[at];
            if channel.in_flight >= channel.settings.capabilities.concurrency.max(1) {
                return Ok(None);
            }
            if channel.backoff_until > now.mono {
                return Ok(Some(channel.backoff_until));
            }
            match self.next_paid(now, at, ready) {
                Ok((work, price)) => self.start(now, at, work, &price, commands)?,
                Err(wake) => return Ok(wake),
            }
        }
    }

    /// The first work that can be paid for. What can't be holds up all that is paid from the same bucket. Else, when to
    /// look again.
    fn next_paid(&mut self, now: Now, at: usize, ready: bool) -> Result<(Work, Price), Option<Duration>> {
        let channel = &mut self.channels[at];
        let (mut short, mut wake) = (Short::default(), channel.next_timer(now));
        for work in works(channel, now, ready) {
            let price = price(channel, now, work);
            if channel.budget.is_short(&price, short) {
                continue;
            }
            match channel.budget.take(now.mono, &price, &mut short) {
                Ok(()) => return Ok((work, price)),
                Err(wait) => wake = wake.into_iter().chain([now.mono + wait]).min(),
            }
        }
        Err(wake)
    }

    fn start(
        &mut self,
        now: Now,
        at: usize,
        work: Work,
        price: &Price,
        out: &mut Vec<Command>,
    ) -> Result<()> {
        let paid = price.total();
        match work {
            Work::Identify => self.send(now, at, Call::Identify, What::Identify, paid, out),
            Work::Poll => self.start_poll(now, at, paid, out)?,
            Work::FenceOrders => {
                let paid =
                    self.channels[at].fence.as_mut().map_or(0.0, |f| std::mem::take(&mut f.paid_orders));
                if let Some(fence) = &mut self.channels[at].fence {
                    fence.stage = FenceStage::Orders;
                }
                self.start_poll(now, at, paid, out)?;
            }
            Work::Sweep => self.start_sweep(now, at, paid, out),
            Work::Reread => self.start_reread(now, at, paid, out)?,
            Work::Scan => self.start_scan(now, at, paid, out)?,
            Work::Settle(which) => self.start_settling(now, at, which, paid, out)?,
            Work::Write(_) => {
                let request = self.prepare_direct(now, at, paid)?;
                if let Some(request) = request {
                    self.send_write(now, at, request, false, paid, out);
                }
            }
            Work::Fence(_) => self.start_fence(now, at, price),
            Work::FenceLevels => self.start_fence_levels(now, at, out)?,
            Work::Look => self.start_look(now, at, paid, out),
        }
        Ok(())
    }

    fn start_poll(&mut self, now: Now, at: usize, price: f64, out: &mut Vec<Command>) -> Result<()> {
        let seen = self.cursor(at)?;
        let channel = &mut self.channels[at];
        if channel.poll.is_none() {
            channel.poll = Some(match seen {
                Some(seen) => poll::reach(channel, now, seen),
                None => OrdersJob::new(now.mono, history(channel, now)),
            });
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
    /// What these calls cost is paid at once, so that nothing waits in between. Where no read of orders is to be had, the
    /// numbers alone tell every sale of the channel's own.
    fn start_fence(&mut self, now: Now, at: usize, paid: &Price) {
        let channel = &mut self.channels[at];
        let most = channel.settings.capabilities.write_batch.min(channel.settings.capabilities.read_batch);
        let holds = channel.holds();
        let batch = channel.queue.take_batch(now.mono, most, |e| e.path == Path::Fenced && holds.let_pass(e));
        let of = |sort| paid.of(sort).unwrap_or_default();
        // The price was asked before the batch was known.
        let levels = channel.budget.cost(Sort::Levels, batch.len());
        channel.budget.refund(Sort::Levels, of(Sort::Levels) - levels);
        let reads_orders = paid.of(Sort::Orders).is_some();
        channel.fence = Some(Fence {
            batch,
            read: HashSet::new(),
            stage: if reads_orders { FenceStage::OrdersWanted } else { FenceStage::LevelsWanted },
            paid_write: of(Sort::Write),
            paid_orders: of(Sort::Orders),
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
    pub(super) fn next_timer(&self, now: Now) -> Option<Duration> {
        let places = self.later.first().into_iter().chain(self.second_looks.first()).map(|(due, _)| *due);
        let jobs = [Some(self.next_poll), Some(self.next_reread), self.next_scan, self.next_sweep]
            .into_iter()
            .flatten();
        let unsettled = self.unsettled.iter().map(|unsettled| unsettled.due);
        places.chain(jobs).chain(self.next_look()).chain(unsettled).filter(|due| *due > now.mono).min()
    }
}

/// What is to be done now, the most urgent first.
fn works(channel: &Channel, now: Now, ready: bool) -> Vec<Work> {
    let due = |timer: Option<Duration>| timer.is_some_and(|at| at <= now.mono);
    let mut works = Vec::new();
    if channel.barred {
        return works;
    }
    if !channel.identified {
        works.extend((channel.in_flight == 0).then_some(Work::Identify));
        return works;
    }
    works.extend(reading_orders(channel, now));
    let scan = !channel.scan_in_flight && (channel.scan.is_some() || due(channel.next_scan));
    if !channel.scanned {
        // What was sold while nobody looked is known before the numbers are compared.
        works.extend((channel.polled && scan).then_some(Work::Scan));
        return works;
    }
    // A repeat is a write: it rests on what all channels have sold.
    let may_settle = |u: &Unsettled| !u.busy && u.due <= now.mono && (ready || !channel.repeats(now, u));
    let settle = channel.unsettled.iter().position(may_settle).map(Work::Settle);
    let look = due(channel.next_look()).then_some(Work::Look);
    let pushes = ready && channel.polled && channel.settings.mode == Mode::Push;
    match pushes.then(|| queued(channel, now)).flatten() {
        Some((Rank::Urgent, push)) => works.extend([Some(push), settle, look].into_iter().flatten()),
        Some((Rank::Due, push)) => works.extend([settle, Some(push), look].into_iter().flatten()),
        Some((Rank::Spare, push)) => works.extend([settle, look, Some(push)].into_iter().flatten()),
        None => works.extend([settle, look].into_iter().flatten()),
    }
    works.extend(scan.then_some(Work::Scan));
    let sweep = channel.sweep.is_some() || due(channel.next_sweep);
    works.extend((!channel.orders_in_flight && sweep).then_some(Work::Sweep));
    works.extend((!channel.orders_in_flight && channel.next_reread <= now.mono).then_some(Work::Reread));
    works
}

/// The reads that come before everything else.
fn reading_orders(channel: &Channel, now: Now) -> Option<Work> {
    if channel.orders_in_flight {
        return None;
    }
    if channel.doubted {
        return Some(Work::Reread);
    }
    match channel.fence.as_ref().map(|fence| fence.stage) {
        Some(FenceStage::LevelsWanted) => Some(Work::FenceLevels),
        Some(FenceStage::OrdersWanted) if channel.poll.is_none() => Some(Work::FenceOrders),
        fence => (channel.poll.is_some() || (channel.next_poll <= now.mono && fence.is_none()))
            .then_some(Work::Poll),
    }
}

/// Where a push stands among other work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    /// Before what nobody knows.
    Urgent,
    Due,
    /// After looks; it leaves a share of the limit to decreases.
    Spare,
}

/// The push that goes first.
fn queued(channel: &Channel, now: Now) -> Option<(Rank, Work)> {
    let free = channel.fence.is_none() && !channel.orders_in_flight;
    let holds = channel.holds();
    let may = |e: &Entry| holds.let_pass(e) && (e.path == Path::Direct || free);
    let first = channel.queue.first(now.mono, may)?;
    let rank = match first.urgency {
        Urgency::ShownWithoutStock | Urgency::AboveAvailable => Rank::Urgent,
        Urgency::Decrease | Urgency::Read => Rank::Due,
        Urgency::FromZero | Urgency::Increase => Rank::Spare,
    };
    let keep = if rank == Rank::Spare { Keep::Share } else { Keep::Nothing };
    Some((rank, if first.path == Path::Direct { Work::Write(keep) } else { Work::Fence(keep) }))
}

/// What keeps entries of a channel's queue from going.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holds {
    braked: bool,
    raises_held: bool,
}

impl Holds {
    /// An engaged brake holds everything but decreases that an order explains, and reads; an older ledger put back
    /// holds what raises.
    pub(super) fn let_pass(self, entry: &Entry) -> bool {
        let (lowers, reads) = (entry.urgency.lowers(), entry.urgency == Urgency::Read);
        reads || ((!self.braked || (entry.explained && lowers)) && (!self.raises_held || lowers))
    }
}

impl Channel {
    pub(super) const fn holds(&self) -> Holds {
        Holds { braked: self.braked, raises_held: self.raises_held }
    }
}

fn price(channel: &mut Channel, now: Now, work: Work) -> Price {
    let cost = |sort, places| (sort, channel.budget.cost(sort, places));
    let plain = |calls| Price { calls, keep: Keep::Nothing };
    match work {
        Work::Identify => plain(vec![cost(Sort::Identify, 1)]),
        Work::Poll | Work::Sweep => poll::price(channel),
        Work::Reread => plain(vec![cost(Sort::OrdersById, 1)]),
        // Paid for when the fence began.
        Work::FenceOrders | Work::FenceLevels => plain(Vec::new()),
        Work::Settle(which) => plain(vec![match channel.unsettled.get(which) {
            Some(unsettled) if !channel.repeats(now, unsettled) => {
                cost(Sort::Levels, unsettled.request.rows.len())
            }
            _ => cost(Sort::Write, 1),
        }]),
        Work::Write(keep) => Price { calls: vec![cost(Sort::Write, 1)], keep },
        Work::Fence(keep) => fence_price(channel, now, keep),
        Work::Look => Price { calls: vec![(Sort::Levels, look::price(channel))], keep: Keep::Share },
        Work::Scan => Price { calls: vec![cost(Sort::Listings, 1)], keep: Keep::Share },
    }
}

/// A fence reads orders, too, unless they have a limit of their own that has none to give for a while.
fn fence_price(channel: &mut Channel, now: Now, keep: Keep) -> Price {
    let most = channel.settings.capabilities.read_batch.min(channel.queue.len());
    let cost = |sort, places| (sort, channel.budget.cost(sort, places));
    let (levels, orders, write) = (cost(Sort::Levels, most), cost(Sort::Orders, 1), cost(Sort::Write, 1));
    let one = Price { calls: vec![orders], keep: Keep::Nothing };
    if channel.budget.has_own(Sort::Orders) && channel.budget.wait(now.mono, &one) > POLITE {
        return Price { calls: vec![levels, write], keep };
    }
    Price { calls: vec![orders, levels, write], keep }
}

fn history(channel: &Channel, now: Now) -> UtcMs {
    let back = i64::try_from(channel.settings.history.as_millis()).unwrap_or(i64::MAX / 4);
    now.utc.plus_ms(-back)
}
