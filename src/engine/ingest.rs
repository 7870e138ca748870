//! Orders and catalogues as they come in.

use std::time::Duration;

use super::{
    Cause, Engine, Level, Notice, Result,
    channel::{Heard, ScanJob},
    poll::jittered,
    seen::content_hash,
};
use crate::{
    domain::{Cadence, LevelReading, ListingsPage, Now, OrderSnapshot, OrdersPage, Units, UtcMs},
    ledger::{Comparison, OrderRead, PlaceId, ScanEnd},
};

/// How long after an unexplained gap a place is read again.
const SECOND_LOOK: Duration = Duration::from_secs(3);
/// When the catalogue is read again that missed a listing.
const RESCAN_PAUSE: Duration = Duration::from_mins(2);
/// The pause after a page token came twice.
const REPEATED_PAGE_PAUSE: Duration = Duration::from_mins(1);

impl Engine {
    /// A page of the regular order poll. The cursor moves after the last one only.
    pub(super) fn polled(&mut self, heard: Heard, at: usize, page: &OrdersPage) -> Result<()> {
        let Some(mut job) = self.channels[at].poll.take() else { return Ok(()) };
        let measured = self.channels[at].polled;
        let lag = self.channels[at].settings.capabilities.order_delay_ms;
        job.complete_to.get_or_insert(heard.span.from.plus_ms(-lag));
        job.latest = job.latest.max(self.take_orders(heard, at, page, OrderRead::Listed, measured)?);
        job.pages += 1;
        if let Some(next) = &page.next {
            if job.tokens.insert(next.clone()) {
                job.page = Some(next.clone());
                self.channels[at].poll = Some(job);
                return Ok(());
            }
            self.repeated_page(heard.now, at, "orders");
            self.channels[at].next_poll = heard.now.mono + REPEATED_PAGE_PAUSE;
            self.drop_fence(heard.now, at);
            return Ok(());
        }
        let id = self.channels[at].settings.id.clone();
        if let Some(latest) = job.latest {
            let cursor = job.complete_to.map_or(latest, |complete| latest.min(complete));
            // Behind the latest it moves in steps, not with each poll of a channel that has fallen quiet.
            let step = if cursor == latest { 1 } else { lag.max(1) };
            if self.cursor(at)?.is_none_or(|had| cursor.since(had) >= step) {
                self.ledger.move_cursor(id.as_str(), cursor)?;
                self.channels[at].cursor = Some(cursor);
            }
        }
        self.channels[at].poll_ended(heard.now, &job);
        if job.deep && std::mem::take(&mut self.blind_shadows) {
            self.next_lapse = None;
        }
        self.fence_orders_read(at);
        self.sees(heard.now, at)?;
        self.consider_looks(at)
    }

    /// How far a channel's orders have been read. The ledger is asked once.
    pub(super) fn cursor(&mut self, at: usize) -> Result<Option<UtcMs>> {
        let channel = &mut self.channels[at];
        if !channel.cursor_known {
            channel.cursor = self.ledger.cursor(channel.settings.id.as_str())?;
            channel.cursor_known = true;
        }
        Ok(channel.cursor)
    }

    /// A page of the sweep over older orders; it moves no cursor.
    pub(super) fn swept(&mut self, heard: Heard, at: usize, page: &OrdersPage) -> Result<()> {
        let Some(mut job) = self.channels[at].sweep.take() else { return Ok(()) };
        self.take_orders(heard, at, page, OrderRead::Listed, false)?;
        let mut complete = false;
        let again = page.next.as_ref().map(|next| (next.clone(), job.tokens.insert(next.clone())));
        match again {
            Some((next, true)) => {
                job.page = Some(next);
                self.channels[at].sweep = Some(job);
                return Ok(());
            }
            Some((_, false)) => self.repeated_page(heard.now, at, "orders sweep"),
            None => {
                complete = true;
                let id = self.channels[at].settings.id.clone();
                self.notices
                    .push(Notice::new(Level::Info, "orders.swept", "older orders read again").on(&id));
            }
        }
        let channel = &mut self.channels[at];
        channel.next_sweep =
            channel.settings.sweep.wait_from(heard.now.utc.datetime()).map(|wait| heard.now.mono + wait);
        self.swept_again(heard.now, at, complete.then_some(job.begun))
    }

    fn repeated_page(&mut self, now: Now, at: usize, what: &str) {
        let channel = &mut self.channels[at];
        channel.failures += 1;
        channel.backoff_until = channel.backoff_until.max(now.mono + Duration::from_secs(5));
        let detail = format!(
            "{what}: the channel gave the same page token twice; what was read is kept, the rest waits"
        );
        self.notices
            .push(Notice::new(Level::Error, "channel.repeated_page", detail).on(&channel.settings.id));
    }

