//! What a domain publishes and what its hosts say: names, mail hosts, policies over HTTPS, registrations.
//!
//! One [`Outside`] answers one [`Question`] at a time or many side by side. It decides nothing: which questions
//! follow from an answer is for whoever asked.

mod https;
mod rdap;
mod resolver;
mod smtp;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use mailwarden_evidence::dns::{Answer, Name, Question, Rdata, RecordType};
use rustls::RootCertStore;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::CollectError;
use crate::server::roots;

/// Questions asked side by side.
const SIDE_BY_SIDE: usize = 16;
/// Addresses of one host that are tried, one after the other.
const MAX_ADDRESSES: usize = 4;

/// How the outside is asked.
#[derive(Debug, Clone)]
pub struct OutsidePlan {
    /// Resolvers; the system's when empty.
    pub resolvers: Vec<SocketAddr>,
    /// How long one question to a resolver may take.
    pub timeout: Duration,
    /// How long a mail host or a web server may take for all it has to say.
    pub host_timeout: Duration,
    /// Whether mail hosts are asked.
    pub smtp: bool,
    /// The port of mail hosts.
    pub smtp_port: u16,
    /// The name said in EHLO.
    pub helo: String,
    /// The port of policies over HTTPS.
    pub https_port: u16,
    /// Where registrations are asked, an https URL; none when empty.
    pub rdap: String,
    /// PEM file with the only authorities to trust; the system's are used without it.
    pub ca_file: Option<PathBuf>,
    /// The address under which every mail and web host is reached, instead of its own; for a network that
    /// reaches its own hosts by another address than the world does.
    pub connect_to: Option<IpAddr>,
}

/// The outside.
pub struct Outside {
    plan: OutsidePlan,
    resolver: resolver::Asker,
    roots: Arc<RootCertStore>,
}

impl Outside {
    /// Reads the resolvers and the trust anchors.
    ///
    /// # Errors
    /// When the system's resolvers or the authorities cannot be read.
    pub fn new(plan: OutsidePlan) -> Result<Self, CollectError> {
        let roots = Arc::new(roots("dns", plan.ca_file.as_deref())?);
        Ok(Self { resolver: resolver::Asker::new(&plan)?, plan, roots })
    }

    /// How coverage calls the place that was asked.
    #[must_use]
    pub fn label(&self) -> String {
        self.resolver.label()
    }

    /// Asks many questions side by side.
    pub async fn answers(&self, questions: Vec<Question>) -> Vec<(Question, Answer)> {
        let asked = questions.into_iter().map(|question| async {
            let answer = self.answer(&question).await;
            (question, answer)
        });
        stream::iter(asked).buffer_unordered(SIDE_BY_SIDE).collect().await
    }

    /// Asks one question. No answer, whatever it is, is an error here: it becomes [`Answer::Failed`].
    pub async fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Records { name, kind } => self.resolver.records(name, *kind).await,
            Question::Smtp { .. } | Question::Recipient { .. } if !self.plan.smtp => {
                failed("mail hosts are not asked; set smtp = true under [dns]")
            }
            Question::Smtp { host } => self.limited(smtp::shown(self, host)).await,
            Question::Recipient { host, address } => self.limited(smtp::recipient(self, host, address)).await,
            Question::MtaStsPolicy { domain } => self.limited(https::mta_sts(self, domain)).await,
            Question::Registration { domain } => self.limited(rdap::registration(self, domain)).await,
        }
    }

    async fn limited(&self, asked: impl Future<Output = Answer>) -> Answer {
        let limit = self.plan.host_timeout;
        timeout(limit, asked).await.unwrap_or_else(|_| failed(format!("no whole answer within {limit:?}")))
    }

    /// Connects to a host by one of its addresses.
    async fn connect(&self, host: &Name, port: u16) -> Result<TcpStream, String> {
        let addresses = match self.plan.connect_to {
            Some(address) => vec![address],
            None => self.addresses(host).await?,
        };
        let mut last = format!("{host} has no address");
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            match timeout(self.plan.timeout, TcpStream::connect((address, port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = format!("cannot connect to {address} port {port}: {error}"),
                Err(_) => {
                    last = format!("no connection to {address} port {port} within {:?}", self.plan.timeout);
                }
            }
        }
        Err(last)
    }

    async fn addresses(&self, host: &Name) -> Result<Vec<IpAddr>, String> {
        let mut addresses = Vec::new();
        let mut why = String::new();
        for kind in [RecordType::A, RecordType::Aaaa] {
            match self.resolver.records(host, kind).await {
                Answer::Records { records, .. } => {
                    addresses.extend(records.iter().filter_map(|record| match record {
                        Rdata::Address(address) => Some(*address),
                        _ => None,
                    }));
                }
                Answer::Failed { reason } => why = format!("{} of {host}: {reason}", kind.as_str()),
                _ => {}
            }
        }
        if addresses.is_empty() && !why.is_empty() { Err(why) } else { Ok(addresses) }
    }
}

fn failed(reason: impl Into<String>) -> Answer {
    Answer::Failed { reason: reason.into() }
}
