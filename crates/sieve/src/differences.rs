//! Where engines disagree about one script. Nobody writes such a script by accident.

use crate::Dialect;
use crate::audit::Analysis;
use crate::effects::{Effect, EffectKind, Form, Reach, Severity};
use crate::lexer::TokenKind;
use crate::span::Span;
use crate::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};

/// How many differences are told; after so many the answer is clear.
const MAX_DIFFERENCES: usize = 50;

/// A place that engines read differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub span: Span,
    /// What each engine makes of it, in a sentence.
    pub message: String,
}

type Place = (Span, EffectKind);

/// Every difference between the analyses of one script, in order of place.
pub(crate) fn differences(analyses: &BTreeMap<Dialect, Analysis>) -> Vec<Difference> {
    let mut found = verdicts(analyses);
    let running: Vec<(Dialect, &Analysis)> = analyses
        .iter()
        .map(|(dialect, analysis)| (*dialect, analysis))
        .filter(|(_, one)| one.accepted)
        .collect();
    let live: Vec<BTreeMap<Place, &Effect>> = running.iter().map(|(_, analysis)| live(analysis)).collect();
    let places: BTreeSet<Place> = live.iter().flat_map(|effects| effects.keys().copied()).collect();
    for place in places {
        let readings: Vec<String> =
            live.iter().map(|effects| reading(effects.get(&place).copied())).collect();
        if readings.iter().any(|reading| *reading != readings[0]) && found.len() < MAX_DIFFERENCES {
            let told =
                running.iter().zip(&readings).map(|((dialect, _), reading)| format!("{dialect}: {reading}"));
            let message = format!("{} {}", place.1.name(), told.collect::<Vec<_>>().join("; "));
            found.push(Difference { span: place.0, message });
        }
    }
    found.sort_by(|a, b| (a.span, &a.message).cmp(&(b.span, &b.message)));
    found
}

/// Some engines take the script, some do not.
fn verdicts(analyses: &BTreeMap<Dialect, Analysis>) -> Vec<Difference> {
    let takers: Vec<&str> =
        analyses.iter().filter(|(_, one)| one.accepted).map(|(dialect, _)| dialect.name()).collect();
    if takers.is_empty() || takers.len() == analyses.len() {
        return Vec::new();
    }
    let refusals = analyses.iter().filter(|(_, one)| !one.accepted).map(|(dialect, analysis)| {
        let error = analysis.diagnostics.iter().find(|one| one.severity == Severity::Error);
        let span = error.map_or_else(|| analysis.start(), |error| error.span);
        let why = error.map_or("a mistake", |error| error.message.as_str());
        Difference {
            span,
            message: format!("{} would run this script, {dialect} refuses it: {why}", takers.join(" and ")),
        }
    });
    refusals.collect()
}

fn live(analysis: &Analysis) -> BTreeMap<Place, &Effect> {
    let runs = analysis.effects.iter().filter(|effect| effect.via.is_empty() && effect.reach != Reach::Dead);
    // Includes differ only in where the included scripts are looked for.
    runs.filter(|effect| effect.kind != EffectKind::Include)
        .map(|effect| ((effect.span, effect.kind), effect))
        .collect()
}

fn reading(effect: Option<&Effect>) -> String {
    let Some(effect) = effect else { return "does not do this".to_owned() };
    let targets: Vec<&str> = effect.targets.iter().map(crate::Target::text).collect();
    let how = if effect.form == Form::Exact { "" } else { effect.form.name() };
    format!("{how}{}[{}]", if how.is_empty() { "" } else { " " }, targets.join(", "))
}

/// The hash comments in which a carriage return stands by itself. RFC 5228 engines read on to the line
/// feed; the jsieve of James and Zimbra ends the comment there and runs what follows.
pub(crate) fn carriage_return_comments(script: &[u8], tree: &Tree) -> Vec<Span> {
    let comments = tree.tokens.iter().filter(|token| token.kind == TokenKind::LineComment);
    let hides = comments.filter(|token| {
        let comment = token.bytes(script);
        let text = comment.strip_suffix(b"\n").unwrap_or(comment);
        text.strip_suffix(b"\r").unwrap_or(text).contains(&b'\r')
    });
    hides.take(MAX_DIFFERENCES).map(|token| tree.lines.span(token.start, token.end)).collect()
}
