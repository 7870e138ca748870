//! Random days under a virtual clock, with the referee watching: three shops, scarce stock, and whatever can go wrong.
//! Nothing is oversold by the engine, and when it is quiet everybody shows the truth and nothing is written any more.

mod random_day;
mod virtual_shop;

use std::{ops::Range, time::Duration};

use random_day::{Day, Weather};
use virtual_shop::Moods;

const ROUGH: Moods = Moods {
    failed_reads: 30,
    throttles: 15,
    lost_writes: 30,
    lost_replies: 30,
    late_writes: 30,
    rejected_rows: 0,
    unread_rows: 20,
};

fn days(seeds: Range<u64>, weather: Weather) {
    for seed in seeds {
        let folder = tempfile::tempdir().unwrap();
        let mut day = Day::new(folder.path(), seed, weather);
        day.pass_until(Duration::from_secs(5));
        day.live_until(Duration::from_secs(65));
        day.judge();
    }
}

#[test]
fn orders_visible_at_once_cause_no_breach_and_converge() {
    days(0..40, Weather::default());
}

#[test]
fn orders_that_show_up_late_cause_no_breach_and_converge() {
    days(100..140, Weather { order_delay_ms: 700, ..Weather::default() });
}

#[test]
fn h1_h2_writes_that_time_out_cause_no_breach_and_converge() {
    let moods = Moods { lost_writes: 60, lost_replies: 60, ..Moods::default() };
    days(200..240, Weather { order_delay_ms: 300, moods, ..Weather::default() });
}
