//! What places are believed to show, and shadows (CORRECTNESS.md rule 5).

use super::{Book, net, one_line, sku};
use crate::{
    domain::{CountBasis::OnHand, LineSnapshot, ListingId, OrderSnapshot, Units, UtcMs},
    ledger::{
        Comparison,
        ListingState::{Ambiguous, Ended, Managed, NoSku, Unmatched},
        PlaceId, Span,
    },
};

/// Twenty mugs, one listing on each channel that shows them.
fn shops() -> (Book, PlaceId, PlaceId) {
    let book = Book::new();
    book.count("MUG", 20, OnHand, 1);
    let web = book.scan("web", &[("w1", "MUG", 20)], 1_000)[0];
    let site = book.scan("site", &[("s1", "MUG", 20)], 1_000)[0];
    (book, web, site)
}

/// Ingests an order and lets its sales lower the channel's own number, as the engine does.
fn sell(book: &Book, channel: &str, listing: &str, snapshot: OrderSnapshot) {
    let lines = snapshot.lines.iter().cloned();
    let lines = lines.map(|line| LineSnapshot { listing: Some(ListingId::new(listing)), ..line }).collect();
    let done = book.order(channel, &OrderSnapshot { lines, ..snapshot });
    for sale in &done.own {
        book.write(|ledger| ledger.own_sale(book.channel(channel), sale)).unwrap();
    }
}

fn sold(id: &str, at: i64, units: i64) -> OrderSnapshot {
    one_line(id, at, at, "MUG", net(units, 0, 0, 0))
}

fn expected(book: &Book, place: PlaceId) -> i64 {
    book.row(place).expected.unwrap().get()
}

/// Pushes the target to a place; it lands between `from` and `to`.
fn push(book: &Book, place: PlaceId, from: i64, to: i64, exact: bool) {
    let request = book.prepare(&[place], from);
    land(book, request.id, place, from, to, exact);
}

fn land(book: &Book, request: i64, place: PlaceId, from: i64, to: i64, exact: bool) {
    book.write(|ledger| {
        ledger.settle_applied(request, place, UtcMs(to), Span { from: UtcMs(from), to: UtcMs(to) }, exact)?;
        ledger.close_request(request, UtcMs(to))
    });
}

#[test]
fn an_own_sale_lowers_what_the_channel_is_believed_to_show_and_only_there() {
    let (book, web, site) = shops();
    sell(&book, "web", "w1", sold("A", 2_000, 3));
    assert_eq!((expected(&book, web), expected(&book, site)), (17, 20));
    sell(&book, "web", "w1", one_line("A", 2_000, 3_000, "MUG", net(3, 2, 0, 0)));
    assert_eq!(expected(&book, web), 19, "the channel puts cancelled units back itself");
    assert_eq!(book.read(web, 19, 4_000), Comparison::Equal);
    book.assert_sound();
}

#[test]
fn what_a_read_shows_as_gone_is_held_until_its_order_explains_it() {
    let (book, web, site) = shops();
    assert_eq!(book.read(web, 16, 2_000), Comparison::Missing(Units::of(4)));
    assert_eq!((book.shadow(web), expected(&book, web)), (4, 16));
    let stock = book.ledger.component_stock(book.row(site).listing, &[]).unwrap();
    assert_eq!(stock[0].available(), Units::of(16), "held on every channel");
    sell(&book, "web", "w1", sold("A", 1_900, 3));
    assert_eq!((book.shadow(web), expected(&book, web)), (1, 16), "explained, not counted twice");
    sell(&book, "web", "w1", sold("B", 2_500, 2));
    assert_eq!((book.shadow(web), expected(&book, web)), (1, 14), "sold after that read");
}

#[test]
fn a_later_read_replaces_the_open_shadow_and_a_number_that_is_back_ends_it() {
    let (book, web, _) = shops();
    book.read(web, 16, 2_000);
    assert_eq!(book.read(web, 15, 3_000), Comparison::Missing(Units::of(5)));
    assert_eq!(book.read(web, 15, 3_500), Comparison::Equal, "nothing new");
    assert_eq!(book.shadow(web), 5);
    assert_eq!(book.read(web, 20, 4_000), Comparison::Equal);
    assert_eq!(book.shadow(web), 0);
}

#[test]
fn a_surplus_is_told_and_never_raises_what_is_available() {
    let (book, web, _) = shops();
    assert_eq!(book.read(web, 25, 2_000), Comparison::Surplus(Units::of(5)));
    let stock = book.ledger.component_stock(book.row(web).listing, &[]).unwrap();
    assert_eq!(stock[0].available(), Units::of(20));
}

