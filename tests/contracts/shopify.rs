//! Shopify: documents and variables as they are sent, and what comes of the replies.

use serde_json::{Value, json};
use stockd::domain::{
    Call, CallError, ListingId, OrderId, PageToken, Reply, RowOutcome, Units, UtcMs, listing::Writable,
};
use wiremock::ResponseTemplate;

use crate::{
    admin_schema::{check, schemas},
    shop::{
        Shop, data, fulfilled, fulfillment, level, line, net, order, orders_call, page, refund, refunded,
        variant,
    },
    support::{IDEMPOTENCY_KEY, place, row, shopify},
};

fn check_all(shop: &Shop) {
    for body in shop.asked() {
        check(&body).unwrap();
    }
}

#[tokio::test]
async fn every_document_and_its_variables_fit_the_vendors_schemas() {
    let big_order = order(
        1,
        page(json!([line(11, 3, 3)]), Some("L1")),
        json!((1..=5).map(|n| fulfillment(n, "SUCCESS", page(json!([]), None))).collect::<Vec<_>>()),
        json!([]),
    );
    let stamp = "2026-11-22T11:00:00Z";
    let (server, shop) = Shop::open(vec![
        ("Identify", data(json!({ "shop": { "id": "gid://shopify/Shop/9", "name": "S" }, "locations": page(json!([]), None) }))),
        ("Orders", data(json!({ "orders": page(json!([big_order]), None) }))),
        ("OrderEvents", data(json!({ "node": {
            "updatedAt": stamp,
            "fulfillments": (1..=6).map(|n| json!({ "id": format!("gid://shopify/Fulfillment/{n}"), "status": "SUCCESS" })).collect::<Vec<_>>(),
            "refunds": [{ "id": "gid://shopify/Refund/1" }],
        } }))),
        ("MoreLines", data(json!({ "node": { "updatedAt": stamp, "lineItems": page(json!([line(12, 1, 1)]), None) } }))),
        ("MoreLines", data(json!({ "node": { "order": { "updatedAt": stamp }, "fulfillmentLineItems": page(json!([fulfilled(12, 1)]), None) } }))),
        ("MoreLines", data(json!({ "node": { "order": { "updatedAt": stamp }, "refundLineItems": page(json!([refunded(11, 1, "CANCEL", true)]), None) } }))),
        ("OrdersById", data(json!({ "nodes": [null] }))),
        ("Listings", data(json!({ "productVariants": page(json!([variant(1, page(json!([level(5, json!(3))]), Some("I1")))]), None) }))),
        ("MoreLevels", data(json!({ "node": { "inventoryLevels": page(json!([level(6, json!(4))]), None) } }))),
        ("Levels", data(json!({ "nodes": [null] }))),
        ("SetAvailable", data(json!({ "inventorySetQuantities": { "inventoryAdjustmentGroup": { "id": "gid://shopify/InventoryAdjustmentGroup/1" }, "userErrors": [] } }))),
    ])
    .await;
    let client = shopify(&server.uri());
    for call in [
        Call::Identify,
        orders_call(),
        Call::OrdersById(vec![OrderId::new("7")]),
        Call::Listings { page: None },
        Call::Levels(vec![place("1001", "5")]),
        Call::Write {
            key: IDEMPOTENCY_KEY.to_owned(),
            rows: vec![row("1001", "5", 3, Some(4)), row("1002", "5", 0, None)],
        },
    ] {
        let answer = client.call(&call).await;
        assert!(answer.result.is_ok(), "{call:?}: {answer:?}");
    }
    check_all(&shop);
    assert_eq!(shop.asked().len(), 11);
}

