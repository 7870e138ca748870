//! What has happened to a line, out of its quantities, refunds and fulfilments. Pure.

use std::collections::HashMap;

use crate::domain::{LineNet, Units};

/// Everything a shop says of one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Units ordered, with those refunded or removed since.
    pub(super) quantity: Units,
    /// Units ordered, without them.
    pub(super) current: Units,
    /// Units in fulfilments that succeeded.
    pub(super) fulfilled: Units,
    /// What refunds did.
    pub(super) refunds: Refunds,
}

/// The units of a line's refunds, by what the shop did with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Refunds {
    /// All of them.
    pub(super) units: Units,
    /// Put back before they were fulfilled (`CANCEL`, and `LEGACY_RESTOCK`, which doesn't say).
    pub(super) cancelled: Units,
    /// Put back after they were fulfilled (`RETURN`).
    pub(super) returned: Units,
}

impl Facts {
    /// Units that the shop put back on its own number. Units an edit removed are those missing in `current` that no
    /// refund explains; refunds without restock put nothing back.
    fn put_back(&self) -> (Units, Units) {
        let edited = (self.quantity - self.current - self.refunds.units).at_least_zero();
        (self.refunds.cancelled + edited, self.refunds.returned)
    }

    /// The net of the line.
    ///
    /// What the shop put back counts in full even where its kind doesn't fit the fulfilments (a cancelled fulfilment
    /// whose units were returned): what is too many for one kind goes to the other.
    pub(super) fn net(&self) -> LineNet {
        let shipped = self.fulfilled.min(self.quantity);
        let unshipped = self.quantity - shipped;
        let (cancelled, returned) = self.put_back();
        let restocked = (returned + (cancelled - unshipped).at_least_zero()).min(shipped);
        let cancelled = (cancelled + (returned - shipped).at_least_zero()).min(unshipped);
        LineNet { ordered: self.quantity, cancelled, shipped, restocked }.possible()
    }

    /// By how many units the line lowers the shop's number now.
    pub(super) fn held(&self) -> Units {
        let (cancelled, returned) = self.put_back();
        (self.quantity - cancelled - returned).at_least_zero()
    }
}

/// The refunds of an order, by line.
#[derive(Debug, Default)]
pub(super) struct RefundsByLine(HashMap<String, Refunds>);

impl RefundsByLine {
    /// Adds a refund line. `false`: a restock type never seen before, taken as not put back.
    pub(super) fn add(&mut self, line: String, units: Units, restock_type: &str, restocked: bool) -> bool {
        let refunds = self.0.entry(line).or_default();
        refunds.units += units;
        match restock_type {
            "CANCEL" | "LEGACY_RESTOCK" if restocked => refunds.cancelled += units,
            "RETURN" if restocked => refunds.returned += units,
            "CANCEL" | "LEGACY_RESTOCK" | "RETURN" | "NO_RESTOCK" => {}
            _ => return false,
        }
        true
    }

    /// What happened to one line.
    pub(super) fn of(&self, line: &str) -> Refunds {
        self.0.get(line).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(quantity: i64, current: i64, fulfilled: i64, refunds: [i64; 3]) -> Facts {
        let [units, cancelled, returned] = refunds.map(Units::of);
        Facts {
            quantity: Units::of(quantity),
            current: Units::of(current),
            fulfilled: Units::of(fulfilled),
            refunds: Refunds { units, cancelled, returned },
        }
    }

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
        for (what, facts, expected, held) in [
            ("new", facts(3, 3, 0, [0, 0, 0]), net(3, 0, 0, 0), 3),
            ("d13 partly cancelled", facts(3, 2, 0, [1, 1, 0]), net(3, 1, 0, 0), 2),
            ("d14 refunded without restock", facts(3, 2, 0, [1, 0, 0]), net(3, 0, 0, 0), 3),
            ("d15 edited down", facts(3, 1, 0, [0, 0, 0]), net(3, 2, 0, 0), 1),
            ("edited down and refunded", facts(5, 2, 0, [1, 0, 0]), net(5, 2, 0, 0), 3),
            ("shipped", facts(3, 3, 3, [0, 0, 0]), net(3, 0, 3, 0), 3),
            ("shipped, one back", facts(3, 2, 3, [1, 0, 1]), net(3, 0, 3, 1), 2),
            ("shipped, one refunded but kept", facts(3, 2, 3, [1, 0, 0]), net(3, 0, 3, 0), 3),
            ("part shipped, rest cancelled", facts(3, 2, 2, [1, 1, 0]), net(3, 1, 2, 0), 2),
            ("legacy restock after shipping", facts(2, 1, 2, [1, 1, 0]), net(2, 0, 2, 1), 1),
            ("returned though no fulfilment stands", facts(2, 1, 0, [1, 0, 1]), net(2, 1, 0, 0), 1),
        ] {
            assert_eq!((facts.net(), facts.held()), (expected, Units::of(held)), "{what}");
        }
    }

    proptest! {
        #[test]
        fn what_the_shop_put_back_is_what_the_ledger_gets_back(
            quantity in 0_i64..30, fulfilled in 0_i64..30, cancelled in 0_i64..15, returned in 0_i64..15, kept in 0_i64..5,
        ) {
            prop_assume!(cancelled + returned + kept <= quantity && fulfilled <= quantity);
            let units = cancelled + returned + kept;
            let facts = facts(quantity, quantity - units, fulfilled, [units, cancelled, returned]);
            let net = facts.net();
            prop_assert_eq!(net.possible(), net);
            let taken = net.ordered - net.cancelled - net.restocked;
            prop_assert_eq!(taken, facts.held());
        }
    }
}
