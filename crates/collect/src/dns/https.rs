//! One GET over verified TLS, bounded in every direction.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use mailwarden_evidence::dns::{Answer, Name};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::{Outside, failed};
use crate::error::shown;

/// Longest body; RFC 8461 §3.3 suggests 64 KiB for a policy, and a registration is no longer.
const MAX_BODY: usize = 128 * 1024;
/// Redirects that a registry may answer with.
const MAX_REDIRECTS: usize = 4;

/// What a server said.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
    location: Option<String>,
}

/// Why there is no answer.
pub(super) enum Refused {
    /// Nobody answered, or in no way that means anything.
    Unreachable(String),
    /// Somebody answered whose certificate does not verify.
    Untrusted(String),
}

/// The policy of a domain. A redirect is not followed (RFC 8461 §3.3), and a certificate that does not verify
/// is an answer: the policy is not in force.
pub(super) async fn mta_sts(outside: &Outside, domain: &Name) -> Answer {
    let uri = format!("https://mta-sts.{domain}:{}/.well-known/mta-sts.txt", outside.plan.https_port);
    match get(outside, &uri, "text/plain").await {
        Ok(said) => {
            let body = String::from_utf8_lossy(&said.body).into_owned();
            Answer::Https { status: said.status, content_type: said.content_type, body }
        }
        Err(Refused::Untrusted(reason)) => Answer::Wrong { reason },
        Err(Refused::Unreachable(reason)) => failed(reason),
    }
}

/// As [`get`], and follows redirects from one https URL to another.
pub(super) async fn get_followed(outside: &Outside, uri: &str, accept: &str) -> Result<Said, Refused> {
    let mut at = uri.to_owned();
    for _ in 0..=MAX_REDIRECTS {
        let said = get(outside, &at, accept).await?;
        match (&said.location, said.status) {
            (Some(location), 301 | 302 | 303 | 307 | 308) if location.starts_with("https://") => {
                location.clone_into(&mut at);
            }
            _ => return Ok(said),
        }
    }
    Err(Refused::Unreachable(format!("more than {MAX_REDIRECTS} redirects")))
}

async fn get(outside: &Outside, uri: &str, accept: &str) -> Result<Said, Refused> {
    let unreachable = |why: String| Refused::Unreachable(why);
    let parsed: Uri = uri.parse().map_err(|_| unreachable(format!("{} is no URL", shown(uri.as_bytes()))))?;
    let host = parsed.host().filter(|_| parsed.scheme_str() == Some("https"));
    let host = host
        .and_then(Name::parse)
        .ok_or_else(|| unreachable("the URL is not https, or names no host".to_owned()))?;
    let stream = outside.connect(&host, parsed.port_u16().unwrap_or(443)).await.map_err(unreachable)?;
    let name =
        ServerName::try_from(host.to_string()).map_err(|_| unreachable(format!("{host} is no host name")))?;
    let stream = connector(outside).map_err(unreachable)?.connect(name, stream).await.map_err(untrusted)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(error.to_string()))?;
    // Ends with the connection, which ends with the sender.
    let driver = tokio::spawn(connection);
    let authority = parsed.authority().map_or_else(String::new, ToString::to_string);
    let path = parsed.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(ACCEPT, accept)
        .header(USER_AGENT, "mailwarden")
        .body(Empty::<Bytes>::new())
        .map_err(|error| unreachable(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(|error| unreachable(error.to_string()))?;
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let content_type = header(CONTENT_TYPE).unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (status, location) = (response.status().as_u16(), header(LOCATION));
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
    driver.abort();
    let body = body.map_err(|error| unreachable(format!("the answer cannot be read: {error}")))?;
    Ok(Said { status, content_type, body: body.to_bytes().to_vec(), location })
}

fn untrusted(error: std::io::Error) -> Refused {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_)) => Refused::Untrusted(shown(error.to_string().as_bytes())),
        _ => Refused::Unreachable(format!("TLS does not begin: {}", shown(error.to_string().as_bytes()))),
    }
}

fn connector(outside: &Outside) -> Result<TlsConnector, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(Arc::clone(&outside.roots))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
