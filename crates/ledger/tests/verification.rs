//! Every kind of damage is found and named, and nothing else is.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]

#[macro_use]
mod common;

use common::{Databases, at, fill, held};
use mailwarden_ledger::merkle::leaf_hash;
use mailwarden_ledger::{
    CheckpointKey, EventFilter, EventKind, ExportError, ExportedEntry, Ledger, LedgerError, Part, Problem,
    SignedNote, Verifier, verify,
};

on_both_databases! {
    an_altered_entry_is_named_exactly_wherever_it_is,
    an_altered_hash_beside_an_entry_is_named_exactly,
    an_entry_altered_with_its_hash_is_found_by_the_tree,
    swapped_entries_are_named_both,
    an_altered_detail_or_salt_or_column_is_named_exactly,
    missing_entries_are_named_and_the_rest_still_checked,
    a_cut_end_is_named_by_the_stored_size_and_by_checkpoints,
    entries_beyond_the_end_are_named_without_walking_there,
    damaged_hashes_of_the_tree_accuse_no_entry,
    a_rewritten_history_is_a_fork_to_whoever_kept_a_checkpoint,
    checkpoints_inside_a_block_and_at_its_edge_are_compared,
    a_note_by_a_stranger_covers_nothing,
    no_checkpoint_is_signed_over_a_ledger_that_does_not_go_on_from_the_last,
    erasing_leaves_the_proof_and_nothing_of_the_person,
    a_detail_that_vanished_without_a_record_is_named,
    a_slip_of_the_hand_is_stopped,
    proofs_of_a_large_ledger_lead_to_its_roots,
    exported_entries_are_checked_with_nothing_but_a_checkpoint,
}

async fn damage(ledger: &Ledger) -> Vec<Problem> {
    let problems = verify(ledger, &[], &[]).await.unwrap();
    problems.into_iter().filter(Problem::is_damage).collect()
}

/// A ledger of `size` entries, damaged by SQL, and what verification says of it.
async fn damage_by(on: &Databases, size: usize, statements: &str) -> Vec<Problem> {
    let place = on.place();
    let ledger = place.open().await;
    fill(&ledger, size).await;
    assert_eq!(damage(&ledger).await, []);
    place.tamper(statements).await;
    damage(&ledger).await
}

fn key() -> CheckpointKey {
    CheckpointKey::generate("ledger.example").unwrap()
}

async fn verified(ledger: &Ledger, key: &CheckpointKey, anchors: &[SignedNote]) -> Vec<Problem> {
    verify(ledger, &[key.verifier()], anchors).await.unwrap()
}

async fn an_altered_entry_is_named_exactly_wherever_it_is(on: Databases) {
    for index in [0, 1, 255, 256, 511, 512, 599] {
        let sql = format!(
            "UPDATE ledger_entry SET leaf = replace(leaf, 'CHG', 'XXX') || ' ' WHERE leaf_index = {index}"
        );
        assert_eq!(
            damage_by(&on, 600, &sql).await,
            [Problem::Altered { index, part: Part::Leaf }],
            "{index}"
        );
    }
}

async fn an_altered_hash_beside_an_entry_is_named_exactly(on: Databases) {
    for index in [3, 599] {
        let sql = format!("UPDATE ledger_entry SET leaf_hash = zeroblob(32) WHERE leaf_index = {index}");
        assert_eq!(
            damage_by(&on, 600, &sql).await,
            [Problem::Altered { index, part: Part::LeafHash }],
            "{index}"
        );
    }
}

