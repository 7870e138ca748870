//! Plays a recorded order history through the shops: one day of it; what was before is folded into the opening stock as a
//! seller in perfect sync would have it.
//!
//! What comes back of a sale made on an earlier day, or of none, is a delivery: the shops know no order for it.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use chrono::NaiveDate;
use serde::Serialize;

use super::{
    Catalogue, Inside,
    world::{Accept, Restock, World},
};
use crate::{
    domain::{Units, UtcMs},
    history::{Event, History, HistoryError, Order},
};

/// An order is shipped this much later by the history's own clock, in milliseconds: 4 h.
const SHIP_AFTER_MS: i64 = 4 * 3_600_000;

const DAY_MS: i64 = 24 * 3_600_000;

/// Why a day can't be played.
#[derive(Debug, thiserror::Error)]
pub enum DayError {
    /// The history can't be used.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Nothing happened on the day.
    #[error("no sale on {0}")]
    Empty(NaiveDate),
}

/// One day of a history, ready to play.
#[derive(Clone, Debug)]
pub struct Day {
    /// Which day, UTC.
    pub day: NaiveDate,
    history: History,
    /// What is there of each SKU as the day begins.
    opening: Vec<Units>,
    events: Vec<(UtcMs, Event)>,
}

/// What came of playing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Played {
    /// Orders of the history.
    pub orders: u64,
    /// Of them, those of which at least something could be had.
    pub accepted: u64,
    /// Cancelled or returned lines, by whatever way they came back.
    pub given_back: u64,
    /// Deliveries.
    pub restocks: u64,
}

impl Day {
    /// Loads `day`, or the day with the most orders.
    ///
    /// # Errors
    /// [`DayError`].
    pub fn load(orders: &Path, day: Option<NaiveDate>) -> Result<Self, DayError> {
        let history = History::load(&[orders.to_owned()])?;
        let day = day.or_else(|| busiest(&history.orders)).unwrap_or_default();
        let start = UtcMs(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis());
        let mut events = history.events(|event| history.at(event));
        let first = events.partition_point(|(at, _)| *at < start);
        let end = events.partition_point(|(at, _)| at.since(start) < DAY_MS);
        let opening = fold(&history, &events[..first]);
        let events: Vec<_> = events.drain(first..end).collect();
        if !events.iter().any(|(_, event)| matches!(event, Event::Order(_))) {
            return Err(DayError::Empty(day));
        }
        Ok(Self { day, history, opening, events })
    }

    /// Every SKU of the history with its stock as the day begins.
    pub fn catalogue(&self) -> Catalogue {
        let mut stock: Vec<_> = self.history.skus.iter().cloned().zip(self.opening.iter().copied()).collect();
        stock.sort();
        Catalogue { stock, bundles: Vec::new(), variations: 0 }
    }

    /// Orders of the day.
    pub fn orders(&self) -> usize {
        self.events.iter().filter(|(_, event)| matches!(event, Event::Order(_))).count()
    }

    /// How long the day takes at this speed, from its first event to its last.
    pub fn length(&self, speed: f64) -> Duration {
        let ends = self.events.first().zip(self.events.last());
        ends.map_or(Duration::ZERO, |((first, _), (last, _))| real_time(last.since(*first), speed))
    }
}

/// The day with the most orders; of several the first.
fn busiest(orders: &[Order]) -> Option<NaiveDate> {
    let mut days: BTreeMap<NaiveDate, usize> = BTreeMap::new();
    for order in orders {
        *days.entry(order.at.datetime().date_naive()).or_default() += 1;
    }
    days.into_iter().rev().max_by_key(|(_, orders)| *orders).map(|(day, _)| day)
}

/// What a seller in perfect sync has left: a sale takes at most what is there, what comes back is at most what its sale
/// got.
fn fold(history: &History, events: &[(UtcMs, Event)]) -> Vec<Units> {
    let mut book = history.opening.clone();
    let mut got: HashMap<usize, Units> = HashMap::new();
    for (_, event) in events {
        match event {
            Event::Restock(ix) => {
                let restock = history.restocks[*ix];
                book[restock.sku] += Units::of(restock.units);
            }
            Event::Order(ix) => {
                for line in history.orders[*ix].lines.clone() {
                    let there = &mut book[history.lines[line].sku];
                    let taken = Units::of(history.lines[line].units).min(*there).at_least_zero();
                    *there -= taken;
                    got.insert(line, taken);
                }
            }
            Event::Back(ix) => {
                let back = &history.backs[*ix];
                let mut units = Units::of(back.units);
                if let Some(line) = back.of {
                    let left = got.entry(line).or_default();
                    units = units.min(*left);
                    *left -= units;
                }
                book[back.sku] += units;
            }
        }
    }
    book
}

fn real_time(history_ms: i64, speed: f64) -> Duration {
    let ms = u64::try_from(history_ms).unwrap_or(0);
    Duration::from_millis(ms).div_f64(speed.max(f64::MIN_POSITIVE))
}

/// Where a line of the history ended up: shop, order, line.
type Placed = HashMap<usize, (usize, u64, u64)>;

