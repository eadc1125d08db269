//! Postfix tables and parameters that send mail, or copies of it, somewhere else.

mod content;
pub(crate) mod entry;
mod ground;
mod queue;
pub(crate) mod result;
mod routes;
pub(crate) mod sending;
mod taps;

use mailwarden_address::Domain;

use crate::beneficiary::Standing;
use crate::brief::Brief;
use crate::draft::Draft;
use crate::severity::{Act, Destination, Life, Weight};
use crate::wording::{joined, shown};
use crate::{Beneficiary, BeneficiaryKind, Confidence, State};

pub(crate) use content::address_of;
use entry::{Entry, Use};
use ground::Ground;
use result::{Target, is_crowd, targets};

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    let ground = Ground::of(brief);
    let entries = brief.observations.iter().filter_map(Entry::of);
    let mut drafts: Vec<Draft> = entries.flat_map(|entry| judge_entry(&ground, &entry)).collect();
    drafts.extend(routes::shared_mailboxes(brief));
    drafts.extend(queue::check(brief));
    drafts
}

fn judge_entry(ground: &Ground<'_>, entry: &Entry<'_>) -> Vec<Draft> {
    let brief = ground.brief;
    match entry.purpose {
        Use::SendAs => sending::judge(brief, entry),
        Use::Forward | Use::CopyTo | Use::CopyFrom => judge_targets(ground, entry),
        Use::Rewrite | Use::RewriteSender => routes::rewrite(brief, entry).into_iter().collect(),
        Use::Route => routes::judge(ground, entry).into_iter().collect(),
        Use::Deliver => routes::program(entry).into_iter().collect(),
        Use::Deposit => Vec::new(),
        Use::Content => content::judge(ground, entry).into_iter().collect(),
        Use::Tap => taps::judge(ground, entry),
        Use::Relocated => routes::relocated(brief, entry),
        Use::Certificate => vec![taps::certificate(entry)],
        Use::Commands => vec![taps::commands(entry)],
    }
}

fn judge_targets(ground: &Ground<'_>, entry: &Entry<'_>) -> Vec<Draft> {
    let brief = ground.brief;
    let targets = targets(entry.result);
    let copy_stays = entry.purpose != Use::Forward
        || entry.is_listed()
        || targets.iter().any(|target| stays(brief, entry, target));
    let judged = targets.iter().filter_map(|target| judge_target(ground, entry, target, copy_stays));
    judged.chain(is_crowd(entry.result).then(|| crowd(entry))).collect()
}

/// More targets than anybody reads; one of those beyond may be anyone.
fn crowd(entry: &Entry<'_>) -> Draft {
    let weight = Weight::new(Act::NotUnderstood, Destination::Nobody);
    Draft {
        check_id: "postfix.alias-crowd",
        title: format!("{} goes to more targets than can be listed.", entry.subject()),
        severity: entry.severity(weight),
        ..entry.draft("redirect", "", "more targets than can be listed")
    }
}

/// Whether a target keeps mail inside.
fn stays(brief: &Brief<'_>, entry: &Entry<'_>, target: &Target) -> bool {
    match target {
        Target::Local(_) => true,
        Target::Address(address) => {
            brief.standing(&entry.mailbox, &spelled(address)).kind == BeneficiaryKind::Internal
        }
        Target::Command(_) | Target::File(_) | Target::Include(_) => false,
    }
}

fn judge_target(ground: &Ground<'_>, entry: &Entry<'_>, target: &Target, copy_stays: bool) -> Option<Draft> {
    let brief = ground.brief;
    match target {
        Target::Address(address) => judge_address(brief, entry, address, copy_stays),
        Target::Local(name) => (entry.name == "luser_relay").then(|| catch_all(entry, name)),
        Target::Command(command) => Some(refusable(entry, ground.commands, runs(brief, entry, command))),
        // Mail to the device that swallows everything is thrown away, which is not for a reader.
        Target::File(path) if path == "/dev/null" => None,
        Target::File(path) => Some(refusable(entry, ground.files, writes(brief, entry, path))),
        Target::Include(path) if ground.has_read(path) => None,
        Target::Include(path) => Some(includes(brief, entry, path)),
    }
}

