//! What every list has: paging, order, date filters, `_fields`.

use axum::http::HeaderValue;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{Refused, Right};
use crate::{
    domain::UtcMs,
    sandbox::{http::Ask, world::Shop},
};

/// The query string.
pub(super) struct Parameters(Vec<(String, String)>);

/// One row of a list, with what lists sort and filter by.
pub(super) struct Row<'a> {
    pub(super) id: u64,
    pub(super) created_at: UtcMs,
    pub(super) modified_at: UtcMs,
    pub(super) body: Box<dyn FnOnce() -> Value + 'a>,
}

/// A date filter: instants in milliseconds of the wall clock that it is compared with.
struct Since {
    name: &'static str,
    wall_ms: i64,
}

impl Parameters {
    pub(super) fn new(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A list, written with commas or as `name[]=` several times.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let many = format!("{name}[]");
        let values = self.0.iter().filter(|(key, _)| key == name || *key == many);
        values.flat_map(|(_, value)| value.split(',')).map(str::trim).filter(|it| !it.is_empty()).collect()
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value == "true" || value == "1")
    }

    /// Refuses a value that the API would refuse, the way it does ("type=variation is refused", "orders with unknown
    /// status").
    pub(super) fn one_of(&self, name: &'static str, shown: &str, values: &[&str]) -> Result<(), Refused> {
        if self.list(name).iter().all(|value| values.contains(value)) {
            return Ok(());
        }
        let (last, rest) = values.split_last().unwrap_or((&"", &[]));
        let text = format!("{shown} is not one of {}, and {last}.", rest.join(", "));
        Err(invalid(name, "rest_not_in_enum", &text, &Value::Null))
    }

    fn number(&self, name: &'static str, default: usize, maximum: usize) -> Result<usize, Refused> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let Ok(number) = text.parse::<usize>() else {
            let text = format!("{name} is not of type integer.");
            return Err(invalid(name, "rest_invalid_type", &text, &json!({ "param": name })));
        };
        if (1..=maximum).contains(&number) {
            return Ok(number);
        }
        let text = if maximum == usize::MAX {
            format!("{name} must be greater than or equal to 1")
        } else {
            format!("{name} must be between 1 (inclusive) and {maximum} (inclusive)")
        };
        Err(invalid(name, "rest_out_of_bounds", &text, &Value::Null))
    }

    /// The page of `rows` that is asked for.
    pub(super) fn page(&self, shop: &Shop, mut rows: Vec<Row<'_>>) -> Result<Right, Refused> {
        let per_page = self.number("per_page", 10, 100)?;
        let page = self.number("page", 1, usize::MAX)?;
        self.one_of("order", "order", &["asc", "desc"])?;
        self.one_of("orderby", "orderby", &["date", "id", "include", "title", "slug", "modified"])?;
        let filters: Vec<Since> = ["after", "before", "modified_after", "modified_before"]
            .into_iter()
            .filter_map(|name| Some(date(shop, name, self.text(name)?)))
            .collect::<Result<_, _>>()?;
        let include = self.ids("include");
        let exclude = self.ids("exclude");
        let zone_ms = if self.flag("dates_are_gmt") { 0 } else { shop.settings.zone_minutes * 60_000 };
        let wall = |at: UtcMs| at.plus_ms(zone_ms).0.div_euclid(1000) * 1000;
        rows.retain(|row| {
            (include.is_empty() || include.contains(&row.id))
                && !exclude.contains(&row.id)
                && filters.iter().all(|it| match it.name {
                    "after" => wall(row.created_at) > it.wall_ms,
                    "before" => wall(row.created_at) < it.wall_ms,
                    "modified_after" => wall(row.modified_at) > it.wall_ms,
                    _ => wall(row.modified_at) < it.wall_ms,
                })
        });
        let by = self.text("orderby").unwrap_or("date");
        rows.sort_by_key(|row| {
            let key = match by {
                "date" => row.created_at.0.div_euclid(1000),
                "modified" => row.modified_at.0.div_euclid(1000),
                _ => 0,
            };
            (key, row.id)
        });
        if self.text("order") != Some("asc") {
            rows.reverse();
        }
        let total = rows.len();
        let skip = self.text("offset").and_then(|it| it.parse().ok()).unwrap_or((page - 1) * per_page);
        let rows = rows.into_iter().skip(skip).take(per_page);
        let items = rows.map(|row| self.fields((row.body)(), false)).collect();
        Ok(Right::Many { items, total, pages: total.div_ceil(per_page), page })
    }

    fn ids(&self, name: &str) -> Vec<u64> {
        self.list(name).iter().filter_map(|it| it.parse().ok()).collect()
    }

    /// Whether `_fields` leaves this field in.
    pub(super) fn wants(&self, field: &str) -> bool {
        let fields = self.list("_fields");
        fields.is_empty() || fields.iter().any(|it| it.split('.').next() == Some(field))
    }

    /// What `_fields` leaves; a single object keeps its `_links` ("read a trashed order").
    ///
    /// Doubt: a dotted path keeps the whole of its first part.
    pub(super) fn fields(&self, body: Value, single: bool) -> Value {
        match body {
            Value::Object(all) => Value::Object(
                all.into_iter()
                    .filter(|(key, _)| self.wants(key) || (single && key == "_links"))
                    .collect::<Map<_, _>>(),
            ),
            other => other,
        }
    }

    /// The `Link` header to the pages before and after.
    pub(super) fn link(&self, ask: &Ask, page: usize, pages: usize) -> Option<HeaderValue> {
        let host = ask.headers.get("host").and_then(|value| value.to_str().ok()).unwrap_or("shop.example");
        let link = |number: usize, rel: &str| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(self.0.iter().filter(|(key, _)| key != "page"));
            query.append_pair("page", &number.to_string());
            format!("<http://{host}/{}/{}?{}>; rel=\"{rel}\"", ask.shop, ask.path, query.finish())
        };
        let mut links = Vec::new();
        if page > 1 && pages > 0 {
            links.push(link((page - 1).min(pages), "prev"));
        }
        if page < pages {
            links.push(link(page + 1, "next"));
        }
        if links.is_empty() { None } else { HeaderValue::from_str(&links.join(", ")).ok() }
    }
}

/// `rest_invalid_param` on one parameter.
pub(super) fn invalid(name: &str, code: &str, message: &str, data: &Value) -> Refused {
    let mut refused = Refused::new(400, "rest_invalid_param", &format!("Invalid parameter(s): {name}"));
    refused.more = json!({
        "params": { name: message },
        "details": { name: { "code": code, "message": message, "data": data } },
    });
    refused
}

/// The instant of a date filter on the wall clock of the column it is compared with, as measured: a value with a
/// zone is moved into the site's own time even where `dates_are_gmt` then compares it with GMT; one without is
/// taken as it stands.
fn date(shop: &Shop, name: &'static str, text: &str) -> Result<Since, Refused> {
    let zoned = DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| UtcMs(at.timestamp_millis()).plus_ms(shop.settings.zone_minutes * 60_000).0);
    let plain = || {
        let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok().or_else(|| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0))
        })?;
        Some(at.and_utc().timestamp_millis())
    };
    let wall_ms = zoned
        .or_else(plain)
        .ok_or_else(|| invalid(name, "rest_invalid_date", "Invalid date.", &Value::Null))?;
    Ok(Since { name, wall_ms: wall_ms.div_euclid(1000) * 1000 })
}
