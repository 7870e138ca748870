//! Requests and pushes: recorded before they leave, settled once.

use super::{Book, net, one_line};
use crate::{
    domain::{ChannelId, CountBasis::OnHand, Units, UtcMs},
    ledger::{Comparison, PlaceId, PushState, Span},
};

fn shops(listings: &[(&str, &str, i64)]) -> (Book, Vec<PlaceId>) {
    let book = Book::new();
    for (_, name, shown) in listings {
        book.count(name, *shown - 5, OnHand, 1);
    }
    let places = book.scan("site", listings, 1_000);
    (book, places)
}

fn states(book: &Book, place: PlaceId) -> Vec<String> {
    book.ledger.last_pushes(place, 10).unwrap().into_iter().map(|push| push.state).collect()
}

fn open(book: &Book) -> usize {
    book.ledger.open_requests(&ChannelId::new("site")).unwrap().len()
}

const LANDED: Span = Span { from: UtcMs(2_000), to: UtcMs(2_100) };

#[test]
fn a_prepared_push_locks_its_place_and_a_second_one_is_a_defect() {
    let (book, places) = shops(&[("s1", "MUG", 20)]);
    let request = book.prepare(&places, 2_000);
    assert_eq!((book.row(places[0]).request, book.row(places[0]).version), (Some(request.id), 1));
    let second = book.justified_push(places[0]);
    book.ledger.begin().unwrap();
    assert!(book.ledger.prepare(UtcMs(2_001), &ChannelId::new("site"), &[second]).is_err());
    book.ledger.rollback().unwrap();
    assert_eq!(open(&book), 1);
    book.assert_sound();
}

#[test]
fn a_request_found_after_a_restart_is_the_one_that_was_recorded() {
    let (book, places) = shops(&[("s1", "MUG", 20), ("s2", "TEA", 9)]);
    let sent = book.prepare(&places, 2_000);
    let again = book.ledger.open_requests(&ChannelId::new("site")).unwrap().remove(0);
    assert_eq!((again.id, &again.key, &again.rows), (sent.id, &sent.key, &sent.rows));
    assert_eq!(again.places, sent.places);
}

#[test]
fn keys_differ_between_requests_and_between_ledgers() {
    let key = |at| {
        let (book, places) = shops(&[("s1", "MUG", 20)]);
        book.prepare(&places, at).key
    };
    assert_ne!(key(1), key(1));
    let (book, places) = shops(&[("s1", "MUG", 20), ("s2", "TEA", 9)]);
    assert_ne!(book.prepare(&places[..1], 1).key, book.prepare(&places[1..], 1).key);
}

#[test]
fn each_way_to_settle_frees_the_place_and_is_recorded() {
    let (book, places) = shops(&[("s1", "MUG", 20)]);
    let place = places[0];
    let settle = |state| {
        let request = book.prepare(&places, 2_000);
        book.write(|ledger| {
            ledger.settle_without_effect(request.id, place, state, "why")?;
            ledger.close_request(request.id, UtcMs(2_100))
        });
        book.row(place)
    };
    for (state, needs_read) in
        [(PushState::Rejected, false), (PushState::NotSent, false), (PushState::Conflict, true)]
    {
        let row = settle(state);
        assert_eq!((row.request, row.expected, row.needs_read), (None, Some(Units::of(20)), needs_read));
    }
    let request = book.prepare(&places, 3_000);
    assert!(!book.write(|ledger| ledger.close_request(request.id, UtcMs(3_001))), "its place still waits");
    book.write(|ledger| {
        ledger.settle_applied(request.id, place, UtcMs(3_100), LANDED, false)?;
        ledger.close_request(request.id, UtcMs(3_100))
    });
    assert_eq!(book.row(place).expected, Some(Units::of(15)));
    assert_eq!(states(&book, place), ["applied", "conflict", "not_sent", "rejected"]);
    assert_eq!((open(&book), book.row(place).version), (0, 4));
    book.assert_sound();
}

#[test]
fn an_unknown_write_is_believed_to_be_the_larger_number_until_a_read_decides() {
    let (book, places) = shops(&[("s1", "MUG", 20), ("s2", "TEA", 9)]);
    book.count("TEA", 30, OnHand, 1_500);
    let request = book.prepare(&places, 2_000);
    book.write(|ledger| {
        ledger.mark_unknown(request.id, places[0], "time-out")?;
        ledger.mark_unknown(request.id, places[1], "time-out")
    });
    let shown = |at: usize| book.row(places[at]).expected.unwrap().get();
    assert_eq!((shown(0), shown(1)), (20, 30), "a decrease may not have landed, an increase may have");
    let writes = book.ledger.open_writes(&ChannelId::new("site")).unwrap();
    assert_eq!((writes.requests, writes.unknown), (1, 2));
    book.assert_sound();
    // The first had landed, the second had not.
    for (place, read) in [(places[0], 15), (places[1], 9)] {
        book.write(|ledger| ledger.settle_by_read(request.id, place, Units::of(read)));
        assert!(matches!(book.read(place, read, 3_000), Comparison::Missing(_)));
    }
    assert!(book.write(|ledger| ledger.close_request(request.id, UtcMs(3_000))));
    assert_eq!(
        (states(&book, places[0]), states(&book, places[1])),
        (vec!["applied".into()], vec!["rejected".into()])
    );
    book.assert_sound();
}

#[test]
fn a_repeat_for_the_sake_of_one_row_leaves_the_settled_rows_alone() {
    let (book, places) = shops(&[("s1", "MUG", 20), ("s2", "TEA", 9)]);
    let request = book.prepare(&places, 2_000);
    book.write(|ledger| {
        ledger.settle_applied(request.id, places[0], UtcMs(2_100), LANDED, false)?;
        ledger.mark_unknown(request.id, places[1], "no answer for this row")
    });
    book.read(places[0], 12, 2_500);
    let before = (book.row(places[0]).expected, book.shadow(places[0]));
    // The whole request is repeated, and nobody hears of that either.
    book.write(|ledger| {
        ledger.mark_unknown(request.id, places[0], "time-out")?;
        ledger.mark_unknown(request.id, places[1], "time-out")
    });
    book.assert_sound();
    // The next repeat is answered; it says nothing new of the first row.
    for place in &places {
        book.write(|ledger| ledger.settle_applied(request.id, *place, UtcMs(4_000), LANDED, false));
    }
    book.write(|ledger| ledger.close_request(request.id, UtcMs(4_000)));
    assert_eq!((book.row(places[0]).expected, book.shadow(places[0])), before);
    book.read(places[0], 11, 5_000);
    assert_eq!(book.shadow(places[0]), 4, "its shadow is still that of the same landing");
    book.assert_sound();
}

#[test]
fn a_sale_of_another_channel_between_two_pushes_is_in_the_second() {
    let (book, places) = shops(&[("s1", "MUG", 20)]);
    for (id, at) in [("A", 2_000), ("B", 3_000)] {
        let request = book.prepare(&places, at);
        book.write(|ledger| {
            ledger.settle_applied(request.id, places[0], UtcMs(at), LANDED, false)?;
            ledger.close_request(request.id, UtcMs(at))
        });
        book.order("web", &one_line(id, at + 10, at + 10, "MUG", net(2, 0, 0, 0)));
    }
    let values: Vec<i64> =
        book.ledger.last_pushes(places[0], 2).unwrap().iter().map(|push| push.value.get()).collect();
    assert_eq!(values, [13, 15]);
    book.assert_sound();
}
