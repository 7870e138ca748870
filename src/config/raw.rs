//! The configuration file as it is written: names and types, nothing else. `config/stockd.toml` explains each key.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// The whole file. Channels are read one by one, since their keys depend on their kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "tables such as [ledger]")]
pub(super) struct Raw {
    pub(super) ledger: RawLedger,
    pub(super) daemon: RawDaemon,
    pub(super) log: RawLog,
    #[serde(default)]
    pub(super) policy: RawPolicy,
    pub(super) brake: RawBrake,
    #[serde(default)]
    pub(super) channels: BTreeMap<String, toml::Table>,
    #[serde(default, rename = "override")]
    pub(super) overrides: Vec<RawOverride>,
    #[serde(default, rename = "bundle")]
    pub(super) bundles: Vec<RawBundle>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [ledger]")]
pub(super) struct RawLedger {
    pub(super) path: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [daemon]")]
pub(super) struct RawDaemon {
    pub(super) shutdown_grace: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [log]")]
pub(super) struct RawLog {
    pub(super) format: String,
    pub(super) level: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { buffer = 2 }")]
pub(super) struct RawPolicy {
    pub(super) buffer: Option<RawScalar>,
    pub(super) share: Option<RawScalar>,
    pub(super) cap: Option<i64>,
    pub(super) min_quantity: Option<i64>,
    pub(super) oversell_cost: Option<i64>,
    pub(super) buffer_max: Option<i64>,
    pub(super) last_units: Option<i64>,
    pub(super) last_units_on: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [brake]")]
pub(super) struct RawBrake {
    pub(super) share: RawScalar,
    pub(super) min_listings: u32,
}

/// What a channel of any kind may have, beside `kind`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCommon {
    pub(super) mode: Option<String>,
    pub(super) orders: Option<RawOrders>,
    pub(super) scan: Option<RawCadence>,
    pub(super) sweep: Option<RawCadence>,
    pub(super) history: Option<String>,
    #[serde(default)]
    pub(super) policy: RawPolicy,
    #[serde(default)]
    pub(super) locations: BTreeMap<String, String>,
    pub(super) order_location: Option<String>,
    pub(super) assume_shipped_after: Option<String>,
    pub(super) timeout: Option<String>,
    pub(super) max_body: Option<String>,
    pub(super) order_delay: Option<String>,
    pub(super) settle: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { every = \"auto\" } or { every = \"20s\" }")]
pub(super) struct RawOrders {
    pub(super) every: Option<String>,
    pub(super) cron: Option<String>,
    pub(super) overlap: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { every = \"6h\" } or { cron = \"0 15 3 * * *\" }")]
pub(super) struct RawCadence {
    pub(super) every: Option<String>,
    pub(super) cron: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawShopify {
    pub(super) shop: Option<String>,
    pub(super) url: Option<String>,
    pub(super) api_version: Option<String>,
    pub(super) token: Option<RawSecret>,
    pub(super) reason: Option<String>,
    pub(super) points: Option<RawPoints>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { maximum = 2000, restore_per_second = 100 }")]
pub(super) struct RawPoints {
    pub(super) maximum: f64,
    pub(super) restore_per_second: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWoocommerce {
    pub(super) url: Option<String>,
    pub(super) key: Option<RawSecret>,
    pub(super) secret: Option<RawSecret>,
    pub(super) calls_per_second: Option<f64>,
    pub(super) burst: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table under [[override]]")]
pub(super) struct RawOverride {
    pub(super) sku: String,
    pub(super) channel: Option<String>,
    pub(super) buffer: Option<RawScalar>,
    pub(super) share: Option<RawScalar>,
    pub(super) cap: Option<i64>,
    pub(super) min_quantity: Option<i64>,
    pub(super) oversell_cost: Option<i64>,
    pub(super) buffer_max: Option<i64>,
    pub(super) last_units: Option<i64>,
    pub(super) last_units_on: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table under [[bundle]]")]
pub(super) struct RawBundle {
    pub(super) sku: String,
    pub(super) channel: Option<String>,
    #[serde(default)]
    pub(super) components: Vec<RawComponent>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { sku = \"MUG\", units = 1 }")]
pub(super) struct RawComponent {
    pub(super) sku: String,
    pub(super) units: i64,
}

/// Where a secret is found; exactly one of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSecretPlace {
    pub(super) credential: Option<String>,
    pub(super) file: Option<String>,
    pub(super) env: Option<String>,
}

/// A secret by its place. One in plain text is dropped while reading, so that nothing can print it.
#[derive(Debug)]
pub(super) enum RawSecret {
    Plain,
    Place(RawSecretPlace),
}

impl<'de> Deserialize<'de> for RawSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;
        impl<'de> Visitor<'de> for Place {
            type Value = RawSecret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table such as { file = \"...\" }")
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<RawSecret, E> {
                Ok(RawSecret::Plain)
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<RawSecret, E> {
                Ok(RawSecret::Plain)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawSecret, A::Error> {
                RawSecretPlace::deserialize(MapAccessDeserializer::new(map)).map(RawSecret::Place)
            }
        }
        deserializer.deserialize_any(Place)
    }
}

/// A number or a text, where both have a meaning.
#[derive(Debug)]
pub(super) enum RawScalar {
    Number(i64),
    Text(String),
}

impl fmt::Display for RawScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for RawScalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = RawScalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number or a percentage in quotes")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<RawScalar, E> {
                Ok(RawScalar::Number(number))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<RawScalar, E> {
                Ok(RawScalar::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}
