//! Verification: a ledger built through the public interface is sound, and planted damage is named.

use std::fs;

use rusqlite::Connection;

use super::{Book, line, net, one_line, order};
use crate::{
    domain::{CountBasis::OnHand, UtcMs},
    ledger::{
        Depth,
        Invariant::{self, AppendOnly, Balances, ExactlyOnce, Justified, Ordered, RestockBound, Sound},
        Ledger, PushState, Reader, Span, VerifyReport,
    },
};

const DAY: i64 = 86_400_000;

/// Counts, orders of every kind, and pushes in every state; a checkpoint in the middle.
fn lived_in() -> Book {
    let book = Book::new();
    book.count("MUG", 20, OnHand, 1);
    book.count("TEA", 20, OnHand, 1);
    let web = book.scan("web", &[("w1", "MUG", 18), ("w2", "SET", 9)], 100);
    let site = book.scan("site", &[("s1", "MUG", 20), ("s2", "TEA", 20), ("s3", "SET", 8)], 100);
    book.order("web", &one_line("A", 1_000, 1_000, "MUG", net(3, 0, 0, 0)));
    book.order("web", &one_line("A", 1_000, 1_100, "MUG", net(3, 1, 2, 1)));
    book.order("site", &order("B", 1_000, 1_000, vec![line("1", "SET", net(2, 0, 0, 0))]));
    book.order("site", &one_line("Q", 1_000, 1_000, "UNKNOWN", net(2, 0, 0, 0)));
    let sent = book.prepare(&web, 2_000);
    let landed = Span { from: UtcMs(2_000), to: UtcMs(2_050) };
    book.write(|ledger| {
        ledger.settle_applied(sent.id, web[0], UtcMs(2_050), landed, true)?;
        ledger.settle_without_effect(sent.id, web[1], PushState::Conflict, "showed 8")?;
        ledger.close_request(sent.id, UtcMs(2_050))
    });
    assert!(book.write(|ledger| ledger.checkpoint(UtcMs(3_000))));
    book.order("site", &one_line("C", DAY, DAY, "TEA", net(4, 0, 4, 0)));
    let unknown = book.prepare(&site[..2], DAY + 1_000);
    book.write(|ledger| ledger.mark_unknown(unknown.id, site[0], "time-out"));
    book.prepare(&site[2..], DAY + 2_000);
    book
}

fn damage(book: &Book, sql: &str) {
    let conn = &book.ledger.conn;
    let triggers: Vec<String> = book
        .ledger
        .all("SELECT sql FROM sqlite_schema WHERE type = 'trigger'", [], |row| row.get(0))
        .unwrap();
    let dropped = "DROP TRIGGER movement_is_never_updated; DROP TRIGGER movement_is_never_deleted;";
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(&format!("{dropped} {sql}; {}", triggers.join(";"))).unwrap();
}

fn names(report: &VerifyReport, invariant: Invariant, subject: &str, detail: &str) -> bool {
    report.problems.iter().any(|problem| {
        problem.invariant == invariant && problem.subject.contains(subject) && problem.detail.contains(detail)
    })
}

#[test]
fn a_ledger_that_has_lived_is_sound_at_every_depth() {
    let book = lived_in();
    book.assert_sound();
    let report = book.ledger.verify(Depth::SinceCheckpoint).unwrap();
    assert!(report.is_clean(), "{:#?}", report.problems);
    let checked = |report: &VerifyReport, invariant| {
        report.checks.iter().find(|check| check.invariant == invariant).unwrap().checked
    };
    let whole = book.verify();
    assert_eq!((checked(&whole, Invariant::AppendOnly), checked(&report, Invariant::AppendOnly)), (10, 2));
    assert_eq!((checked(&whole, Invariant::Justified), checked(&report, Invariant::Justified)), (5, 5));
    // A reader beside the writer, and the writer inside a transaction, see the same.
    assert!(Reader::open(&book.path()).unwrap().verify(Depth::Whole).unwrap().is_clean());
    book.ledger.begin().unwrap();
    book.assert_sound();
    book.ledger.rollback().unwrap();
}

