//! Commands that change the ledger, with and without a daemon.

use std::{sync::mpsc, thread, time::Duration};

use stockd::ledger::Ledger;

use crate::{Shop, count, now};

#[test]
fn set_and_adjust_say_what_is_there_now() {
    let shop = Shop::new();
    let said = shop.says(&["stock", "set", "MUG", "12", "--reason", "shelf counted"]);
    assert!(said.contains("MUG at main: on hand 12 - committed 0 = available 12"), "{said}");
    let said = shop.says(&["stock", "adjust", "MUG", "-2", "--reason", "dropped"]);
    assert!(said.contains("on hand changed by -2") && said.contains("on hand 10"), "{said}");
    shop.run(&["stock", "adjust", "MUG", "48", "--receipt", "--reason", "delivery 2291"]).success();
    shop.order("web", "1", "MUG", 5);
    let set = ["stock", "set", "MUG", "20", "--basis", "available", "--reason", "recount"];
    assert!(shop.says(&set).contains("on hand 25 - committed 5 = available 20"));
    shop.run(&["verify"]).success();
}

#[test]
fn set_and_adjust_refuse_what_makes_no_sense() {
    let shop = Shop::stocked();
    for (args, code, why) in [
        (&["stock", "set", "MUG", "5"][..], 2, "--reason"),
        (&["stock", "set", "MUG", "5", "--reason", " "], 2, "a reason can't be empty"),
        (&["stock", "set", "MUG", "1.5", "--reason", "r"], 2, "whole number of units"),
        (&["stock", "set", "MUG", "-1", "--reason", "r"], 2, "fewer than no units"),
        (&["stock", "set", "MUG", "2000000000", "--reason", "r"], 2, "out of range"),
        (&["stock", "set", "", "5", "--reason", "r"], 2, "can't be empty"),
        (
            &["stock", "set", "MUG", "5", "--counted-at", "2026-11-22 18:30", "--reason", "r"],
            2,
            "with its offset",
        ),
        (
            &["stock", "set", "MUG", "5", "--counted-at", "2020-01-01T00:00:00Z", "--reason", "r"],
            1,
            "counted again",
        ),
        (&["stock", "adjust", "MUG", "0", "--reason", "r"], 2, "changes nothing"),
        (&["stock", "adjust", "MUG", "-1", "--receipt", "--reason", "r"], 2, "a delivery brings units"),
        (&["stock", "adjust", "MUG", "-1", "--location", "mian", "--reason", "r"], 2, "only at main"),
        (&["stock", "adjust", "CUP", "1", "--reason", "r"], 1, "CUP is not in the ledger"),
    ] {
        let said = shop.complains(args, code);
        assert!(said.contains(why), "{args:?}: {said}");
    }
    assert_eq!(shop.json(&["history", "MUG"]).as_array().unwrap().len(), 1);
}

#[test]
fn pauses_are_made_shown_and_ended() {
    let shop = Shop::stocked();
    shop.scan("web", &[("1", "MUG", 20)]);
    for (args, code, why) in [
        (
            &["pause", "shop", "--reason", "r"][..],
            2,
            "no channel shop in the configuration; it has web, site",
        ),
        (&["pause", "web", "CUP", "--reason", "r"], 1, "neither in the ledger nor on any channel"),
        (&["pause", "web", "mug", "--reason", "r"], 1, "it knows \"MUG\""),
        (&["resume", "web", "--reason", "r"], 1, "web is not paused"),
        (&["release", "web", "--reason", "r"], 1, "brake of web is not engaged"),
        (&["pause", "web"], 2, "--reason"),
    ] {
        let said = shop.complains(args, code);
        assert!(said.contains(why), "{args:?}: {said}");
    }
    let said = shop.says(&["pause", "web", "MUG", "--zero", "--reason", "recall"]);
    assert!(said.contains("MUG on web is paused and shows 0"), "{said}");
    assert!(shop.says(&["explain", "MUG", "web"]).contains("= target 0: paused at zero"));
    shop.run(&["pause", "web", "--reason", "theme"]).success();
    assert_eq!(shop.json(&["status"])["channels"][0]["pauses"].as_array().unwrap().len(), 2);
    shop.run(&["resume", "web", "MUG", "--reason", "done"]).success();
    assert!(shop.says(&["explain", "MUG", "web"]).contains("paused, what is shown stays"));
    assert!(shop.says(&["plan"]).contains("1 more: held by a pause"));
    shop.run(&["resume", "web", "--reason", "done"]).success();
    assert!(shop.says(&["explain", "MUG", "web"]).contains("= target 18"));
}

#[test]
fn a_brake_is_shown_and_released() {
    let shop = Shop::stocked();
    shop.scan("web", &[("1", "MUG", 20)]);
    shop.write_ledger(|ledger, settings| {
        ledger.engage_brake(now(), &settings.channels[0].id, 40, "40 of 50 listings would rise").unwrap();
    });
    let said = shop.says(&["status"]);
    assert!(said.contains("web: the brake holds 40 pushes"), "{said}");
    assert!(shop.says(&["plan"]).contains("held by the brake"));
    shop.run(&["release", "web", "--reason", "checked"]).success();
    assert!(!shop.says(&["status"]).contains("brake"));
}

