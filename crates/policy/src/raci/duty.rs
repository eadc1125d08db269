//! One action about one mailbox or client: who may do it, who must approve, and whether enough people have.
//!
//! This is the only place that decides so. A [`Duty`] is worked out of the policy when a case begins and is
//! kept with the case, so that a later edit of the policy cannot change what an open case needs.

use std::collections::BTreeSet;

use mailwarden_address::Address;
use serde::{Deserialize, Serialize};

use crate::model::{Mailbox, Person, PersonRole};
use crate::policy::Policy;
use crate::raci::{Action, MailboxClass, Party, Rule};

/// One approval that must come from one of certain people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// As whom they approve.
    pub party: Party,
    /// The people, each by the first of their addresses.
    pub people: Vec<Address>,
}

/// What an action about one subject takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    /// The action.
    pub action: Action,
    /// About what: a mailbox, a person, a domain.
    pub subject: String,
    /// Who may do it.
    pub executors: Vec<Address>,
    /// One approval from each of these.
    pub approvals_from: Vec<Seat>,
    /// How many different people must approve.
    pub approvals: usize,
    /// Who may give the approvals beyond those.
    pub second: Vec<Address>,
    /// Who is told.
    pub told: Vec<Address>,
    /// Whether approvals must be signed.
    pub signature: bool,
    /// Whether the requester is verified over a channel registered beforehand.
    pub out_of_band: bool,
}

/// An approval as somebody gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenApproval<'a> {
    /// Who said yes.
    pub approver: &'a Address,
    /// Who wrote it down.
    pub recorded_by: &'a Address,
    /// Whether the approver's own signature was verified.
    pub signed: bool,
}

/// Proof that the control model allows an execution; only [`Duty::authorise`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorised(());

/// Why the control model does not allow something, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The actor may not do it.
    #[error("{actor} may not execute {action}; it takes one of: {may}")]
    Executor {
        /// Who tried.
        actor: String,
        /// What.
        action: &'static str,
        /// Who may.
        may: String,
    },
    /// This person cannot approve it.
    #[error("{approver} cannot approve {action} of {subject}; ask one of: {may}")]
    Approver {
        /// Who tried.
        approver: String,
        /// What.
        action: &'static str,
        /// About what.
        subject: String,
        /// Who may.
        may: String,
    },
    /// Requester and approver are one.
    #[error("{0} requested this and cannot approve it as well; ask another approver: {1}")]
    OwnRequest(String, String),
    /// Approver and executor are one.
    #[error("{0} approved this and cannot execute it as well; another of these has to: {1}")]
    OwnApproval(String, String),
    /// The approval stands on the word of the executor alone.
    #[error(
        "{0} wrote down the approval of {1} and cannot execute on its strength; let {1} sign it \
         (--signature), or let somebody else execute: {2}"
    )]
    OwnRecord(String, String, String),
    /// Not enough people.
    #[error("{action} of {subject} needs {missing}")]
    Missing {
        /// What.
        action: &'static str,
        /// About what.
        subject: String,
        /// Which approvals, and from whom.
        missing: String,
    },
    /// The approval must carry a signature.
    #[error(
        "the policy asks for a signed approval of {0}: print the text with `--print-text`, let {1} sign it \
         with `ssh-keygen -Y sign -n mailwarden -f KEY FILE`, and give it with `--signature FILE.sig`"
    )]
    Unsigned(&'static str, String),
}

impl Duty {
    /// What an action about a mailbox takes.
    pub fn about_mailbox(policy: &Policy, action: Action, mailbox: &Mailbox) -> Self {
        Cast { policy, client: mailbox.client, mailbox: Some(mailbox), person: None }
            .duty(action, mailbox.address.to_string())
    }

    /// What an action about a person takes, such as their offboarding.
    pub fn about_person(policy: &Policy, action: Action, person: &Person) -> Self {
        let subject = primary(person).map_or_else(|| person.name.clone(), ToString::to_string);
        Cast { policy, client: person.client, mailbox: None, person: Some(person) }.duty(action, subject)
    }

    /// What an action about a client or one of its domains takes.
    pub fn about_client(policy: &Policy, action: Action, client: usize, subject: &str) -> Self {
        Cast { policy, client, mailbox: None, person: None }.duty(action, subject.to_owned())
    }

    /// Whether this person may do it.
    ///
    /// # Errors
    /// They may not; the error says who may.
    pub fn may_execute(&self, executor: &Address) -> Result<(), Forbidden> {
        if self.executors.contains(executor) {
            return Ok(());
        }
        let action = self.action.as_str();
        Err(Forbidden::Executor { actor: executor.to_string(), action, may: listed(&self.executors) })
    }

