//! The whole behaviour, without sockets or clocks.
//!
//! [`Engine::handle`] takes what happened, in one transaction of the ledger, and gives back calls to make. A call
//! leaves only after the commit that recorded it. What the engine keeps in memory is a cache: if a transaction fails
//! it is dropped and built anew from the ledger.

mod answers;
mod blind;
mod brake;
mod buffers;
mod catch_up;
mod channel;
mod delay;
mod event;
mod fence;
mod ingest;
mod look;
mod pace;
mod pass;
pub mod plan;
mod poll;
mod queue;
mod reread;
mod schedule;
mod seen;
mod writes;

use std::{collections::BTreeMap, time::Duration};

use channel::{Channel, InFlight, What};
pub use event::{CallId, Command, Event, Level, Notice, Step};
pub use pass::{News, Passed};
use queue::{Entry, Path, Urgency};
use seen::SeenOrders;

use crate::{
    domain::{Call, ChannelId, Mode, Now, Operation, Settings, Sku, Units, UtcMs, WriteMode},
    kill_points::{Point, pass},
    ledger::{Ledger, LedgerError, Pause, PlaceId},
};

type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// The engine: owns the ledger, decides everything.
#[derive(Debug)]
pub struct Engine {
    ledger: Ledger,
    settings: Settings,
    channels: Vec<Channel>,
    pauses: Vec<Pause>,
    calls: BTreeMap<CallId, InFlight>,
    next_call: u64,
    seen: SeenOrders,
    notices: Vec<Notice>,
    /// Events of a round that failed; as many as there are calls under way, and a few.
    again: Vec<Event>,
    /// Whether what is in memory is what the ledger says.
    loaded: bool,
    stopping: bool,
    /// What the two clocks said at the start.
    started: Now,
    /// The day, counted from 1970, whose checkpoint has been looked after.
    checked_day: i64,
    /// When the next shadow lapses, by the steady time; `None`: the ledger has to be asked.
    next_lapse: Option<UtcMs>,
    /// Shadows are due on a channel whose orders have not been read since.
    blind_shadows: bool,
}

/// Why a place is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// An order moved its stock, or what the others sell its buffer.
    Order,
    /// A person counted or received that very SKU.
    Person,
    /// Anything else: a count, a read, a changed rule.
    Other,
}

/// The longest sleep: a day ends by the wall clock.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// No shadow lapses before this.
const NEVER: UtcMs = UtcMs(i64::MAX);

