//! Made-up demand: who buys what where, and what staff do with the orders. All choices come from the seed; what comes of
//! them depends on what is shown.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Inside,
    world::{Accept, Restock, Status, World},
};
use crate::domain::Units;

/// How much is going on.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Orders per minute, by shop in their order; a shop beyond the end has none.
    pub orders_per_minute: Vec<f64>,
    /// How many of the orders, 0 to 1, are shipped sooner or later.
    pub shipped: f64,
    /// How many are cancelled before they are shipped.
    pub cancelled: f64,
    /// How many are refunded, most of them after shipping and with the units put back.
    pub refunded: f64,
    /// Deliveries per order placed: the sandbox notes them as [`Delivery`](super::Delivery), somebody must book them.
    pub deliveries: f64,
}

impl Demand {
    /// The same rate in every shop, half of the orders shipped, some cancelled and refunded, no deliveries.
    pub fn even(shops: usize, orders_per_minute: f64) -> Self {
        Self {
            orders_per_minute: vec![orders_per_minute; shops],
            shipped: 0.5,
            cancelled: 0.05,
            refunded: 0.05,
            deliveries: 0.0,
        }
    }
}

/// The crowd: a stream of deeds.
#[derive(Debug)]
pub struct Crowd {
    demand: Demand,
    dice: ChaCha8Rng,
}

