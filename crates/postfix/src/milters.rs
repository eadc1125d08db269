//! Milter addresses and lists of them, as main.cf writes them.

use std::path::{Path, PathBuf};

use crate::lists::{inside, split};

/// One milter of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Milter<'a> {
    pub(crate) address: &'a str,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Milter<'a> {
    /// The value of an option such as `default_action`, which stands before the parameter of main.cf.
    pub(crate) fn option(&self, name: &str) -> Option<&'a str> {
        self.options.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// The milters of a list, in order.
pub(crate) fn milters(value: &str) -> Vec<Milter<'_>> {
    split(value).into_iter().filter_map(milter).collect()
}

fn milter(entry: &str) -> Option<Milter<'_>> {
    let mut words = split(inside(entry)).into_iter();
    let address = words.next()?;
    Some(Milter { address, options: words.filter_map(|word| word.split_once('=')).collect() })
}

/// Where a milter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Unix(PathBuf),
    Inet { host: String, port: String },
}

impl Place {
    /// Reads `unix:PATH`, `inet:HOST:PORT` and, as the gate's own configuration allows, `local:PATH`, `/PATH`
    /// and
    /// `inet:PORT@HOST`.
    pub(crate) fn read(address: &str) -> Option<Self> {
        match address.split_once(':') {
            Some(("unix" | "local", path)) => Some(Self::Unix(path.into())),
            Some(("inet" | "inet6", rest)) => inet(rest),
            _ if address.starts_with('/') => Some(Self::Unix(address.into())),
            _ => None,
        }
    }

    /// The place as a process sees it that lives in `queue` where it is chrooted. Postfix takes a relative
    /// path to begin there in any case.
    pub(crate) fn seen_from(&self, chroot: bool, queue: &Path) -> Self {
        match self {
            Self::Unix(path) if chroot || path.is_relative() => {
                Self::Unix(queue.join(path.strip_prefix("/").unwrap_or(path)))
            }
            other => other.clone(),
        }
    }

    /// Whether a milter that Postfix names `other` can be the one that listens here.
    pub(crate) fn is_meant_by(&self, other: &Self, queue: &Path) -> bool {
        match (self, other) {
            (Self::Unix(listening), Self::Unix(named)) => {
                let seen = |chroot| other.seen_from(chroot, queue) == Self::Unix(listening.clone());
                listening == named || seen(false) || seen(true)
            }
            (Self::Inet { host, port }, Self::Inet { host: named, port: its }) => {
                port == its && (is_any(host) || canonical(host) == canonical(named))
            }
            _ => false,
        }
    }
}

fn inet(rest: &str) -> Option<Place> {
    let (host, port) = match rest.split_once('@') {
        Some((port, host)) => (host, port),
        None => rest.rsplit_once(':')?,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some(Place::Inet { host: host.to_owned(), port: port.to_owned() })
}

fn is_any(host: &str) -> bool {
    matches!(host, "0.0.0.0" | "::")
}

fn canonical(host: &str) -> &str {
    if matches!(host, "localhost" | "::1") { "127.0.0.1" } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(listening: &str, named: &str) -> bool {
        let place = |text| Place::read(text).unwrap();
        place(listening).is_meant_by(&place(named), Path::new("/var/spool/postfix"))
    }

    #[test]
    fn an_entry_may_have_options() {
        let found = milters("inet:127.0.0.1:1 { unix:/run/gate.sock, default_action=accept, x = y }");
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].address, "unix:/run/gate.sock");
        assert_eq!(
            (found[1].option("default_action"), found[0].option("default_action")),
            (Some("accept"), None)
        );
    }

    #[test]
    fn the_gate_is_recognised_in_every_spelling() {
        assert!(meant("unix:/run/gate.sock", "unix:/run/gate.sock"));
        assert!(meant("unix:/var/spool/postfix/gate/sock", "unix:gate/sock"));
        assert!(meant("/var/spool/postfix/gate/sock", "unix:/gate/sock"));
        assert!(meant("inet:8891@localhost", "inet:127.0.0.1:8891"));
        assert!(meant("inet:[::]:8891", "inet:10.0.0.1:8891"));
        assert!(!meant("inet:127.0.0.1:8891", "inet:127.0.0.1:8892"));
        assert!(!meant("unix:/run/gate.sock", "unix:/run/other.sock"));
        assert!(!meant("unix:/run/gate.sock", "inet:127.0.0.1:1"));
    }
}
