//! Addresses and secrets of channels.

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::{Check, channel::Draft, last};
use crate::{
    channels::{Common, Connection, ShopifyConnection, WoocommerceConnection},
    config::{
        defaults,
        diagnose::{Path, Problem},
        raw::{RawSecret, RawSecretPlace, RawShopify, RawWoocommerce},
        secrets::{Found, Place},
    },
    domain::ChannelKind,
};

/// The keys that a kind of channel has to itself.
pub(super) enum RawConnection {
    Shopify(RawShopify),
    Woocommerce(RawWoocommerce),
}

/// Reads the keys of a kind.
pub(super) fn raw(
    check: &mut Check<'_>,
    at: &Path,
    kind: ChannelKind,
    table: toml::Table,
) -> Option<RawConnection> {
    match kind {
        ChannelKind::Shopify => check.shaped(table, at).map(RawConnection::Shopify),
        ChannelKind::Woocommerce => check.shaped(table, at).map(RawConnection::Woocommerce),
    }
}

/// The connection, and whether its secrets were read.
pub(super) fn read(
    check: &mut Check<'_>,
    at: &Path,
    raw: RawConnection,
    common: Common,
) -> Option<(Connection, bool)> {
    match raw {
        RawConnection::Shopify(raw) => shopify(check, at, raw, common),
        RawConnection::Woocommerce(raw) => woocommerce(check, at, raw, common),
    }
}

/// Where a connection leads.
pub(super) fn base(connection: &Connection) -> &Url {
    match connection {
        Connection::Shopify(shop) => &shop.base,
        Connection::Woocommerce(site) => &site.base,
    }
}

/// Whether it leads to this machine.
pub(super) fn is_sandbox(connection: &Connection) -> bool {
    is_loopback(base(connection))
}

/// What only shows when channels are looked at together: one shop twice, a sandbox beside a shop (fault O5).
pub(super) fn together(check: &mut Check<'_>, drafts: &[Draft]) {
    for (place, draft) in drafts.iter().enumerate() {
        let same = drafts[..place].iter().find(|other| base(&other.connection) == base(&draft.connection));
        if let Some(other) = same {
            let (this, other) = (&draft.settings.id, &other.settings.id);
            check.problems.push(
                Problem::new(
                    &draft.at,
                    format!("`{this}` leads to the same shop as `{other}`"),
                    "each shop once",
                    "remove one of the two channels, or correct its address",
                )
                .at_key(),
            );
        }
    }
    let sandbox = drafts.iter().find(|draft| is_sandbox(&draft.connection));
    let real = drafts.iter().find(|draft| !is_sandbox(&draft.connection));
    if let (Some(sandbox), Some(real)) = (sandbox, real) {
        check.problem(
            &sandbox.at.key("url"),
            format!(
                "`{}` is a sandbox on this machine, `{}` is a real shop",
                sandbox.settings.id, real.settings.id
            ),
            "sandboxes only, or real shops only",
            "keep the sandbox in a configuration and a ledger of its own",
        );
    }
}

fn shopify(check: &mut Check<'_>, at: &Path, raw: RawShopify, common: Common) -> Option<(Connection, bool)> {
    let base = match (raw.shop.as_deref(), raw.url.as_deref()) {
        (Some(shop), None) => shop_address(check, &at.key("shop"), shop),
        (None, Some(url)) => address(check, &at.key("url"), url).filter(|url| {
            let loopback = is_loopback(url);
            if !loopback {
                check.problem(
                    &at.key("url"),
                    "`url` of a Shopify channel is for a sandbox on this machine",
                    "a loopback address",
                    "name a real shop by shop = \"example.myshopify.com\"",
                );
            }
            loopback
        }),
        (Some(_), Some(_)) => {
            check.problem(&at.key("url"), "both `shop` and `url`", "one of the two", "remove `url`");
            None
        }
        (None, None) => {
            let cure = "add shop = \"example.myshopify.com\"";
            check.missing(&at.key("shop"), "the channel has no shop", "a key `shop`", cure);
            None
        }
    };
    let version = raw.api_version.as_deref().unwrap_or(defaults::SHOPIFY_API_VERSION);
    api_version(check, &at.key("api_version"), version);
    let reason = raw.reason.unwrap_or_else(|| defaults::SHOPIFY_REASON.to_owned());
    if reason.is_empty() {
        check.problem(
            &at.key("reason"),
            "the reason is empty",
            "a reason that Shopify knows",
            "write \"correction\"",
        );
    }
    let points = raw.points.map_or(defaults::SHOPIFY_POINTS, |points| {
        positive(check, &at.key("points").key("maximum"), points.maximum);
        positive(check, &at.key("points").key("restore_per_second"), points.restore_per_second);
        (points.maximum, points.restore_per_second)
    });
    let token = secret(check, &at.key("token"), raw.token);
    let known = token.is_some();
    Some((
        Connection::Shopify(ShopifyConnection {
            base: base?,
            api_version: version.to_owned(),
            token: token.unwrap_or_default(),
            reason,
            points,
            common,
        }),
        known,
    ))
}

