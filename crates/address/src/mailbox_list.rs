//! The strict reader: RFC 5322 §3.4 `mailbox-list` and `group`, without obsolete forms.
//!
//! Two deliberate differences. A dot may stand unquoted in a display name (`John Q. Public`), as §4.1
//! `obs-phrase` allows and everybody writes: it cannot move an address. Comments, source routes and address
//! literals are valid but refused here, because the readers that attackers aim at disagree about them; but for
//! the one place where a comment is a name: `root@mail.example (Cron Daemon)`, at the very end, of one mailbox.

use crate::characters::{is_atext, is_direction_override, is_invisible};
use crate::encoded_word::{decode_leniently, decode_well_formed};
use crate::header::{AmbiguityReason, MAX_TOKENS};
use crate::{Address, Domain};

/// One mailbox: where its display name stands, and its address.
#[derive(Debug)]
pub(crate) struct Mailbox<'t> {
    pub(crate) display: &'t str,
    pub(crate) address: Address,
}

/// A well-formed list.
#[derive(Debug)]
pub(crate) struct MailboxList<'t> {
    pub(crate) mailboxes: Vec<Mailbox<'t>>,
    /// Display names of groups.
    pub(crate) groups: Vec<&'t str>,
    /// The comment after the one mailbox, which is shown as its name.
    pub(crate) comment: Option<&'t str>,
}

/// Reads an unfolded header value.
pub(crate) fn parse(text: &str) -> Result<MailboxList<'_>, AmbiguityReason> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(AmbiguityReason::ControlCharacter);
    }
    if text.chars().any(is_invisible) {
        return Err(AmbiguityReason::InvisibleCharacter);
    }
    let (tokens, comment) = without_last_comment(tokens(text)?)?;
    let mut list = Parser { text, tokens, at: 0 }.list()?;
    let Some(comment) = comment else { return Ok(list) };
    if list.mailboxes.len() > 1 || !list.groups.is_empty() {
        return Err(AmbiguityReason::Comment);
    }
    let shown = &text[comment.start + 1..comment.end - 1];
    check_shown(decode_leniently(shown).as_deref().unwrap_or(""))?;
    list.comment = Some(shown);
    Ok(list)
}

/// RFC 822 wrote names as comments behind the address, and programs still do. Anywhere else a comment is a means
/// to cut an address in two.
fn without_last_comment(mut tokens: Vec<Token>) -> Result<(Vec<Token>, Option<Token>), AmbiguityReason> {
    let is_comment = |token: &Token| token.kind == Kind::Comment;
    let last = tokens.iter().rposition(|token| token.kind != Kind::Space);
    let comment = last.map(|at| tokens[at]).filter(is_comment);
    if let (Some(at), Some(_)) = (last, comment) {
        tokens.truncate(at);
    }
    if tokens.iter().any(is_comment) { Err(AmbiguityReason::Comment) } else { Ok((tokens, comment)) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Space,
    Atom,
    Quoted,
    Comment,
    /// `<`, `>`, `@`, `,`, `;`, `:` or `.`.
    Special(char),
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

fn tokens(text: &str) -> Result<Vec<Token>, AmbiguityReason> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        if tokens.len() == MAX_TOKENS {
            return Err(AmbiguityReason::TooLong);
        }
        let (kind, length) = token(&text[start..], first)?;
        tokens.push(Token { kind, start, end: start + length });
        start += length;
    }
    Ok(tokens)
}

fn token(rest: &str, first: char) -> Result<(Kind, usize), AmbiguityReason> {
    match first {
        ' ' | '\t' => Ok((Kind::Space, run(rest, |c| matches!(c, ' ' | '\t')))),
        '"' => quoted_length(rest).map(|length| (Kind::Quoted, length)).ok_or(AmbiguityReason::Malformed),
        '<' | '>' | '@' | ',' | ';' | ':' | '.' => Ok((Kind::Special(first), 1)),
        '(' => comment_length(rest).map(|length| (Kind::Comment, length)).ok_or(AmbiguityReason::Comment),
        '[' => Err(AmbiguityReason::DomainLiteral),
        c if is_word_character(c) => Ok((Kind::Atom, run(rest, is_word_character))),
        _ => Err(AmbiguityReason::Malformed),
    }
}

