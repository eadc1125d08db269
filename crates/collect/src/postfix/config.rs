//! What an instance is configured with: asked from `postconf`, or read from its printed output.

use std::collections::BTreeMap;
use std::path::Path;

use super::{MAX_PARAMETER, PostfixPlan, instance};
use crate::CollectError;

/// Deepest nesting of `$name` in an exported value, and most references filled in for it.
const MAX_DEPTH: u32 = 20;
const MAX_REFERENCES: u32 = 10_000;
/// What Postfix assumes where an exported `postconf -n` says nothing.
const DEFAULTS: [(&str, &str); 18] = [
    ("alias_maps", "hash:/etc/aliases"),
    ("allow_mail_to_commands", "alias, forward"),
    ("allow_mail_to_files", "alias, forward"),
    ("virtual_alias_maps", "$virtual_maps"),
    ("forward_path", "$home/.forward${recipient_delimiter}${extension}, $home/.forward"),
    ("mydestination", "$myhostname, localhost.$mydomain, localhost"),
    ("default_transport", "smtp"),
    ("local_transport", "local:$myhostname"),
    ("relay_transport", "relay"),
    ("virtual_transport", "virtual"),
    ("myhostname", "localhost"),
    ("mydomain", "localdomain"),
    ("smtpd_sasl_auth_enable", "no"),
    ("smtpd_sasl_type", "cyrus"),
    ("smtpd_sasl_path", "smtpd"),
    ("queue_directory", "/var/spool/postfix"),
    ("nested_header_checks", "$header_checks"),
    ("mime_header_checks", "$header_checks"),
];

/// A service of master.cf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// Its name, which is also that of a transport.
    pub(super) name: String,
    /// `inet`, `unix`, ...
    pub(super) kind: String,
    /// The program with its arguments.
    pub(super) command: String,
}

/// All that was said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Config {
    values: BTreeMap<String, String>,
    /// Service, parameter, value.
    pub(super) overrides: Vec<(String, String, String)>,
    pub(super) services: Vec<Service>,
    /// Whether master.cf was there.
    pub(super) knows_services: bool,
}

impl Config {
    /// What `postconf` says, or what it had said when it was exported.
    pub(super) async fn read(plan: &PostfixPlan) -> Result<Self, CollectError> {
        match &plan.export {
            Some(directory) => Self::exported(plan, directory),
            None => {
                let said = instance::settings(plan).await?;
                Ok(Self {
                    values: assignments(&said.effective),
                    overrides: overrides(&said.overrides),
                    services: services(&said.services),
                    knows_services: true,
                })
            }
        }
    }

    /// `postconf-n.txt`, and where they are there `postconf-M.txt` and `postconf-P.txt`.
    fn exported(plan: &PostfixPlan, directory: &Path) -> Result<Self, CollectError> {
        let read = |name: &str| plan.files.read(Path::new(name), MAX_PARAMETER as u64);
        let set = read("postconf-n.txt").map_err(|error| {
            let doing = format!("reading {}", directory.join("postconf-n.txt").display());
            let next = "export it with `postconf -n > postconf-n.txt`";
            CollectError::configuration(&plan.source(), &doing, error, next)
        })?;
        let text = |read: std::io::Result<(Vec<u8>, bool)>| {
            read.ok().map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned())
        };
        let raw = assignments(&String::from_utf8_lossy(&set.0));
        let services_text = text(read("postconf-M.txt"));
        let expand = |value: &str| expanded(value, &raw);
        let overridden = overrides(&text(read("postconf-P.txt")).unwrap_or_default());
        let names = DEFAULTS.iter().map(|(name, _)| (*name).to_owned()).chain(raw.keys().cloned());
        Ok(Self {
            values: names.map(|name| (name.clone(), expand(&format!("${name}")))).collect(),
            overrides: overridden.into_iter().map(|(of, name, value)| (of, name, expand(&value))).collect(),
            knows_services: services_text.is_some(),
            services: services(&services_text.unwrap_or_default()),
        })
    }

    /// The value of a parameter, blank where it is not set.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }
}

fn assignments(text: &str) -> BTreeMap<String, String> {
    let one = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(one).collect()
}

