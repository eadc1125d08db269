//! Where mail to an address goes: Postfix's tables, the gate's routes, the mailbox.

use mailwarden_address::{Address, Domain};
use mailwarden_evidence::Fact;

use super::build::{Builder, seen_by};
use super::link::{Acting, Link, Power, Proof};
use super::node::Node;
use super::pattern::{Match, evaluate};
use super::rows::Table;
use crate::Locator;
use crate::checks::postfix::address_of;
use crate::checks::postfix::entry::{Entry, INCLUDE, Use};
use crate::checks::postfix::result::{Target, targets};
use crate::wording::shown;

/// Follows one address one step in every direction.
pub(super) fn route(builder: &mut Builder<'_>, at: usize) {
    let Node::Address { value } = &builder.graph.nodes[at] else { return };
    let value = value.clone();
    let replaced = by_tables(builder, at, &value);
    match Address::parse(&value) {
        Ok(address) => {
            by_policy(builder, at, &address);
            delivered(builder, at, &value, replaced);
            without_extension(builder, at, &address);
        }
        Err(_) => local_name(builder, at, &value),
    }
}

// --- tables ---------------------------------------------------------------------------------------------------------

/// The rows for an address. True where one replaces the address, so that its mailbox no longer gets the mail.
fn by_tables(builder: &mut Builder<'_>, at: usize, value: &str) -> bool {
    let (local, domain) = value.rsplit_once('@').unwrap_or((value, ""));
    let base = local.split_once('+').map_or(local, |(base, _)| base);
    // virtual(5), aliases(5) and the bcc tables ask for the address, for it without its extension, for the local
    // part and for the domain, and take the first answer.
    let full = keys(&[value, &format!("{base}@{domain}")]);
    let with_domain = [full, keys(&[&format!("@{domain}")])].concat();
    let locals = keys(&[local, base]);
    let mut replaced = false;
    if domain.is_empty() {
        by_keys(builder, at, value, Table::Local, &locals);
    } else {
        replaced = by_keys(builder, at, value, Table::Rewritten, &with_domain);
        replaced |= by_keys(builder, at, value, Table::Virtual, &with_domain);
        by_keys(builder, at, value, Table::CopyTo, &with_domain);
        if is_inside(builder, value) {
            local_rows(builder, at, &locals);
        }
    }
    by_patterns(builder, at, value);
    replaced
}

