//! Every check of the domain layer: its name, its weight, what it means. One row a check.

use serde::Serialize;

use crate::family::Family;

/// How bad it is where nothing else is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Worth knowing.
    Info,
    /// Worth cleaning up.
    Low,
    /// Worth asking about.
    Medium,
    /// Act today.
    High,
    /// Act now.
    Critical,
}

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Stable name.
    pub id: &'static str,
    /// How bad.
    pub weight: Weight,
    /// What it means, and why it matters.
    pub meaning: &'static str,
}

impl Check {
    /// The family it belongs to, as its name tells.
    #[must_use]
    pub fn family(&self) -> Family {
        let named = |family: &Family| {
            let surface = family.surface();
            self.id.strip_prefix(surface).is_some_and(|rest| rest.starts_with('-'))
        };
        Family::ALL.into_iter().find(named).unwrap_or(match self.id {
            "dns.ns-dangling" | "dns.ns-missing" => Family::Delegation,
            "dns.dangling-alias" | "dns.dangling-service" | "dns.service-outside" => Family::Services,
            "dns.required-address-refused" | "dns.catch-all-unplanned" | "dns.catch-all-missing" => {
                Family::Recipients
            }
            "dns.registrar-differs" => Family::Registration,
            _ => Family::Mx,
        })
    }
}

macro_rules! checks {
    ($($name:ident = $id:literal, $weight:ident, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub static $name: Check =
            Check { id: $id, weight: Weight::$weight, meaning: $meaning };)*
        /// All of them, in the order of this file.
        pub static ALL: &[&Check] = &[$(&$name,)*];
    };
}

