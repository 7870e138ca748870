//! What people ask of the ledger, and what it notes for them.

use rusqlite::params;
use serde::Serialize;

use super::{Ledger, LedgerError, Movement, MovementKind, Reader, Result};
use crate::domain::{
    ChannelId, ChannelSettings, Component, CountBasis, CountRow, Operation, Settings, Sku, Units, UtcMs,
    operator::QuarantineAction,
};

/// What an operation did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One sentence for the person who asked.
    pub answer: String,
    /// SKUs whose stock moved or whose targets may have changed.
    pub skus: Vec<Sku>,
    /// Whether listings may match SKUs that they didn't match before.
    pub rematch: bool,
    /// The channel whose pause or brake changed.
    pub channel: Option<ChannelId>,
}

/// Something worth a person's attention, kept in the ledger.
#[derive(Clone, Debug)]
pub struct Incident<'a> {
    /// A stable name, such as `drift` or `push_rejected`.
    pub kind: &'a str,
    /// The channel concerned.
    pub channel: Option<&'a str>,
    /// The SKU concerned.
    pub sku: Option<&'a str>,
    /// What happened.
    pub detail: &'a str,
}

impl Ledger {
    /// Carries out an operation. An operation that makes no sense changes nothing; the reason comes back as `Err`.
    ///
    /// # Errors
    /// [`LedgerError`]; the whole transaction should be given up then.
    pub fn operate(
        &self,
        at: UtcMs,
        settings: &Settings,
        operation: &Operation,
    ) -> Result<std::result::Result<Outcome, String>> {
        match operation {
            Operation::Count { rows, reason } => self.count(at, settings, rows, reason),
            Operation::Adjust { sku, location, delta, receipt, reason } => {
                if !self.knows(sku.as_str())? {
                    return Ok(Err(format!(
                        "SKU {sku} is not in the ledger; `stockd stock set` or `stock import` adds it"
                    )));
                }
                let kind = if *receipt { MovementKind::Receipt } else { MovementKind::Adjustment };
                self.move_stock(&Movement {
                    at,
                    effective_at: at,
                    sku,
                    location,
                    on_hand: *delta,
                    committed: Units::ZERO,
                    kind,
                    channel: None,
                    order_ref: None,
                    reason: Some(reason),
                })?;
                let answer = format!("{sku} at {location}: on hand changed by {delta}");
                Ok(Ok(Outcome { answer, skus: vec![sku.clone()], ..Outcome::default() }))
            }
            Operation::Pause { channel, sku, zero, reason } => {
                self.pause(at, settings, channel, sku.as_ref(), *zero, reason)
            }
            Operation::Resume { channel, sku, .. } => self.resume(channel, sku.as_ref()),
            Operation::Release { channel, reason } => self.release(at, channel, reason),
            Operation::Quarantine { id, action, .. } => self.resolve_quarantine(at, settings, *id, action),
        }
    }

    fn count(
        &self,
        at: UtcMs,
        settings: &Settings,
        rows: &[CountRow],
        reason: &str,
    ) -> Result<std::result::Result<Outcome, String>> {
        if rows.is_empty() {
            return Ok(Err("nothing was counted: there is not one row".into()));
        }
        if let Some(row) = rows.iter().find(|row| row.counted_at > at.plus_ms(60_000)) {
            return Ok(Err(format!("{} was counted in the future, at {}", row.sku, row.counted_at)));
        }
        for row in rows {
            if let Some(later) = self.counted_later(row)? {
                return Ok(Err(format!(
                    "{} at {} was counted again at {later}, after this count of {}",
                    row.sku, row.location, row.counted_at
                )));
            }
        }
        let mut done = Outcome::default();
        let mut changed = 0;
        for row in rows {
            let new = !self.knows(row.sku.as_str())?;
            done.rematch |= new;
            changed += usize::from(self.count_one(at, row, new, reason)?);
            done.skus.push(row.sku.clone());
        }
        if done.rematch {
            done.skus.extend(self.retry_quarantined(at, settings)?);
        }
        done.answer = format!("{} counted, {changed} of them changed", rows.len());
        Ok(Ok(done))
    }

