//! From fields of the schema to the world: the root, connections, ids. Catalogue and orders have files of their own.

use std::{
    cell::{Ref, RefCell},
    sync::Arc,
};

use apollo_compiler::{
    resolvers::{FieldError, ObjectValue, ResolveInfo, ResolvedValue},
    response::{JsonMap, JsonValue},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    search::{self, Field},
    set_quantities::Keys,
};
use crate::{
    domain::{OrderId, UtcMs},
    sandbox::world::{Order, Shop, World},
};

/// At most so many for `first`, `last` and lists of input.
pub(super) const MAX_LIST: usize = 250;

pub(super) type Resolved<'a> = Result<ResolvedValue<'a>, FieldError>;

/// Everything one execution shares.
pub(super) struct Scope<'a> {
    pub(super) world: RefCell<&'a mut World>,
    pub(super) keys: RefCell<&'a mut Keys>,
    pub(super) shop: usize,
    pub(super) arrived: UtcMs,
    pub(super) variables: &'a JsonMap,
    codes: RefCell<Vec<(String, &'static str)>>,
}

/// Something that the schema has a type for.
#[derive(Clone)]
pub(super) enum Thing {
    Query,
    Mutation,
    Shop,
    Location(usize),
    Product(usize),
    Variant(usize),
    Item(usize),
    Level(usize, usize),
    Order(Arc<Order>),
    Line(Arc<Order>, usize),
    Fulfilment(Arc<Order>, usize),
    FulfilmentLine(Arc<Order>, usize, usize),
    Refund(Arc<Order>, usize),
    RefundLine(Arc<Order>, usize, usize),
    Connection(&'static str, Arc<Page>),
    Edge(&'static str, Cursor, Box<Thing>),
    /// A type whose fields are leaves or objects of their own, by name.
    Plain(&'static str, Arc<Vec<(&'static str, Leaf)>>),
}

/// A field of [`Thing::Plain`].
#[derive(Clone)]
pub(super) enum Leaf {
    Value(Value),
    Thing(Box<Thing>),
    Things(Vec<Thing>),
}

/// Where a thing stands in its connection: what it is sorted by, and its id.
pub(super) type Cursor = (i64, u64);

/// The part of a connection that was asked for.
pub(super) struct Page {
    things: Vec<(Cursor, Thing)>,
    next: bool,
    previous: bool,
}

/// A thing with its surroundings.
pub(super) struct Object<'s, 'w> {
    scope: &'s Scope<'w>,
    thing: Thing,
}

impl<'w> Scope<'w> {
    pub(super) fn new(
        world: &'w mut World,
        keys: &'w mut Keys,
        shop: usize,
        arrived: UtcMs,
        variables: &'w JsonMap,
    ) -> Self {
        Self {
            world: RefCell::new(world),
            keys: RefCell::new(keys),
            shop,
            arrived,
            variables,
            codes: RefCell::default(),
        }
    }

    /// The codes of the errors met, by their messages.
    pub(super) fn finish(self) -> Vec<(String, &'static str)> {
        self.codes.into_inner()
    }

    pub(super) fn thing(&self, thing: Thing) -> Object<'_, 'w> {
        Object { scope: self, thing }
    }

    pub(super) fn some(&self, thing: Option<Thing>) -> ResolvedValue<'_> {
        ResolvedValue::nullable_object(thing.map(|thing| self.thing(thing)))
    }

