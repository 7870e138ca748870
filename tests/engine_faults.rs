//! The engine when things go wrong, one at a time: real ledger, virtual clock, shops in memory.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

use std::{path::Path, time::Duration};

use stockd::domain::{Cadence, CallError, LocationId, Operation, Quota, Settings, Sku, Units, WriteMode};
use stockd::street::{Shop, Sort, World, opening, settings, start, tell_on_request};

const CALLS: Quota = Quota::Calls { per_second: 100.0, burst: 100 };
const POINTS: Quota = Quota::Points { maximum: 20_000.0, restore_per_second: 1_000.0 };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn retry() -> CallError {
    CallError::Retry { detail: "503".into() }
}

/// A Shopify and a WooCommerce that both show ten mugs, and ten there are; settings as `change` leaves them.
fn two_shops(folder: &Path, change: impl FnOnce(&mut Settings)) -> World {
    let mut shopify = Shop::new("shopify", WriteMode::CompareAndSet, POINTS);
    let mut woo = Shop::new("woo", WriteMode::Absolute, CALLS);
    shopify.list("MUG", 10);
    woo.list("MUG", 10);
    world(folder, vec![shopify, woo], &[("MUG", 10)], change)
}

fn world(
    folder: &Path,
    shops: Vec<Shop>,
    stock: &[(&str, i64)],
    change: impl FnOnce(&mut Settings),
) -> World {
    let refs: Vec<&Shop> = shops.iter().collect();
    let mut settings = settings(&folder.join("ledger.db"), &refs, seconds(2));
    change(&mut settings);
    let rows = stock.iter().map(|(sku, units)| opening(sku, LocationId::DEFAULT, *units).unwrap()).collect();
    tell_on_request();
    World::new(start(settings, rows).unwrap(), shops)
}

fn shown(world: &mut World) -> (i64, i64) {
    (world.shop("shopify").shows("MUG"), world.shop("woo").shows("MUG"))
}

#[test]
fn h7_what_a_read_shows_as_gone_stays_held_back_while_orders_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = two_shops(folder.path(), |settings| {
        settings.channels[0].scan = Cadence::Every(seconds(5));
    });
    world.run_until(seconds(10)).unwrap();
    world.shop("shopify").errors = vec![(Sort::Orders, retry()); 20];
    let now = world.now;
    world.shop("shopify").sell(now, "1", "MUG", 3);
    world.run_until(seconds(40)).unwrap();
    assert_eq!(shown(&mut world), (7, 7), "the scan has shown the sale");
    world.run_until(seconds(120)).unwrap();
    assert_eq!(shown(&mut world), (7, 7), "orders could not be read in all that time");
    world.shop("shopify").errors.clear();
    world.run_until(seconds(800)).unwrap();
    assert_eq!(shown(&mut world), (7, 7));
}

fn adjust(sku: &str, delta: i64) -> Operation {
    Operation::Adjust {
        sku: Sku::new(sku).unwrap(),
        location: LocationId::new(LocationId::DEFAULT),
        delta: Units::of(delta),
        receipt: false,
        reason: "broken".into(),
    }
}

fn slow_down(wait: u64) -> CallError {
    CallError::Throttled { wait: Some(seconds(wait)), detail: "429".into() }
}

#[test]
fn h3_a_channel_that_throttles_from_the_start_does_not_keep_the_others_from_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = two_shops(folder.path(), |_| {});
    world.shop("woo").errors = vec![(Sort::Identify, slow_down(60)); 10];
    world.run_until(seconds(10)).unwrap();
    let request = world.ask(&adjust("MUG", -4)).unwrap();
    world.run_until(seconds(20)).unwrap();
    world.answer_to(request).unwrap().expect("no answer").unwrap();
    assert_eq!(world.shop("shopify").shows("MUG"), 6);
}

/// Keeps the ledger from a kind of change while `meanwhile` runs.
fn refusing(world: &mut World, change: &str, meanwhile: impl FnOnce(&mut World)) {
    let conn = rusqlite::Connection::open(world.engine().ledger().path()).unwrap();
    let trigger = format!("CREATE TRIGGER shut BEFORE {change} BEGIN SELECT raise(ABORT, 'shut'); END");
    conn.execute_batch(&trigger).unwrap();
    world.may_fail = true;
    meanwhile(world);
    world.may_fail = false;
    conn.execute_batch("DROP TRIGGER shut").unwrap();
}

#[test]
fn p4_what_a_person_asks_for_while_the_ledger_refuses_is_done_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = two_shops(folder.path(), |_| {});
    world.run_until(seconds(10)).unwrap();
    let mut request = 0;
    refusing(&mut world, "UPDATE ON request_in", |world| {
        request = world.ask(&adjust("MUG", -4)).unwrap();
        world.run_until(seconds(20)).unwrap();
    });
    world.run_until(seconds(30)).unwrap();
    world.answer_to(request).unwrap().expect("no answer").unwrap();
    assert_eq!(shown(&mut world), (6, 6));
}

#[test]
fn more_requests_than_are_read_at_once_are_all_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = two_shops(folder.path(), |_| {});
    world.run_until(seconds(10)).unwrap();
    let requests: Vec<i64> = (0..150).map(|_| world.ask(&adjust("MUG", 1)).unwrap()).collect();
    world.run_until(seconds(11)).unwrap();
    for request in requests {
        drop(world.answer_to(request).unwrap().expect("no answer").unwrap());
    }
}

#[test]
fn p4_orders_read_in_a_round_that_failed_count_though_their_channel_then_falls_silent() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = two_shops(folder.path(), |_| {});
    world.run_until(seconds(10)).unwrap();
    refusing(&mut world, "INSERT ON order_head", |world| {
        let now = world.now;
        world.shop("woo").sell(now, "1", "MUG", 3);
        world.run_until(seconds(12)).unwrap();
        assert!(world.failed_rounds > 0);
        world.shop("woo").errors = vec![(Sort::Identify, slow_down(60)); 3];
    });
    world.run_until(seconds(20)).unwrap();
    assert_eq!(world.shop("shopify").shows("MUG"), 7);
}

#[test]
fn a_read_that_is_answered_after_a_later_read_says_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = two_shops(folder.path(), |settings| {
        settings.channels[1].scan = Cadence::Every(seconds(1));
        settings.channels[1].capabilities.order_delay_ms = 60_000;
    });
    world.shop("woo").order_delay_ms = 59_000;
    world.run_until(seconds(10)).unwrap();
    world.shop("woo").slow.insert(Sort::Listings, seconds(5));
    let now = world.now;
    world.shop("woo").sell(now, "1", "MUG", 1);
    // A scan has shown the sale and asked for another read; the next scan is under way when more is sold.
    while world.shop("shopify").shows("MUG") == 10 {
        let next = world.now.mono + Duration::from_millis(100);
        world.run_until(next).unwrap();
    }
    world.run_until(world.now.mono + Duration::from_millis(1_800)).unwrap();
    let now = world.now;
    world.shop("woo").sell(now, "2", "MUG", 2);
    world.run_until(now.mono + seconds(3)).unwrap();
    assert_eq!(shown(&mut world), (7, 7), "the second look has shown the second sale");
    let mut most = 7;
    while world.now.mono < now.mono + seconds(30) {
        world.run_until(world.now.mono + Duration::from_millis(100)).unwrap();
        most = most.max(world.shop("shopify").shows("MUG"));
    }
    assert_eq!(most, 7);
}
