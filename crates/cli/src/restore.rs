//! `mailwarden restore`: the way back from a change, whether it was finished or cut off.

use chrono::Utc;
use mailwarden_ledger::{ChangeOutcome, Event, EventKind, Ledger, RecordedChange};
use mailwarden_remedy::{Change, FindingRef, Object, State, steps};
use mailwarden_settings::load_policy;
use serde::Serialize;
use serde_json::json;

use crate::approve::{self, Warrant, authorised, refuse_replayed};
use crate::arguments::{Common, Restore, TextOrJson};
use crate::changing::{Done, Servers, Transition, make};
use crate::failure::{Failure, Outcome};
use crate::output::{self, shown};

#[derive(Debug, Serialize)]
struct Answer {
    schema: &'static str,
    change: String,
    object: String,
    /// `planned`, `as-before`, `restored`, `refused`, `failed`.
    outcome: &'static str,
    /// The change that the restoring itself is, so that it can be undone as well.
    restored_by: Option<String>,
    detail: String,
}

/// A change taken out of the ledger.
struct Prior {
    object: Object,
    before: State,
    after_sha256: String,
}

pub(crate) async fn run(common: &Common, restore: &Restore) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let url = &settings.ledger.url;
    let failed = |error| Failure::Ledger(format!("cannot use the ledger {url}"), error);
    let ledger = Ledger::open_existing(url).await.map_err(failed)?;
    let recorded = ledger.change(&restore.change).await.map_err(failed)?.ok_or_else(|| {
        Failure::Usage(format!(
            "the ledger has no change `{}`\n  `mailwarden ledger show --kind change` lists them",
            shown(&restore.change)
        ))
    })?;
    let prior = prior(&recorded)?;
    let servers = Servers::of(&settings)?;
    let now = current(&servers, &prior.object).await?;
    if restore.approved.print_text {
        approve::print_text(&policy, &[way_back(&prior, &now)], &restore.approved)?;
        return Ok(Outcome::Clean);
    }
    let answer = match decide(&recorded, &prior, &now, restore) {
        Decision::Say(outcome, detail) => answer(&recorded, &prior, outcome, None, detail),
        Decision::Settle => {
            let warrant = authorised(&policy, &[way_back(&prior, &now)], &restore.approved)?;
            settle(&ledger, &recorded, &prior, &warrant, None).await.map_err(failed)?;
            answer(
                &recorded,
                &prior,
                "as-before",
                None,
                "it is as it was before; that is on record now".to_owned(),
            )
        }
        Decision::Go => {
            let warrant = authorised(&policy, &[way_back(&prior, &now)], &restore.approved)?;
            refuse_replayed(&ledger.changes().await.map_err(failed)?, &warrant)?;
            go(&servers, &ledger, &recorded, (&prior, &now), &warrant).await?
        }
    };
    ledger.close().await.map_err(failed)?;
    output::answer(restore.approved.format == TextOrJson::Json, &answer, text)?;
    Ok(if matches!(answer.outcome, "refused" | "failed") { Outcome::Findings } else { Outcome::Clean })
}

fn prior(recorded: &RecordedChange) -> Result<Prior, Failure> {
    let lost = || Failure::Usage(format!("the prior state of {} was erased from the ledger", recorded.id));
    let state = recorded.prior_state.clone().ok_or_else(lost)?;
    let unreadable =
        |error| Failure::Ours(format!("the ledger's record of {} cannot be read: {error}", recorded.id));
    Ok(Prior {
        object: serde_json::from_value(recorded.payload["object"].clone()).map_err(unreadable)?,
        before: serde_json::from_value(state).map_err(unreadable)?,
        after_sha256: recorded.payload["after_sha256"].as_str().unwrap_or_default().to_owned(),
    })
}

async fn current(servers: &Servers, object: &Object) -> Result<State, Failure> {
    let mut store = servers.open(object).await?;
    let now = store.read(object).await.map_err(|error| Failure::Ours(error.to_string()));
    store.close().await;
    now
}

