//! The records a domain has to publish, and how they differ from those that it does.

use std::fmt::Write as _;

use mailwarden_evidence::dns::{Answer, Name, Question, Rdata, RecordType};
use serde::Serialize;

use crate::answers::Answers;
use crate::subject::{Role, Subject};
use crate::{caa, dkim, dmarc, mta_sts, mx, spf, tls_rpt, zone};

/// How long resolvers may keep them, in seconds.
const TTL: u32 = 3600;

/// One record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where.
    pub owner: Name,
    /// What.
    pub rdata: Rdata,
    /// Why.
    pub why: &'static str,
}

impl Wanted {
    /// The question whose answer tells what is published there.
    #[must_use]
    pub fn question(&self) -> Question {
        Question::Records { name: self.owner.clone(), kind: zone::kind(&self.rdata) }
    }

    fn line(&self) -> String {
        let kind = zone::kind(&self.rdata).as_str();
        format!("{}. {TTL} IN {kind} {}", self.owner, zone::rdata(&self.rdata))
    }
}

/// Everything to publish for one domain.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// The domain as the policy writes it.
    pub domain: String,
    /// The records.
    pub records: Vec<Wanted>,
    /// What cannot be written for want of something that the policy does not say.
    pub blanks: Vec<String>,
    /// What has to be true elsewhere.
    pub elsewhere: Vec<String>,
    /// The MTA-STS policy to serve.
    pub mta_sts_policy: Option<String>,
}

/// The records of a domain.
#[must_use]
pub fn render(subject: &Subject) -> Rendering {
    let mut rendering = Rendering {
        domain: subject.label(),
        records: Vec::new(),
        blanks: Vec::new(),
        elsewhere: Vec::new(),
        mta_sts_policy: mta_sts::policy(subject).filter(|_| !subject.is_wildcard),
    };
    if subject.role == Role::Recovery {
        return rendering;
    }
    rendering.hosts(subject);
    rendering.senders(subject);
    rendering.transport(subject);
    rendering
}

impl Rendering {
    fn add(&mut self, owner: Option<Name>, rdata: Rdata, why: &'static str) {
        self.records.extend(owner.map(|owner| Wanted { owner, rdata, why }));
    }

    fn text(&mut self, owner: Option<Name>, text: String, why: &'static str) {
        self.add(owner, Rdata::Txt(vec![text]), why);
    }

    fn hosts(&mut self, subject: &Subject) {
        let owner = Name::parse(&subject.label());
        let why = match subject.role {
            Role::Parked => "neither sends nor receives (RFC 7505)",
            _ => "takes the domain's mail",
        };
        let records = mx::meant(subject);
        if records.is_empty() {
            self.blanks.push(format!("MX of {}: `mx` of the domain names no host", self.domain));
        }
        records.into_iter().for_each(|record| self.add(owner.clone(), record, why));
    }

    fn senders(&mut self, subject: &Subject) {
        let owner = Name::parse(&subject.label());
        let why = match subject.role {
            Role::Sending => "who may send",
            _ => "nobody may send",
        };
        if subject.role == Role::Sending && subject.spf.is_none() {
            self.blanks
                .push(format!("SPF of {}: `spf` is not written; taken to be the MX hosts", self.domain));
        }
        self.text(owner, spf::meant(subject), why);
        for host in &subject.helo_hosts {
            self.text(
                Some(host.clone()),
                "v=spf1 a -all".to_owned(),
                "the name in HELO, checked with the null sender",
            );
        }
        if subject.is_wildcard {
            let at = &subject.organisation;
            self.elsewhere
                .push(format!("names below a wildcard have no DMARC record of their own; needed at {at}:"));
            self.elsewhere.push(format!("_dmarc.{at}. TXT \"{}\" (at least sp and np)", dmarc::ORGANISATION));
            return;
        }
        self.text(dmarc::owner(subject), dmarc::meant(subject), "what becomes of forged mail");
        if subject.role != Role::Sending && !subject.is_organisation() {
            let at = &subject.organisation;
            let line =
                format!("_dmarc.{at}. needs sp=reject and np=reject: sp here would be ignored (RFC 9989)");
            self.elsewhere.push(line);
        }
        self.report_domains(subject);
        self.keys(subject);
    }

