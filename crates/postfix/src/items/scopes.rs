//! Scopes: in which address class they are, who takes their recipients, and where mail goes that the gate did
//! not route.

use std::collections::BTreeSet;

use mailwarden_policy::Policy;

use super::{set, shown};
use crate::answers::{Answer, Answers, Question};
use crate::check::Item;
use crate::domains::{self, CLASSES, Membership, first_value, lookup, membership};
use crate::instance::Instance;
use crate::lists::split;
use crate::render::NOWHERE;

const CLASS: &str = "domain-class";
const ONE_CLASS: &str = "\
    Postfix must take every local part of a scope itself, before it asks the gate. relay_domains does, and \
    mail that the gate did not route leads nowhere; any other class bounces or delivers it.";
const ANY_RECIPIENT: &str =
    "A table of recipients would refuse vendor addresses as unknown users before the gate sees them.";
const LEADS_NOWHERE: &str = "\
    Mail that reaches the queue without the gate's routing must wait, not leave and not bounce. `error:` and \
    `retry:` refuse recipients before the gate is asked.";
const ALIASED: &str = "\
    In virtual_alias_domains a recipient exists only with an entry in virtual_alias_maps; the gate deletes it \
    by the spelling the client used and routes the mail itself.";

pub(crate) fn questions(policy: &Policy, instance: &Instance) -> Vec<Question> {
    let mut asked = Vec::new();
    for scope in names(policy) {
        asked.extend(CLASSES.iter().flat_map(|list| domains::questions(instance, list, &scope)));
        asked.extend(lookups(instance.value("transport_maps"), &transport_keys(instance, &scope)));
        for list in ["relay_recipient_maps", "virtual_alias_maps"] {
            asked.extend(lookups(instance.value(list), &[any(&scope)]));
        }
    }
    asked.extend(nexthop_path(instance.value("relay_transport")).map(Question::Path));
    asked
}

fn lookups(list: &str, keys: &[String]) -> Vec<Question> {
    split(list)
        .iter()
        .flat_map(|table| keys.iter().map(|key| lookup(table, key)).collect::<Vec<_>>())
        .collect()
}

pub(crate) fn items(policy: &Policy, instance: &Instance, answers: &Answers) -> Vec<Item> {
    names(policy).iter().flat_map(|scope| of_scope(instance, answers, scope)).collect()
}

/// Many clients, one Postfix: each domain once.
fn names(policy: &Policy) -> BTreeSet<String> {
    policy.scopes().iter().map(|scope| scope.domain.as_str().to_owned()).collect()
}

fn any(scope: &str) -> String {
    format!("@{scope}")
}

fn of_scope(instance: &Instance, answers: &Answers, scope: &str) -> Vec<Item> {
    let memberships = CLASSES.map(|list| (list, membership(instance, answers, list, scope)));
    let listed: Vec<&str> =
        memberships.iter().filter(|(_, is)| *is == Membership::Listed).map(|(list, _)| *list).collect();
    let item = Item::new(CLASS, scope, ONE_CLASS).should("relay_domains, or virtual_alias_domains, alone");
    let unknown = memberships.iter().find_map(|(list, is)| match is {
        Membership::Unknown(why) => Some(format!("{list} could not be looked up: {why}")),
        _ => None,
    });
    if let Some(why) = unknown {
        return vec![item.unknown(&why)];
    }
    let good = matches!(listed[..], ["relay_domains" | "virtual_alias_domains"]);
    let mut found =
        vec![item.is(shown_class(&listed)).good_if(good, class_command(instance, &listed, scope))];
    match listed[..] {
        ["relay_domains"] => {
            found.push(any_recipient(instance, answers, scope));
            found.push(leads_nowhere(instance, answers, scope));
        }
        ["virtual_alias_domains"] => found.push(aliased(instance, answers, scope)),
        _ => {}
    }
    found
}

fn shown_class(listed: &[&str]) -> String {
    if listed.is_empty() { "in no list: 454 Relay access denied".to_owned() } else { listed.join(", ") }
}

