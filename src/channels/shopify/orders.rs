//! Orders: whole ones only. Lines, fulfilments and refunds beyond the first page are read before an order counts.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    MAX_PAGES, Shopify, gid,
    graphql::{Connection, odd},
    net::{Facts, RefundsByLine},
    numeric,
    walk::Walk,
};
use crate::{
    channels::{
        decode::{non_empty, present},
        http::Intent,
    },
    domain::{
        CallError, LineId, LineSnapshot, ListingId, Meter, OrderId, OrderSnapshot, OrdersPage, PageToken,
        Units, UtcMs,
    },
};

const BY_TIME: &str = concat!(
    include_str!("orders.graphql"),
    include_str!("order_parts.graphql"),
    include_str!("line_parts.graphql")
);
const BY_ID: &str = concat!(
    include_str!("orders_by_id.graphql"),
    include_str!("order_parts.graphql"),
    include_str!("line_parts.graphql")
);
const MORE_LINES: &str = concat!(include_str!("more_lines.graphql"), include_str!("line_parts.graphql"));
/// `fulfillments` and `refunds` are lists cut at `first` without a word: a full list may have been cut.
const EVENTS_PAGE: usize = 5;
const EVENTS_MAX: usize = 250;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOrder {
    id: String,
    name: String,
    created_at: String,
    updated_at: String,
    test: bool,
    line_items: Connection<RawLine>,
    fulfillments: Vec<RawFulfillment>,
    refunds: Vec<RawRefund>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLine {
    id: String,
    sku: Option<String>,
    quantity: Value,
    current_quantity: Value,
    variant: Option<RawVariant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawVariant {
    inventory_item: RawId,
}

#[derive(Deserialize)]
struct RawId {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFulfillment {
    id: String,
    status: String,
    fulfillment_line_items: Connection<RawFulfilled>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFulfilled {
    quantity: Value,
    line_item: RawId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRefund {
    id: String,
    refund_line_items: Connection<RawRefunded>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRefunded {
    quantity: Value,
    restock_type: String,
    restocked: bool,
    line_item: RawId,
}

/// The answer to `MoreLines`: one of the three connections, and the stamp of the order they belong to.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMore {
    updated_at: Option<String>,
    order: Option<RawStamp>,
    #[serde(alias = "fulfillmentLineItems", alias = "refundLineItems")]
    line_items: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStamp {
    updated_at: String,
}

impl Shopify {
    /// A page of orders by their last change. A walk too deep for one connection goes on from the last stamp seen.
    pub(super) async fn orders(
        &self,
        since: UtcMs,
        page: Option<&PageToken>,
        meter: &mut Meter,
    ) -> Result<OrdersPage, CallError> {
        #[derive(Deserialize)]
        struct Data {
            orders: Connection<Value>,
        }
        let walk = page.map_or(Ok(Walk { floor: since.0, walked: 0, cursor: None }), Walk::parse)?;
        let filter = format!("updated_at:>='{}'", UtcMs(walk.floor).rfc3339_seconds());
        let connection = loop {
            let first = self.orders_page.get();
            let variables = json!({ "first": first, "after": walk.cursor, "filter": filter });
            match self.query::<Data>(BY_TIME, &variables, Intent::Read, meter).await {
                Ok(answer) => break answer.data.orders,
                Err(refusal) => self.orders_page.shrink_below(first, refusal)?,
            }
        };
        let last = connection.nodes.last().and_then(|node| UtcMs::parse_rfc3339(node["updatedAt"].as_str()?));
        let cursor = connection.page_info.next(walk.cursor.as_deref())?;
        let next =
            cursor.map(|cursor| walk.next(cursor, connection.nodes.len(), last.map(|at| at.0)).token());
        let (orders, rejected) = self.snapshots(connection.nodes, meter).await?;
        Ok(OrdersPage { orders, next, rejected })
    }

    /// These orders as they are now; deleted ones are absent.
    pub(super) async fn orders_by_id(
        &self,
        ids: &[OrderId],
        meter: &mut Meter,
    ) -> Result<OrdersPage, CallError> {
        #[derive(Deserialize)]
        struct Data {
            nodes: Vec<Value>,
        }
        let ids = ids.iter().map(|id| gid("Order", id.as_str())).collect::<Result<Vec<_>, _>>()?;
        let mut found = Vec::with_capacity(ids.len());
        while found.len() < ids.len() {
            let rows = self.orders_page.get().min(ids.len() - found.len());
            let chunk = &ids[found.len()..found.len() + rows];
            match self.query::<Data>(BY_ID, &json!({ "ids": chunk }), Intent::Read, meter).await {
                Ok(answer) if answer.data.nodes.len() == rows => found.extend(answer.data.nodes),
                Ok(_) => return Err(odd("not one node per id")),
                Err(refusal) => self.orders_page.shrink_below(rows, refusal)?,
            }
        }
        found.retain(|node| !node.is_null());
        let (orders, rejected) = self.snapshots(found, meter).await?;
        Ok(OrdersPage { orders, next: None, rejected })
    }

    async fn snapshots(
        &self,
        nodes: Vec<Value>,
        meter: &mut Meter,
    ) -> Result<(Vec<OrderSnapshot>, Vec<String>), CallError> {
        let (mut orders, mut rejected) = (Vec::with_capacity(nodes.len()), Vec::new());
        for node in nodes {
            let id = node["id"].to_string();
            let read = match serde_json::from_value::<RawOrder>(node) {
                Ok(order) if order.test => continue,
                Ok(mut order) => match self.complete(&mut order, meter).await {
                    Ok(()) => snapshot(order),
                    Err(Incomplete::Call(error)) => return Err(error),
                    Err(Incomplete::Order(reason)) => Err(reason),
                },
                Err(error) => Err(error.to_string()),
            };
            match read {
                Ok(order) => orders.push(order),
                Err(reason) => rejected.push(format!("order {id}: {reason}")),
            }
        }
        Ok((orders, rejected))
    }

    /// Reads what the page of orders left out of this one.
    async fn complete(&self, order: &mut RawOrder, meter: &mut Meter) -> Result<(), Incomplete> {
        if order.fulfillments.len() >= EVENTS_PAGE || order.refunds.len() >= EVENTS_PAGE {
            self.all_events(order, meter).await?;
        }
        let stamp = order.updated_at.clone();
        self.rest(&order.id, &stamp, &mut order.line_items, meter).await?;
        for fulfillment in &mut order.fulfillments {
            self.rest(&fulfillment.id, &stamp, &mut fulfillment.fulfillment_line_items, meter).await?;
        }
        for refund in &mut order.refunds {
            self.rest(&refund.id, &stamp, &mut refund.refund_line_items, meter).await?;
        }
        Ok(())
    }

    /// Adds the fulfilments and refunds that the page may have cut off, their lines still unread.
    async fn all_events(&self, order: &mut RawOrder, meter: &mut Meter) -> Result<(), Incomplete> {
        #[derive(Deserialize)]
        struct Data {
            node: Option<Events>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Events {
            updated_at: String,
            fulfillments: Vec<Event>,
            refunds: Vec<Event>,
        }
        #[derive(Deserialize)]
        struct Event {
            id: String,
            #[serde(default)]
            status: String,
        }
        let document = include_str!("order_events.graphql");
        let answer = self.query::<Data>(document, &json!({ "id": order.id }), Intent::Read, meter).await?;
        let events = answer.data.node.ok_or(Incomplete::changed())?;
        if events.updated_at != order.updated_at {
            return Err(Incomplete::changed());
        }
        if events.fulfillments.len() >= EVENTS_MAX || events.refunds.len() >= EVENTS_MAX {
            return Err(Incomplete::Order(format!("more than {} fulfilments or refunds", EVENTS_MAX - 1)));
        }
        let known: HashSet<String> = order
            .fulfillments
            .iter()
            .map(|f| f.id.clone())
            .chain(order.refunds.iter().map(|r| r.id.clone()))
            .collect();
        for event in events.fulfillments.into_iter().filter(|e| !known.contains(&e.id)) {
            let fulfillment_line_items = Connection::unread();
            order.fulfillments.push(RawFulfillment {
                id: event.id,
                status: event.status,
                fulfillment_line_items,
            });
        }
        for event in events.refunds.into_iter().filter(|e| !known.contains(&e.id)) {
            order.refunds.push(RawRefund { id: event.id, refund_line_items: Connection::unread() });
        }
        Ok(())
    }

    /// Reads a connection to its end. The order must not change meanwhile: two halves of different states are none.
    async fn rest<Node: DeserializeOwned>(
        &self,
        id: &str,
        stamp: &str,
        connection: &mut Connection<Node>,
        meter: &mut Meter,
    ) -> Result<(), Incomplete> {
        #[derive(Deserialize)]
        struct Data {
            node: Option<RawMore>,
        }
        for _ in 0..MAX_PAGES {
            if !connection.page_info.has_next_page {
                return Ok(());
            }
            let after = connection.page_info.end_cursor.clone();
            let variables = json!({ "id": id, "after": after });
            let more = self.query::<Data>(MORE_LINES, &variables, Intent::Read, meter).await?.data.node;
            let more = more.ok_or(Incomplete::changed())?;
            if more.updated_at.or(more.order.map(|o| o.updated_at)).as_deref() != Some(stamp) {
                return Err(Incomplete::changed());
            }
            let page: Connection<Node> = serde_json::from_value(more.line_items).map_err(odd)?;
            if page.page_info.has_next_page && page.page_info.end_cursor == after {
                return Err(odd("the lines of an order have no end").into());
            }
            connection.nodes.extend(page.nodes);
            connection.page_info = page.page_info;
        }
        Err(Incomplete::Order(format!("more lines than {MAX_PAGES} pages hold")))
    }
}

/// Why an order could not be read to its end.
enum Incomplete {
    /// The whole call fails.
    Call(CallError),
    /// This order will not become readable; the others count.
    Order(String),
}

impl Incomplete {
    fn changed() -> Self {
        Self::Call(CallError::Retry { detail: "an order changed while its lines were read".to_owned() })
    }
}

impl<E: Into<CallError>> From<E> for Incomplete {
    fn from(error: E) -> Self {
        Self::Call(error.into())
    }
}

fn snapshot(order: RawOrder) -> Result<OrderSnapshot, String> {
    let mut unknown_state = None;
    let mut fulfilled: HashMap<String, Units> = HashMap::new();
    for fulfillment in order.fulfillments {
        match fulfillment.status.as_str() {
            "SUCCESS" => {
                for line in fulfillment.fulfillment_line_items.nodes {
                    *fulfilled.entry(line.line_item.id).or_default() += present(&line.quantity)?;
                }
            }
            "CANCELLED" | "ERROR" | "FAILURE" | "OPEN" | "PENDING" => {}
            other => unknown_state = Some(format!("fulfilment {other}")),
        }
    }
    let mut refunds = RefundsByLine::default();
    for refunded in order.refunds.into_iter().flat_map(|r| r.refund_line_items.nodes) {
        let units = present(&refunded.quantity)?;
        if !refunds.add(refunded.line_item.id, units, &refunded.restock_type, refunded.restocked) {
            unknown_state = Some(format!("restock {}", refunded.restock_type));
        }
    }
    let mut lines = Vec::with_capacity(order.line_items.nodes.len());
    for line in order.line_items.nodes {
        let facts = Facts {
            quantity: present(&line.quantity)?,
            current: present(&line.current_quantity)?,
            fulfilled: fulfilled.get(&line.id).copied().unwrap_or_default(),
            refunds: refunds.of(&line.id),
        };
        let item = line.variant.map(|v| v.inventory_item.id);
        lines.push(LineSnapshot {
            id: LineId::new(numeric(&line.id)?),
            listing: item.as_deref().map(numeric).transpose()?.map(ListingId::new),
            channel_sku: non_empty(line.sku),
            location: None,
            net: facts.net(),
            held: facts.held(),
        });
    }
    let at = |text: &str| UtcMs::parse_rfc3339(text).ok_or_else(|| format!("{text:?} is no time"));
    Ok(OrderSnapshot {
        id: OrderId::new(numeric(&order.id)?),
        number: order.name,
        created_at: at(&order.created_at)?,
        updated_at: at(&order.updated_at)?,
        lines,
        unknown_state,
    })
}
