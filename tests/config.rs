//! Configurations through the real binary: what is wrong gets one clear message, what is right is accepted.

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

/// A broken configuration: the line with the mistake ends in `#!`, and stands behind `GOOD` unless it has a `kind` or
/// the name says otherwise. Then what the message must say, and the cure.
struct Case(&'static str, String, &'static str, &'static str);

/// The good channel with one more line in it.
fn with(line: &str) -> String {
    format!("{GOOD}{line} #!\n")
}

/// The good channel with one line replaced.
fn instead(of: &str, line: &str) -> String {
    let kept =
        GOOD.lines().map(|old| if old.starts_with(of) { format!("{line} #!") } else { old.to_owned() });
    kept.collect::<Vec<_>>().join("\n")
}

/// The good channel and another table.
fn and(table: &str) -> String {
    format!("{GOOD}{table}\n")
}

fn shapes() -> Vec<Case> {
    let case = |name, text, says, cure| Case(name, text, says, cure);
    vec![
        case(
            "typo in a key of a channel",
            with("mdoe = \"push\""),
            "unknown key `mdoe`",
            "did you mean `mode`?",
        ),
        case(
            "typo in an inner key",
            with("policy = { bufer = 2 }"),
            "unknown key `bufer`",
            "did you mean `buffer`?",
        ),
        case("unlike any key", with("colour = 1"), "unknown key `colour`", "remove it"),
        case("key of another kind", with("burst = 2"), "unknown key `burst`", "remove it"),
        case("unknown table", and("[polcy] #!\nbuffer = 2"), "unknown key `polcy`", "did you mean `policy`?"),
        case(
            "text for a number",
            and("[policy]\ncap = \"3\" #!"),
            "wrong type of value: string",
            "whole number without quotes",
        ),
        case(
            "number for a text",
            with("history = 30"),
            "wrong type of value: integer",
            "text in double quotes",
        ),
        case(
            "number for a table",
            with("orders = 20"),
            "wrong type of value: integer",
            "{ every = \"20s\" }",
        ),
        case(
            "override with one bracket",
            and("[override] #!\nsku = \"A\""),
            "wrong type of value: map",
            "[[override]]",
        ),
        case(
            "bundle component without units",
            and("[[bundle]]\nsku = \"S\"\ncomponents = [{ sku = \"A\" }] #!"),
            "`units` is missing",
            "add `units = ...`",
        ),
        case("channel twice", and("[channels.web] #!"), "defined twice", "remove one of the two"),
        case("key twice", with("shop = \"other.myshopify.com\""), "defined twice", "remove one of the two"),
        case(
            "two locations for one",
            with("locations = { main = \"1\", main = \"2\" }"),
            "defined twice",
            "remove one of the two",
        ),
        case("syntax: missing quote", with("mode = \"push"), "not valid TOML", "missing quote"),
        case("syntax: missing value", with("mode ="), "not valid TOML", "missing quote"),
        case(
            "log format",
            and("[log]\nformat = \"jsno\" #!"),
            "unknown format \"jsno\"",
            "did you mean \"json\"?",
        ),
        case(
            "log level",
            and("[log]\nlevel = \"loud\" #!"),
            "unknown level \"loud\"",
            "write \"error\" or \"warn\"",
        ),
    ]
}

fn channels() -> Vec<Case> {
    let case = |name, text, says, cure| Case(name, text, says, cure);
    vec![
        case(
            "unknown kind",
            instead("kind", "kind = \"shopfy\""),
            "unknown kind \"shopfy\"",
            "did you mean \"shopify\"?",
        ),
        case("no kind", format!("{GOOD}[channels.b] #!"), "the channel has no kind", "add kind = "),
        case(
            "bad id",
            format!("[channels.Web-1] #!{}", GOOD.replace("[channels.web]", "")),
            "\"Web-1\" can't be a name",
            "call it web_1",
        ),
        case(
            "unknown mode",
            with("mode = \"pull\""),
            "unknown mode \"pull\"",
            "write \"observe\" or \"push\"",
        ),
        case(
            "no shop",
            "[channels.web] #!\nkind = \"shopify\"\ntoken = { file = \"token\" }".into(),
            "the channel has no shop",
            "add shop = ",
        ),
        case(
            "shop and url",
            instead("shop", "url = \"http://127.0.0.1:1/\"\nshop = \"a.myshopify.com\""),
            "both `shop` and `url`",
            "remove `url`",
        ),
        case(
            "shop by its own domain",
            instead("shop", "shop = \"www.example.com\""),
            "this is no Shopify shop",
            "\"example.myshopify.com\"",
        ),
        case(
            "shop as an address",
            instead("shop", "shop = \"https://a.myshopify.com/\""),
            "this is no Shopify shop",
            "write \"a.myshopify.com\"",
        ),
        case(
            "url of a Shopify shop that is no sandbox",
            instead("shop", "url = \"https://a.myshopify.com\""),
            "is for a sandbox",
            "by shop = ",
        ),
        case(
            "old API version",
            with("api_version = \"2025-10\""),
            "\"2025-10\" is no version",
            "write \"2026-10\"",
        ),
        case(
            "points that allow no call",
            with("points = { maximum = 0.5, restore_per_second = 100 }"),
            "more than the 0.5 allowed at once",
            "or more, or leave it out",
        ),
        case(
            "negative points",
            with("points = { maximum = 2000, restore_per_second = -1 }"),
            "-1 is out of range",
            "write what the channel allows",
        ),
        case(
            "plain http to a public host",
            SITE.replace("https://shop.example/\"", "http://shop.example/\" #!"),
            "plain http would send the credentials",
            "write https://",
        ),
        case(
            "plain http to a name like loopback",
            SITE.replace("https://shop.example/\"", "http://localhost.example/\" #!"),
            "plain http would send the credentials",
            "write https://",
        ),
        case(
            "credentials in the address",
            SITE.replace("https://shop.example/\"", "https://ann:SESAME@shop.example/\" #!"),
            "more than an address",
            "leave out everything before @",
        ),
        case(
            "address of the API",
            SITE.replace("https://shop.example/\"", "https://shop.example/wp-json/wc/v3\" #!"),
            "this is the address of the API",
            "leave out everything from /wp-json",
        ),
        case(
            "no address at all",
            SITE.replace("https://shop.example/\"", "shop\" #!"),
            "this is no web address",
            "https:// in front",
        ),
        case(
            "sandbox beside a shop (O5)",
            format!("{GOOD}{}", SITE.replace("https://shop.example/\"", "http://127.0.0.1:8080/\" #!")),
            "`site` is a sandbox on this machine, `web` is a real shop",
            "a configuration and a ledger of its own",
        ),
        case(
            "one shop twice",
            format!("{GOOD}{}", GOOD.replace("[channels.web]", "[channels.again] #!")),
            "`again` leads to the same shop as `web`",
            "remove one of the two channels",
        ),
        case(
            "number of a location in the wrong form",
            with("locations = { main = \"Berlin\" }"),
            "\"Berlin\" is no location",
            "write it in quotes",
        ),
        case(
            "location without quotes",
            with("locations = { main = 655441491 }"),
            "wrong type of value: integer",
            "text in double quotes",
        ),
        case(
            "locations where there are none",
            format!("{SITE}locations = {{ main = \"1\" }} #!"),
            "WooCommerce keeps one number per product",
            "write \"\"",
        ),
        case(
            "orders at a location that isn't there",
            with("locations = { main = \"1\", shop = \"2\" }\norder_location = \"shup\""),
            "not among the channel's locations",
            "write order_location = \"shop\"",
        ),
    ]
}

fn secrets() -> Vec<Case> {
    let case = |name, line, says, cure| Case(name, instead("token", line), says, cure);
    vec![
        case(
            "plain-text secret",
            "token = \"SESAME\"",
            "a secret in plain text",
            "{ file = \"/path/to/it\" }",
        ),
        case(
            "plain-text secret under a misspelt key",
            "tokne = \"SESAME\"",
            "unknown key `tokne`",
            "did you mean `token`?",
        ),
        case("plain-text secret without its quote", "token = \"SESAME", "not valid TOML", "missing quote"),
        case(
            "missing file",
            "token = { file = \"absent\" }",
            "absent can't be read: No such file",
            "put the secret there",
        ),
        case(
            "missing variable",
            "token = { env = \"STOCKD_ABSENT\" }",
            "the environment variable STOCKD_ABSENT is not set",
            "set STOCKD_ABSENT for the service",
        ),
        case("empty file", "token = { file = \"/dev/null\" }", "not a regular file", "put the secret there"),
        case(
            "two places",
            "token = { file = \"token\", env = \"TOKEN\" }",
            "this names no place of a secret",
            "name exactly one place",
        ),
        case(
            "credential outside its folder",
            "token = { credential = \"../token\" }",
            "this names no place of a secret",
            "a credential is a plain name",
        ),
        case("unknown place", "token = { vault = \"token\" }", "unknown key `vault`", "remove it"),
    ]
}

fn values() -> Vec<Case> {
    let case = |name, text, says, cure| Case(name, text, says, cure);
    vec![
        case(
            "cron that never fires",
            with("scan = { cron = \"0 0 0 30 2 *\" }"),
            "this schedule never fires",
            "30 February",
        ),
        case(
            "cron in the past",
            with("scan = { cron = \"0 0 0 1 1 * 2020\" }"),
            "this schedule never fires",
            "check day, month and year",
        ),
        case(
            "numeric weekday",
            with("sweep = { cron = \"0 0 4 * * 1\" }"),
            "weekdays by number",
            "write MON, TUE",
        ),
        case(
            "cron with five fields",
            with("scan = { cron = \"15 3 * * *\" }"),
            "wrong number of fields",
            "write \"0 15 3 * * *\"",
        ),
        case(
            "cron out of range",
            with("scan = { cron = \"0 61 3 * * *\" }"),
            "this is no cron expression",
            "such as \"0 15 3 * * *\"",
        ),
        case(
            "two schedules",
            with("scan = { every = \"6h\", cron = \"0 0 4 * * *\" }"),
            "two schedules for one thing",
            "remove one of",
        ),
        case(
            "duration without a unit",
            with("timeout = \"30\""),
            "\"30\" is not a duration",
            "such as \"30s\"",
        ),
        case(
            "duration out of range",
            with("timeout = \"1h\""),
            "timeout is out of range",
            "from \"100ms\" to \"5m\"",
        ),
        case(
            "automatic polling",
            with("orders = { every = \"auto\" }"),
            "\"auto\" is not a duration",
            "\"auto\" is not supported",
        ),
        case("bad size", with("max_body = \"16MB\""), "\"16MB\" is no size", "such as \"16MiB\""),
        case(
            "share without a percent sign",
            with("policy = { share = 60 }"),
            "60 is no share",
            "write \"60%\"",
        ),
        case(
            "share above 100 %",
            with("policy = { share = \"130%\" }"),
            "130% is no share",
            "such as \"60%\"",
        ),
        case("brake share", and("[brake]\nshare = \"lots\" #!"), "lots is no share", "such as \"60%\""),
        case(
            "buffer of nonsense",
            and("[policy]\nbuffer = \"5 percent\" #!"),
            "\"5 percent\" is no buffer",
            "such as \"5%\"",
        ),
        case("negative buffer", and("[policy]\nbuffer = -1 #!"), "-1 is out of range", "at least 0"),
        case(
            "automatic buffer",
            and("[policy]\nbuffer = \"auto\" #!"),
            "an automatic buffer is not supported",
            "a number of units",
        ),
        case(
            "cap below minimum",
            with("policy = { cap = 2, min_quantity = 3 }"),
            "cap 2 is below min_quantity 3",
            "raise cap to 3",
        ),
        case(
            "cap below the general minimum",
            and("policy.cap = 2 #!\n[policy]\nmin_quantity = 3"),
            "cap 2 is below min_quantity 3",
            "raise cap to 3",
        ),
        case(
            "minimum above the general cap",
            and("[policy]\ncap = 2\n[[override]]\nsku = \"A-*\"\nmin_quantity = 3 #!"),
            "cap 2 is below min_quantity 3",
            "raise cap to 3",
        ),
        case(
            "unknown channel in an override",
            and("[[override]]\nsku = \"A\"\nchannel = \"wb\" #!\nbuffer = 1"),
            "there is no channel \"wb\"",
            "did you mean \"web\"?",
        ),
        case(
            "override that sets nothing",
            and("[[override]] #!\nsku = \"A\""),
            "this override sets nothing",
            "add what should be different",
        ),
        case(
            "override without a SKU",
            and("[[override]]\nsku = \"\" #!\nbuffer = 1"),
            "a SKU can't be empty",
            "write a SKU, or a pattern",
        ),
        case(
            "unknown channel in a bundle",
            and("[[bundle]]\nsku = \"S\"\nchannel = \"x\" #!\ncomponents = [{ sku = \"A\", units = 2 }]"),
            "there is no channel \"x\"",
            "name one that exists",
        ),
        case(
            "bundle without components",
            and("[[bundle]] #!\nsku = \"S\""),
            "a bundle without components",
            "add components = ",
        ),
        case(
            "bundle with a SKU twice",
            and(
                "[[bundle]]\nsku = \"S\"\ncomponents = [{ sku = \"A\", units = 1 }, { sku = \"A\", units = 2 }] #!",
            ),
            "the component A stands here twice",
            "the sum of the units",
        ),
        case(
            "bundle with no units",
            and("[[bundle]]\nsku = \"S\"\ncomponents = [{ sku = \"A\", units = 0 }] #!"),
            "0 units of a component",
            "at least 1",
        ),
        case(
            "bundle twice",
            and(
                "[[bundle]]\nsku = \"S\"\ncomponents = [{ sku = \"A\", units = 2 }]\n[[bundle]]\nsku = \"S\" #!\nchannel = \"web\"\ncomponents = [{ sku = \"A\", units = 3 }]",
            ),
            "the bundle S is defined twice",
            "a `channel` of its own",
        ),
        case(
            "ledger that is a folder",
            and("[ledger]\npath = \"/var/lib/stockd/\" #!"),
            "this is no file name",
            "write the full path",
        ),
    ]
}

#[test]
fn each_broken_configuration_gets_one_clear_message_with_line_and_cure() {
    let folder = Folder::new();
    let mut bad = Vec::new();
    for Case(name, text_of_file, says, cure) in
        [shapes(), channels(), secrets(), values()].into_iter().flatten()
    {
        let output = folder.check(text_of_file.as_bytes());
        let message = text(&output.stderr);
        let line = text_of_file.lines().position(|line| line.ends_with("#!")).unwrap() + 1;
        let place = format!("stockd.toml:{line}:");
        let right = output.status.code() == Some(78)
            && output.stdout.is_empty()
            && message.matches("error: ").count() == 1
            && [&place, says, cure, " = help: ", "^ expected "].iter().all(|part| message.contains(*part))
            && !message.contains("SESAME");
        if !right {
            bad.push(format!(
                "=== {name}: exit {:?}, wanted line {line}, {says:?}, {cure:?}\n{message}",
                output.status.code()
            ));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n\n"));
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
    let message = text(&folder.check(&windows(&with("mdoe = 1"))).stderr);
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
