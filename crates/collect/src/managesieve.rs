//! ManageSieve (RFC 5804): every script of a mailbox, active or not, byte for byte.
//!
//! Responses are parsed by io-managesieve; its ready-made commands are not used, because they turn script
//! names into lossy text and skip lines they cannot read, and a script that is listed under a broken name
//! would be missed. Commands are written here, names always as literals: in a quoted string a line end
//! would be read as the beginning of another command.

mod change;

pub use change::ScriptStore;

use std::time::Duration;

use io_managesieve::rfc5804::capability::ManagesieveCapabilities;
use io_managesieve::rfc5804::response::{
    ManagesieveCompletion, ManagesieveResponse, ManagesieveResponseCode, ManagesieveStatus,
};
use mailwarden_evidence::{CoverageState, Fact};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::apart::apart;
use crate::error::shown;
use crate::harvest::{Place, named};
use crate::server::Connection;
use crate::{CollectError, Credentials, Dialer, Harvest, TlsMode};

/// The surface this collector covers.
pub const SURFACE: &str = "managesieve.scripts";
/// Most scripts read of one mailbox.
pub const MAX_SCRIPTS: usize = 1000;
/// Longest script read, in bytes.
pub const MAX_SCRIPT: usize = 4 * 1024 * 1024;
/// Longest response without a script.
const MAX_RESPONSE: usize = 1024 * 1024;
/// Longest script that is read past; a longer announcement ends the connection.
const MAX_SKIPPED: usize = 64 * 1024 * 1024;
/// Most bytes of scripts of one mailbox.
const MAX_MAILBOX: usize = 64 * 1024 * 1024;
/// Scripts asked for before the answers are awaited.
const PIPELINE: usize = 16;
/// Responses read while looking for the echo of our own NOOP.
const MAX_RESYNC: usize = 3;
const READ_SIZE: usize = 64 * 1024;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Reads every script of one mailbox. An error means that nothing was learned; the work is done in a task
/// of its own, so that a panic on bytes of the server ends this connection only.
pub async fn collect(
    dialer: &Dialer,
    credentials: &Credentials,
    mailbox: &str,
) -> Result<Harvest, CollectError> {
    let talk = |dialer: Dialer, credentials: Credentials, mailbox: String| async move {
        look(&dialer, &credentials, &mailbox).await
    };
    apart((dialer, credentials, mailbox), "reading answers", talk).await
}

/// Logs in and leaves at once.
///
/// # Errors
/// [`CollectError::Denied`] where the server refuses; anything else proves nothing.
pub async fn try_login(
    dialer: &Dialer,
    credentials: &Credentials,
    mailbox: &str,
) -> Result<(), CollectError> {
    let talk = |dialer: Dialer, credentials: Credentials, mailbox: String| async move {
        Client::open(&dialer, &credentials, &mailbox).await?.close().await;
        Ok(())
    };
    apart((dialer, credentials, mailbox), "logging in", talk).await
}

async fn look(dialer: &Dialer, credentials: &Credentials, mailbox: &str) -> Result<Harvest, CollectError> {
    let mut client = Client::open(dialer, credentials, mailbox).await?;
    let mut scripts = client.list_scripts().await?;
    let mut gaps = Vec::new();
    if scripts.len() > MAX_SCRIPTS {
        gaps.push(format!("{} scripts beyond the first {MAX_SCRIPTS}", scripts.len() - MAX_SCRIPTS));
        scripts.truncate(MAX_SCRIPTS);
    }
    let mut harvest = Harvest::default();
    let place = Place { mailbox, surface: SURFACE, source: dialer.label() };
    let lost = client.read_scripts(&scripts, &mut harvest, &place, &mut gaps).await;
    client.close().await;
    match lost {
        Err(error) => harvest.cover(&place, error.coverage_state(), error.to_string()),
        Ok(()) if gaps.is_empty() => harvest.cover(&place, CoverageState::Collected, ""),
        Ok(()) => {
            let reason = format!("could not be read: {}; look at them on the mail host", named(&gaps));
            harvest.cover(&place, CoverageState::Partial, reason);
        }
    }
    Ok(harvest)
}

