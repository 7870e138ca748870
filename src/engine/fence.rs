//! The fence: orders and numbers are read right before an absolute write, in one round (CORRECTNESS.md rule 6).

use std::time::Duration;

use super::{
    Cause, Command, Engine, Result,
    channel::{FenceStage, Heard},
    pace::Sort,
    plan,
};
use crate::{
    domain::{LevelReading, Now, Units, WriteMode, WriteRow},
    ledger::{NewPush, PlaceId},
};

/// When a place is looked at again whose number the fence could not read.
const UNREAD_PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// The orders of the fence have been read to the end. Numbers come last: they show every sale at once, be its order
    /// readable or not.
    pub(super) fn fence_orders_read(&mut self, at: usize) {
        if let Some(fence) = &mut self.channels[at].fence
            && fence.stage == FenceStage::Orders
        {
            fence.stage = FenceStage::LevelsWanted;
        }
    }

    /// The numbers of the fence's places: what still is to be written is prepared and leaves with this round.
    pub(super) fn fence_levels(&mut self, heard: Heard, at: usize, levels: &[LevelReading]) -> Result<()> {
        for level in levels {
            let told = self.heard_level(heard, at, level)?;
            if let (Some((place, true)), Some(fence)) = (told, &mut self.channels[at].fence) {
                fence.read.insert(place);
            }
        }
        if self.stopping || self.channels[at].backoff_until > heard.now.mono {
            // Nothing leaves before the channel takes calls again, and what was read is old by then.
            self.drop_fence(heard.now, at);
            return Ok(());
        }
        self.fence_complete(heard, at)
    }

    fn fence_complete(&mut self, heard: Heard, at: usize) -> Result<()> {
        let now = heard.now;
        let Some(fence) = self.channels[at].fence.take() else { return Ok(()) };
        let mut pushes = Vec::new();
        for place in &fence.batch {
            if !fence.read.contains(place) {
                self.channels[at].later.insert((now.mono + UNREAD_PAUSE, *place));
            } else if let Some(push) = self.new_push(at, *place)? {
                pushes.push(push);
            }
        }
        if pushes.is_empty() {
            self.channels[at].budget.refund(Sort::Write, fence.paid_write);
        } else {
            let request = self.ledger.prepare(now.utc, &self.channels[at].settings.id, &pushes)?;
            self.channels[at].ready_write = Some((request, fence.paid_write));
        }
        for place in &fence.batch {
            if !pushes.iter().any(|push| push.place == *place) && fence.read.contains(place) {
                self.mark_on(now, at, *place, Cause::Other)?;
            }
        }
        Ok(())
    }

    /// Gives a fence up: its places go back to the queue.
    pub(super) fn drop_fence(&mut self, now: Now, at: usize) {
        let Some(fence) = self.channels[at].fence.take() else { return };
        let paid = [
            (Sort::Orders, fence.paid_orders),
            (Sort::Levels, fence.paid_levels),
            (Sort::Write, fence.paid_write),
        ];
        for (sort, paid) in paid {
            self.channels[at].budget.refund(sort, paid);
        }
        for place in fence.batch {
            self.channels[at].later.insert((now.mono + UNREAD_PAUSE, place));
        }
    }

    /// The push that brings a place to its target; `None` where it needs none, must be read first or is held.
    pub(super) fn new_push(&self, at: usize, place: PlaceId) -> Result<Option<NewPush>> {
        let channel = &self.channels[at].settings;
        let Some(plan) = plan::plan(&self.ledger, &self.settings, channel, &self.pauses, place)? else {
            return Ok(None);
        };
        let (Some(target), Some(expected)) = (plan.target(), plan.row.expected) else { return Ok(None) };
        let unread = plan.row.needs_read || plan.row.slack != Units::ZERO;
        let compares = channel.capabilities.write_mode == WriteMode::CompareAndSet;
        if plan.row.request.is_some() || target == expected.at_least_zero() || (unread && compares) {
            return Ok(None);
        }
        if self.channels[at].braked && !(plan.is_explained() && target < expected) {
            return Ok(None);
        }
        if self.channels[at].raises_held && target > expected {
            return Ok(None);
        }
        let inputs = serde_json::to_string(&plan.inputs)
            .map_err(|e| crate::ledger::LedgerError::Content(e.to_string()))?;
        let row = WriteRow {
            place: plan.row.place,
            value: target,
            change_from: compares.then_some(expected),
            counted_at: None,
        };
        Ok(Some(NewPush { place, row, inputs }))
    }

    /// Sends the write that a fence has prepared; it was paid for when the fence began.
    pub(super) fn send_ready_write(&mut self, now: Now, at: usize, out: &mut Vec<Command>) {
        if let Some((request, paid)) = self.channels[at].ready_write.take() {
            self.send_write(now, at, request, false, paid, out);
        }
    }
}
