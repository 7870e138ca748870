//! A shop in memory: what it shows, its orders, its limit, and what goes wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use stockd::domain::{
    Answer, BudgetReading, Call, CallError, ChannelId, ChannelLocation, Identity, LevelReading, LineId,
    LineNet, LineSnapshot, ListingId, ListingReading, ListingsPage, Meter, Now, OrderId, OrderSnapshot,
    OrdersPage, PageToken, Place, Quota, Reply, RowOutcome, Units, UtcMs, WriteMode, WriteRow,
    listing::Writable,
};

use super::{START, costs};

/// What a shop shows of one listing, per location, with all it showed before.
#[derive(Clone, Debug)]
pub struct Listing {
    pub sku: String,
    pub writable: Writable,
    pub numbers: BTreeMap<String, Vec<(UtcMs, i64)>>,
}

impl Listing {
    fn at(&self, location: &str) -> i64 {
        self.numbers[location].last().unwrap().1
    }

    fn change(&mut self, now: UtcMs, location: &str, delta: i64) {
        let shown = self.at(location) + delta;
        self.numbers.get_mut(location).unwrap().push((now, shown));
    }
}

/// What may go wrong with a call, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moods {
    pub failed_reads: u32,
    pub throttles: u32,
    pub lost_writes: u32,
    pub lost_replies: u32,
    pub late_writes: u32,
    pub rejected_rows: u32,
    pub unread_rows: u32,
}

/// A number of ours that took effect.
#[derive(Clone, Debug)]
pub struct Landed {
    pub place: Place,
    pub value: i64,
    pub sent_at: UtcMs,
}

/// What a shop does with a call.
pub struct Done {
    pub answer: Answer,
    /// The call takes effect only after this long.
    pub late: Option<Duration>,
    /// The answer takes so much longer.
    pub slow: Duration,
}

