//! How much the other channels may sell before a channel shows it: the arithmetic of `buffer = "auto"`.
//!
//! Orders of a SKU come in as a compound Poisson process: at a rate per channel, each for some units. Rates and sizes are
//! estimated from what has been sold, sales fading with a half-life, and drawn towards the average where little is known.
//! Only the four basic operations touch a number, so that every machine comes to the same buffer.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{ChannelId, Units, UtcMs, policy::AutoBuffer};

/// A sale counts half as much after so many days.
const HALF_LIFE_DAYS: f64 = 28.0;
const DAY_MS: f64 = 86_400_000.0;
/// Tallies are kept as if seen from here, so that adding a sale never touches what is kept (2020-01-01).
const LANDMARK: UtcMs = UtcMs(1_577_836_800_000);
/// The average of a channel weighs as much as so many days of watching one SKU.
const PRIOR_DAYS: f64 = 7.0;
/// The seller's average size weighs as much as so many lines of one SKU.
const PRIOR_LINES: f64 = 3.0;
/// A buffer falls only where it would still do if this much more were sold, so that it doesn't swing.
const MARGIN: f64 = 1.25;
/// So many expected orders are beyond any buffer.
const MOST_ORDERS: f64 = 600.0;

/// Lines sold, fading, as the ledger keeps them: weighed by their age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tally {
    /// Lines.
    pub lines: f64,
    /// Their units.
    pub units: f64,
    /// The squares of their units.
    pub squares: f64,
    /// When the first of them was sold.
    pub since: UtcMs,
}

impl Tally {
    /// One line of so many units.
    #[allow(clippy::cast_precision_loss, reason = "beyond 2^52 units a buffer is past caring")]
    pub fn of_line(units: Units, at: UtcMs) -> Self {
        let (weight, units) = (weight(at), units.get() as f64);
        Self { lines: weight, units: weight * units, squares: weight * units * units, since: at }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            lines: self.lines + other.lines,
            units: self.units + other.units,
            squares: self.squares + other.squares,
            since: self.since.min(other.since),
        }
    }

    /// Lines a day at `now`, if there are `average` a day of SKUs like it.
    fn per_day(self, now: UtcMs, average: f64) -> f64 {
        (self.lines * faded(now) + average * PRIOR_DAYS) / (days_watched(self.since, now) + PRIOR_DAYS)
    }
}

/// What a line sold at `at` weighs in a [`Tally`].
fn weight(at: UtcMs) -> f64 {
    exp2(days(LANDMARK, at) / HALF_LIFE_DAYS)
}

/// What turns a kept weight into that of `now`.
fn faded(now: UtcMs) -> f64 {
    exp2(-days(LANDMARK, now) / HALF_LIFE_DAYS)
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds since 2020 fit")]
fn days(from: UtcMs, to: UtcMs) -> f64 {
    to.since(from) as f64 / DAY_MS
}

/// The days from `since` to `now`, fading as sales do.
fn days_watched(since: UtcMs, now: UtcMs) -> f64 {
    let age = days(since, now).max(0.0);
    (1.0 - exp2(-age / HALF_LIFE_DAYS)) * HALF_LIFE_DAYS / std::f64::consts::LN_2
}

/// How many units a line has: one with a certain chance, else a geometric number more. The mean and the variance are
/// those seen, the variance at least that of a geometric number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizes {
    /// The mean.
    pub mean: f64,
    /// The chance of more than one unit.
    more: f64,
    /// The chance of yet another one.
    again: f64,
}

impl Sizes {
    /// With this mean and this mean of the squares; at least one unit.
    pub fn fitted(mean: f64, mean_square: f64) -> Self {
        let beyond = mean - 1.0;
        if beyond <= 0.0 || !beyond.is_finite() {
            return Self { mean: 1.0, more: 0.0, again: 0.0 };
        }
        let beyond_square = mean_square - 2.0 * mean + 1.0;
        let run = (f64::midpoint(beyond_square / beyond, 1.0)).max(beyond).max(1.0);
        Self { mean, more: beyond / run, again: 1.0 - 1.0 / run }
    }

