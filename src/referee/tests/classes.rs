//! Each class of oversold unit.

use super::*;

#[test]
fn two_channels_that_sell_the_last_unit_within_the_delay_pool_it() {
    let mut court = Court::of(1);
    court.sale(0, "w1", WEB, 1);
    court.sale(50, "t1", TILL, 1);
    assert_eq!(court.verdict(60), ((1, 0, 0, 0), 0));
    assert_eq!(court.referee.truly_available(&mug()), Units::of(-1));
}

#[test]
fn what_staff_put_up_and_sold_is_external() {
    let mut court = Court::of(1);
    court.referee.hand_edit(UtcMs(0), PlaceIx(WEB), Units::of(3));
    court.sale(10, "w1", WEB, 3);
    assert_eq!(court.verdict(20), ((0, 2, 0, 0), 0));
}

#[test]
fn a_number_found_above_policy_is_external_until_the_first_write() {
    let mut referee = Referee::new(Settings::default());
    referee.opening(&mug(), Units::ONE);
    let channel = referee.add_channel(OWED);
    let components = vec![(mug(), Units::ONE)];
    let shown = Units::of(5);
    referee.add_place(NewPlace { channel, name: "web".into(), components, policy: Policy::default(), shown });
    let mut court = Court { referee, lag: (0, 0) };
    court.sale(0, "w1", WEB, 2);
    assert_eq!(court.verdict(100_000), ((0, 1, 0, 0), 0));
}

#[test]
fn lost_units_that_nobody_knew_of_are_external() {
    let mut court = Court::of(2);
    court.referee.lose(UtcMs(0), &mug(), Units::ONE, UtcMs(1_000_000));
    court.sale(10, "w1", WEB, 2);
    assert_eq!(court.verdict(20), ((0, 1, 0, 0), 0));
}

#[test]
fn a_known_loss_is_a_decrease_that_is_owed() {
    let mut court = Court::of(2);
    court.referee.lose(UtcMs(0), &mug(), Units::ONE, UtcMs(100));
    assert_eq!(court.breaches(599), 0);
    assert_eq!(court.breaches(600), 2);
}

#[test]
fn a_sale_overwritten_on_the_way_makes_the_next_one_in_flight() {
    let mut court = Court::of(1);
    court.sale(5, "w1", WEB, 1);
    court.write(0, 20, WEB, 1);
    assert_eq!(court.verdict(20), ((0, 0, 0, 0), 0));
    court.sale(30, "w2", WEB, 1);
    assert_eq!(court.verdict(40), ((0, 0, 1, 0), 0));
}

#[test]
fn a_write_that_ignores_a_visible_order_causes_what_it_oversells() {
    let mut court = Court::of(1);
    court.sale(0, "w1", WEB, 1);
    court.write(100, 120, WEB, 1);
    court.sale(130, "w2", WEB, 1);
    assert_eq!(court.verdict(140), ((0, 0, 0, 1), 1));
}

#[test]
fn a_unit_sold_out_of_a_breach_is_owed_until_somebody_else_oversells() {
    let mut court = Court::of(3);
    court.write(0, 10, WEB, 4);
    court.sale(20, "w1", WEB, 4);
    court.sale(30, "t1", TILL, 3);
    assert_eq!(court.verdict(40), ((3, 0, 0, 1), 1));
    let mut court = Court::of(3);
    court.write(0, 10, WEB, 5);
    court.sale(20, "w1", WEB, 3);
    court.sale(25, "w2", WEB, 2);
    assert_eq!(court.verdict(40).0, (0, 0, 0, 2));
}

#[test]
fn what_is_owed_is_charged_to_a_later_oversell_elsewhere() {
    let mut court = Court::of(4);
    court.referee.hand_edit(UtcMs(0), PlaceIx(TILL), Units::ZERO);
    court.write(0, 10, TILL, 0);
    court.sale(15, "w0", WEB, 2);
    // Two are left; the till is told two by hand.
    court.referee.hand_edit(UtcMs(20), PlaceIx(TILL), Units::of(2));
    court.sale(30, "t1", TILL, 2);
    court.sale(40, "w1", WEB, 2);
    assert_eq!(court.verdict(50), ((0, 2, 0, 0), 0));
}

#[test]
fn what_is_owed_is_void_once_every_place_was_written_with_the_order_known() {
    let mut court = Court::of(4);
    court.write(0, 10, TILL, 0);
    court.referee.hand_edit(UtcMs(20), PlaceIx(TILL), Units::of(2));
    court.sale(30, "t1", TILL, 2);
    court.delivered(100, TILL, "t1");
    court.write(150, 160, WEB, 2);
    court.write(150, 160, TILL, 2);
    court.sale(170, "w1", WEB, 2);
    court.sale(180, "t2", TILL, 1);
    assert_eq!(court.verdict(190), ((1, 0, 0, 0), 0));
}

