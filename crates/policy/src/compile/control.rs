//! The records of control: factsheets, accounts at vendors, exceptions, signing keys, the responsibility
//! table.

use chrono::{DateTime, TimeDelta, Utc};
use mailwarden_address::Address;

use super::{Compiler, Place};
use crate::control::{AcceptedGrant, AcceptedLint, Factsheet, Published, VendorAccount};
use crate::diagnostic::Source;
use crate::lints::lints;
use crate::model::Exception;
use crate::raci::{Raci, RawRaci, effective};
use crate::raw::{RawDomain, RawException, RawVendor, Text};
use crate::written::Spanned;

/// How long an exception holds when it says when it was approved and not until when.
const USUAL_EXCEPTION: TimeDelta = TimeDelta::days(90);
/// Nothing is accepted for longer without another look.
const LONGEST_EXCEPTION: TimeDelta = TimeDelta::days(365);
/// Key types of `ssh-keygen -Y`; a text that is none of them would be an option of the allowed signers file.
const SSH_KEY_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

impl Compiler {
    pub(super) fn factsheet(&mut self, source: &Source, raw: &mut RawDomain) -> Factsheet {
        Factsheet {
            registrar: raw.registrar.take(),
            registrar_admins: self.addresses(source, &raw.registrar_admins),
            registrar_mfa: raw.registrar_mfa,
            registration_expires: raw.registration_expires.take().map(|moment| moment.into_inner().0),
            dns_provider: raw.dns_provider.take(),
            dns_admins: self.addresses(source, &raw.dns_admins),
            dns_mfa: raw.dns_mfa,
            mx: self.values(source, &raw.mx),
            outbound: raw.outbound.take(),
            spf: raw.spf.take(),
            dkim_selectors: std::mem::take(&mut raw.dkim_selectors),
            dmarc: raw.dmarc.take().map(Spanned::into_inner),
            catch_all: raw.catch_all.take().map(Spanned::into_inner),
            published: Published {
                dmarc_reports: self.addresses(source, &raw.dmarc_reports),
                tls_reports: self.addresses(source, &raw.tls_reports),
                mta_sts: raw.mta_sts,
                caa_issuers: std::mem::take(&mut raw.caa_issuers),
            },
        }
    }

    /// Most vendors of a large policy have no record of their account; those cost a pointer.
    pub(super) fn account(&mut self, source: &Source, raw: &mut RawVendor) -> Option<Box<VendorAccount>> {
        let account = VendorAccount {
            login: raw.login.take().map(Spanned::into_inner),
            shared_reason: raw.shared_reason,
            login_holders: self.people(source, &raw.login_holders),
            account_owner: self.optional_person(source, raw.account_owner.as_ref()),
            billing_route: raw.billing_route.take().map(Spanned::into_inner),
            billing_rule: raw.billing_rule.take().filter(|rule| !rule.trim().is_empty()),
        };
        let empty = account.login.is_none()
            && account.shared_reason.is_none()
            && account.login_holders.is_empty()
            && account.account_owner.is_none()
            && account.billing_route.is_none()
            && account.billing_rule.is_none();
        (!empty).then(|| Box::new(account))
    }

    fn people(&mut self, source: &Source, written: &[Text]) -> Vec<Address> {
        written.iter().filter_map(|text| self.person_reference(source, text)).collect()
    }

    // --- people -------------------------------------------------------------------------------------------------

    /// Two people behind one login could approve each other's actions.
    pub(super) fn claim_unix_user(&mut self, place: Place, name: &str, at: usize) {
        if let Some(&first) = self.policy.unix_users.get(name) {
            let other = self.policy.people.get(first).map_or("somebody else", |person| person.name.as_str());
            let message = format!("the Unix user `{name}` belongs to {other} already");
            self.error("policy.duplicate-unix-user", place, message, "give each person a login of their own");
        } else {
            self.policy.unix_users.insert(name.to_owned(), at);
        }
    }

    pub(super) fn ssh_keys(&mut self, source: &Source, written: Vec<Text>) -> Vec<String> {
        let mut keys = Vec::new();
        for text in written {
            if is_ssh_key(text.get_ref()) {
                keys.push(text.into_inner());
                continue;
            }
            self.error(
                "policy.bad-ssh-key",
                Place::of(source, &text),
                "this is not an OpenSSH public key",
                "paste the one line of the .pub file, e.g. \"ssh-ed25519 AAAA... jane\"",
            );
        }
        keys
    }

