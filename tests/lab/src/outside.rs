//! The outside world: an SMTP server that takes everything and shows what left the lab.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{LabError, Result};
use crate::wait::wait_until;

const SERVER: &str = "the outside world (SMTP)";
/// A session that says nothing for this long is over.
const SILENCE: Duration = Duration::from_secs(60);
const LONGEST_LINE: u64 = 1 << 20;
const LARGEST_MESSAGE: usize = 64 << 20;

/// One message that left the lab.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Departed {
    /// The envelope sender, without angle brackets.
    pub envelope_sender: String,
    /// The envelope recipients, without angle brackets.
    pub recipients: Vec<String>,
    /// The message with its header.
    pub message: String,
}

/// Listens until it is dropped. Hand its port to
/// [`OutsideMail::ToPort`](crate::postfix::OutsideMail::ToPort).
#[derive(Debug)]
pub struct Outside {
    port: u16,
    departed: Arc<Mutex<Vec<Departed>>>,
    closing: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Outside {
    /// Listens on a loopback port of the kernel's choice.
    pub fn listen() -> Result<Outside> {
        let unreachable =
            |source| LabError::Unreachable { server: SERVER, doing: "opening a port".to_owned(), source };
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(unreachable)?;
        let port = socket.local_addr().map_err(unreachable)?.port();
        let departed = Arc::new(Mutex::new(Vec::new()));
        let closing = Arc::new(AtomicBool::new(false));
        let (mail, end) = (Arc::clone(&departed), Arc::clone(&closing));
        let listener = std::thread::spawn(move || accept(&socket, &mail, &end));
        Ok(Outside { port, departed, closing, listener: Some(listener) })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everything that left so far.
    #[must_use]
    pub fn departed(&self) -> Vec<Departed> {
        self.departed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a message that satisfies `wanted`.
    pub fn wait_for(&self, timeout: Duration, wanted: impl Fn(&Departed) -> bool) -> Result<Departed> {
        wait_until(timeout, "a message that leaves the lab", || {
            self.departed().into_iter().find(|mail| wanted(mail))
        })
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        // A connection of our own wakes the listener up, so that it sees the flag.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        self.listener.take().map(JoinHandle::join);
    }
}

fn accept(socket: &TcpListener, mail: &Arc<Mutex<Vec<Departed>>>, end: &AtomicBool) {
    for stream in socket.incoming().filter_map(io::Result::ok) {
        if end.load(Ordering::SeqCst) {
            return;
        }
        let mail = Arc::clone(mail);
        // A session that breaks off is the sender's affair: it keeps the message and tries again.
        std::thread::spawn(move || serve(stream, &mail));
    }
}

fn serve(stream: TcpStream, mail: &Mutex<Vec<Departed>>) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut replies = stream.try_clone()?;
    let mut commands = BufReader::new(stream);
    replies.write_all(b"220 outside.test ESMTP\r\n")?;
    let mut current = Departed::default();
    while let Some(line) = read_line(&mut commands)? {
        let upper = line.to_ascii_uppercase();
        match upper.get(..4).unwrap_or(&upper) {
            "MAIL" => current = Departed { envelope_sender: path_of(&line), ..Departed::default() },
            "RCPT" => current.recipients.push(path_of(&line)),
            "DATA" => {
                replies.write_all(b"354 go on\r\n")?;
                current.message = read_message(&mut commands)?;
                mail.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut current));
            }
            "QUIT" => return replies.write_all(b"221 2.0.0 bye\r\n"),
            _ => {}
        }
        replies.write_all(b"250 2.0.0 ok\r\n")?;
    }
    Ok(())
}

/// One line without its end; `None` at the end of the session.
fn read_line(commands: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    commands.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
}

/// Up to the lone dot; a session that ends before it leaves no message (RFC 5321 §4.1.1.4).
fn read_message(commands: &mut impl BufRead) -> io::Result<String> {
    let mut message = String::new();
    while let Some(line) = read_line(commands)? {
        if line == "." {
            return Ok(message);
        }
        message.push_str(line.strip_prefix('.').unwrap_or(&line));
        message.push_str("\r\n");
        if message.len() > LARGEST_MESSAGE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// What stands between the first `<` and the last `>`.
fn path_of(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
    inner.map_or("", |(path, _)| path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Smtp;

    #[test]
    fn what_is_sent_is_shown_with_its_envelope() {
        let outside = Outside::listen().unwrap();
        let mut session = Smtp::connect(outside.port()).unwrap();
        session.ehlo("mx.example.test").unwrap();
        let outcome = session.send("", &["a@x.test", "b@x.test"], "Subject: s\n\n.dot\n").unwrap();
        assert!(outcome.is_accepted());
        let departed =
            outside.wait_for(Duration::from_secs(5), |mail| mail.envelope_sender.is_empty()).unwrap();
        assert_eq!(departed.recipients, ["a@x.test", "b@x.test"]);
        assert_eq!(departed.message, "Subject: s\r\n\r\n.dot\r\n");
        session.quit().unwrap();
    }

    #[test]
    fn a_session_that_breaks_off_inside_the_message_leaves_nothing() {
        let outside = Outside::listen().unwrap();
        let mut session = Smtp::connect(outside.port()).unwrap();
        session.mail("a@b").unwrap();
        session.rcpt("c@d").unwrap();
        assert_eq!(session.command("DATA").unwrap().code, 354);
        drop(session);
        let mut second = Smtp::connect(outside.port()).unwrap();
        second.send("second@b", &["c@d"], "Subject: s\n\n").unwrap();
        let departed = outside.wait_for(Duration::from_secs(5), |_| true).unwrap();
        assert_eq!(departed.envelope_sender, "second@b");
    }
}
