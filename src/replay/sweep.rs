//! The same orders under many ways of looking and holding back.

use std::time::Duration;

use serde::Serialize;

use super::{Figures, Outcome, Scenario};
use crate::domain::{
    Buffer, Cadence, ChannelId, Percent, Policies, Units,
    policy::{AutoBuffer, PolicyRule},
};

/// What a choice changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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

/// One way to run the orders.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name, as a configuration would have it.
    pub name: String,
    /// What it changes.
    pub family: Family,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    Polls(Cadence),
    Policy(PolicyRule),
}

/// Poll intervals tried beside `auto`, in seconds.
const POLLS: [u64; 5] = [10, 20, 30, 60, 300];
/// The largest fixed buffer tried, in units.
const MOST_UNITS: i64 = 5;
/// Buffers in percent tried.
const PERCENTS: [u16; 3] = [5, 10, 20];
/// How many lost sales one oversell is worth, as tried.
const COSTS: [u32; 6] = [1, 20, 1_000, 10_000, 100_000, 1_000_000];
/// What an automatic buffer is bounded by here, in units: far above what it should ever want.
const UNBOUNDED: i64 = 1_000;

/// Every way that a sweep tries: the scenario as it is, then with other polls and other buffers.
pub fn variants(scenario: &Scenario) -> Vec<Variant> {
    let polls = POLLS.map(|seconds| Cadence::Every(Duration::from_secs(seconds))).to_vec();
    let told = |cadence: &Cadence| match cadence {
        Cadence::Every(every) => format!("every {}s", every.as_secs()),
        _ => "every auto".to_owned(),
    };
    let polling = [Cadence::Auto].into_iter().chain(polls).map(|cadence| Variant {
        name: told(&cadence),
        family: Family::Polling,
        change: Change::Polls(cadence),
    });
    let policy = |name: String, family, rule| Variant { name, family, change: Change::Policy(rule) };
    let units = (0..=MOST_UNITS).map(|units| {
        let rule = PolicyRule { buffer: Some(Buffer::Units(Units::of(units))), ..PolicyRule::default() };
        policy(format!("buffer {units}"), Family::FixedBuffer, rule)
    });
    let percents = PERCENTS.iter().filter_map(|percent| {
        let share = Percent::from_hundredths(percent * 100)?;
        let rule = PolicyRule { buffer: Some(Buffer::Percent(share)), ..PolicyRule::default() };
        Some(policy(format!("buffer {percent}%"), Family::PercentBuffer, rule))
    });
    let shown_on: Option<ChannelId> = scenario
        .channels
        .iter()
        .max_by_key(|channel| channel.share)
        .map(|channel| channel.settings.id.clone());
    let last = (1..=3).map(|units| {
        let rule = PolicyRule {
            last_units: Some(Units::of(units)),
            last_units_on: Some(shown_on.iter().cloned().collect()),
            ..PolicyRule::default()
        };
        policy(format!("last_units {units}"), Family::LastUnits, rule)
    });
    let auto = COSTS.map(|cost| {
        let rule = PolicyRule {
            buffer: Some(Buffer::Auto(AutoBuffer::default())),
            oversell_cost: Some(cost),
            buffer_max: Some(Units::of(UNBOUNDED)),
            ..PolicyRule::default()
        };
        policy(format!("auto, oversell_cost {cost}"), Family::AutoBuffer, rule)
    });
    polling.chain(units).chain(percents).chain(last).chain(auto).collect()
}

impl Variant {
    /// The scenario with this changed.
    pub fn of(&self, scenario: &Scenario) -> Scenario {
        let mut scenario = scenario.clone();
        match &self.change {
            Change::Polls(cadence) => {
                for channel in &mut scenario.channels {
                    channel.settings.orders = cadence.clone();
                }
            }
            Change::Policy(rule) => scenario.policies = Policies::new(vec![rule.clone()]),
        }
        scenario
    }
}

/// One way to run the orders, and what came of it, as means over the dealings.
#[derive(Clone, Debug, Serialize)]
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

impl Choice {
    /// The means of some figures, of the same orders dealt in different ways.
    #[expect(clippy::cast_precision_loss, reason = "counts of a history, for people")]
    pub fn of<'a>(name: &str, family: Family, figures: &(impl Iterator<Item = &'a Figures> + Clone)) -> Self {
        let count = figures.clone().count().max(1) as f64;
        let mean = |of: fn(&Figures) -> f64| figures.clone().map(of).sum::<f64>() / count;
        let lines = mean(|it| it.sale_lines as f64);
        let refused_lines = mean(|it| it.refused_lines as f64);
        Self {
            name: name.to_owned(),
            family,
            oversold_lines: mean(|it| it.oversold_lines as f64),
            oversold_units: mean(|it| it.oversold_units.total().get() as f64),
            refused_lines,
            refused_percent: 100.0 * refused_lines / lines.max(1.0),
            units_accepted: mean(|it| it.units_accepted as f64),
            pushes: mean(|it| it.pushes as f64),
            api_calls: mean(|it| it.api_calls as f64),
        }
    }

    /// What a replay compares: the engine, the ideal and the interval syncers.
    pub fn compared(engine: &str, outcomes: &[Outcome]) -> Vec<Self> {
        let mut choices = vec![Self::of(engine, Family::Polling, &outcomes.iter().map(|it| &it.engine))];
        if outcomes.iter().any(|outcome| outcome.ideal.is_some()) {
            let ideal = outcomes.iter().filter_map(|it| it.ideal.as_ref());
            choices.push(Self::of("ideal", Family::Baseline, &ideal));
        }
        for name in outcomes.first().into_iter().flat_map(|it| it.baseline.keys()) {
            let baseline = outcomes.iter().filter_map(|it| it.baseline.get(name));
            choices.push(Self::of(name, Family::Baseline, &baseline));
        }
        choices
    }
}
