//! Changes that a sweep saw and that nobody recorded.
//!
//! Whoever changes a mailbox records it, by hand or from a panel ([`crate::provisioning`]). What two sweeps
//! differ in and no record explains was changed by somebody who told nobody: it is put on record as observed,
//! with what was there before, so that the next question ("since when, and what was it?") has an answer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::entry::{Entry, to_entry};
use crate::swept::same;

/// The kind of event that an observed change is recorded as.
pub const KIND: &str = "change.observed";

/// What became of something that a sweep can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It was not there before.
    Present,
    /// It is there with another content.
    Different,
    /// It is gone, and the place where it was could be looked at.
    Absent,
}

/// One difference between two sweeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The check that sees such a thing, e.g. `acl.grant-internal`.
    pub check_id: String,
    /// Its identity across sweeps.
    pub fingerprint: String,
    /// The mailbox, or the mail system.
    pub mailbox: String,
    /// Who gains by it.
    pub beneficiary: String,
    /// One sentence.
    pub title: String,
    /// Whether it takes every local part of a domain.
    pub is_catch_all: bool,
    /// What became of it.
    pub became: Became,
    /// What was on record about it before.
    pub before: Option<Value>,
}

/// `change.observed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The kind that a record of this change would have had, e.g. `delegation.added`.
    pub change: String,
    /// The sweep that saw it.
    pub run_id: String,
    /// Its identity across sweeps.
    pub fingerprint: String,
    /// Who gains by it.
    pub beneficiary: String,
    /// One sentence.
    pub title: String,
}

/// The kinds under which such a change is recorded: the first is what it is called, any of them explains it.
/// What an audit does not ask about (a rule that files mail, say) has none.
fn kinds(check_id: &str, is_catch_all: bool, became: Became) -> &'static [&'static str] {
    let (family, check) = check_id.split_once('.').unwrap_or((check_id, ""));
    let of = |added: &'static [&'static str], removed: &'static [&'static str]| match became {
        Became::Present | Became::Different => added,
        Became::Absent => removed,
    };
    match family {
        "acl" => of(&["delegation.added", "access.granted"], &["delegation.removed", "access.revoked"]),
        "sieve" if forwards(check) => of(&["forwarding.enabled"], &["forwarding.disabled"]),
        "imapsieve" => of(&["forwarding.enabled"], &["forwarding.disabled"]),
        "postfix" if is_catch_all => of(&["catch-all.enabled"], &["catch-all.disabled"]),
        // Who may send as an address is access to it.
        "postfix" if check.starts_with("send-as-") => {
            of(&["delegation.added", "access.granted"], &["delegation.removed", "access.revoked"])
        }
        "postfix" => &["routing.changed"],
        "account" if check.starts_with("master") => &["admin.changed"],
        "account" if check == "unregistered" => of(&["mailbox.created"], &["mailbox.deleted"]),
        "account" if check == "missing" => of(&["mailbox.deleted"], &["mailbox.created"]),
        _ => &[],
    }
}

fn forwards(check: &str) -> bool {
    ["redirect-", "notify-", "report-"].iter().any(|act| check.starts_with(act))
}

/// One sweep set against the one before it.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// The sweep.
    pub run_id: &'a str,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// When the sweep before it ended. Without one there is nothing to differ from.
    pub since: Option<DateTime<Utc>>,
    /// What is on record.
    pub recorded: &'a [Entry],
}

impl Comparison<'_> {
    /// The differences that no record since the sweep before explains, as events of this actor. A change that
    /// this program made itself (`change.applied`, `change.reverted`) names the finding it was made for; what was
    /// only planned, failed, or was itself observed explains nothing.
    pub fn observed(&self, differences: &[Difference], actor: &str) -> Vec<Entry> {
        let Some(since) = self.since else { return Vec::new() };
        let recent: Vec<&Entry> = self.recorded.iter().filter(|entry| entry.at > since).collect();
        let unexplained = differences.iter().filter_map(|difference| {
            let kinds = kinds(&difference.check_id, difference.is_catch_all, difference.became);
            let change = kinds.first()?;
            let explained = recent.iter().any(|entry| explains(entry, kinds, difference));
            (!explained).then(|| self.event(difference, change, actor))
        });
        unexplained.collect()
    }

    fn event(&self, difference: &Difference, change: &str, actor: &str) -> Entry {
        let observed = Observed {
            change: change.to_owned(),
            run_id: self.run_id.to_owned(),
            fingerprint: difference.fingerprint.clone(),
            beneficiary: difference.beneficiary.clone(),
            title: difference.title.clone(),
        };
        let event = to_entry(KIND, self.at, actor, &difference.mailbox, None, &observed);
        Entry { prior_state: difference.before.clone(), ..event }
    }
}

