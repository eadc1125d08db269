//! From written tables to an indexed policy: every mistake is collected, none is guessed away.

mod claims;
mod control;

use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use hashbrown::{HashMap, HashSet};
use mailwarden_address::{Address, Domain, DomainError};
use sha2::{Digest, Sha256};

use crate::compile::claims::{Claims, Written};
use crate::diagnostic::{Diagnostic, Level, Source, toml_error};
use crate::model::{Accept, Client, DomainRecord, Mailbox, Person, Profile, Scope, Vendor};
use crate::pattern::LocalPattern;
use crate::policy::Policy;
use crate::raci::Raci;
use crate::raw::{RawClient, RawDomain, RawFile, RawMailbox, RawPerson, RawScope, RawVendor, Text};
use crate::written::Spanned;

/// A recipient of a scope is compared with each pattern.
const MAX_PATTERNS_PER_SCOPE: usize = 1_000;
/// New local parts are remembered one by one for their hour.
const MAX_NEW_PER_HOUR: u32 = 100_000;

impl Policy {
    /// Reads all texts of a policy. The order of the texts decides only which of two duplicates is called the
    /// first.
    ///
    /// # Errors
    /// Every mistake that makes the policy unusable, and then the warnings as well; a policy is used whole or
    /// not at all.
    pub fn compile(sources: &[Source]) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut compiler = Compiler { digest: digest(sources), ..Compiler::default() };
        for source in sources {
            compiler.read(source);
        }
        compiler.check_references();
        compiler.finish()
    }
}

/// A place in one of the sources.
#[derive(Clone)]
struct Place {
    source: Source,
    span: Range<usize>,
}

impl Place {
    fn of<T>(source: &Source, value: &Spanned<T>) -> Self {
        Self { source: source.clone(), span: value.span() }
    }
}

/// A reference to an address that must lead somewhere, checked when all texts are read.
struct Reference {
    address: Address,
    place: Place,
    kind: ReferenceKind,
}

enum ReferenceKind {
    /// Must be a mailbox, an admin queue or a person's address inside one of our sending domains.
    Deliverable,
    /// Should be a person.
    Person,
    /// Must lie in a scope.
    InScope,
}

#[derive(Default)]
struct Compiler {
    policy: Policy,
    digest: String,
    diagnostics: Vec<Diagnostic>,
    references: Vec<Reference>,
    /// The texts that were read; the last one is being read.
    sources: Vec<Source>,
    /// Every domain that was read.
    domains: Domains,
    domain_places: HashMap<Domain, Place>,
    wildcard_places: HashMap<Domain, Place>,
    /// Which addresses are a mailbox's or a vendor's, and which are a person's.
    record_claims: Claims,
    person_claims: Claims,
    /// The admin queues of all domains, once all texts are read.
    queues: HashSet<Address>,
}

impl Compiler {
    fn read(&mut self, source: &Source) {
        self.sources.push(source.clone());
        let text = match source.utf8() {
            Ok(text) => text,
            Err(diagnostic) => return self.diagnostics.push(*diagnostic),
        };
        match toml::from_str::<RawFile>(text) {
            Ok(file) => self.file(source, file),
            Err(error) => self.diagnostics.push(toml_error(source, &error)),
        }
    }

    fn file(&mut self, source: &Source, file: RawFile) {
        let client = self.policy.clients.len();
        // The records of a client whose own table is wrong still get read: one run shows all mistakes.
        let raci = self.raci(source, file.raci);
        if let Some(record) = self.client(source, file.client.into_inner(), raci) {
            self.policy.clients.push(record);
        }
        for domain in file.domain {
            self.domain(source, client, domain);
        }
        for scope in file.scope {
            self.scope(source, client, scope);
        }
        for vendor in file.vendor {
            self.vendor(source, client, vendor);
        }
        for mailbox in file.mailbox {
            self.mailbox(source, client, mailbox);
        }
        for person in file.person {
            self.person(source, client, person);
        }
        for exception in file.exception {
            self.exception(source, client, exception);
        }
    }

    fn client(&mut self, source: &Source, raw: RawClient, raci: Raci) -> Option<Client> {
        let owner = self.person_reference(source, &raw.owner);
        let emergency_approver = self.person_reference(source, &raw.emergency_approver);
        let escalation_contacts = self.addresses(source, &raw.escalation_contacts);
        Some(Client {
            name: self.filled(source, raw.name)?,
            owner: owner?,
            emergency_approver: emergency_approver?,
            escalation_contacts,
            agency: raw.agency,
            raci,
            live_redirect: raw.live_redirect,
            shown_address: raw.shown_address,
        })
    }

