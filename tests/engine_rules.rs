//! Rules about reading (CORRECTNESS.md section 3): what a list of orders or a catalogue leaves out, contradicts or never
//! comes to, and a channel that can't be read at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use stockd::domain::{
    Cadence, CallError, ChannelId, CountRow, LocationId, OrderSnapshot, Quota, Settings, Sku, Units, UtcMs,
    WriteMode,
};
use stockd::street::{START, Shop, Sort, World, opening, settings, start};

const CALLS: Quota = Quota::Calls { per_second: 100.0, burst: 100 };
const POINTS: Quota = Quota::Points { maximum: 20_000.0, restore_per_second: 1_000.0 };
const HOUR: u64 = 3_600;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A Shopify and a WooCommerce that show ten of each SKU, and ten there are; no sweep and one scan.
fn street(folder: &Path, skus: &[&str], change: impl FnOnce(&mut Settings)) -> (World, Settings) {
    let mut shops = vec![
        Shop::new("shopify", WriteMode::CompareAndSet, POINTS),
        Shop::new("woo", WriteMode::Absolute, CALLS),
    ];
    for shop in &mut shops {
        for sku in skus {
            shop.list(sku, 10);
        }
    }
    let refs: Vec<&Shop> = shops.iter().collect();
    let mut settings = settings(&folder.join("ledger.db"), &refs, seconds(2));
    for channel in &mut settings.channels {
        (channel.scan, channel.sweep) =
            (Cadence::Every(seconds(900 * HOUR)), Cadence::Every(seconds(900 * HOUR)));
    }
    change(&mut settings);
    // Counted long before, by any clock.
    let counted_at = START.plus_ms(-4 * 3_600_000);
    let count = |sku: &&str| CountRow { counted_at, ..opening(sku, LocationId::DEFAULT, 10).unwrap() };
    let rows = skus.iter().map(count).collect();
    let mut world = World::new(start(settings.clone(), rows).unwrap(), shops);
    world.run_until(seconds(10)).unwrap();
    (world, settings)
}

fn wait(world: &mut World, time: u64) {
    let until = world.now.mono + seconds(time);
    world.run_until(until).unwrap();
}

fn sell(world: &mut World, shop: &str, order: &str, sku: &str, units: i64) {
    let now = world.now;
    world.shop(shop).sell(now, order, sku, units);
}

fn available(world: &World, sku: &str) -> i64 {
    world.engine().ledger().available(&Sku::new(sku).unwrap()).unwrap().get()
}

fn incidents(world: &World, channel: &str, kind: &str) -> i64 {
    let counts = world.engine().ledger().incident_counts(&ChannelId::new(channel), START).unwrap();
    counts.into_iter().find(|(name, _)| name == kind).map_or(0, |(_, count)| count)
}

/// Polls so far apart that a day passes quickly, and one order a call.
fn slowly(settings: &mut Settings) {
    for channel in &mut settings.channels {
        channel.orders = Cadence::Every(seconds(HOUR));
        channel.capabilities.orders_by_id_batch = 1;
    }
}

#[test]
fn d20_open_orders_are_asked_for_by_id_within_a_day_and_show_what_lists_leave_out() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path(), &["MUG", "TEA"], slowly);
    sell(&mut world, "woo", "1", "MUG", 4);
    sell(&mut world, "woo", "2", "TEA", 4);
    wait(&mut world, HOUR + 60);
    assert_eq!((available(&world, "MUG"), available(&world, "TEA")), (6, 6));
    let now = world.now;
    world.shop("woo").odd.unlisted_orders.insert("1".into());
    world.shop("woo").cancel(now, "1");
    world.shop("woo").cut_silently(now, "2", 1);
    wait(&mut world, 24 * HOUR);
    assert_eq!((available(&world, "MUG"), available(&world, "TEA")), (10, 9));
    let asked = world.shop("woo").count(Sort::OrdersById);
    assert!((2..=4).contains(&asked), "{asked} calls");
    let before = asked;
    let now = world.now;
    world.shop("woo").ship(now, "2");
    wait(&mut world, 30 * HOUR);
    let after = world.shop("woo").count(Sort::OrdersById);
    assert!(after <= before + 1, "nothing is open any more, and {} calls asked for it", after - before);
}

