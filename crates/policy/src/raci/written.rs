//! `[raci]`: what a client does otherwise than the default table.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::raci::{Action, Party, Rule};
use crate::written::Spanned;

/// Who may do what, and who must approve. Whatever is not written here follows the default table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawRaci {
    /// Unix users who may say with `--as` that they act for somebody else, e.g. a ticket system's.
    #[serde(default, rename = "act_as")]
    pub act_as: Vec<String>,
    pub change_registrar: Option<Spanned<RawRule>>,
    pub change_mail_dns: Option<Spanned<RawRule>>,
    pub create_mailbox: Option<Spanned<RawRule>>,
    pub disable_mailbox: Option<Spanned<RawRule>>,
    pub change_forwarding: Option<Spanned<RawRule>>,
    pub grant_access: Option<Spanned<RawRule>>,
    pub reset_routine: Option<Spanned<RawRule>>,
    pub reset_role: Option<Spanned<RawRule>>,
    pub reset_compromise: Option<Spanned<RawRule>>,
    pub reset_privileged: Option<Spanned<RawRule>>,
    pub offboard: Option<Spanned<RawRule>>,
    pub export_mailbox: Option<Spanned<RawRule>>,
}

/// One action; a key that is left out keeps its default.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRule {
    /// Who does it.
    pub may: Option<Vec<Party>>,
    /// One approval from each of these.
    pub approve: Option<Vec<Party>>,
    /// How many different people must approve.
    pub approvals: Option<usize>,
    /// Who may give the approvals beyond `approve`.
    pub second: Option<Vec<Party>>,
    /// Who is told.
    pub told: Option<Vec<Party>>,
    /// Whether approvals carry an SSH signature.
    pub signature: Option<bool>,
    /// Whether the requester is verified over a channel registered beforehand.
    pub out_of_band: Option<bool>,
}

impl RawRule {
    fn over(self, rule: Rule) -> Rule {
        let approve = self.approve.unwrap_or(rule.approve);
        Rule {
            may: self.may.unwrap_or(rule.may),
            approvals: self.approvals.unwrap_or(rule.approvals).max(approve.len()),
            approve,
            second: self.second.unwrap_or(rule.second),
            told: self.told.unwrap_or(rule.told),
            signature: self.signature.unwrap_or(rule.signature),
            out_of_band: self.out_of_band.unwrap_or(rule.out_of_band),
        }
    }
}

/// The table of one client.
#[derive(Debug, Clone, Default)]
pub struct Raci {
    pub(crate) rules: BTreeMap<Action, Rule>,
    pub(crate) act_as: Vec<String>,
}

impl Raci {
    /// The row of an action.
    pub fn rule(&self, action: Action) -> Rule {
        self.rules.get(&action).cloned().unwrap_or_else(|| Rule::default_for(action))
    }

    /// Whether a Unix user may name somebody else as the one who acts.
    pub fn may_act_as(&self, unix_user: &str) -> bool {
        self.act_as.iter().any(|allowed| allowed == unix_user)
    }
}

impl RawRaci {
    /// The rules written, each with its place.
    pub(crate) fn rules(self) -> (Vec<String>, Vec<(Action, Spanned<RawRule>)>) {
        let rows = [
            (Action::ChangeRegistrar, self.change_registrar),
            (Action::ChangeMailDns, self.change_mail_dns),
            (Action::CreateMailbox, self.create_mailbox),
            (Action::DisableMailbox, self.disable_mailbox),
            (Action::ChangeForwarding, self.change_forwarding),
            (Action::GrantAccess, self.grant_access),
            (Action::ResetRoutine, self.reset_routine),
            (Action::ResetRole, self.reset_role),
            (Action::ResetCompromise, self.reset_compromise),
            (Action::ResetPrivileged, self.reset_privileged),
            (Action::Offboard, self.offboard),
            (Action::ExportMailbox, self.export_mailbox),
        ];
        (self.act_as, rows.into_iter().filter_map(|(action, rule)| Some((action, rule?))).collect())
    }
}

/// The rule as it holds, or what makes it a bypass.
pub(crate) fn effective(action: Action, written: RawRule) -> Result<Rule, String> {
    let default = Rule::default_for(action);
    let rule = written.over(default.clone());
    if rule.may.is_empty() {
        return Err("nobody may do it: name who under `may`".to_owned());
    }
    if action.is_privileged() && rule.approvals < default.approvals {
        return Err(format!(
            "`{}` needs {} approval(s): with {} the same person could request, approve and execute it",
            action.as_str(),
            default.approvals,
            rule.approvals
        ));
    }
    if rule.approvals > rule.approve.len() && rule.second.is_empty() {
        return Err(format!(
            "{} people must approve, but `approve` names {} and `second` nobody",
            rule.approvals,
            rule.approve.len()
        ));
    }
    Ok(rule)
}
