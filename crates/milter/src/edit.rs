//! Changes to a message. They exist only as part of the answer at the end of a message: anywhere else Postfix
//! takes them for a broken protocol and applies its default action.
//!
//! What an edit says is checked when it is made, so that an address or a header value taken from a message
//! can not smuggle a second header field or a second string into the frame.

use std::borrow::Cow;

use thiserror::Error;

use crate::frame::BODY_CHUNK;
use crate::negotiate::Actions;
use crate::reply::Reply;

/// The longest name, value, address or reason.
pub const MAX_EDIT_OCTETS: usize = 60_000;

/// One change to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit(Step);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    AddHeader { name: Vec<u8>, value: Vec<u8> },
    InsertHeader { index: u32, name: Vec<u8>, value: Vec<u8> },
    ChangeHeader { index: u32, name: Vec<u8>, value: Vec<u8> },
    AddRecipient { recipient: Vec<u8>, arguments: Option<Vec<u8>> },
    DeleteRecipient { recipient: Vec<u8> },
    ChangeSender { sender: Vec<u8>, arguments: Option<Vec<u8>> },
    ReplaceBody(Vec<u8>),
    Quarantine(Vec<u8>),
}

/// An edit that would not say what it means once it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EditError {
    /// Strings end at a NUL; what follows would be read as the next string.
    #[error("the {0} holds a NUL, which would cut it short")]
    Nul(&'static str),
    /// RFC 5322 §2.2: printable ASCII without a colon.
    #[error("a header field name holds printable ASCII without colon, and is not empty")]
    HeaderName,
    /// A line end in a value must be a fold, or the rest becomes a header field of its own.
    #[error("the header value holds a line end that is no fold")]
    HeaderInjection,
    /// An address is one line and not empty.
    #[error("the {0} is empty or holds a line end")]
    Address(&'static str),
    /// More than [`MAX_EDIT_OCTETS`].
    #[error("the {0} is longer than {MAX_EDIT_OCTETS} octets")]
    TooLong(&'static str),
    /// Header fields of one name are counted from 1.
    #[error("header fields of one name are counted from 1")]
    HeaderIndex,
}

impl Edit {
    /// Adds a header field at the end of the header.
    ///
    /// # Errors
    /// The name or the value cannot stand in a header.
    pub fn add_header(name: &[u8], value: &[u8]) -> Result<Self, EditError> {
        let (name, value) = header_field(name, value)?;
        Ok(Self(Step::AddHeader { name, value }))
    }

    /// Inserts a header field before the one at `index`. With Postfix 0 is above its own Received field and 1
    /// just below it, which is the first field a filter sees; Sendmail counts differently around its own.
    ///
    /// # Errors
    /// The name or the value cannot stand in a header.
    pub fn insert_header(index: u32, name: &[u8], value: &[u8]) -> Result<Self, EditError> {
        let (name, value) = header_field(name, value)?;
        Ok(Self(Step::InsertHeader { index, name, value }))
    }

    /// Replaces the value of the `index`th header field of this name, counted from 1. Where there is none,
    /// the MTA adds one.
    ///
    /// # Errors
    /// The name or the value cannot stand in a header, the value is empty (that would delete), or `index` is
    /// 0.
    pub fn change_header(index: u32, name: &[u8], value: &[u8]) -> Result<Self, EditError> {
        if index == 0 {
            return Err(EditError::HeaderIndex);
        }
        let (name, value) = header_field(name, value)?;
        if value.is_empty() {
            return Err(EditError::HeaderInjection);
        }
        Ok(Self(Step::ChangeHeader { index, name, value }))
    }

    /// Deletes the `index`th header field of this name, counted from 1. To delete several, begin with the
    /// last: MTAs differ in whether they count again after each.
    ///
    /// # Errors
    /// The name cannot stand in a header, or `index` is 0.
    pub fn delete_header(index: u32, name: &[u8]) -> Result<Self, EditError> {
        if index == 0 {
            return Err(EditError::HeaderIndex);
        }
        let (name, value) = header_field(name, b"")?;
        Ok(Self(Step::ChangeHeader { index, name, value }))
    }

    /// Adds a recipient. Postfix does not look for duplicates among the recipients it has.
    ///
    /// # Errors
    /// The address is empty, too long, or holds a NUL or a line end.
    pub fn add_recipient(recipient: &[u8]) -> Result<Self, EditError> {
        let recipient = one_line("recipient", recipient)?;
        Ok(Self(Step::AddRecipient { recipient, arguments: None }))
    }

    /// Adds a recipient with ESMTP arguments, separated by blanks. Postfix keeps NOTIFY and ORCPT. An MTA that takes
    /// none (before version 6) gets the recipient without them.
    ///
    /// # Errors
    /// The address or the arguments are empty, too long, or hold a NUL or a line end.
    pub fn add_recipient_with(recipient: &[u8], arguments: &[u8]) -> Result<Self, EditError> {
        let recipient = one_line("recipient", recipient)?;
        let arguments = Some(one_line("ESMTP arguments", arguments)?);
        Ok(Self(Step::AddRecipient { recipient, arguments }))
    }

    /// Deletes a recipient, spelled as [`Rcpt::recorded`](crate::Rcpt::recorded) gives it. Another spelling
    /// deletes nothing, and no one says so. When the last recipient is deleted, the message is dropped.
    ///
    /// # Errors
    /// The address is empty, too long, or holds a NUL or a line end.
    pub fn delete_recipient(recipient: &[u8]) -> Result<Self, EditError> {
        Ok(Self(Step::DeleteRecipient { recipient: one_line("recipient", recipient)? }))
    }

    /// Changes the envelope sender; `<>` is the null sender.
    ///
    /// # Errors
    /// The address is empty, too long, or holds a NUL or a line end.
    pub fn change_sender(sender: &[u8]) -> Result<Self, EditError> {
        Ok(Self(Step::ChangeSender { sender: one_line("sender", sender)?, arguments: None }))
    }

    /// Changes the envelope sender and gives ESMTP arguments, separated by blanks.
    ///
    /// # Errors
    /// The address or the arguments are empty, too long, or hold a NUL or a line end.
    pub fn change_sender_with(sender: &[u8], arguments: &[u8]) -> Result<Self, EditError> {
        let sender = one_line("sender", sender)?;
        let arguments = Some(one_line("ESMTP arguments", arguments)?);
        Ok(Self(Step::ChangeSender { sender, arguments }))
    }

    /// Replaces the body. Several of these follow one another in the new body.
    #[must_use]
    pub const fn replace_body(body: Vec<u8>) -> Self {
        Self(Step::ReplaceBody(body))
    }

    /// Holds the message. Postfix does not keep the reason, Sendmail does.
    ///
    /// # Errors
    /// The reason is empty, too long, or holds a NUL or a line end.
    pub fn quarantine(reason: &[u8]) -> Result<Self, EditError> {
        Ok(Self(Step::Quarantine(one_line("reason", reason)?)))
    }

    /// The action that must have been negotiated for this edit.
    #[must_use]
    pub const fn action(&self) -> Actions {
        match &self.0 {
            Step::AddHeader { .. } | Step::InsertHeader { .. } => Actions::ADD_HEADERS,
            Step::ChangeHeader { .. } => Actions::CHANGE_HEADERS,
            Step::AddRecipient { arguments: None, .. } => Actions::ADD_RCPT,
            Step::AddRecipient { arguments: Some(_), .. } => Actions::ADD_RCPT_ARGS,
            Step::DeleteRecipient { .. } => Actions::DELETE_RCPT,
            Step::ChangeSender { .. } => Actions::CHANGE_SENDER,
            Step::ReplaceBody(_) => Actions::CHANGE_BODY,
            Step::Quarantine(_) => Actions::QUARANTINE,
        }
    }

    /// The action this edit takes from those that were agreed: a recipient goes without its arguments where the
    /// MTA takes none.
    pub(crate) const fn action_of(&self, agreed: Actions) -> Actions {
        match self.action() {
            Actions::ADD_RCPT_ARGS if !agreed.contains(Actions::ADD_RCPT_ARGS) => Actions::ADD_RCPT,
            action => action,
        }
    }

    pub(crate) const fn is_body(&self) -> bool {
        matches!(self.0, Step::ReplaceBody(_))
    }

    /// Writes the edit. Where leading blanks are part of a value, the one after the colon is ours to give.
    pub(crate) fn encode(&self, agreed: Actions, leading_space: bool, out: &mut Vec<u8>) {
        match &self.0 {
            Step::AddHeader { name, value } => {
                Reply::AddHeader { name, value: &spaced_value(value, leading_space) }.encode(out);
            }
            Step::InsertHeader { index, name, value } => {
                Reply::InsertHeader { index: *index, name, value: &spaced_value(value, leading_space) }
                    .encode(out);
            }
            Step::ChangeHeader { index, name, value } => {
                Reply::ChangeHeader { index: *index, name, value: &spaced_value(value, leading_space) }
                    .encode(out);
            }
            Step::AddRecipient { recipient, .. } if self.action_of(agreed) == Actions::ADD_RCPT => {
                Reply::AddRecipient(recipient).encode(out);
            }
            Step::AddRecipient { recipient, arguments } => {
                Reply::AddRecipientWith { recipient, arguments: arguments.as_deref() }.encode(out);
            }
            Step::DeleteRecipient { recipient } => Reply::DeleteRecipient(recipient).encode(out),
            Step::ChangeSender { sender, arguments } => {
                Reply::ChangeSender { sender, arguments: arguments.as_deref() }.encode(out);
            }
            Step::ReplaceBody(body) => encode_body(body, out),
            Step::Quarantine(reason) => Reply::Quarantine(reason).encode(out),
        }
    }
}

/// An empty body is one empty chunk: no chunk at all would leave the old body in place.
fn encode_body(body: &[u8], out: &mut Vec<u8>) {
    if body.is_empty() {
        Reply::ReplaceBody(body).encode(out);
    }
    for chunk in body.chunks(BODY_CHUNK as usize) {
        Reply::ReplaceBody(chunk).encode(out);
    }
}

/// The empty value stays empty, because it deletes.
fn spaced_value(value: &[u8], leading_space: bool) -> Cow<'_, [u8]> {
    match value.first() {
        Some(first) if leading_space && !matches!(first, b' ' | b'\t' | b'\n') => {
            [b" ", value].concat().into()
        }
        _ => value.into(),
    }
}

fn header_field(name: &[u8], value: &[u8]) -> Result<(Vec<u8>, Vec<u8>), EditError> {
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b':') {
        return Err(EditError::HeaderName);
    }
    bounded("header field name", name)?;
    bounded("header value", value)?;
    Ok((name.to_vec(), folded(value)?))
}