    fn domain(&mut self, source: &Source, client: usize, mut raw: RawDomain) {
        let Some(name) = self.value::<Domain>(source, &raw.name) else { return };
        let admin_queue = raw.admin_queue.as_ref().and_then(|queue| self.value::<Address>(source, queue));
        let approved_external_domains = self.values(source, &raw.approved_external_domains);
        let approved_external_addresses = self.addresses(source, &raw.approved_external_addresses);
        let factsheet = self.factsheet(source, &mut raw);
        if raw.profile == Profile::Sending && raw.admin_queue.is_none() {
            self.error(
                "policy.no-admin-queue",
                Place::of(source, &raw.name),
                format!("`{name}` sends mail, so postmaster@ and abuse@ must reach somebody (RFC 2142)"),
                format!("add `admin_queue = \"ops@{name}\"` with a mailbox that is watched"),
            );
        }
        if self.claim_domain(&name, Place::of(source, &raw.name)) {
            self.policy.domain_index.insert(name.clone(), self.policy.domains.len());
            self.policy.domains.push(DomainRecord {
                client,
                name,
                profile: raw.profile,
                admin_queue,
                approved_external_domains,
                approved_external_addresses,
                factsheet,
            });
        }
    }

    fn scope(&mut self, source: &Source, client: usize, raw: Spanned<RawScope>) {
        let raw = raw.into_inner();
        let is_wildcard = raw.domain.get_ref().starts_with("*.");
        let domain = match is_wildcard {
            true => self.wildcard(source, &raw.domain),
            false => self.value::<Domain>(source, &raw.domain),
        };
        let deliver_to = self.reference(source, &raw.deliver_to, ReferenceKind::Deliverable);
        let patterns = self.patterns(source, &raw);
        let new_per_hour = raw.new_per_hour.and_then(|limit| self.limit(source, limit));
        let unknown_reply = raw.unknown_reply.and_then(|reply| self.reply_text(source, reply));
        let flood_reply = raw.flood_reply.and_then(|reply| self.reply_text(source, reply));
        let (Some(domain), Some(deliver_to)) = (domain, deliver_to) else { return };
        let place = Place::of(source, &raw.domain);
        // Indexed even when it is a duplicate: one mistake is not reported again for every vendor of the
        // scope.
        if is_wildcard {
            claim(&mut self.wildcard_places, &domain, &place, &mut self.diagnostics);
            self.policy.wildcard_index.insert(domain.clone(), self.policy.scopes.len());
        } else {
            self.claim_domain(&domain, place);
            self.policy.scope_index.insert(domain.clone(), self.policy.scopes.len());
        }
        self.policy.scopes.push(Scope {
            client,
            domain,
            is_wildcard,
            deliver_to,
            accept: raw.accept,
            patterns,
            unknown: raw.unknown,
            unknown_reply,
            new_per_hour,
            flood_reply,
            unexpected_sender: raw.unexpected_sender,
        });
    }

    /// `*.clients.example.com`: the name below the star.
    fn wildcard(&mut self, source: &Source, written: &Text) -> Option<Domain> {
        let below = written.get_ref().strip_prefix("*.")?;
        match below.parse::<Domain>() {
            Ok(domain) => Some(domain),
            Err(error) => {
                self.error(
                    "policy.bad-domain",
                    Place::of(source, written),
                    format!("`{}` is not a wildcard: {error}", written.get_ref()),
                    "write one star and the name below it, e.g. *.clients.example.com",
                );
                None
            }
        }
    }

    fn patterns(&mut self, source: &Source, raw: &RawScope) -> Vec<LocalPattern> {
        if (raw.accept == Accept::Pattern) == raw.patterns.is_empty() {
            let place = raw.patterns.first().map_or(Place::of(source, &raw.domain), |p| Place::of(source, p));
            self.error(
                "policy.patterns",
                place,
                "`accept = \"pattern\"` and `patterns` belong together",
                "add `patterns = [\"shop-*\"]`, or take it away and write `accept = \"any\"`",
            );
        }
        raw.patterns.iter().filter_map(|written| self.pattern(source, written)).collect()
    }

