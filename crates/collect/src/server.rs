//! Where a server is, how to reach it safely, and in whose name to log in.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::CollectError;

/// Most certificates read from one `ca_file`.
const MAX_CA_CERTIFICATES: usize = 1000;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS before anything secret is sent.
    StartTls,
    /// No protection: refused unless the peer is a loopback address.
    Plain,
}

/// One server of one protocol.
#[derive(Debug, Clone)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: TlsMode,
    /// The name the certificate must carry, where it is not `host`.
    pub tls_name: Option<String>,
    /// PEM file with the only authorities to trust; the system's are used without it.
    pub ca_file: Option<PathBuf>,
    /// The domain whose logins the server shows without it, as Cyrus does with its `defaultdomain`.
    pub default_domain: Option<String>,
    /// How long connecting and the TLS handshake may take.
    pub connect_timeout: Duration,
    /// How long one answer may take. Servers delay refused logins on purpose (Dovecot: about two seconds,
    /// more after several), so seconds are too few.
    pub command_timeout: Duration,
}

impl Server {
    /// A server with the default timeouts, verified by the system's authorities.
    pub fn new(host: impl Into<String>, port: u16, tls: TlsMode) -> Self {
        Self {
            host: host.into(),
            port,
            tls,
            tls_name: None,
            ca_file: None,
            default_domain: None,
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(30),
        }
    }
}

/// How the master user names the mailbox it acts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginStyle {
    /// SASL authorization identity (RFC 4616): the mailbox is the authzid, the master user the authcid.
    Authzid,
    /// One login name, `mailbox` + separator + `master user` (Dovecot's `auth_master_user_separator`).
    Separator(char),
    /// No master user: `master_user` is the mailbox itself, with a password of its own.
    Own,
}

/// The sweeper's own login.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Login name of the master user.
    pub master_user: String,
    /// Its password.
    pub master_password: SecretString,
    /// How the mailbox is named.
    pub style: LoginStyle,
}

impl Credentials {
    /// The base64 form of the SASL PLAIN message (RFC 4616 section 2) that logs in on behalf of `mailbox`.
    pub(crate) fn plain_message(&self, server: &str, mailbox: &str) -> Result<SecretString, CollectError> {
        let password = self.master_password.expose_secret();
        if [self.master_user.as_str(), password, mailbox].iter().any(|part| part.contains('\0')) {
            let cause = "login name, password or mailbox holds a NUL character";
            return Err(CollectError::configuration(server, "logging in", cause, "remove it"));
        }
        let (authzid, authcid) = match self.style {
            LoginStyle::Authzid => (mailbox, self.master_user.clone()),
            LoginStyle::Separator(separator) => ("", format!("{mailbox}{separator}{}", self.master_user)),
            LoginStyle::Own => ("", self.master_user.clone()),
        };
        Ok(STANDARD.encode(format!("{authzid}\0{authcid}\0{password}")).into())
    }
}

/// A byte stream to a server, with or without TLS.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Debug> Transport for T {}

/// An open connection.
pub(crate) type Connection = Box<dyn Transport>;

/// Opens connections to one server; trust anchors are read once.
#[derive(Clone)]
pub struct Dialer {
    server: Server,
    label: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Checks the server's settings and reads its trust anchors. `protocol` is `imap` or `managesieve` and
    /// only appears in messages.
    pub fn new(protocol: &str, server: Server) -> Result<Self, CollectError> {
        let label = format!("{protocol} {}:{}", server.host, server.port);
        let tls = match server.tls {
            TlsMode::Plain => None,
            TlsMode::Implicit | TlsMode::StartTls => {
                Some((connector(&label, &server)?, tls_name(&label, &server)?))
            }
        };
        Ok(Self { server, label, tls })
    }

    /// How messages and coverage call this server, e.g. `imap 127.0.0.1:143`.
    pub fn label(&self) -> &str {
        &self.label
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) async fn connect(&self) -> Result<Connection, CollectError> {
        let address = (self.server.host.as_str(), self.server.port);
        let stream = timeout(self.server.connect_timeout, TcpStream::connect(address))
            .await
            .map_err(|_| self.slow_connect())?
            .map_err(|error| CollectError::unreachable(&self.label, "connecting", error))?;
        // Commands are short and each waits for its answer; Nagle's algorithm would add a delayed ACK to
        // each.
        let nodelay = stream.set_nodelay(true);
        nodelay.map_err(|error| CollectError::unreachable(&self.label, "connecting", error))?;
        match self.server.tls {
            TlsMode::Implicit => self.upgrade(Box::new(stream)).await,
            TlsMode::StartTls => Ok(Box::new(stream)),
            TlsMode::Plain => self.only_loopback(stream),
        }
    }

    /// The TLS handshake, on a fresh connection or after STARTTLS.
    pub(crate) async fn upgrade(&self, stream: Connection) -> Result<Connection, CollectError> {
        let Some((connector, name)) = &self.tls else {
            let cause = "TLS was asked for on a connection configured without it";
            return Err(CollectError::configuration(&self.label, "starting TLS", cause, "set tls"));
        };
        let handshake = connector.connect(name.clone(), stream);
        match timeout(self.server.connect_timeout, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(self.refused_handshake(&error)),
            Err(_) => Err(self.slow_connect()),
        }
    }

