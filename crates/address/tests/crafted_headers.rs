//! Crafted From values that were published or seen, and what they must be read as.

use mailwarden_address::{
    AmbiguityReason, HeaderReading, MAX_HEADER_VALUE, MAX_READINGS, Verdict, display_name_addresses,
    read_address_header,
};

fn from(value: &str) -> HeaderReading {
    read_address_header("From", value.as_bytes())
}

fn shown(reading: &HeaderReading) -> Vec<String> {
    reading.readings.iter().map(ToString::to_string).collect()
}

fn reason(reading: &HeaderReading) -> Option<AmbiguityReason> {
    match &reading.verdict {
        Verdict::Ambiguous { reason } => Some(*reason),
        _ => None,
    }
}

#[track_caller]
fn assert_one(value: &str, address: &str) {
    let reading = from(value);
    assert!(
        matches!(&reading.verdict, Verdict::One(one) if one.to_string() == address),
        "{value:?} {reading:?}"
    );
    assert_eq!(shown(&reading), [address], "{value:?}");
    assert!(!reading.truncated);
}

#[track_caller]
fn assert_ambiguous(value: &str, why: AmbiguityReason, among: &[&str]) {
    let reading = from(value);
    assert_eq!(reason(&reading), Some(why), "{value:?} {reading:?}");
    let readings = shown(&reading);
    for address in among {
        assert!(readings.iter().any(|r| r == address), "{value:?} lacks {address}: {readings:?}");
    }
}

#[test]
fn a_well_formed_mailbox_has_one_reading_whatever_its_display_name_shows() {
    for (value, address) in [
        ("bob@a.example", "bob@a.example"),
        (" Bob <bob@a.example>\n", "bob@a.example"),
        ("\n\tBob Builder\n <bob@a.example>\r\n", "bob@a.example"),
        ("\"ops@corp.example via List\" <list@lists.example>", "list@lists.example"),
        ("\"<ops@corp.example>\" <list@lists.example>", "list@lists.example"),
        ("\"Bob (ops@corp.example)\" <list@lists.example>", "list@lists.example"),
        ("\"a \\\"b\\\" c, d; e: f\" <list@lists.example>", "list@lists.example"),
        ("=?utf-8?q?ops=40corp=2Eexample?= <list@lists.example>", "list@lists.example"),
        ("=?utf-8?b?b3BzQGNvcnAuZXhhbXBsZQ==?= <list@lists.example>", "list@lists.example"),
        ("=?utf-8?q?Ops?=\n =?utf-8?q?_Team?= <list@lists.example>", "list@lists.example"),
        ("\"=?utf-8?q?ops=40corp.example?=\" <list@lists.example>", "list@lists.example"),
        ("John Q. Public <john@a.example>", "john@a.example"),
        ("Jürgen Größe <jg@a.example>", "jg@a.example"),
        ("株式会社　例 <info@例え.jp>", "info@xn--r8jz45g.jp"),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
        ("Bob <bob@CORP。Example>", "bob@corp.example"),
        ("\"ops@corp.example\"@evil.example", "\"ops@corp.example\"@evil.example"),
        ("\"bob\"@a.example", "bob@a.example"),
        ("X <\"a b\"@a.example>", "\"a b\"@a.example"),
        ("root@localhost", "root@localhost"),
        ("Bob<bob@a.example>", "bob@a.example"),
        ("\"\" <bob@a.example>", "bob@a.example"),
        ("< bob@a.example >", "bob@a.example"),
        ("any%corp.example@relay.example", "any%corp.example@relay.example"),
        ("Bob O'Neil & Sons! 100% <bob+tag=x@a.example>", "bob+tag=x@a.example"),
        ("bounce+ops=corp.example@lists.example", "bounce+ops=corp.example@lists.example"),
        ("root@mail.example (Cron Daemon)", "root@mail.example"),
        ("Bob <bob@a.example> (ops@corp.example)", "bob@a.example"),
        ("list@lists.example\n (=?utf-8?q?ops=40corp.example?=)", "list@lists.example"),
    ] {
        assert_one(value, address);
    }
}

