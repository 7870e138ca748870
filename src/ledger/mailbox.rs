//! Requests that people leave in the ledger, and their answers.

use rusqlite::params;

use super::{Ledger, LedgerError, Reader, Result};
use crate::domain::{Operation, UtcMs};

impl Ledger {
    /// Answers a request that came in through the CLI.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn answer(&self, id: i64, at: UtcMs, answer: &std::result::Result<String, String>) -> Result<()> {
        let (ok, text) = match answer {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        self.run(
            "UPDATE request_in SET answered_at = ?2, ok = ?3, answer = ?4 WHERE id = ?1",
            &[&id, &at, &ok, text],
        )?;
        Ok(())
    }

    /// Puts a request into the ledger; how a program without a daemon carries one out itself.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn ask(&self, at: UtcMs, operation: &Operation) -> Result<i64> {
        ask_on(self, at, operation)
    }
}

/// Puts a request for the running daemon into its ledger, through a connection of its own.
#[derive(Debug)]
pub struct Mailbox {
    reader: Reader,
}

impl Mailbox {
    /// Opens the ledger just to leave requests in it.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open(path: &std::path::Path) -> Result<Self> {
        drop(Reader::open(path)?);
        let conn = rusqlite::Connection::open(path).map_err(|e| LedgerError::unusable(path, &e))?;
        super::prepare_connection(&conn)?;
        Ok(Self { reader: Reader::on(conn) })
    }

    /// Leaves a request and gives its number.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn ask(&self, at: UtcMs, operation: &Operation) -> Result<i64> {
        ask_on(&self.reader, at, operation)
    }

    /// The answer, once there is one: what was done, or why nothing was.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn answer(&self, id: i64) -> Result<Option<std::result::Result<String, String>>> {
        self.reader.answer_to(id)
    }

    /// Takes a request back that nobody has answered. Gives whether it was still open.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn withdraw(&self, id: i64) -> Result<bool> {
        Ok(self.reader.run("DELETE FROM request_in WHERE id = ?1 AND answered_at IS NULL", &[&id])? > 0)
    }
}

fn ask_on(reader: &Reader, at: UtcMs, operation: &Operation) -> Result<i64> {
    let text = serde_json::to_string(operation).map_err(|e| LedgerError::Content(e.to_string()))?;
    reader.one(
        "INSERT INTO request_in (at, operation) VALUES (?1, ?2) RETURNING id",
        params![at, text],
        |row| row.get(0),
    )
}

impl Reader {
    /// Requests that wait for an answer, oldest first; a text that can't be read comes as `Err`.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn waiting(&self) -> Result<Vec<(i64, std::result::Result<Operation, String>)>> {
        let rows: Vec<(i64, String)> = self.all(
            "SELECT id, operation FROM request_in WHERE answered_at IS NULL ORDER BY id LIMIT 100",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(rows
            .into_iter()
            .map(|(id, text)| (id, serde_json::from_str(&text).map_err(|e| e.to_string())))
            .collect())
    }

    /// The answer to a request, once there is one.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn answer_to(&self, id: i64) -> Result<Option<std::result::Result<String, String>>> {
        let row: Option<(Option<bool>, Option<String>)> =
            self.maybe("SELECT ok, answer FROM request_in WHERE id = ?1", [id], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        Ok(row.and_then(|(ok, answer)| {
            let answer = answer.unwrap_or_default();
            ok.map(|ok| if ok { Ok(answer) } else { Err(answer) })
        }))
    }
}
