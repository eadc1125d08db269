//! The evidence of a case as files: what an auditor checks without this machine.
//!
//! `case.json` and `case.txt` are the case as it stands; `entries.json` holds every ledger entry about it with a
//! proof that it is in the ledger of a size, and `checkpoint.note`, where a signed checkpoint covers them all, is
//! what that proof leads to.

use std::path::Path;

use mailwarden_ledger::{Checkpoint, EventFilter, Ledger, LedgerError, SignedNote};
use serde_json::{Value, json};

use crate::failure::Failure;

/// What is written beside the entries.
pub(super) struct Evidence<'a> {
    /// The number of the case.
    pub(super) case: &'a str,
    /// What the entries are about: the leaver's addresses.
    pub(super) subjects: &'a [String],
    /// The case for programs.
    pub(super) json: Value,
    /// The case for people.
    pub(super) text: String,
}

/// Writes the bundle; answers how many entries it holds and whether a signed checkpoint covers them.
pub(super) async fn write(
    ledger: &Ledger,
    evidence: &Evidence<'_>,
    directory: &Path,
) -> Result<(usize, bool), Failure> {
    let unread = |error| Failure::Ledger("cannot read the ledger".to_owned(), error);
    let indices = indices(ledger, evidence).await.map_err(unread)?;
    let head = ledger.head().await.map_err(unread)?;
    let covering = covering(ledger, indices.last().copied()).await.map_err(unread)?;
    let size = covering.as_ref().map_or(head.size, |(checkpoint, _)| checkpoint.size);
    let root = covering.as_ref().map_or(head.root, |(checkpoint, _)| checkpoint.root);
    let entries = ledger.export(&indices, size).await.map_err(unread)?;
    let count = entries.len();
    let entries = json!({"schema": "mailwarden.evidence/1", "size": size, "root": root, "entries": entries});
    let mut files = vec![
        ("case.json", pretty(&evidence.json)?),
        ("case.txt", evidence.text.clone()),
        ("entries.json", pretty(&entries)?),
    ];
    files.extend(covering.as_ref().map(|(_, note)| ("checkpoint.note", note.to_string())));
    let failed = |error| Failure::Ours(format!("cannot write into {}: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(failed)?;
    for (name, text) in files {
        std::fs::write(directory.join(name), text).map_err(failed)?;
    }
    Ok((count, covering.is_some()))
}

/// Every entry of the case, and everything else on record about the leaver.
async fn indices(ledger: &Ledger, evidence: &Evidence<'_>) -> Result<Vec<u64>, LedgerError> {
    let mut indices = Vec::new();
    for subject in evidence.subjects {
        let mut filter = EventFilter { subject: Some(subject.clone()), ..EventFilter::default() };
        loop {
            let events = ledger.events(&filter).await?;
            let Some(last) = events.last() else { break };
            filter.after = Some(last.index);
            let belongs = |payload: &Value| payload["case"].as_str().is_none_or(|case| case == evidence.case);
            let ours =
                events.iter().filter(|event| event.detail.as_ref().is_some_and(|d| belongs(&d.payload)));
            indices.extend(ours.map(|event| event.index));
        }
    }
    indices.sort_unstable();
    indices.dedup();
    Ok(indices)
}

/// The last signed checkpoint, where it covers the last entry.
async fn covering(
    ledger: &Ledger,
    last: Option<u64>,
) -> Result<Option<(Checkpoint, SignedNote)>, LedgerError> {
    let Some(note) = ledger.checkpoints().await?.pop() else { return Ok(None) };
    let checkpoint: Checkpoint = note.text().parse()?;
    Ok(last.is_some_and(|last| last < checkpoint.size).then_some((checkpoint, note)))
}

fn pretty(value: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|error| Failure::Ours(format!("cannot write the case: {error}")))
}