/// Damage, the invariant it breaks, and what the problem's subject and detail must say.
const PLANTED: &[(&str, Invariant, &str, &str)] = &[
    ("UPDATE movement SET on_hand_delta = 21 WHERE id = 1", AppendOnly, "movement 1 of SKU MUG", "hash"),
    ("UPDATE movement SET reason = 'x' WHERE id = 2", AppendOnly, "movement 2 of SKU TEA", "hash"),
    ("UPDATE movement SET effective_at = 0 WHERE id = 9", AppendOnly, "movement 9 of SKU TEA", "hash"),
    ("DELETE FROM movement WHERE id = 4", AppendOnly, "movements 4 to 4", "missing"),
    ("DELETE FROM movement WHERE id = 10", Balances, "SKU TEA at main", "on hand 20"),
    ("DELETE FROM movement WHERE id = 10", ExactlyOnce, "site order id C", "have applied -4 and 0"),
    (
        "UPDATE movement SET id = -id WHERE id IN (4, 5); UPDATE movement SET id = 9 + id WHERE id < 0",
        AppendOnly,
        "movement",
        "hash",
    ),
    ("UPDATE checkpoint SET chain_hash = zeroblob(32)", AppendOnly, "checkpoint at movement 8", "history"),
    ("UPDATE checkpoint SET balances_hash = zeroblob(32)", Balances, "checkpoint at movement 8", "stock"),
    ("UPDATE checkpoint SET movement = 99", AppendOnly, "checkpoint at movement 99", "isn't there"),
    ("UPDATE stock SET on_hand = on_hand + 1 WHERE sku = 'MUG'", Balances, "SKU MUG at main", "on hand 20"),
    ("UPDATE stock SET committed = 0 WHERE sku = 'TEA'", Balances, "SKU TEA at main", "committed 0"),
    ("DELETE FROM stock WHERE sku = 'TEA'", Balances, "SKU TEA at main", "on hand 0"),
    ("INSERT INTO stock VALUES ('NEW', 'main', 5, 0)", Balances, "SKU NEW at main", "add up to on hand 0"),
    (
        "UPDATE order_line SET shipped = 1, restocked = 0 WHERE order_id = 'A'",
        ExactlyOnce,
        "web order #A line 1",
        "latest snapshot",
    ),
    (
        "UPDATE order_line_part SET applied_committed = 9 WHERE sku = 'TEA' AND applied_committed = 2",
        ExactlyOnce,
        "site order #B line 1",
        "9 to committed of SKU TEA",
    ),
    ("UPDATE order_line_part SET units = 3 WHERE sku = 'MUG' AND units = 2", ExactlyOnce, "#B", "makes that"),
    (
        "UPDATE order_line_part SET base_on_hand = 1, applied_on_hand = applied_on_hand + 1 WHERE sku = 'TEA'",
        ExactlyOnce,
        "site order id B, SKU TEA at main",
        "movements add up",
    ),
    ("UPDATE order_line SET state = 'dropped' WHERE order_id = 'A'", ExactlyOnce, "#A", "yet it has applied"),
    ("UPDATE order_line SET state = 'applied' WHERE order_id = 'Q'", ExactlyOnce, "#Q", "nothing says"),
    (
        "DELETE FROM order_line_part WHERE sku = 'TEA' AND units = 1",
        ExactlyOnce,
        "SKU TEA at main",
        "0 and 0",
    ),
    ("UPDATE order_line SET restocked = 3 WHERE order_id = 'A'", RestockBound, "web order #A", "restocked 3"),
    ("UPDATE order_line SET largest = 1 WHERE order_id = 'A'", RestockBound, "web order #A", "at most 1"),
    ("UPDATE order_line SET cancelled = -1 WHERE order_id = 'Q'", RestockBound, "#Q", "cancelled -1"),
    ("UPDATE push SET value = value + 1 WHERE id = 1", Justified, "push 1 (version 1 of web w1)", "it sent"),
    ("UPDATE push SET ledger_seq = 2 WHERE id = 1", Justified, "push 1", "at ledger position 2 they were 20"),
    ("UPDATE push SET ledger_seq = 99 WHERE id = 5", Justified, "push 5", "99, which isn't there"),
    ("UPDATE push SET ledger_seq = 8 WHERE id = 5", Justified, "push 5", "behind 10"),
    ("UPDATE push SET inputs = '{}' WHERE id = 3", Justified, "push 3", "can't be read"),
    (
        "UPDATE push SET inputs = replace(inputs, '\"pause\":null', '\"pause\":\"hold\"') WHERE id = 3",
        Justified,
        "push 3",
        "a pause held the place",
    ),
    (
        "UPDATE push SET inputs = json_set(inputs, '$.calculation.policy.cap', 2) WHERE id = 3",
        Justified,
        "push 3",
        "policy gives 2",
    ),
    (
        "UPDATE push SET inputs = json_set(inputs, '$.components[0].shadow', -5) WHERE id = 3",
        Justified,
        "push 3",
        "would raise it",
    ),
    (
        "UPDATE push SET inputs = json_set(inputs, '$.locations', json('[\"loft\"]')) WHERE id = 3",
        Justified,
        "push 3",
        "they were 0 and 0",
    ),
    ("UPDATE push SET version = 7 WHERE id = 5", Ordered, "place site s3", "that of its last push 7"),
    ("UPDATE listing_stock SET version = 0 WHERE id = 1", Ordered, "place web w1", "its last version is 0"),
    (
        "INSERT INTO push SELECT 50, place, 2, value, change_from, 1, ledger_seq, inputs, 'applied', NULL FROM push \
         WHERE id = 5; UPDATE listing_stock SET version = 2 WHERE id = 5",
        Ordered,
        "place site s3",
        "not recorded after",
    ),
    (
        "UPDATE listing_stock SET request = NULL WHERE id = 3",
        Ordered,
        "place site s1",
        "nothing waits for it",
    ),
    ("UPDATE listing_stock SET request = 1 WHERE id = 1", Ordered, "place web w1", "waits for request 1"),
    ("UPDATE push SET state = 'applied' WHERE id = 5", Ordered, "request 3", "all of its pushes are settled"),
    ("UPDATE push SET state = 'unknown' WHERE id = 2", Ordered, "request 1", "1 of its pushes are not"),
    ("UPDATE request SET state = 'settled' WHERE id = 2", Ordered, "request 2", "settling time"),
    (
        "UPDATE request SET body = replace(body, '\"value\":', '\"value\":1') WHERE id = 1",
        Ordered,
        "request 1",
        "sets",
    ),
    ("UPDATE request SET body = '[]' WHERE id = 1", Ordered, "request 1", "0 rows, but 2 pushes"),
    ("UPDATE request SET body = 'x' WHERE id = 1", Ordered, "request 1", "can't be read"),
    ("DELETE FROM order_head WHERE order_id = 'C'", Sound, "order_line", "refers to a order_head"),
    ("DELETE FROM request WHERE id = 1", Sound, "push", "refers to a request"),
];

