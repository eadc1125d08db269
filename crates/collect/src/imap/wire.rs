//! Reading the few IMAP answers the rounds need, from whole responses framed by the lexer. Flat and bounded:
//! parentheses are counted, never recursed into.

use std::collections::BTreeSet;

use super::guard::Completion;
use super::lexer::{Status, trimmed};
use crate::error::shown;

/// Deepest nesting that is read; NAMESPACE with extensions, the deepest answer we want, needs five.
pub(super) const MAX_DEPTH: usize = 16;
/// Most tokens of one response.
const MAX_TOKENS: usize = 100_000;

/// One lexical element of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word, NIL included.
    Atom(Vec<u8>),
    /// A quoted string or literal.
    Text(Vec<u8>),
    /// `(`
    Open,
    /// `)`
    Close,
}

impl Token {
    /// The bytes of an astring (RFC 9051 section 9): a bare word or a string.
    fn astring(&self) -> Option<&[u8]> {
        match self {
            Self::Atom(bytes) | Self::Text(bytes) => Some(bytes),
            Self::Open | Self::Close => None,
        }
    }

    fn is_atom(&self, word: &str) -> bool {
        matches!(self, Self::Atom(bytes) if bytes.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// Cuts a data response into tokens; `None` if it is malformed, too deep or too long.
pub(super) fn tokens(frame: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = trimmed(frame);
    let mut depth = 0_usize;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match byte {
            b' ' => tail,
            b'(' => {
                depth += 1;
                tokens.push(Token::Open);
                tail
            }
            b')' => {
                depth = depth.checked_sub(1)?;
                tokens.push(Token::Close);
                tail
            }
            b'"' => quoted(tail, &mut tokens)?,
            b'{' => literal(tail, &mut tokens)?,
            _ => atom(rest, &mut tokens)?,
        };
        if depth > MAX_DEPTH || tokens.len() > MAX_TOKENS {
            return None;
        }
    }
    (depth == 0).then_some(tokens)
}

fn quoted<'a>(mut rest: &'a [u8], tokens: &mut Vec<Token>) -> Option<&'a [u8]> {
    let mut text = Vec::new();
    loop {
        let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\r' | b'\n'))?;
        let (plain, tail) = rest.split_at(special);
        text.extend_from_slice(plain);
        rest = match tail {
            [b'"', tail @ ..] => {
                tokens.push(Token::Text(text));
                return Some(tail);
            }
            [b'\\', escaped, tail @ ..] => {
                text.push(*escaped);
                tail
            }
            _ => return None,
        };
    }
}

fn literal<'a>(rest: &'a [u8], tokens: &mut Vec<Token>) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let digits = trimmed(&rest[..=end]).strip_suffix(b"}")?;
    let digits = digits.strip_suffix(b"+").unwrap_or(digits);
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let body = &rest[end + 1..];
    let (text, tail) = body.split_at_checked(length)?;
    tokens.push(Token::Text(text.to_vec()));
    Some(tail)
}

fn atom<'a>(rest: &'a [u8], tokens: &mut Vec<Token>) -> Option<&'a [u8]> {
    let length = rest.iter().position(|byte| b" ()\"{\r\n".contains(byte)).unwrap_or(rest.len());
    if length == 0 {
        return None;
    }
    let (word, tail) = rest.split_at(length);
    tokens.push(Token::Atom(word.to_vec()));
    Some(tail)
}

/// The tokens after `* NAME`, if the response is of that name.
fn body_of(frame: &[u8], name: &str) -> Option<Vec<Token>> {
    let rest = frame.strip_prefix(b"* ")?;
    let word = rest.get(..name.len())?;
    if !word.eq_ignore_ascii_case(name.as_bytes())
        || rest.get(name.len()).is_none_or(u8::is_ascii_alphanumeric)
    {
        return None;
    }
    tokens(&rest[name.len()..])
}

/// Whether a frame is the response of that name, readable or not.
pub(super) fn is_named(frame: &[u8], name: &str) -> bool {
    let word = frame.strip_prefix(b"* ").and_then(|rest| rest.get(..name.len() + 1));
    word.is_some_and(|word| {
        word[..name.len()].eq_ignore_ascii_case(name.as_bytes()) && !word[name.len()].is_ascii_alphanumeric()
    })
}