/// An atom of a display name; white space beyond ASCII is text to RFC 6532.
fn is_word_character(c: char) -> bool {
    is_atext(c) || !c.is_ascii()
}

fn run(rest: &str, belongs: impl Fn(char) -> bool) -> usize {
    rest.find(|c| !belongs(c)).unwrap_or(rest.len())
}

fn quoted_length(rest: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A comment that no reader can take for anything else: closed, not nested, and without the marks that begin or
/// end something in another reader.
fn comment_length(rest: &str) -> Option<usize> {
    let end = rest.find(')')?;
    let plain = !rest[1..end].contains(['(', '<', '>', '"', '\\', ',', ';', ':']);
    plain.then_some(end + 1)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
}

impl<'t> Parser<'t> {
    fn list(mut self) -> Result<MailboxList<'t>, AmbiguityReason> {
        let mut list = MailboxList { mailboxes: Vec::new(), groups: Vec::new(), comment: None };
        loop {
            self.element(&mut list)?;
            self.skip_space();
            match self.peek() {
                None if list.mailboxes.is_empty() => return Err(AmbiguityReason::EmptyGroup),
                None => return Ok(list),
                Some(Kind::Special(',')) => self.at += 1,
                Some(_) => return Err(AmbiguityReason::Malformed),
            }
        }
    }

    fn element(&mut self, list: &mut MailboxList<'t>) -> Result<(), AmbiguityReason> {
        let words = self.words();
        if self.peek() != Some(Kind::Special(':')) {
            list.mailboxes.push(self.mailbox(&words)?);
            return Ok(());
        }
        self.at += 1;
        list.groups.push(self.phrase(&words)?);
        self.group_members(list)
    }

    /// `group = display-name ":" [mailbox-list] ";"`, the name and colon already read.
    fn group_members(&mut self, list: &mut MailboxList<'t>) -> Result<(), AmbiguityReason> {
        self.skip_space();
        if self.take(';') {
            return Ok(());
        }
        loop {
            let words = self.words();
            list.mailboxes.push(self.mailbox(&words)?);
            self.skip_space();
            if self.take(';') {
                return Ok(());
            }
            if !self.take(',') {
                return Err(AmbiguityReason::Malformed);
            }
        }
    }

    fn mailbox(&mut self, words: &[Token]) -> Result<Mailbox<'t>, AmbiguityReason> {
        match self.peek() {
            Some(Kind::Special('<')) => {
                let display = self.phrase(words)?;
                Ok(Mailbox { display, address: self.angle_addr()? })
            }
            Some(Kind::Special('@')) if !words.is_empty() => {
                Ok(Mailbox { display: "", address: self.addr_spec(words)? })
            }
            None | Some(Kind::Special(',' | ';')) if !words.is_empty() => Err(AmbiguityReason::NoDomain),
            _ => Err(AmbiguityReason::Malformed),
        }
    }

    fn angle_addr(&mut self) -> Result<Address, AmbiguityReason> {
        self.at += 1;
        let words = self.words();
        if words.is_empty() && self.peek() == Some(Kind::Special('@')) {
            return Err(AmbiguityReason::Route);
        }
        if self.peek() != Some(Kind::Special('@')) {
            return Err(AmbiguityReason::Malformed);
        }
        let address = self.addr_spec(&words)?;
        self.skip_space();
        if self.take('>') { Ok(address) } else { Err(AmbiguityReason::Malformed) }
    }

    /// `addr-spec = local-part "@" domain`; the cursor stands on the `@`.
    fn addr_spec(&mut self, local: &[Token]) -> Result<Address, AmbiguityReason> {
        self.at += 1;
        let local = self.local_part(local)?;
        let domain = self.domain()?;
        Address::from_parts(&local, domain).ok_or(AmbiguityReason::Malformed)
    }

    fn local_part(&self, words: &[Token]) -> Result<String, AmbiguityReason> {
        if let [Token { kind: Kind::Quoted, start, end }] = words {
            return Ok(unquoted(&self.text[*start..*end]));
        }
        if words.iter().any(|token| matches!(token.kind, Kind::Space | Kind::Quoted)) {
            return Err(AmbiguityReason::Obsolete);
        }
        let local = self.slice(words);
        // RFC 2047 §5: an encoded word never stands in an addr-spec, yet readers decode it there.
        if local.contains("=?") {
            return Err(AmbiguityReason::EncodedWordInAddress);
        }
        if !is_dot_atom(local) || local.chars().any(is_mimic) {
            return Err(AmbiguityReason::Malformed);
        }
        Ok(local.to_owned())
    }

    fn domain(&mut self) -> Result<Domain, AmbiguityReason> {
        if self.peek() == Some(Kind::Space) {
            return Err(AmbiguityReason::Obsolete);
        }
        let labels: Vec<Token> = self.tokens[self.at..]
            .iter()
            .take_while(|token| matches!(token.kind, Kind::Atom | Kind::Special('.')))
            .copied()
            .collect();
        self.at += labels.len();
        let text = self.slice(&labels);
        if !is_dot_atom(text) {
            return Err(AmbiguityReason::Malformed);
        }
        Domain::parse(text).map_err(|_| AmbiguityReason::InvalidDomain)
    }

    /// Words of a display name or a local part, without the white space before them. The white space behind
    /// them stays inside, because it makes a local part obsolete.
    fn words(&mut self) -> Vec<Token> {
        self.skip_space();
        let words: Vec<Token> = self.tokens[self.at..]
            .iter()
            .take_while(|token| !matches!(token.kind, Kind::Special(c) if c != '.'))
            .copied()
            .collect();
        self.at += words.len();
        words
    }

    /// A display name, none of whose words may decode to something that hides what follows.
    fn phrase(&self, words: &[Token]) -> Result<&'t str, AmbiguityReason> {
        let display = self.slice(words).trim_end();
        for quoted in words.iter().filter(|token| token.kind == Kind::Quoted) {
            check_shown(decode_leniently(&self.text[quoted.start..quoted.end]).as_deref().unwrap_or(""))?;
        }
        let bare = words.split(|token| matches!(token.kind, Kind::Quoted | Kind::Space));
        bare.map(|chunk| self.slice(chunk)).filter(|chunk| chunk.contains("=?")).try_for_each(|chunk| {
            let decoded = decode_well_formed(chunk).ok_or(AmbiguityReason::MalformedEncodedWord)?;
            check_shown(&decoded)
        })?;
        Ok(display)
    }

    fn slice(&self, tokens: &[Token]) -> &'t str {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) => &self.text[first.start..last.end],
            _ => "",
        }
    }

    fn skip_space(&mut self) {
        while self.peek() == Some(Kind::Space) {
            self.at += 1;
        }
    }

    fn take(&mut self, special: char) -> bool {
        let found = self.peek() == Some(Kind::Special(special));
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<Kind> {
        self.tokens.get(self.at).map(|token| token.kind)
    }
}

/// A control character in a decoded display name ends or breaks the line in some readers, a direction
/// override turns it round: what is shown is then not what stands there.
fn check_shown(decoded: &str) -> Result<(), AmbiguityReason> {
    let hides = decoded.chars().any(|c| (c.is_control() && c != '\t') || is_direction_override(c));
    if hides { Err(AmbiguityReason::ControlCharacter) } else { Ok(()) }
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// Compatibility forms of the characters that structure an address.
fn is_mimic(c: char) -> bool {
    matches!(c, '\u{fe6b}' | '\u{ff20}' | '\u{ff1c}' | '\u{ff1e}' | '\u{ff05}' | '\u{ff01}')
}

/// The content of a quoted string, `token` including its quotes.
fn unquoted(token: &str) -> String {
    let mut content = String::with_capacity(token.len());
    let mut chars = token[1..token.len() - 1].chars();
    while let Some(c) = chars.next() {
        content.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    content
}
