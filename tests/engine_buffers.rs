//! Buffers that follow demand, from sales to pushes: real ledger, virtual clock, shops in memory.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::{fs, path::Path, process::Command, time::Duration};

use stockd::{
    domain::{
        Buffer, CallError, LocationId, Policies, Quota, Settings, Units, WriteMode,
        policy::{AutoBuffer, PolicyRule},
        settings::BrakeSettings,
    },
    ledger::Depth,
    street::{Shop, Sort, World, opening, settings, start, tell_on_request},
};

const FAST: Quota = Quota::Calls { per_second: 100.0, burst: 100 };
const COST: u32 = 5_000;
const HOUR: Duration = Duration::from_hours(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Thirty SKUs in two shops, a hundred of each, polled every two seconds.
fn shops() -> Vec<Shop> {
    shops_with(30)
}

fn shops_with(skus: usize) -> Vec<Shop> {
    let mut shops = vec![
        Shop::new("south", WriteMode::CompareAndSet, FAST),
        Shop::new("north", WriteMode::Absolute, FAST),
    ];
    for shop in &mut shops {
        (0..skus).for_each(|n| shop.list(&format!("SKU-{n}"), 100));
    }
    shops
}

fn rules(folder: &Path, shops: &[Shop], rule: PolicyRule) -> Settings {
    let refs: Vec<&Shop> = shops.iter().collect();
    let mut settings = settings(&folder.join("ledger.db"), &refs, seconds(2));
    settings.policies = Policies::new(vec![rule]);
    settings
}

fn auto() -> PolicyRule {
    PolicyRule {
        buffer: Some(Buffer::Auto(AutoBuffer::default())),
        oversell_cost: Some(COST),
        ..PolicyRule::default()
    }
}

fn world(settings: Settings, shops: Vec<Shop>) -> World {
    tell_on_request();
    let rows =
        shops[0].listings().iter().map(|listing| opening(&listing.sku, LocationId::DEFAULT, 100).unwrap());
    let rows = rows.collect();
    World::new(start(settings, rows).unwrap(), shops)
}

/// The world after an hour in which "north" has sold 30 of SKU-0 and one of SKU-1.
fn after_sales(folder: &Path) -> World {
    let shops = shops();
    let mut world = world(rules(folder, &shops, auto()), shops);
    world.run_until(seconds(20)).unwrap();
    for order in 0..31 {
        let sku = if order == 15 { "SKU-1" } else { "SKU-0" };
        let now = world.now;
        world.shop("north").sell(now, &order.to_string(), sku, 1);
        world.run_until(now.mono + seconds(60)).unwrap();
    }
    world.run_until(HOUR).unwrap();
    world
}

fn writes(world: &World) -> u64 {
    world.shops.iter().map(|shop| shop.count(Sort::Write)).sum()
}

/// "north" answers no read of orders until `until`.
fn blind(world: &mut World, until: Duration) {
    let gone = || (Sort::Orders, CallError::Retry { detail: "503".into() });
    world.shop("north").errors = (0..1_000).map(|_| gone()).collect();
    world.run_until(until).unwrap();
}

fn sees_again(world: &mut World) {
    world.shop("north").errors.clear();
    let now = world.now.mono;
    world.run_until(now + seconds(600)).unwrap();
}

fn verified(world: &World) {
    let report = world.engine().ledger().verify(Depth::Whole).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[test]
fn a_fast_seller_gets_a_buffer_and_a_slow_one_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = after_sales(folder.path());
    assert_eq!(world.shop("north").shows("SKU-0"), 70, "no buffer where it sells: nobody else does");
    let south = world.shop("south");
    assert_eq!((south.shows("SKU-0"), south.shows("SKU-1"), south.shows("SKU-2")), (69, 99, 100));
    verified(&world);
}

#[test]
fn a_converged_system_stays_quiet() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = after_sales(folder.path());
    let before = writes(&world);
    world.run_until(8 * HOUR).unwrap();
    assert_eq!(writes(&world), before);
}