checks! {
    SPF_MISSING = "dns.spf-missing", High, "No SPF record: anybody may use the domain as envelope sender.";
    SPF_MULTIPLE = "dns.spf-multiple", High,
        "More than one SPF record: receivers answer permerror and use none (RFC 7208 section 4.5).";
    SPF_SYNTAX = "dns.spf-syntax", High,
        "The SPF record cannot be read: receivers answer permerror and use nothing of it (RFC 7208 section \
         4.6).";
    SPF_LOOKUPS = "dns.spf-too-many-lookups", High,
        "The SPF record needs more than ten lookups: receivers answer permerror (RFC 7208 section 4.6.4).";
    SPF_VOIDS = "dns.spf-too-many-voids", Medium,
        "More than two lookups of the SPF record find nothing: receivers may answer permerror (RFC 7208 \
         section 4.6.4).";
    SPF_LOOP = "dns.spf-loop", High,
        "The SPF record includes or redirects to itself: receivers answer permerror.";
    SPF_BROKEN_INCLUDE = "dns.spf-broken-include", High,
        "The SPF record includes or redirects to a name without a usable SPF record: receivers answer \
         permerror (RFC 7208 section 5.2).";
    SPF_PERMISSIVE = "dns.spf-permissive", High,
        "The SPF record ends in +all, ?all or nothing: it lets everybody pass or says nothing of them.";
    SPF_SOFT = "dns.spf-soft", Info,
        "The SPF record ends in ~all: failing mail is only marked, unless DMARC says more.";
    SPF_AFTER_ALL = "dns.spf-after-all", Medium,
        "Terms of the SPF record stand behind `all` and are never looked at; two records may have been \
         joined.";
    SPF_LONG = "dns.spf-too-long", Low,
        "The SPF record is so long that answers may be cut short (RFC 7208 section 3.4).";
    SPF_LEGACY = "dns.spf-legacy", Low,
        "A record of Sender ID (spf2.0) is left over; nobody should read it any more (RFC 6686).";
    SPF_PTR = "dns.spf-ptr", Low,
        "The SPF record uses `ptr`, which is slow and should not be published (RFC 7208 section 5.5).";
    SPF_SENDER = "dns.spf-sender", High,
        "A domain that never sends lets somebody pass: the record has to be exactly `v=spf1 -all`.";
    SPF_DIFFERS = "dns.spf-differs", Medium,
        "The SPF record that is published is not the one that the policy means.";
    SPF_HELO = "dns.spf-helo", Low,
        "A mail host of ours has no SPF record for its own name, which is checked for mail with the null \
         sender (RFC 7208 section 2.4).";

    DMARC_MISSING = "dns.dmarc-missing", High,
        "No DMARC policy applies: mail that pretends to come from the domain is delivered.";
    DMARC_MULTIPLE = "dns.dmarc-multiple", High, "More than one DMARC record: receivers use none (RFC 9989).";
    DMARC_SYNTAX = "dns.dmarc-syntax", High, "The DMARC record cannot be read as it is meant.";
    DMARC_LOCATION = "dns.dmarc-location", Medium,
        "A DMARC record stands at the domain itself, where nobody looks; it belongs to `_dmarc`.";
    DMARC_NONE = "dns.dmarc-none", Medium,
        "The DMARC policy is `none`: forged mail is reported and delivered.";
    DMARC_TEST = "dns.dmarc-test", Medium,
        "The DMARC record says that it is a test (t=y): receivers apply the next weaker policy (RFC 9989).";
    DMARC_RECEIVE_ONLY = "dns.dmarc-receive-only", High,
        "The domain never sends, and its DMARC policy is not `reject`: it can be forged to phish its own \
         organisation.";
    DMARC_SUBDOMAINS = "dns.dmarc-subdomains", High,
        "Receive-only names lie below the domain, and its policy for subdomains (sp) is `none`.";
    DMARC_NONEXISTENT = "dns.dmarc-nonexistent", Medium,
        "Names below the domain that do not exist may be forged: their policy (np) is `none`.";
    DMARC_SP_IGNORED = "dns.dmarc-sp-ignored", Low,
        "sp and np of a record below the organisational domain are ignored (RFC 9989); they belong to the \
         record of the organisation.";
    DMARC_OBSOLETE = "dns.dmarc-obsolete", Info,
        "The DMARC record has tags that RFC 9989 removed; receivers ignore them.";
    DMARC_NO_REPORTS = "dns.dmarc-no-reports", Low,
        "The DMARC record asks nobody for reports: abuse and broken senders stay unseen.";
    DMARC_UNAUTHORISED = "dns.dmarc-report-unauthorised", Medium,
        "Reports go to another organisation that did not agree (no `_report._dmarc` record): they are never \
         sent.";
    DMARC_UNRECEIVABLE = "dns.dmarc-report-unreceivable", Medium,
        "Reports go to a domain that takes no mail.";
    DMARC_OUTSIDE = "dns.dmarc-report-outside", Medium,
        "Reports go to an outside domain that the policy does not name; failure reports (ruf) hold samples \
         of messages.";
    DMARC_DIFFERS = "dns.dmarc-differs", Medium,
        "The DMARC record that is published is not the one that the policy means.";

    DKIM_MISSING = "dns.dkim-missing", High,
        "A DKIM selector of the policy has no record: what it signs does not verify.";
    DKIM_MULTIPLE = "dns.dkim-multiple", Medium,
        "A DKIM selector has more than one record; which one is used is undefined (RFC 6376 section \
         3.6.2.2).";
    DKIM_SYNTAX = "dns.dkim-syntax", High, "A DKIM record cannot be read: what it signs does not verify.";
    DKIM_REVOKED = "dns.dkim-revoked", High, "A DKIM selector that the policy uses is revoked (empty p=).";
    DKIM_WEAK = "dns.dkim-weak", High,
        "A DKIM key is shorter than 1024 bits: verifiers refuse it (RFC 8301).";
    DKIM_SHORT = "dns.dkim-short", Low, "A DKIM key is shorter than the 2048 bits that RFC 8301 asks for.";
    DKIM_TEST = "dns.dkim-test", Low,
        "A DKIM record says that the domain is only testing (t=y): verifiers may treat its mail as \
         unsigned.";
    DKIM_OUTSIDE = "dns.dkim-outside", Info,
        "A DKIM selector is an alias of a name outside: whoever holds that name signs for the domain.";
    DKIM_SENDER = "dns.dkim-sender", High, "A domain that never sends publishes a DKIM key.";
    DKIM_NULL = "dns.dkim-null", Low,
        "A domain that never sends does not say so for every DKIM selector (`*._domainkey`, empty p=).";

    MX_MISSING = "dns.mx-missing", High, "The domain receives mail and has no MX record.";
    MX_IMPLICIT = "dns.mx-implicit", Medium,
        "The domain has no MX record but an address: mail is delivered to that address (RFC 5321 section \
         5.1).";
    MX_NULL = "dns.mx-null", Critical,
        "The domain receives mail and publishes a null MX: all its mail is refused (RFC 7505).";
    MX_NULL_AND = "dns.mx-null-with-others", High,
        "A null MX stands beside other MX records, which RFC 7505 forbids: receivers differ in what they \
         do.";
    MX_NOT_A_HOST = "dns.mx-not-a-host", High,
        "An MX record names no host: a number or an address. `MX 0.` is not the null MX `MX 0 .`.";
    MX_PARKED = "dns.mx-parked", Medium,
        "The domain neither sends nor receives, and does not say so with a null MX (RFC 7505).";
    MX_DANGLING = "dns.mx-dangling", Critical,
        "An MX record names a host that does not exist or has no address: whoever registers the name gets \
         the mail.";
    MX_ALIAS = "dns.mx-alias", Low,
        "An MX record names an alias (CNAME), which RFC 2181 section 10.3 forbids.";
    MX_UNEXPECTED = "dns.mx-unexpected", High,
        "An MX host that the policy does not name receives the domain's mail.";
    MX_ABSENT = "dns.mx-absent", Medium, "An MX host of the policy is not published.";
    MX_PRIVATE = "dns.mx-private-address", Medium,
        "An MX host has an address that cannot be reached from the outside.";
    MX_REVERSE = "dns.mx-reverse", Low,
        "An address of a mail host of ours has no name that leads back to it; receivers distrust such \
         hosts.";
    MX_WILDCARD = "dns.mx-wildcard", Medium,
        "Every name below the domain receives mail (wildcard MX), also those that nobody means to.";

    SMTP_NO_TLS = "dns.smtp-no-starttls", High,
        "A mail host does not offer STARTTLS: mail to it crosses the network in the clear.";
    SMTP_CERTIFICATE = "dns.smtp-certificate", Medium,
        "The certificate of a mail host does not verify for its name.";
    SMTP_EXPIRES = "dns.smtp-certificate-expires", Medium, "The certificate of a mail host runs out soon.";
    DANE_MISMATCH = "dns.dane-mismatch", High,
        "No TLSA record matches the certificate: senders that verify DANE hold the mail back (RFC 7672).";
    DANE_UNUSABLE = "dns.dane-unusable", Medium,
        "A TLSA record has a form that is not used for mail (RFC 7672 section 3.1).";
    DANE_UNSIGNED = "dns.dane-unsigned", Medium,
        "TLSA records are published in a zone whose signatures the resolver did not verify: senders ignore \
         them.";
    STS_MISSING = "dns.mta-sts-missing", Medium, "The policy wants MTA-STS, and no record announces it.";
    STS_SYNTAX = "dns.mta-sts-syntax", Medium,
        "The MTA-STS record or policy cannot be read: senders ignore it (RFC 8461).";
    STS_UNSERVED = "dns.mta-sts-unserved", High,
        "MTA-STS is announced, and its policy is not served as RFC 8461 section 3.3 asks.";
    STS_MODE = "dns.mta-sts-mode", Medium, "The MTA-STS policy is not in the mode that the policy means.";
    STS_HOST = "dns.mta-sts-host", High,
        "An MX host is not named by the MTA-STS policy: senders that enforce it hold the mail back.";
    STS_AGE = "dns.mta-sts-age", Low,
        "The MTA-STS policy is forgotten within a day; an attacker only has to wait (RFC 8461 section 3.2).";
    RPT_MISSING = "dns.tls-rpt-missing", Low,
        "The policy wants reports on failed TLS, and no record asks for them (RFC 8460).";
    RPT_SYNTAX = "dns.tls-rpt-syntax", Low,
        "The TLS-RPT record cannot be read: no reports are sent (RFC 8460).";
    RPT_OUTSIDE = "dns.tls-rpt-outside", Low,
        "Reports on TLS go to an outside domain that the policy does not name.";
    CAA_MISSING = "dns.caa-missing", Low,
        "No CAA record says who may issue certificates for the domain (RFC 8659).";
    CAA_SYNTAX = "dns.caa-syntax", Medium, "A CAA record cannot be read; a critical one stops every issuer.";
    CAA_OUTSIDE = "dns.caa-outside", Medium,
        "CAA lets an authority issue certificates that the policy does not name.";

    DANGLING_ALIAS = "dns.dangling-alias", High,
        "An alias leads to a name that does not exist: whoever gets that name answers in the domain's \
         place.";
    DANGLING_SERVICE = "dns.dangling-service", High,
        "A service record (SRV) names a host that does not exist: mail programs would send passwords to \
         whoever gets it.";
    SERVICE_OUTSIDE = "dns.service-outside", Info,
        "Mail programs are sent to a host outside the domains of the policy.";
    NS_DANGLING = "dns.ns-dangling", Critical,
        "A name server of the domain does not exist: whoever registers its name controls the domain.";
    NS_MISSING = "dns.ns-missing", Critical, "The domain does not exist in the name service.";

    REQUIRED_REFUSED = "dns.required-address-refused", High,
        "postmaster@ or abuse@ is refused by our own mail host (RFC 2142, RFC 5321 section 4.5.1).";
    CATCH_ALL = "dns.catch-all-unplanned", Medium,
        "The mail host takes any local part, and the policy says that the domain has no catch-all.";
    NO_CATCH_ALL = "dns.catch-all-missing", Medium,
        "The mail host refuses an unknown local part where the policy says that every one is taken.";

    EXPIRED = "dns.registration-expired", Critical,
        "The registration of the domain has run out: whoever registers it next gets its mail, and every \
         reset sent to it.";
    EXPIRES = "dns.registration-expires", High, "The registration of the domain runs out soon.";
    UNREGISTERED = "dns.registration-missing", Critical,
        "Nobody holds the domain: whoever registers it gets its mail, and every reset sent to it.";
    STATUS = "dns.registration-status", High, "The registry holds the domain back or is about to delete it.";
    UNLOCKED = "dns.registration-unlocked", Low, "The registration is not locked against transfer.";
    REGISTRAR = "dns.registrar-differs", Medium,
        "The domain is registered with another company than the policy says.";
    EXPIRY_DIFFERS = "dns.registration-expiry-differs", Info,
        "The registration does not run out when the policy says.";
    CHANGED = "dns.changed", Medium,
        "What the domain publishes is not what it published when it was last looked at.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_meanings_are_sentences() {
        let names: BTreeSet<&str> = ALL.iter().map(|check| check.id).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|check| check.id.starts_with("dns.") && check.meaning.ends_with('.')));
    }
}
