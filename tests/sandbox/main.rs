//! The emulated shops against the vendors' contracts. The contracts themselves are not part of this repository: they are
//! read from `$STOCKD_CONTRACTS` or `../shared/contracts`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, missing_docs)]

mod faults;
mod player;
mod shopify;
mod woocommerce;
mod world;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use stockd::{
    domain::ChannelKind,
    referee::Settings,
    sandbox::{Catalogue, Sandbox, SandboxConfig, ShopSettings},
};

/// The text of a contract file; `None`, said aloud, where the contracts are absent (a failure in CI).
pub fn contract(file: &str) -> Option<String> {
    let root = std::env::var_os("STOCKD_CONTRACTS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/contracts"), PathBuf::from);
    let file = root.join(file);
    is_there(&file).then(|| std::fs::read_to_string(file).unwrap())
}

/// Whether a file from outside this repository is there; where it isn't that is said aloud, and in CI it is a failure.
pub fn is_there(file: &Path) -> bool {
    let there = file.is_file();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", file.display());
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} is missing", file.display());
    }
    there
}

/// A sandbox with one shop and a way to talk to it.
pub struct Bench {
    pub sandbox: Sandbox,
    pub client: Client,
    pub settings: ShopSettings,
}

impl Bench {
    pub async fn new(settings: ShopSettings, catalogue: Catalogue) -> Self {
        let config = SandboxConfig {
            port: 0,
            seed: 1,
            shops: vec![settings.clone()],
            catalogue,
            demand: None,
            referee: Settings::default(),
        };
        let client = Client::builder().timeout(std::time::Duration::from_millis(1500)).build().unwrap();
        Self { sandbox: Sandbox::start(config).await.unwrap(), client, settings }
    }

    pub async fn shopify() -> Self {
        Self::new(ShopSettings::new("web", ChannelKind::Shopify), Catalogue::made_up(10, 1)).await
    }

    pub async fn woocommerce() -> Self {
        Self::new(ShopSettings::new("site", ChannelKind::Woocommerce), Catalogue::made_up(10, 1)).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.base_url(self.settings.id.as_str()))
    }

    pub async fn send_graphql(&self, query: &str, variables: Value) -> reqwest::Result<Response> {
        self.client
            .post(self.url("admin/api/2026-10/graphql.json"))
            .header("X-Shopify-Access-Token", &self.settings.key)
            .json(&json!({"query": query, "variables": variables}))
            .send()
            .await
    }

    pub async fn graphql(&self, query: &str, variables: Value) -> Value {
        let answer = self.send_graphql(query, variables).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    pub async fn send_rest(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<Response> {
        let request = self.client.request(method, self.url(&format!("wp-json/wc/v3/{path}")));
        let request = request.basic_auth(&self.settings.key, Some(&self.settings.secret));
        match body {
            Some(body) => request.json(body),
            None => request,
        }
        .send()
        .await
    }

    pub async fn rest(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let answer = self.send_rest(method, path, body).await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }
}
