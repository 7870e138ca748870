//! Writes: prepared, sent, settled; and those whose outcome nobody knows (CORRECTNESS.md rules 3, 4, 7).

use std::time::Duration;

use super::{
    Cause, Command, Engine, Level, Notice, Result,
    channel::{Channel, Heard, Shown, Unsettled, What},
    pace::Sort,
    plan,
    queue::Path,
};
use crate::{
    domain::{Call, CallError, LevelReading, Mode, Now, RowOutcome},
    ledger::{OpenRequest, PlaceId, PushState},
};

/// The pause before a request of unknown outcome is repeated.
const REPEAT_PAUSE: Duration = Duration::from_secs(2);
/// The first pause after a refused row; it doubles up to the longest.
const REFUSED_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_REFUSED_PAUSE: Duration = Duration::from_hours(6);
/// How often a place of unknown outcome is looked for on a channel that no longer names it.
const MOST_LOOKS: u32 = 5;
/// Part of a key's life that is used: the clocks differ.
const KEY_LIFE_SHARE: i64 = 2;

impl Engine {
    /// Takes the most urgent places that can be written without a fence and records their pushes.
    pub(super) fn prepare_direct(&mut self, now: Now, at: usize, price: f64) -> Result<Option<OpenRequest>> {
        let channel = &mut self.channels[at];
        let (most, holds) = (channel.write_rows, channel.holds());
        let batch = channel.queue.take_batch(now.mono, most, |e| e.path == Path::Direct && holds.let_pass(e));
        let mut pushes = Vec::with_capacity(batch.len());
        for place in batch {
            match self.new_push(at, place)? {
                Some(push) => pushes.push(push),
                None => self.mark_on(now, at, place, Cause::Other)?,
            }
        }
        if pushes.is_empty() {
            self.channels[at].budget.refund(Sort::Write, price);
            return Ok(None);
        }
        self.ledger.prepare(now.utc, &self.channels[at].settings.id, &pushes).map(Some)
    }

    pub(super) fn send_write(
        &mut self,
        now: Now,
        at: usize,
        request: OpenRequest,
        repeat: bool,
        paid: f64,
        out: &mut Vec<Command>,
    ) {
        let call = Call::Write { key: request.key.clone(), rows: request.rows.clone() };
        self.send(now, at, call, What::Write { request, repeat }, paid, out);
    }

    /// The channel answered row by row.
    pub(super) fn written(
        &mut self,
        heard: Heard,
        at: usize,
        request: OpenRequest,
        outcomes: &[RowOutcome],
    ) -> Result<()> {
        self.channels[at].adapt_rows(request.rows.len(), outcomes);
        let missing = RowOutcome::Unknown { detail: "the reply says nothing of this row".into() };
        for (index, place) in request.places.iter().enumerate() {
            let outcome = outcomes.get(index).unwrap_or(&missing);
            self.settle_row(heard, at, &request, index, *place, outcome)?;
        }
        self.end_request(heard.now, at, request)
    }

    fn settle_row(
        &mut self,
        heard: Heard,
        at: usize,
        request: &OpenRequest,
        index: usize,
        place: PlaceId,
        outcome: &RowOutcome,
    ) -> Result<()> {
        let channel = &mut self.channels[at];
        let exact = channel.settings.capabilities.write_mode.is_sale_safe();
        let row = &request.rows[index];
        channel.landed.insert(place, heard.now.mono);
        let id = channel.settings.id.clone();
        let notice = |level, event, detail: String| Notice::new(level, event, detail).on(&id);
        match outcome {
            RowOutcome::Applied => {
                channel.refused.remove(&place);
                if let Some(since) = channel.wanted.remove(&place) {
                    channel.delays.has_landed(heard.now.mono.saturating_sub(since));
                }
                self.ledger.settle_applied(request.id, place, heard.now.utc, heard.span, exact)?;
                let detail = format!("{} shows {}", row.place.listing, row.value);
                self.notices.push(notice(Level::Debug, "push.applied", detail).count(row.value.get()));
            }
            RowOutcome::Conflict { detail } => {
                self.ledger.settle_without_effect(request.id, place, PushState::Conflict, detail)?;
                let detail = format!("{}: {detail}", row.place.listing);
                self.notices.push(notice(Level::Debug, "push.conflict", detail));
            }
            RowOutcome::Rejected { detail } => {
                self.ledger.settle_without_effect(request.id, place, PushState::Rejected, detail)?;
                self.refuse(heard.now, at, place, &format!("{}: {detail}", row.place.listing))?;
            }
            RowOutcome::NotTried => {
                let detail = "another row of the call was refused";
                self.ledger.settle_without_effect(request.id, place, PushState::NotSent, detail)?;
            }
            RowOutcome::Unknown { detail } => {
                self.ledger.mark_unknown(request.id, place, detail)?;
                self.notices.push(notice(Level::Warn, "push.unknown", detail.clone()));
            }
        }
        Ok(())
    }

