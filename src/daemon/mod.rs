//! The shell: carries calls to channels and answers back, keeps the time, hears signals.
//!
//! The engine runs on a thread of its own; each call runs as a task. Nothing is decided here.

mod calls;
mod engine_thread;

use std::{sync::mpsc, thread, time::Duration};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc as tokio_mpsc,
};

use crate::{
    channels::{Client, Connection},
    domain::{ChannelId, Settings},
    engine::Engine,
    kill_points::{Point, pass},
    ledger::{Depth, Ledger, LedgerError, Standing},
};
use engine_thread::{Clock, Input};

/// Runs until a signal says stop; calls under way then have `grace` to end.
///
/// # Errors
/// The ledger can't be used, a channel's client can't be built, or the engine has met damage that waiting won't cure.
pub fn run(
    settings: Settings,
    connections: &[(ChannelId, Connection)],
    grace: Duration,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let clients = connections
        .iter()
        .map(|(id, connection)| {
            let client = Client::new(connection).with_context(|| format!("channel {id}"))?;
            Ok((id.clone(), client))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let clock = Clock::start();
    let ledger = Ledger::open(&settings.ledger)?;
    refuse_a_damaged(&ledger)?;
    tell_standing(&ledger)?;
    pass(Point::StartOpened);
    let engine = Engine::new(ledger, settings, clock.now())?;
    pass(Point::StartLoaded);
    tracing::info!(event = "daemon.started", version = env!("CARGO_PKG_VERSION"), "stockd is running");

    let (input, inputs) = mpsc::sync_channel(1_024);
    let (command, commands) = tokio_mpsc::unbounded_channel();
    let thread = thread::Builder::new()
        .name("engine".into())
        .spawn(move || engine_thread::run(engine, &clock, &inputs, &command, grace))
        .context("can't start the engine's thread")?;
    runtime.block_on(async {
        let stop = input.clone();
        tokio::spawn(async move {
            wait_for_stop().await;
            // An engine that is gone needs no telling.
            let _ = stop.send(Input::Stop);
        });
        calls::carry(clients, commands, input).await;
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    let ended =
        thread.join().map_err(|_| anyhow::anyhow!("the engine's thread has panicked; this is a defect"))?;
    tracing::info!(event = "daemon.stopped", "stockd has stopped");
    ended
}

/// A ledger that doesn't add up is not worked with: every number pushed from it would be wrong.
fn refuse_a_damaged(ledger: &Ledger) -> anyhow::Result<()> {
    let report = ledger.verify(Depth::SinceCheckpoint)?;
    for problem in &report.problems {
        tracing::error!(event = "ledger.damaged", "{}: {}", problem.subject, problem.detail);
    }
    anyhow::ensure!(
        report.is_clean(),
        "the ledger {path} fails verification, and nothing is read or written with it. `stockd verify` tells all that \
         is wrong. Keep {path}, {path}-wal and {path}-shm elsewhere, put the latest backup in their place that verifies \
         (`stockd verify --ledger FILE`), leave {path}.head where it is, and start again: by the head record stockd \
         sees that the ledger is an older one, reads the orders since, and raises nothing until it has",
        path = ledger.path().display()
    );
    Ok(())
}

/// Says so where the ledger is an older one put back, be it noticed now or in an earlier run, or where nobody can tell.
fn tell_standing(ledger: &Ledger) -> Result<(), LedgerError> {
    if let Standing::Unnoted(why) = ledger.found() {
        tracing::warn!(
            event = "ledger.head_missing",
            "whether the ledger is the latest can't be told: {why}; noted from here on"
        );
    }
    if let Some(restored) = ledger.restored()? {
        tracing::error!(
            event = "ledger.restored",
            "the ledger is an older one put back, or has lost its write-ahead log: {}; nothing is raised on any channel \
             until the numbers and the orders of all have been read again",
            restored.detail
        );
    }
    Ok(())
}

/// Returns on SIGTERM or SIGINT. A SIGHUP is answered in the log: there is nothing to reload it could mean.
async fn wait_for_stop() {
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        tracing::error!(
            event = "daemon.no_signals",
            "can't listen for signals; only a kill stops this program"
        );
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = term.recv() => return tracing::info!(event = "daemon.stopping", "SIGTERM: ending what is under way"),
            _ = int.recv() => return tracing::info!(event = "daemon.stopping", "SIGINT: ending what is under way"),
            _ = hup.recv() => {
                tracing::warn!(event = "daemon.hangup", "SIGHUP is ignored; restart to read the configuration again");
            }
        }
    }
}
