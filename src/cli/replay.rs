//! `stockd replay`: an order history, run through the engine.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use chrono::NaiveDate;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use super::{ConfigArg, Failure, Out};
use crate::{
    config::Secrets,
    history::History,
    replay::{self, Choice, Dealing, Outcome, Rivals, Scenario, Script},
};

/// Runs an order history through the engine, to see how often it would have oversold.
///
/// Reads past orders, gives them to simulated sales channels and lets the engine keep these in step, as fast as this
/// machine can. On the same orders runs what it is compared with: an interval syncer, which every so often reads all
/// orders and sets all quantities, and the ideal, which knows what the engine's own looks at the channels could have told
/// it, at once, and has no limits.
///
/// The exit code is 1 where the engine showed more than it could know to be there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stockd replay --orders online-retail-ii.orders.csv.gz\n  \
    stockd replay --orders my-orders.csv my-stock.csv --days 30 --scenario marketplaces\n  \
    stockd replay --orders my-orders.csv --baseline interval:15m --baseline interval:5m --hashes 10 --json")]
pub struct Replay {
    /// Tables of orders (ts,order_id,sku,qty and, where known, line,kind,channel), links
    /// (order_id,line,ref_order_id,ref_line), deliveries (ts,sku,qty) and stock (sku,opening_stock), as CSV or gzip.
    ///
    /// The tables beside a single X.orders.csv are found by themselves. Without stock and deliveries both are made up: an
    /// order a week for what sells in two.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    orders: Vec<PathBuf>,
    /// Take the policy from this configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The channels: storefronts, marketplaces, or a file like those.
    #[arg(long, value_name = "NAME|FILE", default_value = "storefronts")]
    scenario: String,
    /// What to compare with: interval:15m, interval:90s ...; more than once for several. [default: interval:15m and
    /// interval:1m]
    #[arg(long, value_name = "interval:TIME", value_parser = interval)]
    baseline: Vec<Duration>,
    /// Only the engine: no interval syncers, no ideal.
    #[arg(long, conflicts_with = "baseline")]
    alone: bool,
    /// Deal the orders to the channels in so many ways; gives mean and deviation.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    hashes: u64,
    /// Shorten the time between events so many times, for a peak.
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = times)]
    squeeze: f64,
    /// Only the first days.
    #[arg(long, value_name = "N", conflicts_with = "until", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// Only what happened before this day, UTC.
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<NaiveDate>,
    /// Try poll intervals, buffers, last_units and automatic buffers, one after the other: what each would have oversold and
    /// refused.
    #[arg(long, conflicts_with_all = ["alone", "config"])]
    sweep: bool,
    /// Draw oversold against refused lines into this file, a page for a browser.
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,
    /// Print the figures as JSON, and nothing else.
    #[arg(long)]
    json: bool,
}

/// `interval:15m`.
fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?}: expected interval:15m, interval:90s or interval:1h");
    let time = text.strip_prefix("interval:").ok_or_else(wrong)?;
    let (number, unit) = time.split_at(time.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds).filter(|seconds| (1..=86_400).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| format!("{text:?}: expected 1 second to 24 hours"))
}

fn times(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?}: expected a number"))?;
    if (1.0..=10_000.0).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{text:?}: expected 1 to 10000"))
    }
}

/// Runs the replay to its end.
///
/// # Errors
/// Whatever went wrong, or what the engine did that it must not.
pub fn run(args: &Replay) -> Result<(), Failure> {
    let history = History::load(&args.orders).context("the order history can't be used")?;
    let mut scenario = Scenario::load(&args.scenario).map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(path) = &args.config {
        let config = ConfigArg { path: path.clone() };
        scenario.policies = config.load_with(Secrets::Unread)?.settings.policies;
    }
    let dealings: Vec<_> = (0..args.hashes).map(|number| args.dealing(&history, number)).collect();
    if args.sweep {
        return sweep(args, &history, &scenario, &dealings);
    }
    let outcomes = play(args, &history, &scenario, &dealings, &args.rivals())?;
    args.draw(&scenario, &Choice::compared("stockd", &outcomes))?;
    let report = Report { scenario: &scenario, history: &history, outcomes: &outcomes };
    if args.json {
        Out.json(&report.json()?)?;
    } else {
        report.print()?;
    }
    let breaches: u64 = outcomes.iter().map(|outcome| outcome.engine.breaches).sum();
    if breaches > 0 {
        let reasons: Vec<_> = outcomes.iter().flat_map(|outcome| &outcome.reasons).take(3).cloned().collect();
        let found = anyhow!("{}", reasons.join("\n"));
        return Err(Failure::Failed(found.context(format!("{breaches} numbers were above what was known"))));
    }
    Ok(())
}

