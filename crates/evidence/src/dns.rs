//! Questions to the name service and to what it names, and the answers as they came.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// RFC 1035 §2.3.4, as text without the final dot.
const MAX_NAME: usize = 253;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;

/// A name to ask for: lower case, no trailing dot. Underscores and a leading `*` label are names here, unlike
/// in a mail domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Reads a name as it stands in a record; `None` where no server could be asked for it. The root is no
    /// name to ask for.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label_fits = |label: &str| !label.is_empty() && label.len() <= MAX_LABEL;
        let printable =
            |c: u8| c.is_ascii_graphic() && !matches!(c, b'\\' | b'"' | b'(' | b')' | b';' | b'@');
        let good = name.len() <= MAX_NAME && name.bytes().all(printable) && name.split('.').all(label_fits);
        good.then_some(Self(name))
    }

    /// The name below this one; `None` where it would be too long.
    #[must_use]
    pub fn child(&self, label: &str) -> Option<Self> {
        Self::parse(&format!("{label}.{}", self.0))
    }

    /// The text, without a final dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `other` or lies below it, in whole labels.
    #[must_use]
    pub fn is_or_is_under(&self, other: &str) -> bool {
        self.0.strip_suffix(other).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no name of the domain name system"))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// The types that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names are those of the registry of record types")]
pub enum RecordType {
    A,
    Aaaa,
    Mx,
    Txt,
    Cname,
    Ns,
    Ptr,
    Tlsa,
    Caa,
    Srv,
}

impl RecordType {
    /// As a zone file writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Cname => "CNAME",
            Self::Ns => "NS",
            Self::Ptr => "PTR",
            Self::Tlsa => "TLSA",
            Self::Caa => "CAA",
            Self::Srv => "SRV",
        }
    }
}

/// The content of one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rdata {
    /// An address of either family.
    Address(std::net::IpAddr),
    /// A mail host; the empty host is the root, which makes a null MX (RFC 7505).
    Mx {
        /// Lower is asked first.
        preference: u16,
        /// The host as it stands, without a final dot.
        host: String,
    },
    /// Text: its strings, each at most 255 octets, in lossy UTF-8.
    Txt(Vec<String>),
    /// The name another name stands for: of CNAME, NS and PTR.
    Target(String),
    /// A certificate association (RFC 6698).
    Tlsa {
        /// Certificate usage.
        usage: u8,
        /// What of the certificate.
        selector: u8,
        /// How it is matched.
        matching: u8,
        /// The association, lower-case hexadecimal.
        association: String,
    },
    /// Who may issue certificates (RFC 8659).
    Caa {
        /// The issuer must understand the property.
        critical: bool,
        /// `issue`, `issuewild`, `iodef`, ...
        tag: String,
        /// Its value.
        value: String,
    },
    /// Where a service is (RFC 2782).
    Srv {
        /// Lower is asked first.
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// Its port.
        port: u16,
        /// The host; empty means that there is no such service.
        target: String,
    },
}

/// What the resolver says of the signatures of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dnssec {
    /// The resolver verified it (the AD bit).
    Authenticated,
    /// The resolver did not say that it verified it.
    Unsigned,
}

/// One question to the outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Question {
    /// The records of a name.
    Records {
        /// The name.
        name: Name,
        /// Their type.
        kind: RecordType,
    },
    /// The MTA-STS policy of a domain (RFC 8461 §3.3), over HTTPS.
    MtaStsPolicy {
        /// The domain.
        domain: Name,
    },
    /// How a mail host greets and whether it protects the connection.
    Smtp {
        /// The host.
        host: Name,
    },
    /// Whether a mail host takes a recipient.
    Recipient {
        /// The host.
        host: Name,
        /// The address.
        address: String,
    },
    /// The registration of a domain, by RDAP (RFC 9082).
    Registration {
        /// The domain.
        domain: Name,
    },
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records { name, kind } => write!(f, "{} of {name}", kind.as_str()),
            Self::MtaStsPolicy { domain } => write!(f, "the MTA-STS policy of {domain}"),
            Self::Smtp { host } => write!(f, "SMTP at {host}"),
            Self::Recipient { host, address } => write!(f, "recipient {address} at {host}"),
            Self::Registration { domain } => write!(f, "the registration of {domain}"),
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// Records of the type asked for.
    Records {
        /// Their contents, in the order of their text.
        records: Vec<Rdata>,
        /// The names that the name asked for stands for, where it is an alias.
        aliases: Vec<String>,
        /// Whether the resolver verified it.
        dnssec: Dnssec,
    },
    /// The name exists and has no such records.
    NoRecords {
        /// The aliases that led there.
        aliases: Vec<String>,
        /// Whether the resolver verified it.
        dnssec: Dnssec,
    },
    /// There is no such name.
    NoSuchName {
        /// The aliases that led there.
        aliases: Vec<String>,
        /// Whether the resolver verified it.
        dnssec: Dnssec,
    },
    /// What an HTTPS server said.
    Https {
        /// Status code.
        status: u16,
        /// The Content-Type field without parameters, in lower case.
        content_type: String,
        /// The text, lossy UTF-8.
        body: String,
    },
    /// What a mail host showed.
    Smtp(SmtpSeen),
    /// What a mail host said to a recipient.
    Recipient {
        /// The code of its reply.
        code: u16,
        /// The text of its reply.
        text: String,
    },
    /// A registration.
    Registration(Registration),
    /// The server answered, and what it showed is wrong: a certificate that does not verify. It could be
    /// looked at, and it is not good.
    Wrong {
        /// What is wrong.
        reason: String,
    },
    /// No answer to rely on.
    Failed {
        /// Why, and what was being done.
        reason: String,
    },
}

/// How a mail host greets and whether it protects the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpSeen {
    /// The name in its greeting.
    pub greeting: String,
    /// Whether it offers STARTTLS.
    pub starttls: bool,
    /// Why its certificate does not verify for its name; empty when it does.
    pub certificate_fault: String,
    /// What it shows, the host's own certificate first; empty without TLS.
    pub certificates: Vec<CertificateSeen>,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateSeen {
    /// As it was sent (DER).
    #[serde(with = "crate::text_or_base64")]
    pub der: Vec<u8>,
}

/// A registration as RDAP tells it (RFC 9083).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// False where the registry knows no such domain.
    pub registered: bool,
    /// The registrar's name.
    pub registrar: String,
    /// When it runs out.
    pub expires: Option<DateTime<Utc>>,
    /// Its status values, lower case, in order.
    pub status: Vec<String>,
}
