//! A small SMTP client that shows every reply.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::Result;
use crate::wire::Wire;

const SERVER: &str = "Postfix (SMTP)";
/// What the client calls itself unless the test says otherwise.
const OWN_NAME: &str = "client.lab.test";
/// A reply of more lines is a broken server.
const MOST_LINES: usize = 1_000;

/// One SMTP reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// The enhanced status code of the first line (RFC 3463), if there is one.
    pub enhanced: Option<String>,
    /// The text of each line, without the code.
    pub lines: Vec<String>,
}

impl Reply {
    /// All lines joined by line feeds.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// 2xx.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4xx.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The reply to MAIL.
    pub mail: Reply,
    /// The reply to each RCPT that was sent, in order.
    pub recipients: Vec<(String, Reply)>,
    /// The reply to the whole message; `None` when no recipient was accepted.
    pub message: Option<Reply>,
}

impl Outcome {
    /// Whether the server took the message for at least one recipient.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.message.as_ref().is_some_and(Reply::is_ok)
    }

    /// The first reply that was not positive.
    #[must_use]
    pub fn refusal(&self) -> Option<&Reply> {
        let recipients = self.recipients.iter().map(|(_, reply)| reply);
        std::iter::once(&self.mail).chain(recipients).chain(&self.message).find(|reply| !reply.is_ok())
    }

    /// The queue id of the accepted message (`2.0.0 Ok: queued as ID`).
    #[must_use]
    pub fn queue_id(&self) -> Option<String> {
        let text = self.message.as_ref().filter(|reply| reply.is_ok())?.text();
        Some(text.rsplit_once("queued as ")?.1.trim().to_owned())
    }
}

/// One SMTP session.
#[derive(Debug)]
pub struct Smtp {
    wire: Wire,
    greeting: Reply,
}

impl Smtp {
    /// Connects to a loopback port and reads the greeting, whatever it says.
    pub fn connect(port: u16) -> Result<Smtp> {
        let mut wire = Wire::connect(SERVER, port)?;
        let greeting = read_reply(&mut wire)?;
        Ok(Smtp { wire, greeting })
    }

    /// A session that looks to Postfix, and to its milters, like one from `address`, past the second EHLO.
    pub fn from_outside(port: u16, address: IpAddr, name: &str) -> Result<Smtp> {
        let mut session = Smtp::connect(port)?;
        session.ehlo(OWN_NAME)?;
        let reply = session.xclient(address, name)?;
        if reply.is_ok() { Ok(session) } else { Err(session.wire.answer("XCLIENT", &reply.text())) }
    }

    /// The greeting: 220, or 554 where a milter refused the connection. XCLIENT brings a new one.
    #[must_use]
    pub fn greeting(&self) -> &Reply {
        &self.greeting
    }

    /// Sends one command line and reads its reply.
    pub fn command(&mut self, line: &str) -> Result<Reply> {
        self.wire.send(format!("{line}\r\n").as_bytes())?;
        read_reply(&mut self.wire)
    }

    /// EHLO.
    pub fn ehlo(&mut self, name: &str) -> Result<Reply> {
        self.command(&format!("EHLO {name}"))
    }

    /// Pretends to come from elsewhere and says EHLO again as that client.
    ///
    /// Postfix answers XCLIENT with a new greeting and forgets the session before it.
    pub fn xclient(&mut self, address: IpAddr, name: &str) -> Result<Reply> {
        let prefix = if address.is_ipv6() { "IPV6:" } else { "" };
        self.greeting = self.command(&format!("XCLIENT NAME={name} ADDR={prefix}{address}"))?;
        if self.greeting.is_ok() { self.ehlo(name) } else { Ok(self.greeting.clone()) }
    }

    /// AUTH PLAIN in one step (RFC 4954 §4).
    pub fn auth_plain(&mut self, user: &str, password: &str) -> Result<Reply> {
        self.command(&format!("AUTH PLAIN {}", STANDARD.encode(format!("\0{user}\0{password}"))))
    }

    /// MAIL FROM; an empty sender is the null sender.
    pub fn mail(&mut self, envelope_sender: &str) -> Result<Reply> {
        self.command(&format!("MAIL FROM:<{envelope_sender}>"))
    }

    /// RCPT TO.
    pub fn rcpt(&mut self, recipient: &str) -> Result<Reply> {
        self.command(&format!("RCPT TO:<{recipient}>"))
    }

    /// DATA and the message; the reply to DATA itself when that is not 354.
    pub fn data(&mut self, message: impl AsRef<[u8]>) -> Result<Reply> {
        let invitation = self.command("DATA")?;
        if invitation.code != 354 {
            return Ok(invitation);
        }
        self.wire.send(&dot_stuffed(message.as_ref()))?;
        read_reply(&mut self.wire)
    }

    /// RSET.
    pub fn rset(&mut self) -> Result<Reply> {
        self.command("RSET")
    }