/// A script as LISTSCRIPTS shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    name: Vec<u8>,
    active: bool,
}

struct Client {
    stream: Connection,
    received: Vec<u8>,
    label: String,
    patience: Duration,
    implementation: String,
    has_version: bool,
}

impl Client {
    async fn open(dialer: &Dialer, credentials: &Credentials, mailbox: &str) -> Result<Self, CollectError> {
        let mut client = Self::greeted(dialer).await?;
        if dialer.server().tls == TlsMode::StartTls {
            client = client.secured(dialer).await?;
        }
        client.log_in(credentials, mailbox).await?;
        Ok(client)
    }

    async fn greeted(dialer: &Dialer) -> Result<Self, CollectError> {
        let mut client = Self {
            stream: dialer.connect().await?,
            received: Vec::new(),
            label: dialer.label().to_owned(),
            patience: dialer.server().command_timeout,
            implementation: String::new(),
            has_version: false,
        };
        client.learn_capabilities("waiting for the greeting").await?;
        Ok(client)
    }

    async fn learn_capabilities(&mut self, doing: &str) -> Result<(), CollectError> {
        let response = self.response(doing, MAX_RESPONSE).await?;
        let response = self.expect_ok(doing, response)?;
        let capabilities = ManagesieveCapabilities::parse(&response.data);
        self.implementation =
            capabilities.value("IMPLEMENTATION").map(|name| shown(name.as_bytes())).unwrap_or_default();
        self.has_version = capabilities.has("VERSION");
        Ok(())
    }

    async fn secured(mut self, dialer: &Dialer) -> Result<Self, CollectError> {
        const DOING: &str = "starting TLS";
        self.send(DOING, b"STARTTLS\r\n").await?;
        let response = self.response(DOING, MAX_RESPONSE).await?;
        if response.completion.status == ManagesieveStatus::No {
            let cause = format!("the server refused STARTTLS: {}", said(&response.completion));
            let next = "enable TLS on the server, or set tls to implicit and its port";
            return Err(CollectError::configuration(&self.label, DOING, cause, next));
        }
        self.expect_ok(DOING, response)?;
        // Bytes that came along unprotected must not be taken for answers given under TLS (RFC 5804 section
        // 2.2).
        if !self.received.is_empty() {
            return Err(CollectError::misbehaved(
                &self.label,
                DOING,
                "unasked text before the TLS handshake",
            ));
        }
        self.stream = dialer.upgrade(self.stream).await?;
        self.learn_capabilities("waiting for the capabilities under TLS").await?;
        Ok(self)
    }

    async fn log_in(&mut self, credentials: &Credentials, mailbox: &str) -> Result<(), CollectError> {
        let doing = format!("logging in on behalf of {mailbox}");
        let message = credentials.plain_message(&self.label, mailbox)?;
        let command =
            [&b"AUTHENTICATE \"PLAIN\" "[..], &literal(message.expose_secret().as_bytes()), b"\r\n"].concat();
        self.send(&doing, &command).await?;
        let response = self.response(&doing, MAX_RESPONSE).await?;
        match response.completion.status {
            ManagesieveStatus::Ok => Ok(()),
            ManagesieveStatus::No => Err(self.refused_login(&doing, &response.completion)),
            ManagesieveStatus::Bye => Err(self.said_bye(&doing, &response.completion)),
        }
    }

