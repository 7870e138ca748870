//! Orders, always page 1 from a moving stamp: later pages shift while orders change.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Address, MAX_ROWS, Woocommerce, at_most_a_page, joined,
    net::{Facts, Stage},
};
use crate::{
    channels::decode::{non_empty, present, rows, units},
    domain::{CallError, LineId, LineSnapshot, Meter, OrderId, OrderSnapshot, OrdersPage, PageToken, UtcMs},
};

/// Nothing of the customer. Nested names don't work inside `line_items`.
const FIELDS: &str = "id,number,status,date_created_gmt,date_modified_gmt,date_completed_gmt,line_items";

#[derive(Deserialize)]
struct RawOrder {
    id: u64,
    /// Text in WooCommerce itself; plug-ins that number orders make a number of it.
    number: Value,
    status: String,
    date_created_gmt: Option<String>,
    date_modified_gmt: String,
    date_completed_gmt: Option<String>,
    line_items: Vec<RawLine>,
}

#[derive(Deserialize)]
struct RawLine {
    id: u64,
    product_id: u64,
    #[serde(default)]
    variation_id: u64,
    quantity: Value,
    #[serde(default)]
    sku: Option<String>,
    #[serde(default)]
    meta_data: Vec<RawMeta>,
}

#[derive(Deserialize)]
struct RawMeta {
    key: String,
    value: Value,
}

impl Woocommerce {
    /// A page of orders by their last change, bin excluded (`status=any`).
    pub(super) async fn orders(
        &self,
        since: UtcMs,
        page: Option<&PageToken>,
        meter: &mut Meter,
    ) -> Result<OrdersPage, CallError> {
        let at = page.map_or(Ok(Stamp::since(since)), Stamp::parse)?;
        let number = at.page.to_string();
        let after = at.after();
        let query = [
            ("status", "any"),
            ("orderby", "modified"),
            ("order", "asc"),
            ("modified_after", after.as_str()),
            // With the flag the time must not end in Z, or the site's offset is applied to it.
            ("dates_are_gmt", "true"),
            ("per_page", "100"),
            ("page", number.as_str()),
            ("_fields", FIELDS),
        ];
        let listed = self.list("orders", &query, meter).await?;
        let newest = listed.rows.iter().filter_map(|row| gmt(row["date_modified_gmt"].as_str()?).ok()).max();
        let next = (listed.rows.len() >= MAX_ROWS).then(|| at.next(newest).token());
        let mut rejected = Vec::new();
        let orders = rows(listed.rows, "order", &mut rejected, snapshot);
        Ok(OrdersPage { orders, next, rejected })
    }

    /// These orders as they are now. Those in the bin are asked for by themselves; deleted ones are absent.
    pub(super) async fn orders_by_id(
        &self,
        ids: &[OrderId],
        meter: &mut Meter,
    ) -> Result<OrdersPage, CallError> {
        at_most_a_page(ids.len())?;
        let number = |id: &OrderId| {
            let bad = || CallError::Rejected { detail: format!("{:?} is no WooCommerce order", id.as_str()) };
            id.as_str().parse::<u64>().map_err(|_| bad())
        };
        let mut missing = ids.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        let mut found = Vec::new();
        for status in ["any", "trash"] {
            if missing.is_empty() {
                break;
            }
            let include = joined(&missing);
            let query = [("status", status), ("include", &include), ("per_page", "100"), ("_fields", FIELDS)];
            let listed = self.list("orders", &query, meter).await?;
            missing.retain(|id| !listed.rows.iter().any(|row| row["id"].as_u64() == Some(*id)));
            found.extend(listed.rows);
        }
        let mut rejected = Vec::new();
        let orders = rows(found, "order", &mut rejected, snapshot);
        Ok(OrdersPage { orders, next: None, rejected })
    }
}

/// Where a walk stands: orders changed after `after` (exclusive, whole seconds), and the page of them.
struct Stamp {
    after_ms: i64,
    page: usize,
}

impl Stamp {
    /// `modified_after` is exclusive and knows seconds only.
    fn since(since: UtcMs) -> Self {
        Self { after_ms: (since.0.div_euclid(1000) - 1) * 1000, page: 1 }
    }

