//! Counts and other operations of a person.

use super::{Book, count, count_row, net, one_line, sku};
use crate::domain::{
    ChannelId,
    CountBasis::{Available, OnHand},
    LocationId, Operation, Units, UtcMs,
    operator::QuarantineAction,
};

#[test]
fn a_count_stands_as_of_its_time_and_what_moved_since_comes_on_top() {
    let book = Book::new();
    book.count("MUG", 10, OnHand, 100);
    book.order("web", &one_line("A", 200, 210, "MUG", net(3, 0, 3, 0)));
    book.order("web", &one_line("B", 220, 220, "MUG", net(2, 0, 0, 0)));
    assert_eq!(book.stock("MUG"), (7, 2));
    // Taken at 150, before both orders, typed in later.
    book.operate(300, &count("MUG", 12, OnHand, 150)).unwrap();
    assert_eq!(book.stock("MUG"), (9, 2));
    book.operate(300, &count("MUG", 5, Available, 250)).unwrap();
    assert_eq!(book.stock("MUG"), (7, 2));
    book.assert_sound();
}

#[test]
fn a_count_of_what_is_available_leaves_open_orders_out() {
    let book = Book::new();
    book.count("MUG", 0, OnHand, 1);
    book.order("web", &one_line("A", 10, 10, "MUG", net(3, 0, 0, 0)));
    book.count("MUG", 10, Available, 20);
    assert_eq!(book.stock("MUG"), (13, 3));
    book.order("web", &one_line("A", 10, 30, "MUG", net(3, 1, 2, 0)));
    assert_eq!(book.stock("MUG"), (11, 0));
    book.assert_sound();
}

#[test]
fn an_order_from_before_a_count_of_available_is_baseline() {
    let book = Book::new();
    book.count("MUG", 10, Available, 100);
    // One of the five was shipped before the count, four are open: none is taken off again.
    book.order("web", &one_line("A", 50, 60, "MUG", net(5, 0, 1, 0)));
    assert_eq!(book.stock("MUG"), (14, 4));
    book.order("web", &one_line("A", 50, 150, "MUG", net(5, 1, 4, 0)));
    assert_eq!(book.stock("MUG"), (11, 0), "the cancelled one came free");
    book.assert_sound();
}

#[test]
fn an_order_from_before_a_count_of_the_shelf_commits_and_what_had_left_has_left() {
    let book = Book::new();
    book.count("MUG", 10, OnHand, 100);
    book.order("web", &one_line("A", 50, 60, "MUG", net(5, 0, 1, 0)));
    assert_eq!(book.stock("MUG"), (10, 4));
    book.order("web", &one_line("B", 50, 150, "MUG", net(2, 0, 2, 0)));
    assert_eq!(book.stock("MUG"), (8, 4), "changed after the count: it may have left the shelf after it");
    book.order("web", &one_line("A", 50, 200, "MUG", net(5, 0, 5, 0)));
    assert_eq!(book.stock("MUG"), (4, 0));
    book.assert_sound();
}

#[test]
fn an_older_count_than_the_last_is_refused_as_a_whole() {
    let book = Book::new();
    book.count("MUG", 7, OnHand, 200);
    let rows = vec![count_row("TEA", 4, OnHand, 100), count_row("MUG", 5, OnHand, 100)];
    let refused = book.operate(300, &Operation::Count { rows, reason: "late".into() }).unwrap_err();
    assert!(refused.contains("MUG at main was counted again"), "{refused}");
    assert_eq!((book.stock("MUG"), book.ledger.knows("TEA").unwrap()), ((7, 0), false));
}

#[test]
fn the_same_count_twice_counts_once() {
    let book = Book::new();
    book.count("MUG", 7, OnHand, 200);
    let before = book.ledger.last_movement().unwrap();
    book.count("MUG", 7, OnHand, 200);
    assert_eq!(book.ledger.last_movement().unwrap(), before);
    book.operate(300, &count("MUG", 8, OnHand, 200)).unwrap();
    assert_eq!(book.stock("MUG"), (8, 0), "the same count, put right");
}

#[test]
fn units_added_to_an_order_after_a_count_are_not_in_that_count() {
    let book = Book::new();
    book.count("MUG", 0, OnHand, 1);
    book.order("web", &one_line("A", 50, 50, "MUG", net(1, 0, 0, 0)));
    book.order("web", &one_line("A", 50, 150, "MUG", net(3, 0, 0, 0)));
    // Counted at 100, when one unit was ordered: ten were free, now eight are.
    book.operate(200, &count("MUG", 10, Available, 100)).unwrap();
    assert_eq!(book.stock("MUG"), (11, 3));
}

#[test]
fn a_count_in_the_future_and_an_empty_one_are_refused() {
    let book = Book::new();
    assert!(book.operate(0, &count("MUG", 1, OnHand, 61_000)).unwrap_err().contains("future"));
    let nothing = Operation::Count { rows: Vec::new(), reason: "O3".into() };
    assert!(book.operate(0, &nothing).is_err());
    assert_eq!(book.ledger.last_movement().unwrap(), 0);
}

