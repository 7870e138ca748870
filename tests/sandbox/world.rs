//! The state behind the shops: numbers, shelf and judge agree whatever shoppers and staff do.

use proptest::prelude::*;
use stockd::{
    domain::{ChannelKind, Sku, Units, UtcMs},
    referee::{Referee, Settings},
    sandbox::{
        Catalogue, ShopSettings, World, setup,
        world::{Accept, Refusal, Restock},
    },
};

fn world(change: impl Fn(&mut ShopSettings)) -> World {
    let mut shops =
        vec![ShopSettings::new("a", ChannelKind::Shopify), ShopSettings::new("b", ChannelKind::Woocommerce)];
    shops.iter_mut().for_each(change);
    setup::world(UtcMs(1_000), Referee::new(Settings::default()), shops, &Catalogue::made_up(8, 1)).unwrap()
}

fn shown(world: &World, shop: usize, listing: usize) -> i64 {
    world.shops[shop].listings[listing].levels[0].shown()
}

#[test]
fn shoppers_get_at_most_what_is_shown() {
    let mut world = world(|_| ());
    let there = shown(&world, 0, 0);
    world.place_order(0, &[(0, there + 7)], Accept::Shown).unwrap();
    assert_eq!(shown(&world, 0, 0), 0);
    assert_eq!(world.shops[0].counts.refused_units, 7);
    assert_eq!(world.place_order(0, &[(0, 1)], Accept::Shown), None);
    assert!(world.place_order(0, &[(0, 1)], Accept::All).is_some());
    assert_eq!(shown(&world, 0, 0), -1);
}

#[test]
fn what_two_shops_sold_of_one_unit_cannot_both_be_shipped() {
    let mut world = world(|_| ());
    let there = shown(&world, 0, 0);
    let first = world.place_order(0, &[(0, there)], Accept::Shown).unwrap();
    let second = world.place_order(1, &[(0, 1)], Accept::Shown).unwrap();
    world.judge();
    assert_eq!(world.referee().totals().oversold.pooled, Units::ONE);
    world.fulfil(0, first, None).unwrap();
    assert_eq!(world.fulfil(1, second, None), Err(Refusal::ShelfEmpty(second)));
}

#[test]
fn a_write_on_the_way_is_not_seen_by_shoppers_and_undoes_no_sale() {
    let mut world = world(|shop| shop.write_delay_ms = 5_000);
    let there = shown(&world, 0, 0);
    world.write(0, 0, 0, there - 10, UtcMs(1_000));
    assert_eq!(shown(&world, 0, 0), there);
    world.advance(UtcMs(3_000));
    world.place_order(0, &[(0, 2)], Accept::Shown).unwrap();
    world.advance(UtcMs(6_000));
    assert_eq!(shown(&world, 0, 0), there - 12);
    assert_eq!(world.referee().shown(stockd::referee::PlaceIx(0)), Units::of(there - 12));
}

#[test]
fn quantity_reads_lag_by_the_shops_delay() {
    let mut world = world(|shop| shop.quantity_delay_ms = 2_000);
    let there = shown(&world, 0, 0);
    world.advance(UtcMs(10_000));
    world.place_order(0, &[(0, 2)], Accept::Shown).unwrap();
    let read = |world: &World| world.shops[0].listings[0].levels[0].read(world.now(), 2_000);
    assert_eq!(read(&world), (there, 0));
    world.advance(UtcMs(12_000));
    assert_eq!(read(&world), (there - 2, 2));
}

#[test]
fn units_cancelled_without_restock_are_gone_from_the_shelf() {
    let mut world = world(|_| ());
    let sku = Sku::new("SKU-0001").unwrap();
    let (there, shelf) = (shown(&world, 0, 0), world.shelf()[&sku]);
    let order = world.place_order(0, &[(0, 3)], Accept::Shown).unwrap();
    world.cancel(0, order, Restock::No).unwrap();
    assert_eq!((shown(&world, 0, 0), world.shelf()[&sku]), (there - 3, shelf - Units::of(3)));
    assert_eq!(world.shops[0].listings[0].levels[0].committed, 0);
}

proptest! {
    /// Nobody synchronises here: each shop's number is what it was less what its own lines hold.
    #[test]
    fn numbers_committed_and_shelf_follow_from_the_orders(
        deeds in prop::collection::vec((0_usize..6, 0_usize..2, 0_usize..10, 1_i64..5, any::<bool>()), 1..80),
    ) {
        let mut world = world(|_| ());
        let before = world_numbers(&world);
        let mut orders: [Vec<u64>; 2] = Default::default();
        for (at, (deed, shop, which, units, flag)) in deeds.into_iter().enumerate() {
            world.advance(UtcMs(2_000 + 10 * i64::try_from(at).unwrap()));
            let restock = if flag { Restock::Yes } else { Restock::No };
            let picked = orders[shop].get(which % orders[shop].len().max(1)).copied();
            let line = |world: &World, order: u64| world.shops[shop].orders[&order].current.lines.first().map(|it| it.id);
            match (deed, picked) {
                (0 | 1, _) => orders[shop].extend(world.place_order(shop, &[(which % 8, units), (which, 1)], Accept::Shown)),
                (2, Some(order)) => drop(world.fulfil(shop, order, None)),
                (3, Some(order)) => drop(world.cancel(shop, order, restock)),
                (4, Some(order)) => {
                    if let Some(line) = line(&world, order) {
                        let _ = world.refund(shop, order, &[(line, units)], restock);
                    }
                }
                (5, Some(order)) => {
                    if let Some(line) = line(&world, order) {
                        let _ = world.edit_line(shop, order, line, units);
                    }
                }
                _ => {}
            }
        }
        for (shop, (state, before)) in world.shops.iter().zip(before).enumerate() {
            for (index, listing) in state.listings.iter().enumerate() {
                let lines = state.orders.values().flat_map(|it| &it.current.lines).filter(|it| it.listing == index);
                let held: i64 = lines.clone().map(|it| it.reduced).sum();
                if state.settings.kind == ChannelKind::Shopify {
                    let committed: i64 = lines.map(stockd::sandbox::world::Line::open).sum();
                    prop_assert_eq!(listing.levels[0].committed, committed);
                }
                prop_assert_eq!(listing.levels[0].available, before[index] - held, "shop {} listing {}", shop, index);
            }
        }
        prop_assert!(world.shelf().values().all(|units| *units >= Units::ZERO));
    }
}

fn world_numbers(world: &World) -> Vec<Vec<i64>> {
    world.shops.iter().map(|shop| shop.listings.iter().map(|it| it.levels[0].available).collect()).collect()
}
