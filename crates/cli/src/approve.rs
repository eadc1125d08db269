//! The right to make changes, or why there is none; and the texts under which signatures of approvals stand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::Utc;
use clap::Args;
use mailwarden_address::Address;
use mailwarden_casework::{Signed, canonical_text};
use mailwarden_ledger::{ChangeOutcome, RecordedChange};
use mailwarden_policy::Policy;
use mailwarden_remedy::{ACTION, Approval, Authorised, Change, Mandate, authorise};
use serde_json::json;

use crate::arguments::TextOrJson;
use crate::control::{actor, address, signature};
use crate::failure::Failure;
use crate::output::{self, shown};

/// Who lets a change happen.
#[derive(Debug, Args)]
pub(crate) struct Approved {
    /// Make the changes
    #[arg(long)]
    pub(crate) apply: bool,
    /// Who approved, where the policy asks for that: a person by an address of theirs, and not whoever runs this;
    /// may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) approved_by: Vec<String>,
    /// The SSH signature of one of them under what --print-text prints; may be given several times
    #[arg(long, value_name = "FILE", requires = "approved_by")]
    pub(crate) signature: Vec<PathBuf>,
    /// Print the text that the approver has to sign for this ticket, and change nothing
    #[arg(long, requires = "approved_by", conflicts_with_all = ["apply", "signature"])]
    pub(crate) print_text: bool,
    /// Where that was decided
    #[arg(long, value_name = "TICKET")]
    pub(crate) ticket: Option<String>,
    /// Who acts, if not the person behind the Unix user that runs this
    #[arg(long = "as", value_name = "ADDRESS")]
    pub(crate) act_as: Option<String>,
    /// Output
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub(crate) format: TextOrJson,
}

/// The right to make changes, with the signatures it rests on, which an auditor can verify again.
pub(crate) struct Warrant {
    pub(crate) authorised: Authorised,
    pub(crate) signed: Vec<Signed>,
}

/// Asks the policy whether whoever runs this may make the changes, on the word that was given.
pub(crate) fn authorised(
    policy: &Policy,
    changes: &[Change],
    approved: &Approved,
) -> Result<Warrant, Failure> {
    let now = Utc::now();
    let ticket = ticket(approved)?;
    let executor = actor(policy, approved.act_as.as_deref(), now)?;
    let mut approvals = approvers(policy, approved)?;
    let mut signed = Vec::new();
    for file in &approved.signature {
        let (at, signature) = whose(policy, changes, ticket, &approvals, file)?;
        approvals[at].signed = true;
        signed.push(signature);
    }
    let recorded = executor.recorded();
    let mandate = Mandate { executor: executor.person, recorded, approvals, ticket: ticket.to_owned() };
    let authorised = authorise(policy, changes, mandate, now)
        .map_err(|why| Failure::Usage(format!("nothing was changed: {why}")))?;
    Ok(Warrant { authorised, signed })
}

/// Prints what the approver has to sign so that these changes are made, and no others.
pub(crate) fn print_text(policy: &Policy, changes: &[Change], approved: &Approved) -> Result<(), Failure> {
    let ticket = ticket(approved)?;
    match approvers(policy, approved)?.as_slice() {
        [one] => Ok(output::print(&text_for(changes, ticket, &one.approver))?),
        _ => Err(Failure::Usage("--print-text prints the text of one --approved-by ADDRESS".to_owned())),
    }
}

/// A signature is the word for one time: after the changes were undone, the same text would make them again.
pub(crate) fn refuse_replayed(recorded: &[RecordedChange], warrant: &Warrant) -> Result<(), Failure> {
    for signed in &warrant.signed {
        let is_used = |change: &&RecordedChange| {
            let texts = change.payload["approvals"].as_array().into_iter().flatten();
            change.outcome != ChangeOutcome::Failed
                && texts.into_iter().any(|used| used["text"] == signed.text.as_str())
        };
        if let Some(used) = recorded.iter().find(is_used) {
            return Err(Failure::Usage(format!(
                "nothing was changed: this signature was used for the change {} already\n  let the text of \
                 --print-text be signed under another ticket",
                used.id
            )));
        }
    }
    Ok(())
}

fn ticket(approved: &Approved) -> Result<&str, Failure> {
    approved
        .ticket
        .as_deref()
        .ok_or_else(|| Failure::Usage("nothing was changed: --ticket says where it was decided".to_owned()))
}

/// Those who approved, by the first of their addresses where the policy knows them.
fn approvers(policy: &Policy, approved: &Approved) -> Result<Vec<Approval>, Failure> {
    let approval = |named: &String| {
        let named = address(named)?;
        let approver = match policy.person(&named) {
            Some(_) => policy.person_address(&named).clone(),
            None => named,
        };
        Ok(Approval { approver, signed: false })
    };
    approved.approved_by.iter().map(approval).collect()
}

/// Which of the approvers signed exactly these changes.
fn whose(
    policy: &Policy,
    changes: &[Change],
    ticket: &str,
    approvals: &[Approval],
    file: &Path,
) -> Result<(usize, Signed), Failure> {
    let mut refused = None;
    for (at, approval) in approvals.iter().enumerate().filter(|(_, approval)| !approval.signed) {
        let text = text_for(changes, ticket, &approval.approver);
        match signature::verify(policy, &approval.approver, &text, file) {
            Ok(signed) => return Ok((at, signed)),
            Err(why) => refused = Some(why),
        }
    }
    Err(refused.unwrap_or_else(|| {
        let file = shown(&file.display().to_string());
        Failure::Usage(format!("the signature in {file} is nobody's: name who signed with --approved-by"))
    }))
}

/// Names every object with its state before and after, so that it stands for these changes alone.
fn text_for(changes: &[Change], ticket: &str, approver: &Address) -> String {
    let mailboxes: BTreeSet<&str> = changes.iter().map(|change| change.object.mailbox()).collect();
    let subject = mailboxes.into_iter().map(shown).collect::<Vec<_>>().join(", ");
    let mut asked: Vec<serde_json::Value> = changes.iter().map(asked).collect();
    asked.sort_by_key(ToString::to_string);
    canonical_text(ACTION, &subject, &shown(ticket), approver, &asked)
}

fn asked(change: &Change) -> serde_json::Value {
    json!({
        "object": change.object,
        "before_sha256": change.before.sha256(),
        "after_sha256": change.after.sha256(),
    })
}
