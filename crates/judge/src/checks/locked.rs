//! What becomes of the mail of accounts that may not log in: one sentence that takes two checks to know.

use std::collections::{BTreeMap, BTreeSet};

use crate::State;
use crate::draft::Draft;
use crate::wording::shown;

/// The check of a locked account that still receives.
pub(super) const LOCKED: &str = "account.locked-receives";
/// Most destinations that one sentence names.
const MAX_NAMED: usize = 3;

/// Says of each locked account to whom its rules still forward. Whoever accepted that it merely receives did not
/// accept that, so the destinations count as content.
pub(super) fn say_where_mail_goes(drafts: &mut [Draft]) {
    let mut forwarded: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for draft in drafts.iter().filter(|draft| forwards(draft)) {
        forwarded.entry(draft.mailbox.to_lowercase()).or_default().insert(draft.beneficiary.value.clone());
    }
    for draft in drafts.iter_mut().filter(|draft| draft.check_id == LOCKED) {
        if let Some(destinations) = forwarded.get(&draft.mailbox.to_lowercase()) {
            draft.title = format!(
                "{} may not log in, but mail for it is still delivered and still forwarded to {}.",
                shown(&draft.mailbox),
                listed(destinations)
            );
            draft.content.extend(destinations.iter().map(|value| value.as_bytes().to_vec()));
        }
    }
}

fn forwards(draft: &Draft) -> bool {
    draft.state == State::Active && draft.check_id.starts_with("sieve.redirect-")
}

fn listed(destinations: &BTreeSet<String>) -> String {
    let named: Vec<String> = destinations.iter().take(MAX_NAMED).map(|value| shown(value)).collect();
    match destinations.len().saturating_sub(MAX_NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::{Fact, Observation};

    use crate::testing::{judged, observed, script};

    const BOX: &str = "sales@example.test";

    fn locked() -> Observation {
        let fact = Fact::LockedAccount { login: BOX.to_owned(), how: "nologin".to_owned() };
        observed(BOX, "account.state", fact)
    }

    fn said(seen: &[Observation]) -> (String, String) {
        let report = judged(seen, &[]);
        let found = report
            .findings
            .iter()
            .find(|finding| finding.check_id == super::LOCKED)
            .expect("a locked account");
        (found.title.clone(), found.content_hash.clone())
    }

    #[test]
    fn the_sentence_names_who_still_gets_the_mail() {
        let forward = "redirect \"thief@gmail.example\";\n";
        let (quiet, kept) = said(&[locked(), script(BOX, "main", true, "keep;\n")]);
        assert!(quiet.ends_with("still delivered and its rules still run."), "{quiet}");
        let (asleep, same) = said(&[locked(), script(BOX, "main", false, forward)]);
        assert_eq!((&asleep, &same), (&quiet, &kept), "an inactive script forwards nothing");
        let (title, content) = said(&[locked(), script(BOX, "main", true, forward)]);
        let wanted = "sales@example.test may not log in, but mail for it is still delivered and still forwarded to \
                      thief@gmail.example.";
        assert_eq!(title, wanted);
        assert_ne!(content, kept, "what was accepted before has changed");
    }

    #[test]
    fn a_long_list_is_counted() {
        let many: String = (0..5).map(|n| format!("redirect \"t{n}@gmail.example\";\n")).collect();
        let (title, _) = said(&[locked(), script(BOX, "main", true, &many)]);
        assert!(
            title.ends_with("t0@gmail.example, t1@gmail.example, t2@gmail.example and 2 more."),
            "{title}"
        );
    }
}
