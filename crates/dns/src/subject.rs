//! One domain of the policy, with everything that decides what it has to publish.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, Domain};
use mailwarden_evidence::dns::Name;
use mailwarden_policy::{Accept, DomainRecord, MtaStsMode, Policy, Profile, Scope};

/// The label asked for where the question is what happens to names that nobody made.
pub const PROBE: &str = "mailwarden-probe";

/// What a domain does with mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sends and receives.
    Sending,
    /// Receives and never sends.
    ReceiveOnly,
    /// Neither.
    Parked,
    /// Not ours: an address in it recovers or administers something of ours. Only its registration matters.
    Recovery,
}

/// One domain of the policy.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The name; of a wildcard the part below the star.
    pub name: Name,
    /// Every name below it, and not the name itself.
    pub is_wildcard: bool,
    /// What it does.
    pub role: Role,
    /// The organisational domain.
    pub organisation: String,
    /// Hosts that take its mail.
    pub mx: Vec<Name>,
    /// The SPF record that is meant.
    pub spf: Option<String>,
    /// The DMARC record that is meant.
    pub dmarc: Option<String>,
    /// DKIM selectors in use.
    pub dkim_selectors: Vec<String>,
    /// Where DMARC reports go.
    pub dmarc_reports: Vec<Address>,
    /// Where reports on TLS go.
    pub tls_reports: Vec<Address>,
    /// The mode of MTA-STS; none where it is not used.
    pub mta_sts: Option<MtaStsMode>,
    /// Who may issue certificates.
    pub caa_issuers: Vec<String>,
    /// Whether every local part is taken, where the policy says so.
    pub catch_all: Option<bool>,
    /// Wildcard scopes lie directly below it: a wildcard MX is meant.
    pub has_wildcard: bool,
    /// Receive-only or parked names lie below it.
    pub has_silent_names: bool,
    /// Hosts of ours below this domain that speak SMTP under their own name.
    pub helo_hosts: Vec<Name>,
    /// The registrar that the policy names.
    pub registrar: Option<String>,
    /// When the registration runs out, by the policy.
    pub expires: Option<DateTime<Utc>>,
    /// What hangs on a domain of [`Role::Recovery`].
    pub recovers: Vec<String>,
    /// Every domain of the policy.
    pub ours: Arc<BTreeSet<String>>,
}

impl Subject {
    /// The name as the policy writes it.
    #[must_use]
    pub fn label(&self) -> String {
        if self.is_wildcard { format!("*.{}", self.name) } else { self.name.to_string() }
    }

    /// Whether it is the organisational domain.
    #[must_use]
    pub fn is_organisation(&self) -> bool {
        !self.is_wildcard && self.name.as_str() == self.organisation
    }

    /// Whether it receives mail.
    #[must_use]
    pub fn receives(&self) -> bool {
        matches!(self.role, Role::Sending | Role::ReceiveOnly)
    }

    /// The name to ask for its records: of a wildcard one that nobody made.
    #[must_use]
    pub fn asked(&self) -> Name {
        let probe = self.is_wildcard.then(|| self.name.child(PROBE)).flatten();
        probe.unwrap_or_else(|| self.name.clone())
    }

    /// Whether a name lies in a domain of the policy.
    #[must_use]
    pub fn is_ours(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let mut rest = Some(name.as_str());
        while let Some(at) = rest {
            if self.ours.contains(at) {
                return true;
            }
            rest = at.split_once('.').map(|(_, up)| up);
        }
        false
    }

    /// Whether a mail host is named by the policy or lies in a domain of ours.
    #[must_use]
    pub fn is_own_host(&self, host: &Name) -> bool {
        self.mx.contains(host) || self.is_ours(host.as_str())
    }
}

/// Every domain and scope of the policy, then the outside domains that hold its recovery addresses.
#[must_use]
pub fn subjects(policy: &Policy) -> Vec<Subject> {
    let ours: Arc<BTreeSet<String>> = Arc::new(
        (policy.domains().iter().map(|domain| domain.name.to_string()))
            .chain(policy.scopes().iter().map(|scope| scope.domain.to_string()))
            .collect(),
    );
    let domains = policy.domains().iter().filter_map(|domain| of_domain(policy, domain, &ours));
    let has_record = |scope: &&Scope| {
        !scope.is_wildcard && policy.domain(&scope.domain).is_some_and(|record| record.name == scope.domain)
    };
    let scopes = policy.scopes().iter().filter(|scope| !has_record(scope));
    let mut all: Vec<Subject> =
        domains.chain(scopes.filter_map(|scope| of_scope(policy, scope, &ours))).collect();
    all.extend(recovery(policy, &ours));
    all.sort_by_key(Subject::label);
    all
}

fn blank(name: Name, role: Role, ours: &Arc<BTreeSet<String>>) -> Subject {
    let organisation =
        Domain::parse(name.as_str()).map_or(name.to_string(), |d| d.organisation().to_string());
    Subject {
        name,
        is_wildcard: false,
        role,
        organisation,
        mx: Vec::new(),
        spf: None,
        dmarc: None,
        dkim_selectors: Vec::new(),
        dmarc_reports: Vec::new(),
        tls_reports: Vec::new(),
        mta_sts: None,
        caa_issuers: Vec::new(),
        catch_all: None,
        has_wildcard: false,
        has_silent_names: false,
        helo_hosts: Vec::new(),
        registrar: None,
        expires: None,
        recovers: Vec::new(),
        ours: Arc::clone(ours),
    }
}

