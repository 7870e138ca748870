//! A shop in memory: what it shows, its orders, and what goes wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use rand_chacha::ChaCha8Rng;

use super::{
    limits::Limits,
    number::{Lags, Number},
    oddities::Oddities,
    orders::Orders,
};
use crate::domain::{
    Call, CallError, Capabilities, ChannelId, ChannelKind, ChannelLocation, Costs, LineId, LineNet,
    LineSnapshot, ListingId, Now, OrderId, OrderSnapshot, OwnQuotas, Place, Quota, RowOutcome, Units, UtcMs,
    WriteMode, listing::Writable,
};

/// How long a key is remembered of a write that is never repeated, in milliseconds.
pub(super) const KEY_MEMORY_MS: i64 = 86_400_000;

/// Sorts of calls, as shops and tests name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// [`Call::Identify`].
    Identify,
    /// [`Call::Orders`].
    Orders,
    /// [`Call::OrdersById`].
    OrdersById,
    /// [`Call::Listings`].
    Listings,
    /// [`Call::Levels`].
    Levels,
    /// [`Call::Write`].
    Write,
}

impl Sort {
    /// The sort of a call.
    pub const fn of(call: &Call) -> Self {
        match call {
            Call::Identify => Self::Identify,
            Call::Orders { .. } => Self::Orders,
            Call::OrdersById(_) => Self::OrdersById,
            Call::Listings { .. } => Self::Listings,
            Call::Levels(_) => Self::Levels,
            Call::Write { .. } => Self::Write,
        }
    }
}

/// A listing of a shop.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Its id, `L-` and the SKU.
    pub id: ListingId,
    /// Its SKU.
    pub sku: String,
    /// Whether its number may be written.
    pub writable: Writable,
    /// One per location of the shop.
    pub(super) numbers: Vec<Number>,
}

/// What may go wrong with a call, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moods {
    /// Reads answered by an error.
    pub failed_reads: u32,
    /// Calls throttled though there was room.
    pub throttles: u32,
    /// Writes that never take effect, and are never answered.
    pub lost_writes: u32,
    /// Writes that take effect, and are never answered.
    pub lost_replies: u32,
    /// Writes that are never answered, and take effect later.
    pub late_writes: u32,
    /// Rows refused.
    pub rejected_rows: u32,
    /// Places left out of a quantity read.
    pub unread_rows: u32,
}

/// A number of ours that took effect.
#[derive(Clone, Copy, Debug)]
pub struct Landed {
    /// Where, by [`Shop::place_ix`].
    pub place: usize,
    /// What is shown from then on.
    pub value: i64,
    /// When its key first arrived, or would have.
    pub sent_at: UtcMs,
}

/// A call as a shop saw it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When it came.
    pub at: Duration,
    /// Its sort.
    pub sort: Sort,
    /// Its places or rows.
    pub rows: usize,
    /// What it cost, in calls or points.
    pub cost: f64,
    /// What it left in its bucket.
    pub left: f64,
}

/// Orders that stay out of reads for longer than others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// How many in a thousand; which ones is a matter of their ids.
    pub thousandths: u32,
    /// How much longer, in milliseconds.
    pub longer_ms: i64,
}

