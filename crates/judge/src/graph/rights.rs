//! What rights a login really has on a folder, from all entries of its list.
//!
//! Which entry wins is each server's own choice (RFC 4314 §2). Two ways are known; where the server is not, the
//! wider one is taken, because a right too many is a question and a right too few is a silence.

use std::collections::BTreeSet;

/// How a server puts the entries of a list together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precedence {
    /// Dovecot 2.3 and 2.4: of anyone < authenticated < group < owner < user < group-override only the highest
    /// kind that fits counts, entries of one kind add up, and then every fitting negative entry, of whatever
    /// kind, takes its rights away. Names are compared with their case.
    HighestKind,
    /// Cyrus, and whoever is not known: all fitting entries add up, all fitting negative ones take away.
    Union,
}

/// Whom an entry speaks of. The order is Dovecot's precedence, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Subject {
    Anyone,
    Authenticated,
    Group(String),
    Owner,
    User(String),
    GroupOverride(String),
}

impl Subject {
    /// As GETACL spells it: `$group` and `!$group` by Dovecot, `group:name` by Cyrus.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "anyone" | "anonymous" => Self::Anyone,
            "authenticated" => Self::Authenticated,
            "owner" => Self::Owner,
            _ => match (name.strip_prefix("!$"), name.strip_prefix('$').or(name.strip_prefix("group:"))) {
                (Some(group), _) => Self::GroupOverride(group.to_owned()),
                (None, Some(group)) => Self::Group(group.to_owned()),
                (None, None) => Self::User(name.to_owned()),
            },
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Anyone => 0,
            Self::Authenticated => 1,
            Self::Group(_) => 2,
            Self::Owner => 3,
            Self::User(_) => 4,
            Self::GroupOverride(_) => 5,
        }
    }
}

/// One entry of a folder's list.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) subject: Subject,
    pub(super) negative: bool,
    pub(super) rights: String,
}

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub(super) struct Principal<'a> {
    pub(super) login: &'a str,
    pub(super) groups: &'a [String],
    pub(super) owner: bool,
}

impl Principal<'_> {
    fn is(&self, subject: &Subject, precedence: Precedence) -> bool {
        let same = |name: &str| match precedence {
            Precedence::HighestKind => name == self.login,
            Precedence::Union => name.eq_ignore_ascii_case(self.login),
        };
        match subject {
            Subject::Anyone | Subject::Authenticated => true,
            Subject::Owner => self.owner,
            Subject::User(name) => same(name),
            Subject::Group(name) | Subject::GroupOverride(name) => self.groups.contains(name),
        }
    }
}

/// The rights that remain, in order of their letters.
pub(super) fn effective(entries: &[Entry], who: &Principal<'_>, precedence: Precedence) -> String {
    let fits = |entry: &&Entry| who.is(&entry.subject, precedence);
    let (taken, given): (Vec<&Entry>, Vec<&Entry>) = entries.iter().filter(fits).partition(|e| e.negative);
    let highest = given.iter().map(|entry| entry.subject.rank()).max();
    let counts = |entry: &&&Entry| precedence == Precedence::Union || Some(entry.subject.rank()) == highest;
    let held: BTreeSet<char> = given.iter().filter(counts).flat_map(|e| e.rights.chars()).collect();
    let lost: BTreeSet<char> = taken.iter().flat_map(|entry| entry.rights.chars()).collect();
    held.difference(&lost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<Entry> {
        let entry = |line: &str| {
            let (name, rights) = line.rsplit_once(' ').unwrap();
            let (negative, name) = name.strip_prefix('-').map_or((false, name), |name| (true, name));
            Entry { subject: Subject::of(name), negative, rights: rights.to_owned() }
        };
        text.split("; ").map(entry).collect()
    }

    fn bob(text: &str, precedence: Precedence) -> String {
        let groups = ["g1".to_owned(), "g2".to_owned()];
        let who = Principal { login: "bob@example.test", groups: &groups, owner: false };
        effective(&entries(text), &who, precedence)
    }

    /// Every row was asked of Dovecot 2.3.19.1 with `doveadm acl rights`; the end-to-end tests ask again.
    #[test]
    fn dovecot_lets_the_highest_kind_win_and_takes_away_by_all_kinds() {
        for (list, expected) in [
            ("anyone lr", "lr"),
            ("anonymous lr", "lr"),
            ("anyone lr; authenticated w", "w"),
            ("anyone lr; bob@example.test w", "w"),
            ("anyone lr; -bob@example.test r", "l"),
            ("anyone lr; bob@example.test w; -bob@example.test w", ""),
            ("$g1 lr; $g2 w", "lrw"),
            ("$g1 lr; bob@example.test w", "w"),
            ("$g1 lr; -$g2 r", "l"),
            ("-$g1 lr; bob@example.test lr", ""),
            ("!$g1 l; bob@example.test lrw", "l"),
            ("!$g1 l; -bob@example.test l", ""),
            ("-anyone r; bob@example.test lr", "l"),
            ("-authenticated r; anyone lr", "l"),
            ("-owner l; bob@example.test lr", "lr"),
            ("anyone lrw; -authenticated r; bob@example.test r", ""),
            ("-bob@example.test l; bob@example.test lrw; !$g1 lr", "r"),
            ("BOB@example.test lr", ""),
            ("$G1 lr", ""),
        ] {
            assert_eq!(bob(list, Precedence::HighestKind), expected, "{list}");
        }
    }

    #[test]
    fn elsewhere_rights_add_up() {
        for (list, expected) in [
            ("anyone lr; bob@example.test w", "lrw"),
            ("anyone lr; -bob@example.test r", "l"),
            ("group:g1 lr; BOB@example.test s", "lrs"),
            ("-anyone p; bob@example.test lp", "l"),
        ] {
            assert_eq!(bob(list, Precedence::Union), expected, "{list}");
        }
    }

    #[test]
    fn an_owner_is_masked_by_an_entry_in_the_owners_name() {
        let who = Principal { login: "alice@example.test", groups: &[], owner: true };
        let of = |list: &str| effective(&entries(list), &who, Precedence::HighestKind);
        assert_eq!(of("owner lra; alice@example.test w"), "w");
        assert_eq!(of("owner lra; -owner a"), "lr");
    }
}