impl Replay {
    fn dealing(&self, history: &History, number: u64) -> Dealing {
        let day = |days: u32| Duration::from_hours(24) * days;
        let until = self.until.map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis());
        let first = history.orders.iter().map(|order| order.at).min().unwrap_or_default();
        let until = until.map(|until| Duration::from_millis(u64::try_from(until - first.0).unwrap_or(0)));
        Dealing { number, squeeze: self.squeeze, length: self.days.map(day).or(until) }
    }

    fn draw(&self, scenario: &Scenario, choices: &[Choice]) -> anyhow::Result<()> {
        let Some(path) = &self.html else { return Ok(()) };
        let title = format!("Oversold against refused: {}", scenario.name);
        let page = replay::page(&title, &scenario.about, choices);
        std::fs::write(path, page).with_context(|| format!("can't write {}", path.display()))
    }

    fn rivals(&self) -> Rivals {
        if self.alone {
            return Rivals::default();
        }
        let usual = || vec![Duration::from_mins(15), Duration::from_mins(1)];
        let intervals = if self.baseline.is_empty() { usual() } else { self.baseline.clone() };
        Rivals { intervals, ideal: true }
    }
}

/// The same orders under every choice there is.
fn sweep(args: &Replay, history: &History, scenario: &Scenario, dealings: &[Dealing]) -> Result<(), Failure> {
    let mut choices = Vec::new();
    let mut rivals = args.rivals();
    for variant in replay::variants(scenario) {
        let outcomes = play(args, history, &variant.of(scenario), dealings, &rivals)?;
        if choices.is_empty() {
            choices.extend(Choice::compared(&variant.name, &outcomes));
        } else {
            choices.push(Choice::of(&variant.name, variant.family, &outcomes.iter().map(|it| &it.engine)));
        }
        // The others don't change with what stockd does.
        rivals = Rivals::default();
    }
    args.draw(scenario, &choices)?;
    if args.json {
        Out.json(&choices)?;
        return Ok(());
    }
    let number = |value: f64| format!("{}", (value * 100.0).round() / 100.0);
    let rows: Vec<Vec<String>> = choices
        .iter()
        .map(|it| {
            let figures = [it.oversold_lines, it.oversold_units, it.refused_lines, it.refused_percent];
            let costs = [it.units_accepted, it.pushes, it.api_calls];
            [it.name.clone()].into_iter().chain(figures.into_iter().chain(costs).map(number)).collect()
        })
        .collect();
    let heading = [
        "choice",
        "oversold lines",
        "oversold units",
        "refused lines",
        "refused %",
        "units sold",
        "pushes",
        "calls",
    ];
    Out.table(&heading, &rows)?;
    Ok(())
}

/// All dealings, several at a time.
fn play(
    args: &Replay,
    history: &History,
    scenario: &Scenario,
    dealings: &[Dealing],
    rivals: &Rivals,
) -> Result<Vec<Outcome>, Failure> {
    let events: usize =
        dealings.iter().map(|dealing| Script::new(history, scenario, *dealing).events.len()).sum();
    let bar = progress_bar(args.json, events);
    let next = AtomicU64::new(0);
    let done: Mutex<Vec<(u64, Outcome)>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(dealings.len());
    let work = || -> Result<(), Failure> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(dealing) = usize::try_from(number).ok().and_then(|ix| dealings.get(ix)) else {
                return Ok(());
            };
            let outcome = replay::run(history, *dealing, scenario, rivals, &|events| bar.inc(events))
                .map_err(anyhow::Error::from)?;
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, outcome));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    bar.finish_and_clear();
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, outcome)| outcome).collect())
}

/// On a terminal only; a bar writes to standard error.
fn progress_bar(json: bool, events: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(events).unwrap_or(u64::MAX));
    if json {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent} %  {elapsed} of about {duration}") {
        bar.set_style(style);
    }
    bar
}

struct Report<'a> {
    scenario: &'a Scenario,
    history: &'a History,
    outcomes: &'a [Outcome],
}

