//! What a string can evaluate to, as far as the script alone tells.

use std::rc::Rc;

/// How many different values of one string are followed before it is called unbounded.
pub(crate) const MAX_ALTERNATIVES: usize = 16;
/// How many parts a template may have.
const MAX_PARTS: usize = 128;
/// How long a value may grow where the engine itself sets no limit.
const MAX_VALUE_BYTES: usize = 1 << 20;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Rc<[u8]>),
    /// Known only when a message is there.
    Source(Rc<Source>),
}

/// Where an unknown part comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The variable as the script names it.
    pub(crate) name: String,
    /// Whether whoever sends a message chooses it.
    pub(crate) sender_controlled: bool,
    /// Whether it is whole characters of text: the engine decodes what it reads, but can cut inside one.
    pub(crate) whole: bool,
}

/// Text with holes; without holes it is a constant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Template(pub(crate) Vec<Part>);

/// All values a string can have at its place in the script. What is one constant is never kept otherwise, so
/// equal values are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Constant(Rc<[u8]>),
    Alternatives(Rc<[Template]>),
    Unbounded { sender_controlled: bool },
}

impl Template {
    pub(crate) fn constant(text: &[u8]) -> Self {
        Self(if text.is_empty() { Vec::new() } else { vec![Part::Literal(text.into())] })
    }

    /// The text, when nothing in it is unknown.
    pub(crate) fn as_constant(&self) -> Option<&[u8]> {
        match self.0.as_slice() {
            [] => Some(b""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    pub(crate) fn sender_controlled(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Source(source) if source.sender_controlled))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|part| if let Part::Literal(text) = part { text.len() } else { 0 }).sum()
    }

    pub(crate) fn is_oversized(&self) -> bool {
        self.0.len() > MAX_PARTS || self.len() > MAX_VALUE_BYTES
    }

    /// The template as a person reads it: `${name}` where a value is unknown.
    pub(crate) fn display(&self) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
                Part::Source(source) => {
                    text.push_str("${");
                    text.push_str(&source.name);
                    text.push('}');
                }
            }
        }
        text
    }

    /// Whether any literal text pins the value down.
    pub(crate) fn has_text(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Literal(text) if !text.trim_ascii().is_empty()))
    }
}

/// A template being put together, neighbouring literals in one part.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    parts: Vec<Part>,
    literal: Vec<u8>,
    bytes: usize,
}

impl Builder {
    pub(crate) fn text(&mut self, text: &[u8]) {
        self.literal.extend_from_slice(text);
        self.bytes += text.len();
    }

    pub(crate) fn part(&mut self, part: &Part) {
        match part {
            Part::Literal(text) => self.text(text),
            Part::Source(_) => {
                self.close();
                self.parts.push(part.clone());
            }
        }
    }

    fn close(&mut self) {
        if !self.literal.is_empty() {
            self.parts.push(Part::Literal(self.literal.as_slice().into()));
            self.literal.clear();
        }
    }

    pub(crate) fn is_oversized(&self) -> bool {
        self.parts.len() > MAX_PARTS || self.bytes > MAX_VALUE_BYTES
    }

    pub(crate) fn finished(mut self) -> Template {
        self.close();
        Template(self.parts)
    }
}

impl Value {
    pub(crate) fn constant(text: &[u8]) -> Self {
        if text.len() > MAX_VALUE_BYTES {
            return Self::Unbounded { sender_controlled: false };
        }
        Self::Constant(text.into())
    }

    pub(crate) fn one(template: Template) -> Self {
        if template.is_oversized() {
            return Self::Unbounded { sender_controlled: template.sender_controlled() };
        }
        match template.as_constant() {
            Some(text) => Self::Constant(text.into()),
            None => Self::Alternatives(Rc::new([template])),
        }
    }

    pub(crate) fn source(name: &str, sender_controlled: bool) -> Self {
        Self::text_source(name, sender_controlled, false)
    }

    pub(crate) fn text_source(name: &str, sender_controlled: bool, whole: bool) -> Self {
        let source = Source { name: name.to_owned(), sender_controlled, whole };
        Self::one(Template(vec![Part::Source(Rc::new(source))]))
    }

