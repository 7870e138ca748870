//! A real seller's day through three shops.

use std::path::{Path, PathBuf};

use stockd::{
    domain::ChannelKind,
    referee::Settings,
    sandbox::{Day, Sandbox, SandboxConfig, ShopSettings},
};

fn orders_file() -> Option<PathBuf> {
    let root = std::env::var_os("STOCKD_ORDERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/orders"), PathBuf::from);
    let file = root.join("online-retail-ii.orders.csv.gz");
    crate::is_there(&file).then_some(file)
}

#[tokio::test]
async fn the_busiest_day_is_played_through_three_shops_and_every_order_is_dealt_once() {
    let Some(file) = orders_file() else { return };
    let history = Day::load(&file, None).unwrap();
    // The figure of the history's own description.
    assert_eq!(history.orders(), 151);
    let shops = [("a", ChannelKind::Shopify), ("b", ChannelKind::Shopify), ("c", ChannelKind::Woocommerce)];
    let config = SandboxConfig {
        port: 0,
        seed: 1,
        shops: shops.map(|(name, kind)| ShopSettings::new(name, kind)).into(),
        catalogue: history.catalogue(),
        demand: None,
        referee: Settings::default(),
    };
    let sandbox = Sandbox::start(config).await.unwrap();
    assert_eq!(sandbox.with_world(|world| world.shops[2].listings.len()), 4087);
    let played = sandbox.play(history, 50_000.0).await;
    assert_eq!(played.orders, 151);
    sandbox.with_world(|world| {
        let in_shops: usize = world.shops.iter().map(|shop| shop.orders.len()).sum();
        assert_eq!(u64::try_from(in_shops).unwrap(), played.accepted);
        for shop in &world.shops {
            assert!(shop.orders.len() > 20, "{} got {}", shop.settings.id, shop.orders.len());
            assert!(shop.listings.iter().all(|it| it.levels[0].shown() >= 0));
        }
    });
    // Nobody synchronises the shops: they oversell, and none of it is anybody's doing but delay's.
    let oversold = sandbox.totals().oversold;
    assert!(oversold.pooled.get() > 0, "{oversold:?}");
    sandbox.stop().await;
}
