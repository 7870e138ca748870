//! Commands that show what is in the ledger.

use std::process::Stdio;

use stockd::{
    domain::{UtcMs, WriteRow},
    engine::plan,
    ledger::{Incident, NewPush, PushState, Span},
};

use crate::{Shop, now, place};

#[test]
fn explain_goes_from_movements_to_the_target_line_by_line() {
    let shop = Shop::stocked();
    shop.scan("web", &[("1", "MUG", 20)]);
    shop.scan("site", &[("2", "MUG", 9)]);
    shop.order("web", "1001", "MUG", 3);
    let said = shop.says(&["explain", "MUG"]);
    let web = "  on hand 20\n  - committed 3\n  = available 17\n  - buffer 2 (units)\n  = 15\n  = target 15\n  \
               expected 20\n  observed 20, last changed in a read at 1970-01-01T00:00:01Z\n  \
               it should show 15: to be pushed\n";
    assert!(said.contains(web), "{said}");
    let site = "  = 17\n  share 50% of 17, rounded down: at most 8\n  cap: at most 20\n  min_quantity: 0 if below 3\n  \
                = target 8\n  expected 9\n";
    assert!(said.contains(site), "{said}");
    assert!(said.contains("the channel is only observed"), "{said}");
    assert!(said.contains("import of count.csv") && said.contains("web order #1001"), "{said}");
    let only = shop.says(&["explain", "MUG", "site"]);
    assert!(!only.contains("web (push)") && only.contains("site (observe)"), "{only}");
    let json = shop.json(&["explain", "MUG"]);
    let calculation = &json["listings"][1]["places"][0]["inputs"]["calculation"];
    assert_eq!((calculation["available"].as_i64(), calculation["target"].as_i64()), (Some(17), Some(15)));
}

#[test]
fn explain_shows_what_a_bundle_is_made_of_and_why_a_listing_is_left_alone() {
    let shop = Shop::stocked();
    shop.scan("web", &[("1", "SET", 10), ("2", "CUP", 4), ("3", "CUP", 4), ("4", "NONE", 1)]);
    let said = shop.says(&["explain", "SET"]);
    let parts = "  2 x MUG: on hand 20 - committed 0 - shadow 0 = 20, enough for 10\n  \
                 1 x TEA: on hand 10 - committed 0 - shadow 0 = 10, enough for 10\n  \
                 = available 10 (the scarcest part decides)\n  - buffer 2 (units)\n  = 8\n  = target 8\n";
    assert!(said.contains(parts), "{said}");
    assert!(shop.says(&["explain", "TEA"]).contains("SKU SET"), "a part leads to its bundle");
    assert!(shop.says(&["explain", "CUP"]).contains("left alone (ambiguous)"));
    assert!(shop.says(&["explain", "NONE"]).contains("its SKU is not in the ledger"));
    assert!(shop.complains(&["explain", "NOWHERE"], 1).contains("neither in the ledger nor on any channel"));
    assert!(shop.complains(&["explain", "SET", "shop"], 2).contains("it has web, site"));
}

/// Pushes the target of web's listing 1 and settles it.
fn push(shop: &Shop, state: Option<PushState>) {
    shop.write_ledger(|ledger, settings| {
        let web = &settings.channels[0];
        let place = ledger.place_id(&web.id, &place("1")).unwrap().unwrap();
        let plan = plan::plan(ledger, settings, web, &[], place).unwrap().unwrap();
        let row = WriteRow {
            place: plan.row.place.clone(),
            value: plan.target().unwrap(),
            change_from: plan.row.expected,
            counted_at: None,
        };
        let inputs = serde_json::to_string(&plan.inputs).unwrap();
        let request = ledger.prepare(now(), &web.id, &[NewPush { place, row, inputs }]).unwrap();
        match state {
            None => {
                let landed = Span { from: UtcMs(5_000), to: UtcMs(5_100) };
                ledger.settle_applied(request.id, place, now(), landed, true).unwrap();
            }
            Some(state) => {
                ledger.settle_without_effect(request.id, place, state, "it showed 19").unwrap();
            }
        }
        ledger.close_request(request.id, now()).unwrap();
    });
}

