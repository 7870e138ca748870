//! Calculated query costs.
//!
//! From the fact sheet: scalars and enums 0, an object 1, a mutation 10, connections less than in proportion to
//! `first`; a page of 250 variants with their items was seen at 25 points.
//!
//! Doubt: the growth is not published. Here n objects count as n^0.44, which gives 1 for 1 and 24 for that page.

use apollo_compiler::{
    ExecutableDocument,
    ast::Value as Literal,
    executable::{Field, Operation, Selection, SelectionSet},
    response::JsonMap,
};
use serde_json::Value;

const MUTATION: f64 = 10.0;

/// What the document asks for, before it runs.
pub(super) fn requested(document: &ExecutableDocument, operation: &Operation, variables: &JsonMap) -> f64 {
    let asked = |field: &Field| {
        ["first", "last", "ids"].into_iter().find_map(|name| {
            let value = field.specified_argument_by_name(name)?;
            match value.as_ref() {
                Literal::Variable(name) => {
                    let value = variables.get(name.as_str())?;
                    value.as_array().map(Vec::len).or_else(|| usize::try_from(value.as_i64()?).ok())
                }
                Literal::List(items) => Some(items.len()),
                Literal::Int(number) => number.try_to_i32().ok().and_then(|it| usize::try_from(it).ok()),
                _ => None,
            }
        })
    };
    total(operation, &Count { document, asked: &asked }, None)
}

/// What it came to, from what it returned.
pub(super) fn actual(document: &ExecutableDocument, operation: &Operation, data: &Value) -> f64 {
    total(operation, &Count { document, asked: &|_| None }, Some(data))
}

fn total(operation: &Operation, count: &Count<'_>, data: Option<&Value>) -> f64 {
    let mutations = if operation.is_mutation() { operation.root_fields(count.document).count() } else { 0 };
    (count.set(&operation.selection_set, None, data) + size(mutations).max(0.0) * MUTATION).ceil().max(1.0)
}

#[allow(clippy::cast_precision_loss, reason = "counts are at most some thousands")]
fn size(n: usize) -> f64 {
    (n as f64).powf(0.44)
}

struct Count<'a> {
    document: &'a ExecutableDocument,
    asked: &'a dyn Fn(&Field) -> Option<usize>,
}

impl Count<'_> {
    /// `outer`: how many things the connection around this set was asked for.
    fn set(&self, set: &SelectionSet, outer: Option<usize>, data: Option<&Value>) -> f64 {
        set.selections
            .iter()
            .map(|selection| match selection {
                Selection::Field(field) => self.field(field, outer, data),
                Selection::InlineFragment(fragment) => self.set(&fragment.selection_set, outer, data),
                Selection::FragmentSpread(spread) => spread
                    .fragment_def(self.document)
                    .map_or(0.0, |fragment| self.set(&fragment.selection_set, outer, data)),
            })
            .sum()
    }

    fn field(&self, field: &Field, outer: Option<usize>, data: Option<&Value>) -> f64 {
        if field.selection_set.selections.is_empty() {
            return 0.0;
        }
        let set = &field.selection_set;
        let value = data.map(|data| &data[field.response_key().as_str()]);
        let connection = field.ty().inner_named_type().ends_with("Connection");
        match value {
            Some(Value::Null) => 0.0,
            Some(Value::Array(items)) if items.is_empty() => 0.0,
            Some(Value::Array(items)) => {
                let each: f64 = items.iter().map(|item| 1.0 + self.set(set, None, Some(item))).sum();
                #[allow(clippy::cast_precision_loss, reason = "at most some thousands")]
                let mean = each / items.len() as f64;
                size(items.len()) * mean
            }
            _ if connection => self.set(set, (self.asked)(field), value),
            None if field.ty().is_list() => {
                size(outer.or_else(|| (self.asked)(field)).unwrap_or(1)) * (1.0 + self.set(set, None, None))
            }
            _ => 1.0 + self.set(set, None, value),
        }
    }
}
