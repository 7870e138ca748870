//! Looking sooner: how often orders are read, looks at quantities in between, and what an uneventful hour costs.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use stockd::{
    domain::{
        Cadence, ChannelId, ChannelLocation, ListingId, LocationId, Now, OwnQuotas, Place, Quota, Settings,
        WriteMode,
    },
    engine::News,
    street::{START, Shop, Sort, World, capabilities, opening, settings, start, tell_on_request},
};

const FAST: Quota = Quota::Calls { per_second: 100.0, burst: 100 };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A shop whose orders show up only after this long.
fn late_shop(id: &str, quota: Quota, delay: u64, own: OwnQuotas) -> Shop {
    let order_delay_ms = i64::try_from(delay * 1_000).unwrap();
    let mut can = capabilities(WriteMode::Absolute, quota);
    (can.order_delay_ms, can.order_overlap_ms, can.own_quotas) =
        (order_delay_ms, order_delay_ms + 10_000, own);
    let mut shop = Shop::with(id, can);
    shop.order_delay_ms = order_delay_ms;
    shop
}

fn world_of(folder: &Path, mut shops: Vec<Shop>, stock: i64, tune: impl FnOnce(&mut Settings)) -> World {
    for shop in &mut shops {
        for n in 0..10 {
            shop.list(&format!("SKU-{n}"), stock);
        }
    }
    let refs: Vec<&Shop> = shops.iter().collect();
    let mut settings = settings(&folder.join("ledger.db"), &refs, seconds(2));
    settings.channels.iter_mut().for_each(|channel| channel.orders = Cadence::Auto);
    tune(&mut settings);
    let rows = (0..10).map(|n| opening(&format!("SKU-{n}"), LocationId::DEFAULT, stock).unwrap()).collect();
    tell_on_request();
    World::new(start(settings, rows).unwrap(), shops)
}

fn world(folder: &Path, shops: Vec<Shop>, stock: i64) -> World {
    world_of(folder, shops, stock, |_| {})
}

/// Counts the statements from now on.
fn count_statements(world: &mut World) -> Arc<Mutex<Vec<String>>> {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let counted = Arc::clone(&seen);
    let watch = move |cost: &stockd::ledger::StatementCost| counted.lock().unwrap().push(cost.sql.clone());
    world.engine_mut().ledger_mut().watch_statements(watch).unwrap();
    seen
}

fn made(world: &mut World, shop: &str, sort: Sort) -> u64 {
    world.shop(shop).count(sort)
}

#[test]
fn rounds_without_news_reach_no_statement_not_even_with_looks_and_orders_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let shops = vec![
        Shop::new("web", WriteMode::CompareAndSet, FAST),
        late_shop("market", FAST, 60, OwnQuotas::default()),
    ];
    let mut world = world(folder.path(), shops, 9);
    world.run_until(seconds(10)).unwrap();
    let now = world.now;
    world.shop("market").sell(now, "1", "SKU-1", 2);
    world.run_until(seconds(150)).unwrap();
    let looks = made(&mut world, "market", Sort::Levels);
    let polls = made(&mut world, "market", Sort::Orders);
    let statements = count_statements(&mut world);
    world.run_until(seconds(590)).unwrap();
    assert!(made(&mut world, "market", Sort::Levels) > looks + 100, "nobody looked");
    assert!(made(&mut world, "market", Sort::Orders) > polls + 100, "nobody polled");
    assert_eq!(*statements.lock().unwrap(), Vec::<String>::new());
    let now = world.now;
    world.shop("web").sell(now, "2", "SKU-2", 1);
    world.run_until(seconds(610)).unwrap();
    assert!(!statements.lock().unwrap().is_empty(), "the counter counts");
    assert_eq!(world.shop("market").shows("SKU-2"), 8);
}

