//! One random day: who does what, and what must be true at its end.
#![allow(unreachable_pub, reason = "a module of one test binary")]
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a harness reads best short, and may fail loudly"
)]

use std::{collections::BTreeMap, path::Path, time::Duration};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stockd::{
    domain::{
        Buffer, Bundle, Cadence, ChannelLocation, Component, CountBasis, CountRow, LocationId, Operation,
        Place, Policies, Quota, Settings, Sku, Units, WriteMode,
        policy::{AutoBuffer, PolicyRule},
    },
    ledger::Depth,
};

use stockd::street::{
    Allowances, Court, Moods, Parts, Shop, Sort, Taken, World, opening, settings, start, tell_on_request,
};

const SKUS: usize = 8;
const POLL: Duration = Duration::from_secs(2);
/// A bundle of one unit of the first SKU and two of the second.
const SET: &str = "SET";
const LOCATIONS: [&str; 2] = ["front", "back"];

/// What may go wrong on a day.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    pub order_delay_ms: i64,
    /// How long a change stays out of quantity reads.
    pub read_lag_ms: i64,
    pub moods: Moods,
    /// Ways of up to this long, so that replies overtake each other.
    pub slow_ways: Option<Duration>,
    /// Orders per page, where they come in pages.
    pub orders_page: Option<usize>,
    /// The program dies now and then.
    pub deaths: bool,
    /// The ledger refuses a round now and then.
    pub refusals: bool,
    /// The wall clock jumps by a day now and then.
    pub jumps: bool,
    /// Deliveries and losses.
    pub restocks: bool,
    /// Counts of a few seconds ago.
    pub counts: bool,
    /// Channels are held, SKUs shown as none.
    pub pauses: bool,
    /// A listing made of two SKUs on every channel.
    pub bundles: bool,
    /// Two locations.
    pub locations: bool,
    /// Staff set numbers by hand, and the catalogue is read often.
    pub edits: bool,
    /// Whether buffers follow demand.
    pub auto: bool,
}

impl Weather {
    /// Whether decreases may be late for reasons the referee is not told of.
    fn is_rough(&self) -> bool {
        let Moods { failed_reads, throttles, lost_writes, lost_replies, late_writes, rejected_rows, .. } =
            self.moods;
        let moody = failed_reads + throttles + lost_writes + lost_replies + late_writes + rejected_rows > 0;
        moody || self.deaths || self.refusals || self.slow_ways.is_some()
    }

    /// What one piece of a listing takes from stock.
    fn parts(&self, sku: &str, location: &str) -> Parts {
        let key = |sku: &str| if self.locations { format!("{sku}@{location}") } else { sku.to_owned() };
        match sku {
            SET => vec![(key("SKU-0"), 1), (key("SKU-1"), 2)],
            sku => vec![(key(sku), 1)],
        }
    }
}

#[derive(Clone)]
struct Open {
    shop: usize,
    order: String,
    sku: String,
    location: String,
    units: i64,
    shipped: bool,
}

/// What happened to one key's stock: when, how free it was before, and how much was ordered and not shipped.
type Past = Vec<(Duration, i64, i64)>;

pub struct Day {
    seed: u64,
    weather: Weather,
    settings: Settings,
    world: World,
    dice: ChaCha8Rng,
    /// Units truly free, and committed, by key.
    truth: BTreeMap<String, (i64, i64)>,
    past: BTreeMap<String, Past>,
    /// When a key was counted last.
    counted: BTreeMap<String, Duration>,
    open: Vec<Open>,
    orders: usize,
    /// What is paused: channel, SKU.
    paused: Vec<(usize, Option<String>)>,
}

