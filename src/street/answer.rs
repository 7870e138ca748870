//! What a shop answers to a call, and what a write does.

use std::time::Duration;

use rand::RngExt;

use super::shop::{KEY_MEMORY_MS, Landed, Seen, Shop, Sort};
use crate::domain::{
    Answer, Call, CallError, ChannelLocation, Identity, LevelReading, ListingId, ListingReading,
    ListingsPage, Meter, Now, PageToken, Place, Reply, RowOutcome, Units, UtcMs, WriteMode, WriteRow,
};

/// What a shop does with a call.
pub(super) struct Done {
    pub(super) answer: Answer,
    /// The call takes effect only after this long.
    pub(super) late: Option<Late>,
    /// The answer takes so much longer.
    pub(super) slow: Duration,
}

/// A write that takes effect when its caller has had an answer, or has given up.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) after: Duration,
    pub(super) key: String,
    pub(super) rows: Vec<WriteRow>,
    /// Whether the rows have been accepted already (a feed).
    pub(super) accepted: bool,
}

impl Shop {
    fn chance(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.dice.as_mut().is_some_and(|dice| dice.random_range(0..1_000) < thousandths)
    }

    pub(super) fn answer(&mut self, now: Now, call: &Call) -> Done {
        let (sort, costs) = (Sort::of(call), self.capabilities.costs);
        let (rows, cost) = match call {
            Call::Identify => (0, costs.identify),
            Call::Orders { .. } => (0, costs.orders),
            Call::OrdersById(ids) => (ids.len(), costs.orders),
            Call::Listings { .. } => (0, costs.listings),
            Call::Levels(places) => (places.len(), costs.levels),
            Call::Write { rows, .. } => (rows.len(), costs.write),
        };
        let cost = f64::from(cost);
        let paid = self.limits.pay(now.mono, sort, cost);
        self.throttled += u32::from(paid.is_err());
        *self.made.entry(sort).or_default() += 1;
        if self.keep_calls {
            self.calls.push(Seen { at: now.mono, sort, rows, cost, left: paid.unwrap_or_default() });
        }
        let mut late = None;
        let result = self.result(now, call, paid.err(), &mut late);
        let budget = self.limits.reading();
        let date = now.utc.plus_ms(self.odd.clock_off_ms + self.odd.date_off_ms);
        let meter = Meter {
            server_time: Some(UtcMs(date.0.div_euclid(1_000) * 1_000)),
            budget,
            requested_cost: budget.map(|_| cost),
            requests: 1,
        };
        let slow = self.slow.get(&sort).copied().unwrap_or_default();
        Done { answer: Answer { result, meter }, late, slow }
    }

    fn result(
        &mut self,
        now: Now,
        call: &Call,
        wait: Option<Duration>,
        late: &mut Option<Late>,
    ) -> Result<Reply, CallError> {
        let planned = self.errors.iter().position(|(of, _)| *of == Sort::of(call));
        let throttled = |wait| CallError::Throttled { wait: Some(wait), detail: "slow".into() };
        if let Some(wait) = wait {
            return Err(throttled(wait));
        }
        if self.chance(self.moods.throttles) {
            return Err(throttled(Duration::from_secs(1)));
        }
        if let Some(at) = planned {
            return Err(self.errors.remove(at).1);
        }
        if let Call::Write { key, rows } = call {
            self.arrived(now.utc, key);
            return self.write(now, key, rows, late);
        }
        if self.chance(self.moods.failed_reads) {
            return Err(CallError::Retry { detail: "503".into() });
        }
        Ok(self.read(now.utc, call))
    }

