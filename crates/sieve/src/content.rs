//! What an automatic answer or a notification says: whether the message is in it, and whom it mentions.

use crate::actions::form_of_text;
use crate::arguments::Bound;
use crate::effects::{Content, EffectKind};
use crate::evaluator::Run;
use crate::tree::Argument;
use crate::value::{Part, Value};

/// How many mentions are listed.
const MAX_MENTIONS: usize = 8;
/// How much of a text is searched for them.
const MAX_TEXT: usize = 64 << 10;
/// The old notify draft puts parts of the message where these stand.
const PLACEHOLDERS: [&str; 5] = ["$text", "$from$", "$env-from$", "$subject$", "$envelope"];

impl Run<'_, '_> {
    /// The text that goes out with an action, where it has one.
    pub(crate) fn content(&self, kind: EffectKind, bound: &Bound<'_>) -> Option<Content> {
        let arguments: Vec<&Argument> = match kind {
            EffectKind::Vacation => [bound.value("subject"), bound.last()].into_iter().flatten().collect(),
            EffectKind::Reject | EffectKind::Ereject | EffectKind::Reply => {
                bound.last().into_iter().collect()
            }
            EffectKind::Notify => [bound.value("message"), bound.last()].into_iter().flatten().collect(),
            _ => return None,
        };
        let values: Vec<Value> = arguments.into_iter().map(|argument| self.argument(argument)).collect();
        (!values.is_empty()).then(|| content_of(&values))
    }
}

fn content_of(values: &[Value]) -> Content {
    let mut mentions = Vec::new();
    let mut placeholders = false;
    for text in values.iter().flat_map(literals) {
        placeholders |= PLACEHOLDERS.iter().any(|mark| text.contains(mark));
        note_mentions(&text, &mut mentions);
    }
    Content {
        form: values.iter().map(form_of_text).max().unwrap_or(crate::Form::Exact),
        from_message: placeholders || values.iter().any(Value::sender_controlled),
        mentions,
    }
}

fn literals(value: &Value) -> Vec<String> {
    let Some(templates) = value.templates() else { return Vec::new() };
    let parts = templates.iter().flat_map(|template| &template.0);
    let texts = parts.filter_map(|part| match part {
        Part::Literal(text) => Some(&text[..text.len().min(MAX_TEXT)]),
        Part::Source(_) => None,
    });
    texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// Addresses and links: the means by which an answer sends its reader elsewhere.
fn note_mentions(text: &str, mentions: &mut Vec<String>) {
    let ends = |character: char| character.is_whitespace() || "<>\"'(),;[]".contains(character);
    for word in text.split(ends) {
        let word = word.trim_matches(['.', ':', '!', '?']);
        let address =
            word.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'));
        let link = word.contains("://");
        if (address || link) && mentions.len() < MAX_MENTIONS && !mentions.iter().any(|known| known == word) {
            mentions.push(word.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_links_are_found() {
        let mut mentions = Vec::new();
        note_mentions("Write to <b@y.example>, or see https://z.example/pay. a@ @b x@y", &mut mentions);
        assert_eq!(mentions, ["b@y.example", "https://z.example/pay"]);
    }
}