#[test]
fn a_look_lowers_the_other_channels_long_before_the_order_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let web = Shop::new("web", WriteMode::CompareAndSet, FAST);
    let mut world = world(folder.path(), vec![web, late_shop("market", FAST, 120, OwnQuotas::default())], 9);
    world.run_until(seconds(20)).unwrap();
    let now = world.now;
    world.shop("market").sell(now, "1", "SKU-1", 4);
    world.run_until(seconds(26)).unwrap();
    assert_eq!(world.shop("web").shows("SKU-1"), 5, "six seconds later");
    world.run_until(seconds(300)).unwrap();
    assert_eq!((world.shop("web").shows("SKU-1"), world.shop("market").shows("SKU-1")), (5, 5));
}

#[test]
fn nobody_looks_where_orders_are_visible_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut can = capabilities(WriteMode::Absolute, FAST);
    can.order_delay_ms = 0;
    let shops = [2, 5].map(|every| (every, Shop::with(&format!("every{every}"), can)));
    let every = shops.each_ref().map(|(every, _)| *every);
    let shops: Vec<Shop> = shops.into_iter().map(|(_, shop)| shop).collect();
    let mut world = world_of(folder.path(), shops, 9, |settings| {
        for (channel, every) in settings.channels.iter_mut().zip(every) {
            channel.orders = Cadence::Every(seconds(every));
        }
    });
    world.run_until(seconds(300)).unwrap();
    assert_eq!(made(&mut world, "every2", Sort::Levels) + made(&mut world, "every5", Sort::Levels), 0);
}

#[test]
fn automatic_polls_are_polite_leave_half_of_the_limit_and_spare_a_slow_host() {
    let folder = tempfile::tempdir().unwrap();
    let slow_limit = Quota::Calls { per_second: 0.2, burst: 10 };
    let mut shops = vec![
        Shop::new("fast", WriteMode::CompareAndSet, FAST),
        Shop::new("poor", WriteMode::CompareAndSet, slow_limit),
        Shop::new("slow", WriteMode::CompareAndSet, FAST),
    ];
    shops[2].slow.insert(Sort::Orders, Duration::from_millis(920));
    let mut world = world(folder.path(), shops, 50);
    world.run_until(seconds(100)).unwrap();
    let before = ["fast", "poor", "slow"].map(|shop| made(&mut world, shop, Sort::Orders));
    world.run_until(seconds(1_100)).unwrap();
    let [fast, poor, slow] = [("fast", 0), ("poor", 1), ("slow", 2)]
        .map(|(shop, at)| made(&mut world, shop, Sort::Orders) - before[at]);
    assert!((470..=500).contains(&fast), "{fast} in 1000 s, 2 s apart");
    assert!((85..=100).contains(&poor), "{poor} in 1000 s of 200 calls");
    assert!((85..=95).contains(&slow), "{slow} in 1000 s, ten times the second it takes");
}

/// Amazon: a read of orders in three minutes, quantities five a second.
fn amazon() -> Shop {
    let own = OwnQuotas {
        orders: Some(Quota::Calls { per_second: 0.0056, burst: 20 }),
        levels: Some(Quota::Calls { per_second: 5.0, burst: 10 }),
        write: Some(Quota::Calls { per_second: 5.0, burst: 10 }),
    };
    late_shop("amazon", Quota::Calls { per_second: 5.0, burst: 10 }, 120, own)
}

#[test]
fn where_orders_can_hardly_be_read_writes_go_out_behind_a_read_of_quantities_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(folder.path(), vec![Shop::new("web", WriteMode::CompareAndSet, FAST), amazon()], 9);
    world.run_until(seconds(400)).unwrap();
    let polls = made(&mut world, "amazon", Sort::Orders);
    let now = world.now;
    world.shop("web").sell(now, "1", "SKU-1", 4);
    world.shop("amazon").sell(now, "2", "SKU-2", 4);
    world.run_until(seconds(406)).unwrap();
    assert_eq!(world.shop("amazon").shows("SKU-1"), 5, "the write did not wait for a read of orders");
    assert_eq!(world.shop("web").shows("SKU-2"), 5, "a look tells");
    assert_eq!(made(&mut world, "amazon", Sort::Orders), polls);
    assert_eq!(world.shop("amazon").throttled, 0);
    let looks = made(&mut world, "amazon", Sort::Levels);
    world.run_until(seconds(1_400)).unwrap();
    let (polls, looks) =
        (made(&mut world, "amazon", Sort::Orders) - polls, made(&mut world, "amazon", Sort::Levels) - looks);
    assert!((5..=6).contains(&polls), "{polls} reads of orders in 1000 s, one in 180 s");
    assert!((3_000..4_000).contains(&looks), "{looks} looks in 1000 s, three quarters of 5000");
    assert_eq!(world.shop("amazon").throttled, 0);
}

