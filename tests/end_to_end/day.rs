//! Ordinary days: sales, cancels, parcels, bundles, and what the commands tell of them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    measured,
    street::{SHOPS, Street, text},
};

/// One poll interval and two seconds are promised; a busy machine gets more.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn an_order_on_one_store_lowers_the_others_a_cancel_brings_it_back_and_every_command_accounts_for_it() {
    let street = Street::open();
    let daemon = street.daemon_at_work();
    let [opening, ..] = street.shown("SKU-0001");

    for shop in SHOPS {
        Street::lets_the_second_pass();
        let order = street.order(shop, &[("SKU-0001", 2)]);
        let lowered = street.shows("SKU-0001", opening - 2);
        Street::lets_the_second_pass();
        street.act(&json!({"do": "cancel", "shop": shop, "order": order}));
        let raised = street.shows("SKU-0001", opening);
        measured(&format!(
            "an order on {shop} lowers the others after {lowered:?}, its cancel raises them after {raised:?}"
        ));
        assert!(lowered < SOON && raised < SOON, "{lowered:?}, {raised:?}");
    }
    Street::lets_the_second_pass();
    let order = street.order("site", &[("SKU-0001", 3)]);
    street.act(&json!({"do": "fulfil", "shop": "site", "order": order}));
    street.converges();

    let movements = street.json(&["history", "SKU-0001"]);
    let kinds: Vec<_> = movements.as_array().unwrap().iter().map(|it| text(&it["kind"])).collect();
    assert_eq!(kinds[..7], ["opening", "order", "cancel", "order", "cancel", "order", "cancel"]);
    // A parcel may be seen with its order or after it.
    assert_eq!(*kinds.last().unwrap(), "ship", "{kinds:?}");
    let last = movements.as_array().unwrap().last().unwrap();
    assert_eq!((&last["on_hand"], &last["committed"]), (&json!(opening - 3), &json!(0)));
    is_explained(&street, opening - 3);
    assert_eq!(street.json(&["oversells"]), json!([]));
    let plan = street.json(&["plan", "--exit-code"]);
    assert_eq!((&plan["differences"], &plan["places"]), (&json!([]), &json!(42)));
    let status = street.json(&["status"]);
    assert_eq!((&status["running"], &status["totals"]["orders"]), (&json!(true), &json!(4)));
    assert_eq!(status["attention"], json!([]), "{status}");

    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(street.logged("daemon.stopped").len(), 1);
    assert_eq!(street.json(&["status"])["running"], false);
}

/// `explain` leads from what was counted to what every shop shows, and to the pushes that did it.
fn is_explained(street: &Street, units: i64) {
    let explained = street.json(&["explain", "SKU-0001"]);
    assert_eq!(explained["stock"][0]["available"], units);
    let listings = explained["listings"].as_array().unwrap();
    assert_eq!(listings.len(), SHOPS.len());
    for listing in listings {
        let place = &listing["places"][0];
        let numbers = [&place["inputs"]["calculation"]["available"], &place["target"], &place["expected"]];
        assert_eq!(numbers, [&json!(units); 3], "{listing}");
        let pushes = place["pushes"].as_array().unwrap();
        assert!(!pushes.is_empty() && pushes.iter().all(|push| push["state"] == "applied"), "{listing}");
    }
    let said = street.stockd(&["explain", "SKU-0001", "south"]);
    assert!(
        said.contains(&format!("= target {units}")) && said.contains("it shows what it should"),
        "{said}"
    );
}

#[test]
fn a_bundle_sold_on_one_store_lowers_its_components_and_what_else_is_made_of_them_everywhere() {
    let street = Street::open();
    let _daemon = street.daemon_at_work();
    let parts = ["SKU-0002", "SKU-0003", "SKU-0005"].map(|sku| street.shown(sku)[0]);

    street.order("south", &[("BUNDLE-PAIR", 4), ("SKU-0002", 1)]);
    street.order("site", &[("BUNDLE-SIX-PACK", 1)]);
    street.shows("SKU-0002", parts[0] - 5);
    street.shows("SKU-0003", parts[1] - 4);
    street.shows("BUNDLE-PAIR", (parts[0] - 5).min(parts[1] - 4));
    street.shows("SKU-0005", parts[2] - 6);
    street.shows("BUNDLE-SIX-PACK", (parts[2] - 6).div_euclid(6));
    street.converges();
    let explained = street.json(&["explain", "BUNDLE-PAIR"]);
    let units = |it: &Value| it["inputs"]["components"].as_array().unwrap().len();
    assert_eq!(units(&explained["listings"][0]["places"][0]), 2);
}

#[test]
fn the_last_units_are_shown_nowhere_and_a_delivery_booked_while_the_daemon_runs_is_offered_everywhere() {
    let street = Street::open();
    let _daemon = street.daemon_at_work();
    let [opening, ..] = street.shown("SKU-0004");

    street.order("north", &[("SKU-0004", opening)]);
    street.shows("SKU-0004", 0);
    street.act(&json!({"do": "receive", "sku": "SKU-0004", "quantity": 7}));
    street.stockd(&["stock", "adjust", "SKU-0004", "7", "--receipt", "--reason", "delivery"]);
    street.shows("SKU-0004", 7);
    street.converges();
}

#[test]
fn what_is_oversold_is_named_with_its_order_and_comes_right_with_a_cancel() {
    let street = Street::open();
    let _daemon = street.daemon_at_work();
    let [opening, ..] = street.shown("SKU-0006");

    street.order("north", &[("SKU-0006", opening)]);
    let lines = json!([{"sku": "SKU-0006", "quantity": 2}]);
    let order = json!({"do": "order", "shop": "site", "lines": lines, "beyond_shown": true});
    let late = street.act(&order)["order"].as_u64().unwrap();
    street.wait("the oversell is found", || street.json(&["oversells"]) != json!([]));
    let found = street.json(&["oversells"]);
    assert_eq!(found[0]["sku"], "SKU-0006");
    let short: i64 =
        found[0]["lines"].as_array().unwrap().iter().map(|it| it["short"].as_i64().unwrap()).sum();
    assert_eq!(short, 2, "{found}");
    assert_eq!(street.run(&["status", "--exit-code"]).status.code(), Some(3));
    street.act(&json!({"do": "cancel", "shop": "site", "order": late}));
    street.wait("nothing is oversold any more", || street.json(&["oversells"]) == json!([]));
    street.converges();
}
