//! What the coverage of a run lets one say of a place.

use mailwarden_evidence::{Coverage, CoverageState, Fact, Observation, SYSTEM};

/// The rows that bear on a surface of a mailbox. Facts of the mail system as a whole are covered by its own
/// rows, also where their findings name a mailbox.
pub(crate) fn rows<'a>(
    coverage: &'a [Coverage],
    mailbox: &'a str,
    surface: &'a str,
) -> impl Iterator<Item = &'a Coverage> {
    coverage.iter().filter(move |row| {
        row.surface == surface && (row.mailbox.eq_ignore_ascii_case(mailbox) || row.mailbox == SYSTEM)
    })
}

/// Whether nothing on a surface of a mailbox can have been missed. No row means that nobody looked.
pub(crate) fn is_complete(coverage: &[Coverage], mailbox: &str, surface: &str) -> bool {
    let mut rows = rows(coverage, mailbox, surface).peekable();
    rows.peek().is_some() && rows.all(|row| row.state.is_complete())
}

/// The surface of accounts, and the one that says whom Postfix asks about logins.
const ACCOUNTS: &str = "account.state";
const SENDERS: &str = "postfix.sasl";

/// Dovecot's lookups say who may read. Who may send is told by them only where Postfix asks Dovecot, or where whom it asks
/// instead was listed; otherwise an account that is locked there was seen in part.
pub(crate) fn doubt_who_sends(coverage: &mut [Coverage], observations: &[Observation]) {
    let Some(doubt) = doubt(coverage, observations) else { return };
    for row in coverage.iter_mut().filter(|row| row.surface == ACCOUNTS) {
        match row.state {
            CoverageState::Collected => {
                row.state = CoverageState::Partial;
                row.reason.clone_from(&doubt);
            }
            CoverageState::Partial => row.reason = format!("{}; {doubt}", row.reason),
            _ => {}
        }
    }
}

fn doubt(coverage: &[Coverage], observations: &[Observation]) -> Option<String> {
    let open = |row: &&Coverage| {
        let was_looked_at =
            matches!(row.state, CoverageState::Partial | CoverageState::Denied | CoverageState::Error);
        row.surface == SENDERS && row.mailbox == SYSTEM && was_looked_at
    };
    let row = coverage.iter().find(open)?;
    let is_cyrus = |seen: &Observation| {
        seen.surface == SENDERS
            && matches!(&seen.fact, Fact::Setting { name, value } if name == "smtpd_sasl_type" && value.starts_with("cyrus"))
    };
    let why = match observations.iter().any(is_cyrus) {
        true => "submission is authenticated by Cyrus SASL and not by Dovecot",
        false => "it is not known whom Postfix asks about logins",
    };
    Some(format!("could not look whether it may send: {why}; postfix.sasl: {}", row.reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{covered, judged, observed};

    #[test]
    fn a_lookup_at_dovecot_proves_nothing_of_who_sends_where_postfix_asks_somebody_else() {
        use CoverageState::{Collected, Denied, Partial};
        let value = "cyrus (saslauthd, by /etc/postfix/sasl/smtpd.conf)".to_owned();
        let cyrus = [observed(SYSTEM, SENDERS, Fact::Setting { name: "smtpd_sasl_type".to_owned(), value })];
        for (seen, senders, accounts, expected, words) in [
            (&cyrus[..], Partial, Collected, Partial, "authenticated by Cyrus SASL"),
            (&cyrus[..], Collected, Collected, Collected, ""),
            (&cyrus[..], Partial, Denied, Denied, "refused"),
            (&[][..], Partial, Partial, Partial, "not known whom Postfix asks"),
            (&[][..], Collected, Collected, Collected, ""),
        ] {
            let jane = "jane@example.test";
            let report = judged(seen, &[(SYSTEM, SENDERS, senders), (jane, ACCOUNTS, accounts)]);
            let row = report.coverage.iter().find(|row| row.surface == ACCOUNTS).unwrap();
            assert_eq!(row.state, expected, "{row:?}");
            assert!(row.reason.contains(words), "{row:?}");
        }
        let mut alone = covered(&[("jane@example.test", ACCOUNTS, Collected)]);
        doubt_who_sends(&mut alone, &cyrus);
        assert_eq!(
            alone[0].state, Collected,
            "nobody looked at Postfix in this run, so nothing is said of it"
        );
    }
}
