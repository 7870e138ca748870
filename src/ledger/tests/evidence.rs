//! What counts as evidence: of units that came back, of where they left from, of two snapshots that differ.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{Book, line, net, one_line, order};
use crate::{
    domain::{
        ChannelLocation, CountBasis::OnHand, LineNet, LocationId, OrderId, OrderSnapshot, Units, UtcMs,
    },
    ledger::OrderRead,
};

const SKUS: [&str; 2] = ["MUG", "TEA"];
const PLACES: [&str; 2] = ["main", "loft"];
const OPENING: i64 = 20;
const DAY: i64 = 86_400_000;

/// A ledger of twenty of each SKU at each of two locations, which `web` knows by `at NAME`.
fn two_locations() -> Book {
    let mut book = Book::new();
    let there = |name: &str| (LocationId::new(name), ChannelLocation::new(format!("at {name}")));
    book.settings.channels[0].locations = PLACES.map(there).into();
    for (sku, place) in SKUS.iter().flat_map(|sku| PLACES.map(|place| (sku, place))) {
        let mut row = super::count_row(sku, OPENING, OnHand, 1);
        row.location = LocationId::new(place);
        book.operate(2, &crate::domain::Operation::Count { rows: vec![row], reason: "opening".into() })
            .unwrap();
    }
    book
}

type Lines = Vec<(usize, usize, LineNet)>;

/// Orders, each a row of snapshots with rising update times: SKU, place and net of each line.
fn histories() -> impl Strategy<Value = Vec<Vec<OrderSnapshot>>> {
    let nets = (-1_i64..6, -1_i64..6, -1_i64..6, -1_i64..8).prop_map(|(o, c, s, r)| net(o, c, s, r));
    let lines = prop::collection::vec((0..SKUS.len(), 0..PLACES.len(), nets), 0..3);
    let orders = prop::collection::vec(prop::collection::vec(lines, 1..6), 1..4);
    orders.prop_map(|orders| orders.into_iter().enumerate().map(|(id, steps)| history(id, steps)).collect())
}

fn history(id: usize, steps: Vec<Lines>) -> Vec<OrderSnapshot> {
    let snapshot = |(step, lines): (usize, Lines)| {
        let lines = lines.into_iter().enumerate().map(|(n, (sku, place, net))| {
            let mut line = line(&format!("{n}-{sku}"), SKUS[sku], net);
            line.location = Some(ChannelLocation::new(format!("at {}", PLACES[place])));
            line
        });
        order(&id.to_string(), 100, 100 + i64::try_from(step).unwrap(), lines.collect())
    };
    steps.into_iter().enumerate().map(snapshot).collect()
}

fn balances(book: &Book) -> BTreeMap<(String, String), (i64, i64)> {
    let rows = book.ledger.stock().unwrap();
    rows.into_iter().map(|row| ((row.sku, row.location), (row.on_hand.get(), row.committed.get()))).collect()
}

/// What the last snapshot of each order makes of the opening.
fn by_the_net(orders: &[Vec<OrderSnapshot>]) -> BTreeMap<(String, String), (i64, i64)> {
    let places = SKUS.iter().flat_map(|sku| PLACES.map(|place| (sku.to_string(), place.to_owned())));
    let mut sums: BTreeMap<_, _> = places.map(|key| (key, (OPENING, 0))).collect();
    for line in orders.iter().filter_map(|steps| steps.last()).flat_map(|order| &order.lines) {
        let place = line.location.as_ref().unwrap().as_str().trim_start_matches("at ");
        let sum = sums.get_mut(&(line.channel_sku.clone().unwrap(), place.to_owned())).unwrap();
        let net = line.net.possible();
        *sum = (sum.0 + net.on_hand().get(), sum.1 + net.open().get());
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn balances_equal_the_net_and_nothing_comes_back_that_was_not_sold(
        orders in histories(),
        extra in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..12),
    ) {
        let mut mixed: Vec<OrderSnapshot> = orders.iter().flatten().cloned().collect();
        let straight = mixed.clone();
        mixed.extend(extra.iter().map(|at| at.get(&straight).clone()));
        for (a, b) in &swaps {
            let (a, b) = (a.index(mixed.len()), b.index(mixed.len()));
            mixed.swap(a, b);
        }
        for snapshots in [straight, mixed] {
            let book = two_locations();
            for snapshot in &snapshots {
                book.order("web", snapshot);
                for (on_hand, committed) in balances(&book).into_values() {
                    prop_assert!(on_hand <= OPENING && committed >= 0, "{on_hand}, {committed}");
                }
            }
            book.assert_sound();
            prop_assert_eq!(balances(&book), by_the_net(&orders));
        }
    }
}

#[test]
fn an_order_shipped_from_another_location_is_a_transfer() {
    let book = two_locations();
    let at = |place: &str, line_net, updated| {
        let mut snapshot = one_line("A", 10, updated, "MUG", line_net);
        snapshot.lines[0].location = Some(ChannelLocation::new(format!("at {place}")));
        book.order("web", &snapshot);
        book.assert_sound();
        (book.stock_at("MUG", "main"), book.stock_at("MUG", "loft"))
    };
    assert_eq!(at("main", net(3, 0, 0, 0), 10), ((20, 3), (20, 0)));
    assert_eq!(at("loft", net(3, 0, 3, 0), 20), ((20, 0), (17, 0)));
    assert_eq!(at("loft", net(3, 0, 3, 1), 30), ((20, 0), (18, 0)), "back where it left from");
    assert_eq!(at("nowhere we know", net(3, 0, 3, 1), 40), ((20, 0), (18, 0)));
}

