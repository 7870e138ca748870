//! Ledgers on real files, built through the public interface.

mod counts;
mod evidence;
mod files;
mod head;
mod orders;
mod outbox;
mod places;
mod read;
mod replay;
mod verify;

use std::{path::PathBuf, time::Duration};

use tempfile::TempDir;

use super::{Ledger, NewPush, OpenRequest, OrderRead, PlaceId, PlaceRow, Result, VerifyReport};
use crate::domain::{
    Bundle, Cadence, Capabilities, ChannelId, ChannelKind, ChannelLocation, ChannelSettings, Component,
    Costs, CountBasis, CountRow, LevelReading, LineId, LineNet, LineSnapshot, ListingId, ListingReading,
    LocationId, Mode, Operation, OrderId, OrderSnapshot, OwnQuotas, Percent, Place, Policies, Policy, Quota,
    Settings, Sku, Units, UtcMs, WriteMode, WriteRow, listing::Writable, settings::BrakeSettings,
};

/// A ledger in a folder of its own, with a compare-and-set channel `web` and an absolute one `site`.
pub(super) struct Book {
    pub(super) ledger: Ledger,
    pub(super) settings: Settings,
    folder: TempDir,
}

impl Book {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let ledger = Ledger::open(&path).unwrap();
        Self { ledger, settings: settings(path), folder }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    pub(super) fn channel(&self, id: &str) -> &ChannelSettings {
        self.settings.channels.iter().find(|c| c.id.as_str() == id).unwrap()
    }

    /// One transaction, or part of the one that is open.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Ledger) -> Result<T>) -> T {
        if !self.ledger.conn.is_autocommit() {
            return work(&self.ledger).unwrap();
        }
        self.ledger.begin().unwrap();
        let done = work(&self.ledger).unwrap();
        self.ledger.commit().unwrap();
        done
    }

    pub(super) fn operate(&self, at: i64, operation: &Operation) -> std::result::Result<String, String> {
        self.write(|ledger| ledger.operate(UtcMs(at), &self.settings, operation)).map(|done| done.answer)
    }

    /// Counts one SKU at `main`, at the time it says.
    pub(super) fn count(&self, sku: &str, quantity: i64, basis: CountBasis, at: i64) {
        self.operate(at, &count(sku, quantity, basis, at)).unwrap();
    }

    pub(super) fn order(&self, channel: &str, order: &OrderSnapshot) -> super::Ingested {
        let content = i64::from(u32::try_from(order.updated_at.0).unwrap())
            + order.lines.iter().map(|line| line.net.ordered.get() * 7_919).sum::<i64>();
        self.write(|ledger| {
            let read = OrderRead::Listed;
            ledger.ingest_order(order.updated_at, &self.settings, self.channel(channel), order, content, read)
        })
    }

    /// On hand and committed at `main`.
    pub(super) fn stock(&self, sku: &str) -> (i64, i64) {
        self.stock_at(sku, "main")
    }

    pub(super) fn stock_at(&self, sku: &str, location: &str) -> (i64, i64) {
        self.ledger
            .maybe(
                "SELECT on_hand, committed FROM stock WHERE sku = ?1 AND location = ?2",
                [sku, location],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .unwrap()
            .unwrap_or_default()
    }

    /// Scans a catalogue of plain listings, one place each, that show `shown`.
    pub(super) fn scan(&self, channel: &str, listings: &[(&str, &str, i64)], at: i64) -> Vec<PlaceId> {
        let settings = self.channel(channel);
        self.write(|ledger| {
            let scan = ledger.next_scan(&settings.id)?;
            ledger.pin_account(UtcMs(at), settings, "account", "Account")?;
            for (id, sku, shown) in listings {
                ledger.see_listing(&settings.id, scan, &listing(id, sku, *shown))?;
            }
            ledger.finish_scan(UtcMs(at), &self.settings, settings, scan, 1_000, true)
        });
        listings
            .iter()
            .map(|(id, _, shown)| {
                let place = self.ledger.place_id(&settings.id, &place(id)).unwrap().unwrap();
                self.read(place, *shown, at);
                place
            })
            .collect()
    }

    pub(super) fn row(&self, place: PlaceId) -> PlaceRow {
        self.ledger.place(place).unwrap().unwrap()
    }

    /// Takes in a quantity read; what it doesn't explain lapses ten seconds later.
    pub(super) fn read(&self, place: PlaceId, quantity: i64, at: i64) -> super::Comparison {
        let row = self.row(place);
        self.write(|ledger| {
            let read = super::Span { from: UtcMs(at), to: UtcMs(at) };
            ledger.compare(&row, Units::of(quantity), read, UtcMs(at), UtcMs(at + 10_000))
        })
        .told
    }

    /// Records a push as the engine would: the target of the place, from its stock of now.
    pub(super) fn prepare(&self, places: &[PlaceId], at: i64) -> OpenRequest {
        let channel = self.row(places[0]).channel;
        let pushes: Vec<NewPush> = places.iter().map(|place| self.justified_push(*place)).collect();
        self.write(|ledger| ledger.prepare(UtcMs(at), &channel, &pushes))
    }

    pub(super) fn justified_push(&self, place: PlaceId) -> NewPush {
        let row = self.row(place);
        let components = self.ledger.component_stock(row.listing, &[]).unwrap();
        let available =
            crate::domain::policy::listing_available(components.iter().map(|c| (c.units, c.available())));
        let calculation = Policy::default().calculate(available);
        let inputs = serde_json::json!({
            "components": components, "locations": [], "calculation": calculation, "pause": null,
        });
        let change_from = row.expected;
        NewPush {
            place,
            row: WriteRow { place: row.place, value: calculation.target, change_from, counted_at: None },
            inputs: inputs.to_string(),
        }
    }

    pub(super) fn shadow(&self, place: PlaceId) -> i64 {
        self.ledger
            .one("SELECT coalesce(sum(units), 0) FROM shadow WHERE place = ?1", [place.0], |r| r.get(0))
            .unwrap()
    }

    pub(super) fn verify(&self) -> VerifyReport {
        self.ledger.verify(super::Depth::Whole).unwrap()
    }

    pub(super) fn assert_sound(&self) {
        let report = self.verify();
        assert!(report.is_clean(), "{:#?}", report.problems);
    }
}

