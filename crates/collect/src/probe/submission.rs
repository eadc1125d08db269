//! Submission (RFC 6409) as far as its login (RFC 4954): whoever is let in leaves without a word about a message.

use secrecy::ExposeSecret as _;

use super::{Outcome, lost};
use crate::lines::{Lines, Reply};
use crate::server::Connection;
use crate::{Credentials, Dialer, TlsMode};

/// A client that has no name says an address (RFC 5321 section 4.1.4).
const HELLO: &str = "EHLO [127.0.0.1]";

pub(super) async fn attempt(dialer: &Dialer, credentials: &Credentials, account: &str) -> Outcome {
    match log_in(dialer, credentials, account).await {
        Ok(outcome) => outcome,
        Err(why) => lost(format!("{}: {why}", dialer.label())),
    }
}

async fn log_in(dialer: &Dialer, credentials: &Credentials, account: &str) -> Result<Outcome, String> {
    let (mut wire, offer) = open(dialer).await?;
    let takes_plain = offer
        .keyword("AUTH")
        .is_some_and(|words| words.iter().any(|word| word.eq_ignore_ascii_case("PLAIN")));
    if !takes_plain {
        return Err("the host does not offer AUTH PLAIN".to_owned());
    }
    let message = credentials.plain_message(dialer.label(), account).map_err(|error| error.to_string())?;
    let reply = wire.say(&format!("AUTH PLAIN {}", message.expose_secret())).await?;
    wire.quit().await;
    Ok(outcome(&reply))
}

async fn open(dialer: &Dialer) -> Result<(Lines<Connection>, Reply), String> {
    let patience = dialer.server().command_timeout;
    let connection = dialer.connect().await.map_err(|error| error.to_string())?;
    let mut wire = Lines::new(connection, patience);
    expect(220, &wire.reply().await?, "the greeting")?;
    let offer = hello(&mut wire).await?;
    if dialer.server().tls != TlsMode::StartTls {
        return Ok((wire, offer));
    }
    expect(220, &wire.say("STARTTLS").await?, "STARTTLS")?;
    let secure = dialer.upgrade(wire.into_inner()?).await.map_err(|error| error.to_string())?;
    let mut wire = Lines::new(secure, patience);
    // What was offered before TLS may have been anybody's words.
    let offer = hello(&mut wire).await?;
    Ok((wire, offer))
}

async fn hello(wire: &mut Lines<Connection>) -> Result<Reply, String> {
    let reply = wire.say(HELLO).await?;
    expect(250, &reply, "EHLO").map(|()| reply)
}

fn expect(code: u16, reply: &Reply, what: &str) -> Result<(), String> {
    if reply.code == code { Ok(()) } else { Err(format!("{what} is {}", reply.text())) }
}

/// What the answer to AUTH proves: 535 and 525 are about the credential and the account (RFC 4954 section 6,
/// RFC 5248: 5.7.13); everything else is about something else.
fn outcome(reply: &Reply) -> Outcome {
    match reply.code {
        235 => Outcome::Accepted,
        535 | 525 => Outcome::Refused(reply.text()),
        _ => Outcome::Unknown { why: reply.text(), goes_on: reply.code / 100 == 4 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_proves_what_it_says() {
        let said = |code| outcome(&Reply { code, lines: vec!["x".to_owned()] });
        assert_eq!(said(235), Outcome::Accepted);
        assert_eq!(said(535), Outcome::Refused("535 x".to_owned()));
        assert_eq!(said(525), Outcome::Refused("525 x".to_owned()));
        assert_eq!(said(454), Outcome::Unknown { why: "454 x".to_owned(), goes_on: true });
        assert_eq!(said(534), Outcome::Unknown { why: "534 x".to_owned(), goes_on: false });
    }
}