    /// Whether this person's approval counts.
    ///
    /// # Errors
    /// It does not, because of who they are, because they asked for it, or because it is not signed.
    pub fn may_approve(
        &self,
        requester: Option<&Address>,
        approval: &GivenApproval<'_>,
    ) -> Result<(), Forbidden> {
        let approver = approval.approver;
        if !self.approvers().contains(approver) {
            return Err(Forbidden::Approver {
                approver: approver.to_string(),
                action: self.action.as_str(),
                subject: self.subject.clone(),
                may: listed(self.approvers()),
            });
        }
        if self.action.is_privileged() && requester == Some(approver) {
            let others = listed(self.approvers().into_iter().filter(|other| *other != approver));
            return Err(Forbidden::OwnRequest(approver.to_string(), others));
        }
        if self.signature && !approval.signed {
            return Err(Forbidden::Unsigned(self.action.as_str(), approver.to_string()));
        }
        Ok(())
    }

    /// Whether enough different people have approved for this person to act.
    ///
    /// # Errors
    /// The executor may not, approvals are missing, or one person would fill two parts.
    pub fn authorise(
        &self,
        requester: Option<&Address>,
        approvals: &[GivenApproval<'_>],
        executor: &Address,
    ) -> Result<Authorised, Forbidden> {
        self.may_execute(executor)?;
        for approval in approvals {
            self.may_approve(requester, approval)?;
        }
        self.apart(approvals, executor)?;
        let given: BTreeSet<&Address> = approvals.iter().map(|approval| approval.approver).collect();
        match self.missing(&given) {
            Some(missing) => Err(Forbidden::Missing {
                action: self.action.as_str(),
                subject: self.subject.clone(),
                missing,
            }),
            None => Ok(Authorised(())),
        }
    }

    /// The executor is neither an approver nor the only witness of an approval.
    fn apart(&self, approvals: &[GivenApproval<'_>], executor: &Address) -> Result<(), Forbidden> {
        let others = || listed(self.executors.iter().filter(|other| *other != executor));
        if approvals.iter().any(|approval| approval.approver == executor) {
            return Err(Forbidden::OwnApproval(executor.to_string(), others()));
        }
        let on_own_word =
            |approval: &&GivenApproval<'_>| !approval.signed && approval.recorded_by == executor;
        match approvals.iter().find(on_own_word) {
            Some(approval) if self.action.is_privileged() => {
                let (executor, approver) = (executor.to_string(), approval.approver.to_string());
                Err(Forbidden::OwnRecord(executor, approver, others()))
            }
            _ => Ok(()),
        }
    }

    /// What is missing when these people have approved.
    pub fn missing(&self, given: &BTreeSet<&Address>) -> Option<String> {
        let filled = self.filled(given);
        if filled < self.approvals_from.len() {
            let open = self.approvals_from.iter().map(|seat| {
                let party = seat.party.as_str();
                format!("an approval by the {party} ({})", listed(&seat.people))
            });
            return Some(open.collect::<Vec<_>>().join(" and "));
        }
        (given.len() < self.approvals).then(|| {
            let open = self.second.iter().filter(|person| !given.contains(person));
            format!(
                "{} approvals by different people; another may come from: {}",
                self.approvals,
                listed(open)
            )
        })
    }

    /// How many seats these people can fill, one seat each.
    fn filled(&self, given: &BTreeSet<&Address>) -> usize {
        fn best(seats: &[Seat], given: &BTreeSet<&Address>) -> usize {
            let Some((seat, rest)) = seats.split_first() else { return 0 };
            let by_one = seat.people.iter().filter(|person| given.contains(person)).map(|person| {
                let mut others = given.clone();
                others.remove(person);
                1 + best(rest, &others)
            });
            by_one.chain(std::iter::once_with(|| best(rest, given))).max().unwrap_or(0)
        }
        best(&self.approvals_from, given)
    }

    /// Everybody whose approval can count.
    pub fn approvers(&self) -> BTreeSet<&Address> {
        self.approvals_from.iter().flat_map(|seat| &seat.people).chain(&self.second).collect()
    }

    /// Whether there are enough different people for it to be done at all.
    pub fn is_possible(&self) -> bool {
        self.executors.iter().any(|executor| {
            let mut others = self.approvers();
            others.remove(executor);
            self.missing(&others).is_none()
        })
    }
}

/// Everybody in relation to one subject.
struct Cast<'p> {
    policy: &'p Policy,
    client: usize,
    mailbox: Option<&'p Mailbox>,
    person: Option<&'p Person>,
}

impl Cast<'_> {
    fn duty(&self, action: Action, subject: String) -> Duty {
        let rule = self.rule(action);
        let seat = |party: &Party| Seat { party: *party, people: self.people(*party) };
        Duty {
            action,
            subject,
            executors: self.all(&rule.may),
            approvals_from: rule.approve.iter().map(seat).collect(),
            approvals: rule.approvals,
            second: self.all(&[rule.second.as_slice(), rule.approve.as_slice()].concat()),
            told: self.all(&rule.told),
            signature: rule.signature,
            out_of_band: rule.out_of_band,
        }
    }

