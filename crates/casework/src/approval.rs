//! Approvals: who said yes, over which channel, when, and the text that a signature stands under.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use mailwarden_address::Address;
use mailwarden_policy::raci::{Action, Duty, Forbidden, GivenApproval};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The namespace of signatures (`ssh-keygen -Y sign -n mailwarden`): a signature made for something else, a
/// commit or a file, does not approve anything.
pub const NAMESPACE: &str = "mailwarden";

/// One approval on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The case.
    pub case: String,
    /// Who said yes, by the first of their addresses.
    pub approver: Address,
    /// Who wrote it down.
    pub recorded_by: Address,
    /// How it was said: phone, meeting, chat, in person, signature.
    pub channel: String,
    /// When it was said.
    pub given: DateTime<Utc>,
    /// The verified signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// A signature that was verified before it was recorded; an auditor can verify it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// What was signed, byte for byte.
    pub text: String,
    /// The armoured SSH signature.
    pub signature: String,
    /// The public key that it was verified with.
    pub key: String,
}

impl Approval {
    /// As the control model judges it.
    pub fn as_given(&self) -> GivenApproval<'_> {
        GivenApproval {
            approver: &self.approver,
            recorded_by: &self.recorded_by,
            signed: self.signed.is_some(),
        }
    }

    /// A signature counts for the very text of this case and approver: a text of another case, or of this
    /// case for somebody else, is a replay.
    pub(crate) fn check_signature(&self, expected: &str) -> Result<(), Forbidden> {
        match &self.signed {
            Some(signed) if signed.text != expected => Err(Forbidden::Unsigned(
                "this action (the signature stands under another text)",
                self.approver.to_string(),
            )),
            _ => Ok(()),
        }
    }
}

/// The text that an approver signs. It names the action, its subject, the case and the approver, and holds a
/// digest of everything else that was asked for, so that it cannot be used for anything else.
pub fn canonical_text(
    action: Action,
    subject: &str,
    case: &str,
    approver: &Address,
    asked: &impl Serialize,
) -> String {
    format!(
        "mailwarden approval 1\naction: {}\nsubject: {subject}\ncase: {case}\napprover: {approver}\nasked: sha256:{}\n",
        action.as_str(),
        digest_of(asked)
    )
}

/// SHA-256 over the JSON form with sorted keys.
fn digest_of(asked: &impl Serialize) -> String {
    let value = serde_json::to_value(asked).unwrap_or_default();
    let sorted = sorted(&value);
    HEXLOWER.encode(&Sha256::digest(sorted.as_bytes()))
}

fn sorted(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(members) => {
            let members: BTreeMap<&String, String> =
                members.iter().map(|(key, value)| (key, sorted(value))).collect();
            let members: Vec<String> =
                members.into_iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
            format!("{{{}}}", members.join(","))
        }
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(","))
        }
        plain => plain.to_string(),
    }
}

/// Whether the approvals on record let this person act.
pub(crate) fn authorise(
    duty: &Duty,
    requester: Option<&Address>,
    approvals: &[Approval],
    executor: &Address,
) -> Result<(), Forbidden> {
    let given: Vec<GivenApproval<'_>> = approvals.iter().map(Approval::as_given).collect();
    duty.authorise(requester, &given, executor).map(drop)
}
