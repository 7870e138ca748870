//! A street of emulated shops, the folder of the seller who owns them, and the seller's program.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use stockd::{
    domain::{ChannelId, OrderId, Units},
    ledger::{OrderTotals, Reader},
};
use tokio::runtime::{Builder, Runtime};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(50);
/// How long things must stay right.
const CALM: Duration = Duration::from_secs(1);

/// All the shops of the street.
pub(crate) const SHOPS: [&str; 3] = ["north", "south", "site"];
/// What bundles are made of, as the sandbox makes them up.
const BUNDLES: [(&str, &[(&str, i64)]); 2] =
    [("BUNDLE-PAIR", &[("SKU-0002", 1), ("SKU-0003", 1)]), ("BUNDLE-SIX-PACK", &[("SKU-0005", 6)])];

/// A process that ends with its owner.
pub(crate) struct Process(Child);

impl Process {
    /// Ends it at once, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to end, as systemd does, and waits for it.
    pub(crate) fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        self.end()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// How it ended, once it has.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "a process does not end");
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended needs no killing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two Shopify shops, `north` and `south`, a WooCommerce shop, `site`, and a configuration that pushes to them, with
/// quick polls.
pub(crate) struct Street {
    folder: tempfile::TempDir,
    _sandbox: Process,
    control: String,
    client: Client,
    runtime: Runtime,
}

impl Street {
    /// A street whose requests take a moment; its shelf is counted.
    pub(crate) fn open() -> Self {
        Self::with(&["--latency", "20"])
    }

    /// The same with more words for `stockd sandbox`.
    pub(crate) fn with(words: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("sandbox.log");
        let child = Command::new(env!("CARGO_BIN_EXE_stockd"))
            .args(["sandbox", "--skus", "12", "--config-out", "stockd.toml"])
            .args(words)
            .current_dir(folder.path())
            .stdout(File::create(&said).unwrap())
            .stderr(File::create(folder.path().join("sandbox.err")).unwrap())
            .spawn();
        let sandbox = Process(child.unwrap());
        let mut control = None;
        wait("the sandbox opens", || {
            let text = fs::read_to_string(&said).unwrap();
            if text.contains("configuration ") {
                let line = text.lines().find_map(|line| line.strip_prefix("control")).unwrap();
                control = Some(line.trim().to_owned());
            }
            control.is_some()
        });
        let street = Self {
            folder,
            _sandbox: sandbox,
            control: control.unwrap(),
            client: Client::builder().timeout(PATIENCE).build().unwrap(),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
        };
        street.configure(|text| {
            let quick = "mode = \"push\"\nsettle = \"1s\"\ntimeout = \"2s\"";
            let text = text.replace("mode = \"push\"", quick).replace("every = \"2s\"", "every = \"1s\"");
            format!("[log]\nformat = \"json\"\nlevel = \"debug\"\n\n{text}")
        });
        street.import();
        street
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the configuration.
    pub(crate) fn configure(&self, change: impl FnOnce(String) -> String) {
        let path = self.path("stockd.toml");
        let text = change(fs::read_to_string(&path).unwrap());
        fs::write(path, text).unwrap();
    }

    /// Counts the whole shelf.
    fn import(&self) {
        let held = self.look()["shelf"].clone();
        let rows = held.as_object().unwrap().iter().map(|(sku, units)| format!("{sku},{units}\n"));
        fs::write(self.path("count.csv"), format!("sku,on_hand\n{}", rows.collect::<String>())).unwrap();
        self.stockd(&["stock", "import", "count.csv"]);
    }

    /// Runs a command in the seller's folder to its end, whatever that is.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must end well, and gives what it printed.
    pub(crate) fn stockd(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "stockd {args:?}: {}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command prints with `--json`, whatever it ends with.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let words: Vec<_> = args.iter().copied().chain(["--json"]).collect();
        serde_json::from_slice(&self.run(&words).stdout).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("STOCKD_"))
        {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).env("STOCKD_CONFIG", self.path("stockd.toml"));
        command.args(args).stdin(Stdio::null());
        command
    }

    /// Starts the daemon; its log grows over all its lives.
    pub(crate) fn daemon(&self) -> Process {
        self.daemon_with(&[])
    }

