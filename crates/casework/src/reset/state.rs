//! One reset: what is on record, and which step comes next.

use chrono::{DateTime, Utc};
use mailwarden_address::Address;

use super::{Approving, Closed, Confirmed, Executed, Requested, Rung, Verified};
use crate::approval::{Approval, authorise, canonical_text};
use crate::entry::{Entry, Step};
use crate::refused::Refused;
use crate::swept::{Swept, same};

/// Channels that whoever took the mailbox over would answer on.
const WEAK_CHANNELS: [&str; 4] = ["ticket", "email", "e-mail", "mail"];

/// How far a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Somebody asked.
    Requested,
    /// It is really them.
    Verified,
    /// It is done.
    Executed,
    /// It worked.
    Confirmed,
    /// Over.
    Closed,
}

/// A reset, folded from its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetCase {
    /// What was asked for.
    pub requested: Requested,
    /// When.
    pub requested_at: DateTime<Utc>,
    /// Who wrote the request down.
    pub recorded_by: String,
    /// That it is really them.
    pub verified: Option<(Verified, DateTime<Utc>)>,
    /// Who said yes.
    pub approvals: Vec<Approval>,
    /// What was done.
    pub executed: Option<(Executed, DateTime<Utc>)>,
    /// That it worked.
    pub confirmed: Option<(Confirmed, DateTime<Utc>)>,
    /// That it is over.
    pub closed: Option<(Closed, DateTime<Utc>)>,
}

impl ResetCase {
    pub(super) fn begin(requested: Requested, at: DateTime<Utc>, recorded_by: String) -> Self {
        Self {
            requested,
            requested_at: at,
            recorded_by,
            verified: None,
            approvals: Vec::new(),
            executed: None,
            confirmed: None,
            closed: None,
        }
    }

    /// What is on record counts once, and in its order: two commands that raced each other leave the first.
    pub(super) fn apply(&mut self, entry: &Entry) {
        let at = entry.at;
        if self.closed.is_some() {
            return;
        }
        match entry.kind.as_str() {
            "reset.verified" if self.verified.is_none() => {
                self.verified = entry.step().map(|step| (step, at));
            }
            "reset.approved" if self.executed.is_none() => {
                let new = entry.step().filter(|approval: &Approval| !self.has_approved(&approval.approver));
                self.approvals.extend(new);
            }
            "reset.executed" if self.executed.is_none() => {
                self.executed = entry.step().map(|step| (step, at));
            }
            "reset.confirmed" if self.confirmed.is_none() && self.executed.is_some() => {
                self.confirmed = entry.step().map(|step| (step, at));
            }
            "reset.closed" | "reset.cancelled" => self.closed = entry.step().map(|step| (step, at)),
            _ => {}
        }
    }

    /// The number of the case.
    pub fn id(&self) -> &str {
        &self.requested.case
    }

