//! POP3 (RFC 1939) as far as its login: STLS (RFC 2595), AUTH PLAIN (RFC 5034) where it is offered, else USER and PASS.

use secrecy::ExposeSecret as _;

use super::{Outcome, lost};
use crate::error::shown;
use crate::lines::Lines;
use crate::server::Connection;
use crate::{Credentials, Dialer, LoginStyle, TlsMode};

type Wire = Lines<Connection>;

pub(super) async fn attempt(dialer: &Dialer, credentials: &Credentials, account: &str) -> Outcome {
    match log_in(dialer, credentials, account).await {
        Ok(outcome) => outcome,
        Err(why) => lost(format!("{}: {why}", dialer.label())),
    }
}

async fn log_in(dialer: &Dialer, credentials: &Credentials, account: &str) -> Result<Outcome, String> {
    let mut wire = open(dialer).await?;
    let answer = match takes_plain(&mut wire).await? {
        true => by_plain(&mut wire, dialer, credentials, account).await?,
        false => by_password(&mut wire, credentials, account).await?,
    };
    wire.quit().await;
    Ok(outcome(&answer))
}

async fn open(dialer: &Dialer) -> Result<Wire, String> {
    let patience = dialer.server().command_timeout;
    let connection = dialer.connect().await.map_err(|error| error.to_string())?;
    let mut wire = Lines::new(connection, patience);
    let greeting = wire.line().await?;
    if !greeting.starts_with(b"+OK") {
        return Err(format!("the host does not greet as POP3 does: {}", shown(&greeting)));
    }
    if dialer.server().tls != TlsMode::StartTls {
        return Ok(wire);
    }
    let answer = ask(&mut wire, "STLS").await?;
    if !answer.starts_with(b"+OK") {
        return Err(format!("STLS is refused: {}; set tls to implicit and its port", shown(&answer)));
    }
    let secure = dialer.upgrade(wire.into_inner()?).await.map_err(|error| error.to_string())?;
    Ok(Lines::new(secure, patience))
}

async fn ask(wire: &mut Wire, command: &str) -> Result<Vec<u8>, String> {
    wire.send(command).await?;
    wire.line().await
}

/// A server too old for CAPA (RFC 2449) takes USER and PASS.
async fn takes_plain(wire: &mut Wire) -> Result<bool, String> {
    if !ask(wire, "CAPA").await?.starts_with(b"+OK") {
        return Ok(false);
    }
    let capabilities = wire.until_dot().await?;
    let is_sasl =
        |line: &&String| line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case("SASL"));
    let sasl = capabilities.iter().find(is_sasl);
    Ok(sasl.is_some_and(|line| line.split(' ').any(|word| word.eq_ignore_ascii_case("PLAIN"))))
}

/// Without an initial response: it may not fit into the line of a command (RFC 5034 section 4).
async fn by_plain(
    wire: &mut Wire,
    dialer: &Dialer,
    credentials: &Credentials,
    account: &str,
) -> Result<Vec<u8>, String> {
    let message = credentials.plain_message(dialer.label(), account).map_err(|error| error.to_string())?;
    let answer = ask(wire, "AUTH PLAIN").await?;
    if !answer.starts_with(b"+ ") && answer != b"+" {
        return Err(format!("AUTH PLAIN is offered and refused: {}", shown(&answer)));
    }
    ask(wire, message.expose_secret()).await
}

async fn by_password(wire: &mut Wire, credentials: &Credentials, account: &str) -> Result<Vec<u8>, String> {
    let user = match credentials.style {
        LoginStyle::Own => credentials.master_user.clone(),
        LoginStyle::Separator(mark) => format!("{account}{mark}{}", credentials.master_user),
        LoginStyle::Authzid => return Err("the server takes no PLAIN, and USER cannot name two".to_owned()),
    };
    let password = credentials.master_password.expose_secret();
    if [user.as_str(), password].iter().any(|word| word.contains(char::is_control)) {
        return Err("a login or password with a control character cannot be said in POP3".to_owned());
    }
    let answer = ask(wire, &format!("USER {user}")).await?;
    if !answer.starts_with(b"+OK") {
        return Ok(answer);
    }
    ask(wire, &format!("PASS {password}")).await
}

/// What the answer to a login proves. A mailbox that is open elsewhere was opened with the right password (RFC 2449
/// section 8.1.1); a system that has a fault has looked at none (RFC 3206).
fn outcome(answer: &[u8]) -> Outcome {
    let said = shown(answer);
    let has_code = |code: &str| said.to_ascii_uppercase().starts_with(&format!("-ERR [{code}"));
    if answer.starts_with(b"+OK") || has_code("IN-USE") {
        return Outcome::Accepted;
    }
    match ["SYS/", "LOGIN-DELAY"].into_iter().any(has_code) || !answer.starts_with(b"-ERR") {
        true => Outcome::Unknown { why: said, goes_on: true },
        false => Outcome::Refused(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_proves_what_it_says() {
        for accepted in ["+OK Logged in.", "-ERR [IN-USE] locked"] {
            assert_eq!(outcome(accepted.as_bytes()), Outcome::Accepted, "{accepted}");
        }
        for refused in ["-ERR [AUTH] Authentication failed.", "-ERR no"] {
            assert_eq!(outcome(refused.as_bytes()), Outcome::Refused(refused.to_owned()));
        }
        for neither in ["-ERR [SYS/TEMP] try later", "-ERR [login-delay] slowly", "* OK", "+ more"] {
            assert!(
                matches!(outcome(neither.as_bytes()), Outcome::Unknown { goes_on: true, .. }),
                "{neither}"
            );
        }
    }
}