impl Crowd {
    /// The crowd of this seed.
    pub fn new(demand: Demand, seed: u64) -> Self {
        Self { demand, dice: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The time until the next shopper comes; `None` if nobody ever does.
    pub fn wait(&mut self) -> Option<Duration> {
        let per_second: f64 = self.demand.orders_per_minute.iter().sum::<f64>() / 60.0;
        let chance: f64 = self.dice.random_range(f64::EPSILON..1.0);
        (per_second > 0.0).then(|| Duration::from_secs_f64((-chance.ln() / per_second).min(3600.0)))
    }

    /// One shopper comes, and now and then staff do something.
    pub fn step(&mut self, world: &mut World) {
        let shop = self.pick_shop();
        let lines = self.dice.random_range(1..=3);
        let wanted: Vec<_> = (0..lines).filter_map(|_| self.pick_listing(world, shop)).collect();
        world.place_order(shop, &wanted, Accept::Shown);
        let Demand { shipped, cancelled, refunded, deliveries, .. } = self.demand;
        if self.dice.random_bool(shipped) {
            self.ship(world, shop);
        }
        if self.dice.random_bool(cancelled) {
            self.cancel(world, shop);
        }
        if self.dice.random_bool(refunded) {
            self.refund(world, shop);
        }
        if self.dice.random_bool(deliveries) {
            self.deliver(world);
        }
    }

    fn pick_shop(&mut self) -> usize {
        let total: f64 = self.demand.orders_per_minute.iter().sum();
        let mut left = self.dice.random_range(0.0..total.max(f64::EPSILON));
        let rates = self.demand.orders_per_minute.iter();
        let pick = rates.take_while(|rate| {
            left -= **rate;
            left >= 0.0
        });
        pick.count().min(self.demand.orders_per_minute.len().saturating_sub(1))
    }

    /// A sellable listing, the popular ones far more often: rank r with a weight of about 1/r.
    fn pick_listing(&mut self, world: &World, shop: usize) -> Option<(usize, i64)> {
        let sellable: Vec<usize> = (0..world.shops[shop].listings.len())
            .filter(|it| world.shops[shop].listings[*it].is_sellable())
            .collect();
        let rank = self.skewed(sellable.len());
        // Small wishes mostly, a large one now and then.
        let units = if self.dice.random_bool(0.1) {
            self.dice.random_range(3..=8)
        } else {
            self.dice.random_range(1..=2)
        };
        sellable.get(rank).map(|listing| (*listing, units))
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn skewed(&mut self, count: usize) -> usize {
        let chance: f64 = self.dice.random_range(0.0..1.0);
        (((count as f64 + 1.0).powf(chance) - 1.0) as usize).min(count.saturating_sub(1))
    }

    /// One of the orders in this state.
    fn pick_order(&mut self, world: &World, shop: usize, status: Status) -> Option<u64> {
        let orders = world.shops[shop].orders.values();
        let ids: Vec<u64> = orders.filter(|it| it.current.status == status).map(|it| it.current.id).collect();
        let chance = self.dice.random_range(0..usize::MAX);
        if ids.is_empty() { None } else { Some(ids[chance % ids.len()]) }
    }

    fn ship(&mut self, world: &mut World, shop: usize) {
        let Some(order) = self.pick_order(world, shop, Status::Processing) else { return };
        if world.fulfil(shop, order, None).is_err() {
            // An oversold order can't be shipped; the seller has to disappoint somebody.
            let _ = world.cancel(shop, order, Restock::Yes);
        }
    }

    fn cancel(&mut self, world: &mut World, shop: usize) {
        if let Some(order) = self.pick_order(world, shop, Status::Processing) {
            let _ = world.cancel(shop, order, Restock::Yes);
        }
    }

    fn refund(&mut self, world: &mut World, shop: usize) {
        let restock = if self.dice.random_bool(0.7) { Restock::Yes } else { Restock::No };
        let Some(order) = self.pick_order(world, shop, Status::Completed) else { return };
        let lines = &world.shops[shop].orders[&order].current.lines;
        let first = lines.iter().find(|line| line.shipped > line.returned).map(|line| (line.id, 1));
        if let Some(line) = first {
            let _ = world.refund(shop, order, &[line], restock);
        }
    }

    fn deliver(&mut self, world: &mut World) {
        let skus = world.shelf().len();
        let rank = self.skewed(skus);
        let units = Units::of(self.dice.random_range(5..=30));
        if let Some(sku) = world.shelf().keys().nth(rank).cloned() {
            world.receive(&sku, units);
        }
    }
}

/// Shops until the sandbox stops.
pub(super) async fn shop(inside: Arc<Inside>, demand: Demand, seed: u64) {
    let mut crowd = Crowd::new(demand, seed);
    while let Some(wait) = crowd.wait() {
        if inside.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
        if !inside.shoppers_paused.load(Ordering::Relaxed) {
            crowd.step(&mut inside.lock().world);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ChannelKind, UtcMs},
        referee::{Referee, Settings},
        sandbox::{Catalogue, ShopSettings, setup},
    };

    fn day(seed: u64) -> World {
        let shops = vec![
            ShopSettings::new("a", ChannelKind::Shopify),
            ShopSettings::new("b", ChannelKind::Woocommerce),
        ];
        let referee = Referee::new(Settings::default());
        let mut world = setup::world(UtcMs(0), referee, shops, &Catalogue::made_up(50, 1)).unwrap();
        let mut crowd = Crowd::new(Demand { deliveries: 0.05, ..Demand::even(2, 30.0) }, seed);
        let mut now = UtcMs(0);
        for _ in 0..400 {
            now = now.plus_ms(i64::try_from(crowd.wait().unwrap().as_millis()).unwrap());
            world.advance(now);
            crowd.step(&mut world);
        }
        world
    }

    #[test]
    fn one_seed_makes_one_day_and_another_seed_another() {
        let orders =
            |world: &World| world.shops.iter().map(|shop| format!("{:?}", shop.orders)).collect::<Vec<_>>();
        assert_eq!(orders(&day(3)), orders(&day(3)));
        assert_ne!(orders(&day(3)), orders(&day(4)));
    }

    #[test]
    fn shoppers_never_take_more_than_is_shown_and_staff_do_everything() {
        let world = day(5);
        for shop in &world.shops {
            assert!(shop.listings.iter().flat_map(|it| &it.levels).all(|level| level.shown() >= 0));
            let states: Vec<_> = shop.orders.values().map(|it| it.current.status).collect();
            for status in [Status::Processing, Status::Completed, Status::Cancelled] {
                assert!(states.contains(&status), "{status:?}");
            }
            assert!(shop.counts.refused_units > 0, "nothing ever ran out");
        }
        assert!(world.shelf().values().all(|units| *units >= Units::ZERO));
    }
}