/// Postfix refuses programs and files where `allow_mail_to_commands` and `allow_mail_to_files` do not name the kind
/// of place; one changed word lets them act.
fn refusable(entry: &Entry<'_>, allowed: Option<&str>, draft: Draft) -> Draft {
    let kind = entry.kind_of_local();
    let fallback = if kind == "include" { "" } else { kind };
    let allows = allowed.unwrap_or(fallback).split([',', ' ']).any(|word| word == kind);
    if allows || entry.table.is_none() {
        return draft;
    }
    let weight = Weight { life: Life::Asleep, ..Weight::new(Act::File, Destination::Nobody) };
    Draft {
        state: State::Dormant,
        severity: draft.severity.min(entry.severity(weight)),
        conditions: joined(&[
            draft.conditions.clone(),
            format!(
                "Postfix refuses it as long as allow_mail_to_commands and allow_mail_to_files do not say {kind}"
            ),
        ]),
        ..draft
    }
}

/// `@domain` as a target is every address of that domain.
fn spelled(address: &str) -> String {
    if address.starts_with('@') { format!("any{address}") } else { address.to_owned() }
}

/// Whatever is sent to a domain, whoever made the name up, reaches somebody. A domain that leads to another domain
/// only renames.
fn catches_all(entry: &Entry<'_>, address: &str) -> bool {
    let is_domain = entry.key.is_some_and(|key| key.starts_with('@')) || entry.name == "luser_relay";
    entry.purpose == Use::Forward && is_domain && !address.starts_with('@')
}

fn catch_all(entry: &Entry<'_>, target: &str) -> Draft {
    let weight = Weight::new(Act::Receive, Destination::InternalPerson);
    Draft {
        check_id: "postfix.catch-all",
        title: format!("{} reaches {}.", entry.subject(), shown(target)),
        severity: entry.severity(weight),
        beneficiary: Beneficiary { kind: BeneficiaryKind::Internal, value: shown(target), person: None },
        ..entry.draft("redirect", &target.to_lowercase(), &shown(target))
    }
}

fn judge_address(brief: &Brief<'_>, entry: &Entry<'_>, address: &str, copy_stays: bool) -> Option<Draft> {
    if entry.is_pattern() && address.contains('$') {
        return computed(brief, entry, address, copy_stays);
    }
    let standing = brief.standing(&entry.mailbox, &spelled(address));
    let is_inside = standing.kind == BeneficiaryKind::Internal && !standing.left;
    if is_inside && catches_all(entry, address) {
        return (!is_planned(brief, entry)).then(|| catch_all(entry, address));
    }
    let check_id = check_of(entry, &standing)?;
    let weight = Weight {
        leaver: standing.left || brief.owner_left(&entry.mailbox),
        stealth: !copy_stays || standing.is_private,
        ..Weight::new(Act::Receive, standing.destination())
    };
    let how = entry.purpose.participle();
    let (direction, named) = (standing.direction(), standing.named());
    Some(Draft {
        check_id,
        title: format!("{} is {how} {direction} {named}{}.", entry.subject(), copy_clause(entry, copy_stays)),
        severity: entry.severity(weight),
        beneficiary: standing.beneficiary(),
        ..entry.draft("redirect", &standing.key, &standing.value)
    })
}

/// A scope takes every address of its domain, as the policy says.
fn is_planned(brief: &Brief<'_>, entry: &Entry<'_>) -> bool {
    let domain = entry.key.and_then(|key| key.strip_prefix('@')).and_then(|name| Domain::parse(name).ok());
    domain.is_some_and(|domain| brief.policy.scope(&domain).is_some())
}

