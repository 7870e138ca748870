//! Each kind of breach, and what is no breach.

use super::*;

#[test]
fn a_write_of_what_evidence_says_is_no_breach() {
    let mut court = Court::of(10);
    court.sale(0, "w1", WEB, 3);
    court.delivered(100, WEB, "w1");
    court.write(200, 210, TILL, 7);
    assert_eq!(court.verdict(100_000), ((0, 0, 0, 0), 0));
    assert_eq!(court.referee.shown(PlaceIx(TILL)), Units::of(7));
}

#[test]
fn a_write_above_a_delivered_order_is_a_breach_that_says_why() {
    let mut court = Court::of(10);
    court.sale(0, "w1", WEB, 3);
    court.delivered(100, WEB, "w1");
    court.write(200, 210, TILL, 9);
    assert_eq!(court.breaches(220), 1);
    let breach = &court.referee.totals().reasons[0];
    assert_eq!((breach.kind, breach.pieces, breach.limit), (BreachKind::Landing, Units::of(2), Units::of(7)));
    let text = breach.to_string();
    assert!(text.contains("till shows 9, 2 above 7") && text.contains("order w1 sold 3 at web"), "{text}");
}

#[test]
fn evidence_younger_than_the_fence_is_not_held_against_a_write() {
    for (sent_at, breaches) in [(109, 0), (110, 1)] {
        let mut court = Court::of(10);
        court.sale(0, "w1", WEB, 3);
        court.delivered(100, WEB, "w1");
        court.write(sent_at, 120, TILL, 10);
        assert_eq!(court.breaches(130), breaches, "sent at {sent_at}");
    }
}

#[test]
fn a_write_above_policy_is_a_breach_though_the_units_exist() {
    let policy = Policy { buffer: Buffer::Units(Units::of(2)), ..Policy::default() };
    let mut court = Court::with(10, OWED, policy);
    court.write(0, 10, WEB, 9);
    assert_eq!(court.breaches(20), 1);
}

#[test]
fn an_order_that_no_poll_fetched_is_due_all_the_same() {
    let mut court = Court::of(10);
    court.lag = (200, 0);
    court.sale(0, "w1", WEB, 3);
    court.write(1_299, 1_299, TILL, 10);
    assert_eq!(court.breaches(1_299), 0);
    court.write(1_300, 1_300, TILL, 10);
    assert_eq!(court.breaches(1_300), 1);
}

#[test]
fn a_decrease_left_lying_is_a_breach_and_what_it_oversells_is_caused() {
    let mut court = Court::of(3);
    court.sale(0, "w1", WEB, 3);
    court.delivered(100, WEB, "w1");
    assert_eq!(court.breaches(599), 0);
    assert_eq!(court.breaches(600), 1);
    assert_eq!(court.referee.totals().reasons[0].kind, BreachKind::Overdue);
    court.sale(700, "t1", TILL, 1);
    assert_eq!(court.verdict(710), ((0, 0, 0, 1), 1));
}

#[test]
fn a_sleeping_daemon_is_not_innocent() {
    let mut court = Court::of(3);
    court.sale(0, "w1", WEB, 1);
    assert_eq!(court.breaches(1_599), 0);
    assert_eq!(court.breaches(1_600), 1);
}

#[test]
fn nothing_is_overdue_on_a_closed_channel_and_the_slack_starts_over_when_it_opens() {
    let mut court = Court::of(3);
    court.sale(0, "w1", WEB, 1);
    court.delivered(100, WEB, "w1");
    court.referee.set_open(UtcMs(200), ChannelIx(TILL), false);
    assert_eq!(court.breaches(9_000), 0);
    court.referee.set_open(UtcMs(10_000), ChannelIx(TILL), true);
    assert_eq!(court.breaches(10_499), 0);
    assert_eq!(court.breaches(10_500), 1);
}

#[test]
fn an_order_on_a_closed_channel_is_not_due_until_a_poll_after_it_opens() {
    let mut court = Court::of(3);
    court.referee.set_open(UtcMs(0), ChannelIx(WEB), false);
    court.sale(10, "w1", WEB, 1);
    court.referee.set_open(UtcMs(5_000), ChannelIx(WEB), true);
    court.referee.tick(UtcMs(6_099));
    court.write(6_099, 6_099, TILL, 3);
    assert_eq!(court.breaches(6_099), 0);
    court.write(6_100, 6_100, TILL, 3);
    assert_eq!(court.breaches(6_100), 1);
}

#[test]
fn an_outage_that_ended_before_the_deadline_moves_it_too() {
    let mut court = Court::of(3);
    court.sale(0, "w1", WEB, 1);
    court.delivered(100, WEB, "w1");
    court.referee.set_open(UtcMs(200), ChannelIx(TILL), false);
    court.referee.set_open(UtcMs(400), ChannelIx(TILL), true);
    assert_eq!(court.breaches(899), 0);
    assert_eq!(court.breaches(900), 1);
}

