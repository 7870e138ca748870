//! The real engine on a real ledger under a virtual clock, against shops that live in memory.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail and tell as loudly as tests"
)]

use std::{collections::BTreeMap, time::Duration};

use stockd::{
    domain::{
        Answer, BudgetReading, Cadence, Call, CallError, Capabilities, ChannelId, ChannelKind,
        ChannelLocation, ChannelSettings, Costs, Identity, LevelReading, LineId, LineNet, LineSnapshot,
        ListingId, ListingReading, ListingsPage, LocationId, Meter, Mode, Now, OrderId, OrderSnapshot,
        OrdersPage, PageToken, Percent, Place, Policies, Policy, Quota, Reply, RowOutcome, Settings, Sku,
        Units, UtcMs, WriteMode, listing::Writable, settings::BrakeSettings,
    },
    engine::{CallId, Command, Engine, Event},
    referee::{ChannelIx, Landing, NewPlace, OrderEvent, PlaceIx, Referee},
};

/// One way of every request.
pub const LATENCY: Duration = Duration::from_millis(40);
pub const START: UtcMs = UtcMs(1_795_000_000_000);

/// What a shop shows of one listing.
#[derive(Clone, Debug)]
pub struct Listing {
    pub sku: String,
    pub shown: i64,
}

/// A shop in memory.
#[derive(Debug)]
pub struct Shop {
    pub id: ChannelId,
    pub mode: WriteMode,
    pub page: usize,
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
    keys: BTreeMap<String, Vec<RowOutcome>>,
    /// How long an order, or a change of one, stays out of the orders read, in milliseconds.
    pub order_delay_ms: i64,
    /// Each version of an order, from when on it is readable.
    versions: Vec<(UtcMs, OrderSnapshot)>,
    /// What landed in the last write: listing and value.
    landed: Vec<(String, i64, bool)>,
    first_sent: BTreeMap<String, UtcMs>,
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
            listings: BTreeMap::new(),
            orders: Vec::new(),
            bucket,
            quota,
            refilled: Duration::ZERO,
            throttled: 0,
            calls: Vec::new(),
            time_out_writes: Vec::new(),
            keys: BTreeMap::new(),
            order_delay_ms: 0,
            versions: Vec::new(),
            landed: Vec::new(),
            first_sent: BTreeMap::new(),
        }
    }

    pub fn list(&mut self, sku: &str, shown: i64) {
        let id = format!("L-{sku}");
        self.listings.insert(id, Listing { sku: sku.to_owned(), shown });
    }

    pub fn shows(&self, sku: &str) -> i64 {
        self.listings[&format!("L-{sku}")].shown
    }

    /// A shopper buys; the shop's own number falls at once.
    pub fn sell(&mut self, now: Now, order: &str, sku: &str, units: i64) {
        self.listings.get_mut(&format!("L-{sku}")).unwrap().shown -= units;
        let second = UtcMs(now.utc.0.div_euclid(1_000) * 1_000);
        let net = LineNet { ordered: Units::of(units), ..LineNet::default() };
        let line = LineSnapshot {
            id: LineId::new("1"),
            listing: Some(ListingId::new(format!("L-{sku}"))),
            channel_sku: Some(sku.to_owned()),
            location: None,
            net,
            held: Units::of(units),
        };
        let order = OrderSnapshot {
            id: OrderId::new(order),
            number: format!("#{order}"),
            created_at: second,
            updated_at: second,
            lines: vec![line],
            unknown_state: None,
        };
        self.versions.push((now.utc.plus_ms(self.order_delay_ms), order.clone()));
        self.orders.push(order);
    }

    /// The shop cancels an order before it ships and puts the units back itself.
    pub fn cancel(&mut self, now: Now, order: &str) {
        let found = self.orders.iter_mut().find(|o| o.id.as_str() == order).unwrap();
        found.updated_at = UtcMs(now.utc.0.div_euclid(1_000) * 1_000);
        for line in &mut found.lines {
            line.net.cancelled = line.net.ordered;
            let listing = line.listing.as_ref().unwrap().as_str();
            self.listings.get_mut(listing).unwrap().shown += line.held.get();
            line.held = Units::ZERO;
        }
        self.versions.push((now.utc.plus_ms(self.order_delay_ms), found.clone()));
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

    fn answer(&mut self, now: Now, call: &Call) -> Answer {
        let costs = costs();
        let (name, rows, points) = match call {
            Call::Identify => ("identify", 0, costs.identify),
            Call::Orders { .. } | Call::OrdersById(_) => ("orders", 0, costs.orders),
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
            server_time: Some(UtcMs(now.utc.0.div_euclid(1_000) * 1_000)),
            budget,
            requested_cost: budget.map(|_| cost),
            requests: 1,
        };
        let result = if paid {
            self.reply(now.utc, call)
        } else {
            Err(CallError::Throttled { wait: Some(Duration::from_secs(1)), detail: "too fast".into() })
        };
        Answer { result, meter }
    }

    fn reply(&mut self, now: UtcMs, call: &Call) -> Result<Reply, CallError> {
        Ok(match call {
            Call::Identify => Reply::Identity(Identity {
                account: format!("account of {}", self.id),
                name: self.id.to_string(),
                locations: Vec::new(),
                warnings: Vec::new(),
            }),
            Call::Orders { since, .. } => Reply::Orders(OrdersPage {
                orders: self.readable(now).into_iter().filter(|o| o.updated_at >= *since).collect(),
                next: None,
                rejected: Vec::new(),
            }),
            Call::OrdersById(ids) => Reply::Orders(OrdersPage {
                orders: self.readable(now).into_iter().filter(|o| ids.contains(&o.id)).collect(),
                next: None,
                rejected: Vec::new(),
            }),
            Call::Listings { page } => self.listings_page(page.as_ref()),
            Call::Levels(places) => {
                Reply::Levels(places.iter().filter_map(|p| self.level(p.listing.as_str())).collect())
            }
            Call::Write { key, rows } => {
                self.first_sent.entry(key.clone()).or_insert(now);
                return self.write(key, rows);
            }
        })
    }

    /// The latest readable version of each order.
    fn readable(&self, now: UtcMs) -> Vec<OrderSnapshot> {
        let mut latest: BTreeMap<&OrderId, &OrderSnapshot> = BTreeMap::new();
        for (_, order) in self.versions.iter().filter(|(from, _)| *from <= now) {
            latest.insert(&order.id, order);
        }
        latest.into_values().cloned().collect()
    }

    fn level(&self, listing: &str) -> Option<LevelReading> {
        let place = Place { listing: ListingId::new(listing), location: ChannelLocation::only() };
        let quantity = Some(Units::of(self.listings.get(listing)?.shown));
        Some(LevelReading { place, quantity })
    }

    fn listings_page(&self, page: Option<&PageToken>) -> Reply {
        let from = page.map_or("", PageToken::as_str);
        let ids: Vec<&String> =
            self.listings.keys().filter(|id| id.as_str() > from).take(self.page).collect();
        let listings = ids
            .iter()
            .map(|id| ListingReading {
                id: ListingId::new(id.as_str()),
                channel_sku: Some(self.listings[*id].sku.clone()),
                title: String::new(),
                writable: Writable::Yes,
                group: String::new(),
                levels: self.level(id).into_iter().collect(),
            })
            .collect();
        let next = (ids.len() == self.page).then(|| PageToken::new(ids[ids.len() - 1]));
        Reply::Listings(ListingsPage { listings, next, rejected: Vec::new() })
    }

    fn write(&mut self, key: &str, rows: &[stockd::domain::WriteRow]) -> Result<Reply, CallError> {
        let applies = match self.time_out_writes.pop() {
            Some(true) => {
                self.apply(key, rows);
                return Err(CallError::Unknown { detail: "timed out".into() });
            }
            Some(false) => return Err(CallError::Unknown { detail: "timed out".into() }),
            None => true,
        };
        assert!(applies);
        Ok(Reply::Written(self.apply(key, rows)))
    }

    fn apply(&mut self, key: &str, rows: &[stockd::domain::WriteRow]) -> Vec<RowOutcome> {
        if let (WriteMode::CompareAndSet, Some(stored)) = (self.mode, self.keys.get(key)) {
            return stored.clone();
        }
        let mut outcomes = Vec::new();
        for row in rows {
            let listing = self.listings.get_mut(row.place.listing.as_str()).unwrap();
            let stale = row.change_from.is_some_and(|from| from.get() != listing.shown);
            assert_eq!(row.change_from.is_some(), self.mode == WriteMode::CompareAndSet);
            outcomes.push(if stale {
                RowOutcome::Conflict { detail: format!("it shows {}", listing.shown) }
            } else {
                listing.shown = row.value.get();
                self.landed.push((row.place.listing.as_str().to_owned(), row.value.get(), true));
                RowOutcome::Applied
            });
        }
        self.keys.insert(key.to_owned(), outcomes.clone());
        outcomes
    }
}