#[test]
fn planted_damage_of_each_kind_is_named() {
    for (sql, invariant, subject, detail) in PLANTED {
        let book = lived_in();
        damage(&book, sql);
        let report = book.verify();
        assert!(
            names(&report, *invariant, subject, detail),
            "{sql}\nshould break {invariant:?} of {subject} ({detail}); found {:#?}",
            report.problems
        );
    }
}

#[test]
fn missing_triggers_are_named() {
    let book = lived_in();
    book.ledger.conn.execute_batch("DROP TRIGGER movement_is_never_deleted").unwrap();
    assert!(names(&book.verify(), Invariant::AppendOnly, "movement", "movement_is_never_deleted is gone"));
}

#[test]
fn movements_can_be_neither_changed_nor_deleted() {
    let book = lived_in();
    for sql in ["UPDATE movement SET reason = 'x' WHERE id = 1", "DELETE FROM movement WHERE id = 1"] {
        let refused = book.ledger.conn.execute_batch(sql).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
}

#[test]
fn from_a_checkpoint_on_later_damage_is_found_and_earlier_balances_must_lead_back_to_it() {
    let later = [
        ("UPDATE movement SET on_hand_delta = -3 WHERE id = 10", Invariant::AppendOnly, "movement 10"),
        ("UPDATE stock SET on_hand = 0 WHERE sku = 'TEA'", Invariant::Balances, "checkpoint at movement 8"),
        (
            "UPDATE movement SET hash = zeroblob(32) WHERE id = 8",
            Invariant::AppendOnly,
            "checkpoint at movement 8",
        ),
        ("UPDATE push SET value = 99 WHERE id = 4", Invariant::Justified, "push 4"),
        ("UPDATE order_line SET restocked = 9 WHERE order_id = 'A'", Invariant::RestockBound, "#A"),
    ];
    for (sql, invariant, subject) in later {
        let book = lived_in();
        damage(&book, sql);
        let report = book.ledger.verify(Depth::SinceCheckpoint).unwrap();
        assert!(names(&report, invariant, subject, ""), "{sql}: {:#?}", report.problems);
    }
    let book = lived_in();
    damage(&book, "UPDATE movement SET reason = 'x' WHERE id = 2");
    assert!(
        book.ledger.verify(Depth::SinceCheckpoint).unwrap().is_clean(),
        "that is what the checkpoint is for"
    );
    assert!(!book.verify().is_clean());
}

#[test]
fn there_is_one_checkpoint_a_day_and_none_where_nothing_moved() {
    let book = Book::new();
    let checkpoint = |at| book.write(|ledger| ledger.checkpoint(UtcMs(at)));
    assert!(!checkpoint(DAY), "nothing has ever moved");
    book.count("MUG", 20, OnHand, 1);
    assert!(checkpoint(DAY));
    book.count("MUG", 21, OnHand, 2);
    assert!(!checkpoint(DAY + 1), "the same day");
    assert!(checkpoint(2 * DAY));
    assert!(!checkpoint(3 * DAY), "nothing moved since");
    book.assert_sound();
}

#[test]
fn a_wrecked_ledger_is_told_in_full_numbers_but_bounded_words() {
    let book = Book::new();
    book.ledger.begin().unwrap();
    for n in 0..300 {
        book.count(&format!("SKU-{n}"), 1, OnHand, 1);
    }
    book.ledger.commit().unwrap();
    damage(&book, "UPDATE stock SET on_hand = 7");
    let report = book.verify();
    assert_eq!((report.problem_count, report.problems.len()), (300, VerifyReport::MOST_PROBLEMS));
}

#[test]
fn p5_damaged_pages_are_named_and_nothing_else_is_believed() {
    let Book { ledger, folder, .. } = lived_in();
    drop(ledger);
    let path = folder.path().join("ledger.db");
    // Without a write-ahead log the whole content is in the file.
    Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let movements = bytes.windows(10).position(|window| window == b"stock-take").unwrap();
    let page = movements / 4_096 * 4_096;
    bytes[page..page + 4_096].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let refused = Ledger::open(&path).unwrap_err().to_string();
    assert!(refused.contains("latest backup") && refused.contains(".head"), "{refused}");
    let report = Reader::open(&path).unwrap().verify(Depth::Whole).unwrap();
    assert!(!report.is_clean());
    assert!(
        report.problems.iter().all(|problem| problem.invariant == Invariant::Sound),
        "{:#?}",
        report.problems
    );
}