fn woocommerce(
    check: &mut Check<'_>,
    at: &Path,
    raw: RawWoocommerce,
    common: Common,
) -> Option<(Connection, bool)> {
    let at_url = at.key("url");
    let base = raw.url.as_deref().and_then(|url| address(check, &at_url, url));
    if raw.url.is_none() {
        check.missing(
            &at_url,
            "the channel has no address",
            "a key `url`",
            "add url = \"https://shop.example/\"",
        );
    }
    if base.as_ref().is_some_and(|url| url.path().contains("wp-json")) {
        check.problem(
            &at_url,
            "this is the address of the API",
            "the site's address",
            "leave out everything from /wp-json on",
        );
    }
    let (per_second, burst) = defaults::WOOCOMMERCE_CALLS;
    let calls = (raw.calls_per_second.unwrap_or(per_second), raw.burst.unwrap_or(burst));
    positive(check, &at.key("calls_per_second"), calls.0);
    let key = secret(check, &at.key("key"), raw.key);
    let secret = secret(check, &at.key("secret"), raw.secret);
    if key.as_ref().is_some_and(|key| key.expose_secret().starts_with("cs_")) {
        check.problem(
            &at.key("key"),
            "this is a consumer secret",
            "a consumer key (ck_...)",
            "swap `key` and `secret`",
        );
    }
    let known = key.is_some() && secret.is_some();
    Some((
        Connection::Woocommerce(WoocommerceConnection {
            base: base?,
            key: key.unwrap_or_default(),
            secret: secret.unwrap_or_default(),
            calls,
            common,
        }),
        known,
    ))
}

fn shop_address(check: &mut Check<'_>, at: &Path, shop: &str) -> Option<Url> {
    let name = shop.strip_suffix(".myshopify.com").unwrap_or_default();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.starts_with('-') || !name.chars().all(good) {
        let bare = shop.trim_start_matches("https://").trim_end_matches('/').to_ascii_lowercase();
        let cure = if bare != shop && bare.ends_with(".myshopify.com") {
            format!("write \"{bare}\"")
        } else {
            "write the name that the shop's admin shows under Settings, Domains, such as \"example.myshopify.com\""
                .to_owned()
        };
        check.problem(at, "this is no Shopify shop", "NAME.myshopify.com", cure);
        return None;
    }
    Url::parse(&format!("https://{shop}/")).ok()
}

/// An address without user, query and fragment, ending in a slash; HTTPS unless it leads to this machine.
fn address(check: &mut Check<'_>, at: &Path, text: &str) -> Option<Url> {
    let expected = "an address such as \"https://shop.example/\"";
    let mut url = match Url::parse(text) {
        Ok(url) if url.has_host() && matches!(url.scheme(), "http" | "https") => url,
        _ => {
            check.problem(at, "this is no web address", expected, "write it with https:// in front");
            return None;
        }
    };
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        let cure = "leave out everything before @ and from ? or # on; secrets have keys of their own";
        check.problem(at, "more than an address", expected, cure);
        return None;
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        check.problem(
            at,
            "plain http would send the credentials readable through the network",
            "an https:// address; http only for loopback",
            "write https:// and have the site serve it",
        );
        return None;
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn api_version(check: &mut Check<'_>, at: &Path, version: &str) {
    let known_form = version.split_once('-').is_some_and(|(year, month)| {
        year.len() == 4
            && year.bytes().all(|b| b.is_ascii_digit())
            && ["01", "04", "07", "10"].contains(&month)
    });
    if !known_form || version < "2026-04" {
        check.problem(
            at,
            format!("\"{version}\" is no version that stockd can write with"),
            "a quarter such as 2026-10, from 2026-04 on",
            format!("write \"{}\", or leave it out", defaults::SHOPIFY_API_VERSION),
        );
    }
}

fn positive(check: &mut Check<'_>, at: &Path, number: f64) {
    if !(number > 0.0 && number <= 1_000_000.0) {
        check.problem(
            at,
            format!("{number} is out of range"),
            "a number above 0, at most 1000000",
            "write what the channel allows",
        );
    }
}

/// The secret; `None` where it has a problem or was not to be read.
fn secret(check: &mut Check<'_>, at: &Path, raw: Option<RawSecret>) -> Option<SecretString> {
    let place = place(check, at, raw)?;
    match (check.world.find)(&place) {
        Found::Secret(secret) => Some(secret),
        Found::Doubtful(secret, what, cure) => {
            check.warn(at, what, cure);
            Some(secret)
        }
        Found::NotHere(note) => {
            if let Some(note) = note {
                check.warn(at, note, "the service's own start checks it");
            }
            None
        }
        Found::Failed(why, cure) => {
            check.problem(at, why, "a secret that can be read", cure);
            None
        }
    }
}

fn place(check: &mut Check<'_>, at: &Path, raw: Option<RawSecret>) -> Option<Place> {
    let expected = "{ credential = \"...\" }, { file = \"...\" } or { env = \"...\" }";
    let (title, cure) = match raw {
        None => {
            let cure = "add it, such as { credential = \"shop\" } for a systemd credential";
            check.missing(at, format!("the secret `{}` is missing", last(at)), expected, cure);
            return None;
        }
        Some(RawSecret::Plain) => (
            "a secret in plain text",
            "put it into a file that only stockd can read and write { file = \"/path/to/it\" }; then make a new one, \
             for this one has been in the open",
        ),
        Some(RawSecret::Place(RawSecretPlace { credential: Some(name), file: None, env: None }))
            if !name.is_empty() && !name.contains('/') && !name.starts_with('.') =>
        {
            return Some(Place::Credential(name));
        }
        Some(RawSecret::Place(RawSecretPlace { credential: None, file: Some(path), env: None }))
            if !path.is_empty() =>
        {
            return Some(Place::File(path.into()));
        }
        Some(RawSecret::Place(RawSecretPlace { credential: None, file: None, env: Some(name) }))
            if !name.is_empty() && !name.contains('=') =>
        {
            return Some(Place::Env(name));
        }
        Some(RawSecret::Place(_)) => {
            ("this names no place of a secret", "name exactly one place; a credential is a plain name")
        }
    };
    check.problem(at, title, expected, cure);
    None
}
