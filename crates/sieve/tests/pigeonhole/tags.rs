//! Every tag of every construct beside every other and beside itself, and every argument replaced by others: what the
//! engine takes, we take.

use crate::differential::errors;
use crate::laboratory::{Laboratory, Verdict};
use sieve_analysis::{Dialect, analyse};
use std::ops::Range;

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

/// What may stand where something else is wanted.
const OTHERS: &[&str] =
    &["", "1", "0", "\"x\"", "\"\"", "\"${a}\"", "[\"x\", \"y\"]", "[]", ":is", ":nonsense", "text:\nx\n.\n"];

fn pairs(construct: &str, tags: &[&str]) -> Vec<String> {
    let with = |tags: &str| construct.replace('@', tags);
    let beside = |one: &&str| tags.iter().map(move |other| format!("{one} {other}")).collect::<Vec<_>>();
    tags.iter().map(|tag| with(tag)).chain(tags.iter().flat_map(beside).map(|pair| with(&pair))).collect()
}

/// One argument too many, tags behind the others, and others in the place of each value.
fn other_arguments(construct: &str, tags: &[&str]) -> Vec<String> {
    let plain = construct.replace("@ ", "").replace('@', "");
    let end = plain.find(';').or(plain.rfind(" {")).unwrap();
    let ending = |more: &str| format!("{} {more}{}", &plain[..end], &plain[end..]);
    let more = OTHERS.iter().chain(tags).map(|more| ending(more));
    let of_tags = tags.iter().flat_map(|tag| exchanged(tag)).map(|tag| construct.replace('@', &tag));
    more.chain(exchanged(&plain)).chain(of_tags).collect()
}

/// Each string and each number in turn exchanged for everything else.
fn exchanged(text: &str) -> Vec<String> {
    let exchange = |place: Range<usize>| {
        OTHERS.iter().map(move |other| format!("{}{other}{}", &text[..place.start], &text[place.end..]))
    };
    values(text).into_iter().flat_map(exchange).collect()
}

fn values(text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(|c: char| c == '"' || c.is_ascii_digit()) {
        let start = at + found;
        let length = match text[start + 1..].find('"') {
            Some(close) if text[start..].starts_with('"') => close + 2,
            _ => 1,
        };
        at = start + length;
        places.push(start..at);
    }
    places
}

fn differing(variants: impl Fn(&str, &[&str]) -> Vec<String>) -> Vec<String> {
    let Some(laboratory) = Laboratory::open() else { return Vec::new() };
    ["stored", "x"].iter().for_each(|name| laboratory.store(name, b"keep;"));
    let (mut wrong, mut verdicts) = (Vec::new(), [0, 0]);
    for (construct, groups) in CONSTRUCTS {
        let tags: Vec<&str> = groups.iter().copied().flatten().copied().collect();
        for variant in variants(construct, &tags) {
            let script = format!("require {REQUIRE};\n{variant}\n");
            let verdict = laboratory.verdict(script.as_bytes());
            if verdict == Verdict::None {
                continue;
            }
            let taken = verdict == Verdict::Taken;
            verdicts[usize::from(taken)] += 1;
            let ours = analyse(script.as_bytes(), Dialect::Pigeonhole, true);
            if ours.accepted != taken {
                wrong.push(format!("{variant}: the engine says {verdict:?}, we say {:?}", errors(&ours)));
            }
        }
    }
    println!("refused and taken: {verdicts:?}");
    assert!(verdicts.iter().all(|count| *count > 100), "{verdicts:?}");
    wrong
}

#[test]
fn tags_stand_together_where_the_engine_lets_them() {
    let wrong = differing(pairs);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn arguments_are_those_that_the_engine_takes() {
    let wrong = differing(other_arguments);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
