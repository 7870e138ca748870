//! Orders as state: whole snapshots, and per line the net of everything that has happened to it.

use serde::{Deserialize, Serialize};

use super::{ChannelLocation, LineId, ListingId, OrderId, PageToken, Units, UtcMs};

/// One order as the channel shows it now, with all its lines.
///
/// A channel that could not read every line of an order must not make a snapshot of it: a line that is absent here
/// counts as zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrderSnapshot {
    /// The channel's id.
    pub id: OrderId,
    /// The number that the seller sees, such as `#1001`.
    pub number: String,
    /// When it was placed, by the channel's clock.
    pub created_at: UtcMs,
    /// When the channel last changed it, by its clock. An older snapshot never replaces a newer one.
    pub updated_at: UtcMs,
    /// Every line, without repetition of `line_id`.
    pub lines: Vec<LineSnapshot>,
    /// A state the channel has never shown before, by its name: counted as sold and reported (fault D12).
    pub unknown_state: Option<String>,
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LineSnapshot {
    /// The channel's id of the line.
    pub id: LineId,
    /// What was sold, by the channel's id; `None` for a line without one (a custom item, a deleted product).
    pub listing: Option<ListingId>,
    /// The SKU as the line carries it, for reports and as a second way to find the listing.
    pub channel_sku: Option<String>,
    /// The channel location that lost the units, where the channel says so.
    pub location: Option<ChannelLocation>,
    /// What has happened to the line, all told.
    pub net: LineNet,
    /// By how many units this line lowers the channel's own number right now: sold there and not put back by the
    /// channel itself.
    pub held: Units,
}

/// The net of a line: what has happened to it since it was ordered. Movements are differences of two of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineNet {
    /// Units ordered, with later additions.
    pub ordered: Units,
    /// Units taken off the order before they left the shelf.
    pub cancelled: Units,
    /// Units that left the shelf.
    pub shipped: Units,
    /// Units that left the shelf and are back on it, on evidence.
    pub restocked: Units,
}

impl LineNet {
    /// The same net with impossible parts cut down: nothing negative, `cancelled + shipped <= ordered` with shipped
    /// units first (they are gone for sure), `restocked <= shipped`.
    #[must_use]
    pub fn possible(self) -> Self {
        let ordered = self.ordered.at_least_zero();
        let shipped = self.shipped.at_least_zero().min(ordered);
        let cancelled = self.cancelled.at_least_zero().min(ordered - shipped);
        let restocked = self.restocked.at_least_zero().min(shipped);
        Self { ordered, cancelled, shipped, restocked }
    }

    /// The same net with every open unit shipped.
    #[must_use]
    pub fn all_shipped(self) -> Self {
        Self { shipped: self.ordered - self.cancelled, ..self }
    }

    /// Units that the line keeps from being sold: ordered, and neither cancelled nor back on the shelf.
    pub fn taken(self) -> Units {
        self.ordered - self.cancelled - self.restocked
    }

    /// Units ordered and neither cancelled nor shipped: what the line adds to `committed`.
    pub fn open(self) -> Units {
        self.ordered - self.cancelled - self.shipped
    }

    /// What the line has added to `on_hand`: minus what was shipped, plus what came back.
    pub fn on_hand(self) -> Units {
        self.restocked - self.shipped
    }
}

/// One page of orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrdersPage {
    /// Whole orders.
    pub orders: Vec<OrderSnapshot>,
    /// The next page, if there is one.
    pub next: Option<PageToken>,
    /// Orders or lines on the page that could not be read, each with the reason: they move nothing and are reported.
    pub rejected: Vec<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_possible_net_is_within_bounds_and_possible_again(
            o in -5_i64..50, c in -5_i64..50, s in -5_i64..50, r in -5_i64..50,
        ) {
            let net = LineNet {
                ordered: Units::of(o),
                cancelled: Units::of(c),
                shipped: Units::of(s),
                restocked: Units::of(r),
            }
            .possible();
            prop_assert!(net.open() >= Units::ZERO);
            prop_assert!(net.restocked >= Units::ZERO && net.restocked <= net.shipped);
            prop_assert_eq!(net.possible(), net);
        }
    }
}
