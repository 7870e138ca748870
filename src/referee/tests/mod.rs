//! A court with two channels and short deadlines, for directed tests.

mod breaches;
mod classes;
mod situations;
mod syncers;

use super::*;
use crate::domain::Buffer;

/// Milliseconds: fence 10, order poll 1,000, allowance 100, slack 500, settling 2,000; quantities are not
/// polled.
pub(super) const OWED: ChannelSettings = ChannelSettings {
    order_poll_ms: 1_000,
    quantity_poll_ms: None,
    read_allowance_ms: 100,
    slack_ms: 500,
    settle_ms: 2_000,
};

pub(super) const WEB: usize = 0;
pub(super) const TILL: usize = 1;

/// A referee with one place for each of two channels; places and channels are told by their index.
pub(super) struct Court {
    pub(super) referee: Referee,
    /// Delays until an order shows in a read of orders and of quantities.
    pub(super) lag: (i64, i64),
}

impl Court {
    /// `available` mugs, shown on both channels.
    pub(super) fn of(available: i64) -> Self {
        Self::with(available, OWED, Policy::default())
    }

    pub(super) fn with(available: i64, owed: ChannelSettings, policy: Policy) -> Self {
        let mut referee = Referee::new(Settings { fence_age_ms: 10, memory_ms: 60_000 });
        referee.opening(&mug(), Units::of(available));
        for channel in ["web", "till"] {
            let ix = referee.add_channel(owed);
            referee.add_place(NewPlace {
                channel: ix,
                name: channel.to_owned(),
                components: vec![(mug(), Units::ONE)],
                policy,
                shown: policy.target(Units::of(available)),
            });
        }
        Self { referee, lag: (0, 0) }
    }

    fn event(&self, at: i64, order: &str, place: usize, pieces: i64) -> OrderEvent {
        OrderEvent {
            at: UtcMs(at),
            order: OrderId::new(order),
            place: PlaceIx(place),
            pieces: Units::of(pieces),
            in_orders_at: UtcMs(at + self.lag.0),
            in_quantities_at: UtcMs(at + self.lag.1),
        }
    }

    pub(super) fn sale(&mut self, at: i64, order: &str, place: usize, pieces: i64) {
        let sale = self.event(at, order, place, pieces);
        self.referee.sale(sale);
    }

    pub(super) fn give_back(&mut self, at: i64, order: &str, place: usize, pieces: i64) {
        let back = self.event(at, order, place, pieces);
        self.referee.give_back(back, true);
    }

    pub(super) fn delivered(&mut self, at: i64, channel: usize, order: &str) {
        self.referee.order_delivered(ChannelIx(channel), &OrderId::new(order), UtcMs(at), UtcMs(at));
    }

    /// A write that takes from `sent_at` to `landed_at`.
    pub(super) fn write(&mut self, sent_at: i64, landed_at: i64, place: usize, value: i64) {
        self.referee.landing(Landing {
            place: PlaceIx(place),
            sent_at: UtcMs(sent_at),
            landed_at: UtcMs(landed_at),
            value: Units::of(value),
        });
    }

    /// (pooled, external, in flight, caused) and breaches, as of then.
    pub(super) fn verdict(&mut self, at: i64) -> ((i64, i64, i64, i64), u64) {
        self.referee.tick(UtcMs(at));
        let Totals { oversold: o, breaches, .. } = self.referee.totals();
        ((o.pooled.get(), o.external.get(), o.in_flight.get(), o.caused.get()), breaches)
    }

    pub(super) fn breaches(&mut self, at: i64) -> u64 {
        self.verdict(at).1
    }
}

pub(super) fn mug() -> Sku {
    Sku::new("MUG").unwrap()
}