#[test]
fn a_busy_shop_is_read_back_over_the_whole_overlap_only_now_and_then() {
    let folder = tempfile::tempdir().unwrap();
    let mut can = capabilities(WriteMode::CompareAndSet, FAST);
    can.order_overlap_ms = 60_000;
    let mut shop = Shop::with("web", can);
    shop.orders_page = 10;
    let mut world = world(folder.path(), vec![shop], 5_000);
    world.run_until(seconds(10)).unwrap();
    let mut pages = 0;
    for n in 0..240_u64 {
        let now = world.now;
        world.shop("web").sell(now, &n.to_string(), "SKU-1", 1);
        let next = world.now.mono + Duration::from_millis(500);
        world.run_until(next).unwrap();
        if n == 120 {
            pages = made(&mut world, "web", Sort::Orders);
        }
    }
    let pages = made(&mut world, "web", Sort::Orders) - pages;
    assert!(pages < 120, "{pages} pages in a minute; thirteen each time would be near 400");
    let end = world.now.mono + seconds(60);
    world.run_until(end).unwrap();
    let known = world.engine().ledger().orders_of(&ChannelId::new("web")).unwrap().0;
    assert_eq!(known, 240);
}

#[test]
fn how_late_sales_become_known_is_measured_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let web = Shop::new("web", WriteMode::CompareAndSet, FAST);
    let mut world = world(folder.path(), vec![web, late_shop("market", FAST, 20, OwnQuotas::default())], 500);
    world.run_until(seconds(60)).unwrap();
    for n in 0..60_u64 {
        let now = world.now;
        let shop = if n % 2 == 0 { "web" } else { "market" };
        world.shop(shop).sell(now, &n.to_string(), &format!("SKU-{}", n % 10), 1);
        let next = world.now.mono + Duration::from_millis(7_300);
        world.run_until(next).unwrap();
    }
    let delay = |shop: &str| world.engine().ledger().delay(&ChannelId::new(shop)).unwrap().unwrap();
    let (web, market) = (delay("web"), delay("market"));
    assert!((0..=3_000).contains(&web.known_p99_ms) && web.known_p50_ms < web.known_p99_ms, "{web:?}");
    assert!((20_000..=23_500).contains(&market.known_p99_ms), "{market:?}");
    assert!(web.landed_p99_ms.is_some_and(|ms| (40..2_000).contains(&ms)), "{web:?}");
}

/// A sale of the day: when, at which shop, of which SKU.
type Sale = (Duration, usize, String);

/// Numbers by a simple rule, the same in every run.
fn day_of_sales(seed: u64) -> Vec<Sale> {
    let (mut state, mut at, mut sales) = (seed, seconds(30), Vec::new());
    for _ in 0..40 {
        let mut roll = |most: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % most
        };
        at += Duration::from_millis(500 + roll(90_000));
        sales.push((at, usize::try_from(roll(3)).unwrap(), format!("SKU-{}", roll(10))));
    }
    sales
}