/// Plays until the last event, or until the sandbox stops.
pub(super) async fn play(inside: Arc<Inside>, day: Day, speed: f64) -> Played {
    let started = tokio::time::Instant::now();
    let mut sum = Played::default();
    let mut placed = Placed::new();
    let mut to_ship: std::collections::VecDeque<(UtcMs, usize, u64)> = std::collections::VecDeque::new();
    let Day { history, events, .. } = day;
    let Some(first) = events.first().map(|(at, _)| *at) else { return sum };
    for (at, event) in events {
        let due = started + real_time(at.since(first), speed);
        if inside.stop.run_until_cancelled(tokio::time::sleep_until(due)).await.is_none() {
            return sum;
        }
        let mut state = inside.lock();
        let world = &mut state.world;
        while let Some((_, shop, order)) = to_ship.pop_front_if(|(ship_at, ..)| *ship_at <= at) {
            // An order that was cancelled meanwhile, or oversold, stays where it is.
            let _ = world.fulfil(shop, order, None);
        }
        match event {
            Event::Restock(ix) => {
                let restock = history.restocks[ix];
                world.receive(&history.skus[restock.sku], Units::of(restock.units));
                sum.restocks += 1;
            }
            Event::Order(ix) => {
                sum.orders += 1;
                if let Some((shop, order)) = place(world, &mut placed, &history, &history.orders[ix]) {
                    sum.accepted += 1;
                    to_ship.push_back((at.plus_ms(SHIP_AFTER_MS), shop, order));
                }
            }
            Event::Back(ix) => {
                sum.given_back += 1;
                give_back(world, &placed, &history, ix);
            }
        }
    }
    sum
}

/// The retail web shop is the first shop; other orders go by a hash of their id, which is the same in every run.
fn shop_of(id: &str, dotcom: bool, shops: usize) -> usize {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    if dotcom { 0 } else { usize::try_from(hash >> 32).unwrap_or(0) % shops.max(1) }
}

fn place(world: &mut World, placed: &mut Placed, history: &History, order: &Order) -> Option<(usize, u64)> {
    let dotcom = order.channel.as_deref() == Some("dotcom");
    let shop = shop_of(&order.id, dotcom, world.shops.len());
    let listings: Vec<_> = order
        .lines
        .clone()
        .filter_map(|ix| {
            let line = &history.lines[ix];
            let listing = world.shops[shop].listing_by_sku(history.skus[line.sku].as_str())?;
            Some((ix, listing, line.units))
        })
        .collect();
    let wanted: Vec<_> = listings.iter().map(|(_, listing, units)| (*listing, *units)).collect();
    let order = world.place_order(shop, &wanted, Accept::Shown)?;
    // Refused lines are left out of the order; those that remain are in the same sequence.
    let mut got = world.shops[shop].orders[&order].current.lines.iter().peekable();
    for (ix, listing, _) in listings {
        if let Some(taken) = got.next_if(|it| it.listing == listing) {
            placed.insert(ix, (shop, order, taken.id));
        }
    }
    Some((shop, order))
}

fn give_back(world: &mut World, placed: &Placed, history: &History, ix: usize) {
    let back = &history.backs[ix];
    let Some((shop, order, line)) = back.of.and_then(|line| placed.get(&line)).copied() else {
        world.receive(&history.skus[back.sku], Units::of(back.units));
        return;
    };
    if back.returned {
        let _ = world.fulfil(shop, order, None);
    }
    let lines = &world.shops[shop].orders[&order].current.lines;
    let left = lines.iter().find(|it| it.id == line).map_or(0, |it| it.quantity - it.removed - it.returned);
    if left > 0 {
        let _ = world.refund(shop, order, &[(line, back.units.min(left))], Restock::Yes);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write};

    use super::*;

    fn written(dir: &Path, name: &str, text: &str) {
        File::create(dir.join(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn the_days_before_are_folded_into_the_opening_stock() {
        let dir = tempfile::tempdir().unwrap();
        let orders = "ts,order_id,line,sku,qty,kind,channel\n\
            2020-01-01T10:00:00Z,1,1,A,8,sale,\n2020-01-01T11:00:00Z,2,1,A,5,sale,dotcom\n\
            2020-01-02T09:00:00Z,C1,1,A,4,return,\n2020-01-03T09:00:00Z,3,1,A,1,sale,\n\
            2020-01-03T09:00:00Z,3,2,B,2,sale,\n2020-01-03T09:05:00Z,C3,1,B,1,cancel,\n";
        written(dir.path(), "x.orders.csv", orders);
        written(dir.path(), "x.links.csv", "order_id,line,ref_order_id,ref_line\nC1,1,2,1\nC3,1,3,2\n");
        written(dir.path(), "x.stock.csv", "sku,opening_stock\nA,10\nB,3\n");
        written(
            dir.path(),
            "x.restocks.csv",
            "ts,sku,qty,kind\n2020-01-03T06:00:00Z,A,7,restock\n2020-01-02T06:00:00Z,B,1,restock\n",
        );
        let third = NaiveDate::from_ymd_opt(2020, 1, 3);
        let day = Day::load(&dir.path().join("x.orders.csv"), third).unwrap();
        // A: 10 - 8 = 2, the second sale gets 2, of which at most 2 come back.
        let stock = |sku: &str| {
            let ix = day.history.skus.iter().position(|it| it.as_str() == sku).unwrap();
            day.opening[ix].get()
        };
        assert_eq!((stock("A"), stock("B")), (2, 4));
        assert_eq!((day.orders(), day.events.len()), (1, 3));
        assert_eq!(day.length(60.0), Duration::from_secs(3 * 60 + 5));
    }

    #[test]
    fn orders_are_dealt_to_all_shops_and_always_alike() {
        let dealt: Vec<_> = (489_434..489_734).map(|id| shop_of(&id.to_string(), false, 3)).collect();
        for shop in 0..3 {
            let share = dealt.iter().filter(|it| **it == shop).count();
            assert!((60..140).contains(&share), "shop {shop} has {share} of 300");
        }
        assert_eq!(shop_of("489434", false, 3), shop_of("489434", false, 3));
        assert_eq!(shop_of("489434", true, 3), 0);
    }
}
