//! The shops on one loopback port, each under its own path, with latency and faults around them.

use std::{sync::Arc, time::Duration};

use apollo_compiler::{Schema, validation::Valid};
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header},
};
use serde::Serialize;

use super::{
    Inside,
    faults::{Fault, Faults},
    limits::Bucket,
    shopify, woocommerce,
    world::{Fate, World},
};
use crate::domain::{ChannelKind, OrderId, UtcMs};

/// The largest request taken, in bytes.
const MAX_REQUEST_BYTES: usize = 16 << 20;

/// What a shop's server keeps beside the shop itself.
#[derive(Debug)]
pub struct Desk {
    /// Shopify's points.
    pub points: Bucket,
    /// The calls that a WooCommerce host bears.
    pub calls: Option<Bucket>,
    /// Shopify's idempotency keys.
    pub keys: shopify::Keys,
    /// What goes wrong.
    pub faults: Faults,
    pub(super) schema: Arc<Valid<Schema>>,
}

impl Desk {
    pub(super) fn new(world: &World, shop: usize, schema: Arc<Valid<Schema>>, seed: u64) -> Self {
        let settings = &world.shops[shop].settings;
        let (maximum, per_second) = settings.points;
        let calls = |(per_second, burst)| Bucket::full(f64::from(burst), per_second, world.now());
        Self {
            points: Bucket::full(maximum, per_second, world.now()),
            calls: settings.calls.map(calls),
            keys: shopify::Keys::new(),
            faults: Faults::new(seed),
            schema,
        }
    }

    /// Whether the shop takes a small write now: what it owes the referee to say.
    pub(super) fn is_open(&mut self, kind: ChannelKind, now: UtcMs) -> bool {
        const SMALL_WRITE_POINTS: f64 = 20.0;
        let in_budget = match (kind, &mut self.calls) {
            (ChannelKind::Shopify, _) => self.points.admits(SMALL_WRITE_POINTS, now),
            (ChannelKind::Woocommerce, Some(calls)) => calls.admits(1.0, now),
            (ChannelKind::Woocommerce, None) => true,
        };
        in_budget && !self.faults.is_outage()
    }
}

/// A request to one shop.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// The shop's prefix.
    pub(super) shop: String,
    /// Behind the shop's prefix, without a slash in front.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// When its head arrived: a write counts as sent then, since the emulated latency comes after it.
    pub(super) arrived: UtcMs,
}

/// A JSON answer.
pub(super) fn json_answer(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Answers a request to `/{shop}/...`.
pub(super) async fn serve(State(inside): State<Arc<Inside>>, request: Request) -> Response<Body> {
    let arrived = inside.clock();
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_start_matches('/');
    let (prefix, path) = path.split_once('/').unwrap_or((path, ""));
    let Some(shop) = inside.shop(prefix) else {
        let text = format!("no shop named {prefix:?} here");
        return json_answer(StatusCode::NOT_FOUND, &serde_json::json!({ "errors": text })).map(Body::from);
    };
    let ask = Ask {
        method: head.method,
        shop: prefix.to_owned(),
        path: path.trim_end_matches('/').to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
        headers: head.headers,
        body: axum::body::to_bytes(body, MAX_REQUEST_BYTES).await.unwrap_or_default(),
        arrived,
    };
    let (fault, latency) = inside.meet(shop, &ask);
    let half = Duration::from_millis(latency) / 2;
    if let Some(Fault::Late { after_ms }) = fault {
        tokio::time::sleep(half).await;
        let _lost = inside.work(shop, &ask, Fate::Lost);
        let later = Arc::clone(&inside);
        inside.tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            let _unread = later.work(shop, &ask, Fate::AnswerLost);
        });
        return Fault::Late { after_ms }.answer(Response::default()).await;
    }
    let fate = fault.map_or(Fate::Answered, Fault::fate);
    // A task of its own: what has arrived is carried out, whether or not anybody still waits for the answer.
    let worker = Arc::clone(&inside);
    let working = inside.tasks.spawn(async move {
        tokio::time::sleep(half).await;
        worker.work(shop, &ask, fate)
    });
    let Ok((answer, delivering, read_at)) = working.await else {
        return json_answer(StatusCode::INTERNAL_SERVER_ERROR, &"the sandbox has failed").map(Body::from);
    };
    tokio::time::sleep(half).await;
    if fate == Fate::Answered {
        // The end of the handler: the body is small and the client is on the same machine.
        inside.lock().world.delivered(shop, &delivering, read_at);
    }
    match fault {
        Some(fault) => fault.answer(answer).await,
        None => answer.map(Body::from),
    }
}

impl Inside {
    /// Counts the request in, and says what goes wrong with it and how long it takes, in milliseconds.
    fn meet(&self, shop: usize, ask: &Ask) -> (Option<Fault>, u64) {
        let mut state = self.lock();
        let state = &mut *state;
        let kind = state.world.shops[shop].settings.kind;
        let writes = match kind {
            ChannelKind::Shopify => shopify::writes(ask),
            ChannelKind::Woocommerce => ask.method != Method::GET,
        };
        state.world.shops[shop].counts.requests += 1;
        let fault = state.desks[shop].faults.strike(writes);
        let extra = if let Some(Fault::Slow { ms }) = fault { ms } else { 0 };
        (fault, state.world.shops[shop].settings.latency_ms + extra)
    }

    /// Does what is asked, all at one instant: the answer, the orders in it, and that instant.
    fn work(&self, shop: usize, ask: &Ask, fate: Fate) -> (Response<Bytes>, Vec<OrderId>, UtcMs) {
        let mut state = self.lock();
        let state = &mut *state;
        let (world, desk) = (&mut state.world, &mut state.desks[shop]);
        world.fate = fate;
        world.delivering.clear();
        let kind = world.shops[shop].settings.kind;
        let answer = match kind {
            ChannelKind::Shopify => shopify::answer(world, desk, shop, ask),
            ChannelKind::Woocommerce => woocommerce::answer(world, desk, shop, ask),
        };
        world.fate = Fate::Answered;
        let (orders, now) = (std::mem::take(&mut world.delivering), world.now());
        state.judge_openness(shop);
        (answer, orders, now)
    }
}
