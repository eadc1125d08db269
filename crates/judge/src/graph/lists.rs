//! Mailing lists: what is written to a list reaches its members, what is written to its owners the owners.

use mailwarden_evidence::{Fact, ListRole};

use super::build::{Builder, seen_by};
use super::link::{Link, Power};
use super::node::Node;
use crate::checks::list_locator;
use crate::wording::shown;

/// A link from each list to each of its members, owners and moderators.
pub(super) fn add(builder: &mut Builder<'_>) {
    for seen in builder.brief.observations {
        let Fact::ListMember(member) = &seen.fact else { continue };
        let from = builder.node(Node::address(&shown(&addressed(&member.list, member.role))));
        let to = builder.node(Node::address(&shown(&member.address)));
        let label = format!("{} of the mailing list", member.role.word());
        let link = Link::new(from, to, Power::ReceivesCopy, label, seen_by(seen));
        builder.graph.link(link.at(list_locator(member)));
    }
}

/// Mailman sends what is for `LIST-owner@` to owners and moderators.
fn addressed(list: &str, role: ListRole) -> String {
    match (role, list.split_once('@')) {
        (ListRole::Owner | ListRole::Moderator, Some((name, domain))) => format!("{name}-owner@{domain}"),
        _ => list.to_owned(),
    }
}
