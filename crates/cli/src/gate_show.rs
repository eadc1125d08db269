//! `mailwarden gate show REF`.

use std::fmt::Write as _;

use mailwarden_ledger::{Journal, JournalEntry, Reference, shown_url};

use crate::arguments::{Common, GateShow};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

pub(crate) async fn run(common: &Common, show: &GateShow) -> Result<Outcome, Failure> {
    let reference: Reference = show.reference.parse().map_err(|error| {
        Failure::Usage(format!("`{}` is not a reference: {error}", shown(&show.reference)))
    })?;
    let settings = common.settings()?;
    let url = settings.journal_url();
    let name = shown_url(&url);
    let failed = |error| Failure::Ledger(format!("cannot look into the gate journal {name}"), error);
    let journal = Journal::open_existing(&url).await.map_err(failed)?;
    let Some(entry) = journal.find(reference).await.map_err(failed)? else {
        output::complain(&format!(
            "no decision {reference} in {name}\n  \
             it may be older than the journal keeps, or come from another machine"
        ));
        return Ok(Outcome::Findings);
    };
    output::answer(show.json, &entry, text)?;
    Ok(Outcome::Clean)
}

fn text(entry: &JournalEntry) -> String {
    let mut out = format!(
        "{}  {}  {} by {}\n",
        entry.reference,
        entry.at.format("%Y-%m-%d %H:%M:%S UTC"),
        entry.verdict,
        entry.rule
    );
    let reply = &entry.detail["reply"];
    if let Some(said) = reply["text"].as_str() {
        let line = format!("{} {} {said}", reply["code"], reply["enhanced"].as_str().unwrap_or_default());
        field(&mut out, "reply", &line);
    }
    field(&mut out, "envelope sender", entry.envelope_sender.as_deref().unwrap_or("-"));
    field(&mut out, "header from", entry.header_from.as_deref().unwrap_or("-"));
    field(&mut out, "recipient", entry.recipient.as_deref().unwrap_or("-"));
    field(&mut out, "client", entry.client.as_deref().unwrap_or("-"));
    field(&mut out, "login", entry.detail["login"].as_str().unwrap_or("-"));
    field(&mut out, "queue id", entry.queue_id.as_deref().unwrap_or("-"));
    out.push_str("  how it was decided\n");
    for step in entry.detail["trace"].as_array().into_iter().flatten() {
        let rule = step["rule"].as_str().unwrap_or("-");
        let _ = writeln!(out, "    {rule:<17} {}", shown(step["text"].as_str().unwrap_or_default()));
    }
    out
}

fn field(out: &mut String, name: &str, value: &str) {
    let _ = writeln!(out, "  {name:<16} {}", shown(value));
}
