//! Annotations that give somebody a way in or a copy without any rule: keys of signed URLs (RFC 4467) and
//! push notifications.

use mailwarden_evidence::{Fact, Observation};

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Act, Destination, Weight};
use crate::shell::word;
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, State};

const KEY: &str = "/imap-urlauth";
const PUSH: &str = "/http-notify";

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    brief.observations.iter().filter_map(|seen| judge_annotation(brief, seen)).collect()
}

fn judge_annotation(brief: &Brief<'_>, seen: &Observation) -> Option<Draft> {
    let Fact::Metadata { folder, entry, value } = &seen.fact else { return None };
    let name = entry.to_lowercase();
    let place = shown(folder);
    let (check_id, act, title, who) = if name.ends_with(KEY) {
        let title = format!(
            "Messages in folder \"{place}\" of {} can be read without a login by whoever holds a signed URL.",
            seen.mailbox
        );
        ("imap.urlauth-key", Act::Read, title, "whoever holds a signed URL".to_owned())
    } else if name.ends_with(PUSH) {
        let title = format!("New mail of {} is announced to a push service.", seen.mailbox);
        ("imap.push-notify", Act::Notice, title, shown(value))
    } else {
        return None;
    };
    let leaver = brief.owner_left(&seen.mailbox);
    let weight = Weight { leaver, ..Weight::new(act, Destination::Unknown) };
    let command =
        format!("doveadm mailbox metadata unset -u {} {} {}", word(&seen.mailbox), word(folder), word(entry));
    Some(Draft {
        check_id,
        title,
        severity: weight.severity(),
        confidence: Confidence::High,
        state: State::Active,
        mailbox: seen.mailbox.clone(),
        surface: seen.surface.clone(),
        locator: Locator { folder: Some(folder.clone()), key: Some(entry.clone()), ..Locator::default() },
        identity: vec![folder.clone(), name],
        content: vec![value.as_bytes().to_vec()],
        effects: vec![if act == Act::Read { "read" } else { "notify" }.to_owned()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Unresolvable, value: who.clone(), person: None },
        path: vec![seen.mailbox.clone(), format!("annotation of folder \"{place}\""), who],
        conditions: "always".to_owned(),
        evidence: vec![seen.evidence.clone()],
        remediation: on_surface(&seen.surface, command, "none: a new key is made at need".to_owned(), None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ids, judged, observed};

    #[test]
    fn a_key_is_found_and_another_annotation_is_not() {
        let annotation = |entry: &str| {
            let (folder, entry, value) = ("INBOX".to_owned(), entry.to_owned(), "(a key)".to_owned());
            observed("jane@example.test", "imap.urlauth", Fact::Metadata { folder, entry, value })
        };
        let seen =
            [annotation("/private/vendor/vendor.dovecot/imap-urlauth"), annotation("/private/comment")];
        assert_eq!(ids(&judged(&seen, &[])), ["imap.urlauth-key whoever holds a signed URL medium"]);
    }
}