impl Engine {
    /// Builds the engine on a ledger. Requests that an earlier run left prepared are unknown from here on.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn new(ledger: Ledger, settings: Settings, now: Now) -> Result<Self> {
        let channels = settings.channels.iter().map(|c| Channel::new(c.clone(), now)).collect();
        let mut engine = Self {
            ledger,
            settings,
            channels,
            pauses: Vec::new(),
            calls: BTreeMap::new(),
            next_call: 1,
            seen: SeenOrders::default(),
            notices: Vec::new(),
            again: Vec::new(),
            loaded: false,
            stopping: false,
            started: now,
            checked_day: 0,
            next_lapse: None,
            blind_shadows: false,
        };
        engine.load(now)?;
        Ok(engine)
    }

    /// Takes in what happened, at most a few hundred events at a time, and says what to do.
    ///
    /// # Errors
    /// [`LedgerError`]: nothing of the round happened and no command leaves. The next round starts from what the ledger
    /// says and takes these events in again.
    pub fn handle(&mut self, now: Now, events: &[Event]) -> Result<Step> {
        if self.again.is_empty() {
            return self.settle_round(now, events);
        }
        let events = [std::mem::take(&mut self.again).as_slice(), events].concat();
        self.settle_round(now, &events)
    }

    fn settle_round(&mut self, now: Now, events: &[Event]) -> Result<Step> {
        let unsent = CallId(self.next_call);
        let answered = self.answered_calls(events);
        let loaded = if self.loaded { Ok(()) } else { self.load(now) };
        match loaded.and_then(|()| self.round_and_commit(now, events)) {
            Ok(step) => {
                self.notices.drain(..).for_each(|notice| notice.write());
                Ok(step)
            }
            Err(error) => {
                self.loaded = false;
                self.notices.clear();
                // What the channels said is not lost, and what the round would have sent has not left.
                self.again = events.to_vec();
                self.calls.split_off(&unsent);
                self.calls.extend(answered);
                self.ledger.rollback()?;
                Err(error)
            }
        }
    }

    fn answered_calls(&self, events: &[Event]) -> Vec<(CallId, InFlight)> {
        let calls = events.iter().filter_map(|event| match event {
            Event::Answered { call, .. } => Some(call),
            _ => None,
        });
        calls.filter_map(|call| Some((*call, self.calls.get(call)?.clone()))).collect()
    }

    /// From here on no new call is made; answers to those under way are still taken in.
    pub const fn stop(&mut self) {
        self.stopping = true;
    }

    /// How many calls are under way.
    pub fn calls_in_flight(&self) -> usize {
        self.calls.len()
    }

    /// The ledger, to see what its statements cost.
    pub const fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// The ledger, for reading.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How many places wait for a write or a read, all channels.
    pub fn queued(&self) -> usize {
        self.channels.iter().map(|channel| channel.queue.len()).sum()
    }

    fn round_and_commit(&mut self, now: Now, events: &[Event]) -> Result<Step> {
        pass(Point::RoundBegin);
        self.ledger.begin_when_needed();
        let mut step = Step { commands: Vec::new(), wake: Some(now.mono + LONGEST_SLEEP) };
        for event in events {
            match event {
                Event::Tick => {}
                Event::Requests => self.take_requests(now)?,
                Event::Answered { call, took, answer } => self.answered(now, *call, *took, answer)?,
            }
        }
        self.lapse_shadows(now)?;
        let more = self.watch_blindness(now)?;
        step.wake = step.wake.into_iter().chain(more).min();
        self.checkpoint(now)?;
        self.follow_changes(now)?;
        for at in 0..self.channels.len() {
            self.wake_later(now, at)?;
            self.watch_brake(now, at)?;
            self.watch_sight(now, at)?;
            let wake = self.pump(now, at, &mut step.commands)?;
            self.channels[at].wake = wake;
            step.wake = step.wake.into_iter().chain(wake).min();
        }
        step.wake = step.wake.into_iter().chain(self.lapse_timer(now)).min();
        self.ledger.commit()?;
        if step.commands.iter().any(|command| matches!(command.call, Call::Write { .. })) {
            pass(Point::WritePrepared);
        }
        Ok(step)
    }

    /// The time of day as it would be if the wall clock had not been set since the start: what a deadline needs.
    fn steady(&self, now: Now) -> UtcMs {
        self.steady_at(now.mono)
    }

    fn steady_at(&self, mono: Duration) -> UtcMs {
        let passed = mono.saturating_sub(self.started.mono);
        self.started.utc.plus_ms(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX / 4))
    }

    /// Once a day, so that a start need not verify the ledger from its first movement on.
    fn checkpoint(&mut self, now: Now) -> Result<()> {
        let day = now.utc.0.div_euclid(86_400_000);
        if day != self.checked_day {
            pass(Point::CheckpointBefore);
            self.ledger.checkpoint(now.utc)?;
            pass(Point::CheckpointAfter);
            self.checked_day = day;
        }
        Ok(())
    }

    /// Builds what is in memory from the ledger. Calls under way are still answered: a write is settled by it, orders are
    /// taken in, and nothing else counts.
    fn load(&mut self, now: Now) -> Result<()> {
        self.loaded = false;
        self.seen = SeenOrders::default();
        self.checked_day = 0;
        self.next_lapse = None;
        self.pauses = self.ledger.pauses()?;
        for flight in self.calls.values_mut().filter(|flight| !matches!(flight.what, What::Write { .. })) {
            flight.what = What::Forgotten;
        }
        for (at, channel) in self.channels.iter_mut().enumerate() {
            let calls = self.calls.values().filter(|flight| flight.channel == at);
            let under_way: Vec<_> = calls.map(|flight| (flight.sort, flight.paid)).collect();
            channel.forget(now, &under_way);
        }
        self.ledger.begin()?;
        let loaded = self.load_catch_up(now).and_then(|()| {
            self.ledger.keep_demand(now.utc, self.settings.policies.follow_demand())?;
            (0..self.channels.len()).try_for_each(|at| {
                self.load_brake(at)?;
                self.load_delays(at)?;
                self.load_sight(now, at)?;
                self.load_unsettled(now, at)?;
                self.count_managed(at)?;
                self.mark_channel(now, at)
            })
        });
        match loaded.and_then(|()| self.ledger.commit()) {
            Ok(()) => {
                self.loaded = true;
                Ok(())
            }
            Err(error) => {
                self.ledger.rollback()?;
                Err(error)
            }
        }
    }

    fn index_of(&self, channel: &ChannelId) -> Option<usize> {
        self.channels.iter().position(|c| c.settings.id == *channel)
    }

    fn count_managed(&mut self, at: usize) -> Result<()> {
        let states = self.ledger.listing_states(&self.channels[at].settings.id)?;
        self.channels[at].managed = states
            .iter()
            .find(|(state, _)| *state == crate::ledger::ListingState::Managed)
            .map_or(0, |(_, count)| *count);
        self.load_looks(at)
    }

    /// Looks at every managed place of a channel again; work in proportion to its catalogue.
    fn mark_channel(&mut self, now: Now, at: usize) -> Result<()> {
        for place in self.ledger.managed_places(&self.channels[at].settings.id)? {
            self.mark_on(now, at, place, Cause::Other)?;
        }
        Ok(())
    }

    /// Looks at every place again whose listing is made of one of these SKUs, on all channels.
    fn mark_skus(&mut self, now: Now, skus: &[Sku], cause: Cause) -> Result<()> {
        for sku in skus {
            let places = self.ledger.places_of_sku(sku)?;
            if cause == Cause::Order {
                self.hold_back(now, &places)?;
            }
            for (channel, place) in places {
                if let Some(at) = self.index_of(&channel) {
                    self.mark_on(now, at, place, cause)?;
                }
            }
        }
        Ok(())
    }

    /// Looks at one place again: it is queued where it should be written or read, and taken out where not.
    fn mark_on(&mut self, now: Now, at: usize, place: PlaceId, cause: Cause) -> Result<()> {
        let channel = &mut self.channels[at];
        if channel.settings.mode == Mode::Observe {
            return Ok(());
        }
        let Some(mut plan) =
            plan::plan(&self.ledger, &self.settings, &channel.settings, &self.pauses, place)?
        else {
            channel.queue.remove(place);
            channel.wanted.remove(&place);
            return Ok(());
        };
        let entry = plan.is_due().then(|| entry(&plan, channel.settings.capabilities.write_mode)).flatten();
        // A sale explains a decrease, whatever else asked for it; a raise that nobody explained stays so.
        let raises = entry.as_ref().is_some_and(|entry| !entry.urgency.lowers());
        let unexplained_raise = raises && channel.queue.get(place).is_some_and(|queued| !queued.explained);
        let waits = channel.fence_holds(place) || plan.row.request.is_some() || plan.target().is_none();
        if cause != Cause::Other && !plan.row.explained && !unexplained_raise && (entry.is_some() || waits) {
            self.ledger.explain(place, true)?;
            plan.row.explained = true;
        }
        if waits {
            channel.queue.remove(place);
            // The end of its fence, of its write or of its pause looks at it again.
            return Ok(());
        }
        let Some(entry) = entry else {
            channel.queue.remove(place);
            channel.wanted.remove(&place);
            if plan.row.explained {
                self.ledger.explain(place, false)?;
            }
            return Ok(());
        };
        if let Some(until) = channel.not_before(now, place) {
            channel.queue.remove(place);
            channel.later.insert((until, place));
            return Ok(());
        }
        if entry.urgency.lowers() && plan.is_explained() {
            channel.wanted.entry(place).or_insert(now.mono);
        }
        channel.queue.put(now.mono, Entry { explained: plan.is_explained(), ..entry });
        Ok(())
    }

    fn take_requests(&mut self, now: Now) -> Result<()> {
        loop {
            let waiting = self.ledger.waiting()?;
            if waiting.is_empty() {
                return Ok(());
            }
            for (id, operation) in waiting {
                pass(Point::RequestBefore);
                self.take_request(now, id, operation)?;
                pass(Point::RequestAfter);
            }
        }
    }

    fn take_request(
        &mut self,
        now: Now,
        id: i64,
        operation: std::result::Result<Operation, String>,
    ) -> Result<()> {
        let done = match operation {
            Ok(operation) => self.ledger.operate(now.utc, &self.settings, &operation)?,
            Err(problem) => Err(format!("the request can't be read: {problem}")),
        };
        let answer = match done {
            Ok(outcome) => {
                self.pauses = self.ledger.pauses()?;
                self.follow_up(now, &outcome)?;
                let notice = Notice::new(Level::Info, "operator.request", &outcome.answer);
                self.notices.push(notice);
                Ok(outcome.answer)
            }
            Err(reason) => {
                self.notices.push(Notice::new(Level::Warn, "operator.refused", &reason));
                Err(reason)
            }
        };
        self.ledger.answer(id, now.utc, &answer)
    }

    fn follow_up(&mut self, now: Now, outcome: &crate::ledger::Outcome) -> Result<()> {
        if outcome.rematch {
            for at in 0..self.channels.len() {
                self.ledger.match_listings(&self.settings, &self.channels[at].settings)?;
                self.count_managed(at)?;
            }
        }
        self.mark_skus(now, &outcome.counted, Cause::Person)?;
        self.mark_skus(now, &outcome.skus, Cause::Other)?;
        if let Some(at) = outcome.channel.as_ref().and_then(|id| self.index_of(id)) {
            self.load_brake(at)?;
            self.mark_channel(now, at)?;
        }
        Ok(())
    }

    /// Ends shadows that no order explains though every order that could has been read. While a channel's orders can't
    /// be read its shadows stay.
    fn lapse_shadows(&mut self, now: Now) -> Result<()> {
        let steady = self.steady(now);
        if self.next_lapse.is_some_and(|lapse| steady < lapse) {
            return Ok(());
        }
        self.next_lapse = Some(self.ledger.next_lapse(steady)?.unwrap_or(NEVER));
        for shadow in self.ledger.due_shadows(steady)? {
            let Some(row) = self.ledger.place(shadow.place)? else { continue };
            let blind = self.index_of(&row.channel).is_some_and(|at| {
                self.channels[at].orders_read.is_none_or(|read| self.steady_at(read) < shadow.lapses_at)
            });
            if blind {
                self.blind_shadows = true;
                continue;
            }
            self.ledger.end_shadow(&shadow)?;
            let detail = format!(
                "{} units went from {} on the channel and no order explains them; no longer held back",
                shadow.units, row.place.listing
            );
            self.incident(now, "drift.unexplained", &row.channel, Some(&row.channel_sku), &detail)?;
            let skus: Vec<Sku> = self.ledger.component_skus(row.listing)?;
            self.mark_skus(now, &skus, Cause::Other)?;
        }
        Ok(())
    }

    /// Brings what is kept in memory of the ledger's rows to what the round has made of them.
    fn follow_changes(&mut self, now: Now) -> Result<()> {
        let touched = self.ledger.take_touched();
        if touched.shadows {
            self.next_lapse = Some(self.ledger.next_lapse(self.steady(now))?.unwrap_or(NEVER));
        }
        self.follow_places(&touched.places)
    }

    /// When the next shadow lapses, on the clock of `now.mono`.
    fn lapse_timer(&self, now: Now) -> Option<Duration> {
        let lapse = self.next_lapse.filter(|lapse| *lapse != NEVER)?;
        let left = u64::try_from(lapse.0.saturating_sub(self.steady(now).0)).unwrap_or(0);
        Some(now.mono + Duration::from_millis(left.max(1)))
    }

    /// Notes something for a person in the ledger and in the log.
    fn incident(
        &mut self,
        now: Now,
        kind: &'static str,
        channel: &ChannelId,
        sku: Option<&str>,
        detail: &str,
    ) -> Result<()> {
        let incident = crate::ledger::Incident { kind, channel: Some(channel.as_str()), sku, detail };
        self.ledger.note(now.utc, &incident)?;
        let mut notice = Notice::new(Level::Warn, kind, detail).on(channel);
        notice.sku = sku.map(str::to_owned);
        self.notices.push(notice);
        Ok(())
    }
}

/// The queue entry of a place that is due.
fn entry(plan: &plan::Plan, mode: WriteMode) -> Option<Entry> {
    let (target, expected) = (plan.target()?, plan.row.expected?);
    let gap = (target - expected).get();
    let available = plan.inputs.calculation.available;
    let urgency = match gap {
        ..0 if available <= Units::ZERO => Urgency::ShownWithoutStock,
        ..0 if expected > available => Urgency::AboveAvailable,
        ..0 => Urgency::Decrease,
        0 => Urgency::Read,
        1.. if expected <= Units::ZERO => Urgency::FromZero,
        1.. => Urgency::Increase,
    };
    let fenced = !mode.is_sale_safe() || plan.row.needs_read;
    Some(Entry {
        place: plan.row.id,
        urgency,
        gap: gap.abs(),
        path: if fenced { Path::Fenced } else { Path::Direct },
        group: plan.row.group.clone(),
        explained: false,
    })
}
