//! Sales channels in memory under a virtual clock: the real engine on a real ledger, and shops to serve.
//!
//! A [`World`] carries the engine's calls to its [`Shop`]s and their answers back, one way of [`LATENCY`] each, and tells
//! the referee's [`Court`] what happens. A request travels, takes effect, and its reply travels back. Nothing in it grows
//! with time but what a shop is told to keep, and with the same dice the same things happen in the same order.

mod answer;
mod court;
mod limits;
mod number;
mod oddities;
mod orders;
mod setup;
mod shop;
mod trace;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use answer::Late;
pub use court::{Allowances, Court, Parts, Taken};
pub use oddities::Oddities;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
pub use setup::{opening, settings, start, start_on};
pub use shop::{Landed, Listing, Moods, POINTS, Seen, Shop, Sort, Tail, Wanted, capabilities, hash_of};
pub use trace::tell_on_request;

use crate::{
    domain::{Answer, Call, CallError, ChannelId, Now, Operation, Reply, Settings, UtcMs},
    engine::{CallId, Command, Engine, Event, News},
    ledger::{Ledger, LedgerError},
};

/// One way of every request, unless the world has dice.
pub const LATENCY: Duration = Duration::from_millis(40);
/// Shorter times are not worth passing over.
const WORTH_PASSING: Duration = Duration::from_secs(1);
/// The shell's pause after a ledger error.
const LEDGER_PAUSE: Duration = Duration::from_millis(500);
/// When a world begins, unless it is told otherwise.
pub const START: UtcMs = UtcMs(1_795_000_000_000);

/// What must not happen to an engine.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The ledger refused a round though nothing stood in its way.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The ledger won't have the opening stock.
    #[error("the opening stock is refused: {0}")]
    Refused(String),
    /// The engine wants to be woken at once, for ever.
    #[error("the engine wants to be woken at {wake:?}, and it is {now:?}")]
    Restless {
        /// When it is.
        now: Duration,
        /// When it wants to be woken.
        wake: Duration,
    },
    /// A call left before the channel takes calls again.
    #[error(
        "a call to {channel} leaves at {sent:?}, before {quiet:?}, until when the channel asked for quiet"
    )]
    TooSoon {
        /// Which channel.
        channel: ChannelId,
        /// When the call left.
        sent: Duration,
        /// Until when there should have been quiet.
        quiet: Duration,
    },
}

/// A look that the engine took at a shop, and had answered.
#[derive(Clone, Debug)]
pub struct Look {
    /// Which shop.
    pub shop: usize,
    /// When the shop answered.
    pub read_at: UtcMs,
    /// When the engine had the answer.
    pub at: UtcMs,
    /// The places whose numbers were read, by [`Shop::place_ix`]; `None`: orders were read, to the end.
    pub places: Option<Vec<usize>>,
}

