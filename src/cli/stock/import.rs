//! `stockd stock import`.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::Args;
use serde::Serialize;

use super::{
    Counted,
    count_file::{self, BadLines, CountFile, Defaults},
};
use crate::{
    cli::{
        ConfigArg, Failure, Out,
        ask::{self, Wait},
    },
    config::Secrets,
    domain::{CountRow, LocationId, Operation, Settings, Sku, Units},
    ledger::{Reader, StockRow},
};

/// Imports a count from a CSV file, all of it or nothing.
///
/// The first line names the columns: `sku` and one of `on_hand` (units on the shelf), `available` (units free to sell)
/// or `quantity` (then `basis` or --basis says which); `location` and `counted_at` (a time with its offset) may follow.
/// SKUs are taken byte for byte. SKUs that are not in the file keep their stock.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  printf 'sku,on_hand\\nMUG-1,12\\n' > count.csv\n  \
                        stockd stock import count.csv --dry-run\n  \
                        stockd stock import count.csv --reason 'stock-take of November'")]
pub(super) struct Import {
    #[command(flatten)]
    config: ConfigArg,
    /// The CSV file.
    file: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Go on even if more than half of the SKUs in stock would be left with none, or more of them than [brake] allows
    /// would change.
    #[arg(long)]
    yes: bool,
    /// Why; kept in the ledger. Without it, the file's name.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// With --dry-run, print JSON.
    #[arg(long, requires = "dry_run")]
    json: bool,
    #[command(flatten)]
    counted: Counted,
    #[command(flatten)]
    wait: Wait,
}

pub(super) fn run(args: &Import) -> Result<(), Failure> {
    let settings = args.config.load_with(Secrets::Unread)?.settings;
    let bytes = fs::read(&args.file).with_context(|| format!("can't read {}", args.file.display()))?;
    let now = ask::now();
    let defaults = Defaults {
        basis: args.counted.basis.into(),
        location: LocationId::new(&args.counted.location),
        counted_at: args.counted.at.unwrap_or(now),
        now,
    };
    let file = count_file::read(&bytes, &defaults).map_err(|bad| refused(&args.file, &bad))?;
    let reader = settings.ledger.exists().then(|| Reader::open(&settings.ledger)).transpose()?;
    let preview = Preview::of(reader.as_ref(), &settings, &file).map_err(|why| match why {
        Unfit::Lines(bad) => refused(&args.file, &bad),
        Unfit::Failed(failure) => failure,
    })?;
    if args.dry_run {
        return preview.print(args.json);
    }
    for note in &preview.notes {
        Out.line(format!("note: {note}"))?;
    }
    if let Some(doubt) = preview.doubt(&settings).filter(|_| !args.yes) {
        return Err(Failure::Failed(anyhow!(
            "this would {doubt}; nothing was imported. Look at it with --dry-run; --yes imports it all the same"
        )));
    }
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    let reason = args.reason.clone().unwrap_or_else(|| format!("import of {name}"));
    let rows = file.rows.into_iter().map(|(_, row)| row).collect();
    let operation = Operation::Count { rows, reason };
    Ok(Out.line(ask::ask(&settings.ledger, &settings, &operation, args.wait)?)?)
}

fn refused(file: &Path, bad: &BadLines) -> Failure {
    let mut text = format!(
        "{}: {} can't be used; nothing was imported",
        file.display(),
        if bad.len() == 1 { "1 line".to_owned() } else { format!("{} lines", bad.len()) }
    );
    for (line, why) in bad {
        // Writing to a string can't fail.
        let _ = write!(text, "\n  line {line}: {why}");
    }
    Failure::Failed(anyhow!(text))
}

