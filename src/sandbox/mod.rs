//! The channels' APIs emulated over HTTP on loopback, with shoppers, rate limits, delays and faults, and with the
//! [referee](crate::referee) watching.
//!
//! Built from the vendors' contracts alone. Every shop lives under a path of its own on one port:
//!
//! ```text
//! http://127.0.0.1:PORT/NAME/                    a shop; the base address that a channel is configured with
//! http://127.0.0.1:PORT/NAME/admin/api/...       a Shopify shop's API
//! http://127.0.0.1:PORT/NAME/wp-json/wc/v3/...   a WooCommerce shop's API
//! http://127.0.0.1:PORT/_control                 what shoppers and staff do, see [`control`]
//! ```
//!
//! Time is the machine's; [`world`] has all the state and no clock of its own.

pub mod control;
pub mod faults;
mod http;
pub mod limits;
pub mod player;
pub mod setup;
pub mod shopify;
pub mod shoppers;
mod woocommerce;
pub mod world;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use axum::{Router, routing::get};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

pub use self::{
    faults::{Fault, Injection, Only},
    http::Desk,
    player::{Day, DayError, Played},
    setup::{BundleListing, Catalogue},
    shoppers::Demand,
    world::{Delivery, ShopSettings, World},
};
use crate::{
    domain::UtcMs,
    referee::{Referee, Settings, Totals},
};

/// What to start.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// The port on loopback; 0: any free one.
    pub port: u16,
    /// Decides every choice that is made by chance.
    pub seed: u64,
    /// The shops.
    pub shops: Vec<ShopSettings>,
    /// What all of them sell.
    pub catalogue: Catalogue,
    /// Shoppers; `None`: nobody buys but by [`control`] or [`Sandbox::play`].
    pub demand: Option<Demand>,
    /// What the referee holds for all channels.
    pub referee: Settings,
}

/// Why a sandbox can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port can't be had.
    #[error("can't listen on 127.0.0.1:{port}")]
    Port {
        /// Which.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// The emulated schema is broken.
    #[error("the emulated Shopify schema can't be read: {0}")]
    Schema(String),
    /// The catalogue or the shops make no sense.
    #[error("{0}")]
    Setup(String),
}

/// A running sandbox.
#[derive(Debug)]
pub struct Sandbox {
    inside: Arc<Inside>,
    address: SocketAddr,
}

/// What the sandbox's tasks share.
#[derive(Debug)]
struct Inside {
    state: Mutex<Inner>,
    names: Vec<String>,
    shoppers_paused: AtomicBool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Everything that changes, behind the one lock.
#[derive(Debug)]
struct Inner {
    world: World,
    desks: Vec<Desk>,
    /// Whether the daemon is known to be away.
    excused: bool,
}

impl Inner {
    /// Tells the referee whether anything can be owed to a shop now.
    fn judge_openness(&mut self, shop: usize) {
        let Self { world, desks, excused } = self;
        let open = desks[shop].is_open(world.shops[shop].settings.kind, world.now());
        world.set_open(shop, open && !*excused);
    }
}

impl Inside {
    #[allow(clippy::unused_self, reason = "the one place where the time comes from")]
    fn clock(&self) -> UtcMs {
        UtcMs(chrono::Utc::now().timestamp_millis())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.world.advance(self.clock());
        state
    }

    fn shop(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|it| it == name)
    }

    /// Lets the referee look round, a few times a second.
    async fn watch(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            {
                let mut state = self.lock();
                (0..state.desks.len()).for_each(|shop| state.judge_openness(shop));
                state.world.judge();
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Sandbox {
    /// Opens the shops and serves them.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: SandboxConfig) -> Result<Self, StartError> {
        let SandboxConfig { port, seed, shops, catalogue, demand, referee } = config;
        let schema = Arc::new(shopify::schema().map_err(StartError::Schema)?);
        let now = UtcMs(chrono::Utc::now().timestamp_millis());
        let world = setup::world(now, Referee::new(referee), shops, &catalogue).map_err(StartError::Setup)?;
        let desks = (0..world.shops.len())
            .map(|shop| Desk::new(&world, shop, Arc::clone(&schema), seed.wrapping_add(shop as u64)))
            .collect();
        let names = world.shops.iter().map(|shop| shop.settings.id.to_string()).collect();
        let inside = Arc::new(Inside {
            state: Mutex::new(Inner { world, desks, excused: false }),
            names,
            shoppers_paused: AtomicBool::new(false),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|source| StartError::Port { port, source })?;
        let address = listener.local_addr().map_err(|source| StartError::Port { port, source })?;
        let router = Router::new()
            .route("/_control", get(control::show).post(control::act))
            .fallback(http::serve)
            .with_state(Arc::clone(&inside));
        let stop = inside.stop.clone();
        inside.tasks.spawn(async move {
            // Serving ends only by the token; open connections are dropped with the task.
            let _ = stop.run_until_cancelled(async { axum::serve(listener, router).await }).await;
        });
        inside.tasks.spawn(Arc::clone(&inside).watch());
        if let Some(demand) = demand {
            inside.tasks.spawn(shoppers::shop(Arc::clone(&inside), demand, seed));
        }
        Ok(Self { inside, address })
    }

    /// The base address of a shop, by its name or, where there is none of that name, of that path.
    pub fn base_url(&self, shop: &str) -> Url {
        self.url(&format!("{shop}/"))
    }

    /// Where [`control`] listens.
    pub fn control_url(&self) -> Url {
        self.url("_control")
    }

    fn url(&self, path: &str) -> Url {
        let root = Url::parse("http://127.0.0.1/").and_then(|root| root.join(path));
        let mut url = root.unwrap_or_else(|_| unreachable!("the name of a shop is [a-z0-9_]+"));
        // Fails only for addresses that have no host.
        let _ = url.set_port(Some(self.address.port()));
        url
    }

    /// Looks at the world, or has something happen in it, at this instant.
    pub fn with_world<R>(&self, act: impl FnOnce(&mut World) -> R) -> R {
        act(&mut self.inside.lock().world)
    }

    /// Has requests to a shop fail.
    pub fn inject(&self, shop: usize, injection: Injection) {
        self.inside.lock().desks[shop].faults.inject(injection);
    }

    /// Has requests to a shop succeed again.
    pub fn clear_faults(&self, shop: usize) {
        self.inside.lock().desks[shop].faults.clear();
    }

    /// Stops shoppers from coming, or lets them come again.
    pub fn pause_shoppers(&self, paused: bool) {
        self.inside.shoppers_paused.store(paused, std::sync::atomic::Ordering::Relaxed);
    }

    /// What the referee has found up to now.
    pub fn totals(&self) -> Totals {
        self.with_world(|world| {
            world.judge();
            world.referee().totals()
        })
    }

    /// Plays an order history at `speed` times its own; ends when the last event is over, or with the sandbox.
    pub async fn play(&self, day: Day, speed: f64) -> Played {
        player::play(Arc::clone(&self.inside), day, speed).await
    }

    /// Ends everything and frees the port.
    pub async fn stop(self) {
        self.inside.stop.cancel();
        self.inside.tasks.close();
        // Late faults may still sleep; nobody waits for them.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.inside.tasks.wait()).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.inside.stop.cancel();
    }
}
