//! Effects of scripts as people read them. Everything a script holds is a stranger's text.

use std::fmt::Write as _;

use sieve_analysis::{
    Analysis, Dialect, Effect, EffectKind, Form, LineIndex, LocalCopy, Reach, Role, Severity, Span, Target,
    Visible,
};

use crate::output::shown;
use crate::sieve_audit::Audited;

/// How much of a line of a script is shown.
const MAX_EXCERPT: usize = 160;
/// How many lines of a command are shown.
const MAX_LINES: usize = 6;

/// Every effect in every dialect, each with its place.
pub(crate) fn summary(one: &Audited) -> String {
    let mut out = heading(one);
    for (dialect, analysis) in &one.audit.dialects {
        let _ = writeln!(out, "\n  {}: {}", dialect.name(), verdict(analysis));
        for effect in &analysis.effects {
            let _ = writeln!(out, "\n    {}  {}", effect.id, sentence(effect));
            out.push_str(&excerpt(one, effect, "      "));
            out.push_str(&details(one, effect, false));
        }
        out.push_str(&remarks(analysis));
    }
    out.push_str(&differences(one));
    out
}

/// The effects asked for with all that led to them; none when there is no such effect.
pub(crate) fn explanation(one: &Audited, id: Option<&str>) -> Option<String> {
    let mut out = heading(one);
    let mut found = id.is_none();
    for (dialect, analysis) in &one.audit.dialects {
        for effect in analysis.effects.iter().filter(|effect| id.is_none_or(|id| effect.id == id)) {
            found = true;
            let _ = writeln!(out, "\n  {}  {} on {}", effect.id, sentence(effect), product(*dialect));
            out.push_str(&excerpt(one, effect, "    "));
            out.push_str(&details(one, effect, true));
        }
    }
    found.then_some(out)
}

fn product(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Pigeonhole => "Dovecot (Pigeonhole)",
        Dialect::Cyrus => "Cyrus IMAP",
        Dialect::Stalwart => "Stalwart",
    }
}

fn heading(one: &Audited) -> String {
    let unread = one.audit.bytes - one.audit.covered_bytes;
    let covered = match unread {
        0 => "all understood".to_owned(),
        _ => format!("{unread} of them NOT understood"),
    };
    format!("{}: {} bytes, {covered}\n", shown(&one.file), one.audit.bytes)
}

fn verdict(analysis: &Analysis) -> &'static str {
    match (analysis.accepted, analysis.effects.is_empty()) {
        (true, true) => "would run, and only keep mail",
        (true, false) => "would run",
        (false, _) => "would be refused",
    }
}

/// What happens, in one sentence.
pub(crate) fn sentence(effect: &Effect) -> String {
    let whom = if effect.targets.is_empty() { "nobody it names".to_owned() } else { targets(effect) };
    let what = match effect.kind {
        EffectKind::Redirect => format!("sends the message on to {whom}"),
        EffectKind::Notify => format!("notifies {whom}"),
        EffectKind::Report => format!("sends a report with the message to {whom}"),
        EffectKind::Vacation => "answers the sender by itself".to_owned(),
        EffectKind::Reject | EffectKind::Ereject => "refuses the message towards its sender".to_owned(),
        EffectKind::Discard => "throws the message away".to_owned(),
        EffectKind::Fileinto => format!("puts the message into {whom}"),
        EffectKind::Keep => "keeps the message".to_owned(),
        EffectKind::Setflag | EffectKind::Addflag => format!("flags the message {whom}"),
        EffectKind::Removeflag => format!("takes the flags {whom} away"),
        EffectKind::Pipe => format!("hands the message to the program {whom}"),
        EffectKind::Filter => format!("has the program {whom} rewrite the message"),
        EffectKind::Execute => format!("runs the program {whom}"),
        EffectKind::Addheader => format!("adds the header field {whom}"),
        EffectKind::Deleteheader => format!("removes the header field {whom}"),
        EffectKind::Include => format!("runs the script {whom}"),
        EffectKind::Snooze => "hides the message until later".to_owned(),
        EffectKind::Unknown => "does something this analysis does not understand; assume anything".to_owned(),
        other => format!("does `{}`", other.name()),
    };
    shown(&format!("{} {what}{}", when(effect), copy(effect)))
}

fn when(effect: &Effect) -> &'static str {
    match effect.reach {
        Reach::Always => "always",
        Reach::Conditional => "on some messages",
        Reach::Dead => "NEVER reached:",
        Reach::Inactive => "not active:",
    }
}

fn targets(effect: &Effect) -> String {
    let named: Vec<&str> =
        effect.targets.iter().filter(|target| target.role != Role::From).map(Target::text).collect();
    let list = named.join(", ");
    match effect.form {
        Form::Exact => list,
        Form::Set => format!("one or some of {list}"),
        Form::Template => format!("{list}, where ${{...}} is filled in at run time"),
        Form::List => format!("everybody on the list {list}"),
        Form::Unbounded => format!("whatever is made at run time ({list})"),
    }
}

fn copy(effect: &Effect) -> &'static str {
    let leaves = matches!(
        effect.kind,
        EffectKind::Redirect
            | EffectKind::Pipe
            | EffectKind::Discard
            | EffectKind::Reject
            | EffectKind::Ereject
    );
    match effect.local_copy {
        _ if !leaves || effect.reach == Reach::Dead => "",
        LocalCopy::Kept => "; the mailbox keeps a copy",
        LocalCopy::Lost => "; the mailbox keeps no copy",
        LocalCopy::Depends => "; whether the mailbox keeps a copy depends",
    }
}

