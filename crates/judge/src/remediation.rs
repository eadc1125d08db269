//! What to do about a finding, in words an administrator can act on.

use mailwarden_evidence::surface;

use crate::Remediation;
use crate::shell::{operands, word};
use sieve_analysis::UiView;

/// A remediation with side effects and regenerating software from the surface catalogue. Where the software
/// that wrote the rule is known, only it can write the rule again, and not all software does.
pub(crate) fn on_surface(
    id: &str,
    command: String,
    revert: String,
    written_by: Option<&UiView>,
) -> Remediation {
    let row = surface(id);
    let regenerated_by = match written_by {
        Some(view) if view.rewritten => vec![view.ui.to_owned()],
        Some(_) => Vec::new(),
        None => row.map(|row| row.regenerated_by.clone()).unwrap_or_default(),
    };
    Remediation {
        command,
        revert,
        side_effects: row.map_or_else(String::new, |row| row.side_effects.clone()),
        regenerated_by,
    }
}

impl Remediation {
    /// For what needs no remedy.
    pub(crate) fn nothing() -> Self {
        Self {
            command: String::new(),
            revert: String::new(),
            side_effects: String::new(),
            regenerated_by: Vec::new(),
        }
    }
}

/// Taking one grant away. Dovecot names the kind of an identifier in front of it, RFC 4314 does not.
pub(crate) fn acl_delete(mailbox: &str, folder: &str, identifier: &str, rights: &str) -> Remediation {
    let owner = word(mailbox);
    let command = format!("doveadm acl delete -u {owner} {}", operands(&[folder, identifier]));
    let words = rights.chars().filter_map(right_name).map(|word| -> &str { word });
    let set: Vec<&str> = [folder, identifier].into_iter().chain(words).collect();
    on_surface("imap.acl", command, format!("doveadm acl set -u {owner} {}", operands(&set)), None)
}

/// The word doveadm uses for a right of RFC 4314 §2.1. The obsolete letters c and d only repeat others.
fn right_name(letter: char) -> Option<&'static str> {
    Some(match letter {
        'l' => "lookup",
        'r' => "read",
        'w' => "write",
        's' => "write-seen",
        't' => "write-deleted",
        'i' => "insert",
        'p' => "post",
        'e' => "expunge",
        'k' => "create",
        'x' => "delete",
        'a' => "admin",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sieve_analysis::Visible;

    #[test]
    fn a_grant_is_deleted_and_set_again_by_doveadm() {
        let remediation = acl_delete("bob@example.test", "Archive", "user=carol@example.test", "lrd");
        assert_eq!(
            remediation.command,
            "doveadm acl delete -u bob@example.test Archive user=carol@example.test"
        );
        assert_eq!(
            remediation.revert,
            "doveadm acl set -u bob@example.test Archive user=carol@example.test lookup read"
        );
    }

    #[test]
    fn only_a_program_that_writes_anew_is_named() {
        let by = |ui: Option<(&'static str, bool)>| {
            let view = ui.map(|(ui, rewritten)| UiView {
                ui,
                visible: Visible::Yes,
                why: "",
                enabled: true,
                rewritten,
            });
            on_surface("managesieve.scripts", String::new(), String::new(), view.as_ref()).regenerated_by
        };
        assert!(by(Some(("roundcube", false))).is_empty());
        assert_eq!(by(Some(("ingo", true))), ["ingo"]);
        assert!(by(None).len() > 1, "the catalogue knows several");
    }
}