/// A shop in memory.
///
/// What it says it can do is in `capabilities`; what it really does is in its own delays and lags, so that a shop can be
/// slower than it says. Both are set before anything is listed.
#[derive(Debug)]
pub struct Shop {
    /// The channel it is.
    pub id: ChannelId,
    /// What it can do; its limits are those of [`Shop::new`].
    pub capabilities: Capabilities,
    /// Listings per page.
    pub page: usize,
    /// Orders per page.
    pub orders_page: usize,
    /// Its locations; one without a name where it keeps one number per listing.
    pub locations: Vec<String>,
    /// Whether it puts back into its own number what is cancelled or returned.
    pub restocks_itself: bool,
    /// How long an order, or a change of one, stays out of the orders read, in milliseconds.
    pub order_delay_ms: i64,
    /// Orders that stay out longer.
    pub tail: Tail,
    /// How long any change of a number stays out of quantity reads, in milliseconds.
    pub read_lag_ms: i64,
    /// How much longer a sale stays out of them, in milliseconds.
    pub sale_lag_ms: i64,
    /// How long after an order is finished somebody may ask for it, in milliseconds.
    pub keep_ms: i64,
    /// Calls throttled for want of budget.
    pub throttled: u32,
    /// Each call, where `keep_calls` is set (as it is at first).
    pub calls: Vec<Seen>,
    /// Rows of writes that took effect.
    pub rows_written: u64,
    /// Whether each call is kept.
    pub keep_calls: bool,
    /// Fails the next writes: `true` after applying them, `false` before.
    pub time_out_writes: Vec<bool>,
    /// Fails the next calls of a sort.
    pub errors: Vec<(Sort, CallError)>,
    /// Refuses so many more writes of a listing.
    pub rejects: BTreeMap<String, u32>,
    /// Listings whose number a read leaves out.
    pub unread: BTreeSet<String>,
    /// Gives the same token of the orders read this often.
    pub repeated_tokens: u32,
    /// Whether one bad row keeps the whole call from being written (Shopify).
    pub all_or_nothing: bool,
    /// How much longer the reply to a call of a sort takes.
    pub slow: BTreeMap<Sort, Duration>,
    /// What goes wrong by chance; needs dice.
    pub moods: Moods,
    /// What it gets wrong for good.
    pub odd: Oddities,
    /// Chance.
    pub dice: Option<ChaCha8Rng>,
    pub(super) listings: Vec<Listing>,
    by_sku: HashMap<String, usize>,
    by_id: HashMap<ListingId, usize>,
    /// Listings in the order of the catalogue's pages.
    pub(super) catalogue: BTreeMap<ListingId, usize>,
    pub(super) orders: Orders,
    /// Places whose numbers were set by hand and not read since.
    pub(super) edited: BTreeSet<usize>,
    pub(super) limits: Limits,
    pub(super) made: BTreeMap<Sort, u64>,
    pub(super) keys: HashMap<String, Vec<RowOutcome>>,
    /// When a write's key first came, or would have.
    pub(super) first_sent: HashMap<String, UtcMs>,
    pub(super) keys_by_age: VecDeque<(UtcMs, String)>,
    /// What landed in the last call.
    pub(super) landed: Vec<Landed>,
}

/// What is asked for of a shop counted in points, in the order of [`Costs`].
pub const POINTS: Costs = Costs { identify: 1, orders: 12, listings: 30, levels: 20, write: 10 };
const CALLS: Costs = Costs { identify: 1, orders: 1, listings: 1, levels: 1, write: 1 };

/// What a shop of this mode and limit can do if nothing else is said: a Shopify, or a WooCommerce.
pub fn capabilities(write_mode: WriteMode, quota: Quota) -> Capabilities {
    let sale_safe = write_mode.is_sale_safe();
    Capabilities {
        kind: if sale_safe { ChannelKind::Shopify } else { ChannelKind::Woocommerce },
        write_mode,
        write_batch: if sale_safe { 250 } else { 100 },
        read_batch: 100,
        orders_by_id_batch: 50,
        quota,
        own_quotas: OwnQuotas::default(),
        landing_ms: 0,
        quantity_lag_ms: 0,
        revisions_per_day: None,
        costs: if matches!(quota, Quota::Points { .. }) { POINTS } else { CALLS },
        concurrency: 2,
        settle_ms: 0,
        key_life_ms: sale_safe.then_some(86_400_000),
        order_delay_ms: 5_000,
        order_overlap_ms: 10_000,
        time_step_ms: 1_000,
    }
}

fn second(at: UtcMs) -> UtcMs {
    UtcMs(at.0.div_euclid(1_000) * 1_000)
}

/// The same number for the same text in every run.
pub fn hash_of(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The last bytes alone move few of the high bits.
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// A line of an order.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its id within the order.
    pub line: &'a str,
    /// The listing, by [`Shop::listing_ix`].
    pub listing: usize,
    /// The location, by its place in [`Shop::locations`].
    pub location: usize,
    /// Units, at least 1.
    pub units: i64,
}

impl Shop {
    /// An empty shop.
    pub fn new(id: &str, mode: WriteMode, quota: Quota) -> Self {
        Self::with(id, capabilities(mode, quota))
    }

