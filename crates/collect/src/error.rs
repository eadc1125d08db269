//! What can go wrong while collecting, by whose fault it is.

use mailwarden_evidence::CoverageState;

/// Longest piece of server text that is repeated in a message.
const MAX_SHOWN: usize = 200;

/// Why a collector did not get what it asked for. Every variant says what was being done, to which server or
/// command, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// Nobody answered, or the connection ended: worth another try.
    #[error("{doing} at {server}: {cause}; try again, and if it stays so check that the server is up")]
    Unreachable {
        /// The server, e.g. `imap mail.example.test:993`.
        server: String,
        /// What was being done.
        doing: String,
        /// What happened.
        cause: String,
    },
    /// The server answered something its protocol does not allow, or more than the collector accepts.
    #[error(
        "{doing} at {server}: {cause}; the server broke the protocol, look at its log for this connection"
    )]
    PeerMisbehaved {
        /// The server.
        server: String,
        /// What was being done.
        doing: String,
        /// What it sent, shortened and made printable.
        cause: String,
    },
    /// The server refused the login.
    #[error("{doing} at {server}: {cause}; {next}")]
    Denied {
        /// The server.
        server: String,
        /// What was being done.
        doing: String,
        /// The server's words.
        cause: String,
        /// What to do about it.
        next: String,
        /// Whether the sweeper's own credentials were refused, so that every other mailbox would be refused
        /// too.
        credentials: bool,
    },
    /// Something in the configuration has to be changed first.
    #[error("{doing} for {server}: {cause}; {next}")]
    Configuration {
        /// The server or command.
        server: String,
        /// What was being done.
        doing: String,
        /// What is wrong.
        cause: String,
        /// What to write instead.
        next: String,
    },
}

impl CollectError {
    /// The coverage this error leaves behind.
    pub fn coverage_state(&self) -> CoverageState {
        match self {
            Self::Denied { .. } => CoverageState::Denied,
            _ => CoverageState::Error,
        }
    }

    /// Whether the same attempt may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the sweeper's own credentials were refused.
    pub fn refuses_credentials(&self) -> bool {
        matches!(self, Self::Denied { credentials: true, .. })
    }

    pub(crate) fn unreachable(server: &str, doing: &str, cause: impl ToString) -> Self {
        Self::Unreachable { server: server.to_owned(), doing: doing.to_owned(), cause: cause.to_string() }
    }

    pub(crate) fn misbehaved(server: &str, doing: &str, cause: impl ToString) -> Self {
        Self::PeerMisbehaved { server: server.to_owned(), doing: doing.to_owned(), cause: cause.to_string() }
    }

    pub(crate) fn configuration(server: &str, doing: &str, cause: impl ToString, next: &str) -> Self {
        Self::Configuration {
            server: server.to_owned(),
            doing: doing.to_owned(),
            cause: cause.to_string(),
            next: next.to_owned(),
        }
    }

    /// The error for a failed read or write: our own bounds surface as `InvalidData`, all else is the
    /// network.
    pub(crate) fn from_io(server: &str, doing: &str, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::InvalidData => Self::misbehaved(server, doing, error),
            _ => Self::unreachable(server, doing, error),
        }
    }
}

/// Text of a server, made safe to show: lossy UTF-8, without control characters, shortened.
pub(crate) fn shown(raw: &[u8]) -> String {
    let head = &raw[..raw.len().min(MAX_SHOWN * 4)];
    // Nearly all of what servers say.
    if head.len() <= MAX_SHOWN && head.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        let text = String::from_utf8_lossy(head.trim_ascii()).into_owned();
        return if text.is_empty() { "(no text)".to_owned() } else { text };
    }
    let text: String = String::from_utf8_lossy(head)
        .trim()
        .chars()
        .map(|c| if c.is_control() || is_invisible(c) { '\u{fffd}' } else { c })
        .take(MAX_SHOWN)
        .collect();
    if text.is_empty() { "(no text)".to_owned() } else { text }
}

/// Characters that reorder or hide neighbours (bidirectional controls, zero width): they could make a
/// reason lie.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_text_is_shortened_and_printable() {
        assert_eq!(shown(b"  fine\r\n"), "fine");
        assert_eq!(shown(b"a\x1b[31mb"), "a\u{fffd}[31mb");
        assert_eq!(shown("ab\u{202e}cd".as_bytes()), "ab\u{fffd}cd");
        assert_eq!(shown(b""), "(no text)");
        assert_eq!(shown(&[b'x'; 100_000]).chars().count(), MAX_SHOWN);
        assert_eq!(shown(&[0xff, b'a']), "\u{fffd}a");
    }

    #[test]
    fn only_a_refused_login_is_denied() {
        let denied = CollectError::Denied {
            server: "imap h:1".into(),
            doing: "logging in".into(),
            cause: "no".into(),
            next: "check".into(),
            credentials: true,
        };
        assert_eq!(denied.coverage_state(), CoverageState::Denied);
        assert!(denied.refuses_credentials() && !denied.is_transient());
        let lost = CollectError::unreachable("imap h:1", "connecting", "refused");
        assert_eq!(lost.coverage_state(), CoverageState::Error);
        assert!(lost.is_transient());
        assert!(lost.to_string().starts_with("connecting at imap h:1: refused; try again"));
    }
}
