//! Bodies sent to Shopify against its Admin schemas, and against the rules that these can't state.

use std::sync::OnceLock;

use apollo_compiler::{
    ExecutableDocument, Schema, request::coerce_variable_values, response::JsonMap, validation::Valid,
};
use serde_json::Value;

use crate::{shop::operation_of, support::contract};

type Schemas = Vec<(&'static str, Valid<Schema>)>;

/// The oldest version with the present write rules, and the one asked for.
pub(crate) fn schemas() -> Option<&'static [(&'static str, Valid<Schema>)]> {
    static SCHEMAS: OnceLock<Option<Schemas>> = OnceLock::new();
    let read = || {
        let mut schemas = Vec::new();
        for version in ["2026-04", "2026-10"] {
            let mut text = contract(&format!("shopify/admin-{version}.full.graphql"))?;
            if !text.contains("directive @oneOf") {
                text.push_str("\ndirective @oneOf on INPUT_OBJECT\n");
            }
            let schema = Schema::parse_and_validate(text, version).map_err(|e| e.errors.to_string());
            schemas.push((version, schema.unwrap()));
        }
        Some(schemas)
    };
    SCHEMAS.get_or_init(read).as_deref()
}

/// Holds a body that was sent to both schemas, and to the rules that they can't state.
pub(crate) fn check(body: &Value) -> Result<(), String> {
    let query = body["query"].as_str().ok_or("no query")?;
    let operation = operation_of(body);
    let variables: JsonMap = serde_json::from_value(body["variables"].clone()).map_err(|e| e.to_string())?;
    for (version, schema) in schemas().into_iter().flatten() {
        let document = ExecutableDocument::parse_and_validate(schema, query, "sent.graphql")
            .map_err(|e| format!("{operation} in {version}: {}", e.errors))?;
        let operation = document.operations.iter().next().ok_or("no operation")?;
        coerce_variable_values(schema, operation, &variables)
            .map_err(|e| format!("{version}: {}", e.message()))?;
    }
    let first = &body["variables"]["first"];
    if first.as_u64().is_some_and(|n| n > 250) || literal_firsts(query).any(|n| n > 250) {
        return Err("first is more than 250".to_owned());
    }
    if body["variables"]["ids"].as_array().is_some_and(|ids| ids.len() > 250) {
        return Err("more than 250 ids".to_owned());
    }
    if query.contains("inventorySetQuantities") { check_write(query, &body["variables"]) } else { Ok(()) }
}

fn literal_firsts(query: &str) -> impl Iterator<Item = u64> {
    query.split("first:").skip(1).filter_map(|rest| {
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

fn check_write(query: &str, variables: &Value) -> Result<(), String> {
    let input = &variables["input"];
    let rows = input["quantities"].as_array().ok_or("no rows")?;
    let keyed = query.contains("@idempotent(key: $key)") && variables["key"].is_string();
    let reference = input["referenceDocumentUri"].as_str().unwrap_or_default();
    for (holds, rule) in [
        (keyed, "@idempotent with a key"),
        (input["name"] == "available", "available is what is set"),
        (input["reason"].as_str().is_some_and(|r| !r.is_empty()), "a reason"),
        (reference.starts_with("gid://stockd/SyncJob/"), "a reference document"),
        ((1..=250).contains(&rows.len()), "1 to 250 rows"),
        (
            rows.iter().all(|r| r.as_object().is_some_and(|r| r.contains_key("changeFromQuantity"))),
            "changeFromQuantity",
        ),
    ] {
        if !holds {
            return Err(format!("rule broken: {rule}"));
        }
    }
    Ok(())
}
