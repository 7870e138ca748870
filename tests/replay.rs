//! Order histories through the engine: small ones, made up for what they should show.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use stockd::{
    history::{History, HistoryError},
    replay::{self, Dealing, Outcome, Rivals, Scenario},
};

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A history of these orders, `SKU=units` of stock, and nothing else.
fn history(orders: &str, stock: &str) -> History {
    let folder = tempfile::tempdir().unwrap();
    let heading = "ts,order_id,line,sku,qty,kind,channel\n";
    let orders = written(folder.path(), "orders.csv", &format!("{heading}{orders}"));
    let stock = written(folder.path(), "stock.csv", &format!("sku,opening_stock\n{stock}"));
    History::load(&[orders, stock]).unwrap()
}

/// The storefronts, with orders read once a minute.
fn scenario(folder: &Path) -> Scenario {
    let shipped = include_str!("../config/scenarios/storefronts.toml");
    let text = shipped.replace("share = ", "orders_every_s = 60\nshare = ");
    Scenario::load(written(folder, "minute.toml", &text).to_str().unwrap()).unwrap()
}

fn played(history: &History) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let rivals = Rivals { intervals: vec![Duration::from_mins(15)], ideal: true };
    replay::run(history, Dealing::default(), &scenario(folder.path()), &rivals, &|_| ()).unwrap()
}

#[test]
fn the_last_unit_sold_on_two_channels_within_a_poll_is_pooled() {
    let sales = "2020-01-06T10:00:05Z,1,1,MUG,1,sale,web\n2020-01-06T10:00:05Z,2,1,MUG,1,sale,outlet\n";
    let outcome = played(&history(sales, "MUG,1\n"));
    for figures in [&outcome.engine, outcome.ideal.as_ref().unwrap(), &outcome.baseline["interval:15m"]] {
        assert_eq!((figures.oversold_lines, figures.oversold_units.pooled.get()), (1, 1));
        assert_eq!((figures.breaches, figures.units_accepted), (0, 2));
    }
}

#[test]
fn a_sale_that_the_engine_has_had_time_to_learn_of_sells_nothing_twice() {
    let sales = "2020-01-06T10:00:05Z,1,1,MUG,1,sale,web\n2020-01-06T10:02:06Z,2,1,MUG,1,sale,outlet\n";
    let outcome = played(&history(sales, "MUG,1\n"));
    assert_eq!((outcome.engine.oversold_lines, outcome.engine.units_accepted), (0, 1));
    assert_eq!(outcome.engine.refused_lines, 0, "there was none left to refuse");
    assert_eq!(outcome.ideal.unwrap().oversold_lines, 0);
    assert_eq!(outcome.baseline["interval:15m"].oversold_lines, 1);
}

#[test]
fn what_is_cancelled_or_returned_is_sold_again_and_never_more_than_its_line_got() {
    let folder = tempfile::tempdir().unwrap();
    // The second sale gets 2 of 5, so no more come back; C3 undoes nothing that is known and is a delivery of 4.
    let orders = "ts,order_id,line,sku,qty,kind,channel\n\
        2020-01-06T10:00:05Z,1,1,MUG,8,sale,web\n2020-01-06T11:00:00Z,2,1,MUG,5,sale,outlet\n\
        2020-01-06T12:00:00Z,C2,1,MUG,5,cancel,\n2020-01-06T13:00:00Z,3,1,MUG,9,sale,wholesale\n\
        2020-01-08T12:00:00Z,C1,1,MUG,3,return,\n2020-01-08T12:30:00Z,C3,1,MUG,4,return,\n\
        2020-01-08T13:00:00Z,4,1,MUG,90,sale,till\n";
    let links = "order_id,line,ref_order_id,ref_line\nC2,1,2,1\nC1,1,1,1\n";
    let files = [
        written(folder.path(), "orders.csv", orders),
        written(folder.path(), "links.csv", links),
        written(folder.path(), "stock.csv", "sku,opening_stock\nMUG,10\n"),
    ];
    let outcome = played(&History::load(&files).unwrap());
    for figures in [&outcome.engine, outcome.ideal.as_ref().unwrap()] {
        assert_eq!(figures.units_accepted, 8 + 2 + 2 + 7);
        assert_eq!((figures.oversold_lines, figures.refused_lines, figures.breaches), (0, 0, 0));
    }
    assert_eq!(outcome.engine.sale_lines, 4);
}

