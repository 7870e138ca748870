//! `inventorySetQuantities`: compare-and-set by row, idempotency by call.
//!
//! Doubts, each decided for what asks most of a client:
//! * one refused row refuses the whole call ("the common assumption", no official text);
//!   [`ShopSettings::all_or_nothing`](crate::sandbox::world::ShopSettings::all_or_nothing) turns it round;
//! * the three rules on the whole call (`@idempotent`, `changeFromQuantity` written in each row, 250 rows) are told in
//!   `errors` with `data.inventorySetQuantities` null;
//! * rows that change nothing are left out of `changes`, and a call that changes nothing has no group;
//! * a repeated key replays a refusal too, rather than answering `IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED`;
//! * a key counts as running until its answer is out.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use apollo_compiler::{
    ast::Value as Literal,
    executable::Field,
    resolvers::{FieldError, ResolvedValue},
    response::{JsonMap, JsonValue},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::resolve::{Leaf, MAX_LIST, Resolved, Scope, Thing, gid};
use crate::{
    domain::UtcMs,
    sandbox::world::{Fate, Shop, Tracking, World},
};

/// How long a key is kept, in milliseconds: 24 h.
const KEY_LIFE_MS: i64 = 24 * 3_600_000;

/// The largest quantity.
const TOO_HIGH: i64 = 1_000_000_000;

/// The vendor's list of reasons was not retrieved; these are in use (fact sheet).
const REASONS: [&str; 12] = [
    "correction",
    "cycle_count_available",
    "damaged",
    "movement_created",
    "other",
    "promotion",
    "quality_control",
    "received",
    "reservation_created",
    "restock",
    "safety_stock",
    "shrinkage",
];

/// The idempotency keys of a shop.
pub type Keys = HashMap<String, Kept>;

/// What is kept of a call by its key.
#[derive(Clone, Debug)]
pub struct Kept {
    /// When the key first arrived. What a repeat sets dates from then, which the referee wants to know.
    arrived: UtcMs,
    at: UtcMs,
    /// `None` for a call that was lost: the shop knows nothing of it.
    done: Option<Done>,
}

#[derive(Clone, Debug)]
struct Done {
    answered_at: UtcMs,
    input: JsonValue,
    outcome: Outcome,
}

#[derive(Clone, Debug, Default)]
struct Outcome {
    group: Option<Group>,
    errors: Vec<UserError>,
}

#[derive(Clone, Debug)]
struct Group {
    id: u64,
    at: UtcMs,
    reason: String,
    document: Option<String>,
    changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    name: &'static str,
    delta: i64,
    after: i64,
    listing: usize,
    location: usize,
}

#[derive(Clone, Debug)]
struct UserError {
    code: &'static str,
    field: Vec<String>,
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    name: String,
    reason: String,
    reference_document_uri: Option<String>,
    quantities: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    inventory_item_id: String,
    location_id: String,
    quantity: i64,
    change_from_quantity: Option<i64>,
}