    /// The value made of these alternatives, each counted once.
    pub(crate) fn of(templates: impl IntoIterator<Item = Template>) -> Self {
        let mut distinct: Vec<Template> = Vec::new();
        let mut overflow = false;
        for template in templates {
            overflow |= template.is_oversized();
            if !distinct.contains(&template) {
                distinct.push(template);
            }
            overflow |= distinct.len() > MAX_ALTERNATIVES;
            if overflow {
                let sender_controlled = distinct.iter().any(Template::sender_controlled);
                return Self::Unbounded { sender_controlled };
            }
        }
        match distinct.as_slice() {
            [one] if one.as_constant().is_some() => Self::constant(one.as_constant().unwrap_or_default()),
            _ => Self::Alternatives(distinct.into()),
        }
    }

    /// Every alternative; none when they are not known.
    pub(crate) fn templates(&self) -> Option<Rc<[Template]>> {
        match self {
            Self::Constant(text) => Some(Rc::new([Template::constant(text)])),
            Self::Alternatives(templates) => Some(Rc::clone(templates)),
            Self::Unbounded { .. } => None,
        }
    }

    pub(crate) fn sender_controlled(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Alternatives(templates) => templates.iter().any(Template::sender_controlled),
            Self::Unbounded { sender_controlled } => *sender_controlled,
        }
    }

    /// What `holds` says of every constant it can be; none when they differ, or when some are not known.
    pub(crate) fn verdict(&self, holds: impl Fn(&[u8]) -> bool) -> Option<bool> {
        let templates = match self {
            Self::Constant(text) => return Some(holds(text)),
            Self::Alternatives(templates) => templates,
            Self::Unbounded { .. } => return None,
        };
        let mut verdicts = templates.iter().map(|template| template.as_constant().map(&holds));
        let first = verdicts.next()??;
        verdicts.all(|verdict| verdict == Some(first)).then_some(first)
    }

    /// Whether it is UTF-8 whatever the message is.
    pub(crate) fn is_whole_text(&self) -> bool {
        let whole = |part: &Part| match part {
            Part::Literal(text) => std::str::from_utf8(text).is_ok(),
            Part::Source(source) => source.whole,
        };
        match self {
            Self::Constant(text) => std::str::from_utf8(text).is_ok(),
            Self::Alternatives(templates) => templates.iter().all(|template| template.0.iter().all(whole)),
            Self::Unbounded { .. } => false,
        }
    }

    /// How many bytes of text it holds.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Constant(text) => text.len(),
            Self::Alternatives(templates) => templates.iter().map(Template::len).sum(),
            Self::Unbounded { .. } => 0,
        }
    }

    /// Either value.
    pub(crate) fn or(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        match (self.templates(), other.templates()) {
            (Some(a), Some(b)) => Self::of(a.iter().chain(b.iter()).cloned()),
            _ => Self::Unbounded { sender_controlled: self.sender_controlled() || other.sender_controlled() },
        }
    }

    /// The constants it can be, when all of them are known.
    #[cfg(test)]
    pub(crate) fn constants(&self) -> Option<Vec<&[u8]>> {
        match self {
            Self::Constant(text) => Some(vec![text]),
            Self::Alternatives(templates) => templates.iter().map(Template::as_constant).collect(),
            Self::Unbounded { .. } => None,
        }
    }

    /// The one constant it is.
    pub(crate) fn as_constant(&self) -> Option<&[u8]> {
        match self {
            Self::Constant(text) => Some(text),
            Self::Alternatives(_) | Self::Unbounded { .. } => None,
        }
    }

    /// Applies `change` to every alternative.
    pub(crate) fn map(&self, change: impl Fn(&Template) -> Template) -> Self {
        match self {
            Self::Constant(text) => Self::one(change(&Template::constant(text))),
            Self::Alternatives(templates) => Self::of(templates.iter().map(change)),
            Self::Unbounded { .. } => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_counted_once_and_bounded() {
        let (a, b) = (Value::constant(b"a"), Value::constant(b"b"));
        assert_eq!(a.or(&b).or(&a).constants(), Some(vec![b"a".as_slice(), b"b"]));
        let many = Value::of((0..=MAX_ALTERNATIVES).map(|n| Template::constant(n.to_string().as_bytes())));
        assert_eq!(many, Value::Unbounded { sender_controlled: false });
    }

    #[test]
    fn neighbouring_literals_become_one() {
        let mut builder = Builder::default();
        builder.text(b"a");
        builder.part(&Part::Literal(b"b".as_slice().into()));
        assert_eq!(builder.finished().as_constant(), Some(b"ab".as_slice()));
    }
}
