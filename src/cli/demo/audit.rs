//! What the ledger says against what truly happened.

use std::path::Path;

use anyhow::Result;

use crate::{
    domain::{OrderId, Units},
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
    for sku in world.shelf().keys() {
        let truth = world.referee().truly_available(sku);
        let found = available.get(sku.as_str()).copied().unwrap_or_default();
        if found != truth {
            differences.push(format!("{sku}: {truth} available, by the ledger {found}"));
        }
    }
    differences.truncate(TOLD);
    Ok(Audit { differences, unknown_pushes: ledger.unknown_pushes()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::demo::{home::Home, street},
        domain::{
            CountBasis, CountRow, LineId, LineNet, LineSnapshot, LocationId, Operation, OrderSnapshot,
            Settings, UtcMs,
        },
        ledger::{Ledger, OrderRead},
        referee::Referee,
        sandbox::{setup, world::Accept},
    };

    /// A day with two orders of one unit of the first SKU in the first shop, and a ledger that has its opening stock.
    struct Day {
        home: Home,
        settings: Settings,
        ledger: Ledger,
        world: World,
        orders: Vec<u64>,
    }

    impl Day {
        fn new() -> Self {
            let sandbox = street::made_up(1);
            let (home, loaded) = Home::furnished(&sandbox);
            let settings = loaded.settings;
            let rows = sandbox.catalogue.stock.iter().map(|(sku, units)| CountRow {
                sku: sku.clone(),
                location: LocationId::new(LocationId::DEFAULT),
                quantity: *units,
                basis: CountBasis::OnHand,
                counted_at: UtcMs(0),
            });
            let count = Operation::Count { rows: rows.collect(), reason: "opening".into() };
            let ledger = Ledger::open(&home.ledger()).unwrap();
            ledger.operate(UtcMs(0), &settings, &count).unwrap().unwrap();
            let referee = Referee::new(sandbox.referee);
            let mut world = setup::world(UtcMs(0), referee, sandbox.shops, &sandbox.catalogue).unwrap();
            world.advance(UtcMs(1_000));
            let orders = (0..2).map(|_| world.place_order(0, &[(0, 1)], Accept::Shown).unwrap()).collect();
            Self { home, settings, ledger, world, orders }
        }

        fn book(&self, order: u64, ordered: i64) {
            let ordered = Units::of(ordered);
            let line = LineSnapshot {
                id: LineId::new("1"),
                listing: None,
                channel_sku: self.world.shops[0].listings[0].sku.clone(),
                location: None,
                net: LineNet { ordered, ..LineNet::default() },
                held: ordered,
            };
            let order = OrderSnapshot {
                id: OrderId::new(order.to_string()),
                number: "#1".into(),
                created_at: UtcMs(1_000),
                updated_at: UtcMs(1_000),
                lines: vec![line],
                unknown_state: None,
            };
            let channel = &self.settings.channels[0];
            self.ledger
                .ingest_order(UtcMs(2_000), &self.settings, channel, &order, 1, OrderRead::ById)
                .unwrap();
        }

        fn differences(&self) -> Vec<String> {
            compare(&self.world, &self.home.ledger()).unwrap().differences
        }
    }

    #[test]
    fn a_ledger_that_has_each_order_once_differs_in_nothing() {
        let day = Day::new();
        day.orders.iter().for_each(|order| day.book(*order, 1));
        assert_eq!(day.differences(), [""; 0]);
    }

    #[test]
    fn a_missing_order_is_told_with_the_units_it_lacks() {
        let day = Day::new();
        day.book(day.orders[0], 1);
        let differences = day.differences();
        assert_eq!(differences.len(), 2, "{differences:?}");
        assert!(differences[0].starts_with("order 1002 of web") && differences[1].starts_with("SKU-0001:"));
    }

    #[test]
    fn an_order_of_more_units_and_one_that_nobody_placed_are_told() {
        let day = Day::new();
        day.orders.iter().for_each(|order| day.book(*order, 2));
        day.book(1, 1);
        let differences = day.differences();
        assert_eq!(differences.len(), 4, "{differences:?}");
        assert!(differences[2].contains("never placed"));
    }

    #[test]
    fn units_that_went_twice_are_told_though_every_order_is_there() {
        let day = Day::new();
        day.orders.iter().for_each(|order| day.book(*order, 1));
        let twice = Operation::Adjust {
            sku: day.world.shelf().keys().next().unwrap().clone(),
            location: LocationId::new(LocationId::DEFAULT),
            delta: Units::of(-1),
            receipt: false,
            reason: "twice".into(),
        };
        day.ledger.operate(UtcMs(3_000), &day.settings, &twice).unwrap().unwrap();
        assert_eq!(day.differences().len(), 1);
    }
}