    /// RFC 5804 has no code for "wrong password", so the words decide whom the refusal concerns. Dovecot
    /// says "Authentication failed" about the sweeper and "Authorization failed" or its own reason about
    /// the mailbox.
    fn refused_login(&self, doing: &str, completion: &ManagesieveCompletion) -> CollectError {
        if completion.code == Some(ManagesieveResponseCode::TryLater) {
            return CollectError::unreachable(&self.label, doing, said(completion));
        }
        let text = completion.text.as_deref().unwrap_or_default().to_ascii_lowercase();
        let credentials = text.is_empty() || text.contains("authentication");
        let next = match credentials {
            true => "check the master user, its password and the login style",
            false => {
                "check whether the mailbox exists and may log in; a locked one still receives and forwards"
            }
        };
        CollectError::Denied {
            server: self.label.clone(),
            doing: doing.to_owned(),
            cause: said(completion),
            next: next.to_owned(),
            credentials,
        }
    }

    async fn list_scripts(&mut self) -> Result<Vec<Listed>, CollectError> {
        const DOING: &str = "listing scripts";
        // Some servers send their capabilities again after the login, some do not. The echo of a NOOP tells
        // where the answer to LISTSCRIPTS begins (RFC 5804 section 2.13).
        let noop = if self.has_version { &b"NOOP \"mailwarden\"\r\n"[..] } else { b"" };
        self.send(DOING, &[noop, b"LISTSCRIPTS\r\n"].concat()).await?;
        if self.has_version {
            self.resynchronise(DOING).await?;
        }
        let mut response = self.response(DOING, MAX_RESPONSE).await?;
        for _ in 0..MAX_RESYNC {
            if self.has_version || !tells_capabilities(&response) {
                break;
            }
            response = self.response(DOING, MAX_RESPONSE).await?;
        }
        let response = self.expect_ok(DOING, response)?;
        let listed = response.data.iter().map(|line| {
            let name = line.string(0)?.to_vec();
            Some(Listed { name, active: line.has_atom("ACTIVE") })
        });
        let unreadable = || CollectError::misbehaved(&self.label, DOING, "a line without a script name");
        listed.collect::<Option<Vec<_>>>().ok_or_else(unreadable)
    }

    async fn resynchronise(&mut self, doing: &str) -> Result<(), CollectError> {
        for _ in 0..MAX_RESYNC {
            let response = self.response(doing, MAX_RESPONSE).await?;
            let response = self.expect_ok(doing, response)?;
            if response.completion.code == Some(ManagesieveResponseCode::Tag("mailwarden".to_owned())) {
                return Ok(());
            }
        }
        Err(CollectError::misbehaved(&self.label, doing, "NOOP was not echoed"))
    }

    async fn read_scripts(
        &mut self,
        scripts: &[Listed],
        harvest: &mut Harvest,
        place: &Place<'_>,
        gaps: &mut Vec<String>,
    ) -> Result<(), CollectError> {
        const DOING: &str = "reading scripts";
        let mut budget = MAX_MAILBOX;
        for window in scripts.chunks(PIPELINE) {
            let commands = window.iter().flat_map(|script| get_script(&script.name));
            self.send(DOING, &commands.collect::<Vec<u8>>()).await?;
            for script in window {
                match self.script(DOING).await? {
                    Ok(source) if source.len() <= budget => {
                        budget -= source.len();
                        observe(harvest, place, script, source, &self.implementation);
                    }
                    Ok(_) => {
                        gaps.push(format!("{} (more than {MAX_MAILBOX} bytes in all)", shown(&script.name)));
                    }
                    Err(cause) => gaps.push(format!("{} ({cause})", shown(&script.name))),
                }
            }
        }
        Ok(())
    }

