//! The words that every format for people uses. Values inside are cut to a bearable length, not yet
//! sanitised.

use chrono::{DateTime, Utc};
use mailwarden_evidence::{CoverageState, Evidence, SYSTEM, Tier};
use mailwarden_judge::{
    Attack, BeneficiaryKind, Confidence, Finding, Locator, Owner, Severity, State, Status,
};

use crate::sanitise::clipped;

/// Worst first.
pub(crate) const SEVERITIES: [Severity; 5] =
    [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

pub(crate) fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "high",
        Severity::Medium => "medium",
        Severity::Low => "low",
        Severity::Info => "info",
    }
}

/// What a reader should do about a severity.
pub(crate) fn severity_meaning(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "act now",
        Severity::High => "act today",
        Severity::Medium => "ask about it",
        Severity::Low => "clean it up",
        Severity::Info => "worth knowing",
    }
}

pub(crate) fn confidence_word(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    }
}

pub(crate) fn state_word(state: State) -> &'static str {
    match state {
        State::Active => "active",
        State::Dormant => "dormant",
        State::Orphan => "orphan",
        State::Historic => "historic",
    }
}

pub(crate) fn state_meaning(state: State) -> &'static str {
    match state {
        State::Active => "in force now",
        State::Dormant => "one step from being in force",
        State::Orphan => "points at something that no longer exists",
        State::Historic => "was in force once",
    }
}

pub(crate) fn status_word(status: Status) -> &'static str {
    match status {
        Status::New => "new",
        Status::Unchanged => "unchanged",
        Status::Changed => "changed",
        Status::Resolved => "resolved",
        Status::Accepted => "accepted",
    }
}

pub(crate) fn kind_word(kind: BeneficiaryKind) -> &'static str {
    match kind {
        BeneficiaryKind::Internal => "internal",
        BeneficiaryKind::Approved => "approved",
        BeneficiaryKind::External => "external",
        BeneficiaryKind::Unresolvable => "unresolvable",
        BeneficiaryKind::Command => "command",
    }
}

pub(crate) fn kind_meaning(kind: BeneficiaryKind) -> &'static str {
    match kind {
        BeneficiaryKind::Internal => "inside the organisation",
        BeneficiaryKind::Approved => "outside, in an approved domain",
        BeneficiaryKind::External => "outside the organisation",
        BeneficiaryKind::Unresolvable => "cannot be named in advance",
        BeneficiaryKind::Command => "a program or file",
    }
}

pub(crate) fn tier_word(tier: Tier) -> &'static str {
    match tier {
        Tier::R => "R",
        Tier::S => "S",
        Tier::E => "E",
        Tier::M => "M",
        Tier::D => "D",
    }
}

pub(crate) fn tier_meaning(tier: Tier) -> &'static str {
    match tier {
        Tier::R => "seen remotely",
        Tier::S => "seen on the mail host",
        Tier::E => "seen in server events",
        Tier::M => "seen in passing mail",
        Tier::D => "seen in the name service and at the hosts it names",
    }
}

pub(crate) fn coverage_word(state: CoverageState) -> &'static str {
    match state {
        CoverageState::Collected => "collected",
        CoverageState::Unsupported => "unsupported",
        CoverageState::Denied => "denied",
        CoverageState::Error => "error",
        CoverageState::Partial => "partial",
        CoverageState::Skipped => "skipped",
    }
}

/// Formats of others begin such words with a capital.
pub(crate) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// "mailwarden 0.1.0" is a name and a version.
pub(crate) fn tool_parts(tool: &str) -> (&str, &str) {
    tool.rsplit_once(' ').unwrap_or((tool, "unknown"))
}

/// "1 finding", "2 findings".
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

