//! WooCommerce, REST API v3. Facts without a source here were measured on 9.5.1.

mod listings;
mod net;
mod orders;
mod write;

use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::{
    BuildError, WoocommerceConnection,
    http::{Arrived, Http, Intent, Said, endpoint},
};
use crate::domain::{
    Call, CallError, Capabilities, ChannelKind, Costs, Identity, ListingId, Meter, OwnQuotas, Quota, Reply,
    WriteMode,
};

/// Rows per page and per batch; the API refuses more.
const MAX_ROWS: usize = 100;

/// A WooCommerce site to be called.
#[derive(Debug)]
pub(super) struct Woocommerce {
    pub(super) http: Http,
    /// Ends in `wp-json/wc/v3`.
    root: Url,
    account: String,
    key: SecretString,
    secret: SecretString,
}

/// What a WooCommerce site can do.
pub(super) fn capabilities(connection: &WoocommerceConnection) -> Capabilities {
    let (per_second, burst) = connection.calls;
    Capabilities {
        kind: ChannelKind::Woocommerce,
        write_mode: WriteMode::Absolute,
        write_batch: MAX_ROWS,
        read_batch: MAX_ROWS,
        orders_by_id_batch: MAX_ROWS,
        quota: Quota::Calls { per_second, burst },
        own_quotas: OwnQuotas::default(),
        landing_ms: 0,
        quantity_lag_ms: 0,
        revisions_per_day: None,
        costs: Costs { identify: 1, orders: 1, listings: 1, levels: 1, write: 1 },
        concurrency: 2,
        settle_ms: connection.common.settle_ms,
        key_life_ms: None,
        order_delay_ms: connection.common.order_delay_ms,
        order_overlap_ms: connection.common.order_overlap_ms,
        time_step_ms: 1000,
    }
}

impl Woocommerce {
    pub(super) fn new(connection: &WoocommerceConnection) -> Result<Self, BuildError> {
        // Basic authentication ends the user name at the first colon.
        if connection.key.expose_secret().contains(':') {
            return Err(BuildError::Secret("consumer key"));
        }
        let secrets = vec![connection.key.clone(), connection.secret.clone()];
        Ok(Self {
            http: Http::new(
                &connection.base,
                &connection.common,
                capabilities(connection).quota,
                secrets,
                explain,
            )?,
            root: endpoint(&connection.base, &["wp-json", "wc", "v3"])?,
            account: account(&connection.base),
            key: connection.key.clone(),
            secret: connection.secret.clone(),
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
            Call::Write { rows, .. } => self.write(rows, meter).await.map(Reply::Written),
        }
    }

    /// The API has no shop id: the site's address stands for it. That the keys are this site's is shown by the reply.
    async fn identify(&self, meter: &mut Meter) -> Result<Identity, CallError> {
        self.list("products", &[("per_page", "1"), ("_fields", "id")], meter).await?;
        let account = self.account.clone();
        Ok(Identity { name: account.clone(), account, locations: Vec::new(), warnings: Vec::new() })
    }

    /// Reads a list. Rows are read one by one later, so that a bad one spoils only itself.
    async fn list(&self, path: &str, query: &[(&str, &str)], meter: &mut Meter) -> Result<Listed, CallError> {
        let request = self.authorised(self.http.get(self.url(path)).query(query));
        let arrived = self.http.send(request, Intent::Read, meter).await?;
        let number = |name: &str| arrived.header(name).and_then(|text| text.parse().ok());
        let (total, pages) = (number("X-WP-Total"), number("X-WP-TotalPages"));
        Ok(Listed { rows: decoded(arrived, Intent::Read)?, total, pages })
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(self.key.expose_secret(), Some(self.secret.expose_secret()))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.root.clone();
        url.set_path(&format!("{}/{path}", self.root.path()));
        url
    }
}

/// A page of a list.
struct Listed {
    rows: Vec<Value>,
    /// Rows and pages there are in all, where the site says so.
    total: Option<usize>,
    pages: Option<usize>,
}

impl Listed {
    /// Whether there may be rows behind page `page`.
    fn more_behind(&self, page: usize) -> bool {
        self.pages.map_or(self.rows.len() >= MAX_ROWS, |pages| page < pages)
    }
}

fn decoded<T: DeserializeOwned>(arrived: Arrived, intent: Intent) -> Result<T, CallError> {
    serde_json::from_value(arrived.json).map_err(|e| intent.lost(format!("unexpected reply: {e}")))
}

/// Reads an error body: `{"code", "message", "data"}`. WordPress and WooCommerce prefix their own codes.
fn explain(body: &Value) -> Said {
    let (code, message) =
        (body["code"].as_str().unwrap_or_default(), body["message"].as_str().unwrap_or_default());
    let genuine = code.starts_with("woocommerce_rest_") || code.starts_with("rest_");
    Said { text: format!("{code}: {message}"), genuine }
}

/// The site's address without its scheme.
fn account(base: &Url) -> String {
    let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}{}", base.host_str().unwrap_or_default(), base.path().trim_end_matches('/'))
}

/// A product, or a variation of one, as the API addresses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    parent: Option<u64>,
    id: u64,
}

impl Address {
    fn parse(listing: &ListingId) -> Result<Self, CallError> {
        let text = listing.as_str();
        let address = match text.split_once('/') {
            Some((parent, id)) => parent.parse().ok().zip(id.parse().ok()).map(|(p, id)| (Some(p), id)),
            None => text.parse().ok().map(|id| (None, id)),
        };
        address
            .map(|(parent, id)| Self { parent, id })
            .ok_or_else(|| CallError::Rejected { detail: format!("{text:?} is no WooCommerce product") })
    }

    fn listing(self) -> ListingId {
        match self.parent {
            Some(parent) => ListingId::new(format!("{parent}/{}", self.id)),
            None => ListingId::new(self.id.to_string()),
        }
    }

    /// Where the list is in which it stands.
    fn collection(parent: Option<u64>) -> String {
        parent.map_or_else(|| "products".to_owned(), |parent| format!("products/{parent}/variations"))
    }

    /// All of one list, as one request needs them: its parent and the ids.
    fn of_one_group<'a>(
        listings: impl Iterator<Item = &'a ListingId>,
    ) -> Result<(Option<u64>, Vec<u64>), CallError> {
        let addresses = listings.map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        let parent = addresses.first().and_then(|a| a.parent);
        if addresses.iter().any(|a| a.parent != parent) {
            return Err(CallError::Rejected { detail: "listings of several groups in one call".to_owned() });
        }
        Ok((parent, addresses.into_iter().map(|a| a.id).collect()))
    }
}

/// Refuses what the API would refuse, before it costs a request.
fn at_most_a_page(rows: usize) -> Result<(), CallError> {
    if rows <= MAX_ROWS {
        return Ok(());
    }
    Err(CallError::Rejected { detail: format!("{rows} rows in one call, {MAX_ROWS} at most") })
}

/// Ids as the `include` parameter takes them.
fn joined(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}