/// The check of an address, or none where it is ordinary routing inside.
fn check_of(entry: &Entry<'_>, standing: &Standing<'_>) -> Option<&'static str> {
    use BeneficiaryKind::Internal;
    match (entry.purpose, standing.kind) {
        _ if standing.is_mailbox(&entry.mailbox) => None,
        (Use::Forward, Internal) => standing.left.then_some("postfix.alias-leaver"),
        (Use::Forward, _) => Some("postfix.alias-external"),
        (_, Internal) => Some("postfix.bcc-internal"),
        (..) => Some("postfix.bcc-external"),
    }
}

fn copy_clause(entry: &Entry<'_>, copy_stays: bool) -> &'static str {
    match (entry.purpose, copy_stays) {
        (Use::Forward, true) => "; a copy stays",
        (Use::Forward, false) => "; no copy stays",
        _ => "",
    }
}

/// A pattern fills parts of the address in; where only the local part is filled in, the domain still stands.
fn computed(brief: &Brief<'_>, entry: &Entry<'_>, address: &str, copy_stays: bool) -> Option<Draft> {
    let domain = address.rsplit_once('@').map(|(_, domain)| domain).filter(|domain| !domain.contains('$'));
    if let Some(domain) = domain {
        let standing = brief.standing(&entry.mailbox, &format!("any@{domain}"));
        if standing.kind == BeneficiaryKind::Internal && entry.purpose == Use::Forward {
            return None;
        }
        let weight = Weight { stealth: !copy_stays, ..Weight::new(Act::Receive, standing.destination()) };
        return Some(filled_in(entry, address, weight, standing.kind, Confidence::High));
    }
    let weight = Weight::new(Act::Receive, Destination::Computed);
    Some(filled_in(entry, address, weight, BeneficiaryKind::Unresolvable, Confidence::Low))
}

fn filled_in(
    entry: &Entry<'_>,
    address: &str,
    weight: Weight,
    kind: BeneficiaryKind,
    confidence: Confidence,
) -> Draft {
    let check_id = match (entry.purpose, kind) {
        (Use::Forward, BeneficiaryKind::Unresolvable) => "postfix.alias-computed",
        (Use::Forward, _) => "postfix.alias-external",
        (_, BeneficiaryKind::Internal) => "postfix.bcc-internal",
        (_, BeneficiaryKind::Unresolvable) => "postfix.bcc-computed",
        (..) => "postfix.bcc-external",
    };
    let (subject, how) = (entry.subject(), entry.purpose.participle());
    Draft {
        check_id,
        title: format!("{subject} is {how} to an address filled in by the pattern: {}.", shown(address)),
        severity: entry.severity(weight),
        confidence,
        beneficiary: Beneficiary { kind, value: shown(address), person: None },
        ..entry.draft("redirect", &address.to_lowercase(), &shown(address))
    }
}

fn runs(brief: &Brief<'_>, entry: &Entry<'_>, command: &str) -> Draft {
    let weight =
        Weight { leaver: brief.owner_left(&entry.mailbox), ..Weight::new(Act::Run, Destination::Nobody) };
    let draft = entry.draft("run", command, &shown(command));
    Draft {
        check_id: "postfix.alias-command",
        title: format!("{} is handed to the program {}.", entry.subject(), shown(command)),
        severity: entry.severity(weight),
        confidence: entry.local_confidence(),
        beneficiary: Beneficiary { kind: BeneficiaryKind::Command, value: shown(command), person: None },
        conditions: joined(&[draft.conditions.clone(), entry.local_note().to_owned()]),
        ..draft
    }
}

fn writes(brief: &Brief<'_>, entry: &Entry<'_>, path: &str) -> Draft {
    Draft {
        check_id: "postfix.alias-file",
        title: format!("{} is written to the file {}.", entry.subject(), shown(path)),
        effects: vec!["write".to_owned()],
        ..file(brief, entry, path)
    }
}

fn includes(brief: &Brief<'_>, entry: &Entry<'_>, path: &str) -> Draft {
    let draft = file(brief, entry, path);
    Draft {
        check_id: "postfix.alias-include",
        title: format!("{} goes to a list in {}, which was not looked at.", entry.subject(), shown(path)),
        confidence: Confidence::Low,
        effects: vec!["redirect".to_owned()],
        beneficiary: Beneficiary { kind: BeneficiaryKind::Unresolvable, value: shown(path), person: None },
        conditions: joined(&[
            draft.conditions.clone(),
            "the file can hold any address or program".to_owned(),
        ]),
        ..draft
    }
}

fn file(brief: &Brief<'_>, entry: &Entry<'_>, path: &str) -> Draft {
    let weight =
        Weight { leaver: brief.owner_left(&entry.mailbox), ..Weight::new(Act::File, Destination::Nobody) };
    Draft {
        severity: entry.severity(weight),
        confidence: entry.local_confidence(),
        beneficiary: Beneficiary { kind: BeneficiaryKind::Command, value: shown(path), person: None },
        ..entry.draft("write", path, &shown(path))
    }
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::{Fact, Observation, SYSTEM};

    use crate::testing::{ids, judged, observed};

    fn row(parameter: &str, table: &str, key: &str, result: &str) -> Observation {
        let [parameter, table, key, result] = [parameter, table, key, result].map(str::to_owned);
        let surface = match parameter.as_str() {
            "alias_maps" => "postfix.alias_maps",
            "virtual_alias_maps" => "postfix.virtual_alias_maps",
            _ => "postfix.bcc_maps",
        };
        observed(
            SYSTEM,
            surface,
            Fact::MapEntry { parameter, table, key, result, line: Some(3), pending: false },
        )
    }

    fn alias(key: &str, result: &str) -> Observation {
        row("alias_maps", "hash:/etc/aliases", key, result)
    }

    fn virtual_alias(key: &str, result: &str) -> Observation {
        row("virtual_alias_maps", "hash:/etc/postfix/virtual", key, result)
    }

    fn found(seen: Observation) -> String {
        ids(&judged(&[seen], &[])).join(", ")
    }

    #[test]
    fn every_kind_of_result_has_its_check_and_severity() {
        for (seen, expected) in [
            (virtual_alias("sales@example.test", "jane@example.test, omar@example.test"), ""),
            (virtual_alias("sales@example.test", "sales@example.test"), ""),
            (virtual_alias("example.test", "anything"), ""),
            (
                virtual_alias("sales@example.test", "jane@example.test, x@evil.example"),
                "postfix.alias-external x@evil.example high",
            ),
            (
                virtual_alias("sales@example.test", "bob@gmail.example"),
                "postfix.alias-external bob@gmail.example critical",
            ),
            (
                virtual_alias("bob@example.test", "x@evil.example"),
                "postfix.alias-external x@evil.example critical",
            ),
            (
                virtual_alias("sales@example.test", "x@archive.example"),
                "postfix.alias-external x@archive.example info",
            ),
            (
                virtual_alias("sales@example.test", "bob@example.test"),
                "postfix.alias-leaver bob@example.test medium",
            ),
            (virtual_alias("@example.test", "x@evil.example"), "postfix.alias-external x@evil.example high"),
            (
                virtual_alias("@example.test", "sales@example.test"),
                "postfix.catch-all sales@example.test low",
            ),
            (virtual_alias("@saas.example.test", "sales@example.test"), ""),
            (virtual_alias("@old.example", "@example.test"), ""),
            (virtual_alias("@example.test", "@evil.example"), "postfix.alias-external any@evil.example high"),
            (alias("nobody", "/dev/null"), ""),
            (
                alias("sales", "\"|/usr/bin/tee /tmp/x, y\""),
                "postfix.alias-command /usr/bin/tee /tmp/x, y high",
            ),
            (alias("sales", "|/bin/cat"), "postfix.alias-command /bin/cat high"),
            (alias("sales", "/var/mail/archive"), "postfix.alias-file /var/mail/archive medium"),
            (alias("sales", ":include:/etc/lists/x"), "postfix.alias-include /etc/lists/x medium"),
            (alias("sales", "\\alice, bob"), ""),
            (alias("sales", "\"John Doe\"@example.test"), ""),
            (alias("root", "x@archive.example"), "postfix.alias-external x@archive.example info"),
            (alias("@", "x@evil.example"), ""),
            (alias("yp_last_modified:", "0123"), ""),
            (
                row("recipient_bcc_maps", "hash:/b", "jane@example.test", "x@evil.example"),
                "postfix.bcc-external x@evil.example high",
            ),
            (
                row("sender_bcc_maps", "hash:/b", "@example.test", "ops@example.test"),
                "postfix.bcc-internal ops@example.test info",
            ),
            (
                row("recipient_bcc_maps", "hash:/b", "sales@example.test", "omar@example.test"),
                "postfix.bcc-internal omar@example.test low",
            ),
            (
                row("virtual_alias_maps", "pcre:/p", "/^(.*)@old\\.test$/", "$1@evil.example"),
                "postfix.alias-external $1@evil.example high",
            ),
            (row("virtual_alias_maps", "pcre:/p", "/^(.*)@old\\.test$/", "$1@example.test"), ""),
            (
                row("virtual_alias_maps", "regexp:/p", "/^(.*)-(.*)$/", "$1@$2"),
                "postfix.alias-computed $1@$2 high",
            ),
        ] {
            let label = format!("{:?}", seen.fact);
            assert_eq!(found(seen), expected, "{label}");
        }
    }

    #[test]
    fn a_parameter_is_judged_like_a_table() {
        let parameter = |value: &str| {
            let (name, value) = ("always_bcc".to_owned(), value.to_owned());
            found(observed(SYSTEM, "postfix.bcc_maps", Fact::Parameter { name, value }))
        };
        assert_eq!(parameter("x@evil.example"), "postfix.bcc-external x@evil.example high");
        assert_eq!(parameter("x@archive.example"), "postfix.bcc-external x@archive.example info");
        assert_eq!(parameter(""), "");
        assert_eq!(parameter("archive"), "");
    }

    #[test]
    fn an_override_of_one_service_is_judged_as_its_parameter() {
        let (name, value) = ("127.0.0.1:25/inet:always_bcc".to_owned(), "x@evil.example".to_owned());
        let seen = observed(SYSTEM, "postfix.bcc_maps", Fact::Parameter { name, value });
        let finding = judged(&[seen], &[]).findings.remove(0);
        assert_eq!(finding.title, "All mail is silently copied outside to x@evil.example.");
        assert!(finding.conditions.contains("the service 127.0.0.1:25/inet"), "{}", finding.conditions);
        assert_eq!(
            finding.remediation.command,
            "postconf -P 127.0.0.1:25/inet/always_bcc= && postfix reload"
        );
        assert_eq!(
            found(row("smtp/inet:alias_maps", "hash:/etc/aliases", "sales", "|/bin/cat")),
            "postfix.alias-command /bin/cat high"
        );
        assert_eq!(
            found(row("recipient_bcc_maps", "proxy:pcre:/p", "/(.*)/", "$1@evil.example")),
            "postfix.bcc-external $1@evil.example high"
        );
    }

    #[test]
    fn an_alias_says_what_where_and_how_to_undo_it() {
        let finding =
            judged(&[virtual_alias("Sales@example.test", "bob@gmail.example")], &[]).findings.remove(0);
        assert_eq!(
            finding.title,
            "Mail to Sales@example.test is forwarded outside to bob@gmail.example (Bob Leaver, left \
             2026-01-31); no copy stays."
        );
        assert_eq!(finding.mailbox, "sales@example.test");
        assert_eq!(finding.locator.file.as_deref(), Some("hash:/etc/postfix/virtual"));
        assert_eq!(finding.locator.line, Some(3));
        assert_eq!(finding.path, ["sales@example.test", "virtual alias", "bob@gmail.example"]);
        assert_eq!(
            finding.remediation.command,
            "take bob@gmail.example out of the entry Sales@example.test in hash:/etc/postfix/virtual line 3, \
             then run `postmap hash:/etc/postfix/virtual`"
        );
    }
}
