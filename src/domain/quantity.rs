//! Quantities: whole units, signed.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Neg, Sub, SubAssign},
};

use serde::{Deserialize, Serialize};

/// A number of units, signed: available stock may be below zero (an oversell is a fact to keep).
///
/// Whatever enters from outside passes [`Units::new`] and lies within ±[`Units::LIMIT`], so that sums of
/// millions of them stay far from the ends of `i64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Units(i64);

/// A quantity outside the range that is accepted from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("quantity {0} is out of range: expected a whole number from -{limit} to {limit}", limit = Units::LIMIT)]
pub struct OutOfRange(pub i64);

impl Units {
    /// No units.
    pub const ZERO: Self = Self(0);
    /// One unit.
    pub const ONE: Self = Self(1);
    /// The largest magnitude accepted from a channel, a file or a person. Shopify refuses more than this too.
    pub const LIMIT: i64 = 1_000_000_000;

    /// A quantity from outside.
    ///
    /// # Errors
    /// [`OutOfRange`] beyond ±[`Units::LIMIT`].
    pub const fn new(units: i64) -> Result<Self, OutOfRange> {
        if units > Self::LIMIT || units < -Self::LIMIT { Err(OutOfRange(units)) } else { Ok(Self(units)) }
    }

    /// A quantity that the program itself computed or stored.
    pub const fn of(units: i64) -> Self {
        Self(units)
    }

    /// The plain number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// `self` unless negative, then zero.
    #[must_use]
    pub fn at_least_zero(self) -> Self {
        self.max(Self::ZERO)
    }

    /// This many times `each` (a bundle's units per piece).
    #[must_use]
    pub const fn times(self, each: Self) -> Self {
        Self(self.0.saturating_mul(each.0))
    }

    /// How many whole lots of `each` fit; rounds towards minus infinity, so a shortage stays a shortage.
    /// `each` must be at least 1; anything less counts as 1.
    #[must_use]
    pub const fn lots_of(self, each: Self) -> Self {
        let each = if each.0 < 1 { 1 } else { each.0 };
        Self(self.0.div_euclid(each))
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Add for Units {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Units {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Units {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign for Units {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Units {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Units {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d6_a_quantity_beyond_the_limit_is_refused() {
        assert_eq!(Units::new(1 << 53), Err(OutOfRange(1 << 53)));
        assert!(Units::new(Units::LIMIT).is_ok());
        assert!(Units::new(-Units::LIMIT - 1).is_err());
    }

    #[test]
    fn lots_of_a_shortage_round_away_from_zero() {
        assert_eq!(Units::of(-1).lots_of(Units::of(2)), Units::of(-1));
        assert_eq!(Units::of(5).lots_of(Units::of(2)), Units::of(2));
    }
}
