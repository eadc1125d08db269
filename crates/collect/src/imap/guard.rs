//! The transport that stands between a server and async-imap.
//!
//! Reading: whole responses are taken from the server; until the login is over, a greeting, a continuation, a
//! completion and BYE are passed on in a rebuilt, minimal form; everything else is kept aside for the command whose
//! completion follows. Writing: commands are collected and leave when the next answer is awaited, so that one command,
//! or a whole pipeline of them, is one write and one TLS record.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::lexer::{Kind, Lexer, Status, kind, trimmed};
use crate::error::shown;

/// Most bytes of data kept for commands that have not completed.
pub(super) const MAX_PENDING: usize = 16 * 1024 * 1024;
/// Most bytes taken from one connection: 20,000 folders with their grants fit several times.
pub(super) const MAX_CONNECTION: usize = 64 * 1024 * 1024;
/// Most completions nobody has asked for yet.
const MAX_COMPLETIONS: usize = 1024;
/// What one kept response costs besides its bytes, so that a flood of tiny ones is bounded too.
const RESPONSE_COST: usize = 64;
/// Size of one read.
const READ_SIZE: usize = 16 * 1024;
/// Most bytes of commands collected before they must be written.
const MAX_WRITE: usize = 256 * 1024;

/// The end of a command, with everything the server said since the end of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completion {
    /// The command's tag.
    pub(super) tag: String,
    /// How it ended.
    pub(super) status: Status,
    /// The completion line as sent.
    pub(super) line: Vec<u8>,
    /// The untagged responses as sent.
    pub(super) untagged: Vec<Vec<u8>>,
}

/// An asynchronous byte stream that shows async-imap only what it can digest.
#[derive(Debug)]
pub(super) struct Guard<S> {
    inner: S,
    lexer: Lexer,
    expects_greeting: bool,
    greeting: Option<Vec<u8>>,
    bye: Option<Vec<u8>>,
    taken: usize,
    pending: Vec<Vec<u8>>,
    pending_bytes: usize,
    completions: VecDeque<Completion>,
    passing: VecDeque<Vec<u8>>,
    passed: usize,
    writing: Vec<u8>,
    written: usize,
}

impl<S> Guard<S> {
    /// Guards a stream on which the server speaks first.
    pub(super) fn with_greeting(inner: S) -> Self {
        Self { expects_greeting: true, ..Self::without_greeting(inner) }
    }

    /// Guards a stream on which the greeting is past, as after STARTTLS.
    pub(super) fn without_greeting(inner: S) -> Self {
        Self {
            inner,
            lexer: Lexer::default(),
            expects_greeting: false,
            greeting: None,
            bye: None,
            taken: 0,
            pending: Vec::new(),
            pending_bytes: 0,
            completions: VecDeque::new(),
            passing: VecDeque::new(),
            passed: 0,
            writing: Vec::new(),
            written: 0,
        }
    }

    /// The stream within, unless the server has sent something that nobody asked for: before TLS such bytes
    /// may be an attacker's and must not be taken for an answer given under TLS (RFC 9051 section 11.1).
    pub(super) fn into_inner(self) -> Option<S> {
        let is_quiet = self.passing.is_empty() && self.pending.is_empty() && !self.lexer.is_inside();
        is_quiet.then_some(self.inner)
    }

    /// The greeting as sent.
    pub(super) fn greeting(&self) -> Option<&[u8]> {
        self.greeting.as_deref()
    }

    /// The server's parting words, if it hung up.
    pub(super) fn bye(&self) -> Option<&[u8]> {
        self.bye.as_deref()
    }

    /// Takes the completion of a command out of the queue.
    pub(super) fn take_completion(&mut self, tag: &str) -> Option<Completion> {
        let at = self.completions.iter().position(|completion| completion.tag == tag)?;
        self.completions.remove(at)
    }

