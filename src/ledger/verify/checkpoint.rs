//! Checkpoints: the chain and the balances at one movement, so that a start need not read all of history.

use super::balances::BalancesHasher;
use crate::{
    domain::UtcMs,
    ledger::{Ledger, Reader, Result},
};

const DAY_MS: i64 = 86_400_000;

/// Where the chain and the balances stood.
pub(super) struct Checkpoint {
    pub(super) movement: i64,
    pub(super) chain_hash: Vec<u8>,
    pub(super) balances_hash: Vec<u8>,
}

impl Ledger {
    /// Writes a checkpoint at the last movement: at most one a UTC day, none where nothing has moved since the last.
    /// Gives whether one was written. Cheap to call when none is due.
    ///
    /// # Errors
    /// [`crate::ledger::LedgerError::Sqlite`].
    pub fn checkpoint(&self, at: UtcMs) -> Result<bool> {
        let (movement, chain_hash) = self.chain_head()?;
        let last: Option<(i64, UtcMs)> =
            self.maybe("SELECT movement, at FROM checkpoint ORDER BY movement DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let day = |time: UtcMs| time.0.div_euclid(DAY_MS);
        if movement == 0 || last.is_some_and(|(had, when)| had == movement || day(when) == day(at)) {
            return Ok(false);
        }
        let mut hasher = BalancesHasher::default();
        self.each_balance(|sku, location, held| hasher.add(sku, location, held))?;
        self.run(
            "INSERT INTO checkpoint (movement, at, chain_hash, balances_hash) VALUES (?1, ?2, ?3, ?4)",
            &[&movement, &at, &chain_hash.as_slice(), &hasher.finish().as_slice()],
        )?;
        Ok(true)
    }
}

impl Reader {
    pub(super) fn last_checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.maybe(
            "SELECT movement, chain_hash, balances_hash FROM checkpoint ORDER BY movement DESC LIMIT 1",
            [],
            checkpoint_row,
        )
    }

    pub(super) fn checkpoints(&self) -> Result<Vec<Checkpoint>> {
        self.all(
            "SELECT movement, chain_hash, balances_hash FROM checkpoint ORDER BY movement",
            [],
            checkpoint_row,
        )
    }
}

fn checkpoint_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Checkpoint> {
    Ok(Checkpoint { movement: row.get(0)?, chain_hash: row.get(1)?, balances_hash: row.get(2)? })
}
