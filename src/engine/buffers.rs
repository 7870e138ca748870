//! Buffers that follow demand: worked out when a sale touches a SKU, when a catalogue has been read, and when a channel
//! goes blind or is read again. Each is kept in the ledger until it clearly should differ.

use std::{collections::BTreeMap, time::Duration};

use super::{Cause, Engine, Result};
use crate::{
    domain::{
        Buffer, ChannelId, Now, Sku, Units,
        demand::{Demand, Figures, Other},
        policy::AutoBuffer,
    },
    ledger::{HeldBuffer, PlaceId, PlaceRow},
};

/// A channel blind for less than this is only slow.
const SHORTEST_BLINDNESS: Duration = Duration::from_mins(2);
/// The figures kept for a buffer that stays the same are no older than this when the SKU sells.
const FIGURES_AGE_MS: i64 = 3_600_000;

/// So many SKUs follow a channel's blindness in one round, and the pause before the next ones: polls go on meanwhile.
const SLICE: usize = 200;
const SLICE_PAUSE: Duration = Duration::from_millis(50);

/// What is known of SKUs that a piece of work is about.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<Sku, Option<(Demand, Vec<ChannelId>)>>);

/// What became of a place's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// It is what it was, or none.
    Same,
    /// It was worked out for the first time and holds something back.
    First,
    /// It holds more or less back than before.
    Changed,
}

impl Engine {
    /// Works the buffers of a SKU's places out anew, after a sale of it.
    pub(super) fn hold_back(&mut self, now: Now, places: &[(ChannelId, PlaceId)]) -> Result<()> {
        if self.settings.policies.follow_demand() {
            let mut known = Known::default();
            for (channel, place) in places {
                if let Some(at) = self.index_of(channel) {
                    self.hold_back_at(now, at, *place, &mut known)?;
                }
            }
        }
        Ok(())
    }

    /// Works the buffers of a whole channel out anew: sales fade where nothing sells.
    pub(super) fn hold_back_on(&mut self, now: Now, at: usize) -> Result<()> {
        if !self.settings.policies.follow_demand() {
            return Ok(());
        }
        for place in self.ledger.managed_places(&self.channels[at].settings.id)? {
            let held = self.hold_back_at(now, at, place, &mut Known::default())?;
            self.mark_held(now, at, place, held)?;
        }
        Ok(())
    }

    /// Notices which channels have become blind, or longer so by a step, and which are read again: what they sell and
    /// nobody knows of is held back elsewhere. Gives when to go on where there is much to do.
    pub(super) fn watch_blindness(&mut self, now: Now) -> Result<Option<Duration>> {
        if !self.settings.policies.follow_demand() {
            return Ok(None);
        }
        for at in 0..self.channels.len() {
            let step = blind_step(self.blind_for(now, at));
            let channel = &mut self.channels[at];
            let heard = channel.polled || step > Duration::ZERO;
            if heard && channel.blind != Some(step) {
                channel.blind = Some(step);
                channel.followed = Some(String::new());
            }
            if let Some(from) = channel.followed.take() {
                self.follow_blindness(now, at, &from)?;
            }
        }
        let more = self.channels.iter().any(|channel| channel.followed.is_some());
        Ok(more.then(|| now.mono + SLICE_PAUSE))
    }

    /// The next SKUs that a channel sells whose buffers elsewhere are to follow its blindness.
    fn follow_blindness(&mut self, now: Now, blind: usize, from: &str) -> Result<()> {
        let skus = self.ledger.skus_sold_on(&self.channels[blind].settings.id, from, SLICE)?;
        self.channels[blind].followed = skus.get(SLICE - 1).map(ToString::to_string);
        for sku in skus {
            let mut known = Known::default();
            for (channel, place) in self.ledger.places_of_sku(&sku)? {
                if let Some(at) = self.index_of(&channel).filter(|at| *at != blind) {
                    let held = self.hold_back_at(now, at, place, &mut known)?;
                    self.mark_held(now, at, place, held)?;
                }
            }
        }
        Ok(())
    }

    /// Demand and blindness explain a changed buffer, but never what waits for a person already, nor a buffer that has
    /// just been turned on.
    fn mark_held(&mut self, now: Now, at: usize, place: PlaceId, held: Held) -> Result<()> {
        let waits = self.channels[at].queue.get(place).is_some_and(|entry| !entry.explained);
        match held {
            Held::Same => Ok(()),
            Held::Changed if !waits => self.mark_on(now, at, place, Cause::Order),
            Held::First | Held::Changed => self.mark_on(now, at, place, Cause::Other),
        }
    }

