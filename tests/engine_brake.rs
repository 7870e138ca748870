//! The brake: what it holds, what passes it, and that neither a restart nor a pause confuses the two.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

use std::{path::Path, time::Duration};

use stockd::domain::{
    Buffer, CallError, ChannelId, CountBasis, CountRow, LocationId, Operation, Percent, Policies, Quota,
    Settings, Sku, Units, WriteMode, policy::PolicyRule, settings::BrakeSettings,
};
use stockd::street::{Shop, Sort, World, opening, settings, start, tell_on_request};

const SKUS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// SKUs on the same shops that the ledger doesn't know.
const NEW: [&str; 3] = ["X", "Y", "Z"];

/// Two shops that show ten of each of six SKUs, forty there are and thirty are held back; the brake lets two listings
/// change unexplained.
fn street(folder: &Path) -> (World, Settings) {
    let calls = Quota::Calls { per_second: 100.0, burst: 100 };
    let points = Quota::Points { maximum: 20_000.0, restore_per_second: 1_000.0 };
    let mut shops = vec![
        Shop::new("shopify", WriteMode::CompareAndSet, points),
        Shop::new("woo", WriteMode::Absolute, calls),
    ];
    for shop in &mut shops {
        for sku in SKUS.iter().chain(&NEW) {
            shop.list(sku, 10);
        }
    }
    let refs: Vec<&Shop> = shops.iter().collect();
    let mut settings = settings(&folder.join("ledger.db"), &refs, seconds(2));
    settings.brake = BrakeSettings { share: Percent::from_hundredths(1).unwrap(), min_listings: 2 };
    settings.policies = holding_back(30);
    let rows = SKUS.iter().map(|sku| opening(sku, LocationId::DEFAULT, 40).unwrap()).collect();
    tell_on_request();
    let mut world = World::new(start(settings.clone(), rows).unwrap(), shops);
    world.run_until(seconds(10)).unwrap();
    (world, settings)
}

fn wait(world: &mut World, time: u64) {
    let until = world.now.mono + seconds(time);
    world.run_until(until).unwrap();
}

fn holding_back(units: i64) -> Policies {
    let buffer = Some(Buffer::Units(Units::of(units)));
    Policies::new(vec![PolicyRule { buffer, ..PolicyRule::default() }])
}

/// A slip in the configuration: what is held back of every SKU changes.
fn hold_back(world: &mut World, settings: &mut Settings, units: i64) {
    settings.policies = holding_back(units);
    world.restart(settings.clone(), || false).unwrap();
    wait(world, 10);
}

/// A person counts SKUs: there are so many of each.
fn count(world: &mut World, skus: &[&str], quantity: i64) {
    let rows = skus.iter().map(|sku| CountRow {
        sku: Sku::new(sku).unwrap(),
        location: LocationId::new(LocationId::DEFAULT),
        quantity: Units::of(quantity),
        basis: CountBasis::Available,
        counted_at: world.now.utc,
    });
    let operation = Operation::Count { rows: rows.collect(), reason: "counted".into() };
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
    let (mut world, mut settings) = street(folder.path());
    hold_back(&mut world, &mut settings, 35);
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
    let (mut world, mut settings) = street(folder.path());
    hold_back(&mut world, &mut settings, 35);
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
    let (mut world, mut settings) = street(folder.path());
    hold_back(&mut world, &mut settings, 35);
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
    count(&mut world, &["A", "X", "Y", "Z"], 80);
    wait(&mut world, 20);
    assert_eq!(all(&mut world, "woo"), [10; 6]);
}

#[test]
fn a_row_that_is_refused_for_hours_does_not_keep_the_brake_off() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, mut settings) = street(folder.path());
    hold_back(&mut world, &mut settings, 35);
    world.shop("shopify").rejects.insert("L-A".into(), 1_000);
    let channel = ChannelId::new("shopify");
    world.ask(&Operation::Release { channel, reason: "it is right".into() }).unwrap();
    wait(&mut world, 600);
    assert_eq!(all(&mut world, "shopify"), [10, 5, 5, 5, 5, 5]);
    hold_back(&mut world, &mut settings, 0);
    assert_eq!(all(&mut world, "shopify"), [10, 5, 5, 5, 5, 5], "raised without a person");
}

#[test]
fn what_a_person_counts_goes_out_by_itself_be_it_more_or_less() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path());
    count(&mut world, &SKUS, 55);
    wait(&mut world, 10);
    assert_eq!((all(&mut world, "shopify"), all(&mut world, "woo")), (vec![25; 6], vec![25; 6]));
    count(&mut world, &SKUS, 33);
    wait(&mut world, 10);
    assert_eq!((all(&mut world, "shopify"), all(&mut world, "woo")), (vec![3; 6], vec![3; 6]));
}

#[test]
fn the_first_count_of_many_skus_waits_for_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let (mut world, _) = street(folder.path());
    count(&mut world, &NEW, 80);
    wait(&mut world, 10);
    assert_eq!(NEW.map(|sku| world.shop("woo").shows(sku)), [10; 3]);
    let channel = ChannelId::new("woo");
    world.ask(&Operation::Release { channel, reason: "it is right".into() }).unwrap();
    wait(&mut world, 10);
    assert_eq!(NEW.map(|sku| world.shop("woo").shows(sku)), [50; 3]);
}
