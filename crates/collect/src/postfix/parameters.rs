//! Which parameters of Postfix move, copy, rewrite, hide or authorise mail, and how each is written (postconf(5)).

/// Surfaces by what is done there.
pub(super) mod surface {
    pub(in super::super) const ALIASES: &str = "postfix.alias_maps";
    pub(in super::super) const VIRTUAL: &str = "postfix.virtual_alias_maps";
    pub(in super::super) const BCC: &str = "postfix.bcc_maps";
    pub(in super::super) const SENDERS: &str = "postfix.sender_login_maps";
    pub(in super::super) const REWRITING: &str = "postfix.rewriting";
    pub(in super::super) const TRANSPORT: &str = "postfix.transport";
    pub(in super::super) const CHECKS: &str = "postfix.content_checks";
    pub(in super::super) const FILTERS: &str = "postfix.filters";
    pub(in super::super) const FORWARD: &str = "postfix.forward_files";
    pub(in super::super) const QUEUE: &str = "postfix.queue";
    pub(in super::super) const SASL: &str = "postfix.sasl";
}

use surface::{ALIASES, BCC, CHECKS, FILTERS, FORWARD, REWRITING, SENDERS, TRANSPORT, VIRTUAL};

/// How a parameter's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A list of tables.
    Maps,
    /// A list of tables in the form of aliases(5).
    Aliases,
    /// A value of its own.
    Plain,
    /// A list of restrictions, some of which name tables or services.
    Restrictions,
}

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) surface: &'static str,
    pub(super) kind: Kind,
}

const fn maps(name: &'static str, surface: &'static str) -> Parameter {
    Parameter { name, surface, kind: Kind::Maps }
}

const fn plain(name: &'static str, surface: &'static str) -> Parameter {
    Parameter { name, surface, kind: Kind::Plain }
}

const fn restrictions(name: &'static str) -> Parameter {
    Parameter { name, surface: CHECKS, kind: Kind::Restrictions }
}

/// All that are read.
pub(super) const PARAMETERS: [Parameter; 58] = [
    Parameter { name: "alias_maps", surface: ALIASES, kind: Kind::Aliases },
    plain("allow_mail_to_commands", ALIASES),
    plain("allow_mail_to_files", ALIASES),
    maps("virtual_alias_maps", VIRTUAL),
    maps("recipient_bcc_maps", BCC),
    maps("sender_bcc_maps", BCC),
    plain("always_bcc", BCC),
    maps("smtpd_sender_login_maps", SENDERS),
    maps("relay_clientcerts", SENDERS),
    maps("canonical_maps", REWRITING),
    maps("recipient_canonical_maps", REWRITING),
    maps("sender_canonical_maps", REWRITING),
    maps("smtp_generic_maps", REWRITING),
    maps("lmtp_generic_maps", REWRITING),
    maps("relocated_maps", REWRITING),
    maps("transport_maps", TRANSPORT),
    maps("sender_dependent_relayhost_maps", TRANSPORT),
    maps("sender_dependent_default_transport_maps", TRANSPORT),
    maps("mailbox_transport_maps", TRANSPORT),
    maps("fallback_transport_maps", TRANSPORT),
    maps("mailbox_command_maps", TRANSPORT),
    maps("virtual_mailbox_maps", TRANSPORT),
    plain("relayhost", TRANSPORT),
    plain("default_transport", TRANSPORT),
    plain("local_transport", TRANSPORT),
    plain("virtual_transport", TRANSPORT),
    plain("relay_transport", TRANSPORT),
    plain("mailbox_transport", TRANSPORT),
    plain("fallback_transport", TRANSPORT),
    plain("fallback_relay", TRANSPORT),
    plain("smtp_fallback_relay", TRANSPORT),
    plain("mailbox_command", TRANSPORT),
    plain("luser_relay", TRANSPORT),
    maps("header_checks", CHECKS),
    maps("mime_header_checks", CHECKS),
    maps("nested_header_checks", CHECKS),
    maps("body_checks", CHECKS),
    maps("milter_header_checks", CHECKS),
    maps("smtp_header_checks", CHECKS),
    maps("smtp_mime_header_checks", CHECKS),
    maps("smtp_nested_header_checks", CHECKS),
    maps("smtp_body_checks", CHECKS),
    restrictions("smtpd_client_restrictions"),
    restrictions("smtpd_helo_restrictions"),
    restrictions("smtpd_sender_restrictions"),
    restrictions("smtpd_relay_restrictions"),
    restrictions("smtpd_recipient_restrictions"),
    restrictions("smtpd_data_restrictions"),
    restrictions("smtpd_end_of_data_restrictions"),
    restrictions("smtpd_etrn_restrictions"),
    plain("content_filter", FILTERS),
    plain("smtpd_proxy_filter", FILTERS),
    plain("smtpd_milters", FILTERS),
    plain("non_smtpd_milters", FILTERS),
    maps("smtpd_command_filter", FILTERS),
    plain("forward_path", FORWARD),
    plain("mydestination", FORWARD),
    plain("recipient_delimiter", FORWARD),
];

