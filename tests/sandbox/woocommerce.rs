//! WooCommerce: replays the vendor's recorded exchanges, validates answers against the vendor's schemas.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stockd::{
    domain::ChannelKind,
    sandbox::{
        Catalogue, ShopSettings,
        world::{Accept, NewListing, Restock, Status, Tracking},
    },
};

use crate::{Bench, contract};

fn exchanges() -> Option<Vec<Value>> {
    let text = contract("woocommerce/wc-v3-9.5.1.exchanges.json")?;
    let mut all: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(all) = all["exchanges"].take() else { panic!("no exchanges") };
    Some(all)
}

/// The products of the recording, which get the same ids here because ids count up from 10.
async fn recorded_shop() -> Bench {
    let settings = ShopSettings {
        key: "ck_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned(),
        secret: "cs_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb".to_owned(),
        ..ShopSettings::new("site", ChannelKind::Woocommerce)
    };
    let bench = Bench::new(settings, Catalogue::default()).await;
    let plain = NewListing::plain;
    bench.sandbox.with_world(|world| {
        world.add_listing(0, plain("SKU-A", 25));
        world.add_listing(0, NewListing { tracking: Tracking::Untracked, ..plain("SKU-B", 0) });
        world.add_listing(0, NewListing { oversell: true, ..plain("SKU-C", 0) });
        world.add_listing(0, plain("SKU-D", 3));
        let tee = world.add_listing(0, NewListing { variable: true, ..plain("TEE", 9) });
        world.add_listing(0, NewListing { sku: None, ..plain("none", 1) });
        for (sku, quantity, tracking) in
            [("TEE-S", 4, Tracking::Tracked), ("TEE-M", 6, Tracking::Tracked), ("TEE-L", 0, Tracking::Parent)]
        {
            world.add_listing(0, NewListing { tracking, parent: Some(tee), ..plain(sku, quantity) });
        }
    });
    bench
}

/// What is compared of a product: all that says something about stock.
fn stock(body: &Value) -> Value {
    match body {
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(stock).collect();
            // The recording's default order has ties of one second.
            items.sort_by_key(|it| it["id"].as_i64());
            Value::Array(items)
        }
        Value::Object(all) if all.contains_key("update") => stock(&all["update"]),
        Value::Object(all) if all.contains_key("error") || all.contains_key("code") => body.clone(),
        Value::Object(all) => {
            let kept = [
                "id",
                "sku",
                "type",
                "parent_id",
                "manage_stock",
                "stock_quantity",
                "stock_status",
                "backorders",
                "backorders_allowed",
                "backordered",
                "purchasable",
            ];
            all.iter()
                .filter(|(key, _)| kept.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        }
        other => other.clone(),
    }
}

#[tokio::test]
async fn recorded_reads_and_writes_of_products_are_answered_as_recorded() {
    let Some(exchanges) = exchanges() else { return };
    let bench = recorded_shop().await;
    let mut replayed = 0;
    let from = exchanges.iter().position(|it| it["name"] == "list products page 1 (bulk read)").unwrap();
    let to = exchanges.iter().position(|it| it["name"] == "create order pending payment").unwrap();
    for exchange in &exchanges[from..to] {
        let (name, request, recorded) = (&exchange["name"], &exchange["request"], &exchange["response"]);
        // Creating products is not emulated.
        if name == "duplicate SKU" {
            continue;
        }
        let method: Method = request["method"].as_str().unwrap().parse().unwrap();
        let path = request["path"].as_str().unwrap().trim_start_matches('/');
        let mut sent = bench.client.request(method, bench.url(path));
        sent = match request["auth"].as_str().unwrap() {
            "basic" => sent.basic_auth(&bench.settings.key, Some(&bench.settings.secret)),
            "bad" => sent.basic_auth("ck_wrong", Some("cs_wrong")),
            _ => sent,
        };
        if !request["body"].is_null() {
            sent = sent.json(&request["body"]);
        }
        let answer = sent.send().await.unwrap();
        assert_eq!(json!(answer.status().as_u16()), recorded["status"], "{name}");
        for header in ["X-WP-Total", "X-WP-TotalPages"] {
            let value = answer.headers().get(header).map(|it| it.to_str().unwrap());
            assert_eq!(value, recorded["headers"][header].as_str(), "{name}: {header}");
        }
        let body: Value = answer.json().await.unwrap();
        // One of a page of one: which one depends on the default order's ties.
        if name != "credentials in the query string" {
            assert_eq!(stock(&body), stock(&recorded["body"]), "{name}");
        }
        replayed += 1;
    }
    assert_eq!(replayed, 34);
}

