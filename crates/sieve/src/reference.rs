//! The reference page, made from the vocabulary that the analysis itself uses.

use crate::Dialect;
use crate::vocabulary::{Signature, Takes, commands, tests as known_tests};
use std::fmt::Write as _;

/// What is to be said about a command: where it is defined, what it can do to mail.
type Note = (&'static str, &'static str, &'static str);

/// Effect classes: OUT content leaves, HIDE the user does not see it, DEL it is destroyed, EXEC a program
/// runs, AUTO an answer goes out, TAMPER the message changes, COND only decides, IND brings code or values
/// in.
const COMMANDS: &[Note] = &[
    ("addflag", "RFC 5232 §3.2", "HIDE, DEL: `\\Seen` hides, `\\Deleted` destroys"),
    ("addheader", "RFC 5293 §4", "TAMPER"),
    ("break", "RFC 5703 §3.2", "COND"),
    ("convert", "RFC 6558", "TAMPER"),
    ("debug_log", "vnd.dovecot.debug", "text goes to the log"),
    ("deleteheader", "RFC 5293 §5", "TAMPER: traces of origin and authentication can go"),
    ("denotify", "draft-ietf-sieve-notify-00", "COND: notifications are withdrawn"),
    ("disabled_if", "Zimbra", "none: a rule that is switched off"),
    ("discard", "RFC 5228 §4.4", "DEL, HIDE"),
    ("else", "RFC 5228 §3.1", "COND"),
    ("elsif", "RFC 5228 §3.1", "COND"),
    ("enclose", "RFC 5703 §6", "TAMPER"),
    ("ereject", "RFC 5429 §2.1", "AUTO, HIDE: refused during SMTP"),
    ("error", "RFC 5463 §5", "COND: the run ends, nothing of it is done, the message is kept"),
    ("eval", "vnd.stalwart.expressions", "IND: an expression runs"),
    ("execute", "vnd.dovecot.execute", "EXEC, IND: `:output` sets a variable"),
    ("expire", "vnd.proton.expire", "DEL on a schedule"),
    ("extracttext", "RFC 5703 §7", "IND: text of the message becomes a value"),
    (
        "fileinto",
        "RFC 5228 §4.1, RFC 3894, RFC 5490, RFC 8579, RFC 9042",
        "HIDE in Trash, Junk or unseen folders",
    ),
    ("filter", "vnd.dovecot.filter", "EXEC, TAMPER"),
    ("flag", "Zimbra", "HIDE"),
    ("foreverypart", "RFC 5703 §3", "COND: a loop over the MIME parts"),
    ("global", "RFC 6609 §3.4.1", "IND: variables shared by scripts"),
    ("if", "RFC 5228 §3.1", "COND"),
    ("implicit_keep_target", "vnd.cyrus.implicit_keep_target", "HIDE: default delivery moves"),
    ("include", "RFC 6609 §3.2", "IND: another script runs"),
    ("keep", "RFC 5228 §4.3", "none; with `:flags` HIDE or DEL"),
    ("let", "vnd.stalwart.expressions", "IND: any part of the message becomes a value"),
    ("log", "vnd.cyrus.log, Zimbra", "text goes to the log"),
    ("mark", "draft-melnikov-sieve-imapflags", "HIDE"),
    (
        "notify",
        "RFC 5435, RFC 5436, draft-ietf-sieve-notify-00",
        "OUT: to, cc and bcc of the URI; placeholders leak the body",
    ),
    ("pipe", "vnd.dovecot.pipe", "EXEC, OUT"),
    ("processcalendar", "RFC 9671", "calendar objects change without the user"),
    ("processimip", "vnd.cyrus.imip", "calendar objects change without the user"),
    ("redirect", "RFC 5228 §4.2, RFC 3894, RFC 6009, RFC 6134", "OUT; HIDE without `:copy`"),
    ("reject", "RFC 5429 §2.2", "AUTO, HIDE"),
    ("removeflag", "RFC 5232 §3.3", "HIDE"),
    ("replace", "RFC 5703 §5", "TAMPER"),
    ("replaceheader", "Zimbra, draft-degener-sieve-editheader", "TAMPER"),
    ("reply", "Zimbra", "AUTO"),
    ("report", "vnd.dovecot.report", "OUT: the message goes to an address as a report"),
    ("require", "RFC 5228 §3.2", "COND"),
    ("return", "RFC 6609 §3.3", "COND"),
    ("set", "RFC 5229 §4", "IND"),
    ("setflag", "RFC 5232 §3.1", "HIDE, DEL"),
    ("snooze", "draft-ietf-extra-sieve-snooze", "HIDE until later"),
    ("stop", "RFC 5228 §3.3", "COND: later rules and scripts do not run"),
    ("tag", "Zimbra", "HIDE"),
    ("unexpire", "vnd.proton.expire", "none: a deletion is called off"),
    ("unmark", "draft-melnikov-sieve-imapflags", "HIDE"),
    ("vacation", "RFC 5230, RFC 6131, RFC 8580", "AUTO, OUT where its text is made from the message"),
];

/// Tests: where each is defined, and what it asks about.
const TESTS: &[Note] = &[
    ("address", "RFC 5228 §5.1, RFC 5233, RFC 5703", "sender, recipient"),
    ("allof", "RFC 5228 §5.2", "all of a list; left to right"),
    ("anyof", "RFC 5228 §5.3", "any of a list; left to right"),
    ("body", "RFC 5173", "keyword"),
    ("currentdate", "RFC 5260 §5", "time: what sleeps until a day"),
    ("date", "RFC 5260 §4", "time"),
    ("duplicate", "RFC 7352", "environment"),
    ("envelope", "RFC 5228 §5.4", "sender, recipient"),
    ("environment", "RFC 5183", "environment"),
    ("execute", "vnd.dovecot.execute", "environment; EXEC"),
    ("exists", "RFC 5228 §5.5", "by header field"),
    ("false", "RFC 5228 §5.6", "never"),
    ("filter", "vnd.dovecot.filter", "environment; EXEC, TAMPER"),
    ("hasflag", "RFC 5232 §4", "environment; decided where the flags are constant"),
    ("header", "RFC 5228 §5.7", "by header field"),
    ("ihave", "RFC 5463 §4", "environment; Pigeonhole denies `variables` and `encoded-character`"),
    ("jmapquery", "vnd.cyrus.jmapquery", "environment"),
    ("mailboxexists", "RFC 5490 §3.1", "environment"),
    ("mailboxidexists", "RFC 9042", "environment"),
    ("metadata", "RFC 5490 §3.3", "environment"),
    ("metadataexists", "RFC 5490 §3.4", "environment"),
    ("not", "RFC 5228 §5.8", "the opposite"),
    ("notify_method_capability", "RFC 5435 §5", "environment"),
    ("servermetadata", "RFC 5490 §3.5", "environment"),
    ("servermetadataexists", "RFC 5490 §3.6", "environment"),
    ("size", "RFC 5228 §5.9", "size"),
    ("spamtest", "RFC 5235 §2", "environment"),
    ("specialuse_exists", "RFC 8579 §3", "environment"),
    ("string", "RFC 5229 §5, RFC 5231", "keyword; decided where everything in it is constant"),
    ("true", "RFC 5228 §5.10", "always"),
    ("valid_ext_list", "RFC 6134 §2.8", "environment"),
    ("valid_notify_method", "RFC 5435 §4", "environment"),
    ("virustest", "RFC 5235 §3", "environment"),
];

/// Measured differences: what is written, then what Pigeonhole, Cyrus and Stalwart make of it.
const DIFFERENCES: &[(&str, &str, &str, &str, &str)] = &[
    ("D1", "`${:40}`, `${h:40}`, `${uni:40}`", "decoded: any prefix of `hex` and `unicode`", "text", "text"),
    (
        "D2",
        "`\"\\\\\"` before `#` and a quote",
        "the string ends",
        "the string ends",
        "the quote stays protected; code behind it runs",
    ),
    ("D3", "`\\n`, `\\t`, `\\r` in quoted strings", "letters", "letters", "control characters"),
    ("D4", "`/***/ CODE /**/`", "CODE runs", "CODE is part of the comment", "CODE runs"),
    ("D5", "keywords in capitals", "taken", "refused", "taken"),
    ("D6", "a byte beyond ASCII outside strings", "refused", "the script ends there, silently", "refused"),
    ("D7", "NUL in a string", "refused", "the string ends there", "kept"),
    ("D8", "`${...}` without `require`", "text", "text", "expanded"),
    ("D9", "`${header.subject}`, `${body.text}`", "text, or empty", "text", "parts of the message"),
    ("D10", "an unknown test", "refused", "refused", "taken, fails at run time"),
    ("D11", "`if (true)`, `allof ()`", "refused", "refused", "taken"),
    ("D12", "`require` behind other commands", "refused", "refused", "taken"),
    ("D13", "`ihave` instead of `require`", "works", "works", "refused"),
    ("D14", "variables named `1` or `a-b`", "refused", "refused", "taken"),
    ("D15", "`${hex:4}`", "decoded; more than two digits are not", "decoded", "decoded"),
    ("D16", "`text: junk`", "refused", "refused", "junk ignored"),
    (
        "D17",
        "a lone CR in a `#` comment",
        "comment goes on",
        "comment goes on",
        "comment goes on; jsieve (James, Zimbra) ends it",
    ),
    ("D18", "form feed", "refused", "refused", "refused; jsieve reads a blank"),
    ("D19", "40 blocks inside one another", "limit 32", "taken", "limit 15"),
    ("D20", "100 times `not`", "limit 32", "taken", "taken"),
    ("D21", "a string longer than 4096 bytes", "taken up to 1 MiB", "taken", "refused"),
    ("D22", "more than four redirects", "error at run time", "no limit seen", "limit 1"),
    ("D23", "`notify` with an unknown scheme", "refused", "taken", "refused for some"),
    ("D24", "`redirect` with a list", "refused", "taken with vnd.cyrus.redirect-multiple", "refused"),
    ("D25", "`TEXT:`", "taken", "refused", "taken"),
    ("D26", "no `;` at the end", "refused", "refused", "refused"),
];

/// What ends a run of Pigeonhole with an error: the construct, the reason, and a command or test at which it
/// happens whenever the engine gets there (`always`) or on some messages or servers only (`perhaps`).
const FAILURES: &[(&str, &str, &str, &str)] = &[
    ("`error`", "it says so", "always", r#"error "x";"#),
    ("`redirect`, `report`", "not one valid address", "always", r#"redirect "${bad}";"#),
    ("the same", "an address made from the message", "perhaps", r#"redirect "${1}@x.example";"#),
    ("`notify`", "not a valid `mailto:` URI, `:from` or `:options` address", "always", r#"notify "${bad}";"#),
    ("`fileinto`", "a name that is no UTF-8", "always", r#"fileinto "${byte}";"#),
    ("`fileinto :specialuse`", "not a special-use flag", "always", r#"fileinto :specialuse "${bad}" "x";"#),
    ("`specialuse_exists`", "the same", "always", r#"if specialuse_exists "${bad}" {}"#),
    (
        "the same, in a folder",
        "the same, where the folder exists",
        "perhaps",
        r#"if specialuse_exists "f" "${bad}" {}"#,
    ),
    (
        "`metadata`, `metadataexists`, `servermetadata`, `servermetadataexists`",
        "the server keeps no annotations, or the folder does not exist",
        "perhaps",
        r#"if metadata "f" "/private/x" "y" {}"#,
    ),
    (
        "`addheader`, `deleteheader`",
        "not the name of a field, or a NUL",
        "always",
        r#"deleteheader "${line}";"#,
    ),
    ("`pipe`, `filter`, `execute`", "a line end in an argument", "always", r#"pipe :copy "p" ["${line}"];"#),
    ("`filter`, `execute` as commands", "the program fails", "perhaps", r#"execute "p";"#),
    ("`pipe`", "the same program twice", "always", r#"pipe :copy "p"; pipe :copy "p";"#),
    ("`reject`", "a delivery, an answer or a refusal beside it", "always", r#"reject "x";"#),
    ("`vacation`", "another answer, or a refusal", "always", r#"vacation "x"; vacation "y";"#),
    (
        "`redirect`",
        "more than 4 addresses, unless the administrator allows more",
        "perhaps",
        r#"redirect "b@x.example"; redirect "c@x.example"; redirect "d@x.example"; redirect "e@x.example";"#,
    ),
    ("any action", "more than 32 actions, unless the administrator allows more", "perhaps", "#33#keep;"),
    ("`require \"imapsieve\"`", "the script runs at delivery", "perhaps", "#require#"),
];

/// The page as Markdown.
#[must_use]
pub fn reference_page() -> String {
    let mut page = String::from(PREFACE);
    page.push_str("\n## Commands\n\n");
    table(&mut page, commands(), COMMANDS);
    page.push_str("\n## Tests\n\n");
    table(&mut page, known_tests(), TESTS);
    page.push_str("\n## Where engines part ways\n\n| # | written | ");
    page.push_str(&Dialect::ALL.map(Dialect::name).join(" | "));
    page.push_str(" |\n|---|---|---|---|---|\n");
    for (number, written, pigeonhole, cyrus, stalwart) in DIFFERENCES {
        let _ = writeln!(page, "| {number} | {written} | {pigeonhole} | {cyrus} | {stalwart} |");
    }
    page.push_str(FAILING);
    for (construct, reason, how, _) in FAILURES {
        let _ = writeln!(page, "| {construct} | {reason} | {how} |");
    }
    page
}

const FAILING: &str = "
## Where a run fails

Pigeonhole ends a run with an error at these places, each measured. Then nothing that the run did before is
carried out, but for programs that ran and lines in the log, and the message is kept. `always`: what was before
is reported as `dead`. `perhaps`: it is `conditional`, and its conditions name the place.

| at | when | |
|---|---|---|
";

const PREFACE: &str = "# Sieve: what is understood

Made from the vocabulary of the library; a test compares. A command or test that is not listed here is
reported as an effect of kind `unknown`: assume anything.

OUT: content leaves. HIDE: the user does not see it. DEL: it is destroyed. EXEC: a program runs. AUTO: an
answer goes out. TAMPER: the message changes. COND: only decides. IND: brings code or values in.
";

fn table(page: &mut String, signatures: &[Signature], notes: &[Note]) {
    page.push_str("| name | capability | arguments | defined in | effect |\n|---|---|---|---|---|\n");
    for signature in signatures {
        let note = notes.iter().find(|note| note.0 == signature.name);
        let (standard, effect) = note.map_or(("", ""), |note| (note.1, note.2));
        let capabilities = signature.capabilities.join(" or ");
        let arguments = arguments(signature);
        let _ =
            writeln!(page, "| `{}` | {capabilities} | {arguments} | {standard} | {effect} |", signature.name);
    }
}

fn arguments(signature: &Signature) -> String {
    let tags = signature.tags.iter().flat_map(|group| group.iter()).map(|row| match row.2 {
        Takes::Nothing => format!("`:{}`", row.0),
        takes => format!("`:{}` {}", row.0, kind(takes)),
    });
    let positional = signature.positional.iter().map(|takes| kind(*takes).to_owned());
    tags.chain(positional).collect::<Vec<_>>().join(", ")
}

fn kind(takes: Takes) -> &'static str {
    match takes {
        Takes::Nothing => "",
        Takes::String => "string",
        Takes::Strings => "strings",
        Takes::Number => "number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A redirect, the row's example, and what became of the redirect.
    fn undone(example: &str) -> &'static str {
        const REQUIRED: &str = "require [\"variables\",\"encoded-character\",\"fileinto\",\"copy\",\"reject\",\
            \"vacation\",\"enotify\",\"editheader\",\"mboxmetadata\",\"special-use\",\"vnd.dovecot.pipe\",\"ihave\",\
            \"vnd.dovecot.execute\"];set \"bad\" \"24\";set \"byte\" \"${hex:e9}\";set \"line\" \"x${hex:0a}y\";\
            if header :matches \"subject\" \"*\" {}";
        const BEFORE: &str = "redirect :copy \"a@x.example\";";
        let script = match example.strip_prefix("#33#") {
            Some(action) => format!("{REQUIRED}{BEFORE}{}", action.repeat(33)),
            None if example == "#require#" => format!("require [\"imapsieve\",\"copy\"];{BEFORE}"),
            None => format!("{REQUIRED}{BEFORE}{example}"),
        };
        let analysis = crate::analyse(script.as_bytes(), Dialect::Pigeonhole, true);
        assert!(analysis.accepted, "{script}: {:?}", analysis.diagnostics);
        match analysis.effects[0].reach {
            crate::Reach::Dead => "always",
            crate::Reach::Conditional => "perhaps",
            _ => "never",
        }
    }

    #[test]
    fn what_is_said_of_failing_runs_is_so() {
        for (construct, _, how, example) in FAILURES {
            assert_eq!(undone(example), *how, "{construct}");
        }
    }

    #[test]
    fn every_construct_has_its_note_and_every_note_its_construct() {
        for (signatures, notes) in [(commands(), COMMANDS), (known_tests(), TESTS)] {
            let known: Vec<_> = signatures.iter().map(|signature| signature.name).collect();
            let told: Vec<_> = notes.iter().map(|note| note.0).collect();
            assert_eq!(known, told);
        }
        assert_eq!(DIFFERENCES.len(), 26);
    }
}
