//! `stockd sandbox`: emulated shops on this machine, to try things out.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use chrono::NaiveDate;
use clap::Args;

use super::{Failure, Out};
use crate::{
    domain::ChannelKind,
    referee::Settings,
    sandbox::{Catalogue, Day, Demand, Sandbox, SandboxConfig, ShopSettings},
};

/// Emulates shops on this machine, to try a configuration before pointing it at a real one.
///
/// Prints each shop's address and credentials; with --config-out also writes a configuration
/// that fits. Runs until Ctrl-C. Nobody buys anything unless --orders-per-minute or --orders says
/// so; what shoppers and staff do can be posted to the control address as JSON:
///
///   curl -H 'Content-Type: application/json' http://127.0.0.1:PORT/_control -d '
///     {"do": "order", "shop": "north", "lines": [{"sku": "SKU-0001", "quantity": 2}]}'
///
///   order                    "shop", "lines"; answers with the order's id
///   fulfil, cancel           "shop", "order"; cancel also "restock": true or false
///   refund                   "shop", "order", "lines", "restock"
///   edit                     "shop", "order", "sku", "quantity": changes a line
///   set                      "shop", "sku", "quantity": staff type a number into the shop
///   receive, lose            "sku", "quantity": units come to the shelf or vanish from it
///   inject                   "shop", "fault": "timeout_after", "only": "writes", "next": 1
///   clear_faults             "shop"
///   pause_shoppers           "paused": true or false
///   take_deliveries          what has come and must be booked in the ledger too
///   excuse                   "excused": true while stockd is away and owes nothing
///
/// GET on the control address shows everything, with the referee's verdict on oversells.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct SandboxArgs {
    /// The port on 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The shops, as NAME:KIND with KIND shopify or woocommerce.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAME:KIND,...",
        default_value = "north:shopify,south:shopify,site:woocommerce",
        value_parser = shop
    )]
    shops: Vec<ShopSettings>,
    /// How many SKUs, all of them listed in every shop.
    #[arg(long, default_value_t = 200, conflicts_with = "orders")]
    skus: usize,
    /// Decides everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Orders per minute that made-up shoppers place in each shop.
    #[arg(long, default_value_t = 0.0, value_name = "N", conflicts_with = "orders")]
    orders_per_minute: f64,
    /// Plays a day of a recorded order history: X.orders.csv or .csv.gz, with X.links, X.stock and X.restocks beside it.
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    /// How many times faster than it happened the history is played.
    #[arg(long, default_value_t = 60.0, requires = "orders")]
    speed: f64,
    /// Which day of the history, YYYY-MM-DD. Default: the one with the most orders.
    #[arg(long, requires = "orders")]
    day: Option<NaiveDate>,
    /// How long orders take to become readable, in milliseconds.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    order_delay: i64,
    /// How long a request takes, in milliseconds.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    latency: u64,
    /// The limit of the Shopify shops: the size of the bucket and the points that flow back per second.
    #[arg(long, value_name = "MAXIMUM:PER_SECOND", value_parser = limit, default_value = "2000:100")]
    points: (f64, f64),
    /// The limit of the WooCommerce shops' host: calls per second and calls at once. Default: none.
    #[arg(long, value_name = "PER_SECOND:BURST", value_parser = limit)]
    calls: Option<(f64, f64)>,
    /// List plain products only: no variations, no bundles.
    #[arg(long, conflicts_with = "orders")]
    plain: bool,
    /// Writes a configuration for these shops, and their credentials in files beside it.
    #[arg(long, value_name = "FILE")]
    config_out: Option<PathBuf>,
}

fn shop(text: &str) -> Result<ShopSettings, String> {
    let (name, kind) = text.split_once(':').ok_or("expected NAME:KIND")?;
    if name.is_empty() || !name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_')
    {
        return Err("a name is made of a-z, 0-9 and _".to_owned());
    }
    let kind = ChannelKind::ALL.into_iter().find(|it| it.name() == kind);
    let kind = kind.ok_or("KIND is shopify or woocommerce")?;
    Ok(ShopSettings::new(name, kind))
}

fn limit(text: &str) -> Result<(f64, f64), String> {
    let (first, second) = text.split_once(':').ok_or("expected two numbers with a colon between them")?;
    let number = |text: &str| match text.parse::<f64>() {
        Ok(number) if number >= 0.1 && number.is_finite() => Ok(number),
        _ => Err(format!("{text:?} is no number of at least 0.1")),
    };
    Ok((number(first)?, number(second)?))
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the history can't be read, the port is taken, or the configuration can't be written.
pub fn run(args: SandboxArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(serve(args))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be at least 0.1; a cast saturates"
)]
fn whole(burst: f64) -> u32 {
    burst.ceil() as u32
}

