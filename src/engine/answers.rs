//! What a channel answered, and what to do where it gave no answer.

use std::time::Duration;

use super::{
    CallId, Engine, Level, Notice, Result,
    channel::{Heard, InFlight, What},
    poll::jittered,
};
use crate::{
    domain::{Answer, CallError, Identity, Meter, Now, Reply},
    ledger::{OrderRead, Span},
};

/// The longest pause after failures in a row.
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);
/// The pause after refused credentials.
const AUTH_BACKOFF: Duration = Duration::from_mins(5);

impl Engine {
    pub(super) fn answered(&mut self, now: Now, call: CallId, took: Duration, answer: &Answer) -> Result<()> {
        let Some(flight) = self.calls.remove(&call) else { return Ok(()) };
        let at = flight.channel;
        let channel = &mut self.channels[at];
        channel.in_flight = channel.in_flight.saturating_sub(1);
        match flight.what {
            What::Poll | What::Sweep | What::Reread { .. } => channel.orders_in_flight = false,
            What::Scan => channel.scan_in_flight = false,
            What::Look => {
                channel.looks.in_flight = false;
                channel.looks.took = now.mono.saturating_sub(flight.sent);
            }
            _ => {}
        }
        if matches!(flight.what, What::Poll) {
            channel.answered_in(now.mono.saturating_sub(flight.sent));
        }
        channel.budget.told(now.mono, flight.sort, flight.places, flight.paid, &answer.meter);
        let heard = heard(now, &flight, took, &answer.meter, channel.settings.capabilities.time_step_ms);
        match &answer.result {
            Ok(reply) => {
                if channel.failures > 0 {
                    let detail = format!("reachable again after {} failures", channel.failures);
                    self.notices
                        .push(Notice::new(Level::Info, "channel.recovered", detail).on(&channel.settings.id));
                }
                channel.failures = 0;
                self.replied(heard, flight, reply)
            }
            Err(error) => {
                self.back_off(now, at, error);
                self.gave_up(heard, flight, error)
            }
        }
    }

    fn replied(&mut self, heard: Heard, flight: InFlight, reply: &Reply) -> Result<()> {
        let at = flight.channel;
        match (flight.what, reply) {
            (What::Identify, Reply::Identity(identity)) => self.identified(heard.now, at, identity),
            (What::Poll, Reply::Orders(page)) => self.polled(heard, at, page),
            (What::Sweep, Reply::Orders(page)) => self.swept(heard, at, page),
            (What::Reread { orders }, Reply::Orders(page)) => self.reread(heard, at, &orders, page),
            (What::Scan, Reply::Listings(page)) => self.scanned(heard, at, page),
            (What::Look, Reply::Levels(levels)) => self.looked(heard, at, levels),
            (What::FenceLevels, Reply::Levels(levels)) => self.fence_levels(heard, at, levels),
            (What::SettleLevels { request }, Reply::Levels(levels)) => {
                self.settle_by_levels(heard, at, request, levels)
            }
            (What::Write { request, repeat: _ }, Reply::Written(outcomes)) => {
                self.written(heard, at, request, outcomes)
            }
            (What::Forgotten, Reply::Orders(page)) => {
                self.take_orders(heard, at, page, OrderRead::Listed, false).map(|_| ())
            }
            (What::Forgotten, _) => Ok(()),
            (what, _) => {
                let error =
                    CallError::Unknown { detail: "the reply is of another sort than the call".into() };
                self.gave_up(heard, InFlight { what, ..flight }, &error)
            }
        }
    }