    /// The same with these variables in its environment.
    pub(crate) fn daemon_with(&self, variables: &[(&str, &str)]) -> Process {
        let log = OpenOptions::new().create(true).append(true).open(self.path("daemon.log")).unwrap();
        let mut command = self.command(&["run"]);
        command.envs(variables.iter().copied());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        Process(child.unwrap())
    }

    /// Starts the daemon and waits until it has seen every shop.
    pub(crate) fn daemon_at_work(&self) -> Process {
        let before = self.scans();
        let daemon = self.daemon();
        self.wait("every shop is scanned", || self.scans() >= before + SHOPS.len());
        daemon
    }

    fn scans(&self) -> usize {
        self.logged("scan.complete").len()
    }

    /// What the daemon has logged under this event name.
    pub(crate) fn logged(&self, event: &str) -> Vec<Value> {
        let log = fs::read_to_string(self.path("daemon.log")).unwrap_or_default();
        // The last line may be half written.
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["event"] == event).collect()
    }

    /// Asks for something to happen.
    pub(crate) fn act(&self, action: &Value) -> Value {
        self.try_act(action).unwrap()
    }

    /// Asks for something that may no longer be possible.
    pub(crate) fn try_act(&self, action: &Value) -> Option<Value> {
        let answer = self.runtime.block_on(async {
            let answer = self.client.post(&self.control).json(action).send().await.unwrap();
            let answer = answer.error_for_status().ok()?;
            Some(answer.json::<Value>().await)
        });
        answer.map(Result::unwrap)
    }

    /// Somebody orders; gives the order.
    pub(crate) fn order(&self, shop: &str, lines: &[(&str, i64)]) -> u64 {
        let lines: Vec<_> = lines.iter().map(|(sku, units)| json!({"sku": sku, "quantity": units})).collect();
        self.act(&json!({"do": "order", "shop": shop, "lines": lines}))["order"].as_u64().unwrap()
    }

    /// Everything as it truly is.
    pub(crate) fn look(&self) -> Value {
        let shown =
            self.runtime.block_on(async { self.client.get(&self.control).send().await?.json().await });
        shown.unwrap()
    }

    /// How one shop is.
    pub(crate) fn shop(&self, name: &str) -> Value {
        let shops = self.look()["shops"].as_array().unwrap().clone();
        shops.into_iter().find(|shop| shop["name"] == name).unwrap()
    }

    /// What a shop has counted.
    pub(crate) fn count(&self, shop: &str, of: &str) -> u64 {
        self.shop(shop)["counts"][of].as_u64().unwrap()
    }

    /// What every shop shows of a SKU.
    pub(crate) fn shown(&self, sku: &str) -> [i64; 3] {
        SHOPS.map(|shop| shown_by(&self.shop(shop))[sku])
    }

