//! From what a check found to a finding: identity, owner, techniques.

use std::collections::BTreeMap;

use mailwarden_evidence::{Evidence, Tier, surface};

use crate::brief::Brief;
use crate::catalogue;
use crate::finding::digest;
use crate::owner::owner_of;
use crate::{
    Attack, Beneficiary, Confidence, FINGERPRINT_VERSION, Finding, Locator, Remediation, SCHEMA, Severity,
    State, Status, SurfaceRef,
};

/// What a check says; everything that is the same for all checks is added by [`file`].
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) check_id: &'static str,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) confidence: Confidence,
    pub(crate) state: State,
    pub(crate) mailbox: String,
    pub(crate) surface: String,
    pub(crate) locator: Locator,
    /// What stays the same when the place is edited: script, folder, table and key, effect, beneficiary.
    /// Never a line and never an order.
    pub(crate) identity: Vec<String>,
    /// The exact rule, rights or result; an exception holds for these bytes only.
    pub(crate) content: Vec<Vec<u8>>,
    pub(crate) effects: Vec<String>,
    pub(crate) beneficiary: Beneficiary,
    pub(crate) path: Vec<String>,
    pub(crate) conditions: String,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) remediation: Remediation,
}

impl Draft {
    fn identity_digest(&self, ordinal: usize) -> String {
        let version = FINGERPRINT_VERSION.to_be_bytes();
        let mailbox = self.mailbox.to_lowercase();
        let ordinal = (ordinal as u64).to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&version, self.check_id.as_bytes(), mailbox.as_bytes()];
        parts.push(self.surface.as_bytes());
        parts.extend(self.identity.iter().map(String::as_bytes));
        parts.push(&ordinal);
        digest(&parts)
    }

    fn content_digest(&self) -> String {
        digest(&self.content.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// Findings of all drafts. The same identity twice in a run gets an ordinal, counted in the order of content,
/// so that neither the order of observations nor a moved line changes it.
pub(crate) fn file(brief: &Brief<'_>, drafts: Vec<Draft>) -> Vec<Finding> {
    let mut groups: BTreeMap<String, Vec<(String, Draft)>> = BTreeMap::new();
    for draft in drafts {
        groups.entry(draft.identity_digest(0)).or_default().push((draft.content_digest(), draft));
    }
    groups.into_values().flat_map(|group| file_group(brief, group)).collect()
}

fn file_group(brief: &Brief<'_>, mut group: Vec<(String, Draft)>) -> Vec<Finding> {
    group
        .sort_by(|(a, draft_a), (b, draft_b)| a.cmp(b).then(draft_a.locator.span.cmp(&draft_b.locator.span)));
    let numbered = group.into_iter().enumerate();
    numbered.map(|(ordinal, (content_hash, draft))| finding(brief, draft, content_hash, ordinal)).collect()
}

fn finding(brief: &Brief<'_>, draft: Draft, content_hash: String, ordinal: usize) -> Finding {
    debug_assert!(catalogue::check(draft.check_id).is_some(), "{} is in no catalogue", draft.check_id);
    let row = surface(&draft.surface);
    Finding {
        schema: SCHEMA.to_owned(),
        run_id: brief.run.run_id.clone(),
        fingerprint: draft.identity_digest(ordinal),
        fingerprint_version: FINGERPRINT_VERSION,
        content_hash,
        check_id: draft.check_id.to_owned(),
        title: draft.title,
        severity: draft.severity,
        confidence: draft.confidence,
        state: draft.state,
        status: Status::New,
        owner: owner_of(brief.policy, &draft.mailbox),
        mailbox: draft.mailbox,
        surface: SurfaceRef { tier: row.map_or(Tier::R, |row| row.tier), id: draft.surface },
        locator: draft.locator,
        effects: draft.effects,
        beneficiary: draft.beneficiary,
        path: draft.path,
        conditions: draft.conditions,
        evidence: draft.evidence,
        first_seen: brief.run.now,
        last_seen: brief.run.now,
        observed_use: None,
        attack: row.map(|row| techniques(&row.attack)).unwrap_or_default(),
        remediation: draft.remediation,
        suppression: None,
    }
}

fn techniques(ids: &[String]) -> Vec<Attack> {
    let (version, _) = mailwarden_evidence::catalogue();
    ids.iter().map(|id| Attack { technique: id.clone(), version: version.to_owned() }).collect()
}