    /// An empty shop that can do this.
    pub fn with(id: &str, capabilities: Capabilities) -> Self {
        Self {
            id: ChannelId::new(id),
            limits: Limits::new(capabilities.quota, capabilities.own_quotas),
            all_or_nothing: capabilities.write_mode == WriteMode::CompareAndSet,
            capabilities,
            page: 100,
            orders_page: 100,
            locations: vec![ChannelLocation::only().as_str().to_owned()],
            restocks_itself: true,
            order_delay_ms: 0,
            tail: Tail::default(),
            read_lag_ms: 0,
            sale_lag_ms: 0,
            keep_ms: 40 * 86_400_000,
            throttled: 0,
            calls: Vec::new(),
            rows_written: 0,
            keep_calls: true,
            time_out_writes: Vec::new(),
            errors: Vec::new(),
            rejects: BTreeMap::new(),
            unread: BTreeSet::new(),
            repeated_tokens: 0,
            slow: BTreeMap::new(),
            moods: Moods::default(),
            odd: Oddities::default(),
            dice: None,
            listings: Vec::new(),
            by_sku: HashMap::new(),
            by_id: HashMap::new(),
            catalogue: BTreeMap::new(),
            orders: Orders::default(),
            edited: BTreeSet::new(),
            made: BTreeMap::new(),
            keys: HashMap::new(),
            first_sent: HashMap::new(),
            keys_by_age: VecDeque::new(),
            landed: Vec::new(),
        }
    }

    /// One more location, at which nothing is shown.
    pub fn open_location(&mut self, name: &str) {
        self.locations.push(name.to_owned());
        self.listings.iter_mut().for_each(|listing| listing.numbers.push(Number::new(0)));
    }

    /// Lists a SKU that shows `shown` at every location.
    pub fn list(&mut self, sku: &str, shown: i64) {
        let (ix, id) = (self.listings.len(), ListingId::new(format!("L-{sku}")));
        self.by_sku.insert(sku.to_owned(), ix);
        self.by_id.insert(id.clone(), ix);
        self.catalogue.insert(id.clone(), ix);
        let numbers = self.locations.iter().map(|_| Number::new(shown)).collect();
        self.listings.push(Listing { id, sku: sku.to_owned(), writable: Writable::Yes, numbers });
    }

    /// All that is listed, in the order of [`Shop::list`].
    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    /// Which listing has this SKU.
    pub fn listing_ix(&self, sku: &str) -> Option<usize> {
        self.by_sku.get(sku).copied()
    }

    pub(super) fn location_ix(&self, location: &str) -> usize {
        self.locations.iter().position(|at| at == location).unwrap_or(usize::MAX)
    }

    /// Places are numbered by listing, then location.
    pub fn place_ix(&self, place: &Place) -> Option<usize> {
        let listing = self.by_id.get(&place.listing)?;
        let location = self.locations.iter().position(|at| at == place.location.as_str())?;
        Some(listing * self.locations.len() + location)
    }

    pub(super) fn number_mut(&mut self, place: usize) -> &mut Number {
        let locations = self.locations.len();
        &mut self.listings[place / locations].numbers[place % locations]
    }

    pub(super) const fn lags(&self) -> Lags {
        Lags { any_ms: self.read_lag_ms, sales_ms: self.sale_lag_ms }
    }

    /// What is shown of a SKU at the first location.
    ///
    /// # Panics
    /// Where it isn't listed.
    pub fn shows(&self, sku: &str) -> i64 {
        self.shows_ix(self.by_sku[sku], 0)
    }

    /// What is shown of a SKU at a location.
    ///
    /// # Panics
    /// Where it isn't listed, or there is no such location.
    pub fn shows_at(&self, sku: &str, location: &str) -> i64 {
        self.shows_ix(self.by_sku[sku], self.location_ix(location))
    }

    /// What a listing shows at a location, both by number.
    ///
    /// # Panics
    /// Where there is no such listing or location.
    pub fn shows_ix(&self, listing: usize, location: usize) -> i64 {
        self.listings[listing].numbers[location].shown()
    }