#[test]
fn the_checks_of_sent_bodies_can_fail() {
    let query = include_str!("../../src/channels/shopify/write.graphql");
    let good = json!({ "query": query, "variables": { "key": "k", "input": {
        "name": "available", "reason": "correction", "referenceDocumentUri": "gid://stockd/SyncJob/k",
        "quantities": [{ "inventoryItemId": "gid://shopify/InventoryItem/1", "locationId": "gid://shopify/Location/1", "quantity": 1, "changeFromQuantity": null }],
    } } });
    assert_eq!(check(&good), Ok(()));
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        check(&body).unwrap_err()
    };
    let row = "/variables/input/quantities/0";
    broken(&|b| _ = b.pointer_mut(row).unwrap().as_object_mut().unwrap().remove("changeFromQuantity"));
    broken(&|b| b["query"] = json!(query.replace("@idempotent(key: $key)", "")));
    broken(&|b| b["variables"]["input"]["name"] = json!("on_hand"));
    broken(&|b| b["variables"]["input"]["quantities"] = json!([]));
    if schemas().is_some() {
        broken(&|b| b["query"] = json!(query.replace("userErrors { code", "userErrors { kode")));
        broken(&|b| b.pointer_mut(row).unwrap()["compareQuantity"] = json!(1));
        broken(&|b| b.pointer_mut(row).unwrap()["quantity"] = json!("many"));
        broken(&|b| _ = b.pointer_mut(row).unwrap().as_object_mut().unwrap().remove("locationId"));
    }
}

#[tokio::test]
async fn identify_reads_all_active_locations_and_tells_of_another_version() {
    let location = |id: u64, active: bool| json!({ "id": format!("gid://shopify/Location/{id}"), "name": format!("L{id}"), "isActive": active });
    let named = json!({ "id": "gid://shopify/Shop/77", "name": "Mugs" });
    let (server, shop) = Shop::open(vec![("Identify", data(json!({ "shop": named, "locations": page(json!([location(1, true), location(2, false)]), Some("c")) })))]).await;
    let second = data(json!({ "shop": named, "locations": page(json!([location(3, true)]), None) }));
    let template =
        ResponseTemplate::new(200).insert_header("X-Shopify-API-Version", "2027-01").set_body_json(second);
    shop.replies.lock().unwrap().get_mut("Identify").unwrap().push_back(template);
    let answer = shopify(&server.uri()).call(&Call::Identify).await;
    let Ok(Reply::Identity(identity)) = answer.result else { panic!("{answer:?}") };
    assert_eq!((identity.account.as_str(), identity.name.as_str()), ("77", "Mugs"));
    let ids: Vec<_> = identity.locations.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["1", "3"]);
    assert!(identity.warnings[0].contains("2027-01"), "{:?}", identity.warnings);
    assert_eq!(answer.meter.requests, 2);
    assert_eq!(answer.meter.requested_cost, Some(24.0));
    assert_eq!(answer.meter.budget.unwrap().available.to_string(), "1990");
    check_all(&shop);
}

#[tokio::test]
async fn an_order_with_unread_pages_is_read_to_its_end() {
    let stamp = "2026-11-22T11:00:00Z";
    let five: Vec<_> =
        (1..=5).map(|n| fulfillment(n, "SUCCESS", page(json!([fulfilled(11, 1)]), None))).collect();
    let raw = order(
        1,
        page(json!([line(11, 8, 7)]), Some("L1")),
        json!(five),
        json!([refund(1, page(json!([]), Some("R1")))]),
    );
    let events: Vec<_> = (1..=6).map(|n| json!({ "id": format!("gid://shopify/Fulfillment/{n}"), "status": if n == 6 { "CANCELLED" } else { "SUCCESS" } })).collect();
    let (server, shop) = Shop::open(vec![
        ("Orders", data(json!({ "orders": page(json!([raw]), None) }))),
        ("OrderEvents", data(json!({ "node": { "updatedAt": stamp, "fulfillments": events, "refunds": [{ "id": "gid://shopify/Refund/1" }] } }))),
        ("MoreLines", data(json!({ "node": { "updatedAt": stamp, "lineItems": page(json!([line(12, 2, 2)]), Some("L2")) } }))),
        ("MoreLines", data(json!({ "node": { "updatedAt": stamp, "lineItems": page(json!([line(13, 1, 1)]), None) } }))),
        ("MoreLines", data(json!({ "node": { "order": { "updatedAt": stamp }, "fulfillmentLineItems": page(json!([fulfilled(12, 2)]), None) } }))),
        ("MoreLines", data(json!({ "node": { "order": { "updatedAt": stamp }, "refundLineItems": page(json!([refunded(11, 1, "RETURN", true)]), None) } }))),
    ])
    .await;
    let answer = shopify(&server.uri()).call(&orders_call()).await;
    let Ok(Reply::Orders(orders)) = answer.result else { panic!("{answer:?}") };
    let lines: Vec<_> = orders.orders[0].lines.iter().map(|l| (l.id.as_str(), l.net, l.held.get())).collect();
    assert_eq!(lines, [("11", net(8, 0, 5, 1), 7), ("12", net(2, 0, 0, 0), 2), ("13", net(1, 0, 0, 0), 1)]);
    assert_eq!(answer.meter.requests, 6);
    let asked = shop.asked();
    assert_eq!(asked[2]["variables"]["after"], "L1");
    assert_eq!(asked[3]["variables"]["after"], "L2");
    assert_eq!(asked[4]["variables"], json!({ "id": "gid://shopify/Fulfillment/6", "after": null }));
    assert_eq!(asked[5]["variables"], json!({ "id": "gid://shopify/Refund/1", "after": "R1" }));
}

