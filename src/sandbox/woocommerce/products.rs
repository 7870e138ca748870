//! Products and variations: reading and writing.

use serde_json::{Value, json};

use super::{
    MAX_BATCH, Refused, Right,
    orders::merge,
    page::{Parameters, Row, invalid},
    stamps,
};
use crate::{
    domain::UtcMs,
    sandbox::{
        http::Ask,
        world::{Listing, Shop, Tracking, World},
    },
};

pub(super) fn list(shop: &Shop, now: UtcMs, parameters: &Parameters) -> Result<Right, Refused> {
    let statuses = ["any", "future", "trash", "draft", "pending", "private", "publish"];
    parameters.one_of("status", "status", &statuses)?;
    parameters.one_of("type", "type", &["simple", "grouped", "external", "variable"])?;
    let wanted = parameters.text("status").unwrap_or("any");
    let skus = parameters.list("sku");
    let rows = (0..shop.listings.len()).filter(|index| {
        let listing = &shop.listings[*index];
        // A look-up by SKU finds variations too ("lookup by several SKUs returns products and variations").
        let found = if skus.is_empty() {
            listing.parent.is_none()
        } else {
            listing.sku.as_deref().is_some_and(|sku| skus.contains(&sku))
        };
        found
            && ["any", "publish"].contains(&wanted)
            && parameters.text("type").is_none_or(|kind| kind == kind_of(listing))
    });
    parameters.page(shop, rows.map(|index| row(shop, now, index)).collect())
}

pub(super) fn variations(
    shop: &Shop,
    now: UtcMs,
    parent: u64,
    parameters: &Parameters,
) -> Result<Right, Refused> {
    let parent = shop.listing_by_id(parent).filter(|index| shop.listings[*index].product == parent);
    let parent =
        parent.ok_or_else(|| Refused::new(404, "woocommerce_rest_product_invalid_id", "Invalid ID."))?;
    let rows = (0..shop.listings.len()).filter(|index| shop.listings[*index].parent == Some(parent));
    parameters.page(shop, rows.map(|index| row(shop, now, index)).collect())
}

pub(super) fn read(
    world: &World,
    shop: usize,
    parent: Option<u64>,
    id: u64,
    parameters: &Parameters,
) -> Result<Value, Refused> {
    let shop = &world.shops[shop];
    let missing = |code| Refused::new(404, code, "Invalid ID.");
    let index = find(shop, parent, id).map_err(|refused| match refused.status {
        400 => missing(refused.code),
        _ => refused,
    })?;
    Ok(parameters.fields(body(shop, world.now(), index), true))
}

/// The listing with this id, as a product or as a variation of `parent`.
fn find(shop: &Shop, parent: Option<u64>, id: u64) -> Result<usize, Refused> {
    let found = shop.listing_by_id(id);
    match (found, parent) {
        (Some(index), None) if shop.listings[index].variant == id => Err(Refused::new(
            404,
            "woocommerce_rest_invalid_product_id",
            "To manipulate product variations you should use the \
             /products/&lt;product_id&gt;/variations/&lt;id&gt; endpoint.",
        )),
        (Some(index), None) => Ok(index),
        (Some(index), Some(parent))
            if shop.listings[index].variant == id && shop.listings[index].product == parent =>
        {
            Ok(index)
        }
        (_, Some(_)) => {
            Err(Refused::new(400, "woocommerce_rest_product_variation_invalid_id", "Invalid ID."))
        }
        _ => Err(Refused::new(400, "woocommerce_rest_product_invalid_id", "Invalid ID.")),
    }
}

/// A single write: types are checked ("set fractional quantity", "set quantity to text").
pub(super) fn edit(
    world: &mut World,
    shop: usize,
    parent: Option<u64>,
    id: u64,
    ask: &Ask,
) -> Result<Value, Refused> {
    let change: Value = serde_json::from_slice(&ask.body).map_err(|_| bad_json())?;
    let refuse = |name: &str, kind: &str| {
        let text = format!("{name} is not of type {kind}.");
        Err(invalid(name, "rest_invalid_type", &text, &json!({ "param": name })))
    };
    if change.get("stock_quantity").is_some_and(|it| !it.is_null() && integer(it).is_none()) {
        return refuse("stock_quantity", "integer");
    }
    if change.get("manage_stock").is_some_and(|it| !it.is_boolean()) {
        return refuse("manage_stock", "boolean");
    }
    let index = find(&world.shops[shop], parent, id)?;
    apply(world, shop, index, &change, ask.arrived);
    Ok(body(&world.shops[shop], world.now(), index))
}

