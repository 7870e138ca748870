//! WooCommerce: requests against the published index and schemas, replies as they were recorded.

use std::collections::HashMap;

use serde_json::{Value, json};
use stockd::domain::{
    Call, CallError, LevelReading, LineNet, OrderId, OrdersPage, PageToken, Reply, RowOutcome, Units, UtcMs,
    WriteRow, listing::Writable,
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, method, path, query_param},
};

use crate::{
    rest_schema::{check_batch, check_query, fits, index, matches_route, recorded, recorded_body, schemas},
    support::{place, row, woocommerce},
};

const ROOT: &str = "/wp-json/wc/v3";

/// A site that answers only what the test mounts, and fails anything else in a way that no client takes for an answer.
async fn site(answers: Vec<Mock>) -> MockServer {
    let server = MockServer::start().await;
    for answer in answers {
        answer.mount(&server).await;
    }
    Mock::given(any()).respond_with(ResponseTemplate::new(418)).with_priority(255).mount(&server).await;
    server
}

fn get(at: &str, reply: Value) -> Mock {
    Mock::given(method("GET"))
        .and(path(format!("{ROOT}/{at}")))
        .respond_with(ResponseTemplate::new(200).set_body_json(reply))
}

fn net(ordered: i64, cancelled: i64, shipped: i64, restocked: i64) -> LineNet {
    LineNet {
        ordered: Units::of(ordered),
        cancelled: Units::of(cancelled),
        shipped: Units::of(shipped),
        restocked: Units::of(restocked),
    }
}

async fn check_all(server: &MockServer) -> Vec<wiremock::Request> {
    let requests = server.received_requests().await.unwrap();
    for request in &requests {
        check_query(request).unwrap();
        assert!(
            request.headers.get("authorization").is_some_and(|a| a.to_str().unwrap().starts_with("Basic "))
        );
    }
    requests
}

fn query_of(request: &wiremock::Request) -> HashMap<String, String> {
    request.url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn every_request_fits_the_index_of_routes() {
    let server = site(vec![
        get("products", json!([])),
        get("products/14/variations", json!([])),
        get("orders", json!([])),
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "update": [] }))),
    ])
    .await;
    let client = woocommerce(&server.uri());
    for call in [
        Call::Identify,
        Call::Orders { since: UtcMs(1_795_000_000_123), page: None },
        Call::OrdersById(vec![OrderId::new("19"), OrderId::new("22")]),
        Call::Listings { page: None },
        Call::Listings { page: Some(PageToken::new("2/150/1/14")) },
        Call::Levels(vec![place("10", ""), place("11", "")]),
        Call::Levels(vec![place("14/16", ""), place("14/17", "")]),
        Call::Write { key: "k".to_owned(), rows: vec![row("10", "", 3, None)] },
        Call::Write { key: "k".to_owned(), rows: vec![row("14/16", "", 0, None)] },
    ] {
        let answer = client.call(&call).await;
        assert!(answer.result.is_ok(), "{call:?}: {answer:?}");
    }
    let requests = check_all(&server).await;
    assert_eq!(requests.len(), 10);
    let orders = query_of(&requests[1]);
    assert_eq!(
        orders["modified_after"], "2026-11-18T11:06:39",
        "strict and in whole seconds: one second earlier"
    );
    assert_eq!(orders["dates_are_gmt"], "true");
    assert_eq!(
        (query_of(&requests[2])["status"].as_str(), query_of(&requests[3])["status"].as_str()),
        ("any", "trash")
    );
    for (at, kind, path, sent) in [
        (8, "products", "/products/batch", json!({ "update": [{ "id": 10, "stock_quantity": 3 }] })),
        (
            9,
            "variations",
            "/products/14/variations/batch",
            json!({ "update": [{ "id": 16, "stock_quantity": 0 }] }),
        ),
    ] {
        assert_eq!(requests[at].url.path(), format!("{ROOT}{path}"));
        let body: Value = requests[at].body_json().unwrap();
        assert_eq!(body, sent);
        check_batch(kind, &body).unwrap();
    }
}

