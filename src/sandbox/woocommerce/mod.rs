//! WooCommerce's REST API v3: `/{shop}/wp-json/wc/v3/...`, as recorded from 9.5.1 (`exchanges.json`; names in quotes
//! below are exchanges of that file).
//!
//! Read: products, variations, orders, refunds. Written: products and variations, one by one and in batches; nothing of
//! orders, which only shoppers and staff change here.
//!
//! Doubts: loopback counts as HTTPS, so that Basic works; a write changes `stock_quantity` and `manage_stock` and ignores
//! every other field; `create` and `delete` of a batch are refused item by item; `search` and the like are ignored.

mod orders;
mod page;
mod products;

use axum::{
    body::Bytes,
    http::{HeaderValue, Method, Response, StatusCode, header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use self::page::Parameters;
use super::{
    http::{Ask, Desk, json_answer},
    world::{Fate, Shop, World},
};
use crate::domain::UtcMs;

/// At most so many objects in a batch, over create, update and delete.
const MAX_BATCH: usize = 100;

/// An error as the API tells it.
#[derive(Debug)]
struct Refused {
    status: u16,
    code: &'static str,
    message: String,
    more: Value,
}

impl Refused {
    fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned(), more: json!({}) }
    }

    fn body(&self) -> Value {
        let mut data = json!({ "status": self.status });
        if let (Value::Object(data), Value::Object(more)) = (&mut data, &self.more) {
            data.extend(more.clone());
        }
        json!({"code": self.code, "message": self.message, "data": data})
    }
}

/// What is answered when all is well.
enum Right {
    One(Value),
    Many { items: Vec<Value>, total: usize, pages: usize, page: usize },
}

/// Answers one request to `shop`.
pub(super) fn answer(world: &mut World, desk: &mut Desk, shop: usize, ask: &Ask) -> Response<Bytes> {
    let now = world.now();
    if let Some(calls) = desk.calls.as_mut().filter(|_| world.fate != Fate::Lost) {
        if !calls.admits(1.0, now) {
            world.shops[shop].counts.throttled += 1;
            let wait = calls.wait(1.0, now).ceil();
            return host_limit(world.shops[shop].settings.retry_after.then_some(wait));
        }
        calls.spend(1.0, now);
    }
    let parameters = Parameters::new(&ask.query);
    match route(world, shop, ask, &parameters) {
        Ok(Right::One(body)) => json_answer(StatusCode::OK, &body),
        Ok(Right::Many { items, total, pages, page }) => {
            let mut answer = json_answer(StatusCode::OK, &items);
            let headers = answer.headers_mut();
            headers.insert("X-WP-Total", HeaderValue::from(total));
            headers.insert("X-WP-TotalPages", HeaderValue::from(pages));
            if let Some(link) = parameters.link(ask, page, pages) {
                headers.insert(header::LINK, link);
            }
            answer
        }
        Err(refused) => {
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            json_answer(status, &refused.body())
        }
    }
}

/// What a host in front of the shop says: not JSON, with or without a time to wait in seconds.
fn host_limit(wait: Option<f64>) -> Response<Bytes> {
    let mut response =
        Response::new(Bytes::from_static(b"<html><body><h1>429 Too Many Requests</h1></body></html>"));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    if let Some(value) = wait.and_then(|wait| HeaderValue::from_str(&format!("{wait}")).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn route(world: &mut World, shop: usize, ask: &Ask, parameters: &Parameters) -> Result<Right, Refused> {
    let no_route =
        || Refused::new(404, "rest_no_route", "No route was found matching the URL and request method.");
    let path = ask.path.strip_prefix("wp-json/wc/v3/").ok_or_else(no_route)?;
    let parts: Vec<&str> = path.split('/').collect();
    let reads = ask.method == Method::GET;
    let edits = [Method::PUT, Method::POST, Method::PATCH].contains(&ask.method);
    let known = match parts[..] {
        ["products" | "orders" | "refunds"]
        | ["orders", _]
        | ["orders", _, "refunds"]
        | ["products", _, "variations"] => reads,
        ["products", "batch"] | ["products", _, "variations", "batch"] => edits,
        ["products", _] | ["products", _, "variations", _] => reads || edits,
        _ => false,
    };
    if !known {
        return Err(no_route());
    }
    authorise(&world.shops[shop], ask, parameters, parts.contains(&"batch"))?;
    let id = |text: &str| text.parse::<u64>().map_err(|_| no_route());
    match (&parts[..], reads) {
        (["products"], _) => products::list(&world.shops[shop], world.now(), parameters),
        (["products", "batch"], _) => products::batch(world, shop, None, ask).map(Right::One),
        (["products", product], true) => {
            products::read(world, shop, None, id(product)?, parameters).map(Right::One)
        }
        (["products", product], false) => {
            products::edit(world, shop, None, id(product)?, ask).map(Right::One)
        }
        (["products", parent, "variations"], _) => {
            products::variations(&world.shops[shop], world.now(), id(parent)?, parameters)
        }
        (["products", parent, "variations", "batch"], _) => {
            products::batch(world, shop, Some(id(parent)?), ask).map(Right::One)
        }
        (["products", parent, "variations", variation], true) => {
            products::read(world, shop, Some(id(parent)?), id(variation)?, parameters).map(Right::One)
        }
        (["products", parent, "variations", variation], false) => {
            products::edit(world, shop, Some(id(parent)?), id(variation)?, ask).map(Right::One)
        }
        (["orders"], _) => orders::list(world, shop, parameters),
        (["orders", order], _) => orders::read(world, shop, id(order)?, parameters).map(Right::One),
        (["orders", order, "refunds"], _) => {
            orders::refunds(&world.shops[shop], Some(id(order)?), parameters)
        }
        _ => orders::refunds(&world.shops[shop], None, parameters),
    }
}

/// "no credentials", "bad consumer key", "credentials in the query string", "wrong secret in the query string".
///
/// Doubt: what an unknown key is told on writes is not recorded.
fn authorise(shop: &Shop, ask: &Ask, parameters: &Parameters, batch: bool) -> Result<(), Refused> {
    let basic = || {
        let header = ask.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let decoded = BASE64_STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
        let (key, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some((key.to_owned(), secret.to_owned()))
    };
    let in_query = || {
        let key = parameters.text("consumer_key")?;
        Some((key.to_owned(), parameters.text("consumer_secret").unwrap_or("").to_owned()))
    };
    match basic().or_else(in_query) {
        Some((key, secret)) if key == shop.settings.key => {
            if secret == shop.settings.secret {
                return Ok(());
            }
            Err(Refused::new(401, "woocommerce_rest_authentication_error", "Consumer secret is invalid."))
        }
        _ if ask.method == Method::GET => {
            Err(Refused::new(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources."))
        }
        _ if batch => Err(Refused::new(
            401,
            "woocommerce_rest_cannot_batch",
            "Sorry, you are not allowed to batch manipulate this resource.",
        )),
        _ => Err(Refused::new(
            401,
            "woocommerce_rest_cannot_edit",
            "Sorry, you are not allowed to edit this resource.",
        )),
    }
}

/// An instant as the API writes it, in GMT and in the site's own time.
fn stamps(shop: &Shop, at: UtcMs) -> (String, String) {
    let text = |at: UtcMs| at.rfc3339_seconds().trim_end_matches('Z').to_owned();
    (text(at), text(at.plus_ms(shop.settings.zone_minutes * 60_000)))
}