#[test]
fn a_buffer_falls_when_nothing_sells_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = after_sales(folder.path());
    assert_eq!(world.shop("south").shows("SKU-0"), 69);
    world.clock_off_ms = 150 * 86_400_000;
    world.run_until(27 * HOUR).unwrap();
    assert_eq!(world.shop("south").shows("SKU-0"), 70);
    verified(&world);
}

#[test]
fn blindness_raises_the_others_buffers_and_recovery_lowers_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = after_sales(folder.path());
    let before = writes(&world);
    blind(&mut world, HOUR + seconds(100));
    assert_eq!(writes(&world), before, "a channel that is slow for a minute is not blind");
    blind(&mut world, 3 * HOUR);
    let shown = world.shop("south").shows("SKU-0");
    assert!(shown <= 66, "{shown}");
    assert_eq!(world.shop("south").shows("SKU-2"), 100, "it never sold there");
    let pushes = writes(&world) - before;
    assert!(pushes < 20, "{pushes} pushes for two hours of blindness");
    sees_again(&mut world);
    assert_eq!(world.shop("south").shows("SKU-0"), 69);
    let quiet = writes(&world);
    world.run_until(8 * HOUR).unwrap();
    assert_eq!(writes(&world), quiet);
    verified(&world);
}

#[test]
fn all_that_a_blind_channel_sells_is_held_back_elsewhere_however_much_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let shops = shops_with(450);
    let mut world = world(rules(folder.path(), &shops, auto()), shops);
    world.run_until(seconds(20)).unwrap();
    let now = world.now;
    for n in 0..450 {
        world.shop("north").sell(now, &n.to_string(), &format!("SKU-{n}"), 1);
    }
    world.run_until(seconds(120)).unwrap();
    let shown =
        |world: &mut World| (0..450).filter(|n| world.shop("south").shows(&format!("SKU-{n}")) < 99).count();
    assert_eq!(shown(&mut world), 0);
    blind(&mut world, 3 * HOUR);
    assert_eq!(shown(&mut world), 450);
    sees_again(&mut world);
    assert_eq!(shown(&mut world), 0);
}

#[test]
fn a_restart_does_not_make_a_blind_channel_seen() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = after_sales(folder.path());
    blind(&mut world, 3 * HOUR);
    let shown = world.shop("south").shows("SKU-0");
    let settings = rules(folder.path(), &shops(), auto());
    world.restart(settings, || false).unwrap();
    world.run_until(3 * HOUR + seconds(60)).unwrap();
    assert_eq!(world.shop("south").shows("SKU-0"), shown);
    sees_again(&mut world);
    assert_eq!(world.shop("south").shows("SKU-0"), 69);
}

#[test]
fn blindness_does_not_carry_what_the_brake_holds_past_it() {
    let folder = tempfile::tempdir().unwrap();
    let shops = shops();
    let mut settings = rules(folder.path(), &shops, auto());
    let mut world = world(settings.clone(), shops);
    world.run_until(seconds(20)).unwrap();
    for n in 0..30 {
        let now = world.now;
        world.shop("north").sell(now, &n.to_string(), &format!("SKU-{n}"), 1);
        world.run_until(now.mono + seconds(1)).unwrap();
    }
    world.run_until(seconds(120)).unwrap();
    // A slip in the configuration, on a system with a brake.
    settings.brake =
        BrakeSettings { min_listings: 5, share: stockd::domain::Percent::from_hundredths(100).unwrap() };
    settings.policies = Policies::new(vec![PolicyRule { cap: Some(Units::of(50)), ..auto() }]);
    world.restart(settings, || false).unwrap();
    world.run_until(seconds(200)).unwrap();
    let before = world.shop("south").shows("SKU-0");
    assert!(before > 90, "{before}: the brake holds");
    blind(&mut world, 6 * HOUR);
    assert_eq!(world.shop("south").shows("SKU-0"), before);
}

