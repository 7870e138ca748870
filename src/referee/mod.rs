//! The judge of oversells: knows every sale at the moment it happens, every write of the daemon when it
//! lands, and what evidence the daemon had been given by then (CORRECTNESS.md section 1).
//!
//! Pure: time is passed in, and instants passed to one referee never run backwards by more than a request
//! takes. Set-up order: [`Referee::add_channel`], [`Referee::opening`], [`Referee::add_place`]; then what
//! happens, as it happens.

mod book;
mod convergence;
mod count;
mod judge;
mod timers;
mod verdict;

#[cfg(test)]
mod tests;

pub use convergence::Convergence;
pub use verdict::{Breach, BreachKind, Oversold, Totals};

use book::{Book, EventIx, Kind};
use timers::{Channel, Timer, Timers};

use crate::domain::{OrderId, Policy, Sku, Units, UtcMs};

/// A channel, by the order in which channels were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelIx(pub usize);

/// A place where a channel keeps a number, by the order in which places were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceIx(pub usize);

/// What holds for every channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The age that a fence may have when the write is sent, in milliseconds: one round trip plus a commit.
    ///
    /// A write's value freezes when it is recorded, before it leaves; evidence younger than this when the
    /// write was sent may have crossed it on the way and is not held against the daemon.
    pub fence_age_ms: i64,
    /// The longest time between a write's sending and its landing, in milliseconds. What was known before
    /// that is folded away.
    pub memory_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fence_age_ms: 500, memory_ms: 600_000 }
    }
}

/// What the daemon owes on one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelSettings {
    /// The time between two order polls, in milliseconds.
    pub order_poll_ms: i64,
    /// The time between two looks at the channel's quantities, in milliseconds; `None`: the daemon is not
    /// expected to look unless it writes.
    pub quantity_poll_ms: Option<i64>,
    /// How long one poll may take, all its pages, in milliseconds: an order is *due* a poll and this after it
    /// became visible.
    pub read_allowance_ms: i64,
    /// How long after its evidence a decrease may land, in milliseconds: compute, queue, limits, request.
    pub slack_ms: i64,
    /// What is granted on top of the slack after [`Referee::unsettled`], in milliseconds.
    pub settle_ms: i64,
}

/// One place to watch.
#[derive(Clone, Debug)]
pub struct NewPlace {
    /// Which channel shows it.
    pub channel: ChannelIx,
    /// How breaches name it.
    pub name: String,
    /// What one piece is made of: one SKU and one unit for a plain listing. Stock that locations don't share
    /// needs keys of its own here.
    pub components: Vec<(Sku, Units)>,
    /// What the place should show of what is available.
    pub policy: Policy,
    /// What it shows now. Whatever is above policy is external: the daemon never wrote it.
    pub shown: Units,
}

/// Pieces of a place that an order takes, or gives back.
#[derive(Clone, Debug)]
pub struct OrderEvent {
    /// When it happened.
    pub at: UtcMs,
    /// The order, unique per channel. An order of several lines, or one that changes, is several events.
    pub order: OrderId,
    /// Whose pieces.
    pub place: PlaceIx,
    /// How many, at least 1.
    pub pieces: Units,
    /// From when on a read of orders shows this; never before `at`.
    pub in_orders_at: UtcMs,
    /// From when on a read of quantities shows this; never before `at`.
    pub in_quantities_at: UtcMs,
}

/// A write of the daemon that took effect.
#[derive(Clone, Copy, Debug)]
pub struct Landing {
    /// Where.
    pub place: PlaceIx,
    /// When the request arrived. For a repeat under the same idempotency key: when that key first arrived, even if it
    /// was lost then, since a repeat carries the value of the first (CORRECTNESS.md section 3, rule 3).
    pub sent_at: UtcMs,
    /// When the number changed.
    pub landed_at: UtcMs,
    /// What the place shows from then on.
    pub value: Units,
}

/// See the module.
#[derive(Debug)]
pub struct Referee {
    settings: Settings,
    channels: Vec<Channel>,
    book: Book,
    timers: Timers,
    now: UtcMs,
    totals: Totals,
    sale_to_push_ms: Vec<i64>,
    convergence: Convergence,
}

