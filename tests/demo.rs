//! `stockd demo` on the real binary: a short visit to the three shops.

use assert_cmd::Command;
use serde_json::Value;

#[test]
fn a_short_demo_ends_well_and_says_what_it_promises_to_say() {
    let run =
        Command::cargo_bin("stockd").unwrap().args(["demo", "--seconds", "3", "--json"]).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stdout));
    let summary: Value = serde_json::from_slice(&run.stdout).unwrap();
    for key in [
        "seconds",
        "channels",
        "orders",
        "units_sold",
        "oversold_units",
        "breaches",
        "refused_units",
        "converged",
        "drift_listings",
        "unknown_pushes",
        "ledger_verified",
        "orders_in_ledger_exactly_once",
        "sale_to_push_ms",
    ] {
        assert!(summary.get(key).is_some(), "no {key} in {summary}");
    }
    let channels = summary["channels"].as_array().unwrap();
    assert_eq!(
        channels.iter().map(|it| &it["kind"]).collect::<Vec<_>>(),
        ["shopify", "shopify", "woocommerce"]
    );
    for key in ["name", "orders", "units", "pushes", "api_calls", "throttled"] {
        assert!(channels.iter().all(|channel| channel.get(key).is_some()), "no {key} in {summary}");
    }
    assert!(channels.iter().all(|channel| channel["pushes"].as_u64() > Some(0)), "{summary}");
    for class in ["pooled", "external", "in_flight", "caused"] {
        assert!(summary["oversold_units"][class].is_u64(), "{summary}");
    }
    assert!(summary["sale_to_push_ms"]["p99"].as_i64() >= summary["sale_to_push_ms"]["p50"].as_i64());
}

#[test]
fn a_demo_of_no_time_is_a_mistake() {
    Command::cargo_bin("stockd").unwrap().args(["demo", "--seconds", "0"]).assert().code(2);
}
