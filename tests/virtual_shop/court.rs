//! The referee, told of everything that happens in the virtual world.

use std::collections::BTreeMap;

use stockd::{
    domain::{Answer, OrderId, Policy, Reply, Sku, Units, UtcMs},
    referee::{
        ChannelIx, ChannelSettings, Landing, NewPlace, OrderEvent, PlaceIx, Referee,
        Settings as RefereeSettings,
    },
};

use super::{
    LATENCY,
    shop::{Landed, Shop},
};

/// What the daemon is allowed in time.
#[derive(Clone, Copy, Debug)]
pub struct Allowances {
    /// One way of the slowest request, in milliseconds.
    pub latency_ms: i64,
    pub poll_ms: i64,
    /// How long a poll may take, all its pages.
    pub read_ms: i64,
    pub slack_ms: i64,
    pub settle_ms: i64,
}

impl Allowances {
    pub fn of_poll(poll_ms: i64) -> Self {
        let latency_ms = i64::try_from(LATENCY.as_millis()).unwrap();
        Self { latency_ms, poll_ms, read_ms: 4 * latency_ms, slack_ms: 2_500, settle_ms: 20_000 }
    }
}

/// An order as a shop takes it.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    pub shop: usize,
    pub order: &'a str,
    pub sku: &'a str,
    pub location: &'a str,
    pub units: i64,
}

pub struct Court {
    pub referee: Referee,
    channels: Vec<ChannelIx>,
    places: BTreeMap<(usize, String, String), PlaceIx>,
}

/// What one listing is made of.
pub type Parts = Vec<(String, i64)>;

impl Court {
    /// A referee for these shops, all of one SKU per listing at one location.
    pub fn new(shops: &[Shop], stock: &[(String, i64)], poll_ms: i64) -> Self {
        let parts = |_: &str, sku: &str, _: &str| vec![(sku.to_owned(), 1)];
        Self::with(shops, stock, Allowances::of_poll(poll_ms), parts)
    }

    /// A referee for listings made of what `parts` says of a shop, a SKU and a location.
    pub fn with(
        shops: &[Shop],
        stock: &[(String, i64)],
        allowed: Allowances,
        parts: impl Fn(&str, &str, &str) -> Parts,
    ) -> Self {
        let mut referee = Referee::new(RefereeSettings {
            fence_age_ms: 4 * allowed.latency_ms + 20,
            ..RefereeSettings::default()
        });
        for (sku, units) in stock {
            referee.opening(&Sku::new(sku).unwrap(), Units::of(*units));
        }
        let (mut channels, mut places) = (Vec::new(), BTreeMap::new());
        for (at, shop) in shops.iter().enumerate() {
            let channel = referee.add_channel(ChannelSettings {
                order_poll_ms: allowed.poll_ms,
                quantity_poll_ms: None,
                read_allowance_ms: allowed.read_ms,
                slack_ms: allowed.slack_ms,
                settle_ms: allowed.settle_ms,
            });
            channels.push(channel);
            for (id, listing) in &shop.listings {
                for location in &shop.locations {
                    let components = parts(shop.id.as_str(), &listing.sku, location)
                        .into_iter()
                        .map(|(sku, units)| (Sku::new(sku).unwrap(), Units::of(units)))
                        .collect();
                    let place = referee.add_place(NewPlace {
                        channel,
                        name: format!("{} {} {location}", shop.id, listing.sku),
                        components,
                        policy: Policy::default(),
                        shown: Units::of(shop.shows_at(&listing.sku, location)),
                    });
                    places.insert((at, id.clone(), location.clone()), place);
                }
            }
        }
        Self { referee, channels, places }
    }

    fn event(&self, at: UtcMs, taken: Taken<'_>, shop: &Shop) -> OrderEvent {
        let Taken { shop: ix, order, sku, location, units } = taken;
        OrderEvent {
            at,
            order: OrderId::new(order),
            place: self.places[&(ix, format!("L-{sku}"), location.to_owned())],
            pieces: Units::of(units),
            in_orders_at: at.plus_ms(shop.order_delay_ms),
            in_quantities_at: at.plus_ms(shop.read_lag_ms),
        }
    }

    pub fn sold(&mut self, at: UtcMs, taken: Taken<'_>, shop: &Shop) {
        let event = self.event(at, taken, shop);
        self.referee.sale(event);
    }

    pub fn gave_back(&mut self, at: UtcMs, taken: Taken<'_>, shop: &Shop) {
        let event = self.event(at, taken, shop);
        self.referee.give_back(event, true);
    }

    pub fn edited(&mut self, at: UtcMs, shop: usize, sku: &str, location: &str, shown: i64) {
        let place = self.places[&(shop, format!("L-{sku}"), location.to_owned())];
        self.referee.hand_edit(at, place, Units::of(shown));
    }

    pub fn set_open(&mut self, at: UtcMs, shop: usize, open: bool) {
        self.referee.set_open(at, self.channels[shop], open);
    }

    /// A reply composed at `read_at` has reached the engine.
    pub fn delivered(&mut self, at: UtcMs, shop: usize, answer: &Answer, read_at: UtcMs) {
        if let Ok(Reply::Orders(page)) = &answer.result {
            for order in &page.orders {
                self.referee.order_delivered(self.channels[shop], &order.id, read_at, at);
            }
        }
    }

    pub fn landed(&mut self, at: UtcMs, shop: usize, landed: &Landed) {
        let place = self.place(shop, &landed.place);
        self.referee.landing(Landing {
            place,
            sent_at: landed.sent_at,
            landed_at: at,
            value: Units::of(landed.value),
        });
    }

    pub fn unsettled(&mut self, at: UtcMs, shop: usize, place: &stockd::domain::Place) {
        let place = self.place(shop, place);
        self.referee.unsettled(at, place);
    }

    fn place(&self, shop: usize, place: &stockd::domain::Place) -> PlaceIx {
        let key = (shop, place.listing.as_str().to_owned(), place.location.as_str().to_owned());
        self.places[&key]
    }
}