fn of_domain(policy: &Policy, domain: &DomainRecord, ours: &Arc<BTreeSet<String>>) -> Option<Subject> {
    let role = match domain.profile {
        Profile::Sending => Role::Sending,
        Profile::ReceiveOnly => Role::ReceiveOnly,
        Profile::Parked => Role::Parked,
    };
    let name = Name::parse(domain.name.as_str())?;
    let below = |other: &Domain| other != &domain.name && other.is_or_is_under(&domain.name);
    let scope = policy.scopes().iter().find(|scope| !scope.is_wildcard && scope.domain == domain.name);
    let sheet = &domain.factsheet;
    Some(Subject {
        mx: hosts(if sheet.mx.is_empty() { inherited(policy, &domain.name)?.0 } else { &sheet.mx }),
        spf: sheet.spf.clone(),
        dmarc: sheet.dmarc.clone(),
        dkim_selectors: sheet.dkim_selectors.clone(),
        dmarc_reports: sheet.published.dmarc_reports.clone(),
        tls_reports: sheet.published.tls_reports.clone(),
        mta_sts: sheet.published.mta_sts,
        caa_issuers: sheet.published.caa_issuers.clone(),
        catch_all: sheet.catch_all.or(scope.and_then(takes_all)),
        has_wildcard: policy.scopes().iter().any(|scope| scope.is_wildcard && scope.domain == domain.name),
        has_silent_names: policy
            .scopes()
            .iter()
            .any(|scope| below(&scope.domain) || scope.is_wildcard && scope.domain == domain.name)
            || policy.domains().iter().any(|other| below(&other.name) && other.profile != Profile::Sending),
        helo_hosts: helo_hosts(policy, &domain.name),
        registrar: sheet.registrar.clone(),
        expires: sheet.registration_expires,
        ..blank(name, role, ours)
    })
}

/// A scope publishes what the domain above it means: its hosts, its reports, its issuers.
fn of_scope(policy: &Policy, scope: &Scope, ours: &Arc<BTreeSet<String>>) -> Option<Subject> {
    let (mx, above) = inherited(policy, &scope.domain)?;
    let published = above.map(|above| above.factsheet.published.clone()).unwrap_or_default();
    Some(Subject {
        is_wildcard: scope.is_wildcard,
        mx: hosts(mx),
        dmarc_reports: published.dmarc_reports,
        tls_reports: published.tls_reports,
        caa_issuers: published.caa_issuers,
        catch_all: takes_all(scope),
        ..blank(Name::parse(scope.domain.as_str())?, Role::ReceiveOnly, ours)
    })
}

/// A scope that takes any local part is a catch-all; of the others one cannot say.
fn takes_all(scope: &Scope) -> Option<bool> {
    (scope.accept == Accept::Any).then_some(true)
}

/// The mail hosts of the nearest domain above that has any, and the nearest domain above.
fn inherited<'p>(policy: &'p Policy, name: &Domain) -> Option<(&'p [Domain], Option<&'p DomainRecord>)> {
    let above = |name: &Domain| {
        let record = |at: &Domain| policy.domains().iter().find(|domain| &domain.name == at);
        std::iter::successors(Some(name.clone()), Domain::parent).find_map(|at| record(&at))
    };
    let mut at = above(name);
    let nearest = at;
    while let Some(record) = at {
        if !record.factsheet.mx.is_empty() {
            return Some((&record.factsheet.mx, nearest));
        }
        at = record.name.parent().and_then(|parent| above(&parent));
    }
    Some((&[], nearest))
}

fn hosts(names: &[Domain]) -> Vec<Name> {
    names.iter().filter_map(|name| Name::parse(name.as_str())).collect()
}

/// Mail hosts of any domain of ours that lie below this domain and below none nearer.
fn helo_hosts(policy: &Policy, name: &Domain) -> Vec<Name> {
    let hosts: BTreeSet<&Domain> = policy.domains().iter().flat_map(|domain| &domain.factsheet.mx).collect();
    let nearest = |host: &Domain| {
        let above = policy.domains().iter().filter(|domain| host.is_or_is_under(&domain.name));
        above.max_by_key(|domain| domain.name.as_str().len()).is_some_and(|domain| &domain.name == name)
    };
    let in_zone = hosts.into_iter().filter(|host| *host != name && nearest(host));
    in_zone.filter_map(|host| Name::parse(host.as_str())).collect()
}

/// The organisations outside the policy that hold a recovery, registrar or DNS admin address.
fn recovery(policy: &Policy, ours: &Arc<BTreeSet<String>>) -> Vec<Subject> {
    let mut found: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    let mut note = |address: &Address, what: String| {
        if !policy.is_under_ours(address.domain()) {
            found.entry(address.domain().organisation().to_string()).or_default().push(what);
        }
    };
    for domain in policy.domains() {
        let sheet = &domain.factsheet;
        sheet
            .registrar_admins
            .iter()
            .for_each(|a| note(a, format!("the registrar account of {}", domain.name)));
        sheet.dns_admins.iter().for_each(|a| note(a, format!("the DNS account of {}", domain.name)));
    }
    for mailbox in policy.mailboxes() {
        mailbox.recovery_contact.iter().for_each(|a| note(a, format!("the mailbox {}", mailbox.address)));
    }
    let subject = |(name, mut recovers): (String, Vec<String>)| {
        recovers.sort();
        recovers.dedup();
        Some(Subject { recovers, ..blank(Name::parse(&name)?, Role::Recovery, ours) })
    };
    found.into_iter().filter_map(subject).collect()
}
