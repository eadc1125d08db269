//! A POST of JSON over verified TLS, bounded in time; of the answer only the status counts.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use mailwarden_collect::server::roots;
use mailwarden_report::Notice;
use mailwarden_settings::Settings;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

const HTTPS: u16 = 443;

/// Tokens of chat services are in the path of their webhooks: only scheme and host are shown.
pub(super) fn shown_url(url: &str) -> String {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    host.map_or_else(|| "(no URL)".to_owned(), |host| format!("https://{host}/..."))
}

pub(super) async fn post(settings: &Settings, notice: &Notice) -> Result<(), String> {
    let label = format!("the webhook {}", shown_url(&settings.notify.webhook));
    let said = match timeout(settings.notify.timeout, exchange(settings, notice)).await {
        Ok(said) => said.map_err(|why| format!("{label}: {why}"))?,
        Err(_) => return Err(format!("{label}: no answer within {:?}", settings.notify.timeout)),
    };
    // A redirect is not followed: the findings go where the configuration says and nowhere else.
    if (200..300).contains(&said) { Ok(()) } else { Err(format!("{label} answered {said}")) }
}

async fn exchange(settings: &Settings, notice: &Notice) -> Result<u16, String> {
    let uri: Uri = settings.notify.webhook.parse().map_err(|_| "this is no URL".to_owned())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
    let host = host.ok_or_else(|| "write an https URL".to_owned())?.to_owned();
    let request = request(settings, &uri, notice)?;
    let tcp = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(HTTPS))).await.map_err(text)?;
    let name = ServerName::try_from(host).map_err(text)?;
    let tls = connector(settings)?.connect(name, tcp).await.map_err(text)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(text)?;
    let driver = tokio::spawn(connection);
    let status = sender.send_request(request).await.map(|response| response.status().as_u16());
    driver.abort();
    status.map_err(text)
}

fn request(settings: &Settings, uri: &Uri, notice: &Notice) -> Result<Request<Full<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or_else(String::new, ToString::to_string);
    let mut builder = Request::post(path)
        .header(HOST, authority)
        .header(USER_AGENT, "mailwarden")
        .header(CONTENT_TYPE, "application/json");
    if let Some(source) = &settings.notify.webhook_token {
        let token = source.read(&settings.directory).map_err(|error| error.render(false))?;
        let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
        let mut value = value.map_err(|_| "the token cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    let body = serde_json::to_vec(notice).map_err(text)?;
    builder.body(Full::new(Bytes::from(body))).map_err(text)
}

fn connector(settings: &Settings) -> Result<TlsConnector, String> {
    let ca_file = settings.notify.ca_file.as_deref().map(|file| settings.directory.join(file));
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(text)?
        .with_root_certificates(roots("webhook", ca_file.as_deref()).map_err(text)?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn text(error: impl std::fmt::Display) -> String {
    crate::output::shown(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_token_in_the_path_is_not_shown() {
        assert_eq!(shown_url("https://chat.example/hooks/s3cret?key=x"), "https://chat.example/...");
        assert_eq!(shown_url("no url at all"), "(no URL)");
    }
}