pub fn costs() -> Costs {
    Costs { identify: 1, orders: 12, listings: 30, levels: 20, write: 10 }
}

pub fn settings(ledger: &std::path::Path, shops: &[&Shop], every: Duration) -> Settings {
    let channels = shops
        .iter()
        .map(|shop| ChannelSettings {
            id: shop.id.clone(),
            mode: Mode::Push,
            capabilities: Capabilities {
                kind: if shop.mode == WriteMode::Absolute {
                    ChannelKind::Woocommerce
                } else {
                    ChannelKind::Shopify
                },
                write_mode: shop.mode,
                write_batch: if shop.mode == WriteMode::Absolute { 100 } else { 250 },
                read_batch: 100,
                orders_by_id_batch: 50,
                quota: shop.quota,
                costs: costs_of(shop),
                concurrency: 2,
                settle_ms: 0,
                key_life_ms: (shop.mode == WriteMode::CompareAndSet).then_some(86_400_000),
                order_delay_ms: 5_000,
                order_overlap_ms: 10_000,
                time_step_ms: 1_000,
            },
            orders: Cadence::Every(every),
            scan: Cadence::Every(Duration::from_hours(24)),
            sweep: Cadence::Every(Duration::from_hours(24)),
            history: Duration::from_hours(30 * 24),
            locations: Vec::new(),
            order_location: LocationId::new(LocationId::DEFAULT),
        })
        .collect();
    Settings {
        ledger: ledger.to_owned(),
        channels,
        policies: Policies::default(),
        bundles: Vec::new(),
        brake: BrakeSettings { share: Percent::ALL, min_listings: 1_000_000 },
    }
}