#[test]
fn the_checks_of_sent_requests_can_fail() {
    if schemas().is_none() || index().is_none() {
        return;
    }
    check_batch("products", &json!({ "update": [{ "id": 1, "stock_quantity": 3 }] })).unwrap();
    for bad in [
        json!({ "update": [{ "id": 1, "stock_quantity": "3" }] }),
        json!({ "update": [{ "id": 1, "stock_quantity": 1.5 }] }),
        json!({ "update": [{ "id": 1, "stock_quantity": null }] }),
        json!({ "update": [{ "id": 1, "inventory_delta": -1 }] }),
        json!({ "update": vec![json!({ "id": 1, "stock_quantity": 1 }); 101] }),
        json!({ "updates": [] }),
    ] {
        assert!(check_batch("products", &bad).is_err(), "{bad}");
    }
    let args = &index().unwrap()["routes"]["/wc/v3/orders"]["endpoints"][0]["args"];
    for (name, bad) in [
        ("per_page", "101"),
        ("page", "0"),
        ("status", "shipped"),
        ("orderby", "time"),
        ("colour", "red"),
        ("include", "1,x"),
        ("modified_after", "2026-11-22T14:18:10Z"),
    ] {
        assert!(fits(&args[name], bad).is_err(), "{name}={bad}");
    }
    assert!(fits(&args["status"], "any").is_ok());
    assert!(!matches_route(r"/wc/v3/products/(?P<id>[\d]+)", "/wc/v3/products/batch"));
}

