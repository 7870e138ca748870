//! Counts from files: what is read, what is refused, and how it is said.

use crate::Shop;

/// SKU, location and on hand of everything, as the export writes it.
fn exported(shop: &Shop) -> Vec<String> {
    shop.says(&["stock", "export"]).lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_file_is_imported_and_comes_out_again() {
    let shop = Shop::new();
    shop.write("count.csv", "sku,on_hand,location\nMUG,12,main\nTEA,3,loft\n");
    let said = shop.says(&["stock", "import", "count.csv"]);
    assert!(said.contains("2 counted, 2 of them changed"), "{said}");
    assert!(said.contains("location loft is new"), "{said}");
    assert_eq!(exported(&shop), ["MUG,main,12,0", "TEA,loft,3,0"]);
    shop.run(&["stock", "export", "out.csv"]).success();
    let again = shop.says(&["stock", "import", "out.csv"]);
    assert!(again.contains("2 counted, 0 of them changed"), "{again}");
    shop.run(&["verify"]).success();
}

#[test]
fn o6_byte_order_mark_crlf_quotes_semicolons_and_text_formulas_are_read() {
    for text in [
        "\u{feff}SKU,On Hand,location\r\n=\"00123\",5,main\r\n\"A, B\",+6,\r\n\r\n,,\r\n\"Q\"\"X\",7,main\r\n",
        "sku;location;on_hand\n=\"00123\";;5\n\"A, B\";main;6\n\"Q\"\"X\";;7\n",
        "\n\nsku\ton_hand\n00123\t5\nA, B\t6\nQ\"X\t7",
        "sku,quantity,basis\n\"=\"\"00123\"\"\",5,on_hand\n\"A, B\",6,ON_HAND,,\n\"Q\"\"X\",7,\n",
    ] {
        let shop = Shop::new();
        shop.write("count.csv", text);
        shop.run(&["stock", "import", "count.csv"]).success();
        assert_eq!(exported(&shop), ["00123,main,5,0", "\"A, B\",main,6,0", "\"Q\"\"X\",main,7,0"], "{text}");
    }
}

#[test]
fn o6_every_bad_line_is_named_with_its_reason_and_nothing_is_imported() {
    let bad: &[(&str, &str)] = &[
        ("MUG,-1", "fewer than no units"),
        ("MUG,1.5", "1.5: expected whole units"),
        ("MUG,5.0", "5.0: expected whole units"),
        ("MUG,\"1,5\"", "expected whole units"),
        ("MUG,\"1,000\"", "without thousands separators"),
        ("MUG,1.000", "without thousands separators"),
        ("MUG,1 000", "without thousands separators"),
        ("MUG,", "has no number"),
        ("MUG", "has no number"),
        ("MUG,many", "\"many\": that is not one"),
        ("MUG,2000000000", "out of range"),
        ("MUG,99999999999999999999", "beyond"),
        ("MUG,=A1+1", "formula =A1+1"),
        ("=VLOOKUP(1),5", "formula =VLOOKUP(1)"),
        ("#N/A,5", "error of a formula"),
        (",5", "has no SKU"),
        ("4.01E+12,5", "spreadsheet has shortened"),
        ("MUG,5,main,extra", "4 fields where the heading has 3"),
        ("RED, MUG,5,main", "4 fields where the heading has 3"),
        ("GOOD,5", "counts GOOD at main again, after line 2"),
        ("MU\tG,5", "control characters"),
        ("\"MUG,5", "quote may not be closed"),
    ];
    for (line, why) in bad {
        let shop = Shop::new();
        // An empty line in front must not shift the numbers.
        shop.write("count.csv", format!("sku,on_hand,location\nGOOD,1,main\r\n\r\n{line}\nALSO GOOD,2,\n"));
        let said = shop.complains(&["stock", "import", "count.csv"], 1);
        assert!(said.contains("1 line can't be used; nothing was imported"), "{line}: {said}");
        assert!(said.contains("\n  line 4: ") && said.contains(why), "{line}: {said}");
        assert!(!shop.path("ledger.db").exists());
    }
}

#[test]
fn all_bad_lines_are_named_at_once() {
    let shop = Shop::new();
    shop.write("count.csv", "sku,on_hand\nA,1\nB,x\nC,2\nD,\nE,1.5\n");
    let said = shop.complains(&["stock", "import", "count.csv"], 1);
    assert!(
        said.contains("3 lines") && ["line 3", "line 5", "line 6"].iter().all(|l| said.contains(l)),
        "{said}"
    );
}

#[test]
fn d17_times_need_an_offset_and_a_count_can_lie_neither_ahead_nor_behind_the_last() {
    let shop = Shop::stocked();
    let import = |text: &str| {
        shop.write("late.csv", text);
        shop.complains(&["stock", "import", "late.csv"], 1)
    };
    let head = "sku,quantity,basis,counted_at\nMUG,4,available,";
    assert!(import(&format!("{head}2026-11-22 18:30\n")).contains("expected one with its offset"));
    assert!(import(&format!("{head}2999-01-01T00:00:00Z\n")).contains("counted in the future"));
    let said = import(&format!("{head}2020-01-01T00:00:00+01:00\n"));
    assert!(said.contains("line 2: MUG was counted again"), "{said}");
    assert!(import("sku,quantity,basis\nMUG,4,shelf\n").contains("expected on_hand or available"));
}

#[test]
fn headings_that_mean_nothing_or_too_much_are_refused() {
    let shop = Shop::new();
    for (heading, why) in [
        ("MUG,5", "no column for the number"),
        ("item,on_hand", "no column \"sku\""),
        ("sku,on_hand,available", "several columns for the number: on_hand, available"),
        ("sku,on_hand,basis", "what the number means twice"),
        ("sku,on_hand,SKU", "\"sku\" twice"),
        ("sku,on_hand,locaton", "is \"location\" meant?"),
        ("sku,onhand", "is \"on_hand\" meant?"),
    ] {
        shop.write("count.csv", format!("{heading}\nMUG,1,1\n"));
        let said = shop.complains(&["stock", "import", "count.csv"], 1);
        assert!(said.contains("line 1: ") && said.contains(why), "{heading}: {said}");
    }
    shop.write("count.csv", "sku,title,on_hand\nMUG,A mug,1\n");
    assert!(shop.says(&["stock", "import", "count.csv"]).contains("columns that are not used: title"));
}

#[test]
fn o3_an_empty_file_and_one_without_rows_are_refused() {
    let shop = Shop::new();
    for (text, why) in [
        ("", "the file is empty"),
        ("\u{feff}\r\n\r\n", "the file is empty"),
        ("sku,on_hand\n", "not one row"),
        ("sku,on_hand\n,\n\n", "not one row"),
    ] {
        shop.write("count.csv", text);
        assert!(shop.complains(&["stock", "import", "count.csv"], 1).contains(why), "{text:?}");
    }
    shop.write("count.csv", b"sku,on_hand\nM\xdcG,5\n");
    assert!(shop.complains(&["stock", "import", "count.csv"], 1).contains("line 2: is not UTF-8"));
    assert!(shop.complains(&["stock", "import", "nothing.csv"], 1).contains("can't read nothing.csv"));
    assert!(!shop.path("ledger.db").exists());
}

#[test]
fn a_dry_run_shows_what_would_change_and_changes_nothing() {
    let shop = Shop::stocked();
    shop.order("web", "1001", "MUG", 3);
    shop.write("count.csv", "sku,available\nMUG,7\nTEA,10\nCUP,4\n");
    let said = shop.says(&["stock", "import", "count.csv", "--dry-run"]);
    assert!(said.contains("2 would change, 1 would not"), "{said}");
    let json = shop.json(&["stock", "import", "count.csv", "--dry-run"]);
    let mug = &json["changes"][0];
    assert_eq!((mug["on_hand_before"].as_i64(), mug["on_hand"].as_i64()), (Some(20), Some(10)));
    assert_eq!((mug["committed"].as_i64(), mug["available"].as_i64()), (Some(3), Some(7)));
    assert!(json["changes"][1]["on_hand_before"].is_null());
    assert_eq!(exported(&shop), ["MUG,main,20,3", "TEA,main,10,0"]);
    shop.run(&["stock", "import", "count.csv"]).success();
    assert_eq!(exported(&shop), ["CUP,main,4,0", "MUG,main,10,3", "TEA,main,10,0"]);
}

#[test]
fn o1_an_import_that_would_empty_most_of_the_shop_asks_first() {
    let shop = Shop::stocked();
    shop.write("count.csv", "sku,on_hand\nMUG,0\nTEA,0\n");
    let said = shop.complains(&["stock", "import", "count.csv"], 1);
    assert!(said.contains("2 of the 2 SKUs in stock") && said.contains("--yes"), "{said}");
    assert_eq!(exported(&shop), ["MUG,main,20,0", "TEA,main,10,0"]);
    shop.write("half.csv", "sku,on_hand\nMUG,0\n");
    shop.run(&["stock", "import", "half.csv"]).success();
    shop.run(&["stock", "import", "count.csv", "--yes"]).success();
    assert_eq!(exported(&shop), ["MUG,main,0,0", "TEA,main,0,0"]);
}

#[test]
fn d2_near_matches_are_pointed_out_and_kept_apart() {
    let shop = Shop::stocked();
    shop.write("count.csv", "sku,on_hand\nmug,5\n");
    let said = shop.says(&["stock", "import", "count.csv"]);
    assert!(said.contains("near matches, yet different SKUs: {\"MUG\", \"mug\"}"), "{said}");
    assert_eq!(exported(&shop), ["MUG,main,20,0", "TEA,main,10,0", "mug,main,5,0"]);
}

#[test]
fn what_a_spreadsheet_would_run_is_exported_as_text_and_read_back() {
    let shop = Shop::new();
    shop.run(&["stock", "set", "=1+1", "5", "--reason", "odd name"]).success();
    shop.run(&["stock", "export", "out.csv"]).success();
    let written = std::fs::read_to_string(shop.path("out.csv")).unwrap();
    assert!(written.contains("\"=\"\"=1+1\"\"\",main,5,0"), "{written}");
    assert!(shop.says(&["stock", "import", "out.csv"]).contains("1 counted, 0 of them changed"));
}
