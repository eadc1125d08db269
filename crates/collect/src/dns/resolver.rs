//! Names, asked of the configured resolvers: UDP, then TCP where an answer does not fit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::StreamExt as _;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::DnsHandle as _;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{self, RData};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use mailwarden_evidence::dns::{Answer, Dnssec, Name, Rdata, RecordType};
use tokio::time::timeout;

use super::{OutsidePlan, failed};
use crate::CollectError;
use crate::error::shown;

/// Most records of one answer that are kept.
const MAX_RECORDS: usize = 200;
/// Most octets of one answer that are kept; a TCP answer can hold 64 KiB.
const MAX_OCTETS: usize = 32 * 1024;
/// Most aliases that are followed in one answer.
const MAX_ALIASES: usize = 16;
/// How often a question is asked before it counts as not answered.
const ATTEMPTS: u32 = 2;

/// Asks the resolvers.
pub(super) struct Asker {
    pool: NameServerPool<TokioRuntimeProvider>,
    limit: Duration,
    servers: Vec<SocketAddr>,
}

impl Asker {
    pub(super) fn new(plan: &OutsidePlan) -> Result<Self, CollectError> {
        let configuration = |cause: String| {
            CollectError::configuration("dns", "preparing the resolver", cause, "name resolvers under [dns]")
        };
        let servers = if plan.resolvers.is_empty() {
            of_system().map_err(configuration)?
        } else {
            plan.resolvers.clone()
        };
        if servers.is_empty() {
            return Err(configuration("the system names no resolver".to_owned()));
        }
        let mut options = ResolverOpts::default();
        options.timeout = plan.timeout;
        options.attempts = 1;
        options.try_tcp_on_error = true;
        options.num_concurrent_reqs = 1;
        let tls = TlsConfig::new().map_err(|error| configuration(error.to_string()))?;
        let context = Arc::new(PoolContext::new(options, tls));
        let configs = servers.iter().map(|server| config(*server)).collect::<Vec<_>>();
        let pool = NameServerPool::from_config(configs, context, TokioRuntimeProvider::default());
        Ok(Self { pool, limit: plan.timeout, servers })
    }

    pub(super) fn label(&self) -> String {
        let servers: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        format!("dns {}", servers.join(", "))
    }

    pub(super) async fn records(&self, name: &Name, kind: RecordType) -> Answer {
        let Ok(asked) = rr::Name::from_ascii(format!("{name}.")) else {
            return failed("no resolver can be asked for this name");
        };
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let query = Query::query(asked.clone(), of_kind(kind));
            let mut options = DnsRequestOptions::default();
            // Resolvers tell only those who ask for signatures that they verified them.
            options.edns_set_dnssec_ok = true;
            let sent = async { self.pool.lookup(query, options).next().await };
            match timeout(self.limit * 2, sent).await {
                Ok(Some(Ok(response))) => return read(&asked, kind, &response),
                Ok(Some(Err(error))) => match refused(error) {
                    Ok(answer) => return answer,
                    Err(why) => reason = why,
                },
                Ok(None) | Err(_) => reason = format!("no answer within {:?}", self.limit),
            }
        }
        failed(reason)
    }
}

fn of_system() -> Result<Vec<SocketAddr>, String> {
    let (config, _) = read_system_conf().map_err(|error| error.to_string())?;
    Ok(config.name_servers.iter().map(|server| SocketAddr::new(server.ip, 53)).collect())
}

fn config(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.to_vec())
}

