//! Movements: the append-only book with its hash chain, and the balances it adds up to.

use rusqlite::{ToSql, types::FromSql};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Ledger, Reader, Result};
use crate::domain::{LocationId, Sku, Units, UtcMs};

/// Why stock moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// The first count, or stock that a count already contained.
    Opening,
    /// A later count.
    Count,
    /// A delivery.
    Receipt,
    /// A correction by a person.
    Adjustment,
    /// Units ordered.
    Order,
    /// Units that left the shelf for an order.
    Ship,
    /// Ordered units taken off before they left.
    Cancel,
    /// Units that came back to the shelf.
    Return,
    /// Units moved between locations.
    Transfer,
}

impl MovementKind {
    /// The name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Count => "count",
            Self::Receipt => "receipt",
            Self::Adjustment => "adjustment",
            Self::Order => "order",
            Self::Ship => "ship",
            Self::Cancel => "cancel",
            Self::Return => "return",
            Self::Transfer => "transfer",
        }
    }
}

/// One change of stock, before it is written.
#[derive(Clone, Debug)]
pub struct Movement<'a> {
    /// When it is recorded.
    pub at: UtcMs,
    /// When it happened.
    pub effective_at: UtcMs,
    /// What.
    pub sku: &'a Sku,
    /// Where.
    pub location: &'a LocationId,
    /// Change of `on_hand`.
    pub on_hand: Units,
    /// Change of `committed`.
    pub committed: Units,
    /// Why.
    pub kind: MovementKind,
    /// The channel whose order moved it.
    pub channel: Option<&'a str>,
    /// That order's id on the channel.
    pub order_ref: Option<&'a str>,
    /// What a person gave as reason.
    pub reason: Option<&'a str>,
}

/// The hash before the first movement.
pub(super) const CHAIN_START: [u8; 32] = [0; 32];

/// A movement's fields as they are hashed: each with its length in front, absent ones marked, numbers in eight bytes.
pub(super) struct ChainFields<'a> {
    pub(super) id: i64,
    pub(super) numbers: [i64; 4],
    pub(super) sku: &'a str,
    pub(super) location: &'a str,
    pub(super) kind: &'a str,
    pub(super) texts: [Option<&'a str>; 3],
}

impl ChainFields<'_> {
    pub(super) fn hash_after(&self, previous: &[u8]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        field(previous);
        field(&self.id.to_be_bytes());
        for number in self.numbers {
            field(&number.to_be_bytes());
        }
        for text in [self.sku, self.location, self.kind] {
            field(text.as_bytes());
        }
        for text in self.texts {
            field(&[u8::from(text.is_some())]);
            field(text.unwrap_or_default().as_bytes());
        }
        hasher.finalize().into()
    }
}

impl Ledger {
    /// Appends a movement and changes the balance with it. Nothing is written for a movement of nothing.
    pub(super) fn move_stock(&self, movement: &Movement<'_>) -> Result<()> {
        if movement.on_hand == Units::ZERO && movement.committed == Units::ZERO {
            return Ok(());
        }
        let (last, previous) = self.chain_head()?;
        let id = last + 1;
        let (on_hand, committed) = (movement.on_hand.get(), movement.committed.get());
        let hash = ChainFields {
            id,
            numbers: [movement.at.0, movement.effective_at.0, on_hand, committed],
            sku: movement.sku.as_str(),
            location: movement.location.as_str(),
            kind: movement.kind.name(),
            texts: [movement.channel, movement.order_ref, movement.reason],
        }
        .hash_after(&previous);
        self.run(
            "INSERT INTO movement (id, at, effective_at, sku, location, on_hand_delta, committed_delta, kind, channel, \
             order_ref, reason, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            &[
                &id,
                &movement.at.0,
                &movement.effective_at.0,
                &movement.sku.as_str(),
                &movement.location.as_str(),
                &on_hand,
                &committed,
                &movement.kind.name(),
                &movement.channel,
                &movement.order_ref,
                &movement.reason,
                &hash.as_slice(),
            ],
        )?;
        self.run(
            "INSERT INTO stock (sku, location, on_hand, committed) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET on_hand = on_hand + ?3, committed = committed + ?4",
            &[&movement.sku.as_str(), &movement.location.as_str(), &on_hand, &committed],
        )?;
        self.head.due.set(true);
        Ok(())
    }

    /// Makes sure the SKU is known at the location, with nothing there.
    pub(super) fn know_sku(&self, sku: &Sku, location: &LocationId) -> Result<()> {
        self.run(
            "INSERT OR IGNORE INTO stock (sku, location, on_hand, committed) VALUES (?1, ?2, 0, 0)",
            &[&sku.as_str(), &location.as_str()],
        )?;
        Ok(())
    }
}

impl Reader {
    /// The id of the last movement and its hash; 0 and zeros before the first.
    pub(super) fn chain_head(&self) -> Result<(i64, [u8; 32])> {
        Ok(self
            .maybe("SELECT id, hash FROM movement ORDER BY id DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .unwrap_or((0, CHAIN_START)))
    }

    /// The id of the last movement; 0 before the first.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn last_movement(&self) -> Result<i64> {
        Ok(self.chain_head()?.0)
    }

    /// `on_hand - committed` over all locations; negative for an oversell.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn available(&self, sku: &Sku) -> Result<Units> {
        self.one(
            "SELECT coalesce(sum(on_hand - committed), 0) FROM stock WHERE sku = ?1",
            [sku.as_str()],
            |row| row.get(0),
        )
    }

    /// Whether the ledger holds stock of this SKU, be it none.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn knows(&self, sku: &str) -> Result<bool> {
        self.one("SELECT EXISTS (SELECT 1 FROM stock WHERE sku = ?1)", [sku], |row| row.get(0))
    }
}

/// `Units` in SQL.
impl ToSql for Units {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(self.get().into())
    }
}

impl FromSql for Units {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        value.as_i64().map(Self::of)
    }
}

impl ToSql for UtcMs {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for UtcMs {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}
