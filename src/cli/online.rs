//! Commands that look at a channel themselves: who are we there, and what does it list?

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};

use super::Failure;
use crate::{
    channels::Client,
    config::Loaded,
    domain::{
        Call, CallError, ChannelId, ChannelSettings, Identity, ListingReading, Reply, Settings, Sku,
        listing::Writable,
    },
    ledger::{LedgerError, ListingState, Reader},
};

/// Tries of one call that the channel throttles or that fails without effect.
const TRIES: u32 = 5;
/// The longest wait that a channel may ask for before the command gives up.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// A channel and a way to call it. Reads only.
pub(super) struct Online {
    id: ChannelId,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

/// A channel's catalogue, whole.
pub(super) struct Catalogue {
    pub(super) listings: Vec<ListingReading>,
    /// Rows that could not be read, each with the reason.
    pub(super) rejected: Vec<String>,
}

impl Online {
    /// Prepares calls to a configured channel.
    pub(super) fn new(loaded: &Loaded, id: &ChannelId) -> Result<Self, Failure> {
        let Some((_, connection)) = loaded.connections.iter().find(|(name, _)| name == id) else {
            let names: Vec<&str> = loaded.settings.channels.iter().map(|c| c.id.as_str()).collect();
            return Err(Failure::Usage(format!(
                "there is no channel {id} in the configuration; there are: {}",
                names.join(", ")
            )));
        };
        let client = Client::new(connection).with_context(|| format!("channel {id}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { id: id.clone(), client, runtime })
    }

    /// Who the channel says we are.
    pub(super) fn identify(&self) -> anyhow::Result<Identity> {
        match self.call(&Call::Identify)? {
            Reply::Identity(identity) => Ok(identity),
            other => bail!("channel {}: an odd reply to identify: {other:?}", self.id),
        }
    }

    /// Every listing, with its numbers.
    pub(super) fn catalogue(&self) -> anyhow::Result<Catalogue> {
        let mut catalogue = Catalogue { listings: Vec::new(), rejected: Vec::new() };
        let mut tokens = HashSet::new();
        let mut page = None;
        loop {
            let Reply::Listings(reply) = self.call(&Call::Listings { page: page.clone() })? else {
                bail!("channel {}: an odd reply to the catalogue", self.id);
            };
            catalogue.listings.extend(reply.listings);
            catalogue.rejected.extend(reply.rejected);
            page = reply.next;
            match &page {
                None => return Ok(catalogue),
                Some(token) if !tokens.insert(token.clone()) => {
                    bail!(
                        "channel {}: the catalogue goes round in circles, the same page came twice",
                        self.id
                    )
                }
                Some(_) => {}
            }
        }
    }

    fn call(&self, call: &Call) -> anyhow::Result<Reply> {
        let mut last = None;
        for attempt in 1..=TRIES {
            let error = match self.runtime.block_on(self.client.call(call)).result {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let wait = match &error {
                CallError::Throttled { wait, .. } => wait.unwrap_or(Duration::from_secs(2)),
                CallError::Retry { .. } => Duration::from_secs(1) * attempt,
                _ => Duration::MAX,
            };
            last = Some(error);
            if wait > LONGEST_WAIT {
                break;
            }
            std::thread::sleep(wait);
        }
        let error = last.map_or_else(|| anyhow!("no answer"), anyhow::Error::from);
        Err(error.context(format!("channel {}", self.id)))
    }
}

/// The SKUs that the ledger knows; none where there is no ledger yet.
pub(super) fn known_skus(settings: &Settings) -> anyhow::Result<BTreeSet<String>> {
    match Reader::open(&settings.ledger) {
        Ok(reader) => Ok(reader.stock()?.into_iter().map(|row| row.sku).collect()),
        Err(LedgerError::Missing(_)) => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}

/// Tells what would become of a channel's listings, before the daemon has scanned them.
pub(super) struct Judge<'a> {
    settings: &'a Settings,
    channel: &'a ChannelSettings,
    known: &'a BTreeSet<String>,
    twice: BTreeSet<&'a str>,
    several_locations: bool,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        channel: &'a ChannelSettings,
        known: &'a BTreeSet<String>,
        listings: &'a [ListingReading],
    ) -> Self {
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        let mut locations = BTreeSet::new();
        for listing in listings.iter().filter(|l| l.writable == Writable::Yes) {
            *times.entry(listing.channel_sku.as_deref().unwrap_or_default()).or_default() += 1;
            locations.extend(listing.levels.iter().map(|level| &level.place.location));
        }
        let twice = times.into_iter().filter(|(_, count)| *count > 1).map(|(sku, _)| sku).collect();
        Self { settings, channel, known, twice, several_locations: locations.len() > 1 }
    }

    /// Whether the listing's SKU is a bundle of the configuration.
    pub(super) fn bundle(&self, sku: &str) -> Option<&'a crate::domain::Bundle> {
        self.settings.bundles.iter().find(|bundle| {
            bundle.channel_sku.as_str() == sku
                && bundle.channel.as_ref().is_none_or(|channel| *channel == self.channel.id)
        })
    }

    /// What would become of a listing, by the rules that the ledger applies at the end of a scan.
    pub(super) fn state(&self, listing: &ListingReading) -> ListingState {
        let text = listing.channel_sku.as_deref().unwrap_or_default();
        match listing.writable {
            Writable::Untracked => return ListingState::Untracked,
            Writable::Computed => return ListingState::Computed,
            Writable::Ended => return ListingState::Ended,
            Writable::Yes => {}
        }
        let known = match self.bundle(text) {
            Some(bundle) => bundle.components.iter().all(|part| self.known.contains(part.sku.as_str())),
            None => self.known.contains(text),
        };
        if Sku::new(text).is_err() {
            ListingState::NoSku
        } else if self.twice.contains(text) {
            ListingState::Ambiguous
        } else if self.several_locations && self.channel.locations.is_empty() {
            ListingState::Unmapped
        } else if known {
            ListingState::Managed
        } else {
            ListingState::Unmatched
        }
    }
}