/// A record explains one kind of change of one mailbox. Where it names somebody, it explains nobody else.
fn explains(entry: &Entry, kinds: &[&str], difference: &Difference) -> bool {
    if matches!(entry.kind.as_str(), "change.applied" | "change.reverted") {
        return entry.payload["because"]["finding"].as_str() == Some(&difference.fingerprint);
    }
    let named = ["grantee", "beneficiary", "to"].iter().find_map(|key| entry.payload[*key].as_str());
    kinds.contains(&entry.kind.as_str())
        && same(&entry.subject, &difference.mailbox)
        && named.is_none_or(|named| same(named, &difference.beneficiary))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn difference(check_id: &str, became: Became) -> Difference {
        Difference {
            check_id: check_id.trim_end_matches(" @").to_owned(),
            fingerprint: "f-1".to_owned(),
            mailbox: "sales@example.test".to_owned(),
            beneficiary: "bob@example.test".to_owned(),
            title: "It is open to bob.".to_owned(),
            is_catch_all: check_id.ends_with(" @"),
            became,
            before: Some(json!({"content_hash": "abc"})),
        }
    }

    fn entry(kind: &str, moment: &str, subject: &str, payload: Value) -> Entry {
        let (kind, subject) = (kind.to_owned(), subject.to_owned());
        Entry {
            kind,
            at: at(moment),
            actor: "x".to_owned(),
            subject,
            reason: None,
            prior_state: None,
            payload,
        }
    }

    fn seen(difference: &Difference, recorded: &[Entry], since: Option<&str>) -> Vec<Entry> {
        let (now, since) = (at("2026-10-03T00:00:00Z"), since.map(at));
        Comparison { run_id: "run-2", at: now, since, recorded }
            .observed(std::slice::from_ref(difference), "x")
    }

    fn changes(difference: &Difference, recorded: &[Entry]) -> Vec<String> {
        let seen = seen(difference, recorded, Some("2026-10-01T00:00:00Z"));
        seen.iter().map(|entry| entry.payload["change"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_change_that_an_audit_asks_for_has_its_name() {
        use Became::{Absent, Different, Present};
        for (check, became, expected) in [
            ("acl.grant-internal", Present, "delegation.added"),
            ("acl.grant-leaver", Absent, "delegation.removed"),
            ("sieve.redirect-external", Present, "forwarding.enabled"),
            ("sieve.redirect-external", Absent, "forwarding.disabled"),
            ("imapsieve.script", Different, "forwarding.enabled"),
            ("postfix.alias-external @", Present, "catch-all.enabled"),
            ("postfix.alias-external @", Absent, "catch-all.disabled"),
            ("postfix.alias-external", Different, "routing.changed"),
            ("postfix.send-as-unknown", Present, "delegation.added"),
            ("account.master-user", Present, "admin.changed"),
            ("account.unregistered", Present, "mailbox.created"),
            ("account.unregistered", Absent, "mailbox.deleted"),
            ("account.missing", Present, "mailbox.deleted"),
        ] {
            assert_eq!(changes(&difference(check, became), &[]), [expected], "{check} {became:?}");
        }
        assert!(changes(&difference("sieve.hides-mail", Present), &[]).is_empty());
    }

    #[test]
    fn a_record_of_the_same_change_since_the_last_sweep_explains_it() {
        let added = difference("acl.grant-internal", Became::Present);
        let sales = "Sales@example.test";
        for (explained, entry) in [
            (true, entry("delegation.added", "2026-10-02T00:00:00Z", sales, json!({}))),
            (
                true,
                entry(
                    "access.granted",
                    "2026-10-02T00:00:00Z",
                    sales,
                    json!({"grantee": "bob@example.test"}),
                ),
            ),
            (
                true,
                entry("change.applied", "2026-10-02T00:00:00Z", "x", json!({"because": {"finding": "f-1"}})),
            ),
            (false, entry("delegation.added", "2026-09-30T00:00:00Z", sales, json!({}))),
            (false, entry("delegation.removed", "2026-10-02T00:00:00Z", sales, json!({}))),
            (false, entry("delegation.added", "2026-10-02T00:00:00Z", "ops@example.test", json!({}))),
            (
                false,
                entry(
                    "access.granted",
                    "2026-10-02T00:00:00Z",
                    sales,
                    json!({"grantee": "eve@example.test"}),
                ),
            ),
            (
                false,
                entry(
                    "change.applied",
                    "2026-10-02T00:00:00Z",
                    sales,
                    json!({"because": {"finding": "f-2"}}),
                ),
            ),
            (
                false,
                entry(
                    "change.planned",
                    "2026-10-02T00:00:00Z",
                    sales,
                    json!({"because": {"finding": "f-1"}}),
                ),
            ),
            (false, entry("change.observed", "2026-10-02T00:00:00Z", sales, json!({"fingerprint": "f-1"}))),
        ] {
            assert_eq!(changes(&added, std::slice::from_ref(&entry)).is_empty(), explained, "{entry:?}");
        }
    }

    #[test]
    fn the_first_sweep_observes_no_change_and_the_next_keeps_what_was_before() {
        let changed = difference("acl.grant-internal", Became::Different);
        assert!(seen(&changed, &[], None).is_empty());
        let seen = seen(&changed, &[], Some("2026-10-01T00:00:00Z"));
        assert_eq!((seen[0].kind.as_str(), seen[0].subject.as_str()), (KIND, "sales@example.test"));
        assert_eq!(seen[0].prior_state, Some(json!({"content_hash": "abc"})));
    }
}
