//! The evidence of a case as files: what an auditor checks without this machine.
//!
//! `case.json` and `case.txt` are the case as it stands; `bundle.json` holds every ledger entry of it with proofs
//! and the signed checkpoint they lead to, for `mailwarden-verify`.

use std::path::Path;

use mailwarden_ledger::{CheckpointKey, Ledger};
use mailwarden_settings::Settings;
use serde_json::Value;

use crate::failure::Failure;

/// What is written beside the entries.
pub(super) struct Evidence<'a> {
    /// The number of the case.
    pub(super) case: &'a str,
    /// The case for programs.
    pub(super) json: Value,
    /// The case for people.
    pub(super) text: String,
}

/// Writes the bundle; answers how many entries it proves.
pub(super) async fn write(
    settings: &Settings,
    ledger: &Ledger,
    evidence: &Evidence<'_>,
    directory: &Path,
) -> Result<usize, Failure> {
    let path = settings.resolve(&settings.ledger.key);
    let key = CheckpointKey::load_or_create(&settings.ledger.name, &path).map_err(|error| {
        Failure::Ledger(format!("cannot use the checkpoint key {}", path.display()), error)
    })?;
    let exported = ledger.export_case(evidence.case, &key).await;
    let bundle =
        exported.map_err(|error| Failure::Ledger("cannot export from the ledger".to_owned(), error))?;
    let count = bundle.entries.len();
    let files = [
        ("case.json", pretty(&evidence.json)?),
        ("case.txt", evidence.text.clone()),
        ("bundle.json", pretty(&bundle)?),
    ];
    let failed = |error| Failure::Ours(format!("cannot write into {}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(failed)?;
    for (name, text) in files {
        std::fs::write(directory.join(name), text).map_err(failed)?;
    }
    Ok(count)
}

fn pretty(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|error| Failure::Ours(format!("cannot write the case: {error}")))
}