    pub(super) fn list(&self, things: Vec<Thing>) -> ResolvedValue<'_> {
        ResolvedValue::list(things.into_iter().map(|thing| ResolvedValue::object(self.thing(thing))))
    }

    pub(super) fn shop(&self) -> Ref<'_, Shop> {
        Ref::map(self.world.borrow(), |world| &world.shops[self.shop])
    }

    pub(super) fn now(&self) -> UtcMs {
        self.world.borrow().now()
    }

    pub(super) fn error(&self, message: impl Into<String>, code: &'static str) -> FieldError {
        let message = message.into();
        self.codes.borrow_mut().push((message.clone(), code));
        FieldError { message }
    }

    /// An answer holds all of this order that was readable.
    pub(super) fn delivers(&self, order: u64) {
        self.world.borrow_mut().delivering.push(OrderId::new(order.to_string()));
    }

    /// The page of `things` that `first`, `after`, `last`, `before` and `reverse` ask for.
    pub(super) fn connection<'a>(
        &'a self,
        kind: &'static str,
        arguments: &JsonMap,
        mut things: Vec<(Cursor, Thing)>,
    ) -> Resolved<'a> {
        things.sort_by_key(|(cursor, _)| *cursor);
        let reverse = arguments.get("reverse").and_then(JsonValue::as_bool).unwrap_or(false);
        if reverse {
            things.reverse();
        }
        let number = |name| arguments.get(name).and_then(JsonValue::as_i64);
        let text = |name| arguments.get(name).and_then(JsonValue::as_str);
        let count = match (number("first"), number("last")) {
            (Some(count), None) | (None, Some(count)) => usize::try_from(count).unwrap_or(0),
            _ => return Err(self.error("you must provide one of first or last", "BAD_REQUEST")),
        };
        if count > MAX_LIST {
            let text = format!("The count of {count} is greater than the maximum allowed of {MAX_LIST}.");
            return Err(self.error(text, "BAD_USER_INPUT"));
        }
        let total = things.len();
        for (name, keep_later) in [("after", true), ("before", false)] {
            if let Some(cursor) = text(name) {
                let at =
                    parse_cursor(cursor).ok_or_else(|| self.error("Invalid cursor.", "BAD_USER_INPUT"))?;
                things.retain(|(cursor, _)| *cursor != at && ((*cursor > at) != reverse) == keep_later);
            }
        }
        let cut = things.len() < total;
        let more = things.len() > count;
        let page = if number("first").is_some() {
            things.truncate(count);
            Page { things, next: more, previous: cut && text("after").is_some() }
        } else {
            let things = things.split_off(things.len().saturating_sub(count));
            Page { things, next: cut && text("before").is_some(), previous: more }
        };
        Ok(ResolvedValue::object(self.thing(Thing::Connection(kind, Arc::new(page)))))
    }

    /// The thing behind a global id.
    pub(super) fn by_gid(&self, gid: &str) -> Result<Option<Thing>, FieldError> {
        let parsed = gid.strip_prefix("gid://shopify/").and_then(|rest| rest.split_once('/'));
        let Some((kind, rest)) = parsed else {
            return Err(self.error(format!("Invalid global id '{gid}'"), "argumentLiteralsIncompatible"));
        };
        let (id, query) = rest.split_once('?').unwrap_or((rest, ""));
        let Ok(id) = id.parse::<u64>() else {
            return Err(self.error(format!("Invalid global id '{gid}'"), "argumentLiteralsIncompatible"));
        };
        let shop = self.shop();
        let listing = shop.listing_by_id(id);
        Ok(match kind {
            "Shop" => Some(Thing::Shop),
            "Location" => shop.location_by_id(id).map(Thing::Location),
            "Product" => listing.filter(|ix| shop.listings[*ix].product == id).map(Thing::Product),
            "ProductVariant" => listing.filter(|ix| shop.listings[*ix].variant == id).map(Thing::Variant),
            "InventoryItem" => listing.filter(|ix| shop.listings[*ix].item == id).map(Thing::Item),
            "InventoryLevel" => query
                .strip_prefix("inventory_item_id=")
                .and_then(|item| shop.listing_by_id(item.parse().ok()?))
                .zip(shop.location_by_id(id))
                .map(|(listing, location)| Thing::Level(listing, location)),
            "Order" => shop.orders.get(&id).and_then(|it| it.readable.clone()).map(Thing::Order),
            "Fulfillment" => shop.readable().find_map(|order| {
                let index = order.fulfilments.iter().position(|parcel| parcel.id == id)?;
                Some(Thing::Fulfilment(Arc::clone(order), index))
            }),
            "Refund" => shop.readable().find_map(|order| {
                let index = order.refunds.iter().position(|refund| refund.id == id)?;
                Some(Thing::Refund(Arc::clone(order), index))
            }),
            _ => None,
        })
    }

    pub(super) fn gid_argument(&self, arguments: &JsonMap, name: &str) -> Result<Option<Thing>, FieldError> {
        arguments.get(name).and_then(JsonValue::as_str).map_or(Ok(None), |gid| self.by_gid(gid))
    }
}

