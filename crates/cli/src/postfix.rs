//! `mailwarden postfix render`: the main.cf lines that make Postfix take a scope's mail and leave its fate to the
//! gate.

use std::fmt::Write as _;

use mailwarden_policy::Policy;
use mailwarden_settings::load_policy;

use crate::arguments::{Common, PostfixRender};
use crate::failure::{Failure, Outcome};
use crate::output;

pub(crate) fn run(common: &Common, render: &PostfixRender) -> Result<Outcome, Failure> {
    let settings = common.settings()?;
    let (policy, _) = load_policy(&common.policy_directory(&settings))?;
    let milter = render.milter.as_deref().unwrap_or(&settings.gate.listen);
    output::print(&main_cf(&policy, milter))?;
    Ok(Outcome::Clean)
}

/// Where mail waits that the gate did not rewrite: a socket that nobody ever listens on. `error:` and `retry:`
/// would be refused at RCPT, before the gate is asked.
const NOWHERE: &str = "lmtp:unix:/nonexistent/mailwarden-gate-did-not-route-this";

fn main_cf(policy: &Policy, milter: &str) -> String {
    let scopes: Vec<&str> = policy.scopes().iter().map(|scope| scope.domain.as_str()).collect();
    let mut out = String::from(
        "# Written by `mailwarden postfix render`. Fails closed: what the gate did not route is deferred, never\n\
         # bounced and never lost. No map per address is needed.\n\n\
         # Scopes: any local part is taken, and the gate sends it to the scope's mailbox.\n\
         # If relay_domains already has a value, add these to it.\n",
    );
    let _ = writeln!(out, "relay_domains = {}", scopes.join(", "));
    let _ = writeln!(out, "relay_recipient_maps =\nrelay_transport = {NOWHERE}\n");
    out.push_str(
        "# The gate, for SMTP and for sendmail(1). Without it mail is refused for now and tried again.\n",
    );
    let _ = writeln!(out, "smtpd_milters = {milter}\nnon_smtpd_milters = $smtpd_milters");
    out.push_str(
        "milter_default_action = tempfail\nmilter_protocol = 6\n\n\
         # The gate deletes recipients by the spelling the client used; with `no` two merged recipients are lost.\n\
         enable_original_recipient = yes\n\n\
         # Against smuggled messages, which would reach the gate as messages of their own.\n\
         smtpd_forbid_bare_newline = yes\nsmtpd_forbid_unauth_pipelining = yes\n",
    );
    let _ = write!(out, "{}", required_addresses(policy));
    out
}

fn required_addresses(policy: &Policy) -> String {
    let mut out = String::new();
    for domain in policy.domains().iter().filter(|domain| domain.admin_queue.is_some()) {
        let _ = writeln!(
            out,
            "\n# postmaster@{0} and abuse@{0} have to be known to Postfix (RFC 2142); the gate routes them.",
            domain.name
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use mailwarden_policy::Source;

    use super::*;

    #[test]
    fn scopes_are_relayed_nowhere_and_the_gate_is_asked_on_both_paths() {
        let text = include_bytes!("../../../config/policy/example.toml");
        let (policy, _) = Policy::compile(&[Source::new("p", &text[..])]).expect("valid");
        let rendered = main_cf(&policy, "inet:127.0.0.1:8891");
        for line in [
            "relay_domains = saas.example.test",
            "relay_recipient_maps =",
            "smtpd_milters = inet:127.0.0.1:8891",
            "non_smtpd_milters = $smtpd_milters",
            "milter_default_action = tempfail",
        ] {
            assert!(rendered.lines().any(|found| found == line), "{line:?} is missing in\n{rendered}");
        }
    }
}