    /// Brings the ledger to what a page says. Gives the latest change on it. `measured`: how late an order is first read
    /// tells how long sales take to become known.
    pub(super) fn take_orders(
        &mut self,
        heard: Heard,
        at: usize,
        page: &OrdersPage,
        read: OrderRead,
        measured: bool,
    ) -> Result<Option<UtcMs>> {
        for problem in &page.rejected {
            let id = self.channels[at].settings.id.clone();
            self.notices.push(Notice::new(Level::Warn, "order.rejected", problem).on(&id));
        }
        let step = self.channels[at].settings.capabilities.time_step_ms.max(1);
        let date = heard.span.to.plus_ms(1 - step);
        for order in &page.orders {
            if self.ingest(heard.now, at, order, read)? {
                self.learn_sizes(at, order);
                if measured {
                    self.measure_known(at, date, order);
                }
            }
        }
        self.record_delays(heard.now, at)?;
        Ok(page.orders.iter().map(|order| order.updated_at).max())
    }

    /// Gives whether the order was never seen before.
    fn ingest(&mut self, now: Now, at: usize, order: &OrderSnapshot, read: OrderRead) -> Result<bool> {
        let content = content_hash(order);
        if self.seen.has(at, order, content, read) {
            return Ok(false);
        }
        let settings = &self.channels[at].settings;
        let id = settings.id.clone();
        let done = self.ledger.ingest_order(now.utc, &self.settings, settings, order, content, read)?;
        if done.doubted {
            self.channels[at].doubted = true;
            let detail = "another snapshot with the same update time says otherwise: read by its id";
            self.notices
                .push(Notice::new(Level::Debug, "order.doubted", detail).on(&id).order(&order.number));
        }
        if !done.fresh {
            if done.doubted {
                self.seen.doubt(at, order, content);
            }
            return Ok(false);
        }
        self.seen.put(at, order, content);
        let mut touched = Vec::new();
        for sale in &done.own {
            touched.extend(self.ledger.own_sale(&self.channels[at].settings, sale)?);
        }
        self.mark_skus(now, &done.skus, Cause::Order)?;
        for place in touched {
            if self.ledger.open_shadow(place)? > Units::ZERO {
                // The order may be what the shadow stands for, sold too close to the read to tell.
                self.channels[at].second_looks.insert((now.mono + SECOND_LOOK, place));
            }
            self.mark_on(now, at, place, Cause::Order)?;
        }
        self.report_order(now, at, order, &done)?;
        for sku in &done.skus {
            let available = self.ledger.available(sku)?;
            if available < Units::ZERO && done.sold > Units::ZERO {
                let detail = format!("{} units more are ordered than are on hand", -available);
                let notice = Notice::new(Level::Warn, "oversell.detected", detail);
                self.notices
                    .push(notice.on(&id).sku(sku.as_str()).order(&order.number).count(-available.get()));
            }
        }
        Ok(done.first_seen)
    }

    fn report_order(
        &mut self,
        now: Now,
        at: usize,
        order: &OrderSnapshot,
        done: &crate::ledger::Ingested,
    ) -> Result<()> {
        let id = self.channels[at].settings.id.clone();
        let (event, level) =
            if done.first_seen { ("order.ingested", Level::Info) } else { ("order.changed", Level::Debug) };
        let detail = format!("order {}, {} units newly sold", order.number, done.sold);
        self.notices
            .push(Notice::new(level, event, detail).on(&id).order(&order.number).count(done.sold.get()));
        for problem in &done.quarantined {
            self.incident(now, "order.quarantined", &id, None, problem)?;
        }
        if let Some(state) = order.unknown_state.as_ref().filter(|_| done.first_seen) {
            let detail =
                format!("order {} is in state {state:?}, never seen before: counted as sold", order.number);
            self.incident(now, "order.unknown_state", &id, None, &detail)?;
        }
        Ok(())
    }

    /// A page of the catalogue. States settle after the last page only: an incomplete scan is no scan.
    pub(super) fn scanned(&mut self, heard: Heard, at: usize, page: &ListingsPage) -> Result<()> {
        let Some(mut job) = self.channels[at].scan.take() else { return Ok(()) };
        let id = self.channels[at].settings.id.clone();
        job.rejected += page.rejected.len();
        for problem in &page.rejected {
            self.notices.push(Notice::new(Level::Warn, "listing.rejected", problem).on(&id));
        }
        for listing in &page.listings {
            self.ledger.see_listing(&id, job.number, listing)?;
            for level in &listing.levels {
                self.heard_level(heard, at, level)?;
            }
        }
        if let Some(next) = &page.next {
            if job.tokens.insert(next.clone()) {
                job.page = Some(next.clone());
                self.channels[at].scan = Some(job);
                return Ok(());
            }
            self.repeated_page(heard.now, at, "catalogue");
            self.channels[at].next_scan = Some(heard.now.mono + REPEATED_PAGE_PAUSE);
            return Ok(());
        }
        self.finish_scan(heard.now, at, &job)
    }

