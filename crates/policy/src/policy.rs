//! The indexed policy and the questions the other rooms ask of it.

use std::collections::HashMap;

use mailwarden_address::{Address, Domain};

use crate::model::{Client, DomainRecord, Exception, Mailbox, Person, Profile, Scope, Vendor, VendorState};

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
    pub(crate) domain_index: HashMap<Domain, usize>,
    pub(crate) scope_index: HashMap<Domain, usize>,
    pub(crate) vendor_index: HashMap<Address, usize>,
    pub(crate) mailbox_index: HashMap<Address, usize>,
    pub(crate) person_index: HashMap<Address, usize>,
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
    /// What the policy says of a recipient. Exact beats catch-all: a vendor's record is found before its scope.
    pub fn recipient(&self, address: &Address) -> Recipient<'_> {
        match (self.scope(address.domain()), self.vendor(address), self.mailbox(address)) {
            (Some(scope), Some(vendor), _) => Recipient::Vendor(vendor, scope),
            (_, _, Some(mailbox)) => Recipient::Mailbox(mailbox),
            (Some(scope), None, None) => Recipient::InScope(scope),
            (None, _, None) => Recipient::Unknown,
        }
    }

    /// The scope a domain is.
    pub fn scope(&self, domain: &Domain) -> Option<&Scope> {
        self.scope_index.get(domain).map(|&at| &self.scopes[at])
    }

    /// The record of a domain.
    pub fn domain(&self, domain: &Domain) -> Option<&DomainRecord> {
        self.domain_index.get(domain).map(|&at| &self.domains[at])
    }

    /// The record of a vendor address.
    pub fn vendor(&self, address: &Address) -> Option<&Vendor> {
        self.vendor_index.get(address).map(|&at| &self.vendors[at])
    }

    /// The mailbox behind an address or alias.
    pub fn mailbox(&self, address: &Address) -> Option<&Mailbox> {
        self.mailbox_index.get(address).map(|&at| &self.mailboxes[at])
    }

    /// The person behind any of their addresses, outside ones included.
    pub fn person(&self, address: &Address) -> Option<&Person> {
        self.person_index.get(address).map(|&at| &self.people[at])
    }

    /// Whether mail may never come from this address, and by which record.
    pub fn receive_only(&self, address: &Address) -> Option<ReceiveOnly<'_>> {
        let by_record = || match (self.mailbox(address), self.vendor(address)) {
            (Some(mailbox), _) if mailbox.receive_only => Some(ReceiveOnly::Mailbox(&mailbox.address)),
            (_, Some(vendor)) => Some(ReceiveOnly::Vendor(&vendor.address)),
            _ => None,
        };
        self.receive_only_domain(address.domain()).or_else(by_record)
    }

    /// Whether nothing may ever be sent from a domain. A name below a scope or below a domain that does not send
    /// has no sender either, unless the policy lists it or a name between as a domain that sends.
    pub fn receive_only_domain(&self, domain: &Domain) -> Option<ReceiveOnly<'_>> {
        let mut name = Some(domain.clone());
        while let Some(current) = name {
            if let Some(scope) = self.scope(&current) {
                return Some(ReceiveOnly::Scope(&scope.domain));
            }
            if let Some(record) = self.domain(&current) {
                return (record.profile != Profile::Sending).then_some(ReceiveOnly::Domain(&record.name));
            }
            name = current.parent();
        }
        None
    }

    /// Whether a domain is one of the policy's, or a scope.
    pub fn is_ours(&self, domain: &Domain) -> bool {
        self.domain(domain).is_some() || self.scope(domain).is_some()
    }

    /// Whether any record of the policy speaks of this domain or of a name above it.
    pub fn is_under_ours(&self, domain: &Domain) -> bool {
        std::iter::successors(Some(domain.clone()), Domain::parent).any(|name| self.is_ours(&name))
    }

    /// The watched mailbox of postmaster@ and abuse@ for a domain or scope of ours: the admin queue of the nearest
    /// domain record at or above the name, else the scope's own mailbox.
    pub fn admin_queue(&self, domain: &Domain) -> Option<&Address> {
        if !self.is_ours(domain) {
            return None;
        }
        std::iter::successors(Some(domain.clone()), Domain::parent)
            .find_map(|name| self.domain(&name).and_then(|record| record.admin_queue.as_ref()))
            .or_else(|| self.scope(domain).map(|scope| &scope.deliver_to))
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

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}