pub(crate) fn is_or_are(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

pub(crate) fn utc(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

pub(crate) fn day(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d").to_string()
}

/// For machines: RFC 3339 in UTC.
pub(crate) fn rfc3339(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

pub(crate) fn mailbox(mailbox: &str) -> String {
    if mailbox == SYSTEM { "the mail system as a whole".to_owned() } else { clipped(mailbox).into_owned() }
}

/// "1 mailbox", "2 mailboxes".
pub(crate) fn mailboxes(number: usize) -> String {
    if number == 1 { "1 mailbox".to_owned() } else { format!("{number} mailboxes") }
}

/// An excerpt with its lines kept and its tabs, which indent scripts and part table columns, as blanks.
pub(crate) fn excerpt(evidence: &Evidence) -> String {
    clipped(evidence.excerpt.trim_end()).replace('\t', "    ")
}

/// "left 2026-07-01", or "leaves" where the day is still to come when the run ended.
pub(crate) fn left(owner: &Owner, now: DateTime<Utc>) -> Option<String> {
    let verb = |left| if left > now { "leaves" } else { "left" };
    owner.left.map(|left| format!("{} {}", verb(left), day(left)))
}

/// "Bob Example (human), left 2026-07-01".
pub(crate) fn owner(owner: &Owner, now: DateTime<Utc>) -> String {
    let left = left(owner, now).map_or_else(String::new, |left| format!(", {left}"));
    format!("{} ({}){left}", clipped(&owner.person), clipped(&owner.role))
}

/// Where exactly, as labels and values from the outside in.
pub(crate) fn place(locator: &Locator) -> Vec<(&'static str, String)> {
    let line = locator.line.map(|line| match locator.column {
        Some(column) => format!("{line}:{column}"),
        None => line.to_string(),
    });
    let named =
        |label, value: &Option<String>| value.as_deref().map(|value| (label, clipped(value).into_owned()));
    let parts = [
        named("folder", &locator.folder),
        named("script", &locator.script),
        named("table", &locator.file),
        line.map(|line| ("line", line)),
        named("key", &locator.key),
    ];
    parts.into_iter().flatten().collect()
}

/// "script default, line 12:3".
pub(crate) fn place_line(locator: &Locator) -> String {
    let parts = place(locator).into_iter().map(|(label, value)| format!("{label} {value}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// "a -> b -> c".
pub(crate) fn path_line(path: &[String]) -> String {
    path.iter().map(|step| clipped(step)).collect::<Vec<_>>().join(" -> ")
}

/// "T1114.003 (ATT&CK v19)".
pub(crate) fn attack(attack: &Attack) -> String {
    format!("{} (ATT&CK v{})", clipped(&attack.technique), clipped(&attack.version))
}

/// "first seen 2026-07-01 ..., last seen acting ...".
pub(crate) fn seen_line(finding: &Finding) -> String {
    let acting = finding.observed_use.map(|used| format!(", last seen acting {}", utc(used)));
    format!("first seen {}{}", utc(finding.first_seen), acting.unwrap_or_default())
}

/// Findings that are open, worst first, whatever order a saved run holds.
pub(crate) fn worst_first<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<&'a Finding> {
    let mut sorted: Vec<_> = findings.collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    sorted
}

/// The findings of one status, in the order of the report.
pub(crate) fn of_status(findings: &[Finding], status: Status) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.status == status).collect()
}

/// Characters of a fingerprint that people type; `revoke` takes unique beginnings.
const TYPED: usize = 16;

/// The command that plans the removal of a finding. What a name server publishes, and an exception of the policy, is
/// not removed by us.
pub(crate) fn planning_command(finding: &Finding) -> Option<String> {
    let ours = finding.surface.tier != Tier::D && !finding.check_id.starts_with("exception.");
    let fingerprint = finding.fingerprint.get(..TYPED)?;
    // A fingerprint that somebody else made up is not put into a command.
    let is_one = finding.fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
    (ours && is_one).then(|| format!("mailwarden revoke {fingerprint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_to_come_is_not_called_past() {
        let now = "2026-08-03T02:00:00Z".parse().unwrap();
        let owner = |left: &str| Owner {
            person: "Bob".into(),
            role: "human".into(),
            left: Some(format!("{left}T00:00:00Z").parse().unwrap()),
        };
        assert_eq!(left(&owner("2026-08-01"), now).as_deref(), Some("left 2026-08-01"));
        assert_eq!(left(&owner("2026-09-01"), now).as_deref(), Some("leaves 2026-09-01"));
    }
}
