//! One run, judged.

use chrono::{DateTime, Utc};
use mailwarden_evidence::{Coverage, Observation};
use mailwarden_policy::Policy;
use serde::{Deserialize, Serialize};

use crate::brief::Brief;
use crate::coverage::doubt_who_sends;
use crate::draft::Draft;
use crate::graph::{Builder, Paths};
use crate::wording::joined;
use crate::{REPORT_SCHEMA, Report, Verdict, checks, draft, exceptions};

/// The run whose facts are judged. Times come from the caller, so that judging the same facts again says the
/// same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// Identifier of the run.
    pub run_id: String,
    /// Program name and version.
    pub tool: String,
    /// When collecting began.
    pub started: DateTime<Utc>,
    /// The moment of judgement: who has left by now, which acceptance still holds.
    pub now: DateTime<Utc>,
    /// The surfaces asked for.
    pub surfaces: Vec<String>,
}

/// Judges what a run saw. Every finding is new; [`crate::compare`] sets it against an earlier report.
///
/// Coverage is reported as it came, but where one surface shows that another proves less than it seems to. A surface that was seen in part or with an error still gives the findings
/// of what was seen there.
pub fn judge(
    run: &Run,
    policy: &Policy,
    observations: &[Observation],
    mut coverage: Vec<Coverage>,
) -> Report {
    doubt_who_sends(&mut coverage, observations);
    let brief = Brief { run, policy, observations, coverage: &coverage };
    let mut drafts = checks::run_all(&brief);
    show_ways(&brief, &mut drafts);
    let mut findings = draft::file(&brief, drafts);
    findings.iter_mut().for_each(|finding| exceptions::apply(policy, run.now, finding));
    let upkeep = exceptions::upkeep(&brief, &findings);
    findings.extend(draft::file(&brief, upkeep));
    Report {
        schema: REPORT_SCHEMA.to_owned(),
        run_id: run.run_id.clone(),
        tool: run.tool.clone(),
        started: run.started,
        finished: run.now,
        policy_digest: policy.digest().to_owned(),
        surfaces: run.surfaces.clone(),
        verdict: Verdict::Incomplete,
        coverage,
        findings,
    }
    .seal()
}

/// Most addresses named whose mail takes the way of a finding.
const MAX_ALSO: usize = 5;

/// The way from the mailbox to whoever gains is the graph's, so that a finding and `reach` cannot differ.
fn show_ways(brief: &Brief<'_>, drafts: &mut [Draft]) {
    if drafts.is_empty() {
        return;
    }
    let builder = Builder::of(brief);
    let paths = Paths::of(builder.graph());
    for draft in drafts {
        let Some(path) = paths.of_finding(&draft.mailbox, &draft.locator, &draft.beneficiary.value) else {
            continue;
        };
        draft.path = path;
        let also = paths.also_for(&draft.mailbox, MAX_ALSO);
        if draft.locator.script.is_some() && !also.is_empty() {
            let sentence = format!("mail to {} takes this way too", also.join(", "));
            draft.conditions = joined(&[std::mem::take(&mut draft.conditions), sentence]);
        }
    }
}
