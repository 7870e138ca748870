//! Shopify: every document and answer against the vendor's schema, and the rules that the schema can't state.

use std::time::Duration;

use apollo_compiler::{
    ExecutableDocument, Schema, ast::Type, executable::SelectionSet, schema::ExtendedType, validation::Valid,
};
use serde_json::{Value, json};
use stockd::{
    domain::ChannelKind,
    referee::Settings,
    sandbox::{
        Catalogue, Fault, Injection, Sandbox, SandboxConfig, ShopSettings,
        world::{Accept, Restock},
    },
};

use crate::{Bench, contract};

const VARIANTS: &str = "query V($first: Int!, $after: String, $q: String) {
  productVariants(first: $first, after: $after, query: $q, sortKey: ID) {
    pageInfo { hasNextPage endCursor }
    nodes { id sku inventoryPolicy requiresComponents product { id status }
      inventoryItem { id tracked duplicateSkuCount
        inventoryLevels(first: 10) { pageInfo { hasNextPage }
          nodes { id isActive updatedAt location { id }
            quantities(names: [\"available\", \"committed\", \"on_hand\"]) { name quantity updatedAt } } } } } } }";

const ORDERS: &str = "query O($q: String, $after: String) {
  orders(first: 50, after: $after, query: $q, sortKey: UPDATED_AT) {
    pageInfo { hasNextPage endCursor }
    edges { cursor node { ...Whole } } } }
fragment Whole on Order {
  __typename id name createdAt updatedAt cancelledAt cancelReason confirmed test edited displayFinancialStatus
  displayFulfillmentStatus
  lines: lineItems(first: 20) { pageInfo { hasNextPage } nodes { id sku quantity currentQuantity unfulfilledQuantity
    nonFulfillableQuantity variant { id inventoryItem { id } } lineItemGroup { quantity } } }
  fulfillments(first: 10) { status location { id } fulfillmentLineItems(first: 20) { nodes { quantity lineItem { id } } } }
  refunds { createdAt refundLineItems(first: 20) { nodes { quantity restockType restocked location { id } lineItem { id } } } } }";

const SET: &str = "mutation SetStock($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id createdAt reason referenceDocumentUri
      changes { name delta quantityAfterChange item { id } location { id } } }
    userErrors { code field message } } }";

fn vendor_schema() -> Option<Valid<Schema>> {
    let text = contract("shopify/admin-2026-10.full.graphql")?;
    let text = format!("{text}\ndirective @oneOf on INPUT_OBJECT\n");
    Some(Schema::parse_and_validate(&text, "vendor").unwrap())
}

/// Panics where `value` is not what `set` on `parent` may return.
fn assert_fits(
    schema: &Schema,
    document: &ExecutableDocument,
    set: &SelectionSet,
    value: &Value,
    path: &str,
) {
    for field in set.fields() {
        let key = field.response_key().as_str();
        let here = format!("{path}.{key}");
        assert_type(schema, document, field.ty(), &field.selection_set, &value[key], &here);
    }
    for selection in &set.selections {
        if let Some(spread) = selection.as_fragment_spread() {
            assert_fits(schema, document, &spread.fragment_def(document).unwrap().selection_set, value, path);
        } else if let Some(inline) = selection.as_inline_fragment()
            && inline.type_condition.as_ref().is_none_or(|it| value["__typename"] == it.as_str())
        {
            assert_fits(schema, document, &inline.selection_set, value, path);
        }
    }
}

fn assert_type(
    schema: &Schema,
    document: &ExecutableDocument,
    ty: &Type,
    set: &SelectionSet,
    value: &Value,
    path: &str,
) {
    if value.is_null() {
        assert!(!ty.is_non_null(), "{path} is null and may not be");
    } else if ty.is_list() {
        for (index, item) in
            value.as_array().unwrap_or_else(|| panic!("{path} is no list")).iter().enumerate()
        {
            assert_type(schema, document, ty.item_type(), set, item, &format!("{path}[{index}]"));
        }
    } else {
        match schema.types.get(ty.inner_named_type()).unwrap() {
            ExtendedType::Enum(it) => {
                assert!(
                    it.values.contains_key(value.as_str().unwrap()),
                    "{path}: {value} is not in {}",
                    it.name
                );
            }
            ExtendedType::Scalar(it) => match it.name.as_str() {
                "Int" => assert!(i32::try_from(value.as_i64().unwrap()).is_ok(), "{path}: {value}"),
                "Boolean" => assert!(value.is_boolean(), "{path}: {value}"),
                "DateTime" => {
                    let text = value.as_str().unwrap();
                    chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%SZ")
                        .unwrap_or_else(|_| panic!("{path}: {text}"));
                }
                _ => assert!(value.is_string(), "{path}: {value}"),
            },
            _ => assert_fits(schema, document, set, value, path),
        }
    }
}

async fn checked(bench: &Bench, vendor: &Valid<Schema>, query: &str, variables: Value) -> Value {
    let document = ExecutableDocument::parse_and_validate(vendor, query, "document").unwrap();
    let body = bench.graphql(query, variables).await;
    assert_eq!(body["errors"], Value::Null, "{body}");
    let operation = document.operations.get(None).unwrap();
    assert_fits(vendor, &document, &operation.selection_set, &body["data"], "data");
    body
}

async fn item_of(bench: &Bench, sku: &str) -> (String, i64) {
    let body = bench.graphql(VARIANTS, json!({"first": 1, "q": format!("sku:{sku}")})).await;
    let item = &body["data"]["productVariants"]["nodes"][0]["inventoryItem"];
    let available = item["inventoryLevels"]["nodes"][0]["quantities"][0]["quantity"].as_i64().unwrap();
    (item["id"].as_str().unwrap().to_owned(), available)
}

fn row(item: &str, quantity: i64, from: impl Into<Value>) -> Value {
    json!({
        "inventoryItemId": item, "locationId": "gid://shopify/Location/60000000001",
        "quantity": quantity, "changeFromQuantity": from.into(),
    })
}

fn input(rows: &[Value]) -> Value {
    json!({"name": "available", "reason": "correction", "quantities": rows})
}

fn codes(body: &Value) -> Vec<&str> {
    let errors = body["data"]["inventorySetQuantities"]["userErrors"].as_array().unwrap();
    errors.iter().map(|it| it["code"].as_str().unwrap()).collect()
}

#[test]
fn the_emulated_schema_is_part_of_the_vendors() {
    let Some(vendor) = vendor_schema() else { return };
    let ours = stockd::sandbox::shopify::schema().unwrap();
    for (name, ty) in &ours.types {
        if ty.is_built_in() {
            continue;
        }
        let theirs = vendor.types.get(name).unwrap_or_else(|| panic!("the vendor has no {name}"));
        let fields = |it: &ExtendedType| -> Vec<(String, String)> {
            let signature = |it: &apollo_compiler::ast::FieldDefinition| {
                let mut arguments: Vec<_> = it
                    .arguments
                    .iter()
                    .map(|it| {
                        format!(
                            "{}: {}{:?}",
                            it.name,
                            it.ty,
                            it.default_value.as_ref().map(ToString::to_string)
                        )
                    })
                    .collect();
                arguments.sort();
                format!("({}): {}", arguments.join(", "), it.ty)
            };
            match it {
                ExtendedType::Object(it) => {
                    it.fields.iter().map(|(k, v)| (k.to_string(), signature(v))).collect()
                }
                ExtendedType::Interface(it) => {
                    it.fields.iter().map(|(k, v)| (k.to_string(), signature(v))).collect()
                }
                ExtendedType::InputObject(it) => {
                    it.fields.iter().map(|(k, v)| (k.to_string(), v.ty.to_string())).collect()
                }
                ExtendedType::Enum(it) => it.values.keys().map(|k| (k.to_string(), String::new())).collect(),
                _ => Vec::new(),
            }
        };
        let theirs = fields(theirs);
        for (field, signature) in fields(ty) {
            let other = theirs.iter().find(|(it, _)| *it == field);
            assert!(other.is_some(), "the vendor has no {name}.{field}");
            // An argument that is left out here is refused here; that is the stricter side.
            if field != "changes" {
                assert_eq!(Some(&signature), other.map(|(_, it)| it), "{name}.{field}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_shop_answers_has_the_vendors_types_through_an_orders_life() {
    let Some(vendor) = vendor_schema() else { return };
    let bench = Bench::shopify().await;
    let (item, before) = item_of(&bench, "SKU-0001").await;
    let first = bench.sandbox.with_world(|world| {
        let first = world.place_order(0, &[(0, 3), (1, 2)], Accept::Shown).unwrap();
        let lines: Vec<u64> = world.shops[0].orders[&first].current.lines.iter().map(|it| it.id).collect();
        world.fulfil(0, first, Some(&[(lines[0], 2)])).unwrap();
        world.refund(0, first, &[(lines[0], 1)], Restock::Yes).unwrap();
        world.refund(0, first, &[(lines[0], 1)], Restock::No).unwrap();
        let second = world.place_order(0, &[(0, 1)], Accept::Shown).unwrap();
        world.cancel(0, second, Restock::Yes).unwrap();
        first
    });
    let body = checked(&bench, &vendor, ORDERS, json!({"q": format!("id:{first}")})).await;
    let order = &body["data"]["orders"]["edges"][0]["node"];
    let line = &order["lines"]["nodes"][0];
    // Of 3, 2 were shipped; the first refund takes the unshipped one off, the second one of the shipped.
    assert_eq!(
        (&line["quantity"], &line["currentQuantity"], &line["unfulfilledQuantity"]),
        (&json!(3), &json!(1), &json!(0))
    );
    assert_eq!(order["displayFulfillmentStatus"], "PARTIALLY_FULFILLED");
    let restocks: Vec<_> =
        (0..2).map(|it| &order["refunds"][it]["refundLineItems"]["nodes"][0]["restockType"]).collect();
    assert_eq!(restocks, ["CANCEL", "NO_RESTOCK"]);
    let body = checked(&bench, &vendor, VARIANTS, json!({"first": 250})).await;
    let quantities = &body["data"]["productVariants"]["nodes"][0]["inventoryItem"]["inventoryLevels"]["nodes"]
        [0]["quantities"];
    let quantity = |it: usize| quantities[it]["quantity"].as_i64().unwrap();
    assert_eq!((quantity(0), quantity(1), quantity(2)), (before - 2, 0, before - 2));
    let set = json!({"input": input(&[row(&item, 7, before - 2)]), "key": "k"});
    checked(&bench, &vendor, SET, set).await;
    let node = "query N($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on InventoryItem { sku
        level: inventoryLevel(locationId: \"gid://shopify/Location/60000000001\") { id item { sku } } }
        ... on Order { ...on Node { id } name } } shop { id name myshopifyDomain }
        locations(first: 5) { nodes { id name isActive fulfillsOnlineOrders } } }";
    let ids = json!({"ids": [item, format!("gid://shopify/Order/{first}"), "gid://shopify/Order/1"]});
    let body = checked(&bench, &vendor, node, ids).await;
    assert_eq!(body["data"]["nodes"][0]["level"]["item"]["sku"], "SKU-0001");
    assert_eq!(body["data"]["nodes"][2], Value::Null);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let bench = Bench::shopify().await;
    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let body = bench.graphql(VARIANTS, json!({"first": 5, "after": after})).await;
        let page = &body["data"]["productVariants"];
        seen.extend(
            page["nodes"].as_array().unwrap().iter().map(|it| it["sku"].as_str().unwrap().to_owned()),
        );
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(seen.len(), 12);
    seen.dedup();
    assert_eq!(seen.len(), 12);
}

#[tokio::test]
async fn a_set_needs_a_key_and_what_it_changes_from_in_every_row() {
    let bench = Bench::shopify().await;
    let (item, before) = item_of(&bench, "SKU-0001").await;
    let keyless = SET.replace("@idempotent(key: $key)", "").replace(", $key: String!", "");
    let body = bench.graphql(&keyless, json!({"input": input(&[row(&item, 1, before)])})).await;
    assert_eq!(body["errors"][0]["extensions"]["code"], "BAD_REQUEST", "{body}");
    let mut bare = row(&item, 1, before);
    bare.as_object_mut().unwrap().remove("changeFromQuantity");
    let body = bench.graphql(SET, json!({"input": input(&[bare]), "key": "k1"})).await;
    assert_eq!(body["errors"][0]["extensions"]["code"], "INVALID_FIELD_ARGUMENTS", "{body}");
    assert_eq!(item_of(&bench, "SKU-0001").await.1, before);
    let body = bench.graphql(SET, json!({"input": input(&[row(&item, 1, Value::Null)]), "key": "k2"})).await;
    assert_eq!(codes(&body), Vec::<&str>::new(), "null skips the comparison");
    assert_eq!(item_of(&bench, "SKU-0001").await.1, 1);
}

#[tokio::test]
async fn h20_one_stale_row_refuses_the_whole_call_unless_the_shop_is_told_otherwise() {
    for all_or_nothing in [true, false] {
        let settings = ShopSettings { all_or_nothing, ..ShopSettings::new("web", ChannelKind::Shopify) };
        let bench = Bench::new(settings, Catalogue::made_up(10, 1)).await;
        let (one, first) = item_of(&bench, "SKU-0001").await;
        let (two, second) = item_of(&bench, "SKU-0002").await;
        let rows = [row(&one, 1, first), row(&two, 1, second + 1)];
        let body = bench.graphql(SET, json!({"input": input(&rows), "key": "k"})).await;
        assert_eq!(codes(&body), ["CHANGE_FROM_QUANTITY_STALE"]);
        let error = &body["data"]["inventorySetQuantities"]["userErrors"][0];
        assert_eq!(error["field"], json!(["input", "quantities", "1", "changeFromQuantity"]));
        let group = &body["data"]["inventorySetQuantities"]["inventoryAdjustmentGroup"];
        assert_eq!(group.is_null(), all_or_nothing);
        assert_eq!(item_of(&bench, "SKU-0001").await.1, if all_or_nothing { first } else { 1 });
        assert_eq!(item_of(&bench, "SKU-0002").await.1, second);
    }
}

#[tokio::test]
async fn a_repeated_key_replays_the_outcome_and_takes_no_other_input() {
    let bench = Bench::shopify().await;
    let (item, before) = item_of(&bench, "SKU-0001").await;
    let call = json!({"input": input(&[row(&item, before - 5, before)]), "key": "same"});
    let group =
        |body: &Value| body["data"]["inventorySetQuantities"]["inventoryAdjustmentGroup"]["id"].clone();
    let first = bench.graphql(SET, call.clone()).await;
    bench.sandbox.with_world(|world| world.place_order(0, &[(0, 1)], Accept::Shown)).unwrap();
    let again = bench.graphql(SET, call).await;
    assert_eq!(codes(&again), Vec::<&str>::new());
    assert!(group(&first).is_string());
    assert_eq!(group(&first), group(&again));
    assert_eq!(item_of(&bench, "SKU-0001").await.1, before - 6, "the sale in between stands");
    let other = json!({"input": input(&[row(&item, 0, before)]), "key": "same"});
    assert_eq!(codes(&bench.graphql(SET, other).await), ["IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]);
}

#[tokio::test]
async fn a_repeat_is_judged_by_when_its_key_first_arrived_even_if_it_was_lost_then() {
    for (key, breaches) in [("first", 0), ("another", 1)] {
        let bench = Bench::shopify().await;
        let (item, before) = item_of(&bench, "SKU-0001").await;
        let set = |key: &str| json!({"input": input(&[row(&item, before, Value::Null)]), "key": key});
        let lost = Fault::StatusBefore { status: 503 };
        bench.sandbox.inject(0, Injection { fault: lost, only: None, next: Some(1), share: 0.0 });
        assert_eq!(bench.send_graphql(SET, set("first")).await.unwrap().status(), 503);
        // The sale is told before the write comes again.
        bench.sandbox.with_world(|world| world.place_order(0, &[(0, 2)], Accept::Shown)).unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        bench.graphql(ORDERS, json!({})).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(codes(&bench.graphql(SET, set(key)).await), Vec::<&str>::new());
        assert_eq!(bench.sandbox.totals().breaches, breaches, "{key}");
    }
}

#[tokio::test]
async fn a_key_whose_first_request_still_runs_is_told_so() {
    let settings = ShopSettings { latency_ms: 600, ..ShopSettings::new("web", ChannelKind::Shopify) };
    let bench = Bench::new(settings, Catalogue::made_up(10, 1)).await;
    let (item, before) = item_of(&bench, "SKU-0001").await;
    let call = json!({"input": input(&[row(&item, 1, before)]), "key": "same"});
    let (first, second) = tokio::join!(bench.graphql(SET, call.clone()), bench.graphql(SET, call.clone()));
    let mut both = [codes(&first), codes(&second)];
    both.sort();
    assert_eq!(both, [vec![], vec!["IDEMPOTENCY_CONCURRENT_REQUEST"]]);
    assert_eq!(codes(&bench.graphql(SET, call).await), Vec::<&str>::new());
}

#[tokio::test]
async fn names_reasons_ids_and_ranges_are_checked_row_by_row() {
    let bench = Bench::shopify().await;
    let (item, before) = item_of(&bench, "SKU-0001").await;
    let mut elsewhere = row(&item, 1, before);
    elsewhere["locationId"] = json!("gid://shopify/Location/1");
    for (rows, name, reason, expected) in [
        (vec![row(&item, -1, before)], "available", "correction", vec!["INVALID_QUANTITY_NEGATIVE"]),
        (
            vec![row(&item, 1_000_000_001, before)],
            "available",
            "correction",
            vec!["INVALID_QUANTITY_TOO_HIGH"],
        ),
        (
            vec![row("gid://shopify/InventoryItem/1", 1, 1)],
            "available",
            "correction",
            vec!["INVALID_INVENTORY_ITEM"],
        ),
        (vec![elsewhere], "available", "correction", vec!["INVALID_LOCATION"]),
        (
            vec![row(&item, 1, before), row(&item, 2, before)],
            "available",
            "correction",
            vec!["NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR"],
        ),
        (vec![row(&item, 1, before)], "committed", "correction", vec!["INVALID_NAME"]),
        (vec![row(&item, 1, before)], "available", "because", vec!["INVALID_REASON"]),
    ] {
        let call = json!({"name": name, "reason": reason, "quantities": rows});
        let key = format!("{call}");
        let body = bench.graphql(SET, json!({"input": call, "key": key})).await;
        assert_eq!(codes(&body), expected);
    }
    assert_eq!(item_of(&bench, "SKU-0001").await.1, before);
    let many: Vec<_> = (0..251).map(|_| row(&item, 1, before)).collect();
    let body = bench.graphql(SET, json!({"input": input(&many), "key": "many"})).await;
    assert_eq!(body["errors"][0]["extensions"]["code"], "MAX_INPUT_SIZE_EXCEEDED");
    let body = bench.graphql(VARIANTS, json!({"first": 251})).await;
    assert!(body["errors"][0]["message"].as_str().unwrap().contains("250"));
}

#[tokio::test]
async fn on_hand_moves_available_by_the_difference_and_leaves_committed() {
    let bench = Bench::shopify().await;
    let (item, before) = item_of(&bench, "SKU-0001").await;
    bench.sandbox.with_world(|world| world.place_order(0, &[(0, 4)], Accept::Shown)).unwrap();
    let call =
        json!({"name": "on_hand", "reason": "correction", "quantities": [row(&item, before + 10, before)]});
    assert_eq!(codes(&bench.graphql(SET, json!({"input": call, "key": "k"})).await), Vec::<&str>::new());
    assert_eq!(item_of(&bench, "SKU-0001").await.1, before + 6);
}

#[tokio::test]
async fn the_bucket_of_points_empties_throttles_and_refills() {
    let settings = ShopSettings { points: (100.0, 50.0), ..ShopSettings::new("web", ChannelKind::Shopify) };
    let bench = Bench::new(settings, Catalogue::made_up(10, 1)).await;
    let page = "{ productVariants(first: 250) { nodes { id inventoryItem { id } } } }";
    let mut throttled = None;
    for _ in 0..20 {
        let body = bench.graphql(page, json!({})).await;
        let cost = &body["extensions"]["cost"];
        assert_eq!(cost["throttleStatus"]["maximumAvailable"], 100.0);
        assert_eq!(cost["throttleStatus"]["restoreRate"], 50.0);
        if body["errors"][0]["extensions"]["code"] == "THROTTLED" {
            assert_eq!(body["errors"][0]["message"], "Throttled");
            assert!(cost["actualQueryCost"].is_null());
            throttled = Some((
                cost["requestedQueryCost"].as_f64().unwrap(),
                cost["throttleStatus"]["currentlyAvailable"].as_f64().unwrap(),
            ));
            break;
        }
        assert!(
            cost["actualQueryCost"].as_f64() < cost["requestedQueryCost"].as_f64(),
            "12 of 250 came: {cost}"
        );
    }
    let (requested, available) = throttled.expect("20 pages fit into 100 points");
    assert!(
        (20.0..30.0).contains(&requested),
        "a page of 250 variants with items was seen at 25: {requested}"
    );
    assert!(available < requested);
    tokio::time::sleep(std::time::Duration::from_secs_f64((requested - available) / 50.0 + 0.1)).await;
    assert_eq!(bench.graphql(page, json!({})).await["errors"], Value::Null);
}

#[tokio::test]
async fn a_document_beyond_a_thousand_points_is_refused_before_it_runs() {
    let bench = Bench::shopify().await;
    let page = "p: productVariants(first: 250) { nodes { inventoryItem { inventoryLevels(first: 250) { nodes { location { id } item { id } } } } } }";
    let query: String = (0..5).map(|it| page.replacen('p', &format!("p{it}"), 1)).collect();
    let body = bench.graphql(&format!("{{ {query} }}"), json!({})).await;
    assert_eq!(body["errors"][0]["extensions"]["code"], "MAX_COST_EXCEEDED", "{body}");
}

#[tokio::test]
async fn the_version_that_serves_is_named_and_a_wrong_token_gets_401() {
    let bench = Bench::shopify().await;
    for (asked, served) in [("2026-10", "2026-10"), ("2026-07", "2026-07"), ("2023-01", "2026-04")] {
        let request = bench.client.post(bench.url(&format!("admin/api/{asked}/graphql.json")));
        let body = json!({"query": "{ shop { name } }"});
        let request = request.json(&body).header("X-Shopify-Access-Token", &bench.settings.key);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["X-Shopify-API-Version"], served);
        assert!(answer.headers().contains_key("date"));
        let wrong = bench.client.post(bench.url("admin/api/2026-10/graphql.json")).json(&body);
        assert_eq!(wrong.send().await.unwrap().status(), 401);
    }
}

#[tokio::test]
async fn an_order_is_readable_only_after_the_shops_delay() {
    let settings = ShopSettings { order_delay_ms: 700, ..ShopSettings::new("web", ChannelKind::Shopify) };
    let bench = Bench::new(settings, Catalogue::made_up(10, 1)).await;
    let order = bench.sandbox.with_world(|world| world.place_order(0, &[(0, 1)], Accept::Shown)).unwrap();
    let query = json!({"q": format!("id:{order}")});
    let count = |body: Value| body["data"]["orders"]["edges"].as_array().unwrap().len();
    assert_eq!(count(bench.graphql(ORDERS, query.clone()).await), 0);
    let (_, available) = item_of(&bench, "SKU-0001").await;
    assert_eq!(available, 19, "its quantity shows at once");
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    assert_eq!(count(bench.graphql(ORDERS, query).await), 1);
}

#[tokio::test]
async fn a_document_that_does_not_fit_the_schema_runs_not_at_all() {
    let bench = Bench::shopify().await;
    for query in [
        "{ shop { nonsense } }",
        "{ shop",
        "query ($n: Int!) { productVariants(first: $n) { nodes { id } } }",
    ] {
        let body = bench.graphql(query, json!({})).await;
        assert!(body["errors"][0]["message"].is_string(), "{query}: {body}");
        assert!(body["data"].is_null());
    }
}

#[tokio::test]
async fn an_order_counts_as_told_with_its_last_line_and_not_before() {
    let settings = ["web", "other"].map(|name| ShopSettings::new(name, ChannelKind::Shopify));
    let config = SandboxConfig {
        port: 0,
        seed: 1,
        shops: settings.to_vec(),
        catalogue: Catalogue::made_up(10, 1),
        demand: None,
        referee: Settings::default(),
    };
    let [settings, _] = settings;
    let bench =
        Bench { sandbox: Sandbox::start(config).await.unwrap(), client: reqwest::Client::new(), settings };
    bench.sandbox.with_world(|world| world.place_order(0, &[(0, 1), (1, 1), (2, 1)], Accept::Shown)).unwrap();
    // The other shop goes on showing what was there before the sale: a breach once the daemon could know better.
    let breaches = async || {
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        bench.sandbox.with_world(|world| {
            let shown = world.shops[1].listings[0].levels[0].shown();
            world.write(1, 0, 0, shown, world.now());
        });
        bench.sandbox.totals().breaches
    };
    let lines = "lineItems(first: 2, after: $after) { pageInfo { hasNextPage endCursor } nodes { id } }";
    let first = format!("query ($after: String) {{ orders(first: 1) {{ nodes {{ id {lines} }} }} }}");
    let body = bench.graphql(&first, json!({})).await;
    let order = &body["data"]["orders"]["nodes"][0];
    assert_eq!(order["lineItems"]["pageInfo"]["hasNextPage"], true);
    assert_eq!(breaches().await, 0);
    let more =
        format!("query ($id: ID!, $after: String) {{ node(id: $id) {{ ... on Order {{ {lines} }} }} }}");
    let after = &order["lineItems"]["pageInfo"]["endCursor"];
    let body = bench.graphql(&more, json!({"id": order["id"], "after": after})).await;
    assert_eq!(body["data"]["node"]["lineItems"]["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(breaches().await, 1);
}

#[tokio::test]
async fn a_fulfilment_and_a_refund_are_nodes_that_know_their_order() {
    let bench = Bench::shopify().await;
    bench.sandbox.with_world(|world| {
        let order = world.place_order(0, &[(0, 2)], Accept::Shown).unwrap();
        let line = world.shops[0].orders[&order].current.lines[0].id;
        world.refund(0, order, &[(line, 1)], Restock::Yes).unwrap();
        world.fulfil(0, order, None).unwrap();
    });
    let query = "{ orders(first: 1) { nodes { id fulfillments(first: 5) { id } refunds { id } } } }";
    let body = bench.graphql(query, json!({})).await;
    let order = &body["data"]["orders"]["nodes"][0];
    for part in ["fulfillments", "refunds"] {
        let query = "query ($id: ID!) { node(id: $id) { id
            ... on Fulfillment { order { id } } ... on Refund { order { id } } } }";
        let id = &order[part][0]["id"];
        let body = bench.graphql(query, json!({"id": id})).await;
        assert_eq!(&body["data"]["node"]["id"], id);
        assert_eq!(body["data"]["node"]["order"]["id"], order["id"]);
    }
}
