//! The tags of a DMARC record (RFC 9989 §4.7).

use crate::text::{Tag, has_version, quoted, tags, twice, value};

/// What becomes of mail that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    None,
    Quarantine,
    Reject,
}

impl Policy {
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Some(Self::None),
            "quarantine" => Some(Self::Quarantine),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    /// A test asks for one step less (RFC 9989 §4.7, tag t).
    fn weaker(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

/// Whether a text claims to be a DMARC record.
pub(crate) fn is_dmarc(text: &str) -> bool {
    has_version(text, "v", "DMARC1")
}

/// A record that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    tags: Vec<Tag>,
}

impl Record {
    /// The error is a clause.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let tags = tags(text).map_err(|part| format!("{} is no `tag=value`", quoted(&part)))?;
        Ok(Self { tags })
    }

    fn policy(&self, name: &str) -> Option<Policy> {
        value(&self.tags, name).and_then(Policy::parse)
    }

    fn asked(&self, names: &[&str]) -> Policy {
        let asked = names.iter().find_map(|name| self.policy(name)).unwrap_or(Policy::None);
        if self.is_test() { asked.weaker() } else { asked }
    }

    /// For the name itself. A record without p is one with p=none.
    pub(crate) fn p(&self) -> Policy {
        self.asked(&["p"])
    }

    /// For names below it.
    pub(crate) fn sp(&self) -> Policy {
        self.asked(&["sp", "p"])
    }

    /// For names below it that do not exist.
    pub(crate) fn np(&self) -> Policy {
        self.asked(&["np", "sp", "p"])
    }

    pub(crate) fn speaks_of_subdomains(&self) -> bool {
        value(&self.tags, "sp").is_some() || value(&self.tags, "np").is_some()
    }

    pub(crate) fn psd(&self) -> Option<&str> {
        value(&self.tags, "psd")
    }

    pub(crate) fn is_test(&self) -> bool {
        value(&self.tags, "t").is_some_and(|value| value.eq_ignore_ascii_case("y"))
    }

    /// The addresses of a reporting tag.
    pub(crate) fn uris(&self, name: &str) -> Vec<&str> {
        let list = value(&self.tags, name).unwrap_or_default();
        list.split(',').map(str::trim).filter(|uri| !uri.is_empty()).collect()
    }

    /// Tags of RFC 7489 that mean nothing any more, and sizes in reporting addresses.
    pub(crate) fn obsolete(&self) -> Vec<String> {
        let removed = ["pct", "rf", "ri"];
        let named =
            self.tags.iter().filter(|tag| removed.contains(&tag.name.as_str())).map(|tag| tag.name.clone());
        let sized =
            ["rua", "ruf"].into_iter().filter(|name| self.uris(name).iter().any(|uri| uri.contains('!')));
        named.chain(sized.map(|name| format!("a size in {name}"))).collect()
    }

    /// What a receiver reads otherwise than its author meant, each a clause.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match value(&self.tags, "p") {
            None => faults.push("it has no p; receivers take it for p=none".to_owned()),
            Some(_) if self.tags.get(1).is_none_or(|tag| tag.name != "p") => {
                faults.push("p does not follow the version; older receivers ignore the record".to_owned());
            }
            Some(_) => {}
        }
        for name in ["p", "sp", "np"] {
            if let Some(text) = value(&self.tags, name).filter(|text| Policy::parse(text).is_none()) {
                faults.push(format!("{name}={} is no policy", quoted(text)));
            }
        }
        for name in ["adkim", "aspf"] {
            if let Some(text) = value(&self.tags, name).filter(|text| !matches!(*text, "r" | "s")) {
                faults.push(format!("{name}={} is neither r nor s", quoted(text)));
            }
        }
        faults.extend(twice(&self.tags).map(|name| format!("{} stands twice", quoted(name))));
        const KNOWN: [&str; 15] =
            ["v", "p", "sp", "np", "t", "psd", "adkim", "aspf", "rua", "ruf", "fo", "pct", "rf", "ri", "x"];
        let unknown = self.tags.iter().filter(|tag| !KNOWN.contains(&tag.name.as_str()));
        faults.extend(unknown.map(|tag| format!("{} is no tag and is ignored", quoted(&tag.name))));
        faults.truncate(MAX_FAULTS);
        faults
    }
}

/// Most faults of one record that are told.
const MAX_FAULTS: usize = 8;

/// Whether two records say the same, but for order, spaces and letter case of names.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let sorted = |text: &str| {
        let mut tags = tags(text).ok()?;
        tags.sort_by(|a, b| (&a.name, &a.value).cmp(&(&b.name, &b.value)));
        Some(tags)
    };
    sorted(one).is_some_and(|one| Some(one) == sorted(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_applies_below_follows_np_sp_p() {
        let record = Record::parse("v=DMARC1; p=reject; sp=none").unwrap();
        assert_eq!((record.p(), record.sp(), record.np()), (Policy::Reject, Policy::None, Policy::None));
        let record = Record::parse("v=DMARC1; p=none; np=reject").unwrap();
        assert_eq!((record.sp(), record.np()), (Policy::None, Policy::Reject));
        let record = Record::parse("v=DMARC1; p=reject; t=y").unwrap();
        assert_eq!(record.p(), Policy::Quarantine);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("v=DMARC1; p=reject", ""),
            ("v=DMARC1; sp=reject", "it has no p; receivers take it for p=none"),
            (
                "v=DMARC1; rua=mailto:a@b.test; p=none",
                "p does not follow the version; older receivers ignore the record",
            ),
            ("v=DMARC1; p=rejct", "p=`rejct` is no policy"),
            ("v=DMARC1; p=none; aspf=strict", "aspf=`strict` is neither r nor s"),
            ("v=DMARC1; p=none; sp=none; sp=reject", "`sp` stands twice"),
            ("v=DMARC1; p=none; ruaa=x", "`ruaa` is no tag and is ignored"),
        ] {
            assert_eq!(Record::parse(text).unwrap().faults().join("; "), expected, "{text}");
        }
        assert_eq!(Record::parse("v=DMARC1; p").unwrap_err(), "`p` is no `tag=value`");
        let old = Record::parse("v=DMARC1; p=none; pct=50; ri=1; rua=mailto:a@b.test!10m").unwrap();
        assert_eq!(old.obsolete(), ["pct", "ri", "a size in rua"]);
        assert!(same("v=DMARC1;p=reject; sp=none", "v=DMARC1; sp=none; P=reject;"));
        assert!(!same("v=DMARC1; p=reject", "v=DMARC1; p=none"));
    }
}