    fn pattern(&mut self, source: &Source, written: &Text) -> Option<LocalPattern> {
        let pattern = LocalPattern::parse(written.get_ref()).filter(|_| !written.get_ref().contains('@'));
        if pattern.is_none() {
            self.error(
                "policy.bad-pattern",
                Place::of(source, written),
                format!("`{}` is not a pattern for the part before the @", written.get_ref()),
                "write it with a star for any run of characters, e.g. \"shop-*\"",
            );
        }
        pattern
    }

    fn limit(&mut self, source: &Source, written: Spanned<i64>) -> Option<u32> {
        let limit =
            u32::try_from(*written.get_ref()).ok().filter(|limit| (1..=MAX_NEW_PER_HOUR).contains(limit));
        if limit.is_none() {
            self.error(
                "policy.bad-limit",
                Place::of(source, &written),
                format!("{} is no limit for new local parts in an hour", written.get_ref()),
                format!("write a number from 1 to {MAX_NEW_PER_HOUR}, or remove the line for no limit"),
            );
        }
        limit
    }

    fn vendor(&mut self, source: &Source, client: usize, raw: Spanned<RawVendor>) {
        let mut raw = raw.into_inner();
        let Some(address) = self.reference(source, &raw.address, ReferenceKind::InScope) else { return };
        let deliver_to = raw
            .deliver_to
            .as_ref()
            .and_then(|route| self.reference(source, route, ReferenceKind::Deliverable));
        let sender_domains = self.values(source, &raw.sender_domains);
        let account = self.account(source, &mut raw);
        let reply = raw.reply.and_then(|reply| self.reply_text(source, reply));
        let Some(number) = self.claim_address(&address, &raw.address) else { return };
        let at = self.policy.vendors.len();
        self.policy.addresses.set_vendor(number, at);
        if let Some(pattern) = LocalPattern::parse(address.local()) {
            self.vendor_pattern(&address, pattern, at, Place::of(source, &raw.address));
        }
        self.policy.vendors.push(Vendor {
            client,
            address,
            organisation: raw.organisation,
            state: raw.state,
            reply,
            deliver_to,
            sender_domains,
            unexpected_sender: raw.unexpected_sender,
            account,
        });
    }

    /// The pattern that says most comes first; of two that say as much, the one written first.
    fn vendor_pattern(&mut self, address: &Address, pattern: LocalPattern, at: usize, place: Place) {
        let patterns = self.policy.vendor_patterns.entry(address.domain().clone()).or_default();
        let said = pattern.literal_length();
        let position = patterns.partition_point(|(other, _)| other.literal_length() >= said);
        patterns.insert(position, (pattern, at));
        if patterns.len() == MAX_PATTERNS_PER_SCOPE + 1 {
            self.error(
                "policy.too-many-patterns",
                place,
                format!("`{}` has more than {MAX_PATTERNS_PER_SCOPE} vendor patterns", address.domain()),
                "every recipient is compared with each of them: name the vendors' own addresses instead",
            );
        }
    }

    fn mailbox(&mut self, source: &Source, client: usize, raw: RawMailbox) {
        let Some(address) = self.value::<Address>(source, &raw.address) else { return };
        let at = self.policy.mailboxes.len();
        if let Some(number) = self.claim_address(&address, &raw.address) {
            self.policy.addresses.set_mailbox(number, at);
        }
        let mut aliases = Vec::new();
        for written in &raw.aliases {
            let Some(alias) = self.value::<Address>(source, written) else { continue };
            if let Some(number) = self.claim_address(&alias, written) {
                self.policy.addresses.set_mailbox(number, at);
                aliases.push(alias);
            }
        }
        let record = Mailbox {
            client,
            address,
            kind: raw.kind,
            aliases,
            workflow: raw.workflow,
            business_owner: self.optional_person(source, raw.business_owner.as_ref()),
            operator_team: raw.operator_team,
            authorised_users: self.addresses(source, &raw.authorised_users),
            shared_login_allowed: raw.shared_login_allowed,
            shared_login_reason: raw.shared_login_reason,
            executive: raw.executive,
            customer_facing: raw.customer_facing,
            seat: raw.seat.map(Spanned::into_inner),
            service_credentials: raw.service_credentials,
            receive_only: raw.receive_only,
            live_redirect: raw.live_redirect,
            reset_policy: raw.reset_policy,
            reset_approvers: self.addresses(source, &raw.reset_approvers),
            recovery_contact: self.optional(source, raw.recovery_contact.as_ref()),
            escalation_contact: self.optional(source, raw.escalation_contact.as_ref()),
            last_reviewed: raw.last_reviewed.map(|moment| moment.into_inner().0),
        };
        self.policy.mailboxes.push(record);
    }