/// `gid://shopify/{kind}/{id}`.
pub(super) fn gid(kind: &str, id: u64) -> String {
    format!("gid://shopify/{kind}/{id}")
}

pub(super) fn leaf<'a>(value: impl serde::Serialize) -> Resolved<'a> {
    match apollo_compiler::response::serde_json_bytes::to_value(value) {
        Ok(JsonValue::Array(items)) => Ok(ResolvedValue::list(items.into_iter().map(ResolvedValue::Leaf))),
        Ok(value) => Ok(ResolvedValue::Leaf(value)),
        Err(error) => Err(FieldError { message: error.to_string() }),
    }
}

/// Whether the `query` argument selects a thing with these fields.
pub(super) fn selected(arguments: &JsonMap, field: &dyn Fn(&str) -> Option<Field>) -> bool {
    let query = arguments.get("query").and_then(JsonValue::as_str).unwrap_or("");
    search::matches(query, field)
}

fn cursor_text((key, id): Cursor) -> String {
    BASE64_STANDARD.encode(format!("{key}:{id}"))
}

pub(super) fn parse_cursor(text: &str) -> Option<Cursor> {
    let text = String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()?;
    let (key, id) = text.split_once(':')?;
    Some((key.parse().ok()?, id.parse().ok()?))
}

impl ObjectValue for Object<'_, '_> {
    fn type_name(&self) -> &str {
        match &self.thing {
            Thing::Query => "QueryRoot",
            Thing::Mutation => "Mutation",
            Thing::Shop => "Shop",
            Thing::Location(_) => "Location",
            Thing::Product(_) => "Product",
            Thing::Variant(_) => "ProductVariant",
            Thing::Item(_) => "InventoryItem",
            Thing::Level(..) => "InventoryLevel",
            Thing::Order(_) => "Order",
            Thing::Line(..) => "LineItem",
            Thing::Fulfilment(..) => "Fulfillment",
            Thing::FulfilmentLine(..) => "FulfillmentLineItem",
            Thing::Refund(..) => "Refund",
            Thing::RefundLine(..) => "RefundLineItem",
            Thing::Connection(kind, _) | Thing::Edge(kind, ..) | Thing::Plain(kind, _) => kind,
        }
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        let (scope, name, arguments) = (self.scope, info.field_name(), info.arguments());
        let found = match &self.thing {
            Thing::Query => scope.root_field(name, arguments),
            Thing::Mutation if name == "inventorySetQuantities" => {
                Some(Ok(scope.set_quantities(info.field_selections()[0], arguments)?))
            }
            Thing::Mutation => None,
            Thing::Connection(kind, page) => scope.connection_field(kind, page, name),
            Thing::Edge(_, cursor, thing) => match name {
                "cursor" => Some(leaf(cursor_text(*cursor))),
                _ => Some(Ok(scope.some(Some(thing.as_ref().clone())))),
            },
            Thing::Plain(_, fields) => {
                fields.iter().find(|(key, _)| *key == name).map(|(_, field)| match field {
                    Leaf::Value(Value::Array(values)) => {
                        Ok(ResolvedValue::List(Box::new(values.clone().into_iter().map(leaf))))
                    }
                    Leaf::Value(value) => leaf(value),
                    Leaf::Thing(thing) => Ok(scope.some(Some(thing.as_ref().clone()))),
                    Leaf::Things(things) => Ok(scope.list(things.clone())),
                })
            }
            Thing::Shop
            | Thing::Location(_)
            | Thing::Product(_)
            | Thing::Variant(_)
            | Thing::Item(_)
            | Thing::Level(..) => scope.catalogue_field(&self.thing, name, arguments),
            _ => scope.order_field(&self.thing, name, arguments),
        };
        found.unwrap_or_else(|| Err(self.unknown_field_error(info)))
    }
}

