//! doveadm over HTTP, `POST /doveadm/v1`: what its programs say on the mail host, said to another machine.
//!
//! One command a request: of several, Dovecot 2.3 answers those after the first as the user of the first, or not
//! at all. A command that fails inside doveadm ends the connection without a word.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::CollectError;
use crate::error::shown;
use crate::http::{Endpoint, Sender};

/// Most bytes of one answer.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pauses before a command is tried again: a doveadm that has as many connections as it takes closes new ones.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];
/// No such user (EX_NOUSER of sysexits).
pub(super) const NO_USER: i64 = 67;
/// Nothing there (EX_NOHOST of sysexits, as doveadm uses it).
pub(super) const NOT_FOUND: i64 = 68;

/// What Dovecot asks for.
#[derive(Debug, Clone)]
pub enum ApiSecret {
    /// `doveadm_api_key`.
    Key(SecretString),
    /// `doveadm_password`.
    Password(SecretString),
}

/// One doveadm HTTP API.
#[derive(Debug, Clone)]
pub struct Api {
    endpoint: Endpoint,
    secret: ApiSecret,
}

/// Why a command gave no rows.
#[derive(Debug)]
pub(super) enum Fault {
    /// It ended with this code.
    Exit(i64),
    /// The server does not know it: the plugin that has it is not loaded.
    Unknown,
    /// Anything else.
    Failed(CollectError),
}

impl Api {
    /// The API at a URL. Only `https`, or `http` to a loopback address, which is checked when it is connected to.
    ///
    /// # Errors
    /// When the URL is none of these, or its authorities cannot be read.
    pub fn new(
        url: &str,
        secret: ApiSecret,
        tls_name: Option<String>,
        ca_file: Option<PathBuf>,
    ) -> Result<Self, CollectError> {
        let named = ("the doveadm API", "doveadm API", "write it as https://HOST:PORT/doveadm/v1");
        Ok(Self { endpoint: Endpoint::new(named, url, (tls_name, ca_file))?, secret })
    }

    /// How messages and coverage call it.
    pub(crate) fn label(&self) -> &str {
        self.endpoint.label()
    }

    /// A connection for several commands about one user.
    pub(super) fn conversation(&self) -> Conversation<'_> {
        Conversation { api: self, sender: None }
    }

    /// Every login of the user database.
    pub(crate) async fn logins(&self) -> Result<Vec<String>, CollectError> {
        const DOING: &str = "listing accounts";
        #[derive(serde::Deserialize)]
        struct Listed {
            #[serde(rename = "userList")]
            logins: Vec<String>,
        }
        let rows: Vec<Listed> = self
            .conversation()
            .ask("user", &json!({ "userMask": ["*"] }))
            .await
            .map_err(|fault| self.error(DOING, fault))?;
        let listed = rows.into_iter().next();
        let none = || CollectError::misbehaved(self.label(), DOING, "no list of users");
        Ok(listed.ok_or_else(none)?.logins)
    }

    /// A fault as an error of whoever asked.
    pub(super) fn error(&self, doing: &str, fault: Fault) -> CollectError {
        let next = "run the same doveadm command on the mail host and correct what it complains about";
        match fault {
            Fault::Failed(error) => error,
            Fault::Exit(code) => {
                CollectError::configuration(self.label(), doing, format!("doveadm ended with {code}"), next)
            }
            Fault::Unknown => {
                let cause = "the server does not know this command";
                CollectError::configuration(self.label(), doing, cause, "load the plugin that has it")
            }
        }
    }

    fn authorization(&self) -> Option<HeaderValue> {
        let text = match &self.secret {
            ApiSecret::Key(key) => format!("X-Dovecot-API {}", STANDARD.encode(key.expose_secret())),
            ApiSecret::Password(password) => {
                format!("Basic {}", STANDARD.encode(format!("doveadm:{}", password.expose_secret())))
            }
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Commands one after the other on one connection.
pub(super) struct Conversation<'a> {
    api: &'a Api,
    sender: Option<Sender>,
}

impl Conversation<'_> {
    /// The rows that a command answers with.
    pub(super) async fn ask<T: DeserializeOwned>(
        &mut self,
        command: &str,
        parameters: &Value,
    ) -> Result<Vec<T>, Fault> {
        let asked = timeout(PATIENCE, self.exchange(command, parameters)).await;
        let body = match asked {
            Ok(body) => body.map_err(Fault::Failed)?,
            Err(_) => {
                // What is still to come must not be taken for the next answer.
                self.sender = None;
                let cause = format!("no answer within {PATIENCE:?}");
                return Err(Fault::Failed(CollectError::unreachable(self.api.label(), command, cause)));
            }
        };
        let rows = rows(&body).map_err(|fault| match fault {
            NoRows::Exit(code) => Fault::Exit(code),
            NoRows::Unknown => Fault::Unknown,
            NoRows::Nonsense(cause) => {
                Fault::Failed(CollectError::misbehaved(self.api.label(), command, cause))
            }
        })?;
        let read = rows.into_iter().map(serde_json::from_value).collect::<Result<Vec<T>, _>>();
        read.map_err(|error| Fault::Failed(CollectError::misbehaved(self.api.label(), command, error)))
    }

    /// Over the connection that is there, or, where that fails, over a new one: Dovecot ends a connection after
    /// an answer as it likes, which shows only when the next command is sent. Every command asked here may be
    /// said twice.
    async fn exchange(&mut self, command: &str, parameters: &Value) -> Result<Vec<u8>, CollectError> {
        if let Some(used) = self.sender.take() {
            match self.send(used, command, parameters).await {
                Err(error) if error.is_transient() => {}
                settled => return settled,
            }
        }
        for pause in PAUSES {
            match self.send_anew(command, parameters).await {
                Err(error) if error.is_transient() => sleep(pause).await,
                settled => return settled,
            }
        }
        self.send_anew(command, parameters).await
    }

    async fn send_anew(&mut self, command: &str, parameters: &Value) -> Result<Vec<u8>, CollectError> {
        let fresh = self.api.endpoint.connect().await?;
        self.send(fresh, command, parameters).await
    }

    async fn send(
        &mut self,
        mut sender: Sender,
        command: &str,
        parameters: &Value,
    ) -> Result<Vec<u8>, CollectError> {
        let api = self.api;
        let next = "write the key or password without control characters";
        let authorization = api.authorization().ok_or_else(|| {
            CollectError::configuration(api.label(), "logging in", "the secret is no header value", next)
        })?;
        let body = json!([[command, parameters, "mailwarden"]]).to_string();
        let request = (api.endpoint.request("POST", api.endpoint.path()))
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| CollectError::misbehaved(api.label(), command, error))?;
        let hint = "; the command may have failed inside doveadm, see its log";
        let answer = api.endpoint.exchange(&mut sender, request, (command, hint, MAX_ANSWER)).await?;
        if answer.status == StatusCode::OK {
            self.sender = Some(sender);
            return Ok(answer.body);
        }
        Err(refused(api.label(), command, answer.status, &answer.body))
    }
}

