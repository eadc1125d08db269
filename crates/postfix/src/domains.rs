//! Which address class a domain is in: which of four lists holds it.

use crate::answers::{Answer, Answers, Question};
use crate::instance::Instance;
use crate::lists::{inside, split};

/// The lists that make an address class, each with whether Postfix can match parents in it.
pub(crate) const CLASSES: [&str; 4] =
    ["mydestination", "virtual_alias_domains", "virtual_mailbox_domains", RELAY_DOMAINS];
const RELAY_DOMAINS: &str = "relay_domains";

/// Whether a list holds a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Membership {
    Listed,
    NotListed,
    Unknown(String),
}

/// Looks a domain up in a list, entry by entry, as Postfix does: the first that matches decides.
pub(crate) fn membership(instance: &Instance, answers: &Answers, list: &str, domain: &str) -> Membership {
    for entry in split(instance.value(list)) {
        let (entry, listed) = match entry.strip_prefix('!') {
            Some(excluded) => (excluded, Membership::NotListed),
            None => (entry, Membership::Listed),
        };
        for name in names(instance, list, domain) {
            match matches(entry, &name, answers) {
                Answer::Found(_) => return listed,
                Answer::Unknown(why) => return Membership::Unknown(format!("{entry}: {why}")),
                _ => {}
            }
        }
    }
    Membership::NotListed
}

/// What has to be looked up to tell.
pub(crate) fn questions(instance: &Instance, list: &str, domain: &str) -> Vec<Question> {
    let entries = split(instance.value(list));
    let names = names(instance, list, domain);
    let ask = |entry: &&str| {
        names.iter().filter_map(|name| question(entry.trim_start_matches('!'), name)).collect()
    };
    entries.iter().flat_map(|entry| -> Vec<Question> { ask(entry) }).collect()
}

/// The domain, and its parents where the list matches sub-domains (`parent_domain_matches_subdomains`).
fn names(instance: &Instance, list: &str, domain: &str) -> Vec<String> {
    let parents_count = list == RELAY_DOMAINS
        && split(instance.value("parent_domain_matches_subdomains")).contains(&RELAY_DOMAINS);
    let mut names = vec![domain.to_owned()];
    if parents_count {
        names.extend(domain.match_indices('.').map(|(at, _)| domain[at + 1..].to_owned()));
    }
    names
}

fn matches(entry: &str, name: &str, answers: &Answers) -> Answer {
    match question(entry, name) {
        Some(question) => answers.get(&question),
        None if entry.eq_ignore_ascii_case(name) => Answer::Found(String::new()),
        None => Answer::Missing(String::new()),
    }
}

/// An entry with a colon is a table, one that begins with a slash a file of patterns; the rest are names.
fn question(entry: &str, name: &str) -> Option<Question> {
    if entry.starts_with('/') {
        return Some(Question::Line { path: entry.to_owned(), line: name.to_owned() });
    }
    entry.contains(':').then(|| lookup(entry, name))
}

/// A key in a table.
pub(crate) fn lookup(table: &str, key: &str) -> Question {
    Question::Lookup { table: table.to_owned(), key: key.to_owned() }
}

/// The first value that one of the tables of a list has for one of the keys, in Postfix's order: table by
/// table.
pub(crate) fn first_value(list: &str, keys: &[String], answers: &Answers) -> Answer {
    let mut found = Answer::Missing(String::new());
    for table in split(list) {
        for key in keys {
            match answers.get(&lookup(table, key)) {
                Answer::Found(value) => return Answer::Found(value),
                Answer::Unknown(why) => found = Answer::Unknown(format!("{}: {why}", inside(table))),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Texts;

    fn instance(lines: &str) -> Instance {
        Instance::parse(&Texts { effective: lines.to_owned(), ..Texts::default() })
    }

    #[test]
    fn names_tables_files_and_exclusions_are_asked_in_order() {
        let instance = instance("relay_domains = !not.test hash:/a, /patterns one.test\n");
        let asked = questions(&instance, "relay_domains", "one.test");
        assert_eq!(asked.len(), 2, "{asked:?}");
        let answers =
            |value: Answer| -> Answers { asked.iter().map(|one| (one.clone(), value.clone())).collect() };
        let missing = answers(Answer::Missing(String::new()));
        let is = |answers: &Answers, domain| membership(&instance, answers, "relay_domains", domain);
        assert_eq!(is(&missing, "one.test"), Membership::Listed);
        assert_eq!(is(&missing, "not.test"), Membership::NotListed);
        assert_eq!(is(&answers(Answer::Found("x".to_owned())), "one.test"), Membership::Listed);
        assert!(matches!(is(&Answers::default(), "one.test"), Membership::Unknown(_)));
    }

    #[test]
    fn a_parent_counts_only_where_postfix_says_so() {
        let lines = "relay_domains = example.test\nmydestination = example.test\n";
        let plain = instance(lines);
        let with =
            instance(&format!("{lines}parent_domain_matches_subdomains = debug_peer_list,relay_domains\n"));
        let none = Answers::default();
        let is = |instance: &Instance, list| membership(instance, &none, list, "a.example.test");
        assert_eq!(is(&plain, "relay_domains"), Membership::NotListed);
        assert_eq!(is(&with, "relay_domains"), Membership::Listed);
        assert_eq!(is(&with, "mydestination"), Membership::NotListed);
    }
}