fn details(one: &Audited, effect: &Effect, long: bool) -> String {
    let mut out = String::new();
    for (name, text) in facts(effect) {
        let _ = writeln!(out, "      {name}: {}", shown(&text));
    }
    for step in &effect.steps {
        let _ = writeln!(out, "      step: line {}: {}", step.span.line, step.what);
        if long && step.script == effect.script && effect.via.is_empty() {
            out.push_str(&marked(&one.script, step.span, "        "));
        }
    }
    out
}

fn facts(effect: &Effect) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut line = |name: &'static str, text: &str| facts.push((name, text.to_owned()));
    if effect.sender_controlled {
        line("danger", "whoever sends a message chooses the target or a part of it");
    }
    if !effect.conditions.is_empty() {
        let classes: Vec<&str> = effect.classes.iter().map(|class| class.name()).collect();
        line("when", &format!("{} [{}]", effect.conditions, classes.join(", ")));
    }
    if let Some(day) = &effect.window.not_before {
        line("sleeps until", day);
    }
    if let Some(content) = effect.content.as_ref().filter(|content| content.from_message) {
        line("says", &format!("text made from the message ({})", content.form.name()));
    }
    if let Some(content) = effect.content.as_ref().filter(|content| !content.mentions.is_empty()) {
        line("mentions", &content.mentions.join(", "));
    }
    if !effect.via.is_empty() {
        line("by way of", &effect.via.join(" > "));
    }
    if let Some(rule) = &effect.rule_name {
        line("rule", &format!("{:?} of {}", rule.name, rule.ui));
    }
    if let Some(view) = &effect.ui {
        if view.visible != Visible::Yes {
            line("shown to the user", &format!("{}: {}", view.visible.name(), view.why));
        }
        if view.rewritten {
            line("comes back", &format!("{} writes this script again from records of its own", view.ui));
        }
    }
    facts
}

fn remarks(analysis: &Analysis) -> String {
    let mut out = String::new();
    for remark in &analysis.diagnostics {
        let kind = if remark.severity == Severity::Error { "error" } else { "note" };
        let at = remark.span;
        let _ = writeln!(out, "    {kind}, line {}:{}: {}", at.line, at.column, shown(&remark.message));
    }
    out
}

fn differences(one: &Audited) -> String {
    let mut out = String::new();
    if one.audit.disagreement {
        out.push_str("\n  Mail servers read this script differently; nobody writes that by accident:\n");
    }
    for difference in &one.audit.differences {
        let at = difference.span;
        let _ = writeln!(out, "    line {}:{}: {}", at.line, at.column, shown(&difference.message));
    }
    out
}

/// The command in its script; what included scripts hold is not at hand here.
fn excerpt(one: &Audited, effect: &Effect, indent: &str) -> String {
    match effect.via.is_empty() {
        true => marked(&one.script, effect.span, indent),
        false => format!("{indent}in the script {}, line {}\n", shown(&effect.script), effect.span.line),
    }
}

/// The lines of a span with the span underlined.
pub(crate) fn marked(script: &[u8], span: Span, indent: &str) -> String {
    let index = LineIndex::new(script);
    let mut out = String::new();
    let mut start = span.start;
    for number in (span.line..).take(MAX_LINES) {
        let column = if number == span.line { span.column } else { 1 };
        let line_start = start - (column - 1);
        let line_end = line_end(script, start);
        let until = span.end.min(line_end);
        let before = piece(&script[line_start..start]);
        let inside = piece(&script[start..until.max(start)]);
        let after = piece(&script[until.max(start)..line_end]);
        let _ = writeln!(out, "{indent}{number:>5} | {before}{inside}{after}");
        let under = "^".repeat(inside.chars().count().max(1));
        let _ = writeln!(out, "{indent}      | {}{under}", " ".repeat(before.chars().count()));
        if line_end >= span.end || line_end >= script.len() {
            return out;
        }
        start = line_end + 1;
        if start >= span.end {
            return out;
        }
    }
    let last = index.position(span.end.saturating_sub(1)).0;
    let _ = writeln!(out, "{indent}      | ... to line {last}");
    out
}

fn line_end(script: &[u8], from: usize) -> usize {
    script[from..].iter().position(|byte| *byte == b'\n').map_or(script.len(), |length| from + length)
}

/// A part of a line: a tab shows as a blank, the CR of a line end not at all.
fn piece(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes)).replace('\t', " ");
    shown(&text).chars().take(MAX_EXCERPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_underlined_where_it_stands() {
        let script = b"keep;\r\n\tredirect\r\n  \"a\x1b[2J@x\"; stop;";
        let start = script.iter().position(|byte| *byte == b'r').unwrap();
        let end = script.len() - " stop;".len();
        let (line, column) = LineIndex::new(script).position(start);
        let shown = marked(script, Span { start, end, line, column }, "");
        assert_eq!(
            shown,
            "    2 |  redirect\n      |  ^^^^^^^^\n    3 |   \"a\\u{1b}[2J@x\"; stop;\n      | ^^^^^^^^^^^^^^^^^\n"
        );
    }
}
