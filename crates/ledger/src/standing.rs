//! How well the end of a ledger is secured: what no signature and what no anchor covers yet, and since when.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::checkpoint::{Checkpoint, SignedNote};
use crate::error::LedgerError;
use crate::event::EventKind;
use crate::filter::EventFilter;
use crate::ledger::Ledger;

/// How well the end of a ledger is secured. It believes what the ledger says of itself: it is for whoever looks
/// after the ledger, [`verify`](crate::verify()) is for whoever does not trust it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// How many entries there are.
    pub entries: u64,
    /// How many of them the last checkpoint signs.
    pub signed: u64,
    /// How many of them a checkpoint covers that was taken off the machine.
    pub anchored: u64,
    /// When that was.
    pub anchored_at: Option<DateTime<Utc>>,
    /// The time of the first entry that no checkpoint signs.
    pub unsigned_since: Option<DateTime<Utc>>,
    /// The time of the first entry that no anchor covers; the record of an anchoring itself does not count.
    pub unanchored_since: Option<DateTime<Utc>>,
}

impl Standing {
    /// How long the oldest entry has waited for an anchor; `None` when all are anchored.
    #[must_use]
    pub fn unanchored_for(&self, now: DateTime<Utc>) -> Option<chrono::TimeDelta> {
        self.unanchored_since.map(|since| (now - since).max(chrono::TimeDelta::zero()))
    }
}

impl Ledger {
    /// How well the end of the ledger is secured.
    ///
    /// # Errors
    /// The database could not be read, or a checkpoint in it is malformed.
    pub async fn standing(&self) -> Result<Standing, LedgerError> {
        let entries = self.head().await?.size;
        let signed = self.checkpoints().await?.last().map(sizes).transpose()?.unwrap_or(0);
        let (anchored, anchored_at) = self.last_anchoring().await?;
        Ok(Standing {
            entries,
            signed,
            anchored,
            anchored_at,
            unsigned_since: self.first_from(signed).await?,
            unanchored_since: self.first_from(anchored).await?,
        })
    }

    async fn last_anchoring(&self) -> Result<(u64, Option<DateTime<Utc>>), LedgerError> {
        let filter = EventFilter {
            kind_prefix: Some(EventKind::LedgerAnchored.as_str().to_owned()),
            newest_first: true,
            limit: Some(1),
            ..EventFilter::default()
        };
        let last = self.events(&filter).await?.into_iter().next();
        let size = last.as_ref().and_then(|event| event.detail.as_ref()?.payload["size"].as_u64());
        Ok((size.unwrap_or(0), last.map(|event| event.at)))
    }

    /// The time of the first entry from a size on that is more than the record of an anchoring.
    async fn first_from(&self, size: u64) -> Result<Option<DateTime<Utc>>, LedgerError> {
        let filter = EventFilter { after: size.checked_sub(1), limit: Some(16), ..EventFilter::default() };
        let next = self.events(&filter).await?;
        Ok(next.iter().find(|event| event.kind != EventKind::LedgerAnchored).map(|event| event.at))
    }
}

fn sizes(note: &SignedNote) -> Result<u64, LedgerError> {
    Ok(note.text().parse::<Checkpoint>()?.size)
}