enum Decision {
    Say(&'static str, String),
    /// Nothing to change, but the ledger does not know it yet.
    Settle,
    Go,
}

fn decide(recorded: &RecordedChange, prior: &Prior, now: &State, restore: &Restore) -> Decision {
    let settled = matches!(recorded.outcome, ChangeOutcome::Reverted | ChangeOutcome::Failed);
    let as_before = *now == prior.before;
    match (as_before, settled, restore.approved.apply) {
        (true, true, _) => Decision::Say("as-before", "it is as it was before already".to_owned()),
        (true, false, true) => Decision::Settle,
        (true, false, false) => {
            Decision::Say("planned", "it is as it was before; --apply puts that on record".to_owned())
        }
        _ if steps(now, &prior.before).is_none() => {
            Decision::Say("refused", "what was ended cannot be brought back by anybody".to_owned())
        }
        _ if now.sha256() != prior.after_sha256 && !restore.overwrite => Decision::Say(
            "refused",
            "it was changed since; look at it, then add --overwrite to put the old state back all the same"
                .to_owned(),
        ),
        (false, _, false) => {
            Decision::Say("planned", "would be put back; to do it: --apply --ticket TICKET".to_owned())
        }
        (false, _, true) => Decision::Go,
    }
}

/// Giving access back is a change like taking it away.
fn way_back(prior: &Prior, now: &State) -> Change {
    let nothing = String::new;
    let finding =
        FindingRef { fingerprint: nothing(), content_hash: nothing(), check_id: nothing(), title: nothing() };
    Change {
        finding,
        object: prior.object.clone(),
        before: now.clone(),
        after: prior.before.clone(),
        effect: nothing(),
        diff: nothing(),
        side_effects: Vec::new(),
        regenerated_by: Vec::new(),
    }
}

async fn go(
    servers: &Servers,
    ledger: &Ledger,
    recorded: &RecordedChange,
    (prior, now): (&Prior, &State),
    warrant: &Warrant,
) -> Result<Answer, Failure> {
    // What comes back was changed here: the next sweep has to know that it is no stranger's doing.
    let because = json!({ "restores": recorded.id, "finding": recorded.payload["because"]["finding"] });
    let transition =
        Transition { object: &prior.object, before: now, after: &prior.before, warrant, because };
    Ok(match make(servers, ledger, &transition).await? {
        Done::Applied(id) => {
            settle(ledger, recorded, prior, warrant, Some(&id)).await.map_err(|error| {
                let what = format!("{} is back, but that could not be recorded", prior.object);
                Failure::Ledger(what, error)
            })?;
            let detail = "put back and read back, byte for byte".to_owned();
            answer(recorded, prior, "restored", Some(id), detail)
        }
        Done::ChangedMeanwhile => {
            answer(recorded, prior, "refused", None, "it was changed in this moment; try again".to_owned())
        }
        Done::Failed(id, why) | Done::Uncertain(id, why) => answer(recorded, prior, "failed", Some(id), why),
    })
}

async fn settle(
    ledger: &Ledger,
    recorded: &RecordedChange,
    prior: &Prior,
    warrant: &Warrant,
    by: Option<&str>,
) -> Result<(), mailwarden_ledger::LedgerError> {
    let subject: String = prior.object.mailbox().chars().take(200).collect();
    let authorised = &warrant.authorised;
    let reason = authorised.reason();
    let payload = json!({ "change": recorded.id, "object": prior.object, "restored_by": by });
    let event = Event::new(EventKind::ChangeReverted, Utc::now(), authorised.executor(), subject);
    ledger.append_all(vec![event.because(reason).with(payload)]).await.map(drop)
}

fn answer(
    recorded: &RecordedChange,
    prior: &Prior,
    outcome: &'static str,
    restored_by: Option<String>,
    detail: String,
) -> Answer {
    let object = prior.object.to_string();
    Answer {
        schema: "mailwarden.restore/1",
        change: recorded.id.clone(),
        object,
        outcome,
        restored_by,
        detail,
    }
}

fn text(answer: &Answer) -> String {
    let by = answer.restored_by.as_deref().map(|id| format!(" (as {id})")).unwrap_or_default();
    let (object, detail) = (shown(&answer.object), shown(&answer.detail));
    format!("{}  {}  {object}: {detail}{by}\n", answer.change, answer.outcome)
}
