//! What the Sieve scripts of a mailbox can do.

pub(crate) mod acts;
mod outgoing;
mod scene;
pub(crate) mod store;
mod upkeep;

use sieve_analysis::EffectKind;

use crate::brief::Brief;
use crate::checks::metadata::triggers;
use crate::draft::Draft;

use acts::{Surroundings, acts};
use scene::Scene;
use store::{Store, stores};

/// Most findings on the scripts of one mailbox. A script can hold tens of thousands of actions; the worst are
/// listed and the rest is counted.
const MAX_FINDINGS: usize = 500;

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    let triggers = triggers(brief);
    stores(brief, &triggers).iter().flat_map(|store| judge_store(brief, store)).collect()
}

fn judge_store(brief: &Brief<'_>, store: &Store<'_>) -> Vec<Draft> {
    let acts = acts(store);
    let around = Surroundings::of(&acts);
    let mut drafts: Vec<Draft> =
        acts.iter().flat_map(|act| judge_act(&Scene { brief, store, around: &around, act })).collect();
    drafts.extend(upkeep::disagreements(store, &acts));
    bounded(store, drafts)
}

fn judge_act(scene: &Scene<'_>) -> Vec<Draft> {
    match scene.act.effect.kind {
        EffectKind::Redirect | EffectKind::Report | EffectKind::Notify => outgoing::check(scene),
        EffectKind::Vacation => outgoing::vacation(scene),
        EffectKind::Pipe | EffectKind::Filter | EffectKind::Execute => outgoing::programs(scene),
        EffectKind::Discard => upkeep::discard(scene).into_iter().collect(),
        EffectKind::Fileinto | EffectKind::ImplicitKeepTarget => {
            upkeep::hidden_folder(scene).into_iter().collect()
        }
        EffectKind::Reject | EffectKind::Ereject => upkeep::refusal(scene).into_iter().collect(),
        EffectKind::Addheader | EffectKind::Deleteheader | EffectKind::Replaceheader => {
            upkeep::headers(scene).into_iter().collect()
        }
        EffectKind::Include => upkeep::unseen_include(scene).into_iter().collect(),
        EffectKind::Unknown => upkeep::unknown(scene).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn bounded(store: &Store<'_>, mut drafts: Vec<Draft>) -> Vec<Draft> {
    let Some(surplus) = drafts.len().checked_sub(MAX_FINDINGS).filter(|surplus| *surplus > 0) else {
        return drafts;
    };
    drafts.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.identity.cmp(&b.identity)));
    drafts.truncate(MAX_FINDINGS);
    drafts.extend(upkeep::too_many(store, surplus));
    drafts
}

#[cfg(test)]
mod tests;