#[tokio::test]
async fn an_order_whose_rest_cannot_be_read_makes_no_snapshot() {
    let raw = || {
        data(
            json!({ "orders": page(json!([order(1, page(json!([line(11, 8, 8)]), Some("L1")), json!([]), json!([]))]), None) }),
        )
    };
    let more = |stamp: &str, next: Option<&str>| {
        data(json!({ "node": { "updatedAt": stamp, "lineItems": page(json!([]), next) } }))
    };
    for (what, reply) in [
        ("it changed meanwhile", more("2026-11-22T11:00:01Z", None)),
        ("it is gone", data(json!({ "node": null }))),
        ("h19 the cursor stands still", more("2026-11-22T11:00:00Z", Some("L1"))),
        (
            "h10 its lines are no lines",
            data(json!({ "node": { "updatedAt": "2026-11-22T11:00:00Z", "lineItems": [] } })),
        ),
    ] {
        let (server, shop) = Shop::open(vec![("Orders", raw()), ("MoreLines", reply)]).await;
        let answer = shopify(&server.uri()).call(&orders_call()).await;
        assert!(matches!(answer.result, Err(CallError::Retry { .. })), "{what}: {answer:?}");
        assert_eq!((shop.asked().len(), answer.meter.requests), (2, 2), "{what}");
    }
}

#[tokio::test]
async fn an_order_that_cannot_be_read_spoils_only_itself_and_test_orders_are_left_out() {
    let mut test_order = order(2, page(json!([line(21, 1, 1)]), None), json!([]), json!([]));
    test_order["test"] = json!(true);
    let mut deleted = line(31, 1, 1);
    deleted["variant"] = json!(null);
    let (server, shop) = Shop::open(vec![("Orders", data(json!({ "orders": page(json!([
        order(1, page(json!([line(11, 1, 1), { "id": "gid://shopify/LineItem/12", "sku": null, "quantity": 1.5, "currentQuantity": 1, "variant": null }]), None), json!([]), json!([])),
        test_order,
        order(3, page(json!([deleted]), None), json!([fulfillment(1, "TELEPORTED", page(json!([fulfilled(31, 1)]), None))]), json!([])),
    ]), Some("next")) })))]).await;
    let answer = shopify(&server.uri()).call(&orders_call()).await;
    let Ok(Reply::Orders(orders)) = answer.result else { panic!("{answer:?}") };
    assert_eq!(orders.orders.len(), 1);
    assert!(
        orders.rejected[0].contains("Order/1") && orders.rejected[0].contains("1.5"),
        "d5: {:?}",
        orders.rejected
    );
    let order = &orders.orders[0];
    assert_eq!(order.unknown_state.as_deref(), Some("fulfilment TELEPORTED"), "d12");
    assert_eq!((order.lines[0].listing.clone(), order.lines[0].net), (None, net(1, 0, 0, 0)));
    assert_eq!(
        (order.number.as_str(), order.created_at),
        ("#3", UtcMs::parse_rfc3339("2026-11-22T10:00:00Z").unwrap())
    );
    assert_eq!(shop.asked()[0]["variables"]["filter"], "updated_at:>='2026-11-18T11:06:40Z'");
    assert!(orders.next.is_some());
}

