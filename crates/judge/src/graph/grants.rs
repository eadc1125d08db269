//! What access control lists open.

use std::collections::{BTreeMap, BTreeSet};

use mailwarden_evidence::{Fact, Observation};

use super::build::{Builder, seen_by};
use super::link::{Link, Power};
use super::node::Node;
use super::rights::{Entry, Precedence, Principal, Subject, effective};
use crate::Locator;
use crate::brief::Brief;
use crate::wording::shown;

/// The list of one folder.
pub(super) struct FolderList<'a> {
    mailbox: &'a str,
    folder: &'a str,
    precedence: Precedence,
    entries: Vec<(Entry, &'a Observation)>,
}

impl FolderList<'_> {
    fn list(&self) -> Vec<Entry> {
        self.entries.iter().map(|(entry, _)| entry.clone()).collect()
    }

    /// The entry that a subject's rights come from, for the proof.
    fn shown_by(&self, subject: &Subject) -> Option<&Observation> {
        let named = self.entries.iter().find(|(entry, _)| entry.subject == *subject && !entry.negative);
        named.or(self.entries.first()).map(|(_, seen)| *seen)
    }

    fn locator(&self, key: Option<&str>) -> Locator {
        Locator { folder: Some(self.folder.to_owned()), key: key.map(str::to_owned), ..Locator::default() }
    }
}

/// All lists of a run.
pub(super) fn folders<'a>(brief: &Brief<'a>) -> Vec<FolderList<'a>> {
    let dovecot = dovecot_mailboxes(brief);
    let mut folders: BTreeMap<(String, &str), FolderList<'a>> = BTreeMap::new();
    for seen in brief.observations {
        let Fact::AclEntry { folder, identifier, rights } = &seen.fact else { continue };
        // Dovecot marks what holds for the whole server with `#`.
        let name = identifier.name.strip_prefix('#').unwrap_or(&identifier.name);
        let (negative, name) = match name.strip_prefix('-') {
            Some(name) => (true, name),
            None => (identifier.negative, name),
        };
        let name = identifier.login.as_deref().unwrap_or(name);
        let entry = Entry { subject: Subject::of(name), negative, rights: rights.clone() };
        let mailbox = seen.mailbox.to_lowercase();
        let precedence = if dovecot.contains(&mailbox) { Precedence::HighestKind } else { Precedence::Union };
        let list = folders.entry((mailbox, folder)).or_insert_with(|| FolderList {
            mailbox: &seen.mailbox,
            folder,
            precedence,
            entries: Vec::new(),
        });
        list.entries.push((entry, seen));
    }
    folders.into_values().collect()
}

/// Mailboxes that are known to lie on Dovecot, by what its ManageSieve says of itself and by how it spells
/// groups.
fn dovecot_mailboxes(brief: &Brief<'_>) -> BTreeSet<String> {
    let says_so = |seen: &&Observation| match &seen.fact {
        Fact::SieveScript { implementation, .. } => implementation.to_lowercase().contains("pigeonhole"),
        Fact::AclEntry { identifier, .. } => identifier.name.starts_with(['$', '!', '#']),
        _ => false,
    };
    brief.observations.iter().filter(says_so).map(|seen| seen.mailbox.to_lowercase()).collect()
}

pub(super) fn add(builder: &mut Builder<'_>) {
    let lists = std::mem::take(&mut builder.folders);
    for list in &lists {
        let subjects: BTreeSet<&Subject> = list
            .entries
            .iter()
            .filter(|(entry, _)| !entry.negative)
            .map(|(entry, _)| &entry.subject)
            .collect();
        for subject in subjects {
            open_to(builder, list, subject);
        }
    }
    builder.folders = lists;
}

fn open_to(builder: &mut Builder<'_>, list: &FolderList<'_>, subject: &Subject) {
    let (node, rights) = match subject {
        Subject::Owner => return,
        Subject::User(login) if login.eq_ignore_ascii_case(list.mailbox) => return,
        Subject::User(login) => (Node::login(login), rights_of(list, login, &groups_of(builder, login))),
        Subject::Anyone => (Node::Anyone, own_rights(list, subject)),
        Subject::Authenticated => (Node::Everyone, own_rights(list, subject)),
        Subject::Group(name) | Subject::GroupOverride(name) => {
            open_to_members(builder, list, subject, name);
            (Node::Group { value: shown(name) }, own_rights(list, subject))
        }
    };
    let key = entry_name(list, subject);
    link(builder, list, subject, (node, ""), &rights, key.as_deref());
}

/// The groups that the user database gives each login.
pub(super) fn groups(brief: &Brief<'_>) -> BTreeMap<String, Vec<String>> {
    let of_login = |seen: &Observation| match &seen.fact {
        Fact::Membership { login, groups } => Some((login.to_lowercase(), groups.clone())),
        _ => None,
    };
    brief.observations.iter().filter_map(of_login).collect()
}

