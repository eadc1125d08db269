//! One row of a table, or one parameter, and how findings speak of it.

use mailwarden_address::Address;
use mailwarden_evidence::{Fact, Observation, SYSTEM};

use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::shell::word;
use crate::wording::{joined, shown};
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, Remediation, Severity, State};

/// Rows that `postalias` adds for NIS and Sendmail; no mail ever asks for them.
const MARKERS: [&str; 4] = ["@", "yp_last_modified", "yp_master_name", "yp_secure"];

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
}

impl Use {
    /// What a parameter does with its result; other parameters move no mail to an address.
    fn of(parameter: &str) -> Option<Self> {
        match parameter {
            "sender_bcc_maps" => Some(Self::CopyFrom),
            "recipient_bcc_maps" | "always_bcc" => Some(Self::CopyTo),
            "alias_maps" | "virtual_alias_maps" => Some(Self::Forward),
            "smtpd_sender_login_maps" => Some(Self::SendAs),
            _ => None,
        }
    }

    pub(super) fn participle(self) -> &'static str {
        match self {
            Self::Forward => "forwarded",
            Self::CopyTo | Self::CopyFrom => "silently copied",
            Self::SendAs => "sent",
        }
    }
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
}

impl<'a> Entry<'a> {
    pub(crate) fn of(seen: &'a Observation) -> Option<Self> {
        match &seen.fact {
            Fact::MapEntry { parameter, table, key, result, line } => {
                let key = key.trim_end_matches(':');
                let table = Some(table.as_str());
                let entry =
                    Self { table, key: Some(key), line: *line, ..Self::new(seen, parameter, result)? };
                (!entry.is_marker()).then(|| Self { mailbox: entry.mailbox_of_key(), ..entry })
            }
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

    /// The mail that the entry acts on, as the beginning of a sentence.
    pub(super) fn subject(&self) -> String {
        let way = if matches!(self.purpose, Use::CopyFrom | Use::SendAs) { "from" } else { "to" };
        // A `static:` table answers every key.
        let Some(key) = self.key.filter(|key| *key != "*") else { return "All mail".to_owned() };
        let name = shown(key);
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
        if self.name == "alias_maps" { Confidence::High } else { Confidence::Low }
    }

    pub(super) fn local_note(&self) -> &'static str {
        if self.name == "alias_maps" { "" } else { "Postfix runs programs for alias_maps only" }
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
            state: State::Active,
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
            conditions: joined(&[self.conditions().to_owned(), self.only_for()]),
            evidence: vec![self.seen.evidence.clone()],
            remediation: self.remediation(target),
        }
    }

    /// Postfix folds the keys of indexed tables; a pattern's case may carry meaning.
    fn folded(&self, key: &str) -> String {
        if self.is_pattern() { key.to_owned() } else { key.to_lowercase() }
    }

    fn conditions(&self) -> &'static str {
        match self.key {
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
        if self.is_pattern() {
            return "run `postfix reload`".to_owned();
        }
        let program = if self.name == "alias_maps" { "postalias" } else { "postmap" };
        format!("run `{program} {}`", word(table))
    }
}
