//! Mistakes in configuration texts, shown with the offending text underlined.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level as SnippetLevel, Renderer, Snippet};

/// A configuration text and the name to show for it.
#[derive(Debug, Clone)]
pub struct Source {
    /// What to show before line and column, usually a path.
    pub name: Arc<str>,
    /// The bytes; anything but UTF-8 is reported, not guessed.
    pub bytes: Arc<[u8]>,
}

impl Source {
    /// A text with the name to show for it.
    pub fn new(name: impl Into<Arc<str>>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }

    /// The text.
    ///
    /// # Errors
    /// A diagnostic that points at the first byte that is not UTF-8.
    pub fn utf8(&self) -> Result<&str, Box<Diagnostic>> {
        std::str::from_utf8(&self.bytes).map_err(|error| {
            let at = error.valid_up_to();
            let length = error.error_len().unwrap_or(1);
            Box::new(Diagnostic::error(
                "config.not-utf8",
                self,
                at..at + length,
                format!("byte 0x{:02x} is not UTF-8 text", self.bytes[at]),
                "save the file as UTF-8; TOML allows no other encoding",
            ))
        })
    }
}

/// How bad a mistake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The text cannot be used.
    Error,
    /// The text can be used, and probably says something else than its owner means.
    Warning,
}

/// One mistake: what, where, and what to write instead.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// Stable identifier, e.g. `policy.duplicate-address`.
    pub id: &'static str,
    /// The text it stands in.
    pub source: Source,
    /// Byte range of the offending text.
    pub span: Range<usize>,
    /// What is wrong, one sentence.
    pub message: String,
    /// What to write instead.
    pub help: String,
    /// A second place that belongs to the mistake, e.g. the first use of a duplicate.
    pub related: Option<(Source, Range<usize>, String)>,
}

impl Diagnostic {
    /// An error.
    pub fn error(
        id: &'static str,
        source: &Source,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Error,
            id,
            source: source.clone(),
            span,
            message: message.into(),
            help: help.into(),
            related: None,
        }
    }

    /// Adds the second place.
    #[must_use]
    pub fn with_related(mut self, source: &Source, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related = Some((source.clone(), span, label.into()));
        self
    }

    /// `file:line:column`, both counted from 1, the column in characters.
    pub fn location(&self) -> String {
        location(&self.source, self.span.start)
    }

    /// Line and column, both counted from 1, the column in characters.
    pub fn position(&self) -> (usize, usize) {
        position(&self.source, self.span.start)
    }
}

fn location(source: &Source, offset: usize) -> String {
    let (line, column) = position(source, offset);
    format!("{}:{line}:{column}", source.name)
}

fn position(source: &Source, offset: usize) -> (usize, usize) {
    let before = &source.bytes[..offset.min(source.bytes.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |position| position + 1);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

/// Renders diagnostics for a terminal, one after the other, each with its text underlined.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        let _ = writeln!(out, "{}\n", render_one(diagnostic, &renderer));
    }
    out
}

fn render_one(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let (text, span) = printable_excerpt(&diagnostic.source, diagnostic.span.clone());
    let level = match diagnostic.level {
        Level::Error => SnippetLevel::ERROR,
        Level::Warning => SnippetLevel::WARNING,
    };
    let mut group = level.primary_title(&diagnostic.message).id(diagnostic.id).element(
        Snippet::source(text.as_str())
            .path(&*diagnostic.source.name)
            .annotation(AnnotationKind::Primary.span(span).label("here")),
    );
    let related = diagnostic.related.as_ref().map(|(source, span, label)| {
        let (text, span) = printable_excerpt(source, span.clone());
        (text, span, source, label)
    });
    if let Some((text, span, source, label)) = &related {
        group = group.element(
            Snippet::source(text.as_str())
                .path(&*source.name)
                .annotation(AnnotationKind::Context.span(span.clone()).label(label.as_str())),
        );
    }
    if !diagnostic.help.is_empty() {
        group = group.element(SnippetLevel::HELP.message(&diagnostic.help));
    }
    renderer.render(&[group])
}

/// The whole text as UTF-8 with every byte that is not text, and every control character a terminal would
/// obey, replaced; and the span moved along, widened so that something is always underlined.
fn printable_excerpt(source: &Source, span: Range<usize>) -> (String, Range<usize>) {
    let end = span.end.min(source.bytes.len());
    let start = span.start.min(end);
    let before = printable(&source.bytes[..start]);
    let inside = printable(&source.bytes[start..end]);
    let after = printable(&source.bytes[end..]);
    let range = before.len()..before.len() + inside.len();
    (format!("{before}{inside}{after}"), range)
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c == '\n' || c == '\t' || !is_unsafe_to_print(c) { c } else { '\u{fffd}' })
        .collect()
}

/// Control characters, and the format characters that reorder or hide text on a terminal.
fn is_unsafe_to_print(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Turns an error of the TOML reader into a diagnostic that says what to write instead.
pub fn toml_error(source: &Source, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..source.bytes.len().min(1));
    let message = error.message().to_owned();
    let (id, help) = if message.starts_with("unknown field") {
        ("config.unknown-key", nearest_key_help(&message))
    } else if message.starts_with("missing field") {
        ("config.missing-key", format!("add the line `{} = ...` to this table", quoted(&message, 0)))
    } else if message.starts_with("unknown variant") {
        ("config.unknown-value", nearest_key_help(&message))
    } else if message.starts_with("duplicate key") {
        ("config.duplicate-key", "keep one of the two lines".to_owned())
    } else {
        ("config.syntax", "see the commented examples in config/".to_owned())
    };
    Diagnostic::error(id, source, span, message, help)
}

fn quoted(message: &str, index: usize) -> &str {
    message.split('`').skip(1).step_by(2).nth(index).unwrap_or_default()
}

/// "unknown field `a`, expected one of `b`, `c`" names what exists; the nearest one is most likely meant.
fn nearest_key_help(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let wrong = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let nearest = known
        .iter()
        .map(|name| (edit_distance(wrong, name), *name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(3) / 2);
    match nearest {
        Some((_, name)) => format!("write `{name}` instead; known here: {}", known.join(", ")),
        None if known.is_empty() => "remove it; this table takes no keys".to_owned(),
        None => format!("remove it; known here: {}", known.join(", ")),
    }
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_counts_characters_not_bytes() {
        let source = Source::new("a.toml", "x = 1\né = ?\n".as_bytes());
        let at = source.bytes.iter().position(|&byte| byte == b'?').expect("present");
        assert_eq!(location(&source, at), "a.toml:2:5");
    }

    #[test]
    fn terminal_escapes_are_not_repeated() {
        let source = Source::new("a.toml", "x = \"\u{1b}[31m\u{202e}\"\n".as_bytes());
        let shown = render(&[Diagnostic::error("t.t", &source, 0..1, "m", "h")], false);
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
    }

    #[test]
    fn nearest_key_is_suggested() {
        let help = nearest_key_help("unknown field `reciev_only`, expected one of `address`, `receive_only`");
        assert!(help.starts_with("write `receive_only` instead"), "{help}");
    }
}