/// `service/type/parameter = value`. The service itself may hold slashes, the parameter cannot.
fn overrides(text: &str) -> Vec<(String, String, String)> {
    let split = |line: &str| {
        let (left, value) = line.split_once('=')?;
        let (service, name) = left.trim().rsplit_once('/')?;
        Some((service.to_owned(), name.to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(split).collect()
}

/// The columns of master(5): name, type, private, unprivileged, chroot, wakeup, maxproc, command.
fn services(text: &str) -> Vec<Service> {
    let one = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (name, kind) = (words.next()?.to_owned(), words.next()?.to_owned());
        let command = words.skip(5).collect::<Vec<_>>().join(" ");
        (!command.is_empty() && !name.starts_with('#')).then_some(Service { name, kind, command })
    };
    text.lines().filter_map(one).collect()
}

/// `$name`, `${name}`, `$(name)`, `${name?text}` and `${name:text}` (postconf(5)). What is filled in at delivery,
/// such as `$home`, stays as it is.
fn expanded(value: &str, set: &BTreeMap<String, String>) -> String {
    Expander { set, left: MAX_REFERENCES }.expand(value, MAX_DEPTH)
}

/// Parameters that refer to each other could take for ever; then the rest stays as it is written.
struct Expander<'a> {
    set: &'a BTreeMap<String, String>,
    left: u32,
}

impl Expander<'_> {
    fn expand(&mut self, value: &str, depth: u32) -> String {
        let mut text = String::new();
        let mut rest = value;
        while let Some(at) = rest.find('$') {
            text.push_str(&rest[..at]);
            let (whole, name, behind) = reference(&rest[at..]);
            text.push_str(&self.resolved(whole, name, depth));
            rest = behind;
            if text.len() > MAX_PARAMETER {
                return text;
            }
        }
        text + rest
    }

    fn resolved(&mut self, whole: &str, name: &str, depth: u32) -> String {
        if name.is_empty() || depth == 0 || self.left == 0 {
            return whole.to_owned();
        }
        self.left -= 1;
        let (name, choice) = match name.find(['?', ':']) {
            Some(at) => (&name[..at], Some((name.as_bytes()[at], &name[at + 1..]))),
            None => (name, None),
        };
        let fallback = || DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let known = self.set.get(name).map(String::as_str).or_else(fallback);
        match (choice, known) {
            (Some((b'?', text)), _) if known.is_some_and(|value| !value.is_empty()) => {
                self.expand(text, depth - 1)
            }
            (Some((b'?', _)), _) => String::new(),
            (Some((_, text)), None | Some("")) => self.expand(text, depth - 1),
            (_, Some(value)) => self.expand(value, depth - 1),
            (None, None) if is_of_delivery(name) => whole.to_owned(),
            (None, None) => String::new(),
        }
    }
}

/// The reference at the beginning of a text: all of it, what stands between its braces, what follows.
fn reference(text: &str) -> (&str, &str, &str) {
    let close = match text.as_bytes().get(1) {
        Some(b'{') => text.find('}'),
        Some(b'(') => text.find(')'),
        Some(b'$') => return (&text[..2], "", &text[2..]),
        _ => None,
    };
    if let Some(close) = close {
        return (&text[..=close], &text[2..close], &text[close + 1..]);
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text[1..].find(|c: char| !is_name(c)).map_or(text.len(), |end| end + 1);
    (&text[..end], &text[1..end], &text[end..])
}

/// What local(8) and the filters fill in themselves.
fn is_of_delivery(name: &str) -> bool {
    const NAMES: [&str; 8] =
        ["home", "user", "shell", "recipient", "extension", "domain", "local", "recipient_delimiter"];
    NAMES.contains(&name) || name.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn overrides_name_their_service() {
        let output =
            "127.0.0.1:2525/inet/virtual_alias_maps = hash:/a\nsubmission/inet/syslog_name = x=y\nodd\n";
        let got = overrides(output);
        assert_eq!(got[0].0, "127.0.0.1:2525/inet");
        assert_eq!((got[0].1.as_str(), got[0].2.as_str()), ("virtual_alias_maps", "hash:/a"));
        assert_eq!(got[1].2, "x=y");
        assert_eq!(got.len(), 2);
    }

    #[test]
    fn exported_values_are_filled_in_as_postconf_fills_them_in() {
        let set = assignments(
            "base = /etc\nmaps = hash:$base/a ${more?hash:/b} ${none:hash:/c}\nmore = x\nloop = $loop\n",
        );
        assert_eq!(expanded("$maps", &set), "hash:/etc/a hash:/b hash:/c");
        assert_eq!(expanded("$(base)/x$$1", &set), "/etc/x$$1");
        assert_eq!(expanded("$home/.f", &set), "$home/.f");
        assert_eq!(expanded("a$gone.b", &set), "a.b");
        assert_eq!(expanded("$loop", &set), "$loop");
    }

    #[test]
    fn services_have_their_command() {
        let text = "smtp       inet  n       -       y       -       -       smtpd\n\
                    archive    unix  -       n       n       -       -       pipe flags=F user=x argv=/bin/a b\n# x\n";
        let got = services(text);
        assert_eq!((got[0].name.as_str(), got[0].command.as_str()), ("smtp", "smtpd"));
        assert_eq!(got[1].command, "pipe flags=F user=x argv=/bin/a b");
        assert_eq!(got.len(), 2);
    }

    proptest! {
        #[test]
        fn any_value_is_filled_in_and_ends(value in "[a-z${}()?:, \u{e9}]{0,40}", other in "[a$b{}c]{0,20}") {
            let set = BTreeMap::from([("a".to_owned(), other), ("b".to_owned(), "$a".to_owned())]);
            let _ = expanded(&value, &set);
        }
    }
}
