//! Shopify's Admin GraphQL API: one endpoint per shop, `POST /{shop}/admin/api/{version}/graphql.json`.
//!
//! Documents are parsed, validated and executed as sent, by a GraphQL engine over `schema.graphql`; nothing here
//! knows what any client asks for. Facts are from the schema of 2026-10 and the fact sheet.
//!
//! Doubt: the messages of errors and most of their codes outside `userErrors` are not in the contract. The form
//! `{errors: [{message, locations, path, extensions: {code}}]}` is GraphQL's own.

mod catalogue;
mod cost;
mod orders;
mod resolve;
mod search;
mod set_quantities;

use apollo_compiler::{
    ExecutableDocument, Schema,
    request::coerce_variable_values,
    resolvers::Execution,
    response::{GraphQLError, JsonMap},
    validation::Valid,
};
use axum::{
    body::Bytes,
    http::{Method, Response, StatusCode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use self::resolve::{Scope, Thing};
pub use self::set_quantities::Keys;
use super::{
    http::{Ask, Desk, json_answer},
    world::{Fate, World},
};

/// The versions that answer as themselves; any other falls forward to the oldest.
pub const VERSIONS: [&str; 3] = ["2026-04", "2026-07", "2026-10"];

/// Points that one document may ask for at most.
const MAX_COST: f64 = 1000.0;

/// The emulated part of the schema.
///
/// # Errors
/// Never, unless the file itself is broken: the text of what is wrong with it.
pub fn schema() -> Result<Valid<Schema>, String> {
    let text = include_str!("schema.graphql");
    Schema::parse_and_validate(text, "schema.graphql").map_err(|error| error.to_string())
}

/// Whether a request changes something, as far as its text tells.
pub(super) fn writes(ask: &Ask) -> bool {
    serde_json::from_slice::<Request>(&ask.body).is_ok_and(|request| request.query.contains("mutation"))
}

#[derive(Deserialize)]
struct Request {
    query: String,
    #[serde(default)]
    variables: Option<JsonMap>,
    #[serde(default, rename = "operationName")]
    operation_name: Option<String>,
}

/// Answers one request to `shop`.
pub(super) fn answer(world: &mut World, desk: &mut Desk, shop: usize, ask: &Ask) -> Response<Bytes> {
    let version = ask.path.strip_prefix("admin/api/").and_then(|rest| rest.strip_suffix("/graphql.json"));
    let Some(version) = version.filter(|_| ask.method == Method::POST) else {
        return json_answer(StatusCode::NOT_FOUND, &json!({"errors": "Not Found"}));
    };
    let served = VERSIONS.into_iter().find(|known| *known == version).unwrap_or(VERSIONS[0]);
    let token = ask.headers.get("X-Shopify-Access-Token").and_then(|value| value.to_str().ok());
    let mut answer = if token == Some(&world.shops[shop].settings.key) {
        let body = match serde_json::from_slice::<Request>(&ask.body) {
            Ok(request) => Execute { world, desk, shop, ask, request }.run(),
            Err(error) => return json_answer(StatusCode::BAD_REQUEST, &json!({"errors": error.to_string()})),
        };
        json_answer(StatusCode::OK, &body)
    } else {
        // Doubt: wording from what the API is known to say; the status is what matters.
        let text = "[API] Invalid API key or access token (unrecognized login or wrong password)";
        json_answer(StatusCode::UNAUTHORIZED, &json!({"errors": text}))
    };
    if let Ok(value) = served.parse() {
        answer.headers_mut().insert("X-Shopify-API-Version", value);
    }
    answer
}

struct Execute<'a> {
    world: &'a mut World,
    desk: &'a mut Desk,
    shop: usize,
    ask: &'a Ask,
    request: Request,
}

impl Execute<'_> {
    fn run(self) -> Value {
        let Self { world, desk, shop, ask, request } = self;
        let schema = desk.schema.clone();
        let document = match ExecutableDocument::parse_and_validate(&schema, &request.query, "request") {
            Ok(document) => document,
            Err(error) => {
                let errors: Vec<_> = error
                    .errors
                    .iter()
                    .map(|it| it.unstable_to_json_compat())
                    .map(|it| coded(&it, ""))
                    .collect();
                return json!({ "errors": errors });
            }
        };
        let operation = match document.operations.get(request.operation_name.as_deref()) {
            Ok(operation) => operation,
            Err(error) => return refusal(&error.message().to_string(), "BAD_REQUEST"),
        };
        let variables = request.variables.unwrap_or_default();
        let variables = match coerce_variable_values(&schema, operation, &variables) {
            Ok(variables) => variables,
            Err(error) => return refusal(&error.message().to_string(), "INVALID_VARIABLE"),
        };
        let requested = cost::requested(&document, operation, &variables);
        if requested > MAX_COST {
            let text = format!(
                "Query cost is {requested}, which exceeds the single query max cost limit ({MAX_COST})."
            );
            return refusal(&text, "MAX_COST_EXCEEDED");
        }
        let now = world.now();
        if world.fate != Fate::Lost && !desk.points.admits(requested, now) {
            world.shops[shop].counts.throttled += 1;
            let mut body = refusal("Throttled", "THROTTLED");
            body["extensions"] = desk.cost(requested, None, now);
            return body;
        }
        let scope = Scope::new(world, &mut desk.keys, shop, ask.arrived, &variables);
        let root = scope.thing(if operation.is_mutation() { Thing::Mutation } else { Thing::Query });
        let execution = Execution::new(&schema, &document)
            .operation(operation)
            .coerced_variable_values(&variables)
            .enable_schema_introspection(true);
        let response = match execution.execute_sync(&root) {
            Ok(response) => response,
            Err(error) => return refusal(&error.message().to_string(), "BAD_REQUEST"),
        };
        drop(root);
        let codes = scope.finish();
        let mut body = json!({ "data": response.data });
        let actual = cost::actual(&document, operation, &body["data"]);
        if !response.errors.is_empty() {
            let code = |error: &GraphQLError| {
                codes.iter().find(|(text, _)| error.message.ends_with(text)).map_or("", |(_, code)| code)
            };
            body["errors"] = response.errors.iter().map(|error| coded(error, code(error))).collect();
        }
        if world.fate != Fate::Lost {
            desk.points.spend(actual, now);
        }
        body["extensions"] = desk.cost(requested, Some(actual), now);
        body
    }
}

impl Desk {
    fn cost(&mut self, requested: f64, actual: Option<f64>, now: crate::domain::UtcMs) -> Value {
        json!({"cost": {
            "requestedQueryCost": requested,
            "actualQueryCost": actual,
            "throttleStatus": {
                "maximumAvailable": self.points.maximum(),
                "currentlyAvailable": self.points.left(now).floor(),
                "restoreRate": self.points.per_second(),
            },
        }})
    }
}

/// A top-level error with its code.
fn refusal(message: &str, code: &str) -> Value {
    json!({"errors": [{"message": message, "extensions": {"code": code}}]})
}

fn coded(error: &GraphQLError, code: &str) -> Value {
    let mut error = json!(error);
    // The engine says so of every error that a field comes back with; the vendor doesn't.
    if let Some(message) = error["message"].as_str().and_then(|text| text.strip_prefix("resolver error: ")) {
        error["message"] = json!(message);
    }
    if !code.is_empty() {
        error["extensions"]["code"] = json!(code);
    }
    error
}
