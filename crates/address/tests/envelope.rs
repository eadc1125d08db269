//! Envelope arguments as Postfix and Sendmail hand them over, with the macro that came along.

use mailwarden_address::{Address, EnvelopeRecipient, EnvelopeSender};

const MACRO_ABSENT: Option<&str> = None;

fn sender(raw: &str, mail_addr: Option<&str>) -> EnvelopeSender {
    EnvelopeSender::read(raw.as_bytes(), mail_addr.map(str::as_bytes))
}

fn shown(sender: &EnvelopeSender) -> Vec<String> {
    sender.readings.iter().map(ToString::to_string).collect()
}

/// Argument, what Postfix 3.7 made of it, and every reading expected; `exact` where nothing else may appear.
struct Case {
    raw: &'static str,
    mail_addr: &'static str,
    readings: &'static [&'static str],
    exact: bool,
}

const fn exact(raw: &'static str, mail_addr: &'static str, readings: &'static [&'static str]) -> Case {
    Case { raw, mail_addr, readings, exact: true }
}

const fn among(raw: &'static str, mail_addr: &'static str, readings: &'static [&'static str]) -> Case {
    Case { raw, mail_addr, readings, exact: false }
}

const SENDERS: &[Case] = &[
    exact("<any@legitimate.com>", "any@legitimate.com", &["any@legitimate.com"]),
    exact("<Any@Legitimate.com>", "any@legitimate.com", &["Any@legitimate.com"]),
    exact("any@legitimate.com", "any@legitimate.com", &["any@legitimate.com"]),
    exact("<any@LEGITIMATE.com.>", "any@legitimate.com", &["any@legitimate.com"]),
    exact("<any@legitimate.com >", "any@legitimate.com", &["any@legitimate.com"]),
    exact("< any@legitimate.com>", "any@legitimate.com", &["any@legitimate.com"]),
    exact("<@legitimate.com:any@attack.com>", "any@attack.com", &["any@attack.com"]),
    exact("<@legitimate.com,@any.com:'any@attack.com>", "'any@attack.com", &["'any@attack.com"]),
    exact(
        "<\"any@legitimate.com\"@attack.com>",
        "\"any@legitimate.com\"@attack.com",
        &["\"any@legitimate.com\"@attack.com"],
    ),
    exact("<any@bücher.test>", "any@bücher.test", &["any@xn--bcher-kva.test"]),
    exact("<any@xn--bcher-kva.test>", "any@xn--bcher-kva.test", &["any@xn--bcher-kva.test"]),
    exact("<any>", "any@mx.lab.test", &["any@mx.lab.test"]),
    exact("<@legitimate.com>", "\"\"@legitimate.com", &["\"\"@legitimate.com"]),
    exact(
        "<any%legitimate.com@attack.com>",
        "any%legitimate.com@attack.com",
        &["any%legitimate.com@attack.com", "any@legitimate.com"],
    ),
    exact(
        "<bounce+any=legitimate.com@attack.com>",
        "bounce+any=legitimate.com@attack.com",
        &["bounce+any=legitimate.com@attack.com"],
    ),
    exact(
        "<SRS0=aa=bb=legitimate.com=any@attack.com>",
        "srs0=aa=bb=legitimate.com=any@attack.com",
        &["SRS0=aa=bb=legitimate.com=any@attack.com"],
    ),
    among("<(any@legitimate.com>", "", &["any@legitimate.com"]),
    among("<any@legitimate.com(a.attack.com>", "any@legitimate.com", &["any@legitimate.com"]),
    among(
        "<any@legitimate.com'@any.attack.com>",
        "\"any@legitimate.com'\"@any.attack.com",
        &["\"any@legitimate.com'\"@any.attack.com", "any@legitimate.com"],
    ),
    among(
        "<attack.com!any@legitimate.com>",
        "attack.com!any@legitimate.com",
        &["attack.com!any@legitimate.com", "any@attack.com"],
    ),
    among("<any%scope.test>", "any%scope.test@mx.lab.test", &["any@scope.test"]),
    among("<any%scope.test>", "any@scope.test", &["any@scope.test"]),
    among("<scope.test!any>", "any@scope.test", &["any@scope.test"]),
    among("<any(c)@legitimate.com>", "any@legitimate.com", &["any@legitimate.com"]),
    among("<any@attack.com>", "any@legitimate.com", &["any@attack.com", "any@legitimate.com"]),
    among("<a..b@legitimate.com>", "a..b@legitimate.com", &["\"a..b\"@legitimate.com"]),
    among("<any@-.legitimate.com>", "", &["any@legitimate.com"]),
];

#[test]
fn senders_are_read_as_the_mta_reads_them_and_otherwise_every_way() {
    for Case { raw, mail_addr, readings, exact } in SENDERS {
        let sender = sender(raw, Some(mail_addr));
        let found = shown(&sender);
        for reading in *readings {
            assert!(found.iter().any(|f| f == reading), "{raw} lacks {reading}: {found:?}");
        }
        assert!(!exact || found.len() == readings.len(), "{raw}: {found:?}");
        assert_eq!(sender.is_null, mail_addr.is_empty(), "{raw}");
        assert!(!sender.truncated);
    }
}

