//! Rows of panels' and webmails' databases: who gains by each, and what a panel kept of somebody it deleted.

use std::collections::{BTreeMap, BTreeSet};

use mailwarden_address::Address;
use mailwarden_evidence::{Fact, Observation, PanelMeaning, SYSTEM};

use super::acl::is_authorised;
use crate::beneficiary::Standing;
use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Act, Destination, Life, Weight};
use crate::wording::shown;
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, State};

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    let accounts = Accounts::of(brief);
    let rows = brief.observations.iter().filter_map(Row::of);
    rows.flat_map(|row| judge(brief, &accounts, &row)).collect()
}

/// Longest statement that is printed, in bytes: no collected one is as long.
const MAX_STATEMENT: usize = 32 * 1_024;

/// One row, and how findings speak of it.
struct Row<'a> {
    seen: &'a Observation,
    panel: &'a str,
    query: &'a str,
    means: PanelMeaning,
    owner: &'a str,
    target: &'a str,
    label: &'a str,
    active: bool,
    key: &'a str,
    by_hand: &'a str,
}

impl<'a> Row<'a> {
    fn of(seen: &'a Observation) -> Option<Self> {
        let Fact::PanelRow { panel, query, means, owner, target, label, active, key, by_hand } = &seen.fact
        else {
            return None;
        };
        Some(Self { seen, panel, query, means: *means, owner, target, label, active: *active, key, by_hand })
    }

    /// The owner where that is an address, else the mail system.
    fn mailbox(&self) -> String {
        Address::parse(self.owner).map_or_else(|_| SYSTEM.to_owned(), |address| address.key())
    }

    fn owner_shown(&self) -> String {
        match self.owner.strip_prefix('@') {
            Some(domain) => format!("every address of {}", shown(domain)),
            None if self.owner.is_empty() => "the whole system".to_owned(),
            None => shown(self.owner),
        }
    }

    /// What the panel calls it, in brackets.
    fn label_shown(&self) -> String {
        if self.label.is_empty() { String::new() } else { format!(" \"{}\"", shown(self.label)) }
    }

    fn weight(&self, act: Act, destination: Destination, leaver: bool) -> Weight {
        let life = if self.active { Life::Acting } else { Life::Asleep };
        Weight { life, leaver, ..Weight::new(act, destination) }
    }

    fn draft(
        &self,
        check_id: &'static str,
        title: String,
        weight: Weight,
        gains: Beneficiary,
        key: &str,
    ) -> Draft {
        let place = format!("{}: {}", self.panel, self.query);
        let row = format!("the row {} of {} in the database of {}", shown(self.key), self.query, self.panel);
        Draft {
            check_id,
            title,
            severity: weight.severity(),
            confidence: Confidence::High,
            state: if self.active { State::Active } else { State::Dormant },
            mailbox: self.mailbox(),
            surface: self.seen.surface.clone(),
            locator: Locator {
                file: Some(place.clone()),
                key: Some(self.key.to_owned()),
                ..Locator::default()
            },
            identity: [self.panel, self.query, &self.owner.to_lowercase(), self.key, key]
                .map(str::to_owned)
                .to_vec(),
            content: vec![self.target.as_bytes().to_vec(), vec![u8::from(self.active)]],
            effects: vec![effect(self.means).to_owned()],
            path: vec![self.owner_shown(), place, gains.value.clone()],
            beneficiary: gains,
            conditions: if self.active {
                String::new()
            } else {
                "switched off in the panel; one click turns it on".to_owned()
            },
            evidence: vec![self.seen.evidence.clone()],
            remediation: on_surface(
                &self.seen.surface,
                self.command(&row),
                format!("put {row} back as it is in the evidence"),
                None,
            ),
        }
    }

    /// The panel's own page knows best what else hangs on a row. A statement stands here whole or not at all: a part of
    /// one changes other rows. What was collected is plain; evidence that somebody else wrote may hold anything.
    fn command(&self, row: &str) -> String {
        let is_plain = |letter: char| letter.is_alphanumeric() || letter.is_ascii_graphic() || letter == ' ';
        match self.by_hand {
            odd if odd.is_empty() || odd.len() > MAX_STATEMENT || !odd.chars().all(is_plain) => {
                format!("change or delete {row}, in the panel where it has a page for it")
            }
            statement => format!(
                "change or delete {row}, in the panel where it has a page for it, or type into its database: \
                 {statement}"
            ),
        }
    }
}