#[test]
fn an_open_order_that_the_channel_no_longer_gives_is_reported_once_and_still_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path(), &["MUG"], slowly);
    sell(&mut world, "woo", "1", "MUG", 4);
    wait(&mut world, HOUR + 60);
    world.shop("woo").odd.lost_orders.insert("1".into());
    world.shop("woo").odd.unlisted_orders.insert("1".into());
    wait(&mut world, 72 * HOUR);
    assert!(world.shop("woo").count(Sort::OrdersById) >= 3);
    assert_eq!((incidents(&world, "woo", "order.missing"), available(&world, "MUG")), (1, 6));
}

#[test]
fn open_orders_go_by_id_in_full_batches() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path(), &["MUG"], |settings| {
        slowly(settings);
        settings.channels[1].capabilities.orders_by_id_batch = 20;
    });
    for order in 0..60 {
        sell(&mut world, "woo", &order.to_string(), "MUG", 1);
    }
    wait(&mut world, 26 * HOUR);
    let calls: Vec<usize> = world
        .shop("woo")
        .calls
        .iter()
        .filter(|call| call.sort == Sort::OrdersById)
        .map(|call| call.rows)
        .collect();
    assert!(calls.iter().sum::<usize>() >= 60, "{calls:?}");
    assert!(calls.iter().filter(|rows| **rows < 20).count() <= 2, "{calls:?}");
}

#[test]
fn two_snapshots_of_one_second_that_differ_are_settled_by_a_read_by_id_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path(), &["MUG"], |_| {});
    sell(&mut world, "woo", "1", "MUG", 4);
    wait(&mut world, 5);
    assert_eq!(available(&world, "MUG"), 6);
    let now = world.now;
    world.shop("woo").cut_silently(now, "1", 1);
    wait(&mut world, 5);
    assert_eq!((available(&world, "MUG"), world.shop("woo").count(Sort::OrdersById)), (9, 1));
    assert_eq!((world.shop("shopify").shows("MUG"), world.shop("woo").shows("MUG")), (9, 9));
}

/// The order as the shop gave it, with other units.
fn with_units(world: &mut World, units: i64) -> OrderSnapshot {
    let mut order = world.shop("woo").order("1").unwrap().clone();
    (order.lines[0].net.ordered, order.lines[0].held) = (Units::of(units), Units::of(units));
    order
}

#[test]
fn a_page_that_repeats_an_order_with_other_content_never_counts_against_what_the_order_is() {
    for lie in [1, 9] {
        let folder = tempfile::tempdir().unwrap();
        let (mut world, _) = street(folder.path(), &["MUG"], |_| {});
        sell(&mut world, "woo", "1", "MUG", 4);
        let stale = with_units(&mut world, lie);
        world.shop("woo").odd.stale_orders.push(stale);
        let mut most = 0;
        while world.now.mono < seconds(60) {
            world.run_until(world.now.mono + Duration::from_millis(50)).unwrap();
            if available(&world, "MUG") < 10 {
                most = most.max(available(&world, "MUG"));
            }
        }
        assert_eq!((most, available(&world, "MUG")), (6, 6), "less sold is believed from a read by id only");
        let calls = world.shop("woo").count(Sort::OrdersById);
        let movements = world.engine().ledger().last_movement().unwrap();
        wait(&mut world, 120);
        assert_eq!(world.shop("woo").count(Sort::OrdersById), calls, "asked again and again");
        assert_eq!(world.engine().ledger().last_movement().unwrap(), movements, "to and fro");
    }
}

/// A sale that shows up late, behind one that shows up at once; overlaps of `overlap_ms`.
fn late_sale(overlap_ms: i64, disturb: impl FnOnce(&mut World)) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path(), &["MUG", "TEA"], |settings| {
        settings.channels[1].capabilities.order_overlap_ms = overlap_ms;
    });
    disturb(&mut world);
    sell(&mut world, "woo", "0", "TEA", 1);
    wait(&mut world, 30);
    world.shop("woo").order_delay_ms = 4_500;
    sell(&mut world, "woo", "1", "MUG", 3);
    wait(&mut world, 2);
    world.shop("woo").order_delay_ms = 0;
    sell(&mut world, "woo", "2", "TEA", 1);
    wait(&mut world, 30);
    assert_eq!(available(&world, "TEA"), 8);
    available(&world, "MUG")
}

