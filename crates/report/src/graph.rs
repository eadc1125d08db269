//! Ways drawn as a picture, laid over each other from left to right: where the mail of one mailbox goes, what one
//! person can reach.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use askama::filters::{Escaper, Html, HtmlSafe};

use crate::sanitise::{clipped, visible};

/// More places than these are no picture any more, where it stands among other things.
const MAX_NODES: usize = 24;
/// The same where it stands alone.
const MAX_NODES_ALONE: usize = 120;
/// A longer path goes on in its last column.
const MAX_COLUMNS: usize = 16;
/// Characters on one line of a box.
const MAX_LINE: usize = 26;
/// Lines of a box; the whole of a longer name is in the text under the pointer.
const MAX_LINES: usize = 2;

const BOX_WIDTH: usize = 210;
const BOX_HEIGHT: usize = 44;
const LINE_HEIGHT: usize = 15;
const COLUMN: usize = 260;
const ROW: usize = 54;
const MARGIN: usize = 8;
/// Height of a line of words above and below a picture that stands alone.
const CAPTION: usize = 32;
/// No character of these words takes more, but for a few that nobody has many of in a name.
const WIDEST_CHARACTER: usize = 9;

/// Colours of a picture that stands alone, on a light and on a dark screen.
const STYLE: &str = "svg{background:#fff;color:#1a1d23}.edge{fill:none;stroke:#50565f;stroke-width:1.5}\
    .head{fill:#50565f}rect{fill:#fff;stroke:#c9ced6}.end rect{stroke:#1a1d23;stroke-width:2}\
    text{fill:currentColor;font:12px ui-monospace,'DejaVu Sans Mono',monospace;unicode-bidi:plaintext}\
    .words{font:14px system-ui,sans-serif}.caption{font-weight:700}\
    @media(prefers-color-scheme:dark){svg{background:#14161a;color:#e9ebef}.edge{stroke:#aab1bd}\
    .head{fill:#aab1bd}rect{fill:#1d2026;stroke:#3d434d}.end rect{stroke:#e9ebef}}";

/// A picture that can stand in a page: everything in it is escaped.
#[derive(Debug)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    /// From and to, each once.
    edges: Vec<(usize, usize)>,
    /// Paths that would have made it too big.
    pub(crate) left_out: usize,
    room: usize,
    caption: String,
}

#[derive(Debug)]
struct Node {
    name: String,
    column: usize,
    row: usize,
    /// Nothing follows: here the ways end.
    is_end: bool,
}

/// Ways of one kind, under the words that say which.
#[derive(Debug)]
pub struct Ways<'a> {
    /// What these ways are.
    pub heading: String,
    /// The steps of each.
    pub paths: Vec<&'a [String]>,
}

/// Ways in an SVG file of its own, each kind in a picture of its own, with `remarks` below. Steps that two ways share
/// are drawn once; what does not fit is counted.
#[must_use]
pub fn picture(caption: &str, kinds: &[Ways<'_>], remarks: &[String]) -> String {
    let drawn =
        kinds.iter().map(|kind| Graph::laid(&kind.heading, kind.paths.iter().copied(), MAX_NODES_ALONE));
    let sheet = Sheet {
        caption: shown(caption),
        graphs: drawn.collect(),
        remarks: remarks.iter().map(|remark| shown(remark)).collect(),
    };
    // Writing to a String cannot fail.
    let mut svg = String::new();
    let _ = sheet.write(&mut svg);
    svg
}

/// A file with pictures under each other.
struct Sheet {
    caption: String,
    graphs: Vec<Graph>,
    remarks: Vec<String>,
}

impl Sheet {
    fn write(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let (width, height) = self.size();
        write!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width}\" height=\"{height}\" "
        )?;
        write!(f, "viewBox=\"0 0 {width} {height}\"><title>")?;
        Html.write_escaped_str(&mut *f, &self.caption)?;
        write!(f, "</title><style>{STYLE}</style>")?;
        words(f, "words caption", 0, &self.caption)?;
        let mut level = CAPTION;
        for graph in &self.graphs {
            words(f, "words", level, &graph.heading())?;
            write!(f, "<g transform=\"translate(0 {})\">", level + CAPTION)?;
            graph.write_all(f)?;
            f.write_str("</g>")?;
            level += CAPTION + graph.size().1;
        }
        for remark in &self.remarks {
            words(f, "words", level, remark)?;
            level += CAPTION;
        }
        f.write_str("</svg>\n")
    }

    fn size(&self) -> (usize, usize) {
        let sizes = self.graphs.iter().map(Graph::size);
        let (widest, heights) =
            sizes.fold((0, 0), |(widest, all), (width, height)| (widest.max(width), all + height + CAPTION));
        let headings = self.graphs.iter().map(Graph::heading);
        let longest = self.remarks.iter().cloned().chain(headings).chain([self.caption.clone()]);
        let longest = longest.map(|text| text.chars().count()).max().unwrap_or_default();
        let width = widest.max(longest * WIDEST_CHARACTER + 2 * MARGIN);
        (width, heights + CAPTION * (self.remarks.len() + 1))
    }
}

