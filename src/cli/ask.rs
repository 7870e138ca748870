//! How a command changes the ledger: by itself where no daemon runs, else by asking the daemon.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use chrono::Utc;
use clap::Args;

use super::Failure;
use crate::{
    domain::{Operation, Settings, Sku, Units, UtcMs},
    ledger::{Ledger, LedgerError, Mailbox, writer_is_running},
};

const POLL: Duration = Duration::from_millis(50);

/// Why something is changed; it stays in the ledger.
#[derive(Clone, Debug, Args)]
pub struct Reason {
    /// Why; kept in the ledger for those who ask later.
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
    pub reason: String,
}

/// How long to wait for a running daemon.
#[derive(Clone, Copy, Debug, Args)]
pub struct Wait {
    /// How many seconds to wait for the answer of a running daemon; after that nothing is changed.
    #[arg(long = "wait", value_name = "SECONDS", default_value_t = 30)]
    pub seconds: u64,
}

/// What time it is, for records.
pub fn now() -> UtcMs {
    UtcMs(Utc::now().timestamp_millis())
}

/// Carries an operation out, or has the running daemon do it, and gives the answer.
///
/// # Errors
/// [`Failure::Failed`] where the operation is refused, or the daemon doesn't answer in time: then it is taken back.
pub fn ask(ledger: &Path, settings: &Settings, operation: &Operation, wait: Wait) -> Result<String, Failure> {
    if !matches!(operation, Operation::Count { .. }) && !ledger.exists() {
        return Err(LedgerError::Missing(ledger.to_owned()).into());
    }
    match Ledger::open(ledger) {
        Ok(ledger) => carry_out(&ledger, settings, operation),
        Err(LedgerError::Locked(_)) => leave_for_daemon(ledger, settings, operation, wait),
        Err(error) => Err(error.into()),
    }
}

fn carry_out(ledger: &Ledger, settings: &Settings, operation: &Operation) -> Result<String, Failure> {
    let at = now();
    ledger.begin()?;
    let id = ledger.ask(at, operation)?;
    match ledger.operate(at, settings, operation)? {
        Ok(done) => {
            if done.rematch {
                for channel in &settings.channels {
                    if ledger.channel(&channel.id)?.is_some_and(|row| row.scanned_at.is_some()) {
                        ledger.match_listings(settings, channel)?;
                    }
                }
            }
            ledger.answer(id, at, &Ok(done.answer.clone()))?;
            ledger.commit()?;
            Ok(done.answer)
        }
        Err(refusal) => {
            ledger.rollback()?;
            Err(Failure::Failed(anyhow!(refusal)))
        }
    }
}

fn leave_for_daemon(
    path: &Path,
    settings: &Settings,
    operation: &Operation,
    wait: Wait,
) -> Result<String, Failure> {
    let mailbox = Mailbox::open(path)?;
    let id = mailbox.ask(now(), operation)?;
    let asked = Instant::now();
    loop {
        if let Some(answer) = mailbox.answer(id)? {
            return answer.map_err(|refusal| Failure::Failed(anyhow!(refusal)));
        }
        // Whoever held the ledger may have been no daemon, or have stopped: then nobody would ever answer.
        if !writer_is_running(path) && mailbox.withdraw(id)? {
            return carry_out(&Ledger::open(path)?, settings, operation);
        }
        if asked.elapsed() >= Duration::from_secs(wait.seconds) && mailbox.withdraw(id)? {
            return Err(Failure::Failed(anyhow!(
                "the running stockd did not answer within {} s; the request is taken back and nothing was changed \
                 (`stockd status` and its log tell how it is doing)",
                wait.seconds
            )));
        }
        thread::sleep(POLL);
    }
}

/// Reads a SKU from the command line.
///
/// # Errors
/// The reason why it can't be one.
pub fn parse_sku(text: &str) -> Result<Sku, String> {
    Sku::new(text).map_err(|error| error.to_string())
}

/// Reads a quantity from the command line.
///
/// # Errors
/// The reason why it can't be one.
pub fn parse_units(text: &str) -> Result<Units, String> {
    let units: i64 = text.parse().map_err(|_| "expected a whole number of units".to_owned())?;
    Units::new(units).map_err(|error| error.to_string())
}

/// Reads an instant from the command line.
///
/// # Errors
/// How it should be written.
pub fn parse_instant(text: &str) -> Result<UtcMs, String> {
    UtcMs::parse_rfc3339(text)
        .ok_or_else(|| "expected a time with its offset, such as 2026-11-22T18:30:00+01:00".to_owned())
}

fn parse_reason(text: &str) -> Result<String, String> {
    let reason = text.trim();
    if reason.is_empty() {
        return Err("a reason can't be empty".into());
    }
    if reason.chars().any(char::is_control) {
        return Err("a reason is one line of text".into());
    }
    Ok(reason.to_owned())
}
