//! Changing a policy text by exactly what has to change; everything else keeps its bytes, comments included.

use std::ops::Range;

use mailwarden_address::Address;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::diagnostic::Source;
use crate::model::VendorState;

/// One change of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEdit {
    /// The bytes that go.
    pub span: Range<usize>,
    /// What comes instead.
    pub replacement: String,
    /// What stood there before, as the policy means it.
    pub before: Option<VendorState>,
}

impl TextEdit {
    /// The text after the change.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        format!("{}{}{}", &text[..self.span.start], self.replacement, &text[self.span.end..])
    }
}

/// Why a text cannot be changed by a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is no policy text.
    #[error("the text cannot be read; `mailwarden check` says why")]
    Unreadable,
    /// The vendor is written in a way that leaves no place for the change, such as an inline table.
    #[error(
        "the record is written in a way that only a person can change: set `state = \"{0}\"` in it by hand"
    )]
    ByHand(&'static str),
}

#[derive(Deserialize)]
struct Outline {
    #[serde(default)]
    vendor: Vec<OutlineVendor>,
}

#[derive(Deserialize)]
struct OutlineVendor {
    address: Spanned<String>,
    state: Option<Spanned<VendorState>>,
}

impl VendorState {
    /// The word used in the policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Burned => "burned",
        }
    }
}

/// The change that gives a vendor's record another state; none when this text has no record of the vendor.
///
/// # Errors
/// The text cannot be changed so that it means this and nothing else.
pub fn set_vendor_state(
    source: &Source,
    address: &Address,
    state: VendorState,
) -> Result<Option<TextEdit>, EditError> {
    let text = source.utf8().map_err(|_| EditError::Unreadable)?;
    let outline: Outline = toml::from_str(text).map_err(|_| EditError::Unreadable)?;
    let Some(record) = outline.vendor.iter().find(|vendor| is_of(vendor, address)) else { return Ok(None) };
    let edit = match &record.state {
        Some(written) => TextEdit {
            span: written.span(),
            replacement: format!("\"{}\"", state.as_str()),
            before: Some(*written.get_ref()),
        },
        None => TextEdit { before: Some(VendorState::Active), ..new_line(text, record, state) },
    };
    proven(text, edit, address, state).map(Some)
}

/// The change that adds a record for an address of a scope that takes any, at the end of the text.
///
/// # Errors
/// As [`set_vendor_state`].
pub fn add_vendor(
    source: &Source,
    address: &Address,
    organisation: &str,
    state: VendorState,
) -> Result<TextEdit, EditError> {
    let text = source.utf8().map_err(|_| EditError::Unreadable)?;
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let organisation = toml::Value::String(organisation.to_owned());
    let address_text = toml::Value::String(address.to_string());
    let replacement = format!(
        "{gap}\n[[vendor]]\naddress = {address_text}\norganisation = {organisation}\nstate = \"{}\"\n",
        state.as_str()
    );
    proven(text, TextEdit { span: text.len()..text.len(), replacement, before: None }, address, state)
}

fn is_of(vendor: &OutlineVendor, address: &Address) -> bool {
    Address::parse(vendor.address.get_ref()).is_ok_and(|written| written == *address)
}

/// A line of its own below the address, indented like it.
fn new_line(text: &str, record: &OutlineVendor, state: VendorState) -> TextEdit {
    let span = record.address.span();
    let line = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let indent: String = text[line..].chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
    let at = text[span.end..].find('\n').map_or(text.len(), |offset| span.end + offset + 1);
    let line_end = if text[..at].ends_with("\r\n") { "\r\n" } else { "\n" };
    let gap = if at == text.len() && !text.ends_with('\n') { line_end } else { "" };
    let replacement = format!("{gap}{indent}state = \"{}\"{line_end}", state.as_str());
    TextEdit { span: at..at, replacement, before: None }
}

/// The edit, once the changed text is read again and says what it should.
fn proven(text: &str, edit: TextEdit, address: &Address, state: VendorState) -> Result<TextEdit, EditError> {
    let by_hand = || EditError::ByHand(state.as_str());
    let changed: Outline = toml::from_str(&edit.apply(text)).map_err(|_| by_hand())?;
    let record = changed.vendor.iter().find(|vendor| is_of(vendor, address)).ok_or_else(by_hand)?;
    let is_set = record.state.as_ref().is_some_and(|written| *written.get_ref() == state);
    if is_set { Ok(edit) } else { Err(by_hand()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burned(text: &str) -> Result<Option<String>, EditError> {
        let source = Source::new("p.toml", text.as_bytes());
        let address = Address::parse("acme@s.example").expect("address");
        let edit = set_vendor_state(&source, &address, VendorState::Burned)?;
        Ok(edit.map(|edit| edit.apply(text)))
    }

    #[test]
    fn only_the_state_changes_and_comments_stay() {
        let text = "# head\n[[vendor]]\naddress = \"x@s.example\"\nstate = \"active\"\n[[vendor]]\n  \
                    state  =  'paused' # why\n  address = \"ACME@s.example\"\n";
        let expected = text.replace("'paused'", "\"burned\"");
        assert_eq!(burned(text).expect("editable"), Some(expected));
    }

    #[test]
    fn a_missing_state_becomes_a_line_below_the_address() {
        for (text, expected) in [
            (
                "[[vendor]]\n  address = \"acme@s.example\" # given\n  organisation = \"A\"\n",
                "[[vendor]]\n  address = \"acme@s.example\" # given\n  state = \"burned\"\n  organisation = \"A\"\n",
            ),
            (
                "[[vendor]]\r\naddress = \"acme@s.example\"\r\norganisation = \"A\"\r\n",
                "[[vendor]]\r\naddress = \"acme@s.example\"\r\nstate = \"burned\"\r\norganisation = \"A\"\r\n",
            ),
            (
                "[[vendor]]\naddress = \"acme@s.example\"",
                "[[vendor]]\naddress = \"acme@s.example\"\nstate = \"burned\"\n",
            ),
        ] {
            assert_eq!(burned(text).expect("editable").as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_a_program_cannot_change_is_left_to_a_person() {
        let inline = "vendor = [{ address = \"acme@s.example\", organisation = \"A\" }]\n";
        assert_eq!(burned(inline), Err(EditError::ByHand("burned")));
        assert_eq!(burned("[[vendor]\n"), Err(EditError::Unreadable));
        assert_eq!(burned("[[vendor]]\naddress = \"b@s.example\"\n"), Ok(None));
    }

    #[test]
    fn an_unregistered_address_gets_a_record_at_the_end() {
        let text = "[[scope]]\ndomain = \"s.example\"";
        let source = Source::new("p.toml", text.as_bytes());
        let address = Address::parse("\"a b\"@s.example").expect("address");
        let edit = add_vendor(&source, &address, "A \"quoted\" Ltd", VendorState::Paused).expect("editable");
        let changed = edit.apply(text);
        assert!(changed.starts_with(text) && changed.contains("[[vendor]]\n"), "{changed}");
        assert!(
            set_vendor_state(&Source::new("p", changed.as_bytes()), &address, VendorState::Active)
                .expect("editable")
                .is_some_and(|edit| edit.before == Some(VendorState::Paused))
        );
    }
}