    fn only_loopback(&self, stream: TcpStream) -> Result<Connection, CollectError> {
        match stream.peer_addr() {
            Ok(peer) if peer.ip().is_loopback() => Ok(Box::new(stream)),
            _ => Err(CollectError::configuration(
                &self.label,
                "connecting",
                "a connection without TLS would show the master password to the network",
                "set tls to starttls or implicit",
            )),
        }
    }

    fn slow_connect(&self) -> CollectError {
        let cause = format!("no connection within {:?}", self.server.connect_timeout);
        CollectError::unreachable(&self.label, "connecting", cause)
    }

    fn refused_handshake(&self, error: &std::io::Error) -> CollectError {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(fault)) => CollectError::configuration(
                &self.label,
                "verifying the certificate",
                format!("{fault:?}"),
                "name the right authority in ca_file and the certificate's name in tls_name",
            ),
            Some(fault) => CollectError::misbehaved(&self.label, "starting TLS", fault),
            None => CollectError::unreachable(&self.label, "starting TLS", error),
        }
    }
}

fn tls_name(label: &str, server: &Server) -> Result<ServerName<'static>, CollectError> {
    let name = server.tls_name.as_deref().unwrap_or(&server.host).to_owned();
    ServerName::try_from(name.clone()).map_err(|_| {
        let cause = format!("`{name}` is neither a host name nor an address");
        CollectError::configuration(label, "preparing TLS", cause, "correct host or tls_name")
    })
}

fn connector(label: &str, server: &Server) -> Result<TlsConnector, CollectError> {
    let roots = roots(label, server.ca_file.as_deref())?;
    // The provider is named because the default of a process depends on which crates were linked into it.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CollectError::configuration(label, "preparing TLS", error, "report this build"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The authorities of a file, or those of the system; `label` names the server in errors.
///
/// # Errors
/// When the file cannot be read, or there is no authority at all.
pub fn roots(label: &str, ca_file: Option<&std::path::Path>) -> Result<RootCertStore, CollectError> {
    ca_file.map_or_else(|| roots_of_system(label), |path| roots_of_file(label, path))
}

fn roots_of_file(label: &str, path: &std::path::Path) -> Result<RootCertStore, CollectError> {
    let faulty = |cause: String| {
        let cause = format!("{}: {cause}", path.display());
        CollectError::configuration(label, "reading ca_file", cause, "give a PEM file with CA certificates")
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| faulty(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates.take(MAX_CA_CERTIFICATES) {
        let certificate = certificate.map_err(|error| faulty(error.to_string()))?;
        roots.add(certificate).map_err(|error| faulty(error.to_string()))?;
    }
    if roots.is_empty() { Err(faulty("it holds no certificate".to_owned())) } else { Ok(roots) }
}

fn roots_of_system(label: &str) -> Result<RootCertStore, CollectError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One unreadable authority among many is normal on real systems; none at all is not.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let cause = "the system has no certificate authorities";
        let next = "install the package ca-certificates or set ca_file";
        return Err(CollectError::configuration(label, "preparing TLS", cause, next));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(style: LoginStyle) -> Credentials {
        Credentials { master_user: "sweeper".into(), master_password: "pw".to_owned().into(), style }
    }

    fn decoded(style: LoginStyle) -> String {
        let message = credentials(style).plain_message("imap h:1", "alice@example.test").unwrap();
        String::from_utf8(STANDARD.decode(message.expose_secret()).unwrap()).unwrap()
    }

    #[test]
    fn each_login_style_names_the_mailbox() {
        assert_eq!(decoded(LoginStyle::Authzid), "alice@example.test\0sweeper\0pw");
        assert_eq!(decoded(LoginStyle::Separator('*')), "\0alice@example.test*sweeper\0pw");
        assert_eq!(decoded(LoginStyle::Own), "\0sweeper\0pw");
    }

    #[test]
    fn a_nul_in_a_login_is_refused_before_it_can_split_the_message() {
        let error = credentials(LoginStyle::Authzid).plain_message("imap h:1", "a\0b").unwrap_err();
        assert!(matches!(error, CollectError::Configuration { .. }));
    }

    #[test]
    fn credentials_do_not_print_their_password() {
        assert!(!format!("{:?}", credentials(LoginStyle::Authzid)).contains("pw"));
    }

    #[test]
    fn faults_of_the_configuration_are_named_before_any_connection() {
        let mut server = Server::new("127.0.0.1", 1, TlsMode::Implicit);
        server.ca_file = Some("/nonexistent/ca.pem".into());
        let error = Dialer::new("imap", server.clone()).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
        server.ca_file = None;
        server.tls_name = Some("not a name".into());
        let error = Dialer::new("imap", server).unwrap_err();
        assert!(error.to_string().contains("`not a name`"), "{error}");
    }

    #[test]
    fn an_empty_ca_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut server = Server::new("127.0.0.1", 1, TlsMode::Implicit);
        server.ca_file = Some(file.path().into());
        let error = Dialer::new("imap", server).unwrap_err();
        assert!(matches!(error, CollectError::Configuration { .. }), "{error}");
        assert!(error.to_string().contains("no certificate"), "{error}");
    }

    #[tokio::test]
    async fn a_refused_port_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let dialer = Dialer::new("imap", Server::new("127.0.0.1", port, TlsMode::Plain)).unwrap();
        let error = dialer.connect().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(error.to_string().contains(&format!("imap 127.0.0.1:{port}")), "{error}");
    }
}
