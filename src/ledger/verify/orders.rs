//! Orders: what each line has applied is what it should have, and its movements add up to that.

use std::cmp::Ordering;

use rusqlite::{Row, Rows};

use super::{Invariant, VerifyReport, balances::Held};
use crate::{
    domain::{LineNet, Units},
    ledger::{Reader, Result},
};

impl Reader {
    /// Each line's parts against its net, and the net against its bounds.
    pub(super) fn check_order_lines(&self, report: &mut VerifyReport) -> Result<()> {
        let mut statement = self.conn.prepare(
            "SELECT l.channel || ' order ' || h.number || ' line ' || l.line_id, l.ordered, l.cancelled, l.shipped, \
             l.restocked, l.largest, l.state, p.sku, p.units, p.base_on_hand, p.applied_on_hand, p.applied_committed \
             FROM order_line l JOIN order_head h ON h.channel = l.channel AND h.order_id = l.order_id \
             LEFT JOIN order_line_part p ON p.line = l.id",
        )?;
        let mut rows = statement.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            for (invariant, detail) in [bound_fault(row)?, applied_fault(row)?].into_iter().flatten() {
                report.problem(invariant, row.get(0)?, detail);
            }
        }
        report.checked(Invariant::RestockBound, count, "order line parts");
        report.checked(Invariant::ExactlyOnce, count, "order line parts");
        Ok(())
    }

    /// The movements of each order against what its lines say they have applied. Both sides come sorted by the
    /// database, which keeps what doesn't fit into memory on disk.
    pub(super) fn check_order_movements(&self, report: &mut VerifyReport) -> Result<()> {
        let mut moved = self.conn.prepare(
            "SELECT channel, order_ref, sku, location, sum(on_hand_delta), sum(committed_delta) FROM movement \
             WHERE order_ref IS NOT NULL AND channel IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        )?;
        let mut applied = self.conn.prepare(
            "SELECT l.channel, l.order_id, p.sku, p.location, sum(p.applied_on_hand), sum(p.applied_committed) \
             FROM order_line l JOIN order_line_part p ON p.line = l.id GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        )?;
        let (mut moved, mut applied) = (Sums::new(moved.query([])?)?, Sums::new(applied.query([])?)?);
        let mut count = 0;
        loop {
            let side = match (&moved.next, &applied.next) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(moved), Some(applied)) => moved.key.cmp(&applied.key),
            };
            count += 1;
            let moved = if side.is_le() { moved.take()? } else { None };
            let applied = if side.is_ge() { applied.take()? } else { None };
            let held = |sum: &Option<Sum>| sum.as_ref().map_or(Held::default(), |sum| sum.held);
            let (by_movements, by_lines) = (held(&moved), held(&applied));
            if by_movements != by_lines
                && let Some(Sum { key: [channel, order, sku, location], .. }) = moved.or(applied)
            {
                report.problem(
                    Invariant::ExactlyOnce,
                    format!("{channel} order id {order}, SKU {sku} at {location}"),
                    format!(
                        "its movements add up to on hand {}, committed {}; its lines have applied {} and {}",
                        by_movements.on_hand, by_movements.committed, by_lines.on_hand, by_lines.committed
                    ),
                );
            }
        }
        report.checked(Invariant::ExactlyOnce, count, "SKUs of orders");
        Ok(())
    }
}

fn net(row: &Row<'_>) -> rusqlite::Result<LineNet> {
    Ok(LineNet { ordered: row.get(1)?, cancelled: row.get(2)?, shipped: row.get(3)?, restocked: row.get(4)? })
}

fn bound_fault(row: &Row<'_>) -> Result<Option<(Invariant, String)>> {
    let (net, largest): (LineNet, Units) = (net(row)?, row.get(5)?);
    let possible = net == net.possible() && net.ordered <= largest;
    Ok((!possible).then(|| {
        let LineNet { ordered, cancelled, shipped, restocked } = net;
        let detail = format!(
            "ordered {ordered} (at most {largest} ever), cancelled {cancelled}, shipped {shipped}, restocked \
             {restocked} can't be"
        );
        (Invariant::RestockBound, detail)
    }))
}

fn applied_fault(row: &Row<'_>) -> Result<Option<(Invariant, String)>> {
    let (state, sku): (String, Option<String>) = (row.get(6)?, row.get(7)?);
    let fault = match sku {
        None if state != "applied" => None,
        None => Some("it counts as applied, yet nothing says to which SKU".into()),
        Some(sku) if state != "applied" => {
            Some(format!("it is {state}, yet it has applied stock of SKU {sku}"))
        }
        Some(sku) => {
            let (net, units, base): (LineNet, Units, Units) = (net(row)?, row.get(8)?, row.get(9)?);
            let applied: (Units, Units) = (row.get(10)?, row.get(11)?);
            let right = (units.times(net.on_hand()) + base, units.times(net.open()));
            (applied != right).then(|| {
                format!(
                    "it has applied {} to on hand and {} to committed of SKU {sku}; its latest snapshot makes that {} \
                     and {}",
                    applied.0, applied.1, right.0, right.1
                )
            })
        }
    };
    Ok(fault.map(|detail| (Invariant::ExactlyOnce, detail)))
}

/// What one order did to one SKU at one location.
struct Sum {
    key: [String; 4],
    held: Held,
}

struct Sums<'a> {
    rows: Rows<'a>,
    next: Option<Sum>,
}

impl<'a> Sums<'a> {
    fn new(rows: Rows<'a>) -> Result<Self> {
        let mut sums = Self { rows, next: None };
        sums.take()?;
        Ok(sums)
    }

    /// The sum at hand; steps on.
    fn take(&mut self) -> Result<Option<Sum>> {
        let next = match self.rows.next()? {
            None => None,
            Some(row) => Some(Sum {
                key: [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?],
                held: Held { on_hand: row.get(4)?, committed: row.get(5)? },
            }),
        };
        Ok(std::mem::replace(&mut self.next, next))
    }
}
