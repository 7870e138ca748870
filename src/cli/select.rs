//! Which channel or SKU a command is about, with a hint where there is no such thing.

use crate::{
    domain::{ChannelId, ChannelSettings, Settings, Sku},
    ledger::Reader,
};

use super::Failure;

/// The configured channels, or just the one named.
///
/// # Errors
/// [`Failure::Usage`] where there is none of that name.
pub fn channels<'a>(settings: &'a Settings, name: Option<&str>) -> Result<Vec<&'a ChannelSettings>, Failure> {
    match name {
        None => Ok(settings.channels.iter().collect()),
        Some(name) => channel(settings, name).map(|channel| vec![channel]),
    }
}

/// The configured channel of that name.
///
/// # Errors
/// [`Failure::Usage`] where there is none.
pub fn channel<'a>(settings: &'a Settings, name: &str) -> Result<&'a ChannelSettings, Failure> {
    settings.channels.iter().find(|channel| channel.id == ChannelId::new(name)).ok_or_else(|| {
        let names: Vec<&str> = settings.channels.iter().map(|channel| channel.id.as_str()).collect();
        Failure::Usage(format!(
            "error: there is no channel {name} in the configuration; it has {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        ))
    })
}

/// Says that nothing is known of a SKU, and which SKUs look like it (fault D2).
///
/// # Errors
/// [`Failure::Failed`] where the ledger can't be read.
pub fn unknown_sku(reader: &Reader, sku: &Sku) -> Result<Failure, Failure> {
    let key = sku.near_key();
    let mut near: Vec<String> = reader
        .stock()?
        .into_iter()
        .map(|row| row.sku)
        .filter(|known| Sku::new(known).is_ok_and(|known| known.near_key() == key))
        .map(|known| format!("{known:?}"))
        .collect();
    near.dedup();
    let hint = if near.is_empty() {
        "`stockd stock export` lists the SKUs it knows".to_owned()
    } else {
        format!("it knows {}, which is another SKU byte for byte", near.join(", "))
    };
    Ok(Failure::Failed(anyhow::anyhow!("SKU {sku} is neither in the ledger nor on any channel; {hint}")))
}
