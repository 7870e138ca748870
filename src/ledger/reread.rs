//! Orders with units open, asked for by id now and then: a list can leave out a change (CORRECTNESS.md rule 9).

use std::hash::{DefaultHasher, Hash, Hasher};

use rusqlite::params;

use super::{
    Ingested, Ledger, Reader, Result,
    orders::{Context, net_at},
};
use crate::domain::{ChannelId, ChannelSettings, LineNet, OrderId, OrderSnapshot, Settings, UtcMs};

/// An open order is asked for by id after this long, and up to a quarter of a day more: orders that came in at once
/// (first contact) spread over it.
const LEAST_PAUSE_MS: i64 = 18 * 3_600_000;
const SPREAD_MS: u64 = 6 * 3_600_000;

/// When an order that was seen at `at` is asked for by id.
pub(super) fn next_reread(at: UtcMs, order: &OrderId) -> UtcMs {
    let mut hasher = DefaultHasher::new();
    order.hash(&mut hasher);
    let spread = hasher.finish() % SPREAD_MS;
    at.plus_ms(LEAST_PAUSE_MS + spread.cast_signed())
}

impl Reader {
    /// The orders of a channel that are to be asked for by id by `until`, the longest due first, at most `most`.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn orders_to_reread(&self, channel: &ChannelId, until: UtcMs, most: usize) -> Result<Vec<OrderId>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.all(
            "SELECT order_id FROM order_head WHERE channel = ?1 AND reread_at <= ?2 ORDER BY reread_at LIMIT ?3",
            params![channel.as_str(), until, most],
            |row| Ok(OrderId::new(row.get::<_, String>(0)?)),
        )
    }
}

impl Reader {
    /// When the next order of a channel is to be asked for by id; `None`: none is open.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn next_reread(&self, channel: &ChannelId) -> Result<Option<UtcMs>> {
        self.maybe(
            "SELECT reread_at FROM order_head WHERE channel = ?1 AND reread_at IS NOT NULL ORDER BY reread_at LIMIT 1",
            [channel.as_str()],
            |row| row.get(0),
        )
    }
}

impl Ledger {
    pub(super) fn reread_at_once(&self, channel: &str, order: &str) -> Result<()> {
        self.run(
            "UPDATE order_head SET reread_at = 0 WHERE channel = ?1 AND order_id = ?2",
            &[&channel, &order],
        )?;
        Ok(())
    }

    /// An order has been asked for by id, and ingested if the channel gave it; `gone` if it did not. Gives the order's
    /// number where that is news. An order open for longer than `assume_shipped_after` by the channel's clock, `there`,
    /// counts as shipped.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn order_reread(
        &self,
        (at, there): (UtcMs, UtcMs),
        settings: &Settings,
        channel: &ChannelSettings,
        order: &OrderId,
        gone: bool,
    ) -> Result<Option<String>> {
        let id = channel.id.as_str();
        let head: Option<(OrderSnapshot, bool)> = self.maybe(
            "SELECT number, created_at, updated_at, missing FROM order_head \
             WHERE channel = ?1 AND order_id = ?2 AND reread_at IS NOT NULL",
            [id, order.as_str()],
            |row| {
                let head = OrderSnapshot {
                    id: order.clone(),
                    number: row.get(0)?,
                    created_at: row.get(1)?,
                    updated_at: row.get(2)?,
                    lines: Vec::new(),
                    unknown_state: None,
                };
                Ok((head, row.get(3)?))
            },
        )?;
        let Some((head, was_missing)) = head else { return Ok(None) };
        self.run(
            "UPDATE order_head SET reread_at = ?3, missing = ?4 WHERE channel = ?1 AND order_id = ?2",
            &[&id, &order.as_str(), &next_reread(at, order), &gone],
        )?;
        let after = channel.assume_shipped_after.and_then(|after| i64::try_from(after.as_millis()).ok());
        if after.is_some_and(|after| there.since(head.created_at) >= after) {
            self.assume_shipped(&Context { at, channel, settings, order: &head, assumed_shipped: true })?;
        }
        Ok((gone && !was_missing).then_some(head.number))
    }

    /// From here on every open unit of the order counts as shipped. What is available stays as it is.
    fn assume_shipped(&self, context: &Context<'_>) -> Result<()> {
        let (channel, order) = (context.channel.id.as_str(), context.order.id.as_str());
        self.run(
            "UPDATE order_head SET assumed_shipped = 1, reread_at = NULL WHERE channel = ?1 AND order_id = ?2",
            &[&channel, &order],
        )?;
        let lines: Vec<(i64, LineNet, String)> = self.all(
            "SELECT id, ordered, cancelled, shipped, restocked, state FROM order_line \
             WHERE channel = ?1 AND order_id = ?2 ORDER BY id",
            [channel, order],
            |row| Ok((row.get(0)?, net_at(row, 1)?, row.get(5)?)),
        )?;
        for (line, old, state) in lines {
            let new = old.all_shipped();
            self.run("UPDATE order_line SET shipped = ?2 WHERE id = ?1", &[&line, &new.shipped])?;
            if state == "applied" {
                self.apply_difference(context, line, old, new, &mut Ingested::default())?;
            }
        }
        Ok(())
    }
}