    /// A refused row is tried again later and later; a person is told.
    fn refuse(&mut self, now: Now, at: usize, place: PlaceId, detail: &str) -> Result<()> {
        let times = self.channels[at].refused.get(&place).map_or(0, |(_, times)| *times);
        let pause = (REFUSED_PAUSE * 2_u32.saturating_pow(times.min(20))).min(LONGEST_REFUSED_PAUSE);
        self.channels[at].refused.insert(place, (now.mono + pause, times + 1));
        let id = self.channels[at].settings.id.clone();
        let sku = self.ledger.place(place)?.map(|row| row.channel_sku);
        self.incident(now, "push.rejected", &id, sku.as_deref(), detail)
    }

    /// No reply to a write. Only a call that surely was not carried out leaves its rows free.
    pub(super) fn write_failed(
        &mut self,
        heard: Heard,
        at: usize,
        request: OpenRequest,
        repeat: bool,
        error: &CallError,
    ) -> Result<()> {
        let detail = error.to_string();
        for (index, place) in request.places.iter().enumerate() {
            let outcome = match error {
                // A repeat that was not carried out says nothing of the first try.
                _ if repeat => RowOutcome::Unknown { detail: detail.clone() },
                CallError::Unknown { .. } => RowOutcome::Unknown { detail: detail.clone() },
                CallError::Rejected { .. } => RowOutcome::Rejected { detail: detail.clone() },
                CallError::Throttled { .. } | CallError::Retry { .. } | CallError::Auth { .. } => {
                    self.ledger.settle_without_effect(request.id, *place, PushState::NotSent, &detail)?;
                    continue;
                }
            };
            self.settle_row(heard, at, &request, index, *place, &outcome)?;
        }
        let by_read = repeat && matches!(error, CallError::Rejected { .. });
        self.end_request(heard.now, at, request)?;
        if by_read && let Some(unsettled) = self.channels[at].unsettled.last_mut() {
            unsettled.by_read = true;
        }
        Ok(())
    }

    fn end_request(&mut self, now: Now, at: usize, request: OpenRequest) -> Result<()> {
        self.channels[at].unsettled.retain(|unsettled| unsettled.request.id != request.id);
        if !self.ledger.close_request(request.id, now.utc)? {
            self.keep_unsettled(now, at, request.clone(), 0);
        }
        for place in request.places {
            self.mark_on(now, at, place, Cause::Other)?;
        }
        Ok(())
    }

    fn keep_unsettled(&mut self, now: Now, at: usize, request: OpenRequest, attempts: u32) {
        let channel = &mut self.channels[at];
        let settle = channel.settle();
        let pause = if channel.settings.capabilities.key_life_ms.is_some() {
            REPEAT_PAUSE
        } else {
            // A late landing must have become visible before a read decides.
            REPEAT_PAUSE + settle
        };
        channel.unsettled.push(Unsettled {
            due: now.mono + pause * (attempts + 1),
            expires: request
                .prepared_at
                .plus_ms(channel.settings.capabilities.key_life_ms.unwrap_or_default() / KEY_LIFE_SHARE),
            by_read: channel.settings.capabilities.key_life_ms.is_none() || now.utc < request.prepared_at,
            request,
            attempts,
            busy: false,
        });
    }

    /// Requests that an earlier run left open, or whose answer was lost: nobody knows what became of them.
    pub(super) fn load_unsettled(&mut self, now: Now, at: usize) -> Result<()> {
        let id = self.channels[at].settings.id.clone();
        let under_way: Vec<i64> = self
            .calls
            .values()
            .filter_map(|flight| match &flight.what {
                What::Write { request, .. } => Some(request.id),
                _ => None,
            })
            .collect();
        for request in self.ledger.open_requests(&id)? {
            if under_way.contains(&request.id) {
                continue;
            }
            for place in &request.places {
                if self.ledger.place(*place)?.is_some_and(|row| row.request == Some(request.id)) {
                    self.ledger.mark_unknown(request.id, *place, "stockd stopped before the answer came")?;
                }
            }
            if !self.ledger.close_request(request.id, now.utc)? {
                self.keep_unsettled(now, at, request, 0);
            }
        }
        Ok(())
    }

