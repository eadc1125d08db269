//! What ends a run with an error when the engine gets there: each row is run by the engine and foretold.

use crate::laboratory::Laboratory;
use crate::messages::MESSAGES;
use sieve_analysis::{Dialect, Effect, EffectKind, Reach, analyse};

/// Whether the run fails: on every message, on some or on some servers, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    Always,
    Perhaps,
    Never,
}

use Fails::{Always, Never, Perhaps};

const REQUIRED: &str = "require [\"variables\",\"encoded-character\",\"fileinto\",\"copy\",\"reject\",\"vacation\",\
    \"enotify\",\"foreverypart\",\"mime\",\"extracttext\",\"editheader\",\"mailbox\",\"regex\",\"ihave\",\
    \"mboxmetadata\",\"servermetadata\",\"special-use\",\"vnd.dovecot.pipe\",\"vnd.dovecot.execute\",\
    \"vnd.dovecot.filter\",\"vnd.dovecot.report\",\"vnd.dovecot.debug\"];\
    set \"bad\" \"24\"; set \"none\" \"\"; set \"byte\" \"${hex:e9}\"; set \"line\" \"x${hex:0a}y\";\
    set \"good\" \"b@x.example\";";

/// Behind a redirect of the message that the engine would carry out: what is tried, whether it fails, and
/// whether it does on the message of this test.
const ROWS: [(&str, Fails, bool); 72] = [
    (r#"keep;"#, Never, false),
    (r#"error "x";"#, Always, true),
    (r#"stop; error "x";"#, Never, false),
    (r#"if exists "subject" { error "x"; }"#, Perhaps, true),
    (r#"if exists "x-none" { error "x"; }"#, Perhaps, false),
    (r#"if false { error "x"; }"#, Never, false),
    // Special uses.
    (r#"if specialuse_exists "${bad}" {}"#, Always, true),
    (r#"if specialuse_exists "24" {}"#, Always, true),
    (r#"if specialuse_exists "\\a b" {}"#, Always, true),
    (r#"if specialuse_exists "\\Junk" {}"#, Never, false),
    (r#"if specialuse_exists "\\" {}"#, Never, false),
    (r#"if specialuse_exists ["24", "\\Junk"] {}"#, Always, true),
    (r#"if specialuse_exists ["\\Junk", "24"] {}"#, Perhaps, false),
    (r#"if specialuse_exists "none" "24" {}"#, Perhaps, false),
    (r#"if specialuse_exists "INBOX" "${bad}" {}"#, Perhaps, true),
    (r#"if anyof (true, specialuse_exists "${bad}") {}"#, Never, false),
    (r#"if anyof (exists "subject", specialuse_exists "${bad}") {}"#, Perhaps, false),
    (r#"if anyof (exists "x-none", specialuse_exists "${bad}") {}"#, Perhaps, true),
    (r#"if exists "subject" {} elsif specialuse_exists "${bad}" {}"#, Perhaps, false),
    (r#"if allof (not false, not specialuse_exists "${bad}") {}"#, Always, true),
    (r#"fileinto :specialuse "${bad}" "x";"#, Always, true),
    (r#"set "a" "\\Junk"; fileinto :specialuse "${a}" "x";"#, Never, false),
    // Folders.
    (r#"fileinto "${byte}";"#, Always, true),
    (r#"fileinto "${none}";"#, Never, false),
    (r#"fileinto "../../${good}";"#, Never, false),
    (r#"fileinto "${line}";"#, Never, false),
    (r#"if header :matches "subject" "*" { set "c" "${1}"; } fileinto "a/${c}";"#, Never, false),
    (r#"if header :matches "subject" "?*" { set "c" "${1}"; } fileinto "a/${c}";"#, Perhaps, false),
    (r#"if header :regex "subject" "(.)" { set "c" "${1}"; } fileinto "a/${c}";"#, Perhaps, false),
    (r#"foreverypart { extracttext "c"; } fileinto "a/${c}";"#, Never, false),
    (r#"foreverypart { extracttext :first 1 "c"; } fileinto "a/${c}";"#, Perhaps, false),
    (r#"if mailboxexists "${byte}" {}"#, Never, false),
    // Annotations: the tool keeps none.
    (r#"if metadata "INBOX" "/private/x" "y" {}"#, Perhaps, true),
    (r#"if metadataexists "none" "/private/x" {}"#, Perhaps, true),
    (r#"if servermetadata "/private/x" "y" {}"#, Perhaps, true),
    (r#"if servermetadataexists "/shared/x" {}"#, Perhaps, true),
    (r#"if metadata "INBOX" "${bad}" "y" {}"#, Never, false),
    (r#"if servermetadataexists "${bad}" {}"#, Never, false),
    // Addresses.
    (r#"redirect "${bad}";"#, Always, true),
    (r#"redirect "${good}";"#, Never, false),
    (r#"redirect "a,${good}";"#, Always, true),
    (r#"redirect "a. ${good}";"#, Always, true),
    (r#"if header :matches "subject" "*" { redirect "${1}@x.example"; }"#, Perhaps, true),
    (r#"if exists "x-none" { set "good" "24"; } redirect "${good}";"#, Perhaps, false),
    (r#"report "abuse" "x" "${bad}";"#, Always, true),
    (r#"report "${bad}" "x" "${good}";"#, Never, false),
    (r#"vacation :from "${bad}" "x";"#, Never, false),
    (r#"vacation :addresses ["${bad}"] "x";"#, Never, false),
    (r#"notify "${bad}";"#, Always, true),
    (r#"notify "xmpp:${good}";"#, Always, true),
    (r#"notify "mailto:${good}";"#, Never, false),
    (r#"notify :from "${bad}" "mailto:a@x.example";"#, Always, true),
    (
        r#"if exists "x-none" { set "good" "24"; } notify :from "${good}" "mailto:a@x.example";"#,
        Perhaps,
        false,
    ),
    // Header fields.
    (r#"addheader "${line}" "x";"#, Always, true),
    (r#"addheader "X-A" "${hex:00}${line}${none}";"#, Always, true),
    (r#"set "a" "x${hex:00}"; addheader "X-A" "${a}";"#, Always, true),
    (r#"addheader "X-A" "${byte}";"#, Never, false),
    (r#"if header :matches "subject" "*" { set "c" "${1}"; } addheader "X-A" "${c}";"#, Never, false),
    (r#"deleteheader "${line}";"#, Always, true),
    // Programs.
    (r#"pipe :copy "prog" ["${line}"];"#, Always, true),
    (r#"pipe :copy "prog" ["${good}"];"#, Never, false),
    (r#"if header :matches "subject" "*" { set "c" "${1}"; } pipe :copy "prog" ["${c}"];"#, Perhaps, false),
    (r#"if execute "prog" ["${line}"] {}"#, Always, true),
    (r#"if execute "prog" {}"#, Never, false),
    (r#"execute "prog";"#, Perhaps, true),
    (r#"filter "prog";"#, Perhaps, true),
    (r#"pipe :copy "prog"; pipe :copy "prog";"#, Always, true),
    // Actions that exclude others.
    (r#"reject "x";"#, Always, true),
    (r#"if exists "x-none" { reject "x"; }"#, Perhaps, false),
    (r#"vacation "x"; vacation "y";"#, Always, true),
    // Limits, which an administrator may have moved.
    (
        r#"redirect "b@x.example"; redirect "c@x.example"; redirect "d@x.example"; redirect "e@x.example";"#,
        Perhaps,
        true,
    ),
    (
        r#"redirect "b@x.example"; redirect "c@x.example"; redirect "d@x.example"; redirect "b@x.example";"#,
        Never,
        false,
    ),
];

fn first_redirect(effects: &[Effect]) -> Reach {
    let first = effects.iter().find(|effect| effect.kind == EffectKind::Redirect);
    first.map_or(Reach::Inactive, |effect| effect.reach)
}

fn foretold(fails: Fails) -> Reach {
    match fails {
        Always => Reach::Dead,
        Perhaps => Reach::Conditional,
        Never => Reach::Always,
    }
}

#[test]
fn what_fails_at_run_time_undoes_what_was_before() {
    let laboratory = Laboratory::open();
    for (tried, fails, fails_here) in ROWS {
        let script = format!("{REQUIRED}redirect :copy \"first@x.example\";{tried}");
        let analysis = analyse(script.as_bytes(), Dialect::Pigeonhole, true);
        assert!(analysis.accepted, "{tried}: {:?}", analysis.diagnostics);
        assert_eq!(first_redirect(&analysis.effects), foretold(fails), "{tried}");
        let actions = laboratory.as_ref().map(|one| one.run_script(script.as_bytes(), &MESSAGES[0]));
        if let Some(actions) = actions {
            assert_eq!(!actions.finished, fails_here, "{tried}: {}", actions.reason);
            assert_eq!(actions.redirects.contains("first@x.example"), !fails_here, "{tried}");
        }
    }
}

/// Programs run and logs are written when the engine gets there; no failure takes that back.
#[test]
fn what_is_done_at_once_is_not_undone() {
    for at_once in [r#"if execute "prog" {}"#, r#"if filter "prog" {}"#, r#"debug_log "x";"#] {
        let script = format!("{REQUIRED}{at_once} error \"x\";");
        let analysis = analyse(script.as_bytes(), Dialect::Pigeonhole, true);
        assert_eq!(analysis.effects[0].reach, Reach::Always, "{at_once}");
    }
}

#[test]
fn the_conditions_name_the_place_that_may_fail() {
    let within = r#"if header :matches "x" "*" { redirect "${1}@x.example"; }"#;
    let script = format!("{REQUIRED}redirect \"${{good}}\"; {within} keep;");
    let analysis = analyse(script.as_bytes(), Dialect::Pigeonhole, true);
    let unless = "unless the run fails at redirect \"${1}@x.example\"";
    let conditions: Vec<_> = analysis.effects.iter().map(|effect| effect.conditions.as_str()).collect();
    let within = format!("header :matches \"x\" \"*\", {unless}");
    assert_eq!(conditions, [unless, &within, unless]);
}
