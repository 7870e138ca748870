//! What the referee found.

use std::fmt;

use serde::Serialize;

use crate::domain::{Units, UtcMs};

/// Oversold units by class (CORRECTNESS.md section 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Oversold {
    /// Two channels sold, within the delay, what both rightly showed.
    pub pooled: Units,
    /// A channel or its staff raised its own number, or units vanished from the shelf.
    pub external: Units,
    /// A write overwrote a sale that no read finished before sending could have shown.
    pub in_flight: Units,
    /// Everything else.
    pub caused: Units,
}

impl Oversold {
    /// All of them.
    pub fn total(self) -> Units {
        self.pooled + self.external + self.in_flight + self.caused
    }
}

/// Everything that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Units sold, bundles by their components.
    pub units_sold: Units,
    /// Units of them that did not exist.
    pub oversold: Oversold,
    /// Numbers of ours above what evidence allowed.
    pub breaches: u64,
    /// The first of them, at most [`Totals::REASONS`].
    pub reasons: Vec<Breach>,
}

impl Totals {
    /// How many breaches are kept with their reasons.
    pub const REASONS: usize = 20;
}

/// Which rule a number broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreachKind {
    /// A write landed with more than evidence allowed.
    Landing,
    /// A decrease was left lying.
    Overdue,
}

/// A number of ours above what evidence allowed, with all that led to the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// When it was found.
    pub at: UtcMs,
    /// Which rule.
    pub kind: BreachKind,
    /// The place's name.
    pub place: String,
    /// Pieces above what evidence allowed.
    pub pieces: Units,
    /// What the place shows.
    pub shown: Units,
    /// For a landing, when its request was sent; for an overdue decrease, how old its evidence had to be.
    pub evidence_by: UtcMs,
    /// What evidence said was available, in pieces.
    pub available: Units,
    /// The channel's own sales that evidence did not include but a look at the channel would have shown, in
    /// pieces.
    pub own_visible: Units,
    /// All of the channel's own sales that evidence did not include, in pieces.
    pub own_unknown: Units,
    /// What the place could show at most.
    pub limit: Units,
    /// The events of its SKUs that are not long settled, newest last, one readable line each.
    pub events: Vec<String>,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at, place, pieces, shown, evidence_by, available, own_visible, own_unknown, limit, ..
        } = self;
        let kind = match self.kind {
            BreachKind::Landing => "sent",
            BreachKind::Overdue => "left since",
        };
        write!(
            f,
            "{at} {place} shows {shown}, {pieces} above {limit} ({kind} {evidence_by}; available {available}, own sales \
             visible {own_visible} of {own_unknown})"
        )?;
        self.events.iter().try_for_each(|event| write!(f, "\n  {event}"))
    }
}