#[tokio::test]
async fn refused_parameters_are_told_in_the_recorded_words() {
    let Some(exchanges) = exchanges() else { return };
    let bench = recorded_shop().await;
    for name in ["orders modified_after with a bad date", "orders with unknown status"] {
        let exchange = exchanges.iter().find(|it| it["name"] == name).unwrap();
        let path = exchange["request"]["path"].as_str().unwrap().trim_start_matches("/wp-json/wc/v3/");
        let (status, body) = bench.rest(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body, exchange["response"]["body"], "{name}");
    }
}

/// Quantity and meta of each line, by product, and the refunds.
fn of_order(order: &Value) -> Value {
    let lines = order["line_items"].as_array().unwrap().iter().map(|line| {
        let meta = line["meta_data"].as_array().unwrap().iter();
        // The variation's own attribute stands in the same list; attributes are not emulated.
        let meta = meta.filter(|it| it["key"].as_str().unwrap().starts_with('_'));
        let meta: Vec<_> = meta
            .filter(|it| it["key"] != "_refunded_item_id")
            .map(|it| json!([it["key"], it["value"]]))
            .collect();
        json!([line["product_id"], line["variation_id"], line["quantity"], line["sku"], meta])
    });
    let refunds: Vec<_> = order["refunds"]
        .as_array()
        .map_or_else(Vec::new, |it| it.iter().map(|it| it["total"].clone()).collect());
    json!([order["status"], lines.collect::<Vec<_>>(), refunds])
}

#[tokio::test]
async fn d13_d14_an_order_through_refunds_and_cancel_reads_as_recorded() {
    let Some(exchanges) = exchanges() else { return };
    let recorded = |name: &str| {
        exchanges.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("{name}"))["response"]["body"]
            .clone()
    };
    let bench = recorded_shop().await;
    let quantity = |sku: &'static str| {
        bench.sandbox.with_world(|world| {
            let shop = &world.shops[0];
            shop.listings[shop.listing_by_sku(sku).unwrap()].levels[0].available
        })
    };
    let (order, lines) = bench.sandbox.with_world(|world| {
        let order = world.place_order(0, &[(0, 3), (6, 2)], Accept::Shown).unwrap();
        let lines: Vec<u64> = world.shops[0].orders[&order].current.lines.iter().map(|it| it.id).collect();
        (order, lines)
    });
    let read = || async { bench.rest(Method::GET, &format!("orders/{order}"), None).await.1 };
    assert_eq!(of_order(&read().await), of_order(&recorded("order on-hold -> processing")));
    assert_eq!((quantity("SKU-A"), quantity("TEE-S")), (22, 2));
    bench.sandbox.with_world(|world| world.refund(0, order, &[(lines[0], 1)], Restock::Yes)).unwrap();
    bench.sandbox.with_world(|world| world.refund(0, order, &[(lines[0], 1)], Restock::No)).unwrap();
    assert_eq!(of_order(&read().await), of_order(&recorded("read the order after refunds")));
    assert_eq!(quantity("SKU-A"), 23);
    let (_, refunds) = bench.rest(Method::GET, &format!("orders/{order}/refunds"), None).await;
    let recorded_refunds = recorded("list refunds of an order");
    for (ours, theirs) in refunds.as_array().unwrap().iter().zip(recorded_refunds.as_array().unwrap()) {
        assert_eq!(of_order(ours), of_order(theirs));
        assert_eq!(ours["line_items"][0]["meta_data"][0]["value"], lines[0].to_string());
    }
    bench.sandbox.with_world(|world| world.cancel(0, order, Restock::Yes)).unwrap();
    assert_eq!(of_order(&read().await), of_order(&recorded("cancel the partly refunded order")));
    assert_eq!((quantity("SKU-A"), quantity("TEE-S")), (25, 4));
}

