//! What a place is believed to show, and what a read makes of that (CORRECTNESS.md rule 5).

use rusqlite::params;

use super::{Ledger, OwnSale, PlaceId, PlaceRow, Reader, Result};
use crate::domain::{ChannelSettings, Units, UtcMs};

/// A stretch of the channel's clock in which something happened: not before `from`, not after `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The earliest instant.
    pub from: UtcMs,
    /// The latest instant.
    pub to: UtcMs,
}

/// What a read of a place's number led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// What it told.
    pub told: Comparison,
    /// Whether the place's shadow changed, and with it what every listing of its SKUs may show.
    pub shadow_changed: bool,
}

/// What a read of a place's number told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The first number ever read there.
    First,
    /// As expected.
    Equal,
    /// Fewer than expected by this many, which no known order explains: held as shadow.
    Missing(Units),
    /// More than expected by this many.
    Surplus(Units),
}

/// Units that a read showed as gone and that no order has explained in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueShadow {
    id: i64,
    /// Where they are missing.
    pub place: PlaceId,
    /// How many.
    pub units: Units,
    /// From when on every order is readable that may explain them.
    pub lapses_at: UtcMs,
}

/// What is known last of a place's number.
struct LastKnown {
    landed: Span,
    read: Span,
    in_flight: bool,
}

impl Reader {
    /// When the first shadow lapses that is not due yet at `at`.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn next_lapse(&self, at: UtcMs) -> Result<Option<UtcMs>> {
        self.one("SELECT min(lapses_at) FROM shadow WHERE lapses_at > ?1", [at], |row| row.get(0))
    }

    /// Shadows that no order has explained within the channel's longest order delay.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn due_shadows(&self, at: UtcMs) -> Result<Vec<DueShadow>> {
        self.all(
            "SELECT id, place, units, lapses_at FROM shadow WHERE lapses_at <= ?1 ORDER BY lapses_at, id",
            [at],
            |row| {
                Ok(DueShadow {
                    id: row.get(0)?,
                    place: row.get(1)?,
                    units: row.get(2)?,
                    lapses_at: row.get(3)?,
                })
            },
        )
    }
}