fn class_command(instance: &Instance, listed: &[&str], scope: &str) -> String {
    let wrong: Vec<&str> = listed.iter().copied().filter(|list| *list != "relay_domains").collect();
    if !wrong.is_empty() {
        return format!("# take {scope} out of {}, and list it in relay_domains only", wrong.join(", "));
    }
    let mut entries = split(instance.value("relay_domains"));
    entries.push(scope);
    set("relay_domains", &entries.join(", "))
}

fn any_recipient(instance: &Instance, answers: &Answers, scope: &str) -> Item {
    let list = instance.value("relay_recipient_maps");
    let item = Item::new("relay-recipients", format!("relay_recipient_maps for {scope}"), ANY_RECIPIENT)
        .should(format!("(empty), or with an entry {}", any(scope)));
    if list.is_empty() {
        return item.is("(empty)").good_if(true, "");
    }
    match first_value(list, &[any(scope)], answers) {
        Answer::Found(_) => item.is(format!("{list}, with an entry {}", any(scope))).good_if(true, ""),
        Answer::Unknown(why) => item.unknown(&why),
        _ => item.is(format!("{list}, without an entry {}", any(scope))).good_if(
            false,
            format!(
                "postconf -e 'relay_recipient_maps ='   # or add \"{} x\" to one of its tables",
                any(scope)
            ),
        ),
    }
}

/// transport_maps stands before relay_transport. Postfix asks for the domain, then, where parents match, for
/// those.
fn leads_nowhere(instance: &Instance, answers: &Answers, scope: &str) -> Item {
    let item = Item::new("relay-transport", format!("transport of {scope}"), LEADS_NOWHERE)
        .should("lmtp:unix: and a path where nothing is");
    let (transport, from_table) =
        match first_value(instance.value("transport_maps"), &transport_keys(instance, scope), answers) {
            Answer::Unknown(why) => return item.unknown(&format!("transport_maps: {why}")),
            Answer::Found(value) => (value, true),
            _ => (instance.value("relay_transport").to_owned(), false),
        };
    let command = match from_table {
        true => format!("# write \"{scope} {NOWHERE}\" into the table of transport_maps that has {scope}"),
        false => set("relay_transport", NOWHERE),
    };
    let Some(path) = nexthop_path(&transport) else {
        return item.is(shown(&transport)).good_if(false, command);
    };
    match answers.get(&Question::Path(path.clone())) {
        Answer::Steps(steps) if steps.last().is_some_and(|step| step.path == path) => {
            item.is(format!("{transport}, which exists")).good_if(false, command)
        }
        Answer::Unknown(why) if !from_table => item.unknown(&why),
        _ => item.is(transport).good_if(true, ""),
    }
}

/// transport(5): the domain, its parents from near to far, everything. A parent is written with a dot in front
/// unless `parent_domain_matches_subdomains` names the parameter.
fn transport_keys(instance: &Instance, scope: &str) -> Vec<String> {
    let plain = split(instance.value("parent_domain_matches_subdomains")).contains(&"transport_maps");
    let parents = scope.match_indices('.').map(|(at, _)| scope[at + usize::from(plain)..].to_owned());
    std::iter::once(scope.to_owned()).chain(parents).chain(["*".to_owned()]).collect()
}

fn nexthop_path(transport: &str) -> Option<String> {
    let path = transport.strip_prefix("lmtp:unix:")?;
    path.starts_with('/').then(|| path.to_owned())
}

fn aliased(instance: &Instance, answers: &Answers, scope: &str) -> Item {
    let list = instance.value("virtual_alias_maps");
    let item = Item::new("virtual-alias", format!("virtual_alias_maps for {scope}"), ALIASED)
        .should(format!("an entry {}", any(scope)));
    match first_value(list, &[any(scope)], answers) {
        Answer::Found(value) => item.is(format!("{} {value}", any(scope))).good_if(true, ""),
        Answer::Unknown(why) => item.unknown(&why),
        _ => item
            .is(format!("{}, without an entry {}", shown(list), any(scope)))
            .good_if(false, "mailwarden postfix render --recipe virtual-alias   # and merge it into main.cf"),
    }
}
