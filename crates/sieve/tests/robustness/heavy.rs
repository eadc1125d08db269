//! What a hostile script of a given size may hold.

const REQUIRED: &str = "require [\"variables\",\"include\",\"vacation\",\"imap4flags\",\"foreverypart\",\
    \"enotify\",\"relational\",\"encoded-character\",\"vnd.dovecot.pipe\",\"copy\"];";

/// What it may repeat.
const PIECES: [&str; 24] = [
    "keep;",
    "redirect \"a@x\";",
    "if exists \"a\" { keep; }\n",
    "if header :contains \"a\" \"b\" { stop; } keep;",
    "if header :matches \"a\" \"*\" { set \"a\" \"${1}\"; }",
    "set \"a\" \"${a}${a}x\"; redirect \"${a}@x\";",
    "if true { if true { ",
    "foreverypart { ",
    "not ",
    "(",
    "{",
    "}",
    "\"",
    "/***/",
    "${hex:",
    "a",
    ":a ",
    "# c\r",
    "# rule:[x]\nif true { keep; }\n",
    "if string \"a\" \"a\" { } elsif false { }",
    "include \"a\";",
    "global \"a\";",
    "setflag \"a\"; addflag \"b\";",
    "vacation \"a@b.c d@e.f\";",
];

/// What it may repeat with another number each time, in the place of `#`.
const NUMBERED: [&str; 16] = [
    "set \"v#\" \"x\"; redirect \"${v#}@x\";",
    "addflag \"v\" \"f#\";",
    "addflag \"f#\";",
    "setflag \"v#\" \"a b\"; if hasflag \"v#\" \"a\" {}",
    "global \"g#\"; set \"g#\" \"x\";",
    "if exists \"a\" { set \"v#\" \"x\"; }",
    "if exists \"a\" { set \"v\" \"x#\"; }",
    "redirect :copy \"a#@x\"; redirect \"a#@x\";",
    "pipe :copy \"p#\";",
    "foreverypart { set \"v#\" \"${v}x\"; }",
    "if string :matches \"a-#\" \"*-*\" { set \"v\" \"${2}\"; }",
    "if header :contains \"subject\" \"k#\" { redirect \"a#@x\"; stop; }",
    "include \"s#\";",
    "frob# \"x\";",
    "# rule:[r#]\nif true { redirect \"a#@x\"; }\n",
    "set \"v\" \"${v}#\";",
];

/// Something before, something repeated, something after.
const FRAMED: [(&str, &str, &str); 20] = [
    ("if header :contains \"a\" [\"b\"", ",\"b\"", "] { keep; }"),
    ("if anyof(true", ",exists \"a\"", ") { keep; }"),
    ("if allof(exists \"a\"", ",exists \"a\"", ") { redirect \"a@x\"; }"),
    ("if exists \"a\" { keep; }", "elsif exists \"a\" { keep; }", ""),
    ("addflag [\"a\"", ",\"b\"", "];"),
    ("vacation :addresses [\"a@x\"", ",\"a@x\"", "] \"x\";"),
    ("notify \"mailto:a@x?to=", "a@x,", "a@x\";"),
    ("redirect \"", "(", "a@x\";"),
    ("redirect \"", "a,", "a@x\";"),
    ("redirect \"", "\\\"", "a@x\";"),
    ("set \"a\" \"0123456789012345678901234567890123456789\"; redirect \"", "${a}", "@x\";"),
    ("if exists \"a\" { set \"a\" \"0123\"; } redirect \"", "${a}", "@x\";"),
    ("set \"a\" \"", "x", "\"; redirect \"${a}@x\"; redirect \"b${a}@x\";"),
    ("if string :matches \"aaaaaaaaaaaaaaaaaaaaaa\" \"", "*a", "\" { keep; }"),
    ("redirect text:\n", "..a\n", ".\n;"),
    ("foreverypart { foreverypart { foreverypart { foreverypart { ", "keep;", "}}}}"),
    ("foreverypart { foreverypart { foreverypart { foreverypart { ", "set \"a\" \"${a}x\";", "}}}}"),
    ("foreverypart { foreverypart { foreverypart { foreverypart { ", "foreverypart { }", "}}}}"),
    ("if true { ", "if anyof(exists \"a\", not exists \"b\") { redirect \"a@x\"; } ", "}"),
    ("require [\"a\"", ",\"b\"", "];"),
];

