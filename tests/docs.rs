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

/// The fenced blocks of one language in a document.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    document.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_configuration_in_the_readme_is_accepted() {
    let readme = read("README.md");
    let configurations = blocks(&readme, "toml");
    assert!(!configurations.is_empty());
    let folder = tempfile::tempdir().unwrap();
    for name in ["web.token", "outlet.key", "outlet.secret"] {
        fs::write(folder.path().join(name), "secret").unwrap();
    }
    for text in configurations {
        let config = folder.path().join("stockd.toml");
        fs::write(&config, text.replace("/etc/stockd", &folder.path().display().to_string())).unwrap();
        Command::new(env!("CARGO_BIN_EXE_stockd"))
            .args(["check", "--config"])
            .arg(&config)
            .assert()
            .success();
    }
}

/// The words of a command line, as a shell reads them; quotes are single ones.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 0 {
            words.extend(part.split_whitespace().map(str::to_owned));
        } else {
            words.push(part.to_owned());
        }
    }
    words
}

#[test]
fn the_commands_in_the_readme_are_understood() {
    let readme = read("README.md");
    let commands = readme.lines().filter_map(|line| {
        let line = line.trim_start();
        let command = line.strip_prefix("$ ").or(line.strip_prefix("# "))?;
        let command = command.strip_prefix("runuser -u stockd -- ").unwrap_or(command);
        command.starts_with("stockd ").then(|| words(command))
    });
    let mut understood = 0;
    for command in commands {
        if let Err(error) = Cli::try_parse_from(&command) {
            panic!("{command:?}: {error}");
        }
        understood += 1;
    }
    assert!(understood > 10);
}
