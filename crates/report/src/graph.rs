//! Where the mail of one mailbox goes, drawn: the paths of its findings laid over each other, from left to right.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use askama::filters::{Escaper, Html, HtmlSafe};

use crate::sanitise::{clipped, visible};

/// More places than these are no picture any more.
const MAX_NODES: usize = 24;
/// A longer path goes on in its last column.
const MAX_COLUMNS: usize = 8;
/// Characters of a name in its box; the whole of it is in the text under the pointer.
const MAX_LABEL: usize = 26;

const BOX_WIDTH: usize = 200;
const BOX_HEIGHT: usize = 28;
const COLUMN: usize = 250;
const ROW: usize = 44;
const MARGIN: usize = 8;

/// A picture that can stand in a page: everything in it is escaped.
#[derive(Debug)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    /// From and to, each once.
    edges: Vec<(usize, usize)>,
    /// Paths that would have made it too big.
    pub(crate) left_out: usize,
    caption: String,
}

#[derive(Debug)]
struct Node {
    name: String,
    column: usize,
    row: usize,
    /// Nothing follows: mail ends here.
    is_end: bool,
}

impl Graph {
    /// The paths over each other; none where there is nothing to see that one path would not show.
    pub(crate) fn of<'a>(caption: &str, paths: impl Iterator<Item = &'a [String]>) -> Option<Graph> {
        let mut graph = Graph { nodes: vec![], edges: vec![], left_out: 0, caption: shown(caption) };
        let mut places = BTreeMap::new();
        for path in paths.filter(|path| path.len() > 1) {
            graph.add(&mut places, path);
        }
        (graph.edges.len() > 1).then(|| graph.placed())
    }

    fn add<'a>(&mut self, places: &mut BTreeMap<&'a str, usize>, path: &'a [String]) {
        let unknown = path.iter().filter(|step| !places.contains_key(step.as_str())).count();
        if self.nodes.len() + unknown > MAX_NODES {
            self.left_out += 1;
            return;
        }
        let mut before = None;
        for (position, step) in path.iter().enumerate() {
            let at = *places.entry(step).or_insert_with(|| {
                let column = position.min(MAX_COLUMNS - 1);
                self.nodes.push(Node { name: shown(step), column, row: 0, is_end: true });
                self.nodes.len() - 1
            });
            if let Some(before) = before.filter(|before| *before != at) {
                self.join(before, at);
            }
            before = Some(at);
        }
    }

    fn join(&mut self, from: usize, to: usize) {
        self.nodes[from].is_end = false;
        if !self.edges.contains(&(from, to)) {
            self.edges.push((from, to));
        }
    }

    /// Under each other in the order in which they came.
    fn placed(mut self) -> Graph {
        let mut taken = [0; MAX_COLUMNS];
        for node in &mut self.nodes {
            node.row = taken[node.column];
            taken[node.column] += 1;
        }
        self
    }

    fn size(&self) -> (usize, usize) {
        let columns = self.nodes.iter().map(|node| node.column).max().unwrap_or_default();
        let rows = self.nodes.iter().map(|node| node.row).max().unwrap_or_default();
        (columns * COLUMN + BOX_WIDTH + 2 * MARGIN, rows * ROW + BOX_HEIGHT + 2 * MARGIN)
    }

    /// From the right side of one box to the left side of the other; back and down where that is to the left.
    fn write_edge(&self, f: &mut fmt::Formatter<'_>, from: usize, to: usize) -> fmt::Result {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let (x, y) = (from.left() + BOX_WIDTH, from.middle());
        let (end, level) = (to.left(), to.middle());
        let bend = COLUMN / 5;
        write!(f, "<path class=\"edge\" d=\"M{x} {y}C{} {y} ", x + bend)?;
        // A box at the left edge has nothing to the left of it to bend in.
        write!(f, "{} {level} {end} {level}\"></path>", end.saturating_sub(bend))?;
        // A marker would be asked for by url(), which the page does without.
        write!(
            f,
            "<path class=\"head\" d=\"M{} {}L{end} {level}L",
            end.saturating_sub(7),
            level.saturating_sub(4)
        )?;
        write!(f, "{} {}Z\"></path>", end.saturating_sub(7), level + 4)
    }
}

impl Node {
    fn left(&self) -> usize {
        MARGIN + self.column * COLUMN
    }