/// A batch: items stand and fall by themselves, types are not checked ("batch update with partial failure").
pub(super) fn batch(
    world: &mut World,
    shop: usize,
    parent: Option<u64>,
    ask: &Ask,
) -> Result<Value, Refused> {
    let batch: Value = serde_json::from_slice(&ask.body).map_err(|_| bad_json())?;
    let part = |name: &str| batch.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let (create, update, delete) = (part("create"), part("update"), part("delete"));
    if create.len() + update.len() + delete.len() > MAX_BATCH {
        let text = format!("Unable to accept more than {MAX_BATCH} items for this request.");
        return Err(Refused::new(413, "woocommerce_rest_request_entity_too_large", &text));
    }
    let mut answer = json!({});
    for (name, items) in [("create", create), ("delete", delete)] {
        if !items.is_empty() {
            let refused = Refused::new(501, "sandbox_not_emulated", "The sandbox does not emulate this.");
            answer[name] = items.iter().map(|_| json!({"id": 0, "error": refused.body()})).collect();
        }
    }
    if !update.is_empty() {
        let items = update.iter().map(|item| batch_item(world, shop, parent, item, ask.arrived));
        answer["update"] = items.collect();
    }
    // "batch with an empty body": an empty PHP array is a JSON list.
    Ok(if answer == json!({}) { json!([]) } else { answer })
}

fn batch_item(world: &mut World, shop: usize, parent: Option<u64>, item: &Value, arrived: UtcMs) -> Value {
    let id = item.get("id").cloned().unwrap_or(Value::Null);
    match find(&world.shops[shop], parent, integer(&id).and_then(|id| u64::try_from(id).ok()).unwrap_or(0)) {
        Ok(index) => {
            apply(world, shop, index, item, arrived);
            body(&world.shops[shop], world.now(), index)
        }
        Err(refused) => json!({"id": id, "error": refused.body()}),
    }
}

/// Danger 1 to 3 of the fact sheet: text is 0, null is 0, and without a number of its own nothing happens.
fn apply(world: &mut World, shop: usize, index: usize, change: &Value, arrived: UtcMs) {
    let parent_counts = |world: &World| {
        let parent = world.shops[shop].listings[index].parent;
        parent.is_some_and(|parent| world.shops[shop].listings[parent].tracking == Tracking::Tracked)
    };
    if let Some(manage) = change.get("manage_stock").and_then(Value::as_bool) {
        let tracking = match manage {
            true => Tracking::Tracked,
            false if parent_counts(world) => Tracking::Parent,
            false => Tracking::Untracked,
        };
        world.shops[shop].listings[index].tracking = tracking;
    }
    if let Some(quantity) = change.get("stock_quantity")
        && world.shops[shop].listings[index].tracking == Tracking::Tracked
    {
        world.unsettle(shop, index, 0);
        world.write(shop, index, 0, php_integer(quantity), arrived);
    }
}

/// What the type check takes as an integer: one, or its text.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// What PHP makes of anything when it wants an integer.
#[allow(clippy::cast_possible_truncation, reason = "that is what PHP does")]
fn php_integer(value: &Value) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or_else(|| number.as_f64().unwrap_or(0.0) as i64),
        Value::String(text) => {
            let text = text.trim_start();
            let digits =
                text.char_indices().take_while(|(at, it)| it.is_ascii_digit() || (*at == 0 && *it == '-'));
            text[..digits.map(|(at, it)| at + it.len_utf8()).last().unwrap_or(0)].parse().unwrap_or(0)
        }
        Value::Bool(flag) => i64::from(*flag),
        _ => 0,
    }
}

fn bad_json() -> Refused {
    Refused::new(400, "rest_invalid_json", "Invalid JSON body passed.")
}

fn kind_of(listing: &Listing) -> &'static str {
    match (listing.parent, listing.variable) {
        (Some(_), _) => "variation",
        (None, true) => "variable",
        (None, false) => "simple",
    }
}

