//! Shopify, Admin GraphQL API. Documents are the `.graphql` files beside this one.

mod graphql;
mod listings;
mod net;
mod orders;
mod walk;
mod write;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{
    BuildError, ShopifyConnection,
    http::{Http, Intent, endpoint},
};
use crate::domain::{
    Call, CallError, Capabilities, ChannelKind, ChannelLocation, Costs, Identity, Meter, OwnQuotas, Quota,
    Reply, WriteMode,
};
use graphql::{Connection, Refusal, odd};

/// Pages walked on one connection inside a call before the shop is taken to be going round in circles.
const MAX_PAGES: usize = 200;
/// A connection can be walked about 25,000 objects deep (usage limits); a walk starts afresh well before.
const MAX_DEPTH: usize = 20_000;
const ORDERS_PAGE: usize = 50;
const LISTINGS_PAGE: usize = 100;
const LOCATIONS_PAGE: usize = 50;

/// A Shopify shop to be called.
#[derive(Debug)]
pub(super) struct Shopify {
    pub(super) http: Http,
    endpoint: Url,
    token: HeaderValue,
    version: String,
    reason: String,
    orders_page: PageSize,
    listings_page: PageSize,
}

/// What a Shopify shop can do.
pub(super) fn capabilities(connection: &ShopifyConnection) -> Capabilities {
    let (maximum, restore_per_second) = connection.points;
    Capabilities {
        kind: ChannelKind::Shopify,
        write_mode: WriteMode::CompareAndSet,
        write_batch: write::MAX_ROWS,
        read_batch: 100,
        orders_by_id_batch: ORDERS_PAGE,
        quota: Quota::Points { maximum, restore_per_second },
        own_quotas: OwnQuotas::default(),
        landing_ms: 0,
        quantity_lag_ms: 0,
        revisions_per_day: None,
        // A mutation is charged 10 (usage limits); pages are estimates until the first reply tells.
        costs: Costs { identify: 10, orders: 40, listings: 30, levels: 20, write: 10 },
        concurrency: 2,
        settle_ms: connection.common.settle_ms,
        // Keys are kept for 24 hours (idempotent requests).
        key_life_ms: Some(24 * 3600 * 1000),
        order_delay_ms: connection.common.order_delay_ms,
        order_overlap_ms: connection.common.order_overlap_ms,
        time_step_ms: 1000,
    }
}

impl Shopify {
    pub(super) fn new(connection: &ShopifyConnection) -> Result<Self, BuildError> {
        let mut token = HeaderValue::from_str(connection.token.expose_secret())
            .map_err(|_| BuildError::Secret("access token"))?;
        token.set_sensitive(true);
        let secrets: Vec<SecretString> = vec![connection.token.clone()];
        let version = connection.api_version.clone();
        Ok(Self {
            http: Http::new(
                &connection.base,
                &connection.common,
                capabilities(connection).quota,
                secrets,
                graphql::explain,
            )?,
            endpoint: endpoint(&connection.base, &["admin", "api", &version, "graphql.json"])?,
            token,
            version,
            reason: connection.reason.clone(),
            orders_page: PageSize::new(ORDERS_PAGE),
            listings_page: PageSize::new(LISTINGS_PAGE),
        })
    }

    pub(super) async fn call(&self, call: &Call, meter: &mut Meter) -> Result<Reply, CallError> {
        match call {
            Call::Identify => self.identify(meter).await.map(Reply::Identity),
            Call::Orders { since, page } => {
                self.orders(*since, page.as_ref(), meter).await.map(Reply::Orders)
            }
            Call::OrdersById(ids) => self.orders_by_id(ids, meter).await.map(Reply::Orders),
            Call::Listings { page } => self.listings(page.as_ref(), meter).await.map(Reply::Listings),
            Call::Levels(places) => self.levels(places, meter).await.map(Reply::Levels),
            Call::Write { key, rows } => self.write(key, rows, meter).await.map(Reply::Written),
        }
    }

    async fn identify(&self, meter: &mut Meter) -> Result<Identity, CallError> {
        #[derive(Deserialize)]
        struct Data {
            shop: Named,
            locations: Connection<Named>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Named {
            id: String,
            name: String,
            #[serde(default)]
            is_active: bool,
        }
        let document = include_str!("identify.graphql");
        let mut locations = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let variables = json!({ "first": LOCATIONS_PAGE, "after": after });
            let answer = self.query::<Data>(document, &variables, Intent::Read, meter).await?;
            for location in answer.data.locations.nodes.iter().filter(|l| l.is_active) {
                locations
                    .push((ChannelLocation::new(numeric(&location.id).map_err(odd)?), location.name.clone()));
            }
            after = answer.data.locations.page_info.next(after.as_deref())?;
            if after.is_none() {
                return Ok(Identity {
                    account: numeric(&answer.data.shop.id).map_err(odd)?.to_owned(),
                    name: answer.data.shop.name,
                    locations,
                    warnings: self.version_warning(answer.version.as_deref()).into_iter().collect(),
                });
            }
        }
        Err(odd("the list of locations has no end"))
    }

    /// A version that Shopify no longer serves silently becomes another one (versioning).
    fn version_warning(&self, served: Option<&str>) -> Option<String> {
        let served = served.filter(|v| *v != self.version)?;
        Some(format!(
            "Shopify served API version {} instead of {}: set a supported api_version",
            served, self.version
        ))
    }
}

/// How many rows a page asks for: halved for good when the shop finds the document too costly.
#[derive(Debug)]
struct PageSize(AtomicUsize);

impl PageSize {
    fn new(rows: usize) -> Self {
        Self(AtomicUsize::new(rows))
    }

    fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Smaller than `rows` from now on; the refusal itself where there is nothing to halve.
    fn shrink_below(&self, rows: usize, refusal: Refusal) -> Result<(), CallError> {
        match refusal {
            Refusal::TooCostly(_) if rows > 1 => {
                self.0.fetch_min(rows / 2, Relaxed);
                Ok(())
            }
            refusal => Err(refusal.into()),
        }
    }
}

/// The numeric end of a global id such as `gid://shopify/Location/7`.
fn numeric(gid: &str) -> Result<&str, String> {
    let end = gid.rsplit('/').next().unwrap_or_default();
    if is_numeric(end) { Ok(end) } else { Err(format!("{gid:?} is no global id")) }
}

/// The global id of a `kind` by its numeric end.
fn gid(kind: &str, id: &str) -> Result<String, CallError> {
    if is_numeric(id) {
        Ok(format!("gid://shopify/{kind}/{id}"))
    } else {
        Err(CallError::Rejected { detail: format!("{id:?} is no Shopify {kind} id") })
    }
}

fn is_numeric(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())
}
