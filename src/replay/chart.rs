//! A sweep as one HTML page: what each way of holding back costs and what it saves, to read off what to choose.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::sweep::{Choice, Family};

/// The drawing's size and margins, in CSS pixels.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 15.0;
const RIGHT: f64 = 25.0;
/// Ticks of an axis are at least this far apart.
const TICK_GAP: f64 = 38.0;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2733; --pale: #8795a1; --paper: #fff; --line: #dde3e8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9ee; --pale: #8b98a5; --paper: #14191f; --line: #2c3640; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 960px; margin: 2rem auto;
  padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
tr.best td { font-weight: 600; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font-size: 12px; }
.axis { stroke: var(--pale); } .grid { stroke: var(--line); } .edge { fill: none; stroke: var(--pale); stroke-dasharray: 4 4; }
.polling { fill: #7a5195; } .fixed { fill: #d45087; } .percent { fill: #ff7c43; } .last { fill: #2f9e8f; } .auto { fill: #2f6fb3; }
.baseline { fill: #8795a1; }
";

/// An axis from 0 to `most`, drawn by square roots: small figures stay apart where large ones exist.
struct Axis {
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        Self { most: values.fold(f64::MIN_POSITIVE, f64::max) * 1.1, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * (value.max(0.0) / self.most).sqrt()
    }

    /// Round figures, far enough apart to be read.
    fn ticks(&self) -> Vec<f64> {
        let mut ticks = vec![0.0];
        let mut power = 0.001;
        while power <= self.most {
            ticks.extend(
                [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().filter(|tick| *tick <= self.most),
            );
            power *= 10.0;
        }
        let mut last = f64::INFINITY;
        ticks.reverse();
        ticks.retain(|tick| {
            let at = self.at(*tick);
            let far = |other: f64| (at - other).abs() >= TICK_GAP;
            let kept = *tick == 0.0 || (far(self.at(0.0)) && far(last));
            if kept {
                last = at;
            }
            kept
        });
        ticks
    }
}

/// The page: a drawing and a table of the choices.
pub fn page(title: &str, told: &str, choices: &[Choice]) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p { (told) }
                p {
                    "Each point is one way to run the same orders. Further down: fewer order lines oversold. Further left: fewer \
                     lines refused to shoppers though the units were there. The dashed line joins the choices that no other \
                     choice beats in both; take the one on it whose refusals you can bear."
                }
                (drawing(choices))
                (table(choices))
            }
        }
    }
    .into_string()
}

fn drawing(choices: &[Choice]) -> Markup {
    let x = Axis::new(choices.iter().map(|c| c.refused_percent), LEFT, WIDTH - RIGHT);
    let y = Axis::new(choices.iter().map(|c| c.oversold_lines), HEIGHT - BOTTOM, TOP);
    let (floor, left) = (HEIGHT - BOTTOM, LEFT);
    let edge: Vec<String> = unbeaten(choices)
        .into_iter()
        .map(|c| format!("{:.1},{:.1}", x.at(c.refused_percent), y.at(c.oversold_lines)))
        .collect();
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label="oversold lines against refused lines" {
            @for tick in x.ticks() {
                @let at = x.at(tick);
                line .grid x1=(at) x2=(at) y1=(TOP) y2=(floor);
                text x=(at) y=(floor + 18.0) text-anchor="middle" { (figure(tick)) "%" }
            }
            @for tick in y.ticks() {
                @let at = y.at(tick);
                line .grid x1=(left) x2=(WIDTH - RIGHT) y1=(at) y2=(at);
                text x=(left - 8.0) y=(at + 4.0) text-anchor="end" { (figure(tick)) }
            }
            line .axis x1=(left) x2=(WIDTH - RIGHT) y1=(floor) y2=(floor);
            line .axis x1=(left) x2=(left) y1=(TOP) y2=(floor);
            text x=(left.midpoint(WIDTH)) y=(HEIGHT - 10.0) text-anchor="middle" { "lines refused though free, % of all lines" }
            text transform=(format!("translate(16 {}) rotate(-90)", HEIGHT / 2.0)) text-anchor="middle" { "oversold lines" }
            polyline .edge points=(edge.join(" "));
            @for c in choices {
                circle class=(class(c.family)) cx=(x.at(c.refused_percent)) cy=(y.at(c.oversold_lines)) r="5" {
                    title { (c.name) ": " (figure(c.oversold_lines)) " oversold, " (figure(c.refused_percent)) "% refused" }
                }
                text x=(x.at(c.refused_percent) + 8.0) y=(y.at(c.oversold_lines) - 6.0) { (c.name) }
            }
        }
    }
}