    /// A shopper buys at the first location; the shop's own number falls at once.
    ///
    /// # Panics
    /// Where it isn't listed.
    pub fn sell(&mut self, now: Now, order: &str, sku: &str, units: i64) {
        let listing = self.by_sku[sku];
        self.take_order(now, order, &[Wanted { line: "1", listing, location: 0, units }]);
    }

    /// A shopper buys at a location.
    ///
    /// # Panics
    /// Where it isn't listed, or there is no such location.
    pub fn sell_at(&mut self, now: Now, order: &str, sku: &str, location: &str, units: i64) {
        let (listing, location) = (self.by_sku[sku], self.location_ix(location));
        self.take_order(now, order, &[Wanted { line: "1", listing, location, units }]);
    }

    /// A shopper buys several things at once.
    ///
    /// # Panics
    /// Where one of them isn't listed, or there is no such location.
    pub fn take_order(&mut self, now: Now, order: &str, wanted: &[Wanted<'_>]) {
        let (several, lags) = (self.locations.len() > 1, self.lags());
        let mut lines = Vec::with_capacity(wanted.len());
        let moved = wanted.iter().map(|it| it.listing * self.locations.len() + it.location).collect();
        for Wanted { line, listing, location, units } in wanted {
            let shown = &mut self.listings[*listing];
            shown.numbers[*location].move_by(now.utc, -units, lags);
            lines.push(LineSnapshot {
                id: LineId::new(line),
                listing: Some(shown.id.clone()),
                channel_sku: Some(shown.sku.clone()),
                location: several.then(|| ChannelLocation::new(&self.locations[*location])),
                net: LineNet { ordered: Units::of(*units), ..LineNet::default() },
                held: Units::of(*units),
            });
        }
        let order = OrderSnapshot {
            id: OrderId::new(order),
            number: format!("#{order}"),
            created_at: self.stamp(now),
            updated_at: self.stamp(now),
            lines,
            unknown_state: None,
        };
        let readable_at = self.readable_at(&order.id, now.utc);
        self.orders.put(order, readable_at, moved);
    }

    /// From when on a read of orders shows what happens to this order at `at`.
    pub fn readable_at(&self, order: &OrderId, at: UtcMs) -> UtcMs {
        let Tail { thousandths, longer_ms } = self.tail;
        let late = thousandths > 0 && hash_of(order.as_str()) % 1_000 < u64::from(thousandths);
        at.plus_ms(self.order_delay_ms + if late { longer_ms } else { 0 })
    }

    /// From when on a read of quantities shows a sale made at `at`.
    pub const fn sale_visible_at(&self, at: UtcMs) -> UtcMs {
        at.plus_ms(self.read_lag_ms + self.sale_lag_ms)
    }

    /// An order is cancelled before it ships.
    ///
    /// # Panics
    /// Where there is no such order.
    pub fn cancel(&mut self, now: Now, order: &str) {
        self.change_order(now, order, |line| {
            let units = line.net.open();
            line.net.cancelled += units;
            units
        });
    }

    /// All of an order that is still open leaves the shelf.
    ///
    /// # Panics
    /// Where there is no such order.
    pub fn ship(&mut self, now: Now, order: &str) {
        self.change_order(now, order, |line| {
            line.net.shipped += line.net.open();
            Units::ZERO
        });
    }

    /// What was shipped comes back.
    ///
    /// # Panics
    /// Where there is no such order.
    pub fn take_back(&mut self, now: Now, order: &str) {
        self.change_order(now, order, |line| {
            let units = line.net.shipped - line.net.restocked;
            line.net.restocked += units;
            units
        });
    }

    /// Up to `units` of one line are cancelled, or come back if they have been shipped. Gives how many.
    ///
    /// # Panics
    /// Where there is no such order.
    pub fn give_back(&mut self, now: Now, order: &str, line: &str, units: i64) -> i64 {
        let mut given = Units::ZERO;
        self.change_order(now, order, |it| {
            if it.id.as_str() != line {
                return Units::ZERO;
            }
            let open = it.net.open();
            let most = if open > Units::ZERO { open } else { it.net.shipped - it.net.restocked };
            given = Units::of(units).min(most).at_least_zero();
            if open > Units::ZERO {
                it.net.cancelled += given;
            } else {
                it.net.restocked += given;
            }
            given
        });
        given.get()
    }

    /// An order changes no more. Reads show it as long as somebody may ask for it.
    pub fn finish(&mut self, now: Now, order: &str) {
        self.orders.finish(now.utc, OrderId::new(order), self.keep_ms);
    }

    /// Staff cut an order down to `units` of each line, and its update time stays what it was.
    ///
    /// # Panics
    /// Where there is no such order.
    pub fn cut_silently(&mut self, now: Now, order: &str, units: i64) {
        let stamp = self.orders.get(&OrderId::new(order)).map_or(now.utc, |found| found.updated_at);
        self.change_stamped(now, stamp, order, |line| {
            let back = line.net.ordered - Units::of(units);
            line.net.ordered = Units::of(units);
            back
        });
    }

    /// An order as it is.
    pub fn order(&self, order: &str) -> Option<&OrderSnapshot> {
        self.orders.get(&OrderId::new(order))
    }

    /// What the shop's clock says, to the second.
    fn stamp(&self, now: Now) -> UtcMs {
        second(now.utc.plus_ms(self.odd.clock_off_ms))
    }

    fn change_order(&mut self, now: Now, order: &str, change: impl FnMut(&mut LineSnapshot) -> Units) {
        self.change_stamped(now, self.stamp(now), order, change);
    }

    /// Changes an order; what `change` gives of each line is back on the shelf.
    fn change_stamped(
        &mut self,
        now: Now,
        stamp: UtcMs,
        order: &str,
        mut change: impl FnMut(&mut LineSnapshot) -> Units,
    ) {
        let id = OrderId::new(order);
        let found = self.orders.get(&id).cloned();
        let Some(mut order) = found else { panic!("no order {id} at {}", self.id) };
        order.updated_at = stamp;
        let lags = self.lags();
        let mut moved = Vec::new();
        for line in &mut order.lines {
            let back = change(line);
            if back == Units::ZERO || !self.restocks_itself {
                continue;
            }
            line.held -= back;
            let listing = line.listing.as_ref().map_or(usize::MAX, |listing| self.by_id[listing]);
            let location = line.location.as_ref().map_or(0, |location| self.location_ix(location.as_str()));
            self.listings[listing].numbers[location].move_by(now.utc, back.get(), lags);
            moved.push(listing * self.locations.len() + location);
        }
        let readable_at = self.readable_at(&id, now.utc);
        self.orders.put(order, readable_at, moved);
    }

    /// Staff set a number by hand, at the first location.
    ///
    /// # Panics
    /// Where it isn't listed.
    pub fn edit(&mut self, now: Now, sku: &str, shown: i64) {
        let (listing, lags) = (self.by_sku[sku], self.lags());
        self.listings[listing].numbers[0].set(now.utc, shown, lags);
        self.edited.insert(listing * self.locations.len());
    }

    /// How many calls of a sort have come.
    pub fn count(&self, sort: Sort) -> u64 {
        self.made.get(&sort).copied().unwrap_or(0)
    }

    /// How many calls have come.
    pub fn calls_made(&self) -> u64 {
        self.made.values().sum()
    }

    /// Whether the shop's limits leave room for a look and a write right now.
    pub fn has_room(&mut self, at: Duration) -> bool {
        self.limits.have_room(at, &self.capabilities)
    }

    /// Reads that nobody made, since they would have found nothing.
    pub(super) fn passed(&mut self, polls: u64, looks: u64) {
        *self.made.entry(Sort::Orders).or_default() += polls;
        *self.made.entry(Sort::Levels).or_default() += looks;
    }

    /// From when on a read of orders shows something that none has shown yet; `None`: nothing is on its way.
    pub fn news_from(&self) -> Option<UtcMs> {
        self.orders.news_from()
    }

    /// The places whose numbers differ from what reads have shown.
    pub fn moved_places(&self) -> Vec<Place> {
        let places: BTreeSet<usize> = self.orders.moved().chain(self.edited.iter().copied()).collect();
        let locations = self.locations.len();
        let place = |ix: usize| Place {
            listing: self.listings[ix / locations].id.clone(),
            location: ChannelLocation::new(&self.locations[ix % locations]),
        };
        places.into_iter().map(place).collect()
    }
}
