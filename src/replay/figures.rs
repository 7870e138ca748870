//! What came of a replay.

use serde::Serialize;

use crate::referee::{Convergence, Oversold, Totals};

/// The figures of one way of keeping channels in step.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    /// Lines that shoppers wanted.
    pub sale_lines: u64,
    /// Units that they wanted.
    pub units_wanted: i64,
    /// Units that they got an order for.
    pub units_accepted: i64,
    /// Lines of which at least one unit did not exist.
    pub oversold_lines: u64,
    /// Units that did not exist, by class.
    pub oversold_units: Oversold,
    /// Numbers shown above what evidence allowed.
    pub breaches: u64,
    /// Lines that got less than was truly there for them.
    pub refused_lines: u64,
    /// Units that they would have got, had their channel shown all there was.
    pub refused_units: i64,
    /// Numbers written.
    pub pushes: u64,
    /// Calls made.
    pub api_calls: u64,
    /// Seconds from a sale until the last other channel showed no more than what it left.
    pub converge_s: Percentiles,
    /// Days from the first event to the last.
    pub virtual_days: f64,
    /// Time that it took here.
    pub wall_seconds: f64,
}

/// Two percentiles; `None` where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

impl Percentiles {
    pub(super) fn of(convergence: &Convergence) -> Self {
        let seconds = |percent| {
            let ms = i32::try_from(convergence.percentile(percent)?).unwrap_or(i32::MAX);
            Some(f64::from(ms) / 1_000.0)
        };
        Self { p50: seconds(50), p99: seconds(99) }
    }
}

impl Figures {
    pub(super) fn judged(&mut self, totals: &Totals, convergence: &Convergence) {
        self.oversold_units = totals.oversold;
        self.breaches = totals.breaches;
        self.converge_s = Percentiles::of(convergence);
    }
}
