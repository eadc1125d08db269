//! The floor: a server on one thread of tokio that decides nothing. It makes the same edits as the gate and
//! answers what the negotiated flags ask for, or every event.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mailwarden_lab::process::Child;
use mailwarden_lab::wait::wait_for;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use crate::mta::protocol_of;
use crate::{EVENTS, FilterAddress, Wire, put_frame};

/// The argument by which a bench asks itself, in another process, to be the floor.
const FLAG: &str = "--floor";
const START_LIMIT: Duration = Duration::from_secs(120);

/// A floor in a process of its own.
#[derive(Debug)]
pub struct Floor {
    process: Child,
}

impl Floor {
    /// Starts this program once more, which has to call [`Floor::serve_if_asked`]. `agreement` is what it answers to a
    /// negotiation; `log` is where it may complain.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(address: &FilterAddress, agreement: &[u8], log: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([FLAG, &address.to_string(), &BASE64.encode(agreement)]);
        let process = Child::spawn_command(&mut command, log)?;
        wait_for(START_LIMIT, "the floor", || address.agreement().is_ok())
            .with_context(|| process.log_text())?;
        Ok(Self { process })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Serves until it is killed, if the program was started to be a floor; else says that it was not.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn serve_if_asked() -> Result<bool> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [FLAG, address, agreement] = words.iter().map(String::as_str).collect::<Vec<_>>()[..] else {
            return Ok(false);
        };
        let address =
            address.parse().map_or_else(|_| FilterAddress::Unix(address.into()), FilterAddress::Tcp);
        serve(&address, &BASE64.decode(agreement)?)?;
        Ok(true)
    }
}

fn serve(address: &FilterAddress, agreement: &[u8]) -> Result<()> {
    let agreed = Agreed { protocol: protocol_of(agreement)?, answer: agreement.into() };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        match address {
            FilterAddress::Unix(path) => {
                let listener = UnixListener::bind(path)?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    tokio::spawn(connection(stream, agreed.clone()));
                }
            }
            FilterAddress::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(connection(stream, agreed.clone()));
                }
            }
        }
    })
}

#[derive(Clone)]
struct Agreed {
    protocol: u32,
    answer: Arc<[u8]>,
}

async fn connection(mut stream: impl Wire, agreed: Agreed) {
    let (mut inbox, mut out, mut recipients) = (Vec::with_capacity(4_096), Vec::new(), Vec::new());
    loop {
        match stream.read_buf(&mut inbox).await {
            Ok(octets) if octets > 0 => {}
            _ => return,
        }
        let mut read = 0;
        while let Some((code, payload)) = frame(&inbox[read..]) {
            read += payload.len() + 5;
            match code {
                b'O' => put_frame(&mut out, b'O', &[&agreed.answer]),
                b'Q' => return,
                _ => answer(code, payload, agreed.protocol, &mut recipients, &mut out),
            }
        }
        inbox.drain(..read);
        if !out.is_empty() {
            if stream.write_all(&out).await.is_err() {
                return;
            }
            out.clear();
        }
    }
}

fn frame(unread: &[u8]) -> Option<(u8, &[u8])> {
    let [a, b, c, d, code, rest @ ..] = unread else { return None };
    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    Some((*code, rest.get(..length.checked_sub(1)?)?))
}

fn answer(code: u8, payload: &[u8], protocol: u32, recipients: &mut Vec<Vec<u8>>, out: &mut Vec<u8>) {
    let Some(event) = EVENTS.iter().find(|event| event.code == code) else { return };
    match code {
        b'M' => recipients.clear(),
        b'R' => {
            let end = payload.iter().position(|octet| *octet == 0).unwrap_or(payload.len());
            recipients.push(payload[..=end.min(payload.len() - 1)].to_vec());
        }
        b'E' => edits(recipients, out),
        _ => {}
    }
    if event.is_answered(protocol) {
        put_frame(out, b'c', &[]);
    }
}

fn edits(recipients: &[Vec<u8>], out: &mut Vec<u8>) {
    for recipient in recipients {
        put_frame(out, b'h', &[b"X-Route\0", recipient]);
        put_frame(out, b'-', &[recipient]);
    }
    put_frame(out, b'+', &[b"box@scope.test\0"]);
}
