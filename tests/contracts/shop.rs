//! A Shopify shop by script, and replies for it to give.

#![allow(clippy::needless_pass_by_value, reason = "parts made by json! on the spot")]

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use stockd::domain::{Call, LineNet, Units, UtcMs};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

use crate::support::TOKEN;

/// Answers each operation with the next reply that the test wrote for it, and keeps what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Shop {
    pub(crate) replies: Arc<Mutex<HashMap<String, VecDeque<ResponseTemplate>>>>,
    asked: Arc<Mutex<Vec<Value>>>,
    surprises: Arc<Mutex<Vec<String>>>,
}

impl Respond for Shop {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let body: Value = request.body_json().unwrap_or_default();
        let operation = operation_of(&body);
        let replies = self.replies.lock().unwrap().get_mut(&operation).and_then(VecDeque::pop_front);
        let headers_right = request.headers.get("x-shopify-access-token").is_some_and(|t| t == TOKEN)
            && request.headers.get("content-type").is_some_and(|t| t == "application/json")
            && request.url.path() == "/admin/api/2026-10/graphql.json"
            && request.method == wiremock::http::Method::POST;
        self.asked.lock().unwrap().push(body);
        match replies {
            Some(reply) if headers_right => reply,
            _ => {
                self.surprises.lock().unwrap().push(format!("{operation} (headers right: {headers_right})"));
                ResponseTemplate::new(418)
            }
        }
    }
}

impl Shop {
    pub(crate) async fn open(replies: Vec<(&str, Value)>) -> (MockServer, Self) {
        let shop = Self::default();
        for (operation, reply) in replies {
            let template = ResponseTemplate::new(200)
                .insert_header("X-Shopify-API-Version", "2026-10")
                .set_body_json(reply);
            shop.replies.lock().unwrap().entry(operation.to_owned()).or_default().push_back(template);
        }
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(shop.clone()).mount(&server).await;
        (server, shop)
    }

    /// What was asked, after a look that nothing was asked that the test didn't expect.
    pub(crate) fn asked(&self) -> Vec<Value> {
        let surprises = self.surprises.lock().unwrap();
        assert!(surprises.is_empty(), "requests nobody expected: {surprises:?}");
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) fn operation_of(body: &Value) -> String {
    let query = body["query"].as_str().unwrap_or_default();
    let words: Vec<&str> = query.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let at = words.iter().position(|w| *w == "query" || *w == "mutation");
    at.and_then(|at| words.get(at + 1)).map(ToString::to_string).unwrap_or_default()
}

pub(crate) fn data(data: Value) -> Value {
    json!({ "data": data, "extensions": { "cost": {
        "requestedQueryCost": 12, "actualQueryCost": 7,
        "throttleStatus": { "maximumAvailable": 2000.0, "currentlyAvailable": 1990.0, "restoreRate": 100.0 }
    } } })
}

pub(crate) fn page(nodes: Value, next: Option<&str>) -> Value {
    json!({ "pageInfo": { "hasNextPage": next.is_some(), "endCursor": next }, "nodes": nodes })
}

pub(crate) fn level(location: u64, available: Value) -> Value {
    json!({
        "location": { "id": format!("gid://shopify/Location/{location}") },
        "quantities": [{ "name": "available", "quantity": available }],
    })
}

pub(crate) fn variant(id: u64, levels: Value) -> Value {
    json!({
        "id": format!("gid://shopify/ProductVariant/{id}"), "sku": format!("SKU-{id}"), "displayName": "Mug - Red",
        "requiresComponents": false,
        "inventoryItem": {
            "id": format!("gid://shopify/InventoryItem/{}", id + 1000), "tracked": true, "inventoryLevels": levels,
        },
    })
}

pub(crate) fn line(id: u64, quantity: i64, current: i64) -> Value {
    json!({
        "id": format!("gid://shopify/LineItem/{id}"), "sku": "MUG", "quantity": quantity, "currentQuantity": current,
        "variant": { "inventoryItem": { "id": "gid://shopify/InventoryItem/1001" } },
    })
}

pub(crate) fn order(id: u64, lines: Value, fulfillments: Value, refunds: Value) -> Value {
    json!({
        "id": format!("gid://shopify/Order/{id}"), "name": format!("#{id}"), "test": false,
        "createdAt": "2026-11-22T10:00:00Z", "updatedAt": "2026-11-22T11:00:00Z",
        "lineItems": lines, "fulfillments": fulfillments, "refunds": refunds,
    })
}

pub(crate) fn fulfillment(id: u64, status: &str, lines: Value) -> Value {
    json!({ "id": format!("gid://shopify/Fulfillment/{id}"), "status": status, "fulfillmentLineItems": lines })
}

pub(crate) fn fulfilled(line: u64, quantity: i64) -> Value {
    json!({ "quantity": quantity, "lineItem": { "id": format!("gid://shopify/LineItem/{line}") } })
}

pub(crate) fn refund(id: u64, lines: Value) -> Value {
    json!({ "id": format!("gid://shopify/Refund/{id}"), "refundLineItems": lines })
}

pub(crate) fn refunded(line: u64, quantity: i64, restock: &str, restocked: bool) -> Value {
    json!({
        "quantity": quantity, "restockType": restock, "restocked": restocked,
        "lineItem": { "id": format!("gid://shopify/LineItem/{line}") },
    })
}

pub(crate) fn net(ordered: i64, cancelled: i64, shipped: i64, restocked: i64) -> LineNet {
    LineNet {
        ordered: Units::of(ordered),
        cancelled: Units::of(cancelled),
        shipped: Units::of(shipped),
        restocked: Units::of(restocked),
    }
}

pub(crate) fn orders_call() -> Call {
    Call::Orders { since: UtcMs(1_795_000_000_123), page: None }
}