#[test]
fn a_well_formed_list_or_group_has_each_address() {
    for value in [
        "a@a.example, \"ops@corp.example\" <b@b.example>",
        "Team: a@a.example, B <b@b.example>;",
        "a@a.example, Team: b@b.example;",
    ] {
        let reading = from(value);
        let Verdict::Many(addresses) = &reading.verdict else { panic!("{value} {reading:?}") };
        assert_eq!(addresses.len(), 2, "{value}");
        assert_eq!(shown(&reading)[..2], ["a@a.example", "b@b.example"], "{value}");
        let named = value.contains("ops@corp.example");
        assert_eq!(shown(&reading).contains(&"ops@corp.example".to_owned()), named, "{value}");
    }
    assert!(matches!(from("Team: a@a.example;").verdict, Verdict::Many(members) if members.len() == 1));
}

#[test]
fn a_header_for_one_mailbox_takes_no_list() {
    for name in ["Sender", "sender", "RESENT-SENDER"] {
        let reading = read_address_header(name, b"a@a.example, b@b.example");
        assert_eq!(reason(&reading), Some(AmbiguityReason::NotSingle), "{name}");
        assert_eq!(reading.readings.len(), 2);
        let reading = read_address_header(name, b"A <a@a.example>");
        assert!(matches!(reading.verdict, Verdict::One(_)));
    }
}

#[test]
fn nothing_is_empty_and_says_nothing() {
    for value in ["", " ", "\n", " \n \t\n"] {
        let reading = from(value);
        assert_eq!((reading.verdict, reading.readings.len()), (Verdict::Empty, 0));
    }
}

