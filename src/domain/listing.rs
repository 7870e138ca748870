//! Listings and their quantities as channels report them.

use serde::{Deserialize, Serialize};

use super::{ChannelLocation, ListingId, PageToken, Units};

/// One place where a channel keeps a number: a listing at one of the channel's locations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The listing.
    pub listing: ListingId,
    /// The channel's location, [`ChannelLocation::only`] where it has one number per listing.
    pub location: ChannelLocation,
}

/// What a channel says of one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelReading {
    /// Which place.
    pub place: Place,
    /// The sellable quantity shown; `None` where the channel gave none or none that can be read: unknown, never 0.
    /// Negative numbers are kept (fault D4).
    pub quantity: Option<Units>,
}

/// What a channel says of one listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingReading {
    /// The channel's id.
    pub id: ListingId,
    /// The SKU as the channel has it, untouched; `None` where it has none.
    pub channel_sku: Option<String>,
    /// The listing's title or product name, for reports only.
    pub title: String,
    /// Whether its number may be written.
    pub writable: Writable,
    /// Listings that can share one write call have the same group (WooCommerce: the parent product; else empty).
    pub group: String,
    /// Its numbers, one per channel location.
    pub levels: Vec<LevelReading>,
}

/// Whether the channel lets anybody set a listing's number, as far as the listing itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writable {
    /// Yes.
    Yes,
    /// The channel doesn't count this listing (tracking off).
    Untracked,
    /// Its number is computed from others (a bundle made on the channel, a parent of variations).
    Computed,
    /// The listing has ended or is in the bin.
    Ended,
}

/// One page of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingsPage {
    /// The listings, complete with their levels.
    pub listings: Vec<ListingReading>,
    /// The next page, if there is one.
    pub next: Option<PageToken>,
    /// Rows that could not be read, each with the reason.
    pub rejected: Vec<String>,
}

/// Who the channel says we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account or shop id, to notice swapped credentials (fault O2).
    pub account: String,
    /// Its name, for people.
    pub name: String,
    /// The channel's active locations as (id, name); empty where it keeps one number per listing.
    pub locations: Vec<(ChannelLocation, String)>,
    /// Things worth a warning, such as an API version that was not served as asked.
    pub warnings: Vec<String>,
}
