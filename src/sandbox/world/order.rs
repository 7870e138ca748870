//! Orders and what happens to them, in the terms of both kinds of channel.

use crate::domain::UtcMs;

/// The state of a whole order. WooCommerce shows it by these names; Shopify has no such state and tells it by fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Paid or to be paid on delivery, not shipped. Shopify: open.
    Processing,
    /// All that was not cancelled is shipped.
    Completed,
    /// Cancelled.
    Cancelled,
    /// WooCommerce: paid back in full by status alone; nothing went back to stock.
    Refunded,
    /// WooCommerce: payment failed after the stock was lowered; it stays lowered (exchange "processing -> failed").
    Failed,
}

impl Status {
    /// WooCommerce's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Refunded => "refunded",
            Self::Failed => "failed",
        }
    }
}

/// An order.
#[derive(Clone, Debug)]
pub struct Order {
    /// The shop's id.
    pub id: u64,
    /// The number that people see, without any mark before it.
    pub number: u64,
    /// When it was placed.
    pub created_at: UtcMs,
    /// When it last changed.
    pub updated_at: UtcMs,
    /// See [`Status`].
    pub status: Status,
    /// When it was cancelled.
    pub cancelled_at: Option<UtcMs>,
    /// When all of it was shipped.
    pub completed_at: Option<UtcMs>,
    /// Its lines. WooCommerce drops a line that is removed; Shopify keeps it with 0.
    pub lines: Vec<Line>,
    /// What was shipped when.
    pub fulfilments: Vec<Fulfilment>,
    /// What was taken back, oldest first.
    pub refunds: Vec<Refund>,
    /// Whether a line was changed after it was placed.
    pub edited: bool,
}

/// A line of an order.
#[derive(Clone, Debug)]
pub struct Line {
    /// The shop's id of it.
    pub id: u64,
    /// What was sold, by its index in the shop.
    pub listing: usize,
    /// Which location gave the units, by its index.
    pub location: usize,
    /// Pieces ordered, later additions included. WooCommerce lowers it when the line is edited down, Shopify doesn't.
    pub quantity: i64,
    /// Pieces taken off before they were shipped.
    pub removed: i64,
    /// Pieces shipped.
    pub shipped: i64,
    /// Pieces paid back after shipping.
    pub returned: i64,
    /// Pieces by which the line still lowers the number. WooCommerce: line meta `_reduced_stock`, absent when 0.
    pub reduced: i64,
    /// WooCommerce: line meta `_restock_refunded_items`, the pieces that refunds put back; absent when 0.
    pub restock_refunded: i64,
}

impl Line {
    /// Pieces neither shipped nor taken off.
    pub const fn open(&self) -> i64 {
        self.quantity - self.removed - self.shipped
    }
}

/// A parcel.
#[derive(Clone, Debug)]
pub struct Fulfilment {
    /// The shop's id of it.
    pub id: u64,
    /// When it left.
    pub at: UtcMs,
    /// Per line: its own id, the line's index, pieces.
    pub lines: Vec<(u64, usize, i64)>,
}

/// Pieces paid back or cancelled.
#[derive(Clone, Debug)]
pub struct Refund {
    /// The shop's id of it.
    pub id: u64,
    /// When it was made.
    pub at: UtcMs,
    /// Why.
    pub reason: String,
    /// Which pieces.
    pub lines: Vec<RefundLine>,
}

/// Pieces of one line paid back.
#[derive(Clone, Debug)]
pub struct RefundLine {
    /// The shop's id of it.
    pub id: u64,
    /// Which line, by its index.
    pub line: usize,
    /// Pieces.
    pub quantity: i64,
    /// Shopify's `restockType`: `CANCEL`, `RETURN` or `NO_RESTOCK`.
    pub restock: &'static str,
    /// Whether they went back to the line's location.
    pub restocked: bool,
}
