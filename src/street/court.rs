//! The referee, told of everything that happens in the virtual world.

use super::{LATENCY, Landed, Shop};
use crate::{
    domain::{Answer, BadSku, OrderId, Policy, Reply, Sku, Units, UtcMs},
    referee::{
        ChannelIx, ChannelSettings, Landing, NewPlace, OrderEvent, PlaceIx, Referee,
        Settings as RefereeSettings,
    },
};

/// What the daemon is allowed in time, on one channel.
#[derive(Clone, Copy, Debug)]
pub struct Allowances {
    /// One way of the slowest request, in milliseconds.
    pub latency_ms: i64,
    /// Between two order polls, in milliseconds.
    pub poll_ms: i64,
    /// How long a poll may take, all its pages, in milliseconds.
    pub read_ms: i64,
    /// From its evidence to a decrease, in milliseconds.
    pub slack_ms: i64,
    /// On top of that after a lost write or reply, in milliseconds.
    pub settle_ms: i64,
}

impl Allowances {
    /// For a channel polled this often, without trouble on the way.
    pub fn of_poll(poll_ms: i64) -> Self {
        let latency_ms = i64::try_from(LATENCY.as_millis()).unwrap_or(i64::MAX / 8);
        Self { latency_ms, poll_ms, read_ms: 4 * latency_ms, slack_ms: 2_500, settle_ms: 20_000 }
    }

    fn of_channel(self) -> ChannelSettings {
        ChannelSettings {
            order_poll_ms: self.poll_ms,
            quantity_poll_ms: None,
            read_allowance_ms: self.read_ms,
            slack_ms: self.slack_ms,
            settle_ms: self.settle_ms,
        }
    }
}

/// An order as a shop takes it.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// Which shop.
    pub shop: usize,
    /// The order's id there.
    pub order: &'a str,
    /// What was bought.
    pub sku: &'a str,
    /// Where the shop keeps it.
    pub location: &'a str,
    /// How many.
    pub units: i64,
}

/// The referee, and which of its places is which.
#[derive(Debug)]
pub struct Court {
    /// The referee.
    pub referee: Referee,
    channels: Vec<Channel>,
    /// By shop, then by [`Shop::place_ix`].
    places: Vec<Vec<PlaceIx>>,
}

/// A channel takes requests while nobody has shut it and its limits leave room.
#[derive(Clone, Copy, Debug)]
struct Channel {
    ix: ChannelIx,
    open: bool,
    room: bool,
}

/// What one listing is made of.
pub type Parts = Vec<(String, i64)>;

impl Court {
    /// A referee for these shops, all of one SKU per listing at one location.
    ///
    /// # Errors
    /// [`BadSku`].
    pub fn new(shops: &[Shop], stock: &[(String, i64)], poll_ms: i64) -> Result<Self, BadSku> {
        let parts = |_: &str, sku: &str, _: &str| vec![(sku.to_owned(), 1)];
        let allowed = vec![Allowances::of_poll(poll_ms); shops.len()];
        Self::with(shops, stock, &allowed, parts)
    }

    /// A referee for listings made of what `parts` says of a shop, a SKU and a location. Each shop has its allowances.
    ///
    /// # Errors
    /// [`BadSku`].
    pub fn with(
        shops: &[Shop],
        stock: &[(String, i64)],
        allowed: &[Allowances],
        parts: impl Fn(&str, &str, &str) -> Parts,
    ) -> Result<Self, BadSku> {
        Self::with_policies(shops, stock, allowed, parts, |_, _| Policy::default())
    }

    /// The same, where `policy` says how much a shop is to show of a SKU.
    ///
    /// # Errors
    /// [`BadSku`].
    pub fn with_policies(
        shops: &[Shop],
        stock: &[(String, i64)],
        allowed: &[Allowances],
        parts: impl Fn(&str, &str, &str) -> Parts,
        policy: impl Fn(&str, &str) -> Policy,
    ) -> Result<Self, BadSku> {
        let slowest = allowed.iter().map(|allowed| allowed.latency_ms).max().unwrap_or_default();
        let settings = RefereeSettings { fence_age_ms: 4 * slowest + 20, ..RefereeSettings::default() };
        let mut referee = Referee::new(settings);
        for (sku, units) in stock {
            referee.opening(&Sku::new(sku)?, Units::of(*units));
        }
        let (mut channels, mut places) = (Vec::new(), Vec::new());
        for (shop, allowed) in shops.iter().zip(allowed) {
            let channel = referee.add_channel(allowed.of_channel());
            channels.push(Channel { ix: channel, open: true, room: true });
            let mut there = Vec::new();
            for (ix, listing) in shop.listings().iter().enumerate() {
                for (at, location) in shop.locations.iter().enumerate() {
                    let components = parts(shop.id.as_str(), &listing.sku, location)
                        .into_iter()
                        .map(|(sku, units)| Ok((Sku::new(sku)?, Units::of(units))))
                        .collect::<Result<_, BadSku>>()?;
                    there.push(referee.add_place(NewPlace {
                        channel,
                        name: format!("{} {} {location}", shop.id, listing.sku),
                        components,
                        policy: policy(shop.id.as_str(), &listing.sku),
                        shown: Units::of(shop.shows_ix(ix, at)),
                    }));
                }
            }
            places.push(there);
        }
        Ok(Self { referee, channels, places })
    }

