//! No secret leaves by any door.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::street::{SHOPS, Street};

/// Whatever opens a shop, in every form in which it is sent.
fn secrets() -> Vec<String> {
    let plain =
        ["shpat_sandbox_north", "shpat_sandbox_south", "ck_sandbox_site", "cs_sandbox_site", "hunter2_wrong"];
    let basic = STANDARD.encode("ck_sandbox_site:cs_sandbox_site");
    plain.into_iter().map(str::to_owned).chain([basic]).collect()
}

fn holds_none(what: &str, bytes: &[u8]) {
    let said = String::from_utf8_lossy(bytes);
    for secret in secrets() {
        assert!(!said.contains(&secret), "{what} holds {secret}");
    }
}

#[test]
fn no_secret_is_in_logs_ledger_output_or_error_text() {
    let street = Street::open();
    street.configure(|text| text.replace("level = \"debug\"", "level = \"trace\""));
    let daemon = street.daemon_at_work();
    for shop in SHOPS {
        for fault in ["html", "truncated_json", "reset_mid_body", "throttled"] {
            street.act(&json!({"do": "inject", "shop": shop, "fault": fault, "next": 1}));
        }
        street.order(shop, &[("SKU-0001", 1)]);
    }
    street.converges();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["status"],
        vec!["plan"],
        vec!["explain", "SKU-0001"],
        vec!["history", "SKU-0001"],
        vec!["oversells"],
        vec!["quarantine", "list"],
        vec!["verify"],
        vec!["check"],
        vec!["check", "--online"],
    ];
    for command in &commands.clone() {
        let mut with_json = command.clone();
        with_json.push("--json");
        commands.push(with_json);
    }
    let heard = |command: &[&str]| {
        let output = street.run(command);
        holds_none(&format!("{command:?}"), &[output.stdout, output.stderr].concat());
        output.status.code()
    };
    for command in &commands {
        let code = heard(command);
        assert_eq!(code, Some(0), "{command:?}");
    }
    assert!(daemon.stop().success());

    // Secrets that open nothing any more.
    for file in ["north.token", "site.secret"] {
        fs::write(street.path(file), "hunter2_wrong").unwrap();
    }
    assert_ne!(heard(&["check", "--online"]), Some(0));
    let daemon = street.daemon();
    street.wait("both shops refuse us", || street.logged("channel.refused_credentials").len() == 2);
    assert!(daemon.stop().success());
    // And one that stands where none may stand.
    street.configure(|text| text.replace("token = { file = ", "token = \"hunter2_wrong\" # "));
    assert_eq!(heard(&["check"]), Some(78));
    assert_eq!(heard(&["run"]), Some(78));

    holds_none("the log", &fs::read(street.path("daemon.log")).unwrap());
    let mut files = 0;
    for file in fs::read_dir(street.path("")).unwrap().map(|file| file.unwrap().path()) {
        if file.file_name().unwrap().to_string_lossy().starts_with("ledger.db") {
            holds_none(&file.display().to_string(), &fs::read(&file).unwrap());
            files += 1;
        }
    }
    assert!(files >= 2, "the ledger and its lock");
}