    /// Of a SKU, drawn towards all that the seller sells.
    fn of(sku: Tally, seller: Tally, now: UtcMs) -> Self {
        let faded = faded(now);
        let drawn = |own: f64, all: f64| {
            let average = if seller.lines > 0.0 { all / seller.lines } else { 1.0 };
            (own * faded + average * PRIOR_LINES) / (sku.lines * faded + PRIOR_LINES)
        };
        Self::fitted(drawn(sku.units, seller.units), drawn(sku.squares, seller.squares))
    }
}

/// The smallest `b` of at most `most` units with
/// P(units sold in `orders` expected orders <= b) >= `oversell_cost` / (`oversell_cost` + 1), and that chance.
pub fn quantile(orders: f64, sizes: Sizes, oversell_cost: u32, most: Units) -> (Units, f64) {
    let cost = f64::from(oversell_cost);
    let enough = |chance: f64| chance * (cost + 1.0) >= cost;
    if orders <= 0.0 || orders.is_nan() {
        return (Units::ZERO, 1.0);
    }
    if orders > MOST_ORDERS {
        return (most, 0.0);
    }
    // Panjer's recursion: n p(n) = orders * sum of k f(k) p(n - k), the sum over k >= 2 carried along.
    let (mut before, mut last) = (0.0, exp2(-orders * std::f64::consts::LOG2_E));
    let (mut tail, mut weighted) = (0.0, 0.0);
    let mut chance: f64 = last;
    let mut units = Units::ZERO;
    let mut n = 0.0;
    while !enough(chance) && units < most {
        units += Units::ONE;
        n += 1.0;
        weighted = 2.0 * before + sizes.again * (weighted + tail);
        tail = before + sizes.again * tail;
        let several = sizes.more * (1.0 - sizes.again) * weighted;
        (before, last) = (last, orders / n * ((1.0 - sizes.more) * last + several));
        chance = (chance + last).min(1.0);
    }
    (units, chance)
}

/// A channel that can sell what the buffer is to cover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seller {
    /// The channel.
    pub channel: ChannelId,
    /// Orders of the SKU a day.
    pub orders_per_day: f64,
    /// From a sale there until other channels show it, in milliseconds.
    pub delay_ms: u64,
    /// For how long its orders could not be read, in milliseconds; counted in steps.
    pub blind_ms: u64,
}

/// What a buffer was worked out from: what `explain` shows and a push records. Fractions are rounded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// When.
    pub at: UtcMs,
    /// The other channels.
    pub others: Vec<Seller>,
    /// Mean units of an order.
    pub mean_size: f64,
    /// Orders to be expected on the others within their delays.
    pub expected_orders: f64,
    /// The chance to be met: cost of an oversell / (cost of an oversell + cost of a lost sale).
    pub wanted_chance: f64,
    /// The chance that no more than `wanted` units are sold there meanwhile.
    pub chance: f64,
    /// The smallest number of units (of a bundle: of pieces) that meets it, at most `buffer_max`.
    pub wanted: Units,
    /// The number still held if it was higher: what a quarter more demand would want.
    pub falls_to: Units,
}

/// What is known of one SKU's demand.
#[derive(Clone, Debug)]
pub struct Demand {
    /// What has been sold of it, by channel.
    by_channel: Vec<(ChannelId, Tally)>,
    /// That, all channels.
    own: Tally,
    /// What has been sold of everything, by channel.
    all: Vec<(ChannelId, Tally)>,
    /// That, all channels.
    seller: Tally,
}

/// One of the other channels as its demand is estimated.
#[derive(Clone, Debug)]
pub struct Other<'a> {
    /// The channel.
    pub channel: &'a ChannelId,
    /// See [`Seller::delay_ms`].
    pub delay_ms: u64,
    /// See [`Seller::blind_ms`].
    pub blind_ms: u64,
    /// How many listings it has.
    pub listings: i64,
}

impl Demand {
    /// From what has been sold of the SKU and of everything; `None` where nothing has.
    pub fn new(by_channel: Vec<(ChannelId, Tally)>, all: Vec<(ChannelId, Tally)>) -> Option<Self> {
        let sum =
            |tallies: &[(ChannelId, Tally)]| tallies.iter().map(|(_, tally)| *tally).reduce(Tally::plus);
        let (own, seller) = (sum(&by_channel)?, sum(&all)?);
        Some(Self { by_channel, own, all, seller })
    }

