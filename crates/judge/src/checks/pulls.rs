//! Programs that keep copying mail.

use std::net::IpAddr;

use mailwarden_address::{Address, Domain};
use mailwarden_evidence::{Fact, Observation, SYSTEM};

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Act, Destination, Weight};
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, State};

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    brief.observations.iter().filter_map(|seen| job(brief, seen)).collect()
}

fn job(brief: &Brief<'_>, seen: &Observation) -> Option<Draft> {
    let Fact::PullJob { program, file, line, mailbox, server, destination } = &seen.fact else { return None };
    if seen.surface == "rspamd.exporters" {
        return export(brief, seen, program, (file, *line), destination);
    }
    let owner = brief.standing(SYSTEM, mailbox);
    let goes_to = brief.standing(SYSTEM, destination);
    let outside = Address::parse(destination).is_ok() && goes_to.kind == BeneficiaryKind::External;
    let leaver = owner.left || goes_to.left || brief.owner_left(mailbox);
    // Where copies go to an address outside they are mail to it; elsewhere it is a stored password that reads.
    let (act, to) =
        if outside { (Act::Receive, goes_to.destination()) } else { (Act::Read, Destination::Unknown) };
    let weight = Weight { leaver, ..Weight::new(act, to) };
    let whose =
        if mailbox.is_empty() { "mail".to_owned() } else { format!("the mail of {}", shown(mailbox)) };
    let from = if server.is_empty() { String::new() } else { format!(" from {}", shown(server)) };
    let into = if destination.is_empty() { String::new() } else { format!(" to {}", shown(destination)) };
    let program = shown(program);
    let value = if destination.is_empty() { format!("whoever runs {program}") } else { shown(destination) };
    let kind = if outside { BeneficiaryKind::External } else { BeneficiaryKind::Unresolvable };
    let place = shown(file);
    Some(Draft {
        check_id: "pull.job",
        title: format!("{program} keeps copying {whose}{from}{into}."),
        severity: weight.severity(),
        confidence: if mailbox.is_empty() { Confidence::Medium } else { Confidence::High },
        state: State::Active,
        mailbox: Address::parse(mailbox).map_or_else(|_| SYSTEM.to_owned(), |address| address.key()),
        surface: seen.surface.clone(),
        locator: Locator { file: Some(file.clone()), line: Some(*line), ..Locator::default() },
        identity: [file, &program, &mailbox.to_lowercase(), server, destination]
            .map(ToString::to_string)
            .to_vec(),
        content: vec![
            mailbox.as_bytes().to_vec(),
            server.as_bytes().to_vec(),
            destination.as_bytes().to_vec(),
        ],
        effects: vec!["read".to_owned()],
        path: vec![whose, format!("{place} line {line}"), value.clone()],
        beneficiary: Beneficiary { kind, value, person: goes_to.person.map(|person| person.name.clone()) },
        conditions: "whenever the job runs".to_owned(),
        evidence: vec![seen.evidence.clone()],
        remediation: on_surface(
            &seen.surface,
            format!("take the job out of {place} line {line}, then change the password that it holds"),
            format!("put the line back into {place}"),
            None,
        ),
    })
}

