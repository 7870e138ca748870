//! What has happened to a line, out of the order's status and the marks that stock leaves on the line. Pure.

use crate::domain::{LineNet, Units};

/// Everything a site says of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Units ordered; refunds don't change it.
    pub(super) quantity: Units,
    /// `_reduced_stock`: units by which the line lowers the site's number now. Absent where it lowers nothing.
    pub(super) reduced: Option<Units>,
    /// `_restock_refunded_items`: units that refunds put back.
    pub(super) refunded_back: Units,
}

/// What an order's status means for its stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Sold, not gone yet; also what a status never seen before is taken for.
    Open,
    /// Gone.
    Shipped,
    /// Paid back by status alone: puts nothing back, and has left the shelf if it was ever completed.
    Refunded,
    /// Off: what the site put back is back.
    Cancelled,
    /// No sale, unless the line still lowers the number (paid, then failed; binned).
    Dead,
}

impl Stage {
    /// The stage of a status; `None` for one that WooCommerce doesn't have (a plug-in's).
    pub(super) fn of(status: &str) -> Option<Self> {
        Some(match status {
            "on-hold" | "processing" => Self::Open,
            "completed" => Self::Shipped,
            "refunded" => Self::Refunded,
            "cancelled" => Self::Cancelled,
            "pending" | "checkout-draft" | "auto-draft" | "failed" | "trash" => Self::Dead,
            _ => return None,
        })
    }
}

impl Facts {
    /// The net of the line; `completed`: the order has been completed at some time.
    pub(super) fn net(&self, stage: Stage, completed: bool) -> LineNet {
        let held = self.held();
        let quantity = self.quantity.max(held);
        // A line that was taken off the books gives back all that it doesn't hold any more; a live one what refunds
        // say, for without stock management there is no mark to go by.
        let (sold, back) = match stage {
            Stage::Open | Stage::Shipped | Stage::Refunded => (true, self.refunded_back),
            Stage::Cancelled => (true, quantity - held),
            Stage::Dead => (held > Units::ZERO, quantity - held),
        };
        let left_the_shelf = match stage {
            Stage::Open => false,
            Stage::Shipped => true,
            Stage::Refunded | Stage::Cancelled | Stage::Dead => completed,
        };
        match (sold, left_the_shelf) {
            (false, _) => LineNet::default(),
            (true, false) => LineNet { ordered: quantity, cancelled: back, ..LineNet::default() },
            (true, true) => {
                LineNet { ordered: quantity, shipped: quantity, restocked: back, ..LineNet::default() }
            }
        }
        .possible()
    }

    /// By how many units the line lowers the site's number now.
    pub(super) fn held(&self) -> Units {
        self.reduced.unwrap_or_default().at_least_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(ordered: i64, cancelled: i64, shipped: i64, restocked: i64) -> LineNet {
        LineNet {
            ordered: Units::of(ordered),
            cancelled: Units::of(cancelled),
            shipped: Units::of(shipped),
            restocked: Units::of(restocked),
        }
    }

    #[test]
    fn the_stages_of_a_line() {
        for (what, quantity, reduced, back, stage, completed, expected) in [
            ("open", 3, Some(3), 0, Stage::Open, false, net(3, 0, 0, 0)),
            ("open without stock management", 3, None, 0, Stage::Open, false, net(3, 0, 0, 0)),
            ("d13 open, one refunded and back", 3, Some(2), 1, Stage::Open, false, net(3, 1, 0, 0)),
            ("d14 open, refunded without restock", 3, Some(3), 0, Stage::Open, false, net(3, 0, 0, 0)),
            ("shipped", 4, Some(4), 0, Stage::Shipped, true, net(4, 0, 4, 0)),
            ("shipped, one back", 4, Some(3), 1, Stage::Shipped, true, net(4, 0, 4, 1)),
            ("refunded by status, shipped before", 4, Some(4), 0, Stage::Refunded, true, net(4, 0, 4, 0)),
            ("refunded by status, never shipped", 4, Some(4), 0, Stage::Refunded, false, net(4, 0, 0, 0)),
            ("cancelled", 5, None, 0, Stage::Cancelled, false, net(5, 5, 0, 0)),
            (
                "cancelled, the stock not put back yet",
                5,
                Some(5),
                0,
                Stage::Cancelled,
                false,
                net(5, 0, 0, 0),
            ),
            ("cancelled after shipping", 5, None, 0, Stage::Cancelled, true, net(5, 0, 5, 5)),
            ("pending", 3, None, 0, Stage::Dead, false, net(0, 0, 0, 0)),
            ("paid, then failed", 5, Some(5), 0, Stage::Dead, false, net(5, 0, 0, 0)),
            ("paid, one back, then binned", 5, Some(4), 1, Stage::Dead, false, net(5, 1, 0, 0)),
        ] {
            let facts = Facts {
                quantity: Units::of(quantity),
                reduced: reduced.map(Units::of),
                refunded_back: Units::of(back),
            };
            assert_eq!(facts.net(stage, completed), expected, "{what}");
            assert_eq!(facts.held(), Units::of(reduced.unwrap_or(0)), "{what}");
        }
    }
}
