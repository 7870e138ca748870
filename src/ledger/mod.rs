//! The ledger: SQLite and nothing else; the only module that knows SQL. It never sees HTTP.
//!
//! One program writes ([`Ledger`], kept single by a lock beside the file), any number read ([`Reader`]). Everything
//! between [`Ledger::begin`] and [`Ledger::commit`] happens or doesn't.

mod applying;
mod audit;
mod delays;
mod demand;
mod error;
mod expectation;
mod head;
mod listings;
mod mailbox;
mod movements;
mod operations;
mod orders;
mod outbox;
mod places;
mod quarantine;
mod read;
mod reread;
mod restored;
#[cfg(test)]
mod tests;
mod verify;

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs::{File, OpenOptions, TryLockError},
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{
    CachedStatement, Connection, OpenFlags, StatementStatus, TransactionBehavior,
    config::DbConfig,
    hooks::Action,
    trace::{TraceEvent, TraceEventCodes},
    types::ToSql,
};

pub use audit::OrderTotals;
pub use delays::DelayRow;
pub use demand::HeldBuffer;
pub use error::LedgerError;
pub use expectation::{Compared, Comparison, DueShadow, Span};
pub use head::Standing;
pub use listings::{ListingState, ScanEnd};
pub use mailbox::Mailbox;
pub use movements::{Movement, MovementKind};
pub use operations::{CountEffect, Incident, Outcome};
pub use orders::{Ingested, OrderRead, OwnSale};
pub use outbox::{NewPush, OpenRequest, PushState};
pub use places::{ComponentStock, PlaceId, PlaceRow};
pub use read::*;
pub use restored::{ReadAgain, Restored};
pub use verify::{Check, Depth, Invariant, Problem, VerifyReport};

use crate::kill_points::{Point, pass};

/// The schema this program writes.
pub const SCHEMA_VERSION: i64 = 2;
const SCHEMA: [&str; 2] = [include_str!("schema/001.sql"), include_str!("schema/002.sql")];
/// How long a statement waits for another program's lock before it fails (fault P4).
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

type Result<T, E = LedgerError> = std::result::Result<T, E>;

/// A read-only view; sees whole transactions only and never blocks the writer.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
    /// A transaction is to start with the next statement.
    wanted: Cell<bool>,
}

/// What a statement has cost since it was prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementCost {
    /// Its text.
    pub sql: String,
    /// Steps of SQLite's virtual machine, all runs together.
    pub vm_steps: i32,
    /// Steps forward in a full table scan, all runs together.
    pub full_scan_steps: i32,
}

/// Rows that have been changed, for those who keep what they say in memory.
#[derive(Debug, Default)]
pub struct Touched {
    /// Places.
    pub places: BTreeSet<PlaceId>,
    /// Whether a shadow was made, changed or ended.
    pub shadows: bool,
}

/// The one writer. Also reads, inside and outside its transactions.
#[derive(Debug)]
pub struct Ledger {
    reader: Reader,
    touched: Arc<Mutex<Touched>>,
    path: PathBuf,
    head: head::Head,
    found: Standing,
    _lock: File,
}

impl Deref for Ledger {
    type Target = Reader;
    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl Ledger {
    /// Opens the ledger for writing, makes it if it isn't there, brings its schema up to date.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] while another program writes it (fault P6), [`LedgerError::TooNew`] where a newer
    /// program made it, [`LedgerError::Unusable`] where the file can't be opened or isn't sound (faults P3, P5),
    /// [`LedgerError::OtherHead`] where the head record beside it is that of another ledger (fault P12).
    pub fn open(path: &Path) -> Result<Self> {
        let lock = lock_beside(path)?;
        let mut conn = Connection::open(path).map_err(|e| LedgerError::unusable(path, &e))?;
        prepare_connection(&conn).map_err(|e| LedgerError::unusable(path, &e))?;
        let journal: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if journal != "wal" {
            return Err(LedgerError::Unusable {
                path: path.to_owned(),
                detail: format!("write-ahead log refused, journal mode is {journal}"),
            });
        }
        conn.pragma_update(None, "synchronous", "FULL")?;
        migrate(&mut conn, path)?;
        let touched = watch_changes(&mut conn)?;
        let reader = Reader::on(conn);
        let found = reader.standing(path).map_err(|error| match error {
            LedgerError::Sqlite(error) => LedgerError::unusable(path, &error),
            other => other,
        })?;
        let head = head::Head::open(path)?;
        let ledger = Self { reader, touched, path: path.to_owned(), head, found, _lock: lock };
        ledger.take_up_head()?;
        Ok(ledger)
    }

    /// What has been changed since this was asked last, rolled back or not.
    pub fn take_touched(&self) -> Touched {
        std::mem::take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens a ledger that nobody needs once the program is gone: nothing waits for the disk, nobody else can
    /// read it, and a crash may leave it damaged.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_disposable(path: &Path) -> Result<Self> {
        let mut ledger = Self::open(path)?;
        ledger.head.wanted = false;
        let conn = &ledger.conn;
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        conn.query_row("PRAGMA journal_mode = MEMORY", [], |row| row.get::<_, String>(0))?;
        conn.pragma_update(None, "synchronous", "OFF")?;
        conn.pragma_update(None, "cache_size", -65_536)?;
        Ok(ledger)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has every statement reported when it ends, to see what work a change costs.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn watch_statements(&mut self, watch: impl Fn(&StatementCost) + Send + 'static) -> Result<()> {
        let report = move |event: TraceEvent<'_>| {
            if let TraceEvent::Profile(statement, _) = event {
                watch(&StatementCost {
                    sql: statement.sql().into_owned(),
                    vm_steps: statement.get_status(StatementStatus::VmStep),
                    full_scan_steps: statement.get_status(StatementStatus::FullscanStep),
                });
            }
        };
        Ok(self.reader.conn.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(report))?)
    }

