//! The right to make changes, or why there is none.

use chrono::Utc;
use mailwarden_policy::Policy;
use mailwarden_remedy::{Authorised, Change, Mandate, authorise};

use crate::arguments::Approved;
use crate::control::{actor, address};
use crate::failure::Failure;

/// Asks the policy whether whoever runs this may make the changes, on the word that was given.
pub(crate) fn authorised(
    policy: &Policy,
    changes: &[Change],
    approved: &Approved,
) -> Result<Authorised, Failure> {
    let now = Utc::now();
    let ticket = approved.ticket.clone().ok_or_else(|| {
        Failure::Usage("nothing was changed: --ticket says where it was decided".to_owned())
    })?;
    let executor = actor(policy, approved.act_as.as_deref(), now)?;
    let approver = approved.approved_by.as_deref().map(address).transpose()?;
    let recorded = executor.recorded();
    let mandate = Mandate { executor: executor.person, recorded, approver, ticket };
    authorise(policy, changes, mandate, now)
        .map_err(|why| Failure::Usage(format!("nothing was changed: {why}")))
}
