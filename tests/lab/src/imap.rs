//! A small IMAP client for what tests look at and plant.

use std::time::Duration;

use crate::error::Result;
use crate::wait::wait_until;
use crate::wire::{LogicalLine, Wire, string};

const SERVER: &str = "Dovecot (IMAP)";
/// One answer of a test never holds more untagged lines.
const MOST_LINES: usize = 1_000_000;

/// How a command ended (RFC 9051 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// Refused.
    No,
    /// Not understood.
    Bad,
}

/// Everything the server said to one command.
#[derive(Debug, Clone)]
pub struct Answer {
    /// How it ended.
    pub status: Status,
    /// The text of the tagged line, response code included.
    pub text: String,
    /// The untagged lines without their `* `.
    pub untagged: Vec<LogicalLine>,
}

/// The header of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its unique id in the mailbox.
    pub uid: u32,
    /// Names and values in order; values are unfolded.
    pub headers: Vec<(String, String)>,
    /// The header as it is stored.
    pub raw: String,
}

impl Message {
    fn new(uid: u32, raw: &[u8]) -> Message {
        let raw = String::from_utf8_lossy(raw).into_owned();
        Message { uid, headers: parse_headers(&raw), raw }
    }

    /// The first value of a header, by name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_all(name).first().copied()
    }

    /// Every value of a header, from the top.
    #[must_use]
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        let same = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }
}

/// RFC 5322 §2.2: a line that begins with a blank continues the one before.
fn parse_headers(raw: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in raw.split("\r\n").take_while(|line| !line.is_empty()) {
        match (line.starts_with([' ', '\t']), headers.last_mut()) {
            (true, Some((_, value))) => value.push_str(line),
            _ => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                headers.push((name.trim_end().to_owned(), value.trim_start().to_owned()));
            }
        }
    }
    headers
}

/// One IMAP session. Mailbox names are sent as they are: keep to ASCII.
#[derive(Debug)]
pub struct Imap {
    wire: Wire,
    commands: u32,
}

impl Imap {
    /// Connects to a loopback port and reads the greeting.
    pub fn connect(port: u16) -> Result<Imap> {
        let mut wire = Wire::connect(SERVER, port)?;
        let greeting = wire.logical_line()?.text;
        if greeting.starts_with("* OK") {
            return Ok(Imap { wire, commands: 0 });
        }
        Err(wire.answer("reading the greeting", &greeting))
    }

    /// Connects and logs in.
    pub fn open(port: u16, user: &str, password: &str) -> Result<Imap> {
        let mut session = Imap::connect(port)?;
        session.login(user, password)?;
        Ok(session)
    }

    /// LOGIN; `alice@example.test*sweeper` with the master's password logs in as alice.
    pub fn login(&mut self, user: &str, password: &str) -> Result<()> {
        let command = format!("LOGIN {} {}", string(user), string(password));
        // The password must not show in an error.
        let answer = self.command(&command)?;
        self.accepted(&format!("LOGIN {user}"), answer).map(drop)
    }

    /// Sends one command and reads everything up to its tagged line, whatever that says.
    pub fn command(&mut self, command: impl AsRef<[u8]>) -> Result<Answer> {
        self.commands += 1;
        let tag = format!("t{} ", self.commands);
        self.wire.send(&[tag.as_bytes(), command.as_ref(), b"\r\n"].concat())?;
        let mut untagged = Vec::new();
        while untagged.len() < MOST_LINES {
            let line = self.wire.logical_line()?;
            if let Some(status) = line.text.strip_prefix(&tag) {
                return self.tagged(status, untagged);
            }
            let text = line.text.strip_prefix("* ").unwrap_or(&line.text).to_owned();
            untagged.push(LogicalLine { text, ..line });
        }
        Err(self.wire.answer("reading an answer", "an answer without end"))
    }

