//! P12: an older ledger put back.

use std::{fs, path::Path};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::street::{SHOPS, Street, text};

/// A copy as a backup makes it, beside a daemon at work.
fn back_up(ledger: &Path, copy: &Path) {
    let conn = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    conn.backup("main", copy, None::<fn(rusqlite::backup::Progress)>).unwrap();
}

fn put_back(street: &Street, copy: &Path) {
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(street.path(&format!("ledger.db{end}")));
    }
    fs::copy(copy, street.path("ledger.db")).unwrap();
}

fn requests(street: &Street) -> Vec<i64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = Connection::open_with_flags(street.path("ledger.db"), flags).unwrap();
    let mut statement = conn.prepare("SELECT id FROM request ORDER BY id").unwrap();
    let ids = statement.query_map([], |row| row.get(0)).unwrap();
    ids.collect::<Result<_, _>>().unwrap()
}

fn needs(street: &Street, what: &str) -> bool {
    let status = street.json(&["status"]);
    status["attention"].as_array().unwrap().iter().any(|it| text(it).contains(what))
}

fn excuse(street: &Street, excused: bool) {
    street.act(&json!({"do": "excuse", "excused": excused}));
}

#[test]
fn p12_an_older_ledger_put_back_raises_nothing_before_every_channel_has_been_read_again() {
    let street = Street::with(&["--latency", "20", "--order-delay", "3000"]);
    let daemon = street.daemon_at_work();
    let [opening, ..] = street.shown("SKU-0001");
    street.order("north", &[("SKU-0001", 1)]);
    let given_up = street.order("north", &[("SKU-0002", 2)]);
    street.comes_right();
    let copy = street.path("copy.db");
    back_up(&street.path("ledger.db"), &copy);
    let known = requests(&street).len();

    // What is sold from here on the copy knows nothing of.
    for (shop, other) in [(0, 1), (1, 2), (2, 0)].map(|(a, b)| (SHOPS[a], SHOPS[b])) {
        street.order(shop, &[("SKU-0001", 2), ("BUNDLE-SIX-PACK", 1)]);
        street.order(other, &[("SKU-0004", 3)]);
    }
    street.comes_right();
    let last = *requests(&street).last().unwrap();
    assert_eq!(daemon.stop().code(), Some(0));
    excuse(&street, true);
    put_back(&street, &copy);
    street.order("site", &[("SKU-0001", 1)]);
    assert!(needs(&street, "older one put back"));
    let checked = street.json(&["check"]);
    assert!(text(&checked["warnings"][0]).contains("older one put back"), "{checked}");

    excuse(&street, false);
    let daemon = street.daemon_at_work();
    assert_eq!(street.logged("ledger.restored").len(), 1);
    // A decrease goes on, a raise waits.
    street.act(&json!({"do": "cancel", "shop": "north", "order": given_up}));
    let before = street.shown("SKU-0002");
    street.wait("what was sold meanwhile is lowered", || street.shown("SKU-0001") == [opening - 8; 3]);
    assert!(needs(&street, "nothing is raised"), "{}", street.json(&["status"]));
    assert_eq!(street.logged("ledger.caught_up"), Vec::<Value>::new());
    // Another start does not forget it.
    daemon.kill();
    let _daemon = street.daemon_at_work();
    assert_eq!(street.logged("ledger.restored").len(), 2);
    // The cancel is readable long before all has been read again, and does not raise what the other shops show.
    street.wait("all has been read again", || {
        let shown = street.shown("SKU-0002");
        let done = !street.logged("ledger.caught_up").is_empty();
        assert!(done || shown[1..] == before[1..], "{before:?} has become {shown:?}");
        done
    });
    street.converges();
    assert_eq!(street.json(&["status"])["restored"], Value::Null);
    let new = requests(&street).split_off(known);
    assert!(!new.is_empty() && new.iter().all(|id| *id > last), "{new:?} after {last}");
}

#[test]
fn p12_a_ledger_beside_the_head_record_of_another_is_refused_with_the_next_step() {
    let street = Street::open();
    street.daemon_at_work().kill();
    fs::rename(street.path("ledger.db"), street.path("other.db")).unwrap();
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(street.path(&format!("ledger.db{end}")));
    }
    let refused = street.run(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("another ledger") && said.contains("remove"), "{said}");
}
