//! Programs that fetch mail from outside, and logins of people who have left, as the servers' logs say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use mailwarden_address::Address;
use mailwarden_evidence::{ClientLogins, Evidence, Fact, Observation};

use super::is_sending;
use crate::brief::Brief;
use crate::draft::Draft;
use crate::remediation::on_surface;
use crate::severity::{Act, Destination, Weight};
use crate::shell::word;
use crate::wording::{day, shown};
use crate::{Beneficiary, BeneficiaryKind, Confidence, Locator, State};

/// Words in what a program calls itself, and the program. Mail programs that people sit in front of are not among them.
const FETCHERS: [(&str, &str); 9] = [
    ("imapsync", "imapsync"),
    ("getmail", "getmail"),
    ("fetchmail", "fetchmail"),
    ("mbsync", "mbsync"),
    ("isync", "mbsync"),
    ("offlineimap", "offlineimap"),
    ("gmail", "Gmail"),
    ("google", "Gmail"),
    ("imap-backup", "imap-backup"),
];
/// Services that hand mail out.
const FETCHING: [&str; 2] = ["imap", "pop3"];
/// Most addresses that a finding names.
const MOST_SHOWN: usize = 5;

/// One row of the log's sums.
struct Row<'a> {
    told: &'a ClientLogins,
    fetcher: Option<String>,
    seen: &'a Observation,
}

pub(crate) fn check(brief: &Brief<'_>) -> Vec<Draft> {
    let mut of_leavers: BTreeMap<&str, Vec<Row<'_>>> = BTreeMap::new();
    let mut of_fetchers: BTreeMap<(&str, String), Vec<Row<'_>>> = BTreeMap::new();
    for row in brief.observations.iter().filter_map(row) {
        match (left(brief, &row.told.login), &row.fetcher) {
            (Some(left), _) if row.told.last > left => {
                of_leavers.entry(&row.told.login).or_default().push(row);
            }
            (_, Some(fetcher)) => {
                of_fetchers.entry((&row.told.login, fetcher.clone())).or_default().push(row);
            }
            _ => {}
        }
    }
    let leavers = of_leavers.into_iter().filter_map(|(login, rows)| leaver(brief, login, &rows));
    let fetchers =
        of_fetchers.into_iter().map(|((login, fetcher), rows)| fetched(brief, login, &fetcher, &rows));
    leavers.chain(fetchers).collect()
}

/// Where nobody said what is outside, an address of a private network is taken for one at home.
fn row(seen: &Observation) -> Option<Row<'_>> {
    let Fact::ClientLogins(told) = &seen.fact else { return None };
    let by_name = || told.programs.iter().find_map(|program| known(program)).map(str::to_owned);
    let fetches = FETCHING.contains(&told.service.as_str());
    let fetcher = fetches.then(|| told.fetcher.clone().or_else(by_name)).flatten();
    let row = Row { told, fetcher, seen };
    (told.outside || is_public(&told.address)).then_some(row)
}

fn known(program: &str) -> Option<&'static str> {
    let program = program.to_ascii_lowercase();
    FETCHERS.iter().find(|(word, _)| program.contains(word)).map(|(_, name)| *name)
}

fn is_public(address: &str) -> bool {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => {
            !(address.is_loopback() || address.is_private() || address.is_link_local())
        }
        Ok(IpAddr::V6(address)) => {
            !(address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local())
        }
        Err(_) => true,
    }
}

/// When the person whose mailbox it is left.
fn left(brief: &Brief<'_>, login: &str) -> Option<DateTime<Utc>> {
    brief.policy.leaver(&Address::parse(login).ok()?, brief.run.now)?.left
}

fn leaver(brief: &Brief<'_>, login: &str, rows: &[Row<'_>]) -> Option<Draft> {
    let left = left(brief, login)?;
    let name = shown(login);
    let title = format!(
        "{name} left on {} and was still logged in to {}, last on {}.",
        day(left),
        from(rows),
        last(rows)
    );
    Some(Draft {
        title,
        ..draft("pull.client-leaver", (login, &from(rows)), rows, Weight { leaver: true, ..reads() })
    })
}

