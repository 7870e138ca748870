//! Holds the layer rules in the head of `src/lib.rs` to the code: who may use whom.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// For each layer, the layers it may use.
type Rules = BTreeMap<String, BTreeSet<String>>;

/// Reads `a, b -> c -> d` lines: each may use what stands to the right of it.
fn rules(lib: &str) -> Rules {
    let mut rules = Rules::new();
    for line in lib.lines().filter_map(|line| line.strip_prefix("//! ")).filter(|line| line.contains("->")) {
        let layers: Vec<Vec<String>> = line.split("->").map(names).collect();
        for (place, layer) in layers.iter().enumerate() {
            for name in layer {
                rules.entry(name.clone()).or_default().extend(layers[place + 1..].concat());
            }
        }
    }
    rules
}

/// `a, b` or `a      what it is`.
fn names(part: &str) -> Vec<String> {
    let list = part.trim().split("  ").next().unwrap_or_default();
    list.split(',').map(|name| name.trim().to_owned()).collect()
}

/// The code without comments, texts and characters, so that only what the compiler follows is left.
fn code(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            quoted(rest)
        } else if rest.starts_with("r\"") || rest.starts_with("r#\"") {
            let end = if rest.starts_with("r#") { "\"#" } else { "\"" };
            rest[3..].find(end).map_or(rest.len(), |at| 3 + at + end.len())
        } else if rest.starts_with("'\"'") || rest.starts_with("'{'") || rest.starts_with("'}'") {
            3
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skip..];
    }
    code
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The layers that a file uses: what follows `crate::`, and `super::` where it climbs to the top. `depth` is how many
/// modules deep the file itself is.
fn uses(source: &str, depth: usize) -> BTreeSet<String> {
    let tokens = tokens(&code(source));
    let at = |place: usize| tokens.get(place).map_or("", String::as_str);
    let (mut used, mut inline_modules, mut place) = (BTreeSet::new(), Vec::new(), 0);
    while place < tokens.len() {
        match at(place) {
            "{" => inline_modules.push(place >= 2 && at(place - 2) == "mod"),
            "}" => drop(inline_modules.pop()),
            "crate" if at(place + 1) == "::" => used.extend(first_names(&tokens[place + 2..])),
            "super" if at(place + 1) == "::" => {
                let mut climbed = 0;
                while at(place) == "super" && at(place + 1) == "::" {
                    climbed += 1;
                    place += 2;
                }
                if climbed == depth + inline_modules.iter().filter(|inline| **inline).count() {
                    used.extend(first_names(&tokens[place..]));
                }
                continue;
            }
            _ => {}
        }
        place += 1;
    }
    used
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut glued = false;
    for c in code.chars() {
        let word = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(last) if word && glued => last.push(c),
            Some(last) if c == ':' && last == ":" => last.push(c),
            _ if !c.is_whitespace() => tokens.push(c.to_string()),
            _ => {}
        }
        glued = word;
    }
    tokens
}

/// The first name of a path, or of each path in `{a::b, c}`.
fn first_names(tokens: &[String]) -> Vec<String> {
    if tokens.first().is_none_or(|token| token != "{") {
        return tokens.first().cloned().into_iter().collect();
    }
    let (mut names, mut depth) = (Vec::new(), 0);
    for pair in tokens.windows(2) {
        match pair[0].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(pair[0].as_str(), "{" | ",") && pair[1] != "}" {
            names.push(pair[1].clone());
        }
    }
    names
}

/// What one file does against the rules.
fn breaches(rules: &Rules, path: &Path, source: &str) -> Vec<String> {
    let mut modules: Vec<String> = path
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if modules.last().is_some_and(|last| last == "mod") {
        modules.pop();
    }
    let own = modules[0].as_str();
    let Some(allowed) = rules.get(own) else {
        return vec![format!("src/{}: no rule in src/lib.rs names the layer `{own}`", path.display())];
    };
    uses(source, modules.len())
        .into_iter()
        .filter(|name| name != own && !allowed.contains(name))
        .map(|name| format!("src/{}: {own} may not use {name}", path.display()))
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_module_uses_a_layer_that_the_rules_keep_from_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rules = rules(&fs::read_to_string(src.join("lib.rs")).unwrap());
    let mut found = Vec::new();
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        if !["lib.rs", "main.rs"].map(Path::new).contains(&inside) {
            found.extend(breaches(&rules, inside, &fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_rules_are_read_from_the_head_of_the_library() {
    let rules = rules("//! cli, daemon -> engine -> domain        words\n//! cli -> sandbox -> domain\n");
    assert_eq!(rules["cli"].iter().collect::<Vec<_>>(), ["domain", "engine", "sandbox"]);
    assert_eq!(rules["daemon"].iter().collect::<Vec<_>>(), ["domain", "engine"]);
    assert!(rules["domain"].is_empty());
}

#[test]
fn a_planted_import_is_caught_in_every_form_it_can_take() {
    let rules = rules("//! cli -> engine -> ledger -> domain\n//! sandbox -> domain\n");
    let caught = |path: &str, source: &str| !breaches(&rules, Path::new(path), source).is_empty();
    for (path, source) in [
        ("engine/mod.rs", "use crate::cli::Out;"),
        ("sandbox/server.rs", "use crate::{domain::Sku, ledger::{self, Ledger}};"),
        ("sandbox/server.rs", "use {std::fs, crate::engine};"),
        ("ledger/mod.rs", "fn f() { crate::engine::handle() }"),
        ("ledger/mod.rs", "pub use super::engine::handle;"),
        ("ledger/sub/deep.rs", "use super::super::super::engine;"),
        ("ledger/mod.rs", "#[cfg(test)]\nmod tests {\n    use super::super::engine::Engine;\n}"),
        ("domain/sku.rs", "#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}"),
        ("domain/sku.rs", "const A: &str = \"a \\\" // b\"; use crate::cli;"),
        ("newcomer.rs", ""),
    ] {
        assert!(caught(path, source), "{path}: {source}");
    }
    for (path, source) in [
        ("engine/mod.rs", "use crate::{domain::Sku, engine::queue, ledger};"),
        ("engine/queue.rs", "use super::cli; mod tests { use super::super::sandbox; }"),
        ("domain/sku.rs", "/// As `crate::engine`.\n// use crate::cli;\nconst A: &str = \"crate::cli\";"),
    ] {
        assert!(!caught(path, source), "{path}: {source}");
    }
}