async fn an_entry_altered_with_its_hash_is_found_by_the_tree(on: Databases) {
    for (index, first, last) in [(300, 256, 511), (520, 512, 575), (599, 592, 599)] {
        let place = on.place();
        let ledger = place.open().await;
        fill(&ledger, 600).await;
        // As somebody would who knows how leaves are hashed.
        let forged = format!(
            "{{\"actor\":\"mallory\",\"at\":\"2026-03-01T09:30:00.000000Z\",\"detail\":{{\"payload\":null,\
             \"subject\":\"s\"}},\"index\":{index},\"kind\":\"policy.loaded\",\
             \"schema\":\"mailwarden.event/1\"}}"
        );
        let hash = leaf_hash(forged.as_bytes()).to_hex();
        place
            .tamper(&format!(
                "UPDATE ledger_entry SET leaf = '{forged}', leaf_hash = x'{hash}', kind = 'policy.loaded',
                 subject = 's', salt = NULL, detail = NULL WHERE leaf_index = {index}"
            ))
            .await;
        assert_eq!(damage(&ledger).await, [Problem::AlteredRange { first, last }]);
    }
}

async fn swapped_entries_are_named_both(on: Databases) {
    let sql = "UPDATE ledger_entry SET leaf_index = 10000 WHERE leaf_index = 30;
               UPDATE ledger_entry SET leaf_index = 30 WHERE leaf_index = 33;
               UPDATE ledger_entry SET leaf_index = 33 WHERE leaf_index = 10000;";
    let found = damage_by(&on, 300, sql).await;
    for index in [30, 33] {
        assert!(found.contains(&Problem::Altered { index, part: Part::Position }), "{found:?}");
    }
    assert!(found.contains(&Problem::AlteredRange { first: 0, last: 255 }), "{found:?}");
    assert_eq!(found.len(), 3, "{found:?}");
}

async fn an_altered_detail_or_salt_or_column_is_named_exactly(on: Databases) {
    for (sql, part) in [
        (
            "UPDATE ledger_entry SET detail = replace(detail, 'mailbox', 'm') WHERE leaf_index = 100",
            Part::Detail,
        ),
        ("UPDATE ledger_entry SET salt = zeroblob(32) WHERE leaf_index = 100", Part::Detail),
        ("UPDATE ledger_entry SET subject = 'other' WHERE leaf_index = 100", Part::Columns),
        ("UPDATE ledger_entry SET kind = 'policy.loaded' WHERE leaf_index = 100", Part::Columns),
        ("UPDATE ledger_entry SET at_us = 0 WHERE leaf_index = 100", Part::Columns),
    ] {
        assert_eq!(damage_by(&on, 300, sql).await, [Problem::Altered { index: 100, part }], "{sql}");
    }
}

async fn missing_entries_are_named_and_the_rest_still_checked(on: Databases) {
    let gone = |range: &str| format!("DELETE FROM ledger_entry WHERE leaf_index {range};");
    assert_eq!(damage_by(&on, 900, &gone("= 7")).await, [Problem::Missing { first: 7, last: 7 }]);
    assert_eq!(damage_by(&on, 900, &gone("< 5")).await, [Problem::Missing { first: 0, last: 4 }]);
    assert_eq!(
        damage_by(&on, 900, &gone("BETWEEN 890 AND 892")).await,
        [Problem::Missing { first: 890, last: 892 }]
    );
    assert_eq!(
        damage_by(&on, 900, &gone("BETWEEN 250 AND 600")).await,
        [
            Problem::Missing { first: 250, last: 255 },
            Problem::Missing { first: 256, last: 511 },
            Problem::Missing { first: 512, last: 600 },
        ]
    );
    let also_altered = gone("= 7") + "UPDATE ledger_entry SET leaf = 'x' WHERE leaf_index = 899";
    assert_eq!(
        damage_by(&on, 900, &also_altered).await,
        [Problem::Missing { first: 7, last: 7 }, Problem::Altered { index: 899, part: Part::Leaf }]
    );
}

