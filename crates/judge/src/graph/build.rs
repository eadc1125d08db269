//! From what a run saw to the graph.

use std::collections::{BTreeMap, BTreeSet};

use mailwarden_evidence::{Fact, Observation, SYSTEM};

use super::grants::FolderList;
use super::link::{Link, Power, Proof};
use super::node::Node;
use super::rows::Rows;
use super::{Graph, Unknown, grants, lists, mail, scripts, sending};
use crate::brief::Brief;

/// A graph that grows where it is asked.
pub(crate) struct Builder<'a> {
    pub(super) brief: &'a Brief<'a>,
    pub(super) graph: Graph,
    pub(super) rows: Rows<'a>,
    /// Mailboxes that exist, in lower case: seen on the server, listed by it, or named by the policy.
    pub(super) mailboxes: BTreeSet<String>,
    pub(super) folders: Vec<FolderList<'a>>,
    /// Groups of each login, in lower case, that the user database was asked about.
    pub(super) groups: BTreeMap<String, Vec<String>>,
    pub(super) unknown: BTreeSet<Unknown>,
    /// Lists that aliases include, each followed once.
    pub(super) included: BTreeSet<String>,
    /// Addresses whose ways are not yet followed.
    unrouted: Vec<usize>,
}

impl<'a> Builder<'a> {
    /// Everything a run saw.
    pub(crate) fn of(brief: &'a Brief<'a>) -> Self {
        let mut builder = Self {
            brief,
            graph: Graph::default(),
            rows: Rows::of(brief),
            mailboxes: mailboxes(brief),
            folders: grants::folders(brief),
            groups: grants::groups(brief),
            unknown: BTreeSet::new(),
            included: BTreeSet::new(),
            unrouted: Vec::new(),
        };
        builder.mailbox_nodes();
        builder.people();
        scripts::add(&mut builder);
        grants::add(&mut builder);
        mail::add_tables(&mut builder);
        mail::add_content(&mut builder);
        lists::add(&mut builder);
        sending::add_senders(&mut builder);
        sending::add_masters(&mut builder);
        builder.route_all();
        builder
    }

    /// The finished graph.
    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(super) fn node(&mut self, node: Node) -> usize {
        let is_address = matches!(node, Node::Address { .. });
        let (at, is_new) = self.graph.intern(node);
        if is_new && is_address {
            self.unrouted.push(at);
        }
        at
    }

    /// Follows every address that came up; following one may bring up others.
    pub(super) fn route_all(&mut self) {
        while let Some(at) = self.unrouted.pop() {
            mail::route(self, at);
        }
    }

    pub(super) fn not_known(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.unknown.insert(Unknown { what: what.into(), why: why.into() });
    }

    /// A mailbox, its login, and that whoever logs in reads it.
    fn mailbox_nodes(&mut self) {
        for name in self.mailboxes.clone() {
            let mailbox = self.node(Node::mailbox(&name));
            let login = self.node(Node::login(&name));
            self.graph.link(Link::new(mailbox, login, Power::Reads, "", Proof::Protocol));
            self.node(Node::address(&name));
            self.shared_login(&name, login);
        }
    }

    /// Several people know the password of a shared login.
    fn shared_login(&mut self, name: &str, login: usize) {
        let Ok(address) = name.parse() else { return };
        let Some(record) = self.brief.policy.mailbox(&address) else { return };
        if !record.shared_login_allowed || record.address != address {
            return;
        }
        for user in &record.authorised_users {
            let user = self.node(Node::login(&user.key()));
            let proof = Proof::Policy { record: format!("[[mailbox]] {name}: shared_login_allowed") };
            self.graph.link(Link::new(login, user, Power::LogsInAs, "shared login", proof));
        }
    }

    fn people(&mut self) {
        for person in self.brief.policy.people() {
            let known_as = person.addresses.first().or(person.external_addresses.first());
            let known_as = known_as.map(ToString::to_string).unwrap_or_default();
            let at = self.node(Node::Person { value: person.name.clone(), known_as });
            let proof = || Proof::Policy { record: format!("[[person]] {}", person.name) };
            for address in &person.addresses {
                let login = self.node(Node::login(&address.key()));
                self.graph.link(Link::new(login, at, Power::Is, "", proof()));
                self.node(Node::address(&address.key()));
            }
            for address in &person.external_addresses {
                let outside = self.node(Node::address(&address.key()));
                self.graph.link(Link::new(outside, at, Power::Is, "", proof()));
            }
        }
    }
}

pub(super) fn seen_by(seen: &Observation) -> Proof {
    Proof::Observation { surface: seen.surface.clone(), evidence: seen.evidence.clone() }
}

fn mailboxes(brief: &Brief<'_>) -> BTreeSet<String> {
    let seen = brief.observations.iter().filter_map(|seen| match &seen.fact {
        Fact::Account { login } => Some(login.to_lowercase()),
        _ if seen.mailbox != SYSTEM => Some(seen.mailbox.to_lowercase()),
        _ => None,
    });
    let named = brief.policy.mailboxes().iter().map(|record| record.address.key());
    seen.chain(named).collect()
}