    /// Takes the oldest completion, whatever its tag: the answer to a command async-imap tagged itself.
    pub(super) fn take_first_completion(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }

    fn take_in(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.taken += bytes.len();
        if self.taken > MAX_CONNECTION {
            return Err(broken(format!("more than {MAX_CONNECTION} bytes on one connection")));
        }
        let mut frames = Vec::new();
        let framed = self.lexer.feed(bytes, &mut frames);
        for frame in frames {
            self.sort(frame)?;
        }
        framed.map_err(|error| broken(error.to_string()))
    }

    fn sort(&mut self, frame: Vec<u8>) -> io::Result<()> {
        let Some(kind) = kind(&frame) else {
            return Err(broken(format!("a line that is no IMAP response: {}", shown(trimmed(&frame)))));
        };
        match kind {
            Kind::Untagged(status) if self.expects_greeting => self.greet(status, frame),
            _ if self.expects_greeting => {
                return Err(broken(format!("no greeting but: {}", shown(trimmed(&frame)))));
            }
            // A challenge is dropped: SASL PLAIN has only the empty one (RFC 4616 section 2).
            Kind::Continuation => self.passing.push_back(b"+ \r\n".to_vec()),
            Kind::Tagged { tag, status } => return self.complete(tag, status, frame),
            Kind::Untagged(Status::Bye) => {
                self.passing.push_back(b"* BYE closing\r\n".to_vec());
                self.bye = Some(frame);
            }
            Kind::Untagged(_) | Kind::Data => return self.keep(frame),
        }
        Ok(())
    }

    fn greet(&mut self, status: Status, frame: Vec<u8>) {
        self.expects_greeting = false;
        self.passing.push_back(format!("* {} greeting\r\n", status.word()).into_bytes());
        if status == Status::Bye {
            self.bye = Some(frame.clone());
        }
        self.greeting = Some(frame);
    }

    fn complete(&mut self, tag: String, status: Status, line: Vec<u8>) -> io::Result<()> {
        if self.completions.len() >= MAX_COMPLETIONS {
            return Err(broken("more completions than commands".to_owned()));
        }
        self.passing.push_back([&tag, " ", status.word(), " done\r\n"].concat().into_bytes());
        self.pending_bytes = 0;
        let untagged = std::mem::take(&mut self.pending);
        self.completions.push_back(Completion { tag, status, line, untagged });
        Ok(())
    }

    fn keep(&mut self, frame: Vec<u8>) -> io::Result<()> {
        self.pending_bytes += frame.len() + RESPONSE_COST;
        if self.pending_bytes > MAX_PENDING {
            return Err(broken(format!("more than {MAX_PENDING} bytes in answer to one command")));
        }
        self.pending.push(frame);
        Ok(())
    }

    /// Hands out at most one response at a time, so that what async-imap has not asked for stays here.
    fn pass_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let Some(line) = self.passing.front() else { return false };
        let rest = &line[self.passed..];
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        self.passed += length;
        if self.passed == line.len() {
            self.passing.pop_front();
            self.passed = 0;
        }
        true
    }
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    fn poll_write_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.writing.len() {
            let rest = &self.writing[self.written..];
            let length = ready!(Pin::new(&mut self.inner).poll_write(context, rest))?;
            if length == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += length;
        }
        self.writing.clear();
        self.written = 0;
        Pin::new(&mut self.inner).poll_flush(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.writing.is_empty() {
            ready!(this.poll_write_out(context))?;
        }
        while !this.pass_on(buffer) {
            if !ready!(this.poll_take_in(context))? {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// Writes what was collected, and waits until so many completions have come; false when the server hangs up
    /// before. async-imap is shown nothing of them: it would take a buffer for each, and has nothing to say.
    pub(super) async fn completed(&mut self, completions: usize) -> io::Result<bool> {
        poll_fn(|context| self.poll_completed(completions, context)).await
    }

    fn poll_completed(&mut self, completions: usize, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.writing.is_empty() {
            ready!(self.poll_write_out(context))?;
        }
        while self.completions.len() < completions {
            if !ready!(self.poll_take_in(context))? {
                return Poll::Ready(Ok(false));
            }
            (self.passing, self.passed) = (VecDeque::new(), 0);
        }
        Poll::Ready(Ok(true))
    }

    /// Takes what the server has sent; false at the end of it.
    fn poll_take_in(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut chunk = [const { MaybeUninit::uninit() }; READ_SIZE];
        let mut chunk = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.inner).poll_read(context, &mut chunk))?;
        if chunk.filled().is_empty() {
            return Poll::Ready(self.ended().map(|()| false));
        }
        Poll::Ready(self.take_in(chunk.filled()).map(|()| true))
    }
}

