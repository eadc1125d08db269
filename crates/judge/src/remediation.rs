//! What to do about a finding, in words an administrator can act on.

use mailwarden_evidence::surface;

use crate::Remediation;
use crate::shell::{operands, word};

/// A remediation with side effects and regenerating software from the surface catalogue. Software seen to
/// have written the rule is named too.
pub(crate) fn on_surface(id: &str, command: String, revert: String, written_by: Option<&str>) -> Remediation {
    let row = surface(id);
    let mut regenerated_by = row.map(|row| row.regenerated_by.clone()).unwrap_or_default();
    if let Some(ui) = written_by
        && !regenerated_by.iter().any(|known| known.to_lowercase().contains(ui))
    {
        regenerated_by.push(ui.to_owned());
    }
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
    fn the_program_that_wrote_the_rule_is_named_once() {
        let by =
            |ui| on_surface("managesieve.scripts", String::new(), String::new(), Some(ui)).regenerated_by;
        assert!(by("roundcube").contains(&"roundcube".to_owned()));
        assert!(!by("ingo").contains(&"ingo".to_owned()));
    }
}
