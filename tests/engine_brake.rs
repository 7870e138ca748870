//! The brake: what it holds, what passes it, and that neither a restart nor a pause confuses the two.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

use std::{path::Path, time::Duration};

use stockd::domain::{
    CallError, ChannelId, CountBasis, CountRow, LocationId, Operation, Percent, Quota, Settings, Sku, Units,
    WriteMode, settings::BrakeSettings,
};
use stockd::street::{Shop, Sort, World, opening, settings, start, tell_on_request};

const SKUS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two shops of six SKUs, ten of each; the brake lets two listings change unexplained.
fn street(folder: &Path) -> (World, Settings) {
    let calls = Quota::Calls { per_second: 100.0, burst: 100 };
    let points = Quota::Points { maximum: 20_000.0, restore_per_second: 1_000.0 };
    let mut shops = vec![
        Shop::new("shopify", WriteMode::CompareAndSet, points),
        Shop::new("woo", WriteMode::Absolute, calls),
    ];
    for shop in &mut shops {
        for sku in SKUS {
            shop.list(sku, 10);
        }
    }
    let refs: Vec<&Shop> = shops.iter().collect();
    let mut settings = settings(&folder.join("ledger.db"), &refs, seconds(2));
    settings.brake = BrakeSettings { share: Percent::from_hundredths(1).unwrap(), min_listings: 2 };
    let rows = SKUS.iter().map(|sku| opening(sku, LocationId::DEFAULT, 10).unwrap()).collect();
    tell_on_request();
    let mut world = World::new(start(settings.clone(), rows).unwrap(), shops);
    world.run_until(seconds(10)).unwrap();
    (world, settings)
}

fn wait(world: &mut World, time: u64) {
    let until = world.now.mono + seconds(time);
    world.run_until(until).unwrap();
}

/// A count file with a wrong column: every SKU has `quantity`.
fn count_all(world: &mut World, quantity: i64) {
    let rows = SKUS.iter().map(|sku| CountRow {
        sku: Sku::new(sku).unwrap(),
        location: LocationId::new(LocationId::DEFAULT),
        quantity: Units::of(quantity),
        basis: CountBasis::Available,
        counted_at: world.now.utc,
    });
    let operation = Operation::Count { rows: rows.collect(), reason: "the wrong column".into() };
    world.ask(&operation).unwrap();
    wait(world, 5);
}

fn all(world: &mut World, shop: &str) -> Vec<i64> {
    SKUS.iter().map(|sku| world.shop(shop).shows(sku)).collect()
}

fn sell(world: &mut World, shop: &str, order: &str, sku: &str, units: i64) {
    let now = world.now;
    world.shop(shop).sell(now, order, sku, units);
}

fn unreachable() -> CallError {
    CallError::Retry { detail: "503".into() }
}

#[test]
fn o1_a_braked_channel_still_follows_sales_and_a_release_lets_the_rest_go() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path());
    count_all(&mut world, 5);
    assert_eq!(all(&mut world, "shopify"), [10; 6]);
    sell(&mut world, "woo", "1", "A", 2);
    wait(&mut world, 10);
    assert_eq!(all(&mut world, "shopify"), [3, 10, 10, 10, 10, 10]);
    let channel = ChannelId::new("shopify");
    world.ask(&Operation::Release { channel, reason: "it is right".into() }).unwrap();
    wait(&mut world, 10);
    assert_eq!(all(&mut world, "shopify"), [3, 5, 5, 5, 5, 5]);
}

#[test]
fn p1_after_a_restart_a_braked_channel_still_knows_which_decreases_sales_explain() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, settings) = street(folder.path());
    count_all(&mut world, 5);
    world.shop("shopify").errors = vec![(Sort::Write, unreachable()); 10];
    sell(&mut world, "woo", "1", "A", 2);
    wait(&mut world, 4);
    world.restart(settings, || false).unwrap();
    world.shop("shopify").errors.clear();
    wait(&mut world, 60);
    assert_eq!(all(&mut world, "shopify"), [3, 10, 10, 10, 10, 10]);
}

#[test]
fn sales_while_a_channel_was_paused_explain_what_it_lowers_when_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path());
    let channel = ChannelId::new("shopify");
    world
        .ask(&Operation::Pause { channel: channel.clone(), sku: None, zero: false, reason: "wait".into() })
        .unwrap();
    wait(&mut world, 5);
    for sku in SKUS {
        sell(&mut world, "woo", sku, sku, 4);
    }
    wait(&mut world, 5);
    assert_eq!(all(&mut world, "shopify"), [10; 6]);
    world.ask(&Operation::Resume { channel, sku: None, reason: "go on".into() }).unwrap();
    wait(&mut world, 10);
    assert_eq!(all(&mut world, "shopify"), [6; 6]);
}

#[test]
fn a_sale_while_a_push_is_under_way_still_explains_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path());
    count_all(&mut world, 5);
    world.shop("shopify").slow.insert(Sort::Write, seconds(6));
    sell(&mut world, "woo", "1", "A", 1);
    wait(&mut world, 4);
    sell(&mut world, "woo", "2", "A", 2);
    wait(&mut world, 20);
    assert_eq!(all(&mut world, "shopify"), [2, 10, 10, 10, 10, 10]);
}

#[test]
fn a_person_who_wants_a_channel_to_show_nothing_is_not_held_up_by_the_brake() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path());
    let channel = ChannelId::new("woo");
    world.ask(&Operation::Pause { channel, sku: None, zero: true, reason: "stop selling".into() }).unwrap();
    wait(&mut world, 10);
    assert_eq!(all(&mut world, "woo"), [0; 6]);
}

#[test]
fn a_place_that_is_behind_its_fence_when_the_brake_engages_is_held_too() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path());
    world.shop("woo").slow.insert(Sort::Levels, seconds(7));
    sell(&mut world, "shopify", "1", "A", 1);
    wait(&mut world, 4);
    count_all(&mut world, 40);
    wait(&mut world, 20);
    assert_eq!(all(&mut world, "woo"), [10; 6]);
}

#[test]
fn a_row_that_is_refused_for_hours_does_not_keep_the_brake_off() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path());
    count_all(&mut world, 5);
    world.shop("shopify").rejects.insert("L-A".into(), 1_000);
    let channel = ChannelId::new("shopify");
    world.ask(&Operation::Release { channel, reason: "it is right".into() }).unwrap();
    wait(&mut world, 600);
    assert_eq!(all(&mut world, "shopify"), [10, 5, 5, 5, 5, 5]);
    count_all(&mut world, 50);
    wait(&mut world, 10);
    assert_eq!(all(&mut world, "shopify"), [10, 5, 5, 5, 5, 5], "raised without a person");
}
