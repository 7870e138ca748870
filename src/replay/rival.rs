//! What the engine is compared with: the interval syncer that the market sells, and one that is as good as the engine's
//! looks allow.
//!
//! Neither has limits or takes time to compute. Both know deliveries at once; of orders they know what reads have shown.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::{
    Scenario,
    market::{Bought, Market, OfOrder},
};
use crate::{
    domain::{BadSku, OrderId, Sku, Units, UtcMs},
    history::History,
    referee::{Landing, OrderEvent, Referee},
    street::{Allowances, Court, Fault, LATENCY, Look, Shop},
};

/// How a rival works.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Every so often it reads all readable orders and sets every listing to stock less a buffer, whatever was sold
    /// meanwhile.
    Interval { every: Duration },
    /// It learns at the instants of the engine's looks; its numbers land one request's way later and never overwrite a
    /// sale.
    Ideal,
}

/// Something that happened on a channel and that the rival has not read.
#[derive(Debug)]
struct Unread {
    sku: usize,
    /// Units: below 0 for a sale.
    delta: i64,
    /// Of them on the channel's own number.
    own: i64,
    order: OrderId,
    in_quantities_at: UtcMs,
    /// Whether a read of quantities has shown it already.
    known: bool,
}

/// A channel as a rival sees it.
#[derive(Debug)]
struct Channel {
    /// What its orders and numbers show when; nothing is listed in it.
    shop: Shop,
    shown: Vec<i64>,
    /// By SKU: what the number has moved by orders that are not known.
    unknown: Vec<i64>,
    /// By when a read of orders shows it.
    unread: BTreeMap<(UtcMs, u64), Unread>,
}

/// Channels that a rival keeps in step.
pub(super) struct Rival {
    kind: Kind,
    now: UtcMs,
    start: UtcMs,
    skus: Vec<Sku>,
    channels: Vec<Channel>,
    court: Court,
    /// Stock less the orders known.
    known: Vec<i64>,
    /// SKUs whose numbers may be out of step.
    dirty: BTreeSet<usize>,
    looks: VecDeque<Look>,
    /// What lands when.
    landings: VecDeque<(UtcMs, usize)>,
    next: u64,
    pushes: u64,
    calls: u64,
}

impl Rival {
    pub(super) fn open(
        kind: Kind,
        history: &History,
        scenario: &Scenario,
        start: UtcMs,
    ) -> Result<Self, BadSku> {
        let shops = scenario.shops(&history.skus, &history.opening);
        let stock: Vec<_> = history.skus.iter().zip(&history.opening).collect();
        let stock: Vec<_> = stock.into_iter().map(|(sku, n)| (sku.as_str().to_owned(), n.get())).collect();
        let allowed: Vec<_> = scenario.channels.iter().map(|channel| allowances(kind, channel)).collect();
        let court = Court::with(&shops, &stock, &allowed, |_, sku, _| vec![(sku.to_owned(), 1)])?;
        let channels = scenario.channels.iter().zip(&shops).map(|(channel, shop)| Channel {
            shop: channel.empty_shop(),
            shown: (0..history.skus.len()).map(|sku| shop.shows_ix(sku, 0)).collect(),
            unknown: vec![0; history.skus.len()],
            unread: BTreeMap::new(),
        });
        Ok(Self {
            kind,
            now: start,
            start,
            skus: history.skus.clone(),
            channels: channels.collect(),
            court,
            known: history.opening.iter().map(|units| units.get()).collect(),
            dirty: BTreeSet::new(),
            looks: VecDeque::new(),
            landings: VecDeque::new(),
            next: 0,
            pushes: 0,
            calls: 0,
        })
    }

    /// Looks that the engine took, later than those heard of before.
    pub(super) fn hear(&mut self, looks: impl IntoIterator<Item = Look>) {
        self.looks.extend(looks);
    }

    fn happened(&mut self, channel: usize, event: &OrderEvent, sku: usize, delta: i64, own: i64) {
        self.next += 1;
        let there = &mut self.channels[channel];
        (there.shown[sku], there.unknown[sku]) = (there.shown[sku] + own, there.unknown[sku] + own);
        let unread = Unread {
            sku,
            delta,
            own,
            order: event.order.clone(),
            in_quantities_at: event.in_quantities_at,
            known: false,
        };
        there.unread.insert((event.in_orders_at, self.next), unread);
    }

    /// A read of orders, answered at `read_at`.
    fn read_orders(&mut self, channel: usize, read_at: UtcMs) {
        let mut orders = BTreeSet::new();
        while let Some(entry) = self.channels[channel].unread.first_entry() {
            if entry.key().0 > read_at {
                break;
            }
            let unread = entry.remove();
            if !unread.known {
                self.learn(channel, unread.sku, unread.delta, unread.own);
            }
            orders.insert(unread.order);
        }
        for order in orders {
            self.court.read(self.now, channel, &order, read_at);
        }
    }

    fn learn(&mut self, channel: usize, sku: usize, delta: i64, own: i64) {
        self.known[sku] += delta;
        self.channels[channel].unknown[sku] -= own;
        self.dirty.insert(sku);
    }

    /// A read of quantities shows sales that no order explains yet; what came back it can't tell from anything else.
    fn read_numbers(&mut self, channel: usize, places: &[usize], read_at: UtcMs) {
        let mut seen = Vec::new();
        for unread in self.channels[channel].unread.values_mut() {
            let shows = !unread.known && unread.delta < 0 && unread.in_quantities_at <= read_at;
            if shows && places.contains(&unread.sku) {
                unread.known = true;
                seen.push((unread.sku, unread.delta, unread.own));
            }
        }
        for (sku, delta, own) in seen {
            self.learn(channel, sku, delta, own);
        }
    }

