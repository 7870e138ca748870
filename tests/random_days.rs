//! Random days under a virtual clock, with the referee watching: three shops, scarce stock, and whatever can go wrong.
//! Nothing is oversold by the engine, and when it is quiet everybody shows the truth and nothing is written any more.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail loudly")]

mod random_day;

use std::{ops::Range, time::Duration};

use random_day::{Day, Weather};
use stockd::street::Moods;

const ROUGH: Moods = Moods {
    failed_reads: 30,
    throttles: 15,
    lost_writes: 30,
    lost_replies: 30,
    late_writes: 30,
    rejected_rows: 0,
    unread_rows: 20,
};

/// `SEED=7` runs just that day.
fn only(seeds: Range<u64>) -> Range<u64> {
    match std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => seeds,
    }
}

fn days(seeds: Range<u64>, weather: Weather) {
    for seed in only(seeds) {
        let folder = tempfile::tempdir().unwrap();
        let mut day = Day::new(folder.path(), seed, weather);
        day.pass_until(Duration::from_secs(5));
        day.live_until(Duration::from_secs(65));
        day.judge();
    }
}

#[test]
fn orders_visible_at_once_cause_no_breach_and_converge() {
    days(0..30, Weather::default());
}

#[test]
fn orders_that_show_up_late_cause_no_breach_and_converge() {
    days(100..130, Weather { order_delay_ms: 700, ..Weather::default() });
}

#[test]
fn h1_h2_writes_that_time_out_cause_no_breach_and_converge() {
    let moods = Moods { lost_writes: 60, lost_replies: 60, late_writes: 60, ..Moods::default() };
    days(200..220, Weather { order_delay_ms: 300, moods, ..Weather::default() });
}

#[test]
fn h3_h7_calls_that_fail_and_replies_that_overtake_each_other() {
    let slow_ways = Some(Duration::from_millis(400));
    days(300..320, Weather { order_delay_ms: 300, moods: ROUGH, slow_ways, ..Weather::default() });
}

#[test]
fn orders_in_pages_that_change_between_them() {
    let moods = Moods { failed_reads: 30, ..Moods::default() };
    days(400..420, Weather { orders_page: Some(2), moods, ..Weather::default() });
}

#[test]
fn p1_the_program_dies_at_any_time() {
    days(500..520, Weather { order_delay_ms: 300, deaths: true, ..Weather::default() });
}

#[test]
fn p2_p4_the_ledger_refuses_a_round() {
    days(600..620, Weather { order_delay_ms: 300, refusals: true, ..Weather::default() });
}

#[test]
fn p10_the_wall_clock_jumps_by_a_day() {
    days(700..720, Weather { order_delay_ms: 700, jumps: true, ..Weather::default() });
}

#[test]
fn deliveries_losses_counts_and_pauses() {
    let weather =
        Weather { order_delay_ms: 300, restocks: true, counts: true, pauses: true, ..Weather::default() };
    days(800..820, weather);
}

#[test]
fn d18_bundles_that_share_skus() {
    days(900..920, Weather { order_delay_ms: 300, bundles: true, restocks: true, ..Weather::default() });
}

#[test]
fn two_locations() {
    days(
        1_000..1_020,
        Weather { order_delay_ms: 300, locations: true, restocks: true, ..Weather::default() },
    );
}

#[test]
fn staff_set_numbers_by_hand() {
    days(1_100..1_120, Weather { order_delay_ms: 300, edits: true, ..Weather::default() });
}

#[test]
fn buffers_that_follow_demand() {
    days(1_200..1_220, Weather { order_delay_ms: 300, restocks: true, auto: true, ..Weather::default() });
}

#[test]
fn everything_at_once() {
    let weather = Weather {
        order_delay_ms: 400,
        read_lag_ms: 0,
        moods: ROUGH,
        slow_ways: Some(Duration::from_millis(300)),
        orders_page: Some(3),
        deaths: true,
        refusals: true,
        jumps: false,
        restocks: true,
        counts: false,
        pauses: true,
        bundles: true,
        locations: true,
        edits: false,
        auto: false,
    };
    days(1_300..1_320, weather);
    days(1_320..1_325, Weather { auto: true, ..weather });
}
