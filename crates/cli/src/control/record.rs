//! `mailwarden record`: what happened to mailboxes elsewhere.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::io::Read as _;

use clap::Args;
use mailwarden_casework::provisioning::{self, KINDS, Record};
use mailwarden_casework::{Entry, Step};
use serde_json::Value;

use super::Casebook;
use super::casebook::{moment, refused};
use super::reset::ActAs;
use crate::arguments::Common;
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

/// No kind of the ledger is longer.
const MAX_KIND_CHARACTERS: usize = 64;
/// More than this is no set of records that one command hands in.
const MAX_INPUT_BYTES: u64 = 16 << 20;

#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub(crate) struct RecordArguments {
    /// What happened, e.g. invite.sent; left out with --json
    #[arg(required_unless_present = "json")]
    kind: Option<String>,
    /// The mailbox or domain
    #[arg(required_unless_present = "json")]
    subject: Option<String>,
    /// The ticket or approval
    #[arg(long, required_unless_present = "json")]
    reason: Option<String>,
    /// When; now, where it is left out
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// owner-first or operator-created, for mailbox.created
    #[arg(long)]
    pattern: Option<String>,
    /// When an operator-created mailbox becomes its owner's
    #[arg(long, value_name = "DAY")]
    follow_up: Option<String>,
    /// What was there before, JSON or a word
    #[arg(long, value_name = "VALUE")]
    prior: Option<String>,
    /// Read JSON objects from standard input, one a line or an array
    #[arg(long, conflicts_with_all = ["kind", "subject", "reason", "at", "pattern", "follow_up", "prior"])]
    json: bool,
    #[command(flatten)]
    act: ActAs,
}

fn after_help() -> String {
    let kinds: Vec<String> = KINDS.iter().map(|(kind, what)| format!("  {kind:<28} {what}")).collect();
    format!(
        "Kinds:\n{}\n\nExamples:\n  mailwarden record invite.sent bob@example.com --reason T-4\n  \
         mailwarden record mailbox.created bob@example.com --reason T-4 --pattern operator-created \
         --follow-up 2026-02-01\n  echo '{{\"kind\":\"forwarding.enabled\",\"subject\":\"a@example.com\",\
         \"reason\":\"T-5\",\"id\":\"panel-881\"}}' | mailwarden record --json",
        kinds.join("\n")
    )
}

pub(crate) async fn run(common: &Common, arguments: &RecordArguments) -> Result<Outcome, Failure> {
    let records = if arguments.json { from_input()? } else { vec![from_arguments(arguments)?] };
    let book = Casebook::open(common).await?;
    let actor = book.actor(arguments.act.act_as.as_deref())?;
    let mut known: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for record in records {
        let kind: String = record.kind.chars().take(MAX_KIND_CHARACTERS).collect();
        let entries = match known.entry(kind) {
            MapEntry::Occupied(read) => read.into_mut(),
            MapEntry::Vacant(unread) => {
                let entries = book.entries(unread.key()).await?;
                unread.insert(entries)
            }
        };
        let step = provisioning::record(entries, record, &actor.recorded(), book.now).map_err(refused)?;
        if let Step::Record(entry) = &step {
            entries.push(entry.clone());
        }
        write(&book, step).await?;
    }
    book.close(Outcome::Clean).await
}

async fn write(book: &Casebook, step: Step<Entry>) -> Result<(), Failure> {
    match step {
        Step::Already => output::complain("this is on record already; nothing was changed"),
        Step::Record(entry) => {
            let line = format!("{} {}", entry.kind, shown(&entry.subject));
            let index = book.record(entry).await?;
            output::print(&format!("{index} {line}\n"))?;
        }
    }
    Ok(())
}

fn from_arguments(arguments: &RecordArguments) -> Result<Record, Failure> {
    let mut payload = serde_json::Map::new();
    let texts = [("pattern", &arguments.pattern), ("follow_up", &arguments.follow_up)];
    for (key, value) in texts.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))) {
        payload.insert(key.to_owned(), Value::String(value));
    }
    let prior = arguments.prior.as_ref();
    Ok(Record {
        kind: arguments.kind.clone().unwrap_or_default(),
        subject: arguments.subject.clone().unwrap_or_default(),
        reason: arguments.reason.clone().unwrap_or_default(),
        at: arguments.at.as_deref().map(moment).transpose()?,
        prior_state: prior.map(|text| serde_json::from_str(text).unwrap_or(Value::String(text.clone()))),
        payload: if payload.is_empty() { Value::Null } else { Value::Object(payload) },
        id: None,
    })
}

fn from_input() -> Result<Vec<Record>, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_INPUT_BYTES + 1).read_to_string(&mut text);
    let read = read.map_err(|error| Failure::Usage(format!("cannot read standard input: {error}")))?;
    if read as u64 > MAX_INPUT_BYTES {
        return Err(Failure::Usage(format!(
            "more than {MAX_INPUT_BYTES} bytes of records; hand them in parts"
        )));
    }
    let wrong = |error: serde_json::Error| {
        Failure::Usage(format!(
            "this is not a record: {error}\n  write {{\"kind\": ..., \"subject\": ..., \"reason\": ...}}, one a line"
        ))
    };
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(&text).map_err(wrong);
    }
    serde_json::Deserializer::from_str(&text).into_iter::<Record>().collect::<Result<_, _>>().map_err(wrong)
}
