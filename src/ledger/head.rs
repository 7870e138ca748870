//! The head record: a small file beside the ledger that tells how far the ledger has come, on disk before anything
//! that rests on it leaves. A ledger behind its head is an older one put back, or one that has lost its write-ahead log
//! (fault P12).

use std::{
    cell::Cell,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Ledger, LedgerError, Reader, Result, movements::CHAIN_START};
use crate::kill_points::{Point, pass};

const FORMAT: &str = "stockd-head-1";
/// The largest file that can be a head record, in bytes.
const MOST_BYTES: u64 = 1_024;

/// How far a ledger has come: its last request and its last movement with the hash of the chain up to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    ledger: String,
    request: i64,
    movement: i64,
    hash: [u8; 32],
}

/// How a ledger compares with its head record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is where the record says, or further.
    Level,
    /// There is no record, or none that can be read: nobody can tell. The text says which.
    Unnoted(String),
    /// It is an older ledger than the one that the record tells of.
    Behind {
        /// The last request that the record tells of.
        request: i64,
        /// How far it is behind.
        detail: String,
    },
}

/// The file, open for as long as the ledger is.
#[derive(Debug)]
pub(super) struct Head {
    file: File,
    path: PathBuf,
    /// Whether stock has moved or a request was prepared since it was last written.
    pub(super) due: Cell<bool>,
    /// Whether anybody will ever ask; for a ledger that is thrown away nothing is written.
    pub(super) wanted: bool,
}

/// Where a ledger's head record lies.
fn head_path(ledger: &Path) -> PathBuf {
    let mut path = ledger.as_os_str().to_owned();
    path.push(".head");
    path.into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Record {
    /// Always as long, so that it is overwritten in place.
    fn text(&self) -> String {
        let Self { ledger, request, movement, hash } = self;
        let fields = format!("{FORMAT} {ledger} {request:020} {movement:020} {}", hex(hash));
        let sum = hex(&Sha256::digest(&fields));
        format!("{fields} {sum}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_whitespace().skip(1);
        let ledger = fields.next()?.to_owned();
        let (request, movement) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let digits = fields.next()?;
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        let record = Self { ledger, request, movement, hash };
        // What was half written, or by hand, has another sum.
        (record.text() == text).then_some(record)
    }

    /// The record beside a ledger; `Err` says why there is none to go by.
    fn read(path: &Path) -> Result<std::result::Result<Self, String>> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err(format!("there is no {}", path.display())));
            }
            Ok(found) if found.len() > MOST_BYTES => {
                return Ok(Err(format!("{} is no head record", path.display())));
            }
            _ => {}
        }
        let bytes = fs::read(path).map_err(|e| head_error(path, &e))?;
        let record = std::str::from_utf8(&bytes).ok().and_then(Self::parse);
        Ok(record.ok_or_else(|| format!("{} can't be read as a head record", path.display())))
    }
}

fn head_error(path: &Path, error: &io::Error) -> LedgerError {
    LedgerError::Head { path: path.to_owned(), detail: error.to_string() }
}

impl Head {
    pub(super) fn open(ledger: &Path) -> Result<Self> {
        let path = head_path(ledger);
        let open = || {
            let new = !path.exists();
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            if new {
                // Else the file could be gone after a power cut though its content was on disk.
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            }
            Ok(file)
        };
        let file = open().map_err(|error| head_error(&path, &error))?;
        Ok(Self { file, path, due: Cell::new(false), wanted: true })
    }

    fn write(&self, record: &Record) -> Result<()> {
        let text = record.text();
        let written = self.file.write_all_at(text.as_bytes(), 0);
        let cut = written.and_then(|()| {
            let length = text.len() as u64;
            // Something else may have lain there.
            if self.file.metadata()?.len() == length { Ok(()) } else { self.file.set_len(length) }
        });
        cut.and_then(|()| self.file.sync_data()).map_err(|error| head_error(&self.path, &error))?;
        pass(Point::HeadAfter);
        Ok(())
    }
}

impl Ledger {
    /// Notes how far the ledger has come, if it has come further.
    pub(super) fn note_head(&self) -> Result<()> {
        if self.head.wanted && self.head.due.get() {
            self.head.write(&self.record()?)?;
            self.head.due.set(false);
        }
        Ok(())
    }