fn effect(means: PanelMeaning) -> &'static str {
    use PanelMeaning::{
        Account, Admin, ApiKey, AppPassword, Recovery, SecondFactor, SendAs, Service, Session, Share,
    };
    match means {
        Account | Service | AppPassword | SecondFactor | Recovery | Session | Share => "read",
        Admin | ApiKey => "administer",
        SendAs => "send",
        _ => "redirect",
    }
}

/// The accounts that each panel still has; only one that was asked for them can tell what it forgot.
struct Accounts<'a> {
    of: BTreeMap<&'a str, BTreeSet<String>>,
    switched: BTreeSet<(&'a str, String)>,
}

impl<'a> Accounts<'a> {
    fn of(brief: &'a Brief<'a>) -> Self {
        let mut of: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let mut switched = BTreeSet::new();
        for row in brief.observations.iter().filter_map(Row::of) {
            let owner = row.owner.to_lowercase();
            match row.means {
                PanelMeaning::Account => {
                    of.entry(row.panel).or_default().insert(owner);
                }
                PanelMeaning::Service => {
                    switched.insert((row.panel, owner));
                }
                _ => {}
            }
        }
        Self { of, switched }
    }

    fn has_switches(&self, row: &Row<'_>) -> bool {
        self.switched.contains(&(row.panel, row.owner.to_lowercase()))
    }

    fn has_forgotten(&self, row: &Row<'_>) -> bool {
        use PanelMeaning::{AppPassword, Pull, Push, Recovery, SecondFactor, Session};
        let is_of_account =
            matches!(row.means, AppPassword | SecondFactor | Recovery | Session | Pull | Push);
        let known = self.of.get(row.panel);
        is_of_account
            && Address::parse(row.owner).is_ok()
            && known.is_some_and(|known| !known.contains(&row.owner.to_lowercase()))
    }
}

fn judge(brief: &Brief<'_>, accounts: &Accounts<'_>, row: &Row<'_>) -> Option<Draft> {
    if accounts.has_forgotten(row) {
        return Some(residue(brief, row));
    }
    match row.means {
        PanelMeaning::Filter => None,
        // Where each service has a switch of its own, those say what is open.
        PanelMeaning::Account if accounts.has_switches(row) => None,
        PanelMeaning::Account | PanelMeaning::Service => account(brief, row),
        PanelMeaning::Answer => answer(brief, row),
        PanelMeaning::Forward => forward(brief, row),
        PanelMeaning::CopyTo | PanelMeaning::CopyFrom => copy(brief, row),
        PanelMeaning::ReplyTo => reply_to(brief, row),
        PanelMeaning::AppPassword | PanelMeaning::SecondFactor => credential(brief, row),
        PanelMeaning::Session => session(brief, row),
        PanelMeaning::ApiKey => Some(api_key(row)),
        PanelMeaning::Recovery => recovery(brief, row),
        PanelMeaning::Pull | PanelMeaning::External => Some(pull(brief, row)),
        PanelMeaning::Push => push(brief, row),
        PanelMeaning::Admin => admin(brief, row),
        PanelMeaning::SendAs => send_as(brief, row),
        PanelMeaning::Share => share(brief, row),
    }
}

/// Whether the owner of a row has left.
fn owner_left(brief: &Brief<'_>, row: &Row<'_>) -> bool {
    brief.standing(SYSTEM, row.owner).left || brief.owner_left(row.owner)
}

fn nobody(value: String) -> Beneficiary {
    Beneficiary { kind: BeneficiaryKind::Unresolvable, value, person: None }
}

fn residue(brief: &Brief<'_>, row: &Row<'_>) -> Draft {
    let what = match row.means {
        PanelMeaning::AppPassword => "An app password",
        PanelMeaning::SecondFactor => "A second factor",
        PanelMeaning::Recovery => "A recovery address",
        PanelMeaning::Session => "A session",
        _ => "A job",
    };
    let (name, label) = (shown(row.owner), row.label_shown());
    let title = format!("{what}{label} is kept for {name}, an account that {} no longer has.", row.panel);
    let weight = row.weight(Act::Read, Destination::Unknown, owner_left(brief, row));
    row.draft("panel.residue", title, weight, nobody(name), "")
}

