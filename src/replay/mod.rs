//! An order history, run through the engine under a virtual clock against channels in memory.
//!
//! [`run`] deals a history to the channels of a [`Scenario`] and plays it: for the engine, and on the same dealing, each in
//! its own world with its own referee, for the interval syncers it is compared with and for the ideal.

mod chart;
mod dealing;
mod drive;
mod figures;
mod market;
mod ours;
mod rival;
mod scenario;
mod sweep;

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

pub use chart::page;
pub use dealing::{Dealing, Script};
pub use figures::{Figures, Percentiles};
pub use ours::OpenError;
pub use scenario::{Channel, Scenario, ScenarioError};
pub use sweep::{Choice, Family, Variant, variants};

use crate::{domain::BadSku, history::History, street::Fault};
use drive::Drive;
use ours::Ours;
use rival::{Kind, Rival};

/// The worlds begin this long before the first event, in milliseconds, so that every channel is in step by then.
const LEAD_MS: i64 = 30 * 60_000;
/// And end this long after the last, in milliseconds.
const REST_MS: i64 = 10 * 60_000;
/// Events between two reports of progress.
const REPORTED: u64 = 64;

/// What the engine is compared with.
#[derive(Clone, Debug, Default)]
pub struct Rivals {
    /// Interval syncers, by how often each runs; at least a second.
    pub intervals: Vec<Duration>,
    /// Whether to run the ideal.
    pub ideal: bool,
}

/// What came of a replay: the engine's figures, and those of what it is compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The engine's.
    #[serde(flatten)]
    pub engine: Figures,
    /// The interval syncers', by `interval:15m`.
    pub baseline: BTreeMap<String, Figures>,
    /// The ideal's.
    pub ideal: Option<Figures>,
    /// What the referee found of the engine, in words; at most some.
    #[serde(skip)]
    pub reasons: Vec<String>,
}

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The engine could not start.
    #[error("the replay can't start")]
    Open(#[from] OpenError),
    /// The engine failed, or broke a rule of the street.
    #[error("the replay ended early")]
    Fault(#[from] Fault),
    /// A SKU that can't be one.
    #[error(transparent)]
    Sku(#[from] BadSku),
    /// Nothing happens.
    #[error("nothing happens in the time to be replayed")]
    Empty,
}

/// Plays a history once. `progress` is told how many events have passed since it was last told.
///
/// # Errors
/// [`ReplayError`].
pub fn run(
    history: &History,
    dealing: Dealing,
    scenario: &Scenario,
    rivals: &Rivals,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Outcome, ReplayError> {
    let script = Script::new(history, scenario, dealing);
    let (Some((first, _)), Some((last, _))) = (script.events.first(), script.events.last()) else {
        return Err(ReplayError::Empty);
    };
    let start = first.plus_ms(-LEAD_MS);
    let mut ours = Ours::open(history, scenario, start)?;
    if rivals.ideal {
        ours.watch_looks();
    }
    let mut ours = Drive::new(history, &script, scenario.ship_after, ours);
    let rival = |kind| {
        let rival = Rival::open(kind, history, scenario, start)?;
        Ok::<_, BadSku>(Drive::new(history, &script, scenario.ship_after, rival))
    };
    let mut ideal = rivals.ideal.then(|| rival(Kind::Ideal)).transpose()?;
    let mut intervals = rivals
        .intervals
        .iter()
        .map(|every| Ok((interval_name(*every), rival(Kind::Interval { every: *every })?)))
        .collect::<Result<Vec<_>, BadSku>>()?;
    let mut reported = 0;
    for (at, event) in &script.events {
        ours.step(*at, *event)?;
        if let Some(ideal) = &mut ideal {
            ideal.market.hear(ours.market.take_looks());
            ideal.step(*at, *event)?;
        }
        for (_, interval) in &mut intervals {
            interval.step(*at, *event)?;
        }
        reported += 1;
        if reported == REPORTED {
            progress(std::mem::take(&mut reported));
        }
    }
    progress(reported);
    let until = last.plus_ms(REST_MS);
    ours.rest(until)?;
    if let Some(ideal) = &mut ideal {
        ideal.market.hear(ours.market.take_looks());
        ideal.rest(until)?;
    }
    let reasons = ours.reasons();
    let days = days(last.since(*first));
    let done = |figures: Figures| Figures { virtual_days: days, ..figures };
    let mut baseline = BTreeMap::new();
    for (name, mut interval) in intervals {
        interval.rest(until)?;
        baseline.insert(name, done(interval.figures()));
    }
    let ideal = ideal.map(|ideal| done(ideal.figures()));
    Ok(Outcome { engine: done(ours.figures()), baseline, ideal, reasons })
}

/// How an interval syncer is called: `interval:15m`.
pub fn interval_name(every: Duration) -> String {
    let seconds = every.as_secs();
    match (seconds % 3_600, seconds % 60) {
        (0, _) => format!("interval:{}h", seconds / 3_600),
        (_, 0) => format!("interval:{}m", seconds / 60),
        _ => format!("interval:{seconds}s"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of some years")]
fn days(ms: i64) -> f64 {
    ms as f64 / 86_400_000.0
}