impl Scope<'_> {
    pub(super) fn set_quantities<'a>(&'a self, field: &Field, arguments: &JsonMap) -> Resolved<'a> {
        let input = arguments.get("input").cloned().unwrap_or_default();
        let rows = input.get("quantities").and_then(JsonValue::as_array).map_or(&[][..], Vec::as_slice);
        if rows.len() > MAX_LIST {
            let text = format!(
                "The input array size of {} is greater than the maximum allowed of {MAX_LIST}.",
                rows.len()
            );
            return Err(self.error(text, "MAX_INPUT_SIZE_EXCEEDED"));
        }
        let Some(key) = self.idempotency_key(field) else {
            let text = "The @idempotent directive is required for this mutation but was not provided.";
            return Err(self.error(text, "BAD_REQUEST"));
        };
        if rows.iter().any(|row| row.get("changeFromQuantity").is_none()) {
            let text = "inventorySetQuantities: every row must contain changeFromQuantity";
            return Err(self.error(text, "INVALID_FIELD_ARGUMENTS"));
        }
        let outcome = self.once(&key, &input)?;
        Ok(ResolvedValue::object(self.thing(payload(&outcome))))
    }

    fn idempotency_key(&self, field: &Field) -> Option<String> {
        let key = field.directives.get("idempotent")?.specified_argument_by_name("key")?;
        match key.as_ref() {
            Literal::String(text) => Some(text.clone()),
            Literal::Variable(name) => self.variables.get(name.as_str())?.as_str().map(str::to_owned),
            _ => None,
        }
    }

    /// The outcome kept under the key, or a new one.
    fn once(&self, key: &str, input: &JsonValue) -> Result<Outcome, FieldError> {
        let now = self.now();
        let mut keys = self.keys.borrow_mut();
        keys.retain(|_, kept| now.since(kept.at) < KEY_LIFE_MS);
        if let Some(Kept { done: Some(done), .. }) = keys.get(key) {
            let refused = |code, text: &str| Outcome {
                group: None,
                errors: vec![UserError { code, field: Vec::new(), message: text.to_owned() }],
            };
            return Ok(if done.input != *input {
                refused("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", "The key was used with other parameters.")
            } else if now < done.answered_at {
                refused("IDEMPOTENCY_CONCURRENT_REQUEST", "A request with this key is being processed.")
            } else {
                done.outcome.clone()
            });
        }
        let parsed = serde_json::to_value(input).and_then(serde_json::from_value::<Input>);
        let parsed = parsed.map_err(|error| self.error(error.to_string(), "INVALID_FIELD_ARGUMENTS"))?;
        let mut world = self.world.borrow_mut();
        let arrived = keys.get(key).map_or(self.arrived, |kept| kept.arrived);
        let outcome = set(&mut world, self.shop, &parsed, arrived);
        let done = (world.fate != Fate::Lost).then(|| {
            let wait = i64::try_from(world.shops[self.shop].settings.latency_ms / 2).unwrap_or(0);
            Done { answered_at: now.plus_ms(wait), input: input.clone(), outcome: outcome.clone() }
        });
        keys.insert(key.to_owned(), Kept { arrived, at: now, done });
        Ok(outcome)
    }
}

fn set(world: &mut World, shop: usize, input: &Input, arrived: UtcMs) -> Outcome {
    let mut errors = whole_call(input);
    let mut seen = BTreeSet::new();
    let mut good = Vec::new();
    for (index, row) in input.quantities.iter().enumerate() {
        match check(&world.shops[shop], &input.name, row, &mut seen) {
            Ok(place) => good.push((place, row)),
            Err((field, code, message)) => errors.push(UserError {
                code,
                field: ["input", "quantities", &index.to_string(), field].map(str::to_owned).into(),
                message: message.to_owned(),
            }),
        }
    }
    for ((listing, location), _) in &good {
        world.unsettle(shop, *listing, *location);
    }
    let all_or_nothing = world.shops[shop].settings.all_or_nothing || !whole_call(input).is_empty();
    if all_or_nothing && !errors.is_empty() {
        return Outcome { group: None, errors };
    }
    let mut changes = Vec::new();
    for ((listing, location), row) in good {
        let level = &world.shops[shop].listings[listing].levels[location];
        let (available, committed) = (level.available, level.committed);
        let value = if input.name == "on_hand" { row.quantity - committed } else { row.quantity };
        world.write(shop, listing, location, value, arrived);
        let delta = value - available;
        if delta != 0 {
            let change = |name, after| Change { name, delta, after, listing, location };
            changes.extend([change("available", value), change("on_hand", value + committed)]);
        }
    }
    let at = world.now();
    let group = (!changes.is_empty()).then(|| Group {
        id: world.shops[shop].next_id(),
        at,
        reason: input.reason.clone(),
        document: input.reference_document_uri.clone(),
        changes,
    });
    Outcome { group, errors }
}

/// What is wrong with the call apart from its rows.
fn whole_call(input: &Input) -> Vec<UserError> {
    let mut errors = Vec::new();
    let mut refuse = |code, field: &str, message: &str| {
        let field = ["input", field].map(str::to_owned).into();
        errors.push(UserError { code, field, message: message.to_owned() });
    };
    if !["available", "on_hand"].contains(&input.name.as_str()) {
        refuse("INVALID_NAME", "name", "The quantity name must be either 'available' or 'on_hand'.");
    }
    if !REASONS.contains(&input.reason.as_str()) {
        refuse("INVALID_REASON", "reason", "The specified reason is invalid.");
    }
    if input.reference_document_uri.as_deref().is_some_and(|uri| !is_document(uri)) {
        let text = "The specified reference document is invalid.";
        refuse("INVALID_REFERENCE_DOCUMENT", "referenceDocumentUri", text);
    }
    errors
}