/// When each write came to each shop, with its rows, and how many reads were made or passed over.
fn live(sales: &[Sale], passing: bool) -> (Vec<(String, Duration, usize)>, Vec<u64>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let web = Shop::new("web", WriteMode::CompareAndSet, FAST);
    let shops = vec![web, late_shop("market", FAST, 45, OwnQuotas::default()), amazon()];
    let delays: Vec<i64> = shops.iter().map(|shop| shop.order_delay_ms).collect();
    let mut world = world_of(folder.path(), shops, 12, |settings| {
        settings.channels[0].orders = Cadence::Every(seconds(7));
    });
    let mut pending: Vec<(usize, String, Duration, String)> = Vec::new();
    let (mut reads, mut saved) = (vec![0; 3], 0);
    let ends: Vec<Duration> = sales.iter().map(|(at, ..)| *at).chain([seconds(3_600)]).collect();
    for (n, end) in ends.iter().enumerate() {
        while world.now.mono < *end {
            let step = world.now.mono + Duration::from_millis(250);
            world.run_until(step.min(*end)).unwrap();
            if !passing || world.engine().calls_in_flight() > 0 || world.now.mono >= *end {
                continue;
            }
            pending.retain(|(shop, order, ..)| {
                let id = world.shops[*shop].id.clone();
                !knows(folder.path(), &id, order)
            });
            let news: Vec<News> = (0..3).map(|at| news_of(&world, at, &pending)).collect();
            let now: Now = world.told();
            let passed = world.engine_mut().pass_over(now, *end, &news);
            for (reads, (polls, looks)) in reads.iter_mut().zip(passed.polls.iter().zip(&passed.looks)) {
                *reads += polls + looks;
                saved += polls + looks;
            }
            let wake = passed.wake.unwrap_or(*end).min(*end);
            if wake > world.now.mono {
                world.run_until(wake).unwrap();
            }
        }
        if let Some((_, shop, sku)) = sales.get(n) {
            let now = world.now;
            if world.shops[*shop].shows(sku) > 0 {
                world.shops[*shop].sell(now, &n.to_string(), sku, 1);
                let delay = Duration::from_millis(delays[*shop].unsigned_abs());
                pending.push((*shop, n.to_string(), now.mono + delay, sku.clone()));
            }
        }
    }
    let mut writes = Vec::new();
    for (at, shop) in world.shops.iter().enumerate() {
        assert_eq!(shop.throttled, 0, "{}", shop.id);
        reads[at] += shop.count(Sort::Orders) + shop.count(Sort::Levels);
        let of_shop = shop.calls.iter().filter(|call| call.sort == Sort::Write);
        writes.extend(of_shop.map(|call| (shop.id.to_string(), call.at, call.rows)));
    }
    (writes, reads, saved)
}

fn knows(folder: &Path, channel: &ChannelId, order: &str) -> bool {
    let conn = rusqlite::Connection::open(folder.join("ledger.db")).unwrap();
    let sql = "SELECT count(*) FROM order_head WHERE channel = ?1 AND order_id = ?2";
    conn.query_row(sql, [channel.as_str(), order], |row| row.get::<_, i64>(0)).unwrap() > 0
}

/// What a shop holds that may be news.
fn news_of(world: &World, at: usize, pending: &[(usize, String, Duration, String)]) -> News {
    let of_shop = || pending.iter().filter(|(shop, ..)| *shop == at);
    let place = |sku: &str| {
        let listing = world.shops[at].listing_ix(sku).unwrap();
        Place {
            listing: ListingId::new(world.shops[at].listings()[listing].id.as_str()),
            location: ChannelLocation::only(),
        }
    };
    News {
        channel: world.shops[at].id.clone(),
        orders_from: of_shop().map(|(_, _, readable, _)| *readable).min(),
        places: of_shop().map(|(.., sku)| place(sku)).collect(),
    }
}

#[test]
fn what_is_passed_over_changes_no_write() {
    assert_eq!(START.0 % 1_000, 0);
    for seed in 0..4 {
        let sales = day_of_sales(seed);
        let (writes, reads, _) = live(&sales, false);
        let (passed_writes, passed_reads, saved) = live(&sales, true);
        assert!(saved * 2 > reads.iter().sum(), "{saved} of {reads:?} were passed over");
        assert_eq!(passed_writes, writes, "seed {seed}");
        for (made, passed) in reads.iter().zip(&passed_reads) {
            assert!(made.abs_diff(*passed) * 100 <= *made, "seed {seed}: {reads:?} and {passed_reads:?}");
        }
    }
}