    fn finish_scan(&mut self, now: Now, at: usize, job: &ScanJob) -> Result<()> {
        let channel = &self.channels[at];
        let id = channel.settings.id.clone();
        let end = self.ledger.finish_scan(
            now.utc,
            &self.settings,
            &channel.settings,
            job.number,
            self.brake_limit(at),
            job.rejected == 0,
        )?;
        self.channels[at].scanned = true;
        let next = match &self.channels[at].settings.scan {
            Cadence::Every(every) => jittered(&self.channels[at], *every),
            other => other.wait_from(now.utc.datetime()).unwrap_or(Duration::from_hours(24)),
        };
        let next = if end.missed > 0 { next.min(RESCAN_PAUSE) } else { next };
        self.channels[at].next_scan = Some(now.mono + next);
        self.report_scan(now, at, &end)?;
        if let Some(problem) = &end.partial {
            self.scan_again_soon(now, at);
            return self.incident(now, "scan.partial", &id, None, &format!("not believed: {problem}"));
        }
        self.scanned_again(now, at)?;
        let booked = self.ledger.retry_quarantined(now.utc, &self.settings)?;
        self.mark_skus(now, &booked, Cause::Order)?;
        self.count_managed(at)?;
        self.hold_back_on(now, at)?;
        self.mark_channel(now, at)
    }

    fn report_scan(&mut self, now: Now, at: usize, end: &ScanEnd) -> Result<()> {
        let id = self.channels[at].settings.id.clone();
        let states: Vec<String> =
            end.states.iter().map(|(state, count)| format!("{count} {}", state.name())).collect();
        self.notices.push(Notice::new(Level::Info, "scan.complete", states.join(", ")).on(&id));
        for sku in &end.ambiguous {
            let detail = "on more than one listing of this channel: none of them is managed";
            self.incident(now, "listing.ambiguous", &id, Some(sku), detail)?;
        }
        Ok(())
    }

    /// Compares a number read with what was expected. Gives the place and whether the number could be trusted.
    pub(super) fn heard_level(
        &mut self,
        heard: Heard,
        at: usize,
        level: &LevelReading,
    ) -> Result<Option<(PlaceId, bool)>> {
        let channel = &self.channels[at];
        let Some(place) = self.ledger.place_id(&channel.settings.id, &level.place)? else { return Ok(None) };
        let Some(quantity) = level.quantity else { return Ok(Some((place, false))) };
        let Some(row) = self.ledger.place(place)? else { return Ok(None) };
        if row.request.is_some() || !channel.trusts(place, heard.sent) {
            return Ok(Some((place, false)));
        }
        let lapses_at = self.steady(heard.now).plus_ms(channel.lapse_ms());
        let id = channel.settings.id.clone();
        self.channels[at].looked.insert(place, heard.sent);
        let compared = self.ledger.compare(&row, quantity, heard.span, heard.now.utc, lapses_at)?;
        let managed = row.state == crate::ledger::ListingState::Managed;
        match compared.told {
            Comparison::Missing(units) => {
                let detail = format!("shows {quantity}, {units} fewer than known sales explain: held back");
                let notice = Notice::new(Level::Debug, "shadow.held", detail);
                self.notices.push(notice.on(&id).sku(&row.channel_sku).count(units.get()));
                self.channels[at].second_looks.insert((heard.now.mono + SECOND_LOOK, place));
            }
            Comparison::Surplus(units) if managed => {
                let detail = format!("shows {quantity}, {units} more than expected");
                let notice = Notice::new(Level::Info, "drift.detected", detail);
                self.notices.push(notice.on(&id).sku(&row.channel_sku).count(units.get()));
            }
            Comparison::Equal | Comparison::First | Comparison::Surplus(_) => {}
        }
        if compared.shadow_changed {
            self.mark_skus(heard.now, &self.ledger.component_skus(row.listing)?, Cause::Order)?;
        }
        if managed && compared.told != Comparison::Equal {
            self.mark_on(heard.now, at, place, Cause::Other)?;
        }
        Ok(Some((place, true)))
    }
}
