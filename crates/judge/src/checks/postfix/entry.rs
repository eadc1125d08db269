//! One row of a table, or one parameter, and how findings speak of it.

use mailwarden_address::Address;
use mailwarden_evidence::{Fact, Observation, SYSTEM};

use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Life, Weight};
use crate::shell::word;
use crate::wording::{joined, shown};
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Remediation, Severity, State};

/// Rows that `postalias` adds for NIS and Sendmail; no mail ever asks for them.
const MARKERS: [&str; 4] = ["@", "yp_last_modified", "yp_master_name", "yp_secure"];

/// How a list that aliases include is named.
pub(crate) const INCLUDE: &str = ":include:";

/// What a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// The result replaces the recipient.
    Forward,
    /// The result gets a copy of mail to the key.
    CopyTo,
    /// The result gets a copy of mail from the key.
    CopyFrom,
    /// The result are logins that may send as the key.
    SendAs,
    /// The result is written in place of the key, in recipients as in headers.
    Rewrite,
    /// The result is written in place of the key where others see it, and where they answer to.
    RewriteSender,
    /// The result is a transport, or the next host.
    Route,
    /// The result is a mailbox file or directory.
    Deposit,
    /// The result is a program that delivers.
    Deliver,
    /// The key is a pattern or a client, the result an action on the message.
    Content,
    /// The value is a service that sees every message.
    Tap,
    /// The result is told to whoever writes to the key.
    Relocated,
    /// The key is a certificate that may relay.
    Certificate,
    /// SMTP commands are rewritten.
    Commands,
}

impl Use {
    /// What a parameter does with its result; other parameters move no mail.
    fn of(parameter: &str) -> Option<Self> {
        Some(match parameter {
            "sender_bcc_maps" => Self::CopyFrom,
            "recipient_bcc_maps" | "always_bcc" => Self::CopyTo,
            "alias_maps" | "virtual_alias_maps" | "forward_path" | "luser_relay" => Self::Forward,
            "smtpd_sender_login_maps" => Self::SendAs,
            "canonical_maps" | "recipient_canonical_maps" => Self::Rewrite,
            "sender_canonical_maps" | "smtp_generic_maps" | "lmtp_generic_maps" => Self::RewriteSender,
            "virtual_mailbox_maps" => Self::Deposit,
            "mailbox_command" | "mailbox_command_maps" => Self::Deliver,
            "content_filter" | "smtpd_proxy_filter" | "smtpd_milters" | "non_smtpd_milters" => Self::Tap,
            "check_policy_service" => Self::Tap,
            "relocated_maps" => Self::Relocated,
            "relay_clientcerts" => Self::Certificate,
            "smtpd_command_filter" => Self::Commands,
            name if name.ends_with("_checks") || name.ends_with("_access") => Self::Content,
            name if is_route(name) => Self::Route,
            _ => return None,
        })
    }

    /// Whether mail, or a copy of it, goes to the addresses of the result.
    pub(crate) fn moves_mail(self) -> bool {
        matches!(self, Self::Forward | Self::CopyTo | Self::CopyFrom | Self::Rewrite)
    }

    pub(super) fn participle(self) -> &'static str {
        match self {
            Self::CopyTo | Self::CopyFrom => "silently copied",
            Self::Rewrite | Self::RewriteSender => "readdressed",
            _ => "forwarded",
        }
    }
}

fn is_route(name: &str) -> bool {
    const OTHERS: [&str; 4] =
        ["relayhost", "fallback_relay", "smtp_fallback_relay", "sender_dependent_relayhost_maps"];
    name.ends_with("transport") || name.ends_with("transport_maps") || OTHERS.contains(&name)
}

/// A row or parameter.
pub(crate) struct Entry<'a> {
    pub(crate) purpose: Use,
    pub(crate) result: &'a str,
    /// The key's address in lower case, or the mail system.
    pub(crate) mailbox: String,
    pub(crate) seen: &'a Observation,
    /// The parameter as it was given, with the service of master.cf that overrides it.
    pub(crate) parameter: &'a str,
    /// The parameter alone.
    pub(crate) name: &'a str,
    /// The service, where only its mail is meant.
    pub(crate) service: Option<&'a str>,
    pub(crate) table: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) line: Option<u32>,
    /// It stands in the source text only.
    pub(crate) pending: bool,
}

