//! Who is on a mailing list.

use mailwarden_address::Address;
use mailwarden_evidence::{Fact, ListMember, ListRole, Observation};

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Act, Weight};
use crate::shell::word;
use crate::wording::shown;
use crate::{BeneficiaryKind, Confidence, Locator, State};

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    brief.observations.iter().filter_map(|seen| member(brief, seen)).collect()
}

/// Where a membership stands, for findings and for the graph that gives them their path.
pub(crate) fn locator(member: &ListMember) -> Locator {
    Locator {
        file: Some(member.list.clone()),
        key: Some(format!("{} {}", member.role.word(), member.address)),
        ..Locator::default()
    }
}

/// Outsiders on a list are usual where nobody said what the list is for. Whoever administers it never is, and neither
/// is an address that one of our people keeps outside.
fn member(brief: &Brief<'_>, seen: &Observation) -> Option<Draft> {
    let Fact::ListMember(member) = &seen.fact else { return None };
    let standing = brief.standing(&member.list, &member.address);
    let is_outside = standing.kind == BeneficiaryKind::External;
    let is_watched = member.role != ListRole::Member || standing.is_private || is_named(brief, member);
    let check_id = match (standing.left, is_outside && is_watched) {
        (true, _) => "list.member-leaver",
        (_, true) => "list.member-outside",
        _ => return None,
    };
    let act = if member.role == ListRole::Member { Act::Receive } else { Act::Administer };
    let weight = Weight { leaver: standing.left, ..Weight::new(act, standing.destination()) };
    let (list, role) = (shown(&member.list), member.role.word());
    let (command, revert) = remedy(member);
    Some(Draft {
        check_id,
        title: format!("{} is {role} of the mailing list {list}.", standing.named()),
        severity: weight.severity(),
        confidence: Confidence::High,
        state: State::Active,
        mailbox: Address::parse(&member.list).map_or_else(|_| member.list.clone(), |list| list.key()),
        surface: seen.surface.clone(),
        locator: locator(member),
        identity: vec![member.list.to_lowercase(), role.to_owned(), standing.key.clone()],
        content: vec![standing.key.clone().into_bytes()],
        effects: vec![if member.role == ListRole::Member { "redirect" } else { "administer" }.to_owned()],
        path: vec![list, role.to_owned(), standing.value.clone()],
        beneficiary: standing.beneficiary(),
        conditions: format!("whenever somebody writes to the list ({})", shown(&member.delivery)),
        evidence: vec![seen.evidence.clone()],
        remediation: on_surface(&seen.surface, command, revert, None),
    })
}

/// Whether the policy says who a list is for, and not that this one is among them.
fn is_named(brief: &Brief<'_>, member: &ListMember) -> bool {
    let Ok(list) = Address::parse(&member.list) else { return false };
    let Some(record) = brief.policy.mailbox(&list) else { return false };
    let may = Address::parse(&member.address).is_ok_and(|address| record.authorised_users.contains(&address));
    !may
}

/// Mailman's own commands; its command line takes members only off a list.
fn remedy(member: &ListMember) -> (String, String) {
    let (list, address, role) = (&member.list, &member.address, member.role.word());
    let interface = member.interface.trim_end_matches('/');
    let back = |list_id: &str| {
        format!(
            "curl --netrc --data {} --data {} --data role={role} --data pre_verified=true --data pre_confirmed=true \
             --data pre_approved=true {}",
            word(&format!("list_id={list_id}")),
            word(&format!("subscriber={address}")),
            word(&format!("{interface}/members"))
        )
    };
    let command = match member.role {
        ListRole::Member => format!("mailman delmembers -l {} -m {}", word(list), word(address)),
        ListRole::Owner | ListRole::Moderator => {
            format!(
                "curl --netrc --request DELETE {}",
                word(&format!("{interface}/lists/{list}/{role}/{address}"))
            )
        }
    };
    (command, back(&list.replacen('@', ".", 1)))
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::SYSTEM;

    use super::*;
    use crate::testing::{ids, judged, observed};

    pub(super) fn on_list(list: &str, role: ListRole, address: &str) -> Observation {
        let fact = Fact::ListMember(Box::new(ListMember {
            list: list.to_owned(),
            address: address.to_owned(),
            role,
            delivery: "regular".to_owned(),
            interface: "http://localhost:8001/3.1/".to_owned(),
        }));
        observed(SYSTEM, "lists.members", fact)
    }

    #[test]
    fn leavers_administrators_from_outside_and_private_addresses_are_found_and_usual_members_are_not() {
        use ListRole::{Member, Moderator, Owner};
        for (list, role, address, expected) in [
            ("team@example.test", Member, "jane@example.test", ""),
            ("team@example.test", Member, "eve@evil.example", ""),
            ("team@example.test", Member, "x@archive.example", ""),
            ("team@example.test", Member, "bob@example.test", "list.member-leaver bob@example.test medium"),
            (
                "team@example.test",
                Member,
                "bob@gmail.example",
                "list.member-leaver bob@gmail.example critical",
            ),
            ("team@example.test", Owner, "bob@example.test", "list.member-leaver bob@example.test high"),
            ("team@example.test", Owner, "jane@example.test", ""),
            (
                "team@example.test",
                Moderator,
                "eve@evil.example",
                "list.member-outside eve@evil.example medium",
            ),
            ("sales@example.test", Member, "eve@evil.example", "list.member-outside eve@evil.example high"),
            ("sales@example.test", Member, "jane@example.test", ""),
        ] {
            let found = ids(&judged(&[on_list(list, role, address)], &[])).join(", ");
            assert_eq!(found, expected, "{address} {role:?} of {list}");
        }
    }

    #[test]
    fn the_remedy_is_a_command_that_nobody_can_bend() {
        let report = judged(&[on_list("team@example.test", ListRole::Member, "bob@gmail.example")], &[]);
        let remedy = &report.findings[0].remediation;
        assert_eq!(remedy.command, "mailman delmembers -l team@example.test -m bob@gmail.example");
        assert!(remedy.revert.contains("list_id=team.example.test") && remedy.revert.contains("role=member"));
        let bent = "bob@gmail.example; rm -rf /";
        let report = judged(&[on_list("team@example.test", ListRole::Owner, bent)], &[]);
        let command = &report.findings[0].remediation.command;
        assert!(
            command.starts_with("curl --netrc --request DELETE '") && command.ends_with("; rm -rf /'"),
            "{command}"
        );
        assert_eq!(report.findings[0].path.first().map(String::as_str), Some("team-owner@example.test"));
    }
}
