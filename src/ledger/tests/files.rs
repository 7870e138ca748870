//! Opening: locks, versions, damage.

use std::{fs, os::unix::fs::PermissionsExt};

use rusqlite::Connection;

use super::{Book, count, sku};
use crate::{
    domain::{CountBasis::OnHand, Operation, Units, UtcMs},
    ledger::{Ledger, LedgerError, Mailbox, Reader, SCHEMA_VERSION, writer_is_running},
};

#[test]
fn p6_a_second_writer_is_refused_while_readers_come_and_go() {
    let book = Book::new();
    assert!(matches!(Ledger::open(&book.path()), Err(LedgerError::Locked(_))));
    let reader = Reader::open(&book.path()).unwrap();
    book.count("MUG", 5, OnHand, 1);
    assert!(reader.knows("MUG").unwrap());
    assert!(writer_is_running(&book.path()));
    drop((reader, book.ledger));
    let path = book.folder.path().join("ledger.db");
    assert!(!writer_is_running(&path));
    assert!(Ledger::open(&path).is_ok(), "the lock goes with its owner");
}

#[test]
fn a_reader_sees_whole_transactions_only() {
    let book = Book::new();
    let reader = Reader::open(&book.path()).unwrap();
    let before = reader.data_version().unwrap();
    book.ledger.begin().unwrap();
    book.ledger.operate(UtcMs(1), &book.settings, &count("MUG", 5, OnHand, 1)).unwrap().unwrap();
    assert!(!reader.knows("MUG").unwrap());
    assert_eq!(reader.data_version().unwrap(), before);
    book.ledger.commit().unwrap();
    assert!(reader.knows("MUG").unwrap());
    assert_ne!(reader.data_version().unwrap(), before);
}

#[test]
fn p1_what_was_not_committed_never_happened() {
    let book = Book::new();
    book.count("MUG", 5, OnHand, 1);
    book.ledger.begin().unwrap();
    book.ledger.operate(UtcMs(2), &book.settings, &count("MUG", 9, OnHand, 2)).unwrap().unwrap();
    drop(book.ledger);
    let again = Ledger::open(&book.folder.path().join("ledger.db")).unwrap();
    assert_eq!(again.stock_of("MUG").unwrap()[0].on_hand.get(), 5);
}

#[test]
fn a_newer_schema_is_refused_for_writing_and_for_reading() {
    let Book { ledger, folder, .. } = Book::new();
    drop(ledger);
    let path = folder.path().join("ledger.db");
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    drop(conn);
    let message = Ledger::open(&path).unwrap_err().to_string();
    let newer = format!("schema version {}", SCHEMA_VERSION + 1);
    assert!(message.contains(&newer) && message.contains("newer stockd"), "{message}");
    assert!(matches!(Reader::open(&path), Err(LedgerError::TooNew { found, .. }) if found > SCHEMA_VERSION));
}

#[test]
fn a_ledger_of_an_older_program_is_read_once_the_daemon_has_brought_it_up_to_date() {
    let Book { ledger, folder, .. } = Book::new();
    drop(ledger);
    let path = folder.path().join("ledger.db");
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", SCHEMA_VERSION - 1).unwrap();
    let message = Reader::open(&path).unwrap_err().to_string();
    assert!(message.contains("start stockd once"), "{message}");
}

#[test]
fn a_new_file_gets_the_whole_schema_and_an_old_one_keeps_its_content() {
    let Book { ledger, folder, .. } = Book::new();
    let id = |ledger: &Ledger| -> String {
        ledger.one("SELECT value FROM meta WHERE key = 'ledger_id'", [], |r| r.get(0)).unwrap()
    };
    let first = id(&ledger);
    assert_eq!(ledger.one("PRAGMA user_version", [], |r| r.get::<_, i64>(0)).unwrap(), SCHEMA_VERSION);
    drop(ledger);
    assert_eq!(id(&Ledger::open(&folder.path().join("ledger.db")).unwrap()), first);
}

#[test]
fn a_ledger_of_the_first_schema_is_brought_up_to_date_and_keeps_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(include_str!("../schema/001.sql")).unwrap();
    conn.execute_batch("INSERT INTO stock VALUES ('MUG', 'main', 5, 1); PRAGMA user_version = 1;").unwrap();
    drop(conn);
    let ledger = Ledger::open(&path).unwrap();
    assert_eq!(ledger.available(&sku("MUG")).unwrap(), Units::of(4));
    assert_eq!(ledger.one("PRAGMA user_version", [], |r| r.get::<_, i64>(0)).unwrap(), SCHEMA_VERSION);
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE customer (id INTEGER)").unwrap();
    for message in
        [Ledger::open(&path).unwrap_err().to_string(), Reader::open(&path).unwrap_err().to_string()]
    {
        assert!(message.contains("not a ledger"), "{message}");
    }
}

#[test]
fn p5_a_damaged_file_is_refused_with_the_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    fs::write(&path, b"This is not a database, however long it may go on about it. ".repeat(100)).unwrap();
    for message in
        [Ledger::open(&path).unwrap_err().to_string(), Reader::open(&path).unwrap_err().to_string()]
    {
        assert!(message.contains("damaged") && message.contains("latest backup"), "{message}");
    }
}

#[test]
fn p3_a_folder_that_cannot_be_written_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let shut = folder.path().join("shut");
    fs::create_dir(&shut).unwrap();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(shut.join("probe"), "").is_ok() {
        // Root may write anywhere; a file in the way of the folder is refused to root too.
        let path = shut.join("probe").join("ledger.db");
        assert!(Ledger::open(&path).unwrap_err().to_string().contains("can't make its folder"));
        skipped("permissions don't bind root: the read-only folder itself was not tried");
        return;
    }
    let message = Ledger::open(&shut.join("ledger.db")).unwrap_err().to_string();
    assert!(message.contains("can't open") && message.contains("ermission denied"), "{message}");
}

#[allow(clippy::print_stderr)]
fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

#[test]
fn a_missing_ledger_can_be_neither_read_nor_asked() {
    let path = tempfile::tempdir().unwrap().path().join("ledger.db");
    assert!(matches!(Reader::open(&path), Err(LedgerError::Missing(_))));
    assert!(matches!(Mailbox::open(&path), Err(LedgerError::Missing(_))));
    assert!(!writer_is_running(&path) && !path.exists());
}

#[test]
fn what_is_left_in_the_mailbox_is_found_answered_or_withdrawn() {
    let book = Book::new();
    let mailbox = Mailbox::open(&book.path()).unwrap();
    let wish = count("MUG", 5, OnHand, 1);
    let (first, second) = (mailbox.ask(UtcMs(1), &wish).unwrap(), mailbox.ask(UtcMs(2), &wish).unwrap());
    let waiting: Vec<(i64, Operation)> =
        book.ledger.waiting().unwrap().into_iter().map(|(id, wish)| (id, wish.unwrap())).collect();
    assert_eq!(waiting, [(first, wish.clone()), (second, wish)]);
    book.write(|ledger| ledger.answer(first, UtcMs(3), &Err("no".into())));
    assert_eq!(mailbox.answer(first).unwrap(), Some(Err("no".into())));
    assert_eq!(mailbox.answer(second).unwrap(), None);
    assert!(mailbox.withdraw(second).unwrap());
    assert!(!mailbox.withdraw(first).unwrap(), "answered: too late to withdraw");
    assert!(book.ledger.waiting().unwrap().is_empty());
}
