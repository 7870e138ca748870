//! The commands, one file each: parse, ask the layers below, print.

pub mod adopt;
pub mod ask;
pub mod check;
mod check_online;
pub mod config_arg;
pub mod demo;
pub mod explain;
pub mod history;
mod online;
pub mod out;
pub mod oversells;
pub mod pause;
pub mod plan;
pub mod quarantine;
pub mod replay;
pub mod run;
pub mod sandbox;
pub mod select;
pub mod status;
pub mod stock;
pub mod verify;

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
    Adopt(adopt::Adopt),
    Check(check::Check),
    Demo(demo::Demo),
    Replay(replay::Replay),
    Run(run::Run),
    Sandbox(sandbox::SandboxArgs),
    Plan(plan::Plan),
    Explain(explain::Explain),
    Status(status::Status),
    History(history::History),
    Oversells(oversells::Oversells),
    Stock(stock::Stock),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Release(pause::Release),
    Quarantine(quarantine::Quarantine),
    Verify(verify::Verify),
}

/// Runs one command to its end.
///
/// # Errors
/// A [`Failure`] with the exit code and the message for the user.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Adopt(adopt) => adopt::run(&adopt),
        Command::Check(check) => check::run(&check),
        Command::Demo(demo) => demo::run(&demo),
        Command::Replay(replay) => replay::run(&replay),
        Command::Run(run) => run::run(&run),
        Command::Sandbox(args) => sandbox::run(args),
        Command::Plan(plan) => plan::run(&plan),
        Command::Explain(explain) => explain::run(&explain),
        Command::Status(status) => status::run(&status),
        Command::History(history) => history::run(&history),
        Command::Oversells(oversells) => oversells::run(&oversells),
        Command::Stock(stock) => stock::run(&stock),
        Command::Pause(pause) => pause::pause(&pause),
        Command::Resume(resume) => pause::resume(&resume),
        Command::Release(release) => pause::release(&release),
        Command::Quarantine(quarantine) => quarantine::run(&quarantine),
        Command::Verify(verify) => verify::run(&verify),
    }
}
