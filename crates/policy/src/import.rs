//! Records that were kept elsewhere: the mailbox record (YAML) and the client domain factsheet (plain text)
//! become TOML. What cannot be carried over stays as a comment and is said; nothing is guessed.
//!
//! Both forms are lines of `key: value`, and a YAML list is lines that begin with `-`. Indentation is not
//! looked at: the keys of both forms are different words, and records that went through a web page have lost
//! it.

use mailwarden_address::{Address, Domain};

/// More text than this is no record that somebody kept by hand.
pub const MAX_IMPORT_BYTES: usize = 4 << 20;

/// What came of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The records, TOML.
    pub toml: String,
    /// What has to be done by hand, each with its line.
    pub notes: Vec<String>,
}

/// One `key: value`, or a key with the list under it.
struct Entry {
    line: usize,
    key: String,
    values: Vec<String>,
    comment: String,
}

/// Reads mailbox records and factsheets, one after the other in any order.
pub fn import(text: &str) -> Imported {
    let mut writer = Writer::default();
    for record in records(entries(text)) {
        match record.first().map(|entry| entry.key.as_str()) {
            Some("mailbox" | "address") => writer.mailbox(&record),
            Some("domains" | "domain") => writer.factsheet(&record),
            Some(_) => record.iter().for_each(|entry| writer.not_known(entry)),
            None => {}
        }
    }
    if writer.toml.is_empty() {
        writer.notes.push("no record was found; a record begins with `mailbox:` or `Domains:`".to_owned());
    }
    Imported { toml: writer.toml, notes: writer.notes }
}

// --- lines ----------------------------------------------------------------------------------------------------------

fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (line, comment) = without_comment(line.trim());
        if let Some(item) = line.strip_prefix('-').map(str::trim).filter(|item| !item.is_empty()) {
            // A list of mailboxes has `- address: ...`.
            match item.split_once(": ") {
                Some((key, value)) => entries.push(entry(at, key, value, comment)),
                None => entries.last_mut().into_iter().for_each(|last| last.values.push(unquoted(item))),
            }
        } else if let Some((key, value)) = line.split_once(':') {
            entries.push(entry(at, key, value, comment));
        }
    }
    entries
}

fn entry(at: usize, key: &str, value: &str, comment: &str) -> Entry {
    Entry { line: at + 1, key: normal(key), values: listed(value.trim()), comment: comment.to_owned() }
}

fn without_comment(line: &str) -> (&str, &str) {
    if let Some(comment) = line.strip_prefix('#') {
        return ("", comment.trim());
    }
    line.split_once(" #").map_or((line, ""), |(line, comment)| (line.trim_end(), comment.trim()))
}

/// `Registrar Admin Email(s)`, `MFA Enabled? (Registrar / DNS)` and `last_reviewed_utc` as plain words.
fn normal(key: &str) -> String {
    let key = key.replace("(s)", "s");
    let outside = key.split('(').next().unwrap_or_default();
    let words = outside.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

fn listed(value: &str) -> Vec<String> {
    match value.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.split(',').map(|item| unquoted(item.trim())).filter(|v| !v.is_empty()).collect(),
        None => Some(unquoted(value)).filter(|value| !value.is_empty()).into_iter().collect(),
    }
}

fn unquoted(value: &str) -> String {
    let inner = |mark: char| value.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark));
    inner('"').or_else(|| inner('\'')).unwrap_or(value).to_owned()
}

/// A record begins with `mailbox:`, with `address:` where the one before has one already, or with `Domains:`.
fn records(entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut records: Vec<Vec<Entry>> = Vec::new();
    for entry in entries {
        let has_address =
            records.last().is_some_and(|record| record.iter().any(|entry| entry.key == "address"));
        let begins = match entry.key.as_str() {
            "mailbox" | "domains" | "domain" => true,
            "address" => has_address || records.is_empty(),
            _ => records.is_empty(),
        };
        if begins {
            records.push(Vec::new());
        }
        records.last_mut().into_iter().for_each(|record| record.push(entry.clone_of()));
    }
    records
}

