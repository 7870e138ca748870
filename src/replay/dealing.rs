//! Who buys where and when: a history dealt to channels, its times spread and shortened.

use std::time::Duration;

use super::Scenario;
use crate::{
    domain::UtcMs,
    history::{Event, History},
    street::hash_of,
};

/// How a history is dealt.
#[derive(Clone, Copy, Debug)]
pub struct Dealing {
    /// Decides which channel gets which order, and when within its minute an order came.
    pub number: u64,
    /// How many times as fast as it happened; at least 1.
    pub squeeze: f64,
    /// Only what happened within this long of the first event.
    pub length: Option<Duration>,
}

impl Default for Dealing {
    fn default() -> Self {
        Self { number: 0, squeeze: 1.0, length: None }
    }
}

/// What happens, and when.
#[derive(Clone, Debug)]
pub struct Script {
    /// Oldest first.
    pub events: Vec<(UtcMs, Event)>,
    /// By order: the channel.
    pub channels: Vec<usize>,
    /// By order: how many cancels and returns of its lines are to come.
    pub backs: Vec<u32>,
}

const MINUTE_MS: u64 = 60_000;
/// What comes back does so at least this long after it was sold, in milliseconds.
const BACK_AFTER_MS: i64 = 1_000;

impl Script {
    /// Deals a history to the channels of a scenario.
    pub fn new(history: &History, scenario: &Scenario, dealing: Dealing) -> Self {
        let salt = dealing.number;
        let within = |id: &str| (hash_of(&format!("{salt}/at/{id}")) % MINUTE_MS).cast_signed();
        let spread = |id: &str, at: UtcMs| if history.to_the_minute { at.plus_ms(within(id)) } else { at };
        let sold_at = |line: usize| {
            let order = &history.orders[history.lines[line].order];
            spread(&order.id, order.at)
        };
        let mut events = history.events(|event| match event {
            Event::Restock(_) => history.at(event),
            Event::Order(ix) => spread(&history.orders[ix].id, history.at(event)),
            Event::Back(ix) => {
                let back = &history.backs[ix];
                let at = spread(&back.id, back.at);
                back.of.map_or(at, |line| at.max(sold_at(line).plus_ms(BACK_AFTER_MS)))
            }
        });
        if let (Some((first, _)), Some(length)) = (events.first().copied(), dealing.length) {
            let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
            events.truncate(events.partition_point(|(at, _)| at.since(first) < length));
        }
        squeeze(&mut events, dealing.squeeze);
        let mut backs = vec![0; history.orders.len()];
        for (_, event) in &events {
            if let Event::Back(ix) = event
                && let Some(line) = history.backs[*ix].of
            {
                backs[history.lines[line].order] += 1;
            }
        }
        Self { events, channels: channels(history, scenario, salt), backs }
    }
}

fn squeeze(events: &mut [(UtcMs, Event)], times: f64) {
    let Some((first, _)) = events.first().copied() else { return };
    for (at, _) in events {
        *at = first.plus_ms(shortened(at.since(first), times));
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "milliseconds of some years"
)]
fn shortened(ms: i64, times: f64) -> i64 {
    (ms as f64 / times.max(1.0)) as i64
}

/// Orders that name a channel of the scenario go there, all others by their share and a hash of their id.
fn channels(history: &History, scenario: &Scenario, salt: u64) -> Vec<usize> {
    let shares: u64 = scenario.channels.iter().map(|channel| u64::from(channel.share)).sum();
    let dealt = |id: &str| {
        let mut ticket = hash_of(&format!("{salt}/to/{id}")) % shares.max(1);
        for (ix, channel) in scenario.channels.iter().enumerate() {
            let share = u64::from(channel.share);
            if ticket < share {
                return ix;
            }
            ticket -= share;
        }
        0
    };
    let named = |name: &str| {
        scenario.channels.iter().position(|channel| {
            channel.settings.id.as_str() == name || channel.names.iter().any(|other| other == name)
        })
    };
    let orders = history.orders.iter();
    orders.map(|order| order.channel.as_deref().and_then(named).unwrap_or_else(|| dealt(&order.id))).collect()
}
