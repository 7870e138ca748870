//! The operator's commands through the real binary, on ledgers built through the library.

#![allow(clippy::unwrap_used)]

mod import;
mod operate;
mod read;

use std::{fs, path::PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use stockd::{
    config::{self, Secrets},
    domain::{
        ChannelLocation, CountBasis, CountRow, LevelReading, LineId, LineNet, LineSnapshot, ListingId,
        ListingReading, LocationId, Operation, OrderId, OrderSnapshot, Place, Settings, Sku, Units, UtcMs,
        listing::Writable,
    },
    ledger::{Ledger, OrderRead, Span},
};

const CONFIG: &str = r#"
[ledger]
path = "ledger.db"

[channels.web]
kind = "shopify"
mode = "push"
shop = "example.myshopify.com"
token = { file = "token" }
policy = { buffer = 2 }

[channels.site]
kind = "woocommerce"
url = "https://shop.example/"
key = { file = "token" }
secret = { file = "token" }
policy = { share = "50%", cap = 20, min_quantity = 3 }

[[bundle]]
sku = "SET"
components = [{ sku = "MUG", units = 2 }, { sku = "TEA", units = 1 }]
"#;

/// A folder with a configuration; its ledger comes with the first count.
struct Shop(tempfile::TempDir);

impl Shop {
    fn new() -> Self {
        let shop = Self(tempfile::tempdir().unwrap());
        shop.write("stockd.toml", CONFIG);
        shop
    }

    /// Twenty mugs and ten teas.
    fn stocked() -> Self {
        let shop = Self::new();
        shop.write("count.csv", "sku,on_hand\nMUG,20\nTEA,10\n");
        shop.run(&["stock", "import", "count.csv"]).success();
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("stockd").unwrap();
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STOCKD_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.0.path()).env("STOCKD_CONFIG", self.path("stockd.toml")).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> assert_cmd::assert::Assert {
        self.command(args).assert()
    }

    /// What a command prints.
    fn says(&self, args: &[&str]) -> String {
        String::from_utf8(self.run(args).success().get_output().stdout.clone()).unwrap()
    }

    /// What a command prints with `--json`, whatever it ends with.
    fn json(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_slice(&self.run(&args).get_output().stdout).unwrap()
    }

    /// What a command complains of, with its exit code.
    fn complains(&self, args: &[&str], code: i32) -> String {
        let assert = self.run(args).code(code);
        String::from_utf8(assert.get_output().stderr.clone()).unwrap()
    }

    fn settings(&self) -> Settings {
        config::load_with(&self.path("stockd.toml"), Secrets::Unread).unwrap().settings
    }

    /// One transaction of a program that has the ledger for itself.
    fn write_ledger<T>(&self, work: impl FnOnce(&Ledger, &Settings) -> T) -> T {
        let settings = self.settings();
        let ledger = Ledger::open(&settings.ledger).unwrap();
        ledger.begin().unwrap();
        let done = work(&ledger, &settings);
        ledger.commit().unwrap();
        done
    }

    /// A complete scan of a channel: listing id, SKU, what it shows.
    fn scan(&self, channel: &str, listings: &[(&str, &str, i64)]) {
        self.write_ledger(|ledger, settings| {
            let channel = settings.channels.iter().find(|c| c.id.as_str() == channel).unwrap();
            let scan = ledger.next_scan(&channel.id).unwrap();
            ledger.pin_account(UtcMs(1), channel, "77", "Example Shop").unwrap();
            for (id, sku, shown) in listings {
                ledger.see_listing(&channel.id, scan, &listing(id, sku, *shown)).unwrap();
            }
            ledger.finish_scan(UtcMs(1_000), settings, channel, scan, 100, true).unwrap();
            for (id, _, shown) in listings {
                let place = ledger.place_id(&channel.id, &place(id)).unwrap().unwrap();
                let row = ledger.place(place).unwrap().unwrap();
                let read = Span { from: UtcMs(1_000), to: UtcMs(1_000) };
                ledger.compare(&row, Units::of(*shown), read, UtcMs(1_000), UtcMs(2_000)).unwrap();
            }
        });
    }

    /// An order of one line, placed now.
    fn order(&self, channel: &str, id: &str, sku: &str, units: i64) {
        let line = LineSnapshot {
            id: LineId::new("1"),
            listing: None,
            channel_sku: Some(sku.into()),
            location: None,
            net: LineNet { ordered: Units::of(units), ..LineNet::default() },
            held: Units::of(units),
        };
        let at = now();
        let order = OrderSnapshot {
            id: OrderId::new(id),
            number: format!("#{id}"),
            created_at: at,
            updated_at: at,
            lines: vec![line],
            unknown_state: None,
        };
        self.write_ledger(|ledger, settings| {
            let channel = settings.channels.iter().find(|c| c.id.as_str() == channel).unwrap();
            ledger.ingest_order(at, settings, channel, &order, 1, OrderRead::ById).unwrap();
        });
    }
}

fn now() -> UtcMs {
    UtcMs(chrono::Utc::now().timestamp_millis())
}

fn place(listing: &str) -> Place {
    Place { listing: ListingId::new(listing), location: ChannelLocation::only() }
}

fn listing(id: &str, sku: &str, shown: i64) -> ListingReading {
    ListingReading {
        id: ListingId::new(id),
        channel_sku: Some(sku.into()),
        title: format!("A {sku}"),
        writable: Writable::Yes,
        group: String::new(),
        levels: vec![LevelReading { place: place(id), quantity: Some(Units::of(shown)) }],
    }
}

fn count(sku: &str, quantity: i64) -> Operation {
    let row = CountRow {
        sku: Sku::new(sku).unwrap(),
        location: LocationId::new("main"),
        quantity: Units::of(quantity),
        basis: CountBasis::OnHand,
        counted_at: now(),
    };
    Operation::Count { rows: vec![row], reason: "test".into() }
}