impl Entry {
    fn clone_of(&self) -> Self {
        Self {
            line: self.line,
            key: self.key.clone(),
            values: self.values.clone(),
            comment: self.comment.clone(),
        }
    }

    fn text(&self) -> String {
        self.values.join(", ")
    }

    /// The values, where one line holds several of them.
    fn several(&self) -> Vec<String> {
        let parts = self.values.iter().flat_map(|value| value.split([',', ';']));
        parts.map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    }

    fn yes(&self) -> Option<bool> {
        yes(&self.text())
    }
}

fn yes(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "y" | "yes" | "true" | "on" | "enabled" => Some(true),
        "n" | "no" | "false" | "off" | "disabled" | "none" => Some(false),
        _ => None,
    }
}

// --- records --------------------------------------------------------------------------------------------------------

#[derive(Default)]
struct Writer {
    toml: String,
    notes: Vec<String>,
}

impl Writer {
    fn line(&mut self, text: impl AsRef<str>) {
        self.toml.push_str(text.as_ref());
        self.toml.push('\n');
    }

    fn table(&mut self, name: &str) {
        if !self.toml.is_empty() {
            self.toml.push('\n');
        }
        self.line(name);
    }

    fn string(&mut self, key: &str, value: &str) {
        self.line(format!("{key} = {}", quoted(value)));
    }

    fn strings(&mut self, key: &str, values: &[String]) {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        self.line(format!("{key} = [{}]", values.join(", ")));
    }

    fn not_known(&mut self, entry: &Entry) {
        self.by_hand(entry, "it has no place in the policy");
    }

    /// Kept where whoever finishes the work sees it.
    fn by_hand(&mut self, entry: &Entry, why: &str) {
        if entry.values.is_empty() {
            return;
        }
        self.line(format!("# {}: {}", entry.key, printable(&entry.text())));
        self.notes.push(format!("line {}: `{}: {}`: {why}", entry.line, entry.key, printable(&entry.text())));
    }

    fn address(&mut self, key: &str, entry: &Entry) {
        match Address::parse(&entry.text()) {
            Ok(address) => self.string(key, &address.to_string()),
            Err(_) => self.by_hand(entry, &format!("write `{key}` with the address of a [[person]]")),
        }
    }

    fn addresses(&mut self, key: &str, entry: &Entry) {
        let (good, bad): (Vec<String>, Vec<String>) =
            entry.several().into_iter().partition(|value| Address::parse(value).is_ok());
        if !good.is_empty() {
            self.strings(key, &good);
        }
        if !bad.is_empty() {
            let rest = Entry { values: bad, ..entry.clone_of() };
            self.by_hand(&rest, &format!("write `{key}` with addresses"));
        }
    }

    fn flag(&mut self, key: &str, entry: &Entry) {
        match entry.yes() {
            Some(value) => self.line(format!("{key} = {value}")),
            None => self.by_hand(entry, &format!("write `{key} = true` or `false`")),
        }
    }

    // --- the mailbox record -------------------------------------------------------------------------------------

    fn mailbox(&mut self, record: &[Entry]) {
        self.table("[[mailbox]]");
        let mut reset = Vec::new();
        let mut kind = None;
        for entry in record {
            match entry.key.as_str() {
                "mailbox" | "access" | "reset policy" | "recovery" if entry.values.is_empty() => {}
                "mailbox" | "address" => self.address("address", entry),
                "mailbox type" | "type" | "kind" => kind = Some(entry),
                "business owner" => self.address("business_owner", entry),
                "operator team" => self.string("operator_team", &entry.text()),
                "shared login allowed" => self.flag("shared_login_allowed", entry),
                "authorized users" | "authorised users" => self.addresses("authorised_users", entry),
                "reset policy" | "default" => reset.push(entry.text()),
                "break glass" => reset.push(format!("break-glass: {}", entry.text())),
                "recovery contact" => self.address("recovery_contact", entry),
                "escalation contact" => self.address("escalation_contact", entry),
                "last reviewed utc" | "last reviewed" => self.moment("last_reviewed", entry),
                _ => self.not_known(entry),
            }
        }
        if !reset.is_empty() {
            self.string("reset_policy", &reset.join("; "));
        }
        self.kind(kind);
    }

