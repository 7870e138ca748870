//! Counts from a CSV file: everything valid, and every bad line by its number (faults O3, O6, D5, D6, D17).

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use crate::domain::{CountBasis, CountRow, LocationId, Sku, Units, UtcMs};

/// What a file leaves open.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) basis: CountBasis,
    pub(super) location: LocationId,
    pub(super) counted_at: UtcMs,
    /// Counts later than this lie in the future.
    pub(super) now: UtcMs,
}

/// A file that can be used as a whole.
#[derive(Debug)]
pub(super) struct CountFile {
    /// The rows, each with its line.
    pub(super) rows: Vec<(u64, CountRow)>,
    /// Columns that mean nothing here.
    pub(super) unused: Vec<String>,
}

/// What is wrong, by line.
pub(super) type BadLines = BTreeMap<u64, String>;

const QUANTITY_NAMES: [&str; 3] = ["quantity", "on_hand", "available"];
const OTHER_NAMES: [&str; 4] = ["sku", "basis", "location", "counted_at"];
/// Written by the export, for people.
const READ_ONLY: &str = "committed";
const FUTURE_MS: i64 = 60_000;
const SPREADSHEET_ERRORS: [&str; 7] = ["#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!"];

/// Reads a file.
///
/// # Errors
/// Every bad line with what is wrong with it.
pub(super) fn read(bytes: &[u8], defaults: &Defaults) -> Result<CountFile, BadLines> {
    let whole = |why: String| BadLines::from([(1, why)]);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = line_ends(&bytes[..error.valid_up_to()]) + 1;
        BadLines::from([(line, "is not UTF-8 text: save the file as \"CSV UTF-8\"".to_owned())])
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = Records::new(text);
    let Some((line, header)) = records.next_filled() else {
        return Err(whole("the file is empty".into()));
    };
    let columns = Columns::of(&header?).map_err(|why| BadLines::from([(line, why)]))?;
    let (mut rows, mut bad, mut seen) = (Vec::new(), BadLines::new(), HashMap::new());
    while let Some((line, record)) = records.next_filled() {
        match record
            .map_err(|mut bad| bad.remove(&line).unwrap_or_default())
            .and_then(|r| columns.row(&r, defaults))
        {
            Ok(row) => match seen.insert((row.sku.clone(), row.location.clone()), line) {
                None => rows.push((line, row)),
                Some(first) => {
                    bad.insert(
                        line,
                        format!("counts {} at {} again, after line {first}", row.sku, row.location),
                    );
                }
            },
            Err(why) => {
                bad.insert(line, why);
            }
        }
    }
    if !bad.is_empty() {
        return Err(bad);
    }
    if rows.is_empty() {
        return Err(whole("there is a heading and not one row".into()));
    }
    Ok(CountFile { rows, unused: columns.unused })
}

/// Records with the line each starts on.
struct Records<'a> {
    text: &'a str,
    reader: csv::Reader<&'a [u8]>,
    byte: usize,
    line: u64,
}

impl<'a> Records<'a> {
    fn new(text: &'a str) -> Self {
        let heading = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let delimiter = [b',', b';', b'\t']
            .into_iter()
            .max_by_key(|separator| {
                (heading.bytes().filter(|byte| byte == separator).count(), *separator == b',')
            })
            .unwrap_or(b',');
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(text.as_bytes());
        Self { text, reader, byte: 0, line: 1 }
    }

    /// The next record in which anything is filled in.
    fn next_filled(&mut self) -> Option<(u64, Result<csv::StringRecord, BadLines>)> {
        loop {
            let mut record = csv::StringRecord::new();
            let read = self.reader.read_record(&mut record);
            let start =
                record.position().map_or(self.byte, |at| usize::try_from(at.byte()).unwrap_or_default());
            let line = self.line_of(start);
            match read {
                Ok(false) => return None,
                Ok(true) if record.iter().all(|field| field.trim().is_empty()) => {}
                Ok(true) => return Some((line, Ok(record))),
                Err(error) => return Some((line, Err(BadLines::from([(line, error.to_string())])))),
            }
        }
    }