#[test]
fn the_same_dealing_gives_the_same_figures() {
    let mut lines: Vec<String> = (0..300)
        .map(|n| {
            let (day, hour, minute) = (6 + n / 100, n % 24, n * 7 % 60);
            format!("2020-01-{day:02}T{hour:02}:{minute:02}:00Z,{n},1,SKU-{},{},sale,\n", n % 9, 1 + n % 4)
        })
        .collect();
    lines.sort_unstable();
    let stock: Vec<String> = (0..9).map(|sku| format!("SKU-{sku},60\n")).collect();
    let history = history(&lines.concat(), &stock.concat());
    assert!(history.to_the_minute);
    let told = || {
        let mut told = serde_json::to_value(played(&history)).unwrap();
        let figures = ["", "/ideal", "/baseline/interval:15m"];
        for pointer in figures {
            *told.pointer_mut(&format!("{pointer}/wall_seconds")).unwrap() = serde_json::Value::Null;
        }
        told
    };
    let first = told();
    assert_eq!(first, told());
    assert_eq!(first["breaches"], 0);
    assert!(first["pushes"].as_u64().unwrap() > 300, "{first}");
    let rivals = Rivals::default();
    let folder = tempfile::tempdir().unwrap();
    let dealing = Dealing { number: 1, ..Dealing::default() };
    let other = replay::run(&history, dealing, &scenario(folder.path()), &rivals, &|_| ()).unwrap();
    assert_ne!(
        serde_json::json!(other.engine.api_calls),
        first["api_calls"],
        "another dealing is another day"
    );
    let dealing = Dealing { squeeze: 24.0, ..Dealing::default() };
    let peak = replay::run(&history, dealing, &scenario(folder.path()), &rivals, &|_| ()).unwrap();
    assert!(peak.engine.virtual_days < 0.2);
    assert_eq!(peak.engine.breaches, 0);
}

#[test]
fn a_sellers_own_export_needs_no_more_than_time_order_sku_and_quantity() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (1..29).map(|day| format!("2,MUG,{day},2020-02-{day:02}T10:00:00+01:00\n")).collect();
    let path = written(folder.path(), "mine.csv", &format!("qty,sku,order_id,ts\n{}", rows.concat()));
    let history = History::load(&[path]).unwrap();
    assert!(history.made_up_stock && !history.restocks.is_empty());
    let outcome = played(&history);
    assert_eq!((outcome.engine.sale_lines, outcome.engine.breaches), (28, 0));
    assert!(outcome.engine.units_accepted > 40, "{}", outcome.engine.units_accepted);
}

#[test]
fn a_bad_row_is_named_with_its_file_and_line_and_what_was_expected() {
    let heading = "ts,order_id,line,sku,qty,kind";
    let cases = [
        ("2020-01-06 10:00,1,1,MUG,1,sale", "expected one with its offset"),
        ("2020-01-06T10:00:00Z,1,1,MUG,0,sale", "expected a whole number from 1"),
        ("2020-01-06T10:00:00Z,1,1,MUG,1.5,sale", "expected a whole number from 1"),
        ("2020-01-06T10:00:00Z,1,1,,1,sale", "a SKU can't be empty"),
        ("2020-01-06T10:00:00Z,,1,MUG,1,sale", "no order_id"),
        ("2020-01-06T10:00:00Z,1,1,MUG,1,swap", "expected sale, cancel or return"),
        ("2020-01-06T10:00:00Z,0,1,MUG,1,sale", "order 0 has a line 1 already"),
        ("2020-01-06T10:00:00Z,1,1", "found record with 3 fields"),
    ];
    for (row, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{heading}\n2020-01-06T09:00:00Z,0,1,MUG,1,sale\n{row}\n");
        let path = written(folder.path(), "mine.csv", &text);
        let error = History::load(&[path]).unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, HistoryError::Row { line: 3, .. }), "{told}");
        assert!(told.contains("mine.csv:3: ") && told.contains(expected), "{told}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "mine.csv", "when,what\n1,2\n");
    assert!(matches!(History::load(&[path]), Err(HistoryError::Columns { .. })));
}

#[test]
fn the_command_prints_the_figures_that_were_promised() {
    let folder = tempfile::tempdir().unwrap();
    let sales = "ts,order_id,sku,qty\n2020-01-06T10:00:05Z,1,MUG,1\n2020-01-06T10:10:06Z,2,MUG,1\n";
    let orders = written(folder.path(), "orders.csv", sales);
    let stock = written(folder.path(), "stock.csv", "sku,opening_stock\nMUG,5\n");
    let run = |more: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("stockd").unwrap();
        command.arg("replay").arg("--orders").arg(&orders).arg(&stock).args(more);
        command.assert().success().get_output().stdout.clone()
    };
    let told: serde_json::Value =
        serde_json::from_slice(&run(&["--json", "--baseline", "interval:5m", "--hashes", "2"])).unwrap();
    for pointer in ["", "/ideal", "/baseline/interval:5m"] {
        for key in [
            "sale_lines",
            "units_wanted",
            "units_accepted",
            "oversold_lines",
            "oversold_units/pooled",
            "oversold_units/external",
            "oversold_units/in_flight",
            "oversold_units/caused",
            "breaches",
            "refused_lines",
            "refused_units",
            "pushes",
            "api_calls",
            "converge_s/p50",
            "converge_s/p99",
            "virtual_days",
            "wall_seconds",
        ] {
            assert!(told.pointer(&format!("{pointer}/{key}")).is_some(), "{pointer}/{key}: {told}");
        }
    }
    assert_eq!((told["sale_lines"].as_f64(), told["dealings"].as_u64()), (Some(2.0), Some(2)));
    assert_eq!(told["deviation"]["sale_lines"], 0.0);
    let table = String::from_utf8(run(&["--alone", "--days", "1"])).unwrap();
    assert!(table.contains("oversold lines") && !table.contains("ideal"), "{table}");
}
