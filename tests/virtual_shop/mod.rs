//! The real engine on a real ledger under a virtual clock, against shops that live in memory.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{collections::BTreeMap, time::Duration};

use stockd::{
    domain::{
        Answer, BudgetReading, Cadence, Call, CallError, Capabilities, ChannelId, ChannelKind,
        ChannelLocation, ChannelSettings, Costs, Identity, LevelReading, LineId, LineNet, LineSnapshot,
        ListingId, ListingReading, ListingsPage, LocationId, Meter, Mode, Now, OrderId, OrderSnapshot,
        OrdersPage, PageToken, Percent, Place, Policies, Quota, Reply, RowOutcome, Settings, Units, UtcMs,
        WriteMode, listing::Writable, settings::BrakeSettings,
    },
    engine::{CallId, Command, Engine, Event},
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
        self.orders.push(OrderSnapshot {
            id: OrderId::new(order),
            number: format!("#{order}"),
            created_at: second,
            updated_at: second,
            lines: vec![line],
            unknown_state: None,
        });
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
            self.reply(call)
        } else {
            Err(CallError::Throttled { wait: Some(Duration::from_secs(1)), detail: "too fast".into() })
        };
        Answer { result, meter }
    }

    fn reply(&mut self, call: &Call) -> Result<Reply, CallError> {
        Ok(match call {
            Call::Identify => Reply::Identity(Identity {
                account: format!("account of {}", self.id),
                name: self.id.to_string(),
                locations: Vec::new(),
                warnings: Vec::new(),
            }),
            Call::Orders { since, .. } => Reply::Orders(OrdersPage {
                orders: self.orders.iter().filter(|o| o.updated_at >= *since).cloned().collect(),
                next: None,
                rejected: Vec::new(),
            }),
            Call::OrdersById(ids) => Reply::Orders(OrdersPage {
                orders: self.orders.iter().filter(|o| ids.contains(&o.id)).cloned().collect(),
                next: None,
                rejected: Vec::new(),
            }),
            Call::Listings { page } => self.listings_page(page.as_ref()),
            Call::Levels(places) => {
                Reply::Levels(places.iter().filter_map(|p| self.level(p.listing.as_str())).collect())
            }
            Call::Write { key, rows } => return self.write(key, rows),
        })
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
            scan: Cadence::Every(Duration::from_secs(86_400)),
            sweep: Cadence::Every(Duration::from_secs(86_400)),
            history: Duration::from_secs(30 * 86_400),
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
    Reply { call: CallId, answer: Answer },
}

/// The engine, its shops, and what is under way between them.
pub struct World {
    pub engine: Engine,
    pub shops: Vec<Shop>,
    pub now: Now,
    flights: BTreeMap<(Duration, u64), Flight>,
    next: u64,
    wake: Duration,
}

impl World {
    pub fn new(engine: Engine, shops: Vec<Shop>) -> Self {
        let now = Now { mono: Duration::ZERO, utc: START };
        Self { engine, shops, now, flights: BTreeMap::new(), next: 0, wake: Duration::ZERO }
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
                    Flight::Reply { call, answer } => {
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
        let shop = self.shops.iter_mut().find(|shop| shop.id == command.channel).unwrap();
        let answer = shop.answer(now, &command.call);
        self.put(LATENCY, Flight::Reply { call: command.id, answer });
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
