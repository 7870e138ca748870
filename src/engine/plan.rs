//! What a place should show and how that came about; the one calculation behind pushes, `plan` and `explain`.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{Buffer, Calculation, ChannelSettings, LocationId, Settings, Units, demand::Figures, policy},
    ledger::{ComponentStock, LedgerError, ListingState, Pause, PlaceId, PlaceRow, Reader},
};

/// The plan for one place.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The place.
    pub row: PlaceRow,
    /// What the target was worked out from.
    pub inputs: Inputs,
}

/// The inputs and the steps of a target, as a push records them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// The parts of one piece.
    pub components: Vec<ComponentStock>,
    /// The ledger locations drawn on; empty: all.
    pub locations: Vec<LocationId>,
    /// From available to target.
    pub calculation: Calculation,
    /// The pause in force.
    pub pause: Option<PauseInForce>,
    /// What a buffer that follows demand was worked out from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demand: Option<Figures>,
}

/// What a pause does to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseInForce {
    /// Whatever is shown stays.
    Hold,
    /// 0 is shown.
    Zero,
}

impl Plan {
    /// What the place should show; `None` while a pause holds what it shows.
    pub fn target(&self) -> Option<Units> {
        self.inputs.target()
    }

    /// Whether an order, units seen to be gone or a person's wish that nothing be shown explain the change.
    pub fn is_explained(&self) -> bool {
        self.row.explained || self.inputs.pause == Some(PauseInForce::Zero)
    }

    /// Whether the place should be written or read: it may show something other than its target.
    pub fn is_due(&self) -> bool {
        match (self.target(), self.row.expected) {
            (Some(target), Some(expected)) => {
                self.row.needs_read || self.row.slack != Units::ZERO || target != expected.at_least_zero()
            }
            _ => false,
        }
    }
}

impl Inputs {
    /// What the place should show; `None` while a pause holds what it shows.
    pub fn target(&self) -> Option<Units> {
        match self.pause {
            None => Some(self.calculation.target),
            Some(PauseInForce::Zero) => Some(Units::ZERO),
            Some(PauseInForce::Hold) => None,
        }
    }
}

/// Plans one place; `None` where its listing isn't managed, its location isn't mapped or it doesn't exist.
///
/// # Errors
/// [`LedgerError`].
pub fn plan(
    reader: &Reader,
    settings: &Settings,
    channel: &ChannelSettings,
    pauses: &[Pause],
    place: PlaceId,
) -> Result<Option<Plan>, LedgerError> {
    let Some(row) = reader.place(place)? else { return Ok(None) };
    let Some(locations) = ledger_locations(channel, &row) else { return Ok(None) };
    if row.state != ListingState::Managed {
        return Ok(None);
    }
    let components = reader.component_stock(row.listing, &locations)?;
    let available = policy::listing_available(components.iter().map(|c| (c.units, c.available())));
    let mut policy = settings.policies.resolve(&channel.id, &row.channel_sku);
    let mut demand = None;
    if let Buffer::Auto(auto) = &mut policy.buffer
        && let Some(held) = reader.held_buffer(place)?
    {
        auto.held = held.units;
        demand = Some(held.figures);
    }
    let calculation = policy.calculate(available);
    let pause = pause_for(pauses, &row, &components);
    Ok(Some(Plan { row, inputs: Inputs { components, locations, calculation, pause, demand } }))
}

/// The ledger locations a place draws on; empty means all, `None` that it draws on none.
fn ledger_locations(channel: &ChannelSettings, row: &PlaceRow) -> Option<Vec<LocationId>> {
    if channel.locations.is_empty() {
        return Some(Vec::new());
    }
    let mapped: Vec<LocationId> = channel
        .locations
        .iter()
        .filter(|(_, there)| *there == row.place.location)
        .map(|(location, _)| location.clone())
        .collect();
    (!mapped.is_empty()).then_some(mapped)
}

/// The strictest pause that covers the place: zero before hold.
fn pause_for(pauses: &[Pause], row: &PlaceRow, components: &[ComponentStock]) -> Option<PauseInForce> {
    pauses
        .iter()
        .filter(|pause| pause.channel == row.channel)
        .filter(|pause| {
            pause.sku.is_empty()
                || pause.sku == row.channel_sku
                || components.iter().any(|c| c.sku.as_str() == pause.sku)
        })
        .map(|pause| if pause.zero { PauseInForce::Zero } else { PauseInForce::Hold })
        .max_by_key(|pause| *pause == PauseInForce::Zero)
}
