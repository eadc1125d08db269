//! The messages that scripts are run on: some fixed, others made up.

use crate::chance::Chance;
use crate::laboratory::Message;
use std::borrow::Cow;

/// What some tests below know by heart.
pub(crate) const MESSAGES: [Message; 5] = [
    Message {
        headers: Cow::Borrowed(&[
            ("From", "s@x.example"),
            ("To", "r@y.example"),
            ("Subject", "hi there"),
            ("Message-ID", "<1@x>"),
        ]),
        body: "hi body\r\n",
        sender: "s@x.example",
        recipient: "r@y.example",
        odd: false,
    },
    Message {
        headers: Cow::Borrowed(&[
            ("From", "boss+pay@x.example"),
            ("To", "r+tag@y.example"),
            ("Subject", "Invoice-42"),
            ("X-A", "alpha"),
            ("Message-ID", "<2@x>"),
        ]),
        body: "please pay\r\n",
        sender: "boss+pay@x.example",
        recipient: "r+tag@y.example",
        odd: false,
    },
    Message {
        headers: Cow::Borrowed(&[
            ("From", "evil@z.example"),
            ("To", "r@y.example"),
            ("Subject", "a*b-c"),
            ("X-B", "q@w.example"),
            ("Message-ID", "<3@x>"),
        ]),
        body: "nothing\r\nhere\r\n",
        sender: "evil@z.example",
        recipient: "r@y.example",
        odd: false,
    },
    Message {
        headers: Cow::Borrowed(&[
            ("From", "S@X.Example"),
            ("To", "r@y.example"),
            ("Subject", "x"),
            ("X-A", "Beta"),
            ("X-B", "b"),
            ("X-Pad", "0123456789012345678901234567890123456789012345678901234567890123456789"),
            ("Message-ID", "<4@x>"),
        ]),
        body: "pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay\r\n\
               pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay pay\r\n",
        sender: "s@x.example",
        recipient: "r@y.example",
        odd: false,
    },
    Message {
        headers: Cow::Borrowed(&[
            ("From", "s@x.example"),
            ("To", "r@y.example"),
            ("Subject", "parts"),
            ("MIME-Version", "1.0"),
            ("Content-Type", "multipart/mixed; boundary=b"),
            ("Message-ID", "<5@x>"),
        ]),
        body: "--b\r\n\r\nalpha\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n\
               --c\r\n\r\nevil\r\n--c\r\n\r\nx\r\n--c--\r\n\r\n--b--\r\n",
        sender: "s@x.example",
        recipient: "r@y.example",
        odd: true,
    },
];

type Field = (&'static str, &'static str);

/// Fields whose value a test sees as it is written here.
const PLAIN: [&[Field]; 6] = [
    &[("From", "s@x.example"), ("From", "boss+pay@x.example"), ("From", "Evil@Z.example")],
    &[("To", "r@y.example"), ("To", "r+tag@y.example")],
    &[
        ("Subject", "hi there"),
        ("Subject", "Invoice-42"),
        ("Subject", "a*b"),
        ("Subject", "evil"),
        ("Subject", "-"),
    ],
    &[("X-A", "alpha"), ("X-A", "x"), ("X-A", "42"), ("X-A", "pay-Q")],
    &[("X-B", "a@x.example"), ("X-B", "evil"), ("X-B", "hi there")],
    &[("X-Pad", "0123456789012345678901234567890123456789012345678901234567890123456789")],
];
/// Fields that are decoded, unfolded, split or repeated.
const ODD: [Field; 14] = [
    ("Subject", "=?utf-8?q?evil_=C3=A9?="),
    ("Subject", "folded\r\n  evil"),
    ("X-A", ""),
    ("X-A", "second"),
    ("x-b", "Q@x.example, \"a b\" <b@y.example>"),
    ("To", "Group: a@x.example, b@x.example;"),
    ("Cc", "c@x.example, d+tag@y.example"),
    ("From", "not an address"),
    ("Received", "from a by b; Tue, 1 Feb 2022 10:00:00 +0100"),
    ("Received", "from c by d; Wed, 2 Feb 2022 10:00:00 -0500"),
    ("Date", "Tue, 1 Feb 2022 10:00:00 +0100"),
    ("Date", "nonsense"),
    ("X-Spam", "5"),
    ("Content-Type", "text/html; charset=utf-8"),
];
const BODIES: [&str; 4] = ["hi body\r\n", "please pay\r\n", "", "evil zebra\r\n.\r\npay\r\n"];
const SENDERS: [&str; 4] = ["s@x.example", "boss+pay@x.example", "evil@z.example", "S@X.Example"];
const RECIPIENTS: [&str; 3] = ["r@y.example", "r+tag@y.example", "R@Y.Example"];

/// A message that the seed makes.
pub(crate) fn message(seed: u64) -> Message {
    let mut chance = Chance::new(seed);
    let mut headers: Vec<Field> = vec![("Message-ID", "<9@x>")];
    for choices in PLAIN {
        if chance.below(3) > 0 {
            headers.push(chance.of(choices));
        }
    }
    let odd = chance.one_in(2);
    for _ in 0..if odd { 1 + chance.below(4) } else { 0 } {
        let place = chance.below(headers.len() + 1);
        headers.insert(place, chance.of(&ODD));
    }
    Message {
        headers: Cow::Owned(headers),
        body: chance.of(&BODIES),
        sender: chance.of(&SENDERS),
        recipient: chance.of(&RECIPIENTS),
        odd,
    }
}
