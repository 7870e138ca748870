//! Looks: reads of quantities between order polls, on channels whose numbers tell of a sale sooner than their orders do.
//!
//! What one plausible order could sell out is looked at three times of four, the rest of the catalogue in between. A
//! number that is what the ledger expects is known to be so without asking it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::{
    Command, Engine, Result,
    channel::{Channel, Heard, What},
    delay::Recent,
    pace::Sort,
    poll,
};
use crate::{
    domain::{Call, LevelReading, Now, OrderSnapshot, Place, Units},
    ledger::{ListingState, PlaceId, PlaceRow},
};

/// Places looked at on a channel, at most.
const MOST_PLACES: usize = 20_000;
/// A plausible order has at least so many units until enough orders have been seen.
const LEAST_ORDER: i64 = 10;
/// Of so many turns all but the last are for what is at risk.
const CYCLE: u64 = 4;
/// Orders must be known this many times later than a look could tell.
const CLEARLY: u32 = 4;

/// What can be sold out by one plausible order, and what can't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ring {
    Risk = 0,
    Rest = 1,
}

/// A place that is looked at.
#[derive(Debug)]
struct Seat {
    place: Place,
    group: String,
    ring: Ring,
    page: usize,
    expected: i64,
    /// The number that tells nothing new.
    certain: Option<Units>,
}

/// Places that share one read.
#[derive(Debug)]
struct Page {
    group: String,
    places: Vec<PlaceId>,
}

/// Pages in turn, as full as can be.
#[derive(Debug, Default)]
struct Pages {
    all: Vec<Page>,
    /// The one page of a group that has room.
    open: HashMap<String, usize>,
    /// The page whose turn it is, counted on beyond the last.
    turn: u64,
}

/// The places of a channel that are looked at, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Looks {
    on: bool,
    seats: HashMap<PlaceId, Seat>,
    ids: HashMap<Place, PlaceId>,
    rings: [Pages; 2],
    /// Where in its cycle the next turn is.
    phase: u64,
    pub(super) in_flight: bool,
    pub(super) next: Duration,
    pub(super) took: Duration,
    /// Units per line of orders seen.
    lines: Recent,
    /// What an order may take; changes by leaps only. 0: nothing is known of it.
    plausible: i64,
}

impl Looks {
    pub(super) const fn is_on(&self) -> bool {
        self.on
    }

    /// How many calls a round of what is at risk takes.
    fn round(&self) -> u64 {
        let pages = self.rings[0].len();
        if self.rings[1].len() == 0 { pages } else { pages * CYCLE / (CYCLE - 1) }
    }

    fn clear(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        let (in_flight, plausible) = (self.in_flight, self.plausible);
        *self = Self { in_flight, lines, plausible, ..Self::default() };
    }

    /// What is left when the rest of what is in memory is given up.
    pub(super) fn forgotten(mut self) -> Self {
        self.clear();
        Self { in_flight: false, ..self }
    }

    /// Takes in what orders ask for. Whether that changed what is at risk.
    fn learn(&mut self, order: &OrderSnapshot) -> bool {
        for line in &order.lines {
            self.lines.put(line.net.ordered.at_least_zero().get().unsigned_abs());
        }
        let seen = self.lines.quantile(98).map(|units| i64::try_from(units).unwrap_or(i64::MAX));
        let now = seen.unwrap_or(LEAST_ORDER).max(1);
        let leap = now > self.plausible() || now * 4 < self.plausible() * 3;
        if leap {
            // A little more, so that it doesn't leap again at once.
            self.plausible = if seen.is_some() { now + now / 4 } else { now };
        }
        leap
    }

    const fn plausible(&self) -> i64 {
        if self.plausible == 0 { LEAST_ORDER } else { self.plausible }
    }

    const fn ring_of(&self, expected: i64) -> Ring {
        if expected <= self.plausible() { Ring::Risk } else { Ring::Rest }
    }

