//! A world from a catalogue: every SKU listed in every shop.

use std::collections::BTreeMap;

use super::world::{NewListing, ShopSettings, Tracking, World};
use crate::{
    domain::{ChannelKind, Sku, Units, UtcMs},
    referee::Referee,
};

/// What all shops sell.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Each SKU with the units on the shelf at the start; every shop shows what its policy makes of them.
    pub stock: Vec<(Sku, Units)>,
    /// Bundles, listed in every shop under a SKU of their own; what they are made of is known to the ledger alone.
    pub bundles: Vec<BundleListing>,
    /// On WooCommerce, how many of the plain SKUs at the end of `stock` are variations rather than products, four to a
    /// parent.
    pub variations: usize,
}

/// A bundle.
#[derive(Clone, Debug)]
pub struct BundleListing {
    /// Its SKU in the shops.
    pub sku: Sku,
    /// What one piece is made of.
    pub components: Vec<(Sku, Units)>,
}

impl Catalogue {
    /// `skus` SKUs (`SKU-0001` ...) with 20 to 60 units each, a quarter of them variations on WooCommerce, and two
    /// bundles where there are at least 6.
    pub fn made_up(skus: usize, seed: u64) -> Self {
        let sku = |number: usize| Sku::new(format!("SKU-{number:04}"));
        let units = |number: usize| {
            // Spread by the golden ratio: no two seeds alike, no dice needed.
            let mixed = (number as u64 ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            Units::of(20 + i64::try_from(mixed >> 32).unwrap_or(0) % 41)
        };
        let stock: Vec<_> = (1..=skus).filter_map(|n| Some((sku(n).ok()?, units(n)))).collect();
        let bundle = |name: &str, parts: &[(usize, i64)]| {
            let components = parts.iter().map(|(n, units)| (stock[n - 1].0.clone(), Units::of(*units)));
            Sku::new(name).ok().map(|sku| BundleListing { sku, components: components.collect() })
        };
        let bundles = if skus < 6 {
            Vec::new()
        } else {
            [bundle("BUNDLE-PAIR", &[(2, 1), (3, 1)]), bundle("BUNDLE-SIX-PACK", &[(5, 6)])]
                .into_iter()
                .flatten()
                .collect()
        };
        Self { stock, bundles, variations: skus / 4 }
    }
}

/// Opens the shops and lists everything.
///
/// # Errors
/// What makes no sense: two shops of one name, a shop without a location, a bundle of unknown parts.
pub fn world(
    now: UtcMs,
    referee: Referee,
    shops: Vec<ShopSettings>,
    catalogue: &Catalogue,
) -> Result<World, String> {
    let shelf: BTreeMap<Sku, Units> = catalogue.stock.iter().cloned().collect();
    let mut world = World::new(now, referee, shelf.clone());
    for settings in shops {
        let (kind, policy) = (settings.kind, settings.policy);
        if settings.locations.is_empty() || (kind == ChannelKind::Woocommerce && settings.locations.len() > 1)
        {
            return Err(format!("shop {} can't have {} locations", settings.id, settings.locations.len()));
        }
        if world.shops.iter().any(|shop| shop.settings.id == settings.id) {
            return Err(format!("two shops are called {}", settings.id));
        }
        let shop = world.add_shop(settings);
        let first_variation = match kind {
            ChannelKind::Shopify => usize::MAX,
            ChannelKind::Woocommerce => catalogue.stock.len().saturating_sub(catalogue.variations),
        };
        let mut parent = None;
        for (index, (sku, units)) in catalogue.stock.iter().enumerate() {
            let mut listing = NewListing::plain(sku.as_str(), policy.target(*units).get());
            if index >= first_variation {
                if (index - first_variation).is_multiple_of(4) {
                    parent = Some(world.add_listing(shop, variable_product(index)));
                }
                listing.parent = parent;
            }
            world.add_listing(shop, listing);
        }
        for bundle in &catalogue.bundles {
            let pieces = bundle.components.iter().map(|(sku, each)| {
                shelf.get(sku).map(|units| units.lots_of(*each)).ok_or_else(|| {
                    format!("bundle {} is made of {sku}, which is not in the catalogue", bundle.sku)
                })
            });
            let pieces = pieces.collect::<Result<Vec<_>, _>>()?.into_iter().min().unwrap_or_default();
            let mut listing = NewListing::plain(bundle.sku.as_str(), policy.target(pieces).get());
            listing.components.clone_from(&bundle.components);
            world.add_listing(shop, listing);
        }
    }
    Ok(world)
}

fn variable_product(number: usize) -> NewListing {
    NewListing {
        sku: None,
        title: format!("Variable product {number}"),
        components: Vec::new(),
        quantities: Vec::new(),
        tracking: Tracking::Untracked,
        parent: None,
        variable: true,
        oversell: false,
    }
}
