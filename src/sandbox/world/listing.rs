//! Listings and the numbers they show.

use std::collections::VecDeque;

use super::Shop;
use crate::{
    domain::{ChannelKind, Sku, Units, UtcMs},
    referee::{Landing, PlaceIx},
};

/// Whether and where a listing's number is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// It has a number of its own.
    Tracked,
    /// Nobody counts it. Shopify: `tracked` false. WooCommerce: `manage_stock` false.
    Untracked,
    /// WooCommerce: a variation whose number is its parent's (`manage_stock` is `"parent"`).
    Parent,
    /// Shopify: a bundle made on the channel (`requiresComponents`), whose number can't be written.
    Computed,
}

/// What [`super::World::add_listing`] needs to know.
#[derive(Clone, Debug)]
pub struct NewListing {
    /// The SKU as the shop has it.
    pub sku: Option<String>,
    /// Its name.
    pub title: String,
    /// What one piece is truly made of; empty: nothing that anybody counts (the listing is not judged).
    pub components: Vec<(Sku, Units)>,
    /// Its number at each location; missing ones are 0.
    pub quantities: Vec<i64>,
    /// Whether it is counted.
    pub tracking: Tracking,
    /// WooCommerce: the index of the product of which this is a variation.
    pub parent: Option<usize>,
    /// WooCommerce: this is a variable product, the parent of variations.
    pub variable: bool,
    /// The shop goes on selling below 0 (Shopify `CONTINUE`, WooCommerce backorders).
    pub oversell: bool,
}

impl NewListing {
    /// A counted listing of one SKU.
    ///
    /// # Panics
    /// Never: a SKU that the ledger could not hold makes a listing that is not judged.
    pub fn plain(sku: &str, quantity: i64) -> Self {
        Self {
            sku: Some(sku.to_owned()),
            title: format!("Product {sku}"),
            components: Sku::new(sku).map(|sku| vec![(sku, Units::ONE)]).unwrap_or_default(),
            quantities: vec![quantity],
            tracking: Tracking::Tracked,
            parent: None,
            variable: false,
            oversell: false,
        }
    }
}

/// One sellable thing of a shop (or a variable product of WooCommerce, which holds variations).
#[derive(Clone, Debug)]
pub struct Listing {
    /// The product's id; a variation has its parent's.
    pub product: u64,
    /// Shopify: the variant's id. WooCommerce: the variation's, or 0.
    pub variant: u64,
    /// Shopify: the inventory item's id, else 0.
    pub item: u64,
    /// The SKU as the shop has it.
    pub sku: Option<String>,
    /// Its name.
    pub title: String,
    /// What one piece is truly made of.
    pub components: Vec<(Sku, Units)>,
    /// Whether it is counted.
    pub tracking: Tracking,
    /// See [`NewListing::parent`].
    pub parent: Option<usize>,
    /// See [`NewListing::variable`].
    pub variable: bool,
    /// See [`NewListing::oversell`].
    pub oversell: bool,
    /// Its number at each location.
    pub levels: Vec<Level>,
    /// When it was listed.
    pub created_at: UtcMs,
    /// When anything of it last changed, its number included.
    pub updated_at: UtcMs,
    pub(super) place: Option<PlaceIx>,
}

impl Listing {
    /// Whether a shopper can buy it; a variable product can't be bought itself.
    pub fn is_sellable(&self) -> bool {
        !self.variable
    }
}

/// A number at one location.
#[derive(Clone, Debug, Default)]
pub struct Level {
    /// What the channel's own books say is free to sell.
    pub available: i64,
    /// Sold and not shipped (Shopify; WooCommerce has no such number).
    pub committed: i64,
    /// When it last changed.
    pub updated_at: UtcMs,
    on_the_way: VecDeque<Arriving>,
    past: VecDeque<(UtcMs, i64, i64)>,
}

/// A write that shoppers don't see yet.
#[derive(Clone, Copy, Debug)]
struct Arriving {
    sent_at: UtcMs,
    lands_at: UtcMs,
    delta: i64,
}