fn read(book: &Book, snapshot: &OrderSnapshot, digest: i64, read: OrderRead) -> crate::ledger::Ingested {
    let (settings, web) = (&book.settings, book.channel("web"));
    book.write(|ledger| ledger.ingest_order(snapshot.updated_at, settings, web, snapshot, digest, read))
}

#[test]
fn of_two_snapshots_with_one_update_time_only_a_read_by_id_gives_units_back() {
    let book = two_locations();
    let snapshot = |units| one_line("A", 10, 10, "MUG", net(units, 0, 0, 0));
    assert!(!read(&book, &snapshot(4), 1, OrderRead::Listed).doubted);
    let less = read(&book, &snapshot(2), 2, OrderRead::Listed);
    assert_eq!((less.doubted, less.fresh, book.stock("MUG")), (true, false, (20, 4)));
    let more = read(&book, &snapshot(6), 3, OrderRead::Listed);
    assert_eq!((more.doubted, more.fresh, book.stock("MUG")), (true, true, (20, 6)));
    let due = |until| book.ledger.orders_to_reread(&book.channel("web").id, UtcMs(until), 9).unwrap();
    assert_eq!(due(0), [OrderId::new("A")]);
    assert!(!read(&book, &snapshot(2), 2, OrderRead::ById).doubted);
    assert_eq!((book.stock("MUG"), due(0)), ((20, 2), Vec::new()));
    let mut renamed = snapshot(2);
    renamed.number = "other words, nothing else".into();
    assert!(!read(&book, &renamed, 4, OrderRead::Listed).doubted);
    book.assert_sound();
}

#[test]
fn an_order_of_a_channel_that_never_says_so_counts_as_shipped_after_its_time() {
    let mut book = two_locations();
    book.settings.channels[0].assume_shipped_after = Some(Duration::from_hours(14 * 24));
    let asked = |at: i64, gone| {
        let web = book.channel("web");
        let times = (UtcMs(at), UtcMs(at));
        book.write(|ledger| ledger.order_reread(times, &book.settings, web, &OrderId::new("A"), gone))
    };
    let lines = vec![line("1", "MUG", net(4, 1, 0, 0)), line("2", "UNKNOWN", net(1, 0, 0, 0))];
    book.order("web", &order("A", 10, 10, lines.clone()));
    asked(13 * DAY, false);
    assert_eq!(book.stock("MUG"), (20, 3));
    asked(15 * DAY, true);
    assert_eq!(book.stock("MUG"), (17, 0), "what is available stays");
    assert!(book.ledger.orders_to_reread(&book.channel("web").id, UtcMs(99 * DAY), 9).unwrap().is_empty());
    let last = book.ledger.history("MUG", 1).unwrap().remove(0);
    assert_eq!((last.kind.as_str(), last.reason.as_deref()), ("ship", Some("assumed shipped")));
    // It is still heard, and still assumed to have left.
    book.order("web", &order("A", 10, 20, lines));
    assert_eq!(book.stock("MUG"), (17, 0));
    book.order("web", &order("A", 10, 30, vec![line("1", "MUG", net(4, 2, 0, 0))]));
    assert_eq!(book.stock("MUG"), (18, 0), "one more was cancelled: it never left");
    book.assert_sound();
}

#[test]
fn an_order_that_is_not_given_by_id_is_news_once() {
    let book = two_locations();
    book.order("web", &one_line("A", 10, 10, "MUG", net(4, 0, 0, 0)));
    let asked = |gone| {
        let times = (UtcMs(DAY), UtcMs(DAY));
        let id = OrderId::new("A");
        book.write(|ledger| ledger.order_reread(times, &book.settings, book.channel("web"), &id, gone))
    };
    assert_eq!((asked(true).as_deref(), asked(true)), (Some("#A"), None));
    assert_eq!((asked(false), asked(true).as_deref()), (None, Some("#A")));
    assert_eq!(book.stock("MUG"), (20, 4));
    // Nothing open, nothing to ask for.
    book.order("web", &one_line("A", 10, 20, "MUG", net(4, 0, 4, 0)));
    assert_eq!(asked(true), None);
    assert_eq!(book.ledger.available(&super::sku("MUG")).unwrap(), Units::of(36));
}

#[test]
fn what_an_unfinished_scan_has_seen_changes_nothing() {
    let book = two_locations();
    let web = book.channel("site");
    let places = book.scan("site", &[("1", "MUG", 5), ("2", "TEA", 5)], 1_000);
    let before: Vec<_> = places.iter().map(|place| book.row(*place)).collect();
    let mut moved = super::listing("1", "TEA", 5);
    moved.writable = crate::domain::listing::Writable::Ended;
    moved.levels.push(super::LevelReading {
        place: super::Place { location: ChannelLocation::new("2"), ..super::place("1") },
        quantity: Some(Units::of(5)),
    });
    book.write(|ledger| {
        let scan = ledger.next_scan(&web.id)?;
        ledger.see_listing(&web.id, scan, &moved)?;
        ledger.match_listings(&book.settings, web)
    });
    for (place, before) in places.iter().zip(&before) {
        assert_eq!(format!("{:?}", book.row(*place)), format!("{before:?}"));
    }
    let second = book.ledger.place_id(&web.id, &moved.levels[1].place).unwrap().unwrap();
    assert_eq!(book.row(second).state, crate::ledger::ListingState::Pending);
}
