//! From files to a history.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Back, History, HistoryError, Line, Order, Restock, made_up,
    table::{Row, Table},
};
use crate::domain::{Sku, Units, UtcMs};

/// What a table holds, in the order in which tables are read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Stock,
    Restocks,
    Links,
    Orders,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Restocks => "deliveries",
            Self::Links => "links",
            Self::Orders => "orders",
        }
    }

    fn of(table: &Table<'_>) -> Option<Self> {
        let known = [
            (Self::Stock, &["sku", "opening_stock"][..]),
            (Self::Links, &["order_id", "line", "ref_order_id", "ref_line"]),
            (Self::Orders, &["ts", "order_id", "sku", "qty"]),
            (Self::Restocks, &["ts", "sku", "qty"]),
        ];
        known.into_iter().find(|(_, columns)| table.has(columns)).map(|(kind, _)| kind)
    }
}

type LineKey = (Arc<str>, Arc<str>);

/// A history in the making.
#[derive(Default)]
struct Draft {
    history: History,
    skus: HashMap<Sku, usize>,
    names: BTreeSet<Arc<str>>,
    links: HashMap<LineKey, LineKey>,
    lines: HashMap<LineKey, usize>,
    /// The line that each of the backs names.
    undone: Vec<Option<LineKey>>,
    has_seconds: bool,
}

impl History {
    /// Reads these files. Of one alone that is called `X.orders.csv` or `X.orders.csv.gz`, the other tables beside it are
    /// read too.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn load(files: &[PathBuf]) -> Result<Self, HistoryError> {
        let mut files = files.to_vec();
        if let [only] = files.as_slice() {
            let beside: Vec<_> = beside(only).collect();
            files.extend(beside);
        }
        let mut tables: Vec<(Kind, Table<'_>)> = Vec::new();
        for path in &files {
            let table = Table::open(path)?;
            let kind = Kind::of(&table)
                .ok_or_else(|| HistoryError::Columns { path: path.clone(), found: table.heading() })?;
            if tables.iter().any(|(had, _)| *had == kind) {
                return Err(HistoryError::Twice { path: path.clone(), table: kind.name() });
            }
            tables.push((kind, table));
        }
        tables.sort_by_key(|(kind, _)| *kind);
        let stocked = tables.iter().any(|(kind, _)| matches!(kind, Kind::Stock | Kind::Restocks));
        let mut draft = Draft::default();
        for (kind, table) in tables {
            match kind {
                Kind::Stock => draft.read_stock(table)?,
                Kind::Restocks => draft.read_restocks(table)?,
                Kind::Links => draft.read_links(table)?,
                Kind::Orders => draft.read_orders(table)?,
            }
        }
        let mut history = draft.finish()?;
        if !stocked {
            made_up::stock(&mut history);
        }
        Ok(history)
    }
}

/// The other tables of an orders file.
fn beside(orders: &Path) -> impl Iterator<Item = PathBuf> {
    let name = orders.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = orders.parent().map(Path::to_owned).unwrap_or_default();
    let named = name.contains(".orders.csv");
    let other = move |table| folder.join(name.replace(".orders.csv", table));
    [".links.csv", ".stock.csv", ".restocks.csv"]
        .map(other)
        .into_iter()
        .filter(move |path| named && path.exists())
}

impl Draft {
    fn sku(&mut self, sku: Sku) -> usize {
        if let Some(ix) = self.skus.get(&sku) {
            return *ix;
        }
        let ix = self.history.skus.len();
        self.history.skus.push(sku.clone());
        self.history.opening.push(Units::ZERO);
        self.skus.insert(sku, ix);
        ix
    }