fn groups_of(builder: &Builder<'_>, login: &str) -> Vec<String> {
    builder.groups.get(&login.to_lowercase()).cloned().unwrap_or_default()
}

/// The members of a group, each with what the other entries leave them. Members that are named themselves have
/// a link of their own.
fn open_to_members(builder: &mut Builder<'_>, list: &FolderList<'_>, subject: &Subject, group: &str) {
    if !knows_all_members(builder) {
        builder.not_known(
            format!("who is in the group \"{}\"", shown(group)),
            "membership is kept outside the mailbox; ask the user database (acl_groups) on the mail host",
        );
    }
    let is_named = |login: &str| {
        let named =
            |entry: &Entry| matches!(&entry.subject, Subject::User(name) if name.eq_ignore_ascii_case(login));
        list.entries.iter().any(|(entry, _)| !entry.negative && named(entry))
    };
    let member = |(login, groups): (&String, &Vec<String>)| {
        let other = !login.eq_ignore_ascii_case(list.mailbox) && !is_named(login);
        (other && groups.iter().any(|name| name == group)).then(|| (login.clone(), groups.clone()))
    };
    let members: Vec<(String, Vec<String>)> = builder.groups.iter().filter_map(member).collect();
    let via = format!(" as a member of group \"{}\"", shown(group));
    let key = entry_name(list, subject);
    for (login, groups) in members {
        let rights = rights_of(list, &login, &groups);
        link(builder, list, subject, (Node::login(&login), &via), &rights, key.as_deref());
    }
}

/// Whether the user database was asked about every mailbox that was seen.
fn knows_all_members(builder: &Builder<'_>) -> bool {
    let accounts = builder.brief.observations.iter().filter_map(|seen| match &seen.fact {
        Fact::Account { login } => Some(login.to_lowercase()),
        _ => None,
    });
    !builder.groups.is_empty() && accounts.into_iter().all(|login| builder.groups.contains_key(&login))
}

/// The identifier as the server gave it.
fn entry_name(list: &FolderList<'_>, subject: &Subject) -> Option<String> {
    match &list.shown_by(subject)?.fact {
        Fact::AclEntry { identifier, .. } => Some(identifier.name.clone()),
        _ => None,
    }
}

fn rights_of(list: &FolderList<'_>, login: &str, groups: &[String]) -> String {
    effective(&list.list(), &Principal { login, groups, owner: false }, list.precedence)
}

/// What the entries of one subject alone give.
fn own_rights(list: &FolderList<'_>, subject: &Subject) -> String {
    let own = list.list().into_iter().filter(|entry| entry.subject == *subject);
    let (taken, given): (Vec<Entry>, Vec<Entry>) = own.partition(|entry| entry.negative);
    let lost: BTreeSet<char> = taken.iter().flat_map(|entry| entry.rights.chars()).collect();
    let held: BTreeSet<char> = given.iter().flat_map(|entry| entry.rights.chars()).collect();
    held.difference(&lost).collect()
}

fn link(
    builder: &mut Builder<'_>,
    list: &FolderList<'_>,
    subject: &Subject,
    (node, via): (Node, &str),
    rights: &str,
    key: Option<&str>,
) {
    let (Some(power), Some(seen)) = (power(rights), list.shown_by(subject)) else { return };
    let mailbox = builder.node(Node::mailbox(list.mailbox));
    let to = builder.node(node);
    let label = format!("rights {} on folder \"{}\"{via}", shown(rights), shown(list.folder));
    let proof = seen_by(seen);
    builder.graph.link(Link::new(mailbox, to, power, label, proof).at(list.locator(key)));
}

/// The most that rights allow. Whoever administers a folder can let themselves read it.
fn power(rights: &str) -> Option<Power> {
    let has = |letters: &str| rights.contains(|letter| letters.contains(letter));
    match () {
        () if has("ra") => Some(Power::Reads),
        () if has("wtexkicds") => Some(Power::Changes),
        () => None,
    }
}

/// What logins may open because everybody may, each with what is taken away from that login. Only asked for
/// the logins of a question: folders by logins would be a large number.
pub(super) fn open_to_logins(builder: &mut Builder<'_>, logins: &[String]) {
    let lists = std::mem::take(&mut builder.folders);
    for list in &lists {
        let open = |wanted: &Subject| {
            list.entries.iter().any(|(entry, _)| entry.subject == *wanted && !entry.negative)
        };
        let by = match (open(&Subject::Authenticated), open(&Subject::Anyone)) {
            (true, _) => Subject::Authenticated,
            (false, true) => Subject::Anyone,
            (false, false) => continue,
        };
        for login in logins {
            let named = open(&Subject::User(login.clone())) || login.eq_ignore_ascii_case(list.mailbox);
            if !named {
                let rights = rights_of(list, login, &groups_of(builder, login));
                let key = entry_name(list, &by);
                link(builder, list, &by, (Node::login(login), ""), &rights, key.as_deref());
            }
        }
    }
    builder.folders = lists;
}
