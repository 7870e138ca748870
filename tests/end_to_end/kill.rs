//! P1: the daemon killed at any moment, and P6: two of them.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    measured,
    street::{SHOPS, Street},
};

#[test]
fn p1_killed_between_an_order_and_its_pushes_nothing_is_lost_or_doubled() {
    // Slow requests: some of the kills meet a write on its way.
    let street = Street::with(&["--latency", "200"]);
    let mut daemon = street.daemon_at_work();
    for (round, wait_ms) in [0, 300, 600, 900, 1_100, 1_300, 1_500, 1_800].into_iter().enumerate() {
        let (shop, other) = (SHOPS[round % 3], SHOPS[(round + 1) % 3]);
        let order = street.order(shop, &[("SKU-0001", 1), ("BUNDLE-PAIR", 1)]);
        sleep(Duration::from_millis(wait_ms));
        daemon.kill();
        // Life goes on while it is away.
        street.order(other, &[("SKU-0001", 1)]);
        if round % 2 == 0 {
            street.act(&json!({"do": "cancel", "shop": shop, "order": order}));
        }
        daemon = street.daemon();
        if round % 3 != 2 {
            // Sometimes it is killed again before it is through.
            sleep(Duration::from_millis(wait_ms / 2 + 200));
            daemon.kill();
            daemon = street.daemon();
        }
        street.converges();
    }
    street.stockd(&["verify"]);
}

/// An order that `shop` is told of slowly; comes back while the write to `shop` is on its way.
fn catch_a_write(street: &Street, shop: &str, elsewhere: &str) {
    let slow =
        json!({"do": "inject", "shop": shop, "fault": "slow", "ms": 1_500, "only": "writes", "next": 1});
    street.act(&slow);
    street.order(elsewhere, &[("SKU-0001", 1)]);
    street.wait("a write is on its way", || open_requests(street, shop) == 1);
}

#[test]
fn p1_killed_while_a_write_is_on_its_way_the_next_life_finds_out_what_became_of_it() {
    let street = Street::open();
    let mut daemon = street.daemon_at_work();
    for (turn, shop) in SHOPS.into_iter().enumerate() {
        let elsewhere = SHOPS[(turn + 1) % 3];
        catch_a_write(&street, shop, elsewhere);
        daemon.kill();
        assert_eq!(open_requests(&street, shop), 1);
        street.order(elsewhere, &[("SKU-0001", 1)]);
        daemon = street.daemon();
        street.converges();
    }
}

#[test]
fn p7_told_to_stop_while_a_write_is_on_its_way_it_ends_well_and_in_time() {
    let street = Street::open();
    let mut daemon = street.daemon_at_work();
    for (turn, shop) in SHOPS.into_iter().enumerate() {
        catch_a_write(&street, shop, SHOPS[(turn + 1) % 3]);
        let told = Instant::now();
        assert_eq!(daemon.stop().code(), Some(0));
        assert!(told.elapsed() < Duration::from_secs(30), "{:?}", told.elapsed());
        measured(&format!("stopped after {:?} with a write to {shop} on its way", told.elapsed()));
        daemon = street.daemon();
        street.converges();
    }
}

fn open_requests(street: &Street, shop: &str) -> i64 {
    let status = street.json(&["status"]);
    let channel = status["channels"].as_array().unwrap().iter().find(|it| it["name"] == shop);
    channel.unwrap()["writes"]["requests"].as_i64().unwrap()
}

#[test]
fn p6_a_second_daemon_on_one_ledger_is_refused_and_the_first_goes_on() {
    let street = Street::open();
    let _daemon = street.daemon_at_work();
    let mut second = street.daemon();
    assert_eq!(second.end().code(), Some(1));
    let refused = street.run(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("ledger.db") && said.contains("another"), "{said}");
    street.order("north", &[("SKU-0001", 1)]);
    street.converges();
}