/// A thing under way in the virtual world.
#[derive(Debug)]
enum Flight {
    Request {
        command: Command,
        sent: Duration,
    },
    /// A write that takes effect though its caller has given up, or has been answered.
    Late {
        channel: usize,
        late: Late,
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
#[derive(Debug)]
pub struct World {
    engine: Option<Engine>,
    /// The shops, in the order of the settings' channels.
    pub shops: Vec<Shop>,
    /// The true time: of the shops, and of the referee.
    pub now: Now,
    /// How far the engine's wall clock is off, in milliseconds.
    pub clock_off_ms: i64,
    /// Dice for the ways of requests, and the slowest of them.
    pub slowest: Option<(ChaCha8Rng, Duration)>,
    start: UtcMs,
    by_id: HashMap<ChannelId, usize>,
    flights: BTreeMap<(Duration, u64), Flight>,
    next: u64,
    wake: Duration,
    /// Until when each channel has asked for quiet.
    quiet: BTreeMap<usize, Duration>,
    /// The referee, if there is one.
    pub court: Option<Court>,
    /// Rounds that failed though they were to.
    pub failed_rounds: u32,
    /// Whether the ledger may refuse a round.
    pub may_fail: bool,
    /// Rounds of the engine so far.
    pub rounds: u64,
    /// Whether reads that would find nothing are passed over rather than made.
    pub passing: bool,
    /// The engine's looks since somebody took them, if somebody wants them.
    pub looks: Option<Vec<Look>>,
}

impl World {
    /// A world that begins at [`START`].
    pub fn new(engine: Engine, shops: Vec<Shop>) -> Self {
        Self::starting_at(START, engine, shops)
    }

    /// A world that begins then; the engine has been told the same.
    pub fn starting_at(start: UtcMs, engine: Engine, shops: Vec<Shop>) -> Self {
        Self {
            engine: Some(engine),
            by_id: shops.iter().enumerate().map(|(at, shop)| (shop.id.clone(), at)).collect(),
            shops,
            now: Now { mono: Duration::ZERO, utc: start },
            clock_off_ms: 0,
            slowest: None,
            start,
            flights: BTreeMap::new(),
            next: 0,
            wake: Duration::ZERO,
            quiet: BTreeMap::new(),
            court: None,
            failed_rounds: 0,
            may_fail: false,
            rounds: 0,
            passing: false,
            looks: None,
        }
    }

    /// The engine.
    ///
    /// # Panics
    /// After a restart that failed.
    pub fn engine(&self) -> &Engine {
        match &self.engine {
            Some(engine) => engine,
            None => unreachable!("the engine is gone only within a restart"),
        }
    }

    /// The engine.
    ///
    /// # Panics
    /// After a restart that failed.
    pub fn engine_mut(&mut self) -> &mut Engine {
        match &mut self.engine {
            Some(engine) => engine,
            None => unreachable!("the engine is gone only within a restart"),
        }
    }

    /// A shop by its id.
    ///
    /// # Panics
    /// Where there is none.
    pub fn shop(&mut self, id: &str) -> &mut Shop {
        let at = self.by_id[&ChannelId::new(id)];
        &mut self.shops[at]
    }

    /// The time as the engine is told it.
    pub fn told(&self) -> Now {
        Now { mono: self.now.mono, utc: self.now.utc.plus_ms(self.clock_off_ms) }
    }

    /// A person asks for something. Gives the request's id.
    ///
    /// # Errors
    /// [`Fault::Ledger`].
    pub fn ask(&mut self, operation: &Operation) -> Result<i64, Fault> {
        self.put_at(self.now.mono, Flight::Requests);
        Ok(self.engine().ledger().ask(self.told().utc, operation)?)
    }

    /// The answer to what was asked; `None`: none yet.
    ///
    /// # Errors
    /// [`Fault::Ledger`].
    pub fn answer_to(&self, request: i64) -> Result<Option<Result<String, String>>, Fault> {
        Ok(self.engine().ledger().answer_to(request)?)
    }

    /// Lets time pass until `until`, carrying requests and replies.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn run_until(&mut self, until: Duration) -> Result<(), Fault> {
        loop {
            let flight = self.flights.keys().next().map_or(Duration::MAX, |(at, _)| *at);
            self.pass_over(flight.min(until));
            let next = flight.min(self.wake);
            if next > until {
                self.set(until);
                return Ok(());
            }
            self.set(next);
            let events = self.due_events();
            self.round(&events)?;
            self.tell_room();
        }
    }

    /// Nothing happens before `until` but reads that find nothing.
    fn pass_over(&mut self, until: Duration) {
        let now = self.now.mono;
        // What is due now comes first.
        if !self.passing || self.wake <= now || self.wake >= until || until < now + WORTH_PASSING {
            return;
        }
        let start = self.start;
        let mono = |at: UtcMs| Duration::from_millis(at.since(start).max(0).unsigned_abs());
        let news = self.shops.iter().map(|shop| News {
            channel: shop.id.clone(),
            orders_from: shop.news_from().map(mono),
            places: shop.moved_places(),
        });
        let (news, told): (Vec<_>, _) = (news.collect(), self.told());
        let passed = self.engine_mut().pass_over(told, until, &news);
        for (at, shop) in self.shops.iter_mut().enumerate() {
            shop.passed(passed.polls[at], passed.looks[at]);
        }
        if let Some(wake) = passed.wake.filter(|wake| *wake > now) {
            self.wake = wake;
        }
    }

    fn due_events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(entry) = self.flights.first_entry() {
            if entry.key().0 > self.now.mono {
                break;
            }
            match entry.remove() {
                Flight::Request { command, sent } => self.arrive(&command, sent),
                Flight::Late { channel, late } => self.land_late(channel, &late),
                Flight::Reply { call, channel, answer, sent, read_at } => {
                    self.note_look(channel, &answer, read_at);
                    if let Some(court) = &mut self.court {
                        court.delivered(self.now.utc, channel, &answer, read_at);
                    }
                    if let Err(CallError::Throttled { wait: Some(wait), .. }) = &answer.result {
                        self.quiet.insert(channel, self.now.mono + *wait);
                    }
                    events.push(Event::Answered { call, took: self.now.mono.saturating_sub(sent), answer });
                }
                Flight::Requests => events.push(Event::Requests),
            }
        }
        events
    }

    fn note_look(&mut self, shop: usize, answer: &Answer, read_at: UtcMs) {
        let (Some(looks), Ok(reply)) = (&mut self.looks, &answer.result) else { return };
        let places = match reply {
            Reply::Orders(page) if page.next.is_none() => None,
            Reply::Levels(levels) => {
                Some(levels.iter().filter_map(|level| self.shops[shop].place_ix(&level.place)).collect())
            }
            _ => return,
        };
        looks.push(Look { shop, read_at, at: self.now.utc, places });
    }