// --- mail -----------------------------------------------------------------------------------------------------------

/// `@domain` as a target is every address of that domain; a name alone is the server's own.
fn standing<'b>(brief: &Brief<'b>, row: &Row<'_>, target: &str) -> Option<Standing<'b>> {
    let spelled = if target.starts_with('@') { format!("any{target}") } else { target.to_owned() };
    spelled.contains('@').then(|| brief.standing(&row.mailbox(), &spelled))
}

fn forward(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let standing = standing(brief, row, row.target)?;
    let check_id = match standing.kind {
        _ if standing.is_mailbox(row.owner) => return None,
        BeneficiaryKind::Internal if standing.left => "panel.mail-leaver",
        BeneficiaryKind::Internal => return None,
        _ => "panel.mail-outside",
    };
    let leaver = standing.left || owner_left(brief, row);
    let weight =
        Weight { stealth: standing.is_private, ..row.weight(Act::Receive, standing.destination(), leaver) };
    let (direction, named) = (standing.direction(), standing.named());
    let title = format!(
        "Mail to {} is forwarded {direction} {named} by {}{}.",
        row.owner_shown(),
        row.panel,
        row.label_shown()
    );
    Some(row.draft(check_id, title, weight, standing.beneficiary(), &standing.key))
}

fn copy(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let standing = standing(brief, row, row.target)?;
    if standing.is_mailbox(row.owner) {
        return None;
    }
    let inside = standing.kind == BeneficiaryKind::Internal;
    let check_id = if inside { "panel.copy-inside" } else { "panel.copy-outside" };
    let leaver = standing.left || owner_left(brief, row);
    let weight =
        Weight { stealth: standing.is_private, ..row.weight(Act::Receive, standing.destination(), leaver) };
    let way = if row.means == PanelMeaning::CopyTo { "to" } else { "from" };
    let (direction, named, label) = (standing.direction(), standing.named(), row.label_shown());
    let title = format!(
        "Mail {way} {}{label} is silently copied {direction} {named} by {}.",
        row.owner_shown(),
        row.panel
    );
    Some(row.draft(check_id, title, weight, standing.beneficiary(), &standing.key))
}

fn reply_to(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let standing = standing(brief, row, row.target)?;
    if standing.kind == BeneficiaryKind::Internal && !standing.left {
        return None;
    }
    let leaver = standing.left || owner_left(brief, row);
    let weight = row.weight(Act::Answer, standing.destination(), leaver);
    let title = format!("Answers to mail from {} go to {}.", row.owner_shown(), standing.named());
    Some(row.draft("panel.reply-outside", title, weight, standing.beneficiary(), &standing.key))
}

/// Whose automatic answers speak for an address outside, or are given in the name of somebody who has left.
fn answer(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let standing = standing(brief, row, row.target)?;
    let left = standing.left || owner_left(brief, row);
    if standing.kind == BeneficiaryKind::Internal && !(left && row.active) {
        return None;
    }
    let weight = row.weight(Act::Answer, standing.destination(), left);
    let title = format!(
        "Automatic answers from {}, kept by {}, speak for {}.",
        row.owner_shown(),
        row.panel,
        standing.named()
    );
    Some(row.draft("panel.answer", title, weight, standing.beneficiary(), &standing.key))
}

// --- credentials ----------------------------------------------------------------------------------------------------

/// A row of the panel's own accounts that still lets a leaver in. That a webmail remembers who used it opens nothing.
fn account(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    if !row.active || row.seen.surface != "panel.credentials" || !owner_left(brief, row) {
        return None;
    }
    let by = if row.target.is_empty() { String::new() } else { format!(" for {}", shown(row.target)) };
    let standing = brief.standing(SYSTEM, row.owner);
    let title = format!("{} has left and is still active{by} in {}.", standing.named(), row.panel);
    let weight = row.weight(Act::Read, Destination::InternalPerson, true);
    Some(row.draft("panel.account-leaver", title, weight, standing.beneficiary(), row.target))
}

/// An app password of somebody who may be here is nothing to report.
fn credential(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let standing = brief.standing(SYSTEM, row.owner);
    if !owner_left(brief, row) {
        return None;
    }
    let what = if row.means == PanelMeaning::AppPassword { "an app password" } else { "a second factor" };
    let title =
        format!("{} has left and still has {what}{} in {}.", standing.named(), row.label_shown(), row.panel);
    let weight = row.weight(Act::Read, Destination::InternalPerson, true);
    Some(row.draft("panel.credential-leaver", title, weight, standing.beneficiary(), ""))
}

