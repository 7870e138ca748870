//! Stock for a history that says nothing of it: a weekly review with one week of lead time, ordering up to two weeks'
//! mean demand and half a standard deviation, so that items do run low.

use super::{Event, History, Restock};
use crate::domain::{Units, UtcMs};

const WEEK_MS: i64 = 7 * 86_400_000;
/// Weeks of demand that an order looks back on.
const LOOK_BACK: usize = 8;
/// Weeks from its first sale for which an item is ordered by what it will sell.
const LAUNCH: usize = 4;

/// Makes up opening stock and deliveries.
pub(super) fn stock(history: &mut History) {
    history.made_up_stock = true;
    let events = history.events(|event| history.at(event));
    let Some((first, _)) = events.first() else { return };
    let start = monday_six(*first);
    let week_of = |at: UtcMs| usize::try_from(at.since(start).div_euclid(WEEK_MS)).unwrap_or(0);
    let weeks = events.last().map_or(0, |(at, _)| week_of(*at)) + 1;
    let mut demand = vec![vec![0_i64; weeks]; history.skus.len()];
    for (at, event) in &events {
        match event {
            Event::Order(ix) => {
                for line in &history.lines[history.orders[*ix].lines.clone()] {
                    demand[line.sku][week_of(*at)] += line.units;
                }
            }
            Event::Back(ix) if !history.backs[*ix].returned => {
                let back = &history.backs[*ix];
                demand[back.sku][week_of(*at)] -= back.units;
            }
            Event::Back(_) | Event::Restock(_) => {}
        }
    }
    let mut restocks = Vec::new();
    for (sku, demand) in demand.iter().enumerate() {
        let mut deliver = |week: usize, units: i64| {
            let weeks = i64::try_from(week).unwrap_or(0);
            if units > 0 {
                restocks.push(Restock { at: start.plus_ms(weeks * WEEK_MS), sku, units });
            }
        };
        history.opening[sku] = Units::of(supply(demand, &mut deliver));
    }
    restocks.sort_by_key(|restock| (restock.at, restock.sku));
    history.restocks = restocks;
}

/// Plans the deliveries of one SKU; gives its opening stock.
fn supply(demand: &[i64], deliver: &mut impl FnMut(usize, i64)) -> i64 {
    let sold = |week: usize| demand[week].max(0);
    let Some(first) = (0..demand.len()).find(|week| demand[*week] != 0) else { return 0 };
    let span = |from: usize, to: usize| -> Vec<i64> { (from..to.min(demand.len())).map(sold).collect() };
    let launch = up_to(&span(first, first + LAUNCH));
    let opening = if first <= 1 { launch } else { 0 };
    if first > 1 {
        deliver(first, launch);
    }
    let (mut book, mut on_order) = (launch, 0);
    for week in first..demand.len().saturating_sub(1) {
        book += std::mem::take(&mut on_order);
        if week > first {
            let seen = if week - first < LAUNCH {
                span(first, first + LAUNCH)
            } else {
                span(first.max(week.saturating_sub(LOOK_BACK)), week)
            };
            on_order = (up_to(&seen) - book).max(0);
            deliver(week + 1, on_order);
        }
        book -= sold(week).min(book);
    }
    opening
}

/// Two weeks' mean demand and half a standard deviation over them.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "units of one week")]
fn up_to(weeks: &[i64]) -> i64 {
    let count = weeks.len().max(1) as f64;
    let mean = weeks.iter().sum::<i64>() as f64 / count;
    let variance = weeks.iter().map(|units| (*units as f64 - mean).powi(2)).sum::<f64>() / count;
    (2.0 * mean + 0.5 * variance.sqrt() * std::f64::consts::SQRT_2).ceil() as i64
}

/// The last Monday, 06:00 UTC, at or before an instant.
fn monday_six(at: UtcMs) -> UtcMs {
    // 1970 began on a Thursday.
    let monday = 4 * 86_400_000 + 6 * 3_600_000;
    UtcMs(at.0 - (at.0 - monday).rem_euclid(WEEK_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_monday_at_six() {
        let monday = UtcMs::parse_rfc3339("2010-11-22T06:00:00Z").unwrap();
        assert_eq!(monday_six(monday), monday);
        assert_eq!(monday_six(monday.plus_ms(-1)), monday.plus_ms(-WEEK_MS));
        assert_eq!(monday_six(UtcMs::parse_rfc3339("2010-11-25T14:03:00Z").unwrap()), monday);
    }

    #[test]
    fn an_item_that_sells_evenly_is_ordered_for_two_weeks() {
        let mut came = Vec::new();
        let opening = supply(&[10, 10, 10, 10, 10, 10], &mut |week, units| came.push((week, units)));
        assert_eq!(opening, 20);
        assert_eq!(came.iter().map(|(week, _)| *week).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(came.iter().map(|(_, units)| units).sum::<i64>(), 40);
    }
}
