//! The validated configuration, as far as the engine and its readers need it. No secrets, no addresses.

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};

use super::{Capabilities, ChannelId, ChannelLocation, LocationId, Percent, Policies, Sku, Units};

/// Everything the engine is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ledger file.
    pub ledger: PathBuf,
    /// The channels, in the order of the file.
    pub channels: Vec<ChannelSettings>,
    /// The policy rules.
    pub policies: Policies,
    /// Listings made of several units or SKUs.
    pub bundles: Vec<Bundle>,
    /// When the brake engages.
    pub brake: BrakeSettings,
}

/// One channel as the engine sees it.
#[derive(Clone, Debug)]
pub struct ChannelSettings {
    /// Its id.
    pub id: ChannelId,
    /// Whether its numbers may be written.
    pub mode: Mode,
    /// What it can do.
    pub capabilities: Capabilities,
    /// How often orders are read.
    pub orders: Cadence,
    /// When the whole catalogue is read.
    pub scan: Cadence,
    /// When the orders of the last [`ChannelSettings::history`] are read again.
    pub sweep: Cadence,
    /// How far back orders are read at first contact and by the sweep.
    pub history: Duration,
    /// Ledger locations and the channel location that stands for each. Empty: all ledger stock is at the channel's
    /// only location.
    pub locations: Vec<(LocationId, ChannelLocation)>,
    /// Where this channel's orders commit stock when the order names no location.
    pub order_location: LocationId,
    /// After how long an open order counts as shipped, on a channel that never says so; `None`: never.
    pub assume_shipped_after: Option<Duration>,
}

/// Whether a channel's numbers may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Read, plan, report; write nothing. The default.
    Observe,
    /// Keep the channel's numbers right.
    Push,
}

impl Mode {
    /// The name used in configuration and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Push => "push",
        }
    }
}

/// The shortest time between two polls of a channel that are made as often as its limits allow.
pub const POLITE: Duration = Duration::from_secs(2);

/// When something recurs.
#[derive(Clone, Debug, PartialEq)]
pub enum Cadence {
    /// After each end, this much later.
    Every(Duration),
    /// By a cron expression, UTC.
    Cron(Box<cron::Schedule>),
    /// As often as the channel's limits allow after pushes have their share, politely.
    Auto,
}

impl Cadence {
    /// The time until the next turn, counted from `now`; `None` if it never comes.
    pub fn wait_from(&self, now: DateTime<Utc>) -> Option<Duration> {
        match self {
            Self::Every(every) => Some(*every),
            Self::Auto => Some(POLITE),
            Self::Cron(schedule) => schedule.after(&now).next().and_then(|next| (next - now).to_std().ok()),
        }
    }
}

/// A listing made of units of one or more SKUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The SKU that the listing carries on the channel.
    pub channel_sku: Sku,
    /// Only on this channel; `None`: wherever the SKU is listed.
    pub channel: Option<ChannelId>,
    /// What one piece is made of; at least one, no SKU twice.
    pub components: Vec<Component>,
}

/// A part of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The ledger's SKU.
    pub sku: Sku,
    /// Units per piece, at least 1.
    pub units: Units,
}

/// When a plan is so large that a person should look first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrakeSettings {
    /// The share of a channel's managed listings that may change without a sale that explains it.
    pub share: Percent,
    /// Never below this many listings, so that a small shop is not stopped by three corrections.
    pub min_listings: u32,
}