    fn tagged(&self, line: &str, untagged: Vec<LogicalLine>) -> Result<Answer> {
        let (word, text) = line.split_once(' ').unwrap_or((line, ""));
        let status = match word {
            "OK" => Status::Ok,
            "NO" => Status::No,
            "BAD" => Status::Bad,
            _ => return Err(self.wire.answer("reading an answer", line)),
        };
        Ok(Answer { status, text: text.to_owned(), untagged })
    }

    /// Like [`Imap::command`], and anything but OK is an error.
    pub fn expect_ok(&mut self, command: impl AsRef<[u8]>) -> Result<Answer> {
        let answer = self.command(command.as_ref())?;
        let shown = String::from_utf8_lossy(command.as_ref()).lines().next().unwrap_or_default().to_owned();
        self.accepted(&shown, answer)
    }

    fn accepted(&self, doing: &str, answer: Answer) -> Result<Answer> {
        if answer.status == Status::Ok { Ok(answer) } else { Err(self.wire.answer(doing, &answer.text)) }
    }

    /// SELECT.
    pub fn select(&mut self, mailbox: &str) -> Result<()> {
        self.expect_ok(format!("SELECT {}", string(mailbox))).map(drop)
    }

    /// CREATE.
    pub fn create(&mut self, mailbox: &str) -> Result<()> {
        self.expect_ok(format!("CREATE {}", string(mailbox))).map(drop)
    }

    /// The names of all mailboxes, shared ones included.
    pub fn list(&mut self) -> Result<Vec<String>> {
        let answer = self.expect_ok("LIST \"\" \"*\"")?;
        Ok(answer.untagged.iter().filter_map(listed_name).collect())
    }

    /// The headers of all messages in the selected mailbox, oldest first.
    pub fn messages(&mut self) -> Result<Vec<Message>> {
        let answer = self.expect_ok("UID FETCH 1:* (UID BODY.PEEK[HEADER])")?;
        Ok(answer.untagged.iter().filter_map(fetched).collect())
    }

    /// The unique ids of the messages whose header `name` contains `value`.
    pub fn search_header(&mut self, name: &str, value: &str) -> Result<Vec<u32>> {
        let answer = self.expect_ok(format!("UID SEARCH HEADER {} {}", string(name), string(value)))?;
        let found = answer.untagged.iter().find_map(|line| line.text.strip_prefix("SEARCH"));
        Ok(found.unwrap_or_default().split_whitespace().filter_map(|uid| uid.parse().ok()).collect())
    }

    /// One whole message of the selected mailbox.
    pub fn fetch(&mut self, uid: u32) -> Result<Vec<u8>> {
        let answer = self.expect_ok(format!("UID FETCH {uid} (BODY.PEEK[])"))?;
        let literal = answer.untagged.into_iter().find_map(|line| line.literals.into_iter().next());
        literal.ok_or_else(|| self.wire.answer(&format!("UID FETCH {uid}"), "no such message"))
    }

    /// APPEND.
    pub fn append(&mut self, mailbox: &str, message: impl AsRef<[u8]>) -> Result<()> {
        let octets = message.as_ref();
        let head = format!("APPEND {} {{{}+}}\r\n", string(mailbox), octets.len());
        self.expect_ok([head.as_bytes(), octets].concat()).map(drop)
    }

    /// SETACL (RFC 4314 §3.1).
    pub fn setacl(&mut self, mailbox: &str, identifier: &str, rights: &str) -> Result<()> {
        self.expect_ok(format!("SETACL {} {} {}", string(mailbox), string(identifier), string(rights)))
            .map(drop)
    }

    /// DELETEACL (RFC 4314 §3.2).
    pub fn deleteacl(&mut self, mailbox: &str, identifier: &str) -> Result<()> {
        self.expect_ok(format!("DELETEACL {} {}", string(mailbox), string(identifier))).map(drop)
    }