    fn round(&mut self, events: &[Event]) -> Result<(), Fault> {
        self.rounds += 1;
        let (told, now) = (self.told(), self.now.mono);
        let step = match self.engine_mut().handle(told, events) {
            Ok(step) => step,
            Err(error) if self.may_fail => {
                self.trace(|| format!("the round failed: {error}"));
                self.failed_rounds += 1;
                self.wake = now + LEDGER_PAUSE;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.wake = step.wake.unwrap_or(Duration::MAX);
        if self.wake <= now {
            return Err(Fault::Restless { now, wake: self.wake });
        }
        for command in step.commands {
            let quiet = self.quiet.get(&self.channel_of(&command)).copied().unwrap_or_default();
            if now < quiet {
                return Err(Fault::TooSoon { channel: command.channel, sent: now, quiet });
            }
            self.put_after(Duration::ZERO, Flight::Request { command, sent: now });
        }
        Ok(())
    }

    fn arrive(&mut self, command: &Command, sent: Duration) {
        let now = self.now;
        let channel = self.channel_of(command);
        let shop = &mut self.shops[channel];
        let done = shop.answer(now, &command.call);
        let told = || format!("{} {}", command.channel, trace::told(&command.call, &done.answer.result));
        self.trace(told);
        self.tell_landings(channel);
        if done.answer.result.is_err() {
            self.tell_unsettled(channel, &command.call);
        }
        if let Some(late) = done.late {
            self.put_at(now.mono + late.after, Flight::Late { channel, late });
        }
        let (call, answer) = (command.id, done.answer);
        self.put_after(done.slow, Flight::Reply { call, channel, answer, sent, read_at: now.utc });
    }

    fn land_late(&mut self, channel: usize, late: &Late) {
        let (now, shop) = (self.now.utc, &mut self.shops[channel]);
        if late.accepted {
            late.rows.iter().for_each(|row| shop.land(now, &late.key, row));
            self.trace(|| format!("a feed of {} rows takes effect", late.rows.len()));
        } else {
            let outcomes = shop.apply(now, &late.key, &late.rows);
            self.trace(|| format!("a late write: {outcomes:?}"));
        }
        self.tell_landings(channel);
    }

    /// What happens, line by line, where somebody listens (see [`tell_on_request`]).
    pub fn trace(&self, line: impl FnOnce() -> String) {
        if tracing::enabled!(tracing::Level::TRACE) {
            tracing::trace!("{:?} {}", self.now.mono, line());
        }
    }

    fn tell_landings(&mut self, channel: usize) {
        let landed = std::mem::take(&mut self.shops[channel].landed);
        if let Some(court) = &mut self.court {
            for landed in &landed {
                court.landed(self.now.utc, channel, landed);
            }
        }
    }

    fn tell_unsettled(&mut self, channel: usize, call: &Call) {
        if let (Some(court), Call::Write { rows, .. }) = (&mut self.court, call) {
            let places = rows.iter().filter_map(|row| self.shops[channel].place_ix(&row.place));
            places.for_each(|place| court.unsettled(self.now.utc, channel, place));
        }
    }

    /// While a shop's limits leave no room nothing is overdue there.
    fn tell_room(&mut self) {
        let Some(court) = &mut self.court else { return };
        for (at, shop) in self.shops.iter_mut().enumerate() {
            court.set_room(self.now.utc, at, shop.has_room(self.now.mono));
        }
    }

    fn channel_of(&self, command: &Command) -> usize {
        self.by_id[&command.channel]
    }

    /// The program is gone and starts anew. Requests on their way still arrive, replies find nobody; those requests
    /// that `lost` picks never arrive.
    ///
    /// # Errors
    /// [`Fault::Ledger`]: there is no engine any more.
    pub fn restart(&mut self, settings: Settings, mut lost: impl FnMut() -> bool) -> Result<(), Fault> {
        for (at, flight) in std::mem::take(&mut self.flights) {
            match flight {
                Flight::Late { .. } => drop(self.flights.insert(at, flight)),
                Flight::Request { command, .. } => {
                    let channel = self.channel_of(&command);
                    self.tell_unsettled(channel, &command.call);
                    let Call::Write { key, rows } = command.call else { continue };
                    self.shops[channel].arrived(self.now.utc, &key);
                    if !lost() {
                        let late = Late { after: Duration::ZERO, key, rows, accepted: false };
                        self.flights.insert(at, Flight::Late { channel, late });
                    }
                }
                Flight::Reply { .. } | Flight::Requests => {}
            }
        }
        self.trace(|| "restart".into());
        // The lock goes with the old engine.
        drop(self.engine.take());
        let ledger = Ledger::open(&settings.ledger)?;
        self.engine = Some(Engine::new(ledger, settings, self.told())?);
        self.wake = self.now.mono;
        self.quiet.clear();
        // The shell looks for requests when it starts.
        self.put_at(self.now.mono, Flight::Requests);
        Ok(())
    }

    fn put_after(&mut self, longer: Duration, flight: Flight) {
        let after = self.slowest.as_mut().map_or(LATENCY, |(dice, slowest)| {
            let most = u64::try_from(slowest.as_millis()).unwrap_or(u64::MAX);
            Duration::from_millis(dice.random_range(5..=most.max(5)))
        });
        self.put_at(self.now.mono + after + longer, flight);
    }

    fn put_at(&mut self, at: Duration, flight: Flight) {
        self.next += 1;
        self.flights.insert((at, self.next), flight);
    }

    fn set(&mut self, mono: Duration) {
        let mono = mono.max(self.now.mono);
        let passed = i64::try_from(mono.as_millis()).unwrap_or(i64::MAX / 4);
        self.now = Now { mono, utc: self.start.plus_ms(passed) };
    }
}