    fn middle(&self) -> usize {
        MARGIN + self.row * ROW + BOX_HEIGHT / 2
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = if self.is_end { "node end" } else { "node" };
        write!(f, "<g class=\"{class}\"><title>")?;
        Html.write_escaped_str(&mut *f, &self.name)?;
        let top = self.middle() - BOX_HEIGHT / 2;
        write!(
            f,
            "</title><rect x=\"{}\" y=\"{top}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"4\"></rect>\
             <text x=\"{}\" y=\"{}\">",
            self.left(),
            self.left() + 8,
            self.middle() + 5
        )?;
        Html.write_escaped_str(&mut *f, &shortened(&self.name))?;
        f.write_str("</text></g>")
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size();
        // An HTML parser gives viewbox its capital letter.
        write!(f, "<svg class=\"graph\" role=\"img\" width=\"{width}\" height=\"{height}\" ")?;
        write!(f, "viewbox=\"0 0 {width} {height}\"><title>Where mail of ")?;
        Html.write_escaped_str(&mut *f, &self.caption)?;
        f.write_str(" goes</title>")?;
        self.edges.iter().try_for_each(|(from, to)| self.write_edge(f, *from, *to))?;
        self.nodes.iter().try_for_each(|node| node.write(f))?;
        f.write_str("</svg>")
    }
}

impl HtmlSafe for Graph {}

fn shown(text: &str) -> String {
    visible(&clipped(text)).into_owned()
}

/// The beginning and the end of a long name: the end of an address is where it differs.
fn shortened(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= MAX_LABEL {
        return name.to_owned();
    }
    let half = (MAX_LABEL - 1) / 2;
    let mut short: String = characters[..half].iter().collect();
    let _ = short.write_char('\u{2026}');
    short.extend(&characters[characters.len() - half..]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn drawn(paths: &[&str]) -> Option<Graph> {
        let paths: Vec<_> = paths.iter().map(|text| path(text)).collect();
        Graph::of("sales@a.example", paths.iter().map(Vec::as_slice))
    }

    #[test]
    fn what_two_paths_share_is_drawn_once() {
        let graph = drawn(&["sales alias bob out", "sales alias jane"]).unwrap();
        let names: Vec<_> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["sales", "alias", "bob", "out", "jane"]);
        assert_eq!(graph.edges, [(0, 1), (1, 2), (2, 3), (1, 4)]);
        let ends: Vec<_> =
            graph.nodes.iter().filter(|node| node.is_end).map(|node| node.name.as_str()).collect();
        assert_eq!(ends, ["out", "jane"]);
        let (bob, jane) = (&graph.nodes[2], &graph.nodes[4]);
        assert_eq!((bob.column, bob.row, jane.column, jane.row), (2, 0, 2, 1));
    }

    #[test]
    fn one_step_and_no_path_are_no_picture() {
        assert!(drawn(&["sales out"]).is_none() && drawn(&["sales"]).is_none() && drawn(&[]).is_none());
    }

    #[test]
    fn a_circle_ends_and_a_crowd_is_counted() {
        let circle = drawn(&["a b a b a", "b c"]).unwrap();
        assert_eq!((circle.nodes.len(), circle.edges.len()), (3, 3));
        let many: Vec<String> = (0..100).map(|at| format!("sales hop{at} out{at}")).collect();
        let graph = drawn(&many.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert!(graph.nodes.len() <= MAX_NODES);
        assert_eq!(graph.left_out, 100 - (graph.nodes.len() - 1) / 2);
        let long = (0..200).map(|at| format!("n{at}")).collect::<Vec<_>>().join(" ");
        assert!(drawn(&[&long]).is_none(), "longer than a picture");
    }

    #[test]
    fn strangers_names_are_text() {
        let evil = "</title><script>\u{202e}\"x";
        let paths = [vec!["a".to_owned(), evil.to_owned(), "c".to_owned()]];
        let graph = Graph::of(evil, paths.iter().map(Vec::as_slice)).unwrap().to_string();
        assert!(!graph.contains("<script") && !graph.contains('\u{202e}'), "{graph}");
        assert_eq!(graph.matches("</title>").count(), 4);
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(shortened("somebody.with.a.long.name@gmail.example"), "somebody.wit\u{2026}mail.example");
    }
}