    fn count_one(&self, at: UtcMs, row: &CountRow, new: bool, reason: &str) -> Result<bool> {
        let (sku, location) = (row.sku.as_str(), row.location.as_str());
        self.know_sku(&row.sku, &row.location)?;
        self.run(
            "INSERT INTO counted (sku, location, counted_at, basis, quantity) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO UPDATE SET counted_at = ?3, basis = ?4, quantity = ?5",
            &[&sku, &location, &row.counted_at, &row.basis.name(), &row.quantity],
        )?;
        let delta = self.count_effect(row)?.delta;
        self.move_stock(&Movement {
            at,
            effective_at: row.counted_at,
            sku: &row.sku,
            location: &row.location,
            on_hand: delta,
            committed: Units::ZERO,
            kind: if new { MovementKind::Opening } else { MovementKind::Count },
            channel: None,
            order_ref: None,
            reason: Some(reason),
        })?;
        Ok(delta != Units::ZERO)
    }

    fn pause(
        &self,
        at: UtcMs,
        settings: &Settings,
        channel: &ChannelId,
        sku: Option<&Sku>,
        zero: bool,
        reason: &str,
    ) -> Result<std::result::Result<Outcome, String>> {
        if !settings.channels.iter().any(|c| c.id == *channel) {
            return Ok(Err(format!("there is no channel {channel} in the configuration")));
        }
        self.run(
            "INSERT INTO pause (channel, sku, zero, reason, at) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO UPDATE SET zero = ?3, reason = ?4, at = ?5",
            &[&channel.as_str(), &sku.map_or("", Sku::as_str), &zero, &reason, &at],
        )?;
        let what = sku.map_or_else(|| channel.to_string(), |sku| format!("{sku} on {channel}"));
        let how =
            if zero { "shows 0 until it is resumed" } else { "keeps what it shows until it is resumed" };
        Ok(Ok(Outcome {
            answer: format!("{what} is paused and {how}"),
            skus: sku.cloned().into_iter().collect(),
            rematch: false,
            channel: Some(channel.clone()),
        }))
    }

    fn resume(&self, channel: &ChannelId, sku: Option<&Sku>) -> Result<std::result::Result<Outcome, String>> {
        let name = sku.map_or("", Sku::as_str);
        let what = sku.map_or_else(|| channel.to_string(), |sku| format!("{sku} on {channel}"));
        if self.run("DELETE FROM pause WHERE channel = ?1 AND sku = ?2", &[&channel.as_str(), &name])? == 0 {
            return Ok(Err(format!("{what} is not paused")));
        }
        Ok(Ok(Outcome {
            answer: format!("{what} is no longer paused"),
            skus: sku.cloned().into_iter().collect(),
            rematch: false,
            channel: Some(channel.clone()),
        }))
    }

    fn release(
        &self,
        at: UtcMs,
        channel: &ChannelId,
        reason: &str,
    ) -> Result<std::result::Result<Outcome, String>> {
        let changed = self.run(
            "UPDATE brake SET state = 'released', at = ?2, reason = ?3 WHERE channel = ?1 AND state = 'engaged'",
            &[&channel.as_str(), &at, &reason],
        )?;
        if changed == 0 {
            return Ok(Err(format!("the brake of {channel} is not engaged")));
        }
        let answer = format!("the brake of {channel} is released; what it held goes out now");
        Ok(Ok(Outcome { answer, channel: Some(channel.clone()), ..Outcome::default() }))
    }