fn session(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let standing = brief.standing(SYSTEM, row.owner);
    if !owner_left(brief, row) {
        return None;
    }
    let from = if row.label.is_empty() { String::new() } else { format!(" from {}", shown(row.label)) };
    let title = format!("{} has left and is still logged in to {}{from}.", standing.named(), row.panel);
    let weight = row.weight(Act::Read, Destination::InternalPerson, true);
    Some(row.draft("panel.session-leaver", title, weight, standing.beneficiary(), ""))
}

fn api_key(row: &Row<'_>) -> Draft {
    let from = if row.target.trim().is_empty() { "anywhere".to_owned() } else { shown(row.target) };
    let title = format!("Whoever holds the key{} administers {} from {from}.", row.label_shown(), row.panel);
    let weight = row.weight(Act::Administer, Destination::Unknown, false);
    row.draft("panel.api-key", title, weight, nobody("whoever holds the key".to_owned()), "")
}

fn recovery(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let standing = standing(brief, row, row.target)?;
    if standing.kind == BeneficiaryKind::Internal && !standing.left {
        return None;
    }
    let leaver = standing.left || owner_left(brief, row);
    let weight = row.weight(Act::Administer, standing.destination(), leaver);
    let title = format!("The password of {} is reset from {}.", row.owner_shown(), standing.named());
    Some(row.draft("panel.recovery-outside", title, weight, standing.beneficiary(), &standing.key))
}

// --- jobs -----------------------------------------------------------------------------------------------------------

fn pull(brief: &Brief<'_>, row: &Row<'_>) -> Draft {
    let host = shown(row.target);
    let title = match row.means {
        PanelMeaning::Pull => format!(
            "{} copies mail between {host} and {} with a stored password.",
            row.panel,
            row.owner_shown()
        ),
        _ => format!("{} keeps {} connected to {host} with a stored password.", row.panel, row.owner_shown()),
    };
    let weight = row.weight(Act::Lookup, Destination::External, owner_left(brief, row));
    let gains = Beneficiary { kind: BeneficiaryKind::External, value: host.clone(), person: None };
    row.draft("panel.pull", title, weight, gains, &host.to_lowercase())
}

/// A notice goes to a service, or to an address.
fn push(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let service = shown(row.target);
    let title = format!(
        "New mail of {} is announced to {service} by {}{}.",
        row.owner_shown(),
        row.panel,
        row.label_shown()
    );
    let Some(standing) = standing(brief, row, row.target) else {
        let weight = row.weight(Act::Notice, Destination::External, owner_left(brief, row));
        let gains = Beneficiary { kind: BeneficiaryKind::External, value: service.clone(), person: None };
        return Some(row.draft("panel.push", title, weight, gains, &service.to_lowercase()));
    };
    if standing.kind == BeneficiaryKind::Internal && !standing.left {
        return None;
    }
    let weight = row.weight(Act::Notice, standing.destination(), standing.left || owner_left(brief, row));
    Some(row.draft("panel.push", title, weight, standing.beneficiary(), &standing.key))
}

// --- rights ---------------------------------------------------------------------------------------------------------

fn admin(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let standing = brief.standing(SYSTEM, row.target);
    let check_id = match (standing.left, standing.person.is_some()) {
        (true, _) => "panel.admin-leaver",
        (false, true) => return None,
        (false, false) => "panel.admin-unknown",
    };
    let destination = if standing.left { Destination::InternalPerson } else { Destination::Unknown };
    let weight = row.weight(Act::Administer, destination, standing.left);
    let unknown = if standing.left { "" } else { ", whom no policy names," };
    let title = format!("{}{unknown} administers {} in {}.", standing.named(), row.owner_shown(), row.panel);
    Some(row.draft(check_id, title, weight, standing.beneficiary(), &standing.key))
}

