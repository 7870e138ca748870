//! What a place shows, unit by unit: rightful, external, in flight, caused.

use std::collections::VecDeque;

use crate::domain::{Units, UtcMs};

/// The pieces that a place shows, by how they came to be shown.
#[derive(Debug, Default)]
pub(super) struct Count {
    rightful: Units,
    /// Oldest first; each ends by itself, or never.
    external: VecDeque<Grant>,
    in_flight: Units,
    caused: Units,
}

/// Pieces that the channel or its staff put up.
#[derive(Debug)]
struct Grant {
    pieces: Units,
    until: Option<UtcMs>,
}

/// Pieces by class, other than rightful ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) external: Units,
    pub(super) in_flight: Units,
    pub(super) caused: Units,
}

impl Taken {
    /// All of them in units of one component.
    pub(super) fn times(self, units: Units) -> Self {
        Self {
            external: self.external.times(units),
            in_flight: self.in_flight.times(units),
            caused: self.caused.times(units),
        }
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::default()
    }
}

impl Count {
    /// A number that was never written by us: `rightful` of it is what policy allows.
    pub(super) fn found(shown: Units, allowed: Units) -> Self {
        let rightful = shown.min(allowed);
        let mut count = Self { rightful, ..Self::default() };
        count.grant(shown - rightful, None);
        count
    }

    pub(super) fn shown(&self) -> Units {
        self.rightful + self.external() + self.in_flight + self.caused
    }

    pub(super) fn external(&self) -> Units {
        self.external.iter().map(|grant| grant.pieces).sum()
    }

    /// Whether nothing but rightful pieces is shown.
    pub(super) fn is_clean(&self) -> bool {
        self.external.is_empty() && self.in_flight == Units::ZERO && self.caused == Units::ZERO
    }

    /// A landing: all that was shown is replaced.
    pub(super) fn land(&mut self, value: Units, in_flight: Units, caused: Units) {
        *self = Self { rightful: value - in_flight - caused, external: VecDeque::new(), in_flight, caused };
    }

    /// A sale. More than is shown makes the rightful part negative.
    pub(super) fn sell(&mut self, pieces: Units) -> Taken {
        let mut left = pieces;
        take(&mut self.rightful, &mut left);
        let external = self.take_external(&mut left);
        let in_flight = take(&mut self.in_flight, &mut left);
        let caused = take(&mut self.caused, &mut left);
        self.rightful -= left;
        Taken { external, in_flight, caused }
    }

    /// A hand lowers the number: what should not be there goes first.
    pub(super) fn lower(&mut self, pieces: Units) {
        let mut left = pieces;
        take(&mut self.caused, &mut left);
        take(&mut self.in_flight, &mut left);
        self.take_external(&mut left);
        self.rightful -= left;
    }

    /// Somebody else than the daemon raises the number.
    pub(super) fn grant(&mut self, pieces: Units, until: Option<UtcMs>) {
        if pieces > Units::ZERO {
            self.external.push_back(Grant { pieces, until });
        }
    }

    /// What the daemon has had time to notice is external no more.
    pub(super) fn end_grants(&mut self, now: UtcMs) {
        let over: Units = self
            .external
            .iter()
            .filter(|grant| grant.until.is_some_and(|until| until <= now))
            .map(|grant| grant.pieces)
            .sum();
        self.external.retain(|grant| grant.until.is_none_or(|until| until > now));
        self.rightful += over;
    }

    /// A decrease was due: at most `rightful_limit` pieces are still rightful, and at most `limit` rightful
    /// or in flight. Returns how many became caused.
    pub(super) fn overdue(&mut self, rightful_limit: Units, limit: Units) -> Units {
        let before = self.rightful + self.in_flight;
        let rightful = self.rightful.min(rightful_limit);
        let in_flight = (before - rightful).min((limit - rightful).at_least_zero());
        let caused = before - rightful - in_flight;
        (self.rightful, self.in_flight) = (rightful, in_flight);
        self.caused += caused;
        caused
    }

    fn take_external(&mut self, left: &mut Units) -> Units {
        let mut taken = Units::ZERO;
        while let Some(grant) = self.external.front_mut() {
            taken += take(&mut grant.pieces, left);
            if grant.pieces > Units::ZERO {
                break;
            }
            self.external.pop_front();
        }
        taken
    }
}

/// Moves what it can out of `from`, and says how much that was.
pub(super) fn take(from: &mut Units, left: &mut Units) -> Units {
    let taken = (*from).min(*left).at_least_zero();
    *from -= taken;
    *left -= taken;
    taken
}