    fn read(&mut self, now: UtcMs, call: &Call) -> Reply {
        match call {
            Call::Identify | Call::Write { .. } => Reply::Identity(Identity {
                account: format!("account of {}", self.id),
                name: self.id.to_string(),
                locations: Vec::new(),
                warnings: Vec::new(),
            }),
            Call::Orders { since, page } => {
                let mut read = self.orders.page(now, *since, page.as_ref(), self.orders_page);
                if let (Some(page), true) = (page, self.repeated_tokens > 0) {
                    self.repeated_tokens -= 1;
                    read.next = Some(page.clone());
                }
                self.odd.list(*since, &mut read);
                Reply::Orders(read)
            }
            Call::OrdersById(ids) => Reply::Orders(self.orders.by_id(now, &self.odd.given(ids))),
            Call::Listings { page } => self.listings_page(now, page.as_ref()),
            Call::Levels(places) => {
                let mut levels: Vec<_> = places.iter().filter_map(|place| self.level(now, place)).collect();
                levels.retain(|_| !self.chance(self.moods.unread_rows));
                for level in &levels {
                    self.number_read(level);
                }
                Reply::Levels(levels)
            }
        }
    }

    /// What a read has shown is no news, unless it lags behind.
    fn number_read(&mut self, level: &LevelReading) {
        let Some(place) = self.place_ix(&level.place) else { return };
        if level.quantity == Some(Units::of(self.number_mut(place).shown())) {
            self.edited.remove(&place);
            self.orders.number_read(place);
        }
    }

    fn level(&self, now: UtcMs, place: &Place) -> Option<LevelReading> {
        let ix = self.place_ix(place)?;
        let (listing, location) = (ix / self.locations.len(), ix % self.locations.len());
        let shown = self.listings[listing].numbers[location].read(now, self.lags());
        let quantity = (!self.unread.contains(place.listing.as_str())).then_some(Units::of(shown));
        Some(LevelReading { place: place.clone(), quantity })
    }

    fn listings_page(&self, now: UtcMs, page: Option<&PageToken>) -> Reply {
        let from = page.map_or_else(|| ListingId::new(""), |page| ListingId::new(page.as_str()));
        let mut rows =
            self.catalogue.range((std::ops::Bound::Excluded(from), std::ops::Bound::<ListingId>::Unbounded));
        let place =
            |id: &ListingId, at: &String| Place { listing: id.clone(), location: ChannelLocation::new(at) };
        let mut listings: Vec<_> = rows
            .by_ref()
            .take(self.page)
            .map(|(id, ix)| ListingReading {
                id: id.clone(),
                channel_sku: Some(self.listings[*ix].sku.clone()),
                title: String::new(),
                writable: self.listings[*ix].writable,
                group: String::new(),
                levels: self.locations.iter().filter_map(|at| self.level(now, &place(id, at))).collect(),
            })
            .collect();
        let full = listings.last().filter(|_| listings.len() == self.page);
        let next = full.map(|last| PageToken::new(last.id.as_str()));
        listings.retain(|listing| !self.odd.unlisted.contains(listing.id.as_str()));
        Reply::Listings(ListingsPage { listings, next, rejected: self.odd.unreadable() })
    }

    /// A write is here, or would be if it had not been lost on its way. Forgets keys that nobody repeats any more.
    pub(super) fn arrived(&mut self, now: UtcMs, key: &str) {
        if self.first_sent.contains_key(key) {
            return;
        }
        self.first_sent.insert(key.to_owned(), now);
        self.keys_by_age.push_back((now, key.to_owned()));
        let life = self.capabilities.key_life_ms.unwrap_or(KEY_MEMORY_MS);
        while let Some((_, old)) = self.keys_by_age.pop_front_if(|(at, _)| at.plus_ms(life) < now) {
            self.first_sent.remove(&old);
            self.keys.remove(&old);
        }
    }

    fn write(
        &mut self,
        now: Now,
        key: &str,
        rows: &[WriteRow],
        late: &mut Option<Late>,
    ) -> Result<Reply, CallError> {
        let timed_out = CallError::Unknown { detail: "timed out".into() };
        match self.time_out_writes.pop() {
            Some(true) => {
                self.apply(now.utc, key, rows);
                return Err(timed_out);
            }
            Some(false) => return Err(timed_out),
            None => {}
        }
        if self.chance(self.moods.lost_writes) {
            return Err(timed_out);
        }
        if self.chance(self.moods.late_writes) {
            let after = Duration::from_millis(self.up_to(1_499) + 1);
            *late = Some(Late { after, key: key.to_owned(), rows: rows.to_vec(), accepted: false });
            return Err(timed_out);
        }
        let outcomes = if self.capabilities.write_mode == WriteMode::Feed {
            self.take_feed(key, rows, late)
        } else {
            self.apply(now.utc, key, rows)
        };
        if self.chance(self.moods.lost_replies) {
            return Err(timed_out);
        }
        Ok(Reply::Written(outcomes))
    }

