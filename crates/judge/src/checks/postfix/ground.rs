//! What the rows of an instance are judged against: what else was seen of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use mailwarden_address::{Address, Domain};
use mailwarden_evidence::Fact;

use super::entry::INCLUDE;
use crate::brief::Brief;

/// The instance as a whole.
pub(super) struct Ground<'a> {
    pub(super) brief: &'a Brief<'a>,
    /// Lists that aliases include and that were read.
    lists: BTreeSet<&'a str>,
    /// Services of master.cf that hand mail to a program, with the command.
    programs: BTreeMap<&'a str, &'a str>,
    /// `allow_mail_to_commands`.
    pub(super) commands: Option<&'a str>,
    /// `allow_mail_to_files`.
    pub(super) files: Option<&'a str>,
}

/// Where a host stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// This machine, a private network, or a host of a domain of ours.
    Own,
    /// Anywhere else.
    Outside,
}

impl<'a> Ground<'a> {
    pub(super) fn of(brief: &'a Brief<'a>) -> Self {
        let (mut lists, mut programs) = (BTreeSet::new(), BTreeMap::new());
        let (mut commands, mut files) = (None, None);
        for seen in brief.observations {
            match &seen.fact {
                Fact::Setting { name, .. } => lists.extend(name.strip_prefix(INCLUDE)),
                Fact::Parameter { name, value } if name == "allow_mail_to_commands" => {
                    commands = Some(&**value);
                }
                Fact::Parameter { name, value } if name == "allow_mail_to_files" => files = Some(&**value),
                Fact::Parameter { name, value } => {
                    programs.extend(name.strip_prefix("master.cf/").map(|service| (service, value.as_str())));
                }
                _ => {}
            }
        }
        Self { brief, lists, programs, commands, files }
    }

    /// Whether the entries of a list are among what was seen.
    pub(super) fn has_read(&self, path: &str) -> bool {
        self.lists.contains(path)
    }

    /// The program behind a service of master.cf.
    pub(super) fn program(&self, service: &str) -> Option<&'a str> {
        self.programs.get(service).copied()
    }

    /// Where a host stands, as transports and filters spell it: `[host]:port`, `host`, `inet:host:port`.
    pub(super) fn place(&self, destination: &str) -> Place {
        let host = host_of(destination);
        if host.is_empty() || !host.contains(['.', ':']) {
            // A bare name is known to this machine or its network only.
            return Place::Own;
        }
        match (host.parse::<IpAddr>(), Domain::parse(host)) {
            (Ok(address), _) if is_near(address) => Place::Own,
            (Err(_), Ok(domain)) if self.brief.policy.is_under_ours(&domain) => Place::Own,
            (Err(_), _) if host.ends_with(".localdomain") || host.ends_with(".internal") => Place::Own,
            _ => Place::Outside,
        }
    }

    /// Whether a key speaks of addresses of ours: one address, `@domain`, `domain`, `.domain`, or everything.
    pub(super) fn is_ours(&self, key: Option<&str>) -> bool {
        let Some(key) = key.filter(|key| *key != "*") else { return true };
        let domain = match Address::parse(key) {
            Ok(address) => Some(address.domain().clone()),
            Err(_) => Domain::parse(key.trim_start_matches(['@', '.'])).ok(),
        };
        domain.is_some_and(|domain| self.brief.policy.is_ours(&domain))
    }
}

/// The host of a destination, without port and brackets.
pub(super) fn host_of(destination: &str) -> &str {
    let rest =
        destination.strip_prefix("inet:").or(destination.strip_prefix("inet6:")).unwrap_or(destination);
    match rest.strip_prefix('[') {
        Some(inner) => {
            let host = inner.split(']').next().unwrap_or_default();
            host.strip_prefix("ipv6:").or(host.strip_prefix("IPv6:")).unwrap_or(host)
        }
        None if rest.matches(':').count() > 1 && rest.parse::<IpAddr>().is_ok() => rest,
        None => rest.split([':', ',']).next().unwrap_or_default(),
    }
}

fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{example_policy, run};

    #[test]
    fn hosts_stand_where_their_name_or_address_puts_them() {
        let (policy, run) = (example_policy(), run());
        let brief = Brief { run: &run, policy: &policy, observations: &[], coverage: &[] };
        let ground = Ground::of(&brief);
        for own in [
            "",
            "[127.0.0.1]:10025",
            "inet:10.1.2.3:1",
            "dovecot",
            "[dovecot]:24",
            "mx.example.test",
            "[::1]",
            "inet:localhost:8891",
            "[ipv6:fd00::1]:25",
        ] {
            assert_eq!(ground.place(own), Place::Own, "{own}");
        }
        for outside in
            ["[198.51.100.7]", "mx.evil.example:25", "inet:relay.evil.example:10025", "[2001:db8::1]"]
        {
            assert_eq!(ground.place(outside), Place::Outside, "{outside}");
        }
        assert!(ground.is_ours(None) && ground.is_ours(Some("@example.test")) && ground.is_ours(Some("*")));
        assert!(!ground.is_ours(Some("gmail.example")) && !ground.is_ours(Some("")));
    }
}
