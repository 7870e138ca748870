//! Holds `config/stockd.toml`, the reference, equal to the raw structures and the built-in defaults.

use std::path::Path;

use chrono::DateTime;
use secrecy::SecretString;

use super::{Loaded, diagnose::Source, layers::keys, raw::*, secrets::Found, understand};

const REFERENCE: &str = include_str!("../../config/stockd.toml");

/// What the reference sets beside defaults: all that has none.
const WITHOUT_DEFAULT: &str = r#"
[policy]
cap = 250
last_units_on = ["web"]
[channels.web]
kind = "shopify"
shop = "example.myshopify.com"
token = { credential = "web_token" }
policy = { buffer = 2 }
locations = { main = "655441491" }
[channels.outlet]
kind = "woocommerce"
url = "https://outlet.example/"
key = { file = "/etc/stockd/outlet.key" }
secret = { file = "/etc/stockd/outlet.secret" }
[[override]]
sku = "GIFT-*"
channel = "web"
buffer = "5%"
share = "60%"
cap = 25
min_quantity = 2
oversell_cost = 100
buffer_max = 5
last_units = 2
[[bundle]]
sku = "BREAKFAST"
channel = "web"
components = [{ sku = "MUG", units = 2 }, { sku = "PLATE", units = 1 }]
"#;

fn loaded(text: &str) -> Loaded {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let find = |place: &_| Found::Secret(SecretString::from(format!("{place:?}")));
    match understand(&mut Source::new("stockd.toml", text), Path::new("/etc/stockd"), now, &[], &find) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{problems}"),
    }
}

/// The reference with its keys in force: `#key = ...` is one, `# text` is not.
fn with_all_keys() -> String {
    let in_force = |line: &'static str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
        _ => line,
    };
    REFERENCE.lines().map(in_force).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_shows_the_built_in_defaults() {
    let (reference, defaults) = (loaded(&with_all_keys()), loaded(WITHOUT_DEFAULT));
    let lines = |loaded: &Loaded| format!("{loaded:#?}").lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&reference).len(), lines(&defaults).len());
    for (shown, built_in) in lines(&reference).iter().zip(&lines(&defaults)) {
        assert_eq!(shown, built_in, "config/stockd.toml, then the built-in default");
    }
    assert!(reference.warnings.is_empty(), "{:?}", reference.warnings);
}

#[test]
fn the_reference_has_every_key() {
    let all = [
        keys::<Raw>(),
        keys::<RawLedger>(),
        keys::<RawDaemon>(),
        keys::<RawLog>(),
        keys::<RawPolicy>(),
        keys::<RawBrake>(),
        keys::<RawCommon>(),
        keys::<RawOrders>(),
        keys::<RawCadence>(),
        keys::<RawShopify>(),
        keys::<RawPoints>(),
        keys::<RawWoocommerce>(),
        keys::<RawOverride>(),
        keys::<RawBundle>(),
        keys::<RawComponent>(),
        keys::<RawSecretPlace>(),
    ]
    .concat();
    let explained = |key: &str| {
        [format!("#{key} = "), format!(" {key} = "), format!("[{key}"), format!(", {key} = ")]
            .iter()
            .any(|written| REFERENCE.contains(written.as_str()))
    };
    let absent: Vec<_> = all.into_iter().filter(|key| !explained(key)).collect();
    assert!(absent.is_empty(), "config/stockd.toml lacks {absent:?}");
}

#[test]
fn nothing_printed_of_a_configuration_holds_a_secret() {
    let loaded = loaded(WITHOUT_DEFAULT);
    assert!(!format!("{loaded:?}").contains("web_token"));
}