    fn person(&mut self, source: &Source, client: usize, raw: Spanned<RawPerson>) {
        let place = Place::of(source, &raw);
        let raw = raw.into_inner();
        if raw.addresses.is_empty() {
            self.error(
                "policy.person-without-address",
                place.clone(),
                format!("`{}` has no address", raw.name.get_ref()),
                "add `addresses = [\"first.last@your.domain\"]`",
            );
        }
        let at = self.policy.people.len();
        let addresses = self.claim_person_addresses(source, at, &raw.addresses);
        let external_addresses = self.claim_person_addresses(source, at, &raw.external_addresses);
        let Some(name) = self.filled(source, raw.name) else { return };
        let successor = raw
            .successor
            .as_ref()
            .and_then(|successor| self.reference(source, successor, ReferenceKind::Deliverable));
        if let Some(name) = &raw.unix_user {
            self.claim_unix_user(place, name, at);
        }
        let ssh_keys = self.ssh_keys(source, raw.ssh_keys);
        self.policy.people.push(Person {
            client,
            name,
            addresses,
            external_addresses,
            roles: raw.roles,
            senior: raw.senior,
            out_of_band: raw.out_of_band,
            ssh_keys,
            unix_user: raw.unix_user,
            left: raw.left.map(|moment| moment.into_inner().0),
            successor,
        });
    }

    fn claim_person_addresses(&mut self, source: &Source, at: usize, written: &[Text]) -> Vec<Address> {
        let mut claimed = Vec::new();
        for text in written {
            let Some(address) = self.value::<Address>(source, text) else { continue };
            let number = self.policy.addresses.add(&address);
            match self.person_claims.claim(number, self.written(text)) {
                Ok(()) => {
                    self.policy.addresses.set_person(number, at);
                    claimed.push(address);
                }
                Err(first) => self.used_twice(&address, text, first),
            }
        }
        claimed
    }

    // --- values -------------------------------------------------------------------------------------------------

    fn value<T>(&mut self, source: &Source, written: &Text) -> Option<T>
    where
        T: FromStr + Wording,
        T::Err: Display,
    {
        match T::read(written.get_ref(), &mut self.domains) {
            Ok(value) => Some(value),
            Err(error) => {
                self.error(
                    T::ID,
                    Place::of(source, written),
                    format!("`{}` is not {}: {error}", written.get_ref(), T::WHAT),
                    T::HELP,
                );
                None
            }
        }
    }

    fn values<T>(&mut self, source: &Source, written: &[Text]) -> Vec<T>
    where
        T: FromStr + Wording,
        T::Err: Display,
    {
        written.iter().filter_map(|text| self.value(source, text)).collect()
    }

    fn addresses(&mut self, source: &Source, written: &[Text]) -> Vec<Address> {
        self.values(source, written)
    }

    fn optional(&mut self, source: &Source, written: Option<&Text>) -> Option<Address> {
        written.and_then(|text| self.value(source, text))
    }

    fn optional_person(&mut self, source: &Source, written: Option<&Text>) -> Option<Address> {
        written.and_then(|text| self.person_reference(source, text))
    }

    fn person_reference(&mut self, source: &Source, written: &Text) -> Option<Address> {
        self.reference(source, written, ReferenceKind::Person)
    }

    fn reference(&mut self, source: &Source, written: &Text, kind: ReferenceKind) -> Option<Address> {
        let address = self.value::<Address>(source, written)?;
        // What is in a scope already will be: most addresses of a large policy need no second look.
        let is_settled =
            matches!(kind, ReferenceKind::InScope) && self.policy.scope_index.contains_key(address.domain());
        if !is_settled {
            let place = Place::of(source, written);
            self.references.push(Reference { address: address.clone(), place, kind });
        }
        Some(address)
    }

    fn filled(&mut self, source: &Source, written: Text) -> Option<String> {
        if written.get_ref().trim().is_empty() {
            let place = Place::of(source, &written);
            self.error(
                "policy.empty-value",
                place,
                "this value is empty",
                "write the value between the quotes",
            );
            return None;
        }
        Some(written.into_inner())
    }

