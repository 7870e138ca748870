//! The real engine on a real ledger under a virtual clock, against shops that live in memory.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a harness reads best short, and may fail loudly"
)]

mod court;
mod shop;
mod trace;

use std::{collections::BTreeMap, path::Path, time::Duration};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use stockd::{
    domain::{
        Answer, Cadence, Call, CallError, Capabilities, ChannelKind, ChannelSettings, Costs, CountBasis,
        CountRow, LocationId, Mode, Now, Operation, OwnQuotas, Percent, Policies, Quota, Reply, Settings,
        Sku, Units, UtcMs, WriteMode, settings::BrakeSettings,
    },
    engine::{CallId, Command, Engine, Event},
    ledger::Ledger,
};

pub use court::{Allowances, Court, Parts, Taken};
pub use shop::{Listing, Moods, Shop};

/// One way of every request, unless the world has dice.
pub const LATENCY: Duration = Duration::from_millis(40);
/// The shell's pause after a ledger error.
const LEDGER_PAUSE: Duration = Duration::from_millis(500);
pub const START: UtcMs = UtcMs(1_795_000_000_000);

pub fn costs() -> Costs {
    Costs { identify: 1, orders: 12, listings: 30, levels: 20, write: 10 }
}

pub fn settings(ledger: &Path, shops: &[&Shop], every: Duration) -> Settings {
    let channels = shops
        .iter()
        .map(|shop| ChannelSettings {
            id: shop.id.clone(),
            mode: Mode::Push,
            capabilities: Capabilities {
                kind: if shop.mode == WriteMode::Absolute {
                    ChannelKind::Woocommerce
                } else {
                    ChannelKind::Shopify
                },
                write_mode: shop.mode,
                write_batch: if shop.mode == WriteMode::Absolute { 100 } else { 250 },
                read_batch: 100,
                orders_by_id_batch: 50,
                quota: shop.quota,
                own_quotas: OwnQuotas::default(),
                landing_ms: 0,
                quantity_lag_ms: 0,
                revisions_per_day: None,
                costs: costs_of(shop),
                concurrency: 2,
                settle_ms: shop.read_lag_ms,
                key_life_ms: (shop.mode == WriteMode::CompareAndSet).then_some(86_400_000),
                order_delay_ms: 5_000,
                order_overlap_ms: 10_000,
                time_step_ms: 1_000,
            },
            orders: Cadence::Every(every),
            scan: Cadence::Every(Duration::from_secs(86_400)),
            sweep: Cadence::Every(Duration::from_secs(86_400)),
            history: Duration::from_secs(30 * 86_400),
            locations: Vec::new(),
            order_location: LocationId::new(LocationId::DEFAULT),
            assume_shipped_after: None,
        })
        .collect();
    Settings {
        ledger: ledger.to_owned(),
        channels,
        policies: Policies::default(),
        bundles: Vec::new(),
        brake: BrakeSettings { share: Percent::ALL, min_listings: 1_000_000 },
    }
}

fn costs_of(shop: &Shop) -> Costs {
    match shop.quota {
        Quota::Points { .. } => costs(),
        Quota::Calls { .. } => Costs { identify: 1, orders: 1, listings: 1, levels: 1, write: 1 },
    }
}

/// A count of what is available, taken a minute before the start.
pub fn opening(sku: &str, location: &str, units: i64) -> CountRow {
    CountRow {
        sku: Sku::new(sku).unwrap(),
        location: LocationId::new(location),
        quantity: Units::of(units),
        basis: CountBasis::Available,
        counted_at: START.plus_ms(-60_000),
    }
}

/// A new ledger with these counts, and the engine on it.
pub fn start(settings: Settings, rows: Vec<CountRow>) -> Engine {
    let ledger = Ledger::open(&settings.ledger).unwrap();
    ledger.begin().unwrap();
    let count = Operation::Count { rows, reason: "opening".into() };
    ledger.operate(START.plus_ms(-60_000), &settings, &count).unwrap().unwrap();
    ledger.commit().unwrap();
    Engine::new(ledger, settings, Now { mono: Duration::ZERO, utc: START }).unwrap()
}

/// A thing under way in the virtual world.
enum Flight {
    Request {
        command: Command,
        sent: Duration,
    },
    /// A write that takes effect though its caller has given up.
    Late {
        command: Command,
    },
    Reply {
        call: CallId,
        channel: usize,
        answer: Answer,
        sent: Duration,
        read_at: UtcMs,
    },
    /// The shell notices that a person has left requests.
    Requests,
}