#[test]
fn a_shadow_that_no_order_explains_lapses() {
    let (book, web, _) = shops();
    book.read(web, 18, 2_000);
    assert_eq!(book.ledger.due_shadows(UtcMs(11_999)).unwrap(), []);
    let due = book.ledger.due_shadows(UtcMs(12_000)).unwrap();
    assert_eq!((due[0].place, due[0].units), (web, Units::of(2)));
    book.write(|ledger| ledger.end_shadow(&due[0]));
    assert_eq!(book.shadow(web), 0);
}

#[test]
fn a_shadow_of_an_earlier_landing_is_explained_only_by_sales_before_its_read() {
    let (book, web, _) = shops();
    book.read(web, 16, 2_000);
    push(&book, web, 2_500, 2_600, true);
    assert_eq!(expected(&book, web), 16);
    sell(&book, "web", "w1", sold("A", 2_700, 1));
    assert_eq!((book.shadow(web), expected(&book, web)), (4, 15), "this one came after the landing");
    sell(&book, "web", "w1", sold("B", 1_800, 4));
    assert_eq!((book.shadow(web), expected(&book, web)), (0, 15), "these four the read had shown");
    book.assert_sound();
}

#[test]
fn a_number_that_rises_after_a_landing_gives_nothing_back_of_what_was_gone_before_it() {
    let (book, web, _) = shops();
    book.read(web, 16, 2_000);
    push(&book, web, 2_500, 2_600, true);
    assert_eq!(book.read(web, 20, 3_000), Comparison::Surplus(Units::of(4)));
    assert_eq!(book.shadow(web), 4);
}

#[test]
fn an_absolute_write_erases_sales_made_before_it() {
    let (book, _, site) = shops();
    book.count("MUG", 10, OnHand, 1_500);
    push(&book, site, 2_000, 2_100, false);
    sell(&book, "site", "s1", sold("A", 1_900, 2));
    let row = book.row(site);
    assert_eq!((row.expected, row.slack, row.needs_read), (Some(Units::of(10)), Units::ZERO, false));
    book.assert_sound();
}

#[test]
fn a_sale_while_an_absolute_write_may_have_landed_wants_a_read() {
    let (book, _, site) = shops();
    push(&book, site, 2_000, 2_100, false);
    sell(&book, "site", "s1", sold("A", 2_050, 2));
    let row = book.row(site);
    assert_eq!((row.expected, row.slack, row.needs_read), (Some(Units::of(20)), Units::of(2), true));
    sell(&book, "site", "s1", sold("B", 2_200, 1));
    assert_eq!(expected(&book, site), 19, "surely after it");
}

#[test]
fn sales_ingested_while_a_write_is_under_way_follow_an_exact_one_and_leave_an_absolute_one_open() {
    let (book, web, site) = shops();
    for (channel, listing, place, exact) in [("web", "w1", web, true), ("site", "s1", site, false)] {
        let request = book.prepare(&[place], 2_000);
        let value = request.rows[0].value.get();
        sell(&book, channel, listing, sold(channel, 2_050, 3));
        land(&book, request.id, place, 2_000, 2_100, exact);
        let row = book.row(place);
        let (shown, slack) = if exact { (value - 3, 0) } else { (value, 3) };
        assert_eq!((row.expected, row.slack), (Some(Units::of(shown)), Units::of(slack)), "{channel}");
        assert_eq!(row.needs_read, !exact);
    }
    book.assert_sound();
}

#[test]
fn d1_d9_d10_d11_scans_settle_which_listings_are_kept_in_step() {
    let book = Book::new();
    book.count("MUG", 5, OnHand, 1);
    book.count("CUP", 5, OnHand, 1);
    let many = [("1", "MUG", 5), ("2", "CUP", 5), ("3", "CUP", 5), ("4", "TEA", 5), ("5", "", 5)];
    let places = book.scan("web", &many, 1_000);
    let state = |at: usize| book.row(places[at]).state;
    let states: Vec<_> = (0..5).map(state).collect();
    assert_eq!(states, [Managed, Ambiguous, Ambiguous, Unmatched, NoSku]);
    assert_eq!(book.ledger.places_of_sku(&sku("MUG")).unwrap().len(), 1);
    // An empty catalogue is no catalogue.
    book.scan("web", &[], 2_000);
    assert_eq!(state(0), Managed);
    book.scan("web", &[("2", "CUP", 5)], 3_000);
    assert_eq!(
        (state(0), state(1), state(2)),
        (Managed, Managed, Ended),
        "its SKU is on another listing now"
    );
    book.scan("web", &[("2", "CUP", 5)], 4_000);
    assert_eq!((state(0), state(1)), (Ended, Managed), "missed twice");
}

#[test]
fn o2_the_account_of_first_contact_stays_pinned() {
    let book = Book::new();
    let settings = book.channel("web");
    let pin = |account: &str| book.write(|ledger| ledger.pin_account(UtcMs(1), settings, account, "Shop"));
    assert_eq!(pin("one"), "one");
    assert_eq!(pin("two"), "one");
}
