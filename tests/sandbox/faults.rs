//! The faults of the wire, seen from a client.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use stockd::sandbox::{Fault, Injection, Only};

use crate::Bench;

fn written(bench: &Bench) -> i64 {
    bench.sandbox.with_world(|world| world.shops[0].listings[0].levels[0].available)
}

fn write(bench: &Bench, quantity: i64) -> (String, Value) {
    let id = bench.sandbox.with_world(|world| world.shops[0].listings[0].product);
    ("products/batch".to_owned(), json!({"update": [{"id": id, "stock_quantity": quantity}]}))
}

fn once(fault: Fault) -> Injection {
    Injection { fault, only: Some(Only::Writes), next: Some(1), share: 0.0 }
}

#[tokio::test]
async fn h1_h2_h6_faults_before_leave_no_trace_and_faults_after_do() {
    for (fault, applied) in [
        (Fault::TimeoutBefore, false),
        (Fault::TimeoutAfter, true),
        (Fault::StatusBefore { status: 503 }, false),
        (Fault::StatusAfter { status: 502 }, true),
        (Fault::ThrottledSeconds { seconds: 2 }, false),
        (Fault::Html, false),
        (Fault::ResetMidBody, true),
        (Fault::TruncatedJson, true),
    ] {
        let bench = Bench::woocommerce().await;
        bench.sandbox.inject(0, once(fault));
        let (path, body) = write(&bench, 3);
        let before = written(&bench);
        let (read, _) = bench.rest(Method::GET, "products?per_page=1", None).await;
        assert_eq!(read, 200, "only writes fail");
        let answer = bench.send_rest(Method::POST, &path, Some(&body)).await;
        match (fault, answer) {
            (Fault::TimeoutBefore | Fault::TimeoutAfter, Err(error)) => {
                assert!(error.is_timeout(), "{error}");
            }
            (Fault::StatusBefore { status } | Fault::StatusAfter { status }, Ok(answer)) => {
                assert_eq!(answer.status(), status);
            }
            (Fault::ThrottledSeconds { .. }, Ok(answer)) => assert_eq!(answer.headers()["Retry-After"], "2"),
            (Fault::Html, Ok(answer)) => {
                assert_eq!(answer.status(), 200);
                assert!(answer.text().await.unwrap().contains("<html>"));
            }
            (Fault::ResetMidBody, Ok(answer)) => assert!(answer.bytes().await.is_err()),
            (Fault::TruncatedJson, Ok(answer)) => {
                let body = answer.bytes().await.unwrap();
                assert!(serde_json::from_slice::<Value>(&body).is_err());
            }
            (fault, answer) => panic!("{fault:?}: {answer:?}"),
        }
        assert_eq!(written(&bench), if applied { 3 } else { before }, "{fault:?}");
        let (path, body) = write(&bench, 4);
        assert_eq!(
            bench.rest(Method::POST, &path, Some(&body)).await.0,
            200,
            "the fault was for one request"
        );
    }
}

#[tokio::test]
async fn h4_h5_a_429_may_carry_a_date_or_nothing() {
    let bench = Bench::woocommerce().await;
    bench.sandbox.inject(0, Injection { only: None, ..once(Fault::ThrottledDate { seconds: 90 }) });
    bench.sandbox.inject(0, Injection { only: None, ..once(Fault::Throttled) });
    let dated = bench.send_rest(Method::GET, "products", None).await.unwrap();
    let until = dated.headers()["Retry-After"].to_str().unwrap();
    let until = chrono::NaiveDateTime::parse_from_str(until, "%a, %d %b %Y %H:%M:%S GMT").unwrap();
    let ahead = (until.and_utc() - chrono::Utc::now()).num_seconds();
    assert!((85..=90).contains(&ahead), "{ahead}");
    let bare = bench.send_rest(Method::GET, "products", None).await.unwrap();
    assert_eq!((bare.status().as_u16(), bare.headers().get("Retry-After")), (429, None));
}

