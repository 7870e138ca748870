//! Configurations through the real binary: what is wrong gets one clear message, what is right is accepted.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A folder with a good secret in the file `token`.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("token", b"SESAME\n", 0o600);
        folder
    }

    fn write(&self, name: &str, text: &[u8], mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn check(&self, text: &[u8]) -> Output {
        check(&self.write("stockd.toml", text, 0o644), &[])
    }
}

fn check(path: &Path, env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STOCKD_") || name == "CREDENTIALS_DIRECTORY" {
            command.env_remove(name);
        }
    }
    command.envs(env.iter().copied()).arg("check").arg("--config").arg(path).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const GOOD: &str = r#"
[channels.web]
kind = "shopify"
shop = "example.myshopify.com"
token = { file = "token" }
"#;

const SITE: &str = r#"
[channels.site]
kind = "woocommerce"
url = "https://shop.example/"
key = { file = "token" }
secret = { file = "token" }
"#;

/// See the head of `broken_configs.txt`.
struct Case<'a> {
    name: &'a str,
    says: &'a str,
    cure: &'a str,
    file: String,
}

fn broken() -> impl Iterator<Item = Case<'static>> {
    include_str!("broken_configs.txt").split("\n=== ").skip(1).map(|case| {
        let mut parts = case.splitn(4, '\n');
        let mut next = |prefix| parts.next().and_then(|part| part.strip_prefix(prefix)).unwrap();
        let (name, says, cure, file) = (next(""), next("says: "), next("cure: "), next(""));
        Case { name, says, cure, file: file.replace("@web", GOOD.trim()).replace("@site", SITE.trim()) }
    })
}

/// One message, on standard error, with exit code 78, place, caret, expectation and cure; and no secret.
fn is_clear(case: &Case<'_>, output: &Output) -> bool {
    let message = text(&output.stderr);
    let line = case.file.lines().position(|line| line.ends_with("#!")).unwrap() + 1;
    let place = format!("stockd.toml:{line}:");
    output.status.code() == Some(78)
        && output.stdout.is_empty()
        && message.matches("error: ").count() == 1
        && [&place, case.says, " = help: ", case.cure, "^ expected "]
            .iter()
            .all(|part| message.contains(*part))
        && !message.contains("SESAME")
}

#[test]
fn each_broken_configuration_gets_one_clear_message_with_line_and_cure() {
    let folder = Folder::new();
    let (mut count, mut unclear) = (0, Vec::new());
    for case in broken() {
        let output = folder.check(case.file.as_bytes());
        count += 1;
        if !is_clear(&case, &output) {
            unclear.push(format!(
                "=== {}: {}\n{}\n{}",
                case.name,
                output.status,
                case.file,
                text(&output.stderr)
            ));
        }
    }
    assert!(count >= 25, "only {count} cases were read");
    assert!(unclear.is_empty(), "{}", unclear.join("\n"));
}

#[test]
fn what_is_wrong_with_the_file_as_a_whole_is_said_too() {
    let folder = Folder::new();
    let utf16: Vec<u8> = "\u{feff}[ledger]\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, says) in [
        (&b""[..], "no channel is configured"),
        (b"# nothing here\n", "no channel is configured"),
        (b"[ledger]\npath = \"caf\xe9\"\n", "line 2 is not UTF-8"),
        (&utf16, "line 1 is not UTF-8"),
    ] {
        let output = folder.check(bytes);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{message}");
        assert!(message.contains(says) && message.contains(" = help: "), "{message}");
    }
    let output = check(&folder.0.path().join("absent.toml"), &[]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78));
    assert!(message.contains("absent.toml") && message.contains("--config PATH"), "{message}");
}

#[test]
fn all_problems_are_reported_at_once_in_any_part_of_the_file() {
    let broken = format!(
        "{GOOD}timeout = \"x\"\nmdoe = 1\nscan = {{ cron = \"x\" }}\n[policy]\nbuffer = -1\n[[override]]\nsku = \"A\"\nchannel = \"b\"\ncap = -1\n"
    );
    let message = text(&Folder::new().check(broken.as_bytes()).stderr);
    assert_eq!(message.matches("error: ").count(), 6, "{message}");
}

