//! Setting quantities: absolute, in batches whose items succeed or fail each by itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Address, Woocommerce, at_most_a_page, decoded};
use crate::{
    channels::{decode::units, http::Intent},
    domain::{CallError, Meter, RowOutcome, WriteRow},
};

#[derive(Serialize)]
struct Batch {
    update: Vec<Item>,
}

/// The batch checks no types: text would become 0, and so would `null`.
#[derive(Serialize)]
struct Item {
    id: u64,
    stock_quantity: i64,
}

#[derive(Deserialize)]
struct Updated {
    update: Vec<Value>,
}

impl Woocommerce {
    pub(super) async fn write(
        &self,
        rows: &[WriteRow],
        meter: &mut Meter,
    ) -> Result<Vec<RowOutcome>, CallError> {
        at_most_a_page(rows.len())?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let (parent, ids) = Address::of_one_group(rows.iter().map(|row| &row.place.listing))?;
        let update =
            ids.iter().zip(rows).map(|(id, row)| Item { id: *id, stock_quantity: row.value.get() }).collect();
        let body = serde_json::to_vec(&Batch { update })
            .map_err(|e| CallError::Rejected { detail: format!("request can't be written: {e}") })?;
        let url = self.url(&format!("{}/batch", Address::collection(parent)));
        let arrived =
            self.http.send(self.authorised(self.http.post(url, body)), Intent::Write, meter).await?;
        let reply: Updated = decoded(arrived, Intent::Write)?;
        let outcome = |(at, (id, row)): (usize, (&u64, &WriteRow))| {
            // Items come back in their places; a plug-in that drops some must not shift the others.
            let item = reply.update.get(at).filter(|item| item["id"].as_u64() == Some(*id));
            match item.or_else(|| reply.update.iter().find(|item| item["id"].as_u64() == Some(*id))) {
                Some(item) => outcome(item, row),
                None => RowOutcome::Unknown { detail: "the reply says nothing of this row".to_owned() },
            }
        };
        Ok(ids.iter().zip(rows).enumerate().map(outcome).collect())
    }
}

fn outcome(item: &Value, row: &WriteRow) -> RowOutcome {
    let error = &item["error"];
    if !error.is_null() {
        let text = |name: &str| error[name].as_str().unwrap_or_default();
        let detail = format!("{}: {}", text("code"), text("message"));
        return match error["data"]["status"].as_u64() {
            Some(500..) => RowOutcome::Unknown { detail },
            _ => RowOutcome::Rejected { detail },
        };
    }
    let rejected = |detail: String| RowOutcome::Rejected { detail };
    match (&item["manage_stock"], units(&item["stock_quantity"])) {
        (Value::Bool(false), _) => rejected("quantity ignored: manage stock is off".to_owned()),
        (Value::String(text), _) if text == "parent" => {
            rejected("quantity ignored: the parent product manages the stock".to_owned())
        }
        (_, Ok(Some(shown))) if shown == row.value => RowOutcome::Applied,
        (_, Ok(Some(shown))) => rejected(format!("quantity not taken: {} sent, {shown} shown", row.value)),
        _ => RowOutcome::Unknown { detail: "the reply shows no quantity".to_owned() },
    }
}