async fn a_cut_end_is_named_by_the_stored_size_and_by_checkpoints(on: Databases) {
    let cut = "DELETE FROM ledger_entry WHERE leaf_index >= 590;";
    assert_eq!(damage_by(&on, 600, cut).await, [Problem::Truncated { expected: 600, present: 590 }]);
    assert_eq!(
        damage_by(&on, 600, "DELETE FROM ledger_entry").await,
        [Problem::Truncated { expected: 600, present: 0 }]
    );

    // Somebody who also puts the right edge back needs an older copy of it; then only a checkpoint knows.
    let place = on.place();
    let ledger = place.open().await;
    fill(&ledger, 500).await;
    let key = key();
    place.tamper("CREATE TABLE kept AS SELECT * FROM ledger_head").await;
    fill(&ledger, 100).await;
    let anchor = ledger.checkpoint(&key).await.unwrap();
    place
        .tamper(
            "DELETE FROM ledger_entry WHERE leaf_index >= 500;
             UPDATE ledger_head SET size = 500, frontier = (SELECT frontier FROM kept);
             DELETE FROM ledger_checkpoint; DROP TABLE kept",
        )
        .await;
    assert_eq!(damage(&ledger).await, []);
    assert_eq!(
        verified(&ledger, &key, &[anchor]).await,
        [Problem::Truncated { expected: 600, present: 500 }, Problem::Unanchored { first: 0, last: 499 }]
    );
}

async fn entries_beyond_the_end_are_named_without_walking_there(on: Databases) {
    let far = "INSERT INTO ledger_entry (leaf_index, leaf, leaf_hash, kind, at_us, subject)
               SELECT 4611686018427387904, leaf, leaf_hash, kind, at_us, subject
               FROM ledger_entry WHERE leaf_index = 0;";
    let surplus = Problem::Surplus { first: 300, last: 1 << 62 };
    assert_eq!(damage_by(&on, 300, far).await, [surplus]);
    let found = damage_by(
        &on,
        300,
        &format!("{far} UPDATE ledger_head SET size = 4611686018427387905, frontier = zeroblob(64)"),
    )
    .await;
    assert!(found.contains(&Problem::Missing { first: 512, last: (1 << 62) - 1 }), "{found:?}");
}

async fn damaged_hashes_of_the_tree_accuse_no_entry(on: Databases) {
    let only_the_subtree = [Problem::SubtreeDamaged { first: 256, last: 511 }];
    let zero = "UPDATE ledger_subtree SET hash = zeroblob(32) WHERE position = 1";
    assert_eq!(damage_by(&on, 600, zero).await, only_the_subtree);
    assert_eq!(damage_by(&on, 600, "DELETE FROM ledger_subtree WHERE position = 1").await, only_the_subtree);
    let head = "UPDATE ledger_head SET frontier = zeroblob(32)";
    assert_eq!(damage_by(&on, 512, head).await, [Problem::HeadDamaged { size: 512 }]);
}

async fn a_rewritten_history_is_a_fork_to_whoever_kept_a_checkpoint(on: Databases) {
    let (true_place, false_place, key) = (on.place(), on.place(), key());
    let (truth, forgery) = (true_place.open().await, false_place.open().await);
    fill(&truth, 300).await;
    fill(&forgery, 299).await;
    forgery.append(held(9_999)).await.unwrap();
    let anchor = truth.checkpoint(&key).await.unwrap();
    assert_eq!(verified(&truth, &key, std::slice::from_ref(&anchor)).await, []);
    let found = verified(&forgery, &key, &[anchor]).await;
    let (signed, present) = (truth.head().await.unwrap().root, forgery.head().await.unwrap().root);
    assert_eq!(
        found,
        [Problem::Forked { size: 300, signed, present }, Problem::Unanchored { first: 0, last: 299 }]
    );
}

async fn checkpoints_inside_a_block_and_at_its_edge_are_compared(on: Databases) {
    let (place, key) = (on.place(), key());
    let ledger = place.open().await;
    let mut anchors = vec![ledger.checkpoint(&key).await.unwrap()];
    for more in [1, 99, 156, 256, 88] {
        fill(&ledger, more).await;
        anchors.push(ledger.checkpoint(&key).await.unwrap());
    }
    assert_eq!(ledger.head().await.unwrap().size, 600);
    assert_eq!(verified(&ledger, &key, &anchors).await, []);
    assert_eq!(ledger.checkpoints().await.unwrap(), anchors);
    anchors.pop();
    assert_eq!(verified(&ledger, &key, &anchors).await, [Problem::Unanchored { first: 512, last: 599 }]);

    place.tamper("UPDATE ledger_entry SET leaf = 'x', leaf_hash = zeroblob(32) WHERE leaf_index = 50").await;
    let forked: Vec<u64> = verified(&ledger, &key, &anchors)
        .await
        .into_iter()
        .filter_map(|problem| if let Problem::Forked { size, .. } = problem { Some(size) } else { None })
        .collect();
    assert_eq!(forked, [100], "the whole blocks after it are vouched for by their stored hashes");
}

