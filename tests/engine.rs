//! The engine from poll to push: real ledger, virtual clock, shops in memory.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail and tell as loudly as tests"
)]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use stockd::domain::{LocationId, Quota, Sku, Units, WriteMode};
use stockd::street::{Shop, Sort, World, opening, settings, start, tell_on_request};

const FAST: Quota = Quota::Calls { per_second: 100.0, burst: 100 };
const SHOPIFY_FAST: Quota = Quota::Points { maximum: 20_000.0, restore_per_second: 1_000.0 };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A world whose ledger holds `stock` of each SKU, counted just before the start.
fn world(folder: &std::path::Path, shops: Vec<Shop>, stock: &[(String, i64)], every: Duration) -> World {
    let refs: Vec<&Shop> = shops.iter().collect();
    let settings = settings(&folder.join("ledger.db"), &refs, every);
    let rows = stock.iter().map(|(sku, units)| opening(sku, LocationId::DEFAULT, *units).unwrap()).collect();
    tell_on_request();
    World::new(start(settings, rows).unwrap(), shops)
}

fn two_empty_shops() -> Vec<Shop> {
    let shopify = Shop::new("shopify", WriteMode::CompareAndSet, SHOPIFY_FAST);
    vec![shopify, Shop::new("woo", WriteMode::Absolute, FAST)]
}

fn two_shops(shown: i64) -> Vec<Shop> {
    let mut shops = two_empty_shops();
    for shop in &mut shops {
        shop.list("MUG", shown);
    }
    shops
}

fn mug(units: i64) -> Vec<(String, i64)> {
    vec![("MUG".to_owned(), units)]
}

#[test]
fn a_sale_on_one_channel_lowers_the_other_and_is_not_echoed_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(folder.path(), two_shops(10), &mug(10), seconds(2));
    world.run_until(seconds(10)).unwrap();
    let now = world.now;
    world.shop("woo").sell(now, "1", "MUG", 3);
    world.run_until(seconds(15)).unwrap();
    assert_eq!((world.shop("shopify").shows("MUG"), world.shop("woo").shows("MUG")), (7, 7));
    assert!(
        !world.shop("woo").calls.iter().any(|call| call.sort == Sort::Write),
        "an echo went to the seller"
    );
}

#[test]
fn a_cancel_brings_the_units_back_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(folder.path(), two_shops(10), &mug(10), seconds(2));
    world.run_until(seconds(10)).unwrap();
    let now = world.now;
    world.shop("shopify").sell(now, "1", "MUG", 4);
    world.run_until(seconds(20)).unwrap();
    assert_eq!(world.shop("woo").shows("MUG"), 6);
    let now = world.now;
    world.shop("shopify").cancel(now, "1");
    world.run_until(seconds(40)).unwrap();
    assert_eq!((world.shop("shopify").shows("MUG"), world.shop("woo").shows("MUG")), (10, 10));
}

#[test]
fn an_empty_poll_writes_nothing_to_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(folder.path(), two_shops(10), &mug(10), seconds(2));
    world.run_until(seconds(10)).unwrap();
    let changes = || {
        let conn = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
        conn.query_row("SELECT count(*) FROM movement", [], |row| row.get::<_, i64>(0)).unwrap();
        std::fs::metadata(folder.path().join("ledger.db-wal")).unwrap().len()
    };
    let before = changes();
    world.run_until(seconds(120)).unwrap();
    assert_eq!(changes(), before);
}

#[test]
fn h1_h2_a_write_that_times_out_is_settled_whether_or_not_it_was_applied() {
    for applied in [false, true] {
        for id in ["shopify", "woo"] {
            let folder = tempfile::tempdir().unwrap();
            let mut world = world(folder.path(), two_shops(10), &mug(10), seconds(2));
            world.run_until(seconds(10)).unwrap();
            world.shop(id).time_out_writes = vec![applied];
            let seller = if id == "woo" { "shopify" } else { "woo" };
            let now = world.now;
            world.shop(seller).sell(now, "1", "MUG", 3);
            world.run_until(seconds(60)).unwrap();
            assert_eq!(
                (world.shop("shopify").shows("MUG"), world.shop("woo").shows("MUG")),
                (7, 7),
                "{id} applied: {applied}"
            );
        }
    }
}

