//! The indexed policy and the questions the other rooms ask of it.

use chrono::{DateTime, Utc};
use hashbrown::HashMap;
use mailwarden_address::{Address, Domain};

use crate::control::{AcceptedGrant, AcceptedLint};
use crate::index::{AddressIndex, Known};
use crate::model::{
    Client, DomainRecord, Exception, LiveRedirect, Mailbox, MailboxKind, Person, Profile, Scope,
    UnexpectedSender, Vendor, VendorState,
};
use crate::pattern::LocalPattern;

/// A validated policy. Cheap to share behind an `Arc`; never changes.
#[derive(Debug, Default)]
pub struct Policy {
    pub(crate) clients: Vec<Client>,
    pub(crate) people: Vec<Person>,
    pub(crate) domains: Vec<DomainRecord>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) vendors: Vec<Vendor>,
    pub(crate) mailboxes: Vec<Mailbox>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) accepted_grants: Vec<AcceptedGrant>,
    pub(crate) accepted_lints: Vec<AcceptedLint>,
    pub(crate) domain_index: HashMap<Domain, usize>,
    pub(crate) scope_index: HashMap<Domain, usize>,
    /// Wildcard scopes, by the name below the star.
    pub(crate) wildcard_index: HashMap<Domain, usize>,
    pub(crate) addresses: AddressIndex,
    /// Vendors whose address is a pattern, by its domain; the one that says most first.
    pub(crate) vendor_patterns: HashMap<Domain, Vec<(LocalPattern, usize)>>,
    pub(crate) unix_users: HashMap<String, usize>,
    pub(crate) digest: String,
}

/// What in the policy makes an address receive-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReceiveOnly<'p> {
    /// It lies in a scope, or below one.
    Scope(&'p Domain),
    /// It lies in a domain whose profile is not `sending`, or below one.
    Domain(&'p Domain),
    /// Its mailbox is marked `receive_only`.
    Mailbox(&'p Address),
    /// It is a vendor's address.
    Vendor(&'p Address),
}

impl ReceiveOnly<'_> {
    /// The policy object's name, for logs, replies and sums.
    pub fn object(&self) -> String {
        match self {
            Self::Scope(domain) | Self::Domain(domain) => domain.to_string(),
            Self::Mailbox(address) | Self::Vendor(address) => address.to_string(),
        }
    }

    /// What kind of record it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Scope(_) => "scope",
            Self::Domain(_) => "domain",
            Self::Mailbox(_) => "mailbox",
            Self::Vendor(_) => "vendor",
        }
    }
}