/// One line of a LIST answer (RFC 9051 section 7.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Name attributes, e.g. `\Noselect`.
    pub(super) attributes: Vec<String>,
    /// The name as sent.
    pub(super) name: Vec<u8>,
}

/// Reads a LIST response.
pub(super) fn list(frame: &[u8]) -> Option<Listed> {
    let tokens = body_of(frame, "LIST")?;
    let (first, rest) = tokens.split_first()?;
    let end = rest.iter().position(|token| *token == Token::Close)?;
    if *first != Token::Open {
        return None;
    }
    let attributes = rest[..end].iter().filter_map(Token::astring);
    let attributes = attributes.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    // After the attributes: hierarchy delimiter, name, and perhaps extended items.
    let name = rest.get(end + 2)?.astring()?.to_vec();
    Some(Listed { attributes, name })
}

/// The three kinds of namespaces (RFC 2342).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Namespaces {
    /// Prefixes of the mailbox's own folders.
    pub(super) personal: Vec<Vec<u8>>,
    /// Prefixes of other users' and of shared folders.
    pub(super) foreign: Vec<Vec<u8>>,
}

impl Namespaces {
    /// Whether a folder is the mailbox's own: the longest matching prefix decides, and INBOX always is.
    pub(super) fn is_own(&self, folder: &[u8]) -> bool {
        if folder.eq_ignore_ascii_case(b"INBOX") {
            return true;
        }
        let longest = |prefixes: &[Vec<u8>]| {
            prefixes.iter().filter(|prefix| is_under(folder, prefix)).map(Vec::len).max()
        };
        match (longest(&self.personal), longest(&self.foreign)) {
            (own, Some(foreign)) => own.is_some_and(|own| own >= foreign),
            (_, None) => true,
        }
    }
}

/// Whether a folder lies under a prefix or is the prefix's own root (`shared` of `shared/`).
fn is_under(folder: &[u8], prefix: &[u8]) -> bool {
    folder.starts_with(prefix)
        || prefix.split_last().is_some_and(|(_, root)| !root.is_empty() && folder == root)
}

/// Reads a NAMESPACE response.
pub(super) fn namespace(frame: &[u8]) -> Option<Namespaces> {
    let tokens = body_of(frame, "NAMESPACE")?;
    let mut rest = tokens.as_slice();
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let (prefixes, tail) = namespace_kind(rest)?;
        kinds.push(prefixes);
        rest = tail;
    }
    let shared = kinds.pop()?;
    let mut foreign = kinds.pop()?;
    foreign.extend(shared);
    Some(Namespaces { personal: kinds.pop()?, foreign })
}