impl Day {
    pub fn new(folder: &Path, seed: u64, weather: Weather) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let (shops, stock) = street(weather, &mut dice);
        let refs: Vec<&Shop> = shops.iter().collect();
        let mut settings = settings(&folder.join("ledger.db"), &refs, POLL);
        settings.bundles = vec![Bundle {
            channel_sku: Sku::new(SET).unwrap(),
            channel: None,
            components: vec![component("SKU-0", 1), component("SKU-1", 2)],
        }];
        if weather.auto {
            settings.policies = Policies::new(vec![PolicyRule {
                buffer: Some(Buffer::Auto(AutoBuffer::default())),
                oversell_cost: Some(20_000),
                buffer_max: Some(Units::of(3)),
                ..PolicyRule::default()
            }]);
        }
        for (channel, shop) in settings.channels.iter_mut().zip(&shops) {
            if weather.locations {
                channel.order_location = LocationId::new(LOCATIONS[0]);
                channel.locations = LOCATIONS
                    .iter()
                    .zip(&shop.locations)
                    .map(|(here, there)| (LocationId::new(*here), ChannelLocation::new(there.as_str())))
                    .collect();
            }
            if weather.edits {
                channel.scan = Cadence::Every(Duration::from_secs(15));
            }
        }
        let rows = stock.iter().map(|(key, units)| {
            let (sku, location) = key.split_once('@').unwrap_or((key, LocationId::DEFAULT));
            opening(sku, location, *units).unwrap()
        });
        let engine = start(settings.clone(), rows.collect()).unwrap();
        let allowed = allowances(weather);
        let court = Court::with(&shops, &stock, &vec![allowed; shops.len()], |shop, sku, location| {
            weather.parts(sku, &here(shop, location))
        })
        .unwrap();
        tell_on_request();
        let mut world = World::new(engine, shops);
        world.court = Some(court);
        world.slowest = weather.slow_ways.map(|slowest| (ChaCha8Rng::seed_from_u64(seed), slowest));
        let truth = stock.into_iter().map(|(key, units)| (key, (units, 0))).collect();
        let (past, counted) = (BTreeMap::new(), BTreeMap::new());
        let (open, paused) = (Vec::new(), Vec::new());
        Self { seed, weather, settings, world, dice, truth, past, counted, open, orders: 0, paused }
    }

    pub fn pass_until(&mut self, until: Duration) {
        self.world.run_until(until).unwrap();
    }

    fn one_in(&mut self, times: u32) -> bool {
        self.dice.random_ratio(1, times)
    }

    /// People and misfortunes until then.
    pub fn live_until(&mut self, until: Duration) {
        let weather = self.weather;
        while self.world.now.mono < until {
            let pause = Duration::from_millis(self.dice.random_range(50..900));
            let next = self.world.now.mono + pause;
            self.world.run_until(next).unwrap();
            match self.dice.random_range(0..16) {
                0 | 1 => self.cancel(),
                2 => self.ship(),
                3 if weather.restocks => self.restock(),
                4 if weather.counts => self.count(),
                5 if weather.pauses => self.pause_or_resume(),
                6 if weather.edits => self.edit(),
                7 if weather.deaths && self.one_in(3) => self.die(),
                8 if weather.refusals && self.one_in(2) => self.refuse(),
                9 if weather.jumps && self.one_in(2) => self.jump(),
                _ => self.sell(),
            }
        }
    }

    fn any_sku(&mut self) -> String {
        match self.dice.random_range(0..=SKUS) {
            SKUS if self.weather.bundles => SET.to_owned(),
            n => format!("SKU-{}", n.min(SKUS - 1)),
        }
    }

    fn sell(&mut self) {
        let shop = self.dice.random_range(0..self.world.shops.len());
        let sku = self.any_sku();
        let locations = &self.world.shops[shop].locations;
        let location = locations[self.dice.random_range(0..locations.len())].clone();
        let shown = self.world.shops[shop].shows_at(&sku, &location);
        let units = self.dice.random_range(1..4).min(shown);
        if units <= 0 {
            return;
        }
        self.orders += 1;
        let (order, now) = (self.orders.to_string(), self.world.now);
        self.world.shops[shop].sell_at(now, &order, &sku, &location, units);
        let sale = Open { shop, order, sku, location, units, shipped: false };
        self.tell(&sale, Court::sold);
        self.moved(&sale, -units, units);
        self.open.push(sale);
    }

    fn cancel(&mut self) {
        let Some(order) = self.take_open(|order| !order.shipped) else { return };
        self.world.shops[order.shop].cancel(self.world.now, &order.order);
        self.tell(&order, Court::gave_back);
        self.moved(&order, order.units, -order.units);
    }

    /// An order is shipped, or one that was comes back.
    fn ship(&mut self) {
        let Some(mut order) = self.take_open(|_| true) else { return };
        let now = self.world.now;
        if order.shipped {
            self.world.shops[order.shop].take_back(now, &order.order);
            self.tell(&order, Court::gave_back);
            self.moved(&order, order.units, 0);
        } else {
            self.world.shops[order.shop].ship(now, &order.order);
            self.moved(&order, 0, -order.units);
            order.shipped = true;
            self.open.push(order);
        }
    }

    fn take_open(&mut self, which: impl Fn(&Open) -> bool) -> Option<Open> {
        let fitting: Vec<usize> = (0..self.open.len()).filter(|ix| which(&self.open[*ix])).collect();
        let ix = *fitting.get(self.dice.random_range(0..fitting.len().max(1)))?;
        Some(self.open.swap_remove(ix))
    }

    fn tell(&mut self, order: &Open, what: fn(&mut Court, stockd::domain::UtcMs, Taken<'_>, &Shop)) {
        let Open { shop, order, sku, location, units, .. } = order;
        let taken = Taken { shop: *shop, order, sku, location, units: *units };
        what(self.world.court.as_mut().unwrap(), self.world.now.utc, taken, &self.world.shops[*shop]);
    }

    /// Free and committed units of an order's parts change.
    fn moved(&mut self, order: &Open, free: i64, committed: i64) {
        let there = here(self.world.shops[order.shop].id.as_str(), &order.location);
        for (key, each) in self.weather.parts(&order.sku, &there) {
            self.move_key(&key, free * each, committed * each);
        }
    }

    fn move_key(&mut self, key: &str, free: i64, committed: i64) {
        let stock = self.truth.get_mut(key).unwrap();
        self.world.trace(|| format!("{key}: {stock:?} and {free}, {committed}"));
        self.past.entry(key.to_owned()).or_default().push((self.world.now.mono, stock.0, stock.1));
        *stock = (stock.0 + free, stock.1 + committed);
    }

    fn any_key(&mut self) -> (String, Sku, LocationId) {
        let which = self.dice.random_range(0..self.truth.len());
        let key = self.truth.keys().nth(which).unwrap().clone();
        let (sku, location) = key.split_once('@').unwrap_or((&key, LocationId::DEFAULT));
        let (sku, location) = (Sku::new(sku).unwrap(), LocationId::new(location));
        (key, sku, location)
    }

    fn restock(&mut self) {
        let (key, sku, location) = self.any_key();
        let delta = self.dice.random_range(-3..6);
        self.shelf(&key, delta);
        self.move_key(&key, delta, 0);
        let delta = Units::of(delta);
        let reason = "a delivery, or breakage".to_owned();
        self.world
            .ask(&Operation::Adjust { sku, location, delta, receipt: delta > Units::ZERO, reason })
            .unwrap();
    }

    fn shelf(&mut self, key: &str, delta: i64) {
        let (now, sku) = (self.world.now.utc, Sku::new(key).unwrap());
        let referee = &mut self.world.court.as_mut().unwrap().referee;
        match delta {
            0.. => referee.raise(now, &sku, Units::of(delta), now),
            _ => referee.lose(now, &sku, Units::of(-delta), now),
        }
    }

    /// Somebody counted a while ago and found more or less. Nothing happened to the SKU in the seconds before, so that
    /// every order of then is known; what happened since comes on top.
    fn count(&mut self) {
        let (key, sku, location) = self.any_key();
        let counted_at = self.world.now.mono.saturating_sub(Duration::from_millis(2_500));
        let quiet =
            counted_at.saturating_sub(Duration::from_secs(6))..counted_at + Duration::from_millis(1_100);
        let past = self.past.entry(key.clone()).or_default();
        let stale = self.counted.get(&key).is_some_and(|at| *at >= counted_at);
        if stale || past.iter().any(|(at, ..)| quiet.contains(at)) {
            return;
        }
        let (free, committed) = past
            .iter()
            .find(|(at, ..)| *at >= counted_at)
            .map_or(self.truth[&key], |(_, free, committed)| (*free, *committed));
        let delta = self.dice.random_range(-2..4).max(-(free + committed).max(0));
        let (basis, quantity) = match self.dice.random() {
            true => (CountBasis::Available, free + delta),
            false => (CountBasis::OnHand, free + committed + delta),
        };
        if quantity < 0 {
            return;
        }
        self.shelf(&key, delta);
        self.move_key(&key, delta, 0);
        self.counted.insert(key.clone(), self.world.now.mono);
        let counted_at = stockd::street::START.plus_ms(i64::try_from(counted_at.as_millis()).unwrap());
        self.world.trace(|| format!("{key} counted at {counted_at}: {basis:?} {quantity}"));
        let row = CountRow { sku, location, quantity: Units::of(quantity), basis, counted_at };
        self.world.ask(&Operation::Count { rows: vec![row], reason: "counted".into() }).unwrap();
    }

    fn pause_or_resume(&mut self) {
        if self.paused.is_empty() || self.one_in(2) {
            let shop = self.dice.random_range(0..self.world.shops.len());
            let sku = self.one_in(2).then(|| self.any_sku());
            if self.paused.contains(&(shop, sku.clone())) {
                return;
            }
            // The referee knows channels that are shut, not SKUs.
            let zero = sku.is_some();
            if !zero {
                self.set_open(shop, false);
            }
            let channel = self.world.shops[shop].id.clone();
            let op_sku = sku.as_deref().map(|sku| Sku::new(sku).unwrap());
            self.world.ask(&Operation::Pause { channel, sku: op_sku, zero, reason: "wait".into() }).unwrap();
            self.paused.push((shop, sku));
        } else {
            let which = self.dice.random_range(0..self.paused.len());
            let (shop, sku) = self.paused.swap_remove(which);
            self.resume(shop, sku);
        }
    }

    fn resume(&mut self, shop: usize, sku: Option<String>) {
        if sku.is_none() {
            self.set_open(shop, true);
        }
        let channel = self.world.shops[shop].id.clone();
        let sku = sku.as_deref().map(|sku| Sku::new(sku).unwrap());
        self.world.ask(&Operation::Resume { channel, sku, reason: "go on".into() }).unwrap();
    }

    fn set_open(&mut self, shop: usize, open: bool) {
        let now = self.world.now.utc;
        let court = self.world.court.as_mut().unwrap();
        court.set_open(now, shop, open);
    }

    fn edit(&mut self) {
        let shop = self.dice.random_range(0..self.world.shops.len());
        let sku = self.any_sku();
        let shown = self.dice.random_range(0..12);
        let now = self.world.now;
        self.world.shops[shop].edit(now, &sku, shown);
        let there = &self.world.shops[shop];
        let place = there.listing_ix(&sku).unwrap() * there.locations.len();
        let court = self.world.court.as_mut().unwrap();
        court.edited(now.utc, shop, place, shown);
    }

    fn die(&mut self) {
        let dice = &mut self.dice;
        self.world.restart(self.settings.clone(), || dice.random()).unwrap();
    }

    /// Some table refuses for a while.
    fn refuse(&mut self) {
        let doors = [
            "INSERT ON movement",
            "INSERT ON push",
            "INSERT ON request",
            "UPDATE ON push",
            "UPDATE ON listing_stock",
            "INSERT ON order_line",
            "UPDATE ON cursor",
            "INSERT ON shadow",
            "UPDATE ON request_in",
        ];
        let door = doors[self.dice.random_range(0..doors.len())];
        let conn = rusqlite::Connection::open(&self.settings.ledger).unwrap();
        conn.pragma_update(None, "synchronous", "OFF").unwrap();
        conn.execute_batch(&format!(
            "CREATE TRIGGER shut BEFORE {door} BEGIN SELECT raise(ABORT, 'shut'); END"
        ))
        .unwrap();
        self.world.may_fail = true;
        let until = self.world.now.mono + Duration::from_millis(self.dice.random_range(100..2_500));
        self.world.run_until(until).unwrap();
        self.world.may_fail = false;
        conn.execute_batch("DROP TRIGGER shut").unwrap();
    }

    fn jump(&mut self) {
        let day = 86_400_000;
        self.world.clock_off_ms = [-day, -600_000, 0, 90_000, day][self.dice.random_range(0..5)];
    }

    /// The referee's verdict and the final state, after a quiet time.
    pub fn judge(mut self) {
        for (shop, sku) in std::mem::take(&mut self.paused) {
            self.resume(shop, sku);
        }
        self.world.shops.iter_mut().for_each(|shop| shop.moods = Moods::default());
        let quiet = if self.weather.is_rough() { 150 } else { 90 };
        let end = self.world.now.mono + Duration::from_secs(quiet);
        self.world.run_until(end).unwrap();
        let (seed, weather) = (self.seed, self.weather);
        let referee = &mut self.world.court.as_mut().unwrap().referee;
        referee.tick(self.world.now.utc);
        let totals = referee.totals();
        let told: Vec<String> = totals.reasons.iter().map(ToString::to_string).collect();
        assert_eq!(totals.breaches, 0, "seed {seed}: {}", told.join("\n"));
        assert_eq!(totals.oversold.caused, Units::ZERO, "seed {seed}");
        for (key, (free, committed)) in &self.truth {
            let (sku, location) = key.split_once('@').unwrap_or((key, LocationId::DEFAULT));
            let stock = self.world.engine().ledger().stock_of(sku).unwrap();
            let row = stock.iter().find(|row| row.location == location).unwrap();
            let known = ((row.on_hand - row.committed).get(), row.committed.get());
            assert_eq!(known, (*free, *committed), "seed {seed}: the ledger of {key}");
        }
        self.all_show_the_truth();
        let report = self.world.engine().ledger().verify(Depth::Whole).unwrap();
        assert!(report.problems.is_empty(), "seed {seed}: {:#?}", report.problems);
        let writes = |world: &World| world.shops.iter().map(|shop| shop.count(Sort::Write)).sum::<u64>();
        let before = writes(&self.world);
        let end = self.world.now.mono + Duration::from_secs(if weather.edits { 60 } else { 20 });
        self.world.run_until(end).unwrap();
        assert_eq!(writes(&self.world), before, "seed {seed}: it is quiet, and still numbers are written");
    }

    fn held_back(&self, shop: &Shop, place: &Place) -> i64 {
        let ledger = self.world.engine().ledger();
        let place = ledger.place_id(&shop.id, place).unwrap().unwrap();
        let held = ledger.held_buffer(place).unwrap().map_or(0, |held| held.units.get());
        assert!(held == 0 || (self.weather.auto && held <= 3));
        held
    }

    fn all_show_the_truth(&self) {
        for shop in &self.world.shops {
            for listing in shop.listings() {
                for location in &shop.locations {
                    let parts = self.weather.parts(&listing.sku, &here(shop.id.as_str(), location));
                    let lots = |(key, each): &(String, i64)| self.truth[key].0.div_euclid(*each);
                    let place = Place {
                        listing: listing.id.clone(),
                        location: ChannelLocation::new(location.as_str()),
                    };
                    let available = parts.iter().map(lots).min().unwrap();
                    let target = (available - self.held_back(shop, &place)).max(0);
                    assert_eq!(
                        shop.shows_at(&listing.sku, location),
                        target,
                        "seed {}: {} shows of {} {location}",
                        self.seed,
                        shop.id,
                        listing.sku
                    );
                }
            }
        }
    }
}

