//! The engine's market: the real engine on a real ledger, and the street's shops.

use std::time::Duration;

use super::{
    Scenario,
    market::{Bought, Market, OfOrder},
};
use crate::{
    domain::{BadSku, CountBasis, CountRow, LocationId, Now, Operation, OrderId, Sku, Units, UtcMs},
    history::History,
    ledger::Ledger,
    referee::Referee,
    street::{Allowances, Court, Fault, Look, Wanted, World, start_on},
};

/// The engine at work.
pub(super) struct Ours {
    world: World,
    start: UtcMs,
    skus: Vec<Sku>,
    /// The ledger lies here; nobody needs it later.
    _folder: tempfile::TempDir,
}

/// Why there is no such market.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A folder for the ledger can't be made.
    #[error("can't make a folder for the ledger")]
    Folder(#[from] std::io::Error),
    /// The engine or its ledger would not start.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A SKU that can't be one.
    #[error(transparent)]
    Sku(#[from] BadSku),
}

impl Ours {
    pub(super) fn open(history: &History, scenario: &Scenario, start: UtcMs) -> Result<Self, OpenError> {
        let folder = tempfile::tempdir()?;
        let shops = scenario.shops(&history.skus, &history.opening);
        let settings = scenario.settings(&folder.path().join("ledger.db"));
        let stock = || history.skus.iter().zip(&history.opening);
        let rows = stock().map(|(sku, units)| CountRow {
            sku: sku.clone(),
            location: LocationId::new(LocationId::DEFAULT),
            quantity: *units,
            basis: CountBasis::Available,
            counted_at: start.plus_ms(-60_000),
        });
        let ledger = Ledger::open_disposable(&settings.ledger).map_err(Fault::from)?;
        let now = Now { mono: Duration::ZERO, utc: start };
        let engine = start_on(ledger, settings, rows.collect(), now)?;
        let allowed: Vec<Allowances> = scenario.channels.iter().map(super::Channel::allowances).collect();
        let stock: Vec<_> = stock().map(|(sku, units)| (sku.as_str().to_owned(), units.get())).collect();
        let parts = |_: &str, sku: &str, _: &str| vec![(sku.to_owned(), 1)];
        let policy = |shop: &str, sku: &str| scenario.policy(shop, sku);
        let court = Court::with_policies(&shops, &stock, &allowed, parts, policy)?;
        let mut world = World::starting_at(start, engine, shops);
        world.court = Some(court);
        world.passing = true;
        Ok(Self { world, start, skus: history.skus.clone(), _folder: folder })
    }

    /// From here on the engine's looks are kept for [`Ours::take_looks`].
    pub(super) fn watch_looks(&mut self) {
        self.world.looks = Some(Vec::new());
    }

    pub(super) fn take_looks(&mut self) -> Vec<Look> {
        self.world.looks.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn court(&mut self) -> &mut Court {
        match &mut self.world.court {
            Some(court) => court,
            None => unreachable!("a market has its referee from the start"),
        }
    }
}

impl Market for Ours {
    fn pass_until(&mut self, at: UtcMs) -> Result<(), Fault> {
        let ms = at.since(self.start).max(0).cast_unsigned();
        self.world.run_until(Duration::from_millis(ms))
    }

    fn shown(&self, channel: usize, sku: usize) -> i64 {
        self.world.shops[channel].shows_ix(sku, 0)
    }

    fn order(&mut self, channel: usize, order: &str, lines: &[Bought<'_>]) {
        let wanted: Vec<_> = lines
            .iter()
            .map(|it| Wanted { line: it.line, listing: it.sku, location: 0, units: it.units })
            .collect();
        self.world.shops[channel].take_order(self.world.now, order, &wanted);
        let (now, id) = (self.world.now.utc, OrderId::new(order));
        let World { shops, court: Some(court), .. } = &mut self.world else { return };
        for line in lines {
            let place = court.place(channel, line.sku);
            let event = court.event(now, &shops[channel], id.clone(), place, line.units);
            court.referee.sale(event);
        }
    }

    fn ship(&mut self, channel: usize, order: &str) {
        self.world.shops[channel].ship(self.world.now, order);
    }

    fn give_back(&mut self, of: OfOrder<'_>, units: i64) {
        let OfOrder { channel, order, line, sku } = of;
        let now = self.world.now;
        let World { shops, court: Some(court), .. } = &mut self.world else { return };
        let shop = &mut shops[channel];
        let given = shop.give_back(now, order, line, units);
        if given > 0 {
            let place = court.place(channel, sku);
            let event = court.event(now.utc, shop, OrderId::new(order), place, given);
            court.referee.give_back(event, shop.restocks_itself);
        }
    }

    fn finish(&mut self, channel: usize, order: &str) {
        self.world.shops[channel].finish(self.world.now, order);
    }

    fn receive(&mut self, sku: usize, units: i64) -> Result<(), Fault> {
        let (now, sku) = (self.world.now.utc, self.skus[sku].clone());
        let (units, location) = (Units::of(units), LocationId::new(LocationId::DEFAULT));
        self.court().referee.raise(now, &sku, units, now);
        let reason = "a delivery".to_owned();
        self.world.ask(&Operation::Adjust { sku, location, delta: units, receipt: true, reason })?;
        Ok(())
    }

    fn referee(&mut self) -> &mut Referee {
        &mut self.court().referee
    }

    fn free(&mut self, sku: usize) -> i64 {
        let World { court: Some(court), .. } = &self.world else { return 0 };
        court.referee.truly_available(&self.skus[sku]).get()
    }

    fn effort(&self) -> (u64, u64) {
        let shops = self.world.shops.iter();
        shops.fold((0, 0), |(pushes, calls), shop| (pushes + shop.rows_written, calls + shop.calls_made()))
    }
}