    /// The answer to one GETSCRIPT: the script, or why it cannot be had while the connection goes on.
    async fn script(&mut self, doing: &str) -> Result<Result<Vec<u8>, String>, CollectError> {
        while !self.received.contains(&b'\n') && self.received.len() <= MAX_RESPONSE {
            self.read_more(doing).await?;
        }
        let announced = announced(&self.received);
        if let Some((marker, length)) = announced.filter(|(_, length)| *length > MAX_SCRIPT) {
            self.skip(doing, marker, length).await?;
            let _rest = self.response(doing, MAX_RESPONSE).await?;
            return Ok(Err(format!("{length} bytes, at most {MAX_SCRIPT} are read")));
        }
        let response = self.response(doing, MAX_SCRIPT + MAX_RESPONSE).await?;
        match response.completion.status {
            ManagesieveStatus::Bye => Err(self.said_bye(doing, &response.completion)),
            ManagesieveStatus::No => Ok(Err(said(&response.completion))),
            ManagesieveStatus::Ok => {
                let source = response.data.first().and_then(|line| line.string(0));
                Ok(source.map(<[u8]>::to_vec).ok_or_else(|| "OK without a script".to_owned()))
            }
        }
    }

    /// Reads past a literal and leaves an empty one in its place, so that the response around it stays whole.
    async fn skip(&mut self, doing: &str, marker: usize, length: usize) -> Result<(), CollectError> {
        if length > MAX_SKIPPED {
            let cause = format!("a script announced with {length} bytes");
            return Err(CollectError::misbehaved(&self.label, doing, cause));
        }
        let mut left = marker + length;
        loop {
            let dropped = left.min(self.received.len());
            self.received.drain(..dropped);
            left -= dropped;
            if left == 0 {
                self.received.splice(..0, *b"{0}\r\n");
                return Ok(());
            }
            self.read_more(doing).await?;
        }
    }

    /// The next response. It is parsed again when more of it has arrived, so a literal is awaited whole
    /// first.
    async fn response(&mut self, doing: &str, most: usize) -> Result<ManagesieveResponse, CollectError> {
        let mut may_be_whole = true;
        loop {
            let awaits_literal = announced(&self.received)
                .is_some_and(|(marker, length)| length <= most && self.received.len() < marker + length);
            if may_be_whole && !awaits_literal {
                let parsed = ManagesieveResponse::parse(&self.received);
                let parsed = parsed.map_err(|error| CollectError::misbehaved(&self.label, doing, error))?;
                if let Some((response, length)) = parsed {
                    self.received.drain(..length);
                    return Ok(response);
                }
            }
            if self.received.len() > most {
                let cause = format!("a response longer than {most} bytes");
                return Err(CollectError::misbehaved(&self.label, doing, cause));
            }
            may_be_whole = self.read_more(doing).await?;
        }
    }

    /// Takes in what has arrived; true if it can complete a line.
    async fn read_more(&mut self, doing: &str) -> Result<bool, CollectError> {
        let before = self.received.len();
        self.received.reserve(READ_SIZE);
        match timeout(self.patience, self.stream.read_buf(&mut self.received)).await {
            Ok(Ok(0)) => {
                Err(CollectError::unreachable(&self.label, doing, "the server closed the connection"))
            }
            Ok(Ok(_)) => Ok(self.received[before..].contains(&b'\n')),
            Ok(Err(error)) => Err(CollectError::from_io(&self.label, doing, &error)),
            Err(_) => {
                let cause = format!("no answer within {:?}", self.patience);
                Err(CollectError::unreachable(&self.label, doing, cause))
            }
        }
    }

    async fn send(&mut self, doing: &str, command: &[u8]) -> Result<(), CollectError> {
        let written = async {
            self.stream.write_all(command).await?;
            self.stream.flush().await
        };
        match timeout(self.patience, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(CollectError::from_io(&self.label, doing, &error)),
            Err(_) => Err(CollectError::unreachable(&self.label, doing, "the server does not take commands")),
        }
    }

    fn expect_ok(
        &self,
        doing: &str,
        response: ManagesieveResponse,
    ) -> Result<ManagesieveResponse, CollectError> {
        match response.completion.status {
            ManagesieveStatus::Ok => Ok(response),
            ManagesieveStatus::Bye => Err(self.said_bye(doing, &response.completion)),
            ManagesieveStatus::No => Err(CollectError::Denied {
                server: self.label.clone(),
                doing: doing.to_owned(),
                cause: said(&response.completion),
                next: "see the server's log for the reason".to_owned(),
                credentials: false,
            }),
        }
    }