fn row(shop: &Shop, now: UtcMs, index: usize) -> Row<'_> {
    let listing = &shop.listings[index];
    let id = if listing.parent.is_some() { listing.variant } else { listing.product };
    let body = Box::new(move || body(shop, now, index));
    Row { id, created_at: listing.created_at, modified_at: listing.updated_at, body }
}

/// A product or variation with every field of the published schema.
fn body(shop: &Shop, now: UtcMs, index: usize) -> Value {
    let listing = &shop.listings[index];
    let is_variation = listing.parent.is_some();
    let id = if is_variation { listing.variant } else { listing.product };
    let (created_gmt, created) = stamps(shop, listing.created_at);
    let (modified_gmt, modified) = stamps(shop, listing.updated_at);
    let slug = listing.title.to_lowercase().replace(' ', "-");
    let mut body = json!({
        "id": id, "name": listing.title, "permalink": format!("https://shop.example/product/{slug}/"),
        "date_created": created, "date_created_gmt": created_gmt,
        "date_modified": modified, "date_modified_gmt": modified_gmt,
        "type": kind_of(listing), "status": "publish", "description": "",
        "sku": listing.sku.as_deref().unwrap_or(""), "global_unique_id": "",
        "price": "10.00", "regular_price": "10.00", "sale_price": "",
        "date_on_sale_from": null, "date_on_sale_from_gmt": null, "date_on_sale_to": null,
        "date_on_sale_to_gmt": null, "on_sale": false, "purchasable": listing.is_sellable(), "virtual": false,
        "downloadable": false, "downloads": [], "download_limit": -1, "download_expiry": -1,
        "tax_status": "taxable", "tax_class": "", "low_stock_amount": null, "weight": "",
        "dimensions": {"length": "", "width": "", "height": ""},
        "shipping_class": "", "shipping_class_id": 0, "attributes": [], "menu_order": 0, "meta_data": [],
        "parent_id": if is_variation { listing.product } else { 0 },
        "_links": links(listing, id),
    });
    let extra = if is_variation { json!({ "image": null }) } else { product_only(shop, index, &slug) };
    for part in [extra, stock(shop, now, index)] {
        merge(&mut body, part);
    }
    body
}

fn stock(shop: &Shop, now: UtcMs, index: usize) -> Value {
    let listing = &shop.listings[index];
    let keeper = &shop.listings[shop.keeper(index)];
    let counted = keeper.tracking == Tracking::Tracked;
    let quantity = keeper.levels[0].read(now, shop.settings.quantity_delay_ms).0;
    let status = match (counted && quantity <= 0, keeper.oversell) {
        (false, _) => "instock",
        (true, true) => "onbackorder",
        (true, false) => "outofstock",
    };
    json!({
        "manage_stock": match listing.tracking {
            Tracking::Parent if counted => json!("parent"),
            tracking => json!(tracking == Tracking::Tracked),
        },
        "stock_quantity": counted.then_some(quantity),
        "stock_status": status,
        "backorders": if keeper.oversell { "notify" } else { "no" },
        "backorders_allowed": keeper.oversell,
        "backordered": status == "onbackorder",
    })
}

fn product_only(shop: &Shop, index: usize, slug: &str) -> Value {
    let listing = &shop.listings[index];
    let all = if listing.variable { &shop.listings[..] } else { &[] };
    let variations: Vec<u64> =
        all.iter().filter(|it| it.parent == Some(index)).map(|it| it.variant).collect();
    json!({
        "slug": slug, "featured": false, "catalog_visibility": "visible", "short_description": "",
        "total_sales": 0, "external_url": "", "button_text": "", "sold_individually": false,
        "shipping_required": true, "shipping_taxable": true, "reviews_allowed": true,
        "average_rating": "0.00", "rating_count": 0, "upsell_ids": [], "cross_sell_ids": [],
        "purchase_note": "", "categories": [], "tags": [], "images": [], "default_attributes": [],
        "variations": variations, "grouped_products": [], "price_html": "", "related_ids": [],
        "has_options": listing.variable, "post_password": "",
    })
}

fn links(listing: &Listing, id: u64) -> Value {
    let root = "https://shop.example/wp-json/wc/v3/products";
    let product = listing.product;
    let collection =
        if listing.parent.is_some() { format!("{root}/{product}/variations") } else { root.to_owned() };
    json!({
        "self": [{"href": format!("{collection}/{id}")}],
        "collection": [{"href": collection}],
    })
}