impl Ledger {
    /// Takes in a number read at a place that has no unresolved write. What it shows less than expected becomes its
    /// open shadow; it never raises anything.
    ///
    /// Everything sold before `read.from` is in `quantity`, nothing sold after `read.to`, by the channel's clock.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn compare(
        &self,
        row: &PlaceRow,
        quantity: Units,
        read: Span,
        at: UtcMs,
        lapses_at: UtcMs,
    ) -> Result<Compared> {
        let open = self.open_shadow(row.id)?;
        let unexplained = row.expected.map(|expected| expected + open - row.unplaced - quantity);
        let known = row.expected == Some(quantity) && row.observed == Some(quantity) && !row.needs_read;
        if known && open == unexplained.unwrap_or_default().at_least_zero() {
            return Ok(Compared { told: Comparison::Equal, shadow_changed: false });
        }
        self.run(
            "UPDATE listing_stock SET expected = ?2, expected_at = ?3, slack = 0, unplaced = 0, undecided = 0, observed = ?2, \
             observed_at = ?4, observed_to = ?5, needs_read = 0 WHERE id = ?1",
            &[&row.id.0, &quantity, &at, &read.from, &read.to],
        )?;
        let Some(unexplained) = unexplained else {
            return Ok(Compared { told: Comparison::First, shadow_changed: false });
        };
        let sold_since = row.undecided.min(unexplained.at_least_zero());
        let sold_before = row.undecided - sold_since;
        self.end_shadows(row.id, sold_before, UtcMs(i64::MIN), false)?;
        let unexplained = unexplained - sold_since;
        let missing = unexplained.at_least_zero();
        self.replace_open_shadow(row.id, missing, read, lapses_at)?;
        let told = if unexplained < Units::ZERO {
            Comparison::Surplus(-unexplained)
        } else if missing > open {
            Comparison::Missing(missing)
        } else {
            Comparison::Equal
        };
        Ok(Compared { told, shadow_changed: missing != open || sold_before > Units::ZERO })
    }

    /// The last comparison of a landing interval counts; what was missing before keeps its deadline.
    fn replace_open_shadow(&self, place: PlaceId, units: Units, read: Span, lapses_at: UtcMs) -> Result<()> {
        if units == Units::ZERO {
            self.run("DELETE FROM shadow WHERE place = ?1 AND open = 1", &[&place.0])?;
            return Ok(());
        }
        let changed = self.run(
            "UPDATE shadow SET units = ?2, read_at = ?3, read_to = ?5, \
             lapses_at = CASE WHEN units < ?2 THEN ?4 ELSE lapses_at END WHERE place = ?1 AND open = 1",
            &[&place.0, &units, &read.from, &lapses_at, &read.to],
        )?;
        if changed == 0 {
            self.run(
                "INSERT INTO shadow (place, units, read_at, read_to, lapses_at, open) VALUES (?1, ?2, ?3, ?5, ?4, 1)",
                &[&place.0, &units, &read.from, &lapses_at, &read.to],
            )?;
        }
        Ok(())
    }

    /// Accounts for units that the channel itself took off (or put back on) its number. Gives the place concerned.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn own_sale(&self, channel: &ChannelSettings, sale: &OwnSale) -> Result<Option<PlaceId>> {
        let Some(place) = self.place_of_sale(channel, sale)? else { return Ok(None) };
        let known = self.last_known(place)?;
        let sold_by = sale.at.plus_ms(channel.capabilities.time_step_ms);
        let absolute = !channel.capabilities.write_mode.is_sale_safe();
        let mut held = sale.held;
        if held > Units::ZERO {
            held = self.end_shadows(place, held, sold_by, true)?;
        }
        if held == Units::ZERO || sold_by <= known.read.from {
            // The last read saw it already: what is believed to be shown rests on that read.
            return Ok(Some(place));
        }
        if !absolute && held > Units::ZERO {
            held -= self.leave_undecided(place, held, sale.at, sold_by)?;
        }
        if known.in_flight {
            self.run(
                "UPDATE listing_stock SET flight_sold = flight_sold + max(?2, 0), flight_back = flight_back - min(?2, 0) \
                 WHERE id = ?1",
                &[&place.0, &held],
            )?;
        }
        if absolute && !known.in_flight && sold_by <= known.landed.from {
            // Our own write erased it: the place shows what we wrote.
            return Ok(Some(place));
        }
        if absolute && !known.in_flight && sale.at <= known.landed.to {
            let raise = (-held).at_least_zero();
            self.run(
                "UPDATE listing_stock SET expected = expected + ?2, slack = slack + ?3, needs_read = 1 WHERE id = ?1",
                &[&place.0, &raise, &Units::of(held.get().abs())],
            )?;
            return Ok(Some(place));
        }
        // A give-back that the last read or landing may have seen already raises what is believed, not what is sure.
        let unsure = held < Units::ZERO && sale.at <= known.read.to.max(known.landed.to);
        // Without a shadow the read saw all that was known: whatever comes up later was sold later.
        let unplaced = if sale.at <= known.read.to {
            held.at_least_zero().min(self.open_shadow(place)?)
        } else {
            Units::ZERO
        };
        self.run(
            "UPDATE listing_stock SET expected = expected - ?2, unplaced = unplaced + ?3, \
             needs_read = needs_read OR ?3 > 0 OR ?4 WHERE id = ?1",
            &[&place.0, &(held - unplaced), &unplaced, &unsure],
        )?;
        Ok(Some(place))
    }

    fn last_known(&self, place: PlaceId) -> Result<LastKnown> {
        self.one(
            "SELECT landed_from, landed_to, coalesce(observed_at, 0), coalesce(observed_to, 0), request IS NOT NULL \
             FROM listing_stock WHERE id = ?1",
            [place.0],
            |row| {
                Ok(LastKnown {
                    landed: Span { from: row.get(0)?, to: row.get(1)? },
                    read: Span { from: row.get(2)?, to: row.get(3)? },
                    in_flight: row.get(4)?,
                })
            },
        )
    }

    /// A sale in whose second a shadow of before the last landing was read: it is that shadow, or it came after the
    /// landing, for a compare-and-set lands on no sale. Gives how many units wait for the next read to tell.
    fn leave_undecided(&self, place: PlaceId, held: Units, sold_at: UtcMs, sold_by: UtcMs) -> Result<Units> {
        let shadow: Units = self.one(
            "SELECT coalesce(sum(units), 0) FROM shadow WHERE place = ?1 AND open = 0 AND read_at < ?2 AND read_to >= ?3",
            params![place.0, sold_by, sold_at],
            |row| row.get(0),
        )?;
        let undecided = held.min(shadow);
        if undecided > Units::ZERO {
            self.run(
                "UPDATE listing_stock SET undecided = undecided + ?2, needs_read = 1 WHERE id = ?1",
                &[&place.0, &undecided],
            )?;
        }
        Ok(undecided)
    }

    /// Lets units that were sold explain shadows read at `read_from` or later, the earliest first; `open` ones too, or
    /// only those of before the last landing. Gives how many units are left.
    fn end_shadows(&self, place: PlaceId, units: Units, read_from: UtcMs, open: bool) -> Result<Units> {
        if units <= Units::ZERO {
            return Ok(units);
        }
        let shadows: Vec<(i64, Units)> = self.all(
            "SELECT id, units FROM shadow WHERE place = ?1 AND read_at >= ?2 AND open <= ?3 ORDER BY read_at, id",
            params![place.0, read_from, open],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let mut left = units;
        for (id, shadow) in shadows {
            let explained = left.min(shadow);
            if explained == shadow {
                self.run("DELETE FROM shadow WHERE id = ?1", &[&id])?;
            } else {
                self.run("UPDATE shadow SET units = units - ?2 WHERE id = ?1", &[&id, &explained])?;
            }
            left -= explained;
            if left == Units::ZERO {
                break;
            }
        }
        Ok(left)
    }

    fn place_of_sale(&self, channel: &ChannelSettings, sale: &OwnSale) -> Result<Option<PlaceId>> {
        let default = || {
            channel
                .locations
                .iter()
                .find(|(name, _)| *name == channel.order_location)
                .map(|(_, there)| there.clone())
        };
        if let Some(location) = sale.location.clone().or_else(default) {
            return self.maybe(
                "SELECT id FROM listing_stock WHERE listing = ?1 AND channel_location = ?2",
                params![sale.listing, location.as_str()],
                |row| row.get(0),
            );
        }
        let places: Vec<PlaceId> = self.all(
            "SELECT id FROM listing_stock WHERE listing = ?1 AND pending = 0 LIMIT 2",
            [sale.listing],
            |row| row.get(0),
        )?;
        Ok(if let [only] = places[..] { Some(only) } else { None })
    }

    /// Notes whether an order, or units seen to be gone, explain the change that a place wants.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn explain(&self, place: PlaceId, explained: bool) -> Result<()> {
        self.run("UPDATE listing_stock SET explained = ?2 WHERE id = ?1", &[&place.0, &explained])?;
        Ok(())
    }

    /// Marks a place whose number only a read can tell.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn want_read(&self, place: PlaceId) -> Result<()> {
        self.run("UPDATE listing_stock SET needs_read = 1 WHERE id = ?1 AND needs_read = 0", &[&place.0])?;
        Ok(())
    }

    /// Ends a shadow that no order has explained.
    ///
    /// # Errors
    /// [`super::LedgerError::Sqlite`].
    pub fn end_shadow(&self, shadow: &DueShadow) -> Result<()> {
        self.run("DELETE FROM shadow WHERE id = ?1", &[&shadow.id])?;
        Ok(())
    }
}
