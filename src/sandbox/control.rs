//! What shoppers and staff do, and what is really so: `http://127.0.0.1:PORT/_control`.
//!
//! `GET` shows every shop with its counts, listings and orders, the shelf, deliveries not yet taken and the referee's
//! totals (this takes nothing away). `POST` takes one [`Action`] as JSON:
//!
//! ```text
//! {"do": "order", "shop": "web", "lines": [{"sku": "SKU-0001", "quantity": 2}]}    -> {"order": 4711}
//! {"do": "fulfil", "shop": "web", "order": 4711}
//! {"do": "cancel", "shop": "web", "order": 4711, "restock": true}
//! {"do": "refund", "shop": "web", "order": 4711, "lines": [{"sku": "SKU-0001", "quantity": 1}], "restock": false}
//! {"do": "edit", "shop": "web", "order": 4711, "sku": "SKU-0001", "quantity": 3}
//! {"do": "set", "shop": "web", "sku": "SKU-0001", "quantity": 7}                   staff set a number by hand
//! {"do": "receive", "sku": "SKU-0001", "quantity": 20}                             a delivery; book it in the ledger too
//! {"do": "lose", "sku": "SKU-0001", "quantity": 1}                                 a unit breaks unseen
//! {"do": "inject", "shop": "web", "fault": "timeout_after", "only": "writes", "next": 1}
//! {"do": "inject", "shop": "web", "fault": "status_before", "status": 503, "share": 0.1}
//! {"do": "clear_faults", "shop": "web"}
//! {"do": "pause_shoppers", "paused": true}
//! {"do": "take_deliveries"}
//! {"do": "excuse", "excused": true}                                                the daemon is away, and owes nothing
//! ```
//!
//! The faults are those of [`Fault`](super::Fault). What can't be done is status 400 with `{"error": "..."}`.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Inner, Inside,
    faults::Injection,
    world::{Accept, Order, Restock, Shop, World},
};
use crate::domain::{Sku, Units, UtcMs};

/// How long nobody can know of a lost unit, in milliseconds: a day.
const UNSEEN_MS: i64 = 24 * 3_600_000;

/// Something that happens.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Action {
    /// A shopper orders.
    Order {
        /// Where.
        shop: String,
        /// What.
        lines: Vec<Pieces>,
        /// Whether more than what is shown is accepted.
        #[serde(default)]
        beyond_shown: bool,
    },
    /// Staff ship what is open.
    Fulfil {
        /// Where.
        shop: String,
        /// Which order.
        order: u64,
        /// Only these; Shopify only.
        lines: Option<Vec<Pieces>>,
    },
    /// Staff cancel what is open.
    Cancel {
        /// Where.
        shop: String,
        /// Which order.
        order: u64,
        /// Whether units go back; WooCommerce always does it.
        #[serde(default = "yes")]
        restock: bool,
    },
    /// Staff pay back.
    Refund {
        /// Where.
        shop: String,
        /// Which order.
        order: u64,
        /// What.
        lines: Vec<Pieces>,
        /// Whether units go back.
        #[serde(default = "yes")]
        restock: bool,
    },
    /// Staff change a line.
    Edit {
        /// Where.
        shop: String,
        /// Which order.
        order: u64,
        /// Which line.
        sku: String,
        /// Its new quantity.
        quantity: i64,
    },
    /// Staff set a number by hand.
    Set {
        /// Where.
        shop: String,
        /// Which listing.
        sku: String,
        /// Its new number.
        quantity: i64,
        /// The location's index.
        #[serde(default)]
        location: usize,
    },
    /// Units arrive.
    Receive {
        /// Of what.
        sku: Sku,
        /// How many.
        quantity: i64,
    },
    /// Units vanish.
    Lose {
        /// Of what.
        sku: Sku,
        /// How many.
        quantity: i64,
    },
    /// Requests fail.
    Inject {
        /// Where.
        shop: String,
        /// How.
        #[serde(flatten)]
        injection: Injection,
    },
    /// Requests succeed again.
    ClearFaults {
        /// Where.
        shop: String,
    },
    /// Shoppers stay away, or come again.
    PauseShoppers {
        /// Whether they stay away.
        paused: bool,
    },
    /// Deliveries since the last time, to be booked in the ledger.
    TakeDeliveries,
    /// Nobody is there to keep the shops in step, and what is owed by then starts over; or somebody is there again.
    Excuse {
        /// Whether the daemon is away.
        excused: bool,
    },
}

/// So many of a SKU.
#[derive(Clone, Debug, Deserialize)]
pub struct Pieces {
    /// Which.
    pub sku: String,
    /// How many.
    pub quantity: i64,
}

const fn yes() -> bool {
    true
}

pub(super) async fn act(
    State(inside): State<Arc<Inside>>,
    action: Result<Json<Action>, JsonRejection>,
) -> (StatusCode, Json<Value>) {
    match action.map_err(|error| error.body_text()).and_then(|Json(action)| inside.act(action)) {
        Ok(done) => (StatusCode::OK, Json(done)),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))),
    }
}

pub(super) async fn show(State(inside): State<Arc<Inside>>) -> Json<Value> {
    let mut state = inside.lock();
    state.world.judge();
    let world = &state.world;
    let shops: Vec<_> = world.shops.iter().map(shop_state).collect();
    Json(json!({
        "at": world.now().rfc3339(),
        "shops": shops,
        "shelf": world.shelf(),
        "totals": world.referee().totals(),
    }))
}