    /// A reply goes into an SMTP response line (RFC 5321 §4.5.3.1.5: 512 octets with code and CRLF).
    fn reply_text(&mut self, source: &Source, written: Text) -> Option<String> {
        const LONGEST_REPLY: usize = 300;
        let text = written.get_ref();
        let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if text.trim().is_empty() || text.len() > LONGEST_REPLY || !printable {
            self.error(
                "policy.bad-reply",
                Place::of(source, &written),
                "a reply is one line of printable ASCII that an SMTP client is shown",
                format!("write between 1 and {LONGEST_REPLY} ASCII characters, without line breaks"),
            );
            return None;
        }
        Some(written.into_inner())
    }

    // --- uniqueness ---------------------------------------------------------------------------------------------

    fn claim_domain(&mut self, domain: &Domain, place: Place) -> bool {
        claim(&mut self.domain_places, domain, &place, &mut self.diagnostics)
    }

    /// The number of an address that belongs to nothing else; `None`, and a diagnostic, if it does.
    fn claim_address(&mut self, address: &Address, text: &Text) -> Option<usize> {
        let number = self.policy.addresses.add(address);
        match self.record_claims.claim(number, self.written(text)) {
            Ok(()) => Some(number),
            Err(first) => {
                self.used_twice(address, text, first);
                None
            }
        }
    }

    /// Where a value of the text that is being read stands.
    fn written<T>(&self, value: &Spanned<T>) -> Written {
        Written::new(self.sources.len() - 1, value.span())
    }

    fn place(&self, written: Written) -> Place {
        Place { source: self.sources[written.source()].clone(), span: written.span() }
    }

    fn used_twice(&mut self, address: &Address, text: &Text, first: Written) {
        let (again, first) = (self.place(self.written(text)), self.place(first));
        self.diagnostics.push(duplicate("policy.duplicate-address", "address", address, &again, &first));
    }

    // --- references ---------------------------------------------------------------------------------------------

    fn check_references(&mut self) {
        let references = std::mem::take(&mut self.references);
        self.queues = self.policy.domains.iter().filter_map(|record| record.admin_queue.clone()).collect();
        for reference in &references {
            match reference.kind {
                ReferenceKind::Deliverable => self.check_deliverable(reference),
                ReferenceKind::InScope => self.check_in_scope(reference),
                ReferenceKind::Person => self.check_person(reference),
            }
        }
        let queues: Vec<(Address, Place)> = self
            .policy
            .domains
            .iter()
            .filter_map(|record| {
                Some((record.admin_queue.clone()?, self.domain_places[&record.name].clone()))
            })
            .collect();
        for (queue, place) in queues {
            if self.policy.scope(queue.domain()).is_some() {
                self.error(
                    "policy.admin-queue-in-scope",
                    place,
                    format!("the admin queue `{queue}` lies in a scope, which has no mailbox of its own"),
                    "name the mailbox that people watch",
                );
            }
        }
        let in_scope: Vec<Address> = self
            .policy
            .mailboxes
            .iter()
            .flat_map(|mailbox| std::iter::once(&mailbox.address).chain(&mailbox.aliases))
            .filter(|address| self.policy.scope(address.domain()).is_some())
            .cloned()
            .collect();
        for address in in_scope {
            let number = self.policy.addresses.number(&address);
            let Some(written) = number.and_then(|number| self.record_claims.first(number)) else { continue };
            let place = self.place(written);
            self.error(
                "policy.mailbox-in-scope",
                place,
                format!("`{address}` lies in a scope; a scope has one mailbox, and it lies elsewhere"),
                "move the mailbox to a sending domain, or make this a [[vendor]] with `deliver_to`",
            );
        }
    }

    fn check_deliverable(&mut self, reference: &Reference) {
        let address = &reference.address;
        let is_persons = |person: &Person| person.addresses.contains(address);
        let known = self.policy.mailbox(address).is_some()
            || self.queues.contains(address)
            || self.policy.person(address).is_some_and(is_persons);
        let sending =
            self.policy.domain(address.domain()).is_some_and(|record| record.profile == Profile::Sending);
        if known && sending {
            return;
        }
        let help = if sending {
            format!("add `[[mailbox]]` with `address = \"{address}\"`, or name an existing mailbox")
        } else {
            format!("name a mailbox in a domain with `profile = \"sending\"`; `{}` is none", address.domain())
        };
        self.error(
            "policy.no-such-mailbox",
            reference.place.clone(),
            format!("no mailbox `{address}` is known, so mail would have nowhere to go"),
            help,
        );
    }

