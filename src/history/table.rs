//! A table of comma-separated values whose columns are found by name.

use std::{fs::File, io::Read, path::Path};

use csv::StringRecord;
use flate2::read::GzDecoder;

use super::HistoryError;
use crate::domain::{Sku, Units, UtcMs};

/// A table, row by row.
pub(super) struct Table<'a> {
    path: &'a Path,
    reader: csv::Reader<Box<dyn Read>>,
    heading: Vec<String>,
}

/// One row of a table.
pub(super) struct Row<'a> {
    path: &'a Path,
    line: u64,
    record: &'a StringRecord,
}

impl<'a> Table<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self, HistoryError> {
        let unreadable = |source| HistoryError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let zipped = path.extension().is_some_and(|it| it == "gz");
        let input: Box<dyn Read> = if zipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
        let mut reader = csv::Reader::from_reader(input);
        let heading = reader.headers().map_err(|error| bad_table(path, &error))?;
        let heading = heading.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_lowercase());
        let heading = heading.collect();
        Ok(Self { path, reader, heading })
    }

    pub(super) fn has(&self, columns: &[&str]) -> bool {
        columns.iter().all(|column| self.column(column).is_some())
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.heading.iter().position(|it| it == name)
    }

    /// The columns of these names, all of which are there.
    pub(super) fn columns<const N: usize>(&self, names: [&str; N]) -> [usize; N] {
        names.map(|name| self.column(name).unwrap_or(usize::MAX))
    }

    pub(super) fn heading(&self) -> String {
        self.heading.join(",")
    }

    /// Hands each row to `take`.
    pub(super) fn each(
        mut self,
        mut take: impl FnMut(&Row<'_>) -> Result<(), HistoryError>,
    ) -> Result<(), HistoryError> {
        let mut record = StringRecord::new();
        while self.reader.read_record(&mut record).map_err(|error| bad_table(self.path, &error))? {
            let line = record.position().map_or(0, csv::Position::line);
            take(&Row { path: self.path, line, record: &record })?;
        }
        Ok(())
    }
}

fn bad_table(path: &Path, error: &csv::Error) -> HistoryError {
    let line = error.position().map_or(1, csv::Position::line);
    HistoryError::Row { path: path.to_owned(), line, what: error.to_string() }
}

impl Row<'_> {
    pub(super) fn text(&self, column: usize) -> &str {
        self.record.get(column).unwrap_or("").trim()
    }

    pub(super) fn bad(&self, what: String) -> HistoryError {
        HistoryError::Row { path: self.path.to_owned(), line: self.line, what }
    }

    pub(super) fn instant(&self, column: usize) -> Result<UtcMs, HistoryError> {
        let text = self.text(column);
        UtcMs::parse_rfc3339(text).ok_or_else(|| {
            self.bad(format!(
                "{text:?} is not a time: expected one with its offset, such as 2010-11-25T14:03:00Z"
            ))
        })
    }

    pub(super) fn sku(&self, column: usize) -> Result<Sku, HistoryError> {
        Sku::new(self.text(column)).map_err(|error| self.bad(error.to_string()))
    }

    pub(super) fn units(&self, column: usize, least: i64) -> Result<i64, HistoryError> {
        let text = self.text(column);
        let units = text.parse().ok().filter(|units| (least..=Units::LIMIT).contains(units));
        units.ok_or_else(|| {
            self.bad(format!(
                "{text:?} is not a quantity: expected a whole number from {least} to {}",
                Units::LIMIT
            ))
        })
    }

    pub(super) fn name(&self, column: usize, what: &str) -> Result<&str, HistoryError> {
        let text = self.text(column);
        if text.is_empty() { Err(self.bad(format!("no {what}"))) } else { Ok(text) }
    }
}
