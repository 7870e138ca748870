//! Parse, run, exit code; the only place that prints an error chain.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use stockd::cli::{self, Cli, Failure};

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn report(failure: &Failure) {
    let text = match failure {
        Failure::Differences => return,
        Failure::Failed(error) => format!("error: {error:#}"),
        Failure::Usage(text) | Failure::Config(text) => text.clone(),
    };
    // Nobody is left to tell if standard error is gone too.
    let _ = writeln!(std::io::stderr(), "{text}");
}
