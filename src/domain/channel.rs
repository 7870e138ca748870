//! What the engine and the channels say to each other.
//!
//! One [`Call`] is one request on the wire (a channel may need a second one where its API is split), so that the
//! engine's pacing is the channel's pacing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Identity, LevelReading, ListingsPage, OrderId, OrdersPage, PageToken, Place, Units, UtcMs};

/// A kind of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// Shopify, Admin GraphQL API.
    Shopify,
    /// WooCommerce, REST API v3.
    Woocommerce,
}

impl ChannelKind {
    /// Every kind, in the order they are listed to people.
    pub const ALL: [Self; 2] = [Self::Shopify, Self::Woocommerce];

    /// The name used in configuration and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shopify => "shopify",
            Self::Woocommerce => "woocommerce",
        }
    }
}

/// How a channel takes a quantity (CORRECTNESS.md section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteMode {
    /// Set to `value` only if the number still is `change_from`; safe against a sale in between.
    CompareAndSet,
    /// State that `value` units were there at `counted_at`: the channel takes off what it sold since; safe against a
    /// sale in between (Square physical counts).
    TimestampedCount,
    /// Set to `value`, whatever happened in between: needs a fence.
    Absolute,
    /// Replace the whole listing, all its numbers with it: needs a fence, and one write per listing at a time.
    WholeObject,
    /// Set to `value` some time after the reply: needs a fence, and what it overwrites is told by no reply.
    Feed,
}

impl WriteMode {
    /// Whether a sale between our last look and the landing of a write survives it.
    pub const fn is_sale_safe(self) -> bool {
        matches!(self, Self::CompareAndSet | Self::TimestampedCount)
    }
}

/// What a channel can do and what it costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capabilities {
    /// Its kind.
    pub kind: ChannelKind,
    /// How it takes quantities.
    pub write_mode: WriteMode,
    /// Rows per write call, at most.
    pub write_batch: usize,
    /// Places per quantity read, at most.
    pub read_batch: usize,
    /// Orders per read by id, at most.
    pub orders_by_id_batch: usize,
    /// Its published or configured limit.
    pub quota: Quota,
    /// Limits of single sorts of calls, where the channel counts these by themselves.
    pub own_quotas: OwnQuotas,
    /// What a call is expected to cost, until replies say better.
    pub costs: Costs,
    /// Calls in flight at one time, at most; at least 1.
    pub concurrency: usize,
    /// How long a write may take to show in a quantity read, in milliseconds.
    pub settle_ms: i64,
    /// How long after its reply a write may take effect, in milliseconds; 0 where the reply says it has.
    pub landing_ms: i64,
    /// How long a sale may stay out of quantity reads, in milliseconds.
    pub quantity_lag_ms: i64,
    /// How often a listing may be written in a day; `None`: without limit.
    pub revisions_per_day: Option<u32>,
    /// How long an idempotency key is honoured, in milliseconds; `None`: there are no keys.
    pub key_life_ms: Option<i64>,
    /// The longest time an order may take to become readable, in milliseconds.
    pub order_delay_ms: i64,
    /// How far an order poll reaches back behind the latest update seen, in milliseconds.
    pub order_overlap_ms: i64,
    /// The step of the channel's time stamps, in milliseconds.
    pub time_step_ms: i64,
}

/// Limits that a channel counts for one sort of calls alone; `None`: those calls draw on [`Capabilities::quota`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnQuotas {
    /// Of [`Call::Orders`]; reads by id are counted with the rest.
    pub orders: Option<Quota>,
    /// Of [`Call::Levels`].
    pub levels: Option<Quota>,
    /// Of [`Call::Write`].
    pub write: Option<Quota>,
}

/// A channel's rate limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quota {
    /// Calls per second in the long run, and how many may come at once.
    Calls {
        /// Calls per second, above 0.
        per_second: f64,
        /// Calls at once, at least 1.
        burst: u32,
    },
    /// A leaky bucket of points whose state the channel tells in each reply (Shopify).
    Points {
        /// The size of the bucket until a reply says it.
        maximum: f64,
        /// Points that flow back per second until a reply says it.
        restore_per_second: f64,
    },
}

