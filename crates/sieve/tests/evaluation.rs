//! What scripts do, one row a rule.

use sieve_analysis::{
    Analysis, Dialect, Effect, EffectKind, Form, LocalCopy, Mailbox, Reach, Role, Script, analyse,
    analyse_mailbox,
};

fn on(dialect: Dialect, script: &str) -> Analysis {
    analyse(script.as_bytes(), dialect, true)
}

fn redirects(analysis: &Analysis) -> Vec<&Effect> {
    analysis.effects.iter().filter(|effect| effect.kind == EffectKind::Redirect).collect()
}

fn described(effect: &Effect) -> String {
    let targets: Vec<_> = effect.targets.iter().map(sieve_analysis::Target::text).collect();
    format!(
        "{} {} {} {}",
        effect.form.name(),
        effect.reach.name(),
        effect.local_copy.name(),
        targets.join(",")
    )
}

/// Every redirect of the script on Pigeonhole, as `form reach copy targets`.
fn table(rows: &[(&str, &[&str])]) {
    for (script, expected) in rows {
        let whole = format!(
            "require [\"variables\",\"copy\",\"encoded-character\",\"fileinto\",\"reject\",\"foreverypart\",\
             \"mime\",\"extracttext\",\"ihave\",\"enotify\",\"include\"];\n{script}"
        );
        let analysis = on(Dialect::Pigeonhole, &whole);
        let found: Vec<_> = redirects(&analysis).into_iter().map(described).collect();
        assert_eq!(found, *expected, "{script}\n{:?}", analysis.diagnostics);
    }
}

