//! An HTTP service that is asked over verified TLS, or without TLS at a loopback address: bounded answers, and no
//! redirect is followed.

use std::net::IpAddr;
use std::path::PathBuf;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, LOCATION, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use crate::{CollectError, Dialer, Server, TlsMode};

/// A service at a URL.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    dialer: Dialer,
    path: String,
    authority: String,
}

/// An open connection to it.
pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// Where it sends whoever asks, which nobody follows: the secret is for this server alone.
    pub(crate) elsewhere: Option<String>,
}

impl Endpoint {
    /// The service at a URL. Only `https`, or `http` to a loopback address, which is checked when it is connected to.
    ///
    /// # Errors
    /// When the URL is none of these, or its authorities cannot be read.
    pub(crate) fn new(
        (name, protocol, next): (&str, &str, &str),
        url: &str,
        (tls_name, ca_file): (Option<String>, Option<PathBuf>),
    ) -> Result<Self, CollectError> {
        let wrong = |cause: &str| CollectError::configuration(name, "reading its URL", cause, next);
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        let (tls, usual_port) = match uri.scheme_str() {
            Some("https") => (TlsMode::Implicit, 443),
            Some("http") => (TlsMode::Plain, 80),
            _ => return Err(wrong("it is neither https nor http")),
        };
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        if authority.contains('@') {
            return Err(wrong("it holds a login; the secret has a setting of its own"));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        // A name is looked at when it is connected to; an address can be refused before anything is sent.
        if tls == TlsMode::Plain && host.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback()) {
            return Err(wrong(
                "http would show the secret to the network; only loopback is asked without TLS",
            ));
        }
        let mut server = Server::new(host, uri.port_u16().unwrap_or(usual_port), tls);
        (server.tls_name, server.ca_file) = (tls_name, ca_file);
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { dialer: Dialer::new(protocol, server)?, path, authority })
    }

    /// How messages and coverage call it.
    pub(crate) fn label(&self) -> &str {
        self.dialer.label()
    }

    /// The path of its URL.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) async fn connect(&self) -> Result<Sender, CollectError> {
        let stream = self.dialer.connect().await?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| CollectError::unreachable(self.label(), "connecting", error))?;
        // Ends with the connection, which ends with the sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// A request with what every request says.
    pub(crate) fn request(&self, method: &str, path: &str) -> Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(USER_AGENT, "mailwarden")
    }

    /// Sends a request and takes its answer, at most so many octets of it. `hint` says what a lost connection may mean.
    pub(crate) async fn exchange(
        &self,
        sender: &mut Sender,
        request: Request<Full<Bytes>>,
        (doing, hint, most): (&str, &str, usize),
    ) -> Result<Answer, CollectError> {
        let lost =
            |error: hyper::Error| CollectError::unreachable(self.label(), doing, format!("{error}{hint}"));
        sender.ready().await.map_err(lost)?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let elsewhere =
            response.headers().get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
        let body = Limited::new(response.into_body(), most).collect().await;
        let body = body.map_err(|error| {
            CollectError::misbehaved(self.label(), doing, format!("the answer cannot be read: {error}"))
        })?;
        Ok(Answer { status, body: body.to_bytes().to_vec(), elsewhere })
    }
}