/// What one call of each sort costs, in the unit of the quota (calls or points).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// [`Call::Identify`].
    pub identify: u32,
    /// [`Call::Orders`] and [`Call::OrdersById`].
    pub orders: u32,
    /// [`Call::Listings`].
    pub listings: u32,
    /// [`Call::Levels`].
    pub levels: u32,
    /// [`Call::Write`].
    pub write: u32,
}

/// A request to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Who are we, and which locations are there?
    Identify,
    /// Orders changed at or after `since` (the channel adapts an exclusive filter), oldest change first.
    Orders {
        /// By the channel's clock.
        since: UtcMs,
        /// `None` for the first page.
        page: Option<PageToken>,
    },
    /// These orders as they are now, at most `orders_by_id_batch`.
    OrdersById(Vec<OrderId>),
    /// The catalogue with its quantities.
    Listings {
        /// `None` for the first page.
        page: Option<PageToken>,
    },
    /// The numbers at these places, at most `read_batch`, of one group.
    Levels(Vec<Place>),
    /// Set numbers, at most `write_batch` rows, of one group. The same key and rows make the same bytes.
    Write {
        /// The idempotency key, a UUID; also the reference shown to the merchant where the channel has one.
        key: String,
        /// The rows.
        rows: Vec<WriteRow>,
    },
}

/// One number to set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteRow {
    /// Where.
    pub place: Place,
    /// What it should show, at least 0.
    pub value: Units,
    /// What it must still show for the write to happen; only for [`WriteMode::CompareAndSet`].
    pub change_from: Option<Units>,
    /// The instant, by the channel's clock, at which `value` units were there; only for
    /// [`WriteMode::TimestampedCount`]. It rises strictly per place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_at: Option<UtcMs>,
}

/// A reply to a [`Call`], of the same sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Call::Identify`].
    Identity(Identity),
    /// To [`Call::Orders`] and [`Call::OrdersById`].
    Orders(OrdersPage),
    /// To [`Call::Listings`].
    Listings(ListingsPage),
    /// To [`Call::Levels`]: one reading per place asked for that the channel answered.
    Levels(Vec<LevelReading>),
    /// To [`Call::Write`]: one outcome per row, in the order of the rows.
    Written(Vec<RowOutcome>),
}

/// What became of one row of a write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum RowOutcome {
    /// The channel took it.
    Applied,
    /// The number was not `change_from`; nothing was written.
    Conflict {
        /// What the channel said of it.
        detail: String,
    },
    /// The channel refused the row; nothing was written for it.
    Rejected {
        /// Code and message of the channel.
        detail: String,
    },
    /// Not written because another row of the same call was refused. Nothing is wrong with this row.
    NotTried,
    /// It may or may not have been written.
    Unknown {
        /// Why nobody knows.
        detail: String,
    },
}

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The channel asks to slow down. The call was surely not carried out.
    #[error("throttled: {detail}")]
    Throttled {
        /// How long it asks to wait, within sane bounds; `None` where it doesn't say.
        wait: Option<Duration>,
        /// What it said.
        detail: String,
    },
    /// Nothing was written; the same call may work later.
    #[error("{detail}")]
    Retry {
        /// What happened.
        detail: String,
    },
    /// A write whose fate nobody knows: a time-out, a reset, a 5xx, a reply that can't be read.
    #[error("outcome unknown: {detail}")]
    Unknown {
        /// What happened.
        detail: String,
    },
    /// The channel refused the call as a whole and would again.
    #[error("refused: {detail}")]
    Rejected {
        /// What it said.
        detail: String,
    },
    /// The credentials were refused.
    #[error("credentials refused: {detail}")]
    Auth {
        /// What it said.
        detail: String,
    },
}

/// What a reply said beside its content.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Meter {
    /// The server's own clock (its `Date` header), cut to the second as that header is.
    pub server_time: Option<UtcMs>,
    /// Points or calls left, where the channel tells.
    pub budget: Option<BudgetReading>,
    /// What the call was charged when it was asked for, where the channel tells.
    pub requested_cost: Option<f64>,
    /// Requests that went over the wire for this call; 0 if none left.
    pub requests: u32,
}

/// The state of a channel's bucket as its reply told it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetReading {
    /// Left right now.
    pub available: f64,
    /// The bucket's size.
    pub maximum: f64,
    /// What flows back per second.
    pub restore_per_second: f64,
}

/// The answer to a call: a reply or the reason why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The reply.
    pub result: Result<Reply, CallError>,
    /// What was said beside it.
    pub meter: Meter,
}