#[test]
fn explain_tells_what_became_of_the_last_pushes_and_verify_finds_them_justified() {
    let shop = Shop::stocked();
    shop.scan("web", &[("1", "MUG", 20)]);
    push(&shop, Some(PushState::Conflict));
    push(&shop, None);
    shop.write_ledger(|ledger, _| {
        let drift =
            Incident { kind: "drift", channel: Some("web"), sku: Some("MUG"), detail: "1 more shown" };
        ledger.note(now(), &drift).unwrap();
    });
    let said = shop.says(&["explain", "MUG", "web"]);
    assert!(said.contains("version 2: 18 from 20, applied (knew movements up to 2)"), "{said}");
    assert!(said.contains("version 1: 18 from 20, conflict") && said.contains(": it showed 19"), "{said}");
    assert!(said.contains("it shows what it should") && said.contains("drift: 1 more shown"), "{said}");
    let report = shop.json(&["verify"]);
    let justified =
        report["checks"].as_array().unwrap().iter().find(|c| c["invariant"] == "justified").unwrap();
    assert_eq!((justified["checked"].as_i64(), report["problem_count"].as_i64()), (Some(2), Some(0)));
}

#[test]
fn plan_lists_what_differs_with_the_reason_and_the_exit_code() {
    let shop = Shop::stocked();
    shop.scan("web", &[("1", "MUG", 20), ("2", "TEA", 8)]);
    shop.scan("site", &[("1", "MUG", 10)]);
    let said = shop.says(&["plan"]);
    assert!(said.contains("available 20, buffer 2") && said.contains("1 of 3 numbers differ"), "{said}");
    shop.run(&["plan", "--exit-code"]).code(3);
    shop.run(&["plan", "--exit-code", "--channel", "site"]).success();
    shop.run(&["plan", "--exit-code", "--sku", "TEA"]).success();
    let json = shop.json(&["plan", "--sku", "MUG"]);
    let found = &json["differences"][0];
    assert_eq!((found["shows"].as_i64(), found["target"].as_i64()), (Some(20), Some(18)));
    assert_eq!((json["differences"].as_array().unwrap().len(), json["places"].as_i64()), (1, Some(2)));
    shop.order("web", "1", "MUG", 10);
    let said = shop.says(&["plan", "--channel", "site"]);
    assert!(said.contains("available 10, share 50%") && said.contains("observe: not written"), "{said}");
    shop.complains(&["plan", "--channel", "nowhere"], 2);
    shop.complains(&["plan", "--sku", "NOWHERE"], 1);
}

#[test]
fn status_tells_of_every_channel_and_of_what_needs_a_person() {
    let shop = Shop::stocked();
    shop.scan("web", &[("1", "MUG", 20), ("2", "NONE", 3)]);
    shop.order("web", "1001", "MUG", 25);
    shop.order("web", "1002", "WHAT", 1);
    shop.write_ledger(|ledger, _| {
        ledger.move_cursor("web", now()).unwrap();
        let drift = Incident { kind: "drift", channel: Some("web"), sku: Some("MUG"), detail: "" };
        ledger.note(now(), &drift).unwrap();
    });
    let json = shop.json(&["status"]);
    let web = &json["channels"][0];
    assert_eq!(
        (web["mode"].as_str(), web["account"]["account_name"].as_str()),
        (Some("push"), Some("Example Shop"))
    );
    assert_eq!((web["orders"].as_i64(), web["writes"]["requests"].as_i64()), (Some(2), Some(0)));
    assert_eq!(web["listings"][1]["state"], "unmatched");
    assert_eq!(web["incidents"][0], serde_json::json!(["drift", 1]));
    assert_eq!((json["running"].as_bool(), json["totals"]["quarantined"].as_i64()), (Some(false), Some(1)));
    assert_eq!(json["oversold"][0], serde_json::json!({ "sku": "MUG", "available": -5 }));
    let said = shop.says(&["status"]);
    for part in
        ["no stockd is running", "1 SKU is oversold", "1 order line is in quarantine", "not reached yet"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    shop.run(&["status", "--exit-code"]).code(3);
}

#[test]
fn oversells_names_the_orders_that_cannot_be_filled() {
    let shop = Shop::stocked();
    assert!(shop.says(&["oversells"]).contains("every open order can be filled"));
    shop.order("web", "1001", "MUG", 15);
    shop.order("site", "77", "SET", 4);
    shop.order("web", "1002", "MUG", 1);
    let json = shop.json(&["oversells"]);
    assert_eq!(json[0]["available"], -4);
    let lines: Vec<_> = json[0]["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (line["channel"].as_str().unwrap(), line["order"].as_str().unwrap(), line["short"].as_i64())
        })
        .collect();
    assert_eq!(lines, [("web", "#1002", Some(1)), ("site", "#77", Some(3))]);
    shop.run(&["stock", "adjust", "MUG", "-30", "--reason", "burst pipe"]).success();
    assert!(shop.says(&["oversells"]).contains("on hand is below 0"));
}