    /// No reply: whatever the call was for is put back to where it can start again.
    fn gave_up(&mut self, heard: Heard, flight: InFlight, error: &CallError) -> Result<()> {
        let (now, at) = (heard.now, flight.channel);
        match flight.what {
            What::Poll => {
                let channel = &mut self.channels[at];
                channel.poll = None;
                channel.next_poll = channel.backoff_until.max(now.mono);
                self.drop_fence(now, at);
            }
            What::Sweep => {
                let channel = &mut self.channels[at];
                channel.sweep = None;
                channel.next_sweep = Some(channel.backoff_until.max(now.mono) + Duration::from_mins(1));
            }
            What::Reread { .. } => self.reread_failed(now, at),
            What::Scan => {
                // The page is asked for again; a scan whose page token has died starts over.
                let channel = &mut self.channels[at];
                if matches!(error, CallError::Rejected { .. }) || channel.failures > 5 {
                    channel.scan = None;
                }
                channel.next_scan = Some(channel.backoff_until.max(now.mono));
            }
            What::FenceLevels => self.drop_fence(now, at),
            What::SettleLevels { request } => self.postpone_settling(now, at, request),
            What::Write { request, repeat } => self.write_failed(heard, at, request, repeat, error)?,
            What::Identify | What::Look | What::Forgotten => {}
        }
        Ok(())
    }

    fn back_off(&mut self, now: Now, at: usize, error: &CallError) {
        let channel = &mut self.channels[at];
        let id = channel.settings.id.clone();
        let wait = match error {
            CallError::Throttled { wait, detail } => {
                let wait = wait.unwrap_or_else(|| jittered(channel, Duration::from_secs(2)));
                let detail = format!("waits {} ms: {detail}", wait.as_millis());
                self.notices.push(Notice::new(Level::Warn, "channel.throttled", detail).on(&id));
                wait
            }
            CallError::Auth { detail } => {
                channel.failures += 1;
                self.notices.push(Notice::new(Level::Error, "channel.refused_credentials", detail).on(&id));
                AUTH_BACKOFF
            }
            CallError::Retry { detail } | CallError::Unknown { detail } | CallError::Rejected { detail } => {
                channel.failures += 1;
                let level = if channel.failures == 5 { Level::Error } else { Level::Warn };
                let count = i64::from(channel.failures);
                let notice = Notice::new(level, "channel.failing", detail).on(&id).count(count);
                self.notices.push(notice);
                let doubled = Duration::from_secs(1) * 2_u32.saturating_pow(channel.failures.min(10) - 1);
                jittered(channel, doubled.min(LONGEST_BACKOFF))
            }
        };
        let channel = &mut self.channels[at];
        channel.backoff_until = channel.backoff_until.max(now.mono + wait);
    }

    fn identified(&mut self, now: Now, at: usize, identity: &Identity) -> Result<()> {
        let settings = &self.channels[at].settings;
        let pinned = self.ledger.pin_account(now.utc, settings, &identity.account, &identity.name)?;
        let id = settings.id.clone();
        for warning in &identity.warnings {
            self.notices.push(Notice::new(Level::Warn, "channel.warning", warning).on(&id));
        }
        if pinned == identity.account {
            self.channels[at].identified = true;
            let detail = format!("{} ({})", identity.name, identity.account);
            self.notices.push(Notice::new(Level::Info, "channel.identified", detail).on(&id));
            return Ok(());
        }
        self.channels[at].barred = true;
        let detail = format!(
            "the credentials belong to account {}, this channel was pinned to {pinned}: nothing is read or written; \
             check whether the credentials of two channels are swapped",
            identity.account
        );
        self.incident(now, "channel.wrong_account", &id, None, &detail)
    }
}

/// Between which instants of the channel's clock the call was carried out.
fn heard(now: Now, flight: &InFlight, took: Duration, meter: &Meter, step_ms: i64) -> Heard {
    let took_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX / 4);
    let step = step_ms.max(1);
    let date = meter.server_time.unwrap_or(now.utc);
    // The server's date is cut to the second: it was sent somewhere in [date, date + step).
    let span = Span { from: date.plus_ms(-took_ms), to: date.plus_ms(step - 1) };
    Heard { now, sent: flight.sent, span }
}
