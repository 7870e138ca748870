//! The same orders under many ways of looking and holding back.

/// What a choice changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Another syncer, for comparison.
    Baseline,
    /// How often orders are read.
    Polling,
    /// A fixed buffer in units.
    FixedBuffer,
    /// A buffer in percent.
    PercentBuffer,
    /// The last units shown on one channel only.
    LastUnits,
    /// `buffer = "auto"`.
    AutoBuffer,
}

/// One way to run the orders, and what came of it, as means over the dealings.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// What it changes.
    pub family: Family,
    /// Order lines that sold units which did not exist.
    pub oversold_lines: f64,
    /// Units of them.
    pub oversold_units: f64,
    /// Order lines that got less than was truly free.
    pub refused_lines: f64,
    /// The same, in percent of all sale lines.
    pub refused_percent: f64,
    /// Units sold.
    pub units_accepted: f64,
    /// Numbers written.
    pub pushes: f64,
    /// Requests to channels.
    pub api_calls: f64,
}