    /// Brings the seat of a place to what its row says.
    fn seat(&mut self, row: PlaceRow, read_batch: usize) {
        let expected = row.expected.filter(|_| row.state == ListingState::Managed).map_or(0, Units::get);
        if expected <= 0 {
            self.unseat(row.id);
            return;
        }
        let settled = row.request.is_none() && !row.needs_read && row.unplaced == Units::ZERO;
        let certain = row.expected.filter(|_| settled && row.observed == row.expected);
        let ring = self.ring_of(expected);
        if let Some(seat) = self.seats.get_mut(&row.id)
            && seat.ring == ring
            && seat.group == row.group
        {
            (seat.expected, seat.certain) = (expected, certain);
            return;
        }
        self.unseat(row.id);
        if self.seats.len() >= MOST_PLACES {
            let spare = self.rings[1].all.last().and_then(|page| page.places.last()).copied();
            match spare.filter(|_| ring == Ring::Risk) {
                Some(spare) => self.unseat(spare),
                None => return,
            }
        }
        let page = self.rings[ring as usize].add(&row.group, row.id, read_batch);
        self.ids.insert(row.place.clone(), row.id);
        let seat = Seat { place: row.place, group: row.group, ring, page, expected, certain };
        self.seats.insert(row.id, seat);
    }

    fn unseat(&mut self, id: PlaceId) {
        let Some(seat) = self.seats.remove(&id) else { return };
        self.ids.remove(&seat.place);
        for (place, page) in self.rings[seat.ring as usize].remove(seat.page, id) {
            if let Some(moved) = self.seats.get_mut(&place) {
                moved.page = page;
            }
        }
    }

    /// Sorts everything anew by what is at risk.
    fn sort(&mut self, read_batch: usize) {
        let wrong: Vec<PlaceId> = self
            .seats
            .iter()
            .filter(|(_, seat)| self.ring_of(seat.expected) != seat.ring)
            .map(|(id, _)| *id)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        for id in wrong {
            let Some(seat) = self.seats.get(&id) else { continue };
            let (place, group) = (seat.place.clone(), seat.group.clone());
            let (expected, certain) = (seat.expected, seat.certain);
            self.unseat(id);
            let ring = self.ring_of(expected);
            let page = self.rings[ring as usize].add(&group, id, read_batch);
            self.ids.insert(place.clone(), id);
            self.seats.insert(id, Seat { place, group, ring, page, expected, certain });
        }
    }

    /// The places of the next turn.
    fn turn(&mut self) -> Vec<Place> {
        let ring = self.ring_at(self.phase);
        self.phase = (self.phase + 1) % CYCLE;
        let pages = &mut self.rings[ring as usize];
        let turn = pages.turn;
        pages.turn += 1;
        let places = usize::try_from(turn % pages.len().max(1)).ok().and_then(|at| pages.all.get(at));
        let seats = places.into_iter().flat_map(|page| &page.places).filter_map(|id| self.seats.get(id));
        seats.map(|seat| seat.place.clone()).collect()
    }

    fn ring_at(&self, phase: u64) -> Ring {
        match (self.rings[0].len(), self.rings[1].len()) {
            (0, _) => Ring::Rest,
            (_, 0) => Ring::Risk,
            _ if phase % CYCLE == CYCLE - 1 => Ring::Rest,
            _ => Ring::Risk,
        }
    }

    /// How many of the next `turns` are those of a ring.
    fn turns_of(&self, ring: Ring, turns: u64) -> u64 {
        if self.rings[0].len() == 0 || self.rings[1].len() == 0 {
            return if self.ring_at(0) == ring { turns } else { 0 };
        }
        let rest = |turn: u64| turn / CYCLE;
        let rests = rest(self.phase + turns) - rest(self.phase);
        if ring == Ring::Rest { rests } else { turns - rests }
    }

    /// In how many turns a place is looked at; `None`: never.
    fn turns_until(&self, place: &Place) -> Option<u64> {
        let seat = self.seats.get(self.ids.get(place)?)?;
        let pages = &self.rings[seat.ring as usize];
        let page = u64::try_from(seat.page).unwrap_or(u64::MAX);
        let before = (page + pages.len() - pages.turn % pages.len()) % pages.len();
        if self.turns_of(seat.ring, CYCLE) == CYCLE {
            return Some(before);
        }
        Some(match seat.ring {
            Ring::Rest => before * CYCLE + (CYCLE - 1 - self.phase),
            Ring::Risk => {
                let nth = before + self.phase.min(CYCLE - 1);
                // From the last turn of a cycle on, the next cycle's first is meant.
                let (cycle, within) = (nth / (CYCLE - 1), nth % (CYCLE - 1));
                cycle * CYCLE + within - self.phase
            }
        })
    }