    /// The referee's number of a place of a shop.
    ///
    /// # Panics
    /// Where there is no such shop or place.
    pub fn place(&self, shop: usize, place: usize) -> PlaceIx {
        self.places[shop][place]
    }

    /// What an order does to a place, as the referee wants it told.
    pub fn event(&self, at: UtcMs, shop: &Shop, order: OrderId, place: PlaceIx, units: i64) -> OrderEvent {
        let in_orders_at = shop.readable_at(&order, at);
        let in_quantities_at = shop.sale_visible_at(at);
        OrderEvent { at, order, place, pieces: Units::of(units), in_orders_at, in_quantities_at }
    }

    fn told(&self, at: UtcMs, taken: Taken<'_>, shop: &Shop) -> OrderEvent {
        let Taken { shop: ix, order, sku, location, units } = taken;
        let listing = shop.listing_ix(sku).unwrap_or(usize::MAX / 2);
        let place = self.place(ix, listing * shop.locations.len() + shop.location_ix(location));
        self.event(at, shop, OrderId::new(order), place, units)
    }

    /// A shop has sold.
    ///
    /// # Panics
    /// Where it doesn't list the SKU.
    pub fn sold(&mut self, at: UtcMs, taken: Taken<'_>, shop: &Shop) {
        let event = self.told(at, taken, shop);
        self.referee.sale(event);
    }

    /// A shop has given back, and put back what it restocks itself.
    ///
    /// # Panics
    /// Where it doesn't list the SKU.
    pub fn gave_back(&mut self, at: UtcMs, taken: Taken<'_>, shop: &Shop) {
        let event = self.told(at, taken, shop);
        self.referee.give_back(event, shop.restocks_itself);
    }

    /// Staff have set a number by hand.
    ///
    /// # Panics
    /// Where there is no such place.
    pub fn edited(&mut self, at: UtcMs, shop: usize, place: usize, shown: i64) {
        let place = self.place(shop, place);
        self.referee.hand_edit(at, place, Units::of(shown));
    }

    /// Whether a shop takes requests.
    ///
    /// # Panics
    /// Where there is no such shop.
    pub fn set_open(&mut self, at: UtcMs, shop: usize, open: bool) {
        self.change(at, shop, |channel| channel.open = open);
    }

    /// Whether a shop's limits leave room; while they don't nothing is overdue there.
    pub(super) fn set_room(&mut self, at: UtcMs, shop: usize, room: bool) {
        if self.channels[shop].room != room {
            self.change(at, shop, |channel| channel.room = room);
        }
    }

    fn change(&mut self, at: UtcMs, shop: usize, change: impl Fn(&mut Channel)) {
        let channel = &mut self.channels[shop];
        change(channel);
        self.referee.set_open(at, channel.ix, channel.open && channel.room);
    }

    /// A read of a shop's orders, answered at `read_at`, has shown this one.
    ///
    /// # Panics
    /// Where there is no such shop.
    pub fn read(&mut self, at: UtcMs, shop: usize, order: &OrderId, read_at: UtcMs) {
        self.referee.order_delivered(self.channels[shop].ix, order, read_at, at);
    }

    /// A reply composed at `read_at` has reached the engine.
    pub(super) fn delivered(&mut self, at: UtcMs, shop: usize, answer: &Answer, read_at: UtcMs) {
        if let Ok(Reply::Orders(page)) = &answer.result {
            for order in &page.orders {
                self.read(at, shop, &order.id, read_at);
            }
        }
    }

    pub(super) fn landed(&mut self, at: UtcMs, shop: usize, landed: &Landed) {
        self.referee.landing(Landing {
            place: self.places[shop][landed.place],
            sent_at: landed.sent_at,
            landed_at: at,
            value: Units::of(landed.value),
        });
    }

    pub(super) fn unsettled(&mut self, at: UtcMs, shop: usize, place: usize) {
        let place = self.places[shop][place];
        self.referee.unsettled(at, place);
    }
}
