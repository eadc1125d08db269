//! From a host name to a session: greeting, STARTTLS, and the login on behalf of a mailbox.

use std::collections::BTreeSet;
use std::time::Duration;

use async_imap::imap_proto::{Response, Status as ProtoStatus};
use futures_util::FutureExt as _;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::guard::Guard;
use super::wire::{self, Refusal, Reply};
use crate::server::Connection;
use crate::{CollectError, Credentials, Dialer};

/// Answers the empty challenge of SASL PLAIN where the server does not take an initial response.
struct PlainAnswer(SecretString);

impl async_imap::Authenticator for PlainAnswer {
    type Response = Vec<u8>;

    fn process(&mut self, _challenge: &[u8]) -> Vec<u8> {
        use base64::Engine as _;
        // async-imap encodes what it gets, and the message is kept encoded.
        base64::engine::general_purpose::STANDARD.decode(self.0.expose_secret()).unwrap_or_default()
    }
}

type Client = async_imap::Client<Guard<Connection>>;

pub(super) async fn greeted(dialer: &Dialer) -> Result<(Client, Option<BTreeSet<String>>), CollectError> {
    const DOING: &str = "waiting for the greeting";
    let mut client = async_imap::Client::new(Guard::with_greeting(dialer.connect().await?));
    let patience = dialer.server().command_timeout;
    let greeting = match timeout(patience, client.read_response()).await {
        Err(_) => return Err(impatient(dialer.label(), DOING, patience)),
        Ok(Err(error)) => return Err(CollectError::from_io(dialer.label(), DOING, &error)),
        Ok(Ok(None)) => return Err(hung_up(dialer.label(), DOING, client.get_ref())),
        Ok(Ok(Some(greeting))) => greeting,
    };
    let Response::Data { status, .. } = greeting.parsed() else {
        return Err(CollectError::misbehaved(dialer.label(), DOING, "no greeting"));
    };
    match status {
        ProtoStatus::Ok => {}
        ProtoStatus::Bye => return Err(hung_up(dialer.label(), DOING, client.get_ref())),
        // A connection that is somebody's already would show that somebody's folders under another name.
        _ => return Err(CollectError::misbehaved(dialer.label(), DOING, "the greeting is not OK")),
    }
    let offered = client.get_ref().greeting().and_then(wire::capabilities);
    Ok((client, offered))
}

pub(super) async fn secured(
    dialer: &Dialer,
    mut client: Client,
) -> Result<(Client, Option<BTreeSet<String>>), CollectError> {
    const DOING: &str = "starting TLS";
    let patience = dialer.server().command_timeout;
    match timeout(patience, client.run_command_and_check_ok("STARTTLS", None)).await {
        Err(_) => return Err(impatient(dialer.label(), DOING, patience)),
        Ok(Err(async_imap::error::Error::No(_) | async_imap::error::Error::Bad(_))) => {
            let next = "enable TLS on the server, or set tls to implicit and its port";
            return Err(CollectError::configuration(
                dialer.label(),
                DOING,
                "the server refused STARTTLS",
                next,
            ));
        }
        Ok(Err(error)) => return Err(fault(dialer.label(), DOING, error, client.get_ref())),
        Ok(Ok(())) => {}
    }
    let Some(plain) = client.into_inner().into_inner() else {
        return Err(CollectError::misbehaved(dialer.label(), DOING, "unasked text before the TLS handshake"));
    };
    let secure = dialer.upgrade(plain).await?;
    // What was offered before TLS may have been anybody's words (RFC 9051 section 6.2.1).
    Ok((async_imap::Client::new(Guard::without_greeting(secure)), None))
}

pub(super) async fn logged_in(
    dialer: &Dialer,
    client: Client,
    offered: Option<&BTreeSet<String>>,
    credentials: &Credentials,
    mailbox: &str,
) -> Result<async_imap::Session<Guard<Connection>>, CollectError> {
    let doing = format!("logging in on behalf of {mailbox}");
    let message = credentials.plain_message(dialer.label(), mailbox)?;
    // SASL-IR (RFC 4959) saves a round trip; a server that did not announce it may take it for a syntax
    // error.
    let takes_initial = offered.is_some_and(|offered| offered.contains("SASL-IR"));
    let mechanism: SecretString = match takes_initial {
        true => format!("PLAIN {}", message.expose_secret()).into(),
        false => "PLAIN".to_owned().into(),
    };
    let patience = dialer.server().command_timeout;
    // Boxed: the future holds the whole client and would double the size of its callers.
    let login = client.authenticate(mechanism.expose_secret().to_owned(), PlainAnswer(message)).boxed();
    let (error, mut client) = match timeout(patience, login).await {
        Err(_) => return Err(impatient(dialer.label(), &doing, patience)),
        Ok(Ok(session)) => return Ok(session),
        Ok(Err(failure)) => failure,
    };
    if !matches!(error, async_imap::error::Error::No(_) | async_imap::error::Error::Bad(_)) {
        return Err(fault(dialer.label(), &doing, error, client.get_ref()));
    }
    let refusal = client.get_mut().take_first_completion().map(Reply::of).and_then(|reply| reply.refusal());
    Err(refused_login(dialer.label(), &doing, refusal))
}

/// Sorts refusals by whom they concern: the sweeper's own password, this one mailbox, or the server's health.
fn refused_login(label: &str, doing: &str, refusal: Option<Refusal>) -> CollectError {
    let Some(refusal) = refusal else { return CollectError::misbehaved(label, doing, "no completion") };
    if ["UNAVAILABLE", "INUSE", "LIMIT"].iter().any(|code| refusal.has_code(code)) {
        return CollectError::unreachable(label, doing, refusal);
    }
    let of_mailbox = ["AUTHORIZATIONFAILED", "CONTACTADMIN", "EXPIRED", "NOPERM", "NONEXISTENT"];
    let credentials = !of_mailbox.iter().any(|code| refusal.has_code(code));
    let next = match credentials {
        true => "check the master user, its password and the login style",
        false => "check whether the mailbox exists and may log in; a locked one still receives and forwards",
    };
    CollectError::Denied {
        server: label.to_owned(),
        doing: doing.to_owned(),
        cause: refusal.to_string(),
        next: next.to_owned(),
        credentials,
    }
}

pub(super) fn impatient(label: &str, doing: &str, patience: Duration) -> CollectError {
    CollectError::unreachable(label, doing, format!("no answer within {patience:?}"))
}

pub(super) fn hung_up(label: &str, doing: &str, guard: &Guard<Connection>) -> CollectError {
    let cause = match guard.bye() {
        Some(line) => format!("the server hung up: {}", wire::StatusText::of(line).text),
        None => "the server closed the connection".to_owned(),
    };
    CollectError::unreachable(label, doing, cause)
}

pub(super) fn fault(
    label: &str,
    doing: &str,
    error: async_imap::error::Error,
    guard: &Guard<Connection>,
) -> CollectError {
    match error {
        async_imap::error::Error::Io(error) => CollectError::from_io(label, doing, &error),
        async_imap::error::Error::ConnectionLost => hung_up(label, doing, guard),
        // The text of other errors may quote a command, and a command may hold the password.
        _ => CollectError::misbehaved(label, doing, "an answer that fits no command"),
    }
}