impl Graph {
    /// The paths of findings over each other; none where there is nothing to see that one path would not show.
    pub(crate) fn of<'a>(mailbox: &str, paths: impl Iterator<Item = &'a [String]>) -> Option<Graph> {
        let graph = Graph::laid(&format!("Where mail of {mailbox} goes"), paths, MAX_NODES);
        (graph.edges.len() > 1).then_some(graph)
    }

    fn laid<'a>(caption: &str, paths: impl Iterator<Item = &'a [String]>, room: usize) -> Graph {
        let mut graph = Graph { nodes: vec![], edges: vec![], left_out: 0, room, caption: shown(caption) };
        let mut places = BTreeMap::new();
        for path in paths {
            graph.add(&mut places, path);
        }
        graph.put_in_place();
        graph
    }

    fn add<'a>(&mut self, places: &mut BTreeMap<Place<'a>, usize>, path: &'a [String]) {
        let own: Vec<Place<'a>> = (0..path.len()).map(|at| place(path, at)).collect();
        let unknown = own.iter().filter(|place| !places.contains_key(*place)).count();
        if self.nodes.len() + unknown > self.room {
            self.left_out += 1;
            return;
        }
        let mut before = None;
        for place in own {
            let at = *places.entry(place).or_insert_with(|| {
                self.nodes.push(Node { name: shown(place.1), column: 0, row: 0, is_end: true });
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

    /// What ends in few places is lined up at them, anything else where it begins.
    fn put_in_place(&mut self) {
        let forward = self.edges_without_circles();
        let ends = |of: fn(&(usize, usize)) -> usize| {
            (0..self.nodes.len()).filter(|at| !forward.iter().any(|edge| of(edge) == *at)).count()
        };
        let (begins, ends) = (ends(|(_, to)| *to), ends(|(from, _)| *from));
        if begins <= ends {
            self.put_in_columns(&forward);
            self.put_in_rows(&forward);
            return;
        }
        let backward: Vec<_> = forward.into_iter().map(|(from, to)| (to, from)).collect();
        self.put_in_columns(&backward);
        self.put_in_rows(&backward);
        let last = self.nodes.iter().map(|node| node.column).max().unwrap_or_default();
        self.nodes.iter_mut().for_each(|node| node.column = last - node.column);
    }

    /// Each step behind all that lead to it.
    fn put_in_columns(&mut self, edges: &[(usize, usize)]) {
        for _ in 0..self.nodes.len() {
            for (from, to) in edges {
                let behind = (self.nodes[*from].column + 1).min(MAX_COLUMNS - 1);
                self.nodes[*to].column = self.nodes[*to].column.max(behind);
            }
        }
    }

    /// Column by column; a step stands level with the first that leads to it, or below what is there already.
    fn put_in_rows(&mut self, edges: &[(usize, usize)]) {
        for column in 0..MAX_COLUMNS {
            let here = (0..self.nodes.len()).filter(|at| self.nodes[*at].column == column);
            let mut here: Vec<_> = here.map(|at| (self.level(edges, at), at)).collect();
            here.sort_unstable();
            let mut free = 0;
            for (level, at) in here {
                self.nodes[at].row = level.max(free);
                free = self.nodes[at].row + 1;
            }
        }
    }

    fn level(&self, edges: &[(usize, usize)], at: usize) -> usize {
        let before = edges.iter().filter(|(_, to)| *to == at).map(|(from, _)| &self.nodes[*from]);
        let column = self.nodes[at].column;
        before.filter(|node| node.column < column).map(|node| node.row).min().unwrap_or_default()
    }

    /// Edges in the order in which they came, without those that would close a circle.
    fn edges_without_circles(&self) -> Vec<(usize, usize)> {
        let mut forward = Vec::with_capacity(self.edges.len());
        for (from, to) in &self.edges {
            if !leads(&forward, *to, *from) {
                forward.push((*from, *to));
            }
        }
        forward
    }

    fn size(&self) -> (usize, usize) {
        let columns = self.nodes.iter().map(|node| node.column).max().unwrap_or_default();
        let rows = self.nodes.iter().map(|node| node.row).max().unwrap_or_default();
        (columns * COLUMN + BOX_WIDTH + 2 * MARGIN, rows * ROW + BOX_HEIGHT + 2 * MARGIN)
    }

    fn write_all(&self, f: &mut impl fmt::Write) -> fmt::Result {
        self.edges.iter().try_for_each(|(from, to)| self.write_edge(f, *from, *to))?;
        self.nodes.iter().try_for_each(|node| node.write(f))
    }

    /// From the right side of one box to the left side of the other; back and down where that is to the left. An edge
    /// that passes other columns runs in the gap below the row where it ends, for boxes would hide it.
    fn write_edge(&self, f: &mut impl fmt::Write, from: usize, to: usize) -> fmt::Result {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let (x, y) = (from.left() + BOX_WIDTH, from.middle());
        let (end, level) = (to.left(), to.middle());
        let bend = COLUMN - BOX_WIDTH;
        // A box at the left edge has nothing to the left of it to bend in.
        let before = end.saturating_sub(bend);
        write!(f, "<path class=\"edge\" d=\"M{x} {y}C{} {y} ", x + bend)?;
        if to.column > from.column + 1 {
            let gap = level + ROW / 2;
            write!(f, "{x} {gap} {} {gap}L{before} {gap}C{end} {gap} ", x + bend)?;
        }
        write!(f, "{before} {level} {end} {level}\"></path>")?;
        // A marker would be asked for by url(), which the page does without.
        write!(
            f,
            "<path class=\"head\" d=\"M{} {}L{end} {level}L",
            end.saturating_sub(7),
            level.saturating_sub(4)
        )?;
        write!(f, "{} {}Z\"></path>", end.saturating_sub(7), level + 4)
    }

    fn heading(&self) -> String {
        match self.left_out {
            0 => self.caption.clone(),
            more => format!("{} ({more} further ways would not fit into the picture)", self.caption),
        }
    }
}

/// A line of words in the strip that begins at a level.
fn words(f: &mut impl fmt::Write, class: &str, level: usize, text: &str) -> fmt::Result {
    write!(f, "<text class=\"{class}\" x=\"{MARGIN}\" y=\"{}\">", level + CAPTION - 10)?;
    Html.write_escaped_str(&mut *f, text)?;
    f.write_str("</text>")
}

/// What a step is known by. What stands between two places, `virtual alias`, is known with the step before it:
/// drawn as one, it would lead from each place to what only another leads to.
type Place<'a> = (&'a str, &'a str);

fn place(path: &[String], at: usize) -> Place<'_> {
    let step = path[at].as_str();
    let is_address = step.contains('@') && !step.contains(' ');
    let between = at > 0 && at + 1 < path.len() && !is_address;
    (if between { &path[at - 1] } else { "" }, step)
}

/// Whether the edges lead from one node to the other.
fn leads(edges: &[(usize, usize)], from: usize, to: usize) -> bool {
    let (mut reached, mut at) = (vec![from], 0);
    while let Some(node) = reached.get(at).copied() {
        let next = edges.iter().filter(|(from, _)| *from == node).map(|(_, to)| *to);
        let fresh: Vec<_> = next.filter(|next| !reached.contains(next)).collect();
        reached.extend(fresh);
        at += 1;
    }
    reached.contains(&to)
}

impl Node {
    fn left(&self) -> usize {
        MARGIN + self.column * COLUMN
    }

    fn middle(&self) -> usize {
        MARGIN + self.row * ROW + BOX_HEIGHT / 2
    }

    fn write(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let class = if self.is_end { "node end" } else { "node" };
        write!(f, "<g class=\"{class}\"><title>")?;
        Html.write_escaped_str(&mut *f, &self.name)?;
        let top = self.middle() - BOX_HEIGHT / 2;
        write!(f, "</title><rect x=\"{}\" y=\"{top}\" width=\"{BOX_WIDTH}\" ", self.left())?;
        write!(f, "height=\"{BOX_HEIGHT}\" rx=\"4\"></rect>")?;
        let lines = lines(&self.name);
        let first = self.middle() + 5 - (lines.len() - 1) * LINE_HEIGHT / 2;
        for (at, line) in lines.iter().enumerate() {
            write!(f, "<text x=\"{}\" y=\"{}\">", self.left() + 8, first + at * LINE_HEIGHT)?;
            Html.write_escaped_str(&mut *f, line)?;
            f.write_str("</text>")?;
        }
        f.write_str("</g>")
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size();
        // An HTML parser gives viewbox its capital letter.
        write!(f, "<svg class=\"graph\" role=\"img\" width=\"{width}\" height=\"{height}\" ")?;
        write!(f, "viewbox=\"0 0 {width} {height}\"><title>")?;
        Html.write_escaped_str(&mut *f, &self.caption)?;
        f.write_str("</title>")?;
        self.write_all(f)?;
        f.write_str("</svg>")
    }
}

impl HtmlSafe for Graph {}

fn shown(text: &str) -> String {
    visible(&clipped(text)).into_owned()
}

/// The name on the lines of a box, broken behind a blank or an @ where there is one late enough. At least one line.
fn lines(name: &str) -> Vec<String> {
    let short = shortened(name);
    let characters: Vec<char> = short.chars().collect();
    if characters.len() <= MAX_LINE {
        return vec![short];
    }
    let seam = characters[..MAX_LINE].iter().rposition(|c| matches!(c, ' ' | '@' | ':' | '/' | '-'));
    let seam = seam.map(|at| at + 1).filter(|at| characters.len() - at <= MAX_LINE).unwrap_or(MAX_LINE);
    let (first, second) = characters.split_at(seam);
    [first, second].map(|line| line.iter().collect::<String>().trim().to_owned()).into()
}

/// The beginning and the end of a long name: the end of an address is where it differs.
fn shortened(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= MAX_LINE * MAX_LINES {
        return name.to_owned();
    }
    let half = (MAX_LINE * MAX_LINES - 1) / 2;
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
        let circle = drawn(&["a@x b@x a@x b@x a@x", "b@x c"]).unwrap();
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
    fn a_name_takes_two_lines_and_a_longer_one_keeps_its_end() {
        assert_eq!(lines("sales@example.test"), ["sales@example.test"]);
        assert_eq!(
            lines("rights lr on folder \"Archive/2026\""),
            ["rights lr on folder", "\"Archive/2026\""]
        );
        assert_eq!(lines("somebody.with.a.name@gmail.example"), ["somebody.with.a.name@", "gmail.example"]);
        assert_eq!(lines(""), [""]);
        let long = lines(&format!("{}@gmail.example", "a".repeat(80)));
        assert_eq!(long.len(), MAX_LINES);
        assert!(long.iter().all(|line| line.chars().count() <= MAX_LINE), "{long:?}");
        assert!(long[0].starts_with("aaaa") && long[1].ends_with("@gmail.example"), "{long:?}");
    }

    #[test]
    fn ways_are_lined_up_at_the_one_place_where_they_end() {
        let graph = drawn(&["bob@x Bob", "sales script out Bob", "ops rights bob@x Bob"]).unwrap();
        let place = |name: &str| {
            let node = graph.nodes.iter().find(|node| node.name == name).unwrap();
            (node.column, node.row)
        };
        assert_eq!([place("Bob"), place("out"), place("bob@x")], [(3, 0), (2, 1), (2, 0)]);
        assert_eq!([place("sales"), place("script")], [(0, 1), (1, 1)]);
        assert_eq!([place("ops"), place("rights")], [(0, 0), (1, 0)]);
    }

    #[test]
    fn what_lies_between_two_places_joins_no_others() {
        let graph = drawn(&["a@x alias b@x", "c@x alias d@x", "a@x alias e@x"]).unwrap();
        let named = |at: usize| graph.nodes[at].name.as_str();
        let edges: Vec<_> = graph.edges.iter().map(|(from, to)| (named(*from), named(*to))).collect();
        let from_alias: Vec<_> = graph.edges.iter().filter(|(from, _)| named(*from) == "alias").collect();
        assert_eq!(edges.iter().filter(|edge| **edge == ("alias", "d@x")).count(), 1);
        assert_eq!(from_alias.len(), 3);
        assert_eq!(graph.nodes.iter().filter(|node| node.name == "alias").count(), 2);
    }

    #[test]
    fn a_picture_of_its_own_says_what_is_not_in_it() {
        let ways: Vec<_> = (0..100).map(|at| path(&format!("Bob hop{at} out{at}"))).collect();
        let kinds =
            [Ways { heading: "Bob can read".to_owned(), paths: ways.iter().map(Vec::as_slice).collect() }];
        let svg = picture("What <Bob> can reach", &kinds, &["Not known: <lists>".to_owned()]);
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" "), "{svg}");
        assert!(svg.contains("What &#60;Bob&#62; can reach") && svg.contains("Not known: &#60;lists&#62;"));
        assert!(svg.contains(">Bob can read (41 further ways would not fit into the picture)<"), "{svg}");
        assert_eq!(svg.matches("<rect ").count(), 119);
        assert!(!svg.contains("<script") && !svg.contains("href"));
    }
}