pub(super) fn sku(text: &str) -> Sku {
    Sku::new(text).unwrap()
}

pub(super) fn count_row(name: &str, quantity: i64, basis: CountBasis, at: i64) -> CountRow {
    CountRow {
        sku: sku(name),
        location: LocationId::new("main"),
        quantity: Units::of(quantity),
        basis,
        counted_at: UtcMs(at),
    }
}

pub(super) fn count(name: &str, quantity: i64, basis: CountBasis, at: i64) -> Operation {
    Operation::Count { rows: vec![count_row(name, quantity, basis, at)], reason: "stock-take".into() }
}

pub(super) fn place(listing: &str) -> Place {
    Place { listing: ListingId::new(listing), location: ChannelLocation::only() }
}

pub(super) fn listing(id: &str, sku: &str, shown: i64) -> ListingReading {
    ListingReading {
        id: ListingId::new(id),
        channel_sku: Some(sku.into()),
        title: format!("title of {sku}"),
        writable: Writable::Yes,
        group: String::new(),
        levels: vec![LevelReading { place: place(id), quantity: Some(Units::of(shown)) }],
    }
}

/// A net of (ordered, cancelled, shipped, restocked).
pub(super) fn net(ordered: i64, cancelled: i64, shipped: i64, restocked: i64) -> LineNet {
    LineNet {
        ordered: Units::of(ordered),
        cancelled: Units::of(cancelled),
        shipped: Units::of(shipped),
        restocked: Units::of(restocked),
    }
}

/// A line by SKU only; the channel holds what is ordered and not cancelled.
pub(super) fn line(id: &str, sku: &str, net: LineNet) -> LineSnapshot {
    LineSnapshot {
        id: LineId::new(id),
        listing: None,
        channel_sku: Some(sku.into()),
        location: None,
        net,
        held: net.ordered - net.cancelled,
    }
}

pub(super) fn order(id: &str, created: i64, updated: i64, lines: Vec<LineSnapshot>) -> OrderSnapshot {
    OrderSnapshot {
        id: OrderId::new(id),
        number: format!("#{id}"),
        created_at: UtcMs(created),
        updated_at: UtcMs(updated),
        lines,
        unknown_state: None,
    }
}

/// An order of one line of a SKU.
pub(super) fn one_line(id: &str, created: i64, updated: i64, sku: &str, net: LineNet) -> OrderSnapshot {
    order(id, created, updated, vec![line("1", sku, net)])
}

fn settings(path: PathBuf) -> Settings {
    Settings {
        ledger: path,
        channels: vec![
            channel("web", ChannelKind::Shopify, WriteMode::CompareAndSet),
            channel("site", ChannelKind::Woocommerce, WriteMode::Absolute),
        ],
        policies: Policies::default(),
        bundles: vec![Bundle {
            channel_sku: sku("SET"),
            channel: None,
            components: vec![
                Component { sku: sku("MUG"), units: Units::of(2) },
                Component { sku: sku("TEA"), units: Units::ONE },
            ],
        }],
        brake: BrakeSettings { share: Percent::from_hundredths(3_000).unwrap(), min_listings: 25 },
    }
}

fn channel(id: &str, kind: ChannelKind, write_mode: WriteMode) -> ChannelSettings {
    let every = Cadence::Every(Duration::from_secs(10));
    ChannelSettings {
        id: ChannelId::new(id),
        mode: Mode::Push,
        capabilities: Capabilities {
            kind,
            write_mode,
            write_batch: 100,
            read_batch: 100,
            orders_by_id_batch: 100,
            quota: Quota::Calls { per_second: 2.0, burst: 2 },
            own_quotas: OwnQuotas::default(),
            landing_ms: 0,
            quantity_lag_ms: 0,
            revisions_per_day: None,
            costs: Costs { identify: 1, orders: 1, listings: 1, levels: 1, write: 1 },
            concurrency: 1,
            settle_ms: 1_000,
            key_life_ms: None,
            order_delay_ms: 10_000,
            order_overlap_ms: 60_000,
            time_step_ms: 1,
        },
        orders: every.clone(),
        scan: every.clone(),
        sweep: every,
        history: Duration::from_hours(24),
        locations: Vec::new(),
        order_location: LocationId::new("main"),
        assume_shipped_after: None,
    }
}