#[test]
fn a_buffer_turned_on_later_knows_the_orders_of_the_last_months() {
    let folder = tempfile::tempdir().unwrap();
    let shops = shops();
    let mut world = world(rules(folder.path(), &shops, PolicyRule::default()), shops);
    world.run_until(seconds(20)).unwrap();
    for order in 0..30 {
        let now = world.now;
        world.shop("north").sell(now, &order.to_string(), "SKU-0", 1);
        world.run_until(now.mono + seconds(10)).unwrap();
    }
    assert_eq!(world.shop("south").shows("SKU-0"), 70);
    let rule = PolicyRule { oversell_cost: Some(100 * COST), ..auto() };
    let on = rules(folder.path(), &self::shops(), rule);
    world.restart(on, || false).unwrap();
    world.run_until(HOUR).unwrap();
    assert_eq!(world.shop("south").shows("SKU-0"), 69);
    let off = rules(folder.path(), &self::shops(), PolicyRule::default());
    world.restart(off, || false).unwrap();
    world.run_until(2 * HOUR).unwrap();
    assert_eq!(world.shop("south").shows("SKU-0"), 70);
    verified(&world);
}

#[test]
fn the_last_units_are_shown_on_one_channel_only() {
    let folder = tempfile::tempdir().unwrap();
    let shops = shops();
    let rule = PolicyRule {
        last_units: Some(Units::of(2)),
        last_units_on: Some(vec![shops[1].id.clone()]),
        ..PolicyRule::default()
    };
    let mut world = world(rules(folder.path(), &shops, rule), shops);
    world.run_until(seconds(20)).unwrap();
    let shown = |world: &mut World| (world.shop("south").shows("SKU-0"), world.shop("north").shows("SKU-0"));
    for (units, left) in [(97, (3, 3)), (1, (0, 2)), (1, (0, 1))] {
        let now = world.now;
        world.shop("north").sell(
            now,
            &units.to_string().repeat(usize::try_from(left.1).unwrap()),
            "SKU-0",
            units,
        );
        world.run_until(now.mono + seconds(30)).unwrap();
        assert_eq!(shown(&mut world), left);
    }
    verified(&world);
}

#[test]
fn explain_and_plan_show_the_figures() {
    let folder = tempfile::tempdir().unwrap();
    drop(after_sales(folder.path()));
    let config = folder.path().join("stockd.toml");
    let channel = |id: &str| {
        format!(
            "[channels.{id}]\nkind = \"woocommerce\"\nmode = \"push\"\nurl = \"https://{id}.example/\"\n\
             key = {{ file = \"x\" }}\nsecret = {{ file = \"x\" }}\n"
        )
    };
    let text = format!(
        "[ledger]\npath = \"ledger.db\"\n[policy]\nbuffer = \"auto\"\noversell_cost = {COST}\n{}{}",
        channel("south"),
        channel("north")
    );
    fs::write(&config, text).unwrap();
    let says = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
        let said = command.args(args).arg("--config").arg(&config).output().unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8(said.stdout).unwrap()
    };
    let said = says(&["explain", "SKU-0", "south"]);
    for part in ["- buffer 1 (auto)", "north sells", "orders a day", "wanted 99.9800 %", "= target 69"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&says(&["explain", "SKU-0", "south", "--json"])).unwrap();
    let inputs = &json["listings"][0]["places"][0]["inputs"];
    assert_eq!(inputs["calculation"]["policy"]["buffer"]["auto"]["held"], 1);
    assert_eq!(inputs["demand"]["wanted"], 1);
    assert_eq!(inputs["demand"]["others"][0]["channel"], "north");
    assert!(inputs["demand"]["others"][0]["orders_per_day"].as_f64().unwrap() > 2.0);
    let ledger = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    let last = "SELECT p.inputs FROM push p JOIN listing_stock s ON s.id = p.place JOIN listing l ON l.id = s.listing \
                WHERE l.channel = 'south' AND l.channel_sku = 'SKU-0' ORDER BY p.id DESC LIMIT 1";
    let recorded: String = ledger.query_row(last, [], |row| row.get(0)).unwrap();
    assert!(recorded.contains("expected_orders"), "{recorded}");
    assert!(says(&["plan"]).contains("nothing to change"));
}