/// Scripts of about `size` bytes, each with a name.
pub(crate) fn heavy(size: usize) -> Vec<(String, String)> {
    let repeated = PIECES.iter().map(|piece| (format!("{piece:?}"), piece.repeat(size / piece.len())));
    let numbered = NUMBERED.iter().map(|piece| {
        let count = size / (piece.len() + 4 * piece.matches('#').count());
        (format!("{piece:?}"), (0..count).map(|number| piece.replace('#', &number.to_string())).collect())
    });
    let framed = FRAMED.iter().map(|(before, piece, after)| {
        (format!("{before:?} {piece:?}"), format!("{before}{}{after}", piece.repeat(size / piece.len())))
    });
    let all = repeated.chain(numbered).chain(framed).chain(halves(size));
    all.map(|(name, text)| (name, format!("{REQUIRED}{text}"))).collect()
}

/// Scripts of two parts whose product must not be paid.
fn halves(size: usize) -> Vec<(String, String)> {
    let half = |piece: &str| {
        let count = size / 2 / (piece.len() + 4 * piece.matches('#').count());
        (0..count).map(|number| piece.replace('#', &number.to_string())).collect::<String>()
    };
    let list = |piece: &str| format!("[{}\"x\"]", half(piece));
    let comparison =
        "if string :matches \"0123456789012345678901234567890123456789\" \"*0*1*2*3*4*5*6*7*8*9*x\" {}";
    vec![
        ("values against keys".to_owned(), format!("if string {} {} {{}}", list("\"a\","), list("\"b\","))),
        (
            "values against patterns".to_owned(),
            format!("if string :matches {} {} {{}}", list("\"a\","), list("\"*b*\",")),
        ),
        (
            "values in order".to_owned(),
            format!("if string :value \"lt\" {} {} {{}}", list("\"b\","), list("\"a\",")),
        ),
        (
            "flags against keys".to_owned(),
            format!("setflag \"v\" {}; if hasflag \"v\" {} {{}}", list("\"a#\","), list("\"b#\",")),
        ),
        ("many comparisons".to_owned(), half(comparison) + &half(comparison)),
        (
            "long comparisons".to_owned(),
            format!("if string :matches \"{}\" \"*{}\" {{}}", "a".repeat(500), "a?".repeat(250))
                .repeat(size / 1100),
        ),
        (
            "globals and missing scripts".to_owned(),
            half("global \"g#\";set \"g#\" \"x\";") + &half("include \"n\";"),
        ),
        (
            "variables and deep loops".to_owned(),
            format!(
                "{}{}{}}}}}}}}}",
                half("set \"v#\" \"x\";"),
                "foreverypart {".repeat(4),
                half("foreverypart {}")
            ),
        ),
        (
            "a long value in many places".to_owned(),
            format!("set \"a\" \"{}\";{}", "x".repeat(size / 2), half("redirect \"${a}@x\";")),
        ),
        (
            "a long value in many variables".to_owned(),
            format!("set \"a\" \"{}\";{}", "x".repeat(size / 2), half("set \"b#\" \"${a}y\";")),
        ),
        (
            "a value in long strings".to_owned(),
            format!(
                "set \"a\" \"{}\";{}",
                "x".repeat(4000),
                half(&format!("set \"b\" \"{}\";", "${a}".repeat(100)))
            ),
        ),
        (
            "alternatives in long strings".to_owned(),
            format!(
                "{}{}",
                "if exists \"a\" { set \"a\" \"1\"; } elsif exists \"b\" { set \"a\" \"2\"; }\
                 if exists \"a\" { set \"b\" \"1\"; } elsif exists \"b\" { set \"b\" \"2\"; }",
                half("redirect \"${a}${b}@x\";")
            ),
        ),
    ]
}