/// The engine, its shops, and what is under way between them.
pub struct World {
    engine: Option<Engine>,
    pub shops: Vec<Shop>,
    /// The true time: of the shops, and of the referee.
    pub now: Now,
    /// How far the engine's wall clock is off, in milliseconds.
    pub clock_off_ms: i64,
    /// Slowest way of a request, where ways differ.
    pub slowest: Option<(ChaCha8Rng, Duration)>,
    flights: BTreeMap<(Duration, u64), Flight>,
    next: u64,
    wake: Duration,
    /// Until when each channel has asked for quiet.
    quiet: BTreeMap<usize, Duration>,
    pub court: Option<Court>,
    /// Rounds that failed though they were to.
    pub failed_rounds: u32,
    /// Whether the ledger may refuse a round.
    pub may_fail: bool,
    /// Rounds of the engine so far.
    pub rounds: u64,
}

impl World {
    pub fn new(engine: Engine, shops: Vec<Shop>) -> Self {
        if std::env::var_os("TRACE").is_some() {
            // Another test may have been first.
            let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time();
            let _ = log.with_ansi(false).with_writer(std::io::stdout).try_init();
        }
        Self {
            engine: Some(engine),
            shops,
            now: Now { mono: Duration::ZERO, utc: START },
            clock_off_ms: 0,
            slowest: None,
            flights: BTreeMap::new(),
            next: 0,
            wake: Duration::ZERO,
            quiet: BTreeMap::new(),
            court: None,
            failed_rounds: 0,
            may_fail: false,
            rounds: 0,
        }
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    pub fn engine_mut(&mut self) -> &mut Engine {
        self.engine.as_mut().unwrap()
    }

    pub fn shop(&mut self, id: &str) -> &mut Shop {
        self.shops.iter_mut().find(|shop| shop.id.as_str() == id).unwrap()
    }

    /// The time as the engine is told it.
    pub fn told(&self) -> Now {
        Now { mono: self.now.mono, utc: self.now.utc.plus_ms(self.clock_off_ms) }
    }

    /// A person asks for something.
    pub fn ask(&mut self, operation: &Operation) -> i64 {
        self.put_at(self.now.mono, Flight::Requests);
        self.engine().ledger().ask(self.told().utc, operation).unwrap()
    }

    /// The answer to what was asked, which must have been given.
    pub fn answer_to(&self, request: i64) -> Result<String, String> {
        self.engine().ledger().answer_to(request).unwrap().expect("no answer")
    }

    /// Lets time pass until `until`, carrying requests and replies.
    pub fn run_until(&mut self, until: Duration) {
        loop {
            let next = self.flights.keys().next().map_or(self.wake, |(at, _)| (*at).min(self.wake));
            if next > until {
                self.set(until);
                return;
            }
            self.set(next);
            let events = self.due_events();
            self.round(&events);
        }
    }

    fn due_events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(entry) = self.flights.first_entry() {
            if entry.key().0 > self.now.mono {
                break;
            }
            match entry.remove() {
                Flight::Request { command, sent } => self.arrive(command, sent),
                Flight::Late { command } => self.land_late(&command),
                Flight::Reply { call, channel, answer, sent, read_at } => {
                    if let Some(court) = &mut self.court {
                        court.delivered(self.now.utc, channel, &answer, read_at);
                    }
                    if let Err(CallError::Throttled { wait: Some(wait), .. }) = &answer.result {
                        self.quiet.insert(channel, self.now.mono + *wait);
                    }
                    events.push(Event::Answered { call, took: self.now.mono - sent, answer });
                }
                Flight::Requests => events.push(Event::Requests),
            }
        }
        events
    }

    fn round(&mut self, events: &[Event]) {
        self.rounds += 1;
        let told = self.told();
        match self.engine_mut().handle(told, events) {
            Ok(step) => {
                self.wake = step.wake.unwrap();
                assert!(
                    self.wake > self.now.mono,
                    "the engine wants to be woken at once, for ever: {:?} at {:?}",
                    self.wake,
                    self.now.mono
                );
                for command in step.commands {
                    let sent = self.now.mono;
                    let quiet = self.quiet.get(&self.channel_of(&command)).copied().unwrap_or_default();
                    assert!(
                        sent >= quiet,
                        "{command:?} leaves before Retry-After, at {sent:?} and not at {quiet:?}"
                    );
                    self.put(Flight::Request { command, sent });
                }
            }
            Err(error) => {
                assert!(self.may_fail, "{error}");
                self.trace(&format!("the round failed: {error}"));
                self.failed_rounds += 1;
                self.wake = self.now.mono + LEDGER_PAUSE;
            }
        }
    }