/// MTAs take folds with LF and with CRLF; LF is what they send themselves.
fn folded(value: &[u8]) -> Result<Vec<u8>, EditError> {
    let mut clean = Vec::with_capacity(value.len());
    let mut rest = value.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\r' if rest.peek() == Some(&b'\n') => {}
            b'\r' => return Err(EditError::HeaderInjection),
            b'\n' if !matches!(rest.peek(), Some(b' ' | b'\t')) => return Err(EditError::HeaderInjection),
            byte => clean.push(byte),
        }
    }
    Ok(clean)
}

fn one_line(what: &'static str, text: &[u8]) -> Result<Vec<u8>, EditError> {
    bounded(what, text)?;
    if text.is_empty() || text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return Err(EditError::Address(what));
    }
    Ok(text.to_vec())
}

fn bounded(what: &'static str, text: &[u8]) -> Result<(), EditError> {
    match text {
        _ if text.len() > MAX_EDIT_OCTETS => Err(EditError::TooLong(what)),
        _ if text.contains(&0) => Err(EditError::Nul(what)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(edit: &Edit, leading_space: bool) -> Vec<u8> {
        let mut out = Vec::new();
        edit.encode(Actions::from_bits(u32::MAX), leading_space, &mut out);
        out
    }

    #[test]
    fn a_value_cannot_bring_a_second_header_field() {
        for value in [&b"a\nBcc: x"[..], b"a\r\nBcc: x", b"a\rb", b"a\n", b"a\r\n"] {
            assert_eq!(Edit::add_header(b"X", value), Err(EditError::HeaderInjection), "{value:?}");
        }
        assert_eq!(Edit::add_header(b"X", b"a\0b"), Err(EditError::Nul("header value")));
        let folded = wire(&Edit::add_header(b"X", b"a\r\n b\n\tc").unwrap(), false);
        assert_eq!(&folded[4..], b"hX\0a\n b\n\tc\0");
    }

    #[test]
    fn names_and_addresses_are_checked() {
        for name in [&b""[..], b"a b", b"a:", b"\xfc", b"a\n"] {
            assert_eq!(Edit::add_header(name, b""), Err(EditError::HeaderName));
        }
        for address in [&b""[..], b"a\nb", b"a\r"] {
            assert_eq!(Edit::add_recipient(address), Err(EditError::Address("recipient")));
            assert_eq!(Edit::delete_recipient(address), Err(EditError::Address("recipient")));
        }
        assert_eq!(Edit::add_recipient(b"a\0-x"), Err(EditError::Nul("recipient")));
        assert_eq!(Edit::change_header(0, b"X", b"v"), Err(EditError::HeaderIndex));
        let long = vec![b'x'; MAX_EDIT_OCTETS + 1];
        assert_eq!(Edit::quarantine(&long), Err(EditError::TooLong("reason")));
    }

    #[test]
    fn the_blank_after_the_colon_is_given_once() {
        let add = |value| wire(&Edit::add_header(b"X", value).unwrap(), true);
        assert_eq!(&add(b"v")[4..], b"hX\0 v\0");
        assert_eq!(&add(b" v")[4..], b"hX\0 v\0");
        let delete = wire(&Edit::delete_header(2, b"X").unwrap(), true);
        assert_eq!(&delete[4..], b"m\0\0\0\x02X\0\0");
    }

    #[test]
    fn a_body_is_cut_into_chunks_and_an_empty_one_is_still_sent() {
        assert_eq!(wire(&Edit::replace_body(Vec::new()), false), b"\0\0\0\x01b");
        let long = wire(&Edit::replace_body(vec![b'x'; 70_000]), false);
        assert_eq!(long.len(), 70_000 + 2 * 5);
        assert_eq!(&long[..5], [0, 1, 0, 0, b'b']);
    }

    #[test]
    fn each_edit_names_the_action_it_needs() {
        assert_eq!(Edit::add_recipient(b"a").unwrap().action(), Actions::ADD_RCPT);
        assert_eq!(Edit::add_recipient_with(b"a", b"NOTIFY=NEVER").unwrap().action(), Actions::ADD_RCPT_ARGS);
        assert_eq!(Edit::delete_header(1, b"X").unwrap().action(), Actions::CHANGE_HEADERS);
    }
}
