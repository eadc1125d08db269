//! Who may send as an address, and who may log in as everybody.

use mailwarden_evidence::Fact;

use super::build::{Builder, seen_by};
use super::link::{Link, Power};
use super::node::Node;
use crate::Locator;
use crate::checks::postfix::entry::{Entry, Use};
use crate::checks::postfix::sending::logins;
use crate::wording::shown;

/// The rows of `smtpd_sender_login_maps`. That an owner sends as themselves says nothing.
pub(super) fn add_senders(builder: &mut Builder<'_>) {
    let entries = builder.brief.observations.iter().filter_map(Entry::of);
    for entry in entries.filter(|entry| entry.purpose == Use::SendAs && !entry.is_pattern()) {
        let Some(key) = entry.key else { continue };
        let sender = builder.node(Node::Sender { value: key.to_lowercase() });
        for login in logins(&entry).filter(|login| !login.eq_ignore_ascii_case(key)) {
            let to = builder.node(Node::login(login));
            let locator = Locator {
                file: entry.table.map(str::to_owned),
                key: Some(key.to_owned()),
                line: entry.line,
                ..Locator::default()
            };
            let label = format!("sender login map for {}", shown(key));
            let link = Link::new(sender, to, Power::SendsAs, label, seen_by(entry.seen)).at(locator);
            builder.graph.link(link);
        }
    }
}

/// A master user may log in as every mailbox.
pub(super) fn add_masters(builder: &mut Builder<'_>) {
    for seen in builder.brief.observations {
        let Fact::MasterUser { login, database, .. } = &seen.fact else { continue };
        let master = builder.node(Node::login(login));
        for name in builder.mailboxes.clone() {
            let mailbox = builder.node(Node::login(&name));
            let label = format!("master user of {}", shown(database));
            builder.graph.link(Link::new(mailbox, master, Power::LogsInAs, label, seen_by(seen)));
        }
    }
}
