//! Connections that speak in lines (SMTP, POP3), read with a bound on everything.

use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::time::timeout;

use crate::error::shown;

/// Longest line of a reply; RFC 5321 §4.5.3.1.5 and RFC 2449 §4 allow 512, extensions a little more.
const MAX_LINE: u64 = 2048;
/// Most lines of one reply.
const MAX_LINES: usize = 100;

/// One reply of SMTP: its code and its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) lines: Vec<String>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.join(" "))
    }

    /// Whether a keyword of EHLO is among the lines, with the words behind it.
    pub(crate) fn keyword(&self, name: &str) -> Option<Vec<&str>> {
        self.lines.iter().skip(1).find_map(|line| {
            let mut words = line.split(' ');
            words.next().filter(|word| word.eq_ignore_ascii_case(name)).map(|_| words.collect())
        })
    }
}

/// A connection, line by line.
#[derive(Debug)]
pub(crate) struct Lines<S> {
    stream: BufReader<S>,
    patience: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    /// `patience` is how long one line may take to come or to go.
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        Self { stream: BufReader::new(stream), patience }
    }

    /// The connection itself, unless something has come over it that nobody asked for: what was sent before TLS
    /// must not be taken for an answer given under it.
    pub(crate) fn into_inner(self) -> Result<S, String> {
        match self.stream.buffer().is_empty() {
            true => Ok(self.stream.into_inner()),
            false => Err("unasked text before the TLS handshake".to_owned()),
        }
    }

    pub(crate) async fn send(&mut self, line: &str) -> Result<(), String> {
        let line = format!("{line}\r\n");
        let written = async {
            self.stream.get_mut().write_all(line.as_bytes()).await?;
            self.stream.get_mut().flush().await
        };
        match timeout(self.patience, written).await {
            Ok(written) => written.map_err(|error| format!("the connection ended: {error}")),
            Err(_) => Err("the host does not take commands".to_owned()),
        }
    }

    /// One line without its end.
    pub(crate) async fn line(&mut self) -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(MAX_LINE);
        match timeout(self.patience, bounded.read_until(b'\n', &mut line)).await {
            Ok(read) => drop(read.map_err(|error| format!("the connection ended: {error}"))?),
            Err(_) => return Err(format!("no answer within {:?}", self.patience)),
        }
        if line.pop() != Some(b'\n') {
            return Err(
                "the host ended the connection in the middle of a line, or the line is too long".to_owned()
            );
        }
        line.pop_if(|byte| *byte == b'\r');
        Ok(line)
    }

    /// The lines of POP3's answers that end with a dot (RFC 1939 §3).
    pub(crate) async fn until_dot(&mut self) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        while lines.len() < MAX_LINES {
            let line = self.line().await?;
            if line == b"." {
                return Ok(lines);
            }
            lines.push(shown(&line));
        }
        Err("the host does not end its answer".to_owned())
    }

    /// One reply of SMTP (RFC 5321 §4.2).
    pub(crate) async fn reply(&mut self) -> Result<Reply, String> {
        let mut lines = Vec::new();
        for _ in 0..MAX_LINES {
            let line = self.line().await?;
            let text = shown(&line);
            let digits = line.get(..3).and_then(|code| std::str::from_utf8(code).ok());
            let code = digits.and_then(|code| code.parse::<u16>().ok());
            let Some(code) = code.filter(|code| (200..600).contains(code)) else {
                return Err(format!("the host does not speak SMTP: {text}"));
            };
            lines.push(text.chars().skip(4).collect());
            if line.get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
        Err("the host does not end its reply".to_owned())
    }

    /// A command of SMTP and its reply.
    pub(crate) async fn say(&mut self, command: &str) -> Result<Reply, String> {
        self.send(command).await?;
        self.reply().await
    }

    /// A polite end; whether the host hears it changes nothing.
    pub(crate) async fn quit(mut self) {
        let _ = self.send("QUIT").await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn replied(bytes: &[u8]) -> Result<Reply, String> {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        server.write_all(bytes).await.unwrap();
        drop(server);
        Lines::new(client, Duration::from_secs(5)).reply().await
    }

    #[tokio::test]
    async fn replies_are_whole_or_refused() {
        let reply = replied(b"250-mx\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE\r\n").await.unwrap();
        assert_eq!((reply.code, reply.lines.len()), (250, 3));
        assert_eq!(reply.keyword("auth"), Some(vec!["PLAIN", "LOGIN"]));
        assert_eq!(reply.keyword("STARTTLS"), None);
        for (bytes, why) in [
            (b"* OK imap\r\n".to_vec(), "does not speak SMTP"),
            (b"250-mx\r\n".to_vec(), "ended the connection"),
            (b"250-mx\r\n".repeat(MAX_LINES + 1), "does not end its reply"),
            ([b"250 ".to_vec(), vec![b'x'; 5000], b"\r\n".to_vec()].concat(), "too long"),
        ] {
            let error = replied(&bytes).await.unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[tokio::test]
    async fn text_before_tls_is_not_kept_for_later() {
        let (client, mut server) = tokio::io::duplex(1000);
        server.write_all(b"220 go\r\n235 welcome\r\n").await.unwrap();
        let mut lines = Lines::new(client, Duration::from_secs(5));
        assert_eq!(lines.reply().await.unwrap().code, 220);
        assert!(lines.into_inner().is_err());
    }

    #[tokio::test]
    async fn a_host_that_is_silent_is_not_waited_for() {
        let (client, _server) = tokio::io::duplex(1000);
        let error = Lines::new(client, Duration::from_millis(20)).line().await.unwrap_err();
        assert!(error.contains("no answer"), "{error}");
    }
}