#[test]
fn history_shows_changes_and_what_they_left() {
    let shop = Shop::stocked();
    shop.order("web", "1001", "MUG", 3);
    let said = shop.says(&["history", "MUG"]);
    assert!(
        said.contains("+20 -> 20") && said.contains("+3 -> 3") && said.contains("web order #1001"),
        "{said}"
    );
    let last = shop.says(&["history", "MUG", "--limit", "1"]);
    assert!(!last.contains("opening") && last.contains("1 earlier movements"), "{last}");
    assert_eq!(shop.json(&["history", "MUG"]).as_array().unwrap().len(), 2);
    assert!(shop.complains(&["history", "MUGS"], 1).contains("stock export"));
}

#[test]
fn verify_names_damage_and_ends_with_1() {
    let shop = Shop::stocked();
    assert!(shop.says(&["verify"]).contains("holds"));
    shop.run(&["verify", "--quick"]).success();
    let conn = rusqlite::Connection::open(shop.path("ledger.db")).unwrap();
    conn.execute("UPDATE stock SET on_hand = 21 WHERE sku = 'MUG'", []).unwrap();
    let assert = shop.run(&["verify"]).code(1);
    let (said, complaint) = (&assert.get_output().stdout, &assert.get_output().stderr);
    assert!(String::from_utf8_lossy(said).contains("balances: SKU MUG at main: stock says on hand 21"));
    assert!(String::from_utf8_lossy(complaint).contains("1 problem; stop stockd"));
    let report = shop.json(&["verify"]);
    assert_eq!(report["problems"][0]["invariant"], "balances");
    // A backup is verified without a configuration.
    let copy = shop.path("ledger.db");
    let mut command = shop.command(&["verify", "--ledger", copy.to_str().unwrap()]);
    command.env("STOCKD_CONFIG", "/nowhere.toml").assert().code(1);
}

#[test]
fn without_a_ledger_or_a_configuration_the_message_says_what_to_do() {
    let shop = Shop::new();
    for args in
        [&["plan"][..], &["status"], &["oversells"], &["verify"], &["history", "MUG"], &["stock", "export"]]
    {
        assert!(shop.complains(args, 1).contains("there is no ledger at"), "{args:?}");
    }
    assert!(shop.complains(&["release", "web", "--reason", "r"], 1).contains("there is no ledger at"));
    assert!(!shop.path("ledger.db").exists());
    assert!(shop.complains(&["plan", "--config", "nothing.toml"], 78).contains("can't be read"));
}

#[test]
fn p9_a_reader_that_goes_away_is_no_failure() {
    let shop = Shop::new();
    let rows: Vec<String> = (0..20_000).map(|n| format!("SKU-{n},{n}")).collect();
    shop.write("count.csv", format!("sku,on_hand\n{}", rows.join("\n")));
    shop.run(&["stock", "import", "count.csv"]).success();
    for args in [
        &["stock", "export"][..],
        &["stock", "export", "--json"],
        &["stock", "import", "count.csv", "--dry-run"],
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stockd"));
        command.current_dir(shop.0.path()).args(args).args(["--config", "stockd.toml"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn every_command_teaches() {
    let shop = Shop::new();
    for command in
        ["plan", "explain", "status", "history", "oversells", "pause", "resume", "release", "verify"]
    {
        let said = shop.says(&[command, "--help"]);
        assert!(said.contains("Example") && said.contains("--config"), "{said}");
    }
    for part in [&["stock", "import"][..], &["stock", "export"], &["stock", "set"], &["stock", "adjust"]] {
        assert!(shop.says(&[part, &["--help"]].concat()).contains("Example"), "{part:?}");
    }
}
