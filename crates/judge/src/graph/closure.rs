//! Walking the graph.

use std::collections::VecDeque;

use serde::Serialize;

use super::Graph;
use super::link::{Acting, Link, Power};
use super::node::Node;

/// Most ways in one answer. What is beyond is counted.
pub(super) const MAX_WAYS: usize = 5_000;

/// One way through the graph, written in the direction in which access leads.
#[derive(Debug, Clone, Serialize)]
pub struct Way {
    /// Where it begins.
    pub from: Node,
    /// Where it ends.
    pub to: Node,
    /// What the one at its end can do with what is at its beginning.
    pub power: Power,
    /// Whether every link of it acts.
    pub acting: Acting,
    /// The steps in plain words.
    pub path: Vec<String>,
    /// The links with what proves them.
    pub links: Vec<Link>,
    /// The last (walking backwards: the first) link leads to a node that this way already passed.
    pub is_loop: bool,
    /// It leads to a node to which a shorter way is listed, and goes on from there as that one does.
    pub joins: bool,
}

/// Which way links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forwards,
    Backwards,
}

/// All that was reached.
pub(super) struct Closure {
    /// Nodes in the order in which they were reached.
    pub(super) reached: Vec<usize>,
    pub(super) ways: Vec<Way>,
    /// Ways beyond [`MAX_WAYS`].
    pub(super) left_out: usize,
}

struct Walk<'g> {
    graph: &'g Graph,
    direction: Direction,
    /// The link by which a node was first reached.
    by: Vec<Option<usize>>,
    seen: Vec<bool>,
    reached: Vec<usize>,
    /// Links that lead to a node reached before.
    others: Vec<usize>,
}

/// Everything that can be reached from some nodes, over the links that are wanted.
pub(super) fn closure(
    graph: &Graph,
    roots: &[usize],
    direction: Direction,
    wanted: impl Fn(&Link) -> bool,
    is_end: impl Fn(&Graph, usize) -> bool,
) -> Closure {
    let mut walk = Walk {
        graph,
        direction,
        by: vec![None; graph.nodes.len()],
        seen: vec![false; graph.nodes.len()],
        reached: Vec::new(),
        others: Vec::new(),
    };
    walk.run(roots, &wanted);
    let ends: Vec<usize> =
        walk.reached.iter().copied().filter(|&at| walk.by[at].is_some() && is_end(graph, at)).collect();
    let total = ends.len() + walk.others.len();
    let first = ends.into_iter().map(|at| walk.way(walk.tree(at), false));
    let further = walk.others.iter().map(|&link| walk.further(link));
    let ways: Vec<Way> = first.chain(further).take(MAX_WAYS).collect();
    Closure { left_out: total - ways.len(), ways, reached: walk.reached }
}

impl Walk<'_> {
    /// Breadth first, so that the way shown to a node is a shortest one. Every node once, every link once.
    fn run(&mut self, roots: &[usize], wanted: &impl Fn(&Link) -> bool) {
        let mut waiting: VecDeque<usize> = VecDeque::new();
        for &root in roots {
            if !std::mem::replace(&mut self.seen[root], true) {
                waiting.push_back(root);
            }
        }
        while let Some(at) = waiting.pop_front() {
            self.reached.push(at);
            let links = match self.direction {
                Direction::Forwards => &self.graph.leaving[at],
                Direction::Backwards => &self.graph.arriving[at],
            };
            for &link in links.iter().filter(|&&link| wanted(&self.graph.links[link])) {
                let next = self.next(link);
                if std::mem::replace(&mut self.seen[next], true) {
                    self.others.push(link);
                } else {
                    self.by[next] = Some(link);
                    waiting.push_back(next);
                }
            }
        }
    }

    fn next(&self, link: usize) -> usize {
        let link = &self.graph.links[link];
        if self.direction == Direction::Forwards { link.to } else { link.from }
    }

    fn previous(&self, link: usize) -> usize {
        let link = &self.graph.links[link];
        if self.direction == Direction::Forwards { link.from } else { link.to }
    }

    /// The links from a root to a node, in walking order.
    fn tree(&self, at: usize) -> Vec<usize> {
        let mut links = Vec::new();
        let mut at = at;
        while let Some(link) = self.by[at] {
            links.push(link);
            at = self.previous(link);
        }
        links.reverse();
        links
    }

    /// A link to a node reached before: a second way there, or a loop.
    fn further(&self, link: usize) -> Way {
        let mut links = self.tree(self.previous(link));
        let next = self.next(link);
        let root = links.first().map_or(self.previous(link), |&first| self.previous(first));
        let is_loop = next == root || links.iter().any(|&passed| self.next(passed) == next);
        links.push(link);
        Way { is_loop, joins: !is_loop, ..self.way(links, false) }
    }

    fn way(&self, mut walked: Vec<usize>, is_loop: bool) -> Way {
        if self.direction == Direction::Backwards {
            walked.reverse();
        }
        let links: Vec<&Link> = walked.iter().map(|&link| &self.graph.links[link]).collect();
        let ends = links.first().zip(links.last()).map_or((0, 0), |(first, last)| (first.from, last.to));
        Way {
            from: self.graph.nodes[ends.0].clone(),
            to: self.graph.nodes[ends.1].clone(),
            power: power(&links),
            acting: links.iter().map(|link| link.acting).max().unwrap_or(Acting::Now),
            path: self.graph.rendered(&links),
            links: links.into_iter().cloned().collect(),
            is_loop,
            joins: false,
        }
    }
}

/// What a way gives is what its last link gives that is more than another name.
fn power(links: &[&Link]) -> Power {
    links.iter().rev().map(|link| link.power).find(|power| *power != Power::Is).unwrap_or(Power::Is)
}