#[tokio::test]
async fn a_walk_goes_on_behind_its_cursor_and_starts_afresh_before_it_gets_too_deep() {
    let reply = || {
        data(
            json!({ "orders": page(json!([order(1, page(json!([]), None), json!([]), json!([]))]), Some("c/2")) }),
        )
    };
    let (server, shop) =
        Shop::open(vec![("Orders", reply()), ("Orders", reply()), ("Orders", reply())]).await;
    let client = shopify(&server.uri());
    let mut pages = Vec::new();
    let deep = Some(PageToken::new("1795000000000/19999/c/1"));
    for page in [None, Some(PageToken::new("1795000000123/1/c/1")), deep] {
        let answer = client.call(&Call::Orders { since: UtcMs(1_795_000_000_123), page }).await;
        let Ok(Reply::Orders(orders)) = answer.result else { panic!("{answer:?}") };
        pages.push(orders.next.unwrap().as_str().to_owned());
    }
    let fresh = UtcMs::parse_rfc3339("2026-11-22T11:00:00Z").unwrap().0;
    assert_eq!(pages, ["1795000000123/1/c/2", "1795000000123/2/c/2", &format!("{fresh}/0/")]);
    let asked = shop.asked();
    assert_eq!(
        (&asked[0]["variables"]["after"], &asked[1]["variables"]["after"]),
        (&json!(null), &json!("c/1"))
    );
}

#[tokio::test]
async fn a_next_page_behind_the_same_cursor_is_an_error() {
    let reply = data(json!({ "productVariants": page(json!([]), Some("c1")) }));
    let (server, _shop) = Shop::open(vec![("Listings", reply)]).await;
    let answer =
        shopify(&server.uri()).call(&Call::Listings { page: Some(PageToken::new("0/100/c1")) }).await;
    assert!(matches!(answer.result, Err(CallError::Retry { .. })), "h19: {answer:?}");
}

#[tokio::test]
async fn a_document_found_too_costly_is_asked_again_with_smaller_pages_for_good() {
    let costly =
        json!({ "errors": [{ "message": "too much", "extensions": { "code": "MAX_COST_EXCEEDED" } }] });
    let never = json!({ "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }], "extensions": { "cost": {
        "requestedQueryCost": 150, "throttleStatus": { "maximumAvailable": 100.0, "currentlyAvailable": 100.0, "restoreRate": 10.0 } } } });
    let good = || data(json!({ "orders": page(json!([]), None) }));
    let (server, shop) =
        Shop::open(vec![("Orders", costly), ("Orders", never), ("Orders", good()), ("Orders", good())]).await;
    let client = shopify(&server.uri());
    for _ in 0..2 {
        assert!(client.call(&orders_call()).await.result.is_ok());
    }
    let sizes: Vec<_> = shop.asked().iter().map(|b| b["variables"]["first"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [50, 25, 12, 12]);
}

