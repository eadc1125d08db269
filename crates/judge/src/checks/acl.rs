//! Grants on folders to anyone but the owner (RFC 4314).

use std::collections::BTreeMap;

use mailwarden_address::Address;
use mailwarden_evidence::{AclIdentifier, Fact, Observation};
use mailwarden_policy::MailboxKind;

use crate::beneficiary::Standing;
use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::{acl_delete, on_surface};
use crate::severity::{Act, Destination, Weight};
use crate::wording::{joined, shown};
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Remediation, Severity, State};

/// One entry of a folder's list, taken apart.
struct Grant<'a> {
    seen: &'a Observation,
    folder: &'a str,
    rights: &'a str,
    negative: bool,
    /// From a list that holds for the whole server: Dovecot marks it with `#`.
    global: bool,
    holder: Holder<'a>,
    /// How many folders show the same server-wide entry.
    folders: usize,
}

#[derive(Clone, Copy)]
enum Holder<'a> {
    /// Whoever connects, logged in or not.
    Anyone(&'a str),
    /// Whoever is logged in.
    Everyone(&'a str),
    Owner,
    Group(&'a str),
    Login(&'a str),
}

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    let grants: Vec<Grant<'_>> = brief.observations.iter().filter_map(read).collect();
    let (global, own): (Vec<_>, Vec<_>) = grants.into_iter().partition(|grant| grant.global);
    let all = own.into_iter().chain(folded(global));
    all.filter_map(|grant| judge_grant(brief, &grant)).collect()
}

fn read(seen: &Observation) -> Option<Grant<'_>> {
    let Fact::AclEntry { folder, identifier, rights } = &seen.fact else { return None };
    let (name, global) = match identifier.name.strip_prefix('#') {
        Some(name) => (name, true),
        None => (identifier.name.as_str(), false),
    };
    let (name, negative) = match name.strip_prefix('-') {
        Some(name) if global => (name, true),
        _ => (name, identifier.negative),
    };
    // An entry that fits nobody is shown as it is written.
    let name = identifier.login.as_deref().filter(|login| !login.is_empty()).unwrap_or(name);
    Some(Grant { seen, folder, rights, negative, global, holder: Holder::of(name), folders: 1 })
}

/// A server-wide entry shows on every folder it holds for; it is one entry and one finding, whatever the
/// order in which folders were listed.
fn folded(grants: Vec<Grant<'_>>) -> Vec<Grant<'_>> {
    let mut entries: BTreeMap<(String, String, bool, &str), Grant<'_>> = BTreeMap::new();
    for grant in grants {
        let key = (grant.seen.mailbox.to_lowercase(), grant.holder.name(), grant.negative, grant.rights);
        match entries.get_mut(&key) {
            None => drop(entries.insert(key, grant)),
            Some(entry) => {
                let folders = entry.folders + 1;
                if grant.folder < entry.folder {
                    *entry = grant;
                }
                entry.folders = folders;
            }
        }
    }
    entries.into_values().collect()
}

impl<'a> Holder<'a> {
    fn of(name: &'a str) -> Self {
        match name {
            "anyone" | "anonymous" => Self::Anyone(name),
            "authenticated" => Self::Everyone(name),
            "owner" => Self::Owner,
            _ => match name.strip_prefix("!$").or(name.strip_prefix('$')).or(name.strip_prefix("group:")) {
                Some(group) => Self::Group(group),
                None => Self::Login(name),
            },
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Anyone(name) | Self::Everyone(name) => (*name).to_owned(),
            Self::Owner => "owner".to_owned(),
            Self::Group(name) => format!("${name}"),
            Self::Login(name) => (*name).to_owned(),
        }
    }

    /// As doveadm wants it.
    fn doveadm(&self, original: &AclIdentifier) -> String {
        match self {
            Self::Group(name) if original.name.contains('!') => format!("group-override={name}"),
            Self::Group(name) => format!("group={name}"),
            Self::Login(name) => format!("user={name}"),
            _ => self.name(),
        }
    }
}

/// What a holder is to the mailbox, which decides the check.
struct Relation<'p> {
    check_id: &'static str,
    destination: Destination,
    standing: Option<Standing<'p>>,
    /// The holder in a sentence.
    phrase: String,
    confidence: Confidence,
}

fn judge_grant(brief: &Brief<'_>, grant: &Grant<'_>) -> Option<Draft> {
    if grant.negative {
        return Some(negative(grant));
    }
    let relation = relation(brief, grant)?;
    let (act, effects) = power(grant.rights)?;
    let leaver = relation.standing.as_ref().is_some_and(|standing| standing.left);
    let weight = Weight {
        leaver: leaver || brief.owner_left(&grant.seen.mailbox),
        ..Weight::new(act, relation.destination)
    };
    let severity = weight.severity();
    // A server-wide login is the operator's own doing, such as an archive's or this sweep's.
    let severity =
        if relation.check_id == "acl.grant-global" { severity.min(Severity::Low) } else { severity };
    Some(granted(grant, &relation, severity, &effects))
}

fn relation<'a>(brief: &Brief<'a>, grant: &Grant<'_>) -> Option<Relation<'a>> {
    let nobody = |check_id, destination, phrase: String, confidence| {
        Some(Relation { check_id, destination, standing: None, phrase, confidence })
    };
    let high = Confidence::High;
    match grant.holder {
        Holder::Owner => None,
        Holder::Anyone(_) => {
            nobody("acl.grant-anyone", Destination::Anyone, "anyone who connects".to_owned(), high)
        }
        Holder::Everyone(_) => {
            nobody("acl.grant-anyone", Destination::Everyone, "everyone who can log in".to_owned(), high)
        }
        Holder::Group(name) => {
            let phrase = format!("the members of group \"{}\"", shown(name));
            nobody("acl.grant-group", Destination::Unknown, phrase, Confidence::Low)
        }
        Holder::Login(login) => login_relation(brief, grant, login),
    }
}

fn login_relation<'a>(brief: &Brief<'a>, grant: &Grant<'_>, login: &str) -> Option<Relation<'a>> {
    let standing = brief.standing(&grant.seen.mailbox, login);
    if login.eq_ignore_ascii_case(&grant.seen.mailbox) {
        return None;
    }
    let known = standing.person.is_some() || standing.mailbox.is_some();
    let (check_id, destination) = match (standing.left, known) {
        (true, _) => ("acl.grant-leaver", Destination::InternalPerson),
        (false, true) if is_authorised(brief, &grant.seen.mailbox, login) => return None,
        (false, true) => ("acl.grant-internal", Destination::InternalPerson),
        (false, false) if grant.global => ("acl.grant-global", Destination::Unknown),
        (false, false) => ("acl.grant-unknown", Destination::Unknown),
    };
    let unknown = if known { "" } else { ", whom no policy names" };
    let phrase = format!("{}{unknown}", standing.named());
    Some(Relation { check_id, destination, standing: Some(standing), phrase, confidence: Confidence::High })
}

/// Whether the policy lets a login read a mailbox. The business owner of a role reads it; of a person's
/// mailbox they only approve resets.
pub(super) fn is_authorised(brief: &Brief<'_>, mailbox: &str, login: &str) -> bool {
    let record = Address::parse(mailbox).ok().and_then(|address| brief.policy.mailbox(&address));
    let (Some(record), Ok(login)) = (record, Address::parse(login)) else { return false };
    let owns = record.kind != MailboxKind::Human && record.business_owner.as_ref() == Some(&login);
    owns || record.authorised_users.contains(&login)
}

/// All that rights allow, in words.
pub(crate) fn effects_of(rights: &str) -> Vec<String> {
    power(rights).map_or_else(Vec::new, |(_, effects)| effects)
}

/// The worst that rights allow, and all that they allow in words. None without any right.
fn power(rights: &str) -> Option<(Act, Vec<String>)> {
    const POWERS: [(&str, Act, &str); 5] = [
        ("a", Act::Administer, "administer"),
        ("r", Act::Read, "read"),
        ("wtexkicd", Act::Change, "change"),
        ("p", Act::Lookup, "post"),
        ("ls", Act::Lookup, "see"),
    ];
    let held: Vec<_> =
        POWERS.iter().filter(|(letters, ..)| rights.contains(|c| letters.contains(c))).collect();
    let effects = held.iter().map(|(.., word)| (*word).to_owned()).collect();
    let unknown = (!rights.trim().is_empty()).then(|| (Act::Change, vec!["unknown".to_owned()]));
    held.first().map(|(_, act, _)| (*act, effects)).or(unknown)
}

fn granted(grant: &Grant<'_>, relation: &Relation<'_>, severity: Severity, effects: &[String]) -> Draft {
    let (mailbox, folder) = (&grant.seen.mailbox, shown(grant.folder));
    let may = effects.join(", ");
    let global = if grant.global { " by a server-wide entry" } else { "" };
    let rights = format!("rights {} on folder \"{folder}\"", shown(grant.rights));
    let beneficiary = relation.standing.as_ref().map(Standing::beneficiary);
    Draft {
        title: format!("Folder \"{folder}\" of {mailbox} is open to {}{global}: {may}.", relation.phrase),
        severity,
        confidence: relation.confidence,
        effects: effects.to_vec(),
        beneficiary: beneficiary.unwrap_or_else(|| nameless(grant)),
        path: vec![mailbox.clone(), rights, shown(&grant.holder.name())],
        conditions: joined(&[format!("whenever {} logs in", who_logs_in(grant)), extent(grant)]),
        ..draft(relation.check_id, grant)
    }
}

fn who_logs_in(grant: &Grant<'_>) -> &'static str {
    match grant.holder {
        Holder::Anyone(_) => "anyone",
        Holder::Everyone(_) => "any user",
        Holder::Group(_) => "a member of the group, which is kept outside the mailbox,",
        Holder::Owner | Holder::Login(_) => "the login",
    }
}

fn extent(grant: &Grant<'_>) -> String {
    match (grant.global, grant.folders) {
        (false, _) => String::new(),
        (true, 1) => "set for the whole server, not by the owner; seen on one folder".to_owned(),
        (true, folders) => format!("set for the whole server, not by the owner; seen on {folders} folders"),
    }
}

fn nameless(grant: &Grant<'_>) -> Beneficiary {
    Beneficiary { kind: BeneficiaryKind::Unresolvable, value: shown(&grant.holder.name()), person: None }
}

/// Rights taken away hide a grant from whoever reads the list, and come back when the entry is removed.
fn negative(grant: &Grant<'_>) -> Draft {
    let (mailbox, folder, name) = (&grant.seen.mailbox, shown(grant.folder), shown(&grant.holder.name()));
    let rights = shown(grant.rights);
    Draft {
        title: format!("Folder \"{folder}\" of {mailbox} takes the rights {rights} away from {name}."),
        severity: Severity::Info,
        effects: vec!["deny".to_owned()],
        path: vec![mailbox.clone(), format!("rights {rights} denied on folder \"{folder}\""), name],
        conditions: "masks other grants to the same login; whoever removes it brings them back".to_owned(),
        ..draft("acl.negative-right", grant)
    }
}

fn draft(check_id: &'static str, grant: &Grant<'_>) -> Draft {
    let sign = if grant.negative { "-" } else { "" };
    let name = grant.holder.name();
    let place = if grant.global { "(server-wide)" } else { grant.folder };
    Draft {
        check_id,
        title: String::new(),
        severity: Severity::Info,
        confidence: Confidence::High,
        state: State::Active,
        mailbox: grant.seen.mailbox.clone(),
        surface: grant.seen.surface.clone(),
        locator: Locator {
            folder: Some(grant.folder.to_owned()),
            key: Some(identifier_as_given(grant)),
            ..Locator::default()
        },
        identity: vec![place.to_owned(), format!("{sign}{}", name.to_lowercase())],
        content: vec![sorted(grant.rights).into_bytes()],
        effects: Vec::new(),
        beneficiary: nameless(grant),
        path: Vec::new(),
        conditions: String::new(),
        evidence: vec![grant.seen.evidence.clone()],
        remediation: remediation(grant),
    }
}

fn identifier_as_given(grant: &Grant<'_>) -> String {
    let Fact::AclEntry { identifier, .. } = &grant.seen.fact else { return grant.holder.name() };
    format!("{}{}", if identifier.negative { "-" } else { "" }, identifier.name)
}

/// RFC 4314 §2.1: the order of right letters means nothing.
fn sorted(rights: &str) -> String {
    let mut letters: Vec<char> = rights.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    letters.into_iter().collect()
}

fn remediation(grant: &Grant<'_>) -> Remediation {
    let Fact::AclEntry { identifier, .. } = &grant.seen.fact else { return Remediation::nothing() };
    if grant.global {
        let command =
            "take the entry out of the server's own access list (`doveconf -n | grep acl` names it)";
        return on_surface("imap.acl", command.to_owned(), "put the entry back".to_owned(), None);
    }
    let sign = if grant.negative { "-" } else { "" };
    let id = format!("{sign}{}", grant.holder.doveadm(identifier));
    let (mailbox, folder) = (&grant.seen.mailbox, grant.folder);
    acl_delete(mailbox, folder, &id, grant.rights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ids, judged, observed};

    fn entry(mailbox: &str, folder: &str, identifier: &str, rights: &str) -> Observation {
        let negative = identifier.starts_with('-');
        let name = identifier.trim_start_matches('-').to_owned();
        let (folder, rights) = (folder.to_owned(), rights.to_owned());
        observed(
            mailbox,
            "imap.acl",
            Fact::AclEntry { folder, identifier: AclIdentifier::new(name, negative), rights },
        )
    }

    #[test]
    fn every_kind_of_grant_has_its_check_and_severity() {
        for (mailbox, identifier, rights, expected) in [
            ("jane@example.test", "jane@example.test", "lrwstipekxacd", ""),
            ("jane@example.test", "Jane@Example.Test", "lr", ""),
            ("jane@example.test", "owner", "lrwa", ""),
            ("jane@example.test", "omar@example.test", "", ""),
            ("ops@example.test", "omar@example.test", "lrwa", ""),
            ("ops@example.test", "jane@example.test", "lr", ""),
            ("omar@example.test", "jane@example.test", "lr", "acl.grant-internal jane@example.test medium"),
            ("jane@example.test", "omar@example.test", "lr", "acl.grant-internal omar@example.test medium"),
            ("jane@example.test", "omar@example.test", "l", "acl.grant-internal omar@example.test low"),
            ("jane@example.test", "bob@example.test", "lr", "acl.grant-leaver bob@example.test high"),
            ("jane@example.test", "bob@example.test", "l", "acl.grant-leaver bob@example.test medium"),
            ("jane@example.test", "ghost@example.test", "lr", "acl.grant-unknown ghost@example.test medium"),
            ("jane@example.test", "ghost", "a", "acl.grant-unknown ghost medium"),
            ("jane@example.test", "anyone", "lr", "acl.grant-anyone anyone critical"),
            ("jane@example.test", "anonymous", "r", "acl.grant-anyone anonymous critical"),
            ("jane@example.test", "authenticated", "lr", "acl.grant-anyone authenticated high"),
            ("jane@example.test", "authenticated", "a", "acl.grant-anyone authenticated critical"),
            ("jane@example.test", "anyone", "lp", "acl.grant-anyone anyone low"),
            ("jane@example.test", "$sales", "lr", "acl.grant-group $sales medium"),
            ("jane@example.test", "-omar@example.test", "w", "acl.negative-right omar@example.test info"),
            ("jane@example.test", "#sweeper", "alr", "acl.grant-global sweeper low"),
            ("jane@example.test", "#anyone", "lr", "acl.grant-anyone anyone critical"),
            ("bob@example.test", "omar@example.test", "lr", "acl.grant-internal omar@example.test high"),
        ] {
            let found = ids(&judged(&[entry(mailbox, "INBOX", identifier, rights)], &[]));
            assert_eq!(found.join(","), expected, "{mailbox} {identifier} {rights}");
        }
    }

    #[test]
    fn a_grant_says_what_where_and_how_to_undo_it() {
        let seen = [entry("jane@example.test", "Old; mail", "bob@example.test", "rla")];
        let finding = judged(&seen, &[]).findings.remove(0);
        assert_eq!(
            finding.title,
            "Folder \"Old; mail\" of jane@example.test is open to bob@example.test (Bob Leaver, left \
             2026-01-31): administer, read, see."
        );
        assert_eq!(
            finding.remediation.command,
            "doveadm acl delete -u jane@example.test 'Old; mail' user=bob@example.test"
        );
        assert_eq!(finding.beneficiary.person.as_deref(), Some("Bob Leaver"));
        assert_eq!(finding.locator.folder.as_deref(), Some("Old; mail"));
    }

    #[test]
    fn order_of_letters_changes_nothing_and_another_right_changes_the_content() {
        let one = |rights| {
            let seen = [entry("jane@example.test", "INBOX", "bob@example.test", rights)];
            let finding = judged(&seen, &[]).findings.remove(0);
            (finding.fingerprint, finding.content_hash)
        };
        assert_eq!(one("lr"), one("rl"));
        assert_eq!(one("lr").0, one("lra").0);
        assert_ne!(one("lr").1, one("lra").1);
    }

    #[test]
    fn a_server_wide_entry_is_one_finding_for_each_mailbox() {
        let seen: Vec<_> =
            ["A", "B", "C"].map(|folder| entry("jane@example.test", folder, "#sweeper", "alr")).into();
        let report = judged(&seen, &[]);
        assert_eq!(report.findings.len(), 1);
        assert!(report.findings[0].conditions.ends_with("seen on 3 folders"));
    }
}
