//! Faults on the wire, by their numbers.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    measured,
    street::{SHOPS, Street},
};

impl Street {
    fn inject(&self, shop: &str, fault: &Value) {
        let mut action = json!({"do": "inject", "shop": shop});
        action.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        self.act(&action);
    }
}

/// The next write to each shop fails so, while orders on another make it necessary; then all must come right.
fn writes_fail(faults: &[Value]) -> Street {
    let street = Street::open();
    let _daemon = street.daemon_at_work();
    for fault in faults {
        for (turn, shop) in SHOPS.into_iter().enumerate() {
            let other = SHOPS[(turn + 1) % 3];
            let mut fault = fault.clone();
            fault
                .as_object_mut()
                .unwrap()
                .extend([("only".into(), json!("writes")), ("next".into(), json!(1))]);
            street.inject(shop, &fault);
            let order = street.order(other, &[("SKU-0001", 1)]);
            street.converges();
            street.act(&json!({"do": "cancel", "shop": other, "order": order}));
            street.converges();
        }
    }
    street
}

#[test]
fn h1_h2_a_write_that_is_never_answered_has_its_effect_once_whether_it_arrived_or_not() {
    let street = writes_fail(&[json!({"fault": "timeout_before"}), json!({"fault": "timeout_after"})]);
    assert!(street.logged("push.unknown").len() >= 2 * SHOPS.len());
}

#[test]
fn h6_a_server_error_on_a_write_has_its_effect_once_whether_it_was_carried_out_or_not() {
    let street = writes_fail(&[
        json!({"fault": "status_before", "status": 500}),
        json!({"fault": "status_after", "status": 502}),
        json!({"fault": "status_after", "status": 503}),
        json!({"fault": "status_before", "status": 504}),
    ]);
    assert!(street.logged("push.unknown").len() >= 4 * SHOPS.len());
}

#[test]
fn h8_h10_h11_a_write_with_a_broken_answer_has_its_effect_once() {
    writes_fail(&[
        json!({"fault": "reset_mid_body"}),
        json!({"fault": "truncated_json"}),
        json!({"fault": "html"}),
    ]);
}

#[test]
fn h3_a_shop_that_says_how_long_to_wait_is_left_alone_that_long() {
    let street = Street::open();
    let _daemon = street.daemon_at_work();
    for shop in SHOPS {
        let throttled = street.logged("channel.throttled").len();
        street.inject(shop, &json!({"fault": "throttled_seconds", "seconds": 4, "next": 1}));
        street.wait("the shop turns a request away", || street.logged("channel.throttled").len() > throttled);
        let (began, asked) = (Instant::now(), street.count(shop, "requests"));
        let other = if shop == "north" { "south" } else { "north" };
        street.order(other, &[("SKU-0001", 1)]);
        sleep(Duration::from_millis(2_500));
        let asked_since = street.count(shop, "requests") - asked;
        // On a machine that stood still for a while this says nothing.
        if began.elapsed() < Duration::from_millis(3_500) {
            assert_eq!(asked_since, 0, "{shop} was not left alone");
        }
        street.converges();
        measured(&format!("{shop} is right {:?} after it asked for 4 s", began.elapsed()));
    }
}

#[test]
fn h4_h5_throttling_without_seconds_is_waited_out() {
    writes_fail(&[json!({"fault": "throttled_date", "seconds": 2}), json!({"fault": "throttled"})]);
}

#[test]
fn h7_h8_h10_h11_reads_that_fail_or_answer_garbage_change_nothing_and_are_tried_again() {
    let street = Street::open();
    street.configure(|text| text.replace("settle = \"1s\"", "settle = \"1s\"\nscan = { every = \"2s\" }"));
    let _daemon = street.daemon_at_work();
    let faults = [
        json!({"fault": "truncated_json", "only": "reads", "share": 0.4}),
        json!({"fault": "html", "only": "reads", "share": 0.4}),
        json!({"fault": "status_before", "status": 503, "only": "reads", "share": 0.4}),
        json!({"fault": "reset_mid_body", "only": "reads", "share": 0.4}),
    ];
    for fault in faults {
        for shop in SHOPS {
            street.inject(shop, &fault);
        }
        let orders = SHOPS.map(|shop| (shop, street.order(shop, &[("SKU-0001", 1), ("BUNDLE-SIX-PACK", 1)])));
        sleep(Duration::from_secs(3));
        for (shop, order) in orders {
            street.act(&json!({"do": "cancel", "shop": shop, "order": order}));
        }
        sleep(Duration::from_secs(2));
        for shop in SHOPS {
            street.act(&json!({"do": "clear_faults", "shop": shop}));
        }
        street.converges();
    }
    assert!(!street.logged("channel.failing").is_empty());
}

#[test]
fn h2_a_write_that_lands_late_over_a_sale_of_its_own_shop_is_put_right() {
    let street = Street::open();
    street.configure(|text| text.replace("settle = \"1s\"", "settle = \"3s\""));
    let _daemon = street.daemon_at_work();
    let [opening, ..] = street.shown("SKU-0007");
    for (turn, shop) in SHOPS.into_iter().enumerate() {
        let unknown = street.logged("push.unknown").len();
        let late = json!({"fault": "late", "after_ms": 1_000, "only": "writes", "next": 1});
        street.inject(shop, &late);
        street.order(SHOPS[(turn + 1) % 3], &[("SKU-0007", 1)]);
        street.wait("the write's fate is unknown", || street.logged("push.unknown").len() > unknown);
        street.order(shop, &[("SKU-0007", 2)]);
        street.shows("SKU-0007", opening - 3 * (i64::try_from(turn).unwrap() + 1));
        street.converges();
    }
}