#[tokio::test]
async fn the_recorded_catalogue_reads_as_it_was() {
    let (Some(products), Some(variations)) =
        (recorded("list products with _fields"), recorded("list variations of a product"))
    else {
        return;
    };
    let server = site(vec![
        Mock::given(path(format!("{ROOT}/products"))).respond_with(products),
        Mock::given(path(format!("{ROOT}/products/14/variations"))).respond_with(variations),
    ])
    .await;
    let client = woocommerce(&server.uri());
    let mut got = Vec::new();
    let mut page = None;
    loop {
        let answer = client.call(&Call::Listings { page }).await;
        let Ok(Reply::Listings(listings)) = answer.result else { panic!("{answer:?}") };
        assert_eq!((listings.rejected.len(), answer.meter.requests), (0, 1));
        got.extend(listings.listings);
        page = listings.next;
        if page.is_none() {
            break;
        }
    }
    let seen: Vec<_> = got
        .iter()
        .map(|l| {
            (
                l.id.as_str(),
                l.channel_sku.as_deref(),
                l.writable,
                l.group.as_str(),
                l.levels[0].quantity.map(Units::get),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("14", Some("TEE"), Writable::Yes, "", Some(9)),
            ("15", None, Writable::Yes, "", Some(1)),
            ("13", Some("SKU-D"), Writable::Yes, "", Some(3)),
            ("10", Some("SKU-A"), Writable::Yes, "", Some(25)),
            ("11", Some("SKU-B"), Writable::Untracked, "", None),
            ("12", Some("SKU-C"), Writable::Yes, "", Some(0)),
            ("14/18", Some("TEE-L"), Writable::Computed, "14", Some(9)),
            ("14/17", Some("TEE-M"), Writable::Yes, "14", Some(6)),
            ("14/16", Some("TEE-S"), Writable::Yes, "14", Some(4)),
        ]
    );
    check_all(&server).await;
}

/// One order as the site's list would show it.
async fn read_order(order: Value) -> OrdersPage {
    let server = site(vec![get("orders", json!([order]))]).await;
    let answer = woocommerce(&server.uri()).call(&Call::Orders { since: UtcMs(0), page: None }).await;
    let Ok(Reply::Orders(orders)) = answer.result else { panic!("{answer:?}") };
    orders
}

#[tokio::test]
async fn recorded_orders_in_each_state_read_as_what_happened_to_their_lines() {
    for (name, lines) in [
        ("create order pending payment", vec![(net(0, 0, 0, 0), 0), (net(0, 0, 0, 0), 0)]),
        ("order pending -> on-hold", vec![(net(3, 0, 0, 0), 3), (net(2, 0, 0, 0), 2)]),
        ("order on-hold -> processing", vec![(net(3, 0, 0, 0), 3), (net(2, 0, 0, 0), 2)]),
        ("read the order after refunds", vec![(net(3, 1, 0, 0), 2), (net(2, 0, 0, 0), 2)]),
        ("cancel the partly refunded order", vec![(net(3, 3, 0, 0), 0), (net(2, 2, 0, 0), 0)]),
        ("create order processing (paid)", vec![(net(4, 0, 0, 0), 4)]),
        ("order processing -> completed", vec![(net(4, 0, 4, 0), 4)]),
        ("order completed -> refunded (status only)", vec![(net(4, 0, 4, 0), 4)]),
        ("order after status refunded", vec![(net(4, 0, 4, 0), 4)]),
        ("create order on-hold", vec![(net(5, 0, 0, 0), 5)]),
        ("order on-hold -> cancelled", vec![(net(5, 5, 0, 0), 0)]),
        ("order cancelled -> processing", vec![(net(5, 0, 0, 0), 5)]),
        ("order processing -> failed", vec![(net(5, 0, 0, 0), 5)]),
        ("create order with overselling quantity", vec![(net(500, 0, 0, 0), 500)]),
        ("raise the quantity of that line", vec![(net(3, 0, 0, 0), 3)]),
        ("remove that line (product_id null)", vec![]),
    ] {
        let Some(body) = recorded_body(name) else { return };
        let modified = UtcMs::parse_rfc3339(&format!("{}Z", body["date_modified_gmt"].as_str().unwrap()));
        let page = read_order(body).await;
        assert_eq!((page.orders.len(), page.rejected.len(), &page.next), (1, 0, &None), "{name}");
        let order = &page.orders[0];
        let got: Vec<_> = order.lines.iter().map(|l| (l.net, l.held.get())).collect();
        assert_eq!(got, lines, "{name}");
        assert_eq!((Some(order.updated_at), &order.unknown_state), (modified, &None), "{name}");
    }
}

#[tokio::test]
async fn a_recorded_list_of_orders_names_what_was_sold_by_the_ids_of_the_site() {
    let Some(reply) = recorded("list orders with fields (incremental read)") else { return };
    let server = site(vec![Mock::given(path(format!("{ROOT}/orders"))).respond_with(reply)]).await;
    let answer = woocommerce(&server.uri()).call(&Call::Orders { since: UtcMs(0), page: None }).await;
    let Ok(Reply::Orders(page)) = answer.result else { panic!("{answer:?}") };
    let ids: Vec<_> = page.orders.iter().map(|o| (o.id.as_str(), o.number.as_str())).collect();
    assert_eq!(ids, [("19", "19"), ("22", "22"), ("24", "24"), ("26", "26")]);
    let sold: Vec<_> = page.orders[0]
        .lines
        .iter()
        .map(|l| (l.listing.as_ref().unwrap().as_str(), l.channel_sku.as_deref()))
        .collect();
    assert_eq!(sold, [("10", Some("SKU-A")), ("14/16", Some("TEE-S"))]);
}

fn plain_order(id: u64, modified: &str, status: &str) -> Value {
    json!({
        "id": id, "number": id.to_string(), "status": status, "date_created_gmt": null, "date_modified_gmt": modified,
        "date_completed_gmt": null,
        "line_items": [{ "id": id * 10, "product_id": 10, "variation_id": 0, "quantity": 2, "sku": "", "meta_data": [] }],
    })
}

#[tokio::test]
async fn d12_a_state_never_seen_before_counts_as_sold_and_is_told() {
    let page = read_order(plain_order(1, "2026-11-22T10:00:00", "wc-lunch\u{7}break")).await;
    assert_eq!(page.orders[0].unknown_state.as_deref(), Some("wc-lunch break"));
    assert_eq!(
        (page.orders[0].lines[0].net, page.orders[0].lines[0].channel_sku.clone()),
        (net(2, 0, 0, 0), None)
    );
}

#[tokio::test]
async fn d5_an_order_with_half_a_unit_spoils_only_itself() {
    let mut bad = plain_order(1, "2026-11-22T10:00:00", "processing");
    bad["line_items"][0]["quantity"] = json!(1.5);
    let mut worse = plain_order(2, "2026-11-22T10:00:00", "processing");
    worse["date_modified_gmt"] = json!(null);
    let orders = json!([bad, plain_order(3, "2026-11-22T10:00:00", "processing"), worse]);
    let server = site(vec![get("orders", orders)]).await;
    let answer = woocommerce(&server.uri()).call(&Call::Orders { since: UtcMs(0), page: None }).await;
    let Ok(Reply::Orders(page)) = answer.result else { panic!("{answer:?}") };
    assert_eq!(page.orders.len(), 1);
    assert!(
        page.rejected[0].starts_with("order 1: ") && page.rejected[1].starts_with("order 2: "),
        "{:?}",
        page.rejected
    );
}

#[tokio::test]
async fn a_full_page_moves_the_stamp_and_turns_over_only_within_one_second() {
    let full = |at: &str| (1..=100).map(|id| plain_order(id, at, "processing")).collect::<Vec<_>>();
    let server = site(vec![
        get("orders", json!(full("2026-11-22T10:00:05"))).up_to_n_times(1),
        get("orders", json!(full("2026-11-22T10:00:05"))).up_to_n_times(1).with_priority(6),
        get("orders", json!(full("2026-11-22T10:00:05")[..7])).with_priority(7),
    ])
    .await;
    let client = woocommerce(&server.uri());
    let since = UtcMs::parse_rfc3339("2026-11-22T10:00:00Z").unwrap();
    let mut page = None;
    for last in [false, false, true] {
        let answer = client.call(&Call::Orders { since, page }).await;
        let Ok(Reply::Orders(orders)) = answer.result else { panic!("{answer:?}") };
        page = orders.next;
        assert_eq!(page.is_none(), last);
    }
    let asked: Vec<_> = check_all(&server)
        .await
        .iter()
        .map(query_of)
        .map(|q| (q["modified_after"].clone(), q["page"].clone()))
        .collect();
    let at = |time: &str, page: &str| (format!("2026-11-22T{time}"), page.to_owned());
    assert_eq!(asked, [at("09:59:59", "1"), at("10:00:04", "1"), at("10:00:04", "2")]);
}

#[tokio::test]
async fn orders_by_id_find_the_binned_and_leave_out_the_deleted() {
    let in_state = |status: &str, orders: Value| {
        Mock::given(path(format!("{ROOT}/orders")))
            .and(query_param("status", status))
            .respond_with(ResponseTemplate::new(200).set_body_json(orders))
    };
    let server = site(vec![
        in_state("any", json!([plain_order(1, "2026-11-22T10:00:00", "processing")])),
        in_state("trash", json!([plain_order(2, "2026-11-22T10:00:00", "trash")])),
    ])
    .await;
    let ids = ["1", "2", "3"].map(OrderId::new).to_vec();
    let answer = woocommerce(&server.uri()).call(&Call::OrdersById(ids)).await;
    let Ok(Reply::Orders(page)) = answer.result else { panic!("{answer:?}") };
    let got: Vec<_> = page.orders.iter().map(|o| (o.id.as_str(), o.lines[0].net.ordered.get())).collect();
    assert_eq!(got, [("1", 2), ("2", 0)]);
    let asked = check_all(&server).await;
    assert_eq!(query_of(&asked[1])["include"], "2,3");
}

#[tokio::test]
async fn levels_are_unknown_where_the_site_shows_none_and_absent_where_the_product_is_gone() {
    let server = site(vec![get(
        "products",
        json!([
            { "id": 11, "manage_stock": false, "stock_quantity": null },
            { "id": 10, "manage_stock": true, "stock_quantity": -2 },
            { "id": 12, "manage_stock": true, "stock_quantity": 0.5 },
        ]),
    )])
    .await;
    let places: Vec<_> = ["10", "11", "12", "13"].iter().map(|id| place(id, "")).collect();
    let answer = woocommerce(&server.uri()).call(&Call::Levels(places.clone())).await;
    let Ok(Reply::Levels(levels)) = answer.result else { panic!("{answer:?}") };
    let reading = |at: usize, quantity: Option<i64>| LevelReading {
        place: places[at].clone(),
        quantity: quantity.map(Units::of),
    };
    assert_eq!(levels, [reading(0, Some(-2)), reading(1, None), reading(2, None)]);
}

async fn write(at: &str, reply: ResponseTemplate, rows: Vec<WriteRow>) -> Vec<RowOutcome> {
    let server =
        site(vec![Mock::given(method("POST")).and(path(format!("{ROOT}/{at}"))).respond_with(reply)]).await;
    let answer = woocommerce(&server.uri()).call(&Call::Write { key: "k".to_owned(), rows }).await;
    let Ok(Reply::Written(outcomes)) = answer.result else { panic!("{answer:?}") };
    outcomes
}

fn words(outcomes: &[RowOutcome]) -> Vec<String> {
    let say = |outcome: &RowOutcome| match outcome {
        RowOutcome::Applied => "applied".to_owned(),
        RowOutcome::NotTried => "not tried".to_owned(),
        RowOutcome::Conflict { detail } => format!("conflict {detail}"),
        RowOutcome::Rejected { detail } => format!("rejected {detail}"),
        RowOutcome::Unknown { detail } => format!("unknown {detail}"),
    };
    outcomes.iter().map(say).collect()
}

#[tokio::test]
async fn h20_a_recorded_batch_with_failures_settles_row_by_row() {
    let (Some(products), Some(variations)) = (
        recorded("batch update with partial failure"),
        recorded("variation batch update with partial failure"),
    ) else {
        return;
    };
    // The recording sent text for 12, which the site made 0.
    let rows = vec![
        row("10", "", 30, None),
        row("999999", "", 1, None),
        row("12", "", 4, None),
        row("17", "", 8, None),
    ];
    let got = words(&write("products/batch", products, rows).await);
    assert_eq!(got[0], "applied");
    assert!(got[1].starts_with("rejected woocommerce_rest_product_invalid_id"), "{got:?}");
    assert_eq!(got[2], "rejected quantity not taken: 4 sent, 0 shown");
    assert!(got[3].starts_with("rejected woocommerce_rest_invalid_product_id"), "{got:?}");
    let rows = vec![
        row("14/16", "", 7, None),
        row("14/17", "", 8, None),
        row("14/999999", "", 1, None),
        row("14/10", "", 77, None),
    ];
    let got = words(&write("products/14/variations/batch", variations, rows).await);
    assert_eq!(got[..2], ["applied", "applied"]);
    assert!(
        got[2..].iter().all(|o| o.starts_with("rejected woocommerce_rest_product_variation_invalid_id")),
        "{got:?}"
    );
}

#[tokio::test]
async fn h21_a_quantity_that_the_site_ignored_is_told_as_such() {
    let reply = json!({ "update": [
        { "id": 1, "manage_stock": false, "stock_quantity": null },
        { "id": 2, "manage_stock": "parent", "stock_quantity": 9 },
        { "id": 3, "manage_stock": true, "stock_quantity": null },
        { "id": 4, "error": { "code": "db", "message": "m", "data": { "status": 500 } } },
        { "id": 6, "manage_stock": true, "stock_quantity": 5 },
    ] });
    let rows = (1..=6).map(|id| row(&id.to_string(), "", 5, None)).collect();
    let got = words(&write("products/batch", ResponseTemplate::new(200).set_body_json(reply), rows).await);
    assert_eq!(
        got,
        [
            "rejected quantity ignored: manage stock is off",
            "rejected quantity ignored: the parent product manages the stock",
            "unknown the reply shows no quantity",
            "unknown db: m",
            "unknown the reply says nothing of this row",
            "applied",
        ]
    );
}

#[tokio::test]
async fn recorded_refusals_fall_into_their_classes() {
    for (name, expected) in [
        ("no credentials", "Auth"),
        ("bad consumer key", "Auth"),
        ("wrong secret in the query string", "Auth"),
        ("per_page over maximum", "Rejected"),
        ("unknown route", "Rejected"),
        ("batch of 101 items", "Rejected"),
    ] {
        let Some(reply) = recorded(name) else { return };
        let server = site(vec![Mock::given(any()).respond_with(reply)]).await;
        let error = woocommerce(&server.uri()).call(&Call::Identify).await.result.unwrap_err();
        let class = match &error {
            CallError::Auth { .. } => "Auth",
            CallError::Rejected { .. } => "Rejected",
            _ => "else",
        };
        assert_eq!(class, expected, "{name}: {error}");
    }
}

#[tokio::test]
async fn what_no_request_could_carry_never_leaves() {
    let server = site(vec![]).await;
    let client = woocommerce(&server.uri());
    let many: Vec<_> = (1..=101).map(|id| row(&id.to_string(), "", 1, None)).collect();
    for rows in [many, vec![row("10", "", 1, None), row("14/16", "", 1, None)], vec![row("mug", "", 1, None)]]
    {
        let answer = client.call(&Call::Write { key: "k".to_owned(), rows }).await;
        assert!(matches!(answer.result, Err(CallError::Rejected { .. })), "{answer:?}");
        assert_eq!(answer.meter.requests, 0);
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}