impl<S> Guard<S> {
    fn ended(&self) -> io::Result<()> {
        if self.lexer.is_inside() {
            let cause = "the connection ended inside an answer";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, cause));
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.writing.len() + bytes.len() > MAX_WRITE {
            ready!(this.poll_write_out(context))?;
        }
        this.writing.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// Nothing leaves before an answer is awaited: async-imap flushes after every command of a pipeline.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_out(context))?;
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}

fn broken(cause: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Everything async-imap would read from a server that sends `stream`, and the guard afterwards.
    async fn read_through(stream: &[u8]) -> (io::Result<Vec<u8>>, Guard<tokio::io::DuplexStream>) {
        let (client, mut server) = tokio::io::duplex(stream.len().max(1));
        server.write_all(stream).await.unwrap();
        drop(server);
        let mut guard = Guard::with_greeting(client);
        let mut seen = Vec::new();
        let result = guard.read_to_end(&mut seen).await.map(|_| seen);
        (result, guard)
    }

    #[tokio::test]
    async fn only_rebuilt_lines_pass_and_the_rest_is_kept_for_its_command() {
        let stream = b"* OK [CAPABILITY IMAP4rev1] \xc3\xbcber\r\n* NAMESPACE NIL NIL NIL\r\n\
            A0001 OK [UIDNEXT 3]\xc3\xbc\r\n* LIST () \"/\" {5}\r\nIN\r\nB\r\nA0002 NO [NOPERM] no\r\n";
        let (seen, mut guard) = read_through(stream).await;
        assert_eq!(seen.unwrap(), b"* OK greeting\r\nA0001 OK done\r\nA0002 NO done\r\n");
        assert!(guard.greeting().unwrap().starts_with(b"* OK [CAPABILITY"));
        let second = guard.take_completion("A0002").unwrap();
        assert_eq!(second.untagged, [b"* LIST () \"/\" {5}\r\nIN\r\nB\r\n".to_vec()]);
        let first = guard.take_first_completion().unwrap();
        assert_eq!(first.untagged, [b"* NAMESPACE NIL NIL NIL\r\n".to_vec()]);
        assert_eq!(first.line, b"A0001 OK [UIDNEXT 3]\xc3\xbc\r\n");
    }

    #[tokio::test]
    async fn five_hundred_parentheses_reach_nobody() {
        let nested =
            [b"* OK hi\r\n* 1 FETCH (BODYSTRUCTURE ".to_vec(), vec![b'('; 500], b"\r\n".to_vec()].concat();
        let (seen, _) = read_through(&nested).await;
        assert_eq!(seen.unwrap(), b"* OK greeting\r\n");
    }

    #[tokio::test]
    async fn a_line_of_another_protocol_ends_the_connection() {
        for stream in [&b"SSH-2.0-OpenSSH\r\n"[..], b"* 1 EXISTS\r\n", b"A1 OK x\r\n", b"+ go\r\n"] {
            let (seen, _) = read_through(stream).await;
            assert_eq!(seen.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[tokio::test]
    async fn half_a_line_is_not_an_orderly_end() {
        let (seen, _) = read_through(b"* OK hi\r\n* LIST (").await;
        assert_eq!(seen.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_flood_of_small_lines_is_bounded() {
        let stream =
            [b"* OK hi\r\n".to_vec(), b"* 1 EXISTS\r\n".repeat(MAX_PENDING / RESPONSE_COST)].concat();
        let (seen, guard) = read_through(&stream).await;
        assert_eq!(seen.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(guard.pending_bytes <= MAX_PENDING + READ_SIZE);
    }

    #[tokio::test]
    async fn a_pipeline_is_one_write() {
        let (client, mut server) = tokio::io::duplex(4096);
        let mut guard = Guard::without_greeting(client);
        for part in ["A0001", " ", "NOOP", "\r\n", "A0002", " ", "NOOP", "\r\n"] {
            guard.write_all(part.as_bytes()).await.unwrap();
            guard.flush().await.unwrap();
        }
        let answer = async {
            let mut command = [0; 64];
            let length = server.read(&mut command).await.unwrap();
            server.write_all(b"A0001 OK x\r\n").await.unwrap();
            command[..length].to_vec()
        };
        let mut line = [0; 64];
        let (command, read) = tokio::join!(answer, guard.read(&mut line));
        assert_eq!(command, b"A0001 NOOP\r\nA0002 NOOP\r\n");
        assert_eq!(&line[..read.unwrap()], b"A0001 OK done\r\n");
    }

    #[tokio::test]
    async fn completions_are_awaited_without_showing_anybody_a_line() {
        let (client, mut server) = tokio::io::duplex(4096);
        let mut guard = Guard::without_greeting(client);
        guard.write_all(b"A0001 NOOP\r\nA0002 NOOP\r\n").await.unwrap();
        let answer = async {
            let mut command = [0; 64];
            let length = server.read(&mut command).await.unwrap();
            server.write_all(b"+ go\r\n* 1 EXISTS\r\nA0001 OK x\r\n").await.unwrap();
            assert_eq!(&command[..length], b"A0001 NOOP\r\nA0002 NOOP\r\n");
        };
        let ((), first) = tokio::join!(answer, guard.completed(1));
        assert!(first.unwrap() && guard.passing.is_empty());
        assert!(guard.completed(1).await.unwrap(), "it is there already");
        server.write_all(b"A0002 N").await.unwrap();
        drop(server);
        assert_eq!(guard.completed(2).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(guard.take_completion("A0001").unwrap().untagged, [b"* 1 EXISTS\r\n".to_vec()]);
    }

    #[tokio::test]
    async fn text_injected_before_tls_is_noticed() {
        let (client, mut server) = tokio::io::duplex(4096);
        server.write_all(b"* OK hi\r\nA0001 OK go\r\n* CAPABILITY EVIL\r\n").await.unwrap();
        let mut guard = Guard::with_greeting(client);
        let mut seen = [0; 30];
        let length = guard.read(&mut seen).await.unwrap();
        assert_eq!(&seen[..length], b"* OK greeting\r\n");
        guard.read_exact(&mut seen[..15]).await.unwrap();
        assert!(guard.into_inner().is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_server_bytes_give_only_plain_lines(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(b'\n'), Just(b' '), Just(b'*')], 0..2000
            )
        ) {
            let stream = [b"* OK hi\r\n".to_vec(), bytes].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (client, mut server) = tokio::io::duplex(stream.len());
            let seen = runtime.block_on(async {
                server.write_all(&stream).await.unwrap();
                drop(server);
                let mut seen = Vec::new();
                // An error is a fine end; what was handed on before it must be plain all the same.
                let _ended = Guard::with_greeting(client).read_to_end(&mut seen).await;
                seen
            });
            for line in String::from_utf8(seen).unwrap().lines() {
                let known = ["* OK greeting", "* BYE closing", "+ "];
                prop_assert!(known.contains(&line) || line.ends_with(" done"), "{}", line);
            }
        }
    }
}
