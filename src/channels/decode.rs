//! Numbers and rows as channels write them, read without trust.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::Units;

/// Reads a quantity. `null` and empty text are unknown, never 0 (fault D3); negative numbers are kept (D4); whole
/// numbers written as text or as `3.0` are what plug-ins make of them and are read.
///
/// # Errors
/// A fraction (D5), a number out of range (D6), anything that is no number.
pub(super) fn units(value: &Value) -> Result<Option<Units>, String> {
    let text = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().to_owned(),
        _ => return Err("a quantity that is no number".to_owned()),
    };
    if let Ok(whole) = text.parse::<i64>() {
        return Units::new(whole).map(Some).map_err(|e| e.to_string());
    }
    match text.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 => format!("{number:.0}")
            .parse::<i64>()
            .ok()
            .and_then(|whole| Units::new(whole).ok())
            .map(Some)
            .ok_or_else(|| format!("quantity {number:e} is out of range")),
        Ok(number) if number.is_finite() => Err(format!("quantity {number} is not whole")),
        _ => Err("a quantity that is no number".to_owned()),
    }
}

/// The same, where the channel always gives one.
pub(super) fn present(value: &Value) -> Result<Units, String> {
    units(value)?.ok_or_else(|| "a quantity that is null".to_owned())
}

/// Text that says something.
pub(super) fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.is_empty())
}

/// Reads each row by itself, so that one bad row spoils only itself; bad ones end in `rejected`, named by their `id`.
pub(super) fn rows<Raw: DeserializeOwned, Row>(
    values: Vec<Value>,
    what: &str,
    rejected: &mut Vec<String>,
    read: impl Fn(Raw) -> Result<Row, String>,
) -> Vec<Row> {
    let mut good = Vec::with_capacity(values.len());
    for value in values {
        let id = value["id"].to_string();
        match serde_json::from_value(value).map_err(|e| e.to_string()).and_then(&read) {
            Ok(row) => good.push(row),
            Err(reason) => rejected.push(format!("{what} {id}: {reason}")),
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn d3_d4_null_is_unknown_and_negative_is_kept() {
        for unknown in [json!(null), json!(""), json!(" ")] {
            assert_eq!(units(&unknown), Ok(None), "{unknown}");
        }
        for (value, expected) in
            [(json!(-4), -4), (json!(0), 0), (json!("12"), 12), (json!(3.0), 3), (json!("3.000"), 3)]
        {
            assert_eq!(units(&value), Ok(Some(Units::of(expected))), "{value}");
        }
    }

    #[test]
    fn d5_d6_fractions_and_giants_and_non_numbers_are_refused() {
        for bad in [
            json!(1.5),
            json!("2.25"),
            json!(9_007_199_254_740_993_u64),
            json!(u64::MAX),
            json!(1e300),
            json!("many"),
            json!("NaN"),
            json!("inf"),
            json!(true),
            json!([1]),
        ] {
            assert!(units(&bad).is_err(), "{bad}");
        }
    }
}