/// Messages, or what is known of them, that Rspamd hands to another host or address. Its own host is no other.
fn export(
    brief: &Brief<'_>,
    seen: &Observation,
    program: &str,
    (file, line): (&str, u32),
    destination: &str,
) -> Option<Draft> {
    let standing = Address::parse(destination).ok().map(|_| brief.standing(SYSTEM, destination));
    let (leaver, to, kind) = match &standing {
        Some(to) if to.kind == BeneficiaryKind::Internal && !to.left => return None,
        Some(to) => (to.left, to.destination(), to.kind),
        None if is_own_host(brief, destination) => return None,
        None => (false, Destination::External, BeneficiaryKind::External),
    };
    let weight = Weight { leaver, ..Weight::new(Act::Receive, to) };
    let (place, value) = (shown(file), shown(destination));
    Some(Draft {
        check_id: "rspamd.exporter",
        title: format!("{} sends every message that it takes to {value}.", shown(program)),
        severity: weight.severity(),
        confidence: Confidence::High,
        state: State::Active,
        mailbox: SYSTEM.to_owned(),
        surface: seen.surface.clone(),
        locator: Locator { file: Some(file.to_owned()), line: Some(line), ..Locator::default() },
        identity: [file, program, &destination.to_lowercase()].map(str::to_owned).to_vec(),
        content: vec![destination.as_bytes().to_vec()],
        effects: vec!["redirect".to_owned()],
        path: vec!["every message".to_owned(), format!("{place} line {line}"), value.clone()],
        beneficiary: Beneficiary {
            kind,
            value,
            person: standing.and_then(|to| to.person.map(|person| person.name.clone())),
        },
        conditions: "as the rule's selector says; without one on every message".to_owned(),
        evidence: vec![seen.evidence.clone()],
        remediation: on_surface(
            &seen.surface,
            format!("take the rule at line {line} out of {place}, then `systemctl reload rspamd`"),
            format!("put the rule back into {place}"),
            None,
        ),
    })
}

/// Loopback, a private network, or a name under a domain of ours.
fn is_own_host(brief: &Brief<'_>, destination: &str) -> bool {
    let rest = destination.split_once("://").map_or(destination, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let bare = authority.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let host = bare.unwrap_or_else(|| authority.split(':').next().unwrap_or_default());
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) if host == "localhost" || host.is_empty() => true,
        Err(_) => Domain::parse(host).is_ok_and(|domain| brief.policy.is_under_ours(&domain)),
    }
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::{Fact, SYSTEM};

    use crate::testing::{ids, judged, observed};

    #[test]
    fn a_job_is_weighed_by_where_copies_go_and_whose_they_are() {
        for (mailbox, destination, expected) in [
            ("jane@example.test", "", "pull.job whoever runs imapsync medium"),
            ("jane@example.test", "imap.evil.example", "pull.job imap.evil.example medium"),
            ("jane@example.test", "eve@evil.example", "pull.job eve@evil.example high"),
            ("bob@example.test", "", "pull.job whoever runs imapsync high"),
            ("jane@example.test", "bob@gmail.example", "pull.job bob@gmail.example critical"),
        ] {
            let fact = Fact::PullJob {
                program: "imapsync".to_owned(),
                file: "/etc/cron.d/x".to_owned(),
                line: 3,
                mailbox: mailbox.to_owned(),
                server: String::new(),
                destination: destination.to_owned(),
            };
            let report = judged(&[observed(SYSTEM, "pull.jobs", fact)], &[]);
            assert_eq!(ids(&report), [expected]);
            assert_eq!(report.findings[0].locator.line, Some(3));
        }
    }

    #[test]
    fn what_rspamd_hands_on_is_found_unless_it_stays_here() {
        for (destination, expected) in [
            ("http://127.0.0.1:8080/in", ""),
            ("http://[::1]/in", ""),
            ("https://hook.example.test/in", ""),
            ("localhost", ""),
            ("jane@example.test", ""),
            ("bob@example.test", "rspamd.exporter bob@example.test medium"),
            ("https://hook.evil.example/in", "rspamd.exporter https://hook.evil.example/in high"),
            ("eve@evil.example", "rspamd.exporter eve@evil.example high"),
        ] {
            let fact = Fact::PullJob {
                program: "Rspamd's exporter SPY".to_owned(),
                file: "/etc/rspamd/local.d/metadata_exporter.conf".to_owned(),
                line: 3,
                mailbox: String::new(),
                server: String::new(),
                destination: destination.to_owned(),
            };
            let found = ids(&judged(&[observed(SYSTEM, "rspamd.exporters", fact)], &[]));
            assert_eq!(found.join(", "), expected, "{destination}");
        }
    }
}