/// What an import would do.
#[derive(Serialize)]
struct Preview {
    changes: Vec<Change>,
    unchanged: usize,
    /// SKUs that the ledger knows.
    known: usize,
    /// SKUs in stock now.
    stocked: usize,
    /// Those of them that would have none.
    zeroed: usize,
    /// What looks like a mistake and may be none.
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Change {
    line: u64,
    sku: String,
    location: String,
    /// Nothing for a SKU that is not at the location yet.
    on_hand_before: Option<Units>,
    on_hand: Units,
    committed: Units,
    available: Units,
}

enum Unfit {
    Lines(BadLines),
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Unfit {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Preview {
    fn of(reader: Option<&Reader>, settings: &Settings, file: &CountFile) -> Result<Self, Unfit> {
        let stock = reader.map(Reader::stock).transpose()?.unwrap_or_default();
        let (mut changes, mut unchanged, mut outdated) = (Vec::new(), 0, BadLines::new());
        let known: HashMap<(&str, &str), &StockRow> =
            stock.iter().map(|row| ((row.sku.as_str(), row.location.as_str()), row)).collect();
        for (line, row) in &file.rows {
            let before = known.get(&(row.sku.as_str(), row.location.as_str()));
            let delta = match reader {
                Some(reader) => {
                    if let Some(later) = reader.counted_later(row)? {
                        outdated
                            .insert(*line, format!("{} was counted again at {later}, after this", row.sku));
                    }
                    reader.count_effect(row)?.delta
                }
                None => row.quantity,
            };
            if before.is_some() && delta == Units::ZERO {
                unchanged += 1;
            } else {
                changes.push(Change::of(*line, row, before.copied(), delta));
            }
        }
        if !outdated.is_empty() {
            return Err(Unfit::Lines(outdated));
        }
        let (stocked, zeroed) = zeroed(&stock, &changes);
        let known = stock.iter().map(|row| &row.sku).collect::<HashSet<_>>().len();
        Ok(Self { unchanged, known, stocked, zeroed, notes: notes(&stock, settings, file), changes })
    }

    /// What a person should confirm. What an import changes goes out to the channels without being asked for again.
    fn doubt(&self, settings: &Settings) -> Option<String> {
        let counted = |count: usize| Units::of(i64::try_from(count).unwrap_or(i64::MAX));
        let changed: HashSet<&str> =
            self.changes.iter().filter(|c| c.is_correction()).map(|c| &*c.sku).collect();
        let (share, least) = (settings.brake.share, i64::from(settings.brake.min_listings));
        if self.zeroed * 2 > self.stocked {
            return Some(format!("leave {} of the {} SKUs in stock with none", self.zeroed, self.stocked));
        }
        let limit = share.of_rounded_down(counted(self.known)).get().max(least);
        (counted(changed.len()).get() > limit)
            .then(|| format!("change {} of the {} SKUs in the ledger", changed.len(), self.known))
    }

    fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            return Ok(Out.json(self)?);
        }
        for note in &self.notes {
            Out.line(format!("note: {note}"))?;
        }
        if !self.changes.is_empty() {
            let rows: Vec<[String; 7]> = self.changes.iter().map(Change::cells).collect();
            Out.table(&["line", "SKU", "location", "on hand", "becomes", "committed", "available"], &rows)?;
        }
        let (changed, unchanged) = (self.changes.len(), self.unchanged);
        Out.line(format!("dry run: {changed} would change, {unchanged} would not; nothing was imported"))?;
        if self.zeroed > 0 {
            Out.line(format!(
                "{} of the {} SKUs in stock would be left with none",
                self.zeroed, self.stocked
            ))?;
        }
        Ok(())
    }
}

impl Change {
    fn of(line: u64, row: &CountRow, before: Option<&StockRow>, delta: Units) -> Self {
        let (on_hand, committed) = before.map_or_else(Default::default, |row| (row.on_hand, row.committed));
        Self {
            line,
            sku: row.sku.to_string(),
            location: row.location.to_string(),
            on_hand_before: before.map(|row| row.on_hand),
            on_hand: on_hand + delta,
            committed,
            available: on_hand + delta - committed,
        }
    }

    /// Whether it changes what was there before, and is not the first count.
    fn is_correction(&self) -> bool {
        self.on_hand_before.is_some_and(|before| before != self.on_hand)
    }

    fn cells(&self) -> [String; 7] {
        [
            self.line.to_string(),
            self.sku.clone(),
            self.location.clone(),
            self.on_hand_before.map_or_else(|| "new".into(), |units| units.to_string()),
            self.on_hand.to_string(),
            self.committed.to_string(),
            self.available.to_string(),
        ]
    }
}

/// How many SKUs are in stock, and how many of them would have none, over all locations.
fn zeroed(stock: &[StockRow], changes: &[Change]) -> (usize, usize) {
    let mut held: HashMap<&str, (Units, Units)> = HashMap::new();
    for row in stock {
        let (before, after) = held.entry(&row.sku).or_default();
        *before += row.on_hand;
        *after += row.on_hand;
    }
    for change in changes {
        let (_, after) = held.entry(&change.sku).or_default();
        *after += change.on_hand - change.on_hand_before.unwrap_or_default();
    }
    let in_stock = held.values().filter(|(before, _)| *before > Units::ZERO);
    let left_with_none = in_stock.clone().filter(|(_, after)| *after <= Units::ZERO).count();
    (in_stock.count(), left_with_none)
}

fn notes(stock: &[StockRow], settings: &Settings, file: &CountFile) -> Vec<String> {
    let mut notes = Vec::new();
    if !file.unused.is_empty() {
        notes.push(format!("columns that are not used: {}", file.unused.join(", ")));
    }
    let mapped = settings.channels.iter().flat_map(|channel| {
        channel
            .locations
            .iter()
            .map(|(name, _)| name)
            .chain([&channel.order_location])
            .map(LocationId::as_str)
    });
    let places: BTreeSet<&str> =
        mapped.chain(stock.iter().map(|row| row.location.as_str())).chain([LocationId::DEFAULT]).collect();
    let new: BTreeSet<&str> = file
        .rows
        .iter()
        .map(|(_, row)| row.location.as_str())
        .filter(|name| !places.contains(name))
        .collect();
    for name in new {
        notes.push(format!("location {name} is new; no channel is mapped to it"));
    }
    let mut spellings: HashMap<String, BTreeSet<&str>> = HashMap::new();
    let known = stock.iter().filter_map(|row| Some((Sku::new(&row.sku).ok()?.near_key(), row.sku.as_str())));
    for (key, sku) in known.chain(file.rows.iter().map(|(_, row)| (row.sku.near_key(), row.sku.as_str()))) {
        spellings.entry(key).or_default().insert(sku);
    }
    let counted: HashSet<&str> = file.rows.iter().map(|(_, row)| row.sku.as_str()).collect();
    let mut near: Vec<String> = spellings
        .into_values()
        .filter(|several| several.len() > 1 && several.iter().any(|sku| counted.contains(sku)))
        .map(|several| format!("near matches, yet different SKUs: {several:?}"))
        .collect();
    near.sort();
    notes.extend(near);
    notes
}
