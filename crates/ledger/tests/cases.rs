//! A case leaves the ledger with its proofs, is secured by anchors, and its details have an end.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]

#[macro_use]
mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use common::{Databases, at, fill, held, loaded};
use mailwarden_ledger::bundle::{Bundle, BundleError};
use mailwarden_ledger::{
    Anchor, CheckpointKey, EventError, EventFilter, EventKind, Ledger, LedgerError, Problem, Retention,
    notes_in, verify,
};

on_both_databases! {
    a_case_is_exported_and_verified_without_the_ledger,
    what_is_altered_or_left_out_of_a_bundle_is_named,
    an_erased_detail_stays_proven_in_a_bundle,
    a_case_that_does_not_exist_and_an_id_that_is_none_are_refused,
    anchoring_is_recorded_and_covers_what_was_there,
    the_standing_tells_what_waits_for_an_anchor,
    details_whose_time_is_over_are_erased_and_the_rest_stays,
    case_and_time_find_the_same_entries_after_reopening,
}

const CASE: &str = "OFF-2026-014";

fn key() -> CheckpointKey {
    CheckpointKey::generate("ledger.example").unwrap()
}

/// Three entries of a case among many others, two of them in one call.
async fn with_case(ledger: &Ledger) {
    fill(ledger, 300).await;
    ledger.append(held(1).in_case(CASE)).await.unwrap();
    fill(ledger, 20).await;
    ledger
        .append_all(vec![held(2).in_case(CASE), held(3).in_case("OTHER-1"), loaded(4).in_case(CASE)])
        .await
        .unwrap();
    fill(ledger, 5).await;
}

async fn a_case_is_exported_and_verified_without_the_ledger(on: Databases) {
    let (place, key) = (on.place(), key());
    let ledger = place.open().await;
    with_case(&ledger).await;
    let bundle = ledger.export_case(CASE, &key).await.unwrap();
    ledger.close().await.unwrap();
    let text = serde_json::to_string(&bundle).unwrap();
    let verified = Bundle::parse(&text).unwrap().verify(&[key.verifier()]).unwrap();
    let entries: Vec<_> = verified.entries.iter().map(|entry| (entry.index, entry.case_previous)).collect();
    assert_eq!(entries, [(300, None), (321, Some(300)), (323, Some(321))]);
    assert_eq!(verified.checkpoint.size, 329);
    assert_eq!(verified.entries[1].detail.as_ref().unwrap().subject, "mailbox-2@acme.example");
}

async fn what_is_altered_or_left_out_of_a_bundle_is_named(on: Databases) {
    let (place, key) = (on.place(), key());
    let ledger = place.open().await;
    with_case(&ledger).await;
    let good = ledger.export_case(CASE, &key).await.unwrap();
    let problems = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = good.clone();
        change(&mut bundle);
        bundle.verify(&[key.verifier()]).unwrap_err()
    };
    let named = |found: Vec<BundleError>, wanted: &str| {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().contains(wanted), "{found:?}");
    };
    named(
        problems(&|b| b.entries[1].leaf = b.entries[1].leaf.replace("CHG-2", "CHG-9")),
        "entry 321 is not in",
    );
    let text = |b: &mut Bundle| b.entries[0].detail.as_mut().unwrap().text.push(' ');
    named(problems(&text), "detail of entry 300");
    named(problems(&|b| drop(b.entries.remove(1))), "before entry 323 the case has entry 321");
    named(
        problems(&|b| drop(b.entries.remove(0))),
        "before entry 321 the case has entry 300, the bundle has nothing",
    );
    named(problems(&|b| b.checkpoint = b.checkpoint.replace("\n329\n", "\n330\n")), "altered");
    named(problems(&|b| b.entries.clear()), "no entry");
    let swapped = problems(&|b| b.entries.swap(0, 1));
    assert!(swapped.iter().all(|problem| matches!(problem, BundleError::LeftOut { .. })), "{swapped:?}");
    let foreign = ledger.export_case("OTHER-1", &key).await.unwrap().entries;
    let mixed = problems(&|b| b.entries.extend(foreign.clone()));
    assert!(matches!(&mixed[..], [BundleError::OtherCase { index: 322, .. }]), "{mixed:?}");
    let stranger = CheckpointKey::generate("ledger.example").unwrap();
    named(good.verify(&[stranger.verifier()]).unwrap_err(), "no signature");
    assert!(Bundle::parse("{}").is_err());
}

async fn an_erased_detail_stays_proven_in_a_bundle(on: Databases) {
    let (place, key) = (on.place(), key());
    let ledger = place.open().await;
    with_case(&ledger).await;
    ledger.erase(300, "alice", "GDPR-17", at("2026-04-01T00:00:00Z")).await.unwrap();
    let bundle = ledger.export_case(CASE, &key).await.unwrap();
    assert!(!serde_json::to_string(&bundle).unwrap().contains("mailbox-1@"));
    let verified = bundle.verify(&[key.verifier()]).unwrap();
    assert_eq!(verified.entries[0].detail, None);
    assert_eq!(verified.entries.len(), 3);
}

async fn a_case_that_does_not_exist_and_an_id_that_is_none_are_refused(on: Databases) {
    let (place, key) = (on.place(), key());
    let ledger = place.open().await;
    fill(&ledger, 3).await;
    let error = ledger.export_case("NO-1", &key).await.unwrap_err();
    assert!(matches!(error, LedgerError::NoSuchCase(_)), "{error}");
    for bad in ["", "two words", "a\"b", "caf\u{e9}", &"x".repeat(65)] {
        let error = ledger.append(held(1).in_case(bad)).await.unwrap_err();
        assert!(matches!(error, LedgerError::Event(EventError::Case(_))), "{bad:?}: {error}");
    }
}