#[test]
fn a_byte_order_mark_and_crlf_are_accepted_and_places_stay_right() {
    let folder = Folder::new();
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n")).into_bytes();
    assert_eq!(folder.check(&windows(GOOD)).status.code(), Some(0));
    let message = text(&folder.check(&windows(&format!("{GOOD}mdoe = 1\n"))).stderr);
    assert!(message.contains("stockd.toml:6:1") && !message.contains('\r'), "{message}");
}

#[test]
fn check_prints_what_is_configured_and_never_a_secret() {
    let folder = Folder::new();
    let file = format!(
        "[ledger]\npath = \"ledger.db\"\n{GOOD}mode = \"push\"\n{SITE}[[override]]\nsku = \"GIFT-*\"\ncap = 7\n\
         [[bundle]]\nsku = \"SET\"\ncomponents = [{{ sku = \"MUG\", units = 2 }}]\n"
    );
    let output = folder.check(file.as_bytes());
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let ledger = folder.0.path().join("ledger.db").display().to_string();
    for part in [
        &ledger,
        "https://example.myshopify.com/",
        "push",
        "observe",
        "T03:15:00Z",
        "GIFT-*",
        "cap 7",
        "2 x MUG",
    ] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    assert!(!shown.contains("SESAME") && !shown.contains("warning"), "{shown}");
}

#[test]
fn a_secret_open_to_others_is_a_warning() {
    let folder = Folder::new();
    folder.write("token", b"SESAME\n", 0o644);
    let output = folder.check(GOOD.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("stockd.toml:5: the secret's file"), "{}", text(&output.stdout));
}

#[test]
fn a_credential_is_read_inside_the_service_and_noted_outside_of_it() {
    let folder = Folder::new();
    let path = folder.write("stockd.toml", GOOD.replace("file", "credential").as_bytes(), 0o644);
    let inside = check(&path, &[("CREDENTIALS_DIRECTORY", folder.0.path().to_str().unwrap())]);
    assert_eq!((inside.status.code(), text(&inside.stdout).contains("warning")), (Some(0), false));
    let outside = check(&path, &[]);
    assert_eq!((outside.status.code(), text(&outside.stdout).contains("was not checked")), (Some(0), true));
    let missing = check(&path, &[("CREDENTIALS_DIRECTORY", "/nonexistent")]);
    assert_eq!(missing.status.code(), Some(78));
}

#[test]
fn the_environment_overrides_ledger_and_daemon_and_nothing_else() {
    let folder = Folder::new();
    let path = folder.write("stockd.toml", format!("{GOOD}[ledger]\npath = \"a.db\"\n").as_bytes(), 0o644);
    let output = check(&path, &[("STOCKD__LEDGER__PATH", "/elsewhere/b.db")]);
    assert!(text(&output.stdout).contains("ledger /elsewhere/b.db"), "{}", text(&output.stderr));
    for (name, value, says) in [
        ("STOCKD__POLICY__BUFFER", "5", "STOCKD__POLICY__BUFFER has no effect"),
        ("STOCKD__LEDGER__PAHT", "x.db", "did you mean `path`?"),
        ("STOCKD__DAEMON__SHUTDOWN_GRACE", "soon", "environment variable STOCKD__DAEMON__SHUTDOWN_GRACE"),
    ] {
        let output = check(&path, &[(name, value)]);
        assert_eq!(output.status.code(), Some(78), "{name}");
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
}

#[test]
fn the_file_is_found_by_environment_too_and_json_is_json() {
    let folder = Folder::new();
    let path = folder.write("stockd.toml", GOOD.as_bytes(), 0o644);
    let output = Command::new(env!("CARGO_BIN_EXE_stockd"))
        .args(["check", "--json"])
        .env("STOCKD_CONFIG", path)
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["channels"][0]["name"], "web");
    assert_eq!(report["channels"][0]["schedules"][1]["next_runs"].as_array().unwrap().len(), 3);
}