/// One of `NIL` and `((prefix delimiter ...) ...)`, and what follows it.
fn namespace_kind(tokens: &[Token]) -> Option<(Vec<Vec<u8>>, &[Token])> {
    let (first, rest) = tokens.split_first()?;
    if first.is_atom("NIL") {
        return Some((Vec::new(), rest));
    }
    let mut prefixes = Vec::new();
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close if depth == 1 => return Some((prefixes, &tokens[at + 1..])),
            Token::Close => depth = depth.checked_sub(1)?,
            // The first word inside the second parenthesis is the prefix.
            word if depth == 2 && tokens[at - 1] == Token::Open => prefixes.push(word.astring()?.to_vec()),
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Identifiers and their rights, and the folder they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acl {
    /// The folder as sent.
    pub(super) folder: Vec<u8>,
    /// Identifier and rights, in the server's order.
    pub(super) entries: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads an ACL response (RFC 4314 section 3.6).
pub(super) fn acl(frame: &[u8]) -> Option<Acl> {
    let tokens = body_of(frame, "ACL")?;
    let words = tokens.iter().map(|token| token.astring().map(<[u8]>::to_vec)).collect::<Option<Vec<_>>>()?;
    let (folder, pairs) = words.split_first()?;
    if pairs.len() % 2 != 0 {
        return None;
    }
    let entries = pairs.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    Some(Acl { folder: folder.clone(), entries })
}

/// Reads a MYRIGHTS response (RFC 4314 section 3.8): folder and rights.
pub(super) fn my_rights(frame: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let tokens = body_of(frame, "MYRIGHTS")?;
    match tokens.as_slice() {
        [folder, rights] => Some((folder.astring()?.to_vec(), rights.astring()?.to_vec())),
        _ => None,
    }
}

/// The values of a METADATA response, and the folder they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    /// The folder as sent, empty for the server's own.
    pub(super) folder: Vec<u8>,
    /// Entry name and value; `None` where nothing is set.
    pub(super) entries: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Reads a METADATA response with values (RFC 5464 section 4.4.1).
pub(super) fn metadata(frame: &[u8]) -> Option<Metadata> {
    let tokens = body_of(frame, "METADATA")?;
    let (folder, rest) = tokens.split_first()?;
    let inner = match rest {
        [Token::Open, inner @ .., Token::Close] => inner,
        _ => return None,
    };
    if inner.len() % 2 != 0 {
        return None;
    }
    let entries = inner.chunks_exact(2).map(|pair| {
        let value = if pair[1].is_atom("NIL") { None } else { Some(pair[1].astring()?.to_vec()) };
        Some((pair[0].astring()?.to_vec(), value))
    });
    Some(Metadata { folder: folder.astring()?.to_vec(), entries: entries.collect::<Option<_>>()? })
}

/// Longest piece of a particular that is kept, in bytes.
const MAX_PARTICULAR: usize = 200;

/// Reads an ID response (RFC 2971): which program answers.
pub(super) fn id(frame: &[u8]) -> Option<(String, String)> {
    let tokens = body_of(frame, "ID")?;
    let words: Vec<&[u8]> = tokens.iter().filter_map(Token::astring).collect();
    let pairs = words.chunks_exact(2).map(|pair| format!("{}={}", shown(pair[0]), shown(pair[1])));
    let mut said = pairs.collect::<Vec<_>>().join(" ");
    said.truncate(said.floor_char_boundary(MAX_PARTICULAR));
    (!said.is_empty()).then(|| ("imap.id".to_owned(), said))
}

/// Reads a QUOTA response (RFC 9208): resource, usage and limit, each a particular.
pub(super) fn quota(frame: &[u8]) -> Vec<(String, String)> {
    let Some(tokens) = body_of(frame, "QUOTA") else { return Vec::new() };
    let Some((root, rest)) = tokens.split_first() else { return Vec::new() };
    let root = root.astring().map(shown).unwrap_or_default();
    let words: Vec<String> = rest.iter().filter_map(Token::astring).map(shown).collect();
    let resource = |triple: &[String]| {
        (format!("quota {root} {}", triple[0]), format!("{} of {}", triple[1], triple[2]))
    };
    words.chunks_exact(3).map(resource).collect()
}

/// Reads a CAPABILITY response, or the `[CAPABILITY ...]` code of a status line.
pub(super) fn capabilities(frame: &[u8]) -> Option<BTreeSet<String>> {
    let listed = match body_of(frame, "CAPABILITY") {
        Some(tokens) => tokens.iter().filter_map(Token::astring).map(upper).collect(),
        None => {
            let code = StatusText::of(frame).code?;
            let mut words = code.split(' ');
            words.next().filter(|word| *word == "CAPABILITY")?;
            words.map(str::to_ascii_uppercase).collect()
        }
    };
    Some(listed)
}

fn upper(word: &[u8]) -> String {
    String::from_utf8_lossy(word).to_ascii_uppercase()
}

/// The free part of a status line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatusText {
    /// The response code, its name in capitals, with its arguments.
    pub(super) code: Option<String>,
    /// The human-readable text, safe to show.
    pub(super) text: String,
}

impl StatusText {
    /// Splits `TAG STATUS [CODE] text`.
    pub(super) fn of(line: &[u8]) -> Self {
        let line = trimmed(line);
        let rest = line.splitn(3, |byte| *byte == b' ').nth(2).unwrap_or_default();
        let Some(inner) = rest.strip_prefix(b"[") else { return Self { code: None, text: shown(rest) } };
        let Some(end) = inner.iter().position(|byte| *byte == b']') else {
            return Self { code: None, text: shown(rest) };
        };
        let code = String::from_utf8_lossy(&inner[..end]).into_owned();
        let (name, arguments) = code.split_once(' ').map_or((code.as_str(), None), |(n, a)| (n, Some(a)));
        let name = name.to_ascii_uppercase();
        let code = arguments.map_or(name.clone(), |arguments| format!("{name} {arguments}"));
        Self { code: Some(code), text: shown(&inner[end + 1..]) }
    }
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// How the command ended.
    pub(super) status: Status,
    /// Response code and text.
    pub(super) said: StatusText,
    /// The untagged responses before it.
    pub(super) untagged: Vec<Vec<u8>>,
}

impl Reply {
    /// Reads a completion.
    pub(super) fn of(completion: Completion) -> Self {
        let said = StatusText::of(&completion.line);
        Self { status: completion.status, said, untagged: completion.untagged }
    }

    /// The server's refusal, if it refused.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        (self.status != Status::Ok).then(|| Refusal {
            status: self.status,
            code: self.said.code.clone(),
            text: self.said.text.clone(),
        })
    }
}

