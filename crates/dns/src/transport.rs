//! What protects mail on its way to our hosts: STARTTLS, certificates, DANE.

use chrono::TimeDelta;
use data_encoding::HEXLOWER;
use mailwarden_evidence::dns::{Answer, Name, Question, Rdata, RecordType, SmtpSeen};
use sha2::{Digest, Sha256, Sha512};

use crate::case::{Case, Draft};
use crate::checks;
use crate::der::Certificate;
use crate::mx::hosts;
use crate::text::quoted;

/// A certificate that runs out sooner should have been renewed.
const RENEW_WITHIN: TimeDelta = TimeDelta::days(14);

/// Our own mail hosts among those that are published.
pub(crate) fn own_hosts(case: &mut Case<'_>) -> Vec<Name> {
    let hosts = hosts(case);
    hosts.into_iter().filter(|host| case.subject.is_own_host(host)).collect()
}

fn shown<'a>(case: &mut Case<'a>, host: &Name) -> Option<&'a SmtpSeen> {
    match case.ask(Question::Smtp { host: host.clone() }) {
        Some(Answer::Smtp(seen)) => Some(seen),
        _ => None,
    }
}

pub(crate) fn look(case: &mut Case<'_>) {
    for host in own_hosts(case) {
        let Some(seen) = shown(case, &host) else { continue };
        one_host(case, &host, seen);
    }
}

fn one_host(case: &mut Case<'_>, host: &Name, seen: &SmtpSeen) {
    let question = Question::Smtp { host: host.clone() };
    let draft = |title: String, fix: &str| Draft::new(title).fix(fix).answered(question.clone());
    if !seen.starttls {
        let draft = draft(
            format!("The mail host {host} does not offer STARTTLS."),
            "give the host a certificate; in Postfix smtpd_tls_security_level = may",
        );
        return case.found(&checks::SMTP_NO_TLS, host, draft.found(&seen.greeting));
    }
    if !seen.certificate_fault.is_empty() {
        let title = format!(
            "The certificate of the mail host {host} does not verify: {}.",
            quoted(&seen.certificate_fault)
        );
        let draft = draft(title, "install a certificate for the host's name, with its chain");
        return case.found(&checks::SMTP_CERTIFICATE, host, draft.found(&seen.certificate_fault));
    }
    let certificate = seen.certificates.first().and_then(|own| Certificate::read(&own.der));
    let Some(certificate) = certificate else { return };
    if certificate.not_after < case.now + RENEW_WITHIN {
        let until = certificate.not_after.format("%Y-%m-%d");
        let draft =
            draft(format!("The certificate of the mail host {host} runs out on {until}."), "renew it");
        case.found(&checks::SMTP_EXPIRES, host, draft.found(until.to_string()));
    }
}

// --- DANE (RFC 6698, RFC 7672) --------------------------------------------------------------------------------------

const PKIX_TA: u8 = 0;
const PKIX_EE: u8 = 1;
const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Association {
    usage: u8,
    selector: u8,
    matching: u8,
    association: String,
}

pub(crate) fn dane(case: &mut Case<'_>) {
    for host in own_hosts(case) {
        let Some(name) = Name::parse(&format!("_25._tcp.{host}")) else { continue };
        let Some(records) = case.records(&name, RecordType::Tlsa).known() else { continue };
        let associations: Vec<Association> = records.into_iter().filter_map(association).collect();
        let texts: Vec<String> = associations.iter().map(Association::text).collect();
        case.publish(format!("TLSA {name}"), texts.join(" | "));
        if !associations.is_empty() {
            one_set(case, &host, &name, &associations);
        }
    }
}

fn association(record: Rdata) -> Option<Association> {
    match record {
        Rdata::Tlsa { usage, selector, matching, association } => {
            Some(Association { usage, selector, matching, association })
        }
        _ => None,
    }
}

impl Association {
    fn text(&self) -> String {
        format!("{} {} {} {}", self.usage, self.selector, self.matching, self.association)
    }

    fn is_usable(&self) -> bool {
        matches!(self.usage, DANE_TA | DANE_EE) && self.selector <= 1 && self.matching <= 2
    }

    fn matches(&self, der: &[u8]) -> bool {
        let selected = match self.selector {
            0 => Some(der),
            _ => Certificate::read(der).map(|certificate| certificate.key),
        };
        selected.is_some_and(|bytes| self.association.eq_ignore_ascii_case(&digest(self.matching, bytes)))
    }
}

fn digest(matching: u8, bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
    match matching {
        0 => hex(bytes),
        1 => hex(&Sha256::digest(bytes)),
        _ => hex(&Sha512::digest(bytes)),
    }
}

