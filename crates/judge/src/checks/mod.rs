//! The checks, one file a family. A check reads the brief and says what it found; it never says that nothing
//! is there.

mod accounts;
mod acl;
mod clients;
mod credentials;
mod dns;
mod host;
mod lists;
mod locked;
pub(crate) mod metadata;
mod panel;
pub(crate) mod postfix;
mod probe;
mod pulls;
mod sasl;
pub(crate) mod sieve;
mod urlauth;

pub(crate) use acl::effects_of as acl_effects;
pub(crate) use lists::locator as list_locator;

use crate::brief::Brief;
use crate::draft::Draft;

/// Whether somebody sends mail by this service: Dovecot's own, or Postfix, for which Dovecot says `smtp`.
fn is_sending(service: &str) -> bool {
    matches!(service, "smtp" | "submission")
}

/// What all checks found, in no particular order.
pub(crate) fn run_all(brief: &Brief<'_>) -> Vec<Draft> {
    let families: [fn(&Brief<'_>) -> Vec<Draft>; 15] = [
        sieve::check,
        acl::check,
        metadata::check,
        urlauth::check,
        postfix::check,
        panel::check,
        pulls::check,
        clients::check,
        lists::check,
        accounts::check,
        host::check,
        credentials::check,
        probe::check,
        sasl::check,
        dns::check,
    ];
    let mut drafts: Vec<Draft> = families.iter().flat_map(|check| check(brief)).collect();
    locked::say_where_mail_goes(&mut drafts);
    drafts
}
