//! `stockd check --online`: do the credentials work, whose are they, and what would be managed?

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Failure,
    online::{Judge, Online, known_skus},
};
use crate::{
    config::Loaded,
    domain::{ChannelSettings, Sku},
    ledger::ListingState,
};

/// What a channel said when it was asked.
#[derive(Debug, Serialize)]
pub(super) struct OnlineReport {
    pub(super) channel: String,
    /// Why it could not be asked; everything else is empty then.
    pub(super) error: Option<String>,
    pub(super) account: String,
    pub(super) name: String,
    pub(super) locations: Vec<String>,
    pub(super) warnings: Vec<String>,
    pub(super) managed: usize,
    /// Listings that would not be managed.
    pub(super) left_alone: Vec<LeftAlone>,
    /// SKUs that are not in the ledger and nearly are.
    pub(super) near: Vec<NearMatch>,
}

/// A listing that would not be managed.
#[derive(Debug, Serialize)]
pub(super) struct LeftAlone {
    pub(super) sku: String,
    pub(super) listing: String,
    pub(super) reason: &'static str,
}

/// A SKU of the channel that differs from one of the ledger by case, blanks or dashes only (fault D2).
#[derive(Debug, Serialize)]
pub(super) struct NearMatch {
    pub(super) theirs: String,
    pub(super) ours: String,
}

/// Asks every channel of the configuration.
pub(super) fn ask_all(loaded: &Loaded) -> Result<Vec<OnlineReport>, Failure> {
    let known = known_skus(&loaded.settings)?;
    let channels = loaded.settings.channels.iter();
    Ok(channels.map(|channel| ask_one(loaded, channel, &known)).collect())
}

fn ask_one(loaded: &Loaded, channel: &ChannelSettings, known: &BTreeSet<String>) -> OnlineReport {
    let mut report = OnlineReport {
        channel: channel.id.to_string(),
        error: None,
        account: String::new(),
        name: String::new(),
        locations: Vec::new(),
        warnings: Vec::new(),
        managed: 0,
        left_alone: Vec::new(),
        near: Vec::new(),
    };
    if let Err(error) = fill(loaded, channel, known, &mut report) {
        report.error = Some(match error {
            Failure::Failed(error) => format!("{error:#}"),
            other => other.to_string(),
        });
    }
    report
}

fn fill(
    loaded: &Loaded,
    channel: &ChannelSettings,
    known: &BTreeSet<String>,
    report: &mut OnlineReport,
) -> Result<(), Failure> {
    let online = Online::new(loaded, &channel.id)?;
    let identity = online.identify()?;
    report.account = identity.account;
    report.name = identity.name;
    report.locations = identity.locations.iter().map(|(id, name)| format!("{name} = {id}")).collect();
    report.warnings = identity.warnings;
    let catalogue = online.catalogue()?;
    report.warnings.extend(catalogue.rejected);
    let near: BTreeMap<String, &String> =
        known.iter().filter_map(|sku| Some((Sku::new(sku).ok()?.near_key(), sku))).collect();
    let judge = Judge::new(&loaded.settings, channel, known, &catalogue.listings);
    for listing in &catalogue.listings {
        let state = judge.state(listing);
        if state == ListingState::Managed {
            report.managed += 1;
            continue;
        }
        let sku = listing.channel_sku.clone().unwrap_or_default();
        if state == ListingState::Unmatched
            && let Some(ours) = Sku::new(&sku).ok().and_then(|sku| near.get(&sku.near_key()))
        {
            report.near.push(NearMatch { theirs: sku.clone(), ours: (*ours).clone() });
        }
        report.left_alone.push(LeftAlone { sku, listing: listing.id.to_string(), reason: state.reason() });
    }
    Ok(())
}
