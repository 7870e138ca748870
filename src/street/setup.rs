//! A ledger, settings and an engine for shops in memory.

use std::{path::Path, time::Duration};

use super::{Fault, START, Shop};
use crate::{
    domain::{
        BadSku, Cadence, ChannelSettings, CountBasis, CountRow, LocationId, Mode, Now, Operation, Percent,
        Policies, Settings, Sku, Units, settings::BrakeSettings,
    },
    engine::Engine,
    ledger::Ledger,
};

/// Settings for these shops, all pushed to, orders read this often, and no brake.
pub fn settings(ledger: &Path, shops: &[&Shop], every: Duration) -> Settings {
    let day = Duration::from_hours(24);
    let channels = shops.iter().map(|shop| {
        let mut capabilities = shop.capabilities;
        capabilities.settle_ms = capabilities.settle_ms.max(shop.read_lag_ms);
        ChannelSettings {
            id: shop.id.clone(),
            mode: Mode::Push,
            capabilities,
            orders: Cadence::Every(every),
            scan: Cadence::Every(day),
            sweep: Cadence::Every(day),
            history: 30 * day,
            locations: Vec::new(),
            order_location: LocationId::new(LocationId::DEFAULT),
            assume_shipped_after: None,
        }
    });
    Settings {
        ledger: ledger.to_owned(),
        channels: channels.collect(),
        policies: Policies::default(),
        bundles: Vec::new(),
        brake: BrakeSettings { share: Percent::ALL, min_listings: 1_000_000 },
    }
}

/// A count of what is available, taken a minute before [`START`].
///
/// # Errors
/// [`BadSku`].
pub fn opening(sku: &str, location: &str, units: i64) -> Result<CountRow, BadSku> {
    Ok(CountRow {
        sku: Sku::new(sku)?,
        location: LocationId::new(location),
        quantity: Units::of(units),
        basis: CountBasis::Available,
        counted_at: START.plus_ms(-60_000),
    })
}

/// An engine on a new ledger with these counts, at [`START`].
///
/// # Errors
/// [`Fault::Ledger`].
pub fn start(settings: Settings, rows: Vec<CountRow>) -> Result<Engine, Fault> {
    let ledger = Ledger::open(&settings.ledger)?;
    start_on(ledger, settings, rows, Now { mono: Duration::ZERO, utc: START })
}

/// An engine on this new ledger with these counts.
///
/// # Errors
/// [`Fault::Ledger`], [`Fault::Refused`].
pub fn start_on(ledger: Ledger, settings: Settings, rows: Vec<CountRow>, now: Now) -> Result<Engine, Fault> {
    ledger.begin()?;
    let count = Operation::Count { rows, reason: "opening".into() };
    let counted = ledger.operate(now.utc.plus_ms(-60_000), &settings, &count)?;
    ledger.commit()?;
    counted.map_err(Fault::Refused)?;
    Ok(Engine::new(ledger, settings, now)?)
}