#[tokio::test]
async fn d12_status_alone_moves_no_stock() {
    let bench = recorded_shop().await;
    for status in [Status::Refunded, Status::Failed] {
        let (order, left) = bench.sandbox.with_world(|world| {
            let order = world.place_order(0, &[(0, 4)], Accept::Shown).unwrap();
            (order, world.shops[0].listings[0].levels[0].available)
        });
        bench.sandbox.with_world(|world| world.set_status(0, order, status)).unwrap();
        let (_, body) = bench.rest(Method::GET, &format!("orders/{order}"), None).await;
        assert_eq!(body["status"], status.name());
        assert_eq!(body["line_items"][0]["meta_data"][0]["value"], "4");
        assert_eq!(bench.sandbox.with_world(|world| world.shops[0].listings[0].levels[0].available), left);
    }
}

#[tokio::test]
async fn d17_two_forms_of_modified_after_are_right_and_the_others_err_as_measured() {
    let bench = recorded_shop().await;
    bench.sandbox.with_world(|world| world.place_order(0, &[(0, 1)], Accept::Shown)).unwrap();
    for list in ["orders", "products"] {
        let (_, all) = bench.rest(Method::GET, &format!("{list}?orderby=id&order=asc"), None).await;
        let (gmt, site) =
            (all[0]["date_modified_gmt"].as_str().unwrap(), all[0]["date_modified"].as_str().unwrap());
        let moved = |stamp: &str, seconds: i64| {
            let at = chrono::NaiveDateTime::parse_from_str(stamp, "%Y-%m-%dT%H:%M:%S").unwrap();
            (at + chrono::TimeDelta::seconds(seconds)).format("%Y-%m-%dT%H:%M:%S").to_string()
        };
        assert_eq!(moved(gmt, -5 * 3600), site, "New York in November");
        for (value, flag, found) in [
            (moved(site, -1), false, true),
            (site.to_owned(), false, false),
            (moved(gmt, -1), true, true),
            (gmt.to_owned(), true, false),
            (moved(gmt, -1), false, false),
            (format!("{}Z", moved(gmt, 3600)), true, true),
            (format!("{}Z", moved(gmt, -1)), false, true),
            (format!("{gmt}Z"), false, false),
        ] {
            let id = &all[0]["id"];
            let path = format!("{list}?include={id}&modified_after={value}&dates_are_gmt={flag}");
            let (_, body) = bench.rest(Method::GET, &path, None).await;
            assert_eq!(!body.as_array().unwrap().is_empty(), found, "{path}");
        }
    }
}

/// The published schema with what its SOURCE.md lists as wrong put right, as JSON Schema draft 4.
fn repaired(mut schema: Value) -> Value {
    fn walk(schema: &mut Value) {
        let Value::Object(all) = schema else { return };
        all.remove("required");
        if let Some(Value::String(kind)) = all.get("type")
            && !["string", "integer", "number", "boolean", "object", "array", "null"].contains(&kind.as_str())
        {
            all.remove("type");
        }
        // Recorded answers have dates without a zone and empty addresses.
        if all.contains_key("format") {
            all.remove("format");
        }
        for (name, child) in all.iter_mut() {
            match name.as_str() {
                "properties" => child.as_object_mut().unwrap().values_mut().for_each(walk),
                "items" => walk(child),
                _ => {}
            }
        }
        // PHP has no types for absent values: null stands for any of them.
        if let Some(Value::String(kind)) = all.get("type").cloned()
            && kind == "string"
        {
            all.insert("type".to_owned(), json!(["string", "null"]));
        }
    }
    walk(&mut schema);
    let properties = &mut schema["properties"];
    for (path, kinds) in [
        ("/manage_stock", json!(["boolean", "string"])),
        ("/stock_quantity", json!(["integer", "null"])),
        ("/low_stock_amount", json!(["integer", "null"])),
        ("/shipping_class_id", json!("integer")),
        ("/image", json!(["object", "null"])),
        ("/line_items/items/properties/price", json!("number")),
        ("/line_items/items/properties/image/properties/id", json!(["integer", "string"])),
    ] {
        if let Some(it) = properties.pointer_mut(path) {
            it["type"] = kinds;
        }
    }
    schema
}