impl Scope<'_> {
    fn root_field<'a>(&'a self, name: &str, arguments: &JsonMap) -> Option<Resolved<'a>> {
        Some(match name {
            "shop" => Ok(self.some(Some(Thing::Shop))),
            "currentAppInstallation" => Ok(self.some(Some(app_installation()))),
            "location" if !arguments.contains_key("id") => Ok(self.some(Some(Thing::Location(0)))),
            "node" | "product" | "productVariant" | "inventoryItem" | "inventoryLevel" | "location"
            | "order" => self.gid_argument(arguments, "id").map(|thing| self.some(thing)),
            "nodes" => self.nodes(arguments),
            "locations" => self.locations(arguments),
            "productVariants" => self.variants(arguments),
            "inventoryItems" => self.items(arguments),
            "orders" => self.orders(arguments),
            _ => return None,
        })
    }

    fn nodes<'a>(&'a self, arguments: &JsonMap) -> Resolved<'a> {
        let ids = arguments.get("ids").and_then(JsonValue::as_array).map_or(&[][..], Vec::as_slice);
        if ids.len() > MAX_LIST {
            let text = format!(
                "The input array size of {} is greater than the maximum allowed of {MAX_LIST}.",
                ids.len()
            );
            return Err(self.error(text, "MAX_INPUT_SIZE_EXCEEDED"));
        }
        let things: Vec<_> =
            ids.iter().map(|id| self.by_gid(id.as_str().unwrap_or_default())).collect::<Result<_, _>>()?;
        Ok(ResolvedValue::list(things.into_iter().map(|thing| self.some(thing))))
    }

    fn connection_field<'a>(&'a self, kind: &'static str, page: &Page, name: &str) -> Option<Resolved<'a>> {
        let things = page.things.iter();
        Some(match name {
            "nodes" => Ok(self.list(things.map(|(_, thing)| thing.clone()).collect())),
            "edges" => {
                let kind = edge_of(kind);
                let edge =
                    |(cursor, thing): &(Cursor, Thing)| Thing::Edge(kind, *cursor, Box::new(thing.clone()));
                Ok(self.list(things.map(edge).collect()))
            }
            "pageInfo" => {
                let cursor = |thing: Option<&(Cursor, Thing)>| {
                    Leaf::Value(json!(thing.map(|(cursor, _)| cursor_text(*cursor))))
                };
                let fields = vec![
                    ("hasNextPage", Leaf::Value(json!(page.next))),
                    ("hasPreviousPage", Leaf::Value(json!(page.previous))),
                    ("startCursor", cursor(page.things.first())),
                    ("endCursor", cursor(page.things.last())),
                ];
                Ok(self.some(Some(Thing::Plain("PageInfo", Arc::new(fields)))))
            }
            _ => return None,
        })
    }
}

fn edge_of(connection: &'static str) -> &'static str {
    match connection {
        "LocationConnection" => "LocationEdge",
        "ProductVariantConnection" => "ProductVariantEdge",
        "InventoryItemConnection" => "InventoryItemEdge",
        "InventoryLevelConnection" => "InventoryLevelEdge",
        "OrderConnection" => "OrderEdge",
        "LineItemConnection" => "LineItemEdge",
        "FulfillmentLineItemConnection" => "FulfillmentLineItemEdge",
        _ => "RefundLineItemEdge",
    }
}

fn app_installation() -> Thing {
    let scopes = ["read_inventory", "write_inventory", "read_products", "read_locations", "read_orders"];
    let scopes = scopes
        .map(|handle| {
            let fields = [("handle", handle), ("description", "")];
            Thing::Plain("AccessScope", Arc::new(fields.map(|(k, v)| (k, Leaf::Value(json!(v)))).into()))
        })
        .into();
    let fields =
        vec![("id", Leaf::Value(json!(gid("AppInstallation", 1)))), ("accessScopes", Leaf::Things(scopes))];
    Thing::Plain("AppInstallation", Arc::new(fields))
}