    fn check_in_scope(&mut self, reference: &Reference) {
        if self.policy.scope(reference.address.domain()).is_none() {
            self.error(
                "policy.vendor-outside-scope",
                reference.place.clone(),
                format!("`{}` is not inside any [[scope]]", reference.address),
                format!("add a [[scope]] with `domain = \"{}\"`, or correct it", reference.address.domain()),
            );
        }
    }

    fn check_person(&mut self, reference: &Reference) {
        if self.policy.person(&reference.address).is_none() {
            let place = reference.place.clone();
            let mut warning = Diagnostic::error(
                "policy.unknown-person",
                &place.source,
                place.span,
                format!("no [[person]] has the address `{}`", reference.address),
                "add the person, so that `mailwarden who` can say who that is and how to reach them",
            );
            warning.level = Level::Warning;
            self.diagnostics.push(warning);
        }
    }

    fn error(&mut self, id: &'static str, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(id, &place.source, place.span, message, help));
    }

    fn finish(mut self) -> Result<(Policy, Vec<Diagnostic>), Vec<Diagnostic>> {
        self.diagnostics.sort_by_key(|diagnostic| {
            (diagnostic.level, diagnostic.source.name.clone(), diagnostic.span.start)
        });
        if self.diagnostics.iter().any(|diagnostic| diagnostic.level == Level::Error) {
            return Err(self.diagnostics);
        }
        self.policy.digest = self.digest;
        self.policy.addresses.finish();
        Ok((self.policy, self.diagnostics))
    }
}

/// How a kind of value is spoken of when it is wrong.
trait Wording: FromStr {
    const ID: &'static str;
    const WHAT: &'static str;
    const HELP: &'static str;

    /// Reads it; domains that were read before are not read again.
    fn read(text: &str, domains: &mut Domains) -> Result<Self, Self::Err>;
}

/// Domains that were read, each kept once: a large policy names the same ones a thousand times.
#[derive(Default)]
struct Domains(HashSet<Domain>);

impl Domains {
    fn read(&mut self, text: &str) -> Result<Domain, DomainError> {
        if let Some(known) = self.0.get(text) {
            return Ok(known.clone());
        }
        let domain = Domain::parse(text)?;
        Ok(self.0.get_or_insert_with(&domain, Domain::clone).clone())
    }
}

impl Wording for Address {
    const ID: &'static str = "policy.bad-address";
    const WHAT: &'static str = "an address";
    const HELP: &'static str = "write it as local@domain, without display name or angle brackets";

    fn read(text: &str, domains: &mut Domains) -> Result<Self, Self::Err> {
        Self::parse_with(text, |domain| domains.read(domain))
    }
}

impl Wording for Domain {
    const ID: &'static str = "policy.bad-domain";
    const WHAT: &'static str = "a domain name";
    const HELP: &'static str = "write it as labels separated by dots, e.g. saas.example.com";

    fn read(text: &str, domains: &mut Domains) -> Result<Self, Self::Err> {
        domains.read(text)
    }
}

fn claim(
    places: &mut HashMap<Domain, Place>,
    domain: &Domain,
    place: &Place,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    if let Some(first) = places.get(domain) {
        diagnostics.push(duplicate("policy.duplicate-domain", "domain", domain, place, first));
        return false;
    }
    places.insert(domain.clone(), place.clone());
    true
}

fn duplicate(id: &'static str, what: &str, key: &impl Display, again: &Place, first: &Place) -> Diagnostic {
    Diagnostic::error(
        id,
        &again.source,
        again.span.clone(),
        format!("the {what} `{key}` is used twice"),
        "remove one of the two, or give it to the record it belongs to",
    )
    .with_related(&first.source, first.span.clone(), "first used here")
}

fn digest(sources: &[Source]) -> String {
    let mut hasher = Sha256::new();
    for source in sources {
        hasher.update((source.name.len() as u64).to_be_bytes());
        hasher.update(source.name.as_bytes());
        hasher.update((source.bytes.len() as u64).to_be_bytes());
        hasher.update(&source.bytes);
    }
    HEXLOWER.encode(&hasher.finalize())
}
