//! What the demo says at its end, and while it runs.

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::{cli::Out, referee::Oversold};

/// The result of a demo. Key names are an interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    /// How long shoppers shopped.
    pub(super) seconds: u64,
    pub(super) channels: Vec<Channel>,
    pub(super) orders: u64,
    /// Bundles by their components.
    pub(super) units_sold: i64,
    pub(super) oversold_units: Oversold,
    pub(super) breaches: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) breach_reasons: Vec<String>,
    /// Wanted and not shown.
    pub(super) refused_units: i64,
    /// Every place shows what it should of what is truly there.
    pub(super) converged: bool,
    /// Places that don't.
    pub(super) drift_listings: usize,
    pub(super) unknown_pushes: i64,
    pub(super) ledger_verified: bool,
    pub(super) orders_in_ledger_exactly_once: bool,
    /// Whatever of the above is not as it should be, in detail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) differences: Vec<String>,
    pub(super) sale_to_push_ms: Percentiles,
}

/// One channel's part.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) orders: u64,
    pub(super) units: i64,
    /// Numbers written.
    pub(super) pushes: u64,
    pub(super) api_calls: u64,
    pub(super) throttled: u64,
}

/// From a sale to the landing of the write that brings another place of its SKU down, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: i64,
    pub(super) p99: i64,
}

impl Percentiles {
    /// By nearest rank; 0 of nothing.
    pub(super) fn of(mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        let rank = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100);
            values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { p50: rank(50), p99: rank(99) }
    }
}

impl Summary {
    /// Prints it for people.
    pub(super) fn print(&self, out: &Out) -> Result<()> {
        out.line(channels_table(&self.channels))?;
        let Oversold { pooled, external, in_flight, caused } = self.oversold_units;
        let Percentiles { p50, p99 } = self.sale_to_push_ms;
        let yes = |is: bool| if is { "yes" } else { "NO" };
        let rows = [
            ("orders", format!("{} ({} units) in {} s", self.orders, self.units_sold, self.seconds)),
            (
                "oversold units",
                format!("{pooled} pooled, {external} external, {in_flight} in flight, {caused} caused"),
            ),
            ("breaches", self.breaches.to_string()),
            ("refused units", self.refused_units.to_string()),
            ("sale to push", format!("{p50} ms median, {p99} ms p99")),
            ("converged", format!("{} ({} places differ)", yes(self.converged), self.drift_listings)),
            ("unknown pushes", self.unknown_pushes.to_string()),
            ("ledger verified", yes(self.ledger_verified).to_owned()),
            ("each order once", yes(self.orders_in_ledger_exactly_once).to_owned()),
        ];
        let rows: Vec<_> = rows.map(|(name, value)| [name.to_owned(), value]).into();
        out.table(&["", ""], &rows)?;
        for line in self.breach_reasons.iter().chain(&self.differences) {
            out.line(line)?;
        }
        Ok(())
    }

    /// Whether all is well.
    ///
    /// # Errors
    /// What isn't.
    pub(super) fn judge(&self) -> Result<()> {
        let caused = self.oversold_units.caused.get();
        let wrong: Vec<_> = [
            (!self.converged, "the shops did not converge"),
            (!self.ledger_verified, "the ledger did not verify"),
            (!self.orders_in_ledger_exactly_once, "the ledger lacks or doubles orders"),
            (caused > 0, "the daemon caused oversold units"),
            (self.breaches > 0, "the daemon showed more than evidence allowed"),
        ]
        .into_iter()
        .filter_map(|(is_wrong, what)| is_wrong.then_some(what))
        .collect();
        ensure!(wrong.is_empty(), "{}", wrong.join("; "));
        Ok(())
    }
}

/// The channels' numbers as a table.
pub(super) fn channels_table(channels: &[Channel]) -> String {
    let rows = channels.iter().map(|channel| {
        let Channel { name, kind, orders, units, pushes, api_calls, throttled } = channel;
        [
            name.clone(),
            (*kind).to_owned(),
            orders.to_string(),
            units.to_string(),
            pushes.to_string(),
            api_calls.to_string(),
            throttled.to_string(),
        ]
    });
    Out::rendered(
        &["channel", "kind", "orders", "units", "pushes", "calls", "throttled"],
        &rows.collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Units;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        assert_eq!(Percentiles::of((1..=100).rev().collect()), Percentiles { p50: 50, p99: 99 });
        assert_eq!(Percentiles::of(vec![7]), Percentiles { p50: 7, p99: 7 });
        assert_eq!(Percentiles::of(Vec::new()), Percentiles::default());
    }

    fn fine() -> Summary {
        Summary {
            seconds: 1,
            channels: Vec::new(),
            orders: 0,
            units_sold: 0,
            oversold_units: Oversold::default(),
            breaches: 0,
            breach_reasons: Vec::new(),
            refused_units: 0,
            converged: true,
            drift_listings: 0,
            unknown_pushes: 0,
            ledger_verified: true,
            orders_in_ledger_exactly_once: true,
            differences: Vec::new(),
            sale_to_push_ms: Percentiles::default(),
        }
    }

    #[test]
    fn every_promise_that_is_broken_fails_the_demo() {
        assert!(fine().judge().is_ok());
        let pooled = Oversold { pooled: Units::ONE, ..Oversold::default() };
        assert!(Summary { oversold_units: pooled, ..fine() }.judge().is_ok(), "delays alone are no fault");
        let caused = Oversold { caused: Units::ONE, ..Oversold::default() };
        for broken in [
            Summary { converged: false, ..fine() },
            Summary { ledger_verified: false, ..fine() },
            Summary { orders_in_ledger_exactly_once: false, ..fine() },
            Summary { oversold_units: caused, ..fine() },
            Summary { breaches: 1, ..fine() },
        ] {
            assert!(broken.judge().is_err(), "{broken:?}");
        }
    }
}
