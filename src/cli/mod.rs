//! The commands, one file each: parse, ask the layers below, print.

pub mod check;
mod check_online;
pub mod config_arg;
pub mod demo;
mod online;
pub mod out;
pub mod run;
pub mod sandbox;

use clap::{Parser, Subcommand};

pub use config_arg::ConfigArg;
pub use out::{Failure, Out};

/// Keeps one seller's stock in step across sales channels.
#[derive(Debug, Parser)]
#[command(name = "stockd", version, about, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands; what each does stands at its arguments, where `--help` takes it from.
#[allow(missing_docs)]
#[derive(Debug, Subcommand)]
pub enum Command {
    Check(check::Check),
    Demo(demo::Demo),
    Run(run::Run),
    Sandbox(sandbox::SandboxArgs),
}

/// Runs one command to its end.
///
/// # Errors
/// A [`Failure`] with the exit code and the message for the user.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Check(check) => check::run(&check),
        Command::Demo(demo) => demo::run(&demo),
        Command::Run(run) => run::run(&run),
        Command::Sandbox(args) => sandbox::run(args),
    }
}
