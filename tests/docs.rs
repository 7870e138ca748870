//! What the documents say against what the program does: events, commands, configurations.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as loudly as tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use clap::Parser;
use stockd::cli::Cli;

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// Whether a text is the name of an event, such as `push.applied`.
fn is_event(text: &str) -> bool {
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    text.split_once('.').is_some_and(|(thing, happened)| word(thing) && word(happened))
}

/// The names of all events that the daemon logs: texts of that form in the code that logs.
fn events_of_the_code() -> BTreeSet<String> {
    let mut files = vec![PathBuf::from("src/cli/run.rs")];
    for folder in ["src/engine", "src/daemon"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let mut events = BTreeSet::new();
    for file in files {
        let source = read(&file);
        let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            events
                .extend(line.split('"').skip(1).step_by(2).filter(|text| is_event(text)).map(str::to_owned));
        }
    }
    events
}

#[test]
fn the_list_of_log_events_is_that_of_the_code() {
    let text = read("docs/logging.md");
    let listed: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    assert!(listed.is_sorted(), "the list is in the order of the alphabet");
    assert_eq!(events_of_the_code(), listed.into_iter().collect::<BTreeSet<_>>());
}