fn refused(label: &str, command: &str, status: StatusCode, body: &[u8]) -> CollectError {
    let cause = format!("HTTP {}: {}", status.as_u16(), shown(body));
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return CollectError::Denied {
            server: label.to_owned(),
            doing: command.to_owned(),
            cause,
            next: "check the API key or password against doveadm_api_key or doveadm_password".to_owned(),
            credentials: true,
        };
    }
    CollectError::misbehaved(label, command, cause)
}

/// Why an answer holds no rows.
#[derive(Debug, PartialEq)]
enum NoRows {
    Exit(i64),
    Unknown,
    Nonsense(String),
}

/// `[["doveadmResponse", [row, ...], "tag"]]`. Some commands answer with one object instead of a list, and of
/// several sessions Dovecot 2.3 closes the list of `who` after the first and goes on behind it.
fn rows(body: &[u8]) -> Result<Vec<Value>, NoRows> {
    let nonsense = |cause: String| NoRows::Nonsense(format!("{cause}: {}", shown(body)));
    let answers: Vec<Vec<Value>> =
        serde_json::from_slice(body).map_err(|error| nonsense(format!("no answer of doveadm ({error})")))?;
    let [answer] = answers.as_slice() else {
        return Err(nonsense(format!("{} answers to one command", answers.len())));
    };
    match answer.as_slice() {
        [kind, fault, _] if kind == "error" => Err(match fault["type"].as_str() {
            Some("exitCode") => NoRows::Exit(fault["exitCode"].as_i64().unwrap_or(-1)),
            Some("unknownMethod") => NoRows::Unknown,
            _ => nonsense("an error".to_owned()),
        }),
        [kind, first, more @ .., tag] if kind == "doveadmResponse" && tag.is_string() => {
            let first = match first {
                Value::Array(rows) => rows.clone(),
                one => vec![one.clone()],
            };
            Ok(first.into_iter().chain(more.iter().cloned()).collect())
        }
        _ => Err(nonsense("an answer of another form".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn api(url: &str) -> Result<Api, CollectError> {
        Api::new(url, ApiSecret::Key("k".to_owned().into()), None, None)
    }

    #[test]
    fn answers_are_rows_whatever_their_form() {
        let count = |text: &str| rows(text.as_bytes()).map(|rows| rows.len());
        assert_eq!(count(r#"[["doveadmResponse",[],"t"]]"#), Ok(0));
        assert_eq!(count(r#"[["doveadmResponse",{"userList":["a"]},"t"]]"#), Ok(1));
        assert_eq!(count(r#"[["doveadmResponse",[{"a":"1"}],{"a":"2"},{"a":"3"},"t"]]"#), Ok(3));
        let error = |kind: &str| format!(r#"[["error",{{"type":"{kind}","exitCode":67}},"t"]]"#);
        assert_eq!(count(&error("exitCode")), Err(NoRows::Exit(67)));
        assert_eq!(count(&error("unknownMethod")), Err(NoRows::Unknown));
        for nonsense in
            ["", "[]", "{}", r#"[["doveadmResponse"]]"#, r#"[["x",[],"t"],["y",[],"t"]]"#, "[[1,2,3]]"]
        {
            assert!(matches!(count(nonsense), Err(NoRows::Nonsense(_))), "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_rows_or_a_reason(text in "[\\[\\]{}\",:a-z0-9]{0,80}") {
            if let Ok(rows) = rows(text.as_bytes()) {
                prop_assert!(rows.len() <= text.len());
            }
        }
    }

    #[test]
    fn only_urls_of_an_api_are_taken() {
        assert_eq!(api("http://127.0.0.1:8080/doveadm/v1").unwrap().label(), "doveadm API 127.0.0.1:8080");
        for wrong in [
            "",
            "ftp://h/",
            "https://user:pw@h/doveadm/v1",
            "127.0.0.1:8080",
            "http://192.0.2.1/doveadm/v1",
            "http://[2001:db8::1]:80/doveadm/v1",
        ] {
            assert!(api(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let api = api("http://127.0.0.1:1/").unwrap();
        assert!(api.authorization().unwrap().is_sensitive());
        assert!(!format!("{api:?}").contains("\"k\""), "{api:?}");
    }
}