    /// Lets turns pass that would have found nothing.
    fn pass(&mut self, turns: u64) {
        for ring in [Ring::Risk, Ring::Rest] {
            let of_ring = self.turns_of(ring, turns);
            self.rings[ring as usize].turn += of_ring;
        }
        self.phase = (self.phase + turns) % CYCLE;
    }
}

impl Pages {
    fn len(&self) -> u64 {
        u64::try_from(self.all.len()).unwrap_or(u64::MAX)
    }

    fn add(&mut self, group: &str, place: PlaceId, most: usize) -> usize {
        let at = self.open.get(group).copied().unwrap_or_else(|| {
            self.all.push(Page { group: group.to_owned(), places: Vec::new() });
            self.open.insert(group.to_owned(), self.all.len() - 1);
            self.all.len() - 1
        });
        self.all[at].places.push(place);
        if self.all[at].places.len() >= most {
            self.open.remove(group);
        }
        at
    }

    /// Takes a place out. Gives the places that are on another page now.
    fn remove(&mut self, at: usize, place: PlaceId) -> Vec<(PlaceId, usize)> {
        let mut moved = Vec::new();
        self.all[at].places.retain(|had| *had != place);
        let group = self.all[at].group.clone();
        let open = *self.open.entry(group).or_insert(at);
        if open != at
            && let Some(filler) = self.all[open].places.pop()
        {
            self.all[at].places.push(filler);
            moved.push((filler, at));
        }
        if self.all[open].places.is_empty() {
            let gone = self.all.swap_remove(open);
            self.open.remove(&gone.group);
            if let Some(page) = self.all.get(open) {
                moved.extend(page.places.iter().map(|place| (*place, open)));
                if let Some(at) = self.open.get_mut(&page.group).filter(|at| **at == self.all.len()) {
                    *at = open;
                }
            }
        }
        moved
    }
}

impl Channel {
    /// When to look next; `None` where looking tells nothing sooner.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let looks = &self.looks;
        if !looks.on || looks.in_flight || (looks.rings[0].len() == 0 && looks.rings[1].len() == 0) {
            return None;
        }
        let round = poll::look_pause(self) * u32::try_from(looks.round()).unwrap_or(u32::MAX);
        (poll::known_after(self) > self.lag() + round).then_some(looks.next)
    }

    fn lag(&self) -> Duration {
        Duration::from_millis(self.settings.capabilities.quantity_lag_ms.max(0).unsigned_abs())
    }

    fn look_gap(&self) -> Duration {
        poll::look_pause(self).max(self.looks.took)
    }

    /// In how many looks from now on one of these places is read; none: never.
    fn looks_until<'a>(&self, places: impl Iterator<Item = &'a Place>) -> Option<u64> {
        places.filter_map(|place| self.looks.turns_until(place)).min()
    }

    /// When a look would read one of these places.
    pub(super) fn look_at<'a>(&self, places: impl Iterator<Item = &'a Place>) -> Option<Duration> {
        let (next, turns) = (self.next_look()?, self.looks_until(places)?);
        Some(next + times(self.look_gap(), turns))
    }

    /// Lets the looks before `until` pass. Gives how many there were.
    pub(super) fn pass_looks(&mut self, until: Duration) -> u64 {
        let Some(next) = self.next_look() else { return 0 };
        let turns = turns_before(next, self.look_gap(), until);
        self.looks.next = next + times(self.look_gap(), turns);
        self.looks.pass(turns);
        turns
    }
}

/// How many turns there are before `until`, the first at `next`, with `gap` between them.
pub(super) fn turns_before(next: Duration, gap: Duration, until: Duration) -> u64 {
    let nanos = until.saturating_sub(next).as_nanos();
    u64::try_from(nanos.div_ceil(gap.as_nanos().max(1))).unwrap_or(u64::MAX)
}