#[test]
fn what_is_owed_is_void_too_where_no_write_was_needed() {
    let mut court = Court::of(4);
    court.write(0, 10, TILL, 0);
    court.write(0, 10, WEB, 2);
    court.referee.hand_edit(UtcMs(20), PlaceIx(TILL), Units::of(2));
    court.sale(30, "t1", TILL, 2);
    court.delivered(100, TILL, "t1");
    // The web already shows the two that are left, and the till none: a slack later both have heeded the
    // order.
    assert_eq!(court.breaches(700), 0);
    court.write(700, 710, TILL, 2);
    court.sale(800, "w1", WEB, 2);
    court.sale(810, "t2", TILL, 1);
    assert_eq!(court.verdict(820).0, (1, 0, 0, 0));
}

/// A box of two mugs and a lid on the web, mugs and lids alone at the till.
fn boxes(mugs: i64, lids: i64) -> Court {
    let lid = Sku::new("LID").unwrap();
    let mut referee = Referee::new(Settings { fence_age_ms: 10, memory_ms: 60_000 });
    referee.opening(&mug(), Units::of(mugs));
    referee.opening(&lid, Units::of(lids));
    let (web, till) = (referee.add_channel(OWED), referee.add_channel(OWED));
    let mut place = |channel, name: &str, components, shown| {
        let shown = Units::of(shown);
        referee.add_place(NewPlace {
            channel,
            name: name.into(),
            components,
            policy: Policy::default(),
            shown,
        })
    };
    place(web, "box", vec![(mug(), Units::of(2)), (lid.clone(), Units::ONE)], lids.min(mugs / 2));
    place(till, "mug", vec![(mug(), Units::ONE)], mugs);
    place(till, "lid", vec![(lid, Units::ONE)], lids);
    Court { referee, lag: (0, 0) }
}

#[test]
fn a_bundle_oversells_each_component_by_its_own_units() {
    let mut court = boxes(3, 5);
    court.sale(0, "t1", TILL, 3);
    court.sale(10, "w1", 0, 1);
    assert_eq!(court.verdict(20), ((2, 0, 0, 0), 0));
    assert_eq!(court.referee.totals().units_sold, Units::of(6));
}

#[test]
fn a_sale_of_a_component_lowers_what_the_bundle_may_show() {
    let mut court = boxes(4, 4);
    court.sale(0, "t1", 1, 1);
    court.delivered(100, TILL, "t1");
    assert_eq!(court.referee.true_target(PlaceIx(0)), Units::ONE);
    court.write(200, 210, 0, 2);
    assert_eq!(court.breaches(220), 1);
    court.write(300, 310, 0, 1);
    assert_eq!(court.breaches(5_000), 1);
    assert_eq!(court.referee.sale_to_push_ms(), [310]);
}

#[test]
fn a_sale_of_the_bundle_must_be_followed_by_every_component() {
    let mut court = boxes(4, 4);
    court.sale(0, "w1", 0, 1);
    court.delivered(100, WEB, "w1");
    court.write(200, 210, 1, 2);
    assert_eq!(court.breaches(599), 0);
    assert_eq!(court.breaches(600), 1, "the lids still show 4 of 3");
    assert_eq!(court.referee.totals().reasons[0].place, "lid");
}

#[test]
fn a_breach_of_a_bundle_is_caused_in_units_of_its_components() {
    let mut court = boxes(2, 9);
    court.write(0, 10, 0, 2);
    court.sale(20, "w1", 0, 2);
    assert_eq!(court.verdict(30), ((0, 0, 0, 2), 1));
}

#[test]
fn pieces_in_flight_are_sold_before_caused_ones() {
    let mut court = Court::of(10);
    court.sale(5, "w1", WEB, 2);
    court.write(0, 20, WEB, 12);
    court.sale(30, "w2", WEB, 10);
    assert_eq!(court.verdict(40), ((0, 0, 2, 0), 1));
    court.sale(50, "w3", WEB, 2);
    assert_eq!(court.verdict(60).0, (0, 0, 2, 2));
}

#[test]
fn the_delay_from_sale_to_push_counts_where_a_write_was_needed() {
    let mut court = Court::of(10);
    court.sale(0, "w1", WEB, 1);
    court.write(300, 310, TILL, 9);
    assert_eq!(court.referee.sale_to_push_ms(), [310]);
    // The till sells one of its own before the write: nothing is left to follow.
    court.sale(400, "w2", WEB, 1);
    court.sale(450, "t1", TILL, 1);
    court.write(500, 510, TILL, 7);
    assert_eq!(court.referee.sale_to_push_ms(), [310]);
    court.write(550, 560, WEB, 7);
    assert_eq!(court.referee.sale_to_push_ms(), [310, 110]);
    // What the selling place itself shows too much was there before the sale.
    court.referee.hand_edit(UtcMs(600), PlaceIx(WEB), Units::of(9));
    court.write(610, 610, TILL, 5);
    court.sale(620, "w3", WEB, 1);
    court.write(700, 710, WEB, 6);
    assert_eq!(court.referee.sale_to_push_ms(), [310, 110]);
}
