//! Orders are state, movements are differences.

use super::{Book, line, net, one_line, order, sku};
use crate::domain::{ChannelLocation, CountBasis::OnHand, LocationId, Units};

fn stocked() -> Book {
    let book = Book::new();
    book.count("MUG", 20, OnHand, 1);
    book.count("TEA", 20, OnHand, 1);
    book
}

#[test]
fn the_same_snapshot_twice_and_an_older_one_move_nothing() {
    let book = stocked();
    let newer = one_line("A", 10, 30, "MUG", net(3, 1, 0, 0));
    assert!(book.order("web", &newer).first_seen);
    let before = book.ledger.last_movement().unwrap();
    assert!(!book.order("web", &newer).fresh);
    // D16: an older one arrives later.
    assert!(!book.order("web", &one_line("A", 10, 20, "MUG", net(3, 0, 0, 0))).fresh);
    assert_eq!((book.ledger.last_movement().unwrap(), book.stock("MUG")), (before, (20, 2)));
}

#[test]
fn d13_d14_d15_edits_cancels_shipments_and_refunds_are_net_differences() {
    let book = stocked();
    let see = |updated, line_net| {
        book.order("web", &one_line("A", 10, updated, "MUG", line_net));
        book.assert_sound();
        book.stock("MUG")
    };
    assert_eq!(see(10, net(5, 0, 0, 0)), (20, 5));
    assert_eq!(see(11, net(7, 0, 0, 0)), (20, 7), "edited up");
    assert_eq!(see(12, net(6, 0, 0, 0)), (20, 6), "edited down");
    assert_eq!(see(13, net(6, 2, 0, 0)), (20, 4), "two cancelled");
    assert_eq!(see(14, net(6, 2, 4, 0)), (16, 0), "the rest shipped");
    assert_eq!(see(15, net(6, 2, 4, 0)), (16, 0), "a refund without restock");
    assert_eq!(see(16, net(6, 2, 4, 3)), (19, 0), "three came back");
    assert_eq!(see(17, net(6, 2, 4, 9)), (20, 0), "never more than were sold");
}

#[test]
fn a_line_gone_from_a_newer_order_counts_as_nothing() {
    let book = stocked();
    let lines = vec![line("1", "MUG", net(2, 0, 0, 0)), line("2", "TEA", net(1, 0, 1, 0))];
    book.order("web", &order("A", 10, 10, lines));
    assert_eq!((book.stock("MUG"), book.stock("TEA")), ((20, 2), (19, 0)));
    book.order("web", &order("A", 10, 20, vec![line("1", "MUG", net(2, 0, 0, 0))]));
    assert_eq!((book.stock("MUG"), book.stock("TEA")), ((20, 2), (20, 0)));
    // It comes back.
    let lines = vec![line("1", "MUG", net(2, 0, 0, 0)), line("2", "TEA", net(1, 0, 0, 0))];
    book.order("web", &order("A", 10, 30, lines));
    assert_eq!(book.stock("TEA"), (20, 1));
    book.assert_sound();
}

#[test]
fn d18_a_bundle_and_a_plain_line_of_one_order_add_up() {
    let book = stocked();
    let lines = vec![line("1", "SET", net(3, 0, 0, 0)), line("2", "MUG", net(1, 0, 0, 0))];
    let done = book.order("web", &order("A", 10, 10, lines));
    assert_eq!(done.skus, [sku("MUG"), sku("TEA")]);
    assert_eq!((book.stock("MUG"), book.stock("TEA")), ((20, 7), (20, 3)));
    book.assert_sound();
}

#[test]
fn a_bundle_edited_later_does_not_rewrite_what_was_sold() {
    let mut book = stocked();
    book.order("web", &one_line("A", 10, 10, "SET", net(2, 0, 0, 0)));
    book.settings.bundles[0].components[0].units = Units::of(5);
    book.order("web", &one_line("A", 10, 20, "SET", net(2, 1, 1, 0)));
    assert_eq!((book.stock("MUG"), book.stock("TEA")), ((18, 0), (19, 0)));
    book.assert_sound();
}

#[test]
fn d8_a_renamed_sku_is_still_the_line_it_was() {
    let book = stocked();
    book.order("web", &one_line("A", 10, 10, "MUG", net(2, 0, 2, 0)));
    book.order("web", &one_line("A", 10, 20, "CUP", net(2, 0, 2, 2)));
    assert_eq!(book.stock("MUG"), (20, 0));
    book.assert_sound();
}

#[test]
fn an_oversell_is_kept_as_it_is() {
    let book = stocked();
    book.order("site", &one_line("A", 10, 10, "MUG", net(25, 0, 0, 0)));
    assert_eq!(book.stock("MUG"), (20, 25));
    assert_eq!(book.ledger.available(&sku("MUG")).unwrap(), Units::of(-5));
    book.assert_sound();
}

#[test]
fn an_unpaid_order_leaves_no_line_and_counts_from_when_it_is_sold() {
    let book = stocked();
    book.order("site", &one_line("A", 10, 10, "MUG", net(0, 0, 0, 0)));
    assert_eq!(book.ledger.totals().unwrap().order_lines, 0);
    book.order("site", &one_line("A", 10, 20, "MUG", net(4, 0, 0, 0)));
    assert_eq!(book.stock("MUG"), (20, 4));
}

#[test]
fn an_order_commits_at_the_location_that_lost_the_units() {
    let mut book = stocked();
    let there = |name: &str| (LocationId::new(name), ChannelLocation::new(format!("at {name}")));
    book.settings.channels[0].locations = vec![there("main"), there("loft")];
    let mut sold = line("1", "MUG", net(2, 0, 0, 0));
    sold.location = Some(ChannelLocation::new("at loft"));
    book.order("web", &order("A", 10, 10, vec![sold, line("2", "MUG", net(1, 0, 0, 0))]));
    assert_eq!((book.stock_at("MUG", "loft"), book.stock("MUG")), ((0, 2), (20, 1)));
    book.assert_sound();
}

#[test]
fn the_cursor_never_goes_back() {
    let book = stocked();
    let at = crate::domain::UtcMs;
    book.write(|ledger| ledger.move_cursor("web", at(50)).and_then(|()| ledger.move_cursor("web", at(40))));
    assert_eq!(book.ledger.cursor("web").unwrap(), Some(at(50)));
}
