use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const NOW: UtcMs = UtcMs(1_795_000_000_000);
const MOST: Units = Units::of(1_000);

fn before(days: i64) -> UtcMs {
    NOW.plus_ms(-days * 86_400_000)
}

/// One line of `units` a day for `days` days, up to now.
fn daily(units: i64, days: i64) -> Tally {
    (0..days).map(|ago| Tally::of_line(Units::of(units), before(ago))).reduce(Tally::plus).unwrap()
}

/// Of a SKU of which `sold` was sold on "web", seen from a third channel beside "web" and "ebay".
fn figures(sold: Tally, seller: Tally, delay_ms: u64, blind_ms: u64, cost: u32) -> Figures {
    let (web, ebay) = (ChannelId::new("web"), ChannelId::new("ebay"));
    let demand = Demand::new(vec![(web.clone(), sold)], vec![(web.clone(), seller)]).unwrap();
    let other = |channel| Other { channel, delay_ms, blind_ms, listings: 10 };
    let auto = AutoBuffer { oversell_cost: cost, most: MOST, held: Units::ZERO };
    demand.figures(NOW, &[other(&web), other(&ebay)], auto)
}

/// The buffer by drawing demand rather than computing it.
fn drawn(orders: f64, sizes: Sizes, rounds: u32) -> Vec<u32> {
    let mut dice = ChaCha8Rng::seed_from_u64(7);
    let mut least: Vec<u32> = vec![0; 400];
    for _ in 0..rounds {
        let (mut units, mut at) = (0_usize, -dice.random::<f64>().ln());
        while at < orders {
            units += 1;
            if dice.random::<f64>() < sizes.more {
                units += 1;
                while dice.random::<f64>() < sizes.again {
                    units += 1;
                }
            }
            at -= dice.random::<f64>().ln();
        }
        if let Some(count) = least.get_mut(units) {
            *count += 1;
        }
    }
    least
}

#[test]
fn the_quantile_is_that_of_demand_drawn_at_random() {
    const ROUNDS: u32 = 200_000;
    for (orders, mean, mean_square) in
        [(0.05, 1.0, 1.0), (0.4, 1.5, 3.0), (2.0, 3.0, 30.0), (8.0, 1.2, 1.8), (0.3, 12.0, 400.0)]
    {
        let sizes = Sizes::fitted(mean, mean_square);
        let drawn = drawn(orders, sizes, ROUNDS);
        for cost in [1, 4, 20, 100] {
            let (buffer, chance) = quantile(orders, sizes, cost, MOST);
            let below: u32 = drawn.iter().take(usize::try_from(buffer.get()).unwrap() + 1).sum();
            let seen = f64::from(below) / f64::from(ROUNDS);
            assert!((seen - chance).abs() < 0.005, "{orders} orders, cost {cost}: {chance}, drawn {seen}");
            let ratio = f64::from(cost) / f64::from(cost + 1);
            assert!(chance >= ratio);
            let less: u32 = drawn.iter().take(usize::try_from(buffer.get()).unwrap()).sum();
            assert!(f64::from(less) / f64::from(ROUNDS) < ratio + 0.005, "{orders} orders, cost {cost}");
        }
    }
}

#[test]
fn the_sizes_fitted_have_the_mean_and_the_variance_seen() {
    for (mean, mean_square) in [(1.5, 4.0), (3.0, 30.0), (12.0, 400.0)] {
        let sizes = Sizes::fitted(mean, mean_square);
        let (mut sum, mut squares, mut chance) = (1.0 - sizes.more, 1.0 - sizes.more, sizes.more);
        for units in 2..3_000 {
            let here = chance * (1.0 - sizes.again);
            chance -= here;
            sum += here * f64::from(units);
            squares += here * f64::from(units) * f64::from(units);
        }
        assert!((sum - mean).abs() < 1e-6 && (squares - mean_square).abs() < 1e-3, "{sum} {squares}");
    }
}

#[test]
fn a_fast_seller_gets_a_buffer_and_a_slow_one_none() {
    let fast = (0..50).fold(daily(1, 60), |tally, _| tally.plus(daily(1, 60)));
    let slow = daily(1, 1);
    let seller = fast.plus(slow);
    let minutes = |minutes: u64| minutes * 60_000;
    assert!(figures(fast, seller, minutes(4), 0, 20).wanted > Units::ZERO);
    assert_eq!(figures(slow, seller, minutes(4), 0, 20).wanted, Units::ZERO);
    // 51 a day, drawn a little towards the average.
    let rate = figures(fast, seller, minutes(4), 0, 20).others[0].orders_per_day;
    assert!((40.0..52.0).contains(&rate), "{rate}");
}

