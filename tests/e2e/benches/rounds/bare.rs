//! A client of few thoughts: it says what was recorded, and waits for the end of each answer.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const PATIENCE: Duration = Duration::from_secs(30);

/// How the end of an answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Imap,
    ManageSieve,
}

/// What a client said on one connection, in the pieces between which it heard something.
#[derive(Debug)]
pub(crate) struct Conversation {
    protocol: Protocol,
    mailbox: String,
    pieces: Vec<String>,
}

/// Passes one connection on and writes down what the client says.
pub(crate) struct Recorder {
    protocol: Protocol,
    port: u16,
    pieces: Arc<Mutex<Pieces>>,
    thread: JoinHandle<Result<()>>,
}

#[derive(Default)]
struct Pieces {
    said: Vec<Vec<u8>>,
    /// The server has answered since.
    is_answered: bool,
}

impl Recorder {
    pub(crate) fn start(protocol: Protocol, server: u16) -> Result<Recorder> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let pieces = Arc::new(Mutex::new(Pieces { is_answered: true, ..Pieces::default() }));
        let kept = Arc::clone(&pieces);
        let thread = thread::spawn(move || {
            let (client, _) = listener.accept()?;
            pass_on(&client, &TcpStream::connect((Ipv4Addr::LOCALHOST, server))?, &kept)
        });
        Ok(Recorder { protocol, port, pieces, thread })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What was said, once the client has gone.
    pub(crate) fn finish(self, mailbox: &str) -> Result<Conversation> {
        self.thread.join().ok().context("the recorder panicked")??;
        let said = std::mem::take(&mut lock(&self.pieces).said);
        let pieces = said.into_iter().map(String::from_utf8).collect::<Result<Vec<String>, _>>()?;
        ensure!(pieces.len() > 2, "nothing was recorded: {pieces:?}");
        Ok(Conversation { protocol: self.protocol, mailbox: mailbox.to_owned(), pieces })
    }
}

/// The lines of a piece, those of literals apart.
fn commands(piece: &str) -> usize {
    piece.lines().count() - piece.matches("+}\r\n").count()
}

fn lock(pieces: &Mutex<Pieces>) -> std::sync::MutexGuard<'_, Pieces> {
    pieces.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pass_on(client: &TcpStream, server: &TcpStream, pieces: &Arc<Mutex<Pieces>>) -> Result<()> {
    let back = thread::spawn({
        let (mut from, mut to, pieces) = (server.try_clone()?, client.try_clone()?, Arc::clone(pieces));
        move || {
            let mut buffer = [0; 65_536];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                lock(&pieces).is_answered = true;
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            let _ended = to.shutdown(Shutdown::Both);
        }
    });
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let mut buffer = [0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut pieces = lock(pieces);
        if std::mem::take(&mut pieces.is_answered) {
            pieces.said.push(Vec::new());
        }
        if let Some(piece) = pieces.said.last_mut() {
            piece.extend_from_slice(&buffer[..read]);
        }
        drop(pieces);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ended = to.shutdown(Shutdown::Both);
    back.join().ok().context("the way back panicked")
}

impl Conversation {
    /// Says the same for another mailbox.
    pub(crate) fn replay(&self, port: u16, mailbox: &str) -> Result<()> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::with_capacity(65_536, stream.try_clone()?);
        let mut writer = stream;
        self.hear(&mut reader, "*", 1)?;
        let mut tag = String::new();
        for piece in &self.pieces {
            writer.write_all(self.said_for(piece, mailbox).as_bytes())?;
            if let Some(last) = piece.lines().last().and_then(|line| line.split_once(' ')) {
                last.0.clone_into(&mut tag);
            }
            self.hear(&mut reader, &tag, commands(piece))?;
        }
        Ok(())
    }

    /// The mailbox stands in the login only: as it is, or within base64.
    fn said_for(&self, piece: &str, mailbox: &str) -> String {
        let words = piece.split_inclusive([' ', '\r', '\n', '"']).map(|word| {
            let bare = word.trim_end_matches([' ', '\r', '\n', '"']);
            let decoded = STANDARD.decode(bare).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            match decoded {
                Some(text) if text.contains(&self.mailbox) => {
                    let encoded = STANDARD.encode(text.replace(&self.mailbox, mailbox));
                    format!("{encoded}{}", &word[bare.len()..])
                }
                _ => word.replace(&self.mailbox, mailbox),
            }
        });
        words.collect()
    }

    /// The greeting, the tagged answer or a continuation in IMAP; so many completions in ManageSieve.
    fn hear(&self, reader: &mut impl BufRead, tag: &str, commands: usize) -> Result<()> {
        let mut missing = commands;
        let mut line = Vec::new();
        while missing > 0 {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                bail!("{:?} ended while {tag} was waited for", self.protocol);
            }
            let begins = |word: &str| line.starts_with(word.as_bytes());
            match self.protocol {
                Protocol::Imap if begins("+ ") || (begins(tag) && line.get(tag.len()) == Some(&b' ')) => {
                    return Ok(());
                }
                Protocol::Imap => {}
                Protocol::ManageSieve if begins("NO") || begins("BYE") => bail!("refused: {line:?}"),
                Protocol::ManageSieve => missing -= usize::from(begins("OK")),
            }
        }
        Ok(())
    }
}
