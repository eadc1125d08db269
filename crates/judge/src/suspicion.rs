//! Words and names that people who hide something use. They only make a judgement surer; none of them is a
//! finding by itself, because invoices and one-letter rules are everywhere.

use crate::Confidence;

const KEYWORDS: [&str; 22] = [
    "phish",
    "hack",
    "alert",
    "malware",
    "security",
    "invoice",
    "payment",
    "wire transfer",
    "fraud",
    "reset",
    "unusual",
    "suspicious",
    "helpdesk",
    "hijacked",
    "password",
    "dmarc",
    "verification",
    "do not reply",
    "receipt",
    "login",
    "malicious",
    "spam",
];

/// Whether the text of a condition looks for mail that a victim should see.
pub(crate) fn names_alarms(conditions: &str) -> bool {
    let folded = conditions.to_lowercase();
    KEYWORDS.iter().any(|keyword| folded.contains(keyword))
}

/// Whether a rule or script is named so that nobody notices it: nothing, one or two characters, or only
/// signs.
pub(crate) fn is_odd_name(name: &str) -> bool {
    let name = name.trim();
    name.chars().count() <= 2 || !name.chars().any(char::is_alphanumeric)
}

/// One step surer.
pub(crate) fn surer(confidence: Confidence) -> Confidence {
    match confidence {
        Confidence::Low => Confidence::Medium,
        Confidence::Medium | Confidence::High => Confidence::High,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_odd() {
        for odd in ["", ".", "..", "[..]", "a", ",", "--- !"] {
            assert!(is_odd_name(odd), "{odd}");
        }
        assert!(!is_odd_name("Lists"));
    }
}
