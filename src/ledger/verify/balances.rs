//! Balances as movements add up to them, and their hash.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::text;
use crate::{
    domain::{LocationId, Units},
    ledger::{Reader, Result},
};

/// On hand and committed of one SKU at one location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) on_hand: Units,
    pub(super) committed: Units,
}

impl Held {
    pub(super) fn add(&mut self, on_hand: Units, committed: Units) {
        self.on_hand += on_hand;
        self.committed += committed;
    }
}

/// The balances at one movement.
#[derive(Default)]
pub(super) struct Balances(HashMap<String, BTreeMap<String, Held>>);

impl Balances {
    pub(super) fn add(&mut self, sku: &str, location: &str, on_hand: Units, committed: Units) {
        if let Some(held) = self.0.get_mut(sku).and_then(|locations| locations.get_mut(location)) {
            held.add(on_hand, committed);
        } else {
            let held = Held { on_hand, committed };
            self.0.entry(sku.to_owned()).or_default().insert(location.to_owned(), held);
        }
    }

    /// The sum over some locations, over all if none is named.
    pub(super) fn over(&self, sku: &str, locations: &[LocationId]) -> Held {
        let mut sum = Held::default();
        for (location, held) in self.0.get(sku).into_iter().flatten() {
            if locations.is_empty() || locations.iter().any(|wanted| wanted.as_str() == location) {
                sum.add(held.on_hand, held.committed);
            }
        }
        sum
    }

    /// Takes a balance out; nothing held where there was none.
    pub(super) fn take(&mut self, sku: &str, location: &str) -> Held {
        self.0.get_mut(sku).and_then(|locations| locations.remove(location)).unwrap_or_default()
    }

    /// What [`Balances::take`] has left behind, other than nothing.
    pub(super) fn left(&self) -> impl Iterator<Item = (&str, &str, Held)> {
        self.0
            .iter()
            .flat_map(|(sku, locations)| locations.iter().map(move |(l, h)| (sku.as_str(), l.as_str(), *h)))
            .filter(|(_, _, held)| *held != Held::default())
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        let mut skus: Vec<_> = self.0.iter().collect();
        skus.sort_unstable_by_key(|(sku, _)| *sku);
        let mut hasher = BalancesHasher::default();
        for (sku, locations) in skus {
            for (location, held) in locations {
                hasher.add(sku, location, *held);
            }
        }
        hasher.finish()
    }
}

/// The hash over all balances that hold something, by SKU and location.
#[derive(Default)]
pub(super) struct BalancesHasher(Sha256);

impl BalancesHasher {
    pub(super) fn add(&mut self, sku: &str, location: &str, held: Held) {
        if held == Held::default() {
            return;
        }
        for text in [sku, location] {
            self.0.update((text.len() as u64).to_be_bytes());
            self.0.update(text);
        }
        for number in [held.on_hand, held.committed] {
            self.0.update(number.get().to_be_bytes());
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl Reader {
    /// Every row of stock, by SKU and location in the order of their bytes.
    pub(super) fn each_balance(&self, mut see: impl FnMut(&str, &str, Held)) -> Result<()> {
        let mut statement = self
            .conn
            .prepare("SELECT sku, location, on_hand, committed FROM stock ORDER BY sku, location")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let held = Held { on_hand: row.get(2)?, committed: row.get(3)? };
            see(text(row, 0)?, text(row, 1)?, held);
        }
        Ok(())
    }
}
