//! Listings: what is sold where, what it is made of, and whether it may be written to.

use rusqlite::params;
use serde::Serialize;

use super::{Ledger, LedgerError, Reader, Result};
use crate::domain::{
    ChannelId, ChannelSettings, Component, ListingReading, Settings, Sku, Units, UtcMs, listing::Writable,
};

/// Whether a listing is kept in step, and if not, why not (CORRECTNESS.md rule 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListingState {
    /// Kept in step.
    Managed,
    /// Seen, but the scan that saw it isn't complete.
    Pending,
    /// Its SKU is not in the ledger.
    Unmatched,
    /// It has no SKU, or one that can't be used.
    NoSku,
    /// Its SKU stands on more than one listing of the channel.
    Ambiguous,
    /// Its channel keeps several numbers for it and no location is mapped.
    Unmapped,
    /// The channel doesn't count it.
    Untracked,
    /// Its number is computed by the channel.
    Computed,
    /// It is no longer there.
    Ended,
}

impl ListingState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Managed,
        Self::Pending,
        Self::Unmatched,
        Self::NoSku,
        Self::Ambiguous,
        Self::Unmapped,
        Self::Untracked,
        Self::Computed,
        Self::Ended,
    ];

    /// The name in the ledger and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::Pending => "pending",
            Self::Unmatched => "unmatched",
            Self::NoSku => "no_sku",
            Self::Ambiguous => "ambiguous",
            Self::Unmapped => "unmapped",
            Self::Untracked => "untracked",
            Self::Computed => "computed",
            Self::Ended => "ended",
        }
    }

    /// The state of that name.
    ///
    /// # Errors
    /// [`LedgerError::Content`].
    pub fn of(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| LedgerError::Content(format!("listing state {name:?}")))
    }

    /// Why a listing in this state is left alone, for people; empty for a managed one.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Managed => "",
            Self::Pending => "the catalogue scan that found it has not finished",
            Self::Unmatched => "its SKU is not in the ledger: import its stock or map it as a bundle",
            Self::NoSku => "it has no usable SKU on the channel",
            Self::Ambiguous => "its SKU is on more than one listing of this channel: give each its own",
            Self::Unmapped => "the channel has several locations: map them under `locations`",
            Self::Untracked => "the channel does not track its stock",
            Self::Computed => "the channel computes its number from other listings",
            Self::Ended => "it is no longer on the channel",
        }
    }
}

/// What a complete scan found.
#[derive(Debug, Default)]
pub struct ScanEnd {
    /// Listings per state.
    pub states: Vec<(ListingState, i64)>,
    /// Set where the scan was not believed: it saw none, or far fewer listings than are known (faults D10, D11).
    pub partial: Option<String>,
    /// SKUs that stand on several listings.
    pub ambiguous: Vec<String>,
    /// Listings it missed that stay as they are until another scan misses them too: pages shift while listings move.
    pub missed: i64,
}

