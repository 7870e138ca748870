//! The verdicts: on a landing, on a decrease left lying, on a sale.

use super::{
    Breach, BreachKind, Landing, OrderEvent, Oversold, PlaceIx, Referee, Settings, Totals,
    book::{Debt, Event, EventIx, Evidence, Kind, SkuIx, ToFollow},
    count::{Taken, take},
    timers::Timer,
};
use crate::domain::{Units, UtcMs};

/// Events told with a breach, at most.
const EVENTS_TOLD: usize = 8;

impl Referee {
    pub(super) fn judge_landing(&mut self, landing: Landing) {
        let Landing { place: ix, sent_at, landed_at, value } = landing;
        let fence_age_ms = self.settings.fence_age_ms;
        let fence_at = sent_at.plus_ms(-fence_age_ms);
        for event in self.book.place(ix).events.clone() {
            if let Some(Event { readable, told, .. }) = self.book.events.get_mut(&event) {
                readable.get_or_insert(told.in_quantities_at <= fence_at);
            }
        }
        let evidence = Evidence::Sent { at: sent_at, fence_age_ms };
        let visible = |event: &Event| event.told.in_orders_at <= fence_at || event.readable == Some(true);
        let mut breach = self.breach(BreachKind::Landing, ix, evidence, visible, |_| true);
        let policy = self.book.place(ix).policy;
        // What staff put on top hides as many sales from every read of quantities.
        let in_orders = |event: &Event| event.told.in_orders_at <= fence_at;
        let by_numbers = breach.own_visible - self.book.own_unknown(ix, evidence, in_orders);
        breach.own_visible -= by_numbers.at_least_zero().min(self.book.place(ix).count.external());
        breach.limit = policy.target(breach.available - breach.own_visible);
        let rightful_limit = policy.target(breach.available - breach.own_unknown);
        let caused = (value - breach.limit).at_least_zero();
        let in_flight = (value.min(breach.limit) - rightful_limit).at_least_zero();

        let place = self.book.place_mut(ix);
        place.count.land(value, in_flight, caused);
        place.last_write = Some((sent_at, landed_at));
        (breach.at, breach.evidence_by, breach.shown, breach.pieces) = (landed_at, sent_at, value, caused);
        self.report(breach, ix);
        self.check_after(landed_at, ix);
        self.tidy(ix);
        self.followed(ix, landed_at);
    }

    /// What evidence lets a place show, as a breach that may be none.
    fn breach(
        &self,
        kind: BreachKind,
        place: PlaceIx,
        evidence: Evidence,
        visible: impl Fn(&Event) -> bool,
        unknown: impl Fn(&Event) -> bool,
    ) -> Breach {
        let available = self.book.available(place, evidence);
        let own_visible = self.book.own_unknown(place, evidence, visible);
        let own_unknown = self.book.own_unknown(place, evidence, unknown);
        Breach {
            at: self.now,
            kind,
            place: self.book.place(place).name.clone(),
            pieces: Units::ZERO,
            shown: self.shown(place),
            evidence_by: self.now,
            available,
            own_visible,
            own_unknown,
            limit: self.book.place(place).policy.target(available - own_visible),
            events: Vec::new(),
        }
    }

    /// Counts what is a breach; the first ones with their reasons.
    fn report(&mut self, mut breach: Breach, place: PlaceIx) {
        if breach.pieces <= Units::ZERO {
            return;
        }
        self.totals.breaches += 1;
        if self.totals.reasons.len() < Totals::REASONS {
            breach.events = self.book.describe(place, EVENTS_TOLD);
            self.totals.reasons.push(breach);
        }
    }

    /// Checks at `at` whether the place still shows what evidence forbade a slack ago.
    pub(super) fn judge_overdue(&mut self, at: UtcMs, ix: PlaceIx) {
        let place = self.book.place(ix);
        let slack_ms = self.channels[place.channel.0].settings.slack_ms;
        let settled_at = place.settled_at.plus_ms(slack_ms);
        if settled_at > at {
            self.timers.set(settled_at, Timer::Check(ix));
            return;
        }
        let cut = at.plus_ms(-slack_ms);
        let written_at = place.last_write.map(|(_, landed_at)| landed_at);
        let erased = |event: &Event| written_at.is_some_and(|written_at| event.told.at <= written_at);
        let evidence = Evidence::Decrease { cut, now: at };
        // Its own write erased what a read of quantities had shown: that much the daemon must remember.
        let remembered = |event: &Event| erased(event) && event.readable == Some(true);
        let mut breach = self.breach(BreachKind::Overdue, ix, evidence, remembered, erased);
        let place = self.book.place_mut(ix);
        let rightful_limit = place.policy.target(breach.available - breach.own_unknown);
        let caused = place.count.overdue(rightful_limit, breach.limit);
        if place.count.is_clean() {
            place.clean_at = place.clean_at.max(cut);
        }
        (breach.at, breach.evidence_by, breach.pieces) = (at, cut, caused);
        self.report(breach, ix);
        self.tidy(ix);
    }