/// A shop in memory.
#[derive(Debug)]
pub struct Shop {
    pub id: ChannelId,
    pub mode: WriteMode,
    pub page: usize,
    pub orders_page: usize,
    pub locations: Vec<String>,
    pub listings: BTreeMap<String, Listing>,
    pub orders: Vec<OrderSnapshot>,
    pub bucket: f64,
    pub quota: Quota,
    refilled: Duration,
    pub throttled: u32,
    /// When each call came, its name, its rows, its cost, and what it left in the bucket.
    pub calls: Vec<(Duration, &'static str, usize, f64, f64)>,
    /// Fails the next writes: `true` after applying them, `false` before.
    pub time_out_writes: Vec<bool>,
    /// Fails the next calls of a name.
    pub errors: Vec<(&'static str, CallError)>,
    /// Refuses so many more writes of a listing.
    pub rejects: BTreeMap<String, u32>,
    /// Listings whose number a read leaves out.
    pub unread: BTreeSet<String>,
    /// Gives the same token of the orders read this often.
    pub repeated_tokens: u32,
    /// Whether one bad row keeps the whole call from being written (Shopify).
    pub all_or_nothing: bool,
    /// How long a change of a number stays out of quantity reads, in milliseconds.
    pub read_lag_ms: i64,
    /// How much longer the reply to a call of a name takes.
    pub slow: BTreeMap<&'static str, Duration>,
    pub moods: Moods,
    pub dice: Option<ChaCha8Rng>,
    keys: BTreeMap<String, Vec<RowOutcome>>,
    /// How long an order, or a change of one, stays out of the orders read, in milliseconds.
    pub order_delay_ms: i64,
    /// Each version of an order, from when on it is readable.
    versions: Vec<(UtcMs, OrderSnapshot)>,
    /// Orders that lists leave out, and orders that a read by id doesn't give.
    pub unlisted_orders: BTreeSet<String>,
    pub lost_orders: BTreeSet<String>,
    /// Snapshots that every list of orders repeats, whatever the orders are by now.
    pub stale_orders: Vec<OrderSnapshot>,
    /// Listings that the catalogue leaves out, and rows of it that can't be read.
    pub unlisted: BTreeSet<String>,
    pub unreadable_rows: usize,
    /// How far the shop's clock is off, and its `Date` from that, in milliseconds.
    pub clock_off_ms: i64,
    pub date_off_ms: i64,
    /// What landed in the last call.
    pub landed: Vec<Landed>,
    /// When a write's key first came, or would have.
    pub first_sent: BTreeMap<String, UtcMs>,
}

fn listing_id(sku: &str) -> String {
    format!("L-{sku}")
}

fn second(at: UtcMs) -> UtcMs {
    UtcMs(at.0.div_euclid(1_000) * 1_000)
}

impl Shop {
    pub fn new(id: &str, mode: WriteMode, quota: Quota) -> Self {
        let bucket = match quota {
            Quota::Calls { burst, .. } => f64::from(burst),
            Quota::Points { maximum, .. } => maximum,
        };
        Self {
            id: ChannelId::new(id),
            mode,
            page: 100,
            orders_page: 100,
            locations: vec![ChannelLocation::only().as_str().to_owned()],
            listings: BTreeMap::new(),
            orders: Vec::new(),
            bucket,
            quota,
            refilled: Duration::ZERO,
            throttled: 0,
            calls: Vec::new(),
            time_out_writes: Vec::new(),
            errors: Vec::new(),
            rejects: BTreeMap::new(),
            unread: BTreeSet::new(),
            repeated_tokens: 0,
            all_or_nothing: mode == WriteMode::CompareAndSet,
            read_lag_ms: 0,
            slow: BTreeMap::new(),
            moods: Moods::default(),
            dice: None,
            keys: BTreeMap::new(),
            order_delay_ms: 0,
            versions: Vec::new(),
            unlisted_orders: BTreeSet::new(),
            lost_orders: BTreeSet::new(),
            stale_orders: Vec::new(),
            unlisted: BTreeSet::new(),
            unreadable_rows: 0,
            clock_off_ms: 0,
            date_off_ms: 0,
            landed: Vec::new(),
            first_sent: BTreeMap::new(),
        }
    }

    /// Lists a SKU that shows `shown` at every location.
    pub fn list(&mut self, sku: &str, shown: i64) {
        let numbers = self.locations.iter().map(|at| (at.clone(), vec![(START, shown)])).collect();
        let listing = Listing { sku: sku.to_owned(), writable: Writable::Yes, numbers };
        self.listings.insert(listing_id(sku), listing);
    }

    pub fn shows(&self, sku: &str) -> i64 {
        self.shows_at(sku, &self.locations[0])
    }

    pub fn shows_at(&self, sku: &str, location: &str) -> i64 {
        self.listings[&listing_id(sku)].at(location)
    }

    /// A shopper buys; the shop's own number falls at once.
    pub fn sell(&mut self, now: Now, order: &str, sku: &str, units: i64) {
        let location = self.locations[0].clone();
        self.sell_at(now, order, sku, &location, units);
    }

    pub fn sell_at(&mut self, now: Now, order: &str, sku: &str, location: &str, units: i64) {
        self.listings.get_mut(&listing_id(sku)).unwrap().change(now.utc, location, -units);
        let several = self.locations.len() > 1;
        let line = LineSnapshot {
            id: LineId::new("1"),
            listing: Some(ListingId::new(listing_id(sku))),
            channel_sku: Some(sku.to_owned()),
            location: several.then(|| ChannelLocation::new(location)),
            net: LineNet { ordered: Units::of(units), ..LineNet::default() },
            held: Units::of(units),
        };
        let order = OrderSnapshot {
            id: OrderId::new(order),
            number: format!("#{order}"),
            created_at: self.stamp(now),
            updated_at: self.stamp(now),
            lines: vec![line],
            unknown_state: None,
        };
        self.versions.push((now.utc.plus_ms(self.order_delay_ms), order.clone()));
        self.orders.push(order);
    }

    /// The shop cancels an order before it ships and puts the units back itself.
    pub fn cancel(&mut self, now: Now, order: &str) {
        self.change_order(now, order, |line| {
            line.net.cancelled = line.net.ordered;
            std::mem::take(&mut line.held)
        });
    }

    /// All of an order leaves the shelf.
    pub fn ship(&mut self, now: Now, order: &str) {
        self.change_order(now, order, |line| {
            line.net.shipped = line.net.ordered;
            Units::ZERO
        });
    }

    /// What was shipped comes back, and the shop puts it back into its number.
    pub fn take_back(&mut self, now: Now, order: &str) {
        self.change_order(now, order, |line| {
            line.net.restocked = line.net.shipped;
            std::mem::take(&mut line.held)
        });
    }

    /// Changes an order; what `change` gives goes back into the shop's own number.
    fn change_order(&mut self, now: Now, order: &str, change: impl Fn(&mut LineSnapshot) -> Units) {
        let stamp = self.stamp(now);
        self.change_stamped(now, stamp, order, change);
    }

    /// Staff cut an order down to `units`, and its update time stays what it was.
    pub fn cut_silently(&mut self, now: Now, order: &str, units: i64) {
        let stamp = self.orders.iter().find(|o| o.id.as_str() == order).unwrap().updated_at;
        self.change_stamped(now, stamp, order, |line| {
            let back = line.held - Units::of(units);
            (line.net.ordered, line.held) = (Units::of(units), Units::of(units));
            back
        });
    }

    /// What the shop's clock says, to the second.
    fn stamp(&self, now: Now) -> UtcMs {
        second(now.utc.plus_ms(self.clock_off_ms))
    }

    fn change_stamped(
        &mut self,
        now: Now,
        stamp: UtcMs,
        order: &str,
        change: impl Fn(&mut LineSnapshot) -> Units,
    ) {
        let first = self.locations[0].clone();
        let found = self.orders.iter_mut().find(|o| o.id.as_str() == order).unwrap();
        found.updated_at = stamp;
        for line in &mut found.lines {
            let back = change(line);
            if back == Units::ZERO {
                continue;
            }
            let location = line.location.as_ref().map_or(first.as_str(), ChannelLocation::as_str);
            let listing = self.listings.get_mut(line.listing.as_ref().unwrap().as_str()).unwrap();
            listing.change(now.utc, location, back.get());
        }
        self.versions.push((now.utc.plus_ms(self.order_delay_ms), found.clone()));
    }

    /// Staff set a number by hand.
    pub fn edit(&mut self, now: Now, sku: &str, shown: i64) {
        let location = self.locations[0].clone();
        let listing = self.listings.get_mut(&listing_id(sku)).unwrap();
        let delta = shown - listing.at(&location);
        listing.change(now.utc, &location, delta);
    }

    pub fn count(&self, name: &str) -> usize {
        self.calls.iter().filter(|call| call.1 == name).count()
    }

    /// The shop's own limit, as its vendor states it.
    fn pay(&mut self, at: Duration, cost: f64) -> bool {
        let (rate, most) = match self.quota {
            Quota::Calls { per_second, burst } => (per_second, f64::from(burst)),
            Quota::Points { maximum, restore_per_second } => (restore_per_second, maximum),
        };
        let passed = at.saturating_sub(self.refilled).as_secs_f64();
        self.bucket = (self.bucket + passed * rate).min(most);
        self.refilled = at;
        if self.bucket + 1e-9 < cost {
            self.throttled += 1;
            return false;
        }
        self.bucket -= cost;
        true
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        self.dice.as_mut().is_some_and(|dice| dice.random_range(0..1_000) < thousandths)
    }

    pub fn answer(&mut self, now: Now, call: &Call) -> Done {
        let costs = costs();
        let (name, rows, points) = match call {
            Call::Identify => ("identify", 0, costs.identify),
            Call::Orders { .. } => ("orders", 0, costs.orders),
            Call::OrdersById(ids) => ("orders_by_id", ids.len(), costs.orders),
            Call::Listings { .. } => ("listings", 0, costs.listings),
            Call::Levels(places) => ("levels", places.len(), costs.levels),
            Call::Write { rows, .. } => ("write", rows.len(), costs.write),
        };
        let cost = if matches!(self.quota, Quota::Points { .. }) { f64::from(points) } else { 1.0 };
        let paid = self.pay(now.mono, cost);
        self.calls.push((now.mono, name, rows, cost, self.bucket));
        let budget = match self.quota {
            Quota::Points { maximum, restore_per_second } => {
                Some(BudgetReading { available: self.bucket, maximum, restore_per_second })
            }
            Quota::Calls { .. } => None,
        };
        let meter = Meter {
            server_time: Some(second(now.utc.plus_ms(self.clock_off_ms + self.date_off_ms))),
            budget,
            requested_cost: budget.map(|_| cost),
            requests: 1,
        };
        let throttled = || CallError::Throttled { wait: Some(Duration::from_secs(1)), detail: "slow".into() };
        let planned = self.errors.iter().position(|(of, _)| *of == name);
        let mut late = None;
        let result = if !paid || self.chance(self.moods.throttles) {
            Err(throttled())
        } else if let Some(at) = planned {
            Err(self.errors.remove(at).1)
        } else if let Call::Write { key, rows } = call {
            self.first_sent.entry(key.clone()).or_insert(now.utc);
            self.write(now, key, rows, &mut late)
        } else if self.chance(self.moods.failed_reads) {
            Err(CallError::Retry { detail: "503".into() })
        } else {
            Ok(self.read(now.utc, call))
        };
        let slow = self.slow.get(name).copied().unwrap_or_default();
        Done { answer: Answer { result, meter }, late, slow }
    }

    fn read(&mut self, now: UtcMs, call: &Call) -> Reply {
        match call {
            Call::Identify => Reply::Identity(Identity {
                account: format!("account of {}", self.id),
                name: self.id.to_string(),
                locations: Vec::new(),
                warnings: Vec::new(),
            }),
            Call::Orders { since, page } => Reply::Orders(self.orders_page(now, *since, page.as_ref())),
            Call::OrdersById(ids) => Reply::Orders(OrdersPage {
                orders: self.readable(now).into_iter().filter(|o| self.gives(ids, o)).collect(),
                next: None,
                rejected: Vec::new(),
            }),
            Call::Listings { page } => self.listings_page(now, page.as_ref()),
            Call::Levels(places) => {
                let mut levels: Vec<_> = places.iter().filter_map(|p| self.level(now, p)).collect();
                levels.retain(|_| !self.chance(self.moods.unread_rows));
                Reply::Levels(levels)
            }
            Call::Write { .. } => unreachable!("a write is no read"),
        }
    }

    fn gives(&self, ids: &[OrderId], order: &OrderSnapshot) -> bool {
        ids.contains(&order.id) && !self.lost_orders.contains(order.id.as_str())
    }

    /// The latest readable version of each order.
    fn readable(&self, now: UtcMs) -> Vec<OrderSnapshot> {
        let mut latest: BTreeMap<&OrderId, &OrderSnapshot> = BTreeMap::new();
        for (_, order) in self.versions.iter().filter(|(from, _)| *from <= now) {
            latest.insert(&order.id, order);
        }
        latest.into_values().cloned().collect()
    }

    /// Oldest change first, from a cursor of change and id: what changes meanwhile moves to a later page.
    fn orders_page(&mut self, now: UtcMs, since: UtcMs, page: Option<&PageToken>) -> OrdersPage {
        let key = |o: &OrderSnapshot| format!("{:015}/{}", o.updated_at.0, o.id.as_str());
        let mut orders = self.readable(now);
        orders.retain(|o| !self.unlisted_orders.contains(o.id.as_str()));
        orders.retain(|o| o.updated_at >= since && page.is_none_or(|page| key(o).as_str() > page.as_str()));
        orders.sort_by_key(key);
        let more = orders.len() > self.orders_page;
        orders.truncate(self.orders_page);
        let mut next = more.then(|| PageToken::new(key(orders.last().unwrap())));
        if let (Some(page), true) = (page, self.repeated_tokens > 0) {
            self.repeated_tokens -= 1;
            next = Some(page.clone());
        }
        orders.extend(self.stale_orders.iter().filter(|o| o.updated_at >= since).cloned());
        OrdersPage { orders, next, rejected: Vec::new() }
    }

    fn level(&self, now: UtcMs, place: &Place) -> Option<LevelReading> {
        let numbers = self.listings.get(place.listing.as_str())?.numbers.get(place.location.as_str())?;
        let seen = now.plus_ms(-self.read_lag_ms);
        let shown = numbers.iter().rev().find(|(at, _)| *at <= seen).unwrap_or(&numbers[0]).1;
        let quantity = (!self.unread.contains(place.listing.as_str())).then_some(Units::of(shown));
        Some(LevelReading { place: place.clone(), quantity })
    }

    fn listings_page(&self, now: UtcMs, page: Option<&PageToken>) -> Reply {
        let from = page.map_or("", PageToken::as_str);
        let ids: Vec<&String> =
            self.listings.keys().filter(|id| id.as_str() > from).take(self.page).collect();
        let listed = ids.iter().filter(|id| !self.unlisted.contains(id.as_str()));
        let place = |id: &str, at: &String| Place {
            listing: ListingId::new(id),
            location: ChannelLocation::new(at.as_str()),
        };
        let listings = listed
            .map(|id| ListingReading {
                id: ListingId::new(id.as_str()),
                channel_sku: Some(self.listings[*id].sku.clone()),
                title: String::new(),
                writable: self.listings[*id].writable,
                group: String::new(),
                levels: self.locations.iter().filter_map(|at| self.level(now, &place(id, at))).collect(),
            })
            .collect();
        let next = (ids.len() == self.page).then(|| PageToken::new(ids[ids.len() - 1]));
        let rejected = vec!["a row that can't be read".to_owned(); self.unreadable_rows];
        Reply::Listings(ListingsPage { listings, next, rejected })
    }

    fn write(
        &mut self,
        now: Now,
        key: &str,
        rows: &[WriteRow],
        late: &mut Option<Duration>,
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
            let ms = self.dice.as_mut().map_or(0, |dice| dice.random_range(1..1_500));
            *late = Some(Duration::from_millis(ms));
            return Err(timed_out);
        }
        let outcomes = self.apply(now.utc, key, rows);
        if self.chance(self.moods.lost_replies) {
            return Err(timed_out);
        }
        Ok(Reply::Written(outcomes))
    }

    /// Carries a write out, once per key.
    pub fn apply(&mut self, now: UtcMs, key: &str, rows: &[WriteRow]) -> Vec<RowOutcome> {
        if let (WriteMode::CompareAndSet, Some(stored)) = (self.mode, self.keys.get(key)) {
            return stored.clone();
        }
        let mut outcomes: Vec<_> = rows.iter().map(|row| self.judge(row)).collect();
        if self.all_or_nothing && outcomes.iter().any(|o| *o != RowOutcome::Applied) {
            for outcome in outcomes.iter_mut().filter(|o| **o == RowOutcome::Applied) {
                *outcome = RowOutcome::NotTried;
            }
        }
        let sent_at = self.first_sent.get(key).copied().unwrap_or(now);
        for (row, _) in rows.iter().zip(&outcomes).filter(|(_, o)| **o == RowOutcome::Applied) {
            let listing = self.listings.get_mut(row.place.listing.as_str()).unwrap();
            let numbers = listing.numbers.get_mut(row.place.location.as_str()).unwrap();
            numbers.push((now, row.value.get()));
            self.landed.push(Landed { place: row.place.clone(), value: row.value.get(), sent_at });
        }
        self.keys.insert(key.to_owned(), outcomes.clone());
        outcomes
    }

    /// What would become of a row by itself.
    fn judge(&mut self, row: &WriteRow) -> RowOutcome {
        assert_eq!(row.change_from.is_some(), self.mode == WriteMode::CompareAndSet);
        let id = row.place.listing.as_str();
        if let Some(left) = self.rejects.get_mut(id).filter(|left| **left > 0) {
            *left -= 1;
            return RowOutcome::Rejected { detail: "no".into() };
        }
        if self.chance(self.moods.rejected_rows) {
            return RowOutcome::Rejected { detail: "not today".into() };
        }
        let Some(listing) = self.listings.get(id) else {
            return RowOutcome::Rejected { detail: "there is no such listing".into() };
        };
        let shown = listing.at(row.place.location.as_str());
        match row.change_from {
            Some(from) if from.get() != shown => RowOutcome::Conflict { detail: format!("it shows {shown}") },
            _ => RowOutcome::Applied,
        }
    }
}