#[test]
fn h1_an_unknown_raise_is_not_repeated_once_what_it_offers_is_sold_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(folder.path(), two_shops(10), &mug(10), seconds(1));
    world.run_until(seconds(10)).unwrap();
    let now = world.now;
    world.shop("woo").sell(now, "1", "MUG", 3);
    world.run_until(seconds(15)).unwrap();
    world.shop("shopify").time_out_writes = vec![false];
    let now = world.now;
    world.shop("woo").cancel(now, "1");
    while !world.shop("shopify").time_out_writes.is_empty() {
        let next = world.now.mono + Duration::from_millis(10);
        world.run_until(next).unwrap();
    }
    let now = world.now;
    world.shop("woo").sell(now, "2", "MUG", 6);
    while world.now.mono < seconds(120) {
        let next = world.now.mono + Duration::from_millis(20);
        world.run_until(next).unwrap();
        assert!(world.shop("shopify").shows("MUG") <= 7, "at {:?}", world.now.mono);
    }
    assert_eq!((world.shop("shopify").shows("MUG"), world.shop("woo").shows("MUG")), (4, 4));
}

#[test]
fn a_sale_that_no_poll_has_shown_survives_a_compare_and_set_and_a_fenced_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(folder.path(), two_shops(10), &mug(10), seconds(20));
    world.run_until(seconds(30)).unwrap();
    // Both sell within one poll interval: each push meets a number that has fallen meanwhile.
    let now = world.now;
    world.shop("shopify").sell(now, "1", "MUG", 2);
    world.shop("woo").sell(now, "2", "MUG", 3);
    world.run_until(seconds(120)).unwrap();
    assert_eq!((world.shop("shopify").shows("MUG"), world.shop("woo").shows("MUG")), (5, 5));
}

#[test]
fn a_restart_in_the_middle_of_a_write_settles_it_and_converges() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(folder.path(), two_shops(10), &mug(10), seconds(2));
    world.run_until(seconds(10)).unwrap();
    let now = world.now;
    world.shop("woo").sell(now, "1", "MUG", 3);
    // Step by step until a write has left, then the program is gone.
    while world
        .engine()
        .ledger()
        .open_requests(&stockd::domain::ChannelId::new("shopify"))
        .unwrap()
        .is_empty()
    {
        let next = world.now.mono + Duration::from_millis(10);
        world.run_until(next).unwrap();
    }
    let refs: Vec<&Shop> = world.shops.iter().collect();
    let settings = settings(world.engine().ledger().path(), &refs, seconds(2));
    world.restart(settings, || false).unwrap();
    let end = world.now.mono + seconds(60);
    world.run_until(end).unwrap();
    assert_eq!((world.shop("shopify").shows("MUG"), world.shop("woo").shows("MUG")), (7, 7));
    let committed = world.engine().ledger().available(&Sku::new("MUG").unwrap()).unwrap();
    assert_eq!(committed, Units::of(7));
}

/// Sends 10,000 corrections through a limit that binds. Gives when each write came and its rows, what had to be waited
/// for between the first and the last (all calls, less what the first left in the bucket), and how many were throttled.
fn drain(mode: WriteMode, quota: Quota) -> (Vec<(Duration, usize)>, f64, u32) {
    let folder = tempfile::tempdir().unwrap();
    let mut shop = Shop::new("only", mode, quota);
    shop.page = if mode == WriteMode::Absolute { 100 } else { 250 };
    let mut stock = Vec::new();
    for n in 0..10_000 {
        let sku = format!("SKU-{n:05}");
        shop.list(&sku, 9);
        stock.push((sku, 4));
    }
    let mut world = world(folder.path(), vec![shop], &stock, seconds(20));
    while world.shop("only").calls.iter().filter(|c| c.sort == Sort::Write).map(|c| c.rows).sum::<usize>()
        < 10_000
    {
        let next = world.now.mono + seconds(5);
        assert!(next < seconds(3_600), "the queue does not drain");
        world.run_until(next).unwrap();
    }
    let shop = world.shop("only");
    let writes: Vec<(Duration, usize)> =
        shop.calls.iter().filter(|c| c.sort == Sort::Write).map(|c| (c.at, c.rows)).collect();
    let first = shop.calls.iter().position(|c| c.sort == Sort::Write).unwrap();
    let last = shop.calls.iter().rposition(|c| c.sort == Sort::Write).unwrap();
    let cost: f64 = shop.calls[first + 1..=last].iter().map(|c| c.cost).sum();
    (writes, cost - shop.calls[first].left, shop.throttled)
}

