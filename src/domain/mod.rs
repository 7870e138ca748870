//! Plain values and pure functions: what the other layers talk about.
//!
//! No clock, no I/O, no randomness, no SQL. Every other module may use this one; it uses none.

pub mod channel;
pub mod demand;
pub mod ids;
pub mod listing;
pub mod operator;
pub mod order;
pub mod policy;
pub mod quantity;
pub mod settings;
pub mod sku;
pub mod time;

pub use channel::{
    Answer, BudgetReading, Call, CallError, Capabilities, ChannelKind, Costs, Meter, OwnQuotas, Quota, Reply,
    RowOutcome, WriteMode, WriteRow,
};
pub use ids::{ChannelId, ChannelLocation, LineId, ListingId, LocationId, OrderId, PageToken};
pub use listing::{Identity, LevelReading, ListingReading, ListingsPage, Place};
pub use operator::{CountBasis, CountRow, Operation};
pub use order::{LineNet, LineSnapshot, OrderSnapshot, OrdersPage};
pub use policy::{Buffer, Calculation, Percent, Policies, Policy};
pub use quantity::{OutOfRange, Units};
pub use settings::{Bundle, Cadence, ChannelSettings, Component, Mode, Settings};
pub use sku::{BadSku, Sku};
pub use time::{Now, UtcMs};
