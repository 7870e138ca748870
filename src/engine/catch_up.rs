//! After an older ledger has been put back (CORRECTNESS.md rule 17, fault P12): sales may be missing from it, so nothing
//! is raised on any channel before the numbers of each have been read again, and after them its orders of the whole
//! history.

use std::time::Duration;

use super::{Engine, Level, Notice, Result};
use crate::domain::Now;

/// The pause before what has failed is read again.
const PAUSE: Duration = Duration::from_mins(1);

/// What is to be read again on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadAgain {
    /// Its numbers, then its orders.
    Numbers,
    /// Its orders: not before every order is readable that made the numbers what they were.
    Orders { from: Duration },
}

impl Engine {
    /// What an older ledger put back still holds.
    pub(super) fn load_catch_up(&mut self, now: Now) -> Result<()> {
        let Some(restored) = self.ledger.restored()? else { return Ok(()) };
        for channel in &mut self.channels {
            channel.raises_held = true;
            channel.read_again = match restored.of(&channel.settings.id) {
                None => {
                    // A write that nobody remembers may still land.
                    channel.next_scan = Some(now.mono + channel.settle());
                    Some(ReadAgain::Numbers)
                }
                Some(known) if known.swept_at.is_some() => None,
                Some(_) => {
                    let from = now.mono + channel.lapse();
                    channel.next_sweep = Some(from);
                    Some(ReadAgain::Orders { from })
                }
            };
        }
        self.end_catch_up()
    }

    /// A scan was not believed.
    pub(super) fn scan_again_soon(&mut self, now: Now, at: usize) {
        let channel = &mut self.channels[at];
        if channel.read_again == Some(ReadAgain::Numbers) {
            channel.next_scan = Some(now.mono + PAUSE);
        }
    }

    /// A channel's numbers have been read.
    pub(super) fn scanned_again(&mut self, now: Now, at: usize) -> Result<()> {
        let channel = &mut self.channels[at];
        if channel.read_again != Some(ReadAgain::Numbers) {
            return Ok(());
        }
        let from = now.mono + channel.lapse();
        (channel.read_again, channel.next_sweep) = (Some(ReadAgain::Orders { from }), Some(from));
        self.ledger.scanned_again(&channel.settings.id, now.utc)
    }

    /// A sweep has ended; `begun` is when it began, if it came to its end.
    pub(super) fn swept_again(&mut self, now: Now, at: usize, begun: Option<Duration>) -> Result<()> {
        let channel = &mut self.channels[at];
        let Some(ReadAgain::Orders { from }) = channel.read_again else { return Ok(()) };
        if begun.is_none_or(|begun| begun < from) {
            channel.next_sweep = Some(from.max(now.mono + PAUSE));
            return Ok(());
        }
        channel.read_again = None;
        self.ledger.swept_again(&channel.settings.id, now.utc)?;
        self.end_catch_up()
    }

    fn end_catch_up(&mut self) -> Result<()> {
        if self.channels.iter().any(|channel| channel.read_again.is_some()) {
            return Ok(());
        }
        self.channels.iter_mut().for_each(|channel| channel.raises_held = false);
        let detail =
            "every channel has been read again since an older ledger was put back; numbers are raised again";
        self.notices.push(Notice::new(Level::Info, "ledger.caught_up", detail));
        self.ledger.end_restored()
    }
}
