//! The surface catalogue: every place where access can outlive a password, as data.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stable surface name such as `imap.acl`; it outlives wording and order of the catalogue.
pub type SurfaceId = String;

/// From where a surface can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// Remotely, by IMAP, ManageSieve or JMAP.
    R,
    /// On the mail host: doveadm, files, postconf, SQL.
    S,
    /// From events the servers export.
    E,
    /// From the messages that pass the milter.
    M,
    /// In the name service, at the hosts that it names and at the registry: of a domain, not of a mailbox.
    D,
}

/// One row of the catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// Stable name.
    pub id: SurfaceId,
    /// From where it is seen.
    pub tier: Tier,
    /// Whether the mail host shows it too, where it belongs to another tier.
    #[serde(default)]
    pub on_host: bool,
    /// How it is abused, one sentence.
    pub abuse: String,
    /// How it is enumerated.
    pub enumerate: String,
    /// How an entry is removed.
    pub remove: String,
    /// What else the removal does.
    pub side_effects: String,
    /// Software that writes the entry again from a store of its own.
    #[serde(default)]
    pub regenerated_by: Vec<String>,
    /// ATT&CK technique identifiers, of the version named at the top of the catalogue.
    pub attack: Vec<String>,
    /// Why no collector looks here yet; empty where one does.
    #[serde(default)]
    pub not_collected: String,
    /// The part of the configuration without which there is nothing to look at; no profile promises the surface
    /// unless it is there. Empty where the mail server itself is enough.
    #[serde(default)]
    pub needs: String,
}

impl Surface {
    /// The row of the reference, in Markdown.
    fn section(&self) -> String {
        let from = match self.tier {
            Tier::R if self.on_host => "R, and on the mail host (S)".to_owned(),
            tier => format!("{tier:?}"),
        };
        let covered = match (self.not_collected.as_str(), self.needs.as_str()) {
            ("", "") => "yes".to_owned(),
            ("", needs) => format!("where the configuration has `{needs}`"),
            (why, _) => format!("no: {why}"),
        };
        let list = |values: &[String]| if values.is_empty() { "-".to_owned() } else { values.join(", ") };
        format!(
            "## {}\n\n{}\n\n- seen from: {from}\n- covered: {covered}\n- enumerated by: {}\n- removed by: {}\n\
             - side effects: {}\n- written again by: {}\n- ATT&CK: {}\n\n",
            self.id,
            self.abuse,
            self.enumerate,
            self.remove,
            self.side_effects,
            list(&self.regenerated_by),
            list(&self.attack),
        )
    }
}

/// The reference of all surfaces, in Markdown.
pub fn reference() -> String {
    let (version, surfaces) = catalogue();
    let mut page = format!(
        "# Surfaces\n\nEvery place where access to mail can outlive a password. The coverage of every run refers to \
         these names;\n`mailwarden sweep --surfaces` says which of them this configuration covers. Technique \
         names are those of ATT&CK v{version}.\n\nTiers: R by IMAP and ManageSieve, S on the mail host, E from \
         events, M from messages that pass the gate, D in the name service.\n\n"
    );
    surfaces.iter().for_each(|surface| page.push_str(&surface.section()));
    page.truncate(page.trim_end().len());
    page + "\n"
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    attack_version: String,
    surface: Vec<Surface>,
}

/// The embedded catalogue in file order, with the ATT&CK version its technique names belong to.
///
/// # Panics
/// Never in a released build: the file is part of the program and a test reads it.
pub fn catalogue() -> (&'static str, &'static [Surface]) {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    let catalogue = CATALOGUE.get_or_init(|| {
        toml::from_str(include_str!("surfaces.toml")).expect("the embedded surface catalogue is valid")
    });
    (&catalogue.attack_version, &catalogue.surface)
}

/// The catalogue row of a surface.
pub fn surface(id: &str) -> Option<&'static Surface> {
    catalogue().1.iter().find(|surface| surface.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `MAILWARDEN_REWRITE=1 cargo test -p mailwarden-evidence reference` writes the page anew.
    #[test]
    fn the_published_reference_is_the_catalogue() {
        const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/surfaces.md");
        if std::env::var_os("MAILWARDEN_REWRITE").is_some() {
            std::fs::write(PAGE, reference()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(PAGE).unwrap_or_default(), reference());
    }

    #[test]
    fn catalogue_is_valid_and_its_ids_are_unique() {
        let (version, surfaces) = catalogue();
        assert!(!version.is_empty());
        let ids: BTreeSet<_> = surfaces.iter().map(|surface| &surface.id).collect();
        assert_eq!(ids.len(), surfaces.len());
        for surface in surfaces {
            assert!(!surface.attack.is_empty() || surface.id == "account", "{} has no technique", surface.id);
        }
    }
}