fn shop_state(shop: &Shop) -> Value {
    let listings = shop.listings.iter().filter(|it| it.is_sellable()).map(|it| {
        json!({
            "sku": it.sku,
            "product": it.product,
            "variant": it.variant,
            "shown": it.levels.iter().map(super::world::Level::shown).collect::<Vec<_>>(),
            "committed": it.levels.iter().map(|level| level.committed).sum::<i64>(),
        })
    });
    json!({
        "name": shop.settings.id,
        "kind": shop.settings.kind,
        "counts": shop.counts,
        "listings": listings.collect::<Vec<_>>(),
        "orders": shop.orders.values().map(|record| order_state(shop, &record.current)).collect::<Vec<_>>(),
    })
}

fn order_state(shop: &Shop, order: &Order) -> Value {
    let lines = order.lines.iter().map(|line| {
        json!({
            "sku": shop.listings[line.listing].sku,
            "ordered": line.quantity,
            "taken_off": line.removed,
            "shipped": line.shipped,
            "returned": line.returned,
        })
    });
    json!({
        "order": order.id,
        "number": order.number,
        "status": order.status.name(),
        "created_at": order.created_at.rfc3339(),
        "updated_at": order.updated_at.rfc3339(),
        "lines": lines.collect::<Vec<_>>(),
    })
}

impl Inside {
    fn act(&self, action: Action) -> Result<Value, String> {
        let find = |name: &str| self.shop(name).ok_or_else(|| format!("there is no shop {name}"));
        let mut state = self.lock();
        let state = &mut *state;
        let Inner { world, desks, .. } = state;
        let done = Ok(json!({ "done": true }));
        match action {
            Action::Order { shop, lines, beyond_shown } => {
                let shop = find(&shop)?;
                let wanted: Result<Vec<_>, String> =
                    lines.iter().map(|it| Ok((listing(&world.shops[shop], &it.sku)?, it.quantity))).collect();
                let accept = if beyond_shown { Accept::All } else { Accept::Shown };
                let order = world.place_order(shop, &wanted?, accept);
                order.map(|order| json!({ "order": order })).ok_or_else(|| "sold out".to_owned())
            }
            Action::Fulfil { shop, order, lines } => {
                let shop = find(&shop)?;
                let only = lines.map(|lines| line_ids(world, shop, order, &lines)).transpose()?;
                world.fulfil(shop, order, only.as_deref()).map_err(|it| it.to_string()).and(done)
            }
            Action::Cancel { shop, order, restock } => {
                world.cancel(find(&shop)?, order, back(restock)).map_err(|it| it.to_string()).and(done)
            }
            Action::Refund { shop, order, lines, restock } => {
                let shop = find(&shop)?;
                let lines = line_ids(world, shop, order, &lines)?;
                world.refund(shop, order, &lines, back(restock)).map_err(|it| it.to_string()).and(done)
            }
            Action::Edit { shop, order, sku, quantity } => {
                let shop = find(&shop)?;
                let lines = line_ids(world, shop, order, &[Pieces { sku, quantity }])?;
                world.edit_line(shop, order, lines[0].0, quantity).map_err(|it| it.to_string()).and(done)
            }
            Action::Set { shop, sku, quantity, location } => {
                let shop = find(&shop)?;
                let listing = listing(&world.shops[shop], &sku)?;
                if location >= world.shops[shop].settings.locations.len() {
                    return Err(format!("there is no location {location}"));
                }
                world.set_by_hand(shop, listing, location, quantity);
                done
            }
            Action::Receive { sku, quantity } => {
                world.receive(&sku, Units::of(quantity));
                done
            }
            Action::Lose { sku, quantity } => {
                let UtcMs(now) = world.now();
                world.lose(&sku, Units::of(quantity), UtcMs(now + UNSEEN_MS));
                done
            }
            Action::Inject { shop, injection } => {
                desks[find(&shop)?].faults.inject(injection);
                done
            }
            Action::ClearFaults { shop } => {
                desks[find(&shop)?].faults.clear();
                done
            }
            Action::PauseShoppers { paused } => {
                self.shoppers_paused.store(paused, Ordering::Relaxed);
                done
            }
            Action::TakeDeliveries => Ok(json!({ "deliveries": world.take_deliveries() })),
            Action::Excuse { excused } => {
                state.excused = excused;
                (0..state.desks.len()).for_each(|shop| state.judge_openness(shop));
                done
            }
        }
    }
}

const fn back(restock: bool) -> Restock {
    if restock { Restock::Yes } else { Restock::No }
}

fn listing(shop: &Shop, sku: &str) -> Result<usize, String> {
    shop.listing_by_sku(sku).ok_or_else(|| format!("{} does not list {sku}", shop.settings.id))
}

/// The ids of an order's lines, by SKU.
fn line_ids(world: &World, shop: usize, order: u64, lines: &[Pieces]) -> Result<Vec<(u64, i64)>, String> {
    let state = &world.shops[shop];
    let record = state.orders.get(&order).ok_or_else(|| format!("there is no order {order}"))?;
    let find = |it: &Pieces| {
        let listing = listing(state, &it.sku)?;
        let line = record.current.lines.iter().find(|line| line.listing == listing);
        let line = line.ok_or_else(|| format!("order {order} has no line of {}", it.sku))?;
        Ok((line.id, it.quantity))
    };
    lines.iter().map(find).collect()
}
