//! What people ask of the ledger, and what it notes for them.

use std::collections::HashSet;

use rusqlite::params;
use serde::Serialize;

use super::{Ledger, Movement, MovementKind, Reader, Result};
use crate::domain::{ChannelId, CountBasis, CountRow, Operation, Settings, Sku, Units, UtcMs};

/// What an operation did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One sentence for the person who asked.
    pub answer: String,
    /// SKUs whose stock moved or whose targets may have changed.
    pub skus: Vec<Sku>,
    /// SKUs that the ledger knew and that a person counted or received: what changes by it is explained.
    pub counted: Vec<Sku>,
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
    /// [`super::LedgerError`]; the whole transaction should be given up then.
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
                Ok(Ok(Outcome { answer, counted: vec![sku.clone()], ..Outcome::default() }))
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
        let (mut changed, mut first_counts) = (0, HashSet::new());
        for row in rows {
            let new = !self.knows(row.sku.as_str())?;
            if new {
                first_counts.insert(&row.sku);
            }
            done.rematch |= new;
            changed += usize::from(self.count_one(at, row, new, reason)?);
            // The first count of a SKU is day one: what it changes on channels is looked at before it goes out.
            let first = first_counts.contains(&row.sku);
            if first { &mut done.skus } else { &mut done.counted }.push(row.sku.clone());
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
            channel: Some(channel.clone()),
            ..Outcome::default()
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
            channel: Some(channel.clone()),
            ..Outcome::default()
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
    /// [`super::LedgerError::Sqlite`].
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
    /// [`super::LedgerError::Sqlite`].
    pub fn forget_brake(&self, channel: &ChannelId) -> Result<()> {
        self.run("DELETE FROM brake WHERE channel = ?1", &[&channel.as_str()])?;
        Ok(())
    }

    /// Notes that a channel's orders have been read to the end.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn note_orders_read(&self, channel: &ChannelId, at: UtcMs) -> Result<()> {
        self.run("UPDATE channel SET orders_read_at = ?2 WHERE id = ?1", &[&channel.as_str(), &at])?;
        Ok(())
    }

    /// Notes since when a channel's orders can't be read; `None`: they can.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn note_blindness(&self, channel: &ChannelId, since: Option<UtcMs>) -> Result<()> {
        self.run("UPDATE channel SET blind_since = ?2 WHERE id = ?1", &[&channel.as_str(), &since])?;
        Ok(())
    }

    /// Notes an incident.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn note(&self, at: UtcMs, incident: &Incident<'_>) -> Result<()> {
        self.run(
            "INSERT INTO incident (at, kind, channel, sku, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
            &[&at, &incident.kind, &incident.channel, &incident.sku, &incident.detail],
        )?;
        Ok(())
    }
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
    /// [`super::LedgerError::Sqlite`].
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
    /// [`super::LedgerError::Sqlite`].
    pub fn counted_later(&self, row: &CountRow) -> Result<Option<UtcMs>> {
        self.maybe(
            "SELECT counted_at FROM counted WHERE sku = ?1 AND location = ?2 AND counted_at > ?3",
            params![row.sku.as_str(), row.location.as_str(), row.counted_at],
            |r| r.get(0),
        )
    }
}