#[tokio::test]
async fn listings_carry_their_levels_and_say_whether_they_may_be_written() {
    let mut untracked = variant(2, page(json!([]), None));
    untracked["inventoryItem"]["tracked"] = json!(false);
    let mut bundle = variant(3, page(json!([]), None));
    bundle["requiresComponents"] = json!(true);
    bundle["sku"] = json!(null);
    let (server, shop) = Shop::open(vec![
        ("Listings", data(json!({ "productVariants": page(json!([
            variant(1, page(json!([level(5, json!(-3))]), Some("I1"))),
            untracked,
            bundle,
            variant(4, page(json!([level(5, json!(9_007_199_254_740_993_u64))]), None)),
        ]), Some("next")) }))),
        ("MoreLevels", data(json!({ "node": { "inventoryLevels": page(json!([level(6, json!(4)), level(7, json!(null))]), None) } }))),
    ])
    .await;
    let answer = shopify(&server.uri()).call(&Call::Listings { page: None }).await;
    let Ok(Reply::Listings(listings)) = answer.result else { panic!("{answer:?}") };
    let got: Vec<_> =
        listings.listings.iter().map(|l| (l.id.as_str(), l.channel_sku.as_deref(), l.writable)).collect();
    assert_eq!(
        got,
        [
            ("1001", Some("SKU-1"), Writable::Yes),
            ("1002", Some("SKU-2"), Writable::Untracked),
            ("1003", None, Writable::Computed)
        ]
    );
    let levels: Vec<_> = listings.listings[0]
        .levels
        .iter()
        .map(|l| (l.place.location.as_str(), l.quantity.map(Units::get)))
        .collect();
    assert_eq!(levels, [("5", Some(-3)), ("6", Some(4)), ("7", None)], "d3, d4");
    assert!(listings.rejected[0].contains("ProductVariant/4"), "d6: {:?}", listings.rejected);
    assert_eq!(listings.next, Some(PageToken::new("0/4/next")));
    check_all(&shop);
}

#[tokio::test]
async fn a_catalogue_too_deep_for_one_walk_goes_on_by_id() {
    let reply =
        || data(json!({ "productVariants": page(json!([variant(41, page(json!([]), None))]), Some("c")) }));
    let (server, shop) = Shop::open(vec![("Listings", reply()), ("Listings", reply())]).await;
    let client = shopify(&server.uri());
    let mut page = Some(PageToken::new("0/19999/b"));
    for expected in ["42/0/", "42/1/c"] {
        let answer = client.call(&Call::Listings { page }).await;
        let Ok(Reply::Listings(listings)) = answer.result else { panic!("{answer:?}") };
        page = listings.next;
        assert_eq!(page.as_ref().unwrap().as_str(), expected);
    }
    assert_eq!(shop.asked()[1]["variables"]["filter"], "id:>=42");
}