#[test]
fn the_cursor_waits_for_orders_that_show_up_late_without_any_overlap() {
    assert_eq!(late_sale(0, |_| {}), 7);
}

#[test]
fn p10_clocks_that_are_off_by_hours_lose_no_order() {
    for hours in [-3_i64, 3] {
        let off = hours * 3_600_000;
        assert_eq!(late_sale(10_000, |world| world.shop("woo").odd.date_off_ms = off), 7, "Date, {hours} h");
        assert_eq!(
            late_sale(0, |world| world.shop("woo").odd.clock_off_ms = off),
            7,
            "the shop's, {hours} h"
        );
        assert_eq!(late_sale(0, |world| world.clock_off_ms = 8 * off), 7, "ours, {hours} days");
    }
}

#[test]
fn p10_a_shop_whose_clock_is_set_back_after_a_sale_still_has_its_orders_read() {
    let left = late_sale(0, |world| {
        world.shop("woo").odd.clock_off_ms = 3_600_000;
        sell(world, "woo", "ahead", "TEA", 0);
        wait(world, 10);
        world.shop("woo").odd.clock_off_ms = 3_590_000;
    });
    assert_eq!(left, 7);
}

#[test]
fn a_channel_that_has_fallen_quiet_has_its_cursor_moved_in_steps() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path(), &["MUG"], |settings| {
        settings.channels[1].capabilities.order_delay_ms = 60_000;
    });
    let runs = watched(&mut world);
    sell(&mut world, "woo", "1", "MUG", 1);
    wait(&mut world, 200);
    let moves = runs
        .lock()
        .unwrap()
        .iter()
        .filter(|(sql, _)| sql.contains("INTO cursor"))
        .map(|(_, n)| n)
        .sum::<i64>();
    assert!((1..=3).contains(&moves), "{moves}");
    assert_eq!(world.engine().ledger().cursor("woo").unwrap(), Some(UtcMs(START.0 + 10_000)));
}

/// How often each statement runs from here on.
fn watched(world: &mut World) -> Arc<Mutex<BTreeMap<String, i64>>> {
    let runs: Arc<Mutex<BTreeMap<String, i64>>> = Arc::default();
    let seen = Arc::clone(&runs);
    let ledger = world.engine_mut().ledger_mut();
    ledger
        .watch_statements(move |cost| *seen.lock().unwrap().entry(cost.sql.clone()).or_default() += 1)
        .unwrap();
    runs
}

#[test]
fn sweeps_and_reads_by_id_that_say_nothing_new_never_reach_the_orders_in_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path(), &["MUG"], |settings| {
        slowly(settings);
        settings.channels[1].sweep = Cadence::Every(seconds(HOUR));
    });
    for order in 0..5 {
        sell(&mut world, "woo", &order.to_string(), "MUG", 1);
    }
    wait(&mut world, 2 * HOUR);
    let runs = watched(&mut world);
    wait(&mut world, 24 * HOUR);
    assert!(world.shop("woo").count(Sort::OrdersById) >= 5);
    let runs = runs.lock().unwrap();
    let reached: Vec<&String> =
        runs.keys().filter(|sql| sql.contains("order_line") || sql.contains("INTO order_head")).collect();
    assert!(reached.is_empty(), "{reached:?}");
    assert!(!runs.keys().any(|sql| sql.starts_with("SELECT updated_at, content")), "{:?}", runs.keys());
}

#[test]
fn d11_a_scan_that_does_not_come_to_its_end_offers_nothing_at_a_place_it_has_found() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path(), &["CUP", "MUG", "TEA"], |settings| {
        settings.channels[1].scan = Cadence::Every(seconds(60));
    });
    // The shop gets a second location; the scan sees it on its first page and never gets another one.
    let woo = world.shop("woo");
    woo.page = 1;
    woo.open_location("loft");
    woo.slow.insert(Sort::Listings, seconds(3));
    let calls = woo.count(Sort::Listings);
    while world.shop("woo").count(Sort::Listings) == calls {
        wait(&mut world, 1);
    }
    wait(&mut world, 4);
    let lost = CallError::Retry { detail: "503".into() };
    world.shop("woo").errors = vec![(Sort::Listings, lost); 10_000];
    sell(&mut world, "shopify", "1", "CUP", 1);
    wait(&mut world, 120);
    let shows = |world: &mut World, at: &str| world.shop("woo").shows_at("CUP", at);
    assert_eq!(
        (shows(&mut world, ""), shows(&mut world, "loft")),
        (9, 0),
        "the same nine were offered twice"
    );
}

