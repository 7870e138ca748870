//! Plays a script in a market and counts.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::{
    Figures, Script,
    market::{Bought, Market, OfOrder},
};
use crate::{
    domain::UtcMs,
    history::{Event, History},
    street::Fault,
};

/// A market while a script is played in it.
pub(super) struct Drive<'a, M> {
    history: &'a History,
    script: &'a Script,
    ship_after_ms: i64,
    pub(super) market: M,
    figures: Figures,
    /// Orders to ship: when, and which.
    to_ship: VecDeque<(UtcMs, usize)>,
    /// What each line got that has not come back, as long as its order may change.
    got: HashMap<usize, i64>,
    /// Orders that are under way: whether shipped, and how many cancels and returns are to come.
    open: HashMap<usize, (bool, u32)>,
    spent: Duration,
}

impl<'a, M: Market> Drive<'a, M> {
    pub(super) fn new(history: &'a History, script: &'a Script, ship_after: Duration, market: M) -> Self {
        Self {
            history,
            script,
            ship_after_ms: i64::try_from(ship_after.as_millis()).unwrap_or(i64::MAX / 4),
            market,
            figures: Figures::default(),
            to_ship: VecDeque::new(),
            got: HashMap::new(),
            open: HashMap::new(),
            spent: Duration::ZERO,
        }
    }

    /// Lets time pass and one thing happen.
    pub(super) fn step(&mut self, at: UtcMs, event: Event) -> Result<(), Fault> {
        let begun = Instant::now();
        while let Some((ship_at, order)) = self.to_ship.pop_front_if(|(ship_at, _)| *ship_at <= at) {
            self.market.pass_until(ship_at)?;
            self.ship(order);
        }
        self.market.pass_until(at)?;
        match event {
            Event::Restock(ix) => {
                let restock = self.history.restocks[ix];
                self.market.receive(restock.sku, restock.units)?;
            }
            Event::Order(ix) => self.order(at, ix),
            Event::Back(ix) => self.back(ix)?,
        }
        self.spent += begun.elapsed();
        Ok(())
    }

    /// Lets time pass after the last event.
    pub(super) fn rest(&mut self, until: UtcMs) -> Result<(), Fault> {
        let begun = Instant::now();
        self.market.pass_until(until)?;
        self.market.referee().tick(until);
        self.spent += begun.elapsed();
        Ok(())
    }

    fn order(&mut self, at: UtcMs, ix: usize) {
        let order = &self.history.orders[ix];
        let channel = self.script.channels[ix];
        let mut bought: Vec<Bought<'_>> = Vec::new();
        // What lines of this order have taken of a SKU so far.
        let mut taken: HashMap<usize, i64> = HashMap::new();
        for number in order.lines.clone() {
            let line = &self.history.lines[number];
            let before = taken.entry(line.sku).or_default();
            let units = line.units.min(self.market.shown(channel, line.sku) - *before).max(0);
            let free = (self.market.free(line.sku) - *before).max(0);
            *before += units;
            self.figures.count(line.units, units, free);
            if units > 0 {
                bought.push(Bought { line: &line.id, sku: line.sku, units });
                self.got.insert(number, units);
            }
        }
        if bought.is_empty() {
            return;
        }
        self.market.order(channel, &order.id, &bought);
        self.open.insert(ix, (false, self.script.backs[ix]));
        self.to_ship.push_back((at.plus_ms(self.ship_after_ms), ix));
    }

    fn ship(&mut self, ix: usize) {
        let Some((shipped, backs)) = self.open.get_mut(&ix) else { return };
        let backs = *backs;
        if !std::mem::replace(shipped, true) {
            self.market.ship(self.script.channels[ix], &self.history.orders[ix].id);
        }
        if backs == 0 {
            self.close(ix);
        }
    }

    fn close(&mut self, ix: usize) {
        self.market.finish(self.script.channels[ix], &self.history.orders[ix].id);
        self.open.remove(&ix);
        for line in self.history.orders[ix].lines.clone() {
            self.got.remove(&line);
        }
    }

    fn back(&mut self, ix: usize) -> Result<(), Fault> {
        let back = &self.history.backs[ix];
        let Some(number) = back.of else {
            return self.market.receive(back.sku, back.units);
        };
        let line = &self.history.lines[number];
        let Some((shipped, backs)) = self.open.get(&line.order).copied() else { return Ok(()) };
        let left = self.got.get(&number).copied().unwrap_or(0);
        let units = back.units.min(left);
        let (channel, order) = (self.script.channels[line.order], &self.history.orders[line.order].id);
        if units > 0 {
            if back.returned && !shipped {
                self.market.ship(channel, order);
            }
            let of = OfOrder { channel, order, line: &line.id, sku: back.sku };
            self.market.give_back(of, units);
            self.got.insert(number, left - units);
        }
        let shipped = shipped || (back.returned && units > 0);
        self.open.insert(line.order, (shipped, backs.saturating_sub(1)));
        if shipped && backs <= 1 {
            self.close(line.order);
        }
        Ok(())
    }

    /// What the referee found, in words; at most some.
    pub(super) fn reasons(&mut self) -> Vec<String> {
        self.market.referee().totals().reasons.iter().map(ToString::to_string).collect()
    }

    /// What came of it.
    pub(super) fn figures(mut self) -> Figures {
        let referee = self.market.referee();
        let (totals, convergence) = (referee.totals(), referee.convergence().clone());
        self.figures.judged(&totals, &convergence);
        (self.figures.pushes, self.figures.api_calls) = self.market.effort();
        self.figures.wall_seconds = self.spent.as_secs_f64();
        self.figures
    }
}

impl Figures {
    /// A line was wanted; so much of it was bought, and so much was truly free.
    fn count(&mut self, wanted: i64, accepted: i64, free: i64) {
        self.sale_lines += 1;
        self.units_wanted += wanted;
        self.units_accepted += accepted;
        self.oversold_lines += u64::from(accepted > free);
        let refused = (wanted.min(free) - accepted).max(0);
        self.refused_lines += u64::from(refused > 0);
        self.refused_units += refused;
    }
}