/// A NO or BAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// NO or BAD.
    pub(super) status: Status,
    /// The response code.
    pub(super) code: Option<String>,
    /// The text.
    pub(super) text: String,
}

impl Refusal {
    /// Whether the response code has this name.
    pub(super) fn has_code(&self, name: &str) -> bool {
        self.code.as_deref().is_some_and(|code| code.split(' ').next() == Some(name))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.status.word())?;
        if let Some(code) = &self.code {
            write!(f, "[{}] ", shown(code.as_bytes()))?;
        }
        f.write_str(&self.text)
    }
}

/// A string as an IMAP quoted string, or `None` where only a literal could carry it.
pub(super) fn quote(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    if !text.contains(['"', '\\']) {
        return Some(["\"", text, "\""].concat());
    }
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn list_takes_every_form_of_a_name() {
        for (frame, name) in [
            (&b"* LIST (\\HasNoChildren) \"/\" INBOX\r\n"[..], &b"INBOX"[..]),
            (b"* LIST () \"/\" \"a \\\"b\\\" \\\\c\"\r\n", b"a \"b\" \\c"),
            (b"* list () NIL {5}\r\na\r\nb)\r\n", b"a\r\nb)"),
            (b"* LIST (\\Noselect) \".\" x (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n", b"x"),
            (b"* LIST () \"/\" \"\xff\"\r\n", b"\xff"),
        ] {
            assert_eq!(list(frame).unwrap().name, name);
        }
        assert_eq!(list(b"* LIST (\\A \\B) \"/\" x\r\n").unwrap().attributes, ["\\A", "\\B"]);
    }

    #[test]
    fn particulars_are_read_and_shortened() {
        let said = id(b"* ID (\"name\" \"Dovecot\" \"version\" NIL)\r\n").unwrap();
        assert_eq!(said, ("imap.id".to_owned(), "name=Dovecot version=NIL".to_owned()));
        assert_eq!(id(b"* ID NIL\r\n"), None);
        let long = format!("* ID (\"name\" \"{}\")\r\n", "\u{fc}".repeat(5000));
        assert!(id(long.as_bytes()).unwrap().1.len() <= MAX_PARTICULAR);
        let room = quota(b"* QUOTA \"User quota\" (STORAGE 3 102400 MESSAGE 1 10)\r\n");
        assert_eq!(room[0], ("quota User quota STORAGE".to_owned(), "3 of 102400".to_owned()));
        assert_eq!(room.len(), 2);
        assert!(quota(b"* QUOTAROOT INBOX \"User quota\"\r\n").is_empty());
    }

    #[test]
    fn acl_keeps_negative_and_quoted_identifiers_and_raw_bytes() {
        let got = acl(b"* ACL \"a b\" anyone lr -bob w \"with space\" \"\" {1}\r\n\xff lr\r\n").unwrap();
        assert_eq!(got.folder, b"a b");
        assert_eq!(got.entries[1], (b"-bob".to_vec(), b"w".to_vec()));
        assert_eq!(got.entries[2], (b"with space".to_vec(), Vec::new()));
        assert_eq!(got.entries[3].0, [0xff]);
        assert_eq!(acl(b"* ACL INBOX bob\r\n"), None, "rights are missing");
        assert_eq!(acl(b"* ACLX INBOX bob lr\r\n"), None);
    }

    #[test]
    fn namespaces_decide_whose_a_folder_is() {
        let spaces = namespace(
            b"* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) ((\"shared/\" \"/\" \"X\" (\"a\")))\r\n",
        );
        let spaces = spaces.unwrap();
        assert_eq!(spaces.personal, bytes(&[""]));
        assert_eq!(spaces.foreign, bytes(&["Other Users/", "shared/"]));
        for (folder, own) in
            [("INBOX", true), ("Sent", true), ("sharedx", true), ("shared", false), ("shared/a/b", false)]
        {
            assert_eq!(spaces.is_own(folder.as_bytes()), own, "{folder}");
        }
        let spaces = namespace(b"* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"\" \".\"))\r\n").unwrap();
        for (folder, own) in [("inbox", true), ("INBOX.Sent", true), ("news", false)] {
            assert_eq!(spaces.is_own(folder.as_bytes()), own, "{folder}");
        }
        assert_eq!(namespace(b"* NAMESPACE NIL NIL\r\n"), None);
    }

    #[test]
    fn metadata_values_may_be_atoms_strings_literals_or_nil() {
        let got =
            metadata(b"* METADATA INBOX (/shared/a {4}\r\nfwd2 /shared/b \"x\" /shared/c NIL)\r\n").unwrap();
        assert_eq!(got.entries[0].1.as_deref(), Some(&b"fwd2"[..]));
        assert_eq!(got.entries[1].1.as_deref(), Some(&b"x"[..]));
        assert_eq!(got.entries[2].1, None);
        assert_eq!(
            metadata(b"* METADATA \"\" (/a \"NIL\")\r\n").unwrap().entries[0].1.as_deref(),
            Some(&b"NIL"[..])
        );
    }

    #[test]
    fn codes_are_read_from_text_that_is_not_ascii() {
        let said = StatusText::of(b"A1 NO [noperm]\xc3\xbcber\r\n");
        assert_eq!(said.code.as_deref(), Some("NOPERM"));
        assert_eq!(said.text, "\u{fc}ber");
        assert_eq!(StatusText::of(b"A1 NO [broken\r\n").code, None);
        let listed = capabilities(b"* OK [CAPABILITY imap4rev1 SASL-IR] hi\r\n").unwrap();
        assert!(listed.contains("IMAP4REV1") && listed.contains("SASL-IR"));
        assert_eq!(capabilities(b"* OK hi\r\n"), None);
    }

    #[test]
    fn deep_nesting_is_refused_without_recursion() {
        let nested = |depth: usize| format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
        assert!(tokens(nested(MAX_DEPTH).as_bytes()).is_some());
        assert!(tokens(nested(MAX_DEPTH + 1).as_bytes()).is_none());
        assert!(tokens(nested(500_000).as_bytes()).is_none());
        assert!(tokens(b")(").is_none());
    }

    #[test]
    fn quoting_escapes_or_declines() {
        assert_eq!(quote(b"a\"b\\c").unwrap(), "\"a\\\"b\\\\c\"");
        assert_eq!(quote(b"a\r\nA1 LOGOUT"), None);
        assert_eq!(quote(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn any_frame_is_read_or_refused(
            frame in proptest::collection::vec(prop_oneof![
                any::<u8>(), Just(b'('), Just(b')'), Just(b'"'), Just(b'{'), Just(b'}'), Just(b' '),
                Just(b'1')
            ], 0..300)
        ) {
            for name in ["LIST", "NAMESPACE", "ACL", "MYRIGHTS", "METADATA", "CAPABILITY"] {
                let frame = [b"* ", name.as_bytes(), b" ", &frame[..], b"\r\n"].concat();
                // Which of these are read is the other tests' business; here nothing may panic, and what is
                // read must have been there.
                let seen = (list(&frame), namespace(&frame), my_rights(&frame), capabilities(&frame));
                if let Some(listed) = seen.0 {
                    prop_assert!(listed.name.len() <= frame.len());
                }
                if let Some(acl) = acl(&frame) {
                    prop_assert!(acl.entries.len() <= frame.len());
                }
                if let Some(metadata) = metadata(&frame) {
                    prop_assert!(metadata.entries.len() <= frame.len());
                }
                StatusText::of(&frame);
            }
        }

        #[test]
        fn a_quoted_name_is_read_back(name in "[ -~]{0,40}") {
            let frame = format!("* LIST () \"/\" {}\r\n", quote(name.as_bytes()).unwrap());
            prop_assert_eq!(list(frame.as_bytes()).unwrap().name, name.into_bytes());
        }
    }
}
