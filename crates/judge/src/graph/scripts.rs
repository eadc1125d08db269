//! What Sieve scripts pass on.

use sieve_analysis::{EffectKind, Form, Reach, Role, Target};

use super::build::{Builder, seen_by};
use super::link::{Acting, Link, Power};
use super::node::Node;
use crate::Locator;
use crate::checks::metadata::triggers;
use crate::checks::sieve::acts::{Act, acts};
use crate::checks::sieve::store::{Store, StoredScript, stores};
use crate::wording::shown;

/// Longest condition that a link repeats, in characters.
const MAX_CONDITION: usize = 200;

pub(super) fn add(builder: &mut Builder<'_>) {
    let triggers = triggers(builder.brief);
    for store in stores(builder.brief, &triggers) {
        let runs: Vec<usize> = store.scripts.iter().map(|script| runs(builder, &store, script)).collect();
        for act in acts(&store) {
            if act.effect.reach != Reach::Dead {
                passes_on(builder, &store, &act, runs[act.holder]);
            }
        }
    }
}

/// The script, and that it runs on the mailbox's mail.
fn runs(builder: &mut Builder<'_>, store: &Store<'_>, script: &StoredScript<'_>) -> usize {
    let mailbox = builder.node(Node::mailbox(store.mailbox));
    let node = Node::Script { mailbox: store.mailbox.to_lowercase(), value: shown(script.name) };
    let at = builder.node(node);
    let locator = Locator { script: Some(script.name.to_owned()), ..Locator::default() };
    let link = Link::new(mailbox, at, Power::Runs, "", seen_by(script.seen)).at(locator);
    let link = match (script.active, script.runs()) {
        (true, _) => link,
        (false, true) => link.only_if(Acting::Now, "when mail is stored in a folder that names it"),
        (false, false) => link.only_if(Acting::Dormant, inactive(script)),
    };
    builder.graph.link(link);
    at
}

fn inactive(script: &StoredScript<'_>) -> String {
    format!("script \"{}\" is inactive", shown(script.name))
}

/// The scripts that lead to the one that acts, each including the next.
fn included(builder: &mut Builder<'_>, store: &Store<'_>, act: &Act, holder: usize) {
    let place = |name: &String| store.scripts.iter().position(|script| script.name == name);
    let mut includers = act.via.iter().filter_map(place).peekable();
    while let Some(from) = includers.next() {
        let outer = &store.scripts[from];
        let (to, name) = match includers.peek() {
            Some(&next) => (None, store.scripts[next].name),
            None => (Some(holder), store.scripts[act.holder].name),
        };
        let node = |name: &str| Node::Script { mailbox: store.mailbox.to_lowercase(), value: shown(name) };
        let from = builder.node(node(outer.name));
        let to = to.unwrap_or_else(|| builder.node(node(name)));
        let label = format!("Sieve script \"{}\" includes \"{}\"", shown(outer.name), shown(name));
        builder.graph.link(Link::new(from, to, Power::Runs, label, seen_by(outer.seen)));
    }
}

fn passes_on(builder: &mut Builder<'_>, store: &Store<'_>, act: &Act, script: usize) {
    let Some((power, word)) = gives(act.effect.kind) else { return };
    included(builder, store, act, script);
    let targets = act.effect.targets.iter().filter(|target| matters(act.effect.kind, target.role));
    let mut nodes: Vec<Node> = targets.map(|target| node_of(act, target)).collect();
    if nodes.is_empty() {
        nodes.push(Node::Computed { value: "(not known)".to_owned() });
    }
    for node in nodes {
        let to = builder.node(node);
        let link = link(act, (script, to), power, word, &store.scripts[act.holder]);
        builder.graph.link(link.at(locator(store, act)));
    }
}

fn gives(kind: EffectKind) -> Option<(Power, &'static str)> {
    Some(match kind {
        EffectKind::Redirect => (Power::ReceivesCopy, "Sieve redirect"),
        EffectKind::Report => (Power::ReceivesCopy, "Sieve report"),
        EffectKind::Notify => (Power::ReceivesCopy, "Sieve notice"),
        EffectKind::Pipe | EffectKind::Filter | EffectKind::Execute => (Power::Runs, "Sieve program"),
        _ => return None,
    })
}

fn matters(kind: EffectKind, role: Role) -> bool {
    match kind {
        EffectKind::Pipe | EffectKind::Filter | EffectKind::Execute => role == Role::Program,
        _ => !matches!(role, Role::From | Role::AnswersFor | Role::Mailbox | Role::Program),
    }
}

fn node_of(act: &Act, target: &Target) -> Node {
    let open = matches!(act.effect.form, Form::Template | Form::Unbounded) && target.raw.contains("${");
    match target.role {
        Role::Program => Node::Program { value: shown(&target.raw) },
        _ if open || target.role == Role::List || !target.text().contains('@') => {
            Node::Computed { value: shown(&target.raw) }
        }
        _ => Node::address(&shown(target.text())),
    }
}

fn link(act: &Act, ends: (usize, usize), power: Power, word: &str, script: &StoredScript<'_>) -> Link {
    let some = if act.effect.reach == Reach::Conditional { ", some mail" } else { "" };
    let label = format!("{word} (line {}{some})", act.effect.span.line);
    let link = Link::new(ends.0, ends.1, power, label, seen_by(script.seen));
    let condition: String = act.effect.conditions.chars().take(MAX_CONDITION).collect();
    match act.effect.reach {
        Reach::Inactive => link.only_if(Acting::Dormant, inactive(script)),
        _ => link.only_if(Acting::Now, condition),
    }
}

fn locator(store: &Store<'_>, act: &Act) -> Locator {
    let span = act.effect.span;
    Locator {
        script: Some(store.scripts[act.holder].name.to_owned()),
        line: u32::try_from(span.line).ok(),
        column: u32::try_from(span.column).ok(),
        span: Some((span.start, span.end)),
        ..Locator::default()
    }
}