async fn serve(args: SandboxArgs) -> Result<(), Failure> {
    let history = match &args.orders {
        Some(file) => Some(Day::load(file, args.day).context("the order history can't be played")?),
        None => None,
    };
    let mut catalogue =
        history.as_ref().map_or_else(|| Catalogue::made_up(args.skus, args.seed), Day::catalogue);
    if args.plain {
        catalogue.variations = 0;
        catalogue.bundles.clear();
    }
    let mut shops = args.shops;
    for shop in &mut shops {
        shop.order_delay_ms = args.order_delay;
        shop.latency_ms = args.latency;
        shop.points = args.points;
        shop.calls = args.calls.map(|(per_second, burst)| (per_second, whole(burst)));
    }
    let demand = (args.orders_per_minute > 0.0).then(|| Demand::even(shops.len(), args.orders_per_minute));
    let config = SandboxConfig {
        port: args.port,
        seed: args.seed,
        shops: shops.clone(),
        catalogue: catalogue.clone(),
        demand,
        referee: Settings::default(),
    };
    let sandbox = Sandbox::start(config).await.context("the sandbox can't start")?;
    announce(&sandbox, &shops)?;
    if let Some(path) = &args.config_out {
        write_config(path, &sandbox, &shops, &catalogue)
            .with_context(|| format!("can't write {}", path.display()))?;
        Out.line(format!("configuration  {}", path.display()))?;
    }
    let playing = async {
        if let Some(history) = history {
            let (day, orders, length) = (history.day, history.orders(), history.length(args.speed));
            Out.line(format!("playing        {orders} orders of {day} in {} s", length.as_secs()))?;
            let played = sandbox.play(history, args.speed).await;
            Out.line(format!("played         {} of {} orders", played.accepted, played.orders))?;
        }
        std::future::pending::<Result<(), Failure>>().await
    };
    tokio::select! {
        ended = playing => ended?,
        ended = deliveries(&sandbox) => ended?,
        signal = tokio::signal::ctrl_c() => signal?,
    }
    sandbox.stop().await;
    Ok(())
}

/// Tells what has arrived, since somebody has to book it in the ledger.
async fn deliveries(sandbox: &Sandbox) -> Result<(), Failure> {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for it in sandbox.with_world(crate::sandbox::World::take_deliveries) {
            Out.line(format!("delivery       {} x {}: book it in the ledger too", it.units, it.sku))?;
        }
    }
}

fn announce(sandbox: &Sandbox, shops: &[ShopSettings]) -> Result<(), Failure> {
    let rows: Vec<_> = shops
        .iter()
        .map(|it| {
            let name = it.id.as_str();
            let url = sandbox.base_url(name).to_string();
            [name.to_owned(), it.kind.name().to_owned(), url, it.key.clone(), it.secret.clone()]
        })
        .collect();
    Out.table(&["shop", "kind", "url", "token or key", "secret"], &rows)?;
    Out.line(format!("control        {}", sandbox.control_url()))?;
    Ok(())
}

fn write_config(
    path: &Path,
    sandbox: &Sandbox,
    shops: &[ShopSettings],
    catalogue: &Catalogue,
) -> anyhow::Result<()> {
    let folder = std::path::absolute(path)?.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(&folder)?;
    let ledger = toml::Value::from(folder.join("ledger.db").to_string_lossy().as_ref());
    let mut text = format!("# Made by stockd sandbox for its own shops.\n[ledger]\npath = {ledger}\n");
    for shop in shops {
        let name = shop.id.as_str();
        let secret = |key: &str, value: &str| {
            let file = folder.join(format!("{name}.{key}"));
            write_secret(&file, value)?;
            anyhow::Ok(format!(
                "{key} = {{ file = {} }}\n",
                toml::Value::from(file.to_string_lossy().as_ref())
            ))
        };
        let kind = shop.kind.name();
        let _ = write!(text, "\n[channels.{name}]\nkind = \"{kind}\"\nmode = \"push\"\n");
        let _ = write!(
            text,
            "url = \"{}\"\norders = {{ every = \"2s\", overlap = \"1m\" }}\n",
            sandbox.base_url(name)
        );
        // Whole seconds, and one more: the shop's stamps are cut to the second.
        let _ = writeln!(text, "order_delay = \"{}s\"", shop.order_delay_ms / 1000 + 2);
        match shop.kind {
            ChannelKind::Shopify => {
                text += &secret("token", &shop.key)?;
                let (maximum, restore) = shop.points;
                let _ =
                    writeln!(text, "points = {{ maximum = {maximum:?}, restore_per_second = {restore:?} }}");
            }
            ChannelKind::Woocommerce => {
                text += &secret("key", &shop.key)?;
                text += &secret("secret", &shop.secret)?;
                let (per_second, burst) = shop.calls.unwrap_or((20.0, 20));
                let _ = writeln!(text, "calls_per_second = {per_second:?}\nburst = {burst}");
            }
        }
    }
    for bundle in &catalogue.bundles {
        let parts: Vec<_> = bundle
            .components
            .iter()
            .map(|(sku, units)| format!("{{ sku = {}, units = {units} }}", toml::Value::from(sku.as_str())))
            .collect();
        let sku = toml::Value::from(bundle.sku.as_str());
        let _ = write!(text, "\n[[bundle]]\nsku = {sku}\ncomponents = [{}]\n", parts.join(", "));
    }
    fs::write(path, text)?;
    Ok(())
}

/// Nobody else may read a secret, not even one that opens nothing but this sandbox: `check` would rightly complain.
fn write_secret(file: &Path, value: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(value.as_bytes())
}