fn costs_of(shop: &Shop) -> Costs {
    match shop.quota {
        Quota::Points { .. } => costs(),
        Quota::Calls { .. } => Costs { identify: 1, orders: 1, listings: 1, levels: 1, write: 1 },
    }
}

/// A thing under way in the virtual world.
enum Flight {
    Request(Command),
    Reply { call: CallId, channel: usize, answer: Answer },
}

/// The engine, its shops, and what is under way between them.
pub struct World {
    pub engine: Engine,
    pub shops: Vec<Shop>,
    pub now: Now,
    flights: BTreeMap<(Duration, u64), Flight>,
    next: u64,
    wake: Duration,
    pub court: Option<Court>,
}

impl World {
    pub fn new(engine: Engine, shops: Vec<Shop>) -> Self {
        let now = Now { mono: Duration::ZERO, utc: START };
        Self { engine, shops, now, flights: BTreeMap::new(), next: 0, wake: Duration::ZERO, court: None }
    }

    pub fn shop(&mut self, id: &str) -> &mut Shop {
        self.shops.iter_mut().find(|shop| shop.id.as_str() == id).unwrap()
    }

    /// Lets time pass until `until`, carrying requests and replies.
    pub fn run_until(&mut self, until: Duration) {
        loop {
            let next = self.flights.keys().next().map_or(self.wake, |(at, _)| (*at).min(self.wake));
            if next > until {
                self.set(until);
                return;
            }
            self.set(next);
            let mut events = Vec::new();
            while let Some(entry) = self.flights.first_entry() {
                if entry.key().0 > self.now.mono {
                    break;
                }
                match entry.remove() {
                    Flight::Request(command) => self.arrive(&command),
                    Flight::Reply { call, channel, answer } => {
                        if let Some(court) = &mut self.court {
                            court.delivered(self.now.utc, channel, &answer);
                        }
                        events.push(Event::Answered { call, took: 2 * LATENCY, answer });
                    }
                }
            }
            let step = self.engine.handle(self.now, &events).unwrap();
            self.wake = step.wake.unwrap().max(self.now.mono + Duration::from_millis(1));
            for command in step.commands {
                self.put(LATENCY, Flight::Request(command));
            }
        }
    }