    /// A compromise of a critical mailbox takes the client owner as well, whatever the table says.
    fn rule(&self, action: Action) -> Rule {
        let mut rule = self
            .policy
            .clients
            .get(self.client)
            .map_or_else(|| Rule::default_for(action), |client| client.raci.rule(action));
        let critical =
            self.mailbox.is_some_and(|mailbox| self.policy.class_of(mailbox) >= MailboxClass::Executive);
        if action == Action::ResetCompromise && critical && !rule.approve.contains(&Party::ClientOwner) {
            rule.approve.push(Party::ClientOwner);
            rule.approvals = rule.approvals.max(rule.approve.len());
        }
        rule
    }

    fn all(&self, parties: &[Party]) -> Vec<Address> {
        let mut people = Vec::new();
        for person in parties.iter().flat_map(|party| self.people(*party)) {
            if !people.contains(&person) {
                people.push(person);
            }
        }
        people
    }

    fn people(&self, party: Party) -> Vec<Address> {
        let client = self.policy.clients.get(self.client);
        let named: Vec<&Address> = match party {
            Party::ClientOwner => {
                client.into_iter().flat_map(|c| [&c.owner, &c.emergency_approver]).collect()
            }
            Party::EmergencyApprover => client.into_iter().map(|c| &c.emergency_approver).collect(),
            Party::EscalationContact => self.escalation(),
            Party::BusinessOwner => {
                self.mailbox.and_then(|m| m.business_owner.as_ref()).into_iter().collect()
            }
            Party::ResetApprover => self.reset_approvers(),
            Party::MailboxUser => self.users(),
            Party::AgencyAdmin | Party::SeniorAdmin | Party::Auditor => return self.with_role(party),
        };
        let people = named.into_iter().map(|address| self.policy.person_address(address).clone());
        people.filter(|address| !self.is_subject(address)).collect()
    }

    /// Whoever is being offboarded has no part in it.
    fn is_subject(&self, address: &Address) -> bool {
        self.person.is_some_and(|person| person.addresses.contains(address))
    }

    fn escalation(&self) -> Vec<&Address> {
        let client = self.policy.clients.get(self.client).map(|client| client.escalation_contacts.as_slice());
        let own = self.mailbox.and_then(|mailbox| mailbox.escalation_contact.as_ref());
        own.into_iter().chain(client.unwrap_or_default()).collect()
    }

    fn reset_approvers(&self) -> Vec<&Address> {
        let Some(mailbox) = self.mailbox else { return Vec::new() };
        match mailbox.reset_approvers.as_slice() {
            [] => mailbox.business_owner.as_ref().into_iter().collect(),
            listed => listed.iter().collect(),
        }
    }

    fn users(&self) -> Vec<&Address> {
        let Some(mailbox) = self.mailbox else {
            return self.person.and_then(primary).into_iter().collect();
        };
        let own = self.policy.person(&mailbox.address).map(|_| &mailbox.address);
        own.into_iter().chain(&mailbox.authorised_users).collect()
    }

    fn with_role(&self, party: Party) -> Vec<Address> {
        let holds = |person: &&Person| match party {
            Party::SeniorAdmin => person.senior && person.roles.contains(&PersonRole::AgencyAdmin),
            Party::AgencyAdmin => person.roles.contains(&PersonRole::AgencyAdmin),
            _ => person.roles.contains(&PersonRole::Auditor),
        };
        let people = self.policy.staff_of(self.client).filter(holds).filter_map(primary).cloned();
        people.filter(|address| !self.is_subject(address)).collect()
    }
}

fn primary(person: &Person) -> Option<&Address> {
    person.addresses.first()
}

fn listed<'a>(people: impl IntoIterator<Item = &'a Address>) -> String {
    let people: Vec<String> = people.into_iter().map(ToString::to_string).collect();
    if people.is_empty() { "nobody on record".to_owned() } else { people.join(", ") }
}