#[test]
fn h2_a_lost_reply_gives_time_to_settle() {
    let mut court = Court::of(3);
    court.sale(0, "w1", WEB, 1);
    court.delivered(100, WEB, "w1");
    court.referee.unsettled(UtcMs(300), PlaceIx(TILL));
    assert_eq!(court.breaches(2_799), 0);
    assert_eq!(court.breaches(2_800), 1);
}

#[test]
fn a_write_may_be_old_news_when_it_lands_but_not_for_long() {
    let mut court = Court::of(10);
    court.sale(50, "w1", WEB, 4);
    court.delivered(100, WEB, "w1");
    court.write(0, 5_000, TILL, 10);
    assert_eq!(court.breaches(5_499), 1, "overdue before it landed");
    assert_eq!(court.breaches(5_500), 2, "and left lying after");
}

#[test]
fn an_overwritten_sale_is_in_flight_until_its_order_has_been_known_for_the_slack() {
    let mut court = Court::of(10);
    court.lag = (300, 300);
    court.sale(5, "w1", WEB, 4);
    court.write(0, 20, WEB, 10);
    court.delivered(400, WEB, "w1");
    // The till is right; only the web has lost a sale.
    court.write(500, 510, TILL, 6);
    assert_eq!(court.breaches(899), 0);
    assert_eq!(court.breaches(900), 1);
    assert_eq!(court.referee.totals().reasons[0].pieces, Units::of(4));
}

#[test]
fn a_capped_place_may_lag_by_what_was_overwritten_in_flight() {
    // The cap hides the overwritten sale at the landing; a sale elsewhere uncovers it.
    let policy = Policy { cap: Some(Units::of(5)), ..Policy::default() };
    let mut court = Court::with(6, OWED, policy);
    court.lag = (400, 400);
    court.sale(5, "w1", WEB, 1);
    court.write(0, 20, WEB, 5);
    court.lag = (0, 0);
    court.sale(30, "t1", TILL, 1);
    court.delivered(60, TILL, "t1");
    // Evidence: five. Truth: four. The fifth is in flight, since nothing has shown w1 for long enough.
    assert_eq!(court.breaches(560), 0);
    court.sale(570, "w2", WEB, 5);
    assert_eq!(court.verdict(580), ((0, 0, 1, 0), 0));
}

#[test]
fn a_sale_seen_in_quantities_binds_the_write_after_it() {
    for (value, breaches) in [(9, 0), (10, 1)] {
        let mut court = Court::of(10);
        court.lag = (5_000, 0);
        court.sale(0, "w1", WEB, 1);
        court.write(10, 20, WEB, value);
        assert_eq!(court.breaches(30), breaches, "value {value}");
    }
}

#[test]
fn a_sale_seen_in_quantities_binds_later_writes_too_though_a_write_erased_it() {
    let mut court = Court::of(10);
    court.lag = (5_000, 0);
    court.sale(0, "w1", WEB, 1);
    court.write(10, 20, WEB, 9);
    court.write(500, 510, WEB, 10);
    assert_eq!(court.breaches(520), 1);
}

#[test]
fn a_sale_erased_before_any_read_could_show_it_binds_nobody_until_its_order_shows() {
    let mut court = Court::of(10);
    court.lag = (1_000, 100);
    court.sale(0, "w1", WEB, 1);
    court.write(50, 60, WEB, 10);
    court.write(500, 510, WEB, 10);
    assert_eq!(court.breaches(520), 0);
    court.write(1_010, 1_010, WEB, 10);
    assert_eq!(court.breaches(1_011), 1);
}

#[test]
fn units_back_count_once_delivered_and_not_before() {
    for (sent_at, breaches) in [(99, 1), (100, 0)] {
        let mut court = Court::of(10);
        court.sale(0, "w1", WEB, 2);
        court.delivered(10, WEB, "w1");
        court.give_back(50, "w1", WEB, 2);
        court.delivered(100, WEB, "w1");
        court.write(sent_at, 110, TILL, 10);
        assert_eq!(court.breaches(110), breaches, "sent at {sent_at}");
    }
}

#[test]
fn an_order_cancelled_before_anybody_read_it_leaves_nothing_behind() {
    let mut court = Court::of(10);
    court.sale(0, "w1", WEB, 2);
    court.give_back(50, "w1", WEB, 2);
    court.delivered(100, WEB, "w1");
    assert_eq!(court.referee.shown(PlaceIx(WEB)), Units::of(10));
    court.write(200, 210, TILL, 10);
    court.write(200, 210, WEB, 10);
    assert_eq!(court.verdict(50_000), ((0, 0, 0, 0), 0));
}