/// `gap` so many times.
pub(super) fn times(gap: Duration, turns: u64) -> Duration {
    Duration::from_nanos_u128(gap.as_nanos().saturating_mul(u128::from(turns)))
}

impl Engine {
    /// Starts or ends looking on a channel, by how late its orders come.
    pub(super) fn consider_looks(&mut self, at: usize) -> Result<()> {
        let channel = &self.channels[at];
        let worth = poll::known_after(channel) >= (channel.lag() + poll::look_pause(channel)) * CLEARLY;
        if worth == channel.looks.on {
            return Ok(());
        }
        self.channels[at].looks.clear();
        self.channels[at].looks.on = worth;
        self.load_looks(at)
    }

    /// Looks at what the catalogue is made of now.
    pub(super) fn load_looks(&mut self, at: usize) -> Result<()> {
        if !self.channels[at].looks.on {
            return Ok(());
        }
        let next = self.channels[at].looks.next;
        self.channels[at].looks.clear();
        (self.channels[at].looks.on, self.channels[at].looks.next) = (true, next);
        for place in self.ledger.managed_places(&self.channels[at].settings.id)? {
            self.seat(place)?;
        }
        Ok(())
    }

    fn seat(&mut self, place: PlaceId) -> Result<()> {
        let Some(row) = self.ledger.place(place)? else { return Ok(()) };
        if let Some(at) = self.index_of(&row.channel)
            && self.channels[at].looks.on
        {
            let most = self.channels[at].settings.capabilities.read_batch.max(1);
            self.channels[at].looks.seat(row, most);
        }
        Ok(())
    }

    /// Takes note of rows that have changed.
    pub(super) fn follow_places(&mut self, touched: &BTreeSet<PlaceId>) -> Result<()> {
        if self.channels.iter().all(|channel| !channel.looks.on) {
            return Ok(());
        }
        touched.iter().try_for_each(|place| self.seat(*place))
    }

    /// What an order asks for tells what the next may ask for.
    pub(super) fn learn_sizes(&mut self, at: usize, order: &OrderSnapshot) {
        let channel = &mut self.channels[at];
        if channel.looks.learn(order) && channel.looks.on {
            let most = channel.settings.capabilities.read_batch.max(1);
            channel.looks.sort(most);
        }
    }

    pub(super) fn start_look(&mut self, now: Now, at: usize, paid: f64, out: &mut Vec<Command>) {
        let channel = &mut self.channels[at];
        channel.looks.next = now.mono + poll::look_pause(channel);
        channel.looks.in_flight = true;
        let places = channel.looks.turn();
        self.send(now, at, Call::Levels(places), What::Look, paid, out);
    }

    /// The numbers of a look.
    pub(super) fn looked(&mut self, heard: Heard, at: usize, levels: &[LevelReading]) -> Result<()> {
        // What the round has changed so far is certain no more.
        self.follow_changes(heard.now)?;
        for level in levels {
            let looks = &self.channels[at].looks;
            let known = looks.ids.get(&level.place).and_then(|id| Some((*id, looks.seats.get(id)?.certain)));
            match known {
                Some((id, certain)) if certain.is_some() && certain == level.quantity => {
                    if self.channels[at].trusts(id, heard.sent) {
                        self.channels[at].looked.insert(id, heard.sent);
                    }
                }
                _ => {
                    self.heard_level(heard, at, level)?;
                }
            }
        }
        Ok(())
    }
}