#[test]
fn nothing_is_held_back_where_nothing_sells() {
    assert!(Demand::new(Vec::new(), vec![(ChannelId::new("web"), daily(3, 90))]).is_none());
    let (web, ebay) = (ChannelId::new("web"), ChannelId::new("ebay"));
    let sold = vec![(web, daily(3, 90))];
    let demand = Demand::new(sold.clone(), sold).unwrap();
    let auto = AutoBuffer { oversell_cost: 1_000_000, most: MOST, held: Units::ZERO };
    let other = Other { channel: &ebay, delay_ms: 86_400_000, blind_ms: 86_400_000, listings: 10 };
    let quiet = demand.figures(NOW, &[other], auto);
    assert_eq!((quiet.wanted, quiet.expected_orders), (Units::ZERO, 0.0));
}

#[test]
fn sales_fade() {
    let old = (0..50).fold(Tally::of_line(Units::ONE, before(200)), |tally, _| {
        tally.plus(Tally::of_line(Units::ONE, before(200)))
    });
    let new = (0..50).fold(Tally::of_line(Units::ONE, before(2)), |tally, _| {
        tally.plus(Tally::of_line(Units::ONE, before(2)))
    });
    let rate = |tally| figures(tally, tally, 60_000, 0, 20).others[0].orders_per_day;
    assert!(rate(new) > 20.0 * rate(old));
}

#[test]
fn a_little_known_sku_is_drawn_towards_the_average() {
    let one = daily(1, 1);
    let rate = figures(one, one, 60_000, 0, 20).others[0].orders_per_day;
    assert!(rate < 0.2, "one sale a minute ago is not one sale a minute: {rate}");
    let sizes = Sizes::of(Tally::of_line(Units::of(100), NOW), daily(1, 90), NOW);
    assert!(sizes.mean < 30.0, "{}", sizes.mean);
}

#[test]
fn a_buffer_rises_at_once_and_falls_only_where_it_clearly_may() {
    let settle = |wanted, falls_to, held: Option<i64>| {
        let mut figures = figures(daily(1, 1), daily(1, 1), 0, 0, 20);
        (figures.wanted, figures.falls_to) = (Units::of(wanted), Units::of(falls_to));
        figures.settle(held.map(Units::of)).get()
    };
    assert_eq!(settle(3, 3, None), 3);
    assert_eq!(settle(3, 4, Some(1)), 3);
    assert_eq!(settle(3, 4, Some(4)), 4);
    assert_eq!(settle(3, 4, Some(9)), 4);
    assert_eq!(settle(3, 3, Some(4)), 3);
}

#[test]
fn the_same_powers_on_every_machine() {
    for x in [-1_021.5_f64, -3.25, -0.1, 0.0, 0.5, 1.0, 7.7, 90.3] {
        assert!((exp2(x) / x.exp2() - 1.0).abs() < 1e-14, "{x}");
    }
    assert_eq!((exp2(-2_000.0), exp2(10.0)), (0.0, 1_024.0));
}

#[test]
fn the_order_in_which_sales_are_learnt_of_does_not_matter() {
    let (old, new) = (Tally::of_line(Units::of(2), before(30)), Tally::of_line(Units::of(5), before(1)));
    assert_eq!(old.plus(new), new.plus(old));
}

proptest! {
    #[test]
    fn a_buffer_grows_with_delay_cost_and_demand_and_stays_in_bounds(
        orders in 0.0_f64..650.0, more in 1.0_f64..1.5, mean in 1.0_f64..20.0, spread in 1.0_f64..4.0,
        cost in 1_u32..1_000_000, most in 0_i64..60,
    ) {
        let sizes = Sizes::fitted(mean, mean * mean * spread);
        let most = Units::of(most);
        let (buffer, chance) = quantile(orders, sizes, cost, most);
        prop_assert!(buffer >= Units::ZERO && buffer <= most && (0.0..=1.0).contains(&chance));
        prop_assert!(quantile(orders * more, sizes, cost, most).0 >= buffer);
        prop_assert!(quantile(orders, sizes, cost.saturating_mul(2), most).0 >= buffer);
        prop_assert!(quantile(orders, sizes, cost, most + Units::ONE).0 >= buffer);
    }

    #[test]
    fn figures_grow_with_delay_and_blindness(
        lines in 1_i64..60, delay in 0_u64..100_000_000, blind in 0_u64..100_000_000, cost in 1_u32..10_000,
    ) {
        let sold = daily(2, lines);
        let plain = figures(sold, sold, delay, 0, cost);
        let longer = figures(sold, sold, delay, blind, cost);
        let busier = figures(sold.plus(sold), sold.plus(sold), delay, 0, cost);
        prop_assert!(longer.wanted >= plain.wanted && busier.wanted >= plain.wanted);
        prop_assert!(plain.falls_to >= plain.wanted);
        prop_assert_eq!(plain.settle(Some(plain.settle(None))), plain.settle(None));
    }
}
