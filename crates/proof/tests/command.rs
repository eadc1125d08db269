//! `mailwarden-verify` as an auditor runs it.
#![allow(clippy::unwrap_used, reason = "functions that several tests share are test code too")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use mailwarden_proof::bundle::{BUNDLE_SCHEMA, Bundle};
use mailwarden_proof::entry::commitment;
use mailwarden_proof::export::{ExportedDetail, ExportedEntry};
use mailwarden_proof::merkle::{leaf_hash, node_hash};
use mailwarden_proof::note::{Checkpoint, SignedNote, Verifier};
use mailwarden_proof::proof::InclusionProof;

const DETAIL: &str = r#"{"payload":null,"subject":"bob\u001b[31m@acme.example"}"#;

fn key() -> (SigningKey, Verifier) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let verifier = Verifier::new("ledger.example", key.verifying_key()).unwrap();
    (key, verifier)
}

fn leaf(index: u64, previous: &str) -> String {
    let committed = commitment(&[9; 32], DETAIL).to_hex();
    format!(
        "{{\"actor\":\"alice\",\"at\":\"2026-03-01T09:30:00.000000Z\",\"case\":\"OFF-1\"{previous},\
         \"commitment\":\"{committed}\",\"index\":{index},\"kind\":\"offboard.passed\",\
         \"schema\":\"mailwarden.event/1\"}}"
    )
}

/// A ledger of two entries, both of one case.
fn bundle() -> Bundle {
    let leaves = [leaf(0, ""), leaf(1, ",\"case_previous\":0")];
    let hashes = [leaf_hash(leaves[0].as_bytes()), leaf_hash(leaves[1].as_bytes())];
    let root = node_hash(&hashes[0], &hashes[1]);
    let text = Checkpoint { origin: "ledger.example".into(), size: 2, root }.to_string();
    let (key, verifier) = key();
    let signature = key.sign(text.as_bytes()).to_vec();
    let entry = |place: usize| ExportedEntry {
        leaf: leaves[place].clone(),
        detail: Some(ExportedDetail { salt: HEXLOWER.encode(&[9; 32]), text: DETAIL.into() }),
        proof: InclusionProof { index: place as u64, size: 2, path: vec![hashes[1 - place]] },
    };
    Bundle {
        schema: BUNDLE_SCHEMA.into(),
        case: "OFF-1".into(),
        checkpoint: SignedNote::signed(text, &verifier, signature).to_string(),
        entries: vec![entry(0), entry(1)],
    }
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mailwarden-verify"))
        .current_dir(directory)
        .args(arguments)
        .output()
        .unwrap()
}

fn place(bundle: &Bundle) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("case.json"), serde_json::to_string(bundle).unwrap()).unwrap();
    fs::write(directory.path().join("ledger.pub"), format!("# ours\n{}\n", key().1)).unwrap();
    directory
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_good_bundle_is_verified_and_shown_without_what_a_terminal_would_obey() {
    let directory = place(&bundle());
    let output = run(directory.path(), &["case.json", "--key", "ledger.pub"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.starts_with("verified: 2 entries of the case OFF-1, in the ledger ledger.example of 2"),
        "{text}"
    );
    assert!(text.contains("offboard.passed") && text.contains("bob") && !text.contains('\u{1b}'), "{text}");
    let json = run(directory.path(), &["case.json", "--key=ledger.pub", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["entries"][1]["case_previous"], 0);
}

#[test]
fn what_was_altered_or_left_out_is_named_with_exit_code_1() {
    let good = bundle();
    let mut altered = good.clone();
    altered.entries[0].leaf = altered.entries[0].leaf.replace("alice", "mallo");
    let mut shorter = good.clone();
    shorter.entries.remove(0);
    let mut resigned = good.clone();
    resigned.checkpoint = resigned.checkpoint.replace("\n2\n", "\n3\n");
    let cases = [
        (altered, "entry 0 is not in the ledger"),
        (shorter, "something was left out"),
        (resigned, "altered"),
    ];
    for (bundle, wanted) in cases {
        let output = run(place(&bundle).path(), &["case.json", "--key", "ledger.pub"]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("NOT VERIFIED") && text.contains(wanted), "{text}");
    }
}

#[test]
fn wrong_usage_is_2_and_a_missing_file_is_4() {
    let directory = place(&bundle());
    fs::write(directory.path().join("empty.pub"), "\n").unwrap();
    for (arguments, code) in [
        (&["case.json"][..], 2),
        (&["--key", "ledger.pub"], 2),
        (&["case.json", "--key", "empty.pub"], 2),
        (&["case.json", "--key", "case.json"], 2),
        (&["case.json", "--kee", "ledger.pub"], 2),
        (&["nothing.json", "--key", "ledger.pub"], 4),
        (&["case.json", "--key", "nothing.pub"], 4),
        (&["ledger.pub", "--key", "ledger.pub"], 1),
        (&["--help"], 0),
    ] {
        let output = run(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    }
}