    /// Repeats a keyed request byte for byte, or reads what an unkeyed one left.
    pub(super) fn start_settling(
        &mut self,
        now: Now,
        at: usize,
        which: usize,
        price: f64,
        out: &mut Vec<Command>,
    ) -> Result<()> {
        let channel = &self.channels[at];
        let Some(unsettled) = channel.unsettled.get(which) else { return Ok(()) };
        let repeats = channel.repeats(now, unsettled);
        let shows_too_much = repeats && self.repeat_shows_too_much(at, &unsettled.request)?;
        let channel = &mut self.channels[at];
        let settle = channel.settle();
        let unsettled = &mut channel.unsettled[which];
        if shows_too_much {
            // Better not to know for a while than to offer what is known to be gone.
            (unsettled.by_read, unsettled.due) = (true, now.mono + settle);
            channel.budget.refund(Sort::Write, price);
            return Ok(());
        }
        unsettled.busy = true;
        let request = unsettled.request.clone();
        if repeats {
            self.send_write(now, at, request, true, price, out);
        } else {
            let places = request.rows.iter().map(|row| row.place.clone()).collect();
            self.send(now, at, Call::Levels(places), What::SettleLevels { request: request.id }, price, out);
        }
        Ok(())
    }

    /// Whether repeating a request would write a number above what it should be by now. Its key may never have arrived,
    /// and then the repeat is the first that does.
    fn repeat_shows_too_much(&self, at: usize, request: &OpenRequest) -> Result<bool> {
        let channel = &self.channels[at].settings;
        for (row, place) in request.rows.iter().zip(&request.places) {
            let plan = plan::plan(&self.ledger, &self.settings, channel, &self.pauses, *place)?;
            if plan.and_then(|plan| plan.target()).is_some_and(|target| row.value > target) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn postpone_settling(&mut self, now: Now, at: usize, request: i64) {
        if let Some(unsettled) = self.channels[at].unsettled.iter_mut().find(|u| u.request.id == request) {
            unsettled.attempts += 1;
            unsettled.busy = false;
            unsettled.due = now.mono + REPEAT_PAUSE * (unsettled.attempts.min(30) + 1);
        }
    }

    /// The read that stands in for the answer of an unknown write.
    pub(super) fn settle_by_levels(
        &mut self,
        heard: Heard,
        at: usize,
        request: i64,
        levels: &[LevelReading],
    ) -> Result<()> {
        let now = heard.now;
        let Some(index) = self.channels[at].unsettled.iter().position(|u| u.request.id == request) else {
            return Ok(());
        };
        let attempts = self.channels[at].unsettled[index].attempts;
        let open = self.channels[at].unsettled[index].request.clone();
        let shown = self.shown(at, levels)?;
        for place in &open.places {
            let waits = self.ledger.place(*place)?.is_some_and(|row| row.request == Some(request));
            match shown.get(place) {
                Some(quantity) if waits => {
                    self.channels[at].looked.insert(*place, heard.sent);
                    self.ledger.settle_by_read(request, *place, *quantity)?;
                    if let Some(row) = self.ledger.place(*place)? {
                        let lapses_at = self.steady(now).plus_ms(self.channels[at].lapse_ms());
                        self.ledger.compare(&row, *quantity, heard.span, now.utc, lapses_at)?;
                        let skus = self.ledger.component_skus(row.listing)?;
                        self.mark_skus(now, &skus, Cause::Other)?;
                    }
                }
                None if waits && attempts >= MOST_LOOKS => {
                    let detail = "outcome unknown, and the channel no longer names the listing";
                    self.ledger.settle_without_effect(request, *place, PushState::Rejected, detail)?;
                    self.refuse(now, at, *place, detail)?;
                }
                _ => {}
            }
        }
        if self.ledger.close_request(request, now.utc)? {
            self.channels[at].unsettled.remove(index);
        } else {
            self.postpone_settling(now, at, request);
        }
        for place in open.places {
            self.mark_on(now, at, place, Cause::Other)?;
        }
        Ok(())
    }

    fn shown(&self, at: usize, levels: &[LevelReading]) -> Result<Shown> {
        let mut shown = Shown::new();
        for level in levels {
            let place = self.ledger.place_id(&self.channels[at].settings.id, &level.place)?;
            if let (Some(place), Some(quantity)) = (place, level.quantity) {
                shown.insert(place, quantity);
            }
        }
        Ok(shown)
    }
}

impl Channel {
    /// How long a write may take to show in a read.
    pub(super) fn settle(&self) -> Duration {
        Duration::from_millis(self.settings.capabilities.settle_ms.max(0).cast_unsigned())
    }

    /// Halves the rows of the next writes after a call that failed for the sake of one row, doubles them after a good one.
    fn adapt_rows(&mut self, rows: usize, outcomes: &[RowOutcome]) {
        let held_back = outcomes.contains(&RowOutcome::NotTried);
        self.write_rows = if held_back {
            (rows / 2).max(1)
        } else {
            (self.write_rows * 2).min(self.settings.capabilities.write_batch)
        };
    }

    /// Whether an unsettled request is repeated rather than looked up. A channel that is only observed is never written.
    pub(super) fn repeats(&self, now: Now, unsettled: &Unsettled) -> bool {
        self.settings.mode == Mode::Push && !unsettled.by_read && now.utc < unsettled.expires
    }
}