    fn kind(&mut self, entry: Option<&Entry>) {
        let word = entry.map(Entry::text).unwrap_or_default().to_lowercase();
        let kind = match word.as_str() {
            "human" | "user" | "person" | "personal" => "human",
            "role" | "shared" | "admin" | "credential" | "calendar" => word.as_str(),
            _ => {
                let said =
                    if word.is_empty() { "nothing".to_owned() } else { format!("`{}`", printable(&word)) };
                self.notes
                    .push(format!("the record says {said} about its type: `kind = \"role\"` is written"));
                "role"
            }
        };
        self.string("kind", kind);
    }

    fn moment(&mut self, key: &str, entry: &Entry) {
        let text = entry.text();
        let is_moment = chrono::DateTime::parse_from_rfc3339(&text).is_ok()
            || chrono::NaiveDate::parse_from_str(&text, "%Y-%m-%d").is_ok();
        if is_moment {
            self.line(format!("{key} = {text}"));
        } else {
            self.by_hand(entry, &format!("write `{key}` as a date, e.g. 2026-01-28"));
        }
    }

    // --- the factsheet ------------------------------------------------------------------------------------------

    fn factsheet(&mut self, record: &[Entry]) {
        let of = |key: &str| record.iter().find(|entry| entry.key == key && !entry.values.is_empty());
        if let Some(approver) = of("emergency approver") {
            self.table("[client]");
            self.line("name = \"\"                 # the client");
            self.address("owner", approver);
            self.address("emergency_approver", approver);
            self.notes.push(format!("line {}: `[client]` needs its `name`", approver.line));
            of("escalation contacts")
                .into_iter()
                .for_each(|entry| self.addresses("escalation_contacts", entry));
        }
        for name in record.first().map(Entry::several).unwrap_or_default() {
            self.domain(&name, &record[1..]);
        }
    }

    fn domain(&mut self, name: &str, record: &[Entry]) {
        if Domain::parse(name).is_err() {
            self.notes.push(format!("`{}` is not a domain name", printable(name)));
            return;
        }
        self.table("[[domain]]");
        self.string("name", name);
        self.string("profile", "sending");
        self.line(format!(
            "admin_queue = \"postmaster@{name}\"   # the watched mailbox of postmaster@ and abuse@"
        ));
        self.notes.push(format!("{name}: name the watched mailbox as `admin_queue`"));
        for entry in record.iter().filter(|entry| !entry.values.is_empty()) {
            self.domain_entry(entry);
        }
    }

    fn domain_entry(&mut self, entry: &Entry) {
        match entry.key.as_str() {
            "registrar" => self.string("registrar", &entry.text()),
            "dns provider" => self.string("dns_provider", &entry.text()),
            "registrar admin emails" | "registrar admin email" => self.addresses("registrar_admins", entry),
            "dns admin emails" | "dns admin email" => self.addresses("dns_admins", entry),
            "mfa enabled" => self.second_factors(entry),
            "inbound email host" => self.strings("mx", &entry.several()),
            "outbound sending provider" => self.string("outbound", &entry.text()),
            "spf status" if entry.text().starts_with("v=spf1") => self.string("spf", &entry.text()),
            "dkim status" => self.selectors(entry),
            "dmarc policy" => self.dmarc(entry),
            "catch all enabled" => self.flag("catch_all", entry),
            "external forwarding destinations" => self.destinations(entry),
            // Those belong to the client and stand there.
            "emergency approver" | "escalation contacts" => {}
            _ => self.not_known(entry),
        }
    }