    /// Compares the ledger with its record at the start, and goes on from there. One that is behind forgets what it
    /// believes its places to show and holds whatever raises ([`Reader::restored`]).
    pub(super) fn take_up_head(&self) -> Result<()> {
        if let Standing::Behind { request, detail } = &self.found {
            // Left open by an error it is undone with the connection.
            self.begin()?;
            self.forget_what_is_shown(*request, detail)?;
            self.commit()?;
        }
        self.head.write(&self.record()?)
    }

    /// How the ledger compared with its head record when it was opened.
    pub const fn found(&self) -> &Standing {
        &self.found
    }

    fn forget_what_is_shown(&self, request: i64, detail: &str) -> Result<()> {
        // Keys are made from the numbers of requests, and what these had in them is not known any more.
        self.run(
            "INSERT OR REPLACE INTO meta (key, value) VALUES ('request_floor', ?1)",
            &[&request.to_string()],
        )?;
        for sql in [
            "UPDATE push SET state = 'rejected', detail = 'outcome unknown; an older ledger was put back' \
             WHERE state IN ('prepared', 'unknown')",
            "UPDATE request SET state = 'settled', settled_at = unixepoch() * 1000 WHERE state <> 'settled'",
            "UPDATE listing_stock SET expected = NULL, expected_at = NULL, slack = 0, unplaced = 0, undecided = 0, \
             observed = NULL, observed_at = NULL, observed_to = NULL, landed_from = 0, landed_to = 0, request = NULL, \
             flight_sold = 0, flight_back = 0, needs_read = 0, explained = 0",
            "DELETE FROM shadow",
            "DELETE FROM restored_channel",
        ] {
            self.run(sql, &[])?;
        }
        self.run(
            "INSERT OR REPLACE INTO restored (id, at, detail) VALUES (1, unixepoch() * 1000, ?1)",
            &[&detail],
        )?;
        self.run(
            "INSERT INTO incident (at, kind, detail) VALUES (unixepoch() * 1000, 'ledger.restored', ?1)",
            &[&detail],
        )?;
        Ok(())
    }
}

impl Reader {
    /// The number that the next request has to be above.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn last_request(&self) -> Result<i64> {
        self.one(
            "SELECT max(coalesce((SELECT max(id) FROM request), 0), \
             coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'request_floor'), 0))",
            [],
            |row| row.get(0),
        )
    }

    /// How the ledger at `path`, open as this one, compares with its head record.
    ///
    /// # Errors
    /// [`LedgerError::OtherHead`] where the record is that of another ledger, [`LedgerError::Head`] where it can't be
    /// read, [`LedgerError::Sqlite`].
    pub fn standing(&self, path: &Path) -> Result<Standing> {
        let head = head_path(path);
        // The record first: a daemon at work commits before it notes.
        let noted = Record::read(&head)?;
        let (movement, request) = (self.last_movement()?, self.last_request()?);
        let noted = match noted {
            Ok(noted) => noted,
            // A new ledger has none yet.
            Err(_) if (movement, request) == (0, 0) => return Ok(Standing::Level),
            Err(why) => return Ok(Standing::Unnoted(why)),
        };
        if noted.ledger != self.ledger_id()? {
            return Err(LedgerError::OtherHead { path: path.to_owned(), head });
        }
        let hash: Option<[u8; 32]> = if noted.movement == 0 {
            Some(CHAIN_START)
        } else {
            self.maybe("SELECT hash FROM movement WHERE id = ?1", [noted.movement], |row| row.get(0))?
        };
        if hash == Some(noted.hash) && request >= noted.request {
            return Ok(Standing::Level);
        }
        let other = if hash.is_some_and(|hash| hash != noted.hash) { ", not the same ones" } else { "" };
        let detail = format!(
            "it holds {movement} movements and {request} requests, but had come to {} and {}{other}",
            noted.movement, noted.request
        );
        Ok(Standing::Behind { request: noted.request, detail })
    }

    pub(super) fn ledger_id(&self) -> Result<String> {
        self.one("SELECT value FROM meta WHERE key = 'ledger_id'", [], |row| row.get(0))
    }

    fn record(&self) -> Result<Record> {
        let (movement, hash) = self.chain_head()?;
        Ok(Record { ledger: self.ledger_id()?, request: self.last_request()?, movement, hash })
    }
}
