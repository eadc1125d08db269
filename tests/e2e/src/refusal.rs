//! The reference that a refusal names.

const OPENING: &str = "(reference ";

/// The reference in a reply or a log line.
#[must_use]
pub fn reference_of(reply: &str) -> Option<&str> {
    let (reference, _) = reply.split_once(OPENING)?.1.split_once(')')?;
    let plausible = reference.len() == 12 && reference.bytes().all(|octet| octet.is_ascii_alphanumeric());
    plausible.then_some(reference)
}

/// The reply without its reference, which differs each time.
#[must_use]
pub fn without_reference(reply: &str) -> String {
    reply.split_once(OPENING).map_or(reply, |(text, _)| text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_found_and_taken_away() {
        let reply = "5.7.1 receive-only: <a@b.test> no (reference 0123456789AB)";
        assert_eq!(reference_of(reply), Some("0123456789AB"));
        assert_eq!(without_reference(reply), "5.7.1 receive-only: <a@b.test> no");
        assert_eq!(reference_of("5.7.1 no (reference 01)"), None);
    }
}
