//! A mail host, asked as another mail host would: how it greets, whether it protects the connection, whether it
//! takes a recipient. No message is ever sent.

use std::sync::{Arc, Mutex};

use mailwarden_evidence::dns::{Answer, CertificateSeen, Name, SmtpSeen};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Outside, failed};
use crate::error::shown as printable;
use crate::lines::{Lines, Reply};

/// Most certificates of one host that are kept.
const MAX_CERTIFICATES: usize = 6;
/// Longest certificate that is kept.
const MAX_CERTIFICATE: usize = 16 * 1024;

struct Session {
    lines: Lines<TcpStream>,
}

impl Session {
    async fn open(outside: &Outside, host: &Name) -> Result<(Self, Reply), String> {
        let stream = outside.connect(host, outside.plan.smtp_port).await?;
        let mut session = Self { lines: Lines::new(stream, outside.plan.host_timeout) };
        let greeting = session.lines.reply().await?;
        if greeting.code != 220 {
            return Err(format!("the host greets with {}", greeting.text()));
        }
        Ok((session, greeting))
    }

    async fn hello(&mut self, outside: &Outside) -> Result<Reply, String> {
        let reply = self.lines.say(&format!("EHLO {}", outside.plan.helo)).await?;
        if reply.code == 250 { Ok(reply) } else { Err(format!("EHLO is answered {}", reply.text())) }
    }
}

pub(super) async fn shown(outside: &Outside, host: &Name) -> Answer {
    match look(outside, host).await {
        Ok(seen) => Answer::Smtp(seen),
        Err(reason) => failed(reason),
    }
}

async fn look(outside: &Outside, host: &Name) -> Result<SmtpSeen, String> {
    let (mut session, greeting) = Session::open(outside, host).await?;
    let hello = session.hello(outside).await?;
    let greeting =
        greeting.lines.first().and_then(|line| line.split(' ').next()).unwrap_or_default().to_owned();
    let starttls = hello.lines.iter().any(|line| line.eq_ignore_ascii_case("STARTTLS"));
    let mut seen =
        SmtpSeen { greeting, starttls, certificate_fault: String::new(), certificates: Vec::new() };
    if !starttls {
        session.lines.quit().await;
        return Ok(seen);
    }
    let reply = session.lines.say("STARTTLS").await?;
    if reply.code != 220 {
        return Err(format!("STARTTLS is offered and answered {}", reply.text()));
    }
    let recorder = Arc::new(Recorder::new(outside)?);
    let name = ServerName::try_from(host.to_string()).map_err(|_| format!("{host} is no host name"))?;
    let connected = recorder.connector()?.connect(name, session.lines.into_inner()?).await;
    let chain = recorder.chain.lock().map(|chain| chain.clone()).unwrap_or_default();
    match connected {
        Ok(mut stream) => {
            // A polite end here as well; nothing depends on it.
            let _ = stream.write_all(b"QUIT\r\n").await;
            seen.certificate_fault.clone_from(&chain.fault);
        }
        Err(error) if chain.certificates.is_empty() => return Err(format!("TLS does not begin: {error}")),
        Err(error) => seen.certificate_fault = printable(error.to_string().as_bytes()),
    }
    seen.certificates = chain.certificates;
    Ok(seen)
}

pub(super) async fn recipient(outside: &Outside, host: &Name, address: &str) -> Answer {
    match ask(outside, host, address).await {
        Ok(reply) => Answer::Recipient { code: reply.code, text: reply.lines.join(" ") },
        Err(reason) => failed(reason),
    }
}

/// The null sender, as any notification would come with: RFC 5321 §4.5.5 keeps hosts from refusing it.
async fn ask(outside: &Outside, host: &Name, address: &str) -> Result<Reply, String> {
    if address.chars().any(|c| c.is_control() || matches!(c, '<' | '>' | ' ')) {
        return Err("the address cannot be said in SMTP".to_owned());
    }
    let (mut session, _) = Session::open(outside, host).await?;
    session.hello(outside).await?;
    let sender = session.lines.say("MAIL FROM:<>").await?;
    if sender.code != 250 {
        return Err(format!("the null sender is answered {}", sender.text()));
    }
    let reply = session.lines.say(&format!("RCPT TO:<{address}>")).await?;
    session.lines.quit().await;
    Ok(reply)
}

// --- the certificate, whatever it is --------------------------------------------------------------------------------

#[derive(Debug, Clone, Default)]
struct Chain {
    certificates: Vec<CertificateSeen>,
    fault: String,
}

/// Writes down what is shown and whether it verifies, and lets the handshake go on: nothing is sent over the
/// connection that comes of it.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    chain: Mutex<Chain>,
}

impl Recorder {
    fn new(outside: &Outside) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::clone(&outside.roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
        let verifier = verifier.map_err(|error| format!("cannot verify certificates: {error}"))?;
        Ok(Self { verifier, provider, chain: Mutex::default() })
    }

    fn connector(self: &Arc<Self>) -> Result<TlsConnector, String> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(self) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(own, others, name, stapled, now);
        let small = |certificate: &&CertificateDer<'_>| certificate.len() <= MAX_CERTIFICATE;
        let all = std::iter::once(own).chain(others).filter(small).take(MAX_CERTIFICATES);
        let chain = Chain {
            certificates: all.map(|certificate| CertificateSeen { der: certificate.to_vec() }).collect(),
            fault: verified.err().map(|error| printable(error.to_string().as_bytes())).unwrap_or_default(),
        };
        if let Ok(mut recorded) = self.chain.lock() {
            *recorded = chain;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
