//! Problems with a configuration, and how they are shown: file, line, column, a caret, what was expected, the cure.

use std::{collections::BTreeMap, fmt, ops::Range};

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use toml::de::{DeTable, DeValue};

use super::mask;

/// One step into the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A key of a table.
    Key(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// Where a value stands in the file: `channels.web.policy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

impl Path {
    pub(super) fn of(key: &str) -> Self {
        Self::default().key(key)
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Step::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    pub(super) fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if place == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// What the caret points at.
#[derive(Clone, Debug)]
enum Spot {
    Key(Path),
    Value(Path),
    Bytes(Range<usize>),
    File,
}

/// One thing that is wrong, or odd.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    spot: Spot,
    title: String,
    expected: String,
    cure: String,
}

impl Problem {
    /// About the value at `path`; where there is none, the caret falls on the table that lacks it.
    pub(super) fn new(
        path: &Path,
        title: impl Into<String>,
        expected: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self {
            spot: Spot::Value(path.clone()),
            title: title.into(),
            expected: expected.into(),
            cure: cure.into(),
        }
    }

    /// The same, with the caret under the key.
    pub(super) fn at_key(mut self) -> Self {
        if let Spot::Value(path) = self.spot {
            self.spot = Spot::Key(path);
        }
        self
    }

    /// About these bytes of the text.
    pub(super) fn at_bytes(
        bytes: Range<usize>,
        title: impl Into<String>,
        expected: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { spot: Spot::Bytes(bytes), title: title.into(), expected: expected.into(), cure: cure.into() }
    }

    /// About the file as a whole.
    pub(super) fn of_file(title: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { spot: Spot::File, title: title.into(), expected: String::new(), cure: cure.into() }
    }
}

/// A configuration file as text, with what is needed to point into it.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    text: String,
    /// Dotted path of a value to the environment variable that set it.
    overrides: BTreeMap<String, String>,
}

impl Source {
    pub(super) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), overrides: BTreeMap::new() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Remembers that an environment variable set the value at `path`.
    pub(super) fn overridden(&mut self, path: String, variable: String) {
        self.overrides.insert(path, variable);
    }

    /// Where `path` starts in the text; what isn't there counts as the end.
    pub(super) fn position(&self, path: &Path) -> usize {
        self.locate(path, false).map_or(usize::MAX, |span| span.start)
    }

    /// A warning in one line.
    pub(super) fn one_line(&self, problem: &Problem) -> String {
        let place = self.span(problem).map_or_else(String::new, |span| {
            format!(":{}", self.text.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1)
        });
        format!("{}{place}: {}; {}", self.name, problem.title, problem.cure)
    }

    /// The problem as a person should see it, without secrets.
    pub(super) fn show(&self, problem: &Problem) -> String {
        let shown = mask::secrets(&self.text);
        let title = Level::ERROR.primary_title(problem.title.clone());
        let group = match self.span(problem) {
            Some(span) => title.element(Snippet::source(shown).path(self.name.clone()).annotation(
                AnnotationKind::Primary.span(span).label(format!("expected {}", problem.expected)),
            )),
            None => title.element(Origin::path(self.origin(problem))),
        };
        Renderer::plain().render(&[group.element(Level::HELP.message(problem.cure.clone()))])
    }

    fn origin(&self, problem: &Problem) -> String {
        match self.variable(problem) {
            Some(variable) => format!("environment variable {variable}"),
            None => self.name.clone(),
        }
    }

    fn variable(&self, problem: &Problem) -> Option<&String> {
        match &problem.spot {
            Spot::Key(path) | Spot::Value(path) => self.overrides.get(&path.to_string()),
            Spot::Bytes(_) | Spot::File => None,
        }
    }

    fn span(&self, problem: &Problem) -> Option<Range<usize>> {
        if self.variable(problem).is_some() {
            return None;
        }
        match &problem.spot {
            Spot::Key(path) => self.locate(path, false),
            Spot::Value(path) => self.locate(path, true),
            Spot::Bytes(bytes) => Some(bytes.clone()),
            Spot::File => None,
        }
    }

    fn locate(&self, path: &Path, value: bool) -> Option<Range<usize>> {
        let root = DeTable::parse(&self.text).ok()?;
        let mut found: Option<(Range<usize>, Range<usize>)> = None;
        let mut table = Some(root.get_ref());
        let mut array = None;
        for step in &path.0 {
            let next = match step {
                Step::Key(name) => table
                    .and_then(|t| t.iter().find(|(key, _)| key.get_ref() == name))
                    .map(|(key, value)| (key.span(), value)),
                Step::Index(index) => {
                    array.and_then(|a: &toml::de::DeArray<'_>| a.get(*index)).map(|v| (v.span(), v))
                }
            };
            let Some((key, child)) = next else {
                return found.map(|(key, _)| key);
            };
            found = Some((key, child.span()));
            (table, array) = match child.get_ref() {
                DeValue::Table(t) => (Some(t), None),
                DeValue::Array(a) => (None, Some(a)),
                _ => (None, None),
            };
        }
        found.map(|(key, whole)| if value { whole } else { key })
    }
}

/// Everything that is wrong with a configuration, ready to print. Holds no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Diagnostics {
    text: String,
}

impl Diagnostics {
    /// In the order of the file.
    pub(super) fn new(source: &Source, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| source.span(problem).map_or(0, |span| span.start));
        let shown: Vec<String> = problems.iter().map(|problem| source.show(problem)).collect();
        Self { text: shown.join("\n\n") }
    }
}
