//! Where shoppers shop: channels that something or somebody keeps in step.

use crate::{domain::UtcMs, referee::Referee, street::Fault};

/// A line that somebody buys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bought<'a> {
    pub(super) line: &'a str,
    pub(super) sku: usize,
    pub(super) units: i64,
}

/// A line of an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfOrder<'a> {
    pub(super) channel: usize,
    pub(super) order: &'a str,
    pub(super) line: &'a str,
    pub(super) sku: usize,
}

/// Channels, and what keeps them in step. SKUs and channels go by their number.
pub(super) trait Market {
    /// Lets time pass.
    fn pass_until(&mut self, at: UtcMs) -> Result<(), Fault>;
    /// What a channel shows.
    fn shown(&self, channel: usize, sku: usize) -> i64;
    /// Somebody orders what is shown.
    fn order(&mut self, channel: usize, order: &str, lines: &[Bought<'_>]);
    /// An order leaves the shelf.
    fn ship(&mut self, channel: usize, order: &str);
    /// Units of a line are cancelled, or come back if they have been shipped.
    fn give_back(&mut self, of: OfOrder<'_>, units: i64);
    /// An order changes no more.
    fn finish(&mut self, channel: usize, order: &str);
    /// Units arrive, and a person tells so.
    fn receive(&mut self, sku: usize, units: i64) -> Result<(), Fault>;
    /// Who judges.
    fn referee(&mut self) -> &mut Referee;
    /// Units that are truly free.
    fn free(&mut self, sku: usize) -> i64;
    /// Numbers written and calls made.
    fn effort(&self) -> (u64, u64);
}
