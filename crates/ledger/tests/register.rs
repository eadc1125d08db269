//! The vendor register on both databases: what several gates hear adds up, and each knows what the others heard.

#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]

#[macro_use]
mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::{Databases, at};
use mailwarden_ledger::{Heard, VendorRegister};

const ACME: &str = "acme@bills.example";
const SCOPE: &str = "bills.example";

on_both_databases! {
    what_two_gates_hear_adds_up_and_each_knows_both,
    what_was_heard_is_there_after_a_restart,
    a_limit_counts_the_newcomers_of_all_gates_and_a_flood_is_told_once,
    an_hour_that_is_over_is_forgotten_in_the_database,
    what_could_not_be_written_is_written_later_and_once,
}

fn noon() -> DateTime<Utc> {
    at("2026-03-01T12:00:00Z")
}

fn hear(register: &VendorRegister, organisation: &str, expected: bool, seconds: i64) {
    let organisations = [organisation.to_owned()];
    let at = noon() + TimeDelta::seconds(seconds);
    register.heard(&Heard { address: ACME, registered: true, organisations: &organisations, expected, at });
}

async fn what_two_gates_hear_adds_up_and_each_knows_both(databases: Databases) {
    let place = databases.place();
    let (one, two) =
        (VendorRegister::open(&place.url).await.unwrap(), VendorRegister::open(&place.url).await.unwrap());
    hear(&one, "acme.example", true, 5);
    hear(&one, "acme.example", true, 9);
    hear(&two, "acme.example", false, 2);
    hear(&two, "spam.example", false, 7);
    one.flush().await.unwrap();
    two.flush().await.unwrap();
    // Heard here and not written yet: it is not lost when the other's rows come.
    hear(&one, "spam.example", false, 20);
    one.flush().await.unwrap();
    two.flush().await.unwrap();
    for register in [&one, &two] {
        let record = register.vendor(ACME).unwrap();
        assert_eq!(record.messages, 5);
        assert_eq!(record.first_seen, noon() + TimeDelta::seconds(2));
        assert_eq!(record.last_seen, noon() + TimeDelta::seconds(20));
        let acme = &record.organisations["acme.example"];
        assert_eq!((acme.messages, acme.expected), (3, true));
        assert_eq!(acme.first_seen, noon() + TimeDelta::seconds(2));
        let spam = &record.organisations["spam.example"];
        assert_eq!((spam.messages, spam.expected), (2, false));
    }
    assert_eq!(one.vendors(), two.vendors());
}

async fn what_was_heard_is_there_after_a_restart(databases: Databases) {
    let place = databases.place();
    let register = VendorRegister::open(&place.url).await.unwrap();
    hear(&register, "acme.example", true, 0);
    register.close().await.unwrap();
    let again = VendorRegister::open_existing(&place.url).await.unwrap();
    let record = again.vendor(ACME).unwrap();
    assert_eq!((record.messages, record.last_seen), (1, noon()));
    again.flush().await.unwrap();
    assert_eq!(again.vendor(ACME).unwrap(), record, "reading again adds nothing");
}

async fn a_limit_counts_the_newcomers_of_all_gates_and_a_flood_is_told_once(databases: Databases) {
    let place = databases.place();
    let (one, two) =
        (VendorRegister::open(&place.url).await.unwrap(), VendorRegister::open(&place.url).await.unwrap());
    one.newcomers(|newcomers| {
        newcomers.meet(SCOPE, "a@bills.example", noon());
        newcomers.meet(SCOPE, "b@bills.example", noon());
    });
    one.flush().await.unwrap();
    two.newcomers(|newcomers| newcomers.meet(SCOPE, "c@bills.example", noon()));
    two.flush().await.unwrap();
    one.flush().await.unwrap();
    for register in [&one, &two] {
        assert_eq!(register.newcomers(|newcomers| newcomers.count(SCOPE, noon())), 3);
    }
    assert!(two.newcomers(|newcomers| newcomers.flood_begins(SCOPE)));
    two.flush().await.unwrap();
    one.flush().await.unwrap();
    assert!(!one.newcomers(|newcomers| newcomers.flood_begins(SCOPE)), "the other told it");

    let later = noon() + TimeDelta::hours(1);
    one.newcomers(|newcomers| newcomers.meet(SCOPE, "d@bills.example", later));
    one.flush().await.unwrap();
    two.flush().await.unwrap();
    assert!(
        one.newcomers(|newcomers| newcomers.floods_ended(later)).is_empty(),
        "its end is the other's to tell"
    );
    assert_eq!(two.newcomers(|newcomers| newcomers.floods_ended(later)), [SCOPE]);
    assert_eq!(two.newcomers(|newcomers| newcomers.count(SCOPE, later)), 1, "the next hour has begun");
}

async fn an_hour_that_is_over_is_forgotten_in_the_database(databases: Databases) {
    let place = databases.place();
    let register = VendorRegister::open(&place.url).await.unwrap();
    register.newcomers(|newcomers| newcomers.meet(SCOPE, "a@bills.example", noon()));
    register.flush().await.unwrap();
    let later = noon() + TimeDelta::hours(1);
    assert!(register.newcomers(|newcomers| newcomers.floods_ended(later)).is_empty());
    register.close().await.unwrap();
    let again = VendorRegister::open_existing(&place.url).await.unwrap();
    assert_eq!(again.newcomers(|newcomers| newcomers.count(SCOPE, noon())), 0);
}

async fn what_could_not_be_written_is_written_later_and_once(databases: Databases) {
    let place = databases.place();
    let register = VendorRegister::open(&place.url).await.unwrap();
    hear(&register, "acme.example", true, 0);
    register.flush().await.unwrap();
    place.sql("ALTER TABLE vendor RENAME TO elsewhere").await.unwrap();
    hear(&register, "acme.example", true, 1);
    register.newcomers(|newcomers| newcomers.meet(SCOPE, "a@bills.example", noon()));
    assert!(register.flush().await.is_err());
    hear(&register, "acme.example", true, 2);
    assert_eq!(register.vendor(ACME).unwrap().messages, 3, "the memory goes on");
    place.sql("ALTER TABLE elsewhere RENAME TO vendor").await.unwrap();
    register.flush().await.unwrap();
    assert_eq!(register.vendor(ACME).unwrap().messages, 3);
    let other = VendorRegister::open_existing(&place.url).await.unwrap();
    assert_eq!(other.vendor(ACME).unwrap().messages, 3);
    assert_eq!(other.newcomers(|newcomers| newcomers.count(SCOPE, noon())), 1);
}