    /// The line of a position, past the line ends in front of it (the reader skips empty lines).
    fn line_of(&mut self, start: usize) -> u64 {
        let bytes = self.text.as_bytes();
        let content = bytes[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count() + start;
        self.line += line_ends(&bytes[self.byte..content]);
        self.byte = content;
        self.line
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').count() as u64 - 1
}

/// Where each column is.
struct Columns {
    count: usize,
    sku: usize,
    quantity: usize,
    /// The basis that the quantity's name stands for.
    named_basis: Option<CountBasis>,
    basis: Option<usize>,
    location: Option<usize>,
    counted_at: Option<usize>,
    unused: Vec<String>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, String> {
        let names: Vec<String> =
            header.iter().map(|name| name.trim().to_lowercase().replace(' ', "_")).collect();
        let known = || QUANTITY_NAMES.iter().chain(&OTHER_NAMES);
        for name in names.iter().filter(|name| !name.is_empty()) {
            if names.iter().filter(|other| *other == name).count() > 1 {
                return Err(format!("the heading has the column {name:?} twice"));
            }
            if !known().any(|known| known == name)
                && let Some(meant) = known().find(|known| strsim::damerau_levenshtein(known, name) <= 2)
            {
                return Err(format!("the heading has the column {name:?}: is {meant:?} meant?"));
            }
        }
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        let quantities: Vec<&str> = QUANTITY_NAMES.into_iter().filter(|name| find(name).is_some()).collect();
        let [quantity] = quantities[..] else {
            return Err(if quantities.is_empty() {
                "the heading has no column for the number: name it on_hand, available or quantity".into()
            } else {
                format!("the heading has several columns for the number: {}; keep one", quantities.join(", "))
            });
        };
        let named_basis = match quantity {
            "on_hand" => Some(CountBasis::OnHand),
            "available" => Some(CountBasis::Available),
            _ => None,
        };
        if named_basis.is_some() && find("basis").is_some() {
            return Err(format!(
                "the heading says what the number means twice: by {quantity:?} and by \"basis\""
            ));
        }
        let used = |name: &String| known().any(|known| known == name) || name == READ_ONLY || name.is_empty();
        Ok(Self {
            count: names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1),
            sku: find("sku").ok_or("the heading has no column \"sku\"; the first line names the columns")?,
            quantity: find(quantity).unwrap_or_default(),
            named_basis,
            basis: find("basis"),
            location: find("location"),
            counted_at: find("counted_at"),
            unused: names.iter().filter(|name| !used(name)).cloned().collect(),
        })
    }

    fn row(&self, record: &csv::StringRecord, defaults: &Defaults) -> Result<CountRow, String> {
        if record.iter().any(|field| field.contains(['\n', '\r'])) {
            return Err("has a line break inside a field: a quote may not be closed".into());
        }
        if record.iter().skip(self.count).any(|field| !field.trim().is_empty()) {
            let (count, wanted) = (record.len(), self.count);
            return Err(format!(
                "has {count} fields where the heading has {wanted}: text with a comma in it needs quotes around it"
            ));
        }
        let cell = |column: usize| plain(record.get(column).unwrap_or_default());
        let optional = |column: Option<usize>| {
            column.map(cell).transpose().map(|text| text.filter(|text| !text.trim().is_empty()))
        };
        let sku = parse_sku(&cell(self.sku)?)?;
        let basis = match (self.named_basis, optional(self.basis)?) {
            (Some(named), _) => named,
            (None, None) => defaults.basis,
            (None, Some(text)) => parse_basis(text.trim())?,
        };
        let quantity = parse_quantity(cell(self.quantity)?.trim())?;
        if basis == CountBasis::OnHand && quantity < Units::ZERO {
            return Err(format!("counts {quantity}: fewer than no units can't be on a shelf"));
        }
        let location = optional(self.location)?;
        let location =
            location.map_or_else(|| defaults.location.clone(), |name| LocationId::new(name.trim()));
        let counted_at = match optional(self.counted_at)? {
            None => defaults.counted_at,
            Some(text) => parse_instant(text.trim())?,
        };
        if counted_at > defaults.now.plus_ms(FUTURE_MS) {
            return Err(format!("was counted in the future, at {counted_at}"));
        }
        Ok(CountRow { sku, location, quantity, basis, counted_at })
    }
}

/// A cell's text: `="00123"` is how spreadsheets write text, any other formula has no value here.
fn plain(cell: &str) -> Result<Cow<'_, str>, String> {
    let trimmed = cell.trim();
    if let Some(formula) = trimmed.strip_prefix('=') {
        return formula
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .filter(|text| !text.replace("\"\"", "").contains('"'))
            .map(|text| Cow::Owned(text.replace("\"\"", "\"")))
            .ok_or_else(|| format!("has the formula {trimmed}: save the file with values"));
    }
    if SPREADSHEET_ERRORS.contains(&trimmed) {
        return Err(format!("has {trimmed}, the error of a formula"));
    }
    Ok(Cow::Borrowed(cell))
}

fn parse_sku(text: &str) -> Result<Sku, String> {
    if text.trim().is_empty() {
        return Err("has no SKU".into());
    }
    let shortened = text.split_once("E+").is_some_and(|(mantissa, exponent)| {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits(&mantissa.replace(['.', ','], "")) && digits(exponent)
    });
    if shortened {
        return Err(format!(
            "has the SKU {text}, a number that a spreadsheet has shortened: format it as text"
        ));
    }
    Sku::new(text).map_err(|error| error.to_string())
}

fn parse_basis(text: &str) -> Result<CountBasis, String> {
    [CountBasis::OnHand, CountBasis::Available]
        .into_iter()
        .find(|basis| basis.name() == text.to_lowercase())
        .ok_or_else(|| format!("has the basis {text:?}: expected on_hand or available"))
}

fn parse_instant(text: &str) -> Result<UtcMs, String> {
    UtcMs::parse_rfc3339(text).ok_or_else(|| {
        format!("has the time {text:?}: expected one with its offset, such as 2026-11-22T18:30:00+01:00")
    })
}

fn parse_quantity(text: &str) -> Result<Units, String> {
    if text.is_empty() {
        return Err("has no number; unknown is not 0".into());
    }
    if let Ok(units) = text.parse::<i64>() {
        return Units::new(units).map_err(|error| error.to_string());
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    Err(if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("has the number {text}, beyond {}", Units::LIMIT)
    } else if is_grouped(digits) {
        format!("has the number {text}: write it without thousands separators")
    } else if text.replace(',', ".").parse::<f64>().is_ok_and(f64::is_finite) {
        format!("has the number {text}: expected whole units")
    } else {
        format!("has the number {text:?}: that is not one")
    })
}

/// Whether digits stand in groups of three: `1,000` or `12.345.678`.
fn is_grouped(text: &str) -> bool {
    let separators = [',', '.', '\'', '\u{2019}', ' ', '\u{a0}', '\u{202f}'];
    let mut groups = text.split(separators);
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    groups.next().is_some_and(|first| (1..=3).contains(&first.len()) && digits(first))
        && text.contains(separators)
        && groups.all(|group| group.len() == 3 && digits(group))
}