    /// QUIT.
    pub fn quit(mut self) -> Result<Reply> {
        self.command("QUIT")
    }

    /// One whole transaction. A refused MAIL, or no accepted recipient, ends it with RSET.
    pub fn send(
        &mut self,
        envelope_sender: &str,
        recipients: &[&str],
        message: impl AsRef<[u8]>,
    ) -> Result<Outcome> {
        let mail = self.mail(envelope_sender)?;
        let mut outcome = Outcome { mail, recipients: Vec::new(), message: None };
        if outcome.mail.is_ok() {
            for recipient in recipients {
                let reply = self.rcpt(recipient)?;
                let hung_up = reply.code == 421;
                outcome.recipients.push(((*recipient).to_owned(), reply));
                if hung_up {
                    return Ok(outcome);
                }
            }
        }
        if outcome.recipients.iter().any(|(_, reply)| reply.is_ok()) {
            outcome.message = Some(self.data(message)?);
        } else if outcome.mail.code != 421 {
            self.rset()?;
        }
        Ok(outcome)
    }
}

fn read_reply(wire: &mut Wire) -> Result<Reply> {
    let mut lines = Vec::new();
    while lines.len() < MOST_LINES {
        let line = String::from_utf8_lossy(&wire.line()?).into_owned();
        let Some((code, last, text)) = parse_line(&line) else {
            return Err(wire.answer("reading a reply", &line));
        };
        lines.push(text);
        if last {
            let enhanced = lines.first().and_then(|first| enhanced_code(first));
            return Ok(Reply { code, enhanced, lines });
        }
    }
    Err(wire.answer("reading a reply", "a reply without end"))
}

/// RFC 5321 §4.2.1: `250-text` goes on, `250 text` and a bare `250` end the reply.
fn parse_line(line: &str) -> Option<(u16, bool, String)> {
    let code = line.get(..3)?.parse().ok()?;
    match line.as_bytes().get(3) {
        None | Some(b' ') => Some((code, true, line.get(4..).unwrap_or_default().to_owned())),
        Some(b'-') => Some((code, false, line.get(4..)?.to_owned())),
        Some(_) => None,
    }
}

fn enhanced_code(text: &str) -> Option<String> {
    let word = text.split(' ').next()?;
    let numbers: Vec<&str> = word.split('.').collect();
    let digits = |number: &&str| !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit());
    (numbers.len() == 3 && numbers.iter().all(digits)).then(|| word.to_owned())
}

/// RFC 5321 §4.5.2, with every line end made CRLF and the final dot added.
fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(message.len() + 16);
    let body = message.strip_suffix(b"\n").unwrap_or(message);
    for line in body.split(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.first() == Some(&b'.') {
            sent.push(b'.');
        }
        sent.extend_from_slice(line);
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b".\r\n");
    sent
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_is_sent_with_crlf_and_stuffed_dots() {
        assert_eq!(dot_stuffed(b"a: b\n\n.x\r\n..\nend"), b"a: b\r\n\r\n..x\r\n...\r\nend\r\n.\r\n");
        assert_eq!(dot_stuffed(b"a\n"), b"a\r\n.\r\n");
    }

    #[test]
    fn reply_lines_and_enhanced_codes_are_told_apart() {
        assert_eq!(parse_line("250-PIPELINING"), Some((250, false, "PIPELINING".to_owned())));
        assert_eq!(parse_line("250"), Some((250, true, String::new())));
        assert_eq!(parse_line("2x0 no"), None);
        assert_eq!(enhanced_code("5.7.1 no").as_deref(), Some("5.7.1"));
        assert_eq!(enhanced_code("5..1 no"), None);
        assert_eq!(enhanced_code("mx.example.test ESMTP"), None);
    }

    #[test]
    fn an_outcome_names_its_first_refusal_and_its_queue_id() {
        let reply = |code, text: &str| Reply { code, enhanced: None, lines: vec![text.to_owned()] };
        let mut outcome = Outcome {
            mail: reply(250, "ok"),
            recipients: vec![("a@b".into(), reply(550, "no")), ("c@d".into(), reply(250, "ok"))],
            message: Some(reply(250, "2.0.0 Ok: queued as 4ABC")),
        };
        assert!(outcome.is_accepted());
        assert_eq!(outcome.refusal().unwrap().code, 550);
        assert_eq!(outcome.queue_id().as_deref(), Some("4ABC"));
        outcome.message = Some(reply(451, "queued as NOT"));
        assert!(!outcome.is_accepted());
        assert_eq!(outcome.queue_id(), None);
    }

    proptest! {
        #[test]
        fn a_stuffed_message_holds_no_early_end(message in proptest::collection::vec(
            prop_oneof![Just(b'.'), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..60,
        )) {
            let sent = dot_stuffed(&message);
            let end = sent.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| at + 5);
            prop_assert!(end.is_none_or(|end| end == sent.len()));
            prop_assert!(sent.ends_with(b".\r\n"));
        }
    }
}