    /// Waits for it; where it does not come, fails with the end of the daemon's log.
    pub(crate) fn wait(&self, what: &str, done: impl FnMut() -> bool) {
        if !comes(done) {
            let log = fs::read_to_string(self.path("daemon.log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(20)..].join("\n");
            let totals = self.look()["totals"].clone();
            let (astray, differences) = (self.astray(), self.ledger_differences());
            panic!("{what}: it does not happen; {astray:?}, {differences:?}, {totals}\n{end}");
        }
    }

    /// Waits until every shop shows what is truly free of a SKU, and says how long it took.
    pub(crate) fn shows(&self, sku: &str, units: i64) -> Duration {
        let started = Instant::now();
        self.wait(&format!("every shop shows {units} of {sku}"), || self.shown(sku) == [units; 3]);
        started.elapsed()
    }

    /// Waits until all is right and stays so, then checks that all was fair.
    pub(crate) fn converges(&self) {
        self.comes_right();
        self.is_fair();
    }

    /// Waits until all is right and stays so.
    pub(crate) fn comes_right(&self) {
        let mut right_since = None;
        self.wait("all comes right", || {
            if self.is_right() {
                right_since.get_or_insert_with(Instant::now).elapsed() > CALM
            } else {
                right_since = None;
                false
            }
        });
        self.stockd(&["verify"]);
    }

    /// Whether every shop shows what is truly free of everything, every order is in the ledger once, and nothing is
    /// under way or planned.
    fn is_right(&self) -> bool {
        let at_rest = |channel: &Value| channel["writes"] == json!({"requests": 0, "unknown": 0});
        self.astray().is_empty()
            && self.ledger_differences().is_empty()
            && self.json(&["status"])["channels"].as_array().unwrap().iter().all(at_rest)
            && self.run(&["plan", "--exit-code"]).status.code() == Some(0)
    }

    /// Lets the second pass in which a shop was last written to: its stamps are cut to the second, so a sale within it
    /// could be one that the write has overwritten, and is held back until that is ruled out.
    pub(crate) fn lets_the_second_pass() {
        std::thread::sleep(Duration::from_millis(1_100));
    }

    /// Nothing that the daemon caused.
    pub(crate) fn is_fair(&self) {
        let totals = &self.look()["totals"];
        assert_eq!(totals["breaches"], 0, "{totals}");
        assert_eq!(totals["oversold"]["caused"], 0, "{totals}");
    }

    /// Numbers that are not what is truly free.
    fn astray(&self) -> Vec<String> {
        let look = self.look();
        let truth = free(&look);
        let mut found = Vec::new();
        for shop in look["shops"].as_array().unwrap() {
            for (sku, shown) in shown_by(shop) {
                let lots = match BUNDLES.iter().find(|(name, _)| *name == sku) {
                    Some((_, parts)) => parts.iter().map(|(part, each)| truth[*part].div_euclid(*each)).min(),
                    None => Some(truth[&sku]),
                };
                let should = lots.unwrap().max(0);
                if shown != should {
                    found.push(format!("{} shows {shown} of {sku}, not {should}", shop["name"]));
                }
            }
        }
        found
    }

    /// Where the ledger differs from what truly happened, order by order and SKU by SKU.
    fn ledger_differences(&self) -> Vec<String> {
        let look = self.look();
        let ledger = Reader::open(&self.path("ledger.db")).unwrap();
        let mut truth = BTreeMap::new();
        for shop in look["shops"].as_array().unwrap() {
            for order in shop["orders"].as_array().unwrap() {
                let lines = order["lines"].as_array().unwrap();
                let ordered = lines.iter().map(|line| line["ordered"].as_i64().unwrap()).sum();
                let id = (ChannelId::new(text(&shop["name"])), OrderId::new(order["order"].to_string()));
                truth.insert(id, OrderTotals { ordered: Units::of(ordered), unbooked_lines: 0 });
            }
        }
        let held: BTreeMap<_, _> = ledger.order_totals().unwrap().into_iter().collect();
        let mut found = Vec::new();
        if held != truth {
            found.push(format!("orders: {truth:?}, in the ledger {held:?}"));
        }
        let available = ledger.available_by_sku().unwrap();
        for (sku, units) in free(&look) {
            let held = available.get(&*sku).map_or(0, |units| units.get());
            if held != units {
                found.push(format!("{sku}: {units}, in the ledger {held}"));
            }
        }
        found
    }
}

fn shown_by(shop: &Value) -> BTreeMap<String, i64> {
    let listings = shop["listings"].as_array().unwrap().iter();
    let shown = |it: &Value| it["shown"].as_array().unwrap().iter().map(|it| it.as_i64().unwrap()).sum();
    listings.map(|it| (text(&it["sku"]).to_owned(), shown(it))).collect()
}

/// What is on the shelf and nobody has ordered, by SKU.
fn free(look: &Value) -> BTreeMap<String, i64> {
    let shelf = look["shelf"].as_object().unwrap();
    let mut free: BTreeMap<_, _> =
        shelf.iter().map(|(sku, units)| (sku.clone(), units.as_i64().unwrap())).collect();
    let orders = look["shops"].as_array().unwrap().iter().flat_map(|shop| shop["orders"].as_array().unwrap());
    for line in orders.flat_map(|order| order["lines"].as_array().unwrap()) {
        let count = |of: &str| line[of].as_i64().unwrap();
        let open = count("ordered") - count("taken_off") - count("shipped");
        let sku = text(&line["sku"]);
        let plain = [(sku, 1)];
        let parts = BUNDLES.iter().find(|(name, _)| *name == sku).map_or(&plain[..], |(_, parts)| parts);
        for (part, each) in parts {
            *free.get_mut(*part).unwrap() -= open * each;
        }
    }
    free
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn comes(mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if done() {
            return true;
        }
        std::thread::sleep(LOOK);
    }
    false
}

fn wait(what: &str, done: impl FnMut() -> bool) {
    assert!(comes(done), "{what}: it does not happen");
}
