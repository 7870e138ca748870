//! The demo from the first import to the last check.

use std::{
    ffi::OsStr,
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tokio::time::sleep;

use super::{
    audit,
    home::{Daemon, Home},
    summary::{Channel, Percentiles, Summary, channels_table},
};
use crate::{
    cli::Out,
    sandbox::{Day, Delivery, Sandbox, SandboxConfig, World},
};

/// How long the daemon may take to bring every shop right.
const CONVERGENCE: Duration = Duration::from_secs(30);
/// How long they must stay right.
const CALM: Duration = Duration::from_secs(2);
/// How often the stage is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Numbers that are wrong in each shop when the daemon first sees it; fewer than would engage the brake.
const WRONG_AT_FIRST: usize = 5;

/// Everything that runs during the demo.
struct Stage<'a> {
    sandbox: Arc<Sandbox>,
    home: &'a Home,
    daemon: Daemon,
    screen: Option<Screen>,
    phase: &'static str,
}

/// Plays it all. Shoppers of the sandbox come for `seconds`, or else the history is played. `live` redraws a table.
pub(super) async fn play(
    config: SandboxConfig,
    history: Option<(Day, f64)>,
    seconds: u64,
    home: &Home,
    live: bool,
) -> Result<Summary> {
    let catalogue = config.catalogue.clone();
    let sandbox = Arc::new(Sandbox::start(config).await?);
    sandbox.pause_shoppers(true);
    let shops: Vec<_> =
        sandbox.with_world(|world| world.shops.iter().map(|shop| shop.settings.clone()).collect());
    let addresses = shops.iter().map(|shop| sandbox.base_url(shop.id.as_str()));
    home.configure(shops.iter().zip(addresses), &catalogue.bundles)?;
    home.import(&catalogue.stock).await?;
    spoil(&sandbox);
    let daemon = home.start()?;
    let screen = live.then(Screen::default);
    let mut stage = Stage { sandbox, home, daemon, screen, phase: "stockd puts right what staff mistyped" };

    if !stage.converges().await? {
        bail!("the daemon did not put right what was wrong at first:\n{}", stage.home.log_end());
    }
    stage.phase = "shoppers shop";
    let started = Instant::now();
    match history {
        None => {
            stage.sandbox.pause_shoppers(false);
            stage.during(sleep(Duration::from_secs(seconds))).await?;
            stage.sandbox.pause_shoppers(true);
        }
        Some((history, speed)) => {
            let sandbox = Arc::clone(&stage.sandbox);
            stage.during(sandbox.play(history, speed)).await?;
        }
    }
    let seconds = started.elapsed().as_secs();
    stage.phase = "shoppers have gone, stockd brings every shop right";
    let converged = stage.converges().await?;
    stage.close(seconds, converged).await
}

/// Staff of each shop mistype some numbers, so that there is something to see before the first order.
fn spoil(sandbox: &Sandbox) {
    sandbox.with_world(|world| {
        for shop in 0..world.shops.len() {
            let listings = world.shops[shop].listings.iter().enumerate();
            let shown = listings.filter(|(_, it)| it.levels.first().is_some_and(|level| level.shown() > 1));
            let wrong: Vec<_> = shown.map(|(index, _)| index).take(WRONG_AT_FIRST).collect();
            for listing in wrong {
                world.set_by_hand(shop, listing, 0, 1);
            }
        }
    });
}

impl Stage<'_> {
    /// Keeps the stage going while something happens.
    async fn during<T>(&mut self, happening: impl Future<Output = T>) -> Result<T> {
        let mut happening = pin!(happening);
        loop {
            tokio::select! {
                done = &mut happening => return Ok(done),
                () = sleep(LOOK) => self.look().await?,
            }
        }
    }

    /// The daemon must live, the seller books what was delivered, the table is drawn anew.
    async fn look(&mut self) -> Result<()> {
        if let Some(status) = self.daemon.ended()? {
            bail!("the daemon ended by itself with {status}:\n{}", self.home.log_end());
        }
        for Delivery { sku, units, .. } in self.sandbox.with_world(World::take_deliveries) {
            let units = units.to_string();
            let words = ["stock", "adjust", sku.as_str(), &units, "--receipt", "--reason", "delivery"];
            self.home.run(words.map(OsStr::new)).await?;
        }
        let text = format!("{}\n\n{}", self.phase, channels_table(&self.channels()));
        self.screen.as_mut().map_or(Ok(()), |screen| screen.draw(&text))
    }

    /// Waits until every place shows what it should of what is truly there, and goes on doing so.
    async fn converges(&mut self) -> Result<bool> {
        let started = Instant::now();
        let mut right_since = None;
        while started.elapsed() < CONVERGENCE {
            self.look().await?;
            if self.astray().is_empty() {
                if right_since.get_or_insert_with(Instant::now).elapsed() >= CALM {
                    return Ok(true);
                }
            } else {
                right_since = None;
            }
            sleep(LOOK).await;
        }
        Ok(false)
    }

    fn astray(&self) -> Vec<String> {
        self.sandbox.with_world(|world| world.referee().astray())
    }

    fn channels(&self) -> Vec<Channel> {
        self.sandbox.with_world(|world| {
            let channel = |shop: &crate::sandbox::world::Shop| Channel {
                name: shop.settings.id.to_string(),
                kind: shop.settings.kind.name(),
                orders: shop.counts.orders,
                units: shop.counts.units,
                pushes: shop.counts.writes,
                api_calls: shop.counts.requests,
                throttled: shop.counts.throttled,
            };
            world.shops.iter().map(channel).collect()
        })
    }

    /// Stops the daemon and looks at what it leaves behind.
    async fn close(mut self, seconds: u64, converged: bool) -> Result<Summary> {
        let (channels, astray, totals) = (self.channels(), self.astray(), self.sandbox.totals());
        self.screen.as_mut().map_or(Ok(()), |screen| screen.draw("stockd ends, its ledger is verified"))?;
        self.daemon.stop().await?;
        let verified = self.home.run([OsStr::new("verify")]).await;
        let audit = self.sandbox.with_world(|world| audit::compare(world, &self.home.ledger()))?;
        Ok(self.sandbox.with_world(|world| Summary {
            seconds,
            orders: channels.iter().map(|channel| channel.orders).sum(),
            channels,
            units_sold: totals.units_sold.get(),
            oversold_units: totals.oversold,
            breaches: totals.breaches,
            breach_reasons: totals.reasons.iter().map(ToString::to_string).collect(),
            refused_units: world.shops.iter().map(|shop| shop.counts.refused_units).sum(),
            converged,
            drift_listings: astray.len(),
            unknown_pushes: audit.unknown_pushes,
            ledger_verified: verified.is_ok(),
            orders_in_ledger_exactly_once: audit.differences.is_empty(),
            differences: astray
                .into_iter()
                .chain(audit.differences)
                .chain(verified.err().map(|error| error.to_string()))
                .collect(),
            sale_to_push_ms: Percentiles::of(world.referee().sale_to_push_ms().to_vec()),
        }))
    }
}

/// A table that is drawn over itself.
#[derive(Default)]
struct Screen {
    out: Out,
    lines: usize,
}

impl Screen {
    fn draw(&mut self, table: &str) -> Result<()> {
        // Up to where the last one began, and clear from there.
        let back = if self.lines > 0 { format!("\x1b[{}F\x1b[J", self.lines) } else { String::new() };
        self.lines = table.lines().count();
        Ok(self.out.line(format!("{back}{table}"))?)
    }
}