    fn said_bye(&self, doing: &str, completion: &ManagesieveCompletion) -> CollectError {
        CollectError::unreachable(&self.label, doing, format!("the server hung up: {}", said(completion)))
    }

    async fn close(mut self) {
        let farewell = async {
            self.stream.write_all(b"LOGOUT\r\n").await.ok()?;
            self.stream.shutdown().await.ok()
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!(server = %self.label, "the server did not take the farewell");
        }
    }
}

fn observe(harvest: &mut Harvest, place: &Place<'_>, script: &Listed, source: Vec<u8>, implementation: &str) {
    let name = String::from_utf8_lossy(&script.name).into_owned();
    let state = if script.active { "active" } else { "inactive" };
    let excerpt = format!("script `{}`, {state}, {} bytes", shown(&script.name), source.len());
    let raw = source.clone();
    let implementation = implementation.to_owned();
    let fact = Fact::SieveScript { name, active: script.active, source, implementation };
    harvest.observe(place, fact, &raw, &excerpt);
}

/// Whether a response is a list of capabilities, sent unasked by a server too old for NOOP. A line of
/// LISTSCRIPTS never holds a second string.
fn tells_capabilities(response: &ManagesieveResponse) -> bool {
    response.data.iter().any(|line| line.string(1).is_some())
}

fn get_script(name: &[u8]) -> Vec<u8> {
    [&b"GETSCRIPT "[..], &literal(name), b"\r\n"].concat()
}

/// A non-synchronising literal (RFC 5804 section 4), the only form that holds any bytes.
fn literal(bytes: &[u8]) -> Vec<u8> {
    [format!("{{{}+}}\r\n", bytes.len()).as_bytes(), bytes].concat()
}

/// The length of the literal a response begins with, and the length of its announcement.
fn announced(received: &[u8]) -> Option<(usize, usize)> {
    let inner = received.strip_prefix(b"{")?;
    let close = inner.iter().take(24).position(|byte| *byte == b'}')?;
    let digits = inner[..close].strip_suffix(b"+").unwrap_or(&inner[..close]);
    let length = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let line_end = if inner.get(close + 1) == Some(&b'\r') { 2 } else { 1 };
    (inner.get(close + line_end) == Some(&b'\n')).then_some((close + 2 + line_end, length))
}

fn said(completion: &ManagesieveCompletion) -> String {
    shown(completion.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_announcement_is_read_only_at_the_beginning_and_whole() {
        assert_eq!(announced(b"{5}\r\nabc"), Some((5, 5)));
        assert_eq!(announced(b"{12+}\nabc"), Some((6, 12)));
        for not in
            [&b"OK {5}\r\n"[..], b"{5}", b"{5}\r", b"{}\r\n", b"{x}\r\n", b"{99999999999999999999}\r\n", b""]
        {
            assert_eq!(announced(not), None, "{not:?}");
        }
    }

    #[test]
    fn names_travel_as_literals() {
        assert_eq!(get_script(b"a\r\nLOGOUT"), b"GETSCRIPT {9+}\r\na\r\nLOGOUT\r\n");
    }

    proptest! {
        #[test]
        fn the_response_parser_takes_any_bytes(
            bytes in proptest::collection::vec(prop_oneof![
                any::<u8>(), Just(b'"'), Just(b'{'), Just(b'}'), Just(b'\n'), Just(b'('), Just(b'1')
            ], 0..300)
        ) {
            if let Ok(Some((_, length))) = ManagesieveResponse::parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
            if let Some((marker, _)) = announced(&bytes) {
                prop_assert!(marker <= bytes.len());
            }
        }
    }
}
