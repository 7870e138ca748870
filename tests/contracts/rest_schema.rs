//! What WooCommerce publishes and what was recorded of it: routes, schemas, exchanges.

use std::sync::OnceLock;

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::contract;

fn parsed(file: &str, cell: &'static OnceLock<Option<Value>>) -> Option<&'static Value> {
    let read = || contract(file).map(|text| serde_json::from_str(&text).unwrap());
    cell.get_or_init(read).as_ref()
}

fn exchanges() -> Option<&'static Value> {
    static CELL: OnceLock<Option<Value>> = OnceLock::new();
    parsed("woocommerce/wc-v3-9.5.1.exchanges.json", &CELL)
}

pub(crate) fn index() -> Option<&'static Value> {
    static CELL: OnceLock<Option<Value>> = OnceLock::new();
    parsed("woocommerce/wc-v3-9.5.1.index.json", &CELL)
}

pub(crate) fn schemas() -> Option<&'static Value> {
    static CELL: OnceLock<Option<Value>> = OnceLock::new();
    parsed("woocommerce/wc-v3-9.5.1.schemas.json", &CELL)
}

/// A recorded reply by the name of its exchange.
pub(crate) fn recorded(name: &str) -> Option<ResponseTemplate> {
    let all = exchanges()?["exchanges"].as_array().unwrap();
    let response =
        &all.iter().find(|e| e["name"] == name).unwrap_or_else(|| panic!("no exchange {name:?}"))["response"];
    let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
    let mut template = ResponseTemplate::new(status);
    for (header, value) in response["headers"].as_object().unwrap() {
        template = template.insert_header(header.as_str(), value.as_str().unwrap());
    }
    Some(template.set_body_raw(response["body"].to_string(), "application/json; charset=UTF-8"))
}

pub(crate) fn recorded_body(name: &str) -> Option<Value> {
    let all = exchanges()?["exchanges"].as_array().unwrap();
    all.iter().find(|e| e["name"] == name).map(|e| e["response"]["body"].clone())
}

/// Holds a request that was sent to the index of routes: known arguments only, of the right type and within bounds.
pub(crate) fn check_query(request: &wiremock::Request) -> Result<(), String> {
    let Some(index) = index() else { return Ok(()) };
    let at = request.url.path().strip_prefix("/wp-json").ok_or("not below wp-json")?;
    let (_, route) = index["routes"]
        .as_object()
        .unwrap()
        .iter()
        .find(|(route, _)| matches_route(route, at))
        .ok_or_else(|| format!("no route {at}"))?;
    let verb = request.method.as_str();
    let endpoint = route["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .find(|e| e["methods"].as_array().unwrap().contains(&json!(verb)));
    let args = &endpoint.ok_or_else(|| format!("{at} knows no {verb}"))?["args"];
    for (name, value) in request.url.query_pairs() {
        // `_fields` belongs to every route of the WordPress API.
        if name != "_fields" {
            fits(&args[name.as_ref()], &value).map_err(|e| format!("{at}?{name}={value}: {e}"))?;
        }
    }
    Ok(())
}

/// Route patterns hold `(?P<id>[\d]+)` for numbers.
pub(crate) fn matches_route(route: &str, at: &str) -> bool {
    let (mut left, mut right) = (route.split('/'), at.split('/'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(want), Some(got)) if want.starts_with("(?P<") => {
                if got.is_empty() || !got.bytes().all(|b| b.is_ascii_digit()) {
                    return false;
                }
            }
            (Some(want), Some(got)) if want == got => {}
            _ => return false,
        }
    }
}

pub(crate) fn fits(arg: &Value, value: &str) -> Result<(), String> {
    let kind = arg["type"].as_str().ok_or("no such argument")?;
    let allowed = |schema: &Value, value: &str| {
        schema["enum"].as_array().is_none_or(|list| list.contains(&json!(value)))
    };
    let holds = match kind {
        "integer" => {
            let number = value.parse::<i64>().map_err(|e| e.to_string())?;
            arg["minimum"].as_i64().is_none_or(|min| number >= min)
                && arg["maximum"].as_i64().is_none_or(|max| number <= max)
        }
        "boolean" => value == "true" || value == "false",
        "array" if arg["items"]["type"] == "integer" => {
            value.split(',').all(|part| part.parse::<i64>().is_ok())
        }
        "array" => value.split(',').all(|part| allowed(&arg["items"], part)),
        _ if arg["format"] == "date-time" => {
            chrono::NaiveDateTime::parse_from_str(value, "%Y-%m-%dT%H:%M:%S").is_ok()
        }
        _ => allowed(arg, value),
    };
    if holds { Ok(()) } else { Err(format!("breaks {arg}")) }
}

/// Holds a batch body to the schema of what it holds: integers where integers belong, nothing unknown, 100 at most.
pub(crate) fn check_batch(kind: &str, body: &Value) -> Result<(), String> {
    let Some(schemas) = schemas() else { return Ok(()) };
    let mut item = schemas[kind]["schema"].clone();
    mend(&mut item);
    item["additionalProperties"] = json!(false);
    item["required"] = json!(["id", "stock_quantity"]);
    let schema = json!({
        "$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "additionalProperties": false,
        "properties": { "update": { "type": "array", "minItems": 1, "maxItems": 100, "items": item } },
        "required": ["update"],
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.validate(body).map_err(|e| e.to_string())
}

/// The published schemas use two types that JSON Schema doesn't have.
fn mend(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("type") == Some(&json!("date-time")) {
                fields.insert("type".to_owned(), json!("string"));
            } else if fields.get("type") == Some(&json!("mixed")) {
                fields.remove("type");
            }
            fields.values_mut().for_each(mend);
        }
        Value::Array(items) => items.iter_mut().for_each(mend),
        _ => {}
    }
}