    /// Engages a channel's brake, unless a person has released it for what it holds.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn engage_brake(&self, at: UtcMs, channel: &ChannelId, held: i64, reason: &str) -> Result<bool> {
        let changed = self.run(
            "INSERT OR IGNORE INTO brake (channel, state, at, held, reason) VALUES (?1, 'engaged', ?2, ?3, ?4)",
            &[&channel.as_str(), &at, &held, &reason],
        )?;
        Ok(changed > 0)
    }

    /// Forgets a brake: what it held has gone out or is no longer wanted.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn forget_brake(&self, channel: &ChannelId) -> Result<()> {
        self.run("DELETE FROM brake WHERE channel = ?1", &[&channel.as_str()])?;
        Ok(())
    }

    fn resolve_quarantine(
        &self,
        at: UtcMs,
        settings: &Settings,
        id: i64,
        action: &QuarantineAction,
    ) -> Result<std::result::Result<Outcome, String>> {
        let Some(line) = self.maybe("SELECT line FROM quarantine WHERE id = ?1", [id], |row| row.get(0))?
        else {
            return Ok(Err(format!(
                "there is no quarantine entry {id}; `stockd quarantine list` shows them"
            )));
        };
        let sku = match action {
            QuarantineAction::Drop => {
                self.run("UPDATE order_line SET state = 'dropped' WHERE id = ?1", &[&line])?;
                self.run("DELETE FROM quarantine WHERE id = ?1", &[&id])?;
                let answer = format!("quarantine entry {id} is dropped: it never moves stock");
                return Ok(Ok(Outcome { answer, ..Outcome::default() }));
            }
            QuarantineAction::Book(sku) => Some(sku),
            QuarantineAction::Retry => None,
        };
        match self.book_quarantined(at, settings, line, sku)? {
            Some(skus) => {
                let answer = format!("quarantine entry {id} is booked");
                Ok(Ok(Outcome { answer, skus, ..Outcome::default() }))
            }
            None => Ok(Err(format!(
                "quarantine entry {id} stays: its SKU is not in the ledger, or its channel not in the configuration"
            ))),
        }
    }

    fn book_quarantined(
        &self,
        at: UtcMs,
        settings: &Settings,
        line: i64,
        sku: Option<&Sku>,
    ) -> Result<Option<Vec<Sku>>> {
        let (channel, listing, channel_sku): (String, Option<String>, Option<String>) = self.one(
            "SELECT channel, listing_id, channel_sku FROM order_line WHERE id = ?1",
            [line],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let Some(channel) = find_channel(settings, &channel) else { return Ok(None) };
        let components = match sku {
            Some(sku) if self.knows(sku.as_str())? => {
                Some(vec![Component { sku: sku.clone(), units: Units::ONE }])
            }
            Some(_) => None,
            None => self
                .components_of_line(settings, &channel.id, listing.as_deref(), channel_sku.as_deref())?
                .ok(),
        };
        match components {
            Some(components) => self.apply_quarantined(settings, channel, at, line, &components).map(Some),
            None => Ok(None),
        }
    }

    /// Books every quarantined line whose listing or SKU is known by now. Gives the SKUs that moved.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn retry_quarantined(&self, at: UtcMs, settings: &Settings) -> Result<Vec<Sku>> {
        let lines: Vec<i64> = self.all("SELECT line FROM quarantine ORDER BY id", [], |row| row.get(0))?;
        let mut skus = Vec::new();
        for line in lines {
            skus.extend(self.book_quarantined(at, settings, line, None)?.unwrap_or_default());
        }
        Ok(skus)
    }

    /// Notes an incident.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn note(&self, at: UtcMs, incident: &Incident<'_>) -> Result<()> {
        self.run(
            "INSERT INTO incident (at, kind, channel, sku, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            &[&at, &incident.kind, &incident.channel, &incident.sku, &incident.detail],
        )?;
        Ok(())
    }

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
        Ok(Self { reader: Reader { conn } })
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

/// What a count would do to the stock of its SKU at its location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CountEffect {
    /// On hand before.
    pub on_hand: Units,
    /// Committed, which a count leaves alone.
    pub committed: Units,
    /// By how much on hand would change.
    pub delta: Units,
}

impl Reader {
    /// Works out what a count does: its quantity as of `counted_at`, and everything that has moved since on top.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn count_effect(&self, row: &CountRow) -> Result<CountEffect> {
        let (sku, location) = (row.sku.as_str(), row.location.as_str());
        let (on_hand, committed): (Units, Units) = self
            .maybe(
                "SELECT on_hand, committed FROM stock WHERE sku = ?1 AND location = ?2",
                [sku, location],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )?
            .unwrap_or_default();
        let (moved_on_hand, moved_committed): (Units, Units) = self.one(
            "SELECT coalesce(sum(on_hand_delta), 0), coalesce(sum(committed_delta), 0) FROM movement \
             WHERE sku = ?1 AND location = ?2 AND effective_at > ?3",
            params![sku, location, row.counted_at],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )?;
        let delta = match row.basis {
            CountBasis::OnHand => row.quantity + moved_on_hand - on_hand,
            CountBasis::Available => row.quantity + moved_on_hand - moved_committed - (on_hand - committed),
        };
        Ok(CountEffect { on_hand, committed, delta })
    }

    /// When the SKU was counted there after this count, which then says nothing new.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn counted_later(&self, row: &CountRow) -> Result<Option<UtcMs>> {
        self.maybe(
            "SELECT counted_at FROM counted WHERE sku = ?1 AND location = ?2 AND counted_at > ?3",
            params![row.sku.as_str(), row.location.as_str(), row.counted_at],
            |r| r.get(0),
        )
    }

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

fn find_channel<'a>(settings: &'a Settings, id: &str) -> Option<&'a ChannelSettings> {
    settings.channels.iter().find(|channel| channel.id.as_str() == id)
}