/// What a negative answer or an error says: an answer, or why there is none.
fn refused(error: NetError) -> Result<Answer, String> {
    let none = (Vec::new(), Dnssec::Unsigned);
    match error {
        NetError::Dns(DnsError::NoRecordsFound(found)) => match found.response_code {
            ResponseCode::NXDomain => Ok(Answer::NoSuchName { aliases: none.0, dnssec: none.1 }),
            ResponseCode::NoError if found.soa.is_none() && found.ns.is_some() => {
                Err("the server only names other servers; it is no resolver".to_owned())
            }
            ResponseCode::NoError => Ok(Answer::NoRecords { aliases: none.0, dnssec: none.1 }),
            code => Err(format!("the resolver answered {code}")),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => Err(format!("the resolver answered {code}")),
        NetError::Timeout => Err("the resolver did not answer in time".to_owned()),
        other => Err(shown(other.to_string().as_bytes())),
    }
}

fn read(asked: &rr::Name, kind: RecordType, response: &DnsResponse) -> Answer {
    let dnssec = if response.metadata.authentic_data { Dnssec::Authenticated } else { Dnssec::Unsigned };
    let mut at = asked.clone();
    let mut aliases: Vec<String> = Vec::new();
    while let Some(target) = response.answers.iter().find_map(|record| alias(record, &at)) {
        let text = text_of(&target);
        if kind == RecordType::Cname {
            return Answer::Records { records: vec![Rdata::Target(text)], aliases, dnssec };
        }
        if aliases.len() >= MAX_ALIASES || aliases.contains(&text) || target == *asked {
            return failed("the name is an alias that leads back to itself or too far");
        }
        aliases.push(text);
        at = target;
    }
    let own = response.answers.iter().filter(|record| record.name == at);
    let mut records: Vec<Rdata> = Vec::new();
    let mut octets = 0;
    for rdata in own.filter_map(|record| content(&record.data, kind)) {
        octets += size(&rdata);
        if octets > MAX_OCTETS || records.len() >= MAX_RECORDS {
            return failed(format!("the answer has more than {MAX_OCTETS} octets or {MAX_RECORDS} records"));
        }
        records.push(rdata);
    }
    records.sort();
    match response.metadata.response_code {
        ResponseCode::NXDomain => Answer::NoSuchName { aliases, dnssec },
        _ if records.is_empty() => Answer::NoRecords { aliases, dnssec },
        _ => Answer::Records { records, aliases, dnssec },
    }
}

fn alias(record: &rr::Record, at: &rr::Name) -> Option<rr::Name> {
    match &record.data {
        RData::CNAME(target) if record.name == *at => Some(target.0.clone()),
        _ => None,
    }
}

fn of_kind(kind: RecordType) -> rr::RecordType {
    match kind {
        RecordType::A => rr::RecordType::A,
        RecordType::Aaaa => rr::RecordType::AAAA,
        RecordType::Mx => rr::RecordType::MX,
        RecordType::Txt => rr::RecordType::TXT,
        RecordType::Cname => rr::RecordType::CNAME,
        RecordType::Ns => rr::RecordType::NS,
        RecordType::Ptr => rr::RecordType::PTR,
        RecordType::Tlsa => rr::RecordType::TLSA,
        RecordType::Caa => rr::RecordType::CAA,
        RecordType::Srv => rr::RecordType::SRV,
    }
}

fn content(rdata: &RData, kind: RecordType) -> Option<Rdata> {
    Some(match (rdata, kind) {
        (RData::A(address), RecordType::A) => Rdata::Address(address.0.into()),
        (RData::AAAA(address), RecordType::Aaaa) => Rdata::Address(address.0.into()),
        (RData::MX(mx), RecordType::Mx) => {
            Rdata::Mx { preference: mx.preference, host: text_of(&mx.exchange) }
        }
        (RData::TXT(txt), RecordType::Txt) => {
            Rdata::Txt(txt.txt_data.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
        }
        (RData::NS(name), RecordType::Ns) => Rdata::Target(text_of(&name.0)),
        (RData::PTR(name), RecordType::Ptr) => Rdata::Target(text_of(&name.0)),
        (RData::TLSA(tlsa), RecordType::Tlsa) => Rdata::Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            association: HEXLOWER.encode(&tlsa.cert_data),
        },
        (RData::CAA(caa), RecordType::Caa) => Rdata::Caa {
            critical: caa.issuer_critical,
            tag: caa.tag.clone(),
            value: String::from_utf8_lossy(&caa.value).into_owned(),
        },
        (RData::SRV(srv), RecordType::Srv) => Rdata::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: text_of(&srv.target),
        },
        _ => return None,
    })
}

/// A name without its final dot, in ASCII and lower case; the root is empty.
fn text_of(name: &rr::Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

fn size(rdata: &Rdata) -> usize {
    match rdata {
        Rdata::Txt(strings) => strings.iter().map(String::len).sum(),
        Rdata::Caa { tag, value, .. } => tag.len() + value.len(),
        Rdata::Tlsa { association, .. } => association.len() / 2,
        _ => 64,
    }
}
