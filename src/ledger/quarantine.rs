//! Order lines that could not be booked, until their SKU is known or a person decides.

use super::{Ledger, Outcome, Result};
use crate::domain::{ChannelSettings, Component, Settings, Sku, Units, UtcMs, operator::QuarantineAction};

impl Ledger {
    pub(super) fn resolve_quarantine(
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
    /// [`super::LedgerError::Sqlite`].
    pub fn retry_quarantined(&self, at: UtcMs, settings: &Settings) -> Result<Vec<Sku>> {
        let lines: Vec<i64> = self.all("SELECT line FROM quarantine ORDER BY id", [], |row| row.get(0))?;
        let mut skus = Vec::new();
        for line in lines {
            skus.extend(self.book_quarantined(at, settings, line, None)?.unwrap_or_default());
        }
        Ok(skus)
    }
}

fn find_channel<'a>(settings: &'a Settings, id: &str) -> Option<&'a ChannelSettings> {
    settings.channels.iter().find(|channel| channel.id.as_str() == id)
}