fn fetched(brief: &Brief<'_>, login: &str, fetcher: &str, rows: &[Row<'_>]) -> Draft {
    let (name, program) = (shown(login), shown(fetcher));
    let times: u64 = rows.iter().map(|row| row.told.logins).sum();
    let title = format!(
        "{program} fetches the mail of {name} from outside: {times} logins {}, last on {}.",
        from(rows),
        last(rows)
    );
    let leaver = left(brief, login).is_some();
    let draft = draft("pull.client-fetcher", (login, &program), rows, Weight { leaver, ..reads() });
    Draft { title, identity: vec![login.to_owned(), fetcher.to_lowercase()], ..draft }
}

/// What those could do who logged in.
fn effects(rows: &[Row<'_>]) -> Vec<String> {
    let sending = |row: &Row<'_>| is_sending(&row.told.service);
    let reads = rows.iter().any(|row| !sending(row)).then_some("read");
    let sends = rows.iter().any(sending).then_some("send");
    reads.into_iter().chain(sends).map(str::to_owned).collect()
}

fn reads() -> Weight {
    Weight::new(Act::Read, Destination::Unknown)
}

fn last(rows: &[Row<'_>]) -> String {
    rows.iter().map(|row| row.told.last).max().map_or_else(String::new, day)
}

/// `by imap from 203.0.113.9, by pop3 from 198.51.100.7 and 3 more`.
fn from(rows: &[Row<'_>]) -> String {
    let all: BTreeSet<String> = rows
        .iter()
        .map(|row| format!("by {} from {}", shown(&row.told.service), shown(&row.told.address)))
        .collect();
    let more = all.len().saturating_sub(MOST_SHOWN);
    let head = all.into_iter().take(MOST_SHOWN).collect::<Vec<_>>().join(", ");
    if more == 0 { head } else { format!("{head} and {more} more") }
}

fn draft(check_id: &'static str, (login, who): (&str, &str), rows: &[Row<'_>], weight: Weight) -> Draft {
    let name = shown(login);
    let surface = rows.first().map_or_else(String::new, |row| row.seen.surface.clone());
    let places: BTreeSet<Vec<u8>> =
        rows.iter().map(|row| format!("{} {}", row.told.service, row.told.address).into_bytes()).collect();
    let is_told = rows.iter().all(|row| row.told.outside);
    let advice = format!(
        "give {name} a new password or lock it, then `doveadm auth cache flush {0}` and `doveadm kick {0}`",
        word(login)
    );
    let evidence: Vec<Evidence> = rows.iter().take(MOST_SHOWN).map(|row| row.seen.evidence.clone()).collect();
    Draft {
        check_id,
        title: String::new(),
        severity: weight.severity(),
        confidence: if is_told { Confidence::High } else { Confidence::Medium },
        state: State::Active,
        mailbox: login.to_owned(),
        locator: Locator { key: Some(login.to_owned()), ..Locator::default() },
        identity: vec![login.to_owned()],
        content: places.into_iter().collect(),
        effects: effects(rows),
        beneficiary: Beneficiary { kind: BeneficiaryKind::Unresolvable, value: who.to_owned(), person: None },
        path: vec![name, from(rows)],
        conditions: match is_told {
            true => "the log shows logins; what a program calls itself is its own word".to_owned(),
            false => "the address is a public one, and [clients] names no own networks".to_owned(),
        },
        evidence,
        remediation: on_surface(&surface, advice, "a new password is not taken back".to_owned(), None),
        surface,
    }
}

#[cfg(test)]
mod tests {
    use mailwarden_evidence::SYSTEM;

    use super::*;
    use crate::judge;
    use crate::testing::{ids, judged, observed, policy_with, run};

    fn logins(login: &str, address: &str, program: &str, last: &str) -> Observation {
        let last: DateTime<Utc> = last.parse().unwrap();
        let fact = Fact::ClientLogins(Box::new(ClientLogins {
            login: login.to_owned(),
            service: "imap".to_owned(),
            address: address.to_owned(),
            outside: true,
            fetcher: (address == "198.51.100.7").then(|| "a cloud".to_owned()),
            programs: vec![program.to_owned()],
            methods: vec!["PLAIN".to_owned()],
            logins: 12,
            first: last,
            last,
        }));
        observed(SYSTEM, "pull.clients", fact)
    }

    const BOB: &str = "bob@example.test";
    const JANE: &str = "jane@example.test";

    #[test]
    fn fetchers_and_what_goes_on_after_somebody_left_are_found_and_mail_programs_are_not() {
        let after = "2026-10-01T00:00:00Z";
        for (seen, expected) in [
            (logins(JANE, "203.0.113.9", "imapsync", after), "pull.client-fetcher imapsync medium"),
            (logins(JANE, "203.0.113.9", "GmailFetch 1", after), "pull.client-fetcher Gmail medium"),
            (logins(JANE, "198.51.100.7", "x", after), "pull.client-fetcher a cloud medium"),
            (logins(JANE, "203.0.113.9", "Thunderbird", after), ""),
            (
                logins(BOB, "203.0.113.9", "Thunderbird", after),
                "pull.client-leaver by imap from 203.0.113.9 high",
            ),
            (logins(BOB, "203.0.113.9", "Thunderbird", "2026-01-01T00:00:00Z"), ""),
            (
                logins(BOB, "203.0.113.9", "getmail", "2026-01-01T00:00:00Z"),
                "pull.client-fetcher getmail high",
            ),
        ] {
            assert_eq!(ids(&judged(&[seen], &[])).join(", "), expected);
        }
    }

    #[test]
    fn who_sends_with_a_leavers_password_is_found_and_nobody_who_sends_fetches() {
        let by = |service: &str, login: &str, address: &str| {
            let mut seen = logins(login, address, "imapsync", "2026-10-01T00:00:00Z");
            if let Fact::ClientLogins(told) = &mut seen.fact {
                service.clone_into(&mut told.service);
            }
            seen
        };
        let sent = by("smtp", BOB, "203.0.113.9");
        let report = judged(std::slice::from_ref(&sent), &[]);
        assert_eq!(ids(&report), ["pull.client-leaver by smtp from 203.0.113.9 high"]);
        assert_eq!(report.findings[0].effects, ["send"]);
        let report = judged(&[sent, by("pop3", BOB, "203.0.113.9")], &[]);
        assert_eq!(report.findings[0].effects, ["read", "send"]);
        for service in ["smtp", "submission", "managesieve"] {
            let fetcher = by(service, JANE, "198.51.100.7");
            assert_eq!(ids(&judged(&[fetcher], &[])), Vec::<String>::new(), "{service}");
        }
    }

    #[test]
    fn a_mailbox_that_was_handed_on_is_nobodys_who_left() {
        let desk = |owner: &str| {
            let policy = policy_with(&format!(
                "[[person]]\nname = \"Gone\"\naddresses = [\"desk@example.test\"]\nleft = 2026-01-01T00:00:00Z\n\
                 [[mailbox]]\naddress = \"desk@example.test\"\nkind = \"role\"\n{owner}"
            ));
            let seen = [logins("desk@example.test", "203.0.113.9", "x", "2026-10-01T00:00:00Z")];
            ids(&judge(&run(), &policy, &seen, Vec::new())).len()
        };
        assert_eq!(desk("business_owner = \"bob@example.test\"\n"), 1);
        assert_eq!(desk("business_owner = \"jane@example.test\"\n"), 0);
    }

    #[test]
    fn many_addresses_are_one_finding_that_changes_with_them() {
        let rows = |count: u8| -> Vec<Observation> {
            (0..count)
                .map(|at| logins(BOB, &format!("203.0.113.{at}"), "x", "2026-10-01T00:00:00Z"))
                .collect()
        };
        let (some, more) = (judged(&rows(8), &[]), judged(&rows(9), &[]));
        assert_eq!((some.findings.len(), more.findings.len()), (1, 1));
        assert!(
            some.findings[0].title.contains("and 3 more, last on 2026-10-01"),
            "{}",
            some.findings[0].title
        );
        assert_eq!(some.findings[0].fingerprint, more.findings[0].fingerprint);
        assert_ne!(some.findings[0].content_hash, more.findings[0].content_hash);
    }

    #[test]
    fn where_nobody_said_what_is_outside_a_public_address_is_doubted_and_a_private_one_is_at_home() {
        let untold = |address: &str| {
            let mut seen = logins(BOB, address, "x", "2026-10-01T00:00:00Z");
            if let Fact::ClientLogins(told) = &mut seen.fact {
                told.outside = false;
            }
            judged(&[seen], &[])
        };
        assert_eq!(untold("203.0.113.9").findings[0].confidence, Confidence::Medium);
        for home in ["127.0.0.1", "10.1.2.3", "::1", "::ffff:192.168.1.1", "fd00::1"] {
            assert!(untold(home).findings.is_empty(), "{home}");
        }
    }
}