impl Referee {
    /// A referee of nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            channels: Vec::new(),
            book: Book::default(),
            timers: Timers::default(),
            now: UtcMs(i64::MIN),
            totals: Totals::default(),
            sale_to_push_ms: Vec::new(),
            convergence: Convergence::default(),
        }
    }

    /// Adds a channel, open for requests.
    pub fn add_channel(&mut self, settings: ChannelSettings) -> ChannelIx {
        self.channels.push(Channel::new(settings));
        ChannelIx(self.channels.len() - 1)
    }

    /// States what is available of a SKU at the start, known to the daemon.
    pub fn opening(&mut self, sku: &Sku, units: Units) {
        let sku = self.book.sku(sku);
        self.book.open(sku, units);
    }

    /// Adds a place. Its SKUs have their opening by now.
    pub fn add_place(&mut self, place: NewPlace) -> PlaceIx {
        self.book.add_place(place)
    }

    /// The seller's own restock: the units exist from `at` on. `known_from` is the earliest instant at which
    /// the ledger can have them: when the operator's command starts.
    pub fn raise(&mut self, at: UtcMs, sku: &Sku, units: Units, known_from: UtcMs) {
        self.advance(at);
        let sku = self.book.sku(sku);
        self.book.shelf(sku, units, known_from);
    }

    /// Units vanished from the shelf, and nobody tells the daemon before `known_from`.
    pub fn lose(&mut self, at: UtcMs, sku: &Sku, units: Units, known_from: UtcMs) {
        self.advance(at);
        let sku = self.book.sku(sku);
        self.book.shelf(sku, -units, known_from);
        self.book.owe_for_loss(sku, units, known_from);
        for place in self.book.stocks[sku].places.clone() {
            self.check_after(known_from, place);
        }
    }

    /// A sale: the place's number falls by it.
    pub fn sale(&mut self, sale: OrderEvent) {
        self.advance(sale.at);
        self.judge_sale(sale);
    }

    /// A cancel or refund whose units really are back. `shown`: the channel puts them back into its own
    /// number.
    pub fn give_back(&mut self, back: OrderEvent, shown: bool) {
        self.advance(back.at);
        let place = self.book.place_mut(back.place);
        if shown {
            let ChannelSettings { order_poll_ms, slack_ms, .. } = self.channels[place.channel.0].settings;
            let until = back.in_orders_at.plus_ms(order_poll_ms + slack_ms);
            place.count.grant(back.pieces, Some(until));
            self.timers.set(until, Timer::GrantOver(back.place));
        }
        self.book.record(Kind::GiveBack, back);
    }

    /// Staff, or the channel, set the number by hand; what exists does not change.
    pub fn hand_edit(&mut self, at: UtcMs, place: PlaceIx, shown: Units) {
        self.advance(at);
        let ix = place;
        let place = self.book.place_mut(ix);
        let ChannelSettings { quantity_poll_ms, slack_ms, .. } = self.channels[place.channel.0].settings;
        let until = quantity_poll_ms.map(|poll| at.plus_ms(poll + slack_ms));
        let before = place.count.shown();
        place.count.grant(shown - before, until);
        place.count.lower((before - shown).at_least_zero());
        if let Some(until) = until {
            self.timers.set(until, Timer::GrantOver(ix));
        }
    }

    /// A completed reply, composed at `read_at` and gone out by `at`, held the order with all of it that was
    /// visible then.
    pub fn order_delivered(&mut self, channel: ChannelIx, order: &OrderId, read_at: UtcMs, at: UtcMs) {
        self.advance(at);
        for ix in self.book.events_of(channel, order) {
            let Some(event) = self.book.events.get_mut(&ix) else { continue };
            if event.told.in_orders_at <= read_at && event.delivered_at.is_none() {
                event.delivered_at = Some(at);
                self.known(ix, at);
            }
        }
    }

    /// A write landed.
    pub fn landing(&mut self, landing: Landing) {
        self.advance(landing.landed_at);
        self.judge_landing(landing);
    }

    /// A write to the place was lost, or its reply was: until it is settled the daemon may not write again.
    pub fn unsettled(&mut self, at: UtcMs, place: PlaceIx) {
        self.advance(at);
        let place = self.book.place_mut(place);
        let settled_at = at.plus_ms(self.channels[place.channel.0].settings.settle_ms);
        place.settled_at = place.settled_at.max(settled_at);
    }

    /// Whether the channel takes requests and has budget left. While it doesn't nothing is overdue on it, and
    /// what waits then starts over.
    pub fn set_open(&mut self, at: UtcMs, channel: ChannelIx, open: bool) {
        self.advance(at);
        let channel = &mut self.channels[channel.0];
        if open {
            for timer in channel.open(at) {
                self.timers.set(at, timer);
            }
        } else {
            channel.close();
        }
    }

    /// Looks for what is overdue; call it a few times a second, and before reading [`Referee::totals`].
    pub fn tick(&mut self, at: UtcMs) {
        self.advance(at);
    }

    /// What has been found.
    pub fn totals(&self) -> Totals {
        self.totals.clone()
    }

    /// What the place shows, as far as the referee was told.
    pub fn shown(&self, place: PlaceIx) -> Units {
        self.book.place(place).count.shown()
    }

    /// What the place should show of what really is available, whether or not the daemon can know.
    pub fn true_target(&self, place: PlaceIx) -> Units {
        self.book.true_target(place)
    }

    /// The places that don't show their true target, each with both numbers.
    pub fn astray(&self) -> Vec<String> {
        let places = (0..self.book.places.len()).map(PlaceIx);
        let astray = places.filter(|place| self.shown(*place) != self.true_target(*place));
        let told = |place| {
            let (shown, target) = (self.shown(place), self.true_target(place));
            format!("{} shows {shown}, should show {target}", self.book.place(place).name)
        };
        astray.map(told).collect()
    }

    /// Units that are really available; below 0 after an oversell.
    pub fn truly_available(&self, sku: &Sku) -> Units {
        self.book.stock(sku).map(|stock| stock.truly).unwrap_or_default()
    }

    /// For each sale that left another place of its SKUs above its true target: milliseconds until a landing
    /// brought that place down to it. Unsorted; places that an own sale brought down instead are left out.
    pub fn sale_to_push_ms(&self) -> &[i64] {
        &self.sale_to_push_ms
    }

    /// How long it took, after a sale that left other places above their true target, until the last of them was at or
    /// below it, by a landing or by sales of its own.
    pub const fn convergence(&self) -> &Convergence {
        &self.convergence
    }

    /// Runs what was to be looked at by `at`.
    fn advance(&mut self, at: UtcMs) {
        self.now = self.now.max(at);
        while let Some((set_for, timer)) = self.timers.pop(self.now) {
            let Some(channel) = self.channel_of(timer) else { continue };
            match self.channels[channel.0].ready_at(set_for, timer) {
                None => {}
                Some(ready) if ready > set_for => self.timers.set(ready, timer),
                Some(_) => self.run(set_for, timer),
            }
        }
    }

    fn channel_of(&self, timer: Timer) -> Option<ChannelIx> {
        match timer {
            Timer::Due(event) => self.book.events.get(&event).map(|event| event.channel),
            Timer::GrantOver(place) | Timer::Check(place) => Some(self.book.place(place).channel),
        }
    }

    fn run(&mut self, at: UtcMs, timer: Timer) {
        match timer {
            Timer::Due(ix) => {
                if let Some(event) = self.book.events.get_mut(&ix) {
                    event.due_at = Some(at);
                    self.known(ix, at);
                }
            }
            Timer::GrantOver(place) => {
                self.book.place_mut(place).count.end_grants(at);
                self.judge_overdue(at, place);
            }
            Timer::Check(place) => self.judge_overdue(at, place),
        }
    }

    /// From `at` on the daemon can know the event: decreases are due a slack later.
    fn known(&mut self, ix: EventIx, at: UtcMs) {
        self.book.settle_debts(ix);
        let Some(event) = self.book.events.get(&ix) else { return };
        if event.kind == Kind::Sale && event.known_at() == Some(at) {
            for place in self.book.neighbours(event.told.place) {
                self.check_after(at, place);
            }
        }
    }

    fn check_after(&mut self, at: UtcMs, place: PlaceIx) {
        let slack_ms = self.channels[self.book.place(place).channel.0].settings.slack_ms;
        self.timers.set(at.plus_ms(slack_ms), Timer::Check(place));
    }
}
