//! The access graph: who can read, receive, send as, log in as or run on what, each link with what proves it.
//!
//! Links lead the way access leads: from a mailbox to whoever reads it, from an address to wherever its mail
//! goes. Followed forwards from an address they say where mail ends; followed backwards from a person they say
//! what that person can still reach. Nothing is followed to a depth: a node is visited once, and every link
//! among the visited nodes is in some answer, so a cycle ends a walk without hiding a way.

mod build;
mod closure;
mod grants;
mod link;
mod lists;
mod mail;
mod node;
mod pattern;
mod reach;
mod rights;
mod rows;
mod scripts;
mod sending;

pub use closure::Way;
pub use link::{Acting, Link, Power, Proof};
pub use node::Node;
pub use reach::{Question, REACH_SCHEMA, Reach, Unknown, reach};

pub(crate) use build::Builder;

use std::collections::HashMap;

use crate::Locator;

/// Nodes and links. Identifiers are places in the two lists.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    index: HashMap<Node, usize>,
    links: Vec<Link>,
    leaving: Vec<Vec<usize>>,
    arriving: Vec<Vec<usize>>,
}

impl Graph {
    /// The place of a node, and whether it is new.
    fn intern(&mut self, node: Node) -> (usize, bool) {
        if let Some(&known) = self.index.get(&node) {
            return (known, false);
        }
        let at = self.nodes.len();
        self.nodes.push(node.clone());
        self.index.insert(node, at);
        self.leaving.push(Vec::new());
        self.arriving.push(Vec::new());
        (at, true)
    }

    /// Adds a link once; a node never leads to itself.
    fn link(&mut self, link: Link) {
        let same = |&at: &usize| {
            let known = &self.links[at];
            known.to == link.to
                && known.power == link.power
                && known.label == link.label
                && known.locator == link.locator
        };
        if link.from == link.to || self.leaving[link.from].iter().any(same) {
            return;
        }
        let at = self.links.len();
        self.leaving[link.from].push(at);
        self.arriving[link.to].push(at);
        self.links.push(link);
    }

    fn find(&self, node: &Node) -> Option<usize> {
        self.index.get(node).copied()
    }

    /// The mailbox a link is written in, where it is in one.
    fn place_of(&self, link: &Link) -> Option<&str> {
        match &self.nodes[link.from] {
            Node::Script { mailbox, .. } => Some(mailbox),
            Node::Mailbox { value } => Some(value),
            _ => None,
        }
    }

    /// A link with what leads to it through scripts and tables, and what follows without a choice.
    fn extended<'g>(&'g self, link: &'g Link) -> Vec<&'g Link> {
        let mut way = vec![link];
        let mut seen = vec![link.from, link.to];
        // A list that an alias includes is a file, which is an end only where nothing leads on.
        let is_between = |node: &Node| node.is_between() || matches!(node, Node::File { .. });
        while is_between(&self.nodes[way[0].from]) {
            let lead = self.arriving[way[0].from].iter().map(|&at| &self.links[at]);
            let Some(before) = lead.min_by_key(|lead| (lead.acting, lead.from)) else { break };
            if seen.contains(&before.from) {
                break;
            }
            seen.push(before.from);
            way.insert(0, before);
        }
        while let Some(next) = self.only_way_on(way[way.len() - 1].to) {
            if seen.contains(&next.to) {
                break;
            }
            seen.push(next.to);
            way.push(next);
        }
        way
    }

    fn only_way_on(&self, at: usize) -> Option<&Link> {
        let mut mail = self.leaving[at].iter().map(|&link| &self.links[link]).filter(|link| {
            matches!(link.power, Power::ReceivesCopy | Power::Runs) && link.acting == Acting::Now
        });
        let only = mail.next()?;
        mail.next().is_none().then_some(only)
    }

    /// The steps of a way as plain phrases: nodes, and between them what leads on.
    fn rendered(&self, way: &[&Link]) -> Vec<String> {
        let mut steps: Vec<String> = Vec::new();
        let mut say = |text: String| {
            if !text.is_empty() && steps.last() != Some(&text) {
                steps.push(text);
            }
        };
        for (number, link) in way.iter().enumerate() {
            if number == 0 {
                say(self.nodes[link.from].text());
            }
            say(link.step());
            if !self.nodes[link.to].is_between() || number + 1 == way.len() {
                say(self.nodes[link.to].text());
            }
        }
        steps
    }
}

/// The ways that findings are about, found by where a rule is written.
pub(crate) struct Paths<'g> {
    graph: &'g Graph,
    written: HashMap<String, Vec<usize>>,
}

impl<'g> Paths<'g> {
    pub(crate) fn of(graph: &'g Graph) -> Self {
        let mut written: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, link) in graph.links.iter().enumerate() {
            written.entry(format!("{:?}", link.locator)).or_default().push(at);
        }
        Self { graph, written }
    }

    /// The way a finding is about: from its mailbox or key over the link written at a place to a target, and
    /// on as long as there is only one way to go.
    pub(crate) fn of_finding(&self, mailbox: &str, locator: &Locator, target: &str) -> Option<Vec<String>> {
        let is_here =
            |link: &&Link| self.graph.place_of(link).is_none_or(|place| place.eq_ignore_ascii_case(mailbox));
        if *locator == Locator::default() {
            return None;
        }
        let written = self.written.get(&format!("{locator:?}"))?;
        let here: Vec<&Link> = written.iter().map(|&at| &self.graph.links[at]).filter(is_here).collect();
        let is_target = |link: &&&Link| self.graph.nodes[link.to].text().eq_ignore_ascii_case(target);
        let link = here.iter().find(is_target).or(here.first().filter(|_| here.len() == 1))?;
        Some(self.graph.rendered(&self.graph.extended(link)))
    }

    /// Other addresses whose mail reaches a mailbox and so takes the same ways, no more than `most`.
    pub(crate) fn also_for(&self, mailbox: &str, most: usize) -> Vec<String> {
        let Some(own) = self.graph.find(&Node::address(mailbox)) else { return Vec::new() };
        let wanted = |link: &Link| link.power == Power::ReceivesCopy && link.acting == Acting::Now;
        let found = closure::closure(self.graph, &[own], closure::Direction::Backwards, wanted, |_, _| false);
        let others =
            found.reached.iter().filter(|&&at| at != own).filter_map(|&at| match &self.graph.nodes[at] {
                Node::Address { value } => Some(value.clone()),
                _ => None,
            });
        others.take(most).collect()
    }
}

#[cfg(test)]
mod tests;
