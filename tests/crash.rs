//! P1: the real program killed at named points around every commit and every send, again and again, beside emulated
//! shops in which people go on buying; nothing may be lost or doubled.
//!
//! `KILLS=200 SEED=7 cargo test --features test-switches --test crash -- --nocapture` kills as often as asked and says
//! what happened.

#![cfg(feature = "test-switches")]
#![allow(clippy::unwrap_used, clippy::explicit_write, reason = "helpers of tests fail as loudly as tests")]

#[allow(dead_code, reason = "the end-to-end tests use all of it")]
#[path = "end_to_end/street.rs"]
mod street;

use std::{
    collections::BTreeMap,
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    thread::sleep,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use stockd::kill_points::Point;
use street::{Process, SHOPS, Street};

/// A life that has not passed its point by then is ended all the same.
const LONGEST_LIFE: Duration = Duration::from_secs(6);
/// After so many kills one life ends by nothing but a kill out of the blue: time to settle what is unknown.
const KILLS_IN_A_ROW: usize = 6;
const CALM_LIFE: Duration = Duration::from_secs(4);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The street while the program dies and comes back.
struct Siege {
    street: Street,
    dice: ChaCha8Rng,
    orders: Vec<(&'static str, u64)>,
    kills: BTreeMap<&'static str, usize>,
    lives: usize,
}

impl Siege {
    /// Somebody buys; staff cancel and ship; a delivery comes, and is booked by whoever has the ledger.
    fn something_happens(&mut self) {
        let shop = SHOPS[self.dice.random_range(0..SHOPS.len())];
        let sku = format!("SKU-{:04}", self.dice.random_range(1..=12));
        let bundle = ["BUNDLE-PAIR", "BUNDLE-SIX-PACK"][self.dice.random_range(0..2)];
        match self.dice.random_range(0..20) {
            0..13 => self.order(shop, &sku),
            13 => self.order(shop, bundle),
            14..16 => self.staff("cancel"),
            16..19 => self.staff("fulfil"),
            _ => self.receive(&sku),
        }
    }

    fn order(&mut self, shop: &'static str, sku: &str) {
        let lines = [json!({"sku": sku, "quantity": self.dice.random_range(1..=3)})];
        let placed = self.street.try_act(&json!({"do": "order", "shop": shop, "lines": lines}));
        self.orders.extend(placed.and_then(|it| it["order"].as_u64()).map(|order| (shop, order)));
    }

    /// What can't be done any more is left.
    fn staff(&mut self, what: &str) {
        if self.orders.is_empty() {
            return;
        }
        let (shop, order) = self.orders.swap_remove(self.dice.random_range(0..self.orders.len()));
        self.street.try_act(&json!({"do": what, "shop": shop, "order": order}));
    }

    fn receive(&mut self, sku: &str) {
        let units = self.dice.random_range(3..=9);
        self.street.act(&json!({"do": "receive", "sku": sku, "quantity": units}));
        self.street.stockd(&[
            "stock",
            "adjust",
            sku,
            &units.to_string(),
            "--receipt",
            "--reason",
            "delivery",
        ]);
    }

    /// One life, to the point where it ends.
    fn live(&mut self, point: Point) {
        let most = match point {
            Point::StartOpened
            | Point::StartLoaded
            | Point::CheckpointBefore
            | Point::CheckpointAfter
            | Point::RequestBefore
            | Point::RequestAfter => 1,
            Point::WritePrepared | Point::WriteSend | Point::WriteReply => 4,
            Point::HeadAfter => 8,
            Point::RoundBegin | Point::CommitBefore | Point::CommitAfter => 40,
            Point::ReadSend | Point::ReadReply | Point::Answer => 25,
        };
        // While a request is on its way, before the shop has done it or after.
        let delay = if matches!(point, Point::ReadSend | Point::WriteSend) && self.dice.random_bool(0.7) {
            self.dice.random_range(1..30)
        } else {
            0
        };
        let when = format!("{}:{}:{delay}", point.name(), self.dice.random_range(1..=most));
        let mut daemon = self.start(&[("STOCKD_KILL_AT", &when)]);
        let begun = Instant::now();
        while daemon.ended().is_none() && begun.elapsed() < LONGEST_LIFE {
            if matches!(point, Point::RequestBefore | Point::RequestAfter) {
                self.receive("SKU-0001");
            }
            self.something_happens();
            sleep(Duration::from_millis(self.dice.random_range(20..120)));
        }
        let met = if daemon.ended().is_some() { point.name() } else { "out of the blue" };
        self.end(daemon, met);
    }

    fn start(&mut self, variables: &[(&str, &str)]) -> Process {
        self.lives += 1;
        self.street.act(&json!({"do": "excuse", "excused": false}));
        self.street.daemon_with(variables)
    }

    fn end(&mut self, mut daemon: Process, how: &'static str) {
        if let Some(status) = daemon.ended() {
            assert_eq!(status.signal(), Some(9), "{how}: it ended by itself");
        }
        daemon.kill();
        self.street.act(&json!({"do": "excuse", "excused": true}));
        *self.kills.entry(how).or_default() += 1;
        // Life goes on while it is away.
        self.something_happens();
    }

    fn live_calmly(&mut self) {
        let daemon = self.start(&[]);
        let begun = Instant::now();
        while begun.elapsed() < CALM_LIFE {
            self.something_happens();
            sleep(Duration::from_millis(200));
        }
        self.end(daemon, "out of the blue");
    }

    fn killed(&self) -> usize {
        self.kills.values().sum()
    }
}

#[test]
fn p1_killed_around_every_commit_and_every_send_nothing_is_lost_or_doubled() {
    let (wanted, seed) = (usize::try_from(number("KILLS", 25)).unwrap(), number("SEED", 1));
    let say = |text: &str| writeln!(std::io::stderr(), "{text}").unwrap();
    say(&format!("KILLS={wanted} SEED={seed}"));
    let begun = Instant::now();
    let mut siege = Siege {
        street: Street::with(&["--latency", "20", "--order-delay", "300"]),
        dice: ChaCha8Rng::seed_from_u64(seed),
        orders: Vec::new(),
        kills: BTreeMap::new(),
        lives: 0,
    };
    while siege.killed() < wanted {
        let mut points = Point::ALL;
        points.shuffle(&mut siege.dice);
        for row in points.chunks(KILLS_IN_A_ROW) {
            row.iter().take(wanted.saturating_sub(siege.killed())).for_each(|point| siege.live(*point));
            siege.street.stockd(&["verify"]);
            if siege.killed() < wanted {
                siege.live_calmly();
            }
        }
    }
    let _daemon = siege.start(&[]);
    siege.street.converges();
    let look = siege.street.look();
    say(&format!(
        "MEASURED: {} kills in {:?}, {} lives, {:?}; {} orders, none lost, none doubled; {}",
        siege.killed(),
        begun.elapsed(),
        siege.lives,
        siege.kills,
        look["shops"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["orders"].as_array().unwrap().len())
            .sum::<usize>(),
        look["totals"],
    ));
}

#[test]
fn p1_a_lowering_write_that_never_left_is_not_repeated_where_more_is_gone_by_then() {
    let street = Street::open();
    street.daemon_at_work().kill();
    let mut daemon = street.daemon_with(&[("STOCKD_KILL_AT", "write.prepared:1")]);
    street.order("site", &[("SKU-0001", 2)]);
    daemon.end();
    street.order("site", &[("SKU-0001", 3)]);
    let _daemon = street.daemon();
    street.converges();
}
