//! The state behind the emulated channels: shops, listings, orders and the shelf that all of them sell from.
//!
//! Pure: nothing here knows HTTP or asks for the time. [`World::advance`] moves the clock, everything else happens
//! at the instant it was moved to.

mod commerce;
mod listing;
mod order;
mod refunds;
mod settings;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::Serialize;

pub use self::{
    commerce::{Accept, Refusal, Restock},
    listing::{Level, Listing, NewListing, Tracking},
    order::{Fulfilment, Line, Order, Refund, RefundLine, Status},
    settings::{ShopCounts, ShopSettings},
};
use crate::{
    domain::{ChannelKind, OrderId, Sku, Units, UtcMs},
    referee::{ChannelIx, NewPlace, PlaceIx, Referee},
};

/// What becomes of the request being worked on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    #[default]
    Answered,
    /// It was lost on the way: nothing of it happens.
    Lost,
    /// It happens, its answer is lost.
    AnswerLost,
}

/// One emulated shop.
#[derive(Debug)]
pub struct Shop {
    /// How it behaves.
    pub settings: ShopSettings,
    /// What it sells, in the order of listing.
    pub listings: Vec<Listing>,
    /// Every order ever placed, by its id.
    pub orders: BTreeMap<u64, OrderRecord>,
    /// What it has counted.
    pub counts: ShopCounts,
    judge: ChannelIx,
    by_id: BTreeMap<u64, usize>,
    becoming_readable: VecDeque<(UtcMs, Arc<Order>)>,
    next_id: u64,
    next_number: u64,
}

/// An order as it is, and as reads show it.
#[derive(Debug)]
pub struct OrderRecord {
    /// As it is.
    pub current: Order,
    /// As reads show it; `None` while it is too young.
    pub readable: Option<Arc<Order>>,
}

/// All of it. One mutex around this is the sandbox's only lock.
#[derive(Debug)]
pub struct World {
    now: UtcMs,
    /// The shops, in the order they were added.
    pub shops: Vec<Shop>,
    shelf: BTreeMap<Sku, Units>,
    referee: Referee,
    /// What becomes of the request being worked on; the fault layer sets it.
    pub fate: Fate,
    /// Orders in the answer being composed.
    pub delivering: Vec<OrderId>,
    deliveries: Vec<Delivery>,
}

/// Units that came to the shelf and that somebody must book into the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// When.
    pub at: UtcMs,
    /// Of what.
    pub sku: Sku,
    /// How many.
    pub units: Units,
}

impl World {
    /// A world without shops; `shelf` is what is truly there, and what the daemon knows of at the start.
    pub fn new(now: UtcMs, mut referee: Referee, shelf: BTreeMap<Sku, Units>) -> Self {
        for (sku, units) in &shelf {
            referee.opening(sku, *units);
        }
        Self {
            now,
            shops: Vec::new(),
            shelf,
            referee,
            fate: Fate::default(),
            delivering: Vec::new(),
            deliveries: Vec::new(),
        }
    }

    /// Opens a shop and returns its index.
    pub fn add_shop(&mut self, settings: ShopSettings) -> usize {
        let judge = self.referee.add_channel(settings.judged);
        // Shopify's ids don't fit into 32 bits; a client that forgets should notice here.
        let next_id = match settings.kind {
            ChannelKind::Shopify => 7_000_000_000_001 + 1_000_000_000 * (self.shops.len() as u64),
            ChannelKind::Woocommerce => 10,
        };
        self.shops.push(Shop {
            settings,
            listings: Vec::new(),
            orders: BTreeMap::new(),
            counts: ShopCounts::default(),
            judge,
            by_id: BTreeMap::new(),
            becoming_readable: VecDeque::new(),
            next_id,
            next_number: 1001,
        });
        self.shops.len() - 1
    }

    /// Lists something in a shop and returns its index there. Only the number at the first location is judged.
    pub fn add_listing(&mut self, shop: usize, new: NewListing) -> usize {
        let now = self.now;
        let shop = &mut self.shops[shop];
        let parent = new.parent;
        let name = format!("{} {}", shop.settings.id, new.sku.as_deref().unwrap_or("without SKU"));
        let mut listing = shop.numbered(new, now);
        if listing.tracking == Tracking::Tracked && !listing.components.is_empty() {
            listing.place = Some(self.referee.add_place(NewPlace {
                channel: shop.judge,
                name,
                components: listing.components.clone(),
                policy: shop.settings.policy,
                shown: Units::of(listing.levels[0].shown()),
            }));
        }
        let index = shop.listings.len();
        for id in [listing.variant, listing.item].into_iter().filter(|id| *id != 0) {
            shop.by_id.insert(id, index);
        }
        if parent.is_none() {
            shop.by_id.insert(listing.product, index);
        }
        shop.listings.push(listing);
        index
    }

    /// The instant at which everything happens now.
    pub const fn now(&self) -> UtcMs {
        self.now
    }