#[tokio::test]
async fn levels_are_read_for_the_places_asked_and_gone_items_are_absent() {
    let item = |id: u64, levels: Value| json!({ "id": format!("gid://shopify/InventoryItem/{id}"), "inventoryLevels": levels });
    let (server, shop) = Shop::open(vec![("Levels", data(json!({ "nodes": [
        item(1, page(json!([level(5, json!(3)), level(6, json!(1.5))]), None)), null, item(3, page(json!([]), None)), {},
    ] })))])
    .await;
    let places = vec![place("1", "6"), place("1", "5"), place("2", "5"), place("3", "5"), place("4", "5")];
    let answer = shopify(&server.uri()).call(&Call::Levels(places)).await;
    let Ok(Reply::Levels(levels)) = answer.result else { panic!("{answer:?}") };
    let got: Vec<_> = levels
        .iter()
        .map(|l| (l.place.listing.clone(), l.place.location.as_str().to_owned(), l.quantity))
        .collect();
    assert_eq!(
        got,
        [
            (ListingId::new("1"), "6".to_owned(), None),
            (ListingId::new("1"), "5".to_owned(), Some(Units::of(3)))
        ]
    );
    assert_eq!(shop.asked()[0]["variables"]["ids"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn the_same_key_and_rows_make_the_same_bytes_and_errors_settle_by_row() {
    let stale = data(json!({ "inventorySetQuantities": { "inventoryAdjustmentGroup": null, "userErrors": [
        { "code": "CHANGE_FROM_QUANTITY_STALE", "field": ["input", "quantities", "1", "changeFromQuantity"], "message": "stale" },
    ] } }));
    let (server, shop) = Shop::open(vec![("SetAvailable", stale.clone()), ("SetAvailable", stale)]).await;
    let client = shopify(&server.uri());
    let rows: Vec<_> = (0..250).map(|n| row(&format!("{}", 1000 + n), "5", n, Some(n + 1))).collect();
    let write = Call::Write { key: IDEMPOTENCY_KEY.to_owned(), rows };
    for _ in 0..2 {
        let answer = client.call(&write).await;
        let Ok(Reply::Written(outcomes)) = answer.result else { panic!("{answer:?}") };
        assert_eq!(outcomes.len(), 250);
        assert_eq!(outcomes[0], RowOutcome::NotTried);
        assert!(matches!(&outcomes[1], RowOutcome::Conflict { detail } if detail.contains("stale")));
    }
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].body, requests[1].body);
    let variables = &shop.asked()[0]["variables"];
    assert_eq!(variables["key"], IDEMPOTENCY_KEY);
    assert_eq!(variables["input"]["referenceDocumentUri"], format!("gid://stockd/SyncJob/{IDEMPOTENCY_KEY}"));
    assert_eq!(
        variables["input"]["quantities"][1],
        json!({
            "inventoryItemId": "gid://shopify/InventoryItem/1001", "locationId": "gid://shopify/Location/5",
            "quantity": 1, "changeFromQuantity": 2,
        })
    );
    check_all(&shop);
}

#[tokio::test]
async fn what_no_request_could_carry_never_leaves() {
    let (server, shop) = Shop::open(vec![]).await;
    let client = shopify(&server.uri());
    let too_many: Vec<_> = (0..251).map(|n| row(&n.to_string(), "5", 1, Some(2))).collect();
    for rows in [too_many, vec![row("14/18", "5", 1, None)], vec![row("1", "", 1, None)]] {
        let answer = client.call(&Call::Write { key: "k".to_owned(), rows }).await;
        assert!(matches!(answer.result, Err(CallError::Rejected { .. })), "{answer:?}");
        assert_eq!(answer.meter.requests, 0);
    }
    assert!(shop.asked().is_empty());
}

#[tokio::test]
async fn top_level_errors_settle_the_call() {
    let errors = |code: &str| json!({ "errors": [{ "message": "m", "extensions": { "code": code } }] });
    let throttled = json!({ "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }], "extensions": { "cost": {
        "requestedQueryCost": 60, "actualQueryCost": null, "throttleStatus": { "maximumAvailable": 100.0, "currentlyAvailable": 30.0, "restoreRate": 10.0 } } } });
    let done = json!({ "data": { "inventorySetQuantities": { "userErrors": [] } }, "errors": [{ "message": "m", "extensions": { "code": "ACCESS_DENIED" } }] });
    let write = Call::Write { key: "k".to_owned(), rows: vec![row("1", "5", 1, Some(2))] };
    for (reply, on_read, on_write) in [
        (throttled, "Throttled(3)", "Throttled(3)"),
        (errors("ACCESS_DENIED"), "Auth", "Auth"),
        (errors("BAD_REQUEST"), "Rejected", "Rejected"),
        (errors("INTERNAL_SERVER_ERROR"), "Retry", "Unknown"),
        (json!({ "data": null }), "Retry", "Unknown"),
        (json!({ "data": { "inventorySetQuantities": null } }), "Retry", "Unknown"),
        (json!([1]), "Retry", "Unknown"),
        (done, "Auth", "Unknown"),
        (json!({ "errors": "Not Found" }), "Rejected", "Rejected"),
    ] {
        let (server, _shop) =
            Shop::open(vec![("Levels", reply.clone()), ("SetAvailable", reply.clone())]).await;
        let client = shopify(&server.uri());
        for (call, expected) in [(Call::Levels(vec![place("1", "5")]), on_read), (write.clone(), on_write)] {
            let error = client.call(&call).await.result.unwrap_err();
            assert_eq!(class(&error), expected, "{reply} {error}");
        }
    }
}

fn class(error: &CallError) -> String {
    match error {
        CallError::Throttled { wait, .. } => format!("Throttled({})", wait.map_or(0, |w| w.as_secs())),
        CallError::Retry { .. } => "Retry".to_owned(),
        CallError::Unknown { .. } => "Unknown".to_owned(),
        CallError::Rejected { .. } => "Rejected".to_owned(),
        CallError::Auth { .. } => "Auth".to_owned(),
    }
}
