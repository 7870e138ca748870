//! Does the ledger still say what was written into it? The invariants of CORRECTNESS.md section 4 that a file can show.
//!
//! Everything streams: memory grows with the number of SKUs, not with that of movements, orders or pushes.

mod balances;
mod checkpoint;
mod orders;
mod pushes;
mod replay;

use rusqlite::ErrorCode;
use serde::Serialize;

use super::{LedgerError, Reader, Result};

/// How much of the ledger is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// All of it, from the first movement on.
    Whole,
    /// What was written since the last checkpoint, and that the balances still lead back to it. Without a checkpoint
    /// all of it.
    SinceCheckpoint,
}

/// What must hold, by the names of CORRECTNESS.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Invariant {
    /// The file itself is sound: pages, indexes, references between rows.
    Sound,
    /// The hash chain over the movements verifies, no movement is missing, and nothing lets one be changed.
    AppendOnly,
    /// Stock equals the sum of its movements.
    Balances,
    /// What each order line has applied equals the net of its latest snapshot, and its movements add up to that.
    ExactlyOnce,
    /// `0 <= restocked <= shipped`, `cancelled + shipped <= ordered <= largest quantity seen`.
    RestockBound,
    /// Every number sent equals policy at its recorded ledger position, within what was available and the cap.
    Justified,
    /// Versions rise strictly, each place has at most one unresolved write, requests and their pushes agree.
    Ordered,
}

impl Invariant {
    /// The name used in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::AppendOnly => "append-only",
            Self::Balances => "balances",
            Self::ExactlyOnce => "exactly once",
            Self::RestockBound => "restock bound",
            Self::Justified => "justified",
            Self::Ordered => "ordered",
        }
    }
}

/// One invariant that was looked at.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Check {
    /// Which.
    pub invariant: Invariant,
    /// On how many things.
    pub checked: i64,
    /// What those things are.
    pub what: &'static str,
}

/// One place where an invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which invariant.
    pub invariant: Invariant,
    /// What is wrong with it: a movement, a SKU, an order line, a push.
    pub subject: String,
    /// What was found and what should be there.
    pub detail: String,
}

/// What a verification found.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// How much was looked at.
    pub depth: Depth,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// What is wrong, the first [`VerifyReport::MOST_PROBLEMS`] of it.
    pub problems: Vec<Problem>,
    /// How many problems there are in all.
    pub problem_count: usize,
}

impl VerifyReport {
    /// Problems kept; more are only counted, so that a wrecked file can't fill the memory.
    pub const MOST_PROBLEMS: usize = 200;

    /// Whether everything holds.
    pub const fn is_clean(&self) -> bool {
        self.problem_count == 0
    }

    fn checked(&mut self, invariant: Invariant, checked: i64, what: &'static str) {
        self.checks.push(Check { invariant, checked, what });
    }

    fn problem(&mut self, invariant: Invariant, subject: String, detail: String) {
        self.problem_count += 1;
        if self.problems.len() < Self::MOST_PROBLEMS {
            self.problems.push(Problem { invariant, subject, detail });
        }
    }
}

impl Reader {
    /// Checks the ledger's invariants, all on one and the same state of the file while others go on writing.
    ///
    /// A file that is damaged as a file is named and not looked at further: what it says can't be trusted.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`] where the file can't be read for other reasons than its own damage.
    pub fn verify(&self, depth: Depth) -> Result<VerifyReport> {
        let own_transaction = self.conn.is_autocommit();
        if own_transaction {
            self.conn.execute_batch("BEGIN DEFERRED")?;
        }
        let report = self.verify_snapshot(depth);
        if own_transaction {
            self.conn.execute_batch("ROLLBACK")?;
        }
        report
    }

    fn verify_snapshot(&self, depth: Depth) -> Result<VerifyReport> {
        let mut report = VerifyReport { depth, checks: Vec::new(), problems: Vec::new(), problem_count: 0 };
        match self.look_at_everything(&mut report) {
            Err(LedgerError::Sqlite(error)) if is_damage(&error) => {
                report.problem(Invariant::Sound, "file".into(), error.to_string());
            }
            other => other?,
        }
        Ok(report)
    }

    fn look_at_everything(&self, report: &mut VerifyReport) -> Result<()> {
        self.check_file(report)?;
        if !report.is_clean() {
            return Ok(());
        }
        self.check_movements(report)?;
        self.check_order_lines(report)?;
        if report.depth == Depth::Whole {
            self.check_order_movements(report)?;
        }
        self.check_requests(report)?;
        self.check_places(report)
    }

    fn check_file(&self, report: &mut VerifyReport) -> Result<()> {
        let mut statement = self.conn.prepare("PRAGMA quick_check(20)")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(0)?;
            if text != "ok" {
                report.problem(Invariant::Sound, "file".into(), text);
            }
        }
        let mut statement = self.conn.prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (table, id, parent): (String, Option<i64>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let row = id.map_or_else(|| "a row".into(), |id| format!("row {id}"));
            let detail = format!("refers to a {parent} that isn't there");
            report.problem(Invariant::Sound, format!("{row} of {table}"), detail);
        }
        report.checked(Invariant::Sound, self.one("PRAGMA page_count", [], |row| row.get(0))?, "pages");
        Ok(())
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// A text column, borrowed.
fn text<'row>(row: &'row rusqlite::Row<'_>, at: usize) -> rusqlite::Result<&'row str> {
    Ok(row.get_ref(at)?.as_str()?)
}
