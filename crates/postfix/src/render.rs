//! The main.cf lines that make Postfix take a scope's mail and leave its fate to the gate.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mailwarden_policy::Policy;

/// Where mail waits that the gate did not route: a socket that nobody ever listens on. `error:` and `retry:`
/// would be refused at RCPT, before the gate is asked.
pub const NOWHERE: &str = "lmtp:unix:/nonexistent/mailwarden-gate-did-not-route-this";

/// How Postfix comes to take a scope's recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recipe {
    /// `relay_domains` with a transport that leads nowhere: without the gate mail waits.
    #[default]
    Relay,
    /// `virtual_alias_domains` with entries from the policy: without the gate mail reaches the mailbox
    /// unjudged.
    VirtualAlias,
}

/// The lines for every scope of the policy. `milter` is where Postfix reaches the gate.
#[must_use]
pub fn main_cf(policy: &Policy, milter: &str, recipe: Recipe) -> String {
    let mut out = match recipe {
        Recipe::Relay => relay(policy),
        Recipe::VirtualAlias => virtual_alias(policy),
    };
    out.push_str(
        "# The gate, for SMTP and for sendmail(1). Without it mail is refused for now and tried again.\n",
    );
    let _ = writeln!(out, "smtpd_milters = {milter}\nnon_smtpd_milters = $smtpd_milters");
    out.push_str(
        "milter_default_action = tempfail\nmilter_protocol = 6\n\n\
         # The gate deletes recipients by the spelling the client used; with `no` two merged recipients \
         are lost.\n\
         enable_original_recipient = yes\n\n\
         # Against smuggled messages, which would reach the gate as messages of their own.\n\
         smtpd_forbid_bare_newline = yes\nsmtpd_forbid_unauth_pipelining = yes\n",
    );
    out.push_str(&required_addresses(policy));
    out
}

fn scope_names(policy: &Policy) -> String {
    let names: Vec<&str> = policy.scopes().iter().map(|scope| scope.domain.as_str()).collect();
    names.join(", ")
}

fn relay(policy: &Policy) -> String {
    format!(
        "# Written by `mailwarden postfix render`. Fails closed: what the gate did not route is deferred, \
        never\n\
         # bounced and never lost. No map per address is needed.\n\n\
         # Scopes: any local part is taken, and the gate sends it to the scope's mailbox.\n\
         # If relay_domains already has a value, add these to it.\n\
         relay_domains = {}\nrelay_recipient_maps =\nrelay_transport = {NOWHERE}\n\n",
        scope_names(policy)
    )
}

fn virtual_alias(policy: &Policy) -> String {
    let mut entries = String::new();
    for (from, to) in aliases(policy) {
        let _ = writeln!(entries, "    {{ {from} = {to} }}");
    }
    format!(
        "# Written by `mailwarden postfix render --recipe virtual-alias`. Fails open: mail that passes \
        without the\n\
         # gate still reaches the mailbox, unjudged; burned and paused vendors included. The other recipe \
         fails \
         closed.\n\n\
         # Scopes: any local part is taken. If a parameter already has a value, add these to it.\n\
         virtual_alias_domains = {}\nvirtual_alias_maps = inline:{{\n{entries}  }}\n\n",
        scope_names(policy)
    )
}

/// Where each scope leads, and what has a route of its own: vendors, and the required addresses.
fn aliases(policy: &Policy) -> BTreeMap<String, String> {
    let mut aliases = BTreeMap::new();
    for scope in policy.scopes() {
        aliases.insert(format!("@{}", scope.domain), scope.deliver_to.to_string());
        for required in ["postmaster", "abuse"] {
            if let Some(queue) = policy.admin_queue(&scope.domain) {
                aliases.insert(format!("{required}@{}", scope.domain), queue.to_string());
            }
        }
    }
    for vendor in policy.vendors() {
        if let Some(own_route) = &vendor.deliver_to {
            aliases.insert(vendor.address.to_string(), own_route.to_string());
        }
    }
    aliases
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

    fn rendered(recipe: Recipe) -> String {
        let text = include_bytes!("../../../config/policy/example.toml");
        let own_route = b"\n[[vendor]]\naddress = \"own@saas.example.test\"\norganisation = \"O\"\n\
                          deliver_to = \"sales@example.test\"\n";
        let (policy, _) =
            Policy::compile(&[Source::new("p", [&text[..], own_route].concat())]).expect("valid");
        main_cf(&policy, "inet:127.0.0.1:8891", recipe)
    }

    #[test]
    fn scopes_are_relayed_nowhere_and_the_gate_is_asked_on_both_paths() {
        let rendered = rendered(Recipe::Relay);
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

    #[test]
    fn the_aliases_hold_the_catch_all_and_every_route_of_its_own() {
        let rendered = rendered(Recipe::VirtualAlias);
        for line in [
            "virtual_alias_domains = saas.example.test",
            "    { @saas.example.test = ops@example.test }",
            "    { own@saas.example.test = sales@example.test }",
            "    { postmaster@saas.example.test = ops@example.test }",
        ] {
            assert!(rendered.lines().any(|found| found == line), "{line:?} is missing in\n{rendered}");
        }
        assert!(!rendered.contains("relay_domains"), "{rendered}");
    }
}
