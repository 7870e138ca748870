//! P1: the daemon killed at any moment, and P6: two of them.

use std::{thread::sleep, time::Duration};

use serde_json::json;

use crate::street::{SHOPS, Street};

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
