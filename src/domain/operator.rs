//! What a person may ask of the ledger. Each carries a reason and becomes one transaction.

use serde::{Deserialize, Serialize};

use super::{ChannelId, LocationId, Sku, Units, UtcMs};

/// An operator's request, as the CLI writes it and the engine applies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "op")]
pub enum Operation {
    /// Stock was counted. Movements after `counted_at` apply on top; all rows or none.
    Count {
        /// What was counted.
        rows: Vec<CountRow>,
        /// Why, and from which file or channel.
        reason: String,
    },
    /// Units came or went: breakage, a find, a delivery.
    Adjust {
        /// Which SKU.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// How many more (or, negative, fewer).
        delta: Units,
        /// Whether it is a delivery (kind `receipt`) rather than a correction (kind `adjustment`).
        receipt: bool,
        /// Why.
        reason: String,
    },
    /// Stop changing a channel's numbers, or those of one SKU on it.
    Pause {
        /// Which channel.
        channel: ChannelId,
        /// Only this SKU.
        sku: Option<Sku>,
        /// Show 0 instead of holding what is shown.
        zero: bool,
        /// Why.
        reason: String,
    },
    /// End a pause.
    Resume {
        /// Which channel.
        channel: ChannelId,
        /// Only this SKU's pause.
        sku: Option<Sku>,
        /// Why.
        reason: String,
    },
    /// Let the pushes go that the brake holds.
    Release {
        /// Which channel.
        channel: ChannelId,
        /// Why.
        reason: String,
    },
    /// Settle a quarantined order line: try again, or drop it for good.
    Quarantine {
        /// The quarantine entry's id.
        id: i64,
        /// What to do.
        action: QuarantineAction,
        /// Why.
        reason: String,
    },
}

/// What to do with a quarantined order line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuarantineAction {
    /// Look its SKU up again.
    Retry,
    /// Book it on this SKU.
    Book(Sku),
    /// Never book it.
    Drop,
}

/// One row of a count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountRow {
    /// What was counted.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many, at least 0 for `on_hand`.
    pub quantity: Units,
    /// What the number means.
    pub basis: CountBasis,
    /// When it was counted.
    pub counted_at: UtcMs,
}

/// What a counted number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountBasis {
    /// Units on the shelf, those of open orders still among them.
    OnHand,
    /// Units free to sell, open orders already taken off.
    Available,
}

impl CountBasis {
    /// The name used in files and in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OnHand => "on_hand",
            Self::Available => "available",
        }
    }
}
