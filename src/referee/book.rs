//! What really happened, and who could know it when.

use std::collections::HashMap;

use super::{
    ChannelIx, NewPlace, OrderEvent, PlaceIx,
    count::{Count, Taken},
};
use crate::domain::{OrderId, Policy, Sku, Units, UtcMs};

pub(super) type EventIx = u64;
pub(super) type SkuIx = usize;

/// Which way an event moves stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sale,
    GiveBack,
}

/// One change by an order.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: Kind,
    pub(super) channel: ChannelIx,
    pub(super) told: OrderEvent,
    /// When a completed reply first held it.
    pub(super) delivered_at: Option<UtcMs>,
    /// When a poll should have shown it at the latest.
    pub(super) due_at: Option<UtcMs>,
    /// Whether a read of quantities could have shown it before our first later write erased that evidence;
    /// `None`: no later write yet.
    pub(super) readable: Option<bool>,
}

/// Stock that came or went without an order.
#[derive(Debug)]
pub(super) struct ShelfChange {
    delta: Units,
    known_from: UtcMs,
}

/// What the daemon can be held to know.
#[derive(Clone, Copy, Debug)]
pub(super) enum Evidence {
    /// For a write sent then, with a fence of this age. Units back count as soon as they are delivered, in
    /// the daemon's favour; sales once they are older than the fence.
    Sent { at: UtcMs, fence_age_ms: i64 },
    /// For a decrease: sales known at `cut`, units back known at `now`.
    Decrease { cut: UtcMs, now: UtcMs },
}

impl Evidence {
    pub(super) fn has(self, event: &Event) -> bool {
        let by = |limit: UtcMs, instant: Option<UtcMs>| instant.is_some_and(|instant| instant <= limit);
        match (self, event.kind) {
            (Self::Sent { at, fence_age_ms }, Kind::Sale) => {
                by(at.plus_ms(-fence_age_ms), event.delivered_at) || by(at, event.due_at)
            }
            (Self::Decrease { cut, .. }, Kind::Sale) => by(cut, event.delivered_at) || by(cut, event.due_at),
            (Self::Sent { at: now, .. } | Self::Decrease { now, .. }, Kind::GiveBack) => {
                by(now, event.delivered_at)
            }
        }
    }

    fn has_shelf(self, change: &ShelfChange) -> bool {
        let lost = change.delta < Units::ZERO;
        change.known_from
            <= match self {
                Self::Sent { at, fence_age_ms } if lost => at.plus_ms(-fence_age_ms),
                Self::Decrease { cut, .. } if lost => cut,
                Self::Sent { at: now, .. } | Self::Decrease { now, .. } => now,
            }
    }
}

impl Event {
    /// What it adds to what is available, in pieces.
    pub(super) fn signed(&self) -> Units {
        match self.kind {
            Kind::Sale => -self.told.pieces,
            Kind::GiveBack => self.told.pieces,
        }
    }

    pub(super) fn known_at(&self) -> Option<UtcMs> {
        match (self.delivered_at, self.due_at) {
            (Some(delivered), Some(due)) => Some(delivered.min(due)),
            (delivered, due) => delivered.or(due),
        }
    }
}

/// Units sold out of what should not have been shown, without an oversell so far.
#[derive(Debug)]
pub(super) struct Debt {
    /// `None` for units lost without an order.
    pub(super) event: Option<EventIx>,
    pub(super) units: Taken,
    /// When the daemon could know the event.
    pub(super) known_at: Option<UtcMs>,
}

/// One SKU's stock.
#[derive(Debug, Default)]
pub(super) struct Stock {
    /// Opening, and all that has been folded in.
    base: Units,
    /// What is really available.
    pub(super) truly: Units,
    shelf: Vec<ShelfChange>,
    pub(super) events: Vec<EventIx>,
    pub(super) places: Vec<PlaceIx>,
    pub(super) debts: Vec<Debt>,
}

/// A sale that a place has yet to follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToFollow {
    pub(super) sold_at: UtcMs,
    /// What is to be shown at most.
    pub(super) target: Units,
    pub(super) sale: EventIx,
}

/// One place where a channel keeps a number.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) channel: ChannelIx,
    pub(super) name: String,
    pub(super) components: Vec<(SkuIx, Units)>,
    pub(super) policy: Policy,
    pub(super) count: Count,
    /// Its own events that are not folded.
    pub(super) events: Vec<EventIx>,
    /// When its last write was sent and landed.
    pub(super) last_write: Option<(UtcMs, UtcMs)>,
    /// By when it last showed no more than evidence allowed, without a write.
    pub(super) clean_at: UtcMs,
    /// Until when a lost write or reply keeps the daemon from writing.
    pub(super) settled_at: UtcMs,
    /// Sales elsewhere that this place has yet to follow.
    pub(super) to_follow: Vec<ToFollow>,
}