    fn tidy(&mut self, place: PlaceIx) {
        let Settings { fence_age_ms, memory_ms } = self.settings;
        self.book.tidy(place, Evidence::Sent { at: self.now.plus_ms(-memory_ms), fence_age_ms });
    }

    pub(super) fn judge_sale(&mut self, sale: OrderEvent) {
        let OrderEvent { at, place: ix, pieces, in_orders_at, .. } = sale;
        let place = self.book.place_mut(ix);
        let taken = place.count.sell(pieces);
        let shown = place.count.shown();
        let convergence = &mut self.convergence;
        place.to_follow.retain(|follow| {
            let above = shown > follow.target;
            if !above {
                convergence.followed(follow.sale, at);
            }
            above
        });
        let (components, channel) = (place.components.clone(), place.channel);
        let truly: Vec<_> = components.iter().map(|(sku, _)| self.book.stocks[*sku].truly).collect();
        let event = self.book.record(Kind::Sale, sale);
        let due = Timer::Due(event);
        self.timers.set(in_orders_at.plus_ms(self.channels[channel.0].grace_ms(due)), due);
        for ((sku, each), truly) in components.into_iter().zip(truly) {
            let sold = pieces.times(each);
            self.totals.units_sold += sold;
            let oversold = sold - sold.min(truly.at_least_zero());
            let units = self.charge(sku, oversold, taken.times(each));
            if !units.is_none() {
                self.book.stocks[sku].debts.push(Debt { event: Some(event), units, known_at: None });
            }
        }
        self.must_follow(ix, at, event);
    }

    /// Charges oversold units to the worst class there is: this sale's, then what earlier ones owe. Returns
    /// what this sale owes for later.
    fn charge(&mut self, sku: SkuIx, oversold: Units, mut own: Taken) -> Taken {
        let mut left = oversold;
        let debts = &mut self.book.stocks[sku].debts;
        let mut class = |own: &mut Units, of: fn(&mut Taken) -> &mut Units| {
            let this = take(own, &mut left);
            this + debts.iter_mut().map(|debt| take(of(&mut debt.units), &mut left)).sum()
        };
        let caused = class(&mut own.caused, |units| &mut units.caused);
        let in_flight = class(&mut own.in_flight, |units| &mut units.in_flight);
        let external = class(&mut own.external, |units| &mut units.external);
        debts.retain(|debt| !debt.units.is_none());
        let Oversold { pooled, external: e, in_flight: f, caused: x } = &mut self.totals.oversold;
        *x += caused;
        *f += in_flight;
        *e += external;
        *pooled += left;
        own
    }

    /// A sale left other places above what they should show now.
    fn must_follow(&mut self, sold_at: PlaceIx, at: UtcMs, sale: EventIx) {
        let mut followers = 0;
        for ix in self.book.neighbours(sold_at) {
            let target = self.book.true_target(ix);
            let place = self.book.place_mut(ix);
            if ix != sold_at && place.count.shown() > target {
                place.to_follow.push(ToFollow { sold_at: at, target, sale });
                followers += 1;
            }
        }
        self.convergence.begin(sale, at, followers);
    }

    /// A landing may have brought the place down to what sales elsewhere left.
    fn followed(&mut self, ix: PlaceIx, at: UtcMs) {
        let now = self.book.true_target(ix);
        let place = self.book.place_mut(ix);
        let shown = place.count.shown();
        let (delays, convergence) = (&mut self.sale_to_push_ms, &mut self.convergence);
        place.to_follow.retain(|follow| {
            let follows = shown <= now.max(follow.target);
            if follows {
                delays.push(at.since(follow.sold_at));
                convergence.followed(follow.sale, at);
            }
            !follows
        });
    }
}