async fn a_note_by_a_stranger_covers_nothing(on: Databases) {
    let (place, key, stranger) = (on.place(), key(), key());
    let ledger = place.open().await;
    fill(&ledger, 10).await;
    let head = ledger.head().await.unwrap();
    let found = verified(&ledger, &key, &[stranger.sign(head.size, head.root)]).await;
    assert!(matches!(found[0], Problem::CheckpointRejected { size: Some(10), .. }), "{found:?}");
    assert_eq!(found[1], Problem::Unanchored { first: 0, last: 9 });

    let altered = key.sign(10, head.root).to_string().replacen("\n10\n", "\n9\n", 1);
    let found = verified(&ledger, &key, &[altered.parse().unwrap()]).await;
    let Problem::CheckpointRejected { size: Some(9), reason } = &found[0] else { panic!("{found:?}") };
    assert!(reason.contains("altered"), "{reason}");
    let none: &[Verifier] = &[];
    let found = verify(&ledger, none, &[key.sign(10, head.root)]).await.unwrap();
    assert!(matches!(found[0], Problem::CheckpointRejected { .. }), "{found:?}");
}

async fn no_checkpoint_is_signed_over_a_ledger_that_does_not_go_on_from_the_last(on: Databases) {
    let (place, key) = (on.place(), key());
    let ledger = place.open().await;
    fill(&ledger, 40).await;
    ledger.checkpoint(&key).await.unwrap();
    place.tamper("UPDATE ledger_entry SET leaf_hash = zeroblob(32) WHERE leaf_index = 3").await;
    fill(&ledger, 1).await;
    let error = ledger.checkpoint(&key).await.unwrap_err();
    assert!(matches!(error, LedgerError::Corrupted { .. }), "{error}");
    assert!(error.to_string().contains("ledger verify"), "{error}");
    assert_eq!(ledger.checkpoints().await.unwrap().len(), 1);
}

async fn erasing_leaves_the_proof_and_nothing_of_the_person(on: Databases) {
    let (place, key) = (on.place(), key());
    let ledger = place.open().await;
    let receipts = fill(&ledger, 20).await;
    let before = ledger.checkpoint(&key).await.unwrap();
    let erased = ledger.erase(4, "alice", "GDPR-17", at("2026-04-01T00:00:00Z")).await.unwrap();
    assert_eq!(erased.index, 20);

    let entries = ledger.events(&EventFilter::default()).await.unwrap();
    assert_eq!(entries[4].detail, None);
    assert_eq!(entries[4].reason.as_deref(), Some("CHG-4"));
    assert_eq!((&entries[20].kind, entries[20].actor.as_str()), (&EventKind::LedgerErased, "alice"));
    assert_eq!(damage(&ledger).await, []);
    let proof = ledger.inclusion_proof(4, 20).await.unwrap();
    let root = key.verifier().open(&before).unwrap().root;
    assert!(proof.verify(receipts[4].leaf_hash, &root));

    let path = place.file().unwrap_or_default();
    let files = if path.is_empty() { Vec::new() } else { vec![path.to_owned(), format!("{path}-wal")] };
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(15).any(|window| window == b"mailbox-4@acme.");
        assert!(!found, "{file} still holds the address");
        assert!(file != path || bytes.windows(15).any(|window| window == b"mailbox-5@acme."));
    }
    assert!(matches!(
        ledger.erase(4, "alice", "GDPR-17", at("2026-04-01T00:00:00Z")).await,
        Err(LedgerError::NothingToErase(4))
    ));
}

