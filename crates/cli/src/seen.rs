//! What a run saw, so that questions can be asked of it: looked at now, or read from a finished collection.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::Utc;
use mailwarden_collect::Plan;
use mailwarden_evidence::{Collection, Coverage, Observation};
use mailwarden_judge::Run;
use mailwarden_policy::Policy;
use mailwarden_settings::Settings;
use uuid::Uuid;

use crate::arguments::Looking;
use crate::failure::Failure;
use crate::rounds::{self, Wanted};
use crate::spool::{self, Spool};

/// The facts of a run, and the run itself as the judge wants it named.
pub(crate) struct Seen {
    pub(crate) run: Run,
    pub(crate) observations: Vec<Observation>,
    pub(crate) coverage: Vec<Coverage>,
}

impl From<Collection> for Seen {
    fn from(collection: Collection) -> Self {
        let now = Utc::now();
        let surfaces: BTreeSet<&String> = collection.coverage.iter().map(|row| &row.surface).collect();
        let run = Run {
            run_id: Uuid::now_v7().to_string(),
            tool: concat!("mailwarden ", env!("CARGO_PKG_VERSION")).to_owned(),
            started: collection.head.as_ref().map_or(now, |head| head.started),
            now,
            surfaces: surfaces.into_iter().cloned().collect(),
        };
        Self { run, observations: collection.observations, coverage: collection.coverage }
    }
}

/// A finished collection, or what is to be seen of everything now.
pub(crate) async fn saved_or_now(
    settings: &Settings,
    policy: &Policy,
    input: Option<&Path>,
) -> Result<Seen, Failure> {
    match input {
        Some(path) => spool::load_finished(path).map(Seen::from),
        None => {
            let looking = Looking { all: true, ..Looking::default() };
            // Past logins lead nowhere in the graph, and a log is long.
            look(settings, policy, &looking, |plan| plan.clients = None).await
        }
    }
}

/// What is to be seen now.
pub(crate) async fn now(settings: &Settings, policy: &Policy, looking: &Looking) -> Result<Seen, Failure> {
    look(settings, policy, looking, |_| {}).await
}

async fn look(
    settings: &Settings,
    policy: &Policy,
    looking: &Looking,
    spare: impl FnOnce(&mut Plan),
) -> Result<Seen, Failure> {
    let wanted = Wanted::of(settings, looking)?;
    let mut plan = rounds::plan(settings, policy, looking, &wanted)?;
    spare(&mut plan);
    // A question is no sweep: nobody's account is tried for it.
    plan.probe = None;
    let spool = Spool::memory(rounds::head(&wanted, &plan));
    rounds::make(plan, &wanted, spool).await?.finish().map(Seen::from)
}