    fn hold_back_at(&self, now: Now, at: usize, place: PlaceId, known: &mut Known) -> Result<Held> {
        let Some(row) = self.ledger.place(place)? else { return Ok(Held::Same) };
        let policy = self.settings.policies.resolve(&row.channel, &row.channel_sku);
        let Buffer::Auto(auto) = policy.buffer else { return Ok(Held::Same) };
        let Some(figures) = self.figures(now, at, &row, auto, known)? else { return Ok(Held::Same) };
        let before = self.ledger.held_buffer(place)?;
        let had = before.as_ref().map(|held| held.units);
        let mut units = figures.settle(had);
        let unheard = |other: &usize| *other != at && self.channels[*other].blind.is_none();
        if (0..self.channels.len()).any(|other| unheard(&other)) {
            // A channel that has not been read since the start may have been blind for long.
            units = units.max(had.unwrap_or_default().min(auto.most));
        }
        let news = before.is_none_or(|held| {
            (held.units, held.figures.wanted, held.figures.falls_to)
                != (units, figures.wanted, figures.falls_to)
                || now.utc.since(held.figures.at).abs() >= FIGURES_AGE_MS
        });
        if news {
            self.ledger.hold_buffer(place, &HeldBuffer { units, figures })?;
        }
        Ok(match had {
            Some(had) if had != units => Held::Changed,
            None if units > Units::ZERO => Held::First,
            _ => Held::Same,
        })
    }

    /// What the parts of a place's listing are likely to sell elsewhere, in pieces of the listing; `None` where no part
    /// has ever been sold.
    fn figures(
        &self,
        now: Now,
        at: usize,
        row: &PlaceRow,
        auto: AutoBuffer,
        known: &mut Known,
    ) -> Result<Option<Figures>> {
        let mut most: Option<Figures> = None;
        for part in self.ledger.components(row.listing)? {
            let Some((demand, channels)) = self.known(&part.sku, known)? else { continue };
            let others: Vec<Other<'_>> = self
                .channels
                .iter()
                .enumerate()
                .filter(|(other, channel)| *other != at && channels.contains(&channel.settings.id))
                .map(|(other, channel)| Other {
                    channel: &channel.settings.id,
                    delay_ms: millis(self.sync_delay(other)),
                    blind_ms: millis(channel.blind.unwrap_or_default()),
                    listings: channel.managed,
                })
                .collect();
            let of_part = AutoBuffer { most: auto.most.times(part.units), ..auto };
            let figures = demand.figures(now.utc, &others, of_part).in_pieces_of(part.units);
            most = Some(match most {
                None => figures,
                Some(most) => most.or_more(figures),
            });
        }
        Ok(most)
    }

    /// The demand of a SKU, and the channels that sell it.
    fn known<'k>(&self, sku: &Sku, known: &'k mut Known) -> Result<Option<&'k (Demand, Vec<ChannelId>)>> {
        if !known.0.contains_key(sku) {
            let found = match self.ledger.demand_of(sku)? {
                None => None,
                Some(demand) => {
                    let listed = self.ledger.places_of_sku(sku)?.into_iter().map(|(channel, _)| channel);
                    let channels = listed.chain(demand.channels().cloned()).collect();
                    Some((demand, channels))
                }
            };
            known.0.insert(sku.clone(), found);
        }
        Ok(known.0.get(sku).and_then(Option::as_ref))
    }
}

/// Blindness grows in steps of a third to a half, so that buffers follow it without a push a second.
fn blind_step(blind: Duration) -> Duration {
    let mut step = Duration::ZERO;
    let mut double = SHORTEST_BLINDNESS;
    while double <= blind {
        step = if double * 3 / 2 <= blind { double * 3 / 2 } else { double };
        double *= 2;
    }
    step
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blindness_counts_in_steps() {
        let step = |minutes: u64| blind_step(Duration::from_mins(minutes)).as_secs() / 60;
        assert_eq!([0, 1, 2, 3, 5, 6, 7, 8, 13, 100].map(step), [0, 0, 2, 3, 4, 6, 6, 8, 12, 96]);
    }
}
