//! From a decision to what the MTA is told.

use std::borrow::Cow;

use mailwarden_gate::{Decision, Edit, Refusal};
use milter_proto::{EditError, EndOfMessage, EventVerdict, SmtpReply};

/// The index that puts a header field just below Postfix's own Received field, which is where the fields of the
/// message begin for every later reader.
const TOP: u32 = 1;

/// The answer to RCPT.
pub(crate) fn recipient(decision: &Decision, reference: &str, smtputf8: bool) -> EventVerdict {
    match decision.refusal() {
        Some(refusal) => EventVerdict::Refuse(reply(refusal, reference, smtputf8)),
        None => EventVerdict::Continue,
    }
}

/// The answer at the end of the message.
///
/// # Errors
/// An edit that the protocol cannot carry. The message must then be refused for now: passing it without the edit
/// would deliver it to the wrong place.
pub(crate) fn message(
    decision: &Decision,
    reference: &str,
    smtputf8: bool,
) -> Result<EndOfMessage, EditError> {
    if let Some(refusal) = decision.refusal() {
        return Ok(EndOfMessage::refuse(reply(refusal, reference, smtputf8)));
    }
    let mut edits = Vec::with_capacity(decision.edits.len());
    for edit in &decision.edits {
        append(edit, &mut edits)?;
    }
    Ok(EndOfMessage::accept_with(edits))
}

/// The answer when an edit cannot be carried out.
pub(crate) fn try_again() -> EndOfMessage {
    EndOfMessage::refuse(SmtpReply::local_trouble())
}

fn reply(refusal: &Refusal, reference: &str, smtputf8: bool) -> SmtpReply {
    let text = refusal.reply_text(reference);
    let build = if smtputf8 { SmtpReply::new_utf8 } else { SmtpReply::new };
    // A refusal with an impossible code would be our own mistake; the message is refused all the same.
    build(refusal.code, refusal.enhanced, &text).unwrap_or_else(|_| SmtpReply::refused(&text))
}

fn append(edit: &Edit, edits: &mut Vec<milter_proto::Edit>) -> Result<(), EditError> {
    use milter_proto::Edit as Wire;
    match edit {
        Edit::RemoveHeaders { name, count } => {
            // From the last to the first: deleting the first renumbers the others.
            for index in (1..=*count).rev() {
                edits.push(Wire::delete_header(index, name.as_bytes())?);
            }
        }
        Edit::InsertHeader { name, value } => {
            edits.push(Wire::insert_header(TOP, name.as_bytes(), value.as_bytes())?);
        }
        Edit::Hold { reason } => edits.push(Wire::quarantine(reason.as_bytes())?),
        Edit::DeleteRecipient { delete_as } => edits.push(Wire::delete_recipient(delete_as)?),
        Edit::AddRecipient { address, original } => {
            let orcpt = ["ORCPT=rfc822;", &xtext(&original.to_text())].concat();
            edits.push(Wire::add_recipient_with(address.to_text().as_bytes(), orcpt.as_bytes())?);
        }
    }
    Ok(())
}

/// RFC 3461 §4: everything but printable ASCII, and `+` and `=`, is written as `+` and two hexadecimal digits.
fn xtext(text: &str) -> Cow<'_, str> {
    let is_itself = |byte: u8| matches!(byte, b'!'..=b'~') && byte != b'+' && byte != b'=';
    if text.bytes().all(is_itself) {
        return Cow::Borrowed(text);
    }
    let spelled = |byte| if is_itself(byte) { char::from(byte).to_string() } else { format!("+{byte:02X}") };
    Cow::Owned(text.bytes().map(spelled).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext_leaves_no_byte_that_an_esmtp_argument_cannot_hold() {
        assert_eq!(xtext("a+b=c d\u{e9}@x.test"), "a+2Bb+3Dc+20d+C3+A9@x.test");
    }

    #[test]
    fn headers_are_deleted_from_the_last_to_the_first() {
        let mut edits = Vec::new();
        append(&Edit::RemoveHeaders { name: "Mailwarden-Route", count: 2 }, &mut edits).expect("valid");
        let expected: Vec<_> = [2, 1]
            .into_iter()
            .map(|index| milter_proto::Edit::delete_header(index, b"Mailwarden-Route").expect("valid"))
            .collect();
        assert_eq!(edits, expected);
    }
}
