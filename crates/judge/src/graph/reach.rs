//! The two questions: where does mail to an address end, and what can a person still reach?

use std::collections::BTreeSet;

use mailwarden_address::Address;
use mailwarden_evidence::{Coverage, Observation, SYSTEM, catalogue};
use mailwarden_policy::{Person, Policy};
use serde::Serialize;

use super::build::Builder;
use super::closure::{Direction, Way, closure};
use super::link::{Link, Power};
use super::node::Node;
use super::{Graph, grants};
use crate::Run;
use crate::brief::Brief;
use crate::wording::day;

/// The schema name of an answer.
pub const REACH_SCHEMA: &str = "mailwarden.reach/1";

/// What is asked.
#[derive(Debug, Clone)]
pub enum Question {
    /// Where mail to and from an address ends, and who can send as it.
    Address(Address),
    /// What a person of the policy can still reach, by their place in it.
    Person(usize),
}

/// Something the answer does not know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unknown {
    /// What.
    pub what: String,
    /// Why, and what would tell.
    pub why: String,
}

/// Everything that can be said.
#[derive(Debug, Serialize)]
pub struct Reach {
    /// Always [`REACH_SCHEMA`].
    pub schema: &'static str,
    /// The address or the name.
    pub asked: String,
    /// The people behind addresses and logins that appear, as `address: name`.
    pub people: Vec<String>,
    /// Where mail to the address ends, and who gets what is in its mailbox.
    pub forward: Vec<Way>,
    /// What the person can reach.
    pub reverse: Vec<Way>,
    /// What is not known; an answer with such parts is not complete.
    pub unknown: Vec<Unknown>,
    /// Ways beyond those listed.
    pub left_out: usize,
}

/// Answers a question from what a run saw.
pub fn reach(
    run: &Run,
    policy: &Policy,
    observations: &[Observation],
    coverage: &[Coverage],
    question: &Question,
) -> Reach {
    let brief = Brief { run, policy, observations, coverage };
    let mut builder = Builder::of(&brief);
    match question {
        Question::Address(address) => forward(&mut builder, address),
        Question::Person(person) => reverse(&mut builder, &policy.people()[*person]),
    }
}

fn forward(builder: &mut Builder<'_>, address: &Address) -> Reach {
    let key = address.key();
    let mut roots = vec![builder.node(Node::address(&key))];
    builder.route_all();
    let domain = format!("@{}", address.domain());
    let further = [
        Node::Sender { value: key.clone() },
        Node::Sender { value: domain },
        Node::AllMail,
        // A copy of what is sent, and of all mail, concerns the address as much as its own mail does.
    ];
    roots.extend(further.iter().filter_map(|node| builder.graph.find(node)));
    let wanted = |link: &Link| link.power != Power::Is;
    let found = closure(&builder.graph, &roots, Direction::Forwards, wanted, ends_here);
    let reached: BTreeSet<usize> = found.reached.iter().copied().collect();
    let mut unknown = gaps_of_mailboxes(builder, &reached);
    unknown.extend(system_gaps(builder));
    unknown.extend(relevant(builder, &found.ways));
    answer(builder, address.to_string(), (found.ways, Vec::new()), unknown, found.left_out)
}

/// An end of a way forwards: whoever gains, and an address from which nothing leads on. The owner's own login
/// says nothing that the mailbox does not say.
fn ends_here(graph: &Graph, at: usize) -> bool {
    let is_owner = |link: &usize| {
        let link = &graph.links[*link];
        link.label.is_empty() && matches!(graph.nodes[link.from], Node::Mailbox { .. })
    };
    let goes_on = graph.leaving[at].iter().any(|link| graph.links[*link].power != Power::Is);
    match &graph.nodes[at] {
        Node::Login { .. } => !graph.arriving[at].iter().all(is_owner),
        node if node.is_end() => true,
        _ => !goes_on,
    }
}

fn reverse(builder: &mut Builder<'_>, person: &Person) -> Reach {
    let known_as = person.addresses.first().or(person.external_addresses.first());
    let known_as = known_as.map(ToString::to_string).unwrap_or_default();
    let root = builder.node(Node::Person { value: person.name.clone(), known_as });
    let logins: Vec<String> = person.addresses.iter().map(Address::key).collect();
    grants::open_to_logins(builder, &logins);
    builder.route_all();
    let found = closure(
        &builder.graph,
        &[root],
        Direction::Backwards,
        |_| true,
        |graph, at| graph.nodes[at].is_asset(),
    );
    let own = |way: &Way| way.links.iter().all(|link| link.power == Power::Is);
    let mut told = BTreeSet::new();
    let ways: Vec<Way> = found
        .ways
        .into_iter()
        .filter(|way| !own(way) && told.insert((way.path.clone(), way.power == Power::Reads)))
        .collect();
    let mut unknown: BTreeSet<Unknown> = builder.unknown.clone();
    unknown.extend(builder.brief.coverage.iter().filter_map(gap));
    unknown.extend(system_gaps(builder));
    unknown.extend(not_looked_for(builder));
    answer(builder, person.name.clone(), (Vec::new(), ways), unknown, found.left_out)
}

