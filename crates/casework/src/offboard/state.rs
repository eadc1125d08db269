//! One offboarding: what is on record, and which step comes next.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use mailwarden_address::Address;
use mailwarden_policy::Policy;

use super::checklist::still_named;
use super::{Attested, Closed, Contained, Item, Opened, Passed, Proof, Waived};
use crate::approval::{Approval, authorise, canonical_text};
use crate::entry::{Entry, Step};
use crate::refused::Refused;
use crate::reset::Approving;
use crate::swept::{Swept, same};

/// Surfaces of the mail system as a whole: no mailbox has rows of its own there.
const OF_THE_SYSTEM: &str = "postfix.";
/// Nothing is waived for longer without another look.
const LONGEST_WAIVER: TimeDelta = TimeDelta::days(365);

/// How an item ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// By evidence.
    Passed(Passed),
    /// On somebody's word.
    Attested(Attested),
    /// For a time.
    Waived(Waived),
}

/// An item as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemState<'c> {
    /// Nothing is on record.
    Open,
    /// It was waived, and the time is over.
    WaiverExpired(&'c Waived),
    /// It counts.
    Done(&'c Resolution),
}

/// An offboarding, folded from its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffboardCase {
    /// What it is about.
    pub opened: Opened,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// Who opened it.
    pub opened_by: String,
    /// From when on the gate contains the leaver, and when that was recorded.
    pub contained: Option<(Contained, DateTime<Utc>)>,
    /// What became of each item, and when.
    pub resolutions: BTreeMap<String, (Resolution, DateTime<Utc>)>,
    /// Who said yes, and when that was recorded.
    pub approvals: Vec<(Approval, DateTime<Utc>)>,
    /// That it is over.
    pub closed: Option<(Closed, DateTime<Utc>)>,
}

impl OffboardCase {
    pub(super) fn begin(opened: Opened, at: DateTime<Utc>, by: String) -> Self {
        Self {
            opened,
            opened_at: at,
            opened_by: by,
            contained: None,
            resolutions: BTreeMap::new(),
            approvals: Vec::new(),
            closed: None,
        }
    }

    pub(super) fn apply(&mut self, entry: &Entry) {
        if self.closed.is_some() {
            return;
        }
        match entry.kind.as_str() {
            "offboard.contained" => self.contained = entry.step().map(|step| (step, entry.at)),
            "offboard.passed" => {
                let step = entry.step().map(|step: Passed| (step.item.clone(), Resolution::Passed(step)));
                self.resolve(step, entry.at);
            }
            "offboard.attested" => {
                let step = entry.step().map(|step: Attested| (step.item.clone(), Resolution::Attested(step)));
                self.resolve(step, entry.at);
            }
            "offboard.waived" => {
                let step = entry.step().map(|step: Waived| (step.item.clone(), Resolution::Waived(step)));
                self.resolve(step, entry.at);
            }
            "offboard.approved" => {
                self.approvals.extend(entry.step().map(|approval: Approval| (approval, entry.at)));
            }
            "offboard.closed" => self.closed = entry.step().map(|step| (step, entry.at)),
            _ => {}
        }
    }

    fn resolve(&mut self, step: Option<(String, Resolution)>, at: DateTime<Utc>) {
        let known = step.filter(|(item, _)| self.item(item).is_some());
        self.resolutions.extend(known.map(|(item, resolution)| (item, (resolution, at))));
    }

    /// The number of the case.
    pub fn id(&self) -> &str {
        &self.opened.case
    }

