//! Properties, and a small model of daemons good and bad: the good ones never breach, each bad one does.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    /// Reads, computes, writes, at once.
    Careful,
    /// Writes absolute numbers computed before the last look.
    Unfenced,
    /// Forgets how far below zero available is.
    Clamped,
    /// Sends an old number again.
    StaleRetry,
    /// Leaves a decrease lying now and then.
    SkipsDecreases,
    /// Takes its own writes for restocks.
    Echo,
}

const CHANNELS: usize = 3;

/// What a daemon believes and does; orders are read whole, so its sum is that of all it has read.
struct Daemon {
    habit: Habit,
    available: i64,
    sent: [i64; CHANNELS],
}

/// One shop day in steps of 100 ms: shoppers, polls each second, writes with 20 ms on the way. Returns the
/// verdict.
fn run(habit: Habit, seed: u64) -> ((i64, i64, i64, i64), u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let opening = rng.random_range(3..12);
    let mut court = Court::of(opening);
    let owed = court.referee.add_channel(OWED);
    let (components, shown) = (vec![(mug(), Units::ONE)], Units::of(opening));
    let place =
        NewPlace { channel: owed, name: "third".into(), components, policy: Policy::default(), shown };
    court.referee.add_place(place);
    let mut daemon = Daemon { habit, available: opening, sent: [opening; CHANNELS] };
    let mut open = Vec::new();
    for step in 0..300_i64 {
        let at = step * 100;
        let place = rng.random_range(0..CHANNELS);
        if rng.random_bool(0.15) && court.referee.shown(PlaceIx(place)) > Units::ZERO {
            let order = format!("o{step}");
            court.sale(at, &order, place, 1);
            open.push((place, order, -1));
        } else if rng.random_bool(0.03) {
            court.referee.raise(UtcMs(at), &mug(), Units::of(2), UtcMs(at));
            open.push((place, String::new(), 2));
        }
        if step % 10 == 9 {
            let old = daemon.available;
            for (channel, order, units) in open.drain(..) {
                court.delivered(at + 20, channel, &order);
                daemon.read(units);
            }
            daemon.write(&mut court, &mut rng, old, at + 40);
        }
    }
    court.verdict(100_000)
}

impl Daemon {
    fn read(&mut self, units: i64) {
        self.available += units;
        if self.habit == Habit::Clamped {
            self.available = self.available.max(0);
        }
    }

    fn write(&mut self, court: &mut Court, rng: &mut ChaCha8Rng, old: i64, at: i64) {
        for place in 0..CHANNELS {
            let shown = court.referee.shown(PlaceIx(place)).get();
            let value = match self.habit {
                Habit::Unfenced => old,
                Habit::StaleRetry if rng.random_bool(0.1) => self.sent[place],
                _ => self.available,
            }
            .max(0);
            let skips = self.habit == Habit::SkipsDecreases && rng.random_bool(0.2);
            if value == shown || (value < shown && skips) {
                continue;
            }
            court.write(at, at + 20, place, value);
            self.sent[place] = value;
            if self.habit == Habit::Echo && value > shown {
                self.available = (self.available + value - shown).min(99);
            }
        }
    }
}

#[test]
fn a_careful_daemon_never_breaches_nor_causes_anything() {
    for seed in 0..300 {
        let ((_, external, in_flight, caused), breaches) = run(Habit::Careful, seed);
        assert_eq!((external, in_flight, caused, breaches), (0, 0, 0, 0), "seed {seed}");
    }
}

#[test]
fn a_careful_daemon_oversells_by_its_delay_alone() {
    let pooled: i64 = (0..300).map(|seed| run(Habit::Careful, seed).0.0).sum();
    assert!(pooled > 0, "the model would prove nothing if nothing was ever short");
}

#[test]
fn every_careless_daemon_breaches() {
    for habit in [Habit::Unfenced, Habit::Clamped, Habit::StaleRetry, Habit::SkipsDecreases, Habit::Echo] {
        let caught = (0..100).filter(|seed| run(habit, *seed).1 > 0).count();
        assert!(caught >= 50, "{habit:?} breached in {caught} of 100 seeds");
    }
}

/// Anything that can happen to a place.
#[derive(Clone, Debug)]
enum Happening {
    Sale(usize, i64),
    GiveBack(usize, i64),
    Edit(usize, i64),
    Landing(usize, i64),
    Deliver,
    Wait,
    Open(usize, bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    let place = 0_usize..2;
    prop_oneof![
        (place.clone(), 1_i64..4).prop_map(|(p, k)| Happening::Sale(p, k)),
        (place.clone(), 1_i64..3).prop_map(|(p, k)| Happening::GiveBack(p, k)),
        (place.clone(), 0_i64..12).prop_map(|(p, v)| Happening::Edit(p, v)),
        (place.clone(), 0_i64..12).prop_map(|(p, v)| Happening::Landing(p, v)),
        Just(Happening::Deliver),
        Just(Happening::Wait),
        (place, any::<bool>()).prop_map(|(p, open)| Happening::Open(p, open)),
    ]
}

proptest! {
    #[test]
    fn the_parts_of_a_number_add_up_to_it_and_every_oversold_unit_has_one_class(
        opening in 0_i64..10,
        happenings in proptest::collection::vec(happening(), 1..60),
    ) {
        let mut court = Court::with(opening, ChannelSettings { quantity_poll_ms: Some(700), ..OWED }, Policy::default());
        let mut shown = [opening; 2];
        let (mut truly, mut oversold) = (opening, 0);
        for (step, happening) in happenings.into_iter().enumerate() {
            let at = i64::try_from(step).unwrap() * 150;
            match happening {
                Happening::Sale(place, pieces) => {
                    court.sale(at, &format!("o{step}"), place, pieces);
                    shown[place] -= pieces;
                    oversold += pieces - pieces.min(truly.max(0));
                    truly -= pieces;
                }
                Happening::GiveBack(place, pieces) => {
                    court.give_back(at, &format!("o{}", step / 2), place, pieces);
                    shown[place] += pieces;
                    truly += pieces;
                }
                Happening::Edit(place, value) => {
                    court.referee.hand_edit(UtcMs(at), PlaceIx(place), Units::of(value));
                    shown[place] = value;
                }
                Happening::Landing(place, value) => {
                    court.write(at - 70, at, place, value);
                    shown[place] = value;
                }
                Happening::Deliver => {
                    (0..step).for_each(|o| (0..2).for_each(|c| court.delivered(at, c, &format!("o{o}"))));
                }
                Happening::Wait => court.referee.tick(UtcMs(at + 140)),
                Happening::Open(place, open) => court.referee.set_open(UtcMs(at), ChannelIx(place), open),
            }
            for (place, shown) in shown.iter().enumerate() {
                prop_assert_eq!(court.referee.shown(PlaceIx(place)), Units::of(*shown));
            }
            prop_assert_eq!(court.referee.truly_available(&mug()), Units::of(truly));
            let ((pooled, external, in_flight, caused), _) = court.verdict(at);
            prop_assert_eq!(pooled + external + in_flight + caused, oversold);
        }
    }
}