#[test]
fn malformed_headers_have_every_reading() {
    use AmbiguityReason::*;
    let cases: &[(&str, AmbiguityReason, &[&str])] = &[
        ("<bob@a.example> <eve@b.example>", Malformed, &["bob@a.example", "eve@b.example"]),
        ("<bob@a.example><eve@b.example>", Malformed, &["bob@a.example", "eve@b.example"]),
        ("bob(@evil.example)@a.example", Comment, &["bob@a.example", "\"\"@evil.example"]),
        ("(c) bob (c) @ (c) a.example", Comment, &["bob@a.example"]),
        ("ops@(x(y)z)corp.example", Comment, &["ops@corp.example"]),
        ("bob@a.example eve@b.example", Malformed, &["bob@a.example", "eve@b.example"]),
        ("<@relay.example:bob@a.example>", Route, &["bob@a.example", "\"\"@relay.example"]),
        (
            "X <@r.example,@s.example:bob@a.example>",
            Route,
            &["bob@a.example", "\"\"@r.example", "\"\"@s.example"],
        ),
        ("bob@a.example>", Malformed, &["bob@a.example"]),
        ("<bob@a.example", Malformed, &["bob@a.example"]),
        ("bob@a.example@b.example", Malformed, &["bob@a.example", "\"bob@a.example\"@b.example"]),
        ("ops@corp.example <x@evil.example>", Malformed, &["ops@corp.example", "x@evil.example"]),
        ("\"ops\"@corp.example, <x@evil.example", Malformed, &["ops@corp.example", "x@evil.example"]),
        ("bob @ a . example", Obsolete, &["bob@a.example"]),
        ("\"b\".ob@a.example", Obsolete, &["ob@a.example"]),
        ("bob@a.example ((ops@corp.example))", Comment, &["bob@a.example", "ops@corp.example"]),
        ("bob@a.example (x) (ops@corp.example)", Comment, &["bob@a.example", "ops@corp.example"]),
        ("bob@a.example (<ops@corp.example>)", Comment, &["bob@a.example", "ops@corp.example"]),
        ("(ops@corp.example) bob@a.example", Comment, &["bob@a.example", "ops@corp.example"]),
        ("a@a.example, bob@a.example (ops@corp.example)", Comment, &["bob@a.example", "ops@corp.example"]),
        (
            "bob@a.example (=?utf-8?q?=00ops=40corp.example?=)",
            ControlCharacter,
            &["bob@a.example", "ops@corp.example"],
        ),
        ("\"ops@corp.example <x@evil.example>", Malformed, &["ops@corp.example", "x@evil.example"]),
        ("(ops@corp.example <x@evil.example>", Comment, &["ops@corp.example", "x@evil.example"]),
        ("ops@corp.example\0 <x@evil.example>", ControlCharacter, &["ops@corp.example", "x@evil.example"]),
        ("ops@co\0rp.example", ControlCharacter, &["ops@corp.example", "ops@co"]),
        (
            "ops@corp.example\0.evil.example",
            ControlCharacter,
            &["ops@corp.example", "ops@corp.example.evil.example"],
        ),
        ("ops@corp.example\nX: y@evil.example", ControlCharacter, &["ops@corp.example", "y@evil.example"]),
        ("ops@co\u{200b}rp.example", InvisibleCharacter, &["ops@corp.example", "ops@co"]),
        (
            "ops@corp.example\u{202e}moc.live@ <x@evil.example>",
            InvisibleCharacter,
            &["ops@corp.example", "x@evil.example"],
        ),
        (
            "ops@corp.example\u{2003}<x@evil.example>",
            InvisibleCharacter,
            &["ops@corp.example", "x@evil.example"],
        ),
        ("ops@cor\n p.example", Malformed, &["ops@corp.example"]),
        ("ops@\n corp.example", Obsolete, &["ops@corp.example"]),
        ("=?utf-8?q?ops=40corp.example?= x@evil.example", Obsolete, &["ops@corp.example", "x@evil.example"]),
        (
            "=?utf-8?q?ops=40corp.example <x@evil.example>",
            MalformedEncodedWord,
            &["ops@corp.example", "x@evil.example"],
        ),
        (
            "=?utf-8?q?ops@corp.example?= <x@evil.example>",
            EncodedWordInAddress,
            &["ops@corp.example", "x@evil.example"],
        ),
        (
            "=?utf-8?b?b3BzQGNvcnAuZXhhbXBsZQ?= <x@evil.example>",
            MalformedEncodedWord,
            &["ops@corp.example", "x@evil.example"],
        ),
        (
            "=?utf-8?q?ops=40corp.example=00?= <x@evil.example>",
            ControlCharacter,
            &["ops@corp.example", "x@evil.example"],
        ),
        (
            "=?utf-8?q?ops=40corp.example=0A?=\n =?utf-8?q?=00?= <x@evil.example>",
            ControlCharacter,
            &["ops@corp.example", "x@evil.example"],
        ),
        (
            "=?utf-8?b?b3BzQGNvcnAuZXhhbXBsZQ==?==?utf-8?q?=00?=@evil.example",
            EncodedWordInAddress,
            &["ops@corp.example"],
        ),
        (
            "=?utf-8?q?=3D=3Futf-8=3Fq=3Fops=3D40corp.example=3F=3D?= x <x@evil.example",
            Malformed,
            &["ops@corp.example", "x@evil.example"],
        ),
        ("<=?utf-8?q?ops=40corp.example?=>", Malformed, &["ops@corp.example"]),
        (
            "=?utf-7?q?ops+AEA-corp.example?= <x@evil.example",
            Malformed,
            &["ops@corp.example", "x@evil.example"],
        ),
        (
            "=?utf-16be?b?AG8AcABzAEAAYwBvAHIAcAAuAGUAeABhAG0AcABsAGU=?= <x@evil.example",
            Malformed,
            &["ops@corp.example", "x@evil.example"],
        ),
        (
            "=?utf-8?q?ops?= =?utf-8?q?=40corp?= =?utf-8?q?.example?= <x@evil.example",
            Malformed,
            &["ops@corp.example", "x@evil.example"],
        ),
        ("=?utf-8?q?ops=40co=E2=80=8Brp.example?= <x@evil.example", Malformed, &["ops@corp.example"]),
        ("ops\\@corp.example", Malformed, &["ops@corp.example"]),
        ("\"o p s\"@corp.example x", Malformed, &["\"o p s\"@corp.example"]),
        (
            "<\"ops@corp.example> \"@evil.example>",
            ReadersDisagree,
            &["ops@corp.example", "\"ops@corp.example> \"@evil.example"],
        ),
        ("Bob <ops @corp.example>", Obsolete, &["ops@corp.example"]),
        ("ops@corp.example\u{85}x", ControlCharacter, &["ops@corp.example"]),
        ("any%corp.example", NoDomain, &["any@corp.example"]),
        ("corp.example!any", NoDomain, &["any@corp.example"]),
        (
            "<any%corp.example@evil.example> x",
            Malformed,
            &["any@corp.example", "any%corp.example@evil.example"],
        ),
        ("<evil.example!corp.example!any> x", Malformed, &["any@corp.example", "any@evil.example"]),
        ("bob@[192.0.2.1]", DomainLiteral, &[]),
        ("ops@[corp.example]", DomainLiteral, &["ops@corp.example"]),
        ("ops@corp.example.", Malformed, &["ops@corp.example"]),
        ("ops@corp..example", Malformed, &["ops@corp.example"]),
        ("ops@-.corp.example", InvalidDomain, &["ops@corp.example"]),
        ("o..ps@corp.example", Malformed, &["\"o..ps\"@corp.example"]),
        ("ops@\"corp.example\"", Malformed, &["ops@corp.example"]),
        ("ops@corp\\.example", Malformed, &["ops@corp.example"]),
        ("ops＠corp.example", NoDomain, &["ops@corp.example"]),
        ("ops@bücher.example x", Malformed, &["ops@xn--bcher-kva.example"]),
        ("ops@straße.example x", Malformed, &["ops@strasse.example", "ops@xn--strae-oqa.example"]),
        ("MAILER-DAEMON", NoDomain, &[]),
        ("<>", Malformed, &[]),
        ("ops@corp.example:;", Malformed, &["ops@corp.example"]),
        ("\"ops@corp.example\":;", EmptyGroup, &["ops@corp.example"]),
        ("ops@corp.example,", Malformed, &["ops@corp.example"]),
        ("<ops@corp>.example>", Malformed, &["ops@corp"]),
        ("<ops@co> <rp.example>", Malformed, &["ops@corp.example"]),
    ];
    for (value, why, among) in cases {
        assert_ambiguous(value, *why, among);
    }
}

