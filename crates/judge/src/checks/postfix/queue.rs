//! Messages that wait for somebody who has left.

use mailwarden_evidence::{Fact, Observation, SYSTEM};

use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Act, Weight};
use crate::wording::shown;
use crate::{Confidence, Locator, State};

pub(super) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    brief.observations.iter().filter_map(|seen| waits(brief, seen)).collect()
}

fn waits(brief: &Brief<'_>, seen: &Observation) -> Option<Draft> {
    let Fact::Queued { queue, recipient, messages } = &seen.fact else { return None };
    let standing = brief.standing(SYSTEM, recipient);
    if !standing.left {
        return None;
    }
    let weight = Weight { leaver: true, ..Weight::new(Act::Receive, standing.destination()) };
    let (name, queue) = (standing.named(), shown(queue));
    let noun = if *messages == 1 { "message waits" } else { "messages wait" };
    Some(Draft {
        check_id: "postfix.queue-leaver",
        title: format!("{messages} {noun} in the queue {queue} for {name}."),
        severity: weight.severity(),
        confidence: Confidence::High,
        state: State::Active,
        mailbox: SYSTEM.to_owned(),
        surface: seen.surface.clone(),
        locator: Locator { key: Some(standing.value.clone()), ..Locator::default() },
        identity: vec![queue.clone(), standing.key.clone()],
        content: vec![standing.key.clone().into_bytes()],
        effects: vec!["redirect".to_owned()],
        beneficiary: standing.beneficiary(),
        path: vec![format!("queue {queue}"), standing.value.clone()],
        conditions: "at the next attempt to deliver".to_owned(),
        evidence: vec![seen.evidence.clone()],
        remediation: on_surface(
            &seen.surface,
            "find them with `postqueue -j`, then `postsuper -h QUEUE_ID`".to_owned(),
            "`postsuper -H QUEUE_ID`".to_owned(),
            None,
        ),
    })
}