#[test]
fn ten_thousand_corrections_leave_in_full_batches_as_fast_as_the_limit_allows() {
    let shopify = Quota::Points { maximum: 100.0, restore_per_second: 10.0 };
    let woo = Quota::Calls { per_second: 2.0, burst: 4 };
    for (mode, quota, batch, rate) in
        [(WriteMode::CompareAndSet, shopify, 250, 10.0), (WriteMode::Absolute, woo, 100, 2.0)]
    {
        let (writes, cost, throttled) = drain(mode, quota);
        assert_eq!(throttled, 0, "{mode:?}");
        assert!(writes.iter().all(|(_, rows)| *rows == batch), "{mode:?}: a batch was not full");
        let took = writes[writes.len() - 1].0.as_secs_f64() - writes[0].0.as_secs_f64();
        let optimum = cost / rate;
        println!("{mode:?}: {} writes in {took:.1} s of virtual time, optimum {optimum:.1} s", writes.len());
        assert!(took <= optimum / 0.95, "{mode:?}: {took} s, optimum {optimum} s");
    }
}

/// How often each statement ran, its virtual-machine steps and its full-scan steps.
type Totals = BTreeMap<String, (i64, i64, i64)>;

/// The statements, virtual-machine steps and full-scan steps of one sale with so many SKUs in the ledger.
fn cost_of_a_sale(skus: usize) -> (BTreeMap<String, i64>, i64, i64) {
    let folder = tempfile::tempdir().unwrap();
    let mut shops = two_empty_shops();
    let mut stock = Vec::new();
    for n in 0..skus {
        let sku = format!("SKU-{n:06}");
        for shop in &mut shops {
            shop.page = 5_000;
            shop.list(&sku, 10);
        }
        stock.push((sku, 10));
    }
    let mut world = world(folder.path(), shops, &stock, seconds(5));
    world.run_until(seconds(60)).unwrap();
    let totals: Arc<Mutex<Totals>> = Arc::default();
    let seen = Arc::clone(&totals);
    world
        .engine_mut()
        .ledger_mut()
        .watch_statements(move |cost| {
            let mut totals = seen.lock().unwrap();
            let entry = totals.entry(cost.sql.clone()).or_insert((0, 0, 0));
            *entry = (entry.0 + 1, i64::from(cost.vm_steps), i64::from(cost.full_scan_steps));
        })
        .unwrap();
    // The same sale before, so that every statement is prepared and seen, and every cache is in use.
    let now = world.now;
    world.shop("shopify").sell(now, "1", "SKU-000001", 2);
    world.run_until(seconds(91)).unwrap();
    let before = totals.lock().unwrap().clone();
    let now = world.now;
    world.shop("shopify").sell(now, "3", "SKU-000003", 2);
    world.run_until(seconds(110)).unwrap();
    assert_eq!(world.shop("woo").shows("SKU-000003"), 8);
    let after = totals.lock().unwrap().clone();
    let (mut runs, mut steps, mut scans) = (BTreeMap::new(), 0, 0);
    for (sql, (count, vm, scan)) in after {
        let (count_before, vm_before, scan_before) = before.get(&sql).copied().unwrap_or((0, 0, 0));
        runs.insert(sql, count - count_before);
        steps += vm - vm_before;
        scans += scan - scan_before;
    }
    (runs, steps, scans)
}

#[test]
fn a_sale_costs_the_same_statements_and_steps_with_a_hundred_times_the_skus() {
    let (small_runs, small_steps, small_scans) = cost_of_a_sale(1_000);
    let (large_runs, large_steps, large_scans) = cost_of_a_sale(100_000);
    println!("{} statements, {small_steps} and {large_steps} steps", small_runs.values().sum::<i64>());
    assert_eq!(small_runs, large_runs);
    assert_eq!(small_steps, large_steps);
    assert_eq!(small_scans, large_scans, "a full scan grows with the catalogue");
}