/// "Valid URI with scheme and content. For GID format, all components (app, entity, id) must be present."
fn is_document(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else { return false };
    let parts = rest.split('/').filter(|part| !part.is_empty()).count();
    !scheme.is_empty() && if scheme == "gid" { parts >= 3 } else { parts >= 1 }
}

type RowError = (&'static str, &'static str, &'static str);

fn check(
    shop: &Shop,
    name: &str,
    row: &Row,
    seen: &mut BTreeSet<(usize, usize)>,
) -> Result<(usize, usize), RowError> {
    let number = |gid: &str, kind: &str| {
        gid.strip_prefix("gid://shopify/")?.strip_prefix(kind)?.strip_prefix('/')?.parse::<u64>().ok()
    };
    let listing = number(&row.inventory_item_id, "InventoryItem")
        .and_then(|id| shop.listing_by_id(id).filter(|ix| shop.listings[*ix].item == id))
        .ok_or((
            "inventoryItemId",
            "INVALID_INVENTORY_ITEM",
            "The specified inventory item could not be found.",
        ))?;
    let location = number(&row.location_id, "Location").and_then(|id| shop.location_by_id(id)).ok_or((
        "locationId",
        "INVALID_LOCATION",
        "The specified location could not be found.",
    ))?;
    if shop.listings[listing].tracking == Tracking::Computed {
        let text = "The specified inventory item is not allowed to be adjusted via API.";
        return Err(("inventoryItemId", "NON_MUTABLE_INVENTORY_ITEM", text));
    }
    if row.quantity < 0 {
        return Err(("quantity", "INVALID_QUANTITY_NEGATIVE", "The quantity can't be negative."));
    }
    if row.quantity > TOO_HIGH {
        let text = "The quantity can't be higher than 1,000,000,000.";
        return Err(("quantity", "INVALID_QUANTITY_TOO_HIGH", text));
    }
    if !seen.insert((listing, location)) {
        let text = "The combination of inventoryItemId and locationId must be unique.";
        return Err(("inventoryItemId", "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", text));
    }
    let level = &shop.listings[listing].levels[location];
    let present = if name == "on_hand" { level.available + level.committed } else { level.available };
    if row.change_from_quantity.is_some_and(|expected| expected != present) {
        let text = "The changeFromQuantity argument no longer matches the persisted quantity.";
        return Err(("changeFromQuantity", "CHANGE_FROM_QUANTITY_STALE", text));
    }
    Ok((listing, location))
}

fn payload(outcome: &Outcome) -> Thing {
    let text = |value: Value| Leaf::Value(value);
    let plain = |kind, fields| Thing::Plain(kind, Arc::new(fields));
    let group = outcome.group.as_ref().map(|group| {
        let changes = group.changes.iter().map(|change| {
            plain(
                "InventoryChange",
                vec![
                    ("name", text(json!(change.name))),
                    ("delta", text(json!(change.delta))),
                    ("quantityAfterChange", text(json!(change.after))),
                    ("item", Leaf::Thing(Box::new(Thing::Item(change.listing)))),
                    ("location", Leaf::Thing(Box::new(Thing::Location(change.location)))),
                    ("ledgerDocumentUri", text(Value::Null)),
                ],
            )
        });
        plain(
            "InventoryAdjustmentGroup",
            vec![
                ("id", text(json!(gid("InventoryAdjustmentGroup", group.id)))),
                ("createdAt", text(json!(group.at.rfc3339_seconds()))),
                ("reason", text(json!(group.reason))),
                ("referenceDocumentUri", text(json!(group.document))),
                ("changes", Leaf::Things(changes.collect())),
            ],
        )
    });
    let errors = outcome.errors.iter().map(|error| {
        plain(
            "InventorySetQuantitiesUserError",
            vec![
                ("code", text(json!(error.code))),
                ("field", text(json!(error.field))),
                ("message", text(json!(error.message))),
            ],
        )
    });
    let group = group.map_or(text(Value::Null), |group| Leaf::Thing(Box::new(group)));
    plain(
        "InventorySetQuantitiesPayload",
        vec![("inventoryAdjustmentGroup", group), ("userErrors", Leaf::Things(errors.collect()))],
    )
}
