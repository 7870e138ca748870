//! The head record: an older ledger put back is noticed (fault P12).

use std::{fs, path::PathBuf};

use rusqlite::Connection;

use super::Book;
use crate::{
    domain::{ChannelId, CountBasis::OnHand},
    ledger::{Ledger, LedgerError, Reader, Standing},
};

fn head(book: &Book) -> PathBuf {
    book.folder.path().join("ledger.db.head")
}

/// What a backup makes: the file as it is now.
fn copy_of(book: &Book) -> PathBuf {
    let copy = book.folder.path().join("copy.db");
    Connection::open(book.path()).unwrap().execute("VACUUM INTO ?1", [copy.to_str()]).unwrap();
    copy
}

/// Puts a copy in the place of the ledger and opens it.
fn put_back(book: Book, copy: PathBuf) -> (Book, Ledger) {
    let Book { ledger, settings, folder } = book;
    let path = settings.ledger.clone();
    drop(ledger);
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(folder.path().join(format!("ledger.db{end}")));
    }
    fs::rename(copy, &path).unwrap();
    let ledger = Ledger::open(&path).unwrap();
    let spare = folder.path().join("spare.db");
    (Book { ledger: Ledger::open(&spare).unwrap(), settings, folder }, ledger)
}

#[test]
fn p12_a_ledger_that_only_went_on_is_level_with_its_record() {
    let book = Book::new();
    assert_eq!(*book.ledger.found(), Standing::Level, "a new one has none yet");
    book.count("MUG", 5, OnHand, 1);
    assert_eq!(book.ledger.standing(&book.path()).unwrap(), Standing::Level);
    let noted = fs::read(head(&book)).unwrap();
    book.write(|ledger| ledger.scanned_again(&ChannelId::new("web"), crate::domain::UtcMs(2)));
    assert_eq!(fs::read(head(&book)).unwrap(), noted, "no stock moved, nothing was prepared");
    // A kill between the commit and the note.
    book.count("MUG", 7, OnHand, 2);
    let path = book.path();
    fs::write(head(&book), noted).unwrap();
    drop(book.ledger);
    assert_eq!(*Ledger::open(&path).unwrap().found(), Standing::Level);
}

#[test]
fn p12_an_older_file_is_noticed_remembered_and_gives_no_number_of_a_request_again() {
    let book = Book::new();
    book.count("MUG", 5, OnHand, 1);
    let place = book.scan("web", &[("1", "MUG", 7)], 1)[0];
    let copy = copy_of(&book);
    book.count("MUG", 4, OnHand, 2);
    let sent = book.prepare(&[place], 3);
    let (book, ledger) = put_back(book, copy);
    assert!(matches!(ledger.found(), Standing::Behind { .. }), "{:?}", ledger.found());
    let restored = ledger.restored().unwrap().unwrap();
    assert!(restored.detail.contains("come to 2 and 1"), "{restored:?}");
    assert!(ledger.verify(crate::ledger::Depth::Whole).unwrap().is_clean());
    drop(ledger);
    let ledger = Ledger::open(&book.settings.ledger).unwrap();
    assert_eq!(*ledger.found(), Standing::Level, "its record is that of the older one now");
    assert_eq!(ledger.restored().unwrap(), Some(restored), "but it is not forgotten");
    assert_eq!(ledger.last_request().unwrap(), sent.id);
    assert_eq!(ledger.place(place).unwrap().unwrap().expected, None, "what it shows has to be read");
    let book = Book { ledger, ..book };
    book.read(place, 4, 4);
    book.count("MUG", 3, OnHand, 5);
    let next = book.prepare(&[place], 6);
    assert!(next.id > sent.id && next.key != sent.key, "{next:?} after {sent:?}");
}

#[test]
fn p12_an_older_file_that_has_gone_on_by_itself_is_noticed_by_the_hash() {
    let book = Book::new();
    book.count("MUG", 5, OnHand, 1);
    let copy = copy_of(&book);
    book.count("MUG", 4, OnHand, 2);
    let noted = fs::read(head(&book)).unwrap();
    // A program that knows no record went on with the copy.
    let elsewhere = book.folder.path().join("elsewhere.db");
    fs::rename(&copy, &elsewhere).unwrap();
    let gone_on = Book { ledger: Ledger::open(&elsewhere).unwrap(), ..Book::new() };
    gone_on.count("MUG", 9, OnHand, 3);
    drop(gone_on);
    let copy = book.folder.path().join("copy.db");
    Connection::open(&elsewhere).unwrap().execute("VACUUM INTO ?1", [copy.to_str()]).unwrap();
    fs::write(head(&book), noted).unwrap();
    let (_book, ledger) = put_back(book, copy);
    let Standing::Behind { detail, .. } = ledger.found() else { panic!("{:?}", ledger.found()) };
    assert!(detail.contains("not the same ones"), "{detail}");
}

#[test]
fn p12_without_a_record_that_can_be_read_nobody_can_tell_and_it_is_written() {
    for content in [None, Some("stockd-head-1 half a rec"), Some("")] {
        let book = Book::new();
        book.count("MUG", 5, OnHand, 1);
        let (path, head) = (book.path(), head(&book));
        let Book { ledger, folder, .. } = book;
        drop(ledger);
        let noted = fs::read_to_string(&head).unwrap();
        match content {
            None => fs::remove_file(&head).unwrap(),
            Some(text) => fs::write(&head, text).unwrap(),
        }
        assert!(matches!(Ledger::open(&path).unwrap().found(), Standing::Unnoted(_)), "{content:?}");
        assert_eq!(fs::read_to_string(&head).unwrap(), noted);
        drop(folder);
    }
}

#[test]
fn p12_the_record_of_another_ledger_is_refused_for_writing_and_told_to_readers() {
    let (book, other) = (Book::new(), Book::new());
    book.count("MUG", 5, OnHand, 1);
    other.count("MUG", 5, OnHand, 1);
    fs::copy(head(&other), head(&book)).unwrap();
    let path = book.path();
    let reader = Reader::open(&path).unwrap();
    assert!(matches!(reader.standing(&path), Err(LedgerError::OtherHead { .. })));
    drop(book.ledger);
    let message = Ledger::open(&path).unwrap_err().to_string();
    assert!(message.contains("another ledger") && message.contains("ledger.db.head"), "{message}");
}
