//! What is known about the message, or about what runs the script, on the way to an effect.
#![allow(clippy::unwrap_used, reason = "test code outside `#[test]` functions")]

use sieve_analysis::{Analysis, Dialect, EffectKind, Mailbox, Script, analyse, analyse_at_event};

fn reaches(analysis: &Analysis) -> Vec<&'static str> {
    let redirects = analysis.effects.iter().filter(|effect| effect.kind == EffectKind::Redirect);
    redirects.map(|effect| effect.reach.name()).collect()
}

/// Scripts with the reach of their redirects, in every dialect.
fn table(rows: &[(&str, &[&str])]) {
    for (script, expected) in rows {
        let required = "require [\"variables\",\"envelope\",\"body\",\"regex\",\"relational\",\"editheader\",\
            \"foreverypart\",\"mime\",\"imap4flags\",\"copy\",\"date\"];";
        for dialect in Dialect::ALL {
            let analysis = analyse(format!("{required}{script}").as_bytes(), dialect, true);
            assert_eq!(reaches(&analysis), *expected, "{dialect}: {script}");
        }
    }
}

const R: &str = "redirect \"a@x.example\";";

#[test]
fn the_same_question_gets_the_same_answer() {
    let dead: [&str; 9] = [
        r#"if allof (header :is "a" "b", not header :is "a" "b") { R }"#,
        r#"if allof (not exists "a", exists  /* c */ "a") { R }"#,
        r#"if allof (not anyof (exists "a", exists "b"), exists "b") { R }"#,
        r#"if exists "a" { if not exists "a" { R } }"#,
        r#"if exists "a" {} elsif exists "a" { R }"#,
        r#"if exists "a" { stop; } if exists "a" { R }"#,
        r#"if allof (size :over 10K, size :under 10K) { R }"#,
        r#"if allof (size :over 10, size :under 11) { R }"#,
        r#"if size :under 1M { if size :over 2M { R } }"#,
    ];
    let open: [&str; 14] = [
        r#"if allof (header :is "a" "b", header :is "a" "c") { R }"#,
        r#"if allof (header :is "a" "b", not header :is "A" "b") { R }"#,
        r#"if allof (header :is "a" "b", not header :is "a" "B") { R }"#,
        r#"if allof (size :over 10, size :under 12) { R }"#,
        r#"if not allof (size :over 10, not size :under 5) { R }"#,
        r#"if exists "a" { if header :matches "a" "*" { if header :matches "a" "*" { R } } }"#,
        r#"if exists "a" { addheader "b" "c"; if not exists "a" { R } }"#,
        r#"if exists "a" { deleteheader "a"; } if not exists "a" { R }"#,
        r#"if exists "a" { foreverypart { if not exists "a" { R } deleteheader "a"; } }"#,
        r#"foreverypart { if exists :mime "a" { foreverypart { if not exists :mime "a" { R } } } }"#,
        r#"if exists "${v}" { set "v" "x"; if not exists "${v}" { R } }"#,
        r#"if currentdate "hour" "1" { if not currentdate "hour" "1" { R } }"#,
        r#"if anyof (exists "a", not exists "b") { R }"#,
        r#"if allof (not allof (exists "a", exists "b"), exists "b") { R }"#,
    ];
    let rows = |scripts: &[&str]| scripts.iter().map(|script| script.replace('R', R)).collect::<Vec<_>>();
    for script in rows(&dead) {
        table(&[(&script, &["dead"])]);
    }
    for script in rows(&open) {
        table(&[(&script, &["conditional"])]);
    }
    table(&[(r#"if exists "a" { stop; } if not exists "a" { redirect "a@x.example"; }"#, &["conditional"])]);
    table(&[(r#"if anyof (exists "a", not exists "a") { redirect "a@x.example"; }"#, &["always"])]);
}

#[test]
fn regular_expressions_on_constants_are_decided_where_engines_agree() {
    table(&[
        (r#"if string :regex "abc" "^a.c$" { redirect "a@x.example"; }"#, &["always"]),
        (r#"if string :regex "abc" "^b" { redirect "a@x.example"; }"#, &["dead"]),
        (r#"if string :regex "abc" ["^b", "c$"] { redirect "a@x.example"; }"#, &["always"]),
        (r#"if string :regex "abc" "[[:alpha:]]" { redirect "a@x.example"; }"#, &["conditional"]),
        (r#"if string :regex "${1}" "a" { redirect "a@x.example"; }"#, &["dead"]),
    ]);
}

const EVENTS: &str = r#"require ["environment", "imapsieve", "variables", "copy"];
if environment :is "imap.mailbox" "Sent" { redirect :copy "a@x.example"; }
if environment :is "imap.mailbox" ["Drafts", "Trash"] { redirect :copy "b@x.example"; }
if environment :is "IMAP.cause" "APPEND" { redirect :copy "c@x.example"; }
if environment :is "imap.cause" ["append", "COPY", "FLAG"] { redirect :copy "d@x.example"; }
if environment :is "imap.cause" "EXPUNGE" { redirect :copy "e@x.example"; }
if environment :contains "imap.changedflags" "\\Seen" { redirect :copy "f@x.example"; }"#;

#[test]
fn at_an_event_its_folder_and_cause_are_known() {
    let scripts = [Script { name: "events", bytes: EVENTS.as_bytes(), active: false }];
    let mailbox = Mailbox { scripts: &scripts, globals: &[] };
    for dialect in Dialect::ALL {
        let analysis = analyse_at_event(&mailbox, 0, "Sent", dialect).unwrap();
        let expected = ["always", "dead", "conditional", "always", "dead", "conditional"];
        assert_eq!(reaches(&analysis), expected, "{dialect}");
    }
    assert_eq!(analyse_at_event(&mailbox, 1, "Sent", Dialect::Pigeonhole), None);
}

#[test]
fn at_delivery_a_script_that_wants_events_fails() {
    let analysis = analyse(EVENTS.as_bytes(), Dialect::Pigeonhole, true);
    assert!(reaches(&analysis).iter().all(|reach| *reach == "conditional"), "{:?}", reaches(&analysis));
    assert!(analysis.effects[0].conditions.contains("unless the run fails at require"));
    assert!(analysis.diagnostics.iter().any(|one| one.message.contains("IMAP events only")));
}
