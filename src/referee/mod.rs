//! The judge of oversells: knows every sale at the moment it happens, every write of the daemon when it lands, and
//! what evidence the daemon had been given by then (CORRECTNESS.md section 1).
//!
//! Pure: time is passed in, and instants passed to one referee never run backwards by more than a request takes.
//! Set-up order: [`Referee::add_channel`], [`Referee::opening`], [`Referee::add_place`]; then what happens, as it
//! happens.

mod verdict;

pub use verdict::{Breach, BreachKind, Oversold, Totals};

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
    /// A write's value freezes when it is recorded, before it leaves; evidence younger than this when the write was
    /// sent may have crossed it on the way and is not held against the daemon.
    pub fence_age_ms: i64,
    /// The longest time between a write's sending and its landing, in milliseconds. What was known before that is
    /// folded away.
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
    /// The time between two looks at the channel's quantities, in milliseconds; `None`: the daemon is not expected to
    /// look unless it writes.
    pub quantity_poll_ms: Option<i64>,
    /// How long one poll may take, all its pages, in milliseconds: an order is *due* a poll and this after it became
    /// visible.
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
    /// What one piece is made of: one SKU and one unit for a plain listing. Stock that locations don't share needs
    /// keys of its own here.
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
    /// When the request arrived.
    pub sent_at: UtcMs,
    /// When the number changed.
    pub landed_at: UtcMs,
    /// What the place shows from then on.
    pub value: Units,
}

/// See the module.
#[derive(Debug)]
pub struct Referee {}

impl Referee {
    /// A referee of nothing yet.
    pub fn new(_settings: Settings) -> Self {
        Self {}
    }

    /// Adds a channel, open for requests.
    pub fn add_channel(&mut self, _settings: ChannelSettings) -> ChannelIx {
        ChannelIx(0)
    }

    /// States what is available of a SKU at the start, known to the daemon.
    pub fn opening(&mut self, _sku: &Sku, _units: Units) {}

    /// Adds a place. Its SKUs have their opening by now.
    pub fn add_place(&mut self, _place: NewPlace) -> PlaceIx {
        PlaceIx(0)
    }

    /// The seller's own restock: the units exist from `at` on. `known_from` is the earliest instant at which the ledger can
    /// have them: when the operator's command starts.
    pub fn raise(&mut self, _at: UtcMs, _sku: &Sku, _units: Units, _known_from: UtcMs) {}

    /// Units vanished from the shelf, and nobody tells the daemon before `known_from`.
    pub fn lose(&mut self, _at: UtcMs, _sku: &Sku, _units: Units, _known_from: UtcMs) {}

    /// A sale: the place's number falls by it.
    pub fn sale(&mut self, _sale: OrderEvent) {}

    /// A cancel or refund whose units really are back. `shown`: the channel puts them back into its own number.
    pub fn give_back(&mut self, _back: OrderEvent, _shown: bool) {}

    /// Staff, or the channel, set the number by hand; what exists does not change.
    pub fn hand_edit(&mut self, _at: UtcMs, _place: PlaceIx, _shown: Units) {}

    /// A completed reply, composed at `read_at` and gone out by `at`, held the order with all of it that was visible then.
    pub fn order_delivered(&mut self, _channel: ChannelIx, _order: &OrderId, _read_at: UtcMs, _at: UtcMs) {}

    /// A write landed.
    pub fn landing(&mut self, _landing: Landing) {}

    /// A write to the place was lost, or its reply was: until it is settled the daemon may not write again.
    pub fn unsettled(&mut self, _at: UtcMs, _place: PlaceIx) {}

    /// Whether the channel takes requests and has budget left. While it doesn't nothing is overdue on it, and what waits
    /// then starts over.
    pub fn set_open(&mut self, _at: UtcMs, _channel: ChannelIx, _open: bool) {}

    /// Looks for what is overdue; call it a few times a second, and before reading [`Referee::totals`].
    pub fn tick(&mut self, _at: UtcMs) {}

    /// What has been found.
    pub fn totals(&self) -> Totals {
        Totals::default()
    }

    /// What the place shows, as far as the referee was told.
    pub fn shown(&self, _place: PlaceIx) -> Units {
        Units::ZERO
    }

    /// What the place should show of what really is available, whether or not the daemon can know.
    pub fn true_target(&self, _place: PlaceIx) -> Units {
        Units::ZERO
    }

    /// Units that are really available; below 0 after an oversell.
    pub fn truly_available(&self, _sku: &Sku) -> Units {
        Units::ZERO
    }

    /// For each sale that left another place of its SKUs above its true target: milliseconds until a landing brought that place
    /// down to it. Unsorted; places that an own sale brought down instead are left out.
    pub fn sale_to_push_ms(&self) -> &[i64] {
        &[]
    }
}