impl<'a> Entry<'a> {
    pub(crate) fn of(seen: &'a Observation) -> Option<Self> {
        match &seen.fact {
            Fact::MapEntry { parameter, table, key, result, line, pending } => {
                let key = key.trim_end_matches(':');
                let (table, pending) = (Some(table.as_str()), *pending);
                let entry = Self {
                    table,
                    key: Some(key),
                    line: *line,
                    pending,
                    ..Self::new(seen, parameter, result)?
                };
                (!entry.is_marker()).then(|| Self { mailbox: entry.mailbox_of_key(), ..entry })
            }
            // Where forwarding files stand says nothing of what is in them.
            Fact::Parameter { name, .. } if name.ends_with("forward_path") => None,
            Fact::Parameter { name, value } => Self::new(seen, name, value),
            _ => None,
        }
    }

    fn new(seen: &'a Observation, parameter: &'a str, result: &'a str) -> Option<Self> {
        let (service, name) = match parameter.rsplit_once(':') {
            Some((service, name)) => (Some(service), name),
            None => (None, parameter),
        };
        let (purpose, mailbox) = (Use::of(name)?, SYSTEM.to_owned());
        let entry = Self {
            purpose,
            result,
            mailbox,
            seen,
            parameter,
            name,
            service,
            table: None,
            key: None,
            line: None,
            pending: false,
        };
        Some(entry)
    }

    fn is_marker(&self) -> bool {
        self.key.is_some_and(|key| MARKERS.contains(&key.to_lowercase().as_str()))
    }

    fn mailbox_of_key(&self) -> String {
        let address = self.key.filter(|_| !self.is_pattern()).and_then(|key| Address::parse(key).ok());
        address.map_or_else(|| SYSTEM.to_owned(), |address| address.key())
    }

    /// Whether the key is a pattern whose parts the result can take over.
    pub(crate) fn is_pattern(&self) -> bool {
        let kinds = |table: &str| table.split(':').any(|kind| kind == "regexp" || kind == "pcre");
        self.table.is_some_and(kinds)
    }

    /// Whether it is a line of a list that aliases include.
    pub(crate) fn is_listed(&self) -> bool {
        self.table.is_some_and(|table| table.starts_with(INCLUDE))
    }

    /// Severity, one step lower where the row acts only once its table is built again.
    pub(super) fn severity(&self, weight: Weight) -> Severity {
        let life = if self.pending { weight.life.min(Life::Asleep) } else { weight.life };
        Weight { life, ..weight }.severity()
    }

    /// The mail that the entry acts on, as the beginning of a sentence.
    pub(super) fn subject(&self) -> String {
        let senders = [Use::CopyFrom, Use::SendAs, Use::RewriteSender];
        let way = if senders.contains(&self.purpose) { "from" } else { "to" };
        if self.name == "luser_relay" {
            return "Mail to every local name that nobody has".to_owned();
        }
        // A `static:` table answers every key.
        let Some(key) = self.key.filter(|key| *key != "*") else { return "All mail".to_owned() };
        let name = shown(key);
        if self.is_listed() {
            return format!("Mail to the list {}", shown(key.get(INCLUDE.len()..).unwrap_or(key)));
        }
        if self.purpose == Use::Content {
            return format!("Mail that {} finds by {name}", self.name);
        }
        if self.is_pattern() {
            return format!("Mail {way} every address that matches {name}");
        }
        match key.strip_prefix('@') {
            Some(domain) if self.purpose == Use::Forward => {
                format!("Mail to every address of {} without an entry of its own", shown(domain))
            }
            Some(domain) => format!("Mail {way} every address of {}", shown(domain)),
            None if key.contains('@') => format!("Mail {way} {name}"),
            None => format!("Mail {way} the local name {name}"),
        }
    }

    /// Only local(8) runs programs and writes files, and it reads `alias_maps`; elsewhere such a result is an
    /// address that looks strange.
    pub(super) fn local_confidence(&self) -> Confidence {
        if self.is_local() { Confidence::High } else { Confidence::Low }
    }