impl Ledger {
    /// Starts a scan and gives its number.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn next_scan(&self, channel: &ChannelId) -> Result<i64> {
        self.one(
            "SELECT coalesce(max(seen_scan), 0) + 1 FROM listing WHERE channel = ?1",
            [channel.as_str()],
            |row| row.get(0),
        )
    }

    /// Takes in one listing of a scan and gives its row. What it says counts once the scan is complete and believed.
    /// Its quantities are another matter.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn see_listing(&self, channel: &ChannelId, scan: i64, seen: &ListingReading) -> Result<i64> {
        let writable = writable_name(seen.writable);
        let id = self.one(
            "INSERT INTO listing (channel, listing_id, title, batch_group, writable, state, seen_scan, seen_sku, \
             seen_title, seen_group, seen_writable) VALUES (?1, ?2, '', '', 'pending', 'pending', ?7, ?3, ?4, ?5, ?6) \
             ON CONFLICT (channel, listing_id) DO UPDATE SET \
             seen_sku = ?3, seen_title = ?4, seen_group = ?5, seen_writable = ?6, seen_scan = ?7 RETURNING id",
            params![
                channel.as_str(),
                seen.id.as_str(),
                seen.channel_sku,
                seen.title,
                seen.group,
                writable,
                scan
            ],
            |row| row.get(0),
        )?;
        for level in &seen.levels {
            self.run(
                "INSERT OR IGNORE INTO listing_stock (listing, channel_location, pending) VALUES (?1, ?2, 1)",
                &[&id, &level.place.location.as_str()],
            )?;
        }
        Ok(id)
    }

    /// Ends a scan: settles the state of every listing of the channel. A scan that lost more than `most_lost` listings
    /// that were there before is not believed and changes no state. A listing has ended when it says so, or when two
    /// scans in a row missed it of which this one is `whole` (every row could be read), or when one did and another
    /// listing has its SKU now.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn finish_scan(
        &self,
        at: UtcMs,
        settings: &Settings,
        channel: &ChannelSettings,
        scan: i64,
        most_lost: i64,
        whole: bool,
    ) -> Result<ScanEnd> {
        let id = channel.id.as_str();
        let (seen, lost): (i64, i64) = self.one(
            "SELECT count(*) FILTER (WHERE seen_scan = ?2), count(*) FILTER (WHERE seen_scan < ?2 AND state = 'managed') \
             FROM listing WHERE channel = ?1",
            params![id, scan],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if lost > 0 && (seen == 0 || lost > most_lost) {
            let partial = format!("it saw {seen} listings and missed {lost} managed ones");
            return Ok(ScanEnd { partial: Some(partial), ..ScanEnd::default() });
        }
        self.believe(id, scan)?;
        let mut missed = 0;
        if whole {
            self.run(
                "UPDATE listing SET writable = 'ended' WHERE channel = ?1 AND seen_scan < ?2 \
                 AND (seen_scan < (SELECT scan FROM channel WHERE id = ?1) OR EXISTS (SELECT 1 FROM listing n \
                 WHERE n.channel_sku = listing.channel_sku AND n.channel = ?1 AND n.seen_scan = ?2 AND n.writable = 'yes'))",
                &[&id, &scan],
            )?;
            self.run("UPDATE channel SET scan = ?2 WHERE id = ?1", &[&id, &scan])?;
            missed = self.one(
                "SELECT count(*) FROM listing WHERE channel = ?1 AND seen_scan < ?2 AND writable <> 'ended'",
                params![id, scan],
                |row| row.get(0),
            )?;
        }
        self.run("UPDATE channel SET scanned_at = ?2 WHERE id = ?1", &[&id, &at])?;
        Ok(ScanEnd { missed, ..self.match_listings(settings, channel)? })
    }

    /// What a scan has seen counts from here on.
    fn believe(&self, channel: &str, scan: i64) -> Result<()> {
        self.run(
            "UPDATE listing SET channel_sku = seen_sku, title = seen_title, batch_group = seen_group, \
             writable = seen_writable WHERE channel = ?1 AND seen_scan = ?2 AND (channel_sku IS NOT seen_sku \
             OR title IS NOT seen_title OR batch_group IS NOT seen_group OR writable IS NOT seen_writable)",
            &[&channel, &scan],
        )?;
        self.run(
            "UPDATE listing_stock SET pending = 0 WHERE pending = 1 AND listing IN \
             (SELECT id FROM listing WHERE channel = ?1 AND seen_scan = ?2)",
            &[&channel, &scan],
        )?;
        Ok(())
    }

    /// Works out the state and the components of every listing of a channel anew.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn match_listings(&self, settings: &Settings, channel: &ChannelSettings) -> Result<ScanEnd> {
        let id = channel.id.as_str();
        let several_locations: bool = self.one(
            "SELECT count(DISTINCT s.channel_location) > 1 FROM listing_stock s JOIN listing l ON l.id = s.listing \
             WHERE l.channel = ?1 AND l.writable <> 'ended' AND s.pending = 0",
            [id],
            |row| row.get(0),
        )?;
        let ambiguous: Vec<String> = self.all(
            "SELECT channel_sku FROM listing WHERE channel = ?1 AND writable = 'yes' AND channel_sku <> '' \
             GROUP BY channel_sku HAVING count(*) > 1 ORDER BY channel_sku",
            [id],
            |row| row.get(0),
        )?;
        let unmapped = channel.locations.is_empty() && several_locations;
        let listings: Vec<(i64, Option<String>, String, String)> = self.all(
            "SELECT id, channel_sku, writable, state FROM listing WHERE channel = ?1 ORDER BY id",
            [id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        for (listing, sku, writable, old) in listings {
            let usable = sku.as_deref().filter(|text| Sku::new(text).is_ok());
            let twice = usable.is_some_and(|text| ambiguous.binary_search(&text.to_owned()).is_ok());
            let mut components = None;
            let state = match (writable.as_str(), usable) {
                ("ended", _) => ListingState::Ended,
                ("untracked", _) => ListingState::Untracked,
                ("computed", _) => ListingState::Computed,
                (_, None) => ListingState::NoSku,
                _ if twice => ListingState::Ambiguous,
                _ if unmapped => ListingState::Unmapped,
                (_, Some(text)) => {
                    components = self.components_of_sku(settings, &channel.id, text)?;
                    if components.is_some() { ListingState::Managed } else { ListingState::Unmatched }
                }
            };
            if let Some(components) = components {
                self.set_components(listing, &components)?;
            }
            if state.name() != old {
                self.run("UPDATE listing SET state = ?2 WHERE id = ?1", &[&listing, &state.name()])?;
            }
        }
        Ok(ScanEnd { states: self.listing_states(&channel.id)?, ambiguous, ..ScanEnd::default() })
    }

    fn set_components(&self, listing: i64, components: &[Component]) -> Result<()> {
        if self.components(listing)? == components {
            return Ok(());
        }
        self.run("DELETE FROM listing_component WHERE listing = ?1", &[&listing])?;
        for component in components {
            self.run(
                "INSERT INTO listing_component (listing, sku, units) VALUES (?1, ?2, ?3)",
                &[&listing, &component.sku.as_str(), &component.units],
            )?;
        }
        Ok(())
    }

    /// Notes who the channel says we are. Gives the account pinned at first contact.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn pin_account(
        &self,
        at: UtcMs,
        channel: &ChannelSettings,
        account: &str,
        name: &str,
    ) -> Result<String> {
        self.run(
            "INSERT OR IGNORE INTO channel (id, kind, account, account_name, first_contact) VALUES (?1, ?2, ?3, ?4, ?5)",
            &[&channel.id.as_str(), &channel.capabilities.kind.name(), &account, &name, &at],
        )?;
        self.one("SELECT account FROM channel WHERE id = ?1", [channel.id.as_str()], |row| row.get(0))
    }
}