/// What a look costs: a full batch.
pub(super) fn price(channel: &Channel) -> f64 {
    channel.budget.cost(Sort::Levels, channel.settings.capabilities.read_batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ChannelId, ChannelLocation, ListingId, UtcMs};

    fn row(id: i64, expected: i64, group: &str) -> PlaceRow {
        PlaceRow {
            id: PlaceId(id),
            listing: id,
            channel: ChannelId::new("web"),
            place: place(id),
            channel_sku: String::new(),
            group: group.to_owned(),
            state: ListingState::Managed,
            expected: Some(Units::of(expected)),
            slack: Units::ZERO,
            unplaced: Units::ZERO,
            undecided: Units::ZERO,
            observed: Some(Units::of(expected)),
            observed_at: None,
            landed_to: UtcMs(0),
            version: 1,
            request: None,
            needs_read: false,
            explained: false,
        }
    }

    fn place(id: i64) -> Place {
        Place { listing: ListingId::new(id.to_string()), location: ChannelLocation::only() }
    }

    fn turns(looks: &mut Looks, count: usize) -> Vec<Vec<Place>> {
        (0..count).map(|_| looks.turn()).collect()
    }

    /// Places of two groups with numbers that come and go.
    fn shuffled(state: &mut u64, changes: usize) -> Looks {
        let mut looks = Looks::default();
        for _ in 0..changes {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let roll = i64::try_from(*state >> 40).unwrap();
            let group = if roll % 2 == 0 { "" } else { "parent" };
            looks.seat(row(roll % 23, roll / 23 % 30 - 5, group), 3);
            if roll % 5 == 0 {
                looks.turn();
            }
        }
        looks
    }

    #[test]
    fn pages_stay_full_and_every_place_comes_up_in_its_turn() {
        let mut state = 7;
        for _ in 0..50 {
            let mut looks = shuffled(&mut state, 300);
            for ring in &looks.rings {
                for page in &ring.all {
                    let open = ring.open.get(&page.group).map(|at| &ring.all[*at].places);
                    assert!(
                        page.places.len() == 3 || open == Some(&page.places),
                        "one page of a group has room"
                    );
                    assert!(page.places.iter().all(|id| looks.seats[id].group == page.group));
                }
            }
            let all: BTreeSet<Place> = turns(&mut looks, 200).into_iter().flatten().collect();
            assert_eq!(all, looks.ids.keys().cloned().collect());
        }
    }

    #[test]
    fn it_is_known_beforehand_when_a_place_is_looked_at() {
        let mut state = 3;
        for _ in 0..50 {
            let mut looks = shuffled(&mut state, 200);
            for skipped in 0..9 {
                looks.pass(skipped);
                let known: Vec<(Place, u64)> = looks
                    .ids
                    .keys()
                    .map(|place| (place.clone(), looks.turns_until(place).unwrap()))
                    .collect();
                let (phase, pointers) = (looks.phase, [looks.rings[0].turn, looks.rings[1].turn]);
                let seen = turns(&mut looks, 200);
                for (place, turn) in known {
                    let first = seen.iter().position(|page| page.contains(&place)).unwrap();
                    assert_eq!(u64::try_from(first).unwrap(), turn);
                }
                looks.phase = phase;
                (looks.rings[0].turn, looks.rings[1].turn) = (pointers[0], pointers[1]);
                let mut passed = Looks { phase, ..Looks::default() };
                std::mem::swap(&mut passed.rings, &mut looks.rings);
                passed.pass(200);
                assert_eq!(passed.phase, (phase + 200) % CYCLE);
                std::mem::swap(&mut passed.rings, &mut looks.rings);
                looks.phase = passed.phase;
            }
        }
    }

    #[test]
    fn what_one_order_could_sell_out_has_three_turns_of_four() {
        let mut looks = Looks::default();
        (0..4).for_each(|id| looks.seat(row(id, LEAST_ORDER, ""), 2));
        (4..8).for_each(|id| looks.seat(row(id, LEAST_ORDER + 1, ""), 2));
        looks.seat(row(9, 0, ""), 2);
        let seen = turns(&mut looks, 40).into_iter().flatten();
        let mut counts = HashMap::new();
        seen.for_each(|place| *counts.entry(place).or_insert(0) += 1);
        assert_eq!((counts[&place(0)], counts[&place(5)], counts.get(&place(9))), (15, 5, None));
    }

    #[test]
    fn the_number_of_places_is_bounded_and_those_at_risk_stay() {
        let mut looks = Looks::default();
        let most = i64::try_from(MOST_PLACES).unwrap();
        (0..most + 50).for_each(|id| looks.seat(row(id, 500, ""), 100));
        assert_eq!(looks.seats.len(), MOST_PLACES);
        looks.seat(row(most + 100, 2, ""), 100);
        assert_eq!((looks.seats.len(), looks.rings[0].len()), (MOST_PLACES, 1));
    }
}
