//! `stockd explain`: how each number of a SKU came about.

mod text;

use clap::Args;
use serde::Serialize;

use super::{ConfigArg, Failure, Out, ask, select};
use crate::{
    config::Secrets,
    domain::{ChannelSettings, Settings, Sku, Units, UtcMs},
    engine::plan::{self, Inputs},
    ledger::{
        Brake, HistoryRow, IncidentRow, ListingRow, Pause, PlaceId, PushRow, Reader, ShadowRow, StockRow,
    },
};

/// Explains every number of a SKU, line by line.
///
/// From the movements to on hand and committed, from there by buffer, share, cap and minimum to the target of each
/// listing, what the channel is believed to show and was seen to show, and what became of the last pushes. Reads the
/// ledger only.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  stockd explain MUG-1\n  stockd explain MUG-1 web --last 3")]
pub struct Explain {
    #[command(flatten)]
    config: ConfigArg,
    /// The SKU of the ledger, or of a listing (a bundle, say).
    #[arg(value_parser = ask::parse_sku)]
    sku: Sku,
    /// Only this channel.
    channel: Option<String>,
    /// How many movements and pushes to show.
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(i64).range(0..))]
    last: i64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Explanation {
    sku: String,
    /// The last movements, oldest first, and how many there are in all.
    movements: Vec<HistoryRow>,
    movement_count: i64,
    stock: Vec<StockRow>,
    shadows: Vec<ShadowRow>,
    listings: Vec<ListingExplained>,
}

#[derive(Serialize)]
struct ListingExplained {
    #[serde(flatten)]
    listing: ListingRow,
    /// `observe` or `push`; nothing for a channel that is no longer configured.
    mode: Option<&'static str>,
    /// After how many seconds the channel's open orders count as shipped; nothing for one that says so itself.
    assume_shipped_after_s: Option<u64>,
    brake: Option<Brake>,
    pauses: Vec<Pause>,
    places: Vec<PlaceExplained>,
    incidents: Vec<IncidentRow>,
}

#[derive(Serialize)]
struct PlaceExplained {
    location: String,
    /// What the target is worked out from; nothing where no target is.
    inputs: Option<Inputs>,
    /// What it should show; nothing where it is left alone or held.
    target: Option<Units>,
    expected: Option<Units>,
    /// By how much it may show less than expected, through sales that our own write may have erased.
    slack: Units,
    /// The same, through sales that the last read may or may not have shown.
    unplaced: Units,
    observed: Option<Units>,
    observed_at: Option<UtcMs>,
    needs_read: bool,
    /// The unresolved write.
    request: Option<i64>,
    /// The last pushes, latest first.
    pushes: Vec<PushRow>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`].
pub fn run(args: &Explain) -> Result<(), Failure> {
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let channels = select::channels(&settings, args.channel.as_deref())?;
    let reader = Reader::open(&settings.ledger)?;
    let explanation = explain(&reader, &settings, args, &channels)?;
    if args.json { Ok(Out.json(&explanation)?) } else { text::print(&explanation) }
}

fn explain(
    reader: &Reader,
    settings: &Settings,
    args: &Explain,
    channels: &[&ChannelSettings],
) -> Result<Explanation, Failure> {
    let sku = args.sku.as_str();
    let (stock, listings) = (reader.stock_of(sku)?, reader.listings_of(sku)?);
    if stock.is_empty() && listings.is_empty() {
        return Err(select::unknown_sku(reader, &args.sku)?);
    }
    let (pauses, brakes) = (reader.pauses()?, reader.brakes()?);
    let wanted = |listing: &ListingRow| {
        args.channel.is_none() || channels.iter().any(|channel| channel.id == listing.channel)
    };
    let explainer = Explainer { reader, settings, last: args.last, pauses, brakes };
    Ok(Explanation {
        sku: sku.to_owned(),
        movements: reader.history(sku, args.last)?,
        movement_count: reader.history_length(sku)?,
        stock,
        shadows: reader.shadows_of(sku)?,
        listings: listings
            .into_iter()
            .filter(wanted)
            .map(|listing| explainer.listing(listing))
            .collect::<Result<_, Failure>>()?,
    })
}

struct Explainer<'a> {
    reader: &'a Reader,
    settings: &'a Settings,
    last: i64,
    pauses: Vec<Pause>,
    brakes: Vec<Brake>,
}

impl Explainer<'_> {
    fn listing(&self, listing: ListingRow) -> Result<ListingExplained, Failure> {
        let channel = self.settings.channels.iter().find(|channel| channel.id == listing.channel);
        let skus = self.reader.component_skus(listing.row)?;
        let concerned = |pause: &&Pause| {
            pause.channel == listing.channel
                && (pause.sku.is_empty()
                    || pause.sku == listing.channel_sku
                    || skus.iter().any(|sku| sku.as_str() == pause.sku))
        };
        let places = listing.places.iter().map(|place| self.place(channel, *place));
        Ok(ListingExplained {
            mode: channel.map(|channel| channel.mode.name()),
            assume_shipped_after_s: channel
                .and_then(|channel| channel.assume_shipped_after)
                .map(|after| after.as_secs()),
            brake: self.brakes.iter().find(|brake| brake.channel == listing.channel).cloned(),
            pauses: self.pauses.iter().filter(concerned).cloned().collect(),
            places: places.filter_map(Result::transpose).collect::<Result<_, Failure>>()?,
            incidents: self.reader.incidents_of(&listing.channel, &listing.channel_sku, self.last)?,
            listing,
        })
    }

    fn place(
        &self,
        channel: Option<&ChannelSettings>,
        place: PlaceId,
    ) -> Result<Option<PlaceExplained>, Failure> {
        let plan = match channel {
            Some(channel) => plan::plan(self.reader, self.settings, channel, &self.pauses, place)?,
            None => None,
        };
        let (row, inputs) = match plan {
            Some(plan) => (Some(plan.row), Some(plan.inputs)),
            None => (self.reader.place(place)?, None),
        };
        let Some(row) = row else { return Ok(None) };
        Ok(Some(PlaceExplained {
            location: row.place.location.to_string(),
            target: inputs.as_ref().and_then(Inputs::target),
            inputs,
            expected: row.expected,
            slack: row.slack,
            unplaced: row.unplaced,
            observed: row.observed,
            observed_at: row.observed_at,
            needs_read: row.needs_read,
            request: row.request,
            pushes: self.reader.last_pushes(place, self.last)?,
        }))
    }
}
