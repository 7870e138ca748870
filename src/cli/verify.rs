//! `stockd verify`: does the ledger still say what was written into it?

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::{ConfigArg, Failure, Out};
use crate::{
    config::Secrets,
    ledger::{Depth, Reader, VerifyReport},
};

/// Verifies the ledger.
///
/// Recomputes the hash chain over all movements, every balance from its movements, what each order line has applied
/// from its latest snapshot, and every number ever pushed from the stock and the policy of its moment. Changes nothing,
/// and may run beside the daemon. Exit code 1 where something does not hold.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stockd verify\n  stockd verify --ledger /var/backups/stockd/ledger.db")]
pub struct Verify {
    #[command(flatten)]
    config: ConfigArg,
    /// Verify this file, a backup for instance, instead of the configured ledger.
    #[arg(long, value_name = "PATH")]
    ledger: Option<PathBuf>,
    /// Start from the last checkpoint instead of the first movement, as the daemon does.
    #[arg(long)]
    quick: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Failed`] where an invariant does not hold.
pub fn run(args: &Verify) -> Result<(), Failure> {
    let path = match &args.ledger {
        Some(path) => path.clone(),
        None => args.config.load_with(Secrets::Unread)?.settings.ledger,
    };
    let depth = if args.quick { Depth::SinceCheckpoint } else { Depth::Whole };
    let report = Reader::open(&path)?.verify(depth)?;
    if args.json {
        Out.json(&report)?;
    } else {
        print(&report)?;
    }
    if report.is_clean() {
        return Ok(());
    }
    Err(Failure::Failed(anyhow!(
        "{path} does not verify: {} problem{}; stop stockd, keep {path}, {path}-wal and {path}-shm elsewhere, put the \
         latest backup that verifies in their place, leave {path}.head where it is and start again: the channels' orders \
         since then are read once more",
        report.problem_count,
        if report.problem_count == 1 { "" } else { "s" },
        path = path.display()
    )))
}

fn print(report: &VerifyReport) -> Result<(), Failure> {
    let rows: Vec<[String; 3]> = report
        .checks
        .iter()
        .map(|check| {
            let bad = report.problems.iter().filter(|problem| problem.invariant == check.invariant).count();
            let found = if bad == 0 { "holds".into() } else { format!("BROKEN ({bad})") };
            [check.invariant.name().into(), format!("{} {}", check.checked, check.what), found]
        })
        .collect();
    Out.table(&["invariant", "checked", ""], &rows)?;
    for problem in &report.problems {
        Out.line(format!("{}: {}: {}", problem.invariant.name(), problem.subject, problem.detail))?;
    }
    let unnamed = report.problem_count - report.problems.len();
    if unnamed > 0 {
        Out.line(format!("... and {unnamed} more"))?;
    }
    Ok(())
}
