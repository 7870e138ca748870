//! Built-in defaults, then the file, then the environment; and from the sum the raw structures.

use std::collections::HashMap;

use config::{Config, Environment, File, FileFormat};
use serde::{
    Deserializer,
    de::{DeserializeOwned, Error, Visitor},
    forward_to_deserialize_any,
};

use super::{
    defaults::{self, Default},
    diagnose::{Path, Problem, Source, Step},
    raw::Raw,
};

/// What stands before the name of a variable that overrides a value: `STOCKD__LEDGER__PATH`.
const ENV_PREFIX: &str = "STOCKD__";

/// The tables that the environment may override: what belongs to the machine rather than to the shop.
const ENV_TABLES: [&str; 2] = ["ledger", "daemon"];

/// Reads the layers. Of `env`, the variables count that start with [`ENV_PREFIX`].
pub(super) fn read(source: &mut Source, env: &[(String, String)]) -> Result<Raw, Problem> {
    if let Err(error) = toml::from_str::<toml::Table>(source.text()) {
        return Err(syntax(source, &error));
    }
    let variables = overrides(source, env)?;
    let merged = merge(source.text(), variables).map_err(|error| {
        Problem::of_file(
            format!("the layers don't fit together: {error}"),
            "compare the file with config/stockd.toml",
        )
    })?;
    shaped(toml::Value::Table(merged), &Path::default())
}

fn overrides(source: &mut Source, env: &[(String, String)]) -> Result<HashMap<String, String>, Problem> {
    let mut variables = HashMap::new();
    for (name, value) in env {
        let Some(path) = name.strip_prefix(ENV_PREFIX) else { continue };
        let path = path.to_ascii_lowercase().replace("__", ".");
        if !ENV_TABLES.iter().any(|table| path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.')))
        {
            return Err(Problem::of_file(
                format!("the environment variable {name} has no effect"),
                "only [ledger] and [daemon] can be set by environment, as in STOCKD__LEDGER__PATH; unset it and \
                 write the value into the file",
            ));
        }
        source.overridden(path, name.clone());
        variables.insert(name.clone(), value.clone());
    }
    Ok(variables)
}

fn merge(text: &str, env: HashMap<String, String>) -> Result<toml::Table, config::ConfigError> {
    let mut layers = Config::builder();
    for (path, default) in defaults::GENERAL {
        layers = match default {
            Default::Text(text) => layers.set_default(path, text)?,
            Default::Number(number) => layers.set_default(path, number)?,
        };
    }
    layers
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(
            Environment::with_prefix("STOCKD").separator("__").source(Some(env.into_iter().collect())),
        )
        .build()?
        .try_deserialize()
}

/// A raw structure out of a value that stands at `at`.
pub(super) fn shaped<T: DeserializeOwned>(value: toml::Value, at: &Path) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().iter().fold(at.clone(), |path, segment| match segment {
            serde_path_to_error::Segment::Seq { index } => path.then(Step::Index(*index)),
            serde_path_to_error::Segment::Map { key } => path.key(key),
            _ => path,
        });
        explain(&path, error.inner().message())
    })
}

/// The keys that a raw structure has.
pub(super) fn keys<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Keys<'a>(&'a mut &'static [&'static str]);
    impl<'de> Deserializer<'de> for Keys<'_> {
        type Error = serde::de::value::Error;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(Error::custom("only the names of keys are wanted"))
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            self.deserialize_any(visitor)
        }
        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut fields: &'static [&'static str] = &[];
    // It fails by construction; the names are what it leaves behind.
    let _ = T::deserialize(Keys(&mut fields));
    fields
}

/// A key that isn't one of `known`.
pub(super) fn unknown_key(path: &Path, key: &str, known: &[&str]) -> Problem {
    let list = known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    Problem::new(
        path,
        format!("unknown key `{key}`"),
        format!("one of {list}"),
        nearest(key, known).map_or_else(
            || "remove it; config/stockd.toml lists every key".to_owned(),
            |near| format!("did you mean `{near}`?"),
        ),
    )
    .at_key()
}

/// The candidate most like `word`, if one is like it at all.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (likeness(word, candidate), *candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// From 0 to about 1. One letter left out of a short name weighs too much with either measure alone.
fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b).max(strsim::normalized_damerau_levenshtein(a, b) + 0.1)
}

fn syntax(source: &Source, error: &toml::de::Error) -> Problem {
    let message = error.message().replace('\n', ", ");
    let at = error.span().unwrap_or(0..0);
    let end = source.text().len();
    let bytes = at.start.min(end)..at.end.min(end);
    if message.contains("duplicate key") {
        return Problem::at_bytes(
            bytes,
            "defined twice",
            "each key and each [table] once",
            "remove one of the two, or give it a name of its own",
        );
    }
    Problem::at_bytes(
        bytes,
        format!("not valid TOML: {message}"),
        "`key = value` or a `[table]`",
        "look for a missing quote, bracket, comma or equals sign; text stands in double quotes",
    )
}

/// From serde's words to a problem that says what to do.
fn explain(path: &Path, message: &str) -> Problem {
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if message.starts_with("unknown field") {
        let (key, known) = words.split_first().unwrap_or((&"", &[]));
        return unknown_key(path, key, known);
    }
    if message.starts_with("missing field") {
        let key = words.first().unwrap_or(&"");
        return Problem::new(
            path,
            format!("`{key}` is missing"),
            format!("a key `{key}` here"),
            format!("add `{key} = ...`"),
        );
    }
    let Some((found, expected)) = message.split_once(", expected ") else {
        return Problem::new(
            path,
            message,
            "another value",
            "config/stockd.toml shows each key with its default",
        );
    };
    // The value itself stands in the file; here it could only leak.
    let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
    let found = match found.split([' ', '`', '"']).next().unwrap_or_default() {
        "string" => "text",
        "integer" => "whole number",
        "floating" => "number with decimals",
        "map" => "table",
        "sequence" => "list",
        other => other,
    };
    let expected = match expected {
        "a string" => "text in double quotes",
        "i64" => "a whole number without quotes",
        "u32" => "a whole number without quotes, 0 or more",
        "f64" => "a number without quotes",
        "a sequence" => "a list",
        "a map" => "a table",
        other => other,
    };
    let cure = match path.to_string().as_str() {
        name @ ("override" | "bundle") => format!("write [[{name}]] with two brackets on each side"),
        "channels" => "write [channels.NAME] for each channel".to_owned(),
        _ => format!("write {expected}"),
    };
    let title = if message.starts_with("invalid value") {
        "this value is out of range".to_owned()
    } else {
        format!("wrong type of value: {found}")
    };
    Problem::new(path, title, expected, cure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::{RawOrders, RawShopify};

    #[test]
    fn the_keys_of_a_structure_are_its_fields() {
        assert_eq!(keys::<RawOrders>(), ["every", "cron", "overlap"]);
        assert!(keys::<RawShopify>().contains(&"token"));
    }

    #[test]
    fn a_key_is_near_only_if_it_is_alike() {
        assert_eq!(nearest("buffr", &["buffer", "share"]), Some("buffer"));
        assert_eq!(nearest("colour", &["buffer", "share"]), None);
    }
}
