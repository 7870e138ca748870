//! Random days under a virtual clock, with the referee watching: three shops, scarce stock, late orders, cancels,
//! writes that time out. Nothing is oversold by the engine, and when it is quiet everybody shows the truth.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail and tell as loudly as tests"
)]

mod virtual_shop;

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stockd::{
    domain::{CountBasis, CountRow, LocationId, Now, Operation, Quota, Sku, Units, WriteMode},
    engine::Engine,
    ledger::{Depth, Ledger},
};
use virtual_shop::{Court, START, Shop, World, settings};

const SKUS: usize = 8;
const POLL: Duration = Duration::from_secs(2);

struct Day {
    world: World,
    dice: ChaCha8Rng,
    /// Units truly free of each SKU.
    truth: BTreeMap<String, i64>,
    /// Open orders: shop, id, SKU, units.
    open: Vec<(usize, String, String, i64)>,
    orders: usize,
}

/// What may go wrong on a day.
#[derive(Clone, Copy)]
struct Weather {
    order_delay_ms: i64,
    time_outs: bool,
}

impl Day {
    fn new(folder: &std::path::Path, seed: u64, weather: Weather) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let points = Quota::Points { maximum: 2_000.0, restore_per_second: 100.0 };
        let mut shops = vec![
            Shop::new("north", WriteMode::CompareAndSet, points),
            Shop::new("site", WriteMode::Absolute, Quota::Calls { per_second: 10.0, burst: 20 }),
            Shop::new("south", WriteMode::CompareAndSet, points),
        ];
        let mut stock = Vec::new();
        for n in 0..SKUS {
            let (sku, units) = (format!("SKU-{n}"), dice.random_range(3..25));
            for shop in &mut shops {
                shop.list(&sku, units);
                shop.order_delay_ms = weather.order_delay_ms;
            }
            stock.push((sku, units));
        }
        let world = open(folder, shops, &stock);
        Self { world, dice, truth: stock.into_iter().collect(), open: Vec::new(), orders: 0 }
    }

    fn shop_until(&mut self, until: Duration, weather: Weather) {
        while self.world.now.mono < until {
            let pause = Duration::from_millis(self.dice.random_range(50..900));
            let next = self.world.now.mono + pause;
            self.world.run_until(next);
            let shop = self.dice.random_range(0..3);
            if weather.time_outs && self.dice.random_ratio(1, 15) {
                let applied = self.dice.random();
                self.world.shops[shop].time_out_writes = vec![applied];
            }
            if self.dice.random_ratio(1, 8) && !self.open.is_empty() {
                self.cancel();
            } else {
                self.sell(shop);
            }
        }
    }

    fn sell(&mut self, shop: usize) {
        let sku = format!("SKU-{}", self.dice.random_range(0..SKUS));
        let shown = self.world.shops[shop].shows(&sku);
        let units = self.dice.random_range(1..4).min(shown);
        if units <= 0 {
            return;
        }
        self.orders += 1;
        let (order, now) = (self.orders.to_string(), self.world.now);
        self.world.shops[shop].sell(now, &order, &sku, units);
        let delay_ms = self.world.shops[shop].order_delay_ms;
        self.world.court.as_mut().unwrap().sold(now.utc, shop, &order, &sku, units, delay_ms);
        *self.truth.get_mut(&sku).unwrap() -= units;
        self.open.push((shop, order, sku, units));
    }

    fn cancel(&mut self) {
        let which = self.dice.random_range(0..self.open.len());
        let (shop, order, sku, units) = self.open.swap_remove(which);
        let now = self.world.now;
        self.world.shops[shop].cancel(now, &order);
        let delay_ms = self.world.shops[shop].order_delay_ms;
        self.world.court.as_mut().unwrap().gave_back(now.utc, shop, &order, &sku, units, delay_ms);
        *self.truth.get_mut(&sku).unwrap() += units;
    }

    /// The referee's verdict and the final state, after a quiet time.
    fn judge(mut self, seed: u64) {
        let end = self.world.now.mono + Duration::from_secs(90);
        self.world.run_until(end);
        let referee = &mut self.world.court.as_mut().unwrap().referee;
        referee.tick(self.world.now.utc);
        let totals = referee.totals();
        assert_eq!(totals.breaches, 0, "seed {seed}: {:#?}", totals.reasons);
        assert_eq!(totals.oversold.caused, Units::ZERO, "seed {seed}");
        for (sku, truth) in &self.truth {
            let known = self.world.engine.ledger().available(&Sku::new(sku).unwrap()).unwrap();
            assert_eq!(known.get(), *truth, "seed {seed}: the ledger of {sku}");
            for shop in &self.world.shops {
                assert_eq!(shop.shows(sku), (*truth).max(0), "seed {seed}: {} shows {sku}", shop.id);
            }
        }
        let report = self.world.engine.ledger().verify(Depth::Whole).unwrap();
        assert!(report.problems.is_empty(), "seed {seed}: {:#?}", report.problems);
    }
}

fn open(folder: &std::path::Path, shops: Vec<Shop>, stock: &[(String, i64)]) -> World {
    let path = folder.join("ledger.db");
    let ledger = Ledger::open(&path).unwrap();
    let refs: Vec<&Shop> = shops.iter().collect();
    let settings = settings(&path, &refs, POLL);
    let rows = stock
        .iter()
        .map(|(sku, units)| CountRow {
            sku: Sku::new(sku).unwrap(),
            location: LocationId::new(LocationId::DEFAULT),
            quantity: Units::of(*units),
            basis: CountBasis::Available,
            counted_at: START.plus_ms(-60_000),
        })
        .collect();
    ledger.begin().unwrap();
    let opening = Operation::Count { rows, reason: "opening".into() };
    ledger.operate(START.plus_ms(-60_000), &settings, &opening).unwrap().unwrap();
    ledger.commit().unwrap();
    let engine = Engine::new(ledger, settings, Now { mono: Duration::ZERO, utc: START }).unwrap();
    let court = Court::new(&shops, stock, i64::try_from(POLL.as_millis()).unwrap() * 12 / 10);
    let mut world = World::new(engine, shops);
    world.court = Some(court);
    world
}

fn days(seeds: std::ops::Range<u64>, weather: Weather) {
    for seed in seeds {
        let folder = tempfile::tempdir().unwrap();
        let mut day = Day::new(folder.path(), seed, weather);
        day.world.run_until(Duration::from_secs(5));
        day.shop_until(Duration::from_secs(65), weather);
        day.judge(seed);
    }
}

#[test]
fn orders_visible_at_once_cause_no_breach_and_converge() {
    days(0..60, Weather { order_delay_ms: 0, time_outs: false });
}

#[test]
fn orders_that_show_up_late_cause_no_breach_and_converge() {
    days(100..160, Weather { order_delay_ms: 700, time_outs: false });
}

#[test]
fn writes_that_time_out_cause_no_breach_and_converge() {
    days(200..260, Weather { order_delay_ms: 300, time_outs: true });
}