    /// The channels that have sold the SKU.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelId> {
        self.by_channel.iter().map(|(channel, _)| channel)
    }

    /// The buffer against what `others` sell.
    pub fn figures(&self, now: UtcMs, others: &[Other<'_>], auto: AutoBuffer) -> Figures {
        let others: Vec<Seller> = others
            .iter()
            .map(|other| Seller {
                channel: other.channel.clone(),
                orders_per_day: self.orders_per_day(now, other),
                delay_ms: other.delay_ms,
                blind_ms: other.blind_ms,
            })
            .collect();
        let orders: f64 = others.iter().map(expected).sum();
        let sizes = Sizes::of(self.own, self.seller, now);
        let most = auto.most;
        let (wanted, chance) = quantile(orders, sizes, auto.oversell_cost, most);
        let (falls_to, _) = quantile(orders * MARGIN, sizes, auto.oversell_cost, most);
        let cost = f64::from(auto.oversell_cost);
        Figures {
            at: now,
            others: others
                .into_iter()
                .map(|other| Seller { orders_per_day: rounded(other.orders_per_day), ..other })
                .collect(),
            mean_size: rounded(sizes.mean),
            expected_orders: rounded(orders),
            wanted_chance: rounded(cost / (cost + 1.0)),
            chance: rounded(chance),
            wanted,
            falls_to,
        }
    }

    /// A SKU that has sold anywhere sells here like the average until it shows that it doesn't.
    fn orders_per_day(&self, now: UtcMs, other: &Other<'_>) -> f64 {
        let on = |tallies: &[(ChannelId, Tally)]| {
            tallies.iter().find(|(channel, _)| channel == other.channel).map(|(_, tally)| *tally)
        };
        let Some(all) = on(&self.all) else { return 0.0 };
        let lines = on(&self.by_channel).map_or(0.0, |tally| tally.lines);
        Tally { lines, ..self.own }.per_day(now, average(all, other.listings, now))
    }
}

/// Lines a day of one of a channel's listings.
#[allow(clippy::cast_precision_loss, reason = "no shop has 2^52 listings")]
fn average(all: Tally, listings: i64, now: UtcMs) -> f64 {
    all.per_day(now, 0.0) / listings.max(1) as f64
}

#[allow(clippy::cast_precision_loss, reason = "delays of less than 2^52 milliseconds")]
fn expected(other: &Seller) -> f64 {
    other.orders_per_day * (other.delay_ms.saturating_add(other.blind_ms) as f64 / DAY_MS)
}

impl Figures {
    /// The same for a listing of which each piece takes so many units.
    #[must_use]
    pub fn in_pieces_of(self, units: Units) -> Self {
        let pieces = |of: Units| (of + units - Units::ONE).lots_of(units);
        Self { wanted: pieces(self.wanted), falls_to: pieces(self.falls_to), ..self }
    }

    /// Of two parts of a listing, the one that wants more held back.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        let falls_to = self.falls_to.max(other.falls_to);
        Self { falls_to, ..if other.wanted > self.wanted { other } else { self } }
    }

    /// What is held back from now on, where `held` was: it rises at once, and falls where it clearly may.
    pub fn settle(&self, held: Option<Units>) -> Units {
        match held {
            Some(held) if held >= self.wanted => held.min(self.falls_to),
            _ => self.wanted,
        }
    }
}

/// To a millionth, for people.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// 2 to the power of `x`, by the basic operations alone; 0 or the largest number beyond what can be told apart.
#[allow(clippy::cast_possible_truncation, reason = "clamped before")]
fn exp2(x: f64) -> f64 {
    if x.is_nan() || x < -1_022.0 {
        return 0.0;
    }
    let x = x.min(1_023.0);
    let whole = x.floor();
    let power = (x - whole) * std::f64::consts::LN_2;
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1.0);
    while n < 20.0 {
        term = term * power / n;
        sum += term;
        n += 1.0;
    }
    let exponent = (whole as i64 + 1_023).cast_unsigned();
    sum * f64::from_bits(exponent << 52)
}