#[test]
fn strings_are_evaluated_in_one_pass() {
    table(&[
        (r#"set "a" "evil"; redirect "${a}@x.example";"#, &["exact always lost evil@x.example"]),
        (r#"set "A" "evil"; redirect "${a}@X.Example";"#, &["exact always lost evil@x.example"]),
        (r#"set "v" "a"; redirect "${hex:24}{v}@x.example";"#, &["exact always lost a@x.example"]),
        (
            r#"set "v" "b"; set "a" "$"; redirect "q${a}{v}@x.example";"#,
            &["exact always lost q${v}@x.example"],
        ),
        (r#"redirect "a${unset}@x.example";"#, &["exact always lost a@x.example"]),
        (r#"redirect "a${:40}x.example";"#, &["exact always lost a@x.example"]),
        ("redirect text:\r\na@x.example\r\n.\r\n;", &["exact always lost a@x.example"]),
        (r#"redirect "B <a(c)@x.example>";"#, &["exact always lost a@x.example"]),
        (
            r#"set :upperfirst :lower "v" "EVIL"; redirect "${v}@x.example";"#,
            &["exact always lost Evil@x.example"],
        ),
    ]);
}

#[test]
fn constant_tests_are_decided() {
    table(&[
        (r#"if string :matches "a@x.example" "*" { redirect "${1}"; }"#, &["exact always lost a@x.example"]),
        (
            r#"if string :matches "a-b" "*-*" { redirect "${2}@x.example"; }"#,
            &["exact always lost b@x.example"],
        ),
        (r#"if false { redirect "a@x.example"; }"#, &["exact dead lost a@x.example"]),
        (r#"if not true { redirect "a@x.example"; }"#, &["exact dead lost a@x.example"]),
        (
            r#"if true { redirect "a@x.example"; } else { redirect "b@x.example"; }"#,
            &["exact always lost a@x.example", "exact dead lost b@x.example"],
        ),
        (r#"if anyof (true, exists "x") { redirect "a@x.example"; }"#, &["exact always lost a@x.example"]),
        (r#"if allof (exists "x", false) { redirect "a@x.example"; }"#, &["exact dead lost a@x.example"]),
        (
            r#"if ihave "nonsense" { frob; } else { redirect "a@x.example"; }"#,
            &["exact always lost a@x.example"],
        ),
        (r#"if ihave "ereject" { redirect "a@x.example"; }"#, &["exact conditional lost a@x.example"]),
    ]);
}

#[test]
fn code_behind_stop_is_dead_or_conditional() {
    table(&[
        (r#"stop; redirect "a@x.example";"#, &["exact dead lost a@x.example"]),
        (r#"if true { stop; } redirect "a@x.example";"#, &["exact dead lost a@x.example"]),
        (r#"if exists "x" { stop; } redirect "a@x.example";"#, &["exact conditional lost a@x.example"]),
        (
            r#"if exists "x" { stop; } else { stop; } redirect "a@x.example";"#,
            &["exact dead lost a@x.example"],
        ),
        (r#"if exists "x" { keep; } redirect "a@x.example";"#, &["exact always depends a@x.example"]),
        (r#"return; redirect "a@x.example";"#, &["exact dead lost a@x.example"]),
    ]);
}

#[test]
fn branches_are_joined() {
    table(&[
        (
            r#"if exists "x" { set "a" "p"; } else { set "a" "q"; } redirect "${a}@x.example";"#,
            &["set always lost p@x.example,q@x.example"],
        ),
        (
            r#"set "a" "p"; if exists "x" { set "a" "q"; } redirect "${a}${a}@x.example";"#,
            &["set always lost qq@x.example,pp@x.example"],
        ),
        (
            r#"if exists "x" { set "a" "p"; stop; } set "b" "${a}"; redirect "q${b}@x.example";"#,
            &["exact conditional lost q@x.example"],
        ),
    ]);
}

#[test]
fn what_a_message_fills_in_is_a_template() {
    table(&[
        (
            r#"foreverypart { extracttext "b"; redirect "${b}@x.example"; }"#,
            &["template conditional lost ${b}@x.example"],
        ),
        (
            r#"if header :matches "subject" "*" { redirect "${1}@x.example"; }"#,
            &["template conditional lost ${1}@x.example"],
        ),
        (r#"if header :matches "subject" "*" { redirect "${1}"; }"#, &["unbounded conditional lost ${1}"]),
        (
            r#"if header :matches "subject" "*" { redirect "a${2}@x.example"; }"#,
            &["exact conditional lost a@x.example"],
        ),
        (r#"foreverypart { set "a" "${a}x"; } redirect "${a}@x.example";"#, &["unbounded conditional lost "]),
    ]);
    let script = r#"require "variables"; if header :matches "subject" "*" { redirect "${1}@x.example"; }"#;
    assert!(on(Dialect::Pigeonhole, script).effects[0].sender_controlled);
}

#[test]
fn a_test_that_may_not_run_may_leave_the_match_variables_alone() {
    let script = r#"require "variables";
        if allof (not header :matches "subject" "* *", string :matches "c" "?") { stop; }
        redirect "${1}@x.example";"#;
    let analysis = on(Dialect::Pigeonhole, script);
    assert_eq!(described(&analysis.effects[0]), "template conditional lost ${1}@x.example");
}

#[test]
fn the_implicit_keep_is_followed() {
    table(&[
        (r#"redirect :copy "a@x.example";"#, &["exact always kept a@x.example"]),
        (r#"redirect :copy "a@x.example"; discard;"#, &["exact always lost a@x.example"]),
        (
            r#"redirect :copy "a@x.example"; redirect "a@x.example";"#,
            &["exact always kept a@x.example", "exact always kept a@x.example"],
        ),
        (
            r#"redirect :copy "a@x.example"; redirect "b@x.example";"#,
            &["exact always lost a@x.example", "exact always lost b@x.example"],
        ),
        (r#"redirect "a@x.example"; keep;"#, &["exact always kept a@x.example"]),
        (r#"keep; redirect "a@x.example";"#, &["exact always kept a@x.example"]),
        (r#"fileinto "x"; redirect "a@x.example";"#, &["exact always kept a@x.example"]),
        (r#"redirect "a@x.example"; if exists "x" { keep; }"#, &["exact always depends a@x.example"]),
        (r#"if exists "x" { redirect "a@x.example"; stop; } keep;"#, &["exact conditional lost a@x.example"]),
        (
            r#"if exists "x" { redirect :copy "a@x.example"; } else { discard; }"#,
            &["exact conditional kept a@x.example"],
        ),
        // A message is refused or delivered: the engine gives up and keeps it.
        (r#"redirect :copy "a@x.example"; reject "no";"#, &["exact dead lost a@x.example"]),
        (r#"if false { keep; } redirect "a@x.example";"#, &["exact always lost a@x.example"]),
        (r#"redirect :copy "a@x.example"; include "gone";"#, &["exact always depends a@x.example"]),
    ]);
}

#[test]
fn every_action_has_its_name_and_targets() {
    let rows: [(&str, &str, &[&str]); 15] = [
        (
            r#"require "enotify"; notify "mailto:a%40x.example?cc=b@x.example&bcc=c@x.example";"#,
            "notify",
            &["a@x.example", "b@x.example", "c@x.example"],
        ),
        (
            r#"require "notify"; notify :method "mailto" :options "a@x.example" :message "$text$";"#,
            "notify",
            &["a@x.example"],
        ),
        (r#"require "vacation"; vacation :addresses ["a@x.example"] "away";"#, "vacation", &["a@x.example"]),
        (r#"require "fileinto"; fileinto "Trash";"#, "fileinto", &["Trash"]),
        (r#"require "reject"; reject "no";"#, "reject", &[]),
        ("discard;", "discard", &[]),
        ("keep;", "keep", &[]),
        (r#"require "imap4flags"; addflag ["\\Seen", "\\Deleted"];"#, "addflag", &["\\Seen", "\\Deleted"]),
        (r#"require ["vnd.dovecot.pipe","copy"]; pipe :copy "prog" ["x"];"#, "pipe", &["prog"]),
        (r#"require "vnd.dovecot.filter"; filter "prog";"#, "filter", &["prog"]),
        (r#"require "vnd.dovecot.execute"; execute "prog";"#, "execute", &["prog"]),
        (r#"require "vnd.dovecot.execute"; if execute "prog" {}"#, "execute", &["prog"]),
        (r#"require "vnd.dovecot.report"; report "abuse" "x" "a@x.example";"#, "report", &["a@x.example"]),
        (r#"require "editheader"; deleteheader "Received";"#, "deleteheader", &["Received"]),
        (r#"require "include"; include "x";"#, "include", &["x"]),
    ];
    for (script, kind, targets) in rows {
        let analysis = on(Dialect::Pigeonhole, script);
        assert!(analysis.accepted, "{script} {:?}", analysis.diagnostics);
        assert_eq!(analysis.effects.len(), 1, "{script}");
        let effect = &analysis.effects[0];
        let found: Vec<_> = effect.targets.iter().map(sieve_analysis::Target::text).collect();
        assert_eq!((effect.kind.name(), found.as_slice()), (kind, targets), "{script}");
    }
    let bcc = on(Dialect::Pigeonhole, rows[0].0).effects[0].targets[2].role;
    assert_eq!(bcc, Role::Bcc);
}

#[test]
fn constructs_of_other_engines_have_their_effects() {
    let rows: [(Dialect, &str, &str, &[&str]); 13] = [
        (Dialect::Cyrus, r#"require "snooze"; snooze :mailbox "Later" ["09:00"];"#, "snooze", &["Later"]),
        (
            Dialect::Cyrus,
            r#"require "processcalendar"; processcalendar :allowpublic;"#,
            "processcalendar",
            &[],
        ),
        (Dialect::Cyrus, r#"require "vnd.cyrus.imip"; processimip :deletecanceled;"#, "processimip", &[]),
        (
            Dialect::Cyrus,
            r#"require "vnd.cyrus.implicit_keep_target"; implicit_keep_target "Old";"#,
            "implicit_keep_target",
            &["Old"],
        ),
        (Dialect::Cyrus, r#"require "vnd.cyrus.log"; log "x";"#, "log", &[]),
        (
            Dialect::Cyrus,
            r#"require ["redirect-dsn"]; redirect :notify "NEVER" "a@x.example";"#,
            "redirect",
            &["a@x.example"],
        ),
        (Dialect::Stalwart, r#"require "replace"; replace "x";"#, "replace", &[]),
        (Dialect::Stalwart, r#"require "enclose"; enclose "x";"#, "enclose", &[]),
        (Dialect::Stalwart, r#"require "vnd.stalwart.expressions"; let "a" "1+1";"#, "let", &[]),
        (Dialect::Stalwart, r#"require "vnd.stalwart.expressions"; eval "f()";"#, "eval", &[]),
        (Dialect::Stalwart, r#"require "vnd.proton.expire"; expire "day" "1";"#, "expire", &[]),
        (Dialect::Stalwart, r#"require "flag"; flag "priority";"#, "flag", &[]),
        (Dialect::Stalwart, r#"require "reply"; reply "x";"#, "reply", &[]),
    ];
    for (dialect, script, kind, targets) in rows {
        let analysis = on(dialect, script);
        let found: Vec<_> = analysis.effects[0].targets.iter().map(sieve_analysis::Target::text).collect();
        assert_eq!((analysis.effects[0].kind.name(), found.as_slice()), (kind, targets), "{script}");
        assert!(!on(Dialect::Pigeonhole, script).accepted, "{script}");
    }
    let off = on(Dialect::Stalwart, r#"disabled_if exists "x" { redirect "a@x.example"; }"#);
    assert_eq!(redirects(&off)[0].reach, Reach::Dead);
}

#[test]
fn what_an_answer_says_is_told() {
    let script = r#"require ["vacation","variables"]; if header :matches "subject" "*" { set "s" "${1}"; }
        vacation :subject "Re: ${s}" "Please write to b@y.example or see https://z.example/pay.";"#;
    let vacation = on(Dialect::Pigeonhole, script).effects.remove(0);
    let content = vacation.content.unwrap();
    assert_eq!(content.mentions, ["b@y.example", "https://z.example/pay"]);
    assert!(content.from_message && content.form == Form::Template);
    let old = r#"require "notify"; notify :method "mailto" :options "a@x.example" :message "$text[500]$";"#;
    assert!(on(Dialect::Pigeonhole, old).effects[0].content.as_ref().unwrap().from_message);
    let plain = on(Dialect::Pigeonhole, r#"require "reject"; reject "no";"#).effects.remove(0);
    assert!(!plain.content.unwrap().from_message);
}

#[test]
fn the_steps_to_a_target_are_named() {
    let script = "require [\"variables\",\"encoded-character\"];\nset \"u\" \"evil\";\n\
        if string :matches \"x.example\" \"*\" { set \"d\" \"${1}\"; }\n\
        redirect \"${u}${hex:40}${d}\";";
    let analysis = on(Dialect::Pigeonhole, script);
    let effect = redirects(&analysis)[0];
    assert_eq!(effect.targets[0].text(), "evil@x.example");
    let steps: Vec<_> = effect.steps.iter().map(|step| (step.span.line, step.what)).collect();
    assert_eq!(
        steps,
        [
            (2, "a variable set here"),
            (3, "match variables taken from this test"),
            (3, "a variable set here"),
            (4, "encoded characters in this string"),
        ]
    );
}

#[test]
fn conditions_have_classes_and_windows() {
    let script = r#"require ["date","relational"];
        if allof (header :contains "subject" "invoice", address :is "from" "boss@x.example") {
            if currentdate :value "ge" "date" "2030-01-01" { redirect "a@x.example"; }
        }"#;
    let analysis = on(Dialect::Pigeonhole, script);
    let effect = redirects(&analysis)[0];
    let classes: Vec<_> = effect.classes.iter().map(|class| class.name()).collect();
    assert_eq!(classes, ["sender", "keyword", "time"]);
    assert_eq!(effect.window.not_before.as_deref(), Some("2030-01-01"));
}

#[test]
fn an_error_at_run_time_undoes_the_way_to_it() {
    table(&[
        (r#"redirect "a@x.example"; error "x";"#, &["exact dead lost a@x.example"]),
        (
            r#"redirect "a@x.example"; redirect "${none}";"#,
            &["exact dead lost a@x.example", "exact dead lost "],
        ),
        (r#"redirect "a@x.example"; if exists "x" { error "x"; }"#, &["exact conditional lost a@x.example"]),
        (
            r#"if exists "x" { redirect "a@x.example"; error "x"; } redirect "b@x.example";"#,
            &["exact dead lost a@x.example", "exact conditional lost b@x.example"],
        ),
    ]);
}

#[test]
fn names_of_effects_survive_a_new_layout() {
    let id = |script: &str| {
        on(Dialect::Pigeonhole, script).effects.iter().map(|one| one.id.clone()).collect::<Vec<_>>()
    };
    let plain = id("redirect \"a@x.example\"; redirect \"b@x.example\"; keep; keep;");
    let laid_out = id("# hello\nredirect\n\"<a@X.Example>\";\n\nredirect \"b@x.example\";keep;\nkeep;");
    assert_eq!(plain, laid_out);
    assert!(plain[0] != plain[1] && plain[2] != plain[3], "{plain:?}");
}

#[test]
fn a_list_is_not_an_address() {
    let script = r#"require ["extlists"]; redirect :list "tag:x";"#;
    assert_eq!(on(Dialect::Cyrus, script).effects[0].form, Form::List);
}

#[test]
fn what_is_not_understood_is_unknown() {
    for script in
        ["frobnicate \"x\";", "redirect [\"a\" ;", "if frob \"x\" { keep; }", "keep; \" open", "keep"]
    {
        let analysis = on(Dialect::Pigeonhole, script);
        assert!(!analysis.accepted, "{script}");
        assert!(analysis.effects.iter().any(|effect| effect.kind == EffectKind::Unknown), "{script}");
        assert!(analysis.covered_bytes < script.len(), "{script}");
    }
}

#[test]
fn spans_conditions_and_rules_are_told() {
    let script = "require \"copy\";\r\n# rule:[Away]\r\nif header :contains \"subject\" # c\r\n \
                  \"pay\"\r\n{\r\n\tredirect :copy \"a@x.example\";\r\n}\r\n";
    let analysis = on(Dialect::Pigeonhole, script);
    let effect = &analysis.effects[0];
    assert_eq!(&script[effect.span.start..effect.span.end], "redirect :copy \"a@x.example\";");
    assert_eq!((effect.span.line, effect.span.column), (6, 2));
    assert_eq!(effect.conditions, r#"header :contains "subject" "pay""#);
    assert_eq!(
        effect.rule_name.as_ref().map(|rule| (rule.ui, rule.name.as_str())),
        Some(("roundcube", "Away"))
    );
    let after = on(Dialect::Pigeonhole, "if exists \"x\" { stop; } discard;");
    assert_eq!(after.effects[0].conditions, "not (exists \"x\")");
}

fn mailbox(scripts: &[(&str, &str, bool)], globals: &[(&str, &str)]) -> Vec<Analysis> {
    let own: Vec<_> = scripts
        .iter()
        .map(|(name, text, active)| Script { name, bytes: text.as_bytes(), active: *active })
        .collect();
    let shared: Vec<_> =
        globals.iter().map(|(name, text)| Script { name, bytes: text.as_bytes(), active: false }).collect();
    analyse_mailbox(&Mailbox { scripts: &own, globals: &shared }, Dialect::Pigeonhole)
}

#[test]
fn includes_are_followed_with_their_globals() {
    let setter = r#"require ["include","variables"]; global "g"; set "g" "evil";"#;
    let main = r#"require ["include","variables"]; global "g"; include "setg"; redirect "${g}@x.example";
                  redirect "${global.g}@y.example";"#;
    let analyses = mailbox(&[("main", main, true), ("setg", setter, false)], &[]);
    let found: Vec<_> = redirects(&analyses[0]).into_iter().map(described).collect();
    assert_eq!(found, ["exact always lost evil@x.example", "exact always lost evil@y.example"]);
}

#[test]
fn an_included_script_acts_through_its_includer() {
    let main = r#"require "include"; include :global "out"; keep;"#;
    let out = r#"require "include"; if exists "x" { return; } redirect "a@x.example"; stop;"#;
    let analyses =
        mailbox(&[("main", main, true), ("old", "redirect \"b@x.example\";", false)], &[("out", out)]);
    let effect = redirects(&analyses[0])[0];
    assert_eq!((effect.via.as_slice(), effect.script.as_str()), (["out".to_owned()].as_slice(), "out"));
    assert_eq!((effect.reach, effect.local_copy), (Reach::Conditional, LocalCopy::Lost));
    let keep = analyses[0].effects.iter().find(|effect| effect.kind == EffectKind::Keep).unwrap();
    assert_eq!(keep.reach, Reach::Conditional);
    assert_eq!(redirects(&analyses[1])[0].reach, Reach::Inactive);
}

#[test]
fn missing_dynamic_and_circular_includes_are_told() {
    let told = |main: &str| {
        let analyses = mailbox(&[("main", main, true)], &[]);
        analyses[0]
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.message.clone())
            .collect::<Vec<_>>()
            .join("; ")
    };
    assert!(told(r#"require "include"; include "gone";"#).contains("does not exist"));
    assert!(told(r#"require "include"; include "main";"#).contains("includes itself"));
    let dynamic = r#"require ["include","variables"]; if header :matches "a" "*" { include "${1}"; }"#;
    assert!(told(dynamic).contains("made at run time"));
}

#[test]
fn globals_set_behind_a_return_are_not_seen_by_every_way() {
    let setter =
        r#"require ["include","variables"]; global "g"; if exists "x" { return; } set "g" "b"; stop;"#;
    let main = r#"require ["include","variables"]; global "g"; set "g" "a"; include "s";
                  redirect "${g}@x.example";"#;
    let analyses = mailbox(&[("main", main, true), ("s", setter, false)], &[]);
    let effect = redirects(&analyses[0])[0];
    assert!(effect.targets.iter().any(|target| target.text() == "a@x.example"), "{effect:?}");
    assert_eq!(effect.reach, Reach::Conditional);
}

/// Each row was put to `sieve-test` of Pigeonhole 0.5.19.
#[test]
fn what_excludes_what_on_pigeonhole() {
    let reach = |script: &str| {
        let analysis = on(Dialect::Pigeonhole, script);
        analysis.effects.iter().map(|effect| effect.reach.name()).collect::<Vec<_>>()
    };
    let piped = r#"require ["copy","vnd.dovecot.pipe"]; pipe :copy "p"; pipe "p";"#;
    assert_eq!(reach(piped), ["dead", "dead"], "a program gets a message once");
    let other = r#"require ["copy","vnd.dovecot.pipe"]; pipe :copy "p"; pipe "q";"#;
    assert_eq!(reach(other), ["always", "always"]);
    let sometimes = r#"require "reject"; if exists "x" { reject "no"; } redirect "a@x.example";"#;
    assert_eq!(reach(sometimes), ["conditional", "conditional"], "not passed on where it is refused");
    let notice = r#"require ["enotify","variables"]; set "a" "b@x"; notify "mailto:${a}@y";"#;
    assert_eq!(reach(notice), ["dead"], "an address that is none");
}

#[test]
fn match_variables_stay_in_their_script_on_pigeonhole() {
    let main: &[u8] = br#"require ["include","variables"]; include "s"; redirect "o${1}@x.example";"#;
    let inner: &[u8] =
        br#"require "variables"; if string :matches "u-v" "*-*" { redirect "i${1}@x.example"; }"#;
    let scripts = [
        Script { name: "main", bytes: main, active: true },
        Script { name: "s", bytes: inner, active: false },
    ];
    let found = analyse_mailbox(&Mailbox { scripts: &scripts, globals: &[] }, Dialect::Pigeonhole);
    let texts: Vec<_> = redirects(&found[0]).iter().map(|effect| described(effect)).collect();
    assert!(texts.contains(&"exact always lost o@x.example".to_owned()), "{texts:?}");
    assert!(texts.contains(&"exact always lost iu@x.example".to_owned()), "{texts:?}");
}

#[test]
fn a_header_that_is_taken_out_leaves_match_variables() {
    let script = r#"require ["editheader","variables"]; deleteheader :matches "x-a" "*";
                    redirect "a${1}@x.example";"#;
    let analysis = on(Dialect::Pigeonhole, script);
    let redirect = redirects(&analysis)[0];
    assert!(redirect.form == Form::Template && redirect.sender_controlled, "{redirect:?}");
}

#[test]
fn a_round_that_is_only_tried_out_includes_nothing() {
    let scripts = [
        Script {
            name: "main",
            bytes: b"require [\"include\",\"foreverypart\"]; foreverypart { include :once \"fwd\"; }",
            active: true,
        },
        Script { name: "fwd", bytes: b"redirect \"evil@x.example\";", active: false },
    ];
    let mailbox = Mailbox { scripts: &scripts, globals: &[] };
    let analyses = analyse_mailbox(&mailbox, Dialect::Pigeonhole);
    let found: Vec<_> = redirects(&analyses[0]).into_iter().map(described).collect();
    assert_eq!(found, ["exact conditional lost evil@x.example"]);
}

#[test]
fn a_test_behind_an_undecided_one_is_not_always_run() {
    let script = "require \"vnd.dovecot.execute\"; if exists \"x\" {} elsif execute \"prog\" {}";
    let analysis = on(Dialect::Pigeonhole, script);
    assert_eq!(analysis.effects[0].reach.name(), "conditional");
}

/// draft-ietf-sieve-notify-00: which notifications a `denotify` takes back, a message may decide.
#[test]
fn a_notification_before_a_denotify_is_not_sure() {
    const NOTIFY: &str = "notify :id \"i\" :method \"mailto\" :options \"a@x.example\";";
    let reach = |script: &str| {
        let analysis = on(Dialect::Pigeonhole, &format!("require \"notify\";\n{script}"));
        let notices = analysis.effects.into_iter().filter(|effect| effect.kind == EffectKind::Notify);
        notices.map(|effect| (effect.reach, effect.conditions)).collect::<Vec<_>>()
    };
    let open = |conditions: &str| (Reach::Conditional, conditions.to_owned());
    let sure = || (Reach::Always, String::new());
    assert_eq!(reach(&format!("denotify; {NOTIFY}")), [sure()]);
    assert_eq!(reach(&format!("{NOTIFY} if false {{ denotify; }}")), [sure()]);
    let taken_back = open("unless a later denotify takes it back");
    assert_eq!(reach(&format!("{NOTIFY} denotify :is \"j\"; {NOTIFY}")), [taken_back, sure()]);
    let both = open("exists \"X\", unless a later denotify takes it back");
    assert_eq!(reach(&format!("if exists \"X\" {{ {NOTIFY} }} if exists \"Y\" {{ denotify; }}")), [both]);
}