    /// The same text is kept once.
    fn name(&mut self, text: &str) -> Arc<str> {
        if let Some(name) = self.names.get(text) {
            return Arc::clone(name);
        }
        let name: Arc<str> = text.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    fn read_stock(&mut self, table: Table<'_>) -> Result<(), HistoryError> {
        let [sku, stock] = table.columns(["sku", "opening_stock"]);
        table.each(|row| {
            let before = self.history.skus.len();
            let ix = self.sku(row.sku(sku)?);
            if ix < before {
                return Err(row.bad(format!("SKU {} has a row already", row.text(sku))));
            }
            self.history.opening[ix] = Units::of(row.units(stock, 0)?);
            Ok(())
        })
    }

    fn read_restocks(&mut self, table: Table<'_>) -> Result<(), HistoryError> {
        let [ts, sku, qty] = table.columns(["ts", "sku", "qty"]);
        let kind = table.column("kind");
        table.each(|row| {
            if let Some(other) = kind.map(|kind| row.text(kind)).filter(|kind| *kind != "restock") {
                return Err(row.bad(format!("kind {other:?}: expected restock")));
            }
            let (at, units) = (row.instant(ts)?, row.units(qty, 1)?);
            let sku = self.sku(row.sku(sku)?);
            self.history.restocks.push(Restock { at, sku, units });
            Ok(())
        })
    }

    fn read_links(&mut self, table: Table<'_>) -> Result<(), HistoryError> {
        let columns = table.columns(["order_id", "line", "ref_order_id", "ref_line"]);
        table.each(|row| {
            for (column, what) in columns.into_iter().zip(["order_id", "line", "ref_order_id", "ref_line"]) {
                row.name(column, what)?;
            }
            let [order, line, ref_order, ref_line] = columns.map(|column| self.name(row.text(column)));
            self.links.insert((order, line), (ref_order, ref_line));
            Ok(())
        })
    }

    fn read_orders(&mut self, table: Table<'_>) -> Result<(), HistoryError> {
        let [ts, order, sku, qty] = table.columns(["ts", "order_id", "sku", "qty"]);
        let [line, kind, channel] = ["line", "kind", "channel"].map(|name| table.column(name));
        let mut rows = 0;
        table.each(|row| {
            rows += 1;
            let (at, units) = (row.instant(ts)?, row.units(qty, 1)?);
            self.has_seconds |= at.0.rem_euclid(60_000) != 0;
            let sku = self.sku(row.sku(sku)?);
            let id = self.name(row.name(order, "order_id")?);
            let key = (id, self.line_id(row, line, rows)?);
            match kind.map_or("sale", |kind| row.text(kind)) {
                "sale" => {
                    let channel = channel.map(|channel| row.text(channel)).filter(|name| !name.is_empty());
                    let channel = channel.map(|name| self.name(name));
                    self.sale(row, rows, at, key, sku, units, channel)
                }
                kind @ ("cancel" | "return") => {
                    self.undone.push(self.links.get(&key).cloned());
                    let (id, returned) = (key.0, kind == "return");
                    self.history.backs.push(Back { at, id, sku, units, of: None, returned, row: rows });
                    Ok(())
                }
                other => Err(row.bad(format!("kind {other:?}: expected sale, cancel or return"))),
            }
        })
    }

    /// The id of a line, its row's number where the file has none.
    fn line_id(
        &mut self,
        row: &Row<'_>,
        column: Option<usize>,
        rows: usize,
    ) -> Result<Arc<str>, HistoryError> {
        match column {
            Some(column) => Ok(self.name(row.name(column, "line")?)),
            None => Ok(rows.to_string().into()),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the columns of a row")]
    fn sale(
        &mut self,
        row: &Row<'_>,
        number: usize,
        at: UtcMs,
        key: LineKey,
        sku: usize,
        units: i64,
        channel: Option<Arc<str>>,
    ) -> Result<(), HistoryError> {
        let (id, line) = key.clone();
        let History { orders, lines, .. } = &mut self.history;
        let ix = lines.len();
        if self.lines.insert(key, ix).is_some() {
            return Err(row.bad(format!("order {id} has a line {line} already")));
        }
        match orders.last_mut() {
            Some(last) if last.at == at && last.id == id => last.lines.end = ix + 1,
            _ => orders.push(Order { at, id, channel, lines: ix..ix + 1, row: number }),
        }
        lines.push(Line { id: line, order: orders.len() - 1, sku, units });
        Ok(())
    }

    fn finish(mut self) -> Result<History, HistoryError> {
        if self.history.lines.is_empty() {
            return Err(HistoryError::NoSales);
        }
        self.history.to_the_minute = !self.has_seconds;
        for (back, undone) in self.history.backs.iter_mut().zip(&self.undone) {
            let line = undone.as_ref().and_then(|key| self.lines.get(key));
            back.of = line.copied().filter(|line| self.history.lines[*line].sku == back.sku);
        }
        let mut parts: HashMap<Arc<str>, u32> = HashMap::new();
        for order in &mut self.history.orders {
            let part = parts.entry(Arc::clone(&order.id)).or_default();
            *part += 1;
            if *part > 1 {
                order.id = format!("{}+{part}", order.id).into();
            }
        }
        Ok(self.history)
    }
}
