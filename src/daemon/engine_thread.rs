//! The engine's thread: one queue of events in, calls out, one clock.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use chrono::Utc;
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    domain::{Now, UtcMs},
    engine::{Command, Engine, Event},
    ledger::LedgerError,
};

/// How often the ledger is asked whether a person has left a request: one number read from memory.
const LOOK_FOR_REQUESTS: Duration = Duration::from_millis(200);
/// Events taken into one transaction, at most.
const MOST_EVENTS: usize = 256;
/// The pause after a ledger error that waiting may cure.
const LEDGER_PAUSE: Duration = Duration::from_secs(1);

/// What the engine's thread is told.
#[derive(Debug)]
pub(super) enum Input {
    /// Something happened.
    Event(Event),
    /// End what is under way, then stop.
    Stop,
}

/// The program's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: self.started.elapsed(), utc: UtcMs(Utc::now().timestamp_millis()) }
    }
}

/// Feeds the engine until it is told to stop and nothing is under way, or until `grace` after that.
pub(super) fn run(
    mut engine: Engine,
    clock: &Clock,
    inputs: &Receiver<Input>,
    commands: &UnboundedSender<Command>,
    grace: Duration,
) -> anyhow::Result<()> {
    let mut wake = Some(clock.now().mono);
    let mut stop_by: Option<Duration> = None;
    let mut version = None;
    let mut events = Vec::new();
    loop {
        let now = clock.now().mono;
        if stop_by.is_some_and(|by| engine.calls_in_flight() == 0 || now >= by) {
            return Ok(());
        }
        let pause = wake.map_or(LOOK_FOR_REQUESTS, |at| at.saturating_sub(now)).min(LOOK_FOR_REQUESTS);
        events.clear();
        let mut next = inputs.recv_timeout(pause);
        loop {
            match next {
                Ok(Input::Event(event)) => events.push(event),
                Ok(Input::Stop) => {
                    engine.stop();
                    stop_by = Some(clock.now().mono + grace);
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if events.len() >= MOST_EVENTS {
                break;
            }
            next = inputs.recv_timeout(Duration::ZERO);
        }
        // An error shows in the round as well, and is survived or not there.
        let seen = engine.ledger().data_version().ok();
        if version != seen {
            version = seen;
            events.push(Event::Requests);
        }
        let now = clock.now();
        if events.is_empty() && wake.is_some_and(|at| at > now.mono) {
            continue;
        }
        match engine.handle(now, &events) {
            Ok(step) => {
                wake = step.wake;
                for command in step.commands {
                    // A shell that has gone takes no calls; what was prepared is unknown at the next start.
                    let _ = commands.send(command);
                }
            }
            Err(error) => wake = Some(survive(&error, now)?),
        }
    }
}

/// A full disk or a locked file passes; nothing was committed and nothing sent. Anything else ends the program.
fn survive(error: &LedgerError, now: Now) -> anyhow::Result<Duration> {
    if !error.is_passing() {
        return Err(anyhow::anyhow!("{error}"));
    }
    tracing::error!(
        event = "ledger.failing",
        "nothing is written or sent until the ledger works again: {error}"
    );
    Ok(now.mono + LEDGER_PAUSE)
}