#[test]
fn an_adjustment_needs_a_known_sku_and_moves_the_shelf_only() {
    let book = Book::new();
    let adjust = |name: &str, delta| Operation::Adjust {
        sku: sku(name),
        location: LocationId::new("main"),
        delta: Units::of(delta),
        receipt: delta > 0,
        reason: "breakage".into(),
    };
    assert!(book.operate(1, &adjust("MUG", -1)).unwrap_err().contains("not in the ledger"));
    book.count("MUG", 5, OnHand, 1);
    book.operate(2, &adjust("MUG", -2)).unwrap();
    book.operate(3, &adjust("MUG", 10)).unwrap();
    assert_eq!(book.stock("MUG"), (13, 0));
    book.assert_sound();
}

#[test]
fn pauses_and_brakes_answer_what_makes_no_sense() {
    let book = Book::new();
    let channel = || ChannelId::new("web");
    let resume = Operation::Resume { channel: channel(), sku: None, reason: "done".into() };
    let release = Operation::Release { channel: channel(), reason: "looked at it".into() };
    assert!(book.operate(1, &resume).unwrap_err().contains("not paused"));
    assert!(book.operate(1, &release).unwrap_err().contains("not engaged"));
    let nowhere = ChannelId::new("shop");
    let pause = |channel, zero| Operation::Pause { channel, sku: None, zero, reason: "sale".into() };
    assert!(book.operate(1, &pause(nowhere, false)).unwrap_err().contains("no channel shop"));
    book.operate(1, &pause(channel(), false)).unwrap();
    book.operate(2, &pause(channel(), true)).unwrap();
    let pauses = book.ledger.pauses().unwrap();
    assert_eq!((pauses.len(), pauses[0].zero, pauses[0].at), (1, true, UtcMs(2)));
    book.operate(3, &resume).unwrap();
    assert!(book.ledger.pauses().unwrap().is_empty());
    assert!(book.write(|ledger| ledger.engage_brake(UtcMs(4), &channel(), 40, "40 of 50 changed")));
    book.operate(5, &release).unwrap();
    assert!(!book.ledger.brakes().unwrap()[0].engaged);
    assert!(
        !book.write(|ledger| ledger.engage_brake(UtcMs(6), &channel(), 41, "again")),
        "released for those"
    );
}

#[test]
fn d7_a_line_of_an_unknown_sku_waits_in_quarantine_and_a_count_books_it() {
    let book = Book::new();
    let done = book.order("web", &one_line("A", 10, 10, "MUG", net(2, 0, 0, 0)));
    assert_eq!(done.quarantined.len(), 1);
    assert_eq!(book.ledger.last_movement().unwrap(), 0);
    // It goes on changing while it waits.
    book.order("web", &one_line("A", 10, 20, "MUG", net(3, 0, 1, 0)));
    book.count("MUG", 9, OnHand, 30);
    assert_eq!(book.stock("MUG"), (9, 2), "one had left before the count");
    assert!(book.ledger.quarantined().unwrap().is_empty());
    book.assert_sound();
}

#[test]
fn a_quarantined_line_can_be_retried_booked_elsewhere_or_dropped() {
    let book = Book::new();
    book.count("MUG", 9, OnHand, 1);
    for (id, name) in [("A", "MUGG"), ("B", "GIFT"), ("C", "SET")] {
        book.order("web", &one_line(id, 10, 10, name, net(1, 0, 0, 0)));
    }
    let ids: Vec<i64> = book.ledger.quarantined().unwrap().iter().map(|row| row.id).collect();
    let resolve = |at: usize, action| {
        let operation = Operation::Quarantine { id: ids[at], action, reason: "typo".into() };
        book.operate(20, &operation)
    };
    assert!(resolve(0, QuarantineAction::Retry).unwrap_err().contains("stays"));
    assert!(resolve(0, QuarantineAction::Book(sku("CUP"))).is_err());
    resolve(0, QuarantineAction::Book(sku("MUG"))).unwrap();
    resolve(1, QuarantineAction::Drop).unwrap();
    assert!(resolve(1, QuarantineAction::Drop).unwrap_err().contains("no quarantine entry"));
    assert_eq!(book.stock("MUG"), (9, 1));
    // The bundle's second part becomes known: the line books by itself.
    book.count("TEA", 4, OnHand, 30);
    assert_eq!((book.stock("MUG"), book.stock("TEA")), ((9, 3), (4, 1)));
    // A dropped line never moves stock, whatever it does later.
    book.order("web", &one_line("B", 10, 40, "GIFT", net(5, 0, 5, 0)));
    assert_eq!(book.stock("GIFT"), (0, 0));
    book.assert_sound();
}