#[test]
fn a_reply_delivers_only_what_was_visible_when_it_was_composed() {
    let mut court = Court::of(10);
    court.sale(0, "w1", WEB, 2);
    court.lag = (100, 0);
    court.give_back(50, "w1", WEB, 2);
    court.delivered(149, WEB, "w1");
    court.write(200, 210, TILL, 10);
    assert_eq!(court.breaches(210), 1);
}

#[test]
fn a_restock_by_the_seller_counts_from_when_the_ledger_can_know_it() {
    let mut court = Court::of(1);
    court.referee.raise(UtcMs(0), &mug(), Units::of(5), UtcMs(100));
    court.write(99, 110, WEB, 6);
    assert_eq!(court.breaches(110), 1);
    court.write(100, 120, WEB, 6);
    assert_eq!(court.breaches(50_000), 1);
}

#[test]
fn a_hand_edit_is_overdue_only_where_quantities_are_looked_at() {
    for (quantity_poll_ms, breaches) in [(None, 0), (Some(2_000), 1)] {
        let mut court = Court::with(10, ChannelSettings { quantity_poll_ms, ..OWED }, Policy::default());
        court.referee.hand_edit(UtcMs(0), PlaceIx(WEB), Units::of(12));
        assert_eq!(court.breaches(2_499), 0);
        assert_eq!(court.breaches(2_500), breaches);
    }
}

#[test]
fn a_channel_that_puts_units_back_itself_has_a_poll_to_tell() {
    let mut court = Court::of(10);
    court.write(0, 0, WEB, 8);
    court.sale(0, "w1", WEB, 2);
    court.delivered(10, WEB, "w1");
    court.write(20, 30, TILL, 8);
    court.write(20, 30, WEB, 8);
    // Two go back on the shelf and are shown at once; nobody has to lower anything for it.
    court.give_back(50, "w1", WEB, 2);
    assert_eq!(court.referee.shown(PlaceIx(WEB)), Units::of(10));
    court.delivered(100, WEB, "w1");
    assert_eq!(court.verdict(50_000), ((0, 0, 0, 0), 0));
}

#[test]
fn settled_events_are_folded_away_and_the_verdicts_stay() {
    let mut court = Court::of(1_000);
    for round in 0..50 {
        let at = round * 10_000;
        let order = format!("w{round}");
        court.sale(at, &order, WEB, 2);
        court.delivered(at + 10, WEB, &order);
        court.write(at + 100, at + 110, TILL, 1_000 - 2 * (round + 1));
    }
    assert_eq!(court.breaches(500_000), 0);
    assert!(court.referee.book.events.len() <= 8, "{} events", court.referee.book.events.len());
    assert_eq!(court.referee.truly_available(&mug()), Units::of(900));
    court.write(500_000, 500_000, TILL, 901);
    assert_eq!(court.breaches(500_001), 1);
}

#[test]
fn only_the_first_breaches_keep_their_reasons() {
    let mut court = Court::of(1);
    for at in 0..30 {
        court.write(at, at, WEB, 2);
    }
    assert_eq!(court.breaches(31), 30);
    assert_eq!(court.referee.totals().reasons.len(), Totals::REASONS);
}

#[test]
fn what_was_seen_before_a_write_erased_it_must_be_remembered_in_later_decreases() {
    let policy = Policy { cap: Some(Units::of(5)), ..Policy::default() };
    let mut court = Court::with(6, OWED, policy);
    court.lag = (9_000, 0);
    court.sale(0, "w1", WEB, 1);
    court.write(100, 110, WEB, 5);
    court.lag = (0, 0);
    court.sale(200, "t1", TILL, 1);
    court.delivered(300, TILL, "t1");
    assert_eq!(court.breaches(799), 0);
    assert_eq!(court.breaches(800), 1, "five are left by orders, and a seen sale makes it four");
}

#[test]
fn a_give_back_nobody_knows_of_makes_up_for_a_sale_that_was_seen() {
    let mut court = Court::of(10);
    court.lag = (5_000, 0);
    court.sale(0, "w1", WEB, 1);
    court.give_back(95, "w1", WEB, 1);
    court.write(100, 110, WEB, 10);
    assert_eq!(court.breaches(120), 0);
}

#[test]
fn what_the_channel_put_back_itself_is_external_only_until_a_poll_told() {
    let mut court = Court::of(10);
    court.sale(0, "w1", WEB, 2);
    court.delivered(10, WEB, "w1");
    court.write(20, 30, TILL, 8);
    court.give_back(50, "w1", WEB, 2);
    court.delivered(100, WEB, "w1");
    court.sale(4_000, "t1", TILL, 3);
    court.delivered(4_100, TILL, "t1");
    assert_eq!(court.breaches(4_600), 1);
    assert_eq!(court.referee.totals().reasons[0].pieces, Units::of(3));
}