    fn take_look(&mut self, look: &Look) {
        self.calls += 1;
        match &look.places {
            None => self.read_orders(look.shop, look.read_at),
            Some(places) => self.read_numbers(look.shop, places, look.read_at),
        }
        self.send();
    }

    /// What is out of step is set, one request's way later.
    fn send(&mut self) {
        let at = self.now.plus_ms(way_ms());
        for sku in std::mem::take(&mut self.dirty) {
            self.landings.push_back((at, sku));
        }
    }

    fn land(&mut self, sku: usize) {
        for channel in 0..self.channels.len() {
            let there = &self.channels[channel];
            let value = (self.known[sku] + there.unknown[sku]).max(0);
            if value != there.shown[sku] {
                self.calls += 1;
                self.set(channel, sku, value);
            }
        }
    }

    fn set(&mut self, channel: usize, sku: usize, value: i64) {
        let there = &mut self.channels[channel];
        self.pushes += u64::from(there.shown[sku] != value);
        there.shown[sku] = value;
        let place = self.court.place(channel, sku);
        let (sent_at, landed_at) = (self.now, self.now);
        self.court.referee.landing(Landing { place, sent_at, landed_at, value: Units::of(value) });
    }

    /// The interval syncer's turn: all orders read, all numbers set.
    fn turn(&mut self) {
        for channel in 0..self.channels.len() {
            self.read_orders(channel, self.now);
            let batch = self.channels[channel].shop.capabilities.write_batch.max(1);
            self.calls += 1 + u64::try_from(self.skus.len().div_ceil(batch)).unwrap_or(0);
        }
        // All others already show what they would be set to.
        for sku in std::mem::take(&mut self.dirty) {
            for channel in 0..self.channels.len() {
                self.set(channel, sku, self.known[sku].max(0));
            }
        }
    }

    /// When the rival next does something of its own, and what is due then.
    fn next_turn(&self) -> UtcMs {
        match self.kind {
            Kind::Interval { every } => {
                let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX / 4).max(1);
                let passed = self.now.since(self.start).div_euclid(every);
                self.start.plus_ms((passed + 1) * every)
            }
            Kind::Ideal => {
                let look = self.looks.front().map(|look| look.at);
                let landing = self.landings.front().map(|(at, _)| *at);
                look.into_iter().chain(landing).min().unwrap_or(UtcMs(i64::MAX))
            }
        }
    }
}

/// What the referee allows a rival; it is not held to what it doesn't promise.
fn allowances(kind: Kind, channel: &super::Channel) -> Allowances {
    match kind {
        Kind::Interval { every } => {
            let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX / 8);
            Allowances { latency_ms: 0, ..Allowances::of_poll(every) }
        }
        Kind::Ideal => channel.allowances(),
    }
}

fn way_ms() -> i64 {
    i64::try_from(LATENCY.as_millis()).unwrap_or(0)
}

impl Market for Rival {
    fn pass_until(&mut self, until: UtcMs) -> Result<(), Fault> {
        loop {
            let next = self.next_turn();
            if next > until {
                self.now = self.now.max(until);
                return Ok(());
            }
            self.now = self.now.max(next);
            if matches!(self.kind, Kind::Interval { .. }) {
                self.turn();
                continue;
            }
            while let Some((_, sku)) = self.landings.pop_front_if(|(at, _)| *at <= next) {
                self.land(sku);
            }
            while let Some(look) = self.looks.pop_front_if(|look| look.at <= next) {
                self.take_look(&look);
            }
        }
    }

    fn shown(&self, channel: usize, sku: usize) -> i64 {
        self.channels[channel].shown[sku]
    }

    fn order(&mut self, channel: usize, order: &str, lines: &[Bought<'_>]) {
        for line in lines {
            let (place, id) = (self.court.place(channel, line.sku), OrderId::new(order));
            let event = self.court.event(self.now, &self.channels[channel].shop, id, place, line.units);
            self.happened(channel, &event, line.sku, -line.units, -line.units);
            self.court.referee.sale(event);
            if matches!(self.kind, Kind::Interval { .. }) {
                // Its number differs from what the next turn sets it to.
                self.dirty.insert(line.sku);
            }
        }
    }

    fn ship(&mut self, _: usize, _: &str) {}

    fn give_back(&mut self, of: OfOrder<'_>, units: i64) {
        let OfOrder { channel, order, sku, .. } = of;
        let place = self.court.place(channel, sku);
        let shop = &self.channels[channel].shop;
        let shows = shop.restocks_itself;
        let event = self.court.event(self.now, shop, OrderId::new(order), place, units);
        self.happened(channel, &event, sku, units, if shows { units } else { 0 });
        self.court.referee.give_back(event, shows);
    }

    fn finish(&mut self, _: usize, _: &str) {}

    fn receive(&mut self, sku: usize, units: i64) -> Result<(), Fault> {
        let now = self.now;
        self.court.referee.raise(now, &self.skus[sku], Units::of(units), now);
        self.known[sku] += units;
        self.dirty.insert(sku);
        if matches!(self.kind, Kind::Ideal) {
            self.send();
        }
        Ok(())
    }

    fn referee(&mut self) -> &mut Referee {
        &mut self.court.referee
    }

    fn free(&mut self, sku: usize) -> i64 {
        self.court.referee.truly_available(&self.skus[sku]).get()
    }

    fn effort(&self) -> (u64, u64) {
        (self.pushes, self.calls)
    }
}