#[tokio::test]
async fn a_late_write_lands_after_its_answer_was_lost_and_erases_what_came_between() {
    let bench = Bench::woocommerce().await;
    bench.sandbox.inject(0, once(Fault::Late { after_ms: 400 }));
    let (path, body) = write(&bench, 9);
    let before = written(&bench);
    let lost = bench.send_rest(Method::POST, &path, Some(&body)).await;
    assert!(match lost {
        Ok(answer) => answer.bytes().await.is_err(),
        Err(_) => true,
    });
    bench.sandbox.with_world(|world| world.set_by_hand(0, 0, 0, before - 1));
    assert_eq!(written(&bench), before - 1);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(written(&bench), 9);
}

#[tokio::test]
async fn what_has_arrived_is_carried_out_although_its_client_has_gone() {
    let bench = Bench::woocommerce().await;
    bench.sandbox.inject(0, once(Fault::Slow { ms: 600 }));
    let (path, body) = write(&bench, 3);
    let gone =
        tokio::time::timeout(Duration::from_millis(150), bench.send_rest(Method::POST, &path, Some(&body)));
    assert!(gone.await.is_err());
    assert_ne!(written(&bench), 3);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(written(&bench), 3);
}

#[tokio::test]
async fn latency_is_half_before_and_half_after_the_work() {
    let bench = Bench::woocommerce().await;
    bench.sandbox.inject(0, Injection { only: None, ..once(Fault::Slow { ms: 600 }) });
    let (path, body) = write(&bench, 3);
    let started = Instant::now();
    let sent = bench.send_rest(Method::POST, &path, Some(&body));
    let seen = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let early = written(&bench);
        tokio::time::sleep(Duration::from_millis(300)).await;
        (early, written(&bench))
    };
    let (answer, (early, late)) = tokio::join!(sent, seen);
    assert_eq!(answer.unwrap().status(), 200);
    assert!(early != 3 && late == 3, "{early} then {late}");
    assert!(started.elapsed() >= Duration::from_millis(600));
}

#[tokio::test]
async fn the_control_address_does_what_shoppers_and_staff_do() {
    let bench = Bench::shopify().await;
    let act = |action: Value| {
        let request = bench.client.post(bench.sandbox.control_url()).json(&action);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        }
    };
    let lines = json!([{"sku": "SKU-0001", "quantity": 2}]);
    let (status, placed) = act(json!({"do": "order", "shop": "web", "lines": lines})).await;
    assert_eq!(status, 200, "{placed}");
    let order = &placed["order"];
    let fulfil = json!({"do": "fulfil", "shop": "web", "order": order});
    assert_eq!(act(fulfil.clone()).await.0, 200);
    assert_eq!(act(fulfil).await.0, 400, "nothing is left to ship");
    let one = json!([{"sku": "SKU-0001", "quantity": 1}]);
    assert_eq!(
        act(json!({"do": "refund", "shop": "web", "order": order, "lines": one, "restock": true})).await.0,
        200
    );
    assert_eq!(act(json!({"do": "set", "shop": "web", "sku": "SKU-0002", "quantity": 3})).await.0, 200);
    assert_eq!(act(json!({"do": "receive", "sku": "SKU-0003", "quantity": 5})).await.0, 200);
    let (_, deliveries) = act(json!({"do": "take_deliveries"})).await;
    assert_eq!(deliveries["deliveries"][0]["units"], 5);
    let fault = json!({"do": "inject", "shop": "web", "fault": "status_before", "status": 500, "next": 1});
    assert_eq!(act(fault).await.0, 200);
    assert_eq!(bench.send_graphql("{ shop { id } }", json!({})).await.unwrap().status(), 500);
    assert_eq!(act(json!({"do": "dance"})).await.0, 400);
    let state: Value =
        bench.client.get(bench.sandbox.control_url()).send().await.unwrap().json().await.unwrap();
    let listings = &state["shops"][0]["listings"];
    assert_eq!((&listings[0]["shown"], &listings[1]["shown"]), (&json!([19]), &json!([3])));
    assert_eq!((&state["shelf"]["SKU-0001"], &state["totals"]["units_sold"]), (&json!(19), &json!(2)));
    assert_eq!(state["shops"][0]["orders"][0]["lines"][0]["returned"], 1);
}
