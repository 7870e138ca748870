//! One GraphQL request: the body, the cost status, the errors that come with status 200.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::Shopify;
use crate::{
    channels::http::{Intent, Said, seconds_to_wait},
    domain::{BudgetReading, CallError, Meter},
};

/// A page of a connection.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection<Node> {
    pub(super) page_info: PageInfo,
    pub(super) nodes: Vec<Node>,
}

impl<Node> Connection<Node> {
    /// A connection of which nothing has been read yet.
    pub(super) fn unread() -> Self {
        Self { page_info: PageInfo { has_next_page: true, end_cursor: None }, nodes: Vec::new() }
    }
}

/// Where the next page of a connection starts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub(super) has_next_page: bool,
    pub(super) end_cursor: Option<String>,
}

impl PageInfo {
    /// The cursor behind the page that began behind `after`; `None` at the end.
    ///
    /// # Errors
    /// The shop promises more but names no new place to find it.
    pub(super) fn next(self, after: Option<&str>) -> Result<Option<String>, CallError> {
        match (self.has_next_page, self.end_cursor) {
            (false, _) => Ok(None),
            (true, Some(cursor)) if Some(cursor.as_str()) != after => Ok(Some(cursor)),
            (true, _) => Err(odd("a next page is announced but its cursor doesn't move on")),
        }
    }
}

/// Data and what the headers said of it.
pub(super) struct Answered<Data> {
    pub(super) data: Data,
    pub(super) version: Option<String>,
}

/// Why there is no data.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The document asks for more points than a request or the bucket may have; a smaller page may pass.
    TooCostly(String),
    /// Anything else.
    Failed(CallError),
}

impl From<CallError> for Refusal {
    fn from(error: CallError) -> Self {
        Self::Failed(error)
    }
}

impl From<Refusal> for CallError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooCostly(detail) => Self::Rejected { detail },
            Refusal::Failed(error) => error,
        }
    }
}

/// The error of a read whose reply doesn't fit its shape.
pub(super) fn odd(detail: impl std::fmt::Display) -> CallError {
    CallError::Retry { detail: format!("unexpected reply: {detail}") }
}

#[derive(Serialize)]
struct Request<'a, Variables> {
    query: &'a str,
    variables: &'a Variables,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: Value,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Default, Deserialize)]
struct Extensions {
    cost: Option<Cost>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    requested_query_cost: Option<f64>,
    throttle_status: Option<ThrottleStatus>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThrottleStatus {
    maximum_available: f64,
    currently_available: f64,
    restore_rate: f64,
}

impl Shopify {
    /// Sends a document and reads its data. The same document and variables make the same bytes.
    pub(super) async fn query<Data: DeserializeOwned>(
        &self,
        document: &str,
        variables: &impl Serialize,
        intent: Intent,
        meter: &mut Meter,
    ) -> Result<Answered<Data>, Refusal> {
        let body = serde_json::to_vec(&Request { query: document, variables })
            .map_err(|e| CallError::Rejected { detail: format!("request can't be written: {e}") })?;
        let request =
            self.http.post(self.endpoint.clone(), body).header("X-Shopify-Access-Token", self.token.clone());
        let arrived = self.http.send(request, intent, meter).await?;
        let version = arrived.header("X-Shopify-API-Version").map(str::to_owned);
        let lost = |detail: String| intent.lost(format!("unexpected reply: {detail}"));
        let envelope: Envelope = serde_json::from_value(arrived.json).map_err(|e| lost(e.to_string()))?;
        let cost = envelope.extensions.cost;
        note(cost.as_ref(), meter);
        if !matches!(&envelope.errors, Value::Null) && envelope.errors != Value::Array(Vec::new()) {
            return Err(refusal(&envelope.errors, &envelope.data, cost.as_ref(), intent));
        }
        let data = serde_json::from_value(envelope.data).map_err(|e| lost(e.to_string()))?;
        Ok(Answered { data, version })
    }
}

/// What top-level errors mean. Codes: usage limits and the error pages; `THROTTLED` and `MAX_COST_EXCEEDED` come
/// before anything is carried out.
fn refusal(errors: &Value, data: &Value, cost: Option<&Cost>, intent: Intent) -> Refusal {
    let code = errors[0]["extensions"]["code"].as_str().unwrap_or_default();
    let detail = explain_errors(errors);
    let something_done = data.as_object().is_some_and(|fields| fields.values().any(|v| !v.is_null()));
    Refusal::Failed(match code {
        "MAX_COST_EXCEEDED" => return Refusal::TooCostly(detail),
        "THROTTLED" => match throttled(cost) {
            Throttled::Never => {
                return Refusal::TooCostly(format!("{detail}: costs more than the bucket holds"));
            }
            Throttled::For(wait) => CallError::Throttled { wait, detail },
        },
        _ if something_done && intent == Intent::Write => intent.lost(detail),
        "ACCESS_DENIED" => CallError::Auth { detail },
        "INTERNAL_SERVER_ERROR" | "TIMEOUT" | "SERVICE_UNAVAILABLE" => intent.lost(detail),
        _ => CallError::Rejected { detail },
    })
}

enum Throttled {
    For(Option<std::time::Duration>),
    Never,
}

fn throttled(cost: Option<&Cost>) -> Throttled {
    let told = cost.and_then(|c| Some((c.requested_query_cost?, c.throttle_status?)));
    match told {
        Some((requested, status)) if requested > status.maximum_available => Throttled::Never,
        Some((requested, status)) => Throttled::For(seconds_to_wait(
            ((requested - status.currently_available) / status.restore_rate).max(1.0),
        )),
        None => Throttled::For(None),
    }
}

fn note(cost: Option<&Cost>, meter: &mut Meter) {
    let Some(cost) = cost else { return };
    if let Some(requested) = cost.requested_query_cost {
        meter.requested_cost = Some(meter.requested_cost.unwrap_or_default() + requested);
    }
    if let Some(status) = cost.throttle_status {
        meter.budget = Some(BudgetReading {
            available: status.currently_available,
            maximum: status.maximum_available,
            restore_per_second: status.restore_rate,
        });
    }
}

/// Reads the body of an error status: `{"errors": "..."}` or `{"errors": [{"message": ...}]}`.
pub(super) fn explain(body: &Value) -> Said {
    Said { text: explain_errors(&body["errors"]), genuine: !body["errors"].is_null() }
}

fn explain_errors(errors: &Value) -> String {
    let one = |error: &Value| {
        let message = error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned);
        match error["extensions"]["code"].as_str() {
            Some(code) => format!("{code}: {message}"),
            None => message,
        }
    };
    match errors {
        Value::Array(list) => list.iter().map(one).collect::<Vec<_>>().join("; "),
        Value::String(text) => text.clone(),
        other => one(other),
    }
}