    /// Whether it still freezes the mailbox.
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        match (&self.closed, &self.confirmed, &self.executed, &self.verified) {
            (Some(_), ..) => Stage::Closed,
            (_, Some(_), ..) => Stage::Confirmed,
            (_, _, Some(_), _) => Stage::Executed,
            (.., Some(_)) => Stage::Verified,
            _ => Stage::Requested,
        }
    }

    pub(super) fn frozen(&self) -> Refused {
        Refused::Frozen { mailbox: self.requested.mailbox.to_string(), case: self.id().to_owned() }
    }

    fn has_approved(&self, approver: &Address) -> bool {
        self.approvals.iter().any(|approval| approval.approver == *approver)
    }

    fn still_open(&self) -> Result<(), Refused> {
        match &self.closed {
            None => Ok(()),
            Some((_, at)) => {
                let what =
                    format!("the reset {} was closed on {}", self.id(), at.format("%Y-%m-%d %H:%M UTC"));
                Err(Refused::order(what, "request a new one"))
            }
        }
    }

    // --- steps --------------------------------------------------------------------------------------------------

    /// Records that the requester is who they say.
    ///
    /// # Errors
    /// The channel is not the one registered beforehand, or the verifier is the requester.
    pub fn verify(&self, verifier: Address, method: &str, channel: &str) -> Result<Step<Verified>, Refused> {
        self.still_open()?;
        let asked = &self.requested;
        if let Some((verified, _)) = &self.verified {
            if verified.verifier == verifier && same(&verified.channel, channel) {
                return Ok(Step::Already);
            }
            let what = format!("{} verified the requester already", verified.verifier);
            return Err(Refused::order(what, "go on with `reset approve` or `reset execute`"));
        }
        if verifier == asked.requester {
            let what = format!("{verifier} asked for the reset and cannot verify themselves");
            return Err(Refused::value(what, "let another person call them back"));
        }
        if method.trim().is_empty() {
            return Err(Refused::value(
                "nothing says how it was verified",
                "give --method, e.g. \"called back\"",
            ));
        }
        self.check_channel(channel)?;
        let (case, method) = (self.id().to_owned(), method.to_owned());
        Ok(Step::Record(Verified { case, verifier, method, channel: channel.to_owned() }))
    }

    fn check_channel(&self, channel: &str) -> Result<(), Refused> {
        let asked = &self.requested;
        if !asked.duty.out_of_band {
            return Ok(());
        }
        let Some(registered) = &asked.registered_channel else {
            let what = format!("no channel was registered beforehand for {}", asked.requester);
            let next = "cancel, add `out_of_band` to their [[person]] after meeting them, and request again";
            return Err(Refused::value(what, next));
        };
        if same(registered.trim(), channel.trim()) {
            return Ok(());
        }
        let weak = WEAK_CHANNELS.iter().any(|weak| same(weak, channel.trim()));
        let what = if weak {
            format!("`{channel}` proves nothing: whoever took the mailbox answers it")
        } else {
            format!("`{channel}` is not the channel registered for {}", asked.requester)
        };
        Err(Refused::value(what, format!("use --channel \"{registered}\"")))
    }

    /// The text that this approver has to sign.
    pub fn text_for(&self, approver: &Address) -> String {
        let asked = &self.requested;
        canonical_text(asked.duty.action, &asked.duty.subject, self.id(), approver, asked)
    }

    /// Records an approval.
    ///
    /// # Errors
    /// It does not count, comes too early or too late, or its signature stands under another text.
    pub fn approve(&self, approving: Approving) -> Result<Step<Approval>, Refused> {
        self.still_open()?;
        let asked = &self.requested;
        let approval = approving.of(self.id());
        if self.has_approved(&approval.approver) {
            return Ok(Step::Already);
        }
        if asked.rung == Rung::UserDriven {
            let what = "this reset needs no approval: the user sets the new password";
            return Err(Refused::order(what, "let the user do so, then `reset execute`"));
        }
        if self.executed.is_some() {
            return Err(Refused::order("the reset was executed already", "go on with `reset confirm`"));
        }
        if self.verified.is_none() {
            let what = "nobody has verified the requester yet";
            return Err(Refused::order(what, "`reset verify` comes before `reset approve`"));
        }
        if approval.channel.trim().is_empty() {
            return Err(Refused::value("an approval carries its channel", "give --channel, e.g. phone"));
        }
        approval.check_signature(&self.text_for(&approval.approver))?;
        asked.duty.may_approve(Some(&asked.requester), &approval.as_given())?;
        Ok(Step::Record(approval))
    }

    /// Checks that this person may reset now, and records that they did. The caller makes the temporary
    /// secret after this and shows it once.
    ///
    /// # Errors
    /// Steps or approvals are missing, or one person would fill two parts.
    pub fn execute(&self, executed: Executed) -> Result<Step<Executed>, Refused> {
        self.still_open()?;
        let asked = &self.requested;
        if let Some((earlier, _)) = &self.executed {
            if earlier.executor == executed.executor {
                return Ok(Step::Already);
            }
            let what = format!("{} executed this reset already", earlier.executor);
            return Err(Refused::order(what, "go on with `reset confirm`"));
        }
        if asked.rung != Rung::UserDriven && self.verified.is_none() {
            let what = "nobody has verified the requester yet";
            return Err(Refused::order(what, "`reset verify`, then `reset approve`, then `reset execute`"));
        }
        authorise(&asked.duty, Some(&asked.requester), &self.approvals, &executed.executor)?;
        self.check_actions(&executed)?;
        Ok(Step::Record(executed))
    }

    fn check_actions(&self, executed: &Executed) -> Result<(), Refused> {
        let rung = self.requested.rung;
        match (rung, executed.temporary_length) {
            (Rung::UserDriven, Some(_)) => {
                let what = "the user sets the new password: there is no temporary secret";
                return Err(Refused::value(what, "leave --temporary-secret out"));
            }
            (Rung::BreakGlass, None) => {
                let what = "break-glass hands out a temporary secret";
                return Err(Refused::value(what, "give --temporary-secret; it is shown once and not stored"));
            }
            (_, Some(length)) if length < crate::secret::MIN_LENGTH || !executed.must_change => {
                let what =
                    "a temporary secret has at least 16 characters and must be changed at the next login";
                return Err(Refused::value(
                    what,
                    "set must-change in the mail system, then give --must-change",
                ));
            }
            _ => {}
        }
        let compromised = self.requested.duty.action == mailwarden_policy::raci::Action::ResetCompromise;
        if compromised && !(executed.sessions_revoked && executed.tokens_reviewed) {
            let what = "after a compromise sessions are revoked and tokens and app passwords looked through";
            return Err(Refused::value(what, "do so, then give --sessions-revoked and --tokens-reviewed"));
        }
        Ok(())
    }

    /// Records that the owner is back in.
    ///
    /// # Errors
    /// Nothing was executed, somebody else confirms, or the temporary secret still stands.
    pub fn confirm(&self, by: Address, channel: &str, rotated: bool) -> Result<Step<Confirmed>, Refused> {
        self.still_open()?;
        if self.confirmed.as_ref().is_some_and(|(confirmed, _)| confirmed.by == by) {
            return Ok(Step::Already);
        }
        let Some((executed, _)) = &self.executed else {
            return Err(Refused::order(
                "nothing was executed yet",
                "`reset execute` comes before `reset confirm`",
            ));
        };
        let asked = &self.requested;
        if !asked.confirmers.contains(&by) || by == executed.executor && asked.rung != Rung::UserDriven {
            let others: Vec<String> = asked
                .confirmers
                .iter()
                .filter(|one| **one != executed.executor)
                .map(ToString::to_string)
                .collect();
            let what = format!("{by} cannot confirm that {} has its owner back", asked.mailbox);
            return Err(Refused::value(what, format!("ask one of: {}", others.join(", "))));
        }
        if executed.temporary_length.is_some() && !rotated {
            let what = "the temporary secret still stands";
            return Err(Refused::value(what, "let the user set their own password, then give --rotated"));
        }
        let (case, channel) = (self.id().to_owned(), channel.to_owned());
        Ok(Step::Record(Confirmed { case, by, channel, rotated }))
    }

    /// Records the end, once the owner has confirmed and a sweep that began after the reset is clean.
    ///
    /// # Errors
    /// Something is missing, or the sweep is not clean.
    pub fn close(&self, by: Address, swept: Option<&Swept>) -> Result<Step<Closed>, Refused> {
        if self.closed.is_some() {
            return Ok(Step::Already);
        }
        let asked = &self.requested;
        let Some((_, executed_at)) = &self.executed else {
            return Err(Refused::order("nothing was executed yet", "`reset execute`, or `reset cancel`"));
        };
        if self.confirmed.is_none() && asked.rung != Rung::UserDriven {
            let what = "the owner has not confirmed that they are back in";
            return Err(Refused::order(what, "`reset confirm` comes before `reset close`"));
        }
        match swept {
            Some(swept) => self.check_sweep(swept, *executed_at)?,
            None if asked.rung == Rung::UserDriven => {}
            None => {
                let what = "forwarding, delegations and catch-all were not looked at";
                return Err(Refused::order(
                    what,
                    "close runs a sweep, or takes a fresh one with --report FILE",
                ));
            }
        }
        let sweep = swept.map(|swept| swept.run_id.clone());
        Ok(Step::Record(Closed { case: self.id().to_owned(), by, sweep, cancelled: None }))
    }

    fn check_sweep(&self, swept: &Swept, executed_at: DateTime<Utc>) -> Result<(), Refused> {
        if swept.started <= executed_at {
            let what = format!("the sweep {} began before the reset", swept.run_id);
            return Err(Refused::value(
                what,
                "sweep again: what was there before a reset may still be there",
            ));
        }
        match swept.against(&self.requested.mailbox.to_string()) {
            None => Ok(()),
            Some(found) => {
                let next = "remove it (`mailwarden revoke`) or have it accepted, sweep again, then close";
                Err(Refused::value(found, next))
            }
        }
    }

    /// Records that it is given up.
    ///
    /// # Errors
    /// It was executed already, or no reason is given.
    pub fn cancel(&self, by: Address, why: &str) -> Result<Step<Closed>, Refused> {
        if self.closed.is_some() {
            return Ok(Step::Already);
        }
        if self.executed.is_some() {
            let what = "the reset was executed: it cannot be undone by giving up";
            return Err(Refused::order(what, "`reset confirm`, then `reset close`"));
        }
        if why.trim().is_empty() {
            return Err(Refused::value("nothing says why", "give --reason"));
        }
        let (case, cancelled) = (self.id().to_owned(), Some(why.to_owned()));
        Ok(Step::Record(Closed { case, by, sweep: None, cancelled }))
    }
}