    /// Whether it goes on.
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether the time that HR named has come.
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.is_open() && self.opened.leaves <= now
    }

    fn item(&self, id: &str) -> Option<&Item> {
        self.opened.items.iter().find(|item| same(&item.id, id))
    }

    /// How an item stands.
    pub fn state(&self, item: &str, now: DateTime<Utc>) -> ItemState<'_> {
        match self.resolutions.get(item) {
            None => ItemState::Open,
            Some((Resolution::Waived(waived), _)) if waived.expires <= now => {
                ItemState::WaiverExpired(waived)
            }
            Some((resolution, _)) => ItemState::Done(resolution),
        }
    }

    /// The items that still stand in the way.
    pub fn unresolved(&self, now: DateTime<Utc>) -> Vec<&Item> {
        let is_open = |item: &&Item| !matches!(self.state(&item.id, now), ItemState::Done(_));
        self.opened.items.iter().filter(is_open).collect()
    }

    /// How long after the time that HR named an item was done; negative before it.
    pub fn delay(&self, item: &str) -> Option<TimeDelta> {
        let done = match &self.resolutions.get(item)?.0 {
            Resolution::Attested(attested) => attested.done,
            Resolution::Passed(_) => self.resolutions.get(item)?.1,
            Resolution::Waived(_) => return None,
        };
        Some(done - self.opened.leaves)
    }

    fn still_open(&self) -> Result<(), Refused> {
        match &self.closed {
            None => Ok(()),
            Some((_, at)) => {
                let what = format!("{} was closed on {}", self.id(), at.format("%Y-%m-%d %H:%M UTC"));
                Err(Refused::order(what, "open a new case with `offboard open`"))
            }
        }
    }

    fn is_leaver(&self, person: &Address) -> bool {
        self.opened.addresses.contains(person)
    }

    fn item_to_resolve(&self, item: &str) -> Result<&Item, Refused> {
        self.still_open()?;
        self.item(item).ok_or_else(|| {
            let known: Vec<&str> = self.opened.items.iter().map(|item| item.id.as_str()).collect();
            Refused::value(format!("there is no item `{item}`"), format!("one of: {}", known.join("; ")))
        })
    }

    // --- steps --------------------------------------------------------------------------------------------------

    /// Records that the policy in force contains the leaver.
    ///
    /// # Errors
    /// The policy says nothing, or a later time than HR.
    pub fn contain(&self, policy: &Policy) -> Result<Step<Contained>, Refused> {
        self.still_open()?;
        let person = policy.person(&self.opened.person);
        let Some(left) = person.and_then(|person| person.left) else {
            let what = format!("the policy does not say that {} leaves", self.opened.name);
            return Err(Refused::order(
                what,
                "`offboard contain` prints the edit, and makes it with --apply",
            ));
        };
        if left > self.opened.leaves {
            let what = format!(
                "the policy contains {} from {left} on, HR says {}",
                self.opened.name, self.opened.leaves
            );
            return Err(Refused::value(what, "write the earlier time into the policy"));
        }
        let successor = person.and_then(|person| person.successor.clone());
        let step = Contained {
            case: self.id().to_owned(),
            left,
            successor,
            policy_digest: policy.digest().to_owned(),
        };
        let same =
            |(earlier, _): &(Contained, _)| earlier.left == step.left && earlier.successor == step.successor;
        Ok(if self.contained.as_ref().is_some_and(same) { Step::Already } else { Step::Record(step) })
    }

    /// Records every item that the sweep and the policy prove.
    ///
    /// # Errors
    /// The leaver is not contained yet, or the sweep is older than that.
    pub fn pass(&self, policy: &Policy, swept: Option<&Swept>) -> Result<Vec<Passed>, Refused> {
        self.still_open()?;
        let Some((contained, contained_at)) = &self.contained else {
            let what = "the leaver is not contained yet: what is removed now could come back";
            return Err(Refused::order(what, "`offboard contain` comes first"));
        };
        let from = contained.left.max(*contained_at);
        if let Some(swept) = swept.filter(|swept| swept.started < from) {
            let what = format!("the sweep {} began before the containment", swept.run_id);
            return Err(Refused::value(what, "sweep again"));
        }
        let mailboxes = self.within_reach(policy);
        let proved = self.opened.items.iter().filter_map(|item| {
            let evidence = match &item.proof {
                Proof::Sweep(surfaces) => {
                    let clean = |swept: &&Swept| self.shows_nothing(swept, surfaces, &mailboxes);
                    swept.filter(clean)?.run_id.clone()
                }
                Proof::Policy(part) => self.policy_proof(policy, part, item)?,
                Proof::Word => return None,
            };
            Some(Passed { case: self.id().to_owned(), item: item.id.clone(), evidence })
        });
        Ok(proved.filter(|passed| !self.is_recorded(passed)).collect())
    }

    fn is_recorded(&self, passed: &Passed) -> bool {
        matches!(self.resolutions.get(&passed.item), Some((Resolution::Passed(earlier), _)) if earlier == passed)
    }

    /// Where the leaver may have left a way in: every mailbox of their client, or of all, where they worked
    /// for the agency.
    fn within_reach(&self, policy: &Policy) -> Vec<String> {
        let client = policy.person(&self.opened.person).map(|person| person.client);
        let everywhere = client.and_then(|client| policy.clients().get(client)).is_none_or(|of| of.agency);
        let reached =
            policy.mailboxes().iter().filter(|mailbox| everywhere || Some(mailbox.client) == client);
        reached.map(|mailbox| mailbox.address.to_string()).collect()
    }

    /// Each surface was looked at completely, of every mailbox within reach, and nothing of the leaver is
    /// there. A grant on somebody else's mailbox is seen there and nowhere else.
    fn shows_nothing(&self, swept: &Swept, surfaces: &[String], mailboxes: &[String]) -> bool {
        let everywhere = surfaces.iter().all(|prefix| {
            let rows = || swept.rows.iter().filter(|row| row.surface.starts_with(prefix.as_str()));
            let looked_at = |mailbox: &String| rows().any(|row| same(&row.mailbox, mailbox));
            let asked = prefix.starts_with(OF_THE_SYSTEM) || mailboxes.iter().all(looked_at);
            asked && rows().next().is_some() && rows().all(|row| row.complete)
        });
        everywhere
            && !self.findings(swept).any(|finding| surfaces.iter().any(|s| finding.surface.starts_with(s)))
    }

    /// What a sweep shows of the leaver: in their mailboxes, or anywhere for their benefit.
    pub fn findings<'s>(&self, swept: &'s Swept) -> impl Iterator<Item = &'s crate::swept::OpenFinding> {
        let theirs: Vec<String> = self.opened.addresses.iter().map(ToString::to_string).collect();
        swept.findings.iter().filter(move |finding| {
            theirs.iter().any(|own| same(own, &finding.mailbox) || same(own, &finding.beneficiary))
        })
    }

    fn policy_proof(&self, policy: &Policy, part: &str, item: &Item) -> Option<String> {
        let digest = policy.digest().get(..16).unwrap_or_default();
        if part == "case" {
            return Some(format!("case {}, ticket {}", self.id(), self.opened.ticket));
        }
        let person = policy.person(&self.opened.person)?;
        let named = still_named(policy, person);
        let concerns = |named: &&super::checklist::Named| {
            named.part == part && (!item.id.contains(' ') || item.id.contains(&named.record))
        };
        // An admin who has left is none: `left` in force takes the role.
        let gone = part == "admin role" && person.left.is_some();
        (gone || !named.iter().any(|named| concerns(&named))).then(|| format!("policy {digest}"))
    }

    /// Records that somebody says an item is done.
    ///
    /// # Errors
    /// There is no such item, or the leaver says so.
    pub fn attest(
        &self,
        item: &str,
        by: Address,
        done: DateTime<Utc>,
        note: &str,
    ) -> Result<Step<Attested>, Refused> {
        let item = self.item_to_resolve(item)?.id.clone();
        if self.is_leaver(&by) {
            let what = format!("{by} leaves and cannot attest their own offboarding");
            return Err(Refused::value(what, "let whoever did the work attest it"));
        }
        if note.trim().is_empty() {
            return Err(Refused::value("nothing says what was done", "give --note"));
        }
        if let Some((Resolution::Attested(earlier), _)) = self.resolutions.get(&item)
            && earlier.by == by
        {
            return Ok(Step::Already);
        }
        let (case, note) = (self.id().to_owned(), note.to_owned());
        Ok(Step::Record(Attested { case, item, by, done, note }))
    }

    /// Records that an item may stay open for a time.
    ///
    /// # Errors
    /// There is no such item, the approver does not count, or the time is over or too long.
    pub fn waive(
        &self,
        item: &str,
        approver: Address,
        reason: &str,
        expires: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Step<Waived>, Refused> {
        let item = self.item_to_resolve(item)?.id.clone();
        if !self.opened.duty.approvers().contains(&approver) || self.is_leaver(&approver) {
            let may: Vec<String> =
                self.opened.duty.approvers().into_iter().map(ToString::to_string).collect();
            let what = format!("{approver} cannot waive an item");
            return Err(Refused::value(what, format!("ask one of: {}", may.join(", "))));
        }
        if reason.trim().is_empty() {
            return Err(Refused::value("nothing says why it may stay open", "give --reason"));
        }
        if expires <= now || expires > now + LONGEST_WAIVER {
            let what = format!("a waiver until {} does not hold", expires.format("%Y-%m-%d"));
            return Err(Refused::value(what, "give --expires with a day within the next 365"));
        }
        let step = Waived { case: self.id().to_owned(), item, reason: reason.to_owned(), approver, expires };
        let recorded = self.resolutions.get(&step.item).map(|(resolution, _)| resolution);
        let is_same = recorded == Some(&Resolution::Waived(step.clone()));
        Ok(if is_same { Step::Already } else { Step::Record(step) })
    }

    /// The text that this approver has to sign: it holds what became of every item.
    pub fn text_for(&self, approver: &Address) -> String {
        let resolved: Vec<&String> = self.resolutions.keys().collect();
        let duty = &self.opened.duty;
        canonical_text(duty.action, &duty.subject, self.id(), approver, &(&self.opened, resolved))
    }

    /// Records an approval of the whole.
    ///
    /// # Errors
    /// Items are open, or the approval does not count.
    pub fn approve(&self, approving: Approving, now: DateTime<Utc>) -> Result<Step<Approval>, Refused> {
        self.still_open()?;
        self.all_resolved(now)?;
        let approval = approving.of(self.id());
        if self.counting_approvals().any(|earlier| earlier.approver == approval.approver) {
            return Ok(Step::Already);
        }
        if approval.channel.trim().is_empty() {
            return Err(Refused::value("an approval carries its channel", "give --channel, e.g. phone"));
        }
        approval.check_signature(&self.text_for(&approval.approver))?;
        self.opened.duty.may_approve(Some(&self.opened.requester), &approval.as_given())?;
        Ok(Step::Record(approval))
    }

    /// An approval is of what stood there when it was given: one from before the last change of an item is
    /// not counted.
    fn counting_approvals(&self) -> impl Iterator<Item = &Approval> {
        let last = self.resolutions.values().map(|(_, at)| *at).max();
        self.approvals
            .iter()
            .filter(move |(_, at)| last.is_none_or(|last| *at >= last))
            .map(|(approval, _)| approval)
    }

    fn all_resolved(&self, now: DateTime<Utc>) -> Result<(), Refused> {
        if self.contained.is_none() {
            return Err(Refused::order("the leaver is not contained", "`offboard contain` comes first"));
        }
        let open = self.unresolved(now);
        let expired = |item: &&&Item| matches!(self.state(&item.id, now), ItemState::WaiverExpired(_));
        if let Some(item) = open.iter().find(expired) {
            let what = format!("the waiver of `{}` has expired", item.id);
            return Err(Refused::order(what, "do what it says and attest it, or have it waived again"));
        }
        if !open.is_empty() {
            let items: Vec<&str> = open.iter().map(|item| item.id.as_str()).collect();
            let what = format!("{} item(s) are open: {}", items.len(), items.join("; "));
            return Err(Refused::order(
                what,
                "`offboard sweep`, `offboard attest` or `offboard waive` each of them",
            ));
        }
        Ok(())
    }

    /// Records the end.
    ///
    /// # Errors
    /// An item is neither passed, attested nor waived in time, or approvals are missing.
    pub fn close(&self, by: Address, now: DateTime<Utc>) -> Result<Step<Closed>, Refused> {
        if self.closed.is_some() {
            return Ok(Step::Already);
        }
        if now < self.opened.leaves {
            let what = format!("{} has not left yet", self.opened.name);
            return Err(Refused::order(what, format!("close it after {}", self.opened.leaves)));
        }
        self.all_resolved(now)?;
        let approvals: Vec<Approval> = self.counting_approvals().cloned().collect();
        authorise(&self.opened.duty, Some(&self.opened.requester), &approvals, &by)?;
        let sweep = self.resolutions.get("B1").and_then(|(resolution, _)| match resolution {
            Resolution::Passed(passed) => Some(passed.evidence.clone()),
            _ => None,
        });
        Ok(Step::Record(Closed { case: self.id().to_owned(), by, sweep }))
    }
}
