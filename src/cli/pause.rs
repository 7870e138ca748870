//! `stockd pause`, `stockd resume`, `stockd release`: hold a channel's numbers, or let them go.

use clap::Args;

use super::{
    ConfigArg, Failure, Out,
    ask::{self, Reason, Wait},
    select,
};
use crate::{
    config::Secrets,
    domain::{ChannelId, Operation, Settings, Sku},
    ledger::Reader,
};

/// Stops changing a channel's numbers, or those of one SKU on it.
///
/// Without --zero whatever is shown stays; with it 0 is shown until the pause ends. Orders are read and booked all the
/// same, and what a paused channel shows still counts against the others.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stockd pause web --reason 'theme change'\n  \
                        stockd pause web MUG-1 --zero --reason 'recall'")]
pub struct Pause {
    #[command(flatten)]
    config: ConfigArg,
    /// The channel, by its name in the configuration.
    channel: String,
    /// Only this SKU (of the ledger, or as the channel has it).
    #[arg(value_parser = ask::parse_sku)]
    sku: Option<Sku>,
    /// Show 0 instead of holding what is shown.
    #[arg(long)]
    zero: bool,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    wait: Wait,
}

/// Ends a pause.
///
/// Name the SKU where the pause was for a SKU. The channel's numbers are put right at once.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stockd resume web --reason 'theme is live'")]
pub struct Resume {
    #[command(flatten)]
    config: ConfigArg,
    /// The channel, by its name in the configuration.
    channel: String,
    /// The SKU whose pause ends; without it, the pause of the whole channel.
    #[arg(value_parser = ask::parse_sku)]
    sku: Option<Sku>,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    wait: Wait,
}

/// Releases a channel's brake.
///
/// The brake holds a plan that would change more of a channel than is usual without a sale that explains it. Look at
/// `stockd plan --channel CHANNEL` first: what it lists goes out.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stockd release web --reason 'new stock-take, numbers checked'")]
pub struct Release {
    #[command(flatten)]
    config: ConfigArg,
    /// The channel, by its name in the configuration.
    channel: String,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    wait: Wait,
}

/// Runs `stockd pause`.
///
/// # Errors
/// [`Failure`].
pub fn pause(args: &Pause) -> Result<(), Failure> {
    let (settings, channel) = settings(&args.config, &args.channel)?;
    if let Some(sku) = &args.sku {
        let reader = Reader::open(&settings.ledger)?;
        if !reader.knows(sku.as_str())? && reader.listings_of(sku.as_str())?.is_empty() {
            return Err(select::unknown_sku(&reader, sku)?);
        }
    }
    let (sku, reason) = (args.sku.clone(), args.reason.reason.clone());
    tell(&settings, &Operation::Pause { channel, sku, zero: args.zero, reason }, args.wait)
}

/// Runs `stockd resume`.
///
/// # Errors
/// [`Failure`].
pub fn resume(args: &Resume) -> Result<(), Failure> {
    let (settings, channel) = settings(&args.config, &args.channel)?;
    let (sku, reason) = (args.sku.clone(), args.reason.reason.clone());
    tell(&settings, &Operation::Resume { channel, sku, reason }, args.wait)
}

/// Runs `stockd release`.
///
/// # Errors
/// [`Failure`].
pub fn release(args: &Release) -> Result<(), Failure> {
    let (settings, channel) = settings(&args.config, &args.channel)?;
    tell(&settings, &Operation::Release { channel, reason: args.reason.reason.clone() }, args.wait)
}

fn settings(config: &ConfigArg, channel: &str) -> Result<(Settings, ChannelId), Failure> {
    let settings = config.load_with(Secrets::Unread)?.settings;
    let channel = select::channel(&settings, channel)?.id.clone();
    Ok((settings, channel))
}

fn tell(settings: &Settings, operation: &Operation, wait: Wait) -> Result<(), Failure> {
    Ok(Out.line(ask::ask(&settings.ledger, settings, operation, wait)?)?)
}