    /// Where reports go to another organisation, that one has to agree.
    fn report_domains(&mut self, subject: &Subject) {
        for address in &subject.dmarc_reports {
            if address.domain().organisation().as_str() != subject.organisation {
                let line = format!("{}._report._dmarc.{}. TXT \"v=DMARC1\"", subject.name, address.domain());
                self.elsewhere.push(line);
            }
        }
    }

    fn keys(&mut self, subject: &Subject) {
        if subject.role != Role::Sending {
            let owner = Name::parse(&format!("*._domainkey.{}", subject.name));
            return self.text(owner, dkim::NOBODY.to_owned(), "nobody signs");
        }
        if subject.dkim_selectors.is_empty() {
            self.blanks.push(format!("DKIM of {}: `dkim_selectors` names none", self.domain));
        }
        for selector in &subject.dkim_selectors {
            self.blanks.push(format!(
                "{selector}._domainkey.{}. TXT: the public key that the signer made",
                subject.name
            ));
        }
    }

    fn transport(&mut self, subject: &Subject) {
        let at = |label: &str| Name::parse(&format!("{label}.{}", subject.name));
        if let Some(text) = mta_sts::record(subject).filter(|_| !subject.is_wildcard) {
            self.text(at("_mta-sts"), text, "senders must verify our hosts (RFC 8461)");
            self.blanks.push(format!(
                "mta-sts.{}. A/AAAA: the web server that serves the policy below",
                subject.name
            ));
        }
        if let Some(text) = tls_rpt::meant(subject) {
            self.text(at("_smtp._tls"), text, "reports on failed TLS (RFC 8460)");
        }
        for record in caa::meant(subject) {
            self.add(Some(subject.name.clone()), record, "who may issue certificates");
        }
    }

    /// As a zone file; what is not a record is a comment.
    #[must_use]
    pub fn zone(&self) -> String {
        let mut out = format!("; {}\n", self.domain);
        for wanted in &self.records {
            let _ = writeln!(out, "{}", wanted.line());
        }
        self.comments(&mut out, ";");
        out
    }

    /// As a script for `nsupdate`. Without knowing what is published, a TXT record set that may hold other
    /// texts is only added to.
    #[must_use]
    pub fn nsupdate(&self, live: Option<&Answers>) -> String {
        let mut out = format!("; {}\n", self.domain);
        let mut cleared: Vec<(&Name, RecordType)> = Vec::new();
        for wanted in &self.records {
            let kind = zone::kind(&wanted.rdata);
            if cleared.contains(&(&wanted.owner, kind)) {
                continue;
            }
            cleared.push((&wanted.owner, kind));
            self.clear(&mut out, wanted, live);
        }
        for wanted in &self.records {
            let kind = zone::kind(&wanted.rdata).as_str();
            let _ = writeln!(out, "update add {}. {TTL} {kind} {}", wanted.owner, zone::rdata(&wanted.rdata));
        }
        out.push_str("send\n");
        self.comments(&mut out, ";");
        out
    }

    fn clear(&self, out: &mut String, wanted: &Wanted, live: Option<&Answers>) {
        let kind = zone::kind(&wanted.rdata);
        let (owner, kind_name) = (&wanted.owner, kind.as_str());
        if kind != RecordType::Txt || is_of_one_use(owner) {
            let _ = writeln!(out, "update delete {owner}. {kind_name}");
            return;
        }
        let Some(answers) = live else {
            let _ = writeln!(out, "; an older SPF record of {owner}. has to be deleted; --diff finds it");
            return;
        };
        // Two SPF records are worth none: where the older one could not be looked at, that is said.
        let Some(older) = published(answers, wanted) else {
            let _ = writeln!(
                out,
                "; {owner}. could not be looked at: an older SPF record has to be deleted first"
            );
            return;
        };
        for old in older {
            let _ = writeln!(out, "update delete {owner}. {kind_name} {}", zone::rdata(&old));
        }
    }

