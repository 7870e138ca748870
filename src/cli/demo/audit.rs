//! What the ledger says against what truly happened.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use crate::{
    domain::{OrderId, Sku, Units},
    ledger::{OrderTotals, Reader},
    sandbox::World,
};

/// Differences told, at most.
const TOLD: usize = 20;

/// What came of comparing.
pub(super) struct Audit {
    /// Where ledger and truth differ, readable; empty: every order is in the ledger exactly once.
    pub(super) differences: Vec<String>,
    /// Pushes of which nobody knows whether they took effect.
    pub(super) unknown_pushes: i64,
}

/// Compares order by order, then what is available of every SKU: an order that is there and booked, with sums that
/// agree, was booked once.
pub(super) fn compare(world: &World, ledger: &Path) -> Result<Audit> {
    let ledger = Reader::open(ledger)?;
    let mut held = ledger.order_totals()?;
    let mut differences = Vec::new();
    for shop in &world.shops {
        for record in shop.orders.values() {
            let order = &record.current;
            let ordered = Units::of(order.lines.iter().map(|line| line.quantity).sum());
            let truth = OrderTotals { ordered, unbooked_lines: 0 };
            let id = OrderId::new(order.id.to_string());
            let found = held.remove(&(shop.settings.id.clone(), id));
            if found != Some(truth) {
                differences.push(format!(
                    "order {} of {}: placed {truth:?}, in the ledger {found:?}",
                    order.number, shop.settings.id
                ));
            }
        }
    }
    differences
        .extend(held.keys().map(|(channel, order)| format!("order {order} of {channel} was never placed")));
    let available = ledger.available_by_sku()?;
    let skus: BTreeMap<&str, &Sku> = world.shelf().keys().map(|sku| (sku.as_str(), sku)).collect();
    for (name, sku) in skus {
        let truth = world.referee().truly_available(sku);
        let found = available.get(name).copied().unwrap_or_default();
        if found != truth {
            differences.push(format!("{name}: {truth} available, by the ledger {found}"));
        }
    }
    differences.truncate(TOLD);
    Ok(Audit { differences, unknown_pushes: ledger.unknown_pushes()? })
}