impl Reader {
    /// What a listing is made of, by SKU; empty before it was matched.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn components(&self, listing: i64) -> Result<Vec<Component>> {
        let rows: Vec<(String, Units)> = self.all(
            "SELECT sku, units FROM listing_component WHERE listing = ?1 ORDER BY sku",
            [listing],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        rows.into_iter()
            .map(|(sku, units)| {
                let sku = Sku::new(&sku).map_err(|e| LedgerError::Content(e.to_string()))?;
                Ok(Component { sku, units })
            })
            .collect()
    }

    /// The SKUs that a listing is made of.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn component_skus(&self, listing: i64) -> Result<Vec<Sku>> {
        Ok(self.components(listing)?.into_iter().map(|component| component.sku).collect())
    }

    /// What a channel's SKU stands for: a bundle of the configuration, else the same SKU in the ledger.
    pub(super) fn components_of_sku(
        &self,
        settings: &Settings,
        channel: &ChannelId,
        text: &str,
    ) -> Result<Option<Vec<Component>>> {
        let bundle = settings
            .bundles
            .iter()
            .filter(|b| b.channel_sku.as_str() == text && b.channel.as_ref().is_none_or(|c| c == channel))
            .max_by_key(|b| b.channel.is_some());
        if let Some(bundle) = bundle {
            for component in &bundle.components {
                if !self.knows(component.sku.as_str())? {
                    return Ok(None);
                }
            }
            let mut components = bundle.components.clone();
            components.sort_by(|a, b| a.sku.cmp(&b.sku));
            return Ok(Some(components));
        }
        match Sku::new(text) {
            Ok(sku) if self.knows(text)? => Ok(Some(vec![Component { sku, units: Units::ONE }])),
            _ => Ok(None),
        }
    }

    /// The listing that keeps the number of what a line names: a variation whose stock its parent keeps is the parent's.
    pub(super) fn listing_row(&self, channel: &str, listing_id: &str) -> Result<Option<i64>> {
        self.maybe(
            "SELECT coalesce(p.id, l.id) FROM listing l LEFT JOIN listing p ON l.writable = 'computed' \
             AND l.batch_group <> '' AND p.channel = l.channel AND p.listing_id = l.batch_group \
             WHERE l.channel = ?1 AND l.listing_id = ?2",
            [channel, listing_id],
            |row| row.get(0),
        )
    }

    /// The channel's listing with this SKU, if there is just one.
    pub(super) fn only_listing_with_sku(&self, channel: &str, sku: &str) -> Result<Option<i64>> {
        let found: Vec<i64> = self.all(
            "SELECT id FROM listing WHERE channel_sku = ?2 AND channel = ?1 AND writable = 'yes' LIMIT 2",
            [channel, sku],
            |row| row.get(0),
        )?;
        Ok(if let [only] = found[..] { Some(only) } else { None })
    }

    /// How many listings of a channel are in each state.
    ///
    /// # Errors
    /// [`LedgerError::Sqlite`].
    pub fn listing_states(&self, channel: &ChannelId) -> Result<Vec<(ListingState, i64)>> {
        let rows: Vec<(String, i64)> = self.all(
            "SELECT state, count(*) FROM listing WHERE channel = ?1 GROUP BY state ORDER BY state",
            [channel.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        rows.into_iter().map(|(state, count)| Ok((ListingState::of(&state)?, count))).collect()
    }
}

const fn writable_name(writable: Writable) -> &'static str {
    match writable {
        Writable::Yes => "yes",
        Writable::Untracked => "untracked",
        Writable::Computed => "computed",
        Writable::Ended => "ended",
    }
}