fn answer(
    builder: &Builder<'_>,
    asked: String,
    (forward, reverse): (Vec<Way>, Vec<Way>),
    unknown: BTreeSet<Unknown>,
    left_out: usize,
) -> Reach {
    let named = |node: &Node| match node {
        Node::Address { value } | Node::Mailbox { value } | Node::Login { value } => behind(builder, value),
        _ => None,
    };
    let ends = forward.iter().chain(&reverse).flat_map(|way| [&way.from, &way.to]);
    let people: BTreeSet<String> = ends.filter_map(named).collect();
    Reach {
        schema: REACH_SCHEMA,
        asked,
        people: people.into_iter().collect(),
        forward,
        reverse,
        unknown: unknown.into_iter().collect(),
        left_out,
    }
}

/// `bob@gmail.example: Bob Leaver, left 2026-01-31`.
fn behind(builder: &Builder<'_>, value: &str) -> Option<String> {
    let person = builder.brief.policy.person(&value.parse().ok()?)?;
    let left = match person.left {
        Some(left) if builder.brief.has_left(person) => format!(", left {}", day(left)),
        Some(left) => format!(", leaves {}", day(left)),
        None => String::new(),
    };
    Some(format!("{value}: {}{left}", person.name))
}

// --- what is not known ----------------------------------------------------------------------------------------------

fn gap(row: &Coverage) -> Option<Unknown> {
    (!row.state.is_complete()).then(|| Unknown {
        what: format!("{} of {}", row.surface, row.mailbox),
        why: format!("{}: {}", format!("{:?}", row.state).to_lowercase(), row.reason),
    })
}

/// A mailbox on the way that was not looked at, or not in full.
fn gaps_of_mailboxes(builder: &Builder<'_>, reached: &BTreeSet<usize>) -> BTreeSet<Unknown> {
    let mut unknown = BTreeSet::new();
    for &at in reached {
        let Node::Mailbox { value } = &builder.graph.nodes[at] else { continue };
        let rows: Vec<&Coverage> =
            builder.brief.coverage.iter().filter(|row| row.mailbox.eq_ignore_ascii_case(value)).collect();
        unknown.extend(rows.iter().copied().filter_map(gap));
        for surface in ["managesieve.scripts", "imap.acl", "imap.metadata"] {
            if !rows.iter().any(|row| row.surface == surface) {
                let what = format!("{surface} of {value}");
                unknown.insert(Unknown { what, why: "nobody looked; sweep the mailbox".to_owned() });
            }
        }
    }
    unknown
}

/// Tables of the mail system that were not read.
fn system_gaps(builder: &Builder<'_>) -> BTreeSet<Unknown> {
    let read = |surface: &str| builder.brief.has_seen_all(SYSTEM, surface);
    let tables =
        ["postfix.virtual_alias_maps", "postfix.alias_maps", "postfix.bcc_maps", "postfix.sender_login_maps"];
    let unread = tables.iter().filter(|surface| !read(surface));
    unread
        .map(|surface| Unknown {
            what: format!("{surface} of the mail system"),
            why: "not read in full; run `mailwarden sweep --all` where Postfix runs".to_owned(),
        })
        .collect()
}

/// Of what the whole graph does not know, what concerns these ways.
fn relevant(builder: &Builder<'_>, ways: &[Way]) -> BTreeSet<Unknown> {
    let ends: Vec<String> = ways.iter().map(|way| way.to.text()).collect();
    let concerns = |unknown: &&Unknown| {
        unknown.what.starts_with("whether")
            || ends.iter().any(|end| {
                let bare = end.trim_start_matches("file ").trim_start_matches("group ");
                unknown.what.contains(bare)
            })
    };
    builder.unknown.iter().filter(concerns).cloned().collect()
}

/// Surfaces of the catalogue that no collector reads could hold more.
fn not_looked_for(builder: &Builder<'_>) -> BTreeSet<Unknown> {
    let covered = |id: &str| builder.brief.coverage.iter().any(|row| row.surface == id);
    let open =
        catalogue().1.iter().filter(|surface| !surface.not_collected.is_empty() && !covered(&surface.id));
    open.map(|surface| Unknown { what: surface.id.clone(), why: surface.not_collected.clone() }).collect()
}