#[test]
fn raw_bytes_are_read_in_both_charsets() {
    for (value, among) in [
        (&b"J\xfcrgen <ops@corp.example>"[..], "ops@corp.example"),
        (b"ops@b\xfccher.example", "ops@xn--bcher-kva.example"),
        (b"ops@corp\xff.example", "ops@corp.example"),
    ] {
        let reading = read_address_header("From", value);
        assert_eq!(reason(&reading), Some(AmbiguityReason::InvalidUtf8));
        assert!(shown(&reading).contains(&among.to_owned()), "{reading:?}");
    }
}

#[test]
fn an_odd_spelling_of_one_address_leaves_a_sole_reading() {
    for value in ["root @ mail.example", "<root@mail.example>>"] {
        let reading = from(value);
        assert!(reason(&reading).is_some(), "{value} {reading:?}");
        assert_eq!(reading.sole_reading().map(ToString::to_string).as_deref(), Some("root@mail.example"));
    }
    assert_eq!(from("a@a.example, b@b.example").sole_reading(), None);
}

#[test]
fn too_much_is_truncated_and_says_so() {
    let many: Vec<String> = (0..400).map(|n| format!("u{n}@d.example")).collect();
    let reading = from(&many.join(" "));
    assert_eq!(reading.readings.len(), MAX_READINGS);
    assert!(reading.truncated);
    assert_eq!(reading.sole_reading(), None);

    let list = many.join(",");
    let reading = from(&list);
    assert!(reading.truncated, "a list has no more readings than any header");

    let long = format!("{} <ops@corp.example>", "x".repeat(MAX_HEADER_VALUE));
    let reading = from(&long);
    assert_eq!(reason(&reading), Some(AmbiguityReason::TooLong));
    assert!(reading.truncated);
    assert_eq!(shown(&reading), ["ops@corp.example"]);
}

#[test]
fn the_display_name_shows_its_addresses() {
    for (value, addresses) in [
        ("\"ops@corp.example via List\" <list@lists.example>", &["ops@corp.example"][..]),
        ("=?utf-8?q?ops=40corp.example?= <list@lists.example>", &["ops@corp.example"]),
        ("\"=?utf-8?b?b3BzQGNvcnAuZXhhbXBsZQ==?=\" <list@lists.example>", &["ops@corp.example"]),
        ("ops＠corp.example <list@lists.example>", &["ops@corp.example"]),
        ("ops@corp.example <list@lists.example>", &["ops@corp.example"]),
        ("<list@lists.example> (ops@corp.example)", &["ops@corp.example"]),
        ("list@lists.example (ops@corp.example)", &["ops@corp.example"]),
        ("\"ops@corp.example\": list@lists.example;", &["ops@corp.example"]),
        ("List <list@lists.example>", &[]),
        ("list@lists.example", &[]),
        ("", &[]),
    ] {
        let shown: Vec<String> =
            display_name_addresses(value.as_bytes()).iter().map(ToString::to_string).collect();
        assert_eq!(shown, addresses, "{value}");
    }
}