async fn a_detail_that_vanished_without_a_record_is_named(on: Databases) {
    let gone = "UPDATE ledger_entry SET subject = NULL, salt = NULL, detail = NULL WHERE leaf_index = 4";
    assert_eq!(damage_by(&on, 20, gone).await, [Problem::DetailMissing { index: 4 }]);
}

async fn a_slip_of_the_hand_is_stopped(on: Databases) {
    let place = on.place();
    let ledger = place.open().await;
    fill(&ledger, 3).await;
    for slip in ["DELETE FROM ledger_entry", "UPDATE ledger_entry SET leaf = ''"] {
        let error = place.sql(slip).await.unwrap_err();
        assert!(error.contains("append-only"), "{error}");
    }
}

async fn proofs_of_a_large_ledger_lead_to_its_roots(on: Databases) {
    let place = on.place();
    let ledger = place.open().await;
    // Beyond 2^16, so that two levels of stored subtrees are used.
    let receipts = fill(&ledger, (1 << 16) + 700).await;
    let key = key();
    let head = ledger.head().await.unwrap();
    let anchor = ledger.checkpoint(&key).await.unwrap();
    for index in [0, 1, 255, 256, 40_000, (1 << 16) - 1, 1 << 16, (1 << 16) + 699] {
        let proof = ledger.inclusion_proof(index, head.size).await.unwrap();
        assert!(proof.verify(receipts[index as usize].leaf_hash, &head.root), "{index}");
    }
    for old in [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, head.size] {
        // An older root is the one to which an inclusion proof in the older tree leads.
        let consistency = ledger.consistency_proof(old, head.size).await.unwrap();
        let older = mailwarden_ledger::merkle::Frontier::new();
        let older = receipts[..old as usize].iter().fold(older, |mut frontier, receipt| {
            frontier.append(receipt.leaf_hash, |_, _| ());
            frontier
        });
        assert!(consistency.verify(&older.root(), &head.root), "{old}");
    }
    assert!(matches!(ledger.inclusion_proof(5, head.size + 1).await, Err(LedgerError::NoSuchProof(_))));
    assert_eq!(verified(&ledger, &key, &[anchor]).await, []);
}

async fn exported_entries_are_checked_with_nothing_but_a_checkpoint(on: Databases) {
    let (place, key) = (on.place(), key());
    let ledger = place.open().await;
    fill(&ledger, 300).await;
    ledger.erase(5, "alice", "GDPR-17", at("2026-04-01T00:00:00Z")).await.unwrap();
    let note = ledger.checkpoint(&key).await.unwrap();
    let checkpoint = key.verifier().open(&note).unwrap();
    let text = serde_json::to_string(&ledger.export(&[3, 4, 5, 300], 301).await.unwrap()).unwrap();
    let exported: Vec<ExportedEntry> = serde_json::from_str(&text).unwrap();

    let read: Vec<_> = exported.iter().map(|entry| entry.verify(&checkpoint).unwrap()).collect();
    let stored = ledger.events(&EventFilter::default()).await.unwrap();
    assert_eq!(read, [3, 4, 5, 300].map(|index: usize| stored[index].clone()));
    assert_eq!(read[2].detail, None);

    let mut altered = exported[1].clone();
    altered.leaf = altered.leaf.replace("CHG-4", "CHG-5");
    assert_eq!(altered.verify(&checkpoint), Err(ExportError::NotIncluded(4)));
    let mut altered = exported[1].clone();
    altered.detail.as_mut().unwrap().text =
        altered.detail.as_ref().unwrap().text.replace("mailbox-4", "mailbox-9");
    assert_eq!(altered.verify(&checkpoint), Err(ExportError::OtherDetail(4)));
    let mut altered = exported[0].clone();
    altered.detail = exported[1].detail.clone();
    assert_eq!(altered.verify(&checkpoint), Err(ExportError::OtherDetail(3)));
    let other = mailwarden_ledger::Checkpoint { size: 300, ..checkpoint.clone() };
    assert!(matches!(exported[0].verify(&other), Err(ExportError::OtherCheckpoint { .. })));
}