/// What the policy knows of a recipient address.
#[derive(Debug, Clone, Copy)]
pub enum Recipient<'p> {
    /// A vendor's own record inside a scope.
    Vendor(&'p Vendor, &'p Scope),
    /// Any other local part of a scope.
    InScope(&'p Scope),
    /// A mailbox or one of its aliases.
    Mailbox(&'p Mailbox),
    /// Nothing.
    Unknown,
}

impl Policy {
    /// What the policy says of a recipient. A burned vendor beats an active one, a vendor's own address beats
    /// a pattern, and a pattern beats the scope's catch-all.
    pub fn recipient(&self, address: &Address) -> Recipient<'_> {
        let (scope, known) = (self.scope(address.domain()), self.addresses.get(address));
        let vendor = scope.and_then(|_| self.vendor_among(known, address));
        let mailbox = || known.mailbox().map(|at| &self.mailboxes[at]);
        match (scope, vendor) {
            (Some(scope), Some(vendor)) => Recipient::Vendor(vendor, scope),
            _ => match (mailbox(), scope) {
                (Some(mailbox), _) => Recipient::Mailbox(mailbox),
                (None, Some(scope)) => Recipient::InScope(scope),
                (None, None) => Recipient::Unknown,
            },
        }
    }

    /// The scope a domain is, or lies in where the scope is a wildcard. The nearest record above a name
    /// counts.
    pub fn scope(&self, domain: &Domain) -> Option<&Scope> {
        if let Some(&at) = self.scope_index.get(domain) {
            return Some(&self.scopes[at]);
        }
        if self.wildcard_index.is_empty() || self.domain_index.contains_key(domain) {
            return None;
        }
        for above in names_above(domain.as_str()) {
            if let Some(&at) = self.wildcard_index.get(above) {
                return Some(&self.scopes[at]);
            }
            if self.scope_index.contains_key(above) || self.domain_index.contains_key(above) {
                return None;
            }
        }
        None
    }

    /// The record of a domain.
    pub fn domain(&self, domain: &Domain) -> Option<&DomainRecord> {
        self.domain_named(domain.as_str())
    }

    fn domain_named(&self, name: &str) -> Option<&DomainRecord> {
        self.domain_index.get(name).map(|&at| &self.domains[at])
    }

    /// The record that names this vendor address, or has it as its pattern.
    pub fn vendor(&self, address: &Address) -> Option<&Vendor> {
        self.addresses.get(address).vendor().map(|at| &self.vendors[at])
    }

    /// The vendor whom mail to this address is for: by its own record or by a pattern, a burned one before
    /// all.
    pub fn vendor_of(&self, address: &Address) -> Option<&Vendor> {
        self.vendor_among(self.addresses.get(address), address)
    }

    fn vendor_among(&self, known: Known, address: &Address) -> Option<&Vendor> {
        let exact = known.vendor().map(|at| &self.vendors[at]).filter(|vendor| !vendor.is_pattern());
        let is_burned = exact.is_some_and(|vendor| vendor.state == VendorState::Burned);
        if is_burned || self.vendor_patterns.is_empty() {
            return exact;
        }
        let patterns = self.vendor_patterns.get(address.domain()).map(Vec::as_slice).unwrap_or_default();
        let mut matching =
            patterns.iter().filter(|(pattern, _)| pattern.matches(address)).map(|&(_, at)| &self.vendors[at]);
        let first = matching.next();
        let burned = first.into_iter().chain(matching).find(|vendor| vendor.state == VendorState::Burned);
        burned.or(exact).or(first)
    }

    /// The mailbox behind an address or alias.
    pub fn mailbox(&self, address: &Address) -> Option<&Mailbox> {
        self.addresses.get(address).mailbox().map(|at| &self.mailboxes[at])
    }

    /// The person a mailbox belongs to. A human one is theirs whose address it is: its business owner only answers
    /// for its reset. Every other mailbox is its business owner's.
    pub fn holder(&self, mailbox: &Address) -> Option<&Person> {
        let record = self.mailbox(mailbox);
        let by_address = || self.person(record.map_or(mailbox, |record| &record.address));
        let by_business = || record?.business_owner.as_ref().and_then(|owner| self.person(owner));
        if record.is_some_and(|record| record.kind == MailboxKind::Human) {
            by_address().or_else(by_business)
        } else {
            by_business().or_else(by_address)
        }
    }

    /// The person who has left and whose address this is; nobody, where the mailbox was handed on to somebody who
    /// is there.
    pub fn leaver(&self, address: &Address, now: DateTime<Utc>) -> Option<&Person> {
        let person = self.person(address)?;
        let is_handed_on = || self.holder(address).is_some_and(|holder| !holder.has_left(now));
        (person.has_left(now) && !is_handed_on()).then_some(person)
    }

    /// The person behind any of their addresses, outside ones included.
    pub fn person(&self, address: &Address) -> Option<&Person> {
        self.addresses.get(address).person().map(|at| &self.people[at])
    }

    /// The person who logs in to the mail host under this name.
    pub fn unix_user(&self, name: &str) -> Option<&Person> {
        self.unix_users.get(name).map(|&at| &self.people[at])
    }

    /// Whether a login may write in the name of an address: its own mailbox with all aliases, any address of
    /// the same person in the organisation, or a mailbox whose authorised users include the person.
    pub fn may_write_as(&self, login: &Address, author: &Address) -> bool {
        let person = self.person(login);
        let is_same_person = |address: &Address| {
            login == address || person.is_some_and(|person| person.addresses.contains(address))
        };
        let same_mailbox = |mailbox: &Mailbox| {
            self.mailbox(login).is_some_and(|own| std::ptr::eq(own, mailbox))
                || mailbox.authorised_users.iter().any(is_same_person)
                || is_same_person(&mailbox.address)
        };
        is_same_person(author) || self.mailbox(author).is_some_and(same_mailbox)
    }

    /// What becomes of mail that a mailbox redirects to the outside.
    pub fn live_redirect(&self, mailbox: &Mailbox) -> LiveRedirect {
        let by_client = || self.clients.get(mailbox.client).map(|client| client.live_redirect);
        mailbox.live_redirect.or_else(by_client).unwrap_or_default()
    }

    /// What becomes of mail from an organisation that a vendor's address never dealt with.
    pub fn unexpected_sender(&self, vendor: Option<&Vendor>, scope: &Scope) -> UnexpectedSender {
        vendor.and_then(|vendor| vendor.unexpected_sender).unwrap_or(scope.unexpected_sender)
    }

    /// Whether mail may never come from this address, and by which record.
    pub fn receive_only(&self, address: &Address) -> Option<ReceiveOnly<'_>> {
        let by_record = || {
            let known = self.addresses.get(address);
            let mailbox =
                known.mailbox().map(|at| &self.mailboxes[at]).filter(|mailbox| mailbox.receive_only);
            let vendor = || known.vendor().map(|at| ReceiveOnly::Vendor(&self.vendors[at].address));
            mailbox.map(|mailbox| ReceiveOnly::Mailbox(&mailbox.address)).or_else(vendor)
        };
        self.receive_only_domain(address.domain()).or_else(by_record)
    }

    /// Whether nothing may ever be sent from a domain. A name below a scope or below a domain that does not
    /// send has no sender either, unless the policy lists it or a name between as a domain that sends.
    pub fn receive_only_domain(&self, domain: &Domain) -> Option<ReceiveOnly<'_>> {
        for (depth, name) in name_and_above(domain.as_str()).enumerate() {
            let scope = self.scope_index.get(name);
            let scope = scope.or_else(|| self.wildcard_index.get(name).filter(|_| depth > 0));
            if let Some(&at) = scope {
                return Some(ReceiveOnly::Scope(&self.scopes[at].domain));
            }
            if let Some(record) = self.domain_named(name) {
                return (record.profile != Profile::Sending).then_some(ReceiveOnly::Domain(&record.name));
            }
        }
        None
    }

    /// Whether a domain is one of the policy's, or a scope.
    pub fn is_ours(&self, domain: &Domain) -> bool {
        self.domain(domain).is_some() || self.scope(domain).is_some()
    }

    /// Whether any record of the policy speaks of this domain or of a name above it.
    pub fn is_under_ours(&self, domain: &Domain) -> bool {
        name_and_above(domain.as_str()).any(|name| {
            self.domain_index.contains_key(name)
                || self.scope_index.contains_key(name)
                || self.wildcard_index.contains_key(name)
        })
    }

    /// The watched mailbox of postmaster@ and abuse@ for a domain or scope of ours: the admin queue of the
    /// nearest domain record at or above the name, else the scope's own mailbox.
    pub fn admin_queue(&self, domain: &Domain) -> Option<&Address> {
        if !self.is_ours(domain) {
            return None;
        }
        name_and_above(domain.as_str())
            .find_map(|name| self.domain_named(name).and_then(|record| record.admin_queue.as_ref()))
            .or_else(|| self.scope(domain).map(|scope| &scope.deliver_to))
    }

    /// The client a domain belongs to: that of the nearest record at or above the name.
    pub fn client_index(&self, domain: &Domain) -> Option<usize> {
        name_and_above(domain.as_str()).find_map(|name| {
            let scope = self.scope_index.get(name).or_else(|| self.wildcard_index.get(name));
            scope.map(|&at| self.scopes[at].client).or_else(|| Some(self.domain_named(name)?.client))
        })
    }

    /// The client a domain belongs to.
    pub fn client_of(&self, domain: &Domain) -> Option<&Client> {
        self.clients.get(self.client_index(domain)?)
    }

    /// Where accepted mail for a vendor goes.
    pub fn vendor_route<'p>(&self, vendor: &'p Vendor, scope: &'p Scope) -> &'p Address {
        vendor.deliver_to.as_ref().unwrap_or(&scope.deliver_to)
    }

    /// Whether forwarding to an outside domain is approved for a client.
    pub fn is_approved_external(&self, client: usize, domain: &Domain) -> bool {
        self.domains
            .iter()
            .filter(|record| record.client == client)
            .flat_map(|record| &record.approved_external_domains)
            .any(|approved| domain.is_or_is_under(approved))
    }

    /// Every client, in file order.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }
    /// Every person.
    pub fn people(&self) -> &[Person] {
        &self.people
    }
    /// Every domain.
    pub fn domains(&self) -> &[DomainRecord] {
        &self.domains
    }
    /// Every scope.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }
    /// Every vendor.
    pub fn vendors(&self) -> &[Vendor] {
        &self.vendors
    }
    /// Every mailbox.
    pub fn mailboxes(&self) -> &[Mailbox] {
        &self.mailboxes
    }
    /// Every exception.
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }
    /// SHA-256 over the names and bytes of all sources, hexadecimal: the same texts give the same digest.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many addresses can be asked for, and how many bytes the table of them holds.
    pub fn address_table(&self) -> (usize, usize) {
        (self.addresses.len(), self.addresses.bytes())
    }

    /// Counts for a log line.
    pub fn summary(&self) -> String {
        let burned = self.vendors.iter().filter(|vendor| vendor.state == VendorState::Burned).count();
        [
            counted(self.clients.len(), "client", "clients"),
            counted(self.domains.len(), "domain", "domains"),
            counted(self.scopes.len(), "scope", "scopes"),
            format!("{} ({burned} burned)", counted(self.vendors.len(), "vendor", "vendors")),
            counted(self.mailboxes.len(), "mailbox", "mailboxes"),
            counted(self.people.len(), "person", "people"),
        ]
        .join(", ")
    }
}

/// The names above a name, nearest first.
fn names_above(name: &str) -> impl Iterator<Item = &str> {
    name_and_above(name).skip(1)
}

fn name_and_above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, above)| above))
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}
