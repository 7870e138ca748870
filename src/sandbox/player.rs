//! Plays a recorded order history through the shops.
//!
//! Reads the four tables `X.orders.csv`, `X.links.csv`, `X.stock.csv`, `X.restocks.csv` (plain or `.gz`), with the columns
//! `ts,order_id,line,sku,qty,kind,channel`, `order_id,line,ref_order_id,ref_line`, `sku,opening_stock` and
//! `ts,sku,qty,kind`; `ts` is UTC, `kind` one of `sale`, `cancel`, `return` (and `restock`). One day of it is played; what was
//! before is folded into the opening stock as a seller in perfect sync would have it.
//!
//! What comes back of a sale made on an earlier day, or of none, is a delivery: the shops know no order for it.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::NaiveDate;
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use super::{
    Catalogue, Inside,
    world::{Accept, Restock, World},
};
use crate::domain::{Sku, Units, UtcMs};

/// An order is shipped this much later by the history's own clock, in milliseconds: 4 h.
const SHIP_AFTER_MS: i64 = 4 * 3_600_000;

const DAY_MS: i64 = 24 * 3_600_000;

/// Why a history can't be played.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file can't be opened or read.
    #[error("can't read {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A row makes no sense.
    #[error("{path}: {what}")]
    Row {
        /// In which file.
        path: PathBuf,
        /// What is wrong, with the line where it is known.
        what: String,
    },
    /// Nothing happened on the day.
    #[error("no sale on {0}")]
    EmptyDay(NaiveDate),
}

/// One day of a history, ready to play.
#[derive(Clone, Debug)]
pub struct History {
    /// Which day, UTC.
    pub day: NaiveDate,
    opening: BTreeMap<Sku, Units>,
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

#[derive(Clone, Debug)]
enum Event {
    Restock(Sku, Units),
    Order { id: String, dotcom: bool, lines: Vec<(String, Sku, i64)> },
    Back { sku: Sku, units: i64, of: Option<(String, String)>, shipped: bool },
}

#[derive(Deserialize)]
struct OrderRow {
    ts: String,
    order_id: String,
    line: String,
    sku: String,
    qty: i64,
    kind: String,
    channel: String,
}

#[derive(Deserialize)]
struct LinkRow {
    order_id: String,
    line: String,
    ref_order_id: String,
    ref_line: String,
}

#[derive(Deserialize)]
struct StockRow {
    sku: String,
    opening_stock: i64,
}

#[derive(Deserialize)]
struct RestockRow {
    ts: String,
    sku: String,
    qty: i64,
}

type LineKey = (String, String);

impl History {
    /// Loads `day`, or the day with the most orders.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn load(orders: &Path, day: Option<NaiveDate>) -> Result<Self, HistoryError> {
        let table = |name: &str| PathBuf::from(orders.to_string_lossy().replace(".orders.csv", name));
        let orders: Vec<OrderRow> = rows(orders)?;
        let links: HashMap<LineKey, LineKey> = rows::<LinkRow>(&table(".links.csv"))?
            .into_iter()
            .map(|it| ((it.order_id, it.line), (it.ref_order_id, it.ref_line)))
            .collect();
        let day = day.or_else(|| busiest(&orders)).unwrap_or_default();
        let start = UtcMs(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis());
        let stock_file = table(".stock.csv");
        let mut book = BTreeMap::new();
        for row in rows::<StockRow>(&stock_file)? {
            book.insert(sku(&stock_file, &row.sku)?, Units::of(row.opening_stock));
        }
        let mut events = restocks(&table(".restocks.csv"))?;
        events.extend(sales(orders, &links, &table(".orders.csv"))?);
        // Stable: at one instant restocks come first, then rows as the file has them.
        events.sort_by_key(|(at, event)| (*at, !matches!(event, Event::Restock(..))));
        let first = events.partition_point(|(at, _)| *at < start);
        let end = events.partition_point(|(at, _)| at.since(start) < DAY_MS);
        fold(&mut book, &events[..first]);
        let events: Vec<_> = events.drain(first..end).collect();
        if !events.iter().any(|(_, event)| matches!(event, Event::Order { .. })) {
            return Err(HistoryError::EmptyDay(day));
        }
        Ok(Self { day, opening: book, events })
    }