async fn anchoring_is_recorded_and_covers_what_was_there(on: Databases) {
    let (place, key) = (on.place(), key());
    let ledger = place.open().await;
    fill(&ledger, 40).await;
    let directory = tempfile::tempdir().unwrap();
    let (good, bad) = (directory.path().join("anchors"), directory.path().join("no/anchors"));
    let anchors = [Anchor::File(good.clone()), Anchor::File(bad)];
    let now = at("2026-03-02T00:00:00Z");
    let anchored = ledger.anchor(&key, &anchors, "alice", now).await.unwrap();
    assert_eq!((anchored.reached.len(), anchored.failed.len()), (1, 1));
    let notes = notes_in(&std::fs::read_to_string(&good).unwrap()).unwrap();
    assert_eq!(notes, [anchored.note]);
    let found = verify(&ledger, &[key.verifier()], &notes).await.unwrap();
    assert_eq!(found, [Problem::Unanchored { first: 40, last: 40 }]);

    let event = ledger.events(&EventFilter { after: Some(39), ..EventFilter::default() }).await.unwrap();
    assert_eq!(event[0].kind, EventKind::LedgerAnchored);
    assert_eq!(event[0].detail.as_ref().unwrap().payload["size"], 40);

    let unreached = ledger.anchor(&key, &anchors[1..], "alice", now).await.unwrap();
    assert!(unreached.reached.is_empty());
    assert_eq!(ledger.head().await.unwrap().size, 41, "what arrived nowhere is not recorded as anchored");
}

async fn the_standing_tells_what_waits_for_an_anchor(on: Databases) {
    let (place, key) = (on.place(), key());
    let ledger = place.open().await;
    let empty = ledger.standing().await.unwrap();
    assert_eq!((empty.entries, empty.unsigned_since, empty.unanchored_since), (0, None, None));
    fill(&ledger, 3).await;
    let began = at("2026-03-01T09:30:00Z");
    let fresh = ledger.standing().await.unwrap();
    assert_eq!((fresh.signed, fresh.anchored, fresh.anchored_at), (0, 0, None));
    assert_eq!(fresh.unanchored_for(began + TimeDelta::hours(5)), Some(TimeDelta::hours(5)));

    let directory = tempfile::tempdir().unwrap();
    let now = at("2026-03-02T00:00:00Z");
    ledger.anchor(&key, &[Anchor::File(directory.path().join("a"))], "alice", now).await.unwrap();
    let secured = ledger.standing().await.unwrap();
    assert_eq!((secured.entries, secured.signed, secured.anchored), (4, 3, 3));
    assert_eq!((secured.anchored_at, secured.unanchored_since), (Some(now), None));
    assert_eq!(secured.unanchored_for(now), None);

    let mut later = held(5);
    later.at = now + TimeDelta::hours(1);
    ledger.append(later).await.unwrap();
    ledger.checkpoint(&key).await.unwrap();
    let waiting = ledger.standing().await.unwrap();
    assert_eq!((waiting.signed, waiting.unsigned_since), (5, None));
    assert_eq!(waiting.unanchored_for(now + TimeDelta::hours(3)), Some(TimeDelta::hours(2)));
}

async fn details_whose_time_is_over_are_erased_and_the_rest_stays(on: Databases) {
    let place = on.place();
    let ledger = place.open().await;
    fill(&ledger, 2_500).await;
    let mut young = held(9_999);
    young.at = at("2026-03-20T00:00:00Z");
    ledger.append(young).await.unwrap();
    let retention = Retention(BTreeMap::from([("gate.".to_owned(), Duration::from_secs(10 * 86_400))]));
    let now = at("2026-03-25T00:00:00Z");
    let personal = 2_500 - 2_500_u64.div_ceil(3);
    assert_eq!(ledger.erase_expired(&retention, "review", now).await.unwrap(), personal);
    assert_eq!(ledger.erase_expired(&retention, "review", now).await.unwrap(), 0);
    let erased = ledger.events(&EventFilter::default()).await.unwrap();
    let without: Vec<u64> =
        erased.iter().filter(|entry| entry.detail.is_none()).map(|entry| entry.index).collect();
    assert_eq!(without.len() as u64, personal);
    assert!(without.iter().all(|index| index % 3 != 0) && !without.contains(&2_500));
    let damage: Vec<_> =
        verify(&ledger, &[], &[]).await.unwrap().into_iter().filter(Problem::is_damage).collect();
    assert_eq!(damage, []);
}

async fn case_and_time_find_the_same_entries_after_reopening(on: Databases) {
    let place = on.place();
    let ledger = place.open().await;
    with_case(&ledger).await;
    // What a hostile folder name may hold, and what PostgreSQL's texts cannot.
    let mut strange = held(1).in_case(CASE);
    strange.subject = "a\0b\u{202e}\u{1f4e7}".to_owned();
    ledger.append(strange.clone()).await.unwrap();
    ledger.close().await.unwrap();
    let ledger = place.open().await;
    let filter = EventFilter { case: Some(CASE.to_owned()), ..EventFilter::default() };
    let found = ledger.events(&filter).await.unwrap();
    assert_eq!(found.iter().map(|event| event.index).collect::<Vec<_>>(), [300, 321, 323, 329]);
    assert_eq!(found[3].detail.as_ref().unwrap().subject, strange.subject);
    let filter = EventFilter { subject: Some(strange.subject), ..EventFilter::default() };
    assert_eq!(ledger.events(&filter).await.unwrap().len(), 1);
    let damage = verify(&ledger, &[], &[]).await.unwrap().into_iter().any(|problem| problem.is_damage());
    assert!(!damage);
}
