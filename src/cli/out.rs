//! Output and exit codes.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::ledger::LedgerError;

/// Why a command ends with an exit code other than 0.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something did not work: exit code 1. The whole chain of causes is printed.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
    /// What was asked for makes no sense: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// `--exit-code` was given and there is something to report: exit code 3. Nothing more is printed.
    #[error("differences found")]
    Differences,
    /// The configuration can't be used: exit code 78. The message is printed as it stands.
    #[error("{0}")]
    Config(String),
}

impl Failure {
    /// The process exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Differences => 3,
            Self::Config(_) => 78,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error.into())
    }
}

/// Standard output; a reader that has gone away (a closed pipe) is no failure.
#[derive(Debug, Default)]
pub struct Out;

impl Out {
    /// Prints one line.
    ///
    /// # Errors
    /// Whatever writing fails with, other than a closed pipe.
    pub fn line(&self, text: impl AsRef<str>) -> io::Result<()> {
        forgive_closed_pipe(writeln!(io::stdout().lock(), "{}", text.as_ref()))
    }

    /// Prints a value as indented JSON.
    ///
    /// # Errors
    /// As [`Out::line`], or where the value can't be JSON.
    pub fn json(&self, value: &impl Serialize) -> io::Result<()> {
        self.line(serde_json::to_string_pretty(value)?)
    }

    /// Prints a table with a heading row.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn table<R: AsRef<[String]>>(&self, heading: &[&str], rows: &[R]) -> io::Result<()> {
        self.line(Self::rendered(heading, rows))
    }

    /// A table with a heading row, as text.
    pub fn rendered<R: AsRef<[String]>>(heading: &[&str], rows: &[R]) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(heading.iter().copied());
        for row in rows {
            table.add_row(row.as_ref().iter());
        }
        table.trim_fmt()
    }

    /// Whether a person is looking.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }
}

fn forgive_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