#[test]
fn without_the_macro_the_argument_speaks_for_itself() {
    for (raw, readings) in [
        ("<Any@Legitimate.com.>", &["Any@legitimate.com"][..]),
        ("any@legitimate.com", &["any@legitimate.com"]),
        ("<@legitimate.com,@any.com:any@attack.com>", &["any@attack.com"]),
        ("<\"any@legitimate.com\"@attack.com>", &["\"any@legitimate.com\"@attack.com"]),
        ("<any>", &[]),
        ("<any%scope.test>", &["any@scope.test"]),
        ("<scope.test!any>", &["any@scope.test"]),
        // An address literal is no domain of ours; what a careless reader sees in it is listed all the same.
        ("<any@[192.0.2.1]>", &["any@192.0.2.1"]),
    ] {
        let sender = sender(raw, MACRO_ABSENT);
        assert_eq!(shown(&sender), readings, "{raw}");
        assert!(!sender.is_null, "{raw}");
    }
    assert_eq!(shown(&sender("<(any@legitimate.com>", MACRO_ABSENT)), ["any@legitimate.com"]);
}

#[test]
fn the_null_sender_is_null_on_every_path() {
    for (raw, mail_addr) in [("<>", Some("")), ("<>", None), ("", Some("")), ("", None), ("< >", None)] {
        let sender = sender(raw, mail_addr);
        assert!(sender.is_null && sender.readings.is_empty() && !sender.truncated, "{raw:?}");
        assert_eq!(&*sender.raw, raw.as_bytes());
    }
    let claimed = sender("<>", Some("any@scope.test"));
    assert!(!claimed.is_null);
    assert_eq!(shown(&claimed), ["any@scope.test"]);
}

#[test]
fn an_endless_sender_fails_closed() {
    let raw = format!("<{}@scope.test>", "x".repeat(5_000));
    assert!(sender(&raw, MACRO_ABSENT).truncated);
}

#[test]
fn raw_bytes_in_a_sender_are_read_in_both_charsets() {
    let sender = EnvelopeSender::read(b"<any@b\xfccher.test>", None);
    assert!(sender.readings.contains(&Address::parse("any@bücher.test").unwrap()));
}

#[test]
fn recipients_keep_their_case_and_say_how_to_be_deleted() {
    for (raw, rcpt_addr, address, delete_as) in [
        ("<Del@Scope.test>", Some("del@scope.test"), Some("Del@scope.test"), "Del@Scope.test"),
        ("Del@Scope.test", None, Some("Del@scope.test"), "Del@Scope.test"),
        ("<@a.b:known@scope.test>", Some("known@scope.test"), Some("known@scope.test"), "known@scope.test"),
        ("<@a.b,@c.d:K@scope.test>", None, Some("K@scope.test"), "K@scope.test"),
        ("<shop9@scope.test.>", Some("shop9@scope.test"), Some("shop9@scope.test"), "shop9@scope.test."),
        (
            "<\"plainq\"@scope.test>",
            Some("plainq@scope.test"),
            Some("plainq@scope.test"),
            "\"plainq\"@scope.test",
        ),
        (
            "<\"Vendor X\"@scope.test>",
            Some("\"vendor x\"@scope.test"),
            Some("\"Vendor X\"@scope.test"),
            "\"Vendor X\"@scope.test",
        ),
        (
            "<Vendor\\ X@scope.test>",
            Some("\"vendor x\"@scope.test"),
            Some("\"Vendor X\"@scope.test"),
            "Vendor\\ X@scope.test",
        ),
        ("<a..B@scope.test>", Some("a..b@scope.test"), Some("\"a..B\"@scope.test"), "a..B@scope.test"),
        (
            "<any%scope.test@mx.lab.test>",
            Some("any@scope.test"),
            Some("any@scope.test"),
            "any%scope.test@mx.lab.test",
        ),
        (
            "<known@scope.test>",
            Some("<known@scope.test>: Recipient address rejected: x@y.test"),
            Some("known@scope.test"),
            "known@scope.test",
        ),
        (
            "<known@scope.test>",
            Some("User unknown in local recipient table"),
            Some("known@scope.test"),
            "known@scope.test",
        ),
        ("<ü@bücher.test>", None, Some("ü@xn--bcher-kva.test"), "ü@bücher.test"),
        ("<x@[192.0.2.1]>", None, None, "x@[192.0.2.1]"),
        ("<>", None, None, ""),
        ("<@a.b>", None, Some("\"\"@a.b"), "@a.b"),
    ] {
        let recipient = EnvelopeRecipient::read(raw.as_bytes(), rcpt_addr.map(str::as_bytes));
        assert_eq!(recipient.address.map(|a| a.to_string()).as_deref(), address, "{raw}");
        assert_eq!(recipient.delete_as, delete_as.as_bytes(), "{raw}");
        assert_eq!(recipient.bare_local, None, "{raw}");
    }
}

#[test]
fn a_recipient_without_domain_is_bare_and_goes_where_the_mta_says() {
    let recipient = EnvelopeRecipient::read(b"<Postmaster>", Some(b"postmaster@mx.lab.test"));
    assert_eq!(recipient.bare_local.as_deref(), Some("Postmaster"));
    assert_eq!(recipient.address.unwrap().to_string(), "postmaster@mx.lab.test");
    assert_eq!(recipient.delete_as, b"Postmaster");
    let alone = EnvelopeRecipient::read(b"postmaster", None);
    assert_eq!((alone.bare_local.as_deref(), alone.address), (Some("postmaster"), None));
}