impl Place {
    pub(super) fn units_of(&self, sku: SkuIx) -> Units {
        self.components.iter().find(|(ix, _)| *ix == sku).map_or(Units::ZERO, |(_, units)| *units)
    }

    /// From when on evidence may be unheeded: everything known before has been acted on.
    pub(super) fn heeded_until(&self) -> UtcMs {
        self.last_write.map_or(self.clean_at, |(sent_at, _)| sent_at.max(self.clean_at))
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Book {
    names: HashMap<Sku, SkuIx>,
    pub(super) stocks: Vec<Stock>,
    pub(super) places: Vec<Place>,
    pub(super) events: HashMap<EventIx, Event>,
    orders: HashMap<(ChannelIx, OrderId), Vec<EventIx>>,
    written: EventIx,
}

impl Book {
    pub(super) fn sku(&mut self, sku: &Sku) -> SkuIx {
        if let Some(ix) = self.names.get(sku) {
            return *ix;
        }
        self.stocks.push(Stock::default());
        self.names.insert(sku.clone(), self.stocks.len() - 1);
        self.stocks.len() - 1
    }

    pub(super) fn stock(&self, sku: &Sku) -> Option<&Stock> {
        self.names.get(sku).map(|ix| &self.stocks[*ix])
    }

    pub(super) fn open(&mut self, sku: SkuIx, units: Units) {
        self.stocks[sku].base += units;
        self.stocks[sku].truly += units;
    }

    pub(super) fn shelf(&mut self, sku: SkuIx, delta: Units, known_from: UtcMs) {
        self.stocks[sku].truly += delta;
        self.stocks[sku].shelf.push(ShelfChange { delta, known_from });
    }

    /// An oversell may later show that the lost units are missing.
    pub(super) fn owe_for_loss(&mut self, sku: SkuIx, units: Units, known_from: UtcMs) {
        let units = Taken { external: units, ..Taken::default() };
        self.stocks[sku].debts.push(Debt { event: None, units, known_at: Some(known_from) });
    }

    pub(super) fn place(&self, place: PlaceIx) -> &Place {
        &self.places[place.0]
    }

    pub(super) fn place_mut(&mut self, place: PlaceIx) -> &mut Place {
        &mut self.places[place.0]
    }

    pub(super) fn add_place(&mut self, new: NewPlace) -> PlaceIx {
        let ix = PlaceIx(self.places.len());
        let components: Vec<_> = new.components.iter().map(|(sku, units)| (self.sku(sku), *units)).collect();
        for (sku, _) in &components {
            self.stocks[*sku].places.push(ix);
        }
        self.places.push(Place {
            channel: new.channel,
            name: new.name,
            components,
            policy: new.policy,
            count: Count::default(),
            events: Vec::new(),
            last_write: None,
            clean_at: UtcMs(i64::MIN),
            settled_at: UtcMs(i64::MIN),
            to_follow: Vec::new(),
        });
        self.places[ix.0].count = Count::found(new.shown, self.true_target(ix));
        ix
    }

    /// Places that share a SKU with this one, itself included, without repetition.
    pub(super) fn neighbours(&self, place: PlaceIx) -> Vec<PlaceIx> {
        let stocks = self.place(place).components.iter().map(|(sku, _)| &self.stocks[*sku]);
        let mut places: Vec<_> = stocks.flat_map(|stock| stock.places.iter().copied()).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Writes an event down; what is really available moves with it.
    pub(super) fn record(&mut self, kind: Kind, told: OrderEvent) -> EventIx {
        self.written += 1;
        let ix = self.written;
        let place = &mut self.places[told.place.0];
        let event =
            Event { kind, channel: place.channel, told, delivered_at: None, due_at: None, readable: None };
        place.events.push(ix);
        for (sku, units) in &place.components {
            let stock = &mut self.stocks[*sku];
            stock.truly += event.signed().times(*units);
            stock.events.push(ix);
        }
        self.orders.entry((event.channel, event.told.order.clone())).or_default().push(ix);
        self.events.insert(ix, event);
        ix
    }

    pub(super) fn events_of(&self, channel: ChannelIx, order: &OrderId) -> Vec<EventIx> {
        self.orders.get(&(channel, order.clone())).cloned().unwrap_or_default()
    }

    /// The event is known from `at` on, if it wasn't before.
    pub(super) fn settle_debts(&mut self, ix: EventIx) {
        let Some(event) = self.events.get(&ix) else { return };
        for (sku, _) in &self.places[event.told.place.0].components {
            let debts = self.stocks[*sku].debts.iter_mut().filter(|debt| debt.event == Some(ix));
            debts.for_each(|debt| debt.known_at = event.known_at());
        }
    }

    /// What evidence says is available at a place, in pieces; may be negative.
    pub(super) fn available(&self, place: PlaceIx, evidence: Evidence) -> Units {
        self.lots(place, |sku| {
            let stock = &self.stocks[sku];
            let events = stock.events.iter().filter_map(|ix| self.events.get(ix));
            let known = events.filter(|event| evidence.has(event));
            let moved: Units =
                known.map(|event| event.signed().times(self.place(event.told.place).units_of(sku))).sum();
            let changes = stock.shelf.iter().filter(|change| evidence.has_shelf(change));
            stock.base + moved + changes.map(|change| change.delta).sum()
        })
    }

    /// What the place should show of what really is available.
    pub(super) fn true_target(&self, place: PlaceIx) -> Units {
        let available = self.lots(place, |sku| self.stocks[sku].truly);
        self.place(place).policy.target(available)
    }

    fn lots(&self, place: PlaceIx, available: impl Fn(SkuIx) -> Units) -> Units {
        let lots = self.place(place).components.iter().map(|(sku, units)| available(*sku).lots_of(*units));
        lots.min().unwrap_or_default()
    }

    /// The place's own sales that evidence lacks, those that `which` picks, less its own units back that
    /// evidence lacks.
    pub(super) fn own_unknown(
        &self,
        place: PlaceIx,
        evidence: Evidence,
        which: impl Fn(&Event) -> bool,
    ) -> Units {
        let events = self.place(place).events.iter().filter_map(|ix| self.events.get(ix));
        let unknown = events.filter(|event| !evidence.has(event));
        let net: Units = unknown
            .filter(|event| event.kind == Kind::GiveBack || which(event))
            .map(|event| -event.signed())
            .sum();
        net.at_least_zero()
    }

    /// Folds away what every write that can still land knows, and voids the debts of events that every place
    /// has heeded.
    pub(super) fn tidy(&mut self, place: PlaceIx, oldest: Evidence) {
        for (sku, _) in self.place(place).components.clone() {
            let heeded = self.stocks[sku].places.iter().map(|ix| self.place(*ix).heeded_until()).min();
            let Stock { base, shelf, debts, .. } = &mut self.stocks[sku];
            debts.retain(|debt| debt.known_at.is_none_or(|known| heeded.is_none_or(|heeded| known > heeded)));
            shelf.retain(|change| {
                let fold = oldest.has_shelf(change);
                *base += if fold { change.delta } else { Units::ZERO };
                !fold
            });
            let known = |ix: &EventIx| self.events.get(ix).is_some_and(|event| oldest.has(event));
            let over: Vec<_> = self.stocks[sku].events.iter().copied().filter(known).collect();
            for ix in over {
                self.fold(ix);
            }
        }
    }

    fn fold(&mut self, ix: EventIx) {
        let Some(event) = self.events.remove(&ix) else { return };
        let place = &mut self.places[event.told.place.0];
        place.events.retain(|other| *other != ix);
        for (sku, units) in &place.components {
            let stock = &mut self.stocks[*sku];
            stock.events.retain(|other| *other != ix);
            stock.base += event.signed().times(*units);
        }
        let key = (event.channel, event.told.order);
        if let Some(events) = self.orders.get_mut(&key) {
            events.retain(|other| *other != ix);
            if events.is_empty() {
                self.orders.remove(&key);
            }
        }
    }

    /// The events of a place's SKUs, newest last, for people.
    pub(super) fn describe(&self, place: PlaceIx, most: usize) -> Vec<String> {
        let mut events: Vec<_> =
            self.place(place).components.iter().flat_map(|(sku, _)| &self.stocks[*sku].events).collect();
        events.sort_unstable();
        events.dedup();
        let newest = &events[events.len().saturating_sub(most)..];
        newest.iter().filter_map(|ix| self.events.get(ix)).map(|event| self.describe_event(event)).collect()
    }

    fn describe_event(&self, event: &Event) -> String {
        let kind = match event.kind {
            Kind::Sale => "sold",
            Kind::GiveBack => "gave back",
        };
        let at = |instant: Option<UtcMs>| instant.map_or_else(|| "never".to_owned(), UtcMs::rfc3339);
        let OrderEvent { at: when, order, pieces, in_orders_at, in_quantities_at, place } = &event.told;
        format!(
            "{when} order {order} {kind} {pieces} at {}: in orders {in_orders_at}, in quantities \
             {in_quantities_at}, delivered {}, due {}",
            self.place(*place).name,
            at(event.delivered_at),
            at(event.due_at),
        )
    }
}
