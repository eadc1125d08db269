//! A Postfix instance as postconf(1) prints it.

use std::collections::{BTreeMap, BTreeSet};

/// What postconf printed. All of it is bounded by whoever ran it.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    /// `postconf -x`: every parameter with the value in force, expanded.
    pub effective: String,
    /// `postconf -n`: what main.cf sets.
    pub set: String,
    /// `postconf -M`: the services of master.cf.
    pub services: String,
    /// `postconf -Px`: what master.cf overrides per service, expanded.
    pub overrides: String,
}

/// One instance.
#[derive(Debug, Clone, Default)]
pub struct Instance {
    effective: BTreeMap<String, String>,
    set: BTreeSet<String>,
    services: Vec<Service>,
}

/// One service of master.cf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name: for `inet` an address and port, or a port.
    pub name: String,
    /// `inet`, `unix`, `pass`, ...
    pub kind: String,
    /// Whether it runs in the queue directory as its root.
    pub chroot: bool,
    /// Its program.
    pub command: String,
    /// Parameters set for it alone.
    pub overrides: BTreeMap<String, String>,
}

impl Instance {
    /// Reads what postconf printed. Lines it cannot make sense of are passed over: postconf prints none.
    #[must_use]
    pub fn parse(texts: &Texts) -> Self {
        let mut services: Vec<Service> = texts.services.lines().filter_map(service).collect();
        for (owner, name, value) in texts.overrides.lines().filter_map(override_of) {
            if let Some(service) = services.iter_mut().find(|service| service.id() == owner) {
                service.overrides.insert(name.to_owned(), value.to_owned());
            }
        }
        let pairs = |text: &str| -> BTreeMap<String, String> {
            text.lines().filter_map(pair).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        Self { effective: pairs(&texts.effective), set: pairs(&texts.set).into_keys().collect(), services }
    }

    /// The value in force; empty for a parameter that this version does not know.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.effective.get(name).map_or("", String::as_str)
    }

    /// Whether this version knows the parameter.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.effective.contains_key(name)
    }

    /// Whether main.cf sets it.
    #[must_use]
    pub fn sets(&self, name: &str) -> bool {
        self.set.contains(name)
    }

    /// The services that run smtpd(8).
    pub fn smtpd_services(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| service.command == "smtpd")
    }

    /// The first service that runs a program.
    #[must_use]
    pub fn service_running(&self, command: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.command == command)
    }
}

impl Service {
    /// As `postconf -P` names it: `submission/inet`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.name, self.kind)
    }

    /// The value in force for this service.
    #[must_use]
    pub fn value<'a>(&'a self, instance: &'a Instance, name: &str) -> &'a str {
        self.overrides.get(name).map_or_else(|| instance.value(name), String::as_str)
    }

    /// Whether users hand in their own mail here (RFC 6409), by the service's name or because it alone takes
    /// logins.
    #[must_use]
    pub fn is_submission(&self) -> bool {
        let port = self.name.rsplit_once(':').map_or(self.name.as_str(), |(_, port)| port);
        matches!(port, "submission" | "submissions" | "smtps" | "587" | "465")
            || self.overrides.get("smtpd_sasl_auth_enable").is_some_and(|value| value == "yes")
    }

    /// `MSA` or `MX`.
    #[must_use]
    pub fn role(&self) -> &'static str {
        if self.is_submission() { "MSA" } else { "MX" }
    }

    /// Whether only this host reaches it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        ["127.", "localhost:", "[::1]:"].iter().any(|start| self.name.starts_with(start))
    }
}

fn pair(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    Some((name.trim(), value.trim()))
}

/// `service/type/parameter = value`. The service itself may hold slashes, the parameter cannot.
fn override_of(line: &str) -> Option<(&str, &str, &str)> {
    let (left, value) = pair(line)?;
    let (owner, name) = left.rsplit_once('/')?;
    Some((owner, name, value))
}

/// name, type, private, unprivileged, chroot, wakeup, maxproc, command. An unset chroot is `n` since Postfix
/// 3.0.
fn service(line: &str) -> Option<Service> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let [name, kind, _, _, chroot, _, _, command, ..] = columns[..] else { return None };
    Some(Service {
        name: name.to_owned(),
        kind: kind.to_owned(),
        chroot: chroot == "y",
        command: command.rsplit('/').next().unwrap_or(command).to_owned(),
        overrides: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_carry_their_overrides() {
        let texts = Texts {
            effective: "biff = no\nrelay_domains =\n".to_owned(),
            set: "biff = no\n".to_owned(),
            services:
                "smtp inet n - y - - smtpd\n127.0.0.1:1/x inet n - n - - smtpd -o a=b\nqmgr unix n - n 300 1 \
                       qmgr\n"
                    .to_owned(),
            overrides: "127.0.0.1:1/x/inet/smtpd_sasl_auth_enable = yes\nother/inet/a = b\n".to_owned(),
        };
        let instance = Instance::parse(&texts);
        let smtpd: Vec<&Service> = instance.smtpd_services().collect();
        assert_eq!(smtpd.iter().map(|service| service.role()).collect::<Vec<_>>(), ["MX", "MSA"]);
        assert!(smtpd[0].chroot && !smtpd[1].chroot && smtpd[1].is_loopback());
        assert_eq!(smtpd[1].value(&instance, "smtpd_sasl_auth_enable"), "yes");
        assert_eq!(smtpd[1].value(&instance, "biff"), "no");
        assert!(instance.sets("biff") && !instance.sets("relay_domains") && instance.knows("relay_domains"));
        assert_eq!(
            (instance.value("relay_domains"), instance.knows("smtpd_forbid_bare_newline")),
            ("", false)
        );
    }
}