    pub(super) fn local_note(&self) -> &'static str {
        if self.is_local() { "" } else { "Postfix runs programs for alias_maps only" }
    }

    fn is_local(&self) -> bool {
        ["alias_maps", "forward_path"].contains(&self.name)
    }

    /// By which word `allow_mail_to_commands` and `allow_mail_to_files` speak of such a row.
    pub(super) fn kind_of_local(&self) -> &'static str {
        match self.name {
            "forward_path" => "forward",
            _ if self.is_listed() => "include",
            _ => "alias",
        }
    }

    /// The table as it is named, with the line where that is known.
    pub(crate) fn place(&self) -> String {
        let line = self.line.map(|line| format!(" line {line}")).unwrap_or_default();
        match self.table {
            Some(table) => format!("{}{line}", shown(table)),
            None => "main.cf".to_owned(),
        }
    }

    /// What all findings on this entry share. The target names what this one finding is about.
    pub(super) fn draft(&self, effect: &str, target_key: &str, target: &str) -> Draft {
        let step = format!("{} {}", self.parameter, self.place());
        let from = self.key.map_or_else(|| "all mail".to_owned(), shown);
        let table = self.table.unwrap_or_default();
        let key = self.key.unwrap_or_default();
        Draft {
            check_id: "",
            title: String::new(),
            severity: Severity::Info,
            confidence: Confidence::High,
            state: if self.pending { State::Dormant } else { State::Active },
            mailbox: self.mailbox.clone(),
            surface: self.seen.surface.clone(),
            locator: Locator {
                file: self.table.map(str::to_owned),
                key: Some(self.key.unwrap_or(self.parameter).to_owned()),
                line: self.line,
                ..Locator::default()
            },
            identity: [self.parameter, table, &self.folded(key), effect, target_key]
                .map(str::to_owned)
                .to_vec(),
            content: vec![self.result.as_bytes().to_vec()],
            effects: vec![effect.to_owned()],
            beneficiary: Beneficiary {
                kind: BeneficiaryKind::Unresolvable,
                value: target.to_owned(),
                person: None,
            },
            path: vec![from, step, target.to_owned()],
            conditions: joined(&[self.conditions().to_owned(), self.only_for(), self.once_built()]),
            evidence: vec![self.seen.evidence.clone()],
            remediation: self.remediation(target),
        }
    }

    /// Postfix folds the keys of indexed tables; a pattern's case may carry meaning.
    fn folded(&self, key: &str) -> String {
        if self.is_pattern() { key.to_owned() } else { key.to_lowercase() }
    }

    fn once_built(&self) -> String {
        match self.table.filter(|_| self.pending) {
            Some(table) => format!(
                "not in force: only in the source text; to act it takes somebody to {}",
                self.rebuild(table)
            ),
            None => String::new(),
        }
    }

    fn conditions(&self) -> &'static str {
        match self.key {
            _ if self.purpose == Use::Content => "on every message that the rule finds",
            _ if self.purpose == Use::SendAs => "whenever the login sends",
            None => "on every message",
            Some(_) if self.is_pattern() => "on every message whose address matches the pattern",
            Some(key) if key.starts_with('@') => "on every message to the domain that no other entry catches",
            Some(_) => "on every message",
        }
    }

    fn only_for(&self) -> String {
        match self.service {
            Some(service) => format!("only mail that passes the service {} of master.cf", shown(service)),
            None => String::new(),
        }
    }

    fn remediation(&self, target: &str) -> Remediation {
        let command = match (self.table, self.key) {
            (Some(table), Some(key)) if !table.starts_with("static:") => {
                let (key, place) = (shown(key), self.place());
                format!("take {target} out of the entry {key} in {place}, then {}", self.rebuild(table))
            }
            (Some(table), _) => {
                format!("take {} out of {}, then `postfix reload`", shown(table), self.parameter)
            }
            (None, _) => self.assign(""),
        };
        let revert = match self.table {
            Some(_) => "put the entry back as it is in the evidence and rebuild the table".to_owned(),
            None => self.assign(self.result),
        };
        on_surface(&self.seen.surface, command, revert, None)
    }

    /// The command that sets the parameter, in main.cf or for one service of master.cf.
    fn assign(&self, value: &str) -> String {
        let (option, name) = match self.service {
            Some(service) => ("-P", format!("{service}/{}", self.name)),
            None => ("-e", self.name.to_owned()),
        };
        format!("postconf {option} {} && postfix reload", word(&format!("{name}={value}")))
    }

    fn rebuild(&self, table: &str) -> String {
        if self.is_listed() || self.name == "forward_path" {
            return "nothing more: Postfix reads the file for each message".to_owned();
        }
        if self.is_pattern() || table.starts_with("cidr:") || table.starts_with("texthash:") {
            return "run `postfix reload`".to_owned();
        }
        let program = if self.name == "alias_maps" { "postalias" } else { "postmap" };
        format!("run `{program} {}`", word(table))
    }
}