    fn arrive(&mut self, command: &Command) {
        let now = self.now;
        let channel = self.shops.iter().position(|shop| shop.id == command.channel).unwrap();
        let shop = &mut self.shops[channel];
        let answer = shop.answer(now, &command.call);
        if std::env::var_os("TRACE").is_some() {
            println!("{:?} {} {:?} -> {:?}", now.mono, shop.id, command.call, answer.result);
        }
        let landed = std::mem::take(&mut shop.landed);
        if let (Some(court), Call::Write { key, rows }) = (&mut self.court, &command.call) {
            let sent_at = shop.first_sent.get(key).copied().unwrap_or(now.utc);
            for (listing, value, _) in &landed {
                court.landed(now.utc, channel, listing, *value, sent_at);
            }
            if answer.result.is_err() {
                for row in rows {
                    court.unsettled(now.utc, channel, row.place.listing.as_str());
                }
            }
        }
        self.put(LATENCY, Flight::Reply { call: command.id, channel, answer });
    }

    fn put(&mut self, after: Duration, flight: Flight) {
        self.next += 1;
        self.flights.insert((self.now.mono + after, self.next), flight);
    }

    fn set(&mut self, mono: Duration) {
        let mono = mono.max(self.now.mono);
        self.now = Now { mono, utc: START.plus_ms(i64::try_from(mono.as_millis()).unwrap()) };
    }
}

/// The referee, told of everything that happens in the virtual world.
pub struct Court {
    pub referee: Referee,
    channels: Vec<ChannelIx>,
    places: BTreeMap<(usize, String), PlaceIx>,
}

impl Court {
    /// A referee for these shops, all of one SKU per listing.
    pub fn new(shops: &[Shop], stock: &[(String, i64)], poll_ms: i64) -> Self {
        let round_trip_ms = 2 * i64::try_from(LATENCY.as_millis()).unwrap();
        let mut referee = Referee::new(stockd::referee::Settings {
            fence_age_ms: 2 * round_trip_ms + 20,
            ..stockd::referee::Settings::default()
        });
        for (sku, units) in stock {
            referee.opening(&Sku::new(sku).unwrap(), Units::of(*units));
        }
        let (mut channels, mut places) = (Vec::new(), BTreeMap::new());
        for (at, shop) in shops.iter().enumerate() {
            let channel = referee.add_channel(stockd::referee::ChannelSettings {
                order_poll_ms: poll_ms,
                quantity_poll_ms: None,
                read_allowance_ms: 2 * round_trip_ms,
                slack_ms: 2_500,
                settle_ms: 20_000,
            });
            channels.push(channel);
            for (id, listing) in &shop.listings {
                let sku = Sku::new(&listing.sku).unwrap();
                let place = referee.add_place(NewPlace {
                    channel,
                    name: format!("{} {}", shop.id, listing.sku),
                    components: vec![(sku, Units::ONE)],
                    policy: Policy::default(),
                    shown: Units::of(listing.shown),
                });
                places.insert((at, id.clone()), place);
            }
        }
        Self { referee, channels, places }
    }

    fn event(&self, at: UtcMs, shop: usize, order: &str, sku: &str, units: i64, delay_ms: i64) -> OrderEvent {
        OrderEvent {
            at,
            order: OrderId::new(order),
            place: self.places[&(shop, format!("L-{sku}"))],
            pieces: Units::of(units),
            in_orders_at: at.plus_ms(delay_ms),
            in_quantities_at: at,
        }
    }

    pub fn sold(&mut self, at: UtcMs, shop: usize, order: &str, sku: &str, units: i64, delay_ms: i64) {
        let event = self.event(at, shop, order, sku, units, delay_ms);
        self.referee.sale(event);
    }

    pub fn gave_back(&mut self, at: UtcMs, shop: usize, order: &str, sku: &str, units: i64, delay_ms: i64) {
        let event = self.event(at, shop, order, sku, units, delay_ms);
        self.referee.give_back(event, true);
    }

    fn delivered(&mut self, at: UtcMs, shop: usize, answer: &Answer) {
        let read_at = at.plus_ms(-i64::try_from(LATENCY.as_millis()).unwrap());
        if let Ok(Reply::Orders(page)) = &answer.result {
            for order in &page.orders {
                self.referee.order_delivered(self.channels[shop], &order.id, read_at, at);
            }
        }
    }

    fn landed(&mut self, at: UtcMs, shop: usize, listing: &str, value: i64, sent_at: UtcMs) {
        let place = self.places[&(shop, listing.to_owned())];
        self.referee.landing(Landing { place, sent_at, landed_at: at, value: Units::of(value) });
    }

    fn unsettled(&mut self, at: UtcMs, shop: usize, listing: &str) {
        self.referee.unsettled(at, self.places[&(shop, listing.to_owned())]);
    }
}