impl Report<'_> {
    fn json(&self) -> anyhow::Result<Value> {
        let outcomes = self.outcomes.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
        let mut report = Map::new();
        report.insert("scenario".into(), self.scenario.name.clone().into());
        report.insert("dealings".into(), self.outcomes.len().into());
        if self.history.made_up_stock {
            report.insert("made_up_stock".into(), true.into());
        }
        if let [only] = outcomes.as_slice() {
            report.extend(only.as_object().cloned().unwrap_or_default());
        } else {
            let of = |figure: fn(&[f64]) -> f64| merged(&outcomes.iter().collect::<Vec<_>>(), figure);
            report.extend(of(mean).as_object().cloned().unwrap_or_default());
            report.insert("deviation".into(), of(deviation));
        }
        Ok(report.into())
    }

    fn print(&self) -> anyhow::Result<()> {
        let report = self.json()?;
        let mut columns = vec![("stockd".to_owned(), Some(&report))];
        columns.push(("ideal".into(), report.get("ideal").filter(|ideal| !ideal.is_null())));
        let baseline = report.get("baseline").and_then(Value::as_object);
        columns.extend(baseline.into_iter().flatten().map(|(name, figures)| (name.clone(), Some(figures))));
        columns.retain(|(_, figures)| figures.is_some());
        let mut heading = vec![""];
        heading.extend(columns.iter().map(|(name, _)| name.as_str()));
        let rows: Vec<Vec<String>> = ROWS
            .iter()
            .map(|(name, pointer)| {
                let mut row = vec![(*name).to_owned()];
                row.extend(
                    columns.iter().map(|(_, figures)| cell(figures.and_then(|it| it.pointer(pointer)))),
                );
                row
            })
            .collect();
        Out.line(format!("{}: {}", self.scenario.name, self.scenario.about))?;
        if self.history.made_up_stock {
            Out.line("No stock was given: opening stock and weekly deliveries are made up.")?;
        }
        if self.outcomes.len() > 1 {
            Out.line(format!("Means over {} ways to deal the orders.", self.outcomes.len()))?;
        }
        Out.table(&heading, &rows)?;
        Ok(())
    }
}

/// What the table shows, and where it is in the JSON.
const ROWS: [(&str, &str); 17] = [
    ("sale lines", "/sale_lines"),
    ("units wanted", "/units_wanted"),
    ("units sold", "/units_accepted"),
    ("oversold lines", "/oversold_lines"),
    ("oversold units: pooled", "/oversold_units/pooled"),
    ("external", "/oversold_units/external"),
    ("in flight", "/oversold_units/in_flight"),
    ("caused", "/oversold_units/caused"),
    ("breaches", "/breaches"),
    ("refused lines", "/refused_lines"),
    ("refused units", "/refused_units"),
    ("numbers written", "/pushes"),
    ("API calls", "/api_calls"),
    ("converged, median (s)", "/converge_s/p50"),
    ("converged, 99 % (s)", "/converge_s/p99"),
    ("days", "/virtual_days"),
    ("took (s)", "/wall_seconds"),
];

fn cell(value: Option<&Value>) -> String {
    match value.and_then(Value::as_f64) {
        None => "-".into(),
        Some(number) if number.fract() == 0.0 => format!("{number}"),
        Some(number) => format!("{number:.2}"),
    }
}

/// One value of the shape of these, each number of it what `figure` makes of theirs.
fn merged(values: &[&Value], figure: fn(&[f64]) -> f64) -> Value {
    if let Some(Value::Object(first)) = values.first() {
        let of = |key: &String| values.iter().filter_map(|value| value.get(key)).collect::<Vec<_>>();
        return first.keys().map(|key| (key.clone(), merged(&of(key), figure))).collect::<Map<_, _>>().into();
    }
    let numbers: Vec<f64> = values.iter().filter_map(|value| value.as_f64()).collect();
    if numbers.is_empty() { Value::Null } else { figure(&numbers).into() }
}

#[expect(clippy::cast_precision_loss, reason = "at most a thousand dealings")]
fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The standard deviation of a sample.
#[expect(clippy::cast_precision_loss, reason = "at most a thousand dealings")]
fn deviation(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    (squares / (numbers.len().max(2) - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_with_their_unit() {
        assert_eq!(interval("interval:15m"), Ok(Duration::from_mins(15)));
        assert_eq!(interval("interval:90s").map(replay::interval_name), Ok("interval:90s".into()));
        for wrong in ["15m", "interval:15", "interval:m", "interval:0s", "interval:25h", "interval:"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn means_and_deviations_are_taken_number_by_number() {
        let values = [
            serde_json::json!({"a": 1, "b": {"c": 2.0}, "d": null}),
            serde_json::json!({"a": 3, "b": {"c": 2.0}, "d": null}),
        ];
        let values: Vec<_> = values.iter().collect();
        assert_eq!(merged(&values, mean), serde_json::json!({"a": 2.0, "b": {"c": 2.0}, "d": null}));
        assert_eq!(merged(&values, deviation)["a"], serde_json::json!(2.0_f64.sqrt()));
    }
}
