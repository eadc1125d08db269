//! header_checks(5) and access(5): actions that copy, divert, hide or dress up chosen messages.

use mailwarden_address::Address;

use super::entry::Entry;
use super::ground::{Ground, Place};
use crate::draft::Draft;
use crate::severity::{Act, Destination, Weight};
use crate::suspicion::names_alarms;
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence};

/// Header fields that lead answers or notices elsewhere.
const LEADING: [&str; 7] =
    ["from", "reply-to", "bcc", "disposition-notification-to", "return-receipt-to", "errors-to", "sender"];

/// What an action does that is more than refusing, warning or letting pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action<'r> {
    Copy(&'r str),
    Redirect(&'r str),
    Filter(&'r str),
    Discard,
    /// A header field that is put in or over another.
    Field(&'r str),
}

fn action(result: &str) -> Option<Action<'_>> {
    let (word, rest) = result.trim().split_once([' ', '\t']).unwrap_or((result.trim(), ""));
    let rest = rest.trim();
    match word.to_ascii_uppercase().as_str() {
        "BCC" => Some(Action::Copy(rest)),
        "REDIRECT" => Some(Action::Redirect(rest)),
        "FILTER" => Some(Action::Filter(rest)),
        "DISCARD" => Some(Action::Discard),
        "PREPEND" | "REPLACE" => Some(Action::Field(rest)),
        _ => None,
    }
}

/// The address that an action sends messages to.
pub(crate) fn address_of(result: &str) -> Option<(&'static str, &str)> {
    match action(result)? {
        Action::Copy(address) => Some(("BCC", address)),
        Action::Redirect(address) => Some(("REDIRECT", address)),
        _ => None,
    }
}

pub(super) fn judge(ground: &Ground<'_>, entry: &Entry<'_>) -> Option<Draft> {
    match action(entry.result)? {
        Action::Copy(address) => Some(sends(ground, entry, address, "postfix.content-copy", true)),
        Action::Redirect(address) => Some(sends(ground, entry, address, "postfix.content-redirect", false)),
        Action::Filter(to) => filter(ground, entry, to),
        Action::Discard => Some(discard(entry)),
        Action::Field(field) => dresses_up(ground, entry, field),
    }
}

fn sends(
    ground: &Ground<'_>,
    entry: &Entry<'_>,
    address: &str,
    check_id: &'static str,
    copy_stays: bool,
) -> Draft {
    let standing = ground.brief.standing(&entry.mailbox, address);
    let stealth = !copy_stays || standing.is_private;
    let weight =
        Weight { leaver: standing.left, stealth, ..Weight::new(Act::Receive, standing.destination()) };
    let how = if copy_stays { "silently copied" } else { "sent, instead of to its recipients," };
    let (direction, named) = (standing.direction(), standing.named());
    Draft {
        check_id,
        title: format!("{} is {how} {direction} {named}.", entry.subject()),
        severity: entry.severity(weight),
        beneficiary: standing.beneficiary(),
        ..entry.draft("redirect", &standing.key, &standing.value)
    }
}

/// `FILTER transport:destination`.
fn filter(ground: &Ground<'_>, entry: &Entry<'_>, to: &str) -> Option<Draft> {
    let (transport, nexthop) = to.split_once(':').unwrap_or((to, ""));
    let (act, kind, value) = match (ground.program(transport), ground.place(nexthop)) {
        (Some(command), _) => (Act::Run, BeneficiaryKind::Command, shown(command)),
        (None, Place::Outside) => (Act::Receive, BeneficiaryKind::External, shown(nexthop)),
        (None, Place::Own) => return None,
    };
    let weight = Weight::new(act, Destination::Unknown);
    Some(Draft {
        check_id: "postfix.content-filter",
        title: format!("{} is handed to {value}.", entry.subject()),
        severity: entry.severity(weight),
        beneficiary: Beneficiary { kind, value: value.clone(), person: None },
        ..entry.draft("redirect", &to.to_lowercase(), &value)
    })
}

/// Throwing spam away is what such rules are for; it is said, and said more surely of mail that somebody should see.
fn discard(entry: &Entry<'_>) -> Draft {
    let is_alarm = entry.key.is_some_and(names_alarms);
    let weight = Weight { stealth: is_alarm, ..Weight::new(Act::Hide, Destination::Nobody) };
    Draft {
        check_id: "postfix.content-discard",
        title: format!("{} is thrown away without a word.", entry.subject()),
        severity: entry.severity(weight),
        confidence: if is_alarm { Confidence::Medium } else { Confidence::Low },
        ..entry.draft("hide", "discard", "nobody")
    }
}

fn dresses_up(ground: &Ground<'_>, entry: &Entry<'_>, field: &str) -> Option<Draft> {
    let (name, value) = field.split_once(':')?;
    if !LEADING.contains(&name.trim().to_ascii_lowercase().as_str()) {
        return None;
    }
    let address = value.trim().trim_start_matches('<').trim_end_matches('>');
    let standing = ground.brief.standing(&entry.mailbox, address);
    let is_inside =
        Address::parse(address).is_ok() && standing.kind == BeneficiaryKind::Internal && !standing.left;
    if is_inside {
        return None;
    }
    let weight = Weight { leaver: standing.left, ..Weight::new(Act::Answer, standing.destination()) };
    Some(Draft {
        check_id: "postfix.content-header",
        title: format!("{} gets the field {}.", entry.subject(), shown(field)),
        severity: entry.severity(weight),
        beneficiary: standing.beneficiary(),
        ..entry.draft("answer", &field.to_lowercase(), &standing.value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_actions_that_move_hide_or_dress_up_count() {
        assert_eq!(action("bcc a@b"), Some(Action::Copy("a@b")));
        assert_eq!(action("REDIRECT  a@b"), Some(Action::Redirect("a@b")));
        assert_eq!(action("FILTER smtp:[h]:1"), Some(Action::Filter("smtp:[h]:1")));
        assert_eq!(action("DISCARD spam"), Some(Action::Discard));
        for harmless in
            ["OK", "REJECT no", "550 5.7.1 no", "DUNNO", "WARN BCC x", "HOLD", "permit", "IGNORE", ""]
        {
            assert_eq!(action(harmless), None, "{harmless}");
        }
    }
}