fn one_set(case: &mut Case<'_>, host: &Name, name: &Name, associations: &[Association]) {
    let draft = |title: String, fix: String| Draft::new(title).fix(fix).seen_at(name, RecordType::Tlsa);
    if !case.is_authenticated(name, RecordType::Tlsa) {
        let title = format!("The TLSA records of {host} are not verified by DNSSEC; senders ignore them.");
        let draft = draft(title, format!("sign the zone of {host}, or ask a resolver that validates"));
        case.found(&checks::DANE_UNSIGNED, host, draft);
    }
    for unusable in associations.iter().filter(|association| !association.is_usable()) {
        let what = match unusable.usage {
            PKIX_TA | PKIX_EE => "its usage is one that mail does not have (0 or 1)",
            _ => "its numbers are unknown",
        };
        let title = format!("A TLSA record of {host} is not used for mail: {what}.");
        let draft =
            draft(title, "publish usage 3, selector 1, matching type 1".to_owned()).found(unusable.text());
        case.found(&checks::DANE_UNUSABLE, name, draft);
    }
    let Some(seen) = shown(case, host) else { return };
    if seen.certificates.is_empty() {
        let title = format!("{host} has TLSA records and shows no certificate.");
        let draft = draft(title, "offer STARTTLS, or remove the TLSA records".to_owned());
        return case.found(&checks::DANE_MISMATCH, host, draft);
    }
    let matched = associations.iter().filter(|association| association.is_usable()).any(|association| {
        let reach = if association.usage == DANE_EE { 1 } else { seen.certificates.len() };
        seen.certificates.iter().take(reach).any(|certificate| association.matches(&certificate.der))
    });
    if !matched && associations.iter().any(Association::is_usable) {
        let key = Certificate::read(&seen.certificates[0].der).map(|certificate| digest(1, certificate.key));
        let fix = format!("{name}. TLSA 3 1 1 {}", key.unwrap_or_default());
        let found = associations.iter().map(Association::text).collect::<Vec<_>>().join("\n");
        let title = format!("No TLSA record of {host} matches the certificate that it shows.");
        case.found(&checks::DANE_MISMATCH, host, draft(title, fix).found(found));
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// A certificate made with `openssl req -x509 -newkey ed25519`; the digests below are openssl's.
    const CERTIFICATE: &str = "MIIBSDCB+6ADAgECAhRIHFguvZwmf/ysDQorghxRAvCWMDAFBgMrZXAwGTEXMBUGA1UEAwwObXguZXhhbXBs\
        ZS5jb20wIBcNMjYxMTIxMjEzOTI1WhgPMjEyNjEwMjgyMTM5MjVaMBkxFzAVBgNVBAMMDm14LmV4YW1wbGUuY29tMCowBQYDK2VwAyEAP7RO\
        R1WqTCRAuOB6YmhAF++lMM2CW48mMHgYF4PkNSajUzBRMB0GA1UdDgQWBBTM9M1C5VlIQTF4ZSFceIkirilZWDAfBgNVHSMEGDAWgBTM9M1C\
        5VlIQTF4ZSFceIkirilZWDAPBgNVHRMBAf8EBTADAQH/MAUGAytlcANBAE2xGsoIrXwAgKd0/yWeGqtk0guZEvKROGHK1kUOW1Xe4AYIBJoz\
        tUkSmt4FyjOrRVz8mHrtZfpx73B7Xpch4gY=";
    const KEY_SHA256: &str = "407e1f7161badbdd0cc4f83fdd0a71bcf6cf3aa3ce1cfede6c314291395ffe0f";
    const WHOLE_SHA256: &str = "6168cff6f7fb6d0d35ee29b90d2d95d8a8074a3f3f0ce11594fe14eae1181980";

    #[test]
    fn a_record_matches_the_key_or_the_whole_certificate_by_any_digest() {
        let der = STANDARD.decode(CERTIFICATE).unwrap();
        let matches = |selector, matching, association: &str| {
            let association = association.to_owned();
            Association { usage: DANE_EE, selector, matching, association }.matches(&der)
        };
        assert!(matches(1, 1, KEY_SHA256) && matches(1, 1, &KEY_SHA256.to_uppercase()));
        assert!(matches(0, 1, WHOLE_SHA256));
        assert!(!matches(0, 1, KEY_SHA256) && !matches(1, 2, KEY_SHA256) && !matches(1, 1, WHOLE_SHA256));
        let whole = HEXLOWER.encode(&der);
        assert!(matches(0, 0, &whole) && !matches(1, 0, &whole));
    }
}