/// A write that shoppers see from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Landed {
    sent_at: UtcMs,
    at: UtcMs,
    shown: i64,
}

impl Landed {
    pub(super) const fn on(self, place: PlaceIx) -> Landing {
        let Self { sent_at, at, shown } = self;
        Landing { place, sent_at, landed_at: at, value: Units::of(shown) }
    }
}

impl Level {
    fn new(available: i64, at: UtcMs) -> Self {
        Self {
            available,
            updated_at: at,
            past: VecDeque::from([(UtcMs(i64::MIN), available, 0)]),
            ..Self::default()
        }
    }

    /// What shoppers see: writes on the way are not in it.
    pub fn shown(&self) -> i64 {
        self.available - self.on_the_way.iter().map(|write| write.delta).sum::<i64>()
    }

    /// What a read shows that lags `delay_ms` behind `now`: available and committed.
    pub fn read(&self, now: UtcMs, delay_ms: i64) -> (i64, i64) {
        let as_of = now.plus_ms(-delay_ms);
        let known = self.past.iter().rev().find(|(at, ..)| *at <= as_of).or(self.past.front());
        known.map_or((self.shown(), self.committed), |(_, shown, committed)| (*shown, *committed))
    }

    /// Moves both numbers.
    pub(super) fn shift(&mut self, available: i64, committed: i64, at: UtcMs) {
        self.available += available;
        self.committed += committed;
        self.note(at);
    }

    /// Sets the number at once.
    pub(super) fn set(&mut self, available: i64, at: UtcMs) {
        self.on_the_way.clear();
        self.available = available;
        self.note(at);
    }

    /// Sets the books at once; what shoppers see follows `delay_ms` later, as the same difference, so that a sale in
    /// between is not undone by the delay itself.
    pub(super) fn write(&mut self, value: i64, sent_at: UtcMs, at: UtcMs, delay_ms: i64) -> Option<Landed> {
        let delta = value - self.available;
        self.available = value;
        if delay_ms > 0 {
            self.on_the_way.push_back(Arriving { sent_at, lands_at: at.plus_ms(delay_ms), delta });
            return None;
        }
        self.note(at);
        Some(Landed { sent_at, at, shown: self.shown() })
    }

    /// Lets land what is due by `now`.
    pub(super) fn land(&mut self, now: UtcMs) -> Vec<Landed> {
        let mut landed = Vec::new();
        while let Some(write) = self.on_the_way.pop_front_if(|write| write.lands_at <= now) {
            self.note(write.lands_at);
            landed.push(Landed { sent_at: write.sent_at, at: write.lands_at, shown: self.shown() });
        }
        landed
    }

    fn note(&mut self, at: UtcMs) {
        self.updated_at = at;
        self.past.push_back((at, self.shown(), self.committed));
        // An hour is more than any lag that is emulated; the newest older entry still answers for its time.
        while self.past.get(1).is_some_and(|(next, ..)| at.since(*next) > 3_600_000) {
            self.past.pop_front();
        }
    }
}

impl Shop {
    /// The listing with its ids, as this kind of shop gives them.
    pub(super) fn numbered(&mut self, new: NewListing, now: UtcMs) -> Listing {
        let NewListing { sku, title, components, quantities, tracking, parent, variable, oversell } = new;
        let (product, variant, item) = match (self.settings.kind, parent) {
            (ChannelKind::Shopify, _) => (self.next_id(), self.next_id(), self.next_id()),
            (ChannelKind::Woocommerce, None) => (self.next_id(), 0, 0),
            (ChannelKind::Woocommerce, Some(parent)) => (self.listings[parent].product, self.next_id(), 0),
        };
        let levels = (0..self.settings.locations.len())
            .map(|location| Level::new(quantities.get(location).copied().unwrap_or(0), now))
            .collect();
        Listing {
            product,
            variant,
            item,
            sku,
            title,
            components,
            tracking,
            parent,
            variable,
            oversell,
            levels,
            created_at: now,
            updated_at: now,
            place: None,
        }
    }
}
