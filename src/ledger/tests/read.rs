//! What people read.

use super::{Book, line, net, one_line, order};
use crate::{
    domain::{ChannelId, CountBasis::OnHand, Units, UtcMs},
    ledger::Incident,
};

#[test]
fn history_names_orders_and_shows_the_balance_after_each_movement() {
    let book = Book::new();
    book.count("MUG", 10, OnHand, 1);
    book.count("TEA", 10, OnHand, 1);
    book.order("web", &one_line("A", 10, 20, "MUG", net(3, 0, 1, 0)));
    let history = book.ledger.history("MUG", 10).unwrap();
    let seen: Vec<_> = history
        .iter()
        .map(|row| (row.kind.as_str(), row.order.as_deref(), row.on_hand.get(), row.committed.get()))
        .collect();
    assert_eq!(seen, [("opening", None, 10, 0), ("order", Some("#A"), 10, 3), ("ship", Some("#A"), 9, 2)]);
    assert_eq!(history[0].reason.as_deref(), Some("stock-take"));
    assert_eq!(book.ledger.history("MUG", 1).unwrap(), history[2..], "the last ones, with their balances");
    assert_eq!(book.ledger.history_length("MUG").unwrap(), 3);
}

#[test]
fn the_latest_open_lines_make_up_an_oversell() {
    let book = Book::new();
    book.count("MUG", 5, OnHand, 1);
    book.count("TEA", 5, OnHand, 1);
    for (channel, id, at, units, shipped) in
        [("web", "A", 10, 3, 0), ("site", "B", 20, 2, 0), ("web", "C", 30, 2, 0), ("site", "D", 40, 1, 1)]
    {
        book.order(channel, &one_line(id, at, at, "MUG", net(units, 0, shipped, 0)));
    }
    let found = book.ledger.oversold().unwrap();
    assert_eq!((found.len(), found[0].available), (1, Units::of(-3)));
    let lines: Vec<_> = found[0]
        .lines
        .iter()
        .map(|line| (line.channel.as_str(), line.order.as_str(), line.open.get(), line.short.get()))
        .collect();
    assert_eq!(lines, [("web", "#C", 2, 2), ("site", "#B", 2, 1)]);
}

#[test]
fn a_shortage_at_one_location_is_no_oversell_while_another_has_the_units() {
    let book = Book::new();
    book.count("MUG", 0, OnHand, 1);
    let mut row = super::count_row("MUG", 5, OnHand, 1);
    row.location = crate::domain::LocationId::new("loft");
    let counted = crate::domain::Operation::Count { rows: vec![row], reason: "found".into() };
    book.operate(1, &counted).unwrap();
    book.order("web", &one_line("A", 10, 10, "MUG", net(5, 0, 0, 0)));
    assert!(book.ledger.oversold().unwrap().is_empty());
    book.order("web", &one_line("B", 20, 20, "MUG", net(1, 0, 0, 0)));
    assert_eq!(book.ledger.oversold().unwrap()[0].available, Units::of(-1));
}

#[test]
fn a_listing_is_found_by_its_sku_and_by_its_parts() {
    let book = Book::new();
    book.count("MUG", 10, OnHand, 1);
    book.count("TEA", 10, OnHand, 1);
    let places = book.scan("web", &[("1", "MUG", 10), ("2", "SET", 5), ("3", "TEA", 10)], 100);
    let of = |sku: &str| {
        let rows = book.ledger.listings_of(sku).unwrap();
        rows.into_iter().map(|row| row.channel_sku).collect::<Vec<_>>()
    };
    assert_eq!((of("MUG"), of("SET")), (vec!["MUG".to_owned(), "SET".into()], vec!["SET".into()]));
    book.read(places[1], 3, 200);
    let shadows = book.ledger.shadows_of("MUG").unwrap();
    assert_eq!((shadows.len(), shadows[0].units), (1, Units::of(4)), "two sets of two mugs");
}

#[test]
fn totals_orders_and_incidents_are_counted() {
    let book = Book::new();
    book.count("MUG", 10, OnHand, 1);
    let lines = vec![line("1", "MUG", net(1, 0, 0, 0)), line("2", "CUP", net(1, 0, 0, 0))];
    book.order("web", &order("A", 10, 20, lines));
    let totals = book.ledger.totals().unwrap();
    assert_eq!((totals.skus, totals.movements, totals.orders), (1, 2, 1));
    assert_eq!((totals.order_lines, totals.quarantined), (2, 1));
    let web = ChannelId::new("web");
    assert_eq!(book.ledger.orders_of(&web).unwrap(), (1, Some(UtcMs(10))));
    assert_eq!(book.ledger.channel(&web).unwrap(), None);
    for at in [5, 50, 60] {
        let incident = Incident { kind: "drift", channel: Some("web"), sku: Some("MUG"), detail: "2 more" };
        book.write(|ledger| ledger.note(UtcMs(at), &incident));
    }
    assert_eq!(book.ledger.incident_counts(&web, UtcMs(50)).unwrap(), [("drift".to_owned(), 2)]);
    assert_eq!(book.ledger.incidents_of(&web, "MUG", 2).unwrap()[0].at, UtcMs(60));
}