    /// Any number of milliseconds up to this one; without dice this one.
    fn up_to(&mut self, ms: u64) -> u64 {
        self.dice.as_mut().map_or(ms, |dice| dice.random_range(0..=ms))
    }

    /// The rows of a feed are accepted now and take effect later.
    fn take_feed(&mut self, key: &str, rows: &[WriteRow], late: &mut Option<Late>) -> Vec<RowOutcome> {
        let outcomes: Vec<_> = rows.iter().map(|row| self.judge(row)).collect();
        let accepted = rows.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == RowOutcome::Applied);
        let rows = accepted.map(|(row, _)| row.clone()).collect();
        let after = self.up_to(self.capabilities.landing_ms.max(0).cast_unsigned());
        *late = Some(Late { after: Duration::from_millis(after), key: key.to_owned(), rows, accepted: true });
        outcomes
    }

    /// Carries a write out, once per key.
    pub(super) fn apply(&mut self, now: UtcMs, key: &str, rows: &[WriteRow]) -> Vec<RowOutcome> {
        let keyed = self.capabilities.key_life_ms.is_some();
        if let (true, Some(stored)) = (keyed, self.keys.get(key)) {
            return stored.clone();
        }
        let mut outcomes: Vec<_> = rows.iter().map(|row| self.judge(row)).collect();
        if self.all_or_nothing && outcomes.iter().any(|outcome| *outcome != RowOutcome::Applied) {
            for outcome in outcomes.iter_mut().filter(|outcome| **outcome == RowOutcome::Applied) {
                *outcome = RowOutcome::NotTried;
            }
        }
        for (row, _) in rows.iter().zip(&outcomes).filter(|(_, o)| **o == RowOutcome::Applied) {
            self.land(now, key, row);
        }
        if keyed {
            self.keys.insert(key.to_owned(), outcomes.clone());
        }
        outcomes
    }

    /// One row takes effect.
    pub(super) fn land(&mut self, now: UtcMs, key: &str, row: &WriteRow) {
        let (Some(place), lags) = (self.place_ix(&row.place), self.lags()) else { return };
        let sent_at = self.first_sent.get(key).copied().unwrap_or(now);
        let number = self.number_mut(place);
        let mut value = Some(row.value.get());
        if let Some(counted_at) = row.counted_at {
            value = number.count(now, row.value.get(), counted_at, lags);
        } else {
            number.set(now, row.value.get(), lags);
        }
        self.rows_written += 1;
        if let Some(value) = value {
            self.landed.push(Landed { place, value, sent_at });
        }
    }

    /// What would become of a row by itself.
    fn judge(&mut self, row: &WriteRow) -> RowOutcome {
        let mode = self.capabilities.write_mode;
        let refused = |detail: &str| RowOutcome::Rejected { detail: detail.into() };
        if row.change_from.is_some() != (mode == WriteMode::CompareAndSet)
            || row.counted_at.is_some() != (mode == WriteMode::TimestampedCount)
        {
            return refused("the row is not of this shop's way of writing");
        }
        if let Some(left) = self.rejects.get_mut(row.place.listing.as_str()).filter(|left| **left > 0) {
            *left -= 1;
            return refused("no");
        }
        if self.chance(self.moods.rejected_rows) {
            return refused("not today");
        }
        let Some(place) = self.place_ix(&row.place) else { return refused("there is no such listing") };
        let shown = self.number_mut(place).shown();
        match row.change_from {
            Some(from) if from.get() != shown => RowOutcome::Conflict { detail: format!("it shows {shown}") },
            _ => RowOutcome::Applied,
        }
    }
}
