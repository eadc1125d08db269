//! Servers on loopback that say whatever a test wants.

use std::future::pending;
use std::time::Duration;

use mailwarden_collect::{Credentials, Dialer, LoginStyle, Server, TlsMode};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a server does next.
#[derive(Debug)]
pub(crate) enum Act {
    /// Sends bytes.
    Say(Vec<u8>),
    /// Sends bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends the same bytes until nobody reads them any more.
    Flood(Vec<u8>),
    /// Keeps the connection and says nothing.
    Hang,
}

pub(crate) fn say(text: impl AsRef<[u8]>) -> Act {
    Act::Say(text.as_ref().to_vec())
}

/// A server that greets and answers each command line, literals joined to it.
pub(crate) async fn serve(
    greeting: Act,
    answer: impl Fn(&str) -> Act + Clone + Send + Sync + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeting = std::sync::Arc::new(greeting);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (greeting, answer) = (greeting.clone(), answer.clone());
            tokio::spawn(async move { converse(stream, &greeting, answer).await });
        }
    });
    port
}

async fn converse(stream: TcpStream, greeting: &Act, answer: impl Fn(&str) -> Act) -> Option<()> {
    let mut stream = BufReader::new(stream);
    perform(&mut stream, greeting).await?;
    loop {
        let command = command(&mut stream).await?;
        perform(&mut stream, &answer(&command)).await?;
    }
}

async fn perform(stream: &mut BufReader<TcpStream>, act: &Act) -> Option<()> {
    match act {
        Act::Say(bytes) => stream.write_all(bytes).await.ok(),
        Act::Close(bytes) => {
            stream.write_all(bytes).await.ok()?;
            stream.shutdown().await.ok()?;
            None
        }
        Act::Flood(bytes) => loop {
            stream.write_all(bytes).await.ok()?;
        },
        Act::Hang => pending().await,
    }
}

async fn command(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut command = String::new();
    loop {
        if stream.read_line(&mut command).await.ok()? == 0 {
            return None;
        }
        let line = command.trim_end();
        let Some(digits) = line.rsplit_once('{').and_then(|(_, rest)| rest.strip_suffix("+}")) else {
            return Some(line.to_owned());
        };
        let mut literal = vec![0; digits.parse().ok()?];
        stream.read_exact(&mut literal).await.ok()?;
        command.push_str(&String::from_utf8_lossy(&literal));
    }
}

/// The parts of a `Server` that tests on loopback share.
pub(crate) fn plain_server(port: u16) -> Server {
    let mut server = Server::new("127.0.0.1", port, TlsMode::Plain);
    server.command_timeout = Duration::from_secs(20);
    server
}

pub(crate) fn dialer(protocol: &str, port: u16) -> Dialer {
    Dialer::new(protocol, plain_server(port)).unwrap()
}

pub(crate) fn impatient(protocol: &str, port: u16) -> Dialer {
    let mut server = plain_server(port);
    server.command_timeout = Duration::from_millis(100);
    Dialer::new(protocol, server).unwrap()
}

pub(crate) fn credentials() -> Credentials {
    Credentials {
        master_user: "sweeper".to_owned(),
        master_password: "sweeppw".to_owned().into(),
        style: LoginStyle::Authzid,
    }
}