    fn parse(token: &PageToken) -> Result<Self, CallError> {
        let parts = token.as_str().split_once('/');
        parts
            .and_then(|(after, page)| Some(Self { after_ms: after.parse().ok()?, page: page.parse().ok()? }))
            .ok_or_else(|| CallError::Rejected {
                detail: "a page token that this channel never made".to_owned(),
            })
    }

    /// Behind a full page whose newest change is `newest`: page 1 from there, unless the whole page is of that one
    /// second, in which case the stamp can't move.
    fn next(&self, newest: Option<UtcMs>) -> Self {
        match newest.map(Self::since) {
            Some(moved) if moved.after_ms > self.after_ms => moved,
            _ => Self { after_ms: self.after_ms, page: self.page + 1 },
        }
    }

    fn after(&self) -> String {
        UtcMs(self.after_ms).rfc3339_seconds().trim_end_matches('Z').to_owned()
    }

    fn token(&self) -> PageToken {
        PageToken::new(format!("{}/{}", self.after_ms, self.page))
    }
}

/// The `_gmt` stamps are UTC and say so only in their name.
fn gmt(text: &str) -> Result<UtcMs, String> {
    UtcMs::parse_rfc3339(&format!("{text}Z")).ok_or_else(|| format!("{text:?} is no time"))
}

fn snapshot(order: RawOrder) -> Result<OrderSnapshot, String> {
    let stage = Stage::of(&order.status);
    let completed = order.date_completed_gmt.is_some();
    let updated_at = gmt(&order.date_modified_gmt)?;
    let lines = order
        .line_items
        .into_iter()
        .map(|line| self::line(line, stage.unwrap_or(Stage::Open), completed))
        .collect::<Result<_, _>>()?;
    Ok(OrderSnapshot {
        id: OrderId::new(order.id.to_string()),
        number: order.number.as_str().map_or_else(|| order.number.to_string(), str::to_owned),
        created_at: order.date_created_gmt.as_deref().map_or(Ok(updated_at), gmt)?,
        updated_at,
        lines,
        unknown_state: stage.is_none().then_some(order.status),
    })
}

fn line(line: RawLine, stage: Stage, completed: bool) -> Result<LineSnapshot, String> {
    let mark = |key: &str| {
        line.meta_data.iter().find(|meta| meta.key == key).map_or(Ok(None), |meta| units(&meta.value))
    };
    let facts = Facts {
        quantity: present(&line.quantity)?,
        reduced: mark("_reduced_stock")?,
        refunded_back: mark("_restock_refunded_items")?.unwrap_or_default(),
    };
    let address = match (line.product_id, line.variation_id) {
        (0, _) => None,
        (product, 0) => Some(Address { parent: None, id: product }),
        (parent, id) => Some(Address { parent: Some(parent), id }),
    };
    Ok(LineSnapshot {
        id: LineId::new(line.id.to_string()),
        listing: address.map(Address::listing),
        channel_sku: non_empty(line.sku),
        location: None,
        net: facts.net(stage, completed),
        held: facts.held(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_moves_on_and_turns_pages_only_within_one_second() {
        let at = Stamp::since(UtcMs(10_500));
        assert_eq!((at.after_ms, at.after().as_str()), (9_000, "1970-01-01T00:00:09"));
        let moved = at.next(Some(UtcMs(15_000)));
        assert_eq!((moved.after_ms, moved.page), (14_000, 1));
        let stuck = moved.next(Some(UtcMs(15_000)));
        assert_eq!((stuck.after_ms, stuck.page), (14_000, 2));
        let stuck = stuck.next(Some(UtcMs(15_000)));
        assert_eq!((stuck.after_ms, stuck.page), (14_000, 3));
        let free = stuck.next(Some(UtcMs(16_000)));
        assert_eq!((free.after_ms, free.page), (15_000, 1));
        assert_eq!(Stamp::parse(&stuck.token()).unwrap().page, 3);
    }

    #[test]
    fn d17_a_stamp_with_an_offset_or_without_a_time_is_refused() {
        assert_eq!(gmt("1970-01-01T00:00:01"), Ok(UtcMs(1000)));
        assert!(gmt("1970-01-01T00:00:01+02:00").is_err());
        assert!(gmt("1970-01-01").is_err());
    }
}