    /// GETACL, whatever it says: a refusal is often what a test is about.
    pub fn getacl(&mut self, mailbox: &str) -> Result<Answer> {
        self.command(format!("GETACL {}", string(mailbox)))
    }

    /// SETMETADATA (RFC 5464 §4.3); `None` removes the entry, and the mailbox `""` is the server.
    pub fn setmetadata(&mut self, mailbox: &str, entry: &str, value: Option<&str>) -> Result<()> {
        let value = value.map_or_else(|| "NIL".to_owned(), string);
        self.expect_ok(format!("SETMETADATA {} ({entry} {value})", string(mailbox))).map(drop)
    }

    /// Waits until a message of the selected mailbox satisfies `wanted`.
    pub fn wait_for(&mut self, timeout: Duration, wanted: impl Fn(&Message) -> bool) -> Result<Message> {
        let what = "a message in the selected mailbox";
        wait_until(timeout, what, || match self.messages() {
            Ok(messages) => messages.into_iter().find(|message| wanted(message)).map(Ok),
            Err(error) => Some(Err(error)),
        })?
    }
}

/// Waits until the INBOX of `user` holds a message that satisfies `wanted`.
pub fn wait_for_message(
    port: u16,
    user: &str,
    password: &str,
    timeout: Duration,
    wanted: impl Fn(&Message) -> bool,
) -> Result<Message> {
    let mut session = Imap::open(port, user, password)?;
    session.select("INBOX")?;
    session.wait_for(timeout, wanted)
}

/// `LIST (flags) "/" name`: the name is the last thing on the line, quoted where it must be.
fn listed_name(line: &LogicalLine) -> Option<String> {
    let name = line.text.strip_prefix("LIST (")?.split_once(") ")?.1.split_once(' ')?.1;
    match line.literals.first() {
        Some(literal) => Some(String::from_utf8_lossy(literal).into_owned()),
        None => Some(crate::wire::unquote(name).map_or_else(|| name.to_owned(), |(value, _)| value)),
    }
}

fn fetched(line: &LogicalLine) -> Option<Message> {
    let items = line.text.split_once(" FETCH (")?.1;
    let uid = items.split_once("UID ")?.1.split([' ', ')']).next()?.parse().ok()?;
    Some(Message::new(uid, line.literals.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, literals: &[&[u8]]) -> LogicalLine {
        LogicalLine {
            text: text.to_owned(),
            literals: literals.iter().map(|octets| octets.to_vec()).collect(),
        }
    }

    #[test]
    fn headers_are_unfolded_and_found_in_any_case() {
        let message = Message::new(7, b"Subject: a\r\n\tb\r\nX-A: 1\r\nx-a: 2\r\n\r\nBody: no\r\n");
        assert_eq!(message.header("subject"), Some("a\tb"));
        assert_eq!(message.header_all("X-A"), ["1", "2"]);
        assert_eq!(message.header("body"), None);
    }

    #[test]
    fn fetch_answers_give_uid_and_header() {
        let message = fetched(&line("3 FETCH (UID 12 BODY[HEADER] {7})", &[b"A: b\r\n\r\n"])).unwrap();
        assert_eq!((message.uid, message.header("A")), (12, Some("b")));
        assert!(fetched(&line("3 EXISTS", &[])).is_none());
    }

    #[test]
    fn listed_names_may_be_atoms_quoted_or_literal() {
        let name = |text, literals: &[&[u8]]| listed_name(&line(text, literals)).unwrap();
        assert_eq!(name(r#"LIST (\HasNoChildren \Sent) "/" Sent"#, &[]), "Sent");
        assert_eq!(name(r#"LIST () "/" "shared/a@b/My \"x\"""#, &[]), r#"shared/a@b/My "x""#);
        assert_eq!(name(r#"LIST () "/" {3}"#, &[b"a\"b"]), "a\"b");
        assert_eq!(listed_name(&line("OK done", &[])), None);
    }
}
