//! The catalogue and the numbers in it.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    MAX_PAGES, Shopify, gid,
    graphql::{Connection, odd},
    numeric,
    walk::Walk,
};
use crate::domain::listing::Writable;
use crate::{
    channels::{
        decode::{non_empty, units},
        http::Intent,
    },
    domain::{
        CallError, ChannelLocation, LevelReading, ListingId, ListingReading, ListingsPage, Meter, PageToken,
        Place, Units,
    },
};

const LISTINGS: &str = concat!(include_str!("listings.graphql"), include_str!("level_parts.graphql"));
const LEVELS: &str = concat!(include_str!("levels.graphql"), include_str!("level_parts.graphql"));
const MORE_LEVELS: &str = concat!(include_str!("more_levels.graphql"), include_str!("level_parts.graphql"));

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawVariant {
    sku: Option<String>,
    display_name: String,
    requires_components: bool,
    inventory_item: RawItem,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawItem {
    id: String,
    #[serde(default)]
    tracked: bool,
    inventory_levels: Connection<RawLevel>,
}

#[derive(Deserialize)]
struct RawLevel {
    location: RawId,
    quantities: Vec<RawQuantity>,
}

#[derive(Deserialize)]
struct RawId {
    id: String,
}

#[derive(Deserialize)]
struct RawQuantity {
    name: String,
    quantity: Value,
}

impl RawLevel {
    fn available(&self) -> Result<Option<Units>, String> {
        self.quantities.iter().find(|q| q.name == "available").map_or(Ok(None), |q| units(&q.quantity))
    }
}

impl Shopify {
    /// A page of variants with all their levels. A walk too deep for one connection goes on from the last id.
    pub(super) async fn listings(
        &self,
        page: Option<&PageToken>,
        meter: &mut Meter,
    ) -> Result<ListingsPage, CallError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            product_variants: Connection<Value>,
        }
        let walk = page.map_or(Ok(Walk { floor: 0, walked: 0, cursor: None }), Walk::parse)?;
        let filter = (walk.floor > 0).then(|| format!("id:>={}", walk.floor));
        let connection = loop {
            let first = self.listings_page.get();
            let variables = json!({ "first": first, "after": walk.cursor, "filter": filter });
            match self.query::<Data>(LISTINGS, &variables, Intent::Read, meter).await {
                Ok(answer) => break answer.data.product_variants,
                Err(refusal) => self.listings_page.shrink_below(first, refusal)?,
            }
        };
        let last = connection.nodes.last().and_then(|n| numeric(n["id"].as_str()?).ok()?.parse::<i64>().ok());
        let cursor = connection.page_info.next(walk.cursor.as_deref())?;
        let next = cursor.map(|c| walk.next(c, connection.nodes.len(), last.map(|id| id + 1)).token());
        let (mut listings, mut rejected) = (Vec::with_capacity(connection.nodes.len()), Vec::new());
        for node in connection.nodes {
            let id = node["id"].to_string();
            let read = match serde_json::from_value::<RawVariant>(node) {
                Ok(mut variant) => {
                    self.all_levels(&mut variant.inventory_item, meter).await?;
                    listing(variant)
                }
                Err(error) => Err(error.to_string()),
            };
            match read {
                Ok(listing) => listings.push(listing),
                Err(reason) => rejected.push(format!("variant {id}: {reason}")),
            }
        }
        Ok(ListingsPage { listings, next, rejected })
    }

    /// The numbers at these places. A place whose item is gone or not stocked there is absent.
    pub(super) async fn levels(
        &self,
        places: &[Place],
        meter: &mut Meter,
    ) -> Result<Vec<LevelReading>, CallError> {
        #[derive(Deserialize)]
        struct Data {
            nodes: Vec<Value>,
        }
        let mut seen = HashSet::new();
        let ids = places
            .iter()
            .filter(|place| seen.insert(&place.listing))
            .map(|place| gid("InventoryItem", place.listing.as_str()))
            .collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let data = self.query::<Data>(LEVELS, &json!({ "ids": ids }), Intent::Read, meter).await?.data;
        let mut found: HashMap<(String, String), Option<Units>> = HashMap::new();
        for node in data.nodes.into_iter().filter(|node| node["id"].is_string()) {
            let mut item: RawItem = serde_json::from_value(node).map_err(odd)?;
            self.all_levels(&mut item, meter).await?;
            for level in &item.inventory_levels.nodes {
                let key = (
                    numeric(&item.id).map_err(odd)?.to_owned(),
                    numeric(&level.location.id).map_err(odd)?.to_owned(),
                );
                found.insert(key, level.available().unwrap_or(None));
            }
        }
        let reading = |place: &Place| {
            let key = (place.listing.as_str().to_owned(), place.location.as_str().to_owned());
            found.get(&key).map(|quantity| LevelReading { place: place.clone(), quantity: *quantity })
        };
        Ok(places.iter().filter_map(reading).collect())
    }

    /// Reads the levels that the page of items left out of this one.
    async fn all_levels(&self, item: &mut RawItem, meter: &mut Meter) -> Result<(), CallError> {
        #[derive(Deserialize)]
        struct Data {
            node: Option<Node>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Node {
            inventory_levels: Connection<RawLevel>,
        }
        let levels = &mut item.inventory_levels;
        for _ in 0..MAX_PAGES {
            if !levels.page_info.has_next_page {
                return Ok(());
            }
            let after = levels.page_info.end_cursor.clone();
            let variables = json!({ "id": item.id, "after": after });
            let data = self.query::<Data>(MORE_LEVELS, &variables, Intent::Read, meter).await?.data;
            let page = data.node.ok_or_else(|| odd("an item vanished while its levels were read"))?;
            let page = page.inventory_levels;
            if page.page_info.has_next_page && page.page_info.end_cursor == after {
                break;
            }
            levels.nodes.extend(page.nodes);
            levels.page_info = page.page_info;
        }
        Err(odd("the levels of an item have no end"))
    }
}

fn listing(variant: RawVariant) -> Result<ListingReading, String> {
    let item = variant.inventory_item;
    let id = ListingId::new(numeric(&item.id)?);
    let levels = item
        .inventory_levels
        .nodes
        .iter()
        .map(|level| {
            let location = ChannelLocation::new(numeric(&level.location.id)?);
            let quantity = level.available()?;
            Ok(LevelReading { place: Place { listing: id.clone(), location }, quantity })
        })
        .collect::<Result<_, String>>()?;
    let writable = match (variant.requires_components, item.tracked) {
        (true, _) => Writable::Computed,
        (false, false) => Writable::Untracked,
        (false, true) => Writable::Yes,
    };
    Ok(ListingReading {
        id,
        channel_sku: non_empty(variant.sku),
        title: variant.display_name,
        writable,
        group: String::new(),
        levels,
    })
}