#[tokio::test]
async fn answers_fit_the_published_schemas_and_have_every_recorded_field() {
    let (Some(text), Some(exchanges)) = (contract("woocommerce/wc-v3-9.5.1.schemas.json"), exchanges())
    else {
        return;
    };
    let schemas: Value = serde_json::from_str(&text).unwrap();
    let bench = recorded_shop().await;
    let order = bench.sandbox.with_world(|world| {
        let order = world.place_order(0, &[(0, 3), (6, 2)], Accept::Shown).unwrap();
        let line = world.shops[0].orders[&order].current.lines[0].id;
        world.refund(0, order, &[(line, 1)], Restock::Yes).unwrap();
        order
    });
    for (path, schema, recorded) in [
        ("products?per_page=100".to_owned(), "products", "list products page 1 (bulk read)"),
        ("products/14/variations".to_owned(), "variations", "list variations of a product"),
        (format!("orders/{order}"), "orders", "read the order after refunds"),
        (format!("orders/{order}/refunds"), "order_refunds", "list refunds of an order"),
    ] {
        let schema = repaired(schemas[schema]["schema"].clone());
        let validator = jsonschema::draft4::new(&schema).unwrap();
        let (_, body) = bench.rest(Method::GET, &path, None).await;
        let items = if body.is_array() { body.as_array().unwrap().clone() } else { vec![body] };
        let recorded = &exchanges.iter().find(|it| it["name"] == recorded).unwrap()["response"]["body"];
        let recorded = if recorded.is_array() { &recorded[0] } else { recorded };
        for item in items {
            let errors: Vec<_> =
                validator.iter_errors(&item).map(|it| format!("{} {it}", it.instance_path())).collect();
            assert!(errors.is_empty(), "{path}: {errors:?}");
            for key in recorded.as_object().unwrap().keys().filter(|it| *it != "_links") {
                assert!(item.get(key).is_some(), "{path} has no {key}");
            }
        }
    }
}

#[tokio::test]
async fn pages_of_one_hundred_follow_by_number_and_link() {
    let settings = ShopSettings::new("site", ChannelKind::Woocommerce);
    let bench = Bench::new(settings, Catalogue { variations: 0, ..Catalogue::made_up(250, 1) }).await;
    let answer = bench
        .send_rest(Method::GET, "products?per_page=100&page=2&orderby=id&order=asc", None)
        .await
        .unwrap();
    assert_eq!(answer.headers()["X-WP-Total"], "252");
    assert_eq!(answer.headers()["X-WP-TotalPages"], "3");
    let link = answer.headers()["Link"].to_str().unwrap().to_owned();
    assert!(link.contains("page=1>; rel=\"prev\"") && link.contains("page=3>; rel=\"next\""), "{link}");
    let body: Vec<Value> = answer.json().await.unwrap();
    assert_eq!((body.len(), body[0]["sku"].as_str()), (100, Some("SKU-0101")));
}

#[tokio::test]
async fn h3_h5_a_host_that_bears_two_calls_a_second_says_429_with_or_without_a_time() {
    for retry_after in [true, false] {
        let settings = ShopSettings {
            calls: Some((2.0, 3)),
            retry_after,
            ..ShopSettings::new("site", ChannelKind::Woocommerce)
        };
        let bench = Bench::new(settings, Catalogue::made_up(10, 1)).await;
        let mut statuses = Vec::new();
        for _ in 0..5 {
            let answer = bench.send_rest(Method::GET, "products?per_page=1", None).await.unwrap();
            if answer.status() == 429 {
                assert_eq!(answer.headers().contains_key("Retry-After"), retry_after);
                assert!(!answer.headers()["content-type"].to_str().unwrap().contains("json"));
            }
            statuses.push(answer.status().as_u16());
        }
        assert_eq!(statuses, [200, 200, 200, 429, 429]);
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        assert_eq!(bench.send_rest(Method::GET, "products?per_page=1", None).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn an_absolute_write_overwrites_a_sale_made_in_between() {
    let bench = Bench::woocommerce().await;
    let id = bench.sandbox.with_world(|world| {
        world.place_order(0, &[(0, 5)], Accept::Shown).unwrap();
        world.shops[0].listings[0].product
    });
    let body = json!({"update": [{"id": id, "stock_quantity": 20}]});
    let (status, body) = bench.rest(Method::POST, "products/batch", Some(&body)).await;
    assert_eq!((status, &body["update"][0]["stock_quantity"]), (StatusCode::OK, &json!(20)));
}