    /// Every SKU of the history with its stock as the day begins.
    pub fn catalogue(&self) -> Catalogue {
        let stock = self.opening.iter().map(|(sku, units)| (sku.clone(), *units)).collect();
        Catalogue { stock, bundles: Vec::new(), variations: 0 }
    }

    /// Orders of the day.
    pub fn orders(&self) -> usize {
        self.events.iter().filter(|(_, event)| matches!(event, Event::Order { .. })).count()
    }

    /// How long the day takes at this speed, from its first event to its last.
    pub fn length(&self, speed: f64) -> Duration {
        let ends = self.events.first().zip(self.events.last());
        ends.map_or(Duration::ZERO, |((first, _), (last, _))| real_time(last.since(*first), speed))
    }
}

fn rows<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>, HistoryError> {
    let file = File::open(path).map_err(|source| HistoryError::File { path: path.to_owned(), source })?;
    let zipped = path.extension().is_some_and(|it| it == "gz");
    let reader: Box<dyn Read> = if zipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let rows = csv::Reader::from_reader(reader).into_deserialize().collect::<Result<Vec<T>, _>>();
    rows.map_err(|error| HistoryError::Row { path: path.to_owned(), what: error.to_string() })
}

fn sku(path: &Path, text: &str) -> Result<Sku, HistoryError> {
    Sku::new(text).map_err(|error| HistoryError::Row { path: path.to_owned(), what: error.to_string() })
}

fn instant(path: &Path, text: &str) -> Result<UtcMs, HistoryError> {
    UtcMs::parse_rfc3339(text)
        .ok_or_else(|| HistoryError::Row { path: path.to_owned(), what: format!("{text:?} is not a time") })
}

/// The day with the most orders; of several the first.
fn busiest(orders: &[OrderRow]) -> Option<NaiveDate> {
    let mut days: BTreeMap<NaiveDate, std::collections::HashSet<&str>> = BTreeMap::new();
    for row in orders.iter().filter(|row| row.kind == "sale") {
        if let Ok(day) = row.ts.get(..10).unwrap_or("").parse() {
            days.entry(day).or_default().insert(&row.order_id);
        }
    }
    days.into_iter().rev().max_by_key(|(_, orders)| orders.len()).map(|(day, _)| day)
}

fn restocks(path: &Path) -> Result<Vec<(UtcMs, Event)>, HistoryError> {
    rows::<RestockRow>(path)?
        .into_iter()
        .map(|row| Ok((instant(path, &row.ts)?, Event::Restock(sku(path, &row.sku)?, Units::of(row.qty)))))
        .collect()
}

/// Sale lines of one order and instant become one event; each cancel or return line is one of its own.
fn sales(
    rows: Vec<OrderRow>,
    links: &HashMap<LineKey, LineKey>,
    path: &Path,
) -> Result<Vec<(UtcMs, Event)>, HistoryError> {
    let mut events: Vec<(UtcMs, Event)> = Vec::new();
    for row in rows {
        let at = instant(path, &row.ts)?;
        let item = sku(path, &row.sku)?;
        let shipped = row.kind == "return";
        if row.kind != "sale" {
            let of = links.get(&(row.order_id, row.line)).cloned();
            events.push((at, Event::Back { sku: item, units: row.qty, of, shipped }));
            continue;
        }
        let line = (row.line, item, row.qty);
        match events.last_mut() {
            Some((last, Event::Order { id, lines, .. })) if *last == at && *id == row.order_id => {
                lines.push(line);
            }
            _ => {
                let dotcom = row.channel == "dotcom";
                events.push((at, Event::Order { id: row.order_id, dotcom, lines: vec![line] }));
            }
        }
    }
    Ok(events)
}

/// What a seller in perfect sync has left: a sale takes at most what is there, what comes back is at most what its sale
/// got.
fn fold(book: &mut BTreeMap<Sku, Units>, events: &[(UtcMs, Event)]) {
    let mut got: HashMap<LineKey, Units> = HashMap::new();
    for (_, event) in events {
        match event {
            Event::Restock(sku, units) => *book.entry(sku.clone()).or_default() += *units,
            Event::Order { id, lines, .. } => {
                for (line, sku, units) in lines {
                    let there = book.entry(sku.clone()).or_default();
                    let taken = Units::of(*units).min(*there).at_least_zero();
                    *there -= taken;
                    got.insert((id.clone(), line.clone()), taken);
                }
            }
            Event::Back { sku, units, of, .. } => {
                let mut back = Units::of(*units);
                if let Some(of) = of {
                    let left = got.entry(of.clone()).or_default();
                    back = back.min(*left);
                    *left -= back;
                }
                *book.entry(sku.clone()).or_default() += back;
            }
        }
    }
}

