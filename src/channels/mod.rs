//! The sales channels: each builds requests, decodes replies and says what it can do.
//!
//! They see neither ledger nor engine: a [`Call`] comes in, an [`Answer`] goes out.

mod decode;
mod http;
mod shopify;
mod valve;
mod woocommerce;

use secrecy::SecretString;
use url::Url;

use crate::domain::{Answer, Call, CallError, Capabilities, Meter, Reply, RowOutcome};

/// Where a channel is and how to get in: validated, with the secrets already resolved.
#[derive(Clone, Debug)]
pub enum Connection {
    /// A Shopify shop.
    Shopify(ShopifyConnection),
    /// A WooCommerce site.
    Woocommerce(WoocommerceConnection),
}

/// A Shopify shop.
#[derive(Clone, Debug)]
pub struct ShopifyConnection {
    /// `https://{shop}.myshopify.com/`, or plain HTTP on loopback for the sandbox.
    pub base: Url,
    /// The Admin API version, such as `2026-10`.
    pub api_version: String,
    /// The access token.
    pub token: SecretString,
    /// The reason given with each change of stock.
    pub reason: String,
    /// The bucket of points until a reply says it: size and points per second.
    pub points: (f64, f64),
    /// What all channels have.
    pub common: Common,
}

/// A WooCommerce site.
#[derive(Clone, Debug)]
pub struct WoocommerceConnection {
    /// The site's address; `wp-json/wc/v3/...` goes behind it. Plain HTTP only on loopback.
    pub base: Url,
    /// The consumer key (`ck_...`).
    pub key: SecretString,
    /// The consumer secret (`cs_...`).
    pub secret: SecretString,
    /// Calls per second and calls at once that the site's host can bear.
    pub calls: (f64, u32),
    /// What all channels have.
    pub common: Common,
}

/// Settings that every channel has.
#[derive(Clone, Copy, Debug)]
pub struct Common {
    /// The total time for one request, body included, in milliseconds.
    pub timeout_ms: u64,
    /// The largest reply body read, in bytes.
    pub max_body_bytes: usize,
    /// See [`Capabilities::order_overlap_ms`].
    pub order_overlap_ms: i64,
    /// See [`Capabilities::order_delay_ms`].
    pub order_delay_ms: i64,
    /// See [`Capabilities::settle_ms`].
    pub settle_ms: i64,
}

/// A channel that can be called. Calls may run at the same time.
#[derive(Debug)]
pub struct Client(Kind);

#[derive(Debug)]
enum Kind {
    Shopify(shopify::Shopify),
    Woocommerce(woocommerce::Woocommerce),
}

/// Why no client can be made of a [`Connection`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Neither HTTPS nor this machine.
    #[error("the shop's address must be https (plain http only to this machine)")]
    Insecure,
    /// A token that can't stand in a header.
    #[error("the {0} holds characters that no such secret has")]
    Secret(&'static str),
    /// No TLS, no certificates.
    #[error("no HTTP client: {0}")]
    Client(String),
}

impl Client {
    /// Prepares a client. Nothing goes over the wire yet.
    ///
    /// # Errors
    /// [`BuildError`] where the address or the secrets can't be used, or TLS can't be set up.
    pub fn new(connection: &Connection) -> Result<Self, BuildError> {
        Ok(Self(match connection {
            Connection::Shopify(c) => Kind::Shopify(shopify::Shopify::new(c)?),
            Connection::Woocommerce(c) => Kind::Woocommerce(woocommerce::Woocommerce::new(c)?),
        }))
    }

    /// Carries out one call. Never longer than [`Common::timeout_ms`] for each request it needs; nothing is repeated.
    pub async fn call(&self, call: &Call) -> Answer {
        let mut meter = Meter::default();
        let (mut result, http) = match &self.0 {
            Kind::Shopify(shop) => (shop.call(call, &mut meter).await, &shop.http),
            Kind::Woocommerce(shop) => (shop.call(call, &mut meter).await, &shop.http),
        };
        match &mut result {
            Ok(reply) => clean_reply(reply, |text| *text = http.clean(text)),
            Err(error) => clean_error(error, |text| *text = http.clean(text)),
        }
        Answer { result, meter }
    }
}

/// What a channel can do, known before the first call.
pub fn capabilities(connection: &Connection) -> Capabilities {
    match connection {
        Connection::Shopify(c) => shopify::capabilities(c),
        Connection::Woocommerce(c) => woocommerce::capabilities(c),
    }
}

/// Applies `clean` to whatever a reply quotes for people: the one guard between a channel's words and our logs.
fn clean_reply(reply: &mut Reply, clean: impl FnMut(&mut String)) {
    match reply {
        Reply::Identity(identity) => identity.warnings.iter_mut().for_each(clean),
        Reply::Orders(page) => {
            let states = page.orders.iter_mut().filter_map(|order| order.unknown_state.as_mut());
            page.rejected.iter_mut().chain(states).for_each(clean);
        }
        Reply::Listings(page) => page.rejected.iter_mut().for_each(clean),
        Reply::Levels(_) => {}
        Reply::Written(outcomes) => {
            let details = outcomes.iter_mut().filter_map(|outcome| match outcome {
                RowOutcome::Conflict { detail }
                | RowOutcome::Rejected { detail }
                | RowOutcome::Unknown { detail } => Some(detail),
                RowOutcome::Applied | RowOutcome::NotTried => None,
            });
            details.for_each(clean);
        }
    }
}

fn clean_error(error: &mut CallError, mut clean: impl FnMut(&mut String)) {
    match error {
        CallError::Throttled { detail, .. }
        | CallError::Retry { detail }
        | CallError::Unknown { detail }
        | CallError::Rejected { detail }
        | CallError::Auth { detail } => clean(detail),
    }
}