    /// Moves the clock on (never back) and lets happen what was due by then.
    pub fn advance(&mut self, now: UtcMs) {
        self.now = self.now.max(now);
        let now = self.now;
        for shop in &mut self.shops {
            while shop.becoming_readable.front().is_some_and(|(at, _)| *at <= now) {
                if let Some((_, order)) = shop.becoming_readable.pop_front()
                    && let Some(record) = shop.orders.get_mut(&order.id)
                {
                    record.readable = Some(order);
                }
            }
            if shop.settings.write_delay_ms == 0 {
                continue;
            }
            for listing in &mut shop.listings {
                let place = listing.place;
                for (location, level) in listing.levels.iter_mut().enumerate() {
                    for landing in level.land(now) {
                        if let (0, Some(place)) = (location, place) {
                            self.referee.landing(landing.on(place));
                        }
                    }
                }
            }
        }
    }

    /// Has the judge look for what is overdue: a few times a second, and before its totals are read.
    pub fn judge(&mut self) {
        self.referee.tick(self.now);
    }

    /// The judge.
    pub const fn referee(&self) -> &Referee {
        &self.referee
    }

    /// What is truly on the shelf, by SKU.
    pub const fn shelf(&self) -> &BTreeMap<Sku, Units> {
        &self.shelf
    }

    /// A delivery: units are on the shelf from now on, and the ledger may know from now on.
    pub fn receive(&mut self, sku: &Sku, units: Units) {
        *self.shelf.entry(sku.clone()).or_default() += units;
        self.referee.raise(self.now, sku, units, self.now);
        self.deliveries.push(Delivery { at: self.now, sku: sku.clone(), units });
    }

    /// The deliveries since the last call: whoever plays the seller books them into the ledger.
    pub fn take_deliveries(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }

    /// Units vanish; the ledger can't know before `known_from`.
    pub fn lose(&mut self, sku: &Sku, units: Units, known_from: UtcMs) {
        *self.shelf.entry(sku.clone()).or_default() -= units;
        self.referee.lose(self.now, sku, units, known_from);
    }

    /// A write by request: the number becomes `value`. `sent_at` is when the request arrived.
    ///
    /// One that was lost ([`World::fate`]) changes nothing.
    pub fn write(&mut self, shop: usize, listing: usize, location: usize, value: i64, sent_at: UtcMs) {
        let (now, delay) = (self.now, self.shops[shop].settings.write_delay_ms);
        let place = self.place(shop, listing, location);
        if self.fate != Fate::Lost {
            self.shops[shop].counts.writes += 1;
            let target = &mut self.shops[shop].listings[listing];
            target.updated_at = now;
            let landing = target.levels[location].write(value, sent_at, now, delay);
            if let (Some(landing), Some(place)) = (landing, place) {
                self.referee.landing(landing.on(place));
            }
        }
    }

    /// A request asks to write here; if its answer is lost the referee is told that nobody knows.
    pub fn unsettle(&mut self, shop: usize, listing: usize, location: usize) {
        if self.fate != Fate::Answered
            && let Some(place) = self.place(shop, listing, location)
        {
            self.referee.unsettled(self.now, place);
        }
    }

    /// Staff type a number into the shop's own back office.
    pub fn set_by_hand(&mut self, shop: usize, listing: usize, location: usize, value: i64) {
        let now = self.now;
        let target = &mut self.shops[shop].listings[listing];
        target.updated_at = now;
        target.levels[location].set(value, now);
        let shown = target.levels[location].shown();
        if let Some(place) = self.place(shop, listing, location) {
            self.referee.hand_edit(now, place, Units::of(shown));
        }
    }

    /// An answer has gone out that held these orders as they were readable at `read_at`.
    pub fn delivered(&mut self, shop: usize, orders: &[OrderId], read_at: UtcMs) {
        let judge = self.shops[shop].judge;
        for order in orders {
            self.referee.order_delivered(judge, order, read_at, self.now);
        }
    }

    /// Whether the shop takes requests and has budget left: while it doesn't, nothing is overdue there.
    pub fn set_open(&mut self, shop: usize, open: bool) {
        self.referee.set_open(self.now, self.shops[shop].judge, open);
    }

    fn place(&self, shop: usize, listing: usize, location: usize) -> Option<PlaceIx> {
        if location == 0 { self.shops[shop].listings[listing].place } else { None }
    }
}

impl Shop {
    /// The next free id.
    pub(super) const fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// The listing that has this id as its product, variant, variation or inventory item.
    pub fn listing_by_id(&self, id: u64) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// The first listing with this SKU.
    pub fn listing_by_sku(&self, sku: &str) -> Option<usize> {
        self.listings.iter().position(|listing| listing.sku.as_deref() == Some(sku))
    }

    /// The id of a location, by its index.
    pub const fn location_id(index: usize) -> u64 {
        60_000_000_001 + index as u64
    }

    /// The index of a location, by its id.
    pub fn location_by_id(&self, id: u64) -> Option<usize> {
        (0..self.settings.locations.len()).find(|index| Self::location_id(*index) == id)
    }

    /// The listing that keeps the number for this one: itself, or the parent of a variation that has none of its own.
    pub fn keeper(&self, listing: usize) -> usize {
        match (self.listings[listing].tracking, self.listings[listing].parent) {
            (Tracking::Parent, Some(parent)) => parent,
            _ => listing,
        }
    }

    /// The readable orders, by id.
    pub fn readable(&self) -> impl DoubleEndedIterator<Item = &Arc<Order>> {
        self.orders.values().filter_map(|record| record.readable.as_ref())
    }
}