fn keys(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn by_keys(builder: &mut Builder<'_>, at: usize, value: &str, table: Table, keys: &[String]) -> bool {
    let Some((_, rows)) = builder.rows.first(table, keys) else { return false };
    let rows = rows.to_vec();
    let mut keeps = false;
    for row in rows {
        let is_pending = builder.rows.entry(row).pending;
        keeps |= follow(builder, at, row, table.label(), value, None) || is_pending;
    }
    matches!(table, Table::Virtual | Table::Rewritten) && !keeps
}

/// Only domains in mydestination are delivered by local(8), which reads `alias_maps`.
fn local_rows(builder: &mut Builder<'_>, at: usize, locals: &[String]) {
    let Some((which, rows)) = builder.rows.first(Table::Local, locals) else { return };
    if rows.is_empty() {
        return;
    }
    let name = builder.node(Node::Address { value: locals[which].clone() });
    let condition = "Postfix delivers the domain locally (mydestination)";
    let proof = Proof::Protocol;
    let link = Link::new(at, name, Power::ReceivesCopy, "local name", proof);
    builder.graph.link(link.only_if(Acting::Perhaps, condition));
}

fn by_patterns(builder: &mut Builder<'_>, at: usize, value: &str) {
    for row in builder.rows.patterns().to_vec() {
        let entry = builder.rows.entry(row);
        let table = Table::of(entry);
        if matches!(table, Table::CopyFrom) || (table == Table::Local) == value.contains('@') {
            continue;
        }
        let (pattern, place) = (entry.key.unwrap_or_default(), entry.place());
        match evaluate(pattern, entry.result, value) {
            Match::No => {}
            Match::Gives(result) => {
                follow(builder, at, row, table.label(), value, Some(result));
            }
            Match::Unknown => {
                let what = format!("whether the pattern {} in {place} matches {value}", shown(pattern));
                builder.not_known(what, "it uses what is not evaluated here; ask `postmap -q`");
            }
        }
    }
}

/// The row, and what it leads to. True where the address itself is among that.
fn follow(
    builder: &mut Builder<'_>,
    at: usize,
    row: usize,
    label: &str,
    value: &str,
    filled_in: Option<String>,
) -> bool {
    let entry = builder.rows.entry(row);
    let key = entry.key.unwrap_or(entry.parameter);
    let step = match (filled_in.is_some(), key.starts_with('@')) {
        (true, _) => format!("{label} by the pattern {}", shown(key)),
        (false, true) => format!("{label} for every address of {}", shown(&key[1..])),
        (false, false) => label.to_owned(),
    };
    let locator = Locator {
        file: entry.table.map(str::to_owned),
        key: Some(key.to_owned()),
        line: entry.line,
        ..Locator::default()
    };
    let node_key = if filled_in.is_some() { format!("{key} for {value}") } else { key.to_owned() };
    let node = Node::MapEntry { value: format!("{} {}", entry.parameter, entry.place()), key: node_key };
    let proof = seen_by(entry.seen);
    let condition = condition(entry);
    let results = targets(filled_in.as_deref().unwrap_or(entry.result));
    let between = builder.node(node);
    let link = Link::new(at, between, Power::ReceivesCopy, step, proof.clone()).at(locator.clone());
    let link = match condition {
        Some((acting, text)) => link.only_if(acting, text),
        None => link,
    };
    builder.graph.link(link);
    let mut keeps = false;
    for target in results {
        let (node, power) = node_of(&target);
        keeps |= matches!(&node, Node::Address { value: to } if to == value);
        let to = builder.node(node);
        builder.graph.link(Link::new(between, to, power, "", proof.clone()).at(locator.clone()));
        if let Target::Include(path) = &target {
            list(builder, to, path);
        }
    }
    keeps
}

/// What makes a row act only perhaps, or not yet.
fn condition(entry: &Entry<'_>) -> Option<(Acting, String)> {
    if entry.pending {
        return Some((Acting::Dormant, "the row is only in the source text of the table".to_owned()));
    }
    if entry.name == "luser_relay" {
        return Some((Acting::Perhaps, "the local name does not exist".to_owned()));
    }
    entry.service.map(|service| (Acting::Perhaps, format!("mail passes the service {}", shown(service))))
}

/// The lines of a list that an alias includes, each list once.
fn list(builder: &mut Builder<'_>, at: usize, path: &str) {
    if !builder.included.insert(path.to_owned()) {
        return;
    }
    let key = format!("{INCLUDE}{}", path.to_lowercase());
    let rows = builder.rows.first(Table::Local, &[key]).map(|(_, rows)| rows.to_vec());
    match rows {
        Some(rows) => {
            for row in rows {
                follow(builder, at, row, "line of the list", "", None);
            }
        }
        None if has_read(builder, path) => {}
        None => builder.not_known(format!("who is listed in {}", shown(path)), "the file was not looked at"),
    }
}

/// An empty list was looked at as well.
fn has_read(builder: &Builder<'_>, path: &str) -> bool {
    let is_it = |name: &str| name.strip_prefix(INCLUDE) == Some(path);
    let mut seen = builder.brief.observations.iter();
    seen.any(|seen| matches!(&seen.fact, Fact::Setting { name, .. } if is_it(name)))
}

fn node_of(target: &Target) -> (Node, Power) {
    match target {
        Target::Address(address) | Target::Local(address) if address.contains('$') => {
            (Node::Computed { value: shown(address) }, Power::ReceivesCopy)
        }
        Target::Address(address) => (Node::address(&shown(address)), Power::ReceivesCopy),
        Target::Local(name) => (Node::Address { value: shown(&name.to_lowercase()) }, Power::ReceivesCopy),
        Target::Command(command) => (Node::Program { value: shown(command) }, Power::Runs),
        Target::File(path) => (Node::File { value: shown(path) }, Power::ReceivesCopy),
        Target::Include(path) => (Node::File { value: shown(path) }, Power::ReceivesCopy),
    }
}

/// Rows that do not start from an address: all mail, and mail from somebody.
pub(super) fn add_tables(builder: &mut Builder<'_>) {
    for row in builder.rows.everything().to_vec() {
        let label = Table::of(builder.rows.entry(row)).label();
        let all = builder.node(Node::AllMail);
        let name = builder.rows.entry(row).name;
        let label = if ["always_bcc", "luser_relay"].contains(&name) { name } else { label };
        follow(builder, all, row, label, "", None);
    }
    for key in builder.rows.keys(Table::CopyFrom) {
        let sender = builder.node(Node::Sender { value: key.clone() });
        by_keys(builder, sender, &key, Table::CopyFrom, std::slice::from_ref(&key));
    }
    // Who sends mail to a key that nobody asks for is still an answer to "what reaches this person".
    for table in [Table::Virtual, Table::CopyTo, Table::Local, Table::Rewritten] {
        for key in builder.rows.keys(table).into_iter().filter(|key| !key.starts_with(INCLUDE)) {
            builder.node(Node::Address { value: key });
        }
    }
}

/// Rules that send chosen messages to an address (header_checks(5), access(5)).
pub(super) fn add_content(builder: &mut Builder<'_>) {
    let entries = builder.brief.observations.iter().filter_map(Entry::of);
    for entry in entries.filter(|entry| entry.purpose == Use::Content) {
        let Some((action, address)) = address_of(entry.result) else { continue };
        let all = builder.node(Node::AllMail);
        let key = entry.key.unwrap_or_default().to_owned();
        let between = builder.node(Node::MapEntry {
            value: format!("{} {}", entry.parameter, entry.place()),
            key: key.clone(),
        });
        let to = builder.node(Node::address(&shown(address)));
        let locator = Locator {
            file: entry.table.map(str::to_owned),
            key: Some(key),
            line: entry.line,
            ..Locator::default()
        };
        let label = format!("{action} of {}", entry.name);
        let lead =
            Link::new(all, between, Power::ReceivesCopy, label, seen_by(entry.seen)).at(locator.clone());
        builder.graph.link(lead.only_if(Acting::Perhaps, "the rule finds the message"));
        let send = Link::new(between, to, Power::ReceivesCopy, "", seen_by(entry.seen)).at(locator);
        builder.graph.link(send);
    }
}

// --- policy and mailbox ---------------------------------------------------------------------------------------------

fn is_inside(builder: &Builder<'_>, value: &str) -> bool {
    let domain = value.rsplit_once('@').and_then(|(_, domain)| Domain::parse(domain).ok());
    builder.mailboxes.contains(value) || domain.is_some_and(|domain| builder.brief.policy.is_ours(&domain))
}

/// The gate rewrites recipients as the policy says.
fn by_policy(builder: &mut Builder<'_>, at: usize, address: &Address) {
    let policy = builder.brief.policy;
    let mut go = |to: &Address, label: &str, record: String| {
        let to = builder.node(Node::address(&to.key()));
        let proof = Proof::Policy { record };
        builder.graph.link(Link::new(at, to, Power::ReceivesCopy, label, proof));
    };
    let watched = ["postmaster", "abuse"].contains(&address.local().to_lowercase().as_str());
    if let Some(queue) = policy.admin_queue(address.domain()).filter(|_| watched) {
        return go(queue, "required address", format!("admin_queue of {}", address.domain()));
    }
    if let Some(scope) = policy.scope(address.domain()) {
        let record = format!("[[scope]] {}", scope.domain);
        return match policy.vendor(address) {
            Some(vendor) => {
                let record = format!("[[vendor]] {}", vendor.address);
                go(policy.vendor_route(vendor, scope), "route of the vendor", record);
            }
            None => go(&scope.deliver_to, "route of the scope", record),
        };
    }
    if let Some(record) = policy.mailbox(address).filter(|record| record.address != *address) {
        go(&record.address, "alias of the policy", format!("[[mailbox]] {}", record.address));
    }
    successor(builder, at, address);
}

fn successor(builder: &mut Builder<'_>, at: usize, address: &Address) {
    let Some(person) = builder.brief.policy.person(address) else { return };
    let inside = builder.brief.policy.is_ours(address.domain());
    let Some(successor) = person.successor.as_ref().filter(|_| inside && builder.brief.has_left(person))
    else {
        return;
    };
    let to = builder.node(Node::address(&successor.key()));
    let proof = Proof::Policy { record: format!("[[person]] {}: successor", person.name) };
    let link = Link::new(at, to, Power::ReceivesCopy, "successor of the leaver", proof);
    builder.graph.link(link.only_if(Acting::Perhaps, "the gate's leaver rule is enforced"));
}

fn delivered(builder: &mut Builder<'_>, at: usize, value: &str, replaced: bool) {
    if !builder.mailboxes.contains(value) {
        return;
    }
    let mailbox = builder.node(Node::mailbox(value));
    let link = Link::new(at, mailbox, Power::ReceivesCopy, "", Proof::Protocol);
    let elsewhere = "a virtual alias takes this mail elsewhere";
    let label = "delivered here only when the alias is passed by";
    builder.graph.link(if replaced {
        Link { label: label.to_owned(), ..link }.only_if(Acting::Dormant, elsewhere)
    } else {
        link
    });
}

/// RFC 5233: `bob+x@` is bob's, where the server is told so.
fn without_extension(builder: &mut Builder<'_>, at: usize, address: &Address) {
    let Some((base, _)) = address.local().split_once('+') else { return };
    let base = format!("{base}@{}", address.domain()).to_lowercase();
    let is_a_persons = || base.parse().is_ok_and(|base| builder.brief.policy.person(&base).is_some());
    if builder.mailboxes.contains(&base) || is_a_persons() {
        let to = builder.node(Node::address(&base));
        let link = Link::new(at, to, Power::ReceivesCopy, "address extension", Proof::Protocol);
        builder.graph.link(link);
    }
}

/// A name without a domain is a user of the machine, and one of our mailboxes where the domain is ours.
fn local_name(builder: &mut Builder<'_>, at: usize, name: &str) {
    if name.contains('@') {
        return;
    }
    let of_this_name = |mailbox: &&String| mailbox.split('@').next() == Some(name);
    for mailbox in builder.mailboxes.iter().filter(of_this_name).cloned().collect::<Vec<_>>() {
        let to = builder.node(Node::mailbox(&mailbox));
        let link = Link::new(at, to, Power::ReceivesCopy, "local name", Proof::Protocol);
        builder.graph.link(link.only_if(Acting::Perhaps, "Postfix completes the name with this domain"));
    }
}
