//! Switching effects off.
#![allow(clippy::unwrap_used, reason = "test code outside `#[test]` functions")]

use sieve_analysis::edit::{Refusal, apply, disable, inverse};
use sieve_analysis::{Dialect, EffectKind, LocalCopy, Mailbox, Reach, Script, analyse, analyse_mailbox};

const SCRIPT: &[u8] = b"require [\"copy\",\"fileinto\"];\r\n# caf\xe9\r\nif exists \"x\" {\r\n\
  \x20 redirect \"a@x.example\";\r\n}\r\nfileinto :copy \"A\";";

fn effect_of(script: &[u8], kind: EffectKind) -> sieve_analysis::Effect {
    let analysis = analyse(script, Dialect::Pigeonhole, true);
    analysis.effects.into_iter().find(|effect| effect.kind == kind).unwrap()
}

#[test]
fn one_effect_dies_and_the_bytes_come_back() {
    let redirect = effect_of(SCRIPT, EffectKind::Redirect);
    let disabled = disable(SCRIPT, Dialect::Pigeonhole, &redirect).unwrap();
    assert_eq!(effect_of(&disabled.script, EffectKind::Redirect).reach, Reach::Dead);
    assert_eq!(effect_of(&disabled.script, EffectKind::Fileinto).reach, Reach::Always);
    assert_eq!(apply(SCRIPT, &disabled.edits), disabled.script);
    assert_eq!(apply(&disabled.script, &inverse(SCRIPT, &disabled.edits)), SCRIPT);
}

#[test]
fn a_restored_local_copy_is_told() {
    let script = b"require \"vacation\"; vacation \"x\"; redirect \"a@x.example\";";
    assert_eq!(effect_of(script, EffectKind::Vacation).local_copy, LocalCopy::Lost);
    let redirect = effect_of(script, EffectKind::Redirect);
    assert!(disable(script, Dialect::Pigeonhole, &redirect).unwrap().local_copies_changed);
}

#[test]
fn what_cannot_be_proved_is_refused() {
    let redirect = effect_of(SCRIPT, EffectKind::Redirect);
    assert_eq!(disable(b"keep;", Dialect::Pigeonhole, &redirect), Err(Refusal::NoSuchEffect));
    assert_eq!(disable(b"keep", Dialect::Pigeonhole, &redirect), Err(Refusal::NotAccepted));
    let deep = format!("{}discard;{}", "if true {".repeat(31), "}".repeat(31));
    let discard = effect_of(deep.as_bytes(), EffectKind::Discard);
    assert_eq!(disable(deep.as_bytes(), Dialect::Pigeonhole, &discard), Err(Refusal::NotProved));
    let test = b"require \"vnd.dovecot.execute\"; if execute \"p\" { keep; }";
    let execute = effect_of(test, EffectKind::Execute);
    assert_eq!(disable(test, Dialect::Pigeonhole, &execute), Err(Refusal::NotProved));
}

#[test]
fn what_later_tests_may_look_at_is_not_taken_away() {
    let refused = |kind, action: &str, behind: &str| {
        let script = format!("require [\"editheader\",\"imap4flags\"]; {action} {behind}");
        let effect = effect_of(script.as_bytes(), kind);
        disable(script.as_bytes(), Dialect::Pigeonhole, &effect).is_err()
    };
    let (addheader, redirect) = ("addheader \"X-A\" \"set\";", "redirect \"boss@x.example\";");
    let if_there = format!("if exists \"X-A\" {{ {redirect} }}");
    assert!(refused(EffectKind::Addheader, addheader, &if_there));
    assert!(!refused(EffectKind::Addheader, addheader, redirect));
    let addflag = "addflag \"\\\\Seen\";";
    let if_seen = format!("if hasflag \"\\\\Seen\" {{ {redirect} }}");
    assert!(refused(EffectKind::Addflag, addflag, &if_seen));
    assert!(!refused(EffectKind::Addflag, addflag, &if_there));
    let notify = "require \"notify\"; notify :method \"mailto\" :options \"a@x.example\"; denotify;";
    let effect = effect_of(notify.as_bytes(), EffectKind::Denotify);
    assert!(disable(notify.as_bytes(), Dialect::Pigeonhole, &effect).is_err());
    // What the test says is known before the edit, and no longer behind it.
    let looped = "foreverypart { setflag \"evil\"; if hasflag :contains \"e\" { keep; } } discard;";
    let script = format!("require [\"imap4flags\",\"foreverypart\",\"mime\"]; {looped}");
    let effect = effect_of(script.as_bytes(), EffectKind::Setflag);
    assert!(disable(script.as_bytes(), Dialect::Pigeonhole, &effect).is_err());
}

#[test]
fn an_effect_of_an_included_script_is_switched_off_there() {
    let (main, inner): (&[u8], &[u8]) =
        (b"require \"include\"; include \"fwd\";", b"redirect \"evil@z.example\";");
    let found = |inner: &[u8]| {
        let scripts = [
            Script { name: "main", bytes: main, active: true },
            Script { name: "fwd", bytes: inner, active: false },
        ];
        analyse_mailbox(&Mailbox { scripts: &scripts, globals: &[] }, Dialect::Pigeonhole)
    };
    let redirect = |analyses: &[sieve_analysis::Analysis], at: usize| {
        let mut effects = analyses[at].effects.iter();
        effects.find(|effect| effect.kind == EffectKind::Redirect).unwrap().clone()
    };
    let before = found(inner);
    assert_eq!(
        disable(main, Dialect::Pigeonhole, &redirect(&before, 0)).unwrap_err(),
        Refusal::InIncludedScript
    );
    let disabled = disable(inner, Dialect::Pigeonhole, &redirect(&before, 1)).unwrap();
    assert_eq!(redirect(&found(&disabled.script), 0).reach, Reach::Dead);
}

#[test]
fn without_what_may_fail_the_rest_is_done_always() {
    let script = b"require [\"copy\",\"variables\",\"fileinto\"]; fileinto \"A\"; \
        if header :matches \"x\" \"*\" { redirect :copy \"${1}@x.example\"; }";
    assert_eq!(effect_of(script, EffectKind::Fileinto).reach, Reach::Conditional);
    let redirect = effect_of(script, EffectKind::Redirect);
    let disabled = disable(script, Dialect::Pigeonhole, &redirect).unwrap();
    assert_eq!(effect_of(&disabled.script, EffectKind::Fileinto).reach, Reach::Always);
}