    /// Starts a transaction.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`], for instance while another program holds the file for longer than ten seconds.
    pub fn begin(&self) -> Result<()> {
        Ok(self.conn.execute_batch("BEGIN IMMEDIATE")?)
    }

    /// Has a transaction start with the next statement, which fails where [`Ledger::begin`] would: without one,
    /// [`Ledger::commit`] has nothing to do and costs nothing.
    pub fn begin_when_needed(&self) {
        self.wanted.set(true);
    }

    /// Ends the transaction; when this returns, what it wrote is on disk, and so is how far the ledger has come.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`], for instance on a full disk (fault P2): roll back.
    pub fn commit(&self) -> Result<()> {
        if self.wanted.take() {
            return Ok(());
        }
        pass(Point::CommitBefore);
        self.conn.execute_batch("COMMIT")?;
        pass(Point::CommitAfter);
        self.note_head()
    }

    /// Undoes the transaction, if one is open.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn rollback(&self) -> Result<()> {
        self.wanted.set(false);
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }
}

impl Reader {
    /// Opens an existing ledger for reading.
    ///
    /// # Errors
    /// [`LedgerError::Missing`] where there is none, [`LedgerError::TooNew`], [`LedgerError::Unusable`].
    pub fn open(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(LedgerError::Missing(path.to_owned()));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(|e| LedgerError::unusable(path, &e))?;
        prepare_connection(&conn).map_err(|e| LedgerError::unusable(path, &e))?;
        match check_version(&conn, path)? {
            0 => Err(not_a_ledger(path)),
            SCHEMA_VERSION => Ok(Self::on(conn)),
            older => Err(LedgerError::Unusable {
                path: path.to_owned(),
                detail: format!(
                    "it is of schema version {older}, this program reads {SCHEMA_VERSION}: start stockd once, it brings it up \
                     to date"
                ),
            }),
        }
    }

    const fn on(conn: Connection) -> Self {
        Self { conn, wanted: Cell::new(false) }
    }

    /// A statement, in the transaction that waits for one.
    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        if self.wanted.get() {
            self.conn.execute_batch("BEGIN IMMEDIATE")?;
            self.wanted.set(false);
        }
        Ok(self.conn.prepare_cached(sql)?)
    }

    /// A number that changes whenever another connection has committed; costs no disk access worth naming.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn data_version(&self) -> Result<i64> {
        self.one("PRAGMA data_version", [], |row| row.get(0))
    }

    fn run(&self, sql: &str, params: &[&dyn ToSql]) -> Result<usize> {
        Ok(self.prepare(sql)?.execute(params)?)
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        map: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        Ok(self.prepare(sql)?.query_row(params, map)?)
    }

    fn maybe<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        map: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        use rusqlite::OptionalExtension;
        Ok(self.prepare(sql)?.query_row(params, map).optional()?)
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        map: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.prepare(sql)?;
        let rows = statement.query_map(params, map)?;
        Ok(rows.collect::<rusqlite::Result<Vec<T>>>()?)
    }
}

/// How often and how far apart the lock is tried for: others hold it for a moment to see whether it is taken.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

fn lock_path(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

/// Takes the lock that keeps a second writer out. It goes with the process, however that ends.
fn lock_beside(path: &Path) -> Result<File> {
    let lock_path = lock_path(path);
    let unusable = |detail: String| LedgerError::Unusable { path: path.to_owned(), detail };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| unusable(format!("can't make its folder: {e}")))?;
    }
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|e| unusable(format!("can't open {}: {e}", lock_path.display())))?;
    for attempt in 1.. {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if attempt < LOCK_TRIES => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(LedgerError::Locked(path.to_owned())),
            Err(TryLockError::Error(e)) => return Err(unusable(format!("can't lock it: {e}"))),
        }
    }
    Ok(lock)
}

/// Whether a program has the ledger open for writing right now.
pub fn writer_is_running(path: &Path) -> bool {
    File::open(lock_path(path))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn prepare_connection(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(128);
    // Else plans depend on the values bound, and SQLite parses most statements anew for each execution.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "cache_size", -16_384)
}

/// Notes what is changed by whatever statement.
fn watch_changes(conn: &mut Connection) -> Result<Arc<Mutex<Touched>>> {
    let touched: Arc<Mutex<Touched>> = Arc::default();
    let noted = Arc::clone(&touched);
    conn.update_hook(Some(move |_: Action, _: &str, table: &str, row: i64| {
        let mut touched = noted.lock().unwrap_or_else(PoisonError::into_inner);
        match table {
            "listing_stock" => drop(touched.places.insert(PlaceId(row))),
            "shadow" => touched.shadows = true,
            _ => {}
        }
    }))?;
    Ok(touched)
}

fn check_version(conn: &Connection, path: &Path) -> Result<i64> {
    let version: i64 = conn
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|e| LedgerError::unusable(path, &e))?;
    if version > SCHEMA_VERSION {
        return Err(LedgerError::TooNew { path: path.to_owned(), found: version });
    }
    Ok(version)
}

fn not_a_ledger(path: &Path) -> LedgerError {
    LedgerError::Unusable {
        path: path.to_owned(),
        detail: "it is not a ledger of stockd; name another file".into(),
    }
}

fn migrate(conn: &mut Connection, path: &Path) -> Result<()> {
    let version = check_version(conn, path)?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if version == 0 && tables > 0 {
        return Err(not_a_ledger(path));
    }
    for (step, sql) in SCHEMA.iter().enumerate() {
        let target = i64::try_from(step + 1).unwrap_or(i64::MAX);
        if target > version {
            let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "user_version", target)?;
            transaction.commit()?;
        }
    }
    Ok(())
}
