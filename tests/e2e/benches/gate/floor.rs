//! The floor: a server on one thread of tokio that decides nothing. It makes the same edits as the gate and
//! answers what the negotiated flags ask for, or every event.

use anyhow::Result;
use mailwarden_e2e::{EVENTS, FilterAddress, Wire, put_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

/// Serves until it is killed.
pub(crate) fn serve(address: &FilterAddress, actions: u32, protocol: u32) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        match address {
            FilterAddress::Unix(path) => {
                let listener = UnixListener::bind(path)?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    tokio::spawn(connection(stream, actions, protocol));
                }
            }
            FilterAddress::Tcp(address) => {
                let listener = TcpListener::bind(address).await?;
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(connection(stream, actions, protocol));
                }
            }
        }
    })
}

async fn connection(mut stream: impl Wire, actions: u32, protocol: u32) {
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
                b'O' => negotiate(&mut out, actions, protocol),
                b'Q' => return,
                _ => answer(code, payload, protocol, &mut recipients, &mut out),
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

fn negotiate(out: &mut Vec<u8>, actions: u32, protocol: u32) {
    put_frame(out, b'O', &[&6_u32.to_be_bytes(), &actions.to_be_bytes(), &protocol.to_be_bytes()]);
}