    // --- the responsibility table -------------------------------------------------------------------------------

    pub(super) fn raci(&mut self, source: &Source, raw: Option<RawRaci>) -> Raci {
        let Some(raw) = raw else { return Raci::default() };
        let (act_as, written) = raw.rules();
        let mut raci = Raci { act_as, ..Raci::default() };
        for (action, rule) in written {
            let place = Place::of(source, &rule);
            match effective(action, rule.into_inner()) {
                Ok(rule) => drop(raci.rules.insert(action, rule)),
                Err(message) => self.error(
                    "policy.raci-bypass",
                    place,
                    message,
                    "remove the line to keep the default, or ask for more than the default",
                ),
            }
        }
        raci
    }

    // --- exceptions ---------------------------------------------------------------------------------------------

    pub(super) fn exception(&mut self, source: &Source, client: usize, raw: Spanned<RawException>) {
        let place = Place::of(source, &raw);
        let raw = raw.into_inner();
        let approver = self.person_reference(source, &raw.approver);
        let expires = self.expiry(source, &place, &raw);
        let reason = self.filled(source, raw.reason);
        let (Some(approver), Some(expires), Some(reason)) = (approver, expires, reason) else { return };
        let ticket = raw.ticket;
        match (raw.fingerprint, raw.content_hash, raw.mailbox, raw.grantee, raw.lint, raw.subject) {
            (Some(fingerprint), Some(content_hash), None, None, None, None) => {
                let (fingerprint, content_hash) =
                    (self.filled(source, fingerprint), self.filled(source, content_hash));
                let (Some(fingerprint), Some(content_hash)) = (fingerprint, content_hash) else { return };
                self.policy.exceptions.push(Exception {
                    client,
                    fingerprint,
                    content_hash,
                    reason,
                    ticket,
                    approver,
                    expires,
                });
            }
            (None, None, Some(mailbox), Some(grantee), None, None) => {
                let (mailbox, grantee) = (self.value(source, &mailbox), self.value(source, &grantee));
                let (Some(mailbox), Some(grantee)) = (mailbox, grantee) else { return };
                let grant = AcceptedGrant { client, mailbox, grantee, reason, ticket, approver, expires };
                self.policy.accepted_grants.push(grant);
            }
            (None, None, None, None, Some(lint), Some(subject)) => {
                if !lints().any(|known| known.id == lint.get_ref()) {
                    return self.error(
                        "policy.unknown-lint",
                        Place::of(source, &lint),
                        format!("there is no lint `{}`", lint.get_ref()),
                        "docs/reference/lints lists them; `mailwarden check` names the one it reports",
                    );
                }
                self.policy.accepted_lints.push(AcceptedLint {
                    client,
                    lint: lint.into_inner(),
                    subject: subject.into_inner(),
                    expires,
                });
            }
            _ => self.error(
                "policy.exception-target",
                place,
                "an exception accepts exactly one thing",
                "write `fingerprint` and `content_hash` (a finding), `mailbox` and `grantee` (an access), or \
                 `lint` and `subject` (a lint)",
            ),
        }
    }

    fn expiry(&mut self, source: &Source, place: &Place, raw: &RawException) -> Option<DateTime<Utc>> {
        let approved = raw.approved.as_ref().map(|moment| moment.get_ref().0);
        match (approved, &raw.expires) {
            (Some(approved), None) => Some(approved + USUAL_EXCEPTION),
            (Some(approved), Some(expires)) if expires.get_ref().0 > approved + LONGEST_EXCEPTION => {
                self.error(
                    "policy.exception-too-long",
                    Place::of(source, expires),
                    "an exception holds for at most 365 days",
                    format!("write a date up to {}", (approved + LONGEST_EXCEPTION).format("%Y-%m-%d")),
                );
                None
            }
            (_, Some(expires)) => Some(expires.get_ref().0),
            (None, None) => {
                self.error(
                    "policy.exception-without-end",
                    place.clone(),
                    "nobody can tell how long this exception holds",
                    "add `approved = 2026-01-28` (it then holds for 90 days), or `expires = ...`",
                );
                None
            }
        }
    }
}

/// `type base64 comment`, on one line.
fn is_ssh_key(text: &str) -> bool {
    let mut words = text.split(' ');
    let (kind, body) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    SSH_KEY_TYPES.contains(&kind)
        && body.len() >= 40
        && body.bytes().all(is_base64)
        && !text.contains(char::is_control)
}