fn real_time(history_ms: i64, speed: f64) -> Duration {
    let ms = u64::try_from(history_ms).unwrap_or(0);
    Duration::from_millis(ms).div_f64(speed.max(f64::MIN_POSITIVE))
}

/// Where a line of the history ended up: shop, order, line.
type Placed = HashMap<LineKey, (usize, u64, u64)>;

/// Plays until the last event, or until the sandbox stops.
pub(super) async fn play(inside: Arc<Inside>, history: History, speed: f64) -> Played {
    let started = tokio::time::Instant::now();
    let mut sum = Played::default();
    let mut placed = Placed::new();
    let mut to_ship: std::collections::VecDeque<(UtcMs, usize, u64)> = std::collections::VecDeque::new();
    let Some(first) = history.events.first().map(|(at, _)| *at) else { return sum };
    for (at, event) in history.events {
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
            Event::Restock(sku, units) => {
                world.receive(&sku, units);
                sum.restocks += 1;
            }
            Event::Order { id, dotcom, lines } => {
                sum.orders += 1;
                if let Some((shop, order)) = place(world, &mut placed, &id, dotcom, &lines) {
                    sum.accepted += 1;
                    to_ship.push_back((at.plus_ms(SHIP_AFTER_MS), shop, order));
                }
            }
            Event::Back { sku, units, of, shipped } => {
                sum.given_back += 1;
                let line = of.map(|of| placed.get(&of).copied());
                give_back(world, &sku, units, line, shipped);
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

fn place(
    world: &mut World,
    placed: &mut Placed,
    id: &str,
    dotcom: bool,
    lines: &[(String, Sku, i64)],
) -> Option<(usize, u64)> {
    let shop = shop_of(id, dotcom, world.shops.len());
    let listings: Vec<_> = lines
        .iter()
        .filter_map(|(line, sku, units)| {
            Some((line, world.shops[shop].listing_by_sku(sku.as_str())?, *units))
        })
        .collect();
    let wanted: Vec<_> = listings.iter().map(|(_, listing, units)| (*listing, *units)).collect();
    let order = world.place_order(shop, &wanted, Accept::Shown)?;
    // Refused lines are left out of the order; those that remain are in the same sequence.
    let mut got = world.shops[shop].orders[&order].current.lines.iter().peekable();
    for (line, listing, _) in listings {
        if let Some(taken) = got.next_if(|it| it.listing == listing) {
            placed.insert((id.to_owned(), line.clone()), (shop, order, taken.id));
        }
    }
    Some((shop, order))
}

/// `line`: what it undoes. `None`: nothing that the history names; `Some(None)`: a sale that is not in any shop.
#[allow(clippy::option_option, reason = "the two ways of having no line differ")]
fn give_back(
    world: &mut World,
    sku: &Sku,
    units: i64,
    line: Option<Option<(usize, u64, u64)>>,
    shipped: bool,
) {
    let Some(Some((shop, order, line))) = line else {
        world.receive(sku, Units::of(units));
        return;
    };
    if shipped {
        let _ = world.fulfil(shop, order, None);
    }
    let lines = &world.shops[shop].orders[&order].current.lines;
    let left = lines.iter().find(|it| it.id == line).map_or(0, |it| it.quantity - it.removed - it.returned);
    if left > 0 {
        let _ = world.refund(shop, order, &[(line, units.min(left))], Restock::Yes);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

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
        let day = NaiveDate::from_ymd_opt(2020, 1, 3);
        let history = History::load(&dir.path().join("x.orders.csv"), day).unwrap();
        // A: 10 - 8 = 2, the second sale gets 2, of which at most 2 come back.
        let stock = |sku: &str| history.opening[&Sku::new(sku).unwrap()].get();
        assert_eq!((stock("A"), stock("B")), (2, 4));
        assert_eq!((history.orders(), history.events.len()), (1, 3));
        assert_eq!(history.length(60.0), Duration::from_secs(3 * 60 + 5));
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