    /// `yes / no`: the registrar's, then the zone's.
    fn second_factors(&mut self, entry: &Entry) {
        let text = entry.text();
        let (registrar, zone) = text.split_once('/').unwrap_or((&text, &text));
        match (yes(registrar), yes(zone)) {
            (Some(registrar), Some(zone)) => {
                self.line(format!("registrar_mfa = {registrar}"));
                self.line(format!("dns_mfa = {zone}"));
            }
            _ => self.by_hand(entry, "write `registrar_mfa` and `dns_mfa`"),
        }
    }

    fn selectors(&mut self, entry: &Entry) {
        let names = entry.several();
        let is_selector = |name: &String| Domain::parse(name).is_ok() && yes(name).is_none();
        let verdict = ["pass", "ok", "valid", "present", "configured", "missing"];
        let plain =
            names.iter().all(is_selector) && !names.iter().any(|name| verdict.contains(&name.as_str()));
        if plain {
            self.strings("dkim_selectors", &names);
        } else {
            self.by_hand(entry, "write `dkim_selectors` with the names of the selectors");
        }
    }

    fn dmarc(&mut self, entry: &Entry) {
        let text = entry.text();
        let policy = text.strip_prefix("p=").unwrap_or(&text).trim().to_lowercase();
        if text.starts_with("v=DMARC1") {
            self.string("dmarc", &text);
        } else if matches!(policy.as_str(), "none" | "quarantine" | "reject") {
            self.string("dmarc", &format!("v=DMARC1; p={policy}"));
        } else {
            self.by_hand(entry, "write `dmarc` with the record that is meant");
        }
    }

    fn destinations(&mut self, entry: &Entry) {
        if entry.yes() == Some(false) {
            return;
        }
        let (addresses, domains): (Vec<String>, Vec<String>) =
            entry.several().into_iter().partition(|value| Address::parse(value).is_ok());
        let domains: Vec<String> = domains
            .iter()
            .map(|name| name.trim_start_matches("*@").trim_start_matches('@').to_owned())
            .collect();
        if !addresses.is_empty() {
            self.strings("approved_external_addresses", &addresses);
        }
        if domains.iter().any(|name| Domain::parse(name).is_err()) {
            self.by_hand(entry, "write `approved_external_domains` with domain names");
        } else if !domains.is_empty() {
            self.strings("approved_external_domains", &domains);
        }
    }
}

fn quoted(value: &str) -> String {
    toml::Value::String(printable(value)).to_string()
}

