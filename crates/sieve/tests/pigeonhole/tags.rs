//! Every tag of every construct beside every other and beside itself: what the engine takes together, we take.

use crate::differential::errors;
use crate::laboratory::{Laboratory, Verdict};
use sieve_analysis::{Dialect, analyse};

/// A construct, `@` where its tags go, and the tags.
type Tagged = (&'static str, &'static [&'static [&'static str]]);

const MATCH: &[&str] = &[
    ":is",
    ":contains",
    ":matches",
    ":regex",
    ":count \"ge\"",
    ":value \"ge\"",
    ":comparator \"i;octet\"",
    ":comparator \"i;ascii-casemap\"",
];
const PART: &[&str] = &[":all", ":localpart", ":domain", ":user", ":detail"];
const INDEX: &[&str] = &[":index 1", ":last", ":index 1 :last"];
const MIME: &[&str] =
    &[":mime", ":mime :anychild", ":anychild", ":type", ":subtype", ":contenttype", ":param \"p\""];
const ZONE: &[&str] = &[":zone \"+0100\""];

const REQUIRE: &str = "[\"fileinto\", \"copy\", \"mailbox\", \"imap4flags\", \"special-use\", \"vacation\", \
    \"vacation-seconds\", \"enotify\", \"editheader\", \"variables\", \"include\", \"vnd.dovecot.pipe\", \
    \"vnd.dovecot.execute\", \"vnd.dovecot.report\", \"foreverypart\", \"extracttext\", \"mime\", \"index\", \
    \"relational\", \"regex\", \"subaddress\", \"body\", \"date\", \"duplicate\", \"envelope\", \
    \"environment\", \"spamtestplus\", \"virustest\", \"mboxmetadata\", \"servermetadata\"]";

const CONSTRUCTS: &[Tagged] = &[
    ("keep @;", &[&[":flags \"a\""]]),
    ("fileinto @ \"x\";", &[&[":copy", ":create", ":flags \"a\"", ":specialuse \"\\\\Junk\""]]),
    ("redirect @ \"a@x.example\";", &[&[":copy"]]),
    (
        "vacation @ \"x\";",
        &[&[
            ":days 1",
            ":seconds 100",
            ":subject \"s\"",
            ":from \"a@x.example\"",
            ":addresses \"b@x.example\"",
            ":mime",
            ":handle \"h\"",
        ]],
    ),
    (
        "notify @ \"mailto:a@x.example\";",
        &[&[":from \"a@x.example\"", ":importance \"1\"", ":message \"m\"", ":options \"a=b\""]],
    ),
    ("addheader @ \"X-A\" \"b\";", &[&[":last"]]),
    ("deleteheader @ \"X-A\" \"1\";", &[&[":index 1", ":index 1 :last", ":last :index 1"], MATCH]),
    (
        "set @ \"v\" \"x\";",
        &[&[":lower", ":upper", ":lowerfirst", ":upperfirst", ":quotewildcard", ":encodeurl", ":length"]],
    ),
    ("include @ \"stored\";", &[&[":personal", ":once", ":optional"]]),
    ("pipe @ \"p\";", &[&[":copy", ":try"]]),
    ("execute @ \"p\";", &[&[":input \"i\"", ":pipe", ":output \"v\""]]),
    ("report @ \"abuse\" \"m\" \"a@x.example\";", &[&[":headers_only"]]),
    ("foreverypart @ { keep; }", &[&[":name \"n\"", ":name \"m\""]]),
    ("foreverypart :name \"n\" { break @; }", &[&[":name \"n\""]]),
    ("foreverypart { extracttext @ \"v\"; }", &[&[":first 1", ":lower", ":upper", ":length"]]),
    ("if address @ \"from\" \"1\" {}", &[MATCH, PART, INDEX, MIME]),
    ("if header @ \"x-a\" \"1\" {}", &[MATCH, INDEX, MIME]),
    ("if exists @ \"x-a\" {}", &[MIME]),
    ("if body @ \"1\" {}", &[MATCH, &[":raw", ":text", ":content \"text\""]]),
    ("if currentdate @ \"year\" \"1\" {}", &[MATCH, ZONE]),
    ("if date @ \"date\" \"year\" \"1\" {}", &[MATCH, ZONE, &[":originalzone"], INDEX]),
    ("if duplicate @ {}", &[&[":header \"x\"", ":uniqueid \"u\"", ":handle \"h\"", ":seconds 1", ":last"]]),
    ("if envelope @ \"from\" \"1\" {}", &[MATCH, PART]),
    ("if environment @ \"name\" \"1\" {}", &[MATCH]),
    ("if hasflag @ \"a\" {}", &[MATCH]),
    ("if hasflag @ \"v\" \"a\" {}", &[MATCH]),
    ("if size @ 1 {}", &[&[":over", ":under"]]),
    ("if spamtest @ \"1\" {}", &[MATCH, &[":percent"]]),
    ("if virustest @ \"1\" {}", &[MATCH]),
    ("if string @ \"a\" \"1\" {}", &[MATCH]),
    ("if metadata @ \"INBOX\" \"/private/a\" \"1\" {}", &[MATCH]),
    ("if servermetadata @ \"/private/a\" \"1\" {}", &[MATCH]),
    ("if notify_method_capability @ \"mailto:a@x.example\" \"online\" \"1\" {}", &[MATCH]),
    ("if execute @ \"p\" {}", &[&[":input \"i\"", ":pipe", ":output \"v\""]]),
];

fn scripts() -> impl Iterator<Item = String> {
    CONSTRUCTS.iter().flat_map(|(construct, groups)| {
        let tags: Vec<&str> = groups.iter().copied().flatten().copied().collect();
        let first = tags.clone();
        let pairs = first.into_iter().flat_map(move |one| {
            let beside = tags.clone().into_iter().map(move |other| format!("{one} {other}"));
            std::iter::once(one.to_owned()).chain(beside)
        });
        pairs.map(|pair| format!("require {REQUIRE};\n{}\n", construct.replace('@', &pair)))
    })
}

#[test]
fn tags_stand_together_where_the_engine_lets_them() {
    let Some(laboratory) = Laboratory::open() else { return };
    laboratory.store("stored", b"keep;");
    let (mut wrong, mut verdicts) = (Vec::new(), [0, 0]);
    for script in scripts() {
        let verdict = laboratory.verdict(script.as_bytes());
        let taken = verdict == Verdict::Taken;
        verdicts[usize::from(taken)] += 1;
        let ours = analyse(script.as_bytes(), Dialect::Pigeonhole, true);
        if ours.accepted != taken {
            let line = script.lines().nth(1).unwrap_or_default().to_owned();
            wrong.push(format!("{line}: the engine says {verdict:?}, we say {:?}", errors(&ours)));
        }
    }
    println!("refused and taken: {verdicts:?}");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(verdicts.iter().all(|count| *count > 100));
}
