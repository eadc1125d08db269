//! What a run promises to look at, so that "clean" means the same on every machine.

use serde::{Deserialize, Serialize};

use crate::{Surface, Tier, catalogue};

/// A promise of which surfaces are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// All that IMAP and ManageSieve show.
    Remote,
    /// All that the mail host shows: doveadm, files, Postfix.
    Host,
    /// Both.
    Full,
}

impl Profile {
    /// The surfaces that must be covered before a run of this profile may be called clean. A surface without a
    /// collector belongs to none; one that needs something beside the mail server, such as a panel, is for
    /// whoever knows the configuration to add.
    pub fn surfaces(self) -> impl Iterator<Item = &'static Surface> {
        catalogue().1.iter().filter(move |surface| self.wants(surface))
    }

    fn wants(self, surface: &Surface) -> bool {
        let here = match self {
            Self::Remote => surface.tier == Tier::R,
            Self::Host => surface.tier == Tier::S || surface.on_host,
            Self::Full => matches!(surface.tier, Tier::R | Tier::S),
        };
        here && surface.not_collected.is_empty() && surface.needs.is_empty()
    }

    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Remote => "remote",
            Self::Host => "host",
            Self::Full => "full",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(profile: Profile) -> Vec<&'static str> {
        profile.surfaces().map(|surface| surface.id.as_str()).collect()
    }

    #[test]
    fn full_is_both_and_neither_promises_what_nobody_collects() {
        let (remote, host, full) = (ids(Profile::Remote), ids(Profile::Host), ids(Profile::Full));
        assert!(remote.contains(&"imap.metadata") && !remote.contains(&"sieve.files"), "{remote:?}");
        assert!(host.contains(&"sieve.files") && host.contains(&"managesieve.scripts"), "{host:?}");
        assert!(!host.contains(&"imap.metadata"), "{host:?}");
        assert!(remote.iter().chain(&host).all(|id| full.contains(id)), "{full:?}");
        assert!(!full.contains(&"webmail.identities"), "{full:?}");
        assert!(!full.iter().any(|id| id.starts_with("dns.")), "domains have a check of their own: {full:?}");
    }
}