/// A record that went through a web page may hold anything.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "mailbox:\naddress: support@client-domain.com\nmailbox_type: role\n\
        business_owner: \"Client Ops Lead\" # approves membership and resets\n\
        operator_team: \"Agency Ops Team A\" # executes changes\naccess:\nshared_login_allowed: false\n\
        authorized_users:\n- alice@client-domain.com\n- bob@client-domain.com\nreset_policy:\n\
        default: \"user-driven reset\"\nbreak_glass: \"temp secret + force-change + dual approval\"\nrecovery:\n\
        recovery_contact: \"it-owner@client-domain.com\"\nescalation_contact: \"security@agency.com\"\n\
        last_reviewed_utc: \"2026-01-28T00:00:00Z\"\n";

    #[test]
    fn the_mailbox_record_of_a_runbook_becomes_a_mailbox() {
        let imported = import(RECORD);
        let table: toml::Table = toml::from_str(&imported.toml).unwrap();
        let mailbox = &table["mailbox"][0];
        assert_eq!(mailbox["address"].as_str(), Some("support@client-domain.com"));
        assert_eq!(mailbox["kind"].as_str(), Some("role"));
        assert_eq!(mailbox["authorised_users"].as_array().unwrap().len(), 2);
        assert_eq!(mailbox["shared_login_allowed"].as_bool(), Some(false));
        assert_eq!(mailbox["recovery_contact"].as_str(), Some("it-owner@client-domain.com"));
        assert_eq!(
            mailbox["reset_policy"].as_str(),
            Some("user-driven reset; break-glass: temp secret + force-change + dual approval")
        );
        assert!(mailbox["last_reviewed"].as_datetime().is_some());
        // A job title is no person: it is said, and kept beside the record.
        assert_eq!(imported.notes.len(), 1, "{:?}", imported.notes);
        assert!(
            imported.notes[0].contains("line 4") && imported.toml.contains("# business owner: Client Ops")
        );
    }

    #[test]
    fn indented_yaml_and_flow_lists_say_the_same() {
        let indented = "- mailbox:\n    address: a@x.test\n    mailbox_type: shared\n    access:\n      \
                        authorized_users: [\"b@x.test\", 'c@x.test']\n  mailbox:\n    address: d@x.test\n    \
                        mailbox_type: human\n";
        let table: toml::Table = toml::from_str(&import(indented).toml).unwrap();
        let mailboxes = table["mailbox"].as_array().unwrap();
        assert_eq!(mailboxes.len(), 2);
        assert_eq!(mailboxes[0]["authorised_users"].as_array().unwrap().len(), 2);
    }

    const FACTSHEET: &str = "CLIENT DOMAIN FACTSHEET — Customer Email Management\nDomains: a.test, b.test\n\
        Registrar: Gandi\nDNS Provider: deSEC\nRegistrar Admin Email(s): x@out.example\n\
        DNS Admin Email(s): x@out.example, y@out.example\nMFA Enabled? (Registrar / DNS): yes / no\n\
        Inbound Email Host (MX): mx1.a.test, mx2.a.test\nOutbound Sending Provider: own\n\
        SPF status: v=spf1 mx -all\nDKIM status: s1, s2\nDMARC policy: reject\nCatch-all enabled? (Y/N): N\n\
        External forwarding destinations: archive.example, boss@out.example\n\
        Emergency Approver (Client Owner): jane@a.test\nEscalation Contacts: omar@a.test\n";

    #[test]
    fn the_factsheet_becomes_a_client_and_its_domains() {
        let imported = import(FACTSHEET);
        let table: toml::Table = toml::from_str(&imported.toml).unwrap();
        assert_eq!(table["client"]["emergency_approver"].as_str(), Some("jane@a.test"));
        let domains = table["domain"].as_array().unwrap();
        assert_eq!(domains.len(), 2);
        let domain = &domains[1];
        assert_eq!(domain["name"].as_str(), Some("b.test"));
        assert_eq!(domain["dns_admins"].as_array().unwrap().len(), 2);
        assert_eq!(
            (domain["registrar_mfa"].as_bool(), domain["dns_mfa"].as_bool()),
            (Some(true), Some(false))
        );
        assert_eq!(domain["dmarc"].as_str(), Some("v=DMARC1; p=reject"));
        assert_eq!(domain["dkim_selectors"].as_array().unwrap().len(), 2);
        assert_eq!(domain["catch_all"].as_bool(), Some(false));
        assert_eq!(domain["approved_external_addresses"][0].as_str(), Some("boss@out.example"));
        assert_eq!(domain["approved_external_domains"][0].as_str(), Some("archive.example"));
    }

    #[test]
    fn what_is_written_is_read_by_the_policy() {
        let person = "[[person]]\nname = \"J\"\naddresses = [\"jane@a.test\"]\n";
        let text = import(FACTSHEET).toml.replace("name = \"\" ", "name = \"A\" ");
        let source = crate::Source::new("a.toml", format!("{text}\n{person}").into_bytes());
        let (policy, _) = crate::Policy::compile(&[source]).unwrap_or_else(|bad| {
            panic!("{}", crate::render(&bad, false));
        });
        assert_eq!(policy.domains().len(), 2);
    }

    #[test]
    fn nothing_is_invented_and_controls_do_not_pass() {
        let imported = import("mailbox:\naddress: \"evil\u{1b}[2J@x.test\"\nwhatever: x\n");
        assert!(!imported.toml.contains('\u{1b}'), "{:?}", imported.toml);
        assert_eq!(imported.notes.len(), 3, "{:?}", imported.notes);
        assert!(import("hello").notes[0].contains("no record"));
    }
}
