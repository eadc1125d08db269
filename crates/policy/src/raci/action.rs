//! What can be done, who usually may, and who must have said yes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An action of the control model. The names are those of `[raci]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Registrar, or ownership of the zone.
    ChangeRegistrar,
    /// MX, SPF, DKIM, DMARC.
    ChangeMailDns,
    /// Making a mailbox.
    CreateMailbox,
    /// Locking or removing a mailbox.
    DisableMailbox,
    /// Forwarding, redirects, delegations, catch-all: adding and removing.
    ChangeForwarding,
    /// Access to a mailbox for a time.
    GrantAccess,
    /// A user sets a new password with a token of their own.
    ResetRoutine,
    /// A role or shared mailbox gets a new password.
    ResetRole,
    /// A mailbox is taken back from whoever should not have it.
    ResetCompromise,
    /// An executive, admin or postmaster-class mailbox gets a new password.
    ResetPrivileged,
    /// Somebody leaves.
    Offboard,
    /// Mail is exported for a transfer.
    ExportMailbox,
}

impl Action {
    /// All of them, in the order of the control model.
    pub const ALL: [Self; 12] = [
        Self::ChangeRegistrar,
        Self::ChangeMailDns,
        Self::CreateMailbox,
        Self::DisableMailbox,
        Self::ChangeForwarding,
        Self::GrantAccess,
        Self::ResetRoutine,
        Self::ResetRole,
        Self::ResetCompromise,
        Self::ResetPrivileged,
        Self::Offboard,
        Self::ExportMailbox,
    ];

    /// The name in `[raci]`, in approvals and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChangeRegistrar => "change-registrar",
            Self::ChangeMailDns => "change-mail-dns",
            Self::CreateMailbox => "create-mailbox",
            Self::DisableMailbox => "disable-mailbox",
            Self::ChangeForwarding => "change-forwarding",
            Self::GrantAccess => "grant-access",
            Self::ResetRoutine => "reset-routine",
            Self::ResetRole => "reset-role",
            Self::ResetCompromise => "reset-compromise",
            Self::ResetPrivileged => "reset-privileged",
            Self::Offboard => "offboard",
            Self::ExportMailbox => "export-mailbox",
        }
    }

    /// Whether nobody may request, approve and execute it alone. No policy can switch that off.
    pub fn is_privileged(self) -> bool {
        matches!(
            self,
            Self::ChangeRegistrar
                | Self::ResetCompromise
                | Self::ResetPrivileged
                | Self::Offboard
                | Self::ExportMailbox
        )
    }
}

/// Who somebody is in relation to an action. Each of them stands for one or several people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// The client's owner; the emergency approver stands in for them.
    ClientOwner,
    /// An operator of the agency.
    AgencyAdmin,
    /// An operator who may change admin and postmaster-class mailboxes.
    SeniorAdmin,
    /// Who approves membership and resets of the mailbox.
    BusinessOwner,
    /// The people whom the mailbox lists under `reset_approvers`.
    ResetApprover,
    /// Who approves emergency actions of the client.
    EmergencyApprover,
    /// Whom the client or the mailbox names for escalation.
    EscalationContact,
    /// The person whose mailbox it is, or an authorised user of it.
    MailboxUser,
    /// Reads, changes nothing.
    Auditor,
}

impl Party {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientOwner => "client owner",
            Self::AgencyAdmin => "agency admin",
            Self::SeniorAdmin => "senior agency admin",
            Self::BusinessOwner => "business owner",
            Self::ResetApprover => "reset approver",
            Self::EmergencyApprover => "emergency approver",
            Self::EscalationContact => "escalation contact",
            Self::MailboxUser => "mailbox user",
            Self::Auditor => "auditor",
        }
    }
}

/// One row of the responsibility table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Who does it (R).
    pub may: Vec<Party>,
    /// One approval from each of these (A).
    pub approve: Vec<Party>,
    /// How many different people must approve, those of `approve` counted.
    pub approvals: usize,
    /// Who may give the approvals beyond `approve`.
    pub second: Vec<Party>,
    /// Who is told (C and I).
    pub told: Vec<Party>,
    /// Whether approvals must be signed with the approver's SSH key.
    pub signature: bool,
    /// Whether the requester is verified over a channel registered beforehand.
    pub out_of_band: bool,
}

impl Rule {
    fn new(may: &[Party], approve: &[Party], told: &[Party]) -> Self {
        Self {
            may: may.to_vec(),
            approve: approve.to_vec(),
            approvals: approve.len(),
            second: Vec::new(),
            told: told.to_vec(),
            signature: false,
            out_of_band: false,
        }
    }

    /// The table that holds where the policy says nothing else. Where the accountable and the responsible are
    /// the same role, nobody has to approve: the record says who did it.
    pub fn default_for(action: Action) -> Self {
        use Party::{
            AgencyAdmin, Auditor, BusinessOwner, ClientOwner, EmergencyApprover, EscalationContact,
            MailboxUser, ResetApprover, SeniorAdmin,
        };
        match action {
            Action::ChangeRegistrar | Action::ChangeMailDns => {
                Self::new(&[AgencyAdmin], &[ClientOwner], &[Auditor])
            }
            Action::CreateMailbox | Action::DisableMailbox | Action::ChangeForwarding => {
                Self::new(&[AgencyAdmin], &[], &[ClientOwner, Auditor])
            }
            Action::GrantAccess => Self::new(&[AgencyAdmin], &[BusinessOwner], &[MailboxUser]),
            Action::ResetRoutine => Self::new(&[MailboxUser], &[], &[MailboxUser]),
            Action::ResetRole => {
                Self::new(&[AgencyAdmin], &[ResetApprover], &[BusinessOwner, EscalationContact])
            }
            Action::ResetCompromise => Self {
                out_of_band: true,
                ..Self::new(&[AgencyAdmin], &[AgencyAdmin], &[BusinessOwner, MailboxUser, EscalationContact])
            },
            Action::ResetPrivileged => Self {
                approvals: 2,
                second: vec![ResetApprover, BusinessOwner, EmergencyApprover, EscalationContact, SeniorAdmin],
                out_of_band: true,
                ..Self::new(
                    &[SeniorAdmin],
                    &[ClientOwner],
                    &[BusinessOwner, MailboxUser, EscalationContact, Auditor],
                )
            },
            Action::Offboard => Self::new(&[AgencyAdmin], &[ClientOwner], &[Auditor]),
            Action::ExportMailbox => Self::new(&[AgencyAdmin], &[ClientOwner], &[MailboxUser, Auditor]),
        }
    }
}
