//! What staff and operators do: numbers typed by hand, observing, braking, pausing, swapped credentials.

use std::{fs, thread::sleep, time::Duration};

use serde_json::json;

use crate::street::{SHOPS, Street, text};

impl Street {
    fn movements(&self, sku: &str) -> usize {
        self.json(&["history", sku]).as_array().unwrap().len()
    }

    /// A number typed into a shop by its staff.
    fn set(&self, shop: &str, sku: &str, quantity: i64) {
        self.act(&json!({"do": "set", "shop": shop, "sku": sku, "quantity": quantity}));
    }

    fn writes(&self) -> u64 {
        SHOPS.map(|shop| self.count(shop, "writes")).iter().sum()
    }
}

#[test]
fn a_number_typed_into_a_shop_is_put_right_by_the_next_scan_and_moves_no_stock() {
    let street = Street::open();
    street.configure(|text| text.replace("settle = \"1s\"", "settle = \"1s\"\nscan = { every = \"2s\" }"));
    let _daemon = street.daemon_at_work();
    for shop in SHOPS {
        for (sku, change) in [("SKU-0008", 5), ("SKU-0009", -4)] {
            let [right, ..] = street.shown(sku);
            street.set(shop, sku, right + change);
            assert_ne!(street.shown(sku), [right; 3]);
            street.shows(sku, right);
            assert_eq!(street.movements(sku), 1, "only the count");
        }
    }
    street.converges();
}

#[test]
fn a_shop_in_observe_mode_is_planned_for_and_never_written_to() {
    let street = Street::open();
    street.configure(|text| text.replace("mode = \"push\"", "mode = \"observe\""));
    let daemon = street.daemon_at_work();
    let [opening, ..] = street.shown("SKU-0001");
    street.order("north", &[("SKU-0001", 2)]);
    street.wait("the order is planned for", || street.run(&["plan", "--exit-code"]).status.code() == Some(3));
    let plan = street.json(&["plan", "--sku", "SKU-0001"]);
    let found = plan["differences"].as_array().unwrap();
    assert_eq!(found.len(), 2, "{plan}");
    assert!(found.iter().all(|it| it["target"] == opening - 2 && it["mode"] == "observe"), "{plan}");
    sleep(Duration::from_secs(3));
    assert_eq!((street.shown("SKU-0001"), street.writes()), ([opening - 2, opening, opening], 0));

    assert!(daemon.stop().success());
    street.configure(|text| text.replace("mode = \"observe\"", "mode = \"push\""));
    let _daemon = street.daemon();
    street.shows("SKU-0001", opening - 2);
}

#[test]
fn o1_a_buffer_that_changes_the_whole_shop_is_held_by_the_brake_until_a_person_releases_it() {
    let street = Street::open();
    let daemon = street.daemon_at_work();
    assert!(daemon.stop().success());
    let plain = fs::read_to_string(street.path("stockd.toml")).unwrap();
    street.configure(|text| {
        format!("{text}\n[policy]\nbuffer = 10\n\n[brake]\nmin_listings = 2\nshare = \"10%\"\n")
    });
    let _daemon = street.daemon_at_work();
    street.wait("every brake is engaged", || street.logged("brake.engaged").len() == SHOPS.len());
    let [opening, ..] = street.shown("SKU-0001");
    assert_eq!(street.writes(), 0);
    let status = street.json(&["status", "--exit-code"]);
    let attention: Vec<_> = status["attention"].as_array().unwrap().iter().map(text).collect();
    for shop in SHOPS {
        assert!(attention.iter().any(|it| it.contains(&format!("stockd release {shop}"))), "{attention:?}");
    }

    // What a sale explains passes all the same.
    street.order("north", &[("SKU-0001", 1)]);
    street.wait("the others come down", || street.shown("SKU-0001")[1..] == [opening - 11; 2]);
    let [other, ..] = street.shown("SKU-0010");
    sleep(Duration::from_secs(2));
    assert_eq!(street.shown("SKU-0010"), [other; 3]);
    for (released, shop) in SHOPS.into_iter().enumerate() {
        street.stockd(&["release", shop, "--reason", "looked at it"]);
        street.wait("the released shop changes", || street.shown("SKU-0010")[released] == other - 10);
        assert_eq!(street.shown("SKU-0010")[released + 1..], vec![other; 2 - released]);
    }
    street.shows("SKU-0001", opening - 11);
    street.wait("nothing is planned", || street.run(&["plan", "--exit-code"]).status.code() == Some(0));
    street.is_fair();
    fs::write(street.path("stockd.toml"), plain).unwrap();
}

#[test]
fn a_running_daemon_shows_nothing_of_what_is_paused_at_zero_and_all_of_it_after_the_pause() {
    let street = Street::open();
    let _daemon = street.daemon_at_work();
    let [one, ..] = street.shown("SKU-0011");
    let [other, ..] = street.shown("SKU-0012");

    street.stockd(&["pause", "south", "SKU-0011", "--zero", "--reason", "recall"]);
    street.wait("the SKU shows nothing there", || street.shown("SKU-0011") == [one, 0, one]);
    street.stockd(&["pause", "site", "--zero", "--reason", "stock-take"]);
    street.wait("the whole shop shows nothing", || street.shown("SKU-0012") == [other, other, 0]);
    assert_eq!(street.shown("SKU-0011"), [one, 0, 0]);
    street.order("north", &[("SKU-0011", 1)]);
    street.stockd(&["resume", "site", "--reason", "counted"]);
    street.wait("the shop is back", || street.shown("SKU-0011") == [one - 1, 0, one - 1]);
    street.stockd(&["resume", "south", "SKU-0011", "--reason", "all is well"]);
    street.shows("SKU-0011", one - 1);
    street.converges();
    let status = street.json(&["status"]);
    assert!(status["channels"].as_array().unwrap().iter().all(|it| it["pauses"] == json!([])), "{status}");
}

#[test]
fn o2_shops_whose_credentials_are_swapped_are_refused_and_the_third_goes_on() {
    let street = Street::open();
    let daemon = street.daemon_at_work();
    assert!(daemon.stop().success());
    // Address and token of the one under the name of the other.
    street.configure(|text| {
        let swapped = text.replace("/north/", "/was_north/").replace("north.token", "was_north.token");
        let swapped = swapped.replace("/south/", "/north/").replace("south.token", "north.token");
        swapped.replace("/was_north/", "/south/").replace("was_north.token", "south.token")
    });
    let _daemon = street.daemon();
    street.wait("both are refused", || street.logged("channel.wrong_account").len() == 2);
    street.wait("the third is scanned", || street.logged("scan.complete").len() == SHOPS.len() + 1);
    let asked = ["north", "south"].map(|shop| street.count(shop, "requests"));
    let [opening, ..] = street.shown("SKU-0001");
    street.order("site", &[("SKU-0001", 2)]);
    street.wait("its order is booked", || street.movements("SKU-0001") == 2);
    sleep(Duration::from_secs(2));
    assert_eq!(street.shown("SKU-0001"), [opening, opening, opening - 2]);
    assert_eq!(["north", "south"].map(|shop| street.count(shop, "requests")), asked);
    assert_eq!(street.writes(), 0);
    let said = &street.logged("channel.wrong_account")[0];
    assert!(text(&said["message"]).contains("swapped"), "{said}");
}
