//! Shop, locations, products, variants, inventory items and levels.

use std::sync::Arc;

use apollo_compiler::{
    resolvers::ResolvedValue,
    response::{JsonMap, JsonValue},
};
use serde_json::json;

use super::{
    resolve::{Cursor, Leaf, Resolved, Scope, Thing, gid, leaf, selected},
    search::Field,
};
use crate::sandbox::world::{Listing, Shop, Tracking};

/// The names of quantities that the API knows. Those that the sandbox doesn't keep are 0.
const NAMES: [&str; 8] = [
    "available",
    "committed",
    "damaged",
    "incoming",
    "on_hand",
    "quality_control",
    "reserved",
    "safety_stock",
];

impl Scope<'_> {
    pub(super) fn catalogue_field<'a>(
        &'a self,
        thing: &Thing,
        name: &str,
        arguments: &JsonMap,
    ) -> Option<Resolved<'a>> {
        match *thing {
            Thing::Shop => self.shop_field(name),
            Thing::Location(location) => self.location_field(location, name, arguments),
            Thing::Product(listing) => self.product_field(listing, name, arguments),
            Thing::Variant(listing) => self.variant_field(listing, name),
            Thing::Item(listing) => self.item_field(listing, name, arguments),
            Thing::Level(listing, location) => self.level_field(listing, location, name, arguments),
            _ => None,
        }
    }

    fn shop_field<'a>(&'a self, name: &str) -> Option<Resolved<'a>> {
        let id = self.shop().settings.id.clone();
        Some(match name {
            "id" => leaf(gid("Shop", 1 + self.shop as u64)),
            "name" => leaf(id.as_str()),
            "email" => leaf(format!("{id}@shop.example")),
            "myshopifyDomain" => leaf(format!("{id}.myshopify.com")),
            "ianaTimezone" => leaf("America/New_York"),
            "url" => leaf(format!("https://{id}.myshopify.com")),
            _ => return None,
        })
    }

    fn location_field<'a>(
        &'a self,
        location: usize,
        name: &str,
        arguments: &JsonMap,
    ) -> Option<Resolved<'a>> {
        let shop = self.shop();
        let id = Shop::location_id(location);
        let opened = shop.listings.first().map_or_else(|| self.now(), |it| it.created_at);
        Some(match name {
            "id" => leaf(gid("Location", id)),
            "legacyResourceId" => leaf(id.to_string()),
            "name" => leaf(&shop.settings.locations[location]),
            "isActive" | "fulfillsOnlineOrders" | "shipsInventory" | "hasActiveInventory" => leaf(true),
            "isPrimary" => leaf(location == 0),
            "createdAt" | "updatedAt" => leaf(opened.rfc3339_seconds()),
            "inventoryLevel" => {
                drop(shop);
                self.gid_argument(arguments, "inventoryItemId").map(|item| match item {
                    Some(Thing::Item(listing)) => self.some(Some(Thing::Level(listing, location))),
                    _ => ResolvedValue::null(),
                })
            }
            "inventoryLevels" => {
                let levels = (0..shop.listings.len()).map(|listing| (listing, location));
                let levels = level_page(&shop, levels, arguments);
                drop(shop);
                self.connection("InventoryLevelConnection", arguments, levels)
            }
            _ => return None,
        })
    }

    fn product_field<'a>(&'a self, listing: usize, name: &str, arguments: &JsonMap) -> Option<Resolved<'a>> {
        let shop = self.shop();
        let it = &shop.listings[listing];
        Some(match name {
            "id" => leaf(gid("Product", it.product)),
            "legacyResourceId" => leaf(it.product.to_string()),
            "title" => leaf(&it.title),
            "handle" => leaf(it.title.to_lowercase().replace(' ', "-")),
            "status" => leaf("ACTIVE"),
            "totalInventory" => leaf(self.total(&shop, listing)),
            "tracksInventory" => leaf(it.tracking != Tracking::Untracked),
            "createdAt" => leaf(it.created_at.rfc3339_seconds()),
            "updatedAt" => leaf(it.updated_at.rfc3339_seconds()),
            "variants" => {
                let page = vec![((0, it.variant), Thing::Variant(listing))];
                drop(shop);
                self.connection("ProductVariantConnection", arguments, page)
            }
            _ => return None,
        })
    }

    fn variant_field<'a>(&'a self, listing: usize, name: &str) -> Option<Resolved<'a>> {
        let shop = self.shop();
        let it = &shop.listings[listing];
        Some(match name {
            "id" => leaf(gid("ProductVariant", it.variant)),
            "legacyResourceId" => leaf(it.variant.to_string()),
            "sku" => leaf(&it.sku),
            "barcode" => leaf(JsonValue::Null),
            "title" => leaf("Default Title"),
            "displayName" => leaf(format!("{} - Default Title", it.title)),
            "position" => leaf(1),
            "inventoryPolicy" => leaf(if it.oversell { "CONTINUE" } else { "DENY" }),
            "inventoryQuantity" => leaf(self.total(&shop, listing)),
            "inventoryItem" => Ok(self.some(Some(Thing::Item(listing)))),
            "requiresComponents" => leaf(it.tracking == Tracking::Computed),
            "product" => Ok(self.some(Some(Thing::Product(listing)))),
            "createdAt" => leaf(it.created_at.rfc3339_seconds()),
            "updatedAt" => leaf(it.updated_at.rfc3339_seconds()),
            _ => return None,
        })
    }

    fn item_field<'a>(&'a self, listing: usize, name: &str, arguments: &JsonMap) -> Option<Resolved<'a>> {
        let shop = self.shop();
        let it = &shop.listings[listing];
        Some(match name {
            "id" => leaf(gid("InventoryItem", it.item)),
            "legacyResourceId" => leaf(it.item.to_string()),
            "sku" => leaf(&it.sku),
            "tracked" => leaf(it.tracking != Tracking::Untracked),
            "requiresShipping" => leaf(true),
            "duplicateSkuCount" => {
                let same =
                    shop.listings.iter().filter(|other| it.sku.is_some() && other.sku == it.sku).count();
                leaf(same.saturating_sub(1))
            }
            "createdAt" => leaf(it.created_at.rfc3339_seconds()),
            "updatedAt" => leaf(it.updated_at.rfc3339_seconds()),
            "locationsCount" => {
                let fields = vec![
                    ("count", Leaf::Value(json!(it.levels.len()))),
                    ("precision", Leaf::Value(json!("EXACT"))),
                ];
                Ok(self.some(Some(Thing::Plain("Count", Arc::new(fields)))))
            }
            "variant" => Ok(self.some(Some(Thing::Variant(listing)))),
            "variants" => {
                let page = vec![((0, it.variant), Thing::Variant(listing))];
                drop(shop);
                self.connection("ProductVariantConnection", arguments, page)
            }
            "inventoryLevel" => {
                drop(shop);
                self.gid_argument(arguments, "locationId").map(|location| match location {
                    Some(Thing::Location(location)) => self.some(Some(Thing::Level(listing, location))),
                    _ => ResolvedValue::null(),
                })
            }
            "inventoryLevels" => {
                let levels = (0..it.levels.len()).map(|location| (listing, location));
                let levels = level_page(&shop, levels, arguments);
                drop(shop);
                self.connection("InventoryLevelConnection", arguments, levels)
            }
            _ => return None,
        })
    }

    fn level_field<'a>(
        &'a self,
        listing: usize,
        location: usize,
        name: &str,
        arguments: &JsonMap,
    ) -> Option<Resolved<'a>> {
        let shop = self.shop();
        let it = &shop.listings[listing];
        let id = level_gid(it, location);
        Some(match name {
            "id" => leaf(id),
            "isActive" => leaf(true),
            "canDeactivate" => leaf(it.levels[location].shown() == 0),
            "item" => Ok(self.some(Some(Thing::Item(listing)))),
            "location" => Ok(self.some(Some(Thing::Location(location)))),
            "createdAt" => leaf(it.created_at.rfc3339_seconds()),
            "updatedAt" => leaf(it.levels[location].updated_at.rfc3339_seconds()),
            "quantities" => self.quantities(&shop, listing, location, arguments),
            _ => return None,
        })
    }

    /// Doubt: what a name that doesn't exist does is not stated; here it is refused.
    fn quantities<'a>(
        &'a self,
        shop: &Shop,
        listing: usize,
        location: usize,
        arguments: &JsonMap,
    ) -> Resolved<'a> {
        let level = &shop.listings[listing].levels[location];
        let (available, committed) = level.read(self.now(), shop.settings.quantity_delay_ms);
        let names = arguments.get("names").and_then(JsonValue::as_array).map_or(&[][..], Vec::as_slice);
        let mut things = Vec::new();
        for name in names.iter().filter_map(JsonValue::as_str) {
            if !NAMES.contains(&name) {
                let text = format!("The specified quantity name '{name}' is not valid.");
                return Err(self.error(text, "BAD_USER_INPUT"));
            }
            let quantity = match name {
                "available" => available,
                "committed" => committed,
                "on_hand" => available + committed,
                _ => 0,
            };
            let id = format!(
                "gid://shopify/InventoryQuantity/{}?inventory_item_id={}&name={name}",
                Shop::location_id(location),
                shop.listings[listing].item,
            );
            let fields = vec![
                ("id", Leaf::Value(json!(id))),
                ("name", Leaf::Value(json!(name))),
                ("quantity", Leaf::Value(json!(quantity))),
                ("updatedAt", Leaf::Value(json!(level.updated_at.rfc3339_seconds()))),
            ];
            things.push(Thing::Plain("InventoryQuantity", Arc::new(fields)));
        }
        Ok(self.list(things))
    }

    fn total(&self, shop: &Shop, listing: usize) -> i64 {
        let levels = &shop.listings[listing].levels;
        levels.iter().map(|level| level.read(self.now(), shop.settings.quantity_delay_ms).0).sum()
    }

    pub(super) fn locations<'a>(&'a self, arguments: &JsonMap) -> Resolved<'a> {
        let page = (0..self.shop().settings.locations.len())
            .map(|index| (index, Shop::location_id(index)))
            .filter(|(_, id)| selected(arguments, &|key| (key == "id").then_some(Field::Id(*id))))
            .map(|(index, id)| ((0, id), Thing::Location(index)))
            .collect();
        self.connection("LocationConnection", arguments, page)
    }

    /// Doubt: every sort key but ID sorts by id too.
    pub(super) fn variants<'a>(&'a self, arguments: &JsonMap) -> Resolved<'a> {
        let page = self.listings(arguments, |it| it.variant, Thing::Variant);
        self.connection("ProductVariantConnection", arguments, page)
    }

    pub(super) fn items<'a>(&'a self, arguments: &JsonMap) -> Resolved<'a> {
        let page = self.listings(arguments, |it| it.item, Thing::Item);
        self.connection("InventoryItemConnection", arguments, page)
    }

    fn listings(
        &self,
        arguments: &JsonMap,
        id: impl Fn(&Listing) -> u64,
        thing: impl Fn(usize) -> Thing,
    ) -> Vec<(Cursor, Thing)> {
        let shop = self.shop();
        let selected = |it: &Listing| {
            selected(arguments, &|key| match key {
                "id" => Some(Field::Id(id(it))),
                "sku" => Some(Field::Text(it.sku.clone().unwrap_or_default())),
                "product_id" => Some(Field::Id(it.product)),
                "created_at" => Some(Field::Time(it.created_at)),
                "updated_at" => Some(Field::Time(it.updated_at)),
                _ => None,
            })
        };
        let listings = shop.listings.iter().enumerate();
        listings.filter(|(_, it)| selected(it)).map(|(ix, it)| ((0, id(it)), thing(ix))).collect()
    }
}

fn level_gid(listing: &Listing, location: usize) -> String {
    let id = Shop::location_id(location);
    format!("gid://shopify/InventoryLevel/{id}?inventory_item_id={}", listing.item)
}

fn level_page(
    shop: &Shop,
    levels: impl Iterator<Item = (usize, usize)>,
    arguments: &JsonMap,
) -> Vec<(Cursor, Thing)> {
    levels
        .filter(|(listing, location)| {
            let it = &shop.listings[*listing];
            selected(arguments, &|key| match key {
                "inventory_item_id" => Some(Field::Id(it.item)),
                "created_at" => Some(Field::Time(it.created_at)),
                "updated_at" => Some(Field::Time(it.levels[*location].updated_at)),
                _ => None,
            })
        })
        .map(|(listing, location)| {
            // At one location levels differ by item, of one item by location.
            let cursor = (i64::try_from(location).unwrap_or(0), shop.listings[listing].item);
            (cursor, Thing::Level(listing, location))
        })
        .collect()
}