    fn arrive(&mut self, command: Command, sent: Duration) {
        let now = self.now;
        let channel = self.channel_of(&command);
        let shop = &mut self.shops[channel];
        let done = shop.answer(now, &command.call);
        let line = format!("{} {}", shop.id, trace::told(&command.call, &done.answer.result));
        self.trace(&line);
        self.tell_landings(channel);
        if let (Some(court), Call::Write { rows, .. }, true) =
            (&mut self.court, &command.call, done.answer.result.is_err())
        {
            rows.iter().for_each(|row| court.unsettled(now.utc, channel, &row.place));
        }
        let call = command.id;
        if let Some(late) = done.late {
            self.put_at(now.mono + late, Flight::Late { command });
        }
        self.put_after(
            done.slow,
            Flight::Reply { call, channel, answer: done.answer, sent, read_at: now.utc },
        );
    }

    fn land_late(&mut self, command: &Command) {
        let channel = self.channel_of(command);
        if let Call::Write { key, rows } = &command.call {
            let outcomes = self.shops[channel].apply(self.now.utc, key, rows);
            let line = trace::told(&command.call, &Ok(Reply::Written(outcomes)));
            self.trace(&format!("{} late {line}", self.shops[channel].id));
        }
        self.tell_landings(channel);
    }

    /// What happens, line by line, with `TRACE=1`.
    pub fn trace(&self, line: &str) {
        if std::env::var_os("TRACE").is_some() {
            println!("{:?} {line}", self.now.mono);
        }
    }

    fn tell_landings(&mut self, channel: usize) {
        let landed = std::mem::take(&mut self.shops[channel].landed);
        if let Some(court) = &mut self.court {
            landed.iter().for_each(|landed| court.landed(self.now.utc, channel, landed));
        }
    }

    fn channel_of(&self, command: &Command) -> usize {
        self.shops.iter().position(|shop| shop.id == command.channel).unwrap()
    }

    /// The program is gone and starts anew. Requests on their way still arrive, replies find nobody; those requests
    /// that `lost` picks never arrive.
    pub fn restart(&mut self, settings: Settings, mut lost: impl FnMut() -> bool) {
        for (at, flight) in std::mem::take(&mut self.flights) {
            let Flight::Request { command, .. } = flight else {
                if let Flight::Late { .. } = flight {
                    self.flights.insert(at, flight);
                }
                continue;
            };
            let channel = self.channel_of(&command);
            if let (Some(court), Call::Write { key, rows }) = (&mut self.court, &command.call) {
                self.shops[channel].first_sent.entry(key.clone()).or_insert(self.now.utc);
                rows.iter().for_each(|row| court.unsettled(self.now.utc, channel, &row.place));
                if !lost() {
                    self.flights.insert(at, Flight::Late { command });
                }
            }
        }
        self.trace("restart");
        // The lock goes with the old engine.
        drop(self.engine.take());
        let ledger = Ledger::open(&settings.ledger).unwrap();
        self.engine = Some(Engine::new(ledger, settings, self.told()).unwrap());
        self.wake = self.now.mono;
        self.quiet.clear();
        // The shell looks for requests when it starts.
        self.put_at(self.now.mono, Flight::Requests);
    }

    fn put(&mut self, flight: Flight) {
        self.put_after(Duration::ZERO, flight);
    }

    fn put_after(&mut self, longer: Duration, flight: Flight) {
        let after = self.slowest.as_mut().map_or(LATENCY, |(dice, slowest)| {
            let most = u64::try_from(slowest.as_millis()).unwrap();
            Duration::from_millis(dice.random_range(5..=most))
        });
        self.put_at(self.now.mono + after + longer, flight);
    }

    fn put_at(&mut self, at: Duration, flight: Flight) {
        self.next += 1;
        self.flights.insert((at, self.next), flight);
    }

    fn set(&mut self, mono: Duration) {
        let mono = mono.max(self.now.mono);
        self.now = Now { mono, utc: START.plus_ms(i64::try_from(mono.as_millis()).unwrap()) };
    }
}