fn send_as(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let standing = brief.standing(SYSTEM, row.target);
    let is_known = standing.person.is_some() || standing.mailbox.is_some();
    let (check_id, destination) = match (standing.left, is_known) {
        (true, _) => ("panel.send-as-leaver", Destination::InternalPerson),
        (false, true) => return None,
        (false, false) if row.owner.eq_ignore_ascii_case(row.target) => return None,
        (false, false) => ("panel.send-as-unknown", Destination::Unknown),
    };
    let weight = row.weight(Act::Change, destination, standing.left);
    let title = format!("{} may send as {} by {}.", standing.named(), row.owner_shown(), row.panel);
    Some(row.draft(check_id, title, weight, standing.beneficiary(), &standing.key))
}

fn share(brief: &Brief<'_>, row: &Row<'_>) -> Option<Draft> {
    let open = ["anyone", "anonymous", "authenticated", "<default>", "<public>"];
    let what = if row.label.is_empty() { "what is shared".to_owned() } else { shown(row.label) };
    if open.contains(&row.target.to_lowercase().as_str()) {
        if row.label.eq_ignore_ascii_case("none") {
            return None;
        }
        let weight = row.weight(Act::Read, Destination::Everyone, owner_left(brief, row));
        let title = format!("Everybody who can log in has {what} of {} in {}.", row.owner_shown(), row.panel);
        return Some(row.draft("panel.share-open", title, weight, nobody(shown(row.target)), row.target));
    }
    let standing = brief.standing(SYSTEM, row.target);
    let check_id = match (standing.left, standing.kind) {
        (true, _) => "panel.share-leaver",
        (false, BeneficiaryKind::External) => "panel.share-outside",
        (false, _) => {
            let may = is_authorised(brief, &row.mailbox(), row.target) || standing.is_mailbox(row.owner);
            let is_known = standing.person.is_some() || standing.mailbox.is_some();
            if may || !is_known {
                return None;
            }
            "panel.share-inside"
        }
    };
    let weight = row.weight(Act::Read, standing.destination(), standing.left || owner_left(brief, row));
    let title = format!("{} has {what} of {} in {}.", standing.named(), row.owner_shown(), row.panel);
    Some(row.draft(check_id, title, weight, standing.beneficiary(), &standing.key))
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::{Fact, Observation, PanelMeaning, SYSTEM};

    use crate::testing::{ids, judged, observed};

    fn row(means: PanelMeaning, owner: &str, target: &str, active: bool) -> Observation {
        let fact = Fact::PanelRow {
            panel: "mailcow".to_owned(),
            query: "q".to_owned(),
            means,
            owner: owner.to_owned(),
            target: target.to_owned(),
            label: String::new(),
            active,
            key: owner.to_owned(),
            by_hand: String::new(),
        };
        observed(
            SYSTEM,
            if means == PanelMeaning::Account { "panel.credentials" } else { "panel.forwarding" },
            fact,
        )
    }

    #[test]
    fn the_statement_for_the_databases_shell_is_printed_where_there_is_one() {
        let command = |by_hand: &str| {
            let mut seen = row(PanelMeaning::Account, "bob@example.test", "", true);
            let Fact::PanelRow { by_hand: statement, .. } = &mut seen.fact else { unreachable!() };
            by_hand.clone_into(statement);
            judged(&[seen], &[]).findings[0].remediation.command.clone()
        };
        let general = "change or delete the row bob@example.test of q in the database of mailcow, in the panel where \
                       it has a page for it";
        for odd in
            ["", "DELETE FROM q;\u{1b}[2J", "DELETE FROM q\u{202e};", &"x".repeat(super::MAX_STATEMENT + 1)]
        {
            assert_eq!(command(odd), general);
        }
        assert_eq!(
            command("DELETE FROM q WHERE a = 'b';"),
            format!("{general}, or type into its database: DELETE FROM q WHERE a = 'b';")
        );
    }

    #[test]
    fn a_leavers_account_is_found_where_it_lets_them_in() {
        use PanelMeaning::{Account, Service};
        let bob = "bob@example.test";
        let of = |means, service: &str, active, surface: &str| {
            let mut seen = row(means, bob, service, active);
            seen.surface = surface.to_owned();
            ids(&judged(&[seen], &[]))
        };
        let found = ["panel.account-leaver bob@example.test high"];
        assert_eq!(of(Account, "", true, "panel.credentials"), found);
        assert_eq!(of(Service, "pop3", true, "panel.credentials"), found);
        assert!(of(Service, "pop3", false, "panel.credentials").is_empty());
        assert!(of(Account, "", true, "webmail.identities").is_empty(), "who once used a webmail");
        assert!(ids(&judged(&[row(Account, "jane@example.test", "", true)], &[])).is_empty());
    }

    #[test]
    fn every_meaning_has_its_check_and_severity_and_ordinary_rows_have_none() {
        use PanelMeaning::*;
        let (sales, jane, bob) = ("sales@example.test", "jane@example.test", "bob@example.test");
        for (means, owner, target, active, expected) in [
            (Forward, sales, jane, true, ""),
            (Forward, sales, sales, true, ""),
            (Forward, "@old.example", "@example.test", true, ""),
            (Forward, sales, "x@archive.example", true, "panel.mail-outside x@archive.example info"),
            (Forward, sales, "x@evil.example", true, "panel.mail-outside x@evil.example high"),
            (Forward, sales, "x@evil.example", false, "panel.mail-outside x@evil.example medium"),
            (Forward, sales, bob, true, "panel.mail-leaver bob@example.test medium"),
            (CopyTo, jane, "bob@gmail.example", true, "panel.copy-outside bob@gmail.example critical"),
            (CopyFrom, jane, sales, true, "panel.copy-inside sales@example.test info"),
            (ReplyTo, jane, sales, true, ""),
            (ReplyTo, jane, "x@evil.example", true, "panel.reply-outside x@evil.example low"),
            (AppPassword, jane, "", true, ""),
            (AppPassword, bob, "", true, "panel.credential-leaver bob@example.test high"),
            (SecondFactor, bob, "", true, "panel.credential-leaver bob@example.test high"),
            (Session, bob, "", true, "panel.session-leaver bob@example.test high"),
            (Session, jane, "", true, ""),
            (ApiKey, "", "", true, "panel.api-key whoever holds the key medium"),
            (Recovery, jane, sales, true, ""),
            (
                Recovery,
                jane,
                "jane@private.example",
                true,
                "panel.recovery-outside jane@private.example medium",
            ),
            (Recovery, bob, "bob@gmail.example", true, "panel.recovery-outside bob@gmail.example high"),
            (Pull, jane, "imap.evil.example", true, "panel.pull imap.evil.example low"),
            (Push, bob, "pushover.net", true, "panel.push pushover.net high"),
            (Push, jane, sales, true, ""),
            (Push, jane, "x@evil.example", true, "panel.push x@evil.example medium"),
            (Answer, jane, jane, true, ""),
            (Answer, jane, "x@evil.example", true, "panel.answer x@evil.example low"),
            (Answer, bob, bob, true, "panel.answer bob@example.test medium"),
            (Answer, bob, bob, false, ""),
            (Admin, "example.test", jane, true, ""),
            (Admin, "example.test", bob, true, "panel.admin-leaver bob@example.test high"),
            (Admin, "example.test", "root", true, "panel.admin-unknown root medium"),
            (SendAs, sales, jane, true, ""),
            (SendAs, sales, bob, true, "panel.send-as-leaver bob@example.test high"),
            (SendAs, sales, "x@evil.example", true, "panel.send-as-unknown x@evil.example medium"),
            (Share, jane, bob, true, "panel.share-leaver bob@example.test high"),
            (Share, jane, "anyone", true, "panel.share-open anyone high"),
            (Share, jane, "x@evil.example", true, "panel.share-outside x@evil.example medium"),
            (Account, jane, "", true, ""),
        ] {
            let label = format!("{means:?} {owner} {target}");
            assert_eq!(
                ids(&judged(&[row(means, owner, target, active)], &[])).join(", "),
                expected,
                "{label}"
            );
        }
    }

    #[test]
    fn what_a_panel_kept_of_a_deleted_account_is_residue() {
        use PanelMeaning::{Account, AppPassword, Forward};
        let kept = row(AppPassword, "gone@example.test", "", true);
        assert_eq!(
            ids(&judged(std::slice::from_ref(&kept), &[])),
            Vec::<String>::new(),
            "nobody said who is there"
        );
        let there = row(Account, "jane@example.test", "", true);
        let seen = [there.clone(), kept, row(AppPassword, "Jane@example.test", "", true)];
        assert_eq!(ids(&judged(&seen, &[])), ["panel.residue gone@example.test medium"]);
        let alias = row(Forward, "gone@example.test", "jane@example.test", true);
        assert!(ids(&judged(&[there, alias], &[])).is_empty(), "an alias needs no account");
    }
}