#[test]
fn d9_a_listing_that_one_scan_misses_is_kept_in_step_and_one_that_two_miss_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path(), &["CUP", "MUG", "TEA"], |settings| {
        settings.channels[1].scan = Cadence::Every(seconds(600));
    });
    world.shop("woo").odd.unlisted.insert("L-MUG".into());
    wait(&mut world, 660);
    world.shop("woo").odd.unlisted.clear();
    sell(&mut world, "shopify", "1", "MUG", 3);
    wait(&mut world, 10);
    assert_eq!(world.shop("woo").shows("MUG"), 7, "missed once");
    world.shop("woo").odd.unlisted.insert("L-MUG".into());
    let scans = world.shop("woo").count(Sort::Listings);
    wait(&mut world, 800);
    assert!(world.shop("woo").count(Sort::Listings) >= scans + 2, "it is looked for again soon");
    sell(&mut world, "shopify", "2", "MUG", 1);
    wait(&mut world, 10);
    assert_eq!(world.shop("woo").shows("MUG"), 7, "missed twice");
}

#[test]
fn a_listing_missing_beside_rows_that_cannot_be_read_has_not_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path(), &["CUP", "MUG", "TEA"], |settings| {
        settings.channels[1].scan = Cadence::Every(seconds(60));
    });
    world.shop("woo").odd.unlisted.insert("L-MUG".into());
    world.shop("woo").odd.unreadable_rows = 1;
    wait(&mut world, 400);
    sell(&mut world, "shopify", "1", "MUG", 3);
    wait(&mut world, 10);
    assert_eq!(world.shop("woo").shows("MUG"), 7);
}

#[test]
fn a_channel_whose_orders_cannot_be_read_is_blind_and_says_so_once_whatever_the_reason() {
    let wait_long = CallError::Throttled { wait: Some(seconds(50)), detail: "429".into() };
    let refused = CallError::Auth { detail: "401".into() };
    for error in [CallError::Retry { detail: "503".into() }, wait_long, refused] {
        let folder = tempfile::tempdir().unwrap();
        let (mut world, settings) = street(folder.path(), &["MUG"], |_| {});
        let blind_for = |world: &World| world.engine().blind_for(world.told(), 1);
        wait(&mut world, 60);
        assert!(blind_for(&world) < seconds(3), "{:?}", blind_for(&world));
        assert_eq!(world.engine().blind_for(world.told(), 0).as_secs(), 0);
        let both = [(Sort::Orders, error.clone()), (Sort::Identify, error.clone())];
        world.shop("woo").errors = both.into_iter().cycle().take(1_000).collect();
        wait(&mut world, 100);
        assert!((95..=100).contains(&blind_for(&world).as_secs()), "{error}: {:?}", blind_for(&world));
        assert_eq!(incidents(&world, "woo", "channel.blind"), 0);
        wait(&mut world, 60);
        assert_eq!(incidents(&world, "woo", "channel.blind"), 1);
        // A wall clock that is set and a restart change nothing.
        world.restart(settings, || false).unwrap();
        wait(&mut world, 300);
        assert!((450..=460).contains(&blind_for(&world).as_secs()), "{error}: {:?}", blind_for(&world));
        assert_eq!(incidents(&world, "woo", "channel.blind"), 1, "{error}");
        let row = world.engine().ledger().channel(&ChannelId::new("woo")).unwrap().unwrap();
        assert!(row.blind_since.is_some());
        world.shop("woo").errors.clear();
        wait(&mut world, 700);
        assert!(blind_for(&world) < seconds(3));
        let row = world.engine().ledger().channel(&ChannelId::new("woo")).unwrap().unwrap();
        assert!(row.blind_since.is_none() && row.orders_read_at.is_some());
    }
}