fn table(choices: &[Choice]) -> Markup {
    let best: Vec<&str> = unbeaten(choices).into_iter().map(|c| c.name.as_str()).collect();
    html! {
        table {
            thead { tr {
                th { "choice" } th { "oversold lines" } th { "oversold units" } th { "refused lines" } th { "refused %" }
                th { "units sold" } th { "pushes" } th { "calls" }
            } }
            tbody {
                @for c in choices {
                    tr class=[best.contains(&c.name.as_str()).then_some("best")] {
                        td { (c.name) }
                        td { (figure(c.oversold_lines)) }
                        td { (figure(c.oversold_units)) }
                        td { (figure(c.refused_lines)) }
                        td { (figure(c.refused_percent)) }
                        td { (figure(c.units_accepted)) }
                        td { (figure(c.pushes)) }
                        td { (figure(c.api_calls)) }
                    }
                }
            }
        }
    }
}

/// The choices that no other beats in both oversold and refused lines, by refused lines.
pub(super) fn unbeaten(choices: &[Choice]) -> Vec<&Choice> {
    let beats = |a: &Choice, b: &Choice| {
        a.oversold_lines <= b.oversold_lines
            && a.refused_lines <= b.refused_lines
            && (a.oversold_lines < b.oversold_lines || a.refused_lines < b.refused_lines)
    };
    let mut best: Vec<&Choice> =
        choices.iter().filter(|choice| !choices.iter().any(|other| beats(other, choice))).collect();
    best.sort_by(|a, b| a.refused_lines.total_cmp(&b.refused_lines));
    best
}

const fn class(family: Family) -> &'static str {
    match family {
        Family::Baseline => "baseline",
        Family::Polling => "polling",
        Family::FixedBuffer => "fixed",
        Family::PercentBuffer => "percent",
        Family::LastUnits => "last",
        Family::AutoBuffer => "auto",
    }
}

/// A figure with as many decimals as it deserves, thousands apart.
pub(super) fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        v if v < 0.1 => 3,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain
        .split_once('.')
        .map_or((plain.as_str(), ""), |(whole, rest)| (whole, rest.trim_end_matches('0')));
    let mut told = String::new();
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !told.ends_with('-') {
            told.push(',');
        }
        told.push(digit);
    }
    if rest.is_empty() { told } else { format!("{told}.{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(name: &str, oversold: f64, refused: f64) -> Choice {
        Choice {
            name: name.to_owned(),
            family: Family::FixedBuffer,
            oversold_lines: oversold,
            oversold_units: oversold,
            refused_lines: refused,
            refused_percent: refused / 100.0,
            units_accepted: 1_234_567.0,
            pushes: 0.0,
            api_calls: 0.0,
        }
    }

    #[test]
    fn what_another_choice_beats_in_both_is_not_on_the_edge() {
        let choices =
            [choice("a", 10.0, 0.0), choice("b", 5.0, 50.0), choice("c", 6.0, 60.0), choice("d", 5.0, 50.0)];
        let names: Vec<&str> = unbeaten(&choices).into_iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "d"]);
    }

    #[test]
    fn names_from_a_file_cannot_break_the_page() {
        let page = page("t", "x", &[choice("<script>alert(1)</script>", 1.0, 1.0)]);
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
        assert!(page.contains("1,234,567"));
    }

    #[test]
    fn ticks_keep_their_distance_and_include_zero() {
        let axis = Axis::new([600.0].into_iter(), 0.0, 500.0);
        let ticks = axis.ticks();
        assert!(ticks.len() > 3 && ticks.contains(&0.0), "{ticks:?}");
        assert!(ticks.windows(2).all(|pair| (axis.at(pair[0]) - axis.at(pair[1])).abs() >= TICK_GAP));
        assert_eq!(figure(0.0123), "0.012");
        assert_eq!(figure(-1234.0), "-1,234");
    }
}
