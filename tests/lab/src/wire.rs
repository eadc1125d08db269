//! The connection under the three small clients: lines and counted octets, both bounded, both with a time
//! limit.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{LabError, Result};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longer than a milter's content timeout in the labs, shorter than a person's patience.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// No server of the lab sends a longer line.
const LONGEST_LINE: u64 = 1 << 20;
/// No test mailbox holds a larger message or script.
const LARGEST_LITERAL: usize = 64 << 20;
/// A logical line of IMAP holds one literal per fetched item.
const MOST_LITERALS: usize = 64;

/// One connection to a server of the lab.
#[derive(Debug)]
pub(crate) struct Wire {
    server: &'static str,
    stream: BufReader<TcpStream>,
}

/// A line in which counted octets (`{n}` CRLF and n octets, RFC 9051 §4.3, RFC 5804 §4) were set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalLine {
    /// The line; each literal is represented by its `{n}`.
    pub text: String,
    /// The octets, in order.
    pub literals: Vec<Vec<u8>>,
}

impl Wire {
    pub(crate) fn connect(server: &'static str, port: u16) -> Result<Wire> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let open = || -> io::Result<TcpStream> {
            let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
            stream.set_read_timeout(Some(ANSWER_LIMIT))?;
            stream.set_write_timeout(Some(ANSWER_LIMIT))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = open().map_err(|source| LabError::Unreachable {
            server,
            doing: format!("connecting to {address}"),
            source,
        })?;
        Ok(Wire { server, stream: BufReader::new(stream) })
    }

    pub(crate) fn send(&mut self, octets: &[u8]) -> Result<()> {
        let server = self.server;
        self.stream.get_mut().write_all(octets).map_err(|source| LabError::Unreachable {
            server,
            doing: "sending a command".to_owned(),
            source,
        })
    }

    /// One line without its end.
    pub(crate) fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(LONGEST_LINE).read_until(b'\n', &mut line);
        self.received("reading an answer", read.map(|_| ()))?;
        if line.pop() != Some(b'\n') {
            return self
                .received("reading an answer", Err(io::ErrorKind::UnexpectedEof.into()))
                .map(|()| line);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    pub(crate) fn logical_line(&mut self) -> Result<LogicalLine> {
        let mut whole = LogicalLine { text: String::new(), literals: Vec::new() };
        loop {
            let line = String::from_utf8_lossy(&self.line()?).into_owned();
            whole.text.push_str(&line);
            match literal_size(&line) {
                Some(size) if size <= LARGEST_LITERAL && whole.literals.len() < MOST_LITERALS => {
                    whole.literals.push(self.octets(size)?);
                }
                Some(_) => return Err(self.answer("reading an answer", &whole.text)),
                None => return Ok(whole),
            }
        }
    }

    /// An error that shows what the server said instead of what was expected.
    pub(crate) fn answer(&self, doing: &str, answer: &str) -> LabError {
        LabError::Answer { server: self.server, doing: doing.to_owned(), answer: answer.to_owned() }
    }

    fn octets(&mut self, size: usize) -> Result<Vec<u8>> {
        let mut octets = vec![0; size];
        let read = self.stream.read_exact(&mut octets);
        self.received("reading counted octets", read)?;
        Ok(octets)
    }

    fn received(&self, doing: &str, read: io::Result<()>) -> Result<()> {
        let server = self.server;
        read.map_err(|source| LabError::Unreachable { server, doing: doing.to_owned(), source })
    }
}

/// The `n` of a line that ends in `{n}` or `{n+}`.
fn literal_size(line: &str) -> Option<usize> {
    let (_, size) = line.strip_suffix('}')?.rsplit_once('{')?;
    size.strip_suffix('+').unwrap_or(size).parse().ok()
}

/// A string as IMAP and ManageSieve both take it: quoted where that can be, else as a literal that needs no
/// go-ahead (LITERAL+, RFC 7888; always allowed by RFC 5804).
pub(crate) fn string(value: &str) -> String {
    let plain = |octet: u8| (b' '..=b'~').contains(&octet);
    if value.bytes().all(plain) {
        return format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    }
    format!("{{{}+}}\r\n{value}", value.len())
}

/// Reads a quoted string at the start of `text`; hands over its value and what follows.
pub(crate) fn unquote(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut value = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &inner[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;

    fn answering(octets: &'static [u8]) -> Wire {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || listener.accept().unwrap().0.write_all(octets).unwrap());
        Wire::connect("test server", port).unwrap()
    }

    #[test]
    fn literals_are_set_aside_and_the_line_goes_on_behind_them() {
        let mut wire = answering(b"* 1 FETCH (UID 1 A {3}\r\nx\r\n B {2+}\r\n)) FLAGS ())\r\nnext\r\n");
        let line = wire.logical_line().unwrap();
        assert_eq!(line.text, "* 1 FETCH (UID 1 A {3} B {2+} FLAGS ())");
        assert_eq!(line.literals, [b"x\r\n".to_vec(), b"))".to_vec()]);
        assert_eq!(wire.line().unwrap(), b"next");
    }

    #[test]
    fn a_connection_that_ends_inside_a_line_is_an_error() {
        let error = answering(b"* OK hal").line().unwrap_err();
        assert!(matches!(error, LabError::Unreachable { .. }), "{error}");
    }

    #[test]
    fn a_literal_beyond_the_bound_is_refused_before_memory_is_taken() {
        let error = answering(b"* {99999999999}\r\n").logical_line().unwrap_err();
        assert!(matches!(error, LabError::Answer { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn a_quoted_string_comes_back(value in "[ -~]{0,40}", rest in "[ -~]{0,10}") {
            let sent = format!("{}{rest}", string(&value));
            prop_assert_eq!(unquote(&sent), Some((value, rest.as_str())));
        }
    }
}