    fn comments(&self, out: &mut String, mark: &str) {
        let section = |out: &mut String, title: &str, lines: &[String]| {
            if !lines.is_empty() {
                let _ = writeln!(out, "{mark} {title}");
                lines.iter().for_each(|line| {
                    let _ = writeln!(out, "{mark}   {line}");
                });
            }
        };
        section(out, "left blank:", &self.blanks);
        section(out, "elsewhere:", &self.elsewhere);
        if let Some(policy) = &self.mta_sts_policy {
            let lines: Vec<String> = policy.lines().map(str::to_owned).collect();
            section(out, &format!("https://mta-sts.{}/.well-known/mta-sts.txt:", self.domain), &lines);
        }
    }

    /// As a table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let rows: Vec<[String; 4]> = self
            .records
            .iter()
            .map(|wanted| {
                let kind = zone::kind(&wanted.rdata).as_str().to_owned();
                [format!("{}.", wanted.owner), kind, zone::rdata(&wanted.rdata), wanted.why.to_owned()]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let (owner, kind, value) = (width(0), width(1), width(2).min(MAX_COLUMN));
        let mut out = format!("{}\n", self.domain);
        for [a, b, c, d] in &rows {
            let _ = writeln!(out, "  {a:<owner$}  {b:<kind$}  {c:<value$}  {d}");
        }
        self.comments(&mut out, " ");
        out
    }
}

/// Widest column of a table.
const MAX_COLUMN: usize = 70;

/// Whether nothing else than mail uses a name's TXT records.
fn is_of_one_use(owner: &Name) -> bool {
    owner.as_str().starts_with('_') || owner.as_str().starts_with("*._")
}

/// How one record set fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fares {
    /// Published as it should be.
    Same,
    /// Not published.
    Missing,
    /// Published with other content.
    Different,
    /// It could not be looked at.
    Unknown,
}

/// One record set against what is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where.
    pub owner: String,
    /// Its type.
    pub kind: RecordType,
    /// How it fares.
    pub fares: Fares,
    /// What should be published.
    pub should: Vec<String>,
    /// What is.
    pub is: Vec<String>,
}

/// The record set published where a record is wanted, and of the same use; `None` where it is not known.
fn published(answers: &Answers, wanted: &Wanted) -> Option<Vec<Rdata>> {
    let of_use = |record: &Rdata| match record {
        Rdata::Txt(strings) if !is_of_one_use(&wanted.owner) => spf::is_spf(&strings.concat()),
        other => zone::kind(other) == zone::kind(&wanted.rdata),
    };
    match answers.get(&wanted.question())? {
        Answer::Records { records, .. } => {
            Some(records.iter().filter(|record| of_use(record)).cloned().collect())
        }
        Answer::NoRecords { .. } | Answer::NoSuchName { .. } => Some(Vec::new()),
        _ => None,
    }
}

/// What a rendering and the answers to its questions differ in.
#[must_use]
pub fn diff(rendering: &Rendering, answers: &Answers) -> Vec<Difference> {
    let mut differences: Vec<Difference> = Vec::new();
    for wanted in &rendering.records {
        let (owner, kind) = (wanted.owner.to_string(), zone::kind(&wanted.rdata));
        let should = zone::rdata(&wanted.rdata);
        if let Some(set) = differences.iter_mut().find(|set| set.owner == owner && set.kind == kind) {
            set.should.push(should);
            continue;
        }
        let (fares, is) = match published(answers, wanted) {
            None => (Fares::Unknown, Vec::new()),
            Some(records) if records.is_empty() => (Fares::Missing, Vec::new()),
            Some(records) => (Fares::Different, records.iter().map(joined).collect()),
        };
        differences.push(Difference { owner, kind, fares, should: vec![should], is });
    }
    for set in &mut differences {
        set.should.sort();
        set.is.sort();
        if set.fares == Fares::Different && set.is == set.should {
            set.fares = Fares::Same;
        }
    }
    differences
}

/// A text is the same text however it is parted into strings.
fn joined(record: &Rdata) -> String {
    match record {
        Rdata::Txt(strings) => zone::rdata(&Rdata::Txt(vec![strings.concat()])),
        other => zone::rdata(other),
    }
}