/// The parameter of a name.
pub(super) fn named(name: &str) -> Option<Parameter> {
    PARAMETERS.iter().find(|parameter| parameter.name == name).copied()
}

/// One thing that a list of restrictions hands mail to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Restriction {
    /// A table, by the restriction that asks it, e.g. `check_sender_access`.
    Table { by: String, table: String },
    /// A policy service.
    Service(String),
}

/// How many braces within braces are looked into; Postfix itself has a use for one.
const MAX_BRACES: usize = 8;

/// The tables and services that a list names (postconf(5), `check_*_access` and `check_policy_service`).
pub(super) fn restrictions_of(value: &str) -> Vec<Restriction> {
    restrictions_within(value, MAX_BRACES)
}

fn restrictions_within(value: &str, braces: usize) -> Vec<Restriction> {
    let mut found = Vec::new();
    let mut by: Option<String> = None;
    for word in super::tables::split_list(value) {
        let bare = word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match by.take() {
            Some(by) if by == "check_policy_service" => {
                let service = bare.and_then(|inner| super::tables::split_list(inner).into_iter().next());
                found.push(Restriction::Service(service.unwrap_or(word)));
            }
            Some(by) => found.push(Restriction::Table { by, table: word }),
            None if bare.is_some() => {
                let inner = bare.filter(|_| braces > 0).into_iter();
                found.extend(inner.flat_map(|inner| restrictions_within(inner, braces - 1)));
            }
            None if asks(&word) => by = Some(word),
            None => {}
        }
    }
    found
}

fn asks(word: &str) -> bool {
    word == "check_policy_service" || (word.starts_with("check_") && word.ends_with("_access"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restrictions_name_tables_and_services() {
        let value = "permit_mynetworks, check_sender_access hash:/a\n check_policy_service {unix:p, timeout=1s} \
                     check_recipient_access { check_x, y } reject_unauth_destination, \
                     { check_client_access cidr:/c, reject } check_policy_service inet:10.0.0.1:1";
        let table = |by: &str, table: &str| Restriction::Table { by: by.into(), table: table.into() };
        assert_eq!(
            restrictions_of(value),
            [
                table("check_sender_access", "hash:/a"),
                Restriction::Service("unix:p".into()),
                table("check_recipient_access", "{ check_x, y }"),
                table("check_client_access", "cidr:/c"),
                Restriction::Service("inet:10.0.0.1:1".into()),
            ]
        );
    }

    #[test]
    fn every_parameter_is_named_once() {
        let mut names: Vec<_> = PARAMETERS.iter().map(|parameter| parameter.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PARAMETERS.len());
        assert_eq!(named("always_bcc").map(|known| known.kind), Some(Kind::Plain));
    }
}
