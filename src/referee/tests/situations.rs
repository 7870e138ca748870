//! The nine situations that random seeds don't find (CORRECTNESS.md section 1): what a careful daemon does is
//! no breach, what a careless one does is.

use super::*;

/// Ten mugs, orders late in reads, quantities at once.
fn late() -> Court {
    let mut court = Court::of(10);
    court.lag = (300, 0);
    court
}

#[test]
fn situation_1_a_late_landing_erases_a_sale_and_the_order_explains_less_than_it_seems() {
    for careful in [true, false] {
        let mut court = late();
        court.referee.unsettled(UtcMs(0), PlaceIx(WEB));
        court.sale(300, "w1", WEB, 1);
        court.write(0, 500, WEB, 10);
        assert_eq!(court.referee.shown(PlaceIx(WEB)), Units::of(10));
        court.delivered(1_000, WEB, "w1");
        court.write(1_100, 1_110, TILL, 9);
        if careful {
            court.write(2_000, 2_010, WEB, 9);
        } // else: 10 written, 1 ordered, so 9 must be there
        assert_eq!(court.breaches(10_000), u64::from(!careful));
    }
}

#[test]
fn situation_2_a_sale_and_a_give_back_hide_each_other_from_compare_and_set() {
    for careful in [true, false] {
        let mut court = late();
        court.sale(0, "w0", WEB, 1);
        court.delivered(400, WEB, "w0");
        court.write(450, 460, TILL, 9);
        court.sale(500, "w1", WEB, 1);
        court.lag = (2_000, 0);
        court.give_back(550, "w0", WEB, 1);
        // It still shows the 9 that was expected: the write succeeds, and rightly so.
        court.write(600, 610, WEB, 9);
        assert_eq!(court.breaches(620), 0);
        court.delivered(900, WEB, "w1");
        court.write(950, 960, TILL, 8);
        if careful {
            court.write(950, 960, WEB, 8); // w1 was before the landing, so the landing overwrote it
        }
        assert_eq!(court.breaches(1_500), u64::from(!careful));
    }
}

#[test]
fn situation_3_a_give_back_known_while_a_write_flies_counts_only_for_later_ones() {
    for careful in [true, false] {
        let mut court = late();
        court.sale(0, "w0", WEB, 1);
        court.delivered(400, WEB, "w0");
        court.write(450, 460, TILL, 9);
        court.give_back(500, "w0", WEB, 1);
        court.delivered(850, WEB, "w0");
        court.write(800, 900, WEB, if careful { 9 } else { 10 });
        assert_eq!(court.breaches(910), u64::from(!careful));
        court.write(950, 960, WEB, 10);
        assert_eq!(court.breaches(5_000), u64::from(!careful));
    }
}

#[test]
fn situation_4_a_give_back_after_an_unknown_landing_counts_once() {
    for careful in [true, false] {
        let mut court = late();
        court.sale(0, "t1", TILL, 5);
        court.sale(0, "w0", WEB, 1);
        court.delivered(400, TILL, "t1");
        court.delivered(400, WEB, "w0");
        court.write(450, 500, WEB, 4);
        court.write(450, 500, TILL, 4);
        court.referee.unsettled(UtcMs(500), PlaceIx(WEB));
        court.give_back(700, "w0", WEB, 1);
        assert_eq!(court.referee.shown(PlaceIx(WEB)), Units::of(5));
        court.delivered(1_100, WEB, "w0");
        if !careful {
            court.write(3_000, 3_010, WEB, 6); // read 5, took it for what was written, and added the give-back
        }
        assert_eq!(court.breaches(20_000), u64::from(!careful));
    }
}

#[test]
fn situation_5_an_unknown_compare_and_set_that_matched_by_accident_is_settled_by_its_deadline() {
    for careful in [true, false] {
        let mut court = late();
        court.sale(0, "w0", WEB, 1);
        court.delivered(400, WEB, "w0");
        court.write(410, 420, TILL, 9);
        court.sale(500, "w1", WEB, 1);
        court.lag = (60_000, 0);
        court.give_back(510, "w0", WEB, 1);
        court.write(450, 600, WEB, 9);
        court.referee.unsettled(UtcMs(600), PlaceIx(WEB));
        court.delivered(900, WEB, "w1");
        court.write(950, 960, TILL, 8);
        assert_eq!(court.breaches(3_099), 0);
        if careful {
            court.write(3_000, 3_099, WEB, 8);
        }
        assert_eq!(court.breaches(3_100), u64::from(!careful));
    }
}

#[test]
fn situation_6_a_give_back_within_the_lag_of_sales_is_no_surplus() {
    for careful in [true, false] {
        let mut court = Court::of(10);
        court.sale(0, "w0", WEB, 1);
        court.delivered(50, WEB, "w0");
        court.write(70, 80, TILL, 9);
        court.lag = (2_000, 500);
        court.sale(100, "w1", WEB, 1);
        court.lag = (2_000, 0);
        court.give_back(150, "w0", WEB, 1);
        // A read shows 10: the give-back at once, the sale not yet.
        court.write(300, 310, WEB, if careful { 9 } else { 10 });
        assert_eq!(court.breaches(400), u64::from(!careful));
    }
}

#[test]
fn situation_7_an_order_explains_its_own_interval_only() {
    for careful in [true, false] {
        let mut court = Court::of(10);
        court.lag = (5_000, 0);
        court.sale(0, "w1", WEB, 1);
        court.write(100, 110, WEB, 9);
        court.lag = (0, 0);
        court.sale(200, "w2", WEB, 1);
        court.delivered(250, WEB, "w2");
        // w2 took one of the 9; w1, erased but seen, is still held.
        court.write(400, 410, WEB, if careful { 8 } else { 9 });
        assert_eq!(court.breaches(420), u64::from(!careful));
    }
}

#[test]
fn situation_8_a_surplus_is_never_adopted() {
    for careful in [true, false] {
        let mut court = late();
        court.referee.hand_edit(UtcMs(0), PlaceIx(WEB), Units::of(13));
        court.write(500, 510, WEB, if careful { 10 } else { 13 });
        assert_eq!(court.breaches(520), u64::from(!careful));
        court.sale(600, "w1", WEB, 11.min(court.referee.shown(PlaceIx(WEB)).get()));
        assert_eq!(court.verdict(610).0, (0, 0, 0, i64::from(!careful)));
    }
}

#[test]
fn situation_9_a_read_within_the_lag_proves_no_absence_of_sales() {
    for careful in [true, false] {
        let mut court = Court::of(10);
        court.lag = (1_000, 500);
        court.sale(0, "w1", WEB, 1);
        court.write(320, 330, WEB, 10);
        assert_eq!(court.breaches(340), 0, "nobody could know");
        court.write(1_050, 1_060, WEB, if careful { 9 } else { 10 });
        assert_eq!(court.breaches(1_070), u64::from(!careful));
    }
}