fn component(sku: &str, units: i64) -> Component {
    Component { sku: Sku::new(sku).unwrap(), units: Units::of(units) }
}

/// The ledger's name of a shop's location.
fn here(shop: &str, location: &str) -> String {
    match location.strip_prefix(&format!("{shop} ")) {
        Some(name) => name.to_owned(),
        None => LOCATIONS[0].to_owned(),
    }
}

fn allowances(weather: Weather) -> Allowances {
    let poll_ms = i64::try_from(POLL.as_millis()).unwrap() * 12 / 10;
    let mut allowed = Allowances::of_poll(poll_ms);
    if let Some(slowest) = weather.slow_ways {
        allowed.latency_ms = i64::try_from(slowest.as_millis()).unwrap();
    }
    if weather.orders_page.is_some() {
        allowed.read_ms = 3_000;
    }
    if weather.is_rough() {
        (allowed.read_ms, allowed.slack_ms, allowed.settle_ms) = (15_000, 30_000, 60_000);
    }
    allowed
}

fn street(weather: Weather, dice: &mut ChaCha8Rng) -> (Vec<Shop>, Vec<(String, i64)>) {
    let points = Quota::Points { maximum: 2_000.0, restore_per_second: 100.0 };
    let calls = Quota::Calls { per_second: 10.0, burst: 20 };
    let mut shops = vec![
        Shop::new("north", WriteMode::CompareAndSet, points),
        Shop::new("site", WriteMode::Absolute, calls),
        Shop::new("south", WriteMode::CompareAndSet, points),
    ];
    let mut stock = Vec::new();
    let places: &[&str] = if weather.locations { &LOCATIONS } else { &[""] };
    for n in 0..SKUS {
        for location in places {
            let units = dice.random_range(3..25);
            stock.extend(
                weather.parts(&format!("SKU-{n}"), location).into_iter().map(|(key, _)| (key, units)),
            );
        }
    }
    let free: BTreeMap<String, i64> = stock.iter().cloned().collect();
    for (n, shop) in shops.iter_mut().enumerate() {
        if weather.locations && shop.capabilities.write_mode == WriteMode::CompareAndSet {
            shop.locations = LOCATIONS.iter().map(|here| format!("{} {here}", shop.id)).collect();
        }
        shop.order_delay_ms = weather.order_delay_ms;
        shop.read_lag_ms = weather.read_lag_ms;
        shop.orders_page = weather.orders_page.unwrap_or(shop.orders_page);
        shop.moods = weather.moods;
        shop.dice = Some(ChaCha8Rng::seed_from_u64(dice.random::<u64>() + n as u64));
        let mut skus: Vec<String> = (0..SKUS).map(|n| format!("SKU-{n}")).collect();
        skus.extend(weather.bundles.then(|| SET.to_owned()));
        for sku in skus {
            let first = here(shop.id.as_str(), &shop.locations[0]);
            let shown = weather.parts(&sku, &first).iter().map(|(key, each)| free[key] / each).min().unwrap();
            shop.list(&sku, shown);
        }
    }
    (shops, stock)
}