#[test]
fn quarantined_lines_are_listed_and_resolved() {
    let shop = Shop::stocked();
    assert!(shop.says(&["quarantine", "list"]).contains("nothing is in quarantine"));
    shop.order("web", "1", "MUGG", 2);
    shop.order("site", "2", "GIFT", 1);
    let listed = shop.says(&["quarantine", "list"]);
    assert!(listed.contains("MUGG") && listed.contains("is not in the ledger"), "{listed}");
    let ids: Vec<String> =
        shop.json(&["quarantine", "list"]).as_array().unwrap().iter().map(|q| q["id"].to_string()).collect();
    let resolve = |id: &str, how: &[&str], code| {
        let args = [&["quarantine", "resolve", id, "--reason", "looked at it"], how].concat();
        shop.complains(&args, code)
    };
    assert!(resolve(&ids[0], &["--retry"], 1).contains("stays"));
    assert!(resolve(&ids[0], &[], 2).contains("--retry"));
    assert!(resolve(&ids[0], &["--retry", "--drop"], 2).contains("cannot be used with"));
    assert!(resolve("99", &["--drop"], 1).contains("no quarantine entry 99"));
    resolve(&ids[0], &["--book", "MUG"], 0);
    resolve(&ids[1], &["--drop"], 0);
    assert_eq!(shop.json(&["quarantine", "list"]).as_array().unwrap().len(), 0);
    assert!(shop.says(&["explain", "MUG"]).contains("on hand 20 - committed 2 = available 18"));
    shop.run(&["verify"]).success();
}

#[test]
fn a_count_makes_listings_managed_that_did_not_match_before() {
    let shop = Shop::stocked();
    shop.scan("web", &[("1", "CUP", 5)]);
    assert!(shop.says(&["status"]).contains("web: 1 unmatched"));
    shop.run(&["stock", "set", "CUP", "9", "--reason", "new"]).success();
    assert!(shop.says(&["explain", "CUP"]).contains("= target 7"));
}

/// Stands in for the daemon: holds the ledger, answers `answers` requests, and gives what was asked.
fn with_daemon<T>(shop: &Shop, answers: usize, work: impl FnOnce() -> T) -> (T, Vec<String>) {
    let (settings, (ready, started), (end, ended)) = (shop.settings(), mpsc::channel(), mpsc::channel());
    let daemon = thread::spawn(move || {
        let ledger = Ledger::open(&settings.ledger).unwrap();
        ready.send(()).unwrap();
        let mut asked = Vec::new();
        while ended.recv_timeout(Duration::from_millis(20)).is_err() {
            for (id, operation) in ledger.waiting().unwrap().into_iter().take(answers - asked.len()) {
                let operation = operation.unwrap();
                ledger.begin().unwrap();
                let done = ledger.operate(now(), &settings, &operation).unwrap();
                ledger.answer(id, now(), &done.map(|done| done.answer)).unwrap();
                ledger.commit().unwrap();
                asked.push(format!("{operation:?}"));
            }
        }
        let left = ledger.waiting().unwrap().len();
        asked.push(format!("{left} left"));
        asked
    });
    started.recv().unwrap();
    let done = work();
    end.send(()).unwrap();
    (done, daemon.join().unwrap())
}

#[test]
fn a_running_daemon_is_asked_and_its_answer_is_told() {
    let shop = Shop::stocked();
    let ((said, refused, status), asked) = with_daemon(&shop, 2, || {
        (
            shop.says(&["stock", "set", "MUG", "7", "--reason", "recount"]),
            shop.complains(&["resume", "web", "--reason", "r"], 1),
            shop.json(&["status"]),
        )
    });
    assert!(said.contains("1 counted") && said.contains("on hand 7"), "{said}");
    assert!(refused.contains("web is not paused"), "{refused}");
    assert_eq!(status["running"], true);
    assert!(asked[0].contains("recount") && asked[2] == "0 left", "{asked:?}");
}

#[test]
fn a_daemon_that_does_not_answer_in_time_leaves_everything_as_it_was() {
    let shop = Shop::stocked();
    let (said, asked) = with_daemon(&shop, 0, || {
        shop.complains(&["stock", "set", "MUG", "7", "--wait", "1", "--reason", "r"], 1)
    });
    assert!(said.contains("did not answer within 1 s") && said.contains("nothing was changed"), "{said}");
    assert_eq!(asked, ["0 left"], "the request was taken back");
    assert!(shop.says(&["explain", "MUG"]).contains("on hand 20"));
}

#[test]
fn a_request_left_with_a_daemon_that_then_stops_is_carried_out_without_it() {
    let shop = Shop::stocked();
    let settings = shop.settings();
    let ledger = Ledger::open(&settings.ledger).unwrap();
    thread::scope(|scope| {
        let asking = scope.spawn(|| shop.says(&["stock", "set", "MUG", "7", "--reason", "r"]));
        while ledger.waiting().unwrap().is_empty() {
            thread::sleep(Duration::from_millis(10));
        }
        drop(ledger);
        assert!(asking.join().unwrap().contains("on hand 7"));
    });
}

#[test]
fn the_reason_and_the_answer_stay_in_the_ledger() {
    let shop = Shop::stocked();
    shop.run(&["stock", "set", "MUG", "7", "--reason", "shelf three recounted"]).success();
    assert!(shop.says(&["history", "MUG"]).contains("shelf three recounted"));
    shop.write_ledger(|ledger, settings| {
        assert_eq!(ledger.answer_to(2).unwrap(), Some(Ok("1 counted, 1 of them changed".into())));
        ledger.operate(now(), settings, &count("MUG", 8)).unwrap().unwrap();
    });
}
