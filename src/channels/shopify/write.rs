//! Setting quantities: compare-and-set by row, one idempotency key by call.

use serde::{Deserialize, Serialize};

use super::{Shopify, gid};
use crate::{
    channels::http::Intent,
    domain::{CallError, Meter, RowOutcome, WriteRow},
};

/// Rows per call, at most (input lists are capped at 250).
pub(super) const MAX_ROWS: usize = 250;

#[derive(Serialize)]
struct Variables<'a> {
    input: Input<'a>,
    key: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    name: &'static str,
    reason: &'a str,
    reference_document_uri: String,
    quantities: Vec<Row>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    inventory_item_id: String,
    location_id: String,
    quantity: i64,
    /// Must stand in every row, if only as `null` (required at run time from 2026-04, whatever the schema says).
    change_from_quantity: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    inventory_set_quantities: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    inventory_adjustment_group: Option<serde::de::IgnoredAny>,
    user_errors: Vec<UserError>,
}

#[derive(Deserialize)]
struct UserError {
    code: Option<String>,
    field: Option<Vec<String>>,
    message: String,
}

impl UserError {
    /// The row that the error is about, from a path such as `input.quantities.0.changeFromQuantity`.
    fn row(&self, rows: usize) -> Option<usize> {
        let path = self.field.as_ref()?;
        let at = path.iter().position(|part| part == "quantities")?;
        path.get(at + 1)?.parse().ok().filter(|row| *row < rows)
    }

    fn code(&self) -> &str {
        self.code.as_deref().unwrap_or("no code")
    }
}

impl Shopify {
    pub(super) async fn write(
        &self,
        key: &str,
        rows: &[WriteRow],
        meter: &mut Meter,
    ) -> Result<Vec<RowOutcome>, CallError> {
        if rows.len() > MAX_ROWS {
            return Err(CallError::Rejected {
                detail: format!("{} rows in one call, {MAX_ROWS} at most", rows.len()),
            });
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let quantities = rows.iter().map(input_row).collect::<Result<Vec<_>, _>>()?;
        let reference_document_uri = format!("gid://stockd/SyncJob/{key}");
        let input = Input { name: "available", reason: &self.reason, reference_document_uri, quantities };
        let variables = Variables { input, key };
        let answer =
            self.query::<Data>(include_str!("write.graphql"), &variables, Intent::Write, meter).await?;
        outcomes(&answer.data.inventory_set_quantities, rows.len())
    }
}

fn input_row(row: &WriteRow) -> Result<Row, CallError> {
    Ok(Row {
        inventory_item_id: gid("InventoryItem", row.place.listing.as_str())?,
        location_id: gid("Location", row.place.location.as_str())?,
        quantity: row.value.get(),
        change_from_quantity: row.change_from.map(crate::domain::Units::get),
    })
}

/// What became of each row.
///
/// Whether a call with a bad row applies the others is documented nowhere; only the adjustment group being absent
/// shows that nothing was written.
fn outcomes(payload: &Payload, rows: usize) -> Result<Vec<RowOutcome>, CallError> {
    let errors = &payload.user_errors;
    if errors.is_empty() {
        return Ok(vec![RowOutcome::Applied; rows]);
    }
    let nothing_written = payload.inventory_adjustment_group.is_none();
    let say = |error: &UserError| format!("{}: {}", error.code(), error.message);
    if let Some(error) = errors.iter().find(|e| e.code() == "IDEMPOTENCY_CONCURRENT_REQUEST") {
        return Err(CallError::Unknown { detail: say(error) });
    }
    let mut outcomes = vec![
        if nothing_written {
            RowOutcome::NotTried
        } else {
            RowOutcome::Unknown { detail: format!("another row failed: {}", say(&errors[0])) }
        };
        rows
    ];
    for error in errors {
        let detail = say(error);
        let stale = matches!(error.code(), "CHANGE_FROM_QUANTITY_STALE" | "COMPARE_QUANTITY_STALE");
        // A call of one row needs no path to say which row is meant.
        match error.row(rows).or((rows == 1).then_some(0)) {
            Some(row) if stale => outcomes[row] = RowOutcome::Conflict { detail },
            Some(row) => outcomes[row] = RowOutcome::Rejected { detail },
            None if nothing_written && !stale => return Err(CallError::Rejected { detail }),
            None => return Err(CallError::Unknown { detail }),
        }
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(group: &Value, errors: &Value, rows: usize) -> Result<Vec<RowOutcome>, CallError> {
        let payload = json!({ "inventoryAdjustmentGroup": group, "userErrors": errors });
        outcomes(&serde_json::from_value(payload).unwrap(), rows)
    }

    fn error(code: &str, row: Option<usize>) -> Value {
        let field = row.map(|row| json!(["input", "quantities", row.to_string(), "changeFromQuantity"]));
        json!({ "code": code, "field": field, "message": "m" })
    }

    #[test]
    fn h20_a_stale_row_is_a_conflict_and_the_others_were_not_tried() {
        let got = judged(&json!(null), &json!([error("CHANGE_FROM_QUANTITY_STALE", Some(1))]), 3).unwrap();
        assert_eq!(got[0], RowOutcome::NotTried);
        assert!(matches!(got[1], RowOutcome::Conflict { .. }));
        assert_eq!(got[2], RowOutcome::NotTried);
    }

    #[test]
    fn other_rows_are_unknown_where_the_shop_did_change_something() {
        let got = judged(&json!({ "id": "1" }), &json!([error("INVALID_LOCATION", Some(0))]), 2).unwrap();
        assert!(matches!(got[0], RowOutcome::Rejected { .. }));
        assert!(matches!(got[1], RowOutcome::Unknown { .. }));
    }

    #[test]
    fn no_error_means_applied_even_without_a_group() {
        assert_eq!(judged(&json!(null), &json!([]), 2).unwrap(), vec![RowOutcome::Applied; 2]);
    }

    #[test]
    fn an_error_that_names_no_row_refuses_the_call_unless_something_was_written() {
        let reason = json!([error("INVALID_REASON", None)]);
        assert!(matches!(judged(&json!(null), &reason, 2), Err(CallError::Rejected { .. })));
        assert!(matches!(judged(&json!({ "id": "1" }), &reason, 2), Err(CallError::Unknown { .. })));
        let beyond = json!([error("INVALID_LOCATION", Some(9))]);
        assert!(matches!(judged(&json!(null), &beyond, 2), Err(CallError::Rejected { .. })));
        let stale = json!([error("CHANGE_FROM_QUANTITY_STALE", None)]);
        assert!(matches!(judged(&json!(null), &stale, 2), Err(CallError::Unknown { .. })));
        assert!(matches!(judged(&json!(null), &stale, 1).unwrap()[0], RowOutcome::Conflict { .. }));
    }

    #[test]
    fn a_key_whose_first_request_still_runs_is_unknown() {
        let running = json!([error("IDEMPOTENCY_CONCURRENT_REQUEST", None)]);
        assert!(matches!(judged(&json!(null), &running, 1), Err(CallError::Unknown { .. })));
    }
}
